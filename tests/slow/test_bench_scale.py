"""The scaling benchmark runs, and its fits find what they are given."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import BENCHMARKS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of a run in smoke mode."""
    folder = tmp_path_factory.mktemp("scale")
    made = [sys.executable, str(BENCHMARKS / "synthetic.py"), "--languages", "5", "--bits", "98304"]
    subprocess.run([*made, "--store", str(folder / "beyond.zarr")], check=True, timeout=120)
    command = [sys.executable, str(BENCHMARKS / "bench_scale.py"), "--smoke", "--rounds", "1"]
    finished = subprocess.run(
        [*command, "--folder", str(folder), "--beyond", str(folder / "beyond.zarr"), "-o", str(folder / "scale.json")],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stderr
    assert {path.name for path in folder.iterdir()} == {"scale.json", "beyond.zarr"}, "its own stores are removed"
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


def test_a_larger_store_is_compared_with_the_terms_and_left_as_it_was(document: dict[str, Any]) -> None:
    (row,) = (row for row in document["results"] if row["section"] == "beyond")
    assert (row["languages"], row["parameters"], row["operation"]) == (5, 98_304, "count")
    assert row["cpu_s"] > 0
    assert row["predicted_s"] > 0
    assert document["kept_beyond"] is False


def in_the_folder(program: str) -> Any:
    """Run a program beside the benchmarks, which are no package, and return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=BENCHMARKS, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_terms_and_exponents_are_found() -> None:
    sizes = [("languages", 2**n, 10**7) for n in range(3, 12)] + [("parameters", 12, 10**n) for n in (6, 7, 8, 9)]
    points = [
        {
            "operation": "matrix",
            "series": series,
            "languages": count,
            "parameters": size,
            "cpu_s": 2e-12 * count * count * size + 3e-10 * count * size + 0.01,
        }
        for series, count, size in sizes
    ]
    program = f"import json, scale_tables; print(json.dumps(scale_tables.fits('matrix', {points!r})))"
    terms, languages, parameters = in_the_folder(program)
    assert {(c["languages"], c["parameters"]): c["seconds"] for c in terms["coefficients"]} == {
        (2, 1): pytest.approx(2e-12),
        (1, 1): pytest.approx(3e-10),
        (1, 0): pytest.approx(0, abs=1e-9),
        (0, 0): pytest.approx(0.01),
    }
    assert terms["largest_error"] < 1e-9
    assert (languages["series"], parameters["series"]) == ("languages", "parameters")
    assert languages["last_slope"] == pytest.approx(1.9, abs=0.1)
    assert parameters["last_slope"] == pytest.approx(1, abs=0.02)


def test_the_plan_is_arithmetic_on_the_terms() -> None:
    reading = {"languages": 1, "parameters": 1, "seconds": 1e-10}
    found = {
        "write": [{"languages": 0, "parameters": 1, "seconds": 1e-9}],
        "matrix": [{"languages": 2, "parameters": 1, "seconds": 1e-12}, reading],
        "add": [reading],
        "rank": [reading],
    }
    planned = f"scale_tables._planned({found!r}, 7_000, 7_000_000_000)"
    program = f"import json, scale_tables; print(json.dumps(list({planned}.values())))"
    assert in_the_folder(program) == [
        "875.0 MB",
        "6.1 TB",
        "24,503,500",
        "21.4 PB",
        "392.0 MB",
        "13.6 h",
        "96.6 h",
        "95.3 h",
        "1.4 h",
        "48.3 h",
        "4.8 h",
        "35.2 MB/s",
        "1.4 h",
        "1.4 h",
    ]
