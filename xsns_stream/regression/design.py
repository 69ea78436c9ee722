"""Joined scores → the arrays that a regression needs, checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.types import Reals
from xsns_stream.types.transfer_scores import JoinedScores

#: Fewer languages on a side leave nothing to estimate a variance between languages from once one is left out.
LEAST_LANGUAGES: Final = 3
#: What remains of a predictor of unit variance when the others are taken out; less is rounding.
_RANK_TOLERANCE: Final = 1e-7
#: A predictor that varies less than this, relative to its values, is constant but for rounding.
_ROUNDING: Final = 1e-12
#: From this variance inflation factor on, the usual rule of thumb speaks of collinearity.
_INFLATED: Final = 10.0


@dataclass(frozen=True)
class Design:
    """Scores and predictors on the grid of sources and targets.

    A grid, because every sum that a model with random intercepts needs is then a sum over rows, columns or both, and
    leaving a language out is a mask. Predictors have mean 0 and standard deviation 1 over the pairs of the pool, so
    that a predictor's unit (a Jaccard coefficient, a number of sentences) costs no precision.

    Attributes:
        sources: S codes.
        targets: T codes.
        names: K predictors.
        scores: float64 [S, T]; 0 where there is no pair.
        regressors: float64 [S, T, P], P = K + 1: one, then the standardised predictors; 0 where there is no pair.
        pairs: Boolean [S, T]: which pairs a model is fitted to.
        centre: float64 [K], subtracted from the predictors.
        scale: float64 [K], by which they were divided then.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    names: tuple[str, ...]
    scores: Reals
    regressors: Reals
    pairs: NDArray[np.bool_]
    centre: Reals
    scale: Reals

    @property
    def count(self) -> int:
        """Number of pairs."""
        return int(self.pairs.sum())

    @property
    def width(self) -> int:
        """P, the number of coefficients."""
        return int(self.regressors.shape[2])

    @property
    def to_units(self) -> Reals:
        """float64 [P, P] that turns coefficients of standardised predictors into those of the predictors' own units."""
        turned = np.diag(np.concatenate(([1.0], 1.0 / self.scale)))
        turned[0, 1:] = -self.centre / self.scale
        return turned

    def lines(self) -> tuple[Reals, Reals]:
        """Return scores [n] and regressors [n, P] of the pairs, source by source."""
        return self.scores[self.pairs], self.regressors[self.pairs]

    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Return {factor: int64 [Q], how many pairs each language has}."""
        return {"target": self.pairs.sum(axis=0), "source": self.pairs.sum(axis=1)}

    def without(self, factor: str, place: int) -> Design:
        """Return the design without the pairs of one target or source."""
        left = self.pairs.copy()
        left[(slice(None), place) if factor == "target" else (place, slice(None))] = False
        return replace(self, pairs=left)

    def without_predictors(self) -> Design:
        """Return the design with the intercept alone."""
        empty = np.zeros(0)
        return replace(self, names=(), regressors=self.regressors[:, :, :1], centre=empty, scale=empty)

    def determined(self) -> bool:
        """Say whether the pairs determine every coefficient, and both sides have languages enough."""
        _, lines = self.lines()
        enough = all((count > 0).sum() >= LEAST_LANGUAGES - 1 for count in self.counts().values())
        return enough and len(lines) > self.width and _rank(lines) == self.width

    def varies(self, name: str, within: str) -> bool:
        """Say whether a predictor differs between pairs of the same target, or source."""
        values = self.regressors[:, :, self.names.index(name) + 1]
        axis = 0 if within == "target" else 1
        spread = np.where(self.pairs, values, -np.inf).max(axis=axis) - np.where(self.pairs, values, np.inf).min(axis)
        return bool((spread[self.pairs.any(axis=axis)] > _RANK_TOLERANCE).any())


def design_of(joined: JoinedScores) -> Design:
    """Return the design of all candidate pairs; predictions and scores are means over seeds.

    Raises:
        UsageError: There are too few languages or pairs; all scores are equal; a predictor is the same for all pairs,
            or is determined by others.
    """
    pairs = joined.candidates
    rows, columns = pairs.any(axis=1), pairs.any(axis=0)
    pairs = pairs[rows][:, columns]
    scores = np.where(pairs, joined.gold.values[rows][:, columns], 0.0)
    values = [np.where(pairs, prediction.values[rows][:, columns], 0.0) for prediction in joined.predictions]
    names = tuple(prediction.name for prediction in joined.predictions)
    _require_enough(pairs, names, scores)
    lines = np.stack([value[pairs] for value in values], axis=1)
    _require_variation(names, lines)
    centre, scale = lines.mean(axis=0), lines.std(axis=0)
    grid = (np.stack(values, axis=2) - centre) / scale
    design = Design(
        tuple(joined.sources[row] for row in np.flatnonzero(rows)),
        tuple(joined.targets[column] for column in np.flatnonzero(columns)),
        names,
        scores,
        np.concatenate((np.ones((*pairs.shape, 1)), grid), axis=2) * pairs[:, :, None],
        pairs,
        centre,
        scale,
    )
    _require_independence(design)
    return design


def collinearity_notes(design: Design) -> Iterator[str]:
    """Yield a sentence for each predictor that the others nearly determine."""
    if len(design.names) < 2:
        return
    _, lines = design.lines()
    correlation = np.corrcoef(lines[:, 1:], rowvar=False)
    for name, inflation in zip(design.names, np.diag(np.linalg.inv(correlation)), strict=True):
        if inflation > _INFLATED:
            yield (
                f"'{name}' is nearly determined by the other predictors (variance inflation factor {inflation:.0f}): "
                "its own coefficient says little."
            )


def _require_enough(pairs: NDArray[np.bool_], names: tuple[str, ...], scores: Reals) -> None:
    for kind, number in (("sources", pairs.shape[0]), ("targets", pairs.shape[1])):
        if number < LEAST_LANGUAGES:
            raise UsageError(
                f"the pairs have {number} {kind}, and a regression needs at least {LEAST_LANGUAGES}.",
                "give gold scores and predictors that share more languages.",
            )
    count = int(pairs.sum())
    if count <= len(names) + 1:
        raise UsageError(
            f"{count} pairs do not determine {len(names) + 1} coefficients.",
            "leave out predictors, or give predictors that know more of the gold scores' languages.",
        )
    if np.ptp(scores[pairs]) == 0:
        raise UsageError("all gold scores of the pairs are equal: there is nothing to explain.")


def _require_variation(names: tuple[str, ...], lines: Reals) -> None:
    constant = [name for name, x in zip(names, lines.T, strict=True) if np.ptp(x) <= _ROUNDING * np.abs(x).max()]
    if constant:
        raise UsageError(
            f"the same value for all {len(lines)} pairs: {_quoted(constant)}.",
            "leave it out, or take pairs among which it differs.",
        )


def _require_independence(design: Design) -> None:
    """Refuse a predictor that those before it, and the constant, determine."""
    _, lines = design.lines()
    if _rank(lines) == design.width:
        return
    for place, name in enumerate(design.names, start=1):
        if _rank(lines[:, : place + 1]) <= place:
            raise UsageError(
                f"the predictor '{name}' is determined by {_quoted(design.names[: place - 1])}.",
                "leave one of them out: their coefficients cannot be told apart.",
            )


def _rank(lines: Reals) -> int:
    return int(np.linalg.matrix_rank(lines, tol=_RANK_TOLERANCE * np.sqrt(max(1, len(lines)))))


def _quoted(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
