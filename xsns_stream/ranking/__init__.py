"""Rankings of source languages, their confidence intervals, sets of sources, and explanations."""

from xsns_stream.ranking.coverage import cover_by, greedy_cover
from xsns_stream.ranking.explain import explain
from xsns_stream.ranking.intervals import (
    FEWEST_SEEDS,
    all_fold_similarities,
    draws_of_correction,
    draws_of_folds,
    draws_of_seeds,
    fold_of_target,
    fold_similarities,
    resampled_corrections,
    resampled_matrices,
)
from xsns_stream.ranking.rank import CONFIDENCE, rank_sources

__all__ = [
    "CONFIDENCE",
    "FEWEST_SEEDS",
    "all_fold_similarities",
    "cover_by",
    "draws_of_correction",
    "draws_of_folds",
    "draws_of_seeds",
    "explain",
    "fold_of_target",
    "fold_similarities",
    "greedy_cover",
    "rank_sources",
    "resampled_corrections",
    "resampled_matrices",
]
