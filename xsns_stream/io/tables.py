"""Tables in text files whose labels are languages, and the language codes of such labels.

Errors name the cells that cannot be read. Only empty lines are skipped. The separator of the fields and the encoding
of the text are detected from unambiguous marks, and recorded in the notes of the table.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.escaping import visible
from xsns_stream.io.markup import is_latex, is_markdown, latex_rows, latex_tables, markdown_rows, markdown_tables
from xsns_stream.io.placeholders import placeholder
from xsns_stream.io.table_orientation import name_of_lines
from xsns_stream.languages import code_or_none, normalise

#: Suffix → separator of the fields.
SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
#: Other separators that spreadsheets write in .csv files → their names.
_OTHER_SEPARATORS: Final = {"|": "vertical bars", ";": "semicolons", "\t": "tabs"}
_ENCODINGS: Final = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: "utf-8-sig"}
#: Suffixes of files in which a table is looked for: Markdown, LaTeX, and fields between tabs or spaces.
MARKED_UP: Final = (".md", ".markdown", ".tex", ".txt")
#: Suffixes of frames, which pandas writes.
FRAMES: Final = (".parquet", ".jsonl")
#: Suffixes of workbooks, and the first bytes of such files: of a ZIP archive, and of a compound file.
WORKBOOKS: Final = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
_WORKBOOK_MARKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SAVE_AS_CSV: Final = (
    "save the sheet as CSV: in Excel `Save As`, `CSV UTF-8`; in LibreOffice `Save As`, `Text CSV`; in Google Sheets "
    "`Download`, `Comma-separated values`."
)
_SAVE_AS_UTF8: Final = "save it as UTF-8 text; in Excel choose `Save As`, `CSV UTF-8`."
# Characters that are not visible: within a field, and at its ends. Joiners stay within words, because Persian has them.
_INVISIBLE: Final = re.compile("[\u00ad\u200b\u2060\ufeff]|^[\\s\u200c-\u200f]+|[\\s\u200c-\u200f]+$")
# If a text has several adjacent spaces within a line, these separate fields, because names of languages may contain
# single spaces.
_SPACES: Final = re.compile(r"(?<=\S)\s{2,}(?=\S)")
_SPACE: Final = re.compile(r"\s+")
# Minimum share of the lines that have equally many separators. The other lines may be footnotes.
_NEARLY_ALL: Final = 0.8
# Minimum number of lines of a table: a header and one line below it.
_FEWEST_LINES: Final = 2

# ------------------------------------------------------------------------------------- text files


@dataclass(frozen=True)
class TextTable:
    """The contents of a table of text.

    Attributes:
        header: The fields of the first line.
        lines: The fields of the other non-empty lines; each line has the same number of fields as the header.
        name: Name of the file, for messages.
        notes: Sentences about how the file was read, such as its encoding.
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
                f"its columns are {column_list(self.header)}.",
            )
        index = self.header.index(name)
        return [line[index] for line in self.lines]


@dataclass(frozen=True)
class TextRows:
    """The rows of a table in a text file, before the header is identified.

    Attributes:
        rows: (line number, fields) for each line, counted from 1; lines without any text are left out.
        name: Name of the file, for messages.
        notes: Sentences on how the file was read.
        separator: The separator of the fields; empty for Markdown, LaTeX and spaces.
    """

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    name: str
    notes: tuple[str, ...] = ()
    separator: str = ""


def read_table(path: Path) -> TextTable:
    """Read a CSV or TSV file, depending on its suffix.

    The separator of a .csv file is the semicolon or the tab if its first line contains one of these and no comma. The
    encoding is UTF-8, or UTF-16 if the file begins with the byte order mark of UTF-16, as spreadsheets write it. A
    title above the header and empty columns are left out.

    Raises:
        UsageError: The suffix is neither `.csv` nor `.tsv`.
        XsnsError: The file cannot be read, is empty or has a single column, or a line has more fields than the first.
    """
    return as_table(_without_margins(read_rows(path, tuple(SEPARATORS))), path)


_NUMBER: Final = re.compile(r"[-+]?[.,]?\d")


def _without_margins(rows: TextRows) -> TextRows:
    """Return rows without columns in which all fields are empty, and without titles above the header.

    A title is the only non-empty field of its line, and is the first field. A header with a single name is not a title,
    because it has an empty field before the name.
    """
    width = max((len(fields) for _, fields in rows.rows), default=0)
    used = [
        column for column in range(width) if any(column < len(fields) and fields[column] for _, fields in rows.rows)
    ]
    # The first column of a table with an empty corner is used by the labels of the lines.
    lines = [(number, tuple(fields[column] for column in used if column < len(fields))) for number, fields in rows.rows]
    titles = 0
    while titles + 1 < len(lines) and len(used) > 1 and not any(lines[titles][1][1:]):
        titles += 1
    if not lines or not any(lines[titles][1][1:]) or any(map(_NUMBER.match, lines[titles][1][1:])):
        # The first lines are not titles, because the line below them is not a header.
        titles = 0
    shown = [f"line {number} ('{visible(fields[0])}')" for number, fields in lines[:titles]]
    notes = (f"these lines are above the header and were not read: {listed(shown)}.",) if shown else ()
    return replace(rows, rows=tuple(lines[titles:]), notes=(*rows.notes, *notes))


def read_rows(path: Path, suffixes: Sequence[str] = (*SEPARATORS, *MARKED_UP, *FRAMES)) -> TextRows:
    """Read the rows of the table in a file: CSV, TSV, Markdown, LaTeX, plain text, Parquet or JSON Lines.

    Rows may have different numbers of fields.

    Args:
        path: The file.
        suffixes: The accepted suffixes.

    Raises:
        UsageError: The file has another suffix.
        XsnsError: The file cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in WORKBOOKS:
        raise UsageError(f"'{path}' is a workbook of a spreadsheet program, not a table of text.", _SAVE_AS_CSV)
    if suffix not in suffixes:
        raise UsageError(f"'{path}' is not a table of text.", f"give a file that ends in {' or '.join(SEPARATORS)}.")
    if suffix in FRAMES:
        return _frame_rows(path)
    text, notes = _decoded(path)
    if suffix in MARKED_UP and is_markdown(text):
        rows, separator = markdown_rows(text), ""
        notes = (*notes, f"'{path.name}' was read as {_which_table(len(markdown_tables(text)), 'Markdown')}.")
    elif suffix in MARKED_UP and is_latex(text):
        rows, separator = latex_rows(text), ""
        notes = (*notes, f"'{path.name}' was read as {_which_table(latex_tables(text), 'LaTeX')}.")
    else:
        rows, separator, more = _separated_rows(text, path)
        notes = (*notes, *more)
    cleaned = [(number, tuple(map(_visible_text, row))) for number, row in rows]
    return TextRows(tuple((number, row) for number, row in cleaned if any(row)), path.name, notes, separator)


def _frame_rows(path: Path) -> TextRows:
    """Return the rows of a Parquet file or of a JSON Lines file.

    Raises:
        XsnsError: The file cannot be read.
    """
    import pandas as pd

    try:
        frame = (
            pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_json(path, lines=True, dtype=False)
        )
    except OSError as error:
        raise unreadable(path, error) from None
    except ValueError as error:
        # Errors of pyarrow are also a ValueError.
        raise XsnsError(
            f"'{path}' cannot be read as a table: {str(error).splitlines()[0]}.", "write it again."
        ) from None
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    cells = frame.astype(object).where(frame.notna(), "")
    lines = [tuple(map(str, line)) for line in cells.itertuples(index=False, name=None)]
    return TextRows(tuple(enumerate((tuple(map(str, frame.columns)), *lines), 1)), path.name)


def _which_table(tables: int, kind: str) -> str:
    return f"the first of {tables} {kind} tables" if tables > 1 else f"a {kind} table"


def _visible_text(field: str) -> str:
    """Return a field without leading and trailing white space and without invisible characters."""
    # A character that is left out within the field may have separated white space from the end.
    return _INVISIBLE.sub("", field).strip() if not field.isascii() else field.strip()


def as_table(rows: TextRows, path: Path | None = None) -> TextTable:
    """Return rows as a table whose header is the first row.

    Args:
        rows: The rows.
        path: The file, for messages.

    Raises:
        XsnsError: There is no line below the header, or a single column, or a line has more fields than the header.
    """
    name = f"'{path or rows.name}'"
    if len(rows.rows) < _FEWEST_LINES:
        raise XsnsError(f"{name} is empty.", "write a header and at least one line below it.")
    rows = _with_name_of_lines(_with_corner(rows))
    first, header = rows.rows[0]
    width = len(header)
    if width == 1:
        signs = {",": "commas", "\t": "tabs", ";": "semicolons"}.get(rows.separator, "tabs")
        raise XsnsError(f"{name} has a single column.", f"separate the fields of the file by {signs}.")
    for number, row in rows.rows:
        if len(row) > width:
            which = "the first has" if first == 1 else f"the header, line {first}, has"
            raise XsnsError(
                f"line {number} of {name} has {len(row)} fields, but {which} {width}.",
                'put a field that contains the separator in quotes, as "55,2", or write a header for every column.',
            )
    lines = tuple(row + ("",) * (width - len(row)) for _, row in rows.rows)
    return TextTable(lines[0], lines[1:], rows.name, rows.notes)


def _with_corner(rows: TextRows) -> TextRows:
    """Return rows with an empty first field added to the header, if the header has no field above the row names.

    `write.table` in R writes such tables: every line begins with a row name, which is a language or a running number,
    and the header has one field less than the lines. In other tables, an additional field in a line is a mistake, such
    as a decimal comma without quotes.
    """
    (first, header), *others = rows.rows
    names = [row[0] for _, row in others]
    longer = all(len(row) == len(header) + 1 and row[-1] for _, row in others)
    numbered = names == [str(number) for number in range(1, len(names) + 1)]
    if not longer or not (numbered or (code_or_none(header[0]) and all(map(code_or_none, names)))):
        return rows
    note = (
        f"the header of '{rows.name}' has one field less than the lines, as in tables that R writes: the first field "
        "of a line is read as its name."
    )
    return replace(rows, rows=((first, ("", *header)), *others), notes=(*rows.notes, note))


def _with_name_of_lines(rows: TextRows) -> TextRows:
    """Move the name of the row index into the header, if it is on a row of its own below the header."""
    (first, header), *others = rows.rows
    name = name_of_lines([row for _, row in others[:1]])
    if not name or len(others) < _FEWEST_LINES:
        return rows
    return replace(rows, rows=((first, (name, *header[1:])), *others[1:]))


def _separated_rows(text: str, path: Path) -> tuple[list[tuple[int, list[str]]], str, tuple[str, ...]]:
    """Split a text into rows of fields; return [(line number, fields)], the separator (empty for spaces), and notes."""
    usual = SEPARATORS.get(path.suffix.lower(), "\t")
    separator, text = _separator(text, usual)
    if usual == "\t" and separator not in text:
        spaces = _SPACES if any(map(_SPACES.search, text.splitlines())) else _SPACE
        if '"' in text:
            # R encloses names in quotation marks, and they may contain spaces.
            rows = list(enumerate(csv.reader(io.StringIO(text), delimiter=" ", skipinitialspace=True), 1))
        else:
            rows = [(number, spaces.split(line.strip())) for number, line in enumerate(text.splitlines(), 1)]
        return rows, "", (f"the fields of '{path.name}' are separated by spaces.",)
    notes: tuple[str, ...] = ()
    if separator != SEPARATORS.get(path.suffix.lower()):
        notes = (f"the fields of '{path.name}' are separated by {_OTHER_SEPARATORS.get(separator, 'commas')}.",)
    try:
        return list(enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1)), separator, notes
    except csv.Error as error:
        raise XsnsError(f"'{path}' cannot be read as a table: {error}.", "save it as UTF-8 text.") from None


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the text of a file, and a note if its encoding is not UTF-8.

    Raises:
        XsnsError: The file cannot be read, or is neither UTF-8 nor marked as UTF-16.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    if data.startswith(_WORKBOOK_MARKS):
        raise XsnsError(f"'{path}' is a workbook of a spreadsheet program, or another archive.", _SAVE_AS_CSV)
    if found := placeholder(data):
        raise XsnsError(f"'{path}' is {found.kind}, not the file itself.", found.hint)
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in data:
        raise XsnsError(
            f"'{path}' contains NUL characters. The file may be UTF-16 without a byte order mark.", _SAVE_AS_UTF8
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise XsnsError(f"'{path}' cannot be read as a table: {error}.", _SAVE_AS_UTF8) from None
    return text, (f"'{path.name}' was read as UTF-16.",) if encoding == "utf-16" else ()


def _separator(text: str, usual: str) -> tuple[str, str]:
    """Return the separator of the fields, and the text without a first line such as `sep=;`.

    `usual` is the separator that is usual for the suffix of the file. It is returned if the text shows no other
    separator.
    """
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == len("sep=;"):
        return first.strip()[-1], rest
    lines = [line for line in text.splitlines() if line.strip()]
    head = lines[0] if lines else ""
    others = [sign for sign in (",", *_OTHER_SEPARATORS) if sign != usual]
    if usual not in head and (sign := next((sign for sign in reversed(others) if sign in head), None)):
        return sign, text
    # A title above the table may contain commas, or no separator at all.
    regular = [sign for sign in others if sign not in head and _is_regular(lines[1:], sign)]
    if regular and not _is_regular(lines[1:], usual):
        return regular[0], text
    # Decimal commas are nearly as regular as the separator, and a spreadsheet also writes the separator beside a title.
    below = [sign for sign in others if _is_in_all(lines[1:], sign)]
    everywhere = [sign for sign in below if sign not in head or _is_in_all(lines, sign)]
    return (everywhere[0] if everywhere and not _is_in_all(lines[1:], usual) else usual), text


def _is_in_all(lines: Sequence[str], sign: str) -> bool:
    """Return whether there are at least two lines, all of which contain `sign` equally often (at least once)."""
    counts = {line.count(sign) for line in lines}
    return len(lines) > 1 and len(counts) == 1 and 0 not in counts


def _is_regular(lines: Sequence[str], sign: str) -> bool:
    """Return whether nearly all lines, and at least two, contain the separator `sign` equally often, at least once."""
    counts = Counter(line.count(sign) for line in lines)
    most, share = counts.most_common(1)[0] if counts else (0, 0)
    return most > 0 and share > 1 and share >= _NEARLY_ALL * len(lines)


# ----------------------------------------------------------------------------------------- labels


def to_codes(labels: Iterable[str], rename: Mapping[str, str] | None = None) -> dict[str, str | None]:
    """Return {label: its normalised language code}; the value is None if the label is not a language code.

    Args:
        labels: The labels of a file.
        rename: {label: its new name}; new names are normalised like labels.

    Raises:
        LanguageError: A new name is not a language code.
    """
    renamed = {label: normalise(code) for label, code in (rename or {}).items()}
    return {label: renamed.get(label) or code_or_none(label) for label in dict.fromkeys(labels)}


def labels_by_shared_code(codes: Mapping[str, str | None]) -> dict[str, list[str]]:
    """Return {code: its labels} for codes with several labels; `codes` is {label: its code, or None}."""
    by_code: dict[str, list[str]] = {}
    for label, code in codes.items():
        if code is not None:
            by_code.setdefault(code, []).append(label)
    return {code: labels for code, labels in by_code.items() if len(labels) > 1}


def codes_with_several_labels(labels: Iterable[str]) -> dict[str, list[str]]:
    """Return {code: its labels} for languages with several labels; `aka_Latn` and `twi_Latn` are one language.

    Labels that are not codes, such as names of languages, are left out.
    """
    return labels_by_shared_code({label: code_or_none(label) for label in labels})


def column_list(header: Sequence[str], *, complete: bool = False) -> str:
    """Return the names of columns as text for a message; columns without a name are counted at the end of the text.

    Args:
        header: The names.
        complete: Whether to list up to a thousand names instead of only the first few.

    >>> column_list(["source", "", ""])
    'source, 2 columns without a name'
    """
    names = [name for name in header if name.strip()]
    empty = len(header) - len(names)
    unnamed = [f"{empty} column{'s' if empty > 1 else ''} without a name"] if empty else []
    return (all_listed if complete else listed)([*names, *unnamed]) or "none"


def duplicates(labels: Sequence[str]) -> list[str]:
    """Return the labels that occur more than once, without repetition."""
    return [label for label, count in Counter(labels).items() if count > 1]


# Largest number of names that a message lists; the message also gives the number of the remaining names.
_LISTED: Final = 12
# Largest number of names in messages that should list all names.
_ALL: Final = 1000


def listed(names: Sequence[str], most: int = _LISTED) -> str:
    """Join the first `most` names with commas, followed by the number of the remaining names if there are any."""
    shown = ", ".join(map(visible, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def all_listed(names: Sequence[str]) -> str:
    """Join up to a thousand names with commas; see :func:`listed`."""
    return listed(names, _ALL)
