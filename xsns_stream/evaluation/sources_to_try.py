"""Number of sources that must be tried, in the predicted order, until one of them is near-best for most targets.

A source is near-best for a target if it loses at most 5 % of the best score
(:func:`xsns_stream.evaluation.metrics.near_best`). The number for one target is computed from the other targets by
conformal prediction: it is the smallest k for which the shares of the other m targets with a near-best source among the
first k add up to at least 0.9 (m + 1). If targets are exchangeable, the first k sources of a new target contain a
near-best one with a probability of at least 90 %. With fewer than nine other targets no k is enough, and the number is
that of all candidates.

Source:
    Vovk, Gammerman and Shafer (2005), "Algorithmic Learning in a Random World"; Angelopoulos and Bates (2023),
    "Conformal prediction: a gentle introduction".

Index letters: B resamples, T targets, R seeds of a prediction, Q seeds of the gold scores, N the largest number of
candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.evaluation.metrics import COVERAGE, Mask, by_candidate_count, incomplete, near_best
from xsns_stream.evaluation.resampling import Resamples, blocks, mean_over_targets
from xsns_stream.types import Reals

#: Smallest number of targets for which fewer sources than all can be enough: the target itself and nine others.
FEWEST_TARGETS: Final = 10
# Sums of probabilities with a smaller difference are treated as equal.
_ROUNDING: Final = 1e-9


def near_best_curves(x: Reals, y: Reals, candidates: Mask) -> Reals:
    """Return the probability that one of the first k sources is near-best, for every k: float64 [T, R, Q, N].

    The value is 1 if k is at least the number of candidates, and NaN if the metrics of the target are undefined.

    Args:
        x: Predictions [R, S, T].
        y: Scores [Q, S, T].
        candidates: bool [Q, S, T].
    """
    longest = max(int(candidates.sum(axis=1).max(initial=0)), 1)
    curves = np.full((x.shape[2], len(x), len(y), longest), np.nan)
    for gold in range(len(y)):
        usable = ~incomplete(x, candidates[gold])
        for targets, sources in by_candidate_count(candidates[gold], usable):
            predicted, scores = x[:, sources, targets[:, None]], y[gold][sources, targets[:, None]]
            found = np.moveaxis(near_best(predicted, scores[None]), 0, 1)
            curves[targets, :, gold, : found.shape[-1]] = found
            curves[targets, :, gold, found.shape[-1] :] = np.where(np.isnan(found[..., :1]), np.nan, 1.0)
    return curves


def sources_to_try(curves: Reals, sizes: NDArray[np.intp], weights: Reals) -> Reals:
    """Return the number of sources to try for each target, computed from the other targets: float64 [B, T, R, Q].

    Args:
        curves: float64 [T, R, Q, N], from :func:`near_best_curves`.
        sizes: int [T, Q]: number of candidates of each target, which is the largest number of sources to try.
        weights: float64 [B, T]: how often each target is drawn in a resample. All copies of a target are left out when
            its number is computed.
    """
    targets, seeds, gold, _ = curves.shape
    numbers = np.full((len(weights), targets, seeds, gold), np.nan)
    for row, column in np.ndindex(seeds, gold):
        curve = curves[:, row, column]
        known = np.isfinite(curve[:, -1])
        times = weights * known
        found = _first_enough(np.where(known[:, None], curve, 0.0), times)
        numbers[:, :, row, column] = np.where(known, np.minimum(found, sizes[:, column]), np.nan)
    return numbers


def _first_enough(curve: Reals, times: Reals) -> NDArray[np.intp]:
    """Return, for each target, the smallest k that is enough for the other targets; N if no k is enough: int [B, T].

    A number k is enough if the curves of the m other targets add up to at least 0.9 (m + 1) at k.

    Args:
        curve: float64 [T, N]: the probability that one of the first k sources is near-best, for k = 1 … N.
        times: float64 [B, T]: how often each target is drawn.
    """
    summed, longest = times @ curve, curve.shape[1]
    needed = COVERAGE * (times.sum(axis=1, keepdims=True) - times + 1) - _ROUNDING
    # The sum over the other targets is at most that over all targets, and at least that minus the number of copies.
    copies = np.arange(int(times.max(initial=0)) + 1)
    least = COVERAGE * (times.sum(axis=1, keepdims=True) - copies + 1) - _ROUNDING
    lower = (summed[:, None] < least[:, :, None]).sum(axis=2)
    upper = (summed[:, None] - copies[:, None] < least[:, :, None]).sum(axis=2)
    block, drawn = np.arange(len(times))[:, None], times.astype(np.intp)
    found = lower[block, drawn]
    rows, columns = np.nonzero((lower < upper)[block, drawn] & (found < longest - 1))
    while len(rows):
        position = found[rows, columns]
        others = summed[rows, position] - times[rows, columns] * curve[columns, position]
        missed = others < needed[rows, columns]
        rows, columns = rows[missed], columns[missed]
        found[rows, columns] += 1
        inside = found[rows, columns] < longest - 1
        rows, columns = rows[inside], columns[inside]
    enough: NDArray[np.intp] = np.minimum(found + 1, longest)
    return enough


def resampled_numbers(
    cells: Sequence[Reals],
    curves: Sequence[Reals],
    sizes: Sequence[NDArray[np.intp]],
    resamples: int,
    seed: int,
    reference: int | None,
) -> tuple[Reals, Reals | None]:
    """Return the mean number of sources to try in every resample, as :func:`bootstrap` does for other metrics.

    The numbers are computed again in each resample, because they depend on all of its targets.

    Args:
        cells: Metrics [M, T, R, Q] of each of P predictors. Only the numbers of seeds, R and Q, are used.
        curves: [T, R, Q, N] of each predictor.
        sizes: [T, Q] of each predictor, see :func:`sources_to_try`.
        resamples: B, the number of resamples.
        seed: Seed for resampling; the resamples are those of :func:`bootstrap`.
        reference: Index of the predictor from which differences are computed; None for no differences.

    Returns:
        Means [P, 1, B], and mean differences from the reference predictor [P, 1, B]; None if there is no reference.
    """
    means = np.full((len(cells), 1, resamples), np.nan)
    differences = None if reference is None else np.full_like(means, np.nan)
    start = 0
    for resampled in blocks(cells, resamples, seed):
        block = slice(start, start + len(resampled.targets))
        start = block.stop
        averaged = [
            _mean_over_seeds(sources_to_try(curve, size, resampled.targets), resampled)
            for curve, size in zip(curves, sizes, strict=True)
        ]
        for row, values in enumerate(averaged):
            means[row, :, block] = mean_over_targets(values, resampled.targets).T
            if differences is not None and reference is not None:
                moved = values - averaged[reference]
                differences[row, :, block] = mean_over_targets(moved, resampled.targets).T
    return means, differences


def _mean_over_seeds(numbers: Reals, resampled: Resamples) -> Reals:
    """Return the mean of numbers [B, T, R, Q] over the resampled pairs of seeds, float64 [B, 1, T]."""
    _, _, seeds, gold = numbers.shape
    if seeds * gold == 1:
        return numbers[:, None, :, 0, 0]
    pairs = resampled.seeds[seeds][:, :, None] * resampled.gold[:, None, :]
    known = np.isfinite(numbers)
    total = np.einsum("btrq,brq->bt", np.where(known, numbers, 0.0), pairs)
    weight = np.einsum("btrq,brq->bt", known, pairs)
    mean: Reals = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    return mean[:, None]
