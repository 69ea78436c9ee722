"""How a table of text is written: what separates its fields, and whether quotation marks enclose them.

A `.csv` encloses fields in quotation marks; those within are doubled, or escaped by a backslash where the file can be
read in no other way. For a `.tsv` both ways are common, and the wrong one changes texts: the
file decides. It has quoting where each quotation mark is explained by quoting, and there is evidence for it; one
field such as `"yes," he said` shows that quotation marks are text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.corpora.decoding import lines
from xsns_stream.corpora.rows import read_rows
from xsns_stream.errors import CorpusError

#: A quoted field may hold line ends; a quotation mark that none closes within so many lines is text.
_MOST_LINES: Final = 1000
#: A quoted field, or one without quotation marks.
_FIELD: Final = re.compile(r'"((?:[^"]|"")*)"(?=\t|\Z)|([^"\t]*)(?=\t|\Z)')
#: What Excel writes above the header.
_SAID: Final = re.compile(r"sep=([,;\t])")
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
        said = _SAID.fullmatch(header)
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
    for row in _rows(text):
        fields = None if row is None else _fields(row)
        width = width or len(fields or ())
        # A row that quoting makes shorter or longer than the header was not written with it.
        if fields is None or ('"' in (row or "") and len(fields) != width):
            return False
        evidence.add(fields)
    return evidence.says_quoting()


def _rows(text: Iterator[str]) -> Iterator[str | None]:
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


def _fields(row: str) -> list[tuple[str | None, str | None]] | None:
    """Return (within quotation marks, not quoted) of each field; None where quoting does not explain the row."""
    if '"' not in row:
        return [(None, cell) for cell in row.split("\t")]
    fields: list[tuple[str | None, str | None]] = []
    at = 0
    while at <= len(row):
        match = _FIELD.match(row, at)
        if match is None:
            return None
        fields.append((match[1], match[2]))
        at = match.end() + 1
    return fields
