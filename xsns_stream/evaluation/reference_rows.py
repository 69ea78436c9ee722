"""Reference rows: random order, always English, the mean of each source, and the ceiling.

========== ============================================================================================================
random     Random order: the exact expectation of each metric, not a draw.
english    Always English. For English itself, and where English does not compete, it prefers no source: a random pick.
source-mean A source's mean score on the pool's other targets, itself left out: knows the scores, not the target.
ceiling    Other training runs of the same sources and targets: about as well as anything can predict these.
========== ============================================================================================================
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from xsns_stream.types import Reals
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores, mean_of_known

RANDOM: Final = "random"
ENGLISH: Final = "english"
SOURCE_MEAN: Final = "source-mean"
CEILING: Final = "ceiling"
#: Names that no other predictor may have while these rows are there.
TRIVIAL: Final = (RANDOM, ENGLISH, SOURCE_MEAN, CEILING)
ENGLISH_CODE: Final = "en"


def constant(joined: JoinedScores) -> Reals:
    """Return the prediction that prefers nothing. [1, S, T]."""
    return np.zeros((1, len(joined.sources), len(joined.targets)))


def always_english(joined: JoinedScores) -> Reals | None:
    """Return 1 for English and 0 for all others, [1, S, T]; None where English is no source."""
    if ENGLISH_CODE not in joined.sources:
        return None
    values = constant(joined)
    values[:, joined.sources.index(ENGLISH_CODE)] = 1.0
    return values


def source_mean(joined: JoinedScores) -> Reals:
    """Return each source's mean score on the other targets, itself left out. [1, S, T]; NaN where there is none."""
    known = np.isfinite(joined.gold.values) & ~joined.own
    means = np.full(known.shape, np.nan)
    for row, (scores, there) in enumerate(zip(joined.gold.values, known, strict=True)):
        for column in range(len(joined.targets)):
            others = np.delete(scores, column)[np.delete(there, column)]
            # Summed exactly: rounding that depends on the order of languages would make and break ties.
            means[row, column] = math.fsum(others) / len(others) if len(others) else np.nan
    return means[None]


def other_scores(joined: JoinedScores, other: TransferScores) -> Reals:
    """Return other scores of the same pairs as a prediction. [1, S, T]; NaN where they have none."""
    values = np.full((1, len(joined.sources), len(joined.targets)), np.nan)
    rows = [(place, other.sources.index(code)) for place, code in enumerate(joined.sources) if code in other.sources]
    columns = [(place, other.targets.index(code)) for place, code in enumerate(joined.targets) if code in other.targets]
    for row, theirs in rows:
        for column, theirs_too in columns:
            values[0, row, column] = other.values[theirs, theirs_too]
    return values


def other_seeds(joined: JoinedScores) -> Reals:
    """Return, for each seed of the gold scores, the mean of the others. [Q, S, T]."""
    scores = joined.gold.per_seed
    return np.stack([mean_of_known(np.delete(scores, place, axis=0)) for place in range(len(scores))])
