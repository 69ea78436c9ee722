"""Figures in panels: box plots, and heat maps of transfer scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.report.figures import COLOURS, Page, known, language, plain, titled
from xsns_stream.report.heatmap import COLOURS as SCALE
from xsns_stream.report.heatmap import INK, UNDEFINED_COLOUR
from xsns_stream.types import Reals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure


_PITCH: Final = 0.24
_NARROWEST: Final = 2.4
_HEIGHT: Final = 2.5
_LETTER: Final = 0.068
_OWN: Final = COLOURS[1]


@dataclass(frozen=True)
class Box:
    """One target.

    Attributes:
        label: Its code.
        values: Scores of the sources, itself not among them; NaN takes no part.
        own: The score of the model fine-tuned on the target itself; NaN where there is none.
        trivial: What the answer without a model scores; NaN where it is not known.
    """

    label: str
    values: tuple[float, ...]
    own: float = math.nan
    trivial: float = math.nan


@dataclass(frozen=True)
class BoxPanel:
    """The targets of one task.

    Attributes:
        title: The task.
        boxes: Targets, in this order from left to right.
        height: What the scores are, as `F1 (percent)`.
    """

    title: str
    boxes: tuple[Box, ...]
    height: str


def boxes_figure(panels: Sequence[BoxPanel], title: str, subtitle: str = "") -> Figure:
    """Draw a panel a task, one below the other.

    Boxes reach from the first to the third quartile, whiskers to the lowest and the highest source; every source is a
    dot, so that a box of few is not taken for one of many.

    Args:
        panels: At least one.
        title: Above all.
        subtitle: Below it, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There is no panel.
    """
    if not panels:
        raise ValueError("a figure of boxes needs a panel")
    widths = [max(_NARROWEST, _PITCH * len(panel.boxes) + 0.3) for panel in panels]
    tops = [sum(_HEIGHT + _below(panel) for panel in panels[:place]) for place in range(len(panels))]
    page = Page(max(widths), tops[-1] + _HEIGHT)
    figure = page.figure()
    for place, (panel, top, width) in enumerate(zip(panels, tops, widths, strict=True)):
        axes = page.axes(figure, 0.0, top, width, _HEIGHT)
        _draw(axes, panel)
        titled(axes, panel.title, above=6, size=9.5)
        if place == 0:
            _legend(axes)
            titled(axes, title, subtitle, above=46)
    return figure


def _below(panel: BoxPanel) -> float:
    """Return the inches between a panel and the next: names of languages stand upright there, and a title."""
    return 0.55 + _LETTER * max((len(language(box.label)) for box in panel.boxes), default=0)


def _draw(axes: Axes, panel: BoxPanel) -> None:
    places = np.arange(len(panel.boxes))
    for place, box in enumerate(panel.boxes):
        values = known(box.values)
        if values:
            _box(axes, place, values)
        _mark(axes, place, box.own, marker="D", s=17, color=_OWN, linewidths=0)
        _mark(axes, place, box.trivial, marker="_", s=60, color=INK, linewidths=1.2)
    axes.set_xticks(places, [language(box.label) for box in panel.boxes], rotation=90)
    axes.set(xlim=(-0.7, max(len(places), 1) - 0.3))
    axes.set_ylabel(panel.height, fontsize=9, color=INK)
    axes.grid(axis="y", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    plain(axes)


def _box(axes: Axes, place: int, values: Sequence[float]) -> None:
    lines = {"color": COLOURS[0], "linewidth": 0.9}
    axes.boxplot(
        [values],
        positions=[place],
        widths=0.62,
        whis=(0, 100),
        showcaps=False,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": "#d9e8f3", "edgecolor": COLOURS[0], "linewidth": 0.7},
        medianprops=lines | {"linewidth": 1.4},
        whiskerprops=lines,
        manage_ticks=False,
        zorder=2,
    )
    axes.scatter([place] * len(values), values, s=4, color=COLOURS[0], alpha=0.55, linewidths=0, zorder=3)


def _mark(axes: Axes, place: int, height: float, *, marker: str, s: float, color: str, linewidths: float) -> None:
    if math.isfinite(height):
        axes.scatter([place], [height], marker=marker, s=s, color=color, linewidths=linewidths, zorder=4)


def _legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    shown: tuple[tuple[str, dict[str, Any]], ...] = (
        ("other sources", {"marker": "o", "color": COLOURS[0], "markersize": 3, "alpha": 0.7}),
        ("the language itself", {"marker": "D", "color": _OWN, "markersize": 4.5}),
        ("no model", {"marker": "_", "color": INK, "markersize": 8}),
    )
    axes.legend(
        [Line2D([], [], linestyle="", **style) for _, style in shown],
        [name for name, _ in shown],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0 + 27 / 72 / _HEIGHT),
        ncols=len(shown),
        fontsize=8.5,
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        labelcolor=INK,
        handletextpad=0.3,
        columnspacing=1.4,
    )


# Up to this many columns there is room for the number itself in each cell.
_NUMBERS_UP_TO: Final = 24
_OWN_LANGUAGE: Final = "#56B4E9"
_BEST: Final = COLOURS[2]


@dataclass(frozen=True)
class ScoreGrid:
    """What is drawn, in the order in which it is drawn.

    Attributes:
        sources: S codes, from top to bottom.
        targets: T codes, from left to right.
        values: float64 [S, T]; NaN = not measured.
        own: Boolean [S, T]: where the source is the target.
        height: What the scores are, as `F1 (percent)`.
        decimals: Of the numbers in the cells.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Reals
    own: npt.NDArray[np.bool_]
    height: str
    decimals: int = 0

    def __post_init__(self) -> None:
        if {self.values.shape, self.own.shape} != {(len(self.sources), len(self.targets))}:
            raise ValueError(f"{len(self.sources)} sources and {len(self.targets)} targets do not label the scores")


def grid_figure(grid: ScoreGrid, title: str, subtitle: str = "") -> Figure:
    """Draw the grid; a frame is round a language's own score, a dot beside the best other source of each target.

    Args:
        grid: What to draw.
        title: Above it.
        subtitle: Below the title, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.
    """
    longer = max(*grid.values.shape, 1)
    cell = float(np.interp(longer, [4, 12, 24, 60, 200], [0.6, 0.42, 0.34, 0.2, 0.12]))
    page = Page(max(len(grid.targets), 1) * cell, max(len(grid.sources), 1) * cell)
    figure = page.figure()
    axes = page.axes(figure, 0.0, 0.0, page.width, page.height)
    colours = _colours(grid.values)
    _draw_cells(axes, grid, colours)
    _label(axes, grid, float(np.clip(cell * 72 * 0.72, 3.5, 10.0)))
    if longer <= _NUMBERS_UP_TO:
        _write_numbers(axes, grid, colours, 72 * cell * 0.32)
    _frame_own(axes, grid)
    _mark_best(axes, grid, cell)
    _draw_bar(figure, page, colours, grid)
    titled(axes, title, subtitle, above=10)
    return figure


def _colours(values: Reals) -> ScalarMappable:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    there = values[np.isfinite(values)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return ScalarMappable(Normalize(low, high), SCALE)


def _draw_cells(axes: Axes, grid: ScoreGrid, colours: ScalarMappable) -> None:
    from matplotlib.colors import to_rgba

    pixels = np.asarray(colours.to_rgba(np.nan_to_num(grid.values)))
    pixels[~np.isfinite(grid.values)] = to_rgba(UNDEFINED_COLOUR)
    axes.imshow((pixels * 255).round().astype(np.uint8), interpolation="nearest", aspect="auto")
    for spine in axes.spines.values():
        spine.set(linewidth=0.6, color="#8a8f98")


def _label(axes: Axes, grid: ScoreGrid, size: float) -> None:
    """Name every line and column, the code next to the grid."""
    axes.set_xticks(range(len(grid.targets)), [_turned(code) for code in grid.targets], rotation=270)
    axes.set_yticks(range(len(grid.sources)), [language(code) for code in grid.sources])
    axes.tick_params(labelsize=size, labelcolor=INK, length=0, pad=3)
    axes.set_xlabel("tested on", fontsize=size + 1, color=INK)
    axes.set_ylabel("fine-tuned on", fontsize=size + 1, color=INK)


def _turned(code: str) -> str:
    """Return `sw  Swahili`: what is turned to be read downwards begins next to the grid."""
    name, _, rest = language(code).rpartition("  ")
    return f"{rest}  {name}" if name else rest


def _write_numbers(axes: Axes, grid: ScoreGrid, colours: ScalarMappable, size: float) -> None:
    painted = np.asarray(colours.to_rgba(np.nan_to_num(grid.values)))
    for (row, column), value in np.ndenumerate(grid.values):
        if np.isfinite(value):
            red, green, blue, _ = painted[row, column]
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
            number = f"{value:.{grid.decimals}f}"
            axes.text(
                column, row, number, ha="center", va="center", fontsize=size, color="white" if dark else INK, zorder=3
            )


def _frame_own(axes: Axes, grid: ScoreGrid) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(grid.own):
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(
            Rectangle(corner, 1, 1, fill=False, edgecolor=_OWN_LANGUAGE, linewidth=1.6, zorder=4, clip_on=False)
        )


def _mark_best(axes: Axes, grid: ScoreGrid, cell: float) -> None:
    others = np.where(grid.own | ~np.isfinite(grid.values), -np.inf, grid.values)
    if not others.size:
        return
    best = others.max(axis=0)
    # Several where they are level: none is better than the others.
    rows, columns = np.nonzero((others == best) & np.isfinite(best))
    size = (72 * cell * 0.17) ** 2
    axes.scatter(columns + 0.34, rows - 0.34, s=size, color=_BEST, edgecolors="white", linewidths=0.5, zorder=5)


def _draw_bar(figure: Figure, page: Page, colours: ScalarMappable, grid: ScoreGrid) -> None:
    height = min(page.height, max(1.2, 0.5 * page.height))
    axes = page.axes(figure, page.width + 0.2, 0.0, 0.14, height)
    bar = figure.colorbar(colours, cax=axes)
    bar.ax.tick_params(labelsize=8, labelcolor=INK, length=2, color="#8a8f98")
    bar.outline.set(linewidth=0.6, edgecolor="#8a8f98")
    bar.set_label(grid.height, size=9, color=INK, labelpad=6)
