"""Jackknife over folds, variation between seeds, and the intervals of rankings."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from tests.support.rows import DENSITY, Rows, random_rows
from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.ranking import (
    all_fold_similarities,
    draws_of_folds,
    draws_of_seeds,
    fold_similarities,
    rank_sources,
)
from xsns_stream.similarity.streaming import cross_intersections
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.source_ranking import FoldSimilarity, SimilarityDraws


def jaccard(a: Any, b: Any) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("sources", [["b"], ["c", "b", "d"]])
def test_target_and_sources_are_compared_without_each_of_their_folds(
    sources: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of three sources two are read at a time.
    monkeypatch.setattr("xsns_stream.ranking.intervals._AT_ONCE", 8)
    store, parts = random_rows("a b c d", (1, 2)), [random_rows("a b c d", (1, 2), salt) for salt in (1, 2, 3, 4)]
    progress: list[tuple[int, int]] = []
    fold_values = fold_similarities(
        store, parts, "a", sources, (2, 1), DENSITY, on_progress=lambda *n: progress.append(n)
    )
    assert (fold_values.sources, fold_values.seeds, fold_values.count) == (tuple(sources), (2, 1), 4)
    for r, seed in enumerate((2, 1)):
        for k, part in enumerate(parts):
            for s, code in enumerate(sources):
                a, b = ("a", seed), (code, seed)
                assert fold_values.without_target[r, k, s] == jaccard(part.bits[a], store.bits[b])
                assert fold_values.without_source[r, k, s] == jaccard(store.bits[a], part.bits[b])
    assert progress[-1] == (2 * len(sources), 2 * len(sources))


def test_few_rows_are_open_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsns_stream.ranking.intervals._AT_ONCE", 6)
    sizes: list[tuple[int, int]] = []

    def count(columns: Any, split: int, *rest: Any) -> Any:
        sizes.append((split, columns.rows - split))
        return cross_intersections(columns, split, *rest)

    monkeypatch.setattr("xsns_stream.ranking.intervals.cross_intersections", count)
    codes = [f"c{number}" for number in range(20)]
    store, *folds = (random_rows(" ".join(codes), salt=salt) for salt in range(3))
    fold_similarities(store, folds, "c0", codes[1:], (1,), DENSITY)
    assert set(sizes) == {(2, 3), (1, 6), (2, 1), (1, 2)}, "groups of three sources; each has two folds"
    sizes.clear()
    all_fold_similarities(store, folds, codes, (1,), DENSITY)
    assert {max(pair) for pair in sizes} == {6, 2}


@pytest.mark.parametrize("basis", ["folds", "seeds"])
def test_draws_and_their_intervals_need_twice_the_memory_of_the_draws(basis: str) -> None:
    random, codes = np.random.default_rng(5), tuple(f"c{number}" for number in range(300))
    sides = random.normal(0.5, 0.02, (2, 1, 4, 300))
    matrix = matrix_of(dict.fromkeys(codes, 0.5), random.normal(0.5, 0.02, (3, 300, 1)))
    fold_values = FoldSimilarity("t", codes, *sides, "jaccard", (1,))
    tracemalloc.start()
    try:
        if basis == "folds":
            draws: Any = draws_of_folds(fold_values, matrix, 2000)
        else:
            draws = draws_of_seeds(matrix, "t", codes, 2000)
        size = draws.values.nbytes
        assert tracemalloc.get_traced_memory()[1] < 2.5 * size
        tracemalloc.reset_peak()
        rank_sources(matrix, "t", draws=draws)
        assert tracemalloc.get_traced_memory()[1] < 3.5 * size, (
            "memory holds the draws, a copy in the order of the ranking, and parts of them"
        )
    finally:
        tracemalloc.stop()


def test_asymmetric_coefficient_has_sources_first() -> None:
    store, parts = random_rows("a b"), [random_rows("a b", salt=salt) for salt in (1, 2)]
    fold_values = fold_similarities(store, parts, "a", ["b"], (1,), DENSITY, "containment")
    a, b = store.bits["a", 1], parts[0].bits["b", 1]
    assert fold_values.without_source[0, 0, 0] == (a & b).sum() / a.sum()
    a, b = parts[1].bits["a", 1], store.bits["b", 1]
    assert fold_values.without_target[0, 1, 0] == (a & b).sum() / a.sum()


def test_invalid_comparisons_are_errors() -> None:
    store, parts = random_rows("a b"), [random_rows("a b", salt=salt) for salt in (1, 2)]
    with pytest.raises(UsageError, match="must have at least two parts"):
        fold_similarities(store, parts[:1], "a", ["b"], (1,), DENSITY)
    with pytest.raises(UsageError, match="there is nothing to compare"):
        fold_similarities(store, parts, "a", [], (1,), DENSITY)
    with pytest.raises(LanguageError, match="no sub-network of 'c'"):
        fold_similarities(store, parts, "a", ["c"], (1,), DENSITY)
    damaged = Rows(parts[1].bits, {("b", 1): 7})
    with pytest.raises(StoreError, match=r"'b' has .* bits instead of 7"):
        fold_similarities(store, [parts[0], damaged], "a", ["b"], (1,), DENSITY)


def matrix_of(values: dict[str, float], per_seed: Any = None) -> SimilarityMatrix:
    codes = tuple(values)
    column = np.array(list(values.values()))[:, None] if per_seed is None else per_seed.mean(axis=0)
    seeds = () if per_seed is None else tuple(range(len(per_seed)))
    return SimilarityMatrix(codes, ("t",), column, "jaccard", seeds=seeds, per_seed=per_seed)


def test_draws_have_the_covariances_of_the_jackknife() -> None:
    draw = np.random.default_rng(5)
    target, source = draw.normal(0.5, 0.02, (2, 6, 3)), draw.normal(0.5, 0.01, (2, 6, 3))
    fold_values = FoldSimilarity("t", ("a", "b", "c"), target, source, "jaccard", (1, 2))
    matrix = matrix_of({"c": 0.3, "a": 0.5, "b": 0.4})
    draws = draws_of_folds(fold_values, matrix, draws=200_000)
    assert (draws.basis, draws.sources) == ("6 parts", ("a", "b", "c"))
    assert draws.values.mean(axis=0) == pytest.approx([0.5, 0.4, 0.3], abs=5e-4)
    expected = np.zeros((3, 3))
    for one, own in zip(target, source, strict=True):
        shared_deviation, own_deviation = one - one.mean(axis=0), own - own.mean(axis=0)
        expected += 5 / 6 * (shared_deviation.T @ shared_deviation + np.diag((own_deviation**2).sum(axis=0)))
    assert np.cov(draws.values.T) == pytest.approx(expected / 4, rel=0.03, abs=2e-6)


def test_jackknife_gives_the_variance_of_a_mean() -> None:
    """The jackknife variance of a mean is exact: s² / n, with the variance s² of the parts."""
    values = np.random.default_rng(6).normal(0.5, 0.02, 8)
    without = (values.sum() - values) / 7
    fold_values = FoldSimilarity("t", ("a",), without[None, :, None], np.zeros((1, 8, 1)), "jaccard", (1,))
    draws = draws_of_folds(fold_values, matrix_of({"a": values.mean()}), draws=400_000)
    assert draws.values.var() == pytest.approx(values.var(ddof=1) / 8, rel=0.01)


@pytest.mark.parametrize(("coefficient", "low"), [("jaccard", 0), ("corrected-jaccard", -1)])
def test_draws_are_clipped_to_the_range_of_the_coefficient(coefficient: str, low: float) -> None:
    wide = np.random.default_rng(8).normal(0.5, 1, (1, 4, 2))
    fold_values = FoldSimilarity("t", ("a", "b"), wide, wide, coefficient, (1,))
    draws = draws_of_folds(fold_values, matrix_of({"a": 0.9, "b": 0.1}))
    assert (draws.values.min(), draws.values.max()) == (low, 1)


def test_draws_of_seeds_have_a_t_distribution() -> None:
    per_seed = np.random.default_rng(7).normal(0.5, 0.02, (5, 2, 1))
    matrix = matrix_of({"a": 0, "b": 0}, per_seed)
    draws = draws_of_seeds(matrix, "t", ["b", "a"], draws=200_000)
    assert draws is not None
    assert draws.basis == "5 seeds"
    from scipy import stats

    for column, row in ((0, 1), (1, 0)):
        low, high = stats.t.interval(0.95, 4, *(f(per_seed[:, row, 0]) for f in (np.mean, stats.sem)))
        assert np.quantile(draws.values[:, column], [0.025, 0.975]) == pytest.approx([low, high], abs=2e-3)
    difference = per_seed[:, 0, 0] - per_seed[:, 1, 0]
    low, high = stats.t.interval(0.95, 4, difference.mean(), stats.sem(difference))
    paired = np.quantile(draws.values[:, 1] - draws.values[:, 0], [0.025, 0.975])
    assert paired == pytest.approx([low, high], abs=2e-3)


@pytest.mark.parametrize("seeds", [0, 1, 2])
def test_too_few_seeds_give_no_draws(seeds: int) -> None:
    per_seed = np.full((seeds, 2, 1), 0.5) if seeds else None
    assert draws_of_seeds(matrix_of({"a": 0.5, "b": 0.5}, per_seed), "t", ["a", "b"]) is None


# ------------------------------------------------------------------------------ what a ranking makes of it


def ranked(values: dict[str, float], draws: Any, sources: tuple[str, ...] | None = None, **more: Any) -> Any:
    return rank_sources(
        matrix_of(values), "t", draws=SimilarityDraws("t", sources or tuple(values), np.array(draws), "8 parts"), **more
    )


def test_rankings_have_intervals_probabilities_and_level_sources() -> None:
    common = np.linspace(-1, 1, 1001)[:, None]
    independent = np.random.default_rng(1).normal(0, 1, (1001, 3))
    values = {"a": 0.5, "b": 0.499, "c": 0.3}
    # A common shift of all sources does not change their order.
    draws = np.array(list(values.values())) + 0.2 * common + 0.001 * independent
    ranking = ranked(values, draws)
    assert (ranking.basis, ranking.level) == ("8 parts", 2)
    first, second, third = ranking
    assert [source.level_with_first for source in ranking] == [True, True, False]
    assert first.low == pytest.approx(0.31, abs=0.01)
    assert first.high == pytest.approx(0.69, abs=0.01)
    assert second.low < first.low < third.high, "the intervals overlap, and a and c are nevertheless distinguished"
    shares = (draws == draws.max(axis=1, keepdims=True)).mean(axis=0)
    assert [source.best_probability for source in ranking] == pytest.approx(shares.tolist())
    assert sum(shares) == pytest.approx(1)


def test_equal_draws_share_the_probability() -> None:
    ranking = ranked({"a": 0.5, "b": 0.5, "c": 0.1}, np.tile([0.5, 0.5, 0.1], (10, 1)))
    assert [source.best_probability for source in ranking] == [0.5, 0.5, 0]
    assert ranking.level == 2


def test_sources_without_draws_have_no_interval() -> None:
    ranking = ranked({"a": 0.5, "b": 0.4, "c": 0.3}, [[0.5, 0.3], [0.5, 0.2]], ("a", "c"))
    assert [source.low is None for source in ranking] == [False, True, False]
    assert [source.level_with_first for source in ranking] == [True, None, False]
    undefined = ranked({"a": 0.5, "b": math.nan}, [[0.5, 0.3]] * 3)
    assert undefined.sources[1].low is None
    assert undefined.sources[0].best_probability == 1
    nothing = ranked({"a": math.nan, "b": math.nan}, [[0.5, 0.3]] * 3)
    assert (nothing.basis, nothing.level) == ("", 0)


def test_truncated_ranking_equals_the_beginning_of_the_full_one() -> None:
    values = {"a": 0.5, "b": 0.4, "c": 0.3}
    draws = np.array(list(values.values())) + np.random.default_rng(2).normal(0, 0.1, (500, 3))
    assert ranked(values, draws, top=1).sources == ranked(values, draws).sources[:1]
