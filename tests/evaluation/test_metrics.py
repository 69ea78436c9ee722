"""Metrics of one target, compared with SciPy, scikit-learn and loops over all orders."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import ndcg_score

from xsns_stream.errors import UsageError
from xsns_stream.evaluation import metrics

# Few distinct values make ties likely.
VALUE = st.integers(0, 5).map(float)


@st.composite
def pairs(draw: st.DrawFn, most: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Draw predictions and scores of 2 to `most` candidates."""
    n = draw(st.integers(2, most))
    vectors = [draw(st.lists(VALUE, min_size=n, max_size=n)) for _ in range(2)]
    return np.array(vectors[0]), np.array(vectors[1])


def by_all_orders(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return the mean of each metric over all orders of tied predictions."""
    best = set(np.flatnonzero(y == y.max()))
    relevance = stats.rankdata(y)
    ideal = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(sorted(relevance, reverse=True)[:3]))
    values = []
    for order in itertools.permutations(range(len(x))):
        if any(x[a] < x[b] for a, b in itertools.pairwise(order)):
            continue
        rank = next(rank for rank, source in enumerate(order, start=1) if source in best)
        gain = sum(relevance[source] / math.log2(rank + 2) for rank, source in enumerate(order[:3]))
        values.append((rank <= 1, rank <= 3, 1 / rank, y.max() - y[order[0]], gain / ideal))
    return dict(zip(("top-1", "top-3", "mrr", "regret", "ndcg"), np.mean(values, axis=0), strict=True))


@settings(max_examples=50)
@given(pairs(most=6))
def test_ties_are_averaged_over_all_orders(pair: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = pair
    expected = by_all_orders(x, y)
    assert metrics.top_k(x, y, 1) == pytest.approx(expected["top-1"], abs=1e-12)
    assert metrics.top_k(x, y, 3) == pytest.approx(expected["top-3"], abs=1e-12)
    assert metrics.reciprocal_rank(x, y) == pytest.approx(expected["mrr"], abs=1e-12)
    assert metrics.regret(x, y) == pytest.approx(expected["regret"], abs=1e-12)
    assert metrics.ndcg(x, y) == pytest.approx(expected["ndcg"], abs=1e-12)


@settings(max_examples=50)
@given(pairs(), st.integers(1, 6))
def test_ndcg_equals_scikit_learn(pair: tuple[np.ndarray, np.ndarray], k: int) -> None:
    x, y = pair
    gains = {
        "rank-linear": stats.rankdata(y),
        "score": y,
        "exponential": 2.0 ** np.maximum(11 - stats.rankdata(-y), 0) - 1,
    }
    assert tuple(gains) == tuple(metrics.GAINS)
    for variant, gain in gains.items():
        assert metrics.ndcg(x, y, variant, k) == pytest.approx(ndcg_score([gain], [x], k=k), abs=1e-12)
    # The paper computes NDCG from the ranks of predictions and scores.
    assert metrics.ndcg(x, y) == pytest.approx(ndcg_score([stats.rankdata(y)], [stats.rankdata(x)], k=3), abs=1e-12)


@settings(max_examples=50)
@given(pairs())
def test_correlations_equal_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = pair
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        assert all(np.isnan(metric(x, y)) for metric in (metrics.pearson, metrics.spearman, metrics.kendall))
        return
    assert metrics.pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert metrics.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert metrics.kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


def test_values_that_differ_by_rounding_have_no_correlation() -> None:
    """Means over seeds of equal values may differ in the last bit."""
    x, y = np.array([0.1, 0.1, 0.1 * (1 + 2e-16), 0.1]), np.arange(4.0)
    assert x[2] != x[0]
    assert np.isnan(metrics.pearson(x, y))


@pytest.mark.parametrize("name", ["pearson", "spearman", "kendall", "top_k", "reciprocal_rank", "regret", "ndcg"])
def test_many_targets_at_once_equal_single_targets(name: str) -> None:
    metric = getattr(metrics, name)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (3, 1, 5, 9)).astype(float), rng.integers(0, 6, (1, 2, 5, 9)).astype(float)
    x[0, 0, 0] = 1.0
    together = metric(x, y)
    assert together.shape == (3, 2, 5)
    for a, b, c in np.ndindex(3, 2, 5):
        np.testing.assert_allclose(together[a, b, c], metric(x[a, 0, c], y[0, b, c]), rtol=1e-14)


@pytest.mark.parametrize("n", [2, 7, 19, 300])
def test_constant_prediction_equals_random_order(n: int) -> None:
    """The expected values are closed forms: without ties of scores, each rank is equally likely."""
    rng = np.random.default_rng(n)
    y, x = rng.random(n), np.zeros(n)
    assert metrics.top_k(x, y, 1) == pytest.approx(1 / n)
    assert metrics.top_k(x, y, 3) == pytest.approx(min(1.0, 3 / n))
    assert metrics.reciprocal_rank(x, y) == pytest.approx(np.mean(1 / np.arange(1, n + 1)))
    assert metrics.regret(x, y) == pytest.approx(y.max() - y.mean())
    discounts = [1 / math.log2(rank + 2) for rank in range(min(n, 3))]
    ideal = sum((n - rank) * discount for rank, discount in enumerate(discounts))
    assert metrics.ndcg(x, y) == pytest.approx((n + 1) / 2 * sum(discounts) / ideal)


def test_the_value_of_a_random_order_equals_a_simulation() -> None:
    rng = np.random.default_rng(1)
    y = np.array([3.0, 9.0, 9.0, 4.0, 1.0, 8.0, 2.0])
    random = rng.random((20_000, 7))
    for metric in (metrics.top_k, metrics.reciprocal_rank, metrics.regret, metrics.ndcg):
        values = metric(random, y[None])
        assert metric(np.zeros(7), y) == pytest.approx(values.mean(), abs=4 * values.std() / math.sqrt(len(values)))
    for metric in (metrics.pearson, metrics.spearman):
        assert metric(random, y[None]).mean() == pytest.approx(0.0, abs=0.012)


def test_metrics_equal_values_computed_by_hand() -> None:
    x, y = np.array([0.9, 0.5, 0.7, 0.1]), np.array([70.0, 90.0, 80.0, 10.0])
    assert metrics.top_k(x, y, 1) == 0
    assert metrics.top_k(x, y, 3) == 1
    assert metrics.reciprocal_rank(x, y) == pytest.approx(1 / 3)
    assert metrics.regret(x, y) == 20
    assert metrics.followed_score(x, y) == 70
    assert metrics.ndcg(x, y) == pytest.approx((2 + 3 / math.log2(3) + 4 / 2) / (4 + 3 / math.log2(3) + 2 / 2))
    # The source with the lowest score has the lowest prediction: three pairs agree, and the other three do not.
    assert metrics.kendall(x, y) == pytest.approx(0.0)


def test_two_candidates_have_no_correlation() -> None:
    x, y = np.array([1.0, 2.0]), np.array([2.0, 1.0])
    assert np.isnan(metrics.pearson(x, y))
    assert metrics.ndcg(x, y) == pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3)))
    assert metrics.top_k(x, y, 3) == 1


def test_many_best_sources_do_not_overflow() -> None:
    x, y = np.zeros(1500), np.repeat([1.0, 0.0], 750)
    assert metrics.top_k(x, y, 1) == pytest.approx(0.5)
    assert metrics.reciprocal_rank(x, y) == pytest.approx(math.log(2), abs=1e-3)


@settings(max_examples=50)
@given(pairs(), st.floats(-3, 3), st.floats(0.25, 4))
def test_metrics_are_invariant_to_shift_and_scale_of_predictions(
    pair: tuple[np.ndarray, np.ndarray], shift: float, scale: float
) -> None:
    x, y = pair
    moved = x * scale + shift
    for metric in (metrics.pearson, metrics.spearman, metrics.kendall, metrics.top_k, metrics.ndcg, metrics.regret):
        np.testing.assert_allclose(metric(moved, y), metric(x, y), atol=1e-9)


@settings(max_examples=50)
@given(pairs())
def test_order_metrics_are_invariant_to_increasing_functions(pair: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = pair
    for metric in (metrics.spearman, metrics.kendall, metrics.top_k, metrics.reciprocal_rank, metrics.ndcg):
        np.testing.assert_allclose(metric(np.exp(x), y), metric(x, y), atol=1e-12)
    # Most metrics depend on the scores only through their order.
    for metric in (metrics.spearman, metrics.kendall, metrics.top_k, metrics.reciprocal_rank, metrics.ndcg):
        np.testing.assert_allclose(metric(x, np.exp(y)), metric(x, y), atol=1e-12)


@settings(max_examples=50)
@given(pairs(), st.randoms(use_true_random=False))
def test_order_of_sources_does_not_matter(pair: tuple[np.ndarray, np.ndarray], random: object) -> None:
    x, y = pair
    order = np.random.default_rng(random.randrange(2**32)).permutation(len(x))  # type: ignore[attr-defined]
    for name in ("pearson", "spearman", "kendall", "top_k", "reciprocal_rank", "regret", "ndcg"):
        metric = getattr(metrics, name)
        np.testing.assert_allclose(metric(x[order], y[order]), metric(x, y), atol=1e-12)


def test_invalid_arguments_of_ndcg_are_refused() -> None:
    with pytest.raises(UsageError, match="there is no variant of NDCG 'linear'") as caught:
        metrics.ndcg(np.arange(3.0), np.arange(3.0), "linear")
    assert caught.value.hint == "choose one of rank-linear, score, exponential."
    with pytest.raises(UsageError, match="cannot have negative scores"):
        metrics.ndcg(np.arange(3.0), np.array([-1.0, 2.0, 3.0]), "score")
