"""Output of an evaluation: tables, files, a figure and a JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from xsns_stream.evaluation.metrics import METRICS
from xsns_stream.report.console_tables import shown_name
from xsns_stream.report.figures import GREY, INK, PALE_INK, cut, language, look
from xsns_stream.report.markup import Sheet, sheet_table
from xsns_stream.report.result_files import ResultFile, write_result
from xsns_stream.types.evaluations import Choice, Comparison, Evaluation
from xsns_stream.types.transfer_scores import JoinedScores, Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


UNKNOWN: Final = "–"
#: Number of decimals of metrics in percent, and in the other units of gold scores.
_DECIMALS: Final = {"percent": 1, "fraction": 3, "points": 2}
_PADDING: Final = 2
# The largest number of tied sources with their codes in a table.
_MAX_TIED: Final = 2


# --------------------------------------------------------------------------------------------------- tables


def evaluation_sheets(evaluation: Evaluation, *, per_target: bool = False) -> list[Sheet]:
    """Return the tables of an evaluation: means, and differences if predictors were compared.

    Args:
        evaluation: The evaluation.
        per_target: Return a line for each target instead, with the first source of each predictor and its regret.
    """
    if per_target:
        return [_targets_sheet(evaluation)]
    sheets = [_means_sheet(evaluation)]
    if evaluation.comparison is not None:
        sheets.append(_differences_sheet(evaluation, evaluation.comparison))
    return sheets


def evaluation_table(evaluation: Evaluation, width: int = 200, *, per_target: bool = False) -> Group:
    """Return the tables of an evaluation for the terminal; columns beyond `width` are shown in another table below."""
    sheets = evaluation_sheets(evaluation, per_target=per_target)
    tables = [table for sheet in sheets for table in _console_tables(sheet, width)]
    # An empty line separates the tables.
    return Group(*[item for table in tables for item in (table, "")][:-1])


def _means_sheet(evaluation: Evaluation) -> Sheet:
    lines = []
    for row, name in enumerate(evaluation.predictors):
        cells = []
        for column, metric in enumerate(evaluation.metrics):
            mean, low, high = (values[row, column] for values in (evaluation.mean, evaluation.low, evaluation.high))
            count = len(evaluation.targets) - int(evaluation.undefined[row, column])
            partly = f" n={count}" if 0 < count < len(evaluation.targets) else ""
            text = _number(mean, metric, evaluation)
            cells.append(text if math.isnan(low) else f"{text}\n{_range(low, high, metric, evaluation)}{partly}")
        lines.append((name, *cells))
    return Sheet(_title(evaluation), ("predictor", *_headings(evaluation)), tuple(lines), _caption(evaluation))


def _differences_sheet(evaluation: Evaluation, comparison: Comparison) -> Sheet:
    # The difference in `over-english` equals the difference in regret with the opposite sign.
    columns = [column for column, metric in enumerate(evaluation.metrics) if metric != "over-english"]
    lines = []
    for row, name in enumerate(evaluation.predictors):
        if name == comparison.reference:
            continue
        cells = []
        for column in columns:
            metric = evaluation.metrics[column]
            value, low, high = (
                array[row, column] for array in (comparison.difference, comparison.low, comparison.high)
            )
            text, p = _number(value, metric, evaluation, signed=True), _p(comparison.p_holm[row, column])
            cells.append(text if math.isnan(low) else f"{text}\n{_range(low, high, metric, evaluation)}\n{p}")
        lines.append((name, *cells))
    caption = (
        f"Difference from '{comparison.reference}', target by target, with {evaluation.settings.confidence:.0%} "
        "intervals; p: sign-flip test over targets, with Holm's correction over the predictors of a column."
    )
    headings = [_headings(evaluation)[column] for column in columns]
    return Sheet(f"Against {comparison.reference}", ("predictor", *headings), tuple(lines), caption)


def _targets_sheet(evaluation: Evaluation) -> Sheet:
    rows = [row for row, name in enumerate(evaluation.predictors) if name not in {"random", "ceiling"}]
    regret = evaluation.per_target[:, evaluation.metrics.index("regret")]
    lines = []
    for index, choice in enumerate(evaluation.choices):
        followed = [f"{_followed(choice, row)}\n{_number(regret[row, index], 'regret', evaluation)}" for row in rows]
        best = f"{' '.join(choice.best) or UNKNOWN}\n{_number(choice.score, 'regret', evaluation)}"
        lines.append((choice.target, shown_name(choice.target), str(choice.candidates), best, *followed))
    header = ("target", "language", "sources", "best", *(evaluation.predictors[row] for row in rows))
    caption = (
        f"The best source of each target and its score, in {_unit(evaluation)}; below each predictor the source that "
        "it ranks first, and the regret of following it."
    )
    return Sheet(_title(evaluation), header, tuple(lines), caption)


def _followed(choice: Choice, row: int) -> str:
    sources = choice.followed[row]
    if not sources:
        return UNKNOWN
    return " ".join(sources) if len(sources) <= _MAX_TIED else f"({len(sources)} tied)"


def _title(evaluation: Evaluation) -> str:
    settings = evaluation.settings
    regime = "" if settings.regime == "main" else f", regime {settings.regime}"
    counts = f"{len(settings.sources)} sources, {len(evaluation.targets)} targets"
    return f"{settings.task} {settings.metric}{regime}: {counts}"


def _caption(evaluation: Evaluation) -> str:
    settings = evaluation.settings
    averaged = {
        "targets and seeds": "mean over every pair of seeds, then over targets",
        "targets": "mean over targets"
        if settings.average == "metrics"
        else "of matrices averaged over seeds, mean over targets",
    }[settings.resampled]
    in_unit = "regret and over English" if "over-english" in evaluation.metrics else "regret"
    ceiling = f" ceiling: {settings.ceiling}." if settings.ceiling else ""
    return (
        f"Metrics: {averaged}, × 100; {in_unit} in {_unit(evaluation)}, less regret is better. "
        f"{settings.confidence:.0%} intervals: bootstrap over {settings.resampled}, {settings.resamples:,} draws; n: "
        f"number of targets for which the metric is defined, if not all.{ceiling}"
    )


def _unit(evaluation: Evaluation) -> str:
    unit = evaluation.settings.unit
    if unit == "points":
        return f"{evaluation.settings.metric} {unit}"
    return {"percent": "percentage points"}.get(unit, unit)


def _headings(evaluation: Evaluation) -> list[str]:
    return [METRICS[metric].title for metric in evaluation.metrics]


def _number(value: float, metric: str, evaluation: Evaluation, *, signed: bool = False) -> str:
    if math.isnan(value):
        return UNKNOWN
    in_unit = METRICS[metric].in_unit
    decimals = _DECIMALS[evaluation.settings.unit if in_unit else "percent"]
    # Adding 0.0 turns −0.0 into 0.0.
    rounded = round(float(value) * (1 if in_unit else 100), decimals) + 0.0
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def _range(low: float, high: float, metric: str, evaluation: Evaluation) -> str:
    return f"[{_number(low, metric, evaluation)}, {_number(high, metric, evaluation)}]"


def _p(value: float) -> str:
    return "p<0.001" if value < 0.001 else f"p={value:.3f}"


def _console_tables(sheet: Sheet, width: int) -> Iterator[Table | Text]:
    """Yield the sheet as tables that fit into `width`, each with the first column, then the caption."""
    widths = [
        max(len(part) for line in (sheet.header, *sheet.lines) for part in line[column].split("\n")) + _PADDING
        for column in range(len(sheet.header))
    ]
    start = 1
    while start < len(sheet.header):
        stop, used = start, widths[0]
        while stop < len(sheet.header) and (stop == start or used + widths[stop] <= width):
            used += widths[stop]
            stop += 1
        table = sheet_table(sheet, [0, *range(start, stop)])
        table.title = Text(sheet.title) if start == 1 else None
        table.title_justify = "left"
        yield table
        start = stop
    yield Text(sheet.caption, "dim")


# ------------------------------------------------------------------------------------------------- document


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """Return the whole evaluation as one JSON object; undefined values are NaN."""
    settings = asdict(evaluation.settings)
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        "metrics": list(evaluation.metrics),
        "predictors": [_predictor_document(evaluation, row) for row in range(len(evaluation.predictors))],
        "targets": [
            {
                "target": choice.target,
                "candidates": choice.candidates,
                "best": list(choice.best),
                "score": choice.score,
                "followed": {
                    name: list(sources) for name, sources in zip(evaluation.predictors, choice.followed, strict=True)
                },
            }
            for choice in evaluation.choices
        ],
        "against": None if evaluation.comparison is None else evaluation.comparison.reference,
        "notes": list(evaluation.notes),
    }


def _predictor_document(evaluation: Evaluation, row: int) -> dict[str, Any]:
    comparison, name = evaluation.comparison, evaluation.predictors[row]
    metrics: dict[str, dict[str, Any]] = {}
    for column, metric in enumerate(evaluation.metrics):
        metrics[metric] = {
            "mean": float(evaluation.mean[row, column]),
            "low": float(evaluation.low[row, column]),
            "high": float(evaluation.high[row, column]),
            "undefined": int(evaluation.undefined[row, column]),
            "per_target": dict(zip(evaluation.targets, evaluation.per_target[row, column].tolist(), strict=True)),
        }
        if comparison is not None and name != comparison.reference:
            metrics[metric]["against"] = {
                "difference": float(comparison.difference[row, column]),
                "low": float(comparison.low[row, column]),
                "high": float(comparison.high[row, column]),
                "targets": int(comparison.targets[row, column]),
                "p": float(comparison.p[row, column]),
                "p_holm": float(comparison.p_holm[row, column]),
            }
    return {"name": name, "trivial": name in evaluation.settings.trivial, "metrics": metrics}


# ---------------------------------------------------------------------------------------------------- files


def write_evaluation(
    evaluation: Evaluation, joined: JoinedScores, path: str | Path, *, per_target: bool = False
) -> Path:
    """Write an evaluation in the format of the suffix of `path`, completely or not at all.

    The formats are those of :func:`~xsns_stream.report.result_files.write_result`. The rows of .csv, .tsv and .parquet
    are predictors and metrics; with `per_target` they are predictors and targets, with a column for each metric. The
    figure shows the regret on each target, and scores against predictions.

    Args:
        evaluation: The evaluation.
        joined: The evaluated scores and predictions, for the figure.
        path: The file to write; an existing file is replaced.
        per_target: Write lines for targets instead of means.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
        XsnsError: The file cannot be written.
    """
    result = ResultFile(
        kind="evaluation",
        frame=evaluation.per_target_frame if per_target else evaluation.to_frame,
        document=partial(evaluation_document, evaluation),
        sheets=partial(evaluation_sheets, evaluation, per_target=per_target),
        draw=partial(evaluation_figure, evaluation, joined),
        notes=evaluation.notes,
        figure_options={"pad_inches": 0.25},
    )
    return write_result(result, path)


# --------------------------------------------------------------------------------------------------- figure

#: Markers of the trivial predictors that choose a source; random order and the ceiling do not choose a source.
_TRIVIAL_MARKERS: Final = {"english": "|", "source-mean": "x"}
_LINE: Final = 0.2
_SPREAD: Final = 0.5
_MAX_NAME: Final = 24
_REGRET_WIDTH: Final = 5.6
_PANEL: Final = 2.3


def evaluation_figure(evaluation: Evaluation, joined: JoinedScores) -> Figure:
    """Draw regret on each target on the left, and scores against predictions for each predictor on the right.

    Targets are ordered by the mean regret of the given predictors, largest regret first.

    Args:
        evaluation: The evaluation.
        joined: The evaluated scores and predictions; the right panels show the candidates.

    Returns:
        A figure; save it with `bbox_inches="tight"`.
    """
    from matplotlib.figure import Figure

    given = [row for row, name in enumerate(evaluation.predictors) if name not in evaluation.settings.trivial]
    columns = 1 if len(given) <= 2 else 2
    height = max(_LINE * len(evaluation.targets) + 0.4, 2.4)
    figure = Figure(figsize=(10, height), facecolor="white", dpi=180)
    # Axes are placed in inches, because the size of the page depends on its content.
    regret = figure.add_axes((0.0, 0.0, _REGRET_WIDTH / 10, 1.0))
    _draw_regret(regret, evaluation, given)
    for index, row in enumerate(given):
        left = _REGRET_WIDTH + 0.9 + (index % columns) * (_PANEL + 0.7)
        top = height - (index // columns) * (_PANEL + 0.75)
        panel = figure.add_axes((left / 10, (top - _PANEL) / height, _PANEL / 10, _PANEL / height))
        _draw_scatter(panel, joined, joined.predictions[row], row, evaluation, first=index % columns == 0)
    settings = evaluation.settings
    title = f"{settings.task} {settings.metric}: {len(settings.sources)} sources, {len(evaluation.targets)} targets"
    regret.set_title(title, fontsize=11, fontweight="bold", color=INK, loc="left", pad=10)
    return figure


def _draw_regret(axes: Axes, evaluation: Evaluation, given: list[int]) -> None:
    regret = evaluation.per_target[:, evaluation.metrics.index("regret")]
    known = np.isfinite(regret[given])
    mean = np.where(known, regret[given], 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    order = np.argsort(mean, kind="stable")
    y = np.arange(len(order))
    axes.hlines(y, 0, np.nan_to_num(regret[given][:, order].max(axis=0)), color="#e3e5e9", linewidth=2.2, zorder=1)
    for row, name in enumerate(evaluation.predictors):
        values = regret[row, order]
        if name in _TRIVIAL_MARKERS and name in evaluation.settings.trivial:
            axes.scatter(values, y, s=26, marker=_TRIVIAL_MARKERS[name], color=GREY, linewidths=1.2, label=name)
        elif row in given:
            # The marks of one target are shifted a little, so that equal values are visible.
            offset = _SPREAD * ((row + 0.5) / len(given) - 0.5)
            axes.scatter(values, y - offset, s=22, label=name, zorder=3, alpha=0.9, linewidths=0, **look(row))
    axes.set_yticks(y, [language(evaluation.targets[index], _MAX_NAME) for index in order])
    axes.set_xlabel(f"regret ({evaluation.settings.unit}): best score less that of the source followed", color=INK)
    axes.set(ylim=(-0.7, len(order) - 0.3))
    axes.margins(x=0.02)
    axes.grid(axis="x", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.legend(loc="lower right", fontsize=8, frameon=True, framealpha=0.9, edgecolor="#e3e5e9")
    _plain(axes)


def _draw_scatter(
    axes: Axes, joined: JoinedScores, prediction: Prediction, row: int, evaluation: Evaluation, *, first: bool
) -> None:
    x, y = prediction.values[joined.candidates], joined.gold.values[joined.candidates]
    axes.scatter(x, y, s=5, alpha=0.45, linewidths=0, rasterized=True, **look(row))
    axes.set_title(cut(prediction.name, _MAX_NAME), fontsize=9, color=INK, loc="left")
    axes.set_xlabel(cut(prediction.coefficient, _MAX_NAME), fontsize=8, color=INK)
    if first:
        axes.set_ylabel(f"{evaluation.settings.metric} ({evaluation.settings.unit})", fontsize=8, color=INK)
    axes.tick_params(labelsize=7)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.6, color=PALE_INK)
    axes.tick_params(labelcolor=INK, color=PALE_INK, length=2.5)
    if not axes.yaxis.label.get_text():
        axes.tick_params(axis="y", labelsize=8)
