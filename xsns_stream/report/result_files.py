"""Writer of results that consist of tables, such as evaluations, in each format that `-o FILE` supports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.escaping import visible_json
from xsns_stream.io.frames import write_csv, write_parquet
from xsns_stream.io.json import nan_to_null
from xsns_stream.report.figures import save_figure
from xsns_stream.report.markup import Sheet, latex, markdown

if TYPE_CHECKING:
    import pandas as pd

    from xsns_stream.report.figures import Draw

#: Version of the JSON documents, and of the documents in Parquet files.
SCHEMA_VERSION: Final = 1


@dataclass(frozen=True)
class ResultFile:
    """Functions that return the content of a result for each format; only those for the written format are called.

    Attributes:
        kind: The kind of the result, such as `evaluation`; it is written to the metadata of Parquet files.
        frame: Function that returns the rows for .csv, .tsv and .parquet files; values are not rounded.
        document: Function that returns the whole result as one object of plain values; undefined values are NaN.
        sheets: Function that returns the tables for .md and .tex files, which the terminal also shows.
        draw: Function that draws the figure.
        notes: Sentences below the tables of .md and .tex files.
        figure_options: Further arguments of matplotlib's `savefig`.
    """

    kind: str
    frame: Callable[[], pd.DataFrame]
    document: Callable[[], Mapping[str, Any]]
    sheets: Callable[[], Sequence[Sheet]]
    draw: Draw
    notes: Sequence[str] = ()
    figure_options: Mapping[str, Any] | None = None


def write_result(result: ResultFile, path: str | Path) -> Path:
    """Write a result atomically to a file; the suffix of `path` selects the format.

    ============== =========================================================================================
    .csv .tsv      The rows. Values are not rounded; undefined values are empty.
    .parquet       The same rows, with the whole result in the metadata of the file, under the key `xsns_stream`.
    .json          The whole result; undefined values are null.
    .md .tex       The tables that the terminal shows; LaTeX needs the package booktabs.
    .png .svg .pdf The figure.
    ============== =========================================================================================

    Args:
        result: The content.
        path: The file to write; an existing file is replaced.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
        XsnsError: The file cannot be written.
    """
    target = writable(path, RESULT_FORMATS)
    write_whole(target, lambda file: _WRITERS[target.suffix.lower()](result, file))
    return target


def write_document(document: Mapping[str, Any], file: BinaryIO) -> None:
    """Write one JSON object; NaN and infinities are written as null."""
    text = json.dumps(nan_to_null(document), ensure_ascii=False, allow_nan=False)
    file.write(f"{visible_json(text)}\n".encode())


def _write_csv(result: ResultFile, file: BinaryIO) -> None:
    write_csv(result.frame(), file)


def _write_tsv(result: ResultFile, file: BinaryIO) -> None:
    write_csv(result.frame(), file, separator="\t")


def _write_parquet(result: ResultFile, file: BinaryIO) -> None:
    document = {"schema_version": SCHEMA_VERSION, "kind": result.kind, **result.document()}
    write_parquet(result.frame(), nan_to_null(document), file)


def _write_json(result: ResultFile, file: BinaryIO) -> None:
    write_document({"schema_version": SCHEMA_VERSION, **result.document()}, file)


def _write_markdown(result: ResultFile, file: BinaryIO) -> None:
    file.write(markdown(result.sheets(), result.notes).encode())


def _write_latex(result: ResultFile, file: BinaryIO) -> None:
    file.write(latex(result.sheets(), result.notes).encode())


def _figure_writer(kind: str) -> Callable[[ResultFile, BinaryIO], None]:
    return lambda result, file: save_figure(result.draw, file, kind, **(result.figure_options or {}))


_WRITERS: Final[Mapping[str, Callable[[ResultFile, BinaryIO], None]]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".json": _write_json,
    ".parquet": _write_parquet,
    ".md": _write_markdown,
    ".tex": _write_latex,
    ".png": _figure_writer("png"),
    ".svg": _figure_writer("svg"),
    ".pdf": _figure_writer("pdf"),
}

#: Suffixes of :func:`write_result`.
RESULT_FORMATS: Final = tuple(_WRITERS)
