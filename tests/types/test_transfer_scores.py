"""Invariants of transfer scores, and means over measured seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.types.transfer_scores import JoinedScores, Prediction, TransferScores, mean_of_known

NAN = float("nan")


def scores(cells: Any = None, **more: Any) -> TransferScores:
    """Two regimes, two seeds, sources sw and fi, targets sw, fi and et."""
    if cells is None:
        cells = np.arange(24, dtype=np.float64).reshape(2, 2, 2, 3)
    fields: dict[str, Any] = {
        "sources": ("sw", "fi"),
        "targets": ("sw", "fi", "et"),
        "task": "pos",
        "metric": "accuracy",
        "unit": "percent",
        "origin": "made up",
        "regimes": ("long", "short"),
        "seeds": (42, 16),
    }
    return TransferScores(cells=cells, **(fields | more))


def test_values_are_the_mean_over_the_seeds_of_the_main_regime() -> None:
    gold = scores()
    np.testing.assert_array_equal(gold.values, [[3, 4, 5], [6, 7, 8]])
    np.testing.assert_array_equal(gold.per_seed, np.arange(12.0).reshape(2, 2, 3))
    assert gold["fi", "et"] == 8


def test_missing_seed_is_left_out_of_the_mean() -> None:
    cells = np.arange(24, dtype=np.float64).reshape(2, 2, 2, 3)
    cells[0, 0, 1, 2] = NAN
    cells[0, :, 0, 0] = NAN
    gold = scores(cells)
    assert gold["fi", "et"] == 11
    assert np.isnan(gold["sw", "sw"])


def test_another_regime_is_chosen_by_name() -> None:
    short = scores().regime("short")
    assert short.regimes == ("short",)
    np.testing.assert_array_equal(short.values, [[15, 16, 17], [18, 19, 20]])
    with pytest.raises(UsageError, match="no regime 'shrt'") as caught:
        scores().regime("shrt")
    assert "long, short" in caught.value.hint


def test_restriction_keeps_the_requested_order() -> None:
    gold = scores().restricted(["fi"], ["et", "sw"])
    assert (gold.sources, gold.targets) == (("fi",), ("et", "sw"))
    np.testing.assert_array_equal(gold.values, [[8, 6]])
    np.testing.assert_array_equal(gold.regime("short").values, [[20, 18]])


def test_unknown_pair_is_an_error() -> None:
    with pytest.raises(LanguageError, match="'et' → 'fi'"):
        scores()["et", "fi"]


def test_the_frame_is_labelled() -> None:
    frame = scores().to_frame()
    assert (frame.index.name, frame.columns.name) == ("source", "target")
    assert frame.loc["fi", "et"] == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": ("sw",)}, "the labels need"),
        ({"seeds": (1, 2, 3)}, "the labels need"),
        ({"seeds": ()}, "the labels need"),
        ({"sources": ("sw", "sw")}, "more than once"),
        ({"regimes": ("long", "long")}, "more than once"),
        ({"seeds": (1, 1)}, "more than once"),
        ({"unit": "per cent"}, "percent, fraction, points"),
        ({"cells": np.full((2, 2, 2, 3), np.inf)}, "infinite"),
    ],
)
def test_inconsistent_values_are_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores(**changes)


def test_mean_of_missing_values_is_missing() -> None:
    np.testing.assert_array_equal(mean_of_known(np.array([[1.0, NAN], [3.0, NAN]])), [2.0, NAN])


def test_source_is_not_a_candidate_for_itself() -> None:
    gold = scores(np.arange(6.0).reshape(1, 1, 2, 3), regimes=("main",), seeds=())
    sure = Prediction("a", "jaccard", np.ones((1, 2, 3)))
    unsure = Prediction("b", "jaccard", np.array([[[1, 1, 1], [1, 1, NAN]], [[1, NAN, 1], [1, 1, 1]]]), (1, 2))
    np.testing.assert_array_equal(JoinedScores(gold, (sure,)).candidates, [[0, 1, 1], [1, 0, 1]])
    # A value that is missing for one seed is missing in the mean over seeds.
    np.testing.assert_array_equal(JoinedScores(gold, (sure, unsure)).candidates, [[0, 0, 1], [1, 0, 0]])
