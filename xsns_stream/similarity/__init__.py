"""Packed sub-networks → overlap counts → similarity.

Rows are streamed in blocks of columns, so that memory does not grow with the model. Counts are integers to the last
line, where a coefficient is made of them.
"""

from xsns_stream.similarity.coefficients import COEFFICIENTS
from xsns_stream.similarity.combining import common, count_parts, united
from xsns_stream.similarity.counting import count_overlaps, count_overlaps_by_seed
from xsns_stream.similarity.coverage import cover_by, greedy_cover
from xsns_stream.similarity.explaining import explain
from xsns_stream.similarity.groups import GROUPINGS, By
from xsns_stream.similarity.matrices import jaccard, similarity, similarity_by_group
from xsns_stream.similarity.parts import FEWEST_SEEDS, draws_of_parts, draws_of_seeds, part_similarities
from xsns_stream.similarity.sampling import sample_overlaps, sample_overlaps_by_seed
from xsns_stream.similarity.sources import Incomplete, OverlapKeeper, Progress, RowSource

__all__ = [
    "COEFFICIENTS",
    "FEWEST_SEEDS",
    "GROUPINGS",
    "By",
    "Incomplete",
    "OverlapKeeper",
    "Progress",
    "RowSource",
    "common",
    "count_overlaps",
    "count_overlaps_by_seed",
    "count_parts",
    "cover_by",
    "draws_of_parts",
    "draws_of_seeds",
    "explain",
    "greedy_cover",
    "jaccard",
    "part_similarities",
    "sample_overlaps",
    "sample_overlaps_by_seed",
    "similarity",
    "similarity_by_group",
    "united",
]
