"""Conversion between IEEE floats and their bit patterns (unsigned integers), which all selection kernels use."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Number of bits of a pattern that select the bin of a histogram.
DIGIT = 16
PATTERN: dict[np.dtype[Any], type[np.unsignedinteger[Any]]] = {
    np.dtype(np.float32): np.uint32,
    np.dtype(np.float64): np.uint64,
}


def pattern_of(dtype: np.dtype[Any], value: float) -> int:
    """Return the bit pattern of `value` as a float of the given dtype."""
    return int(np.array(value, dtype).view(PATTERN[dtype])[()])


def number_of(dtype: np.dtype[Any], pattern: int) -> np.floating[Any]:
    """Return the float of the given dtype that has this bit pattern."""
    number: np.floating[Any] = dtype.type(np.array(pattern, PATTERN[dtype]).view(dtype).item())
    return number


def lowest_pattern(threshold: float, dtype: np.dtype[Any]) -> int:
    """Return the bit pattern of the smallest positive float of the given dtype that is at least `threshold`."""
    if threshold <= 0:
        return 1
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(threshold)
    if float(rounded) < threshold:
        rounded = np.nextafter(rounded, dtype.type(np.inf))
    return pattern_of(dtype, rounded)


def locate(counts: NDArray[np.int64], k: int) -> tuple[int, int]:
    """Return the index of the histogram bin that contains the K-th largest value, and its rank within the bin."""
    reached = np.cumsum(counts[::-1])
    at = int(np.searchsorted(reached, k))
    return counts.size - 1 - at, k - int(reached[at] - counts[counts.size - 1 - at])


def check_rank(k: int, size: int) -> None:
    """Check a rank `k`, which counts values from the largest (1) to the smallest (`size`).

    Raises:
        ValueError: The rank is not in 1 to `size`.
    """
    if not 1 <= k <= size:
        raise ValueError(f"k must be from 1 to the number of values, {size}; got {k}")


def check_threshold(threshold: float) -> None:
    """Check that a threshold is not NaN.

    Raises:
        ValueError: The threshold is NaN.
    """
    if math.isnan(threshold):
        raise ValueError("threshold must be a number, got NaN")


def refuse_invalid(invalid: int, size: int) -> None:
    """Raise an error if there are invalid values.

    Raises:
        ValueError: `invalid`, the number of negative, infinite and NaN values among `size` values, is not zero.
    """
    if invalid:
        raise ValueError(f"values must be non-negative and finite; {invalid} of {size} are negative, infinite or NaN")
