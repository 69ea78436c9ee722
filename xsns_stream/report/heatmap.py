"""Heat map of a similarity matrix, which is readable for any number of languages from two to several hundred.

Sizes in inches and points are computed from the number of languages. matplotlib then draws the labels around the grid,
and the saved page includes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.languages import shown_name
from xsns_stream.report.figures import INK, PALE_INK, SMALLEST_TEXT, cut, is_dark
from xsns_stream.report.printed_figures import PrintedFigure, fitted, heading
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.axes_drawing import LABEL_SHARE, colour_scale, draw_cells
from xsns_stream.types.language_tree import cluster_order
from xsns_stream.types.similarity_matrix import coefficient_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

_MAX_NAME: Final = 26
# Matrices of up to this many languages have room for the number in each cell.
_MAX_NUMBERED: Final = 16

#: The kinds of labels of a heat map.
_NAMES, _CODES, _NOTHING = "names and codes", "codes", "nothing"
#: Width in inches that labels and the colour bar need beside the grid.
_BESIDE: Final = 1.3

Order = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Sizes:
    """Sizes of a grid of `rows` by `columns` cells, in inches and points.

    Attributes:
        rows: Number of rows.
        columns: Number of columns.
        cell: Side of a cell in inches.
        print_width: Width in inches of the printed figure; None for the width of its content.
    """

    rows: int
    columns: int
    cell: float
    print_width: float | None = None

    @classmethod
    def natural(cls, rows: int, columns: int) -> _Sizes:
        """Return sizes for a figure without a given width; the more languages there are, the smaller the cells are."""
        cell = np.interp(max(rows, columns), [4, 12, 30, 120, 330, 1000], [0.75, 0.46, 0.30, 0.125, 0.11, 0.06])
        return cls(rows, columns, float(cell))

    @property
    def dpi(self) -> int:
        """Pixels per inch; fewer for large pages, which are slow to draw."""
        if self.print_width is not None:
            return 300
        return 200 if max(self.rows, self.columns) <= 60 else 150

    @property
    def width(self) -> float:
        return self.columns * self.cell

    @property
    def height(self) -> float:
        return self.rows * self.cell

    @property
    def has_room(self) -> bool:
        """Whether a row is high enough for a label in the smallest font size."""
        return self.cell * 72 * LABEL_SHARE >= SMALLEST_TEXT

    @property
    def label(self) -> float:
        """Font size of a label in points: a little less than the height of a row."""
        return float(np.clip(self.cell * 72 * LABEL_SHARE, SMALLEST_TEXT, 10.0))

    @property
    def number(self) -> float:
        """Font size of the number in a cell in points."""
        return min(8.5, self.cell * 72 / 1.95)

    @property
    def title(self) -> float:
        """Font size of the title in points; it grows more slowly than the page."""
        return 10.0 if self.print_width is not None else float(np.clip(2.6 * self.width**0.75, 11.0, 30.0))


def printed_heat_map(
    matrix: SimilarityMatrix, *, density: float | None = None, width: float | None = None
) -> PrintedFigure:
    """Draw a heat map for print; see :func:`heat_map`.

    Args:
        matrix: The matrix.
        density: Density of the sub-networks, for the subtitle.
        width: Width of the figure in inches; None for a width that fits the number of languages.

    Returns:
        The figure. Labels that would be smaller than five points are left out, and a note says so.
    """
    rows, columns, tree = _orders(matrix)
    if width is None:
        sizes = _Sizes.natural(len(rows), len(columns))
        labels = _NAMES if sizes.has_room else _NOTHING
        figure = _draw(matrix, rows, columns, tree, density, sizes, labels)
        return PrintedFigure(figure, None, _label_notes(labels, len(rows), len(columns)))

    def draw(inner: float, labels: str) -> Figure:
        sizes = _Sizes(len(rows), len(columns), inner / len(columns), width)
        return _draw(matrix, rows, columns, tree, density, sizes, labels)

    start = max(0.5, width - _BESIDE)
    # Labels are not tried if they would not fit even if the grid were as wide as the figure.
    possible = _Sizes(len(rows), len(columns), width / len(columns)).has_room
    for labels in (_NAMES, _CODES, _NOTHING) if possible else (_NOTHING,):
        figure, inner = fitted(partial(draw, labels=labels), start, width)
        if labels == _NOTHING or _Sizes(len(rows), len(columns), inner / len(columns)).has_room:
            break
    return PrintedFigure(figure, width, _label_notes(labels, len(rows), len(columns)))


def _label_notes(labels: str, rows: int, columns: int) -> tuple[str, ...]:
    if labels == _NAMES:
        return ()
    if labels == _CODES:
        return ("the labels are codes, because the names of the languages do not fit.",)
    needed = columns * SMALLEST_TEXT / LABEL_SHARE / 72 + _BESIDE
    return (
        f"the heat map of {rows} × {columns} languages has no labels, because they would be smaller than "
        f"{SMALLEST_TEXT:g} points; labels need a width of {needed:.0f} inches (--width), or fewer languages (--lang).",
    )


def heat_map(matrix: SimilarityMatrix, *, density: float | None = None) -> Figure:
    """Draw a heat map in which similar languages are next to each other.

    Rows and columns are ordered by :func:`cluster_order`. The cells that compare a language with itself
    are white, because the colour scale is for pairs of different languages. Undefined similarities are grey.

    Args:
        matrix: The matrix.
        density: The density of the sub-networks, for the title.

    Returns:
        A figure; its labels extend beyond the page, so save it with `bbox_inches="tight"`.
    """
    return printed_heat_map(matrix, density=density).figure


def _draw(
    matrix: SimilarityMatrix,
    rows: Order,
    columns: Order,
    tree: Reals | None,
    density: float | None,
    sizes: _Sizes,
    labels: str,
) -> Figure:
    from matplotlib.figure import Figure

    sources, targets = [matrix.sources[i] for i in rows], [matrix.targets[i] for i in columns]
    values = matrix.values[np.ix_(rows, columns)]
    own = np.equal(np.array(sources)[:, None], np.array(targets)[None, :])
    figure = Figure(figsize=(sizes.width, sizes.height), facecolor="white", dpi=sizes.dpi)
    grid = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    colours, extend = colour_scale(values, own)
    draw_cells(grid, values, own, colours)
    _label(grid, sources, targets, sizes, labels)
    if max(sizes.rows, sizes.columns) <= _MAX_NUMBERED and sizes.number >= SMALLEST_TEXT:
        _write_numbers(grid, values, own, colours, sizes.number)
    top = _draw_tree(figure, tree, sizes) if tree is not None else 0.0
    _draw_bar(figure, colours, extend, matrix, sizes)
    _write_title(grid, matrix, density, sizes, top)
    return figure


def _orders(matrix: SimilarityMatrix) -> tuple[Order, Order, Reals | None]:
    """Return the orders of rows and columns, and the tree.

    If rows and columns are different languages, the orders are unchanged and the tree is None.
    """
    if set(matrix.sources) != set(matrix.targets):
        return np.arange(len(matrix.sources)), np.arange(len(matrix.targets)), None
    index = {target: i for i, target in enumerate(matrix.targets)}
    columns = np.array([index[source] for source in matrix.sources], np.intp)
    order, tree = cluster_order(matrix.values[:, columns])
    return order, columns[order], tree


def _label(grid: Axes, sources: list[str], targets: list[str], sizes: _Sizes, labels: str) -> None:
    """Label every row and column with name and code, as in `Swahili  sw`; the code is next to the grid."""
    grid.tick_params(labelsize=sizes.label, labelcolor=INK, length=0, pad=3)
    if labels == _NOTHING:
        grid.set_xticks([])
        grid.set_yticks([])
        return
    name = _short if labels == _NAMES else lambda code: ""
    grid.set_xticks(range(len(targets)), [f"{t}  {name(t)}".rstrip() for t in targets], rotation=90)
    grid.set_yticks(range(len(sources)), [f"{name(s)}  {s}".lstrip() for s in sources])
    for text in grid.get_xticklabels():
        # Text that is rotated by 270° begins at its top. The code is therefore next to the grid.
        text.set(rotation=270, va="top", ha="center")


def _short(code: str) -> str:
    """Return the name of a language, shortened if it is long; empty if the language has no name."""
    name = shown_name(code)
    return "" if name == code else cut(name, _MAX_NAME)


def _write_numbers(grid: Axes, values: Reals, own: npt.NDArray[np.bool_], colours: ScalarMappable, size: float) -> None:
    painted = np.asarray(colours.to_rgba(np.nan_to_num(values)))
    for (row, column), value in np.ndenumerate(values):
        if own[row, column] or not np.isfinite(value):
            continue
        number = f"{value:.2f}".removeprefix("0") if 0 <= value < 0.995 else f"{value:.1f}"
        colour = "white" if is_dark(painted[row, column]) else INK
        grid.text(column, row, number, ha="center", va="center", fontsize=size, color=colour)


def _draw_tree(figure: Figure, tree: Reals, sizes: _Sizes) -> float:
    """Draw the tree above the grid, and return its height in inches."""
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(tree, no_plot=True, no_labels=True)
    inches = float(np.clip(0.07 * sizes.height, 0.35, 1.4))
    axes = figure.add_axes((0.0, 1.0 + 0.04 / sizes.height, 1.0, inches / sizes.height))
    # SciPy places leaf i at 10 i + 5. The axis begins at the lowest merge instead of zero, because the distances of
    # sub-networks are large and differ little.
    branches = np.stack([np.array(drawn["icoord"]) / 10, np.array(drawn["dcoord"])], axis=-1)
    low, high = float(tree[:, 2].min()), float(tree[:, 2].max())
    margin = 0.15 * (high - low) or 0.1
    axes.add_collection(LineCollection(list(branches), colors=PALE_INK, linewidths=0.8))
    axes.set(xlim=(0, sizes.columns), ylim=(low - margin, high + margin / 4))
    axes.axis("off")
    return inches


def _draw_bar(figure: Figure, colours: ScalarMappable, extend: str, matrix: SimilarityMatrix, sizes: _Sizes) -> None:
    """Draw the colour bar on the right of the grid, beside its upper part.

    `extend` says which ends of the bar are arrows, as in matplotlib.
    """
    height = min(sizes.height, max(1.2, 0.45 * sizes.height))
    width = float(np.clip(0.012 * sizes.width, 0.12, 0.3))
    box = (1.0 + (width + 0.1) / sizes.width, 1.0 - height / sizes.height)
    axes = figure.add_axes((*box, width / sizes.width, height / sizes.height))
    bar = figure.colorbar(colours, cax=axes, extend=extend)
    size = 7.0 if sizes.print_width is not None else max(9.0, 0.6 * sizes.title)
    bar.ax.tick_params(labelsize=size, labelcolor=INK, length=2, color=PALE_INK)
    bar.outline.set(linewidth=0.6, edgecolor=PALE_INK)
    bar.set_label(_name_of_measure(matrix), size=size, color=INK, labelpad=8)


def _write_title(grid: Axes, matrix: SimilarityMatrix, density: float | None, sizes: _Sizes, top: float) -> None:
    """Write the title and the subtitle above the tree, whose height is `top` inches, aligned to the left."""
    seeds = ", ".join(map(str, matrix.seeds))
    facts = [
        f"mean of seeds {seeds}" if len(matrix.seeds) > 1 else f"seed {seeds}" if seeds else "",
        f"density {density:g}" if density is not None else "",
        "a language with itself is white",
    ]
    count = len(set(matrix.sources) | set(matrix.targets))
    title = f"{_name_of_measure(matrix)} of {count} languages"
    # Without a width for print, the page becomes as wide as its title.
    room = float("inf") if sizes.print_width is None else sizes.width + 0.5
    heading(grid, title, facts, top * 72 + 8, room, sizes.title)


def _name_of_measure(matrix: SimilarityMatrix) -> str:
    return f"{coefficient_title(matrix.coefficient)} similarity"
