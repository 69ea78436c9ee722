"""Figure of an evaluation: the regret on each target, and scatter plots of scores against predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.report.figures import (
    COLOURS,
    GREY,
    INK,
    axis_label,
    capitalised,
    cut,
    finish_lines,
    label_points,
    language,
    lines_height,
    look,
    plain,
    titled,
)
from xsns_stream.types.axes_drawing import label_lines, new_axes
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import JoinedScores, Prediction, scores_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Markers of the trivial predictors that choose a source; random order and the ceiling do not choose a source.
_TRIVIAL_MARKERS: Final = {"english": "|", "source-mean": "x"}
_LINE: Final = 0.2
_SPREAD: Final = 0.5
_MAX_NAME: Final = 24
_REGRET_WIDTH: Final = 5.6
_PANEL: Final = 2.3


def evaluation_title(evaluation: Evaluation) -> str:
    """Return the title of the tables and the figure of an evaluation; the title contains no warning."""
    settings = evaluation.settings
    regime = "" if settings.regime == "main" else f", regime {settings.regime}"
    counts = f"{_counted(settings.sources, 'source')}, {_counted(evaluation.targets, 'target')}"
    return f"{scores_name(settings.task, settings.metric)}{regime}: {counts}"


def _counted(codes: Sequence[str], noun: str) -> str:
    return f"{len(codes)} {noun if len(codes) == 1 else f'{noun}s'}"


def evaluation_figure(evaluation: Evaluation, joined: JoinedScores) -> Figure:
    """Draw the regret on each target (left) and, for each predictor, scores against predictions (right).

    Targets are sorted by their regret, averaged over the given predictors, in descending order.

    Args:
        evaluation: The evaluation.
        joined: The evaluated scores and predictions; the panels on the right show only candidate pairs.

    Returns:
        A figure; save it with `bbox_inches="tight"`.
    """
    from matplotlib.figure import Figure

    given = [row for row, name in enumerate(evaluation.predictors) if name not in evaluation.settings.trivial]
    columns = 1 if len(given) <= 2 else 2
    height = max(_LINE * len(evaluation.targets) + 0.4, 2.4)
    figure = Figure(figsize=(10, height), facecolor="white", dpi=180)
    # Axes are placed in inches, because the size of the page depends on its content.
    regret = figure.add_axes((0.0, 0.0, _REGRET_WIDTH / 10, 1.0))
    _draw_regret(regret, evaluation, given, height)
    for index, row in enumerate(given):
        left = _REGRET_WIDTH + 0.9 + (index % columns) * (_PANEL + 0.7)
        top = height - (index // columns) * (_PANEL + 0.75)
        panel = figure.add_axes((left / 10, (top - _PANEL) / height, _PANEL / 10, _PANEL / height))
        _draw_scatter(panel, joined, joined.predictions[row], row, evaluation, first=index % columns == 0)
    warning = capitalised(evaluation.warning)
    titled(regret, evaluation_title(evaluation), warning, size=11)
    return figure


def plot_evaluation(evaluation: Evaluation, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the mean of a metric for each predictor as a dot, and its confidence interval as a bar.

    Trivial predictors are grey squares below the other predictors, for comparison. Predictors for which the metric is
    undefined have no mark.

    Args:
        evaluation: The evaluation.
        metric: Name of the metric; by default NDCG@3.
        ax: Axes to draw into; a new pyplot figure if None.

    Raises:
        UsageError: The evaluation has no such metric.
    """
    metric = next(name for name in evaluation.metrics if name.startswith("ndcg")) if metric is None else metric
    column = evaluation.metric_index(metric)
    if ax is None:
        ax = new_axes(6.0, lines_height(len(evaluation.predictors)) + 0.8)
    for row, name in enumerate(evaluation.predictors):
        trivial = name in evaluation.settings.trivial
        colour, marker = (GREY, "s") if trivial else (COLOURS[0], "o")
        low, high = evaluation.low[row, column], evaluation.high[row, column]
        if np.isfinite(low) and np.isfinite(high):
            ax.hlines(row, low, high, color=colour, linewidth=2.2, alpha=0.55, zorder=2)
        if np.isfinite(evaluation.mean[row, column]):
            ax.plot(evaluation.mean[row, column], row, marker, color=colour, markersize=5.5, zorder=3)
    names = [cut(name, _MAX_NAME) for name in evaluation.predictors]
    level = f"{100 * evaluation.settings.confidence:g} %"
    finish_lines(ax, len(names), f"{metric}, mean over {len(evaluation.targets)} targets with {level} interval")
    label_lines(ax, "y", [f"{name} (trivial)" if name in evaluation.settings.trivial else name for name in names])
    ax.set_title(evaluation_title(evaluation), loc="left", fontsize=10).set_parse_math(False)
    return ax


def _draw_regret(axes: Axes, evaluation: Evaluation, given: list[int], height: float) -> None:
    """Draw the regret of each predictor on each target into axes.

    `given` are the indices of the predictors that are not trivial; `height` is the height of the axes in inches.
    """
    regret = evaluation.per_target[:, evaluation.metrics.index("regret")]
    known = np.isfinite(regret[given])
    mean = np.where(known, regret[given], 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    order = np.argsort(mean, kind="stable")
    y = np.arange(len(order))
    axes.hlines(y, 0, np.nan_to_num(regret[given][:, order].max(axis=0)), color="#e3e5e9", linewidth=2.2, zorder=1)
    for row, name in enumerate(evaluation.predictors):
        values = regret[row, order]
        if name in _TRIVIAL_MARKERS and name in evaluation.settings.trivial:
            axes.scatter(values, y, s=26, marker=_TRIVIAL_MARKERS[name], color=GREY, linewidths=1.2, label=name)
        elif row in given:
            # The marks of the predictors are shifted vertically, so that equal values do not hide each other.
            offset = _SPREAD * ((row + 0.5) / len(given) - 0.5)
            axes.scatter(values, y - offset, s=22, label=name, zorder=3, alpha=0.9, linewidths=0, **look(row))
    axes.set_yticks(y, [language(evaluation.targets[index], _MAX_NAME) for index in order])
    axes.set_xlabel(f"regret ({evaluation.settings.unit}): best score minus the score of the chosen source", color=INK)
    axes.set(ylim=(-0.7, len(order) - 0.3))
    axes.margins(x=0.02)
    axes.grid(axis="x", color="#eef0f2", linewidth=0.8, zorder=0)
    # The legend is below the axes, so that it covers no mark.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.62 / height), ncols=4, fontsize=8, frameon=False)
    plain(axes)


def _draw_scatter(
    axes: Axes, joined: JoinedScores, prediction: Prediction, row: int, evaluation: Evaluation, *, first: bool
) -> None:
    x, y = prediction.values[joined.candidates], joined.gold.values[joined.candidates]
    axes.scatter(x, y, s=5, alpha=0.45, linewidths=0, rasterized=True, **look(row))
    axes.set_title(cut(prediction.name, _MAX_NAME), fontsize=9, color=INK, loc="left")
    axes.set_xlabel(cut(prediction.coefficient, _MAX_NAME), fontsize=8, color=INK)
    if first:
        axes.set_ylabel(axis_label(evaluation.settings.metric, evaluation.settings.unit), fontsize=8, color=INK)
    plain(axes)
    axes.tick_params(labelsize=7)
    rows, columns = np.nonzero(joined.candidates)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    label_points(axes, x, y, [f"{joined.sources[source]}→{joined.targets[target]}" for source, target in pairs])
