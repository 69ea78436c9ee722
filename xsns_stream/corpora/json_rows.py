"""Rows of JSON: an object a line, or one array of objects."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora.decoding import decode, not_utf8_hint, open_bytes, whole_lines
from xsns_stream.corpora.examples import TEXT_COLUMNS, Malformed, Tell, Unit, ignore
from xsns_stream.corpora.labels import find_columns, say_choice
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

#: Bytes of a row, which cannot be cut as a line of text can.
_LONGEST_ROW: Final = 2**26
#: Share of the rows that may lack the column of the text.
_LACKING_SHARE: Final = 0.05
_OBJECT_A_LINE: Final = 'write one object a line, as {"text": "…"}.'


class JsonRow(dict[str, Any]):
    """An object of a file; empty for a blank line.

    Attributes:
        blank: Whether it stands for a blank line.
        repeated: The keys that it has more than once; JSON readers take the last value.
    """

    blank = False
    repeated: frozenset[str] = frozenset()


def read_jsonl(path: Path, column: str | None, labels: str | None, tell: Tell = ignore) -> Iterator[Unit]:
    """Yield the rows of a JSONL file. A row without the column of the text is malformed.

    Args:
        path: The file.
        column: The column that holds the text; None looks for a usual one.
        labels: None, `auto`, or the column that holds the labels.
        tell: Takes sentences on how the file is read.

    Raises:
        CorpusError: A row is no JSON, there is no such column, a row has it twice, or more than one row in twenty does
            not have it. The last is known at the end of the file.
    """
    columns = _columns(path, column, labels)
    if not columns:
        # Nothing but blank and undecodable lines: the counts say so better than a missing column would.
        yield from (None if row is None else TextExample("") for row in json_rows(path))
        return
    chosen = find_columns(columns, column, labels, path.name)
    read = lacking = 0
    met: dict[str, None] = {}
    for number, row in enumerate(json_rows(path), 1):
        read += row is None or not row.blank
        if row is None or row.blank:
            yield None if row is None else TextExample("")
            continue
        if twice := row.repeated.intersection(chosen.names):
            raise CorpusError(f"row {number} of {path.name} has the key '{min(twice)}' twice.", "give it once.")
        met |= dict.fromkeys(name for name in TEXT_COLUMNS if name in row)
        if chosen.text in row:
            yield chosen.unit(row, path.name)
        else:
            lacking += 1
            yield Malformed(f"it has no column '{chosen.text}'")
    if column is None and not chosen.pair:
        say_choice(chosen.text, met, path.name, tell)
    _check_lacking(lacking, read, chosen.text, path.name, tell)


def _check_lacking(lacking: int, read: int, column: str, name: str, tell: Tell) -> None:
    if not lacking:
        return
    said = f"{lacking} of {read} rows of {name} have no column '{column}'"
    if lacking > _LACKING_SHARE * read:
        raise CorpusError(f"{said}.", "write the text of each row under the same key, or choose one: --text-column.")
    tell(f"{said}, and are counted as malformed.")


def _columns(path: Path, column: str | None, labels: str | None) -> tuple[str, ...]:
    """Return the names of the columns: those of the first rows, where these decide, else of all rows."""
    decisive = column or TEXT_COLUMNS[0]
    found: dict[str, None] = {}
    with closing(json_rows(path)) as rows:
        for row in rows:
            found |= dict.fromkeys(row or ())
            if labels is None and decisive in found:
                break
    return tuple(found)


def json_rows(path: Path) -> Generator[JsonRow | None, None, None]:
    """Yield the objects of a file; a blank one for a blank line, None for a line that is not UTF-8.

    Raises:
        CorpusError: A line is no object of JSON, and the file no array of objects.
    """
    if _is_array(path):
        yield from _array(path)
        return
    for number, line in enumerate(whole_lines(path, _LONGEST_ROW), 1):
        text = decode(line)
        if text is None:
            yield None
        elif text.strip():
            yield _object(text, f"line {number} of {path.name}", path)
        else:
            yield _blank()


def _blank() -> JsonRow:
    row = JsonRow()
    row.blank = True
    return row


def _is_array(path: Path) -> bool:
    with closing(whole_lines(path, _LONGEST_ROW)) as lines:
        first = next((line for line in lines if line.strip()), b"")
    start = first.lstrip()
    return start.startswith(b"[") and (start.rstrip() == b"[" or start[1:].lstrip().startswith((b"{", b"]")))


def _array(path: Path) -> Iterator[JsonRow]:
    with open_bytes(path) as stream:
        data = stream.read()
    try:
        rows = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_row)
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path.name)) from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path.name} is not a whole array of JSON ({error}).", _OBJECT_A_LINE) from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, JsonRow):
            raise CorpusError(f"element {number} of the array in {path.name} is not an object.", _OBJECT_A_LINE)
        yield row


def _object(text: str, where: str, path: Path) -> JsonRow:
    try:
        row = json.loads(text, object_pairs_hook=_row)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{where} is not JSON ({_reason(error, path)}).", _OBJECT_A_LINE) from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", _OBJECT_A_LINE) from error
    if not isinstance(row, JsonRow):
        raise CorpusError(f"{where} is JSON, but not an object.", _OBJECT_A_LINE)
    return row


def _reason(error: json.JSONDecodeError, path: Path) -> str:
    """Return what is wrong with a line, in words where the file is JSON of another form."""
    if error.msg == "Extra data":
        return "it holds more than one value"
    with open_bytes(path) as stream:
        beginning = stream.read(_LONGEST_ROW)
    try:
        json.loads(beginning)
    except ValueError:
        return str(error)
    return "the file is one object over several lines"


def _row(pairs: list[tuple[str, Any]]) -> JsonRow:
    row = JsonRow(pairs)
    if len(row) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        row.repeated = frozenset(key for key, number in counted.items() if number > 1)
    return row
