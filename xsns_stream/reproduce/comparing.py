"""All predictors against one model's scores: which are compared together, and which on what they know.

A pair that one predictor lacks is a candidate for none. A predictor that lacks many languages would so decide on which
languages all others are judged; it is compared with X-SNS alone, on the languages that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from xsns_stream.reproduce.commands import XSNS, evaluation, gold, predictors
from xsns_stream.reproduce.setting import Setting, TaskSetting, slug
from xsns_stream.reproduce.step import Folder, Step

#: Share of a task's pairs that a predictor may lack and be compared with the others.
MOST_LACKING: Final = 0.1
#: Sources and targets that a predictor must know to be compared at all.
FEWEST_KNOWN: Final = 3


@dataclass(frozen=True)
class Sorted:
    """A task's predictors, by how much of its pool they know.

    Attributes:
        together: {name in the tables: step}, compared with one another; X-SNS is among them.
        apart: {name: step} of those that lack many languages.
        left_out: {name: why} of those that know nearly none, and of those that failed.
    """

    together: Mapping[str, Step]
    apart: Mapping[str, Step]
    left_out: Mapping[str, str]


def measured(setting: Setting, task: TaskSetting, model: str | None = None) -> list[Step]:
    """Return the steps that fine-tune a model on a task and make all predictors of it."""
    return [gold(setting, task, model), *predictors(setting, task, model).values()]


def held(setting: Setting, task: TaskSetting, folder: Folder, model: str | None = None) -> list[Step]:
    """Return the steps that hold the predictors against the scores, the one of most of them first."""
    model = model or setting.model
    found, scores = sort_predictors(setting, task, folder, model), gold(setting, task, model)
    if XSNS not in found.together:
        return []
    groups = {"": dict(found.together)}
    groups |= {f"-{shown}": {shown: step, XSNS: found.together[XSNS]} for shown, step in found.apart.items()}
    return [
        evaluation(
            f"{slug(model)}.{task.name}.evaluate{ending}",
            setting.place(slug(model), task.name, f"evaluate{ending}.json"),
            scored(task, scores, folder),
            scores,
            group,
            *("--against", XSNS),
        )
        for ending, group in groups.items()
    ]


def scored(task: TaskSetting, scores: Step, folder: Folder) -> TaskSetting:
    """Return the task with the sources and targets that have scores, once these are there: some may have failed."""
    from xsns_stream.gold import read_scores

    if not folder.done(scores):
        return task
    found = read_scores(scores.output)
    sources = tuple(code for code in task.sources if code in found.sources)
    targets = tuple(code for code in task.targets if code in found.targets)
    return replace(task, sources=sources, targets=targets)


def sort_predictors(setting: Setting, task: TaskSetting, folder: Folder, model: str | None = None) -> Sorted:
    """Sort the predictors by how much of the task's pool they know; what is not made yet is taken to know all."""
    together, apart, left_out = {}, {}, {}
    for shown, step in predictors(setting, task, model).items():
        sources, targets, share = known(step, task) if folder.done(step) else (None, None, 1.0)
        if why := folder.why(step):
            left_out[shown] = why
        elif sources is None or targets is None or share >= 1 - MOST_LACKING:
            together[shown] = step
        elif min(sources, targets) < FEWEST_KNOWN:
            left_out[shown] = (
                f"it knows {sources} of {len(task.sources)} sources, {targets} of {len(task.targets)} targets."
            )
        else:
            apart[shown] = step
    return Sorted(together, apart, left_out)


def known(step: Step, task: TaskSetting) -> tuple[int | None, int | None, float]:
    """Return how many sources and targets of a pool a predictor knows, and of what share of its pairs a value.

    Of a store, whose rows are counted when it is compared, the numbers are not known.
    """
    import numpy as np

    from xsns_stream.languages import counterparts
    from xsns_stream.matrices import read_matrix

    if step.output.is_dir():
        return None, None, 1.0
    matrix = read_matrix(str(step.output))
    rows, columns = counterparts(task.sources, matrix.sources), counterparts(task.targets, matrix.targets)
    pairs = [(source, target) for source in rows for target in columns if source != target]
    there = [pair for pair in pairs if np.isfinite(matrix[rows[pair[0]], columns[pair[1]]])]
    asked = sum(source != target for source in task.sources for target in task.targets)
    return len({source for source, _ in there}), len({target for _, target in there}), len(there) / asked
