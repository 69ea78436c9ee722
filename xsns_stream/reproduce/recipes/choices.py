"""Choices: what else could have been measured and compared, held against the same scores. Not in the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from xsns_stream.reproduce.commands import XSNS, evaluation, gold, sub_networks
from xsns_stream.reproduce.comparing import WAYS, restrict_to_scores, write_alternatives
from xsns_stream.reproduce.config import TITLES, RunConfig, TaskConfig, slug
from xsns_stream.reproduce.pages import CAPTION, evaluation_page, not_swept, evaluation_notes, gold_quality
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TITLE: Final = "Choices: estimator, reduction, threshold, coefficient"
#: {name in the table: (store, what `build` is told)}.
_MEASURED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "mean of tokens": ("token-mean", ("--token-reduction", "mean")),
    "authors' code": ("authors", ("--estimator", "authors")),
    "whole batches": ("per-batch", ("--estimator", "per-batch")),
    "absolute gradients": ("grad-abs", ("--estimator", "grad-abs")),
}
#: {name in the table: coefficient}; of sub-networks of one size Dice, overlap and cosine order as Jaccard does.
_COEFFICIENTS: Final[Mapping[str, str]] = {"mutual information": "mutual-information"}
_SHOWN_WAYS: Final[Mapping[str, str]] = {
    "threshold per layer": WAYS[0],
    "values, weighted Jaccard": WAYS[1],
    "values, cosine": WAYS[2],
}


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune, and measure and compare every task in every way."""
    return [step for task in config.swept.values() for step in _steps(config, task)]


def _steps(config: RunConfig, task: TaskConfig) -> list[Step]:
    ways = {step.name: step for step in _compared(config, task).values()}
    return [gold(config, task), _kept(config, task), *ways.values()]


def _compared(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    """Return {name in the table: step whose first output is a store or a matrix}."""
    found = {XSNS: sub_networks(config, task)}
    for shown, (name, words) in _MEASURED.items():
        step = sub_networks(config, task, name=name, languages=_pool(task))
        found[shown] = replace(step, args=(*step.args, *words))
    for shown, coefficient in _COEFFICIENTS.items():
        output = config.path(slug(config.model), task.name, f"{coefficient}.parquet")
        store = str(found[XSNS].output)
        words = ("matrix", "--store", store, "--lang", ",".join(_pool(task)), "--coefficient", coefficient)
        name = f"{slug(config.model)}.{task.name}.{coefficient}"
        found[shown] = Step(name, (*words, "-o", str(output)), (output,))
    other = _alternatives(config, task)
    return found | {shown: replace(other, outputs=_first(other, way)) for shown, way in _SHOWN_WAYS.items()}


def _pool(task: TaskConfig) -> tuple[str, ...]:
    return tuple(code for code in task.texts if code in (*task.sources, *task.targets))


def _kept(config: RunConfig, task: TaskConfig) -> Step:
    """Measure the pool once more and keep the Fisher values, which take 32 times a sub-network's space."""
    step = sub_networks(config, task, name="kept", languages=_pool(task))
    return replace(step, args=(*step.args, "--keep-fisher", "float32"))


def _alternatives(config: RunConfig, task: TaskConfig) -> Step:
    store, folder = _kept(config, task).output, config.path(slug(config.model), task.name, "alternatives")
    program = ("python", "-m", "xsns_stream.reproduce.comparing")
    return Step(
        f"{slug(config.model)}.{task.name}.alternatives",
        (),
        tuple(folder / f"{way}.parquet" for way in WAYS),
        action=partial(write_alternatives, store, config.density, folder),
        command=(*program, str(store), f"{config.density:g}", str(folder)),
    )


def _first(step: Step, way: str) -> tuple:  # type: ignore[type-arg]
    """Return the step's outputs with that of one way first, where `evaluate` finds it."""
    return tuple(sorted(step.outputs, key=lambda path: path.stem != way))


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Hold all of them against the same scores."""
    return [
        evaluation(
            _name(config, task),
            config.path("choices", f"{task.name}.json"),
            restrict_to_scores(task, gold(config, task), folder),
            gold(config, task),
            _compared(config, task),
            *("--against", XSNS),
        )
        for task in config.swept.values()
    ]


def _name(config: RunConfig, task: TaskConfig) -> str:
    return f"choices.{slug(config.model)}.{task.name}.evaluate"


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    documents = {name: folder.document(_name(config, task)) for name, task in config.swept.items()}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of the choices could be evaluated.")
    parts = [
        f"# {TITLE}\n\nNot in the paper. {XSNS} is as everywhere else: each example's gradient squared, its tokens "
        "summed, one threshold for all layers, Jaccard. Every other line changes one thing. Density, number of "
        "examples, text and output have pages of their own (figures 3 and 6, table 1).\n\n"
    ]
    record = {}
    for name, document in found.items():
        task = config.swept[name]
        sentence, numbers = gold_quality(task, gold(config, task), folder)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{evaluation_page(document)}\n")
        record[name] = {"evaluation": document, "gold": numbers}
    return Result(
        "".join([*parts, f"{CAPTION}\n\n", evaluation_notes(found, TITLES.__getitem__), not_swept(config)]), {"tasks": record}
    )


RECIPE: Final = Recipe("choices", TITLE, steps, render, then)
