"""Evaluation of predictors against gold scores: metrics, confidence intervals, paired tests, trivial baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.evaluation import metrics, reference_rows
from xsns_stream.evaluation.metrics import (
    CORRELATIONS,
    OVER_ENGLISH,
    SOURCES_TO_TRY,
    Function,
    Mask,
    measure,
    metric_functions,
)
from xsns_stream.evaluation.notes import with_notes
from xsns_stream.evaluation.resampling import (
    CONFIDENCE,
    FEWEST_RESAMPLES,
    MOST_RESAMPLES,
    bootstrap,
    holm,
    interval,
    sign_flip,
)
from xsns_stream.evaluation.sources_to_try import near_best_curves, resampled_numbers, sources_to_try
from xsns_stream.types import Counts, Reals
from xsns_stream.types.evaluations import Choice, Comparison, Evaluation, EvaluationSettings
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores, mean_of_known

#: Ways of averaging over seeds.
AVERAGES: Final = ("metrics", "matrices")
RESAMPLES: Final = 10_000

# Values with a smaller relative difference are treated as equal.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class _Row:
    """The results of one predictor.

    Attributes:
        name: Name of the predictor.
        values: float64 [S, T]: the predictions, averaged over seeds.
        metrics: float64 [M, T, R, Q]: M metrics of T targets for each pair of a prediction seed and a gold seed.
        curves: float64 [T, R, Q, N], from :func:`xsns_stream.evaluation.sources_to_try.near_best_curves`.
        sizes: int [T, Q]: number of candidates.
    """

    name: str
    values: Reals
    metrics: Reals
    curves: Reals
    sizes: NDArray[np.intp]


@dataclass(frozen=True)
class _Pool:
    """The scores, candidates and metrics that are the same for all predictors.

    Attributes:
        joined: Aligned predictions and scores.
        scores: float64 [Q, S, T]: the gold scores of each seed, or their mean with Q = 1.
        candidates: bool [Q, S, T]: whether a source is a candidate for a target.
        functions: {name of a metric: its function}.
        cost: {name of a metric: its function} of the metrics that say how many sources a user has to try.
        english: float64 [T, 1, Q]: the regret of always choosing English, NaN for targets of which English is not a
            candidate; None if English is not a source.
    """

    joined: JoinedScores
    scores: Reals
    candidates: Mask
    functions: dict[str, Function]
    cost: dict[str, Function]
    english: Reals | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the M metrics."""
        return (*self.functions, *([] if self.english is None else [OVER_ENGLISH]), *self.cost, SOURCES_TO_TRY)

    def row(self, name: str, x: Reals) -> _Row:
        """Return the results of predictions x [R, S, T]; each of the R predictions is compared with every gold seed."""
        return _Row(name, x.mean(axis=0), *self._measure(x, slice(None)), self._sizes)

    def paired_row(self, name: str, x: Reals) -> _Row:
        """Return the results of predictions x [Q, S, T]; prediction q is compared with gold seed q only."""
        parts = [self._measure(x[q : q + 1], slice(q, q + 1)) for q in range(len(self.scores))]
        measured, curves = (np.concatenate([part[i] for part in parts], axis=axis) for i, axis in ((0, 3), (1, 2)))
        return _Row(name, mean_of_known(x), measured, curves, self._sizes)

    @property
    def _sizes(self) -> NDArray[np.intp]:
        """The number of candidates of each target for each gold seed, int [T, Q]."""
        sizes: NDArray[np.intp] = self.candidates.sum(axis=1).T
        return sizes

    def _measure(self, x: Reals, gold: slice) -> tuple[Reals, Reals]:
        """Return the metrics [M, T, R, Q], and the curves of near-best sources [T, R, Q, N].

        `x` are predictions [R, S, T]; `gold` selects the Q gold seeds with which they are compared.
        """
        scores, candidates = self.scores[gold], self.candidates[gold]
        values = measure(x, scores, candidates, self.functions)
        over_english = [] if self.english is None else [self.english[:, :, gold] - values[self.metrics.index("regret")]]
        curves = near_best_curves(x, scores, candidates)
        every_target = np.ones((1, len(curves)))
        numbers = sources_to_try(curves, self._sizes[:, gold], every_target)
        cost = measure(x, scores, candidates, self.cost)
        return np.concatenate([values, *(each[None] for each in over_english), cost, numbers]), curves


def _pool(joined: JoinedScores, ndcg: str, average: str) -> _Pool:
    scores = joined.gold.per_seed if average == "metrics" else joined.gold.values[None]
    candidates = joined.candidates & np.isfinite(scores)
    english = _english_regret(joined, scores, candidates)
    return _Pool(joined, scores, candidates, metric_functions(ndcg), metric_functions(ndcg, cost=True), english)


def _english_regret(joined: JoinedScores, scores: Reals, candidates: Mask) -> Reals | None:
    english = reference_rows.always_english(joined)
    if english is None:
        return None
    regret = measure(english, scores, candidates, {"regret": metrics.regret})[0]
    is_candidate = candidates[:, joined.sources.index(reference_rows.ENGLISH_CODE)]
    defined: Reals = np.where(is_candidate.T[:, None, :], regret, np.nan)
    return defined


def evaluate(
    joined: JoinedScores,
    *,
    ndcg: str = "rank-linear",
    average: str = "metrics",
    resamples: int = RESAMPLES,
    seed: int = 0,
    reference: str | None = None,
    ceiling: TransferScores | None = None,
    with_trivial: bool = True,
) -> Evaluation:
    """Evaluate predictors against gold scores, target by target.

    The candidates of a target are those of `joined.candidates`, which never contain the target itself. All predictors
    have the same candidates. Metrics are averaged over targets. Undefined values are counted, and the means leave them
    out.

    Args:
        joined: Aligned scores and predictions.
        ndcg: Variant of NDCG@3; see :func:`xsns_stream.evaluation.metrics.ndcg`.
        average: `metrics`: compute metrics for every pair of a prediction seed and a gold seed, then average them, as
            in the paper; `matrices`: average predictions and scores over seeds, then compute metrics.
        resamples: Number of bootstrap resamples, and of random sign patterns in the paired tests.
        seed: Seed for resampling.
        reference: Name of a predictor with which all others are compared.
        ceiling: Other scores of the same pairs, such as those of another training regime, which are evaluated as the
            predictor `ceiling`. By default, if the gold scores have several seeds, this predictor is the mean of the
            other seeds for each gold seed.
        with_trivial: Whether to add the trivial baselines of :mod:`xsns_stream.evaluation.reference_rows`.

    Returns:
        Metrics, intervals, comparisons, and notes on missing, tied and undefined values.

    Raises:
        UsageError: An argument is invalid, or a predictor has the name of a trivial baseline.
    """
    _check(joined, ndcg, average, resamples, with_trivial)
    pool = _pool(joined, ndcg, average)
    by_metric = average == "metrics"
    given = [pool.row(made.name, made.per_seed if by_metric else made.values[None]) for made in joined.predictions]
    extra = _trivial_rows(pool, ndcg, ceiling) if with_trivial else []
    with_seeds = max(row.metrics.shape[2] * row.metrics.shape[3] for row in given) > 1
    settings = EvaluationSettings(
        task=joined.gold.task,
        metric=joined.gold.metric,
        unit=joined.gold.unit,
        origin=joined.gold.origin,
        regime=joined.gold.regimes[0],
        average=average,
        ndcg=ndcg,
        resamples=resamples,
        seed=seed,
        confidence=CONFIDENCE,
        resampled="targets and seeds" if with_seeds else "targets",
        gold_seeds=joined.gold.seeds,
        sources=joined.sources,
        trivial=tuple(row.name for row in extra),
        ceiling=_ceiling_name(extra, ceiling),
    )
    rows = [*given, *extra]
    return with_notes(joined, _summarise(pool, rows, reference, settings), [row.metrics for row in rows])


def _summarise(pool: _Pool, rows: list[_Row], reference: str | None, settings: EvaluationSettings) -> Evaluation:
    """Return the evaluation of all predictors, from the row of each predictor.

    Metrics are averaged over seeds and targets, and have intervals. If `reference` names a predictor, the evaluation
    includes a comparison with this predictor.
    """
    by_seed = [row.metrics for row in rows]
    index = _reference_index(reference, [row.name for row in rows])
    means, differences = _resampled(pool, rows, index, settings)
    per_target = np.stack([mean_of_known(np.moveaxis(m.reshape(*m.shape[:2], -1), 2, 0)) for m in by_seed])
    known = np.isfinite(per_target)
    low, high = _intervals(means, known.sum(axis=2))
    comparison = None
    if index is not None and differences is not None:
        untested = pool.metrics.index(SOURCES_TO_TRY)
        comparison = _comparison(rows[index].name, per_target, differences, index, settings, untested)
    return Evaluation(
        predictors=tuple(row.name for row in rows),
        metrics=pool.metrics,
        targets=pool.joined.targets,
        per_target=per_target,
        mean=mean_of_known(np.moveaxis(per_target, 2, 0)),
        low=low,
        high=high,
        undefined=(~known).sum(axis=2).astype(np.int64),
        choices=_choices(pool.joined, rows),
        settings=settings,
        comparison=comparison,
    )


def _resampled(
    pool: _Pool, rows: list[_Row], reference: int | None, settings: EvaluationSettings
) -> tuple[Reals, Reals | None]:
    """Return the mean metrics of every resample, and their differences from the predictor at index `reference`.

    The cost metrics are resampled separately. Without this, the last bits of the other metrics would depend on whether
    there are cost metrics. Both kinds of metrics use the same resamples.
    """
    by_seed, costs = [row.metrics for row in rows], len(pool.cost) + 1
    drawn = settings.resamples, settings.seed, reference
    parts = (
        bootstrap([values[:-costs] for values in by_seed], *drawn),
        bootstrap([values[-costs:-1] for values in by_seed], *drawn),
        resampled_numbers(by_seed, [row.curves for row in rows], [row.sizes for row in rows], *drawn),
    )
    means = np.concatenate([part[0] for part in parts], axis=1)
    differences = [part[1] for part in parts if part[1] is not None]
    return means, np.concatenate(differences, axis=1) if differences else None


def _check(joined: JoinedScores, ndcg: str, average: str, resamples: int, with_trivial: bool) -> None:
    for what, given, known in (("variant of NDCG", ndcg, tuple(metrics.GAINS)), ("way to average", average, AVERAGES)):
        if given not in known:
            raise UsageError(f"there is no {what} '{given}'.", f"choose one of {', '.join(known)}.")
    if resamples < FEWEST_RESAMPLES:
        raise UsageError(f"{resamples} resamples are too few for an interval.", f"use at least {FEWEST_RESAMPLES}.")
    if resamples > MOST_RESAMPLES:
        raise UsageError(f"{resamples} resamples do not fit into memory.", f"use at most {MOST_RESAMPLES:,}.")
    taken = [made.name for made in joined.predictions if made.name in reference_rows.TRIVIAL]
    if with_trivial and taken:
        raise UsageError(f"a predictor has the name '{taken[0]}' of a trivial baseline.", "give it another name.")


def _trivial_rows(pool: _Pool, ndcg: str, ceiling: TransferScores | None) -> list[_Row]:
    joined = pool.joined
    rows = [_random(pool)]
    english = reference_rows.always_english(joined)
    if english is not None:
        rows.append(pool.row(reference_rows.ENGLISH, english))
    rows.append(pool.row(reference_rows.SOURCE_MEAN, reference_rows.source_mean(joined)))
    if ceiling is not None:
        rows.append(pool.row(reference_rows.CEILING, reference_rows.other_scores(joined, ceiling)))
    elif len(joined.gold.seeds) > 1:
        # Seeds are compared one by one for both kinds of average, because a mean over all seeds leaves no other seed.
        by_seed = _pool(joined, ndcg, "metrics")
        rows.append(by_seed.paired_row(reference_rows.CEILING, reference_rows.other_seeds(joined)))
    return rows


def _random(pool: _Pool) -> _Row:
    """Return the expected metrics of a random order of the sources.

    A correlation is zero, or NaN if it is undefined for the scores. All other metrics are those of a constant
    prediction.
    """
    row = pool.row(reference_rows.RANDOM, reference_rows.constant(pool.joined))
    # A correlation is defined if the correlation of the scores with themselves is defined.
    defined = np.isfinite(pool.paired_row(reference_rows.RANDOM, pool.scores).metrics)
    for index, name in enumerate(pool.functions):
        if name in CORRELATIONS:
            row.metrics[index] = np.where(defined[index], 0.0, np.nan)
    return row


def _reference_index(reference: str | None, names: list[str]) -> int | None:
    if reference is None:
        return None
    if reference not in names:
        raise UsageError(f"there is no predictor '{reference}' to compare with.", f"choose one of {', '.join(names)}.")
    if len(names) == 1:
        raise UsageError(f"there is no other predictor to compare '{reference}' with.", "give another predictor.")
    return names.index(reference)


def _intervals(means: Reals, targets: Counts) -> tuple[Reals, Reals]:
    """Return the lower and the upper ends of the confidence intervals, float64 [P, M] each.

    Args:
        means: float64 [P, M, B]: means of B resamples.
        targets: int [P, M]: number of targets on which a metric is defined.
    """
    ends = np.full((2, *targets.shape), np.nan)
    for index in np.ndindex(*targets.shape):
        ends[:, *index] = interval(means[index], int(targets[index]))
    return ends[0], ends[1]


def _comparison(
    name: str, per_target: Reals, differences: Reals, reference: int, settings: EvaluationSettings, untested: int
) -> Comparison:
    """Compare every predictor with the predictor at index `reference`, which is called `name`.

    `per_target` are the metrics of each target, float64 [P, M, T], and `differences` are the mean differences in each
    resample, float64 [P, M, B]. The metric at index `untested` is compared without a p-value.
    """
    paired = per_target - per_target[reference]
    # Means over seeds can differ by rounding. These differences are set to zero, because all of them may have the same
    # sign.
    sizes = np.maximum(1.0, np.maximum(np.abs(per_target), np.abs(per_target[reference])))
    paired[np.abs(paired) <= _ROUNDING * sizes] = 0.0
    paired[reference] = np.nan
    targets = np.isfinite(paired).sum(axis=2)
    differences[reference] = np.nan
    low, high = _intervals(differences, targets)
    flat = paired.reshape(-1, paired.shape[2])
    p = sign_flip(flat, settings.resamples, settings.seed).reshape(targets.shape)
    # The numbers of different targets are computed from nearly the same targets. Signs cannot be exchanged.
    p[:, untested] = np.nan
    corrected = np.stack([holm(column) for column in p.T], axis=1)
    return Comparison(name, targets.astype(np.int64), mean_of_known(np.moveaxis(paired, 2, 0)), low, high, p, corrected)


def _ceiling_name(rows: list[_Row], ceiling: TransferScores | None) -> str:
    if all(row.name != reference_rows.CEILING for row in rows):
        return ""
    return "each seed predicted by the mean of the others" if ceiling is None else f"regime {ceiling.regimes[0]}"


def _choices(joined: JoinedScores, rows: list[_Row]) -> tuple[Choice, ...]:
    scores, candidates = joined.gold.values, joined.candidates
    choices = []
    for column, target in enumerate(joined.targets):
        sources = np.flatnonzero(candidates[:, column])
        best = scores[sources, column].max() if sources.size else np.nan
        choices.append(
            Choice(
                target,
                len(sources),
                _largest(joined, sources, scores[sources, column]),
                float(best),
                tuple(_largest(joined, sources, row.values[sources, column]) for row in rows),
            )
        )
    return tuple(choices)


def _largest(joined: JoinedScores, sources: NDArray[np.intp], values: Reals) -> tuple[str, ...]:
    """Return the codes of the sources with the largest value; empty if there is no source or a value is undefined."""
    if not values.size or not np.isfinite(values).all():
        return ()
    return tuple(joined.sources[source] for source in sources[values == values.max()])
