"""One similarity → expected scores, fitted to the gold scores of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xsns_stream.align_scores import join
from xsns_stream.regression.fitting import fit, predict
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.regressions import LEFT_OUT_TARGET, PredictedScores, Regression
from xsns_stream.types.transfer_scores import TransferScores


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
