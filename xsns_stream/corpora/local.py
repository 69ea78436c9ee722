"""Corpora of local files: a folder with one file a language, or files named one by one.

The name of a language never becomes part of a path: a folder is listed, and the languages are what its files'
names say.
"""

from __future__ import annotations

import atexit
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from xsns_stream.corpora.columns import WORD_COLUMNS
from xsns_stream.corpora.decoding import A_FOLDER, lines, not_regular, readable
from xsns_stream.corpora.examples import Tell, Unit, draw_examples, ignore
from xsns_stream.corpora.file_names import (
    SPLIT_WORDS,
    NotRead,
    Shard,
    joined_note,
    language_of,
    missing_shards,
    shard_of,
    treebank_files,
)
from xsns_stream.corpora.labels import label_union
from xsns_stream.corpora.readers import SUFFIXES, check_usable, json_reason, read_units, split_suffix
from xsns_stream.corpora.running_text import RUNNING
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import normalise, pick
from xsns_stream.types import LanguageSample, TextExample

# Universal Dependencies names its files en_ewt-ud-train.conllu.
_TREEBANK: Final = re.compile(r"(?P<language>[a-z]{2,3})_[a-z0-9]+-(?:ud-)?(?P<split>train|dev|test)")
_DEFAULT_SPLIT: Final = "train"
#: What the files of treebanks in folders share, which are one text.
_IN_FOLDERS: Final = "treebanks/"
_BLOCK: Final = 2**20
#: Files of more bytes take minutes to read; the user is told.
_LARGE: Final = 2**28


@dataclass(frozen=True)
class LocalCorpus:
    """Files of text, one a language, or several shards.

    Attributes:
        name: For provenance, as `folder(ntrex)`; holds no absolute path.
        files: Normalised code → file, or shards in their order.
        text_column: The column that holds the text, in files that have columns.
        not_read: Files and folders of the folder that are left out, with the reasons.
        labels: None reads no labels, `auto` those that each kind of file has, else the column that holds them.
        unclear: Normalised code → why it cannot be read: two files are its, or shards are missing.
        notes: Sentences on file names that are read as another language than a glance would say.
        words: How text without labels that is split into words is read: as `running` text, or as `given`.
        folder: The folder that the files are in; None for files named one by one.
        joined: Normalised code → the treebanks that are read as one text, as the name has them: `en_ewt+en_gum`.
    """

    name: str
    files: Mapping[str, tuple[Path, ...]] = field(repr=False)
    text_column: str | None = None
    not_read: tuple[NotRead, ...] = ()
    labels: str | None = None
    unclear: Mapping[str, CorpusError] = field(default_factory=dict, repr=False, compare=False)
    notes: tuple[str, ...] = ()
    words: str = RUNNING
    folder: Path | None = field(default=None, repr=False, compare=False)
    joined: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    #: Reading needs no network.
    local = True

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of the folder's files that are not read."""
        return tuple(each.file for each in self.not_read if not each.file.endswith("/"))

    def languages(self) -> tuple[str, ...]:
        """Return the normalised codes, sorted; those too of which the files are unclear."""
        return tuple(sorted({*self.files, *self.unclear}))

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` examples without replacement; all of them where there are fewer.

        The whole text is read first, so that the draw depends on its distinct lines and `seed` alone.

        Args:
            language: Code of the language.
            count: |D|, at least 1.
            seed: Any integer ≥ 0; a larger count with the same seed extends a smaller one.

        Raises:
            LanguageError: The corpus has no such language.
            CorpusError: The text cannot be read, nothing in it is usable, or it is unclear which file is meant.
        """
        code = pick(language, self.languages(), self.name)
        paths = self._paths(code)
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        labelled = self.labels is not None
        name = f"{paths[0].name}{more}"
        notes: dict[str, None] = {}
        units = partial(self._units, code, notes.setdefault)
        examples, counts = draw_examples(units, count, seed, name, labelled=labelled, words=self.words)
        check_usable(counts, name)
        source = f"{paths[0].parent.resolve().name}/{name}"
        return LanguageSample(code, examples, source, counts, tuple(notes))

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the labels in all files, sorted; empty without labels, and where they are answers.

        All languages count, whichever are asked for, so that the k-th name is the same for each.

        Raises:
            CorpusError: No file has labels that can be read.
        """
        return () if self.labels is None else label_union(self.languages(), self._units)

    def choosing(self, pairs: Sequence[str]) -> LocalCorpus:
        """Return the corpus with the files of some languages given as `language=path`.

        Raises:
            LanguageError: What stands before `=` is no language.
            CorpusError: A file is missing, or two are given for one language.
        """
        chosen = _given(pairs)
        named = [f"{code}={paths[0].name}" for code, paths in sorted(chosen.items())]
        taken = {path.resolve() for paths in chosen.values() for path in paths}
        folder = self.folder
        left = tuple(each for each in self.not_read if folder is None or (folder / each.file).resolve() not in taken)
        name = self.name
        for code in chosen.keys() & self.joined.keys():
            name = name.replace(f", {code}={self.joined[code]}", "", 1)
        joined = {code: names for code, names in self.joined.items() if code not in chosen}
        dropped, kept = set(joined_note(_parts(self.joined))), tuple(joined_note(_parts(joined)))
        return replace(
            self,
            name=f"{name[:-1]}, {', '.join(named)})",
            notes=(*(note for note in self.notes if note not in dropped), *kept),
            joined=joined,
            files={**self.files, **chosen},
            unclear={code: error for code, error in self.unclear.items() if code not in chosen},
            not_read=left,
        )

    def _paths(self, code: str) -> tuple[Path, ...]:
        if code in self.unclear:
            raise self.unclear[code]
        return self.files[code]

    def _units(self, code: str, tell: Tell = ignore) -> Iterator[Unit]:
        for path in self._paths(code):
            yield from read_units(path, self.text_column, self.labels, tell)


def open_folder(
    folder: Path,
    text_column: str | None = None,
    split: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
) -> LocalCorpus:
    """Open a folder in which each file is named by its language: `sw.txt`, `zho_Hant.jsonl`, `english.parquet`.

    CoNLL-U files may also be named as Universal Dependencies names them (`sw_treebank-ud-train.conllu`); then
    those of one split are taken. Shards (`de-00000-of-00002.parquet`) are one text. Subfolders with such CoNLL-U files
    (`UD_Swahili-Treebank/`) are treebanks, and those of one language are one text.

    Args:
        folder: The folder; other subfolders than those of treebanks are not read.
        text_column: The column that holds the text, in files that have columns.
        split: `train`, `dev` or `test` of Universal Dependencies files; None is `train` where there are any.
        labels: As in :class:`LocalCorpus`.
        words: As in :class:`LocalCorpus`.

    Raises:
        CorpusError: The folder cannot be read, or no file in it is named by a language.
    """
    try:
        entries = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise CorpusError(f"the folder '{folder}' cannot be read ({error.strerror}).") from error
    found = _Found(split)
    for name in entries:
        what = not_regular(folder / name)
        if what == A_FOLDER:
            found.take_folder(folder / name)
        elif what:
            found.not_read.append(NotRead(name, what))
        else:
            found.take(name)
    found.not_read += found.beside_treebanks
    if not found.groups:
        raise _no_files(folder, [each for each in found.not_read if not each.file.endswith("/")], split)
    settings = {"text_column": text_column, "split": (split or _DEFAULT_SPLIT) if found.treebanks else None}
    files, unclear = found.files(folder)
    said = _words_in_name((path for paths in files.values() for path in paths), text_column, labels, words)
    joined = {code: "+".join(names) for code, names in found.banks.items() if code in files and len(names) > 1}
    corpus = corpus_name("folder", folder.resolve().name, **settings, **joined, labels=labels, words=said)
    notes = (*found.notes(files), *joined_note(_parts(joined)))
    left = tuple(found.not_read)
    return LocalCorpus(corpus, files, text_column, left, labels, unclear, notes, words, folder, joined)


def _parts(joined: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each code with the names of its treebanks."""
    return ((code, names.split("+")) for code, names in joined.items())


def _conllu_suffix(name: str) -> str | None:
    """Return the suffix of a name of CoNLL-U, compressed or not; None for others."""
    parts = split_suffix(name)
    return parts[1] if parts and parts[1].startswith(".conllu") else None


class _Found:
    """What the names of a folder's files say.

    Args:
        split: As in :func:`open_folder`.
    """

    def __init__(self, split: str | None) -> None:
        self.split = split
        self.not_read: list[NotRead] = []
        self.treebanks = False
        #: Code → what the files of one text share in their names → the files.
        self.groups: dict[str, dict[str, list[tuple[str, Shard | None]]]] = {}
        #: Code → the treebanks in folders of their own, in the order of the folders' names.
        self.banks: dict[str, dict[str, None]] = {}
        #: Files that stand beside those of treebanks: a folder of Universal Dependencies has several.
        self.beside_treebanks: list[NotRead] = []
        self._said: dict[str, str] = {}

    def take_folder(self, folder: Path) -> None:
        """Sort the files of a treebank's folder in; a folder of other files is left out."""
        files, others = treebank_files(folder, _conllu_suffix)
        if not files:
            self.not_read.append(NotRead(f"{folder.name}/", "a folder"))
            return
        self.treebanks = True
        wanted = self.split or _DEFAULT_SPLIT
        for each in files:
            name = f"{folder.name}/{each.path.name}"
            reason = f"its split is not {wanted}" if each.split != wanted else not_regular(each.path)
            if not reason:
                try:
                    code, _ = language_of(each.language)
                except LanguageError as error:
                    reason = error.message.rstrip(".")
            if reason:
                self.not_read.append(NotRead(name, reason))
                continue
            self.groups.setdefault(code, {}).setdefault(_IN_FOLDERS, []).append((name, None))
            self.banks.setdefault(code, {})[each.treebank] = None
        reason = "no CoNLL-U file of a treebank, or one of them again"
        self.beside_treebanks += [NotRead(f"{folder.name}/{path.name}", reason) for path in others]

    def take(self, name: str) -> None:
        """Sort a file in by its name."""
        parts = split_suffix(name)
        if parts is None:
            self.not_read.append(NotRead(name, json_reason(name) or "its suffix is not one that can be read"))
            return
        stem, suffix = parts
        treebank = _TREEBANK.fullmatch(stem) if suffix.startswith(".conllu") else None
        wanted = self.split or _DEFAULT_SPLIT
        if treebank:
            self.treebanks = True
            if treebank["split"] != wanted:
                self.not_read.append(NotRead(name, f"its split is not {wanted}"))
                return
            stem = treebank["language"]
        elif self.split is not None:
            # A split that was asked for must not be ignored, so files that have none are then left out.
            self.not_read.append(NotRead(name, f"its name does not say that its split is {wanted}"))
            return
        shard = shard_of(stem)
        try:
            code, said = language_of(shard.stem if shard else stem)
        except LanguageError as error:
            self.not_read.append(NotRead(name, error.message.rstrip(".")))
            return
        text = f"{shard.stem} of {shard.total}{suffix}" if shard else name
        self.groups.setdefault(code, {}).setdefault(text, []).append((name, shard))
        if said:
            self._said[name] = said

    def files(self, folder: Path) -> tuple[dict[str, tuple[Path, ...]], dict[str, CorpusError]]:
        """Return {code: files in their order} and {code: why it is unclear which}."""
        files: dict[str, tuple[Path, ...]] = {}
        unclear: dict[str, CorpusError] = {}
        for code, texts in self.groups.items():
            names = [name for group in texts.values() for name, _ in group]
            shards = [shard for group in texts.values() for _, shard in group if shard]
            if len(texts) > 1:
                unclear[code] = _two_files(code, [group[0][0] for group in texts.values()], folder)
            elif shards and (lacking := missing_shards((shard.number for shard in shards), shards[0].total)):
                unclear[code] = _missing(code, names, shards[0].total, lacking)
            else:
                group = sorted(next(iter(texts.values())), key=lambda each: each[1].number if each[1] else 0)
                files[code] = tuple(folder / name for name, _ in group)
        return files, unclear

    def notes(self, files: Mapping[str, tuple[Path, ...]]) -> Iterator[str]:
        """Yield a sentence on names that are read as another language, and one on files that are large."""
        if self._said:
            yield f"{'; '.join(f'{name} {said}' for name, said in self._said.items())}."
        large = [path.name for paths in files.values() for path in paths if path.stat().st_size > _LARGE]
        if large:
            listed = ", ".join(large[:5]) + (" …" if len(large) > 5 else "")
            yield f"large files are read twice, which may take minutes each: {listed}."


def open_files(
    pairs: Sequence[str], text_column: str | None = None, labels: str | None = None, words: str = RUNNING
) -> LocalCorpus:
    """Open files given as `language=path`.

    Args:
        pairs: One or more pairs, as `sw=texts/swahili.txt`. A pipe is copied to a temporary file, since text is read
            more than once.
        text_column: The column that holds the text, in files that have columns.
        labels: As in :class:`LocalCorpus`.
        words: As in :class:`LocalCorpus`.

    Raises:
        LanguageError: What stands before `=` is no language.
        CorpusError: A file is missing, or two are given for one language.
    """
    files = _given(pairs)
    said = _words_in_name((path for paths in files.values() for path in paths), text_column, labels, words)
    name = corpus_name("files", text_column=text_column, labels=labels, words=said)
    return LocalCorpus(name, files, text_column, labels=labels, words=words)


def _given(pairs: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Return {normalised code: its file} of pairs `language=path`."""
    split_pairs = [pair.partition("=") for pair in pairs]
    for _, _, path in split_pairs:
        if _is_pipe(path):
            continue
        what = not_regular(Path(path)) if Path(path).exists() else ""
        if what:
            raise CorpusError(f"'{path}' is {what}, not a file of text.", "give a file, or a pipe that ends.")
        if not Path(path).exists():
            raise CorpusError(f"there is no file '{path}'.", "pairs are written language=path, as sw=swahili.txt.")
    found: dict[str, str] = {}
    for language, _, path in split_pairs:
        code = normalise(language)
        if code in found:
            raise CorpusError(f"both {found[code]} and {path} are language '{code}'.", "give one file a language.")
        found[code] = path
    return {code: (_spooled(path) if _is_pipe(path) else Path(path),) for code, path in found.items()}


def _is_pipe(path: str) -> bool:
    """Say whether a path is a pipe, or standard input: text that can be read once, and has no suffix."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and path.startswith(("/dev/", "/proc/self/fd/")))


def _spooled(path: str) -> Path:
    """Return a temporary file that holds what a pipe gives: plain text."""
    spool = tempfile.TemporaryDirectory(prefix="xsns-pipe-")
    atexit.register(spool.cleanup)
    target = Path(spool.name) / "pipe.txt"
    try:
        with Path(path).open("rb") as source, target.open("wb") as copy:
            while block := source.read(_BLOCK):
                copy.write(block)
    except OSError as error:
        raise CorpusError(f"the pipe '{path}' cannot be read ({error.strerror}).", "write it to a file.") from error
    return target


def _words_in_name(paths: Iterable[Path], column: str | None, labels: str | None, words: str) -> str | None:
    """Return what a corpus's name says of words: how they are read, where any file is split into words; else None.

    So that rows of running text, rows of words as given, and rows of versions that knew words as given alone never
    share a store, and stores of plain text keep the name that they have.
    """
    if labels is None and any(_holds_words(path, column) for path in paths):
        return words
    return None


def _holds_words(path: Path, column: str | None) -> bool:
    """Say whether a file's texts are split into words, as its first text is; False where it cannot be read."""
    parts = split_suffix(path.name)
    if parts is None:
        return False
    if parts[1].startswith(".conllu"):
        return True
    if parts[1].startswith((".csv", ".tsv")):
        if not _may_hold_words(path, column):
            return False
    elif not parts[1].startswith((".jsonl", ".parquet")):
        return False
    try:
        texts = (unit.text for unit in read_units(path, column) if isinstance(unit, TextExample))
        return isinstance(next(filter(None, texts), ""), tuple)
    except CorpusError:
        return False


def _may_hold_words(path: Path, column: str | None) -> bool:
    """Say whether the header of a table names a column of words, which it may hold as lists written as text."""
    try:
        with readable(path), closing(lines(path)) as found:
            header = next(found, b"").decode("utf-8", "replace")
    except CorpusError:
        return False
    return any(name in header for name in WORD_COLUMNS if column in (None, name))


def corpus_name(kind: str, *what: str, **settings: str | None) -> str:
    """Return a corpus's name in provenance, as `folder(ud, split=dev)`; None is left out."""
    parts = [*what, *(f"{key}={value}" for key, value in settings.items() if value is not None)]
    return f"{kind}({', '.join(parts)})" if parts else kind


def _two_files(code: str, names: Sequence[str], folder: Path) -> CorpusError:
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    each = "both " if len(names) == 2 else ""
    return CorpusError(
        f"{each}{listed} are language '{code}'.",
        f"choose one with a further --corpus {code}={folder / names[0]} (recorded, so that it needs a new store), "
        "keep one of them in the folder, or tell them apart in the name (as sr-Latn and sr-Cyrl).",
    )


def _missing(code: str, names: Sequence[str], total: int, lacking: Sequence[int]) -> CorpusError:
    numbers = ", ".join(f"{number:05d}" for number in lacking[:5]) + (" …" if len(lacking) > 5 else "")
    return CorpusError(
        f"'{code}' has {len(names)} of {total} shards ({names[0]}{', …' if len(names) > 1 else ''}); "
        f"missing: {numbers}.",
        "bring the missing files, or give one file: --corpus " + f"{code}={names[0]}",
    )


def _no_files(folder: Path, not_read: Sequence[NotRead], split: str | None) -> CorpusError:
    """Return the error for a folder without any file that could be used."""
    if split is not None:
        return CorpusError(
            f"no CoNLL-U file in '{folder}' is of the split '{split}'.",
            "--split chooses among files named as Universal Dependencies does: sw_x-ud-dev.conllu.",
        )
    if not not_read:
        folders = any(path.is_dir() for path in folder.iterdir())
        labelled = " Labelled data in folders (sw/train.txt) are read with --task." if folders else ""
        return CorpusError(
            f"there is no file in '{folder}'.", f"put in files as sw.txt; suffixes: {SUFFIXES}.{labelled}"
        )
    names = [each.file for each in not_read]
    listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    splits = [name for name in names if (parts := split_suffix(name)) and _is_split(parts[0])]
    if splits:
        return CorpusError(
            f"the files of '{folder}' are named as splits, and it is not said of which language: {listed}.",
            f"say it: --corpus sw={folder / splits[-1]}, or name files as sw.txt; sw-train.txt is read with --task.",
        )
    reasons = "; ".join(f"{each.file}: {each.reason}" for each in not_read[:5])
    return CorpusError(
        f"no file in '{folder}' is named by a language: {listed}.",
        f"{reasons}. Name them as sw.txt or zh-Hant.jsonl, or give language=path pairs; suffixes: {SUFFIXES}.",
    )


def _is_split(stem: str) -> bool:
    shard = shard_of(stem)
    return (shard.stem if shard else stem).lower() in SPLIT_WORDS
