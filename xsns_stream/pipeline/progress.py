"""Display of progress: a bar on a terminal or in a notebook, lines of text elsewhere."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from statistics import mean
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from xsns_stream.languages import constituents
from xsns_stream.pipeline.events import (
    ExamplesDone,
    NeighboursFound,
    Noted,
    ReadEvent,
    Row,
    RowByOther,
    RowCommitted,
    RowFailed,
    RowMeasured,
    RowStarted,
    StepsDone,
    TextRead,
    UnitByOther,
    UnitDone,
    UnitFailed,
    UnitsAwaited,
    UnitStarted,
    WorkDone,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from xsns_stream.pipeline.finetune_settings import Unit
    from xsns_stream.types import TransferRun

#: After this number of seconds without output, a line about the current unit of fine-tuning is printed to a log file.
_SILENCE: Final = 60.0
#: Share of a unit's part of the bar that stands for fine-tuning; the rest stands for testing.
_TUNING_SHARE: Final = 0.9
#: Largest number of languages that are named beside the bar.
_NAMED: Final = 4
_Self = TypeVar("_Self", bound="ProgressBar")


def notebook_console() -> Console:
    """Return a console that writes to stderr, or below the cell in a notebook."""
    from xsns_stream.io.console import VisibleConsole
    from xsns_stream.pipeline.notebook_progress import NotebookConsole, in_notebook

    if not in_notebook():
        return VisibleConsole(stderr=True)
    # Libraries of Hugging Face import tqdm, which warns that its own bar in notebooks would need ipywidgets.
    warnings.filterwarnings("ignore", message="IProgress not found")
    return NotebookConsole()


def is_live(console: Console) -> bool:
    """Return whether a bar can be redrawn on a console: on a terminal, or below the cell of a notebook."""
    return console.is_terminal or _is_of_notebook(console)


def _is_of_notebook(console: Console) -> bool:
    from xsns_stream.pipeline.notebook_progress import NotebookConsole

    return isinstance(console, NotebookConsole)


class ProgressBar:
    """Context manager that shows a progress bar for a known number of items, and prints lines of text above the bar.

    Args:
        console: The console to draw on.
        total: Number of items.
        description: Text that is shown beside the bar at the beginning.
    """

    #: Whether the bar moves within an item; the number of finished items is then a separate column.
    fractional: ClassVar[bool] = False

    def __init__(self, console: Console, total: int, description: str) -> None:
        self.console, self.total, self.done = console, total, 0
        self.bar = self._new_bar()
        self.task = self.bar.add_task(description, total=float(total), count=self._count())

    def _new_bar(self) -> Progress:
        """Return a bar of rich for a terminal, or an HTML bar for a notebook."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        from xsns_stream.pipeline.notebook_progress import NotebookProgress

        disable = not is_live(self.console) or not self.total
        if _is_of_notebook(self.console):
            return NotebookProgress(console=self.console, disable=disable)
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=self.fractional),
            console=self.console,
            disable=disable,
        )

    def __enter__(self: _Self) -> _Self:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _is_of_notebook(self.console):
            # The last state of the bar stays in the notebook.
            self.bar.update(self.task, description="finished" if kind is None else "stopped")
        self.bar.__exit__(kind, value, trace)

    def describe(self, text: str, part: float = 0.0) -> None:
        """Show a text beside the bar, and set the bar to a position within the current item.

        Args:
            text: The text.
            part: Finished part of the current item, from 0 to 1.
        """
        self.bar.update(self.task, description=text, completed=self.done + part)

    def advance(self, line: str = "") -> None:
        """Count one more item as done; if no bar is drawn, print a line about the item."""
        self.done += 1
        self.bar.update(self.task, completed=self.done, count=self._count())
        if line and not is_live(self.console):
            self.say(f"[{self.done}/{self.total}] {line}")

    def say(self, text: str) -> None:
        """Print a line above the bar. The line is not wrapped, and markup in it is not interpreted."""
        self.console.print(text, markup=False, soft_wrap=True)

    def _count(self) -> str:
        return f"{self.done}/{self.total}"


class RowProgress(ProgressBar):
    """Progress bar that shows the events of a build, or of the computation of baselines from text."""

    def __init__(self, console: Console, rows: int, *, loading: bool = False) -> None:
        self.started = time.monotonic()
        self.running: dict[Row, None] = {}
        super().__init__(console, rows, "loading the model …" if loading else "measuring")

    def __call__(self, event: object) -> None:
        """Show one event of a build or of baselines in the bar, as a line of text, or not at all."""
        if isinstance(event, RowFailed | RowByOther | RowCommitted | RowMeasured):
            self.running.pop(event.row, None)
        match event:
            case RowStarted(row):
                self.running[row] = None
                languages = (running.language for running in self.running)
                self.describe(_row_name(row) if len(self.running) == 1 else _several("rows", languages))
            case TextRead(row, count) if count:
                self.describe(f"{_row_name(row)}: {count:,} texts read")
            case ExamplesDone(row, count, total):
                self.describe(f"{_row_name(row)} {count}/{total}")
            case Noted(text, row):
                self.say(f"note: {f'{_row_name(row)}: ' if row else ''}{text}")
            case RowFailed(row, error):
                self.advance()
                self.say(f"failed: {_row_name(row)}: {error.message} {error.hint}".rstrip())
            case RowByOther(row):
                self.advance(f"{_row_name(row)}: measured by another process")
            case RowCommitted():
                self.advance(f"{_row_name(event.row)}: {_row_summary(event)}")
            case RowMeasured(row, examples, seconds):
                self.advance(f"{_row_name(row)}: {_examples(examples)}, {seconds:.1f} s")
            case NeighboursFound(seed, count, total):
                self.describe(f"neighbours (seed {seed}) {count:,}/{total:,} tokens")

    def _count(self) -> str:
        return f"{super()._count()}{_rate(self.done, self.started, 'rows')}"


def _several(items: str, names: Iterable[str]) -> str:
    """Return a text that names the items that workers are processing at the same time, such as `2 rows: sw, yo`."""
    running = list(names)
    distinct = list(dict.fromkeys(running))
    return f"{len(running)} {items}: {', '.join(distinct[:_NAMED])}{', …' if len(distinct) > _NAMED else ''}"


def _rate(done: int, started: float, items: str) -> str:
    seconds = time.monotonic() - started
    if not done or not seconds:
        return ""
    rate = 3600 * done / seconds
    # A unit of a large model takes hours; its low rate is shown with one decimal.
    return f", {rate:,.1f} {items}/hour" if rate < 10 else f", {rate:,.0f} {items}/hour"


def _row_name(row: Row) -> str:
    return f"{row.language} (seed {row.seed})"


def _examples(number: int) -> str:
    return f"{number:,} example{'' if number == 1 else 's'}"


def _row_summary(event: RowCommitted) -> str:
    summary = f"{_examples(event.examples)}, {event.cardinality:,} parameters"
    if not event.seconds:
        return f"{summary} (its worker died before it reported the time)"
    summary = f"{summary}, {event.seconds:.1f} s"
    if event.stored_fisher:
        return f"{summary} (from stored Fisher values)"
    half = event.reliability.get("split_half")
    halves = "" if half is None else f", split-half {half:.3f}"
    return f"{summary} ({_speed(event.examples / event.seconds)}){halves}"


def _speed(rate: float) -> str:
    """Return examples per second, or seconds per example if a model is slow.

    >>> _speed(23.4), _speed(1.26), _speed(0.25)
    ('23 examples/s', '1.3 examples/s', '4.0 s/example')
    """
    if rate < 1:
        return f"{1 / rate:.1f} s/example"
    return f"{rate:.0f} examples/s" if rate >= 10 else f"{rate:.1f} examples/s"


class TransferProgress(ProgressBar):
    """Progress bar that shows the events of fine-tuning."""

    fractional = True

    def __init__(self, console: Console, units: int) -> None:
        self.started = self.last_line = time.monotonic()
        self.running: dict[Unit, None] = {}
        super().__init__(console, units, "fine-tuning")

    def __call__(self, event: object) -> None:
        """Show one event of fine-tuning in the bar, as a line of text, or not at all."""
        if isinstance(event, UnitDone | UnitByOther | UnitFailed):
            self.running.pop(event.unit, None)
        match event:
            case UnitStarted(unit):
                self.running[unit] = None
                self.describe(str(unit) if len(self.running) == 1 else _several("units", map(str, self.running)))
            case Noted(text):
                self.say(f"note: {text}")
            case StepsDone(unit, done, total, activity):
                share = done / total
                testing = activity.startswith("testing")
                part = _TUNING_SHARE + (1 - _TUNING_SHARE) * share if testing else _TUNING_SHARE * share
                self.describe(f"{unit} {activity}", part)
                self._remind(event)
            case UnitsAwaited(units):
                self.say(f"note: other processes are fine-tuning {', '.join(map(str, units))}; waiting for them.")
            case UnitByOther(unit):
                self.advance(f"{unit}: fine-tuned by another process")
            case UnitFailed(unit, error):
                self.advance()
                self.say(f"failed: {unit}: {error.message}")
            case UnitDone(unit, run, seconds):
                self.advance(f"{unit}: {_unit_summary(run)}, {seconds:.0f} s")

    def _count(self) -> str:
        return f"{super()._count()}{_rate(self.done, self.started, 'units')}"

    def say(self, text: str) -> None:
        """Print a line above the bar, and remember the time, so that reminders are printed only after a pause."""
        self.last_line = time.monotonic()
        super().say(text)

    def _remind(self, event: StepsDone) -> None:
        """Print a line about the current unit if no bar is drawn and nothing was printed for a long time."""
        if is_live(self.console) or time.monotonic() - self.last_line < _SILENCE:
            return
        if event.activity.startswith("testing"):
            self.say(f"{event.unit}: {event.activity}, {event.done} of {event.total}")
        else:
            dev = f", {event.activity}" if event.activity else ""
            self.say(f"{event.unit}: step {event.done:,} of {event.total:,}{dev}")


def _unit_summary(run: TransferRun) -> str:
    metric = next(iter(next(iter(run.scores.values())).metrics))
    languages = constituents(run.source)
    zero_shot = [score.metrics[metric] for target, score in run.scores.items() if target not in languages]
    own = run.scores.get(run.source)
    parts = [
        f"dev {max(run.training['dev']):.1f} after {run.training['best_epoch']} of {run.training['epochs']} epochs"
    ]
    if own is not None:
        parts.append(f"own test {own.metrics[metric]:.1f}")
    if zero_shot:
        parts.append(f"zero-shot {mean(zero_shot):.1f} on {len(zero_shot)}")
    return ", ".join(parts)


class ReadProgress:
    """Handler that shows the events of functions that read stores or matrices.

    Notes are printed as lines, and the progress of the current task is drawn as a bar.

    Args:
        console: The console to draw on. No bar is drawn if the console is quiet or cannot redraw a bar.
        say: Function that prints a note.
    """

    def __init__(self, console: Console, say: Callable[[str], None]) -> None:
        self._console, self._say = console, say
        self._bar: Progress | None = None
        self._task = ""

    def __call__(self, event: ReadEvent) -> None:
        """Print a note as a line, or show progress in the bar."""
        match event:
            case Noted(text):
                self.stop()
                self._say(f"note: {text}")
            case WorkDone(task, done, total) if not self._console.quiet and is_live(self._console):
                if self._bar is None or task != self._task:
                    self.stop()
                    self._bar, self._task = self._started(task), task
                self._bar.update(self._bar.task_ids[0], completed=done, total=total)

    def _started(self, task: str) -> Progress:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=self._console, transient=True)
        bar.add_task(task, total=None)
        bar.start()
        return bar

    def stop(self) -> None:
        """Remove the bar of the current task, if there is one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
