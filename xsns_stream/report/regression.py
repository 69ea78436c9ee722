"""Tables, files, a figure and a JSON document that present a regression."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.languages import shown_name
from xsns_stream.report.console_tables import UNKNOWN
from xsns_stream.report.figures import INK, axis_label, label_points
from xsns_stream.report.markup import Sheet, sheet_table
from xsns_stream.report.result_files import ResultFile, write_result
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.regressions import IN_SAMPLE, PredictedScores, Regression
from xsns_stream.types.transfer_scores import scores_name

if TYPE_CHECKING:
    from rich.console import Group


#: Metrics in the table of the ranking by fitted scores.
_METRICS: Final = ("pearson", "top-1", "ndcg@3", "regret")


def regression_sheets(regression: Regression, ranks: Evaluation | None = None) -> tuple[Sheet, ...]:
    """Return the tables of a regression: coefficients, standard deviations, errors, and ranking by fitted scores.

    Args:
        regression: The regression.
        ranks: The evaluation of the ranking by fitted scores; None if the ranking was not evaluated.
    """
    sheets = (_coefficients(regression), _variances(regression), _errors(regression))
    return sheets if ranks is None else (*sheets, _ranks(ranks))


def _coefficients(regression: Regression) -> Sheet:
    sources, targets = (len(labels) for labels in (regression.fitted.sources, regression.fitted.targets))
    what = scores_name(regression.task, regression.metric)
    title = (
        f"{regression.name}: {what} ({regression.unit}) of {regression.pairs:,} pairs, "
        f"{sources} sources and {targets} targets"
    )
    lines = tuple(
        (
            one.name,
            _decimal(one.estimate, 4),
            _decimal(one.low, 4),
            _decimal(one.high, 4),
            _probability(one.p_value),
            _decimal(one.standardised, 3),
        )
        for one in regression.coefficients
    )
    return Sheet(title, ("predictor", "coefficient", "95 % from", "to", "p", "standardised"), lines)


def _variances(regression: Regression) -> Sheet:
    lines = [
        (f"between {factor}s", _decimal(math.sqrt(effects.variance), 2))
        for factor, effects in regression.solution.effects.items()
    ]
    lines.append(("residual", _decimal(math.sqrt(regression.solution.residual_variance), 2)))
    title = f"Standard deviations; the predictors explain {regression.r_squared:.1%} of the variance"
    if regression.factors:
        title += f", with random intercepts {regression.r_squared_conditional:.1%}"
    return Sheet(title, ("what varies", regression.unit), tuple(lines))


def _errors(regression: Regression) -> Sheet:
    # Without random intercepts, a model without predictors predicts the mean.
    columns = ["prediction", "RMSE", *(["without predictors"] if regression.factors else []), "mean alone"]
    lines = []
    for error in regression.errors:
        numbers = [error.rmse, *([error.without_predictors] if regression.factors else []), error.of_mean]
        covered = UNKNOWN if math.isnan(error.coverage) else f"{error.coverage:.1%}"
        lines.append((error.way, *(_decimal(number, 2) for number in numbers), covered, f"{error.pairs:,}"))
    return Sheet(f"Errors ({regression.unit})", (*columns, "in 95 % interval", "pairs"), tuple(lines))


def _ranks(ranks: Evaluation) -> Sheet:
    names = [name for name in ranks.metrics if name.startswith(_METRICS)]
    lines = []
    for predictor in ranks.predictors:
        cells = []
        for name in names:
            factor = 1.0 if name == "regret" else 100.0
            low, high = ranks.interval(predictor, name)
            cells.append(_with_interval(*(factor * value for value in (ranks[predictor, name], low, high))))
        lines.append((predictor, *cells))
    columns = [name if name == "regret" else f"{name} %" for name in names]
    return Sheet("Ranking of sources by the fitted scores; means over targets", ("prediction", *columns), tuple(lines))


def _with_interval(mean: float, low: float, high: float) -> str:
    if math.isnan(mean):
        return UNKNOWN
    return f"{mean:.1f}" if math.isnan(low) or low == high else f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def prediction_sheet(predicted: PredictedScores) -> Sheet:
    """Return the expected scores of the sources of one target, best first; sources without a score are left out."""
    order = [index for index in np.argsort(-predicted.mean, kind="stable") if math.isfinite(predicted.mean[index])]
    known = "" if predicted.known_target else ", a target without scores"
    return Sheet(
        f"Expected for {shown_name(predicted.target)} ({predicted.target}){known}",
        ("source", "language", predicted.unit, "95 % from", "to"),
        tuple(
            (
                predicted.sources[index],
                shown_name(predicted.sources[index]),
                *(_decimal(float(values[index]), 1) for values in (predicted.mean, predicted.low, predicted.high)),
            )
            for index in order
        ),
    )


def regression_table(sheets: Sequence[Sheet]) -> Group:
    """Return sheets as tables for the terminal, one below the other."""
    from rich.console import Group
    from rich.text import Text

    # The title of a rich table would be wrapped at the width of the table.
    return Group(*(item for sheet in sheets for item in (Text(sheet.title, "italic"), sheet_table(sheet), "")))


def _decimal(value: float, digits: int) -> str:
    """Return a number with `digits` decimals; a number that is too small for these has `digits` significant digits."""
    if math.isnan(value):
        return UNKNOWN
    small = value != 0 and abs(value) < 10 ** (1 - digits)
    return f"{value:.{digits}g}" if small else f"{value:.{digits}f}"


def _probability(value: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def regression_document(regression: Regression, ranks: Evaluation | None = None) -> dict[str, Any]:
    """Return the regression as one JSON object; undefined values are NaN.

    `ranks` is the evaluation of the ranking by fitted scores; None if the ranking was not evaluated.
    """
    result: dict[str, Any] = {
        "model": regression.model,
        "random_intercepts": list(regression.factors),
        "task": regression.task,
        "metric": regression.metric,
        "unit": regression.unit,
        "pairs": regression.pairs,
        "sources": list(regression.fitted.sources),
        "targets": list(regression.fitted.targets),
        "coefficients": [asdict(one) for one in regression.coefficients],
        "residual_variance": regression.solution.residual_variance,
        "variances": {factor: effects.variance for factor, effects in regression.solution.effects.items()},
        "intercepts": {
            factor: dict(zip(effects.labels, effects.values.tolist(), strict=True))
            for factor, effects in regression.solution.effects.items()
        },
        "r_squared": regression.r_squared,
        "r_squared_conditional": regression.r_squared_conditional,
        "errors": [asdict(error) for error in regression.errors],
        "notes": list(regression.notes),
    }
    if ranks is not None:
        result["ranking"] = ranks.to_frame().to_dict(orient="records")
    return result


def prediction_document(predicted: PredictedScores) -> dict[str, Any]:
    """Return expected scores as one JSON object."""
    return {
        "target": predicted.target,
        "known_target": predicted.known_target,
        "unit": predicted.unit,
        "sources": [
            {"language": code, "mean": mean, "low": low, "high": high}
            for code, mean, low, high in zip(
                predicted.sources,
                predicted.mean.tolist(),
                predicted.low.tolist(),
                predicted.high.tolist(),
                strict=True,
            )
        ],
    }


_COLOURS: Final = ("#4269d0", "#efb118", "#ff725c")


def write_regression(regression: Regression, ranks: Evaluation | None, path: str | Path) -> Path:
    """Write a regression atomically to a file; the suffix of `path` selects the format.

    The formats are those of :func:`~xsns_stream.report.result_files.write_result`. The rows of .csv, .tsv and .parquet
    are pairs of a source and a target. The columns are the score, the fitted score, and the predictions of regressions
    from which the target, or the source, of the pair was left out. The figure shows fitted scores and these predictions
    against measured scores.

    Args:
        regression: The regression.
        ranks: The evaluation of the ranking by fitted scores; None if the ranking was not evaluated.
        path: The file to write; an existing file is replaced.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
        XsnsError: The file cannot be written.
    """
    result = ResultFile(
        kind="regression",
        frame=regression.to_frame,
        document=partial(regression_document, regression, ranks),
        sheets=partial(regression_sheets, regression, ranks),
        draw=partial(_figure, regression),
        figure_options={"dpi": 160},
    )
    return write_result(result, path)


# ---------------------------------------------------------------------------------------------- figure


def _figure(regression: Regression) -> Any:
    """Draw predicted against measured scores: a panel for fitted scores, and one for each left-out prediction."""
    from matplotlib.figure import Figure

    panels = {IN_SAMPLE: regression.fitted, **regression.left_out}
    figure = Figure(figsize=(3.6 * len(panels), 3.8), facecolor="white")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    low, high = float(np.nanmin(regression.scores)), float(np.nanmax(regression.scores))
    for axes, colour, (prediction, matrix) in zip(all_axes, _COLOURS, panels.items(), strict=False):
        axes.axline((low, low), (high, high), color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(matrix.values.ravel(), regression.scores.ravel(), ".", color=colour, markersize=2.5, alpha=0.5)
        axes.set_title(f"{prediction}\nRMSE {regression.error(prediction).rmse:.2f}", fontsize=9, color=INK)
        axes.set_xlabel(f"predicted {axis_label(regression.metric, regression.unit)}", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].set_ylabel(f"measured {axis_label(regression.metric, regression.unit)}", fontsize=8)
    sources, targets = regression.fitted.sources, regression.fitted.targets
    labels = [f"{source}→{target}" for source in sources for target in targets]
    # All panels share their limits, which are final now.
    for axes, matrix in zip(all_axes, panels.values(), strict=True):
        label_points(axes, matrix.values.ravel(), regression.scores.ravel(), labels)
    figure.suptitle(
        f"{regression.name}: {scores_name(regression.task, regression.metric)}, {', '.join(regression.predictors)}",
        fontsize=9,
        color=INK,
        y=1.02,
    )
    return figure
