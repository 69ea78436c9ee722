"""Overlap counts estimated from a sample of the parameters, with their standard errors.

Each layer is cut into blocks of neighbouring parameters, and the blocks into zones of neighbours; of every zone two
blocks are drawn. That is a cluster sample in strata with two clusters each (Cochran, Sampling Techniques, 1977,
chapters 5A and 9A; Kish, Survey Sampling, 1965, chapter 4): neighbours are alike, so that zones take out most of what
differs between tensors and rows of a matrix, and the two blocks of a zone tell how much is left.
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
from xsns_stream.similarity.count import by_turns
from xsns_stream.similarity.selection import Incomplete, Pairs, Picked, Progress, RowSource, ask, only
from xsns_stream.similarity.streaming import cross_intersections, intersections, open_rectangle
from xsns_stream.types import WORD_BITS, Counts, ParameterLayout, SampledOverlaps, words_for

#: A layer has about this many blocks: what matters for the error is their number. Between these sizes, in words.
BLOCKS_A_LAYER: Final = 1000
LEAST_WORDS: Final = 16
MOST_WORDS: Final = 1024
# Memory for the counts of the blocks that are counted at once.
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
    """Estimate |A ∩ B| for pairs of languages from a part of the parameters.

    The truth lies within 1.96 standard errors of about 94 in 100 estimates from 150 blocks or more, and of fewer where
    less is read: a standard error from 40 blocks is itself uncertain.

    Args:
        store: Where the rows are; only the blocks that are drawn are read.
        fraction: The part, in (0, 1]. Of every layer at least two blocks are read; with 1 all are, and the result is
            exact.
        languages: As for :func:`xsns_stream.similarity.count_overlaps`, and so are `sources` and `targets`.
        sources: See there.
        targets: See there.
        seed: May be left out where there is a single one.
        density: May be left out where there is a single one.
        sample_seed: Of the draw of the blocks, which differs from seed to seed.
        on_progress: Called with (words done, words in all).

    Raises:
        UsageError: A fraction out of range; otherwise as for `count_overlaps`.
        LanguageError, StoreError: As for `count_overlaps`. Rows are not compared with their records.
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
    """Estimate |A ∩ B| once for each seed, from blocks that are drawn anew; see :func:`sample_overlaps`.

    Languages that lack a seed are left out, as by :func:`xsns_stream.similarity.count_overlaps_by_seed`.
    """
    if not 0 < fraction <= 1:
        raise UsageError(f"the part of the parameters to sample must lie in (0, 1], not {fraction}.")
    asked = ask(
        store,
        languages=languages,
        sources=sources,
        targets=targets,
        seeds=seeds,
        density=density,
        on_incomplete=on_incomplete,
    )
    return tuple(
        _sample(store, asked.pairs, seed, asked.density, draw_blocks(store.layout, fraction, (sample_seed, seed)), turn)
        for seed, turn in zip(asked.seeds, by_turns(store, on_progress, len(asked.seeds)), strict=True)
    )


@dataclass(frozen=True)
class Zone:
    """Neighbouring blocks of one layer.

    Attributes:
        blocks: The two that were drawn, or all where there are no more: ranges of words, ascending.
        of: How many blocks the zone has.
    """

    blocks: tuple[Range, ...]
    of: int

    @property
    def words(self) -> int:
        """Words of the blocks that were drawn."""
        return sum(stop - start for start, stop in self.blocks)


def draw_blocks(layout: ParameterLayout, fraction: float, entropy: Sequence[int]) -> tuple[Zone, ...]:
    """Draw two blocks of each zone, the same for the same entropy.

    A word that two layers share belongs to the later one.
    """
    draw = np.random.Generator(np.random.PCG64(list(entropy)))
    bounds = [*(layer.start // WORD_BITS for layer in layout.layers), words_for(layout.size)]
    zones = []
    for start, stop in zip([0, *bounds[1:]], bounds[1:], strict=False):
        step = min(MOST_WORDS, max(LEAST_WORDS, (stop - start) // BLOCKS_A_LAYER))
        blocks = [(first, min(first + step, stop)) for first in range(start, stop, step)]
        # A layer within a word that the next one begins in has no block of its own.
        parts = ceil(fraction * len(blocks) / 2)
        for part in range(parts):
            zone = range(part * len(blocks) // parts, (part + 1) * len(blocks) // parts)
            chosen = np.sort(draw.choice(zone, min(2, len(zone)), replace=False)).tolist()
            zones.append(Zone(tuple(blocks[i] for i in chosen), len(zone)))
    return tuple(zones)


def _sample(
    store: RowSource,
    pairs: Pairs,
    seed: int,
    density: float,
    zones: Sequence[Zone],
    on_progress: Progress | None,
) -> SampledOverlaps:
    targets = pairs.sources if pairs.targets is None else pairs.targets
    split = None if pairs.targets is None else len(pairs.sources)
    estimate = _Estimate(len(pairs.sources), len(targets))
    total, done = sum(zone.words for zone in zones), 0
    at_once = max(1, _BATCH_BYTES // (16 * len(pairs.sources) * len(targets)))
    with open_rectangle(store, pairs, seed, density) as (columns, order):
        for first in range(0, len(zones), at_once):
            batch = zones[first : first + at_once]
            estimate.add(
                batch, _count_blocks(columns, [block for zone in batch for block in zone.blocks], split, order)
            )
            done += sum(zone.words for zone in batch)
            if on_progress is not None:
                on_progress(done, total)
    return SampledOverlaps(
        pairs.sources,
        targets,
        *estimate.totals,
        estimate.covariance,
        store.layout.size,
        total / words_for(store.layout.size),
        seed,
        density,
    )


def _count_blocks(columns: Columns, blocks: Sequence[Range], split: int | None, order: Sequence[int]) -> Parts:
    """Count within each block: int64 [G, S, T], and cardinalities [G, S] and [G, T]."""
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

    Of a zone of N blocks with x₁, y₁ and x₂, y₂ in those drawn, the totals are estimated as N (x₁ + x₂) / 2, and the
    covariance of two totals as N (N − 2) (x₁ − x₂) (y₁ − y₂) / 4.
    """

    def __init__(self, sources: int, targets: int) -> None:
        self.totals = np.zeros((sources, targets)), np.zeros(sources), np.zeros(targets)
        self.covariance = np.zeros((3, 3, sources, targets))

    def add(self, zones: Sequence[Zone], parts: Parts) -> None:
        """Add the blocks of some zones, one after another."""
        drawn = [len(zone.blocks) for zone in zones]
        expansion = np.array([zone.of / len(zone.blocks) for zone in zones for _ in zone.blocks])
        for total, part in zip(self.totals, parts, strict=True):
            np.add(total, np.tensordot(expansion, part, 1), out=total)
        partly = [i for i, zone in enumerate(zones) if zone.of > len(zone.blocks)]
        first = np.cumsum([0, *drawn])[partly]
        weight = np.array([zones[i].of * (zones[i].of - 2) / 4 for i in partly])
        apart = [part[first].astype(np.float64) - part[first + 1] for part in parts]
        axes = ("zst", "zs", "zt")
        for i, j in combinations_with_replacement(range(3), 2):
            # Of |A| alone there is one value for each source, of |B| one for each target.
            kept = "".join(axis for axis in "st" if axis in axes[i] + axes[j])
            term = np.einsum(f"z,{axes[i]},{axes[j]}->{kept}", weight, apart[i], apart[j])
            self.covariance[i, j] += term[:, None] if kept == "s" else term
        for i, j in ((1, 0), (2, 0), (2, 1)):
            self.covariance[i, j] = self.covariance[j, i]
