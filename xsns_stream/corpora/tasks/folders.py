"""Labelled data in a folder: one file a language and split, or parallel lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.corpora.examples import encodable
from xsns_stream.corpora.local import corpus_name
from xsns_stream.corpora.naming import NotRead
from xsns_stream.corpora.tasks.files import (
    SPLIT_NAMES,
    WHOLE,
    Layout,
    file_text,
    find_layout,
    left_out,
    need_some,
    read_items,
)
from xsns_stream.corpora.tasks.relabelling import check_split, met, relabelled
from xsns_stream.corpora.tasks.splitting import DEV_SHARE, TEST_SHARE, Item, cut, hold_out
from xsns_stream.corpora.treebanks import joined_note
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import pick
from xsns_stream.types import LabelledSplit, ReadCounts, TextExample

_SPLIT, _CLASS = "split", "category"
_FEW: Final = 4


class LineLabel(NamedTuple):
    """What is said of a line: its split (train, dev, test) and its class."""

    split: str
    category: str


def read_lines(path: Path, labels: Path, split: str) -> tuple[TextExample, ...]:
    """Return the examples of a split: line N of the text has the N-th label.

    Raises:
        CorpusError: A file cannot be read, they differ in length, or the labels are no table that says split and
            category.
    """
    stamp = labels.stat()
    known = _line_labels(labels, (stamp.st_mtime_ns, stamp.st_size))
    lines = file_text(path).removesuffix("\n").split("\n")
    if len(lines) != len(known):
        raise CorpusError(
            f"{path.name} has {len(lines)} lines, and {labels.name} labels {len(known)}.",
            "they must agree, line by line.",
        )
    found = (
        encodable(TextExample(line.strip(), None, label.category))
        for line, label in zip(lines, known, strict=True)
        if label.split == split and line.strip()
    )
    return tuple(example for example in found if example is not None)


@lru_cache(maxsize=_FEW)
def _line_labels(path: Path, stamp: tuple[int, int]) -> tuple[LineLabel, ...]:
    """Return what is said of each line; read again where the file's time or size (`stamp`) is another."""
    del stamp
    rows = [line.rstrip("\r").split("\t") for line in file_text(path).removesuffix("\n").split("\n")]
    header = rows[0]
    if not {_SPLIT, _CLASS} <= set(header):
        raise CorpusError(
            f"{path.name} lacks the columns {_SPLIT} and {_CLASS}.", "after its header it has a line for each text."
        )
    split, category = header.index(_SPLIT), header.index(_CLASS)
    found = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header) or row[split] not in SPLIT_NAMES or not row[category].strip():
            raise CorpusError(f"line {number} of {path.name} does not say split and category.", "fill both columns.")
        found.append(LineLabel(SPLIT_NAMES[row[split]], row[category].strip()))
    return tuple(found)


_TRAIN_SHARE: Final = 100 - DEV_SHARE - TEST_SHARE
_KEPT: Final = 2


@dataclass(frozen=True)
class FolderTask:
    """The labelled data of a task, one or more files a language.

    Attributes:
        folder: Where they lie.
        task: Which task.
        relabel: {old: new} names of labels.
        renamed: Those old names of `relabel` that were met in what has been read so far.
    """

    folder: Path
    task: str
    relabel: Mapping[str, str] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _notes: dict[Path, dict[str, None]] = field(default_factory=dict, init=False, repr=False, compare=False)

    #: Reading needs no network.
    local = True

    @property
    def name(self) -> str:
        """For provenance; holds no absolute path."""
        renamed = ",".join(f"{old}={new}" for old, new in sorted(self.relabel.items())) or None
        joined = {code: "+".join(names) for code, names in self.layout.treebanks.items()}
        return corpus_name("task", self.folder.resolve().name, task=self.task, **joined, relabel=renamed)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how the folder is read, where that had to be decided."""
        return tuple(joined_note(self.layout.treebanks.items()))

    @cached_property
    def layout(self) -> Layout:
        """Which file holds what."""
        return find_layout(self.folder, self.task)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of files that are not read, because they say no language."""
        return self.layout.skipped

    @property
    def not_read(self) -> tuple[NotRead, ...]:
        """All files that are left out, with the reasons."""
        return self.layout.not_read

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the codes that have this split, or a file that it is cut from, sorted; of any split for None.

        Raises:
            UsageError: There is no such split.
            CorpusError: The folder cannot be read, or is in no layout that is known.
        """
        if split is not None:
            check_split(split)
        codes = self.layout.languages
        return codes if split is None else tuple(code for code in codes if self._has(code, split))

    def split(self, language: str, split: str) -> LabelledSplit:
        """Return one split of one language.

        Where there is no training file, the dev file is for training; where there is no other dev file, a tenth of
        the training data is held out; a language with one file alone is cut into three.

        Raises:
            UsageError: There is no such split.
            LanguageError: There is no such language, or it does not have this split.
            CorpusError: The file cannot be read or holds no labelled example, or it is unclear which file is meant.
        """
        check_split(split)
        code = pick(language, self.layout.languages, self.name)
        if code in self.layout.unclear:
            raise self.layout.unclear[code]
        if not self._has(code, split):
            raise LanguageError(
                f"'{code}' has no {split} data in {self.folder.resolve().name}.",
                f"these have: {', '.join(self.languages(split)) or 'none'}.",
            )
        examples, path, counts, note = self._examples(code, split)
        if not examples:
            reason = "is too small to be cut" if note else "has no such example"
            hint = f"add examples, or a file of {split} data."
            raise CorpusError(f"the {split} data of '{code}' are empty: {self._shown(path)} {reason}.", hint)
        self.renamed.update(met(examples, self.relabel, self.task))
        renamed = relabelled(examples, self.relabel, self.task)
        notes = self._notes.get(path, {})
        where = self._shown(path)
        said = " ".join(filter(None, (note, left_out(counts, where), *notes)))
        source = f"{path.parent.resolve().name}/{where}"
        return LabelledSplit(code, split, renamed, source, counts.unlabelled, said, counts)

    # ----------------------------------------------------------------------------------------- files

    def _has(self, code: str, split: str) -> bool:
        files = self.layout.files
        if (code, WHOLE) in files or (code, split) in files:
            return True
        return split != "test" and ((code, "train") in files or (code, "dev") in files)

    def _examples(self, code: str, split: str) -> tuple[tuple[TextExample, ...], Path, ReadCounts, str]:
        """Return the examples of a split, their file, what was left out of it, and how the split was made."""
        files = self.layout.files
        whole = files.get((code, WHOLE))
        if whole is not None and (code, split) not in files:
            if self.layout.line_labels is not None:
                return read_lines(whole, self.layout.line_labels, split), whole, ReadCounts(), ""
            items, counts = self._read(whole)
            note = f"{whole.name} is cut into {_TRAIN_SHARE}, {DEV_SHARE} and {TEST_SHARE} % (train, dev, test)."
            return cut(items)[split], whole, counts, note
        if split == "test" or ((code, "train") in files and (code, "dev") in files):
            return self._file(code, split)
        source = "train" if (code, "train") in files else "dev"
        path = files[code, source]
        items, counts = self._read(path)
        train, held = hold_out(items)
        said = f"'{code}' has no {'dev' if source == 'train' else 'train'} file: "
        serves = "are" if path in self.layout.joined else "is"
        said += f"{self._shown(path)} {serves} for training, but for a tenth of it, which serves as dev."
        return (train if split == "train" else held), path, counts, said

    @cached_property
    def _read(self) -> Callable[[Path], tuple[list[Item], ReadCounts]]:
        """What returns the items of a file; the last few are kept, because train and dev are often cut from one."""
        return lru_cache(maxsize=_KEPT)(self._read_anew)

    def _read_anew(self, path: Path) -> tuple[list[Item], ReadCounts]:
        notes = self._notes[path] = {}
        parts = [read_items(part, self.task, notes.setdefault) for part in self.layout.joined.get(path, (path,))]
        items, counts = [item for part, _ in parts for item in part], _sum([counts for _, counts in parts])
        need_some(items, counts, self._shown(path))
        return items, counts

    def _shown(self, path: Path) -> str:
        """Return the name of a file, with how many are read with it as one."""
        more = len(self.layout.joined.get(path, (path,))) - 1
        return f"{path.name} and {more} more" if more else path.name

    def _file(self, code: str, split: str) -> tuple[tuple[TextExample, ...], Path, ReadCounts, str]:
        path = self.layout.files[code, split]
        items, counts = self._read(path)
        return tuple(item.example for item in items), path, counts, ""


def _sum(counts: Sequence[ReadCounts]) -> ReadCounts:
    """Return the counts of several files together."""
    return ReadCounts(*(sum(column) for column in zip(*map(astuple, counts), strict=True)))
