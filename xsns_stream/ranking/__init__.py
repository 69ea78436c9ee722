"""Rankings of source languages, with intervals, sets of sources and explanations."""

from xsns_stream.ranking.coverage import cover_by, greedy_cover
from xsns_stream.ranking.explain import explain
from xsns_stream.ranking.intervals import FEWEST_SEEDS, draws_of_parts, draws_of_seeds, part_similarities
from xsns_stream.ranking.rank import CONFIDENCE, rank_sources

__all__ = [
    "CONFIDENCE",
    "FEWEST_SEEDS",
    "cover_by",
    "draws_of_parts",
    "draws_of_seeds",
    "explain",
    "greedy_cover",
    "part_similarities",
    "rank_sources",
]
