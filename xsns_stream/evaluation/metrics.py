"""How well predicted similarities order one target's sources; usable alone.

Index letters: n candidates, the sources that compete for one target, on the last axis. Every function takes
x, the predictions [..., n], and y, the scores [..., n], both larger is better, and returns [...]; leading axes
broadcast, so that all targets with as many candidates go through in one call. NaN is "undefined", never a bad value.

Ties among predictions: whatever depends on which tied source comes first is the expectation over their orders, all
equally likely. A constant prediction therefore gets exactly what random order gives on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.types import Reals

#: Sources that NDCG@3 and Top-3 look at.
DEPTH: Final = 3
#: Two points correlate perfectly whatever they are.
FEWEST_FOR_CORRELATION: Final = 3
#: One candidate is no choice.
FEWEST: Final = 2
#: LangRank's relevance of the best source; one less for each place, none below.
LANGRANK_BEST: Final = 10
# Where all values differ by no more than rounding leaves, a correlation would be that of the rounding.
_ROUNDING: Final = 1e-13


def pearson(x: Reals, y: Reals) -> Reals:
    """Return Pearson's r; NaN where x or y is constant, or for fewer than three candidates."""
    from scipy.stats import pearsonr

    return _correlation(x, y, lambda a, b: pearsonr(a, b, axis=-1).statistic)


def spearman(x: Reals, y: Reals) -> Reals:
    """Return Spearman's ρ, Pearson's r of the ranks, ties averaged; NaN as for :func:`pearson`."""
    from scipy.stats import pearsonr, rankdata

    return _correlation(x, y, lambda a, b: pearsonr(rankdata(a, axis=-1), rankdata(b, axis=-1), axis=-1).statistic)


def kendall(x: Reals, y: Reals) -> Reals:
    """Return Kendall's τ-b; NaN as for :func:`pearson`."""
    from scipy.stats import kendalltau

    return _correlation(x, y, lambda a, b: kendalltau(a, b, axis=-1).statistic)


def top_k(x: Reals, y: Reals, k: int = 1) -> Reals:
    """Return 1 where the best source is among the first k predicted, else 0; a share where predictions are tied.

    Where several sources have the best score, one of them is enough.
    """
    places: Reals = _best_place(x, y)[..., :k].sum(axis=-1)
    return places


def reciprocal_rank(x: Reals, y: Reals) -> Reals:
    """Return 1 / the place at which the best source is predicted; their mean over targets is the MRR."""
    places = _best_place(x, y)
    found: Reals = (places / np.arange(1, places.shape[-1] + 1)).sum(axis=-1)
    return found


def regret(x: Reals, y: Reals) -> Reals:
    """Return the best score less the score of the source predicted best, in the unit of y; 0 is perfect.

    The mean over the sources that are tied for the best prediction.
    """
    lost: Reals = y.max(axis=-1) - followed_score(x, y)
    return lost


def followed_score(x: Reals, y: Reals) -> Reals:
    """Return the score of the source predicted best; the mean where several are tied for it."""
    best = x == x.max(axis=-1, keepdims=True)
    score: Reals = np.where(best, y, 0.0).sum(axis=-1) / best.sum(axis=-1)
    return score


def ndcg(x: Reals, y: Reals, variant: str = "rank-linear", k: int = DEPTH) -> Reals:
    """Return NDCG@k: Σ_{r≤k} gain_r / log2(r + 1), over the same for the best order.

    =============== =====================================================================================
    `rank-linear`   gain = rank of the score among the candidates, worst 1, best n, ties averaged (X-SNS)
    `score`         gain = the score itself, which must not be negative
    `exponential`   gain = 2^γ − 1, γ = 10 for the best source, 9 for the next …, 0 from the eleventh on
                    (LangRank: Lin et al. 2019)
    =============== =====================================================================================

    Tied predictions share the mean of their gains, as in scikit-learn's `ndcg_score`, whose value this is. Where all
    gains are zero there is nothing to find: 0, as there.

    Args:
        x: Predictions [..., n].
        y: Scores [..., n].
        variant: How a score becomes a gain.
        k: Places that count.

    Raises:
        UsageError: No variant has this name, or `score` meets a negative score.
    """
    if variant not in GAINS:
        raise UsageError(f"there is no NDCG '{variant}'.", f"it is one of {', '.join(GAINS)}.")
    gain = GAINS[variant](y)
    # One beyond the end: the discounts of the first r places, from none to all.
    discounts = np.concatenate([[0.0], np.cumsum(_discounts(gain.shape[-1], k))])
    first, last = _tied_places(x)
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
            "NDCG on scores needs scores that are not negative.",
            "take --ndcg rank-linear, which needs their order alone.",
        )
    return y


def _exponential_gain(y: Reals) -> Reals:
    gain: Reals = np.exp2(np.maximum(LANGRANK_BEST + 1 - _rank_gain(-y), 0.0)) - 1.0
    return gain


#: How a score becomes a gain, by the name of the variant.
GAINS: Final = MappingProxyType({"rank-linear": _rank_gain, "score": _score_gain, "exponential": _exponential_gain})


def _discounts(n: int, k: int) -> Reals:
    places = np.arange(1, n + 1)
    return np.where(places <= k, 1.0 / np.log2(places + 1.0), 0.0)


def _correlation(x: Reals, y: Reals, statistic: Callable[[Reals, Reals], Reals]) -> Reals:
    """Return a statistic where it is defined; SciPy never sees the rest, so that it has nothing to warn of."""
    x, y = np.broadcast_arrays(x, y)
    defined = np.asarray(~(_constant(x) | _constant(y)) & (x.shape[-1] >= FEWEST_FOR_CORRELATION))
    found = np.full(defined.shape, np.nan)
    if defined.any():
        found[defined] = statistic(x[defined], y[defined])
    return found


def _constant(values: Reals) -> NDArray[np.bool_]:
    spread = np.ptp(values, axis=-1)
    constant: NDArray[np.bool_] = spread <= _ROUNDING * np.abs(values).max(axis=-1)
    return constant


def _tied_places(x: Reals) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the last place that each source may have, best 1. [..., n] each."""
    from scipy.stats import rankdata

    first, last = (rankdata(-x, method=method, axis=-1).astype(np.intp) for method in ("min", "max"))
    return first, last


def _best_place(x: Reals, y: Reals) -> Reals:
    """Return the probability that the first of the best sources stands at each place. [..., n].

    Only the first group of tied predictions that holds a best source matters: after a sources come m tied ones, b of
    them best. The first best stands beyond the j-th of these with Π_{i<j} (m − i − b) / (m − i).
    """
    x, y = np.broadcast_arrays(x, y)
    first, _ = _tied_places(x)
    best = y == y.max(axis=-1, keepdims=True)
    start = np.where(best, first, x.shape[-1] + 1).min(axis=-1, keepdims=True)
    group = first == start
    tied = group.sum(axis=-1, keepdims=True)
    among = (group & best).sum(axis=-1, keepdims=True)
    # Place r of all is place j = r − a of the group.
    before = np.arange(x.shape[-1]) - (start - 1)
    inside = (before >= 0) & (before < tied)
    missed = np.where(inside, (tied - before - among).clip(0) / np.where(inside, tied - before, 1), 1.0)
    beyond = np.cumprod(missed, axis=-1)
    places: Reals = np.concatenate([np.ones_like(beyond[..., :1]), beyond[..., :-1]], axis=-1) - beyond
    return places


#: Correlations of a constant prediction are undefined; those of random order are zero on average.
CORRELATIONS: Final = ("pearson", "spearman", "kendall")
OVER_ENGLISH: Final = "over-english"
#: All others are better when larger.
SMALLER_IS_BETTER: Final = frozenset({"regret"})

Mask = NDArray[np.bool_]
Metric = Callable[[Reals, Reals], Reals]


def ndcg_name(variant: str) -> str:
    """Return what NDCG is called: never without its variant, which moves it by tens of points."""
    return f"ndcg@{DEPTH}[{variant}]"


def metric_functions(ndcg_variant: str) -> dict[str, Metric]:
    """Return the metrics of one target's candidates by name, in the order of the tables."""
    return {
        "pearson": pearson,
        "spearman": spearman,
        "kendall": kendall,
        "top-1": lambda x, y: top_k(x, y, 1),
        "top-3": lambda x, y: top_k(x, y, 3),
        ndcg_name(ndcg_variant): lambda x, y: ndcg(x, y, ndcg_variant),
        "mrr": reciprocal_rank,
        "regret": regret,
    }


def measure(x: Reals, y: Reals, candidates: Mask, functions: dict[str, Metric]) -> Reals:
    """Return every metric of every target and pair of seeds.

    A target is undefined where fewer than two sources compete, and where the predictor says nothing of one that
    does: fewer candidates would be an easier question than the one the other predictors answer.

    Args:
        x: Predictions [R, S, T].
        y: Scores [Q, S, T].
        candidates: [Q, S, T]: which sources compete, the same for all predictors.
        functions: From :func:`metric_functions`.

    Returns:
        float64 [M, T, R, Q].
    """
    found = np.full((len(functions), x.shape[2], len(x), len(y)), np.nan)
    for gold in range(len(y)):
        silent = (candidates[gold] & ~np.isfinite(x).all(axis=0)).any(axis=0)
        for targets, sources in _alike(candidates[gold], ~silent):
            predicted = x[:, sources, targets[:, None]]
            scores = y[gold][sources, targets[:, None]]
            for place, function in enumerate(functions.values()):
                found[place, targets, :, gold] = function(predicted, scores[None]).T
    return found


def _alike(candidates: Mask, usable: Mask) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield targets with as many candidates each, [N], and their candidates, [N, n]: one call of a metric for all."""
    sizes = np.where(usable, candidates.sum(axis=0), 0)
    for size in np.unique(sizes[sizes >= FEWEST]):
        targets = np.flatnonzero(sizes == size)
        # nonzero of the transpose goes target by target, sources in order.
        sources = np.nonzero(candidates[:, targets].T)[1].reshape(len(targets), size)
        yield targets, sources
