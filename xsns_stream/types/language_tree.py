"""Trees of languages, built by average-linkage clustering of their similarities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xsns_stream.types.parameters import Reals

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class LanguageTree:
    """A binary tree of languages, in which similar languages are joined first.

    The distance of two languages is 1 − similarity, and the distance of two groups is the mean over all pairs of
    one language from each group (average linkage, UPGMA). `str(tree)` is the tree in the Newick format.

    Attributes:
        languages: L codes, in the order of the matrix.
        linkage: float64 [L − 1, 4], the clustering as :func:`scipy.cluster.hierarchy.linkage` returns it, with the
            leaves ordered for the least distance between neighbours.
    """

    languages: tuple[str, ...]
    linkage: Reals

    @property
    def leaves(self) -> tuple[str, ...]:
        """The languages in the order of the leaves, which puts similar languages side by side."""
        from scipy.cluster.hierarchy import leaves_list

        return tuple(self.languages[leaf] for leaf in leaves_list(self.linkage))

    def newick(self) -> str:
        """Return the tree in the Newick format, with quoted codes and with branch lengths.

        The height of an inner node is half the distance between its two groups. The path between two leaves is thus as
        long as the distance between the two groups that are joined at their lowest common ancestor.

        >>> import numpy as np
        >>> LanguageTree(("sw", "zu"), np.array([[0.0, 1.0, 0.5, 2.0]])).newick()
        "('sw':0.25,'zu':0.25);"
        """
        nodes = [(_quoted(code), 0.0) for code in self.languages]
        for left, right, distance, _ in self.linkage.tolist():
            height = distance / 2
            children = (nodes[int(left)], nodes[int(right)])
            branches = ",".join(f"{text}:{height - below:.6g}" for text, below in children)
            nodes.append((f"({branches})", height))
        return f"{nodes[-1][0]};"

    def __str__(self) -> str:
        return self.newick()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the tree as a dendrogram, with the root on the left.

        Args:
            ax: Axes to draw into; a new pyplot figure if None.

        Returns:
            The axes.
        """
        from scipy.cluster.hierarchy import dendrogram

        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(figsize=(6.0, max(2.0, 0.25 * len(self.languages))))
        dendrogram(
            self.linkage,
            labels=list(self.languages),
            orientation="left",
            ax=ax,
            color_threshold=0,
            above_threshold_color="C0",
        )
        for label in ax.get_yticklabels():
            label.set_parse_math(False)
        ax.set_xlabel("1 − similarity")
        return ax


def _quoted(code: str) -> str:
    """Return a code as a quoted label of the Newick format; quotation marks in the code are doubled."""
    doubled = code.replace("'", "''")
    return f"'{doubled}'"


def average_linkage(similarity: Reals) -> Reals:
    """Return the average-linkage clustering of languages, with the leaves in optimal order.

    The distance is 1 − similarity. If the matrix is not symmetric, the mean of both directions is used. Pairs with an
    undefined similarity get the largest defined distance.

    Args:
        similarity: float64 [L, L], L ≥ 2; the diagonal is ignored.

    Returns:
        float64 [L − 1, 4], as :func:`scipy.cluster.hierarchy.linkage` returns it.
    """
    from scipy.cluster.hierarchy import linkage, optimal_leaf_ordering

    distance = 1.0 - (similarity + similarity.T) / 2
    pairs = distance[np.triu_indices(len(similarity), 1)]
    known = np.isfinite(pairs)
    pairs[~known] = pairs[known].max() if known.any() else 1.0
    # Coefficients above 1 would give negative distances. A constant changes neither the tree nor the order.
    pairs -= min(0.0, float(pairs.min()))
    tree: Reals = optimal_leaf_ordering(linkage(pairs, "average"), pairs)
    return tree


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
