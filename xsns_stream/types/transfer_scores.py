"""Transfer scores, and transfer scores aligned with the values of predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.types.parameters import Reals
from xsns_stream.types.predictor_records import PredictorRecord

if TYPE_CHECKING:
    import pandas as pd


#: Units of scores: percent, fractions of 1, or a metric with another range.
UNITS: Final = ("percent", "fraction", "points")
#: Name of the task, or of the metric, of scores for which it is not known.
UNKNOWN: Final = "unknown"


def metric_name(metric: str) -> str:
    """Return the name of a metric for titles and axes: `score` if it is unknown."""
    return "score" if metric in (UNKNOWN, "") else metric


def scores_name(task: str, metric: str) -> str:
    """Return a phrase for titles that contains the task and the metric of the scores, as far as they are known.

    >>> scores_name("pos", "accuracy"), scores_name("pos", "unknown"), scores_name("unknown", "unknown")
    ('pos accuracy', 'pos scores', 'gold scores')
    """
    what = "scores" if metric in (UNKNOWN, "") else metric
    if task not in (UNKNOWN, ""):
        return f"{task} {what}"
    return f"gold {what}" if what == "scores" else what


@dataclass(frozen=True)
class TransferScores:
    """The score of each source's fine-tuned model on each target; larger is better.

    Attributes:
        sources: S codes, the rows.
        targets: T codes, the columns.
        cells: float64 [G, R, S, T]: scores, with the axes regime, seed, source and target; NaN = not measured.
        task: The task, such as `pos`.
        metric: The metric, such as `accuracy`.
        unit: One of UNITS; regret and errors are in this unit.
        origin: Origin of the scores, for messages.
        regimes: G names of training regimes, for example `10000` for training on 10,000 examples; the first is the
            main regime.
        seeds: R seeds of fine-tuning; empty for one run with an unknown seed.
        notes: Warnings and remarks about the scores, as sentences.
        trivial: {target: score of the trivial answer, such as the most frequent class}; only targets for which it is
            known.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    cells: Reals
    task: str
    metric: str
    unit: str
    origin: str
    regimes: tuple[str, ...] = ("main",)
    seeds: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    trivial: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.regimes), max(1, len(self.seeds)), len(self.sources), len(self.targets))
        if self.cells.shape != expected:
            raise ValueError(f"the labels need scores of shape {expected}, not {self.cells.shape}")
        for labels in (self.sources, self.targets, self.regimes, self.seeds):
            if len(set(labels)) != len(labels):
                raise ValueError(f"a label occurs more than once in {labels}")
        if self.unit not in UNITS:
            raise ValueError(f"the unit must be one of {', '.join(UNITS)}, not {self.unit!r}")
        if np.isinf(self.cells).any():
            raise ValueError("a score is infinite")

    @property
    def per_seed(self) -> Reals:
        """float64 [R, S, T]: the scores of the main regime."""
        main: Reals = self.cells[0]
        return main

    @property
    def values(self) -> Reals:
        """float64 [S, T]: the mean over the measured seeds of the main regime; NaN if no seed was measured."""
        return mean_of_known(self.per_seed)

    def __getitem__(self, pair: tuple[str, str]) -> float:
        source, target = pair
        if source not in self.sources or target not in self.targets:
            raise LanguageError(f"the scores do not have the pair '{source}' → '{target}'.")
        return float(self.values[self.sources.index(source), self.targets.index(target)])

    def regime(self, name: str) -> TransferScores:
        """Return the scores of one regime.

        Raises:
            UsageError: The scores have no regime with this name.
        """
        if name not in self.regimes:
            raise UsageError(f"the scores have no regime '{name}'.", f"they have {', '.join(self.regimes)}.")
        index = self.regimes.index(name)
        return replace(self, cells=self.cells[index : index + 1], regimes=(name,))

    def restricted(self, sources: Sequence[str], targets: Sequence[str]) -> TransferScores:
        """Return the scores of the given sources and targets, in the given order.

        Raises:
            ValueError: The scores do not have one of these languages.
        """
        rows = [self.sources.index(source) for source in sources]
        columns = [self.targets.index(target) for target in targets]
        return replace(
            self,
            sources=tuple(sources),
            targets=tuple(targets),
            cells=self.cells[:, :, rows][:, :, :, columns],
            trivial={target: score for target, score in self.trivial.items() if target in targets},
        )

    def above_trivial(self) -> tuple[int, int]:
        """Return (number of scores above the trivial answer, number of counted scores) for transfer to other languages.

        Scores of a source on its own language are not counted. Targets without a known trivial answer are not counted
        either. A source that is a mixture (`es+it`) has several own languages.
        """
        values = self.values
        pairs = [
            (values[row, column], self.trivial[target])
            for row, source in enumerate(self.sources)
            for column, target in enumerate(self.targets)
            if target in self.trivial and target not in source.split("+") and np.isfinite(values[row, column])
        ]
        return sum(bool(score > trivial) for score, trivial in pairs), len(pairs)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame of `values`, with sources as index and targets as columns."""
        import pandas as pd

        return pd.DataFrame(
            self.values, index=pd.Index(self.sources, name="source"), columns=pd.Index(self.targets, name="target")
        )


def mean_of_known(values: Reals) -> Reals:
    """Return the mean over the first axis, ignoring NaN; NaN if all values are NaN. [R, …] → […]."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean: Reals = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


@dataclass(frozen=True)
class Prediction:
    """The values of one predictor for the pairs of a pool; a larger value predicts a better score.

    Attributes:
        name: The name that the user gave to the predictor.
        coefficient: The kind of the values, such as `jaccard`.
        per_seed: float64 [R, S, T], R ≥ 1; NaN if the predictor has no value.
        seeds: R seeds; empty for a predictor without seeds (then R = 1).
    """

    name: str
    coefficient: str
    per_seed: Reals
    seeds: tuple[int, ...] = ()

    @property
    def values(self) -> Reals:
        """float64 [S, T]: the mean over seeds; NaN if any seed has no value."""
        mean: Reals = self.per_seed.mean(axis=0)
        return mean


@dataclass(frozen=True)
class PoolCost:
    """The pairs that one predictor removes from the pool.

    Each of these pairs has a gold score and a value for every other predictor, but no value for this predictor.

    Attributes:
        predictor: Name of the predictor.
        targets: Targets that lose all their candidates.
        sources: Sources that are no longer a candidate for any target.
        pairs: All pairs (source, target) that only this predictor lacks.
    """

    predictor: str
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the cost as a dictionary of JSON types."""
        return {
            "predictor": self.predictor,
            "targets": list(self.targets),
            "sources": list(self.sources),
            "pairs": [list(pair) for pair in self.pairs],
        }


@dataclass(frozen=True)
class JoinedScores:
    """Gold scores and predictions for the same sources and targets.

    Attributes:
        gold: The scores of the pool; `gold.sources` and `gold.targets` label all arrays of this object.
        predictions: At least one prediction; their names are distinct.
        notes: Sentences about languages and pairs that were left out; empty if none was left out.
        same_language: Pairs of a source and a target that are one language with two codes, such as `zh` and `zh-Hans`.
        costs: The pairs that each predictor removes from the pool, in the order of the predictions.
        records: {predictor: its record}; the records use the language codes of the gold scores. The value is None for
            a predictor without a record.
    """

    gold: TransferScores
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...] = ()
    same_language: frozenset[tuple[str, str]] = frozenset()
    costs: tuple[PoolCost, ...] = ()
    records: Mapping[str, PredictorRecord | None] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """The codes of the S sources."""
        return self.gold.sources

    @property
    def targets(self) -> tuple[str, ...]:
        """The codes of the T targets."""
        return self.gold.targets

    @property
    def own(self) -> NDArray[np.bool_]:
        """Boolean [S, T]: whether source and target are the same language, even if their codes differ."""
        own: NDArray[np.bool_] = np.equal(np.array(self.sources)[:, None], np.array(self.targets)[None, :])
        for source, target in self.same_language:
            own[self.sources.index(source), self.targets.index(target)] = True
        return own

    @property
    def candidates(self) -> NDArray[np.bool_]:
        """Boolean [S, T]: pairs of two different languages that have a gold score and a value for every predictor.

        Metrics use only these pairs. All predictors are therefore compared on the same pairs.
        """
        known: NDArray[np.bool_] = ~self.own & np.isfinite(self.gold.values)
        for prediction in self.predictions:
            known = known & np.isfinite(prediction.values)
        return known
