"""Recipe of low-resource targets: the score of the predicted source, compared with English (figure 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.report import shown_name
from xsns_stream.report.figures import (
    COLOURS,
    GREY,
    INK,
    QUIET_INK,
    axis_label,
    cut,
    figure_writer,
    finish_lines,
    language,
    lines_height,
    stacked_axes,
    titled,
)
from xsns_stream.reproduce.commands import (
    MAX_MISSING_SHARE,
    XSNS,
    coverage,
    evaluation,
    gold,
    gold_and_predictors,
    predictors,
    restrict_to_scores,
)
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug, task_title
from xsns_stream.reproduce.pages import bullets, evaluation_notes, number, table
from xsns_stream.reproduce.scores import (
    ENGLISH,
    PairedMean,
    TargetScores,
    paired_mean_cells,
    paired_means,
    target_scores,
)
from xsns_stream.reproduce.step import LeftOutError, Recipe, Result, Step, StepOutputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLE: Final = "Figure 7: sources for low-resource targets"
#: Rows that are computed from the gold scores.
BEST: Final = "best source"
MEAN: Final = "mean of the sources"
_SOURCE_MEAN: Final = "source-mean"


def _steps(config: RunConfig) -> Sequence[Step]:
    """Return the steps that fine-tune models and compute all predictors, for the tasks with low-resource targets.

    Raises:
        LeftOutError: No task has low-resource targets.
    """
    tasks = _tasks(config)
    if not tasks:
        raise LeftOutError("no task has low-resource targets with text.", "name some with --low-resource.")
    return [step for task in tasks.values() for step in gold_and_predictors(config, task)]


def _tasks(config: RunConfig) -> dict[str, TaskConfig]:
    return {name: task for name, task in config.tasks.items() if _targets(task)}


def _targets(task: TaskConfig) -> tuple[str, ...]:
    """Return the low-resource targets with text, for which predictors can rank sources."""
    return tuple(code for code in task.low_resource if code in task.texts)


def _evaluations(config: RunConfig, outputs: StepOutputs) -> Sequence[Step]:
    return [step for task in _tasks(config).values() for step in _evaluation(config, task, outputs)]


def _evaluation(config: RunConfig, task: TaskConfig, outputs: StepOutputs) -> list[Step]:
    """Return, in a list, the step that compares the predictors with values for the targets; empty if there are none."""
    scores = gold(config, task)
    low = restrict_to_scores(replace(task, targets=_targets(task)), scores, outputs)
    done = {label: step for label, step in predictors(config, task).items() if outputs.done(step)}
    if not low.sources or not low.targets:
        return []
    compared = {label: step for label, step in done.items() if coverage(step, low)[2] >= 1 - MAX_MISSING_SHARE}
    if not compared:
        return []
    output = config.path("figure7", f"{task.name}.json")
    return [evaluation(_step_name(config, task), output, low, scores, compared)]


def _step_name(config: RunConfig, task: TaskConfig) -> str:
    return f"figure7.{slug(config.model)}.{task.name}.evaluate"


@dataclass(frozen=True)
class _TaskResult:
    """The results of a task for its low-resource targets.

    Attributes:
        rows: The scores of each target.
        base: The source with which the predicted sources are compared.
        base_note: The reason why `base` is not English; empty if it is English.
        chosen: {predictor: {target: the sources that the predictor ranks first}}.
        means: {row of the table: mean over targets, compared with the base}. A row is a predictor, or a reference
            that is computed from the gold scores.
    """

    rows: tuple[TargetScores, ...]
    base: str
    base_note: str
    chosen: Mapping[str, Mapping[str, Sequence[str]]]
    means: Mapping[str, PairedMean]


def render(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page; each task has a panel of the figure, a table by predictor, and a table by target.

    Raises:
        LeftOutError: No task was evaluated.
    """
    tasks = _tasks(config)
    read = {name: outputs.document(_step_name(config, task)) for name, task in tasks.items()}
    documents = {name: document for name, document in read.items() if document is not None}
    made = {name: _task_result(config, tasks[name], outputs, document) for name, document in documents.items()}
    results = {name: result for name, result in made.items() if result is not None}
    if not results:
        raise LeftOutError("no low-resource target could be evaluated.")
    parts = [
        f"# {TITLE}\n\n![the predicted source against English](figure7.svg)\n\nThe targets are outside the pool, and "
        "no model was fine-tuned on them. Each predictor chooses the source with the highest mean similarity over "
        "Fisher seeds. The tables show the score of this source, as a mean over fine-tuning seeds, and compare it with "
        "English target by target. p is the probability of a sign-flip test over targets, with Holm's correction over "
        "the lines. *source-mean* chooses the source with the highest mean on the other low-resource targets. *Best "
        "source* and *mean of the sources* use the scores themselves.\n\n"
    ]
    record, panels = {}, []
    for name, result in results.items():
        parts.append(_section(tasks[name], result))
        panels.append(_panel(tasks[name], result, documents[name]))
        record[name] = _record(result, documents[name])
    notes = evaluation_notes({name: documents[name] for name in results}, task_title)
    parts += [notes, _paper_finding(results)]
    title, subtitle = "Low-resource targets: the predicted source against English", f"at the end: the source of {XSNS}"
    draw = partial(choices_figure, panels, XSNS, title, subtitle)
    return Result("".join(parts), {"tasks": record}, figure_writer(draw))


def _task_result(
    config: RunConfig, task: TaskConfig, outputs: StepOutputs, document: Mapping[str, Any]
) -> _TaskResult | None:
    """Return the scores of the targets; None if no target has another source, or X-SNS was not evaluated."""
    first = {one["target"]: one["followed"] for one in document["targets"]}
    scored = target_scores(config, task, outputs, _targets(task)) or ()
    rows = [row for row in scored if row.others and row.target in first]
    names = [one["name"] for one in document["predictors"] if not one["trivial"]]
    if not rows or XSNS not in names:
        return None
    names += [_SOURCE_MEAN] if any(one["name"] == _SOURCE_MEAN for one in document["predictors"]) else []
    base, base_note = _base_source(task, outputs.document(gold(config, task)))
    chosen = {name: {row.target: first[row.target].get(name, []) for row in rows} for name in names}
    label = shown_name(base)
    values = {label: [row.others.get(base, math.nan) for row in rows]}
    values |= {name: [row.mean_of(chosen[name][row.target]) for row in rows] for name in names}
    values |= {MEAN: [row.mean for row in rows], BEST: [row.best for row in rows]}
    return _TaskResult(tuple(rows), base, base_note, chosen, paired_means(values, label))


def _base_source(task: TaskConfig, document: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return English and an empty text, or another source and a sentence that explains why.

    If English is not a source of the task, the source with the most training examples is returned.
    """
    if ENGLISH in task.sources:
        return ENGLISH, ""
    runs = (document or {}).get("result", {}).get("runs") or []
    sizes = {run["source"]: run["examples"] for run in reversed(runs) if run.get("examples") is not None}
    largest = max(sizes, key=lambda code: sizes[code]) if sizes else task.sources[0]
    count = f" ({sizes[largest]:,} examples)" if sizes else ""
    return largest, f"English is not a source here; the largest source, {largest}{count}, is used instead."


def _section(task: TaskConfig, result: _TaskResult) -> str:
    """Return two Markdown tables: the rows of the first are predictors, the rows of the second are targets."""
    base = shown_name(result.base)
    header = ["source", "targets", "mean score", f"less {base}", "p (Holm)", f"above {base}", "level", "below"]
    means = [paired_mean_cells(name, mean, reference=name == base) for name, mean in result.means.items()]
    lines = []
    for row in result.rows:
        chosen = result.chosen[XSNS][row.target]
        values = (row.mean_of(chosen), row.others.get(result.base), row.best, row.mean, row.trivial)
        sources = (" ".join(chosen) or "–", " ".join(row.best_sources))
        lines.append([row.target, *sources, *(number(value, 1) for value in values)])
    columns = ["target", f"source of {XSNS}", "best source", XSNS, base, "best", "mean", "no model"]
    ours = result.means[XSNS]
    sentence = (
        f"{XSNS} is above {base} on {ours.better} of {ours.better + ours.level + ours.worse} targets, level on "
        f"{ours.level} and below on {ours.worse}."
    )
    without_text = [code for code in task.low_resource if code not in _targets(task)]
    missing = f"{', '.join(without_text)}: there is no text to measure." if without_text else ""
    notes = bullets([result.base_note, missing])
    above = f"{sentence}\n\n{notes}\n" if notes else f"{sentence}\n\n"
    return f"## {task.title}\n\n{above}{table(header, means)}\n{table(columns, lines, text_columns=3)}\n"


def _panel(task: TaskConfig, result: _TaskResult, document: Mapping[str, Any]) -> ChoicePanel:
    lines = tuple(
        ChoiceLine(
            row.target,
            row.others.get(result.base, math.nan),
            row.mean_of(result.chosen[XSNS][row.target]),
            row.best,
            row.mean,
            " ".join(result.chosen[XSNS][row.target]),
            row.trivial,
        )
        for row in result.rows
    )
    return ChoicePanel(task.title, lines, axis_label(document["metric"], document["unit"]), shown_name(result.base))


def _record(result: _TaskResult, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "base": result.base,
        "means": {name: dict(vars(mean)) for name, mean in result.means.items()},
        "targets": {
            row.target: {
                "scores": dict(row.others),
                "trivial": row.trivial,
                "followed": {name: list(sources[row.target]) for name, sources in result.chosen.items()},
            }
            for row in result.rows
        },
        "evaluation": document,
    }


def _paper_finding(results: Mapping[str, _TaskResult]) -> str:
    if "ner" not in results:
        return ""
    sentence = (
        "On NER with XLM-R base and 15 targets, the source of X-SNS is above English on 11 targets, and by 1.8 F1 on "
        "average."
    )
    return f"\n## The paper's numbers\n\n{sentence}\n"


# -------------------------------------------------------------------------------------------------- the figure

_BETTER, _WORSE = COLOURS[2], COLOURS[1]


@dataclass(frozen=True)
class ChoiceLine:
    """The line of one target in the figure.

    Attributes:
        label: The code of the target.
        base: The score of the source with which the choice is compared.
        chosen: The score of the chosen source.
        best: The score of the best source.
        mean: The mean score over all sources.
        choice: The code of the chosen source, which is written at the end of the line.
        trivial: The score of the trivial answer; NaN if unknown.
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
    """One panel of the figure: a task, with a horizontal line for each target.

    Attributes:
        title: The task.
        lines: The lines from top to bottom, at least one.
        label: The label of the x axis.
        base: The name, for the legend, of the source with which the choice is compared.
    """

    title: str
    lines: tuple[ChoiceLine, ...]
    label: str
    base: str


def choices_figure(panels: Sequence[ChoicePanel], chooser: str, title: str, subtitle: str = "") -> Figure:
    """Draw, for each target, the scores of the chosen, the fixed and the best source, and the mean over sources.

    Args:
        panels: The panels, at least one; they are placed one below the other.
        chooser: The name of the predictor that chooses, for the legend.
        title: The title of the figure.
        subtitle: Text below the title, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There are no panels.
    """
    figure, all_axes = stacked_axes([len(panel.lines) for panel in panels])
    for panel, axes in zip(panels, all_axes, strict=True):
        _draw_choices(axes, panel)
        titled(axes, panel.title, above=6, size=9.5)
    bases = list(dict.fromkeys(panel.base for panel in panels))
    _draw_legend(all_axes[0], " or ".join(map(cut, bases)), cut(chooser), lines_height(len(panels[0].lines)))
    titled(all_axes[0], title, subtitle, above=66)
    return figure


def _draw_choices(axes: Axes, panel: ChoicePanel) -> None:
    y = np.arange(len(panel.lines))
    base, chosen, best, mean, trivial = (
        np.array([getattr(line, name) for line in panel.lines], np.float64)
        for name in ("base", "chosen", "best", "mean", "trivial")
    )
    for mask, colour in ((chosen > base, _BETTER), (chosen < base, _WORSE)):
        axes.hlines(y[mask], base[mask], chosen[mask], color=colour, linewidth=2.0, alpha=0.55, zorder=2)
    for values, style in zip((trivial, mean, best, base, chosen), _marks(), strict=True):
        axes.scatter(values, y, **style)
    # The code of the chosen source is written to the right of the axes, where there are no marks.
    for index, line in enumerate(panel.lines):
        axes.annotate(
            cut(line.choice),
            (1.0, index),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=QUIET_INK,
            annotation_clip=False,
        )
    axes.set_yticks(y, [language(line.label) for line in panel.lines])
    finish_lines(axes, len(panel.lines), panel.label)


def _marks() -> tuple[dict[str, Any], ...]:
    """Return the marker styles of the trivial answer, the mean, and the best, the fixed and the chosen source."""
    return (
        {"s": 17, "marker": "x", "color": GREY, "linewidths": 0.9, "zorder": 1},
        {"s": 30, "marker": "|", "color": INK, "linewidths": 1.1, "zorder": 3},
        {"s": 30, "marker": "D", "facecolors": "none", "edgecolors": GREY, "linewidths": 1, "zorder": 3},
        {"s": 30, "marker": "o", "color": GREY, "linewidths": 0, "zorder": 4},
        {"s": 34, "marker": "o", "color": COLOURS[0], "linewidths": 0, "zorder": 5},
    )


def _draw_legend(axes: Axes, base: str, chooser: str, height: float) -> None:
    names = ("no model", "mean of the sources", "best source", base, chooser)
    handles = [axes.scatter([], [], **style) for style in _marks()]
    axes.legend(
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0 + 27 / 72 / height),
        ncols=3,
        fontsize=8,
        frameon=False,
        borderaxespad=0.0,
        borderpad=0.0,
        labelcolor=INK,
        handletextpad=0.3,
        columnspacing=1.2,
    )


RECIPES: Final = {"figure7": Recipe("figure7", TITLE, _steps, render, _evaluations)}
