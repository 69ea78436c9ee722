"""How `reproduce` runs other verbs: in this process, with what they print in files of their own."""

from __future__ import annotations

import io
import sys
import uuid
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from xsns_stream.cli.common import note
from xsns_stream.errors import ExitCode
from xsns_stream.reproduce.running import RecipeEnded, StepEnded, StepStarted

if TYPE_CHECKING:
    from xsns_stream.reproduce.running import Event


class _Log(io.TextIOWrapper):
    """A text file that is flushed at every line; what it is told goes to another stream too, where one is given."""

    def __init__(self, path: Path, beside: TextIO | None = None) -> None:
        super().__init__(path.open("wb"), encoding="utf-8", errors="replace", line_buffering=True)
        self.beside = beside

    def write(self, text: str, /) -> int:
        if self.beside is not None:
            self.beside.write(text)
        return super().write(text)


def run_verb(quiet: bool) -> Callable[[Sequence[str], Path, Path | None], int]:
    """Return what runs a verb within this process.

    What it says on stderr goes to its log and, unless quiet, to ours; what it says on stdout to a file beside the
    log, or to the one that is made of it.
    """

    def run(args: Sequence[str], log: Path, stdout: Path | None) -> int:
        with _Log(log, None if quiet else sys.stderr) as told:
            if stdout is None:
                with _Log(log.with_suffix(".out")) as result:
                    return _call(args, result, told)
            # Of one process alone: two may work on one folder.
            aside = stdout.with_name(f".{stdout.name}.{uuid.uuid4().hex}.partial")
            try:
                with _Log(aside) as result:
                    code = _call(args, result, told)
                if code in {ExitCode.OK, ExitCode.SOME_LANGUAGES_FAILED}:
                    aside.replace(stdout)
            finally:
                aside.unlink(missing_ok=True)
            return code

    return run


def _call(args: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run a command line and return its exit code.

    Raises:
        KeyboardInterrupt: It was interrupted.
    """
    from xsns_stream.cli import main

    code: object = ExitCode.OK
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(list(args), within_another=True)
        except SystemExit as stop:
            code = stop.code
    return code if isinstance(code, int) else ExitCode.OK


class Progress:
    """Draws events, one line each.

    Args:
        quiet: Draw none.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        match event:
            case StepStarted(step, place, total, log):
                note(f"[{place}/{total}] {step.name} (log: {log})\n  {step.shown}", self.quiet)
            case StepEnded(step, True, None):
                note(f"{step.name}: was done.", self.quiet)
            case StepEnded(step, done, seconds, why):
                after = "" if seconds is None else f" after {seconds:.0f} s"
                state = "done" if done else "failed"
                note(f"{step.name}: {state}{after}{f': {why}' if why else '.'}", self.quiet)
            case RecipeEnded(recipe, files, why):
                said = f"left out: {why}" if why else f"wrote {', '.join(map(str, files))}"
                note(f"{recipe.name}: {said}", self.quiet)
