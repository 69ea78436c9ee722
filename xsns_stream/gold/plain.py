"""Tables of anyone's own: a matrix with sources on lines, or a long table with a line for each score."""

from __future__ import annotations

from pathlib import Path

from xsns_stream.errors import XsnsError
from xsns_stream.gold.raw import LARGEST_SEED, RawCell, RawScores, Wanted, matrix_cells
from xsns_stream.labelled import TextTable, listed, read_table, to_number


def read_matrix(path: Path, wanted: Wanted) -> RawScores:
    """Read a CSV or TSV file: a first line with targets, then a line for each source."""
    table = read_table(path)
    if {"source", "target"} <= set(table.header):
        raise XsnsError(f"'{path.name}' is a long table, no matrix.", "import it with --format long.")
    return RawScores(
        matrix_cells(table), metric=wanted.metric or "", origin=path.name, notes=table.notes, corner=table.header[0]
    )


def read_long(path: Path, wanted: Wanted) -> RawScores:
    """Read a CSV or TSV file with columns `source`, `target`, one with scores, and maybe `regime` and `seed`.

    The scores are in the column that the metric names, or in `score`.

    Raises:
        XsnsError: A column is missing, or a seed is no integer.
    """
    table = read_table(path)
    scores = wanted.metric if wanted.metric in table.header else "score"
    if scores not in table.header:
        others = [name for name in table.header if name not in {"source", "target", "regime", "seed"}]
        raise XsnsError(
            f"'{path.name}' has no column '{wanted.metric or 'score'}'.",
            f"name the column of the scores with --metric: it has {listed(others) or 'none'}.",
        )
    columns = [table.column(name) for name in ("source", "target", scores)]
    regimes = _optional(table, "regime")
    seeds = _optional(table, "seed")
    lines = zip(*columns, regimes, seeds, strict=True)
    cells = tuple(
        RawCell(source, target, score, regime or "main", _seed(seed, path.name))
        for source, target, score, regime, seed in lines
    )
    metric = wanted.metric or ("" if scores == "score" else scores)
    return RawScores(cells, metric=metric, origin=path.name, notes=table.notes)


def _optional(table: TextTable, name: str) -> list[str]:
    return table.column(name) if name in table.header else [""] * len(table.lines)


def _seed(text: str, name: str) -> int | None:
    if not text:
        return None
    number = to_number(text)
    # pandas writes a column of integers with gaps as 42.0.
    if number is None or not number.is_integer() or abs(number) >= LARGEST_SEED:
        raise XsnsError(f"'{text}' in column 'seed' of '{name}' is no integer.", "a seed is a number as 42.")
    return int(number)
