"""Reading one local file, by its suffix.

Every reader yields a :data:`~xsns_stream.corpora.examples.Unit` for each line, row or sentence. UTF-8 is taken
strictly: a byte that is not UTF-8 costs its line (sentence in CoNLL-U), never a silent replacement character.
Normal forms are left alone, since tokenizers have their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from xsns_stream.corpora.conllu import read_conllu
from xsns_stream.corpora.decoding import COMPRESSIONS, check_counts, readable
from xsns_stream.corpora.decoding import decode as _decode
from xsns_stream.corpora.decoding import lines as _lines
from xsns_stream.corpora.examples import Tell, Unit, collect, ignore
from xsns_stream.corpora.json_rows import read_jsonl
from xsns_stream.corpora.running_text import RUNNING, check_words
from xsns_stream.corpora.suspicions import LinesAsRows, examined
from xsns_stream.corpora.tables import read_parquet, read_table
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


# ------------------------------------------------------------------------------------- line by line


def _no_columns(path: Path, column: str | None) -> None:
    if column is not None:
        raise CorpusError(f"{path.name} has no columns, so no column '{column}'.", "leave --text-column out.")


def _read_lines(path: Path, column: str | None, labels: str | None, tell: Tell) -> Iterator[Unit]:
    _no_columns(path, column)
    if labels is not None:
        raise CorpusError(f"{path.name} has no labels: its lines are text.", "labels need CoNLL-U or a table.")
    rows = LinesAsRows(path.name)
    for line in _lines(path):
        text = _decode(line)
        if text is None:
            yield None
        else:
            rows.take(text.strip())
            yield TextExample(text.strip())
    rows.tell(tell)


def _read_conllu(path: Path, column: str | None, labels: str | None, tell: Tell) -> Iterator[Unit]:
    _no_columns(path, column)
    yield from read_conllu(_lines(path), path.name, labels)


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
