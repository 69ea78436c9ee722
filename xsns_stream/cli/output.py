"""Output of all verbs (JSON objects, notes and tables), and options that most verbs have."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from xsns_stream.cli.option_sections import Decorated, apply
from xsns_stream.cli.parameter_types import WholeNumbers, flattened
from xsns_stream.io.escaping import visible, visible_json
from xsns_stream.io.json import nan_to_null
from xsns_stream.pipeline.events import OnReadEvent, progress_of

if TYPE_CHECKING:
    from rich.console import Console

    from xsns_stream.pipeline.store_rows import FisherKey, FoldKey, RowKey
    from xsns_stream.types import SimilarityMatrix

SCHEMA_VERSION: Final = 1
DEFAULT_STORE: Final = "xsns.zarr"
#: Largest number of languages for which a table shows the whole matrix.
WHOLE_UP_TO: Final = 12
#: Number of nearest sources of each target in the table of a larger matrix.
NEIGHBOURS: Final = 3
STORE_HELP: Final = "The store of sub-networks: a folder, or s3://bucket/prefix, gs://…, az://…"
_STORE_ARGUMENT: Final = "xsns_stream.store_argument"


#: Names of options that several verbs have. Singular and plural are the same option in every verb.
LANG: Final = ("-l", "--lang", "--languages")
SOURCES: Final = ("--sources", "--source")
TARGETS: Final = ("--targets", "--target")
SEEDS: Final = ("--seed", "--seeds")
DENSITIES: Final = ("--density", "--densities")


class FiniteRange(click.FloatRange):
    """Parameter type of a number in a range. In contrast to `click.FloatRange`, it refuses `nan`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the value of the option as a number; raise a usage error if it is out of range or `nan`."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


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
        help="In .csv and .tsv files, write ' before cells that a spreadsheet would read as a formula (= + - @).",
    )(function)


def output_option(
    more: str = "",
    formats: str = "data (.csv .tsv .json .parquet), a table of text (.md .tex) or a figure (.png .svg .pdf)",
) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds `--output` and `--csv-guard`; the verb receives `outputs`.

    Every verb that shows a table has the option `--output`. The verb writes the table with
    :func:`xsns_stream.report.write_result` or :func:`xsns_stream.report.write_matrix`.

    Args:
        more: Further sentences of the help text.
        formats: The formats, with their suffixes.
    """

    def add(function: Decorated) -> Decorated:
        return click.option(
            "-o",
            "--output",
            "outputs",
            multiple=True,
            metavar="FILE",
            help=f"Also write the result to a file: {formats}. {more}{' ' if more else ''}May be given more than once.",
        )(csv_guard_option(function))

    return add


def score_output_option(function: Decorated) -> Decorated:
    """Add `--csv-guard` and, for a file of gold scores, `--output`; the verb receives `output`."""
    return click.option(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="File of gold scores: .parquet, .json, .csv or .tsv. `evaluate`, `regress` and `rank` read this file.",
    )(csv_guard_option(function))


def common_options(function: Decorated) -> Decorated:
    """Add `--json`, `--quiet` and `--verbose`."""
    return apply(
        function,
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object."),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            callback=_remember_quiet,
            help="Print neither progress nor notes, only results and errors.",
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            callback=_remember_verbose,
            is_eager=True,
            help="Show the traceback of an error.",
        ),
    )


def lasting(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Return the path or URL of a store, the value of an option; this is a callback of click.

    Raises:
        UsageError: The store is in the memory of this process, and would be lost when the command ends.
    """
    from xsns_stream.errors import UsageError

    for name in value if isinstance(value, tuple) else (value,):
        if str(name).lower().startswith("memory:"):
            raise UsageError(
                f"the store '{name}' is in memory and is lost when the command ends.",
                "give a folder, or a URL such as s3://bucket/prefix.",
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
        help=STORE_HELP,
    )(function)


def store_or_argument(function: Decorated) -> Decorated:
    """Add `--store`, which may also be given as an argument: `prune mine.zarr` is `prune --store mine.zarr`."""

    def remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
        ctx.meta[_STORE_ARGUMENT] = value

    def choose(ctx: click.Context, parameter: click.Parameter, value: str) -> Any:
        argument = ctx.meta.get(_STORE_ARGUMENT)
        if argument is not None:
            if ctx.get_parameter_source("store") is not ParameterSource.DEFAULT and argument != value:
                from xsns_stream.errors import UsageError

                raise UsageError(f"two stores were given: '{argument}' and '{value}'.", "give one of them.")
            ctx.set_parameter_source("store", ParameterSource.COMMANDLINE)
            value = argument
        return lasting(ctx, parameter, value)

    function = click.option(
        "-s",
        "--store",
        default=DEFAULT_STORE,
        show_default=True,
        metavar="PATH",
        callback=choose,
        help=f"{STORE_HELP} It may also be given without --store.",
    )(function)
    return click.argument(
        "store_argument", metavar="[STORE]", required=False, is_eager=True, expose_value=False, callback=remember
    )(function)


def row_options(function: Decorated) -> Decorated:
    """Add `--seed` and `--density`, which select rows of a store."""
    function = click.option(
        "--density", type=float, default=None, help="Density of the rows; required if the store has several."
    )(function)
    return click.option(
        *SEEDS,
        "seeds",
        type=WholeNumbers(),
        callback=flattened,
        multiple=True,
        help="Seed of the rows. May be given more than once.  [default: all seeds, averaged]",
    )(function)


def examples(*commands: str) -> str:
    """Return the examples at the end of a help page as text; the tests run these examples."""
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)


def given_options(ctx: click.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return only the options that the user gave, and not the options that have their default values."""
    return {
        name: value for name, value in options.items() if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }


def split_codes(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the codes in all values of an option such as `--lang sw,en --lang fi`, as one tuple."""
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number and its noun, such as `1 row` or `2 rows`."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def duration(seconds: float, about: str = "") -> str:
    """Return a duration as text, in seconds, minutes or hours, after a word such as `about`.

    >>> duration(42, "about"), duration(0.2, "about")
    ('about 42 s', 'less than 1 s')
    """
    if seconds < 1:
        return "less than 1 s"
    if seconds < 90:
        text = f"{seconds:.0f} s"
    else:
        text = f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
    return f"{about} {text}" if about else text


def emit_json(verb: str, result: dict[str, Any], **more: Any) -> None:
    """Print the JSON object of a verb; NaN becomes null, because JSON does not have NaN."""
    document = {"schema_version": SCHEMA_VERSION, "command": verb, **more, "result": result}
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    click.echo(visible_json(json.dumps(nan_to_null(document), ensure_ascii=plain, allow_nan=False)))


def key_json(key: RowKey | FisherKey | FoldKey) -> dict[str, Any]:
    """Return the language, seed and density of a row as JSON values; Fisher values have no density, so it is null."""
    return {"language": key.language, "seed": key.seed, "density": key.density}


def corpus_json(corpus: object) -> dict[str, Any]:
    """Return the entries about a corpus for the JSON object of a verb: files that are not read, and notes."""
    from xsns_stream.pipeline.inspection import corpus_record

    return corpus_record(corpus)


def say(text: str = "", *, err: bool = False, lines: bool = False) -> None:
    """Print a line.

    Verbs print only with this function, with :func:`emit_json`, or on a console that a function of this module returns.

    Args:
        text: The line. Invisible characters are shown as escapes.
        err: Whether the line is printed to stderr.
        lines: Whether the text may contain line breaks.
    """
    click.echo(visible(text, lines=lines), err=err)


def stdout_console() -> Console:
    """Return the console for results, on stdout; if stdout is not a terminal, its width is 200 characters."""
    from xsns_stream.io.console import VisibleConsole

    return VisibleConsole(width=None if sys.stdout.isatty() else 200, soft_wrap=False)


def stderr_console(quiet: bool) -> Console:
    """Return the console for progress and notes, on stderr."""
    from xsns_stream.io.console import VisibleConsole

    return VisibleConsole(stderr=True, quiet=quiet)


def print_matrix(matrix: SimilarityMatrix) -> int:
    """Print a small matrix in full; for a larger matrix, print only the nearest sources of each target.

    Returns:
        The number of sources printed for each target; 0 if the whole matrix was printed.
    """
    from xsns_stream.report import matrix_table, neighbours_table

    console = stdout_console()
    if max(matrix.values.shape) <= WHOLE_UP_TO:
        console.print(matrix_table(matrix, console.width))
        return 0
    console.print(neighbours_table(matrix, NEIGHBOURS))
    return NEIGHBOURS


def note(text: str, quiet: bool) -> None:
    """Print a line to stderr, without wrapping it, unless `quiet` is True."""
    if not quiet:
        say(text, err=True)


def store_arguments(store: str) -> tuple[str, ...]:
    """Return the arguments `--store STORE` for a command line; no arguments if the store is the default store."""
    return () if store == DEFAULT_STORE else ("--store", store)


def given_arguments() -> tuple[str, ...]:
    """Return the command line of the running verb, without the name of the program."""
    arguments: tuple[str, ...] = click.get_current_context().meta.get("arguments", ())
    return arguments


def next_step(*command: object, quiet: bool, as_json: bool = False) -> None:
    """Print a line `next: xsns-stream …` to stderr; it names the command that is useful after the running verb.

    A verb calls this function after it has printed its results. Nothing is printed with `--quiet` or `--json`.

    Args:
        command: The verb and its arguments, which are quoted for a shell. Words in capitals, such as `FOLDER`, are
            placeholders for values of the user.
        quiet: Whether `--quiet` was given.
        as_json: Whether `--json` was given.
    """
    if not as_json:
        note(f"next: {shlex.join(('xsns-stream', *map(str, command)))}", quiet)


class Notes:
    """Notes of a verb that has no events; each note is printed at once, and kept for the JSON object of the verb.

    Args:
        quiet: Whether notes are kept without being printed.
    """

    def __init__(self, quiet: bool) -> None:
        self.sentences: list[str] = []
        self._quiet = quiet

    def __call__(self, sentence: str) -> None:
        """Print a note, unless `quiet` is True, and keep it."""
        self.sentences.append(sentence)
        note(f"note: {sentence}", self._quiet)

    def to_json(self) -> dict[str, list[str]]:
        """Return the entry for the JSON object; it is an empty dictionary if there are no notes."""
        return {"notes": self.sentences} if self.sentences else {}


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
