"""Time of a comparison of all pairs on workers: the mode `matrix` of `bench_workers.py`.

    python benchmarks/bench_workers.py matrix --rounds 5 -o benchmarks/results/workers-matrix.json

A synthetic store (`synthetic.py`) of the largest number of languages is written once, and smaller comparisons take its
first languages. First the counts of all contestants are compared. Then they are timed, interleaved:

* `1 thread`, `N threads`: counts in this process;
* `N workers`: counts on workers that are running, each with one thread;
* `command`, `command, N workers`: `xsns-stream matrix` in a process of its own, with one thread for each core, or with
  `--workers N` and the time to start them.

Rows of the results are compared by the bytes of all pairs, L (L + 1) / 2 · P / 8. A line is fitted to the times of both
commands; `pays_from_gb` is the number of gigabytes of pairs from which on the line of the workers is below the
other line. It is null if this never happens: then the workers count no faster than the threads of one process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import harness
import numpy as np
import synthetic

from xsns_stream.pipeline.cluster_clients import Workers, local_cluster
from xsns_stream.pipeline.cluster_counts import counted_on_workers
from xsns_stream.similarity import count_selection, select
from xsns_stream.similarity.row_counts import AllPairs, CountedHere, Device, RowCounter
from xsns_stream.store import SubNetworkStore

GOAL = 1.6
TINY = 768 * 64
START = [sys.executable, "-c", "from xsns_stream.cli import run; run()"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bits", type=int, default=85_054_464, help="matrix: P, the number of parameters (85,054,464)")
    parser.add_argument("--sizes", default="35,70,141,282", help="matrix: numbers of languages (35,70,141,282)")
    parser.add_argument("--folder", type=Path, help="matrix: folder for the store; a temporary folder by default")


def run(options: argparse.Namespace) -> None:
    sizes = sorted(int(part) for part in options.sizes.split(","))
    if options.smoke:
        sizes, options.bits, options.rounds = [4, 8], TINY, 1
    with (
        tempfile.TemporaryDirectory(prefix="xsns-", dir=options.folder) as folder,
        counters(options.workers) as ways,
    ):
        store = synthetic.write_store(Path(folder) / "x.zarr", sizes[-1], options.bits)
        check(store, sizes[-1], ways, options.workers)
        results = [row for size in sizes for row in measure(store, size, ways, options)]
    crossing_gb = crossing(results, options.workers)
    columns = ("contestant", "languages", "gb_of_pairs", "median_s", "speed_up")
    harness.print_table(columns, [[row[column] for column in columns] for row in results])
    largest = next(row for row in results if (row["contestant"], row["languages"]) == (workers(options), sizes[-1]))
    print(f"\n{sizes[-1]} languages on running workers: {harness.at_least(largest['speed_up'], GOAL)}")
    if crossing_gb is None:
        print("workers of this machine never pay: set WORKERS_PAY_FROM (pipeline/cluster_counts.py) to a large number")
    else:
        print(f"workers pay from {crossing_gb:,.0f} GB of pairs on (WORKERS_PAY_FROM in pipeline/cluster_counts.py)")
    parameters = {"workers": options.workers, "bits": options.bits, "sizes": sizes, "pays_from_gb": crossing_gb}
    harness.write(options.output, harness.result("workers-matrix", parameters, results, options.smoke))


def workers(options: argparse.Namespace) -> str:
    return f"{options.workers} workers"


@contextmanager
def counters(number: int) -> Iterator[dict[str, RowCounter]]:
    """Yield {name: function that counts}, for threads and for workers, which run during the block."""
    with (
        local_cluster(number, lambda note: None) as client,
        counted_on_workers(Workers(client=client), "cpu", lambda event: None) as counter,
    ):
        assert counter is not None
        here = {
            "1 thread": CountedHere(Device(threads=1)),
            f"{number} threads": CountedHere(Device(threads=number)),
        }
        yield {**here, f"{number} workers": counter}


def languages(size: int) -> tuple[str, ...]:
    return tuple(synthetic.code(language) for language in range(size))


def count(store: SubNetworkStore, size: int, counter: RowCounter) -> np.ndarray:
    (counts,) = count_selection(store, select(store, languages=languages(size)), counter=counter)
    return np.asarray(counts.intersection)


def command(store: SubNetworkStore, size: int, *arguments: str) -> Any:
    """Compare the languages by `xsns-stream matrix` in a process of its own, and return the matrix.

    The process may use the cores of this process.
    """
    words = ["matrix", "--store", str(store.path), "--lang", ",".join(languages(size)), "--recount", "--no-keep"]
    completed = subprocess.run(
        [*START, *words, "--json", "--quiet", *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(completed.stdout)["result"]


def check(store: SubNetworkStore, size: int, ways: Mapping[str, RowCounter], number: int) -> None:
    """Check that all contestants return the same numbers."""
    first, *others = (count(store, size, counter) for counter in ways.values())
    assert all(np.array_equal(first, other) for other in others), "the counts differ"
    assert command(store, size) == command(store, size, "--workers", str(number)), "the matrices differ"


def measure(
    store: SubNetworkStore, size: int, ways: Mapping[str, RowCounter], options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield the times of all contestants for one number of languages."""
    contestants: dict[str, Callable[[], object]] = {
        name: lambda counter=counter: count(store, size, counter) for name, counter in ways.items()
    }
    contestants["command"] = lambda: command(store, size)
    contestants[f"command, {workers(options)}"] = lambda: command(store, size, "--workers", str(options.workers))
    timings = harness.interleave(contestants, options.rounds, budget_s=300, warm_up=not options.smoke)
    gigabytes = AllPairs(languages(size)).pairs * options.bits / 8e9
    for name, timing in timings.items():
        base = timings["command" if name.startswith("command") else "1 thread"].median_s
        yield {
            "contestant": name,
            "languages": size,
            "gb_of_pairs": gigabytes,
            "speed_up": base / timing.median_s,
            **harness.timing_fields(timing),
        }


def crossing(results: Sequence[Mapping[str, Any]], number: int) -> float | None:
    """Return the gigabytes of pairs from which on the command with workers is faster; None if it never is."""
    lines = []
    for name in ("command", f"command, {number} workers"):
        points = [(row["gb_of_pairs"], row["median_s"]) for row in results if row["contestant"] == name]
        sizes, seconds = zip(*points, strict=True)
        slope, start = np.polyfit(sizes, seconds, 1)
        lines.append((float(slope), float(start)))
    (slope, start), (slope_of_workers, start_of_workers) = lines
    if slope_of_workers >= slope:
        return None
    return max(0.0, (start_of_workers - start) / (slope - slope_of_workers))
