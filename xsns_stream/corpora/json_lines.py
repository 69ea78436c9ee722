"""Reader for JSON: one object on each line, an array of objects, or one document with such an array.

A `.jsonl` file has one object on each line. A `.json` file may have any of these layouts; its contents decide.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora.columns import (
    TEXT_COLUMNS,
    LanguageRows,
    cell,
    find_columns,
    has_cell,
    nested_names,
    note_text_column,
)
from xsns_stream.corpora.conll import MALFORMED_SHARE
from xsns_stream.corpora.decoding import decode, iter_whole_lines, not_utf8_hint, open_bytes
from xsns_stream.corpora.examples import AddNote, Malformed, Unit, discard_note
from xsns_stream.corpora.layouts import without_compression
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

#: Largest size of a row in bytes. Unlike a line of text, a row cannot be cut.
_MAX_ROW_BYTES: Final = 2**26
#: Number of rows at the beginning of a file whose column names are listed.
_NAMED_ROWS: Final = 1000
_JSON_HINT: Final = 'write one object on each line, such as {"text": "…"}.'


class JsonRow(dict[str, Any]):
    """An object of a JSON file; empty for a blank line.

    Attributes:
        blank: Whether the row comes from a blank line.
        malformed: The reason why the line is not a JSON object; empty for an object.
        repeated: The keys that the object has more than once; JSON readers take the last value.
    """

    blank = False
    malformed = ""
    repeated: frozenset[str] = frozenset()


def read_jsonl(
    path: Path,
    column: str | None,
    labels: str | None,
    add_note: AddNote = discard_note,
    rows: LanguageRows | None = None,
) -> Iterator[Unit]:
    """Yield the rows of a JSONL file. A row without the column of the text is malformed.

    Args:
        path: The file.
        column: The column that contains the text; None for a column with a usual name.
        labels: None, `auto`, or the column that contains the labels.
        add_note: Called with sentences about the reading of the file.
        rows: Selection of the rows of one language; None for all rows.

    Raises:
        CorpusError: The column does not exist, or a row has it twice. More than one line in twenty is not JSON, or more
            than one row in twenty lacks the column or has a number in it; these errors are raised at the end of the
            file.
    """
    names = _json_columns(path, column, labels, rows)
    if not names:
        # There are only blank and undecodable lines: the error about counts is clearer than one about a column.
        yield from (
            None if row is None else Malformed(row.malformed) if row.malformed else TextExample("")
            for row in json_rows(path)
        )
        return
    columns = find_columns(names, column, labels, path.name, rows=rows)
    number_of_rows = lacking = numbers = 0
    text_names: dict[str, None] = {}
    for number, row in enumerate(json_rows(path), 1):
        if row is not None and row.malformed:
            yield Malformed(row.malformed)
            continue
        if row is not None and not row.blank and not columns.takes(row):
            continue
        number_of_rows += row is None or not row.blank
        if row is None or row.blank:
            yield None if row is None else TextExample("")
            continue
        if repeated := row.repeated.intersection(columns.names):
            raise CorpusError(
                f"row {number} of {path.name} has the key '{min(repeated)}' twice.", "write each key once."
            )
        text_names |= dict.fromkeys(name for name in TEXT_COLUMNS if name in row)
        if not has_cell(row, columns.text):
            lacking += 1
            yield Malformed(f"it has no column '{columns.text}'")
        elif _is_number(cell(row, columns.text)):
            numbers += 1
            yield Malformed(f"its column '{columns.text}' contains a number")
        else:
            yield columns.unit(row, path.name)
    if column is None and not columns.pair:
        note_text_column(columns.text, text_names, path.name, add_note)
    _check_lacking(lacking, number_of_rows, columns.text, path.name, add_note)
    _check_numbers(numbers, number_of_rows, columns.text, path.name, add_note)


def _is_number(value: object) -> bool:
    """Return whether a value is a number or a truth value; False for NaN, which pandas writes for missing values."""
    return isinstance(value, int | float) and not (isinstance(value, float) and math.isnan(value))


def _check_numbers(numbers: int, rows: int, column: str, name: str, add_note: AddNote) -> None:
    if not numbers:
        return
    summary = f"{numbers} of {rows} rows of {name} have a number in the column '{column}'"
    if numbers > MALFORMED_SHARE * rows:
        raise CorpusError(f"{summary}, not text.", "name a column of text with --text-column.")
    add_note(f"{summary}, and are counted as malformed.")


def _check_lacking(lacking: int, rows: int, column: str, name: str, add_note: AddNote) -> None:
    if not lacking:
        return
    summary = f"{lacking} of {rows} rows of {name} have no column '{column}'"
    if lacking > MALFORMED_SHARE * rows:
        raise CorpusError(
            f"{summary}.", "write the text of each row under the same key, or choose a key with --text-column."
        )
    add_note(f"{summary}, and are counted as malformed.")


def _json_columns(
    path: Path, column: str | None, labels: str | None, language_rows: LanguageRows | None
) -> tuple[str, ...]:
    """Return the names of the columns of a file.

    Reading stops as soon as the columns of the text and of the languages were found, unless labels are requested.
    """
    decisive = {column or TEXT_COLUMNS[0], *((language_rows.column,) if language_rows else ())}
    names: dict[str, None] = {}
    with closing(json_rows(path)) as rows:
        for row in rows:
            names |= dict.fromkeys(nested_names(row or {}))
            if labels is None and decisive <= names.keys():
                break
    return tuple(names)


def json_rows(path: Path) -> Generator[JsonRow | None, None, None]:
    """Yield the objects of a file; yield an empty object for a blank line, and None for a line that is not UTF-8.

    A line that is not an object is malformed. In a file that has only strings, each string is the text of an object.

    Raises:
        CorpusError: More than one line in twenty is malformed (raised at the end of the file), or the file is neither
            lines of objects, nor an array of objects, nor a document with such an array.
    """
    if _is_array(path):
        yield from _json_array(path)
        return
    if (document := _document(path)) is not None:
        yield from _rows_of_document(document)
        return
    strings = _first_line(path).lstrip().startswith(b'"')
    number_of_rows = malformed = 0
    first_error: CorpusError | None = None
    for number, line in enumerate(iter_whole_lines(path, _MAX_ROW_BYTES), 1):
        text = decode(line)
        if text is None:
            yield None
            continue
        row = JsonRow()
        row.blank = not text.strip()
        if not row.blank:
            number_of_rows += 1
            try:
                row = _json_object(text, f"line {number} of {path.name}", path, strings=strings)
            except CorpusError as error:
                malformed += 1
                first_error = first_error or error
                row.malformed = error.message.rstrip(".")
        yield row
    if first_error is not None and malformed > MALFORMED_SHARE * number_of_rows:
        raise first_error


def _is_array(path: Path) -> bool:
    start = _first_line(path).lstrip()
    return start.startswith(b"[") and (start.rstrip() == b"[" or start[1:].lstrip().startswith((b"{", b"]", b'"')))


def _first_line(path: Path) -> bytes:
    with closing(iter_whole_lines(path, _MAX_ROW_BYTES)) as lines:
        return next((line for line in lines if line.strip()), b"")


def _document(path: Path) -> JsonRow | None:
    """Return the object of a `.json` file that is one object; None for other layouts, such as lines of objects."""
    if not without_compression(path.name).lower().endswith(".json"):
        return None
    with open_bytes(path) as stream:
        data = stream.read(_MAX_ROW_BYTES + 1)
    if len(data) > _MAX_ROW_BYTES:
        return None
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_json_row)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, JsonRow) else None


def _rows_of_document(document: JsonRow) -> Iterator[JsonRow]:
    """Yield the rows of a JSON document: the elements of its only array of objects, or the rows of its columns.

    Columns are arrays of equal length, or objects {"0": …, "1": …}, which pandas writes.

    A document without such an array and without such columns is one row.
    """
    values = list(document.values())
    arrays = [value for value in values if isinstance(value, list) and value and isinstance(value[0], JsonRow)]
    if len(arrays) == 1 and all(isinstance(row, JsonRow) for row in arrays[0]):
        yield from arrays[0]
        return
    columns = [column for value in values if isinstance(column := _column(value), list)]
    if values and len(columns) == len(values) and len({len(each) for each in columns}) == 1:
        yield from (JsonRow(zip(document, row, strict=True)) for row in zip(*columns, strict=True))
    else:
        yield document


def _column(value: object) -> object:
    """Return the values of a column that pandas writes as {"0": …, "1": …}; any other value unchanged."""
    if isinstance(value, dict) and list(value) == [str(number) for number in range(len(value))]:
        return list(value.values())
    return value


def _json_array(path: Path) -> Iterator[JsonRow]:
    with open_bytes(path) as stream:
        data = stream.read()
    try:
        rows = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_json_row)
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path)) from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path.name} is not a complete array of JSON ({error}).", _JSON_HINT) from error
    for number, element in enumerate(rows, 1):
        row = JsonRow(text=element) if isinstance(element, str) and isinstance(rows[0], str) else element
        if not isinstance(row, JsonRow):
            raise CorpusError(f"element {number} of the array in {path.name} is not an object.", _JSON_HINT)
        yield row


def _json_object(text: str, where: str, path: Path, *, strings: bool) -> JsonRow:
    try:
        row = json.loads(text, object_pairs_hook=_json_row)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{where} is not JSON ({_json_error(error, path)}).", _JSON_HINT) from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", _JSON_HINT) from error
    if strings and isinstance(row, str):
        return JsonRow(text=row)
    if not isinstance(row, JsonRow):
        raise CorpusError(f"{where} is JSON, but not an object.", _JSON_HINT)
    return row


def _json_error(error: json.JSONDecodeError, path: Path) -> str:
    """Return the reason why a line is not JSON, in plain words if the file has another layout of JSON."""
    if error.msg == "Extra data":
        return "it contains more than one value"
    with open_bytes(path) as stream:
        beginning = stream.read(_MAX_ROW_BYTES)
    try:
        json.loads(beginning)
    except ValueError:
        return str(error)
    return "the file is one object over several lines"


def _json_row(pairs: list[tuple[str, Any]]) -> JsonRow:
    row = JsonRow(pairs)
    if len(row) < len(pairs):
        occurrences = Counter(key for key, _ in pairs)
        row.repeated = frozenset(key for key, number in occurrences.items() if number > 1)
    return row


def jsonl_columns(path: Path) -> tuple[str, ...]:
    """Return the names of the columns in the first rows, including those in nested objects."""
    with closing(json_rows(path)) as rows:
        return tuple(dict.fromkeys(name for row in islice(rows, _NAMED_ROWS) for name in nested_names(row or {})))
