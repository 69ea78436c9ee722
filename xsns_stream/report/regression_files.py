"""A regression → files: tables, pairs, and a figure of predicted against measured scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from xsns_stream.files import writable, write_csv, write_parquet, write_whole
from xsns_stream.report.escaping import PLAIN_TEXT, in_latex, in_markdown
from xsns_stream.report.regression import blocks, document
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.regressions import IN_SAMPLE, Regression

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
    file.write((json.dumps(_finite(said), ensure_ascii=False, allow_nan=False) + "\n").encode())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_csv(found: Regression, _: Evaluation | None, file: BinaryIO) -> None:
    write_csv(found.to_frame(), file)


def _write_parquet(found: Regression, ranks: Evaluation | None, file: BinaryIO) -> None:
    said = {"kind": "regression", "schema_version": SCHEMA_VERSION, **document(found, ranks)}
    write_parquet(found.to_frame(), _finite(said), file)


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
