"""Rows of a table of text: fields between separators, quotation marks around fields, line ends within them.

Quotation marks are read strictly. A mark that opens a field closes right before a separator or a line end; a file that
quotes fields has no marks within other fields. Otherwise one stray mark would make one text of many rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, NoReturn

from xsns_stream.errors import CorpusError

#: A quoted field of more characters is taken for one that is never closed.
_LONGEST_FIELD: Final = 2**26
_HINT: Final = (
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
    reader = _Reader(lines, name, separator, escaped=escaped)
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


class _Reader:
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
        raise not_a_table(self.name, reason, _HINT)
