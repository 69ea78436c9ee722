"""Corpora of local files: a folder with one file for each language, or pairs of language and file.

The code of a language never becomes part of a path: a folder is listed, and its languages are read from the file names.
"""

from __future__ import annotations

import atexit
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Final

from xsns_stream.corpora.corpus_names import corpus_name, holds_words, words_setting
from xsns_stream.corpora.decoding import irregular_kind, suffix_of_bytes
from xsns_stream.corpora.examples import AddNote, OnRead, Unit, collect, discard_note, draw_examples
from xsns_stream.corpora.file_names import (
    CODES,
    Naming,
    UnreadFile,
    as_on_disk,
    checked_label,
    joined_treebanks_note,
    other_labels_note,
)
from xsns_stream.corpora.labels import label_union
from xsns_stream.corpora.language_tables import TABLE_SUFFIXES, TableLanguages, TablePart, languages_of_tables
from xsns_stream.corpora.layouts import without_compression
from xsns_stream.corpora.listing import list_folder
from xsns_stream.corpora.readers import check_usable, has_columns, read_units
from xsns_stream.corpora.running_text import RUNNING
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import changed_language, is_label, normalise, pick
from xsns_stream.types import LanguageSample

_BLOCK: Final = 2**20
#: Largest size of a file, in bytes, and number of its first units, that are read to check whether it can be read.
_OPENED: Final = 2**26
_FIRST_UNITS: Final = 1000


@dataclass(frozen=True)
class LocalCorpus:
    """A corpus of files: one file, or several shards, for each language.

    Attributes:
        name: Name for provenance, such as `folder(ntrex)`; without absolute paths.
        files: Normalised code → file, or shards in their order.
        text_column: The column that contains the text, in files that have columns. Other files ignore this setting.
        not_read: Files and subfolders of the folder that are left out, with the reasons.
        labels: None for no labels, `auto` for the usual labels of each format, or the column that contains the labels.
        unclear: Normalised code → the reason why the language cannot be read: it has two files, or shards are missing.
        notes: Sentences on file names that are read as an unexpected language.
        words: How unlabelled texts that are split into words are read: as `running` text, or with the words as `given`.
        folder: The folder of the files; None for pairs of language and file.
        joined: Normalised code → treebanks that are read as one text, such as `en_ewt+en_gum`.
        naming: Rule for the labels of the files, which are normalised codes by default.
        parts: Normalised code → the part of its tables that is its text, for tables with several languages.
        other_splits: Normalised code → its splits, for languages in the folder that lack the split that is read.
    """

    name: str
    files: Mapping[str, tuple[Path, ...]] = field(repr=False)
    text_column: str | None = None
    not_read: tuple[UnreadFile, ...] = ()
    labels: str | None = None
    unclear: Mapping[str, CorpusError] = field(default_factory=dict, repr=False, compare=False)
    notes: tuple[str, ...] = ()
    words: str = RUNNING
    folder: Path | None = field(default=None, repr=False, compare=False)
    joined: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    naming: Naming = field(default=CODES, repr=False, compare=False)
    parts: Mapping[str, TablePart] = field(default_factory=dict, repr=False, compare=False)
    other_splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)

    #: Reading needs no network.
    local = True

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the files of the folder that are not read."""
        return tuple(each.file for each in self.not_read if not each.file.endswith("/"))

    def languages(self) -> tuple[str, ...]:
        """Return the sorted normalised codes, including those of languages whose files are unclear."""
        return tuple(sorted({*self.files, *self.unclear}))

    def sample(self, language: str, count: int, seed: int, on_read: OnRead | None = None) -> LanguageSample:
        """Draw `count` examples without replacement; all examples if there are fewer.

        The whole text is read first, so that the draw depends only on its distinct examples and `seed`.

        Args:
            language: Code of the language.
            count: |D|, at least 1.
            seed: Any integer ≥ 0; a larger count with the same seed extends a smaller one.
            on_read: Function that takes the number of lines, rows or sentences that were read so far. A large text is
                read twice.

        Raises:
            LanguageError: The corpus does not have the language.
            CorpusError: The text cannot be read or has no usable example, or it is unclear which file to read.
        """
        code = pick(language, self.languages(), self.name)
        paths = self._paths(code)
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        labelled = self.labels is not None
        name = f"{paths[0].name}{more}"
        notes: dict[str, None] = {}
        units = partial(self._units, code, notes.setdefault)
        examples, counts = draw_examples(units, count, seed, name, labelled=labelled, words=self.words, on_read=on_read)
        check_usable(counts, name, paths[0])
        source = f"{paths[0].parent.resolve().name}/{name}"
        return LanguageSample(code, examples, source, counts, tuple(notes))

    def label_names(self) -> tuple[str, ...]:
        """Return the sorted names of the labels in all files; empty if no labels are read, or if they are answers.

        The labels of all languages are returned, independently of the languages in use. The k-th name is therefore
        always the same.

        Raises:
            CorpusError: No file has labels that can be read.
        """
        return () if self.labels is None else label_union(self.languages(), self._units)

    def with_files(self, pairs: Sequence[str]) -> LocalCorpus:
        """Return the corpus with the files of some languages replaced or added, each given as `language=path`.

        Raises:
            LanguageError: The text before `=` is not a language.
            CorpusError: A file is missing, or two of the pairs are for one language.
        """
        # Labels of the folder's files were checked when the folder was opened.
        given, changed = _files_of_pairs(pairs, self.naming, only_pairs=False)
        named = [f"{code}={paths[0].name}" for code, paths in sorted(given.items())]
        given_paths = {path.resolve() for paths in given.values() for path in paths}
        folder = self.folder
        not_read = tuple(
            each for each in self.not_read if folder is None or (folder / each.file).resolve() not in given_paths
        )
        name = self.name
        for code in given.keys() & self.joined.keys():
            name = name.replace(f", {code}={self.joined[code]}", "", 1)
        joined = {code: names for code, names in self.joined.items() if code not in given}
        old_notes = set(joined_treebanks_note(_treebanks_by_code(self.joined)))
        new_notes = tuple(joined_treebanks_note(_treebanks_by_code(joined)))
        return replace(
            self,
            name=f"{name[:-1]}, {', '.join(named)})",
            notes=(*(note for note in self.notes if note not in old_notes), *new_notes, *changed),
            joined=joined,
            files={**self.files, **given},
            unclear={code: error for code, error in self.unclear.items() if code not in given},
            not_read=not_read,
            other_splits={code: splits for code, splits in self.other_splits.items() if code not in given},
        )

    def refused(self) -> dict[str, CorpusError]:
        """Return {code: error} of the languages whose files cannot be read; only the beginnings of files are checked.

        Files of more than 64 MiB are not opened, because some formats are read as a whole.
        """
        found: dict[str, CorpusError] = {}
        for code in self.languages():
            try:
                paths = self._paths(code)
                if all(path.stat().st_size <= _OPENED for path in paths):
                    beginning = islice(self._units(code), _FIRST_UNITS)
                    _, counts = collect(beginning, labelled=self.labels is not None, words=self.words)
                    check_usable(counts, paths[0].name, paths[0])
            except CorpusError as error:
                found[code] = error
            except OSError as error:
                found[code] = CorpusError(
                    f"{paths[0].name} cannot be read ({error.strerror or error}).",
                    "check the file and its permissions.",
                )
        return found

    def _paths(self, code: str) -> tuple[Path, ...]:
        if code in self.unclear:
            raise self.unclear[code]
        return self.files[code]

    @cached_property
    def without_columns(self) -> frozenset[Path]:
        """Files of text among tables, to which `text_column` does not apply; empty if no file is a table."""
        if self.text_column is None or self.parts:
            return frozenset()
        paths = [path for paths in self.files.values() for path in paths]
        text = frozenset(path for path in paths if not has_columns(path))
        return text if len(text) < len(paths) else frozenset()

    def _units(self, code: str, add_note: AddNote = discard_note) -> Iterator[Unit]:
        part = self.parts.get(code)
        column, rows = (part.text_column, part.rows) if part else (self.text_column, None)
        for path in self._paths(code):
            own = None if path in self.without_columns else column
            yield from read_units(path, own, self.labels, add_note, rows)


# ----------------------------------------------------------------------------------------- folders


def open_folder(
    folder: Path,
    text_column: str | None = None,
    split: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
    naming: Naming = CODES,
    treebank: str | None = None,
) -> LocalCorpus:
    """Open a folder of files that are named by their language: `sw.txt`, `zho_Hant.jsonl`, `english.parquet`.

    CoNLL-U files may also have the names of Universal Dependencies (`sw_treebank-ud-train.conllu`); then the files of
    one split are read. Shards (`de-00000-of-00002.parquet`) are one text. Subfolders with such CoNLL-U files
    (`UD_Swahili-Treebank/`) are treebanks; all treebanks of one language are one text.

    Args:
        folder: The folder. Subfolders are read if they are treebanks or have a layout of
            :mod:`~xsns_stream.corpora.layouts`.
        text_column: The column that contains the text, in files that have columns.
        split: `train`, `dev` or `test` of Universal Dependencies files; None for `train`.
        labels: See :class:`LocalCorpus`.
        words: See :class:`LocalCorpus`.
        naming: Rule for the labels of the files. It is not part of the name of the corpus, because the text of a file
            does not depend on its label.
        treebank: The treebanks to read in languages that have several treebanks, such as `GSD`; None for all treebanks.

    Raises:
        CorpusError: The folder cannot be read, no file in it is named by a language, or there is no such treebank.
    """
    listing = list_folder(folder, split, naming, treebank)
    settings = {"text_column": text_column, "split": listing.split_read}
    files, unclear = listing.files(folder)
    setting = words_setting((path for paths in files.values() for path in paths), text_column, labels, words)
    several = {code: tuple(names) for code, names in listing.treebanks.items() if len(names) > 1} | listing.chosen
    joined = {code: "+".join(names) for code, names in sorted(several.items()) if code in files}
    name = corpus_name("folder", folder.resolve().name, **settings, **joined, labels=labels, words=setting)
    notes = (*listing.notes(files), *joined_treebanks_note(_treebanks_by_code(joined)))
    not_read = tuple(listing.not_read)
    return LocalCorpus(
        name,
        files,
        text_column,
        not_read,
        labels,
        unclear,
        notes,
        words,
        folder,
        joined,
        naming,
        other_splits=listing.other_splits,
    )


def _treebanks_by_code(joined: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield (code, names of its treebanks) for `joined`, {code: names of its treebanks joined by `+`}."""
    return ((code, names.split("+")) for code, names in joined.items())


# ------------------------------------------------------------------- tables with several languages


def open_table(
    path: Path,
    text_column: str | None = None,
    language_column: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
    naming: Naming = CODES,
) -> LocalCorpus:
    """Open a table with several languages, or a folder of such tables.

    Args:
        path: The table, or a folder of tables, which are read in the order of their names.
        text_column: The column that contains the text. `{lang}` means the language if each language has a separate
            column: `translation.{lang}`.
        language_column: The column that contains the language of each row.
        labels: See :class:`LocalCorpus`.
        words: See :class:`LocalCorpus`.
        naming: Rule for the labels of the languages.

    Raises:
        CorpusError: A table cannot be read, or has no language.
        UsageError: `language_column` is given, and `text_column` contains `{lang}`.
    """
    tables, others = _tables_of(path)
    found = languages_of_tables(tables, text_column, language_column, naming)
    return LocalCorpus(
        name=_table_name("table", path.resolve().name, found, text_column, language_column, labels, words),
        files=found.files,
        text_column=text_column,
        not_read=(*others, *found.not_read),
        labels=labels,
        unclear=found.unclear,
        notes=found.notes(),
        words=words,
        naming=naming,
        parts=found.parts,
    )


def open_tables_of_languages(
    pairs: Sequence[str],
    text_column: str | None = None,
    language_column: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
) -> LocalCorpus:
    """Open tables with several languages, given as pairs `language=path`; only this language is read from each table.

    Raises:
        LanguageError: The text before `=` is not a language, or a table does not contain it.
        CorpusError: A table is missing or cannot be read.
        UsageError: `language_column` is given, and `text_column` contains `{lang}`.
    """
    chosen = TableLanguages()
    for code, paths in _files_of_pairs(pairs, CODES)[0].items():
        found = languages_of_tables(paths, text_column, language_column)
        if code in found.unclear:
            raise found.unclear[code]
        pick(code, tuple(found.files), paths[0].name)
        chosen.files[code], chosen.parts[code] = paths, found.parts[code]
    return LocalCorpus(
        name=_table_name("files", None, chosen, text_column, language_column, labels, words),
        files=chosen.files,
        text_column=text_column,
        labels=labels,
        words=words,
        parts=chosen.parts,
    )


def _table_name(
    kind: str,
    name: str | None,
    found: TableLanguages,
    text_column: str | None,
    language_column: str | None,
    labels: str | None,
    words: str,
) -> str:
    setting = None
    if labels is None and any(
        holds_words(path, found.parts[code].text_column) for code, paths in found.files.items() for path in paths
    ):
        setting = words
    settings = {"text_column": text_column, "language_column": language_column, "labels": labels, "words": setting}
    return corpus_name(kind, *([name] if name else []), **settings)


def _tables_of(path: Path) -> tuple[list[Path], list[UnreadFile]]:
    """Return the tables at a path, and the other files if the path is a folder."""
    if not path.is_dir():
        return [path], []
    tables: list[Path] = []
    others: list[UnreadFile] = []
    for each in sorted(entry for entry in path.iterdir() if not entry.name.startswith(".")):
        kind = irregular_kind(each)
        if not kind and without_compression(each.name).lower().endswith(TABLE_SUFFIXES):
            tables.append(each)
        else:
            others.append(UnreadFile(f"{each.name}/" if each.is_dir() else each.name, kind or "not a table"))
    if not tables:
        raise CorpusError(f"there is no table in '{path}'.", f"suffixes of tables: {', '.join(TABLE_SUFFIXES)}.")
    return tables, others


# ------------------------------------------------------------------------------- files one by one


def open_files(
    pairs: Sequence[str],
    text_column: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
    naming: Naming = CODES,
) -> LocalCorpus:
    """Open files given as `language=path`.

    Args:
        pairs: One or more pairs, such as `sw=texts/swahili.txt`. A pipe is copied to a temporary file, since text is
            read more than once.
        text_column: The column that contains the text, in files that have columns.
        labels: See :class:`LocalCorpus`.
        words: See :class:`LocalCorpus`.
        naming: Rule for the labels of the texts before `=`.

    Raises:
        LanguageError: The text before `=` is not a language.
        CorpusError: A file is missing, or two of the pairs are for one language.
    """
    files, notes = _files_of_pairs(pairs, naming)
    setting = words_setting((path for paths in files.values() for path in paths), text_column, labels, words)
    name = corpus_name("files", text_column=text_column, labels=labels, words=setting)
    return LocalCorpus(name, files, text_column, labels=labels, words=words, notes=notes, naming=naming)


def _files_of_pairs(
    pairs: Sequence[str], naming: Naming, *, only_pairs: bool = True
) -> tuple[dict[str, tuple[Path, ...]], tuple[str, ...]]:
    """Return {label: its file} for pairs `language=path`, and notes on their labels.

    Args:
        pairs: The pairs.
        naming: The rule for labels.
        only_pairs: Whether these pairs are the whole corpus, and not additions to a folder. If so, a label that
            `naming` gives to any other file is refused; see :meth:`Naming.refuse_unused`.
    """
    parts = [pair.partition("=") for pair in pairs]
    split_pairs = [(language, equals, as_on_disk(path)) for language, equals, path in parts]
    for _, _, path in split_pairs:
        if _is_pipe(path):
            continue
        kind = irregular_kind(Path(path)) if Path(path).exists() else ""
        if kind:
            raise CorpusError(f"'{path}' is {kind}, not a file of text.", "give a file or a pipe.")
        if not Path(path).exists():
            raise CorpusError(f"there is no file '{path}'.", "write pairs as language=path, such as sw=swahili.txt.")
    path_of: dict[str, str] = {}
    changed: dict[str, str] = {}
    for language, _, path in split_pairs:
        code = _label_of_pair(language, path, naming)
        if code in path_of:
            raise CorpusError(
                f"{path_of[code]} and {path} both mean the language '{code}'.",
                "give one file per language, or use the texts before = as labels with --labels-as-given.",
            )
        path_of[code] = path
        if not naming.as_given and (note := changed_language(language, code)):
            changed[language] = f"'{language}' {note}."
    if only_pairs:
        naming.refuse_unused(path_of.values(), list(path_of.values()), "the pairs")
    files: dict[str, tuple[Path, ...]] = {
        code: (_copy_of_pipe(path) if _is_pipe(path) else Path(path),) for code, path in path_of.items()
    }
    return files, (*changed.values(), *other_labels_note(files))


def _label_of_pair(language: str, path: str, naming: Naming) -> str:
    """Return the label of a pair `language=path`.

    Raises:
        LanguageError: The text is not a language, or cannot be a label.
    """
    if path in naming.given:
        return naming.given[path]
    if naming.as_given:
        return checked_label(language.strip())
    try:
        return normalise(language)
    except LanguageError as error:
        kept = " To use it as a label, add --labels-as-given." if is_label(language) else ""
        raise LanguageError(error.message, f"{error.hint}{kept}") from None


def _is_pipe(path: str) -> bool:
    """Return whether a path is a pipe or standard input, which can be read only once and has no suffix."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and path.startswith(("/dev/", "/proc/self/fd/")))


def _copy_of_pipe(path: str) -> Path:
    """Copy a pipe to a temporary file and return its path; the first bytes of the contents determine its suffix."""
    folder = tempfile.TemporaryDirectory(prefix="xsns-pipe-")
    atexit.register(folder.cleanup)
    try:
        with Path(path).open("rb") as source:
            block = source.read(_BLOCK)
            target = Path(folder.name) / f"pipe{suffix_of_bytes(block)}"
            with target.open("wb") as copy:
                while block:
                    copy.write(block)
                    block = source.read(_BLOCK)
    except OSError as error:
        raise CorpusError(f"the pipe '{path}' cannot be read ({error.strerror}).", "write it to a file.") from error
    return target
