"""Cost of the engine for each row: the mode `overhead` of `bench_workers.py`.

    python benchmarks/bench_workers.py overhead --rounds 3 -o benchmarks/results/workers-overhead.json

A row of this benchmark only computes, until its thread has used `--row-seconds` of processor time; nothing is read or
written. First the program checks that every row is done once, and that its result is its number. Then these contestants
are timed, interleaved:

* `processes`: N processes that take the rows from a pool of Python (`concurrent.futures`), without Dask;
* `workers`: the executor of the package (`run_on_cluster`) with N running workers.

`overhead_s` is the elapsed time, multiplied by N and divided by the number of rows, beyond the time of a row.
`engine_s` is the processor time of this process for a row; client and scheduler are in this process. `share` is the
elapsed time of `workers` beyond that of `processes`, relative to the latter: it leaves out what other programs cost
both of them.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from typing import Any

import harness

from xsns_stream.pipeline.cluster import WorkDoneBy, run_on_cluster
from xsns_stream.pipeline.cluster_clients import local_cluster
from xsns_stream.pipeline.jobs import Job, Session

GOAL = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=60, help="overhead: number of rows (60)")
    parser.add_argument("--row-seconds", type=float, default=1.0, help="overhead: processor time of a row (1 s)")


def compute(seconds: float) -> int:
    """Use the processor for some seconds, and return how often the time was read."""
    number, end = 0, time.thread_time() + seconds
    while time.thread_time() < end:
        number += 1
    return number


@dataclass(frozen=True)
class Rows(Job[int, int]):
    """Rows that only compute; the result of a row is its number."""

    seconds: float

    def size(self, item: int) -> float:
        """Return the amount of work of a row, which is the same for all rows."""
        return 1.0

    def open(self) -> Session[int, int]:
        """Open the rows on a worker."""
        return OpenRows(self.seconds)


class OpenRows(Session[int, int]):
    """The rows on one worker."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self, item: int, attempt: int) -> int:
        """Compute, and return the number of the row."""
        compute(self.seconds)
        return item


def on_workers(client: Any, rows: int, seconds: float) -> None:
    """Compute all rows on workers, and check that each row is done once."""
    results: list[tuple[int, int]] = []

    def finished(row: int, work: WorkDoneBy) -> None:
        results.append((row, work.result))

    def failed(row: int, error: Exception, attempts: Any) -> None:
        raise error

    run_on_cluster(
        client,
        Rows(seconds),
        list(range(rows)),
        on_started=lambda row, worker: None,
        on_done=finished,
        on_failed=failed,
        on_note=lambda note: None,
    )
    assert sorted(results) == [(row, row) for row in range(rows)], (
        "error: a row was lost or done twice; nothing was timed"
    )


def run(options: argparse.Namespace) -> None:
    if options.smoke:
        options.rows, options.row_seconds, options.rounds = 6, 0.02, 1
    results = measure(options)
    columns = ("contestant", "seconds", "overhead_s", "engine_s", "share")
    harness.print_table(columns, [[row.get(column, "") for column in columns] for row in results])
    share = results[-1]["share"]
    print(f"\nshare of the engine in rows of {options.row_seconds:g} s: {harness.at_most(share, GOAL)}")
    parameters = {"workers": options.workers, "rows": options.rows, "row_seconds": options.row_seconds}
    harness.write(options.output, harness.result("workers-overhead", parameters, results, options.smoke))


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows, seconds, workers = options.rows, options.row_seconds, options.workers
    elapsed: dict[str, list[float]] = {"processes": [], "workers": []}
    used: dict[str, list[float]] = {"processes": [], "workers": []}
    with (
        local_cluster(workers, lambda note: None) as client,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
    ):
        ways = {
            "processes": lambda: list(pool.map(compute, [seconds] * rows)),
            "workers": lambda: on_workers(client, rows, seconds),
        }
        # All processes start, and the workers import their modules.
        list(pool.map(compute, [0.1] * workers))
        on_workers(client, rows, 0.0)
        for _ in range(options.rounds):
            for name, way in ways.items():
                started, before = time.perf_counter(), time.process_time()
                way()
                elapsed[name].append(time.perf_counter() - started)
                used[name].append(time.process_time() - before)
    whole = {name: median(times) for name, times in elapsed.items()}
    found: list[dict[str, Any]] = [
        {
            "contestant": name,
            "seconds": whole[name],
            "overhead_s": whole[name] * workers / rows - seconds,
            "engine_s": median(used[name]) / rows,
        }
        for name in whole
    ]
    found[-1]["share"] = whole["workers"] / whole["processes"] - 1
    return found
