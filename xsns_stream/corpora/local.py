"""Corpora of local files: a folder with one file a language, or files named one by one.

The name of a language never becomes part of a path: a folder is listed, and the languages are what its files'
names say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from xsns_stream.corpora.labels import label_union
from xsns_stream.corpora.readers import SUFFIXES, read_text, read_units, split_suffix
from xsns_stream.corpora.running_text import RUNNING
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import normalise, pick
from xsns_stream.types import LanguageSample, TextExample

# Universal Dependencies names its files en_ewt-ud-train.conllu.
_TREEBANK: Final = re.compile(r"(?P<language>[a-z]{2,3})_[a-z0-9]+-(?:ud-)?(?P<split>train|dev|test)")
_DEFAULT_SPLIT: Final = "train"


@dataclass(frozen=True)
class LocalCorpus:
    """Files of text, one a language.

    Attributes:
        name: For provenance, as `folder(ntrex)`; holds no absolute path.
        files: Normalised code → file.
        text_column: The column that holds the text, in files that have columns.
        skipped: Names of the folder's files that are not read: they name no language, or another split.
        labels: None reads no labels, `auto` those that each kind of file has, else the column that holds them.
        words: How text without labels that is split into words is read: as `running` text, or as `given`.
    """

    name: str
    files: Mapping[str, Path] = field(repr=False)
    text_column: str | None = None
    skipped: tuple[str, ...] = ()
    labels: str | None = None
    words: str = RUNNING

    #: Reading needs no network.
    local = True

    def languages(self) -> tuple[str, ...]:
        """Return the normalised codes, sorted."""
        return tuple(sorted(self.files))

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` examples without replacement; all of them where there are fewer.

        The whole file is read first, so that the draw depends on its distinct lines and `seed` alone.

        Args:
            language: Code of the language.
            count: |D|, at least 1.
            seed: Any integer ≥ 0; a larger count with the same seed extends a smaller one.

        Raises:
            LanguageError: The corpus has no such language.
            CorpusError: The file cannot be read or nothing in it is usable.
        """
        code = pick(language, self.languages(), self.name)
        return read_text(code, self.files[code], self.text_column, self.labels, self.words).draw(count, seed)

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the labels in all files, sorted; empty without labels, and where they are answers.

        All languages count, whichever are asked for, so that the k-th name is the same for each.

        Raises:
            CorpusError: No file has labels that can be read.
        """
        if self.labels is None:
            return ()
        return label_union(self.languages(), lambda code: read_units(self.files[code], self.text_column, self.labels))


def open_folder(
    folder: Path,
    text_column: str | None = None,
    split: str | None = None,
    labels: str | None = None,
    words: str = RUNNING,
) -> LocalCorpus:
    """Open a folder in which each file is named by its language: `sw.txt`, `zho_Hant.jsonl`, `pt-BR.parquet`.

    CoNLL-U files may also be named as Universal Dependencies names them (`sw_treebank-ud-train.conllu`); then
    those of one split are taken.

    Args:
        folder: The folder; its subfolders are not looked into.
        text_column: The column that holds the text, in files that have columns.
        split: `train`, `dev` or `test` of Universal Dependencies files; None is `train` where there are any.
        labels: As in :class:`LocalCorpus`.
        words: As in :class:`LocalCorpus`.

    Raises:
        CorpusError: The folder cannot be read, no file in it is named by a language, or two by the same.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise CorpusError(f"the folder '{folder}' cannot be read ({error.strerror}).") from error
    names = [name for name in names if not name.startswith(".")]
    treebanks = {name: match for name in names if (match := _treebank(name))}
    wanted = split or _DEFAULT_SPLIT
    # A split that was asked for must not be ignored, so files that have none are then left out.
    codes = {name: match["language"] for name, match in treebanks.items() if match["split"] == wanted}
    if split is None:
        codes |= {name: parts[0] for name in names if name not in treebanks and (parts := split_suffix(name))}
    files, skipped = _by_language((name, code, folder / name) for name, code in codes.items())
    skipped = tuple(name for name in names if name not in codes or name in skipped)
    if not files:
        raise _no_files(folder, skipped, split)
    settings = {"text_column": text_column, "split": wanted if treebanks else None, "labels": labels}
    settings["words"] = _words_in_name(files.values(), text_column, labels, words)
    name = corpus_name("folder", folder.resolve().name, **settings)
    return LocalCorpus(name, files, text_column, skipped, labels, words)


def open_files(
    pairs: Sequence[str], text_column: str | None = None, labels: str | None = None, words: str = RUNNING
) -> LocalCorpus:
    """Open files given as `language=path`.

    Args:
        pairs: One or more pairs, as `sw=texts/swahili.txt`.
        text_column: The column that holds the text, in files that have columns.
        labels: As in :class:`LocalCorpus`.
        words: As in :class:`LocalCorpus`.

    Raises:
        LanguageError: What stands before `=` is no language.
        CorpusError: A file is missing, or two are given for one language.
    """
    split_pairs = [pair.partition("=") for pair in pairs]
    for _, _, path in split_pairs:
        if not Path(path).is_file():
            raise CorpusError(f"there is no file '{path}'.", "pairs are written language=path, as sw=swahili.txt.")
    codes = [(path, normalise(language), Path(path)) for language, _, path in split_pairs]
    files, _ = _by_language(codes)
    said = _words_in_name(files.values(), text_column, labels, words)
    name = corpus_name("files", text_column=text_column, labels=labels, words=said)
    return LocalCorpus(name, files, text_column, labels=labels, words=words)


def _words_in_name(paths: Iterable[Path], column: str | None, labels: str | None, words: str) -> str | None:
    """Return what a corpus's name says of words: how they are read, where any file is split into words; else None.

    So that rows of running text, rows of words as given, and rows of versions that knew words as given alone never
    share a store, and stores of plain text keep the name that they have.
    """
    if labels is None and any(_is_split(path, column) for path in paths):
        return words
    return None


def _is_split(path: Path, column: str | None) -> bool:
    """Say whether a file's texts are split into words, as its first text is; False where it cannot be read."""
    if path.name.lower().removesuffix(".gz").endswith(".conllu"):
        return True
    parts = split_suffix(path.name)
    if parts is None or not parts[1].startswith((".jsonl", ".parquet")):
        return False
    try:
        texts = (unit.text for unit in read_units(path, column) if isinstance(unit, TextExample))
        return isinstance(next(filter(None, texts), ""), tuple)
    except CorpusError:
        return False


def corpus_name(kind: str, *what: str, **settings: str | None) -> str:
    """Return a corpus's name in provenance, as `folder(ud, split=dev)`; None is left out."""
    parts = [*what, *(f"{key}={value}" for key, value in settings.items() if value is not None)]
    return f"{kind}({', '.join(parts)})" if parts else kind


def _treebank(name: str) -> re.Match[str] | None:
    parts = split_suffix(name)
    return _TREEBANK.fullmatch(parts[0]) if parts and parts[1].startswith(".conllu") else None


def _by_language(files: Iterable[tuple[str, str, Path]]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return {normalised code: path} and the names of which the code is none.

    Args:
        files: (name to show, code as given, path) of each file.
    """
    found: dict[str, tuple[str, Path]] = {}
    skipped = []
    for name, written, path in files:
        try:
            code = normalise(written)
        except LanguageError:
            skipped.append(name)
            continue
        if code in found:
            raise CorpusError(
                f"both {found[code][0]} and {name} are language '{code}'.",
                "keep one of them, or tell them apart in the name (as sr-Latn and sr-Cyrl).",
            )
        found[code] = (name, path)
    return {code: path for code, (_, path) in found.items()}, tuple(skipped)


def _no_files(folder: Path, skipped: tuple[str, ...], split: str | None) -> CorpusError:
    """Return the error for a folder without any file that could be used."""
    if split is not None:
        return CorpusError(
            f"no CoNLL-U file in '{folder}' is of the split '{split}'.",
            "--split chooses among files named as Universal Dependencies does: sw_x-ud-dev.conllu.",
        )
    if not skipped:
        folders = any(path.is_dir() for path in folder.iterdir())
        labelled = " Labelled data in folders (sw/train.txt) are read with --task." if folders else ""
        return CorpusError(
            f"there is no file in '{folder}'.", f"put in files as sw.txt; suffixes: {SUFFIXES}.{labelled}"
        )
    listed = ", ".join(skipped[:5]) + (" …" if len(skipped) > 5 else "")
    return CorpusError(
        f"no file in '{folder}' is named by a language: {listed}.",
        f"name them as sw.txt or zh-Hant.jsonl, or give language=path pairs; suffixes: {SUFFIXES}.",
    )
