"""Verdicts of `rank`: sentences on the sources that have an interval."""

from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure

from xsns_stream.pipeline.ranking_report import RankingReport, compared_with_first
from xsns_stream.report.ranking_figure import draw_ranking
from xsns_stream.types import RankedSource, SourceRanking
from xsns_stream.types.source_ranking import ExpectedScore

AMONG = " of the 2 sources that have an interval"


def source(language: str, similarity: float, level: bool | None = None) -> RankedSource:
    known = level is not None
    low, high = (similarity - 0.1, similarity + 0.1) if known else (None, None)
    return RankedSource(language, similarity, None, None, low=low, high=high, level_with_first=level)


@pytest.mark.parametrize(
    ("levels", "sentence"),
    [
        ((True, False, False), "The first is reliably closer than all other candidates (95 %, 8 parts)."),
        ((True, True, False), "~ No reliable difference among the first 2 (95 %, 8 parts)."),
        ((True, False, True), "~ 1 of the others cannot be distinguished from the first (95 %, 8 parts)."),
        (
            (True, None, False),
            f"The first{AMONG} is reliably closer than all other sources (95 %, 8 parts).",
        ),
        (
            (True, None, True),
            f"~ No reliable difference among the first 2{AMONG} (95 %, 8 parts).",
        ),
        (
            (True, None, None),
            "The first source cannot be compared with others, because no other candidate has an interval.",
        ),
        ((True,), "The first source cannot be compared with others, because no other candidate has an interval."),
    ],
)
def test_the_verdict_states_which_sources_are_reliably_closest(levels: tuple[bool | None, ...], sentence: str) -> None:
    sources = tuple(source(f"s{index}", 0.9 - index / 10, level) for index, level in enumerate(levels))
    assert compared_with_first(SourceRanking("sw", "jaccard", sources, basis="8 parts")) == sentence


@pytest.mark.parametrize(
    ("means", "sentence"),
    [
        (
            (60.6, 50.0, 68.04),
            "The highest expected accuracy (pos) is that of Polish (pl), rank 3: 68.0, against 60.6 of the first "
            "source. The expected score is not a function of the similarity alone: it also contains how much higher or "
            "lower the scores with each source are on other targets.",
        ),
        ((70.0, 50.0, math.nan), None),
        ((70.0, 70.0, 60.0), None),
    ],
)
def test_another_source_with_the_highest_expected_score_is_named(
    means: tuple[float, ...], sentence: str | None
) -> None:
    sources = tuple(
        RankedSource(code, 0.5 - place / 10, None, None, expected=ExpectedScore(mean, mean - 5, mean + 5))
        for place, (code, mean) in enumerate(zip(("zu", "fi", "pl"), means, strict=True))
    )
    ranking = SourceRanking("sw", "jaccard", sources, unit="percent")
    facts = {"known_target": True, "task": "pos", "metric": "accuracy", "pairs": 33}
    verdicts = RankingReport(ranking, ranking, 0.15, calibration=facts).verdicts
    expected = () if sentence is None else (sentence,)
    assert verdicts == ("Expected accuracy (pos) from 33 pairs of gold scores.", *expected)


def test_a_figure_has_the_mark_of_the_table() -> None:
    sources = tuple(
        RankedSource(code, 0.5 - place / 10, None, None, low=0.1, high=0.6, level_with_first=place < 2)
        for place, code in enumerate(("zu", "fi", "pl"))
    )
    axes = Figure().add_subplot()
    draw_ranking(axes, SourceRanking("sw", "jaccard", sources, basis="8 parts"))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert [label.startswith("~ ") for label in labels] == [True, True, False]
