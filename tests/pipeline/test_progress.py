"""Lines that are written to a log file while rows are measured, and while units are fine-tuned."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from xsns_stream.pipeline import progress as transfer_progress
from xsns_stream.pipeline.events import Row, RowCommitted, StepsDone, UnitStarted
from xsns_stream.pipeline.finetune_settings import Unit
from xsns_stream.pipeline.progress import RowProgress, TransferProgress

UNIT = Unit("sw", 42)
EVENTS = (
    UnitStarted(UNIT),
    StepsDone(UNIT, 10, 2000, ""),
    StepsDone(UNIT, 1400, 2000, "dev 61.2"),
    StepsDone(UNIT, 2, 5, "testing fi"),
)


def told(quiet: float, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(transfer_progress, "_SILENCE", quiet)
    log = io.StringIO()
    with TransferProgress(Console(file=log), 3) as progress:
        for event in EVENTS:
            progress(event)
    return log.getvalue().splitlines()


def test_a_log_reports_the_progress_of_a_long_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(0.0, monkeypatch) == [
        "sw (seed 42): step 10 of 2,000",
        "sw (seed 42): step 1,400 of 2,000, dev 61.2",
        "sw (seed 42): testing fi, 2 of 5",
    ]


def test_a_log_does_not_report_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(3600.0, monkeypatch) == []


def test_a_committed_row_is_shown_with_its_speed_if_the_time_is_known() -> None:
    log = io.StringIO()
    with RowProgress(Console(file=log, width=200), 2) as progress:
        progress(RowCommitted(Row("sw", 42), 16, 1000, 0.15, 2.0))
        progress(RowCommitted(Row("fi", 42), 16, 1000, 0.15, 0.0))
    assert log.getvalue().splitlines() == [
        "[1/2] sw (seed 42): 16 examples, 1,000 parameters, 2.0 s (8.0 examples/s)",
        "[2/2] fi (seed 42): 16 examples, 1,000 parameters (its worker died before it reported the time)",
    ]
