"""Data of the report page's section on predictors, which compares them with gold scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xsns_stream.report.markup import Sheet
from xsns_stream.report.page.packing import EXACT, pack
from xsns_stream.types import Reals


@dataclass(frozen=True)
class PredictorPairs:
    """The predictions of one predictor, and their errors.

    Attributes:
        name: The predictor.
        values: float64 [N]: its value for each pair of a source and a target; NaN if unknown.
        regret: float64 [T]: the regret of the source that the predictor ranks first, for each target; NaN if
            undefined.
        calibrated: float64 [N]: the score of each pair, predicted by a regression on the other targets; None if scores
            cannot be predicted.
        error: Root mean squared error of `calibrated`; NaN if unknown.
    """

    name: str
    values: Reals | None
    regret: Reals
    calibrated: Reals | None = None
    error: float = float("nan")

    def to_json(self) -> dict[str, Any]:
        """Return the data as plain values for JSON."""
        return {
            "name": self.name,
            "values": None if self.values is None else pack(self.values, steps=EXACT),
            "regret": pack(self.regret, steps=EXACT),
            "calibrated": None if self.calibrated is None else pack(self.calibrated, steps=EXACT),
            "mean_regret": float(np.nanmean(self.regret)) if np.isfinite(self.regret).any() else None,
            "error": self.error,
        }


@dataclass(frozen=True)
class EvaluationSection:
    """The evaluation of predictors on gold scores.

    Attributes:
        sheets: Tables of metrics.
        targets: T labels.
        pairs: Labels of the source and the target of each of N pairs.
        scores: float64 [N]: gold scores of the pairs.
        predictors: One entry for each predictor, then for each trivial baseline, which has no values.
        name: Name of the scores, such as `accuracy (pos)`.
        unit: Unit of the scores.
        notes: Sentences about missing, tied or undefined values.
        warning: Warning about predictors that are not better than random; usually empty.
    """

    sheets: tuple[Sheet, ...]
    targets: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    scores: Reals
    predictors: tuple[PredictorPairs, ...]
    name: str
    unit: str
    notes: tuple[str, ...] = ()
    warning: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all languages, each once."""
        return tuple(dict.fromkeys((*self.targets, *(label for pair in self.pairs for label in pair))))

    def to_json(self) -> dict[str, Any]:
        """Return the data as plain values for JSON; languages are indices of `labels`, whose names are included."""
        from xsns_stream.languages import shown_name

        number = {label: i for i, label in enumerate(self.labels)}
        return {
            "labels": [[label, shown_name(label)] for label in self.labels],
            "targets": [number[code] for code in self.targets],
            "pairs": [number[code] for pair in self.pairs for code in pair],
            "scores": pack(self.scores, steps=EXACT),
            "predictors": [each.to_json() for each in self.predictors],
            "name": self.name,
            "unit": self.unit,
        }
