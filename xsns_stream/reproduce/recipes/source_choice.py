"""Recipe of figure 4: for each target, joint fine-tuning on the three sources that a predictor chooses.

Fine-tuning on the chosen sources is a second stage, because the choices depend on the outputs of the predictors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xsns_stream.languages import mixture
from xsns_stream.report.figures import (
    COLOURS,
    GREY,
    axis_label,
    cut,
    figure_writer,
    finish_lines,
    finite,
    stacked_axes,
    titled,
)
from xsns_stream.reproduce.commands import XSNS, gold, predictors, restrict_to_scores, tuning_options
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug
from xsns_stream.reproduce.pages import bullets, table
from xsns_stream.reproduce.scores import (
    ENGLISH,
    PairedMean,
    gold_scores,
    paired_mean_cells,
    paired_means,
    scores_of_target,
)
from xsns_stream.reproduce.step import LeftOutError, Recipe, Result, Step, StepOutputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.transfer_scores import TransferScores

TITLE: Final = "Figure 4: three sources together"
#: Number of sources in a set for fine-tuning.
SET_SIZE: Final = 3
#: Number of random sets of sources for each target.
RANDOM_SETS: Final = 2
_RANDOM: Final = "3 at random"
_CENTRAL: Final = "English, 2 most central"
_ORACLE: Final = "3 that are best alone"
_BEST: Final = "best source alone"
_ENGLISH: Final = "English alone"
_SINGLE: Final = f"{XSNS}, one source"
_FINDING: Final = (
    "With XLM-R base, on NER and POS, three sources chosen by X-SNS are better than three chosen by any baseline."
)
#: Rows for comparison with the predictors.
_REFERENCES: Final = (_RANDOM, _CENTRAL, _ORACLE, _SINGLE, _ENGLISH, _BEST)

#: {method: {target: the chosen sets of sources}}.
Choices: TypeAlias = dict[str, dict[str, tuple[tuple[str, ...], ...]]]


@dataclass(frozen=True)
class _Scope:
    """The extent of the experiment in a preset; it is limited because a model is fine-tuned for each set of sources.

    Attributes:
        tasks: The tasks to run; if none of them has data, the first task with data is run.
        targets: Maximum number of targets of a task; None for all.
        seeds: Maximum number of fine-tuning seeds; None for all.
    """

    tasks: tuple[str, ...]
    targets: int | None
    seeds: int | None


_SCOPES: Final[Mapping[str, _Scope]] = {
    "embedded": _Scope(("pos",), 6, 1),
    "paper": _Scope(("ner", "pos"), None, None),
}


def _steps(config: RunConfig) -> Sequence[Step]:
    """Return the steps that fine-tune on single sources, compute all predictors, and compare sub-networks.

    Raises:
        LeftOutError: No task has enough sources.
    """
    tasks = _tasks(config)
    if not tasks:
        raise LeftOutError(
            f"no task has more than {SET_SIZE} sources to choose {SET_SIZE} from.", "give more languages."
        )
    return [step for task in tasks for step in (gold(config, task), *predictors(config, task).values())] + [
        _xsns_matrix(config, task) for task in tasks
    ]


def _tasks(config: RunConfig) -> list[TaskConfig]:
    enough = {name: task for name, task in config.tasks.items() if len(task.sources) > SET_SIZE}
    chosen = [enough[name] for name in _SCOPES[config.preset].tasks if name in enough]
    return chosen or list(enough.values())[:1]


def _targets(config: RunConfig, task: TaskConfig) -> tuple[str, ...]:
    """Return the targets of the task; if the preset allows fewer, return targets at equal distances in the list."""
    most = _SCOPES[config.preset].targets
    if most is None or len(task.targets) <= most:
        return task.targets
    return tuple(task.targets[index * len(task.targets) // most] for index in range(most))


def _seeds(config: RunConfig, task: TaskConfig) -> tuple[int, ...]:
    return task.tuning_seeds[: _SCOPES[config.preset].seeds]


def _xsns_matrix(config: RunConfig, task: TaskConfig) -> Step:
    """Return the step that writes the similarities of X-SNS to a file, as the steps of the baselines do."""
    store, output = predictors(config, task)[XSNS].output, config.path("figure4", f"{task.name}.xsns.parquet")
    args = ("matrix", "--store", str(store), "--density", str(config.density), "-o", str(output))
    return Step(f"figure4.{slug(config.model)}.{task.name}.matrix", args, (output,))


def _mixture_steps(config: RunConfig, outputs: StepOutputs) -> Sequence[Step]:
    """Return the steps that fine-tune on every chosen set of sources and test on its target."""
    choices = {task: _choices(config, task, outputs) for task in _tasks(config)}
    return [
        _mixtures(config, task, chosen)
        for task, chosen in choices.items()
        if any(sets for by_target in chosen.values() for sets in by_target.values())
    ]


def _mixtures(config: RunConfig, task: TaskConfig, choices: Choices) -> Step:
    """Return the step that fine-tunes on each distinct chosen set of sources and tests on its targets."""
    pairs = dict.fromkeys(
        f"{mixture(sources)}>{target}"
        for by_target in choices.values()
        for target, sets in by_target.items()
        for sources in sets
    )
    scores = config.path("figure4", slug(config.model), f"{task.name}.mixtures.parquet")
    report = scores.with_suffix(".json")
    args = (
        *("transfer", "--task", task.name, "--model", config.model, "--data", task.data),
        *("--pairs", ",".join(pairs)),
        *(word for seed in _seeds(config, task) for word in ("--seed", str(seed))),
        *tuning_options(config, task),
        *("-o", str(scores), "--json"),
    )
    return Step(_mixtures_name(config, task), args, (scores, report), stdout=report)


def _mixtures_name(config: RunConfig, task: TaskConfig) -> str:
    return f"figure4.{slug(config.model)}.{task.name}.mixtures"


# ------------------------------------------------------------------------------------------------- the choices


def _choices(config: RunConfig, task: TaskConfig, outputs: StepOutputs) -> Choices:
    """Return the sets of sources that each method chooses for each target; no sets if the method lacks values."""
    from xsns_stream.similarity.matrix_io import read_matrix

    steps = {name: step for name, step in predictors(config, task).items() if name != XSNS}
    steps = {XSNS: _xsns_matrix(config, task)} | steps
    matrices = {name: read_matrix(step.output) for name, step in steps.items() if outputs.done(step)}
    # Sources and targets without data have no scores and cannot be chosen.
    scored = restrict_to_scores(task, gold(config, task), outputs)
    targets = [target for target in _targets(config, task) if target in scored.targets]
    choices: Choices = {
        name: {target: _complete(most_similar(matrix, scored.sources, target)) for target in targets}
        for name, matrix in matrices.items()
    }
    if XSNS in matrices:
        central = {target: most_central(matrices[XSNS], scored.sources, target) for target in targets}
        choices[_CENTRAL] = {target: _complete(sources) for target, sources in central.items()}
    choices[_RANDOM] = {target: random_sets(scored.sources, target) for target in targets}
    if outputs.done(step := gold(config, task)):
        scores = restrict_to_seeds(gold_scores(step), _seeds(config, task))
        choices[_ORACLE] = {target: _complete(best_single(scores, target)) for target in targets}
    return choices


def _complete(sources: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return a tuple that contains the set `sources`; an empty tuple if the set has too few sources."""
    return (sources,) if len(sources) == SET_SIZE else ()


def most_similar(matrix: SimilarityMatrix, sources: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the three most similar sources of a target; sources with equal similarity are ordered by code."""
    if target not in matrix.targets:
        return ()
    column = dict(zip(matrix.sources, matrix.column(target).tolist(), strict=True))
    known = [code for code in sources if code != target and math.isfinite(column.get(code, math.nan))]
    return tuple(sorted(known, key=lambda code: (-column[code], code))[:SET_SIZE])


def most_central(matrix: SimilarityMatrix, sources: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the three most central sources other than the target.

    English comes first if it is a source. The sources with the highest mean similarity to all other sources follow.
    """
    means = {}
    for code in sources:
        others = [other for other in sources if other != code and code in matrix.sources and other in matrix.targets]
        values = [value for other in others if math.isfinite(value := matrix[code, other])]
        if code != target and values:
            means[code] = math.fsum(values) / len(values)
    ordered = sorted(means, key=lambda code: (code != ENGLISH, -means[code], code))
    return tuple(ordered[:SET_SIZE])


def random_sets(sources: Sequence[str], target: str) -> tuple[tuple[str, ...], ...]:
    """Return random sets of sources; they are the same in every run and for every order of `sources`."""
    import numpy as np

    rng = np.random.default_rng(list(target.encode()))
    others = sorted(code for code in sources if code != target)
    if len(others) < SET_SIZE:
        return ()
    return tuple(tuple(rng.choice(others, SET_SIZE, replace=False).tolist()) for _ in range(RANDOM_SETS))


def best_single(scores: TransferScores, target: str) -> tuple[str, ...]:
    """Return the three sources with the highest scores on a target; sources with equal scores are ordered by code."""
    others = scores_of_target(scores, target, {}).others
    return tuple(sorted(others, key=lambda code: (-others[code], code))[:SET_SIZE])


def restrict_to_seeds(scores: TransferScores, seeds: Sequence[int]) -> TransferScores:
    """Return only the scores of the given seeds; single sources and sets are compared on these seeds."""
    known = [seed for seed in seeds if seed in scores.seeds]
    indices = [scores.seeds.index(seed) for seed in known]
    return replace(scores, cells=scores.cells[:, indices], seeds=tuple(known)) if known else scores


# ---------------------------------------------------------------------------------------------------- the page


def render(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page, which shows the mean over targets and the chosen sources of each method.

    Raises:
        LeftOutError: No model was fine-tuned on three sources.
    """
    tasks = [task for task in _tasks(config) if outputs.done(_mixtures_name(config, task))]
    if not tasks:
        raise LeftOutError("no model was fine-tuned on three sources.")
    parts = [f"# {TITLE}\n\n![three sources together](figure4.svg)\n\n{_introduction(tasks)}\n\n"]
    record, panels = {}, []
    for task in tasks:
        choices = _choices(config, task, outputs)
        scores = gold_scores(_mixtures(config, task, choices))
        rows = _rows(config, task, outputs, choices, scores)
        means = paired_means(rows, XSNS if XSNS in rows else next(iter(rows)))
        parts.append(_section(config, task, means, choices, scores))
        lines = tuple(
            MeanLine(name, tuple(values), means[name].mean, means[name].low, means[name].high, name in _REFERENCES)
            for name, values in rows.items()
        )
        panels.append(MeansPanel(task.title, lines, axis_label(scores.metric, scores.unit)))
        record[task.name] = _record(config, task, rows, means, choices)
    parts.append(f"## The paper's finding\n\n{_FINDING}\n")
    title, subtitle = "Three sources together", "mean over targets with 95 % interval; one dot per target"
    draw = partial(means_figure, panels, title, subtitle)
    return Result("".join(parts), {"tasks": record}, figure_writer(draw))


def _introduction(tasks: Sequence[TaskConfig]) -> str:
    most = next((task.limit for task in tasks if task.limit), None)
    size = (
        f"A set of three sources has as many training examples as one source, at most {most:,}, in equal shares."
        if most
        else "A set of three sources has as many examples of each source as the smallest source has, and so more "
        "examples than one source."
    )
    return (
        "A model is fine-tuned on the three sources that a method ranks first for a target, and tested on that target. "
        f"Equal sources are ordered by code. {size} *{_RANDOM}* is the mean of {RANDOM_SETS} random sets for each "
        f"target. *{_CENTRAL}* are the sources that are most similar to all others by {XSNS}. *{_ORACLE}* and "
        f"*{_BEST}* use the scores themselves. p is the probability of a sign-flip test over targets against {XSNS}, "
        "with Holm's correction over the lines."
    )


def _rows(
    config: RunConfig, task: TaskConfig, outputs: StepOutputs, choices: Choices, scores: TransferScores
) -> dict[str, list[float]]:
    """Return {method: its score on each target}; a score is NaN if the method chose no sources for the target."""
    targets = _targets(config, task)
    by_source = dict(zip(scores.sources, scores.values.tolist(), strict=True))

    def score(sets: Sequence[Sequence[str]], target: str) -> float:
        if not sets or target not in scores.targets:
            return math.nan
        column, names = scores.targets.index(target), map(mixture, sets)
        return math.fsum(by_source[name][column] if name in by_source else math.nan for name in names) / len(sets)

    rows = {
        method: [score(choices[method].get(target, ()), target) for target in targets]
        for method in [*(name for name in choices if name not in _REFERENCES), *_REFERENCES]
        if method in choices
    }
    rows |= _single_source_rows(config, task, outputs, targets)
    return {method: values for method, values in rows.items() if any(map(math.isfinite, values))}


def _single_source_rows(
    config: RunConfig, task: TaskConfig, outputs: StepOutputs, targets: Sequence[str]
) -> dict[str, list[float]]:
    """Return {row: score on each target} for single sources: the choice of X-SNS, English, and the best source."""
    from xsns_stream.similarity.matrix_io import read_matrix

    if not outputs.done(step := gold(config, task)):
        return {}
    scores = restrict_to_seeds(gold_scores(step), _seeds(config, task))
    known = [scores_of_target(scores, target, {}) if target in scores.targets else None for target in targets]
    rows = {
        _ENGLISH: [row.english if row else math.nan for row in known],
        _BEST: [row.best if row else math.nan for row in known],
    }
    if outputs.done(step := _xsns_matrix(config, task)):
        matrix = read_matrix(step.output)
        rows[_SINGLE] = [
            row.mean_of(most_similar(matrix, task.sources, row.target)[:1]) if row else math.nan for row in known
        ]
    return {name: rows[name] for name in _REFERENCES if name in rows}


def _section(
    config: RunConfig, task: TaskConfig, means: Mapping[str, PairedMean], choices: Choices, scores: TransferScores
) -> str:
    targets = _targets(config, task)
    lines = [paired_mean_cells(name, mean, reference=name == XSNS) for name, mean in means.items()]
    header = ["sources", "targets", f"{scores.metric}, mean", f"less {XSNS}", "p (Holm)", "above", "level", "below"]
    chosen = [
        [name, *(" ".join(map(mixture, choices[name].get(target, ()))) or "–" for target in targets)]
        for name in choices
    ]
    few = f"{len(targets)} of {len(task.targets)} targets were run, to save time."
    seeds = ", ".join(map(str, scores.seeds))
    notes = bullets(
        ["" if len(targets) == len(task.targets) else few, f"{len(scores.sources)} sets of sources, seeds {seeds}."]
    )
    chosen_table = table(["chosen for", *targets], chosen, text_columns=1 + len(targets))
    return f"## {task.title}\n\n{notes}\n{table(header, lines)}\n{chosen_table}\n"


def _record(
    config: RunConfig,
    task: TaskConfig,
    rows: Mapping[str, Sequence[float]],
    means: Mapping[str, PairedMean],
    choices: Choices,
) -> dict[str, Any]:
    return {
        "targets": list(_targets(config, task)),
        "seeds": list(_seeds(config, task)),
        "scores": {name: list(values) for name, values in rows.items()},
        "means": {name: dict(vars(mean)) for name, mean in means.items()},
        "picks": {
            name: {target: [mixture(sources) for sources in sets] for target, sets in by_target.items()}
            for name, by_target in choices.items()
        },
    }


# -------------------------------------------------------------------------------------------------- the figure


@dataclass(frozen=True)
class MeanLine:
    """The line of one method in the figure.

    Attributes:
        name: The name of the method.
        values: One value for each target; NaN is not drawn.
        mean: The mean over targets.
        low: The lower end of the interval of the mean; no interval is drawn if it is NaN.
        high: The upper end of the interval of the mean.
        reference: Whether the method is a reference; references are drawn in grey.
    """

    name: str
    values: tuple[float, ...]
    mean: float
    low: float = math.nan
    high: float = math.nan
    reference: bool = False


@dataclass(frozen=True)
class MeansPanel:
    """The panel of one task in the figure.

    Attributes:
        title: The task.
        lines: The lines from top to bottom.
        label: The label of the x axis.
    """

    title: str
    lines: tuple[MeanLine, ...]
    label: str


def means_figure(panels: Sequence[MeansPanel], title: str, subtitle: str = "") -> Figure:
    """Draw, for each method, the mean with its interval, and a faint dot for each target.

    Args:
        panels: The panels, at least one; they are placed one below the other.
        title: The title of the figure.
        subtitle: Text below the title, smaller.

    Returns:
        A figure; save it with :func:`~xsns_stream.report.figures.figure_writer`.

    Raises:
        ValueError: There are no panels.
    """
    figure, all_axes = stacked_axes([len(panel.lines) for panel in panels])
    for panel, axes in zip(panels, all_axes, strict=True):
        for y, line in enumerate(panel.lines):
            _draw_mean(axes, y, line)
        axes.set_yticks(range(len(panel.lines)), [cut(line.name) for line in panel.lines])
        finish_lines(axes, len(panel.lines), panel.label)
        titled(axes, panel.title, above=6, size=9.5)
    titled(all_axes[0], title, subtitle, above=28)
    return figure


def _draw_mean(axes: Axes, y: int, line: MeanLine) -> None:
    colour = GREY if line.reference else COLOURS[0]
    values = finite(line.values)
    axes.scatter(values, [y] * len(values), s=9, color=colour, alpha=0.3, linewidths=0, zorder=2)
    if math.isfinite(line.low) and math.isfinite(line.high):
        axes.hlines(y, line.low, line.high, color=colour, linewidth=2.2, zorder=3)
    if math.isfinite(line.mean):
        axes.scatter([line.mean], [y], s=34, color=colour, edgecolors="white", linewidths=0.6, zorder=4)


RECIPES: Final = {"figure4": Recipe("figure4", TITLE, _steps, render, _mixture_steps)}
