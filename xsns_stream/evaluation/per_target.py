"""Metrics of one predictor on every target and pair of seeds.

Index letters: R seeds of the prediction, Q seeds of the gold scores, S sources, T targets, M metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.evaluation import metrics
from xsns_stream.types import Reals

#: Correlations of a constant prediction are undefined; those of random order are zero on average.
CORRELATIONS: Final = ("pearson", "spearman", "kendall")
OVER_ENGLISH: Final = "over-english"
#: All others are better when larger.
SMALLER_IS_BETTER: Final = frozenset({"regret"})

Mask = NDArray[np.bool_]
Metric = Callable[[Reals, Reals], Reals]


def ndcg_name(variant: str) -> str:
    """Return what NDCG is called: never without its variant, which moves it by tens of points."""
    return f"ndcg@{metrics.DEPTH}[{variant}]"


def metric_functions(ndcg: str) -> dict[str, Metric]:
    """Return the metrics of one target's candidates by name, in the order of the tables."""
    return {
        "pearson": metrics.pearson,
        "spearman": metrics.spearman,
        "kendall": metrics.kendall,
        "top-1": lambda x, y: metrics.top_k(x, y, 1),
        "top-3": lambda x, y: metrics.top_k(x, y, 3),
        ndcg_name(ndcg): lambda x, y: metrics.ndcg(x, y, ndcg),
        "mrr": metrics.reciprocal_rank,
        "regret": metrics.regret,
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
    for size in np.unique(sizes[sizes >= metrics.FEWEST]):
        targets = np.flatnonzero(sizes == size)
        # nonzero of the transpose goes target by target, sources in order.
        sources = np.nonzero(candidates[:, targets].T)[1].reshape(len(targets), size)
        yield targets, sources
