"""Packed sub-networks → overlap counts → similarity.

Rows are streamed in blocks of columns, so that memory does not grow with the model: a block of every language
is read, its intersections are added to the counts, and it is dropped. Counts are integers to the last line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from xsns_stream.errors import IncompatibleError, LanguageError, StoreError, UsageError
from xsns_stream.languages import near_misses
from xsns_stream.types import (
    Counts,
    OverlapCounts,
    ParameterLayout,
    Reals,
    SimilarityMatrix,
    Words,
    words_for,
)

#: Memory for one block of columns of all languages; larger ones are not faster.
BLOCK_BYTES = 32 * 2**20

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

    def rows(self, languages: Sequence[str], seed: int, density: float, start: int, stop: int) -> Words:
        """Words `start` up to `stop` of each row: uint64 [n, stop − start]."""


def count_overlaps(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    seed: int | None = None,
    density: float | None = None,
    on_progress: Progress | None = None,
) -> OverlapCounts:
    """Count |A ∩ B| for all pairs of languages, for one seed and one density.

    Args:
        store: Where the rows are.
        languages: Which, and in which order; all that have a row for this seed and density where left out.
        seed: May be left out where there is a single one.
        density: May be left out where there is a single one.
        on_progress: Called with (words done, words in all) after each block.

    Raises:
        UsageError: Seed or density left out, and there are several; a language named twice.
        LanguageError: A language that has no row.
        StoreError: No row at all, or a row that has no longer as many bits as when it was written.
    """
    seed = _only("seed", store.seeds) if seed is None else seed
    density = _only("density", store.densities) if density is None else density
    there = store.languages_at(seed, density)
    chosen = _distinct(there if languages is None else languages)
    _require(chosen, there, f"seed {seed} and density {density!r}")
    return _count(store, chosen, seed, density, on_progress)


def count_overlaps_by_seed(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    density: float | None = None,
    on_progress: Progress | None = None,
    on_incomplete: Incomplete | None = None,
) -> tuple[OverlapCounts, ...]:
    """Count |A ∩ B| for all pairs of languages, once for each seed.

    Only languages that have every seed are compared, so that an average over seeds is over all of them.

    Args:
        store: Where the rows are.
        languages: Which, and in which order; all that have every seed where left out.
        seeds: Which, and in which order; all where left out.
        density: May be left out where there is a single one.
        on_progress: Called with (words done, words in all), over all seeds, after each block.
        on_incomplete: Called for each language that is left out, with the seeds that it lacks.

    Returns:
        One table for each seed; all have the same languages in the same order.

    Raises:
        UsageError: Density left out, and there are several; a language or seed named twice.
        LanguageError: A language was asked for that lacks a seed.
        StoreError: No language has every seed, or a row has no longer as many bits as when it was written.
    """
    density = _only("density", store.densities) if density is None else density
    wanted = _distinct(store.seeds if seeds is None else seeds)
    by_seed = {seed: store.languages_at(seed, density) for seed in wanted}
    if languages is None:
        chosen = _complete(by_seed, on_incomplete)
        if not chosen:
            raise StoreError(
                f"no language has a sub-network for every seed of {list(wanted)} at density {density!r}.",
                "build what is missing, or choose fewer seeds.",
            )
    else:
        chosen = _distinct(languages)
        for seed, there in by_seed.items():
            _require(chosen, there, f"seed {seed} and density {density!r}")
    words = words_for(store.layout.size)
    total = len(wanted) * words
    return tuple(
        _count(store, chosen, seed, density, _shifted(on_progress, turn * words, total))
        for turn, seed in enumerate(wanted)
    )


def jaccard(counts: OverlapCounts | Sequence[OverlapCounts]) -> SimilarityMatrix:
    """J(A, B) = |A ∩ B| / |A ∪ B|, averaged over seeds where there are several.

    The chance level of a pair is what independent random sub-networks of the same sizes give, with
    E|A ∩ B| = |A| |B| / P: chance = E|A ∩ B| / (|A| + |B| − E|A ∩ B|), averaged over seeds in the same way.
    Two empty sub-networks have no similarity: NaN, and so is the average over seeds of which one is NaN.

    Args:
        counts: One table, or one for each seed. Tables are joined by label, in the first one's order.

    Raises:
        UsageError: No table at all.
        IncompatibleError: The tables differ in languages, parameters or density, or share a seed.
    """
    tables = _aligned([counts] if isinstance(counts, OverlapCounts) else list(counts))
    languages = tables[0].languages
    per_seed = np.stack([_ratio(t.intersection.astype(np.float64), t.union.astype(np.float64)) for t in tables])
    return SimilarityMatrix(
        sources=languages,
        targets=languages,
        values=per_seed.mean(axis=0),
        coefficient="jaccard",
        chance=np.stack([_chance(table) for table in tables]).mean(axis=0),
        seeds=tuple(table.seed for table in tables),
        per_seed=per_seed,
    )


def _complete(by_seed: Mapping[int, Sequence[str]], on_incomplete: Incomplete | None) -> tuple[str, ...]:
    """Return the languages that every seed has, and report the others."""
    known = sorted({code for there in by_seed.values() for code in there})
    lacking = {code: tuple(seed for seed in by_seed if code not in by_seed[seed]) for code in known}
    for code, seeds in lacking.items():
        if seeds and on_incomplete is not None:
            on_incomplete(code, seeds)
    return tuple(code for code in known if not lacking[code])


def _count(
    store: RowSource, languages: tuple[str, ...], seed: int, density: float, on_progress: Progress | None
) -> OverlapCounts:
    """Stream blocks of columns through the kernel."""
    from xsns_kernels import accumulate_intersections

    words = words_for(store.layout.size)
    step = max(1, BLOCK_BYTES // (8 * len(languages)))
    intersection = np.zeros((len(languages), len(languages)), np.int64)
    for start in range(0, words, step):
        stop = min(start + step, words)
        accumulate_intersections(store.rows(languages, seed, density, start, stop), intersection)
        if on_progress is not None:
            on_progress(stop, words)
    _check_counts(languages, np.diagonal(intersection), store.cardinalities(languages, seed, density))
    return OverlapCounts(languages, intersection, store.layout.size, seed, density)


def _check_counts(languages: Sequence[str], counted: Counts, recorded: Counts) -> None:
    """A row that was damaged on the disk shows in its own count, at no cost."""
    wrong = [
        f"'{code}' has {now} bits instead of {then}"
        for code, now, then in zip(languages, counted.tolist(), recorded.tolist(), strict=True)
        if now != then
    ]
    if wrong:
        raise StoreError(
            f"rows have changed since they were committed: {', '.join(wrong)}.", "run verify on the store."
        )


def _shifted(on_progress: Progress | None, done_before: int, total: int) -> Progress | None:
    if on_progress is None:
        return None
    return lambda done, _: on_progress(done_before + done, total)


def _only(name: str, values: tuple[_Label, ...]) -> _Label:
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


def _distinct(values: Sequence[_T]) -> tuple[_T, ...]:
    twice = sorted({str(value) for value in values if list(values).count(value) > 1})
    if twice:
        raise UsageError(f"{', '.join(twice)} was asked for twice.", "name each once.")
    return tuple(values)


def _require(languages: tuple[str, ...], there: Sequence[str], where: str) -> None:
    if not languages:
        raise StoreError(f"there is no sub-network to compare for {where}.", "build some first.")
    missing = [code for code in languages if code not in there]
    if missing:
        near = near_misses(missing[0], there)
        raise LanguageError(
            f"no sub-network of {', '.join(map(repr, missing))} for {where}.",
            f"did you mean {' or '.join(map(repr, near))}?" if near else "build what is missing, or leave it out.",
        )


def _aligned(tables: list[OverlapCounts]) -> list[OverlapCounts]:
    """Return the tables in the order of the first one's labels, if they belong together."""
    if not tables:
        raise UsageError("there is nothing to compare: no table of counts.", "count overlaps first.")
    first = tables[0]
    for table in tables[1:]:
        for name, mine, yours in (
            ("languages", sorted(first.languages), sorted(table.languages)),
            ("size", first.size, table.size),
            ("density", first.density, table.density),
        ):
            if mine != yours:
                raise IncompatibleError(
                    f"counts of seeds {first.seed} and {table.seed} differ in {name}: {mine} and {yours}.",
                    "average over seeds of one experiment, for the same languages.",
                )
    if len({table.seed for table in tables}) != len(tables):
        raise IncompatibleError(
            f"a seed stands twice in {[table.seed for table in tables]}.", "give one table for each seed."
        )
    return [_reordered(table, first.languages) for table in tables]


def _reordered(table: OverlapCounts, languages: tuple[str, ...]) -> OverlapCounts:
    order = [table.languages.index(code) for code in languages]
    return OverlapCounts(languages, table.intersection[np.ix_(order, order)], table.size, table.seed, table.density)


def _chance(table: OverlapCounts) -> Reals:
    """float64 [L, L]: the Jaccard coefficient that sizes alone explain."""
    sizes = table.cardinality.astype(np.float64)
    # |A| |B| can pass 2^63 for models of billions of parameters; what is expected is no integer anyway.
    expected = sizes[:, None] * (sizes[None, :] / max(table.size, 1))
    return _ratio(expected, sizes[:, None] + sizes[None, :] - expected)


def _ratio(part: Reals, whole: Reals) -> Reals:
    """Return part / whole; NaN where both are zero."""
    with np.errstate(invalid="ignore"):
        ratio: Reals = part / whole
    return ratio
