"""Input of the intersection kernels: rows of packed bits, read in blocks of columns, and ranges of bits to count.

A row may be in memory, in a file or in a store. The kernels accept every object that has the three members of
the protocol `Columns`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks

Words = NDArray[np.uint64]
Counts = NDArray[np.int64]

#: A callback that gets (words done, total words).
Progress = Callable[[int, int], None]

_WORD = 64
_ALL = np.uint64(2**64 - 1)


class Columns(Protocol):
    """Rows of packed bits that are read in blocks of columns."""

    @property
    def rows(self) -> int:
        """L, the number of rows."""

    @property
    def words(self) -> int:
        """W, the number of words of a row."""

    def read(self, start: int, stop: int, out: Words) -> None:
        """Fill `out`, uint64 [L, stop − start], with the words from `start` to `stop` (exclusive) of each row.

        The rows of `out` may be strided. Several threads call this method at the same time.
        """


class ArrayColumns:
    """Rows of an array in memory, or of a memory map.

    Args:
        array: uint64 [L, W], any strides.
    """

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
        """Copy the words from `start` to `stop` (exclusive) of all rows into `out`."""
        out[...] = self.array[:, start:stop]


class PairedColumns:
    """Rows of two arrays in memory: all rows of the first array, followed by all rows of the second array."""

    def __init__(self, first: Words, second: Words) -> None:
        self._sets = (ArrayColumns(first), ArrayColumns(second))
        self.rows = len(first) + len(second)
        self.words = _checks.same_words(first, second)

    def read(self, start: int, stop: int, out: Words) -> None:
        """Copy the words from `start` to `stop` (exclusive) of all rows of both arrays into `out`."""
        first, second = self._sets
        first.read(start, stop, out[: first.rows])
        second.read(start, stop, out[first.rows :])


@dataclass(frozen=True)
class Segment:
    """A range of bits, from `start` to `stop` (exclusive) in every row, whose counts are added to one group.

    The bounds need not be multiples of 64.
    """

    start: int
    stop: int
    group: int = 0


@dataclass(frozen=True)
class Part:
    """A part of a segment: whole words, or some bits of a single word.

    Attributes:
        start: Index of the first word.
        stop: Index of the word after the last word.
        group: Index of the group to which the counts are added.
        mask: The bits of a single word to count; None for all bits.
    """

    start: int
    stop: int
    group: int
    mask: np.uint64 | None = None


def parts_of(columns: Columns, segments: Sequence[Segment] | None, groups: int) -> list[Part]:
    """Split segments at word boundaries into whole words and single masked words.

    Args:
        columns: The rows.
        segments: Ranges of bits; None for all bits in group 0.
        groups: The number of groups.

    Raises:
        ValueError: A segment is outside of the rows, or its group is not one of `groups`.
    """
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    bits = columns.words * _WORD
    parts: list[Part] = []
    for segment in [Segment(0, bits)] if segments is None else segments:
        if not 0 <= segment.start <= segment.stop <= bits:
            raise ValueError(f"bits {segment.start} up to {segment.stop} are not within rows of {bits} bits")
        if not 0 <= segment.group < groups:
            raise ValueError(f"group {segment.group} is not one of {groups}")
        parts.extend(_split_at_words(segment))
    return parts


def _split_at_words(segment: Segment) -> list[Part]:
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
