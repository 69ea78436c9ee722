"""`xsns-stream evaluate`: hold predictors against gold scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.matrix_options import coefficient_option
from xsns_stream.cli.output import (
    common_options,
    csv_guard_option,
    emit_json,
    examples,
    note,
    row_options,
    stdout_console,
)
from xsns_stream.cli.predictors import (
    NamedPath,
    as_given_option,
    footing,
    gold_options,
    open_gold,
    open_predictors,
    predict_option,
    rename_option,
    skip_unknown_option,
)

if TYPE_CHECKING:
    from xsns_stream.types.transfer_scores import TransferScores

#: Of `xsns_stream.evaluation`, which a help page does not load; a test holds them together.
NDCG_NAMES: Final = ("rank-linear", "score", "exponential")
AVERAGE_NAMES: Final = ("metrics", "matrices")
RESAMPLES: Final = 10_000
FEWEST_RESAMPLES: Final = 100
MOST_RESAMPLES: Final = 1_000_000


@click.command(
    name="evaluate",
    epilog=examples(
        "xsns-stream evaluate --gold gold.parquet --predict xsns=xsns.zarr",
        "xsns-stream evaluate --gold gold.parquet --predict xsns=xsns.zarr --predict script=script.parquet "
        "--against script -o table.md -o regret.png",
    ),
)
@gold_options
@predict_option
@skip_unknown_option
@rename_option
@as_given_option
@click.option("--against", "reference", metavar="NAME", help="Test every other predictor against this one.")
@click.option(
    "--ceiling",
    metavar="REGIME",
    help="Another training regime of the gold scores, as predictor of this one; other seeds by default, where there "
    "are some.",
)
@click.option("--no-trivial", is_flag=True, help="Leave out the rows random, english, source-mean and ceiling.")
@click.option(
    "--ndcg",
    type=click.Choice(NDCG_NAMES),
    default=NDCG_NAMES[0],
    show_default=True,
    help="What NDCG@3 gains by a source: its rank, its score, or 2 to the power of LangRank's relevance.",
)
@click.option(
    "--average",
    type=click.Choice(AVERAGE_NAMES),
    default=AVERAGE_NAMES[0],
    show_default=True,
    help="Over seeds: the mean of every pair's metrics, as in the paper, or metrics of mean matrices.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=FEWEST_RESAMPLES, max=MOST_RESAMPLES),
    default=RESAMPLES,
    show_default=True,
    metavar="N",
    help="Draws of the bootstrap and of the test.",
)
@click.option(
    "--random-seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of these draws."
)
@click.option("--per-target", is_flag=True, help="A line for each target, in the table and in files.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Write it as well: .md .tex .csv .json .parquet, or .png .svg .pdf for a figure. Repeatable.",
)
@csv_guard_option
@row_options
@coefficient_option
@common_options
def command(
    predict: tuple[NamedPath, ...],
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    outputs: tuple[str, ...],
    seeds: tuple[int, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Hold predictors against gold transfer scores, target by target.

    A predictor is a store of sub-networks, or a matrix as `matrix` and `baseline` write them. For each target, its
    sources are ordered by prediction and by score; the target itself is never among them. Means over targets come with
    95 % intervals, and beside rows that cost nothing: random order, always English, the mean of each source on other
    targets, and other runs of the same scores.
    """
    from xsns_stream.align_scores import join
    from xsns_stream.evaluation import evaluate
    from xsns_stream.io.atomic import writable
    from xsns_stream.report import EVALUATION_FORMATS, evaluation_document, evaluation_table, write_evaluation

    for output in outputs:
        writable(output, EVALUATION_FORMATS)
    gold = open_gold(options)
    ceiling = None if options["ceiling"] is None else _ceiling(options["gold"], options["ceiling"], gold)
    matrices = open_predictors(
        predict,
        gold,
        coefficient=options["coefficient"],
        seeds=seeds,
        density=options["density"],
        skip_unknown=options["skip_unknown"],
        rename=options["rename"],
        as_given=options["as_given"],
        quiet=quiet,
    )
    joined = join(gold, matrices, sources, targets)
    found = evaluate(
        joined,
        ndcg=options["ndcg"],
        average=options["average"],
        resamples=options["resamples"],
        seed=options["random_seed"],
        reference=options["reference"],
        ceiling=ceiling,
        with_trivial=not options["no_trivial"],
    )
    for output in outputs:
        write_evaluation(found, joined, output, per_target=options["per_target"])
        note(f"wrote {output}", quiet)
    for sentence in found.notes:
        note(f"note: {sentence}", quiet)
    if as_json:
        emit_json("evaluate", evaluation_document(found) | footing(joined))
    else:
        console = stdout_console()
        console.print(evaluation_table(found, console.width, per_target=options["per_target"]))


def _ceiling(path: str, regime: str, gold: TransferScores) -> TransferScores:
    """Return another regime of the same gold scores."""
    from xsns_stream.errors import UsageError
    from xsns_stream.gold import read_scores

    scores = read_scores(path)
    if regime == gold.regimes[0]:
        others = [name for name in scores.regimes if name != regime]
        raise UsageError(
            f"'--ceiling {regime}' is the regime that is predicted.",
            f"name another: {', '.join(others)}." if others else "the gold scores have no other.",
        )
    return scores.regime(regime)
