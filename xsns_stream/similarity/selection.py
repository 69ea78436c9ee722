"""Selection of the rows of a comparison, and the interfaces of a source of rows and of a cache of counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.languages import near_misses
from xsns_stream.types import CachedOverlaps, Counts, ParameterLayout

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns


#: A callback that gets (words done, total words) after each block.
Progress = Callable[[int, int], None]

#: A callback that gets a language that is left out and the seeds that it lacks.
Incomplete = Callable[[str, tuple[int, ...]], None]

_Label = TypeVar("_Label", int, float)
_T = TypeVar("_T")


class RowSource(Protocol):
    """A source of packed sub-networks: a store, or an object with the same methods."""

    @property
    def layout(self) -> ParameterLayout:
        """The layout, which assigns a parameter to each bit."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds with at least one row."""

    @property
    def densities(self) -> tuple[float, ...]:
        """The densities with at least one row."""

    def languages_at(self, seed: int, density: float) -> tuple[str, ...]:
        """Return the languages that have a row for this seed and density."""

    def cardinalities(self, languages: Sequence[str], seed: int, density: float) -> Counts:
        """Return |A| of each row, as it was recorded when the row was written: int64 [n]."""

    def columns(self, languages: Sequence[str], seed: int, density: float) -> AbstractContextManager[Columns]:
        """Open the rows of these languages, in this order, for reading in blocks of columns."""


class OverlapCache(Protocol):
    """A cache that keeps overlap counts between comparisons."""

    def digests(self, languages: Sequence[str], seed: int, density: float) -> tuple[str, ...]:
        """Return the SHA-256 of the present row of each language."""

    def load(self, seed: int, density: float) -> CachedOverlaps | None:
        """Return the cached counts of this seed and density; None if there are no readable counts."""

    def save(self, overlaps: CachedOverlaps) -> None:
        """Replace the cached counts by `overlaps`; do nothing if the cache is not writable."""


@dataclass(frozen=True)
class Selection:
    """The rows of a comparison.

    Attributes:
        sources: The languages of the rows of the similarity matrix.
        targets: The languages of its columns; None if all sources are compared with one another.
        seeds: The seeds; the rows are compared once for each of them.
        density: The density of all rows.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...] | None
    seeds: tuple[int, ...]
    density: float

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages of the selection, each once, sources first."""
        return tuple(dict.fromkeys((*self.sources, *(self.targets or ()))))


def select(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    density: float | None = None,
    on_incomplete: Incomplete | None = None,
) -> Selection:
    """Return the selection of a comparison, after checking that the store has all its rows.

    Args:
        store: The store.
        languages: The languages to compare with one another; by default all languages that have every seed.
        sources: Instead of `languages`: the languages to compare with `targets`.
        targets: Instead of `languages`: the languages to compare with `sources`.
        seeds: The seeds; all by default.
        density: The density; it may be omitted if the store has only one density.
        on_incomplete: Called with each language that is left out and the seeds that it lacks.

    Raises:
        UsageError: The density is omitted, and the store has several; a language or seed is given twice; `languages`
            are given together with `sources` or `targets`.
        LanguageError: A named language lacks a seed.
        StoreError: No language has every seed.
    """
    if languages is not None and (sources is not None or targets is not None):
        raise UsageError(
            "languages cannot be combined with sources or targets.",
            "give languages to compare all of them with one another, or sources and targets to compare sources with "
            "targets.",
        )
    density = only("density", store.densities) if density is None else density
    wanted = _distinct(store.seeds if seeds is None else seeds)
    by_seed = {seed: store.languages_at(seed, density) for seed in wanted}
    rectangle = sources is not None or targets is not None
    first, second = (sources, targets) if rectangle else (languages, ())
    if first is None or second is None:
        complete = _complete(by_seed, on_incomplete)
        if not complete:
            raise StoreError(_nothing_to_compare(wanted, density), "build the missing rows, or choose fewer seeds.")
        first = complete if first is None else first
        second = complete if second is None else second
    selection = Selection(_distinct(first), _distinct(second) if rectangle else None, wanted, density)
    for seed, there in by_seed.items():
        require(selection.sources, there, f"seed {seed} and density {density!r}")
        if selection.targets is not None:
            require(selection.targets, there, f"seed {seed} and density {density!r}")
    return selection


def only(name: str, values: tuple[_Label, ...]) -> _Label:
    """Return the only element of `values`, which are the seeds or the densities of a store.

    `name`, which is `seed` or `density`, is used in the message of an error.

    Raises:
        StoreError: The store has no seed or density.
        UsageError: The store has several seeds or densities.
    """
    if not values:
        raise StoreError("there is no sub-network to compare.", "build some first.")
    if len(values) > 1:
        plural = "densities" if name == "density" else f"{name}s"
        raise UsageError(
            f"there are {len(values)} {plural}, and none was chosen.",
            f"choose one of {', '.join(map(repr, values))}"
            + (", or average over all seeds." if name == "seed" else "."),
        )
    return values[0]


def require(languages: tuple[str, ...], there: Sequence[str], where: str) -> None:
    """Check that every language is in `there`, the languages that have a row.

    `where` names the seed and the density of the rows in the message of an error.

    Raises:
        LanguageError: A language has no row; similar codes are suggested.
        StoreError: `languages` is empty.
    """
    if not languages:
        raise StoreError(f"there is no sub-network to compare for {where}.", "build some first.")
    missing = [code for code in languages if code not in there]
    if missing:
        near = near_misses(missing[0], there)
        raise LanguageError(
            f"there is no sub-network of {', '.join(map(repr, missing))} for {where}.",
            f"did you mean {' or '.join(map(repr, near))}?" if near else "build the missing row, or omit the language.",
        )


def _nothing_to_compare(seeds: Sequence[int], density: float) -> str:
    if len(seeds) == 1:
        return f"there is no sub-network to compare for seed {seeds[0]} and density {density!r}."
    return f"no language has a sub-network for every seed of {list(seeds)} at density {density!r}."


def _complete(by_seed: Mapping[int, Sequence[str]], on_incomplete: Incomplete | None) -> tuple[str, ...]:
    """Return the languages that have every seed, and call `on_incomplete` for each language that lacks a seed.

    `by_seed` is {seed: the languages with a row for this seed}.
    """
    known = sorted({code for there in by_seed.values() for code in there})
    lacking = {code: tuple(seed for seed in by_seed if code not in by_seed[seed]) for code in known}
    for code, seeds in lacking.items():
        if seeds and on_incomplete is not None:
            on_incomplete(code, seeds)
    return tuple(code for code in known if not lacking[code])


def _distinct(values: Sequence[_T]) -> tuple[_T, ...]:
    twice = sorted({str(value) for value in values if list(values).count(value) > 1})
    if twice:
        raise UsageError(
            f"{', '.join(twice)} {'was' if len(twice) == 1 else 'were'} given twice.", "give each value once."
        )
    return tuple(values)
