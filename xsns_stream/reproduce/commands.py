"""The steps that recipes share, as command lines of the other verbs, and checks of their outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from xsns_stream.errors import LanguageError
from xsns_stream.reproduce.config import HEADS, RunConfig, TaskConfig, slug
from xsns_stream.reproduce.step import Step

#: As the tables call it.
XSNS: Final = "X-SNS"


def joined(codes: Sequence[str]) -> str:
    """Return codes as options of the verbs take them."""
    return ",".join(codes)


def gold(config: RunConfig, task: TaskConfig, model: str | None = None) -> Step:
    """Fine-tune on every source of a task, test on all its targets: outputs gold.parquet and what was said as JSON."""
    model = model or config.model
    name = f"{slug(model)}.{task.name}.gold"
    place = config.path(slug(model), task.name)
    args = [
        "transfer",
        *("--task", task.name, "--model", model, "--data", task.data),
        *("--sources", joined(task.sources), "--targets", joined(task.all_targets)),
        *_each("--seed", task.tuning_seeds),
        *tuning(config, task),
        *("-o", str(place / "gold.parquet"), "--json"),
    ]
    scores, said = place / "gold.parquet", place / "gold.json"
    beyond = partial(excess_scores, scores, task.sources, task.all_targets, task.tuning_seeds)
    return Step(name, tuple(args), (scores, said), stdout=said, excess=beyond)


def tuning(config: RunConfig, task: TaskConfig) -> list[str]:
    """Return the options of `transfer` that say how models are fine-tuned and tested on a task."""
    return [
        *("--preset", config.fine_tuning),
        *_given("--epochs", config.epochs),
        *_given("--limit", task.limit),
        *_given("--test-limit", task.test_limit),
        *_given("--max-length", config.max_length),
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
    """Measure the languages of a task on its own text: a store.

    Args:
        config: Of the run.
        task: Of which the text is.
        model: Instead of the setting's.
        head: Ask the task's head, drawn at random, instead of the language model.
        name: Of the store, where it differs from others of model and task by what follows.
        examples: |D|, instead of the setting's.
        densities: Instead of the setting's one.
        languages: Instead of all of the task's that have text.
    """
    model = model or config.model
    kind = name or ("task-head" if head else "task-lm")
    store = config.path(slug(model), task.name, f"{kind}.zarr")
    args = [
        "build",
        *("--model", model, "--corpus", task.data, "--task", task.name),
        *(("--objective", HEADS[task.name]) if head else _words(task)),
        *_measuring(config, languages or task.texts, task.fisher_seeds, examples, densities),
        *("--store", str(store)),
    ]
    beyond = partial(excess_rows, store, task.fisher_seeds, densities or (config.density,))
    return Step(f"{slug(model)}.{task.name}.{kind}", tuple(args), (store,), excess=beyond)


def general_sub_networks(config: RunConfig, model: str | None = None) -> Step:
    """Measure all tasks' languages on general text: one store for all tasks.

    Raises:
        ValueError: The config has no general text.
    """
    if config.general is None:
        raise ValueError("there is no general text")
    model = model or config.model
    store = config.path(slug(model), "general-lm.zarr")
    args = [
        "build",
        *("--model", model, "--corpus", config.general),
        *_measuring(config, config.general_languages, config.fisher_seeds, None, ()),
        *("--store", str(store)),
    ]
    beyond = partial(excess_rows, store, config.fisher_seeds, (config.density,))
    return Step(f"{slug(model)}.general-lm", tuple(args), (store,), excess=beyond)


def text_baselines(config: RunConfig, task: TaskConfig, model: str | None = None) -> dict[str, Step]:
    """Return {name in the tables: step} of the baselines that read the task's text: LEX, SuE, EMB, NN-Rank."""
    model = model or config.model
    length = _given("--max-length", config.max_length)
    tokens = _given("--max-tokens", config.neighbour_tokens)
    options: dict[str, tuple[str, list[str]]] = {
        "LEX": ("lex", ["--model", model, *length]),
        "SuE": ("sue", []),
        "EMB": ("emb", ["--model", model, *length, *_device(config)]),
        "NN-Rank": ("nn-rank", ["--model", model, *length, *tokens, *_device(config)]),
    }
    return {shown: _text_baseline(config, task, model, verb, more) for shown, (verb, more) in options.items()}


def _text_baseline(config: RunConfig, task: TaskConfig, model: str, verb: str, more: list[str]) -> Step:
    # SuE asks no model: all models share it.
    place = config.path(task.name) if verb == "sue" else config.path(slug(model), task.name)
    output = place / f"{verb}.parquet"
    args = [
        *("baseline", verb, *more),
        *("--corpus", task.data, "--task", task.name, *_words(task)),
        *("--sources", joined(_with_text(task, task.sources)), "--targets", joined(_with_text(task, task.all_targets))),
        *("--examples", str(config.examples), *_each("--seed", task.fisher_seeds)),
        *("-o", str(output)),
    ]
    owner = "any" if verb == "sue" else slug(model)
    return Step(f"{owner}.{task.name}.{verb}", tuple(args), (output,))


def table_baselines(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    """Return {name in the tables: step} of the baselines that are read from tables: L2V and LDND, where given."""
    found = {}
    for shown, verb, path in (("L2V", "l2v", config.typology), ("LDND", "ldnd", config.ldnd)):
        if path is not None:
            output = config.path(task.name, f"{verb}.parquet")
            sides = ("--sources", joined(task.sources), "--targets", joined(task.all_targets))
            args = ("baseline", verb, path, *sides, "-o", str(output))
            found[shown] = Step(f"any.{task.name}.{verb}", args, (output,))
    return found


def evaluation(
    name: str,
    output: Path,
    task: TaskConfig,
    scores: Step,
    predictors: Mapping[str, Step],
    *more: str,
    targets: Sequence[str] = (),
) -> Step:
    """Hold predictors against gold scores: a JSON document with metrics, intervals, tests and trivial rows.

    Args:
        name: Of the step.
        output: Its JSON file.
        task: Gives the pool.
        scores: The step of the gold.
        predictors: {name in the tables: step whose output is a store or a matrix}.
        more: Further options of `evaluate`.
        targets: Instead of the task's.
    """
    args = [
        *("evaluate", "--gold", str(scores.output)),
        *(word for shown, step in predictors.items() for word in ("--predict", f"{shown}={step.output}")),
        *("--sources", joined(task.sources), "--targets", joined(targets or task.targets)),
        *more,
        *("-o", str(output)),
    ]
    return Step(name, tuple(args), (output,), spare="--predict")


def regression(
    name: str, output: Path, task: TaskConfig, scores: Step, predictors: Mapping[str, Step], model: str, *more: str
) -> Step:
    """Fit gold scores to predictors by `ols` or `mixed`: a JSON document with coefficients and errors."""
    args = [
        *("regress", "--gold", str(scores.output)),
        *(word for shown, step in predictors.items() for word in ("--predict", f"{shown}={step.output}")),
        *("--sources", joined(task.sources), "--targets", joined(task.targets)),
        *("--model", model, *more),
        *("-o", str(output)),
    ]
    return Step(name, tuple(args), (output,), spare="--predict")


def predictors(config: RunConfig, task: TaskConfig, model: str | None = None) -> dict[str, Step]:
    """Return {name in the tables: step} of sub-networks and all baselines, in the order of table 2."""
    found = {**table_baselines(config, task), **text_baselines(config, task, model)}
    ordered = [name for name in ("L2V", "LEX", "SuE", "EMB", "NN-Rank", "LDND") if name in found]
    return {name: found[name] for name in ordered} | {XSNS: sub_networks(config, task, model)}


def _measuring(
    config: RunConfig,
    languages: Sequence[str],
    seeds: Sequence[int],
    examples: int | None,
    densities: Sequence[float],
) -> list[str]:
    return [
        *("--lang", joined(languages)),
        *("--examples", str(examples or config.examples)),
        *_each("--seed", seeds),
        *_each("--density", densities or (config.density,)),
        *_given("--max-length", config.max_length),
        *_machine(config),
    ]


def _machine(config: RunConfig) -> list[str]:
    return [*_device(config), *(["--precision", config.precision] if config.precision != "float32" else [])]


def _device(config: RunConfig) -> list[str]:
    return ["--device", config.device] if config.device != "cpu" else []


def _words(task: TaskConfig) -> tuple[str, ...]:
    """Return the option that says how the text of a task of words is read: as running text.

    It is said though it is the default, so that what an older version measured from words as given is not taken over.
    """
    return ("--words", "running") if HEADS[task.name] == "token-classification" else ()


def _with_text(task: TaskConfig, codes: Sequence[str]) -> tuple[str, ...]:
    """Return those of `codes` whose text can be read.

    Raises:
        LanguageError: There is none.
    """
    found = tuple(code for code in codes if code in task.texts)
    if not found:
        raise LanguageError(f"none of the languages of {task.title} has text to measure.", "give other data.")
    return found


def _each(option: str, values: Sequence[float]) -> list[str]:
    return [word for value in values for word in (option, str(value))]


def _given(option: str, value: object) -> list[str]:
    return [] if value is None else [option, str(value)]


def excess_scores(path: Path, sources: Sequence[str], targets: Sequence[str], seeds: Sequence[int]) -> str:
    """Return a sentence on the sources, targets and seeds of a file of scores that were not asked for.

    Raises:
        XsnsError: The file cannot be read.
    """
    from xsns_stream.gold import read_scores

    found = read_scores(path)
    more = _more(found.sources, sources, "sources") or _more(found.targets, targets, "targets")
    return _sentence(path, more or _more(found.seeds, seeds, "seeds"))


def excess_rows(path: Path, seeds: Sequence[int], densities: Sequence[float]) -> str:
    """Return a sentence on the seeds and densities of a store that were not asked for.

    Raises:
        XsnsError: The store cannot be read.
    """
    from xsns_stream.store import open_store

    found = open_store(path)
    return _sentence(path, _more(found.seeds, seeds, "seeds") or _more(found.densities, densities, "densities"))


def _more(found: Iterable[object], asked: Sequence[object], what: str) -> str:
    more = [str(one) for one in found if one not in asked]
    return f"{what} that were not asked for ({', '.join(more)})" if more else ""


def _sentence(path: Path, more: str) -> str:
    return f"'{path}' holds {more}: ask for these too, or give another --out." if more else ""
