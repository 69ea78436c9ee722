"""Trivial baselines, which need no model: random order, always English, the mean of each source, and the ceiling.

* `random`: the exact expectation of each metric over all orders of the sources.
* `english`: English is predicted to be the best source of every target. If the target is English, or English is not a
  candidate, all sources are tied.
* `source-mean`: the mean score of each source on the other targets of the pool.
* `ceiling`: the scores of other fine-tuning runs on the same sources and targets, approximately the best possible
  prediction.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from xsns_stream.align_scores import align
from xsns_stream.types import Reals
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores, mean_of_known

RANDOM: Final = "random"
ENGLISH: Final = "english"
SOURCE_MEAN: Final = "source-mean"
CEILING: Final = "ceiling"
#: Names of the trivial baselines; a predictor cannot have one of these names if they are included.
TRIVIAL: Final = (RANDOM, ENGLISH, SOURCE_MEAN, CEILING)
ENGLISH_CODE: Final = "en"


def constant(joined: JoinedScores) -> Reals:
    """Return a constant prediction, float64 [1, S, T], in which all sources are tied."""
    return np.zeros((1, len(joined.sources), len(joined.targets)))


def always_english(joined: JoinedScores) -> Reals | None:
    """Return a prediction, float64 [1, S, T]: 1 for English, 0 for other sources; None if English is not a source."""
    if ENGLISH_CODE not in joined.sources:
        return None
    values = constant(joined)
    values[:, joined.sources.index(ENGLISH_CODE)] = 1.0
    return values


def source_mean(joined: JoinedScores) -> Reals:
    """Return the mean score of each source on all targets except the predicted one, float64 [1, S, T].

    Scores of a source on its own language are not included. The value is NaN if no score is left.
    """
    known = np.isfinite(joined.gold.values) & ~joined.own
    means = np.full(known.shape, np.nan)
    for row, (scores, has_score) in enumerate(zip(joined.gold.values, known, strict=True)):
        for column in range(len(joined.targets)):
            others = np.delete(scores, column)[np.delete(has_score, column)]
            # The sum is exact, because rounding errors would depend on the order of languages and change ties.
            means[row, column] = math.fsum(others) / len(others) if len(others) else np.nan
    return means[None]


def other_scores(joined: JoinedScores, other: TransferScores) -> Reals:
    """Return the scores of another table as a prediction, float64 [1, S, T]; NaN for pairs that the table lacks."""
    return align(other.values[None], (other.sources, other.targets), (joined.sources, joined.targets))


def other_seeds(joined: JoinedScores) -> Reals:
    """Return a prediction for each of Q seeds of the gold scores, float64 [Q, S, T]: the mean over the other seeds."""
    scores = joined.gold.per_seed
    return np.stack([mean_of_known(np.delete(scores, seed, axis=0)) for seed in range(len(scores))])
