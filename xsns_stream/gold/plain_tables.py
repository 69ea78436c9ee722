"""Readers of plain tables: a matrix of sources and targets, or a long table with one line for each score."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Final

from xsns_stream.errors import XsnsError
from xsns_stream.gold.kinds_of_scores import one_kind, unread_note
from xsns_stream.gold.layout import long_header, long_layout, matrix_layout
from xsns_stream.gold.raw_scores import RawCell, RawScores, ReadOptions
from xsns_stream.io.numbers import cell_number, to_number
from xsns_stream.io.tables import TextTable, listed, read_rows

#: All seeds are below this number, because some file formats round larger numbers.
LARGEST_SEED: Final = 2**53
#: The name of a column with its unit, such as `Accuracy (%)`, `F1 [%]` or `BLEU %`.
_PERCENT_SIGN: Final = re.compile(r"\s*[(\[]?\s*(?:%|percent|in %)\s*[)\]]?$", re.IGNORECASE)
#: Names of metrics. If one of several columns of numbers has such a name, it contains the scores.
_METRICS: Final = frozenset(
    {
        "accuracy",
        "acc",
        "f1",
        "f1-score",
        "macro-f1",
        "micro-f1",
        "bleu",
        "chrf",
        "las",
        "uas",
        "em",
        "exact match",
        "mrr",
    }
)
_NOT_SCORES: Final = frozenset({"", "index", "id", "source", "target", "regime", "seed"})


def matrix_cells(table: TextTable, regime: str = "main") -> tuple[RawCell, ...]:
    """Return the cells of a matrix, a table with one row for each source and one column for each target."""
    return tuple(
        RawCell(line[0], target, score, regime)
        for line in table.lines
        for target, score in zip(table.header[1:], line[1:], strict=True)
    )


def read_matrix(path: Path, options: ReadOptions) -> RawScores:
    """Read a matrix from a text file: one line for each source and one column for each target.

    Raises:
        XsnsError: The file cannot be read, or is a long table.
    """
    rows = read_rows(path)
    if long_header(rows.rows) is not None:
        raise XsnsError(f"'{path.name}' is a long table, not a matrix.", "import it with --format long.")
    table = matrix_layout(rows, path)
    return RawScores(
        matrix_cells(table), metric=options.metric or "", origin=path.name, notes=table.notes, corner=table.header[0]
    )


def read_long(path: Path, options: ReadOptions) -> RawScores:
    """Read a long table from a text file: columns `source`, `target`, scores, and optionally `regime` and `seed`.

    The columns `source` and `target` may have other names, such as `train_lang` and `test_lang`
    (:func:`layout.side_of`). The column of scores has the name of the metric, is called `score`, or is the only column
    of numbers.

    Raises:
        XsnsError: A column is missing, or a seed is not an integer.
    """
    return long_scores(long_layout(read_rows(path), path), options)


def long_scores(table: TextTable, options: ReadOptions) -> RawScores:
    """Return the scores of a table with columns `source` and `target`; see :func:`read_long`."""
    kind = one_kind(table, options.metric, options.task)
    table = kind.table
    score_column, notes = _score_column(table, options.metric)
    columns = [table.column(name) for name in ("source", "target", score_column)]
    lines = zip(*columns, _optional_column(table, "regime"), _optional_column(table, "seed"), strict=True)
    cells = tuple(
        RawCell(source, target, score, regime or "main", _seed(seed, table.name))
        for source, target, score, regime, seed in lines
    )
    in_percent = _PERCENT_SIGN.search(score_column) is not None
    name = _PERCENT_SIGN.sub("", score_column).strip()
    name = name.lower() if name.lower() in _METRICS else name
    metric = options.metric or kind.metric or ("" if name == "score" else name)
    unit = "percent" if in_percent else ""
    read = ("source", "target", score_column, "regime", "seed", *kind.columns)
    every = (*table.notes, *kind.notes, *notes, *unread_note(table, read))
    return RawScores(cells, task=kind.task, metric=metric, unit=unit, origin=table.name, notes=every)


def _score_column(table: TextTable, metric: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the name of the column of scores, and a note if it is neither `score` nor exactly the name of the metric.

    Raises:
        XsnsError: No column, or more than one column, may contain the scores.
    """
    if metric in table.header:
        return str(metric), ()
    names = [name for name in dict.fromkeys(table.header) if not _is_index(name)]
    named = [name for name in names if metric is not None and _metric_of(name) == metric.lower()]
    if not named and "score" in table.header:
        _check_copies(table, "score")
        return "score", ()
    numeric = [name for name in names if _has_numbers(table, name)]
    known = [name for name in numeric if _metric_of(name) in _METRICS]
    if metric is None:
        named = numeric if len(numeric) == 1 else known
    elif not named and not known and len(numeric) == 1:
        named = numeric
    if len(named) == 1:
        _check_copies(table, named[0])
        return named[0], (f"the scores are in the column '{named[0]}' of '{table.name}'.",)
    others = [name for name in names if name not in _NOT_SCORES]
    raise XsnsError(
        f"'{table.name}' has no column '{metric or 'score'}'.",
        f"name the column of the scores with --metric; columns are {listed(others) or 'none'}.",
    )


def _check_copies(table: TextTable, name: str) -> None:
    """Check that a name of a column is not repeated; pandas adds a number to repeated names, as in `score.1`.

    Raises:
        XsnsError: Another column has this name with such a number.
    """
    copies = [other for other in table.header if re.fullmatch(rf"{re.escape(name)}\.\d+", other)]
    if copies:
        raise XsnsError(
            f"'{table.name}' has several columns '{name}': {listed([name, *copies])}.",
            f"choose one of them with --metric, such as `--metric {name}`.",
        )


def _metric_of(name: str) -> str:
    """Return the name of a column in lower case, without a percent sign."""
    return _PERCENT_SIGN.sub("", name).strip().lower()


def _is_index(name: str) -> bool:
    """Return whether a column, judged by its name, has no scores but labels, or line numbers that pandas added."""
    return name.lower() in _NOT_SCORES or name.startswith("Unnamed: ")


def _has_numbers(table: TextTable, name: str) -> bool:
    numbers = [cell_number(line[table.header.index(name)]).number for line in table.lines]
    return any(number is not None and not math.isnan(number) for number in numbers)


def _optional_column(table: TextTable, name: str) -> list[str]:
    return table.column(name) if name in table.header else [""] * len(table.lines)


def _seed(text: str, name: str) -> int | None:
    if not text:
        return None
    number = to_number(text)
    # pandas writes a column of integers with missing values as 42.0.
    if number is None or not number.is_integer() or abs(number) >= LARGEST_SEED:
        raise XsnsError(
            f"'{text}' in column 'seed' of '{name}' is not an integer.", "a seed is an integer, such as 42."
        )
    return int(number)
