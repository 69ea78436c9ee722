"""source-size: how much data there is of each source, whatever the target."""

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
    normalised,
    read_values,
    side,
)
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.tables import TextTable, listed
from xsns_stream.types import SimilarityMatrix

#: Columns of amounts, taken in this order where a table has several columns of numbers.
SIZE_COLUMNS: Final = ("tokens", "xlmr_tokens_m", "size", "sentences", "train_sents", "examples", "bytes", "1")


def read_sizes(path: str | Path, column: str | None = None, names: str | Path | None = None) -> LanguageValues[float]:
    """Read the amount of data of each language.

    A language of which the table has a word for a missing value, as `NA`, is left out, and a note names it.

    Args:
        path: A table with a code (or, with `names`, a name) and a number for each language.
        column: Its column of numbers. Where left out: the only one there is, or else the first of SIZE_COLUMNS.
        names: A table of names, for labels that are names.

    Raises:
        UsageError: There is no such column, or one has to be chosen.
        XsnsError: The table cannot be read, or a field is no amount.
    """

    def wanted(table: TextTable) -> list[str]:
        return [column_of(table, [column], "numbers") if column else _only_numbers(table)]

    def read(fields: Mapping[str, str], label: str) -> float | None:
        (field,) = fields.values()
        if is_unknown(field):
            return None
        amount = _amount(field)
        if amount is None:
            raise XsnsError(f"'{path}' says {field!r} of {label}, which is no amount.", "give a number of 0 or more.")
        return amount

    return read_values(path, wanted, read, names)


def source_size(
    sizes: LanguageValues[float],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    *,
    log: bool = False,
) -> SimilarityMatrix:
    """Return each source's amount of data, the same number for every target.

    Args:
        sizes: What :func:`read_sizes` returns.
        sources: Codes; all languages where left out. What has no known size is left out.
        targets: Codes, which need not be in the table; the sources where left out.
        log: Give log10(1 + amount), which changes no order but every linear fit.

    Raises:
        LanguageError: None of the sources is there.
    """
    rows = side(list(sizes.values), sources, "the table of sizes")
    columns = tuple(rows) if targets is None else normalised(targets)
    amounts = np.array([sizes.values[code] for code in rows.values()], np.float64)
    column = np.log10(1.0 + amounts) if log else amounts
    return SimilarityMatrix(tuple(rows), columns, np.repeat(column[:, None], len(columns), axis=1), "source-size")


def _only_numbers(table: TextTable) -> str:
    codes = column_of(table, CODE_COLUMNS, "codes")
    # A column without a name holds the numbers of the lines.
    named = [name for name in table.header if name and name != codes]
    numbers = [name for name in named if _all_amounts(table.column(name))]
    if len(numbers) == 1:
        return numbers[0]
    known = [name for size in SIZE_COLUMNS for name in numbers if name.casefold() == size]
    if known:
        return known[0]
    if numbers:
        raise UsageError(
            f"'{table.name}' has several columns of numbers.", f"choose one with --column: {', '.join(numbers)}."
        )
    almost = [what for name in named if (what := _first_wrong(table, codes, name))]
    raise UsageError(
        f"'{table.name}' has no column of numbers{f': {listed(almost)}' if almost else ''}.",
        "write numbers without signs for thousands and without units; leave a field empty where nothing is known."
        if almost
        else "give a table with an amount a language.",
    )


def _all_amounts(fields: Sequence[str]) -> bool:
    filled = [field for field in fields if not is_unknown(field)]
    return bool(filled) and all(_amount(field) is not None for field in filled)


def _first_wrong(table: TextTable, codes: str, name: str) -> str:
    """Return what is wrong with the first field of a column that begins with a digit and is no amount, if any does."""
    if table.header.count(name) > 1:
        return ""
    for label, field in zip(table.column(codes), table.column(name), strict=True):
        if field[:1].isdigit() and _amount(field) is None:
            return f"column '{name}' has {field!r} of {label}, which is no number"
    return ""


def _amount(field: str) -> float | None:
    try:
        amount = float(field)
    except ValueError:
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None
