"""`xsns-stream regress`: fit gold scores to predictors, and predict scores with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.matrix_options import coefficient_option
from xsns_stream.cli.output import (
    common_options,
    csv_guard_option,
    emit_json,
    examples,
    note,
    row_options,
    split_codes,
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
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.regression import Feature
    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.evaluations import Evaluation
    from xsns_stream.types.regressions import PredictedScores, Regression
    from xsns_stream.types.transfer_scores import JoinedScores, TransferScores


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
    help="A table (.csv .tsv) of languages, with a column code, or of pairs, with columns source and target. "
    "Repeatable.",
)
@click.option(
    "--feature",
    "features",
    multiple=True,
    metavar="[NAME=]KIND:COLUMN",
    help="A predictor from these tables, as same:family, source:size, both:pretrained, pair:ldnd. Kinds: same, "
    "same-known, same-group, same-script-type, source, target, log-source, log-target, both, pair. Repeatable.",
)
@click.option(
    "--model",
    type=click.Choice(["ols", "mixed"]),
    default="ols",
    show_default=True,
    help="Least squares, or mixed effects: with random intercepts.",
)
@click.option(
    "--random",
    type=click.Choice(["target", "crossed"]),
    default=None,
    help="What has random intercepts in a mixed model: targets (the default), or targets and sources.",
)
@click.option(
    "--new",
    "asked",
    multiple=True,
    metavar="CODES",
    help="Also predict the scores of all sources on these targets, as `sw,zu`, measured or not.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Also write the tables: .md .tex; everything: .json; a line for each pair: .csv .parquet; or fitted against "
    "measured scores: .png .svg .pdf. Repeatable.",
)
@csv_guard_option
@row_options
@coefficient_option
@common_options
def command(
    features: tuple[str, ...],
    predict: tuple[NamedPath, ...],
    model: str,
    random: str | None,
    asked: tuple[str, ...],
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Fit gold scores to predictors, and predict scores with intervals.

    The errors are given in sample, as papers do, and with every target and every source left out in turn, as they are
    for languages that nobody has scores of. Below them stands how well the same predictions rank sources.
    """
    from xsns_stream.align_scores import join
    from xsns_stream.evaluation import evaluate
    from xsns_stream.io.atomic import writable
    from xsns_stream.regression import fit
    from xsns_stream.report.regression import REGRESSION_FORMATS, write_regression

    if random is not None and model != "mixed":
        raise UsageError("--random means nothing for least squares.", "add --model mixed.")
    for path in outputs:
        writable(path, REGRESSION_FORMATS)
    gold, targets = open_gold(options), _targets(asked)
    joined = _join(
        _with_targets(gold, targets), _features(options["tables"], features, predict), predict, targets, options, quiet
    )
    found = fit(joined, model, random or "target")
    ranks = evaluate(join(gold.restricted(found.fitted.sources, found.fitted.targets), _rankings(found)))
    predictions = [_prediction(found, joined, target) for target in targets]
    for path in outputs:
        write_regression(found, ranks, path)
        note(f"wrote {path}", quiet)
    for sentence in found.notes:
        note(f"note: {sentence}", quiet)
    _show(found, ranks, predictions, joined, as_json)


# -------------------------------------------------------------------------------------- what goes in


def _targets(asked: Sequence[str]) -> tuple[str, ...]:
    from xsns_stream.languages import normalise

    return tuple(dict.fromkeys(normalise(code) for code in split_codes(tuple(asked))))


def _features(tables: Sequence[str], features: Sequence[str], predict: Sequence[NamedPath]) -> list[Feature]:
    """Return the features that were asked for, named apart from one another and from the predictors."""
    from xsns_stream.regression import parse_feature

    found = [parse_feature(text) for text in features]
    names = [*(pair.name for pair in predict), *(feature.name for feature in found)]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two predictors are called '{repeated}'.", "name one with --feature NAME=KIND:COLUMN.")
    if bool(tables) != bool(features):
        missing = "--feature KIND:COLUMN, as same:family" if tables else "--features FILE"
        raise UsageError(f"{'tables' if tables else 'features'} were given alone.", f"give {missing} too.")
    if not names:
        raise UsageError(
            "there is nothing to regress on.", "give --predict NAME=PATH, or --features FILE --feature KIND:COLUMN."
        )
    return found


def _with_targets(gold: TransferScores, targets: Sequence[str]) -> TransferScores:
    """Return the scores with empty columns for targets that they do not hold, so that these are joined too."""
    import numpy as np

    new = tuple(code for code in targets if code not in gold.targets)
    unknown = np.full((*gold.cells.shape[:3], len(new)), np.nan)
    return replace(gold, targets=(*gold.targets, *new), cells=np.concatenate((gold.cells, unknown), axis=3))


def _join(
    gold: TransferScores,
    features: Sequence[Feature],
    predict: Sequence[NamedPath],
    targets: Sequence[str],
    options: Mapping[str, Any],
    quiet: bool,
) -> JoinedScores:
    from xsns_stream.align_scores import join
    from xsns_stream.regression import feature_matrix, read_features

    matrices = open_predictors(
        predict,
        gold,
        coefficient=options["coefficient"],
        seeds=options["seeds"],
        density=options["density"],
        skip_unknown=options["skip_unknown"],
        rename=options["rename"],
        as_given=options["as_given"],
        quiet=quiet,
    )
    tables = read_features(options["tables"])
    for sentence in tables.notes:
        note(f"note: {sentence}", quiet)
    matrices |= {one.name: feature_matrix(one, tables, gold.sources, gold.targets) for one in features}
    # --targets says what to fit to; what --new names is predicted all the same.
    kept = (*options["targets"], *targets) if options["targets"] else ()
    return join(gold, matrices, options["sources"], kept, unscored=targets)


# ------------------------------------------------------------------------------------- what comes out


def _rankings(found: Regression) -> dict[str, SimilarityMatrix]:
    """Return what the model predicts in each way in which it predicts something."""
    import numpy as np

    from xsns_stream.types.regressions import IN_SAMPLE

    ways = {IN_SAMPLE: found.fitted, **found.left_out}
    return {way: matrix for way, matrix in ways.items() if np.isfinite(matrix.values).any()}


def _prediction(found: Regression, joined: JoinedScores, target: str) -> PredictedScores:
    import numpy as np

    from xsns_stream.regression import predict

    column = joined.targets.index(target)
    others = [place for place, code in enumerate(joined.sources) if code != target]
    values = {one.name: one.values[others, column] for one in joined.predictions}
    if unknown := next((name for name, known in values.items() if np.isnan(known).all()), None):
        raise UsageError(
            f"the predictor '{unknown}' knows nothing of the target '{target}'.",
            "give predictors, or tables, that hold it.",
        )
    return predict(found, values, target, [joined.sources[place] for place in others])


def _show(
    found: Regression,
    ranks: Evaluation,
    predictions: Sequence[PredictedScores],
    joined: JoinedScores,
    as_json: bool,
) -> None:
    from xsns_stream.report.regression import (
        prediction_document,
        prediction_sheet,
        regression_document,
        regression_sheets,
        regression_table,
    )

    if as_json:
        said = [prediction_document(one) for one in predictions]
        emit_json("regress", {**regression_document(found, ranks), "predictions": said, **footing(joined)})
        return
    stdout_console().print(regression_table([*regression_sheets(found, ranks), *map(prediction_sheet, predictions)]))
