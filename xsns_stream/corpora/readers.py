"""Readers for text files, chosen by suffix."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

from xsns_stream.corpora.columns import TEXT_COLUMNS, find_columns, say_choice
from xsns_stream.corpora.conll import read_conllu
from xsns_stream.corpora.decoding import (
    COMPRESSIONS,
    check_counts,
    decode,
    lines,
    not_utf8_hint,
    open_bytes,
    readable,
    whole_lines,
)
from xsns_stream.corpora.delimited import delimited_column, read_table
from xsns_stream.corpora.examples import Malformed, Tell, Unit, collect, ignore
from xsns_stream.corpora.running_text import RUNNING, check_words
from xsns_stream.corpora.text_checks import LinesAsRows, examined
from xsns_stream.errors import CorpusError
from xsns_stream.languages import normalise
from xsns_stream.types import LanguageSample, ReadCounts, TextExample

_PARQUET: Final = ".parquet"
#: (file, column of the text, labels, what takes sentences on how it is read) → units.
Reader: TypeAlias = Callable[[Path, str | None, str | None, Tell], Iterator[Unit]]


def read_text(
    language: str,
    path: str | Path,
    text_column: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
) -> LanguageSample:
    """Read a file of text in one language, whole.

    Args:
        language: Code of the language, in any spelling that :func:`~xsns_stream.languages.normalise` takes.
        path: A .txt, .conllu, .jsonl, .csv or .tsv file (each also with .gz, .bz2, .xz or .zst), or a .parquet file.
        text_column: The column that holds the text, in files that have columns.
        labels: None reads none; `auto` the UPOS of each word in CoNLL-U (of a word that spans several, its own
            or none), elsewhere the first column that is known to hold labels; or a column's name.
        words: How text without labels that is split into words is read: as `running` text, or as `given`.

    Returns:
        All distinct, non-empty examples in the order of the file; with labels, those that have one.

    Raises:
        LanguageError: `language` is no language.
        CorpusError: The file is missing, unreadable or malformed, or nothing in it is usable.
    """
    path = Path(path)
    code = normalise(language)
    source = f"{path.parent.resolve().name}/{path.name}"
    notes: dict[str, None] = {}
    units = read_units(path, text_column, labels, notes.setdefault)
    examples, counts = collect(units, labelled=labels is not None, words=check_words(words))
    check_usable(counts, path.name)
    return LanguageSample(code, examples, source, counts, tuple(notes))


def check_usable(counts: ReadCounts, name: str) -> None:
    """Refuse a file of which nothing, or too little, is text.

    Raises:
        CorpusError: Nothing is usable, or as :func:`~xsns_stream.corpora.decoding.check_counts` says.
    """
    check_counts(counts, name)
    if not counts.read:
        raise CorpusError(
            f"{name} has no usable text: it holds no line, row or sentence.", "check that the file is whole."
        )
    if not counts.usable:
        raise CorpusError(f"{name} has no usable text: {describe(counts)}.")


def describe(counts: ReadCounts) -> str:
    """Return `counts` in words: `5 read, 3 empty, 2 not UTF-8`."""
    parts = [f"{counts.read} read"]
    named = (
        ("empty", counts.empty),
        ("duplicate", counts.duplicate),
        ("not UTF-8", counts.undecodable),
        ("malformed", counts.malformed),
        ("without a label", counts.unlabelled),
    )
    return ", ".join(parts + [f"{number} {name}" for name, number in named if number])


def split_suffix(name: str) -> tuple[str, str] | None:
    """Return (stem, suffix) of a file's name, as ("sw", ".txt.gz"); None where no reader takes it."""
    lower = name.lower()
    packed = next((suffix for suffix in COMPRESSIONS if lower.endswith(suffix)), "")
    plain = lower.removesuffix(packed)
    kind = next((suffix for suffix in READERS if plain.endswith(suffix)), None)
    if kind is None or len(plain) == len(kind) or (packed and kind == _PARQUET):
        return None
    return name[: len(plain) - len(kind)], kind + packed


def json_reason(name: str) -> str:
    """Return why a file of JSON is not read, and what to do; empty for files of other kinds."""
    plain = next((name[: -len(packed)] for packed in COMPRESSIONS if name.lower().endswith(packed)), name)
    return (
        "objects of JSON, or an array of them, are read from files named .jsonl"
        if plain.lower().endswith(".json")
        else ""
    )


def read_units(path: Path, column: str | None = None, labels: str | None = None, tell: Tell = ignore) -> Iterator[Unit]:
    """Yield the units of a file, with the reader that its suffix asks for.

    Args:
        path: The file.
        column: The column that holds the text, in files that have columns.
        labels: As in :func:`read_text`.
        tell: Takes sentences on how the file is read, where that had to be decided. One may come more than once.

    Raises:
        CorpusError: The file is missing or unreadable, no reader takes the suffix, the file is malformed or has no
            such column, or no labels.
    """
    with readable(path):
        parts = split_suffix(path.name)
        if parts is None:
            hint = json_reason(path.name)
            hint = f"{hint}; " if hint else ""
            raise CorpusError(f"{path.name} has a suffix that cannot be read.", f"{hint}these can: {SUFFIXES}.")
        plain = next(suffix for suffix in READERS if parts[1].startswith(suffix))
        yield from examined(READERS[plain](path, column, labels, tell), path.name, tell)


def _no_columns(path: Path, column: str | None) -> None:
    if column is not None:
        raise CorpusError(f"{path.name} has no columns, so no column '{column}'.", "leave --text-column out.")


def _read_lines(path: Path, column: str | None, labels: str | None, tell: Tell) -> Iterator[Unit]:
    _no_columns(path, column)
    if labels is not None:
        raise CorpusError(f"{path.name} has no labels: its lines are text.", "labels need CoNLL-U or a table.")
    rows = LinesAsRows(path.name)
    for line in lines(path):
        text = decode(line)
        if text is None:
            yield None
        else:
            rows.take(text.strip())
            yield TextExample(text.strip())
    rows.tell(tell)


def _read_conllu(path: Path, column: str | None, labels: str | None, tell: Tell) -> Iterator[Unit]:
    _no_columns(path, column)
    yield from read_conllu(lines(path), path.name, labels)


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
    columns = _json_columns(path, column, labels)
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


def _json_columns(path: Path, column: str | None, labels: str | None) -> tuple[str, ...]:
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
        yield from _json_array(path)
        return
    for number, line in enumerate(whole_lines(path, _LONGEST_ROW), 1):
        text = decode(line)
        if text is None:
            yield None
        elif text.strip():
            yield _json_object(text, f"line {number} of {path.name}", path)
        else:
            yield _blank_row()


def _blank_row() -> JsonRow:
    row = JsonRow()
    row.blank = True
    return row


def _is_array(path: Path) -> bool:
    with closing(whole_lines(path, _LONGEST_ROW)) as lines:
        first = next((line for line in lines if line.strip()), b"")
    start = first.lstrip()
    return start.startswith(b"[") and (start.rstrip() == b"[" or start[1:].lstrip().startswith((b"{", b"]")))


def _json_array(path: Path) -> Iterator[JsonRow]:
    with open_bytes(path) as stream:
        data = stream.read()
    try:
        rows = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_json_row)
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path.name)) from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path.name} is not a whole array of JSON ({error}).", _OBJECT_A_LINE) from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, JsonRow):
            raise CorpusError(f"element {number} of the array in {path.name} is not an object.", _OBJECT_A_LINE)
        yield row


def _json_object(text: str, where: str, path: Path) -> JsonRow:
    try:
        row = json.loads(text, object_pairs_hook=_json_row)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{where} is not JSON ({_json_error(error, path)}).", _OBJECT_A_LINE) from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", _OBJECT_A_LINE) from error
    if not isinstance(row, JsonRow):
        raise CorpusError(f"{where} is JSON, but not an object.", _OBJECT_A_LINE)
    return row


def _json_error(error: json.JSONDecodeError, path: Path) -> str:
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


def _json_row(pairs: list[tuple[str, Any]]) -> JsonRow:
    row = JsonRow(pairs)
    if len(row) < len(pairs):
        counted = Counter(key for key, _ in pairs)
        row.repeated = frozenset(key for key, number in counted.items() if number > 1)
    return row


#: Rows that are held at a time.
_ROWS: Final = 1000


def read_parquet(path: Path, column: str | None, labels: str | None, tell: Tell = ignore) -> Iterator[Unit]:
    """Yield the rows of a Parquet file.

    Args:
        path: The file.
        column: The column that holds the text; None looks for a usual one.
        labels: None, `auto`, or the column that holds the labels.
        tell: Takes sentences on how the file is read.

    Raises:
        CorpusError: The file is no whole Parquet file, or has no such column, or two of it.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            chosen = find_columns(tuple(file.schema_arrow.names), column, labels, path.name, tell)
            for batch in file.iter_batches(_ROWS, columns=list(chosen.names)):
                for row in batch.to_pylist():
                    yield chosen.unit(row, path.name)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _not_parquet(path, error) from error


def _parquet_column(path: Path, names: Sequence[str]) -> list[str]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            column = next((name for name in names if name in file.schema_arrow.names), None)
            cells = file.read(columns=[column]).column(0).to_pylist() if column else []
    except pa.ArrowInvalid as error:
        raise _not_parquet(path, error) from error
    return ["" if cell is None else str(cell) for cell in cells]


def _not_parquet(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"{path.name} is not a whole Parquet file ({str(error).splitlines()[0]}).")


#: Suffix → what returns the cells, as text, of the first of some columns that a file has; none where it has none.
COLUMN_READERS: Final[dict[str, Callable[[Path, Sequence[str]], list[str]]]] = {
    ".parquet": _parquet_column,
    ".csv": delimited_column,
    ".tsv": delimited_column,
}


#: Suffix → reader; all but Parquet may be compressed besides.
READERS: Final[dict[str, Reader]] = {
    ".txt": _read_lines,
    ".conllu": _read_conllu,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".csv": read_table,
    ".tsv": read_table,
}
#: The suffixes that can be read, for messages.
SUFFIXES: Final = f"{', '.join(READERS)}; all but .parquet also with {', '.join(COMPRESSIONS)}"
#: Bytes of a row, which cannot be cut as a line of text can.
_LONGEST_ROW: Final = 2**26
#: Share of the rows that may lack the column of the text.
_LACKING_SHARE: Final = 0.05
_OBJECT_A_LINE: Final = 'write one object a line, as {"text": "…"}.'
