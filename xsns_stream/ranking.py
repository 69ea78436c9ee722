"""Similarity matrix → the sources for a target, best first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.languages import near_misses
from xsns_stream.types import RankedSource, Reals, SimilarityMatrix, SourceRanking


def rank_sources(
    matrix: SimilarityMatrix, target: str, sources: Sequence[str] | None = None, top: int | None = None
) -> SourceRanking:
    """Rank the candidate sources of `target` by similarity, best first.

    Equal similarities are marked as ties and ordered by language code, so that a ranking does not depend on
    the order of the matrix. A source whose similarity is NaN is a candidate of which nothing is known: such
    sources come last, ordered by code, and never tie.

    Args:
        matrix: Joined by label, never by position.
        target: One of its targets; never a source of itself.
        sources: The candidates; all sources of the matrix where left out.
        top: How many to keep; all where left out. A tie with a source that is cut off stays marked.

    Raises:
        LanguageError: The target or a candidate is not in the matrix.
        UsageError: `top` below 1, or no candidate besides the target.

    >>> import numpy as np
    >>> matrix = SimilarityMatrix(("sw", "rw"), ("sw", "yo"), np.array([[1.0, 0.2], [0.4, 0.1]]), "jaccard")
    >>> [source.language for source in rank_sources(matrix, "yo")]
    ['sw', 'rw']
    """
    if top is not None and top < 1:
        raise UsageError(f"the number of sources to keep must be at least 1, not {top}.")
    _require(target, matrix.targets, "target")
    candidates = dict.fromkeys(matrix.sources if sources is None else sources)
    for source in candidates:
        if source != target:
            _require(source, matrix.sources, "source")
    candidates.pop(target, None)
    if not candidates:
        raise UsageError(
            f"there is no candidate source for '{target}' besides itself.",
            "name other sources, or leave them out.",
        )
    ranked = sorted(_describe(matrix, target, list(candidates)), key=_order)
    return SourceRanking(target, matrix.coefficient, tuple(ranked[:top]), matrix.seeds)


def _require(language: str, labels: Sequence[str], role: str) -> None:
    if language not in labels:
        near = near_misses(language, labels)
        raise LanguageError(
            f"'{language}' is not a {role} of the matrix.",
            f"did you mean {' or '.join(map(repr, near))}?" if near else f"it has {len(labels)} {role}s.",
        )


def _describe(matrix: SimilarityMatrix, target: str, candidates: Sequence[str]) -> list[RankedSource]:
    """Return a line for each candidate, in no particular order."""
    column = matrix.targets.index(target)
    rows = [matrix.sources.index(source) for source in candidates]
    similarities = [float(matrix.values[row, column]) for row in rows]
    times = Counter(similarities)
    corrected, spread = matrix.chance_corrected, matrix.spread
    return [
        RankedSource(
            language=source,
            similarity=similarity,
            chance_corrected=_entry(corrected, row, column),
            spread=_entry(spread, row, column),
            tied=not math.isnan(similarity) and times[similarity] > 1,
        )
        for source, row, similarity in zip(candidates, rows, similarities, strict=True)
    ]


def _entry(table: Reals | None, row: int, column: int) -> float | None:
    return None if table is None else float(table[row, column])


def _order(source: RankedSource) -> tuple[bool, float, str]:
    unknown = math.isnan(source.similarity)
    return unknown, 0.0 if unknown else -source.similarity, source.language
