"""Packing of booleans into 64-bit words, unpacking of words, and counting of set bits.

Bit i of the vector is bit i mod 64, counted from the lowest, of word i div 64. Bits of the last word after the end of
the vector (pad bits) are zeros.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks, reference
from xsns_kernels.dispatch import resolve

Words = NDArray[np.uint64]


def pack_bits(bits: NDArray[np.bool_], impl: str = "auto") -> Words:
    """Pack booleans into words, lowest bit first.

    words[i div 64] = Σ bits[i] · 2^(i mod 64)

    Args:
        bits: bool [P], C-contiguous, may be read-only.
        impl: One of `implementations("pack_bits")`, or ``"auto"``.

    Returns:
        uint64 [ceil(P / 64)], pad bits zero.

    Raises:
        TypeError: `bits` is not an array of bool.
        ValueError: `bits` does not have one axis or is strided, or `impl` is unknown.

    Bytes moved: P are read and P/8 written, in one pass, in one thread without the GIL.

    >>> pack_bits(np.array([True, False, True])).tolist()
    [5]
    """
    chosen = resolve("pack_bits", impl)
    flat = _checks.contiguous("bits", _checks.array("bits", bits, np.bool_, 1))
    if chosen == "numpy":
        return reference.pack_bits(flat)
    from xsns_kernels._numba_bits import mask_into

    words = np.zeros(-(-flat.size // 64), np.uint64)
    # As in NumPy, every byte except zero means True.
    mask_into(flat.view(np.uint8), 1, 254, 0, words)
    return words


def unpack_bits(words: Words, size: int, impl: str = "auto") -> NDArray[np.bool_]:
    """Unpack words into booleans, lowest bit first.

    bits[i] = (words[i div 64] div 2^(i mod 64)) mod 2

    Args:
        words: uint64 [ceil(size / 64)], C-contiguous, pad bits zero.
        size: P, the number of bits.
        impl: One of `implementations("unpack_bits")`, or ``"auto"``.

    Returns:
        bool [P].

    Raises:
        TypeError: `words` is not an array of uint64.
        ValueError: The number of words does not fit `size`, or a pad bit is set, which means that the words belong to a
            longer vector.

    Bytes moved: P/8 are read and P written, in one thread.

    >>> unpack_bits(np.array([5], np.uint64), 3).tolist()
    [True, False, True]
    """
    resolve("unpack_bits", impl)
    flat = _checks.contiguous("words", _checks.array("words", words, np.uint64, 1))
    if size < 0 or flat.size != -(-size // 64):
        raise ValueError(f"{size} bits need {max(0, -(-size // 64))} words, got {flat.size}")
    if size % 64 and int(flat[-1]) >> size % 64:
        raise ValueError(f"pad bits must be zero, got bits set past bit {size - 1} of the last word")
    return reference.unpack_bits(flat, size)


def popcount(words: NDArray[np.uint64], impl: str = "auto") -> int:
    """Count the set bits in all words.

    Σ_w popcount(words[w])

    Args:
        words: uint64, any number of axes, C-contiguous, may be read-only.
        impl: One of `implementations("popcount")`, or ``"auto"``.

    Returns:
        The exact count, at most 64·W for W words.

    Raises:
        TypeError: `words` is not an array of uint64.
        ValueError: `words` is strided, or `impl` is unknown.

    Bytes moved: 8·W are read in one pass, in one thread without the GIL.

    >>> popcount(np.array([0b1011, 1], np.uint64))
    4
    """
    chosen = resolve("popcount", impl)
    flat = _checks.contiguous("words", _checks.array("words", words, np.uint64))
    if chosen != "numba":
        return reference.popcount(flat, chosen)
    from xsns_kernels._numba_bits import count_ones

    return int(count_ones(flat))
