"""The texts of a task as a corpus: what a task's own sub-networks are measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from xsns_stream.corpora.labels import label_union
from xsns_stream.corpora.naming import NotRead
from xsns_stream.corpora.running_text import RUNNING
from xsns_stream.corpora.splits.opening import TaskCorpus
from xsns_stream.corpora.splits.relabelling import MOST_CLASSES, TASK_NAMES, check_split
from xsns_stream.corpora.units import collect
from xsns_stream.types import LanguageSample, ReadCounts, TextExample


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
