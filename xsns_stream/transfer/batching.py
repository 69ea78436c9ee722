"""Features → batches of tensors, and the memory that they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xsns_stream.errors import ModelError
from xsns_stream.transfer.encoding import IGNORED, Feature


def collate(features: Sequence[Feature], pad_id: int) -> dict[str, Any]:
    """Return a batch: `input_ids`, `attention_mask` …, int64 [B, T], padded on the right, and the targets."""
    import torch

    longest = max(map(len, features))

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    batch = {
        name: padded([feature.inputs[name] for feature in features], pad_id if name == "input_ids" else 0)
        for name in features[0].inputs
    }
    batch["attention_mask"] = padded([[1] * len(feature) for feature in features], 0)
    for name, value in features[0].targets.items():
        rows = [feature.targets[name] for feature in features]
        batch[name] = padded(rows, IGNORED) if isinstance(value, list) else torch.tensor(rows)
    return batch


def by_length(features: Sequence[Feature], size: int) -> Iterator[list[int]]:
    """Yield batches of places, longest features first: they show at once whether memory is enough."""
    order = sorted(range(len(features)), key=lambda place: -len(features[place]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


@contextmanager
def enough_memory(what: str, hint: str) -> Iterator[None]:
    """Say that memory is not enough, where the block finds that out.

    Raises:
        ModelError: It is not.
    """
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # The CPU's allocator has no exception of its own.
        known = isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)
        if not known:
            raise
        raise ModelError(f"the device has not enough memory for {what}.", hint) from error
