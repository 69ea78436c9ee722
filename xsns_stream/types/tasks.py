"""Labelled data of a task, split for fine-tuning and testing, and what one fine-tuned model scored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from xsns_stream.errors import LanguageError
from xsns_stream.types.text import ReadCounts, TextExample

#: What data are for: fine-tuning, choosing when to stop, and measuring.
SPLITS: Final = ("train", "dev", "test")


@dataclass(frozen=True)
class LabelledSplit:
    """The labelled examples of one split of one language, in the order of the file.

    Unlike a :class:`~xsns_stream.types.text.LanguageSample` it may hold an example twice: test sets are scored as is.

    Attributes:
        language: Normalised BCP 47 code.
        split: One of `SPLITS`.
        examples: At least one; each has a label.
        source: Where they came from, for people to read.
        unlabelled: Examples that were left out because they have no label that can be used.
        note: What a user should know of this split, one sentence; empty where it is the file's own.
        counts: What became of all examples of the file that the split is, or is cut from.
    """

    language: str
    split: str
    examples: tuple[TextExample, ...]
    source: str
    unlabelled: int = 0
    note: str = ""
    counts: ReadCounts = field(default_factory=ReadCounts)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"a split is one of {', '.join(SPLITS)}, not {self.split!r}")
        if not self.examples:
            raise LanguageError(f"the {self.split} set of '{self.language}' in {self.source} is empty.")

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the examples with their labels, in their order (hexadecimal)."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(example.identity().encode())
            digest.update(b"\x1d")
        return digest.hexdigest()


@dataclass(frozen=True)
class TestScore:
    """What one fine-tuned model scored on one language's test set.

    Attributes:
        target: Normalised code of the tested language.
        metrics: Name → percent, the task's headline metric first.
        trivial: Name → percent, of the answer that needs no model: the most frequent class of the test set where the
            task has classes (every token of it), no entity, no answer.
        examples: Test examples that were scored.
        units: What the headline metric counts: words, entities, texts, questions.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    target: str
    metrics: Mapping[str, float]
    trivial: Mapping[str, float]
    examples: int
    units: int


@dataclass(frozen=True)
class TransferRun:
    """One fine-tuned model, (source, seed), and what it scored everywhere.

    Attributes:
        source: Code of the source; several are joined by `+` in sorted order.
        seed: Of fine-tuning: head, order of examples, dropout.
        scores: Target → score.
        training: What happened: examples, epochs, best epoch, dev metric a epoch, seconds, examples a second.
        settings: Everything that decides the result: model, data digests, labels, hyper-parameters, versions.
    """

    source: str
    seed: int
    scores: Mapping[str, TestScore]
    training: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
