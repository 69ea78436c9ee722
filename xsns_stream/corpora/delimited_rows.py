"""Parser for the rows of a delimited text file, with or without quotation marks around fields.

Quotation marks are read strictly. The mark that closes a field must be directly before a separator or a line end. If a
file has quoted fields, its other fields must not contain quotation marks. With less strict rules, a single stray mark
would join many rows into one text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, NoReturn

from xsns_stream.errors import CorpusError

#: Largest number of characters of a quoted field; a longer field is treated as not closed.
_MAX_FIELD_LENGTH: Final = 2**26
_QUOTING_HINT: Final = (
    "give each row as many fields as the header has: enclose a field that contains a separator, a line end or a "
    'quotation mark in quotation marks, and double those within it ("" for ").'
)
# Patterns of text within quotation marks: other characters and doubled marks, or escaped characters.
_DOUBLED: Final = re.compile(r'[^"]*(?:""[^"]*)*')
_ESCAPED: Final = re.compile(r'[^"\\]*(?:(?:\\.|"")[^"\\]*)*', re.DOTALL)
_ESCAPE: Final = re.compile(r'\\(["\\])|""')


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: Number of the line in which the row begins, counted from 1.
        fields: The fields, without the quotation marks around them.
        raw: The text of the row in the file, if a field contains a line end; empty otherwise.
        ends_with_cr: Whether the row ends with CR without LF.
    """

    line: int
    fields: list[str]
    raw: str
    ends_with_cr: bool

    def looks_like_several_rows(self, separator: str) -> bool:
        """Return whether each line of the row has the fields of a whole row, and one column is an integer in all lines.

        Such rows arise if a stray quotation mark opens a field and another one below closes it.
        """
        lines = [line.replace('"', "").split(separator) for line in self.raw.splitlines()]
        if not lines or len(self.fields) < 2 or any(len(line) != len(self.fields) for line in lines):
            return False
        return any(all(line[column].strip().isdigit() for line in lines) for column in range(len(self.fields)))


def read_rows(
    lines: Iterable[str], name: str, separator: str, *, quoted: bool = True, escaped: bool = False
) -> Iterator[Row]:
    r"""Yield the rows of a table, with its header as the first row.

    Args:
        lines: The lines with their ends (LF, CRLF or CR).
        name: Name of the file, for messages.
        separator: The character between fields.
        quoted: Whether fields may be enclosed in quotation marks.
        escaped: Whether a quotation mark within a quoted field is written as `\"`, and a backslash as `\\`. If not, a
            quotation mark is written as `""`.

    Raises:
        CorpusError: A quotation mark is not closed; text follows a closing mark; or a mark is within a field that is
            not quoted, while other fields are.
    """
    parser = _RowParser(lines, name, separator, escaped=escaped)
    for line in parser.lines:
        parser.number += 1
        text = line.rstrip("\r\n")
        end = line[len(text) :]
        ends_with_cr = end == "\r"
        text = text.removeprefix("\ufeff")
        if quoted and '"' in text:
            first = parser.number
            fields = parser.fields(text, end)
            row = Row(first, fields, parser.raw if parser.number > first else "", ends_with_cr)
            if row.looks_like_several_rows(separator):
                parser.refuse(
                    f"the quotation mark in line {first} is closed in line {parser.number}, several rows later"
                )
            yield row
        else:
            yield Row(parser.number, text.split(separator), "", ends_with_cr)


class _RowParser:
    """Parser of the rows of one table; it records the number of the last line and the lines with quotation marks."""

    def __init__(self, lines: Iterable[str], name: str, separator: str, *, escaped: bool) -> None:
        self.lines = iter(lines)
        self.name = name
        self.separator = separator
        self.escaped = escaped
        self.number = 0
        self.raw = ""
        self._inner = _ESCAPED if escaped else _DOUBLED
        self._quoted_line = self._bare_line = 0

    def fields(self, text: str, end: str) -> list[str]:
        """Return the fields of a row with quotation marks. A field may continue on the next lines, which are read here.

        Args:
            text: The first line of the row, without its line end.
            end: The line end.
        """
        fields: list[str] = []
        at = 0
        while True:
            if text.startswith('"', at):
                value, text, end, at = self._quoted_field(text, end, at + 1)
            else:
                stop = text.find(self.separator, at)
                stop = len(text) if stop < 0 else stop
                value, at = text[at:stop], stop
                if '"' in value:
                    self._bare_line = self._bare_line or self.number
            fields.append(value)
            if at >= len(text):
                break
            at += 1
        self.raw = text
        if self._bare_line and self._quoted_line:
            self.refuse(
                f"line {self._bare_line} has a quotation mark within a field that is not quoted, "
                f"and line {self._quoted_line} has quoted fields"
            )
        return fields

    def _quoted_field(self, text: str, end: str, start: int) -> tuple[str, str, str, int]:
        """Read a quoted field of a row, and further lines if the field continues there.

        Args:
            text: The lines of the row that were read so far, without the last line end.
            end: The last line end.
            start: Index in `text` after the opening quotation mark.

        Returns:
            The field; `text` and `end` after the further lines were added; and the index in `text` after the field.
        """
        first = self.number
        self._quoted_line = self._quoted_line or first
        stop = start
        while (stop := self._end_of_inner(text, stop)) >= len(text) or text[stop] != '"':
            line = next(self.lines, None)
            if line is None or len(text) - start > _MAX_FIELD_LENGTH:
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
            self.refuse(f"in line {self.number}, text follows a closing quotation mark: {text[stop : stop + 20]!r}")
        return value, text, end, after

    def _end_of_inner(self, text: str, start: int) -> int:
        match = self._inner.match(text, start)
        return match.end() if match else start

    def refuse(self, reason: str) -> NoReturn:
        """Raise the error that the file is not a table, for the given reason."""
        raise not_a_table(self.name, reason, _QUOTING_HINT)


def not_a_table(name: str, reason: str, hint: str) -> CorpusError:
    """Return the error for a file that is not a table, with the reason in the message."""
    return CorpusError(f"{name} is not a table ({reason}).", hint)
