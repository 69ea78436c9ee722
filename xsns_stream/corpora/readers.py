"""Reading one local file, by its suffix.

Every reader yields a :data:`~xsns_stream.corpora.units.Unit` for each line, row or sentence. UTF-8 is taken
strictly: a byte that is not UTF-8 costs its line (sentence in CoNLL-U), never a silent replacement character.
Normal forms are left alone, since tokenizers have their own.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

from xsns_stream.corpora.conllu import read_conllu
from xsns_stream.corpora.labels import find_columns
from xsns_stream.corpora.running_text import RUNNING, check_words
from xsns_stream.corpora.tables import read_csv, read_parquet, read_tsv
from xsns_stream.corpora.units import Unit, collect
from xsns_stream.errors import CorpusError
from xsns_stream.languages import normalise
from xsns_stream.types import LanguageSample, ReadCounts, TextExample

_BOM: Final = b"\xef\xbb\xbf"

#: (file, column of the text, labels) → units.
Reader: TypeAlias = Callable[[Path, str | None, str | None], Iterator[Unit]]


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
        path: A .txt, .conllu or .jsonl file (each also with .gz), or a .parquet, .csv or .tsv file.
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
    units = read_units(path, text_column, labels)
    examples, counts = collect(units, labelled=labels is not None, words=check_words(words))
    if not examples:
        raise CorpusError(f"{path.name} has no usable text: {describe(counts)}.")
    return LanguageSample(code, examples, source, counts)


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
    for suffix in sorted(READERS, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], suffix
    return None


def read_units(path: Path, column: str | None = None, labels: str | None = None) -> Iterator[Unit]:
    """Yield the units of a file, with the reader that its suffix asks for.

    Args:
        path: The file.
        column: The column that holds the text, in files that have columns.
        labels: As in :func:`read_text`.

    Raises:
        CorpusError: The file is missing or unreadable, no reader takes the suffix, the file is malformed or has no
            such column, or no labels.
    """
    with _readable(path):
        parts = split_suffix(path.name)
        if parts is None:
            raise CorpusError(f"{path.name} has a suffix that cannot be read.", f"these can: {SUFFIXES}.")
        yield from READERS[parts[1]](path, column, labels)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what the operating system and gzip say of a file into a `CorpusError`."""
    if not path.exists():
        raise CorpusError(f"there is no file '{path}'.", "check the path.")
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path.name} is not a whole gzip file ({error}).", "compress it again.") from error
    except OSError as error:
        raise CorpusError(f"{path.name} cannot be read ({error.strerror or error}).") from error


# ------------------------------------------------------------------------------------- line by line


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, gzipped or not, without the byte order mark."""
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with cast(BinaryIO, opener(path, "rb")) as stream:
        for number, line in enumerate(stream):
            yield line.removeprefix(_BOM) if number == 0 else line


def _decode(line: bytes) -> str | None:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _no_columns(path: Path, column: str | None) -> None:
    if column is not None:
        raise CorpusError(f"{path.name} has no columns, so no column '{column}'.", "leave --text-column out.")


def _read_lines(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    _no_columns(path, column)
    if labels is not None:
        raise CorpusError(f"{path.name} has no labels: its lines are text.", "labels need CoNLL-U or a table.")
    for line in _lines(path):
        text = _decode(line)
        yield None if text is None else TextExample(text.strip())


def _read_jsonl(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    rows: list[dict[str, Any] | None] = []
    for number, line in enumerate(_lines(path), 1):
        text = _decode(line)
        if text is not None and not text.strip():
            rows.append({})
            continue
        rows.append(None if text is None else _json_object(text, f"line {number} of {path.name}"))
    columns = dict.fromkeys(name for row in rows if row for name in row)
    if not columns:
        # Nothing but blank and undecodable lines: the counts say so better than a missing column would.
        yield from (None if row is None else TextExample("") for row in rows)
        return
    chosen = find_columns(tuple(columns), column, labels, path.name)
    for row in rows:
        yield None if row is None else chosen.unit(row, path.name)


def _json_object(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", "write one object a line.") from error
    if not isinstance(row, dict):
        raise CorpusError(f"{where} is JSON, but not an object.", 'write {"text": "…"} on each line.')
    return row


def _read_conllu(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    _no_columns(path, column)
    yield from read_conllu(_lines(path), path.name, labels)


READERS: Final[dict[str, Reader]] = {
    ".txt": _read_lines,
    ".txt.gz": _read_lines,
    ".conllu": _read_conllu,
    ".conllu.gz": _read_conllu,
    ".jsonl": _read_jsonl,
    ".jsonl.gz": _read_jsonl,
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_tsv,
}

#: The suffixes that can be read, for messages.
SUFFIXES: Final = ", ".join(READERS)
