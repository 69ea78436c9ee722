"""A report page of a few languages, with every section, made from arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from xsns_stream.report.markup import Sheet
from xsns_stream.report.page import (
    EvaluationSection,
    Fact,
    LayersSection,
    PredictorPairs,
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
from xsns_stream.types import GroupedSimilarity, SimilarityMatrix

#: Bantu, Uralic and Germanic languages, and a label that is markup.
CODES = ("sw", "zu", "xh", "fi", "et", "hu", "de", "nl", "sv", "<script>alert(1)</script>")
GROUPS = (0, 0, 0, 1, 1, 1, 2, 2, 2, 3)
EVIL = CODES[-1]


def similarities(codes: tuple[str, ...] = CODES, seed: int = 0) -> SimilarityMatrix:
    """Return similarities that are higher within a group, and differ for every pair."""
    groups = np.array(GROUPS[: len(codes)])
    values = np.where(groups[:, None] == groups[None], 0.6, 0.3) + 0.05 * np.random.default_rng(seed).random(
        (len(codes), len(codes))
    )
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1.0)
    return SimilarityMatrix(codes, codes, values, "jaccard")


def full_page(codes: tuple[str, ...] = CODES) -> ReportPage:
    """Return a page with all sections."""
    matrix = similarities(codes)
    languages = page_languages(codes)
    main = matrix_of(matrix, key="jaccard", title="Jaccard", exact=True)
    main = replace(main, low=matrix.values - 0.01, high=matrix.values + 0.02)
    other = SimilarityMatrix(codes, codes, matrix.values / 2, "dice")
    names = ("encoder.0", "encoder.1")
    layers = GroupedSimilarity(
        "layer", names, (similarities(codes, 3), similarities(codes, 4)), (640, 640), (0.25, 0.75)
    )
    return ReportPage(
        SummarySection(
            f"Ten languages & {EVIL}",
            (Fact("model", "mini"), Fact("text", EVIL)),
            ("A number is a similarity.",),
            ("Few examples: all languages.",),
            ("numpy 2",),
        ),
        languages,
        (main, matrix_of(other, key="dice", title="Dice"), *(
            matrix_of(one, key=f"layer:{name}", title=name, kind="layer") for name, one in layers
        )),
        _ranking(matrix),
        tree_section(matrix, languages, (similarities(codes, seed).values for seed in range(5, 9)), "8 parts"),
        map_section(matrix),
        LayersSection((group_set(layers, languages),), "jaccard"),
        _evaluation(matrix),
        "0.1.0",
    )  # fmt: skip


def _ranking(matrix: SimilarityMatrix) -> RankingSection:
    def target(code: str) -> RankedTarget:
        order = np.argsort(-matrix.column(code))
        near = [matrix.sources[i] for i in order if matrix.sources[i] != code]
        return RankedTarget(
            code, ((near[0], 0.699), (near[1], 0.3), (near[2], 0.001)), tuple(near[:2]), (f"A sentence on {code}.",)
        )

    mean = 100 * matrix.values
    expected = ExpectedScores(mean, mean - 5, mean + 5, np.full(mean.shape, np.nan), "accuracy (pos)", "percent")
    return RankingSection(
        tuple(map(target, matrix.targets)), "sw", "8 parts", ("Similarity is not transfer.",), expected
    )


def _evaluation(matrix: SimilarityMatrix) -> EvaluationSection:
    pairs = tuple((a, b) for a in matrix.sources for b in matrix.targets if a != b)
    values = np.array([matrix[pair] for pair in pairs])
    regret = np.linspace(0, 9, len(matrix.targets))
    sheet = Sheet("Means", ("predictor", "regret"), (("similarity", "2.0\n[1.0, 3.0]"), (EVIL, "9.0")), "A caption.")
    return EvaluationSection(
        (sheet,),
        matrix.targets,
        pairs,
        100 * values,
        (
            PredictorPairs("similarity", values, regret, 100 * values + 1, 3.0),
            PredictorPairs("random", None, regret + 1),
        ),
        "accuracy (pos)",
        "percent",
        ("A note.",),
    )
