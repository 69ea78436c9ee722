"""Synthetic report pages: matrices, intervals and layers of any number of languages, without a store."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from xsns_stream.report.page import (
    Fact,
    LayersSection,
    PageMatrix,
    RankedTarget,
    RankingSection,
    ReportPage,
    SummarySection,
    group_set,
    map_section,
    matrix_of,
    page_languages,
    tree_section,
)
from xsns_stream.report.page.ranking import ExpectedScores
from xsns_stream.similarity import COEFFICIENTS
from xsns_stream.types import GroupedSimilarity, SimilarityMatrix

Reals = npt.NDArray[np.float64]


def language_codes(count: int) -> tuple[str, ...]:
    """Return `count` codes of languages with coordinates, from as many families as possible."""
    text = (files("xsns_stream") / "assets" / "glottolog" / "languages.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(text.splitlines()) if row["latitude"] and row["family"]]
    return tuple(row["iso639_3"] for row in rows[:: max(1, len(rows) // count)][:count])


def similarities(count: int, seed: int, noise: float = 0.02) -> Reals:
    """Return the similarities, between 0.2 and 0.8, of `count` languages.

    The languages are random points in a space of eight dimensions.     `noise` is the standard deviation of the noise
    of a similarity.
    """
    draw = np.random.default_rng(seed)
    points = np.random.default_rng(7).standard_normal((count, 8))
    squares = ((points[:, None] - points[None]) ** 2).sum(axis=-1)
    values = 0.25 + 0.5 * np.exp(-squares / 12) + noise * draw.standard_normal((count, count))
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1.0)
    return values


def synthetic_page(count: int, layers: int = 12, modules: int = 8, expected: bool = True) -> ReportPage:
    """Return a page with all sections except the evaluation, as large as the page of a store of this size."""
    codes = language_codes(count)
    languages = page_languages(codes)
    main = SimilarityMatrix(codes, codes, similarities(count, 1), "jaccard")
    matrices: list[PageMatrix] = []
    for number, name in enumerate(COEFFICIENTS):
        values = similarities(count, 1 + number)
        if name == "containment":
            values = values + 0.01 * np.random.default_rng(9).standard_normal(values.shape)
        matrix = main if name == "jaccard" else SimilarityMatrix(codes, codes, values, name)
        matrices.append(matrix_of(matrix, key=name, title=name, exact=name == "jaccard"))
    half = 0.01 + 0.01 * np.random.default_rng(3).random(main.values.shape)
    first = matrices[0]
    matrices[0] = PageMatrix(
        first.key, first.title, first.kind, codes, codes, main.values, first.row_order, first.column_order, True,
        main.values - half, main.values + half,
    )  # fmt: skip
    sets = []
    for by, groups in (("layer", layers), ("module", modules)):
        names = tuple(f"{by}.{i}" for i in range(groups))
        ones = tuple(
            SimilarityMatrix(codes, codes, similarities(count, 50 + i, 0.04), "jaccard") for i in range(groups)
        )
        grouped = GroupedSimilarity(by, names, ones, (7_087_872,) * groups, (1 / groups,) * groups)
        sets.append(group_set(grouped, languages))
        matrices += [matrix_of(one, key=f"{by}:{name}", title=name, kind=by) for name, one in grouped]
    return ReportPage(
        SummarySection("A synthetic page", (Fact("languages", str(count)),), ("The numbers are synthetic.",)),
        languages,
        tuple(matrices),
        _ranking(main, expected),
        tree_section(main, languages, (similarities(count, 100 + i) for i in range(5)), "8 parts"),
        map_section(main),
        LayersSection(tuple(sets), "jaccard"),
        version="0",
    )


def _ranking(matrix: SimilarityMatrix, expected: bool) -> RankingSection:
    targets = []
    for column, target in enumerate(matrix.targets):
        order = np.argsort(-matrix.values[:, column])[1:9]
        near = [matrix.sources[i] for i in order]
        shares = tuple((code, 0.3 / (1 + i)) for i, code in enumerate(near[:4]))
        targets.append(RankedTarget(target, shares, tuple(near[:3]), ("~ No reliable difference among the first 3.",)))
    scores = None
    if expected:
        mean = 40 + 50 * matrix.values
        measured = np.where(np.random.default_rng(4).random(mean.shape) < 0.1, mean, np.nan)
        scores = ExpectedScores(mean, mean - 9, mean + 9, measured, "accuracy (pos)", "percent")
    return RankingSection(tuple(targets), matrix.targets[0], "8 parts", ("These are synthetic numbers.",), scores)
