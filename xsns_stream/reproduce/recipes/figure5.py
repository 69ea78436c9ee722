"""Figure 5: how far the scores of a target spread over sources, task by task."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import number, gold_quality, table
from xsns_stream.reproduce.scores import TargetScores, gold_scores, target_scores
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

if TYPE_CHECKING:
    from xsns_stream.reproduce.figures.panels import BoxPanel

TITLE: Final = "Figure 5: how far transfer spreads over sources"
#: What choosing a source can gain, as the overview calls it.
WORTH: Final[Mapping[str, Callable[[TargetScores], float]]] = {
    "best less lowest": lambda one: one.best - one.worst,
    "best less mean": lambda one: one.best - one.mean,
    "best less English": lambda one: one.best - one.english,
    "itself less best": lambda one: one.own - one.best,
}


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune on every source of every task, test on every target."""
    return [gold(config, task) for task in config.tasks.values()]


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a panel a task, and a line a target.

    Raises:
        LeftOutError: Nothing was fine-tuned.
    """
    from xsns_stream.report.figures import figure_writer
    from xsns_stream.reproduce.figures.panels import boxes_figure

    found = {name: _ordered(config, task, folder) for name, task in config.tasks.items()}
    there = {config.tasks[name]: lines for name, lines in found.items() if lines}
    if not there:
        raise LeftOutError("nothing was fine-tuned for figure 5.")
    parts = [
        f"# {TITLE}\n\n![spread of scores over sources](figure5.svg)\n\nEach box: the scores of one target over the "
        "sources other than itself, mean over fine-tuning seeds; quartiles, whiskers to the lowest and the highest. "
        "Diamond: the model fine-tuned on the target itself. Dash: the answer that needs no model. What choosing a "
        f"source is worth, mean over the targets that have both scores:\n\n{_overview(there)}\n"
    ]
    panels, record = [], {}
    for task, lines in there.items():
        scores = gold_scores(gold(config, task))
        sentence, numbers = gold_quality(task, gold(config, task), folder)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{_lines(lines)}\n")
        panels.append(_panel(task, lines, scores.metric, scores.unit))
        record[task.name] = {"gold": numbers, "targets": {one.target: _record(one) for one in lines}}
    title, subtitle = "Spread of transfer over sources", "a box a target: the scores of all sources but itself"
    return Result("".join(parts), {"tasks": record}, figure_writer(partial(boxes_figure, panels, title, subtitle)))


def _ordered(config: RunConfig, task: TaskConfig, folder: Folder) -> list[TargetScores]:
    """Return the targets that have other sources, by their median, highest first."""
    lines = [one for one in target_scores(config, task, folder, task.targets) or () if one.others]
    return sorted(lines, key=lambda one: (-statistics.median(one.values), one.target))


def _panel(task: TaskConfig, lines: Sequence[TargetScores], metric: str, unit: str) -> BoxPanel:
    from xsns_stream.report.figures import measured_in
    from xsns_stream.reproduce.figures.panels import Box, BoxPanel

    boxes = tuple(Box(one.target, one.values, one.own, one.trivial) for one in lines)
    return BoxPanel(task.title, boxes, measured_in(metric, unit))


def _overview(there: Mapping[TaskConfig, Sequence[TargetScores]]) -> str:
    lines = []
    for task, found in there.items():
        means = []
        for gain in WORTH.values():
            values = [value for value in map(gain, found) if math.isfinite(value)]
            means.append(number(statistics.fmean(values), 1) if values else number(None))
        lines.append([task.title, str(len(found)), *means])
    return table(["task", "targets", *WORTH], lines)


def _lines(found: Sequence[TargetScores]) -> str:
    header = [
        *("target", "best source", "sources", "lowest", "quarter", "median", "three quarters", "highest"),
        *("itself", "no model"),
    ]
    lines = [
        [
            one.target,
            " ".join(one.best_sources),
            str(len(one.others)),
            *(number(value, 1) for value in (*_five(one.values), one.own, one.trivial)),
        ]
        for one in found
    ]
    return table(header, lines, text_columns=2)


def _five(values: Sequence[float]) -> tuple[float, ...]:
    """Return lowest, quartiles and highest."""
    import numpy as np

    return tuple(float(value) for value in np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))


def _record(one: TargetScores) -> dict[str, Any]:
    return {"scores": dict(one.others), "own": one.own, "trivial": one.trivial}


RECIPE: Final = Recipe("figure5", TITLE, steps, render)
