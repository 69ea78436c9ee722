"""How times grow with languages and parameters: exponents, and sums of terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Operation → the terms that its time is made of, as powers of L and P.
TERMS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "write": ((0, 1), (0, 0)),
    "matrix": ((2, 1), (1, 1), (1, 0), (0, 0)),
    "add": ((1, 1), (2, 0), (1, 0), (0, 0)),
    "rank": ((1, 1), (1, 0), (0, 0)),
    # The number of its blocks grows with P up to a bound: no sum of powers.
    "sample": (),
}


def fits(operation: str, points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return how an operation's time grows: exponents along either series, and the terms that it is made of."""
    mine = [row for row in points if row.get("operation") == operation]
    rows = [terms(operation, mine)] if TERMS[operation] else []
    for series in ("languages", "parameters"):
        along = [row for row in mine if row["series"] == series]
        if len(along) > 1:
            rows.append({"section": "exponent", "operation": operation, "series": series, **exponents(along, series)})
    return rows


def exponents(points: Sequence[Mapping[str, Any]], axis: str) -> dict[str, Any]:
    """Return the slope of log time over log size: over all points, and between the two largest."""
    x, y = (np.log([row[name] for row in points]) for name in (axis, "cpu_s"))
    return {
        "slope": float(np.polyfit(x, y, 1)[0]),
        "last_slope": float((y[-1] - y[-2]) / (x[-1] - x[-2])),
        "points": len(points),
    }


def terms(operation: str, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fit processor's seconds by a sum of terms in powers of L and P, none of them negative.

    Each point is weighted by its own time, so that relative errors are small everywhere.
    """
    from scipy.optimize import nnls

    powers = TERMS[operation]
    seconds = np.array([row["cpu_s"] for row in points])
    sizes = np.array([(row["languages"], row["parameters"]) for row in points], float)
    table = np.stack([sizes[:, 0] ** one * sizes[:, 1] ** other for one, other in powers], axis=1)
    scale = (table / seconds[:, None]).max(axis=0)
    found = nnls(table / seconds[:, None] / scale, np.ones(len(points)))[0] / scale
    return {
        "section": "terms",
        "operation": operation,
        "coefficients": [
            {"languages": one, "parameters": other, "seconds": float(value)}
            for (one, other), value in zip(powers, found, strict=True)
        ],
        "largest_error": float(np.abs(table @ found / seconds - 1).max()),
    }


def predicted(coefficients: Sequence[Mapping[str, Any]], languages: int, parameters: int) -> float:
    """Return the seconds that a sum of terms gives for L languages and P parameters."""
    powers = ((c["seconds"], c["languages"], c["parameters"]) for c in coefficients)
    return float(sum(seconds * languages**one * parameters**other for seconds, one, other in powers))
