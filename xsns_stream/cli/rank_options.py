"""The options of `xsns-stream rank`, and what contradicts itself among them."""

from __future__ import annotations

from typing import Final

import click

from xsns_stream.cli.common import Decorated
from xsns_stream.errors import UsageError

#: Sources in a table where --top does not say otherwise.
TOP: Final = 10


def rank_options(function: Decorated) -> Decorated:
    """Add the options that say which sources are ranked, and what is told of them."""
    for option in (
        click.option(
            "--regime",
            default=None,
            metavar="NAME",
            help="Which training regime of the gold scores.  [default: their first]",
        ),
        click.option(
            "--gold",
            default=None,
            metavar="FILE",
            help="Gold scores, as `gold import` writes them: show the score that each source lets expect.",
        ),
        click.option(
            "--strategy",
            type=click.Choice(["top", "coverage"]),
            default=None,
            help="How several sources are chosen: the most similar ones, or, one after the other, the one whose "
            "sub-network adds most to what is covered of the target's.  [default: top]",
        ),
        click.option(
            "--sources-k",
            type=click.IntRange(min=1),
            default=None,
            metavar="N",
            help="Choose N sources to train on together too.",
        ),
        click.option("--explain", is_flag=True, help="Show which layers and kinds of modules make the first close."),
        click.option(
            "--top",
            type=click.IntRange(min=0),
            default=None,
            metavar="N",
            help=f"How many sources; 0 for all. {TOP} in a table and all with --json by default.",
        ),
        click.option(
            "--sources",
            multiple=True,
            metavar="CODES",
            help="Only these candidates, as `en,fi`; all other languages that have every seed by default.",
        ),
        click.option("--target", required=True, metavar="CODE", help="The language to find sources for."),
    ):
        function = option(function)
    return function


def check_options(strategy: str | None, sources_k: int | None, gold: str | None, regime: str | None) -> None:
    """Refuse what means nothing.

    Raises:
        UsageError: An option without the one that it belongs to.
    """
    if strategy is not None and sources_k is None:
        raise UsageError("--strategy means nothing without --sources-k.", "say how many sources, as --sources-k 3.")
    if regime is not None and gold is None:
        raise UsageError("--regime means nothing without --gold.", "give the gold scores, or leave it out.")
