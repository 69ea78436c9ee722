"""Time of builds on a machine whose cores are used by other programs too.

The program makes the load itself, with child processes that end with it. It measures the wall-clock time of whole
`xsns-stream build` commands with `mini`:

* `alone`: one build;
* `cores taken`: one build beside one busy process for each core;
* `three at once`: three builds into three stores, started together.

Each situation is measured twice: with threads that sleep while they wait for one another, as the program chooses, and
with OpenMP's default, a busy loop. The environment variable GOMP_SPINCOUNT keeps the program from changing the default.
Before anything is timed, the program checks that the builds of both settings make the same sub-networks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import harness
import numpy as np

from xsns_kernels.cores import available_cores
from xsns_stream import open_store

#: libgomp's default number of turns of its busy loop if there are no more threads than cores.
DEFAULT_SPIN = "300000"
SETTINGS = {
    "threads sleep (the program's choice)": {},
    "busy loop (OpenMP's default)": {"GOMP_SPINCOUNT": DEFAULT_SPIN},
}
GOALS = {"cores taken": 3.0, "three at once": 1.2}
_BUILD = "from xsns_stream.cli import run; run()"
_BUSY = "while True: pass"


def start(store: Path, languages: str, examples: int, setting: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a build of these languages in a process of its own.

    `setting` are environment variables.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_", "MKL_"))
    }
    options = ("--corpus", "cldr", "--lang", languages, "--examples", str(examples), "--store", str(store), "--quiet")
    return subprocess.Popen(
        [sys.executable, "-c", _BUILD, "build", *options],
        env=environment | setting,
        stdout=subprocess.DEVNULL,
    )


def seconds(stores: Sequence[Path], languages: str, examples: int, setting: dict[str, str]) -> float:
    """Return the wall-clock time of builds that are started together."""
    started = time.perf_counter()
    builds = [start(store, languages, examples, setting) for store in stores]
    codes = [build.wait() for build in builds]
    assert codes == [0] * len(builds), f"error: the builds ended with the exit codes {codes}"
    return time.perf_counter() - started


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy with a process of its own while the block runs."""
    load = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(available_cores())]
    try:
        yield
    finally:
        for process in load:
            process.kill()
            process.wait()


def measure(languages: str, examples: int, rounds: int, measured: int) -> list[dict[str, object]]:
    """Return a row for each setting and situation, with its time relative to the same builds without other load.

    All settings are checked, and the first `measured` settings are timed.
    """
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="xsns-") as name:
        folder = Path(name)
        for number, setting in enumerate(SETTINGS.values()):
            seconds([folder / f"checked-{number}"], languages, examples, setting)
        _check_equal(folder / "checked-0", folder / "checked-1")
        for n in range(rounds):
            for number, (label, setting) in enumerate(list(SETTINGS.items())[:measured]):
                stores = [folder / f"{kind}-{number}-{n}" for kind in ("alone", "taken", "first", "second", "third")]
                alone = seconds(stores[:1], languages, examples, setting)
                with busy_cores():
                    cores_taken = seconds(stores[1:2], languages, examples, setting)
                together = seconds(stores[2:], languages, examples, setting)
                for situation, value in (("alone", alone), ("cores taken", cores_taken), ("three at once", together)):
                    times.setdefault((label, situation), []).append(value)
    rows: list[dict[str, object]] = []
    for (label, situation), values in times.items():
        quiet = median(times[label, "alone"]) * (3 if situation == "three at once" else 1)
        ratio = median(values) / quiet
        goal = GOALS.get(situation)
        rows.append(
            {
                "threads": label,
                "situation": situation,
                "median_s": median(values),
                "best_s": min(values),
                "worst_s": max(values),
                "relative_to_quiet": ratio,
                "goal": goal,
            }
        )
    return rows


def _check_equal(one: Path, other: Path) -> None:
    first, second = open_store(one), open_store(other)
    assert first.keys() == second.keys()
    for key in first.keys():  # noqa: SIM118 — a store is not a mapping
        bits, others = (store.read(key.language, key.seed).to_numpy() for store in (first, second))
        assert np.array_equal(bits, others), f"{key} differs"


def main(arguments: Sequence[str] | None = None) -> None:
    options = harness.arguments(__doc__ or "").parse_args(arguments)
    languages, examples = ("sw,fi", 8) if options.smoke else ("sw,fi,et,de,fr,es", 64)
    rounds, measured = (1, 1) if options.smoke else (options.rounds, len(SETTINGS))
    rows = measure(languages, examples, rounds, measured)
    harness.print_table(
        ["threads", "situation", "median s", "best s", "worst s", "relative to quiet", "goal"],
        [[*row.values()] for row in rows],
    )
    configuration = {"model": "mini", "languages": languages, "examples": examples, "cores": available_cores()}
    harness.write(options.output, harness.result("busy", configuration, rows, options.smoke))


if __name__ == "__main__":
    main()
