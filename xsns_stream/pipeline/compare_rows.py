"""Similarity matrices of selected rows of a store, by a coefficient of pairs or by a correction.

A correction needs the similarities of all languages of a pool. If languages are compared with one another, they are the
pool. If sources are compared with targets, the pool is all languages of the store that have every seed, so that a pair
has the same value for every choice of sources and targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.pipeline.events import Noted, OnReadEvent, progress_of
from xsns_stream.pipeline.row_selection import select_rows

if TYPE_CHECKING:
    from xsns_stream.similarity import By, OverlapCache, Selection
    from xsns_stream.similarity.row_counts import RowCounter
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import GroupedSimilarity, Reals, SimilarityMatrix


def compare_rows(
    rows: SubNetworkStore,
    selection: Selection,
    coefficient: str,
    on_event: OnReadEvent,
    *,
    cache: OverlapCache | None = None,
    device: str = "cpu",
    counter: RowCounter | None = None,
) -> SimilarityMatrix:
    """Return the similarities of the rows of a selection; a correction is computed within its pool.

    Args:
        rows: The store.
        selection: The rows of the result.
        coefficient: Name of a coefficient or of a correction.
        on_event: Handler of progress and notes.
        cache: A cache of counts; see :func:`xsns_stream.similarity.count_selection`.
        device: Device on which overlaps are counted in this process.
        counter: Counter of the rows; by default they are counted in this process.

    Raises:
        UsageError: There is no such coefficient, or no language has the split-half similarity that it needs.
        StoreError: A row cannot be read.
    """
    from xsns_stream.similarity import count_selection, similarity

    pool = pool_of(rows, selection, coefficient, on_event)
    halves = _split_half_for(rows, selection, pool, coefficient, on_event)
    progress = progress_of("comparing", on_event)
    counts = count_selection(rows, pool, cache=cache, device=device, on_progress=progress, counter=counter)
    matrix = similarity(counts, coefficient, halves)
    return matrix if pool is selection else matrix.between(selection.sources, selection.targets or selection.sources)


def compare_groups(
    rows: SubNetworkStore,
    selection: Selection,
    coefficient: str,
    by: By,
    on_event: OnReadEvent,
    *,
    device: str = "cpu",
    counter: RowCounter | None = None,
) -> GroupedSimilarity:
    """Return the similarities of the rows of a selection within each group of parameters.

    The arguments and errors are those of :func:`compare_rows`; `by` is the kind of the groups.
    """
    from xsns_stream.similarity import count_groups, similarity_by_group
    from xsns_stream.types import GroupedOverlaps

    pool = pool_of(rows, selection, coefficient, on_event)
    progress = progress_of("comparing", on_event)
    counts = count_groups(rows, pool, by, device=device, on_progress=progress, counter=counter)
    whole = similarity_by_group(counts, coefficient)
    if pool is selection:
        return whole
    sides = selection.sources, selection.targets or selection.sources
    chosen = [GroupedOverlaps(one.by, one.names, tuple(table.between(*sides) for _, table in one)) for one in counts]
    # The shares of the groups are those of the selected languages, not those of the pool.
    return replace(similarity_by_group(chosen), matrices=tuple(one.between(*sides) for one in whole.matrices))


def pool_of(rows: SubNetworkStore, selection: Selection, coefficient: str, on_event: OnReadEvent) -> Selection:
    """Return the rows that must be counted to compare a selection by a coefficient.

    They are the rows of the selection or, if the coefficient is a correction, the rows of its pool.
    """
    from xsns_stream.similarity import CORRECTIONS

    if coefficient not in CORRECTIONS or selection.targets is None:
        return selection
    if not CORRECTIONS[coefficient].depends_on_pool:
        return replace(selection, sources=selection.languages, targets=None)
    return select_rows(rows, seeds=selection.seeds, density=selection.density, on_event=on_event)


def _split_half_for(
    rows: SubNetworkStore, selection: Selection, pool: Selection, coefficient: str, on_event: OnReadEvent
) -> Reals | None:
    """Return the split-half similarities of the pool, float64 [R, L]; None if the coefficient does not need them.

    A note names the selected languages that have no split-half similarity.

    Raises:
        UsageError: No selected language has a split-half similarity.
    """
    from xsns_stream.similarity import CORRECTIONS

    if coefficient not in CORRECTIONS or not CORRECTIONS[coefficient].needs_split_half:
        return None
    halves = split_half_of(rows, pool.sources, selection.seeds, selection.density)
    known = {code for code, values in zip(pool.sources, halves.T, strict=True) if (values > 0).all()}
    lacking = [code for code in selection.languages if code not in known]
    if len(lacking) == len(selection.languages):
        raise UsageError(
            f"'{coefficient}' needs the split-half similarity of every language, and none was measured.",
            "build with --parts 8, which also adds it to rows that are in the store; or choose another coefficient.",
        )
    if lacking:
        on_event(
            Noted(
                f"'{coefficient}' is undefined for languages without a split-half similarity for every seed, which "
                f"`build --parts 8` measures: {', '.join(lacking)}."
            )
        )
    return halves


def split_half_of(rows: SubNetworkStore, languages: Sequence[str], seeds: Sequence[int], density: float) -> Reals:
    """Return the split-half similarities of languages, float64 [R, L] for R seeds; NaN where it was not measured."""

    def half(language: str, seed: int) -> float:
        measured = rows.reliability(rows.record(language, seed, density)).get("split_half")
        return float("nan") if measured is None else float(measured)

    return np.array([[half(language, seed) for language in languages] for seed in seeds])
