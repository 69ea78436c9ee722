"""Scores of targets, paired means, chosen sources, and panels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from xsns_stream.languages import mixture
from xsns_stream.reproduce.recipes.source_choice import (
    SET_SIZE,
    best_single,
    most_central,
    most_similar,
    random_sets,
    restrict_to_seeds,
)
from xsns_stream.reproduce.recipes.variants import expected_jaccard
from xsns_stream.reproduce.scores import paired_means, scores_of_target
from xsns_stream.reproduce.sweep import best_predictor, metric_panels, metric_table, value_label
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("de", "en", "fi", "sw", "zu")
NAN = math.nan


def scores(values: Any, seeds: tuple[int, ...] = (1,)) -> TransferScores:
    cells = np.asarray(values, np.float64)
    return TransferScores(
        CODES[: cells.shape[-2]], ("de", "et"), cells[None], "pos", "accuracy", "percent", "-", seeds=seeds
    )


def matrix(values: Any) -> SimilarityMatrix:
    return SimilarityMatrix(CODES, CODES, np.asarray(values, np.float64), "jaccard")


def test_scores_of_a_target_are_separated_from_its_own_score() -> None:
    target_scores = scores_of_target(scores([[[90.0, 40.0], [60.0, 50.0], [NAN, 50.0]]]), "de", {"de": 10.0})
    assert target_scores.others == {"en": 60.0}
    assert (target_scores.own, target_scores.trivial, target_scores.best, target_scores.english) == (
        90.0,
        10.0,
        60.0,
        60.0,
    )
    target_scores = scores_of_target(scores([[[90.0, 40.0], [60.0, 50.0], [NAN, 50.0]]]), "et", {})
    assert math.isnan(target_scores.own)
    assert math.isnan(target_scores.trivial)
    assert target_scores.best_sources == ("en", "fi")
    assert (target_scores.worst, target_scores.mean) == (40.0, pytest.approx(140 / 3))
    assert target_scores.mean_of(["de", "en"]) == 45.0
    assert math.isnan(target_scores.mean_of([]))
    assert math.isnan(target_scores.mean_of(["de", "sw"]))
    nothing = scores_of_target(scores([[[NAN, NAN]]]), "et", {})
    assert all(math.isnan(value) for value in (nothing.best, nothing.worst, nothing.mean, nothing.english))


def test_means_are_compared_where_both_values_are_known() -> None:
    rows = {"a": [10.0, 20.0, 30.0, NAN], "b": [11.0, 20.0, 35.0, 99.0], "c": [NAN] * 4}
    means = paired_means(rows, "a")
    a, b, c = means.values()
    assert (a.mean, a.targets, b.mean, b.targets) == (20.0, 3, pytest.approx(41.25), 4)
    # Rows are compared on the targets for which both have a value.
    assert (b.difference, b.better, b.level, b.worse) == (2.0, 2, 1, 0)
    assert b.difference_low <= 2.0 <= b.difference_high
    # One of three targets is tied, so that half of the sign patterns reach the sum.
    assert b.p == 0.5
    assert a.low <= a.mean <= a.high
    assert math.isnan(a.difference)
    assert math.isnan(a.p)
    assert (c.targets, c.better) == (0, 0)
    assert math.isnan(c.mean)
    assert paired_means(rows, "a")["b"] == b


def test_the_most_similar_sources_of_a_target_are_chosen() -> None:
    values = np.full((5, 5), 0.5)
    values[:, 0] = [1.0, 0.2, 0.9, 0.2, NAN]
    assert most_similar(matrix(values), CODES, "de") == ("fi", "en", "sw")
    assert most_similar(matrix(values), ("de", "en", "zu"), "de") == ("en",)
    # Tied languages are in the order of their codes.
    assert most_similar(matrix(values), CODES, "zu") == ("de", "en", "fi")
    assert most_similar(matrix(values), CODES, "et") == ()


def test_english_and_the_most_central_sources_are_chosen() -> None:
    values = np.eye(5)
    for row, mean in enumerate((0.1, 0.0, 0.5, 0.9, 0.3)):
        values[row, [other for other in range(5) if other != row]] = mean
    assert most_central(matrix(values), CODES, "de") == ("en", "sw", "fi")
    assert most_central(matrix(values), CODES, "sw") == ("en", "fi", "zu")
    assert most_central(matrix(values), CODES, "en") == ("sw", "fi", "zu")
    assert most_central(matrix(values), ("fi", "sw"), "et") == ("sw", "fi")


def test_random_sets_are_reproducible() -> None:
    sets = random_sets(CODES, "de")
    assert sets == random_sets(tuple(reversed(CODES)), "de")
    assert all(len(set(one)) == SET_SIZE and "de" not in one for one in sets)
    assert len({mixture(one) for target in CODES for one in random_sets(CODES, target)}) > 2
    assert random_sets(("en", "fi", "de"), "de") == ()


def test_the_best_single_sources_are_chosen_over_the_same_seeds() -> None:
    cells = [[[0.0, 10.0], [0.0, 30.0], [0.0, 20.0], [0.0, 30.0]], [[0.0, 90.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]]
    both = scores(cells, seeds=(1, 2))
    assert best_single(both, "et") == ("de", "en", "sw")
    assert best_single(restrict_to_seeds(both, (1,)), "et") == ("en", "sw", "fi")
    assert restrict_to_seeds(both, (7,)) is both


def document(**means: float | None) -> dict[str, Any]:
    def metrics(mean: float | None) -> dict[str, Any]:
        one = {"mean": mean, "low": mean, "high": mean}
        return dict.fromkeys(("pearson", "spearman", "top-1", "ndcg@3[rank-linear]"), one)

    return {
        "against": "0.15",
        "predictors": [{"name": name.replace("p", "0."), "metrics": metrics(mean)} for name, mean in means.items()],
    }


def test_panels_have_a_curve_over_densities_for_each_metric() -> None:
    evaluation = document(p05=0.5, p15=None, p25=0.7, random=0.2)
    panels = metric_panels({"pos": evaluation}, {"pos": [0.05, 0.15, 0.25, 0.35]})
    assert [panel.title for panel in panels] == ["Pearson", "Spearman", "Top-1", "NDCG@3"]
    (curve,) = panels[0].curves
    assert (curve.name, curve.x, curve.level) == ("POS tagging", (0.05, 0.15, 0.25), 20.0)
    np.testing.assert_array_equal(curve.mean, [50.0, NAN, 70.0])
    assert best_predictor(evaluation) == "0.25"
    assert best_predictor(document(p05=None, random=0.9)) == ""
    table = metric_table(evaluation, "p", {"chance": {"0.15": "0.081"}})
    assert "| 0.15 | 0.081 | – |" in table
    assert "| random |  | 20.0 [20, 20] |" in table


def test_value_labels_are_numbers_of_the_command_line() -> None:
    assert [value_label(value) for value in (0.05, 0.1, 0.15, 0.95, 64, 10_000)] == [
        "0.05",
        "0.1",
        "0.15",
        "0.95",
        "64",
        "10000",
    ]


def test_expected_jaccard_equals_that_of_unrelated_sets() -> None:
    rng = np.random.default_rng(0)
    one, two = (rankdata(rng.random(200_000)) > 200_000 * 0.7 for _ in range(2))
    assert (one & two).sum() / (one | two).sum() == pytest.approx(expected_jaccard(0.3), abs=0.005)
