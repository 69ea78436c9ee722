"""Reference implementations: slow and simple versions. Tests compare every fast kernel with them.

The first part contains functions that the public functions call for ``impl="numpy"`` and ``impl="bitarray"``. They may
copy and sort arrays. They do not check arguments, because the public functions have done so.

The second part contains intersection counts of whole arrays, which define the result of
`xsns_kernels.stream_intersections`. Unions need no further pass over the data, because |A ∪ B| = |A| + |B| - |A ∩ B|,
and the cardinalities are on the diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks
from xsns_kernels._checks import Floats
from xsns_kernels.columns import ArrayColumns, Counts, PairedColumns, Words, parts_of
from xsns_kernels.dispatch import resolve


def pack_bits(bits: NDArray[np.bool_]) -> Words:
    """Pack booleans with `numpy.packbits`, and fill the last word with zeros."""
    packed = np.zeros(-(-bits.size // 64) * 8, np.uint8)
    packed[: -(-bits.size // 8)] = np.packbits(bits, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)


def unpack_bits(words: Words, size: int) -> NDArray[np.bool_]:
    """Unpack the first `size` bits of words with `numpy.unpackbits`."""
    octets = words.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=size, bitorder="little").view(np.bool_)


def popcount(words: Words, impl: str) -> int:
    """Count the set bits of words with `numpy.bitwise_count` or, for ``"bitarray"``, with the package bitarray."""
    if impl == "bitarray":
        return int(_bitarray(words).count())
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def kth_largest(arrays: Sequence[Floats], k: int) -> np.floating[Any]:
    """Return the K-th largest value by copying all values into one array and partitioning it; -0.0 becomes 0.0."""
    values: NDArray[Any] = np.concatenate(arrays)
    values = values + values.dtype.type(0)
    chosen: np.floating[Any] = np.partition(values, values.size - k)[values.size - k]
    return chosen


def threshold_bits(arrays: Sequence[Floats], threshold: float) -> tuple[Words, int]:
    """Compare values with a threshold as float64, which represents every float32 exactly; copy and pack the results."""
    flags = [(array > 0) & (array.astype(np.float64) >= threshold) for array in arrays]
    bits = np.concatenate(flags) if flags else np.zeros(0, np.bool_)
    return pack_bits(bits), int(np.count_nonzero(bits))


def add_cross_counts(a: Words, b: Words, out: Counts, impl: str) -> None:
    """Add the number of common bits of each row of `a` and each row of `b` to `out` [A, B], one pair at a time."""
    if impl == "bitarray":
        from bitarray.util import count_and

        lefts, rights = [_bitarray(row) for row in a], [_bitarray(row) for row in b]
        for i, left in enumerate(lefts):
            out[i] += np.array([count_and(left, right) for right in rights], np.int64)
        return
    for i, left_words in enumerate(a):
        for j, right_words in enumerate(b):
            out[i, j] += np.bitwise_count(left_words & right_words).sum(dtype=np.int64)


def _bitarray(words: Words) -> Any:
    from bitarray import bitarray

    return bitarray(buffer=np.ascontiguousarray(words).view(np.uint8), endian="little")


# ------------------------------------------------------------------- intersection counts of whole arrays


def intersection_counts(rows: Words, impl: str = "auto", threads: int | None = None) -> Counts:
    """Count the common bits of all pairs of packed rows.

    out[i, j] = Σ_w popcount(rows[i, w] & rows[j, w])

    Args:
        rows: uint64 [L, W], one packed bit vector in each row, any strides, with zeros as pad bits. A memory map is
            read once, block by block.
        impl: One of `implementations("intersection_counts")`, or ``"auto"``.
        threads: Number of worker threads of ``"numba"``. By default one for each core that this process may use,
            fewer if there is little work.

    Returns:
        int64 [L, L], symmetric; the diagonal contains the cardinalities of the rows.

    Raises:
        TypeError: `rows` is not an array of uint64.
        ValueError: `rows` does not have two axes, `impl` is unknown, or `threads` is below 1.

    Bytes moved: 8·L·W, once. Work: 8·W·L(L+1)/2 bytes of AND and popcount. Memory: about 1.5 MB and one int64 [L, L]
    for each thread. The compiled code of ``"numba"`` counts without the GIL. Counts are exact: at most 64·W, which is
    below 2⁶³ for any array that fits in memory.

    >>> intersection_counts(np.array([[0b0111], [0b1110]], np.uint64)).tolist()
    [[3, 2], [2, 3]]
    """
    chosen = resolve("intersection_counts", impl)
    rows = _checks.array("rows", rows, np.uint64, 2)
    out = np.zeros((len(rows), len(rows)), np.int64)
    _add(rows, out, chosen, threads)
    return out


def accumulate_intersections(rows_block: Words, out: Counts, impl: str = "auto", threads: int | None = None) -> None:
    """Add the counts of one block of columns to `out`, which contains the counts of earlier blocks.

    out[i, j] += Σ_w popcount(rows_block[i, w] & rows_block[j, w])

    However the columns are divided into blocks, the sum over the blocks equals `intersection_counts` of the whole rows.
    With blocks of a few thousand words per row, the call overhead is negligible.

    Args:
        rows_block: uint64 [L, w], the same columns of every row, any strides.
        out: int64 [L, L], updated in place; it stays symmetric.
        impl: See `intersection_counts`.
        threads: See `intersection_counts`.

    Raises:
        TypeError: `rows_block` is not uint64 or `out` is not int64.
        ValueError: The shapes do not fit, or `out` is read-only.

    Bytes, complexity, threads and bounds are those of `intersection_counts`, with w for W.

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
    """Count the common bits of every row of one set with every row of another set.

    out[i, j] = Σ_w popcount(a[i, w] & b[j, w])

    Args:
        a: uint64 [A, W], packed rows, any strides.
        b: uint64 [B, W], packed rows over the same bits.
        impl: See `intersection_counts`.
        threads: See `intersection_counts`.

    Returns:
        int64 [A, B].

    Raises:
        TypeError: An array is not uint64.
        ValueError: The rows of `a` and `b` differ in length, or an array does not have two axes.

    Work: 8·W·A·B bytes of AND and popcount. All other costs are those of `intersection_counts`.

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
    """Add the counts of one block of columns to `out`, for each pair of a row of one set and a row of another.

    out[i, j] += Σ_w popcount(a_block[i, w] & b_block[j, w])

    Args:
        a_block: uint64 [A, w].
        b_block: uint64 [B, w], the same columns.
        out: int64 [A, B], updated in place.
        impl: See `intersection_counts`.
        threads: See `intersection_counts`.

    Raises:
        TypeError: A block is not uint64 or `out` is not int64.
        ValueError: The shapes do not fit, or `out` is read-only.

    Bytes, complexity, threads and bounds are those of `cross_intersection_counts`, with w for W.

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
        from xsns_kernels import _blocks

        columns = ArrayColumns(rows)
        out += _blocks.square(columns, parts_of(columns, None, 1), 1, threads, None, None)[0]
    else:
        add_cross_counts(rows, rows, out, impl)


def _add_cross(a: Words, b: Words, out: Counts, impl: str, threads: int | None) -> None:
    _checks.threads(threads)
    if impl == "numba":
        from xsns_kernels import _blocks

        columns = PairedColumns(a, b)
        out += _blocks.rectangle(columns, len(a), parts_of(columns, None, 1), 1, threads, None)[0][0]
    else:
        add_cross_counts(a, b, out, impl)
