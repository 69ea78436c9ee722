"""The verb `report`, and `xs.report`: what the page of a store and of a matrix contains."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsns_stream as xs
from tests.support import networks
from tests.support.page_blocks import run_page
from tests.support.streams import json_result
from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.gold import write_scores
from xsns_stream.store import open_store
from xsns_stream.types.transfer_scores import TransferScores

InProcess = Callable[..., Any]
CODES = ("de", "en", "fi", "sw", "zu")
SECTIONS = ["summary", "ranking", "heat-map", "tree", "maps", "layers", "evaluation"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of five languages and three seeds, gold scores, and a file of a matrix."""
    folder = tmp_path_factory.mktemp("report")
    store = open_store(folder / "xsns.zarr", "a")
    for seed in (1, 2, 3):
        for language in CODES:
            store.write(networks.make_sub(language, seed, text={"tokens_unknown": 0.3 if language == "sw" else 0.0}))
    cells = np.random.default_rng(0).random((1, 1, 5, 5)) * 100
    write_scores(TransferScores(CODES, CODES, cells, "pos", "accuracy", "percent", ""), folder / "gold.parquet")
    (folder / "m.csv").write_text("source,x,<script>,fi\nx,1,.2,.3\n<script>,.2,1,.4\nfi,.3,.4,1\n")
    (folder / "wide.csv").write_text("source,sw,fi,et\nde,.1,.2,.3\nnl,.2,.4,.5\n")
    return folder


#: The result that the verb printed with `--json`.
result_of = partial(json_result, "report")


def test_a_page_is_written(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "report", "-o", "page.html")
    assert completed.code == 0, completed.err
    assert completed.out.startswith("wrote page.html (")
    assert completed.out.endswith("5 languages; Summary, Ranking, Heat map, Tree, Map of languages, Layers\n")
    assert completed.err.splitlines()[-1] == "next: xsns-stream rank --target de"
    assert (folder / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_json_says_what_the_page_contains(folder: Path, in_process: InProcess) -> None:
    result = result_of(in_process(folder, "report", "-o", "page.html", "--json", "--gold", "gold.parquet"))
    assert result["path"] == "page.html"
    assert result["bytes"] == (folder / "page.html").stat().st_size
    assert result["sections"] == SECTIONS
    assert result["languages"] == list(CODES)
    assert result["matrices"][:3] == ["jaccard", "dice", "overlap"]
    assert [key for key in result["matrices"] if key.startswith("layer:")] == [f"layer:layer.{i}" for i in range(3)]
    warnings = " ".join(result["summary"]["warnings"])
    assert "toy model" in warnings
    assert "Few examples: all languages" in warnings
    assert "Many unknown tokens" in warnings
    assert "sw (30%)" in warnings
    assert result["summary"]["facts"]["seeds"] == "1, 2, 3"
    assert len(result["summary"]["meaning"]) == 3


def test_the_default_is_report_html_and_layers_can_be_left_out(
    folder: Path, in_process: InProcess, tmp_path: Path
) -> None:
    store = str(folder / "xsns.zarr")
    result = result_of(in_process(tmp_path, "report", "--store", store, "--no-layers", "--lang", "sw,zu,fi", "--json"))
    assert result["path"] == "report.html"
    assert (tmp_path / "report.html").is_file()
    assert "layers" not in result["sections"]
    assert result["languages"] == ["sw", "zu", "fi"]
    completed = in_process(folder, "report", "--first-target", "Swahili", "--no-layers", "-o", "first.html")
    assert completed.err.splitlines()[-1] == "next: xsns-stream rank --target sw"


def test_the_rankings_are_those_of_rank(folder: Path) -> None:
    page = xs.report(folder / "xsns.zarr", gold=folder / "gold.parquet").page
    main, ranking = page.matrices[0], page.ranking
    assert ranking is not None
    assert ranking.expected is not None
    assert main.low is not None
    assert main.high is not None
    assert ranking.basis == "3 seeds"
    for each, target in zip(ranking.targets, CODES, strict=True):
        expected = xs.rank(folder / "xsns.zarr", target, gold=folder / "gold.parquet")
        column = CODES.index(target)
        for source in expected:
            row = CODES.index(source.language)
            assert main.values[row, column] == source.similarity
            assert (main.low[row, column], main.high[row, column]) == (source.low, source.high)
            assert source.expected is not None
            assert ranking.expected.mean[row, column] == pytest.approx(source.expected.mean)
            assert ranking.expected.measured[row, column] == source.expected.measured
        assert dict(each.best) == {
            source.language: source.best_probability for source in expected if source.best_probability > 0
        }
        assert each.tied == tuple(source.language for source in expected if source.tied)
        assert each.level == tuple(source.language for source in expected if source.level_with_first)
        assert each.sentences[: len(expected.verdicts)] == expected.verdicts


def test_parts_give_intervals_and_support_of_the_tree(tmp_path: Path) -> None:
    store = open_store(tmp_path / "parts.zarr", "a")
    for language in CODES:
        sub = networks.make_sub(language, 1)
        store.write(sub)
    for number in range(4):
        for language in CODES:
            draw = np.random.default_rng([number, *language.encode()])
            bits = networks.make_sub(language, 1).bits & ~(draw.integers(0, 2**64, 9, np.uint64) & np.uint64(0xFF))
            store.write_fold(networks.make_sub(language, 1, bits=bits), 4, number)
    page = xs.report(store).page
    assert page.ranking is not None
    assert page.tree is not None
    assert page.ranking.basis == page.tree.basis == "4 parts"
    assert page.tree.support is not None
    assert page.tree.support[-1] == 1.0
    expected = xs.rank(store, "sw")
    assert page.matrices[0].low is not None
    column = CODES.index("sw")
    assert [page.matrices[0].low[CODES.index(s.language), column] for s in expected] == [s.low for s in expected]


def test_sources_with_targets_have_no_tree(folder: Path, in_process: InProcess) -> None:
    result = result_of(in_process(folder, "report", "--sources", "de,en", "--target", "sw,zu,fi", "--json"))
    assert result["sections"] == ["summary", "ranking", "heat-map"]
    assert result["summary"]["missing"] == [
        "The page has no tree, no maps and no layers, because these need the same languages as sources and as targets."
    ]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("The page has no tree, no maps and no layers") == 1


def test_two_languages_have_no_tree(folder: Path) -> None:
    assert [name for name, _ in xs.report(folder / "xsns.zarr", languages="sw,zu").page.sections] == [
        "summary",
        "ranking",
        "heat-map",
        "layers",
    ]


def test_a_matrix_needs_no_store(folder: Path, in_process: InProcess, tmp_path: Path) -> None:
    words = ("report", "--matrix", str(folder / "m.csv"), "--title", "Mine & <b>", "--json")
    result = result_of(in_process(tmp_path, *words))
    assert result["sections"] == ["summary", "ranking", "heat-map", "tree", "maps"]
    assert result["languages"] == ["x", "<script>", "fi"]
    assert result["matrices"] == ["m"]
    assert result["summary"]["title"] == "Mine & <b>"
    assert "have neither a family nor a place on the map: x, <script>" in " ".join(result["notes"])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>Mine &amp; &lt;b&gt;</title>" in html
    completed = in_process(tmp_path, *words[:-1])
    assert completed.err.splitlines()[-1] == "next: xsns-stream gold import TABLE -o gold.parquet"


def test_a_rectangular_matrix_has_neither_tree_nor_map(folder: Path) -> None:
    page = xs.report(matrix=folder / "wide.csv", target="fi").page
    assert [name for name, _ in page.sections] == ["summary", "ranking", "heat-map"]
    assert page.ranking is not None
    assert page.ranking.first == "fi"
    assert [language.code for language in page.languages] == ["de", "nl", "sw", "fi", "et"]


def test_other_predictors_are_evaluated(folder: Path, in_process: InProcess) -> None:
    words = ("report", "--gold", "gold.parquet", "--predict", "again=xsns.zarr", "--no-layers", "-o", "g.html")
    completed = in_process(folder, *words)
    assert completed.code == 0, completed.err
    assert completed.err.splitlines()[-1] == "next: xsns-stream rank --target de --gold gold.parquet"
    page = xs.report(
        folder / "xsns.zarr", gold=folder / "gold.parquet", predictors={"again": folder / "xsns.zarr"}, layers=False
    ).page
    assert page.evaluation is not None
    assert [each.name for each in page.evaluation.predictors][:2] == ["similarity", "again"]
    first, second = page.evaluation.predictors[:2]
    assert first.regret == pytest.approx(second.regret, nan_ok=True)
    assert len(page.evaluation.pairs) == len(page.evaluation.scores) == 20
    evaluation = xs.evaluate({"similarity": folder / "xsns.zarr"}, gold=folder / "gold.parquet")
    assert first.regret.mean() == pytest.approx(evaluation["similarity", "regret"])


@pytest.mark.parametrize(
    ("targets", "equal", "reason"),
    [
        (("sw",), False, "the pairs have 1 target, but a regression needs at least 3."),
        (CODES, True, "all gold scores of the pairs are equal."),
    ],
    ids=["one target", "equal scores"],
)
def test_gold_scores_that_predict_nothing_are_evaluated_without_expected_scores(
    targets: tuple[str, ...], equal: bool, reason: str, folder: Path, in_process: InProcess, tmp_path: Path
) -> None:
    cells = np.random.default_rng(0).random((1, 1, 5, len(targets))) * 100
    cells = np.full_like(cells, 50.0) if equal else cells
    write_scores(TransferScores(CODES, targets, cells, "pos", "accuracy", "percent", ""), tmp_path / "few.parquet")
    done = in_process(folder, "report", "--gold", str(tmp_path / "few.parquet"), "--no-layers", "-o", "few.html")
    assert done.code == 0, done.err
    assert f"note: expected scores are left out: {reason}\n" in done.err
    assert "Evaluation" in done.out + done.err
    assert done.err.splitlines()[-1] == "next: xsns-stream rank --target de"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("-o report.pdf", 2, "'report.pdf' does not end in the suffix of a supported format."),
        ("-o nowhere/report.html", 2, "there is no folder 'nowhere' to write 'report.html' to."),
        ("--store missing.zarr", 1, "no store"),
        ("--store xsns.zarr --matrix m.csv", 2, "--store and --matrix cannot be combined."),
        ("--predict x=m.csv", 2, "--predict cannot be used without --gold."),
        ("--regime zero", 2, "--regime cannot be used without --gold."),
        ("--gold gold.parquet --predict similarity=m.csv", 2, "a predictor is called 'similarity'"),
        ("--lang sw", 2, "a matrix compares at least two languages"),
        ("--lang sw,xx", 2, "no language 'xx' in the store 'xsns.zarr'."),
        ("--matrix m.csv --lang fi", 2, "a report needs at least two languages."),
        ("--matrix nothing.csv", 1, "there is no file 'nothing.csv'."),
        ("--matrix xsns.zarr", 2, "'xsns.zarr' is not a file with a matrix."),
    ],
)
def test_bad_input_is_one_sentence_and_a_hint(
    folder: Path, in_process: InProcess, options: str, code: int, message: str
) -> None:
    completed = in_process(folder, "report", *options.split())
    assert message in completed.err
    assert completed.code == code, completed.err
    assert "hint: " in completed.err
    assert not (folder / "report.pdf").exists()


def test_report_returns_a_page_that_can_be_saved(folder: Path, tmp_path: Path) -> None:
    page = xs.report(folder / "xsns.zarr", layers=False)
    assert (page.path, page.bytes) == (None, 0)
    assert page.save(tmp_path / "a.html").stat().st_size > 300_000
    assert "5 languages" in repr(page)
    with pytest.raises(UsageError, match="a report needs a store or a matrix"):
        xs.report()
    with pytest.raises(LanguageError, match="Klingon"):
        xs.report(folder / "xsns.zarr", target="Klingon", layers=False)
    with pytest.raises(XsnsError):
        xs.report(matrix=folder / "nothing.csv")
    frame = xs.similarity(folder / "xsns.zarr").to_frame()
    assert [matrix.key for matrix in xs.report(matrix=frame).page.matrices] == ["matrix"]


def test_the_examples_of_the_page_run(folder: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    run_page("docs/report.md", xsns)
    assert (folder / "matrix.html").exists()
