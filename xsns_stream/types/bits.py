"""Packed bits, a range of them at a time: checks, counts, booleans."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xsns_kernels import popcount
from xsns_stream.types.arrays import WORD_BITS, Words, words_for


def check_words(bits: Words, size: int) -> None:
    """Raise ValueError where `bits` is not uint64 [W] for `size` parameters."""
    if bits.dtype != np.uint64 or bits.shape != (words_for(size),):
        raise ValueError(
            f"a sub-network of {size} parameters needs uint64 [{words_for(size)}], not {bits.dtype} {list(bits.shape)}"
        )


def has_pad_bits(bits: Words, size: int) -> bool:
    """Return whether a bit is set past the last parameter."""
    tail = size % WORD_BITS
    return bool(tail and int(bits[-1]) >> tail)


def unpacked(bits: Words, start: int, stop: int) -> npt.NDArray[np.bool_]:
    """Return bits `start` up to `stop` as booleans."""
    first = start // WORD_BITS
    octets = bits[first : words_for(stop)].astype("<u8", copy=False).view(np.uint8)
    flat = np.unpackbits(octets, count=stop - first * WORD_BITS, bitorder="little")
    return flat[start - first * WORD_BITS :].view(np.bool_)


def count_bits(bits: Words, start: int, stop: int) -> int:
    """Return how many of the bits `start` up to `stop` are set."""
    if start == stop:
        return 0
    first, last = start // WORD_BITS, (stop - 1) // WORD_BITS
    outside = int(bits[first]) & ((1 << start % WORD_BITS) - 1)
    beyond = int(bits[last]) >> ((stop - 1) % WORD_BITS + 1)
    return popcount(bits[first : last + 1]) - outside.bit_count() - beyond.bit_count()
