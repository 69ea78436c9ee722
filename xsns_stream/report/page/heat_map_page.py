"""A page for a browser that shows the heat map of a matrix and nothing else."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final

from xsns_stream.report.page.languages import page_languages
from xsns_stream.report.page.matrices import matrix_of
from xsns_stream.report.page.page import ReportPage
from xsns_stream.report.page.summary import Fact, SummarySection
from xsns_stream.types import SimilarityMatrix

#: Attributes of a matrix that the page does not show. They are removed instead of being reordered.
_UNUSED: Final[dict[str, Any]] = {"chance": None, "per_seed": None, "standard_error": None, "counts": ()}


def heat_map_page(matrix: SimilarityMatrix, density: float | None) -> ReportPage:
    """Return a page with a summary and a heat map; `xsns-stream report` makes a page with more sections.

    Args:
        matrix: The matrix. If sources and targets are the same languages, the columns get the order of the rows.
        density: Density of the sub-networks, for the summary; None if unknown.
    """
    if set(matrix.sources) == set(matrix.targets):
        columns = [matrix.targets.index(code) for code in matrix.sources]
        matrix = replace(matrix, targets=matrix.sources, values=matrix.values[:, columns], **_UNUSED)
    languages = tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))
    measure = matrix.coefficient.replace("-", " ")
    title = f"{measure[:1].upper()}{measure[1:]}"
    record = matrix.record
    facts = (
        ("measure", matrix.coefficient),
        ("seeds", ", ".join(map(str, matrix.seeds))),
        ("density", "" if density is None else f"{density:g}"),
        ("model", record.model if record is not None and record.model else ""),
    )
    return ReportPage(
        SummarySection(
            f"{title} similarity of {len(languages)} languages",
            tuple(Fact(name, value) for name, value in facts if value),
            (f"A number is the {measure} similarity of a source (row) to a target (column).",),
            tuple(f"{sentence[:1].upper()}{sentence[1:]}" for sentence in matrix.notes),
        ),
        page_languages(languages),
        (matrix_of(matrix, key=matrix.coefficient, title=title, exact=True),),
        version=version("xsns-stream"),
    )
