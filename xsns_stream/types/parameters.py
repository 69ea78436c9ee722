"""The layout of the measured parameters, which assigns a bit to each parameter; also aliases for array types."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from math import prod
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import UsageError

#: Packed bits; each word contains the bits of 64 parameters.
Words = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

WORD_BITS = 64


def words_for(bits: int) -> int:
    """Return W, the number of 64-bit words that are needed for `bits` bits."""
    return -(-bits // WORD_BITS)


@dataclass(frozen=True, slots=True)
class LayerSpan:
    """The range of bits of one transformer block, from `start` to `stop` (exclusive)."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class ParameterLayout:
    """The measured parameters θ and the bit of each parameter.

    Bits are assigned tensor after tensor, in the order of `names`; within a tensor, in row-major order.
    Two sub-networks are comparable if and only if their layouts have the same digest.

    Attributes:
        names: The names of the tensors in the model, block after block.
        shapes: The shapes of the tensors.
        layers: The bit ranges of the transformer blocks, in order; together they cover every bit.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    layers: tuple[LayerSpan, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.shapes) or len(set(self.names)) != len(self.names):
            raise ValueError("a layout needs distinct names, and one shape for each name")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of elements of each tensor."""
        return tuple(prod(shape) for shape in self.shapes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The bit of the first element of each tensor."""
        return tuple(int(o) for o in np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)[:-1]]))

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(self.sizes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the names and shapes of the tensors (hexadecimal)."""
        canonical = json.dumps([self.names, self.shapes], separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def tensor_index(self, name: str) -> int:
        """Return the index of a tensor in the layout.

        Raises:
            UsageError: The layout has no such tensor.
        """
        if name not in self.names:
            near = get_close_matches(name, self.names, n=1)
            raise UsageError(
                f"the layout has no tensor '{name}'.",
                f"did you mean '{near[0]}'?"
                if near
                else f"it has {len(self.names)} tensors, such as '{self.names[0]}'.",
            )
        return self.names.index(name)

    def bit_range(self, name: str) -> tuple[int, int]:
        """Return the first bit of a tensor and the bit after its last bit; raise the errors of :meth:`tensor_index`."""
        number = self.tensor_index(name)
        return self.offsets[number], self.offsets[number] + self.sizes[number]

    def bit_of(self, parameter: object) -> int:
        """Return the bit of a parameter.

        Args:
            parameter: The bit itself, or (name of the tensor, index within the tensor). The index within the tensor is
                a tuple with one integer for each axis, or one integer in row-major order.

        Raises:
            UsageError: There is no such parameter, or `parameter` has another form.
        """
        match parameter:
            case (str(name), position):
                start, stop = self.bit_range(name)
                offset = _row_major_offset(name, position, self.shapes[self.tensor_index(name)])
                return start + _checked_index(offset, stop - start, f"'{name}'")
            case int() | np.integer():
                return _checked_index(index(parameter), self.size, "the layout")
        raise UsageError(
            f"{parameter!r} is not a parameter.",
            "give the index of a bit, or (name of a tensor, index within the tensor).",
        )

    def difference(self, other: ParameterLayout) -> str:
        """Return a phrase that names the first difference of this layout and `other`, whose digest is different."""
        pairs = zip(self.names, self.shapes, other.names, other.shapes, strict=False)
        for number, (name, shape, other_name, other_shape) in enumerate(pairs):
            if name != other_name:
                return f"tensor {number} is '{name}' in one and '{other_name}' in the other"
            if shape != other_shape:
                return f"'{name}' has the shape {list(shape)} in one and {list(other_shape)} in the other"
        return f"the numbers of tensors are {len(self.names)} and {len(other.names)}"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that :meth:`from_json` reads."""
        return {
            "names": list(self.names),
            "shapes": [list(shape) for shape in self.shapes],
            "layers": [[layer.name, layer.start, layer.stop] for layer in self.layers],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ParameterLayout:
        """Rebuild a layout from the object that :meth:`to_json` returned."""
        return cls(
            tuple(data["names"]),
            tuple(tuple(shape) for shape in data["shapes"]),
            tuple(LayerSpan(*layer) for layer in data["layers"]),
        )


def _row_major_offset(name: str, position: object, shape: tuple[int, ...]) -> int:
    """Return the row-major offset of an element in the tensor `name`; −1 if an index is out of bounds.

    Args:
        name: Name of the tensor, for messages.
        position: One integer (the offset), or a tuple with one integer for each axis.
        shape: Shape of the tensor.

    Raises:
        UsageError: `position` has another form.
    """
    if isinstance(position, int | np.integer):
        return index(position)
    if not (
        isinstance(position, tuple)
        and len(position) == len(shape)
        and all(isinstance(i, int | np.integer) for i in position)
    ):
        raise UsageError(
            f"{position!r} is not an index into '{name}'.",
            f"give one flat index, or one index for each axis of its shape {list(shape)}.",
        )
    offset = 0
    for i, length in zip(position, shape, strict=True):
        if not 0 <= i < length:
            return -1
        offset = offset * length + index(i)
    return offset


def _checked_index(number: int, size: int, container: str) -> int:
    if not 0 <= number < size:
        raise UsageError(f"the index is outside of {container}.", f"it has {size} parameters, counted from 0.")
    return number
