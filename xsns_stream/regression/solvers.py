"""Solvers for the two regression models: ordinary least squares, and random intercepts.

Random intercepts of targets, or of targets and sources, are estimated by restricted maximum likelihood (REML):

    score = X β + u_target (+ u_source) + ε,   u ~ N(0, θ² σ²),   ε ~ N(0, σ²)

For given θ everything else is the solution of one linear system (Henderson 1950; in the form of Bates et al. 2015,
"Fitting linear mixed-effects models using lme4", which allows θ = 0), and the profiled criterion has one or two
variables. statsmodels' `MixedLM` maximises the same likelihood and is what the tests compare with. It is not used here
because every left-out language is another fit, of 3 s each with crossed intercepts on 5,429 pairs; because a variance
of zero, usual with a dozen targets, is a boundary at which it has no standard errors; and because prediction intervals
need the joint covariance of coefficients and intercepts, which it does not give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Final

import numpy as np

from xsns_stream.regression.design import Design
from xsns_stream.types import Reals
from xsns_stream.types.regressions import RandomIntercepts, Solution

#: Below this ratio of standard deviations a variance between languages counts as zero.
_ZERO: Final = 1e-3
#: Of log(1 + θ²): intercepts that vary 8,000 times as much as residuals. More is scores without residuals.
_LARGEST: Final = 18.0
#: Where searches may begin, of log(1 + θ²): no variance, a third, 3, 20, 150 and 3,000 times the residual one.
_GRID: Final = (0.0, 0.3, 1.4, 3.0, 5.0, 8.0)
_SEARCHES: Final = 3
#: A residual sum of squares below this share of the scores' own is rounding: the criterion has no minimum there.
_EXACT: Final = 1e-12


def solve_ols(design: Design) -> Solution:
    """Fit by least squares.

    Pairs of one target are not independent, nor are those of one source: an easy target is easy for all. The
    covariance of the coefficients is the jackknife's over targets plus the jackknife's over sources:

        V = Σ over both of (G − 1) / G · Σ_g (b₋g − b)(b₋g − b)'

    What both have in common, pairs that are alike for no reason of target or source, is counted twice: intervals are
    rather too wide than too narrow. The usual two-way estimate subtracts it; with 8 to 20 languages a side, its 95 %
    intervals for a property of the source held the truth in 1 % to 87 % of simulated data, these in 92 % to 99 %.

    Returns:
        In the units of the scores and predictors.

    Source:
        MacKinnon, Nielsen and Webb (2023), "Cluster-robust inference: a guide to empirical practice" (CV3); the sum
        of both ways is the two-term estimator of Davezies, D'Haultfœuille and Guyonvarch (2021).
    """
    scores, lines = design.lines()
    found: Reals = np.linalg.lstsq(lines, scores, rcond=None)[0].astype(np.float64)
    residual = float(np.square(scores - lines @ found).sum())
    covariance = _jackknife(design, found, axis=0) + _jackknife(design, found, axis=1)
    units = design.to_units
    clusters = min(int((count > 0).sum()) for count in design.counts().values())
    return Solution(
        units @ found,
        {},
        units @ covariance @ units.T,
        residual / (design.count - design.width),
        float(clusters - 1),
    )


def _jackknife(design: Design, found: Reals, axis: int) -> Reals:
    """Return float64 [P, P]: the spread of the coefficients as each target (axis 0), or source (1), is left out."""
    # [G, its pairs, P] and [G, its pairs]: a line for each target, or source.
    regressors = (design.regressors * design.pairs[:, :, None]).swapaxes(0, 1 - axis)
    scores = (design.scores * design.pairs).swapaxes(0, 1 - axis)
    products = np.einsum("gip,giq->gpq", regressors, regressors)
    moments = np.einsum("gip,gi->gp", regressors, scores)
    # What a language alone determines has no coefficient without it: the shortest solution is taken, as CV3 does.
    inverse = np.linalg.pinv(products.sum(axis=0) - products, hermitian=True)
    without = np.einsum("gpq,gq->gp", inverse, moments.sum(axis=0) - moments)
    there = design.pairs.any(axis=axis)
    deviations = without[there] - found
    spread: Reals = (there.sum() - 1) / there.sum() * deviations.T @ deviations
    return spread


@dataclass(frozen=True)
class Sums:
    """The sums over pairs that the equations consist of; targets are eliminated first, so they stand apart.

    Attributes:
        width: P.
        targets: float64 [T, P], sums of regressors over each target's pairs; [T] of them of scores; [T] counts.
        rest: float64 [S' + P, S' + P], S' = S or 0: cross products of sources' indicators and regressors.
        across: float64 [T, S' + P], of targets' indicators with those.
        scores: float64 [S' + P], of scores with those.
        target_scores: float64 [T].
        target_counts: float64 [T].
        total: Sum of squared scores, whose mean was taken off.
        mean: That mean.
        count: Number of pairs.
    """

    width: int
    rest: Reals
    across: Reals
    scores: Reals
    target_scores: Reals
    target_counts: Reals
    total: float
    mean: float
    count: int

    @cached_property
    def sources(self) -> int:
        """S', the number of sources with random intercepts."""
        return len(self.scores) - self.width


def sums_of(design: Design, crossed: bool) -> Sums:
    """Return the sums over the design's pairs."""
    pairs = design.pairs.astype(np.float64)
    mean = float(design.scores[design.pairs].mean())
    scores = (design.scores - mean) * pairs
    regressors = design.regressors * pairs[:, :, None]
    flat = regressors.reshape(-1, design.width)
    rest, across, moments = flat.T @ flat, regressors.sum(axis=0), flat.T @ scores.ravel()
    if crossed:
        by_source = regressors.sum(axis=1)
        rest = np.block([[np.diag(pairs.sum(axis=1)), by_source], [by_source.T, rest]])
        across = np.hstack((pairs.T, across))
        moments = np.concatenate((scores.sum(axis=1), moments))
    return Sums(
        design.width,
        rest,
        across,
        moments,
        scores.sum(axis=0),
        pairs.sum(axis=0),
        float(np.square(scores).sum()),
        mean,
        design.count,
    )


def criterion(sums: Sums, theta: Reals) -> float:
    """Return −2 × the restricted log-likelihood, profiled over β and σ², up to a constant.

    Args:
        sums: Of the pairs.
        theta: Ratio of the intercepts' standard deviation to the residual one: of targets, or of targets and sources.
    """
    diagonal, rest, right = _eliminated(sums, theta)
    factor = np.linalg.cholesky(rest)
    half = np.linalg.solve(factor, right)
    explained = float(half @ half) + float((np.square(theta[0] * sums.target_scores) / diagonal).sum())
    residual = max(sums.total - explained, _EXACT * sums.total)
    degrees = sums.count - sums.width
    determinant = float(np.log(diagonal).sum()) + 2.0 * float(np.log(np.diag(factor)).sum())
    return determinant + degrees * float(np.log(residual / degrees))


def _eliminated(sums: Sums, theta: Reals) -> tuple[Reals, Reals, Reals]:
    """Return the diagonal block of the targets, and matrix and right side of the rest once they are eliminated."""
    scaled = np.ones(len(sums.scores))
    scaled[: sums.sources] = theta[-1]
    diagonal = theta[0] ** 2 * sums.target_counts + 1.0
    across = theta[0] * sums.across * scaled
    rest = sums.rest * np.outer(scaled, scaled) - across.T @ (across / diagonal[:, None])
    rest[range(sums.sources), range(sums.sources)] += 1.0
    right = sums.scores * scaled - across.T @ (theta[0] * sums.target_scores / diagonal)
    return diagonal, rest, right


def best_ratios(sums: Sums, start: Sequence[float] | None = None) -> Reals:
    """Return the θ that minimises the criterion: [1], or [2] where sources have intercepts too.

    What is varied is log(1 + θ²). At θ = 0 the slope in θ itself is zero wherever the minimum lies, and a search that
    comes there stays; a large θ is reached in few steps. With two ratios the criterion may have several valleys: the
    searches begin in the lowest points of a coarse grid.
    """
    from scipy.optimize import minimize

    unknown = 2 if sums.sources else 1
    starts = [np.array(logs) for logs in product(_GRID, repeat=unknown)]
    if start is not None:
        starts.append(np.log1p(np.square(np.asarray(start, np.float64))))
    starts.sort(key=lambda logs: criterion(sums, _ratio(logs)))
    searches = [
        minimize(
            lambda logs: criterion(sums, _ratio(logs)),
            logs,
            method="L-BFGS-B",
            bounds=[(0.0, _LARGEST)] * unknown,
            options={"ftol": 1e-13, "gtol": 1e-6},
        )
        for logs in starts[:_SEARCHES]
    ]
    ratios = _ratio(min(searches, key=lambda found: float(found.fun)).x)
    return np.where(ratios < _ZERO, 0.0, ratios)


def _ratio(logs: Reals) -> Reals:
    ratios: Reals = np.sqrt(np.expm1(logs))
    return ratios


def solve_mixed(design: Design, factors: Sequence[str], start: Mapping[str, float] | None = None) -> Solution:
    """Fit a model with random intercepts.

    Languages of the grid that have no pairs are unknown to the solution.

    Args:
        design: The pairs.
        factors: (`target`,) or (`target`, `source`).
        start: Ratios to begin with, {factor: θ}, where a similar design was solved before.

    Returns:
        In the units of the scores and predictors.
    """
    crossed = len(factors) == 2
    sums = sums_of(design, crossed)
    theta = best_ratios(sums, None if start is None else [start[factor] for factor in factors])
    return _solution(design, sums, factors, theta)


def _solution(design: Design, sums: Sums, factors: Sequence[str], theta: Reals) -> Solution:
    """Solve the whole system for given ratios, and turn it into the units of the predictors."""
    targets, sources = len(sums.target_counts), sums.sources
    ratios = np.concatenate((np.full(targets, theta[0]), np.full(sources, theta[-1]), np.ones(sums.width)))
    matrix = np.block([[np.diag(sums.target_counts), sums.across], [sums.across.T, sums.rest]]) * np.outer(
        ratios, ratios
    )
    random = targets + sources
    matrix[range(random), range(random)] += 1.0
    right = np.concatenate((sums.target_scores, sums.scores)) * ratios
    inverse = np.linalg.inv(matrix)
    found = inverse @ right
    variance = max(sums.total - float(found @ right), _EXACT * sums.total) / (sums.count - sums.width)
    coefficients = np.arange(random, random + sums.width)
    kept = [np.flatnonzero(design.counts()[factor]) for factor in factors]
    order = np.concatenate((coefficients, *(place + offset for place, offset in zip(kept, (0, targets), strict=False))))
    back = np.diag(np.concatenate((np.ones(sums.width), ratios[order[sums.width :]])))
    back[: sums.width, : sums.width] = design.to_units
    values = back @ found[order]
    values[0] += sums.mean
    parts = np.split(values, np.cumsum([sums.width, *map(len, kept)])[:-1])
    labels = {"target": design.targets, "source": design.sources}
    effects = {
        factor: RandomIntercepts(tuple(labels[factor][place] for place in places), part, variance * float(ratio) ** 2)
        for factor, places, part, ratio in zip(factors, kept, parts[1:], theta, strict=True)
    }
    return Solution(
        parts[0],
        effects,
        variance * back @ inverse[np.ix_(order, order)] @ back.T,
        variance,
        float(sums.count - sums.width),
        {factor: float(len(effect.labels) - 1) for factor, effect in effects.items()},
    )
