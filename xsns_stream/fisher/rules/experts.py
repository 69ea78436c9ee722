"""Rule for mixtures of experts, whose weights have three axes and whose input tokens have no batch axis.

The index of the example of a token is the row index of the token divided by the number of positions, rounded down.
Every expert gets each token at most once. The weight gradient of an expert for one example is therefore one matrix
product over the tokens of the example that the expert gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xsns_stream.fisher.accumulators import Accumulator, NotExactError, RuleEngine


class _ExpertLinear(torch.autograd.Function):
    """y = A Wᵀ for the rows A of one expert, sorted by example; `counts` are the numbers of rows of the examples."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, marker: Tensor, W: Tensor, total: Accumulator | None, counts: list[int]) -> Tensor:
        ctx.save_for_backward(A)
        ctx.W, ctx.total, ctx.counts = W, total, counts
        return F.linear(A, W)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        (A,), G = ctx.saved_tensors, grads[0]
        with torch.no_grad():
            if ctx.total is not None:
                scratch = ctx.total.scratch()
                for G_n, A_n in zip(torch.split(G, ctx.counts), torch.split(A, ctx.counts), strict=True):
                    if len(G_n):
                        torch.mm(G_n.t().to(scratch.dtype), A_n.to(scratch.dtype), out=scratch)
                        ctx.total.add(scratch)
            grad_input = (G @ ctx.W.to(G.dtype)).to(A.dtype) if ctx.needs_input_grad[0] else None
        return grad_input, None, None, None, None


def experts(module: Any, engine: RuleEngine, marker: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Return the replacement of the forward of a module of experts, which has weights [E, 2I, H] and [E, H, I].

    The weights are named `gate_up_proj` and `down_proj` (Mixtral, Qwen3-MoE).
    """

    def forward(hidden: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        engine.note_use(module)
        view = engine.by_example(hidden, module)
        if hidden.dim() != 2:
            raise NotExactError(f"{type(module).__name__} got tokens of shape {tuple(hidden.shape)}", module)
        examples, positions = view.shape[:2]
        totals = [engine.accumulator(module.gate_up_proj), engine.accumulator(module.down_proj)]
        out = torch.zeros_like(hidden)
        for expert in torch.unique(chosen).tolist():
            token, slot = torch.where(chosen == expert)  # in the order of the tokens
            counts = torch.bincount(token // positions, minlength=examples).tolist()
            into, back = (total and total.part(expert) for total in totals)
            both = _apply(hidden[token], marker, module.gate_up_proj[expert], into, counts)
            gate, up = both.chunk(2, dim=-1)
            outputs = _apply(module.act_fn(gate) * up, marker, module.down_proj[expert], back, counts)
            out = out.index_add(0, token, (outputs * weights[token, slot, None]).to(out.dtype))
        return out

    return forward


def _apply(A: Tensor, marker: Tensor, W: Tensor, total: Accumulator | None, counts: list[int]) -> Tensor:
    return _ExpertLinear.apply(A, marker, W, total, counts)  # type: ignore[no-any-return, no-untyped-call]
