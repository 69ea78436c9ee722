"""From options to a config: which data there are, and which languages of each pool they have."""

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
    PRESETS,
    TASKS,
    TOPIC_SOURCES,
    TOPIC_TARGETS,
    Preset,
    RunConfig,
    TaskConfig,
)

GENERAL, TYPOLOGY, LDND = "general", "typology", "ldnd"
#: Sources of a target without which there is nothing to choose.
FEWEST_CANDIDATES: Final = 2
KINDS: Final = (*TASKS, GENERAL, TYPOLOGY, LDND)
#: Names of these tables in a folder of data.
_TABLES: Final = {"feature_predictions.npz": TYPOLOGY, "ldnd.csv": LDND}
_HINT: Final = "write --data pos=FOLDER, or one folder that has folders pos, ner, …"


@dataclass(frozen=True)
class RunOptions:
    """What the options of `reproduce` say; None leaves it to the preset."""

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
    """A config, and the tasks that were meant to be in it and cannot be.

    Attributes:
        config: Of the run.
        failed: {task: why}; those that were merely not asked for are not among them.
    """

    config: RunConfig
    failed: Mapping[str, XsnsError] = field(default_factory=dict)


def plan(asked: RunOptions) -> Plan:
    """Find the data, and cut each task's pool to what they have.

    Raises:
        UsageError: A word of `--data` means nothing, or no task is left.
        LanguageError: A code is no language's.
        XsnsError: The data of the only task cannot be read.
    """
    preset = PRESETS[asked.preset]
    there = dict(preset.data) | ({GENERAL: preset.general} if preset.general else {}) | sort_out(asked.data)
    wanted = asked.tasks or tuple(name for name in TASKS if name in there)
    if asked.density is not None and not 0 < asked.density < 1:
        raise UsageError(f"a density of {asked.density:g} keeps no share of the parameters.", "0.15 is the paper's.")
    if unknown := [name for name in wanted if name not in TASKS]:
        raise UsageError(f"there is no task '{unknown[0]}'.", f"the tasks are {', '.join(TASKS)}.")
    tasks: dict[str, TaskConfig] = {}
    failed: dict[str, XsnsError] = {}
    for name in (name for name in TASKS if name in wanted):
        try:
            if name not in there:
                raise UsageError(f"there are no data for {name}.", f"add --data {name}=FOLDER.")
            tasks[name] = _task(name, there[name], asked, preset)
        except XsnsError as error:
            failed[name] = error
    if not tasks:
        raise next(iter(failed.values()), UsageError("there are no data of any task.", _HINT))
    others = {name: "no data were given for it." for name in TASKS if name not in there and name not in failed}
    left_out = others | {name: error.message for name, error in failed.items()}
    return Plan(_setting(asked, preset, tasks, left_out, there), failed)


def sort_out(words: Sequence[str]) -> dict[str, str]:
    """Return {kind: what was given for it} of the words of `--data`; a later word replaces an earlier one.

    Raises:
        UsageError: A word is neither KIND=SPEC nor a folder that has something of the kinds.
    """
    found: dict[str, str] = {}
    for word in words:
        kind, equals, spec = word.partition("=")
        if equals and kind in KINDS and spec:
            found[kind] = spec
        elif Path(word).is_dir():
            found |= _listed_in(Path(word))
        else:
            known = f"'{word}' is no folder, and '{kind}' no kind of data" if equals else f"there is no folder '{word}'"
            known = f"'{word}' names no data" if kind in KINDS and equals else known
            raise UsageError(f"{known}.", f"{_HINT} Kinds: {', '.join(KINDS)}.")
    return found


def _listed_in(folder: Path) -> dict[str, str]:
    entries = sorted(folder.iterdir())
    found = {entry.name: str(entry) for entry in entries if entry.is_dir() and entry.name in (*TASKS, GENERAL)}
    inside = next((sorted(entry.iterdir()) for entry in entries if entry.is_dir() and entry.name == TYPOLOGY), [])
    found |= {_TABLES[path.name]: str(path) for path in (*inside, *entries) if path.name in _TABLES}
    if not found:
        raise UsageError(f"the folder '{folder}' has none of: {', '.join(KINDS)}.", _HINT)
    return found


# ---------------------------------------------------------------------------------------- one task


def _task(name: str, spec: str, asked: RunOptions, preset: Preset) -> TaskConfig:
    papers = preset.data.get(name) == spec
    tuning = _each(asked.tuning_seeds) or preset.tuning_seeds.get(name, preset.tuning_seeds[""])
    fisher = _each(asked.fisher_seeds) or preset.fisher_seeds.get(name, preset.fisher_seeds[""])
    if papers:
        # The Hub is asked when steps run: what a recipe has is known.
        trained = tested = _known(name, preset)
    else:
        trained, tested = _languages(name, spec)
    sources, targets, notes = _pool(name, trained, tested, asked.languages)
    low = _low_resource(name, tested, targets, asked, preset)
    if len(sources) < FEWEST_CANDIDATES or not targets:
        raise UsageError(
            f"the data of {name} have too few languages: sources {listed(sources) or 'none'}, targets "
            f"{listed(targets) or 'none'}.",
            "two sources and a target are needed at least; see `xsns-stream transfer --help` for what data hold.",
        )
    if all(sum(source != target for source in sources) < FEWEST_CANDIDATES for target in (*targets, *low)):
        notes = (*notes, "no target has two other sources, so that there is nothing to rank.")
    pools = tuple(dict.fromkeys((*sources, *targets, *low)))
    measured = tuple(code for code in pools if code in trained)
    limit = asked.limit or preset.limit.get(name, preset.limit[""])
    test_limit = asked.test_limit or preset.test_limit.get(name, preset.test_limit[""])
    config = TaskConfig(
        name, spec, sources, targets, measured, tuning, fisher, low, limit=limit, test_limit=test_limit, notes=notes
    )
    own = PAPER_POOLS.get(name, ())
    return replace(config, papers=papers and set(sources) == set(targets) == set(own))


def _each(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return seeds, each once, in their order."""
    return tuple(dict.fromkeys(seeds))


def _languages(name: str, spec: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the languages that can be fine-tuned on, whose text can be measured too, and those that can be tested."""
    from xsns_stream.corpora import open_task

    corpus = open_task(spec, name)
    return corpus.languages("train"), corpus.languages("test")


def _known(name: str, preset: Preset) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*PAPER_POOLS[name], *preset.low_resource.get(name, ()))))


def _pool(
    name: str, trained: Sequence[str], tested: Sequence[str], only: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return sources and targets, as the data spell them, with notes on what the paper has and they have not."""
    if only:
        asked = tuple(dict.fromkeys(map(normalise, only)))
        lacking = [code for code in asked if code not in counterparts(asked, (*trained, *tested))]
        notes = (f"the data lack {', '.join(lacking)}, which --languages names.",) if lacking else ()
        return _those(asked, trained), _those(asked, tested), notes
    sides = (TOPIC_SOURCES, TOPIC_TARGETS) if name == "topic" else (PAPER_POOLS[name], PAPER_POOLS[name])
    sources, targets = _those(sides[0], trained), _those(sides[1], tested)
    if min(len(sources), len(targets)) < FEWEST:
        note = f"the data have {listed(sources) or 'none'} of the usual pool: all of their languages are taken instead."
        return tuple(trained), tuple(tested), (note,)
    lacking = [code for code in sides[1] if code not in counterparts(sides[1], (*trained, *tested))]
    where = "the pool" if name == "topic" else "the paper's pool"
    return sources, targets, (f"the data lack {', '.join(lacking)} of {where}.",) if lacking else ()


def _low_resource(
    name: str, tested: Sequence[str], targets: Sequence[str], asked: RunOptions, preset: Preset
) -> tuple[str, ...]:
    if asked.low_resource:
        chosen: Sequence[str] = [normalise(code) for code in asked.low_resource]
    elif asked.languages or name not in preset.low_resource:
        return ()
    else:
        chosen = preset.low_resource[name]
    return tuple(code for code in _those(chosen, tested) if code not in targets)


def _those(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return what `wanted` are called in `known`, in the order of wanting."""
    found = counterparts(tuple(wanted), tuple(known))
    return tuple(found[code] for code in wanted if code in found)


# ------------------------------------------------------------------------------------------- all of it


def _setting(
    asked: RunOptions,
    preset: Preset,
    tasks: Mapping[str, TaskConfig],
    left_out: Mapping[str, str],
    there: Mapping[str, str],
) -> RunConfig:
    model, general = asked.model or preset.model, there.get(GENERAL)
    # Other models are compared with the preset's own; with another model there is nothing to hold them against.
    others = asked.other_models or (preset.other_models if model == preset.model else ())
    return RunConfig(
        preset=asked.preset,
        out=asked.out,
        model=model,
        other_models=tuple(dict.fromkeys(name for name in others if name != model)),
        tasks=tasks,
        swept=_swept(asked, preset, tasks),
        left_out=left_out,
        general=general,
        general_languages=_general_languages(general, preset, tasks.values()),
        typology=there.get(TYPOLOGY),
        ldnd=there.get(LDND),
        examples=asked.examples or preset.examples,
        example_counts=preset.example_counts,
        density=DENSITY if asked.density is None else asked.density,
        densities=preset.densities,
        fisher_seeds=_each(asked.fisher_seeds) or preset.fisher_seeds[""],
        fine_tuning=asked.fine_tuning or preset.fine_tuning,
        epochs=asked.epochs,
        max_length=asked.max_length,
        neighbour_tokens=preset.neighbour_tokens,
        device=asked.device,
        precision=asked.precision,
        control=preset.control,
        command=asked.command,
    )


def _swept(asked: RunOptions, preset: Preset, tasks: Mapping[str, TaskConfig]) -> dict[str, TaskConfig]:
    """Return the preset's swept tasks; all where the command names its tasks, or has none of the preset's."""
    if asked.tasks or preset.swept is None:
        return dict(tasks)
    return {name: task for name, task in tasks.items() if name in preset.swept} or dict(tasks)


def _general_languages(general: str | None, preset: Preset, tasks: Iterable[TaskConfig]) -> tuple[str, ...]:
    """Return the languages of the tasks' pools that the general text has, as it spells them."""
    wanted = tuple(dict.fromkeys(code for task in tasks for code in (*task.sources, *task.targets)))
    if general is None:
        return ()
    if general == preset.general:
        return wanted
    from xsns_stream.corpora import open_corpus

    found = counterparts(wanted, open_corpus(general).languages())
    return tuple(dict.fromkeys(found[code] for code in wanted if code in found))
