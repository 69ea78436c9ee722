"""Names of corpora in provenance, with the settings that determine which text is read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from xsns_stream.corpora.columns import WORD_COLUMNS
from xsns_stream.corpora.decoding import corpus_errors, iter_lines
from xsns_stream.corpora.readers import FORMATS, read_units, reader_suffix, split_suffix
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample


def corpus_name(kind: str, *parts: str, **settings: str | None) -> str:
    """Return the name of a corpus in provenance, such as `folder(ud, split=dev)` for the kind `folder`.

    Settings that are None are left out.
    """
    inner = [*parts, *(f"{key}={value}" for key, value in settings.items() if value is not None)]
    return f"{kind}({', '.join(inner)})" if inner else kind


def words_setting(paths: Iterable[Path], column: str | None, labels: str | None, words: str) -> str | None:
    """Return `words`, for the name of a corpus, if an unlabelled text of its files is split into words; otherwise None.

    Because names contain this setting, a store cannot mix rows of running text with rows of words as given, or with
    rows of older versions of this package, which read only words as given. Names of corpora of plain text do not
    contain it.

    Args:
        paths: The files of the corpus.
        column: The column of the text; None for a column with a usual name.
        labels: None if no labels are read.
        words: `running` or `given`.
    """
    if labels is None and any(holds_words(path, column) for path in paths):
        return words
    return None


def holds_words(path: Path, column: str | None) -> bool:
    """Return whether the first text of a file is split into words; False if the file cannot be read.

    `column` is the column of the text; None means a column with a usual name.
    """
    if split_suffix(path.name) is None:
        return False
    words = FORMATS[reader_suffix(path)].words
    if words in ("always", "never"):
        return words == "always"
    if words == "header" and not _has_word_column(path, column):
        return False
    try:
        texts = (unit.text for unit in read_units(path, column) if isinstance(unit, TextExample))
        return isinstance(next(filter(None, texts), ""), tuple)
    except CorpusError:
        return False


def _has_word_column(path: Path, column: str | None) -> bool:
    """Return whether a column with a usual name for words may be the text of a table.

    Args:
        path: The table.
        column: The only column of text; None for a column with a usual name.
    """
    try:
        with corpus_errors(path), closing(iter_lines(path)) as lines:
            header = next(lines, b"").decode("utf-8", "replace")
    except CorpusError:
        return False
    return any(name in header for name in WORD_COLUMNS if column in (None, name))
