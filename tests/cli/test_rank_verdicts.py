"""Verdicts of `rank`: sentences on the sources that have an interval."""

from __future__ import annotations

import pytest

from xsns_stream.pipeline.ranking_report import compared_with_first
from xsns_stream.types import RankedSource, SourceRanking

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
        ((True, None, None), "No other candidate has an interval, so that the first source cannot be compared."),
        ((True,), "No other candidate has an interval, so that the first source cannot be compared."),
    ],
)
def test_the_verdict_states_which_sources_are_reliably_closest(levels: tuple[bool | None, ...], sentence: str) -> None:
    sources = tuple(source(f"s{index}", 0.9 - index / 10, level) for index, level in enumerate(levels))
    assert compared_with_first(SourceRanking("sw", "jaccard", sources, basis="8 parts")) == sentence
