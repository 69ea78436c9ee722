"""Packed sub-networks → overlap counts → similarity.

Rows are streamed in blocks of columns, so that memory does not grow with the model. Counts are integers to the last
line, where a coefficient is made of them.
"""

from xsns_stream.similarity.coefficients import COEFFICIENTS
from xsns_stream.similarity.count import count_overlaps, count_overlaps_by_seed
from xsns_stream.similarity.groups import GROUPINGS, By
from xsns_stream.similarity.matrix import jaccard, similarity, similarity_by_group
from xsns_stream.similarity.nway import common, count_parts, united
from xsns_stream.similarity.sample import sample_overlaps, sample_overlaps_by_seed
from xsns_stream.similarity.selection import Incomplete, OverlapCache, Progress, RowSource

__all__ = [
    "COEFFICIENTS",
    "GROUPINGS",
    "By",
    "Incomplete",
    "OverlapCache",
    "Progress",
    "RowSource",
    "common",
    "count_overlaps",
    "count_overlaps_by_seed",
    "count_parts",
    "jaccard",
    "sample_overlaps",
    "sample_overlaps_by_seed",
    "similarity",
    "similarity_by_group",
    "united",
]
