"""Expected scores of sources in a ranking, predicted by a regression of gold scores on similarities."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xsns_stream.pipeline.events import Noted, NoteLog, OnReadEvent
from xsns_stream.pipeline.ranking_worth import GoldCheck, check_with_gold

if TYPE_CHECKING:
    from xsns_stream.pipeline.predictors import Gold
    from xsns_stream.regression import Calibration
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SourceRanking
    from xsns_stream.types.transfer_scores import TransferScores


@dataclass(frozen=True)
class CalibratedScores:
    """A regression of gold scores on similarities, and an evaluation of the ranking by similarity on these scores.

    Attributes:
        scores: The gold scores.
        calibration: The regression.
        check: The evaluation.
        notes: Notes on the gold scores and on the regression.
    """

    scores: TransferScores
    calibration: Calibration
    check: GoldCheck
    notes: tuple[str, ...]

    def with_expected(self, ranking: SourceRanking) -> tuple[SourceRanking, dict[str, Any]]:
        """Return a ranking with the expected and the measured score of each source, and facts about the regression.

        The facts are JSON values, which `xsns-stream rank --json` prints.
        """
        import numpy as np

        from xsns_stream.types.source_ranking import ExpectedScore

        codes = [source.language for source in ranking]
        spelling = self._spelling(ranking.target, *codes)
        target, names = spelling[ranking.target], [spelling[code] for code in codes]
        similarities = np.array([source.similarity for source in ranking])
        predicted = self.calibration.predict(similarities, target, names)
        expected = [
            ExpectedScore(float(mean), float(low), float(high), _measured(self.scores, name, target))
            for name, mean, low, high in zip(names, predicted.mean, predicted.low, predicted.high, strict=True)
        ]
        sources = tuple(replace(source, expected=score) for source, score in zip(ranking, expected, strict=True))
        facts = {
            "task": self.scores.task,
            "metric": self.scores.metric,
            "unit": predicted.unit,
            "pairs": self.calibration.pairs,
            "slope": self.calibration.slope,
            "rmse_left_out": self.calibration.rmse_left_out,
            "known_target": predicted.known_target,
            "check": self.check.to_dict(),
        }
        return replace(ranking, sources=sources, unit=predicted.unit), facts

    def _spelling(self, *codes: str) -> dict[str, str]:
        """Return {code of a language in the ranking: its code in the gold scores}, because the codes may differ."""
        from xsns_stream.languages import counterparts

        known = counterparts(codes, tuple(dict.fromkeys((*self.scores.sources, *self.scores.targets))))
        return {code: known.get(code, code) for code in codes}


def calibrate_store(
    rows: SubNetworkStore,
    gold: Gold,
    regime: str | None,
    *,
    coefficient: str,
    seeds: tuple[int, ...],
    density: float | None,
    on_event: OnReadEvent,
) -> CalibratedScores:
    """Regress gold scores on the similarities of a store, and compare the rankings by similarity and by gold score.

    Args:
        rows: The store.
        gold: Gold scores, a file of gold scores, or a pandas frame in long format.
        regime: Training regime of the gold scores; None for the first regime.
        coefficient: Coefficient of similarity.
        seeds: Seeds of the rows; empty for all.
        density: Density of the rows; None if the store has only one.
        on_event: Handler of progress and notes; the result also contains the notes.

    Raises:
        UsageError: The gold scores lack the regime, or have too few pairs in common with the store.
        XsnsError: The gold scores or the store cannot be read.
    """
    from xsns_stream.pipeline.predictors import load_gold, store_similarity
    from xsns_stream.regression import calibrate

    log = NoteLog(on_event)
    scores = load_gold(gold, regime, log)
    matrix = store_similarity(
        rows, str(rows.path), scores, coefficient=coefficient, seeds=seeds, density=density, on_event=log
    )
    calibration = calibrate(scores, matrix, str(rows.path))
    for note in calibration.notes:
        log(Noted(note))
    return CalibratedScores(scores, calibration, check_with_gold(scores, matrix), tuple(log.notes))


def _measured(scores: TransferScores, source: str, target: str) -> float | None:
    """Return the gold score of a source and a target; None if it was not measured."""
    if source not in scores.sources or target not in scores.targets:
        return None
    score = scores[source, target]
    return None if math.isnan(score) else score
