"""Tables of the documentation that are made from benchmark results, and the computations behind them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import BENCHMARKS, DOCS


def tables(*arguments: str) -> int:
    return subprocess.run([sys.executable, str(BENCHMARKS / "tables.py"), *arguments], check=False).returncode


def test_the_tables_of_the_documentation_agree_with_the_results() -> None:
    assert tables("--check") == 0


def test_a_table_is_replaced_between_its_markers(tmp_path: Path) -> None:
    rows = [
        {"section": "precision", "variant": "bf16", "smallest": 0.98765, "mean": 0.99},
        {"section": "speed", "variant": "not for this table"},
    ]
    (tmp_path / "fisher-a.json").write_text(json.dumps({"parameters": {}, "results": rows}))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: precision -->\nold\n<!-- end of table -->\nafter\n")
    arguments = ("--results", str(tmp_path), "--page", str(page))
    assert tables("--check", *arguments) == 1
    assert tables(*arguments) == 0
    assert tables("--check", *arguments) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- table: precision -->\n| variant |")
    assert "| bf16 | 0.9877 | 0.9900 |" in text
    assert "old" not in text
    assert text.endswith("<!-- end of table -->\nafter\n")


def test_results_of_two_processors_are_side_by_side() -> None:
    lines = [["a", "1"], ["b", "2"], ["b", "4"], ["a", "3"]]
    program = (
        "import json, harness\nintel, amd = map(harness.processor, ('Intel(R) Xeon(R) Processor', 'AMD EPYC'))\n"
        f"names, lines = [intel, intel, amd, amd], {lines!r}\n"
        "print(json.dumps([harness.by_processor(['what', 's'], lines, n) for n in (names, [amd] * 4)]))"
    )
    two, one = in_the_folder(program)
    cells = [line.strip("| ").split(" | ") for line in two.splitlines()]
    assert cells[0] == ["what", "processor", "s"]
    assert cells[2:] == [
        ["a", "Intel Xeon", "1"],
        ["a", "AMD EPYC", "3"],
        ["b", "Intel Xeon", "2"],
        ["b", "AMD EPYC", "4"],
    ]
    assert one.splitlines()[0] == "| what | s |"


def test_results_of_another_processor_are_kept(tmp_path: Path) -> None:
    program = (
        "import json, harness\nfrom pathlib import Path\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "for cpu, value in (('Intel(R) Xeon(R) Processor', 1), ('AMD EPYC', 2), ('AMD EPYC', 3)):\n"
        "    harness.write(folder / 'speed.json', {'machine': {'cpu': cpu}, 'value': value})\n"
        "print(json.dumps({p.name: json.loads(p.read_text())['value'] for p in folder.iterdir()}))"
    )
    assert in_the_folder(program) == {"speed.json": 1, "speed.amd-epyc.json": 3}


def test_documentation_shows_the_measured_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench_bootstrap

    results = json.loads((BENCHMARKS / "results" / "bootstrap.json").read_text())["results"]
    assert bench_bootstrap.table(results) in (DOCS / "evaluation.md").read_text(encoding="utf-8")


def in_the_folder(program: str) -> Any:
    """Run code in the folder of the benchmarks, which is not a package, and return the JSON that the code prints."""
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=BENCHMARKS, capture_output=True, text=True, check=False, timeout=120
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


def test_the_fit_finds_terms_and_exponents() -> None:
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


def test_the_planned_costs_follow_from_the_terms() -> None:
    reading = {"languages": 1, "parameters": 1, "seconds": 1e-10}
    terms = {
        "write": [{"languages": 0, "parameters": 1, "seconds": 1e-9}],
        "matrix": [{"languages": 2, "parameters": 1, "seconds": 1e-12}, reading],
        "add": [reading],
        "rank": [reading],
    }
    planned = f"scale_tables._planned({terms!r}, 7_000, 7_000_000_000)"
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
