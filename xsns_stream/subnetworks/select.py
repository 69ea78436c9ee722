"""Selection of the parameters that have the largest Fisher values. The result is packed bits."""

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

#: A tuple of bits, cardinality and smallest selected value.
_Top = tuple[Words, int, float]


@dataclass(frozen=True)
class TopValues:
    """The selection of the largest values of a vector, as packed bits.

    Attributes:
        bits: uint64 [ceil(P / 64)]; value i is bit i % 64 of word i // 64; pad bits are zero.
        cardinality: Number of set bits.
        size: P, the number of values.
        threshold: All values ≥ the threshold are selected, except zeros. For `exact`, the threshold is the smallest
            selected value, or infinity if all values are zero.
        error: An upper bound of |threshold − v| / v, where v is the K-th largest value. It is 0 for `exact`, and by
            definition 0 for `percentile`. For `histogram` it is 2⁻⁷ (float32) or 2⁻⁴ (float64), larger if v is
            subnormal, and infinity if v cannot be distinguished from zero.
    """

    bits: Words
    cardinality: int
    size: int
    threshold: float
    error: float

    @property
    def density_realised(self) -> float:
        """The fraction of the values that are selected, |S| / P."""
        return self.cardinality / self.size


def check_density(density: float) -> float:
    """Return `density`, or raise :class:`UsageError` if it is not in (0, 1]."""
    if not 0 < density <= 1:
        raise UsageError(
            f"the density must be in (0, 1], not {density}.", "write 15 %, the value in the paper, as 0.15."
        )
    return density


def check_quantile(quantile: str) -> str:
    """Return `quantile`, or raise :class:`UsageError` if its name is unknown."""
    if quantile not in QUANTILES:
        raise UsageError(f"there is no quantile '{quantile}'.", f"choose one of {', '.join(QUANTILES)}.")
    return quantile


def extract_subnetwork(
    fisher: DiagonalFisher,
    density: float = 0.15,
    *,
    language: str | None = None,
    seed: int | None = None,
    quantile: str = "exact",
) -> SubNetwork:
    """Return the sub-network of the parameters with the largest Fisher values.

    There is one threshold for all tensors together. All values that equal the threshold are selected. The result
    therefore does not depend on the order of parameters. The sub-network of a larger density contains the sub-network
    of a smaller density. Zeros are never selected.

    Args:
        fisher: The Fisher values. If the tensors are on a device, such as a GPU, selection and packing run there, and
            only the packed bits are copied to the host.
        density: The selected fraction of the parameters, p in the paper, in (0, 1].
        language: The language; that of `fisher` by default.
        seed: The seed; that of the provenance of `fisher` by default.
        quantile: The method for the threshold. `exact` uses the K-th largest value, K = ⌊density · P + ½⌋; if fewer
            than K values are positive, `cardinality` and `density_realised` are smaller. `histogram` estimates the K-th
            largest value from a histogram of 32,768 bins, within 2⁻⁷ of its value (float32), and selects about K
            values; thresholds for further densities are estimated from the same histogram. `percentile` uses exactly
            the threshold of `numpy.percentile(values, (1 − density) · 100)`, as in the code of the authors. No method
            concatenates or copies the values.

    Raises:
        UsageError: The density is outside of (0, 1], or the quantile is unknown.
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
    """Return the result of :func:`extract_subnetwork` for each density; the values are read once for all densities.

    Args:
        fisher: The Fisher values.
        densities: The densities, each in (0, 1], in any order.
        language: The language; that of `fisher` by default.
        seed: The seed; that of the provenance of `fisher` by default.
        quantile: See :func:`extract_subnetwork`.

    Raises:
        UsageError: A density is outside of (0, 1], or the quantile is unknown.
        FisherError: All values are zero, or some are negative or not finite.
    """
    name = fisher.language if language is None else language
    try:
        selected = select_top_many(fisher.values, densities, quantile)
    except ValueError as error:
        requested = ", ".join(f"{density:g}" for density in densities)
        raise FisherError(f"the top {requested} of these Fisher values cannot be selected: {error}.") from error
    if any(top.cardinality == 0 for top in selected):
        raise FisherError(
            f"every Fisher value of language '{name}' is zero: the language has no sub-network.",
            "the model's output does not depend on these parameters.",
        )
    return tuple(
        SubNetwork(
            language=name,
            seed=fisher.provenance.seed if seed is None else seed,
            bits=top.bits,
            layout=fisher.layout,
            cardinality=top.cardinality,
            threshold=top.threshold,
            density=density,
            provenance=fisher.provenance,
        )
        for density, top in zip(densities, selected, strict=True)
    )


def select_top(values: Sequence[Any], density: float, quantile: str = "exact") -> tuple[Words, int, float]:
    """Return the packed bits of the largest values, the number of set bits, and the threshold.

    Args:
        values: The parts of one vector: arrays, or torch tensors on one device; float32 or float64.
        density: The selected fraction, in (0, 1].
        quantile: See :func:`extract_subnetwork`.

    Raises:
        UsageError: A density is outside of (0, 1], or the quantile is unknown.
        ValueError: There are no values, or some are negative or not finite.
    """
    top = select_top_many(values, (density,), quantile)[0]
    return top.bits, top.cardinality, top.threshold


def select_top_many(
    values: Sequence[Any], densities: Sequence[float], quantile: str = "exact"
) -> tuple[TopValues, ...]:
    """Return the selection of the largest values for each density.

    The selection of a larger density contains the selection of a smaller density. On the host, the values are read once
    for all densities; `histogram` reads them once more for each density.

    Args:
        values: The parts of one vector; see :func:`select_top`.
        densities: The densities, each in (0, 1], in any order.
        quantile: See :func:`extract_subnetwork`.

    Raises:
        UsageError: A density is outside of (0, 1], or the quantile is unknown.
        ValueError: There are no values, or some are negative or not finite.
    """
    check_quantile(quantile)
    for density in densities:
        check_density(density)
    source = _Device(values) if _are_on_device(values) else _Host(values)
    if quantile == "percentile":
        return _percentiles(source, densities)
    ranks = [max(1, math.floor(density * source.size + 0.5)) for density in densities]
    if quantile == "histogram":
        return _estimates(source, ranks)
    return tuple(TopValues(bits, count, source.size, least, 0.0) for bits, count, least in source.top(ranks))


class _Source(Protocol):
    """A vector that consists of several parts, in the memory of the host or of a device."""

    size: int
    dtype: np.dtype[Any]

    def top(self, ranks: Sequence[int]) -> list[_Top]:
        """Return (bits, number, minimum) of the K largest values except zeros, for each K in `ranks`."""

    def histogram(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the result of `xsns_kernels.pattern_histogram` for the values: int64 [32768]."""

    def reaching(self, threshold: float) -> tuple[Words, int]:
        """Return the bits of the values ≥ `threshold` except zeros, and their number."""


class _Host:
    """A vector in the memory of the host. Its parts are arrays; tensors are used as arrays."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._parts = [np.ascontiguousarray(part) for part in values]
        self.size = sum(part.size for part in self._parts)
        self.dtype = self._parts[0].dtype if self._parts else np.dtype(np.float32)

    def top(self, ranks: Sequence[int]) -> list[_Top]:
        return top_bits_many(self._parts, ranks)

    def histogram(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        return pattern_histogram(self._parts)

    def reaching(self, threshold: float) -> tuple[Words, int]:
        return threshold_bits(self._parts, threshold)


class _Device:
    """A vector on a device, such as a GPU. Its parts are tensors, and the selection runs on the device."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._parts = [part.contiguous() for part in values]
        self.size = sum(part.numel() for part in self._parts)
        self.dtype = np.dtype(str(self._parts[0].dtype).removeprefix("torch."))

    def top(self, ranks: Sequence[int]) -> list[_Top]:
        from xsns_kernels import device

        selected = []
        for rank in ranks:
            threshold = float(device.kth_largest(self._parts, rank))
            if threshold == 0:
                # Fewer than K values are positive; the smallest of them is the smallest selected value.
                positive = [part[part > 0] for part in self._parts]
                threshold = min((float(part.min()) for part in positive if part.numel()), default=math.inf)
            selected.append((*device.threshold_bits(self._parts, threshold), threshold))
        return selected

    def histogram(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        from xsns_kernels import device

        return device.pattern_histogram(self._parts)

    def reaching(self, threshold: float) -> tuple[Words, int]:
        from xsns_kernels import device

        return device.threshold_bits(self._parts, threshold)


def _are_on_device(values: Sequence[Any]) -> bool:
    return any(hasattr(part, "device") and hasattr(part, "cpu") and part.device.type != "cpu" for part in values)


def _estimates(source: _Source, ranks: Sequence[int]) -> tuple[TopValues, ...]:
    counts, estimates = source.histogram(), []
    for rank in ranks:
        estimate = estimate_kth(counts, rank, source.dtype)
        threshold = estimate.value
        bits, cardinality = source.reaching(threshold)
        if cardinality == 0:
            # In the highest bin, which has few values, the estimate may exceed the largest value.
            bits, cardinality, threshold = source.top((1,))[0]
        estimates.append(TopValues(bits, cardinality, source.size, threshold, estimate.error))
    return tuple(estimates)


def _percentiles(source: _Source, densities: Sequence[float]) -> tuple[TopValues, ...]:
    """Return, for each density, the selection of the values that reach the threshold of `numpy.percentile`.

    NumPy interpolates this threshold between two adjacent values of the sorted vector. If one of these two values is
    used as the threshold instead, the same values are selected. The selection is therefore computed from ranks.
    """
    percentiles = [percentile_ranks(source.size, (1 - density) * 100) for density in densities]
    neighbours = iter(source.top([rank for percentile in percentiles for rank in percentile.ranks]))
    selected = []
    for percentile, low, high in zip(percentiles, neighbours, neighbours, strict=False):
        # If fewer than K values are selected, the K-th value is zero.
        smaller, larger = (
            least if count >= rank else 0.0
            for rank, (_, count, least) in zip(percentile.ranks, (low, high), strict=True)
        )
        threshold = percentile.interpolate(smaller, larger, source.dtype)
        bits, cardinality, _ = low if threshold <= smaller else high
        selected.append(TopValues(bits, cardinality, source.size, threshold, 0.0))
    return tuple(selected)
