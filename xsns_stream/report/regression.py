"""Tables of a regression for the terminal and for files, and its JSON document."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.escaping import in_latex, in_markdown
from xsns_stream.io.frames import write_csv, write_parquet
from xsns_stream.io.json import nan_to_null
from xsns_stream.report.heatmap import PLAIN_TEXT
from xsns_stream.report.tables import shown_name
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.regressions import IN_SAMPLE, PredictedScores, Regression

if TYPE_CHECKING:
    from rich.console import Group


_UNKNOWN: Final = "–"
#: Metrics of a ranking that a regression is judged by, and those that are fractions of one.
_METRICS: Final = ("pearson", "top-1", "ndcg@3", "regret")


@dataclass(frozen=True)
class Block:
    """A table in words: a title, the names of the columns, and lines; the first column is text, the others numbers."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def blocks(found: Regression, ranks: Evaluation | None = None) -> tuple[Block, ...]:
    """Return what is to be said of a regression, table by table.

    Args:
        found: The regression.
        ranks: How well its fitted scores rank sources, where that was asked for.
    """
    parts = [_coefficients(found), _variances(found), _errors(found)]
    return (*parts, _ranks(ranks)) if ranks is not None else tuple(parts)


def _coefficients(found: Regression) -> Block:
    sources, targets = (len(labels) for labels in (found.fitted.sources, found.fitted.targets))
    title = (
        f"{found.name}: {found.task} {found.metric} ({found.unit}) of {found.pairs:,} pairs, {sources} sources and "
        f"{targets} targets"
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
        for one in found.coefficients
    )
    return Block(title, ("predictor", "coefficient", "95 % from", "to", "p", "standardised"), lines)


def _variances(found: Regression) -> Block:
    lines = [
        (f"between {factor}s", _decimal(math.sqrt(effects.variance), 2))
        for factor, effects in found.solution.effects.items()
    ]
    lines.append(("residual", _decimal(math.sqrt(found.solution.residual_variance), 2)))
    title = f"Standard deviations; the predictors explain {found.r_squared:.1%} of the variance"
    if found.factors:
        title += f", with random intercepts {found.r_squared_conditional:.1%}"
    return Block(title, ("what varies", found.unit), tuple(lines))


def _errors(found: Regression) -> Block:
    # Without random intercepts a model without predictors is the mean.
    columns = ["prediction", "RMSE", *(["without predictors"] if found.factors else []), "mean alone"]
    lines = []
    for error in found.errors:
        numbers = [error.rmse, *([error.without_predictors] if found.factors else []), error.of_mean]
        covered = _UNKNOWN if math.isnan(error.coverage) else f"{error.coverage:.1%}"
        lines.append((error.way, *(_decimal(number, 2) for number in numbers), covered, f"{error.pairs:,}"))
    return Block(f"Errors ({found.unit})", (*columns, "in 95 % interval", "pairs"), tuple(lines))


def _ranks(ranks: Evaluation) -> Block:
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
    return Block("The fitted scores as a ranking of sources; mean over targets", ("prediction", *columns), tuple(lines))


def _with_interval(mean: float, low: float, high: float) -> str:
    if math.isnan(mean):
        return _UNKNOWN
    return f"{mean:.1f}" if math.isnan(low) or low == high else f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def prediction_block(found: PredictedScores) -> Block:
    """Return the expected scores of one target's sources, best first; those of which nothing is known are left out."""
    order = [place for place in np.argsort(-found.mean, kind="stable") if math.isfinite(found.mean[place])]
    known = "" if found.known_target else ", a target without scores"
    return Block(
        f"Expected for {shown_name(found.target)} ({found.target}){known}",
        ("source", "language", found.unit, "95 % from", "to"),
        tuple(
            (
                found.sources[place],
                shown_name(found.sources[place]),
                *(_decimal(float(values[place]), 1) for values in (found.mean, found.low, found.high)),
            )
            for place in order
        ),
    )


def regression_table(parts: Sequence[Block]) -> Group:
    """Return blocks as tables of `rich`, one below the other."""
    from rich.console import Group
    from rich.text import Text

    # A table's own title would be broken at the table's width.
    titled = [(Text(part.title, "italic"), _drawn(part)) for part in parts]
    return Group(*(piece for title, table in titled for piece in (title, table, "")))


def _drawn(part: Block) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for number, column in enumerate(part.columns):
        text = number == 0 or column == "language"
        table.add_column(column, justify="left" if text else "right", no_wrap=True, style="bold" if not number else "")
    for line in part.lines:
        table.add_row(*map(Text, line))
    return table


def _decimal(value: float, digits: int) -> str:
    """Return a number with so many decimals, or as many significant digits where it is smaller than they show."""
    if math.isnan(value):
        return _UNKNOWN
    small = value != 0 and abs(value) < 10 ** (1 - digits)
    return f"{value:.{digits}g}" if small else f"{value:.{digits}f}"


def _probability(value: float) -> str:
    if math.isnan(value):
        return _UNKNOWN
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def document(found: Regression, ranks: Evaluation | None = None) -> dict[str, Any]:
    """Return everything as what JSON can say, NaN for what is undefined."""
    result: dict[str, Any] = {
        "model": found.model,
        "random_intercepts": list(found.factors),
        "task": found.task,
        "metric": found.metric,
        "unit": found.unit,
        "pairs": found.pairs,
        "sources": list(found.fitted.sources),
        "targets": list(found.fitted.targets),
        "coefficients": [asdict(one) for one in found.coefficients],
        "residual_variance": found.solution.residual_variance,
        "variances": {factor: effects.variance for factor, effects in found.solution.effects.items()},
        "intercepts": {
            factor: dict(zip(effects.labels, effects.values.tolist(), strict=True))
            for factor, effects in found.solution.effects.items()
        },
        "r_squared": found.r_squared,
        "r_squared_conditional": found.r_squared_conditional,
        "errors": [asdict(error) for error in found.errors],
        "notes": list(found.notes),
    }
    if ranks is not None:
        result["ranking"] = ranks.to_frame().to_dict(orient="records")
    return result


def prediction_document(found: PredictedScores) -> dict[str, Any]:
    """Return expected scores as what JSON can say."""
    return {
        "target": found.target,
        "known_target": found.known_target,
        "unit": found.unit,
        "sources": [
            {"language": code, "mean": mean, "low": low, "high": high}
            for code, mean, low, high in zip(
                found.sources, found.mean.tolist(), found.low.tolist(), found.high.tolist(), strict=True
            )
        ],
    }


SCHEMA_VERSION: Final = 1
_INK: Final = "#22252b"
_COLOURS: Final = ("#4269d0", "#efb118", "#ff725c")
#: What LaTeX would not print as it stands.


def write_regression(found: Regression, ranks: Evaluation | None, path: str | Path) -> Path:
    """Write a regression in the format that the suffix of `path` names.

    ============== =======================================================================================
    .md .tex       The tables: coefficients, variances, errors, ranking. LaTeX wants the package booktabs.
    .json          Everything but the pairs; undefined values are null.
    .csv .parquet  A line for each pair: score, fitted score, and the predictions with its target, or its
                   source, left out.
    .png .svg .pdf Fitted and left-out predictions against measured scores.
    ============== =======================================================================================

    Raises:
        UsageError: No format has this suffix, or the folder is not there.
        XsnsError: The file cannot be written.
    """
    target = writable(path, REGRESSION_FORMATS)
    write_whole(target, lambda file: _WRITERS[target.suffix.lower()](found, ranks, file))
    return target


def _write_markdown(found: Regression, ranks: Evaluation | None, file: BinaryIO) -> None:
    def lines() -> Iterator[str]:
        for part in blocks(found, ranks):
            yield f"**{in_markdown(part.title)}**\n"
            yield "| " + " | ".join(part.columns) + " |"
            yield "|---" + "|---:" * (len(part.columns) - 1) + "|"
            yield from ("| " + " | ".join(map(in_markdown, line)) + " |" for line in part.lines)
            yield ""

    file.write("\n".join(lines()).encode())


def _write_latex(found: Regression, ranks: Evaluation | None, file: BinaryIO) -> None:
    def lines() -> Iterator[str]:
        for part in blocks(found, ranks):
            yield f"% {in_latex(part.title)}"
            yield rf"\begin{{tabular}}{{l{'r' * (len(part.columns) - 1)}}}"
            yield r"\toprule"
            yield " & ".join(map(in_latex, part.columns)) + r" \\"
            yield r"\midrule"
            yield from (" & ".join(map(in_latex, line)) + r" \\" for line in part.lines)
            yield r"\bottomrule"
            yield r"\end{tabular}"
            yield ""

    file.write("\n".join(lines()).encode())


def _write_json(found: Regression, ranks: Evaluation | None, file: BinaryIO) -> None:
    import json

    said = {"schema_version": SCHEMA_VERSION, **document(found, ranks)}
    file.write((json.dumps(nan_to_null(said), ensure_ascii=False, allow_nan=False) + "\n").encode())


def _write_csv(found: Regression, _: Evaluation | None, file: BinaryIO) -> None:
    write_csv(found.to_frame(), file)


def _write_parquet(found: Regression, ranks: Evaluation | None, file: BinaryIO) -> None:
    said = {"kind": "regression", "schema_version": SCHEMA_VERSION, **document(found, ranks)}
    write_parquet(found.to_frame(), nan_to_null(said), file)


# ---------------------------------------------------------------------------------------------- figure


def _figure_writer(kind: str) -> Callable[[Regression, Evaluation | None, BinaryIO], None]:
    def write(found: Regression, _: Evaluation | None, file: BinaryIO) -> None:
        import matplotlib as mpl

        # Date and salt would differ from file to file.
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
        with mpl.rc_context(PLAIN_TEXT):
            _figure(found).savefig(file, format=kind, metadata=metadata, dpi=160, bbox_inches="tight")

    return write


def _figure(found: Regression) -> Any:
    """Draw predicted against measured scores, a panel for each way of predicting."""
    from matplotlib.figure import Figure

    panels = {IN_SAMPLE: found.fitted, **found.left_out}
    figure = Figure(figsize=(3.6 * len(panels), 3.8), facecolor="white")
    all_axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    low, high = float(np.nanmin(found.scores)), float(np.nanmax(found.scores))
    for axes, colour, (way, matrix) in zip(all_axes, _COLOURS, panels.items(), strict=False):
        axes.axline((low, low), (high, high), color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(matrix.values.ravel(), found.scores.ravel(), ".", color=colour, markersize=2.5, alpha=0.5)
        axes.set_title(f"{way}\nRMSE {found.error(way).rmse:.2f}", fontsize=9, color=_INK)
        axes.set_xlabel(f"predicted {found.metric} ({found.unit})", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].set_ylabel(f"measured {found.metric} ({found.unit})", fontsize=8)
    figure.suptitle(f"{found.name}: {found.task}, {', '.join(found.predictors)}", fontsize=9, color=_INK, y=1.02)
    return figure


_WRITERS: Final[dict[str, Callable[[Regression, Evaluation | None, BinaryIO], None]]] = {
    ".md": _write_markdown,
    ".tex": _write_latex,
    ".csv": _write_csv,
    ".json": _write_json,
    ".parquet": _write_parquet,
    ".png": _figure_writer("png"),
    ".svg": _figure_writer("svg"),
    ".pdf": _figure_writer("pdf"),
}

#: Suffixes that :func:`write_regression` knows.
REGRESSION_FORMATS: Final = tuple(_WRITERS)
