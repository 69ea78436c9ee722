"""Fine-tuning of all units: fine-tune, test, commit; skip finished units; collect errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.corpora import TaskCorpus
from xsns_stream.errors import ModelError, PartialError, UsageError, XsnsError
from xsns_stream.gold import SCORE_FORMATS, write_scores
from xsns_stream.io.atomic import writable
from xsns_stream.pipeline.events import (
    StepsDone,
    TransferEvent,
    TransferPlan,
    TransferResult,
    UnitDone,
    UnitFailed,
    UnitsAwaited,
    UnitStarted,
)
from xsns_stream.pipeline.finetune_settings import (
    OVERLAP,
    TransferData,
    TransferSettings,
    Unit,
    overlaps,
    read_data,
    run_notes,
    transfer_settings,
)
from xsns_stream.pipeline.scheduling import SharedItems
from xsns_stream.pipeline.units import UnitFolder, check_beside, check_same, check_tests, other_versions
from xsns_stream.transfer import Task, fine_tune, save_model, score, time_steps
from xsns_stream.types import TestScore, TransferRun, TransferScores
from xsns_stream.types.provenance import library_versions

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


#: Errors that end the run, because every unit would raise them.
_FATAL: Final = (ModelError, UsageError)
#: Entry in the record of a unit's training: the digest of the model that was kept.
_KEPT: Final = "kept"


def transfer(
    data: str | TaskCorpus,
    *,
    task: str,
    output: str | Path = "gold.parquet",
    metric: str | None = None,
    progress: bool = True,
    on_event: Callable[[TransferEvent], None] = lambda event: None,
    **options: Any,
) -> TransferScores:
    """Fine-tune a model on each source and test it on every target: what `xsns-stream transfer` does.

    Each (source, seed) is a unit of work. Its scores are written to the folder `OUTPUT.units` as soon as it is
    finished, and `output` holds the scores of all units: running again continues where the last run stopped.

    >>> import xsns_stream as xs
    >>> xs.transfer("no-such-folder", task="pos", sources="en")
    Traceback (most recent call last):
        ...
    xsns_stream.errors.CorpusError: there is no folder or data set 'no-such-folder'.

    Args:
        data: Labelled data: a folder, a recipe such as `wikiann`, or `RECIPE=FOLDER` for a local copy.
        task: `ner`, `pos`, `nli`, `pi`, `qa` or `topic`.
        output: File of gold scores, .parquet or .csv.
        metric: The metric in the file and in the result; the first metric of the task by default.
        progress: Whether to show progress and notes on stderr.
        on_event: Called with each event of :mod:`xsns_stream.pipeline.events`, in order.
        **options: Everything that the verb has as an option, under the same name: `model` (default mini), `revision`,
            `sources`, `mix`, `targets` (all), `pairs`, `seeds` (42), `preset` (quick), `epochs`, `patience`,
            `learning_rate`, `batch_size`, `max_length`, `evaluation_batch`, `limit`, `test_limit`, `device`,
            `precision`, `keep_models`, `config`, `data_revision`, `relabel`. `docs/transfer.md` describes them.

    Returns:
        The scores of all units in the folder.

    Raises:
        PartialError: Some languages or units failed; the others are in the file.
        IncompatibleError: The folder holds units with other settings.
        CorpusError, LanguageError: The data cannot be read, or lack a language.
        UsageError: An option is not valid.
        ModelError: The model cannot be loaded.
    """
    from xsns_stream.pipeline.progress import TransferProgress, notebook_console

    target = check_output(output)
    settings = transfer_settings(data, task=task, **options)
    check_metric(settings.task, metric)
    read = read_data(settings)
    console = notebook_console()
    notes = (*read.notes, *(f"{language} failed: {error.message}" for language, error in read.failed.items()))
    for sentence in notes if progress else ():
        console.print(f"note: {sentence}", soft_wrap=True)
    load = ModelLoader(settings, read.labels)
    plan = plan_transfer(settings, read, units_folder(target), load, timed=False)
    with TransferProgress(console, len(plan.todo)) if progress else nullcontext() as bar:

        def notify(event: TransferEvent) -> None:
            if bar is not None:
                bar(event)
            on_event(event)

        result = transfer_to_file(settings, read, target, metric, load, notify)
    refuse_failures(result, read)
    if result.scores is None:
        raise XsnsError("no unit was fine-tuned.", "check sources, targets and pairs.")
    return gold_scores(UnitFolder(units_folder(target)).all(), settings, metric)


def check_output(output: str | Path) -> Path:
    """Return the path of a file of gold scores.

    Raises:
        UsageError: Its suffix is not a known format, or it cannot be written.
    """
    return writable(output, SCORE_FORMATS)


def units_folder(output: Path) -> Path:
    """Return the folder of the units beside a file of gold scores."""
    return output.with_name(f"{output.name}.units")


def check_metric(task: Task, metric: str | None) -> None:
    """Check that a task has a metric.

    Raises:
        UsageError: It does not.
    """
    if metric is not None and metric not in task.metrics:
        raise UsageError(f"{task.name} has no metric '{metric}'.", f"it has {', '.join(task.metrics)}.")


class ModelLoader:
    """Loads the model of fine-tuning with a head drawn by a seed, and collects notes on how it was loaded.

    Args:
        settings: The settings, which name the model.
        labels: Names of the classes of the head.
        on_note: Called once with each note.

    Attributes:
        notes: The notes so far, each once.
    """

    def __init__(
        self, settings: TransferSettings, labels: Sequence[str], on_note: Callable[[str], None] = lambda note: None
    ) -> None:
        self._settings, self._label_count, self._on_note = settings, len(labels) or None, on_note
        self.notes: list[str] = []

    def __call__(self, seed: int) -> LoadedModel:
        """Load the model."""
        from xsns_stream.models import load_model

        loaded = load_model(
            self._settings.model,
            revision=self._settings.revision,
            device=self._settings.fine_tuning.device,
            objective=self._settings.task.kind,
            label_count=self._label_count,
            head_seed=seed,
        )
        for sentence in loaded.notes:
            if sentence not in self.notes:
                self.notes.append(sentence)
                self._on_note(sentence)
        return loaded


def refuse_failures(result: TransferResult, data: TransferData) -> None:
    """Raise an error where languages or units failed, after everything else was done.

    Raises:
        PartialError: Some failed, or another process still has units.
    """
    problems = dict(data.failed) | {str(unit): error for unit, error in result.failed.items()}
    if problems:
        first = next(iter(problems.values()))
        raise PartialError(
            f"{len(problems)} failed: {', '.join(problems)}.",
            f"the others are in the file. The first: {first.message} {first.hint}".rstrip(),
        )
    if result.elsewhere:
        number = len(result.elsewhere)
        raise PartialError(
            f"{number:,} {'unit is' if number == 1 else 'units are'} being fine-tuned by another process.",
            "run the same command when that process is finished.",
        )


def transfer_to_file(
    settings: TransferSettings,
    data: TransferData,
    output: Path,
    metric: str | None,
    load: Callable[[int], LoadedModel],
    on_event: Callable[[TransferEvent], None],
) -> TransferResult:
    """Make every missing unit, and write the scores of all units to a file after each.

    Args:
        settings: Settings of the units.
        data: What :func:`~xsns_stream.pipeline.finetune_settings.read_data` returned.
        output: File of gold scores; the units are in the folder beside it.
        metric: The metric in the file; None is the first metric of the task.
        load: Seed of the head → model.
        on_event: Called with each event, in order.
    """
    folder = units_folder(output)

    def write() -> None:
        units = UnitFolder(folder)
        with units.writing():
            runs = units.all()
            if runs:
                write_scores(gold_scores(runs, settings, metric), output)

    def notify(event: TransferEvent) -> None:
        on_event(event)
        if isinstance(event, UnitDone):
            write()

    result = run_transfer(settings, data, folder, load, notify)
    write()
    return result


def plan_transfer(
    settings: TransferSettings, data: TransferData, folder: Path, load: Callable[[int], LoadedModel], *, timed: bool
) -> TransferPlan:
    """Return which units are finished and which are missing, with an estimate of the time.

    Args:
        settings: Settings of the units.
        data: What :func:`~xsns_stream.pipeline.finetune_settings.read_data` returned.
        folder: Folder of the units.
        load: Seed of the head → model.
        timed: Whether to load the model and measure the time of a few steps.

    Raises:
        IncompatibleError: A finished unit has other settings.
    """
    run = _Run(settings, data, UnitFolder(folder), load)
    run.check_beside()
    todo = tuple(unit for unit in run.units if run.missing(unit))
    done = tuple(unit for unit in run.units if unit not in set(todo))
    kept = tuple(unit for unit in todo if run.has_model(unit))
    again = tuple(unit for unit in todo if run.folder.read(unit) is not None and unit not in kept)
    notes = tuple(other_versions(run.folder.all()))
    if lost := [unit for unit in done if settings.keep_models is not None and not run.has_model(unit)]:
        names = ", ".join(map(str, lost))
        notes += (
            f"their models were not kept, and are not fine-tuned again while their scores are in '{folder}': {names}.",
        )
    if not timed or not todo:
        return TransferPlan(todo, done, again, kept, notes)
    unit = todo[0]
    loaded = load(unit.seed)
    times = time_steps(
        loaded.model,
        loaded.tokenizer,
        settings.task,
        data.labels,
        data.train[unit.source][0],
        next(iter(data.test.values())),
        settings.fine_tuning,
    )
    epochs = settings.fine_tuning.epochs
    tuned = [unit for unit in todo if unit not in kept]
    training = sum(epochs * sum(map(len, data.train[unit.source])) for unit in tuned)
    dev = sum(epochs * sum(map(len, data.dev[unit.source])) for unit in tuned)
    tests = sum(
        len(data.test[target]) for unit in todo for target in (run.missing(unit) if unit in kept else run.targets(unit))
    )
    return TransferPlan(todo, done, again, kept, notes, times, training, dev + tests)


def run_transfer(
    settings: TransferSettings,
    data: TransferData,
    folder: Path,
    load: Callable[[int], LoadedModel],
    on_event: Callable[[TransferEvent], None] = lambda event: None,
) -> TransferResult:
    """Make every missing unit, and commit each as soon as it is finished.

    Several processes may share a folder: each takes the next unit that no process holds. At the end it waits for the
    units of other processes, and makes those whose process died.

    Args:
        settings: Settings of the units.
        data: What :func:`~xsns_stream.pipeline.finetune_settings.read_data` returned.
        folder: Folder of the units.
        load: Seed of the head → model.
        on_event: Called with each event, in order.

    Raises:
        IncompatibleError: A finished unit has other settings.
        ModelError, UsageError: Nothing can be fine-tuned with these settings.
    """
    run = _Run(settings, data, UnitFolder(folder), load)
    run.check_beside()
    if settings.keep_models is not None:
        settings.keep_models.mkdir(parents=True, exist_ok=True)
    done = _Done()
    with SharedItems(
        [unit for unit in run.units if run.missing(unit)],
        run.folder.claimed,
        lambda unit: not run.missing(unit),
        done.by_others.append,
        lambda units: on_event(UnitsAwaited(tuple(units))),
    ) as shared:
        for unit in chain(shared.free(), shared.deferred()):
            try:
                _make_unit(unit, run, done, on_event)
            finally:
                shared.release(unit)
    runs = tuple(found for unit in run.units if (found := run.folder.read(unit)) is not None)
    there = run.folder.all()
    scores = gold_scores(there, settings) if there else None
    return TransferResult(scores, runs, tuple(done.committed), done.failed, (), tuple(done.by_others))


@dataclass
class _Done:
    """Results of the units so far; the fields are those of :class:`TransferResult`."""

    committed: list[Unit] = field(default_factory=list)
    by_others: list[Unit] = field(default_factory=list)
    failed: dict[Unit, XsnsError] = field(default_factory=dict)


def _make_unit(unit: Unit, run: _Run, done: _Done, on_event: Callable[[TransferEvent], None]) -> None:
    """Make a unit that this process has claimed, and commit it."""
    on_event(UnitStarted(unit))
    started = time.perf_counter()
    try:
        made, loaded = run.make(unit, on_event)
    except _FATAL:
        raise
    except XsnsError as error:
        done.failed[unit] = error
        on_event(UnitFailed(unit, error))
        return
    # Another process may have begun with other settings at the same time: the first to commit decides.
    run.check_beside()
    run.folder.write(made)
    done.committed.append(unit)
    try:
        run.keep(unit, made, loaded)
    except XsnsError as error:
        done.failed[unit] = error
        on_event(UnitFailed(unit, error))
        return
    on_event(UnitDone(unit, made, time.perf_counter() - started))


def gold_scores(runs: Sequence[TransferRun], settings: TransferSettings, metric: str | None = None) -> TransferScores:
    """Return the scores of units as one table; NaN where nothing was measured.

    Args:
        runs: At least one.
        settings: Settings that give the order of sources, targets and seeds, and the origin of the scores.
        metric: A metric of the task; None is its first.

    Raises:
        UsageError: The task has no such metric.
    """
    task = settings.task
    check_metric(task, metric)
    wanted = metric or task.metrics[0]
    sources = _ordered(settings.sources, [run.source for run in runs])
    targets = _ordered(settings.targets, [target for run in runs for target in run.scores])
    seeds = _ordered(settings.seeds, [run.seed for run in runs])
    cells = np.full((1, len(seeds), len(sources), len(targets)), np.nan)
    for run in runs:
        for target, known in run.scores.items():
            place = 0, seeds.index(run.seed), sources.index(run.source), targets.index(target)
            cells[place] = known.metrics[wanted]
    limit = f", {settings.limit} training examples" if settings.limit else ""
    origin = f"xsns-stream transfer: {settings.model} on {settings.corpus.name}, {settings.fine_tuning.preset}{limit}"
    return TransferScores(
        sources, targets, cells, task.name, wanted, task.unit, origin, seeds=seeds, notes=run_notes(runs)
    )


def _ordered(first: Sequence[Any], values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the distinct values: those of `first` in its order, then the others, sorted."""
    distinct = set(values)
    return (*(value for value in first if value in distinct), *sorted(distinct - set(first)))


@dataclass(frozen=True)
class _Run:
    """Settings, data and folder of the units, with what depends on all of them."""

    settings: TransferSettings
    data: TransferData
    folder: UnitFolder
    load: Callable[[int], LoadedModel]
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units whose source has data and a target."""
        return tuple(unit for unit in self.settings.units() if unit.source in self.data.train and self.targets(unit))

    def targets(self, unit: Unit) -> tuple[str, ...]:
        """Return the targets that the unit is tested on and that have data."""
        return tuple(target for target in self.settings.targets_of(unit.source) if target in self.data.test)

    def missing(self, unit: Unit) -> tuple[str, ...]:
        """Return the targets that the unit was not tested on yet; all targets where it is not finished.

        Raises:
            IncompatibleError: The finished unit has other settings, or was tested on other data.
        """
        known = self.folder.read(unit)
        if known is None:
            return self.targets(unit)
        check_same(known, self._settings(unit), self.folder.folder)
        check_tests(known, self._tests(), self.folder.folder)
        return tuple(target for target in self.targets(unit) if target not in known.scores)

    def make(self, unit: Unit, on_event: Callable[[TransferEvent], None]) -> tuple[TransferRun, LoadedModel]:
        """Fine-tune and test a model; where a model was kept, test it on the missing targets."""
        known, loaded = self.folder.read(unit), self._load_kept(unit)
        if known is not None and loaded is not None:
            training, tests = dict(known.training), self.missing(unit)
        else:
            loaded = self.load(unit.seed)
            training, tests = self._fine_tune(unit, loaded, on_event), self.targets(unit)
        if shared := self._shared(unit, tests):
            training[OVERLAP] = dict(training.get(OVERLAP, {})) | shared
        scores = dict(known.scores) if known is not None else {}
        scores |= self._test(unit, loaded, tests, on_event)
        digests = (known.settings.get("tests", {}) if known else {}) | {t: self.data.test[t].digest for t in tests}
        settings = self._settings(unit) | {"tests": digests, "versions": library_versions()}
        return TransferRun(unit.source, unit.seed, scores, training, settings), loaded

    def _shared(self, unit: Unit, tests: Sequence[str]) -> dict[str, list[int]]:
        """Return {target: [test examples that the unit is trained on, all test examples]}, without zeros."""
        wanted = {target: self.data.test[target] for target in tests}
        found = overlaps({unit.source: self.data.train[unit.source]}, wanted).get(unit.source, {})
        return {target: [count, len(wanted[target])] for target, count in found.items()}

    def keep(self, unit: Unit, made: TransferRun, loaded: LoadedModel) -> None:
        """Write a unit's model, where models are kept and this one is not written yet.

        Raises:
            XsnsError: The model cannot be written.
        """
        kept = self._kept(unit)
        if kept is not None and _KEPT not in made.training:
            save_model(loaded.model, loaded.tokenizer, kept, self.data.labels)
            self.folder.write(replace(made, training={**made.training, _KEPT: _digest(kept)}))

    def check_beside(self) -> None:
        """Check the finished units of other sources, because one file of scores holds all of them.

        Raises:
            IncompatibleError: A unit has other settings.
        """
        units = self.units
        for known in self.folder.all() if units else ():
            check_tests(known, self._tests(), self.folder.folder)
            if Unit(known.source, known.seed) not in units:
                check_beside(known, self._settings(units[0]), self.folder.folder)

    def _tests(self) -> dict[str, str]:
        """Return {target: digest of its test data}."""
        return {target: split.digest for target, split in self.data.test.items()}

    def has_model(self, unit: Unit) -> bool:
        """Return whether the very model of a unit's scores was kept; a model of another run does not count."""
        known, kept = self.folder.read(unit), self._kept(unit)
        if known is None or kept is None or not (kept / "config.json").is_file():
            return False
        return bool(known.training.get(_KEPT) == _digest(kept))

    def _load_kept(self, unit: Unit) -> LoadedModel | None:
        if not self.has_model(unit):
            return None
        from xsns_stream.models import load_model

        return load_model(
            str(self._kept(unit)),
            device=self.settings.fine_tuning.device,
            objective=self.settings.task.kind,
            label_count=len(self.data.labels) or None,
        )

    def _fine_tune(self, unit: Unit, loaded: LoadedModel, on_event: Callable[[TransferEvent], None]) -> dict[str, Any]:
        def on_step(done: int, total: int, dev: float | None) -> None:
            on_event(StepsDone(unit, done, total, "" if dev is None else f"dev {dev:.1f}"))

        return fine_tune(
            loaded.model,
            loaded.tokenizer,
            self.settings.task,
            self.data.labels,
            self.data.train[unit.source],
            self.data.dev[unit.source],
            self.settings.fine_tuning,
            unit.seed,
            on_step=on_step,
        ).training

    def _test(
        self, unit: Unit, loaded: LoadedModel, targets: Sequence[str], on_event: Callable[[TransferEvent], None]
    ) -> dict[str, TestScore]:
        found = {}
        for number, target in enumerate(targets, 1):
            found[target] = score(
                loaded.model,
                loaded.tokenizer,
                self.settings.task,
                self.data.labels,
                self.data.test[target],
                self.settings.fine_tuning,
            )
            on_event(StepsDone(unit, number, len(targets), f"testing {target}"))
        return found

    def _kept(self, unit: Unit) -> Path | None:
        folder = self.settings.keep_models
        return None if folder is None else folder / unit.file_name

    def _settings(self, unit: Unit) -> dict[str, Any]:
        """Return the settings that decide the unit's result, without its test data."""
        if not self.digests:
            loaded = self.load(0)
            self.digests.update(weights=loaded.weights_digest, tokenizer=loaded.tokenizer_digest, name=loaded.name)
        return {
            "task": self.settings.task.name,
            "model": self.digests["name"],
            "weights": self.digests["weights"],
            "tokenizer": self.digests["tokenizer"],
            "labels": list(self.data.labels),
            "limit": self.settings.limit,
            "train": {split.language: split.digest for split in self.data.train[unit.source]},
            "dev": {split.language: split.digest for split in self.data.dev[unit.source]},
            **self.settings.fine_tuning.as_record(),
        }


def _digest(model: Path) -> str:
    from xsns_stream.models.huggingface import digest_files

    return digest_files([*model.glob("*.safetensors"), model / "config.json"])
