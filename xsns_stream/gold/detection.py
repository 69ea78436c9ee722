"""Functions that detect the format of a file of scores from its contents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.formats import LANGRANK_COLUMNS, LANGRANK_CORNERS, NNRANK_COLUMNS, XPOS_COLUMNS, XPOS_FILE
from xsns_stream.gold.layout import long_header, matrix_layout
from xsns_stream.io.escaping import visible
from xsns_stream.io.tables import TextRows, listed, read_rows
from xsns_stream.language_labels import language_of

_HINT: Final = (
    "give --format: `matrix` if lines are sources and columns are targets, `long` if each line has a source, a "
    "target and a score, or the name of a public collection."
)


def find_format(path: Path) -> tuple[str, str]:
    """Return the format of a file or folder, and a sentence that names the format and the reason for it.

    Raises:
        UsageError: The contents fit no format.
        XsnsError: The file cannot be read.
    """
    if path.is_dir():
        if not any(parent.glob("*-ft-*.csv") for parent in (path, path / "results")):
            raise UsageError(f"'{path}' is a folder.", "give a file; only the format xpos is read from folders.")
        return "xpos", f"the format of the folder '{path.name}' is xpos"
    if path.suffix.lower() == ".json":
        return "sumeval", f"the format of '{path.name}' is sumeval: it is a JSON file"
    rows = read_rows(path)
    for name, (fits, reason) in _COLLECTIONS.items():
        if rows.rows and fits(rows, path):
            return name, f"the format of '{path.name}' is {name}: {reason}"
    if long_header(rows.rows) is not None:
        return "long", f"the format of '{path.name}' is long: it has a column of sources and a column of targets"
    columns, lines = _matrix_labels(rows, path)
    if any(map(language_of, columns)) and any(map(language_of, lines)):
        return "matrix", f"the format of '{path.name}' is matrix: rows are sources, and columns are targets"
    if any(map(language_of, columns)):
        raise UsageError(
            f"no line of '{path}' has the label of a language: {listed(lines)}.",
            "each row of a matrix is a source language; use `--format matrix --rename LABEL=CODE` to name the source "
            "language of a row.",
        )
    first = listed([visible(field) for field in rows.rows[0][1] if field]) if rows.rows else "nothing"
    raise UsageError(f"the format of '{path}' cannot be detected; its first line contains {first}.", _HINT)


def find_format_or_none(path: Path) -> str | None:
    """Return the format of a file or folder; None if it cannot be detected."""
    try:
        return find_format(path)[0]
    except XsnsError:
        return None


def _matrix_labels(rows: TextRows, path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels of the columns, and the labels of the lines, of a table that is read as a matrix."""
    if len(rows.rows) <= 1:
        return (), ()
    table = matrix_layout(rows, path)
    return table.header[1:], tuple(line[0] for line in table.lines)


def _header(rows: TextRows) -> tuple[str, ...]:
    return rows.rows[0][1]


def _is_xpos(rows: TextRows, path: Path) -> bool:
    named = XPOS_FILE.fullmatch(path.name) is not None
    return set(XPOS_COLUMNS) <= set(_header(rows)) or (named and _header(rows)[0] == "source")


def _is_nnrank(rows: TextRows, _: Path) -> bool:
    return set(NNRANK_COLUMNS) <= set(_header(rows))


def _is_langrank(rows: TextRows, _: Path) -> bool:
    """Return whether a table is from LangRank: a matrix with lines that name the best sources, or a training table."""
    header = _header(rows)
    if header[0] in LANGRANK_CORNERS:
        return any(fields[0].startswith("#") for _, fields in rows.rows)
    return "Rank" in header and any(set(names) <= set(header) for names in LANGRANK_COLUMNS)


#: {format of a public collection: (function that tests a table, reason)}.
_COLLECTIONS: Final[Mapping[str, tuple[Callable[[TextRows, Path], bool], str]]] = {
    "xpos": (_is_xpos, "it has the columns or the name of such a file"),
    "nnrank": (_is_nnrank, "it has the columns of such a file"),
    "langrank": (_is_langrank, "it has the header of such a file"),
}
