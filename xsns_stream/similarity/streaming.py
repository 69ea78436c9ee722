"""Streaming of rows in blocks of columns, which all comparisons of rows use.

Memory use does not grow with the size of the model. Cardinalities are counted again and compared with the commit
records.
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
    """Count the common bits of all pairs of rows: int64 [G, L, L].

    Args:
        columns: The rows.
        segments: Ranges of bits, each with the index of its group; None if all bits are in one group.
        groups: G, the number of groups.
        on_progress: Called with (words done, total words) after each block.
        device: `cpu`, or another device of torch.
        threads: Number of threads on a CPU; if None, one thread for each core.

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
    """Count the common bits of each row before `split` and each row from `split` on.

    The results are the counts, int64 [G, S, T], and the cardinalities of all rows, int64 [G, S + T].

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
    """Turn errors of torch, whose messages are long, into errors of one sentence.

    A build of torch without CUDA raises an AssertionError.
    """
    try:
        yield
    except (ImportError, RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"overlaps cannot be counted on the device '{device}': {reason}.", "omit --device to use the CPU."
        ) from error


def check_cardinalities(store: RowSource, languages: Sequence[str], counted: Counts, seed: int, density: float) -> None:
    """Check that the cardinality of each row equals the cardinality in the commit record of the row.

    `counted`, int64 [n], are the cardinalities that were counted while the rows of `languages` were compared.

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
            f"rows have changed since they were committed: {', '.join(wrong)}.",
            "run `xsns-stream verify` on the store.",
        )


# --------------------------------------------------------------------------------------- views of columns


class Repeated:
    """Rows followed by copies of some of them; each row is read once.

    The kernels compare the rows before a split with the rows after it. The row of a language that is both a source and
    a target must therefore be on both sides of the split.
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
        """Read the columns from `start` to `stop` into `out`, and copy the repeated rows."""
        distinct = self._columns.rows
        self._columns.read(start, stop, out[:distinct])
        for row, original in enumerate(self._again, start=distinct):
            out[row] = out[original]


class WithCommon:
    """Rows, followed by two computed rows: the intersection and the union of all rows."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    @property
    def rows(self) -> int:
        """The number of rows, including the two computed rows."""
        return self._columns.rows + 2

    @property
    def words(self) -> int:
        """W, the number of words of a row."""
        return self._columns.words

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read the columns from `start` to `stop` into `out`, and compute their intersection and union."""
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
        """Read the columns from `start` to `stop` of every source into `out`."""
        for source in self._sources:
            source.read(start, stop, out[: source.rows])
            out = out[source.rows :]


class Picked:
    """A view that contains only some ranges of words of every row, one range after another."""

    def __init__(self, columns: Columns, ranges: Sequence[tuple[int, int]]) -> None:
        self._columns = columns
        self._ranges = list(ranges)
        #: The position of the first word of each range in this view; the last entry is the number of words of the view.
        self.offsets = [0, *accumulate(stop - start for start, stop in self._ranges)]

    @property
    def rows(self) -> int:
        """The number of rows; the view has the same rows as its source."""
        return self._columns.rows

    @property
    def words(self) -> int:
        """The total number of words in all ranges."""
        return self.offsets[-1]

    def read(self, start: int, stop: int, out: Words) -> None:
        """Read the columns from `start` to `stop` of this view into `out`, range by range."""
        index = bisect_right(self.offsets, start) - 1
        while start < stop:
            within = start - self.offsets[index]
            end = min(stop, self.offsets[index + 1])
            first = self._ranges[index][0] + within
            part, out = out[:, : end - start], out[:, end - start :]
            self._columns.read(first, first + end - start, part)
            index, start = index + 1, end
