"""Draw the events of a transfer: a bar over all units on a terminal; a line a unit elsewhere, and one a minute."""

from __future__ import annotations

import time
from statistics import mean
from types import TracebackType
from typing import TYPE_CHECKING, Final

from xsns_stream.languages import constituents
from xsns_stream.pipeline.transfer_events import (
    StepsDone,
    TransferEvent,
    UnitDone,
    UnitFailed,
    UnitsAwaited,
    UnitStarted,
)

if TYPE_CHECKING:
    from rich.console import Console

    from xsns_stream.types import TransferRun


#: Seconds after which a log that was silent hears of the unit at work.
_QUIET: Final = 60.0


class TransferProgress:
    """Receives events; use as a context manager.

    Args:
        console: Where to draw.
        units: How many units there are to make.
    """

    def __init__(self, console: Console, units: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.console, self.units, self.done = console, units, 0
        self.said = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal or not units,
        )
        self.task = self.bar.add_task("fine-tuning", total=float(units), count=self._count())

    def __enter__(self) -> TransferProgress:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, value, trace)

    def __call__(self, event: TransferEvent) -> None:
        """Draw one event."""
        if isinstance(event, UnitStarted):
            self.bar.update(self.task, description=str(event.unit))
        elif isinstance(event, StepsDone):
            # Testing is taken for a tenth of a unit, which moves the bar and decides nothing.
            share = event.done / event.total
            part = 0.9 + 0.1 * share if event.what.startswith("testing") else 0.9 * share
            self.bar.update(self.task, completed=self.done + part, description=f"{event.unit} {event.what}")
            self._remind(event)
        elif isinstance(event, UnitsAwaited):
            names = ", ".join(map(str, event.units))
            self._say(f"note: being made by another process, and waited for: {names}.")
        elif isinstance(event, UnitFailed):
            self._advance()
            self._say(f"failed: {event.unit}: {event.error.message}")
        elif isinstance(event, UnitDone):
            self._advance()
            if not self.console.is_terminal:
                self._say(f"[{self.done}/{self.units}] {event.unit}: {_summary(event.run)}, {event.seconds:.0f} s")

    def _count(self) -> str:
        return f"{self.done}/{self.units}"

    def _remind(self, event: StepsDone) -> None:
        """Say in a log file that a long unit goes on."""
        if self.console.is_terminal or time.monotonic() - self.said < _QUIET:
            return
        testing = event.what.startswith("testing")
        step = f"{event.what}, {event.done} of {event.total}" if testing else f"step {event.done:,} of {event.total:,}"
        self._say(f"{event.unit}: {step}{f', {event.what}' if event.what and not testing else ''}")

    def _advance(self) -> None:
        self.done += 1
        self.bar.update(self.task, completed=self.done, count=self._count())

    def _say(self, text: str) -> None:
        self.said = time.monotonic()
        self.console.print(text, markup=False, soft_wrap=True)


def _summary(run: TransferRun) -> str:
    headline = next(iter(next(iter(run.scores.values())).metrics))
    abroad = [score.metrics[headline] for target, score in run.scores.items() if target not in constituents(run.source)]
    home = run.scores.get(run.source)
    parts = [
        f"dev {max(run.training['dev']):.1f} after {run.training['best_epoch']} of {run.training['epochs']} epochs"
    ]
    if home is not None:
        parts.append(f"own test {home.metrics[headline]:.1f}")
    if abroad:
        parts.append(f"zero-shot {mean(abroad):.1f} on {len(abroad)}")
    return ", ".join(parts)
