"""Steps that several recipes share, as command lines of the other verbs.

`evaluate` compares predictors on the pairs for which all of them have values. A predictor that lacks values for many
languages would therefore remove these languages for all predictors. Such a predictor is compared only with X-SNS, on
the languages for which the predictor has values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from xsns_stream.errors import LanguageError
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug
from xsns_stream.reproduce.step import Step, StepOutputs
from xsns_stream.tasks import TASKS

#: Name of X-SNS in the tables.
XSNS: Final = "X-SNS"
#: If a predictor lacks a larger share of the pairs of a task, it is compared only with X-SNS.
MAX_MISSING_SHARE: Final = 0.1
#: A predictor that has values for fewer than this number of sources or targets is not evaluated.
MIN_KNOWN: Final = 3


def comma_separated(codes: Sequence[str]) -> str:
    """Return language codes separated by commas, as the options of the verbs accept them."""
    return ",".join(codes)


def gold(config: RunConfig, task: TaskConfig, model: str | None = None) -> Step:
    """Return the step that fine-tunes on every source of a task and tests on all its targets.

    The outputs of the step are the scores (`gold.parquet`) and the JSON result of `transfer` (`gold.json`).
    """
    model = model or config.model
    folder = config.path(slug(model), task.name)
    scores, report = folder / "gold.parquet", folder / "gold.json"
    args = (
        "transfer",
        *("--task", task.name, "--model", model, "--data", task.data),
        *("--sources", comma_separated(task.sources), "--targets", comma_separated(task.all_targets)),
        *_each("--seed", task.tuning_seeds),
        *tuning_options(config, task),
        *("-o", str(scores), "--json"),
    )
    precondition = partial(check_scores, scores, task.sources, task.all_targets, task.tuning_seeds)
    name = f"{slug(model)}.{task.name}.gold"
    return Step(name, args, (scores, report), stdout=report, precondition=precondition)


def tuning_options(config: RunConfig, task: TaskConfig) -> list[str]:
    """Return the options of `transfer` that set how models are fine-tuned and tested on a task."""
    return [
        *("--preset", config.fine_tuning),
        *_optional("--epochs", config.epochs),
        *_optional("--lr", config.learning_rate),
        *_optional("--limit", task.limit),
        *_optional("--test-limit", task.test_limit),
        *_optional("--max-length", config.max_length),
        *_machine(config),
    ]


def sub_networks(
    config: RunConfig,
    task: TaskConfig,
    model: str | None = None,
    *,
    head: bool = False,
    name: str = "",
    examples: int | None = None,
    densities: Sequence[float] = (),
    languages: Sequence[str] = (),
) -> Step:
    """Return the step that measures the languages of a task on the text of the task; its output is a store.

    Args:
        config: The configuration of the run.
        task: The task whose text is measured.
        model: The model; by default the model in the configuration.
        head: Whether to use a randomly initialised head for the task instead of the language-model head.
        name: The name of the store; it distinguishes stores of the same model and task that differ in other options.
        examples: Number of examples per language, |D|; by default the number in the configuration.
        densities: The densities; by default the density in the configuration.
        languages: The languages; by default all languages of the task with text.
    """
    model = model or config.model
    kind = name or ("task-head" if head else "task-lm")
    store = config.path(slug(model), task.name, f"{kind}.zarr")
    args = (
        "build",
        *("--model", model, "--corpus", task.data, "--task", task.name),
        *(("--objective", TASKS[task.name].objective) if head else _words(task)),
        *_measuring(config, languages or task.texts, task.fisher_seeds, examples, densities),
        *("--store", str(store)),
    )
    precondition = partial(check_rows, store, task.fisher_seeds, densities or (config.density,))
    return Step(f"{slug(model)}.{task.name}.{kind}", args, (store,), precondition=precondition)


def general_sub_networks(config: RunConfig, model: str | None = None) -> Step:
    """Return the step that measures the languages of all tasks on general text, into a store that all tasks share.

    Raises:
        ValueError: The configuration has no general text.
    """
    if config.general is None:
        raise ValueError("the configuration has no general text")
    model = model or config.model
    store = config.path(slug(model), "general-lm.zarr")
    args = (
        "build",
        *("--model", model, "--corpus", config.general),
        *_measuring(config, config.general_languages, config.fisher_seeds, None, ()),
        *("--store", str(store)),
    )
    precondition = partial(check_rows, store, config.fisher_seeds, (config.density,))
    return Step(f"{slug(model)}.general-lm", args, (store,), precondition=precondition)


def text_baselines(config: RunConfig, task: TaskConfig, model: str | None = None) -> dict[str, Step]:
    """Return {name in the tables: step} of the baselines that are computed from the text of the task.

    These baselines are LEX, SuE, EMB and NN-Rank.
    """
    model = model or config.model
    length = _optional("--max-length", config.max_length)
    tokens = _optional("--max-tokens", config.neighbour_tokens)
    options: dict[str, tuple[str, list[str]]] = {
        "LEX": ("lex", ["--model", model, *length]),
        "SuE": ("sue", []),
        "EMB": ("emb", ["--model", model, *length, *_device(config)]),
        "NN-Rank": ("nn-rank", ["--model", model, *length, *tokens, *_device(config)]),
    }
    return {label: _text_baseline(config, task, model, verb, more) for label, (verb, more) in options.items()}


def _text_baseline(config: RunConfig, task: TaskConfig, model: str, verb: str, more: list[str]) -> Step:
    # SuE does not use a model. All models therefore share its output.
    folder = config.path(task.name) if verb == "sue" else config.path(slug(model), task.name)
    output = folder / f"{verb}.parquet"
    sources, targets = _with_text(task, task.sources), _with_text(task, task.all_targets)
    args = (
        *("baseline", verb, *more),
        *("--corpus", task.data, "--task", task.name, *_words(task)),
        *("--sources", comma_separated(sources), "--targets", comma_separated(targets)),
        *("--examples", str(config.examples), *_each("--seed", task.fisher_seeds)),
        *("-o", str(output)),
    )
    owner = "any" if verb == "sue" else slug(model)
    return Step(f"{owner}.{task.name}.{verb}", args, (output,))


def table_baselines(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    """Return {name in the tables: step} of the baselines L2V and LDND, as far as the run has the tables for them."""
    steps = {}
    for label, verb, path in (("L2V", "l2v", config.typology), ("LDND", "ldnd", config.ldnd)):
        if path is not None:
            output = config.path(task.name, f"{verb}.parquet")
            sides = ("--sources", comma_separated(task.sources), "--targets", comma_separated(task.all_targets))
            args = ("baseline", verb, path, *sides, "-o", str(output))
            steps[label] = Step(f"any.{task.name}.{verb}", args, (output,))
    return steps


def predictors(config: RunConfig, task: TaskConfig, model: str | None = None) -> dict[str, Step]:
    """Return {name in the tables: step} of sub-networks and all baselines, in the order of table 2."""
    baselines = {**table_baselines(config, task), **text_baselines(config, task, model)}
    ordered = [name for name in ("L2V", "LEX", "SuE", "EMB", "NN-Rank", "LDND") if name in baselines]
    return {name: baselines[name] for name in ordered} | {XSNS: sub_networks(config, task, model)}


def evaluation(
    name: str,
    output: Path,
    task: TaskConfig,
    scores: Step,
    predictors: Mapping[str, Step],
    *more: str,
    targets: Sequence[str] = (),
) -> Step:
    """Return the step that compares predictors with gold scores.

    The output of the step is a JSON document with metrics, intervals and tests.

    Args:
        name: The name of the step.
        output: The JSON file.
        task: The task, with its sources and targets.
        scores: The step whose output contains the gold scores.
        predictors: {name in the tables: step whose output is a store or a matrix}.
        more: Further options of `evaluate`.
        targets: The targets to evaluate; by default the targets of the task.
    """
    args = (
        *("evaluate", "--gold", str(scores.output)),
        *_predict(predictors),
        *("--sources", comma_separated(task.sources), "--targets", comma_separated(targets or task.targets)),
        *more,
        *("-o", str(output)),
    )
    return Step(name, args, (output,), droppable="--predict")


def regression(
    name: str, output: Path, task: TaskConfig, scores: Step, predictors: Mapping[str, Step], model: str, *more: str
) -> Step:
    """Return the step that regresses gold scores on predictors; its output is JSON with coefficients and errors."""
    args = (
        *("regress", "--gold", str(scores.output)),
        *_predict(predictors),
        *("--sources", comma_separated(task.sources), "--targets", comma_separated(task.targets)),
        *("--model", model, *more),
        *("-o", str(output)),
    )
    return Step(name, args, (output,), droppable="--predict")


# ----------------------------------------------------------------------------- predictors that lack languages


@dataclass(frozen=True)
class PredictorGroups:
    """The predictors of a task, grouped by the number of languages for which they have values.

    Attributes:
        together: {name in the tables: step} of the predictors that are compared with one another, including X-SNS.
        separate: {name in the tables: step} of the predictors that lack values for many languages; each is compared
            only with X-SNS.
        left_out: {name in the tables: reason} of the predictors that failed, or have values for too few languages.
    """

    together: Mapping[str, Step]
    separate: Mapping[str, Step]
    left_out: Mapping[str, str]


def gold_and_predictors(config: RunConfig, task: TaskConfig, model: str | None = None) -> list[Step]:
    """Return the steps that fine-tune a model on a task and compute all predictors."""
    return [gold(config, task, model), *predictors(config, task, model).values()]


def predictor_evaluations(
    config: RunConfig, task: TaskConfig, outputs: StepOutputs, model: str | None = None
) -> list[Step]:
    """Return the steps that compare predictors with gold scores; the first step compares most of the predictors."""
    model = model or config.model
    groups, scores = group_predictors(config, task, outputs, model), gold(config, task, model)
    if XSNS not in groups.together:
        return []
    compared = {"": dict(groups.together)}
    compared |= {f"-{label}": {label: step, XSNS: groups.together[XSNS]} for label, step in groups.separate.items()}
    return [
        evaluation(
            f"{slug(model)}.{task.name}.evaluate{suffix}",
            config.path(slug(model), task.name, f"evaluate{suffix}.json"),
            restrict_to_scores(task, scores, outputs),
            scores,
            group,
            *("--against", XSNS),
        )
        for suffix, group in compared.items()
    ]


def restrict_to_scores(task: TaskConfig, scores: Step, outputs: StepOutputs) -> TaskConfig:
    """Return the task without the sources and targets that have no gold scores.

    If the step of the gold scores is not done, the task is returned unchanged.
    """
    from xsns_stream.gold import read_scores

    if not outputs.done(scores):
        return task
    measured = read_scores(scores.output)
    sources = tuple(code for code in task.sources if code in measured.sources)
    targets = tuple(code for code in task.targets if code in measured.targets)
    return replace(task, sources=sources, targets=targets)


def group_predictors(
    config: RunConfig, task: TaskConfig, outputs: StepOutputs, model: str | None = None
) -> PredictorGroups:
    """Group predictors by the number of languages for which they have values.

    A predictor that has no output yet is assumed to have values for all languages.
    """
    together, separate, left_out = {}, {}, {}
    for label, step in predictors(config, task, model).items():
        sources, targets, share = coverage(step, task) if outputs.done(step) else (None, None, 1.0)
        if reason := outputs.failure(step):
            left_out[label] = reason
        elif sources is None or targets is None or share >= 1 - MAX_MISSING_SHARE:
            together[label] = step
        elif min(sources, targets) < MIN_KNOWN:
            left_out[label] = (
                f"it has values for {sources} of {len(task.sources)} sources and "
                f"{targets} of {len(task.targets)} targets."
            )
        else:
            separate[label] = step
    return PredictorGroups(together, separate, left_out)


def coverage(step: Step, task: TaskConfig) -> tuple[int | None, int | None, float]:
    """Return how many sources, how many targets, and what share of all pairs have a value from a predictor.

    `step` is the step that computes the predictor.

    If the predictor is a store, both numbers are None and the share is 1, because `evaluate` checks the rows of stores.
    """
    import numpy as np

    from xsns_stream.languages import counterparts
    from xsns_stream.similarity.matrix_io import read_matrix

    if step.output.is_dir():
        return None, None, 1.0
    matrix = read_matrix(str(step.output))
    rows, columns = counterparts(task.sources, matrix.sources), counterparts(task.targets, matrix.targets)
    pairs = [(source, target) for source in rows for target in columns if source != target]
    known = [pair for pair in pairs if np.isfinite(matrix[rows[pair[0]], columns[pair[1]]])]
    total = sum(source != target for source in task.sources for target in task.targets)
    return len({source for source, _ in known}), len({target for _, target in known}), len(known) / total


# --------------------------------------------------------------------------------------------------- options


def _measuring(
    config: RunConfig,
    languages: Sequence[str],
    seeds: Sequence[int],
    examples: int | None,
    densities: Sequence[float],
) -> list[str]:
    return [
        *("--lang", comma_separated(languages)),
        *("--examples", str(examples or config.examples)),
        *_each("--seed", seeds),
        *_each("--density", densities or (config.density,)),
        *_optional("--max-length", config.max_length),
        *_machine(config),
    ]


def _machine(config: RunConfig) -> list[str]:
    return [*_device(config), *(["--precision", config.precision] if config.precision != "float32" else [])]


def _device(config: RunConfig) -> list[str]:
    return ["--device", config.device] if config.device != "cpu" else []


def _predict(predictors: Mapping[str, Step]) -> list[str]:
    return [word for label, step in predictors.items() for word in ("--predict", f"{label}={step.output}")]


def _words(task: TaskConfig) -> tuple[str, ...]:
    """Return the option that reads the examples of a token-classification task as running text; empty for other tasks.

    `running` is the default, but the option is always given. Rows of an older version of this package, which joined
    words by spaces, are therefore not reused.
    """
    return ("--words", "running") if TASKS[task.name].objective == "token-classification" else ()


def _with_text(task: TaskConfig, codes: Sequence[str]) -> tuple[str, ...]:
    """Return those languages in `codes` that have text to measure.

    Raises:
        LanguageError: No language has text.
    """
    readable = tuple(code for code in codes if code in task.texts)
    if not readable:
        raise LanguageError(f"none of the languages of {task.title} has text to measure.", "give other data.")
    return readable


def _each(option: str, values: Sequence[float]) -> list[str]:
    return [word for value in values for word in (option, str(value))]


def _optional(option: str, value: object) -> list[str]:
    return [] if value is None else [option, str(value)]


# --------------------------------------------------------------------------------------------- preconditions


def check_scores(path: Path, sources: Sequence[str], targets: Sequence[str], seeds: Sequence[int]) -> str:
    """Return a sentence about sources, targets or seeds that are in a file of scores but not requested by the step.

    Returns:
        The sentence; empty if the step requests everything in the file.

    Raises:
        XsnsError: The file cannot be read.
    """
    from xsns_stream.gold import read_scores

    scores = read_scores(path)
    extra = _extra(scores.sources, sources, "sources") or _extra(scores.targets, targets, "targets")
    return _extra_sentence(path, extra or _extra(scores.seeds, seeds, "seeds"))


def check_rows(path: Path, seeds: Sequence[int], densities: Sequence[float]) -> str:
    """Return a sentence about the seeds or densities that a store contains but the step does not request.

    The sentence is empty if there are none.

    Raises:
        XsnsError: The store cannot be read.
    """
    from xsns_stream.store import open_store

    store = open_store(path)
    return _extra_sentence(path, _extra(store.seeds, seeds, "seeds") or _extra(store.densities, densities, "densities"))


def _extra(held: Iterable[object], wanted: Sequence[object], noun: str) -> str:
    extra = [str(value) for value in held if value not in wanted]
    return f"{noun} that were not requested ({', '.join(extra)})" if extra else ""


def _extra_sentence(path: Path, extra: str) -> str:
    return f"'{path}' contains {extra}: request these too, or give another --out." if extra else ""
