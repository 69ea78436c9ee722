"""Rankings of sources from similarity matrices."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.errors import ExitCode, LanguageError, UsageError
from xsns_stream.ranking import rank_sources
from xsns_stream.types import SimilarityMatrix

CODES = ("sw", "rw", "yo", "en", "de", "fr")
numbers = st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]) | st.floats(0, 1)
tables = st.lists(st.lists(numbers, min_size=6, max_size=6), min_size=6, max_size=6).map(np.array)


def make(values, sources=CODES, targets=CODES, **more):
    return SimilarityMatrix(tuple(sources), tuple(targets), np.asarray(values, float), "jaccard", **more)


def codes(ranking):
    return [source.language for source in ranking]


@pytest.fixture
def matrix():
    values = np.eye(6)
    values[:, 0] = [1.0, 0.4, 0.4, math.nan, 0.9, 0.1]
    return make(values)


def test_order_is_best_first_then_code_then_unknown(matrix):
    ranking = rank_sources(matrix, "sw")
    assert codes(ranking) == ["de", "rw", "yo", "fr", "en"]
    assert [source.tied for source in ranking] == [False, True, True, False, False]
    assert (ranking.target, ranking.coefficient) == ("sw", "jaccard")
    assert math.isnan(ranking.sources[-1].similarity)


def test_top_keeps_the_mark_of_a_cut_tie(matrix):
    ranking = rank_sources(matrix, "sw", top=2)
    assert codes(ranking) == ["de", "rw"]
    assert ranking.sources[1].tied
    assert len(rank_sources(matrix, "sw", top=100)) == 5


def test_candidates_can_be_given_and_exclude_the_target(matrix):
    ranking = rank_sources(matrix, "sw", sources=["fr", "sw", "rw", "fr"])
    assert codes(ranking) == ["rw", "fr"]
    assert not ranking.sources[0].tied


def test_target_that_is_not_a_source_is_dropped_from_the_candidates():
    matrix = make([[0.5], [0.7]], sources=("en", "de"), targets=("sw",))
    assert codes(rank_sources(matrix, "sw", sources=["sw", "de", "en"])) == ["de", "en"]


def test_values_are_read_by_label():
    matrix = make([[0.1, 0.9], [0.8, 0.2]], sources=("en", "de"), targets=("yo", "sw"))
    assert codes(rank_sources(matrix, "sw")) == ["en", "de"]
    assert codes(rank_sources(matrix, "yo")) == ["de", "en"]


def test_chance_correction_and_spread_are_included():
    per_seed = np.array([[[1.0, 0.4], [0.4, 1.0]], [[1.0, 0.6], [0.6, 1.0]]])
    matrix = make(
        per_seed.mean(0),
        ("sw", "rw"),
        ("sw", "rw"),
        chance=np.full((2, 2), 0.2),
        seeds=(0, 1),
        per_seed=per_seed,
    )
    ranking = rank_sources(matrix, "sw")
    (source,) = ranking
    assert ranking.seeds == (0, 1)
    assert source.similarity == 0.5
    assert source.chance_corrected == pytest.approx((0.5 - 0.2) / 0.8)
    assert source.spread == pytest.approx(np.std([0.4, 0.6], ddof=1))
    plain = rank_sources(make(np.eye(6)), "sw").sources[0]
    assert (plain.chance_corrected, plain.spread) == (None, None)


@given(
    values=tables,
    target=st.sampled_from(CODES),
    rows=st.permutations(range(6)),
    columns=st.permutations(range(6)),
)
def test_ranking_does_not_depend_on_the_order_of_the_matrix(values, target, rows, columns):
    shuffled = make(values[np.ix_(rows, columns)], [CODES[i] for i in rows], [CODES[i] for i in columns])
    one, two = rank_sources(make(values), target), rank_sources(shuffled, target)
    assert [(s.language, s.tied) for s in one] == [(s.language, s.tied) for s in two]


@given(values=tables, target=st.sampled_from(CODES), top=st.integers(1, 7))
def test_ranking_is_sorted_and_complete(values, target, top):
    matrix = make(values)
    ranking = rank_sources(matrix, target)
    assert sorted([*codes(ranking), target]) == sorted(CODES)
    known = [s for s in ranking if not math.isnan(s.similarity)]
    assert list(ranking)[: len(known)] == known
    assert [s.similarity for s in known] == sorted((s.similarity for s in known), reverse=True)
    for source in known:
        assert source.similarity == matrix[source.language, target]
        assert source.tied is any(s.similarity == source.similarity for s in known if s is not source)
    assert rank_sources(matrix, target, top=top).sources == ranking.sources[:top] or any(
        math.isnan(s.similarity) for s in ranking
    )


def test_errors_have_hints(matrix):
    with pytest.raises(LanguageError, match="'swa' is not a target of the matrix") as caught:
        rank_sources(matrix, "swa")
    assert "'sw'" in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE
    with pytest.raises(LanguageError, match="'qqq' is not a source of the matrix") as caught:
        rank_sources(matrix, "sw", sources=["rw", "qqq"])
    assert caught.value.hint == "choose one of its sources: sw, rw, yo, en, de, fr."
    for top in (0, -3):
        with pytest.raises(UsageError, match=f"must be at least 1, not {top}"):
            rank_sources(matrix, "sw", top=top)
    with pytest.raises(UsageError, match="no candidate source for 'sw' except itself") as given:
        rank_sources(matrix, "sw", sources=["sw"])
    assert given.value.hint == "give other sources, or omit --sources."


def test_the_hint_for_a_matrix_of_one_language_does_not_name_an_option_that_was_not_given():
    matrix = SimilarityMatrix(("sw",), ("sw",), np.array([[1.0]]), "jaccard")
    with pytest.raises(UsageError, match="no candidate source for 'sw' except itself") as caught:
        rank_sources(matrix, "sw")
    assert caught.value.hint == "build sub-networks of other languages, which can then be ranked."
