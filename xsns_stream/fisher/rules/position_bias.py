"""Rule for the table [buckets, heads] of T5, which gives a position bias [1, heads, q, k] for all examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from xsns_stream.fisher.accumulators import NotExactError, RuleEngine
from xsns_stream.fisher.model_state import sum_dtype


class _ByExample(torch.autograd.Function):
    """Copies of the position bias, one for each example. Each copy has a separate gradient."""

    @staticmethod
    def forward(
        ctx: Any, marker: Tensor, bias: Tensor, buckets: Tensor, table: Tensor, engine: RuleEngine, B: int
    ) -> Tensor:
        ctx.save_for_backward(buckets)
        ctx.table, ctx.engine = table, engine
        return bias.expand(B, *bias.shape[1:]).clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        (buckets,), G, table = ctx.saved_tensors, grads[0], ctx.table
        with torch.no_grad():
            dtype = sum_dtype(G.dtype)
            sums = torch.zeros(*G.shape[:2], table.shape[0], dtype=dtype, device=G.device)  # [B, heads, buckets]
            sums.index_add_(2, buckets.flatten(), G.flatten(2).to(dtype))
            ctx.engine.add_small(table, sums.transpose(1, 2))
        return None, None, None, None, None, None


def compute_bias(module: Any, engine: Any, marker: Tensor) -> Callable[..., Tensor]:
    """Return the replacement of the method `compute_bias`, which reads the table `relative_attention_bias`."""
    original, table = module.compute_bias, module.relative_attention_bias

    def by_example(*args: Any, **kwargs: Any) -> Tensor:
        seen: list[Tensor] = []
        hook = table.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            bias = original(*args, **kwargs)
        finally:
            hook.remove()
        if len(seen) != 1 or tuple(bias.shape) != (1, table.weight.shape[1], *seen[0].shape):
            raise NotExactError(f"{type(module).__name__} computes its position bias in a different way", table)
        return _ByExample.apply(marker, bias, seen[0], table.weight, engine, engine.examples_in_pass)  # type: ignore[no-any-return, no-untyped-call]

    return by_example
