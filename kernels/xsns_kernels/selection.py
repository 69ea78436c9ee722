"""Find the K-th largest of many floats, and pack which of them reach a threshold, in streaming passes.

Both read values that may lie in many pieces (one a tensor), in order, and never join them. Both work
on bit patterns: non-negative IEEE numbers are in the order of their patterns read as integers, which
needs no sort and does not depend on the treatment of subnormal numbers by the processor.
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
Pieces: TypeAlias = Floats | Sequence[NDArray[np.float32]] | Sequence[NDArray[np.float64]]


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
    check_rank(k, size)
    if chosen == "numpy":
        refuse_invalid(sum(int(np.count_nonzero(~((piece >= 0) & (piece < np.inf)))) for piece in pieces), size)
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
    check_threshold(threshold)
    if chosen == "numpy":
        return reference.threshold_bits(pieces, float(threshold))
    from xsns_kernels._numba_bits import mask_into

    words = np.zeros(-(-sum(piece.size for piece in pieces) // 64), np.uint64)
    start = cardinality = 0
    for piece, patterns in _patterns(pieces):
        lowest = lowest_pattern(float(threshold), piece.dtype)
        cardinality += mask_into(patterns, lowest, pattern_of(piece.dtype, np.inf) - lowest, start, words)
        start += piece.size
    return words, cardinality


def _select(pieces: Sequence[Floats], k: int, size: int) -> np.floating[Any]:
    from xsns_kernels._numba_bits import HIGH_BINS, LOW_BINS, count_high, count_low

    dtype = pieces[0].dtype
    infinity = pattern_of(dtype, np.inf)
    sign = 1 << (8 * dtype.itemsize - 1)
    shift = 8 * dtype.itemsize - DIGIT
    high = np.zeros((2, HIGH_BINS), np.int64)
    refuse_invalid(sum(count_high(patterns, infinity, shift, high) for _, patterns in _patterns(pieces)), size)
    prefix, rank = locate(high.sum(axis=0), k)
    del high
    while shift:
        shift -= DIGIT
        counts = np.zeros(LOW_BINS, np.int64)
        for _, patterns in _patterns(pieces):
            count_low(patterns, prefix, shift, sign, counts)
        digit, rank = locate(counts, rank)
        prefix = prefix << DIGIT | digit
    return number_of(dtype, prefix)


def _patterns(pieces: Sequence[Floats]) -> Iterator[tuple[Floats, NDArray[Any]]]:
    for piece in pieces:
        yield piece, piece.view(PATTERN[piece.dtype])
