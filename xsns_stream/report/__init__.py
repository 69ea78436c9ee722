"""Similarity matrices, rankings and evaluations → tables, files and figures.

Nothing here prints: tables are objects of `rich`, files are written where the caller says. pandas, SciPy and
matplotlib are imported by the function that needs them.
"""

from __future__ import annotations

from xsns_stream.report.evaluation import evaluation_document, evaluation_sheets, evaluation_table
from xsns_stream.report.evaluation_figure import evaluation_figure
from xsns_stream.report.evaluation_files import EVALUATION_FORMATS, write_evaluation
from xsns_stream.report.files import FORMATS, check_destination, write_matrix
from xsns_stream.report.grouped import GROUP_FORMATS, write_groups
from xsns_stream.report.heatmap import cluster_order, heat_map
from xsns_stream.report.names import shown_name
from xsns_stream.report.tables import groups_table, matrix_table, neighbours_table, ranking_table

__all__ = [
    "EVALUATION_FORMATS",
    "FORMATS",
    "GROUP_FORMATS",
    "check_destination",
    "cluster_order",
    "evaluation_document",
    "evaluation_figure",
    "evaluation_sheets",
    "evaluation_table",
    "groups_table",
    "heat_map",
    "matrix_table",
    "neighbours_table",
    "ranking_table",
    "shown_name",
    "write_evaluation",
    "write_groups",
    "write_matrix",
]
