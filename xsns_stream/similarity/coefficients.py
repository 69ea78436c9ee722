"""Similarity coefficients of two sets, as functions of counts.

The arguments of a coefficient are n = |A ∩ B|, float64 [S, T]; a = |A| of the sources, float64 [S, 1]; b = |B| of the
targets, float64 [1, T]; and `size` = P, the number of parameters. A coefficient returns float64 [S, T];
undefined values are NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.similarity.corrections import CORRECTIONS, Correction
from xsns_stream.types import Reals

Formula = Callable[[Reals, Reals, Reals, int], Reals]


@dataclass(frozen=True)
class Coefficient:
    """A similarity coefficient of two sets; calling the object evaluates the formula.

    A larger value means that the sets are more similar. No value exceeds 1.

    Attributes:
        formula: The function that computes the coefficient from counts.
        lowest: The smallest possible value.
        highest: The largest possible value.
        has_chance: Whether the coefficient has a chance level, which is its value for the expected overlap of
            independent random sets.
    """

    formula: Formula
    lowest: float = 0.0
    has_chance: bool = True
    highest: float = field(default=1.0, init=False)

    def __call__(self, n: Reals, a: Reals, b: Reals, size: int) -> Reals:
        """Return the coefficient of each pair of a source and a target, float64 [S, T].

        Args:
            n: |A ∩ B|, float64 [S, T].
            a: |A| of the sources, float64 [S, 1].
            b: |B| of the targets, float64 [1, T].
            size: P, the number of parameters.
        """
        return self.formula(n, a, b, size)


def jaccard_index(n: Reals, a: Reals, b: Reals, size: int) -> Reals:
    """|A ∩ B| / |A ∪ B| = n / (a + b − n) (Jaccard 1901); NaN for two empty sets."""
    return _ratio(n, a + b - n)


def dice(n: Reals, a: Reals, b: Reals, size: int) -> Reals:
    """2 |A ∩ B| / (|A| + |B|) = 2 n / (a + b) (Dice 1945, Sørensen 1948); NaN for two empty sets.

    It equals 2 J / (1 + J), where J is the Jaccard index.
    """
    return _ratio(2 * n, a + b)


def overlap(n: Reals, a: Reals, b: Reals, size: int) -> Reals:
    """|A ∩ B| / min(|A|, |B|) = n / min(a, b) (Szymkiewicz 1934, Simpson 1943); NaN if a set is empty."""
    return _ratio(n, np.minimum(a, b))


def containment(n: Reals, a: Reals, b: Reals, size: int) -> Reals:
    """|A ∩ B| / |B| = n / b: the fraction of the target B that is in the source A (Broder 1997); NaN if B is empty.

    This is the only asymmetric coefficient: exchanging source and target changes its value.
    """
    return _ratio(n, np.broadcast_to(b, n.shape))


def cosine(n: Reals, a: Reals, b: Reals, size: int) -> Reals:
    """|A ∩ B| / √(|A| |B|) = n / √(a b) (Ochiai 1957), the cosine of the bit vectors; NaN if a set is empty."""
    return _ratio(n, np.sqrt(a * b))


def corrected_jaccard(n: Reals, a: Reals, b: Reals, size: int) -> Reals:
    """(J − E) / (1 − E), where J is the Jaccard index and E is the Jaccard index that is expected by chance.

    E is the index of two independent random sets of these sizes that have their expected overlap e = |A| |B| / P:
    E = e / (|A| + |B| − e). The value 0 means that the sets are as similar as random sets; 1 means that they are equal.
    The value is NaN if both sets are empty, or if both contain all parameters.
    """
    expected = jaccard_index(expected_intersection(a, b, size), a, b, size)
    return _ratio(jaccard_index(n, a, b, size) - expected, 1.0 - expected)


def mutual_information(n: Reals, a: Reals, b: Reals, size: int) -> Reals:
    """Σ p(x, y) ln(p(x, y) / (p(x) p(y))) of the two bit vectors, in nats, over the four values of (x, y).

    p(1, 1) = n / P, p(1, 0) = (a − n) / P, p(0, 1) = (b − n) / P, p(0, 0) = (P − a − b + n) / P, where P is `size`;
    0 ln 0 = 0. The
    mutual information of a set with itself is the entropy of the set. The mutual information is zero if one of the two
    sets is empty or contains all parameters.
    """
    cells = (n, a, b), (a - n, a, size - b), (b - n, size - a, b), (size - a - b + n, size - a, size - b)
    information: Reals = np.maximum(sum((_information(*cell, size) for cell in cells), np.zeros(n.shape)), 0.0)
    return information


#: {name: coefficient}. A coefficient that is corrected for chance, or is not a ratio, has no chance level.
COEFFICIENTS: Final[Mapping[str, Coefficient]] = MappingProxyType(
    {
        "jaccard": Coefficient(jaccard_index),
        "dice": Coefficient(dice),
        "overlap": Coefficient(overlap),
        "containment": Coefficient(containment),
        "cosine": Coefficient(cosine),
        "corrected-jaccard": Coefficient(corrected_jaccard, lowest=-1.0, has_chance=False),
        "mutual-information": Coefficient(mutual_information, has_chance=False),
    }
)


def coefficient_named(name: str) -> Coefficient:
    """Return the coefficient of this name, which is computed from the counts of one pair.

    Raises:
        UsageError: There is no coefficient of this name, or the name is that of a correction.
    """
    measure = measure_named(name)
    if isinstance(measure, Correction):
        raise UsageError(
            f"'{name}' cannot be computed from the counts of one pair.",
            "compute it with `similarity`, from the counts of all pairs of languages.",
        )
    return measure


def measure_named(name: str) -> Coefficient | Correction:
    """Return the coefficient or the correction of this name.

    Raises:
        UsageError: There is no coefficient and no correction of this name.
    """
    known: Mapping[str, Coefficient | Correction] = {**COEFFICIENTS, **CORRECTIONS}
    if name not in known:
        raise UsageError(f"there is no coefficient '{name}'.", f"choose one of {', '.join(known)}.")
    return known[name]


def expected_intersection(a: Reals, b: Reals, size: int) -> Reals:
    """Return |A| |B| / P, which is the expected |A ∩ B| of independent random sets of these sizes."""
    # The division comes first: for models of billions of parameters, |A| |B| can exceed 2^53, above which float64
    # cannot represent every integer.
    return a * (b / max(size, 1))


def _information(joint: Reals, x: Reals, y: Reals, size: int) -> Reals:
    """Return the term p(x, y) ln(p(x, y) / (p(x) p(y))) of the mutual information; 0 if p(x, y) is 0.

    `joint`, `x` and `y` are counts; each probability is a count divided by `size`.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        term = joint / size * np.log((joint / x) * (size / y))
    return np.where(joint > 0, term, 0.0)


def _ratio(part: Reals, whole: Reals) -> Reals:
    """Return part / whole; NaN if both are zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: Reals = part / whole
    return ratio
