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
        breaks: Whether a field holds a line end.
        returned: Whether it ends with CR alone.
    """

    line: int
    fields: list[str]
    breaks: bool
    returned: bool


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
            yield Row(first, fields, reader.number > first, returned)
        else:
            yield Row(reader.number, text.split(separator), False, returned)


class _Reader:
    """The state of reading one table: the line that was read last, and where quotation marks were met."""

    def __init__(self, lines: Iterable[str], name: str, separator: str, *, escaped: bool) -> None:
        self.lines = iter(lines)
        self.name = name
        self.separator = separator
        self.escaped = escaped
        self.number = 0
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
        if self._bare and self._quoted:
            self._refuse(
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
                self._refuse(f"the quotation mark that opens a field in line {first} is never closed")
            self.number += 1
            following = line.rstrip("\r\n")
            text, end = text + end + following, line[len(following) :]
        inner = text[start:stop]
        value = _ESCAPE.sub(lambda m: m[1] or '"', inner) if self.escaped else inner.replace('""', '"')
        after = stop + 1
        while text.startswith(" ", after):
            after += 1
        if after < len(text) and text[after] != self.separator:
            self._refuse(f"in line {self.number} text follows a closing quotation mark: {text[stop : stop + 20]!r}")
        return value, text, end, after

    def _end_of_inner(self, text: str, start: int) -> int:
        match = self._inner.match(text, start)
        return match.end() if match else start

    def _refuse(self, reason: str) -> NoReturn:
        raise not_a_table(self.name, reason, _HINT)
