"""Tables of numbers with languages as labels: text files, numbers in cells, and codes of labels.

An error names the cells that cannot be read. Only empty lines are skipped. The separator of the fields and the encoding
of the text are detected from unambiguous marks, and recorded in the notes of the table.

A number is read only if it has one meaning. `1,234` is either 1.234 or 1234: it is read as a decimal number if other
cells of the same table show that commas are decimal signs, and is an error if they do not.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.escaping import visible
from xsns_stream.languages import code_or_none, normalise

#: Suffix → separator of the fields.
SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
#: Other separators that spreadsheets write in .csv files → their names.
_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs"}
_ENCODINGS: Final = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}
# A header and one line below it.
_FEWEST_LINES: Final = 2

# ------------------------------------------------------------------------------------- text files


@dataclass(frozen=True)
class TextTable:
    """The contents of a table of text.

    Attributes:
        header: The fields of the first line.
        lines: The fields of the other non-empty lines; each line has the same number of fields as the header.
        name: Name of the file, for messages.
        notes: Sentences about the reading of the file, such as its encoding.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    name: str
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """Return the fields of a column.

        Raises:
            XsnsError: No column, or more than one column, has this name.
        """
        if self.header.count(name) != 1:
            raise XsnsError(
                f"'{self.name}' has {'no' if name not in self.header else 'more than one'} column '{name}'.",
                f"its columns are {listed(self.header)}.",
            )
        index = self.header.index(name)
        return [line[index] for line in self.lines]


def read_table(path: Path) -> TextTable:
    """Read a CSV or TSV file, depending on its suffix.

    The fields of a .csv file are separated by semicolons or tabs if its first line has these and no comma. The encoding
    is UTF-8, or UTF-16 if the file begins with a byte order mark, like files of spreadsheets.

    Raises:
        UsageError: The suffix is neither `.csv` nor `.tsv`.
        XsnsError: The file cannot be read, is empty or has a single column, or a line has a different number of fields
            than the first.
    """
    usual = SEPARATORS.get(path.suffix.lower())
    if usual is None:
        raise UsageError(f"'{path}' is not a table of text.", f"give a file that ends in {' or '.join(SEPARATORS)}.")
    text, notes = _decoded(path)
    separator, text = _separator(text, usual)
    if separator != usual:
        notes = (*notes, f"the fields of '{path.name}' are separated by {_OTHER_SEPARATORS.get(separator, 'commas')}.")
    try:
        rows = list(enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1))
    except csv.Error as error:
        raise XsnsError(f"'{path}' cannot be read as a table: {error}.", "save it as UTF-8 text.") from None
    filled = [(number, [field.strip() for field in row]) for number, row in rows if any(map(str.strip, row))]
    if len(filled) < _FEWEST_LINES:
        raise XsnsError(f"'{path}' is empty.", "write a header and at least one line below it.")
    width = len(filled[0][1])
    if width == 1:
        raise XsnsError(
            f"'{path}' has a single column.",
            f"separate the fields of a {path.suffix} file by {'commas' if usual == ',' else 'tabs'}.",
        )
    for number, row in filled:
        if len(row) > width:
            raise XsnsError(f"line {number} of '{path}' has {len(row)} fields, but the first has {width}.")
    lines = tuple(tuple(row) + ("",) * (width - len(row)) for _, row in filled)
    return TextTable(lines[0], lines[1:], path.name, notes)


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file, and a note if its encoding is not UTF-8.

    Raises:
        XsnsError: The file cannot be read, or is neither UTF-8 nor marked as UTF-16.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in data:
        raise XsnsError(
            f"'{path}' contains NUL characters. The file may be UTF-16 without a byte order mark.",
            "save it as UTF-8 text.",
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise XsnsError(f"'{path}' cannot be read as a table: {error}.", "save it as UTF-8 text.") from None
    return text, (f"'{path.name}' was read as UTF-16.",) if encoding == "utf-16" else ()


def _separator(text: str, usual: str) -> tuple[str, str]:
    """Return the separator of the fields, and the text without a first line `sep=;`."""
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
        return first.strip()[-1], rest
    head = next((line for line in text.splitlines() if line.strip()), "")
    if usual == "," and "," not in head:
        return next((sign for sign in _OTHER_SEPARATORS if sign in head), usual), text
    return usual, text


# ---------------------------------------------------------------------------------------- numbers


#: Cells that mean a missing value, in lower case. As a label, `nan` may also be a language.
MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none", "-", "–", "—", "−"})
#: Cells that mean an unknown family, script or size, in lower case. They are not used for columns of codes.
NOT_KNOWN: Final = MISSING | frozenset({"?", "--", "#n/a", "not available", "unknown", "undetermined"})

_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d*,\d+")
#: A comma that may be a decimal sign or a thousands separator; a point that may be either if commas are decimal signs.
_AMBIGUOUS_COMMA: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_AMBIGUOUS_POINT: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}")


def to_number(cell: object) -> float | None:
    """Return the number of a cell; NaN for a missing value, None for any other content."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        return plain_number(cell.strip())
    # In Python, booleans are also integers.
    if isinstance(cell, bool) or not hasattr(cell, "__float__"):
        return None
    return float(cell)


def plain_number(text: str) -> float | None:
    """Return the number of a text without percent sign and decimal comma; NaN if missing, None for other text."""
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
    """Return the number of each cell; NaN for a missing value.

    Args:
        cells: (source, target, cell).
        what: The table, for messages.

    Raises:
        XsnsError: A cell contains an infinite number, or does not contain a number.
    """
    values: list[float] = []
    wrong: list[str] = []
    infinite: list[str] = []
    for source, target, cell in cells:
        number = to_number(cell)
        if number is None:
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


def _cells(cells: Sequence[str]) -> str:
    return f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"


class CellNumber(NamedTuple):
    """The number of a cell, and its notation.

    Attributes:
        number: The value; NaN for a missing value, None if the cell does not contain a number.
        percent: Whether the number has a percent sign.
        comma: Whether the decimal sign is a comma.
        ambiguous: Whether the comma or the point may also separate thousands.
    """

    number: float | None
    percent: bool = False
    comma: bool = False
    ambiguous: bool = False


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
    """

    values: list[float]
    readable: list[bool]
    percent: list[bool]
    commas: tuple[str, ...]
    wrong: tuple[str, ...]
    infinite: tuple[str, ...]
    ambiguous: tuple[str, ...]


def cell_number(cell: object) -> CellNumber:
    """Return the number of a cell, independently of the other cells."""
    if not isinstance(cell, str):
        return CellNumber(to_number(cell))
    text = cell.strip()
    number = plain_number(text)
    percent = number is None and text.endswith("%")
    body = (text[:-1] if percent else text).strip().replace("−", "-")
    if number is None:
        number = plain_number(body)
        # `-%` and `nan%` do not mean a missing value.
        number = None if number is not None and math.isnan(number) else number
    if number is not None:
        return CellNumber(number, percent, ambiguous=bool(_AMBIGUOUS_POINT.fullmatch(body)))
    if _DECIMAL_COMMA.fullmatch(body) and body.isascii():
        value = float(body.replace(",", "."))
        return CellNumber(value, percent, comma=True, ambiguous=bool(_AMBIGUOUS_COMMA.fullmatch(body)))
    return CellNumber(None)


def read_cells(cells: Iterable[tuple[str, str, object]]) -> ReadCells:
    """Read the cells of one table. Cells that cannot be read are listed, and no error is raised.

    Args:
        cells: (source, target, cell).
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
    return ReadCells(values, readable, percent, tuple(commas), tuple(wrong), tuple(infinite), tuple(ambiguous))


# ----------------------------------------------------------------------------------------- labels


def to_codes(labels: Iterable[str], rename: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Return {label: its normalised code}; the value is None if a label is not the code of a language.

    Args:
        labels: The labels of a file.
        rename: {label: its new name, before it is normalised}.

    Raises:
        LanguageError: A new name is not the code of a language.
    """
    renamed = {label: normalise(code) for label, code in (rename or {}).items()}
    return {label: renamed.get(label) or code_or_none(label) for label in dict.fromkeys(labels)}


def labels_by_shared_code(codes: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Return {code: its labels} for codes with several labels."""
    by_code: dict[str, list[str]] = {}
    for label, code in codes.items():
        if code is not None:
            by_code.setdefault(code, []).append(label)
    return {code: labels for code, labels in by_code.items() if len(labels) > 1}


def duplicates(labels: Sequence[str]) -> list[str]:
    """Return the labels that occur more than once, each once."""
    return [label for label, count in Counter(labels).items() if count > 1]


# The largest number of names that a message lists; it gives the number of the others.
_LISTED: Final = 12
# The same for messages that should list all names, as long as they stay readable.
_ALL: Final = 1000


def listed(names: Sequence[str]) -> str:
    """Return names with commas between them: the first ones, and the number of the others."""
    return _join(names, _LISTED)


def all_listed(names: Sequence[str]) -> str:
    """Return names with commas between them: all of them, up to a thousand."""
    return _join(names, _ALL)


def _join(names: Sequence[str], most: int) -> str:
    shown = ", ".join(map(visible, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
