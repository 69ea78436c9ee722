"""Regression of gold scores on predictors: fits, held-out prediction errors, predicted scores and calibration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np

from xsns_stream.align_scores import join
from xsns_stream.errors import UsageError
from xsns_stream.regression.design import Design, collinearity_notes, design_of
from xsns_stream.regression.solvers import solve_mixed, solve_ols
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.regressions import (
    IN_SAMPLE,
    LEFT_OUT_SOURCE,
    LEFT_OUT_TARGET,
    Coefficient,
    PredictedScores,
    PredictionError,
    Regression,
    Solution,
)
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores

#: Probability of a value below the upper end of a 95 % interval.
UPPER: Final = 0.975
#: {unit: range of its scores}.
_BOUNDS: Final = {"percent": (0.0, 100.0), "fraction": (0.0, 1.0)}


def predict(
    regression: Regression,
    similarities: Mapping[str, Sequence[float] | Reals],
    target: str,
    sources: Sequence[str] | None = None,
) -> PredictedScores:
    """Predict the scores of sources for one target.

    A language that was not in the fitted pairs has no estimated random intercept. The mean of the random intercepts,
    which is 0, is used instead, and the interval is wider by the variance between languages. The interval is a
    prediction interval for the score of one further fine-tuning run, not a confidence interval for a mean. Scores and
    intervals are clipped to the range of the unit.

    Args:
        regression: A fitted regression.
        similarities: {predictor: float64 [S], its value for each source}. All predictors of the regression are needed;
            others are ignored.
        target: A normalised code; the target may be new.
        sources: S normalised codes; by default the sources of the regression.

    Raises:
        UsageError: A predictor is missing, or does not have one value for each source.
    """
    codes = regression.fitted.sources if sources is None else tuple(sources)
    missing = [name for name in regression.predictors if name not in similarities]
    if missing:
        raise UsageError(
            f"the regression needs the predictor '{missing[0]}', which was not given.",
            f"give all predictors: {', '.join(regression.predictors)}.",
        )
    values = [np.asarray(similarities[name], np.float64) for name in regression.predictors]
    if any(value.shape != (len(codes),) for value in values):
        raise UsageError(f"each predictor must have {len(codes)} values, one for each source.")
    regressors = np.stack([np.ones(len(codes)), *values], axis=1)
    predicted = intervals(regression.solution, regressors, codes, [target] * len(codes))
    mean, low, high = (np.clip(values, *_BOUNDS.get(regression.unit, (None, None))) for values in predicted)
    return PredictedScores(target, codes, mean, low, high, target in regression.fitted.targets, regression.unit)


def intervals(
    solution: Solution, regressors: Reals, sources: Sequence[str], targets: Sequence[str]
) -> tuple[Reals, Reals, Reals]:
    """Return predicted scores, and the lower and upper ends of their 95 % prediction intervals, float64 [n] each.

    Args:
        solution: A fitted model.
        regressors: float64 [n, P]: the constant 1, then the predictors in their units; NaN if unknown.
        sources: n codes, the source of each pair.
        targets: n codes, the target of each pair.
    """
    from scipy.stats import t as student

    labels = {"target": targets, "source": sources}
    count, width = regressors.shape
    # A prediction uses all coefficients and one random intercept of each factor, with weight 1, or 0 for a new
    # language.
    indices = np.tile(np.arange(width + len(solution.effects)), (count, 1))
    weights = np.hstack((regressors, np.ones((count, len(solution.effects)))))
    unknown, degrees = np.zeros(count), np.full(count, solution.degrees)
    first = width
    for column, (factor, effects) in enumerate(solution.effects.items(), start=width):
        known = {code: first + index for index, code in enumerate(effects.labels)}
        intercepts = np.array([known.get(code, -1) for code in labels[factor]], np.int64).reshape(count)
        new = intercepts < 0
        indices[:, column] = np.where(new, first, intercepts)
        weights[new, column] = 0.0
        unknown[new] += effects.variance
        degrees[new] = np.minimum(degrees[new], solution.degrees_new[factor])
        first += len(effects.labels)
    values = np.concatenate([solution.coefficients, *(effects.values for effects in solution.effects.values())])
    mean: Reals = (weights * values[indices]).sum(axis=1)
    covariance = solution.covariance[indices[:, :, None], indices[:, None, :]]
    variance = np.einsum("ni,nij,nj->n", weights, covariance, weights) + unknown + solution.residual_variance
    reach = student.ppf(UPPER, degrees) * np.sqrt(variance)
    return mean, mean - reach, mean + reach


def predicted_pairs(design: Design, solution: Solution) -> tuple[Reals, Reals, Reals]:
    """Return the predictions for all pairs of a design, and the lower and upper ends of their intervals.

    Each of the three arrays is float64 [n].

    Args:
        design: The pairs; results are ordered by source and then by target.
        solution: A fit to these pairs, or to other pairs with the same predictors.
    """
    rows, columns = np.nonzero(design.pairs)
    _, regressors = design.flat()
    in_units = np.hstack((regressors[:, :1], regressors[:, 1:] * design.scale + design.centre))
    sources = [design.sources[row] for row in rows]
    targets = [design.targets[column] for column in columns]
    return intervals(solution, in_units, sources, targets)


MODELS: Final = ("ols", "mixed")
#: {value of --random: factors with random intercepts}.
RANDOM: Final = {"target": ("target",), "crossed": ("target", "source")}
_HELD_OUT_FACTOR: Final = {LEFT_OUT_TARGET: "target", LEFT_OUT_SOURCE: "source"}


class _Predicted(NamedTuple):
    """Predictions and their intervals on the grid, float64 [S, T] each; NaN for pairs without a prediction."""

    mean: Reals
    low: Reals
    high: Reals


def fit(
    joined: JoinedScores,
    model: str = "ols",
    random: str = "target",
    *,
    left_out: Sequence[str] = (LEFT_OUT_TARGET, LEFT_OUT_SOURCE),
) -> Regression:
    """Fit a regression of the gold scores of all candidate pairs on all predictors.

    Scores and predictors are averaged over seeds. For leave-one-target-out (or leave-one-source-out) predictions, each
    target (or source) is held out in turn, and the whole model, with its variances, is fitted to the other pairs.

    Args:
        joined: Aligned scores and predictors.
        model: `ols`, or `mixed` for random intercepts.
        random: For `mixed`: `target`, or `crossed` for targets and sources.
        left_out: The held-out predictions to compute: LEFT_OUT_TARGET, LEFT_OUT_SOURCE, both or none.

    Raises:
        UsageError: The model is unknown, or the pairs do not determine its coefficients (see :func:`design.design_of`).

    Source:
        Yun et al. (2023), section 4.3: regression on similarity with the in-sample error; de Vries et al. (2022):
        models with crossed intercepts.
    """
    if model not in MODELS or random not in RANDOM:
        raise UsageError(
            f"there is no model '{model}' with random intercepts '{random}'.",
            f"models are {', '.join(MODELS)}; random intercepts are {', '.join(RANDOM)}.",
        )
    factors = RANDOM[random] if model == "mixed" else ()
    design = design_of(joined)
    solution = _solve(design, factors)
    fitted = _on_grid(design, *predicted_pairs(design, solution))
    scores = np.where(design.pairs, design.scores, np.nan)
    held_out = {way: _predict_held_out(design, factors, _HELD_OUT_FACTOR[way], solution) for way in left_out}
    marginal, conditional = _explained(design, solution, fitted)
    gold = joined.gold
    return Regression(
        model,
        factors,
        design.names,
        _coefficients(design, solution),
        solution,
        scores,
        _matrix(design, fitted, "fitted"),
        {way: _matrix(design, predicted, way) for way, predicted in held_out.items()},
        tuple(_errors(design, factors, fitted, held_out)),
        marginal,
        conditional,
        gold.task,
        gold.metric,
        gold.unit,
        (*joined.notes, *_notes(design, factors, solution, held_out)),
    )


def _solve(design: Design, factors: Sequence[str], start: Solution | None = None) -> Solution:
    if not factors:
        return solve_ols(design)
    return solve_mixed(design, factors, None if start is None else _ratios(start))


def _ratios(solution: Solution) -> dict[str, float]:
    return {
        factor: float(np.sqrt(effects.variance / solution.residual_variance))
        for factor, effects in solution.effects.items()
    }


def _on_grid(design: Design, *flat: Reals) -> _Predicted:
    grids = []
    for values in flat:
        grid = np.full(design.pairs.shape, np.nan)
        grid[design.pairs] = values
        grids.append(grid)
    return _Predicted(*grids)


def _matrix(design: Design, predicted: _Predicted, name: str) -> SimilarityMatrix:
    return SimilarityMatrix(design.sources, design.targets, predicted.mean, name)


# --------------------------------------------------------------------------------- held-out predictions


def _predict_held_out(design: Design, factors: Sequence[str], factor: str, start: Solution) -> _Predicted:
    """Predict the scores of each target (or source) from a fit to the pairs of all other targets (or sources).

    The predictions for a language are NaN if the other pairs do not determine the model.

    Args:
        design: All pairs.
        factors: The factors with random intercepts; empty for ordinary least squares.
        factor: `target` or `source`: the languages that are left out in turn.
        start: The fit to all pairs, from which the search for each fit starts.
    """
    predicted = _Predicted(*(np.full(design.pairs.shape, np.nan) for _ in range(3)))
    for index in range(design.pairs.shape[1 if factor == "target" else 0]):
        training = design.without(factor, index)
        if not training.determined():
            continue
        held_out = replace(design, pairs=design.pairs & ~training.pairs)
        for grid, values in zip(predicted, predicted_pairs(held_out, _solve(training, factors, start)), strict=True):
            grid[held_out.pairs] = values
    return predicted


def _training_mean(design: Design, factor: str | None) -> Reals:
    """Return the mean training score for each pair, float64 [S, T].

    The training pairs are all pairs if `factor` is None, and otherwise the pairs of the other targets (or sources).
    """
    scores = np.where(design.pairs, design.scores, 0.0)
    if factor is None:
        return np.full(design.pairs.shape, scores.sum() / design.count)
    axis = 0 if factor == "target" else 1
    total, count = (part.sum(axis=axis, keepdims=True) for part in (scores, design.pairs))
    mean: Reals = np.broadcast_to((scores.sum() - total) / (design.count - count), design.pairs.shape)
    return mean


def _errors(
    design: Design, factors: Sequence[str], fitted: _Predicted, held_out: Mapping[str, _Predicted]
) -> Iterator[PredictionError]:
    intercepts = design.without_predictors()
    solution = _solve(intercepts, factors)
    baseline = _on_grid(intercepts, *predicted_pairs(intercepts, solution)).mean
    yield _error(IN_SAMPLE, design, fitted, baseline, _training_mean(design, None))
    for way, predicted in held_out.items():
        factor = _HELD_OUT_FACTOR[way]
        baseline = _predict_held_out(intercepts, factors, factor, solution).mean
        yield _error(way, design, predicted, baseline, _training_mean(design, factor))


def _error(way: str, design: Design, predicted: _Predicted, baseline: Reals, mean: Reals) -> PredictionError:
    """Return the errors of three predictions: the model, the model without predictors (`baseline`), and the mean score.

    Args:
        way: In-sample, leave-one-target-out or leave-one-source-out.
        design: The pairs and their scores.
        predicted: Predictions of the model.
        baseline: Predictions of the model without predictors, float64 [S, T].
        mean: The mean training score for each pair, float64 [S, T].
    """
    known = design.pairs & np.isfinite(predicted.mean)
    scores = design.scores[known]
    if not known.any():
        return PredictionError(way, float("nan"), float("nan"), float("nan"), float("nan"), 0)
    inside = (predicted.low[known] <= scores) & (scores <= predicted.high[known])
    coverage = float("nan") if way == IN_SAMPLE else float(inside.mean())
    rmse, rmse_baseline, rmse_mean = (
        float(np.sqrt(np.square(grid[known] - scores).mean())) for grid in (predicted.mean, baseline, mean)
    )
    return PredictionError(way, rmse, rmse_baseline, rmse_mean, coverage, int(known.sum()))


# ------------------------------------------------------------------------------- coefficients, R², notes


def _coefficients(design: Design, solution: Solution) -> tuple[Coefficient, ...]:
    from scipy.stats import t as student

    deviation = float(design.flat()[0].std())
    coefficients = []
    for index, name in enumerate(("intercept", *design.names)):
        estimate, error = float(solution.coefficients[index]), float(np.sqrt(solution.covariance[index, index]))
        degrees = _degrees(design, solution, name)
        reach = float(student.ppf(UPPER, degrees)) * error
        p_value = 2 * float(student.sf(abs(estimate) / error, degrees)) if error else float("nan")
        standardised = estimate * float(design.scale[index - 1]) / deviation if index else float("nan")
        coefficients.append(
            Coefficient(name, estimate, error, estimate - reach, estimate + reach, p_value, degrees, standardised)
        )
    return tuple(coefficients)


def _degrees(design: Design, solution: Solution, name: str) -> float:
    """Return the degrees of freedom of the interval of the coefficient called `name`.

    In a mixed model, a predictor that is constant over the pairs of each target counts as one observation for each
    target, and a predictor that is constant over the pairs of each source as one observation for each source. This is
    the containment method of Pinheiro and Bates (2000, section 2.4.2).
    """
    if not solution.effects:
        return solution.degrees
    levels = {factor: _constant_within(design, factor) for factor in solution.effects}
    known = {factor: len(effects.labels) for factor, effects in solution.effects.items()}
    if name == "intercept":
        return float(max(1, min(known[factor] - len(levels[factor]) - 1 for factor in known)))
    for factor, names in levels.items():
        if name in names:
            return float(max(1, known[factor] - len(names) - 1))
    inner = len(design.names) - sum(map(len, levels.values()))
    return float(max(1, design.count - sum(known.values()) - inner))


def _constant_within(design: Design, factor: str) -> list[str]:
    """Return the names of the predictors whose value depends only on the target (or source, as `factor` says)."""
    return [name for name in design.names if not design.varies(name, within=factor)]


def _explained(design: Design, solution: Solution, fitted: _Predicted) -> tuple[float, float]:
    """Return the marginal and the conditional R² of a solution (Nakagawa and Schielzeth 2013).

    For ordinary least squares, both values are the usual R².
    """
    scores, regressors = design.flat()
    if not solution.effects:
        share = 1.0 - float(
            np.square(fitted.mean[design.pairs] - scores).sum() / np.square(scores - scores.mean()).sum()
        )
        return share, share
    in_units = regressors[:, 1:] * design.scale + design.centre
    fixed = float((in_units @ solution.coefficients[1:]).var())
    between = sum(effects.variance for effects in solution.effects.values())
    total = fixed + between + solution.residual_variance
    return fixed / total, (fixed + between) / total


def _notes(
    design: Design, factors: Sequence[str], solution: Solution, held_out: Mapping[str, _Predicted]
) -> Iterator[str]:
    yield from collinearity_notes(design)
    for factor, effects in solution.effects.items():
        if effects.variance == 0:
            yield f"the variance of the random intercepts of {factor}s is estimated as zero."
    if factors == ("target",):
        for name in _constant_within(design, "source"):
            yield (
                f"'{name}' is a property of the source, but this model treats the pairs of one source as independent: "
                "its interval is too narrow. Use crossed random intercepts for a valid interval."
            )
    for way, predicted in held_out.items():
        factor = _HELD_OUT_FACTOR[way]
        axis = 0 if factor == "target" else 1
        lacking = (design.pairs & ~np.isfinite(predicted.mean)).any(axis=axis)
        labels = design.targets if factor == "target" else design.sources
        codes = [labels[index] for index in np.flatnonzero(lacking)]
        if codes:
            yield f"{way}: no prediction for {', '.join(codes)}, because the other pairs do not determine the model."


@dataclass(frozen=True)
class Calibration:
    """A regression of gold scores on one similarity, which converts similarities to expected scores.

    Attributes:
        regression: Regression of the scores on the similarity, with random intercepts of targets and sources.
        predictor: Name of its only predictor.
    """

    regression: Regression
    predictor: str

    @property
    def unit(self) -> str:
        """Unit of the predicted scores."""
        return self.regression.unit

    @property
    def pairs(self) -> int:
        """Number of fitted pairs."""
        return self.regression.pairs

    @property
    def slope(self) -> float:
        """Change of the score for one unit of similarity."""
        return self.regression[self.predictor].estimate

    @property
    def rmse_left_out(self) -> float:
        """Leave-one-target-out root mean squared error; NaN if no target could be held out."""
        return self.regression.error(LEFT_OUT_TARGET).rmse

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about languages that were left out, and about the fit."""
        return self.regression.notes

    def predict(
        self, similarities: Sequence[float] | Reals, target: str, sources: Sequence[str] | None = None
    ) -> PredictedScores:
        """Predict the score of each source on one target.

        Args:
            similarities: float64 [S], the similarity of each source to the target; for NaN the score is NaN.
            target: A normalised code. The target may be new; then the interval is wider.
            sources: S normalised codes, which may be new; by default the sources of the fitted pairs.

        Raises:
            UsageError: The numbers of similarities and sources differ.
        """
        return predict(self.regression, {self.predictor: similarities}, target, sources)


def calibrate(gold: TransferScores, matrix: SimilarityMatrix, name: str = "") -> Calibration:
    """Fit a regression of gold scores on one similarity, to predict the scores of other pairs.

    The model has random intercepts of targets and of sources. The intercepts account for the difficulty of each target
    and the general quality of each source, which the similarity does not measure.

    Args:
        gold: Scores of the task.
        matrix: Similarities, which are aligned with the scores by label; it may have more languages.
        name: Name of the similarity in notes, such as the name of its store; the coefficient of the matrix by default.

    Raises:
        UsageError: Scores and matrix have too few languages in common, or the similarity is constant.
    """
    name = name or matrix.coefficient
    joined = join(gold, {name: matrix})
    return Calibration(fit(joined, "mixed", "crossed", left_out=(LEFT_OUT_TARGET,)), name)
