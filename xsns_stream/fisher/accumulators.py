"""Accumulators of squared gradients, and of the mean gradient.

Letters used by all rules: B examples, T positions, I inputs, O outputs, D features. G is the gradient of the loss by a
module's output, A its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from xsns_stream.fisher.model_state import wide


class NotExactError(Exception):
    """A module was met in a form that its rule does not cover; its parameters need the batch-of-one path.

    Attributes:
        module: The module; None where the whole model is meant.
    """

    def __init__(self, message: str, module: nn.Module | None = None) -> None:
        super().__init__(message)
        self.module = module


@dataclass(frozen=True)
class Rows:
    """Which rows of activations [B · T, …] count, those of an example one after another.

    Attributes:
        counts: How many each example has: B numbers.
        index: int64 [sum of counts], their places; None where all rows count.
        segments: int64 [B + 1], where each example's begin in `index`; on the CPU.
    """

    counts: tuple[int, ...]
    index: Tensor | None
    segments: Tensor

    @classmethod
    def of(cls, counts: Sequence[int], index: Tensor | None) -> Rows:
        """Number the examples' segments."""
        return cls(tuple(counts), index, torch.tensor([0, *accumulate(counts)]))

    @classmethod
    def up_to(cls, lengths: Sequence[int], positions: int, device: torch.device) -> Rows:
        """Return the first `lengths[n]` of the T = `positions` rows of each example."""
        if all(length == positions for length in lengths):
            return cls.of(lengths, None)
        real = torch.arange(positions)[None] < torch.tensor(lengths)[:, None]
        return cls.of(lengths, real.flatten().nonzero().flatten().to(device))

    def take(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return each example's rows of x [B, T, …]."""
        flat = x.flatten(0, 1)
        return torch.split(flat if self.index is None else flat[self.index], list(self.counts))


class Accumulator(Protocol):
    """The running sums of one parameter."""

    @property
    def squares_alone(self) -> Tensor | None:
        """The sum of squares where that is all there is: what a fused kernel can update."""

    def add(self, gradient: Tensor) -> None:
        """Add one example's gradient, of the parameter's shape; `gradient` may be overwritten."""

    def scratch(self) -> Tensor:
        """Return a buffer of the parameter's shape and the sums' dtype, whose content is of no matter."""

    def part(self, index: int) -> Accumulator:
        """Return the sums of `parameter[index]`."""


class RuleEngine(Protocol):
    """The engine, as rules see it."""

    def accumulator(self, parameter: Tensor | None) -> Accumulator | None:
        """Return the running sums of `parameter`; None where it is not measured in this pass."""

    def by_example(self, x: Tensor, module: nn.Module) -> Tensor:
        """View activations [B, T, …] or [B · T, …] as [B, T, …].

        Raises:
            NotExactError: They are neither.
        """

    def real_rows(self, positions: int) -> Rows:
        """Return the rows of activations [B · positions, …] that are not padding."""

    def add_small(self, parameter: Tensor, gradients: Tensor) -> None:
        """Add to the examples' gradients [B, *shape] of a small parameter; squared when the pass is over.

        A pass may add several times, once for each use of the parameter.
        """

    def note_use(self, module: nn.Module) -> None:
        """Count a use of `module` in the forward of this pass; a forward that is computed again does not count."""

    def gather_uses(self, module: nn.Module, use: Any) -> Sequence[Any] | None:
        """Keep what one use left for the square of the sum over all uses.

        Returns:
            Every use of this pass, once the last has come; None before.
        """


#: Of an example's gradient g: g², |g|, g.
MOMENTS: Final = ("square", "absolute", "signed")


class Moments:
    """The running sums of one parameter (or of a slice of one).

    Args:
        sums: {moment: tensor of the parameter's shape}; updated in place.
        buffers: Shared scratch space, one buffer for each shape.
    """

    def __init__(self, sums: dict[str, Tensor], buffers: dict[tuple[int, ...], Tensor]) -> None:
        self.sums, self._buffers = sums, buffers

    @classmethod
    def zeros(cls, parameter: Tensor, kinds: Sequence[str], buffers: dict[tuple[int, ...], Tensor]) -> Moments:
        """Start at zero: float32, or float64 for a float64 parameter, on the parameter's device."""
        return cls({kind: torch.zeros_like(parameter, dtype=wide(parameter.dtype)).detach() for kind in kinds}, buffers)

    @property
    def squares_alone(self) -> Tensor | None:
        """The sum of squares where that is all there is: what a fused kernel can update."""
        return self.sums["square"] if len(self.sums) == 1 and "square" in self.sums else None

    def add(self, gradient: Tensor) -> None:
        """Add one example's gradient; `gradient` may be overwritten."""
        if (square := self.sums.get("square")) is not None:
            square.addcmul_(gradient, gradient)
        if (signed := self.sums.get("signed")) is not None:
            signed.add_(gradient)
        if (absolute := self.sums.get("absolute")) is not None:
            absolute.add_(gradient.abs_())

    def add_each(self, gradients: Tensor) -> None:
        """Add several examples' gradients [B, *shape] of a small parameter."""
        if (square := self.sums.get("square")) is not None:
            square.add_(gradients.square().sum(dim=0))
        if (signed := self.sums.get("signed")) is not None:
            signed.add_(gradients.sum(dim=0))
        if (absolute := self.sums.get("absolute")) is not None:
            absolute.add_(gradients.abs().sum(dim=0))

    def scratch(self) -> Tensor:
        """Return a buffer of the parameter's shape; one is shared by all parameters of that shape."""
        like = next(iter(self.sums.values()))
        key = tuple(like.shape)
        if key not in self._buffers:
            self._buffers[key] = torch.empty_like(like)
        return self._buffers[key]

    def part(self, index: int) -> Moments:
        """Return the sums of `parameter[index]`, sharing memory."""
        return Moments({kind: total[index] for kind, total in self.sums.items()}, self._buffers)
