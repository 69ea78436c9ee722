"""Regression of gold scores on predictors: OLS and mixed models, left-out errors, predicted scores."""

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


MODELS: Final = ("ols", "mixed")
#: {--random: what has random intercepts}.
RANDOM: Final = {"target": ("target",), "crossed": ("target", "source")}
_WAYS: Final = {LEFT_OUT_TARGET: "target", LEFT_OUT_SOURCE: "source"}


class _Predicted(NamedTuple):
    """Predictions on the grid, float64 [S, T] each; NaN where there is none."""

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
    """Fit the gold scores of all candidate pairs to all predictions.

    Scores and predictions are means over seeds. Every left-out target or source is another fit, variances included,
    to the pairs of the others.

    Args:
        joined: The scores and the predictors.
        model: `ols`, or `mixed` for random intercepts.
        random: For `mixed`: `target`, or `crossed` for targets and sources.
        left_out: What to predict from the others too, LEFT_OUT_TARGET and LEFT_OUT_SOURCE.

    Raises:
        UsageError: No such model, or the pairs do not determine one (see :func:`design.design_of`).

    Source:
        Yun et al. (2023), section 4.3, which regresses on similarity and gives the error in sample; de Vries et al.
        (2022), whose models have crossed intercepts.
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
    held = {way: _left_out(design, factors, _WAYS[way], solution) for way in left_out}
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
        {way: _matrix(design, found, way) for way, found in held.items()},
        tuple(_errors(design, factors, fitted, held)),
        marginal,
        conditional,
        gold.task,
        gold.metric,
        gold.unit,
        (*joined.notes, *_notes(design, factors, solution, held)),
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


def _on_grid(design: Design, *found: Reals) -> _Predicted:
    grids = []
    for values in found:
        grid = np.full(design.pairs.shape, np.nan)
        grid[design.pairs] = values
        grids.append(grid)
    return _Predicted(*grids)


def _matrix(design: Design, found: _Predicted, name: str) -> SimilarityMatrix:
    return SimilarityMatrix(design.sources, design.targets, found.mean, name)


# ------------------------------------------------------------------------------------ what is left out


def _left_out(design: Design, factors: Sequence[str], factor: str, start: Solution) -> _Predicted:
    """Predict every target's (or source's) pairs from those of the others; NaN where these determine no model."""
    found = _Predicted(*(np.full(design.pairs.shape, np.nan) for _ in range(3)))
    for place in range(design.pairs.shape[1 if factor == "target" else 0]):
        others = design.without(factor, place)
        if not others.determined():
            continue
        asked = replace(design, pairs=design.pairs & ~others.pairs)
        for grid, values in zip(found, predicted_pairs(asked, _solve(others, factors, start)), strict=True):
            grid[asked.pairs] = values
    return found


def _mean_left_out(design: Design, factor: str | None) -> Reals:
    """Return float64 [S, T]: the mean score of all pairs, or of those that are not of the same target (or source)."""
    scores = np.where(design.pairs, design.scores, 0.0)
    if factor is None:
        return np.full(design.pairs.shape, scores.sum() / design.count)
    axis = 0 if factor == "target" else 1
    total, count = (part.sum(axis=axis, keepdims=True) for part in (scores, design.pairs))
    mean: Reals = np.broadcast_to((scores.sum() - total) / (design.count - count), design.pairs.shape)
    return mean


def _errors(
    design: Design, factors: Sequence[str], fitted: _Predicted, held: Mapping[str, _Predicted]
) -> Iterator[PredictionError]:
    plain = design.without_predictors()
    solution = _solve(plain, factors)
    bare = _on_grid(plain, *predicted_pairs(plain, solution)).mean
    yield _error(IN_SAMPLE, design, fitted, bare, _mean_left_out(design, None))
    for way, found in held.items():
        bare = _left_out(plain, factors, _WAYS[way], solution).mean
        yield _error(way, design, found, bare, _mean_left_out(design, _WAYS[way]))


def _error(way: str, design: Design, found: _Predicted, bare: Reals, mean: Reals) -> PredictionError:
    there = design.pairs & np.isfinite(found.mean)
    scores = design.scores[there]
    if not there.any():
        return PredictionError(way, float("nan"), float("nan"), float("nan"), float("nan"), 0)
    inside = (found.low[there] <= scores) & (scores <= found.high[there])
    covered = float("nan") if way == IN_SAMPLE else float(inside.mean())
    rmse, rmse_bare, rmse_mean = (
        float(np.sqrt(np.square(grid[there] - scores).mean())) for grid in (found.mean, bare, mean)
    )
    return PredictionError(way, rmse, rmse_bare, rmse_mean, covered, int(there.sum()))


# --------------------------------------------------------------------------------- what the model says


def _coefficients(design: Design, solution: Solution) -> tuple[Coefficient, ...]:
    from scipy.stats import t as student

    deviation = float(design.lines()[0].std())
    found = []
    for place, name in enumerate(("intercept", *design.names)):
        estimate, error = float(solution.coefficients[place]), float(np.sqrt(solution.covariance[place, place]))
        degrees = _degrees(design, solution, name)
        reach = float(student.ppf(UPPER, degrees)) * error
        p_value = 2 * float(student.sf(abs(estimate) / error, degrees)) if error else float("nan")
        standardised = estimate * float(design.scale[place - 1]) / deviation if place else float("nan")
        found.append(
            Coefficient(name, estimate, error, estimate - reach, estimate + reach, p_value, degrees, standardised)
        )
    return tuple(found)


def _degrees(design: Design, solution: Solution, name: str) -> float:
    """Return the degrees of freedom of one coefficient's interval.

    In a mixed model a predictor that is the same for all pairs of a target has as many observations as there are
    targets, and likewise for sources ("containment", Pinheiro and Bates 2000, section 2.4.2).
    """
    if not solution.effects:
        return solution.degrees
    levels = {factor: _of_level(design, factor) for factor in solution.effects}
    known = {factor: len(effects.labels) for factor, effects in solution.effects.items()}
    if name == "intercept":
        return float(max(1, min(known[factor] - len(levels[factor]) - 1 for factor in known)))
    for factor, names in levels.items():
        if name in names:
            return float(max(1, known[factor] - len(names) - 1))
    inner = len(design.names) - sum(map(len, levels.values()))
    return float(max(1, design.count - sum(known.values()) - inner))


def _of_level(design: Design, factor: str) -> list[str]:
    """Return the predictors that are properties of the target (or source) alone."""
    return [name for name in design.names if not design.varies(name, within=factor)]


def _explained(design: Design, solution: Solution, fitted: _Predicted) -> tuple[float, float]:
    """Return the marginal and the conditional R² (Nakagawa and Schielzeth 2013); for OLS, R² twice."""
    scores, lines = design.lines()
    if not solution.effects:
        share = 1.0 - float(
            np.square(fitted.mean[design.pairs] - scores).sum() / np.square(scores - scores.mean()).sum()
        )
        return share, share
    in_units = lines[:, 1:] * design.scale + design.centre
    fixed = float((in_units @ solution.coefficients[1:]).var())
    between = sum(effects.variance for effects in solution.effects.values())
    total = fixed + between + solution.residual_variance
    return fixed / total, (fixed + between) / total


def _notes(design: Design, factors: Sequence[str], solution: Solution, held: Mapping[str, _Predicted]) -> Iterator[str]:
    yield from collinearity_notes(design)
    for factor, effects in solution.effects.items():
        if effects.variance == 0:
            yield f"no variance between {factor}s is left to random intercepts: it is estimated as zero."
    if factors == ("target",):
        for name in _of_level(design, "source"):
            yield (
                f"'{name}' is a property of the source, and its pairs count as independent here: its interval is too "
                "narrow; random intercepts of sources too (crossed) give an honest one."
            )
    for way, found in held.items():
        factor = _WAYS[way]
        axis = 0 if factor == "target" else 1
        lacking = (design.pairs & ~np.isfinite(found.mean)).any(axis=axis)
        labels = design.targets if factor == "target" else design.sources
        codes = [labels[place] for place in np.flatnonzero(lacking)]
        if codes:
            yield f"{way}: the other pairs determine no model without {', '.join(codes)}, which is not predicted."


@dataclass(frozen=True)
class Calibration:
    """What a similarity is worth in gold scores.

    Attributes:
        regression: Score on similarity, with random intercepts of targets and sources.
        predictor: Its one predictor.
    """

    regression: Regression
    predictor: str

    @property
    def unit(self) -> str:
        """Of the predicted scores."""
        return self.regression.unit

    @property
    def pairs(self) -> int:
        """How many pairs were fitted."""
        return self.regression.pairs

    @property
    def slope(self) -> float:
        """What one unit of similarity adds to the score."""
        return self.regression[self.predictor].estimate

    @property
    def rmse_left_out(self) -> float:
        """Root mean squared error for targets whose scores were not used; NaN where none could be left out."""
        return self.regression.error(LEFT_OUT_TARGET).rmse

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what did not match, and on the fit."""
        return self.regression.notes

    def predict(
        self, similarities: Sequence[float] | Reals, target: str, sources: Sequence[str] | None = None
    ) -> PredictedScores:
        """Predict what each source gives on one target.

        Args:
            similarities: float64 [S], of each source to the target; NaN gives NaN.
            target: A normalised code; it may be new to the gold scores, then the interval is wider.
            sources: S normalised codes; those of the fitted pairs where left out. They may be new too.

        Raises:
            UsageError: There are not as many similarities as sources.
        """
        return predict(self.regression, {self.predictor: similarities}, target, sources)


def calibrate(gold: TransferScores, matrix: SimilarityMatrix) -> Calibration:
    """Fit gold scores to one similarity, to predict scores of further pairs.

    The model has random intercepts of targets and of sources: how hard a target is, and how good a source is for
    anybody, is not what similarity measures, and is known for the languages of the gold scores.

    Args:
        gold: Scores of the task that is asked about.
        matrix: Similarities, joined to the scores by label; it may hold more languages.

    Raises:
        UsageError: They share too few languages, or the similarity is the same for all pairs.
    """
    joined = join(gold, {matrix.coefficient: matrix})
    return Calibration(fit(joined, "mixed", "crossed", left_out=(LEFT_OUT_TARGET,)), matrix.coefficient)
