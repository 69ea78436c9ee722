"""Figure of the tree of languages: a dendrogram with clusters and support, for print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.report.circular_tree import circular_tree
from xsns_stream.report.figures import INK, PALE_INK, QUIET_INK, SMALLEST_TEXT, Page, language
from xsns_stream.report.printed_figures import PAGE, PrintedFigure, fitted, heading
from xsns_stream.report.tree_nodes import TreeNode, cluster_colour, tree_nodes
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.language_tree import LanguageTree
from xsns_stream.types.similarity_matrix import coefficient_name, coefficient_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of the axes in inches, if no width is given.
_WIDTH: Final = 4.2
#: Height of a line of text, as a multiple of the size of the font.
_PITCH: Final = 1.3
_MOST_NAME: Final = 26
#: Mean width of a digit, as a share of the size of the font.
_DIGIT: Final = 0.64


def tree_figure(
    matrix: SimilarityMatrix, *, density: float | None = None, clusters: int | None = None, width: float | None = None
) -> PrintedFigure:
    """Draw the average-linkage tree of a matrix, with the root on the left and languages on the right.

    A number at a join is its support in percent, if the matrix has support. The size of the labels is at least five
    points, whatever the width is; the height of the figure grows with the number of languages. If a width is given and
    the tree would be higher than a page, it is drawn as a circle, unless the labels of the circle would be smaller than
    that.

    Args:
        matrix: The matrix; sources and targets are the same languages.
        density: Density of the sub-networks, for the subtitle.
        clusters: Number of clusters that are shown by colours and numbers; None for no clusters.
        width: Width of the figure in inches; None for the width that fits the labels.

    Raises:
        UsageError: Sources and targets are different languages, or there are fewer than two.
    """
    tree = matrix.tree()
    left_out = 0

    def draw(inner: float) -> Figure:
        nonlocal left_out
        figure, left_out = _draw(tree, matrix, density, clusters, inner)
        return figure

    if width is not None and len(tree.languages) * _font_size(len(tree.languages)) * _PITCH / 72 > PAGE[1]:
        circle = circular_tree(tree, _title_of(matrix, tree), _facts(matrix, tree, density, clusters), clusters, width)
        if circle is not None:
            return circle
    figure = draw(_WIDTH) if width is None else fitted(draw, max(0.5, width - 1.5), width)[0]
    notes = []
    if left_out:
        notes.append(
            f"the figure has no room for the support of {left_out} of {len(tree.linkage) - 1} joins; a .nwk file "
            "contains all values."
        )
    return PrintedFigure(figure, width, tuple(notes))


def _draw(
    tree: LanguageTree, matrix: SimilarityMatrix, density: float | None, clusters: int | None, inner: float
) -> tuple[Figure, int]:
    """Draw the tree; return the figure, and the number of support values that are left out.

    `inner` is the width of the axes in inches.
    """
    count = len(tree.languages)
    size = _font_size(count)
    page = Page(inner, count * size * _PITCH / 72)
    figure = page.figure()
    axes = page.axes(figure, 0.0, 0.0, page.width, page.height)
    nodes, numbers = tree_nodes(tree, clusters)
    heights = tree.linkage[:, 2]
    low, high = float(heights.min()), float(heights.max())
    room = 0.12 * (high - low) or 0.05
    # The axis does not begin at zero, because the distances of sub-networks are large and differ little.
    ends = high + room / 2, max(low - room, 0.0) if low > 0 else -room
    axes.set(xlim=ends, ylim=(count - 0.5, -0.5))
    _draw_branches(axes, tree, nodes, ends[1])
    for place, code in enumerate(tree.leaves):
        number = numbers.get(code)
        text = language(code, _MOST_NAME) if number is None else f"{number + 1}  {language(code, _MOST_NAME)}"
        axes.annotate(
            text,
            (1, place),
            (3, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=size,
            color=cluster_colour(number),
            annotation_clip=False,
        )
    left_out = _draw_support(axes, tree, nodes, page)
    _draw_axis(axes, matrix)
    facts = _facts(matrix, tree, density, clusters)
    if tree.support is not None:
        facts.append(f"support in % of {tree.support.resamples} trees ({tree.support.basis})")
    heading(axes, _title_of(matrix, tree), facts, 6.0, inner + 1.2, 10.0)
    return figure, left_out


def _draw_branches(axes: Axes, tree: LanguageTree, nodes: list[TreeNode], end: float) -> None:
    from matplotlib.collections import LineCollection

    lines, colours = [], []
    for join, (left, right, distance, _) in enumerate(tree.linkage.tolist()):
        parent = nodes[len(tree.languages) + join]
        for child in (nodes[int(left)], nodes[int(right)]):
            x = end if np.isnan(child.x) else child.x
            lines.append([(distance, parent.y), (distance, child.y), (x, child.y)])
            colours.append(cluster_colour(child.cluster) if child.cluster >= 0 else PALE_INK)
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=0.9, capstyle="projecting"))


def _draw_support(axes: Axes, tree: LanguageTree, nodes: list[TreeNode], page: Page) -> int:
    """Write the support in percent at each join where the text covers nothing; return how many are left out."""
    support = tree.join_support
    if support is None:
        return 0
    count, size = len(tree.languages), SMALLEST_TEXT + 0.5
    start, end = axes.get_xlim()
    per_x, per_y = page.width * 72 / abs(end - start), page.height * 72 / count
    parents = {int(child): count + join for join, row in enumerate(tree.linkage) for child in row[:2]}
    upright = [
        (nodes[count + join].x, *sorted(nodes[int(child)].y for child in row[:2]))
        for join, row in enumerate(tree.linkage)
    ]
    left_out = 0
    for join in range(len(support) - 1):
        node = nodes[count + join]
        text = f"{100 * support[join]:.0f}" if np.isfinite(support[join]) else ""
        parent = nodes[parents[count + join]]
        wide, high = len(text) * size * _DIGIT + 1.5, size / per_y
        # The text is above the branch that leads to the join, between the parent and the join.
        crossed = any(
            node.x - 1e-12 < x < node.x + wide / per_x and below < node.y and above > node.y - high
            for x, below, above in upright
            if x > node.x
        )
        if (parent.x - node.x) * per_x < wide or crossed:
            left_out += bool(text)
            continue
        axes.annotate(
            text,
            (node.x, node.y),
            (-1.5, 0.6),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=size,
            color=QUIET_INK,
        )
    return left_out


def _draw_axis(axes: Axes, matrix: SimilarityMatrix) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(linewidth=0.6, color=PALE_INK, position=("outward", 4))
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=6.5, labelcolor=INK, color=PALE_INK, length=2.5)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"1 − {coefficient_name(matrix.coefficient)} similarity", fontsize=7, color=INK)


def _font_size(languages: int) -> float:
    """Return the size of the labels in points."""
    return float(np.interp(languages, [40, 150], [8.0, 6.0]))


def _title_of(matrix: SimilarityMatrix, tree: LanguageTree) -> str:
    return f"{coefficient_title(matrix.coefficient)}: tree of {len(tree.languages)} languages"


def _facts(matrix: SimilarityMatrix, tree: LanguageTree, density: float | None, clusters: int | None) -> list[str]:
    """Return the parts of the subtitle, without the part on support."""
    seeds = ", ".join(map(str, matrix.seeds))
    return [
        "average linkage",
        f"seed{'s' if len(matrix.seeds) > 1 else ''} {seeds}" if seeds else "",
        f"density {density:g}" if density is not None else "",
        "" if clusters is None else f"{clusters} clusters",
    ]
