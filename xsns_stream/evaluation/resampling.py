"""How sure a mean over targets is: bootstrap intervals, a sign-flip test, Holm's correction.

Index letters: B draws, M metrics, T targets, R seeds of a prediction, Q seeds of the gold scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from xsns_stream.types import Reals

CONFIDENCE: Final = 0.95
#: Below these the ends of an interval are those of a handful of draws.
FEWEST_RESAMPLES: Final = 100
MOST_RESAMPLES: Final = 1_000_000
#: Up to this many targets all patterns of signs are gone through.
_ALL_SIGNS_UP_TO: Final = 12
# Draws at once: seeds times targets times metrics stay in the cache.
_BLOCK: Final = 128
# Sums of the same numbers in another order, as signs give them, are the same.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class _Draw:
    """How often each target and seed was drawn, in a block of b draws.

    Attributes:
        targets: [b, T].
        gold: [b, Q].
        seeds: For each number R of seeds, [b, R]: predictions with as many seeds share their draws, so that they stay
            paired.
    """

    targets: Reals
    gold: Reals
    seeds: dict[int, Reals]


def bootstrap(cells: Sequence[Reals], resamples: int, seed: int, reference: int | None) -> tuple[Reals, Reals | None]:
    """Draw targets anew, and seeds where there are several; return the means of every draw.

    Seeds are drawn once for all targets, as one run covers all: the gold scores' and each prediction's on their own.

    Args:
        cells: For each of P predictors float64 [M, T, R, Q]; NaN = undefined.
        resamples: B.
        seed: Of the draws.
        reference: The predictor to take differences from.

    Returns:
        Means [P, M, B], and means of the differences from the reference, on the targets where both are defined.
    """
    means = np.full((len(cells), cells[0].shape[0], resamples), np.nan)
    differences = None if reference is None else np.full_like(means, np.nan)
    start = 0
    for draw in _draws(cells, resamples, seed):
        block = slice(start, start + len(draw.targets))
        start = block.stop
        base = None if reference is None else _over_seeds(cells[reference], draw)
        for place, values in enumerate(cells):
            drawn = _over_seeds(values, draw)
            means[place, :, block] = _over_targets(drawn, draw.targets).T
            if differences is not None and base is not None:
                differences[place, :, block] = _over_targets(drawn - base, draw.targets).T
    return means, differences


def _draws(cells: Sequence[Reals], resamples: int, seed: int) -> Iterator[_Draw]:
    rng = np.random.default_rng(seed)
    targets, gold = cells[0].shape[1], max(values.shape[3] for values in cells)
    seeds = sorted({values.shape[2] for values in cells})
    for start in range(0, resamples, _BLOCK):
        count = min(_BLOCK, resamples - start)
        drawn = [rng.multinomial(n, np.full(n, 1 / n), size=count).astype(np.float64) for n in (targets, gold, *seeds)]
        yield _Draw(drawn[0], drawn[1], dict(zip(seeds, drawn[2:], strict=True)))


def _over_seeds(values: Reals, draw: _Draw) -> Reals:
    """Return the values of each target, averaged over the pairs of seeds drawn. [b, M, T]; b = 1 without seeds."""
    metrics, targets, runs, gold = values.shape
    if runs * gold == 1:
        return values[None, :, :, 0, 0]
    pairs = (draw.seeds[runs][:, :, None] * draw.gold[:, None, :]).reshape(-1, runs * gold)
    flat = values.reshape(metrics * targets, runs * gold)
    return _weighted(flat, pairs).reshape(-1, metrics, targets)


def _weighted(values: Reals, weights: Reals) -> Reals:
    """Return the weighted means over the last axis of what is known. [K, N], [b, N] → [b, K]."""
    known = np.isfinite(values)
    if known.all():
        every: Reals = weights @ values.T / weights.sum(axis=1, keepdims=True)
        return every
    total, weight = weights @ np.where(known, values, 0.0).T, weights @ known.T.astype(np.float64)
    mean: Reals = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    return mean


def _over_targets(values: Reals, weights: Reals) -> Reals:
    """Return weighted means over targets of what is known. [b or 1, M, T], [b, T] → [b, M]."""
    if len(values) == 1:
        return _weighted(values[0], weights)
    known = np.isfinite(values)
    # einsum goes through once, without a weighted copy.
    total = np.einsum("bmt,bt->bm", values if known.all() else np.where(known, values, 0.0), weights)
    weight = np.einsum("bmt,bt->bm", known, weights)
    mean: Reals = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    return mean


def interval(draws: Reals, targets: int) -> tuple[float, float]:
    """Return the percentile interval of the means of all draws, widened for few targets.

    The plain percentile interval of a mean is too narrow by √((n − 1) / n) and by normal instead of t quantiles.
    Percentiles at Φ(√(n / (n − 1)) · t_{n−1}) make up for both and keep what a percentile interval has: it never leaves
    the range of the metric, and follows the skew. Source: Hesterberg, What Teachers Should Know About the Bootstrap,
    The American Statistician 69 (2015).

    Args:
        draws: [B], NaN where no target was drawn that is defined.
        targets: n, on how many the mean rests; below two there is no interval.

    Returns:
        (low, high); NaN where there is none.
    """
    from scipy.stats import norm, t

    known = draws[np.isfinite(draws)]
    if targets < 2 or not known.size:
        return float("nan"), float("nan")
    tail = norm.cdf(np.sqrt(targets / (targets - 1)) * t.ppf((1 - CONFIDENCE) / 2, targets - 1))
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def sign_flip(differences: Reals, resamples: int, seed: int) -> Reals:
    """Test whether paired differences have mean zero, by flipping their signs at random; two-sided.

    All 2^T patterns up to 12 targets, else as many draws as asked for, and then the observed pattern counts as one of
    them. What is undefined takes no part.

    Args:
        differences: [K, T], NaN = undefined.
        resamples: Draws where not all patterns are gone through.
        seed: Of the draws.

    Returns:
        p [K]; NaN where nothing is defined.
    """
    targets = differences.shape[1]
    values = np.nan_to_num(differences)
    observed = np.abs(values.sum(axis=1)) - _ROUNDING * np.abs(values).sum(axis=1)
    exact = targets <= _ALL_SIGNS_UP_TO
    patterns = _all_signs(targets) if exact else _some_signs(targets, resamples, seed)
    reached, count = np.zeros(len(values)), 0
    for signs in patterns:
        reached += (np.abs(signs @ values.T) >= observed).sum(axis=0)
        count += len(signs)
    p = reached / count if exact else (reached + 1) / (count + 1)
    return np.where(np.isfinite(differences).any(axis=1), p, np.nan)


def _all_signs(targets: int) -> Iterator[Reals]:
    bits = (np.arange(2**targets)[:, None] >> np.arange(targets)) & 1
    yield np.where(bits == 1, -1.0, 1.0)


def _some_signs(targets: int, resamples: int, seed: int) -> Iterator[Reals]:
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _BLOCK):
        yield rng.choice([-1.0, 1.0], size=(min(_BLOCK, resamples - start), targets))


def holm(p: Reals) -> Reals:
    """Return p values corrected for how many there are (Holm 1979); NaN takes no part. [K] → [K]."""
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    raised = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    corrected = np.full(p.shape, np.nan)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected
