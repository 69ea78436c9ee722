"""Results of the regression of gold scores on predictors: coefficients, errors and predicted scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.types.html_table import html_table, text_table
from xsns_stream.types.parameters import Reals
from xsns_stream.types.similarity_matrix import SimilarityMatrix
from xsns_stream.types.transfer_scores import scores_name

if TYPE_CHECKING:
    import pandas as pd

#: Methods of predicting the pairs of a pool: a fit to all pairs, or fits with the pairs of one language held out.
IN_SAMPLE: Final = "in sample"
LEFT_OUT_TARGET: Final = "leave one target out"
LEFT_OUT_SOURCE: Final = "leave one source out"


@dataclass(frozen=True, slots=True)
class Coefficient:
    """The coefficient of one predictor.

    Attributes:
        name: Name of the predictor; `intercept` for the constant.
        estimate: Change of the score, in the unit of the scores, for one unit of the predictor.
        standard_error: Standard error of the estimate.
        low: Lower end of the 95 % confidence interval.
        high: Upper end of the 95 % confidence interval.
        p_value: p-value of the two-sided t test of the null hypothesis that the coefficient is zero.
        degrees: Degrees of freedom of the confidence interval and of the t test.
        standardised: Change of the score in standard deviations for one standard deviation of the predictor; NaN for
            the intercept.
    """

    name: str
    estimate: float
    standard_error: float
    low: float
    high: float
    p_value: float
    degrees: float
    standardised: float


@dataclass(frozen=True)
class RandomIntercepts:
    """The random intercepts of the languages of one factor (`target` or `source`).

    Attributes:
        labels: Q codes.
        values: float64 [Q]: best linear unbiased predictions, in the unit of the gold scores.
        variance: Estimated variance between languages, which is also the variance of the intercept of a new language.
    """

    labels: tuple[str, ...]
    values: Reals
    variance: float


@dataclass(frozen=True)
class Solution:
    """The estimates of a fitted model, and the covariance of the estimates.

    Attributes:
        coefficients: float64 [P], the intercept first.
        effects: {factor, `target` or `source`: its random intercepts}; empty for OLS.
        covariance: float64 [P + Q, P + Q]: joint covariance of the errors of the coefficients (first) and of the
            random intercepts.
        residual_variance: Residual variance of a single score.
        degrees: Degrees of freedom of the prediction interval of a pair of known languages.
        degrees_new: {factor: degrees of freedom of the prediction interval for a new language of the factor}.
    """

    coefficients: Reals
    effects: Mapping[str, RandomIntercepts]
    covariance: Reals
    residual_variance: float
    degrees: float
    degrees_new: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictionError:
    """Prediction errors over the pairs of the pool, in the unit of the gold scores.

    Attributes:
        way: The pairs that were held out together: all pairs of a target (LEFT_OUT_TARGET), all pairs of a source
            (LEFT_OUT_SOURCE), or no pairs (IN_SAMPLE).
        rmse: Root mean squared error (RMSE) over pairs.
        without_predictors: RMSE of the same model with intercepts only.
        of_mean: RMSE if each score is predicted by the mean of the pairs that are not held out.
        coverage: Share of the scores that lie within their 95 % prediction intervals; NaN for IN_SAMPLE.
        pairs: Number of predicted pairs.
    """

    way: str
    rmse: float
    without_predictors: float
    of_mean: float
    coverage: float
    pairs: int


@dataclass(frozen=True)
class PredictedScores:
    """Predicted scores of sources for one target.

    Attributes:
        target: The target.
        sources: S codes.
        mean: float64 [S]: predicted scores, in the unit of the gold scores; NaN if a predictor has no value.
        low: float64 [S]: lower ends of 95 % prediction intervals, each for the score of one fine-tuning run.
        high: float64 [S]: upper ends of these intervals.
        known_target: Whether the regression was fitted to scores of this target; if not, the intervals are wider.
        unit: Unit of the gold scores.
    """

    target: str
    sources: tuple[str, ...]
    mean: Reals
    low: Reals
    high: Reals
    known_target: bool
    unit: str


@dataclass(frozen=True)
class Regression:
    """A regression of gold scores on predictors, over the pairs for which all predictors have a value.

    Attributes:
        model: `ols` or `mixed`.
        factors: Factors with random intercepts: none, (`target`,) or (`target`, `source`).
        predictors: K names.
        coefficients: K + 1 coefficients, the intercept first.
        solution: The estimates that predictions use.
        scores: float64 [S, T]: gold scores, averaged over seeds; NaN for pairs that were not fitted.
        fitted: Matrix [S, T] of fitted values, including random intercepts.
        left_out: {LEFT_OUT_TARGET or LEFT_OUT_SOURCE: matrix [S, T] of predictions for held-out pairs}.
        errors: Prediction errors, one entry for each way of holding out pairs; see :class:`PredictionError`.
        r_squared: Share of the variance of the scores that the predictors explain; for `mixed` the marginal R².
        r_squared_conditional: Share of the variance that predictors and random intercepts explain together; equal to
            `r_squared` for `ols`.
        task: Task of the gold scores.
        metric: Metric of the gold scores.
        unit: Unit of the gold scores.
        notes: Warnings and remarks about the fit, as sentences.
    """

    model: str
    factors: tuple[str, ...]
    predictors: tuple[str, ...]
    coefficients: tuple[Coefficient, ...]
    solution: Solution
    scores: Reals
    fitted: SimilarityMatrix
    left_out: Mapping[str, SimilarityMatrix]
    errors: tuple[PredictionError, ...]
    r_squared: float
    r_squared_conditional: float
    task: str
    metric: str
    unit: str
    notes: tuple[str, ...] = ()

    @property
    def pairs(self) -> int:
        """Number of pairs of a source and a target to which the regression was fitted."""
        return int(np.isfinite(self.scores).sum())

    @property
    def name(self) -> str:
        """Name of the model with the factors of its random intercepts, such as `mixed (target)`."""
        return f"{self.model} ({' × '.join(self.factors)})" if self.factors else self.model

    def __getitem__(self, predictor: str) -> Coefficient:
        for coefficient in self.coefficients:
            if coefficient.name == predictor:
                return coefficient
        raise KeyError(predictor)

    def error(self, way: str) -> PredictionError:
        """Return the prediction errors of `way`, which is IN_SAMPLE, LEFT_OUT_TARGET or LEFT_OUT_SOURCE."""
        return next(error for error in self.errors if error.way == way)

    def coefficient_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each coefficient, the intercept first."""
        import pandas as pd

        return pd.DataFrame([asdict(coefficient) for coefficient in self.coefficients])

    def _caption(self) -> str:
        title = f"Regression {self.name} of {scores_name(self.task, self.metric)} ({self.unit}) on {self.pairs} pairs"
        return f"{title}; R² {self.r_squared:.3f}"

    def _repr_html_(self) -> str:
        return html_table(self.coefficient_frame(), self._caption(), notes=self.notes)

    def __repr__(self) -> str:
        return text_table(self.coefficient_frame(), self._caption())

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each fitted pair: score, fitted value and held-out predictions."""
        import pandas as pd

        rows, columns = np.nonzero(np.isfinite(self.scores))
        sources, targets = np.array(self.fitted.sources, object), np.array(self.fitted.targets, object)
        frame = {"source": sources[rows], "target": targets[columns], "score": self.scores[rows, columns]}
        frame["fitted"] = self.fitted.values[rows, columns]
        for way, matrix in self.left_out.items():
            frame[way.replace(" ", "_")] = matrix.values[rows, columns]
        return pd.DataFrame(frame)
