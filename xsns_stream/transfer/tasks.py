"""The tasks: what is asked of a model, and what is measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from xsns_stream.errors import CorpusError
from xsns_stream.types import LabelledSplit
from xsns_stream.types.text import AnswerSpan

#: Universal POS tags, version 2: https://universaldependencies.org/u/pos/.
UPOS: Final = tuple(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()  # noqa: SIM905 — one line
)
#: Tags of named entities: outside, or the beginning, inside, end or whole of an entity of some type.
_ENTITY_TAG: Final = re.compile(r"O|[BIES]-.+")


@dataclass(frozen=True)
class Task:
    """A task of the paper, or one like them.

    Attributes:
        name: On the command line.
        description: A few words.
        kind: The objective, and so the head, that a model is loaded with.
        metrics: What is measured, all in percent; the first is the headline, by which training stops.
        labels: The classes, where they are fixed; None takes those of the data.
    """

    name: str
    description: str
    kind: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...] | None = None

    #: Of every metric.
    unit = "percent"


TASKS: Final[Mapping[str, Task]] = MappingProxyType(
    {
        task.name: task
        for task in (
            Task("ner", "named entities", "token-classification", ("f1", "token-accuracy")),
            Task("pos", "parts of speech", "token-classification", ("accuracy",), UPOS),
            Task("nli", "entailment of sentence pairs", "sequence-classification", ("accuracy", "macro-f1")),
            Task("pi", "paraphrase of sentence pairs", "sequence-classification", ("accuracy", "macro-f1")),
            Task("qa", "answers in a passage", "question-answering", ("f1", "exact-match")),
            Task("topic", "topics of texts", "sequence-classification", ("accuracy", "macro-f1")),
        )
    }
)


def class_names(task: Task, splits: Iterable[LabelledSplit]) -> tuple[str, ...]:
    """Return the names of a task's classes, in the order of the head's outputs; empty where labels are answers.

    Args:
        task: The task.
        splits: All data that take part, so that a class has the same number in every language.

    Raises:
        CorpusError: The tags of named entities are no tags of this kind.
    """
    if task.labels is not None:
        return task.labels
    found: set[str] = set()
    for split in splits:
        labels = labels_of(split)
        if task.name == "ner":
            _check_tags(labels, split)
        found |= labels
    return tuple(sorted(found))


def _check_tags(labels: set[str], split: LabelledSplit) -> None:
    if wrong := sorted(label for label in labels if not _ENTITY_TAG.fullmatch(label)):
        raise CorpusError(
            f"the {split.split} data of '{split.language}' have the tag '{wrong[0]}', which marks no named entity.",
            "tags are O, B-TYPE and I-TYPE; check --task.",
        )


def labels_of(split: LabelledSplit) -> set[str]:
    """Return the labels that occur in a split; none where they are answers."""
    found: set[str] = set()
    for example in split.examples:
        if isinstance(example.label, str):
            found.add(example.label)
        elif example.label is not None and not isinstance(example.label, AnswerSpan):
            found.update(filter(None, example.label))
    return found
