"""Data of the report page's section on layers and kinds of modules: the similarity of languages within each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xsns_stream.report.page.languages import PageLanguage
from xsns_stream.types import GroupedSimilarity, Reals


@dataclass(frozen=True)
class GroupSet:
    """Statistics of groups of parameters: of all layers, or of all kinds of modules.

    Attributes:
        by: How parameters are grouped: `layer` or `module`.
        names: Names of the G groups.
        sizes: Number of parameters of each group.
        shares: Share of the selected parameters that are in each group; NaN if nothing is selected.
        means: Mean similarity over all pairs of languages within each group.
        spreads: Standard deviation of the similarity over all pairs.
        separations: Probability that a pair of the same family is more similar than a pair of different families (the
            area under the ROC curve); NaN unless both kinds of pairs exist.
    """

    by: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    separations: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the data as plain values for JSON; NaN becomes None."""
        numbers = {
            "shares": self.shares,
            "means": self.means,
            "spreads": self.spreads,
            "separations": self.separations,
        }
        return {"by": self.by, "names": list(self.names), "sizes": list(self.sizes)} | {
            key: [value if np.isfinite(value) else None for value in values] for key, values in numbers.items()
        }


@dataclass(frozen=True)
class LayersSection:
    """The section on groups of parameters: layers, then kinds of modules.

    The page also has a similarity matrix for each group; its key is `layer:NAME` or `module:NAME`.

    Attributes:
        sets: One entry for each kind of group.
        coefficient: Name of the coefficient.
    """

    sets: tuple[GroupSet, ...]
    coefficient: str

    def to_json(self) -> dict[str, Any]:
        """Return the data as plain values for JSON."""
        return {"sets": [each.to_json() for each in self.sets], "coefficient": self.coefficient}


def group_set(grouped: GroupedSimilarity, languages: Sequence[PageLanguage]) -> GroupSet:
    """Return statistics of the similarities of all pairs of languages within each group.

    Args:
        grouped: Similarities in each group; sources and targets are the same languages.
        languages: The languages, in the order of the matrices.
    """
    upper = np.triu_indices(len(languages), 1)
    families = np.array([language.family for language in languages])
    both = (families != "")[upper[0]] & (families != "")[upper[1]]
    same = families[upper[0]] == families[upper[1]]
    means, spreads, separations = [], [], []
    for matrix in grouped.matrices:
        pairs = matrix.values[upper]
        known = np.isfinite(pairs)
        means.append(float(pairs[known].mean()) if known.any() else float("nan"))
        spreads.append(float(pairs[known].std(ddof=1)) if known.sum() > 1 else float("nan"))
        separations.append(_area(pairs[known & both], same[known & both]))
    return GroupSet(
        grouped.by, grouped.names, grouped.sizes, grouped.shares, tuple(means), tuple(spreads), tuple(separations)
    )


def _area(values: Reals, positive: npt.NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: the probability that a value marked in `positive` exceeds an unmarked one.

    Ties count as one half. The area is NaN if all values, or none, are marked.
    """
    from scipy.stats import rankdata

    count = int(positive.sum())
    others = len(values) - count
    if not count or not others:
        return float("nan")
    return float((rankdata(values)[positive].sum() - count * (count + 1) / 2) / (count * others))
