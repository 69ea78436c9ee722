"""Results of the evaluation of predictors on gold scores."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.types.html_table import html_notes, html_table, text_table
from xsns_stream.types.parameters import Counts, Reals
from xsns_stream.types.transfer_scores import scores_name

if TYPE_CHECKING:
    import pandas as pd

#: Name of the trivial baseline whose metrics are expectations over all orders of the sources.
RANDOM: Final = "random"
# Tolerance of comparisons with a random order. A constant prediction is exactly as good as a random order, except for
# rounding.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation, sufficient to reproduce it.

    Attributes:
        task: Task of the gold scores, such as `pos`.
        metric: Metric of the gold scores, such as `accuracy`.
        unit: Unit of the gold scores and of regret.
        origin: Origin of the gold scores.
        regime: Training regime of the gold scores.
        average: `metrics`: metrics are averaged over all pairs of a prediction seed and a gold seed, then over targets;
            `matrices`: predictions and scores are averaged over seeds first.
        ndcg: Variant of NDCG.
        resamples: Number of bootstrap resamples, and number of random sign patterns of the paired sign-flip test.
        seed: Random seed for resampling.
        confidence: Confidence level of the intervals.
        resampled: The units of resampling: `targets`, or `targets and seeds`.
        gold_seeds: Fine-tuning seeds of the gold scores; empty if the gold scores have no seeds.
        sources: Source languages of the pool.
        trivial: Names of the trivial baselines among the predictors.
        ceiling: Method by which the row `ceiling` was computed; empty if the evaluation has no such row.
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
    """The best sources of one target, and the sources that each predictor chooses.

    Attributes:
        target: The target.
        candidates: Number of candidate sources.
        best: The sources with the best score (several if tied); empty if there is no candidate.
        score: The best score.
        followed: For each predictor, the sources for which its value (the mean over seeds) is largest; several if tied,
            and empty if the predictor has no value for a candidate.
    """

    target: str
    candidates: int
    best: tuple[str, ...]
    score: float
    followed: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Comparison:
    """Paired comparison of every predictor with a reference predictor over targets.

    Attributes:
        reference: Name of the reference predictor. Its own row contains NaN.
        targets: int64 [P, M]: number of targets on which the metric is defined for both predictors.
        difference: float64 [P, M]: mean over these targets of the predictor's metric minus the metric of the reference.
        low: float64 [P, M]: lower end of the confidence interval of the difference.
        high: float64 [P, M]: upper end of the confidence interval of the difference.
        p: float64 [P, M]: p-value of the two-sided paired sign-flip test; NaN for `sources-90`, which is not tested.
        p_holm: float64 [P, M]: p-value after Holm's correction over the predictors of each metric.
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
    """Metrics of every predictor on every target, and their means over targets with confidence intervals.

    Correlations, Top-k, NDCG, MRR and near-best@k are fractions of 1; regret and `over-english` are in the unit of the
    gold scores; `sources-90` is a number of sources.

    Attributes:
        predictors: P names: the given predictors, then the trivial baselines.
        metrics: M names, such as `ndcg@3[rank-linear]`.
        targets: T codes.
        per_target: float64 [P, M, T]: the metrics, averaged over seeds; NaN = undefined.
        mean: float64 [P, M]: mean over the targets on which the metric is defined; NaN if there is no such target.
        low: float64 [P, M]: lower end of the confidence interval.
        high: float64 [P, M]: upper end of the confidence interval.
        undefined: int64 [P, M]: number of targets on which the metric is undefined. The mean leaves these targets out.
        choices: The best and the chosen sources, one entry for each target.
        settings: Settings of the evaluation.
        comparison: The comparison with a reference predictor; None if there is no reference.
        notes: Sentences about missing, tied or undefined values.
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
            raise ValueError(f"the labels need values of shape {expected}, not {self.per_target.shape}")

    def __getitem__(self, pair: tuple[str, str]) -> float:
        """Return the mean of a metric for one predictor; the key is (predictor, metric)."""
        return float(self.mean[self._index(*pair)])

    def interval(self, predictor: str, metric: str) -> tuple[float, float]:
        """Return the confidence interval (low, high) of the mean of a metric for one predictor."""
        index = self._index(predictor, metric)
        return float(self.low[index]), float(self.high[index])

    def _index(self, predictor: str, metric: str) -> tuple[int, int]:
        return _position(predictor, self.predictors, "predictor"), self.metric_index(metric)

    def metric_index(self, metric: str) -> int:
        """Return the index of a metric.

        Raises:
            UsageError: There is no such metric.
        """
        return _position(metric, self.metrics, "metric")

    def above_random(self, predictor: str) -> tuple[int, int] | None:
        """Return on how many targets a predictor has a higher NDCG@3 than a random order.

        Returns:
            The number of these targets, and the number of targets on which NDCG@3 is defined for both; None if the
            evaluation has no row `random`.
        """
        if RANDOM not in self.predictors:
            return None
        column = next(i for i, metric in enumerate(self.metrics) if metric.startswith("ndcg"))
        own, random = (self.per_target[self.predictors.index(name), column] for name in (predictor, RANDOM))
        return int((own > random + _ROUNDING).sum()), int((np.isfinite(own) & np.isfinite(random)).sum())

    @property
    def warning(self) -> str:
        """Phrase that names the predictors that are no better than random on most targets; empty if there are none."""
        counts = {name: self.above_random(name) for name in self.predictors if name not in self.settings.trivial}
        below = [
            f"{name} ({known[1] - known[0]} of {known[1]})"
            for name, known in counts.items()
            if known is not None and 2 * (known[1] - known[0]) > known[1]
        ]
        return f"no better than a random order on most targets: {', '.join(below)}" if below else ""

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each predictor and metric."""
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

    def _shown(self) -> tuple[pd.DataFrame, str]:
        """Return a table of the means of all metrics, and its caption."""
        frame = self.to_frame().pivot(index="predictor", columns="metric", values="mean")
        frame = frame.loc[list(self.predictors), list(self.metrics)].rename_axis(index=None, columns=None)
        about = f"{scores_name(self.settings.task, self.settings.metric)} ({self.settings.unit})"
        warning = f"; {self.warning}" if self.warning else ""
        return frame, f"Evaluation on {about}: means over {len(self.targets)} targets{warning}"

    def _repr_html_(self) -> str:
        means = html_table(self._intervals(self.mean, self.low, self.high), self._shown()[1], index=True)
        level = f"{100 * self.settings.confidence:g} %"
        sentences = [f"Brackets contain {level} confidence intervals of the means over targets."]
        tables = [means]
        if (compared := self.comparison) is not None:
            differences = self._intervals(compared.difference, compared.low, compared.high, compared.p_holm)
            title = f"Difference from {compared.reference}, target by target"
            tables.append(html_table(differences.drop(index=compared.reference), title, index=True))
            sentences.append("p: sign-flip test over targets, with Holm's correction over the predictors of a column.")
        return "\n".join((*tables, html_notes((*sentences, *self.notes))))

    def _intervals(self, mean: Reals, low: Reals, high: Reals, p: Reals | None = None) -> pd.DataFrame:
        """Return a frame whose cells are texts: a mean, its confidence interval and, if given, its p-value.

        All arrays are float64 [P, M]; rows of the frame are predictors, and columns are metrics.
        """
        import pandas as pd

        unknown = np.full_like(mean, np.nan) if p is None else p
        cells = [
            [
                _with_interval(*each)
                for each in zip(*(array[row].tolist() for array in (mean, low, high, unknown)), strict=True)
            ]
            for row in range(len(self.predictors))
        ]
        return pd.DataFrame(cells, index=list(self.predictors), columns=list(self.metrics))

    def __repr__(self) -> str:
        return text_table(*self._shown(), index=True)

    def per_target_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each predictor and target, and one column for each metric."""
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


def _with_interval(mean: float, low: float, high: float, p: float) -> str:
    """Return a mean, its confidence interval from `low` to `high` and its p-value as text, as far as they are known.

    An undefined mean gives an empty text.
    """
    if isnan(mean):
        return ""
    interval = "" if isnan(low) else f" [{low:.3g}, {high:.3g}]"
    return f"{mean:.3g}{interval}" + ("" if isnan(p) else f" p={p:.2g}")


def _position(name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        raise UsageError(f"there is no {what} '{name}'.", f"the {what}s are {', '.join(names)}.")
    return names.index(name)
