"""Labelled data of a task in several languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final, Protocol

from xsns_stream.corpora.examples import collect
from xsns_stream.corpora.file_names import SPLIT_NAMES, NotRead, joined_note
from xsns_stream.corpora.hub import HubCorpus, open_hub, refuse_options
from xsns_stream.corpora.labels import (
    AUTO,
    MOST_CLASSES,
    TASK_NAMES,
    check_split,
    check_task,
    label_union,
    met,
    relabelled,
)
from xsns_stream.corpora.local import corpus_name
from xsns_stream.corpora.recipes import HUB_PREFIX, RECIPES, recipe_of
from xsns_stream.corpora.running_text import RUNNING
from xsns_stream.corpora.tasks.readers import Item, left_out, need_some, read_items, read_lines, sort_out
from xsns_stream.corpora.tasks.splits import DEV_SHARE, TEST_SHARE, WHOLE, Layout, cut, find_layout, hold_out
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.io.atomic import at_home
from xsns_stream.languages import pick
from xsns_stream.types import LabelledSplit, LanguageSample, ReadCounts, TextExample


class TaskCorpus(Protocol):
    """Labelled data of a task in several languages."""

    @property
    def name(self) -> str:
        """What it is and its settings, for provenance: stable, and without absolute paths."""

    @property
    def local(self) -> bool:
        """Whether reading needs no network."""

    @property
    def task(self) -> str:
        """Which task."""

    @property
    def relabel(self) -> Mapping[str, str]:
        """{old: new} names of labels."""

    @property
    def renamed(self) -> set[str]:
        """Those old names that were met in what has been read so far."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of files that are not read, because they say no language."""

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the normalised codes of the languages that have this split, sorted; of any split for None."""

    def split(self, language: str, split: str) -> LabelledSplit:
        """Return one split of one language, whole."""


def open_task(
    spec: str,
    task: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    relabel: Mapping[str, str] | None = None,
) -> TaskCorpus:
    """Open the labelled data that `spec` means.

    Args:
        spec: A folder in one of the layouts of `docs/corpora.md`; a recipe with labels (`wikiann`), or
            `RECIPE=FOLDER`, a local copy of its data set; `hub:OWNER/NAME` or `hub:./FOLDER`. A recipe's name wins
            over a folder of that name.
        task: One of `ner`, `pos`, `nli`, `pi`, `qa`, `topic`.
        config: Name of a data set's configurations, with `{lang}` for the language.
        revision: Branch, tag or commit of a data set on the Hub.
        relabel: {old: new} names of labels; of named entities the types.

    Raises:
        UsageError: There is no such task, or an option means nothing here.
        CorpusError: There is no such folder or data set.
    """
    check_task(task)
    names = dict(relabel or {})
    check_recipe(spec.partition("=")[0], task)
    if data_set := recipe_of(spec):
        return HubTask(open_hub(*data_set, config=config, revision=revision, labels=AUTO), task, names)
    refuse_options({"config": config, "corpus-revision": revision}, kind="a folder")
    folder = at_home(spec)
    if not folder.is_dir():
        there = f"'{spec}' is a file, and no folder" if folder.is_file() else f"there is no folder '{spec}'"
        known = f"one of {', '.join(RECIPE_TASKS)}, RECIPE=FOLDER, or {HUB_PREFIX}OWNER/NAME."
        raise CorpusError(f"{there}.", f"labelled data are a folder, {known}")
    return FolderTask(folder, task, names)


@dataclass(frozen=True)
class TaskText:
    """The training texts of a task as a corpus: what sub-networks of the task's own text are measured on.

    Attributes:
        data: The task's data.
        wanted: Which split; `train`, unless there is a reason.
        labels: Whether the examples keep their labels, for an objective that asks for them.
        words: How texts without labels that are split into words are read: as `running` text, or as `given`.
    """

    data: TaskCorpus
    wanted: str = "train"
    labels: bool = False
    words: str = RUNNING

    def __post_init__(self) -> None:
        check_split(self.wanted)

    @cached_property
    def name(self) -> str:
        """For provenance."""
        said = ", labels" if self.labels else ""
        if not self.labels and TASK_NAMES[self.data.task] == "words":
            said = f", words={self.words}"
        return f"{self.data.name}[{self.wanted}{said}]"

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of files that are not read, because they say no language."""
        return self.data.skipped

    @property
    def not_read(self) -> tuple[NotRead, ...]:
        """All files that are left out, with the reasons."""
        found: tuple[NotRead, ...] = getattr(self.data, "not_read", ())
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how the data are read, where that had to be decided."""
        found: tuple[str, ...] = getattr(self.data, "notes", ())
        return found

    @property
    def local(self) -> bool:
        """Whether reading needs no network."""
        return self.data.local

    def languages(self) -> tuple[str, ...]:
        """Return the codes that have the split, sorted."""
        return self.data.languages(self.wanted)

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` distinct examples without replacement; all of them where there are fewer.

        Raises:
            LanguageError: There is no such language, or it does not have the split.
            CorpusError: The data cannot be read.
        """
        split = self.data.split(language, self.wanted)
        units = split.examples if self.labels else (_text_alone(each, self.data.task) for each in split.examples)
        examples, counts = collect(units, words=self.words)
        counts = _together(split.counts, counts)
        notes = (split.note,) if self.labels and split.note else ()
        return LanguageSample(split.language, examples, split.source, counts, notes).draw(count, seed)

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the classes in the split of all languages, sorted; empty where labels are answers.

        Raises:
            CorpusError: No language can be read.
        """
        if not self.labels:
            return ()
        most = MOST_CLASSES.get(self.data.task)
        return label_union(self.languages(), lambda code: self.data.split(code, self.wanted).examples, most)


def _together(split: ReadCounts, texts: ReadCounts) -> ReadCounts:
    """Return what became of the examples of a split's file, and then of the texts of the split."""
    return replace(
        texts,
        read=max(split.read, texts.read),
        empty=split.empty + texts.empty,
        undecodable=split.undecodable + texts.undecodable,
        unlabelled=split.unlabelled + texts.unlabelled,
        control=max(split.control, texts.control),
        malformed=split.malformed + texts.malformed,
    )


def _text_alone(example: TextExample, task: str) -> TextExample:
    """Return the text that a recipe takes where no labels are asked for: of questions the passage, of NLI the premise.

    Without their labels, questions and hypotheses repeat the same passage or premise again and again.
    """
    match task:
        case "qa":
            return TextExample(example.pair or "")
        case "nli":
            return TextExample(example.text)
        case _:
            return replace(example, label=None)


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


#: What the data sets of the recipes are for.
RECIPE_TASKS: Final[Mapping[str, str]] = {
    "wikiann": "ner",
    "udpos": "pos",
    "xnli": "nli",
    "paws-x": "pi",
    "tydiqa": "qa",
}
#: Recipes whose test data are not public: what the literature tests on is their validation data.
_TESTED_ON_DEV: Final = frozenset({"tydiqa"})


def check_recipe(name: str, task: str) -> None:
    """Refuse a recipe whose data are for another task.

    Raises:
        UsageError: They are.
    """
    if name in RECIPES and RECIPE_TASKS.get(name, task) != task:
        fitting = [recipe for recipe, fits in RECIPE_TASKS.items() if fits == task]
        hint = f"its task is {RECIPE_TASKS[name]}; "
        hint += f"data of {task}: {', '.join(fitting)}." if fitting else f"no known data set is for {task}."
        raise UsageError(f"{name} holds no data of the task {task}.", hint)


@dataclass(frozen=True)
class HubTask:
    """The labelled data of a data set in the Hub's layout.

    Attributes:
        corpus: The data set, with its labels.
        task: Which task.
        relabel: {old: new} names of labels.
        renamed: Those old names of `relabel` that were met in what has been read so far.
    """

    corpus: HubCorpus
    task: str
    relabel: Mapping[str, str] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    #: Configurations that are no languages are no files that somebody forgot to name.
    skipped = ()

    @property
    def local(self) -> bool:
        """Whether reading needs no network."""
        return self.corpus.local

    @cached_property
    def name(self) -> str:
        """For provenance; holds no absolute path."""
        renamed = ",".join(f"{old}={new}" for old, new in sorted(self.relabel.items()))
        return f"{self.corpus.name} as {self.task}" + (f", relabel={renamed}" if renamed else "")

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the codes, sorted: of a copy those that have this split, or one that it is taken from.

        On the Hub every language is taken to have every split: to see needs a question each.

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
        """Return one split of one language, whole, in the order of the data set.

        Where there are no training data, the validation data are for training; where there are no other validation
        data, a tenth of the training data is held out.

        Raises:
            UsageError: There is no such split.
            LanguageError: There is no such language, or it does not have this split.
            CorpusError: The data set cannot be read, or the split holds no labelled example.
        """
        check_split(split)
        code = pick(language, self.corpus.languages(), self.name)
        source = self._source(code, split)
        if not source:
            raise LanguageError(
                f"'{code}' has no {split} data in {self.corpus.name}.",
                f"it has {', '.join(self._splits(code)) or 'no split'}.",
            )
        read = replace(self.corpus, split=source)
        rows = (("", unit) for unit in read.in_order(code))
        notes: dict[str, None] = {}
        items, counts = sort_out(rows, self.task, "row", f"'{code}' in {read.name}", notes.setdefault)
        examples, note = self._part(code, split, source, items)
        if not examples:
            hint = "check --task; of some data sets the labels of the test data are not public."
            raise CorpusError(f"the {split} data of '{code}' in {read.name} hold no labelled example.", hint)
        self.renamed.update(met(examples, self.relabel, self.task))
        renamed = relabelled(examples, self.relabel, self.task)
        said = " ".join(filter(None, (note, left_out(counts, f"the {source} data of '{code}'"), *notes)))
        return LabelledSplit(code, split, renamed, read.name, counts.unlabelled, said, counts)

    # ---------------------------------------------------------------------------------------- splits

    def _splits(self, code: str) -> Mapping[str, str]:
        """Return {split: what the data set calls it} of a language."""
        return {SPLIT_NAMES[name]: name for name in self.corpus.split_names(code) if name in SPLIT_NAMES}

    def _source(self, code: str, split: str) -> str:
        """Return the data set's name of the split that this one is, or is taken from; empty where there is none."""
        there = self._splits(code)
        if split == "test":
            return there.get("dev" if self._tested_on_dev else "test", "")
        wanted = ("train",) if self._tested_on_dev else (split, "train", "dev")
        return next((there[name] for name in wanted if name in there), "")

    @property
    def _tested_on_dev(self) -> bool:
        return self.corpus.recipe.name in _TESTED_ON_DEV

    def _part(self, code: str, split: str, source: str, items: Sequence[Item]) -> tuple[tuple[TextExample, ...], str]:
        """Return what of a data set's split is of the split that was asked for, and what should be known of it."""
        whole = tuple(item.example for item in items)
        if split == "test":
            name = self.corpus.recipe.name
            note = f"{name} has no public test data: its validation data are tested on." if self._tested_on_dev else ""
            return whole, note
        there = self._splits(code)
        if {"train", "dev"} <= set(there) and not self._tested_on_dev:
            return whole, ""
        train, held = hold_out(items)
        if self._tested_on_dev:
            note = "a tenth of the training data serves as dev, because the validation data are tested on."
        else:
            note = f"'{code}' has no {'dev' if 'train' in there else 'train'} split: {source} is for training, "
            note += "but for a tenth of it, which serves as dev."
        return (train if split == "train" else held), note
