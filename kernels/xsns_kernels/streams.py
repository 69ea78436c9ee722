"""Intersection counts in one pass over rows, which may be in memory or elsewhere, for whole rows or groups of bits.

Rows are read in blocks of columns from an array, from files or from a store (`xsns_kernels.columns`). Ranges of bits
(for example layers or tensors) may have any bounds; each range belongs to a group, and every group has its own counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xsns_kernels import _checks, reference
from xsns_kernels.columns import Columns, Counts, Part, Progress, Segment, Words, parts_of
from xsns_kernels.dispatch import resolve


def stream_intersections(
    columns: Columns,
    *,
    segments: Sequence[Segment] | None = None,
    groups: int = 1,
    threads: int | None = None,
    squeeze: bool | None = None,
    impl: str = "auto",
    on_progress: Progress | None = None,
) -> Counts:
    """Count the common bits of all pairs of rows, for each group of segments.

    out[g, i, j] = Σ over the bits b of the segments of group g of rows[i, b] · rows[j, b]

    Args:
        columns: L rows of W words, with zeros as pad bits. Each word is read once; only words that several segments
            share are read several times.
        segments: Ranges of bits, in any order; None puts all bits into group 0.
        groups: G, the number of groups.
        threads: Number of worker threads of ``"numba"``. By default one for each core that this process may use, fewer
            if there is little work. Each thread reads the blocks that it counts; one thread can read while other
            threads count.
        squeeze: Whether ``"numba"`` removes columns that do not distinguish any two rows before it counts pairs. True
            removes them always and False never. None (the default) examines a sample of the columns and removes them if
            this saves time and the processor has the instruction for it.
        impl: ``"numba"``, ``"numpy"`` (the reference), or ``"auto"``.
        on_progress: Called with (words done, words in total) after each block, by one thread at a time.

    Returns:
        int64 [G, L, L], symmetric. The diagonal of a group contains the cardinalities of the rows within the group.

    Raises:
        ValueError: A segment is outside of the rows, or its group is not one of `groups`.
        Exception: Any exception that `columns.read` raises.

    Bytes moved: 8·L·W, once. Work: 8·W·L(L+1)/2 bytes of AND and popcount. Memory: about 20 MB and one int64 [L, L] for
    each thread beside the result, independently of the length of the rows. Counts are exact, at most 64·W.

    >>> from xsns_kernels.columns import ArrayColumns
    >>> rows = ArrayColumns(np.array([[0b0111], [0b1110]], np.uint64))
    >>> stream_intersections(rows, segments=[Segment(0, 2, 0), Segment(2, 64, 1)], groups=2).tolist()
    [[[2, 1], [1, 1]], [[1, 1], [1, 2]]]
    """
    chosen = resolve("stream_intersections", impl)
    _checks.threads(threads)
    parts = parts_of(columns, segments, groups)
    if chosen == "numba":
        from xsns_kernels import _blocks

        return _blocks.square(columns, parts, groups, threads, squeeze, on_progress)
    counts = np.zeros((groups, columns.rows, columns.rows), np.int64)
    for part in parts:
        block = _read(columns, part)
        reference.add_cross_counts(block, block, counts[part.group], "numpy")
    return counts


def stream_cross_intersections(
    columns: Columns,
    split: int,
    *,
    segments: Sequence[Segment] | None = None,
    groups: int = 1,
    threads: int | None = None,
    impl: str = "auto",
    on_progress: Progress | None = None,
) -> tuple[Counts, Counts]:
    """Count the common bits of the first rows with each of the other rows, for each group of segments.

    out[g, i, j] = Σ over the bits b of the segments of group g of rows[i, b] · rows[split + j, b]

    Args:
        columns: L rows; see :func:`stream_intersections`.
        split: A, the number of rows on the left; the other L − A rows are on the right.
        segments: See :func:`stream_intersections`.
        groups: See :func:`stream_intersections`.
        threads: See :func:`stream_intersections`.
        impl: See :func:`stream_intersections`.
        on_progress: See :func:`stream_intersections`.

    Returns:
        The counts, int64 [G, A, L − A], and the cardinalities of all rows, int64 [G, L].

    Raises:
        ValueError: See :func:`stream_intersections`; or `split` is not in 0 … L.

    Bytes moved and memory are those of :func:`stream_intersections`. Work: 8·W·A·(L − A) bytes of AND and popcount.

    >>> from xsns_kernels.columns import ArrayColumns
    >>> rows = ArrayColumns(np.array([[7], [6], [8]], np.uint64))
    >>> counts, cardinalities = stream_cross_intersections(rows, 1)
    >>> counts.tolist(), cardinalities.tolist()
    ([[[2, 0]]], [[3, 2, 1]])
    """
    chosen = resolve("stream_cross_intersections", impl)
    _checks.threads(threads)
    if not 0 <= split <= columns.rows:
        raise ValueError(f"split must be from 0 to the number of rows, {columns.rows}; got {split}")
    parts = parts_of(columns, segments, groups)
    if chosen == "numba":
        from xsns_kernels import _blocks

        return _blocks.rectangle(columns, split, parts, groups, threads, on_progress)
    counts = np.zeros((groups, split, columns.rows - split), np.int64)
    sizes = np.zeros((groups, columns.rows), np.int64)
    for part in parts:
        block = _read(columns, part)
        reference.add_cross_counts(block[:split], block[split:], counts[part.group], "numpy")
        sizes[part.group] += np.bitwise_count(block).sum(axis=1, dtype=np.int64)
    return counts, sizes


def _read(columns: Columns, part: Part) -> Words:
    block = np.empty((columns.rows, part.stop - part.start), np.uint64)
    columns.read(part.start, part.stop, block)
    return block if part.mask is None else block & part.mask
