"""Overlap counts of packed sub-networks: for all pairs, for sources and targets, and for groups of parameters.

If a cache is used, only rows that are new or have changed are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict, Unpack, overload

import numpy as np

from xsns_stream.similarity.groups import By, Groups, groups_of
from xsns_stream.similarity.row_counts import CountedHere, Device, RowCounter, count_rectangle, count_square
from xsns_stream.similarity.selection import Incomplete, OverlapCache, Progress, RowSource, Selection, only, select
from xsns_stream.types import (
    CachedOverlaps,
    Counts,
    GroupedOverlaps,
    OverlapCounts,
    OverlapRectangle,
    Overlaps,
    words_for,
)

_Result = Overlaps | GroupedOverlaps


class _Sides(TypedDict, total=False):
    """Arguments that select the compared rows."""

    languages: Sequence[str] | None
    sources: Sequence[str] | None
    targets: Sequence[str] | None


class _Options(TypedDict, total=False):
    """Arguments that all overloads of the counting functions share."""

    density: float | None
    device: str
    on_progress: Progress | None


class _OneSeed(_Options, total=False):
    seed: int | None


class _CachedSeed(_OneSeed, total=False):
    cache: OverlapCache | None


class _Seeds(_Options, total=False):
    seeds: Sequence[int] | None
    on_incomplete: Incomplete | None


class _CachedSeeds(_Seeds, total=False):
    cache: OverlapCache | None


class _GroupsOfSeed(_OneSeed, _Sides, total=False):
    pass


class _GroupsOfSeeds(_Seeds, _Sides, total=False):
    pass


@overload
def count_overlaps(
    store: RowSource, *, languages: Sequence[str] | None = None, **options: Unpack[_CachedSeed]
) -> OverlapCounts: ...


@overload
def count_overlaps(
    store: RowSource,
    *,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    **options: Unpack[_CachedSeed],
) -> OverlapRectangle: ...


@overload
def count_overlaps(store: RowSource, *, by: By, **options: Unpack[_GroupsOfSeed]) -> GroupedOverlaps: ...


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
        store: The store of the rows.
        languages: The languages to compare with one another, in the order of the result; by default all languages with
            a row for this seed and density.
        sources: Instead of `languages`: the languages to compare with `targets`; all languages by default.
        targets: Instead of `languages`: the languages to compare with `sources`; all languages by default.
        by: `layer`, `module` or `tensor`: count the parameters of each layer, kind of module or tensor separately.
        seed: The seed; it may be omitted if the store has only one seed.
        density: The density; it may be omitted if the store has only one density.
        cache: A cache of counts from :func:`xsns_stream.store.overlap_cache.overlap_cache`. Rows that were counted
            before are not read again. Counts of groups are not cached.
        device: `cpu`, or another device of torch, such as `cuda`, which needs torch.
        on_progress: Called with (words done, total words) after each block.

    Returns:
        :class:`OverlapCounts` of all pairs, or :class:`OverlapRectangle` if sources or targets are given. With `by`,
        :class:`GroupedOverlaps`, which contains one of these tables for each group.

    Raises:
        UsageError: The seed or the density is omitted, and the store has several; a language is given twice;
            `languages` are given together with `sources` or `targets`; the device does not exist.
        LanguageError: A language has no row.
        StoreError: The store has no row to compare, or the number of bits of a row has changed since it was written.
    """
    seed = only("seed", store.seeds) if seed is None else seed
    selection = select(store, languages=languages, sources=sources, targets=targets, seeds=(seed,), density=density)
    return _count_all(store, selection, by, cache, device, on_progress)[0]


@overload
def count_overlaps_by_seed(
    store: RowSource, *, languages: Sequence[str] | None = None, **options: Unpack[_CachedSeeds]
) -> tuple[OverlapCounts, ...]: ...


@overload
def count_overlaps_by_seed(
    store: RowSource,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    **options: Unpack[_CachedSeeds],
) -> tuple[Overlaps, ...]: ...


@overload
def count_overlaps_by_seed(
    store: RowSource, *, by: By, **options: Unpack[_GroupsOfSeeds]
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

    Only languages that have every seed are compared. All averages are therefore over the same seeds.

    Args:
        store: The store of the rows.
        languages: The languages to compare with one another; by default all languages that have every seed.
        sources: See :func:`count_overlaps`; by default all languages that have every seed.
        targets: See :func:`count_overlaps`; by default all languages that have every seed.
        by: The grouping of the parameters: `layer`, `module` or `tensor`.
        seeds: The seeds, in the order of the result; all seeds by default.
        density: The density; it may be omitted if the store has only one density.
        cache: A cache of counts; see :func:`count_overlaps`.
        device: The device on which the counts are computed.
        on_progress: Called with (words done, total words), over all seeds, after each block.
        on_incomplete: Called with each language that is left out and the seeds that it lacks.

    Returns:
        One table for each seed, or one for each group of each seed; all have the same languages in the same order.

    Raises:
        UsageError, LanguageError, StoreError: See :func:`count_overlaps`; also if no language has every seed.
    """
    selection = select(
        store,
        languages=languages,
        sources=sources,
        targets=targets,
        seeds=seeds,
        density=density,
        on_incomplete=on_incomplete,
    )
    return _count_all(store, selection, by, cache, device, on_progress)


def _count_all(
    store: RowSource,
    selection: Selection,
    by: By | None,
    cache: OverlapCache | None,
    device: str,
    on_progress: Progress | None,
) -> tuple[_Result, ...]:
    if by is not None:
        return count_groups(store, selection, by, device=device, on_progress=on_progress)
    return count_selection(store, selection, cache=cache, device=device, on_progress=on_progress)


def count_selection(
    store: RowSource,
    selection: Selection,
    *,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    on_progress: Progress | None = None,
    counter: RowCounter | None = None,
) -> tuple[Overlaps, ...]:
    """Count |A ∩ B| for the pairs of a selection, once for each seed, as :func:`count_overlaps_by_seed` does.

    Args:
        store: The store of the rows.
        selection: The rows to compare.
        cache: A cache of counts; see :func:`count_overlaps`.
        device: The device on which the counts are computed in this process.
        on_progress: Called with (words done, total words), over all seeds, after each block.
        counter: The counter that counts the rows; by default they are counted in this process.
    """
    counter = counter or CountedHere(Device(device))
    passes = split_progress(store, on_progress, len(selection.seeds))
    return tuple(
        _count(store, selection, seed, cache, counter, progress)
        for seed, progress in zip(selection.seeds, passes, strict=True)
    )


def count_groups(
    store: RowSource,
    selection: Selection,
    by: By,
    *,
    device: str = "cpu",
    on_progress: Progress | None = None,
    counter: RowCounter | None = None,
) -> tuple[GroupedOverlaps, ...]:
    """Count |A ∩ B| within each group of parameters, once for each seed.

    `by` is `layer`, `module` or `tensor`. The other arguments are those of :func:`count_selection`.
    """
    counter = counter or CountedHere(Device(device))
    groups = groups_of(store.layout, by)
    passes = split_progress(store, on_progress, len(selection.seeds))
    return tuple(
        _count_groups(store, selection, seed, groups, counter, progress)
        for seed, progress in zip(selection.seeds, passes, strict=True)
    )


def _count(
    store: RowSource,
    selection: Selection,
    seed: int,
    cache: OverlapCache | None,
    counter: RowCounter,
    on_progress: Progress | None,
) -> Overlaps:
    size, density = store.layout.size, selection.density
    if selection.targets is None:
        if cache is not None:
            return _count_with_cache(store, selection, seed, cache, counter, on_progress)
        counts = count_square(store, selection, seed, None, on_progress, counter)[0]
        return OverlapCounts(selection.sources, counts, size, seed, density)
    cached = None if cache is None else _cached_rectangle(store, selection, seed, cache, on_progress)
    if cached is not None:
        return cached
    counts, sources, targets = (c[0] for c in count_rectangle(store, selection, seed, None, on_progress, counter))
    return OverlapRectangle(selection.sources, selection.targets, counts, sources, targets, size, seed, density)


def _count_groups(
    store: RowSource, selection: Selection, seed: int, groups: Groups, counter: RowCounter, on_progress: Progress | None
) -> GroupedOverlaps:
    density = selection.density
    tables: tuple[Overlaps, ...]
    if selection.targets is None:
        squares = count_square(store, selection, seed, groups, on_progress, counter)
        tables = tuple(
            OverlapCounts(selection.sources, counts, size, seed, density)
            for counts, size in zip(squares, groups.sizes, strict=True)
        )
    else:
        parts = count_rectangle(store, selection, seed, groups, on_progress, counter)
        tables = tuple(
            OverlapRectangle(selection.sources, selection.targets, counts, sources, targets, size, seed, density)
            for counts, sources, targets, size in zip(*parts, groups.sizes, strict=True)
        )
    return GroupedOverlaps(groups.by, groups.names, tables)


def split_progress(store: RowSource, on_progress: Progress | None, passes: int) -> list[Progress | None]:
    """Return a progress callback for each of several passes over the rows of a store.

    Together, the callbacks report to `on_progress` one continuous progress over all passes.
    """
    if on_progress is None:
        return [None] * passes
    words = words_for(store.layout.size)

    def shifted(before: int) -> Progress:
        return lambda done, total: on_progress(before + done * words // max(total, 1), passes * words)

    return [shifted(number * words) for number in range(passes)]


# ---------------------------------------------------------------------------------------- cached counts


def _count_with_cache(
    store: RowSource,
    selection: Selection,
    seed: int,
    cache: OverlapCache,
    counter: RowCounter,
    on_progress: Progress | None,
) -> OverlapCounts:
    """Return the counts of all pairs of the selected languages, and cache the counts.

    A language that is not in the cache, or whose row has changed, is compared with all others. If most languages are
    new, all pairs are counted again. Counts of fewer languages do not replace the counts of more languages in the
    cache.

    Raises:
        StoreError: The number of bits of a row has changed since it was written, or a row cannot be read.
    """
    languages, density = selection.sources, selection.density
    cached = cache.load(seed, density)
    digests = cache.digests(languages, seed, density)
    unchanged = _unchanged(cached, languages, digests)
    new = [code for code in languages if code not in unchanged]
    if cached is not None and not new:
        _report_done(store, on_progress)
        return cached.counts.among(languages)
    if cached is None or 2 * len(new) > len(languages):
        intersection = count_square(store, selection, seed, None, on_progress, counter)[0]
    else:
        intersection = _extended(store, cached.counts, selection, new, seed, counter, on_progress)
    counts = OverlapCounts(languages, intersection, store.layout.size, seed, density)
    if cached is None or len(languages) >= len(set(cached.languages) & set(store.languages_at(seed, density))):
        cache.save(CachedOverlaps(counts, digests))
    return counts


def _cached_rectangle(
    store: RowSource, selection: Selection, seed: int, cache: OverlapCache, on_progress: Progress | None
) -> OverlapRectangle | None:
    """Return the counts of sources and targets from the cache; None if a count is missing or a row has changed."""
    languages, cached = selection.languages, cache.load(seed, selection.density)
    # If a language is not in the cache, the rows of the other languages need not be read to compute their digests.
    if cached is None or not set(languages) <= set(cached.languages):
        return None
    digests = cache.digests(languages, seed, selection.density)
    if _unchanged(cached, languages, digests) != set(languages):
        return None
    _report_done(store, on_progress)
    return cached.counts.between(selection.sources, selection.targets or ())


def _unchanged(cached: CachedOverlaps | None, languages: Sequence[str], digests: Sequence[str]) -> set[str]:
    """Return the languages whose rows have not changed since they were cached.

    `digests` are the SHA-256 digests of the present rows of `languages`.
    """
    before = {} if cached is None else dict(zip(cached.languages, cached.digests, strict=True))
    return {code for code, digest in zip(languages, digests, strict=True) if before.get(code) == digest}


def _extended(
    store: RowSource,
    cached: OverlapCounts,
    selection: Selection,
    new: Sequence[str],
    seed: int,
    counter: RowCounter,
    on_progress: Progress | None,
) -> Counts:
    """Count the pairs that contain one of the languages in `new`, and take all other pairs from `cached`."""
    languages = selection.sources
    rectangle = replace(selection, sources=tuple(new), targets=languages)
    counted, _, _ = count_rectangle(store, rectangle, seed, None, on_progress, counter)
    position = {code: i for i, code in enumerate(languages)}
    rows, others = [position[code] for code in new], [position[code] for code in languages if code not in set(new)]
    out = np.empty((len(languages), len(languages)), np.int64)
    out[np.ix_(others, others)] = cached.among([languages[i] for i in others]).intersection
    out[rows] = counted[0]
    out[:, rows] = counted[0].T
    return out


def _report_done(store: RowSource, on_progress: Progress | None) -> None:
    if on_progress is not None:
        words = words_for(store.layout.size)
        on_progress(words, words)
