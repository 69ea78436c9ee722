"""The report page: one self-contained HTML file, which makes no requests; D3 draws the data that the file contains.

The data of each section are a frozen dataclass. `xsns_stream.pipeline.report` computes these dataclasses; the scripts
in `files/` only draw them.
"""

from xsns_stream.report.page.evaluation import EvaluationSection, PredictorPairs
from xsns_stream.report.page.languages import PageLanguage, page_languages
from xsns_stream.report.page.layers import GroupSet, LayersSection, group_set
from xsns_stream.report.page.maps import MapSection, map_section
from xsns_stream.report.page.matrices import PageMatrix, matrix_of
from xsns_stream.report.page.page import PAGE_SUFFIX, ReportPage, write_page
from xsns_stream.report.page.ranking import RankedTarget, RankingSection
from xsns_stream.report.page.summary import Fact, SummarySection
from xsns_stream.report.page.tree import TreeSection, tree_section

__all__ = [
    "PAGE_SUFFIX",
    "EvaluationSection",
    "Fact",
    "GroupSet",
    "LayersSection",
    "MapSection",
    "PageLanguage",
    "PageMatrix",
    "PredictorPairs",
    "RankedTarget",
    "RankingSection",
    "ReportPage",
    "SummarySection",
    "TreeSection",
    "group_set",
    "map_section",
    "matrix_of",
    "page_languages",
    "tree_section",
    "write_page",
]
