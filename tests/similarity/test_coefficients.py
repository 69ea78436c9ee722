"""Coefficients of two sets, compared with scikit-learn, SciPy and Python sets."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import jaccard_score, mutual_info_score

from xsns_stream.errors import UsageError
from xsns_stream.similarity import COEFFICIENTS, jaccard, similarity
from xsns_stream.types import OverlapCounts, OverlapRectangle

SIZE = 60
members = st.frozensets(st.integers(0, SIZE - 1))


def bits(members):
    result = np.zeros(SIZE, np.int64)
    result[list(members)] = 1
    return result


def pair(a, b, coefficient):
    table = np.array([[len(a), len(a & b)], [len(a & b), len(b)]], np.int64)
    return similarity(OverlapCounts(("a", "b"), table, SIZE), coefficient)["a", "b"]


def divided(part, total):
    return part / total if total else math.nan


def expected(a, b):
    """Return the coefficient by its definition on sets."""
    n, chance = len(a & b), len(a) * len(b) / SIZE
    chance = divided(chance, len(a) + len(b) - chance)
    return {
        "jaccard": jaccard_score(bits(a), bits(b)) if a | b else math.nan,
        "dice": divided(2 * n, len(a) + len(b)),
        "overlap": divided(n, min(len(a), len(b))),
        "containment": divided(n, len(b)),
        "cosine": divided(n, math.sqrt(len(a) * len(b))),
        "corrected-jaccard": divided(divided(n, len(a | b)) - chance, 1 - chance),
        "mutual-information": mutual_info_score(bits(a), bits(b)),
    }


@given(a=members, b=members)
def test_coefficients_follow_their_definitions(a, b):
    for coefficient, value in expected(a, b).items():
        assert pair(a, b, coefficient) == pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True), coefficient


def test_every_coefficient_has_a_definition_here():
    assert set(expected({1}, {2})) == set(COEFFICIENTS)


def test_values_are_within_the_range_of_their_coefficient():
    every = range(SIZE)
    for name, coefficient in COEFFICIENTS.items():
        values = [pair(a, b, name) for a, b in (({1, 2}, {1, 3}), ({1}, {2}), ({1, 2}, {1, 2}), (set(every[:40]), {1}))]
        assert all(coefficient.lowest <= value <= 1 for value in values), name


@pytest.mark.parametrize(("coefficient", "metric"), [("jaccard", "jaccard"), ("dice", "dice"), ("cosine", "cosine")])
def test_coefficients_equal_those_of_scipy(coefficient, metric):
    dense = np.random.default_rng(2).random((6, 500)) < 0.3
    rows = dense.astype(np.int64)
    matrix = similarity(OverlapCounts(tuple("abcdef"), rows @ rows.T, 500), coefficient)
    distances = cdist(dense if metric != "cosine" else rows, dense if metric != "cosine" else rows, metric)
    np.testing.assert_allclose(matrix.values, 1 - distances, rtol=0, atol=1e-14)


@given(a=members, b=members)
def test_coefficients_are_symmetric_and_ordered(a, b):
    for coefficient in COEFFICIENTS:
        forward, backward = pair(a, b, coefficient), pair(b, a, coefficient)
        if coefficient != "containment":
            assert forward == pytest.approx(backward, rel=1e-12, abs=1e-15, nan_ok=True)
    jac, dice = pair(a, b, "jaccard"), pair(a, b, "dice")
    assert dice == pytest.approx(2 * jac / (1 + jac), nan_ok=True)
    if a and b:
        ordered = [pair(a, b, name) for name in ("jaccard", "dice", "cosine", "overlap")]
        assert all(low <= high + 1e-12 for low, high in pairwise(ordered))
    if a:
        assert [pair(a, a, name) for name in ("jaccard", "dice", "overlap", "containment", "cosine")] == [1.0] * 5
        share = len(a) / SIZE
        entropy = -sum(p * math.log(p) for p in (share, 1 - share) if p)
        assert pair(a, a, "mutual-information") == pytest.approx(entropy, abs=1e-12)


def test_containment_is_of_the_target_in_the_source():
    small, large = {1, 2}, {1, 2, 3, 4}
    assert pair(large, small, "containment") == 1.0
    assert pair(small, large, "containment") == 0.5
    counts = OverlapRectangle(("l",), ("s",), np.array([[2]]), np.array([4]), np.array([2]), 10)
    assert similarity(counts, "containment")["l", "s"] == 1.0


def test_the_chance_level_is_the_coefficient_of_the_expected_overlap():
    counts = OverlapCounts(("a", "b"), np.array([[30, 12], [12, 20]], np.int64), 50)
    e = 30 * 20 / 50
    for coefficient, level in {
        "jaccard": e / (50 - e),
        "dice": 2 * e / 50,
        "overlap": e / 20,
        "containment": e / 20,
        "cosine": e / math.sqrt(600),
    }.items():
        matrix = similarity(counts, coefficient)
        assert matrix.chance[0, 1] == pytest.approx(level)
        assert matrix.chance_corrected[0, 1] == pytest.approx(0, abs=1e-12), (
            "the sets share as many members as by chance"
        )
    assert similarity(counts, "mutual-information").chance is None
    assert similarity(counts, "mutual-information")["a", "b"] == pytest.approx(0, abs=1e-12)
    corrected = similarity(counts, "corrected-jaccard")
    assert corrected.chance is None
    np.testing.assert_allclose(corrected.values, jaccard(counts).chance_corrected)


def test_seeds_are_averaged():
    one = OverlapCounts(("a", "b"), np.array([[30, 12], [12, 20]], np.int64), 50, seed=1)
    two = OverlapCounts(("b", "a"), np.array([[25, 20], [20, 30]], np.int64), 50, seed=2)
    for coefficient in COEFFICIENTS:
        matrix = similarity([one, two], coefficient)
        each = [similarity(table, coefficient)["a", "b"] for table in (one, two)]
        assert matrix["a", "b"] == pytest.approx(np.mean(each))
        assert matrix.coefficient == coefficient


def test_counts_of_billions_of_parameters_lose_no_precision():
    size = 7_000_000_000
    table = np.array([[4_000_000_001, 4_000_000_000], [4_000_000_000, 4_000_000_001]], np.int64)
    counts = OverlapCounts(("a", "b"), table, size)
    assert similarity(counts, "cosine")["a", "b"] == pytest.approx(4_000_000_000 / 4_000_000_001, rel=1e-15)
    assert 0.68 < similarity(counts, "mutual-information")["a", "b"] < math.log(2)


def test_an_unknown_coefficient_is_refused():
    with pytest.raises(UsageError, match="there is no coefficient 'jacard'") as caught:
        similarity(OverlapCounts(("a",), np.array([[1]], np.int64), 5), "jacard")
    assert "mutual-information" in caught.value.hint
