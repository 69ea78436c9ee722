"""Text of one language: examples, samples, labelled splits, and counts of skipped text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np

from xsns_stream.errors import LanguageError, UsageError


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """The answer to a question, as a span of the passage.

    Attributes:
        start: Index of the first character of the answer in the passage, counted in characters from 0.
        text: The answer as it is written in the passage; not empty.
        others: Texts of other reference answers to the question. A prediction is compared with all of them; training
            uses only the answer at `start`.
    """

    start: int
    text: str
    others: tuple[str, ...] = ()

    @property
    def end(self) -> int:
        """Index of the character of the passage that follows the answer."""
        return self.start + len(self.text)

    @property
    def references(self) -> tuple[str, ...]:
        """The texts of all reference answers; the text of this answer is the first."""
        return (self.text, *self.others)


def other_answers(texts: Iterable[object], first: str) -> tuple[str, ...]:
    """Return the distinct strings among the reference answers, without the answer `first`."""
    plain = (text.strip() for text in texts if isinstance(text, str))
    return tuple(text for text in dict.fromkeys(plain) if text and text != first.strip())


#: The label of a text: one label for each word ("" for a word without a label), the name of a class, or an answer.
Label: TypeAlias = tuple[str, ...] | str | AnswerSpan


@dataclass(frozen=True, slots=True)
class TextExample:
    """One unit of text, before tokenization.

    Attributes:
        text: A string, or a tuple of words if the corpus is already split into words. If the label is an answer,
            `text` is the question.
        pair: The second text of a pair (PAWS-X), or the passage that contains the answer; None for single texts.
        label: None if the corpus has no labels or labels are not read.
        running: The original running text if `text` is a tuple of words; None if the running text equals the words
            joined by spaces. Examples without labels use the running text; examples with labels use the words joined
            by spaces.

    Raises:
        UsageError: The numbers of labels and words differ; the passage does not contain the answer; or `running` is
            given for a text that is not split into words.
    """

    text: str | tuple[str, ...]
    pair: str | None = None
    label: Label | None = None
    running: str | None = None

    def __post_init__(self) -> None:
        if self.running is not None and isinstance(self.text, str):
            raise UsageError(
                f"the text {self.text!r} is not split into words, but its running text was given too.",
                "leave the running text out, or give the text as a tuple of words.",
            )
        if isinstance(self.label, tuple) and (isinstance(self.text, str) or len(self.label) != len(self.text)):
            raise UsageError(
                f"{len(self.label)} labels do not fit the words {self.text!r}.", "give one label for each word."
            )
        if isinstance(self.label, AnswerSpan):
            answer, passage = self.label, self.pair or ""
            if not answer.text or answer.start < 0 or passage[answer.start : answer.end] != answer.text:
                raise UsageError(
                    f"the answer {answer.text!r} is not at character {answer.start} of the passage.",
                    "the passage is the second text of the pair; count characters, not bytes.",
                )

    def sentence(self) -> str:
        """Return the first text of the example as one string: the running text, or the words joined by spaces."""
        if isinstance(self.text, str):
            return self.text
        return " ".join(self.text) if self.running is None or self.label is not None else self.running

    def key(self) -> str:
        """Return a string that is equal for two examples if and only if their texts are equal; labels are ignored.

        The key seeds all random choices for the example. An example with a running text has the same key as an example
        whose text is this string.
        """
        if isinstance(self.text, str):
            text = self.text
        else:
            text = "\x1f".join(self.text) if self.running is None or self.label is not None else self.running
        return text if self.pair is None else f"{text}\x1e{self.pair}"

    def identity(self) -> str:
        """Return a string that is equal for two examples if and only if their texts and labels are equal."""
        match self.label:
            case None:
                return self.key()
            case AnswerSpan(start, text):
                label = f"span\x1f{start}\x1f{text}"
            case str():
                label = f"class\x1f{self.label}"
            case _:
                label = "\x1f".join(("words", *self.label))
        return f"{self.key()}\x1c{label}"


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """Counts of the usable and of the skipped units (lines, rows or sentences) of a corpus.

    Attributes:
        read: All units that were read.
        empty: Units skipped because they contain only white space and invisible characters.
        duplicate: Units skipped because an earlier unit has the same text.
        undecodable: Units skipped because their bytes are not UTF-8.
        usable: Units from which examples are drawn.
        unlabelled: Units skipped because they have no usable label; zero if labels are not read.
        control: Units from which control characters, such as NUL, were removed. These units are also counted as usable
            or as skipped.
        cut: Usable units that were longer than 2^20 characters, and were cut there.
        malformed: Units skipped because they do not follow the format of the corpus.
        iob1: Usable units whose tags were converted from IOB1 to IOB2.
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
        examples: At least one example; all examples are distinct.
        source: Origin of the text, for messages.
        counts: Counts of the skipped text.
        notes: Sentences about how the text was read.
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
        """SHA-256 of the examples in their order, with their labels (hexadecimal)."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(example.identity().encode())
            digest.update(b"\x1d")
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.examples)

    def draw(self, count: int, seed: int) -> LanguageSample:
        """Draw `count` examples without replacement; if there are fewer, return all of them in random order.

        The draw depends only on `seed` and the sample. A larger draw begins with the smaller one: the first 64 of 128
        drawn examples are the examples of a draw of 64.

        Raises:
            UsageError: `count` is below 1.
        """
        if count < 1:
            raise UsageError(f"the number of examples must be at least 1, not {count}.")
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(self.examples))
        drawn = tuple(self.examples[i] for i in order[:count])
        return LanguageSample(self.language, drawn, self.source, self.counts, self.notes)


#: Names of the splits: for fine-tuning, for deciding when to stop, and for testing.
SPLITS: Final = ("train", "dev", "test")


@dataclass(frozen=True)
class LabelledSplit:
    """The labelled examples of one split of one language, in the order of the file.

    Unlike a :class:`~xsns_stream.types.text.LanguageSample`, it may contain an example twice: test sets are not
    changed.

    Attributes:
        language: Normalised BCP 47 code.
        split: One of `SPLITS`.
        examples: At least one example; each has a label.
        source: Origin of the examples, for messages.
        unlabelled: Number of examples that were left out because they have no usable label.
        note: Sentences about how the split was read or cut; may be empty.
        counts: Counts of all examples in the file of the split.
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
            raise ValueError(f"a split must be one of {', '.join(SPLITS)}, not {self.split!r}")
        if not self.examples:
            raise LanguageError(f"the {self.split} set of '{self.language}' in {self.source} is empty.")

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the examples with their labels, in their order (hexadecimal)."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(example.identity().encode())
            if isinstance(example.label, AnswerSpan):
                digest.update("".join(f"\x1f{answer}" for answer in example.label.others).encode())
            digest.update(b"\x1d")
        return digest.hexdigest()


@dataclass(frozen=True)
class TestScore:
    """The scores of one fine-tuned model on the test set of one language.

    Attributes:
        target: Normalised code of the tested language.
        metrics: Name of the metric → percent; the main metric of the task comes first.
        trivial: Name of the metric → percent, for the trivial answer: the most frequent class of the test set for every
            example if the task has classes; otherwise no entity, or no answer.
        examples: Number of test examples.
        units: Number of units that the main metric counts: words, entities, texts or questions.
    """

    __test__ = False  # prevents pytest from collecting this class because of its name

    target: str
    metrics: Mapping[str, float]
    trivial: Mapping[str, float]
    examples: int
    units: int


@dataclass(frozen=True)
class TransferRun:
    """One fine-tuned model, identified by (source, seed), and its scores on all targets.

    Attributes:
        source: Code of the source; the codes of a mixture of sources are sorted and joined by `+`.
        seed: Seed of fine-tuning, which determines the initial head, the order of examples, and dropout.
        scores: Code of the target → scores on its test set.
        training: Record of the training: examples, epochs, best epoch, dev metric per epoch, seconds, examples per
            second.
        settings: All settings that determine the result: model, data digests, labels, hyper-parameters, versions.
    """

    source: str
    seed: int
    scores: Mapping[str, TestScore]
    training: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
