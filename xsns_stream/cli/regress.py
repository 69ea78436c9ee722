"""`xsns-stream regress`: regress gold scores on predictors, and predict scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

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
    given_arguments,
    next_step,
    note,
    output_option,
    row_options,
    stdout_console,
)


@click.command(
    name="regress",
    epilog=examples(
        "xsns-stream regress --gold gold.parquet --predict xsns=xsns.zarr --model mixed",
        "xsns-stream regress --gold gold.parquet --predict xsns=xsns.zarr --features languages.csv "
        "--feature same:family --feature log-source:size -o regression.md",
    ),
)
@gold_options
@predict_option
@skip_unknown_option
@rename_option
@as_given_option
@click.option(
    "--features",
    "tables",
    multiple=True,
    metavar="FILE",
    help="A table (.csv or .tsv) with a line for each language (column `code`) or for each pair (columns `source` and "
    "`target`). May be given more than once.",
)
@click.option(
    "--feature",
    "features",
    multiple=True,
    metavar="[NAME=]KIND:COLUMN",
    help="A predictor from these tables, such as same:family, source:size, both:pretrained or pair:ldnd. Kinds: same, "
    "same-known, same-group, same-script-type, source, target, log-source, log-target, both, pair. May be given more "
    "than once.",
)
@click.option(
    "--fit",
    "--model",
    "model",
    type=click.Choice(["ols", "mixed"]),
    default="ols",
    show_default=True,
    help="ols: least squares; mixed: mixed effects with random intercepts.",
)
@click.option(
    "--random",
    type=click.Choice(["target", "crossed"]),
    default=None,
    help="Random intercepts of a mixed model: of targets (the default), or of targets and sources.",
)
@click.option(
    "--new",
    multiple=True,
    metavar="CODES",
    help="Also predict the scores of all sources on these targets, such as `sw,zu`. They need no gold scores.",
)
@output_option("The rows of a file are pairs of languages.")
@row_options
@coefficient_option
@common_options
def command(
    predictors: Mapping[str, str], gold: str, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any
) -> None:
    """Regress gold scores on predictors, and predict scores with intervals.

    Errors are reported in sample, as in papers, and with every target and every source left out in turn, which shows
    the errors for languages without any score. The last table shows the quality of the ranking of sources by the same
    predictions.
    """
    from xsns_stream.pipeline.gold_comparison import regress
    from xsns_stream.report import RESULT_FORMATS, check_destination
    from xsns_stream.report.regression import (
        prediction_sheet,
        regression_sheets,
        regression_table,
        write_regression,
    )

    for path in outputs:
        check_destination(path, RESULT_FORMATS)
    with event_display(quiet) as on_event:
        report = regress(predictors, gold, on_event=on_event, **options)
    for path in outputs:
        write_regression(report, report.ranking, path)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("regress", report.to_dict())
    else:
        tables = [*regression_sheets(report, report.ranking), *map(prediction_sheet, report.predictions)]
        stdout_console().print(regression_table(tables))
    if not outputs:
        # No other verb uses the results of this verb. The suggested next command therefore saves them.
        next_step(*given_arguments(), "-o", "regression.md", quiet=quiet, as_json=as_json)
