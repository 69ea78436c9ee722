"""Rankings of all targets for the report page: intervals, probabilities, and expected scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_kernels.cores import available_cores
from xsns_stream.pipeline.events import OnReadEvent, progress_of
from xsns_stream.pipeline.expected_scores import CalibratedScores
from xsns_stream.pipeline.ranking_report import RankingReport
from xsns_stream.pipeline.ranking_worth import NOT_TRANSFER, nearest_jaccard, statements
from xsns_stream.pipeline.source_ranking import with_reliability

if TYPE_CHECKING:
    from xsns_stream.pipeline.resampling import Resampling
    from xsns_stream.report.page import RankedTarget, RankingSection
    from xsns_stream.report.page.ranking import ExpectedScores
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import Reals, SimilarityMatrix, SourceRanking
    from xsns_stream.types.source_ranking import SimilarityDraws

#: Largest number of threads that rank targets at the same time.
_MOST_THREADS: Final = 8


@dataclass(frozen=True)
class RankedTargets:
    """The rankings of all targets, for the report page.

    Attributes:
        section: The ranking section of the page.
        low: Lower ends of the intervals of the similarities, float64 [S, T]; None if there are no intervals.
        high: Upper ends of the intervals, float64 [S, T]; None if there are no intervals.
    """

    section: RankingSection
    low: Reals | None
    high: Reals | None


def rank_every_target(
    matrix: SimilarityMatrix,
    first: str,
    *,
    rows: SubNetworkStore | None = None,
    density: float | None = None,
    resampling: Resampling | None = None,
    calibrated: CalibratedScores | None = None,
    on_event: OnReadEvent,
) -> RankedTargets:
    """Rank the sources of every target of a matrix, as :func:`xsns_stream.rank` does.

    Args:
        matrix: The similarities.
        first: The target whose ranking is shown when the page is opened.
        rows: The store of the matrix; None for a matrix without a store.
        density: Density of the rows of the store.
        resampling: Similarities with one part of the examples left out; None without parts.
        calibrated: Gold scores, and their regression on the similarities; None without gold scores.
        on_event: Handler of progress.
    """
    from xsns_stream.ranking import rank_sources
    from xsns_stream.report.page import RankingSection

    targets = [code for code in matrix.targets if any(source != code for source in matrix.sources)]
    ends = [np.full(matrix.values.shape, np.nan) for _ in range(2)]
    expected = [np.full(matrix.values.shape, np.nan) for _ in range(4)]
    ranked, basis = [], ""
    rankings: Iterator[SourceRanking]
    progress = progress_of("ranking", on_event)
    nearest = nearest_jaccard(matrix)
    with ThreadPoolExecutor(max_workers=min(_MOST_THREADS, available_cores())) as threads:
        if resampling is not None and resampling.pool is not None:
            # The draws of all targets at the same time would need too much memory.
            rankings = (rank_sources(matrix, one.target, draws=one) for one in resampling.draws(targets))
        else:
            # NumPy releases the lock of the interpreter while it draws and sorts, so that the threads run in parallel.
            rankings = threads.map(lambda target: _with_intervals(matrix, target, resampling), targets)
        for done, ranking in enumerate(rankings, 1):
            report = _report(ranking, rows, density, calibrated, nearest.get(ranking.target))
            _fill(matrix, report.candidates, ends, expected)
            ranked.append(_ranked_target(report))
            basis = basis or report.candidates.basis
            progress(done, len(targets))
    section = RankingSection(
        tuple(ranked),
        first,
        basis,
        _worth(rows, calibrated),
        None if calibrated is None else _expected_scores(expected, calibrated),
    )
    return RankedTargets(section, *(ends if basis else (None, None)))


def _with_intervals(matrix: SimilarityMatrix, target: str, resampling: Resampling | None) -> SourceRanking:
    from xsns_stream.ranking import rank_sources

    return rank_sources(matrix, target, draws=_draws(matrix, target, resampling))


def _report(
    ranking: SourceRanking,
    rows: SubNetworkStore | None,
    density: float | None,
    calibrated: CalibratedScores | None,
    nearest: float | None,
) -> RankingReport:
    """Return the report on the target of one ranking.

    Args:
        ranking: The ranking.
        rows: The store; None for a matrix without a store.
        density: Density of the rows of the store.
        calibrated: Gold scores, and their regression on the similarities; None without gold scores.
        nearest: Largest Jaccard coefficient of the target and a source, if the similarities are a correction;
            otherwise None.
    """
    if rows is not None and density is not None:
        # The page shows the reliability of targets only. To show that of sources, every record would be read again for
        # every target.
        target_alone = with_reliability(replace(ranking, sources=()), rows, density)
        ranking = replace(ranking, reliability=target_alone.reliability)
    facts = None
    if calibrated is not None:
        ranking, facts = calibrated.with_expected(ranking)
    worth = _own_worth(ranking, rows, density, nearest)
    return RankingReport(ranking, ranking, density or 0.0, calibration=facts, worth=worth)


def _draws(matrix: SimilarityMatrix, target: str, resampling: Resampling | None) -> SimilarityDraws | None:
    """Return simulated similarities of one target, as other samples of examples might give them.

    They are drawn from the parts or, without parts, from the seeds. The result is None if there are neither parts nor
    at least three seeds.
    """
    from xsns_stream.ranking import draws_of_folds, draws_of_seeds, fold_of_target, rank_sources

    # The sources are in the order of the ranking, as in `rank`, so that both draw the same numbers.
    sources = [source.language for source in rank_sources(matrix, target)]
    if resampling is None:
        return draws_of_seeds(matrix, target, sources)
    known = [code for code in sources if code in resampling.languages]
    if target not in resampling.languages or not known:
        return None
    folds = fold_of_target(
        resampling.similarities, resampling.languages, target, known, matrix.seeds, matrix.coefficient
    )
    return draws_of_folds(folds, matrix)


def _own_worth(
    ranking: SourceRanking, rows: SubNetworkStore | None, density: float | None, nearest: float | None
) -> tuple[str, ...]:
    """Return the sentences on reliability that concern one ranking only."""
    if rows is None or density is None:
        return ()
    shared, found = _worth(rows, None), statements(ranking, rows, density, nearest=nearest)
    return tuple(sentence for sentence in found if sentence not in shared)


def _worth(rows: SubNetworkStore | None, calibrated: CalibratedScores | None) -> tuple[str, ...]:
    """Return the sentences on reliability that concern all rankings."""
    from xsns_stream.pipeline.ranking_worth import settings_statements

    check = (calibrated.check.sentence,) if calibrated is not None and calibrated.check.sentence else ()
    return (NOT_TRANSFER, *(() if rows is None else settings_statements(rows)), *check)


def _fill(matrix: SimilarityMatrix, ranking: SourceRanking, ends: Sequence[Reals], expected: Sequence[Reals]) -> None:
    """Write the values of one ranking into the columns of its target, in arrays [S, T] like the matrix.

    Args:
        matrix: The similarities, whose sources and targets label the rows and the columns of the arrays.
        ranking: The ranking of the sources of one target.
        ends: Two arrays, for the lower and the upper ends of the intervals.
        expected: Four arrays, for expected scores, the ends of their intervals, and measured scores.
    """
    column = matrix.targets.index(ranking.target)
    row_of = {code: i for i, code in enumerate(matrix.sources)}
    for source in ranking:
        row = row_of[source.language]
        if source.low is not None and source.high is not None:
            ends[0][row, column], ends[1][row, column] = source.low, source.high
        if (score := source.expected) is not None:
            measured = np.nan if score.measured is None else score.measured
            for array, value in zip(expected, (score.mean, score.low, score.high, measured), strict=True):
                array[row, column] = value


def _ranked_target(report: RankingReport) -> RankedTarget:
    from xsns_stream.report.page import RankedTarget

    sources = report.candidates.sources
    best = [(source.language, source.best_probability) for source in sources if source.best_probability is not None]
    return RankedTarget(
        report.candidates.target,
        tuple((code, share) for code, share in best if share > 0),
        tuple(source.language for source in sources if source.level_with_first),
        (*report.verdicts, *report.worth),
        tuple(source.language for source in sources if source.tied),
    )


def _expected_scores(expected: Sequence[Reals], calibrated: CalibratedScores) -> ExpectedScores:
    from xsns_stream.report.page.ranking import ExpectedScores
    from xsns_stream.types.transfer_scores import scores_name

    scores = calibrated.scores
    mean, low, high, measured = expected
    return ExpectedScores(mean, low, high, measured, scores_name(scores.task, scores.metric), scores.unit)
