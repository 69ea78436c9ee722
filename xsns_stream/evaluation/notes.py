"""Notes on an evaluation, about missing, tied and undefined values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.evaluation.metrics import CORRELATIONS, DEPTH, FEWEST, FEWEST_FOR_CORRELATION, OVER_ENGLISH, TRIES
from xsns_stream.evaluation.reference_rows import ENGLISH_CODE
from xsns_stream.evaluation.sources_to_try import FEWEST_TARGETS
from xsns_stream.io.tables import listed
from xsns_stream.types import Reals
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import JoinedScores

# With fewer targets, bootstrap intervals are unreliable.
_FEW_TARGETS: Final = 5


def with_notes(joined: JoinedScores, evaluation: Evaluation, per_seed: Sequence[Reals]) -> Evaluation:
    """Return a copy of an evaluation that has notes.

    Args:
        joined: The aligned scores and predictions; their notes precede those on the evaluation.
        evaluation: The evaluation without notes.
        per_seed: Metrics [M, T, R, Q] of each predictor, before the mean over seeds.
    """
    notes = (
        *joined.notes,
        *_candidate_notes(evaluation),
        *_undefined_notes(evaluation),
        *_tie_notes(evaluation),
        *_seed_notes(evaluation, per_seed),
        *_baseline_notes(evaluation),
    )
    return replace(evaluation, notes=notes)


def _candidate_notes(evaluation: Evaluation) -> Iterator[str]:
    """Yield notes on targets that have few candidates, and a note if there are few targets."""
    counts = {choice.target: choice.candidates for choice in evaluation.choices}
    too_few = [target for target, count in counts.items() if count < FEWEST]
    two = [target for target, count in counts.items() if count == FEWEST]
    certain = [target for target, count in counts.items() if FEWEST <= count <= DEPTH]
    if too_few:
        reason = f"there are fewer than {FEWEST} candidate sources"
        yield f"the metrics are undefined for {listed(too_few)}, because {reason}."
    if two:
        yield f"correlations are undefined for {listed(two)}, because two sources always correlate perfectly."
    targets = len(counts) - len(too_few)
    if 0 < targets < _FEW_TARGETS:
        number = f"{targets} {'target' if targets == 1 else 'targets'}"
        yield f"the intervals are too narrow to be reliable, because they are computed from {number}."
    if certain:
        yield f"Top-3 is always 1, and NDCG@3 is high in any order, for {listed(certain)}: at most {DEPTH} candidates."
    most = max(TRIES)
    if always := [target for target, count in counts.items() if FEWEST <= count <= most]:
        yield f"near-best@{most} is always 1 for {listed(always)}: at most {most} candidates."
    if 0 < targets < FEWEST_TARGETS:
        yield f"sources-90 is the number of all candidates, because there are fewer than {FEWEST_TARGETS} targets."


def _undefined_notes(evaluation: Evaluation) -> Iterator[str]:
    """Yield notes on predictors that have missing values or no correlation for targets with enough candidates."""
    correlation = np.isfinite(evaluation.per_target[:, evaluation.metrics.index(CORRELATIONS[0])])
    enough: NDArray[np.bool_] = np.array([choice.candidates >= FEWEST_FOR_CORRELATION for choice in evaluation.choices])
    for row, name in enumerate(evaluation.predictors):
        incomplete = enough & np.array([not choice.followed[row] for choice in evaluation.choices])
        if incomplete.any():
            targets = _targets(evaluation, incomplete)
            yield f"'{name}' is undefined for {targets}, because it has no value for one of the candidates."
        constant: NDArray[np.bool_] = enough & ~incomplete & ~correlation[row]
        if name not in evaluation.settings.trivial and constant.any():
            targets = _targets(evaluation, constant)
            yield f"'{name}' has no correlation for {targets}: its predictions, or the scores, are all equal."


def _tie_notes(evaluation: Evaluation) -> Iterator[str]:
    """Yield notes on targets for which several sources have the largest prediction."""
    for row, name in enumerate(evaluation.predictors):
        if name in evaluation.settings.trivial:
            continue
        tied = [choice.target for choice in evaluation.choices if len(choice.followed[row]) > 1]
        if tied:
            yield f"'{name}' predicts several best sources for {listed(tied)}; metrics are averaged over these sources."


def _seed_notes(evaluation: Evaluation, per_seed: Sequence[Reals]) -> Iterator[str]:
    """Yield notes on targets for which a metric is undefined with some seeds, but not with all seeds."""
    for name, values in zip(evaluation.predictors, per_seed, strict=True):
        known = np.isfinite(values).reshape(*values.shape[:2], -1)
        count = known.sum(axis=2)
        partly = ((count > 0) & (count < known.shape[2])).sum(axis=0) > 0
        if partly.any():
            targets = _targets(evaluation, partly)
            yield f"'{name}' is undefined with some seeds for {targets}: metrics are averaged over the other seeds."


def _baseline_notes(evaluation: Evaluation) -> Iterator[str]:
    """Yield notes on trivial baselines that are missing, or that are undefined for the target English."""
    if OVER_ENGLISH not in evaluation.metrics:
        yield "English is not a source of the pool: there is no comparison with always choosing English."
    elif ENGLISH_CODE in evaluation.targets:
        yield (
            "English cannot be its own source: for the target English, `english` is a random choice, and "
            "`over-english` is undefined."
        )
    if evaluation.settings.trivial and not evaluation.settings.ceiling:
        yield "there is no row `ceiling`: the gold scores have one seed, and no other regime was given."


def _targets(evaluation: Evaluation, mask: NDArray[np.bool_]) -> str:
    return listed([target for target, selected in zip(evaluation.targets, mask, strict=True) if selected])
