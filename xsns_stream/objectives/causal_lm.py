"""Causal language modelling: ask for each piece from those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from xsns_stream.objectives.encoding import EncodedSample, Ids, Pieces, check_length, encode_sample
from xsns_stream.types import LanguageSample, TextExample


@dataclass(frozen=True)
class CausalLanguageModelling:
    """Each piece after the first is to be predicted. Nothing is drawn.

    Attributes:
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    max_length: int = 128

    name: ClassVar[str] = "causal-lm"

    def __post_init__(self) -> None:
        check_length(self.max_length, 2)

    def __str__(self) -> str:
        return f"{self.name}(max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces; what frames a text is what the tokenizer puts there.

        `labels` [T] are the pieces themselves, unshifted as transformers takes them. An example of one piece, of
        which nothing can be asked, is unusable.

        Raises:
            UsageError: `max_length` leaves no room beside the special pieces.
            CorpusError: No example has two pieces.
        """

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids] | None:
            if len(pieces.ids) < 2:
                return None
            return {"input_ids": pieces.ids, "labels": pieces.ids.copy()}

        return encode_sample(sample, tokenizer, seed, self.max_length, ask)
