"""Labelled data of a task, and its texts as a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from xsns_stream.corpora.examples import collect
from xsns_stream.corpora.hub import HubCorpus
from xsns_stream.corpora.labels import AUTO, label_union
from xsns_stream.corpora.naming import NotRead
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.corpora.running_text import RUNNING
from xsns_stream.corpora.tasks.folders import FolderTask
from xsns_stream.corpora.tasks.hub_data import RECIPE_TASKS, HubTask, check_recipe
from xsns_stream.corpora.tasks.relabelling import MOST_CLASSES, TASK_NAMES, check_split, check_task
from xsns_stream.errors import CorpusError
from xsns_stream.io.atomic import at_home
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
    from xsns_stream.corpora.open import HUB_PREFIX, open_corpus, refuse

    check_task(task)
    names = dict(relabel or {})
    name = spec.partition("=")[0]
    if name in RECIPES or spec.startswith(HUB_PREFIX):
        check_recipe(name, task)
        corpus = open_corpus(spec, config=config, revision=revision, labels=AUTO)
        if not isinstance(corpus, HubCorpus):
            raise TypeError("a recipe opens a data set in the Hub's layout")
        return HubTask(corpus, task, names)
    refuse({"config": config, "corpus-revision": revision}, kind="a folder")
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
