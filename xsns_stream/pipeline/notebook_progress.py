"""Progress bar and lines of text in a notebook.

The bar is one output below the cell, which is replaced while the cell runs. It does not use ipywidgets: a saved
notebook then contains the last state of the bar as text and HTML, which every viewer of notebooks can show.
"""

from __future__ import annotations

import time
from html import escape
from typing import Any, Final

from rich.progress import Progress, Task, TaskID

from xsns_stream.io.console import VisibleConsole
from xsns_stream.io.escaping import visible

#: Smallest number of seconds between two updates of the bar.
_PERIOD: Final = 0.1


def in_notebook() -> bool:
    """Return whether the program runs in a Jupyter kernel, as rich detects it."""
    return VisibleConsole().is_jupyter


class NotebookConsole(VisibleConsole):
    """Console that prints plain text below the cell, where a notebook wraps long lines and joins adjacent lines."""

    def __init__(self) -> None:
        super().__init__(force_jupyter=False, force_terminal=False, color_system=None)


class NotebookProgress(Progress):
    """Progress bar of one task, as an HTML element below the cell.

    The columns of the base class are not drawn: the bar shows the description, the field `count` of the task, and the
    elapsed and the remaining time. It is updated by calls of :meth:`update` only, not by a thread, because a notebook
    would assign the output of a thread to the cell that runs at that time.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(auto_refresh=False, redirect_stdout=False, redirect_stderr=False, **options)
        self._handle: Any = None
        self._shown = 0.0

    def start(self) -> None:
        """Show the bar."""
        if not self.disable:
            from IPython.display import display

            self._handle = display(_bundle(self.tasks[0]), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Show the last state of the bar, which stays below the cell."""
        self._show()

    def refresh(self) -> None:
        """Do nothing: only :meth:`update` changes the output."""

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change the description, the completed amount or the field `count`; show the change every 0.1 s at most."""
        super().update(task_id, **changes)
        if time.monotonic() - self._shown >= _PERIOD:
            self._show()

    def _show(self) -> None:
        if self._handle is not None:
            self._handle.update(_bundle(self.tasks[0]), raw=True)
            self._shown = time.monotonic()


def _bundle(task: Task) -> dict[str, str]:
    """Return the state of a task as plain text and as HTML."""
    total, count = task.total or 0.0, str(task.fields["count"])
    times = _duration(task.elapsed or 0.0)
    if not task.finished and task.completed and (rest := task.time_remaining) is not None:
        times += f", {_duration(rest)} left"
    text, share = visible(task.description), f"{100 * task.completed / total:.0f} %" if total else ""
    bar = f'<progress max="{total:g}" value="{task.completed:g}" aria-label="{escape(text)}">{share}</progress>'
    return {
        "text/plain": f"{text}: {count}, {times}",
        "text/html": f"<div>{bar} {escape(text)}: {escape(count)}, {times}</div>",
    }


def _duration(seconds: float) -> str:
    """Return a duration as `minutes:seconds` or `hours:minutes:seconds`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
