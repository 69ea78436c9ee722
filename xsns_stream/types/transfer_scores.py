"""Transfer scores, and the scores and predictions that were joined by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.types.arrays import Reals
from xsns_stream.types.predictor_records import PredictorRecord

if TYPE_CHECKING:
    import pandas as pd


#: What one point of a score is: of a hundred, of one, or of a scale of the metric's own.
UNITS: Final = ("percent", "fraction", "points")


@dataclass(frozen=True)
class TransferScores:
    """How well each source's fine-tuned model did on each target; larger is better.

    Attributes:
        sources: S codes, the rows.
        targets: T codes, the columns.
        cells: float64 [G, R, S, T]: every regime, seed, source and target; NaN = not measured.
        task: What was fine-tuned, as `pos`.
        metric: What was measured, as `accuracy`.
        unit: One of UNITS; regret and errors are in this unit.
        origin: Where the scores came from, for people to read.
        regimes: G names of training regimes, as `10000` for as many training examples; the first is the main one.
        seeds: R seeds of fine-tuning; empty where there is one run of which no seed is known.
        notes: What readers of the scores should know, in sentences.
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

    def __post_init__(self) -> None:
        expected = (len(self.regimes), max(1, len(self.seeds)), len(self.sources), len(self.targets))
        if self.cells.shape != expected:
            raise ValueError(f"regimes, seeds, sources and targets ask for {expected}, not {self.cells.shape}")
        for labels in (self.sources, self.targets, self.regimes, self.seeds):
            if len(set(labels)) != len(labels):
                raise ValueError(f"a label stands twice in {labels}")
        if self.unit not in UNITS:
            raise ValueError(f"the unit is one of {', '.join(UNITS)}, not {self.unit!r}")
        if np.isinf(self.cells).any():
            raise ValueError("a score is infinite")

    @property
    def per_seed(self) -> Reals:
        """float64 [R, S, T] of the main regime."""
        first: Reals = self.cells[0]
        return first

    @property
    def values(self) -> Reals:
        """float64 [S, T]: the mean over the seeds that were measured, main regime; NaN where none was."""
        return mean_of_known(self.per_seed)

    def __getitem__(self, pair: tuple[str, str]) -> float:
        source, target = pair
        if source not in self.sources or target not in self.targets:
            raise LanguageError(f"no pair '{source}' → '{target}' among the scores.")
        return float(self.values[self.sources.index(source), self.targets.index(target)])

    def regime(self, name: str) -> TransferScores:
        """Return the scores of one regime.

        Raises:
            UsageError: There is none of this name.
        """
        if name not in self.regimes:
            raise UsageError(f"the scores have no regime '{name}'.", f"they have {', '.join(self.regimes)}.")
        place = self.regimes.index(name)
        return replace(self, cells=self.cells[place : place + 1], regimes=(name,))

    def restricted(self, sources: Sequence[str], targets: Sequence[str]) -> TransferScores:
        """Return the scores of these sources and targets, in this order.

        Raises:
            ValueError: One of them is not there.
        """
        rows = [self.sources.index(source) for source in sources]
        columns = [self.targets.index(target) for target in targets]
        return replace(
            self, sources=tuple(sources), targets=tuple(targets), cells=self.cells[:, :, rows][:, :, :, columns]
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame of `values`, with sources as index and targets as columns."""
        import pandas as pd

        return pd.DataFrame(
            self.values, index=pd.Index(self.sources, name="source"), columns=pd.Index(self.targets, name="target")
        )


def mean_of_known(values: Reals) -> Reals:
    """Return the mean over the first axis of what is not NaN; NaN where nothing is. [R, …] → […]."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean: Reals = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


@dataclass(frozen=True)
class Prediction:
    """What one predictor says of the pairs of a pool; larger predicts a better score.

    Attributes:
        name: As the user calls it.
        coefficient: What the numbers are, as `jaccard`.
        per_seed: float64 [R, S, T], R ≥ 1; NaN where the predictor says nothing.
        seeds: R seeds; empty where seeds mean nothing to it (then R = 1).
    """

    name: str
    coefficient: str
    per_seed: Reals
    seeds: tuple[int, ...] = ()

    @property
    def values(self) -> Reals:
        """float64 [S, T]: the mean over seeds; NaN where one says nothing."""
        mean: Reals = self.per_seed.mean(axis=0)
        return mean


@dataclass(frozen=True)
class PoolCost:
    """What a predictor takes out of the pool: pairs that have a score, and a prediction of all other predictors.

    Attributes:
        predictor: Its name.
        targets: Targets that have a candidate without it, and none with it.
        sources: Sources that compete somewhere without it, and nowhere with it.
        pairs: All (source, target) that it alone lacks.
    """

    predictor: str
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "predictor": self.predictor,
            "targets": list(self.targets),
            "sources": list(self.sources),
            "pairs": [list(pair) for pair in self.pairs],
        }


@dataclass(frozen=True)
class JoinedScores:
    """Gold scores and predictions of the same sources and targets.

    Attributes:
        gold: Restricted to the pool, so that `gold.sources` and `gold.targets` label every array here.
        predictions: At least one, names distinct.
        notes: Sentences on what did not match and was left out; empty where everything did.
        spelt_twice: Pairs of a source and a target that are one language under two codes, as `zh` and `zh-Hans`.
        costs: What each predictor takes out of the pool, in their order.
        records: {predictor: what it was made of}, languages called as the gold calls them; None where not recorded.
    """

    gold: TransferScores
    predictions: tuple[Prediction, ...]
    notes: tuple[str, ...] = ()
    spelt_twice: frozenset[tuple[str, str]] = frozenset()
    costs: tuple[PoolCost, ...] = ()
    records: Mapping[str, PredictorRecord | None] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """S codes."""
        return self.gold.sources

    @property
    def targets(self) -> tuple[str, ...]:
        """T codes."""
        return self.gold.targets

    @property
    def own(self) -> NDArray[np.bool_]:
        """Boolean [S, T]: where the source is the target, whatever it is called."""
        found: NDArray[np.bool_] = np.equal(np.array(self.sources)[:, None], np.array(self.targets)[None, :])
        for source, target in self.spelt_twice:
            found[self.sources.index(source), self.targets.index(target)] = True
        return found

    @property
    def candidates(self) -> NDArray[np.bool_]:
        """Boolean [S, T]: where the source is not the target, the score was measured, and all predictors say something.

        Metrics compare these pairs alone, so that every predictor answers the same question.
        """
        known: NDArray[np.bool_] = ~self.own & np.isfinite(self.gold.values)
        for prediction in self.predictions:
            known = known & np.isfinite(prediction.values)
        return known
