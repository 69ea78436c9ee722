"""`xsns-stream rank`: the source languages for a target language, best first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.option_groups import coefficient_option
from xsns_stream.cli.output import (
    Decorated,
    common_options,
    emit_json,
    event_display,
    examples,
    note,
    row_options,
    stdout_console,
    store_option,
)

if TYPE_CHECKING:
    from xsns_stream.pipeline.source_ranking import RankingReport

#: Number of sources in a table if --top is not given.
TOP: Final = 10
#: Number of sources that a table explains side by side.
EXPLAINED: Final = 3


def rank_options(function: Decorated) -> Decorated:
    """Add the options that select the candidates, and the further results."""
    for option in (
        click.option(
            "--regime",
            default=None,
            metavar="NAME",
            help="Training regime of the gold scores.  [default: their first]",
        ),
        click.option(
            "--gold",
            default=None,
            metavar="FILE",
            help="Gold scores that `gold import` wrote; shows the expected score with each source.",
        ),
        click.option(
            "--strategy",
            type=click.Choice(["top", "coverage"]),
            default=None,
            help="How several sources are chosen: top takes the most similar ones; coverage takes, one after the "
            "other, the source that adds the largest uncovered part of the target's sub-network.  [default: top]",
        ),
        click.option(
            "--sources-k",
            type=click.IntRange(min=1),
            default=None,
            metavar="N",
            help="Also choose N sources to train on together.",
        ),
        click.option("--explain", is_flag=True, help="Show which layers and kinds of modules make sources similar."),
        click.option(
            "--top",
            type=click.IntRange(min=0),
            default=None,
            metavar="N",
            help=f"Number of sources to show; 0 shows all.  [default: {TOP} in a table, all with --json]",
        ),
        click.option(
            "--sources",
            multiple=True,
            metavar="CODES",
            help="Candidates, such as `en,fi`.  [default: all other languages that have every seed]",
        ),
        click.option("--target", required=True, metavar="CODE", help="The language to find sources for."),
    ):
        function = option(function)
    return function


@click.command(
    name="rank", epilog=examples("xsns-stream rank --target sw", "xsns-stream rank --target sw --sources zu,fi --json")
)
@store_option
@rank_options
@row_options
@coefficient_option
@common_options
def command(store: str, target: str, top: int | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Rank source languages for a target language.

    The similarity is the Jaccard coefficient of the sub-networks, averaged over seeds. The chance-corrected coefficient
    is zero where sub-networks overlap no more than random ones of their sizes. Only pairs with the target are counted.

    If the store was built with --parts, or with three seeds or more, the ranking also shows how much it depends on
    the choice of examples: 95 % intervals, the probability that each source is the most similar one, and the
    sources that cannot be told apart from the first.
    """
    from xsns_stream.pipeline.source_ranking import rank

    if top is None:
        top = 0 if as_json else TOP
    with event_display(quiet) as on_event:
        report = rank(store, target, top=top or None, on_event=on_event, **options)
    if as_json:
        emit_json("rank", report.to_dict())
    else:
        _show(report, quiet)


def _show(report: RankingReport, quiet: bool) -> None:
    from xsns_stream.report.console_tables import cover_table, explanation_table, ranking_table

    console, ranking = stdout_console(), report.ranking
    console.print(ranking_table(ranking, console.width))
    for sentence in report.verdicts:
        console.print(sentence, markup=False)
    tables = [cover_table(report.together)] if report.together else []
    for explanation in report.explanations:
        first = slice(EXPLAINED)
        few = replace(
            explanation,
            sources=explanation.sources[first],
            corrected=explanation.corrected[:, first],
            excess=explanation.excess[:, first],
        )
        tables.append(explanation_table(few))
    for table in tables:
        console.print()
        console.print(table)
    hidden = len(report.candidates) - len(ranking)
    if hidden:
        note(f"{hidden} more {'source' if hidden == 1 else 'sources'}; --top 0 shows all.", quiet)
    if not ranking.basis:
        note("there are no intervals: build the store with --parts 8, or with at least three seeds.", quiet)
