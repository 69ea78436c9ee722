"""Distributions of sub-words (`lex`), compared with SciPy on dense vectors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from xsns_stream.baselines.subwords import TokenCounts, count_tokens, lexical_overlap
from xsns_stream.errors import CorpusError

NONE = np.array([], np.int64)


def dense(counts: TokenCounts, size: int) -> np.ndarray:
    vector = np.zeros(size)
    vector[counts.tokens] = counts.counts
    return vector / vector.sum()


def test_tokens_are_counted_without_special_ones() -> None:
    counts = count_tokens([np.array([0, 7, 5, 7, 2]), np.array([0, 5, 3, 2])], np.array([0, 2, 3]))
    assert counts.tokens.tolist() == [5, 7]
    assert counts.counts.tolist() == [2, 2]


@pytest.mark.parametrize("examples", [[], [np.array([0, 2])]])
def test_sample_without_tokens_is_an_error(examples: list[np.ndarray]) -> None:
    with pytest.raises(CorpusError, match="there are no tokens to count"):
        count_tokens(examples, np.array([0, 2]))


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=60), min_size=2, max_size=4))
def test_overlap_equals_scipy_divergence_of_dense_distributions(texts: list[list[int]]) -> None:
    counts = {str(n): count_tokens([np.array(text)], NONE) for n, text in enumerate(texts)}
    values = lexical_overlap(counts)
    for row, one in enumerate(counts.values()):
        for column, other in enumerate(counts.values()):
            expected = 1 - jensenshannon(dense(one, 31), dense(other, 31), base=2) ** 2
            assert values[row, column] == pytest.approx(expected, abs=1e-12)


def test_disjoint_distributions_overlap_by_zero_and_equal_ones_by_one() -> None:
    one, two = count_tokens([np.array([1, 2])], NONE), count_tokens([np.array([3])], NONE)
    twice = count_tokens([np.array([1, 2, 1, 2])], NONE)
    values = lexical_overlap({"a": one, "b": two, "c": twice})
    assert values.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
