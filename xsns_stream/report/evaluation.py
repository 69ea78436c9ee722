"""Tables of an evaluation for the terminal and for files, and its JSON document."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.escaping import in_latex, in_markdown
from xsns_stream.io.frames import write_csv, write_parquet
from xsns_stream.io.json import nan_to_null
from xsns_stream.report.evaluation_figure import save_evaluation_figure
from xsns_stream.report.export import SCHEMA_VERSION, write_document
from xsns_stream.report.tables import shown_name
from xsns_stream.types.evaluations import Choice, Comparison, Evaluation
from xsns_stream.types.transfer_scores import JoinedScores

if TYPE_CHECKING:
    import pandas as pd


UNKNOWN: Final = "–"
#: Of numbers that are fractions of 1 and are shown as percent, and of the gold scores' units.
_DECIMALS: Final = {"percent": 1, "fraction": 3, "points": 2}
_SHOWN: Final = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "kendall": "Kendall",
    "top-1": "Top-1",
    "top-3": "Top-3",
    "mrr": "MRR",
    "over-english": "over English",
}
#: Metrics in the gold's unit; all others are fractions of 1.
_IN_UNIT: Final = frozenset({"regret", "over-english"})
_PADDING: Final = 2
_TIED_UP_TO: Final = 2


@dataclass(frozen=True)
class Sheet:
    """A table before it is drawn: a title, a header and lines of text, the first field a label.

    What follows the first line break of a cell, an interval or the like, is of less weight.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    caption: str = ""


def evaluation_sheets(found: Evaluation, *, per_target: bool = False) -> list[Sheet]:
    """Return the tables of an evaluation: means, and differences where predictors were compared.

    Args:
        found: What to show.
        per_target: A line for each target instead: which source each predictor leads to, and what that loses.
    """
    if per_target:
        return [_targets_sheet(found)]
    sheets = [_means_sheet(found)]
    if found.comparison is not None:
        sheets.append(_differences_sheet(found, found.comparison))
    return sheets


def evaluation_table(found: Evaluation, width: int = 200, *, per_target: bool = False) -> Group:
    """Return the tables of an evaluation; columns that do not fit into `width` follow in a table below."""
    drawn = [piece for sheet in evaluation_sheets(found, per_target=per_target) for piece in _drawn(sheet, width)]
    # An empty line between one piece and the next.
    return Group(*[piece for part in drawn for piece in (part, "")][:-1])


def _means_sheet(found: Evaluation) -> Sheet:
    lines = []
    for row, name in enumerate(found.predictors):
        cells = []
        for column, metric in enumerate(found.metrics):
            mean, low, high = (values[row, column] for values in (found.mean, found.low, found.high))
            count = len(found.targets) - int(found.undefined[row, column])
            partly = f" n={count}" if 0 < count < len(found.targets) else ""
            text = _number(mean, metric, found)
            cells.append(text if math.isnan(low) else f"{text}\n{_range(low, high, metric, found)}{partly}")
        lines.append((name, *cells))
    return Sheet(_title(found), ("predictor", *_headings(found)), tuple(lines), _caption(found))


def _differences_sheet(found: Evaluation, made: Comparison) -> Sheet:
    # Differences over English are those of regret, turned round.
    shown = [column for column, metric in enumerate(found.metrics) if metric != "over-english"]
    lines = []
    for row, name in enumerate(found.predictors):
        if name == made.reference:
            continue
        cells = []
        for column in shown:
            metric = found.metrics[column]
            value, low, high = (values[row, column] for values in (made.difference, made.low, made.high))
            text = _number(value, metric, found, signed=True)
            p = made.p_holm[row, column]
            cells.append(text if math.isnan(low) else f"{text}\n{_range(low, high, metric, found)}\n{_p(p)}")
        lines.append((name, *cells))
    caption = (
        f"Difference from '{made.reference}', target by target, with {found.settings.confidence:.0%} intervals; p: "
        "sign-flip test over targets, Holm's correction over the predictors of a column."
    )
    headings = [_headings(found)[column] for column in shown]
    return Sheet(f"Against {made.reference}", ("predictor", *headings), tuple(lines), caption)


def _targets_sheet(found: Evaluation) -> Sheet:
    shown = [row for row, name in enumerate(found.predictors) if name not in {"random", "ceiling"}]
    regret = found.metrics.index("regret")
    lines = []
    for place, choice in enumerate(found.choices):
        followed = [
            f"{_followed(choice, row)}\n{_number(found.per_target[row, regret, place], 'regret', found)}"
            for row in shown
        ]
        best = " ".join(choice.best) or UNKNOWN
        score = _number(choice.score, "regret", found)
        lines.append((choice.target, shown_name(choice.target), str(choice.candidates), f"{best}\n{score}", *followed))
    header = ("target", "language", "sources", "best", *(found.predictors[row] for row in shown))
    caption = (
        f"The best source of each target and its score, in {_unit(found)}; below each predictor the source that it "
        "predicts best, and the regret of following it."
    )
    return Sheet(_title(found), header, tuple(lines), caption)


def _followed(choice: Choice, row: int) -> str:
    sources = choice.followed[row]
    if not sources:
        return UNKNOWN
    return " ".join(sources) if len(sources) <= _TIED_UP_TO else f"({len(sources)} tied)"


def _title(found: Evaluation) -> str:
    made = found.settings
    regime = "" if made.regime == "main" else f", regime {made.regime}"
    return f"{made.task} {made.metric}{regime}: {len(made.sources)} sources, {len(found.targets)} targets"


def _caption(found: Evaluation) -> str:
    made = found.settings
    averaged = {
        "targets and seeds": "mean over every pair of seeds, then over targets",
        "targets": "mean over targets"
        if made.average == "metrics"
        else "of matrices averaged over seeds, mean over targets",
    }[made.resampled]
    in_unit = "regret and over English" if "over-english" in found.metrics else "regret"
    ceiling = f" ceiling: {made.ceiling}." if made.ceiling else ""
    return (
        f"Metrics: {averaged}, × 100; {in_unit} in {_unit(found)}, less regret is better. "
        f"{made.confidence:.0%} intervals: bootstrap over {made.resampled}, {made.resamples:,} draws; n: targets where "
        f"defined, if not all.{ceiling}"
    )


def _unit(found: Evaluation) -> str:
    unit = found.settings.unit
    return f"{found.settings.metric} {unit}" if unit == "points" else {"percent": "percentage points"}.get(unit, unit)


def _headings(found: Evaluation) -> list[str]:
    return [_SHOWN.get(metric, metric.replace("ndcg", "NDCG")) for metric in found.metrics]


def _number(value: float, metric: str, found: Evaluation, *, signed: bool = False) -> str:
    if math.isnan(value):
        return UNKNOWN
    in_unit = metric in _IN_UNIT
    decimals = _DECIMALS[found.settings.unit if in_unit else "percent"]
    # No minus before what rounds to zero.
    rounded = round(float(value) * (1 if in_unit else 100), decimals) + 0.0
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def _range(low: float, high: float, metric: str, found: Evaluation) -> str:
    return f"[{_number(low, metric, found)}, {_number(high, metric, found)}]"


def _p(value: float) -> str:
    return "p<0.001" if value < 0.001 else f"p={value:.3f}"


def _drawn(sheet: Sheet, width: int) -> Iterator[Table | Text]:
    """Yield the sheet as tables that fit, the first column repeated, and its caption."""
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
        yield _part(sheet, [0, *range(start, stop)], titled=start == 1)
        start = stop
    yield Text(sheet.caption, "dim")


def _part(sheet: Sheet, columns: list[int], *, titled: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.title = Text(sheet.title) if titled else None
    table.title_justify = "left"
    for column in columns:
        left = column == 0 or sheet.header[column] in {"language", "best"}
        table.add_column(Text(sheet.header[column]), justify="left" if left else "right", no_wrap=True)
    for line in sheet.lines:
        table.add_row(*(_cell(line[column], bold=column == 0) for column in columns))
    return table


def _cell(text: str, *, bold: bool) -> Text:
    if bold:
        # A name, whose line breaks are not ours.
        return Text(text, "bold")
    above, _, below = text.partition("\n")
    cell = Text(above)
    return cell.append(f"\n{below}", "dim") if below else cell


def evaluation_document(found: Evaluation) -> dict[str, Any]:
    """Return everything as one object of plain values; NaN where undefined."""
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(found.settings).items()},
        "metrics": list(found.metrics),
        "predictors": [_predictor(found, row) for row in range(len(found.predictors))],
        "targets": [
            {
                "target": choice.target,
                "candidates": choice.candidates,
                "best": list(choice.best),
                "score": choice.score,
                "followed": {
                    name: list(sources) for name, sources in zip(found.predictors, choice.followed, strict=True)
                },
            }
            for choice in found.choices
        ],
        "against": None if found.comparison is None else found.comparison.reference,
        "notes": list(found.notes),
    }


def _predictor(found: Evaluation, row: int) -> dict[str, Any]:
    made = found.comparison
    values: dict[str, dict[str, Any]] = {}
    for column, metric in enumerate(found.metrics):
        values[metric] = {
            "mean": float(found.mean[row, column]),
            "low": float(found.low[row, column]),
            "high": float(found.high[row, column]),
            "undefined": int(found.undefined[row, column]),
            "per_target": dict(zip(found.targets, found.per_target[row, column].tolist(), strict=True)),
        }
        if made is not None and found.predictors[row] != made.reference:
            values[metric]["against"] = {
                "difference": float(made.difference[row, column]),
                "low": float(made.low[row, column]),
                "high": float(made.high[row, column]),
                "targets": int(made.targets[row, column]),
                "p": float(made.p[row, column]),
                "p_holm": float(made.p_holm[row, column]),
            }
    name = found.predictors[row]
    return {"name": name, "trivial": name in found.settings.trivial, "metrics": values}


@dataclass(frozen=True)
class _Written:
    """What is written: an evaluation, the scores it is of, and which lines of it."""

    found: Evaluation
    joined: JoinedScores
    per_target: bool


def write_evaluation(found: Evaluation, joined: JoinedScores, path: str | Path, *, per_target: bool = False) -> Path:
    """Write an evaluation in the format that the suffix of `path` names, whole or not at all.

    ============== =========================================================================================
    .md .tex       The tables as the terminal shows them; LaTeX needs the package booktabs.
    .csv .parquet  A line for each predictor and metric; with `per_target` one for each predictor and target, and a
                   column for each metric. Not rounded; empty where undefined.
    .json          Everything; undefined values are null.
    .png .svg .pdf Regret on each target, and scores against predictions.
    ============== =========================================================================================

    Args:
        found: What to write.
        joined: What it was made of, for the figure.
        path: Where to; an existing file is replaced.
        per_target: Lines for targets instead of means.

    Returns:
        The path.

    Raises:
        UsageError: No format has this suffix, or the folder is not there.
        XsnsError: The file cannot be written.
    """
    target = writable(path, EVALUATION_FORMATS)
    written = _Written(found, joined, per_target)
    write_whole(target, lambda file: _WRITERS[target.suffix.lower()](written, file))
    return target


def _frame(written: _Written) -> pd.DataFrame:
    return written.found.per_target_frame() if written.per_target else written.found.to_frame()


def _write_csv(written: _Written, file: BinaryIO) -> None:
    write_csv(_frame(written), file)


def _write_parquet(written: _Written, file: BinaryIO) -> None:
    document = {"schema_version": SCHEMA_VERSION, "kind": "evaluation", **evaluation_document(written.found)}
    write_parquet(_frame(written), nan_to_null(document), file)


def _write_json(written: _Written, file: BinaryIO) -> None:
    write_document(nan_to_null({"schema_version": SCHEMA_VERSION, **evaluation_document(written.found)}), file)


def _sheets(written: _Written) -> list[Sheet]:
    return evaluation_sheets(written.found, per_target=written.per_target)


def _write_markdown(written: _Written, file: BinaryIO) -> None:
    parts = []
    for sheet in _sheets(written):
        rule = ["---", *("---:" for _ in sheet.header[1:])]
        lines = [sheet.header, rule, *sheet.lines]
        table = "\n".join("| " + " | ".join(map(in_markdown, line)) + " |" for line in lines)
        parts.append(f"**{in_markdown(sheet.title)}**\n\n{table}\n\n{in_markdown(sheet.caption)}\n")
    notes = [f"* {in_markdown(sentence)}" for sentence in written.found.notes]
    file.write("\n".join([*parts, *notes, ""] if notes else parts).encode())


def _write_latex(written: _Written, file: BinaryIO) -> None:
    parts = ["% needs \\usepackage{booktabs}"]
    for sheet in _sheets(written):
        columns = "l" + "r" * (len(sheet.header) - 1)
        rows = [" & ".join(map(in_latex, line)) + r" \\" for line in (sheet.header, *sheet.lines)]
        parts += [
            f"% {in_latex(sheet.title)}",
            f"\\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
        ]
        parts += [r"\bottomrule", r"\end{tabular}", f"% {in_latex(sheet.caption)}"]
    parts += [f"% {in_latex(sentence)}" for sentence in written.found.notes]
    file.write(("\n".join(parts) + "\n").encode())


def _figure_writer(kind: str) -> Callable[[_Written, BinaryIO], None]:
    return lambda written, file: save_evaluation_figure(written.found, written.joined, file, kind)


_WRITERS: Final[dict[str, Callable[[_Written, BinaryIO], None]]] = {
    ".md": _write_markdown,
    ".tex": _write_latex,
    ".csv": _write_csv,
    ".json": _write_json,
    ".parquet": _write_parquet,
    ".png": _figure_writer("png"),
    ".svg": _figure_writer("svg"),
    ".pdf": _figure_writer("pdf"),
}

#: Suffixes that :func:`write_evaluation` knows.
EVALUATION_FORMATS: Final = tuple(_WRITERS)
