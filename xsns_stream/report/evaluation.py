"""Tables, files and a JSON document that present an evaluation of predictors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xsns_stream.evaluation.metrics import METRICS, SOURCES_TO_TRY
from xsns_stream.languages import shown_name
from xsns_stream.report.console_tables import SCORE_DECIMALS, UNKNOWN
from xsns_stream.report.evaluation_figure import evaluation_figure, evaluation_title
from xsns_stream.report.markup import Sheet, sheet_table
from xsns_stream.report.result_files import ResultFile, write_result
from xsns_stream.types.evaluations import Choice, Comparison, Evaluation
from xsns_stream.types.transfer_scores import JoinedScores, metric_name

_PADDING: Final = 2
# Largest number of tied sources whose codes a table shows.
_MAX_TIED: Final = 2


# --------------------------------------------------------------------------------------------------- tables


def evaluation_sheets(evaluation: Evaluation, *, per_target: bool = False) -> list[Sheet]:
    """Return the tables of an evaluation: mean metrics and, if predictors were compared, their differences.

    Args:
        evaluation: The evaluation.
        per_target: Also return a table with a row for each target: the source that each predictor ranks first, and the
            regret of this source.
    """
    sheets = [_means_sheet(evaluation)]
    if evaluation.comparison is not None:
        sheets.append(_differences_sheet(evaluation, evaluation.comparison))
    return [*sheets, _targets_sheet(evaluation)] if per_target else sheets


def evaluation_table(evaluation: Evaluation, width: int = 200, *, per_target: bool = False) -> Group:
    """Return the tables of :func:`evaluation_sheets` for the terminal.

    Columns that do not fit into `width` are moved to another table below.
    """
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
            text = _number(mean, metric, evaluation)
            interval = "" if math.isnan(low) else _range(low, high, metric, evaluation)
            count = _count(len(evaluation.targets) - int(evaluation.undefined[row, column]), evaluation)
            cells.append("\n".join(filter(None, (text, f"{interval} {count}".strip()))))
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
            count = _count(int(comparison.targets[row, column]), evaluation)
            interval = "" if math.isnan(low) else _range(low, high, metric, evaluation)
            parts = (text, f"{interval} {count}".strip(), "" if math.isnan(low) else p)
            cells.append("\n".join(filter(None, parts)))
        lines.append((name, *cells))
    caption = (
        f"Difference from '{comparison.reference}', target by target, with {evaluation.settings.confidence:.0%} "
        f"intervals; n: number of targets, if not all {len(evaluation.targets)}; p: sign-flip test over targets, with "
        "Holm's correction over the predictors of a column."
    )
    headings = [_headings(evaluation)[column] for column in columns]
    return Sheet(f"Against {comparison.reference}", ("predictor", *headings), tuple(lines), caption)


def _count(known: int, evaluation: Evaluation) -> str:
    """Return text such as `n=5` for a mean over `known` = 5 targets; empty if these are all targets, or no target."""
    return f"n={known}" if 0 < known < len(evaluation.targets) else ""


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
        f"For each target, the column `best` shows the best source and its score in {_unit(evaluation)}. The column of "
        "a predictor shows the source that it ranks first, and the regret of choosing this source."
    )
    return Sheet("Each target", header, tuple(lines), caption)


def _followed(choice: Choice, row: int) -> str:
    sources = choice.followed[row]
    if not sources:
        return UNKNOWN
    return " ".join(sources) if len(sources) <= _MAX_TIED else f"({len(sources)} tied)"


def _title(evaluation: Evaluation) -> str:
    warning = f"; {evaluation.warning}" if evaluation.warning else ""
    return f"{evaluation_title(evaluation)}{warning}"


def _caption(evaluation: Evaluation) -> str:
    settings = evaluation.settings
    averaged = {
        "targets and seeds": "mean over every pair of seeds, then over targets",
        "targets": "mean over targets"
        if settings.average == "metrics"
        else "of matrices averaged over seeds, mean over targets",
    }[settings.resampled]
    in_unit = " and ".join(METRICS[metric].title for metric in evaluation.metrics if METRICS[metric].in_unit)
    ceiling = f" ceiling: {settings.ceiling}." if settings.ceiling else ""
    return (
        f"Metrics: {averaged}, × 100; {in_unit} in {_unit(evaluation)}, lower regret is better; "
        f"{METRICS[SOURCES_TO_TRY].title}: number of sources. "
        f"{settings.confidence:.0%} intervals: bootstrap over {settings.resampled}, {settings.resamples:,} draws; n: "
        f"number of targets for which the metric is defined, if not all.{ceiling}"
    )


def _unit(evaluation: Evaluation) -> str:
    unit = evaluation.settings.unit
    if unit == "points":
        return f"{metric_name(evaluation.settings.metric)} {unit}"
    return {"percent": "percentage points"}.get(unit, unit)


def _headings(evaluation: Evaluation) -> list[str]:
    return [METRICS[metric].title for metric in evaluation.metrics]


def _number(value: float, metric: str, evaluation: Evaluation, *, signed: bool = False) -> str:
    if math.isnan(value):
        return UNKNOWN
    in_unit = METRICS[metric].in_unit
    decimals = SCORE_DECIMALS[evaluation.settings.unit if in_unit else "percent"]
    factor = 1 if in_unit or METRICS[metric].counts_sources else 100
    # Adding 0.0 turns −0.0 into 0.0.
    rounded = round(float(value) * factor, decimals) + 0.0
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def _range(low: float, high: float, metric: str, evaluation: Evaluation) -> str:
    return f"[{_number(low, metric, evaluation)}, {_number(high, metric, evaluation)}]"


def _p(value: float) -> str:
    if math.isnan(value):
        return "no test"
    return "p<0.001" if value < 0.001 else f"p={value:.3f}"


def _console_tables(sheet: Sheet, width: int) -> Iterator[Table | Text]:
    """Yield tables that fit into `width`, each of which repeats the first column; then yield the caption."""
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
    above = evaluation.above_random(name)
    return {
        "name": name,
        "trivial": name in evaluation.settings.trivial,
        "above_random": None if above is None else {"above": above[0], "targets": above[1]},
        "metrics": metrics,
    }


# ---------------------------------------------------------------------------------------------------- files


def write_evaluation(
    evaluation: Evaluation, joined: JoinedScores, path: str | Path, *, per_target: bool = False
) -> Path:
    """Write an evaluation atomically to a file; the suffix of `path` selects the format.

    The formats are those of :func:`~xsns_stream.report.result_files.write_result`. The rows of .csv, .tsv and .parquet
    are pairs of a predictor and a metric. If `per_target` is True, the rows are pairs of a predictor and a target, and
    each metric has a column. The figure shows the regret on each target, and scatter plots of scores against
    predictions.

    Args:
        evaluation: The evaluation.
        joined: The evaluated scores and predictions, for the figure.
        path: The file to write; an existing file is replaced.
        per_target: Whether to write a row for each target. In .csv, .tsv and .parquet, these rows replace the means; in
            .md and .tex, they are an additional table. Other formats do not change.

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
