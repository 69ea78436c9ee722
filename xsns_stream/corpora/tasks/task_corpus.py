"""Labelled data of a task in several languages, in a folder or on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, Protocol

from xsns_stream.corpora.corpus_names import corpus_name
from xsns_stream.corpora.file_names import SPLIT_NAMES, UnreadFile, joined_treebanks_note
from xsns_stream.corpora.hub import HubCorpus, open_hub, refuse_options
from xsns_stream.corpora.labels import (
    AUTO,
    check_split,
    names_in_use,
    rename_labels,
)
from xsns_stream.corpora.recipes import HUB_PREFIX, RECIPES, recipe_of
from xsns_stream.corpora.tasks.readers import (
    IdentifiedExample,
    check_any_labelled,
    labelled_examples,
    read_labelled_file,
    read_labelled_lines,
    skipped_note,
)
from xsns_stream.corpora.tasks.splits import (
    DEV_SHARE,
    TEST_SHARE,
    WHOLE,
    Layout,
    cut_into_splits,
    find_layout,
    hold_out,
)
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.io.atomic import at_home
from xsns_stream.languages import pick
from xsns_stream.tasks import task_named
from xsns_stream.types import LabelledSplit, ReadCounts, TextExample

#: Recipe → the task of its labels.
RECIPE_TASKS: Final[Mapping[str, str]] = {
    "wikiann": "ner",
    "udpos": "pos",
    "xnli": "nli",
    "paws-x": "pi",
    "tydiqa": "qa",
}
#: Recipes whose test data are not public. Published results are on their validation data.
_TESTED_ON_DEV: Final = frozenset({"tydiqa"})
_TRAIN_SHARE: Final = 100 - DEV_SHARE - TEST_SHARE
_CACHED_FILES: Final = 2


class TaskCorpus(Protocol):
    """Interface of the labelled data of a task in several languages."""

    @property
    def name(self) -> str:
        """Name of the data with their settings, for provenance: stable, and without absolute paths."""

    @property
    def local(self) -> bool:
        """Whether the data can be read without a network."""

    @property
    def task(self) -> str:
        """Name of the task, such as `ner`."""

    @property
    def relabel(self) -> Mapping[str, str]:
        """{old name of a label: its new name}."""

    @property
    def renamed(self) -> set[str]:
        """The old names of `relabel` that were found in the data read so far."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of files that are not read because their names do not state a language."""

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the sorted normalised codes of the languages that have the split; if it is None, of all languages."""

    def split(self, language: str, split: str) -> LabelledSplit:
        """Return all labelled examples of one split of one language."""


def open_task(
    spec: str,
    task: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    relabel: Mapping[str, str] | None = None,
    treebank: str | None = None,
) -> TaskCorpus:
    """Open the labelled data of a task.

    Args:
        spec: A folder in one of the layouts of `docs/corpora.md`; a recipe with labels (`wikiann`), or
            `RECIPE=FOLDER`, a local copy of its data set; `hub:OWNER/NAME` or `hub:./FOLDER`. A recipe's name has
            priority over a folder of that name.
        task: One of `ner`, `pos`, `nli`, `pi`, `qa`, `topic`.
        config: Name of the configurations of a data set, with `{lang}` for the language.
        revision: Branch, tag or commit of a data set on the Hub.
        relabel: {old: new} names of labels; for named entities, the types.
        treebank: The treebanks to read in languages that have several, such as `GSD`; None joins all of them.

    Raises:
        UsageError: There is no such task, or an option cannot be used with these data.
        CorpusError: There is no such folder or data set.
    """
    task_named(task)
    names = dict(relabel or {})
    _check_recipe_task(spec.partition("=")[0], task)
    if data_set := recipe_of(spec):
        refuse_options({"treebank": treebank}, kind="a data set of the Hub")
        return HubTask(open_hub(*data_set, config=config, revision=revision, labels=AUTO), task, names)
    refuse_options({"config": config, "corpus-revision": revision}, kind="a folder")
    folder = at_home(spec)
    if not folder.is_dir():
        message = f"'{spec}' is a file, not a folder." if folder.is_file() else f"there is no folder '{spec}'."
        known = f"one of {', '.join(RECIPE_TASKS)}, RECIPE=FOLDER, or {HUB_PREFIX}OWNER/NAME."
        raise CorpusError(message, f"give a folder of labelled data, {known}")
    return FolderTask(folder, task, names, treebank)


def _check_recipe_task(name: str, task: str) -> None:
    """Raise an error if the labels of the recipe `name` belong to another task."""
    if name in RECIPES and RECIPE_TASKS.get(name, task) != task:
        fitting = [recipe for recipe, fits in RECIPE_TASKS.items() if fits == task]
        hint = f"the task of {name} is {RECIPE_TASKS[name]}; "
        hint += f"data sets for {task}: {', '.join(fitting)}." if fitting else f"there is no known data set for {task}."
        raise UsageError(f"{name} does not contain data of the task {task}.", hint)


# ---------------------------------------------------------------------------------------- in a folder


def _labelled_split(
    data: TaskCorpus,
    code: str,
    split: str,
    examples: Sequence[TextExample],
    *,
    source: str,
    counts: ReadCounts,
    notes: Sequence[str],
) -> LabelledSplit:
    """Return the split with these examples and renamed labels; add the old names that were found to `data.renamed`."""
    data.renamed.update(names_in_use(examples, data.relabel, data.task))
    renamed = rename_labels(examples, data.relabel, data.task)
    note = " ".join(filter(None, notes))
    return LabelledSplit(code, split, renamed, source, counts.unlabelled, note, counts)


@dataclass(frozen=True)
class FolderTask:
    """The labelled data of a task in a folder, with one or more files for each language.

    Attributes:
        folder: The folder.
        task: The name of the task.
        relabel: {old: new} names of labels.
        treebank: The treebanks to read in languages that have several; None joins all of them.
        renamed: The old names of `relabel` that were found in the data read so far.
    """

    folder: Path
    task: str
    relabel: Mapping[str, str] = field(default_factory=dict)
    treebank: str | None = None
    renamed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _notes: dict[Path, dict[str, None]] = field(default_factory=dict, init=False, repr=False, compare=False)

    #: Reading needs no network.
    local = True

    @property
    def name(self) -> str:
        """Name of the data in provenance, without absolute paths."""
        renamed = ",".join(f"{old}={new}" for old, new in sorted(self.relabel.items())) or None
        joined = {code: "+".join(names) for code, names in self.layout.treebanks.items()}
        return corpus_name("task", self.folder.resolve().name, task=self.task, **joined, relabel=renamed)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how the folder is read."""
        return tuple(joined_treebanks_note(self.layout.treebanks.items()))

    @cached_property
    def layout(self) -> Layout:
        """The files of the folder for each language and split."""
        return find_layout(self.folder, self.task, self.treebank)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of files that are not read because their names do not state a language."""
        return self.layout.skipped

    @property
    def not_read(self) -> tuple[UnreadFile, ...]:
        """All files of the folder that are left out, with the reasons."""
        return self.layout.not_read

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the sorted codes of the languages that have the split, or a file from which it is cut.

        If `split` is None, return all languages.

        Raises:
            UsageError: There is no such split.
            CorpusError: The folder cannot be read, or has no known layout.
        """
        if split is not None:
            check_split(split)
        codes = self.layout.languages
        return codes if split is None else tuple(code for code in codes if self._has(code, split))

    def split(self, language: str, split: str) -> LabelledSplit:
        """Return one split of one language.

        If the language has no training file, its dev file is used for training. If no other file remains for dev data,
        a tenth of the training data is held out. A single file without splits is cut into three splits.

        Raises:
            UsageError: There is no such split.
            LanguageError: There is no such language, or it does not have this split.
            CorpusError: The file cannot be read or contains no labelled example, or it is unclear which file to read.
        """
        check_split(split)
        code = pick(language, self.layout.languages, self.name)
        if code in self.layout.unclear:
            raise self.layout.unclear[code]
        if not self._has(code, split):
            raise LanguageError(
                f"'{code}' has no {split} data in {self.folder.resolve().name}.",
                f"languages with {split} data: {', '.join(self.languages(split)) or 'none'}.",
            )
        examples, path, counts, note = self._examples(code, split)
        where = self._shown(path)
        if not examples:
            reason = "is too small to be cut" if note else "has no such example"
            raise CorpusError(
                f"the {split} data of '{code}' are empty: {where} {reason}.",
                f"add examples, or a file of {split} data.",
            )
        notes = (note, skipped_note(counts, where), *self._notes.get(path, {}))
        source = f"{path.parent.resolve().name}/{where}"
        return _labelled_split(self, code, split, examples, source=source, counts=counts, notes=notes)

    def _has(self, code: str, split: str) -> bool:
        files = self.layout.files
        if (code, WHOLE) in files or (code, split) in files:
            return True
        return split != "test" and ((code, "train") in files or (code, "dev") in files)

    def _examples(self, code: str, split: str) -> tuple[tuple[TextExample, ...], Path, ReadCounts, str]:
        """Return the examples of a split, their file, its counts, and a note on how the file was divided; else ""."""
        files = self.layout.files
        whole = files.get((code, WHOLE))
        if whole is not None and (code, split) not in files:
            if self.layout.line_labels is not None:
                return read_labelled_lines(whole, self.layout.line_labels, split), whole, ReadCounts(), ""
            items, counts = self._read(whole)
            note = f"{whole.name} is cut into {_TRAIN_SHARE}, {DEV_SHARE} and {TEST_SHARE} % (train, dev, test)."
            return cut_into_splits(items)[split], whole, counts, note
        if split == "test" or ((code, "train") in files and (code, "dev") in files):
            path = files[code, split]
            items, counts = self._read(path)
            return tuple(item.example for item in items), path, counts, ""
        source = "train" if (code, "train") in files else "dev"
        path = files[code, source]
        items, counts = self._read(path)
        train, held_out = hold_out(items)
        verb = "are" if path in self.layout.joined else "is"
        note = (
            f"'{code}' has no {'dev' if source == 'train' else 'train'} file: {self._shown(path)} {verb} used for "
            "training, except for a tenth of it, which is used as dev data."
        )
        return (train if split == "train" else held_out), path, counts, note

    @cached_property
    def _read(self) -> Callable[[Path], tuple[list[IdentifiedExample], ReadCounts]]:
        """Function (file) → (examples, counts), with a cache because train and dev often come from one file."""
        return lru_cache(maxsize=_CACHED_FILES)(self._read_file)

    def __getstate__(self) -> dict[str, object]:
        """Return the state for pickling, without the cache of files."""
        return {name: value for name, value in vars(self).items() if name != "_read"}

    def _read_file(self, path: Path) -> tuple[list[IdentifiedExample], ReadCounts]:
        notes = self._notes[path] = {}
        files = [
            read_labelled_file(part, self.task, notes.setdefault) for part in self.layout.joined.get(path, (path,))
        ]
        items, counts = [item for part, _ in files for item in part], _sum([counts for _, counts in files])
        check_any_labelled(items, counts, self._shown(path))
        return items, counts

    def _shown(self, path: Path) -> str:
        """Return the name of a file and, if other files are read together with it, their number, for messages."""
        more = len(self.layout.joined.get(path, (path,))) - 1
        return f"{path.name} and {more} more" if more else path.name


def _sum(counts: Sequence[ReadCounts]) -> ReadCounts:
    """Return the sum of the counts of several files."""
    return ReadCounts(*(sum(column) for column in zip(*map(astuple, counts), strict=True)))


# ---------------------------------------------------------------------------------- in the Hub's layout


@dataclass(frozen=True)
class HubTask:
    """The labelled data of a data set in the Hub's layout: on the Hub, or a copy in a folder.

    Attributes:
        corpus: The data set, with its labels.
        task: The name of the task.
        relabel: {old: new} names of labels.
        renamed: The old names of `relabel` that were found in the data read so far.
    """

    corpus: HubCorpus
    task: str
    relabel: Mapping[str, str] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    #: Configurations with names that are not languages are not reported here.
    skipped = ()

    @property
    def local(self) -> bool:
        """Whether the data set can be read without a network."""
        return self.corpus.local

    @cached_property
    def name(self) -> str:
        """Name of the data set in provenance, without absolute paths."""
        renamed = ",".join(f"{old}={new}" for old, new in sorted(self.relabel.items()))
        return f"{self.corpus.name} as {self.task}" + (f", relabel={renamed}" if renamed else "")

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the sorted codes of the languages.

        For a local copy, return only languages that have the split, or another split from which it is taken. On the
        Hub, every language is assumed to have every split, since a check needs a request for each language.

        Raises:
            UsageError: There is no such split.
            CorpusError: The data set cannot be read.
        """
        codes = self.corpus.languages()
        if split is None or not self.local:
            return codes
        check_split(split)
        return tuple(code for code in codes if self._source(code, split))

    def split(self, language: str, split: str) -> LabelledSplit:
        """Return one whole split of one language, in the order of the data set.

        If there are no training data, the validation data are used for training. If no other data remain for
        validation, a tenth of the training data is held out.

        Raises:
            UsageError: There is no such split.
            LanguageError: There is no such language, or it does not have this split.
            CorpusError: The data set cannot be read, or the split contains no labelled example.
        """
        check_split(split)
        code = pick(language, self.corpus.languages(), self.name)
        source = self._source(code, split)
        if not source:
            raise LanguageError(
                f"'{code}' has no {split} data in {self.corpus.name}.",
                f"its splits: {', '.join(self._splits(code)) or 'none'}.",
            )
        corpus = replace(self.corpus, split=source)
        rows = (("", unit) for unit in corpus.in_order(code))
        reader_notes: dict[str, None] = {}
        items, counts = labelled_examples(rows, self.task, "row", f"'{code}' in {corpus.name}", reader_notes.setdefault)
        examples, note = self._examples(code, split, source, items)
        if not examples:
            raise CorpusError(
                f"the {split} data of '{code}' in {corpus.name} contain no labelled example.",
                "check --task; some data sets do not publish the labels of their test data.",
            )
        notes = (note, skipped_note(counts, f"the {source} data of '{code}'"), *reader_notes)
        return _labelled_split(self, code, split, examples, source=corpus.name, counts=counts, notes=notes)

    def _splits(self, code: str) -> Mapping[str, str]:
        """Return {split: name of the split in the data set} for the splits that a language has."""
        return {SPLIT_NAMES[name]: name for name in self.corpus.split_names(code) if name in SPLIT_NAMES}

    def _source(self, code: str, split: str) -> str:
        """Return the name in the data set of the split from which `split` is taken; empty if there is none."""
        splits = self._splits(code)
        if split == "test":
            return splits.get("dev" if self._tested_on_dev else "test", "")
        candidates = ("train",) if self._tested_on_dev else (split, "train", "dev")
        return next((splits[name] for name in candidates if name in splits), "")

    @property
    def _tested_on_dev(self) -> bool:
        return self.corpus.recipe.name in _TESTED_ON_DEV

    def _examples(
        self, code: str, split: str, source: str, items: Sequence[IdentifiedExample]
    ) -> tuple[tuple[TextExample, ...], str]:
        """Select the examples of a split from the split of the data set that it is taken from.

        Args:
            code: Code of the language.
            split: `train`, `dev` or `test`.
            source: Name of the split in the data set.
            items: All examples of that split.

        Returns:
            The examples, and a sentence about the selection; it is empty if the data set has the split itself.
        """
        whole = tuple(item.example for item in items)
        if split == "test":
            name = self.corpus.recipe.name
            note = f"{name} has no public test data: its validation data are used for testing."
            return whole, note if self._tested_on_dev else ""
        splits = self._splits(code)
        if {"train", "dev"} <= set(splits) and not self._tested_on_dev:
            return whole, ""
        train, held_out = hold_out(items)
        if self._tested_on_dev:
            note = "a tenth of the training data is used as dev data, because the validation data are used for testing."
        else:
            note = (
                f"'{code}' has no {'dev' if 'train' in splits else 'train'} split: {source} is used for training, "
                "except for a tenth of it, which is used as dev data."
            )
        return (train if split == "train" else held_out), note
