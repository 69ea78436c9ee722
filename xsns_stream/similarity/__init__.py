"""Similarity of languages: overlap counts of packed sub-networks, and similarity coefficients of these counts.

Rows are streamed in blocks of columns; memory use therefore does not grow with the model. Counts are integers until a
coefficient is computed from them.
"""

from xsns_stream.similarity.coefficients import COEFFICIENTS
from xsns_stream.similarity.corrections import CORRECTIONS
from xsns_stream.similarity.count import count_groups, count_overlaps, count_overlaps_by_seed, count_selection
from xsns_stream.similarity.groups import GROUPINGS, By
from xsns_stream.similarity.matrix import jaccard, similarity, similarity_by_group
from xsns_stream.similarity.nway import common, count_by_group, united
from xsns_stream.similarity.row_counts import count_common
from xsns_stream.similarity.sample import sample_overlaps, sample_overlaps_by_seed, sample_selection
from xsns_stream.similarity.selection import Incomplete, OverlapCache, Progress, RowSource, Selection, select

__all__ = [
    "COEFFICIENTS",
    "CORRECTIONS",
    "GROUPINGS",
    "By",
    "Incomplete",
    "OverlapCache",
    "Progress",
    "RowSource",
    "Selection",
    "common",
    "count_by_group",
    "count_common",
    "count_groups",
    "count_overlaps",
    "count_overlaps_by_seed",
    "count_selection",
    "jaccard",
    "sample_overlaps",
    "sample_overlaps_by_seed",
    "sample_selection",
    "select",
    "similarity",
    "similarity_by_group",
    "united",
]
