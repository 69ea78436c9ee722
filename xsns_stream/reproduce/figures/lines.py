"""Figures of lines: curves over a config, and marks on lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.report.figures import COLOURS, GREY, QUIET_INK, Page, cut, known, language, look, plain, titled
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


_LINE: Final = 0.25
_LINE_WIDTH: Final = 5.8
_GAP: Final = 0.95
_BETTER, _WORSE = COLOURS[2], COLOURS[1]


@dataclass(frozen=True)
class MeanLine:
    """One method.

    Attributes:
        name: Of the method.
        values: One for each target; NaN takes no part.
        mean: Over targets.
        low: Lower end of its interval; NaN draws none.
        high: Upper end.
        reference: Whether it is there to compare with, and is drawn in grey.
    """

    name: str
    values: tuple[float, ...]
    mean: float
    low: float = math.nan
    high: float = math.nan
    reference: bool = False


@dataclass(frozen=True)
class MeansPanel:
    """The methods of one task.

    Attributes:
        title: The task.
        lines: From top to bottom.
        height: What the scores are.
    """

    title: str
    lines: tuple[MeanLine, ...]
    height: str


@dataclass(frozen=True)
class ChoiceLine:
    """One target.

    Attributes:
        label: Its code.
        base: What the source it is held against gives.
        chosen: What the chosen source gives.
        best: What the best source gives.
        mean: Mean over all sources.
        choice: What was chosen, written at the end of the line.
        trivial: What the answer without a model scores; NaN where it is not known.
    """

    label: str
    base: float
    chosen: float
    best: float
    mean: float
    choice: str
    trivial: float = math.nan


@dataclass(frozen=True)
class ChoicePanel:
    """The targets of one task.

    Attributes:
        title: The task.
        lines: From top to bottom, at least one.
        height: What the scores are.
        base: What the legend calls the source that the choice is held against.
    """

    title: str
    lines: tuple[ChoiceLine, ...]
    height: str
    base: str


def means_figure(panels: Sequence[MeansPanel], title: str, subtitle: str = "") -> Figure:
    """Draw a mean with its interval a line, and a faint dot a target.

    Args:
        panels: One below the other, at least one.
        title: Above all.
        subtitle: Below it, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There is no panel.
    """
    figure, drawn = _stacked([len(panel.lines) for panel in panels])
    for panel, axes in zip(panels, drawn, strict=True):
        for place, line in enumerate(panel.lines):
            _draw_mean(axes, place, line)
        axes.set_yticks(range(len(panel.lines)), [cut(line.name) for line in panel.lines])
        _finish(axes, len(panel.lines), panel.height)
        titled(axes, panel.title, above=6, size=9.5)
    titled(drawn[0], title, subtitle, above=28)
    return figure


def _draw_mean(axes: Axes, place: int, line: MeanLine) -> None:
    colour = GREY if line.reference else COLOURS[0]
    values = known(line.values)
    axes.scatter(values, [place] * len(values), s=9, color=colour, alpha=0.3, linewidths=0, zorder=2)
    if math.isfinite(line.low) and math.isfinite(line.high):
        axes.hlines(place, line.low, line.high, color=colour, linewidth=2.2, zorder=3)
    if math.isfinite(line.mean):
        axes.scatter([line.mean], [place], s=34, color=colour, edgecolors="white", linewidths=0.6, zorder=4)


def choices_figure(panels: Sequence[ChoicePanel], chooser: str, title: str, subtitle: str = "") -> Figure:
    """Draw what a chosen source gives against a fixed one, a target a line, with the best and the mean source.

    Args:
        panels: One below the other, at least one.
        chooser: What the legend calls it.
        title: Above all.
        subtitle: Below it, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There is no panel.
    """
    figure, drawn = _stacked([len(panel.lines) for panel in panels])
    for panel, axes in zip(panels, drawn, strict=True):
        _draw_choices(axes, panel)
        titled(axes, panel.title, above=6, size=9.5)
    bases = list(dict.fromkeys(panel.base for panel in panels))
    _legend(drawn[0], " or ".join(map(cut, bases)), cut(chooser), _tall(len(panels[0].lines)))
    titled(drawn[0], title, subtitle, above=66)
    return figure


def _stacked(lines: Sequence[int]) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes for so many lines each, one below the other."""
    if not lines:
        raise ValueError("a figure of lines needs a panel")
    tops = [sum(_tall(count) + _GAP for count in lines[:place]) for place in range(len(lines))]
    page = Page(_LINE_WIDTH, tops[-1] + _tall(lines[-1]))
    figure = page.figure()
    pairs = zip(tops, lines, strict=True)
    return figure, [page.axes(figure, 0.0, top, page.width, _tall(count)) for top, count in pairs]


def _draw_choices(axes: Axes, panel: ChoicePanel) -> None:
    places = np.arange(len(panel.lines))
    base, chosen, best, mean, trivial = (
        np.array([getattr(line, name) for line in panel.lines], np.float64)
        for name in ("base", "chosen", "best", "mean", "trivial")
    )
    for there, colour in ((chosen > base, _BETTER), (chosen < base, _WORSE)):
        axes.hlines(places[there], base[there], chosen[there], color=colour, linewidth=2.0, alpha=0.55, zorder=2)
    for values, style in zip((trivial, mean, best, base, chosen), _marks(), strict=True):
        axes.scatter(values, places, **style)
    # At the end of the line, where no mark can be.
    for place, line in enumerate(panel.lines):
        axes.annotate(
            cut(line.choice),
            (1.0, place),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=QUIET_INK,
            annotation_clip=False,
        )
    axes.set_yticks(places, [language(line.label) for line in panel.lines])
    _finish(axes, len(panel.lines), panel.height)


def _marks() -> tuple[dict[str, Any], ...]:
    """Return how trivial answer, mean, best, fixed and chosen source look."""
    return (
        {"s": 17, "marker": "x", "color": GREY, "linewidths": 0.9, "zorder": 1},
        {"s": 30, "marker": "|", "color": INK, "linewidths": 1.1, "zorder": 3},
        {"s": 30, "marker": "D", "facecolors": "none", "edgecolors": GREY, "linewidths": 1, "zorder": 3},
        {"s": 30, "marker": "o", "color": GREY, "linewidths": 0, "zorder": 4},
        {"s": 34, "marker": "o", "color": COLOURS[0], "linewidths": 0, "zorder": 5},
    )


def _legend(axes: Axes, base: str, chooser: str, tall: float) -> None:
    names = ("no model", "mean of the sources", "best source", base, chooser)
    handles = [axes.scatter([], [], **style) for style in _marks()]
    axes.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0 + 27 / 72 / tall),
        ncols=3,
        fontsize=8,
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        labelcolor=INK,
        handletextpad=0.3,
        columnspacing=1.2,
    )


def _tall(lines: int) -> float:
    return _LINE * max(lines, 1) + 0.2


def _finish(axes: Axes, lines: int, height: str) -> None:
    axes.set_xlabel(height, fontsize=9, color=INK)
    axes.set(ylim=(max(lines, 1) - 0.4, -0.6))
    axes.margins(x=0.04)
    axes.grid(axis="x", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    plain(axes)
