"""Events of a build and of fine-tuning, and their results."""

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
    """One row of a store, which has a language and a seed."""

    language: str
    seed: int


@dataclass(frozen=True, slots=True)
class RowStarted:
    """Event: the measurement of a row begins. Its text may have been read before."""

    row: Row


@dataclass(frozen=True, slots=True)
class TextRead:
    """The text of the current row is still being read.

    Attributes:
        row: The row.
        count: Number of lines, rows or sentences that were read so far. A large text is read twice.
    """

    row: Row
    count: int


@dataclass(frozen=True, slots=True)
class ExamplesDone:
    """Event: more examples of the current row were measured. The count starts again with each pass."""

    row: Row
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class RowCommitted:
    """Event: a row is committed to the store. Later failures do not remove it.

    Attributes:
        row: The row.
        examples: |D|, the number of measured examples.
        cardinality: Number of selected parameters at the last density.
        density_realised: Share of selected parameters at the last density.
        seconds: Time from the start of the row to its commit.
        stored_fisher: Whether the row was selected from Fisher values in the store, without a measurement.
        reliability: See :class:`xsns_stream.types.Provenance`; for the first density.
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
    """Event: a baseline has processed a language with a seed. Nothing is written to a store."""

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
    """Return a sentence with the reason of each failure; failures of one language with the same reason are one.

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
    """Event: a sentence for the user about a row, or about the whole run if the row is None."""

    text: str
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Event: progress of one task that reads a store or matrices.

    Attributes:
        task: The work, such as `comparing` or `verifying`.
        done: Amount of finished work. total: Total amount of work; the task is finished when `done` equals `total`.
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
    """Event: the nearest neighbours of more target tokens were found."""

    seed: int
    count: int
    total: int


class NoteLog:
    """Handler that collects the text of notes without duplicates, and passes events on to another handler.

    Without this handler, a note on the rows of a store would be repeated each time that rows are counted.

    Attributes:
        notes: Texts of the notes so far.
    """

    def __init__(self, on_event: OnReadEvent | None) -> None:
        self.notes: list[str] = []
        self._on_event = on_event

    def __call__(self, event: ReadEvent) -> None:
        """Collect or pass on one event."""
        if isinstance(event, Noted):
            if event.text in self.notes:
                return
            self.notes.append(event.text)
        if self._on_event is not None:
            self._on_event(event)


def progress_of(task: str, on_event: OnReadEvent) -> Callable[[int, int], None]:
    """Return a function of (done, total) that reports the progress of a task as events."""
    return lambda done, total: on_event(WorkDone(task, done, total))


Event: TypeAlias = RowStarted | TextRead | ExamplesDone | RowCommitted | RowByOther | RowFailed | Noted
BaselineEvent: TypeAlias = RowStarted | TextRead | ExamplesDone | RowMeasured | RowFailed | Noted | NeighboursFound


@dataclass(frozen=True)
class BuildResult:
    """Outcome of a build.

    Attributes:
        committed: Rows that this run committed.
        skipped: Rows that were in the store before the run.
        failed: {row: error}.
        reliability: {row: measures of its repeatability}, if requested.
        by_others: Rows that other processes committed during this run.
        notes: Sentences about the loading of the model, and about common texts of languages.
        texts: {row: record of its text}, for texts that this run read.
        row_notes: Notes on single rows.
        model_notes: Those of `notes` that are about the loading of the model.
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
    """The plan of a build, from its checks, its texts and the time of one row.

    Attributes:
        rows: All rows of the settings.
        missing: The rows that the store lacks.
        failed: {row: error} of the rows whose text cannot be used.
        seconds: Estimated time of all rows that are missing; None if nothing was timed.
        disk: Bytes that these rows take in the store; None if it is not known.
        memory: Peak memory of this process so far in bytes or, with a GPU, the peak memory of torch on the GPU; None if
            it is unknown.
        row_notes: Notes on the texts of single rows.
        workers: Number of workers that would measure; None for this process.
        seconds_on_workers: Estimated time of these workers together, at least that of the longest row; None without
            workers.
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
    """Event: more training steps, or more tests, of a unit are done.

    Attributes:
        unit: The unit.
        done: Number of steps, or of tested targets.
        total: The largest possible number for the unit.
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
    """Event: another process has committed a unit since the run began."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class UnitsAwaited:
    """Event: only units of other processes are left, and this process waits for them."""

    units: tuple[Unit, ...]


TransferEvent: TypeAlias = UnitStarted | StepsDone | UnitDone | UnitFailed | UnitByOther | UnitsAwaited | Noted


@dataclass(frozen=True)
class TransferPlan:
    """Units that a run would fine-tune, and an estimate of the time.

    Attributes:
        todo: Units that need work.
        done: Units that are finished, with all their targets.
        again: Finished units of `todo` that lack targets and have no saved model; they are fine-tuned again.
        kept: Finished units of `todo` that lack targets and have a saved model; they are only tested.
        notes: Sentences on the finished units.
        times: Seconds for one example; None if they were not measured.
        training_examples: Training examples in all epochs of all units of `todo`; fewer if training stops early.
        test_examples: Test examples of all units of `todo`, including dev data after every epoch.
        workers: Number of workers that would fine-tune; None for this process.
        seconds_on_workers: Longest possible time of these workers together, at least that of the longest unit; None
            without workers.
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
        """The longest possible time of the work on this machine; None without a measurement."""
        if self.times is None:
            return None
        return self.training_examples * self.times.training + self.test_examples * self.times.testing


@dataclass(frozen=True)
class TransferResult:
    """Outcome of a run of fine-tuning.

    Attributes:
        scores: Scores of all finished units, of this run and of earlier runs; None without a finished unit.
        runs: The finished units with the settings of this run.
        committed: Units that this run committed.
        failed: {unit: error}.
        elsewhere: Units that another process is working on; always empty, because this process waits for them.
        by_others: Units that other processes committed during this run.
    """

    scores: TransferScores | None
    runs: tuple[TransferRun, ...]
    committed: tuple[Unit, ...]
    failed: Mapping[Unit, XsnsError] = field(default_factory=dict)
    elsewhere: tuple[Unit, ...] = ()
    by_others: tuple[Unit, ...] = ()
