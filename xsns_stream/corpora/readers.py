"""Reading one local file, by its suffix.

Every reader yields a :data:`~xsns_stream.corpora.units.Unit` for each line, row or sentence. UTF-8 is taken
strictly: a byte that is not UTF-8 costs its line (sentence in CoNLL-U), never a silent replacement character.
Normal forms are left alone, since tokenizers have their own.
"""

from __future__ import annotations

import csv
import gzip
import json
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from xsns_stream.corpora.units import Unit, collect, text_column, text_unit
from xsns_stream.errors import CorpusError
from xsns_stream.languages import normalise
from xsns_stream.types import LanguageSample, ReadCounts, TextExample

_BOM: Final = b"\xef\xbb\xbf"


def read_text(language: str, path: str | Path, text_column: str | None = None) -> LanguageSample:
    """Read a file of text in one language, whole.

    Args:
        language: Code of the language, in any spelling that :func:`~xsns_stream.languages.normalise` takes.
        path: A .txt, .conllu or .jsonl file (each also with .gz), or a .parquet, .csv or .tsv file.
        text_column: The column that holds the text, in files that have columns.

    Returns:
        All distinct, non-empty examples in the order of the file.

    Raises:
        LanguageError: `language` is no language.
        CorpusError: The file is missing, unreadable or malformed, or nothing in it is usable.
    """
    path = Path(path)
    code = normalise(language)
    source = f"{path.parent.resolve().name}/{path.name}"
    with _readable(path):
        examples, counts = collect(read_units(path, text_column))
    if not examples:
        raise CorpusError(f"{path.name} has no usable text: {describe(counts)}.")
    return LanguageSample(code, examples, source, counts)


def describe(counts: ReadCounts) -> str:
    """Return `counts` in words: `5 read, 3 empty, 2 not UTF-8`."""
    parts = [f"{counts.read} read"]
    named = (("empty", counts.empty), ("duplicate", counts.duplicate), ("not UTF-8", counts.undecodable))
    return ", ".join(parts + [f"{number} {name}" for name, number in named if number])


def split_suffix(name: str) -> tuple[str, str] | None:
    """Return (stem, suffix) of a file's name, as ("sw", ".txt.gz"); None where no reader takes it."""
    for suffix in sorted(READERS, key=len, reverse=True):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], suffix
    return None


def read_units(path: Path, column: str | None = None) -> Iterator[Unit]:
    """Yield the units of a file, with the reader that its suffix asks for.

    Raises:
        CorpusError: No reader takes the suffix, the file is malformed or has no such column.
    """
    parts = split_suffix(path.name)
    if parts is None:
        raise CorpusError(f"{path.name} has a suffix that cannot be read.", f"these can: {SUFFIXES}.")
    yield from READERS[parts[1]](path, column)


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


def _read_lines(path: Path, column: str | None) -> Iterator[Unit]:
    _no_columns(path, column)
    for line in _lines(path):
        text = _decode(line)
        yield None if text is None else TextExample(text.strip())


def _read_jsonl(path: Path, column: str | None) -> Iterator[Unit]:
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
    name = text_column(tuple(columns), column, path.name)
    for row in rows:
        yield None if row is None else text_unit(row.get(name), f"column '{name}' of {path.name}")


def _json_object(text: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", "write one object a line.") from error
    if not isinstance(row, dict):
        raise CorpusError(f"{where} is JSON, but not an object.", 'write {"text": "…"} on each line.')
    return row


# ------------------------------------------------------------------------------------------ CoNLL-U


def _read_conllu(path: Path, column: str | None) -> Iterator[Unit]:
    _no_columns(path, column)
    for number, block in enumerate(_blocks(_lines(path)), 1):
        text = _decode(block)
        yield None if text is None else TextExample(_forms(text, f"sentence {number} of {path.name}"))


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the sentences: runs of lines between blank lines."""
    block: list[bytes] = []
    for line in lines:
        if line.strip():
            block.append(line)
        elif block:
            yield b"".join(block)
            block = []
    if block:
        yield b"".join(block)


def _forms(sentence: str, where: str) -> tuple[str, ...]:
    """Return the words as they are written: a range stands for its parts, an empty node for nothing."""
    import conllu
    from conllu.exceptions import ParseException

    try:
        parsed = conllu.parse(sentence, fields=("id", "form"))
        tokens = [(token["id"], token["form"]) for token in (parsed[0] if parsed else ())]
    except (ParseException, KeyError) as error:
        raise CorpusError(
            f"{where} is not CoNLL-U ({error}).", "each word needs an ID and a FORM, with a tab between."
        ) from error
    words: list[str] = []
    covered = 0
    for identifier, form in tokens:
        if isinstance(identifier, tuple):
            if identifier[1] == "-":
                covered = identifier[2]
                words.append(form)
        elif identifier is not None and identifier > covered:
            words.append(form)
    return tuple(word.strip() for word in words if word.strip())


# ------------------------------------------------------------------------------------------- tables


def _read_parquet(path: Path, column: str | None) -> Iterator[Unit]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            name = text_column(tuple(file.schema_arrow.names), column, path.name)
            for batch in file.iter_batches(columns=[name]):
                for value in batch.column(name).to_pylist():
                    yield text_unit(value, f"column '{name}' of {path.name}")
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise CorpusError(f"{path.name} is not a whole Parquet file ({reason}).") from error


def _read_csv(path: Path, column: str | None) -> Iterator[Unit]:
    yield from _table(path, column, ",", csv.QUOTE_MINIMAL)


def _read_tsv(path: Path, column: str | None) -> Iterator[Unit]:
    # A tab-separated file has no quoting: a quotation mark in it is text.
    yield from _table(path, column, "\t", csv.QUOTE_NONE)


def _table(path: Path, column: str | None, separator: str, quoting: int) -> Iterator[Unit]:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # Rows that are all longer than the header: pandas would drop their ends with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=separator,
                quoting=cast(Any, quoting),
                dtype=str,
                na_filter=False,
                index_col=False,
                skip_blank_lines=False,
                encoding="utf-8-sig",
            )
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", "save it as UTF-8.") from error
    except pd.errors.EmptyDataError:
        return
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        hint = "give each row as many columns as the header has."
        raise CorpusError(f"{path.name} is not a table ({reason}).", hint) from error
    name = text_column(tuple(str(c) for c in frame.columns), column, path.name)
    for value in frame[name]:
        yield text_unit(value, f"column '{name}' of {path.name}")


READERS: Final[dict[str, Callable[[Path, str | None], Iterator[Unit]]]] = {
    ".txt": _read_lines,
    ".txt.gz": _read_lines,
    ".conllu": _read_conllu,
    ".conllu.gz": _read_conllu,
    ".jsonl": _read_jsonl,
    ".jsonl.gz": _read_jsonl,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
}

#: The suffixes that can be read, for messages.
SUFFIXES: Final = ", ".join(READERS)
