"""DiagonalFisher → SubNetwork: keep the top p of all parameters, as packed bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from xsns_kernels import pattern_histogram, threshold_bits, top_bits_many
from xsns_kernels.quantiles import estimate_kth, percentile_ranks
from xsns_stream.errors import FisherError, UsageError
from xsns_stream.types import DiagonalFisher, SubNetwork, Words

QUANTILES: Final = ("exact", "histogram", "percentile")

_Found = tuple[Words, int, float]


@dataclass(frozen=True)
class Selection:
    """Which values are kept, and from which value on.

    Attributes:
        bits: uint64 [ceil(P / 64)]; value i is bit i % 64 of word i // 64; pad bits are zero.
        cardinality: Number of set bits.
        size: P, the number of values.
        threshold: Values that reach it, zeros excepted, are kept. With `exact` it is the smallest value kept;
            infinity where all are zero.
        error: A bound on |threshold − K-th largest| / K-th largest. 0 for `exact`, and for `percentile`, which is what
            NumPy says; with `histogram` 2⁻⁷ (float32) or 2⁻⁴ (float64), more for subnormal numbers, infinity where
            the K-th cannot be told from zero.
    """

    bits: Words
    cardinality: int
    size: int
    threshold: float
    error: float

    @property
    def density_realised(self) -> float:
        """Selected fraction, |S| / P."""
        return self.cardinality / self.size


def check_density(density: float) -> float:
    """Return `density`, or raise :class:`UsageError` where it is not in (0, 1]."""
    if not 0 < density <= 1:
        raise UsageError(f"the density must lie in (0, 1], not {density}.", "15 % is written 0.15, the paper's choice.")
    return density


def check_quantile(quantile: str) -> str:
    """Return `quantile`, or raise :class:`UsageError` where there is none of this name."""
    if quantile not in QUANTILES:
        raise UsageError(f"no quantile '{quantile}'.", f"choose one of {', '.join(QUANTILES)}.")
    return quantile


def extract_subnetwork(
    fisher: DiagonalFisher,
    density: float = 0.15,
    *,
    language: str | None = None,
    seed: int | None = None,
    quantile: str = "exact",
) -> SubNetwork:
    """Keep the parameters whose Fisher value reaches the threshold: the largest `density` of all.

    One threshold over all tensors together. Values equal to the threshold are all kept, so that the result depends
    on no order, and a larger density contains a smaller one. A zero is never kept.

    Args:
        fisher: Values on one layout; tensors on a device are selected and packed there, and only bits leave it.
        density: The paper's p, in (0, 1].
        language: Overrides `fisher.language`.
        seed: Overrides the seed of `fisher.provenance`.
        quantile: `exact` takes the K-th largest value, K = ⌊density · P + ½⌋; where fewer than K values are positive,
            `cardinality` (and `density_realised`) says so. `histogram` estimates it from a histogram of 65,536 bins,
            within 2⁻⁷ of its value (float32), so that about K are kept; the threshold of another density costs no
            further pass. `percentile` is `numpy.percentile(values, (1 − density) · 100)`, as the authors have it,
            bit for bit. None of them joins or copies the values.

    Raises:
        UsageError: A density outside (0, 1], or an unknown quantile.
        FisherError: All values are zero, or some are negative or not finite.

    Source: X-SNS, section 3: "top p % of parameters"; p = 0.15.
    """
    return extract_subnetworks(fisher, (density,), language=language, seed=seed, quantile=quantile)[0]


def extract_subnetworks(
    fisher: DiagonalFisher,
    densities: Sequence[float],
    *,
    language: str | None = None,
    seed: int | None = None,
    quantile: str = "exact",
) -> tuple[SubNetwork, ...]:
    """Return what :func:`extract_subnetwork` returns for each density, and read the values once for all.

    Args:
        fisher: As for :func:`extract_subnetwork`.
        densities: Each in (0, 1], in any order.
        language: Overrides `fisher.language`.
        seed: Overrides the seed of `fisher.provenance`.
        quantile: As for :func:`extract_subnetwork`.

    Raises:
        UsageError: A density outside (0, 1], or an unknown quantile.
        FisherError: All values are zero, or some are negative or not finite.
    """
    name = fisher.language if language is None else language
    try:
        found = select_top_many(fisher.values, densities, quantile)
    except ValueError as error:
        asked = ", ".join(f"{density:g}" for density in densities)
        raise FisherError(f"these Fisher values have no top {asked}: {error}.") from error
    if any(selection.cardinality == 0 for selection in found):
        raise FisherError(
            f"every Fisher value of language '{name}' is zero, so it has no sub-network.",
            "the model's output does not depend on these parameters.",
        )
    return tuple(
        SubNetwork(
            language=name,
            seed=fisher.provenance.seed if seed is None else seed,
            bits=selection.bits,
            layout=fisher.layout,
            cardinality=selection.cardinality,
            threshold=selection.threshold,
            density=density,
            provenance=fisher.provenance,
        )
        for density, selection in zip(densities, found, strict=True)
    )


def select_top(values: Sequence[Any], density: float, quantile: str = "exact") -> tuple[Words, int, float]:
    """Return the packed bits, their number and the threshold of the largest `density` of all values.

    Args:
        values: Pieces of one vector: arrays, or tensors of torch on any one device; float32 or float64.
        density: In (0, 1].
        quantile: As for :func:`extract_subnetwork`.

    Raises:
        UsageError: A density outside (0, 1], or an unknown quantile.
        ValueError: There are no values, or some are negative or not finite.
    """
    selection = select_top_many(values, (density,), quantile)[0]
    return selection.bits, selection.cardinality, selection.threshold


def select_top_many(
    values: Sequence[Any], densities: Sequence[float], quantile: str = "exact"
) -> tuple[Selection, ...]:
    """Return the largest `density` of all values, for each density; a larger one contains a smaller one.

    On the host the values are read from memory once for all densities (`histogram`: once, and once a density).

    Args:
        values: As for :func:`select_top`.
        densities: Each in (0, 1], in any order.
        quantile: As for :func:`extract_subnetwork`.

    Raises:
        UsageError: A density outside (0, 1], or an unknown quantile.
        ValueError: There are no values, or some are negative or not finite.
    """
    check_quantile(quantile)
    for density in densities:
        check_density(density)
    source = _Device(values) if _lie_on_device(values) else _Host(values)
    if quantile == "percentile":
        return _percentiles(source, densities)
    ranks = [max(1, math.floor(density * source.size + 0.5)) for density in densities]
    if quantile == "histogram":
        return _estimates(source, ranks)
    return tuple(Selection(bits, count, source.size, least, 0.0) for bits, count, least in source.top(ranks))


class _Source(Protocol):
    """Pieces of a vector, and where they are looked at."""

    size: int
    dtype: np.dtype[Any]

    def top(self, ranks: Sequence[int]) -> list[_Found]:
        """Return bits, cardinality and smallest value of the K largest but for zeros, for each K."""

    def histogram(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return int64 [32768], as `xsns_kernels.pattern_histogram`."""

    def reaching(self, threshold: float) -> tuple[Words, int]:
        """Return bits and cardinality of what reaches a threshold, but for zeros."""


class _Host:
    """Arrays, or tensors in the host's memory, which share it with arrays."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._pieces = [np.ascontiguousarray(piece) for piece in values]
        self.size = sum(piece.size for piece in self._pieces)
        self.dtype = self._pieces[0].dtype if self._pieces else np.dtype(np.float32)

    def top(self, ranks: Sequence[int]) -> list[_Found]:
        return top_bits_many(self._pieces, ranks)

    def histogram(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return pattern_histogram(self._pieces)

    def reaching(self, threshold: float) -> tuple[Words, int]:
        return threshold_bits(self._pieces, threshold)


class _Device:
    """Tensors that are selected where they lie."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._pieces = [piece.contiguous() for piece in values]
        self.size = sum(piece.numel() for piece in self._pieces)
        self.dtype = np.dtype(str(self._pieces[0].dtype).removeprefix("torch."))

    def top(self, ranks: Sequence[int]) -> list[_Found]:
        from xsns_kernels import device

        found = []
        for rank in ranks:
            threshold = float(device.kth_largest(self._pieces, rank))
            if threshold == 0:
                # Fewer than K values are positive; the smallest of them is the smallest that is kept.
                positive = [piece[piece > 0] for piece in self._pieces]
                threshold = min((float(piece.min()) for piece in positive if piece.numel()), default=math.inf)
            found.append((*device.threshold_bits(self._pieces, threshold), threshold))
        return found

    def histogram(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        from xsns_kernels import device

        return device.pattern_histogram(self._pieces)

    def reaching(self, threshold: float) -> tuple[Words, int]:
        from xsns_kernels import device

        return device.threshold_bits(self._pieces, threshold)


def _lie_on_device(values: Sequence[Any]) -> bool:
    return any(hasattr(piece, "device") and hasattr(piece, "cpu") and piece.device.type != "cpu" for piece in values)


def _estimates(source: _Source, ranks: Sequence[int]) -> tuple[Selection, ...]:
    counts, found = source.histogram(), []
    for rank in ranks:
        estimate = estimate_kth(counts, rank, source.dtype)
        threshold = estimate.value
        bits, cardinality = source.reaching(threshold)
        if cardinality == 0:
            # The few values of the highest bin do not lie evenly in it: the largest of all lies below the estimate.
            bits, cardinality, threshold = source.top((1,))[0]
        found.append(Selection(bits, cardinality, source.size, threshold, estimate.error))
    return tuple(found)


def _percentiles(source: _Source, densities: Sequence[float]) -> tuple[Selection, ...]:
    """Select by NumPy's threshold, which lies between two neighbours in order and so selects what one of them does."""
    places = [percentile_ranks(source.size, (1 - density) * 100) for density in densities]
    neighbours = iter(source.top([rank for place in places for rank in place.ranks]))
    found = []
    for place, low, high in zip(places, neighbours, neighbours, strict=False):
        # Where fewer than K values are kept, the K-th is zero.
        smaller, larger = (
            least if count >= rank else 0.0 for rank, (_, count, least) in zip(place.ranks, (low, high), strict=True)
        )
        threshold = place.interpolate(smaller, larger, source.dtype)
        bits, cardinality, _ = low if threshold <= smaller else high
        found.append(Selection(bits, cardinality, source.size, threshold, 0.0))
    return tuple(found)
