"""Thresholds other than the exact K-th largest: estimates from a histogram, and the rule of `numpy.percentile`.

Except for `pattern_histogram`, the functions use only counts, ranks and single values. They can therefore be used for
arrays and for tensors on a device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks
from xsns_kernels._patterns import DIGIT, PATTERN, check_rank, locate, number_of, pattern_of, refuse_invalid
from xsns_kernels.dispatch import resolve
from xsns_kernels.selection import FloatArrays


def pattern_histogram(values: FloatArrays, impl: str = "auto") -> NDArray[np.int64]:
    """Count non-negative, finite values by the sixteen highest bits of their patterns.

    counts[b] = number of values that have b as the sixteen highest bits of their IEEE pattern

    The first of these bits is the sign. Half of the 65,536 bins therefore suffice. The values of a bin differ by less
    than a factor of 1 + 2⁻⁷ (float32) or 1 + 2⁻⁴ (float64), except for subnormal numbers.

    Args:
        values: One array or a sequence of arrays, all float32 or all float64, of any shape, C-contiguous. -0.0 counts
            as 0.0.
        impl: One of `implementations("pattern_histogram")`, or ``"auto"``.

    Returns:
        int64 [32768].

    Raises:
        TypeError: A given array is not a NumPy array of float32 or float64, or the dtypes differ.
        ValueError: A value is negative, infinite or NaN; an array is strided.

    Bytes moved: all values, once, in one thread without the GIL. Memory: 0.8 MB (``"numpy"``: several copies).

    >>> int(pattern_histogram(np.float32([1, 1, 2]))[0x3F80])
    2
    """
    chosen = resolve("pattern_histogram", impl)
    arrays = _checks.float_arrays(values)
    size = sum(array.size for array in arrays)
    counts: NDArray[np.int64] = np.zeros((2, 1 << (DIGIT - 1)), np.int64)
    if chosen == "numpy":
        refuse_invalid(sum(int(np.count_nonzero(~((array >= 0) & (array < np.inf)))) for array in arrays), size)
        for array in arrays:
            patterns = (array + array.dtype.type(0)).view(PATTERN[array.dtype])
            digits = (patterns >> (8 * patterns.itemsize - DIGIT)).astype(np.int64)
            counts[0] += np.bincount(digits, minlength=counts.shape[1])
    else:
        from xsns_kernels._numba_bits import count_high

        invalid = 0
        for array in arrays:
            shift = 8 * array.itemsize - DIGIT
            invalid += count_high(array.view(PATTERN[array.dtype]), pattern_of(array.dtype, np.inf), shift, counts)
        refuse_invalid(invalid, size)
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total


@dataclass(frozen=True)
class Estimate:
    """An estimate of the K-th largest value.

    Attributes:
        value: The estimate.
        error: An error bound: the K-th largest differs from `value` by at most `error` times the K-th largest.
    """

    value: float
    error: float


def estimate_kth(counts: NDArray[np.int64], k: int, dtype: Any) -> Estimate:
    """Estimate the K-th largest from a histogram, assuming that the values of a bin are evenly distributed.

    value = upper - (upper - lower) · r / c, where the K-th largest is the r-th largest of the c values of its bin

    Args:
        counts: int64 [32768], from `pattern_histogram`.
        k: Rank, from 1 (the largest value) to the sum of the counts.
        dtype: float32 or float64, the dtype of the values that were counted.

    Returns:
        A value at or above the lower edge of the bin and below its upper edge. The error bound is the width of the bin
        divided by its lower edge: at most 2⁻⁷ (float32) or 2⁻⁴ (float64) for normal numbers. For the lowest bin, which
        contains zero, there is no estimate: the value is 0 and the error is infinity.

    Raises:
        ValueError: `k` is not from 1 to the sum of the counts.

    >>> estimate_kth(pattern_histogram(np.float32([1, 2, 3])), 2, np.float32)
    Estimate(value=2.0, error=0.0078125)
    """
    check_rank(k, int(counts.sum()))
    kind = np.dtype(dtype)
    at, rank = locate(counts, k)
    if at == 0:
        return Estimate(0.0, math.inf)
    shift = 8 * kind.itemsize - DIGIT
    lower = float(number_of(kind, at << shift))
    # The upper edge of the last bin is infinity; the width of the preceding bin is used instead.
    width = float(number_of(kind, (at + 1) << shift)) - lower
    if math.isinf(width):
        width = lower - float(number_of(kind, (at - 1) << shift))
    return Estimate(lower + width * (1 - rank / int(counts[at])), width / lower)


@dataclass(frozen=True)
class Between:
    """The ranks of the two adjacent values between which `numpy.percentile` interpolates, and the weight.

    Attributes:
        ranks: (rank of the smaller value, rank of the larger value), counted from 1 for the largest of all values. Both
            are 1 if the percentile is the largest value.
        weight: Weight of the larger value, in [0, 1).
    """

    ranks: tuple[int, int]
    weight: float

    def interpolate(self, low: float, high: float, dtype: Any) -> float:
        """Interpolate between `low` and `high` in the given dtype, with the same rounding as `numpy.percentile`."""
        kind = np.dtype(dtype).type
        smaller, larger = kind(low), kind(high)
        step = larger - smaller
        if self.weight >= 0.5:
            return float(larger - step * (1 - self.weight))
        return float(smaller + step * self.weight)


def percentile_ranks(size: int, percent: float) -> Between:
    """Return the ranks between which `numpy.percentile(values, percent)` interpolates.

    NumPy's default method is "linear", method 7 of Hyndman and Fan: the position in ascending order, counted from 0,
    is (n - 1) · percent / 100, computed in float64. This is the arithmetic of NumPy 2.4 for a percentage that is a
    Python float; other versions may round differently.

    Args:
        size: n, at least 1.
        percent: A number from 0 to 100.

    Raises:
        ValueError: An argument is out of its range.

    >>> percentile_ranks(5, 30.0)
    Between(ranks=(4, 3), weight=0.19999999999999996)
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent must be from 0 to 100, got {percent}")
    position = (size - 1) * (percent / 100)
    if position >= size - 1:
        return Between((1, 1), 0.0)
    below = math.floor(position)
    return Between((size - below, size - below - 1), position - below)
