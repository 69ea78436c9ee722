"""Metrics that compare a predictor's ranking of the candidate sources of a target with the gold scores.

Every metric takes predictions x [..., n] and scores y [..., n] of the n candidates of a target, and returns an array
[...]. Larger predictions and larger scores are better. Leading axes broadcast, so that one call computes a metric of
all targets that have the same number of candidates. NaN means "undefined".

If predictions are tied, a metric that depends on the order of the tied sources is the mean over all their orders. A
constant prediction therefore has exactly the expected value of a random order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.types import Reals

Mask = NDArray[np.bool_]

#: Number of sources that NDCG@3 and Top-3 take into account.
DEPTH: Final = 3
#: Smallest number of candidates for a correlation; two points always correlate perfectly.
FEWEST_FOR_CORRELATION: Final = 3
#: Smallest number of candidates for metrics of a choice.
FEWEST: Final = 2
#: Largest share of the best score that a near-best source loses.
TOLERANCE: Final = 0.05
#: Numbers of first sources of which one should be near-best.
TRIES: Final = (1, 3, 10)
#: Share of the targets for which one of the sources to try should be near-best.
COVERAGE: Final = 0.9
#: LangRank's relevance of the best source. It decreases by one with each rank, down to zero.
LANGRANK_BEST: Final = 10
# Values with a smaller relative spread are treated as constant, because their differences are rounding errors.
_ROUNDING: Final = 1e-13


def pearson(x: Reals, y: Reals) -> Reals:
    """Return Pearson's r of predictions x and scores y.

    The value is NaN if x or y is constant, or if there are fewer than three candidates.
    """
    from scipy.stats import pearsonr

    return _correlation(x, y, lambda a, b: pearsonr(a, b, axis=-1).statistic)


def spearman(x: Reals, y: Reals) -> Reals:
    """Return Spearman's ρ, which is Pearson's r of the ranks of x and of y; NaN in the same cases as :func:`pearson`.

    Tied values have the mean of their ranks.
    """
    from scipy.stats import pearsonr, rankdata

    return _correlation(x, y, lambda a, b: pearsonr(rankdata(a, axis=-1), rankdata(b, axis=-1), axis=-1).statistic)


def kendall(x: Reals, y: Reals) -> Reals:
    """Return Kendall's τ-b of predictions x and scores y; NaN in the same cases as :func:`pearson`."""
    from scipy.stats import kendalltau

    return _correlation(x, y, lambda a, b: kendalltau(a, b, axis=-1).statistic)


def top_k(x: Reals, y: Reals, k: int = 1) -> Reals:
    """Return 1 if the source with the best score y is among the k sources with the largest predictions x, and 0 if not.

    If predictions are tied, the value is the probability over all orders of the tied sources. If several sources have
    the best score, it is enough that one of them is among the k.
    """
    probability: Reals = _rank_of_best(x, y)[..., :k].sum(axis=-1)
    return probability


def reciprocal_rank(x: Reals, y: Reals) -> Reals:
    """Return the reciprocal of the rank, by predictions x, of the source with the best score y.

    The mean over targets is the mean reciprocal rank (MRR).
    """
    probability = _rank_of_best(x, y)
    expected: Reals = (probability / np.arange(1, probability.shape[-1] + 1)).sum(axis=-1)
    return expected


def near_best(x: Reals, y: Reals) -> Reals:
    """Return, for k = 1 … n, 1 if one of the k sources with the largest predictions is near-best, and 0 if not.

    A source is near-best if it loses at most 5 % of the best score. If predictions are tied, the value is the
    probability over all orders of the tied sources. The values are NaN if the best score is not positive, because a
    share of it is then not defined.

    Returns:
        float64 [..., n].
    """
    best = y.max(axis=-1, keepdims=True)
    good = best - y <= TOLERANCE * best * (1 + _ROUNDING)
    reached = np.cumsum(_rank_of_first(x, good), axis=-1)
    found: Reals = np.where(best > 0, reached, np.nan)
    return found


def near_best_at(x: Reals, y: Reals, k: int = 1) -> Reals:
    """Return the value of :func:`near_best` for one k; if there are fewer than k candidates, for all candidates."""
    curve = near_best(x, y)
    value: Reals = curve[..., min(k, curve.shape[-1]) - 1]
    return value


def regret(x: Reals, y: Reals) -> Reals:
    """Return the best score minus the score of the source with the largest prediction, in the unit of y; 0 is perfect.

    If several sources have the largest prediction, their mean score is used.
    """
    lost: Reals = y.max(axis=-1) - followed_score(x, y)
    return lost


def followed_score(x: Reals, y: Reals) -> Reals:
    """Return the score of the source with the largest prediction; if several sources have it, their mean score."""
    best = x == x.max(axis=-1, keepdims=True)
    score: Reals = np.where(best, y, 0.0).sum(axis=-1) / best.sum(axis=-1)
    return score


def ndcg(x: Reals, y: Reals, variant: str = "rank-linear", k: int = DEPTH) -> Reals:
    """Return NDCG@k: Σ_{r≤k} gain_r / log2(r + 1), divided by the same sum for the best order.

    =============== =====================================================================================
    `rank-linear`   gain = rank of the score among the candidates: worst 1, best n, ties averaged (X-SNS)
    `score`         gain = the score itself, which must not be negative
    `exponential`   gain = 2^γ − 1; γ = 10 for the best source, 9 for the next …, 0 from the eleventh on
                    (LangRank: Lin et al. 2019)
    =============== =====================================================================================

    Each of several tied sources has the mean of their gains. The value equals `ndcg_score` of scikit-learn. If all
    gains are zero, both are 0.

    Args:
        x: Predictions [..., n].
        y: Scores [..., n].
        variant: The gain function.
        k: Number of ranks to take into account.

    Raises:
        UsageError: The variant is unknown, or a score is negative with the variant `score`.
    """
    if variant not in GAINS:
        raise UsageError(f"there is no variant of NDCG '{variant}'.", f"choose one of {', '.join(GAINS)}.")
    gain = GAINS[variant](y)
    # The summed discounts of the first r ranks, r = 0 … n.
    discounts = np.concatenate([[0.0], np.cumsum(_discounts(gain.shape[-1], k))])
    first, last = _tied_ranks(x)
    reached = (gain * (discounts[last] - discounts[first - 1]) / (last - first + 1)).sum(axis=-1)
    best = (-np.sort(-gain, axis=-1) * np.diff(discounts)).sum(axis=-1)
    value: Reals = np.divide(
        reached, best, out=np.zeros(np.broadcast_shapes(reached.shape, best.shape)), where=best > 0
    )
    return value


def _rank_gain(y: Reals) -> Reals:
    from scipy.stats import rankdata

    ranks: Reals = rankdata(y, axis=-1)
    return ranks


def _score_gain(y: Reals) -> Reals:
    if (y < 0).any():
        raise UsageError(
            "NDCG with gains equal to scores cannot have negative scores.",
            "use --ndcg rank-linear, which needs only the order of the scores.",
        )
    return y


def _exponential_gain(y: Reals) -> Reals:
    gain: Reals = np.exp2(np.maximum(LANGRANK_BEST + 1 - _rank_gain(-y), 0.0)) - 1.0
    return gain


#: {variant of NDCG: its gain function}.
GAINS: Final = MappingProxyType({"rank-linear": _rank_gain, "score": _score_gain, "exponential": _exponential_gain})


def _discounts(n: int, k: int) -> Reals:
    ranks = np.arange(1, n + 1)
    return np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)


def _correlation(x: Reals, y: Reals, statistic: Callable[[Reals, Reals], Reals]) -> Reals:
    """Return the correlation `statistic` of x and y where it is defined, and NaN where it is not.

    SciPy is called only where the correlation is defined, because it would warn of undefined values.
    """
    x, y = np.broadcast_arrays(x, y)
    defined = np.asarray(~(_constant(x) | _constant(y)) & (x.shape[-1] >= FEWEST_FOR_CORRELATION))
    correlation = np.full(defined.shape, np.nan)
    if defined.any():
        correlation[defined] = statistic(x[defined], y[defined])
    return correlation


def _constant(values: Reals) -> NDArray[np.bool_]:
    spread = np.ptp(values, axis=-1)
    constant: NDArray[np.bool_] = spread <= _ROUNDING * np.abs(values).max(axis=-1)
    return constant


def _tied_ranks(x: Reals) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the last rank that each source can have by predictions x [..., n], as two arrays [..., n].

    Rank 1 is the best.

    The two ranks differ only for tied sources.
    """
    from scipy.stats import rankdata

    first, last = (rankdata(-x, method=method, axis=-1).astype(np.intp) for method in ("min", "max"))
    return first, last


def _rank_of_best(x: Reals, y: Reals) -> Reals:
    """Return the probability that the highest-ranked best source has rank 1, 2, …, n: float64 [..., n].

    A best source is one with the best score.
    """
    return _rank_of_first(x, y == y.max(axis=-1, keepdims=True))


def _rank_of_first(x: Reals, best: Mask) -> Reals:
    """Return the probability that the highest-ranked source of a set has rank 1, 2, …, n: float64 [..., n].

    The ranking is divided into groups of tied predictions. Only the first group that contains a source of the set
    matters. Let a be the number of sources before this group, m the size of the group, and b the number of sources of
    the set in it. The probability that none of the first j sources of the group is in the set is
    Π_{i<j} (m − i − b) / (m − i).

    Args:
        x: Predictions [..., n].
        best: bool [..., n]: the set, which has at least one source.
    """
    x, best = np.broadcast_arrays(x, best)
    first, _ = _tied_ranks(x)
    start = np.where(best, first, x.shape[-1] + 1).min(axis=-1, keepdims=True)
    group = first == start
    tied = group.sum(axis=-1, keepdims=True)
    among = (group & best).sum(axis=-1, keepdims=True)
    # Rank r of all sources is rank j = r − a of the group.
    before = np.arange(x.shape[-1]) - (start - 1)
    inside = (before >= 0) & (before < tied)
    missed = np.where(inside, (tied - before - among).clip(0) / np.where(inside, tied - before, 1), 1.0)
    none_yet = np.cumprod(missed, axis=-1)
    probability: Reals = np.concatenate([np.ones_like(none_yet[..., :1]), none_yet[..., :-1]], axis=-1) - none_yet
    return probability


# ------------------------------------------------------------------------------------ all targets and seeds


OVER_ENGLISH: Final = "over-english"
#: Name of the number of sources to try, :mod:`xsns_stream.evaluation.sources_to_try`.
SOURCES_TO_TRY: Final = "sources-90"

Function = Callable[[Reals, Reals], Reals]


@dataclass(frozen=True)
class Metric:
    """A metric of an evaluation.

    Attributes:
        name: Its name in files.
        title: Its name in tables.
        function: Function that computes the metric from predictions and scores; None if it needs other inputs.
        in_unit: Whether the metric is in the unit of the gold scores; all other metrics have no unit.
        correlation: Whether the metric is a correlation, which is undefined for a constant prediction and zero on
            average for a random order.
        ndcg: The variant of NDCG; None for other metrics.
        cost: Whether the metric says how many sources a user has to try. These metrics follow all others.
        counts_sources: Whether the metric is a number of sources.
    """

    name: str
    title: str
    function: Function | None
    in_unit: bool = False
    correlation: bool = False
    ndcg: str | None = None
    cost: bool = False
    counts_sources: bool = False


def ndcg_name(variant: str) -> str:
    """Return the name of NDCG, which contains the variant, because the values of variants differ by tens of points."""
    return f"ndcg@{DEPTH}[{variant}]"


#: {name: metric}, in the order of the columns of a table.
METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric("pearson", "Pearson", pearson, correlation=True),
            Metric("spearman", "Spearman", spearman, correlation=True),
            Metric("kendall", "Kendall", kendall, correlation=True),
            Metric("top-1", "Top-1", lambda x, y: top_k(x, y, 1)),
            Metric("top-3", "Top-3", lambda x, y: top_k(x, y, 3)),
            *(
                Metric(ndcg_name(variant), f"NDCG@{DEPTH}[{variant}]", partial(ndcg, variant=variant), ndcg=variant)
                for variant in GAINS
            ),
            Metric("mrr", "MRR", reciprocal_rank),
            Metric("regret", "regret", regret, in_unit=True),
            Metric(OVER_ENGLISH, "over English", None, in_unit=True),
            *(Metric(f"near-best@{k}", f"near-best@{k}", partial(near_best_at, k=k), cost=True) for k in TRIES),
            Metric(SOURCES_TO_TRY, "sources for 90 %", None, cost=True, counts_sources=True),
        )
    }
)
CORRELATIONS: Final = tuple(metric.name for metric in METRICS.values() if metric.correlation)


def metric_functions(ndcg_variant: str, *, cost: bool = False) -> dict[str, Function]:
    """Return {name: function} of the metrics in the order of the columns of a table.

    If `cost` is True, they are the metrics that say how many sources a user has to try, and otherwise all other
    metrics. Only the variant `ndcg_variant` of NDCG is included. Metrics that need other inputs than predictions and
    scores are left out.
    """
    return {
        metric.name: metric.function
        for metric in METRICS.values()
        if metric.function is not None and metric.ndcg in (None, ndcg_variant) and metric.cost is cost
    }


def measure(x: Reals, y: Reals, candidates: Mask, functions: dict[str, Function]) -> Reals:
    """Return every metric of every target, for each pair of a prediction seed and a gold seed.

    The metrics of a target are undefined if the target has fewer than two candidates, or if the predictor has no value
    for a candidate. Such a candidate is not left out, because the remaining candidates would be easier to rank than
    those of the other predictors.

    Args:
        x: Predictions [R, S, T] with R seeds.
        y: Scores [Q, S, T] with Q seeds.
        candidates: bool [Q, S, T]: whether a source is a candidate; the same for all predictors.
        functions: M metrics, from :func:`metric_functions`.

    Returns:
        float64 [M, T, R, Q].
    """
    values = np.full((len(functions), x.shape[2], len(x), len(y)), np.nan)
    for gold in range(len(y)):
        for targets, sources in by_candidate_count(candidates[gold], ~incomplete(x, candidates[gold])):
            predicted = x[:, sources, targets[:, None]]
            scores = y[gold][sources, targets[:, None]]
            for index, function in enumerate(functions.values()):
                values[index, targets, :, gold] = function(predicted, scores[None]).T
    return values


def incomplete(x: Reals, candidates: Mask) -> Mask:
    """Return, for each target, whether a prediction of one of its candidates is NaN: bool [T].

    Args:
        x: Predictions [R, S, T].
        candidates: bool [S, T]: whether a source is a candidate for a target.
    """
    lacking = candidates & ~np.isfinite(x).all(axis=0)
    return np.asarray(lacking.any(axis=0))


def by_candidate_count(candidates: Mask, usable: Mask) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield groups of targets that have the same number of candidates n, from the smallest n.

    Args:
        candidates: bool [S, T]: whether a source is a candidate for a target.
        usable: bool [T]: whether a target is included.

    Yields:
        Indices of the N targets of a group [N], and indices of the candidates of each target [N, n].
    """
    sizes = np.where(usable, candidates.sum(axis=0), 0)
    for size in np.unique(sizes[sizes >= FEWEST]):
        targets = np.flatnonzero(sizes == size)
        # `nonzero` of the transpose gives the sources target by target, in order.
        sources = np.nonzero(candidates[:, targets].T)[1].reshape(len(targets), size)
        yield targets, sources
