"""Rankings of source languages for one target: intervals, expected scores, sets of sources and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xsns_stream.types.html_table import html_table
from xsns_stream.types.parameters import Reals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FoldSimilarity:
    """Similarities of sources to a target with one of K parts of the examples of either left out.

    Attributes:
        target: A code.
        sources: S codes.
        without_target: float64 [R, K, S]: seed, part of the target's examples that is left out, source.
        without_source: float64 [R, K, S]: seed, part of the source's own examples that is left out, source.
        coefficient: Name of the coefficient.
        seeds: R seeds.
    """

    target: str
    sources: tuple[str, ...]
    without_target: Reals
    without_source: Reals
    coefficient: str
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        expected = len(self.seeds), self.count, len(self.sources)
        if {self.without_target.shape, self.without_source.shape} != {expected} or self.count < 2:
            raise ValueError("similarities without a part must be [R, K, S], of at least two parts")

    @property
    def count(self) -> int:
        """K, how many parts there are."""
        return int(self.without_target.shape[1])


@dataclass(frozen=True)
class SimilarityDraws:
    """What the similarities of several sources to one target might have been with other examples.

    Attributes:
        target: A code.
        sources: S codes.
        values: float64 [B, S]: draws, scattered round the measured similarities as other examples would scatter them.
        basis: What the scatter was measured on, as `8 parts` or `3 seeds`.
    """

    target: str
    sources: tuple[str, ...]
    values: Reals
    basis: str


@dataclass(frozen=True, slots=True)
class ExpectedScore:
    """What a source is expected to give on the target, from gold scores of other pairs.

    Attributes:
        mean: In the unit of the gold scores.
        low: Lower end of the 95 % interval.
        high: Upper end.
        measured: The gold score itself; None where there is none.
    """

    mean: float
    low: float
    high: float
    measured: float | None = None


@dataclass(frozen=True, slots=True)
class RankedSource:
    """One line of a ranking.

    Attributes:
        language: The source.
        similarity: To the target, averaged over seeds.
        chance_corrected: The same with chance taken off; None where unknown.
        spread: Standard deviation over seeds; None for fewer than two.
        tied: Whether another source has exactly the same similarity.
        low: Lower end of the 95 % interval of the similarity, for other examples; None where unknown.
        high: Upper end.
        best_probability: How likely it is that this source is the most similar one; None where unknown.
        level_with_first: Whether the interval of the difference to the first source holds zero: nothing tells the two
            apart. True for the first itself; None where unknown.
        reliability: Jaccard coefficient of the sub-networks of two halves of the source's own examples, mean over
            seeds; None where unknown.
        expected: The score that similarity lets expect; None where nobody asked.
    """

    language: str
    similarity: float
    chance_corrected: float | None
    spread: float | None
    tied: bool = False
    low: float | None = None
    high: float | None = None
    best_probability: float | None = None
    level_with_first: bool | None = None
    reliability: float | None = None
    expected: ExpectedScore | None = None


@dataclass(frozen=True)
class SourceRanking:
    """Sources for one target, best first; the target itself is never among them.

    Attributes:
        target: A code.
        coefficient: Name of the coefficient.
        sources: Best first.
        seeds: The seeds averaged over.
        basis: What the intervals were made of, as `8 parts`; empty where there are none.
        reliability: That of the target.
        unit: Of the expected scores; empty where there are none.
    """

    target: str
    coefficient: str
    sources: tuple[RankedSource, ...]
    seeds: tuple[int, ...] = ()
    basis: str = ""
    reliability: float | None = None
    unit: str = ""

    def __iter__(self) -> Iterator[RankedSource]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def level(self) -> int:
        """How many sources cannot be told apart from the first, itself included; 0 where that is unknown."""
        return sum(source.level_with_first is True for source in self.sources)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each source, best first; the index is the rank, from 1.

        The columns are the fields of :class:`RankedSource`. The expected score has the columns `expected`,
        `expected_low`, `expected_high` and `measured`. Columns without any value are left out.
        """
        import pandas as pd

        rows = [_frame_row(source) for source in self.sources]
        frame = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="rank"), columns=list(_FRAME_COLUMNS))
        return frame.drop(columns=[name for name in _FRAME_COLUMNS[2:] if frame[name].isna().all()])

    def _repr_html_(self) -> str:
        return html_table(self.to_frame(), f"Sources for {self.target}, by {self.coefficient}", index=True)


_FRAME_COLUMNS = (
    "language",
    "similarity",
    "low",
    "high",
    "best_probability",
    "level_with_first",
    "chance_corrected",
    "spread",
    "tied",
    "reliability",
    "expected",
    "expected_low",
    "expected_high",
    "measured",
)


def _frame_row(source: RankedSource) -> dict[str, object]:
    score = source.expected
    scores = {} if score is None else {"expected": score.mean, "expected_low": score.low, "expected_high": score.high}
    measured = None if score is None else score.measured
    row = {name: getattr(source, name) for name in _FRAME_COLUMNS[:10]}
    return row | dict.fromkeys(_FRAME_COLUMNS[10:]) | scores | {"measured": measured}


@dataclass(frozen=True, slots=True)
class CoveringSource:
    """A source that is trained on beside others.

    Attributes:
        language: The source.
        alone: Share of the target's sub-network that it covers by itself.
        gain: Share that it covers and none of those before it does.
        covered: Share that it covers together with those before it.
    """

    language: str
    alone: float
    gain: float
    covered: float


@dataclass(frozen=True)
class SourceCover:
    """Sources that are trained on together, in the order in which they were chosen.

    Attributes:
        target: A code.
        strategy: `top` or `coverage`.
        sources: The sources.
    """

    target: str
    strategy: str
    sources: tuple[CoveringSource, ...]

    @property
    def covered(self) -> float:
        """Share of the target's sub-network that all of them cover together."""
        return self.sources[-1].covered if self.sources else 0.0


@dataclass(frozen=True)
class Explanation:
    """Which groups of parameters make sources similar to a target.

    The Jaccard coefficient is a sum over groups, Σ_g |A ∩ B|_g / |A ∪ B|. `excess` is a group's term less its mean
    over all candidates, so that the excesses of a source add up to how much more similar it is than the mean source.

    Attributes:
        target: A code.
        by: What the groups are, as `layer`.
        names: G names.
        sources: S codes.
        corrected: float64 [G, S], the chance-corrected coefficient within the group.
        excess: float64 [G, S].
    """

    target: str
    by: str
    names: tuple[str, ...]
    sources: tuple[str, ...]
    corrected: Reals
    excess: Reals
