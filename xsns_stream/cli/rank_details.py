"""What `xsns-stream rank` tells besides the order: intervals, reliability, expected scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from xsns_stream.cli.common import note
from xsns_stream.cli.rows import time_bar

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix, SourceRanking
    from xsns_stream.types.comparisons import SimilarityDraws
    from xsns_stream.types.transfer import TransferScores


def draws_for(
    rows: SubNetworkStore, matrix: SimilarityMatrix, target: str, sources: Sequence[str], density: float, quiet: bool
) -> SimilarityDraws | None:
    """Return what the similarities might have been with other examples; None where nothing tells.

    Parts tell it, of the candidates that have them; where there are none, three seeds or more do.
    """
    from xsns_stream.similarity import draws_of_parts, draws_of_seeds, part_similarities

    count, having = _parts_of(rows, target, sources, matrix.seeds, density)
    if not having:
        return draws_of_seeds(matrix, target, sources)
    lacking = [code for code in sources if code not in having]
    if lacking:
        note(f"no interval, because there are no {count} parts: {', '.join(lacking)}", quiet)
    with time_bar("comparing without parts", quiet) as on_progress:
        found = part_similarities(
            rows, rows.parts(count), target, having, matrix.seeds, density, matrix.coefficient, on_progress
        )
    return draws_of_parts(found, matrix)


def _parts_of(
    rows: SubNetworkStore, target: str, sources: Sequence[str], seeds: Sequence[int], density: float
) -> tuple[int, list[str]]:
    """Return the number of parts that most candidates have, the largest of several, and these candidates."""
    best: tuple[int, list[str]] = (0, [])
    for count in rows.part_counts:
        there = [set(part.languages_at(seed, density)) for part in rows.parts(count) for seed in seeds]
        complete = set.intersection(*there)
        having = [code for code in sources if code in complete]
        if target in complete and len(having) >= max(1, len(best[1])):
            best = count, having
    return best


def with_reliability(ranking: SourceRanking, rows: SubNetworkStore, density: float) -> SourceRanking:
    """Add what is known of how repeatable the rows of the target and of the sources are."""

    def known(language: str) -> float | None:
        reliability = [rows.record(language, seed, density).provenance.reliability for seed in ranking.seeds]
        values = [float(one["split_half"]) for one in reliability if one.get("split_half") is not None]
        return sum(values) / len(values) if len(values) == len(reliability) else None

    sources = tuple(replace(source, reliability=known(source.language)) for source in ranking)
    return replace(ranking, sources=sources, reliability=known(ranking.target))


def with_expected(
    ranking: SourceRanking, gold: TransferScores, matrix: SimilarityMatrix, quiet: bool
) -> tuple[SourceRanking, dict[str, object]]:
    """Add the scores that similarity lets expect, and those that were measured; also say what they rest on.

    Args:
        ranking: All sources that are shown.
        gold: Scores of pairs of other languages, and maybe of these.
        matrix: The store's similarities of the gold scores' pairs.
        quiet: No notes.

    Raises:
        UsageError: Too few pairs have both.
    """
    import numpy as np

    from xsns_stream.languages import counterparts
    from xsns_stream.regression import calibrate
    from xsns_stream.types.comparisons import ExpectedScore

    calibration = calibrate(gold, matrix)
    for text in calibration.notes:
        note(text, quiet)
    codes = [source.language for source in ranking]
    labels = tuple(dict.fromkeys((*gold.sources, *gold.targets)))
    spelt = counterparts((ranking.target, *codes), labels)
    target = spelt.get(ranking.target, ranking.target)
    names = [spelt.get(code, code) for code in codes]
    found = calibration.predict(np.array([source.similarity for source in ranking]), target, names)

    def measured(source: str) -> float | None:
        if source not in gold.sources or target not in gold.targets:
            return None
        score = gold[source, target]
        return None if np.isnan(score) else score

    expected = [
        ExpectedScore(float(mean), float(low), float(high), measured(name))
        for name, mean, low, high in zip(names, found.mean, found.low, found.high, strict=True)
    ]
    sources = tuple(replace(source, expected=score) for source, score in zip(ranking, expected, strict=True))
    basis = {
        "task": gold.task,
        "metric": gold.metric,
        "unit": found.unit,
        "pairs": calibration.pairs,
        "slope": calibration.slope,
        "rmse_left_out": calibration.rmse_left_out,
        "known_target": found.known_target,
    }
    return replace(ranking, sources=sources, unit=found.unit), basis
