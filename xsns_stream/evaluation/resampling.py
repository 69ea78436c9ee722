"""Uncertainty of means over targets: bootstrap intervals, a paired sign-flip test, Holm's correction.

Index letters: B resamples, M metrics, T targets, R seeds of a prediction, Q seeds of the gold scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from xsns_stream.types import Reals

CONFIDENCE: Final = 0.95
#: Smallest number of resamples. With fewer, the ends of an interval depend on a few resamples only.
FEWEST_RESAMPLES: Final = 100
MOST_RESAMPLES: Final = 1_000_000
#: Up to this number of targets, the test enumerates all patterns of signs.
_ALL_SIGNS_UP_TO: Final = 12
# Number of resamples in a block, so that a block fits into the processor's cache.
_BLOCK: Final = 128
# Sums with a smaller relative difference are treated as equal, because sign flips change rounding errors.
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class Resamples:
    """The number of times that each target and each seed is drawn, in each of b resamples.

    Attributes:
        targets: float64 [b, T]: counts of the targets.
        gold: float64 [b, Q]: counts of the seeds of the gold scores.
        seeds: {R: float64 [b, R]}: counts of the seeds of predictions that have R seeds. All predictions with R seeds
            use the same counts, so that their resamples are paired.
    """

    targets: Reals
    gold: Reals
    seeds: dict[int, Reals]


def bootstrap(cells: Sequence[Reals], resamples: int, seed: int, reference: int | None) -> tuple[Reals, Reals | None]:
    """Resample targets, and also seeds if there are several, and return the mean of every resample.

    Seeds are resampled once for all targets and not for each target, because a fine-tuning run is tested on all
    targets. The seeds of the gold scores and those of the predictions are resampled independently.

    Args:
        cells: Metrics float64 [M, T, R, Q] of each of P predictors; NaN = undefined.
        resamples: B, the number of resamples.
        seed: Seed for resampling.
        reference: Index of the predictor from which differences are computed; None for no differences.

    Returns:
        Means [P, M, B], and mean differences from the reference predictor [P, M, B]. A difference is averaged over the
        targets on which both predictors are defined. It is None if there is no reference.
    """
    means = np.full((len(cells), cells[0].shape[0], resamples), np.nan)
    differences = None if reference is None else np.full_like(means, np.nan)
    start = 0
    for resampled in blocks(cells, resamples, seed):
        block = slice(start, start + len(resampled.targets))
        start = block.stop
        base = None if reference is None else _mean_over_seeds(cells[reference], resampled)
        for row, values in enumerate(cells):
            averaged = _mean_over_seeds(values, resampled)
            means[row, :, block] = mean_over_targets(averaged, resampled.targets).T
            if differences is not None and base is not None:
                differences[row, :, block] = mean_over_targets(averaged - base, resampled.targets).T
    return means, differences


def blocks(cells: Sequence[Reals], resamples: int, seed: int) -> Iterator[Resamples]:
    """Yield the resamples of :func:`bootstrap` in blocks; the arguments are those of that function."""
    rng = np.random.default_rng(seed)
    targets, gold = cells[0].shape[1], max(values.shape[3] for values in cells)
    seeds = sorted({values.shape[2] for values in cells})
    for start in range(0, resamples, _BLOCK):
        count = min(_BLOCK, resamples - start)
        times = [rng.multinomial(n, np.full(n, 1 / n), size=count).astype(np.float64) for n in (targets, gold, *seeds)]
        yield Resamples(times[0], times[1], dict(zip(seeds, times[2:], strict=True)))


def _mean_over_seeds(values: Reals, resampled: Resamples) -> Reals:
    """Return the mean of each metric and target over the resampled pairs of seeds, float64 [b, M, T].

    If there is only one pair of seeds, all resamples are equal, and b is 1.
    """
    metrics, targets, runs, gold = values.shape
    if runs * gold == 1:
        return values[None, :, :, 0, 0]
    pairs = (resampled.seeds[runs][:, :, None] * resampled.gold[:, None, :]).reshape(-1, runs * gold)
    flat = values.reshape(metrics * targets, runs * gold)
    return _weighted_mean(flat, pairs).reshape(-1, metrics, targets)


def _weighted_mean(values: Reals, weights: Reals) -> Reals:
    """Return the weighted means [b, K] of values [K, N] over the last axis with weights [b, N]; NaN is ignored."""
    known = np.isfinite(values)
    if known.all():
        every: Reals = weights @ values.T / weights.sum(axis=1, keepdims=True)
        return every
    total, weight = weights @ np.where(known, values, 0.0).T, weights @ known.T.astype(np.float64)
    mean: Reals = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    return mean


def mean_over_targets(values: Reals, weights: Reals) -> Reals:
    """Return the weighted means [b, M] of values [b or 1, M, T] over targets with weights [b, T]; NaN is ignored."""
    if len(values) == 1:
        return _weighted_mean(values[0], weights)
    known = np.isfinite(values)
    # einsum avoids a weighted copy of the values.
    total = np.einsum("bmt,bt->bm", values if known.all() else np.where(known, values, 0.0), weights)
    weight = np.einsum("bmt,bt->bm", known, weights)
    mean: Reals = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    return mean


def interval(draws: Reals, targets: int) -> tuple[float, float]:
    """Return the expanded percentile interval of a bootstrap distribution of means.

    The ordinary percentile interval of a mean is too narrow for two reasons: its width contains a factor
    √((n − 1) / n), and it uses normal quantiles instead of t quantiles. Percentiles at Φ(√(n / (n − 1)) · t_{n−1})
    correct both. Like any percentile interval, the expanded interval stays within the range of the metric and is
    asymmetric if the distribution is skewed.

    Args:
        draws: float64 [B]: means of the resamples; NaN for a resample in which the metric is defined for no target.
        targets: n, the number of targets for which the metric is defined.

    Returns:
        (low, high); both are NaN if n is below two or all means are NaN.

    Source:
        Hesterberg (2015), "What teachers should know about the bootstrap", The American Statistician 69.
    """
    from scipy.stats import norm, t

    known = draws[np.isfinite(draws)]
    if targets < 2 or not known.size:
        return float("nan"), float("nan")
    tail = norm.cdf(np.sqrt(targets / (targets - 1)) * t.ppf((1 - CONFIDENCE) / 2, targets - 1))
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def sign_flip(differences: Reals, resamples: int, seed: int) -> Reals:
    """Return the p-values of two-sided paired sign-flip tests; the null hypothesis is a mean difference of zero.

    For up to 12 targets, the test enumerates all 2^T patterns of signs. For more targets, it draws random patterns and
    counts the observed pattern as one more. Undefined differences are ignored.

    Args:
        differences: float64 [K, T]: differences between two predictors for each target, in K tests; NaN = undefined.
        resamples: Number of random patterns.
        seed: Seed for the random patterns.

    Returns:
        p-values [K]; NaN if no difference is defined.
    """
    targets = differences.shape[1]
    values = np.nan_to_num(differences)
    observed = np.abs(values.sum(axis=1)) - _ROUNDING * np.abs(values).sum(axis=1)
    exact = targets <= _ALL_SIGNS_UP_TO
    patterns = _all_signs(targets) if exact else _random_signs(targets, resamples, seed)
    reached, count = np.zeros(len(values)), 0
    for signs in patterns:
        reached += (np.abs(signs @ values.T) >= observed).sum(axis=0)
        count += len(signs)
    p = reached / count if exact else (reached + 1) / (count + 1)
    return np.where(np.isfinite(differences).any(axis=1), p, np.nan)


def _all_signs(targets: int) -> Iterator[Reals]:
    bits = (np.arange(2**targets)[:, None] >> np.arange(targets)) & 1
    yield np.where(bits == 1, -1.0, 1.0)


def _random_signs(targets: int, resamples: int, seed: int) -> Iterator[Reals]:
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _BLOCK):
        yield rng.choice([-1.0, 1.0], size=(min(_BLOCK, resamples - start), targets))


def holm(p: Reals) -> Reals:
    """Return the p-values [K] after Holm's correction for multiple tests (Holm 1979); NaN is ignored and stays NaN."""
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    raised = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    corrected = np.full(p.shape, np.nan)
    corrected[order] = np.minimum(raised, 1.0)
    return corrected
