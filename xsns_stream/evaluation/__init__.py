"""Evaluation of predictors against gold scores: metrics with confidence intervals, paired tests, trivial baselines."""

from xsns_stream.evaluation.evaluate import AVERAGES, RESAMPLES, evaluate
from xsns_stream.evaluation.metrics import CORRELATIONS, GAINS, OVER_ENGLISH, ndcg_name
from xsns_stream.evaluation.reference_rows import TRIVIAL
from xsns_stream.evaluation.resampling import FEWEST_RESAMPLES, MOST_RESAMPLES

#: Variants of NDCG.
NDCG: tuple[str, ...] = tuple(GAINS)

__all__ = [
    "AVERAGES",
    "CORRELATIONS",
    "FEWEST_RESAMPLES",
    "MOST_RESAMPLES",
    "NDCG",
    "OVER_ENGLISH",
    "RESAMPLES",
    "TRIVIAL",
    "evaluate",
    "ndcg_name",
]
