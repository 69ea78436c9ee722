"""Listing of the files of a folder by language; the file names state the languages.

:func:`list_folder` lists a folder without opening its files; :class:`FolderListing` is the result.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from xsns_stream.corpora.decoding import A_FOLDER, irregular_kind
from xsns_stream.corpora.file_names import (
    CODES,
    SIDE_WORDS,
    SPLIT_WORDS,
    Naming,
    Shard,
    UnreadFile,
    beside_splits,
    check_treebank,
    chosen_treebanks,
    missing_shards,
    other_labels_note,
    shard_of,
    treebank_files,
)
from xsns_stream.corpora.layouts import (
    A_LANGUAGE_FOLDER,
    PublishedFile,
    chosen_split,
    files_in_subfolders,
    published_file,
    reason_not_read,
    sides,
)
from xsns_stream.corpora.readers import SUFFIXES, split_suffix
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import code_or_none

# Universal Dependencies names its files en_ewt-ud-train.conllu.
_TREEBANK: Final = re.compile(r"(?P<treebank>(?P<language>[a-z]{2,3})_[a-z0-9]+)-(?:ud-)?(?P<split>train|dev|test)")
#: The split of treebanks that is read by default.
DEFAULT_SPLIT: Final = "train"
#: Key of the text that joins all treebanks of a language, if each treebank has its own folder.
_IN_FOLDERS: Final = "treebanks/"
#: Largest number of files in a note.
_NAMED: Final = 5
#: A note warns of files with more bytes, because reading them takes minutes.
_LARGE: Final = 2**28


def list_folder(folder: Path, split: str | None, naming: Naming = CODES, treebank: str | None = None) -> FolderListing:
    """List the files of a folder by language.

    Args:
        folder: The folder; hidden files are ignored.
        split: `train`, `dev` or `test` of Universal Dependencies files; None for `train`.
        naming: Rule for the labels of the files.
        treebank: The treebanks to read in languages that have several treebanks; None for all treebanks.

    Raises:
        CorpusError: The folder cannot be read, no file in it is named by a language, a label is given for a file that
            does not exist, or there is no such treebank.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise CorpusError(
            f"the folder '{folder}' cannot be read ({error.strerror}).", "check the path and the permissions."
        ) from error
    listing = FolderListing(split, naming)
    for name in names:
        kind = irregular_kind(folder / name)
        if kind == A_FOLDER:
            listing.add_folder(folder / name)
        elif kind:
            listing.not_read.append(UnreadFile(name, kind))
        else:
            listing.add_file(name)
    listing.choose_treebanks(treebank)
    listing.leave_out_sides()
    listing.add_published(folder)
    listing.not_read += listing.beside_texts
    naming.refuse_unused(listing.names, [name for name in names if split_suffix(name)], f"'{folder}'")
    if not listing.groups:
        if listing.other_splits:
            raise _other_splits(folder, listing)
        raise _no_files(folder, [each for each in listing.not_read if not each.file.endswith("/")], split)
    return listing


def _conllu_suffix(name: str) -> str | None:
    """Return the suffix of a CoNLL-U file, compressed or not; None for other names."""
    parts = split_suffix(name)
    return parts[1] if parts and parts[1].startswith(".conllu") else None


class FolderListing:
    """The files of a folder, grouped by the languages that their names state.

    Args:
        split: See :func:`list_folder`.
        naming: Rule for the labels of the files.
    """

    def __init__(self, split: str | None, naming: Naming = CODES) -> None:
        self.split = split
        self.naming = naming
        #: Names of files for which a label may have been given.
        self.names: set[str] = set()
        self.not_read: list[UnreadFile] = []
        #: Whether some files are named by split, as in Universal Dependencies, and whether one of these files is read.
        self.has_splits = self._reads_split = False
        #: Code → key of a text → its files: one file, or shards.
        self.groups: dict[str, dict[str, list[tuple[str, Shard | None]]]] = {}
        #: Code → the treebanks in separate folders, in the order of the folder names.
        self.treebanks: dict[str, dict[str, None]] = {}
        #: Code → the treebanks that were chosen among several.
        self.chosen: dict[str, tuple[str, ...]] = {}
        self._treebank_of: dict[str, str] = {}
        #: Code → splits of files that are left out because another split is read.
        self._splits_of: dict[str, dict[str, None]] = {}
        #: Other files in the folders of treebanks and texts.
        self.beside_texts: list[UnreadFile] = []
        self._published: list[PublishedFile] = []
        #: The split of well-known corpora that is read, and the split that was looked for.
        self._published_split = self._published_wanted = ""
        #: Name of a well-known corpus → code → its first file.
        self._layouts: dict[str, dict[str, str]] = {}
        #: File → note on its language, which is not obvious from its name.
        self._unexpected: dict[str, str] = {}

    def add_folder(self, folder: Path) -> None:
        """Add the files of a folder that contains a treebank; record any other folder as not read."""
        files, others = treebank_files(folder, _conllu_suffix)
        if not files:
            self.not_read.append(UnreadFile(f"{folder.name}/", "a folder"))
            return
        self.has_splits = True
        split = self.split or DEFAULT_SPLIT
        for file in files:
            name = f"{folder.name}/{file.path.name}"
            reason = irregular_kind(file.path)
            if not reason:
                try:
                    code, _ = self._label(file.language, name, file.path.name)
                except LanguageError as error:
                    reason = error.message.rstrip(".")
            if not reason and file.split != split:
                reason = f"its split is not {split}"
                self._splits_of.setdefault(code, {})[file.split] = None
            if reason:
                self.not_read.append(UnreadFile(name, reason))
                continue
            self.groups.setdefault(code, {}).setdefault(_IN_FOLDERS, []).append((name, None))
            self.treebanks.setdefault(code, {})[file.treebank] = None
            self._treebank_of[name] = file.treebank
            self._reads_split = True
        reason = "not a CoNLL-U file of a treebank, or a second copy of one"
        self.beside_texts += [UnreadFile(f"{folder.name}/{path.name}", reason) for path in others]

    def add_file(self, name: str) -> None:
        """Add a file to the texts of the language in its name, or record why it is not read."""
        if published := published_file(name):
            self._published.append(published)
            return
        parts = split_suffix(name)
        if parts is None:
            self.not_read.append(UnreadFile(name, reason_not_read(name) or "its suffix is not one that can be read"))
            return
        stem, suffix = parts
        treebank = _TREEBANK.fullmatch(stem) if suffix.startswith(".conllu") else None
        split = self.split or DEFAULT_SPLIT
        if treebank:
            self.has_splits = True
            if treebank["split"] != split:
                if code := code_or_none(treebank["language"]):
                    self._splits_of.setdefault(code, {})[treebank["split"]] = None
                self.not_read.append(UnreadFile(name, f"its split is not {split}"))
                return
            self._treebank_of[name] = treebank["treebank"]
            self._reads_split = True
            stem = treebank["language"]
        elif self.split is not None:
            # Files that do not state a split are left out if the user asked for a split.
            self.not_read.append(UnreadFile(name, f"its name does not state that its split is {split}"))
            return
        shard = shard_of(stem)
        try:
            code, note = self._label(shard.stem if shard else stem, name, f"{shard.stem}{suffix}" if shard else stem)
        except LanguageError as error:
            self.not_read.append(UnreadFile(name, error.message.rstrip(".")))
            return
        text = f"{shard.stem} of {shard.total}{suffix}" if shard else name
        self.groups.setdefault(code, {}).setdefault(text, []).append((name, shard))
        if note:
            self._unexpected[name] = note

    def choose_treebanks(self, treebank: str | None) -> None:
        """In languages that have several treebanks, leave out the treebanks that `treebank` does not name.

        Raises:
            CorpusError: No language has the treebank.
        """
        if treebank is None:
            return
        check_treebank(treebank, self._treebank_of.values())
        for code, texts in self.groups.items():
            names = {name: self._treebank_of.get(name) for group in texts.values() for name, _ in group}
            there = tuple(dict.fromkeys(filter(None, names.values())))
            chosen = chosen_treebanks(treebank, there)
            if chosen == there:
                continue
            left_out = {name: each for name, each in names.items() if each not in chosen}
            kept = {key: [part for part in group if part[0] not in left_out] for key, group in texts.items()}
            self.groups[code] = {key: group for key, group in kept.items() if group}
            self.chosen[code] = chosen
            if code in self.treebanks:
                self.treebanks[code] = dict.fromkeys(chosen)
            reason = f"--treebank chooses {', '.join(chosen)}"
            self.not_read += [UnreadFile(name, reason) for name in left_out]

    def _label(self, stem: str, *names: str) -> tuple[str, str]:
        """Return the result of :meth:`Naming.label_of`, and record `names` as names for which a label may be given."""
        self.names.update(names)
        return self.naming.label_of(stem, *names)

    def leave_out_sides(self) -> None:
        """Leave out files with ambiguous names (language or side) if other files are named by splits or sides.

        For example, `mt.txt` is Maltese, but beside `src.txt` it is the output of machine translation.
        """
        if self.naming.as_given or not any(_is_split(without_suffix(each.file)) for each in self.not_read):
            return
        for code, texts in list(self.groups.items()):
            for text, files in list(texts.items()):
                file = files[0][0]
                stem = without_suffix(file)
                if stem.lower() not in SIDE_WORDS or {file, stem} & self.naming.given.keys():
                    continue
                self.not_read.append(UnreadFile(file, beside_splits(stem)))
                self._unexpected.pop(file, None)
                del texts[text]
            if not texts:
                del self.groups[code]

    def _renamed(self, each: PublishedFile) -> PublishedFile:
        """Return a file of a well-known corpus, with the label that the naming rule gives to the file as its `code`."""
        label, _ = self._label(each.written, each.file, each.written) if self.naming else (each.code, "")
        return replace(each, code=label)

    def add_published(self, folder: Path) -> None:
        """Add the files of well-known corpora, for languages without another file.

        Subfolders, and files whose suffix is their language, are read only if no other file is named by a language.
        """
        published = self._published
        if not (published or self.groups):
            subfolders = [each.file[:-1] for each in self.not_read if each.file.endswith("/")]
            published, others = files_in_subfolders(folder, subfolders, lambda name: split_suffix(name) is not None)
            self.beside_texts += [UnreadFile(file, "the texts of its folder are in other files") for file in others]
            published += sides(each.file for each in self.not_read if not each.file.endswith("/"))
        published = [self._renamed(each) for each in published]
        split = chosen_split(published, self.split)
        self._published_wanted = split if any(each.split for each in published) else ""
        listed = {each.file for each in published} | {f"{each.file.partition('/')[0]}/" for each in published}
        self.not_read = [each for each in self.not_read if each.file not in listed]
        own = {code: next(iter(texts.values()))[0][0] for code, texts in self.groups.items()}
        for each in sorted(published, key=lambda file: file.number):
            if each.code in own:
                self.not_read.append(UnreadFile(each.file, f"{own[each.code]} is read as {each.code}"))
            elif each.split != split:
                self.not_read.append(UnreadFile(each.file, f"its split is not {split}"))
                self._splits_of.setdefault(each.code, {})[each.split or "no"] = None
            else:
                self.groups.setdefault(each.code, {}).setdefault(each.text, []).append((each.file, None))
                self._layouts.setdefault(each.corpus, {}).setdefault(each.code, each.file)
                self._published_split = self._published_wanted

    @property
    def other_splits(self) -> dict[str, tuple[str, ...]]:
        """Code → the splits that the language has, for languages without the split that is read."""
        return {code: tuple(splits) for code, splits in self._splits_of.items() if code not in self.groups}

    @property
    def split_read(self) -> str | None:
        """The split that is read; None if no file that is read is named by a split."""
        return (self.split or DEFAULT_SPLIT) if self._reads_split else self._published_split or None

    @property
    def split_wanted(self) -> str | None:
        """The split that was looked for; None if no file is named by a split."""
        return (self.split or DEFAULT_SPLIT) if self.has_splits else self._published_wanted or None

    def files(self, folder: Path) -> tuple[dict[str, tuple[Path, ...]], dict[str, CorpusError]]:
        """Return {code: the files to read, in order}, and {code: error} for languages for which this is unclear.

        `folder` is the folder that was listed.
        """
        files: dict[str, tuple[Path, ...]] = {}
        unclear: dict[str, CorpusError] = {}
        for code, texts in self.groups.items():
            names = [name for group in texts.values() for name, _ in group]
            shards = [shard for group in texts.values() for _, shard in group if shard]
            if len(texts) > 1:
                unclear[code] = _two_files(code, [group[0][0] for group in texts.values()], folder)
            elif shards and (missing := missing_shards((shard.number for shard in shards), shards[0].total)):
                unclear[code] = _shards_missing(code, names, shards[0].total, missing, folder)
            else:
                group = sorted(next(iter(texts.values())), key=lambda each: each[1].number if each[1] else 0)
                files[code] = tuple(folder / name for name, _ in group)
        return files, unclear

    def notes(self, files: Mapping[str, tuple[Path, ...]]) -> Iterator[str]:
        """Yield sentences on names that are read as an unexpected language, and on large files."""
        yield from other_labels_note(files)
        if self._unexpected:
            yield f"{'; '.join(f'{name} {note}' for name, note in self._unexpected.items())}."
        for corpus, first in self._layouts.items():
            names = [f"{name} as {code}" for code, name in first.items()]
            more = " …" if len(names) > _NAMED else ""
            what = "are in" if corpus == A_LANGUAGE_FOLDER else "have the names of"
            yield f"files {what} {corpus}: {', '.join(names[:_NAMED])}{more}."
        if self._published_split and self.split is None:
            yield f"files of the split '{self._published_split}' are read; --split chooses another one."
        large = [path.name for paths in files.values() for path in paths if path.stat().st_size > _LARGE]
        if large:
            listed = ", ".join(large[:5]) + (" …" if len(large) > 5 else "")
            yield f"large files are read twice, which may take minutes for each file: {listed}."


# ------------------------------------------------------------------------------------------ errors


def _two_files(code: str, names: Sequence[str], folder: Path) -> CorpusError:
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    both = "both" if len(names) == 2 else "all"
    labels = " ".join(
        f"--label {shlex.quote(f'{name}={label}')}" for name, label in _distinct_labels(code, names[:_NAMED]).items()
    )
    first = shlex.quote(f"{code}={folder / names[0]}")
    return CorpusError(
        f"{listed} {both} mean the language '{code}'.",
        f"give each its own label with {labels}, or use the names of all files as labels with --labels-as-given; or "
        f"choose one file with a further --corpus {first} (the choice is recorded, and needs a new store); or "
        "keep only one of them in the folder.",
    )


def _distinct_labels(code: str, names: Sequence[str]) -> dict[str, str]:
    """Return {file: a label} with a different label for each of several files in one language.

    A label is the file name without its suffix. If the names differ only in their suffixes, the labels are the code of
    the language and a number, such as `sw-x-1`.
    """
    stems = [without_suffix(name).rpartition("/")[2] for name in names]
    if len(set(stems)) == len(stems):
        return dict(zip(names, stems, strict=True))
    return {name: f"{code}-x-{number}" for number, name in enumerate(names, start=1)}


def without_suffix(name: str) -> str:
    """Return the name of a file without the suffix of its format."""
    parts = split_suffix(name)
    return parts[0] if parts else name


def _shards_missing(code: str, names: Sequence[str], total: int, missing: Sequence[int], folder: Path) -> CorpusError:
    numbers = ", ".join(f"{number:05d}" for number in missing[:5]) + (" …" if len(missing) > 5 else "")
    return CorpusError(
        f"'{code}' has {len(names)} of {total} shards ({names[0]}{', …' if len(names) > 1 else ''}); "
        f"missing: {numbers}.",
        f"add the missing files, or give one file with --corpus {shlex.quote(f'{code}={folder / names[0]}')}.",
    )


def _other_splits(folder: Path, listing: FolderListing) -> CorpusError:
    """Return the error for a folder in which no file has the split that is read."""
    others = listing.other_splits
    listed = "; ".join(f"{code}: {', '.join(splits)}" for code, splits in sorted(others.items())[:_NAMED])
    more = " …" if len(others) > _NAMED else ""
    return CorpusError(
        f"no file in '{folder}' is of the split '{listing.split_wanted}'. The folder has {listed}{more}.",
        other_splits_hint(others.values(), treebanks=listing.has_splits),
    )


def other_splits_hint(splits: Iterable[Sequence[str]], *, treebanks: bool) -> str:
    """Return a hint for languages that lack the split that is read and have only other splits.

    Args:
        splits: The splits of each of these languages.
        treebanks: Whether they are splits of treebanks.
    """
    common = [split for split in ("dev", "test", "train") if all(split in each for each in splits)]
    command = f"read another split: --split {common[0] if common else 'dev'}"
    return f"{command}; --task pos takes the dev file if there is no train file." if treebanks else f"{command}."


def _no_files(folder: Path, not_read: Sequence[UnreadFile], split: str | None) -> CorpusError:
    """Return the error for a folder without readable files; `not_read` are its files, with the reasons."""
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
        label = shlex.quote(f"{splits[-1]}=sw")
        return CorpusError(
            f"the files of '{folder}' are named by split, without their language: {listed}.",
            f"name the language with --label {label}, or name files as sw.txt; sw-train.txt is read with --task.",
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
