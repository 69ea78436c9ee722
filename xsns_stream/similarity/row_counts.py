"""Counts of common bits of rows: of all pairs, of sources and targets, or of all rows together.

Bits are counted block by block, where a block is a range of columns. The counts of two ranges of columns add up to the
count of both ranges. Bits can therefore be counted in this process (:class:`CountedHere`), or range by range on several
machines.
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
    """The device that counts bits.

    Attributes:
        name: `cpu`, or another device of torch.
        threads: Number of threads on a CPU; if None, one thread for each core.
    """

    name: str = "cpu"
    threads: int | None = None


class RowCount(Protocol):
    """A kind of count: which rows are read, and which of their common bits are counted."""

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
        """Count the bits of rows that are open for reading.

        Args:
            columns: The rows of `languages`, in this order.
            segments: Ranges of bits, each with the index of its group; None if all bits are in one group.
            groups: G, the number of groups.
            on_progress: Called with (words done, total words) after each block.
            device: The device that counts the bits.

        Returns:
            Arrays whose first axis is the group.
        """


@dataclass(frozen=True)
class AllPairs:
    """The count of the common bits of all pairs of rows: int64 [G, L, L]."""

    languages: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """The number of pairs of rows that are compared, including the pairs of each row and itself."""
        return len(self.languages) * (len(self.languages) + 1) // 2

    def count(
        self,
        columns: Columns,
        segments: Sequence[Segment] | None,
        groups: int,
        on_progress: Progress | None = None,
        device: Device = Device(),
    ) -> tuple[Counts, ...]:
        """Return the numbers of common bits of all pairs, in one array int64 [G, L, L].

        The arguments are those of :meth:`RowCount.count`.
        """
        return (intersections(columns, segments, groups, on_progress, device.name, device.threads),)


@dataclass(frozen=True)
class TwoSides:
    """The count of the common bits of each source and each target.

    The results are the counts [G, S, T] and the cardinalities of all rows [G, S + T].

    Attributes:
        languages: The sources, then the targets that are not sources.
        again: Positions of the sources that are also targets. Copies of these rows are the last rows of the targets.
        split: S, the number of sources.
    """

    languages: tuple[str, ...]
    again: tuple[int, ...]
    split: int

    @classmethod
    def of(cls, selection: Selection) -> tuple[TwoSides, list[int]]:
        """Return the count for a selection, and the index of each of its targets among the rows from `split` on."""
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
        """Return a view of `columns` at whose end the rows of languages that are sources and targets are repeated."""
        return Repeated(columns, self.again) if self.again else columns

    def count(
        self,
        columns: Columns,
        segments: Sequence[Segment] | None,
        groups: int,
        on_progress: Progress | None = None,
        device: Device = Device(),
    ) -> tuple[Counts, ...]:
        """Return the numbers of common bits, int64 [G, S, T], and the cardinalities of all rows, int64 [G, S + T].

        The arguments are those of :meth:`RowCount.count`.
        """
        both = self.view(columns)
        return cross_intersections(both, self.split, segments, groups, on_progress, device.name, device.threads)


@dataclass(frozen=True)
class CommonAndUnited:
    """The count of the bits of each row, of the intersection and of the union of all rows: int64 [G, L + 2]."""

    languages: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """The number of rows, which stands for the number of pairs, because each row is combined once."""
        return len(self.languages)

    def count(
        self,
        columns: Columns,
        segments: Sequence[Segment] | None,
        groups: int,
        on_progress: Progress | None = None,
        device: Device = Device(),
    ) -> tuple[Counts, ...]:
        """Return the numbers of bits of L rows, of their intersection and of their union, in an array int64 [G, L + 2].

        The arguments are those of :meth:`RowCount.count`.
        """
        rows = WithCommon(columns)
        return cross_intersections(rows, 0, segments, groups, on_progress, device.name, device.threads)[1:]


class RowCounter(Protocol):
    """A counter of the bits of rows of a store, which counts in this process or on workers."""

    def count(
        self,
        store: RowSource,
        rows: RowCount,
        seed: int,
        density: float,
        groups: Groups | None = None,
        on_progress: Progress | None = None,
    ) -> tuple[Counts, ...]:
        """Count the bits of the rows that `rows` names, and return what the method `count` of `rows` returns.

        If no groups are given, all bits are in one group.

        Raises:
            StoreError: A row cannot be read.
        """


@dataclass(frozen=True)
class CountedHere:
    """A counter that counts in this process.

    Attributes:
        device: The device that counts the bits.
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
        """Count the bits of the rows that `rows` names, in this process; see :meth:`RowCounter.count`."""
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
    """Count the common bits of all pairs of sources: int64 [G, L, L]; G = 1 if no groups are given.

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
    """Count the common bits of each source and each target; every row is read once.

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
        Two arrays int64 [G]: the numbers of parameters in all sub-networks, and in at least one sub-network.

    Raises:
        StoreError: The number of bits of a row has changed since it was written, or a row cannot be read.
    """
    rows = CommonAndUnited(selection.sources)
    (sizes,) = (counter or CountedHere()).count(store, rows, seed, selection.density, groups, on_progress)
    check_cardinalities(store, selection.sources, sizes[:, :-2].sum(axis=0), seed, selection.density)
    return sizes[:, -2], sizes[:, -1]


@contextmanager
def open_rectangle(store: RowSource, selection: Selection, seed: int) -> Iterator[tuple[Columns, list[int]]]:
    """Open the rows of the sources and the targets; each row is read once, also if it is a source and a target.

    Yields:
        The columns, whose rows are first the sources, then the other targets, and then copies of the sources that are
        also targets; and the index of each target among the rows after the sources.
    """
    both, order = TwoSides.of(selection)
    with store.columns(both.languages, seed, selection.density) as rows:
        yield both.view(rows), order
