"""Masked language modelling: hide 15 % of an example's pieces, ask for them back.

The hidden pieces are drawn from (seed, text of the example) and from nothing else, so that they depend neither on
the batch size nor on the order, and a run that resumes hides the same pieces again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import LanguageSample, TextExample

if TYPE_CHECKING:
    import torch

IGNORED = -100  # transformers' label for positions that are not scored
MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the chosen pieces; the rest stay as they are (BERT's 80/10/10)

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One example as the model sees it.

    Attributes:
        input_ids: int64 [T], some pieces hidden.
        labels: int64 [T], the true piece where one is to be predicted, −100 elsewhere; at least one is.
    """

    input_ids: Ids
    labels: Ids


@dataclass(frozen=True)
class EncodedSample:
    """A language's encoded examples, with what the tokenizer made of the text.

    Attributes:
        examples: Those with at least one piece that can be hidden.
        unusable: How many had none.
        unknown_share: Share of pieces that the vocabulary does not know, in [0, 1].
    """

    examples: tuple[EncodedExample, ...]
    unusable: int
    unknown_share: float


@dataclass(frozen=True)
class MaskedLanguageModelling:
    """The paper's objective.

    Attributes:
        rate: Probability that a piece is hidden.
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    rate: float = 0.15
    max_length: int = 128

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise UsageError(f"the mask rate must lie between 0 and 1, not {self.rate}.")
        if self.max_length < 3:
            raise UsageError(f"the longest example must have at least 3 pieces, not {self.max_length}.")

    def __str__(self) -> str:
        return f"masked-lm(rate={self.rate:g},max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces and hide some.

        Raises:
            UsageError: `max_length` leaves no room beside the special pieces of a pair.
            CorpusError: No example has a piece that could be hidden.
        """
        special = np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)
        encoded: list[EncodedExample] = []
        unknown = total = 0
        for example in sample.examples:
            ids = self._pieces(example, tokenizer)
            unknown += int((ids == tokenizer.unk_token_id).sum())
            total += max(len(ids) - _frame(example, tokenizer), 1)
            candidates = np.flatnonzero(~np.isin(ids, special))
            if len(candidates):
                generator = _generator(seed, example)
                encoded.append(self._hide(ids, candidates, ordinary, tokenizer.mask_token_id, generator))
        if not encoded:
            raise CorpusError(
                f"no example of language '{sample.language}' holds a piece that the tokenizer knows "
                f"({len(sample)} examples from {sample.source}).",
                "the model's vocabulary does not cover this script; use a model that does.",
            )
        return EncodedSample(tuple(encoded), len(sample) - len(encoded), unknown / total)

    def _pieces(self, example: TextExample, tokenizer: Any) -> Ids:
        if (frame := _frame(example, tokenizer)) >= self.max_length:
            raise UsageError(
                f"the longest example must have more than {frame} pieces, not {self.max_length}: so many are special."
            )
        words = not isinstance(example.text, str)
        pair = example.pair.split() if words and example.pair is not None else example.pair
        ids = tokenizer(
            list(example.text) if words else example.text,
            text_pair=pair,
            is_split_into_words=words,
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=False,
        )["input_ids"]
        return np.asarray(ids, dtype=np.int64)

    def _hide(
        self, ids: Ids, candidates: Ids, ordinary: Ids, mask_id: int, generator: np.random.Generator
    ) -> EncodedExample:
        luck = generator.random(len(candidates))
        # Without a hidden piece an example's gradient would be zero, silently: the unluckiest piece is hidden then.
        chosen = candidates[(luck < self.rate) | (luck == luck.min())]
        labels = np.full_like(ids, IGNORED)
        labels[chosen] = ids[chosen]
        kind = generator.random(len(chosen))
        inputs = ids.copy()
        inputs[chosen[kind < MASKED_SHARE]] = mask_id
        swapped = chosen[(kind >= MASKED_SHARE) & (kind < MASKED_SHARE + RANDOM_SHARE)]
        inputs[swapped] = generator.choice(ordinary, size=len(swapped))
        return EncodedExample(inputs, labels)


def _frame(example: TextExample, tokenizer: Any) -> int:
    """Return how many special pieces stand around an example's text."""
    return int(tokenizer.num_special_tokens_to_add(pair=example.pair is not None))


def _generator(seed: int, example: TextExample) -> np.random.Generator:
    key = hashlib.sha256(f"{seed}\x00{example.key()}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(key[:16], dtype=np.uint64)))


def batches(
    examples: Sequence[EncodedExample], size: int, pad_id: int, device: str = "cpu"
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches of `size` examples of similar length, longest first, padded on the right.

    Longest first, so that a batch that does not fit into memory fails at once. The order changes no result.

    Yields:
        `input_ids`, `attention_mask`, `labels`, each int64 [B, T].
    """
    import torch

    if size < 1:
        raise UsageError(f"the batch size must be at least 1, not {size}.")
    ordered = sorted(examples, key=lambda example: -len(example.input_ids))
    for at in range(0, len(ordered), size):
        group = ordered[at : at + size]
        shape = (len(group), len(group[0].input_ids))
        block = {
            "input_ids": np.full(shape, pad_id, dtype=np.int64),
            "attention_mask": np.zeros(shape, dtype=np.int64),
            "labels": np.full(shape, IGNORED, dtype=np.int64),
        }
        for row, example in enumerate(group):
            length = len(example.input_ids)
            block["input_ids"][row, :length] = example.input_ids
            block["attention_mask"][row, :length] = 1
            block["labels"][row, :length] = example.labels
        yield {name: torch.from_numpy(values).to(device) for name, values in block.items()}
