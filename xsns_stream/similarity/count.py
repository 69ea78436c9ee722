"""Packed sub-networks → overlap counts: of all pairs, of sources with targets, of groups of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from xsns_stream.similarity.cache import counted_square, kept_rectangle
from xsns_stream.similarity.groups import By, Groups, groups_of
from xsns_stream.similarity.selection import Asked, Incomplete, OverlapCache, Pairs, Progress, RowSource, ask, only
from xsns_stream.similarity.streaming import count_rectangle, count_square
from xsns_stream.types import GroupedOverlaps, OverlapCounts, OverlapRectangle, Overlaps, words_for

_Result = Overlaps | GroupedOverlaps


@overload
def count_overlaps(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    seed: int | None = None,
    density: float | None = None,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> OverlapCounts: ...


@overload
def count_overlaps(
    store: RowSource,
    *,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seed: int | None = None,
    density: float | None = None,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> OverlapRectangle: ...


@overload
def count_overlaps(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    by: By,
    seed: int | None = None,
    density: float | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> GroupedOverlaps: ...


def count_overlaps(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    by: By | None = None,
    seed: int | None = None,
    density: float | None = None,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> _Result:
    """Count |A ∩ B| for pairs of languages, for one seed and one density.

    Args:
        store: Where the rows are.
        languages: Which are compared with one another, and in which order; all that have a row for this seed and
            density where left out.
        sources: Instead of `languages`: which are compared with `targets`; all where only the targets are named.
        targets: All where only the sources are named.
        by: Count the parameters of each `layer`, kind of `module` or `tensor` by themselves.
        seed: May be left out where there is a single one.
        density: May be left out where there is a single one.
        cache: Where counts are kept, as :func:`xsns_stream.store.overlap_cache.overlap_cache` gives; rows that were
            counted before are not read again. Nothing is kept where left out, nor are counts of groups.
        device: `cpu`, or another that torch knows, as `cuda`; needs torch.
        on_progress: Called with (words done, words in all) after each block.

    Returns:
        :class:`OverlapCounts` of all pairs; :class:`OverlapRectangle` where sources or targets are named; one of
        them for each group, as :class:`GroupedOverlaps`, with `by`.

    Raises:
        UsageError: Seed or density left out, and there are several; a language named twice; languages beside
            sources or targets; a device that is not there.
        LanguageError: A language that has no row.
        StoreError: No row at all, or a row that has no longer as many bits as when it was written.
    """
    seed = only("seed", store.seeds) if seed is None else seed
    asked = ask(store, languages=languages, sources=sources, targets=targets, seeds=(seed,), density=density)
    return _count_all(store, asked, by, cache, device, on_progress)[0]


@overload
def count_overlaps_by_seed(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    density: float | None = None,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
    on_incomplete: Incomplete | None = None,
) -> tuple[OverlapCounts, ...]: ...


@overload
def count_overlaps_by_seed(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    density: float | None = None,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
    on_incomplete: Incomplete | None = None,
) -> tuple[Overlaps, ...]: ...


@overload
def count_overlaps_by_seed(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    by: By,
    seeds: Sequence[int] | None = None,
    density: float | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
    on_incomplete: Incomplete | None = None,
) -> tuple[GroupedOverlaps, ...]: ...


def count_overlaps_by_seed(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    by: By | None = None,
    seeds: Sequence[int] | None = None,
    density: float | None = None,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
    on_incomplete: Incomplete | None = None,
) -> tuple[_Result, ...]:
    """Count |A ∩ B| for pairs of languages, once for each seed.

    Only languages that have every seed are compared, so that an average over seeds is over all of them.

    Args:
        store: Where the rows are.
        languages: As for :func:`count_overlaps`, and so are `sources`, `targets`, `by` and `cache`.
        sources: Those that have every seed where left out.
        targets: Those that have every seed where left out.
        by: What the parameters are grouped by.
        seeds: Which, and in which order; all where left out.
        density: May be left out where there is a single one.
        cache: Where counts are kept.
        device: Where they are made.
        on_progress: Called with (words done, words in all), over all seeds, after each block.
        on_incomplete: Called for each language that is left out, with the seeds that it lacks.

    Returns:
        One table for each seed, or one for each group of each seed; all have the same languages in the same order.

    Raises:
        UsageError, LanguageError, StoreError: As :func:`count_overlaps`; or no language has every seed.
    """
    asked = ask(
        store,
        languages=languages,
        sources=sources,
        targets=targets,
        seeds=seeds,
        density=density,
        on_incomplete=on_incomplete,
    )
    return _count_all(store, asked, by, cache, device, on_progress)


def _count_all(
    store: RowSource,
    asked: Asked,
    by: By | None,
    cache: OverlapCache | None,
    device: str,
    on_progress: Progress | None,
) -> tuple[_Result, ...]:
    groups = None if by is None else groups_of(store.layout, by)
    return tuple(
        _count(store, asked.pairs, seed, asked.density, cache, device, progress)
        if groups is None
        else _count_groups(store, asked.pairs, seed, asked.density, groups, device, progress)
        for seed, progress in zip(asked.seeds, by_turns(store, on_progress, len(asked.seeds)), strict=True)
    )


def _count(
    store: RowSource,
    pairs: Pairs,
    seed: int,
    density: float,
    cache: OverlapCache | None,
    device: str,
    on_progress: Progress | None,
) -> Overlaps:
    if pairs.targets is None:
        if cache is not None:
            return counted_square(store, pairs.sources, seed, density, cache, on_progress, device)
        counts = count_square(store, pairs.sources, seed, density, None, on_progress, device)[0]
        return OverlapCounts(pairs.sources, counts, store.layout.size, seed, density)
    kept = None if cache is None else kept_rectangle(store, pairs, seed, density, cache, on_progress)
    if kept is not None:
        return kept
    counts, sources, targets = (c[0] for c in count_rectangle(store, pairs, seed, density, None, on_progress, device))
    return OverlapRectangle(pairs.sources, pairs.targets, counts, sources, targets, store.layout.size, seed, density)


def _count_groups(
    store: RowSource, pairs: Pairs, seed: int, density: float, groups: Groups, device: str, on_progress: Progress | None
) -> GroupedOverlaps:
    tables: tuple[Overlaps, ...]
    if pairs.targets is None:
        squares = count_square(store, pairs.sources, seed, density, groups, on_progress, device)
        tables = tuple(
            OverlapCounts(pairs.sources, counts, size, seed, density)
            for counts, size in zip(squares, groups.sizes, strict=True)
        )
    else:
        parts = count_rectangle(store, pairs, seed, density, groups, on_progress, device)
        tables = tuple(
            OverlapRectangle(pairs.sources, pairs.targets, counts, sources, targets, size, seed, density)
            for counts, sources, targets, size in zip(*parts, groups.sizes, strict=True)
        )
    return GroupedOverlaps(groups.by, groups.names, tables)


def by_turns(store: RowSource, on_progress: Progress | None, turns: int) -> list[Progress | None]:
    """Return what each of several passes reports to, so that it looks like one."""
    if on_progress is None:
        return [None] * turns
    words = words_for(store.layout.size)

    def shifted(before: int) -> Progress:
        return lambda done, all_of_it: on_progress(before + done * words // max(all_of_it, 1), turns * words)

    return [shifted(turn * words) for turn in range(turns)]
