"""Similarities with one fold of the examples left out, and the intervals that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.similarity.coefficients import coefficient_named
from xsns_stream.similarity.selection import Progress, RowSource, require
from xsns_stream.similarity.streaming import Joined, check_cardinalities, cross_intersections
from xsns_stream.types import Reals
from xsns_stream.types.similarity_matrix import SimilarityMatrix
from xsns_stream.types.source_ranking import FoldSimilarity, SimilarityDraws

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns


#: Rows that are open at once.
_AT_ONCE: Final = 256
#: Seeds that are enough for a standard deviation to mean something.
FEWEST_SEEDS: Final = 3
#: Draws: probabilities are shown in whole percents, and the error of one by half is 0.5 % of 10,000 draws.
DRAWS: Final = 10_000


def fold_similarities(
    store: RowSource,
    parts: Sequence[RowSource],
    target: str,
    sources: Sequence[str],
    seeds: Sequence[int],
    density: float,
    coefficient: str = "jaccard",
    on_progress: Progress | None = None,
) -> FoldSimilarity:
    """Compare the target without each of its parts with the sources, and the sources without theirs with the target.

    Args:
        store: Where the whole rows are.
        parts: K stores that leave out a part, as :meth:`xsns_stream.store.SubNetworkStore.parts` gives.
        target: Has a row everywhere, for every seed; as each of the sources.
        sources: Which; they are read some at a time, so that memory does not grow with their number.
        seeds: At least one.
        density: Of all rows.
        coefficient: As for :func:`xsns_stream.similarity.similarity`.
        on_progress: Called with (sources done, sources in all), over all seeds.

    Raises:
        LanguageError: A language lacks a row.
        StoreError: A row has no longer as many bits as when it was written, or cannot be read.
        UsageError: Fewer than two parts, no source, or no seed.
    """
    if len(parts) < 2 or not sources or not seeds:
        raise UsageError("there is nothing to compare: no source, or fewer than two parts.", "build with --parts 8.")
    for seed in seeds:
        for rows in (store, *parts):
            require((target, *sources), rows.languages_at(seed, density), f"seed {seed} and density {density!r}")
    shape = len(seeds), len(parts), len(sources)
    without_target, without_source = np.empty(shape), np.empty(shape)
    step = max(1, _AT_ONCE // len(parts))
    for row, seed in enumerate(seeds):
        compared = _Rows(seed, density, coefficient)
        without_target[row] = compared.similarities([(part, [target]) for part in parts], [(store, sources)])
        for start in range(0, len(sources), step):
            some = sources[start : start + step]
            found = compared.similarities([(store, [target])], [(part, some) for part in parts])
            without_source[row, :, start : start + step] = found.reshape(len(parts), len(some))
            if on_progress is not None:
                on_progress(row * len(sources) + start + len(some), len(seeds) * len(sources))
    return FoldSimilarity(target, tuple(sources), without_target, without_source, coefficient, tuple(seeds))


_Wanted = Sequence[tuple[RowSource, Sequence[str]]]


class _Rows:
    """Rows of several stores, of one seed and density."""

    def __init__(self, seed: int, density: float, coefficient: str) -> None:
        self._seed, self._density = seed, density
        self._formula = coefficient_named(coefficient)

    def similarities(self, targets: _Wanted, sources: _Wanted) -> Reals:
        """float64 [T, S]: each target row with each source row, in the order in which they are named."""
        with ExitStack() as undo:
            opened: list[Columns] = [
                undo.enter_context(store.columns(names, self._seed, self._density))
                for store, names in (*targets, *sources)
            ]
            split = sum(len(names) for _, names in targets)
            counts, sizes = cross_intersections(Joined(opened), split, None, 1)
        start = 0
        for store, names in (*targets, *sources):
            check_cardinalities(store, names, sizes[0, start : start + len(names)], self._seed, self._density)
            start += len(names)
        sets = sizes[0].astype(np.float64)
        # A coefficient with a direction has the sources first.
        found = self._formula(
            counts[0].T.astype(np.float64), sets[split:, None], sets[None, :split], targets[0][0].layout.size
        )
        return found.T


def draws_of_folds(found: FoldSimilarity, matrix: SimilarityMatrix, draws: int = DRAWS) -> SimilarityDraws:
    """Return draws of the similarities by the delete-a-group jackknife over the parts.

    The variance of a similarity is (K − 1) / K Σ_k (J_(k) − mean of J_(k))², J_(k) without part k, of the target's
    parts and of the source's own; what leaves out a part of the target moves all sources together. Draws are normal
    with these covariances. The estimate is above the true variance on average (Efron and Stein 1981), however the
    coefficient depends on the examples; the fluctuation between the parts themselves would be no estimate, because
    few examples with large gradients decide over sums of many.

    Args:
        found: Similarities without a part.
        matrix: The measured similarities, which the draws scatter round, averaged over the same seeds.
        draws: How many.
    """
    centre = np.array([matrix[source, found.target] for source in found.sources])
    random, count = np.random.default_rng(0), found.count
    total = np.zeros((draws, len(found.sources)))
    scale = np.sqrt((count - 1) / count) / len(found.seeds)
    for target_side, source_side in zip(found.without_target, found.without_source, strict=True):
        # One number a part of the target for all sources, and one for each part of each source.
        total += random.standard_normal((draws, count)) @ (target_side - target_side.mean(axis=0))
        own = source_side - source_side.mean(axis=0)
        total += random.standard_normal((draws, len(found.sources))) * np.sqrt((own**2).sum(axis=0))
    return _draws(found.target, found.sources, centre + scale * total, found.coefficient, f"{count} parts")


def draws_of_seeds(
    matrix: SimilarityMatrix, target: str, sources: Sequence[str], draws: int = DRAWS
) -> SimilarityDraws | None:
    """Return draws of the mean similarities over seeds; None for fewer than three seeds.

    Seeds draw other examples, so that their differences are what the mean of R of them varies by, times √R. Draws are
    of the multivariate t distribution with R − 1 degrees of freedom: few seeds give wide intervals.
    """
    if matrix.per_seed is None or len(matrix.per_seed) < FEWEST_SEEDS:
        return None
    rows, column = [matrix.sources.index(source) for source in sources], matrix.targets.index(target)
    values = matrix.per_seed[:, rows, column]
    count, random = len(values), np.random.default_rng(0)
    scatter = random.standard_normal((draws, count)) @ (values - values.mean(axis=0))
    freedom = np.sqrt(random.chisquare(count - 1, (draws, 1)) / (count - 1))
    scaled = scatter / freedom / np.sqrt(count * (count - 1))
    return _draws(target, sources, values.mean(axis=0) + scaled, matrix.coefficient, f"{count} seeds")


def _draws(target: str, sources: Sequence[str], values: Reals, coefficient: str, basis: str) -> SimilarityDraws:
    """Return draws, none of which is a value that the coefficient cannot have."""
    low = -1.0 if coefficient == "corrected-jaccard" else 0.0
    return SimilarityDraws(target, tuple(sources), values.clip(low, 1.0), basis)
