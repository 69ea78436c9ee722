"""Boxes: how far the scores of one target spread over sources, with what it gets at home and without a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.report.figures import COLOURS, Page, known, language, plain, titled
from xsns_stream.report.heatmap import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
