"""Tables, files and figures of similarity matrices, rankings, evaluations and regressions.

The functions return tables as `rich` objects or write files; they do not print. pandas, SciPy and matplotlib are
imported by the functions that need them.
"""

from __future__ import annotations

from xsns_stream.report.console_tables import (
    groups_table,
    matrix_table,
    neighbours_table,
    ranking_table,
    scores_table,
    shown_name,
)
from xsns_stream.report.evaluation import (
    EVALUATION_FORMATS,
    evaluation_document,
    evaluation_figure,
    evaluation_sheets,
    evaluation_table,
    write_evaluation,
)
from xsns_stream.report.export import FORMATS, GROUP_FORMATS, check_destination, write_groups, write_matrix
from xsns_stream.report.heatmap import heat_map

__all__ = [
    "EVALUATION_FORMATS",
    "FORMATS",
    "GROUP_FORMATS",
    "check_destination",
    "evaluation_document",
    "evaluation_figure",
    "evaluation_sheets",
    "evaluation_table",
    "groups_table",
    "heat_map",
    "matrix_table",
    "neighbours_table",
    "ranking_table",
    "scores_table",
    "shown_name",
    "write_evaluation",
    "write_groups",
    "write_matrix",
]
