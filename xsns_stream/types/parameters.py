"""Which parameters are measured, and their Fisher information."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xsns_stream.types.provenance import Provenance

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class LayerSpan:
    """One transformer block's place in the bit vector: bits `start` up to `stop`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class ParameterLayout:
    """Which parameters θ are measured, and which bit is which.

    Bit i is element i of the tensors in order, each in row-major order. Two sub-networks are comparable exactly
    when their layouts' digests are equal.

    Attributes:
        names: The tensors' names in the model, block after block.
        shapes: Their shapes.
        layers: The blocks, in order; together they cover every bit.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    layers: tuple[LayerSpan, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.shapes) or len(set(self.names)) != len(self.names):
            raise ValueError("a layout needs one shape for each of its distinct names")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of elements of each tensor."""
        return tuple(prod(shape) for shape in self.shapes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First bit of each tensor."""
        return tuple(int(o) for o in np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)[:-1]]))

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(self.sizes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and shapes (hexadecimal)."""
        canonical = json.dumps([self.names, self.shapes], separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return {
            "names": list(self.names),
            "shapes": [list(shape) for shape in self.shapes],
            "layers": [[layer.name, layer.start, layer.stop] for layer in self.layers],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ParameterLayout:
        """Rebuild a layout from :meth:`to_json`."""
        return cls(
            tuple(data["names"]),
            tuple(tuple(shape) for shape in data["shapes"]),
            tuple(LayerSpan(*layer) for layer in data["layers"]),
        )


@dataclass(frozen=True)
class DiagonalFisher:
    """f_i = 1/|D| Σ_j (∂ log p(y_j|x_j;θ)/∂θ_i)² for every selected parameter.

    Attributes:
        values: One array (or tensor, where it still lies on a device) for each tensor of `layout`, in its order and
            shape; finite, ≥ 0.
        layout: What the values belong to.
        examples: |D|, the number of examples averaged over.
        language: Normalised code; empty where the caller gave bare batches.
        provenance: How it was computed.
    """

    values: tuple[npt.NDArray[np.floating[Any]] | torch.Tensor, ...] = field(repr=False)
    layout: ParameterLayout
    examples: int
    language: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if tuple(tuple(v.shape) for v in self.values) != self.layout.shapes:
            raise ValueError("every parameter of the layout needs a value of its shape")

    def to_dict(self) -> dict[str, torch.Tensor]:
        """Return {parameter name: tensor of its shape}; the memory is shared."""
        import torch

        return {n: torch.as_tensor(v) for n, v in zip(self.layout.names, self.values, strict=True)}
