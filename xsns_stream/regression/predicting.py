"""Solutions → predicted scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.regression.design import Design
from xsns_stream.types import Reals
from xsns_stream.types.regressions import PredictedScores, Regression, Solution

#: Probability that lies below the upper end of a 95 % interval.
UPPER: Final = 0.975
#: Between which ends a score of a unit lies.
_BOUNDS: Final = {"percent": (0.0, 100.0), "fraction": (0.0, 1.0)}


def predict(
    regression: Regression,
    similarities: Mapping[str, Sequence[float] | Reals],
    target: str,
    sources: Sequence[str] | None = None,
) -> PredictedScores:
    """Predict the scores of sources for one target, which the regression need not know.

    A language that the regression does not know gets the mean intercept, 0, and an interval that is wider by the
    variance between languages. An interval is for the score of one further fine-tuning run, not for a mean; it ends
    where the unit does.

    Args:
        regression: As fitted.
        similarities: {predictor: float64 [S]}, all predictors of the regression; others are ignored.
        target: A normalised code.
        sources: S normalised codes; those of the regression where left out.

    Raises:
        UsageError: A predictor is missing, or has another number of values than there are sources.
    """
    codes = regression.fitted.sources if sources is None else tuple(sources)
    missing = [name for name in regression.predictors if name not in similarities]
    if missing:
        raise UsageError(f"the regression needs the predictor '{missing[0]}', which was not given.")
    values = [np.asarray(similarities[name], np.float64) for name in regression.predictors]
    if any(value.shape != (len(codes),) for value in values):
        raise UsageError(f"{len(codes)} sources need as many values of each predictor.")
    lines = np.stack([np.ones(len(codes)), *values], axis=1)
    found = intervals(regression.solution, lines, codes, [target] * len(codes))
    # A line knows no bounds, but a percentage has some.
    mean, low, high = (np.clip(values, *_BOUNDS.get(regression.unit, (None, None))) for values in found)
    return PredictedScores(target, codes, mean, low, high, target in regression.fitted.targets, regression.unit)


def intervals(
    solution: Solution, lines: Reals, sources: Sequence[str], targets: Sequence[str]
) -> tuple[Reals, Reals, Reals]:
    """Return predicted scores and the ends of their 95 % intervals, float64 [n] each.

    Args:
        solution: A fitted model.
        lines: float64 [n, P]: one, then the predictors in their units; NaN where unknown.
        sources: n codes.
        targets: n codes.
    """
    from scipy.stats import t as student

    labels = {"target": targets, "source": sources}
    count, width = lines.shape
    # A line's own coefficients: all of the predictors, and one random intercept of each factor, with weight 1 or 0.
    places = np.tile(np.arange(width + len(solution.effects)), (count, 1))
    weights = np.hstack((lines, np.ones((count, len(solution.effects)))))
    unknown, degrees = np.zeros(count), np.full(count, solution.degrees)
    first = width
    for column, (factor, effects) in enumerate(solution.effects.items(), start=width):
        known = {code: first + place for place, code in enumerate(effects.labels)}
        found = np.array([known.get(code, -1) for code in labels[factor]], np.int64).reshape(count)
        new = found < 0
        places[:, column] = np.where(new, first, found)
        weights[new, column] = 0.0
        unknown[new] += effects.variance
        degrees[new] = np.minimum(degrees[new], solution.degrees_new[factor])
        first += len(effects.labels)
    values = np.concatenate([solution.coefficients, *(effects.values for effects in solution.effects.values())])
    mean: Reals = (weights * values[places]).sum(axis=1)
    covariance = solution.covariance[places[:, :, None], places[:, None, :]]
    variance = np.einsum("ni,nij,nj->n", weights, covariance, weights) + unknown + solution.residual_variance
    reach = student.ppf(UPPER, degrees) * np.sqrt(variance)
    return mean, mean - reach, mean + reach


def predicted_pairs(design: Design, solution: Solution) -> tuple[Reals, Reals, Reals]:
    """Return predictions of all pairs of a design with their ends, float64 [n] each, source by source.

    Args:
        design: The pairs.
        solution: Fitted to these, or to others with the same predictors.
    """
    rows, columns = np.nonzero(design.pairs)
    _, lines = design.lines()
    in_units = np.hstack((lines[:, :1], lines[:, 1:] * design.scale + design.centre))
    sources = [design.sources[row] for row in rows]
    targets = [design.targets[column] for column in columns]
    return intervals(solution, in_units, sources, targets)
