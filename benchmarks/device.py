"""All checks and benchmarks of a GPU in one run: `make device`.

    python benchmarks/device.py -o benchmarks/results/device.json

It takes about ten minutes on a data-centre GPU, and needs no network. First the tests that are marked `cuda` run, and
with them those of the kernel of grouped squares, which use a GPU if there is one; a failure ends the run. Then
`bench_fisher.py` and `bench_device_kernels.py` run on the device, and the overlaps of all pairs are computed as
products of 8-bit integers on the device and by counting the bits of packed words on the CPU. The result is one JSON
document with the name of the device.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bench_device_kernels
import harness
import numpy as np
import torch

from xsns_kernels import ArrayColumns, device_overlap, stream_intersections

ROOT = Path(__file__).parents[1]
#: Languages and parameters of the overlap benchmark.
LANGUAGES, BITS = 282, 10_000_000


def tests(device: str) -> dict[str, Any]:
    """Run the tests of the device, and return how many passed.

    Raises:
        SystemExit: A test failed; the output of the tests was printed.
    """
    chosen = ["-m", "cuda"] if device == "cuda" else ["-k", "cpu and xlm-roberta"]
    passed = 0
    for arguments in (["tests", *chosen], ["tests/kernels/test_grouped.py"]):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        last = finished.stdout.strip().splitlines()[-1]
        print(last)
        if finished.returncode:
            raise SystemExit(finished.stdout + finished.stderr)
        passed += int(found[1]) if (found := re.search(r"(\d+) passed", last)) else 0
    return {"section": "tests", "passed": passed}


def program(name: str, options: Sequence[str]) -> list[dict[str, Any]]:
    """Run another benchmark, and return its rows with its name as section."""
    with tempfile.TemporaryDirectory(prefix="xsns-") as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, str(Path(__file__).with_name(name)), *options, "-o", str(path)]
        subprocess.run(command, check=True)
        rows: list[dict[str, Any]] = json.loads(path.read_text())["results"]
    return [{**row, "section": Path(name).stem} for row in rows]


def overlaps(device: torch.device, languages: int, bits: int, rounds: int) -> list[dict[str, Any]]:
    """Compare the overlaps of all pairs by products on the device with counts of bits on the CPU."""
    words = np.random.default_rng(0).integers(0, 2**64, (languages, bits // 64), np.uint64)
    columns = ArrayColumns(words)
    calls = {
        "8-bit products on the device": lambda: device_overlap.stream_intersections_on(columns, device),
        "counts of bits on the CPU": lambda: stream_intersections(columns),
    }
    counts = [call() for call in calls.values()]
    assert np.array_equal(*counts), "the overlaps differ"
    timings = harness.interleave(calls, rounds)
    return [
        {"section": "overlaps", "contestant": name, "languages": languages, "bits": bits}
        | harness.timing_fields(timing)
        for name, timing in timings.items()
    ]


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default="cuda",
        help="device of torch; `cpu` is only useful to try the program with --smoke",
    )
    options: argparse.Namespace = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: there is no CUDA device; --device cpu --smoke tries the program without one")
    shared = ["--rounds", str(options.rounds), *(["--smoke"] if options.smoke else [])]
    device = torch.device(options.device)
    sizes = (5, 64_000) if options.smoke else (LANGUAGES, BITS)
    results = [tests(options.device)]
    if options.device == "cuda":
        results += program("bench_fisher.py", ["--device", "cuda", *shared])
    results += program("bench_device_kernels.py", ["--device", options.device, *shared])
    results += overlaps(device, *sizes, options.rounds)
    parameters = {"device": options.device, "device_name": bench_device_kernels.name_of(device)}
    harness.write(options.output, harness.result("device", parameters, results, options.smoke))


if __name__ == "__main__":
    main()
