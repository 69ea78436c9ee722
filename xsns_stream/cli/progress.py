"""Draw a build's events: a bar on a terminal, one line a row elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from xsns_stream.cli.output import counted
from xsns_stream.pipeline.events import Event, ExamplesDone, Noted, Row, RowByOther, RowCommitted, RowFailed, RowStarted

if TYPE_CHECKING:
    from rich.console import Console


class BuildProgress:
    """Receives events; use as a context manager.

    Args:
        console: Where to draw.
        rows: How many rows there are to measure.
    """

    def __init__(self, console: Console, rows: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.console, self.rows, self.done = console, rows, 0
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or not rows,
        )
        self.task = self.bar.add_task("measuring", total=rows)

    def __enter__(self) -> BuildProgress:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, value, trace)

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if isinstance(event, RowStarted):
            self.bar.update(self.task, description=_name(event.row))
        elif isinstance(event, ExamplesDone):
            self.bar.update(self.task, description=f"{_name(event.row)} {event.count}/{event.total}")
        elif isinstance(event, Noted):
            who = f"{_name(event.row)} " if event.row else ""
            self._say(f"note: {who}{event.text}")
        elif isinstance(event, RowFailed):
            self._advance()
            self._say(f"failed: {_name(event.row)}: {event.error.message} {event.error.hint}".rstrip())
        elif isinstance(event, RowByOther):
            self._advance()
            if not self.console.is_terminal:
                self._say(f"[{self.done}/{self.rows}] {_name(event.row)}: measured by another process")
        elif isinstance(event, RowCommitted):
            self._advance()
            if not self.console.is_terminal:
                self._say(f"[{self.done}/{self.rows}] {_name(event.row)}: {_summary(event)}")

    def _advance(self) -> None:
        self.done += 1
        self.bar.update(self.task, completed=self.done)

    def _say(self, text: str) -> None:
        # Corpus and language names are the user's; they are not to be read as markup.
        self.console.print(text, markup=False, soft_wrap=True)


def _name(row: Row) -> str:
    return f"{row.language} (seed {row.seed})"


def _summary(event: RowCommitted) -> str:
    counts = f"{counted(event.examples, 'example')}, {event.cardinality:,} parameters, {event.seconds:.1f} s"
    if event.kept:
        return f"{counts} (from kept Fisher values)"
    half = event.reliability.get("split_half")
    halves = "" if half is None else f", split-half {half:.3f}"
    return f"{counts} ({event.examples / event.seconds:.0f} examples/s){halves}"
