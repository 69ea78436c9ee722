"""The slow, obvious diagonal Fisher: one example at a time, one ordinary backward each.

It is what the equation says, with nothing clever in it, and what the fast engine is compared with: in the tests, and
on a small batch the first time a model is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xsns_stream.types import ParameterLayout


def reference_fisher(
    model: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    layout: ParameterLayout,
    token_reduction: str = "sum",
) -> dict[str, Tensor]:
    """Return 1/|D| Σ_j (∂ log p(y_j|x_j)/∂θ)² by a loop over single examples, trimmed to their own length.

    Args:
        model: In evaluation mode.
        batches: As :func:`xsns_stream.diagonal_fisher` takes them.
        layout: The parameters θ.
        token_reduction: `sum` or `mean` over an example's scored positions.

    Returns:
        {parameter name: tensor of its shape, in the model's dtype}.
    """
    parameters = dict(model.named_parameters())
    theta = [parameters[name] for name in layout.names]
    before = [p.requires_grad for p in theta]
    total = {name: torch.zeros_like(parameters[name]) for name in layout.names}
    count = 0
    try:
        for parameter in theta:
            parameter.requires_grad_(True)
        for batch in batches:
            for example in single_examples(batch):
                labels = example.pop("labels")
                logits = model(**example).logits
                loss = F.cross_entropy(logits[0], labels[0], ignore_index=-100, reduction=token_reduction)
                # A parameter that the output does not depend on has a gradient of zero.
                gradients = torch.autograd.grad(loss, theta, allow_unused=True, materialize_grads=True)
                for name, gradient in zip(layout.names, gradients, strict=True):
                    total[name] += gradient.square()
                count += 1
    finally:
        for parameter, flag in zip(theta, before, strict=True):
            parameter.requires_grad_(flag)
    return {name: value / count for name, value in total.items()}


def single_examples(batch: Mapping[str, Tensor]) -> Iterable[dict[str, Tensor]]:
    """Yield each row of a batch as a batch of one, without its padding."""
    for n in range(len(batch["input_ids"])):
        kept = batch["attention_mask"][n].bool() if "attention_mask" in batch else slice(None)
        yield {name: values[n : n + 1][:, kept] for name, values in batch.items()}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and each back into its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
