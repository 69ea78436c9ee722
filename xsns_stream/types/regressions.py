"""Scores fitted to predictors: coefficients, errors, and what is needed to predict further pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.types.arrays import Reals
from xsns_stream.types.html_table import html_table
from xsns_stream.types.similarity_matrix import SimilarityMatrix

if TYPE_CHECKING:
    import pandas as pd

#: Ways of predicting the pairs of a pool: with all of them known, or with a language's pairs left out.
IN_SAMPLE: Final = "in sample"
LEFT_OUT_TARGET: Final = "leave one target out"
LEFT_OUT_SOURCE: Final = "leave one source out"


@dataclass(frozen=True, slots=True)
class Coefficient:
    """What one unit of a predictor adds to the score.

    Attributes:
        name: Of the predictor; `intercept` for the constant.
        estimate: In the gold's unit, for one unit of the predictor.
        standard_error: Of the estimate.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p_value: Two-sided, of t against zero.
        degrees: Degrees of freedom of interval and test.
        standardised: Standard deviations of the score for one standard deviation of the predictor; NaN for the
            intercept.
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
class Effects:
    """The random intercepts of a factor's languages.

    Attributes:
        labels: Q codes.
        values: float64 [Q], the best linear unbiased predictions, in the gold's unit.
        variance: Estimated over languages; what an unknown language's intercept has.
    """

    labels: tuple[str, ...]
    values: Reals
    variance: float


@dataclass(frozen=True)
class Solution:
    """A fitted model, with the errors of everything that was estimated.

    Attributes:
        coefficients: float64 [P], the intercept first.
        effects: {factor, `target` or `source`: its random intercepts}; empty for OLS.
        covariance: float64 [P + Q, P + Q]: of the errors of coefficients and random intercepts, in this order.
        residual_variance: Of a single score, once everything else is known.
        degrees: Of an interval for a pair of known languages.
        degrees_new: {factor: of an interval for a language that the factor does not know}.
    """

    coefficients: Reals
    effects: Mapping[str, Effects]
    covariance: Reals
    residual_variance: float
    degrees: float
    degrees_new: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PredictionError:
    """How far predictions of the pool's own pairs are off, in the gold's unit.

    Attributes:
        way: IN_SAMPLE, LEFT_OUT_TARGET or LEFT_OUT_SOURCE.
        rmse: Root of the mean squared error over pairs.
        without_predictors: The same of this model with nothing but its intercepts.
        of_mean: The same of the mean score of the pairs that were not left out.
        coverage: Share of the scores that lie in their 95 % prediction intervals; NaN in sample, where none is made.
        pairs: How many pairs were predicted.
    """

    way: str
    rmse: float
    without_predictors: float
    of_mean: float
    coverage: float
    pairs: int


@dataclass(frozen=True)
class PredictedScores:
    """What a regression expects of sources for one target.

    Attributes:
        target: The target.
        sources: S codes.
        mean: float64 [S], in the gold's unit; NaN where a predictor says nothing.
        low: float64 [S], lower ends of 95 % prediction intervals, each for the score of one fine-tuning run.
        high: float64 [S], upper ends.
        known_target: Whether the regression had scores of this target; the interval is wider where it had not.
        unit: As of the gold.
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
    """Gold scores fitted to predictors over the pairs that all of them know.

    Attributes:
        model: `ols` or `mixed`.
        factors: What has random intercepts: nothing, (`target`,) or (`target`, `source`).
        predictors: K names.
        coefficients: K + 1, the intercept first.
        solution: What predictions are made from.
        scores: float64 [S, T], the mean over seeds; NaN where the pair was not fitted.
        fitted: What the model gives for the pairs it was fitted to, random intercepts included.
        left_out: {LEFT_OUT_TARGET, LEFT_OUT_SOURCE: what the model gives for pairs it was not fitted to}.
        errors: One for each way.
        r_squared: Share of the scores' variance that the predictors explain (for `mixed` the marginal R²).
        r_squared_conditional: The same with the random intercepts; equal for `ols`.
        task: Of the gold.
        metric: Of the gold.
        unit: Of the gold.
        notes: Sentences on what should be known of this fit.
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
        """How many pairs were fitted."""
        return int(np.isfinite(self.scores).sum())

    @property
    def name(self) -> str:
        """The model in words, as `mixed (target)`."""
        return f"{self.model} ({' × '.join(self.factors)})" if self.factors else self.model

    def __getitem__(self, predictor: str) -> Coefficient:
        for coefficient in self.coefficients:
            if coefficient.name == predictor:
                return coefficient
        raise KeyError(predictor)

    def error(self, way: str) -> PredictionError:
        """Return the errors of one way of predicting."""
        return next(error for error in self.errors if error.way == way)

    def coefficient_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each coefficient, the intercept first."""
        import pandas as pd

        return pd.DataFrame([asdict(coefficient) for coefficient in self.coefficients])

    def _repr_html_(self) -> str:
        title = f"Regression {self.name} of {self.task} ({self.metric}, {self.unit}) on {self.pairs} pairs"
        return html_table(self.coefficient_frame(), f"{title}; R² {self.r_squared:.3f}")

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with a line for each fitted pair: score, fitted value, and predictions left out."""
        import pandas as pd

        rows, columns = np.nonzero(np.isfinite(self.scores))
        sources, targets = np.array(self.fitted.sources, object), np.array(self.fitted.targets, object)
        frame = {"source": sources[rows], "target": targets[columns], "score": self.scores[rows, columns]}
        frame["fitted"] = self.fitted.values[rows, columns]
        for way, matrix in self.left_out.items():
            frame[way.replace(" ", "_")] = matrix.values[rows, columns]
        return pd.DataFrame(frame)
