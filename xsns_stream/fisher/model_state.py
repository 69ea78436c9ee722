"""Context managers for the state of a model: evaluation mode, checkpointing, precision, a fixed random state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Final

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from xsns_stream.io.allocator import FreedMemory
from xsns_stream.types import FisherSettings, ParameterLayout

AUTOCAST: Final = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: The loss is multiplied by this factor, and the sums are divided by it, because float16 has no number below 6e-8.
LOSS_SCALE: Final = {"fp16": 2.0**10}
#: With checkpointing, freed memory is returned each time this number of blocks has run, if the process has grown by
#: this number of bytes. For short texts, returns cost 6 % of the time and would save little.
BLOCKS_BETWEEN_RETURNS: Final = 4
GROWTH_BETWEEN_RETURNS: Final = 64 << 20


def loss_scale(settings: FisherSettings, weights: torch.dtype) -> float:
    """Return the factor by which the loss is multiplied to keep gradients within the range of float16; often 1.

    If the weights are float16, the gradients with respect to activations are float16 too. The factor is a power of two,
    which does not change the significant bits of a number within the range.
    """
    if settings.estimator == "authors":
        return 1.0  # gradients are clipped to norm 1 without scaling
    return LOSS_SCALE["fp16"] if weights == torch.float16 else LOSS_SCALE.get(settings.precision, 1.0)


def weights_dtype(model: nn.Module) -> torch.dtype:
    """Return the least precise dtype of a model's weights, to which gradients are rounded in the backward pass."""
    dtypes = {p.dtype for p in model.parameters()}
    least = next((dtype for dtype in (torch.float16, torch.bfloat16) if dtype in dtypes), None)
    return next(model.parameters()).dtype if least is None else least


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which values of `dtype` are summed: float64 for float64, otherwise float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def autocast(settings: FisherSettings, device: torch.device) -> AbstractContextManager[Any]:
    """Return a context manager for automatic mixed precision; it has no effect if the settings do not request it."""
    dtype = AUTOCAST.get(settings.precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)


@contextmanager
def caller_modes_off() -> Iterator[None]:
    """Switch off mixed precision and inference mode, which the caller may have switched on, while the block runs.

    Mixed precision would change the values, and the provenance would not show it. Inference mode does not allow
    gradients.
    """
    with ExitStack() as undo:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                undo.enter_context(torch.autocast(device, enabled=False))
        if torch.is_inference_mode_enabled():
            undo.enter_context(torch.inference_mode(False))
        yield


@contextmanager
def recurrence_without_cudnn(model: nn.Module) -> Iterator[None]:
    """Switch cuDNN off while the block runs if the model has recurrent layers.

    cuDNN computes the backward pass of recurrent layers in training mode only.
    """
    with ExitStack() as undo:
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            undo.enter_context(torch.backends.cudnn.flags(enabled=False))
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and restore the mode of each module afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def training(model: nn.Module, seed: int) -> Iterator[None]:
    """Put every module into training mode (dropout on) with the random state of `seed`; restore both afterwards."""
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
    """Let every block compute its activations again in the backward pass.

    The switch of transformers is not used, because it works only in training mode, in which dropout is on. Memory that
    blocks have freed is returned to the operating system after every fourth block, in both passes.
    """
    freed = FreedMemory(BLOCKS_BETWEEN_RETURNS, GROWTH_BETWEEN_RETURNS)
    with ExitStack() as undo:
        for block in _blocks(model, layout):
            undo.enter_context(replaced(block, "forward", _checkpointed(block.forward, freed)))
        yield


@contextmanager
def replaced(module: nn.Module, method: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """Set `replacement` as a method of one module while the block runs, and restore the method afterwards."""
    own = vars(module).get(method)
    setattr(module, method, replacement)
    try:
        yield
    finally:
        if own is None:
            delattr(module, method)
        else:
            setattr(module, method, own)


def _checkpointed(forward: Callable[..., Any], freed: FreedMemory) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        freed.give_back()
        return forward(*args, **kwargs)

    def again(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(run, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return again


def _blocks(model: nn.Module, layout: ParameterLayout) -> list[nn.Module]:
    known = dict(model.named_modules())
    return list(dict.fromkeys(known[layer.name] for layer in layout.layers if layer.name in known))
