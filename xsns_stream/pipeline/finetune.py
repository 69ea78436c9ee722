"""The loop over units: fine-tune, test, commit; skip what is done, collect what fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.errors import ModelError, UsageError, XsnsError
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
from xsns_stream.pipeline.finetune_settings import OVERLAP, TransferData, TransferSettings, Unit, overlaps, run_notes
from xsns_stream.pipeline.scheduling import SharedItems
from xsns_stream.pipeline.units import UnitFolder, check_beside, check_same, check_tests, other_versions
from xsns_stream.transfer import fine_tune, save_model, score, time_steps
from xsns_stream.types import TestScore, TransferRun, TransferScores
from xsns_stream.types.provenance import library_versions

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


__all__ = ["gold_scores", "plan_transfer", "transfer"]

#: Errors that end the run: they would meet every unit.
_FATAL: Final = (ModelError, UsageError)
#: Of a unit's training: the digest of the model that was kept.
_KEPT: Final = "kept"


def plan_transfer(
    settings: TransferSettings, data: TransferData, folder: Path, load: Callable[[int], LoadedModel], *, timed: bool
) -> TransferPlan:
    """Look at what is there, and estimate what is not.

    Args:
        settings: What to make.
        data: What :func:`~xsns_stream.pipeline.finetune_settings.read_data` returned.
        folder: Of the units.
        load: Seed of the head → model.
        timed: Whether to load the model and time a few steps.

    Raises:
        IncompatibleError: A unit is there, and was made otherwise.
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
        notes += (f"their models were not kept, and are not made again while their scores are in '{folder}': {names}.",)
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


def transfer(
    settings: TransferSettings,
    data: TransferData,
    folder: Path,
    load: Callable[[int], LoadedModel],
    on_event: Callable[[TransferEvent], None] = lambda event: None,
) -> TransferResult:
    """Make every unit that is not there, and commit each as it is finished.

    Several processes may share a folder: each takes the next unit that nobody holds. At the end it waits for the units
    that others hold, and makes those whose process died.

    Args:
        settings: What to make.
        data: What :func:`~xsns_stream.pipeline.finetune_settings.read_data` returned.
        folder: Of the units.
        load: Seed of the head → model.
        on_event: Called with each event, in order.

    Raises:
        IncompatibleError: A unit is there, and was made otherwise.
        ModelError, UsageError: Nothing can be fine-tuned so.
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
    """What became of the units so far; fields as of :class:`TransferResult`."""

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
    """Put units into one table; NaN where nothing was measured.

    Args:
        runs: At least one.
        settings: Whose order of sources, targets and seeds comes first, and which the origin names.
        metric: One of the task's; None is its headline.

    Raises:
        UsageError: The task has no such metric.
    """
    task = settings.task
    wanted = metric or task.metrics[0]
    if wanted not in task.metrics:
        raise UsageError(f"{task.name} has no metric '{wanted}'.", f"it has {', '.join(task.metrics)}.")
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


def _ordered(first: Sequence[Any], found: Sequence[Any]) -> tuple[Any, ...]:
    """Return what was found, each once: in the order of `first`, then sorted."""
    there = set(found)
    return (*(one for one in first if one in there), *sorted(there - set(first)))


@dataclass(frozen=True)
class _Run:
    """What making units needs."""

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
        """The targets that the unit is tested on, as far as they have data."""
        return tuple(target for target in self.settings.targets_of(unit.source) if target in self.data.test)

    def missing(self, unit: Unit) -> tuple[str, ...]:
        """The targets that the unit was not tested on yet; all where it was not made.

        Raises:
            IncompatibleError: It was made otherwise, or tested on other data.
        """
        known = self.folder.read(unit)
        if known is None:
            return self.targets(unit)
        check_same(known, self._settings(unit), self.folder.folder)
        check_tests(known, self._tests(), self.folder.folder)
        return tuple(target for target in self.targets(unit) if target not in known.scores)

    def make(self, unit: Unit, on_event: Callable[[TransferEvent], None]) -> tuple[TransferRun, LoadedModel]:
        """Fine-tune and test; where a model was kept, test it on what is missing."""
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
        """Return {target: [test examples that the unit is trained on, test examples]}, without zeros."""
        wanted = {target: self.data.test[target] for target in tests}
        found = overlaps({unit.source: self.data.train[unit.source]}, wanted).get(unit.source, {})
        return {target: [count, len(wanted[target])] for target, count in found.items()}

    def keep(self, unit: Unit, made: TransferRun, loaded: LoadedModel) -> None:
        """Write a unit's model, where models are to be kept and this is not yet; its scores are there by now.

        Raises:
            XsnsError: It cannot be written.
        """
        kept = self._kept(unit)
        if kept is not None and _KEPT not in made.training:
            save_model(loaded.model, loaded.tokenizer, kept, self.data.labels)
            self.folder.write(replace(made, training={**made.training, _KEPT: _digest(kept)}))

    def check_beside(self) -> None:
        """Refuse units of other sources that were made otherwise: one file of scores would hold both.

        Raises:
            IncompatibleError: One was.
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
        """Say whether the model that a unit's scores are of was kept; another run's of the same name is none."""
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
        """Return what decides the unit's result, but for its test data."""
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
