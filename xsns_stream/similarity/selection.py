"""Selection of the rows that are compared, and the sources that they are read from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol, TypeVar

from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.languages import near_misses
from xsns_stream.types import CachedOverlaps, Counts, ParameterLayout, Words

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns


#: Called with (words done, words in all) after each block.
Progress = Callable[[int, int], None]

#: Called with a language that is left out and the seeds that it lacks.
Incomplete = Callable[[str, tuple[int, ...]], None]

_Label = TypeVar("_Label", int, float)
_T = TypeVar("_T")


class RowSource(Protocol):
    """Where packed sub-networks come from: a store, or anything that behaves like one."""

    @property
    def layout(self) -> ParameterLayout:
        """Which bit is which parameter."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds for which there is at least one row."""

    @property
    def densities(self) -> tuple[float, ...]:
        """Densities for which there is at least one row."""

    def languages_at(self, seed: int, density: float) -> tuple[str, ...]:
        """Languages that have a row for this seed and density."""

    def cardinalities(self, languages: Sequence[str], seed: int, density: float) -> Counts:
        """|A| of each row as it was when written: int64 [n]."""

    def columns(self, languages: Sequence[str], seed: int, density: float) -> AbstractContextManager[Columns]:
        """Open the rows of these languages, in this order, to be read a block of columns at a time."""


class OverlapCache(Protocol):
    """Where counts are kept from one comparison to the next."""

    def digests(self, languages: Sequence[str], seed: int, density: float) -> tuple[str, ...]:
        """SHA-256 of each language's row as it is now."""

    def load(self, seed: int, density: float) -> CachedOverlaps | None:
        """Return what was kept; None where that is nothing, or nothing that can be read."""

    def save(self, kept: CachedOverlaps) -> None:
        """Keep these counts in the place of those before them, if they can be kept at all."""


@dataclass(frozen=True)
class Pairs:
    """The languages that are compared.

    Attributes:
        sources: Rows of the result.
        targets: Its columns; None where all sources are compared with one another.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...] | None = None

    @property
    def every(self) -> tuple[str, ...]:
        """Each language once, sources first."""
        return tuple(dict.fromkeys((*self.sources, *(self.targets or ()))))


@dataclass(frozen=True)
class Asked:
    """What is compared, at which density and for which seeds."""

    pairs: Pairs
    seeds: tuple[int, ...]
    density: float


def ask(
    store: RowSource,
    *,
    languages: Sequence[str] | None,
    sources: Sequence[str] | None,
    targets: Sequence[str] | None,
    seeds: Sequence[int] | None,
    density: float | None,
    on_incomplete: Incomplete | None = None,
) -> Asked:
    """Fill in what was left out, and check that there is a row for everything.

    Raises:
        UsageError: Density left out, and there are several; a language or seed named twice; `languages` beside
            `sources` or `targets`.
        LanguageError: A language was asked for that lacks a seed.
        StoreError: No language has every seed.
    """
    if languages is not None and (sources is not None or targets is not None):
        raise UsageError(
            "languages were named, and sources or targets too.",
            "name languages to compare all with one another, or sources and targets to compare these with those.",
        )
    density = only("density", store.densities) if density is None else density
    wanted = _distinct(store.seeds if seeds is None else seeds)
    by_seed = {seed: store.languages_at(seed, density) for seed in wanted}
    rectangle = sources is not None or targets is not None
    first, second = (sources, targets) if rectangle else (languages, ())
    if first is None or second is None:
        complete = _complete(by_seed, on_incomplete)
        if not complete:
            raise StoreError(_nothing(wanted, density), "build what is missing, or choose fewer seeds.")
        first = complete if first is None else first
        second = complete if second is None else second
    pairs = Pairs(_distinct(first), _distinct(second) if rectangle else None)
    for seed, there in by_seed.items():
        require(pairs.sources, there, f"seed {seed} and density {density!r}")
        if pairs.targets is not None:
            require(pairs.targets, there, f"seed {seed} and density {density!r}")
    return Asked(pairs, wanted, density)


def only(name: str, values: tuple[_Label, ...]) -> _Label:
    """Return the one seed or density of a store.

    Raises:
        StoreError: There is none.
        UsageError: There are several.
    """
    if not values:
        raise StoreError("there is no sub-network to compare.", "build some first.")
    if len(values) > 1:
        plural = "densities" if name == "density" else f"{name}s"
        raise UsageError(
            f"there are {len(values)} {plural}, and none was chosen.",
            f"choose one of {', '.join(map(repr, values))}"
            + (", or compare every seed and average." if name == "seed" else "."),
        )
    return values[0]


def require(languages: tuple[str, ...], there: Sequence[str], where: str) -> None:
    """Check that there is a row of every language.

    Raises:
        LanguageError: A language has none; near misses are suggested.
        StoreError: No language at all.
    """
    if not languages:
        raise StoreError(f"there is no sub-network to compare for {where}.", "build some first.")
    missing = [code for code in languages if code not in there]
    if missing:
        near = near_misses(missing[0], there)
        raise LanguageError(
            f"no sub-network of {', '.join(map(repr, missing))} for {where}.",
            f"did you mean {' or '.join(map(repr, near))}?" if near else "build what is missing, or leave it out.",
        )


def _nothing(seeds: Sequence[int], density: float) -> str:
    if len(seeds) == 1:
        return f"there is no sub-network to compare for seed {seeds[0]} and density {density!r}."
    return f"no language has a sub-network for every seed of {list(seeds)} at density {density!r}."


def _complete(by_seed: Mapping[int, Sequence[str]], on_incomplete: Incomplete | None) -> tuple[str, ...]:
    """Return the languages that every seed has, and report the others."""
    known = sorted({code for there in by_seed.values() for code in there})
    lacking = {code: tuple(seed for seed in by_seed if code not in by_seed[seed]) for code in known}
    for code, seeds in lacking.items():
        if seeds and on_incomplete is not None:
            on_incomplete(code, seeds)
    return tuple(code for code in known if not lacking[code])


def _distinct(values: Sequence[_T]) -> tuple[_T, ...]:
    twice = sorted({str(value) for value in values if list(values).count(value) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} was asked for twice.", "name each once.")
    return tuple(values)


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
