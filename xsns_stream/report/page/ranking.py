"""Rankings of the sources of every target, for the report page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xsns_stream.report.page.packing import STEPS, pack
from xsns_stream.types import Reals


@dataclass(frozen=True)
class RankedTarget:
    """What is known of the ranking for one target, besides the similarities.

    Attributes:
        target: The label.
        best: (source, probability that it is the most similar one), for sources with a probability of at least 0.5 %.
        level: Sources that cannot be distinguished from the first one; empty without intervals.
        sentences: What follows from the numbers, such as how many sources cannot be distinguished.
    """

    target: str
    best: tuple[tuple[str, float], ...] = ()
    level: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()

    def to_json(self, number: Mapping[str, int]) -> dict[str, Any]:
        """Return plain values; languages become their indices."""
        return {
            "target": number[self.target],
            "best": [[number[source], round(share, 4)] for source, share in self.best],
            "level": [number[source] for source in self.level],
            "sentences": list(self.sentences),
        }


@dataclass(frozen=True)
class ExpectedScores:
    """Scores that are expected of every source on every target.

    Attributes:
        mean: float64 [S, T], in the unit of the gold scores; NaN is unknown.
        low: float64 [S, T], lower ends of the 95 % prediction intervals.
        high: float64 [S, T], upper ends.
        measured: float64 [S, T], gold scores; NaN if there is none.
        name: Name of the scores, such as `accuracy (pos)`.
        unit: Unit of the scores, such as `percent`.
    """

    mean: Reals
    low: Reals
    high: Reals
    measured: Reals
    name: str
    unit: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        below, above = self.mean - self.low, self.high - self.mean
        arrays = {"mean": self.mean, "below": below, "above": above, "measured": self.measured}
        return {key: pack(values, steps=STEPS) for key, values in arrays.items()} | {
            "name": self.name,
            "unit": self.unit,
        }


@dataclass(frozen=True)
class RankingSection:
    """The rankings of all targets, by the first matrix of the page.

    Attributes:
        targets: One entry for each target of the matrix.
        first: The target that the page shows at first.
        basis: What the intervals were computed from, such as `8 parts`; empty without intervals.
        worth: Sentences on the reliability of every ranking.
        expected: Expected scores; None without gold scores.
    """

    targets: tuple[RankedTarget, ...]
    first: str
    basis: str = ""
    worth: tuple[str, ...] = ()
    expected: ExpectedScores | None = None

    def to_json(self, number: Mapping[str, int]) -> dict[str, Any]:
        """Return plain values; languages become their indices."""
        return {
            "targets": [target.to_json(number) for target in self.targets],
            "first": number[self.first],
            "basis": self.basis,
            "worth": list(self.worth),
            "expected": None if self.expected is None else self.expected.to_json(),
        }
