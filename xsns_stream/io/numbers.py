"""Numbers as people write them in tables: percent signs, decimal commas, dashes for missing values.

A cell is read only where it has one meaning. `1,234` is either 1.234 or 1234: it is read as a decimal where other cells
of the same table show that commas are decimal signs there, and refused otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

#: What stands where nothing was measured, in small letters. `nan` may also be a language, but not in a cell.
MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "–", "—", "−"})
#: What stands where a family, a script or a size is not known, in small letters. Not for columns of codes.
NOT_KNOWN: Final = MISSING | frozenset({"?", "--", "#n/a", "not available", "unknown", "undetermined"})

_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*,\d+")
#: A comma that may be a decimal sign or separate thousands, and a point that may, where commas are decimal signs.
_EITHER_COMMA: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_EITHER_POINT: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")


class Written(NamedTuple):
    """A cell as it is written.

    Attributes:
        number: Its value; NaN where nothing was measured, None where it is no number.
        percent: Whether it has a percent sign.
        comma: Whether its decimal sign is a comma.
        either: Whether the comma or the point may also separate thousands.
    """

    number: float | None
    percent: bool = False
    comma: bool = False
    either: bool = False


@dataclass(frozen=True)
class ReadCells:
    """The cells of a table.

    Attributes:
        values: One number for each cell; NaN where nothing was measured, and where the cell cannot be read.
        readable: For each cell, whether its value is known or known to be missing.
        percent: For each cell, whether it has a percent sign.
        commas: The cells that were read with a decimal comma, as they are written.
        wrong: The cells that hold no number, as `fi → sw ('high')`.
        infinite: The cells that hold an infinite number, as `fi → sw`.
        either: The cells that may be read in two ways, as `fi → sw ('1,234')`.
    """

    values: list[float]
    readable: list[bool]
    percent: list[bool]
    commas: tuple[str, ...]
    wrong: tuple[str, ...]
    infinite: tuple[str, ...]
    either: tuple[str, ...]


def plain_number(text: str) -> float | None:
    """Return the number of a cell without percent sign and decimal comma; NaN where nothing was measured.

    None where the text is neither.
    """
    if text.lower() in MISSING:
        return math.nan
    # Python also reads `1_0` and the digits of other scripts, which nobody writes as a score.
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def written(cell: object) -> Written:
    """Return what a cell says, whatever the other cells are like."""
    if cell is None:
        return Written(math.nan)
    if not isinstance(cell, str):
        # Booleans are integers to Python.
        known = hasattr(cell, "__float__") and not isinstance(cell, bool)
        return Written(float(cell) if known else None)  # type: ignore[arg-type]
    text = cell.strip()
    number = plain_number(text)
    percent = number is None and text.endswith("%")
    body = (text[:-1] if percent else text).strip().replace("−", "-")
    if number is None:
        number = plain_number(body)
        # `-%` and `nan%` are nobody's way of writing a missing value.
        number = None if number is not None and math.isnan(number) else number
    if number is not None:
        return Written(number, percent, either=bool(_EITHER_POINT.fullmatch(body)))
    if _DECIMAL_COMMA.fullmatch(body) and body.isascii():
        return Written(float(body.replace(",", ".")), percent, comma=True, either=bool(_EITHER_COMMA.fullmatch(body)))
    return Written(None)


def read_cells(cells: Iterable[tuple[str, str, object]]) -> ReadCells:
    """Read the cells of one table; nothing is raised, what cannot be read is listed.

    Args:
        cells: (source, target, what stands there).
    """
    table = [(source, target, cell, written(cell)) for source, target, cell in cells]
    decimal_commas = any(found.comma and not found.either for *_, found in table)
    values: list[float] = []
    readable: list[bool] = []
    commas, wrong, infinite, either = [], [], [], []
    for source, target, cell, found in table:
        place, number = f"{source} → {target}", found.number
        # A point is in doubt only where commas are decimal signs, and a comma only where no other cell shows it.
        doubtful = found.either and found.comma != decimal_commas
        if number is None:
            wrong.append(f"{place} ({str(cell)[:20]!r})")
        elif math.isinf(number):
            infinite.append(place)
        elif doubtful:
            either.append(f"{place} ({str(cell)[:20]!r})")
        elif found.comma:
            commas.append(str(cell).strip())
        readable.append(number is not None and not math.isinf(number) and not doubtful)
        values.append(number if readable[-1] and number is not None else math.nan)
    percent = [found.percent for *_, found in table]
    return ReadCells(values, readable, percent, tuple(commas), tuple(wrong), tuple(infinite), tuple(either))
