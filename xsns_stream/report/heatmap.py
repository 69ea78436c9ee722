"""A heat map of a similarity matrix, readable at two languages and at several hundred.

Inches and points are decided from L first; matplotlib then draws around the grid, and the page grows to whatever
labels need. Nothing of pyplot is used: no global state, no display.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.report.tables import shown_name
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_tree import cluster_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

#: Perceptually uniform, and dark where similarity is high, as ink is.
COLOURS: Final = "magma_r"
UNDEFINED_COLOUR: Final = "#c9ccd1"
INK: Final = "#22252b"
#: Matplotlib settings of all figures: a font that is always installed, reproducible files, and `$` as a plain sign.
PLAIN_TEXT: Final[Any] = {
    "svg.hashsalt": "xsns-stream",
    "font.family": ["DejaVu Sans"],
    "text.parse_math": False,
}

_LONGEST_NAME: Final = 26
# Up to this many languages there is room for the number itself in each cell.
_NUMBERS_UP_TO: Final = 16
# From here on a few extreme pairs (dialects, an empty sample) would take the contrast from all others.
_TRIM_FROM: Final = 20
_TRIM_PERCENT: Final = 0.5

Order = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Sizes:
    """Inches and points for a grid of `rows` by `columns` cells."""

    rows: int
    columns: int

    @property
    def cell(self) -> float:
        """Inches of a cell's side: half a centimetre for a few, what a 6-point label needs for 200."""
        longer = max(self.rows, self.columns)
        return float(np.interp(longer, [4, 12, 30, 120, 330, 1000], [0.75, 0.46, 0.30, 0.125, 0.11, 0.06]))

    @property
    def dpi(self) -> int:
        """Pixels per inch: a big page is slow to draw, and its labels are sharp enough with fewer."""
        return 200 if max(self.rows, self.columns) <= 60 else 150

    @property
    def width(self) -> float:
        return self.columns * self.cell

    @property
    def height(self) -> float:
        return self.rows * self.cell

    @property
    def label(self) -> float:
        """Points of a label: a little less than the pitch of the rows."""
        return float(np.clip(self.cell * 72 * 0.78, 2.5, 10.0))

    @property
    def title(self) -> float:
        """Points of the title: it grows with the page, less than the page does."""
        return float(np.clip(2.6 * self.width**0.75, 11.0, 30.0))


def save_heat_map(matrix: SimilarityMatrix, file: BinaryIO, kind: str, *, density: float | None = None) -> None:
    """Draw a heat map into an open file.

    The same matrix gives the same bytes: no dates, no random identifiers.

    Args:
        matrix: What to draw.
        file: Where to.
        kind: `png`, `svg` or `pdf`.
        density: For the title.
    """
    import matplotlib as mpl

    dates: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context(PLAIN_TEXT):
        heat_map(matrix, density=density).savefig(
            file, format=kind, bbox_inches="tight", pad_inches=0.3, metadata=dates.get(kind)
        )


def heat_map(matrix: SimilarityMatrix, *, density: float | None = None) -> Figure:
    """Draw a heat map, similar languages side by side.

    Rows and columns stand in the order of :func:`cluster_order`. A language with itself is left white, so that
    colours are for what differs; an undefined similarity is grey.

    Args:
        matrix: What to draw.
        density: Of the sub-networks, for the title.

    Returns:
        A figure whose labels lie outside of its page: save it with `bbox_inches="tight"`.
    """
    from matplotlib.figure import Figure

    rows, columns, tree = _orders(matrix)
    sizes = _Sizes(len(rows), len(columns))
    sources, targets = [matrix.sources[i] for i in rows], [matrix.targets[i] for i in columns]
    values = matrix.values[np.ix_(rows, columns)]
    own = np.equal(np.array(sources)[:, None], np.array(targets)[None, :])
    figure = Figure(figsize=(sizes.width, sizes.height), facecolor="white", dpi=sizes.dpi)
    grid = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    colours, extend = _colours(values, own)
    _draw_cells(grid, values, own, colours)
    _label(grid, sources, targets, sizes)
    if max(sizes.rows, sizes.columns) <= _NUMBERS_UP_TO:
        _write_numbers(grid, values, own, colours)
    top = _draw_tree(figure, tree, sizes) if tree is not None else 0.0
    _draw_bar(figure, colours, extend, matrix, sizes)
    _write_title(grid, matrix, density, sizes, top)
    return figure


def _orders(matrix: SimilarityMatrix) -> tuple[Order, Order, Reals | None]:
    """Return the order of the rows, that of the columns, and the tree where there is one for both."""
    if set(matrix.sources) != set(matrix.targets):
        return np.arange(len(matrix.sources)), np.arange(len(matrix.targets)), None
    place = {target: i for i, target in enumerate(matrix.targets)}
    columns = np.array([place[source] for source in matrix.sources], np.intp)
    order, tree = cluster_order(matrix.values[:, columns])
    return order, columns[order], tree


def _colours(values: Reals, own: npt.NDArray[np.bool_]) -> tuple[ScalarMappable, str]:
    """Return the colour scale, and on which sides of it values lie beyond its ends."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    known = values[~own & np.isfinite(values)]
    if not known.size:
        return ScalarMappable(Normalize(0.0, 1.0), COLOURS), "neither"
    low, high = float(known.min()), float(known.max())
    if max(values.shape) >= _TRIM_FROM:
        low, high = (float(v) for v in np.percentile(known, [_TRIM_PERCENT, 100 - _TRIM_PERCENT]))
    if high - low < 1e-6:
        low, high = low - 0.05, high + 0.05
    beyond = known.min() < low, known.max() > high
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    return ScalarMappable(Normalize(low, high), COLOURS), extend


def _draw_cells(grid: Axes, values: Reals, own: npt.NDArray[np.bool_], colours: ScalarMappable) -> None:
    from matplotlib.colors import to_rgba

    pixels = np.asarray(colours.to_rgba(np.nan_to_num(values)))
    pixels[~np.isfinite(values)] = to_rgba(UNDEFINED_COLOUR)
    pixels[own] = to_rgba("white")
    # As bytes they are drawn in half the time.
    grid.imshow((pixels * 255).round().astype(np.uint8), interpolation="nearest", aspect="auto")
    for spine in grid.spines.values():
        spine.set(linewidth=0.6, color="#8a8f98")


def _label(grid: Axes, sources: list[str], targets: list[str], sizes: _Sizes) -> None:
    """Name every row and column: `Swahili  sw`, the code next to the grid."""
    grid.set_xticks(range(len(targets)), [f"{t}  {_short(t)}".rstrip() for t in targets], rotation=90)
    grid.set_yticks(range(len(sources)), [f"{_short(s)}  {s}".lstrip() for s in sources])
    grid.tick_params(labelsize=sizes.label, labelcolor=INK, length=0, pad=3)
    for text in grid.get_xticklabels():
        # Vertical text is read from the bottom: this puts its beginning, the code, next to the grid.
        text.set(rotation=270, va="top", ha="center")


def _short(code: str) -> str:
    """Return the name of a language, cut where it is very long; nothing where it is no more than the code."""
    name = shown_name(code)
    if name == code:
        return ""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip(" (") + "…"


def _write_numbers(grid: Axes, values: Reals, own: npt.NDArray[np.bool_], colours: ScalarMappable) -> None:
    painted = np.asarray(colours.to_rgba(np.nan_to_num(values)))
    for (row, column), value in np.ndenumerate(values):
        if own[row, column] or not np.isfinite(value):
            continue
        red, green, blue, _ = painted[row, column]
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
        number = f"{value:.2f}".removeprefix("0") if 0 <= value < 0.995 else f"{value:.1f}"
        grid.text(column, row, number, ha="center", va="center", fontsize=8.5, color="white" if dark else INK)


def _draw_tree(figure: Figure, tree: Reals, sizes: _Sizes) -> float:
    """Draw the clustering above the grid; return its height in inches."""
    from matplotlib.collections import LineCollection
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(tree, no_plot=True, no_labels=True)
    inches = float(np.clip(0.07 * sizes.height, 0.35, 1.4))
    axes = figure.add_axes((0.0, 1.0 + 0.04 / sizes.height, 1.0, inches / sizes.height))
    # SciPy puts leaf i at 10 i + 5. Brackets start at the lowest merge, which is far from zero: distances of
    # sub-networks are large, and differ little.
    branches = np.stack([np.array(drawn["icoord"]) / 10, np.array(drawn["dcoord"])], axis=-1)
    low, high = float(tree[:, 2].min()), float(tree[:, 2].max())
    margin = 0.15 * (high - low) or 0.1
    axes.add_collection(LineCollection(list(branches), colors="#8a8f98", linewidths=0.8))
    axes.set(xlim=(0, sizes.columns), ylim=(low - margin, high + margin / 4))
    axes.axis("off")
    return inches


def _draw_bar(figure: Figure, colours: ScalarMappable, extend: str, matrix: SimilarityMatrix, sizes: _Sizes) -> None:
    """Draw the colour scale to the right of the grid, along its upper part."""
    height = min(sizes.height, max(1.2, 0.45 * sizes.height))
    width = float(np.clip(0.012 * sizes.width, 0.12, 0.3))
    box = (1.0 + (width + 0.1) / sizes.width, 1.0 - height / sizes.height)
    axes = figure.add_axes((*box, width / sizes.width, height / sizes.height))
    bar = figure.colorbar(colours, cax=axes, extend=extend)
    size = max(9.0, 0.6 * sizes.title)
    bar.ax.tick_params(labelsize=size, labelcolor=INK, length=2, color="#8a8f98")
    bar.outline.set(linewidth=0.6, edgecolor="#8a8f98")
    bar.set_label(_called(matrix), size=size, color=INK, labelpad=8)


def _write_title(grid: Axes, matrix: SimilarityMatrix, density: float | None, sizes: _Sizes, top: float) -> None:
    """Write title and sub-title above the tree, on the left."""
    seeds = ", ".join(map(str, matrix.seeds))
    facts = [
        f"mean of seeds {seeds}" if len(matrix.seeds) > 1 else f"seed {seeds}" if seeds else "",
        f"density {density:g}" if density is not None else "",
        "a language with itself left white",
    ]
    count = len(set(matrix.sources) | set(matrix.targets))
    above = top * 72 + 10
    grid.annotate(
        " · ".join(filter(None, facts)),
        (0, 1),
        (0, above),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=0.62 * sizes.title,
        color="#5b616b",
        va="bottom",
    )
    grid.annotate(
        f"{_called(matrix)} of {count} languages",
        (0, 1),
        (0, above + sizes.title),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=sizes.title,
        fontweight="bold",
        color=INK,
        va="bottom",
    )


def _called(matrix: SimilarityMatrix) -> str:
    return f"{matrix.coefficient[:1].upper()}{matrix.coefficient[1:]} similarity"
