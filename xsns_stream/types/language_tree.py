"""Trees of languages, built by average-linkage clustering of their similarities."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.escaping import visible
from xsns_stream.io.matrix_formats import NEWICK_SUFFIX
from xsns_stream.types.axes_drawing import label_lines, new_axes
from xsns_stream.types.parameters import Reals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Labels of the Newick format that need no quotation marks. Readers take an underscore without marks for a blank.
_PLAIN_LABEL: Final = re.compile(r"[A-Za-z0-9.+-]+")


@dataclass(frozen=True)
class TreeSupport:
    """How often the groups of languages of a tree occur in trees of resampled similarities.

    Attributes:
        shares: {languages of a group: share of the resampled trees that have the same group}.
        basis: The things that were resampled, as text, such as `8 parts`.
        resamples: Number of resampled trees.
    """

    shares: Mapping[frozenset[str], float]
    basis: str
    resamples: int


@dataclass(frozen=True)
class LanguageTree:
    """A binary tree of languages, in which similar languages are joined first.

    The distance of two languages is 1 − similarity, and the distance of two groups is the mean over all pairs of
    one language from each group (average linkage, UPGMA). `str(tree)` is the tree in the Newick format.

    Attributes:
        languages: L codes, in the order of the matrix.
        linkage: float64 [L − 1, 4], the clustering as :func:`scipy.cluster.hierarchy.linkage` returns it. The order of
            the leaves minimises the sum of the distances between neighbouring leaves.
        support: How often each group occurs in resampled trees; None if nothing was resampled.
    """

    languages: tuple[str, ...]
    linkage: Reals
    support: TreeSupport | None = None

    @property
    def leaves(self) -> tuple[str, ...]:
        """The languages in the order of the leaves, which puts similar languages side by side."""
        from scipy.cluster.hierarchy import leaves_list

        return tuple(self.languages[leaf] for leaf in leaves_list(self.linkage))

    @property
    def join_support(self) -> Reals | None:
        """float64 [L − 1]: the support of each join, between 0 and 1, and NaN if unknown; None without support."""
        if self.support is None:
            return None
        groups = [frozenset(self.languages[leaf] for leaf in group) for group in joined_groups(self.linkage)]
        return np.array([self.support.shares.get(group, np.nan) for group in groups])

    def newick(self) -> str:
        """Return the tree in the Newick format, with branch lengths and, if known, support.

        The height of an inner node is half the distance between its two groups. The path between two leaves is thus as
        long as the distance between the two groups that are joined at their lowest common ancestor. The label of an
        inner node is its support in percent; the root has no label. A code is quoted if it contains characters other
        than letters, digits, `.`, `+` and `-`.

        >>> import numpy as np
        >>> LanguageTree(("sw", "o'k"), np.array([[0.0, 1.0, 0.5, 2.0]])).newick()
        "(sw:0.25,'o''k':0.25);"
        """
        support = self.join_support
        nodes = [(_newick_label(code), 0.0) for code in self.languages]
        for join, (left, right, distance, _) in enumerate(self.linkage.tolist()):
            height = distance / 2
            children = (nodes[int(left)], nodes[int(right)])
            # Rounding must not make a length negative.
            branches = ",".join(f"{text}:{max(height - below, 0.0):.12g}" for text, below in children)
            label = ""
            if support is not None and join < len(self.linkage) - 1 and np.isfinite(support[join]):
                label = f"{100 * support[join]:.0f}"
            nodes.append((f"({branches}){label}", height))
        return f"{nodes[-1][0]};"

    def __str__(self) -> str:
        return self.newick()

    def save(self, path: str | Path) -> Path:
        """Write the tree atomically to a file in the Newick format.

        Args:
            path: A file with the suffix .nwk; an existing file is replaced.

        Raises:
            UsageError: The suffix is not .nwk, or the folder does not exist.
            XsnsError: The file cannot be written.
        """
        target = writable(path, [NEWICK_SUFFIX])
        write_whole(target, lambda file: file.write(f"{self.newick()}\n".encode()))
        return target

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the tree as a dendrogram, with the root on the left.

        No text is smaller than five points: if there are too many languages for the height of the axes, some leaves
        have no label, and the label of the axis says so.

        Args:
            ax: Axes to draw into; a new pyplot figure if None.

        Returns:
            The axes.
        """
        from scipy.cluster.hierarchy import dendrogram

        if ax is None:
            ax = new_axes(6.0, float(np.clip(0.25 * len(self.languages), 2.0, 18.0)))
        dendrogram(
            self.linkage,
            no_labels=True,
            orientation="left",
            ax=ax,
            color_threshold=0,
            above_threshold_color="C0",
        )
        # SciPy places leaf i at 10 i + 5.
        label_lines(ax, "y", self.leaves, start=5.0, pitch=10.0)
        ax.set_xlabel("1 − similarity")
        return ax


def _newick_label(code: str) -> str:
    """Return a label of the Newick format; it is quoted if necessary, and quotation marks within it are doubled."""
    if _PLAIN_LABEL.fullmatch(code):
        return code
    doubled = visible(code).replace("'", "''")
    return f"'{doubled}'"


# ------------------------------------------------------------------------------------------ clustering


def distances(similarity: Reals) -> Reals:
    """Return float64 [L, L]: 1 − similarity, symmetric, not negative, and zero on the diagonal.

    If the matrix is not symmetric, the mean of both directions is used. Pairs with an undefined similarity get the
    largest defined distance. If a similarity is larger than 1, the same number is added to all distances; the smallest
    distance is then zero.

    Args:
        similarity: float64 [L, L]; the diagonal is ignored.
    """
    distance = 1.0 - (similarity + similarity.T) / 2
    own = np.eye(len(distance), dtype=bool)
    known = np.isfinite(distance) & ~own
    largest = float(distance[known].max()) if known.any() else 1.0
    distance = np.where(known, distance, largest)
    distance -= min(0.0, float(distance.min()))
    distance[own] = 0.0
    return distance


def average_linkage(similarity: Reals, *, ordered: bool = True) -> Reals:
    """Return the average-linkage clustering of languages by their :func:`distances`.

    Args:
        similarity: float64 [L, L], L ≥ 2; the diagonal is ignored.
        ordered: Whether the order of the leaves minimises the sum of the distances between neighbouring leaves, which
            takes longer.

    Returns:
        float64 [L − 1, 4], as :func:`scipy.cluster.hierarchy.linkage` returns it.
    """
    from scipy.cluster.hierarchy import linkage, optimal_leaf_ordering

    pairs = distances(similarity)[np.triu_indices(len(similarity), 1)]
    tree: Reals = linkage(pairs, "average")
    return optimal_leaf_ordering(tree, pairs) if ordered else tree


def cluster_order(similarity: Reals) -> tuple[npt.NDArray[np.intp], Reals | None]:
    """Return an order of the languages that puts similar languages side by side, and the underlying clustering.

    Args:
        similarity: float64 [L, L]; the diagonal is ignored.

    Returns:
        (order [L], linkage [L − 1, 4]). Fewer than three languages keep their order, and the linkage is None.
    """
    if len(similarity) < 3:
        return np.arange(len(similarity)), None
    from scipy.cluster.hierarchy import leaves_list

    tree = average_linkage(similarity)
    return leaves_list(tree).astype(np.intp), tree


def clusters_of(linkage: Reals, count: int) -> npt.NDArray[np.intp]:
    """Return intp [L]: the index of the cluster of each leaf when the tree `linkage` is cut into `count` clusters."""
    leaves = len(linkage) + 1
    owner = np.arange(leaves, dtype=np.intp)
    members: dict[int, list[int]] = {leaf: [leaf] for leaf in range(leaves)}
    for step, (left, right) in enumerate(linkage[: leaves - count, :2].astype(int).tolist()):
        members[leaves + step] = members.pop(left) + members.pop(right)
    for cluster, group in enumerate(members.values()):
        owner[group] = cluster
    return owner


def joined_groups(linkage: Reals) -> list[frozenset[int]]:
    """Return, for each join of the tree `linkage` [L − 1, 4], the set of the leaves below it."""
    leaves = len(linkage) + 1
    members = [frozenset([leaf]) for leaf in range(leaves)]
    for left, right in linkage[:, :2].astype(int).tolist():
        members.append(members[left] | members[right])
    return members[leaves:]


def support_of(linkage: Reals, resampled: Iterable[Reals]) -> tuple[Reals, int]:
    """Return the share [L − 1] of resampled trees that contain each group of a tree, and the number of these trees.

    Args:
        linkage: float64 [L − 1, 4], the tree.
        resampled: Resampled similarities, each float64 [L, L]; a tree is made from each of them.
    """
    groups, count = joined_groups(linkage), 0
    found = np.zeros(len(groups))
    for values in resampled:
        other = set(joined_groups(average_linkage(values, ordered=False)))
        found += [group in other for group in groups]
        count += 1
    return found / max(count, 1), count
