"""Simulated builds with 1 to 256 workers: languages an hour, idle workers, and what limits the growth.

The inputs of the simulation are measured on this machine or read from committed results:

* tokens of each language of CLDR, as the model `mini` reads them, which give the spread of the times of rows;
* the mean time of a row of XLM-R's size, from the time of a token in `results/fisher-speed.json` (6 of 12 layers);
* the time of writing a row, from `results/scale.json`;
* the time that the client and the scheduler take for a task, from tasks that do nothing on one worker.

The simulation knows one scheduler and one disk, which serve one request at a time. A worker has a queue of one row. It
asks for the next row when it begins one, and waits while its row is written.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness

RESULTS = Path(__file__).parent / "results"
SEEDS = 3
#: Assumed mean seconds of a row on one GPU: a hundredth of a second for each of 1,024 examples.
GPU_ROW_S = 10.0
#: Assumed seconds until a new worker has loaded its libraries and its model.
START_S = 20.0
#: Assumed rate of a shared disk in bytes a second.
DISK_RATE = 100e6
#: Bytes of a row of XLM-R base.
ROW_BYTES = 85_054_464 / 8


@dataclass(frozen=True)
class Costs:
    """Seconds that a build takes besides measuring rows.

    Attributes:
        task: Time that the scheduler takes for a row.
        write: Time that the disk takes for a row.
        start: Time until a worker is ready.
    """

    task: float = 0.0
    write: float = 0.0
    start: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """A simulated build.

    Attributes:
        seconds: Time from the start of the workers to the last commit.
        idle: Share of the time of all workers in which no row is measured.
        scheduler: Share of the time in which the scheduler works.
        disk: Share of the time in which the disk writes.
    """

    seconds: float
    idle: float
    scheduler: float
    disk: float


@dataclass
class Server:
    """A resource that serves one request at a time, in the order in which requests arrive."""

    free: float = 0.0
    busy: float = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """Return the time at which a request is served that arrives at the time `now` and takes `seconds`."""
        self.free = max(now, self.free) + seconds
        self.busy += seconds
        return self.free


@dataclass
class Build:
    """The state of a simulated build; :meth:`run` simulates it."""

    rows: Iterator[float]
    costs: Costs
    scheduler: Server = field(default_factory=Server)
    disk: Server = field(default_factory=Server)
    events: list[tuple[float, int, str, int, float]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    queues: dict[int, deque[float]] = field(default_factory=dict)
    active: set[int] = field(default_factory=set)

    def at(self, now: float, kind: str, worker: int, row: float = 0.0) -> None:
        """Schedule an event of a worker at the time `now`."""
        heapq.heappush(self.events, (now, next(self.numbers), kind, worker, row))

    def ask(self, now: float, worker: int) -> None:
        """Handle the request of a worker for a row."""
        row = next(self.rows, None)
        if row is not None:
            self.at(self.scheduler.serve(now, self.costs.task), "got", worker, row)

    def begin(self, now: float, worker: int) -> None:
        """Let a worker that has no row begin the next row of its queue at the time `now`."""
        if worker not in self.active and self.queues[worker]:
            row = self.queues[worker].popleft()
            self.active.add(worker)
            self.at(now + row, "measured", worker, row)
            self.ask(now, worker)

    def run(self, workers: int) -> float:
        """Simulate the build with this number of workers, and return its duration in seconds."""
        self.queues = {worker: deque() for worker in range(workers)}
        now = 0.0
        for worker in range(workers):
            self.at(self.costs.start, "ready", worker)
        while self.events:
            now, _, kind, worker, row = heapq.heappop(self.events)
            if kind == "ready":
                self.ask(now, worker)
            elif kind == "got":
                self.queues[worker].append(row)
            elif kind == "measured":
                self.at(self.disk.serve(now, self.costs.write), "committed", worker)
            else:
                self.active.discard(worker)
            self.begin(now, worker)
        return now


def simulate(rows: Sequence[float], workers: int, costs: Costs) -> Outcome:
    """Simulate a build.

    Args:
        rows: Seconds that each row is measured, in the order in which rows are handed out.
        workers: Number of workers.
        costs: The other costs.
    """
    build = Build(iter(rows), costs)
    seconds = build.run(workers)
    idle = 1 - sum(rows) / (workers * seconds)
    return Outcome(seconds, idle, build.scheduler.busy / seconds, build.disk.busy / seconds)


# ------------------------------------------------------------------------------------------------------- inputs


def relative_sizes(most: int | None) -> list[float]:
    """Return the tokens of each language of CLDR, divided by their mean."""
    from xsns_stream import load_model
    from xsns_stream.corpora import open_corpus, select_languages

    corpus, tokenizer = open_corpus("cldr"), load_model("mini").tokenizer
    sizes = []
    for language in select_languages(("all",), corpus)[:most]:
        examples = corpus.sample(language, 64, 42).examples
        sizes.append(sum(len(tokenizer(example.key()[:2000])["input_ids"]) for example in examples))
    mean = sum(sizes) / len(sizes)
    return [size / mean for size in sizes]


def measured_task(number: int) -> float:
    """Return the processor seconds of client and scheduler for a task that does nothing, on one worker."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(_nothing, range(10), pure=False))
        # The scheduler is in this process, and the worker is not.
        started = time.process_time()
        client.gather(client.map(_nothing, range(number), pure=False))
        return (time.process_time() - started) / number


def _nothing(number: int) -> int:
    return number


def cpu_row() -> float:
    """Return the seconds that one core takes to measure a row of XLM-R base: 256 examples of 32 tokens."""
    rows = json.loads((RESULTS / "fisher-speed.json").read_text())["results"]
    (row,) = [each for each in rows if each["contestant"] == "engine" and each["positions"] == 32]
    # The measured model has half of the layers.
    return float(2 * row["median_s"] / row["examples"] * 256)


def measured_write() -> float:
    """Return the seconds that writing a row of 85 million parameters takes on this machine."""
    rows = json.loads((RESULTS / "scale.json").read_text())["results"]
    points = [each for each in rows if each.get("operation") == "write" and each.get("section") == "point"]
    return float(next(each["wall_s"] for each in points if each["parameters"] == 85_054_464))


# ---------------------------------------------------------------------------------------------------- the program


def ordered(sizes: Sequence[float], languages: int, mean: float, order: str) -> list[float]:
    """Return the seconds that each row of a build takes, longest first or in a random order that is repeatable.

    `sizes` are relative to their mean, and `mean` is the mean time in seconds.
    """
    draw = random.Random(0)
    rows = [mean * size for size in draw.choices(sizes, k=languages) for _ in range(SEEDS)]
    if order == "longest first":
        return sorted(rows, reverse=True)
    draw.shuffle(rows)
    return rows


def points(sizes: Sequence[float], means: dict[str, float], costs: Costs, smoke: bool) -> list[dict[str, Any]]:
    """Simulate every build of the table, and return a row for each build."""
    counts = (1, 4) if smoke else (1, 2, 4, 8, 16, 32, 64, 128, 256)
    result = []
    for device, mean in means.items():
        for languages in (10,) if smoke else (300, 1000, 7000):
            for order in ("longest first", "random"):
                rows = ordered(sizes, languages, mean, order)
                for workers in counts:
                    simulated = simulate(rows, workers, costs)
                    result.append(
                        {
                            "section": "point",
                            "device": device,
                            "languages": languages,
                            "order": order,
                            "workers": workers,
                            "hours": simulated.seconds / 3600,
                            "languages_per_hour": languages / simulated.seconds * 3600,
                            "idle": simulated.idle,
                            "scheduler": simulated.scheduler,
                            "disk": simulated.disk,
                        }
                    )
    return result


def main() -> None:
    parser = harness.arguments((__doc__ or "").splitlines()[0])
    options: argparse.Namespace = parser.parse_args()
    sizes = relative_sizes(5 if options.smoke else None)
    task = measured_task(20 if options.smoke else 500)
    costs = Costs(task, max(measured_write(), ROW_BYTES / DISK_RATE), START_S)
    means = {"CPU": cpu_row(), "GPU": GPU_ROW_S}
    limits = [
        {"section": "limit", "device": device, "row_s": mean, "scheduler": mean / task, "disk": mean / costs.write}
        for device, mean in means.items()
    ]
    results = [*limits, *points(sizes, means, costs, options.smoke)]
    columns = ["device", "languages", "order", "workers", "languages_per_hour", "idle", "scheduler", "disk"]
    harness.print_table(columns, [[row[name] for name in columns] for row in results if row["section"] == "point"])
    spread = {"languages": len(sizes), "smallest": min(sizes), "largest": max(sizes)}
    configuration = {"task_s": task, "write_s": costs.write, "start_s": START_S, "seeds": SEEDS, "sizes": spread}
    harness.write(options.output, harness.result("workers-simulated", configuration, results, options.smoke))


if __name__ == "__main__":
    main()
