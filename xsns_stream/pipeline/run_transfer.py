"""The loop over units of fine-tuning.

For each unit that is not finished, it fine-tunes a model, tests it and commits the scores. Errors that concern one unit
are collected.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import ModelError, UsageError, XsnsError
from xsns_stream.pipeline.cluster_clients import PROCESS_BYTES, Workers
from xsns_stream.pipeline.events import (
    StepsDone,
    TransferEvent,
    TransferPlan,
    TransferResult,
    UnitByOther,
    UnitDone,
    UnitFailed,
    UnitsAwaited,
    UnitStarted,
)
from xsns_stream.pipeline.finetune_data import OVERLAP, TransferData, overlaps
from xsns_stream.pipeline.finetune_settings import TransferSettings, Unit
from xsns_stream.pipeline.measure import free_memory
from xsns_stream.pipeline.scheduling import SharedItems
from xsns_stream.pipeline.units import (
    LABEL_AT,
    UnitFolder,
    check_beside,
    check_same,
    check_tests,
    gold_scores,
    other_versions,
)
from xsns_stream.transfer import fine_tune, save_model, score, time_steps
from xsns_stream.transfer.encoding import labelled_token
from xsns_stream.types import TestScore, TransferRun
from xsns_stream.types.provenance import library_versions

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


#: Errors that end the run, because every unit would raise them.
_FATAL: Final = (ModelError, UsageError)
#: Number of arrays of the size of the weights: weights, gradients, two moments of AdamW, weights of the best epoch.
_COPIES_OF_WEIGHTS: Final = 5
#: Key in the training record of a unit; its value is the digest of the saved model.
_MODEL_DIGEST: Final = "kept"


class ModelLoader:
    """Function object that loads the model for fine-tuning, and collects the notes about the loading.

    Its argument is the seed for the initialisation of the head.

    Args:
        settings: The settings of the units, which include the name of the model.
        labels: Names of the classes of the head.
        on_note: Called once with each distinct note.

    Attributes:
        notes: The notes so far, without duplicates.
    """

    def __init__(
        self, settings: TransferSettings, labels: Sequence[str], on_note: Callable[[str], None] = lambda note: None
    ) -> None:
        self._settings, self._label_count, self._on_note = settings, len(labels) or None, on_note
        self.notes: list[str] = []

    def __call__(self, seed: int) -> LoadedModel:
        """Load the model with a head that is initialised by `seed`."""
        from xsns_stream.models import load_model

        loaded = load_model(
            self._settings.model,
            revision=self._settings.revision,
            device=self._settings.fine_tuning.device,
            objective=self._settings.task.objective,
            label_count=self._label_count,
            head_seed=seed,
        )
        for sentence in loaded.notes:
            if sentence not in self.notes:
                self.notes.append(sentence)
                self._on_note(sentence)
        return loaded


def plan_transfer(
    settings: TransferSettings,
    data: TransferData,
    folder: Path,
    load: Callable[[int], LoadedModel],
    *,
    timed: bool,
    workers: Workers | None = None,
) -> TransferPlan:
    """Return the finished and the missing units, and an estimate of the time for the missing units.

    Args:
        settings: Settings of the units.
        data: The data, from :func:`~xsns_stream.pipeline.finetune_data.read_data`.
        folder: Folder of the units.
        load: Function that takes the seed of the head and returns the model.
        timed: Whether to load the model and measure the time of a few steps; otherwise there is no estimate.
        workers: The workers that would fine-tune; None for this process.

    Raises:
        IncompatibleError: A finished unit has other settings.
    """
    run = UnitsRun(settings, data, UnitFolder(folder), load)
    run.check_beside()
    todo = tuple(unit for unit in run.units if run.missing(unit))
    done = tuple(unit for unit in run.units if unit not in set(todo))
    kept = tuple(unit for unit in todo if run.has_model(unit))
    again = tuple(unit for unit in todo if run.folder.read(unit) is not None and unit not in kept)
    notes = tuple(other_versions(run.folder.all()))
    if lost := [unit for unit in done if settings.keep_models is not None and not run.has_model(unit)]:
        names = ", ".join(map(str, lost))
        notes += (
            f"the models of these units were not saved; to fine-tune a unit again, delete its file in '{folder}': "
            f"{names}.",
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
    sizes = {unit: run.sizes(unit, tested_only=unit in kept) for unit in todo}
    seconds = [trained * times.training + tested * times.testing for trained, tested in sizes.values()]
    number = None if workers is None else workers.count(worker_memory(loaded, settings), free_memory(loaded.model))
    return TransferPlan(
        todo,
        done,
        again,
        kept,
        notes,
        times,
        sum(trained for trained, _ in sizes.values()),
        sum(tested for _, tested in sizes.values()),
        workers=number,
        # No unit is divided between workers.
        seconds_on_workers=None if not number else max(sum(seconds) / number, *seconds),
    )


def run_transfer(
    settings: TransferSettings,
    data: TransferData,
    folder: Path,
    load: Callable[[int], LoadedModel],
    on_event: Callable[[TransferEvent], None] = lambda event: None,
) -> TransferResult:
    """Compute every missing unit, and commit each unit as soon as it is finished.

    Several processes may share a folder. Each process takes the next unit that no process has claimed. At the end, it
    waits for the units that other processes have claimed, and computes those that they leave unfinished.

    Args:
        settings: Settings of the units.
        data: The data, from :func:`~xsns_stream.pipeline.finetune_data.read_data`.
        folder: Folder of the units.
        load: Function that takes the seed of the head and returns the model.
        on_event: Called with each event, in order.

    Raises:
        IncompatibleError: A finished unit has other settings.
        ModelError, UsageError: Fine-tuning is not possible with these settings.
    """
    run = prepare_units(settings, data, folder, load)
    done = UnitsDone()

    def by_other(unit: Unit) -> None:
        done.by_others.append(unit)
        on_event(UnitByOther(unit))

    with SharedItems(
        [unit for unit in run.units if run.missing(unit)],
        run.folder.claimed,
        lambda unit: not run.missing(unit),
        by_other,
        lambda units: on_event(UnitsAwaited(tuple(units))),
    ) as shared:
        for unit in chain(shared.free(), shared.deferred()):
            try:
                make_unit(unit, run, done, on_event)
            finally:
                shared.release(unit)
    return done.result(run)


def prepare_units(
    settings: TransferSettings, data: TransferData, folder: Path, load: Callable[[int], LoadedModel]
) -> UnitsRun:
    """Check the finished units of a folder, and create the folder for saved models if models are saved.

    Raises:
        IncompatibleError: A finished unit has other settings.
    """
    run = UnitsRun(settings, data, UnitFolder(folder), load)
    run.check_beside()
    if settings.keep_models is not None:
        settings.keep_models.mkdir(parents=True, exist_ok=True)
    return run


@dataclass
class UnitsDone:
    """Results of a run so far; the fields have the meaning of the fields of :class:`TransferResult`."""

    committed: list[Unit] = field(default_factory=list)
    by_others: list[Unit] = field(default_factory=list)
    failed: dict[Unit, XsnsError] = field(default_factory=dict)

    def result(self, run: UnitsRun) -> TransferResult:
        """Return the result of a run that has ended."""
        runs = tuple(finished for unit in run.units if (finished := run.folder.read(unit)) is not None)
        there = run.folder.all()
        scores = gold_scores(there, run.settings) if there else None
        return TransferResult(scores, runs, tuple(self.committed), self.failed, (), tuple(self.by_others))


def make_unit(unit: Unit, run: UnitsRun, done: UnitsDone, on_event: Callable[[TransferEvent], None]) -> None:
    """Fine-tune and test a unit that this process has claimed, and commit it; record an error of the unit in `done`."""
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
    # Another process may have begun with other settings at the same time; the first commit decides.
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


@dataclass(frozen=True)
class UnitsRun:
    """Settings, data and folder of the units, and the methods that need all of them.

    Attributes:
        settings: The settings.
        data: The data of the units.
        folder: The folder of the units.
        load: Function that takes the seed of the head and returns the model.
        digests: Name of the model, digests of its weights and tokenizer, and, for labels of words, the token of a word
            that has its label; empty until they are needed.
    """

    settings: TransferSettings
    data: TransferData
    folder: UnitFolder
    load: Callable[[int], LoadedModel]
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that have data of their source and of at least one target."""
        return tuple(unit for unit in self.settings.units() if unit.source in self.data.train and self.targets(unit))

    def targets(self, unit: Unit) -> tuple[str, ...]:
        """Return the targets of the unit that have data."""
        return tuple(target for target in self.settings.targets_of(unit.source) if target in self.data.test)

    def missing(self, unit: Unit) -> tuple[str, ...]:
        """Return the targets on which the unit was not tested yet; all targets if it is not finished.

        Raises:
            IncompatibleError: The finished unit has other settings, or was tested on other data.
        """
        finished = self.folder.read(unit)
        if finished is None:
            return self.targets(unit)
        check_same(finished, self.record(unit), self.folder.folder)
        check_tests(finished, self.test_digests(), self.folder.folder)
        return tuple(target for target in self.targets(unit) if target not in finished.scores)

    def sizes(self, unit: Unit, *, tested_only: bool) -> tuple[int, int]:
        """Return how many examples a unit trains on in all epochs, and how many it tests on.

        The second number counts the test data once, and the dev data once for every epoch.

        Args:
            unit: A unit that is not finished.
            tested_only: Whether the unit is only tested on the missing targets, because its model was saved.
        """
        if tested_only:
            return 0, sum(len(self.data.test[target]) for target in self.missing(unit))
        epochs = self.settings.fine_tuning.epochs
        tested = sum(len(self.data.test[target]) for target in self.targets(unit))
        dev = sum(map(len, self.data.dev[unit.source]))
        return epochs * sum(map(len, self.data.train[unit.source])), epochs * dev + tested

    def make(self, unit: Unit, on_event: Callable[[TransferEvent], None]) -> tuple[TransferRun, LoadedModel]:
        """Fine-tune a model and test it; if the model of the unit was saved, only test it on the missing targets."""
        finished, loaded = self.folder.read(unit), self._load_kept(unit)
        if finished is not None and loaded is not None:
            training, tests = dict(finished.training), self.missing(unit)
        else:
            loaded = self.load(unit.seed)
            training, tests = self._fine_tune(unit, loaded, on_event), self.targets(unit)
        if shared := self._shared(unit, tests):
            training[OVERLAP] = dict(training.get(OVERLAP, {})) | shared
        scores = dict(finished.scores) if finished is not None else {}
        scores |= self._test(unit, loaded, tests, on_event)
        digests = (finished.settings.get("tests", {}) if finished else {}) | {
            t: self.data.test[t].digest for t in tests
        }
        settings = self.record(unit) | {"tests": digests, "versions": library_versions()}
        return TransferRun(unit.source, unit.seed, scores, training, settings), loaded

    def _shared(self, unit: Unit, tests: Sequence[str]) -> dict[str, list[int]]:
        """Return {target: [number of test examples in the training data, number of test examples]}, without zeros."""
        wanted = {target: self.data.test[target] for target in tests}
        shared = overlaps({unit.source: self.data.train[unit.source]}, wanted).get(unit.source, {})
        return {target: [count, len(wanted[target])] for target, count in shared.items()}

    def keep(self, unit: Unit, made: TransferRun, loaded: LoadedModel) -> None:
        """Save the model of a unit, if the settings request it and the model is not saved yet.

        Raises:
            XsnsError: The model cannot be written.
        """
        folder = self._model_folder(unit)
        if folder is not None and _MODEL_DIGEST not in made.training:
            save_model(loaded.model, loaded.tokenizer, folder, self.data.labels)
            self.folder.write(replace(made, training={**made.training, _MODEL_DIGEST: _digest(folder)}))

    def check_beside(self) -> None:
        """Check that finished units of other sources have the settings of this run; one file contains all scores.

        Raises:
            IncompatibleError: A finished unit has other settings than this run.
        """
        units = self.units
        for finished in self.folder.all() if units else ():
            check_tests(finished, self.test_digests(), self.folder.folder)
            if Unit(finished.source, finished.seed) not in units:
                check_beside(finished, self.record(units[0]), self.folder.folder)

    def test_digests(self) -> dict[str, str]:
        """Return {target: digest of its test data}, without targets that have no test data."""
        return {target: split.digest for target, split in self.data.test.items()}

    def has_model(self, unit: Unit) -> bool:
        """Return whether the model that the scores of a unit belong to was saved; other models are ignored."""
        finished, folder = self.folder.read(unit), self._model_folder(unit)
        if finished is None or folder is None or not (folder / "config.json").is_file():
            return False
        return bool(finished.training.get(_MODEL_DIGEST) == _digest(folder))

    def _load_kept(self, unit: Unit) -> LoadedModel | None:
        if not self.has_model(unit):
            return None
        from xsns_stream.models import load_model

        return load_model(
            str(self._model_folder(unit)),
            device=self.settings.fine_tuning.device,
            objective=self.settings.task.objective,
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
        scores = {}
        for number, target in enumerate(targets, 1):
            scores[target] = score(
                loaded.model,
                loaded.tokenizer,
                self.settings.task,
                self.data.labels,
                self.data.test[target],
                self.settings.fine_tuning,
            )
            on_event(StepsDone(unit, number, len(targets), f"testing {target}"))
        return scores

    def _model_folder(self, unit: Unit) -> Path | None:
        folder = self.settings.keep_models
        return None if folder is None else folder / unit.file_name

    def record(self, unit: Unit) -> dict[str, Any]:
        """Return the settings that determine the result of the unit, except the test data."""
        if not self.digests:
            loaded = self.load(0)
            self.digests.update(weights=loaded.weights_digest, tokenizer=loaded.tokenizer_digest, name=loaded.name)
            if self.settings.task.labelled == "words":
                self.digests[LABEL_AT] = labelled_token(self.settings.task, self.settings.fine_tuning, loaded.model)
        at = {LABEL_AT: self.digests[LABEL_AT]} if LABEL_AT in self.digests else {}
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
            **at,
        }


def worker_memory(loaded: LoadedModel, settings: TransferSettings) -> int:
    """Return an estimate of the memory that a worker needs, in bytes.

    It includes the libraries, the weights, the state of the optimiser, and the activations of a batch.
    """
    from xsns_stream.fisher import activation_bytes
    from xsns_stream.models import parameter_layout
    from xsns_stream.types import FisherSettings

    tuning = settings.fine_tuning
    weights = sum(each.numel() * each.element_size() for each in loaded.model.parameters())
    layout = parameter_layout(loaded.model)
    activations: int = activation_bytes(loaded.model, layout, FisherSettings(), tuning.max_length)
    return PROCESS_BYTES + _COPIES_OF_WEIGHTS * int(weights) + tuning.batch_size * activations


def _digest(model: Path) -> str:
    from xsns_stream.models.huggingface import digest_files

    return digest_files([*model.glob("*.safetensors"), model / "config.json"])
