"""Figure 4: three sources at once, as each predictor picks them for a target.

Which sources are fine-tuned on together is known only once the predictors are: that is the second stage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.languages import mixture
from xsns_stream.reproduce.commands import XSNS, gold, predictors, tuning
from xsns_stream.reproduce.comparing import scored
from xsns_stream.reproduce.config import Setting, TaskSetting, slug
from xsns_stream.reproduce.pages import bullets, number, probability, table, with_interval
from xsns_stream.reproduce.scores import (
    DRAWS,
    TOGETHER,
    PairedMean,
    as_record,
    best_alone,
    central,
    drawn,
    first,
    gold_scores,
    of_seeds,
    paired_means,
    spread,
)
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

if TYPE_CHECKING:
    from xsns_stream.reproduce.figures.lines import MeanLine
    from xsns_stream.types.transfer_scores import TransferScores

TITLE: Final = "Figure 4: three sources at once"
_RANDOM: Final = "3 at random"
_CENTRAL: Final = "English, 2 most central"
_ORACLE: Final = "3 that are best alone"
_BEST: Final = "best source alone"
_ENGLISH: Final = "English alone"
_ALONE: Final = f"{XSNS}, one source"
_PAPERS: Final = "XLM-R base, NER and POS: three sources of X-SNS are better than three of any baseline."
#: Rows that are there to compare with.
_REFERENCES: Final = (_RANDOM, _CENTRAL, _ORACLE, _ALONE, _ENGLISH, _BEST)


@dataclass(frozen=True)
class _Cost:
    """How much of the experiment a preset runs: every triple is a model to fine-tune.

    Attributes:
        tasks: Those that are run, of the ones that there are; another where there is none of them.
        targets: Most targets of a task; None takes all.
        seeds: Most seeds of fine-tuning; None takes all.
    """

    tasks: tuple[str, ...]
    targets: int | None
    seeds: int | None


_COSTS: Final[Mapping[str, _Cost]] = {
    "embedded": _Cost(("pos",), 6, 1),
    "paper": _Cost(("ner", "pos"), None, None),
}

#: {method: {target: the sets of sources that it picks}}.
Picks = dict[str, dict[str, tuple[tuple[str, ...], ...]]]


def steps(setting: Setting) -> Sequence[Step]:
    """Fine-tune on single sources, make every predictor, and compare sub-networks.

    Raises:
        LeftOutError: No task has so many sources.
    """
    tasks = _tasks(setting)
    if not tasks:
        raise LeftOutError(f"no task has more than {TOGETHER} sources to pick {TOGETHER} from.", "give more languages.")
    return [step for task in tasks for step in (gold(setting, task), *_predictors(setting, task).values())] + [
        _matrix(setting, task) for task in tasks
    ]


def _tasks(setting: Setting) -> list[TaskSetting]:
    enough = {name: task for name, task in setting.tasks.items() if len(task.sources) > TOGETHER}
    wanted = [enough[name] for name in _COSTS[setting.preset].tasks if name in enough]
    return wanted or list(enough.values())[:1]


def _targets(setting: Setting, task: TaskSetting) -> tuple[str, ...]:
    """Return the task's targets, or as many as the preset has, evenly from their order."""
    most = _COSTS[setting.preset].targets
    if most is None or len(task.targets) <= most:
        return task.targets
    return tuple(task.targets[place * len(task.targets) // most] for place in range(most))


def _seeds(setting: Setting, task: TaskSetting) -> tuple[int, ...]:
    return task.tuning_seeds[: _COSTS[setting.preset].seeds]


def _predictors(setting: Setting, task: TaskSetting) -> dict[str, Step]:
    return predictors(setting, task)


def _matrix(setting: Setting, task: TaskSetting) -> Step:
    """Return the step that writes the similarities of X-SNS to a file, as the others' are."""
    store, output = _predictors(setting, task)[XSNS].output, setting.place("figure4", f"{task.name}.xsns.parquet")
    args = ("matrix", "--store", str(store), "--density", str(setting.density), "-o", str(output))
    return Step(f"figure4.{slug(setting.model)}.{task.name}.matrix", args, (output,))


def then(setting: Setting, folder: Folder) -> Sequence[Step]:
    """Fine-tune on every set of sources that a method picks, and test where it was picked."""
    found = []
    for task in _tasks(setting):
        picks = _picks(setting, task, folder)
        if any(sets for targets in picks.values() for sets in targets.values()):
            found.append(_mixtures(setting, task, picks))
    return found


def _mixtures(setting: Setting, task: TaskSetting, picks: Picks) -> Step:
    """Return the step that fine-tunes on all sets; a set that two methods pick is one unit of work."""
    pairs = dict.fromkeys(
        f"{mixture(sources)}>{target}"
        for targets in picks.values()
        for target, sets in targets.items()
        for sources in sets
    )
    place = setting.place("figure4", slug(setting.model), f"{task.name}.mixtures.parquet")
    args = [
        *("transfer", "--task", task.name, "--model", setting.model, "--data", task.data),
        *("--pairs", ",".join(pairs)),
        *(word for seed in _seeds(setting, task) for word in ("--seed", str(seed))),
        *tuning(setting, task),
        *("-o", str(place), "--json"),
    ]
    stdout = place.with_suffix(".json")
    return Step(_mixtures_name(setting, task), tuple(args), (place, stdout), stdout=stdout)


def _mixtures_name(setting: Setting, task: TaskSetting) -> str:
    return f"figure4.{slug(setting.model)}.{task.name}.mixtures"


# ------------------------------------------------------------------------------------- what is picked


def _picks(setting: Setting, task: TaskSetting, folder: Folder) -> Picks:
    """Return what every method picks for every target; nothing for a method that cannot tell three sources."""
    from xsns_stream.similarity.matrix_io import read_matrix

    outputs = {name: step for name, step in _predictors(setting, task).items() if name != XSNS}
    outputs = {XSNS: _matrix(setting, task)} | outputs
    matrices = {name: read_matrix(step.output) for name, step in outputs.items() if folder.done(step)}
    # Sources and targets without data are in no scores, and cannot be picked.
    there = scored(task, gold(setting, task), folder)
    targets = [target for target in _targets(setting, task) if target in there.targets]
    found: Picks = {
        name: {target: _whole(first(matrix, there.sources, target)) for target in targets}
        for name, matrix in matrices.items()
    }
    if XSNS in matrices:
        found[_CENTRAL] = {target: _whole(central(matrices[XSNS], there.sources, target)) for target in targets}
    found[_RANDOM] = {target: drawn(there.sources, target) for target in targets}
    if folder.done(step := gold(setting, task)):
        scores = of_seeds(gold_scores(step), _seeds(setting, task))
        found[_ORACLE] = {target: _whole(best_alone(scores, target)) for target in targets}
    return found


def _whole(sources: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return one set; none where there are too few sources."""
    return (sources,) if len(sources) == TOGETHER else ()


# -------------------------------------------------------------------------------------- what it gives


def render(setting: Setting, folder: Folder) -> Result:
    """Return means over targets for each method, and what each picked.

    Raises:
        LeftOutError: Nothing was fine-tuned on three sources.
    """
    from xsns_stream.report.figures import figure_writer, measured_in
    from xsns_stream.reproduce.figures.lines import MeansPanel, means_figure

    tasks = [task for task in _tasks(setting) if folder.done(_mixtures_name(setting, task))]
    if not tasks:
        raise LeftOutError("nothing was fine-tuned on three sources.")
    most = next((task.limit for task in tasks if task.limit), None)
    limit = (
        f"A set of three has as many training examples as one source, {most:,} at most, in equal shares."
        if most
        else "A set of three has as many examples of each source as its smallest has: more than one source alone."
    )
    parts = [
        f"# {TITLE}\n\n![three sources at once](figure4.svg)\n\nFine-tuning on the three sources that a method puts "
        f"first for a target (equals by code), tested on that target. {limit} *{_RANDOM}*: mean of {DRAWS} draws a "
        f"target; *{_CENTRAL}*: the sources most similar to all others by {XSNS}; *{_ORACLE}* and *{_BEST}* know the "
        f"scores. Against {XSNS}: p of a sign-flip test over targets, Holm's correction over the lines.\n\n"
    ]
    record, panels = {}, []
    for task in tasks:
        picks = _picks(setting, task, folder)
        scores = gold_scores(_mixtures(setting, task, picks))
        rows = _rows(setting, task, folder, picks, scores)
        means = paired_means(rows, XSNS if XSNS in rows else next(iter(rows)))
        parts.append(_section(setting, task, means, picks, scores))
        height = measured_in(scores.metric, scores.unit)
        panels.append(MeansPanel(task.title, _mean_lines(rows, means), height))
        record[task.name] = _record(setting, task, rows, means, picks)
    parts.append(f"## The paper's finding\n\n{_PAPERS}\n")
    title, subtitle = "Three sources at once", "mean over targets with 95 % interval; a dot a target"
    draw = partial(means_figure, panels, title, subtitle)
    return Result("".join(parts), {"tasks": record}, figure_writer(draw))


def _rows(
    setting: Setting, task: TaskSetting, folder: Folder, picks: Picks, scores: TransferScores
) -> dict[str, list[float]]:
    """Return {method: its score on each target, NaN where it picked nothing}."""
    targets = _targets(setting, task)
    known = dict(zip(scores.sources, scores.values.tolist(), strict=True))

    def score(sets: Sequence[Sequence[str]], target: str) -> float:
        if not sets or target not in scores.targets:
            return math.nan
        column = scores.targets.index(target)
        return math.fsum(known[mixture(one)][column] if mixture(one) in known else math.nan for one in sets) / len(sets)

    rows = {
        method: [score(picks[method].get(target, ()), target) for target in targets]
        for method in [*(name for name in picks if name not in _REFERENCES), *_REFERENCES]
        if method in picks
    }
    rows |= _alone(setting, task, folder, targets)
    return {method: values for method, values in rows.items() if any(map(math.isfinite, values))}


def _alone(setting: Setting, task: TaskSetting, folder: Folder, targets: Sequence[str]) -> dict[str, list[float]]:
    """Return what single sources give: that of X-SNS, English, the best."""
    from xsns_stream.similarity.matrix_io import read_matrix

    if not folder.done(step := gold(setting, task)):
        return {}
    scores = of_seeds(gold_scores(step), _seeds(setting, task))
    there = [spread(scores, target, {}) if target in scores.targets else None for target in targets]
    nothing = math.nan
    rows = {
        _ENGLISH: [one.english if one else nothing for one in there],
        _BEST: [one.best if one else nothing for one in there],
    }
    if folder.done(made := _matrix(setting, task)):
        matrix = read_matrix(made.output)
        rows[_ALONE] = [one.of(first(matrix, task.sources, one.target)[:1]) if one else nothing for one in there]
    return {name: rows[name] for name in _REFERENCES if name in rows}


def _section(
    setting: Setting, task: TaskSetting, means: Mapping[str, PairedMean], picks: Picks, scores: TransferScores
) -> str:
    targets = _targets(setting, task)
    lines = [
        [
            name,
            str(mean.targets),
            with_interval(mean.mean, mean.low, mean.high),
            number(None) if name == XSNS else with_interval(mean.difference, mean.difference_low, mean.difference_high),
            probability(mean.p),
            *((str(count) for count in (mean.better, mean.level, mean.worse)) if name != XSNS else ("–",) * 3),
        ]
        for name, mean in means.items()
    ]
    header = ["sources", "targets", f"{scores.metric}, mean", f"less {XSNS}", "p (Holm)", "above", "level", "below"]
    chosen = [
        [name, *(" ".join(mixture(one) for one in picks[name].get(target, ())) or "–" for target in targets)]
        for name in picks
    ]
    few = "" if len(targets) == len(task.targets) else f"{len(targets)} of {len(task.targets)} targets, to save time."
    said = bullets([few, f"{len(scores.sources)} sets of sources, seeds {', '.join(map(str, scores.seeds))}."])
    picked = table(["picked for", *targets], chosen, text_columns=1 + len(targets))
    return f"## {task.title}\n\n{said}\n{table(header, lines)}\n{picked}\n"


def _mean_lines(rows: Mapping[str, Sequence[float]], means: Mapping[str, PairedMean]) -> tuple[MeanLine, ...]:
    from xsns_stream.reproduce.figures.lines import MeanLine

    return tuple(
        MeanLine(name, tuple(values), means[name].mean, means[name].low, means[name].high, name in _REFERENCES)
        for name, values in rows.items()
    )


def _record(
    setting: Setting,
    task: TaskSetting,
    rows: Mapping[str, Sequence[float]],
    means: Mapping[str, PairedMean],
    picks: Picks,
) -> dict[str, Any]:
    return {
        "targets": list(_targets(setting, task)),
        "seeds": list(_seeds(setting, task)),
        "scores": {name: list(values) for name, values in rows.items()},
        "means": {name: as_record(mean) for name, mean in means.items()},
        "picks": {
            name: {target: [mixture(one) for one in sets] for target, sets in targets.items()}
            for name, targets in picks.items()
        },
    }


RECIPE: Final = Recipe("figure4", TITLE, steps, render, then)
