"""Packing of arrays for the page: numbers are divided into steps, compressed, and encoded as base64.

The page shows the digits that Python shows. A number is therefore replaced by the middle of its step, and the ends of
steps include every number at which a rounded digit changes.
"""

from __future__ import annotations

import base64
import math
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.types import Reals

#: Smallest number of steps between the smallest and the largest number, for the similarities from which the page ranks.
EXACT: Final = 2**26
#: The same for other values that a reader compares.
FINE: Final = 6000
#: The same for scores.
STEPS: Final = 1000
#: The same for pages of many languages: other coefficients, ends of intervals, and values in layers.
COARSE_FINE: Final = 1000
COARSE_ENDS: Final = 1000
COARSE: Final = 100
#: Largest number of languages of a page without coarse numbers.
MAX_WITH_FINE_STEPS: Final = 300
_MOST_DECIMALS: Final = 12
#: Distance from the end of a step, in steps, below which floating-point arithmetic may choose the wrong side.
_NEAR: Final = 1e-5


def pack(values: Reals, *, symmetric: bool = False, steps: int = FINE) -> dict[str, Any]:
    """Divide numbers into steps, and pack them.

    Args:
        values: float64 [N] or [S, T]; NaN is undefined. Infinite numbers are undefined, too.
        symmetric: Whether `values` is a symmetric matrix. Only the part above the diagonal is then packed, and the page
            treats the diagonal as undefined.
        steps: Minimum number of steps between the smallest and the largest number.

    Returns:
        A dictionary. `step` and `scale` are the numerator and the denominator of the step; `start` is the number of the
        first step; `symmetric` is the argument; `decimals` is the largest number of decimals that may be shown. `data`
        contains the step of each number, counted from `start`, as integers of `bytes` bytes: first all low bytes, then
        the second bytes, and so on, compressed by zlib, in base64. The largest integer is the code of an undefined
        number.
    """
    flat = values[np.triu_indices(len(values), 1)] if symmetric else values.ravel()
    step, scale = step_for(_spread(flat), steps)
    packed = _pack_codes(codes_of(flat, step, scale), np.isfinite(flat), wide=steps > FINE)
    return packed | {"step": step, "scale": scale, "symmetric": symmetric, "decimals": _decimals(step, scale)}


def pack_ends(values: Reals, *ends: Reals, steps: int) -> list[dict[str, Any]]:
    """Pack the ends of intervals of numbers: the number of steps from the step of each end to that of its number.

    Args:
        values: float64 [S, T], the numbers.
        *ends: float64 [S, T], an end for each number; NaN is undefined.
        steps: Minimum number of steps between the smallest and the largest of all numbers and ends.

    Returns:
        A dictionary for each array of ends, as :func:`pack` returns it.
    """
    step, scale = step_for(_spread(np.concatenate([values.ravel(), *(end.ravel() for end in ends)])), steps)
    own = codes_of(values.ravel(), step, scale)
    packed = []
    for end in ends:
        known = np.isfinite(end.ravel()) & np.isfinite(values.ravel())
        codes = _pack_codes(own - codes_of(end.ravel(), step, scale), known)
        packed.append(codes | {"step": step, "scale": scale, "symmetric": False, "decimals": _decimals(step, scale)})
    return packed


def step_for(spread: float, steps: int) -> tuple[int, int]:
    """Return numerator and denominator of the largest step 5 × 10^k of which at least `steps` fit into `spread`.

    Smaller steps, such as 2 × 10^k, would not add a decimal that may be shown.

    >>> step_for(0.6, 1000), step_for(0.6, 6000), step_for(0.0, 1000), step_for(1e6, 1000)
    ((5, 10000), (5, 100000), (5, 10000), (500, 1))
    """
    if spread <= 0:
        return 5, 10**4
    exponent = max(math.floor(math.log10(spread / steps / 5 * (1 + 1e-12))), -_MOST_DECIMALS)
    return 5 * 10 ** max(exponent, 0), 10 ** max(-exponent, 0)


def codes_of(values: Reals, step: int, scale: int) -> npt.NDArray[np.int64]:
    """Return the number of the step of each value, int64 [N].

    Step k contains the numbers from k · step / scale to (k + 1) · step / scale. A value at the end of a step is
    assigned to the step whose middle has the same rounded digits as the value.
    """
    known = np.isfinite(values)
    exact = np.where(known, values, 0.0) * (scale / step)
    codes = np.floor(exact).astype(np.int64)
    decimals = _decimals(step, scale)
    for i in np.flatnonzero(known & (np.abs(exact - np.rint(exact)) < _NEAR)):
        end = round(float(exact[i]))
        codes[i] = next((code for code in (end, end - 1) if _same_digits(values[i], code, step, scale, decimals)), end)
    return codes


def _same_digits(value: float, code: int, step: int, scale: int, decimals: int) -> bool:
    middle = (code + 0.5) * step / scale
    return all(float(f"{value:.{d}f}") == float(f"{middle:.{d}f}") for d in range(decimals + 1))


def _decimals(step: int, scale: int) -> int:
    """Return the largest number of decimals with which all numbers of a step are the same after rounding."""
    return max(0, round(math.log10(scale)) - 1)


def _spread(values: Reals) -> float:
    known = values[np.isfinite(values)]
    return float(known.max() - known.min()) if known.size else 0.0


def _pack_codes(codes: npt.NDArray[np.int64], known: npt.NDArray[np.bool_], *, wide: bool = False) -> dict[str, Any]:
    """Return the codes, counted from the smallest one, compressed and in base64.

    Codes for which `known` is False are undefined. A code has four bytes if `wide` is True, and two bytes otherwise.
    """
    width = 4 if wide else 2
    start = int(codes[known].min()) if known.any() else 0
    whole = np.where(known, codes - start, 256**width - 1).astype(f"<u{width}")
    planes = np.ascontiguousarray(whole.view(np.uint8).reshape(-1, width).T)
    data = base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")
    return {"start": start, "bytes": width, "data": data}
