"""Splits of labelled data: train, dev and test."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from xsns_stream.corpora.decoding import not_regular
from xsns_stream.corpora.file_names import SPLIT_NAMES, NotRead, TreebankFile, treebank_file, treebank_files
from xsns_stream.corpora.labels import TASK_NAMES
from xsns_stream.corpora.tasks.readers import SUFFIXES, Item, suffix_of, suffixes_shown
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import normalise
from xsns_stream.types import TextExample

#: A file that holds all splits of a language.
WHOLE: Final = "whole"
#: SIB-200: which line is of which split, and of which class.
LINE_LABELS: Final = "labels.tsv"
_SPLIT: Final = "|".join(SPLIT_NAMES)
# Universal Dependencies has a treebank where others have a script or a region, so that the suffix must tell.
_TREEBANK: Final = re.compile(rf"(?P<language>[a-z]{{2,3}})_[a-z0-9]+-(?:ud-)?(?P<split>{_SPLIT})")
_NAMED: Final = re.compile(rf"(?P<language>[A-Za-z0-9_-]+?)[-._](?P<split>{_SPLIT})")
_IGNORED: Final = (".", "README", "LICENSE", "manifest.")


@dataclass(frozen=True)
class Layout:
    """The files of a folder.

    Attributes:
        files: {(language, split or `WHOLE`): file}.
        skipped: Names that say no language.
        not_read: All files that are left out, these among them, with the reasons.
        unclear: Language → why it cannot be read: two files say that they are the same split of it.
        line_labels: SIB-200's file of labels, where the other files hold text alone; else None.
        joined: A file of `files` → all files that are read with it as one, itself first: those of treebanks.
        treebanks: Language → its treebanks, where some are read as one.
    """

    files: Mapping[tuple[str, str], Path]
    skipped: tuple[str, ...] = field(default=())
    line_labels: Path | None = None
    not_read: tuple[NotRead, ...] = ()
    unclear: Mapping[str, CorpusError] = field(default_factory=dict)
    joined: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    treebanks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({language for language, _ in self.files}))


def find_layout(folder: Path, task: str) -> Layout:
    """Look at a folder, and at the folders in it that are named by languages.

    Raises:
        CorpusError: It cannot be read, or no file says language and split.
    """
    entries = _entries(folder)
    line_labels = next((entry for entry in entries if entry.name == LINE_LABELS and task == "topic"), None)
    found: dict[tuple[str, str], Path] = {}
    unclear: dict[str, CorpusError] = {}
    skipped, twice = [], []
    joined: dict[Path, tuple[Path, ...]] = {}
    treebanks: dict[str, dict[str, None]] = {}
    for name, place, path in _candidates(entries, task, lines=line_labels is not None):
        code = _code(name)
        if code is None:
            skipped.append(path.name if path.parent == folder else _shown(path))
            continue
        first = found.setdefault((code, place), path)
        bank = None if path.parent == folder else _of_treebank(path, task)
        if bank:
            treebanks.setdefault(code, {})[bank.treebank] = None
        if first is path:
            continue
        if bank and first.parent != folder and _of_treebank(first, task):
            joined[first] = (*joined.get(first, (first,)), path)
        else:
            twice.append(path)
            both = f"both {_shown(found[code, place])} and {_shown(path)} are the {place} data of '{code}'."
            hint = "keep one of them, or tell them apart in the name (as sr-Latn and sr-Cyrl)."
            unclear.setdefault(code, CorpusError(both, hint))
    _refuse_mixed(found)
    if not found:
        raise _nothing(folder, task, [entry.name for entry in entries])
    taken = {*found.values(), *chain(*joined.values()), *twice, *filter(None, (line_labels,))}
    left = tuple(_files_left_out(entries, task, taken))
    several = {code for (code, _), path in found.items() if path in joined}
    banks = {code: tuple(treebanks[code]) for code in sorted(several) if len(treebanks[code]) > 1}
    return Layout(found, tuple(skipped), line_labels, left, unclear, joined, banks)


def _of_treebank(path: Path, task: str) -> TreebankFile | None:
    """Return what the name of a treebank's file says; None for other files."""
    return treebank_file(path, suffix_of(path.name, task))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(_IGNORED))
    except OSError as error:
        raise CorpusError(f"the folder '{folder}' cannot be read ({error.strerror}).") from error


def _candidates(entries: Iterable[Path], task: str, *, lines: bool) -> Iterator[tuple[str, str, Path]]:
    """Yield (language as written, empty where there is none; split or WHOLE; file)."""
    for entry in entries:
        if entry.is_dir():
            banks, _ = treebank_files(entry, lambda name: suffix_of(name, task))
            yield from ((each.language, each.split, each.path) for each in banks if each.path.is_file())
            for path in _entries(entry):
                suffix = suffix_of(path.name, task)
                stem = path.name[: -len(suffix)] if suffix else path.name
                split = SPLIT_NAMES.get(stem)
                if split and path.is_file() and (suffix or not path.suffix):
                    yield entry.name, split, path
            continue
        if lines:
            if entry.suffix == ".txt":
                yield entry.stem, WHOLE, entry
            continue
        suffix = suffix_of(entry.name, task)
        if suffix is None or not entry.is_file():
            continue
        stem = entry.name[: -len(suffix)]
        match = (_TREEBANK.fullmatch(stem) if suffix.startswith(".conllu") else None) or _NAMED.fullmatch(stem)
        if bank := treebank_file(entry, suffix):
            yield bank.language, bank.split, entry
        elif match:
            yield match["language"], SPLIT_NAMES[match["split"]], entry
        elif stem not in SPLIT_NAMES:  # `dev` and `val` are codes of languages too
            yield stem, WHOLE, entry
        else:
            yield "", WHOLE, entry


def _files_left_out(entries: Iterable[Path], task: str, taken: Collection[Path]) -> Iterator[NotRead]:
    """Yield the files and folders that nothing is read from."""
    for entry in entries:
        if entry in taken:
            continue
        if not entry.is_dir():
            known = suffix_of(entry.name, task) is not None
            reason = "its name says no language" if known else f"its suffix holds no data of {task}"
            yield NotRead(entry.name, not_regular(entry) or reason)
            continue
        inside = _entries(entry)
        if not any(path in taken for path in inside):
            yield NotRead(f"{entry.name}/", "not a folder of a language, or a treebank, with train, dev or test files")
            continue
        for path in inside:
            if path not in taken:
                reason = f"not named train, dev or test with a suffix of {task}"
                if any(each in taken and _of_treebank(each, task) for each in inside):
                    reason = f"no file of a treebank with a suffix of {task}, or one of them again"
                yield NotRead(f"{entry.name}/{path.name}", not_regular(path) or reason)


def _refuse_mixed(found: Mapping[tuple[str, str], Path]) -> None:
    """Refuse a language with its splits and a whole file: what is cut from this may stand in those."""
    for (code, place), path in found.items():
        if place != WHOLE and (code, WHOLE) in found:
            raise CorpusError(
                f"{_shown(path)} is one split of '{code}', and {_shown(found[code, WHOLE])} is to be cut into splits.",
                "keep either the splits or the whole file in the folder.",
            )


def _code(name: str) -> str | None:
    try:
        return normalise(name)
    except LanguageError:
        return None


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _nothing(folder: Path, task: str, names: list[str]) -> CorpusError:
    first = SUFFIXES[TASK_NAMES[task]][0]
    listed = (", ".join(names[:5]) + (" …" if len(names) > 5 else "")) or "nothing"
    return CorpusError(
        f"no file in '{folder}' says by its name which language and split of {task} it holds: there is {listed}.",
        f"name them as sw-train{first}, or sw/train{first}, or sw{first} where there are no splits; "
        f"suffixes for {task}: {suffixes_shown(task)}.",
    )


#: Of a hundred examples: for testing, for deciding when to stop; the others are for training.
TEST_SHARE: Final = 20
DEV_SHARE: Final = 10
#: A text or a name, and which of both it is.
_Node: TypeAlias = tuple[str, str]


def cut(items: Sequence[Item]) -> dict[str, tuple[TextExample, ...]]:
    """Return {split: examples}, about 70, 10 and 20 of a hundred, each in the order of the file."""
    found: dict[str, list[TextExample]] = {"train": [], "dev": [], "test": []}
    for item, key in zip(items, _keys(items), strict=True):
        place = _percentile("split", key)
        split = "test" if place < TEST_SHARE else "dev" if place < TEST_SHARE + DEV_SHARE else "train"
        found[split].append(item.example)
    return {split: tuple(examples) for split, examples in found.items()}


def hold_out(items: Sequence[Item]) -> tuple[tuple[TextExample, ...], tuple[TextExample, ...]]:
    """Return the training examples, and a tenth that is held out to decide when to stop; both in their order.

    Where the tenth, or the rest, would be empty, the last group is held out; of one group nothing is.
    """
    keys = _keys(items)
    held = {key for key in keys if _percentile("dev", key) < DEV_SHARE}
    if not held or held == set(keys):
        held = {max(keys)} if len(set(keys)) > 1 else set()
    train = tuple(item.example for item, key in zip(items, keys, strict=True) if key not in held)
    return train, tuple(item.example for item, key in zip(items, keys, strict=True) if key in held)


def _keys(items: Sequence[Item]) -> list[str]:
    """Return what decides an example's place, the same for all that share a text or an identifier with it.

    Sharing is followed through: of three examples of which the first two share a text and the last two an identifier,
    all are one group.
    """
    shared = [_shared_text(item.example) for item in items]
    joined = _Groups()
    for item, text in zip(items, shared, strict=True):
        if item.identifier:
            joined.join(("text", text), ("name", item.identifier))
    groups = [joined.group(("text", text)) for text in shared]
    names: dict[_Node, str] = {}
    for item, group in zip(items, groups, strict=True):
        if item.identifier:
            # The smallest name of a group: translations of the group have it too, as far as they have its members.
            names[group] = min(names.get(group, item.identifier), item.identifier, key=lambda name: (len(name), name))
    return [names.get(group, text) for group, text in zip(groups, shared, strict=True)]


class _Groups:
    """Texts and names that belong together (disjoint sets)."""

    def __init__(self) -> None:
        self._above: dict[_Node, _Node] = {}

    def group(self, node: _Node) -> _Node:
        """Return the node that stands for a node's group."""
        while (above := self._above.setdefault(node, node)) != node:
            # Halving the path keeps it short, however long the chain of what was joined.
            self._above[node] = self._above[above]
            node = above
        return node

    def join(self, one: _Node, other: _Node) -> None:
        """Make one group of two nodes' groups."""
        self._above[self.group(one)] = self.group(other)


def _shared_text(example: TextExample) -> str:
    """Return the text that other examples may repeat: the passage of a question, else the first text."""
    if example.label is not None and not isinstance(example.label, str | tuple) and example.pair is not None:
        return example.pair
    return example.text if isinstance(example.text, str) else "\x1f".join(example.text)


def _percentile(purpose: str, key: str) -> int:
    digest = hashlib.sha256(f"{purpose}\x1e{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100
