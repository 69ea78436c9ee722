"""The verb `evaluate` with files and stores."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsns_stream as xs
from tests.support.page_blocks import run_page
from tests.support.streams import json_result
from xsns_kernels import pack_bits
from xsns_stream.cli import evaluate as verb
from xsns_stream.evaluation import FEWEST_RESAMPLES, MOST_RESAMPLES, RESAMPLES
from xsns_stream.gold import write_scores
from xsns_stream.report import write_matrix
from xsns_stream.types import LayerSpan, ParameterLayout, Provenance, SimilarityMatrix, SubNetwork
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("sw", "en", "fi", "de", "zu", "et")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with gold scores in two regimes, a matrix with further languages, and a matrix that predicts well."""
    rng = np.random.default_rng(0)
    first = rng.random((6, 6)) * 100
    cells = np.stack([first, np.clip(first + rng.normal(0, 3, (6, 6)), 0, 100)])[:, None]
    scores = TransferScores(CODES, CODES, cells, "pos", "accuracy", "percent", "made up", ("10000", "5000"))
    write_scores(scores, tmp_path / "gold.parquet")
    codes = (*CODES, "fr")
    write_matrix(SimilarityMatrix(codes, codes, rng.random((7, 7)), "l2v"), tmp_path / "l2v.parquet")
    write_matrix(SimilarityMatrix(CODES, CODES, first / 100, "good"), tmp_path / "good.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


GOLD = ("evaluate", "--gold", "gold.parquet", "--resamples", 200)
BOTH = (*GOLD, "--predict", "l2v.parquet", "--predict", "best=good.csv")


#: The result that the verb printed with `--json`.
result = partial(json_result, "evaluate")


def named(evaluation: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row["metrics"] for row in evaluation["predictors"]}


def test_option_values_match_the_package() -> None:
    assert (verb.RESAMPLES, verb.FEWEST_RESAMPLES, verb.MOST_RESAMPLES) == (
        RESAMPLES,
        FEWEST_RESAMPLES,
        MOST_RESAMPLES,
    )


def test_the_table_has_a_row_for_each_predictor_and_baseline(folder: Path, xsns: Any) -> None:
    completed = xsns(*BOTH)
    assert completed.code == 0, completed.err
    for name in ("l2v", "best", "random", "english", "source-mean"):
        assert f"\n{name} " in completed.out
    assert "pos accuracy, regime 10000: 6 sources, 6 targets" in completed.out
    assert "note: the gold scores do not have fr" in completed.err
    assert "note: there is no row `ceiling`" in completed.err


def test_json_has_the_metrics_of_every_predictor(folder: Path, xsns: Any) -> None:
    document = result(xsns(*BOTH, "--json", "--against", "best", "--ceiling", "5000"))
    rows = named(document)
    assert list(rows) == ["l2v", "best", "random", "english", "source-mean", "ceiling"]
    assert rows["best"]["kendall"]["mean"] == pytest.approx(1.0)
    assert rows["best"]["regret"]["mean"] == 0
    assert rows["l2v"]["pearson"]["against"]["high"] < 0
    assert rows["ceiling"]["pearson"]["mean"] > 0.9
    assert document["ceiling"] == "regime 5000"
    assert rows["english"]["over-english"]["per_target"]["en"] is None
    assert document["against"] == "best"


def test_options_reach_the_evaluation(folder: Path, xsns: Any) -> None:
    options = ("--ndcg", "score", "--average", "matrices", "--random-seed", 3, "--no-trivial", "--regime", "5000")
    document = result(
        xsns(*BOTH, *options, "--sources", "sw,en,fi,de", "--targets", "zu,et", "--targets", "sw", "--json")
    )
    assert list(named(document)) == ["l2v", "best"]
    assert "ndcg@3[score]" in document["metrics"]
    assert (document["average"], document["seed"], document["regime"], document["resamples"]) == (
        "matrices",
        3,
        "5000",
        200,
    )
    assert document["sources"] == ["sw", "en", "fi", "de"]
    assert [choice["target"] for choice in document["targets"]] == ["zu", "et", "sw"]
    assert [choice["candidates"] for choice in document["targets"]] == [4, 4, 3]


def test_tables_of_other_programs_are_checked(folder: Path, xsns: Any) -> None:
    lines = ["target \\ source,sw,en,max", "sw,0,.2,.1", "en,.3,0,.1", "max,.3,.1,0"]
    (folder / "odd.csv").write_text("\n".join(lines) + "\n")
    for name in ("evaluate", "regress"):
        command = (name, "--gold", "gold.parquet", "--predict", "odd.csv")
        completed = xsns(*command)
        assert completed.code == 2
        assert "the matrix is transposed" in completed.err
        (folder / "odd.csv").write_text("\n".join(["source", *lines[1:]]).replace("source", "source,sw,en,max") + "\n")
        completed = xsns(*command)
        assert completed.code == 1
        assert "looks like a table of distances" in completed.err
        completed = xsns(*command, "--as-given")
        assert completed.code == 1
        assert "--rename max=max" in completed.err
        (folder / "odd.csv").write_text("\n".join(lines) + "\n")
    (folder / "odd.csv").write_text("source,sw,en,max\nsw,0,.2,.1\nen,.3,0,.1\nfi,.3,.1,0\n")
    document = result(xsns(*GOLD, "--predict", "odd.csv", "--as-given", "--rename", "max=zu", "--json"))
    assert [choice["target"] for choice in document["targets"]] == ["sw", "en", "zu"]
    assert document["sources"] == ["sw", "en", "fi"]
    completed = xsns(*GOLD, "--predict", "odd.csv", "--as-given", "--rename", "max=zu", "--rename", "mix=et")
    assert completed.code == 2
    assert "no matrix has the label 'mix' to rename" in completed.err


def test_the_evaluation_is_written_to_files(folder: Path, xsns: Any) -> None:
    completed = xsns(*BOTH, "-o", "out.md", "-o", "out.csv", "-o", "out.png", "-q")
    assert completed.code == 0, completed.err
    assert completed.err == ""
    assert (folder / "out.md").read_text(encoding="utf-8").startswith("**pos accuracy, regime 10000")
    assert (folder / "out.csv").read_text().startswith("predictor,metric,mean,low,high,")
    assert (folder / "out.png").read_bytes().startswith(b"\x89PNG")


def test_per_target_writes_one_row_for_each_target(folder: Path, xsns: Any) -> None:
    completed = xsns(*BOTH, "--per-target", "-o", "targets.csv")
    assert completed.code == 0, completed.err
    assert "the regret of choosing this source" in " ".join(completed.out.split())
    assert "Metrics: mean over targets" in " ".join(completed.out.split()), "the means are shown too"
    assert completed.err.splitlines()[-1] == (
        "next: xsns-stream regress --gold gold.parquet --predict l2v=l2v.parquet --predict best=good.csv"
    )
    lines = (folder / "targets.csv").read_text().splitlines()
    assert lines[0].startswith("predictor,target,candidates,followed,pearson,")
    assert len(lines) == 1 + 5 * 6


def write_rows(path: Path, *languages: str) -> None:
    layout = ParameterLayout(("b.w",), ((40, 50),), (LayerSpan("b", 0, 2000),))
    written = xs.open_store(path, "a")
    for seed in (1, 2):
        for language in languages:
            number = (*CODES, "aka_Latn", "twi_Latn").index(language)
            chosen = np.random.default_rng((seed, number)).random(2000) < 0.15
            provenance = Provenance(layout_digest=layout.digest, seed=seed)
            count = int(chosen.sum())
            written.write(SubNetwork(language, seed, pack_bits(chosen), layout, count, 0.1, 0.15, provenance))


@pytest.fixture
def store(folder: Path) -> Path:
    """A store of four of the languages, with two seeds."""
    write_rows(folder / "xsns.zarr", "sw", "fi", "en", "et")
    return folder / "xsns.zarr"


def test_a_store_and_its_matrix_treat_two_rows_of_one_language_alike(store: Path, xsns: Any) -> None:
    """The matrix of a store gives the numbers of the store."""
    write_rows(store, "aka_Latn", "twi_Latn")
    assert xsns("matrix", "--store", store, "-o", "m.parquet", "-o", "m.csv", "-q").code == 0
    three = ("store=xsns.zarr", "file=m.parquet", "table=m.csv")
    predictors = (word for each in three for word in ("--predict", each))
    completed = xsns(*GOLD, *predictors, "--average", "matrices", "--json")
    metrics = named(result(completed))
    assert metrics["store"] == metrics["file"] == metrics["table"]
    start = "several labels mean one language, and are compared separately: aka_Latn, twi_Latn are ak."
    chosen = "`xsns-stream relabel aka_Latn ak --store xsns.zarr` chooses one of them."
    assert f"'store': {start} {chosen}\n" in completed.err
    assert f"'table': {start} --rename aka_Latn=ak chooses one of them.\n" in completed.err


def test_after_an_evaluation_comes_a_regression(store: Path, xsns: Any) -> None:
    completed = xsns(*GOLD, "--predict", "good.csv", "--predict", "xsns=xsns.zarr")
    assert completed.err.splitlines()[-1] == (
        "next: xsns-stream regress --gold gold.parquet --predict good=good.csv --predict xsns=xsns.zarr"
    )


def test_a_store_is_a_predictor(store: Path, xsns: Any) -> None:
    document = result(xsns(*GOLD, "--predict", "xsns=xsns.zarr", "--json"))
    assert next(iter(named(document))) == "xsns"
    assert document["sources"] == ["sw", "en", "fi", "et"]
    assert any("'xsns'" in note and "de, zu" in note for note in document["notes"])
    direct = json.loads(xsns("matrix", "--store", "xsns.zarr", "--json").out)["result"]
    codes, values = direct["languages"], np.array(direct["jaccard"])
    np.fill_diagonal(values, -1.0)
    best = dict(zip(codes, (codes[row] for row in values.argmax(axis=0)), strict=True))
    assert {choice["target"]: choice["followed"]["xsns"][0] for choice in document["targets"]} == best


def test_seeds_of_a_store_are_averaged_over(store: Path, xsns: Any) -> None:
    predict = (*GOLD, "--predict", "xsns=xsns.zarr", "--json")
    both, *single = (
        named(result(xsns(*predict, *seeds)))["xsns"]["pearson"]["mean"] for seeds in ((), ("--seed", 1), ("--seed", 2))
    )
    assert both == pytest.approx(np.mean(single))
    means = result(xsns(*predict, "--average", "matrices"))
    assert means["resampled"] == "targets"
    assert named(means)["xsns"]["pearson"]["mean"] != pytest.approx(both, abs=1e-6)


def test_the_page_runs(store: Path, xsns: Any) -> None:
    run = run_page("docs/evaluation.md", xsns)
    assert len(run.commands) == 4
    assert {"table.tex", "regret.png", "targets.csv"} <= {path.name for path in store.parent.iterdir()}
    assert run.names["found"].comparison.reference == "english"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (GOLD, "there is no predictor to compare with the gold scores.", "--predict NAME=FILE"),
        ((*BOTH, "--ceiling", "10000"), "is the regime that is predicted", "name another: 5000."),
        ((*BOTH, "--ceiling", "20000"), "no regime '20000'", "10000, 5000"),
        ((*BOTH, "--against", "xsns"), "no predictor 'xsns' to compare with", "l2v, best, random"),
        ((*BOTH, "-o", "table.txt"), "does not end in the suffix of a supported format", ".parquet, .md, .tex"),
        ((*BOTH, "-o", "nowhere/table.md"), "there is no folder 'nowhere'", "create the folder first"),
        ((*GOLD, "--predict", "english=l2v.parquet"), "a predictor has the name 'english'", "give it another name"),
    ],
)
def test_invalid_arguments_are_errors(
    arguments: tuple[Any, ...], message: str, hint: str, folder: Path, xsns: Any
) -> None:
    completed = xsns(*arguments)
    assert (completed.code, completed.out) == (2, "")
    assert message in completed.err
    assert hint in completed.err
    assert "Traceback" not in completed.err


def test_nothing_is_written_where_one_name_is_wrong(folder: Path, xsns: Any) -> None:
    assert xsns(*BOTH, "-o", "good.md", "-o", "bad.xyz").code == 2
    assert not (folder / "good.md").exists()


def test_too_few_resamples_are_refused(folder: Path, xsns: Any) -> None:
    completed = xsns(*BOTH, "--resamples", 5)
    assert completed.code == 2
    assert "100" in completed.err
