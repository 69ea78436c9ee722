"""Curves with bands: means of metrics over something that was varied, a panel a metric, a line a task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xsns_stream.report.figures import Page, cut, look, plain, titled
from xsns_stream.report.heatmap import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 3.5, 2.4
_GAP_X, _GAP_Y = 0.75, 0.75
_ACROSS: Final = 2
_LEGEND_LINE: Final = 0.22
_LEGEND_ACROSS: Final = 4


@dataclass(frozen=True)
class Curve:
    """One line of a panel.

    Attributes:
        name: As the legend calls it; the same name has the same colour in every panel.
        x: Where it was measured, ascending.
        mean: What was measured there; NaN leaves a gap.
        low: Lower end of the band; NaN draws none.
        high: Upper end.
        level: A height that needs none of this, drawn dotted; None draws none.
    """

    name: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    level: float | None = None

    def __post_init__(self) -> None:
        if len({len(self.x), len(self.mean), len(self.low), len(self.high)}) != 1:
            raise ValueError(f"the curve '{self.name}' has not as many means and ends as places")


@dataclass(frozen=True)
class Panel:
    """Curves that share a height.

    Attributes:
        title: What is measured.
        curves: The lines.
        unit: Of the heights.
    """

    title: str
    curves: tuple[Curve, ...]
    unit: str = "× 100"


@dataclass(frozen=True)
class Across:
    """What is varied, on every panel's x axis.

    Attributes:
        label: Its name.
        ticks: {place: its label}.
        logarithmic: Whether equal factors lie equally far apart.
        above: {place: its label} of a second scale above the panels; empty for none.
        above_label: Its name.
        marked: A place that is drawn as a thin vertical line: the one used elsewhere.
    """

    label: str
    ticks: Mapping[float, str]
    logarithmic: bool = False
    above: Mapping[float, str] = field(default_factory=dict)
    above_label: str = ""
    marked: float | None = None


def curves_figure(panels: Sequence[Panel], across: Across, title: str, subtitle: str = "") -> Figure:
    """Draw panels of curves, two in a row, with one legend for all.

    Args:
        panels: At least one.
        across: The x axis.
        title: Above all.
        subtitle: Below it, smaller; may have several lines.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There is no panel.
    """
    if not panels:
        raise ValueError("a figure of curves needs a panel")
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    gap = _GAP_Y + (0.4 if across.above else 0.0)
    rows, columns = -(-len(panels) // _ACROSS), min(_ACROSS, len(panels))
    page = Page(columns * (_WIDTH + _GAP_X) - _GAP_X, rows * (_HEIGHT + gap) - gap)
    figure = page.figure()
    for place, panel in enumerate(panels):
        row, column = divmod(place, _ACROSS)
        axes = page.axes(figure, column * (_WIDTH + _GAP_X), row * (_HEIGHT + gap), _WIDTH, _HEIGHT)
        _draw(axes, panel, across, names)
        if place == 0:
            _head(axes, names, title, subtitle, 42.0 if across.above else 22.0)
    return figure


def _draw(axes: Axes, panel: Panel, across: Across, names: Sequence[str]) -> None:
    if across.logarithmic:
        axes.set_xscale("log")
    # Bands of many lines lie on top of one another.
    faint = 0.14 if len(panel.curves) <= 3 else 0.07
    for curve in panel.curves:
        style = look(names.index(curve.name))
        axes.plot(curve.x, curve.mean, linewidth=1.6, markersize=3.4, zorder=3, **style)
        axes.fill_between(curve.x, curve.low, curve.high, color=style["color"], alpha=faint, linewidth=0, zorder=1)
        if curve.level is not None and math.isfinite(curve.level):
            axes.axhline(curve.level, color=style["color"], linewidth=0.9, linestyle=(0, (1, 2)), zorder=2)
    if across.marked is not None:
        axes.axvline(across.marked, color="#c9ccd1", linewidth=0.9, zorder=0)
    _scales(axes, across)
    axes.set_ylabel(f"{panel.title} ({panel.unit})" if panel.unit else panel.title, fontsize=9, color=INK)
    axes.grid(axis="y", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    plain(axes)


def _scales(axes: Axes, across: Across) -> None:
    axes.set_xticks(list(across.ticks), list(across.ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel(across.label, fontsize=9, color=INK)
    if across.above:
        above = axes.secondary_xaxis("top")
        above.set_xticks(list(across.above), list(across.above.values()))
        above.minorticks_off()
        above.tick_params(labelsize=7, labelcolor="#8a8f98", color="#8a8f98", length=2.5)
        above.set_xlabel(across.above_label, fontsize=7.5, color="#8a8f98")
        above.spines["top"].set_visible(False)


def _head(axes: Axes, names: Sequence[str], title: str, subtitle: str, above: float) -> None:
    """Write legend and title above the first panel."""
    from matplotlib.lines import Line2D

    height = _LEGEND_LINE * -(-len(names) // _LEGEND_ACROSS)
    # Made for all panels: the first may lack a line.
    handles = [Line2D([], [], linewidth=1.6, markersize=4, **look(place)) for place in range(len(names))]
    axes.legend(
        handles,
        [cut(name) for name in names],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0 + (above / 72 - 0.05) / _HEIGHT),
        ncols=min(_LEGEND_ACROSS, max(1, len(names))),
        fontsize=8.5,
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        labelcolor=INK,
        columnspacing=1.4,
        handlelength=1.8,
    )
    titled(axes, title, subtitle, above + 72 * height + 4)
