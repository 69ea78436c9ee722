"""What came out of holding predictors against gold scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.types.arrays import Counts, Reals
from xsns_stream.types.html_table import html_table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EvaluationSettings:
    """How an evaluation was made; enough to make it again.

    Attributes:
        task: Of the gold scores, as `pos`.
        metric: Of the gold scores, as `accuracy`.
        unit: Of the gold scores; regret is in it.
        origin: Where the gold scores came from.
        regime: Which training regime of them.
        average: `metrics`: over every pair of a prediction's seed and a gold seed, then over targets; `matrices`:
            over seeds first, and one metric of the means.
        ndcg: Variant of NDCG.
        resamples: How often targets were drawn again, and signs where there is a test.
        seed: Of the draws.
        confidence: Of the intervals.
        resampled: What was drawn again: `targets`, or `targets and seeds`.
        gold_seeds: Seeds of the gold scores; empty where they have none.
        sources: The pool's sources.
        trivial: Those of the predictors that nobody had to compute.
        ceiling: What the row `ceiling` is; empty where there is none.
    """

    task: str
    metric: str
    unit: str
    origin: str
    regime: str
    average: str
    ndcg: str
    resamples: int
    seed: int
    confidence: float
    resampled: str
    gold_seeds: tuple[int, ...]
    sources: tuple[str, ...]
    trivial: tuple[str, ...]
    ceiling: str = ""


@dataclass(frozen=True)
class Choice:
    """What one target offers, and what following each predictor there leads to.

    Attributes:
        target: The target.
        candidates: How many sources compete.
        best: Those with the best score; empty where none competes.
        score: That score.
        followed: For each predictor, the sources that it predicts best, mean over seeds: several where tied, none
            where it says nothing.
    """

    target: str
    candidates: int
    best: tuple[str, ...]
    score: float
    followed: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """Every predictor against one of them, target by target.

    Attributes:
        reference: The one; its own line is NaN.
        targets: int64 [P, M]: on how many targets both are defined.
        difference: float64 [P, M]: predictor less reference, mean over those.
        low: float64 [P, M]: lower end of the interval.
        high: float64 [P, M]: upper end.
        p: float64 [P, M]: sign-flip test over targets, two-sided.
        p_holm: float64 [P, M]: the same, corrected over the predictors of each metric (Holm).
    """

    reference: str
    targets: Counts
    difference: Reals
    low: Reals
    high: Reals
    p: Reals
    p_holm: Reals


@dataclass(frozen=True)
class Evaluation:
    """Metrics of every predictor on every target, and their means over targets with intervals.

    Correlations, Top-k, NDCG and MRR are fractions of 1; regret and `over-english` are in the gold's unit.

    Attributes:
        predictors: P names, those asked for first, then the trivial ones.
        metrics: M names, as `ndcg@3[rank-linear]`.
        targets: T codes.
        per_target: float64 [P, M, T], averaged over seeds; NaN = undefined.
        mean: float64 [P, M]: over the targets on which it is defined; NaN where on none.
        low: float64 [P, M]: lower end of the interval.
        high: float64 [P, M]: upper end.
        undefined: int64 [P, M]: on how many targets it is not defined, and which no mean includes.
        choices: T entries.
        settings: How it was made.
        comparison: With one of the predictors, where that was asked for.
        notes: Sentences about what is missing, tied or undefined.
    """

    predictors: tuple[str, ...]
    metrics: tuple[str, ...]
    targets: tuple[str, ...]
    per_target: Reals
    mean: Reals
    low: Reals
    high: Reals
    undefined: Counts
    choices: tuple[Choice, ...]
    settings: EvaluationSettings
    comparison: Comparison | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.predictors), len(self.metrics), len(self.targets))
        if self.per_target.shape != expected:
            raise ValueError(f"predictors, metrics and targets ask for {expected}, not {self.per_target.shape}")

    def __getitem__(self, pair: tuple[str, str]) -> float:
        """Return the mean of one predictor and metric."""
        return float(self.mean[self._place(*pair)])

    def interval(self, predictor: str, metric: str) -> tuple[float, float]:
        """Return (low, high) of one predictor and metric."""
        place = self._place(predictor, metric)
        return float(self.low[place]), float(self.high[place])

    def _place(self, predictor: str, metric: str) -> tuple[int, int]:
        for name, known, what in ((predictor, self.predictors, "predictor"), (metric, self.metrics, "metric")):
            if name not in known:
                raise UsageError(f"there is no {what} '{name}'.", f"there are {', '.join(known)}.")
        return self.predictors.index(predictor), self.metrics.index(metric)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with a line for each predictor and metric."""
        import pandas as pd

        columns: dict[str, Any] = {
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "targets": len(self.targets) - self.undefined,
            "undefined": self.undefined,
        }
        if self.comparison is not None:
            columns |= {
                "difference": self.comparison.difference,
                "difference_low": self.comparison.low,
                "difference_high": self.comparison.high,
                "difference_targets": self.comparison.targets,
                "p": self.comparison.p,
                "p_holm": self.comparison.p_holm,
            }
        labels = pd.MultiIndex.from_product([self.predictors, self.metrics], names=["predictor", "metric"])
        return pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=labels).reset_index()

    def _repr_html_(self) -> str:
        frame = self.to_frame().pivot(index="predictor", columns="metric", values="mean")
        frame = frame.loc[list(self.predictors), list(self.metrics)].rename_axis(index=None, columns=None)
        about = f"{self.settings.task} ({self.settings.metric}, {self.settings.unit})"
        return html_table(frame, f"Evaluation on {about}: means over {len(self.targets)} targets", index=True)

    def per_target_frame(self) -> pd.DataFrame:
        """Return a pandas frame with a line for each predictor and target, and a column for each metric."""
        import pandas as pd

        labels = pd.MultiIndex.from_product([self.predictors, self.targets], names=["predictor", "target"])
        values = np.moveaxis(self.per_target, 1, 2).reshape(-1, len(self.metrics))
        frame = pd.DataFrame(values, index=labels, columns=list(self.metrics)).reset_index()
        frame.insert(2, "candidates", [choice.candidates for _ in self.predictors for choice in self.choices])
        frame.insert(
            3,
            "followed",
            [" ".join(choice.followed[p]) for p in range(len(self.predictors)) for choice in self.choices],
        )
        return frame
