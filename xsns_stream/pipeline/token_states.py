"""Text as it is through a model's body: encoded without a question, and the states of its tokens at every layer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.objectives import EncodedSample
from xsns_stream.objectives.encoding import Pieces, encode_sample
from xsns_stream.types import LanguageSample

if TYPE_CHECKING:
    from torch import Tensor

    from xsns_stream.models import LoadedModel
    from xsns_stream.types import Counts

#: What the body of a model may be given of a batch.
_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")


def encode_plain(sample: LanguageSample, loaded: LoadedModel, seed: int, max_length: int) -> EncodedSample:
    """Cut a sample's text into pieces as a build does, and hide nothing.

    Raises:
        UsageError: `max_length` leaves no room beside the special pieces.
        CorpusError: No example has a piece that the tokenizer knows.
    """

    def ask(_: object, pieces: Pieces) -> Mapping[str, Counts]:
        return {"input_ids": pieces.ids}

    return encode_sample(sample, loaded.tokenizer, seed, max_length, ask)


def special_ids(tokenizer: Any) -> Counts:
    """Return the ids of all pieces that say nothing of a language, the unknown one included; int64, rising."""
    return np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)


class Body:
    """The part of a model that makes token states: an encoder, a decoder, or of a model with both the encoder.

    Args:
        loaded: The model.

    Attributes:
        layers: Number of the last layer; 0 is what goes into the first block.
        width: D, the size of a state.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        import torch

        model = loaded.model
        self._name = loaded.name
        self._module = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
        self._takes = set(inspect.signature(self._module.forward).parameters)
        device = next(model.parameters()).device
        one = torch.full((1, 1), loaded.pad_id, dtype=torch.int64, device=device)
        states = self.states({"input_ids": one, "attention_mask": torch.ones_like(one)})
        self.layers, self.width = len(states) - 1, int(states[-1].shape[-1])

    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the states [B, T, D] before the first block and after each; no graph is kept.

        Raises:
            ModelError: The model does not give them.
        """
        import torch

        inputs: dict[str, Any] = {name: batch[name] for name in _INPUTS if name in batch}
        if "use_cache" in self._takes:
            inputs["use_cache"] = False
        # Not inference mode: a model may keep tables (rotary embeddings) that a later backward needs.
        with torch.no_grad():
            output = self._module(**inputs, output_hidden_states=True, return_dict=True)
        states = getattr(output, "hidden_states", None)
        if not states:
            raise ModelError(
                f"the model '{self._name}' does not give its token states.", "use a model of transformer blocks."
            )
        return tuple(states)

    def layer(self, asked: int | None, default: int) -> int:
        """Return a layer's number.

        Args:
            asked: From 0, the input of the first block, to `layers`; None takes the default.
            default: Where the model has fewer layers, its last.

        Raises:
            UsageError: The model has no such layer.
        """
        if asked is None:
            return min(default, self.layers)
        if not 0 <= asked <= self.layers:
            raise UsageError(
                f"the model '{self._name}' has no layer {asked}.",
                f"layers are 0 (what goes into the first block) to {self.layers}.",
            )
        return asked


def first_tokens(sample: EncodedSample, special: Counts, most: int | None, language: str) -> frozenset[int]:
    """Return the keys of the first examples that hold at most `most` tokens that are not special; at least one example.

    Raises:
        CorpusError: There is no such token.
    """
    counts = [int((~np.isin(example.input_ids, special)).sum()) for example in sample.examples]
    if not sum(counts):
        raise CorpusError(f"no token of language '{language}' is left without the special ones.")
    limit = sum(counts) if most is None else most
    kept = np.cumsum(counts) <= limit
    kept[0] = True
    return frozenset(example.key for example, keep in zip(sample.examples, kept, strict=True) if keep)
