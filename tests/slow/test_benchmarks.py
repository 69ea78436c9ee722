"""Every benchmark program runs in smoke mode, and its checks hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import xsns_stream as xs
from tests.support.browsers import chromium
from tests.support.paths import BENCHMARKS, SHARED_DATA
from xsns_stream.gold import read_scores, write_scores
from xsns_stream.report import write_matrix

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

NTREX = SHARED_DATA / "ntrex"
#: Seconds that one program may take on a busy machine.
LIMIT = 1000


def run(program: str, tmp_path: Path, *arguments: str) -> dict[str, Any]:
    output = tmp_path / "result.json"
    completed = subprocess.run(
        [sys.executable, str(BENCHMARKS / program), "--smoke", "--rounds", "1", "-o", str(output), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert completed.returncode == 0, completed.stderr
    document: dict[str, Any] = json.loads(output.read_text())
    assert document["schema_version"] == 1
    assert document["smoke"] is True
    assert document["results"]
    return document


PROGRAMS = [
    "bench_build.py",
    "bench_busy.py",
    "bench_matrix.py",
    "bench_startup.py",
    "bench_store.py",
    "bench_threshold.py",
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_benchmark_runs_and_writes_its_result(program: str, tmp_path: Path) -> None:
    run(program, tmp_path)


def test_the_benchmark_of_the_report_page_runs(tmp_path: Path) -> None:
    with chromium():
        pass
    (row,) = run("bench_report.py", tmp_path)["results"]
    assert row["languages"] == 20
    assert 0.3 < row["megabytes"] < 1.0


def test_the_checks_of_a_device_run_on_the_cpu(tmp_path: Path) -> None:
    rows = run("device.py", tmp_path, "--device", "cpu")["results"]
    assert {row["section"] for row in rows} == {"tests", "bench_device_kernels", "overlaps"}
    assert rows[0]["passed"] > 50


def test_the_benchmark_of_workers_compares_all_pairs(tmp_path: Path) -> None:
    document = run("bench_workers.py", tmp_path, "matrix")
    names = {"1 thread", "2 threads", "2 workers", "command", "command, 2 workers"}
    assert {(row["contestant"], row["languages"]) for row in document["results"]} == {
        (name, size) for name in names for size in (4, 8)
    }
    assert "pays_from_gb" in document["parameters"]


def test_the_benchmark_of_workers_reports_the_cost_of_the_engine(tmp_path: Path) -> None:
    document = run("bench_workers.py", tmp_path, "overhead")
    processes, workers = document["results"]
    assert (processes["contestant"], workers["contestant"]) == ("processes", "workers")
    assert workers["engine_s"] > 0
    assert workers["share"] == pytest.approx(workers["seconds"] / processes["seconds"] - 1)


def test_the_benchmark_of_workers_builds_with_a_wide_model(tmp_path: Path) -> None:
    document = run("bench_workers.py", tmp_path, "--wide", "1")
    assert document["parameters"]["model"] == "random weights, 1 layers, width 48"
    assert [row["contestant"] for row in document["results"]] == ["1 process", "1 process, 2 threads", "2 workers"]


@pytest.mark.shared_data
@pytest.mark.skipif(not NTREX.is_dir(), reason="needs NTREX beside the project")
def test_the_family_benchmark_reads_its_corpus(tmp_path: Path) -> None:
    document = run("bench_families.py", tmp_path, "--data", str(NTREX))
    assert {row["text"] for row in document["results"]} == {"seen", "unseen", "halves"}


@pytest.mark.shared_data
@pytest.mark.skipif(not NTREX.is_dir(), reason="needs NTREX beside the project")
def test_the_family_benchmark_reads_a_store(tmp_path: Path) -> None:
    languages = "sw,zu,fi,et,fr,fr-CA"
    xs.build(store=tmp_path / "s.zarr", languages=languages, examples=16, max_length=48, progress=False)
    document = run("bench_families.py", tmp_path, "--data", str(NTREX), "--store", str(tmp_path / "s.zarr"))
    (row,) = document["results"]
    assert row["text"] == "seed 42, density 0.15"
    # Canadian French is left out, so that French has no relative.
    assert row["languages"] == 4
    assert row["random"] == pytest.approx(1 / 4)
    relatives = {"sw": "zu", "zu": "sw", "fi": "et", "et": "fi"}
    matrix = xs.similarity(tmp_path / "s.zarr", languages=[*relatives, "fr"]).to_frame()
    nearest = {code: matrix[code].drop(code).idxmax() for code in relatives}
    assert row["same_family"] == sum(nearest[code] == relatives[code] for code in relatives) / 4


@pytest.mark.shared_data
@pytest.mark.skipif(not NTREX.is_dir(), reason="needs NTREX beside the project")
def test_the_benchmark_of_intervals_runs(tmp_path: Path) -> None:
    shares = {row["what"]: row for row in run("bench_intervals.py", tmp_path, "--data", str(NTREX))["results"]}
    assert set(shares) == {"similarity", "difference", "best_is_level", "best_is_first", "sure"}
    assert shares["difference"]["of"] == 3 * 4 * 3


@pytest.mark.shared_data
@pytest.mark.skipif(not NTREX.is_dir(), reason="needs public gold scores beside the project")
def test_the_evidence_agrees_with_the_stored_results(tmp_path: Path) -> None:
    """The rows of the embedded model are left out; means do not depend on the bootstrap."""
    document = run("evidence.py", tmp_path, "--data", str(NTREX.parent), "--work", str(tmp_path), "--without-mini")
    stored = json.loads((BENCHMARKS / "results" / "evidence.json").read_text())["results"]
    means = [
        {
            (row["pool"], row["predictor"], row["metric"]): row["mean"]
            for row in rows
            if row["section"] == "pool" and not row["pool"].endswith("mini")
        }
        for rows in (document["results"], stored)
    ]
    # Metrics that were added after the results had been stored are not compared.
    assert {key: means[0][key] for key in means[1]} == pytest.approx(means[1], rel=1e-5, nan_ok=True)
    # Computed by a loop over scikit-learn's ndcg_score and SciPy's correlations, to two decimals.
    expected = {
        ("pos-paper", "ldnd", "ndcg@3[rank-linear]"): 84.23,
        ("pos-paper", "source-mean", "ndcg@3[rank-linear]"): 85.23,
        ("pos-paper", "source-mean", "pearson"): 73.88,
        ("pos-paper", "source-mean", "spearman"): 67.83,
        ("pos-paper", "source-mean", "top-1"): 25.00,
        ("pos-paper", "english", "ndcg@3[rank-linear]"): 66.18,
        ("pos-paper", "l2v", "pearson"): 67.77,
        ("pos-paper", "l2v", "spearman"): 56.40,
        ("pos-paper", "l2v", "ndcg@3[rank-linear]"): 78.69,
        ("pos-paper-emb", "emb-2", "pearson"): 75.80,
        ("pos-paper-emb", "emb-2", "ndcg@3[rank-linear]"): 88.25,
        ("pos-paper-emb", "emb-12", "spearman"): 53.31,
    }
    assert {key: round(100 * means[0][key], 2) for key in expected} == expected


def test_the_fisher_benchmark_compares_all_contestants_with_the_loop(tmp_path: Path) -> None:
    document = run(
        "bench_fisher.py", tmp_path, "--only", "speed", "--only", "ragged", "--only", "head", "--only", "share"
    )
    errors = {row["contestant"]: row["error"] for row in document["results"] if row["section"] == "speed"}
    assert {"engine", "single examples", "torch.func vmap"} <= set(errors)
    assert all(error <= 2e-5 for error in errors.values() if error is not None)
    assert {row["section"] for row in document["results"]} == {"speed", "ragged", "head", "share"}


def test_the_fisher_benchmark_measures_the_peak_of_a_fresh_process(tmp_path: Path) -> None:
    (row,) = run("bench_fisher.py", tmp_path, "--only", "memory")["results"]
    assert 0 < row["f_mib"] < row["above_model_mib"] < 64


def test_the_fisher_benchmark_finds_half_precision_close_to_full(tmp_path: Path) -> None:
    document = run("bench_fisher.py", tmp_path, "--only", "precision")
    overlaps = {row["variant"]: row["smallest"] for row in document["results"]}
    assert overlaps["float32"] == 1.0
    assert overlaps["bf16, automatic"] > 0.95 > overlaps["float32, another language"]


def test_the_exactness_benchmark_finds_every_rule_exact(tmp_path: Path) -> None:
    document = run("bench_exactness.py", tmp_path, "--family", "xlm-roberta", "--family", "t5")
    assert [row["family"] for row in document["results"]] == ["xlm-roberta", "t5"]
    for row in document["results"]:
        assert row["by_rule"] == row["tensors"] > 30
        assert row["float64"] < 1e-12
        assert row["float32"] < 1e-4


def test_the_benchmark_of_fine_tuning_compares_the_weights(tmp_path: Path) -> None:
    rows = run("bench_transfer.py", tmp_path)["results"]
    speed = {row["contestant"]: row for row in rows if row["section"] == "speed"}
    assert set(speed) == {"fine_tune", "bare loop"}
    assert speed["fine_tune"]["weights_differ"] < 1e-3
    assert speed["bare loop"]["of_loop"] == 1.0
    cost = {row["what"]: row["cpu_s"] for row in rows if row["section"] == "cost"}
    assert list(cost) == ["build", "matrix", "transfer"]
    measured, multiplied = (row for row in rows if row["section"] == "ratio")
    assert (measured["extrapolated"], multiplied["extrapolated"]) == (False, True)
    assert measured["fine_tuning_s"] == cost["transfer"]


def test_the_benchmark_of_neighbour_search_compares_all_contestants(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    program = [sys.executable, str(BENCHMARKS / "bench_baselines.py"), "--smoke", "-o", str(output)]
    completed = subprocess.run(program, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert completed.returncode == 0, completed.stderr
    document = json.loads(output.read_text(encoding="utf-8"))
    assert (document["schema_version"], document["smoke"]) == (1, True)
    contestants = {row["contestant"] for row in document["results"]}
    assert {"blocks, from a file", "all products at once"} <= contestants
    assert all(row["median_s"] > 0 for row in document["results"])


def test_benchmark_of_coverage_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "bench_bootstrap.py"), "--smoke", "-o", str(tmp_path / "result.json")]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    assert len(results) == 18
    assert len(completed.stdout.splitlines()) == 20
    assert all(row["this"] >= row["percentile"] for row in results)


@pytest.mark.shared_data
@pytest.mark.skipif(not NTREX.is_dir(), reason="needs public gold scores beside the project")
def test_the_evidence_of_a_model_with_controls_runs(tmp_path: Path) -> None:
    """The embedded model with two seeds stands in for the large model and its controls."""
    languages = ["en", "de", "fi", "et", "ru", "uk", "tr", "sw"]
    for name in ("gemma3-270m", "gemma3-270m-redrawn", "gemma3-270m-shuffled", "mini"):
        store = tmp_path / f"{name}.zarr"
        xs.build(store=store, languages=",".join(languages), examples=16, max_length=48, parts=2, progress=False)
    options = {"languages": languages, "examples": 16, "max_length": 48, "progress": False}
    for name, matrix in {
        "lex": xs.baseline("lex", "ntrex", **options),
        **{f"emb-{layer}": xs.baseline("emb", "ntrex", layer=layer, **options) for layer in range(5)},
    }.items():
        write_matrix(matrix, tmp_path / f"{name}.parquet")
    pairs = [(source, target) for source in ("en", "fi", "ru") for target in ("en", "de", "et", "fi", "ru", "uk")]
    scores = pd.DataFrame(pairs, columns=["source", "target"]).assign(score=range(40, 40 + 3 * len(pairs), 3), seed=42)
    scores = scores.assign(task="pos", metric="accuracy", unit="percent", regime="main", trivial=20.0, origin="made up")
    scores.to_csv(tmp_path / "scores.csv", index=False)
    write_scores(read_scores(tmp_path / "scores.csv"), tmp_path / "pos-gemma3-270m.parquet")
    document = run(
        "evidence_gemma.py",
        tmp_path,
        "--data",
        str(NTREX.parent),
        "--work",
        str(tmp_path),
        "--figure",
        str(tmp_path / "pos.svg"),
    )
    assert "POS accuracy of XLM-R, " in (tmp_path / "pos.svg").read_text()
    assert set(document["parameters"]["languages"]) == set(languages)
    rows = document["results"]
    regrets = {
        row["predictor"]: row["mean"]
        for row in rows
        if row.get("pool") == "gemma-pos-all" and row.get("metric") == "regret"
    }
    assert {"xsns", "redrawn", "shuffled", "mini", "lex", "emb", "xsns-chosen-layer", "ldnd", "random"} <= set(regrets)
    # All stores have the same rows.
    assert regrets["xsns"] == regrets["redrawn"] == regrets["shuffled"] == regrets["mini"]
    own = {row["source"]: row["own"] for row in rows if row["section"] == "fine-tuned"}
    assert own == {"en": 40.0, "fi": 67.0, "ru": 88.0}
    assert any(row.get("pool") == "gemma-own-pos" and row.get("predictor") == "xsns" for row in rows)
    nearest = {row["predictor"]: row for row in rows if row["section"] == "neighbours" and row["level"] == "genus"}
    # Finnish and Estonian, Russian and Ukrainian, English and German have a relative.
    assert nearest["xsns"]["languages"] == 6
    assert all(0 < row["split_half"] < 1 for row in rows if row["section"] == "split-half")
