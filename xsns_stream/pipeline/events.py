"""Events of a build and of fine-tuning, and their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from xsns_stream.errors import XsnsError

if TYPE_CHECKING:
    from xsns_stream.pipeline.finetune_settings import Unit
    from xsns_stream.transfer import StepTimes
    from xsns_stream.types import TransferRun, TransferScores


@dataclass(frozen=True, slots=True)
class Row:
    """One unit of work."""

    language: str
    seed: int


@dataclass(frozen=True, slots=True)
class RowStarted:
    """A row's turn has come; its text may have been read before."""

    row: Row


@dataclass(frozen=True, slots=True)
class ExamplesDone:
    """Some more examples of the current row are measured; the count starts anew with every pass over them."""

    row: Row
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class RowCommitted:
    """A row is in the store, whatever happens next.

    Attributes:
        row: Which.
        examples: |D|, the examples it was measured on.
        cardinality: Of the last density.
        density_realised: Of the last density.
        seconds: From its turn to its commit.
        kept: Whether it was made from Fisher values that the store had kept, and nothing was measured.
        reliability: As in :class:`xsns_stream.types.Provenance`, of the first density.
    """

    row: Row
    examples: int
    cardinality: int
    density_realised: float
    seconds: float
    kept: bool = False
    reliability: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowByOther:
    """A row that this run was asked for, and that another process has committed since the run began."""

    row: Row


@dataclass(frozen=True, slots=True)
class RowFailed:
    """A row could not be measured."""

    row: Row
    error: XsnsError


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know about a row, or about the run (no row)."""

    text: str
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class WorkDone:
    """Progress of one piece of work that reads a store or matrices.

    Attributes:
        task: The work, as `comparing` or `verifying`.
        done: Amount of work that is done.
        total: Amount of work in all; the work is finished when `done` equals `total`.
    """

    task: str
    done: int
    total: int


#: Events of functions that read a store or matrices.
ReadEvent: TypeAlias = WorkDone | Noted

#: Handler that is called with each event.
OnReadEvent: TypeAlias = Callable[[ReadEvent], None]


class NoteLog:
    """Handler that collects the text of notes, and passes every event on to another handler.

    Attributes:
        notes: Texts of the notes so far.
    """

    def __init__(self, on_event: OnReadEvent | None) -> None:
        self.notes: list[str] = []
        self._on_event = on_event

    def __call__(self, event: ReadEvent) -> None:
        """Collect or pass on one event."""
        if isinstance(event, Noted):
            self.notes.append(event.text)
        if self._on_event is not None:
            self._on_event(event)


def progress_of(task: str, on_event: OnReadEvent) -> Callable[[int, int], None]:
    """Return a function of (done, total) that reports the progress of a task as events."""
    return lambda done, total: on_event(WorkDone(task, done, total))


Event: TypeAlias = RowStarted | ExamplesDone | RowCommitted | RowByOther | RowFailed | Noted


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        committed: Rows written by this run.
        skipped: Rows that were there before.
        failed: Row → what was wrong with it.
        reliability: Row → what is known of its repeatability, where that was asked for.
        by_others: Rows that other processes committed while this run was going on.
        notes: What the user should know of how the model was loaded, and of texts that languages share.
        texts: Row → what was recorded of its text, where this run read it.
        row_notes: What the user should know of single rows.
    """

    committed: tuple[Row, ...]
    skipped: tuple[Row, ...]
    failed: Mapping[Row, XsnsError]
    reliability: Mapping[Row, Mapping[str, Any]] = field(default_factory=dict)
    by_others: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    texts: Mapping[Row, Mapping[str, Any]] = field(default_factory=dict)
    row_notes: tuple[Noted, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitStarted:
    """A unit's turn has come."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class StepsDone:
    """A unit has made some more steps of fine-tuning, or tests; `total` is the most that it can need."""

    unit: Unit
    done: int
    total: int
    what: str


@dataclass(frozen=True, slots=True)
class UnitDone:
    """A unit is committed."""

    unit: Unit
    run: TransferRun
    seconds: float


@dataclass(frozen=True, slots=True)
class UnitFailed:
    """A unit could not be made."""

    unit: Unit
    error: XsnsError


@dataclass(frozen=True, slots=True)
class UnitsAwaited:
    """Nothing is left to make but units that other processes are making; this process waits for them."""

    units: tuple[Unit, ...]


TransferEvent: TypeAlias = UnitStarted | StepsDone | UnitDone | UnitFailed | UnitsAwaited


@dataclass(frozen=True)
class TransferPlan:
    """What there is to do.

    Attributes:
        todo: Units to make.
        done: Units that are there, with all their targets.
        again: Of `todo`, those that are there, lack targets and were not kept: they are fine-tuned again.
        kept: Of `todo`, those that are there, lack targets, and whose model was kept: they are tested only.
        notes: Sentences on the units that are there.
        times: Seconds an example, where they were measured.
        training_examples: Of all epochs of all units to make; fewer where training stops early.
        test_examples: Of all units to make, dev data after every epoch included.
    """

    todo: tuple[Unit, ...]
    done: tuple[Unit, ...]
    again: tuple[Unit, ...] = ()
    kept: tuple[Unit, ...] = ()
    notes: tuple[str, ...] = ()
    times: StepTimes | None = None
    training_examples: int = 0
    test_examples: int = 0

    @property
    def seconds(self) -> float | None:
        """The most that it takes here; None where nothing was timed."""
        if self.times is None:
            return None
        return self.training_examples * self.times.training + self.test_examples * self.times.testing


@dataclass(frozen=True)
class TransferResult:
    """What a run did.

    Attributes:
        scores: Of all units that are there, made by this run or before.
        runs: Those of this run's settings.
        committed: Units that this run made.
        failed: {unit: what was wrong}.
        elsewhere: Units that are not there, because another process is making them; none, since they are waited for.
        by_others: Units that other processes made while this run was going on.
    """

    scores: TransferScores | None
    runs: tuple[TransferRun, ...]
    committed: tuple[Unit, ...]
    failed: Mapping[Unit, XsnsError] = field(default_factory=dict)
    elsewhere: tuple[Unit, ...] = ()
    by_others: tuple[Unit, ...] = ()
