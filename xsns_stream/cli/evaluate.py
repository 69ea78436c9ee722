"""`xsns-stream evaluate`: compare predictors with gold scores, target by target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from xsns_stream.cli.choices import AVERAGES, NDCG_GAINS
from xsns_stream.cli.option_groups import (
    as_given_option,
    coefficient_option,
    gold_options,
    predict_option,
    rename_option,
    skip_unknown_option,
)
from xsns_stream.cli.output import (
    common_options,
    emit_json,
    event_display,
    examples,
    next_step,
    note,
    output_option,
    row_options,
    stdout_console,
)

#: Copies of constants of `xsns_stream.evaluation`, which help pages do not import; a test compares them.
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
@click.option(
    "--against",
    "reference",
    metavar="NAME",
    help="Name of a predictor. The differences between it and all other predictors are tested.",
)
@click.option(
    "--ceiling",
    metavar="REGIME",
    help="Training regime of the gold scores whose scores are the predictions in the row `ceiling`. By default, each "
    "seed is predicted by the mean of the other seeds, if the gold scores have several.",
)
@click.option("--no-trivial", is_flag=True, help="Leave out the rows random, english, source-mean and ceiling.")
@click.option(
    "--ndcg",
    type=click.Choice(NDCG_GAINS),
    default=NDCG_GAINS[0],
    show_default=True,
    help="Gain of a source in NDCG@3: its rank (rank-linear), its score (score), or 2^relevance − 1 as in LangRank "
    "(exponential).",
)
@click.option(
    "--average",
    type=click.Choice(AVERAGES),
    default=AVERAGES[0],
    show_default=True,
    help="Average over seeds either the metrics of each pair of seeds (prediction and gold), as in the paper, or the "
    "matrices from which the metrics are computed.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=FEWEST_RESAMPLES, max=MOST_RESAMPLES),
    default=RESAMPLES,
    show_default=True,
    metavar="N",
    help="Number of random draws of the bootstrap and of the test.",
)
@click.option(
    "--random-seed",
    "seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the random draws of the bootstrap and of the test.",
)
@click.option(
    "--per-target",
    is_flag=True,
    help="Also show one row for each target. Files .csv, .tsv and .parquet then have these rows instead of means.",
)
@output_option()
@row_options
@coefficient_option
@common_options
def command(
    predictors: Mapping[str, str],
    outputs: tuple[str, ...],
    no_trivial: bool,
    per_target: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare predictors with gold transfer scores, target by target.

    A predictor is a store of sub-networks, or a matrix from `matrix` or `baseline`. For each target, the order of its
    sources by prediction is compared with their order by score; the target itself is excluded. Means over targets have
    95 % intervals. The table also has trivial baselines: random order, always English, the mean score of each source on
    the other targets, and the scores of other fine-tuning runs.
    """
    from xsns_stream.pipeline.gold_comparison import evaluate
    from xsns_stream.report import RESULT_FORMATS, check_destination, evaluation_table, write_evaluation

    for path in outputs:
        check_destination(path, RESULT_FORMATS)
    with event_display(quiet) as on_event:
        report = evaluate(predictors, with_trivial=not no_trivial, on_event=on_event, **options)
    for path in outputs:
        write_evaluation(report, report.joined, path, per_target=per_target)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("evaluate", report.to_dict())
        return
    console = stdout_console()
    console.print(evaluation_table(report, console.width, per_target=per_target))
    named = [word for name, path in predictors.items() for word in ("--predict", f"{name}={path}")]
    next_step("regress", "--gold", str(options["gold"]), *named, quiet=quiet)
