"""Objectives of labelled tasks: token classification, sequence classification and question answering.

A class must have the same index in every language. Classification objectives therefore need the names of all classes,
in the order of their indices.
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
    TokenisedExample,
    check_length,
    encode_sample,
    labelled_tokens,
    require_offsets,
    word_tokens,
)
from xsns_stream.types import LanguageSample, TextExample
from xsns_stream.types.text import AnswerSpan


@dataclass(frozen=True)
class _Classification:
    """Base class of the objectives of token classification and sequence classification.

    Attributes:
        labels: Names of the classes, in the order of the outputs of the head.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
    """

    labels: tuple[str, ...]
    max_length: int = 128

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_length(self.max_length, 3)
        if len(self.labels) < 2:
            raise UsageError(
                f"{self.name} needs the names of at least two classes, not {len(self.labels)}.",
                "`label_names()` of a corpus that was opened with labels returns them.",
            )
        if len(set(self.labels)) < len(self.labels):
            raise UsageError(f"two classes of {self.name} have the same name: {', '.join(self.labels)}.")

    def __str__(self) -> str:
        digest = hashlib.sha256("\x1f".join(self.labels).encode()).hexdigest()[:12]
        return f"{self.name}(labels={len(self.labels)}:{digest},max_length={self.max_length})"

    def _class_index(self, label: str, sample: LanguageSample) -> int:
        try:
            return self.labels.index(label)
        except ValueError:
            known = ", ".join(self.labels[:8]) + (" …" if len(self.labels) > 8 else "")
            raise CorpusError(
                f"language '{sample.language}' has the label '{label}', which is not one of the classes.",
                f"the classes are {known}.",
            ) from None


@dataclass(frozen=True)
class TokenClassification(_Classification):
    """Classification of words. One token of each word has the label of the word: its first or its last token.

    A bidirectional model knows the whole word at its first token, a causal model only at its last token.

    Attributes:
        labels: Names of the classes, in the order of the outputs of the head.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
        label_at: The token of a word that has its label, `first` or `last`.
    """

    label_at: str = "first"

    name: ClassVar[str] = "token-classification"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label_at not in ("first", "last"):
            raise UsageError(f"words cannot be labelled at their token '{self.label_at}'.", "choose first or last.")

    def __str__(self) -> str:
        # Rows of older versions have no such setting; their words are labelled at the first token.
        setting = "" if self.label_at == "first" else f",label_at={self.label_at}"
        return f"{super().__str__().removesuffix(')')}{setting})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Split the words of the sample into tokens; `labels` [T] contain the class indices of the words.

        Words are joined by spaces; the character range of a token determines its word. The class index is at the first
        or at the last token of the word. If a token is the first (the last) one of several words, it has the label of
        the first (the last) of these words.

        Raises:
            UsageError: The words of the sample have no labels, or `max_length` is too small.
            CorpusError: A label is not one of the classes, or no example has a labelled word within `max_length`.
            ModelError: The tokenizer does not provide the character range of each token.
        """
        require_offsets(tokenizer)

        def make_arrays(example: TextExample, tokens: TokenisedExample) -> dict[str, Ids] | None:
            words, names = example.text, example.label
            if isinstance(words, str) or not isinstance(names, tuple) or example.pair is not None:
                raise _wrong_kind(self.name, "single texts with a label for each word", sample)
            labels = np.full_like(tokens.ids, IGNORED)
            positions = word_tokens(words, tokens.encoding["offset_mapping"], self.label_at)
            for position, name in labelled_tokens(positions, names, self.label_at):
                labels[position] = self._class_index(name, sample)
            return {"input_ids": tokens.ids, "labels": labels} if (labels != IGNORED).any() else None

        return encode_sample(sample, tokenizer, seed, self.max_length, make_arrays, return_offsets_mapping=True)


@dataclass(frozen=True)
class SequenceClassification(_Classification):
    """Classification of a text, or of a pair of texts.

    Attributes:
        labels: Names of the classes, in the order of the outputs of the head.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
    """

    name: ClassVar[str] = "sequence-classification"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Split the text of the sample into tokens.

        The array `labels` of an example is 0-dimensional and contains the class index.

        Raises:
            UsageError: The texts of the sample have no class, or `max_length` is too small.
            CorpusError: A label is not one of the classes, or no example can be used.
        """

        def make_arrays(example: TextExample, tokens: TokenisedExample) -> dict[str, Ids]:
            if not isinstance(example.label, str):
                raise _wrong_kind(self.name, "texts with one class each", sample)
            return {
                "input_ids": tokens.ids,
                "labels": np.array(self._class_index(example.label, sample), dtype=np.int64),
            }

        return encode_sample(sample, tokenizer, seed, self.max_length, make_arrays)


@dataclass(frozen=True)
class QuestionAnswering:
    """Extractive question answering: the model predicts the first and the last token of the answer in a passage.

    Attributes:
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
    """

    max_length: int = 128

    name: ClassVar[str] = "question-answering"

    def __post_init__(self) -> None:
        check_length(self.max_length, 3)

    def __str__(self) -> str:
        return f"{self.name}(max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Split question and passage into tokens, and find the tokens of the answer.

        The 0-dimensional arrays `start_positions` and `end_positions` are the positions of the first and the last token
        that contain characters of the answer. An example is unusable if `max_length` cuts off a part of the answer.

        Raises:
            UsageError: The texts of the sample are not questions with answers, or `max_length` is too small.
            CorpusError: No answer is within `max_length` tokens.
            ModelError: The tokenizer does not provide the character range of each token.
        """
        require_offsets(tokenizer)

        def make_arrays(example: TextExample, tokens: TokenisedExample) -> dict[str, Ids] | None:
            if not isinstance(example.label, AnswerSpan):
                raise _wrong_kind(self.name, "questions with passages and answers", sample)
            answer = _answer_tokens(example.label, tokens.encoding)
            if answer is None:
                return None
            first, last = (np.array(position, dtype=np.int64) for position in answer)
            return {"input_ids": tokens.ids, "start_positions": first, "end_positions": last}

        return encode_sample(sample, tokenizer, seed, self.max_length, make_arrays, return_offsets_mapping=True)


def _wrong_kind(name: str, required: str, sample: LanguageSample) -> UsageError:
    return UsageError(
        f"{name} needs {required}, but the text of '{sample.language}' in {sample.source} is of another kind.",
        "open the corpus with its labels, or choose another objective.",
    )


def _answer_tokens(answer: AnswerSpan, encoding: Any) -> tuple[int, int] | None:
    """Return the positions of the first and the last token of the answer; None if a part of it was cut off."""
    texts, offsets = encoding.sequence_ids(0), encoding["offset_mapping"]
    passage = [position for position, text in enumerate(texts) if text == 1]
    inside = [at for at in passage if offsets[at][0] < answer.end and offsets[at][1] > answer.start]
    if not inside or offsets[passage[0]][0] > answer.start or offsets[passage[-1]][1] < answer.end:
        return None
    return inside[0], inside[-1]
