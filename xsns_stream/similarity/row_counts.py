"""Counts of the bits of several rows: all pairs, sources with targets, or the bits that all rows have in common.

A count runs over blocks of columns, and the counts of two ranges of columns add up to the count of both. A count can
therefore be made in this process (:class:`CountedHere`) or range by range on several machines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from xsns_stream.similarity.groups import Groups
from xsns_stream.similarity.selection import Progress, RowSource, Selection
from xsns_stream.similarity.streaming import (
    Repeated,
    WithCommon,
    check_cardinalities,
    cross_intersections,
    intersections,
)
from xsns_stream.types import Counts

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns, Segment


@dataclass(frozen=True)
class Device:
    """What counts.

    Attributes:
        name: `cpu`, or another device of torch.
        threads: Number of threads on a CPU; None for one for each core.
    """

    name: str = "cpu"
    threads: int | None = None


class RowCount(Protocol):
    """A count of the bits of some rows."""

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the rows; each row is read once."""

    @property
    def pairs(self) -> int:
        """The number of pairs of rows that are compared."""

    def count(
        self,
        columns: Columns,
        segments: Sequence[Segment] | None,
        groups: int,
        on_progress: Progress | None = None,
        device: Device = Device(),
    ) -> tuple[Counts, ...]:
        """Count the bits of opened rows; the first axis of each result is the group."""


@dataclass(frozen=True)
class AllPairs:
    """Common bits of all pairs of rows: int64 [G, L, L]."""

    languages: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """The number of pairs of rows that are compared, with those of a row with itself."""
        return len(self.languages) * (len(self.languages) + 1) // 2

    def count(
        self,
        columns: Columns,
        segments: Sequence[Segment] | None,
        groups: int,
        on_progress: Progress | None = None,
        device: Device = Device(),
    ) -> tuple[Counts, ...]:
        """Count the bits of opened rows."""
        return (intersections(columns, segments, groups, on_progress, device.name, device.threads),)


@dataclass(frozen=True)
class TwoSides:
    """Common bits of each row with each row of another side, [G, S, T], and cardinalities of all rows, [G, S + T].

    Attributes:
        languages: The sources, then the targets that are not sources.
        again: Positions of the sources that are also targets; they are the last targets.
        split: S, the number of sources.
    """

    languages: tuple[str, ...]
    again: tuple[int, ...]
    split: int

    @classmethod
    def of(cls, selection: Selection) -> tuple[TwoSides, list[int]]:
        """Return the count of a selection, and the position of each of its targets among the counted targets."""
        sources = {code: i for i, code in enumerate(selection.sources)}
        targets = selection.targets or ()
        fresh = [code for code in targets if code not in sources]
        again = [code for code in targets if code in sources]
        position = {code: i for i, code in enumerate((*fresh, *again))}
        both = cls((*selection.sources, *fresh), tuple(sources[code] for code in again), len(sources))
        return both, [position[code] for code in targets]

    @property
    def pairs(self) -> int:
        """The number of pairs of rows that are compared."""
        return self.split * (len(self.languages) + len(self.again) - self.split)

    def view(self, columns: Columns) -> Columns:
        """Return the rows of both sides."""
        return Repeated(columns, self.again) if self.again else columns

    def count(
        self,
        columns: Columns,
        segments: Sequence[Segment] | None,
        groups: int,
        on_progress: Progress | None = None,
        device: Device = Device(),
    ) -> tuple[Counts, ...]:
        """Count the bits of opened rows."""
        both = self.view(columns)
        return cross_intersections(both, self.split, segments, groups, on_progress, device.name, device.threads)


@dataclass(frozen=True)
class CommonAndUnited:
    """Bits of each row, bits that are in all rows, and bits that are in any row: int64 [G, L + 2]."""

    languages: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """The number of rows, because each row is combined with the others once."""
        return len(self.languages)

    def count(
        self,
        columns: Columns,
        segments: Sequence[Segment] | None,
        groups: int,
        on_progress: Progress | None = None,
        device: Device = Device(),
    ) -> tuple[Counts, ...]:
        """Count the bits of opened rows."""
        rows = WithCommon(columns)
        return cross_intersections(rows, 0, segments, groups, on_progress, device.name, device.threads)[1:]


class RowCounter(Protocol):
    """A place where rows of a store are counted."""

    def count(
        self,
        store: RowSource,
        rows: RowCount,
        seed: int,
        density: float,
        groups: Groups | None = None,
        on_progress: Progress | None = None,
    ) -> tuple[Counts, ...]:
        """Count the bits of some rows; one group if no groups are given.

        Raises:
            StoreError: A row cannot be read.
        """


@dataclass(frozen=True)
class CountedHere:
    """Counts that are made in this process.

    Attributes:
        device: The device that counts.
    """

    device: Device = Device()

    def count(
        self,
        store: RowSource,
        rows: RowCount,
        seed: int,
        density: float,
        groups: Groups | None = None,
        on_progress: Progress | None = None,
    ) -> tuple[Counts, ...]:
        """Count the bits of some rows."""
        with store.columns(rows.languages, seed, density) as columns:
            segments, number = (groups.segments, len(groups.names)) if groups else (None, 1)
            return rows.count(columns, segments, number, on_progress, self.device)


def count_square(
    store: RowSource,
    selection: Selection,
    seed: int,
    groups: Groups | None = None,
    on_progress: Progress | None = None,
    counter: RowCounter | None = None,
) -> Counts:
    """Count all pairs of the sources: int64 [G, L, L], with one group if no groups are given.

    Raises:
        StoreError: The number of bits of a row has changed since it was written, or a row cannot be read.
    """
    (counts,) = (counter or CountedHere()).count(
        store, AllPairs(selection.sources), seed, selection.density, groups, on_progress
    )
    check_cardinalities(store, selection.sources, counts.sum(axis=0).diagonal(), seed, selection.density)
    return counts


def count_rectangle(
    store: RowSource,
    selection: Selection,
    seed: int,
    groups: Groups | None = None,
    on_progress: Progress | None = None,
    counter: RowCounter | None = None,
) -> tuple[Counts, Counts, Counts]:
    """Count each source with each target, reading every row once.

    Returns:
        Intersections int64 [G, S, T], cardinalities of the sources int64 [G, S] and of the targets int64 [G, T].

    Raises:
        StoreError: The number of bits of a row has changed since it was written, or a row cannot be read.
    """
    both, order = TwoSides.of(selection)
    counts, sizes = (counter or CountedHere()).count(store, both, seed, selection.density, groups, on_progress)
    sources, targets = sizes[:, : both.split], sizes[:, both.split :][:, order]
    check_cardinalities(store, selection.sources, sources.sum(axis=0), seed, selection.density)
    check_cardinalities(store, selection.targets or (), targets.sum(axis=0), seed, selection.density)
    return counts[:, :, order], sources, targets


def count_common(
    store: RowSource,
    selection: Selection,
    seed: int,
    groups: Groups,
    on_progress: Progress | None = None,
    counter: RowCounter | None = None,
) -> tuple[Counts, Counts]:
    """Count the parameters that all sub-networks contain, and those that at least one contains, in each group.

    Returns:
        Two arrays int64 [G].

    Raises:
        StoreError: The number of bits of a row has changed since it was written, or a row cannot be read.
    """
    rows = CommonAndUnited(selection.sources)
    (sizes,) = (counter or CountedHere()).count(store, rows, seed, selection.density, groups, on_progress)
    check_cardinalities(store, selection.sources, sizes[:, :-2].sum(axis=0), seed, selection.density)
    return sizes[:, -2], sizes[:, -1]


@contextmanager
def open_rectangle(store: RowSource, selection: Selection, seed: int) -> Iterator[tuple[Columns, list[int]]]:
    """Open the sources, then the targets, so that each row is read once.

    Yields:
        The columns, and the position of each target among the rows after the sources. Targets that are also sources are
        copies at the end.
    """
    both, order = TwoSides.of(selection)
    with store.columns(both.languages, seed, selection.density) as rows:
        yield both.view(rows), order
