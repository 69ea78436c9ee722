"""Solvers for the two regression models: ordinary least squares, and random intercepts.

Random intercepts of targets, or of targets and sources, are estimated by restricted maximum likelihood (REML):

    score = X β + u_target (+ u_source) + ε,   u ~ N(0, θ² σ²),   ε ~ N(0, σ²)

For a given θ, all other estimates are the solution of one linear system, the mixed-model equations of Henderson (1950).
This module uses the form of Bates et al. (2015, "Fitting linear mixed-effects models using lme4"), which allows θ = 0.
The criterion is therefore minimised over one or two values of θ only. `MixedLM` of statsmodels maximises the same
likelihood, and the tests compare this module with `MixedLM`. It is not used here for three reasons. Every held-out
language needs another fit, and one fit by `MixedLM` with crossed intercepts on 5,429 pairs takes 3 s. If a variance is
zero, which is common with a dozen targets, `MixedLM` gives no standard errors. Prediction intervals need the joint
covariance of coefficients and intercepts, which `MixedLM` does not return.
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

#: With a smaller ratio of standard deviations, the variance between languages is treated as zero.
_ZERO: Final = 1e-3
#: Upper bound of log(1 + θ²): the variance of intercepts is 8,000 times that of residuals, which are then negligible.
_LARGEST: Final = 18.0
#: Start values of log(1 + θ²): a variance of 0, 1/3, 3, 20, 150 and 3,000 times that of the residuals.
_GRID: Final = (0.0, 0.3, 1.4, 3.0, 5.0, 8.0)
_SEARCHES: Final = 3
#: Lower bound of the residual sum of squares relative to that of the scores. A smaller sum is a rounding error, for
#: which the criterion has no minimum.
_EXACT: Final = 1e-12


def solve_ols(design: Design) -> Solution:
    """Fit by ordinary least squares, and estimate the covariance of the coefficients by a two-way jackknife.

    Pairs with the same target are not independent, because an easy target is easy for all sources; pairs with the same
    source are not independent either. The covariance of the coefficients is the sum of two jackknife estimates. One
    leaves out each target in turn, the other each source:

        V = Σ over both of (G − 1) / G · Σ_g (b₋g − b)(b₋g − b)'

    G is the number of targets (or sources), and b₋g are the coefficients without the pairs of language g. The variance
    between single pairs is counted in both terms. Therefore intervals are too wide rather than too narrow. The usual
    two-way estimate subtracts it. In simulations with 8 to 20 sources and targets, its 95 % intervals for a property of
    the source covered the true value in 1 % to 87 % of the data sets, and the intervals of this function in 92 % to 99
    %.

    Returns:
        The estimates in the units of the scores and predictors.

    Source:
        MacKinnon, Nielsen and Webb (2023), "Cluster-robust inference: a guide to empirical practice" (CV3); the sum
        of both ways is the two-term estimator of Davezies, D'Haultfœuille and Guyonvarch (2021).
    """
    scores, regressors = design.flat()
    coefficients: Reals = np.linalg.lstsq(regressors, scores, rcond=None)[0].astype(np.float64)
    residual = float(np.square(scores - regressors @ coefficients).sum())
    covariance = _jackknife(design, coefficients, axis=0) + _jackknife(design, coefficients, axis=1)
    units = design.to_units
    clusters = min(int((count > 0).sum()) for count in design.counts().values())
    return Solution(
        units @ coefficients,
        {},
        units @ covariance @ units.T,
        residual / (design.count - design.width),
        float(clusters - 1),
    )


def _jackknife(design: Design, coefficients: Reals, axis: int) -> Reals:
    """Return the jackknife covariance of the coefficients [P], float64 [P, P].

    Each target (axis 0), or each source (axis 1), is left out once.
    """
    # Arrays [G, pairs, P] and [G, pairs] with the pairs of each target, or of each source.
    regressors = (design.regressors * design.pairs[:, :, None]).swapaxes(0, 1 - axis)
    scores = (design.scores * design.pairs).swapaxes(0, 1 - axis)
    products = np.einsum("gip,giq->gpq", regressors, regressors)
    moments = np.einsum("gip,gi->gp", regressors, scores)
    # If only one language determines a coefficient, the fit without this language does not identify the coefficient. As
    # in CV3, the solution of smallest norm is used.
    inverse = np.linalg.pinv(products.sum(axis=0) - products, hermitian=True)
    without = np.einsum("gpq,gq->gp", inverse, moments.sum(axis=0) - moments)
    present = design.pairs.any(axis=axis)
    deviations = without[present] - coefficients
    covariance: Reals = (present.sum() - 1) / present.sum() * deviations.T @ deviations
    return covariance


@dataclass(frozen=True)
class Sums:
    """The sums over pairs in the mixed-model equations.

    The sums of the targets' intercepts are separate, because these intercepts are eliminated first.

    Attributes:
        width: P.
        rest: float64 [S' + P, S' + P]: cross products of the columns (indicators of sources, regressors). S' is S, or 0
            if sources have no random intercepts.
        across: float64 [T, S' + P]: cross products of the indicators of targets with the columns of `rest`.
        scores: float64 [S' + P]: cross products of the scores with the columns of `rest`.
        target_scores: float64 [T]: sum of the scores of each target.
        target_counts: float64 [T]: number of pairs of each target.
        total: Sum of squares of the centred scores.
        mean: Mean of the scores, which is subtracted from them.
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
        """S', the number of sources with random intercepts; 0 if sources have none."""
        return len(self.scores) - self.width


def sums_of(design: Design, crossed: bool) -> Sums:
    """Return the sums over the pairs of a design.

    Args:
        design: The pairs.
        crossed: Whether sources also have random intercepts.
    """
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
    """Return the REML criterion: −2 × the restricted log-likelihood, profiled over β and σ², up to a constant.

    Args:
        sums: The sums over the pairs.
        theta: [1] for targets, or [2] for targets and sources: the standard deviation of the random intercepts divided
            by that of the residuals.
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
    """Eliminate the intercepts of the targets from the mixed-model equations.

    Returns:
        The diagonal of the block of these intercepts, float64 [T]; the matrix of the remaining equations,
        float64 [S' + P, S' + P]; and their right side, float64 [S' + P].
    """
    scaled = np.ones(len(sums.scores))
    scaled[: sums.sources] = theta[-1]
    diagonal = theta[0] ** 2 * sums.target_counts + 1.0
    across = theta[0] * sums.across * scaled
    rest = sums.rest * np.outer(scaled, scaled) - across.T @ (across / diagonal[:, None])
    rest[range(sums.sources), range(sums.sources)] += 1.0
    right = sums.scores * scaled - across.T @ (theta[0] * sums.target_scores / diagonal)
    return diagonal, rest, right


def best_ratios(sums: Sums, start: Sequence[float] | None = None) -> Reals:
    """Return the θ that minimises the criterion: [1], or [2] if sources also have random intercepts.

    The search variable is log(1 + θ²). The derivative of the criterion with respect to θ itself is always zero at
    θ = 0. A search over θ would therefore stop there. On the logarithmic scale, a search also reaches a large θ in few
    steps. If θ has two values, the criterion can have several local minima. Therefore several searches start at the
    lowest points of a coarse grid, and at `start`, if it is given.
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
    ratios = _ratio(min(searches, key=lambda search: float(search.fun)).x)
    return np.where(ratios < _ZERO, 0.0, ratios)


def _ratio(logs: Reals) -> Reals:
    ratios: Reals = np.sqrt(np.expm1(logs))
    return ratios


def solve_mixed(design: Design, factors: Sequence[str], start: Mapping[str, float] | None = None) -> Solution:
    """Fit a model with random intercepts by REML.

    A language of the grid that has no pairs has no random intercept in the solution.

    Args:
        design: The pairs.
        factors: (`target`,) or (`target`, `source`).
        start: {factor: θ}: an additional start value of the search, from the solution of a similar design.

    Returns:
        The estimates in the units of the scores and predictors.
    """
    crossed = len(factors) == 2
    sums = sums_of(design, crossed)
    theta = best_ratios(sums, None if start is None else [start[factor] for factor in factors])
    return _solution(design, sums, factors, theta)


def _solution(design: Design, sums: Sums, factors: Sequence[str], theta: Reals) -> Solution:
    """Solve the complete mixed-model equations for a given θ, and convert the solution to the predictors' units."""
    targets, sources = len(sums.target_counts), sums.sources
    ratios = np.concatenate((np.full(targets, theta[0]), np.full(sources, theta[-1]), np.ones(sums.width)))
    matrix = np.block([[np.diag(sums.target_counts), sums.across], [sums.across.T, sums.rest]]) * np.outer(
        ratios, ratios
    )
    random = targets + sources
    matrix[range(random), range(random)] += 1.0
    right = np.concatenate((sums.target_scores, sums.scores)) * ratios
    inverse = np.linalg.inv(matrix)
    estimates = inverse @ right
    variance = max(sums.total - float(estimates @ right), _EXACT * sums.total) / (sums.count - sums.width)
    coefficients = np.arange(random, random + sums.width)
    present = [np.flatnonzero(design.counts()[factor]) for factor in factors]
    intercepts = [rows + offset for rows, offset in zip(present, (0, targets), strict=False)]
    order = np.concatenate((coefficients, *intercepts))
    to_units = np.diag(np.concatenate((np.ones(sums.width), ratios[order[sums.width :]])))
    to_units[: sums.width, : sums.width] = design.to_units
    values = to_units @ estimates[order]
    values[0] += sums.mean
    parts = np.split(values, np.cumsum([sums.width, *map(len, present)])[:-1])
    labels = {"target": design.targets, "source": design.sources}
    effects = {
        factor: RandomIntercepts(tuple(labels[factor][row] for row in rows), part, variance * float(ratio) ** 2)
        for factor, rows, part, ratio in zip(factors, present, parts[1:], theta, strict=True)
    }
    return Solution(
        parts[0],
        effects,
        variance * to_units @ inverse[np.ix_(order, order)] @ to_units.T,
        variance,
        float(sums.count - sums.width),
        {factor: float(len(effect.labels) - 1) for factor, effect in effects.items()},
    )
