"""A figure of an evaluation: what following each predictor loses on each target, and scores against predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from xsns_stream.report.heatmap import INK, PLAIN_TEXT
from xsns_stream.report.tables import shown_name
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import JoinedScores, Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Told apart by colour-blind readers too (Okabe and Ito), without their yellow, which is faint on white.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#22252b")
_MARKERS: Final = ("o", "s", "D", "^")
_GREY: Final = "#9aa0a8"
#: Trivial rows that lead to a source of their own; random order and the ceiling do not belong among choices.
_TRIVIAL_MARKERS: Final = {"english": "|", "source-mean": "x"}
_LINE: Final = 0.2
_APART: Final = 0.5
_LONGEST_NAME: Final = 24
_DOTS_WIDTH: Final = 5.6
_PANEL: Final = 2.3


def save_evaluation_figure(found: Evaluation, joined: JoinedScores, file: BinaryIO, kind: str) -> None:
    """Draw the figure into an open file; the same evaluation gives the same bytes.

    Args:
        found: What to draw.
        joined: What it was made of.
        file: Where to.
        kind: `png`, `svg` or `pdf`.
    """
    import matplotlib as mpl

    dates: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context(PLAIN_TEXT):
        evaluation_figure(found, joined).savefig(
            file, format=kind, bbox_inches="tight", pad_inches=0.25, metadata=dates.get(kind)
        )


def evaluation_figure(found: Evaluation, joined: JoinedScores) -> Figure:
    """Draw regret on each target on the left, and a scatter of score against prediction for each predictor.

    Targets stand in the order of the mean regret of the predictors that were asked for, worst at the top.

    Args:
        found: What to draw.
        joined: What it was made of: the scatters show its candidates.

    Returns:
        A figure; save it with `bbox_inches="tight"`.
    """
    from matplotlib.figure import Figure

    asked = [row for row, name in enumerate(found.predictors) if name not in found.settings.trivial]
    across = 1 if len(asked) <= 2 else 2
    height = max(_LINE * len(found.targets) + 0.4, 2.4)
    figure = Figure(figsize=(10, height), facecolor="white", dpi=180)
    # Axes are placed in inches, as shares of a page that grows with its contents.
    dots = figure.add_axes((0.0, 0.0, _DOTS_WIDTH / 10, 1.0))
    _draw_regret(dots, found, asked)
    for number, row in enumerate(asked):
        left = _DOTS_WIDTH + 0.9 + (number % across) * (_PANEL + 0.7)
        top = height - (number // across) * (_PANEL + 0.75)
        panel = figure.add_axes((left / 10, (top - _PANEL) / height, _PANEL / 10, _PANEL / height))
        _draw_scatter(panel, joined, joined.predictions[row], row, found, first=number % across == 0)
    _write_title(dots, found)
    return figure


def _draw_regret(axes: Axes, found: Evaluation, asked: list[int]) -> None:
    regret = found.per_target[:, found.metrics.index("regret")]
    known = np.isfinite(regret[asked])
    level = np.where(known, regret[asked], 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    order = np.argsort(level, kind="stable")
    lines = np.arange(len(order))
    axes.hlines(lines, 0, np.nan_to_num(regret[asked][:, order].max(axis=0)), color="#e3e5e9", linewidth=2.2, zorder=1)
    for row, name in enumerate(found.predictors):
        values = regret[row, order]
        if name in _TRIVIAL_MARKERS and name in found.settings.trivial:
            axes.scatter(values, lines, s=26, marker=_TRIVIAL_MARKERS[name], color=_GREY, linewidths=1.2, label=name)
        elif row in asked:
            # A little apart, or the last would hide those that lead to the same source.
            apart = _APART * ((row + 0.5) / len(asked) - 0.5)
            axes.scatter(values, lines - apart, s=22, label=name, zorder=3, alpha=0.9, linewidths=0, **_look(row))
    axes.set_yticks(lines, [_label(found.targets[place]) for place in order])
    axes.set_xlabel(f"regret ({found.settings.unit}): best score less that of the source followed", color=INK)
    axes.set(ylim=(-0.7, len(order) - 0.3))
    axes.margins(x=0.02)
    axes.grid(axis="x", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="#e3e5e9")
    _plain(axes)


def _draw_scatter(
    axes: Axes, joined: JoinedScores, made: Prediction, row: int, found: Evaluation, *, first: bool
) -> None:
    there = joined.candidates
    axes.scatter(
        made.values[there], joined.gold.values[there], s=5, alpha=0.45, linewidths=0, rasterized=True, **_look(row)
    )
    axes.set_title(_cut(made.name), fontsize=9, color=INK, loc="left")
    axes.set_xlabel(_cut(made.coefficient), fontsize=8, color=INK)
    if first:
        axes.set_ylabel(f"{found.settings.metric} ({found.settings.unit})", fontsize=8, color=INK)
    axes.tick_params(labelsize=7)
    _plain(axes)


def _look(row: int) -> dict[str, Any]:
    """Return colour and marker: markers change where colours begin again."""
    return {
        "color": COLOURS[row % len(COLOURS)],
        "marker": _MARKERS[row // len(COLOURS) % len(_MARKERS)],
    }


def _label(code: str) -> str:
    name = shown_name(code)
    if name == code:
        return code
    return f"{_cut(name)}  {code}"


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.6, color="#8a8f98")
    axes.tick_params(labelcolor=INK, color="#8a8f98", length=2.5)
    if not axes.yaxis.label.get_text():
        axes.tick_params(axis="y", labelsize=8)


def _write_title(axes: Axes, found: Evaluation) -> None:
    made = found.settings
    axes.set_title(
        f"{made.task} {made.metric}: {len(made.sources)} sources, {len(found.targets)} targets",
        fontsize=11,
        fontweight="bold",
        color=INK,
        loc="left",
        pad=10,
    )
