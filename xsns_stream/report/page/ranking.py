"""Data of the rankings of sources on the report page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xsns_stream.report.page.packing import STEPS, pack, pack_ends
from xsns_stream.types import Reals


@dataclass(frozen=True)
class RankedTarget:
    """Data on the ranking for one target; the similarities themselves are in the matrix.

    Attributes:
        target: The label of the target.
        best: (source, probability that the source is the most similar one) for sources whose probability is not zero.
        level: Sources that cannot be distinguished from the first source; empty without intervals.
        sentences: Sentences on what follows from the numbers, such as how many sources cannot be distinguished.
        tied: Sources with exactly the same similarity as another source.
    """

    target: str
    best: tuple[tuple[str, float], ...] = ()
    level: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()

    def to_json(self, number: Mapping[str, int]) -> dict[str, Any]:
        """Return the data as plain values for JSON; `number` maps each label to the index that replaces it."""
        return {
            "target": number[self.target],
            "best": [[number[source], round(share, 4)] for source, share in self.best],
            "level": [number[source] for source in self.level],
            "sentences": list(self.sentences),
            "tied": [number[source] for source in self.tied],
        }


@dataclass(frozen=True)
class ExpectedScores:
    """The expected score of every source on every target.

    Attributes:
        mean: float64 [S, T], in the unit of the gold scores; NaN is unknown.
        low: float64 [S, T], lower ends of the 95 % prediction intervals.
        high: float64 [S, T], upper ends of the intervals.
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
        """Return the data as plain values for JSON."""
        low, high = pack_ends(self.mean, self.low, self.high, steps=STEPS)
        return {
            "mean": pack(self.mean, steps=STEPS),
            "low": low,
            "high": high,
            "measured": pack(self.measured, steps=STEPS),
            "name": self.name,
            "unit": self.unit,
        }


@dataclass(frozen=True)
class RankingSection:
    """The rankings of sources for all targets, computed from the first matrix of the page.

    Attributes:
        targets: One entry for each target of the matrix.
        first: The target whose ranking is shown when the page opens.
        basis: The data from which the intervals were computed, such as `8 parts`; empty without intervals.
        worth: Sentences on reliability that apply to every ranking.
        expected: Expected scores; None without gold scores.
    """

    targets: tuple[RankedTarget, ...]
    first: str
    basis: str = ""
    worth: tuple[str, ...] = ()
    expected: ExpectedScores | None = None

    def to_json(self, number: Mapping[str, int]) -> dict[str, Any]:
        """Return the data as plain values for JSON; `number` maps each label to the index that replaces it."""
        return {
            "targets": [target.to_json(number) for target in self.targets],
            "first": number[self.first],
            "basis": self.basis,
            "worth": list(self.worth),
            "expected": None if self.expected is None else self.expected.to_json(),
        }
