"""Ranking of the sources for one target by similarity, and confidence intervals of the similarities."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.io.tables import listed
from xsns_stream.languages import near_misses
from xsns_stream.types import RankedSource, Reals, SimilarityMatrix, SourceRanking
from xsns_stream.types.source_ranking import SimilarityDraws

#: Confidence level of the intervals.
CONFIDENCE: Final = 0.95
#: Number of sources whose intervals are computed at a time; more would need more memory.
_AT_ONCE: Final = 64


def rank_sources(
    matrix: SimilarityMatrix,
    target: str,
    sources: Sequence[str] | None = None,
    top: int | None = None,
    draws: SimilarityDraws | None = None,
) -> SourceRanking:
    """Rank the candidate sources of `target` by similarity, best first.

    Sources with equal similarities are marked as ties and sorted by language code. The order of the matrix therefore
    has no influence on the ranking. Sources with the similarity NaN (unknown) come last, sorted by code, and are not
    marked as ties.

    Args:
        matrix: The similarities.
        target: A target of the matrix. It is not ranked as a source of itself.
        sources: The candidates; by default all sources of the matrix.
        top: The number of sources to return; all by default. Ties with sources that are not returned are also marked.
        draws: Simulated similarities, from :func:`xsns_stream.ranking.draws_of_folds` or
            :func:`xsns_stream.ranking.draws_of_seeds`. Intervals and probabilities are computed from them. Sources
            without draws have no interval, and the probabilities ignore them.

    Raises:
        LanguageError: The target or a candidate is not in the matrix.
        UsageError: `top` is below 1, or there is no candidate besides the target.

    >>> import numpy as np
    >>> matrix = SimilarityMatrix(("sw", "rw"), ("sw", "yo"), np.array([[1.0, 0.2], [0.4, 0.1]]), "jaccard")
    >>> [source.language for source in rank_sources(matrix, "yo")]
    ['sw', 'rw']
    """
    if top is not None and top < 1:
        raise UsageError(f"the number of sources to return must be at least 1, not {top}.")
    _require(target, matrix.targets, "target")
    candidates = dict.fromkeys(matrix.sources if sources is None else sources)
    for source in candidates:
        if source != target:
            _require(source, matrix.sources, "source")
    candidates.pop(target, None)
    if not candidates:
        raise UsageError(
            f"there is no candidate source for '{target}' except itself.",
            "give other sources, or omit --sources."
            if sources is not None
            else "build sub-networks of other languages, which can then be ranked.",
        )
    ranked = sorted(_describe(matrix, target, list(candidates)), key=_order)
    ranking = SourceRanking(target, matrix.coefficient, tuple(ranked), matrix.seeds)
    if draws is not None:
        ranking = _with_intervals(ranking, draws)
    return replace(ranking, sources=ranking.sources[:top])


def _with_intervals(ranking: SourceRanking, draws: SimilarityDraws) -> SourceRanking:
    """Return the ranking with data from the draws: intervals, probabilities of being the best source, and marks.

    A mark shows that a source cannot be distinguished from the first source.
    """
    column = {language: i for i, language in enumerate(draws.sources)}
    known = [source.language for source in ranking if source.language in column and not math.isnan(source.similarity)]
    if not known:
        return ranking
    values = draws.values[:, [column[language] for language in known]]
    low, high = _interval(values)
    shares = _best_shares(values)
    # Differences are computed within a draw. Variation that both sources share, such as that of the examples of the
    # target, then cancels out.
    least, most = _interval(values, values[:, :1])
    level = (least <= 0) & (most >= 0)
    index: Mapping[str, int] = {language: i for i, language in enumerate(known)}
    sources = tuple(
        replace(
            source,
            low=float(low[i]),
            high=float(high[i]),
            best_probability=float(shares[i]),
            level_with_first=bool(level[i]),
        )
        if (i := index.get(source.language)) is not None
        else source
        for source in ranking
    )
    return replace(ranking, sources=sources, basis=draws.basis)


def _interval(values: Reals, minuend: Reals | None = None) -> Reals:
    """Return both ends of the interval of each source, float64 [2, S].

    Args:
        values: B draws of the similarities of S sources, float64 [B, S].
        minuend: float64 [B, 1]: values from which `values` are subtracted; None for the interval of `values`.
    """
    ends = (1 - CONFIDENCE) / 2
    result = np.empty((2, values.shape[1]))
    for start in range(0, values.shape[1], _AT_ONCE):
        part = values[:, start : start + _AT_ONCE]
        if minuend is not None:
            part = minuend - part
        # The quantiles of contiguous rows equal those of columns, and are computed in two thirds of the time.
        rows = np.ascontiguousarray(part.T)
        result[:, start : start + _AT_ONCE] = np.quantile(rows, [ends, 1 - ends], axis=1)
    return result


def _best_shares(values: Reals) -> Reals:
    """Return the share of draws in which each source has the largest value.

    If n sources have the largest value of a draw, the draw counts 1 / n for each of them.

    Args:
        values: B draws of the similarities of S sources, float64 [B, S].

    Returns:
        float64 [S].
    """
    largest = values == values.max(axis=1, keepdims=True)
    winners = largest.sum(axis=1, keepdims=True)
    parts = (largest[:, start : start + _AT_ONCE] / winners for start in range(0, values.shape[1], _AT_ONCE))
    shares: Reals = np.concatenate([part.mean(axis=0) for part in parts])
    return shares


def _require(language: str, labels: Sequence[str], role: str) -> None:
    if language not in labels:
        near = near_misses(language, labels)
        raise LanguageError(
            f"'{language}' is not a {role} of the matrix.",
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"choose one of its {role}s: {listed(labels)}.",
        )


def _describe(matrix: SimilarityMatrix, target: str, candidates: Sequence[str]) -> list[RankedSource]:
    """Return the candidates with their similarities, in no particular order."""
    column = matrix.targets.index(target)
    rows = [matrix.sources.index(source) for source in candidates]
    similarities = [float(matrix.values[row, column]) for row in rows]
    occurrences = Counter(similarities)
    corrected, spread = matrix.chance_corrected, matrix.spread
    return [
        RankedSource(
            language=source,
            similarity=similarity,
            chance_corrected=_entry(corrected, row, column),
            spread=_entry(spread, row, column),
            tied=not math.isnan(similarity) and occurrences[similarity] > 1,
        )
        for source, row, similarity in zip(candidates, rows, similarities, strict=True)
    ]


def _entry(table: Reals | None, row: int, column: int) -> float | None:
    return None if table is None else float(table[row, column])


def _order(source: RankedSource) -> tuple[bool, float, str]:
    unknown = math.isnan(source.similarity)
    return unknown, 0.0 if unknown else -source.similarity, source.language
