"""Similarity matrices: one for all parameters, or one for each group of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xsns_stream.errors import LanguageError
from xsns_stream.types.parameters import Reals
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
