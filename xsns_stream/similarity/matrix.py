"""Similarity matrices from overlap counts: coefficients, averages over seeds, chance levels and standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from xsns_stream.errors import IncompatibleError, UsageError
from xsns_stream.similarity.coefficients import Coefficient, expected_intersection, measure_named
from xsns_stream.similarity.corrections import Correction
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
    SimilarityPool,
)

_Table = Overlaps | SampledOverlaps

# Relative step of the central differences that approximate the derivatives of a coefficient. The error of a
# difference is of the order of the square of the step.
_STEP = 1e-4


def jaccard(counts: _Table | Sequence[_Table]) -> SimilarityMatrix:
    """Return J(A, B) = |A ∩ B| / |A ∪ B| from a table of counts, or from a table for each seed as the mean over seeds.

    This is :func:`similarity` with its default coefficient.
    """
    return similarity(counts, "jaccard")


def similarity(
    counts: _Table | Sequence[_Table], coefficient: str = "jaccard", split_half: Reals | None = None
) -> SimilarityMatrix:
    """Compute a similarity coefficient from counts, averaged over seeds if there are several.

    The chance level of a pair is the coefficient of the expected overlap of independent random sub-networks of the same
    sizes, E|A ∩ B| = |A| |B| / P, averaged over seeds in the same way. For the Jaccard coefficient it is E|A ∩ B| /
    (|A| + |B| − E|A ∩ B|). If a coefficient is undefined, its value is NaN; for example, the Jaccard
    coefficient of two empty sub-networks. An average over seeds is NaN if the value of one seed is NaN.

    Args:
        counts: One table, or one for each seed. The languages of the result are in the order of the first table.
        coefficient: `jaccard`, `dice`, `overlap`, `containment` (fraction of the target that is in the source),
            `cosine`, `corrected-jaccard` or `mutual-information`; :data:`xsns_stream.similarity.COEFFICIENTS` has their
            formulas. Or a correction of the Jaccard coefficient, `centred`, `csls`, `mutual-rank` or `reliability`;
            :data:`xsns_stream.similarity.CORRECTIONS` has their formulas. A correction is computed for each seed, from
            the counts of all pairs of languages: these languages are its pool.
        split_half: float64 [R, L]: for each seed, the split-half similarity of each language of the first table; NaN if
            unknown. Only `reliability` uses it.

    Returns:
        The matrix. It has standard errors if the counts are estimates from samples.

    Raises:
        UsageError: No table is given, or the coefficient is unknown; or a correction is computed from counts that are
            not those of all pairs, or that are estimates from samples.
        IncompatibleError: The tables differ in languages, parameters or density, or two have the same seed.
    """
    formula = measure_named(coefficient)
    given = [counts] if isinstance(counts, OverlapCounts | OverlapRectangle | SampledOverlaps) else list(counts)
    tables = _aligned(given)
    if isinstance(formula, Correction):
        return replace(_corrected(tables, coefficient, formula, split_half), counts=tuple(given))
    per_seed = np.stack([formula(*_sizes(table)) for table in tables])
    return SimilarityMatrix(
        sources=tables[0].sources,
        targets=tables[0].targets,
        values=per_seed.mean(axis=0),
        coefficient=coefficient,
        chance=np.mean([_chance(t, formula) for t in tables], axis=0) if formula.has_chance else None,
        seeds=tuple(table.seed for table in tables),
        per_seed=per_seed,
        standard_error=_standard_error(tables, formula),
        counts=tuple(given),
    )


def similarity_by_group(
    counts: GroupedOverlaps | Sequence[GroupedOverlaps], coefficient: str = "jaccard"
) -> GroupedSimilarity:
    """Compute a similarity coefficient for each group of parameters.

    Args:
        counts: One collection of counts, or one for each seed.
        coefficient: Name of the coefficient; see :func:`similarity`.

    Raises:
        UsageError: No collection is given, or the coefficient is unknown.
        IncompatibleError: The collections differ in groups, languages, parameters or density, or two have the same
            seed.
    """
    given = [counts] if isinstance(counts, GroupedOverlaps) else list(counts)
    if not given:
        raise UsageError(
            "there is nothing to compare: no table of counts was given.",
            "count overlaps with `xs.count_overlaps(store)` first.",
        )
    first = given[0]
    for other in given[1:]:
        if (other.by, other.names) != (first.by, first.names):
            raise IncompatibleError(
                "the seeds were counted for different groups of parameters.",
                "group the counts of all seeds in the same way.",
            )
    shares = np.mean([_shares(one) for one in given], axis=0)
    return GroupedSimilarity(
        first.by,
        first.names,
        tuple(similarity([one[name] for one in given], coefficient) for name in first.names),
        tuple(table.size for table in first.tables),
        tuple(shares.tolist()),
    )


def _corrected(
    tables: Sequence[_Table], name: str, correction: Correction, split_half: Reals | None
) -> SimilarityMatrix:
    """Return the similarities of all languages by a correction, averaged over the tables of all seeds."""
    if any(isinstance(table, SampledOverlaps) for table in tables):
        raise UsageError(
            f"'{name}' cannot be computed from a sample of the parameters, because it would have no standard errors.",
            "count all parameters, without --sample.",
        )
    if any(table.sources != table.targets for table in tables):
        raise UsageError(
            f"'{name}' needs the similarities of all languages to each other, not only of sources to targets.",
            "count all pairs of languages, and select sources and targets from the resulting matrix.",
        )
    pairwise = jaccard(tables)
    assert pairwise.per_seed is not None
    pool = SimilarityPool(pairwise.sources, pairwise.per_seed, split_half if correction.needs_split_half else None)
    per_seed = correction(pool.per_seed, pool.split_half)
    return replace(pairwise, values=per_seed.mean(axis=0), coefficient=name, chance=None, per_seed=per_seed, pool=pool)


def _sizes(table: _Table) -> tuple[Reals, Reals, Reals, int]:
    """Return the arguments of a coefficient: |A ∩ B| [S, T], |A| [S, 1], |B| [1, T], and the number of parameters."""
    return (
        table.intersection.astype(np.float64),
        table.source_cardinality.astype(np.float64)[:, None],
        table.target_cardinality.astype(np.float64)[None, :],
        table.size,
    )


def _chance(table: _Table, formula: Coefficient) -> Reals:
    """Return the chance level of each pair: the coefficient `formula` of the expected overlap, float64 [S, T]."""
    _, a, b, size = _sizes(table)
    return formula(expected_intersection(a, b, size), a, b, size)


def _standard_error(tables: Sequence[_Table], formula: Coefficient) -> Reals | None:
    """Return the standard error of the mean over seeds of the coefficient `formula`, float64 [S, T].

    The result is None if the counts are exact. `tables` has a table for each seed; the samples of the seeds are
    independent.
    """
    if not all(isinstance(table, SampledOverlaps) for table in tables):
        return None
    variances = [_variance(cast(SampledOverlaps, table), formula) for table in tables]
    error: Reals = np.sqrt(np.sum(variances, axis=0)) / len(tables)
    return error


def _variance(table: SampledOverlaps, formula: Coefficient) -> Reals:
    """Return the variance of the coefficient `formula` by the delta method, float64 [S, T].

    The variance is gᵀ V g, where g is the gradient of the coefficient and V is the covariance of the counts.
    """
    n, a, b, size = _sizes(table)
    at = n, np.broadcast_to(a, n.shape), np.broadcast_to(b, n.shape)

    def beside(i: int, step: Reals) -> Reals:
        moved = [value + step if i == j else value for j, value in enumerate(at)]
        return formula(moved[0], moved[1], moved[2], size)

    gradient = []
    for i, value in enumerate(at):
        # The lower limit avoids a division by zero for counts that are zero in every block.
        step = np.maximum(_STEP * np.abs(value), 1e-9)
        gradient.append((beside(i, step) - beside(i, -step)) / (2 * step))
    slopes = np.stack(gradient)
    variance = np.einsum("ist,ijst,jst->st", slopes, table.covariance, slopes)
    # The coefficient of a language with itself has no variance; rounding may make the result negative.
    return np.where(np.isnan(variance), np.nan, np.maximum(variance, 0.0))


def _shares(grouped: GroupedOverlaps) -> Reals:
    """Return the fraction of all selected parameters, over all languages, that are in each group: float64 [G]."""
    sizes = np.array([_every_size(table).sum() for table in grouped.tables], np.float64)
    with np.errstate(invalid="ignore"):
        shares: Reals = sizes / sizes.sum()
    return shares


def _every_size(table: Overlaps) -> Counts:
    """Return the cardinality of each language, int64 [n]; a language that is a source and a target is included once."""
    rows = dict(zip(table.sources, table.source_cardinality.tolist(), strict=True))
    every = rows | dict(zip(table.targets, table.target_cardinality.tolist(), strict=True))
    return np.array(list(every.values()), np.int64)


def _aligned(tables: list[_Table]) -> list[_Table]:
    """Check that tables can be averaged; return them with the languages in the order of the first table."""
    if not tables:
        raise UsageError(
            "there is nothing to compare: no table of counts was given.",
            "count overlaps with `xs.count_overlaps(store)` first.",
        )
    first = tables[0]
    for table in tables[1:]:
        for name, mine, yours in (
            ("languages", sorted(first.sources), sorted(table.sources)),
            ("targets", sorted(first.targets), sorted(table.targets)),
            ("number of parameters", first.size, table.size),
            ("density", first.density, table.density),
        ):
            if mine != yours:
                raise IncompatibleError(
                    f"counts of seeds {first.seed} and {table.seed} differ in {name}: {mine} and {yours}.",
                    "average over seeds of one experiment, for the same languages.",
                )
    if len({table.seed for table in tables}) != len(tables):
        raise IncompatibleError(
            f"a seed occurs twice in {[table.seed for table in tables]}.", "give one table for each seed."
        )
    return [table.between(first.sources, first.targets) for table in tables]
