"""The files of a folder, sorted by language from their names.

:func:`list_folder` lists a folder without opening its files, and :class:`FolderListing` holds the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from xsns_stream.corpora.decoding import A_FOLDER, irregular_kind
from xsns_stream.corpora.file_names import (
    SPLIT_WORDS,
    Shard,
    UnreadFile,
    language_of,
    missing_shards,
    shard_of,
    treebank_files,
)
from xsns_stream.corpora.readers import SUFFIXES, json_reason, split_suffix
from xsns_stream.errors import CorpusError, LanguageError

# Universal Dependencies names its files en_ewt-ud-train.conllu.
_TREEBANK: Final = re.compile(r"(?P<language>[a-z]{2,3})_[a-z0-9]+-(?:ud-)?(?P<split>train|dev|test)")
#: The split of treebanks that is read by default.
DEFAULT_SPLIT: Final = "train"
#: Key of the text that the treebanks of a language, each in its folder, make together.
_IN_FOLDERS: Final = "treebanks/"
#: Files of more bytes take minutes to read, and a note warns of it.
_LARGE: Final = 2**28


def list_folder(folder: Path, split: str | None) -> FolderListing:
    """List the files of a folder by language.

    Args:
        folder: The folder; hidden files are ignored.
        split: `train`, `dev` or `test` of Universal Dependencies files; None reads `train` if there are such files.

    Raises:
        CorpusError: The folder cannot be read, or no file in it is named by a language.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise CorpusError(f"the folder '{folder}' cannot be read ({error.strerror}).") from error
    listing = FolderListing(split)
    for name in names:
        kind = irregular_kind(folder / name)
        if kind == A_FOLDER:
            listing.add_folder(folder / name)
        elif kind:
            listing.not_read.append(UnreadFile(name, kind))
        else:
            listing.add_file(name)
    listing.not_read += listing.beside_treebanks
    if not listing.groups:
        raise _no_files(folder, [each for each in listing.not_read if not each.file.endswith("/")], split)
    return listing


def _conllu_suffix(name: str) -> str | None:
    """Return the suffix of a CoNLL-U file, compressed or not; None for other names."""
    parts = split_suffix(name)
    return parts[1] if parts and parts[1].startswith(".conllu") else None


class FolderListing:
    """The files of a folder, sorted by language from their names alone.

    Args:
        split: As in :func:`list_folder`.
    """

    def __init__(self, split: str | None) -> None:
        self.split = split
        self.not_read: list[UnreadFile] = []
        #: Whether there are files named by split, as Universal Dependencies names them.
        self.has_splits = False
        #: Code → key of a text → its files: one file, or shards.
        self.groups: dict[str, dict[str, list[tuple[str, Shard | None]]]] = {}
        #: Code → the treebanks in folders of their own, in the order of the folder names.
        self.treebanks: dict[str, dict[str, None]] = {}
        #: Other files in the folders of treebanks.
        self.beside_treebanks: list[UnreadFile] = []
        self._unexpected: dict[str, str] = {}

    def add_folder(self, folder: Path) -> None:
        """Add the files of a treebank's folder; a folder of other files is left out."""
        files, others = treebank_files(folder, _conllu_suffix)
        if not files:
            self.not_read.append(UnreadFile(f"{folder.name}/", "a folder"))
            return
        self.has_splits = True
        split = self.split or DEFAULT_SPLIT
        for file in files:
            name = f"{folder.name}/{file.path.name}"
            reason = f"its split is not {split}" if file.split != split else irregular_kind(file.path)
            if not reason:
                try:
                    code, _ = language_of(file.language)
                except LanguageError as error:
                    reason = error.message.rstrip(".")
            if reason:
                self.not_read.append(UnreadFile(name, reason))
                continue
            self.groups.setdefault(code, {}).setdefault(_IN_FOLDERS, []).append((name, None))
            self.treebanks.setdefault(code, {})[file.treebank] = None
        reason = "not a CoNLL-U file of a treebank, or a second copy of one"
        self.beside_treebanks += [UnreadFile(f"{folder.name}/{path.name}", reason) for path in others]

    def add_file(self, name: str) -> None:
        """Add a file by its name."""
        parts = split_suffix(name)
        if parts is None:
            self.not_read.append(UnreadFile(name, json_reason(name) or "its suffix is not one that can be read"))
            return
        stem, suffix = parts
        treebank = _TREEBANK.fullmatch(stem) if suffix.startswith(".conllu") else None
        split = self.split or DEFAULT_SPLIT
        if treebank:
            self.has_splits = True
            if treebank["split"] != split:
                self.not_read.append(UnreadFile(name, f"its split is not {split}"))
                return
            stem = treebank["language"]
        elif self.split is not None:
            # The user asked for a split, so that files without one are left out.
            self.not_read.append(UnreadFile(name, f"its name does not state that its split is {split}"))
            return
        shard = shard_of(stem)
        try:
            code, note = language_of(shard.stem if shard else stem)
        except LanguageError as error:
            self.not_read.append(UnreadFile(name, error.message.rstrip(".")))
            return
        text = f"{shard.stem} of {shard.total}{suffix}" if shard else name
        self.groups.setdefault(code, {}).setdefault(text, []).append((name, shard))
        if note:
            self._unexpected[name] = note

    def files(self, folder: Path) -> tuple[dict[str, tuple[Path, ...]], dict[str, CorpusError]]:
        """Return {code: files in their order}, and {code: the reason why its files are unclear}."""
        files: dict[str, tuple[Path, ...]] = {}
        unclear: dict[str, CorpusError] = {}
        for code, texts in self.groups.items():
            names = [name for group in texts.values() for name, _ in group]
            shards = [shard for group in texts.values() for _, shard in group if shard]
            if len(texts) > 1:
                unclear[code] = _two_files(code, [group[0][0] for group in texts.values()], folder)
            elif shards and (missing := missing_shards((shard.number for shard in shards), shards[0].total)):
                unclear[code] = _shards_missing(code, names, shards[0].total, missing)
            else:
                group = sorted(next(iter(texts.values())), key=lambda each: each[1].number if each[1] else 0)
                files[code] = tuple(folder / name for name, _ in group)
        return files, unclear

    def notes(self, files: Mapping[str, tuple[Path, ...]]) -> Iterator[str]:
        """Yield a sentence on names that are read as an unexpected language, and one on large files."""
        if self._unexpected:
            yield f"{'; '.join(f'{name} {note}' for name, note in self._unexpected.items())}."
        large = [path.name for paths in files.values() for path in paths if path.stat().st_size > _LARGE]
        if large:
            listed = ", ".join(large[:5]) + (" …" if len(large) > 5 else "")
            yield f"large files are read twice, which may take minutes each: {listed}."


# ------------------------------------------------------------------------------------------ errors


def _two_files(code: str, names: Sequence[str], folder: Path) -> CorpusError:
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    both = "both " if len(names) == 2 else ""
    return CorpusError(
        f"{both}{listed} are language '{code}'.",
        f"choose one with a further --corpus {code}={folder / names[0]} (the choice is recorded, so that it needs a "
        "new store), keep one of them in the folder, or distinguish them in the name (as sr-Latn and sr-Cyrl).",
    )


def _shards_missing(code: str, names: Sequence[str], total: int, missing: Sequence[int]) -> CorpusError:
    numbers = ", ".join(f"{number:05d}" for number in missing[:5]) + (" …" if len(missing) > 5 else "")
    return CorpusError(
        f"'{code}' has {len(names)} of {total} shards ({names[0]}{', …' if len(names) > 1 else ''}); "
        f"missing: {numbers}.",
        f"add the missing files, or give one file with --corpus {code}={names[0]}",
    )


def _no_files(folder: Path, not_read: Sequence[UnreadFile], split: str | None) -> CorpusError:
    """Return the error for a folder without any file that can be read."""
    if split is not None:
        return CorpusError(
            f"no CoNLL-U file in '{folder}' is of the split '{split}'.",
            "--split chooses among files named as in Universal Dependencies: sw_x-ud-dev.conllu.",
        )
    if not not_read:
        has_folders = any(path.is_dir() for path in folder.iterdir())
        labelled = " Labelled data in folders (sw/train.txt) are read with --task." if has_folders else ""
        return CorpusError(
            f"there is no file in '{folder}'.",
            f"add files named by language, such as sw.txt; suffixes that can be read: {SUFFIXES}.{labelled}",
        )
    names = [each.file for each in not_read]
    listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
    splits = [name for name in names if (parts := split_suffix(name)) and _is_split(parts[0])]
    if splits:
        return CorpusError(
            f"the files of '{folder}' are named by split, without their language: {listed}.",
            f"name the language with --corpus sw={folder / splits[-1]}, or name files as sw.txt; sw-train.txt is read "
            "with --task.",
        )
    reasons = "; ".join(f"{each.file}: {each.reason}" for each in not_read[:5])
    return CorpusError(
        f"no file in '{folder}' is named by a language: {listed}.",
        f"{reasons}. Name files as sw.txt or zh-Hant.jsonl, or give language=path pairs; suffixes that can be read: "
        f"{SUFFIXES}.",
    )


def _is_split(stem: str) -> bool:
    shard = shard_of(stem)
    return (shard.stem if shard else stem).lower() in SPLIT_WORDS
