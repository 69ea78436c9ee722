"""How repeatable a row is: sub-networks of growing text, of two halves of it, and without each of K parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xsns_kernels import popcount
from xsns_stream.errors import FisherError
from xsns_stream.objectives import EncodedExample
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


class Parts:
    """The sums over each of K disjoint parts of the examples, in a file; of them, the sums without each part.

    The running sums hold one part at a time, so that a part is what its examples are by themselves. Sums without a part
    are added up from the others, not taken off the total: an example that outweighs all others would leave nothing but
    its rounding behind.

    Args:
        folder: For the file, of K times the size of the running sums.
        count: K.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self._file = folder / "parts.f32"
        self._kept: np.memmap[Any, np.dtype[Any]] | None = None
        self._done = 0

    def take(self, sums: Mapping[str, Tensor]) -> None:
        """Move the running sums of the next part into the file; they are zero then."""
        if self._kept is None:
            first = next(iter(sums.values()))
            kind = np.dtype(str(first.dtype).removeprefix("torch."))
            size = sum(values.numel() for values in sums.values())
            self._kept = np.memmap(self._file, kind, "w+", shape=(self.count, size))
        for name, place in self._places(sums):
            self._kept[self._done, place] = sums[name].cpu().numpy().ravel()
            sums[name].zero_()
        self._done += 1

    def add_up(self, sums: Mapping[str, Tensor], numbers: Iterable[int]) -> None:
        """Let the running sums be those of some parts, added in order."""
        import torch

        kept = self._kept
        if kept is None:
            raise ValueError("no part was taken")
        for values in sums.values():
            values.zero_()
        for number in numbers:
            for name, place in self._places(sums):
                part = torch.from_numpy(np.array(kept[number, place])).reshape(sums[name].shape)
                sums[name].add_(part.to(sums[name].device))

    @staticmethod
    def _places(sums: Mapping[str, Tensor]) -> Iterator[tuple[str, slice]]:
        start = 0
        for name, values in sums.items():
            yield name, slice(start, start + values.numel())
            start += values.numel()


def cut(examples: Sequence[EncodedExample], count: int, unit: int, language: str) -> Iterator[Sequence[EncodedExample]]:
    """Yield `count` parts of nearly the same size, in the order in which the examples were drawn.

    Args:
        examples: All of a row.
        count: How many parts.
        unit: Examples that must stay together, from the first on.
        language: For the error.

    Raises:
        FisherError: There are too few examples for so many parts.
    """
    whole = len(examples) // unit if unit > 1 else len(examples)
    if whole < count:
        what = f"{len(examples)} usable examples" + (f", {whole} whole batches," if unit > 1 else "")
        raise FisherError(f"the language '{language}' has {what}: too few for {count} parts.", "ask for fewer --parts.")
    bounds = [whole * number // count * unit for number in range(count)] + [len(examples)]
    return (examples[start:stop] for start, stop in pairwise(bounds))
