"""Packing of arrays for the page: rounded numbers, 16 bits each, compressed, as text."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.types import Reals

#: Code of an undefined number.
_UNDEFINED: Final = 65535
#: Smallest number of steps between the smallest and the largest number, for values that a reader compares.
FINE: Final = 2000
#: The same for numbers of which a page of many languages has many: values in layers, and widths of intervals.
COARSE: Final = 128
#: Largest number of languages of a page without coarse numbers.
MOST_WITHOUT_COARSE: Final = 300
#: The same for scores.
STEPS: Final = 1000
_MOST_DECIMALS: Final = 9


def pack(values: Reals, *, symmetric: bool = False, steps: int = FINE) -> dict[str, Any]:
    """Pack numbers, rounded to multiples of a step: the largest of 1, 2 or 5 × 10^-k with `steps` steps.

    Args:
        values: float64 [N] or [S, T]; NaN is undefined. Infinite numbers are undefined, too.
        symmetric: Whether `values` is a symmetric matrix, of which only the part above the diagonal is packed. The page
            then sets the diagonal to undefined.
        steps: Smallest number of steps between the smallest and the largest number.

    Returns:
        `step` and `scale`, the step as a fraction; `start`, the number of steps of the smallest number; `symmetric`;
        and `data`: the number of steps above `start`, as little-endian 16-bit integers, low bytes first, then high
        bytes, compressed by zlib, in base64.
    """
    flat = values[np.triu_indices(len(values), 1)] if symmetric else values.ravel()
    known = np.isfinite(flat)
    low, high = (float(flat[known].min()), float(flat[known].max())) if known.any() else (0.0, 0.0)
    step, scale = step_for(high - low, steps)
    start = round(low * scale / step)
    codes = np.full(flat.shape, _UNDEFINED, np.int64)
    codes[known] = np.rint(flat[known] * scale / step).astype(np.int64) - start
    return {"step": step, "scale": scale, "start": start, "symmetric": symmetric, "data": _text(codes)}


def step_for(spread: float, steps: int) -> tuple[int, int]:
    """Return the largest step of 1, 2 or 5 × 10^-k, at most one, of which `spread` has `steps`: numerator, denominator.

    >>> step_for(0.6, 2000), step_for(0.6, 128), step_for(0.0, 2000)
    ((2, 10000), (2, 1000), (1, 10000))
    """
    if spread <= 0:
        return 1, 10**4
    largest = spread / steps
    for decimals in range(_MOST_DECIMALS):
        for numerator in (5, 2, 1):
            if numerator / 10**decimals <= largest and (decimals or numerator == 1):
                return numerator, 10**decimals
    return 1, 10**_MOST_DECIMALS


def _text(codes: npt.NDArray[np.int64]) -> str:
    """Return 16-bit codes as text. The two bytes of the codes are separated, so that high bytes compress well."""
    pairs = codes.astype("<u2").view(np.uint8).reshape(-1, 2)
    return base64.b64encode(zlib.compress(np.ascontiguousarray(pairs.T).tobytes(), 9)).decode("ascii")


def pack_exactly(values: Reals) -> dict[str, Any]:
    """Pack numbers as 32-bit floats, in the order of the array, compressed by zlib, in base64."""
    data = np.ascontiguousarray(values, dtype="<f4").view(np.uint8).reshape(-1, 4)
    return {"data": base64.b64encode(zlib.compress(np.ascontiguousarray(data.T).tobytes(), 9)).decode("ascii")}
