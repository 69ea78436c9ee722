"""Evaluations as tables, files and figures."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from xsns_stream.align_scores import join
from xsns_stream.errors import UsageError
from xsns_stream.evaluation import evaluate
from xsns_stream.io.escaping import in_latex, in_markdown
from xsns_stream.io.frames import read_parquet
from xsns_stream.report import (
    RESULT_FORMATS,
    evaluation_document,
    evaluation_figure,
    evaluation_sheets,
    evaluation_table,
    write_evaluation,
)
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores

CODES = ("sw", "en", "fi", "de", "zu", "et")


def made(unit: str = "percent", **options: object) -> tuple[Evaluation, JoinedScores]:
    rng = np.random.default_rng(0)
    cells = rng.random((1, 1, 6, 6)) * (100 if unit == "percent" else 1)
    gold = TransferScores(CODES, CODES, cells, "pos", "accuracy", unit, "made up")
    names = {"x_1": "jaccard", "y|2": "cosine"}
    matrices = {name: SimilarityMatrix(CODES, CODES, rng.random((6, 6)), kind) for name, kind in names.items()}
    joined = join(gold, matrices)
    return evaluate(joined, resamples=200, **options), joined  # type: ignore[arg-type]


def drawn(evaluation: Evaluation, width: int = 200, *, per_target: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(evaluation_table(evaluation, width, per_target=per_target))
    return out.getvalue()


def test_the_table_shows_means_with_intervals() -> None:
    evaluation, _ = made()
    text = drawn(evaluation)
    lines = text.splitlines()
    assert lines[0].strip() == "pos accuracy: 6 sources, 6 targets"
    assert "NDCG@3[rank-linear]" in lines[1]
    row = next(index for index, line in enumerate(lines) if line.startswith("x_1"))
    mean, (low, high) = evaluation["x_1", "top-3"], evaluation.interval("x_1", "top-3")
    assert f"{100 * mean:.1f}" in lines[row]
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in lines[row + 1]
    assert f"{evaluation['random', 'regret']:.1f}" in text
    assert "n=5" in text
    assert "95% intervals: bootstrap over targets, 200 draws" in text


def test_a_mean_over_one_target_says_so_without_an_interval() -> None:
    found, _ = made(reference="x_1")
    row, column = found.predictors.index("source-mean"), found.metrics.index("regret")
    mean, low, high, undefined = (np.array(values) for values in (found.mean, found.low, found.high, found.undefined))
    mean[row, column], low[row, column], high[row, column], undefined[row, column] = 12.2, np.nan, np.nan, 5
    one = replace(found, mean=mean, low=low, high=high, undefined=undefined)
    cells = evaluation_sheets(one)[0].lines[row]
    assert cells[1 + column] == "12.2\nn=1"
    undefined[row, column] = 6
    mean[row, column] = np.nan
    assert evaluation_sheets(one)[0].lines[row][1 + column] == "–"


def test_columns_that_do_not_fit_are_continued_below() -> None:
    evaluation, _ = made(reference="x_1")
    for width in (60, 80, 120):
        text = drawn(evaluation, width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        assert text.count("Pearson") == 2
        assert text.count("over English") == 2


def test_differences_have_p_values() -> None:
    evaluation, _ = made(reference="x_1")
    text = drawn(evaluation)
    assert "Against x_1" in text
    part = text.partition("Against x_1")[2]
    assert re.search(r"^y\|2 +[+−]\d", part, re.MULTILINE)
    assert not re.search(r"^x_1", part, re.MULTILINE)
    assert re.search(r"p=\d\.\d{3}", part)
    assert "Holm" in part


def test_scores_that_are_fractions_have_three_decimals() -> None:
    evaluation, _ = made("fraction")
    assert f"{evaluation['random', 'regret']:.3f}" in drawn(evaluation)


def test_the_table_has_a_line_for_each_target() -> None:
    evaluation, _ = made()
    means, _, targets = drawn(evaluation, per_target=True).partition("Each target")
    assert means.rstrip().splitlines() == drawn(evaluation).rstrip().splitlines(), "the means are shown too"
    lines = targets.splitlines()
    row = next(index for index, line in enumerate(lines) if line.startswith("zu"))
    choice = evaluation.choices[4]
    assert lines[row].split()[:4] == ["zu", "Zulu", "5", choice.best[0]]
    assert choice.followed[0][0] in lines[row]
    assert f"{choice.score:.1f}" in lines[row + 1]
    assert f"{evaluation.per_target[0, evaluation.metrics.index('regret'), 4]:.1f}" in lines[row + 1]
    # With English as its source, the row `english` has no choice.
    row = next(index for index, line in enumerate(lines) if line.startswith("en"))
    assert "(5 tied)" in lines[row]


def test_undefined_values_are_dashes() -> None:
    gold = TransferScores(("sw", "fi"), ("sw", "fi"), np.full((1, 1, 2, 2), 5.0), "pos", "accuracy", "percent", "-")
    joined = join(gold, {"x": SimilarityMatrix(("sw", "fi"), ("sw", "fi"), np.eye(2), "jaccard")})
    evaluation = evaluate(joined, resamples=100, reference="x")
    text = drawn(evaluation)
    assert "–" in text
    assert "nan" not in text
    assert "nan" not in drawn(evaluation, per_target=True)
    assert evaluation_figure(evaluation, joined).axes


def test_the_document_holds_everything() -> None:
    evaluation, _ = made(reference="x_1")
    document = evaluation_document(evaluation)
    first, second = document["predictors"][:2]
    assert first["name"] == "x_1"
    assert not first["trivial"]
    assert document["predictors"][2] == document["predictors"][2] | {"name": "random", "trivial": True}
    assert first["metrics"]["mrr"]["mean"] == evaluation["x_1", "mrr"]
    assert (
        first["metrics"]["regret"]["per_target"]["zu"]
        == evaluation.per_target[0, evaluation.metrics.index("regret"), 4]
    )
    assert "against" not in first["metrics"]["mrr"]
    assert set(second["metrics"]["mrr"]["against"]) == {"difference", "low", "high", "targets", "p", "p_holm"}
    assert document["against"] == "x_1"
    assert (document["unit"], document["average"], document["resampled"]) == ("percent", "metrics", "targets")
    assert document["targets"][0]["followed"]["x_1"] == list(evaluation.choices[0].followed[0])


@pytest.mark.parametrize("suffix", RESULT_FORMATS)
def test_every_format_gives_the_same_bytes_each_time(suffix: str, tmp_path: Path) -> None:
    evaluation, joined = made(reference="x_1")
    first = write_evaluation(evaluation, joined, tmp_path / f"a{suffix}").read_bytes()
    assert first
    assert write_evaluation(evaluation, joined, tmp_path / f"b{suffix.upper()}").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix.upper()}"]


def test_numbers_come_back_from_files(tmp_path: Path) -> None:
    evaluation, joined = made(reference="x_1")
    expected = evaluation.to_frame()
    pd.testing.assert_frame_equal(pd.read_csv(write_evaluation(evaluation, joined, tmp_path / "a.csv")), expected)
    frame, notes = read_parquet(write_evaluation(evaluation, joined, tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(frame, expected)
    assert notes is not None
    assert notes["kind"] == "evaluation"
    document = json.loads(write_evaluation(evaluation, joined, tmp_path / "a.json").read_text())
    assert document["schema_version"] == 1
    assert document["predictors"][1]["metrics"]["mrr"]["mean"] == evaluation["y|2", "mrr"]
    assert document["predictors"][3]["metrics"]["over-english"]["per_target"]["en"] is None
    path = write_evaluation(evaluation, joined, tmp_path / "t.csv", per_target=True)
    pd.testing.assert_frame_equal(pd.read_csv(path), evaluation.per_target_frame())


def test_markdown_has_two_tables_and_the_notes(tmp_path: Path) -> None:
    evaluation, joined = made(reference="x_1")
    text = write_evaluation(evaluation, joined, tmp_path / "a.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    # There are two tables: header, rule and five predictors; header, rule and the four other rows.
    assert len(rows) == 7 + 6
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {15, 14}
    assert "| y\\|2 |" in text
    assert f"* {in_markdown(evaluation.notes[-1])}" in text


@pytest.mark.parametrize(
    ("text", "markdown", "latex"),
    [
        ("a|b_c", r"a\|b\_c", r"a|b\_c"),
        ("<script>", "&lt;script&gt;", "$<$script$>$"),
        ("*`\\", r"\*\`\\", r"*`\textbackslash{}"),
        ("[x] 5%\n\x1b[31m−1", "[x] 5% [31m−1", r"{}[x] 5\% [31m$-$1"),
    ],
)
def test_markup_in_names_is_escaped(text: str, markdown: str, latex: str) -> None:
    assert (in_markdown(text), in_latex(text)) == (markdown, latex)


@pytest.mark.parametrize("name", ["$x^{$", "$x^2$"])
def test_a_dollar_sign_in_a_figure_is_not_parsed_as_mathematics(name: str, tmp_path: Path) -> None:
    evaluation, joined = made()
    called = dataclasses.replace(evaluation, predictors=(name, *evaluation.predictors[1:]))
    first, *others = joined.predictions
    joined = dataclasses.replace(joined, predictions=(dataclasses.replace(first, name=name), *others))
    write_evaluation(called, joined, tmp_path / "a.svg")


def test_latex_has_two_tables_with_escaped_names(tmp_path: Path) -> None:
    evaluation, joined = made(reference="x_1")
    text = write_evaluation(evaluation, joined, tmp_path / "a.tex").read_text(encoding="utf-8")
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 6 + 5
    assert all(line.count("&") == 13 for line in body[:6])
    assert body[1].startswith(r"x\_1 & ")
    assert "−" not in "".join(body)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2


def test_the_figure_shows_every_predictor() -> None:
    evaluation, joined = made()
    figure = evaluation_figure(evaluation, joined)
    dots, *scatters = figure.axes
    assert [text.get_text() for text in dots.get_legend().get_texts()] == ["x_1", "y|2", "english", "source-mean"]
    assert len(dots.get_yticklabels()) == 6
    assert "Swahili  sw" in [label.get_text() for label in dots.get_yticklabels()]
    assert [axes.get_xlabel() for axes in scatters] == ["jaccard", "cosine"]
    for axes, prediction in zip(scatters, joined.predictions, strict=True):
        points = np.asarray(axes.collections[0].get_offsets())
        candidates = joined.candidates
        np.testing.assert_array_equal(points[:, 0], prediction.values[candidates])
        np.testing.assert_array_equal(points[:, 1], joined.gold.values[candidates])


def contrary(names: dict[str, int], targets: int = 6) -> Evaluation:
    """Return an evaluation of predictors that equal the scores on `good` targets, and their negative on the others."""
    rng = np.random.default_rng(5)
    cells = rng.random((6, targets)) * 100
    gold = TransferScores(CODES, CODES[:targets], cells[None, None], "pos", "accuracy", "percent", "made up")
    signs = {
        name: np.array([1.0 if index < good else -1.0 for index in range(targets)]) for name, good in names.items()
    }
    matrices = {name: SimilarityMatrix(CODES, CODES[:targets], cells * sign, "x") for name, sign in signs.items()}
    return evaluate(join(gold, matrices), resamples=100)


def test_predictors_that_do_not_beat_a_random_order_are_in_the_heading() -> None:
    evaluation = contrary({"good": 6, "half": 3, "bad": 2})
    assert [evaluation.above_random(name) for name in ("good", "half", "bad")] == [(6, 6), (3, 6), (2, 6)]
    assert evaluation.warning == "no better than a random order on most targets: bad (4 of 6)"
    assert drawn(evaluation).splitlines()[0].strip() == f"pos accuracy: 6 sources, 6 targets; {evaluation.warning}"
    assert evaluation.warning in evaluation._repr_html_()
    assert evaluation_document(evaluation)["predictors"][2]["above_random"] == {"above": 2, "targets": 6}
    assert contrary({"good": 6, "half": 3}).warning == ""


def test_a_constant_prediction_is_no_better_than_a_random_order() -> None:
    cells = np.random.default_rng(1).random((1, 1, 6, 6)) * 100
    gold = TransferScores(CODES, CODES, cells, "pos", "accuracy", "percent", "made up")
    joined = join(gold, {"flat": SimilarityMatrix(CODES, CODES, np.ones((6, 6)), "x")})
    assert evaluate(joined, resamples=100).above_random("flat") == (0, 6)
    assert evaluate(joined, resamples=100, with_trivial=False).warning == ""


@pytest.mark.parametrize(
    ("task", "metric", "title", "label"),
    [
        ("unknown", "unknown", "gold scores: 6 sources, 6 targets", "score (percent)"),
        ("pos", "unknown", "pos scores: 6 sources, 6 targets", "score (percent)"),
        ("unknown", "f1", "f1: 6 sources, 6 targets", "F1 (percent)"),
    ],
)
def test_titles_of_scores_without_task_and_metric_are_general(task: str, metric: str, title: str, label: str) -> None:
    evaluation, joined = made()
    evaluation = replace(evaluation, settings=replace(evaluation.settings, task=task, metric=metric))
    dots, scatter, _ = evaluation_figure(evaluation, joined).axes
    assert drawn(evaluation).splitlines()[0].strip() == title
    assert title in [text.get_text() for text in dots.texts]
    assert scatter.get_ylabel() == label


def test_the_points_of_a_scatter_are_labelled_without_overlaps() -> None:
    evaluation, joined = made()
    figure = evaluation_figure(evaluation, joined)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes, prediction in zip(figure.axes[1:], joined.predictions, strict=True):
        candidates = joined.candidates
        best = int(np.argmax(np.where(candidates, prediction.values, -1)))
        row, column = divmod(best, 6)
        labels = {text.get_text(): text.get_window_extent(renderer) for text in axes.texts}
        assert f"{CODES[row]}→{CODES[column]}" in labels, "the extreme point has a label"
        assert 5 <= len(labels) <= 14
        boxes = list(labels.values())
        assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[:index])
        frame = axes.get_window_extent(renderer)
        assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_every_point_of_a_small_scatter_has_a_label() -> None:
    _, joined = made()
    few = join(joined.gold.restricted(CODES[:3], CODES[:2]), {"x": SimilarityMatrix(CODES, CODES, np.eye(6), "x")})
    figure = evaluation_figure(evaluate(few, resamples=100), few)
    assert len(figure.axes[1].texts) == 4


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    evaluation, joined = made()
    with pytest.raises(UsageError, match=r"'.*a\.txt' does not end in the suffix of a supported format"):
        write_evaluation(evaluation, joined, tmp_path / "a.txt")


def test_an_evaluation_is_drawn_with_intervals_and_reference_rows() -> None:
    from matplotlib.figure import Figure

    from xsns_stream.report import plot_evaluation

    evaluation = contrary({"good $x$": 6, "bad": 2})
    ax = Figure(figsize=(6, 3)).add_subplot()
    assert plot_evaluation(evaluation, ax=ax) is ax
    column = evaluation.metrics.index("ndcg@3[rank-linear]")
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        f"{name} (trivial)" if name in evaluation.settings.trivial else name for name in evaluation.predictors
    ]
    dots = {float(line.get_ydata()[0]): (float(line.get_xdata()[0]), line.get_marker()) for line in ax.lines}
    for row, name in enumerate(evaluation.predictors):
        assert dots[row] == (evaluation.mean[row, column], "s" if name in evaluation.settings.trivial else "o")
    ends = sorted(tuple(path.vertices[:, 0]) for bars in ax.collections for path in bars.get_paths())
    assert ends == sorted(zip(evaluation.low[:, column].tolist(), evaluation.high[:, column].tolist(), strict=True))
    assert (
        "regret, mean over 6 targets with 95 % interval"
        in plot_evaluation(evaluation, "regret", Figure().add_subplot()).get_xlabel()
    )
    with pytest.raises(UsageError, match="there is no metric 'accuracy'"):
        plot_evaluation(evaluation, "accuracy", ax)
