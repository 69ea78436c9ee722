"""Reader for delimited text files (`.csv` and `.tsv`)."""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from xsns_stream.corpora.columns import find_columns
from xsns_stream.corpora.decoding import lines, not_utf8_hint, open_bytes
from xsns_stream.corpora.examples import Tell, Unit, ignore
from xsns_stream.errors import CorpusError

#: A quoted field of more characters is taken for one that is never closed.
_LONGEST_FIELD: Final = 2**26
_QUOTING_HINT: Final = (
    "give each row as many fields as the header has: enclose a field that holds a separator, a line end or a quotation "
    'mark in quotation marks, and double those within it ("" for ").'
)
# Within quotation marks: anything else, doubled marks; with backslashes, what they escape too.
_DOUBLED: Final = re.compile(r'[^"]*(?:""[^"]*)*')
_ESCAPED: Final = re.compile(r'[^"\\]*(?:(?:\\.|"")[^"\\]*)*', re.DOTALL)
_ESCAPE: Final = re.compile(r'\\(["\\])|""')


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: The line in which it begins, counted from 1.
        fields: Its fields, without the quotation marks around them.
        raw: The row as it is written, where a field holds a line end; else empty.
        returned: Whether it ends with CR alone.
    """

    line: int
    fields: list[str]
    raw: str
    returned: bool

    def swallowed(self, separator: str) -> bool:
        """Say whether the lines of a row look like rows themselves: as many fields, and a whole number in a column.

        So they do where one quotation mark opens a field by mistake, and one further down closes it.
        """
        lines = [line.replace('"', "").split(separator) for line in self.raw.splitlines()]
        if not lines or len(self.fields) < 2 or any(len(line) != len(self.fields) for line in lines):
            return False
        return any(all(line[place].strip().isdigit() for line in lines) for place in range(len(self.fields)))


def not_a_table(name: str, reason: str, hint: str) -> CorpusError:
    """Return the error for a file whose rows cannot be told apart."""
    return CorpusError(f"{name} is not a table ({reason}).", hint)


def read_rows(
    lines: Iterable[str], name: str, separator: str, *, quoted: bool = True, escaped: bool = False
) -> Iterator[Row]:
    """Yield the rows of a table, its header first.

    Args:
        lines: The lines with their ends (LF, CRLF or CR).
        name: Of the file, for messages.
        separator: Between fields.
        quoted: Whether quotation marks may enclose a field, and are doubled within it.
        escaped: Whether a backslash before a quotation mark or another backslash says that it is text.

    Raises:
        CorpusError: A quotation mark is not closed, text follows a closing one, or a mark is within a field that is
            not quoted while other fields are.
    """
    reader = _RowParser(lines, name, separator, escaped=escaped)
    for line in reader.lines:
        reader.number += 1
        text = line.rstrip("\r\n")
        end = line[len(text) :]
        returned = end == "\r"
        text = text.removeprefix("\ufeff")
        if quoted and '"' in text:
            first = reader.number
            fields = reader.fields(text, end)
            row = Row(first, fields, reader.raw if reader.number > first else "", returned)
            if row.swallowed(separator):
                reader.refuse(
                    f"the quotation mark in line {first} is closed in line {reader.number}, rows further down"
                )
            yield row
        else:
            yield Row(reader.number, text.split(separator), "", returned)


class _RowParser:
    """The state of reading one table: the line that was read last, and where quotation marks were met."""

    def __init__(self, lines: Iterable[str], name: str, separator: str, *, escaped: bool) -> None:
        self.lines = iter(lines)
        self.name = name
        self.separator = separator
        self.escaped = escaped
        self.number = 0
        self.raw = ""
        self._inner = _ESCAPED if escaped else _DOUBLED
        self._quoted = self._bare = 0

    def fields(self, text: str, end: str) -> list[str]:
        """Return the fields of a row with quotation marks; further lines are read where a field goes on in them."""
        fields: list[str] = []
        at = 0
        while True:
            if text.startswith('"', at):
                value, text, end, at = self._enclosed(text, end, at + 1)
            else:
                stop = text.find(self.separator, at)
                stop = len(text) if stop < 0 else stop
                value, at = text[at:stop], stop
                if '"' in value:
                    self._bare = self._bare or self.number
            fields.append(value)
            if at >= len(text):
                break
            at += 1
        self.raw = text
        if self._bare and self._quoted:
            self.refuse(
                f"line {self._bare} has a quotation mark within a field that is not quoted, "
                f"and line {self._quoted} has quoted fields"
            )
        return fields

    def _enclosed(self, text: str, end: str, start: int) -> tuple[str, str, str, int]:
        """Return a quoted field, the row as far as it is read, the end of its last line, and the place after it."""
        first = self.number
        self._quoted = self._quoted or first
        stop = start
        while (stop := self._end_of_inner(text, stop)) >= len(text) or text[stop] != '"':
            line = next(self.lines, None)
            if line is None or len(text) - start > _LONGEST_FIELD:
                self.refuse(f"the quotation mark that opens a field in line {first} is never closed")
            self.number += 1
            following = line.rstrip("\r\n")
            text, end = text + end + following, line[len(following) :]
        inner = text[start:stop]
        value = _ESCAPE.sub(lambda m: m[1] or '"', inner) if self.escaped else inner.replace('""', '"')
        after = stop + 1
        while text.startswith(" ", after):
            after += 1
        if after < len(text) and text[after] != self.separator:
            self.refuse(f"in line {self.number} text follows a closing quotation mark: {text[stop : stop + 20]!r}")
        return value, text, end, after

    def _end_of_inner(self, text: str, start: int) -> int:
        match = self._inner.match(text, start)
        return match.end() if match else start

    def refuse(self, reason: str) -> NoReturn:
        """Refuse the table."""
        raise not_a_table(self.name, reason, _QUOTING_HINT)


#: A quoted field may hold line ends; a quotation mark that none closes within so many lines is text.
_MOST_LINES: Final = 1000
#: A quoted field, or one without quotation marks.
_QUOTED_FIELD: Final = re.compile(r'"((?:[^"]|"")*)"(?=\t|\Z)|([^"\t]*)(?=\t|\Z)')
#: What Excel writes above the header.
_SEP_LINE: Final = re.compile(r"sep=([,;\t])")
_BACKSLASHED: Final = '\\"'
_SEPARATORS: Final = {";": "semicolons", "\t": "tabs"}


class Dialect(NamedTuple):
    """How a table is written.

    Attributes:
        separator: Between fields.
        quoted: Whether quotation marks may enclose a field, and are doubled within it.
        usual: Whether a file of this suffix is usually written so.
        escaped: Whether a backslash stands before quotation marks that are text, instead of doubling them.
        said: Whether the first line says the separator, as `sep=;`, and the header is the second.
    """

    separator: str
    quoted: bool
    usual: bool
    escaped: bool = False
    said: bool = False

    def remarks(self, name: str) -> tuple[str, ...]:
        """Return a sentence where the dialect is not the usual one of the suffix."""
        if self.escaped:
            return (f"{name} is read as written with a backslash before each quotation mark within a field.",)
        if self.usual:
            return ()
        if self.separator in _SEPARATORS and ".csv" in name.lower():
            return (f"{name} is read as fields between {_SEPARATORS[self.separator]}.",)
        return (f"{name} is read as written with quotation marks around fields; they are not part of the text.",)


def dialect_of(path: Path) -> Dialect:
    """Return how a `.csv` or `.tsv` file, compressed or not, is written.

    Raises:
        CorpusError: It is no text in UTF-8.
        OSError: It cannot be read.
    """
    stamp = path.stat()
    return _dialect(path, (stamp.st_mtime_ns, stamp.st_size))


@lru_cache(maxsize=1024)
def _dialect(path: Path, stamp: tuple[int, int]) -> Dialect:
    """Return the dialect; found anew where the file's time or size (`stamp`) is another."""
    del stamp
    with closing(lines(path)) as found:
        text = (line.decode("utf-8", "replace")[:-1] for line in found)
        if ".tsv" in [suffix.lower() for suffix in path.suffixes[-2:]]:
            quoted = _has_quoting(text)
            return Dialect("\t", quoted, not quoted)
        header = next(text, "")
        said = _SEP_LINE.fullmatch(header)
        separator = said[1] if said else next((each for each in (",", *_SEPARATORS) if each in header), ",")
        doubtful = any(_BACKSLASHED in line for line in text)
    escaped = doubtful and _is_escaped(path, separator)
    return Dialect(separator, True, separator == ",", escaped, bool(said))


def _is_escaped(path: Path, separator: str) -> bool:
    """Say whether a table can be read with backslashes before quotation marks, and with doubled ones alone cannot."""
    return not _can_be_read(path, separator, escaped=False) and _can_be_read(path, separator, escaped=True)


def _can_be_read(path: Path, separator: str, *, escaped: bool) -> bool:
    with closing(lines(path)) as found:
        text = (line.decode("utf-8", "replace") for line in found)
        rows = read_rows(text, path.name, separator, escaped=escaped)
        try:
            width = len(next(rows).fields)
            return all(len(row.fields) <= width for row in rows)
        except CorpusError:
            return False


@dataclass
class _Evidence:
    """What the fields of the columns say, by column.

    Attributes:
        bare: Columns with fields that are not quoted.
        needless: Columns with quoted fields that nothing in them makes necessary.
        commas: Columns with quoted fields that hold a comma and nothing else of that kind.
        necessary: Whether a quoted field holds a tab, a line end or a doubled quotation mark.
        bare_comma: Whether a field that is not quoted holds a comma, so that none is quoted for its sake.
    """

    bare: set[int] = field(default_factory=set)
    needless: set[int] = field(default_factory=set)
    commas: set[int] = field(default_factory=set)
    necessary: bool = False
    bare_comma: bool = False

    def add(self, fields: Iterable[tuple[str | None, str | None]]) -> None:
        """Take in the fields of a row: what is within quotation marks, or what is not quoted."""
        for column, (inner, plain) in enumerate(fields):
            if plain:
                self.bare.add(column)
                self.bare_comma |= "," in plain
            elif inner:
                if '""' in inner or "\t" in inner or "\n" in inner:
                    self.necessary = True
                else:
                    (self.commas if "," in inner else self.needless).add(column)

    def says_quoting(self) -> bool:
        """Say whether quoting explains all quotation marks: of all fields of a column, or of those that need it."""
        unexplained = self.needless | (self.commas if self.bare_comma else set())
        found = self.necessary or bool(self.needless or self.commas)
        return found and not unexplained & self.bare


def _has_quoting(text: Iterator[str]) -> bool:
    evidence = _Evidence()
    width = None
    for row in _joined_lines(text):
        fields = None if row is None else _quoted_fields(row)
        width = width or len(fields or ())
        # A row that quoting makes shorter or longer than the header was not written with it.
        if fields is None or ('"' in (row or "") and len(fields) != width):
            return False
        evidence.add(fields)
    return evidence.says_quoting()


def _joined_lines(text: Iterator[str]) -> Iterator[str | None]:
    """Yield the rows, lines joined where a quotation mark is open; None where none closes it."""
    for line in text:
        open_lines = [line]
        quotes = line.count('"')
        while quotes % 2:
            following = next(text, None)
            if following is None or len(open_lines) == _MOST_LINES:
                yield None
                return
            open_lines.append(following)
            quotes += following.count('"')
        yield "\n".join(open_lines)


def _quoted_fields(row: str) -> list[tuple[str | None, str | None]] | None:
    """Return (within quotation marks, not quoted) of each field; None where quoting does not explain the row."""
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


def read_table(path: Path, column: str | None, labels: str | None, tell: Tell = ignore) -> Iterator[Unit]:
    """Yield the rows of a table of text, as :func:`~xsns_stream.corpora.dialects.dialect_of` says that it is written.

    See :func:`read_parquet`.
    """
    with closing(_table_rows(path, tell)) as rows:
        header = next(rows, None)
        if header is None:
            return
        chosen = find_columns(header, column, labels, path.name, tell)
        places = [(name, header.index(name)) for name in chosen.names]
        for row in rows:
            yield chosen.unit({name: row[place] for name, place in places}, path.name)


def _table_rows(path: Path, tell: Tell = ignore) -> Generator[list[str], None, None]:
    """Yield a table's header and its rows, each with as many fields as the header; nothing where it is empty.

    Rows that repeat the header, as files joined with `cat` have them, are left out. What had to be decided is told.

    Raises:
        CorpusError: It is not UTF-8, or not a table.
    """
    dialect = dialect_of(path)
    for remark in dialect.remarks(path.name):
        tell(remark)
    found = _TableRows(path.name)
    try:
        with open_bytes(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            rows = read_rows(text, path.name, dialect.separator, quoted=dialect.quoted, escaped=dialect.escaped)
            for row in islice(rows, 1 if dialect.said else 0, None):
                fields = found.fields(row)
                if fields is not None:
                    yield fields
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path.name)) from error
    for remark in found.remarks(breaks_are_known=not dialect.usual and dialect.quoted and dialect.separator == "\t"):
        tell(remark)


class _TableRows:
    """What was met in the rows of a table.

    Args:
        name: Of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.header: list[str] | None = None
        self.rows = self.repeated = self.broken = self.first_broken = 0
        self._returns = False

    def fields(self, row: Row) -> list[str] | None:
        """Return a row's fields, as many as the header has; None for one that repeats the header."""
        if self.header is None:
            self.header, self._returns = row.fields, row.returned
            return row.fields
        if row.fields == self.header:
            self.repeated += 1
            return None
        lacking = len(self.header) - len(row.fields)
        if lacking < 0 or (lacking and row.returned and not self._returns):
            raise self._misfit(row, len(self.header))
        self.rows += 1
        if row.raw:
            self.broken += 1
            self.first_broken = self.first_broken or row.line
        return row.fields + [""] * lacking

    def remarks(self, *, breaks_are_known: bool) -> Iterator[str]:
        """Yield sentences on rows that repeat the header, and on fields that hold line ends."""
        if self.repeated:
            rows = "1 row that repeats" if self.repeated == 1 else f"{self.repeated} rows that repeat"
            yield f"{rows} the header of {self.name} {'is' if self.repeated == 1 else 'are'} left out."
        if self.broken and not breaks_are_known:
            yield (
                f"{self.broken} of {self.rows} rows of {self.name} hold line ends between quotation marks, and are one "
                f"example each; the first begins in line {self.first_broken}."
            )

    def _misfit(self, row: Row, width: int) -> CorpusError:
        many = f"{len(row.fields)} field{'s' if len(row.fields) > 1 else ''}, and the header {width}"
        if len(row.fields) < width:
            reason = f"line {row.line} ends with a carriage return (CR) alone, other lines do not, and it has {many}"
            return not_a_table(self.name, reason, "the header says how many; remove carriage returns within fields.")
        hint = "give each row as many fields as the header has: enclose one that holds the separator in quotation marks"
        return not_a_table(self.name, f"line {row.line} has {many}", f"{hint}, or write the texts to a .txt file.")


def delimited_column(path: Path, names: Sequence[str]) -> list[str]:
    """Return the fields of the first column that has one of `names`; none where there is no such column."""
    with closing(_table_rows(path)) as rows:
        header = next(rows, [])
        column = next((header.index(name) for name in names if name in header), None)
        return [] if column is None else [row[column] for row in rows]
