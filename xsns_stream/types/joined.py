"""Predictions beside the scores they predict, joined by label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsns_stream.types.arrays import Reals
from xsns_stream.types.predictor_records import PredictorRecord
from xsns_stream.types.transfer import TransferScores


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
