"""Context managers for the state of a model: evaluation mode, checkpointing, a fixed random state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Final

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from xsns_stream.types import FisherSettings, ParameterLayout

AUTOCAST: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: float16 holds nothing below 6e-8: the loss is multiplied, the sums are divided again.
LOSS_SCALE: Final = {"fp16": 2.0**10}


def loss_scale(settings: FisherSettings, weights: torch.dtype) -> float:
    """Return what the loss is multiplied by, so that gradients stay within the range of float16.

    Where the weights are float16 themselves, so is everything that flows back through them. A power of two changes no
    bit of what is in range.
    """
    if settings.estimator == "authors":
        return 1.0  # gradients are clipped at a norm of 1 as they are
    return LOSS_SCALE["fp16"] if weights == torch.float16 else LOSS_SCALE.get(settings.precision, 1.0)


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return the precision of sums: float32, float64 for float64."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def autocast(settings: FisherSettings, device: torch.device) -> AbstractContextManager[Any]:
    """Return automatic mixed precision where the settings ask for it."""
    dtype = AUTOCAST.get(settings.precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


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


@contextmanager
def training(model: nn.Module, seed: int) -> Iterator[None]:
    """Put every module into training mode (dropout on), with the random state of `seed`; put both back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model.train()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode


@contextmanager
def checkpointing(model: nn.Module, layout: ParameterLayout) -> Iterator[None]:
    """Let every block compute its activations again in the backward.

    Not transformers' own switch, which works in training mode alone, where dropout is on.
    """
    with ExitStack() as undo:
        for block in _blocks(model, layout):
            undo.enter_context(replaced(block, "forward", _checkpointed(block.forward)))
        yield


@contextmanager
def replaced(module: nn.Module, method: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """Give one module another method for a while; one that it had of its own comes back."""
    own = vars(module).get(method)
    setattr(module, method, replacement)
    try:
        yield
    finally:
        if own is None:
            delattr(module, method)
        else:
            setattr(module, method, own)


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def again(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return again


def _blocks(model: nn.Module, layout: ParameterLayout) -> list[nn.Module]:
    known = dict(model.named_modules())
    return list(dict.fromkeys(known[layer.name] for layer in layout.layers if layer.name in known))
