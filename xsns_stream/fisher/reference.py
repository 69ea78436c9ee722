"""Reference implementation of the diagonal Fisher information: slow and simple, one example at a time.

It follows the equation of the paper literally. Tests compare the engine with the reference, and the self-check compares
them on a small batch before the first measurement of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xsns_stream.fisher import scoring
from xsns_stream.fisher.model_state import loss_scale, sum_dtype, weights_dtype
from xsns_stream.types import FisherSettings, ParameterLayout


def reference_fisher(
    model: Any,
    batches: Iterable[Mapping[str, Tensor]],
    layout: ParameterLayout,
    token_reduction: str = "sum",
    *,
    names: Sequence[str] | None = None,
) -> dict[str, Tensor]:
    """Return 1/|D| Σ_j (∂ log p(y_j|x_j)/∂θ)² by a loop over single examples without padding.

    Args:
        model: The model, in evaluation mode.
        batches: See :func:`xsns_stream.diagonal_fisher`.
        layout: The parameters θ.
        token_reduction: `sum` or `mean` over the scored positions of an example.
        names: Names of the parameters to measure; all of θ by default.

    Returns:
        {parameter name: tensor of its shape}: float32, or float64 for a float64 model. The gradients of a model in half
        precision are rounded to that precision; they are squared and added in float32.
    """
    names = layout.names if names is None else names
    parameters = scoring.theta_of(model, layout)
    theta = [parameters[name] for name in names]
    before = [p.requires_grad for p in theta]
    dtypes = {name: sum_dtype(parameters[name].dtype) for name in names}
    total = {name: torch.zeros_like(parameters[name], dtype=dtypes[name]) for name in names}
    kind, count = scoring.kind_of(model), 0
    scale = loss_scale(FisherSettings(), weights_dtype(model))
    try:
        for parameter in theta:
            parameter.requires_grad_(True)
        for batch in batches:
            for example in scoring.single_examples(batch, kind):
                scored_batch = scoring.prepare(model, kind, example)
                logits = scoring.scored_logits(kind, model(**scored_batch.inputs), scored_batch, gathered=False)
                logits = logits.to(sum_dtype(logits.dtype))
                loss = F.cross_entropy(logits, scored_batch.targets, reduction=token_reduction) * scale
                # A parameter that does not affect the output has a gradient of zero.
                gradients = torch.autograd.grad(loss, theta, allow_unused=True, materialize_grads=True)
                for name, gradient in zip(names, gradients, strict=True):
                    total[name] += (gradient.to(dtypes[name]) / scale).square()
                count += 1
    finally:
        for parameter, flag in zip(theta, before, strict=True):
            parameter.requires_grad_(flag)
    return {name: value / count for name, value in total.items()}


def single_gradients(
    model: Any, losses: Sequence[Callable[[], Tensor]], layout: ParameterLayout
) -> list[dict[str, Tensor]]:
    """Return the gradient of each loss with respect to θ.

    The gradient of one loss is {parameter name: tensor of the parameter's shape}.

    Args:
        model: The model, in evaluation mode.
        losses: Functions without arguments, one for each example.
        layout: The parameters θ.
    """
    parameters = scoring.theta_of(model, layout)
    before = [p.requires_grad for p in parameters.values()]
    result = []
    try:
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        for loss in losses:
            with torch.enable_grad():
                value = loss()
            # A parameter that does not affect the output has a gradient of zero.
            found = torch.autograd.grad(value, list(parameters.values()), allow_unused=True, materialize_grads=True)
            result.append(dict(zip(parameters, found, strict=True)))
    finally:
        for parameter, flag in zip(parameters.values(), before, strict=True):
            parameter.requires_grad_(flag)
    return result
