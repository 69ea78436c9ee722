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
from xsns_stream.reproduce.comparing import restrict_to_scores
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug
from xsns_stream.reproduce.pages import bullets, number, probability, table, with_interval
from xsns_stream.reproduce.scores import (
    RANDOM_SETS,
    SOURCES_TOGETHER,
    PairedMean,
    as_record,
    best_single,
    most_central,
    drawn,
    most_similar,
    gold_scores,
    restrict_to_seeds,
    paired_means,
    target_row,
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


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune on single sources, make every predictor, and compare sub-networks.

    Raises:
        LeftOutError: No task has so many sources.
    """
    tasks = _tasks(config)
    if not tasks:
        raise LeftOutError(f"no task has more than {SOURCES_TOGETHER} sources to pick {SOURCES_TOGETHER} from.", "give more languages.")
    return [step for task in tasks for step in (gold(config, task), *_predictors(config, task).values())] + [
        _matrix(config, task) for task in tasks
    ]


def _tasks(config: RunConfig) -> list[TaskConfig]:
    enough = {name: task for name, task in config.tasks.items() if len(task.sources) > SOURCES_TOGETHER}
    wanted = [enough[name] for name in _COSTS[config.preset].tasks if name in enough]
    return wanted or list(enough.values())[:1]


def _targets(config: RunConfig, task: TaskConfig) -> tuple[str, ...]:
    """Return the task's targets, or as many as the preset has, evenly from their order."""
    most = _COSTS[config.preset].targets
    if most is None or len(task.targets) <= most:
        return task.targets
    return tuple(task.targets[place * len(task.targets) // most] for place in range(most))


def _seeds(config: RunConfig, task: TaskConfig) -> tuple[int, ...]:
    return task.tuning_seeds[: _COSTS[config.preset].seeds]


def _predictors(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    return predictors(config, task)


def _matrix(config: RunConfig, task: TaskConfig) -> Step:
    """Return the step that writes the similarities of X-SNS to a file, as the others' are."""
    store, output = _predictors(config, task)[XSNS].output, config.path("figure4", f"{task.name}.xsns.parquet")
    args = ("matrix", "--store", str(store), "--density", str(config.density), "-o", str(output))
    return Step(f"figure4.{slug(config.model)}.{task.name}.matrix", args, (output,))


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Fine-tune on every set of sources that a method picks, and test where it was picked."""
    found = []
    for task in _tasks(config):
        picks = _picks(config, task, folder)
        if any(sets for targets in picks.values() for sets in targets.values()):
            found.append(_mixtures(config, task, picks))
    return found


def _mixtures(config: RunConfig, task: TaskConfig, picks: Picks) -> Step:
    """Return the step that fine-tunes on all sets; a set that two methods pick is one unit of work."""
    pairs = dict.fromkeys(
        f"{mixture(sources)}>{target}"
        for targets in picks.values()
        for target, sets in targets.items()
        for sources in sets
    )
    place = config.path("figure4", slug(config.model), f"{task.name}.mixtures.parquet")
    args = [
        *("transfer", "--task", task.name, "--model", config.model, "--data", task.data),
        *("--pairs", ",".join(pairs)),
        *(word for seed in _seeds(config, task) for word in ("--seed", str(seed))),
        *tuning(config, task),
        *("-o", str(place), "--json"),
    ]
    stdout = place.with_suffix(".json")
    return Step(_mixtures_name(config, task), tuple(args), (place, stdout), stdout=stdout)


def _mixtures_name(config: RunConfig, task: TaskConfig) -> str:
    return f"figure4.{slug(config.model)}.{task.name}.mixtures"


# ------------------------------------------------------------------------------------- what is picked


def _picks(config: RunConfig, task: TaskConfig, folder: Folder) -> Picks:
    """Return what every method picks for every target; nothing for a method that cannot tell three sources."""
    from xsns_stream.similarity.matrix_io import read_matrix

    outputs = {name: step for name, step in _predictors(config, task).items() if name != XSNS}
    outputs = {XSNS: _matrix(config, task)} | outputs
    matrices = {name: read_matrix(step.output) for name, step in outputs.items() if folder.done(step)}
    # Sources and targets without data are in no scores, and cannot be picked.
    there = restrict_to_scores(task, gold(config, task), folder)
    targets = [target for target in _targets(config, task) if target in there.targets]
    found: Picks = {
        name: {target: _whole(most_similar(matrix, there.sources, target)) for target in targets}
        for name, matrix in matrices.items()
    }
    if XSNS in matrices:
        found[_CENTRAL] = {target: _whole(most_central(matrices[XSNS], there.sources, target)) for target in targets}
    found[_RANDOM] = {target: drawn(there.sources, target) for target in targets}
    if folder.done(step := gold(config, task)):
        scores = restrict_to_seeds(gold_scores(step), _seeds(config, task))
        found[_ORACLE] = {target: _whole(best_single(scores, target)) for target in targets}
    return found


def _whole(sources: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return one set; none where there are too few sources."""
    return (sources,) if len(sources) == SOURCES_TOGETHER else ()


# -------------------------------------------------------------------------------------- what it gives


def render(config: RunConfig, folder: Folder) -> Result:
    """Return means over targets for each method, and what each picked.

    Raises:
        LeftOutError: Nothing was fine-tuned on three sources.
    """
    from xsns_stream.report.figures import figure_writer, measured_in
    from xsns_stream.reproduce.figures.lines import MeansPanel, means_figure

    tasks = [task for task in _tasks(config) if folder.done(_mixtures_name(config, task))]
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
        f"first for a target (equals by code), tested on that target. {limit} *{_RANDOM}*: mean of {RANDOM_SETS} draws a "
        f"target; *{_CENTRAL}*: the sources most similar to all others by {XSNS}; *{_ORACLE}* and *{_BEST}* know the "
        f"scores. Against {XSNS}: p of a sign-flip test over targets, Holm's correction over the lines.\n\n"
    ]
    record, panels = {}, []
    for task in tasks:
        picks = _picks(config, task, folder)
        scores = gold_scores(_mixtures(config, task, picks))
        rows = _rows(config, task, folder, picks, scores)
        means = paired_means(rows, XSNS if XSNS in rows else next(iter(rows)))
        parts.append(_section(config, task, means, picks, scores))
        height = measured_in(scores.metric, scores.unit)
        panels.append(MeansPanel(task.title, _mean_lines(rows, means), height))
        record[task.name] = _record(config, task, rows, means, picks)
    parts.append(f"## The paper's finding\n\n{_PAPERS}\n")
    title, subtitle = "Three sources at once", "mean over targets with 95 % interval; a dot a target"
    draw = partial(means_figure, panels, title, subtitle)
    return Result("".join(parts), {"tasks": record}, figure_writer(draw))


def _rows(
    config: RunConfig, task: TaskConfig, folder: Folder, picks: Picks, scores: TransferScores
) -> dict[str, list[float]]:
    """Return {method: its score on each target, NaN where it picked nothing}."""
    targets = _targets(config, task)
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
    rows |= _alone(config, task, folder, targets)
    return {method: values for method, values in rows.items() if any(map(math.isfinite, values))}


def _alone(config: RunConfig, task: TaskConfig, folder: Folder, targets: Sequence[str]) -> dict[str, list[float]]:
    """Return what single sources give: that of X-SNS, English, the best."""
    from xsns_stream.similarity.matrix_io import read_matrix

    if not folder.done(step := gold(config, task)):
        return {}
    scores = restrict_to_seeds(gold_scores(step), _seeds(config, task))
    there = [target_row(scores, target, {}) if target in scores.targets else None for target in targets]
    nothing = math.nan
    rows = {
        _ENGLISH: [one.english if one else nothing for one in there],
        _BEST: [one.best if one else nothing for one in there],
    }
    if folder.done(made := _matrix(config, task)):
        matrix = read_matrix(made.output)
        rows[_ALONE] = [one.of(most_similar(matrix, task.sources, one.target)[:1]) if one else nothing for one in there]
    return {name: rows[name] for name in _REFERENCES if name in rows}


def _section(
    config: RunConfig, task: TaskConfig, means: Mapping[str, PairedMean], picks: Picks, scores: TransferScores
) -> str:
    targets = _targets(config, task)
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
    config: RunConfig,
    task: TaskConfig,
    rows: Mapping[str, Sequence[float]],
    means: Mapping[str, PairedMean],
    picks: Picks,
) -> dict[str, Any]:
    return {
        "targets": list(_targets(config, task)),
        "seeds": list(_seeds(config, task)),
        "scores": {name: list(values) for name, values in rows.items()},
        "means": {name: as_record(mean) for name, mean in means.items()},
        "picks": {
            name: {target: [mixture(one) for one in sets] for target, sets in targets.items()}
            for name, targets in picks.items()
        },
    }


RECIPE: Final = Recipe("figure4", TITLE, steps, render, then)
