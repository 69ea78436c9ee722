"""Rules for affine maps: `nn.Linear`, `Conv1D` of GPT-2, and modules that call `F.linear` with their weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from xsns_kernels import grouped
from xsns_stream.fisher.accumulators import Accumulator, NotExactError, Rows, RuleEngine
from xsns_stream.fisher.model_state import sum_dtype

# If the share of rows with a gradient is smaller, products are computed for these rows only.
SPARSE_ROWS = 0.5
# Number of outputs that are examined to estimate the share of rows with a gradient. The estimate excludes no row; it
# only decides whether zero rows are looked for.
GLANCE = 8


@dataclass(frozen=True)
class Affine:
    """y = A Wᵀ + b, or y = A W + b if the weight is stored as [I, O]."""

    module: nn.Module
    weight: Tensor
    bias: Tensor | None
    transposed: bool = False

    def output(self, A: Tensor) -> Tensor:
        """Return the output y [..., O] of the map for the input A [..., I]."""
        return F.linear(A, self.weight.t() if self.transposed else self.weight, self.bias)

    def input_gradient(self, G: Tensor) -> Tensor:
        """Return the gradient of the loss with respect to the input A, [..., I], for the output gradient G [..., O]."""
        weight = self.weight.to(G.dtype)
        return G @ (weight.t() if self.transposed else weight)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, A: Tensor, marker: Tensor, affine: Affine, engine: RuleEngine) -> Tensor:
        engine.by_example(A, affine.module)
        engine.note_use(affine.module)
        ctx.save_for_backward(_as_computed(A))
        ctx.affine, ctx.engine, ctx.dtype = affine, engine, A.dtype
        return affine.output(A)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        (A,), G = ctx.saved_tensors, grads[0]
        affine, engine = ctx.affine, ctx.engine
        with torch.no_grad():
            G_view = engine.by_example(G, affine.module)
            rows = _rows_with_gradient(G_view, engine.real_rows(G_view.shape[1]))
            if (F_weight := engine.accumulator(affine.weight)) is not None:
                use = (G_view, engine.by_example(A, affine.module), rows)
                if (uses := engine.gather_uses(affine.module, use)) is not None:
                    _add_products(F_weight, uses, affine.transposed)
            if affine.bias is not None and engine.accumulator(affine.bias) is not None:
                engine.add_small(affine.bias, G_view.sum(dim=1, dtype=sum_dtype(G.dtype)))
            grad_input = None
            if ctx.needs_input_grad[0]:
                grad_input = _input_gradient(G_view, affine, rows).view_as(A).to(ctx.dtype)
        return grad_input, None, None, None


def _as_computed(A: Tensor) -> Tensor:
    """Return A in the dtype in which the product is computed under automatic mixed precision.

    The returned tensor is saved for the backward pass.
    """
    if A.dtype == torch.float32 and torch.is_autocast_enabled(A.device.type):
        return A.to(torch.get_autocast_dtype(A.device.type))
    return A


def _rows_with_gradient(G: Tensor, real: Rows) -> Rows:
    """Return the rows of G [B, T, O] that are not zero, or all rows that are not padding (`real`).

    The rows of padding are zero. In the last block, all rows except those of scored positions are zero too. Leaving out
    zero rows does not change the result. The share of rows that are not zero is estimated from a few outputs. If most
    rows are not zero, or on a GPU, all rows except padding are returned, because their indices are known already.
    """
    if G.is_cuda:
        # Reading the values would make the host wait for the device, with a benefit for the last block only.
        return real
    glance = (G[..., :GLANCE] != 0).any(dim=-1)
    if int(glance.sum()) > SPARSE_ROWS * sum(real.counts):
        return real
    nonzero = (G != 0).any(dim=-1)
    return Rows.of(nonzero.sum(dim=1).tolist(), nonzero.flatten().nonzero().flatten())


def _add_products(total: Accumulator, uses: Sequence[tuple[Tensor, Tensor, Rows]], transposed: bool) -> None:
    """Add the moments of the gradient Σ_uses G_nᵀ A_n of every example n to the sums `total`.

    Args:
        total: The sums of the weight.
        uses: (G, A, rows) for each use of the module in the pass: G [B, T, O], A [B, T, I], and the rows that are not
            zero.
        transposed: Whether the weight is stored as [I, O].
    """
    if len(uses) == 1 and total.squares_alone is not None:
        _add_squares(total.squares_alone, *uses[0], transposed)
        return
    scratch = total.scratch()
    taken = [(rows.take(G.to(scratch.dtype)), rows.take(A.to(scratch.dtype))) for G, A, rows in uses]
    for n in range(len(uses[0][0])):
        G_n, A_n = torch.cat([G[n] for G, _ in taken]), torch.cat([A[n] for _, A in taken])
        left, right = (A_n, G_n) if transposed else (G_n, A_n)
        torch.mm(left.t(), right, out=scratch)
        total.add(scratch)


def _add_squares(squares: Tensor, G: Tensor, A: Tensor, rows: Rows, transposed: bool) -> None:
    """Add the squared gradients of all examples to `squares` by one grouped matrix product.

    The other arguments are those of :func:`_add_products`, for one use of the module.
    """
    dtype = squares.dtype if squares.dtype == torch.float64 else G.dtype
    G, A = G.flatten(0, 1).to(dtype), A.flatten(0, 1).to(dtype)
    left, right = (A, G) if transposed else (G, A)
    grouped.add_squared_products(squares, left, right, rows.segments, rows=rows.index)


def _input_gradient(G: Tensor, affine: Affine, rows: Rows) -> Tensor:
    """Return the gradient with respect to the input A, [B, T, I]; all rows of G [B, T, O] except `rows` are zero."""
    if rows.index is None or len(rows.index) > SPARSE_ROWS * G.shape[0] * G.shape[1]:
        return affine.input_gradient(G)
    flat = G.flatten(0, 1)
    out = G.new_zeros(len(flat), affine.weight.shape[0 if affine.transposed else 1])
    out[rows.index] = affine.input_gradient(flat[rows.index])
    return out.view(*G.shape[:2], -1)


def nn_linear(module: Any, engine: RuleEngine, marker: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the replacement of the forward of an `nn.Linear`, or of a subclass that computes the same product."""
    affine = Affine(module, module.weight, module.bias)
    return lambda A: _Affine.apply(A, marker, affine, engine)  # type: ignore[no-untyped-call]


def conv1d(module: Any, engine: RuleEngine, marker: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the replacement of the forward of a `transformers.pytorch_utils.Conv1D`, whose weight is [I, O]."""
    affine = Affine(module, module.weight, module.bias, transposed=True)
    return lambda A: _Affine.apply(A, marker, affine, engine)  # type: ignore[no-untyped-call]


class _LinearCalls(TorchFunctionMode):
    """Context in which the rule replaces calls of `F.linear` whose weight is the weight of the module."""

    def __init__(self, affine: Affine, engine: RuleEngine, marker: Tensor) -> None:
        self.affine, self.engine, self.marker, self.met = affine, engine, marker, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.linear and args[1] is self.affine.weight and len(args) == 2 and not kwargs:
            self.met = True
            return _Affine.apply(args[0], self.marker, self.affine, self.engine)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


def inner_linear(module: Any, engine: RuleEngine, marker: Tensor) -> Callable[..., Any]:
    """Return the replacement of `forward` for a module that computes more than the product with its weight [O, I].

    An example of such a module is a router of experts.
    """
    affine, forward = Affine(module, module.weight, None), module.forward

    def watched(*args: Any, **kwargs: Any) -> Any:
        with _LinearCalls(affine, engine, marker) as calls:
            output = forward(*args, **kwargs)
        if not calls.met:
            # The module used a copy of its weight, for example in another precision; the gradient would silently be
            # zero.
            raise NotExactError(f"{type(module).__name__} does not call F.linear with its weight", module)
        return output

    return watched
