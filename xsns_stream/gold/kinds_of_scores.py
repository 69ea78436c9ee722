"""Selection of scores from a long table that may have several metrics, tasks or models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from xsns_stream.errors import XsnsError
from xsns_stream.io.tables import TextTable, listed

#: {what may differ between the lines of a table: possible names of its column, in lower case}.
_COLUMNS: Final = {
    "metric": frozenset({"metric", "metric_name", "metric name", "measure", "score_type", "score type"}),
    "task": frozenset({"task", "task_name", "task name"}),
    "model": frozenset({"model", "model_name", "model name", "encoder", "checkpoint"}),
}


@dataclass(frozen=True)
class OneKind:
    """A long table that was restricted to the scores of one metric and one task.

    Attributes:
        table: The table, with only the lines of this metric and task.
        metric: The metric in the column of metrics; empty if there is no such column.
        task: The task in the column of tasks; empty if there is no such column.
        columns: The names of the columns of metrics and tasks.
        notes: Sentences on the lines that were left out.
    """

    table: TextTable
    metric: str = ""
    task: str = ""
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def one_kind(table: TextTable, metric: str | None, task: str | None) -> OneKind:
    """Restrict a long table to the scores of one metric and one task, and check that they have one model.

    Args:
        table: A long table with the columns `source` and `target`.
        metric: The metric to read; None if it was not given.
        task: The task to read; None if it was not given.

    Raises:
        XsnsError: The table has several metrics (or tasks), and none was given or the given one is not among them; or
            the table has several models.
    """
    chosen = OneKind(table)
    for what, wanted in (("metric", metric), ("task", task)):
        name = _column(table, what)
        if name is None:
            continue
        kept, value = _lines_of(chosen.table, name, what, wanted)
        left_out = len(chosen.table.lines) - len(kept)
        lines, its = ("1 line", "was not read: its") if left_out == 1 else (f"{left_out} lines", "were not read: their")
        notes = [f"{lines} of '{table.name}' {its} {what} is not {value}."] if left_out else []
        chosen = replace(
            chosen,
            table=replace(chosen.table, lines=tuple(kept)),
            columns=(*chosen.columns, name),
            notes=(*chosen.notes, *notes),
        )
        chosen = replace(chosen, metric=value) if what == "metric" else replace(chosen, task=value)
    model = _column(table, "model")
    if model is not None:
        _check_models(chosen.table, model)
    return chosen


def _column(table: TextTable, what: str) -> str | None:
    return next((name for name in table.header if name.lower() in _COLUMNS[what]), None)


def _lines_of(table: TextTable, name: str, what: str, wanted: str | None) -> tuple[list[tuple[str, ...]], str]:
    """Return the lines that have the wanted value in a column, and this value.

    Args:
        table: The table.
        name: Name of the column.
        what: Its content, `metric` or `task`, for the message.
        wanted: The wanted value, in upper or lower case. It is ignored if the column has at most one distinct value.

    Raises:
        XsnsError: The column has several values, and none of them is the wanted value.
    """
    values = table.column(name)
    distinct = [value for value in dict.fromkeys(values) if value]
    same = [value for value in distinct if wanted is not None and value.lower() == wanted.lower()]
    if len(distinct) <= 1:
        return list(table.lines), distinct[0] if distinct else ""
    if not same:
        absent = "" if wanted is None else f", and '{wanted}' is not one of them"
        raise XsnsError(
            f"column '{name}' of '{table.name}' has scores of several {what}s: {listed(distinct)}{absent}.",
            f"--{what} {distinct[0]} reads the scores of one {what}.",
        )
    return [line for line, value in zip(table.lines, values, strict=True) if value in same], same[0]


def _check_models(table: TextTable, name: str) -> None:
    """Check that all scores have the same model, or that each source (or each target) has only one model.

    Raises:
        XsnsError: Some source and some target have scores of several models.
    """
    models = table.column(name)
    of_sides = ({*zip(table.column(side), models, strict=True)} for side in ("source", "target"))
    if all(len(pairs) > len({label for label, _ in pairs}) for pairs in of_sides):
        raise XsnsError(
            f"column '{name}' of '{table.name}' has scores of several models: {listed(list(dict.fromkeys(models)))}.",
            "gold scores are those of one model: import one file for each model.",
        )


def unread_note(table: TextTable, read: Sequence[str]) -> Iterator[str]:
    """Yield a note on the columns that were not read. Columns of line numbers and empty columns are not mentioned."""
    others = [
        name
        for index, name in enumerate(table.header)
        if name not in read
        and name
        and not name.startswith("Unnamed: ")
        and name.lower() not in ("index", "id")
        and any(line[index] for line in table.lines)
    ]
    if others:
        yield f"not read: columns {listed(others)} of '{table.name}'."
