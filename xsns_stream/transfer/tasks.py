"""The tasks: labels, metrics, and the settings of fine-tuning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import LabelledSplit
from xsns_stream.types.fisher import PRECISIONS
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


@dataclass(frozen=True)
class FineTuning:
    """Hyper-parameters of fine-tuning: AdamW, linear decay after a warm-up, early stopping on the source's dev data.

    Attributes:
        preset: The name of the preset that the others began with.
        learning_rate: The highest.
        batch_size: Training examples a step.
        epochs: At most so many.
        patience: Epochs without a better headline metric on the dev data before training stops.
        warmup_share: Share of all steps in which the learning rate rises.
        weight_decay: Of AdamW.
        max_length: Longest input in pieces. Longer sentences of words and passages are taken in windows, other texts
            are cut.
        stride: Pieces that neighbouring windows of a passage share.
        group_by_length: Whether a batch takes examples of like length, which spares padding.
        precision: `float32`, or `bf16` or `fp16` by automatic mixed precision.
        device: `cpu`, `cuda`, or another as torch names it; of several GPUs the Trainer takes the first.
        evaluation_batch: Test examples computed together; changes speed alone.
    """

    preset: str
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    warmup_share: float = 0.0
    weight_decay: float = 0.0
    max_length: int = 128
    stride: int = 32
    group_by_length: bool = False
    precision: str = "float32"
    device: str = "cpu"
    evaluation_batch: int = 64

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "patience", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}.",
                    "leave it out to take the preset's.",
                )
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"the learning rate must lie between 0 and 1, not {self.learning_rate}.", "try 1e-5.")
        if not 0 <= self.warmup_share < 1 or self.weight_decay < 0:
            raise UsageError("the warm-up must be a share of the steps, and weight decay not below 0.", "0 is none.")
        if self.max_length < 8 or not 0 <= self.stride <= self.max_length // 2:
            raise UsageError(
                f"a longest input of {self.max_length} pieces with a stride of {self.stride} leaves no room.",
                "take at least 8 pieces, and a stride of no more than half of them.",
            )
        if self.precision not in PRECISIONS:
            raise UsageError(f"there is no precision '{self.precision}'.", f"one of: {', '.join(PRECISIONS)}.")
        if self.device.partition(":")[2] not in ("", "0"):
            raise UsageError(
                f"fine-tuning takes the first GPU, not '{self.device}'.",
                f"--device cuda with CUDA_VISIBLE_DEVICES={self.device.partition(':')[2]} makes this one the first.",
            )
        if self.precision == "fp16" and self.device.partition(":")[0] == "cpu":
            raise UsageError("fp16 needs a GPU.", "take float32 or bf16 on a CPU.")

    def as_record(self) -> dict[str, Any]:
        """Return what decides the result; device and evaluation batch do not."""
        return {k: v for k, v in asdict(self).items() if k not in ("preset", "device", "evaluation_batch")}


#: `paper`: AdamW, 1e-5, batches of 16, at most 20 epochs, patience 5 (Yun et al. 2023, appendix); what the paper leaves
#: open is the Trainer's default: linear decay without warm-up, no weight decay, gradients clipped to a norm of 1.
#: `quick`: for small models such as the embedded one, which learn at a rate that would ruin a large one.
PRESETS: Final[Mapping[str, FineTuning]] = MappingProxyType(
    {
        "paper": FineTuning("paper", 1e-5, 16, 20, 5),
        "quick": FineTuning("quick", 5e-4, 16, 5, 2, warmup_share=0.1, group_by_length=True),
    }
)
