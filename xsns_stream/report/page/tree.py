"""The dendrogram of the report page: its clusters, their agreement with families, and their support."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsns_stream.report.page.languages import PageLanguage
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_clusters import adjusted_rand
from xsns_stream.types.language_tree import average_linkage, clusters_of, support_of


@dataclass(frozen=True)
class TreeSection:
    """A dendrogram of all languages, by average linkage on 1 − similarity.

    Attributes:
        languages: L labels.
        linkage: float64 [L − 1, 4], as :func:`scipy.cluster.hierarchy.linkage` returns it.
        cophenetic: Correlation of the distances in the tree with the distances from the matrix; NaN if undefined.
        agreement: float64 [L]: entry k − 1 is the adjusted Rand index of the division into k clusters and the
            division into families, over the languages with a known family; NaN if fewer than two families are known.
        with_family: Number of languages with a known family.
        support: float64 [L − 1]: for each join, the share of resampled trees that contain the same group of languages;
            None if there are no resampled trees.
        basis: The data from which trees were resampled, such as `8 parts`; empty without support.
        resamples: Number of resampled trees.
    """

    languages: tuple[str, ...]
    linkage: Reals
    cophenetic: float
    agreement: Reals
    with_family: int
    support: Reals | None = None
    basis: str = ""
    resamples: int = 0

    @property
    def best_cut(self) -> int:
        """The number of clusters for which clusters agree most with families; about √L if families are unknown."""
        if np.isfinite(self.agreement).any():
            return int(np.nanargmax(self.agreement)) + 1
        return max(1, round(math.sqrt(len(self.languages))))

    def to_json(self, number: Mapping[str, int]) -> dict[str, Any]:
        """Return the data as plain values for JSON; NaN becomes None.

        Args:
            number: {label: index among the languages of the page}; indices replace the labels.
        """
        return {
            "languages": [number[code] for code in self.languages],
            "merges": [[int(a), int(b), round(float(height), 6)] for a, b, height, _ in self.linkage.tolist()],
            "cophenetic": _plain(self.cophenetic),
            "agreement": [_plain(value) for value in self.agreement.tolist()],
            "with_family": self.with_family,
            "support": None if self.support is None else [float(value) for value in self.support],
            "basis": self.basis,
            "resamples": self.resamples,
            "cut": self.best_cut,
        }


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def tree_section(
    matrix: SimilarityMatrix,
    languages: Sequence[PageLanguage],
    resampled: Iterable[Reals] | None = None,
    basis: str = "",
) -> TreeSection:
    """Cluster the languages of a square matrix.

    Args:
        matrix: Similarities; sources and targets are the same languages, at least three.
        languages: The languages of the matrix, in its order.
        resampled: Matrices from resampled examples, from which the support is computed; None for no support.
        basis: The data from which these matrices were resampled, such as `8 parts`.
    """
    linkage = average_linkage(matrix.values)
    families = [language.family for language in languages]
    tree = TreeSection(
        matrix.sources,
        linkage,
        _cophenetic(linkage, matrix.values),
        _agreement(linkage, families),
        sum(bool(family) for family in families),
    )
    if resampled is None:
        return tree
    support, count = support_of(linkage, resampled)
    return TreeSection(
        tree.languages, linkage, tree.cophenetic, tree.agreement, tree.with_family, support, basis, count
    )


def _cophenetic(linkage: Reals, similarity: Reals) -> float:
    """Return the correlation of distances in the tree with 1 − similarity, over pairs with a defined similarity."""
    from scipy.cluster.hierarchy import cophenet

    pairs = (1.0 - (similarity + similarity.T) / 2)[np.triu_indices(len(similarity), 1)]
    known = np.isfinite(pairs)
    heights = cophenet(linkage)[known]
    if known.sum() < 2 or np.ptp(heights) == 0 or np.ptp(pairs[known]) == 0:
        return float("nan")
    return float(np.corrcoef(heights, pairs[known])[0, 1])


def _agreement(linkage: Reals, families: Sequence[str]) -> Reals:
    """Return float64 [L]: entry k − 1 is the adjusted Rand index of the division into k clusters and the families."""
    known = np.array([bool(family) for family in families])
    result = np.full(len(families), np.nan)
    labels = np.unique([family for family in families if family], return_inverse=True)[1]
    if len(np.unique(labels)) < 2:
        return result
    for count in range(1, len(families) + 1):
        result[count - 1] = adjusted_rand(clusters_of(linkage, count)[known], labels)
    return result
