"""Encoding of text into tokens, which all objectives share, and alignment of tokens with words.

All random choices for an example depend only on (seed, text of the example). They are therefore independent of the
batch size and the order, and a resumed run makes the same choices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.models.tokenizers import tokenise, tokens_left_special
from xsns_stream.types import LanguageSample, TextExample

#: The label of transformers for positions that are not scored.
IGNORED: Final = -100

Ids: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One encoded example: the inputs and targets of a model.

    Attributes:
        arrays: {name: int64 array}: `input_ids` [T]; `token_type_ids` [T] for pairs of texts if the tokenizer
            distinguishes the two texts; and the targets. The targets are either `labels` ([T]; [Td] for a decoder;
            0-dimensional for the class of a text), or `start_positions` and `end_positions` (0-dimensional). Labels are
            −100 at positions that are not scored. `decoder_tokens` [Td] are all tokens that a decoder writes, if only a
            part of them is scored.
        key: An integer ≥ 0 that depends only on the seed and the text of the example; it is the seed of later random
            draws for the example.
    """

    arrays: Mapping[str, Ids]
    key: int

    @property
    def input_ids(self) -> Ids:
        """The token ids of the example, int64 [T]."""
        return self.arrays["input_ids"]

    @property
    def labels(self) -> Ids:
        """The array `labels`. A KeyError is raised for question answering, which has positions instead of labels."""
        return self.arrays["labels"]

    @property
    def longest(self) -> int:
        """The length of the longest array of the example, in tokens."""
        return max(array.size for array in self.arrays.values())


@dataclass(frozen=True)
class EncodedSample:
    """The encoded examples of a language, and statistics of the tokenised text.

    Attributes:
        examples: The examples with at least one target.
        unusable: Number of examples that were left out because none of their tokens is in the vocabulary or they have
            no target.
        unknown_share: Share of tokens that are not in the vocabulary, in [0, 1].
        cut: Number of examples that were cut because they exceed the maximum length; unusable examples are counted too.
        left_out_share: Share of all tokens of the text that were cut off, in [0, 1].
        special: Number of examples with a special token in their text; such a token is a single character that also
            occurs in text.
        frame: Number of special tokens that the tokenizer adds to a text.
    """

    examples: tuple[EncodedExample, ...]
    unusable: int
    unknown_share: float
    cut: int = 0
    left_out_share: float = 0.0
    special: int = 0
    frame: int = 0


class Objective(Protocol):
    """A training objective of a model.

    Results may be compared if the recorded string forms of their objectives are equal.
    """

    @property
    def name(self) -> str:
        """Name of the objective, such as `masked-lm`."""

    @property
    def max_length(self) -> int:
        """Maximum length of an example in tokens, including special tokens."""

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Split the text of the sample into tokens, and add targets to each example."""


@dataclass(frozen=True)
class TokenisedExample:
    """The output of the tokenizer for one example.

    Attributes:
        ids: int64 [T], including special tokens.
        known: Positions in `ids` of the text tokens that are in the vocabulary, int64, ascending.
        encoding: The output of the tokenizer.
        digest: SHA-256 of the seed and the text.
    """

    ids: Ids
    known: Ids
    encoding: Any
    digest: bytes

    def generator(self) -> np.random.Generator:
        """Return a new random generator, whose seed depends only on the seed of the run and the text of the example."""
        return np.random.Generator(np.random.Philox(key=np.frombuffer(self.digest[:16], dtype=np.uint64)))


#: A function that turns a tokenised example into named arrays; it returns None for an example without a target.
MakeArrays: TypeAlias = Callable[[TextExample, TokenisedExample], Mapping[str, Ids] | None]


def encode_sample(
    sample: LanguageSample,
    tokenizer: Any,
    seed: int,
    max_length: int,
    make_arrays: MakeArrays,
    **settings: Any,
) -> EncodedSample:
    """Split each example into tokens, and make the arrays of each example that has a known token.

    The tokenizer gets whole sentences, because many tokenizers mark the beginning of a word by the space before it. An
    example without a known token is left out; otherwise, all languages whose script is not in the vocabulary would give
    the same examples. If the text contains the string of a special token, the string is read as characters.

    Args:
        sample: The text.
        tokenizer: A transformers tokenizer.
        seed: Seed for all random choices.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
        make_arrays: Function (example, tokenised example) → the arrays of the example; None if the example is unusable.
        **settings: Further arguments for the call of the tokenizer.

    Raises:
        UsageError: `max_length` is too small for text beside the special tokens.
        CorpusError: No example can be used.
    """
    special = np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)
    counts = _TokenCounts(tokenizer, set(special.tolist()))
    encoded: list[EncodedExample] = []
    for example in sample.examples:
        frame = _frame(example, tokenizer, max_length)
        encoding = _tokenise(example, tokenizer, truncation=True, max_length=max_length, **settings)
        ids = np.asarray(encoding["input_ids"], dtype=np.int64)
        known = np.flatnonzero(~np.isin(ids, special))
        counts.add(example, encoding, ids, frame, max_length, understood=len(known) > 0)
        digest = hashlib.sha256(f"{seed}\x00{example.key()}".encode()).digest()
        arrays = make_arrays(example, TokenisedExample(ids, known, encoding, digest)) if len(known) else None
        if arrays is None:
            continue
        if example.pair is not None and "token_type_ids" in encoding:
            arrays = {**arrays, "token_type_ids": np.asarray(encoding["token_type_ids"], dtype=np.int64)}
        # The generator does not use these bytes. One bit is removed, because some libraries accept only seeds below
        # 2⁶³.
        key = int.from_bytes(digest[16:24], "little") >> 1
        encoded.append(EncodedExample(MappingProxyType(dict(arrays)), key))
    if not encoded:
        raise _no_usable_example(sample, counts.understood, max_length)
    return EncodedSample(
        tuple(encoded),
        unusable=len(sample) - len(encoded),
        unknown_share=counts.unknown / counts.total,
        cut=counts.cut,
        left_out_share=counts.left_out / (counts.total + counts.left_out),
        special=counts.special,
        frame=frame,
    )


@dataclass
class _TokenCounts:
    """Running counts of tokens and examples, over the examples that were tokenised so far.

    Attributes:
        tokenizer: The tokenizer.
        special_ids: The ids of all special tokens of the tokenizer.
        unknown: Number of tokens that are not in the vocabulary.
        total: Number of tokens of text; an example without text counts as 1.
        understood: Number of examples with at least one known token.
        cut: Number of examples that were cut.
        left_out: Number of tokens that were cut off.
        special: Number of examples with a special token in their text.
    """

    tokenizer: Any
    special_ids: set[int]
    unknown: int = 0
    total: int = 0
    understood: int = 0
    cut: int = 0
    left_out: int = 0
    special: int = 0

    def __post_init__(self) -> None:
        self._unknown_id = _unknown_id(self.tokenizer)
        self._reserved = self.special_ids - {self._unknown_id}

    def add(
        self, example: TextExample, encoding: Any, ids: Ids, frame: int, max_length: int, *, understood: bool
    ) -> None:
        """Add one example to the counts.

        Args:
            example: The example.
            encoding: The output of the tokenizer for it.
            ids: The token ids, int64 [T].
            frame: Number of special tokens that the tokenizer adds to the text.
            max_length: Maximum length of an example in tokens.
            understood: Whether the example has a token that is in the vocabulary.
        """
        self.unknown += int((ids == self._unknown_id).sum())
        self.total += max(len(ids) - frame, 1)
        self.understood += understood
        self.special += tokens_left_special(self.tokenizer, encoding, self._reserved, frame) > 0
        # Only an example of the maximum length can have been cut.
        if len(ids) >= max_length:
            whole = len(_tokenise(example, self.tokenizer, truncation=False, verbose=False)["input_ids"])
            self.cut += whole > len(ids)
            self.left_out += whole - len(ids)


def check_length(max_length: int, least: int) -> None:
    """Raise an error if the maximum length is below `least` tokens."""
    if max_length < least:
        raise UsageError(f"the maximum length must be at least {least} tokens, not {max_length}.")


def check_rate(rate: float) -> None:
    """Raise an error if the share of hidden tokens is not within (0, 1)."""
    if not 0 < rate < 1:
        raise UsageError(f"the mask rate must be between 0 and 1, not {rate}.")


def check_scored_share(share: float) -> None:
    """Raise an error if the share of scored positions is not within (0, 1]."""
    if not 0 < share <= 1:
        raise UsageError(
            f"the scored share must be in (0, 1], not {share}.", "write 15 % as 0.15; 1 means all positions."
        )


def draw_scored(labels: Ids, first: int, share: float, generator: np.random.Generator) -> Ids:
    """Return a copy of `labels` with −100 at all positions except a random choice.

    Of the n positions from `first` on, max(round(share · n), 1) are chosen, all with the same probability. The choice
    for a smaller share is a part of the choice for a larger one.

    Args:
        labels: Labels of an example, int64 [T].
        first: The first position that can be chosen.
        share: Share of these positions that is chosen, in (0, 1].
        generator: The generator of the example; n numbers are drawn from it.
    """
    candidates = np.arange(first, len(labels))
    number = max(round(share * len(candidates)), 1)
    chosen = candidates[np.argsort(generator.random(len(candidates)), kind="stable")[:number]]
    scored = np.full_like(labels, IGNORED)
    scored[chosen] = labels[chosen]
    return scored


def _unknown_id(tokenizer: Any) -> int:
    """Return the id of the unknown token; −1 if there is none.

    The tokenizers of GPT-2 and OPT use the special token at the ends of a text as their unknown token, too. No text
    gives an unknown token, because these tokenizers are byte-level.
    """
    frames = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "pad_token_id")
    unknown = tokenizer.unk_token_id
    framing = unknown is not None and any(unknown == getattr(tokenizer, name, None) for name in frames)
    return -1 if unknown is None or framing else int(unknown)


def _frame(example: TextExample, tokenizer: Any, max_length: int) -> int:
    """Return the number of special tokens that the tokenizer adds to a text; check that `max_length` is larger."""
    frame = int(tokenizer.num_special_tokens_to_add(pair=example.pair is not None))
    if frame >= max_length:
        raise UsageError(
            f"the maximum length must be more than {frame} token{'' if frame == 1 else 's'}, not {max_length}: the "
            f"special tokens of each example need {frame}."
        )
    return frame


def _tokenise(example: TextExample, tokenizer: Any, **settings: Any) -> Any:
    texts = (example.sentence(),) if example.pair is None else (example.sentence(), example.pair)
    return tokenise(tokenizer, *texts, return_attention_mask=False, **settings)


def _no_usable_example(sample: LanguageSample, understood: int, max_length: int) -> CorpusError:
    origin = f"({len(sample)} examples from {sample.source})"
    if not understood:
        return CorpusError(
            f"no example of language '{sample.language}' has a token in the tokenizer's vocabulary {origin}.",
            "the model's vocabulary does not cover this script; use a model that does.",
        )
    return CorpusError(
        f"no example of language '{sample.language}' has a target within {max_length} tokens {origin}.",
        "the texts may be too short, or their labelled parts may be cut off: allow longer examples.",
    )


def require_offsets(tokenizer: Any) -> None:
    """Raise an error if the tokenizer does not provide the character range of each token.

    Raises:
        ModelError: The tokenizer is not a fast tokenizer (library `tokenizers`).
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{type(tokenizer).__name__} does not provide the character range of each token.",
            "labels of words and answers need a fast tokenizer (tokenizer.json).",
        )


def word_tokens(words: Sequence[str], offsets: Sequence[tuple[int, int]], label_at: str = "first") -> list[int | None]:
    """Return the position of the first or of the last token of each word; None for a word without a token.

    A word that was cut off, or whose characters the tokenizer removes, has no token. If a token contains the ends of
    several words, the position is returned for all of them.

    Args:
        words: The words, which were joined by spaces.
        offsets: Character range (start, end) of each token, without the character at `end`; (0, 0) for special tokens.
            A token may begin with the space before its word, or consist of this space only; in both cases the token
            belongs to the word.
        label_at: `first` or `last`. The last token of a word is the last one that contains a character of the word.
    """
    return tokens_of_ranges(joined_ranges(words), offsets, label_at)


def joined_ranges(words: Sequence[str]) -> list[tuple[int, int]]:
    """Return the character range (start, stop) of each word in the words joined by spaces."""
    ranges: list[tuple[int, int]] = []
    for word in words:
        start = ranges[-1][1] + 1 if ranges else 0
        ranges.append((start, start + len(word)))
    return ranges


def tokens_of_ranges(
    ranges: Sequence[tuple[int, int]], offsets: Sequence[tuple[int, int]], label_at: str = "first"
) -> list[int | None]:
    """Return the position of the first or of the last token of each character range; None if a range has no token.

    Args:
        ranges: Character ranges (start, stop) of words in the text, without the character at `stop`, ascending and
            without overlaps; an empty word has an empty range.
        offsets: See :func:`word_tokens`.
        label_at: `first` or `last`.
    """
    found: list[int | None] = []
    at = before = 0
    for start, stop in ranges:
        first = last = None
        while at < len(offsets) and offsets[at][1] <= max(start - 1, 0):
            at += 1
        for position in range(at, len(offsets)):
            begin, end = offsets[position]
            if begin >= stop:
                break
            inside = end > start
            # The token is the space before the word, which is not in the range of the preceding word.
            space = end > max(start - 1, 0) and begin >= before
            if first is None and (inside or space):
                first = position
            last = position if inside and end > begin else last
        found.append(first if label_at == "first" or last is None else last)
        before = stop
    return found


def labelled_tokens(
    positions: Sequence[int | None], labels: Sequence[str], label_at: str = "first"
) -> Iterator[tuple[int, str]]:
    """Yield (position of a token, its label) for words with a label and a token.

    A position that several words share is yielded once: with the label of the first of these words, or of the last of
    them if `label_at` is `last`.

    Args:
        positions: The position of the token of each word; None for a word without a token.
        labels: The label of each word; empty for a word without a label.
        label_at: `first` or `last`, the token of the word to which the positions belong.
    """
    known = [(at, label) for at, label in zip(positions, labels, strict=True) if at is not None and label]
    yield from dict(known if label_at == "last" else reversed(known)).items()
