"""Figure 1: what each source gives to each target, on NER."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import number, gold_quality, table
from xsns_stream.reproduce.scores import TargetScores, gold_scores, target_scores
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

if TYPE_CHECKING:
    from xsns_stream.reproduce.figures.panels import ScoreGrid
    from xsns_stream.types.transfer_scores import TransferScores

TITLE: Final = "Figure 1: transfer by source"
#: The paper's task; another takes its place where there are no data for it.
TASK: Final = "ner"


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune on every source, test on every target."""
    return [gold(config, _task(config))]


def _task(config: RunConfig) -> TaskConfig:
    return config.tasks.get(TASK) or next(iter(config.tasks.values()))


def render(config: RunConfig, folder: Folder) -> Result:
    """Return the grid of scores, and a line a target.

    Raises:
        LeftOutError: Nothing was fine-tuned.
    """
    from xsns_stream.report.figures import figure_writer
    from xsns_stream.reproduce.figures.panels import grid_figure

    task = _task(config)
    found = target_scores(config, task, folder, task.targets)
    if not found:
        raise LeftOutError(f"nothing was fine-tuned for {task.title}.", folder.why(gold(config, task)))
    scores = gold_scores(gold(config, task))
    grid = _grid(scores, found)
    sentence, numbers = gold_quality(task, gold(config, task), folder)
    caption = (
        f"{task.title}: what a model fine-tuned on one language (lines) scores on another (columns), mean over "
        "fine-tuning seeds. A frame is round a language's own score, a dot marks the best other source of a target. "
        "Sources stand by their mean over other targets, best first; targets in the same order, then the others."
    )
    instead = "" if task.name == TASK else " The paper's figure is of NER, of which there are no data here."
    record = {
        "task": task.name,
        "metric": scores.metric,
        "unit": scores.unit,
        "sources": list(grid.sources),
        "targets": list(grid.targets),
        "scores": grid.values.tolist(),
        "gold": numbers,
    }
    title = f"{task.title}: transfer by source"
    subtitle = "frame: the language itself · dot: best other source of a target"
    return Result(
        f"# {TITLE}\n\n![{task.title} by source](figure1.svg)\n\n{caption}{instead}\n\n{sentence}\n\n{_lines(found)}",
        record,
        figure_writer(partial(grid_figure, grid, title, subtitle)),
    )


def _grid(scores: TransferScores, found: Sequence[TargetScores]) -> ScoreGrid:
    """Return the scores in the order in which they are drawn."""
    import numpy as np

    from xsns_stream.report.figures import measured_in
    from xsns_stream.reproduce.figures.panels import ScoreGrid

    targets = [one.target for one in found]
    means = {source: _mean([one.others[source] for one in found if source in one.others]) for source in scores.sources}
    sources = sorted(means, key=lambda source: (-means[source], source))
    ordered = [source for source in sources if source in targets] + [code for code in targets if code not in sources]
    values = scores.restricted(sources, ordered).values
    own = np.equal(np.array(sources)[:, None], np.array(ordered)[None, :])
    return ScoreGrid(
        tuple(sources),
        tuple(ordered),
        values,
        own,
        measured_in(scores.metric, scores.unit),
        decimals=0 if scores.unit == "percent" else 2,
    )


def _mean(values: Sequence[float]) -> float:
    """Return the mean; below everything where there is none, so that it sorts last."""
    return math.fsum(values) / len(values) if values else -math.inf


def _lines(found: Sequence[TargetScores]) -> str:
    header = ["target", "best other source", "its score", "mean of others", "lowest", "English", "itself", "no model"]
    lines = [
        [
            one.target,
            " ".join(one.best_sources),
            *(number(value, 1) for value in (one.best, one.mean, one.worst, one.english, one.own, one.trivial)),
        ]
        for one in found
    ]
    return table(header, lines, text_columns=2)


RECIPE: Final = Recipe("figure1", TITLE, steps, render)
