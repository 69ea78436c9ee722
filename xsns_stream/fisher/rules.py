"""How each kind of module turns what its backward sees into squared per-example gradients.

A rule replaces a module's forward by an autograd function whose backward computes the ordinary input gradient, and,
in place of the weight gradient, adds every example's squared weight gradient to an accumulator. The weight-gradient
product is replaced, not added to: a backward costs as many floating-point operations as an ordinary one.

Letters: B examples, T positions, I inputs, O outputs, D features. G is the gradient of the loss by a module's
output, A its input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Below this share of rows with a gradient, products are computed for those rows alone.
SPARSE_ROWS = 0.5
# As many outputs tell whether a row has a gradient; a row that is zero in these alone is still counted exactly.
GLANCE = 8


class NotExactError(Exception):
    """A module was met in a form that its rule does not cover; its parameters need the batch-of-one path."""


class Sink(Protocol):
    """Where rules put squared gradients, and where they learn about the batch."""

    @property
    def lengths(self) -> Sequence[int]:
        """Positions of each example of the current batch, padding left out: B numbers."""

    def accumulator(self, parameter: Tensor) -> Tensor | None:
        """Return the running sum for `parameter`, of its shape; None where it is not measured."""

    def scratch(self, like: Tensor) -> Tensor:
        """Return a buffer of the accumulator's shape and dtype, whose content is of no matter."""

    def check(self, activations: Tensor) -> None:
        """Raise :class:`NotExactError` unless `activations` are [B, T, …] of the current batch."""


class _Linear(torch.autograd.Function):
    """y = A Wᵀ + b."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, marker: Tensor, module: nn.Linear, sink: Sink) -> Tensor:
        sink.check(A)
        ctx.save_for_backward(A)
        ctx.module, ctx.sink = module, sink
        return F.linear(A, module.weight, module.bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        (A,), G = ctx.saved_tensors, grads[0]
        module, sink = ctx.module, ctx.sink
        with torch.no_grad():
            rows = _rows_with_gradient(G, sink.lengths)
            if (F_weight := sink.accumulator(module.weight)) is not None:
                _add_squared_products(F_weight, sink.scratch(F_weight), G, A, rows)
            if module.bias is not None and (F_bias := sink.accumulator(module.bias)) is not None:
                F_bias += G.sum(dim=1, dtype=F_bias.dtype).square_().sum(dim=0)
            grad_input = _input_gradient(G, module.weight, rows) if ctx.needs_input_grad[0] else None
        return grad_input, None, None, None


Rows = Sequence[Tensor | int]


def _rows_with_gradient(G: Tensor, lengths: Sequence[int]) -> Rows:
    """Return, for each example, the positions whose row of G [B, T, O] is not zero.

    Padding's rows are zero, and in the last block all but the scored positions'; leaving them out is exact. Where most
    rows count, which a few outputs are enough to see, that is everything up to the example's length: a slice, no copy.
    """
    glance = (G[..., :GLANCE] != 0).any(dim=-1)
    if int(glance.sum()) > SPARSE_ROWS * sum(lengths):
        return lengths
    return [example.nonzero().flatten() for example in (G != 0).any(dim=-1)]


def _add_squared_products(F_weight: Tensor, scratch: Tensor, G: Tensor, A: Tensor, rows: Rows) -> None:
    """F [O, I] += Σ_n (G_nᵀ A_n)², G [B, T, O], A [B, T, I]."""
    G, A = G.to(F_weight.dtype), A.to(F_weight.dtype)
    for G_n, A_n, chosen in zip(G, A, rows, strict=True):
        # A number is a slice (no copy), a tensor a gather.
        G_rows, A_rows = (G_n[:chosen], A_n[:chosen]) if isinstance(chosen, int) else (G_n[chosen], A_n[chosen])
        torch.mm(G_rows.t(), A_rows, out=scratch)
        F_weight.addcmul_(scratch, scratch)


def _input_gradient(G: Tensor, W: Tensor, rows: Rows) -> Tensor:
    """Return G W, for few rows with a gradient from those alone."""
    gathered = [chosen for chosen in rows if isinstance(chosen, Tensor)]
    if not gathered:
        return G @ W
    out = G.new_zeros(*G.shape[:-1], W.shape[1])
    for out_n, G_n, chosen in zip(out, G, gathered, strict=True):
        out_n[chosen] = G_n[chosen] @ W
    return out


class _LayerNorm(torch.autograd.Function):
    """y = x̂ ∘ w + b, x̂ = (x − mean) / √(variance + ε)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, marker: Tensor, module: nn.LayerNorm, sink: Sink) -> Tensor:
        sink.check(x)
        shape = list(module.normalized_shape)
        y, mean, rstd = torch.native_layer_norm(x, shape, module.weight, module.bias, module.eps)
        ctx.save_for_backward(x, mean, rstd)
        ctx.module, ctx.sink, ctx.shape = module, sink, shape
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        x, mean, rstd = ctx.saved_tensors
        G, module, sink = grads[0], ctx.module, ctx.sink
        with torch.no_grad():
            if (F_weight := sink.accumulator(module.weight)) is not None:
                F_weight += ((x - mean).mul_(rstd).mul_(G)).sum(1, dtype=F_weight.dtype).square_().sum(0)
            if module.bias is not None and (F_bias := sink.accumulator(module.bias)) is not None:
                F_bias += G.sum(dim=1, dtype=F_bias.dtype).square_().sum(dim=0)
            grad_input = None
            if ctx.needs_input_grad[0]:
                grad_input = torch.ops.aten.native_layer_norm_backward(
                    G, x, ctx.shape, mean, rstd, module.weight, module.bias, [True, False, False]
                )[0]
        return grad_input, None, None, None


Rule = Callable[[nn.Module, Sink, Tensor], Callable[[Tensor], Tensor]]


def _linear(module: Any, sink: Sink, marker: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda A: _Linear.apply(A, marker, module, sink)  # type: ignore[no-untyped-call]


def _layer_norm(module: Any, sink: Sink, marker: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: _LayerNorm.apply(x, marker, module, sink)  # type: ignore[no-untyped-call]


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule for a module, None where there is none.

    A subclass, or an object, with a forward of its own is not what the rule was written for; nor is a module whose
    weight is computed from other parameters.
    """
    own = dict(module.named_parameters(recurse=False))
    if "forward" in vars(module) or any(getattr(module, n, None) is not own.get(n) for n in ("weight", "bias")):
        return None
    forward = type(module).forward
    if forward is nn.Linear.forward:
        return _linear
    if forward is nn.LayerNorm.forward and len(getattr(module, "normalized_shape", ())) == 1:
        return _layer_norm if getattr(module, "elementwise_affine", False) else None
    return None
