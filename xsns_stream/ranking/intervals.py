"""Uncertainty of similarities: a jackknife over folds of the examples, or the variation between seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.similarity.coefficients import coefficient_named, measure_named
from xsns_stream.similarity.corrections import CORRECTIONS
from xsns_stream.similarity.selection import Progress, RowSource, require
from xsns_stream.similarity.streaming import Joined, check_cardinalities, cross_intersections
from xsns_stream.types import Reals
from xsns_stream.types.similarity_matrix import SimilarityMatrix, SimilarityPool
from xsns_stream.types.source_ranking import FoldSimilarity, SimilarityDraws

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns


#: Largest number of rows on either side of a comparison. It limits the size of the temporary file to which rows of
#: object stores are copied.
_AT_ONCE: Final = 256
#: Smallest number of seeds for a standard deviation.
FEWEST_SEEDS: Final = 3
#: Number of draws for which the random numbers of the sources are generated in one step; more would need more memory.
_DRAWS_AT_ONCE: Final = 500
#: Number of draws. Probabilities are shown in whole percent; with 10,000 draws, the standard error of 50 % is 0.5 %.
DRAWS: Final = 10_000
#: Number of draws of a correction, each of which is computed from all pairs of languages. The standard error of 50 % is
#: 1.1 %.
CORRECTED_DRAWS: Final = 2_000
#: Number of draws of a correction that are computed at a time.
_CORRECTED_AT_ONCE: Final = 20
#: Memory for the draws of a correction, in bytes.
_MOST_BYTES: Final = 2**28


def fold_similarities(
    store: RowSource,
    folds: Sequence[RowSource],
    target: str,
    sources: Sequence[str],
    seeds: Sequence[int],
    density: float,
    coefficient: str = "jaccard",
    on_progress: Progress | None = None,
) -> FoldSimilarity:
    """Return the similarities of a target and its sources, computed K times, each time without one of K folds.

    The target without each of its folds is compared with the sources, and each source without each of its folds is
    compared with the target.

    Args:
        store: The store of the rows that were measured on all examples.
        folds: K stores from :meth:`xsns_stream.store.SubNetworkStore.folds`; the rows in each leave out one fold.
        target: Code of the target. The target and all sources need a row in all stores for every seed.
        sources: Codes of the sources. The sources are read in groups. The memory and the temporary files for their rows
            therefore do not grow with the number of sources.
        seeds: At least one seed.
        density: Density of all rows.
        coefficient: Name of a coefficient; see :func:`xsns_stream.similarity.similarity`.
        on_progress: Called with (sources done, number of sources), summed over seeds.

    Raises:
        LanguageError: A language lacks a row.
        StoreError: The number of bits of a row differs from its record, or a row cannot be read.
        UsageError: There are fewer than two folds, no source, or no seed.
    """
    _check_folds(folds, sources, seeds)
    for seed in seeds:
        for rows in (store, *folds):
            require((target, *sources), rows.languages_at(seed, density), f"seed {seed} and density {density!r}")
    shape = len(seeds), len(folds), len(sources)
    without_target, without_source = np.empty(shape), np.empty(shape)
    step = max(1, _AT_ONCE // len(folds))
    for row, seed in enumerate(seeds):
        comparison = _RowComparison(seed, density, coefficient)
        for start in range(0, len(sources), step):
            group = sources[start : start + step]
            part = slice(start, start + len(group))
            values = comparison.similarities([(fold, [target]) for fold in folds], [(store, group)])
            without_target[row, :, part] = values
            values = comparison.similarities([(store, [target])], [(fold, group) for fold in folds])
            without_source[row, :, part] = values.reshape(len(folds), len(group))
            if on_progress is not None:
                on_progress(row * len(sources) + start + len(group), len(seeds) * len(sources))
    return FoldSimilarity(target, tuple(sources), without_target, without_source, coefficient, tuple(seeds))


def _check_folds(folds: Sequence[RowSource], languages: Sequence[str], seeds: Sequence[int]) -> None:
    if len(folds) < 2:
        raise UsageError(
            "the examples must have at least two parts, because one part at a time is left out.",
            "build the store with --parts 8.",
        )
    if not languages or not seeds:
        raise UsageError("there is nothing to compare.", "give at least one language and one seed.")


def all_fold_similarities(
    store: RowSource,
    folds: Sequence[RowSource],
    languages: Sequence[str],
    seeds: Sequence[int],
    density: float,
    coefficient: str = "jaccard",
    on_progress: Progress | None = None,
) -> tuple[Reals, Reals]:
    """Return the similarities of all pairs of languages, each without one fold of the examples of one language.

    :func:`fold_of_target` extracts the similarities of one target, as :func:`fold_similarities` computes them.

    Args:
        store: See :func:`fold_similarities`.
        folds: See :func:`fold_similarities`.
        languages: Codes of L languages. Each needs a row in all stores for every seed.
        seeds: See :func:`fold_similarities`.
        density: See :func:`fold_similarities`.
        coefficient: See :func:`fold_similarities`.
        on_progress: Called with (passes done, number of passes).

    Returns:
        Two arrays float64 [R, K, L, L], with axes (seed, fold, source, target). The first leaves out a fold of the
        examples of the source, the second a fold of the examples of the target.

    Raises:
        UsageError: There are fewer than two folds, no language, or no seed.
        StoreError: See :func:`fold_similarities`.
    """
    _check_folds(folds, languages, seeds)
    shape = len(seeds), len(folds), len(languages), len(languages)
    without_source, without_target = np.empty(shape), np.empty(shape)
    groups = [slice(start, start + _AT_ONCE) for start in range(0, len(languages), _AT_ONCE)]
    passes = list(product(range(len(seeds)), range(len(folds)), groups, groups))
    for done, (row, fold, whole, part) in enumerate(passes, 1):
        comparison = _RowComparison(seeds[row], density, coefficient)
        rows, rows_of_fold = (store, languages[whole]), (folds[fold], languages[part])
        # `similarities` returns [target, source], and the arrays are [source, target].
        without_source[row, fold, part, whole] = comparison.similarities([rows], [rows_of_fold]).T
        without_target[row, fold, whole, part] = comparison.similarities([rows_of_fold], [rows]).T
        if on_progress is not None:
            on_progress(done, len(passes))
    return without_source, without_target


def fold_of_target(
    similarities: tuple[Reals, Reals],
    languages: Sequence[str],
    target: str,
    sources: Sequence[str],
    seeds: Sequence[int],
    coefficient: str,
) -> FoldSimilarity:
    """Extract the similarities of one target from the result of :func:`all_fold_similarities`."""
    index = {code: i for i, code in enumerate(languages)}
    rows, column = [index[source] for source in sources], index[target]
    without_source, without_target = (array[:, :, rows, column] for array in similarities)
    return FoldSimilarity(target, tuple(sources), without_target, without_source, coefficient, tuple(seeds))


def resampled_matrices(similarities: tuple[Reals, Reals], values: Reals, draws: int) -> Iterator[Reals]:
    """Yield simulated similarities of all pairs, float64 [L, L]: values that other samples of examples might give.

    The distribution is that of :func:`draws_of_folds`, but all pairs of a language share the random numbers of that
    language. The similarities of a language to all others therefore vary together.

    Args:
        similarities: The result of :func:`all_fold_similarities`.
        values: float64 [L, L]: the measured similarities of these languages, averaged over the seeds.
        draws: Number of matrices.
    """
    without_source, without_target = similarities
    seeds, count, languages, _ = without_source.shape
    own, other = (array - array.mean(axis=1, keepdims=True) for array in (without_source, without_target))
    random, scale = np.random.default_rng(0), np.sqrt((count - 1) / count) / seeds
    for _ in range(draws):
        normal = random.standard_normal((seeds, count, languages))
        yield values + scale * (np.einsum("rks,rkst->st", normal, own) + np.einsum("rkt,rkst->st", normal, other))


def resampled_corrections(
    similarities: tuple[Reals, Reals], pool: SimilarityPool, coefficient: str, draws: int
) -> Iterator[Reals]:
    """Yield simulated values of a correction, float64 [L, L]: values that other samples of examples might give.

    The Jaccard coefficients of all pairs are drawn as :func:`resampled_matrices` draws them, for each seed. The
    correction is then computed from each draw. It therefore varies with the examples of all languages of the pool.

    Args:
        similarities: The result of :func:`all_fold_similarities` for the Jaccard coefficients of the pool.
        pool: The languages, and their measured Jaccard coefficients.
        coefficient: Name of the correction.
        draws: Number of draws.
    """
    formula, (without_source, _) = CORRECTIONS[coefficient], similarities
    seeds, count, languages, _ = without_source.shape
    random, scale = np.random.default_rng(0), np.sqrt((count - 1) / count)
    # [R, L, K, L]: what changes if a part of the language of the second axis is left out.
    change = np.moveaxis(without_source - without_source.mean(axis=1, keepdims=True), 1, 2)
    for start in range(0, draws, _CORRECTED_AT_ONCE):
        number = min(_CORRECTED_AT_ONCE, draws - start)
        normal = random.standard_normal((number, seeds, languages, 1, count))
        moved = scale * (normal @ change)[:, :, :, 0]
        # The Jaccard coefficient is symmetric: the change of the target's examples is the transpose.
        yield from formula(pool.per_seed + moved + moved.swapaxes(-1, -2), pool.split_half).mean(axis=1)


def draws_of_correction(
    similarities: tuple[Reals, Reals],
    pool: SimilarityPool,
    coefficient: str,
    targets: Sequence[str],
    draws: int = CORRECTED_DRAWS,
) -> Iterator[SimilarityDraws]:
    """Yield draws of the similarities of all languages of a pool to each target, by a correction.

    The other arguments are those of :func:`resampled_corrections`. All targets are based on the same simulated
    examples. The simulation is repeated for each group of targets whose draws fit into 256 MiB.
    """
    count = int(similarities[0].shape[1])
    columns = [pool.languages.index(target) for target in targets]
    together = max(1, _MOST_BYTES // (8 * draws * len(pool.languages)))
    for start in range(0, len(targets), together):
        part = columns[start : start + together]
        values = np.empty((len(part), draws, len(pool.languages)))
        for number, drawn in enumerate(resampled_corrections(similarities, pool, coefficient, draws)):
            values[:, number] = drawn[:, part].T
        for target, own in zip(targets[start : start + together], values, strict=True):
            yield _draws(target, pool.languages, own, coefficient, f"{count} parts")


#: Pairs of a store and the languages to read from that store.
_RowNames = Sequence[tuple[RowSource, Sequence[str]]]


class _RowComparison:
    """Comparison of rows from several stores; all rows have the same seed and density."""

    def __init__(self, seed: int, density: float, coefficient: str) -> None:
        self._seed, self._density = seed, density
        self._formula = coefficient_named(coefficient)

    def similarities(self, targets: _RowNames, sources: _RowNames) -> Reals:
        """Return the similarity of each target row to each source row, in the given orders, float64 [T, S]."""
        with ExitStack() as stack:
            opened: list[Columns] = [
                stack.enter_context(store.columns(names, self._seed, self._density))
                for store, names in (*targets, *sources)
            ]
            split = sum(len(names) for _, names in targets)
            counts, sizes = cross_intersections(Joined(opened), split, None, 1)
        start = 0
        for store, names in (*targets, *sources):
            check_cardinalities(store, names, sizes[0, start : start + len(names)], self._seed, self._density)
            start += len(names)
        sets = sizes[0].astype(np.float64)
        # The first argument of an asymmetric coefficient is the source.
        values = self._formula(
            counts[0].T.astype(np.float64), sets[split:, None], sets[None, :split], targets[0][0].layout.size
        )
        return values.T


def draws_of_folds(folds: FoldSimilarity, matrix: SimilarityMatrix, draws: int = DRAWS) -> SimilarityDraws:
    """Return draws of the similarities, based on a delete-a-group jackknife over folds of the examples.

    The variance of a similarity is the sum of two jackknife variances: one over the folds of the target, and one over
    the folds of the source. Each variance is (K − 1) / K Σ_k (J_(k) − mean of J_(k))², where J_(k) is computed without
    fold k. If a fold of the target is left out, the similarities to all sources change together, and therefore covary.
    The draws are normally distributed with these covariances.

    For any coefficient, the expected value of the jackknife estimate is at least the true variance (Efron and Stein
    1981). The variance between sub-networks of single folds would not be a usable estimate, because a few examples with
    large gradients dominate the sums.

    Args:
        folds: Similarities with one fold left out.
        matrix: The measured similarities, averaged over the same seeds; they are the means of the draws.
        draws: Number of draws.
    """
    centre = np.array([matrix[source, folds.target] for source in folds.sources])
    random, count = np.random.default_rng(0), folds.count
    total = np.zeros((draws, len(folds.sources)))
    scale = np.sqrt((count - 1) / count) / len(folds.seeds)
    for target_side, source_side in zip(folds.without_target, folds.without_source, strict=True):
        # All sources use the same random numbers for the folds of the target. For its own folds, each source uses
        # random numbers that no other source uses.
        total += random.standard_normal((draws, count)) @ (target_side - target_side.mean(axis=0))
        deviation = np.sqrt(((source_side - source_side.mean(axis=0)) ** 2).sum(axis=0))
        for start in range(0, draws, _DRAWS_AT_ONCE):
            part = total[start : start + _DRAWS_AT_ONCE]
            part += random.standard_normal(part.shape) * deviation
    total *= scale
    total += centre
    return _draws(folds.target, folds.sources, total, folds.coefficient, f"{count} parts")


def draws_of_seeds(
    matrix: SimilarityMatrix, target: str, sources: Sequence[str], draws: int = DRAWS
) -> SimilarityDraws | None:
    """Return draws of the mean similarities over seeds; None if there are fewer than three seeds.

    Each seed samples different examples. The variance of the mean over R seeds is therefore the variance between seeds
    divided by R. The draws have a multivariate t distribution with R − 1 degrees of freedom: few seeds give wide
    intervals.
    """
    if matrix.per_seed is None or len(matrix.per_seed) < FEWEST_SEEDS:
        return None
    rows, column = [matrix.sources.index(source) for source in sources], matrix.targets.index(target)
    values = matrix.per_seed[:, rows, column]
    count, random = len(values), np.random.default_rng(0)
    drawn = random.standard_normal((draws, count)) @ (values - values.mean(axis=0))
    drawn /= np.sqrt(random.chisquare(count - 1, (draws, 1)) / (count - 1))
    drawn /= np.sqrt(count * (count - 1))
    drawn += values.mean(axis=0)
    return _draws(target, sources, drawn, matrix.coefficient, f"{count} seeds")


def _draws(target: str, sources: Sequence[str], values: Reals, coefficient: str, basis: str) -> SimilarityDraws:
    """Return draws of the similarities of the sources to the target.

    `values`, float64 [B, S], are the drawn similarities; they are clipped to the range of the coefficient, in place.
    `basis` names the data from which they were drawn, such as `8 parts`.
    """
    measure = measure_named(coefficient)
    values.clip(measure.lowest, measure.highest, out=values)
    return SimilarityDraws(target, tuple(sources), values, basis)
