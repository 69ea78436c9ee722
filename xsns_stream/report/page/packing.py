"""Packing of arrays for the page: numbers are rounded to 16-bit integers, compressed, and encoded as base64."""

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
#: The same for probabilities, which are shares of 10,000 draws.
DRAWS: Final = 10_000
_MOST_DECIMALS: Final = 9


def pack(values: Reals, *, symmetric: bool = False, steps: int = FINE) -> dict[str, Any]:
    """Round numbers to multiples of a step, and pack them.

    The step is the largest number of the form 1, 2 or 5 × 10^-k for which the range of the numbers has at least `steps`
    steps.

    Args:
        values: float64 [N] or [S, T]; NaN is undefined. Infinite numbers are undefined, too.
        symmetric: Whether `values` is a symmetric matrix. Only the part above the diagonal is then packed, and the page
            treats the diagonal as undefined.
        steps: Minimum number of steps between the smallest and the largest number.

    Returns:
        A dictionary. `step` and `scale` are the numerator and the denominator of the step; `start` is the smallest
        number, in steps; `symmetric` is the argument. `data` contains the difference of each number from `start`, in
        steps, as 16-bit integers: first all low bytes, then all high bytes, compressed by zlib, in base64.
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
    """Return numerator and denominator of the largest step of the form 1, 2 or 5 × 10^-k that fits.

    A step fits if it is at most one and `spread` has at least `steps` steps.

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
    """Return 16-bit codes, compressed by zlib, in base64; all low bytes come first, because this compresses well."""
    pairs = codes.astype("<u2").view(np.uint8).reshape(-1, 2)
    return base64.b64encode(zlib.compress(np.ascontiguousarray(pairs.T).tobytes(), 9)).decode("ascii")


def pack_exactly(values: Reals) -> dict[str, Any]:
    """Pack numbers without rounding to a step: as 32-bit floats, compressed by zlib, in base64.

    The first bytes of all numbers come first, then all second bytes, and so on.
    """
    data = np.ascontiguousarray(values, dtype="<f4").view(np.uint8).reshape(-1, 4)
    return {"data": base64.b64encode(zlib.compress(np.ascontiguousarray(data.T).tobytes(), 9)).decode("ascii")}
