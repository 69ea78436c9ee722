"""Tables in which languages label numbers: text files → lines, cells → numbers, labels → codes.

Whatever cannot be read is an error that names the cell. No line is skipped but empty ones. What separates the
fields, and how the text is encoded, is found out from marks that have one meaning, and stands in the table's notes.
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

from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.escaping import visible
from xsns_stream.languages import normalise

__all__ = [
    "MISSING",
    "NOT_KNOWN",
    "SEPARATORS",
    "ReadCells",
    "TextTable",
    "all_listed",
    "duplicates",
    "labels_by_shared_code",
    "listed",
    "numbers",
    "read_cells",
    "read_table",
    "to_codes",
    "to_number",
]

#: Suffix → what separates fields.
SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
#: Of a .csv file that spreadsheets wrote: what separates fields instead, and what it is called.
_INSTEAD: Final = {";": "semicolons", "\t": "tabs"}
_ENCODINGS: Final = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}

# Names listed in a message before it says how many more there are.
_LISTED: Final = 12
# Names listed where all of them must be named, before a message becomes unreadable.
_ALL: Final = 1000
# A header, and something below it.
_FEWEST_LINES: Final = 2


@dataclass(frozen=True)
class TextTable:
    """A table as it stands in a file.

    Attributes:
        header: The fields of the first line.
        lines: The other lines that are not empty, each with as many fields.
        name: Of the file, for messages.
        notes: Sentences on what was found out about the file, as its encoding.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    name: str
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """Return the fields below a name of the header.

        Raises:
            XsnsError: There is no such name, or there are two.
        """
        if self.header.count(name) != 1:
            raise XsnsError(
                f"'{self.name}' has {'no' if name not in self.header else 'more than one'} column '{name}'.",
                f"its columns are {listed(self.header)}.",
            )
        place = self.header.index(name)
        return [line[place] for line in self.lines]


def read_table(path: Path) -> TextTable:
    """Read a CSV or TSV file; which it is says its suffix.

    A .csv file whose first line has semicolons or tabs, and no comma, is separated by these. UTF-8 is expected, and
    UTF-16 is read where the file begins with its mark, as files of spreadsheets do.

    Raises:
        UsageError: It has another suffix.
        XsnsError: It cannot be read, is empty, has one column, or a line has more fields than the first.
    """
    usual = SEPARATORS.get(path.suffix.lower())
    if usual is None:
        raise UsageError(f"'{path}' is no table of text.", f"give a file that ends in {' or '.join(SEPARATORS)}.")
    text, notes = _text_of(path)
    separator, text = _separator(text, usual)
    if separator != usual:
        notes = (*notes, f"the fields of '{path.name}' are separated by {_INSTEAD.get(separator, 'commas')}.")
    try:
        found = list(enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1))
    except csv.Error as error:
        raise XsnsError(f"cannot read '{path}' as a table: {error}.", "save it as UTF-8 text.") from None
    filled = [(number, [field.strip() for field in line]) for number, line in found if any(map(str.strip, line))]
    if len(filled) < _FEWEST_LINES:
        raise XsnsError(f"'{path}' is empty.", "a first line with names and at least one line below it are needed.")
    width = len(filled[0][1])
    if width == 1:
        raise XsnsError(
            f"'{path}' has a single column.",
            f"fields of a {path.suffix} file are separated by {'commas' if usual == ',' else 'tabs'}.",
        )
    for number, line in filled:
        if len(line) > width:
            raise XsnsError(f"line {number} of '{path}' has {len(line)} fields, and the first has {width}.")
    lines = tuple(tuple(line) + ("",) * (width - len(line)) for _, line in filled)
    return TextTable(lines[0], lines[1:], path.name, notes)


def _text_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file, and what was found out about its encoding.

    Raises:
        XsnsError: It cannot be read, or is neither UTF-8 nor marked as UTF-16.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in data:
        raise XsnsError(
            f"'{path}' holds NUL characters, as UTF-16 text without its mark does.", "save it as UTF-8 text."
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise XsnsError(f"cannot read '{path}' as a table: {error}.", "save it as UTF-8 text.") from None
    return text, (f"'{path.name}' was read as UTF-16.",) if encoding == "utf-16" else ()


def _separator(text: str, usual: str) -> tuple[str, str]:
    """Return what separates the fields of a file, and its text without a line that says so."""
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
        return first.strip()[-1], rest
    head = next((line for line in text.splitlines() if line.strip()), "")
    if usual == "," and "," not in head:
        return next((sign for sign in _INSTEAD if sign in head), usual), text
    return usual, text


def to_number(cell: object) -> float | None:
    """Return a cell's number, NaN where nothing was measured; None where it is neither."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        return plain_number(cell.strip())
    # Booleans are integers to Python.
    if isinstance(cell, bool) or not hasattr(cell, "__float__"):
        return None
    return float(cell)


def numbers(cells: Iterable[tuple[str, str, object]], what: str) -> list[float]:
    """Return the number in each cell, NaN where nothing was measured.

    Args:
        cells: (source, target, what stands there).
        what: The table, for messages.

    Raises:
        XsnsError: A cell holds no number, or an infinite one.
    """
    found: list[float] = []
    wrong: list[str] = []
    infinite: list[str] = []
    for source, target, cell in cells:
        number = to_number(cell)
        if number is None:
            wrong.append(f"{source} → {target} ({str(cell)[:20]!r})")
            continue
        if math.isinf(number):
            infinite.append(f"{source} → {target}")
        found.append(number)
    if wrong:
        raise XsnsError(
            f"{_cells(wrong)} of {what} {'holds' if len(wrong) == 1 else 'hold'} no number: {listed(wrong)}.",
            "leave a cell empty where nothing was measured; decimals are written with a point.",
        )
    if infinite:
        raise XsnsError(
            f"{_cells(infinite)} of {what} {'is' if len(infinite) == 1 else 'are'} infinite: {listed(infinite)}.",
            "leave a cell empty where nothing was measured.",
        )
    return found


def _cells(found: Sequence[str]) -> str:
    return f"{len(found)} {'cell' if len(found) == 1 else 'cells'}"


def to_codes(labels: Iterable[str], rename: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Return {label: its normalised code}, None where it is no code of a language.

    Args:
        labels: As they stand in a file.
        rename: {label: what it shall be called}, before it is normalised.

    Raises:
        LanguageError: What a label shall be called is no code.
    """
    renamed = {label: normalise(code) for label, code in (rename or {}).items()}
    return {label: renamed.get(label) or _code(label) for label in dict.fromkeys(labels)}


def _code(label: str) -> str | None:
    try:
        return normalise(label)
    except LanguageError:
        return None


def labels_by_shared_code(codes: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Return {code: the labels that it stands for} where these are several."""
    by_code: dict[str, list[str]] = {}
    for label, code in codes.items():
        if code is not None:
            by_code.setdefault(code, []).append(label)
    return {code: labels for code, labels in by_code.items() if len(labels) > 1}


def duplicates(labels: Sequence[str]) -> list[str]:
    """Return the labels that stand more than once, each once."""
    return [label for label, count in Counter(labels).items() if count > 1]


def listed(names: Sequence[str]) -> str:
    """Return names with commas: the first ones, and how many more there are."""
    return _some(names, _LISTED)


def all_listed(names: Sequence[str]) -> str:
    """Return names with commas, all of them but for thousands."""
    return _some(names, _ALL)


def _some(names: Sequence[str], most: int) -> str:
    shown = ", ".join(map(visible, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


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
