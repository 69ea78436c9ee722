"""Output of all verbs: the JSON envelope, notes, tables and escaping."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from xsns_stream.io.console import VisibleConsole
from xsns_stream.io.escaping import visible, visible_json
from xsns_stream.io.json import nan_to_null
from xsns_stream.pipeline.events import OnReadEvent, progress_of

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION: Final = 1
DEFAULT_STORE: Final = "xsns.zarr"

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _remember_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta["verbose"] = value


def _remember_quiet(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta["quiet"] = value
    return value


def csv_guard_option(function: Decorated) -> Decorated:
    """Add `--csv-guard`, for verbs that write .csv or .tsv."""

    def guard(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        from xsns_stream.io.frames import guarding_csv

        ctx.with_resource(guarding_csv(value))

    return click.option(
        "--csv-guard",
        is_flag=True,
        expose_value=False,
        callback=guard,
        help="In .csv and .tsv files, put ' before cells that a spreadsheet would read as a formula (= + - @).",
    )(function)


def common_options(function: Decorated) -> Decorated:
    """Add `--json`, `--quiet` and `--verbose`."""
    for option in (
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_remember_verbose,
            is_eager=True,
            help="Show the traceback of an error.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            callback=_remember_quiet,
            help="Print neither progress nor notes; results and errors remain.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ):
        function = option(function)
    return function


def lasting(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Reject stores in memory, which are empty at the start of a command and lost at its end."""
    from xsns_stream.errors import UsageError

    for name in value if isinstance(value, tuple) else (value,):
        if str(name).lower().startswith("memory:"):
            raise UsageError(
                f"a store at '{name}' ends with the command.", "give a folder, or a URL such as s3://bucket/prefix."
            )
    return value


def store_option(function: Decorated) -> Decorated:
    """Add `--store`."""
    return click.option(
        "-s",
        "--store",
        default=DEFAULT_STORE,
        show_default=True,
        metavar="PATH",
        callback=lasting,
        help="The store of sub-networks: a folder, or s3://bucket/prefix, gs://…, az://…",
    )(function)


def row_options(function: Decorated) -> Decorated:
    """Add `--seed` and `--density`, which select rows of a store."""
    function = click.option(
        "--density", type=float, default=None, help="Density of the rows, needed if the store has several."
    )(function)
    return click.option(
        "--seed",
        "seeds",
        type=int,
        multiple=True,
        help="Seed of the rows. May be given more than once.  [default: all seeds, averaged]",
    )(function)


def examples(*commands: str) -> str:
    """Return examples for the end of a help page; the tests run them."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def split_codes(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the codes of an option that may be repeated and takes lists: `--lang sw,en --lang fi`."""
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number and its noun, such as `1 row` or `2 rows`."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def emit_json(verb: str, result: dict[str, Any], **more: Any) -> None:
    """Print the JSON object of a verb; NaN becomes null, because JSON does not have NaN."""
    document = {"schema_version": SCHEMA_VERSION, "command": verb, **more, "result": result}
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    click.echo(visible_json(json.dumps(nan_to_null(document), ensure_ascii=plain, allow_nan=False)))


def say(text: str = "", *, err: bool = False, lines: bool = False) -> None:
    """Print a line. Verbs print with this function, with :func:`emit_json` or on a console below, and in no other way.

    Args:
        text: The line. Invisible characters are shown as escapes.
        err: Whether the line goes to stderr.
        lines: Whether the text may contain line breaks.
    """
    click.echo(visible(text, lines=lines), err=err)


def stdout_console() -> Console:
    """Return the console for results; it is wide if stdout is not a terminal."""
    return VisibleConsole(width=None if sys.stdout.isatty() else 200, soft_wrap=False)


def stderr_console(quiet: bool) -> Console:
    """Return the console for progress and notes."""
    return VisibleConsole(stderr=True, quiet=quiet)


def note(text: str, quiet: bool) -> None:
    """Print a line to stderr. It is never wrapped, so that it can be searched for."""
    if not quiet:
        say(text, err=True)


def store_arguments(store: str) -> tuple[str, ...]:
    """Return `--store STORE`, for a command line; nothing for the default store."""
    return () if store == DEFAULT_STORE else ("--store", store)


def next_step(*command: object, quiet: bool, as_json: bool = False) -> None:
    """Print the command that is useful after a verb, as a line `next: xsns-stream …` on stderr.

    A verb calls this function after its results were printed. Nothing is printed with `--quiet` or `--json`.

    Args:
        command: The verb and its arguments, which are quoted for a shell. Words in capitals, such as `FOLDER`, stand
            for what only the user knows.
        quiet: Whether `--quiet` was given.
        as_json: Whether `--json` was given.
    """
    if not as_json:
        note(f"next: {shlex.join(('xsns-stream', *map(str, command)))}", quiet)


@contextmanager
def event_display(quiet: bool) -> Iterator[OnReadEvent]:
    """Yield a handler that prints notes, and draws progress bars, while the block runs."""
    from xsns_stream.pipeline.progress import ReadProgress

    display = ReadProgress(stderr_console(quiet), lambda text: note(text, quiet))
    try:
        yield display
    finally:
        display.stop()


@contextmanager
def progress_bar(task: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar while the block runs; yield a function of (done, total)."""
    with event_display(quiet) as on_event:
        yield progress_of(task, on_event)
