"""Padded batches of encoded examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.objectives.encoding import IGNORED, EncodedExample, Ids

if TYPE_CHECKING:
    import torch

ORDERS: Final = ("length", "drawn")


def batches(
    examples: Sequence[EncodedExample],
    size: int,
    pad_id: int,
    device: str = "cpu",
    *,
    order: str = "length",
    token_budget: int | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches of examples, padded on the right.

    Args:
        examples: Encoded examples, from the method `encode` of an objective.
        size: Number of examples in a batch; ignored if `token_budget` is given.
        pad_id: Token id that fills `input_ids`; the attention mask excludes padding.
        device: Name of a device of torch.
        order: `length` puts examples of similar length together, longest first. A batch that does not fit into memory
            then fails early. `drawn` keeps the order of `examples`, for estimators whose values depend on the batches.
        token_budget: Largest number of examples in a batch times number of tokens of its longest example. A batch has
            at least one example.

    Yields:
        Dictionaries of int64 tensors: `input_ids` and `attention_mask` [B, T]; the other arrays of the examples, each
        padded to the longest array of its name (labels with −100), where 0-dimensional arrays become [B]; and
        `example_keys` [B], which is not an input of the model. `decoder_tokens` is no input of the model either; it is
        there only if a share of the decoder's tokens is scored.

    Raises:
        UsageError: `size` or `token_budget` is below 1, or the order is unknown.
    """
    for setting, number in (("batch size", size), ("token budget", token_budget)):
        if number is not None and number < 1:
            raise UsageError(f"the {setting} must be at least 1, not {number}.")
    if order not in ORDERS:
        raise UsageError(f"'{order}' is not a valid order of examples.", f"choose one of {', '.join(ORDERS)}.")
    ordered = sorted(examples, key=lambda example: -len(example.input_ids)) if order == "length" else examples
    for group in _groups(ordered, size, token_budget):
        block = _padded(group, pad_id)
        yield {name: _to_device(values, device) for name, values in block.items()}


def _groups(
    examples: Sequence[EncodedExample], size: int, token_budget: int | None
) -> Iterator[Sequence[EncodedExample]]:
    if token_budget is None:
        yield from (examples[at : at + size] for at in range(0, len(examples), size))
        return
    group: list[EncodedExample] = []
    longest = 0
    for example in examples:
        longest = max(longest, example.longest)
        if group and (len(group) + 1) * longest > token_budget:
            yield group
            group, longest = [], example.longest
        group.append(example)
    if group:
        yield group


def _padded(group: Sequence[EncodedExample], pad_id: int) -> dict[str, Ids]:
    fill = {"input_ids": pad_id, "token_type_ids": 0}
    block: dict[str, Ids] = {}
    for name in dict.fromkeys(name for example in group for name in example.arrays):
        rows = [_row(example, name) for example in group]
        block[name] = np.stack(rows) if not rows[0].ndim else _stacked(rows, fill.get(name, IGNORED))
    block["attention_mask"] = _stacked([np.ones_like(example.input_ids) for example in group], 0)
    block["example_keys"] = np.array([example.key for example in group], dtype=np.int64)
    return block


def _row(example: EncodedExample, name: str) -> Ids:
    if name == "token_type_ids" and name not in example.arrays:
        # In a batch with pairs, the tokens of a single text have the type 0, as the tokens of the first text of a pair.
        return np.zeros_like(example.input_ids)
    return example.arrays[name]


def _stacked(rows: Sequence[Ids], fill: int) -> Ids:
    padded = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded


def _to_device(values: Ids, device: str) -> torch.Tensor:
    import torch

    tensor = torch.from_numpy(values)
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    # From pinned memory, the copy runs during the computation of the preceding batch.
    return tensor.pin_memory().to(device, non_blocking=True)
