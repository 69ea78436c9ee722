"""Streaming of rows in blocks of columns; all comparisons of rows use this module.

Memory use does not grow with the model. The counted cardinalities are compared with the recorded ones.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.similarity.selection import Progress, RowSource
from xsns_stream.types import Counts, Words

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns, Segment


def intersections(
    columns: Columns,
    segments: Sequence[Segment] | None,
    groups: int,
    on_progress: Progress | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Counts:
    """Count all pairs of rows: int64 [G, L, L].

    Args:
        columns: The rows.
        segments: Ranges of bits with the group of each; None for all bits in one group.
        groups: G, the number of groups.
        on_progress: Called with (words done, total words) after each block.
        device: `cpu`, or another device of torch.
        threads: Number of threads on a CPU; None for one for each core.

    Raises:
        UsageError: The device does not exist.
    """
    if device == "cpu":
        from xsns_kernels import stream_intersections

        return stream_intersections(columns, segments=segments, groups=groups, threads=threads, on_progress=on_progress)
    with _device_errors(device):
        from xsns_kernels.device_overlap import stream_intersections_on

        return stream_intersections_on(columns, device, segments=segments, groups=groups, on_progress=on_progress)


def cross_intersections(
    columns: Columns,
    split: int,
    segments: Sequence[Segment] | None,
    groups: int,
    on_progress: Progress | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> tuple[Counts, Counts]:
    """Count the rows before `split` with those after it: int64 [G, S, T], and cardinalities int64 [G, S + T].

    The other arguments are those of :func:`intersections`.

    Raises:
        UsageError: The device does not exist.
    """
    if device == "cpu":
        from xsns_kernels import stream_cross_intersections

        return stream_cross_intersections(
            columns, split, segments=segments, groups=groups, threads=threads, on_progress=on_progress
        )
    with _device_errors(device):
        from xsns_kernels.device_overlap import stream_cross_intersections_on

        return stream_cross_intersections_on(
            columns, split, device, segments=segments, groups=groups, on_progress=on_progress
        )


@contextmanager
def _device_errors(device: str) -> Iterator[None]:
    """Turn the long messages of torch into one sentence; torch without CUDA raises an AssertionError."""
    try:
        yield
    except (ImportError, RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"overlaps cannot be counted on the device '{device}': {reason}.", "omit --device to use the CPU."
        ) from error


def check_cardinalities(store: RowSource, languages: Sequence[str], counted: Counts, seed: int, density: float) -> None:
    """Compare the counted cardinalities of rows with the recorded ones, to find damage without another pass.

    Raises:
        StoreError: A row has a wrong cardinality.
    """
    recorded = store.cardinalities(languages, seed, density)
    wrong = [
        f"'{code}' has {now} bits instead of {then}"
        for code, now, then in zip(languages, counted.tolist(), np.asarray(recorded).tolist(), strict=True)
        if now != then
    ]
    if wrong:
        raise StoreError(
            f"rows have changed since they were committed: {', '.join(wrong)}.", "run verify on the store."
        )


# --------------------------------------------------------------------------------------- views of columns


class Repeated:
    """Rows followed by copies of some of them; each row is read once.

    The kernels count rows before a split with rows after it, so that a language that is both a source and a target must
    be on both sides.
    """

    def __init__(self, columns: Columns, again: Sequence[int]) -> None:
        self._columns = columns
        self._again = list(again)

    @property
    def rows(self) -> int:
        """The number of rows, including the copies."""
        return self._columns.rows + len(self._again)

    @property
    def words(self) -> int:
        """W, the number of words of a row."""
        return self._columns.words

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read a block of columns, and copy the repeated rows."""
        distinct = self._columns.rows
        self._columns.read(start, stop, out[:distinct])
        for row, original in enumerate(self._again, start=distinct):
            out[row] = out[original]


class WithCommon:
    """Rows followed by two more: the bits that are in all of them, and the bits that are in any of them."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    @property
    def rows(self) -> int:
        """The number of rows, including the two."""
        return self._columns.rows + 2

    @property
    def words(self) -> int:
        """W, the number of words of a row."""
        return self._columns.words

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read a block of columns, and combine its rows."""
        rows = out[:-2]
        self._columns.read(start, stop, rows)
        np.bitwise_and.reduce(rows, axis=0, out=out[-2])
        np.bitwise_or.reduce(rows, axis=0, out=out[-1])


class Joined:
    """The rows of several sources, one source after another."""

    def __init__(self, sources: Sequence[Columns]) -> None:
        self._sources = list(sources)

    @property
    def rows(self) -> int:
        """The number of rows of all sources."""
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
    """Some ranges of the words of every row, one range after another."""

    def __init__(self, columns: Columns, ranges: Sequence[tuple[int, int]]) -> None:
        self._columns = columns
        self._ranges = list(ranges)
        #: The position of the first word of each range in this view, and the number of its words.
        self.offsets = [0, *accumulate(stop - start for start, stop in self._ranges)]

    @property
    def rows(self) -> int:
        """The number of rows, which is that of the source."""
        return self._columns.rows

    @property
    def words(self) -> int:
        """The number of words of all ranges together."""
        return self.offsets[-1]

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read a block of columns of this view, range by range."""
        number = bisect_right(self.offsets, start) - 1
        while start < stop:
            within = start - self.offsets[number]
            end = min(stop, self.offsets[number + 1])
            first = self._ranges[number][0] + within
            part, out = out[:, : end - start], out[:, end - start :]
            self._columns.read(first, first + end - start, part)
            number, start = number + 1, end
