"""Positions and clusters of the nodes of a drawn tree."""

from __future__ import annotations

from dataclasses import dataclass

from xsns_stream.report.figures import COLOURS, INK
from xsns_stream.types.language_tree import LanguageTree, clusters_of


@dataclass(frozen=True)
class TreeNode:
    """A node of the drawn tree: a leaf, or a join.

    Attributes:
        x: Distance at which the groups below are joined; NaN for a leaf.
        y: Vertical position; leaf i is at i.
        cluster: Index of the cluster of all leaves below; −1 if they are in several clusters.
    """

    x: float
    y: float
    cluster: int


def tree_nodes(tree: LanguageTree, clusters: int | None) -> tuple[list[TreeNode], dict[str, int]]:
    """Return the nodes as SciPy numbers them (leaves, then joins), and {code: index of its cluster}."""
    place = {code: i for i, code in enumerate(tree.leaves)}
    numbers: dict[str, int] = {}
    if clusters is not None:
        owner = clusters_of(tree.linkage, clusters).tolist()
        found: dict[int, int] = {}
        for code in tree.leaves:
            # Clusters are numbered from the top, as in tables.
            numbers[code] = found.setdefault(owner[tree.languages.index(code)], len(found))
    nodes = [TreeNode(float("nan"), place[code], numbers.get(code, -1)) for code in tree.languages]
    for left, right, distance, _ in tree.linkage.tolist():
        one, other = nodes[int(left)], nodes[int(right)]
        same = one.cluster if one.cluster == other.cluster else -1
        nodes.append(TreeNode(distance, (one.y + other.y) / 2, same))
    return nodes, numbers


def cluster_colour(cluster: int | None) -> str:
    """Return the colour of a cluster; neighbouring clusters have different colours."""
    return INK if cluster is None or cluster < 0 else COLOURS[cluster % (len(COLOURS) - 1)]
