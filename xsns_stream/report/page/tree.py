"""The dendrogram of the report page: its clusters, their agreement with families, and their support."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsns_stream.report.page.languages import PageLanguage
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_clusters import adjusted_rand
from xsns_stream.types.language_tree import average_linkage, clusters_of, support_of
from xsns_stream.types.similarity_matrix import coefficient_name


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
        script_agreement: float64 [L]: the same as `agreement`, for the division into scripts.
        with_script: Number of languages with a known script.
        measure: Name of the coefficient, for a sentence.
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
    script_agreement: Reals
    with_script: int
    measure: str
    support: Reals | None = None
    basis: str = ""
    resamples: int = 0

    @property
    def best_cut(self) -> int:
        """The number of clusters for which clusters agree most with families; about √L if families are unknown."""
        if np.isfinite(self.agreement).any():
            return int(np.nanargmax(self.agreement)) + 1
        return max(1, round(math.sqrt(len(self.languages))))

    @property
    def sentence(self) -> str:
        """A sentence that says that clusters agree more with scripts than with families; empty if they do not."""
        families, scripts = (_largest(values) for values in (self.agreement, self.script_agreement))
        if families is None or scripts is None or scripts[1] <= families[1]:
            return ""
        return (
            f"The clusters agree more with scripts (adjusted Rand index {scripts[1]:.2f} for {_clusters(scripts[0])}) "
            f"than with families (at most {families[1]:.2f}, for {_clusters(families[0])}): in this matrix, the script "
            "of a language says more about its similarity than the family."
        )

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
            "script_agreement": [_plain(value) for value in self.script_agreement.tolist()],
            "with_script": self.with_script,
            "measure": self.measure,
            "support": None if self.support is None else [float(value) for value in self.support],
            "basis": self.basis,
            "resamples": self.resamples,
            "cut": self.best_cut,
        }


def _largest(agreement: Reals) -> tuple[int, float] | None:
    """Return the number of clusters with the largest agreement, and this agreement; None if all are undefined."""
    if not np.isfinite(agreement).any():
        return None
    index = int(np.nanargmax(agreement))
    return index + 1, float(agreement[index])


def _clusters(count: int) -> str:
    return f"{count} {'cluster' if count == 1 else 'clusters'}"


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
    families, scripts = ([getattr(each, kind) for each in languages] for kind in ("family", "script"))
    tree = TreeSection(
        matrix.sources,
        linkage,
        _cophenetic(linkage, matrix.values),
        _agreement(linkage, families),
        sum(map(bool, families)),
        _agreement(linkage, scripts),
        sum(map(bool, scripts)),
        coefficient_name(matrix.coefficient),
    )
    if resampled is None:
        return tree
    support, count = support_of(linkage, resampled)
    return replace(tree, support=support, basis=basis, resamples=count)


def _cophenetic(linkage: Reals, similarity: Reals) -> float:
    """Return the correlation of distances in the tree with 1 − similarity, over pairs with a defined similarity."""
    from scipy.cluster.hierarchy import cophenet

    pairs = (1.0 - (similarity + similarity.T) / 2)[np.triu_indices(len(similarity), 1)]
    known = np.isfinite(pairs)
    heights = cophenet(linkage)[known]
    if known.sum() < 2 or np.ptp(heights) == 0 or np.ptp(pairs[known]) == 0:
        return float("nan")
    return float(np.corrcoef(heights, pairs[known])[0, 1])


def _agreement(linkage: Reals, groups: Sequence[str]) -> Reals:
    """Return float64 [L]: entry k − 1 is the adjusted Rand index of the division into k clusters and that into groups.

    Args:
        linkage: The tree.
        groups: The family or the script of each language; empty if unknown.
    """
    known = np.array([bool(group) for group in groups])
    result = np.full(len(groups), np.nan)
    labels = np.unique([group for group in groups if group], return_inverse=True)[1]
    if len(np.unique(labels)) < 2:
        return result
    for count in range(1, len(groups) + 1):
        result[count - 1] = adjusted_rand(clusters_of(linkage, count)[known], labels)
    return result
