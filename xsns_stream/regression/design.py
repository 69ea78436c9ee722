"""Design of a regression: scores and standardised predictors on the grid of sources and targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.types import Reals
from xsns_stream.types.transfer_scores import JoinedScores

#: Smallest number of sources and of targets. With fewer, the variance between languages cannot be estimated after one
#: is held out.
FEWEST_LANGUAGES: Final = 3
#: Smaller singular values, divided by the square root of the number of pairs, are treated as rounding errors.
_RANK_TOLERANCE: Final = 1e-7
#: Predictors with a smaller relative variation are treated as constant.
_ROUNDING: Final = 1e-12
#: Predictors with a larger variance inflation factor are treated as collinear (the usual rule of thumb).
_INFLATED: Final = 10.0


@dataclass(frozen=True)
class Design:
    """Scores and predictors on the grid of sources and targets.

    Rows of the grid are sources, and columns are targets. On a grid, each sum in the equations of a model with random
    intercepts is a sum over rows, over columns, or over both, and a language is held out by a mask. Predictors are
    standardised to mean 0 and standard deviation 1 over the pairs of the pool. Their units (a Jaccard coefficient, a
    number of sentences) therefore do not affect the precision.

    Attributes:
        sources: S codes.
        targets: T codes.
        names: Names of K predictors.
        scores: float64 [S, T]; 0 for missing pairs.
        regressors: float64 [S, T, P] with P = K + 1: the constant 1, then the standardised predictors; 0 for missing
            pairs.
        pairs: Boolean [S, T]: the pairs to which the model is fitted.
        centre: float64 [K]: means of the predictors.
        scale: float64 [K]: standard deviations of the predictors.
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
        """The number of pairs."""
        return int(self.pairs.sum())

    @property
    def width(self) -> int:
        """P, the number of coefficients."""
        return int(self.regressors.shape[2])

    @property
    def to_units(self) -> Reals:
        """float64 [P, P]: matrix that converts coefficients of standardised predictors to the predictors' own units."""
        conversion = np.diag(np.concatenate(([1.0], 1.0 / self.scale)))
        conversion[0, 1:] = -self.centre / self.scale
        return conversion

    def flat(self) -> tuple[Reals, Reals]:
        """Return the scores [n] and the regressors [n, P] of the pairs, ordered by source and then by target."""
        return self.scores[self.pairs], self.regressors[self.pairs]

    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Return the number of pairs of each target and of each source: {`target`: int64 [T], `source`: int64 [S]}."""
        return {"target": self.pairs.sum(axis=0), "source": self.pairs.sum(axis=1)}

    def without(self, factor: str, index: int) -> Design:
        """Return the design without the pairs of one language.

        The language is the target (or the source, as `factor` says) with the index `index`.
        """
        remaining = self.pairs.copy()
        remaining[(slice(None), index) if factor == "target" else (index, slice(None))] = False
        return replace(self, pairs=remaining)

    def without_predictors(self) -> Design:
        """Return the same design without predictors, whose only regressor is the constant 1."""
        empty = np.zeros(0)
        return replace(self, names=(), regressors=self.regressors[:, :, :1], centre=empty, scale=empty)

    def determined(self) -> bool:
        """Return whether the pairs determine every coefficient, and include at least two sources and two targets."""
        _, regressors = self.flat()
        enough = all((count > 0).sum() >= FEWEST_LANGUAGES - 1 for count in self.counts().values())
        return enough and len(regressors) > self.width and _rank(regressors) == self.width

    def varies(self, name: str, within: str) -> bool:
        """Return whether a predictor has different values for some pairs of the same language.

        Args:
            name: The name of the predictor.
            within: `target` for pairs with the same target, `source` for pairs with the same source.
        """
        values = self.regressors[:, :, self.names.index(name) + 1]
        axis = 0 if within == "target" else 1
        spread = np.where(self.pairs, values, -np.inf).max(axis=axis) - np.where(self.pairs, values, np.inf).min(axis)
        return bool((spread[self.pairs.any(axis=axis)] > _RANK_TOLERANCE).any())


def design_of(joined: JoinedScores) -> Design:
    """Return the design of all candidate pairs; predictions and scores are averaged over seeds.

    Raises:
        UsageError: There are too few languages or pairs; all scores are equal; or a predictor is constant or a linear
            combination of others.
    """
    pairs = joined.candidates
    rows, columns = pairs.any(axis=1), pairs.any(axis=0)
    pairs = pairs[rows][:, columns]
    scores = np.where(pairs, joined.gold.values[rows][:, columns], 0.0)
    values = [np.where(pairs, prediction.values[rows][:, columns], 0.0) for prediction in joined.predictions]
    names = tuple(prediction.name for prediction in joined.predictions)
    _require_enough(pairs, names, scores)
    flat = np.stack([value[pairs] for value in values], axis=1)
    _require_variation(names, flat)
    centre, scale = flat.mean(axis=0), flat.std(axis=0)
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
    """Yield a sentence for each predictor that is nearly a linear combination of the others."""
    if len(design.names) < 2:
        return
    _, regressors = design.flat()
    correlation = np.corrcoef(regressors[:, 1:], rowvar=False)
    for name, inflation in zip(design.names, np.diag(np.linalg.inv(correlation)), strict=True):
        if inflation > _INFLATED:
            yield (
                f"'{name}' is nearly a linear combination of the other predictors (variance inflation factor "
                f"{inflation:.0f}): its coefficient has little meaning."
            )


def _require_enough(pairs: NDArray[np.bool_], names: tuple[str, ...], scores: Reals) -> None:
    for kind, number in (("sources", pairs.shape[0]), ("targets", pairs.shape[1])):
        if number < FEWEST_LANGUAGES:
            noun = kind.removesuffix("s") if number == 1 else kind
            raise UsageError(
                f"the pairs have {number} {noun}, but a regression needs at least {FEWEST_LANGUAGES}.",
                "give gold scores and predictors with more languages in common.",
            )
    count = int(pairs.sum())
    if count <= len(names) + 1:
        raise UsageError(
            f"{count} pairs are too few for {len(names) + 1} coefficients.",
            "leave out predictors, or give predictors that cover more languages of the gold scores.",
        )
    if np.ptp(scores[pairs]) == 0:
        raise UsageError("all gold scores of the pairs are equal.", "give gold scores that vary.")


def _require_variation(names: tuple[str, ...], values: Reals) -> None:
    constant = [name for name, x in zip(names, values.T, strict=True) if np.ptp(x) <= _ROUNDING * np.abs(x).max()]
    if constant:
        raise UsageError(
            f"these predictors have the same value for all {len(values)} pairs: {_quoted(constant)}.",
            "leave them out, or choose languages among which they vary.",
        )


def _require_independence(design: Design) -> None:
    """Raise an error if a predictor is a linear combination of the constant and the predictors that precede it."""
    _, regressors = design.flat()
    if _rank(regressors) == design.width:
        return
    for index, name in enumerate(design.names, start=1):
        if _rank(regressors[:, : index + 1]) <= index:
            raise UsageError(
                f"the predictor '{name}' is a linear combination of {_quoted(design.names[: index - 1])}.",
                "leave one of them out: their coefficients cannot be distinguished.",
            )


def _rank(regressors: Reals) -> int:
    return int(np.linalg.matrix_rank(regressors, tol=_RANK_TOLERANCE * np.sqrt(max(1, len(regressors)))))


def _quoted(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
