"""The benchmark programs run, in smoke mode: what is not run rots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NTREX = Path(__file__).parents[3] / "shared" / "data" / "ntrex"


def run(program: str, tmp_path: Path, *arguments: str) -> dict[str, object]:
    output = tmp_path / "result.json"
    finished = subprocess.run(
        [sys.executable, str(BENCHMARKS / program), "--smoke", "--rounds", "1", "-o", str(output), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stderr
    document: dict[str, object] = json.loads(output.read_text())
    return document


@pytest.mark.parametrize("program", ["bench_build.py", "bench_matrix.py"])
def test_a_benchmark_checks_itself_and_writes_its_result(program: str, tmp_path: Path) -> None:
    document = run(program, tmp_path)
    assert document["schema_version"] == 1
    assert document["smoke"] is True
    assert document["results"]


@pytest.mark.shared_data
@pytest.mark.skipif(not NTREX.is_dir(), reason="needs NTREX beside the project")
def test_the_family_benchmark_reads_its_corpus(tmp_path: Path) -> None:
    document = run("bench_families.py", tmp_path, "--data", str(NTREX))
    assert {row["text"] for row in document["results"]} == {"seen", "unseen", "halves"}
