"""Clusters of languages, which result from cutting a tree, and their agreement with language families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xsns_stream.glottolog import place_of
from xsns_stream.languages import shown_name
from xsns_stream.types.html_table import html_table, text_table
from xsns_stream.types.language_tree import LanguageTree, clusters_of
from xsns_stream.types.parameters import Reals

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LanguageClusters:
    """Clusters of languages, which result from cutting a tree.

    Attributes:
        clusters: The codes of each cluster. Clusters and codes are in the order of the leaves of the tree; neighbouring
            clusters are similar.
        families: {code: name of its top-level family in Glottolog}, for the languages whose family is known.
        agreement: The adjusted Rand index of the clusters and the families, over the languages with a known family. It
            is 1 if both divisions are the same, and about 0 if they agree only by chance. NaN if fewer than two
            families are known.
        scripts: {code: ISO 15924 code of the usual script}, for the languages whose script is known.
        script_agreement: The adjusted Rand index of the clusters and the scripts.
    """

    clusters: tuple[tuple[str, ...], ...]
    families: Mapping[str, str]
    agreement: float
    scripts: Mapping[str, str] = field(default_factory=dict)
    script_agreement: float = float("nan")

    def __len__(self) -> int:
        return len(self.clusters)

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self.clusters)

    def number_of(self) -> dict[str, int]:
        """Return {code: number of its cluster}; numbers begin at 1."""
        return {code: number for number, cluster in enumerate(self.clusters, 1) for code in cluster}

    def families_of(self, cluster: int) -> tuple[tuple[str, int], ...]:
        """Return (family, number of languages) of a cluster, largest first; unknown families are left out.

        Args:
            cluster: Number of the cluster, from 1.
        """
        found = Counter(self.families[code] for code in self.clusters[cluster - 1] if code in self.families)
        return tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each language: `cluster`, `language` and `family`."""
        import pandas as pd

        rows = [(number, code, self.families.get(code, "")) for code, number in self.number_of().items()]
        return pd.DataFrame(rows, columns=["cluster", "language", "family"])

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream matrix --cluster … --json` prints as `clusters`."""
        groups = [
            {
                "languages": list(codes),
                "names": list(map(shown_name, codes)),
                "families": dict(self.families_of(number)),
            }
            for number, codes in enumerate(self, 1)
        ]
        return {
            "groups": groups,
            "adjusted_rand": None if np.isnan(self.agreement) else self.agreement,
            "with_family": len(self.families),
            "adjusted_rand_scripts": None if np.isnan(self.script_agreement) else self.script_agreement,
            "with_script": len(self.scripts),
        }

    def _caption(self) -> str:
        known = "unknown" if np.isnan(self.agreement) else f"{self.agreement:.2f}"
        return (
            f"{len(self)} cluster{'' if len(self) == 1 else 's'}; adjusted Rand index with language families: {known}"
        )

    def _repr_html_(self) -> str:
        return html_table(self.to_frame(), self._caption())

    def __repr__(self) -> str:
        return text_table(self.to_frame(), self._caption())


def language_clusters(tree: LanguageTree, count: int) -> LanguageClusters:
    """Cut a tree of languages into clusters, and compare the clusters with language families and scripts.

    Args:
        tree: The tree.
        count: Number of clusters, from 1 to the number of languages.

    Raises:
        ValueError: The number of clusters is out of range.
    """
    if not 1 <= count <= len(tree.languages):
        raise ValueError(f"{len(tree.languages)} languages cannot be divided into {count} clusters")
    owner = dict(zip(tree.languages, clusters_of(tree.linkage, count).tolist(), strict=True))
    clusters: dict[int, list[str]] = {}
    for code in tree.leaves:
        clusters.setdefault(owner[code], []).append(code)
    places = {code: place_of(code) for code in tree.languages}
    families = {code: place.family for code, place in places.items() if place.family}
    scripts = {code: place.script for code, place in places.items() if place.script}
    return LanguageClusters(
        tuple(map(tuple, clusters.values())), families, _agreement(owner, families), scripts, _agreement(owner, scripts)
    )


def _agreement(owner: Mapping[str, int], groups: Mapping[str, str]) -> float:
    """Return the adjusted Rand index of clusters and groups of languages; NaN for fewer than two groups.

    Args:
        owner: {code: index of its cluster}.
        groups: {code: name of its group}, for the languages to compare.
    """
    if len(set(groups.values())) < 2:
        return float("nan")
    labels = np.unique(list(groups.values()), return_inverse=True)[1]
    return adjusted_rand(np.array([owner[code] for code in groups], np.intp), labels)


def adjusted_rand(first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]) -> float:
    """Return the adjusted Rand index of two divisions of the same N items (Hubert and Arabie 1985).

    `first` and `second` [N] contain the group of each item in the two divisions.

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
    # The two are equal if both divisions consist of one group, or both consist of single items.
    return 1.0 if largest == expected else (together - expected) / (largest - expected)
