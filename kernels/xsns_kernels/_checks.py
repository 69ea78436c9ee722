"""Checks of the arguments of public functions. Each error message names the expected and the given value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def array(name: str, value: object, dtype: type[np.generic], ndim: int | None = None) -> NDArray[Any]:
    """Return `value` if it is an array of the given dtype with `ndim` axes (any number if `ndim` is None).

    `name` is the name of the argument, for messages.

    Raises:
        TypeError: `value` is not a NumPy array, or has a wrong dtype or byte order.
        ValueError: `value` has a wrong number of axes.
    """
    wanted = np.dtype(dtype)
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array of {wanted}, got {type(value).__name__}")
    if value.dtype != wanted:
        raise TypeError(f"{name} must have dtype {wanted}, got {value.dtype}")
    if ndim is not None and value.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {value.shape}")
    return value


def contiguous(name: str, value: NDArray[Any]) -> NDArray[Any]:
    """Return a flat view of a C-contiguous array.

    `name` is the name of the argument, for messages.

    Raises:
        ValueError: The array is strided. It is not copied silently, because the copy would be as large as the input.
    """
    if not value.flags.c_contiguous:
        raise ValueError(
            f"{name} must be C-contiguous, got shape {value.shape} with strides {value.strides}; "
            "pass numpy.ascontiguousarray(...) if a copy is acceptable"
        )
    return value.reshape(-1)


def float_arrays(values: object) -> list[Floats]:
    """Return one array or a sequence of arrays as a list of flat float arrays of one dtype.

    Raises:
        TypeError: A given array is not a NumPy array of float32 or float64, or the dtypes differ.
        ValueError: An array is not C-contiguous.
    """
    given = [values] if isinstance(values, np.ndarray) else list(_iterable(values))
    flat: list[Floats] = []
    for at, item in enumerate(given):
        if not isinstance(item, np.ndarray):
            raise TypeError(f"values[{at}] must be a NumPy array, got {type(item).__name__}")
        if item.dtype not in _FLOATS:
            raise TypeError(f"values[{at}] must have dtype float32 or float64, got {item.dtype}")
        if flat and item.dtype != flat[0].dtype:
            raise TypeError(
                f"all arrays must have one dtype: values[0] is {flat[0].dtype}, values[{at}] is {item.dtype}"
            )
        flat.append(contiguous(f"values[{at}]", item))
    return flat


def _iterable(values: object) -> Iterable[object]:
    if isinstance(values, Iterable):
        return values
    raise TypeError(f"values must be an array or a sequence of arrays, got {type(values).__name__}")


def counts(name: str, value: object, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return `value` if it is a writable matrix of counts with the given shape.

    `name` is the name of the argument, for messages.

    Raises:
        TypeError: `value` is not an array of int64.
        ValueError: `value` has a wrong shape, or is read-only.
    """
    matrix = array(name, value, np.int64, 2)
    if matrix.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {matrix.shape}")
    if not matrix.flags.writeable:
        raise ValueError(f"{name} must be writable, because counts are added to it; got a read-only array")
    return matrix


def same_words(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> int:
    """Return the number of words of the rows of `a` and `b`, which must have the same length.

    Raises:
        ValueError: The rows differ in length.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"rows of a and b must have the same length: a has {a.shape[1]} words, b has {b.shape[1]}")
    return int(a.shape[1])


def threads(given: int | None) -> None:
    """Raise an error if a given number of worker threads is below 1; None is allowed.

    Raises:
        ValueError: The number is below 1.
    """
    if given is not None and given < 1:
        raise ValueError(f"threads must be at least 1, got {given}")
