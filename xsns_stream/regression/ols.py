"""Ordinary least squares, with standard errors that know that pairs share languages."""

from __future__ import annotations

import numpy as np

from xsns_stream.regression.design import Design
from xsns_stream.types import Reals
from xsns_stream.types.regressions import Solution


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
