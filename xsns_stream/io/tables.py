"""Tables of text with languages as labels: text files, and codes of labels.

An error names the cells that cannot be read. Only empty lines are skipped. The separator of the fields and the encoding
of the text are detected from unambiguous marks, and recorded in the notes of the table.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
