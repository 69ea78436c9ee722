"""The dendrogram of the report page: its clusters, their agreement with families, and their support."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xsns_stream.report.page.languages import PageLanguage
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_tree import average_linkage


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
            "cophenetic": _plain(self.cophenetic, 4),
            "agreement": [_plain(value, 4) for value in self.agreement.tolist()],
            "with_family": self.with_family,
            "support": None if self.support is None else [round(float(value), 3) for value in self.support],
            "basis": self.basis,
            "resamples": self.resamples,
            "cut": self.best_cut,
        }


def _plain(value: float, digits: int) -> float | None:
    return round(value, digits) if np.isfinite(value) else None


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
    support, count = _support(linkage, resampled)
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


def clusters_of(linkage: Reals, count: int) -> npt.NDArray[np.intp]:
    """Return intp [L]: the index of the cluster of each leaf when the tree is cut into `count` clusters."""
    leaves = len(linkage) + 1
    owner = np.arange(leaves, dtype=np.intp)
    members: dict[int, list[int]] = {leaf: [leaf] for leaf in range(leaves)}
    for step, (left, right) in enumerate(linkage[: leaves - count, :2].astype(int).tolist()):
        members[leaves + step] = members.pop(left) + members.pop(right)
    for cluster, group in enumerate(members.values()):
        owner[group] = cluster
    return owner


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


def adjusted_rand(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> float:
    """Return the adjusted Rand index of two divisions of the same items (Hubert and Arabie 1985).

    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 7, 7]))
    1.0
    """
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1.0)

    def pairs(counts: Reals) -> float:
        return float((counts * (counts - 1) / 2).sum())

    together, by_row, by_column = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    everything = len(first) * (len(first) - 1) / 2
    expected = by_row * by_column / everything
    largest = (by_row + by_column) / 2
    # Both divisions are one group, or both are single items.
    return 1.0 if largest == expected else (together - expected) / (largest - expected)


def _groups(linkage: Reals) -> list[frozenset[int]]:
    """Return, for each join, the set of leaves below it."""
    leaves = len(linkage) + 1
    members = [frozenset([leaf]) for leaf in range(leaves)]
    for left, right in linkage[:, :2].astype(int).tolist():
        members.append(members[left] | members[right])
    return members[leaves:]


def _support(linkage: Reals, resampled: Iterable[Reals]) -> tuple[Reals, int]:
    """Return the share of resampled trees that contain each group of the tree, and the number of resampled trees."""
    groups, count = _groups(linkage), 0
    found = np.zeros(len(groups))
    for values in resampled:
        other = set(_groups(average_linkage(values)))
        found += [group in other for group in groups]
        count += 1
    return found / max(count, 1), count
