"""Similarity matrices and rankings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xsns_stream.errors import LanguageError
from xsns_stream.types.arrays import Reals
from xsns_stream.types.predictor_records import PredictorRecord

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SimilarityMatrix:
    """How similar each source is to each target; larger is more similar.

    Attributes:
        sources: S codes, the rows.
        targets: T codes, the columns.
        values: float64 [S, T], averaged over seeds; NaN where undefined.
        coefficient: Name of the coefficient, as `jaccard`.
        chance: float64 [S, T], what unrelated sub-networks of the same sizes would give; None where unknown.
        seeds: The seeds averaged over; empty where seeds mean nothing.
        per_seed: float64 [R, S, T], one matrix for each seed; None where seeds mean nothing.
        standard_error: float64 [S, T], of the values where they are estimated from a sample of the parameters; None
            where all were counted.
        record: What the values were made of; None where that is not known.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Reals
    coefficient: str
    chance: Reals | None = None
    seeds: tuple[int, ...] = ()
    per_seed: Reals | None = None
    standard_error: Reals | None = None
    record: PredictorRecord | None = None

    #: Distances are turned round before they become a SimilarityMatrix.
    direction = "similarity"

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.sources), len(self.targets)):
            raise ValueError(
                f"{len(self.sources)} sources and {len(self.targets)} targets do not label {self.values.shape}"
            )

    def __getitem__(self, pair: tuple[str, str]) -> float:
        source, target = pair
        return float(self.values[self._index(self.sources, source), self._index(self.targets, target)])

    @staticmethod
    def _index(labels: Sequence[str], language: str) -> int:
        try:
            return labels.index(language)
        except ValueError:
            raise LanguageError(f"no language '{language}' in the matrix.") from None

    def column(self, target: str) -> Reals:
        """Return float64 [S]: every source's similarity to `target`."""
        return self.values[:, self._index(self.targets, target)]

    @property
    def chance_corrected(self) -> Reals | None:
        """(J − E) / (1 − E), zero where similarity is what chance gives; None where chance is unknown."""
        if self.chance is None:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            corrected: Reals = (self.values - self.chance) / (1.0 - self.chance)
        return corrected

    @property
    def mean_of_pairs(self) -> float:
        """The mean over all pairs of two different languages whose value is defined; NaN where there is none."""
        own = np.equal(np.array(self.sources)[:, None], np.array(self.targets)[None, :])
        known = self.values[~own & np.isfinite(self.values)]
        return float(known.mean()) if known.size else float("nan")

    @property
    def spread(self) -> Reals | None:
        """float64 [S, T]: sample standard deviation over seeds; None for fewer than two."""
        if self.per_seed is None or len(self.per_seed) < 2:
            return None
        deviation: Reals = self.per_seed.std(axis=0, ddof=1)
        return deviation

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with sources as index and targets as columns."""
        import pandas as pd

        return pd.DataFrame(
            self.values,
            index=pd.Index(self.sources, name="source"),
            columns=pd.Index(self.targets, name="target"),
        )


@dataclass(frozen=True)
class GroupedSimilarity:
    """How similar languages are in each group of parameters, as in each layer.

    Attributes:
        by: What the groups are: `layer`, `module` or `tensor`.
        names: G names.
        matrices: G matrices of the same sources and targets.
        sizes: Number of parameters of each group.
        shares: Share of all languages' selected parameters that lie in each group, mean over seeds; they add up to
            one, and are NaN where nothing is selected.
    """

    by: str
    names: tuple[str, ...]
    matrices: tuple[SimilarityMatrix, ...]
    sizes: tuple[int, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if {len(self.matrices), len(self.sizes), len(self.shares)} != {len(self.names)} or not self.names:
            raise ValueError(f"{len(self.names)} names do not label {len(self.matrices)} matrices")

    def __getitem__(self, name: str) -> SimilarityMatrix:
        if name not in self.names:
            raise KeyError(name)
        return self.matrices[self.names.index(name)]

    def __iter__(self) -> Iterator[tuple[str, SimilarityMatrix]]:
        return zip(self.names, self.matrices, strict=True)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def coefficient(self) -> str:
        """Name of the coefficient."""
        return self.matrices[0].coefficient

    @property
    def values(self) -> Reals:
        """float64 [G, S, T]."""
        return np.stack([matrix.values for matrix in self.matrices])

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with a line for each group, source and target."""
        import pandas as pd

        first = self.matrices[0]
        labels = pd.MultiIndex.from_product(
            [self.names, first.sources, first.targets], names=["group", "source", "target"]
        )
        return pd.DataFrame({self.coefficient: self.values.ravel()}, index=labels).reset_index()


@dataclass(frozen=True)
class PartSimilarity:
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
