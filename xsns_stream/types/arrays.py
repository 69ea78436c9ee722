"""Names for the arrays, and the number of words that hold a number of bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

WORD_BITS = 64


def words_for(bits: int) -> int:
    """Return W, the number of 64-bit words that hold `bits` bits."""
    return -(-bits // WORD_BITS)
