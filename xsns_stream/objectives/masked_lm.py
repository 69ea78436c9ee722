"""Masked language modelling: hide 15 % of an example's pieces, ask for them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xsns_stream.objectives.encoding import (
    IGNORED,
    EncodedSample,
    Ids,
    Pieces,
    check_length,
    check_rate,
    encode_sample,
)
from xsns_stream.types import LanguageSample, TextExample

MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the chosen pieces; the rest stay as they are (BERT's 80/10/10)


@dataclass(frozen=True)
class MaskedLanguageModelling:
    """The paper's objective.

    Attributes:
        rate: Probability that a piece is hidden.
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    rate: float = 0.15
    max_length: int = 128

    name: ClassVar[str] = "masked-lm"

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_length(self.max_length, 3)

    def __str__(self) -> str:
        return f"{self.name}(rate={self.rate:g},max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces and hide some: `labels` [T] hold the true ones.

        Raises:
            UsageError: `max_length` leaves no room beside the special pieces of a pair.
            CorpusError: No example has a piece that could be hidden.
        """
        special = np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids]:
            return self._hide(pieces, ordinary, tokenizer.mask_token_id)

        return encode_sample(sample, tokenizer, seed, self.max_length, ask)

    def _hide(self, pieces: Pieces, ordinary: Ids, mask_id: int) -> dict[str, Ids]:
        ids, candidates, generator = pieces.ids, pieces.known, pieces.generator()
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
        return {"input_ids": inputs, "labels": labels}
