"""`xsns-stream shared`: common parameters of the sub-networks of several languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.choices import GROUPINGS
from xsns_stream.cli.cluster_options import cluster_options
from xsns_stream.cli.output import (
    LANG,
    common_options,
    emit_json,
    event_display,
    examples,
    next_step,
    row_options,
    stdout_console,
    store_arguments,
    store_option,
)

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.pipeline.shared_parameters import SharedParameters


@click.command(
    name="shared",
    epilog=examples("xsns-stream shared --lang sw,fi", "xsns-stream shared --lang all --by module --json"),
)
@store_option
@click.option(
    *LANG,
    "languages",
    multiple=True,
    required=True,
    metavar="CODES",
    help="The languages, such as `sw,zu,xh`, or `all`.",
)
@row_options
@click.option(
    "--by",
    type=click.Choice(GROUPINGS),
    default="layer",
    show_default=True,
    help="Show the counts for each layer, kind of module, or tensor.",
)
@cluster_options("range of columns", few="few or short rows are compared in this process")
@common_options
def command(store: str, languages: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Show the common parameters of the sub-networks of several languages.

    For each layer, the table has the number of parameters that are in all of the sub-networks, and in at least one of
    them. If the store has several seeds, the table shows the mean over seeds.
    """
    from xsns_stream.pipeline.shared_parameters import shared

    with event_display(quiet) as on_event:
        result = shared(store, languages, on_event=on_event, **options)
    if as_json:
        emit_json("shared", result.to_dict())
    else:
        stdout_console().print(_table(result))
    where = store_arguments(store)
    next_step("rank", *where, "--target", result.languages[0], "--explain", quiet=quiet, as_json=as_json)


def _table(result: SharedParameters) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(result.by, style="bold", overflow="fold")
    for name in ("parameters", f"in all {len(result.languages)}", "", "in any", ""):
        table.add_column(name, justify="right", no_wrap=True)
    for group in (*result.groups, result.total):
        cells = [f"{group.parameters:,}"]
        for numbers in (group.common, group.united):
            mean = sum(numbers) / len(numbers)
            cells += [f"{mean:,.0f}", f"{mean / group.parameters:.1%}"]
        table.add_row(*map(Text, (group.name, *cells)))
    return table
