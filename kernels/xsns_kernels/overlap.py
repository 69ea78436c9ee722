"""Count the bits that packed rows have in common: all pairs of one set, or of two sets.

From these counts and the rows' cardinalities, which stand on the diagonal, every set coefficient
follows: |A ∪ B| = |A| + |B| - |A ∩ B|.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks, reference
from xsns_kernels.dispatch import resolve
from xsns_kernels.streams import ArrayColumns, PairedColumns, stream_cross_intersections, stream_intersections

Words = NDArray[np.uint64]
Counts = NDArray[np.int64]


def intersection_counts(rows: Words, impl: str = "auto", threads: int | None = None) -> Counts:
    """Count the common bits of all pairs of packed rows.

    out[i, j] = Σ_w popcount(rows[i, w] & rows[j, w])

    Args:
        rows: uint64 [L, W], one packed bit vector a row, any strides, pad bits zero. A memory map
            is read once, block by block.
        impl: an implementation of `implementations("intersection_counts")`, or ``"auto"``.
        threads: worker threads of ``"numba"``; by default one a core that this process may use,
            fewer where there is little work.

    Returns:
        int64 [L, L], symmetric; the diagonal holds the rows' cardinalities.

    Raises:
        TypeError: `rows` is not an array of uint64.
        ValueError: `rows` has not two axes, `impl` is unknown, or `threads` is below 1.

    Moves each word of `rows` from memory once, 8·L·W bytes. Works 8·W·L(L+1)/2 bytes of AND +
    popcount. Takes about 1.5 MB and one int64 [L, L] a thread. Holds no lock while counting. Counts
    are exact: at most 64·W, below 2⁶³ for any array that fits in memory.

    >>> intersection_counts(np.array([[0b0111], [0b1110]], np.uint64)).tolist()
    [[3, 2], [2, 3]]
    """
    chosen = resolve("intersection_counts", impl)
    rows = _checks.array("rows", rows, np.uint64, 2)
    out = np.zeros((len(rows), len(rows)), np.int64)
    _add(rows, out, chosen, threads)
    return out


def accumulate_intersections(rows_block: Words, out: Counts, impl: str = "auto", threads: int | None = None) -> None:
    """Add the counts of one block of columns to the counts of the columns before it.

    out[i, j] += Σ_w popcount(rows_block[i, w] & rows_block[j, w])

    Rows that do not fit in memory are streamed: over any split of the columns the sum of the blocks
    is the count of the whole. Blocks of some thousand words a row keep the cost of a call small.

    Args:
        rows_block: uint64 [L, w], the same columns of every row, any strides.
        out: int64 [L, L], added to in place; all of it, so that it stays symmetric.
        impl: as for `intersection_counts`.
        threads: as for `intersection_counts`.

    Raises:
        TypeError: `rows_block` is not uint64 or `out` is not int64.
        ValueError: shapes do not fit, or `out` is read-only.

    Bytes, complexity, threads and bounds: as for `intersection_counts`, with w for W.

    >>> total = np.zeros((2, 2), np.int64)
    >>> for block in (np.array([[3], [1]], np.uint64), np.array([[0], [7]], np.uint64)):
    ...     accumulate_intersections(block, total)
    >>> total.tolist()
    [[2, 1], [1, 4]]
    """
    chosen = resolve("accumulate_intersections", impl)
    rows_block = _checks.array("rows_block", rows_block, np.uint64, 2)
    out = _checks.counts("out", out, (len(rows_block), len(rows_block)))
    _add(rows_block, out, chosen, threads)


def cross_intersection_counts(a: Words, b: Words, impl: str = "auto", threads: int | None = None) -> Counts:
    """Count the common bits of every row of one set with every row of another.

    out[i, j] = Σ_w popcount(a[i, w] & b[j, w])

    Args:
        a: uint64 [A, W], packed rows, any strides.
        b: uint64 [B, W], packed rows over the same bits.
        impl: as for `intersection_counts`.
        threads: as for `intersection_counts`.

    Returns:
        int64 [A, B].

    Raises:
        TypeError: an array is not uint64.
        ValueError: rows of `a` and `b` differ in length, or an array has not two axes.

    Works 8·W·A·B bytes of AND + popcount; otherwise as `intersection_counts`.

    >>> cross_intersection_counts(np.array([[7]], np.uint64), np.array([[6], [8]], np.uint64)).tolist()
    [[2, 0]]
    """
    chosen = resolve("cross_intersection_counts", impl)
    a, b = _checks.array("a", a, np.uint64, 2), _checks.array("b", b, np.uint64, 2)
    _checks.same_words(a, b)
    out = np.zeros((len(a), len(b)), np.int64)
    _add_cross(a, b, out, chosen, threads)
    return out


def accumulate_cross_intersections(
    a_block: Words, b_block: Words, out: Counts, impl: str = "auto", threads: int | None = None
) -> None:
    """Add the counts of one block of columns of two sets of rows.

    out[i, j] += Σ_w popcount(a_block[i, w] & b_block[j, w])

    Args:
        a_block: uint64 [A, w].
        b_block: uint64 [B, w], the same columns.
        out: int64 [A, B], added to in place.
        impl: as for `intersection_counts`.
        threads: as for `intersection_counts`.

    Raises:
        TypeError: a block is not uint64 or `out` is not int64.
        ValueError: shapes do not fit, or `out` is read-only.

    Bytes, complexity, threads and bounds: as for `cross_intersection_counts`, with w for W.

    >>> total = np.zeros((1, 1), np.int64)
    >>> accumulate_cross_intersections(np.array([[7]], np.uint64), np.array([[6]], np.uint64), total)
    >>> total.tolist()
    [[2]]
    """
    chosen = resolve("accumulate_cross_intersections", impl)
    a_block = _checks.array("a_block", a_block, np.uint64, 2)
    b_block = _checks.array("b_block", b_block, np.uint64, 2)
    _checks.same_words(a_block, b_block)
    out = _checks.counts("out", out, (len(a_block), len(b_block)))
    _add_cross(a_block, b_block, out, chosen, threads)


def _add(rows: Words, out: Counts, impl: str, threads: int | None) -> None:
    _checks.threads(threads)
    if impl == "numba":
        out += stream_intersections(ArrayColumns(rows), threads=threads)[0]
    else:
        reference.add_cross_counts(rows, rows, out, impl)


def _add_cross(a: Words, b: Words, out: Counts, impl: str, threads: int | None) -> None:
    _checks.threads(threads)
    if impl == "numba":
        out += stream_cross_intersections(PairedColumns(a, b), len(a), threads=threads)[0][0]
    else:
        reference.add_cross_counts(a, b, out, impl)
