"""Overlap counts estimated from a sample of the parameters, with their standard errors.

Each layer is divided into blocks of adjacent parameters, and adjacent blocks form zones. Two blocks of each zone are
drawn. This is a stratified cluster sample with two clusters in each stratum (Cochran, Sampling Techniques, 1977,
chapters 5A and 9A; Kish, Survey Sampling, 1965, chapter 4). Adjacent parameters are similar. Stratification by zones
therefore removes most of the variance between tensors, and between the rows of a weight matrix. The remaining variance
is estimated from the difference of the two drawn blocks of each zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, pairwise
from math import ceil
from typing import Final

import numpy as np

from xsns_kernels.columns import Columns, Segment
from xsns_stream.errors import UsageError
from xsns_stream.similarity.count import split_progress
from xsns_stream.similarity.row_counts import open_rectangle
from xsns_stream.similarity.selection import Incomplete, Progress, RowSource, Selection, only, select
from xsns_stream.similarity.streaming import Picked, cross_intersections, intersections
from xsns_stream.types import WORD_BITS, Counts, ParameterLayout, SampledOverlaps, words_for

#: Number of blocks of a layer, which determines the standard error.
BLOCKS_PER_LAYER: Final = 1000
#: Smallest and largest size of a block in words.
LEAST_WORDS: Final = 16
MOST_WORDS: Final = 1024
# Bytes of memory for the counts of the blocks that are counted together.
_BATCH_BYTES: Final = 16 * 2**20

Range = tuple[int, int]
Parts = tuple[Counts, Counts, Counts]


def sample_overlaps(
    store: RowSource,
    fraction: float,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seed: int | None = None,
    density: float | None = None,
    sample_seed: int = 0,
    on_progress: Progress | None = None,
) -> SampledOverlaps:
    """Estimate |A ∩ B| for pairs of languages from a sample of the parameters.

    If 150 blocks or more are drawn, about 94 of 100 intervals of ±1.96 standard errors contain the true value. If fewer
    blocks are drawn, fewer intervals contain it, because the standard error is less certain.

    Args:
        store: The store of the rows; only the drawn blocks are read.
        fraction: The fraction of the parameters to read, in (0, 1]. At least two blocks of every layer are read. If
            the fraction is 1, all parameters are read and the result is exact.
        languages: The languages to compare with one another; see :func:`xsns_stream.similarity.count_overlaps`.
        sources: Instead of `languages`: the languages to compare with `targets`.
        targets: Instead of `languages`: the languages to compare with `sources`.
        seed: The seed of the rows; it may be omitted if the store has only one seed.
        density: The density; it may be omitted if the store has only one density.
        sample_seed: Seed for drawing the blocks. Different seeds of rows get different blocks.
        on_progress: Called with (words done, total words).

    Raises:
        UsageError: The fraction is out of range; see also `count_overlaps`.
        LanguageError, StoreError: See `count_overlaps`. The cardinalities of rows are not compared with their records.
    """
    seed = only("seed", store.seeds) if seed is None else seed
    return sample_overlaps_by_seed(
        store,
        fraction,
        languages=languages,
        sources=sources,
        targets=targets,
        seeds=(seed,),
        density=density,
        sample_seed=sample_seed,
        on_progress=on_progress,
    )[0]


def sample_overlaps_by_seed(
    store: RowSource,
    fraction: float,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    density: float | None = None,
    sample_seed: int = 0,
    on_progress: Progress | None = None,
    on_incomplete: Incomplete | None = None,
) -> tuple[SampledOverlaps, ...]:
    """Estimate |A ∩ B| for each seed, from a different sample of blocks for each. See :func:`sample_overlaps`.

    Languages that lack a seed are left out, as in :func:`xsns_stream.similarity.count_overlaps_by_seed`.
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
    return sample_selection(store, selection, fraction, sample_seed=sample_seed, on_progress=on_progress)


def sample_selection(
    store: RowSource,
    selection: Selection,
    fraction: float,
    *,
    sample_seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[SampledOverlaps, ...]:
    """Estimate |A ∩ B| for the pairs of a selection, once for each seed; see :func:`sample_overlaps_by_seed`."""
    if not 0 < fraction <= 1:
        raise UsageError(f"the sampled fraction of the parameters must be in (0, 1], not {fraction}.")
    passes = split_progress(store, on_progress, len(selection.seeds))
    return tuple(
        _sample(store, selection, seed, draw_blocks(store.layout, fraction, (sample_seed, seed)), progress)
        for seed, progress in zip(selection.seeds, passes, strict=True)
    )


@dataclass(frozen=True)
class Zone:
    """Adjacent blocks of one layer.

    Attributes:
        blocks: The two drawn blocks, or all blocks if the zone has at most two. Blocks are ranges of words, in
            ascending order.
        total: The number of blocks in the zone.
    """

    blocks: tuple[Range, ...]
    total: int

    @property
    def words(self) -> int:
        """The number of words in the drawn blocks."""
        return sum(stop - start for start, stop in self.blocks)


def draw_blocks(layout: ParameterLayout, fraction: float, entropy: Sequence[int]) -> tuple[Zone, ...]:
    """Draw two blocks of each zone of a layout, together about the fraction `fraction` of its parameters.

    `entropy` seeds the random numbers: equal integers give equal blocks.

    A word that two layers share belongs to the later layer.
    """
    draw = np.random.Generator(np.random.PCG64(list(entropy)))
    bounds = [*(layer.start // WORD_BITS for layer in layout.layers), words_for(layout.size)]
    zones = []
    for start, stop in zip([0, *bounds[1:]], bounds[1:], strict=False):
        step = min(MOST_WORDS, max(LEAST_WORDS, (stop - start) // BLOCKS_PER_LAYER))
        blocks = [(first, min(first + step, stop)) for first in range(start, stop, step)]
        # A layer has no block if the next layer begins in the same word.
        parts = ceil(fraction * len(blocks) / 2)
        for part in range(parts):
            zone = range(part * len(blocks) // parts, (part + 1) * len(blocks) // parts)
            chosen = np.sort(draw.choice(zone, min(2, len(zone)), replace=False)).tolist()
            zones.append(Zone(tuple(blocks[i] for i in chosen), len(zone)))
    return tuple(zones)


def _sample(
    store: RowSource, selection: Selection, seed: int, zones: Sequence[Zone], on_progress: Progress | None
) -> SampledOverlaps:
    sources = selection.sources
    targets = sources if selection.targets is None else selection.targets
    split = None if selection.targets is None else len(sources)
    estimate = _Estimate(len(sources), len(targets))
    total, done = sum(zone.words for zone in zones), 0
    at_once = max(1, _BATCH_BYTES // (16 * len(sources) * len(targets)))
    with open_rectangle(store, selection, seed) as (columns, order):
        for first in range(0, len(zones), at_once):
            batch = zones[first : first + at_once]
            blocks = [block for zone in batch for block in zone.blocks]
            estimate.add(batch, _count_blocks(columns, blocks, split, order))
            done += sum(zone.words for zone in batch)
            if on_progress is not None:
                on_progress(done, total)
    return SampledOverlaps(
        sources,
        targets,
        *estimate.totals,
        estimate.covariance,
        store.layout.size,
        total / words_for(store.layout.size),
        seed,
        selection.density,
    )


def _count_blocks(columns: Columns, blocks: Sequence[Range], split: int | None, order: Sequence[int]) -> Parts:
    """Return |A ∩ B| [G, S, T], |A| [G, S] and |B| [G, T] within each of G blocks, as int64.

    If `split` is None, all pairs of rows are counted. Otherwise, the rows before `split` are the sources, and `order`
    has the index of each target among the rows from `split` on.
    """
    picked = Picked(columns, blocks)
    bits = [WORD_BITS * offset for offset in picked.offsets]
    segments = [Segment(*pair, group) for group, pair in enumerate(pairwise(bits))]
    if split is None:
        counts = intersections(picked, segments, len(blocks))
        sizes = np.ascontiguousarray(np.diagonal(counts, axis1=1, axis2=2))
        return counts, sizes, sizes
    counts, sizes = cross_intersections(picked, split, segments, len(blocks))
    return counts[:, :, order], sizes[:, :split], sizes[:, split:][:, order]


class _Estimate:
    """Estimates of |A ∩ B| [S, T], |A| [S] and |B| [T] over all zones, and their covariance [3, 3, S, T].

    Let a zone have N blocks, and let x and y be two of these counts, with values x₁, y₁ in the first drawn block and
    x₂, y₂ in the second. Then the estimate of a total is N (x₁ + x₂) / 2, and the estimate of the covariance of two
    totals is N (N − 2) (x₁ − x₂) (y₁ − y₂) / 4.
    """

    def __init__(self, sources: int, targets: int) -> None:
        self.totals = np.zeros((sources, targets)), np.zeros(sources), np.zeros(targets)
        self.covariance = np.zeros((3, 3, sources, targets))

    def add(self, zones: Sequence[Zone], parts: Parts) -> None:
        """Add `parts`, the counts of the drawn blocks of these zones, in the order of the zones."""
        drawn = [len(zone.blocks) for zone in zones]
        expansion = np.array([zone.total / len(zone.blocks) for zone in zones for _ in zone.blocks])
        for total, part in zip(self.totals, parts, strict=True):
            np.add(total, np.tensordot(expansion, part, 1), out=total)
        partly = [i for i, zone in enumerate(zones) if zone.total > len(zone.blocks)]
        first = np.cumsum([0, *drawn])[partly]
        weight = np.array([zones[i].total * (zones[i].total - 2) / 4 for i in partly])
        apart = [part[first].astype(np.float64) - part[first + 1] for part in parts]
        axes = ("zst", "zs", "zt")
        for i, j in combinations_with_replacement(range(3), 2):
            # |A| has one value for each source, and |B| one for each target.
            out_axes = "".join(axis for axis in "st" if axis in axes[i] + axes[j])
            term = np.einsum(f"z,{axes[i]},{axes[j]}->{out_axes}", weight, apart[i], apart[j])
            self.covariance[i, j] += term[:, None] if out_axes == "s" else term
        for i, j in ((1, 0), (2, 0), (2, 1)):
            self.covariance[i, j] = self.covariance[j, i]
