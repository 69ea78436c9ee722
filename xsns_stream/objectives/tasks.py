"""Labelled tasks: classes of words, classes of texts, answers to questions.

The class with number k must be the same in every language, so objectives with classes know all names, in their order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.objectives.encoding import (
    IGNORED,
    EncodedSample,
    Ids,
    Pieces,
    check_length,
    encode_sample,
    first_pieces,
    need_offsets,
)
from xsns_stream.types import LanguageSample, TextExample
from xsns_stream.types.text import AnswerSpan


@dataclass(frozen=True)
class _Classification:
    """What both kinds of classification share.

    Attributes:
        labels: Names of the classes, in the order of the head's outputs.
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    labels: tuple[str, ...]
    max_length: int = 128

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_length(self.max_length, 3)
        if len(self.labels) < 2:
            raise UsageError(
                f"{self.name} needs the names of at least two classes, not {len(self.labels)}.",
                "`label_names()` of a corpus that is opened with labels returns them.",
            )
        if len(set(self.labels)) < len(self.labels):
            raise UsageError(f"two classes of {self.name} have the same name: {', '.join(self.labels)}.")

    def __str__(self) -> str:
        digest = hashlib.sha256("\x1f".join(self.labels).encode()).hexdigest()[:12]
        return f"{self.name}(labels={len(self.labels)}:{digest},max_length={self.max_length})"

    def _number(self, label: str, sample: LanguageSample) -> int:
        try:
            return self.labels.index(label)
        except ValueError:
            known = ", ".join(self.labels[:8]) + (" …" if len(self.labels) > 8 else "")
            raise CorpusError(
                f"language '{sample.language}' has the label '{label}', which is not among the classes.",
                f"they are {known}.",
            ) from None


@dataclass(frozen=True)
class TokenClassification(_Classification):
    """Classes of words: the first piece of each word carries the word's label.

    Attributes:
        labels: Names of the classes, in the order of the head's outputs.
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    name: ClassVar[str] = "token-classification"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's words into pieces: `labels` [T] hold a class at the first piece of a labelled word.

        Words are joined by spaces, and a piece belongs to the word whose characters it holds.

        Raises:
            UsageError: The sample's text is not labelled word by word, or `max_length` leaves no room.
            CorpusError: A label is no class, or no example has a labelled word within `max_length`.
            ModelError: The tokenizer cannot say which characters a piece comes from.
        """
        need_offsets(tokenizer)

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids] | None:
            words, names = example.text, example.label
            if isinstance(words, str) or not isinstance(names, tuple) or example.pair is not None:
                raise _wrong_kind(self.name, "single texts with a label a word", sample)
            labels = np.full_like(pieces.ids, IGNORED)
            for place, name in zip(first_pieces(words, pieces.encoding["offset_mapping"]), names, strict=True):
                if place is not None and name:
                    labels[place] = self._number(name, sample)
            return {"input_ids": pieces.ids, "labels": labels} if (labels != IGNORED).any() else None

        return encode_sample(sample, tokenizer, seed, self.max_length, ask, return_offsets_mapping=True)


@dataclass(frozen=True)
class SequenceClassification(_Classification):
    """The class of a text, or of a pair of texts.

    Attributes:
        labels: Names of the classes, in the order of the head's outputs.
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    name: ClassVar[str] = "sequence-classification"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces: `labels`, 0-dimensional, is the class.

        Raises:
            UsageError: The sample's texts have no class each, or `max_length` leaves no room.
            CorpusError: A label is no class, or no example can be used.
        """

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids]:
            if not isinstance(example.label, str):
                raise _wrong_kind(self.name, "texts with a class each", sample)
            return {"input_ids": pieces.ids, "labels": np.array(self._number(example.label, sample), dtype=np.int64)}

        return encode_sample(sample, tokenizer, seed, self.max_length, ask)


@dataclass(frozen=True)
class QuestionAnswering:
    """Where in a passage the answer to a question begins and ends.

    Attributes:
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    max_length: int = 128

    name: ClassVar[str] = "question-answering"

    def __post_init__(self) -> None:
        check_length(self.max_length, 3)

    def __str__(self) -> str:
        return f"{self.name}(max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut question and passage into pieces, and find the answer's.

        `start_positions` and `end_positions`, 0-dimensional, are the first and the last piece that hold characters of
        the answer. Where `max_length` cut some of it off, the example is unusable.

        Raises:
            UsageError: The sample's texts are no questions with answers, or `max_length` leaves no room.
            CorpusError: No answer lies within `max_length` pieces.
            ModelError: The tokenizer cannot say which characters a piece comes from.
        """
        need_offsets(tokenizer)

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids] | None:
            if not isinstance(example.label, AnswerSpan):
                raise _wrong_kind(self.name, "questions with passages and answers", sample)
            found = _answer_pieces(example.label, pieces.encoding)
            if found is None:
                return None
            first, last = (np.array(place, dtype=np.int64) for place in found)
            return {"input_ids": pieces.ids, "start_positions": first, "end_positions": last}

        return encode_sample(sample, tokenizer, seed, self.max_length, ask, return_offsets_mapping=True)


def _wrong_kind(name: str, what: str, sample: LanguageSample) -> UsageError:
    return UsageError(
        f"{name} needs {what}, and {sample.source} gives others in '{sample.language}'.",
        "open the corpus with its labels, or choose another objective.",
    )


def _answer_pieces(answer: AnswerSpan, encoding: Any) -> tuple[int, int] | None:
    """Return the positions of the first and the last piece of the answer; None where it was cut off."""
    texts, offsets = encoding.sequence_ids(0), encoding["offset_mapping"]
    passage = [place for place, text in enumerate(texts) if text == 1]
    held = [place for place in passage if offsets[place][0] < answer.end and offsets[place][1] > answer.start]
    if not held or offsets[passage[0]][0] > answer.start or offsets[passage[-1]][1] < answer.end:
        return None
    return held[0], held[-1]
