"""Plan of a run: the configuration that follows from the options and the available data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.tables import listed
from xsns_stream.languages import counterparts, normalise
from xsns_stream.reproduce.config import (
    DENSITY,
    FEWEST,
    PAPER_POOLS,
    POOLS,
    PRESETS,
    Preset,
    RunConfig,
    TaskConfig,
)
from xsns_stream.tasks import TASKS

GENERAL, TYPOLOGY, LDND = "general", "typology", "ldnd"
#: Smallest number of sources to choose from.
MIN_CANDIDATES: Final = 2
KINDS: Final = (*TASKS, GENERAL, TYPOLOGY, LDND)
#: {file name in a folder of data: kind}.
_TABLES: Final = {"feature_predictions.npz": TYPOLOGY, "ldnd.csv": LDND}
_HINT: Final = "write --data pos=FOLDER, or give one folder with the subfolders pos, ner, …"


@dataclass(frozen=True)
class RunOptions:
    """Options of `reproduce`; an option that is None or empty has the value of the preset."""

    preset: str
    out: Path
    data: tuple[str, ...] = ()
    model: str | None = None
    other_models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    low_resource: tuple[str, ...] = ()
    examples: int | None = None
    density: float | None = None
    fisher_seeds: tuple[int, ...] = ()
    tuning_seeds: tuple[int, ...] = ()
    fine_tuning: str | None = None
    epochs: int | None = None
    limit: int | None = None
    test_limit: int | None = None
    max_length: int | None = None
    device: str = "cpu"
    precision: str = "float32"
    command: str = ""


@dataclass(frozen=True)
class Plan:
    """The configuration of a run, and the tasks that the run cannot include.

    Attributes:
        config: The configuration.
        failed: {task: error} of the requested tasks whose data cannot be used.
    """

    config: RunConfig
    failed: Mapping[str, XsnsError] = field(default_factory=dict)


def plan(options: RunOptions) -> Plan:
    """Find the data, restrict the pool of each task to the languages in the data, and return the plan.

    Raises:
        UsageError: A value of `--data` is invalid, no data were given for any task, or the preset has no model and none
            was given.
        LanguageError: A code is not a language code.
        XsnsError: The data of no task can be read; the error is that of the first task. If the data of only some tasks
            cannot be read, their errors are in the plan.
    """
    preset = PRESETS[options.preset]
    if not (options.model or preset.model):
        raise UsageError(
            f"the preset '{options.preset}' needs a model.",
            "name its folder or its GGUF file with --model; see docs/gemma.md.",
        )
    data = dict(preset.data) | ({GENERAL: preset.general} if preset.general else {}) | sort_out(options.data)
    wanted = options.tasks or tuple(name for name in TASKS if name in data)
    if options.density is not None and not 0 < options.density < 1:
        raise UsageError(f"the density must be between 0 and 1, not {options.density:g}.", "the paper uses 0.15.")
    if unknown := [name for name in wanted if name not in TASKS]:
        raise UsageError(f"'{unknown[0]}' is not a task.", f"the tasks are {', '.join(TASKS)}.")
    tasks: dict[str, TaskConfig] = {}
    failed: dict[str, XsnsError] = {}
    for name in (name for name in TASKS if name in wanted):
        try:
            if name not in data:
                raise UsageError(f"the data of {name} are missing.", f"add --data {name}=FOLDER.")
            tasks[name] = _task(name, data[name], options, preset)
        except XsnsError as error:
            failed[name] = error
    if not tasks:
        raise next(iter(failed.values()), UsageError("the data of all tasks are missing.", _HINT))
    others = {name: "no data were given for it." for name in TASKS if name not in data and name not in failed}
    left_out = others | {name: error.message for name, error in failed.items()}
    return Plan(_config(options, preset, tasks, left_out, data), failed)


def sort_out(words: Sequence[str]) -> dict[str, str]:
    """Return {kind: data} from `words`, the values of `--data`; a later value for a kind replaces an earlier value.

    Raises:
        UsageError: A value is neither KIND=SPEC nor a folder with data.
    """
    data: dict[str, str] = {}
    for word in words:
        kind, equals, spec = word.partition("=")
        if equals and kind in KINDS and spec:
            data[kind] = spec
        elif Path(word).is_dir():
            data |= _data_in_folder(Path(word))
        else:
            wrong = f"'{word}' is not a folder, and '{kind}' is not a kind of data"
            wrong = wrong if equals else f"the folder '{word}' does not exist"
            wrong = f"'{word}' does not name any data" if kind in KINDS and equals else wrong
            raise UsageError(f"{wrong}.", f"{_HINT} Kinds: {', '.join(KINDS)}.")
    return data


def _data_in_folder(folder: Path) -> dict[str, str]:
    entries = sorted(folder.iterdir())
    data = {entry.name: str(entry) for entry in entries if entry.is_dir() and entry.name in (*TASKS, GENERAL)}
    inside = next((sorted(entry.iterdir()) for entry in entries if entry.is_dir() and entry.name == TYPOLOGY), [])
    data |= {_TABLES[path.name]: str(path) for path in (*inside, *entries) if path.name in _TABLES}
    if not data:
        raise UsageError(f"the folder '{folder}' has no data of these kinds: {', '.join(KINDS)}.", _HINT)
    return data


# ---------------------------------------------------------------------------------------- one task


def _task(name: str, spec: str, options: RunOptions, preset: Preset) -> TaskConfig:
    papers = preset.data.get(name) == spec
    tuning = _distinct(options.tuning_seeds) or preset.tuning_seeds.get(name, preset.tuning_seeds[""])
    fisher = _distinct(options.fisher_seeds) or preset.fisher_seeds.get(name, preset.fisher_seeds[""])
    if papers:
        # The Hub is not read before steps run, because the languages of a preset are known.
        trained = tested = _preset_languages(name, preset)
    else:
        trained, tested = _languages(name, spec)
    sources, targets, notes = _pool(name, trained, tested, options.languages)
    low = _low_resource(name, tested, targets, options, preset)
    if len(sources) < MIN_CANDIDATES or not targets:
        raise UsageError(
            f"the data of {name} have too few languages: sources {listed(sources) or 'none'}, targets "
            f"{listed(targets) or 'none'}.",
            "at least two sources and one target are needed; see `xsns-stream transfer --help` for the form of data.",
        )
    if all(sum(source != target for source in sources) < MIN_CANDIDATES for target in (*targets, *low)):
        notes = (*notes, "no target has two other sources that could be ranked.")
    pools = tuple(dict.fromkeys((*sources, *targets, *low)))
    measured = tuple(code for code in pools if code in trained)
    limit = options.limit or preset.limit.get(name, preset.limit[""])
    test_limit = options.test_limit or preset.test_limit.get(name, preset.test_limit[""])
    config = TaskConfig(
        name, spec, sources, targets, measured, tuning, fisher, low, limit=limit, test_limit=test_limit, notes=notes
    )
    own = PAPER_POOLS.get(name, ())
    return replace(config, papers=papers and set(sources) == set(targets) == set(own))


def _distinct(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds in the given order, without duplicates."""
    return tuple(dict.fromkeys(seeds))


def _languages(name: str, spec: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the languages with training data and measurable text, and the languages with test data, of a task.

    `name` is the task, and `spec` is its data, as in `--data`.
    """
    from xsns_stream.corpora import open_task

    corpus = open_task(spec, name)
    return corpus.languages("train"), corpus.languages("test")


def _preset_languages(name: str, preset: Preset) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*PAPER_POOLS.get(name, ()), *preset.low_resource.get(name, ()))))


def _pool(
    name: str, trained: Sequence[str], tested: Sequence[str], only: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the sources and the targets of a task, and notes on requested languages that the data lack.

    `trained` and `tested` are the languages with training data and with test data; `only` are the languages that the
    user requested, and is empty if there is no request.

    Sources and targets have the codes that the data use.
    """
    if only:
        codes = tuple(dict.fromkeys(map(normalise, only)))
        lacking = [code for code in codes if code not in counterparts(codes, (*trained, *tested))]
        notes = (f"the data lack {', '.join(lacking)}, which --languages names.",) if lacking else ()
        return _spelled(codes, trained), _spelled(codes, tested), notes
    if name not in POOLS:
        return tuple(trained), tuple(tested), ()
    sides = POOLS[name]
    sources, targets = _spelled(sides[0], trained), _spelled(sides[1], tested)
    if min(len(sources), len(targets)) < FEWEST:
        note = (
            f"the data have only {listed(sources) or 'none'} of the usual pool; all languages of the data are used "
            "instead."
        )
        return tuple(trained), tuple(tested), (note,)
    lacking = [code for code in sides[1] if code not in counterparts(sides[1], (*trained, *tested))]
    where = "the paper's pool" if name in PAPER_POOLS else "the pool"
    return sources, targets, (f"the data lack {', '.join(lacking)} of {where}.",) if lacking else ()


def _low_resource(
    name: str, tested: Sequence[str], targets: Sequence[str], options: RunOptions, preset: Preset
) -> tuple[str, ...]:
    if options.low_resource:
        chosen: Sequence[str] = [normalise(code) for code in options.low_resource]
    elif options.languages or name not in preset.low_resource:
        return ()
    else:
        chosen = preset.low_resource[name]
    return tuple(code for code in _spelled(chosen, tested) if code not in targets)


def _spelled(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the languages of `wanted` that are in `known`, in the order of `wanted`, with the codes of `known`."""
    spellings = counterparts(tuple(wanted), tuple(known))
    return tuple(spellings[code] for code in wanted if code in spellings)


# --------------------------------------------------------------------------------------- the whole configuration


def _config(
    options: RunOptions,
    preset: Preset,
    tasks: Mapping[str, TaskConfig],
    left_out: Mapping[str, str],
    data: Mapping[str, str],
) -> RunConfig:
    model, general = options.model or preset.model, data.get(GENERAL)
    # The other models of a preset are used only with the preset's model, and not with a model that the user names.
    others = options.other_models or (preset.other_models if model == preset.model else ())
    return RunConfig(
        preset=options.preset,
        out=options.out,
        model=model,
        other_models=tuple(dict.fromkeys(name for name in others if name != model)),
        tasks=tasks,
        swept=_swept(options, preset, tasks),
        left_out=left_out,
        general=general,
        general_languages=_general_languages(general, preset, tasks.values()),
        typology=data.get(TYPOLOGY),
        ldnd=data.get(LDND),
        examples=options.examples or preset.examples,
        example_counts=preset.example_counts,
        density=DENSITY if options.density is None else options.density,
        densities=preset.densities,
        fisher_seeds=_distinct(options.fisher_seeds) or preset.fisher_seeds[""],
        fine_tuning=options.fine_tuning or preset.fine_tuning,
        epochs=options.epochs or preset.epochs,
        learning_rate=preset.learning_rate,
        max_length=options.max_length or preset.max_length,
        neighbour_tokens=preset.neighbour_tokens,
        device=options.device,
        precision=options.precision,
        controls=preset.controls,
        command=options.command,
    )


def _swept(options: RunOptions, preset: Preset, tasks: Mapping[str, TaskConfig]) -> dict[str, TaskConfig]:
    """Return the tasks of the sweeps.

    These are the tasks that the preset names for sweeps. If the options name tasks, or if none of the preset's tasks is
    run, all tasks are returned.
    """
    if options.tasks or preset.swept is None:
        return dict(tasks)
    return {name: task for name, task in tasks.items() if name in preset.swept} or dict(tasks)


def _general_languages(general: str | None, preset: Preset, tasks: Iterable[TaskConfig]) -> tuple[str, ...]:
    """Return the languages that the tasks need and that have general text, with the codes that this text uses."""
    wanted = tuple(dict.fromkeys(code for task in tasks for code in (*task.sources, *task.targets)))
    if general is None:
        return ()
    if general == preset.general and preset.data:
        # The general text of a preset with data on the Hub is there too, and the Hub is not read before steps run.
        return wanted
    from xsns_stream.corpora import open_corpus

    spellings = counterparts(wanted, open_corpus(general).languages())
    return tuple(dict.fromkeys(spellings[code] for code in wanted if code in spellings))
