"""Events that functions report while they run, and the results of builds and of fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xsns_stream.errors import XsnsError

if TYPE_CHECKING:
    from xsns_stream.pipeline.finetune_settings import Unit
    from xsns_stream.transfer import StepTimes
    from xsns_stream.types import TransferRun, TransferScores


@dataclass(frozen=True, slots=True)
class Row:
    """Language and seed of a row of a store."""

    language: str
    seed: int


@dataclass(frozen=True, slots=True)
class RowStarted:
    """Event: the measurement of a row begins. The text of the row may have been read earlier."""

    row: Row


@dataclass(frozen=True, slots=True)
class TextRead:
    """Event: the text of a row is still being read.

    Attributes:
        row: The row.
        count: Number of lines, table rows or sentences read so far. A large text is read twice, and is counted twice.
    """

    row: Row
    count: int


@dataclass(frozen=True, slots=True)
class ExamplesDone:
    """Event: `count` of `total` examples of a row were measured.

    If a row is measured in several passes over its text, each pass counts from 0.
    """

    row: Row
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class RowCommitted:
    """Event: a row is committed to the store. Later failures do not remove it.

    Attributes:
        row: The row.
        examples: |D|, the number of measured examples.
        cardinality: Number of selected parameters at the last density of the settings.
        density_realised: Share of selected parameters at this density.
        seconds: Seconds from the start of the row to its commit; 0 if a worker committed the row and died before it
            reported them.
        stored_fisher: Whether the parameters were selected by Fisher values from the store, without a measurement.
        reliability: Reliability at the first density; see :class:`xsns_stream.types.Provenance`.
    """

    row: Row
    examples: int
    cardinality: int
    density_realised: float
    seconds: float
    stored_fisher: bool = False
    reliability: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowMeasured:
    """Event: the baselines have processed a row, which is not written to a store."""

    row: Row
    examples: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RowByOther:
    """Event: another process has committed a row of this run since the run began."""

    row: Row


@dataclass(frozen=True, slots=True)
class RowFailed:
    """Event: a row could not be measured."""

    row: Row
    error: XsnsError


#: Largest number of failures that one message explains.
_EXPLAINED: Final = 20


def reasons_of(failed: Mapping[Any, XsnsError]) -> str:
    """Return a text that gives the reason of each failure; equal reasons of one language are given once.

    Args:
        failed: {row, or name of a language or unit: its error}.
    """
    reasons: dict[str, None] = {}
    for item, error in failed.items():
        name = item.language if isinstance(item, Row) else str(item)
        hint = f"{error.hint[:1].upper()}{error.hint[1:]}"
        reasons[f"{name}: {error.message} {hint}".rstrip()] = None
    if len(reasons) == 1:
        return f"The reason: {next(iter(reasons)).partition(': ')[2]}"
    more = f" And {len(reasons) - _EXPLAINED} more." if len(reasons) > _EXPLAINED else ""
    return f"The reasons: {' '.join(list(reasons)[:_EXPLAINED])}{more}"


@dataclass(frozen=True, slots=True)
class Noted:
    """Event: a sentence for the user about a row; if `row` is None, about the whole run."""

    text: str
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Event: progress of a task that reads a store or matrices.

    Attributes:
        task: Name of the task, such as `comparing` or `verifying`.
        done: Amount of finished work.
        total: Total amount of work, in the same unit. The task is finished when `done` equals `total`.
    """

    task: str
    done: int
    total: int


#: Events of functions that read a store or matrices.
ReadEvent: TypeAlias = WorkDone | Noted

#: Handler that is called with each event.
OnReadEvent: TypeAlias = Callable[[ReadEvent], None]


@dataclass(frozen=True, slots=True)
class NeighboursFound:
    """Event: the nearest neighbours of `count` of `total` target tokens were found."""

    seed: int
    count: int
    total: int


class NoteLog:
    """Event handler that collects the texts of notes, and calls another handler with each event except repeated notes.

    Duplicates occur because every comparison of rows sends the notes on the store again.

    Attributes:
        notes: Texts of the notes so far, without duplicates.
    """

    def __init__(self, on_event: OnReadEvent | None) -> None:
        self.notes: list[str] = []
        self._on_event = on_event

    def __call__(self, event: ReadEvent) -> None:
        """Collect the text of a note, and call the other handler unless the note is a duplicate."""
        if isinstance(event, Noted):
            if event.text in self.notes:
                return
            self.notes.append(event.text)
        if self._on_event is not None:
            self._on_event(event)


def progress_of(task: str, on_event: OnReadEvent) -> Callable[[int, int], None]:
    """Return a function of (done, total) that calls the handler with a :class:`WorkDone`."""
    return lambda done, total: on_event(WorkDone(task, done, total))


Event: TypeAlias = RowStarted | TextRead | ExamplesDone | RowCommitted | RowByOther | RowFailed | Noted
BaselineEvent: TypeAlias = RowStarted | TextRead | ExamplesDone | RowMeasured | RowFailed | Noted | NeighboursFound


@dataclass(frozen=True)
class BuildResult:
    """Result of a build.

    Attributes:
        committed: Rows that this run committed.
        skipped: Rows that were in the store before the run.
        failed: {row: error}.
        reliability: {row: measures of its reliability}, if they were requested.
        by_others: Rows that other processes committed during this run.
        notes: Sentences about the loading of the model, and about languages that have texts in common.
        texts: {row: record of its text}, for texts that this run read.
        row_notes: Notes on single rows.
        model_notes: The entries of `notes` that are about the loading of the model.
    """

    committed: tuple[Row, ...]
    skipped: tuple[Row, ...]
    failed: Mapping[Row, XsnsError]
    reliability: Mapping[Row, Mapping[str, Any]] = field(default_factory=dict)
    by_others: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    texts: Mapping[Row, Mapping[str, Any]] = field(default_factory=dict)
    row_notes: tuple[Noted, ...] = ()
    model_notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BuildPlan:
    """Result of the dry run of a build: its rows, and estimates of time, disk space and memory.

    Attributes:
        rows: All rows of the settings.
        missing: The rows that the store lacks.
        failed: {row: error} of the rows whose text cannot be used.
        seconds: Estimated seconds for all missing rows; None if no row was timed.
        disk: Estimated bytes of the missing rows in the store; None if unknown.
        memory: Peak memory of this process so far in bytes; if the model is on a GPU, the peak memory of PyTorch on the
            GPU. None if unknown.
        row_notes: Notes on the texts of single rows.
        workers: Number of workers that would measure the rows; None if this process would measure them.
        seconds_on_workers: Estimated seconds until these workers have finished all rows, at least the time of the
            longest row; None without workers.
    """

    rows: tuple[Row, ...]
    missing: tuple[Row, ...]
    failed: Mapping[Row, XsnsError]
    seconds: float | None = None
    disk: int | None = None
    memory: int | None = None
    row_notes: tuple[Noted, ...] = ()
    workers: int | None = None
    seconds_on_workers: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, as `build --dry-run --json` prints it."""
        return {
            "dry_run": True,
            "rows": len(self.rows),
            "missing": [[row.language, row.seed] for row in self.missing],
            "failed": [
                {"language": row.language, "seed": row.seed, "error": error.message, "hint": error.hint}
                for row, error in self.failed.items()
            ],
            "row_notes": [
                {"language": note.row.language, "seed": note.row.seed, "note": note.text}
                for note in self.row_notes
                if note.row is not None
            ],
            "seconds": self.seconds,
            "disk_bytes": self.disk,
            "memory_bytes": self.memory,
            "workers": self.workers,
            "seconds_on_workers": self.seconds_on_workers,
        }


@dataclass(frozen=True, slots=True)
class UnitStarted:
    """Event: the work on a unit begins."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class StepsDone:
    """Event: a unit has done more training steps, or has been tested on more targets.

    Attributes:
        unit: The unit.
        done: Number of training steps, or of tested targets, so far.
        total: Largest possible value of `done` for the unit.
        activity: `dev 61.2` after an evaluation on dev data, `testing fi` while testing, or an empty text.
    """

    unit: Unit
    done: int
    total: int
    activity: str


@dataclass(frozen=True, slots=True)
class UnitDone:
    """Event: a unit is committed."""

    unit: Unit
    run: TransferRun
    seconds: float


@dataclass(frozen=True, slots=True)
class UnitFailed:
    """Event: a unit could not be fine-tuned or tested."""

    unit: Unit
    error: XsnsError


@dataclass(frozen=True, slots=True)
class UnitByOther:
    """Event: another process has committed a unit of this run since this run began."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class UnitsAwaited:
    """Event: other processes are working on all units that are left, and this process waits for them."""

    units: tuple[Unit, ...]


TransferEvent: TypeAlias = UnitStarted | StepsDone | UnitDone | UnitFailed | UnitByOther | UnitsAwaited | Noted


@dataclass(frozen=True)
class TransferPlan:
    """Plan of a run of fine-tuning: the units that need work, and an estimate of the time.

    Attributes:
        todo: Units that must be fine-tuned or tested.
        done: Finished units that were tested on all their targets.
        again: Units of `todo` that are finished except for some targets, and whose model was not saved; they are
            fine-tuned again.
        kept: Units of `todo` that are finished except for some targets, and whose model was saved; they are only
            tested.
        notes: Sentences on the finished units.
        times: Seconds for one example; None if they were not measured.
        training_examples: Number of training examples in all epochs of all units of `todo`, if no training stops early.
        test_examples: Number of test examples of all units of `todo`, including the dev examples after every epoch.
        workers: Number of workers that would fine-tune; None if this process would fine-tune.
        seconds_on_workers: Upper bound of the seconds until these workers have finished all units, at least the time of
            the longest unit; None without workers.
    """

    todo: tuple[Unit, ...]
    done: tuple[Unit, ...]
    again: tuple[Unit, ...] = ()
    kept: tuple[Unit, ...] = ()
    notes: tuple[str, ...] = ()
    times: StepTimes | None = None
    training_examples: int = 0
    test_examples: int = 0
    workers: int | None = None
    seconds_on_workers: float | None = None

    @property
    def seconds(self) -> float | None:
        """Upper bound of the seconds for all units in this process; None if no times were measured."""
        if self.times is None:
            return None
        return self.training_examples * self.times.training + self.test_examples * self.times.testing


@dataclass(frozen=True)
class TransferResult:
    """Result of a run of fine-tuning.

    Attributes:
        scores: Scores of all units that this run or earlier runs finished; None if no unit is finished.
        runs: The finished units with the settings of this run.
        committed: Units that this run committed.
        failed: {unit: error}.
        elsewhere: Units on which other processes are working; always empty, because a run waits for them.
        by_others: Units that other processes committed during this run.
    """

    scores: TransferScores | None
    runs: tuple[TransferRun, ...]
    committed: tuple[Unit, ...]
    failed: Mapping[Unit, XsnsError] = field(default_factory=dict)
    elsewhere: tuple[Unit, ...] = ()
    by_others: tuple[Unit, ...] = ()
