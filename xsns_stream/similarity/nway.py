"""Intersection and union of the sub-networks of several languages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from xsns_stream.similarity.groups import By, groups_of
from xsns_stream.similarity.selection import Progress, RowSource, only, select
from xsns_stream.similarity.streaming import check_cardinalities, intersections
from xsns_stream.types import ParameterSet, words_for

# Bytes of memory for one block of columns of all languages.
_BLOCK_BYTES: Final = 16 * 2**20


def count_by_group(bits: ParameterSet, by: By = "layer") -> dict[str, int]:
    """Return {name of a group: number of its parameters that are in the set `bits`}.

    `by` is `layer`, `module` or `tensor`: the kind of the groups.
    """
    from xsns_kernels.columns import ArrayColumns

    groups = groups_of(bits.layout, by)
    counts = intersections(ArrayColumns(bits.bits[None]), groups.segments, len(groups.names))
    return dict(zip(groups.names, counts[:, 0, 0].tolist(), strict=True))


def common(
    store: RowSource,
    languages: Sequence[str] | None = None,
    *,
    seed: int | None = None,
    density: float | None = None,
    on_progress: Progress | None = None,
) -> ParameterSet:
    """Return the intersection of the sub-networks of several languages.

    Args:
        store: The store of the rows, which are read in blocks of columns.
        languages: The languages; by default all languages with a row for this seed and density.
        seed: The seed; it may be omitted if the store has only one seed.
        density: The density; it may be omitted if the store has only one density.
        on_progress: Called with (words done, total words) after each block.

    Returns:
        The set `store["sw"] & store["zu"] & …`. Only the result is in memory as a whole.

    Raises:
        UsageError, LanguageError, StoreError: See :func:`xsns_stream.similarity.count_overlaps`.
    """
    return _combine(store, languages, seed, density, np.bitwise_and, on_progress)


def united(
    store: RowSource,
    languages: Sequence[str] | None = None,
    *,
    seed: int | None = None,
    density: float | None = None,
    on_progress: Progress | None = None,
) -> ParameterSet:
    """Return the union of the sub-networks of several languages.

    The arguments and errors are those of :func:`common`.
    """
    return _combine(store, languages, seed, density, np.bitwise_or, on_progress)


def _combine(
    store: RowSource,
    languages: Sequence[str] | None,
    seed: int | None,
    density: float | None,
    operation: np.ufunc,
    on_progress: Progress | None,
) -> ParameterSet:
    seed = only("seed", store.seeds) if seed is None else seed
    selection = select(store, languages=languages, seeds=(seed,), density=density)
    chosen, words = selection.sources, words_for(store.layout.size)
    bits, sizes = np.empty(words, np.uint64), np.zeros(len(chosen), np.int64)
    step = max(1, _BLOCK_BYTES // (8 * len(chosen)))
    space = np.empty((len(chosen), min(step, words)), np.uint64)
    with store.columns(chosen, seed, selection.density) as columns:
        for start in range(0, words, step):
            stop = min(start + step, words)
            block = space[:, : stop - start]
            columns.read(start, stop, block)
            operation.reduce(block, axis=0, out=bits[start:stop])
            sizes += np.bitwise_count(block).sum(axis=1, dtype=np.int64)
            if on_progress is not None:
                on_progress(stop, words)
    check_cardinalities(store, chosen, sizes, seed, selection.density)
    return ParameterSet(bits, store.layout)
