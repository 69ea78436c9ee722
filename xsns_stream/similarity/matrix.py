"""Overlap counts → similarity: coefficients, their average over seeds, their chance level and standard error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from xsns_stream.errors import IncompatibleError, UsageError
from xsns_stream.similarity.coefficients import WITHOUT_CHANCE, Coefficient, coefficient_named, expected_intersection
from xsns_stream.types import (
    Counts,
    GroupedOverlaps,
    GroupedSimilarity,
    OverlapCounts,
    OverlapRectangle,
    Overlaps,
    Reals,
    SampledOverlaps,
    SimilarityMatrix,
)

_Table = Overlaps | SampledOverlaps

# Of a central difference; its error is of the order of its square.
_STEP = 1e-4


def jaccard(counts: _Table | Sequence[_Table]) -> SimilarityMatrix:
    """J(A, B) = |A ∩ B| / |A ∪ B|, averaged over seeds where there are several.

    :func:`similarity` with its default coefficient.
    """
    return similarity(counts, "jaccard")


def similarity(counts: _Table | Sequence[_Table], coefficient: str = "jaccard") -> SimilarityMatrix:
    """Turn counts into a coefficient, averaged over seeds where there are several.

    The chance level of a pair is the coefficient at what independent random sub-networks of the same sizes share on
    average, E|A ∩ B| = |A| |B| / P, averaged over seeds in the same way; for the Jaccard coefficient that is
    E|A ∩ B| / (|A| + |B| − E|A ∩ B|). Where a coefficient is undefined it is NaN (the Jaccard coefficient of two
    empty sub-networks), and so is the average over seeds of which one is NaN.

    Args:
        counts: One table, or one for each seed. Tables are joined by label, in the first one's order.
        coefficient: `jaccard`, `dice`, `overlap`, `containment` (of the target in the source), `cosine`,
            `corrected-jaccard` or `mutual-information`; :data:`xsns_stream.similarity.COEFFICIENTS` has their formulas.

    Returns:
        The matrix; with standard errors where the counts are estimates from samples.

    Raises:
        UsageError: No table at all, or an unknown coefficient.
        IncompatibleError: The tables differ in languages, parameters or density, or share a seed.
    """
    formula = coefficient_named(coefficient)
    given = [counts] if isinstance(counts, OverlapCounts | OverlapRectangle | SampledOverlaps) else list(counts)
    tables = _aligned(given)
    per_seed = np.stack([formula(*_sizes(table)) for table in tables])
    return SimilarityMatrix(
        sources=tables[0].sources,
        targets=tables[0].targets,
        values=per_seed.mean(axis=0),
        coefficient=coefficient,
        chance=None if coefficient in WITHOUT_CHANCE else np.mean([_chance(t, formula) for t in tables], axis=0),
        seeds=tuple(table.seed for table in tables),
        per_seed=per_seed,
        standard_error=_standard_error(tables, formula),
        counts=tuple(given),
    )


def similarity_by_group(
    counts: GroupedOverlaps | Sequence[GroupedOverlaps], coefficient: str = "jaccard"
) -> GroupedSimilarity:
    """Turn counts of groups into a coefficient for each group.

    Args:
        counts: One collection of tables, or one for each seed.
        coefficient: As for :func:`similarity`.

    Raises:
        UsageError: Nothing at all, or an unknown coefficient.
        IncompatibleError: The collections differ in groups, languages, parameters or density, or share a seed.
    """
    given = [counts] if isinstance(counts, GroupedOverlaps) else list(counts)
    if not given:
        raise UsageError("there is nothing to compare: no table of counts.", "count overlaps first.")
    first = given[0]
    for other in given[1:]:
        if (other.by, other.names) != (first.by, first.names):
            raise IncompatibleError("counts of different groups of parameters.", "group all seeds by the same.")
    shares = np.mean([_shares(one) for one in given], axis=0)
    return GroupedSimilarity(
        first.by,
        first.names,
        tuple(similarity([one[name] for one in given], coefficient) for name in first.names),
        tuple(table.size for table in first.tables),
        tuple(shares.tolist()),
    )


def _sizes(table: _Table) -> tuple[Reals, Reals, Reals, int]:
    """Return what a coefficient takes: |A ∩ B| [S, T], |A| [S, 1], |B| [1, T], P."""
    return (
        table.intersection.astype(np.float64),
        table.source_cardinality.astype(np.float64)[:, None],
        table.target_cardinality.astype(np.float64)[None, :],
        table.size,
    )


def _chance(table: _Table, formula: Coefficient) -> Reals:
    """float64 [S, T]: the coefficient that sizes alone explain."""
    _, a, b, size = _sizes(table)
    return formula(expected_intersection(a, b, size), a, b, size)


def _standard_error(tables: Sequence[_Table], formula: Coefficient) -> Reals | None:
    """Return the standard error of the mean over seeds, whose samples were drawn independently; None if exact."""
    if not all(isinstance(table, SampledOverlaps) for table in tables):
        return None
    variances = [_variance(cast(SampledOverlaps, table), formula) for table in tables]
    error: Reals = np.sqrt(np.sum(variances, axis=0)) / len(tables)
    return error


def _variance(table: SampledOverlaps, formula: Coefficient) -> Reals:
    """Return the variance of a coefficient by the delta method, gᵀ V g with g its gradient: float64 [S, T]."""
    n, a, b, size = _sizes(table)
    at = n, np.broadcast_to(a, n.shape), np.broadcast_to(b, n.shape)

    def beside(i: int, step: Reals) -> Reals:
        moved = [value + step if i == j else value for j, value in enumerate(at)]
        return formula(moved[0], moved[1], moved[2], size)

    gradient = []
    for i, value in enumerate(at):
        # Of what is zero in every block nothing is known to vary, and the step divides by no zero.
        step = np.maximum(_STEP * np.abs(value), 1e-9)
        gradient.append((beside(i, step) - beside(i, -step)) / (2 * step))
    slopes = np.stack(gradient)
    variance = np.einsum("ist,ijst,jst->st", slopes, table.covariance, slopes)
    # A language with itself does not vary at all, and rounding may make that negative.
    return np.where(np.isnan(variance), np.nan, np.maximum(variance, 0.0))


def _shares(grouped: GroupedOverlaps) -> Reals:
    """float64 [G]: the share of all languages' selected parameters that lie in each group."""
    sizes = np.array([_every_size(table).sum() for table in grouped.tables], np.float64)
    with np.errstate(invalid="ignore"):
        shares: Reals = sizes / sizes.sum()
    return shares


def _every_size(table: Overlaps) -> Counts:
    """Return the cardinality of each language once."""
    rows = dict(zip(table.sources, table.source_cardinality.tolist(), strict=True))
    every = rows | dict(zip(table.targets, table.target_cardinality.tolist(), strict=True))
    return np.array(list(every.values()), np.int64)


def _aligned(tables: list[_Table]) -> list[_Table]:
    """Return the tables in the order of the first one's labels, if they belong together."""
    if not tables:
        raise UsageError("there is nothing to compare: no table of counts.", "count overlaps first.")
    first = tables[0]
    for table in tables[1:]:
        for name, mine, yours in (
            ("languages", sorted(first.sources), sorted(table.sources)),
            ("targets", sorted(first.targets), sorted(table.targets)),
            ("size", first.size, table.size),
            ("density", first.density, table.density),
        ):
            if mine != yours:
                raise IncompatibleError(
                    f"counts of seeds {first.seed} and {table.seed} differ in {name}: {mine} and {yours}.",
                    "average over seeds of one experiment, for the same languages.",
                )
    if len({table.seed for table in tables}) != len(tables):
        raise IncompatibleError(
            f"a seed stands twice in {[table.seed for table in tables]}.", "give one table for each seed."
        )
    return [table.between(first.sources, first.targets) for table in tables]
