"""Running sums of squared gradients and of mean gradients, and the interface between the engine and its rules.

All rules use the same letters for sizes: B examples, T positions, I inputs, O outputs, D features. G is the gradient of
the loss with respect to the output of a module, and A is the input of the module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from xsns_stream.fisher.model_state import sum_dtype


class NotExactError(Exception):
    """Raised if a rule does not cover the use of a module.

    The parameters of the module must then be measured one example at a time.

    Attributes:
        module: The module whose use is not covered; None if it is the whole model.
    """

    def __init__(self, message: str, module: nn.Module | None = None) -> None:
        super().__init__(message)
        self.module = module


@dataclass(frozen=True)
class Rows:
    """The rows of activations [B · T, …] that are not padding, in the order of the examples.

    Attributes:
        counts: Number of rows of each example, B integers.
        index: int64 [sum of counts], indices of the rows among all B · T rows; None if all rows are taken.
        segments: int64 [B + 1], on the CPU: the rows of example n are at the positions segments[n], …,
            segments[n + 1] − 1 of `index`.
    """

    counts: tuple[int, ...]
    index: Tensor | None
    segments: Tensor

    @classmethod
    def of(cls, counts: Sequence[int], index: Tensor | None) -> Rows:
        """Return the rows with these counts and this index; the segments are computed from the counts."""
        return cls(tuple(counts), index, torch.tensor([0, *accumulate(counts)]))

    @classmethod
    def up_to(cls, lengths: Sequence[int], positions: int, device: torch.device) -> Rows:
        """Return the first `lengths[n]` of the T = `positions` rows of every example n."""
        if all(length == positions for length in lengths):
            return cls.of(lengths, None)
        real = torch.arange(positions)[None] < torch.tensor(lengths)[:, None]
        return cls.of(lengths, real.flatten().nonzero().flatten().to(device))

    def take(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return a tuple of the rows of each example, [rows, …], from x [B, T, …]."""
        flat = x.flatten(0, 1)
        return torch.split(flat if self.index is None else flat[self.index], list(self.counts))


class Accumulator(Protocol):
    """Interface of the running sums of one parameter."""

    @property
    def squares_alone(self) -> Tensor | None:
        """The sum of squares, for a fused kernel that updates it; None if other moments are summed as well."""

    def add(self, gradient: Tensor) -> None:
        """Add the gradient of one example, which has the shape of the parameter; `gradient` may be overwritten."""

    def scratch(self) -> Tensor:
        """Return a buffer with the shape of the parameter and the dtype of the sums. Its content is undefined."""

    def part(self, index: int) -> Accumulator:
        """Return the running sums of `parameter[index]`, such as the weight of one expert."""


class RuleEngine(Protocol):
    """Interface of the part of the engine that rules use."""

    def accumulator(self, parameter: Tensor | None) -> Accumulator | None:
        """Return the running sums of `parameter`; None if it is not measured in this pass."""

    def by_example(self, x: Tensor, module: nn.Module) -> Tensor:
        """Return a view [B, T, …] of activations x of a module, which have the shape [B, T, …] or [B · T, …].

        Raises:
            NotExactError: The activations have a different shape.
        """

    def real_rows(self, positions: int) -> Rows:
        """Return the rows of activations [B · positions, …] that are not padding."""

    def add_small(self, parameter: Tensor, gradients: Tensor) -> None:
        """Add the gradients of a small parameter, one for each example, as a tensor [B, *shape].

        The gradients are squared at the end of the pass. If the parameter is used several times in a pass, this method
        is called once for each use.
        """

    def note_use(self, module: nn.Module) -> None:
        """Count a use of `module` in the forward of this pass; repetitions by checkpointing are not counted."""

    def gather_uses(self, module: nn.Module, use: Any) -> Sequence[Any] | None:
        """Store the data of one use of a module until the gradient, a sum over all uses, can be squared.

        Returns:
            The data of all uses of the module in this pass if this is the last use; otherwise None.
        """


class Moments:
    """The running sums of one parameter, or of a slice of one.

    Args:
        sums: {moment: tensor of the parameter's shape}; updated in place.
        buffers: Shared scratch space, one buffer for each shape.
    """

    def __init__(self, sums: dict[str, Tensor], buffers: dict[tuple[int, ...], Tensor]) -> None:
        self.sums, self._buffers = sums, buffers

    @classmethod
    def zeros(cls, parameter: Tensor, kinds: Sequence[str], buffers: dict[tuple[int, ...], Tensor]) -> Moments:
        """Return sums of zeros for the moments `kinds`: float32, or float64 for a float64 parameter, on its device."""
        return cls(
            {kind: torch.zeros_like(parameter, dtype=sum_dtype(parameter.dtype)).detach() for kind in kinds}, buffers
        )

    @property
    def squares_alone(self) -> Tensor | None:
        """The sum of squares, for a fused kernel that updates it; None if other moments are summed as well."""
        return self.sums["square"] if len(self.sums) == 1 and "square" in self.sums else None

    def add(self, gradient: Tensor) -> None:
        """Add the gradient of one example; `gradient` may be overwritten."""
        if (square := self.sums.get("square")) is not None:
            square.addcmul_(gradient, gradient)
        if (signed := self.sums.get("signed")) is not None:
            signed.add_(gradient)
        if (absolute := self.sums.get("absolute")) is not None:
            absolute.add_(gradient.abs_())

    def add_each(self, gradients: Tensor) -> None:
        """Add the gradients of a small parameter for several examples, as a tensor [B, *shape]."""
        if (square := self.sums.get("square")) is not None:
            square.add_(gradients.square().sum(dim=0))
        if (signed := self.sums.get("signed")) is not None:
            signed.add_(gradients.sum(dim=0))
        if (absolute := self.sums.get("absolute")) is not None:
            absolute.add_(gradients.abs().sum(dim=0))

    def scratch(self) -> Tensor:
        """Return a buffer with the shape of the parameter; parameters of the same shape share one buffer."""
        like = next(iter(self.sums.values()))
        key = tuple(like.shape)
        if key not in self._buffers:
            self._buffers[key] = torch.empty_like(like)
        return self._buffers[key]

    def part(self, index: int) -> Moments:
        """Return the sums of `parameter[index]`, which share memory with these sums."""
        return Moments({kind: total[index] for kind, total in self.sums.items()}, self._buffers)
