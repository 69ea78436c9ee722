"""Estimate of the number of tokens whose activations fit into memory, and recognition of out-of-memory errors."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from xsns_stream.fisher import scoring
from xsns_stream.fisher.engine import Engine
from xsns_stream.types import FisherSettings, ParameterLayout

#: Largest useful number of positions in a batch; larger batches are not faster.
MOST_TOKENS: Final = {"cpu": 4_096, "cuda": 65_536}
#: Share of the memory for activations; the rest is a reserve.
USED_SHARE: Final = 0.7


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is an out-of-memory error."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The allocator of the CPU has no separate exception class.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def token_budget(model: Any, layout: ParameterLayout, settings: FisherSettings, longest: int, memory: int) -> int:
    """Return the largest number of positions (B × T) of a batch whose activations need at most `memory` bytes.

    One example of the maximum length is run forward, and the bytes that autograd saves for it are counted; the memory
    of a batch is proportional to them. The result is at least the length of one example.

    Args:
        model: The model, with its head.
        layout: θ.
        settings: Settings of the estimate.
        longest: Number of tokens of the longest example.
        memory: Available memory for activations in bytes.
    """
    per_example = activation_bytes(model, layout, settings, longest)
    device = next(model.parameters()).device.type
    examples = int(memory * USED_SHARE) // max(per_example, 1)
    return max(longest, min(examples * longest, MOST_TOKENS.get(device, MOST_TOKENS["cuda"])))


def activation_bytes(model: Any, layout: ParameterLayout, settings: FisherSettings, longest: int) -> int:
    """Return the number of bytes that autograd saves for one example; saved parameters of the model do not count.

    Args:
        model: The model, with its head.
        layout: θ.
        settings: Settings of the estimate.
        longest: Number of tokens of the example.
    """
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    counting = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with Engine(model, layout, settings, measured=layout.names[:1]) as engine, counting:
        engine.add(_one_example(model, engine.kind, longest))
    return sum(size for address, size in storages.items() if address not in own)


def _one_example(model: Any, kind: str, length: int) -> dict[str, Tensor]:
    """Return a batch of one example of `length` tokens, with about as many scored positions as a masked example has.

    `kind` is the kind of the model; see :func:`xsns_stream.fisher.scoring.kind_of`.
    """
    device = next(model.parameters()).device
    ids = torch.full((1, length), min(5, model.get_input_embeddings().weight.shape[0] - 1), device=device)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if kind == "sequence":
        return batch | {"labels": torch.zeros(1, dtype=torch.int64, device=device)}
    if kind == "span":
        start = torch.zeros(1, dtype=torch.int64, device=device)
        return batch | {"start_positions": start, "end_positions": start}
    labels = torch.full_like(ids, scoring.IGNORED)
    labels[:, 1::7] = 0
    return batch | {"labels": labels}
