"""Readers of one text file, chosen by its suffix.

A reader is a function that yields a :data:`~xsns_stream.corpora.examples.Unit` for each line, row or sentence of a
file. To read another format, write such a function and add it to `READERS`, at the end of this module. Lines of text,
JSON Lines and Parquet are read here; :mod:`~xsns_stream.corpora.delimited` reads `.csv` and `.tsv`, and
:mod:`~xsns_stream.corpora.conll` reads CoNLL-U.

Decoding is strict: a byte that is not UTF-8 makes its line (in CoNLL-U its sentence) undecodable, and is not replaced
by another character. Text is not normalised, because tokenizers normalise it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from xsns_stream.corpora.columns import (
    TEXT_COLUMNS,
    LanguageRows,
    find_columns,
    has_cell,
    nested_names,
    note_text_column,
)
from xsns_stream.corpora.conll import read_conllu
from xsns_stream.corpora.decoding import (
    COMPRESSIONS,
    check_counts,
    corpus_errors,
    decode,
    iter_lines,
    iter_whole_lines,
    not_utf8_hint,
    open_bytes,
)
from xsns_stream.corpora.delimited import delimited_column, read_table, table_header
from xsns_stream.corpora.examples import AddNote, Malformed, Unit, collect, discard_note
from xsns_stream.corpora.layouts import without_compression
from xsns_stream.corpora.line_formats import (
    DOCUMENTS,
    JSON_OBJECTS,
    NUMBERED,
    line_form,
    read_documents,
    read_numbered_lines,
)
from xsns_stream.corpora.running_text import RUNNING, check_words
from xsns_stream.corpora.text_checks import LineChecks, check_texts
from xsns_stream.errors import CorpusError
from xsns_stream.languages import normalise
from xsns_stream.types import LanguageSample, ReadCounts, TextExample

#: (file, column of the text, labels, function that takes notes, rows to read) → units.
Reader: TypeAlias = Callable[[Path, str | None, str | None, AddNote, LanguageRows | None], Iterator[Unit]]


def read_text(
    language: str,
    path: str | Path,
    text_column: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
) -> LanguageSample:
    """Read a whole file of text in one language.

    Args:
        language: Code of the language, in any form that :func:`~xsns_stream.languages.normalise` accepts.
        path: A .txt, .conllu, .jsonl, .csv or .tsv file (each also with .gz, .bz2, .xz or .zst), or a .parquet file.
        text_column: The column that contains the text, in files that have columns.
        labels: None for no labels. `auto` for the UPOS of each word in CoNLL-U (a range may have a UPOS or none), and
            in tables for the first column with a usual name for labels. Any other value is the name of a column.
        words: Reading of texts that are split into words, without labels: `running` text, or the words as `given`.

    Returns:
        All distinct, non-empty examples in the order of the file; with labels, those that have a label.

    Raises:
        LanguageError: `language` is not a language.
        CorpusError: The file is missing, unreadable or malformed, or contains no usable text.
    """
    path = Path(path)
    code = normalise(language)
    source = f"{path.parent.resolve().name}/{path.name}"
    notes: dict[str, None] = {}
    units = read_units(path, text_column, labels, notes.setdefault)
    examples, counts = collect(units, labelled=labels is not None, words=check_words(words))
    check_usable(counts, path.name)
    return LanguageSample(code, examples, source, counts, tuple(notes))


def read_units(
    path: Path,
    column: str | None = None,
    labels: str | None = None,
    add_note: AddNote = discard_note,
    rows: LanguageRows | None = None,
) -> Iterator[Unit]:
    """Yield the units of a file, with the reader of its suffix.

    Args:
        path: The file.
        column: The column that contains the text, in files that have columns.
        labels: See :func:`read_text`.
        add_note: Called with sentences about the reading of the file, possibly more than once with the same sentence.
        rows: The rows of one language, if only these are read.

    Raises:
        CorpusError: The file is missing, unreadable or malformed; its suffix has no reader; or a column is missing.
    """
    with corpus_errors(path):
        units = READERS[reader_suffix(path)](path, column, labels, add_note, rows)
        yield from check_texts(units, path.name, add_note)


def reader_suffix(path: Path) -> str:
    """Return the suffix of the reader of a file, from its name or, for an unknown suffix, from its contents.

    Raises:
        CorpusError: The suffix belongs to a format that is not read.
    """
    parts = split_suffix(path.name)
    if parts is None:
        return _suffix_of_contents(path)
    return next(suffix for suffix in READERS if parts[1].startswith(suffix))


def _suffix_of_contents(path: Path) -> str:
    """Return the suffix of the reader for a file with an unknown suffix, such as `corpus.en-sw.sw` or `wiki_00`.

    Raises:
        CorpusError: The suffix belongs to a format that is not read.
    """
    plain = without_compression(path.name).lower()
    if plain.endswith(_OTHER_FORMATS):
        raise CorpusError(f"{path.name} has a suffix that cannot be read.", f"suffixes that can be read: {SUFFIXES}.")
    return ".jsonl" if plain.endswith(_JSON_SUFFIXES) or line_form(path) == JSON_OBJECTS else ".txt"


def split_suffix(name: str) -> tuple[str, str] | None:
    """Return (stem, suffix) of a file name, such as ("sw", ".txt.gz"); None if the suffix has no reader."""
    lower = name.lower()
    compression = next((suffix for suffix in COMPRESSIONS if lower.endswith(suffix)), "")
    plain = lower.removesuffix(compression)
    kind = next((suffix for suffix in READERS if plain.endswith(suffix)), None)
    # Parquet files are compressed inside.
    if kind is None or len(plain) == len(kind) or (compression and kind == ".parquet"):
        return None
    return name[: len(plain) - len(kind)], kind + compression


def check_usable(counts: ReadCounts, name: str) -> None:
    """Raise an error for a file without usable text, or with too little of it.

    Raises:
        CorpusError: No unit is usable, or :func:`~xsns_stream.corpora.decoding.check_counts` refuses the file.
    """
    check_counts(counts, name)
    if not counts.read:
        raise CorpusError(
            f"{name} has no usable text: it contains no line, row or sentence.", "check that the file is complete."
        )
    if not counts.usable:
        raise CorpusError(f"{name} has no usable text: {describe_counts(counts)}.")


def describe_counts(counts: ReadCounts) -> str:
    """Return counts as text: `5 read, 3 empty, 2 not UTF-8`."""
    named = (
        ("empty", counts.empty),
        ("duplicate", counts.duplicate),
        ("not UTF-8", counts.undecodable),
        ("malformed", counts.malformed),
        ("without a label", counts.unlabelled),
    )
    return ", ".join([f"{counts.read} read", *(f"{number} {name}" for name, number in named if number)])


# ----------------------------------------------------------------------------- lines and sentences


def read_lines(
    path: Path, column: str | None, labels: str | None, add_note: AddNote, rows: LanguageRows | None = None
) -> Iterator[Unit]:
    """Yield the lines of a `.txt` file; it has neither columns nor labels.

    Raises:
        CorpusError: A column or labels are requested.
    """
    _refuse_column(path, column, rows)
    if labels is not None:
        raise CorpusError(f"{path.name} has no labels: its lines are text.", "read labels from CoNLL-U or a table.")
    form = line_form(path)
    if form == DOCUMENTS:
        yield from read_documents(iter_lines(path), path.name, add_note)
        return
    if form == NUMBERED:
        yield from read_numbered_lines(iter_lines(path), path.name, add_note)
        return
    checks = LineChecks(path.name)
    for line in iter_lines(path):
        text = decode(line)
        if text is None:
            yield None
        else:
            checks.add(text.strip())
            yield TextExample(text.strip())
    checks.finish(add_note)


def _read_conllu(
    path: Path, column: str | None, labels: str | None, add_note: AddNote, rows: LanguageRows | None = None
) -> Iterator[Unit]:
    _refuse_column(path, column, rows)
    yield from read_conllu(iter_lines(path), path.name, labels)


def _refuse_column(path: Path, column: str | None, rows: LanguageRows | None) -> None:
    if rows is not None:
        raise CorpusError(f"{path.name} has no columns, so no languages in one.", "leave --language-column out.")
    if column is not None:
        raise CorpusError(f"{path.name} has no columns, so no column '{column}'.", "leave --text-column out.")


# -------------------------------------------------------------------------------------- JSON Lines


#: Largest size of a row in bytes. Unlike a line of text, a row cannot be cut.
_MAX_ROW_BYTES: Final = 2**26
#: Share of the rows that may lack the column of the text.
_LACKING_SHARE: Final = 0.05
_JSON_HINT: Final = 'write one object on each line, such as {"text": "…"}.'


class JsonRow(dict[str, Any]):
    """An object of a JSON file; empty for a blank line.

    Attributes:
        blank: Whether the row stands for a blank line.
        repeated: The keys that the object has more than once; JSON readers take the last value.
    """

    blank = False
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
        column: The column that contains the text; None looks for a usual name.
        labels: None, `auto`, or the column that contains the labels.
        add_note: Takes sentences on how the file is read.
        rows: The rows of one language, if only these are read.

    Raises:
        CorpusError: A row is not JSON; the column does not exist; a row has it twice; or more than one row in twenty
            lacks it. The last error is raised at the end of the file.
    """
    names = _json_columns(path, column, labels, rows)
    if not names:
        # If there are only blank and undecodable lines, an error about counts is clearer than one about a column.
        yield from (None if row is None else TextExample("") for row in json_rows(path))
        return
    columns = find_columns(names, column, labels, path.name, rows=rows)
    number_of_rows = lacking = 0
    text_names: dict[str, None] = {}
    for number, row in enumerate(json_rows(path), 1):
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
        if has_cell(row, columns.text):
            yield columns.unit(row, path.name)
        else:
            lacking += 1
            yield Malformed(f"it has no column '{columns.text}'")
    if column is None and not columns.pair:
        note_text_column(columns.text, text_names, path.name, add_note)
    _check_lacking(lacking, number_of_rows, columns.text, path.name, add_note)


def _check_lacking(lacking: int, rows: int, column: str, name: str, add_note: AddNote) -> None:
    if not lacking:
        return
    summary = f"{lacking} of {rows} rows of {name} have no column '{column}'"
    if lacking > _LACKING_SHARE * rows:
        raise CorpusError(
            f"{summary}.", "write the text of each row under the same key, or choose a key with --text-column."
        )
    add_note(f"{summary}, and are counted as malformed.")


def _json_columns(
    path: Path, column: str | None, labels: str | None, language_rows: LanguageRows | None
) -> tuple[str, ...]:
    """Return the names of the columns of the first rows or, if these are not enough, of all rows."""
    decisive = {column or TEXT_COLUMNS[0], *((language_rows.column,) if language_rows else ())}
    names: dict[str, None] = {}
    with closing(json_rows(path)) as rows:
        for row in rows:
            names |= dict.fromkeys(nested_names(row or {}))
            if labels is None and decisive <= names.keys():
                break
    return tuple(names)


def json_rows(path: Path) -> Generator[JsonRow | None, None, None]:
    """Yield the objects of a file, a blank object for a blank line, and None for a line that is not UTF-8.

    Raises:
        CorpusError: A line is not an object of JSON, and the file is not an array of objects.
    """
    if _is_array(path):
        yield from _json_array(path)
        return
    for number, line in enumerate(iter_whole_lines(path, _MAX_ROW_BYTES), 1):
        text = decode(line)
        if text is None:
            yield None
        elif text.strip():
            yield _json_object(text, f"line {number} of {path.name}", path)
        else:
            row = JsonRow()
            row.blank = True
            yield row


def _is_array(path: Path) -> bool:
    with closing(iter_whole_lines(path, _MAX_ROW_BYTES)) as lines:
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
        raise CorpusError(f"{path.name} is not a complete array of JSON ({error}).", _JSON_HINT) from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, JsonRow):
            raise CorpusError(f"element {number} of the array in {path.name} is not an object.", _JSON_HINT)
        yield row


def _json_object(text: str, where: str, path: Path) -> JsonRow:
    try:
        row = json.loads(text, object_pairs_hook=_json_row)
    except json.JSONDecodeError as error:
        raise CorpusError(f"{where} is not JSON ({_json_error(error, path)}).", _JSON_HINT) from error
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", _JSON_HINT) from error
    if not isinstance(row, JsonRow):
        raise CorpusError(f"{where} is JSON, but not an object.", _JSON_HINT)
    return row


def _json_error(error: json.JSONDecodeError, path: Path) -> str:
    """Return the reason why a line is invalid, for example another form of JSON."""
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


# ----------------------------------------------------------------------------------------- Parquet


#: Number of rows in memory.
_BATCH_ROWS: Final = 1000


def read_parquet(
    path: Path,
    column: str | None,
    labels: str | None,
    add_note: AddNote = discard_note,
    rows: LanguageRows | None = None,
) -> Iterator[Unit]:
    """Yield the rows of a Parquet file; only the columns that are needed are read.

    Args:
        path: The file.
        column: The column that contains the text; None looks for a usual name.
        labels: None, `auto`, or the column that contains the labels.
        add_note: Takes sentences on how the file is read.
        rows: The rows of one language, if only these are read.

    Raises:
        CorpusError: The file is damaged, or a column does not exist or exists twice.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = find_columns(_field_names(file.schema_arrow), column, labels, path.name, add_note, rows)
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns.names)):
                for row in batch.to_pylist():
                    if columns.takes(row):
                        yield columns.unit(row, path.name)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _not_parquet(path, error) from error


def _field_names(fields: Iterable[Any], before: str = "") -> list[str]:
    """Return the names of the columns of a schema, with those within columns of structures."""
    import pyarrow as pa

    names: list[str] = []
    for field in fields:
        names.append(f"{before}{field.name}")
        if pa.types.is_struct(field.type):
            names += _field_names(field.type, f"{before}{field.name}.")
    return names


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
    return CorpusError(
        f"{path.name} is not a complete Parquet file ({str(error).splitlines()[0]}).", "get the file again."
    )


# -------------------------------------------------------------------------------- table of readers


#: Suffix → reader; all files except Parquet may also be compressed.
READERS: Final[dict[str, Reader]] = {
    ".txt": read_lines,
    ".conllu": _read_conllu,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".csv": read_table,
    ".tsv": read_table,
}

#: Other suffixes of JSON files with one array or one object on each line.
_JSON_SUFFIXES: Final = (".json", ".ndjson", ".jsonlines")
#: Suffixes of formats that are neither text nor readable tables.
_OTHER_FORMATS: Final = (
    *(".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub", ".xls", ".xlsx", ".ods"),
    *(".xml", ".html", ".htm", ".sgm", ".tmx", ".zip", ".tar", ".tgz", ".7z", ".rar", ".arrow", ".pkl", ".pt", ".npz"),
    *(".conll", ".iob", ".iob2", ".bio"),
)

#: The suffixes that can be read, for messages.
SUFFIXES: Final = f"{', '.join(READERS)}; all but .parquet also with {', '.join(COMPRESSIONS)}"


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a table, including nested columns; empty for a file of other text.

    Raises:
        CorpusError: The file cannot be read.
    """
    with corpus_errors(path):
        match reader_suffix(path):
            case ".jsonl":
                with closing(json_rows(path)) as rows:
                    return tuple(
                        dict.fromkeys(name for row in islice(rows, _BATCH_ROWS) for name in nested_names(row or {}))
                    )
            case ".parquet":
                from pyarrow import parquet

                with parquet.ParquetFile(path) as file:
                    return tuple(_field_names(file.schema_arrow))
            case ".csv" | ".tsv":
                return table_header(path)
            case _:
                return ()


#: Suffix → function that returns, as text, the cells of the first column that has one of some names.
COLUMN_READERS: Final[dict[str, Callable[[Path, Sequence[str]], list[str]]]] = {
    ".parquet": _parquet_column,
    ".csv": delimited_column,
    ".tsv": delimited_column,
}
