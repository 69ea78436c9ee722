"""Notes beside an evaluation: what is missing, tied or undefined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.evaluation import metrics
from xsns_stream.evaluation.metrics import CORRELATIONS, OVER_ENGLISH
from xsns_stream.evaluation.reference_rows import ENGLISH_CODE
from xsns_stream.types import Reals
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import JoinedScores

# Names listed before a remark says how many more there are.
_LISTED: Final = 12
# Targets below which a bootstrap over them means little.
_FEW_TARGETS: Final = 5


def remarks(joined: JoinedScores, found: Evaluation, cells: Sequence[Reals]) -> Evaluation:
    """Return the evaluation with its notes.

    Args:
        joined: Its notes, on languages that did not match, come first.
        found: Without notes.
        cells: For each predictor [M, T, R, Q], before seeds were averaged over.
    """
    notes = (*joined.notes, *_few(found), *_constant(found), *_tied(found), *_seeds(found, cells), *_absent(found))
    return replace(found, notes=notes)


def _few(found: Evaluation) -> Iterator[str]:
    """Yield what holds for targets with few candidates."""
    by_count = {choice.target: choice.candidates for choice in found.choices}
    none = [target for target, count in by_count.items() if count < metrics.FEWEST]
    two = [target for target, count in by_count.items() if count == metrics.FEWEST]
    sure = [target for target, count in by_count.items() if metrics.FEWEST <= count <= metrics.DEPTH]
    if none:
        yield f"undefined for {_listed(none)}: fewer than {metrics.FEWEST} sources compete."
    if two:
        yield f"correlations are undefined for {_listed(two)}: two sources always correlate."
    some = len(by_count) - len(none)
    if 0 < some < _FEW_TARGETS:
        yield f"the intervals are drawn over {some} {'target' if some == 1 else 'targets'}: too narrow to be trusted."
    if sure:
        yield (
            f"Top-3 is certain, and NDCG@3 high in any order, for {_listed(sure)}: no more than {metrics.DEPTH} "
            "sources compete."
        )


def _constant(found: Evaluation) -> Iterator[str]:
    """Yield which predictors are undefined, or have no correlation, on targets with enough candidates."""
    correlation = np.isfinite(found.per_target[:, found.metrics.index(CORRELATIONS[0])])
    enough: NDArray[np.bool_] = np.array(
        [choice.candidates >= metrics.FEWEST_FOR_CORRELATION for choice in found.choices]
    )
    for row, name in enumerate(found.predictors):
        silent = enough & np.array([not choice.followed[row] for choice in found.choices])
        if silent.any():
            yield f"'{name}' is undefined for {_targets(found, silent)}: it says nothing of a source that competes."
        flat: NDArray[np.bool_] = enough & ~silent & ~correlation[row]
        if name not in found.settings.trivial and flat.any():
            yield f"'{name}' has no correlation for {_targets(found, flat)}: predictions or scores are all the same."


def _tied(found: Evaluation) -> Iterator[str]:
    """Yield where several sources are predicted best."""
    for row, name in enumerate(found.predictors):
        if name in found.settings.trivial:
            continue
        tied = [choice.target for choice in found.choices if len(choice.followed[row]) > 1]
        if tied:
            yield f"'{name}' predicts several sources best for {_listed(tied)}: the mean over them counts."


def _seeds(found: Evaluation, cells: Sequence[Reals]) -> Iterator[str]:
    """Yield where a mean over seeds lacks some of them."""
    for name, values in zip(found.predictors, cells, strict=True):
        known = np.isfinite(values).reshape(*values.shape[:2], -1)
        count = known.sum(axis=2)
        partly = ((count > 0) & (count < known.shape[2])).sum(axis=0) > 0
        if partly.any():
            yield f"'{name}' is undefined for some seeds of {_targets(found, partly)}, and averaged over the others."


def _absent(found: Evaluation) -> Iterator[str]:
    """Yield which trivial rows could not be made, and what others mean."""
    if OVER_ENGLISH not in found.metrics:
        yield "English is no source of the pool: nothing is compared with always taking it."
    elif ENGLISH_CODE in found.targets:
        yield "English cannot be its own source: for it, `english` is a random pick, and `over-english` is undefined."
    if found.settings.trivial and not found.settings.ceiling:
        yield "there is no row `ceiling`: the gold scores have one seed, and no other regime was named."


def _targets(found: Evaluation, which: NDArray[np.bool_]) -> str:
    return _listed([target for target, there in zip(found.targets, which, strict=True) if there])


def _listed(codes: Sequence[str]) -> str:
    shown = ", ".join(codes[:_LISTED])
    return shown if len(codes) <= _LISTED else f"{shown} and {len(codes) - _LISTED} more"
