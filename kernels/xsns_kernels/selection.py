"""Selection of the K-th largest of many floats, and packed bits that mark the values that reach a threshold.

Both kernels read values in streaming passes. The values may be in several arrays (one for each tensor), which are read
in order and never joined. Both kernels work on bit patterns: non-negative IEEE numbers have the same order as
their patterns read as integers. The kernels therefore need no sort, and do not depend on how the processor treats
subnormal numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks, reference
from xsns_kernels._checks import Floats
from xsns_kernels._patterns import (
    DIGIT,
    PATTERN,
    check_rank,
    check_threshold,
    locate,
    lowest_pattern,
    number_of,
    pattern_of,
    refuse_invalid,
)
from xsns_kernels.dispatch import resolve

Words = NDArray[np.uint64]
FloatArrays: TypeAlias = Floats | Sequence[NDArray[np.float32]] | Sequence[NDArray[np.float64]]


def kth_largest(values: FloatArrays, k: int, impl: str = "auto") -> np.floating[Any]:
    """Return the exact K-th largest of non-negative, finite values.

    sorted(values, reverse=True)[k - 1]

    The first pass counts the values by the sixteen highest bits of their patterns. Each further pass counts the values
    of the bin that contains the K-th largest by the next sixteen bits: two passes for float32, four for float64.

    Args:
        values: One array or a sequence of arrays, all float32 or all float64, of any shape, C-contiguous, n values in
            total. -0.0 is treated as 0.0. Equal values have separate ranks.
        k: Rank, from 1 (the largest value) to n.
        impl: One of `implementations("kth_largest")`, or ``"auto"``.

    Returns:
        A scalar of the dtype of `values`, equal to one of them.

    Raises:
        TypeError: A given array is not a NumPy array of float32 or float64, or the dtypes differ.
        ValueError: `k` is not in 1 to n; a value is negative, infinite or NaN; an array is strided.

    Bytes moved: all values, once in each pass. Complexity: linear in n for any values. Runs in one thread without the
    GIL. Memory: 0.5 MB (``"numpy"``: a copy of all values). Counts are int64.

    >>> float(kth_largest([np.float32([3, 1]), np.float32([2, 3])], k=2))
    3.0
    """
    chosen = resolve("kth_largest", impl)
    arrays = _checks.float_arrays(values)
    size = sum(array.size for array in arrays)
    check_rank(k, size)
    if chosen == "numpy":
        refuse_invalid(sum(int(np.count_nonzero(~((array >= 0) & (array < np.inf)))) for array in arrays), size)
        return reference.kth_largest(arrays, k)
    return _select(arrays, k, size)


def threshold_bits(values: FloatArrays, threshold: float, impl: str = "auto") -> tuple[Words, int]:
    """Compare values with a threshold, pack the results into bits, and count the selected values.

    bits[i] = (values[i] >= threshold) and (values[i] > 0)

    Args:
        values: One array or a sequence of arrays; see `kth_largest`. The arrays follow one another at running offsets,
            which need not be multiples of 64. NaN and negative values are never selected.
        threshold: The threshold, which is compared exactly, without rounding to float32. A threshold of zero or less
            selects every positive value.
        impl: One of `implementations("threshold_bits")`, or ``"auto"``.

    Returns:
        The bits, uint64 [ceil(n / 64)] in little-endian bit order with pad bits zero, and their population count.

    Raises:
        TypeError: A given array is not a NumPy array of float32 or float64, or the dtypes differ.
        ValueError: `threshold` is NaN; an array is strided.

    Bytes moved: all values are read once, and 1/32 (float32) or 1/64 (float64) of their bytes are written. One pass
    compares, packs and counts, in one thread without the GIL.

    >>> words, cardinality = threshold_bits([np.float32([1, 0]), np.float32([2])], threshold=1.0)
    >>> words.tolist(), cardinality
    ([5], 2)
    """
    chosen = resolve("threshold_bits", impl)
    arrays = _checks.float_arrays(values)
    check_threshold(threshold)
    if chosen == "numpy":
        return reference.threshold_bits(arrays, float(threshold))
    from xsns_kernels._numba_bits import mask_into

    words = np.zeros(-(-sum(array.size for array in arrays) // 64), np.uint64)
    start = cardinality = 0
    for array, patterns in _patterns(arrays):
        lowest = lowest_pattern(float(threshold), array.dtype)
        cardinality += mask_into(patterns, lowest, pattern_of(array.dtype, np.inf) - lowest, start, words)
        start += array.size
    return words, cardinality


def _select(arrays: Sequence[Floats], k: int, size: int) -> np.floating[Any]:
    from xsns_kernels._numba_bits import HIGH_BINS, LOW_BINS, count_high, count_low

    dtype = arrays[0].dtype
    infinity = pattern_of(dtype, np.inf)
    sign = 1 << (8 * dtype.itemsize - 1)
    shift = 8 * dtype.itemsize - DIGIT
    high = np.zeros((2, HIGH_BINS), np.int64)
    refuse_invalid(sum(count_high(patterns, infinity, shift, high) for _, patterns in _patterns(arrays)), size)
    prefix, rank = locate(high.sum(axis=0), k)
    del high
    while shift:
        shift -= DIGIT
        counts = np.zeros(LOW_BINS, np.int64)
        for _, patterns in _patterns(arrays):
            count_low(patterns, prefix, shift, sign, counts)
        digit, rank = locate(counts, rank)
        prefix = prefix << DIGIT | digit
    return number_of(dtype, prefix)


def _patterns(arrays: Sequence[Floats]) -> Iterator[tuple[Floats, NDArray[Any]]]:
    for array in arrays:
        yield array, array.view(PATTERN[array.dtype])
