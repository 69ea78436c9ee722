"""DiagonalFisher → SubNetwork: keep the top p of all parameters, as packed bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from xsns_kernels import kth_largest, threshold_bits
from xsns_stream.errors import FisherError, UsageError
from xsns_stream.types import DiagonalFisher, SubNetwork, Words

QUANTILES: Final = ("exact", "percentile")


def check_density(density: float) -> float:
    """Return `density`, or raise :class:`UsageError` where it is not in (0, 1]."""
    if not 0 < density <= 1:
        raise UsageError(f"the density must lie in (0, 1], not {density}.", "15 % is written 0.15, the paper's choice.")
    return density


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
    on no order, and a larger density contains a smaller one.

    Args:
        fisher: Values on one layout; tensors on a device are selected and packed there, and only bits leave it.
        density: The paper's p, in (0, 1].
        language: Overrides `fisher.language`.
        seed: Overrides the seed of `fisher.provenance`.
        quantile: `exact` takes the K-th largest value, K = ⌊density · P + ½⌋, and never keeps a zero: where fewer
            than K values are positive, `cardinality` (and `density_realised`) says so. `percentile` is
            `numpy.percentile(values, (1 − density) · 100)`, as the authors have it; it needs a copy of all values.

    Raises:
        UsageError: A density outside (0, 1], or an unknown quantile.
        FisherError: All values are zero, or some are negative or not finite.

    Source: X-SNS, section 3: "top p % of parameters"; p = 0.15.
    """
    name = fisher.language if language is None else language
    try:
        bits, cardinality, threshold = select_top(fisher.values, density, quantile)
    except ValueError as error:
        raise FisherError(f"these Fisher values have no top {density:g}: {error}.") from error
    if cardinality == 0:
        raise FisherError(
            f"every Fisher value of language '{name}' is zero, so it has no sub-network.",
            "the model's output does not depend on these parameters.",
        )
    return SubNetwork(
        language=name,
        seed=fisher.provenance.seed if seed is None else seed,
        bits=bits,
        layout=fisher.layout,
        cardinality=cardinality,
        threshold=threshold,
        density=density,
        provenance=fisher.provenance,
    )


def select_top(values: Sequence[Any], density: float, quantile: str = "exact") -> tuple[Words, int, float]:
    """Return the packed bits, their number and the threshold of the largest `density` of all values.

    Args:
        values: Pieces of one vector: arrays, or tensors of torch on any one device; float32 or float64.
        density: In (0, 1].
        quantile: As for :func:`extract_subnetwork`.

    Raises:
        UsageError: A density outside (0, 1], or an unknown quantile.
        ValueError: Values are negative or not finite.
    """
    check_density(density)
    if quantile not in QUANTILES:
        raise UsageError(f"no quantile '{quantile}'.", f"choose one of {', '.join(QUANTILES)}.")
    if quantile == "percentile":
        pieces = [np.asarray(piece.cpu() if hasattr(piece, "cpu") else piece) for piece in values]
        threshold = float(np.percentile(np.concatenate([piece.ravel() for piece in pieces]), (1 - density) * 100))
        return *threshold_bits([np.ascontiguousarray(piece) for piece in pieces], threshold), threshold
    rank = max(1, int(np.floor(density * sum(int(np.prod(piece.shape)) for piece in values) + 0.5)))
    if any(hasattr(piece, "device") and hasattr(piece, "cpu") and piece.device.type != "cpu" for piece in values):
        return _select_on_device(values, rank)
    pieces = [np.ascontiguousarray(piece) for piece in values]
    threshold = float(kth_largest(pieces, rank))
    if threshold == 0:
        # Fewer than K values are positive; the smallest of them is the smallest that is kept.
        threshold = min(float(np.min(v, where=v > 0, initial=np.inf)) for v in pieces)
    return *threshold_bits(pieces, threshold), threshold


def _select_on_device(values: Sequence[Any], rank: int) -> tuple[Words, int, float]:
    from xsns_kernels import device

    pieces = [piece.contiguous() for piece in values]
    threshold = float(device.kth_largest(pieces, rank))
    if threshold == 0:
        threshold = min(float(piece[piece > 0].min()) if bool((piece > 0).any()) else np.inf for piece in pieces)
    bits, cardinality = device.threshold_bits(pieces, threshold)
    return bits, cardinality, threshold
