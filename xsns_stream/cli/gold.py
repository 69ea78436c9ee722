"""`xsns-stream gold`: import gold transfer scores from public formats, and show the contents of a file of scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.choices import GOLD_FORMATS
from xsns_stream.cli.option_groups import parse_renames
from xsns_stream.cli.output import (
    DEFAULT_STORE,
    SEEDS,
    common_options,
    counted,
    emit_json,
    examples,
    next_step,
    note,
    score_output_option,
    stdout_console,
)
from xsns_stream.cli.parameter_types import WholeNumbers, flattened

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from xsns_stream.pipeline.gold_files import GoldReport
    from xsns_stream.types.transfer_scores import TransferScores

_UNITS: Final = ("percent", "fraction", "points")
#: Largest number of rows in the tables below the matrix; --json has all rows.
_SHOWN: Final = 10
#: Largest numbers of sources and of targets in the matrix.
_MOST_SOURCES: Final = 30
_MOST_TARGETS: Final = 70


@click.group(
    name="gold",
    no_args_is_help=False,
    epilog=examples(
        "xsns-stream gold import scores.csv --format long -o gold.parquet", "xsns-stream gold show gold.parquet"
    ),
)
def command() -> None:
    """Import and show gold transfer scores.

    A gold score is the score of a model that was fine-tuned on a source language and tested on a target language.
    `evaluate`, `regress` and `rank` compare predictions with gold scores.
    """


@command.command(
    name="import",
    epilog=examples(
        "xsns-stream gold import scores.csv --format long -o gold.parquet",
        "xsns-stream gold import run1.csv run2.csv --seed 1 --seed 2 --format matrix -o runs.parquet",
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format",
    "layout",
    metavar="|".join(GOLD_FORMATS),
    help="Format of the file: a public collection, or a plain table. matrix has a line for each source and a column "
    "for each target; long has a line for each score. [default: detected from the file]",
)
@score_output_option
@click.option("--task", metavar="NAME", help="Task of fine-tuning, such as pos; by default that of the format.")
@click.option(
    "--metric", metavar="NAME", help="Metric of the scores, such as accuracy or f1; required if a file has several."
)
@click.option(
    "--unit",
    type=click.Choice(_UNITS),
    help="Unit of the scores; scores outside of its range are an error. Use points for a metric with another range.",
)
@click.option("--origin", metavar="TEXT", help="Source of the scores; by default that of the format.")
@click.option(
    *SEEDS,
    "seeds",
    type=WholeNumbers(),
    callback=flattened,
    multiple=True,
    metavar="N",
    help="The seed of each file, in the order of the files. May be given more than once.",
)
@click.option(
    "--main-regime", metavar="NAME", help="Training regime whose scores are used by default, if a file has several."
)
@click.option(
    "--rename",
    "renamed",
    multiple=True,
    metavar="OLD=NEW",
    help="The language code of a label in the file, such as Swahili=sw. Use max=max if the label is the language with "
    "the code max and not a summary. May be given more than once.",
)
@click.option("--transpose", is_flag=True, help="Exchange sources and targets, for a file with targets as rows.")
@click.option(
    "--min-examples",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Leave out targets that were tested on fewer examples, if the file states the numbers of examples.",
)
@click.option(
    "--skip-unknown",
    is_flag=True,
    help="Leave out labels that are not languages, languages with several labels, and cells that are not numbers; "
    "the output counts and lists them. By default, they are an error.",
)
@common_options
def import_command(
    files: tuple[str, ...], layout: str | None, output: str, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Read gold transfer scores, check them, and write them to a file.

    FILE is a table of text (.csv, .tsv, .txt, .md, .tex) from a spreadsheet or a paper, or a file of a public
    collection. Codes of languages are normalised, and names of languages are recognised. If data cannot be imported,
    one message lists all problems, and nothing is written. If several files are given, each contains the
    scores of one seed.
    """
    from xsns_stream.pipeline.gold_files import import_gold

    options["rename"] = parse_renames(options.pop("renamed"))
    report = import_gold(files, layout, output, **options)
    _print_notes(report, quiet)
    note(f"wrote {output}", quiet)
    if as_json:
        emit_json("gold import", report.to_dict())
    else:
        stdout_console().print(_facts(report))
    next_step("gold", "show", output, quiet=quiet, as_json=as_json)


@command.command(
    name="show",
    epilog=examples("xsns-stream gold show gold.parquet", "xsns-stream gold show gold.parquet --json"),
)
@click.argument("file", metavar="FILE")
@click.option(
    "--regime",
    default="main",
    show_default=True,
    metavar="NAME",
    help="Training regime to show; main means the first one.",
)
@common_options
def show_command(file: str, regime: str, as_json: bool, quiet: bool) -> None:
    """Show the contents of a file of gold scores.

    The output consists of task, metric, unit, seeds and regimes; the matrix of sources and targets; the best source of
    each target; and the mean of each source over other languages. In the matrix, sources with a higher mean come first,
    and the best source of each target is marked.
    """
    from xsns_stream.pipeline.gold_files import summarise_gold

    report = summarise_gold(file, regime)
    _print_notes(report, quiet)
    if as_json:
        emit_json("gold show", report.to_dict())
        return
    console, scores = stdout_console(), report.scores
    console.print(_facts(report))
    console.print("", _matrix(report, console.width), "", sep="\n")
    console.print(_best_sources(report))
    console.print(_source_means(report))
    if max(len(scores.targets), len(scores.sources)) > _SHOWN:
        counts = f"{counted(len(scores.targets), 'target')} and {counted(len(scores.sources), 'source')}"
        note(f"the tables below the matrix have at most {_SHOWN} rows; --json prints all {counts}.", quiet)
    next_step("evaluate", "--gold", file, "--predict", f"xsns={DEFAULT_STORE}", quiet=quiet)


# ---------------------------------------------------------------------------------- output


def _print_notes(report: GoldReport, quiet: bool) -> None:
    for text in report.notes:
        note(f"note: {text}", quiet)


def _facts(report: GoldReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    from xsns_stream.types.transfer_scores import scores_name

    scores, summary = report.scores, report.summary
    table = Table.grid(padding=(0, 2))
    pairs = f"{len(scores.sources)} sources × {len(scores.targets)} targets"
    number = counted(len(summary.missing), "pair")
    missing = f", {number} of different languages without a score" if summary.missing else ""
    own = "" if math.isnan(summary.mean_own) else f"; with itself {_number(scores, summary.mean_own)}"
    between = f"{_number(scores, summary.lowest)} to {_number(scores, summary.highest)}"
    for name, value in (
        (
            "scores",
            f"{scores_name(scores.task, scores.metric)} ({scores.unit}); {scores.origin or 'of unknown origin'}",
        ),
        ("pairs", pairs + missing),
        ("regimes", ", ".join(f"{name} (shown)" if name == scores.regimes[0] else name for name in report.regimes)),
        ("seeds", ", ".join(map(str, scores.seeds)) or "unknown"),
        ("between languages", f"{between}, mean {_number(scores, summary.mean)}{own}"),
    ):
        table.add_row(name, Text(value))
    return table


def _matrix(report: GoldReport, width: int) -> Group:
    """Return the matrix of scores, whose sources are ordered by mean score, followed by the names of all languages."""
    from rich.console import Group
    from rich.text import Text

    from xsns_stream.report import scores_table, shown_name

    scores, means = report.scores, report.summary.source_means
    order = sorted(scores.sources, key=lambda source: -means.get(source, -math.inf))
    ordered = scores.restricted(order, scores.targets)
    shown = dict.fromkeys((*ordered.sources[:_MOST_SOURCES], *ordered.targets[:_MOST_TARGETS]))
    names = ", ".join(f"{code} {shown_name(code)}" for code in shown if shown_name(code) != code)
    table = scores_table(ordered, width, most=_MOST_SOURCES, most_targets=_MOST_TARGETS)
    return Group(table, Text(names, "dim"))


def _best_sources(report: GoldReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    from xsns_stream.report import shown_name
    from xsns_stream.types.transfer_scores import metric_name

    scores, summary = report.scores, report.summary
    table = Table(title="best source of each target", title_justify="left")
    for heading in ("target", "name", "best source", "name"):
        table.add_column(heading)
    table.add_column(Text(metric_name(scores.metric)), justify="right")
    for target, (source, score) in list(summary.best_source.items())[:_SHOWN]:
        cells = (target, shown_name(target), source, shown_name(source), _number(scores, score))
        table.add_row(*map(Text, cells))
    return table


def _source_means(report: GoldReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    from xsns_stream.report import shown_name
    from xsns_stream.types.transfer_scores import metric_name

    scores, summary = report.scores, report.summary
    table = Table(title="sources by their mean over other languages", title_justify="left")
    table.add_column("source")
    table.add_column("name")
    table.add_column(Text(f"mean {metric_name(scores.metric)}"), justify="right")
    table.add_column("targets", justify="right")
    for source, mean in sorted(summary.source_means.items(), key=lambda item: -item[1])[:_SHOWN]:
        cells = (source, shown_name(source), _number(scores, mean), str(summary.source_targets[source]))
        table.add_row(*map(Text, cells))
    return table


def _number(scores: TransferScores, value: float) -> str:
    """Return a score as text, such as 81.25 if the unit is percent, and 0.8125 if scores are fractions."""
    return f"{value:.2f}" if scores.unit == "percent" else f"{value:.4f}"
