"""Repeatability of the measurement of a row: its stability curve, and sums over halves and folds of its examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xsns_kernels import popcount
from xsns_stream.errors import FisherError
from xsns_stream.io.scratch_files import map_for_writing, reserve
from xsns_stream.objectives import EncodedExample
from xsns_stream.pipeline.settings import Stopping
from xsns_stream.subnetworks.select import select_top, select_top_many
from xsns_stream.types import Words

if TYPE_CHECKING:
    from torch import Tensor


def jaccard_of_bits(a: Words, b: Words) -> float | None:
    """Return |A ∩ B| / |A ∪ B|; None if both sets are empty."""
    union = popcount(a | b)
    return popcount(a & b) / union if union else None


class StabilityCurve:
    """Stability curve of a row: Jaccard coefficients between the sub-networks of successive checks.

    Attributes:
        points: (number of examples, Jaccard coefficient with the sub-network of the preceding check); the first
            coefficient is None.
    """

    def __init__(self, stopping: Stopping, quantile: str) -> None:
        self.stopping, self.quantile = stopping, quantile
        self.points: list[tuple[int, float | None]] = []
        self._before: Words | None = None

    def check(self, examples: int, sums: Mapping[str, Tensor]) -> bool:
        """Add a point to the curve, and return whether the rule `stopping` says that the row has enough examples.

        Args:
            examples: Number of examples that were measured so far.
            sums: {name of a tensor: sum of squared gradients over these examples}. The sums are not divided by the
                number of examples, because this would not change the selection.
        """
        bits, _, _ = select_top(list(sums.values()), self.stopping.density, self.quantile)
        coefficient = None if self._before is None else jaccard_of_bits(self._before, bits)
        self._before = bits
        self.points.append((examples, coefficient))
        stable = coefficient is not None and coefficient >= self.stopping.jaccard
        return stable and examples >= self.stopping.at_least


class SplitHalves:
    """Sums of squared gradients over the first half of the examples of a row, for a comparison of two halves.

    The measurement of a row adds every example to its running sums. Chunks of examples that belong to the first half
    and to the second half alternate. This class stores only the sums over the first half: before a chunk of the first
    half is measured, the running sums are subtracted from the stored sums; afterwards, the new running sums are added.

    Attributes:
        second_examples: Number of examples in the second half.
    """

    def __init__(self) -> None:
        self._first: dict[str, Tensor] | None = None
        self.second_examples = 0

    def before_first(self, sums: Mapping[str, Tensor]) -> None:
        """Subtract the running sums from the stored sums; call this before a chunk of the first half is added."""
        for name, total in (self._first or {}).items():
            total.sub_(sums[name])

    def after_first(self, sums: Mapping[str, Tensor]) -> None:
        """Add the running sums to the stored sums; call this after a chunk of the first half was added."""
        if self._first is None:
            self._first = {name: total.clone() for name, total in sums.items()}
            return
        for name, total in self._first.items():
            total.add_(sums[name])

    def compare(
        self, sums: Mapping[str, Tensor], densities: Sequence[float], quantile: str
    ) -> dict[float, float | None]:
        """Return {density: Jaccard coefficient of the sub-networks of the two halves}; empty if a half has no example.

        Call this method only once, after all examples were added.

        Args:
            sums: The running sums over all examples.
            densities: The densities at which the sub-networks are compared.
            quantile: Method that computes the threshold.
        """
        if self._first is None or not self.second_examples:
            return {}
        halves = list(self._first.values())
        firsts = select_top_many(halves, densities, quantile)
        for name, total in self._first.items():
            # The sums of the second half replace those of the first half, because a third set of sums may not fit into
            # memory. Rounding may give small negative numbers.
            total.neg_().add_(sums[name]).clamp_(min=0)
        seconds = select_top_many(halves, densities, quantile)
        self._first = None
        return {
            density: jaccard_of_bits(first.bits, second.bits)
            for density, first, second in zip(densities, firsts, seconds, strict=True)
        }


class FoldSums:
    """Sums of squared gradients over each of K disjoint folds of the examples of a row, which are stored in a file.

    The running sums of the measurement contain one fold at a time. Sums over all folds except one are computed by
    adding the other folds. If a fold were subtracted from the total instead, and one example dominated all others, only
    rounding errors would be left.

    Args:
        folder: Folder for the file, which has K times the size of the running sums.
        count: K, the number of folds.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self._file = folder / "parts.f32"
        self._values: np.memmap[Any, np.dtype[Any]] | None = None
        self._done = 0

    def take(self, sums: Mapping[str, Tensor]) -> None:
        """Write the running sums, which contain the next fold, into the file, and set them to zero."""
        if self._values is None:
            first = next(iter(sums.values()))
            kind = np.dtype(str(first.dtype).removeprefix("torch."))
            size = sum(values.numel() for values in sums.values())
            self._values = map_for_writing(self._file, kind, (self.count, size))
            reserve(self._file, 0, self._values.nbytes)
        for name, columns in self._columns(sums):
            self._values[self._done, columns] = sums[name].cpu().numpy().ravel()
            sums[name].zero_()
        self._done += 1

    def add_up(self, sums: Mapping[str, Tensor], numbers: Iterable[int]) -> None:
        """Replace the running sums by the sums over the folds with the indices `numbers` (from 0), in this order."""
        import torch

        if self._values is None:
            raise ValueError("no fold was taken")
        for values in sums.values():
            values.zero_()
        for number in numbers:
            for name, columns in self._columns(sums):
                fold = torch.from_numpy(np.array(self._values[number, columns])).reshape(sums[name].shape)
                sums[name].add_(fold.to(sums[name].device))

    @staticmethod
    def _columns(sums: Mapping[str, Tensor]) -> Iterator[tuple[str, slice]]:
        start = 0
        for name, values in sums.items():
            yield name, slice(start, start + values.numel())
            start += values.numel()


def split_into_folds(
    examples: Sequence[EncodedExample], count: int, unit: int, language: str
) -> Iterator[Sequence[EncodedExample]]:
    """Yield `count` folds of nearly the same size, in the order in which the examples were drawn.

    Args:
        examples: All examples of a row.
        count: Number of folds.
        unit: Number of consecutive examples that must be in the same fold.
        language: Code of the language, for the error.

    Raises:
        FisherError: There are too few examples for so many folds.
    """
    whole = len(examples) // unit if unit > 1 else len(examples)
    if whole < count:
        number = f"{len(examples)} usable {'example' if len(examples) == 1 else 'examples'}"
        if unit > 1:
            number += f" ({whole} whole {'batch' if whole == 1 else 'batches'} of {unit})"
        raise FisherError(f"the language '{language}' has {number}: too few for {count} parts.", "give fewer --parts.")
    bounds = [whole * number // count * unit for number in range(count)] + [len(examples)]
    return (examples[start:stop] for start, stop in pairwise(bounds))
