"""Shared code of the benchmark programs: interleaved timing, the machine, results as JSON, and Markdown tables.

A program checks that its contestants agree before it times them, and times them interleaved, because
the load of other programs must affect all of them. It prints a table on stdout and, with ``-o``, writes one JSON
object. ``--smoke`` shrinks every size until the program ends in seconds: this shows that the program works; its numbers
have no meaning.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1

_RSS_PROGRAM = """
import json, sys
def _status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise SystemExit("no " + key)
{setup}
with open("/proc/self/clear_refs", "w") as _reset:
    _reset.write("5")
_before = _status("VmRSS")
{statement}
json.dump({{"before_mib": _before, "peak_mib": _status("VmHWM")}}, sys.stdout)
"""


@dataclass(frozen=True)
class Timing:
    """Seconds of one contestant over the rounds of one interleaved run."""

    median_s: float
    best_s: float
    worst_s: float
    rounds: int


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows ``--smoke``, ``--rounds`` and ``-o``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--smoke", action="store_true", help="use tiny sizes, to check that the program runs")
    parser.add_argument("--rounds", type=int, default=7, help="number of timed rounds; the median is reported")
    parser.add_argument("-o", "--output", type=Path, help="also write the result as JSON to this file")
    return parser


def interleave(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int = 7,
    budget_s: float = 60.0,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: bool = True,
) -> dict[str, Timing]:
    """Time each contestant once a round, in turn, and return the medians.

    Args:
        contestants: {name: function without arguments}.
        rounds: Number of timed rounds, at least 1.
        budget_s: Seconds after which no further round starts. All contestants have the same number of rounds; their
            medians therefore cover the same period.
        clock: Function that returns the time in seconds; `time.process_time` if other programs share the cores and
            every contestant has one thread.
        warm_up: Whether each function is first called once, untimed.
    """
    for call in contestants.values() if warm_up else ():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    started = time.perf_counter()
    for _ in range(max(1, rounds)):
        for name, call in contestants.items():
            begin = clock()
            call()
            seconds[name].append(clock() - begin)
        if time.perf_counter() - started > budget_s:
            break
    return {
        name: Timing(statistics.median(times), min(times), max(times), len(times)) for name, times in seconds.items()
    }


def peak_rss(setup: str, statement: str, arguments: Sequence[str] = ()) -> dict[str, float]:
    """Measure the memory that a statement adds, in a fresh process (Linux only).

    The kernel's high-water mark of memory is reset between setup and statement. Otherwise, the peak of the setup could
    hide the peak of the statement. ``ru_maxrss`` is not used, because it is inherited from the parent process.

    Args:
        setup: Program text that runs before the mark is reset; `sys.argv[1:]` holds `arguments`.
        statement: Program text that is measured; it must not write to stdout.
        arguments: Arguments of the program.

    Returns:
        `before_mib`, `peak_mib` and `extra_mib`, mebibytes of resident memory.
    """
    program = _RSS_PROGRAM.format(setup=textwrap.dedent(setup), statement=textwrap.dedent(statement))
    command = [sys.executable, "-c", program, *arguments]
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(completed.stdout)
    return {**measured, "extra_mib": measured["peak_mib"] - measured["before_mib"]}


def cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags as Linux names them; empty elsewhere."""
    return frozenset(_cpuinfo().get("flags", "").split())


def machine() -> dict[str, Any]:
    """Return properties of the machine that matter for the numbers, without host name, user and paths."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpuinfo().get("model name", platform.processor() or platform.machine()),
        "architecture": platform.machine(),
        "cores": affinity,
        "vector": [flag for flag in ("avx2", "avx512f", "avx512_vpopcntdq") if flag in cpu_flags()],
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("numpy", "numba", "bitarray", "torch", "zarr")},
    }


def version(distribution: str) -> str | None:
    """Return the installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def result(
    benchmark: str, parameters: Mapping[str, Any], results: Sequence[Mapping[str, Any]], smoke: bool
) -> dict[str, Any]:
    """Return the JSON object that every benchmark writes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "benchmark": benchmark,
        "smoke": smoke,
        "machine": machine(),
        "parameters": dict(parameters),
        "results": [dict(row) for row in results],
    }


def write(path: Path | None, document: Mapping[str, Any]) -> None:
    """Write a result under a temporary name, then rename; do nothing without a path.

    Results of another processor are kept: if the file has some, the name of this processor is added to the name of the
    file (`matrix.json`, `matrix.amd-epyc.json`).
    """
    if path is None:
        return
    path = _for_processor(path, document["machine"]["cpu"])
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def _for_processor(path: Path, cpu: str) -> Path:
    if not path.exists() or json.loads(path.read_text(encoding="utf-8"))["machine"]["cpu"] == cpu:
        return path
    return path.with_name(f"{path.stem}.{processor(cpu).lower().replace(' ', '-')}{path.suffix}")


def processor(cpu: str) -> str:
    """Return the name of a processor without trade marks and the word processor."""
    return " ".join(re.sub(r"\((R|TM)\)|\b(Processor|CPU)\b|@.*", " ", cpu).split())


def timing_fields(timing: Timing) -> dict[str, Any]:
    """Return a timing as fields of a result row."""
    return asdict(timing)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows below the headings of their columns; only the first column is aligned to the left."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    for line in cells:
        first = line[0].ljust(widths[0])
        print("  ".join([first, *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cpuinfo() -> dict[str, str]:
    source = Path("/proc/cpuinfo")
    if not source.exists():
        return {}
    first = source.read_text(encoding="utf-8").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


# --------------------------------------------------------------------------- Markdown tables of results

NOT_RUN = "Not measured yet.\n"


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column is aligned to the left."""
    if not lines:
        return NOT_RUN
    aligned = ["---", *("--:" for _ in columns[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (columns, aligned, *lines))


def by_processor(
    columns: Sequence[str], lines: Sequence[Sequence[str]], processors: Sequence[str], keys: int = 1
) -> str:
    """Return a Markdown table of lines from several processors.

    Lines that differ only in the processor are next to each other, and a column names the processor. This column is
    left out if there is only one.

    Args:
        columns: Names of the columns.
        lines: The cells of each line.
        processors: The processor of each line.
        keys: Number of cells at the beginning of a line that say what was measured.
    """
    if len(set(processors)) < 2:
        return table(columns, lines)
    order = {tuple(line[:keys]): place for place, line in reversed(list(enumerate(lines)))}
    named = sorted(zip(lines, processors, strict=True), key=lambda line: order[tuple(line[0][:keys])])
    cells = [[*line[:keys], name, *line[keys:]] for line, name in named]
    return table([*columns[:keys], "processor", *columns[keys:]], cells)


def number(value: float | None) -> str:
    """Return a number with two decimals; a dash for None."""
    return "–" if value is None else f"{value:.2f}"


def power(value: float) -> str:
    """Return a number with one digit and a power of ten."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-")


def at_most(value: float | None, target: float | None) -> str:
    """Return a text that says whether a ratio is at most its goal."""
    if target is None or value is None:
        return "–"
    return f"≤ {target:.2f}: {'met' if value <= target else '**missed**'}"


def at_least(value: float | None, target: float | None) -> str:
    """Return a text that says whether a ratio is at least its goal."""
    if target is None or value is None:
        return "–"
    return f"≥ {target:g}: {'met' if value >= target else '**missed**'}"
