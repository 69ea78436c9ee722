"""How repeatable a row is: sub-networks of growing text, and of two halves of it, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xsns_kernels import popcount
from xsns_stream.pipeline.settings import Stopping
from xsns_stream.subnetwork import select_top, select_top_many
from xsns_stream.types import Words

if TYPE_CHECKING:
    from torch import Tensor


def jaccard_of_bits(a: Words, b: Words) -> float | None:
    """Return |A ∩ B| / |A ∪ B|; None where both are empty."""
    union = popcount(a | b)
    return popcount(a & b) / union if union else None


class StabilityCurve:
    """The sub-network of the running sums at each check, compared with the one before.

    Attributes:
        points: (examples, coefficient to the check before); None at the first.
    """

    def __init__(self, stopping: Stopping, quantile: str) -> None:
        self.stopping, self.quantile = stopping, quantile
        self.points: list[tuple[int, float | None]] = []
        self._before: Words | None = None

    def check(self, examples: int, sums: Mapping[str, Tensor]) -> bool:
        """Add a point; return whether the row has enough examples. A divisor of the sums would change no bit."""
        bits, _, _ = select_top(list(sums.values()), self.stopping.density, self.quantile)
        coefficient = None if self._before is None else jaccard_of_bits(self._before, bits)
        self._before = bits
        self.points.append((examples, coefficient))
        stable = coefficient is not None and coefficient >= self.stopping.jaccard
        return stable and examples >= self.stopping.at_least


class Halves:
    """The sums over one half of the examples, told apart from the running sums over all of them.

    Examples come in turns: a part of the first half, a part of the second, and so on. Only one more set of sums is
    held: before a part of the first half the running sums are taken off, after it they are added again.
    """

    def __init__(self) -> None:
        self._first: dict[str, Tensor] | None = None
        self.second_examples = 0

    def before_first(self, sums: Mapping[str, Tensor]) -> None:
        """Call before a part of the first half is added."""
        for name, total in (self._first or {}).items():
            total.sub_(sums[name])

    def after_first(self, sums: Mapping[str, Tensor]) -> None:
        """Call after a part of the first half was added."""
        if self._first is None:
            self._first = {name: total.clone() for name, total in sums.items()}
            return
        for name, total in self._first.items():
            total.add_(sums[name])

    def compare(
        self, sums: Mapping[str, Tensor], densities: Sequence[float], quantile: str
    ) -> dict[float, float | None]:
        """Return {density: coefficient of the two halves}; empty where a half has no example. Call once, at the end."""
        if self._first is None or not self.second_examples:
            return {}
        halves = list(self._first.values())
        firsts = select_top_many(halves, densities, quantile)
        for name, total in self._first.items():
            # In place, because a third set of sums may not fit. Rounding may leave a little less than nothing.
            total.neg_().add_(sums[name]).clamp_(min=0)
        seconds = select_top_many(halves, densities, quantile)
        self._first = None
        return {
            density: jaccard_of_bits(first.bits, second.bits)
            for density, first, second in zip(densities, firsts, seconds, strict=True)
        }
