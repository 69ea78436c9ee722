"""Processor time of short commands: the cost of starting Python, of imports and of loading.

Each command runs in a process of its own, and its time is the processor time of that process (user and system). Other
programs of the machine therefore matter little. The commands:

* `help`: `xsns-stream --help`;
* `build, nothing to do`: a build of three languages whose rows are all in the store, for the second time;
* `build, one language`: a build that adds one language of 16 examples with `mini`;
* `rank`, `matrix`: of a store of 235 languages with the counts of overlaps in its cache.

Before anything is timed, the program checks the number of rows that each build measures, and that no module of
`HEAVY` is imported by the commands that do not need it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import harness

#: Libraries that a build imports to measure.
HEAVY = frozenset({"torch", "transformers", "datasets", "numba", "scipy", "zarr", "pandas"})
#: Seconds after which a build may be remembered as finished.
SETTLED_S = 3.0

#: Languages of the build that has nothing to do.
FEW = "sw,fi,et"
_PROGRAM = "from xsns_stream.cli import run; run()"
_LISTING = (
    "import sys\nfrom xsns_stream.cli import run\ntry:\n    run()\nfinally:\n"
    "    print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
)


@dataclass(frozen=True)
class Command:
    """A command line: its name, its arguments, the libraries that it may not import, and a part of its output."""

    name: str
    arguments: tuple[str, ...]
    forbidden: frozenset[str] = frozenset()
    says: str = ""

    def check(self) -> None:
        """Run the command, and check what it prints and imports."""
        completed = self._run(_LISTING)
        assert self.says in completed.stdout, completed.stdout
        imported = set(completed.stderr.splitlines()[-1].split())
        assert not imported & self.forbidden, (
            f"error: the command {self.name} imports {sorted(imported & self.forbidden)}"
        )

    def seconds(self) -> float:
        """Return the processor time of a run."""
        before = os.times()
        self._run(_PROGRAM)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    def _run(self, program: str) -> subprocess.CompletedProcess[str]:
        # Without the cache of compiled modules, which Python writes by default, imports take twice as long.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        command = [sys.executable, "-c", program, *self.arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment)


def commands(folder: Path, languages: str, examples: int) -> tuple[Command, ...]:
    """Make the stores that the commands use, and return the commands to time."""
    store = str(folder / "all.zarr")
    everything = ("build", "--corpus", "cldr", "--lang", languages, "--examples", str(examples), "--store", store)
    few = ("build", "--lang", FEW, "--examples", "8", "--store", str(folder / "few.zarr"))
    if languages == FEW:
        few = everything
    for build in dict.fromkeys((everything, few)):
        Command("", (*build, "--quiet")).seconds()
    time.sleep(SETTLED_S)
    finished_build = Command("build, nothing to do", few, HEAVY, "0 rows measured")
    unused = frozenset({"torch", "transformers", "datasets"})
    matrix = Command("matrix", ("matrix", "--store", store), unused)
    # The first run fills the caches.
    for command in (finished_build, matrix):
        command.seconds()
    return (
        Command("help", ("--help",), HEAVY | {"numpy", "rich"}, "Usage"),
        finished_build,
        Command("rank", ("rank", "--store", store, "--target", "sw"), unused, "Swahili"),
        matrix,
    )


def one_language(folder: Path, number: int) -> Command:
    """Return a build that adds a language to a store with one language."""
    store = str(folder / f"{number}.zarr")
    shared = ("build", "--examples", "16", "--store", store, "--quiet")
    Command("", (*shared, "--lang", "fi")).seconds()
    return Command("build, one language", (*shared, "--lang", "sw"))


def measure(languages: str, examples: int, rounds: int) -> list[dict[str, object]]:
    """Return the median processor time of each command over the rounds."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="xsns-") as name:
        folder = Path(name)
        fixed = commands(folder, languages, examples)
        for command in fixed:
            command.check()
        for number in range(rounds):
            for command in (*fixed, one_language(folder, number)):
                seconds.setdefault(command.name, []).append(command.seconds())
    return [
        {"command": name, "median_s": median(times), "best_s": min(times), "worst_s": max(times)}
        for name, times in seconds.items()
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = harness.arguments(__doc__ or "")
    options = parser.parse_args(arguments)
    languages, examples = (FEW, 8) if options.smoke else ("all", 32)
    results = measure(languages, examples, 1 if options.smoke else options.rounds)
    harness.print_table(["command", "median, s", "best, s", "worst, s"], [[*row.values()] for row in results])
    configuration = {"model": "mini", "languages": languages, "examples": examples, "rounds": options.rounds}
    harness.write(options.output, harness.result("startup", configuration, results, options.smoke))


if __name__ == "__main__":
    main()
