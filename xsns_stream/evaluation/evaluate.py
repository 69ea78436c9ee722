"""Predictors × gold scores → metrics, intervals, tests and reference rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.evaluation import metrics
from xsns_stream.evaluation import reference_rows as trivial
from xsns_stream.evaluation.metrics import CORRELATIONS, OVER_ENGLISH, Mask, Metric, measure, metric_functions
from xsns_stream.evaluation.notes import remarks
from xsns_stream.evaluation.resampling import (
    CONFIDENCE,
    FEWEST_RESAMPLES,
    MOST_RESAMPLES,
    bootstrap,
    holm,
    interval,
    sign_flip,
)
from xsns_stream.types import Counts, Reals
from xsns_stream.types.evaluations import Choice, Comparison, Evaluation, EvaluationSettings
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores, mean_of_known

#: Of how seeds are averaged over.
AVERAGES: Final = ("metrics", "matrices")
RESAMPLES: Final = 10_000

_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class _Row:
    """A predictor: its mean matrix [S, T], and its metrics [M, T, R, Q]."""

    name: str
    values: Reals
    cells: Reals


@dataclass(frozen=True)
class _Pool:
    """What all predictors answer.

    Attributes:
        joined: Predictions and scores by label.
        scores: float64 [Q, S, T].
        candidates: [Q, S, T]: which sources compete.
        functions: The metrics of one target's candidates.
        english: [T, 1, Q]: the regret of always English, NaN where it does not compete; None where it is no source.
    """

    joined: JoinedScores
    scores: Reals
    candidates: Mask
    functions: dict[str, Metric]
    english: Reals | None

    @property
    def metrics(self) -> tuple[str, ...]:
        """M names."""
        return (*self.functions, *([] if self.english is None else [OVER_ENGLISH]))

    def row(self, name: str, x: Reals) -> _Row:
        """Measure a predictor [R, S, T] against every gold seed."""
        return _Row(name, x.mean(axis=0), self._measured(x, slice(None)))

    def paired_row(self, name: str, x: Reals) -> _Row:
        """Measure predictions [Q, S, T], each against the gold seed of its place alone."""
        parts = [self._measured(x[q : q + 1], slice(q, q + 1)) for q in range(len(self.scores))]
        return _Row(name, mean_of_known(x), np.concatenate(parts, axis=3))

    def _measured(self, x: Reals, gold: slice) -> Reals:
        cells = measure(x, self.scores[gold], self.candidates[gold], self.functions)
        if self.english is None:
            return cells
        gained = self.english[:, :, gold] - cells[self.metrics.index("regret")]
        return np.concatenate([cells, gained[None]])


def _pool(joined: JoinedScores, ndcg: str, average: str) -> _Pool:
    scores = joined.gold.per_seed if average == "metrics" else joined.gold.values[None]
    candidates = joined.candidates & np.isfinite(scores)
    return _Pool(joined, scores, candidates, metric_functions(ndcg), _english_regret(joined, scores, candidates))


def _english_regret(joined: JoinedScores, scores: Reals, candidates: Mask) -> Reals | None:
    english = trivial.always_english(joined)
    if english is None:
        return None
    lost = measure(english, scores, candidates, {"regret": metrics.regret})[0]
    competes = candidates[:, joined.sources.index(trivial.ENGLISH_CODE)]
    found: Reals = np.where(competes.T[:, None, :], lost, np.nan)
    return found


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
    """Hold predictors against gold scores, target by target.

    For each target the sources that compete are `joined.candidates`: never the target itself, and the same for every
    predictor. Metrics are averaged over targets; what is undefined is counted and takes no part in any mean.

    Args:
        joined: Predictions beside the scores they predict.
        ndcg: Variant of NDCG@3; see :func:`xsns_stream.evaluation.metrics.ndcg`.
        average: `metrics`: of every pair of a prediction's seed and a gold seed, then their mean, as the paper;
            `matrices`: of the mean matrices.
        resamples: Draws of the bootstrap, and of signs.
        seed: Of these draws.
        reference: A predictor that every other is tested against.
        ceiling: Other scores of the same pairs, as another training regime, for the row `ceiling`. Where left out and
            the gold scores have several seeds, each is predicted by the mean of the others.
        with_trivial: Whether to add the rows of :mod:`xsns_stream.evaluation.reference_rows`.

    Returns:
        Everything, with notes on what is missing, tied or undefined.

    Raises:
        UsageError: An argument that cannot mean anything; a predictor with the name of a trivial row.
    """
    _check(joined, ndcg, average, resamples, with_trivial)
    pool = _pool(joined, ndcg, average)
    by_metric = average == "metrics"
    asked = [pool.row(made.name, made.per_seed if by_metric else made.values[None]) for made in joined.predictions]
    extra = _trivial_rows(pool, ndcg, ceiling) if with_trivial else []
    with_seeds = max(row.cells.shape[2] * row.cells.shape[3] for row in asked) > 1
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
    rows = [*asked, *extra]
    return remarks(joined, _summed_up(pool, rows, reference, settings), [row.cells for row in rows])


def _summed_up(pool: _Pool, rows: list[_Row], reference: str | None, settings: EvaluationSettings) -> Evaluation:
    """Average over seeds and targets, with intervals and the comparison asked for."""
    cells = [row.cells for row in rows]
    place = _place(reference, [row.name for row in rows])
    draws, differences = bootstrap(cells, settings.resamples, settings.seed, place)
    per_target = np.stack([mean_of_known(np.moveaxis(c.reshape(*c.shape[:2], -1), 2, 0)) for c in cells])
    known = np.isfinite(per_target)
    low, high = _intervals(draws, known.sum(axis=2))
    comparison = None
    if place is not None and differences is not None:
        comparison = _comparison(rows[place].name, per_target, differences, place, settings)
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


def _check(joined: JoinedScores, ndcg: str, average: str, resamples: int, with_trivial: bool) -> None:
    for what, given, known in (("NDCG", ndcg, tuple(metrics.GAINS)), ("way to average", average, AVERAGES)):
        if given not in known:
            raise UsageError(f"there is no {what} '{given}'.", f"it is one of {', '.join(known)}.")
    if resamples < FEWEST_RESAMPLES:
        raise UsageError(f"{resamples} resamples give no interval.", f"take at least {FEWEST_RESAMPLES}.")
    if resamples > MOST_RESAMPLES:
        raise UsageError(f"{resamples} resamples do not fit into memory.", f"take at most {MOST_RESAMPLES:,}.")
    taken = [made.name for made in joined.predictions if made.name in trivial.TRIVIAL]
    if with_trivial and taken:
        raise UsageError(
            f"a predictor is called '{taken[0]}', as a row that is always there.", "call it something else."
        )


def _trivial_rows(pool: _Pool, ndcg: str, ceiling: TransferScores | None) -> list[_Row]:
    joined = pool.joined
    rows = [_random(pool)]
    english = trivial.always_english(joined)
    if english is not None:
        rows.append(pool.row(trivial.ENGLISH, english))
    rows.append(pool.row(trivial.SOURCE_MEAN, trivial.source_mean(joined)))
    if ceiling is not None:
        rows.append(pool.row(trivial.CEILING, trivial.other_scores(joined, ceiling)))
    elif len(joined.gold.seeds) > 1:
        # Seed against seed whatever the average: a mean over seeds has no other seed to be predicted by.
        by_seed = _pool(joined, ndcg, "metrics")
        rows.append(by_seed.paired_row(trivial.CEILING, trivial.other_seeds(joined)))
    return rows


def _random(pool: _Pool) -> _Row:
    """Return the expectation over all orders: that of a constant prediction; of correlations zero."""
    row = pool.row(trivial.RANDOM, trivial.constant(pool.joined))
    # Where the scores correlate with themselves, they are enough and not all the same.
    defined = np.isfinite(pool.paired_row(trivial.RANDOM, pool.scores).cells)
    for place, name in enumerate(pool.functions):
        if name in CORRELATIONS:
            row.cells[place] = np.where(defined[place], 0.0, np.nan)
    return row


def _place(reference: str | None, names: list[str]) -> int | None:
    if reference is None:
        return None
    if reference not in names:
        raise UsageError(f"there is no predictor '{reference}' to compare with.", f"there are {', '.join(names)}.")
    if len(names) == 1:
        raise UsageError(f"there is nothing to compare '{reference}' with.", "name another predictor.")
    return names.index(reference)


def _intervals(draws: Reals, targets: Counts) -> tuple[Reals, Reals]:
    """Return the ends of every predictor's and metric's interval. [P, M, B], [P, M] → twice [P, M]."""
    ends = np.full((2, *targets.shape), np.nan)
    for place in np.ndindex(*targets.shape):
        ends[:, *place] = interval(draws[place], int(targets[place]))
    return ends[0], ends[1]


def _comparison(
    name: str, per_target: Reals, differences: Reals, place: int, settings: EvaluationSettings
) -> Comparison:
    """Compare every predictor with the one at `place`."""
    paired = per_target - per_target[place]
    # What differs by rounding alone, as means over seeds do, must not become a difference that always has one sign.
    sizes = np.maximum(1.0, np.maximum(np.abs(per_target), np.abs(per_target[place])))
    paired[np.abs(paired) <= _ROUNDING * sizes] = 0.0
    paired[place] = np.nan
    targets = np.isfinite(paired).sum(axis=2)
    differences[place] = np.nan
    low, high = _intervals(differences, targets)
    flat = paired.reshape(-1, paired.shape[2])
    p = sign_flip(flat, settings.resamples, settings.seed).reshape(targets.shape)
    corrected = np.stack([holm(column) for column in p.T], axis=1)
    return Comparison(name, targets.astype(np.int64), mean_of_known(np.moveaxis(paired, 2, 0)), low, high, p, corrected)


def _ceiling_name(rows: list[_Row], ceiling: TransferScores | None) -> str:
    if all(row.name != trivial.CEILING for row in rows):
        return ""
    return "each seed predicted by the mean of the others" if ceiling is None else f"regime {ceiling.regimes[0]}"


def _choices(joined: JoinedScores, rows: list[_Row]) -> tuple[Choice, ...]:
    scores, candidates = joined.gold.values, joined.candidates
    found = []
    for place, target in enumerate(joined.targets):
        there = np.flatnonzero(candidates[:, place])
        best = scores[there, place].max() if there.size else np.nan
        found.append(
            Choice(
                target,
                len(there),
                _named(joined, there, scores[there, place]),
                float(best),
                tuple(_named(joined, there, row.values[there, place]) for row in rows),
            )
        )
    return tuple(found)


def _named(joined: JoinedScores, places: NDArray[np.intp], values: Reals) -> tuple[str, ...]:
    """Return the sources with the largest value; none where one is undefined, or there is no choice."""
    if not values.size or not np.isfinite(values).all():
        return ()
    return tuple(joined.sources[place] for place in places[values == values.max()])
