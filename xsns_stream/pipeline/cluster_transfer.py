"""Fine-tuning on a Dask cluster: each worker fine-tunes, tests and commits units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import CorpusError, IncompatibleError, LanguageError, XsnsError
from xsns_stream.pipeline.cluster import Attempt, WorkDoneBy
from xsns_stream.pipeline.cluster_clients import Workers
from xsns_stream.pipeline.cluster_items import (
    Outcome,
    enter_folder,
    hand_out,
    keep_log,
    own_device,
    refuse_other_record,
)
from xsns_stream.pipeline.events import (
    Noted,
    StepsDone,
    TransferEvent,
    TransferResult,
    UnitByOther,
    UnitDone,
    UnitFailed,
    UnitsAwaited,
    UnitStarted,
)
from xsns_stream.pipeline.failure_logs import details_here
from xsns_stream.pipeline.finetune_data import TransferData, read_unit_data
from xsns_stream.pipeline.finetune_settings import TransferSettings, Unit
from xsns_stream.pipeline.jobs import Job, Session
from xsns_stream.pipeline.measure import free_memory
from xsns_stream.pipeline.run_transfer import (
    ModelLoader,
    UnitsDone,
    UnitsRun,
    make_unit,
    prepare_units,
    worker_memory,
)
from xsns_stream.pipeline.units import UnitFolder
from xsns_stream.types import LabelledSplit

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel

#: Events that workers do not send to the client: the client creates `UnitStarted` itself, and there are too many events
#: `StepsDone`.
_NOT_SENT: Final = (UnitStarted, StepsDone)


@dataclass(frozen=True)
class TransferJob(Job[Unit, Outcome]):
    """Fine-tuning, as a job that is sent to workers. It contains settings and digests, but no weights and no data.

    Attributes:
        settings: Settings of the units.
        labels: Names of the classes of all units.
        tests: {target: digest of its test data on the client}, without targets that have no test data.
        records: {unit: the settings and digests on the client that determine the result of the unit}.
        sizes: {unit: its expected work, in forward passes of examples}.
        units: Folder of the units.
        folder: The client's working directory, to which paths are relative.
    """

    settings: TransferSettings
    labels: tuple[str, ...]
    tests: Mapping[str, str]
    records: Mapping[Unit, Mapping[str, Any]]
    sizes: Mapping[Unit, float]
    units: Path
    folder: str

    def size(self, item: Unit) -> float:
        """Return the expected work of a unit, in forward passes of examples."""
        return self.sizes[item]

    def open(self) -> TransferSession:
        """Open the job on a worker. The model is loaded for each unit, because fine-tuning changes it."""
        enter_folder(self.folder)
        tuning = self.settings.fine_tuning
        device = own_device({"device": tuning.device})["device"]
        return TransferSession(self, replace(self.settings, fine_tuning=replace(tuning, device=device)))


class TransferSession(Session[Unit, Outcome]):
    """Fine-tuning on one worker. All its units share the test data and the digests of the model."""

    def __init__(self, job: TransferJob, settings: TransferSettings) -> None:
        self.job, self.settings = job, settings
        self._tests: dict[str, LabelledSplit] = {}
        self._digests: dict[str, str] = {}

    def run(self, item: Unit, attempt: int) -> Outcome:
        """Fine-tune, test and commit a unit."""
        from xsns_stream.fisher.model_state import caller_modes_off

        done = UnitsDone()
        events: list[TransferEvent] = []
        with UnitFolder(self.job.units).claimed(item) as mine:
            if not mine:
                return Outcome(taken=True)
            try:
                run = self._prepared(item)
                if run.missing(item):
                    with caller_modes_off():
                        make_unit(item, run, done, events.append)
            except (CorpusError, LanguageError) as error:
                done.failed[item] = error
                events.append(UnitFailed(item, error))
        failure = done.failed.get(item)
        sent = tuple(event for event in events if not isinstance(event, _NOT_SENT))
        return Outcome(False, sent, bool(done.committed), "" if failure is None else details_here(failure))

    def _prepared(self, unit: Unit) -> UnitsRun:
        """Read the data of a unit, and check that the data and the model are those of the client.

        Raises:
            IncompatibleError: The data, the model or a setting differ; the message names the difference.
        """
        wanted = [target for target in self.settings.targets_of(unit.source) if target in self.job.tests]
        data = read_unit_data(self.settings, unit.source, self.job.labels, wanted, self._tests)
        settings = replace(self.settings, sources=(unit.source,), seeds=(unit.seed,))
        load = ModelLoader(settings, self.job.labels)
        run = UnitsRun(settings, data, UnitFolder(self.job.units), load, self._digests)
        ours, mine = self.job.records[unit], run.record(unit)
        for split in ("train", "dev"):
            _refuse_other_data(split, ours[split], mine[split])
        tests = run.test_digests()
        _refuse_other_data("test", {target: self.job.tests[target] for target in tests}, tests)
        refuse_other_record(ours, mine)
        return run


def _refuse_other_data(split: str, client: Mapping[str, str], worker: Mapping[str, str]) -> None:
    if other := next((code for code in client if client[code] != worker.get(code)), None):
        raise IncompatibleError(
            f"a worker reads different {split} data of '{other}' than the client does.",
            "give every worker the same files.",
        )


def run_transfer_on_cluster(
    settings: TransferSettings,
    data: TransferData,
    folder: Path,
    load: Callable[[int], LoadedModel],
    workers: Workers,
    logs: Path,
    on_event: Callable[[TransferEvent], None] = lambda event: None,
) -> TransferResult:
    """Let the workers of a cluster fine-tune and test every missing unit.

    The function :func:`~xsns_stream.pipeline.run_transfer.run_transfer` does the same in this process.

    Args:
        settings: Settings of the units.
        data: The result of :func:`~xsns_stream.pipeline.finetune_data.read_data`.
        folder: Folder of the units.
        load: Function that takes the seed of the head and returns the model.
        workers: The workers.
        logs: Folder of the logs of failed units.
        on_event: Called with each event, in order.

    Raises:
        IncompatibleError: A finished unit has other settings, or a worker has other packages, another model or other
            data than the client.
        ModelError, UsageError: Fine-tuning is not possible with these settings.
        XsnsError: There is no scheduler, or the connection to it is lost.
    """
    run = prepare_units(settings, data, folder, load)
    todo = tuple(unit for unit in run.units if run.missing(unit))
    report = _Report(run, logs, on_event)
    if todo:
        with workers.reached(report.note) as reached:
            loaded = load(todo[0].seed)
            memory, free = worker_memory(loaded, settings), free_memory(loaded.model)
            # Workers have their own copies of the model.
            del loaded
            job = TransferJob(
                settings,
                data.labels,
                run.test_digests(),
                {unit: run.record(unit) for unit in todo},
                {unit: _work(run, unit) for unit in todo},
                folder,
                str(Path.cwd()),
            )
            device = settings.fine_tuning.device
            with reached.connect(report.note, memory, free, most=len(todo), device=device) as client:
                hand_out(
                    client,
                    job,
                    todo,
                    on_started=lambda unit, worker: on_event(UnitStarted(unit)),
                    on_done=report.done,
                    on_failed=report.failed,
                    on_note=report.note,
                    on_waiting=lambda units: on_event(UnitsAwaited(tuple(units))),
                    is_free=report.is_free,
                    options=reached.options,
                )
    return report.units.result(run)


def _work(run: UnitsRun, unit: Unit) -> float:
    """Return the expected work of a unit in forward passes of examples; a training example counts as three."""
    trained, tested = run.sizes(unit, tested_only=run.has_model(unit))
    return 3.0 * trained + tested


class _Report:
    """Handler of the outcomes of workers: it passes on their events, and collects the result of the run."""

    def __init__(self, run: UnitsRun, logs: Path, on_event: Callable[[TransferEvent], None]) -> None:
        self.run, self.logs, self.on_event = run, logs, on_event
        self.units = UnitsDone()

    def note(self, text: str) -> None:
        self.on_event(Noted(text))

    def is_free(self, unit: Unit) -> bool:
        with self.run.folder.claimed(unit) as mine:
            return mine

    def done(self, unit: Unit, work: WorkDoneBy) -> None:
        """Record the report of a worker about a unit, and pass on the events in it."""
        outcome: Outcome = work.result
        if outcome.value:
            self.units.committed.append(unit)
        for event in outcome.events:
            if isinstance(event, UnitFailed):
                self._failed(unit, event.error, (), outcome.details)
            else:
                self.on_event(event)
        if outcome.events:
            return
        finished = self.run.folder.read(unit)
        if work.attempts > 1 and finished is not None:
            # A worker committed the unit, and died before it sent its report.
            self.units.committed.append(unit)
            self.on_event(UnitDone(unit, finished, finished.training["seconds"]))
            if self.run.settings.keep_models is not None and not self.run.has_model(unit):
                self.note(f"{unit}: its worker died before the model was saved; the scores are complete.")
            return
        self.units.by_others.append(unit)
        self.on_event(UnitByOther(unit))

    def failed(self, unit: Unit, error: XsnsError, attempts: Sequence[Attempt]) -> None:
        """Record a unit whose workers died or did not finish in time."""
        self._failed(unit, error, attempts, "")

    def _failed(self, unit: Unit, error: XsnsError, attempts: Sequence[Attempt], details: str) -> None:
        self.units.failed[unit] = error
        self.on_event(UnitFailed(unit, error))
        self.note(f"{unit}: {keep_log(self.logs, unit.file_name, error, attempts, details)}")
