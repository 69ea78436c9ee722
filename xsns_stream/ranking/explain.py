"""Contributions of groups of parameters to the similarity of sources to a target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.similarity.matrix import similarity_by_group
from xsns_stream.types import GroupedOverlaps, Reals
from xsns_stream.types.source_ranking import Explanation


def explain(counts: Sequence[GroupedOverlaps], target: str, sources: Sequence[str]) -> Explanation:
    """Return the contributions of groups of parameters to the similarity of sources to a target.

    Args:
        counts: For each seed, the overlap counts of all candidates with the target in each group. Contributions are
            computed relative to their mean over these candidates.
        target: One of the targets of `counts`.
        sources: The sources to explain.

    Raises:
        IncompatibleError: The counts have different groups, languages or parameters.
        UsageError: There are no counts, or no candidate other than the target.
    """
    if not counts:
        raise UsageError("there are no overlap counts to explain.", "count overlaps first.")
    candidates = [code for code in counts[0].tables[0].sources if code != target]
    if not candidates:
        raise UsageError(
            f"there is no candidate source for '{target}'.", "count the overlaps of the target with other languages."
        )
    corrected = similarity_by_group(counts, "corrected-jaccard")
    terms = np.mean([_terms(one, target, candidates) for one in counts], axis=0)
    chosen = [candidates.index(code) for code in sources]
    column = corrected.matrices[0].targets.index(target)
    rows = [corrected.matrices[0].sources.index(code) for code in sources]
    return Explanation(
        target,
        corrected.by,
        corrected.names,
        tuple(sources),
        corrected.values[:, rows, column],
        (terms - np.nanmean(terms, axis=1, keepdims=True))[:, chosen],
    )


def _terms(counts: GroupedOverlaps, target: str, candidates: Sequence[str]) -> Reals:
    """Return |A ∩ B| in each group, divided by |A ∪ B| in all groups together, float64 [G, S].

    A are the S candidates, and B is the target.

    The sum of these values over the groups is the Jaccard coefficient.
    """
    tables = [table.between(candidates, [target]) for _, table in counts]
    shared = np.array([table.intersection[:, 0] for table in tables], np.float64)
    union = np.sum([table.union[:, 0] for table in tables], axis=0, dtype=np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms: Reals = shared / union
    return terms
