"""`xsns-stream shared`: what the sub-networks of several languages have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

from xsns_stream.cli.matrix_options import GROUPING_NAMES
from xsns_stream.cli.output import common_options, emit_json, examples, row_options, stdout_console, store_option
from xsns_stream.cli.selection import choose, open_rows, require_labels, time_bar

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.similarity import By
    from xsns_stream.types import ParameterSet


@click.command(
    name="shared",
    epilog=examples("xsns-stream shared --lang sw,fi", "xsns-stream shared --lang all --by module --json"),
)
@store_option
@click.option(
    "--lang", "languages", multiple=True, required=True, metavar="CODES", help="The languages, as `sw,zu,xh`, or all."
)
@row_options
@click.option(
    "--by",
    type=click.Choice(GROUPING_NAMES),
    default="layer",
    show_default=True,
    help="Count layers, kinds of module, or tensors by themselves.",
)
@common_options
def command(
    store: str,
    languages: tuple[str, ...],
    seeds: tuple[int, ...],
    density: float | None,
    by: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show what the sub-networks of several languages have in common.

    For each layer: how many parameters are in all of the sub-networks, and in at least one of them. Where the store
    has several seeds, the table shows their mean.
    """
    from xsns_stream.similarity import common, select, united

    rows = open_rows(store)
    require_labels(rows, seeds, density)
    chosen = choose(languages, rows, store)
    # Where all languages were asked for, these are the ones that have every seed.
    wanted = tuple(dict.fromkeys(seeds)) or None
    selection = select(rows, languages=chosen, seeds=wanted, density=density)
    compared = selection.sources
    together: list[ParameterSet] = []
    either: list[ParameterSet] = []
    for seed in selection.seeds:
        for found, combine in ((together, common), (either, united)):
            with time_bar(f"comparing, seed {seed}", quiet) as on_progress:
                found.append(combine(rows, compared, seed=seed, density=selection.density, on_progress=on_progress))
    labels = {"languages": list(compared), "seeds": list(selection.seeds), "density": selection.density}
    result = labels | _result(together, either, cast("By", by))
    if as_json:
        emit_json("shared", result)
    else:
        stdout_console().print(_table(result))


def _result(together: list[ParameterSet], either: list[ParameterSet], by: By) -> dict[str, Any]:
    """Return numbers of parameters; each list holds one number for each seed."""
    from xsns_stream.similarity import count_by_group
    from xsns_stream.similarity.groups import groups_of

    first = together[0]
    groups = groups_of(first.layout, by)
    in_all, in_any = ([count_by_group(one, by) for one in every] for every in (together, either))
    return {
        "parameters": first.size,
        "common": [one.cardinality for one in together],
        "united": [one.cardinality for one in either],
        "by": by,
        "groups": [
            {
                "name": name,
                "parameters": size,
                "common": [counts[name] for counts in in_all],
                "united": [counts[name] for counts in in_any],
            }
            for name, size in zip(groups.names, groups.sizes, strict=True)
        ],
    }


def _table(found: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(found["by"], style="bold", overflow="fold")
    for name in ("parameters", f"in all {len(found['languages'])}", "", "in any", ""):
        table.add_column(name, justify="right", no_wrap=True)
    total = {"name": "all", **found}
    for group in (*found["groups"], total):
        cells = [f"{group['parameters']:,}"]
        for kind in ("common", "united"):
            mean = sum(group[kind]) / len(group[kind])
            cells += [f"{mean:,.0f}", f"{mean / group['parameters']:.1%}"]
        table.add_row(*map(Text, (group["name"], *cells)))
    return table
