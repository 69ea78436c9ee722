"""Evaluation of variants of X-SNS on the same transfer scores, and its tables and curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xsns_stream.report.figures import INK, PALE_INK, Page, cut, look, plain, titled
from xsns_stream.reproduce.commands import evaluation, gold, restrict_to_scores
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug, task_title
from xsns_stream.reproduce.pages import (
    CAPTION,
    NDCG,
    PAPER_COLUMNS,
    REFERENCE_ROWS,
    evaluation_notes,
    gold_quality,
    not_swept,
    number,
    probability,
    table,
    with_interval,
)
from xsns_stream.reproduce.step import LeftOutError, Step, StepOutputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: {task: evaluation}, with the documents of `evaluate`.
Documents: TypeAlias = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """The section of a page about one task.

    Attributes:
        table: The table of the evaluation.
        remark: A sentence that is shown above the table.
        record: Further entries for the record of the task.
    """

    table: str
    remark: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """Variants of X-SNS that are evaluated on the same transfer scores, task by task.

    Attributes:
        name: The name of the target of `reproduce`; also the name of the folder for its evaluations in `work`.
        variants: Function that returns {label in the tables: step} for a task; the first output of each step is a store
            or a matrix.
        reference: Function that returns the label of the variant with which the others are compared.
        tasks: Function that returns {name: task} of the tasks to run; by default the tasks of the sweeps.
        inputs: Function that returns the steps on which the variants depend.
    """

    name: str
    variants: Callable[[RunConfig, TaskConfig], Mapping[str, Step]]
    reference: Callable[[RunConfig], str]
    tasks: Callable[[RunConfig], Mapping[str, TaskConfig]] = lambda config: config.swept
    inputs: Callable[[RunConfig, TaskConfig], Sequence[Step]] = lambda config, task: ()

    def steps(self, config: RunConfig) -> list[Step]:
        """Return the steps that fine-tune and compute the variants of every task."""
        steps = []
        for task in self.tasks(config).values():
            variants = {step.name: step for step in self.variants(config, task).values()}
            steps += [gold(config, task), *self.inputs(config, task), *variants.values()]
        return steps

    def evaluations(self, config: RunConfig, outputs: StepOutputs) -> list[Step]:
        """Return the steps that compare the variants of each task with its scores."""
        return [self._evaluation(config, task, outputs) for task in self.tasks(config).values()]

    def _evaluation(self, config: RunConfig, task: TaskConfig, outputs: StepOutputs) -> Step:
        scores = gold(config, task)
        return evaluation(
            self._step_name(config, task),
            config.path(self.name, f"{task.name}.json"),
            restrict_to_scores(task, scores, outputs),
            scores,
            self.variants(config, task),
            *("--against", self.reference(config)),
        )

    def _step_name(self, config: RunConfig, task: TaskConfig) -> str:
        return f"{self.name}.{slug(config.model)}.{task.name}.evaluate"

    def documents(self, config: RunConfig, outputs: StepOutputs) -> dict[str, dict[str, Any]]:
        """Return {task: evaluation} of the tasks that were evaluated.

        Raises:
            LeftOutError: No task was evaluated.
        """
        tasks = self.tasks(config)
        read = {name: outputs.document(self._step_name(config, task)) for name, task in tasks.items()}
        documents = {name: document for name, document in read.items() if document is not None}
        if not documents:
            raise LeftOutError(f"no task of {self.name} could be evaluated.")
        return documents

    def page(
        self,
        config: RunConfig,
        outputs: StepOutputs,
        documents: Documents,
        heading: str,
        section: Callable[[str, Mapping[str, Any]], Section],
        ending: str = "",
    ) -> tuple[str, dict[str, Any]]:
        """Return the page of a sweep, and the record of its tasks.

        Args:
            config: The configuration of the run.
            outputs: The outputs of the steps.
            documents: {task: evaluation}.
            heading: Title and introduction of the page.
            section: Function that takes the name and the evaluation of a task, and returns the section.
            ending: The last part of the page.
        """
        tasks = self.tasks(config)
        parts, record = [f"{heading}\n\n"], {}
        for name, document in documents.items():
            sentence, quality = gold_quality(tasks[name], gold(config, tasks[name]), outputs)
            made = section(name, document)
            above = f"{sentence} {made.remark}".rstrip()
            parts.append(f"## {tasks[name].title}\n\n{above}\n\n{made.table}\n")
            record[name] = {"evaluation": document, "gold": quality, **made.record}
        missing = not_swept(config) if tasks == config.swept else ""
        parts += [f"{CAPTION}\n\n", evaluation_notes(documents, task_title), missing, ending]
        return "".join(parts), record


def ranked_with_text(task: TaskConfig) -> tuple[str, ...]:
    """Return the sources and targets of a task that have text; low-resource targets are not included."""
    return tuple(code for code in task.texts if code in (*task.sources, *task.targets))


def value_label(value: float) -> str:
    """Return the name of a variant that is defined by a number, such as a density.

    >>> value_label(0.15), value_label(1024)
    ('0.15', '1024')
    """
    return f"{value:.10g}"


# --------------------------------------------------------------------------------------------------- tables


def metric_table(document: Mapping[str, Any], name: str, more: Mapping[str, Mapping[str, str]]) -> str:
    """Return a table with a row for each predictor of an evaluation; it includes the test against the reference.

    Args:
        document: The evaluation.
        name: The heading of the first column.
        more: {heading of a further column: {predictor: cell}}.
    """
    against = document["against"]
    header = [name, *more, *PAPER_COLUMNS.values()]
    header += [f"NDCG@3 minus {against}", "p (Holm)"] if against else []
    lines = []
    for predictor in document["predictors"]:
        cells = [column.get(predictor["name"], "") for column in more.values()]
        for metric in PAPER_COLUMNS:
            values = predictor["metrics"][metric]
            mean, low, high = (_percent(values[key]) for key in ("mean", "low", "high"))
            cells.append(with_interval(mean, low, high, decimals=1))
        if against:
            test = predictor["metrics"][NDCG].get("against") or {"difference": None, "p_holm": None}
            cells += [number(_percent(test["difference"]), 1, signed=True), probability(test["p_holm"])]
        lines.append([predictor["name"], *cells])
    return table(header, lines)


def best_predictor(document: Mapping[str, Any], metric: str = NDCG) -> str:
    """Return the predictor with the highest mean of a metric; empty if no predictor has a mean."""
    means = {
        predictor["name"]: predictor["metrics"][metric]["mean"]
        for predictor in document["predictors"]
        if predictor["name"] not in REFERENCE_ROWS and predictor["metrics"][metric]["mean"] is not None
    }
    return max(means, key=lambda name: means[name]) if means else ""


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100.0 * value


# --------------------------------------------------------------------------------------------------- curves

_WIDTH, _HEIGHT = 3.5, 2.4
_GAP_X, _GAP_Y = 0.75, 0.75
_COLUMNS: Final = 2
_LEGEND_LINE: Final = 0.22
_LEGEND_COLUMNS: Final = 4


@dataclass(frozen=True)
class Curve:
    """One curve of a panel.

    Attributes:
        name: The name in the legend. Curves of the same name have the same colour in every panel.
        x: The x coordinates, in ascending order.
        mean: The mean at each x coordinate; the curve has a gap where it is NaN.
        low: The lower end of the interval, drawn as a band; no band is drawn where it is NaN.
        high: The upper end of the interval.
        level: The y coordinate of a dotted horizontal line; None for no line.
    """

    name: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    level: float | None = None

    def __post_init__(self) -> None:
        if len({len(self.x), len(self.mean), len(self.low), len(self.high)}) != 1:
            raise ValueError(f"the curve '{self.name}' must have one mean, low and high for each position")


@dataclass(frozen=True)
class Panel:
    """A panel of a figure: curves that share a y axis.

    Attributes:
        title: The name of the quantity on the y axis.
        curves: The curves.
        unit: The unit of the y axis.
    """

    title: str
    curves: tuple[Curve, ...]
    unit: str = "× 100"


@dataclass(frozen=True)
class XAxis:
    """The x axis of every panel.

    Attributes:
        label: The name of the quantity.
        ticks: {position: label}.
        logarithmic: Whether the scale is logarithmic.
        above: {position: label} of a second x axis above the panels; empty for none.
        above_label: The label of the second x axis.
        marked: The position of a thin vertical line, which marks the value that all other tables and figures use.
    """

    label: str
    ticks: Mapping[float, str]
    logarithmic: bool = False
    above: Mapping[float, str] = field(default_factory=dict)
    above_label: str = ""
    marked: float | None = None


def metric_panels(documents: Documents, values: Mapping[str, Sequence[float]]) -> list[Panel]:
    """Return a panel for each metric, with a curve for each task; dotted lines show the metric of a random order.

    Args:
        documents: {task: evaluation}; the predictors are named by :func:`value_label`.
        values: {task: the numbers that define its variants, in ascending order}.
    """
    panels = []
    for metric, title in PAPER_COLUMNS.items():
        curves = []
        for task, document in documents.items():
            metrics = {one["name"]: one["metrics"][metric] for one in document["predictors"]}
            x = [value for value in values[task] if value_label(value) in metrics]
            mean, low, high = (
                tuple(_percent(metrics[value_label(value)][key]) for value in x) for key in ("mean", "low", "high")
            )
            level = _percent(metrics["random"]["mean"]) if "random" in metrics else None
            curves.append(Curve(task_title(task), tuple(x), mean, low, high, level))
        panels.append(Panel(title, tuple(curves)))
    return panels


def curves_figure(panels: Sequence[Panel], x_axis: XAxis, title: str, subtitle: str = "") -> Figure:
    """Draw panels of curves, two in a row, with one legend for all panels.

    Args:
        panels: The panels, at least one.
        x_axis: The x axis of all panels.
        title: The title of the figure.
        subtitle: Smaller text below the title; it may have several lines.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There are no panels.
    """
    if not panels:
        raise ValueError("a figure of curves must have a panel")
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    gap = _GAP_Y + (0.4 if x_axis.above else 0.0)
    rows, columns = -(-len(panels) // _COLUMNS), min(_COLUMNS, len(panels))
    page = Page(columns * (_WIDTH + _GAP_X) - _GAP_X, rows * (_HEIGHT + gap) - gap)
    figure = page.figure()
    for index, panel in enumerate(panels):
        row, column = divmod(index, _COLUMNS)
        axes = page.axes(figure, column * (_WIDTH + _GAP_X), row * (_HEIGHT + gap), _WIDTH, _HEIGHT)
        _draw_panel(axes, panel, x_axis, names)
        if index == 0:
            _draw_legend(axes, names, title, subtitle, 42.0 if x_axis.above else 22.0)
    return figure


def _draw_panel(axes: Axes, panel: Panel, x_axis: XAxis, names: Sequence[str]) -> None:
    if x_axis.logarithmic:
        axes.set_xscale("log")
    # Many bands overlap and are therefore drawn fainter.
    alpha = 0.14 if len(panel.curves) <= 3 else 0.07
    for curve in panel.curves:
        style = look(names.index(curve.name))
        axes.plot(curve.x, curve.mean, linewidth=1.6, markersize=3.4, zorder=3, **style)
        axes.fill_between(curve.x, curve.low, curve.high, color=style["color"], alpha=alpha, linewidth=0, zorder=1)
        if curve.level is not None and math.isfinite(curve.level):
            axes.axhline(curve.level, color=style["color"], linewidth=0.9, linestyle=(0, (1, 2)), zorder=2)
    if x_axis.marked is not None:
        axes.axvline(x_axis.marked, color="#c9ccd1", linewidth=0.9, zorder=0)
    _draw_scales(axes, x_axis)
    axes.set_ylabel(f"{panel.title} ({panel.unit})" if panel.unit else panel.title, fontsize=9, color=INK)
    axes.grid(axis="y", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    plain(axes)


def _draw_scales(axes: Axes, x_axis: XAxis) -> None:
    axes.set_xticks(list(x_axis.ticks), list(x_axis.ticks.values()))
    axes.minorticks_off()
    axes.set_xlabel(x_axis.label, fontsize=9, color=INK)
    if x_axis.above:
        above = axes.secondary_xaxis("top")
        above.set_xticks(list(x_axis.above), list(x_axis.above.values()))
        above.minorticks_off()
        above.tick_params(labelsize=7, labelcolor=PALE_INK, color=PALE_INK, length=2.5)
        above.set_xlabel(x_axis.above_label, fontsize=7.5, color=PALE_INK)
        above.spines["top"].set_visible(False)


def _draw_legend(axes: Axes, names: Sequence[str], title: str, subtitle: str, above: float) -> None:
    """Draw the legend, and the title and subtitle `above` points above the axes of the first panel."""
    from matplotlib.lines import Line2D

    height = _LEGEND_LINE * -(-len(names) // _LEGEND_COLUMNS)
    # Handles are collected from all panels, because the first panel may lack a curve.
    handles = [Line2D([], [], linewidth=1.6, markersize=4, **look(index)) for index in range(len(names))]
    axes.legend(
        handles,
        [cut(name) for name in names],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0 + (above / 72 - 0.05) / _HEIGHT),
        ncols=min(_LEGEND_COLUMNS, max(1, len(names))),
        fontsize=8.5,
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        labelcolor=INK,
        columnspacing=1.4,
        handlelength=1.8,
    )
    titled(axes, title, subtitle, above + 72 * height + 4)
