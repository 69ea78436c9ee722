"""Splits of labelled data: the files of each split in a folder, and division of data without splits.

Data without splits are divided into train, dev and test. The split of an example depends only on its identifier or, if
it has none, on its text. Translations with the same identifier are therefore in the same split, so that a model is not
tested on translations of its training data. Examples with a common text, such as the hypotheses of a premise and the
questions of a passage, are in the same split.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from xsns_stream.corpora.decoding import irregular_kind
from xsns_stream.corpora.file_names import (
    SPLIT_NAMES,
    TreebankFile,
    UnreadFile,
    check_treebank,
    chosen_treebanks,
    is_file_word,
    treebank_file,
    treebank_files,
)
from xsns_stream.corpora.tasks.readers import SUFFIXES, IdentifiedExample, suffix_of, suffixes_shown
from xsns_stream.errors import CorpusError
from xsns_stream.languages import code_or_none
from xsns_stream.tasks import TASKS
from xsns_stream.types import TextExample

# ------------------------------------------------------------------------- files of the splits

#: Key of a file that contains all splits of a language.
WHOLE: Final = "whole"
#: SIB-200: the file with the split and the class of each line.
LINE_LABELS: Final = "labels.tsv"
_SPLIT: Final = "|".join(SPLIT_NAMES)
# In file names of Universal Dependencies, the treebank is at the position where other names have a script or a region.
# The suffix therefore decides how a name is read.
_TREEBANK: Final = re.compile(rf"(?P<language>[a-z]{{2,3}})_[a-z0-9]+-(?:ud-)?(?P<split>{_SPLIT})")
_NAMED: Final = re.compile(rf"(?P<language>[A-Za-z0-9_-]+?)[-._](?P<split>{_SPLIT})")
_IGNORED: Final = (".", "README", "LICENSE", "manifest.")


@dataclass(frozen=True)
class Layout:
    """The files of a folder of labelled data.

    Attributes:
        files: {(language, split or `WHOLE`): file}.
        skipped: Names of files without a language in their name.
        line_labels: The file with the labels of SIB-200, whose other files contain only text; None for other data.
        not_read: All files that are left out, with the reasons.
        unclear: Language → the error that is raised when it is read, if two of its files contain the same split.
        joined: A file of `files` → all files that are read together with it, beginning with the file itself
            (treebanks).
        treebanks: Language → its treebanks, if several are read as one text.
    """

    files: Mapping[tuple[str, str], Path]
    skipped: tuple[str, ...] = field(default=())
    line_labels: Path | None = None
    not_read: tuple[UnreadFile, ...] = ()
    unclear: Mapping[str, CorpusError] = field(default_factory=dict)
    joined: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    treebanks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of all languages, sorted."""
        return tuple(sorted({language for language, _ in self.files}))


def find_layout(folder: Path, task: str, treebank: str | None = None) -> Layout:
    """Return the layout of a folder, including the files of its subfolders that are named by language.

    Args:
        folder: The folder.
        task: The task of the data.
        treebank: The treebanks to read in languages that have several treebanks; None for all treebanks.

    Raises:
        CorpusError: The folder cannot be read, no file name has a language and a split, or the treebank does not exist.
    """
    entries = _entries(folder)
    line_labels = next((entry for entry in entries if entry.name == LINE_LABELS and task == "topic"), None)
    files: dict[tuple[str, str], Path] = {}
    unclear: dict[str, CorpusError] = {}
    skipped, second_files = [], []
    joined: dict[Path, tuple[Path, ...]] = {}
    treebanks: dict[str, dict[str, None]] = {}
    candidates, chosen, left_out = _with_treebanks(
        list(_candidates(entries, task, lines=line_labels is not None)), task, treebank
    )
    for name, split, path in candidates:
        code = None if is_file_word(name) else code_or_none(name)
        if code is None:
            skipped.append(path.name if path.parent == folder else _shown(path))
            continue
        first = files.setdefault((code, split), path)
        file = None if path.parent == folder else _treebank_file(path, task)
        if file:
            treebanks.setdefault(code, {})[file.treebank] = None
        if first is path:
            continue
        if file and first.parent != folder and _treebank_file(first, task):
            joined[first] = (*joined.get(first, (first,)), path)
        else:
            second_files.append(path)
            both = f"both {_shown(first)} and {_shown(path)} are the {split} data of '{code}'."
            hint = "keep one of them, or distinguish them in the name (such as sr-Latn and sr-Cyrl)."
            unclear.setdefault(code, CorpusError(both, hint))
    _refuse_mixed(files)
    if not files:
        raise _no_files(folder, task, [entry.name for entry in entries])
    used = {*files.values(), *chain(*joined.values()), *second_files, *left_out, *filter(None, (line_labels,))}
    not_read = (
        *_unread_files(entries, task, used),
        *(UnreadFile(_shown(path), f"--treebank chooses {treebank}") for path in left_out),
    )
    joined_codes = {code for (code, _), path in files.items() if path in joined}
    several = {code: tuple(treebanks[code]) for code in sorted(joined_codes) if len(treebanks[code]) > 1}
    return Layout(files, tuple(skipped), line_labels, not_read, unclear, joined, several | chosen)


def _with_treebanks(
    candidates: Sequence[tuple[str, str, Path]], task: str, treebank: str | None
) -> tuple[Sequence[tuple[str, str, Path]], dict[str, tuple[str, ...]], list[Path]]:
    """Select the chosen treebanks from the files of a folder.

    Args:
        candidates: (language, split, file) of each file.
        task: The task of the data.
        treebank: The value of `--treebank`; None for all treebanks.

    Returns:
        The candidates to read; {code: the chosen treebanks} for languages with other treebanks besides; and the files
        of treebanks that are not chosen.
    """
    if treebank is None:
        return candidates, {}, []
    name_of = {path: file.treebank for _, _, path in candidates if (file := _treebank_file(path, task))}
    check_treebank(treebank, name_of.values())
    of_language: dict[str, dict[str, None]] = {}
    for name, _, path in candidates:
        if path in name_of:
            of_language.setdefault(name, {})[name_of[path]] = None
    chosen = {name: chosen_treebanks(treebank, names) for name, names in of_language.items()}
    kept = [each for each in candidates if each[2] not in name_of or name_of[each[2]] in chosen[each[0]]]
    left_out = [path for name, _, path in candidates if path in name_of and name_of[path] not in chosen[name]]
    several = {
        code: names
        for name, names in chosen.items()
        if len(of_language[name]) > len(names) and (code := code_or_none(name))
    }
    return kept, several, left_out


def _treebank_file(path: Path, task: str) -> TreebankFile | None:
    """Return the parts of the name of a treebank file; None if the file does not belong to a treebank."""
    return treebank_file(path, suffix_of(path.name, task))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(_IGNORED))
    except OSError as error:
        raise CorpusError(
            f"the folder '{folder}' cannot be read ({error.strerror}).", "check the path and the permissions."
        ) from error


def _candidates(entries: Iterable[Path], task: str, *, lines: bool) -> Iterator[tuple[str, str, Path]]:
    """Yield (language, split, file) for each of the `entries` of a folder that may contain data of a task.

    The language is written as in the name, or empty if the name has none. The split may be `WHOLE`. If `lines` is True,
    the folder is SIB-200, and every `.txt` file is a candidate.
    """
    for entry in entries:
        if entry.is_dir():
            yield from _candidates_in_folder(entry, task)
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
        if treebank := treebank_file(entry, suffix):
            yield treebank.language, treebank.split, entry
        elif match:
            yield match["language"], SPLIT_NAMES[match["split"]], entry
        elif stem not in SPLIT_NAMES:  # `dev` and `val` are also codes of languages
            yield stem, WHOLE, entry
        else:
            yield "", WHOLE, entry


def _candidates_in_folder(folder: Path, task: str) -> Iterator[tuple[str, str, Path]]:
    """Yield (language, split, file) for each file with data of a task in the folder of a treebank or of a language."""
    treebanks, _ = treebank_files(folder, lambda name: suffix_of(name, task))
    yield from ((each.language, each.split, each.path) for each in treebanks if each.path.is_file())
    for path in _entries(folder):
        suffix = suffix_of(path.name, task)
        stem = path.name[: -len(suffix)] if suffix else path.name
        split = SPLIT_NAMES.get(stem)
        if split and path.is_file() and (suffix or not path.suffix):
            yield folder.name, split, path


def _unread_files(entries: Iterable[Path], task: str, used: Collection[Path]) -> Iterator[UnreadFile]:
    """Yield each entry of a folder, and each file of its subfolders, that is not in `used`, with the reason."""
    for entry in entries:
        if entry in used:
            continue
        if not entry.is_dir():
            known = suffix_of(entry.name, task) is not None
            reason = "its name does not state a language" if known else f"its suffix cannot contain data of {task}"
            yield UnreadFile(entry.name, irregular_kind(entry) or reason)
            continue
        inside = _entries(entry)
        if not any(path in used for path in inside):
            yield UnreadFile(
                f"{entry.name}/", "not a folder of a language, or a treebank, with train, dev or test files"
            )
            continue
        is_treebank = any(each in used and _treebank_file(each, task) for each in inside)
        for path in inside:
            if path not in used:
                reason = f"not named train, dev or test with a suffix that {task} reads"
                if is_treebank:
                    reason = f"not a file of a treebank with a suffix that {task} reads, or a second copy of one"
                yield UnreadFile(f"{entry.name}/{path.name}", irregular_kind(path) or reason)


def _refuse_mixed(files: Mapping[tuple[str, str], Path]) -> None:
    """Raise an error if a language has both a file of one split and a file of all splits; they may overlap."""
    for (code, split), path in files.items():
        if split != WHOLE and (code, WHOLE) in files:
            raise CorpusError(
                f"{_shown(path)} is a split of '{code}', but {_shown(files[code, WHOLE])} is not divided into splits.",
                "keep either the splits or the whole file in the folder.",
            )


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _no_files(folder: Path, task: str, names: list[str]) -> CorpusError:
    first = SUFFIXES[TASKS[task].labelled][0]
    listed = (", ".join(names[:5]) + (" …" if len(names) > 5 else "")) or "nothing"
    return CorpusError(
        f"no file name in '{folder}' states a language and a split of {task} data; the folder contains {listed}.",
        f"name files as sw-train{first}, or sw/train{first}, or sw{first} if there are no splits; "
        f"suffixes for {task}: {suffixes_shown(task)}.",
    )


# ------------------------------------------------------------------- division of data without splits

#: Percentages of the examples that are test data, and dev data, which decide when training stops. The rest is training
#: data.
TEST_SHARE: Final = 20
DEV_SHARE: Final = 10
#: Either ("text", a text) or ("name", an identifier).
_Node: TypeAlias = tuple[str, str]


def cut_into_splits(items: Sequence[IdentifiedExample]) -> dict[str, tuple[TextExample, ...]]:
    """Divide examples into train, dev and test: about 70, 10 and 20 percent, each in the order of the file."""
    splits: dict[str, list[TextExample]] = {"train": [], "dev": [], "test": []}
    for item, key in zip(items, _group_keys(items), strict=True):
        percent = _hashed_percent("split", key)
        split = "test" if percent < TEST_SHARE else "dev" if percent < TEST_SHARE + DEV_SHARE else "train"
        splits[split].append(item.example)
    return {split: tuple(examples) for split, examples in splits.items()}


def hold_out(items: Sequence[IdentifiedExample]) -> tuple[tuple[TextExample, ...], tuple[TextExample, ...]]:
    """Divide examples into training data and about a tenth that is held out for early stopping.

    Both parts keep the order of the examples. If a part would be empty, the group with the largest key is held out
    (see :func:`_group_keys`); if there is only one group, nothing is held out.
    """
    keys = _group_keys(items)
    held = {key for key in keys if _hashed_percent("dev", key) < DEV_SHARE}
    if not held or held == set(keys):
        held = {max(keys)} if len(set(keys)) > 1 else set()
    train = tuple(item.example for item, key in zip(items, keys, strict=True) if key not in held)
    return train, tuple(item.example for item, key in zip(items, keys, strict=True) if key in held)


def _group_keys(items: Sequence[IdentifiedExample]) -> list[str]:
    """Return one key for each example, which decides the split of the example.

    Examples with a common text or a common identifier have the same key.

    Groups are transitive: if the first two of three examples share a text and the last two share an identifier, all
    three are one group.
    """
    texts = [_shared_text(item.example) for item in items]
    groups = _Groups()
    for item, text in zip(items, texts, strict=True):
        if item.identifier:
            groups.join(("text", text), ("name", item.identifier))
    roots = [groups.root(("text", text)) for text in texts]
    names: dict[_Node, str] = {}
    for item, root in zip(items, roots, strict=True):
        if item.identifier:
            # The key is the smallest identifier of the group. In a translation, a group with the same identifiers
            # therefore has the same key.
            names[root] = min(names.get(root, item.identifier), item.identifier, key=lambda name: (len(name), name))
    return [names.get(root, text) for root, text in zip(roots, texts, strict=True)]


class _Groups:
    """Groups of texts and identifiers that belong together (a disjoint-set forest)."""

    def __init__(self) -> None:
        self._parent: dict[_Node, _Node] = {}

    def root(self, node: _Node) -> _Node:
        """Return the node that represents the group to which `node` belongs."""
        while (parent := self._parent.setdefault(node, node)) != node:
            # Halving the path keeps it short, however many nodes were joined in a chain.
            self._parent[node] = self._parent[parent]
            node = parent
        return node

    def join(self, one: _Node, other: _Node) -> None:
        """Join the group of node `one` and the group of node `other`."""
        self._parent[self.root(one)] = self.root(other)


def _shared_text(example: TextExample) -> str:
    """Return the text that other examples may repeat: the passage of a question, or the first text."""
    if example.label is not None and not isinstance(example.label, str | tuple) and example.pair is not None:
        return example.pair
    return example.text if isinstance(example.text, str) else "\x1f".join(example.text)


def _hashed_percent(purpose: str, key: str) -> int:
    """Return an integer from 0 to 99 that depends only on the purpose and the key."""
    digest = hashlib.sha256(f"{purpose}\x1e{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100
