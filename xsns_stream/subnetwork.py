"""DiagonalFisher → SubNetwork: keep the top p of all parameters, as packed bits."""

from __future__ import annotations

import numpy as np

from xsns_kernels import kth_largest, threshold_bits
from xsns_stream.errors import FisherError, UsageError
from xsns_stream.types import DiagonalFisher, SubNetwork


def check_density(density: float) -> float:
    """Return `density`, or raise :class:`UsageError` where it is not in (0, 1]."""
    if not 0 < density <= 1:
        raise UsageError(f"the density must lie in (0, 1], not {density}.", "15 % is written 0.15, the paper's choice.")
    return density


def extract_subnetwork(
    fisher: DiagonalFisher, density: float = 0.15, *, language: str | None = None, seed: int | None = None
) -> SubNetwork:
    """Keep the parameters whose Fisher value reaches the K-th largest of all, K = ⌊density · P + ½⌋.

    One threshold over all tensors together. Values equal to the threshold are all kept, so that the result depends
    on no order, and a larger density contains a smaller one. Zero is never kept: where fewer than K values are
    positive, `cardinality` (and `density_realised`) says so.

    Args:
        fisher: Values on one layout.
        density: The paper's p, in (0, 1].
        language: Overrides `fisher.language`.
        seed: Overrides the seed of `fisher.provenance`.

    Raises:
        UsageError: A density outside (0, 1].
        FisherError: All values are zero, or some are negative or not finite.

    Source: X-SNS, section 3: "top p % of parameters"; p = 0.15.
    """
    check_density(density)
    pieces = [np.ascontiguousarray(values) for values in fisher.values]
    rank = max(1, int(np.floor(density * fisher.layout.size + 0.5)))
    try:
        threshold = float(kth_largest(pieces, rank))
    except ValueError as error:
        raise FisherError(f"these Fisher values have no top {density:g}: {error}.") from error
    if threshold == 0:
        # Fewer than K values are positive; the smallest of them is the smallest that is kept.
        threshold = min(float(np.min(v, where=v > 0, initial=np.inf)) for v in pieces)
    bits, cardinality = threshold_bits(pieces, threshold)
    name = fisher.language if language is None else language
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
