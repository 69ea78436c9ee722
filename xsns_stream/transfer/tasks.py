"""Tasks with their labels and metrics, and the settings of fine-tuning."""

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
#: Tags of named entities: outside, or beginning, inside, end or whole of an entity of a type.
_ENTITY_TAG: Final = re.compile(r"O|[BIES]-.+")


@dataclass(frozen=True)
class Task:
    """A task of the paper, or a similar task.

    Attributes:
        name: The name on the command line.
        description: A short description.
        kind: The objective, and therefore the head, that a model is loaded with.
        metrics: The metrics, all in percent; the first is the headline metric, which decides when training stops.
        labels: The classes, if they are fixed; None takes the classes of the data.
    """

    name: str
    description: str
    kind: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...] | None = None

    #: Unit of every metric.
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
    """Return the names of a task's classes, in the order of the head's outputs; empty if labels are answers.

    Args:
        task: The task.
        splits: The data of all languages, so that a class has the same number in every language.

    Raises:
        CorpusError: A tag is not a tag of named entities.
    """
    if task.labels is not None:
        return task.labels
    names: set[str] = set()
    for split in splits:
        labels = labels_of(split)
        if task.name == "ner":
            _check_tags(labels, split)
        names |= labels
    return tuple(sorted(names))


def _check_tags(labels: set[str], split: LabelledSplit) -> None:
    if wrong := sorted(label for label in labels if not _ENTITY_TAG.fullmatch(label)):
        raise CorpusError(
            f"the tag '{wrong[0]}' in the {split.split} data of '{split.language}' is not a tag of named entities.",
            "tags are O, B-TYPE and I-TYPE; check --task.",
        )


def labels_of(split: LabelledSplit) -> set[str]:
    """Return the labels that occur in a split; empty if labels are answers."""
    labels: set[str] = set()
    for example in split.examples:
        if isinstance(example.label, str):
            labels.add(example.label)
        elif example.label is not None and not isinstance(example.label, AnswerSpan):
            labels.update(filter(None, example.label))
    return labels


@dataclass(frozen=True)
class FineTuning:
    """Hyper-parameters of fine-tuning by AdamW, with linear decay after a warm-up and early stopping on the dev data.

    Attributes:
        preset: The name of the preset that the settings are based on.
        learning_rate: The largest learning rate.
        batch_size: Training examples per step.
        epochs: Largest number of epochs.
        patience: Number of epochs without a better headline metric on the dev data before training stops.
        warmup_share: Share of all steps in which the learning rate rises.
        weight_decay: Weight decay of AdamW.
        max_length: Maximum length of an input in tokens. Longer sentences of words and longer passages are split into
            windows, other texts are cut.
        stride: Number of tokens that neighbouring windows of a passage share.
        group_by_length: Whether the examples of a batch have similar lengths, which reduces padding.
        precision: `float32`, or `bf16` or `fp16` by automatic mixed precision.
        device: `cpu`, `cuda`, or another device as torch names it; with several GPUs the Trainer uses the first.
        evaluation_batch: Number of test examples in a batch; it changes only the speed.
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
                    "leave it out to use the value of the preset.",
                )
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"the learning rate must be between 0 and 1, not {self.learning_rate}.", "try 1e-5.")
        if not 0 <= self.warmup_share < 1 or self.weight_decay < 0:
            raise UsageError(
                "the warm-up must be a share of the steps, and weight decay must not be negative.", "use 0 for none."
            )
        if self.max_length < 8 or not 0 <= self.stride <= self.max_length // 2:
            raise UsageError(
                f"the maximum length of {self.max_length} tokens with a stride of {self.stride} leaves no room.",
                "use at least 8 tokens, and a stride of at most half of the length.",
            )
        if self.precision not in PRECISIONS:
            raise UsageError(f"'{self.precision}' is not a precision.", f"use one of: {', '.join(PRECISIONS)}.")
        if self.device.partition(":")[2] not in ("", "0"):
            raise UsageError(
                f"fine-tuning uses the first GPU, not '{self.device}'.",
                f"use --device cuda, and CUDA_VISIBLE_DEVICES={self.device.partition(':')[2]} to make it the first.",
            )
        if self.precision == "fp16" and self.device.partition(":")[0] == "cpu":
            raise UsageError("fp16 needs a GPU.", "use float32 or bf16 on a CPU.")

    def as_record(self) -> dict[str, Any]:
        """Return the settings that the result depends on: all except preset, device and evaluation batch."""
        return {k: v for k, v in asdict(self).items() if k not in ("preset", "device", "evaluation_batch")}


#: `paper`: AdamW, 1e-5, batches of 16, at most 20 epochs, patience 5 (Yun et al. 2023, appendix). Settings that the
#: paper does not name are the Trainer's defaults: linear decay without warm-up, no weight decay, gradients clipped to a
#: norm of 1. `quick` is for small models such as the embedded one; its learning rate is too large for large models.
PRESETS: Final[Mapping[str, FineTuning]] = MappingProxyType(
    {
        "paper": FineTuning("paper", 1e-5, 16, 20, 5),
        "quick": FineTuning("quick", 5e-4, 16, 5, 2, warmup_share=0.1, group_by_length=True),
    }
)
