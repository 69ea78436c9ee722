"""Figure 7: low-resource targets: what the predicted source gives, against English."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.reproduce.commands import XSNS, evaluation, gold, predictors
from xsns_stream.reproduce.comparing import MOST_LACKING, known, gold_and_predictors, restrict_to_scores
from xsns_stream.reproduce.config import TITLES, RunConfig, TaskConfig, slug
from xsns_stream.reproduce.pages import bullets, evaluation_notes, number, probability, table, with_interval
from xsns_stream.reproduce.scores import ENGLISH, PairedMean, TargetScores, as_record, paired_means, target_scores
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

if TYPE_CHECKING:
    from xsns_stream.reproduce.figures.lines import ChoicePanel

TITLE: Final = "Figure 7: sources for low-resource targets"
#: What the gold scores say by themselves.
BEST: Final = "best source"
MEAN: Final = "mean of the sources"
_SOURCE_MEAN: Final = "source-mean"


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune, and make every predictor of the tasks that have low-resource targets.

    Raises:
        LeftOutError: No task has any.
    """
    tasks = _tasks(config)
    if not tasks:
        raise LeftOutError("no task has low-resource targets with text.", "name some with --low-resource.")
    return [step for task in tasks.values() for step in gold_and_predictors(config, task)]


def _tasks(config: RunConfig) -> dict[str, TaskConfig]:
    return {name: task for name, task in config.tasks.items() if _targets(task)}


def _targets(task: TaskConfig) -> tuple[str, ...]:
    """Return the low-resource targets that predictors can say something of."""
    return tuple(code for code in task.low_resource if code in task.texts)


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Hold the predictors that know these targets against the scores."""
    return [step for task in _tasks(config).values() for step in _held(config, task, folder)]


def _held(config: RunConfig, task: TaskConfig, folder: Folder) -> list[Step]:
    """Return the evaluation; nothing where no target was tested, or no predictor is there."""
    scores, output = gold(config, task), config.path("figure7", f"{task.name}.json")
    low = restrict_to_scores(replace(task, targets=_targets(task)), scores, folder)
    there = {shown: step for shown, step in predictors(config, task).items() if folder.done(step)}
    if not low.sources or not low.targets:
        return []
    found = {shown: step for shown, step in there.items() if known(step, low)[2] >= 1 - MOST_LACKING}
    if not found:
        return []
    return [evaluation(_name(config, task), output, low, scores, found)]


def _name(config: RunConfig, task: TaskConfig) -> str:
    return f"figure7.{slug(config.model)}.{task.name}.evaluate"


@dataclass(frozen=True)
class _Found:
    """What a task's low-resource targets get.

    Attributes:
        lines: A target each.
        base: The source that choices are held against.
        instead: Why it is not English; empty where it is.
        followed: {predictor: {target: the sources that it puts first}}.
        means: {predictor, or what gold scores say: mean over targets, against the base}.
    """

    lines: tuple[TargetScores, ...]
    base: str
    instead: str
    followed: Mapping[str, Mapping[str, Sequence[str]]]
    means: Mapping[str, PairedMean]


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a panel a task, and tables by predictor and by target.

    Raises:
        LeftOutError: No task came to its end.
    """
    from xsns_stream.report.figures import figure_writer
    from xsns_stream.reproduce.figures.lines import choices_figure

    tasks = _tasks(config)
    documents = {name: folder.document(_name(config, task)) for name, task in tasks.items()}
    there = {name: document for name, document in documents.items() if document is not None}
    found = {name: one for name, document in there.items() if (one := _found(config, tasks[name], folder, document))}
    if not found:
        raise LeftOutError("no low-resource target could be evaluated.")
    parts = [
        f"# {TITLE}\n\n![the predicted source against English](figure7.svg)\n\nTargets outside the pool, on which "
        "nothing was fine-tuned. The source that a predictor puts first (by the mean of its similarities over Fisher "
        "seeds), and what that source gives, mean over fine-tuning seeds; against English, target by target. p: "
        "sign-flip test over targets, Holm's correction over the lines. *source-mean* picks the source that does best "
        "on the other low-resource targets; best and mean know the scores.\n\n"
    ]
    record, panels = {}, []
    for name, one in found.items():
        parts.append(_section(tasks[name], one))
        panels.append(_panel(tasks[name], one, there[name]))
        record[name] = _record(one, there[name])
    parts += [evaluation_notes({name: there[name] for name in found}, TITLES.__getitem__), _papers(found)]
    title, subtitle = "Low-resource targets: the predicted source against English", f"at the end: the source of {XSNS}"
    draw = partial(choices_figure, panels, XSNS, title, subtitle)
    return Result("".join(parts), {"tasks": record}, figure_writer(draw))


def _found(config: RunConfig, task: TaskConfig, folder: Folder, document: Mapping[str, Any]) -> _Found | None:
    """Return what the targets get; None where none has another source, or X-SNS is not there."""
    lines = [one for one in target_scores(config, task, folder, _targets(task)) or () if one.others]
    chosen = {one["target"]: one["followed"] for one in document["targets"]}
    lines = [one for one in lines if one.target in chosen]
    names = [one["name"] for one in document["predictors"] if not one["trivial"]]
    if not lines or XSNS not in names:
        return None
    names += [_SOURCE_MEAN] if any(one["name"] == _SOURCE_MEAN for one in document["predictors"]) else []
    base, instead = _base(task, folder.document(gold(config, task)))
    followed = {name: {one.target: chosen[one.target].get(name, []) for one in lines} for name in names}
    shown = _shown(base)
    rows = {shown: [one.others.get(base, math.nan) for one in lines]}
    rows |= {name: [one.of(followed[name][one.target]) for one in lines] for name in names}
    rows |= {MEAN: [one.mean for one in lines], BEST: [one.best for one in lines]}
    return _Found(tuple(lines), base, instead, followed, paired_means(rows, shown))


def _base(task: TaskConfig, document: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return the source to hold against: English, or else the one with most training examples, and why."""
    if ENGLISH in task.sources:
        return ENGLISH, ""
    runs = (document or {}).get("result", {}).get("runs") or []
    sizes = {run["source"]: run["examples"] for run in reversed(runs) if run.get("examples") is not None}
    largest = max(sizes, key=lambda code: sizes[code]) if sizes else task.sources[0]
    count = f", {sizes[largest]:,} examples" if sizes else ""
    return largest, f"English is no source here: the largest, {largest}{count}, stands in its place."


def _shown(code: str) -> str:
    from xsns_stream.report import shown_name

    return shown_name(code)


def _section(task: TaskConfig, one: _Found) -> str:
    """Return a line for each predictor, and a line for each target."""
    base = _shown(one.base)
    header = ["source", "targets", "mean score", f"less {base}", "p (Holm)", f"above {base}", "level", "below"]
    means = [
        [
            name,
            str(mean.targets),
            with_interval(mean.mean, mean.low, mean.high),
            number(None) if name == base else with_interval(mean.difference, mean.difference_low, mean.difference_high),
            probability(mean.p),
            *((str(count) for count in (mean.better, mean.level, mean.worse)) if name != base else ("–",) * 3),
        ]
        for name, mean in one.means.items()
    ]
    lines = [
        [
            line.target,
            " ".join(one.followed[XSNS][line.target]) or "–",
            " ".join(line.best_sources),
            *(
                number(value, 1)
                for value in (
                    *(line.of(one.followed[XSNS][line.target]), line.others.get(one.base), line.best, line.mean),
                    line.trivial,
                )
            ),
        ]
        for line in one.lines
    ]
    heads = ["target", f"source of {XSNS}", "best source", XSNS, base, "best", "mean", "no model"]
    won = one.means[XSNS]
    said = (
        f"{XSNS} is above {base} on {won.better} of {won.better + won.level + won.worse} targets, level on {won.level} "
        f"and below on {won.worse}."
    )
    mute = [code for code in task.low_resource if code not in _targets(task)]
    notes = bullets([one.instead, f"{', '.join(mute)}: there is no text to measure." if mute else ""])
    above = f"{said}\n\n{notes}\n" if notes else f"{said}\n\n"
    return f"## {task.title}\n\n{above}{table(header, means)}\n{table(heads, lines, text_columns=3)}\n"


def _panel(task: TaskConfig, one: _Found, document: Mapping[str, Any]) -> ChoicePanel:
    from xsns_stream.report.figures import measured_in
    from xsns_stream.reproduce.figures.lines import ChoiceLine, ChoicePanel

    lines = tuple(
        ChoiceLine(
            line.target,
            line.others.get(one.base, math.nan),
            line.of(one.followed[XSNS][line.target]),
            line.best,
            line.mean,
            " ".join(one.followed[XSNS][line.target]),
            line.trivial,
        )
        for line in one.lines
    )
    return ChoicePanel(task.title, lines, measured_in(document["metric"], document["unit"]), _shown(one.base))


def _record(one: _Found, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "base": one.base,
        "means": {name: as_record(mean) for name, mean in one.means.items()},
        "targets": {
            line.target: {
                "scores": dict(line.others),
                "trivial": line.trivial,
                "followed": {name: list(sources[line.target]) for name, sources in one.followed.items()},
            }
            for line in one.lines
        },
        "evaluation": document,
    }


def _papers(found: Mapping[str, _Found]) -> str:
    if "ner" not in found:
        return ""
    said = "NER on 15 targets, XLM-R base: the source of X-SNS is above English on 11 of them, by 1.8 F1 on average."
    return f"\n## The paper's numbers\n\n{said}\n"


RECIPE: Final = Recipe("figure7", TITLE, steps, render, then)
