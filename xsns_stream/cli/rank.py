"""`xsns-stream rank`: rank source languages for a target language, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.option_groups import MAIN_REGIME, coefficient_option, regime_option
from xsns_stream.cli.option_sections import Decorated, apply
from xsns_stream.cli.output import (
    SOURCES,
    TARGETS,
    common_options,
    emit_json,
    event_display,
    examples,
    next_step,
    note,
    output_option,
    row_options,
    stdout_console,
    store_option,
)

if TYPE_CHECKING:
    from xsns_stream.pipeline.ranking_report import RankingReport

#: Number of sources in a table if --top is not given.
TOP: Final = 10
#: Number of sources that are explained side by side if --top is not given.
EXPLAINED: Final = 3
#: Number of sources of each target in the suggested next command.
NEXT_SOURCES: Final = 2


def rank_options(function: Decorated) -> Decorated:
    """Add the options that select candidate sources, and the options that request further results."""
    return apply(
        function,
        click.option(
            *TARGETS,
            "targets",
            required=True,
            multiple=True,
            metavar="CODES",
            help="The target language, or several, such as `wo,fo`. May be given more than once.",
        ),
        click.option(
            *SOURCES,
            "sources",
            multiple=True,
            metavar="CODES",
            help="Sources to rank, such as `en,fi`.  [default: all other languages with a row for every seed]",
        ),
        click.option(
            "--top",
            type=click.IntRange(min=0),
            default=None,
            metavar="N",
            help=f"Number of sources to show; 0 shows all.  [default: {TOP} in a table, all with --json]",
        ),
        click.option(
            "--explain", is_flag=True, help="Show the contributions of layers and kinds of modules to the similarity."
        ),
        click.option(
            "--sources-k",
            type=click.IntRange(min=1),
            default=None,
            metavar="N",
            help="Also choose N sources for joint training.",
        ),
        click.option(
            "--strategy",
            type=click.Choice(["top", "coverage"]),
            default=None,
            help="Method for --sources-k: top chooses the most similar sources; coverage repeatedly chooses the "
            "source that covers most of the still uncovered part of the target's sub-network. [default: top]",
        ),
        click.option(
            "--gold",
            default=None,
            metavar="FILE",
            help="File of gold scores from `gold import`. They are used to predict the score that the target would "
            "reach with each source.",
        ),
        regime_option,
    )


@click.command(
    name="rank", epilog=examples("xsns-stream rank --target sw", "xsns-stream rank --target sw --sources zu,fi --json")
)
@store_option
@rank_options
@output_option("A file contains all sources unless --top is given.")
@row_options
@coefficient_option
@common_options
def command(
    store: str,
    targets: tuple[str, ...],
    top: int | None,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Rank source languages for a target language.

    The similarity is the Jaccard coefficient of the sub-networks, averaged over seeds. The chance-corrected coefficient
    is zero if sub-networks overlap like random sub-networks of the same sizes. Only the pairs of the target with each
    source are compared, not all pairs of the store. The exceptions are the coefficients centred, csls and mutual-rank:
    they depend on all languages of the store that have every seed, whatever --sources are.

    If the store was built with --parts, or with three seeds or more, the ranking also shows how much it depends on the
    choice of examples: 95 % intervals, the probability that each source is the most similar one, and the sources that
    cannot be distinguished from the first. Sentences below the table describe the reliability of the ranking.
    """
    from xsns_stream.pipeline.ranking_report import RankingReports
    from xsns_stream.pipeline.source_ranking import rank
    from xsns_stream.report import RESULT_FORMATS, check_destination

    for path in outputs:
        check_destination(path, RESULT_FORMATS)
    names = [name for part in targets for name in part.split(",") if name.strip()]
    target = names[0].strip() if len(names) == 1 and names[0].strip() != "all" else names
    if options["regime"] == MAIN_REGIME:
        options["regime"] = None
    with event_display(quiet) as on_event:
        result = rank(store, target, top=top, on_event=on_event, **options)
    for path in outputs:
        result.save(path)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("rank", result.to_dict())
        return
    reports = list(result) if isinstance(result, RankingReports) else [result]
    for report in reports:
        _show(report.first(TOP if top is None else 0), EXPLAINED if top is None else len(report), quiet)
        if report is not reports[-1]:
            stdout_console().print()
    _next(store, reports, options["gold"], quiet)


def _show(report: RankingReport, explained: int, quiet: bool) -> None:
    """Print the ranking of one target, its explanations, and the sentences on its reliability.

    Args:
        report: The report.
        explained: Maximum number of sources whose similarity is explained.
        quiet: Whether `--quiet` was given.
    """
    from xsns_stream.report import cover_table, explanation_table, ranking_table

    console, ranking = stdout_console(), report.ranking
    console.print(ranking_table(ranking, console.width, warning=report.warning))
    for sentence in report.verdicts:
        console.print(sentence, markup=False)
    console.print(" ".join(report.worth), markup=False)
    tables = [cover_table(report.together)] if report.together else []
    tables += [explanation_table(each.first(explained), console.width) for each in report.explanations]
    for table in tables:
        console.print()
        console.print(table)
    hidden = len(report.candidates) - len(ranking)
    if hidden:
        note(f"{hidden} more {'source' if hidden == 1 else 'sources'}; --top 0 shows all.", quiet)
    if not ranking.basis and not any(known.startswith("there are no intervals") for known in report.notes):
        note("there are no intervals: build the store with --parts 8, or with at least three seeds.", quiet)


def _next(store: str, reports: Sequence[RankingReport], gold: str | None, quiet: bool) -> None:
    """Print the command to run after a ranking: compare it with gold scores, or fine-tune on the first sources."""
    if gold is not None:
        next_step("evaluate", "--gold", gold, "--predict", f"xsns={store}", quiet=quiet)
        return
    first = dict.fromkeys(source.language for report in reports for source in report.ranking.sources[:NEXT_SOURCES])
    targets = ",".join(report.ranking.target for report in reports)
    model = reports[0].model
    named = () if model in ("", "mini") else ("--model", model)
    what = ("--task", "TASK", "--data", "FOLDER", *named, "--sources", ",".join(first), "--targets", targets)
    next_step("transfer", *what, "-o", "gold.parquet", quiet=quiet)
