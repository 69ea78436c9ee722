"""Rules for parameters that act elementwise on the features, such as the scales and shifts of normalisation layers.

The gradient for one example is a sum over its positions; the gradients of a batch are a tensor [B, D]. This tensor is
small enough to be stored until the end of the pass. The result is therefore exact even if a module is used several
times in a pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xsns_stream.fisher.accumulators import NotExactError, RuleEngine
from xsns_stream.fisher.model_state import sum_dtype


class _LayerNorm(torch.autograd.Function):
    """Layer normalisation: y = x̂ ∘ w + b with x̂ = (x − mean) / √(variance + ε)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, marker: Tensor, module: nn.LayerNorm, engine: RuleEngine) -> Tensor:
        engine.by_example(x, module)
        ctx.dtype = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            x = x.float()  # normalisations stay in full precision, like in ordinary autocast
        shape = list(module.normalized_shape)
        weight, bias = _like(module.weight, x), _like(module.bias, x)
        y, mean, rstd = torch.native_layer_norm(x, shape, weight, bias, module.eps)
        ctx.save_for_backward(x, mean, rstd)
        ctx.module, ctx.engine, ctx.shape = module, engine, shape
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None]:
        x, mean, rstd = ctx.saved_tensors
        G, module, engine = grads[0], ctx.module, ctx.engine
        with torch.no_grad():
            if engine.accumulator(module.weight) is not None:
                product = engine.by_example((x - mean).mul_(rstd).mul_(G), module)
                engine.add_small(module.weight, product.sum(dim=1, dtype=sum_dtype(G.dtype)))
            if module.bias is not None and engine.accumulator(module.bias) is not None:
                engine.add_small(module.bias, engine.by_example(G, module).sum(dim=1, dtype=sum_dtype(G.dtype)))
            grad_input = None
            if ctx.needs_input_grad[0]:
                weight, bias = _like(module.weight, x), _like(module.bias, x)
                grad_input = torch.ops.aten.native_layer_norm_backward(
                    G, x, ctx.shape, mean, rstd, weight, bias, [True, False, False]
                )[0].to(ctx.dtype)
        return grad_input, None, None, None


def _like(parameter: Tensor | None, x: Tensor) -> Tensor | None:
    return None if parameter is None else parameter.to(x.dtype)


def layer_norm(module: Any, engine: RuleEngine, marker: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the replacement of the forward of an `nn.LayerNorm` that normalises over the last axis."""
    return lambda x: _LayerNorm.apply(x, marker, module, engine)  # type: ignore[no-untyped-call]


class _Expand(torch.autograd.Function):
    """Copies of a parameter, one for each example, in a shape that broadcasts over the input like the parameter."""

    @staticmethod
    def forward(
        ctx: Any, marker: Tensor, parameter: Tensor, engine: RuleEngine, shape: tuple[int, ...], rows: int
    ) -> Tensor:
        ctx.parameter, ctx.engine, ctx.rows = parameter, engine, rows
        return parameter.detach().expand(shape).clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, ...]:
        G = grads[0]
        with torch.no_grad():
            by_example = G.reshape(-1, ctx.rows, G.shape[-1]).sum(dim=1, dtype=sum_dtype(G.dtype))
            ctx.engine.add_small(ctx.parameter, by_example)
        return None, None, None, None, None


def expanded(parameter: Tensor, x: Tensor, engine: RuleEngine, marker: Tensor, module: nn.Module) -> Tensor:
    """Return copies of `parameter` [D], one for each example, that broadcast over x [B, …, D] or [B · T, D].

    Raises:
        NotExactError: The last axis of x does not have D features.
    """
    examples, features = len(engine.by_example(x, module)), parameter.shape[-1]
    if features != x.shape[-1]:
        raise NotExactError(f"{type(module).__name__} does not act on the last axis of its input", module)
    if x.shape[0] == examples:
        shape, rows = (examples, *(1 for _ in x.shape[1:-1]), features), 1
    else:
        # The examples are stacked along the first axis. Each position needs a copy.
        shape, rows = (x.shape[0], *(1 for _ in x.shape[1:-1]), features), x.shape[0] // examples
    return _Expand.apply(marker, parameter, engine, shape, rows)  # type: ignore[no-any-return, no-untyped-call]


def rms_norm(module: Any, engine: RuleEngine, marker: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the replacement of the forward of an `nn.RMSNorm` that normalises over the last axis."""

    def forward(x: Tensor) -> Tensor:
        scale = expanded(module.weight, x, engine, marker, module)
        return F.rms_norm(x, module.normalized_shape, None, module.eps) * scale

    return forward


def feature_wise(module: Any, engine: RuleEngine, marker: Tensor) -> Callable[..., Any]:
    """Return the replacement of the forward of a module whose parameters are vectors that broadcast over its input.

    The replacement runs the module's own forward with one copy of the parameters for each example. It therefore covers
    the many forms of RMS normalisation, including those that scale by 1 + w.
    """
    forward = module.forward

    def with_copies(*args: Any, **kwargs: Any) -> Any:
        if not args or not isinstance(args[0], Tensor):
            raise NotExactError(f"the first argument of {type(module).__name__} is not a tensor", module)
        own = dict(module._parameters)
        try:
            for name, parameter in own.items():
                if parameter is not None and engine.accumulator(parameter) is not None:
                    module._parameters[name] = expanded(parameter, args[0], engine, marker, module)
            return forward(*args, **kwargs)
        finally:
            module._parameters.update(own)

    return with_copies
