"""The scaling benchmark measures every operation, in smoke mode."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import BENCHMARKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of a run in smoke mode."""
    folder = tmp_path_factory.mktemp("scale")
    synthetic = [sys.executable, str(BENCHMARKS / "synthetic.py"), "--languages", "5", "--bits", "98304"]
    subprocess.run([*synthetic, "--store", str(folder / "beyond.zarr")], check=True, timeout=120)
    command = [sys.executable, str(BENCHMARKS / "bench_scale.py"), "--smoke", "--rounds", "1"]
    completed = subprocess.run(
        [*command, "--folder", str(folder), "--beyond", str(folder / "beyond.zarr"), "-o", str(folder / "scale.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=1000,
    )
    assert completed.returncode == 0, completed.stderr
    assert {path.name for path in folder.iterdir()} == {"scale.json", "beyond.zarr"}, (
        "the benchmark removes its own stores"
    )
    result: dict[str, Any] = json.loads((folder / "scale.json").read_text())
    result["kept_beyond"] = (folder / "beyond.zarr" / "overlaps").exists()
    return result


def test_every_operation_is_measured_at_every_point(document: dict[str, Any]) -> None:
    assert (document["schema_version"], document["smoke"]) == (1, True)
    points = [row for row in document["results"] if row["section"] == "point"]
    assert len(points) == 4 * 5
    for row in points:
        assert row["cpu_s"] > 0
        if row["operation"] == "write":
            words = row["parameters"] // 64
            assert 8 * words < row["row_bytes"] < 8 * words + 1000
        else:
            assert 0 <= row["extra_mib"] < 64
        if row["operation"] == "sample":
            assert 0 < row["error"] < 0.5
            assert 0 < row["standard_error"] < 0.5
    assert {row["operation"] for row in document["results"] if row["section"] == "terms"} == {
        "write",
        "matrix",
        "add",
        "rank",
    }


def test_a_larger_store_is_compared_with_the_prediction_and_not_changed(document: dict[str, Any]) -> None:
    (row,) = (row for row in document["results"] if row["section"] == "beyond")
    assert (row["languages"], row["parameters"], row["operation"]) == (5, 98_304, "count")
    assert row["cpu_s"] > 0
    assert row["predicted_s"] > 0
    assert document["kept_beyond"] is False
