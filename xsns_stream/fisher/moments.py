"""Running sums over examples of what is made of each one's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from xsns_stream.fisher.modes import wide

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
