"""Results as pandas frames and as HTML tables for notebooks."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import pytest

from xsns_stream.align_scores import join
from xsns_stream.evaluation import evaluate
from xsns_stream.regression import fit
from xsns_stream.types import ExpectedScore, JoinedScores, RankedSource, SimilarityMatrix, SourceRanking, TransferScores
from xsns_stream.types.html_table import html_table, text_table
from xsns_stream.types.source_ranking import CoveringSource, Explanation, SourceCover

CODES = ("ar", "de", "en", "fi", "sw")


@pytest.fixture(scope="module")
def joined() -> JoinedScores:
    draw = np.random.default_rng(0)
    similarity, noise = draw.random((5, 5)), draw.random((5, 5))
    scores = TransferScores(CODES, CODES, (60 * similarity + 20 * noise)[None, None], "pos", "accuracy", "percent", "x")
    return join(scores, {"<xsns>": SimilarityMatrix(CODES, CODES, similarity, "jaccard")})


def test_html_table_escapes_text_and_leaves_missing_values_empty() -> None:
    frame = pd.DataFrame({"a<b": ["<script>", None], "value": [0.123456, float("nan")]})
    html = html_table(frame, "1 < 2")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.startswith("<p>1 &lt; 2</p>\n<table")
    assert "a&lt;b" in html
    assert "<td>0.1235</td>" in html
    assert html.count("<td></td>") == 2


def test_text_table_is_a_few_lines_and_escapes_invisible_characters() -> None:
    frame = pd.DataFrame({"a": range(1000), "b": 1 / 3, "empty": np.nan, "name": "x\x1b[31m"})
    lines = text_table(frame, "long").splitlines()
    assert lines[0] == "long"
    assert len(lines) < 15
    assert lines[1].split() == ["a", "b", "name"]
    assert lines[-1].split() == ["999", "0.3333", r"x\x1b[31m"]


def test_reprs_of_results_are_short_tables(joined: JoinedScores) -> None:
    """The tables are also short in a console."""
    matrix = SimilarityMatrix(CODES, CODES, np.eye(5), "jaccard")
    ranking = SourceRanking(
        "sw", "jaccard", (RankedSource("fi", 0.25, None, None), RankedSource("en", 0.125, None, None)), (42,)
    )
    for result, words in (
        (matrix, "Similarity of sources (rows) to targets (columns): jaccard"),
        (ranking, "Sources for sw, by jaccard"),
        (evaluate(joined, resamples=100), "Evaluation on pos accuracy (percent): means over 5 targets"),
        (fit(joined), "Regression ols of pos accuracy (percent) on 20 pairs"),
    ):
        assert repr(result).startswith(words)
        assert len(repr(result).splitlines()) < 15
        assert str(result) == repr(result)


def test_html_table_shortens_long_frames() -> None:
    html = html_table(pd.DataFrame({"n": range(1000)}), "long")
    assert html.count("<tr") < 70
    assert "<td>999</td>" in html
    assert "<td>500</td>" not in html
    assert "<p>60 of 1,000 rows are shown; to_frame() returns the whole table.</p>" in html
    assert "are shown" not in html_table(pd.DataFrame({"n": range(60)}), "whole")


def test_html_table_shows_invisible_characters_and_notes() -> None:
    html = html_table(pd.DataFrame({"\u202ename": ["\x1b[31m"]}), "caption", notes=["a <note>"])
    assert r"<th>\u202ename</th>" in html
    assert r"<td>\x1b[31m</td>" in html
    assert html.endswith("<p>a &lt;note&gt;</p>")


def test_a_notebook_shows_a_corner_of_a_large_matrix() -> None:
    codes = tuple(f"l{number}" for number in range(500))
    html = SimilarityMatrix(codes, codes, np.full((500, 500), 0.5), "jaccard")._repr_html_()
    assert "20 of 500 rows and 20 of 500 columns are shown; to_frame() returns the whole table." in html
    assert html.count("<td>0.5000</td>") == 400
    assert len(html) < 16_000
    small = SimilarityMatrix(codes[:20], codes[:20], np.full((20, 20), 0.5), "jaccard", notes=("one <note>",))
    assert small._repr_html_().endswith("</table>\n<p>one &lt;note&gt;</p>")
    wide = SimilarityMatrix(("a",), ("b",), np.array([[123456.7]]), "size")._repr_html_()
    assert "<td>1.235e+05</td>" in wide


def test_ranking_as_frame_has_one_row_per_source_best_first() -> None:
    sources = (
        RankedSource("rw", 0.5, 0.4, None, low=0.4, high=0.6, best_probability=0.9, level_with_first=True),
        RankedSource("fi", 0.3, 0.2, None, low=0.2, high=0.4, best_probability=0.1, level_with_first=False),
    )
    frame = SourceRanking("sw", "jaccard", sources).to_frame()
    assert frame["language"].tolist() == ["rw", "fi"]
    assert frame.index.tolist() == [1, 2]
    assert list(frame.columns) == [
        "language",
        "similarity",
        "low",
        "high",
        "best_probability",
        "level_with_first",
        "chance_corrected",
        "tied",
    ]
    assert frame["low"].tolist() == [0.4, 0.2]


def test_ranking_as_frame_has_expected_and_measured_scores() -> None:
    sources = (
        RankedSource("rw", 0.5, None, None, expected=ExpectedScore(70.0, 60.0, 80.0, 71.0)),
        RankedSource("fi", 0.3, None, None),
    )
    frame = SourceRanking("sw", "jaccard", sources).to_frame()
    assert frame.loc[1, ["expected", "expected_low", "expected_high", "measured"]].tolist() == [70.0, 60.0, 80.0, 71.0]
    assert frame.loc[2, ["expected", "measured"]].isna().all()


def test_explanations_and_sets_of_sources_are_tables() -> None:
    excess = np.array([[0.01, -0.01], [0.02, -0.02]])
    explanation = Explanation("sw", "layer", ("<0>", "1"), ("rw", "fi"), excess + 0.5, excess)
    assert explanation.to_frame().to_dict("records")[1] == {
        "layer": "<0>",
        "source": "fi",
        "chance_corrected": 0.49,
        "excess": -0.01,
    }
    assert repr(explanation).splitlines()[0] == "Contribution of each layer to the similarity with sw, minus its mean"
    assert "<td>+0.0200</td>" in explanation._repr_html_()
    assert "<0>" not in explanation._repr_html_()
    cover = SourceCover("sw", "coverage", (CoveringSource("rw", 0.5, 0.5, 0.5), CoveringSource("fi", 0.4, 0.1, 0.6)))
    assert cover.to_frame()["covered"].tolist() == [0.5, 0.6]
    assert repr(cover).splitlines()[0] == "Sources for sw together, by coverage: shares of its sub-network"
    assert "<td>0.6</td>" in cover._repr_html_()


def test_empty_ranking_is_an_empty_frame() -> None:
    assert SourceRanking("sw", "jaccard", ()).to_frame().empty


def test_ranking_as_html_names_its_target_and_escapes_labels() -> None:
    html = SourceRanking("sw", "jaccard", (RankedSource("<i>", 0.5, None, None),))._repr_html_()
    assert "Sources for sw, by jaccard" in html
    assert "&lt;i&gt;" in html
    assert "<i>" not in html


def test_evaluation_as_html_has_a_row_per_predictor_and_a_column_per_metric(joined: JoinedScores) -> None:
    evaluation = evaluate(joined, resamples=100)
    html = evaluation._repr_html_()
    assert "Evaluation on pos accuracy (percent): means over 5 targets" in html
    assert "&lt;xsns&gt;" in html
    assert "<xsns>" not in html
    for name in (*evaluation.metrics, *evaluation.predictors[1:]):
        assert f">{name}</th>" in html
    low, high = evaluation.interval("<xsns>", "spearman")
    assert f"<td>{evaluation['<xsns>', 'spearman']:.3g} [{low:.3g}, {high:.3g}]</td>" in html
    assert "Brackets contain 95 % confidence intervals of the means over targets." in html
    assert evaluation.notes
    assert all(f"<p>{escape(note)}</p>" in html for note in evaluation.notes)
    assert "Difference" not in html


def test_evaluation_as_html_compares_predictors_with_a_reference(joined: JoinedScores) -> None:
    evaluation = evaluate(joined, resamples=100, reference="<xsns>")
    assert evaluation.comparison is not None
    html = evaluation._repr_html_()
    assert "Difference from &lt;xsns&gt;, target by target" in html
    row, column = evaluation.predictors.index("english"), evaluation.metrics.index("spearman")
    assert f"<td>{evaluation.comparison.difference[row, column]:.3g} [" in html
    assert f"p={evaluation.comparison.p_holm[row, column]:.2g}</td>" in html


def test_regression_as_html_has_a_row_per_coefficient(joined: JoinedScores) -> None:
    regression = fit(joined)
    html = regression._repr_html_()
    assert "Regression ols of pos accuracy (percent) on 20 pairs" in html
    assert "&lt;xsns&gt;" in html
    assert "<td>intercept</td>" in html
    assert f"<td>{regression['<xsns>'].estimate:.4g}</td>" in html


def test_coefficient_frame_has_the_fields_of_a_coefficient(joined: JoinedScores) -> None:
    regression = fit(joined)
    frame = regression.coefficient_frame()
    assert frame["name"].tolist() == ["intercept", "<xsns>"]
    assert frame["estimate"].tolist() == [one.estimate for one in regression.coefficients]
