"""Count common bits of rows that need not lie in memory, for the whole row or for parts of it, in one pass.

Rows are read a block of columns at a time from whatever gives them: an array, files, a store. The parts (layers,
tensors) are ranges of bits with any bounds; each belongs to a group, and every group has counts of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks, reference
from xsns_kernels.dispatch import resolve

Words = NDArray[np.uint64]
Counts = NDArray[np.int64]

#: Called with (words done, words in all).
Progress = Callable[[int, int], None]

_WORD = 64
_ALL = np.uint64(2**64 - 1)


class Columns(Protocol):
    """Rows of packed bits that are read a block of columns at a time."""

    @property
    def rows(self) -> int:
        """L, the number of rows."""

    @property
    def words(self) -> int:
        """W, the number of words of a row."""

    def read(self, start: int, stop: int, out: Words) -> None:
        """Fill `out`, uint64 [L, stop − start], whose rows may lie apart; several threads call it at once."""


class ArrayColumns:
    """Rows of an array in memory, or mapped into it."""

    def __init__(self, array: Words) -> None:
        self.array = _checks.array("rows", array, np.uint64, 2)

    @property
    def rows(self) -> int:
        """L, the number of rows."""
        return len(self.array)

    @property
    def words(self) -> int:
        """W, the number of words of a row."""
        return int(self.array.shape[1])

    def read(self, start: int, stop: int, out: Words) -> None:
        """Copy a block of columns."""
        out[...] = self.array[:, start:stop]


class PairedColumns:
    """Rows of two arrays in memory, one set after the other."""

    def __init__(self, first: Words, second: Words) -> None:
        self._sets = (ArrayColumns(first), ArrayColumns(second))
        self.rows = len(first) + len(second)
        self.words = _checks.same_words(first, second)

    def read(self, start: int, stop: int, out: Words) -> None:
        """Copy a block of columns of both."""
        first, second = self._sets
        first.read(start, stop, out[: first.rows])
        second.read(start, stop, out[first.rows :])


@dataclass(frozen=True)
class Segment:
    """Bits `start` up to `stop` of every row, counted in one group; bounds need not be multiples of 64."""

    start: int
    stop: int
    group: int = 0


@dataclass(frozen=True)
class Part:
    """Whole words, or one word of which some bits count.

    Attributes:
        start: First word.
        stop: Past the last word.
        group: Where they count.
        mask: The bits that count, for a single word; None where all do.
    """

    start: int
    stop: int
    group: int
    mask: np.uint64 | None = None


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
        columns: L rows of W words, whose pad bits are zero; read once, except for words that several segments share.
        segments: Ranges of bits, in any order; all bits are group 0 where left out.
        groups: G, the number of groups.
        threads: Worker threads of ``"numba"``; by default one a core that this process may use, fewer where there is
            little work. Each reads blocks of its own, so that one reads while others count.
        squeeze: Whether ``"numba"`` leaves out columns that tell no two rows apart before it counts pairs: always,
            never, or, by default, where a look at some of them says that it pays and the processor can do it quickly.
        impl: ``"numba"``, ``"numpy"`` (slow and obvious), or ``"auto"``.
        on_progress: Called with (words done, words in all) after each block, by one thread at a time.

    Returns:
        int64 [G, L, L], symmetric; a diagonal holds the rows' cardinalities within the group.

    Raises:
        ValueError: A segment lies outside of the rows, or its group is not one of `groups`.
        Exception: Whatever `columns.read` raises.

    Takes about 20 MB and one int64 [L, L] a thread beside the result, however long the rows are. Counts are exact
    in any case.

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
    """Count the common bits of the first rows with each of the others, for each group of segments.

    out[g, i, j] = Σ over the bits b of the segments of group g of rows[i, b] · rows[split + j, b]

    Args:
        columns: L rows, as for :func:`stream_intersections`.
        split: A, how many rows are on the left; the other L − A are on the right.
        segments: As for :func:`stream_intersections`.
        groups: As for :func:`stream_intersections`.
        threads: As for :func:`stream_intersections`.
        impl: As for :func:`stream_intersections`.
        on_progress: As for :func:`stream_intersections`.

    Returns:
        int64 [G, A, L − A], and the cardinalities of all rows, int64 [G, L].

    Raises:
        ValueError: As for :func:`stream_intersections`; or `split` is not within 0 … L.

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


def parts_of(columns: Columns, segments: Sequence[Segment] | None, groups: int) -> list[Part]:
    """Cut segments at words: whole words, and single words of which some bits count."""
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    bits = columns.words * _WORD
    parts: list[Part] = []
    for segment in [Segment(0, bits)] if segments is None else segments:
        if not 0 <= segment.start <= segment.stop <= bits:
            raise ValueError(f"bits {segment.start} up to {segment.stop} are not within rows of {bits} bits")
        if not 0 <= segment.group < groups:
            raise ValueError(f"group {segment.group} is not one of {groups}")
        parts.extend(_cut(segment))
    return parts


def _cut(segment: Segment) -> list[Part]:
    first, before = divmod(segment.start, _WORD)
    last, after = divmod(segment.stop, _WORD)
    head = _ALL << np.uint64(before)
    tail = np.uint64((1 << after) - 1)
    if segment.start == segment.stop:
        return []
    if first == last:
        return [Part(first, first + 1, segment.group, head & tail)]
    parts = []
    if before:
        parts.append(Part(first, first + 1, segment.group, head))
        first += 1
    if first < last:
        parts.append(Part(first, last, segment.group))
    if after:
        parts.append(Part(last, last + 1, segment.group, tail))
    return parts


def _read(columns: Columns, part: Part) -> Words:
    block = np.empty((columns.rows, part.stop - part.start), np.uint64)
    columns.read(part.start, part.stop, block)
    return block if part.mask is None else block & part.mask
