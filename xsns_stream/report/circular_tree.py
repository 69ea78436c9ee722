"""Figure of a tree as a circle, in which the labels of many languages fit on a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.report.figures import INK, PALE_INK, QUIET_INK, SMALLEST_TEXT, Page, language
from xsns_stream.report.printed_figures import PrintedFigure, heading, text_width
from xsns_stream.report.tree_nodes import TreeNode, cluster_colour, tree_nodes
from xsns_stream.types.language_tree import LanguageTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NAME: Final = 20
_LARGEST_TEXT: Final = 7.0
#: Height of a line of text, as a multiple of the size of the font.
_PITCH: Final = 1.15
#: Distance of a label from its leaf in inches.
_GAP: Final = 0.04
#: Smallest radius of the tree, as a share of the width of the figure.
_SMALLEST_TREE: Final = 0.22
#: Width of the gap at the top, which contains the scale, as a number of leaves.
_OPENING: Final = 3
#: Joins with at least this support have a dot.
_GOOD_SUPPORT: Final = 0.95


def circular_tree(
    tree: LanguageTree, title: str, facts: Sequence[str], clusters: int | None, width: float
) -> PrintedFigure | None:
    """Draw a tree as a circle, with the root in the middle; return None if its labels would be too small.

    The labels are names and codes, or codes if names do not fit. A join with a support of at least 95 % has a dot.

    Args:
        tree: The tree.
        title: The title.
        facts: Parts of the subtitle.
        clusters: Number of clusters that are shown by colours and numbers; None for no clusters.
        width: Width of the figure in inches.
    """
    nodes, numbers = tree_nodes(tree, clusters)
    for named in (True, False):
        texts = [_label(code, named, numbers.get(code)) for code in tree.leaves]
        longest = max(text_width(text, 1.0) for text in texts)
        radius, size = _sizes(longest, len(texts), width)
        if size >= SMALLEST_TEXT and radius >= _SMALLEST_TREE * width:
            break
    else:
        return None
    page = Page(width, width)
    figure = page.figure()
    axes = page.axes(figure, 0.0, 0.0, width, width)
    # The unit of both axes is an inch.
    axes.set(xlim=(-width / 2, width / 2), ylim=(-width / 2, width / 2))
    axes.axis("off")
    shape = _Circle(tree, radius)
    _draw_scale(axes, shape)
    _draw_branches(axes, tree, nodes, shape)
    for place, (code, text) in enumerate(zip(tree.leaves, texts, strict=True)):
        angle = shape.angle(place)
        x, y = (radius + _GAP) * np.cos(angle), (radius + _GAP) * np.sin(angle)
        left = np.cos(angle) < 0
        turn = np.degrees(angle) + (180 if left else 0)
        style = {"rotation": turn, "rotation_mode": "anchor", "va": "center", "ha": "right" if left else "left"}
        axes.text(x, y, text, fontsize=size, color=cluster_colour(numbers.get(code)), **style)
    facts = list(facts)
    if tree.support is not None:
        _draw_support(axes, tree, nodes, shape)
        facts.append(f"a dot is a support of at least {_GOOD_SUPPORT:.0%} ({tree.support.basis})")
    heading(axes, title, facts, 6.0, width, 10.0)
    notes = ["the tree is drawn as a circle, because a tree with its root on the left would be higher than a page."]
    if not named:
        notes.append("the labels are codes, because the names of the languages do not fit.")
    return PrintedFigure(figure, width, tuple(notes))


class _Circle:
    """Positions on the circle: angles of leaves, and radii of distances."""

    def __init__(self, tree: LanguageTree, radius: float) -> None:
        heights = tree.linkage[:, 2]
        self.low, self.high = float(heights.min()), float(heights.max())
        room = 0.1 * (self.high - self.low) or 0.05
        self._outer, self._inner = self.low - room, self.high + room
        self._radius, self._leaves = radius, len(tree.languages)

    def angle(self, place: float) -> float:
        """Return the angle of the position `place` among the leaves, where leaf i is at i, in radians."""
        return float(np.pi / 2 - 2 * np.pi * (place + (1 + _OPENING) / 2) / (self._leaves + _OPENING))

    def radius(self, distance: float) -> float:
        """Return the radius in inches at which a join of this distance is drawn; NaN means a leaf."""
        if np.isnan(distance):
            return self._radius
        return self._radius * (self._inner - distance) / (self._inner - self._outer)


def _label(code: str, named: bool, cluster: int | None) -> str:
    text = language(code, _MOST_NAME) if named else code
    return text if cluster is None else f"{cluster + 1} {text}"


def _sizes(longest: float, count: int, width: float) -> tuple[float, float]:
    """Return the radius of the tree in inches, and the size of the labels in points.

    Args:
        longest: Width of the longest label at a size of one point, in points.
        count: Number of labels.
        width: Width of the figure in inches.
    """
    size = _LARGEST_TEXT
    for _ in range(20):
        radius = width / 2 - _GAP - 0.03 - longest * size / 72
        size = min(_LARGEST_TEXT, 2 * np.pi * max(radius, 0.0) * 72 / (count + _OPENING) / _PITCH)
    return radius, float(size)


def _draw_branches(axes: Axes, tree: LanguageTree, nodes: Sequence[TreeNode], shape: _Circle) -> None:
    from matplotlib.collections import LineCollection

    lines, colours = [], []
    for join, (left, right, distance, _) in enumerate(tree.linkage.tolist()):
        parent = nodes[len(tree.languages) + join]
        near = shape.radius(distance)
        for child in (nodes[int(left)], nodes[int(right)]):
            start, end = shape.angle(parent.y), shape.angle(child.y)
            arc = np.linspace(start, end, max(2, int(abs(end - start) * 30)))
            far = shape.radius(child.x)
            points = np.column_stack([near * np.cos(arc), near * np.sin(arc)])
            lines.append(np.vstack([points, [far * np.cos(end), far * np.sin(end)]]))
            colours.append(cluster_colour(child.cluster) if child.cluster >= 0 else PALE_INK)
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=0.7))


def _draw_scale(axes: Axes, shape: _Circle) -> None:
    """Draw a circle for each tick of the scale, with its distance 1 − similarity in the gap at the top."""
    from matplotlib.patches import Circle
    from matplotlib.ticker import MaxNLocator

    for distance in MaxNLocator(4).tick_values(shape.low, shape.high):
        radius = shape.radius(float(distance))
        if not shape.low <= distance <= shape.high:
            continue
        axes.add_patch(Circle((0, 0), radius, fill=False, edgecolor="#e3e6ea", linewidth=0.6, zorder=0))
        axes.text(0, radius, f"{distance:g}", fontsize=SMALLEST_TEXT, color=QUIET_INK, ha="center", va="bottom")


def _draw_support(axes: Axes, tree: LanguageTree, nodes: Sequence[TreeNode], shape: _Circle) -> None:
    support = tree.join_support
    assert support is not None
    good = [nodes[len(tree.languages) + join] for join in np.flatnonzero(support[:-1] >= _GOOD_SUPPORT).tolist()]
    radii = np.array([shape.radius(node.x) for node in good])
    angles = np.array([shape.angle(node.y) for node in good])
    axes.plot(radii * np.cos(angles), radii * np.sin(angles), ".", color=INK, markersize=2.5, zorder=3)
