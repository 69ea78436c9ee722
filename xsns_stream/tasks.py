"""Tasks for fine-tuning: names, objectives, labels and metrics.

To add a task, add it to `TASKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from xsns_stream.errors import UsageError

#: Labelled units: words, texts, pairs of texts, or questions with an answer in a passage.
Labelled: TypeAlias = Literal["words", "text", "pair", "answer"]

#: Universal POS tags, version 2: https://universaldependencies.org/u/pos/.
UPOS: Final = tuple(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()  # noqa: SIM905 — one line
)


@dataclass(frozen=True)
class Task:
    """A task of the paper, or a similar task.

    Attributes:
        name: The name on the command line.
        title: The name in titles and sentences.
        description: A short description of the labels.
        objective: The objective of the model, which determines its head.
        labelled: The kind of labelled units.
        metrics: The metrics of :mod:`xsns_stream.transfer.metrics`, all in percent; the first is the headline metric,
            which decides when training stops.
        classes: The classes, if they are fixed; None for the classes of the data.
        most_classes: Maximum number of classes; None if it is unknown. If the data have more classes, one class has two
            names, as in some copies of XNLI.
        entities: Whether the labels are tags of named entities.
    """

    name: str
    title: str
    description: str
    objective: str
    labelled: Labelled
    metrics: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    most_classes: int | None = None
    entities: bool = False

    #: Unit of every metric.
    unit = "percent"


_TOKENS: Final = "token-classification"
_TEXTS: Final = "sequence-classification"
_OF_CLASSES: Final = ("accuracy", "macro-f1")

#: {name: task}, in the order of the paper's tables; the last task is not in the paper.
TASKS: Final[Mapping[str, Task]] = MappingProxyType(
    {
        task.name: task
        for task in (
            Task("ner", "NER", "named entities", _TOKENS, "words", ("f1", "token-accuracy"), entities=True),
            Task("pos", "POS tagging", "parts of speech", _TOKENS, "words", ("accuracy",), UPOS),
            Task("nli", "NLI", "entailment of sentence pairs", _TEXTS, "pair", _OF_CLASSES, most_classes=3),
            Task(
                "pi",
                "Paraphrase identification",
                "paraphrase of sentence pairs",
                _TEXTS,
                "pair",
                _OF_CLASSES,
                most_classes=2,
            ),
            Task("qa", "QA", "answers in a passage", "question-answering", "answer", ("f1", "exact-match")),
            Task("topic", "Topic classification", "topics of texts", _TEXTS, "text", _OF_CLASSES),
        )
    }
)


def task_named(name: str) -> Task:
    """Return the task of this name.

    Raises:
        UsageError: There is no task of this name.
    """
    if name not in TASKS:
        raise UsageError(f"there is no task '{name}'.", f"choose one of {', '.join(TASKS)}.")
    return TASKS[name]
