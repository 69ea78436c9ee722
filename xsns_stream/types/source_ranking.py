"""Rankings of source languages for one target: intervals, expected scores, sets of sources and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from xsns_stream.types.html_table import html_table, text_table
from xsns_stream.types.parameters import Reals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FoldSimilarity:
    """Similarities of sources to a target, computed K times, each time without one of K folds of the examples.

    Attributes:
        target: A code.
        sources: S codes.
        without_target: float64 [R, K, S]: the axes are seed, left-out fold of the target's examples, and source.
        without_source: float64 [R, K, S]: the axes are seed, left-out fold of the source's examples, and source.
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
            raise ValueError("similarities must have the shape [R, K, S] with at least two folds")

    @property
    def count(self) -> int:
        """K, the number of folds."""
        return int(self.without_target.shape[1])


@dataclass(frozen=True)
class SimilarityDraws:
    """Simulated similarities of several sources to one target: values that other samples of examples might give.

    Attributes:
        target: A code.
        sources: S codes.
        values: float64 [B, S]: random draws around the measured similarities. The variance of the draws is
            the estimated variance of a similarity between samples of examples.
        basis: The data from which the variance was estimated, such as `8 parts` or `3 seeds`.
    """

    target: str
    sources: tuple[str, ...]
    values: Reals
    basis: str


@dataclass(frozen=True, slots=True)
class ExpectedScore:
    """The expected score of a source on the target, predicted from gold scores of other pairs.

    Attributes:
        mean: Predicted score in the unit of the gold scores.
        low: Lower end of the 95 % prediction interval.
        high: Upper end of the prediction interval.
        measured: The gold score of the pair; None if the pair has no gold score.
    """

    mean: float
    low: float
    high: float
    measured: float | None = None


@dataclass(frozen=True, slots=True)
class RankedSource:
    """One source language in a ranking.

    Attributes:
        language: The source.
        similarity: Similarity to the target, averaged over seeds.
        chance_corrected: Chance-corrected similarity to the target; None if unknown.
        spread: Standard deviation of the similarity over seeds; None for fewer than two seeds.
        tied: Whether another source has exactly the same similarity.
        low: Lower end of the 95 % confidence interval of the similarity, which accounts for the choice of examples;
            None if unknown.
        high: Upper end of the confidence interval.
        best_probability: Probability that this source is the most similar one; None if unknown.
        level_with_first: Whether the two cannot be distinguished: the interval of the difference to the first source
            contains zero. True for the first source itself; None if unknown.
        reliability: Jaccard coefficient of the sub-networks of two halves of the source's examples, averaged over
            seeds; None if unknown.
        expected: The expected score; None if it was not requested.
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
    """Source languages for one target, best first. The target itself is not in the list.

    Attributes:
        target: A code.
        coefficient: Name of the coefficient.
        sources: The ranked sources, best first.
        seeds: The seeds over which similarities were averaged.
        basis: The data from which the intervals were computed, such as `8 parts`; empty if there are no
            intervals.
        reliability: Reliability of the target's sub-network; see :class:`RankedSource`.
        unit: Unit of the expected scores; empty if there are none.
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
        """Number of sources, including the first, that cannot be distinguished from the first one; 0 if unknown."""
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
        return html_table(
            self.to_frame().rename_axis(None), f"Sources for {self.target}, by {self.coefficient}", index=True
        )

    def __repr__(self) -> str:
        return text_table(self.to_frame().iloc[:, :_FIRST], f"Sources for {self.target}, by {self.coefficient}")


#: Number of columns of a frame that plain text shows.
_FIRST = 5
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
    """One source of a set of sources for joint training.

    Attributes:
        language: The source.
        alone: Share of the target's sub-network that this source covers.
        gain: Share that this source covers but none of the preceding sources covers.
        covered: Share that this source and all preceding sources cover together.
    """

    language: str
    alone: float
    gain: float
    covered: float


@dataclass(frozen=True, repr=False)
class SourceCover:
    """A set of sources for joint training, in the order in which they were chosen.

    Attributes:
        target: A code.
        strategy: How the sources were chosen: `top` or `coverage`.
        sources: The sources, in the order in which they were chosen.
    """

    target: str
    strategy: str
    sources: tuple[CoveringSource, ...]

    @property
    def covered(self) -> float:
        """Share of the target's sub-network that all sources cover together."""
        return self.sources[-1].covered if self.sources else 0.0

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each source, in the order in which the sources were chosen.

        The columns are the fields of :class:`CoveringSource`; the index is the position, from 1.
        """
        import pandas as pd

        rows = [(source.language, source.alone, source.gain, source.covered) for source in self.sources]
        index = pd.RangeIndex(1, len(rows) + 1, name="position")
        return pd.DataFrame(rows, index=index, columns=["language", "alone", "gain", "covered"])

    def _caption(self) -> str:
        return f"Sources for {self.target} together, by {self.strategy}: shares of its sub-network"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame().rename_axis(None), self._caption(), index=True)

    def __repr__(self) -> str:
        return text_table(self.to_frame(), self._caption())


@dataclass(frozen=True, repr=False)
class Explanation:
    """The contribution of groups of parameters to the similarity of sources to a target.

    The Jaccard coefficient is a sum over groups, Σ_g |A ∩ B|_g / |A ∪ B|. The excess of a group is its term minus the
    mean of this term over all candidates. The sum of the excesses of a source is the difference between its similarity
    and the mean similarity.

    Attributes:
        target: A code.
        by: Kind of the groups, such as `layer`.
        names: Names of G groups.
        sources: S codes.
        corrected: float64 [G, S]: chance-corrected coefficient within the group.
        excess: float64 [G, S]: excess of the group for this source.
    """

    target: str
    by: str
    names: tuple[str, ...]
    sources: tuple[str, ...]
    corrected: Reals
    excess: Reals

    def first(self, count: int) -> Explanation:
        """Return an explanation that contains only the first `count` sources."""
        few = slice(count)
        return replace(self, sources=self.sources[few], corrected=self.corrected[:, few], excess=self.excess[:, few])

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each pair of a group and a source.

        The columns are the kind of the groups (such as `layer`), `source`, `chance_corrected` and `excess`.
        """
        import pandas as pd

        labels = pd.MultiIndex.from_product([self.names, self.sources], names=[self.by, "source"])
        values = {"chance_corrected": self.corrected.ravel(), "excess": self.excess.ravel()}
        return pd.DataFrame(values, index=labels).reset_index()

    def _shown(self) -> tuple[pd.DataFrame, str]:
        """Return the excesses as a table with one column for each source, and its caption."""
        import pandas as pd

        frame = pd.DataFrame(self.excess, index=list(self.names), columns=list(self.sources))
        return frame, f"Contribution of each {self.by} to the similarity with {self.target}, minus its mean"

    def _repr_html_(self) -> str:
        return html_table(*self._shown(), index=True, number="{:+.4f}")

    def __repr__(self) -> str:
        return text_table(*self._shown(), index=True)
