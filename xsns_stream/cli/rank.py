"""`xsns-stream rank`: the source languages for a target language, best first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.common import common_options, emit_json, examples, note, row_options, stdout_console, store_option
from xsns_stream.cli.matrix_options import coefficient_option
from xsns_stream.cli.rows import Chosen, choose, count_rows, open_rows

if TYPE_CHECKING:
    from xsns_stream.types import SourceRanking

#: Sources in a table where --top does not say otherwise.
TOP: Final = 10


@click.command(
    name="rank", epilog=examples("xsns-stream rank --target sw", "xsns-stream rank --target sw --sources zu,fi --json")
)
@store_option
@click.option("--target", required=True, metavar="CODE", help="The language to find sources for.")
@click.option(
    "--sources",
    multiple=True,
    metavar="CODES",
    help="Only these candidates, as `en,fi`; all other languages that have every seed by default.",
)
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=None,
    metavar="N",
    help=f"How many sources; 0 for all. {TOP} in a table and all with --json by default.",
)
@row_options
@coefficient_option
@common_options
def command(
    store: str,
    target: str,
    sources: tuple[str, ...],
    top: int | None,
    seeds: tuple[int, ...],
    density: float | None,
    coefficient: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Rank source languages for a target language.

    Similarity is the Jaccard coefficient of the sub-networks, averaged over seeds. Chance-corrected, it is zero
    where sub-networks overlap no more than random ones of their sizes. Only pairs with the target are counted.
    """
    from dataclasses import replace

    from xsns_stream.languages import pick
    from xsns_stream.ranking import rank_sources
    from xsns_stream.similarity import similarity
    from xsns_stream.store.overlaps import keep_overlaps

    rows = open_rows(store)
    target = pick(target, rows.languages, f"the store '{store}'")
    candidates = choose(sources, rows, store)
    # The target is read in any case, and may be the only candidate that was named, which the ranking refuses.
    others = None if candidates is None else [code for code in candidates if code != target] or [target]
    chosen = Chosen(rows, None, others, [target], seeds, density, needed=target)
    counts = count_rows(chosen, keep_overlaps(rows, write=False), quiet)
    ranking = rank_sources(similarity(counts, coefficient), target, candidates)
    if top is None:
        top = 0 if as_json else TOP
    shown = replace(ranking, sources=ranking.sources[: top or None])
    if as_json:
        emit_json("rank", _result(shown, counts[0].density, candidates=len(ranking)))
    else:
        _show(shown, len(ranking) - len(shown), quiet)


def _result(ranking: SourceRanking, density: float, candidates: int) -> dict[str, Any]:
    from xsns_stream.report import shown_name

    return {
        "target": ranking.target,
        "name": shown_name(ranking.target),
        "coefficient": ranking.coefficient,
        "seeds": list(ranking.seeds),
        "density": density,
        "candidates": candidates,
        "sources": [
            {
                "language": source.language,
                "name": shown_name(source.language),
                "similarity": source.similarity,
                "chance_corrected": source.chance_corrected,
                "spread": source.spread,
                "tied": source.tied,
            }
            for source in ranking
        ],
    }


def _show(ranking: SourceRanking, left_out: int, quiet: bool) -> None:
    from xsns_stream.report import ranking_table

    stdout_console().print(ranking_table(ranking))
    if left_out:
        note(f"{left_out} more {'source' if left_out == 1 else 'sources'}; --top 0 shows all.", quiet)
