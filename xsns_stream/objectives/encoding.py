"""What every objective shares: cut a sample's text into pieces, ask something of each example, count what is left out.

What is drawn for an example comes from (seed, text of the example) and from nothing else, so that it depends neither
on the batch size nor on the order, and a run that resumes draws the same again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.models.tokenizers import tokenise, tokens_left_special
from xsns_stream.types import LanguageSample, TextExample

#: transformers' label for positions that are not scored.
IGNORED: Final = -100

Ids: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One example as the model sees it.

    Attributes:
        arrays: Name → int64 array: `input_ids` [T] always, `token_type_ids` [T] for pairs where the tokenizer tells
            the two texts apart, and what is asked for: `labels` [T], for a decoder [Td], for a class 0-dimensional;
            or `start_positions` and `end_positions`, 0-dimensional. Labels are −100 where nothing is asked.
        key: A number ≥ 0 that follows from the seed and the example's text alone; seeds what is drawn for it later.
    """

    arrays: Mapping[str, Ids]
    key: int

    @property
    def input_ids(self) -> Ids:
        """The pieces, int64 [T]."""
        return self.arrays["input_ids"]

    @property
    def labels(self) -> Ids:
        """What is to be predicted; answers to questions have positions instead, and raise a KeyError here."""
        return self.arrays["labels"]

    @property
    def longest(self) -> int:
        """The number of pieces of the longest of its arrays."""
        return max(array.size for array in self.arrays.values())


@dataclass(frozen=True)
class EncodedSample:
    """A language's encoded examples, with what the tokenizer made of the text.

    Attributes:
        examples: Those of which something can be asked.
        unusable: How many are left out: nothing in them is known to the tokenizer, or nothing could be asked.
        unknown_share: Share of pieces that the vocabulary does not know, in [0, 1].
        cut: How many are longer than the longest example, and cut there; those left out count as well.
        left_out_share: Share of all the text's pieces that was cut off, in [0, 1].
        special: How many hold a special token in their text, because it is a single character that text holds too.
        frame: Special pieces that the tokenizer puts around a text.
    """

    examples: tuple[EncodedExample, ...]
    unusable: int
    unknown_share: float
    cut: int = 0
    left_out_share: float = 0.0
    special: int = 0
    frame: int = 0


class Objective(Protocol):
    """What the model is asked about a text; its text form is recorded, and decides what may be compared."""

    @property
    def name(self) -> str:
        """As in `make_objective`."""

    @property
    def max_length(self) -> int:
        """Longest example in pieces, special ones included."""

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces and ask something of each example."""


@dataclass(frozen=True)
class Pieces:
    """An example after the tokenizer.

    Attributes:
        ids: int64 [T], special pieces included.
        known: Positions of the pieces that are text and in the vocabulary, int64 and rising.
        encoding: What the tokenizer returned.
        digest: SHA-256 of seed and text.
    """

    ids: Ids
    known: Ids
    encoding: Any
    digest: bytes

    def generator(self) -> np.random.Generator:
        """Return a new generator of random numbers that follows from seed and text alone."""
        return np.random.Generator(np.random.Philox(key=np.frombuffer(self.digest[:16], dtype=np.uint64)))


#: Turns an example's pieces into named arrays; None where nothing can be asked of it.
Ask: TypeAlias = Callable[[TextExample, Pieces], Mapping[str, Ids] | None]


def encode_sample(
    sample: LanguageSample,
    tokenizer: Any,
    seed: int,
    max_length: int,
    ask: Ask,
    **settings: Any,
) -> EncodedSample:
    """Cut each example into pieces, and keep what `ask` makes of those with a piece that the tokenizer knows.

    The tokenizer is given whole sentences, never single words: many tokenizers mark the beginning of a word by the
    space before it, and would glue words that they are given one by one. A piece that it does not know says nothing of
    the language: a language outside the vocabulary must not look like every other such language. The string of a
    special token within text is read as its characters.

    Args:
        sample: The text.
        tokenizer: A tokenizer of transformers.
        seed: Of everything that is drawn.
        max_length: Longest example in pieces, special ones included; longer text is cut.
        ask: The objective's own part.
        **settings: For the tokenizer's call.

    Raises:
        UsageError: `max_length` leaves no room beside the special pieces.
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
        arrays = ask(example, Pieces(ids, known, encoding, digest)) if len(known) else None
        if arrays is None:
            continue
        if example.pair is not None and "token_type_ids" in encoding:
            arrays = {**arrays, "token_type_ids": np.asarray(encoding["token_type_ids"], dtype=np.int64)}
        # Other bytes than the generator's; one bit less, so that it is a seed wherever one is wanted.
        key = int.from_bytes(digest[16:24], "little") >> 1
        encoded.append(EncodedExample(MappingProxyType(dict(arrays)), key))
    if not encoded:
        raise _nothing_left(sample, counts.understood, max_length)
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
    """What the tokenizer made of the examples so far.

    Attributes:
        tokenizer: Which.
        special_ids: Of all its special pieces.
        unknown: Pieces that are not in the vocabulary.
        total: Pieces of text; 1 for an example without.
        understood: Examples with a known piece.
        cut: Examples that were cut.
        left_out: Pieces that were cut off.
        special: Examples with a special piece in their text.
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
        """Count one example."""
        self.unknown += int((ids == self._unknown_id).sum())
        self.total += max(len(ids) - frame, 1)
        self.understood += understood
        self.special += tokens_left_special(self.tokenizer, encoding, self._reserved, frame) > 0
        # Only what fills all of the room can have been cut.
        if len(ids) >= max_length:
            whole = len(_tokenise(example, self.tokenizer, truncation=False, verbose=False)["input_ids"])
            self.cut += whole > len(ids)
            self.left_out += whole - len(ids)


def check_length(max_length: int, least: int) -> None:
    """Refuse a longest example that is shorter than `least` pieces."""
    if max_length < least:
        raise UsageError(f"the longest example must have at least {least} pieces, not {max_length}.")


def check_rate(rate: float) -> None:
    """Refuse a share of hidden pieces that is not within (0, 1)."""
    if not 0 < rate < 1:
        raise UsageError(f"the mask rate must lie between 0 and 1, not {rate}.")


def _unknown_id(tokenizer: Any) -> int:
    """Return the id of unknown pieces; −1 where there is none.

    GPT-2 and OPT name the piece that frames a text; being byte-level, they never meet an unknown one.
    """
    frames = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "pad_token_id")
    found = tokenizer.unk_token_id
    framing = found is not None and any(found == getattr(tokenizer, name, None) for name in frames)
    return -1 if found is None or framing else int(found)


def _frame(example: TextExample, tokenizer: Any, max_length: int) -> int:
    """Return how many special pieces stand around an example's text, and see that there is room beside them."""
    frame = int(tokenizer.num_special_tokens_to_add(pair=example.pair is not None))
    if frame >= max_length:
        raise UsageError(
            f"the longest example must have more than {frame} pieces, not {max_length}: so many are special."
        )
    return frame


def _tokenise(example: TextExample, tokenizer: Any, **settings: Any) -> Any:
    texts = (example.sentence(),) if example.pair is None else (example.sentence(), example.pair)
    return tokenise(tokenizer, *texts, return_attention_mask=False, **settings)


def _nothing_left(sample: LanguageSample, understood: int, max_length: int) -> CorpusError:
    here = f"({len(sample)} examples from {sample.source})"
    if not understood:
        return CorpusError(
            f"no example of language '{sample.language}' holds a piece that the tokenizer knows {here}.",
            "the model's vocabulary does not cover this script; use a model that does.",
        )
    return CorpusError(
        f"nothing can be asked of any example of language '{sample.language}' within {max_length} pieces {here}.",
        "their texts may be too short, or what is labelled is cut off: allow longer examples.",
    )


def need_offsets(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot say which characters a piece comes from.

    Raises:
        ModelError: It is not one of the library `tokenizers`.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{type(tokenizer).__name__} cannot say which characters a piece comes from.",
            "labels of words and answers need a tokenizer that comes as tokenizer.json.",
        )


def first_pieces(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[int | None]:
    """Return the position of the first piece of each word; None where it was cut off or has none.

    Args:
        words: The words, which were joined by spaces.
        offsets: First character of each piece and the one after its last, (0, 0) for special pieces. A piece may
            begin with the space before its word, or be nothing else; that space counts as the word's.
    """
    first: list[int | None] = [None] * len(words)
    word, start = 0, 0
    for place, (begin, end) in enumerate(offsets):
        while word < len(words) and begin >= start + len(words[word]):
            start += len(words[word]) + 1
            word += 1
        if word < len(words) and end > max(start - 1, 0) and first[word] is None:
            first[word] = place
    return first
