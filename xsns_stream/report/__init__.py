"""Tables, files and figures of similarity matrices, rankings, evaluations and regressions.

The functions return tables as `rich` objects, or write files; no function prints. Only the functions that need pandas,
SciPy or matplotlib import these libraries.
"""

from __future__ import annotations

from xsns_stream.languages import shown_name
from xsns_stream.report.console_tables import (
    clusters_table,
    groups_table,
    matrix_table,
    neighbours_table,
    scores_table,
)
from xsns_stream.report.evaluation import (
    evaluation_document,
    evaluation_sheets,
    evaluation_table,
    write_evaluation,
)
from xsns_stream.report.evaluation_figure import evaluation_figure, plot_evaluation
from xsns_stream.report.export import (
    FORMATS,
    GROUP_FORMATS,
    FileOptions,
    MatrixFileWarning,
    check_destination,
    write_groups,
    write_matrix,
)
from xsns_stream.report.heatmap import heat_map
from xsns_stream.report.ranking import (
    ShownRanking,
    cover_table,
    explanation_table,
    ranking_html,
    ranking_table,
    rankings_frame,
    write_rankings,
)
from xsns_stream.report.ranking_figure import plot_ranking
from xsns_stream.report.result_files import RESULT_FORMATS, ResultFile, write_result

__all__ = [
    "FORMATS",
    "GROUP_FORMATS",
    "RESULT_FORMATS",
    "FileOptions",
    "MatrixFileWarning",
    "ResultFile",
    "ShownRanking",
    "check_destination",
    "clusters_table",
    "cover_table",
    "evaluation_document",
    "evaluation_figure",
    "evaluation_sheets",
    "evaluation_table",
    "explanation_table",
    "groups_table",
    "heat_map",
    "matrix_table",
    "neighbours_table",
    "plot_evaluation",
    "plot_ranking",
    "ranking_html",
    "ranking_table",
    "rankings_frame",
    "scores_table",
    "shown_name",
    "write_evaluation",
    "write_groups",
    "write_matrix",
    "write_rankings",
    "write_result",
]
