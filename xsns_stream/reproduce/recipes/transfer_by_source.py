"""Recipes that show transfer scores by source: a source × target grid (figure 1), and the spread (figure 5)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.report.figures import (
    COLOURS,
    INK,
    PALE_INK,
    SCALE,
    UNDEFINED_COLOUR,
    Page,
    axis_label,
    figure_writer,
    finite,
    is_dark,
    language,
    plain,
    titled,
)
from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import gold_quality, number, table
from xsns_stream.reproduce.scores import TargetScores, gold_scores, target_scores
from xsns_stream.reproduce.step import LeftOutError, Recipe, Result, Step, StepOutputs
from xsns_stream.types import Reals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from xsns_stream.types.transfer_scores import TransferScores

# -------------------------------------------------------------------------------------------- figure 1: the recipe

FIGURE1_TITLE: Final = "Figure 1: transfer by source"
#: The paper's task; if it has no data, the first task with data is used.
FIGURE1_TASK: Final = "ner"


def _figure1_steps(config: RunConfig) -> Sequence[Step]:
    return [gold(config, _figure1_task(config))]


def _figure1_task(config: RunConfig) -> TaskConfig:
    return config.tasks.get(FIGURE1_TASK) or next(iter(config.tasks.values()))


def render_figure1(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page, which has the grid of scores, and a table with a row for each target.

    Raises:
        LeftOutError: No model was fine-tuned.
    """
    task = _figure1_task(config)
    targets = target_scores(config, task, outputs, task.targets)
    if not targets:
        raise LeftOutError(f"no model was fine-tuned for {task.title}.", outputs.failure(gold(config, task)))
    scores = gold_scores(gold(config, task))
    grid = _score_grid(scores, targets)
    sentence, quality = gold_quality(task, gold(config, task), outputs)
    caption = (
        f"{task.title}: each cell is the score of a model that was fine-tuned on one language (rows) and tested on "
        "another (columns), as a mean over fine-tuning seeds. Frames mark a language tested on itself. Dots mark the "
        "best other source of each target. Sources are ordered by their mean over other targets, best first. Targets "
        "have the same order, followed by the targets that are not sources."
    )
    other_task = "" if task.name == FIGURE1_TASK else " The paper's figure shows NER, for which there are no data here."
    record = {
        "task": task.name,
        "metric": scores.metric,
        "unit": scores.unit,
        "sources": list(grid.sources),
        "targets": list(grid.targets),
        "scores": grid.values.tolist(),
        "gold": quality,
    }
    title = f"{task.title}: transfer by source"
    subtitle = "frame: the language itself · dot: best other source of a target"
    heading = f"# {FIGURE1_TITLE}\n\n![{task.title} by source](figure1.svg)\n\n{caption}{other_task}"
    return Result(
        f"{heading}\n\n{sentence}\n\n{_source_table(targets)}",
        record,
        figure_writer(partial(grid_figure, grid, title, subtitle)),
    )


def _score_grid(scores: TransferScores, rows: Sequence[TargetScores]) -> ScoreGrid:
    """Return the scores as a grid whose sources and targets have the order of the figure.

    `rows` are the scores of each target.
    """
    targets = [row.target for row in rows]
    means = {source: _mean([row.others[source] for row in rows if source in row.others]) for source in scores.sources}
    sources = sorted(means, key=lambda source: (-means[source], source))
    ordered = [source for source in sources if source in targets] + [code for code in targets if code not in sources]
    own = np.equal(np.array(sources)[:, None], np.array(ordered)[None, :])
    return ScoreGrid(
        tuple(sources),
        tuple(ordered),
        scores.restricted(sources, ordered).values,
        own,
        axis_label(scores.metric, scores.unit),
        decimals=0 if scores.unit == "percent" else 2,
    )


def _mean(values: Sequence[float]) -> float:
    """Return the mean; minus infinity if there are no values, because a source without scores is sorted last."""
    return math.fsum(values) / len(values) if values else -math.inf


def _source_table(rows: Sequence[TargetScores]) -> str:
    header = ["target", "best other source", "its score", "mean of others", "lowest", "English", "itself", "no model"]
    lines = [
        [
            row.target,
            " ".join(row.best_sources),
            *(number(value, 1) for value in (row.best, row.mean, row.worst, row.english, row.own, row.trivial)),
        ]
        for row in rows
    ]
    return table(header, lines, text_columns=2)


# --------------------------------------------------------------------------------------------- figure 1: the figure

# Largest number of rows, and of columns, of a grid that has numbers in its cells.
_MAX_NUMBERED: Final = 24
_OWN_FRAME: Final = "#56B4E9"
_BEST_DOT: Final = COLOURS[2]


@dataclass(frozen=True)
class ScoreGrid:
    """Scores of sources on targets, in the order of the figure.

    Attributes:
        sources: S codes, from top to bottom.
        targets: T codes, from left to right.
        values: float64 [S, T]; NaN if not measured.
        own: Boolean [S, T]: whether the source is the target.
        label: The label of the colour scale, such as `F1 (percent)`.
        decimals: Number of decimals in the cells.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Reals
    own: npt.NDArray[np.bool_]
    label: str
    decimals: int = 0

    def __post_init__(self) -> None:
        if {self.values.shape, self.own.shape} != {(len(self.sources), len(self.targets))}:
            raise ValueError(f"the scores must have {len(self.sources)} rows and {len(self.targets)} columns")


def grid_figure(grid: ScoreGrid, title: str, subtitle: str = "") -> Figure:
    """Draw the grid of scores.

    The score of a language on itself has a frame. For each target, the best other source has a dot.

    Args:
        grid: The scores.
        title: The title of the figure.
        subtitle: Text below the title, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.
    """
    longer = max(*grid.values.shape, 1)
    cell = float(np.interp(longer, [4, 12, 24, 60, 200], [0.6, 0.42, 0.34, 0.2, 0.12]))
    page = Page(max(len(grid.targets), 1) * cell, max(len(grid.sources), 1) * cell)
    figure = page.figure()
    axes = page.axes(figure, 0.0, 0.0, page.width, page.height)
    colours = _grid_colours(grid.values)
    _draw_cells(axes, grid, colours)
    _label_grid(axes, grid, float(np.clip(cell * 72 * 0.72, 3.5, 10.0)))
    if longer <= _MAX_NUMBERED:
        _write_numbers(axes, grid, colours, 72 * cell * 0.32)
    _frame_own(axes, grid)
    _mark_best(axes, grid, cell)
    _draw_colour_bar(figure, page, colours, grid)
    titled(axes, title, subtitle, above=10)
    return figure


def _grid_colours(values: Reals) -> ScalarMappable:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    measured = values[np.isfinite(values)]
    low, high = (float(measured.min()), float(measured.max())) if measured.size else (0.0, 1.0)
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    return ScalarMappable(Normalize(low, high), SCALE)


def _draw_cells(axes: Axes, grid: ScoreGrid, colours: ScalarMappable) -> None:
    from matplotlib.colors import to_rgba

    pixels = np.asarray(colours.to_rgba(np.nan_to_num(grid.values)))
    pixels[~np.isfinite(grid.values)] = to_rgba(UNDEFINED_COLOUR)
    axes.imshow((pixels * 255).round().astype(np.uint8), interpolation="nearest", aspect="auto")
    for spine in axes.spines.values():
        spine.set(linewidth=0.6, color=PALE_INK)


def _label_grid(axes: Axes, grid: ScoreGrid, size: float) -> None:
    """Label every row and column with name and code; the code is next to the grid."""
    axes.set_xticks(range(len(grid.targets)), [_column_name(code) for code in grid.targets], rotation=270)
    axes.set_yticks(range(len(grid.sources)), [language(code) for code in grid.sources])
    axes.tick_params(labelsize=size, labelcolor=INK, length=0, pad=3)
    axes.set_xlabel("tested on", fontsize=size + 1, color=INK)
    axes.set_ylabel("fine-tuned on", fontsize=size + 1, color=INK)


def _column_name(code: str) -> str:
    """Return the label of a column, such as `sw  Swahili`; the text runs downwards, with the code next to the grid."""
    name, _, rest = language(code).rpartition("  ")
    return f"{rest}  {name}" if name else rest


def _write_numbers(axes: Axes, grid: ScoreGrid, colours: ScalarMappable, size: float) -> None:
    painted = np.asarray(colours.to_rgba(np.nan_to_num(grid.values)))
    for (row, column), value in np.ndenumerate(grid.values):
        if np.isfinite(value):
            text, colour = f"{value:.{grid.decimals}f}", "white" if is_dark(painted[row, column]) else INK
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour, zorder=3)


def _frame_own(axes: Axes, grid: ScoreGrid) -> None:
    from matplotlib.patches import Rectangle

    style: dict[str, Any] = {"fill": False, "edgecolor": _OWN_FRAME, "linewidth": 1.6, "zorder": 4, "clip_on": False}
    for row, column in np.argwhere(grid.own):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **style))


def _mark_best(axes: Axes, grid: ScoreGrid, cell: float) -> None:
    others = np.where(grid.own | ~np.isfinite(grid.values), -np.inf, grid.values)
    if not others.size:
        return
    best = others.max(axis=0)
    # Sources with equal scores are all marked.
    rows, columns = np.nonzero((others == best) & np.isfinite(best))
    size = (72 * cell * 0.17) ** 2
    axes.scatter(columns + 0.34, rows - 0.34, s=size, color=_BEST_DOT, edgecolors="white", linewidths=0.5, zorder=5)


def _draw_colour_bar(figure: Figure, page: Page, colours: ScalarMappable, grid: ScoreGrid) -> None:
    height = min(page.height, max(1.2, 0.5 * page.height))
    axes = page.axes(figure, page.width + 0.2, 0.0, 0.14, height)
    bar = figure.colorbar(colours, cax=axes)
    bar.ax.tick_params(labelsize=8, labelcolor=INK, length=2, color=PALE_INK)
    bar.outline.set(linewidth=0.6, edgecolor=PALE_INK)
    bar.set_label(grid.label, size=9, color=INK, labelpad=6)


# -------------------------------------------------------------------------------------------- figure 5: the recipe

FIGURE5_TITLE: Final = "Figure 5: spread of transfer over sources"
#: {column of the overview: gain from the choice of a source for one target}.
GAINS: Final[Mapping[str, Callable[[TargetScores], float]]] = {
    "best minus lowest": lambda row: row.best - row.worst,
    "best minus mean": lambda row: row.best - row.mean,
    "best minus English": lambda row: row.best - row.english,
    "itself minus best": lambda row: row.own - row.best,
}


def _figure5_steps(config: RunConfig) -> Sequence[Step]:
    return [gold(config, task) for task in config.tasks.values()]


def render_figure5(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page; each task has a panel of the figure, and a table with a row for each target.

    Raises:
        LeftOutError: No model was fine-tuned.
    """
    ordered = {name: _by_median(config, task, outputs) for name, task in config.tasks.items()}
    tasks = {config.tasks[name]: rows for name, rows in ordered.items() if rows}
    if not tasks:
        raise LeftOutError("no model was fine-tuned for figure 5.")
    parts = [
        f"# {FIGURE5_TITLE}\n\n![spread of scores over sources](figure5.svg)\n\nEach box shows the scores of one "
        "target over the sources other than itself, as means over fine-tuning seeds. Boxes show quartiles, and "
        "whiskers reach to the lowest and the highest score. The diamond is the model that was fine-tuned on the "
        "target itself. The dash is the answer that needs no model. The table shows what the choice of a source can "
        f"gain, as a mean over the targets that have both scores.\n\n{_overview(tasks)}\n"
    ]
    panels, record = [], {}
    for task, rows in tasks.items():
        scores = gold_scores(gold(config, task))
        sentence, quality = gold_quality(task, gold(config, task), outputs)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{_quartile_table(rows)}\n")
        boxes = tuple(Box(row.target, row.values, row.own, row.trivial) for row in rows)
        panels.append(BoxPanel(task.title, boxes, axis_label(scores.metric, scores.unit)))
        targets = {row.target: {"scores": dict(row.others), "own": row.own, "trivial": row.trivial} for row in rows}
        record[task.name] = {"gold": quality, "targets": targets}
    title, subtitle = (
        "Spread of transfer over sources",
        "one box per target: the scores of all sources except the target",
    )
    return Result("".join(parts), {"tasks": record}, figure_writer(partial(boxes_figure, panels, title, subtitle)))


def _by_median(config: RunConfig, task: TaskConfig, outputs: StepOutputs) -> list[TargetScores]:
    """Return the scores of the targets with scores from other languages, in descending order of the median score."""
    rows = [row for row in target_scores(config, task, outputs, task.targets) or () if row.others]
    return sorted(rows, key=lambda row: (-statistics.median(row.values), row.target))


def _overview(tasks: Mapping[TaskConfig, Sequence[TargetScores]]) -> str:
    lines = []
    for task, rows in tasks.items():
        means = []
        for gain in GAINS.values():
            values = [value for value in map(gain, rows) if math.isfinite(value)]
            means.append(number(statistics.fmean(values), 1) if values else number(None))
        lines.append([task.title, str(len(rows)), *means])
    return table(["task", "targets", *GAINS], lines)


def _quartile_table(rows: Sequence[TargetScores]) -> str:
    quantiles = ("lowest", "quarter", "median", "three quarters", "highest")
    header = ["target", "best source", "sources", *quantiles, "itself", "no model"]
    lines = []
    for row in rows:
        values = (*np.quantile(row.values, [0, 0.25, 0.5, 0.75, 1]).tolist(), row.own, row.trivial)
        sources = " ".join(row.best_sources)
        lines.append([row.target, sources, str(len(row.others)), *(number(value, 1) for value in values)])
    return table(header, lines, text_columns=2)


# -------------------------------------------------------------------------------------------- figure 5: the figure

_BOX_WIDTH: Final = 0.24
_MIN_WIDTH: Final = 2.4
_PANEL_HEIGHT: Final = 2.5
_LETTER: Final = 0.068
_OWN: Final = COLOURS[1]


@dataclass(frozen=True)
class Box:
    """The box of one target in a box plot.

    Attributes:
        label: The code of the target.
        values: Scores of the sources except the target; NaN is not drawn.
        own: The score of the model that was fine-tuned on the target itself; NaN if there is no such model.
        trivial: The score of the trivial answer; NaN if unknown.
    """

    label: str
    values: tuple[float, ...]
    own: float = math.nan
    trivial: float = math.nan


@dataclass(frozen=True)
class BoxPanel:
    """The box plot of one task.

    Attributes:
        title: The task.
        boxes: The boxes from left to right.
        label: The label of the y axis, such as `F1 (percent)`.
    """

    title: str
    boxes: tuple[Box, ...]
    label: str


def boxes_figure(panels: Sequence[BoxPanel], title: str, subtitle: str = "") -> Figure:
    """Draw box plots, with a panel for each task; panels are placed one below the other.

    Boxes reach from the first to the third quartile, whiskers to the lowest and the highest source. Each source
    is also drawn as a dot, which makes the number of sources visible.

    Args:
        panels: The panels, at least one.
        title: The title of the figure.
        subtitle: Text below the title, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There are no panels.
    """
    if not panels:
        raise ValueError("a figure of boxes must have a panel")
    widths = [max(_MIN_WIDTH, _BOX_WIDTH * len(panel.boxes) + 0.3) for panel in panels]
    tops = [sum(_PANEL_HEIGHT + _space_below(panel) for panel in panels[:index]) for index in range(len(panels))]
    page = Page(max(widths), tops[-1] + _PANEL_HEIGHT)
    figure = page.figure()
    for index, (panel, top, width) in enumerate(zip(panels, tops, widths, strict=True)):
        axes = page.axes(figure, 0.0, top, width, _PANEL_HEIGHT)
        _draw_boxes(axes, panel)
        titled(axes, panel.title, above=6, size=9.5)
        if index == 0:
            _draw_box_legend(axes)
            titled(axes, title, subtitle, above=46)
    return figure


def _space_below(panel: BoxPanel) -> float:
    """Return the space below a panel in inches, for vertical names of languages and the title of the next panel."""
    return 0.55 + _LETTER * max((len(language(box.label)) for box in panel.boxes), default=0)


def _draw_boxes(axes: Axes, panel: BoxPanel) -> None:
    for x, box in enumerate(panel.boxes):
        values = finite(box.values)
        if values:
            _draw_box(axes, x, values)
        _draw_mark(axes, x, box.own, marker="D", s=17, color=_OWN, linewidths=0)
        _draw_mark(axes, x, box.trivial, marker="_", s=60, color=INK, linewidths=1.2)
    positions = np.arange(len(panel.boxes))
    axes.set_xticks(positions, [language(box.label) for box in panel.boxes], rotation=90)
    axes.set(xlim=(-0.7, max(len(positions), 1) - 0.3))
    axes.set_ylabel(panel.label, fontsize=9, color=INK)
    axes.grid(axis="y", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    plain(axes)


def _draw_box(axes: Axes, x: int, values: Sequence[float]) -> None:
    lines = {"color": COLOURS[0], "linewidth": 0.9}
    axes.boxplot(
        [values],
        positions=[x],
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
    axes.scatter([x] * len(values), values, s=4, color=COLOURS[0], alpha=0.55, linewidths=0, zorder=3)


def _draw_mark(axes: Axes, x: int, height: float, **style: Any) -> None:
    if math.isfinite(height):
        axes.scatter([x], [height], zorder=4, **style)


def _draw_box_legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    marks: tuple[tuple[str, dict[str, Any]], ...] = (
        ("other sources", {"marker": "o", "color": COLOURS[0], "markersize": 3, "alpha": 0.7}),
        ("the language itself", {"marker": "D", "color": _OWN, "markersize": 4.5}),
        ("no model", {"marker": "_", "color": INK, "markersize": 8}),
    )
    axes.legend(
        [Line2D([], [], linestyle="", **style) for _, style in marks],
        [name for name, _ in marks],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0 + 27 / 72 / _PANEL_HEIGHT),
        ncols=len(marks),
        fontsize=8.5,
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        labelcolor=INK,
        handletextpad=0.3,
        columnspacing=1.4,
    )


RECIPES: Final = {
    "figure1": Recipe("figure1", FIGURE1_TITLE, _figure1_steps, render_figure1),
    "figure5": Recipe("figure5", FIGURE5_TITLE, _figure5_steps, render_figure5),
}
