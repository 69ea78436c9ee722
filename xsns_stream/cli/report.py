"""`xsns-stream report`: one HTML page with figures and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xsns_stream.cli.option_groups import (
    MAIN_REGIME,
    coefficient_option,
    languages_option,
    predict_option,
    regime_option,
    sources_option,
)
from xsns_stream.cli.option_sections import Decorated, apply
from xsns_stream.cli.output import (
    TARGETS,
    common_options,
    emit_json,
    event_display,
    examples,
    next_step,
    note,
    row_options,
    say,
    store_arguments,
    store_option,
)

if TYPE_CHECKING:
    from xsns_stream.pipeline.report import Report


def page_options(function: Decorated) -> Decorated:
    """Add the options that determine the contents of the report page."""
    return apply(
        function,
        languages_option,
        sources_option,
        click.option(
            "--first-target",
            "target",
            default=None,
            metavar="CODE",
            help="Target whose ranking the page shows at first.  [default: the first one]",
        ),
        click.option(
            *TARGETS,
            "targets",
            multiple=True,
            metavar="CODES",
            help="Compare the sources only with these targets, such as `wo,fo`.",
        ),
        click.option(
            "--gold",
            default=None,
            metavar="FILE",
            help="File of gold scores from `gold import`. With it, the page has expected scores and an evaluation.",
        ),
        regime_option,
        click.option(
            "--no-layers",
            "layers",
            flag_value=False,
            default=True,
            help="Do not compare the layers and kinds of modules separately. Each row is then read once instead of "
            "three times.",
        ),
        click.option("--title", default="", metavar="TEXT", help="Title of the page.  [default: model and languages]"),
    )


@click.command(
    name="report",
    epilog=examples(
        "xsns-stream report",
        "xsns-stream report --lang sw,fi --no-layers -o two.html",
    ),
)
@store_option
@click.option(
    "--matrix",
    default=None,
    metavar="FILE",
    help="Instead of a store: a file with a matrix of similarities (.parquet .csv .tsv .json .npz).",
)
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    metavar="FILE",
    help="The page: a file that ends in .html.",
)
@page_options
@predict_option
@row_options
@coefficient_option
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    store: str,
    output: str,
    matrix: str | None,
    predictors: Mapping[str, str],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Make one HTML page with figures and tables of a store.

    The page contains a summary with warnings, the ranking of the sources for every target, a heat map, a tree with
    clusters, maps, the layers, and, with --gold, an evaluation. It loads nothing from the network: it can be opened
    from a disk, and sent to other people. Further predictors for the evaluation are given with --predict.
    """
    from xsns_stream.errors import UsageError
    from xsns_stream.pipeline.report import report

    if matrix is not None and ctx.get_parameter_source("store") is ParameterSource.COMMANDLINE:
        raise UsageError("--store and --matrix cannot be combined.", "give one of them.")
    if options["regime"] == MAIN_REGIME:
        options["regime"] = None
    with event_display(quiet) as on_event:
        result = report(
            None if matrix is not None else store,
            output,
            matrix=matrix,
            predictors=predictors,
            on_event=on_event,
            **options,
        )
    if as_json:
        emit_json("report", result.to_dict())
    else:
        _show(result)
    note("open the page in a browser; it loads nothing from the network.", quiet or as_json)
    _next(store, matrix, options["gold"], result, quiet, as_json)


def _show(result: Report) -> None:
    """Print a summary of the page that was written."""
    from rich.filesize import decimal

    sections = ", ".join(title for _, title in result.page.sections)
    say(f"wrote {result.path} ({decimal(result.bytes)}): {len(result.page.languages)} languages; {sections}")


def _next(store: str, matrix: str | None, gold: str | None, result: Report, quiet: bool, as_json: bool) -> None:
    """Print the command to run after a report: `rank` if the page shows a store, `gold import` if it shows a matrix."""
    if matrix is not None:
        next_step("gold", "import", "TABLE", "-o", "gold.parquet", quiet=quiet, as_json=as_json)
        return
    target = result.page.ranking.first if result.page.ranking else result.page.languages[0].code
    ranking = result.page.ranking
    with_gold = () if gold is None or ranking is None or ranking.expected is None else ("--gold", gold)
    next_step("rank", *store_arguments(store), "--target", target, *with_gold, quiet=quiet, as_json=as_json)
