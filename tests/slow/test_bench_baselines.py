"""The benchmark of the neighbour search runs, in smoke mode."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.paths import BENCHMARKS


def test_it_compares_everybody_before_timing(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    program = [sys.executable, str(BENCHMARKS / "bench_baselines.py"), "--smoke", "-o", str(output)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    document = json.loads(output.read_text(encoding="utf-8"))
    assert (document["schema_version"], document["smoke"]) == (1, True)
    contestants = {row["contestant"] for row in document["results"]}
    assert {"blocks, from a file", "all products at once"} <= contestants
    assert all(row["median_s"] > 0 for row in document["results"])
