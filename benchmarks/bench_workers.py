"""Time of a build on workers, compared with one process of one and of two threads.

The mode `matrix` times comparisons of all pairs instead (`workers_matrix.py`), and the mode `overhead` the cost of the
engine for each row (`workers_overhead.py`).

First the stores of all contestants are compared bit by bit. Then whole builds are timed, interleaved:

* `1 process`: one process with one thread;
* `1 process, 2 threads`: one process with two threads;
* `N workers`: `--workers N`, processes of one thread each, with the time to start them and to load the model in each.

Each build is a command line in a process of its own. `row` is the time of a row without the time of a build of one row,
which starts the processes and loads the models. `--wide 6` builds with a model of the width of XLM-R base with six
layers and random weights, which is made in a temporary folder:

    python benchmarks/bench_workers.py --wide 6 --examples 40 --rounds 1 -o benchmarks/results/workers-wide.json
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import harness
import workers_matrix
import workers_overhead

from xsns_stream.corpora import open_corpus, select_languages
from xsns_stream.models import load_model
from xsns_stream.store import open_store

#: Speed-ups that two workers on two cores should reach: with `mini`, and with a model of XLM-R's width.
GOALS = (1.8, 1.7)
#: Jaccard similarity of two sub-networks of the same text that were computed with different numbers of threads.
LEAST_JACCARD = 0.9999


@dataclass(frozen=True)
class Contestant:
    """A way to build: its name, its options, and the number of threads of a process."""

    name: str
    options: tuple[str, ...]
    threads: int


def contestants(workers: int) -> tuple[Contestant, ...]:
    return (
        Contestant("1 process", (), 1),
        Contestant("1 process, 2 threads", (), 2),
        Contestant(f"{workers} workers", ("--workers", str(workers)), 1),
    )


def build(contestant: Contestant, shared: Sequence[str], languages: Sequence[str], store: Path) -> float:
    """Build the languages in a process of its own, and return the elapsed seconds.

    `shared` are the options of the command line that all contestants have.
    """
    command = [sys.executable, "-c", "from xsns_stream.cli import run; run()", "build", *shared, "--quiet"]
    command += ["--lang", ",".join(languages), "--store", str(store), *contestant.options]
    threads = {name: str(contestant.threads) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS")}
    started = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | threads, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def check(settings: Sequence[Contestant], paths: Sequence[Path]) -> None:
    """Check that processes of one thread give the same bits, and processes of several threads nearly the same bits.

    `paths` are the stores of the contestants, in their order.

    Matrix products of two threads may be rounded differently, which changes a few of the selected parameters.
    """
    stores = [open_store(path) for path in paths]
    first = stores[0]
    for setting, store in zip(settings, stores, strict=True):
        assert store.verify() == [], f"the store of '{setting.name}' is damaged"
        least = 1.0 if setting.threads == settings[0].threads else LEAST_JACCARD
        assert store.languages == first.languages
        for language in first.languages:
            jaccard = len(store[language] & first[language]) / len(store[language] | first[language])
            assert jaccard >= least, f"{language}: '{setting.name}' differs from '{settings[0].name}': {jaccard}"


def main() -> None:
    parser = harness.arguments(__doc__ or "")
    parser.add_argument("mode", nargs="?", choices=("build", "matrix", "overhead"), default="build")
    workers_matrix.add_arguments(parser)
    workers_overhead.add_arguments(parser)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--wide", type=int, metavar="LAYERS", help="build: a random model of XLM-R's width instead")
    parser.add_argument("--corpus", default="cldr", help="corpus, such as a folder of NTREX files")
    parser.add_argument("--languages", type=int, default=24)
    parser.add_argument("--examples", type=int, default=256)
    options = parser.parse_args()
    if options.mode != "build":
        (workers_matrix if options.mode == "matrix" else workers_overhead).run(options)
        return
    if options.smoke:
        options.languages, options.examples, options.rounds = 3, 8, 1
    configuration = {name: getattr(options, name) for name in ("workers", "model", "corpus", "languages", "examples")}
    with tempfile.TemporaryDirectory(prefix="xsns-") as folder:
        if options.wide is not None:
            width = 48 if options.smoke else 768
            configuration["model"] = f"random weights, {options.wide} layers, width {width}"
            options.model = make_wide_model(Path(folder) / "wide", options.wide, width)
        results = measure(options, Path(folder))
    harness.print_table(["contestant", "build, s", "row, s", "speed-up"], [[*row.values()] for row in results])
    print(f"\n{options.workers} workers: {harness.at_least(results[-1]['speed_up'], GOALS[options.wide is not None])}")
    harness.write(options.output, harness.result("workers", configuration, results, options.smoke))


def make_wide_model(folder: Path, layers: int, width: int) -> str:
    """Save a model with random weights and the tokenizer of `mini`, and return the folder."""
    from fisher_contestants import wide_model

    tokenizer = load_model("mini").tokenizer
    wide_model(layers, len(tokenizer), width).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    languages = select_languages(("all",), open_corpus(options.corpus))[: options.languages]
    shared = ["--model", options.model, "--corpus", options.corpus, "--examples", str(options.examples)]
    times: dict[str, list[float]] = {}
    single: dict[str, list[float]] = {}
    ways = contestants(options.workers)
    for turn in range(options.rounds):
        stores = [folder / f"{turn}-{number}.zarr" for number in range(len(ways))]
        for way, store in zip(ways, stores, strict=True):
            # A row for each worker, so that each loads its model.
            few = languages[: options.workers]
            seconds = 0.0 if options.smoke else build(way, shared, few, store.with_suffix(".few.zarr"))
            single.setdefault(way.name, []).append(seconds)
            times.setdefault(way.name, []).append(build(way, shared, languages, store))
        check(ways, stores)
    whole = {name: median(seconds) for name, seconds in times.items()}
    more = max(1, len(languages) - options.workers)
    return [
        {
            "contestant": name,
            "seconds": whole[name],
            "row_seconds": (whole[name] - median(single[name])) / more,
            "speed_up": whole[ways[0].name] / whole[name],
        }
        for name in whole
    ]


if __name__ == "__main__":
    main()
