"""The largest K of many floats as packed bits: which, how many, and from which value on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks, reference
from xsns_kernels._checks import Floats
from xsns_kernels._patterns import check_rank, refuse_invalid
from xsns_kernels.dispatch import resolve
from xsns_kernels.selection import Pieces, kth_largest, threshold_bits

Words = NDArray[np.uint64]


def top_bits(values: Pieces, k: int, impl: str = "auto", threads: int | None = None) -> tuple[Words, int, float]:
    """Pack which of non-negative, finite values are among the K largest.

    bits[i] = (values[i] >= K-th largest) and (values[i] > 0)

    Args:
        values: one array or a sequence of arrays, float32 or float64 throughout, of any shape, C-contiguous, n values
            together. Pieces follow one another at running offsets that need not be multiples of 64. -0.0 is 0.0.
        k: rank from the largest, 1 to n.
        impl: an implementation of `implementations("top_bits")`, or ``"auto"``.
        threads: how many threads may share the work; None takes as many as there are cores, where it is worth it.
            The result does not depend on it.

    Returns:
        uint64 [ceil(n / 64)], little-endian bit order, pad bits zero; its population count, which is above K where
        values equal the K-th, and below where fewer than K are positive; and the smallest value whose bit is set,
        infinity where all are zero.

    Raises:
        TypeError: a piece is not an array of float32 or float64, or the dtypes differ.
        ValueError: `k` is not in 1 to n; a value is negative, infinite or NaN; a piece is strided.

    Reads all values once, where the K-th does not lie among very many equal ones; otherwise that once in vain, and
    then as often as `kth_largest` and `threshold_bits` do. Runs without the GIL. Extra memory is 12 octets (float32) or
    16 for each value near the K-th, about one in 200 (at most 2²⁰, or n / 128 where that is more), and two copies of
    a sample of n / 256 values.

    >>> words, cardinality, threshold = top_bits([np.float32([3, 1]), np.float32([2, 3])], k=3)
    >>> words.tolist(), cardinality, threshold
    ([13], 3, 2.0)
    """
    return _top(values, (k,), resolve("top_bits", impl), threads)[0]


def top_bits_many(
    values: Pieces, ranks: Sequence[int], impl: str = "auto", threads: int | None = None
) -> list[tuple[Words, int, float]]:
    """Return what `top_bits` returns for each of several ranks, and read the values from memory once for all.

    [top_bits(values, k) for k in ranks]

    Args:
        values: as for `top_bits`.
        ranks: each from 1 to n, in any order. What a smaller rank selects, a larger one does too.
        impl: an implementation of `implementations("top_bits_many")`, or ``"auto"``.
        threads: as for `top_bits`.

    Raises:
        TypeError: as for `top_bits`.
        ValueError: as for `top_bits`.

    Each rank takes the memory that `top_bits` takes.

    >>> [words.tolist() for words, _, _ in top_bits_many(np.float64([1, 3, 2]), (1, 2))]
    [[2], [6]]
    """
    return _top(values, tuple(ranks), resolve("top_bits_many", impl), threads)


def _top(values: Pieces, ranks: Sequence[int], chosen: str, threads: int | None) -> list[tuple[Words, int, float]]:
    _checks.threads(threads)
    pieces = _checks.pieces(values)
    size = sum(piece.size for piece in pieces)
    for rank in ranks:
        check_rank(rank, size)
    if chosen == "numpy":
        refuse_invalid(sum(int(np.count_nonzero(~((piece >= 0) & (piece < np.inf)))) for piece in pieces), size)
        return [_by_sorting(pieces, rank) for rank in ranks]
    from xsns_kernels import _fused

    found = _fused.select(pieces, ranks, threads) if ranks else []
    return [_by_counting(pieces, rank) if each is None else each for rank, each in zip(ranks, found, strict=True)]


def _by_sorting(pieces: Sequence[Floats], rank: int) -> tuple[Words, int, float]:
    threshold = float(reference.kth_largest(pieces, rank))
    if threshold == 0:
        threshold = min(float(np.min(piece, where=piece > 0, initial=np.inf)) for piece in pieces)
    return *reference.threshold_bits(pieces, threshold), threshold


def _by_counting(pieces: Sequence[Floats], rank: int) -> tuple[Words, int, float]:
    """Count digits of patterns, then compare: what does not depend on how the values are spread."""
    from xsns_kernels._fused import smallest_positive

    threshold = float(kth_largest(list(pieces), rank))  # type: ignore[arg-type]
    if threshold == 0:
        threshold = smallest_positive(pieces)
    return *threshold_bits(list(pieces), threshold), threshold  # type: ignore[arg-type]
