"""Positions of tensors and layers in a layout, and differences between two layouts."""

from __future__ import annotations

from difflib import get_close_matches
from operator import index

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.types.parameters import ParameterLayout


def span(layout: ParameterLayout, name: str) -> tuple[int, int]:
    """Return the first bit of a tensor, and the one past its last.

    Raises:
        UsageError: The layout has no such tensor.
    """
    at = _number(layout, name)
    return layout.offsets[at], layout.offsets[at] + layout.sizes[at]


def shape(layout: ParameterLayout, name: str) -> tuple[int, ...]:
    """Return a tensor's shape; errors as :func:`span`."""
    return layout.shapes[_number(layout, name)]


def place(layout: ParameterLayout, parameter: object) -> int:
    """Return the bit of a parameter.

    Args:
        layout: Where it is.
        parameter: Its bit, or (name of the tensor, place within the tensor); the latter is a tuple of one index for
            each axis, or one index row by row.

    Raises:
        UsageError: There is no such parameter, or this names none.
    """
    match parameter:
        case (str(name), where):
            start, stop = span(layout, name)
            return start + _within(_row_by_row(name, where, shape(layout, name)), stop - start, f"'{name}'")
        case int() | np.integer():
            return _within(index(parameter), layout.size, "the layout")
    raise UsageError(
        f"{parameter!r} names no parameter.", "give its place in the layout, or (tensor's name, place in the tensor)."
    )


def difference(one: ParameterLayout, other: ParameterLayout) -> str:
    """Say in which tensor two layouts with different digests differ first."""
    pairs = zip(one.names, one.shapes, other.names, other.shapes, strict=False)
    for at, (name, shape, other_name, other_shape) in enumerate(pairs):
        if name != other_name:
            return f"tensor {at} is '{name}' in one and '{other_name}' in the other"
        if shape != other_shape:
            return f"'{name}' has the shape {list(shape)} in one and {list(other_shape)} in the other"
    return f"one has {len(one.names)} tensors and the other {len(other.names)}"


def _number(layout: ParameterLayout, name: str) -> int:
    if name not in layout.names:
        near = get_close_matches(name, layout.names, n=1)
        raise UsageError(
            f"the layout has no tensor '{name}'.",
            f"did you mean '{near[0]}'?" if near else f"it has {len(layout.names)}, as '{layout.names[0]}'.",
        )
    return layout.names.index(name)


def _row_by_row(name: str, where: object, axes: tuple[int, ...]) -> int:
    """Return the place of an element within its tensor, row by row; −1 where it has none."""
    if isinstance(where, int | np.integer):
        return index(where)
    if not (
        isinstance(where, tuple) and len(where) == len(axes) and all(isinstance(i, int | np.integer) for i in where)
    ):
        raise UsageError(
            f"{where!r} is no place in '{name}'.", f"give one index, or one for each axis of its shape {list(axes)}."
        )
    place = 0
    for at, length in zip(where, axes, strict=True):
        if not 0 <= at < length:
            return -1
        place = place * length + index(at)
    return place


def _within(place: int, size: int, what: str) -> int:
    if not 0 <= place < size:
        raise UsageError(f"there is no such place in {what}.", f"it has {size} parameters, counted from 0.")
    return place
