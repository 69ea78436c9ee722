"""Write an evaluation to a file: Markdown, LaTeX, numbers, figures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from xsns_stream.files import writable, write_csv, write_parquet, write_whole
from xsns_stream.report.escaping import in_latex, in_markdown
from xsns_stream.report.evaluation import Sheet, evaluation_document, evaluation_sheets
from xsns_stream.report.evaluation_figure import save_evaluation_figure
from xsns_stream.report.files import SCHEMA_VERSION, write_document
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.joined import JoinedScores

if TYPE_CHECKING:
    import pandas as pd


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
    write_parquet(_frame(written), _plain(document), file)


def _write_json(written: _Written, file: BinaryIO) -> None:
    write_document(_plain({"schema_version": SCHEMA_VERSION, **evaluation_document(written.found)}), file)


def _plain(value: Any) -> Any:
    """Return the same with null for what JSON cannot say."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
