"""Readers of one text file, chosen by its suffix.

A reader is a function that yields a :data:`~xsns_stream.corpora.examples.Unit` for each line, row or sentence of a
file. To read another format, write such a function and add it to `FORMATS`, at the end of this module. Lines of text
are read here, the other formats by :mod:`~xsns_stream.corpora.json_lines`, :mod:`~xsns_stream.corpora.parquet_files`,
:mod:`~xsns_stream.corpora.delimited` (`.csv` and `.tsv`) and :mod:`~xsns_stream.corpora.conll` (CoNLL-U).

Decoding is strict: a byte that is not UTF-8 makes its line (in CoNLL-U its sentence) undecodable, and is not replaced
by another character. Text is not normalised, because tokenizers normalise it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from xsns_stream.corpora.columns import LanguageRows
from xsns_stream.corpora.conll import read_conllu
from xsns_stream.corpora.decoding import (
    COMPRESSIONS,
    check_counts,
    corpus_errors,
    decode,
    iter_lines,
)
from xsns_stream.corpora.delimited import delimited_column, read_table, table_header
from xsns_stream.corpora.examples import AddNote, Unit, collect, discard_note
from xsns_stream.corpora.json_lines import jsonl_columns, read_jsonl
from xsns_stream.corpora.layouts import without_compression
from xsns_stream.corpora.line_formats import (
    DOCUMENTS,
    JSON_OBJECTS,
    NUMBERED,
    line_form,
    read_documents,
    read_numbered_lines,
)
from xsns_stream.corpora.parquet_files import parquet_cells, parquet_columns, read_parquet
from xsns_stream.corpora.running_text import RUNNING, check_words
from xsns_stream.corpora.text_checks import LineChecks, check_texts, without_missing
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
        words: How unlabelled texts that are split into words are read: as `running` text, or with the words as `given`.

    Returns:
        All distinct, non-empty examples in the order of the file. If labels are read, examples without a label are left
        out.

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
    check_usable(counts, path.name, path)
    return LanguageSample(code, examples, source, counts, tuple(notes))


def read_units(
    path: Path,
    column: str | None = None,
    labels: str | None = None,
    add_note: AddNote = discard_note,
    rows: LanguageRows | None = None,
    *,
    as_written: bool = False,
) -> Iterator[Unit]:
    """Yield the units of a file. The suffix of the file determines the reader.

    Args:
        path: The file.
        column: The column that contains the text, in files that have columns.
        labels: See :func:`read_text`.
        add_note: Called with sentences about the reading of the file, possibly more than once with the same sentence.
        rows: Selection of the rows of one language; None for all rows.
        as_written: Whether `nan` in a table of text is kept as a value. This is needed for a column of languages, where
            `nan` is the code of Min Nan Chinese. If False, `nan` is a missing text.

    Raises:
        CorpusError: The file is missing, unreadable or malformed; its suffix has no reader; or a column is missing.
    """
    with corpus_errors(path):
        form = FORMATS[reader_suffix(path)]
        units = form.read(path, column, labels, add_note, rows)
        if form.has_only_text and not as_written:
            units = without_missing(units, path.name, add_note)
        yield from check_texts(units, path.name, add_note)


def reader_suffix(path: Path) -> str:
    """Return the suffix of the reader of a file, from its name or, for an unknown suffix, from its contents.

    Raises:
        CorpusError: The suffix belongs to a format that is not read.
    """
    parts = split_suffix(path.name)
    if parts is None:
        return _suffix_of_contents(path)
    return next(suffix for suffix in FORMATS if parts[1].startswith(suffix))


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
    kind = next((suffix for suffix in FORMATS if plain.endswith(suffix)), None)
    if kind is None or len(plain) == len(kind) or (compression and not FORMATS[kind].compressible):
        return None
    return name[: len(plain) - len(kind)], kind + compression


def check_usable(counts: ReadCounts, name: str, path: Path | None = None) -> None:
    """Raise an error for a file that has no usable text, or too many unusable lines.

    Args:
        counts: Counts of the units of the file.
        name: Name of the file, for the message.
        path: The file, for a command that converts it; None for text in memory.

    Raises:
        CorpusError: No unit is usable, or :func:`~xsns_stream.corpora.decoding.check_counts` refuses the file.
    """
    check_counts(counts, name, path)
    if not counts.read:
        raise CorpusError(
            f"{name} has no usable text: it contains no line, row or sentence.", "check that the file is complete."
        )
    if not counts.usable:
        raise CorpusError(f"{name} has no usable text: {describe_counts(counts)}.", COUNTS_HINT)


#: Hint of messages that contain the text of :func:`describe_counts`.
COUNTS_HINT: Final = "the numbers count lines, rows or sentences: those that were read, and those that cannot be used."


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
        raise CorpusError(f"{path.name} has no columns, so it has no column of languages.", "omit --language-column.")
    if column is not None:
        raise CorpusError(f"{path.name} has no columns, so it has no column '{column}'.", "omit --text-column.")


# ------------------------------------------------------------------------------- table of formats


@dataclass(frozen=True)
class FileFormat:
    """A format of files of text.

    Attributes:
        read: Function that yields the units of a file.
        unit: Plural noun for the examples of the format in messages, such as `lines`.
        words: Whether a text may be split into words: `always`, `never`, `sometimes`, or only if the `header` names a
            column of words.
        column_names: Function that returns the names of the columns; None for files that are not tables.
        cells: For tables whose rows are not JSON, a function (file, names) that returns, as text, the cells of the
            first column in `names` that the table has.
        compressible: Whether files may also be compressed; Parquet files are compressed inside.
        has_only_text: Whether all values of a table are texts. A missing value is then also written as a text, such as
            `nan`.
    """

    read: Reader
    unit: str = "rows"
    words: Literal["always", "never", "sometimes", "header"] = "never"
    column_names: Callable[[Path], tuple[str, ...]] | None = None
    cells: Callable[[Path, Sequence[str]], list[str]] | None = None
    compressible: bool = True
    has_only_text: bool = False


_DELIMITED: Final = FileFormat(
    read_table,
    words="header",
    column_names=lambda path: tuple(table_header(path)),
    cells=delimited_column,
    has_only_text=True,
)
#: {suffix: format}. Labelled data of a task are read from the tables among them, and words with tags from `.conllu`.
FORMATS: Final[Mapping[str, FileFormat]] = MappingProxyType(
    {
        ".txt": FileFormat(read_lines, "lines"),
        ".conllu": FileFormat(_read_conllu, "sentences", words="always"),
        ".jsonl": FileFormat(read_jsonl, words="sometimes", column_names=jsonl_columns),
        ".parquet": FileFormat(
            read_parquet,
            words="sometimes",
            column_names=parquet_columns,
            cells=parquet_cells,
            compressible=False,
        ),
        ".csv": _DELIMITED,
        ".tsv": _DELIMITED,
    }
)
#: Suffixes of tables.
TABLES: Final = tuple(suffix for suffix, form in FORMATS.items() if form.column_names is not None)

#: Other suffixes of JSON files with one array or one object on each line.
_JSON_SUFFIXES: Final = (".json", ".ndjson", ".jsonlines")
#: Suffixes of formats that are neither text nor readable tables.
_OTHER_FORMATS: Final = (
    *(".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub", ".xls", ".xlsx", ".ods"),
    *(".xml", ".html", ".htm", ".sgm", ".tmx", ".zip", ".tar", ".tgz", ".7z", ".rar", ".arrow", ".pkl", ".pt", ".npz"),
    *(".conll", ".iob", ".iob2", ".bio"),
)

#: The suffixes that can be read, for messages.
SUFFIXES: Final = f"{', '.join(FORMATS)}; all but .parquet also with {', '.join(COMPRESSIONS)}"


def looks_like_data(name: str) -> bool:
    """Return whether the suffix of a file name is that of a text or table format, even one that cannot be read."""
    other = without_compression(name).lower().endswith((*_OTHER_FORMATS, *_JSON_SUFFIXES))
    return other or split_suffix(name) is not None


def has_columns(path: Path) -> bool:
    """Return whether a file is a table, whose columns `--text-column` can name; False if its suffix is not read."""
    try:
        return FORMATS[reader_suffix(path)].column_names is not None
    except (CorpusError, OSError):
        return False


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a table, including nested columns; empty for a file of other text.

    Raises:
        CorpusError: The file cannot be read.
    """
    with corpus_errors(path):
        names = FORMATS[reader_suffix(path)].column_names
        return () if names is None else names(path)
