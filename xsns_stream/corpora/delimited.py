"""Reader for delimited text files (`.csv` and `.tsv`).

A file is read in three steps: :func:`dialect_of` finds out how the file is written,
:func:`~xsns_stream.corpora.delimited_rows.read_rows` parses its rows, and :func:`read_table` converts each row to an
example.

In a `.csv`, quotation marks enclose fields. Quotation marks within a field are doubled, or escaped by a backslash if
the file cannot be read otherwise. A `.tsv` may be written with or without quoting. The wrong choice would change texts,
so the contents of the file decide: quoting is assumed if it explains every quotation mark of the file and there is
evidence for it. A single field such as `"yes," he said` shows that quotation marks are text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.corpora.columns import LABEL_COLUMNS, TEXT_COLUMNS, LanguageRows, find_columns
from xsns_stream.corpora.decoding import iter_lines, not_utf8_hint, open_bytes
from xsns_stream.corpora.delimited_rows import Row, not_a_table, read_rows
from xsns_stream.corpora.examples import AddNote, Unit, discard_note
from xsns_stream.errors import CorpusError
from xsns_stream.languages import code_or_none

#: Names in the header of a table.
_USUAL_NAMES: Final = frozenset((*TEXT_COLUMNS, *LABEL_COLUMNS))

# ------------------------------------------------------------------------------------------ units


def read_table(
    path: Path,
    column: str | None,
    labels: str | None,
    add_note: AddNote = discard_note,
    rows: LanguageRows | None = None,
) -> Iterator[Unit]:
    """Yield the rows of a delimited text file.

    Args:
        path: The file.
        column: The column that contains the text; None for a column with a usual name.
        labels: None, `auto`, or the column that contains the labels.
        add_note: Called with sentences about the reading of the file.
        rows: Selection of the rows of one language; None for all rows.

    Raises:
        CorpusError: The file is not UTF-8 or not a table, or a column does not exist or exists twice.
    """
    with closing(_table_rows(path, add_note, column)) as table:
        header = next(table, None)
        if header is None:
            return
        columns = find_columns(header, column, labels, path.name, add_note, rows)
        indices = [(name, header.index(name)) for name in columns.names]
        for fields in table:
            row = {name: fields[index] for name, index in indices}
            if columns.takes(row):
                yield columns.unit(row, path.name)


def table_header(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a `.csv` or `.tsv` file."""
    with closing(_table_rows(path)) as rows:
        return tuple(next(rows, ()))


def delimited_column(path: Path, names: Sequence[str]) -> list[str]:
    """Return the fields of the first column in `names` that the table has; an empty list if it has none of them."""
    with closing(_table_rows(path)) as rows:
        header = next(rows, [])
        column = next((header.index(name) for name in names if name in header), None)
        return [] if column is None else [row[column] for row in rows]


def _table_rows(
    path: Path, add_note: AddNote = discard_note, column: str | None = None
) -> Generator[list[str], None, None]:
    """Yield the header of a table and its rows, with the same number of fields; nothing for an empty file.

    A table without a header gets names for its columns; see :func:`_names_without_header`. Rows that repeat the header,
    as in files that were joined with `cat`, are left out.

    Raises:
        CorpusError: The file is not UTF-8, or not a table.
    """
    dialect = dialect_of(path)
    for note in dialect.notes(path.name):
        add_note(note)
    table = _TableRows(path.name)
    try:
        with open_bytes(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            rows = read_rows(text, path.name, dialect.separator, quoted=dialect.quoted, escaped=dialect.escaped)
            for row in islice(rows, 1 if dialect.has_sep_line else 0, None):
                if table.header is None and (names := _names_without_header(row.fields, column)):
                    add_note(f"{path.name} has no header: its columns are read as {', '.join(names)}.")
                    table.header = names
                    yield names
                fields = table.fields(row)
                if fields is not None:
                    yield fields
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path)) from error
    quoted_tsv = not dialect.usual and dialect.quoted and dialect.separator == "\t"
    for note in table.notes(mention_breaks=not quoted_tsv):
        add_note(note)


def _names_without_header(first: list[str], column: str | None) -> list[str]:
    """Return names for the columns of a table if its first row is not a header; an empty list if it is.

    The first row is not a header if `column` is the position of a column, counted from 1, and not a field of this row.
    The columns are then named by their positions, `1`, `2`, and so on.

    The first row is also not a header if it has at least two fields, the first of them is a number, such as the
    identifier of a sentence, and none is a usual name of a column. Two columns are then named `id` and `text`. If
    there are more columns and the second field is the code of a language, as in files of Tatoeba, the first three are
    named `id`, `language` and `text`, and the others by their positions.

    Args:
        first: The fields of the first row.
        column: The value of `--text-column`.
    """
    numbers = [str(number) for number in range(1, len(first) + 1)]
    if column in numbers and column not in first:
        return numbers
    if len(first) < 2 or not first[0].strip().isdecimal() or _USUAL_NAMES.intersection(first):
        return []
    if len(first) == 2:
        return ["id", "text"]
    return ["id", "language", "text", *numbers[3:]] if code_or_none(first[1].strip()) else numbers


class _TableRows:
    """The rows of a table, padded to the length of the header, with counts of unusual rows.

    Args:
        name: Name of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.header: list[str] | None = None
        self.rows = self.repeated = self.broken = self.first_broken = 0
        self._header_ends_with_cr = False

    def fields(self, row: Row) -> list[str] | None:
        """Return the fields of a row, padded to the length of the header; None for a row that repeats the header."""
        if self.header is None:
            self.header, self._header_ends_with_cr = row.fields, row.ends_with_cr
            return row.fields
        if row.fields == self.header:
            self.repeated += 1
            return None
        lacking = len(self.header) - len(row.fields)
        if lacking < 0 or (lacking and row.ends_with_cr and not self._header_ends_with_cr):
            raise self._wrong_length(row, len(self.header))
        self.rows += 1
        if row.raw:
            self.broken += 1
            self.first_broken = self.first_broken or row.line
        return row.fields + [""] * lacking

    def notes(self, *, mention_breaks: bool) -> Iterator[str]:
        """Yield sentences on rows that repeat the header and, if `mention_breaks`, on fields that contain line ends."""
        if self.repeated:
            rows = "1 row that repeats" if self.repeated == 1 else f"{self.repeated} rows that repeat"
            yield f"{rows} the header of {self.name} {'is' if self.repeated == 1 else 'are'} left out."
        if self.broken and mention_breaks:
            yield (
                f"{self.broken} of {self.rows} rows of {self.name} contain line ends between quotation marks, and are "
                f"one example each; the first begins in line {self.first_broken}."
            )

    def _wrong_length(self, row: Row, width: int) -> CorpusError:
        fields = f"{len(row.fields)} field{'s' if len(row.fields) > 1 else ''}, and the header has {width}"
        if len(row.fields) < width:
            return not_a_table(
                self.name,
                f"line {row.line} ends with a carriage return (CR) alone, unlike other lines, and has {fields}",
                "remove the carriage returns within fields.",
            )
        return not_a_table(
            self.name,
            f"line {row.line} has {fields}",
            "give each row as many fields as the header has: enclose a field that contains the separator in quotation "
            "marks, or write the texts to a .txt file.",
        )


# --------------------------------------------------------------------------------------- dialects

#: Largest number of lines of a quoted field; a quotation mark that is not closed within them is text.
_MAX_FIELD_LINES: Final = 1000
#: Pattern of a quoted field, or of a field without quotation marks.
_QUOTED_FIELD: Final = re.compile(r'"((?:[^"]|"")*)"(?=\t|\Z)|([^"\t]*)(?=\t|\Z)')
#: Pattern of the line that names the separator; Excel writes it above the header.
_SEP_LINE: Final = re.compile(r"sep=([,;\t])")
_TABS_WITHOUT_HEADER: Final = re.compile(r"\d+\t")
_BACKSLASHED: Final = '\\"'
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs"}


class Dialect(NamedTuple):
    r"""The dialect of a table.

    Attributes:
        separator: The character between fields.
        quoted: Whether fields may be enclosed in quotation marks.
        usual: Whether the dialect is usual for the suffix of the file.
        escaped: Whether a quotation mark within a quoted field is written as `\"`. If not, it is written as `""`.
        has_sep_line: Whether the first line names the separator, such as `sep=;`, and the header is the second line.
    """

    separator: str
    quoted: bool
    usual: bool
    escaped: bool = False
    has_sep_line: bool = False

    def notes(self, name: str) -> tuple[str, ...]:
        """Return a sentence if the dialect is unusual for the suffix; empty if it is usual."""
        if self.escaped:
            return (f"{name} is read as a table in which a backslash precedes each quotation mark within a field.",)
        if self.usual:
            return ()
        if self.separator in _SEPARATORS and ".csv" in name.lower():
            return (f"{name} is read as a table with {_SEPARATORS[self.separator]} between fields.",)
        return (f"{name} is read as a table with quotation marks around fields; the marks are not part of the text.",)


def dialect_of(path: Path) -> Dialect:
    """Return the dialect of a `.csv` or `.tsv` file, compressed or not.

    Raises:
        CorpusError: The file is not UTF-8 text.
        OSError: The file cannot be read.
    """
    stamp = path.stat()
    return _dialect(path, (stamp.st_mtime_ns, stamp.st_size))


@lru_cache(maxsize=1024)
def _dialect(path: Path, stamp: tuple[int, int]) -> Dialect:
    """Return the dialect of a file.

    The modification time and the size of the file (`stamp`) are part of the key of the cache. The dialect of a changed
    file is therefore determined again.
    """
    del stamp
    with closing(iter_lines(path)) as lines:
        text = (line.decode("utf-8", "replace")[:-1] for line in lines)
        header = next(text, "")
        # Tatoeba's sentences.csv has tabs and no header.
        if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]] or _TABS_WITHOUT_HEADER.match(header):
            quoted = _has_quoting(chain([header], text))
            return Dialect("\t", quoted, not quoted)
        sep_line = _SEP_LINE.fullmatch(header)
        separator = sep_line[1] if sep_line else next((each for each in (",", *_SEPARATORS) if each in header), ",")
        has_backslash = any(_BACKSLASHED in line for line in text)
    escaped = has_backslash and _is_escaped(path, separator)
    return Dialect(separator, True, separator == ",", escaped, bool(sep_line))


def _is_escaped(path: Path, separator: str) -> bool:
    """Return whether a table with this separator can be read only if a backslash may escape a quotation mark."""
    return not _can_be_read(path, separator, escaped=False) and _can_be_read(path, separator, escaped=True)


def _can_be_read(path: Path, separator: str, *, escaped: bool) -> bool:
    with closing(iter_lines(path)) as lines:
        text = (line.decode("utf-8", "replace") for line in lines)
        rows = read_rows(text, path.name, separator, escaped=escaped)
        try:
            width = len(next(rows).fields)
            return all(len(row.fields) <= width for row in rows)
        except CorpusError:
            return False


@dataclass
class _QuotingEvidence:
    """Evidence for and against quoting, from the fields of each column.

    Attributes:
        bare: Columns with fields that are not quoted.
        needless: Columns with quoted fields that do not need quoting.
        commas: Columns with quoted fields that need quoting only because of a comma.
        necessary: Whether a quoted field contains a tab, a line end or a doubled quotation mark.
        bare_comma: Whether a field without quotation marks contains a comma. If so, a comma does not require quoting,
            and the fields in `commas` are quoted needlessly.
    """

    bare: set[int] = field(default_factory=set)
    needless: set[int] = field(default_factory=set)
    commas: set[int] = field(default_factory=set)
    necessary: bool = False
    bare_comma: bool = False

    def add(self, fields: Iterable[tuple[str | None, str | None]]) -> None:
        """Add the fields of a row, each as a pair from :func:`_quoted_fields`."""
        for column, (inner, plain) in enumerate(fields):
            if plain:
                self.bare.add(column)
                self.bare_comma |= "," in plain
            elif inner:
                if '""' in inner or "\t" in inner or "\n" in inner:
                    self.necessary = True
                else:
                    (self.commas if "," in inner else self.needless).add(column)

    def shows_quoting(self) -> bool:
        """Return whether quoting is plausible: each column has quoted either all fields or only those that need it."""
        unexplained = self.needless | (self.commas if self.bare_comma else set())
        any_quoted = self.necessary or bool(self.needless or self.commas)
        return any_quoted and not unexplained & self.bare


def _has_quoting(text: Iterator[str]) -> bool:
    evidence = _QuotingEvidence()
    width = None
    for row in _joined_lines(text):
        fields = None if row is None else _quoted_fields(row)
        width = width or len(fields or ())
        # If quoting gives a row another number of fields than the header, the file was written without quoting.
        if fields is None or ('"' in (row or "") and len(fields) != width):
            return False
        evidence.add(fields)
    return evidence.shows_quoting()


def _joined_lines(text: Iterator[str]) -> Iterator[str | None]:
    """Yield rows, whose fields may contain line ends; yield None for a row whose quotation mark is never closed.

    `text` are the lines without their line ends.
    """
    for line in text:
        row = [line]
        quotes = line.count('"')
        while quotes % 2:
            following = next(text, None)
            if following is None or len(row) == _MAX_FIELD_LINES:
                yield None
                return
            row.append(following)
            quotes += following.count('"')
        yield "\n".join(row)


def _quoted_fields(row: str) -> list[tuple[str | None, str | None]] | None:
    """Return (text, None) for each quoted field of a row, and (None, text) for each field without quotation marks.

    Return None if the quotation marks of the row do not enclose whole fields.
    """
    if '"' not in row:
        return [(None, cell) for cell in row.split("\t")]
    fields: list[tuple[str | None, str | None]] = []
    at = 0
    while at <= len(row):
        match = _QUOTED_FIELD.match(row, at)
        if match is None:
            return None
        fields.append((match[1], match[2]))
        at = match.end() + 1
    return fields
