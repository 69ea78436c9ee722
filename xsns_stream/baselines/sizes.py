"""Baseline `source-size`: a ranking of sources by their amount of data, which is the same for every target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.baselines.language_values import (
    CODE_COLUMNS,
    LanguageValues,
    column_of,
    is_unknown,
    read_values,
    restrict,
    unique_codes,
)
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.tables import TextTable, listed
from xsns_stream.types import SimilarityMatrix

#: Columns of amounts, in order of preference, for tables with several columns of numbers.
SIZE_COLUMNS: Final = ("tokens", "xlmr_tokens_m", "size", "sentences", "train_sents", "examples", "bytes", "1")


def read_sizes(path: str | Path, column: str | None = None, names: str | Path | None = None) -> LanguageValues[float]:
    """Read the amount of data of each language.

    Languages that have a word for a missing value, such as `NA`, instead of an amount are left out, and a note names
    them.

    Args:
        path: A table with a code (or, with `names`, a name) and a number for each language.
        column: Name of the column of amounts. By default it is the only column of numbers. If there are several, it is
            the first name in SIZE_COLUMNS that one of them has.
        names: A table of names and codes; it is needed if the labels are names of languages.

    Raises:
        UsageError: The table does not have this column; or `column` is None, and the table has no column of numbers, or
            several without a name in SIZE_COLUMNS.
        XsnsError: The table cannot be read, or a field is not an amount.
    """

    def columns_of(table: TextTable) -> list[str]:
        return [column_of(table, [column], "numbers") if column else _size_column(table)]

    def read(fields: Mapping[str, str], label: str) -> float | None:
        (field,) = fields.values()
        if is_unknown(field):
            return None
        amount = _amount(field)
        if amount is None:
            raise XsnsError(
                f"'{path}' has {field!r} for {label}, which is not an amount.", "give a number of 0 or more."
            )
        return amount

    return read_values(path, columns_of, read, names)


def source_size(
    sizes: LanguageValues[float],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    *,
    log: bool = False,
) -> SimilarityMatrix:
    """Return the amount of data of each source, which is the same for every target.

    Args:
        sizes: The result of :func:`read_sizes`.
        sources: Codes; all languages by default. Languages without a known size are left out.
        targets: Codes, which may be missing in the table; the sources by default.
        log: Whether to return log10(1 + amount). The ranking of the sources is the same, but linear fits differ.

    Raises:
        LanguageError: The table has none of the sources.
    """
    rows = restrict(list(sizes.values), sources, "the table of sizes")
    columns = tuple(rows) if targets is None else unique_codes(targets)
    amounts = np.array([sizes.values[code] for code in rows.values()], np.float64)
    values = np.log10(1.0 + amounts) if log else amounts
    return SimilarityMatrix(tuple(rows), columns, np.repeat(values[:, None], len(columns), axis=1), "source-size")


def _size_column(table: TextTable) -> str:
    codes = column_of(table, CODE_COLUMNS, "codes")
    # A column without a name contains line numbers.
    named = [name for name in table.header if name and name != codes]
    numbers = [name for name in named if _holds_amounts(table.column(name))]
    if len(numbers) == 1:
        return numbers[0]
    preferred = [name for size in SIZE_COLUMNS for name in numbers if name.casefold() == size]
    if preferred:
        return preferred[0]
    if numbers:
        raise UsageError(
            f"'{table.name}' has several columns of numbers.", f"choose one with --column: {', '.join(numbers)}."
        )
    almost = [problem for name in named if (problem := _first_invalid_number(table, codes, name))]
    raise UsageError(
        f"'{table.name}' has no column of numbers{f': {listed(almost)}' if almost else ''}.",
        "write numbers without thousands separators and units, and leave fields of unknown sizes empty."
        if almost
        else "give a table with an amount for each language.",
    )


def _holds_amounts(fields: Sequence[str]) -> bool:
    known = [field for field in fields if not is_unknown(field)]
    return bool(known) and all(_amount(field) is not None for field in known)


def _first_invalid_number(table: TextTable, codes: str, name: str) -> str:
    """Return a phrase on the first field of the column `name` that begins with a digit but is not an amount.

    The phrase names the label of the line, from the column `codes`. It is empty if there is no such field.
    """
    if table.header.count(name) > 1:
        return ""
    for label, field in zip(table.column(codes), table.column(name), strict=True):
        if field[:1].isdigit() and _amount(field) is None:
            return f"column '{name}' has {field!r} for {label}, which is not a number"
    return ""


def _amount(field: str) -> float | None:
    try:
        amount = float(field)
    except ValueError:
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None
