"""Other libraries' per-example gradients, each used as its documentation says and favoured where there is a choice.

All of them are given: gradients of θ alone, the head on the scored positions alone, accumulators that are already
there. A peer computes the sums of squares of one batch into `sums`; what it leaves out is missing there.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from fisher_cases import require_gradients, scored_loss
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

import xsns_stream as xs


class VectorisedMap:
    """`torch.func.vmap(grad(…))`: all examples' gradients at once.

    The attention mask is made outside, as the four-dimensional sum that transformers would make of it: the making
    looks at values, which vmap does not allow. Each example scores as many positions as the one that scores most.
    """

    leaves_out = ""

    def __init__(self, model: Any, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> None:
        named = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
        self.theta = {f"model.{name}": named.pop(f"model.{name}") for name in layout.names}
        self.sums = {name: torch.zeros_like(self.theta[f"model.{name}"]) for name in layout.names}
        kept = batch["attention_mask"][:, None, None, None, :]
        mask = torch.zeros(kept.shape).masked_fill(kept == 0, torch.finfo(torch.float32).min)
        scored = batch["labels"] != -100
        places = scored.int().argsort(dim=1, descending=True, stable=True)[:, : int(scored.sum(dim=1).max())]
        self.inputs = (batch["input_ids"], mask, places, batch["labels"].gather(1, places))
        one = _OneExample(model)

        def loss(theta: dict[str, Tensor], ids: Tensor, mask: Tensor, places: Tensor, targets: Tensor) -> Tensor:
            logits = functional_call(one, {**named, **theta}, (ids, mask, places))
            return F.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")

        self.gradients = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0))

    def __call__(self) -> None:
        """Add the batch to the sums."""
        with warnings.catch_warnings():
            # Fused attention has no rule for vmap's backward and is looped over; it is still ahead of the eager form.
            warnings.simplefilter("ignore")
            found = self.gradients(self.theta, *self.inputs)
        for name, total in self.sums.items():
            total.add_(found.pop(f"model.{name}").square_().sum(dim=0))


class _OneExample(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor) -> Tensor:
        hidden = self.model.base_model(ids[None], attention_mask=mask).last_hidden_state
        return self.model.lm_head(hidden[0][places])  # type: ignore[no-any-return]


class Opacus:
    """`GradSampleModule`: hooks that keep every example's gradient beside the parameter.

    Its hooks work in training mode only; the model has no dropout. They stay on the model.
    """

    leaves_out = ""

    def __init__(self, model: Any, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> None:
        from opacus import GradSampleModule

        theta = require_gradients(model, layout.names)
        self.model, self.batch = model.train(), batch
        GradSampleModule(model, loss_reduction="sum", strict=False)
        self.theta = dict(zip(layout.names, theta, strict=True))
        self.sums = {name: torch.zeros_like(parameter).detach() for name, parameter in self.theta.items()}

    def __call__(self) -> None:
        """Add the batch to the sums."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            scored_loss(self.model, self.batch).backward()
        for name, parameter in self.theta.items():
            self.sums[name].add_(parameter.grad_sample.square_().sum(dim=0))  # type: ignore[attr-defined]
            parameter.grad = parameter.grad_sample = None  # type: ignore[attr-defined]


class BackPack:
    """`SumGradSquared`. It knows no LayerNorm, so θ's scales and shifts are left out, and cost it nothing."""

    leaves_out = "LayerNorm"

    def __init__(self, model: Any, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> None:
        from backpack import extend

        self.model, self.batch = model, batch
        linear = [module for module in model.base_model.encoder.modules() if isinstance(module, nn.Linear)]
        covered = {id(parameter) for module in linear for parameter in module.parameters()}
        named = dict(model.named_parameters())
        self.theta = {name: named[name] for name in layout.names if id(named[name]) in covered}
        require_gradients(model, list(self.theta))
        for module in linear:
            extend(module)
        self.sums = {name: torch.zeros_like(parameter).detach() for name, parameter in self.theta.items()}

    def __call__(self) -> None:
        """Add the batch to the sums."""
        from backpack import backpack
        from backpack.extensions import SumGradSquared

        with warnings.catch_warnings(), backpack(SumGradSquared()):
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            scored_loss(self.model, self.batch).backward()
        for name, parameter in self.theta.items():
            self.sums[name].add_(parameter.sum_grad_squared)  # type: ignore[attr-defined]
            parameter.grad = parameter.sum_grad_squared = None  # type: ignore[attr-defined]


#: Name in the tables → (peer, distribution that must be there).
PEERS: dict[str, tuple[Any, str]] = {
    "torch.func vmap": (VectorisedMap, "torch"),
    "Opacus": (Opacus, "opacus"),
    "BackPACK": (BackPack, "backpack"),
}


def installed(name: str) -> bool:
    """Tell whether a peer's library is there."""
    return find_spec(PEERS[name][1]) is not None
