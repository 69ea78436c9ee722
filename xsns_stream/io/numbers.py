"""Numbers in table cells, which may contain missing values, decimal commas, percent signs, marks or spreads.

A number is read only if it has one meaning. `1,234` is either 1.234 or 1234: it is read as a decimal number if other
cells of the same table show that commas are decimal signs, and is an error if they do not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from xsns_stream.errors import XsnsError
from xsns_stream.io.markup import without_markup
from xsns_stream.io.tables import listed

#: Cells that mean a missing value, in lower case. As a label, `nan` may also be a language.
MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "–", "—", "−"})
#: Cells that mean an unknown family, script or size, in lower case. They are not used for columns of codes.
NOT_KNOWN: Final = MISSING | frozenset({"?", "--", "#n/a", "not available", "unknown", "undetermined"})

#: Cells that mean a missing score in tables of scores, in lower case.
_MISSING_SCORES: Final = MISSING | frozenset({"?", "--", "---", "…", "...", "#n/a", "<na>", "n.a.", "n. a."})

_NUMBER: Final = r"[+-]?(?:\d+(?:[.,]\d+)*|[.,]\d+)\s*%?"
#: Pattern of text after a number: its spread after ±, or a second number in brackets.
_SPREADS: Final = re.compile(
    rf"(?:_?(?:±|\\pm|\+/?-)\s*{_NUMBER}|_\{{\s*(?:±|\\pm)?\s*{_NUMBER}\s*\}}"
    rf"|\(\s*(?:±|\\pm|\+/?-)?\s*{_NUMBER}\s*\)"
    rf"|\[\s*{_NUMBER}\s*[,;–-]\s*{_NUMBER}\s*\])$"
)
#: Marks of significance and of footnotes after a number.
_MARKS: Final = re.compile(
    r"(?:[*∗⋆†‡§¶#↑↓▲▼⁰¹²³⁴⁵⁶⁷⁸⁹ᵃᵇᶜᵈᵉ]|\\(?:dagger|ddagger|dag|ddag|ast|star)(?![a-z])"
    r"|(?:\\textsuperscript|\\tnote)\{[^{}]*\}|\^\{[^{}]*\}|\^(?:[*a-z]|\\[a-z]+))+$"
)

_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
#: Numbers with separators of thousands and a decimal sign, which have one meaning: `1,234.5`, `1.234,5`, `1 234,5`.
_THOUSANDS: Final = re.compile(
    r"([+-]?[1-9]\d{0,2}(?:(?:,\d{3})+(?=\.)|(?:\.\d{3})+(?=,)|(?:[ \u00a0\u2009\u202f'’]\d{3})+))([.,])(\d+)"
)
#: A number that a program wrote as text for a spreadsheet: `="12.3"`, `'12.3`.
_AS_TEXT: Final = re.compile(r"=\s*\"([^\"]*)\"|'([^']+)")
#: A comma that may be a decimal sign or a thousands separator; a point that may be either if commas are decimal signs.
_AMBIGUOUS_COMMA: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_AMBIGUOUS_POINT: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")


def to_number(cell: object) -> float | None:
    """Return the number that a cell contains; NaN for a missing value, None if the cell contains anything else."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        return plain_number(cell.strip())
    # In Python, booleans are also integers.
    if isinstance(cell, bool) or not hasattr(cell, "__float__"):
        return None
    return float(cell)


def plain_number(text: str) -> float | None:
    """Parse a number that has no percent sign and no decimal comma; NaN for a missing value, None for other text."""
    if text.lower() in MISSING:
        return math.nan
    # Python also reads `1_0` and the digits of other scripts, which are probably mistakes here.
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def numbers(cells: Iterable[tuple[str, str, object]], what: str) -> list[float]:
    """Return the number that each cell contains; NaN for a missing value.

    Decimal commas are read if the table shows that commas are decimal signs.

    Args:
        cells: (source, target, content of the cell).
        what: A phrase that names the table, for messages.

    Raises:
        XsnsError: A cell contains an infinite number, or does not contain a number.
    """
    table = [(source, target, cell, _lossless(cell)) for source, target, cell in cells]
    decimal_commas = any(read.comma and not read.ambiguous for *_, read in table)
    values: list[float] = []
    wrong: list[str] = []
    infinite: list[str] = []
    for source, target, cell, read in table:
        number = read.number
        if number is None or (read.ambiguous and read.comma != decimal_commas):
            wrong.append(f"{source} → {target} ({str(cell)[:20]!r})")
            continue
        if math.isinf(number):
            infinite.append(f"{source} → {target}")
        values.append(number)
    if wrong:
        raise XsnsError(
            f"{_cells(wrong)} of {what} {'contains' if len(wrong) == 1 else 'contain'} no number: {listed(wrong)}.",
            "leave a cell empty if nothing was measured; write decimals with a point.",
        )
    if infinite:
        raise XsnsError(
            f"{_cells(infinite)} of {what} {'is' if len(infinite) == 1 else 'are'} infinite: {listed(infinite)}.",
            "leave a cell empty if nothing was measured.",
        )
    return values


def _lossless(cell: object) -> CellNumber:
    """Read a cell; its number is None if reading would lose information, such as a percent sign."""
    if not isinstance(cell, str):
        return CellNumber(to_number(cell))
    read = _undecorated_number(cell.strip())
    is_other_sign = read.number is not None and math.isnan(read.number) and cell.strip().lower() not in MISSING
    return CellNumber(None) if read.percent or is_other_sign else read


def _cells(cells: Sequence[str]) -> str:
    return f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"


class CellNumber(NamedTuple):
    """The number that a cell contains, and how the number is written.

    Attributes:
        number: The value of the number; NaN for a missing value, None if the cell does not contain a number.
        percent: Whether the number has a percent sign.
        comma: Whether the decimal sign is a comma.
        ambiguous: Whether the comma or the point may also separate thousands.
        marked: Whether there are marks or formatting, as in `12.3*` or `**12.3**`.
        spread: Whether there is a spread or a second number, as in `12.3 ± 0.4`.
    """

    number: float | None
    percent: bool = False
    comma: bool = False
    ambiguous: bool = False
    marked: bool = False
    spread: bool = False


@dataclass(frozen=True)
class ReadCells:
    """The numbers in the cells of a table.

    Attributes:
        values: One number for each cell; NaN for missing values and for cells that cannot be read.
        readable: For each cell, whether it contains a number or a missing value.
        percent: For each cell, whether it has a percent sign.
        commas: The cells that were read with a decimal comma, as they are written.
        wrong: The cells that do not contain a number, such as `fi → sw ('high')`.
        infinite: The cells that contain an infinite number, such as `fi → sw`.
        ambiguous: The cells that can be read in two ways, such as `fi → sw ('1,234')`.
        marked: The cells whose number has marks or formatting, which are ignored, as the cells are written.
        spread: The cells whose number has a spread or a second number, which is ignored, as the cells are written.
    """

    values: list[float]
    readable: list[bool]
    percent: list[bool]
    commas: tuple[str, ...]
    wrong: tuple[str, ...]
    infinite: tuple[str, ...]
    ambiguous: tuple[str, ...]
    marked: tuple[str, ...] = ()
    spread: tuple[str, ...] = ()


def cell_number(cell: object) -> CellNumber:
    """Read one cell of a table of scores, independently of the other cells."""
    if not isinstance(cell, str):
        return CellNumber(to_number(cell))
    text = cell.strip()
    if as_text := _AS_TEXT.fullmatch(text):
        text = (as_text[1] or as_text[2] or "").strip()
    read = _undecorated_number(text)
    if read.number is not None:
        return read
    core, marked, spread, percent = _undecorated(text)
    read = _undecorated_number(core)
    return read._replace(percent=read.percent or percent, marked=marked, spread=spread)


def _undecorated(text: str) -> tuple[str, bool, bool, bool]:
    """Separate the number in a cell from marks, formatting and a spread.

    Returns:
        The number as text; whether there were marks or formatting; whether there was a spread; whether the spread had a
        percent sign.
    """
    # Signs of LaTeX's formulas come in pairs: `43$_{\pm 0.3}$`.
    core = without_markup(text if text.count("$") % 2 else text.replace("$", "")).replace("−", "-")
    marked, spread, percent = core != text, False, False
    while True:
        if (match := _SPREADS.search(core)) and core[: match.start()].strip():
            spread, percent = True, percent or "%" in match[0]
        elif (match := _MARKS.search(core)) and core[: match.start()].strip():
            marked = True
        else:
            return core, marked, spread, percent
        core = without_markup(core[: match.start()].strip())


def _undecorated_number(text: str) -> CellNumber:
    """Read a number that may have a percent sign or a decimal comma."""
    if text.lower() in _MISSING_SCORES:
        return CellNumber(math.nan)
    number = plain_number(text)
    percent = number is None and text.endswith("%")
    body = (text[:-1] if percent else text).strip().replace("−", "-")
    if number is None:
        number = plain_number(body)
        # `-%` and `nan%` do not mean a missing value.
        number = None if number is not None and math.isnan(number) else number
    if number is not None:
        return CellNumber(number, percent, ambiguous=bool(_AMBIGUOUS_POINT.fullmatch(body)))
    if match := _THOUSANDS.fullmatch(body):
        whole, sign, decimals = match.groups()
        return CellNumber(float(f"{re.sub('[^0-9+-]', '', whole)}.{decimals}"), percent, comma=sign == ",")
    if _DECIMAL_COMMA.fullmatch(body) and body.isascii():
        value = float(body.replace(",", "."))
        return CellNumber(value, percent, comma=True, ambiguous=bool(_AMBIGUOUS_COMMA.fullmatch(body)))
    return CellNumber(None)


def read_cells(cells: Iterable[tuple[str, str, object]]) -> ReadCells:
    """Read the cells of one table. Cells that cannot be read are listed, and no error is raised.

    Args:
        cells: (source, target, content of the cell).
    """
    table = [(source, target, cell, cell_number(cell)) for source, target, cell in cells]
    decimal_commas = any(read.comma and not read.ambiguous for *_, read in table)
    values: list[float] = []
    readable: list[bool] = []
    commas, wrong, infinite, ambiguous = [], [], [], []
    for source, target, cell, read in table:
        pair, number = f"{source} → {target}", read.number
        # A point is ambiguous only if commas are decimal signs; a comma only if no other cell shows that it is one.
        doubtful = read.ambiguous and read.comma != decimal_commas
        if number is None:
            wrong.append(f"{pair} ({str(cell)[:20]!r})")
        elif math.isinf(number):
            infinite.append(pair)
        elif doubtful:
            ambiguous.append(f"{pair} ({str(cell)[:20]!r})")
        elif read.comma:
            commas.append(str(cell).strip())
        readable.append(number is not None and not math.isinf(number) and not doubtful)
        values.append(number if readable[-1] and number is not None else math.nan)
    percent = [read.percent for *_, read in table]
    known = [(str(cell).strip(), read) for (*_, cell, read), good in zip(table, readable, strict=True) if good]
    marked = tuple(text for text, read in known if read.marked)
    spread = tuple(text for text, read in known if read.spread)
    return ReadCells(
        values, readable, percent, tuple(commas), tuple(wrong), tuple(infinite), tuple(ambiguous), marked, spread
    )
