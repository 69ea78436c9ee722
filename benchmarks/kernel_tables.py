"""Tables of `kernels/README.md`, from `results/matrix*.json`, `store*.json` and `threshold*.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import at_least, at_most, by_processor, number, processor, table

#: Goals: how many times slower the other programs are, and the share of the limit that is reached.
SLOWER = {
    "numkong": 3.3,
    "simsimd": 6.0,
    "numpy bitwise_count, blocked": 10.0,
    "pyroaring": 2.5,
    "faiss": 10.0,
    "torch": 15.0,
}
OF_LIMIT = {(64, 85_054_464): 0.75, (282, 10_000_000): 0.80}
READ_TARGET, PERCENTILE_TARGET = 2.8, 8.0
REAL_TARGET, THREADS_TARGET, STORE_TARGET = 1.3, 1.7, 1.25
OURS, EVERY = "ours, 1 thread", "ours, every column counted"
#: Former name of a contestant → its name now.
RENAMED = {"limit": "loop over the first-level cache"}
LOOPS = ("loop in registers", "loop over the first-level cache")


def _read(results: Path, pattern: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob(pattern))]


def _size(parameters: dict[str, Any]) -> str:
    return f"{parameters['rows']} × {parameters['bits'] / 1e6:.1f} M"


def overlap(results: Path) -> str:
    """Return the rates of all contestants on random rows, relative to the limit and to one thread of ours."""
    lines, processors = [], []
    for run in _read(results, "matrix-[0-9]*.json"):
        parameters = run["parameters"]
        for row in run["results"]:
            name, share = RENAMED.get(row["contestant"], row["contestant"]), row["of_limit"]
            target = OF_LIMIT.get((parameters["rows"], parameters["bits"])) if name == OURS else None
            slower = None if name in (OURS, EVERY, *LOOPS) else row["times_slower"]
            rows = "–" if row["rows"] is None else str(row["rows"])
            required = at_least(share, target) if target else at_least(slower, SLOWER.get(name) if slower else None)
            shares = [number(share), number(row["best_of_limit"]), number(row.get("of_registers"))]
            lines.append([_size(parameters), name, rows, f"{row['gb_per_s']:.1f}", number(slower), *shares, required])
            processors.append(_processor(run))
    heads = ["L × P", "contestant", "rows", "GB/s", "times slower", "share of limit", "best rounds"]
    return by_processor([*heads, "share of loop in registers", "goal"], lines, processors, 3)


def _processor(run: dict[str, Any]) -> str:
    return processor(run.get("machine", {}).get("cpu", ""))


def threads(results: Path) -> str:
    """Return the speed-up of two threads over one, in wall-clock time."""
    lines, processors = [], []
    for run in _read(results, "matrix*.json"):
        if run.get("machine", {}).get("cores", 2) < 2:
            continue  # the program was pinned to one core
        faster = run["parameters"]["two_threads_faster"]
        kind = "of a store" if run["parameters"]["store"] else "random"
        lines.append([_size(run["parameters"]), kind, number(faster), at_least(faster, THREADS_TARGET)])
        processors.append(_processor(run))
    return by_processor(["L × P", "rows", "speed-up of two threads", "goal"], lines, processors, 2)


def squeezed(results: Path) -> str:
    """Return the effect of leaving out columns, on the rows of stores."""
    lines = []
    for run in [run for run in _read(results, "matrix*.json") if run["parameters"]["store"]]:
        speeds = {row["contestant"]: row for row in run["results"]}
        shares = run["parameters"]["columns"]
        faster = speeds[OURS]["gb_per_s"] / speeds[EVERY]["gb_per_s"]
        in_use = [f"{shares[name]:.3f}" for name in ("in_one", "in_two", "in_all")]
        of_limit = [number(speeds[name]["of_limit"]) for name in (EVERY, OURS)]
        required = at_least(faster, REAL_TARGET)
        lines.append([_size(run["parameters"]), *in_use, *of_limit, number(faster), required])
    heads = [
        "L × P",
        "columns in at least one row",
        "in two rows",
        "in all rows",
        "all columns, share of limit",
        "squeezed, share of limit",
        "speed-up",
        "goal",
    ]
    return table(heads, lines)


def store(results: Path) -> str:
    """Return the times of a comparison from files."""
    lines = []
    for run in _read(results, "store*.json"):
        for row in run["results"]:
            alone = row["contestant"].startswith("counting alone")
            ratio = None if alone else row["of_counting"]
            target = None if alone or "Zarr" in row["contestant"] else STORE_TARGET
            seconds = f"{row['median_s']:.2f}"
            lines.append(
                [
                    _size(run["parameters"]),
                    row["contestant"],
                    str(row["threads"]),
                    seconds,
                    number(ratio),
                    at_most(ratio, target),
                ]
            )
        memory = run["parameters"]["extra_mib"]
        lines.append(
            [_size(run["parameters"]), "additional memory, MiB", "all", f"{memory:.0f}", "–", at_most(memory, 64)]
        )
    return table(["L × P", "step", "threads", "s", "relative to counting", "goal"], lines)


def threshold(results: Path) -> str:
    """Return the times of the top K and of other programs, relative to a plain read."""
    lines, processors = [], []
    for run in _read(results, "threshold*.json"):
        for row in run["results"]:
            one = row["contestant"] == "top_bits, 1 thread"
            slower = None if row["contestant"].startswith(("top_bits", "read")) else row["times_slower"]
            required = at_most(row["of_read"], READ_TARGET) if one else "–"
            if row["contestant"].startswith("percentile"):
                required = at_least(slower, PERCENTILE_TARGET)
            extra = "–" if row["extra_mib"] is None else f"{row['extra_mib']:.1f}"
            time = f"{row['median_ms']:.0f}"
            lines.append(
                [row["kind"], row["contestant"], time, number(row["of_read"]), number(slower), extra, required]
            )
            processors.append(_processor(run))
    heads = [
        "values",
        "contestant",
        "ms",
        "relative to a read",
        "times slower than top_bits",
        "MiB with the bits",
        "goal",
    ]
    return by_processor(heads, lines, processors, 2)


#: Name in the markers of a page → function that returns the table.
TABLES: dict[str, Callable[[Path], str]] = {
    "overlap": overlap,
    "overlap-threads": threads,
    "squeezed": squeezed,
    "store": store,
    "threshold": threshold,
}
