"""Text of one language: examples, labelled splits, samples, and counts of what was skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np

from xsns_stream.errors import LanguageError, UsageError


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """The answer to a question, where it stands in the passage.

    Attributes:
        start: Its first character, counted in characters from the passage's beginning.
        text: The answer as it is written there; not empty.
    """

    start: int
    text: str

    @property
    def end(self) -> int:
        """The first character after the answer."""
        return self.start + len(self.text)


#: What a task says of a text: a label a word ("" where a word has none), the name of a class, or an answer.
Label: TypeAlias = tuple[str, ...] | str | AnswerSpan


@dataclass(frozen=True, slots=True)
class TextExample:
    """One unit of text, before the tokenizer.

    Attributes:
        text: A string, or a tuple of words where the corpus is already split into words. The question, where the
            label is an answer.
        pair: The second text of a pair (PAWS-X), or the passage that holds the answer; None elsewhere.
        label: None where the corpus has no labels, or they were not asked for.
        running: The sentence that the words come from, as it is written; None where it is the words joined by spaces.
            It is the example's text wherever no label is asked for. With labels, the words are joined by spaces.

    Raises:
        UsageError: The label does not fit: not one a word, or an answer that does not stand in the passage. Or a text
            that is not split into words has a running text.
    """

    text: str | tuple[str, ...]
    pair: str | None = None
    label: Label | None = None
    running: str | None = None

    def __post_init__(self) -> None:
        if self.running is not None and isinstance(self.text, str):
            raise UsageError(
                f"the text {self.text!r} is not split into words.", "only words have a running text beside them."
            )
        if isinstance(self.label, tuple) and (isinstance(self.text, str) or len(self.label) != len(self.text)):
            raise UsageError(f"{len(self.label)} labels do not fit the words {self.text!r}.", "give one for each word.")
        if isinstance(self.label, AnswerSpan):
            answer, passage = self.label, self.pair or ""
            if not answer.text or answer.start < 0 or passage[answer.start : answer.end] != answer.text:
                raise UsageError(
                    f"the answer {answer.text!r} does not stand at character {answer.start} of the passage.",
                    "the passage is the pair's second text; count characters, not bytes.",
                )

    def sentence(self) -> str:
        """Return the (first) text as a model reads it: the running text, or words joined by spaces."""
        if isinstance(self.text, str):
            return self.text
        return " ".join(self.text) if self.running is None or self.label is not None else self.running

    def key(self) -> str:
        """Return a string that two examples share exactly when they are the same text, whatever their labels.

        It seeds what is drawn for the example. A running text has the key of the same text in a file of lines.
        """
        if isinstance(self.text, str):
            text = self.text
        else:
            text = "\x1f".join(self.text) if self.running is None or self.label is not None else self.running
        return text if self.pair is None else f"{text}\x1e{self.pair}"

    def identity(self) -> str:
        """Return a string that two examples share exactly when text and label are the same; `key()` without label."""
        match self.label:
            case None:
                return self.key()
            case AnswerSpan(start, text):
                said = f"span\x1f{start}\x1f{text}"
            case str():
                said = f"class\x1f{self.label}"
            case _:
                said = "\x1f".join(("words", *self.label))
        return f"{self.key()}\x1c{said}"


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """What became of the lines (rows, sentences) of a corpus.

    Attributes:
        read: Units met, usable or not.
        empty: Skipped because nothing but white space was in them.
        duplicate: Skipped because the same text stood before.
        undecodable: Skipped because their bytes are not UTF-8.
        usable: What was left to draw from.
        unlabelled: Skipped because labels were asked for and this unit has none that can be used.
        control: Of the others, those from which control characters (NUL among them) were removed.
        cut: Of the others, those that were longer than 2^20 characters, and cut there.
        malformed: Skipped because they are not written as their format says.
        iob1: Of the others, those whose tags were IOB1, and are IOB2 now.
    """

    read: int = 0
    empty: int = 0
    duplicate: int = 0
    undecodable: int = 0
    usable: int = 0
    unlabelled: int = 0
    control: int = 0
    cut: int = 0
    malformed: int = 0
    iob1: int = 0


@dataclass(frozen=True, slots=True)
class LanguageSample:
    """Text examples of one language, in a deterministic order.

    Attributes:
        language: Normalised BCP 47 code.
        examples: At least one; no two alike.
        source: Where the text came from, for people to read.
        counts: What was skipped on the way.
        notes: Sentences on how the text was read, where that had to be decided.
    """

    language: str
    examples: tuple[TextExample, ...]
    source: str
    counts: ReadCounts = field(default_factory=ReadCounts)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.examples:
            raise LanguageError(f"no usable text for language '{self.language}' in {self.source}.")

    @property
    def digest(self) -> str:
        """SHA-256 over the examples in their order, labels included where there are any (hexadecimal)."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(example.identity().encode())
            digest.update(b"\x1d")
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.examples)

    def draw(self, count: int, seed: int) -> LanguageSample:
        """Draw `count` examples without replacement; all of them, reordered, where there are fewer.

        The draw depends on `seed` and the sample alone. A larger count extends a smaller one, so that the first
        64 of 128 examples are the 64.
        """
        if count < 1:
            raise UsageError(f"the number of examples must be at least 1, not {count}.")
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(self.examples))
        chosen = tuple(self.examples[i] for i in order[:count])
        return LanguageSample(self.language, chosen, self.source, self.counts, self.notes)


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
