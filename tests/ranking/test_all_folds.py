"""Similarities of all pairs without parts of the examples equal those of single targets."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.rows import DENSITY, random_rows
from xsns_stream.errors import UsageError
from xsns_stream.ranking import (
    all_fold_similarities,
    draws_of_folds,
    fold_of_target,
    fold_similarities,
    intervals,
    resampled_matrices,
)
from xsns_stream.similarity import count_overlaps_by_seed, similarity

CODES = ("sw", "zu", "fi", "et", "de")
ROWS = random_rows(" ".join(CODES), (1, 2))
FOLDS = [random_rows(" ".join(CODES), (1, 2), salt=10 + number) for number in range(4)]


@pytest.mark.parametrize("coefficient", ["jaccard", "containment"])
@pytest.mark.parametrize("at_once", [2, 256])
def test_each_target_has_its_own_values(coefficient: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "_AT_ONCE", at_once)
    progress: list[tuple[int, int]] = []
    everything = all_fold_similarities(
        ROWS, FOLDS, CODES, (1, 2), DENSITY, coefficient, lambda *numbers: progress.append(numbers)
    )
    assert progress[-1][0] == progress[-1][1] == len(progress)
    for target in CODES:
        sources = [code for code in reversed(CODES) if code != target]
        expected = fold_similarities(ROWS, FOLDS, target, sources, (1, 2), DENSITY, coefficient)
        folds = fold_of_target(everything, CODES, target, sources, (1, 2), coefficient)
        assert np.array_equal(folds.without_target, expected.without_target)
        assert np.array_equal(folds.without_source, expected.without_source)


def test_resampled_matrices_vary_as_the_draws_of_one_target() -> None:
    matrix = similarity(count_overlaps_by_seed(ROWS, languages=CODES, seeds=[1, 2], density=DENSITY))
    everything = all_fold_similarities(ROWS, FOLDS, CODES, (1, 2), DENSITY)
    resampled = np.stack(list(resampled_matrices(everything, matrix.values, 4000)))
    assert resampled == pytest.approx(resampled.swapaxes(1, 2)), (
        "jaccard is symmetric, and so is every resampled matrix"
    )
    one = fold_of_target(everything, CODES, "sw", CODES[1:], (1, 2), "jaccard")
    draws = draws_of_folds(one, matrix).values
    assert resampled[:, 1:, 0].mean(axis=0) == pytest.approx(matrix.values[1:, 0], abs=0.01)
    # The standard deviation of 4,000 draws has a relative standard error of about 1 %.
    assert resampled[:, 1:, 0].std(axis=0) == pytest.approx(draws.std(axis=0), rel=0.08)


def test_one_fold_is_not_enough() -> None:
    with pytest.raises(UsageError, match="at least two parts"):
        all_fold_similarities(ROWS, FOLDS[:1], CODES, (1,), DENSITY)
