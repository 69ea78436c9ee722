"""`xsns-stream gold`: import gold transfer scores from public formats, and show the contents of a file of scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.output import common_options, counted, csv_guard_option, emit_json, examples, note, stdout_console
from xsns_stream.cli.selection import parse_renames

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.gold import ScoreSummary
    from xsns_stream.types.transfer_scores import TransferScores

#: Names of `xsns_stream.gold.FORMATS`, which a help page does not load; a test compares them.
FORMAT_NAMES: Final = ("xpos", "nnrank", "langrank", "sumeval", "matrix", "long")
_UNITS: Final = ("percent", "fraction", "points")
#: Largest number of sources and targets in a table; --json has all.
_SHOWN: Final = 10


@click.group(
    name="gold",
    no_args_is_help=False,
    epilog=examples(
        "xsns-stream gold import scores.csv --format long -o gold.parquet", "xsns-stream gold show gold.parquet"
    ),
)
def command() -> None:
    """Import and show gold transfer scores.

    A gold score is the score on a target language of a model that was fine-tuned on a source language. `evaluate`,
    `regress` and `rank` compare predictions with gold scores.
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
    required=True,
    metavar="|".join(FORMAT_NAMES),
    help="Layout of the file: a public collection, or a table of your own. matrix has a line for each source and a "
    "column for each target, long has a line for each score.",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="File to write: .parquet, or .csv with a line for each score."
)
@csv_guard_option
@click.option("--task", metavar="NAME", help="Task that was fine-tuned, as pos; by default that of the format.")
@click.option(
    "--metric", metavar="NAME", help="Metric that was measured, as accuracy or f1; needed if a file has several."
)
@click.option(
    "--unit",
    type=click.Choice(_UNITS),
    help="Unit of the scores, which are compared with it; points for a metric with a scale of its own.",
)
@click.option("--origin", metavar="TEXT", help="Source of the scores; by default that of the format.")
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    metavar="N",
    help="The seed of each file, in the order of the files. Repeatable.",
)
@click.option("--main-regime", metavar="NAME", help="Training regime that comes first, if a file has several.")
@click.option(
    "--rename",
    "renamed",
    multiple=True,
    metavar="OLD=NEW",
    help="The code of a label in the file, as Swahili=sw; or max=max, if the label is a language and not a summary. "
    "Repeatable.",
)
@click.option("--transpose", is_flag=True, help="Targets are where sources are expected: exchange the two.")
@click.option(
    "--min-examples",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Leave out targets that were tested on fewer examples, if the file has their number.",
)
@click.option(
    "--skip-unknown",
    is_flag=True,
    help="Leave out labels that are not languages, languages with several labels, and cells that are not numbers; they "
    "are counted and listed. By default such a file is refused.",
)
@common_options
def import_command(
    files: tuple[str, ...], layout: str, output: str, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Import gold transfer scores: read, check, write.

    Codes of languages are normalised, and names of languages are recognised. A file with data that cannot be imported
    is refused, and one message lists all problems. Several files are runs with several seeds.
    """
    from xsns_stream.gold import SCORE_FORMATS, import_scores, summarise, write_scores
    from xsns_stream.io.atomic import writable

    writable(output, SCORE_FORMATS)
    found = import_scores(
        files,
        layout,
        task=options["task"],
        metric=options["metric"],
        unit=options["unit"],
        origin=options["origin"],
        seeds=options["seeds"],
        regime=options["main_regime"],
        rename=parse_renames(options["renamed"]),
        transpose=options["transpose"],
        min_examples=options["min_examples"],
        skip_unknown=options["skip_unknown"],
    )
    write_scores(found.scores, output)
    for sentence in found.notes:
        note(f"note: {sentence}", quiet)
    note(f"wrote {output}", quiet)
    summary = summarise(found.scores)
    if as_json:
        result = _result(found.scores, summary, found.scores.regimes)
        more = {"left_out": found.left_out.to_json(), "by_name": dict(found.by_name)}
        emit_json("gold import", result | {"notes": list(found.notes), "output": output} | more)
    else:
        stdout_console().print(_facts(found.scores, summary, found.scores.regimes))


@command.command(
    name="show",
    epilog=examples("xsns-stream gold show gold.parquet", "xsns-stream gold show gold.parquet --json"),
)
@click.argument("file", metavar="FILE")
@click.option(
    "--regime", default="main", show_default=True, metavar="NAME", help="Training regime to show; main is the first."
)
@common_options
def show_command(file: str, regime: str, as_json: bool, quiet: bool) -> None:
    """Show the contents of a file of gold scores.

    Task, metric, unit, seeds and regimes; the best source of each target, and each source's mean over other languages.
    """
    from xsns_stream.gold import read_scores, summarise
    from xsns_stream.pipeline.predictors import regime_of

    everything = read_scores(file)
    scores = regime_of(everything, regime)
    for sentence in scores.notes:
        note(f"note: {sentence}", quiet)
    summary = summarise(scores)
    if as_json:
        emit_json("gold show", _result(scores, summary, everything.regimes) | {"notes": list(scores.notes)})
        return
    console = stdout_console()
    console.print(_facts(scores, summary, everything.regimes))
    console.print(_best_sources(scores, summary))
    console.print(_source_means(scores, summary))
    if max(len(scores.targets), len(scores.sources)) > _SHOWN:
        there = f"{counted(len(scores.targets), 'target')} and {counted(len(scores.sources), 'source')}"
        note(f"{_SHOWN} lines of each table; --json has all of {there}.", quiet)


# ---------------------------------------------------------------------------------- what is printed


def _result(scores: TransferScores, summary: ScoreSummary, regimes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "task": scores.task,
        "metric": scores.metric,
        "unit": scores.unit,
        "origin": scores.origin,
        "sources": list(scores.sources),
        "targets": list(scores.targets),
        "regime": scores.regimes[0],
        "regimes": list(regimes),
        "seeds": list(scores.seeds),
        "missing": [list(pair) for pair in summary.missing],
        "lowest": summary.lowest,
        "highest": summary.highest,
        "mean": summary.mean,
        "mean_own": summary.mean_own,
        "best_source": {
            target: {"source": source, "score": score} for target, (source, score) in summary.best_source.items()
        },
        "source_means": summary.source_means,
        "source_targets": summary.source_targets,
    }


def _facts(scores: TransferScores, summary: ScoreSummary, regimes: tuple[str, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    pairs = f"{len(scores.sources)} sources × {len(scores.targets)} targets"
    own = "" if math.isnan(summary.mean_own) else f"; with itself {_number(scores, summary.mean_own)}"
    between = f"{_number(scores, summary.lowest)} to {_number(scores, summary.highest)}"
    for name, value in (
        ("scores", f"{scores.task}, {scores.metric} in {scores.unit}; {scores.origin or 'of unknown origin'}"),
        ("pairs", pairs + (f", {len(summary.missing)} without a score" if summary.missing else "")),
        ("regimes", ", ".join(f"{name} (shown)" if name == scores.regimes[0] else name for name in regimes)),
        ("seeds", ", ".join(map(str, scores.seeds)) or "unknown"),
        ("between languages", f"{between}, mean {_number(scores, summary.mean)}{own}"),
    ):
        table.add_row(name, Text(value))
    return table


def _best_sources(scores: TransferScores, summary: ScoreSummary) -> Table:
    from rich.table import Table
    from rich.text import Text

    from xsns_stream.report import shown_name

    table = Table(title="best source of each target", title_justify="left")
    for heading in ("target", "name", "best source", "name"):
        table.add_column(heading)
    table.add_column(Text(scores.metric), justify="right")
    for target, (source, score) in list(summary.best_source.items())[:_SHOWN]:
        cells = (target, shown_name(target), source, shown_name(source), _number(scores, score))
        table.add_row(*map(Text, cells))
    return table


def _source_means(scores: TransferScores, summary: ScoreSummary) -> Table:
    from rich.table import Table
    from rich.text import Text

    from xsns_stream.report import shown_name

    table = Table(title="sources by their mean over other languages", title_justify="left")
    table.add_column("source")
    table.add_column("name")
    table.add_column(Text(f"mean {scores.metric}"), justify="right")
    table.add_column("targets", justify="right")
    for source, mean in sorted(summary.source_means.items(), key=lambda item: -item[1])[:_SHOWN]:
        cells = (source, shown_name(source), _number(scores, mean), str(summary.source_targets[source]))
        table.add_row(*map(Text, cells))
    return table


def _number(scores: TransferScores, value: float) -> str:
    """Return a score as text: 81.25 for percent, 0.8125 for fractions."""
    return f"{value:.2f}" if scores.unit == "percent" else f"{value:.4f}"
