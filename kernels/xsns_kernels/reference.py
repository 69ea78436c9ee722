"""The slow, obvious versions that every fast kernel is compared with.

They may copy and sort; they take arguments that the public functions have checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsns_kernels._checks import Floats

Words = NDArray[np.uint64]
Counts = NDArray[np.int64]


def pack_bits(bits: NDArray[np.bool_]) -> Words:
    """Pack with `numpy.packbits`, padded with zeros to whole words."""
    packed = np.zeros(-(-bits.size // 64) * 8, np.uint8)
    packed[: -(-bits.size // 8)] = np.packbits(bits, bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False)


def unpack_bits(words: Words, size: int) -> NDArray[np.bool_]:
    """Unpack with `numpy.unpackbits`."""
    octets = words.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(octets, count=size, bitorder="little").view(np.bool_)


def popcount(words: Words, impl: str) -> int:
    """Count ones with `numpy.bitwise_count` or with bitarray."""
    if impl == "bitarray":
        return int(_bitarray(words).count())
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def kth_largest(pieces: Sequence[Floats], k: int) -> np.floating[Any]:
    """Partition one copy of all the pieces; -0.0 becomes 0.0."""
    values: NDArray[Any] = np.concatenate(pieces)
    values = values + values.dtype.type(0)
    chosen: np.floating[Any] = np.partition(values, values.size - k)[values.size - k]
    return chosen


def threshold_bits(pieces: Sequence[Floats], threshold: float) -> tuple[Words, int]:
    """Compare as float64, which holds every float32, then pack one copy."""
    flags = [(piece > 0) & (piece.astype(np.float64) >= threshold) for piece in pieces]
    bits = np.concatenate(flags) if flags else np.zeros(0, np.bool_)
    return pack_bits(bits), int(np.count_nonzero(bits))


def add_cross_counts(a: Words, b: Words, out: Counts, impl: str) -> None:
    """Add the counts of all pairs of rows, pair by pair."""
    if impl == "bitarray":
        from bitarray.util import count_and

        lefts, rights = [_bitarray(row) for row in a], [_bitarray(row) for row in b]
        for i, left in enumerate(lefts):
            out[i] += np.array([count_and(left, right) for right in rights], np.int64)
        return
    for i, left_words in enumerate(a):
        for j, right_words in enumerate(b):
            out[i, j] += np.bitwise_count(left_words & right_words).sum(dtype=np.int64)


def _bitarray(words: Words) -> Any:
    from bitarray import bitarray

    return bitarray(buffer=np.ascontiguousarray(words).view(np.uint8), endian="little")
