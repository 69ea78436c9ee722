"""Find the K-th largest of many floats, and pack which of them reach a threshold, in streaming passes.

Both read values that may lie in many pieces (one a tensor), in order, and never join them. Both work
on bit patterns: non-negative IEEE numbers are in the order of their patterns read as integers, which
needs no sort and does not depend on the treatment of subnormal numbers by the processor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks, reference
from xsns_kernels._checks import Floats
from xsns_kernels.dispatch import resolve

Words = NDArray[np.uint64]
Pieces: TypeAlias = Floats | Sequence[NDArray[np.float32]] | Sequence[NDArray[np.float64]]

_DIGIT = 16
_PATTERN: dict[np.dtype[Any], type[np.unsignedinteger[Any]]] = {
    np.dtype(np.float32): np.uint32,
    np.dtype(np.float64): np.uint64,
}


def kth_largest(values: Pieces, k: int, impl: str = "auto") -> np.floating[Any]:
    """Return the exact K-th largest of non-negative, finite values.

    sorted(values, reverse=True)[k - 1]

    The first pass counts the values by the sixteen highest bits of their patterns, each further pass
    counts the values of the bin where the K-th lies by the next sixteen: two passes for float32, four
    for float64.

    Args:
        values: one array or a sequence of arrays, float32 or float64 throughout, of any shape,
            C-contiguous, n values together. -0.0 counts as 0.0. Equal values count each.
        k: rank from the largest, 1 to n.
        impl: an implementation of `implementations("kth_largest")`, or ``"auto"``.

    Returns:
        A scalar of the dtype of `values`, one of them.

    Raises:
        TypeError: a piece is not an array of float32 or float64, or the dtypes differ.
        ValueError: `k` is not in 1 to n; a value is negative, infinite or NaN; a piece is strided.

    Reads all values once a pass, in one thread, without the GIL, with 0.5 MB of extra memory
    (``"numpy"``: a copy of all values). Time is linear in n whatever the values are.

    >>> float(kth_largest([np.float32([3, 1]), np.float32([2, 3])], k=2))
    3.0
    """
    chosen = resolve("kth_largest", impl)
    pieces = _checks.pieces(values)
    size = sum(piece.size for piece in pieces)
    if not 1 <= k <= size:
        raise ValueError(f"k must be from 1 to the number of values, {size}; got {k}")
    if chosen == "numpy":
        _refuse(sum(int(np.count_nonzero(~((piece >= 0) & (piece < np.inf)))) for piece in pieces), size)
        return reference.kth_largest(pieces, k)
    return _select(pieces, k, size)


def threshold_bits(values: Pieces, threshold: float, impl: str = "auto") -> tuple[Words, int]:
    """Pack which values reach a threshold, and count them.

    bits[i] = (values[i] >= threshold) and (values[i] > 0)

    Args:
        values: one array or a sequence of arrays, as for `kth_largest`. Pieces follow one another at
            running offsets that need not be multiples of 64. NaN and negative values are never
            selected.
        threshold: compared exactly: it is not rounded to float32. Zero or less selects every
            positive value.
        impl: an implementation of `implementations("threshold_bits")`, or ``"auto"``.

    Returns:
        uint64 [ceil(n / 64)], little-endian bit order, pad bits zero; and its population count.

    Raises:
        TypeError: a piece is not an array of float32 or float64, or the dtypes differ.
        ValueError: `threshold` is NaN; a piece is strided.

    Reads all values once and writes 1/32 (float32) or 1/64 (float64) of their bytes; compares, packs
    and counts in that one pass, in one thread, without the GIL.

    >>> words, cardinality = threshold_bits([np.float32([1, 0]), np.float32([2])], threshold=1.0)
    >>> words.tolist(), cardinality
    ([5], 2)
    """
    chosen = resolve("threshold_bits", impl)
    pieces = _checks.pieces(values)
    if math.isnan(threshold):
        raise ValueError("threshold must be a number, got NaN")
    if chosen == "numpy":
        return reference.threshold_bits(pieces, float(threshold))
    from xsns_kernels._numba_bits import mask_into

    words = np.zeros(-(-sum(piece.size for piece in pieces) // 64), np.uint64)
    start = cardinality = 0
    for piece, patterns in _patterns(pieces):
        lowest = _lowest_pattern(float(threshold), piece.dtype)
        cardinality += mask_into(patterns, lowest, _pattern_of(piece.dtype, np.inf) - lowest, start, words)
        start += piece.size
    return words, cardinality


def _select(pieces: Sequence[Floats], k: int, size: int) -> np.floating[Any]:
    from xsns_kernels._numba_bits import HIGH_BINS, LOW_BINS, count_high, count_low

    dtype = pieces[0].dtype
    infinity = _pattern_of(dtype, np.inf)
    sign = 1 << (8 * dtype.itemsize - 1)
    shift = 8 * dtype.itemsize - _DIGIT
    high = np.zeros((2, HIGH_BINS), np.int64)
    _refuse(sum(count_high(patterns, infinity, shift, high) for _, patterns in _patterns(pieces)), size)
    prefix, rank = _locate(high.sum(axis=0), k)
    del high
    while shift:
        shift -= _DIGIT
        counts = np.zeros(LOW_BINS, np.int64)
        for _, patterns in _patterns(pieces):
            count_low(patterns, prefix, shift, sign, counts)
        digit, rank = _locate(counts, rank)
        prefix = prefix << _DIGIT | digit
    chosen: np.floating[Any] = dtype.type(np.array(prefix, _PATTERN[dtype]).view(dtype).item())
    return chosen


def _locate(counts: NDArray[np.int64], k: int) -> tuple[int, int]:
    """Return the bin of the K-th largest and its rank within that bin."""
    reached = np.cumsum(counts[::-1])
    at = int(np.searchsorted(reached, k))
    return counts.size - 1 - at, k - int(reached[at] - counts[counts.size - 1 - at])


def _patterns(pieces: Sequence[Floats]) -> Iterator[tuple[Floats, NDArray[Any]]]:
    for piece in pieces:
        yield piece, piece.view(_PATTERN[piece.dtype])


def _pattern_of(dtype: np.dtype[Any], value: float) -> int:
    return int(np.array(value, dtype).view(_PATTERN[dtype])[()])


def _lowest_pattern(threshold: float, dtype: np.dtype[Any]) -> int:
    """Return the pattern of the least positive number that is at least `threshold`."""
    if threshold <= 0:
        return 1
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(threshold)
    if float(rounded) < threshold:
        rounded = np.nextafter(rounded, dtype.type(np.inf))
    return _pattern_of(dtype, rounded)


def _refuse(invalid: int, size: int) -> None:
    if invalid:
        raise ValueError(f"values must be non-negative and finite; {invalid} of {size} are negative, infinite or NaN")
