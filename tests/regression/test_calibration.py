"""Calibration of similarities to expected scores, and tables and files of regressions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xsns_stream.align_scores import join
from xsns_stream.errors import UsageError
from xsns_stream.evaluation import evaluate
from xsns_stream.io.frames import read_parquet
from xsns_stream.regression import calibrate, fit
from xsns_stream.report import RESULT_FORMATS
from xsns_stream.report.regression import (
    prediction_sheet,
    regression_document,
    regression_sheets,
    write_regression,
)
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.regressions import LEFT_OUT_TARGET, Regression
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("ar", "de", "en", "es", "fi", "fr", "hi", "ja", "ru", "sw", "tr", "zh")


def world(seed: int = 0, noise: float = 2.0) -> tuple[TransferScores, SimilarityMatrix]:
    """Return similarities and scores of 12 languages: 40 + 30 × similarity + effects of source and target + noise."""
    rng = np.random.default_rng(seed)
    similarity = rng.random((12, 12))
    scores = 40 + 30 * similarity + 5 * rng.standard_normal((12, 1)) + 8 * rng.standard_normal((1, 12))
    scores += noise * rng.standard_normal((12, 12))
    gold = TransferScores(CODES, CODES, np.clip(scores, 0, 100)[None, None], "ner", "f1", "percent", "made up")
    return gold, SimilarityMatrix(CODES, CODES, similarity, "jaccard")


@pytest.fixture(scope="module")
def fitted() -> tuple[Regression, Evaluation]:
    gold, matrix = world()
    regression = fit(join(gold, {"x_s": matrix}), "mixed", "crossed")
    predictions = {"in sample": regression.fitted, **regression.left_out}
    return regression, evaluate(join(gold, predictions), resamples=200)


# -------------------------------------------------------------------------------------- calibration


def test_calibration_accounts_for_easy_targets_and_good_sources() -> None:
    gold, matrix = world()
    calibration = calibrate(gold, matrix)
    assert calibration.unit == "percent"
    assert calibration.pairs == 132
    assert calibration.slope == pytest.approx(30, abs=3)
    assert 5 < calibration.rmse_left_out < 14
    assert calibration.notes == ()
    for target in CODES:
        expected = calibration.predict(matrix.column(target), target)
        others = [code != target for code in CODES]
        errors = expected.mean[others] - gold.values[others, CODES.index(target)]
        assert np.abs(errors).mean() < 3
        assert expected.known_target
        assert expected.sources == CODES


def test_new_targets_and_sources_have_wider_intervals() -> None:
    gold, matrix = world()
    calibration = calibrate(gold, matrix)
    known = calibration.predict([0.5], "sw", ["fi"])
    new_target = calibration.predict([0.5], "mt", ["fi"])
    both_new = calibration.predict([0.5], "mt", ["yo"])
    widths = [float(one.high[0] - one.low[0]) for one in (known, new_target, both_new)]
    assert widths == sorted(widths)
    assert widths[0] < 0.6 * widths[1]
    assert not new_target.known_target


def test_intervals_cover_scores_of_held_out_targets() -> None:
    """Over 8 simulated data sets, the intervals for a new target include its scores."""
    inside = []
    for seed in range(8):
        gold, matrix = world(seed)
        cells = gold.cells.copy()
        cells[..., 9] = np.nan
        unseen = TransferScores(CODES, CODES, cells, "ner", "f1", "percent", "made up")
        expected = calibrate(unseen, matrix).predict(matrix.column("sw"), "sw")
        truth = gold.values[:, 9]
        others = np.array(CODES) != "sw"
        inside.append(((expected.low <= truth) & (truth <= expected.high))[others].mean())
    # Pairs of one target are dependent: there are 8 independent targets, and not 88 independent pairs.
    assert np.mean(inside) >= 0.8


def test_a_matrix_may_have_more_or_fewer_languages_than_the_scores() -> None:
    gold, matrix = world()
    more = SimilarityMatrix(
        (*CODES[::-1], "mt"),
        (*CODES, "yo"),
        np.pad(matrix.values[::-1], ((0, 1), (0, 1)), constant_values=0.3),
        "jaccard",
    )
    assert calibrate(gold, more).slope == pytest.approx(calibrate(gold, matrix).slope)
    fewer = SimilarityMatrix(CODES[:5], CODES, matrix.values[:5], "jaccard")
    calibration = calibrate(gold, fewer)
    assert calibration.pairs == 55
    assert calibration.regression.fitted.sources == CODES[:5]


def test_constant_similarity_is_an_error() -> None:
    gold, matrix = world()
    calibration = calibrate(gold, matrix)
    gaps = np.where(np.arange(12) == 3, np.nan, 0.5)
    assert np.isnan(calibration.predict(gaps, "sw").mean).tolist() == [index == 3 for index in range(12)]
    with pytest.raises(UsageError, match="these predictors have the same value for all 132 pairs"):
        calibrate(gold, SimilarityMatrix(CODES, CODES, np.ones((12, 12)), "jaccard"))
    with pytest.raises(UsageError, match="2 sources, but a regression needs at least 3"):
        calibrate(gold, SimilarityMatrix(CODES[:2], CODES, matrix.values[:2], "jaccard"))
    with pytest.raises(UsageError, match="each predictor must have 12 values"):
        calibration.predict([0.5], "sw")


def test_predictions_are_clipped_to_the_range_of_the_unit() -> None:
    gold, matrix = world()
    expected = calibrate(gold, matrix).predict(np.full(12, 5.0), "sw")
    assert set(expected.mean) == {100.0}
    assert set(expected.high) == {100.0}


# ------------------------------------------------------------------------------------ tables and files


def test_tables_have_coefficients_variances_errors_and_rankings(fitted: tuple[Regression, Evaluation]) -> None:
    regression, ranks = fitted
    coefficients, variances, errors, ranking = regression_sheets(regression, ranks)
    assert coefficients.title == ("mixed (target × source): ner f1 (percent) of 132 pairs, 12 sources and 12 targets")
    assert [line[0] for line in coefficients.lines] == ["intercept", "x_s"]
    assert float(coefficients.lines[1][1]) == pytest.approx(regression["x_s"].estimate, abs=1e-4)
    assert coefficients.lines[1][4] == "< 0.0001"
    assert [line[0] for line in variances.lines] == ["between targets", "between sources", "residual"]
    assert errors.header == ("prediction", "RMSE", "without predictors", "mean alone", "in 95 % interval", "pairs")
    assert float(errors.lines[1][1]) == pytest.approx(regression.error(LEFT_OUT_TARGET).rmse, abs=0.005)
    assert ranking.header == ("prediction", "pearson %", "top-1 %", "ndcg@3[rank-linear] %", "regret")
    assert [line[0] for line in ranking.lines][:3] == ["in sample", "leave one target out", "leave one source out"]
    assert {"random", "english", "source-mean"} <= {line[0] for line in ranking.lines}
    assert all(len(line) == len(sheet.header) for sheet in regression_sheets(regression, ranks) for line in sheet.lines)


def test_table_of_least_squares_has_no_random_intercepts() -> None:
    gold, matrix = world()
    (_, variances, errors) = regression_sheets(fit(join(gold, {"x": matrix})))
    assert [line[0] for line in variances.lines] == ["residual"]
    assert "without predictors" not in errors.header


def test_expected_scores_are_sorted_best_first() -> None:
    gold, matrix = world()
    similarities = matrix.column("sw").copy()
    similarities[4] = np.nan
    sheet = prediction_sheet(calibrate(gold, matrix).predict(similarities, "mt"))
    assert sheet.title == "Expected for Maltese (mt), a target without scores"
    assert "fi" not in {line[0] for line in sheet.lines}
    means = [float(line[2]) for line in sheet.lines]
    assert means == sorted(means, reverse=True)
    assert len(means) == 11


@pytest.mark.parametrize("suffix", RESULT_FORMATS)
def test_files_of_every_format_are_the_same_each_time(
    suffix: str, fitted: tuple[Regression, Evaluation], tmp_path: Path
) -> None:
    regression, ranks = fitted
    target = write_regression(regression, ranks, tmp_path / f"regression{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    first = target.read_bytes()
    write_regression(regression, ranks, target)
    assert target.read_bytes() == first, "the same regression gives the same file"


def test_files_contain_the_regression(fitted: tuple[Regression, Evaluation], tmp_path: Path) -> None:
    regression, ranks = fitted
    paths = {suffix: write_regression(regression, ranks, tmp_path / f"r{suffix}") for suffix in RESULT_FORMATS}
    markdown = paths[".md"].read_text()
    assert "| x\\_s |" in markdown
    assert "&lt; 0.0001" in markdown
    latex = paths[".tex"].read_text()
    assert r"x\_s & " in latex
    assert "95 \\%" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 4
    document = json.loads(paths[".json"].read_text())
    assert document["schema_version"] == 1
    assert document["coefficients"][0]["standardised"] is None
    assert document["ranking"][0]["predictor"] == "in sample"
    pairs, notes = read_parquet(paths[".parquet"])
    pd.testing.assert_frame_equal(pairs, regression.to_frame())
    pd.testing.assert_frame_equal(pd.read_csv(paths[".csv"]), regression.to_frame(), check_dtype=False)
    assert notes is not None
    assert notes["kind"] == "regression"
    assert notes["coefficients"] == document["coefficients"]
    assert paths[".png"].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in paths[".svg"].read_bytes()


def test_document_agrees_with_the_tables(fitted: tuple[Regression, Evaluation]) -> None:
    regression, ranks = fitted
    document = regression_document(regression, ranks)
    assert document["pairs"] == 132
    assert document["random_intercepts"] == ["target", "source"]
    assert set(document["intercepts"]["target"]) == set(CODES)
    assert [error["way"] for error in document["errors"]] == [
        "in sample",
        "leave one target out",
        "leave one source out",
    ]
    assert "ranking" not in regression_document(regression)
