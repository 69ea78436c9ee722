"""Rows seen another way: some of them twice, or some of their words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from xsns_stream.types import Words

if TYPE_CHECKING:
    from xsns_kernels.streams import Columns


class Repeated:
    """Rows of which some stand at the end once more; each is read once.

    A language that is both a source and a target has to be on both sides of the split that the kernels count over.
    """

    def __init__(self, columns: Columns, again: Sequence[int]) -> None:
        self._columns = columns
        self._again = list(again)

    @property
    def rows(self) -> int:
        """The rows, the repeated ones included."""
        return self._columns.rows + len(self._again)

    @property
    def words(self) -> int:
        """W, the number of words of a row."""
        return self._columns.words

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read a block of columns, and copy the rows that are there twice."""
        distinct = self._columns.rows
        self._columns.read(start, stop, out[:distinct])
        for row, original in enumerate(self._again, start=distinct):
            out[row] = out[original]


class Joined:
    """Rows of several sources, one after another."""

    def __init__(self, sources: Sequence[Columns]) -> None:
        self._sources = list(sources)

    @property
    def rows(self) -> int:
        """The rows of all sources."""
        return sum(source.rows for source in self._sources)

    @property
    def words(self) -> int:
        """W, the number of words of a row."""
        return self._sources[0].words

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read a block of columns of every source."""
        for source in self._sources:
            source.read(start, stop, out[: source.rows])
            out = out[source.rows :]


class Picked:
    """Some ranges of the words of every row, one after another."""

    def __init__(self, columns: Columns, ranges: Sequence[tuple[int, int]]) -> None:
        self._columns = columns
        self._ranges = list(ranges)
        #: Where each range begins in what is seen, and last where all end.
        self.offsets = [0, *accumulate(stop - start for start, stop in self._ranges)]

    @property
    def rows(self) -> int:
        """The rows, which are those of the source."""
        return self._columns.rows

    @property
    def words(self) -> int:
        """Words of all ranges together."""
        return self.offsets[-1]

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read a block of what is seen, range by range."""
        number = bisect_right(self.offsets, start) - 1
        while start < stop:
            within = start - self.offsets[number]
            end = min(stop, self.offsets[number + 1])
            first = self._ranges[number][0] + within
            part, out = out[:, : end - start], out[:, end - start :]
            self._columns.read(first, first + end - start, part)
            number, start = number + 1, end
