"""What is told of a transfer: what there is to do, what happens on the way, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from xsns_stream.errors import XsnsError
from xsns_stream.pipeline.transfer_settings import Unit
from xsns_stream.transfer import StepTimes
from xsns_stream.types import TransferRun, TransferScores


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
