"""Tables in which languages label numbers: text files → lines, cells → numbers, labels → codes.

Whatever cannot be read is an error that names the cell. Nothing is guessed, and no line is skipped but empty ones.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.files import unreadable
from xsns_stream.languages import normalise

#: Suffix → what separates fields.
SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
#: What stands where nothing was measured, in small letters. `nan` may also be a language, but not in a cell.
MISSING: Final = frozenset({"", "nan", "na", "n/a", "null", "none"})

# Names listed in a message before it says how many more there are.
_LISTED: Final = 12
# A header, and something below it.
_FEWEST_LINES: Final = 2


@dataclass(frozen=True)
class TextTable:
    """A table as it stands in a file.

    Attributes:
        header: The fields of the first line.
        lines: The other lines that are not empty, each with as many fields.
        name: Of the file, for messages.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    name: str

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

    Raises:
        UsageError: It has another suffix.
        XsnsError: It cannot be read, is empty, has one column, or a line has more fields than the first.
    """
    separator = SEPARATORS.get(path.suffix.lower())
    if separator is None:
        raise UsageError(f"'{path}' is no table of text.", f"give a file that ends in {' or '.join(SEPARATORS)}.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = [(number, line) for number, line in enumerate(csv.reader(file, delimiter=separator), 1)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise XsnsError(f"cannot read '{path}' as a table: {error}.", "save it as UTF-8 text.") from None
    except OSError as error:
        raise unreadable(path, error) from None
    filled = [(number, [field.strip() for field in line]) for number, line in found if any(map(str.strip, line))]
    if len(filled) < _FEWEST_LINES:
        raise XsnsError(f"'{path}' is empty.", "a first line with names and at least one line below it are needed.")
    width = len(filled[0][1])
    if width == 1:
        raise XsnsError(
            f"'{path}' has a single column.",
            f"fields of a {path.suffix} file are separated by {'commas' if separator == ',' else 'tabs'}.",
        )
    for number, line in filled:
        if len(line) > width:
            raise XsnsError(f"line {number} of '{path}' has {len(line)} fields, and the first has {width}.")
    lines = tuple(tuple(line) + ("",) * (width - len(line)) for _, line in filled)
    return TextTable(lines[0], lines[1:], path.name)


def to_number(cell: object) -> float | None:
    """Return a cell's number, NaN where nothing was measured; None where it is neither."""
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        return _read_number(cell.strip())
    # Booleans are integers to Python.
    if isinstance(cell, bool) or not hasattr(cell, "__float__"):
        return None
    return float(cell)


def _read_number(text: str) -> float | None:
    if text.lower() in MISSING:
        return math.nan
    # Python also reads `1_0` and the digits of other scripts, which nobody writes as a score.
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None


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


def same_code(codes: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Return {code: the labels that it stands for} where these are several."""
    by_code: dict[str, list[str]] = {}
    for label, code in codes.items():
        if code is not None:
            by_code.setdefault(code, []).append(label)
    return {code: labels for code, labels in by_code.items() if len(labels) > 1}


def twice(labels: Sequence[str]) -> list[str]:
    """Return the labels that stand more than once, each once."""
    return [label for label, count in Counter(labels).items() if count > 1]


def listed(names: Sequence[str]) -> str:
    """Return names with commas: the first ones, and how many more there are."""
    shown = ", ".join(names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"
