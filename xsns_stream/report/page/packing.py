"""Packing of arrays for the page: rounded numbers, 16 bits each, compressed, as text."""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.types import Reals

#: Code of an undefined number.
_UNDEFINED: Final = 65535
#: Smallest number of steps between the smallest and the largest number, for values that a reader compares.
FINE: Final = 4000
#: The same for values that are drawn only.
COARSE: Final = 400
_FEWEST_DECIMALS: Final = 0
_MOST_DECIMALS: Final = 9


def pack(values: Reals, *, symmetric: bool = False, steps: int = FINE) -> dict[str, Any]:
    """Pack numbers, rounded to the smallest number of decimals that leaves `steps` steps between the extremes.

    Args:
        values: float64 [N] or [S, T]; NaN is undefined. Infinite numbers are undefined, too.
        symmetric: Whether `values` is a symmetric matrix, of which only the part above the diagonal is packed. The page
            then sets the diagonal to undefined.
        steps: Smallest number of steps.

    Returns:
        `low`, the smallest number; `decimals`; `symmetric`; and `data`: the numbers of steps of 10^-decimals above
        `low`, as little-endian 16-bit integers, low bytes first, then high bytes, compressed by zlib, in base64.
    """
    flat = values[np.triu_indices(len(values), 1)] if symmetric else values.ravel()
    known = np.isfinite(flat)
    low, high = (float(flat[known].min()), float(flat[known].max())) if known.any() else (0.0, 0.0)
    decimals = decimals_for(high - low, steps)
    start = math.floor(low * 10**decimals)
    codes = np.full(flat.shape, _UNDEFINED, np.int64)
    codes[known] = np.rint(flat[known] * 10.0**decimals).astype(np.int64) - start
    return {"low": start / 10**decimals, "decimals": decimals, "symmetric": symmetric, "data": _text(codes)}


def decimals_for(spread: float, steps: int) -> int:
    """Return the smallest number of decimals, in steps of which `spread` is at least `steps`.

    >>> decimals_for(0.6, 4000), decimals_for(0.01, 4000), decimals_for(0.0, 4000)
    (4, 6, 4)
    """
    if spread <= 0:
        return 4
    wanted = math.ceil(math.log10(steps / spread))
    return min(max(wanted, _FEWEST_DECIMALS), _MOST_DECIMALS)


def _text(codes: npt.NDArray[np.int64]) -> str:
    """Return 16-bit codes as text. The two bytes of the codes are separated, so that high bytes compress well."""
    pairs = codes.astype("<u2").view(np.uint8).reshape(-1, 2)
    return base64.b64encode(zlib.compress(np.ascontiguousarray(pairs.T).tobytes(), 9)).decode("ascii")


def pack_exactly(values: Reals) -> dict[str, Any]:
    """Pack numbers as 32-bit floats, in the order of the array, compressed by zlib, in base64."""
    data = np.ascontiguousarray(values, dtype="<f4").view(np.uint8).reshape(-1, 4)
    return {"data": base64.b64encode(zlib.compress(np.ascontiguousarray(data.T).tobytes(), 9)).decode("ascii")}
