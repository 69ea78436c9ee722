"""Growth of the times of writing, comparing, adding and ranking with languages and parameters.

    python benchmarks/bench_scale.py -o benchmarks/results/scale.json

Two series of synthetic stores (`synthetic.py`) are written to a temporary folder: growing numbers of languages of one
size, and a few languages of growing sizes. Every operation runs in a separate process, after a warm-up on a small
store, with the page cache in its state after writing. `cpu_s` is the processor time of all threads, which other
programs hardly disturb; `wall_s` is wall-clock time. `extra_mib` is the peak of resident memory above the memory before
the operation. Points beyond `--disk-gb` or `--budget-s` are left out, and the output names them. `--beyond` counts an
existing store of `synthetic.py`, and compares the time with the prediction from the other points.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np
import synthetic
from scale_tables import TERMS, fits, predicted

from xsns_stream.ranking import rank_sources
from xsns_stream.similarity import count_overlaps, jaccard, sample_overlaps
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.store.overlap_cache import overlap_cache

#: 4,096 · 768 is about the size of the embedded model; then XLM-R base and XLM-R large.
SMALL, BASE, LARGE = 3_145_728, 85_054_464, 302_309_376
TINY = 768 * 64
SAMPLE = 0.05
#: Largest number of languages of a sample, because the tables of pairs of its blocks dominate beyond it.
SAMPLE_UP_TO = 512
#: Number of samples for the error of a sample, because all pairs of one sample have correlated errors.
DRAWS, DRAWN_UP_TO = 30, 16
#: A short operation is repeated for this number of seconds.
LONG_S = 2.0


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--languages",
        type=numbers,
        default="8,16,32,64,128,256,512,1024,2048",
        help="numbers of languages of the first series",
    )
    parser.add_argument("--bits", type=int, default=SMALL, help=f"P of the first series ({SMALL:,})")
    parser.add_argument(
        "--sizes",
        type=numbers,
        default=f"{SMALL},12582912,28351488,{BASE},{LARGE}",
        help="numbers of parameters of the second series",
    )
    parser.add_argument("--few", type=int, default=12, help="number of languages of the second series (12)")
    parser.add_argument("--disk-gb", type=float, default=4.0, help="largest size of a store in gigabytes (4)")
    parser.add_argument(
        "--budget-s", type=float, default=600.0, help="seconds after which no further point is measured (600)"
    )
    parser.add_argument("--folder", type=Path, help="folder for the stores; a temporary folder by default")
    parser.add_argument(
        "--beyond",
        type=Path,
        help="an existing synthetic store, larger than those of both series, to check the prediction",
    )
    parser.add_argument(
        "--measure", nargs=4, metavar=("OPERATION", "STORE", "TINY", "LANGUAGES"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.measure:
        operation, store, tiny, languages = options.measure
        json.dump(measure(operation, Path(store), Path(tiny), int(languages), options.rounds), sys.stdout)
        return
    if options.smoke:
        options.languages, options.bits, options.sizes, options.few = (4, 8), TINY, (TINY, 2 * TINY), 4
    series = [
        *(("languages", count, options.bits) for count in sorted(options.languages)),
        *(("parameters", options.few, size) for size in sorted(options.sizes)),
    ]
    results = run(series, options)
    results += [row for operation in TERMS for row in fits(operation, results)]
    if options.beyond:
        results.append(measure_beyond(options.beyond, results, options.rounds))
    show(results)
    parameters = {"few": options.few, "bits": options.bits, "sample": SAMPLE, "disk_gb": options.disk_gb}
    harness.write(options.output, harness.result("scale", parameters, results, options.smoke))


def numbers(text: str) -> tuple[int, ...]:
    """Return integers that are separated by commas."""
    return tuple(int(part) for part in text.split(","))


def run(series: Sequence[tuple[str, int, int]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of every point of the series that the limits of disk and time allow."""
    started, results = time.perf_counter(), []
    with tempfile.TemporaryDirectory(prefix="xsns-scale-", dir=options.folder) as folder:
        tiny = Path(folder) / "tiny.zarr"
        check(synthetic.write_store(tiny, 8, TINY))
        previous = None
        for name, languages, size in series:
            point = f"{languages} languages × {size:,} parameters"
            if languages * size / 8e9 > options.disk_gb:
                print(f"left out, larger than --disk-gb: {point}", file=sys.stderr)
                continue
            if time.perf_counter() - started > options.budget_s:
                print(f"left out, later than --budget-s: {point}", file=sys.stderr)
                continue
            store = Path(folder) / f"{name}-{size}.zarr"
            if previous not in (None, store):
                shutil.rmtree(previous)
            previous = store
            print(point, file=sys.stderr)
            for row in measure_point(store, tiny, languages, size, options.rounds):
                results.append({"section": "point", "series": name, "languages": languages, "parameters": size, **row})
    return results


def measure_point(store: Path, tiny: Path, languages: int, size: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each operation: the store grows to L languages, and by one more for `add`.

    `tiny` is a small store for the warm-up.
    """
    yield write(store, languages, size)
    yield in_child("matrix", store, tiny, languages, rounds)
    yield in_child("rank", store, tiny, languages, rounds)
    if languages <= SAMPLE_UP_TO:
        yield in_child("sample", store, tiny, languages, rounds)
    synthetic.write_store(store, languages + 1, size)
    yield in_child("add", store, tiny, languages, rounds)


def measure_beyond(store: Path, results: Sequence[Mapping[str, Any]], rounds: int) -> dict[str, Any]:
    """Return the measured and predicted times of a store that was not used for the fit; nothing is written to it."""
    opened = open_store(store)
    languages, parameters = len(opened.languages), opened.layout.size
    terms = next(row for row in results if (row["section"], row["operation"]) == ("terms", "matrix"))
    measured = in_child("count", store, store, languages, rounds)
    foretold = predicted(terms["coefficients"], languages, parameters)
    return {"section": "beyond", "languages": languages, "parameters": parameters, **measured, "predicted_s": foretold}


def write(path: Path, languages: int, size: int) -> dict[str, Any]:
    """Write those of L rows that the store lacks, and return the time of writing a row.

    The time of computing the row is not included.
    """
    store, cpu, wall = open_store(path, "a"), [], []
    for language in range(languages):
        if store.exists and store.is_committed(synthetic.code(language), 0, synthetic.DENSITY):
            continue
        network = synthetic.network(size, language)
        begin = time.process_time(), time.perf_counter()
        store.write(network)
        cpu.append(time.process_time() - begin[0])
        wall.append(time.perf_counter() - begin[1])
    rows = [entry for entry in (path / "subnetworks" / "c").rglob("*") if entry.is_file()]
    every = sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    row_bytes = sum(entry.stat().st_size for entry in rows)
    return {
        "operation": "write",
        "cpu_s": statistics.median(cpu),
        "wall_s": statistics.median(wall),
        "rounds": len(cpu),
        "row_bytes": row_bytes / len(rows),
        "other_bytes": (every - row_bytes) / len(rows),
    }


def in_child(operation: str, store: Path, tiny: Path, languages: int, rounds: int) -> dict[str, Any]:
    """Run :func:`measure` in a separate process."""
    where = [operation, str(store), str(tiny), str(languages)]
    command = [sys.executable, __file__, "--rounds", str(rounds), "--measure", *where]
    completed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(completed.stdout)
    return {"operation": operation, **row}


def measure(operation: str, path: Path, tiny: Path, languages: int, rounds: int) -> dict[str, Any]:
    """Return processor time, wall-clock time and peak memory of one operation on the first L languages."""
    codes = [synthetic.code(language) for language in range(languages)]
    small = open_store(tiny)
    for name in TERMS.keys() - {"write"}:
        call(name, small, list(small.languages)[:8], keep=False)()
    operate = call(operation, open_store(path, "r" if operation == "count" else "a"), codes, keep=operation != "count")
    # The first round of `add` replaces the saved counts.
    rounds = 1 if operation == "add" else max(1, rounds)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, cpu, wall = status("VmRSS"), [], []
    while len(cpu) < rounds and sum(wall) < LONG_S:
        begin = time.process_time(), time.perf_counter()
        operate()
        cpu.append(time.process_time() - begin[0])
        wall.append(time.perf_counter() - begin[1])
    peak = status("VmHWM")
    row = {
        "cpu_s": statistics.median(cpu),
        "wall_s": statistics.median(wall),
        "rounds": len(cpu),
        "extra_mib": peak - before,
    }
    # The errors do not depend on the number of languages.
    if operation == "sample" and languages <= DRAWN_UP_TO:
        row |= error_of_sample(open_store(path), codes)
    return row


def call(operation: str, store: SubNetworkStore, codes: list[str], keep: bool) -> Callable[[], object]:
    """Return an operation on a store as a call without arguments; `add` uses the counts that `matrix` saved."""
    if operation in ("matrix", "count"):
        cache = overlap_cache(store, use=False, write=keep)
        return lambda: count_overlaps(store, languages=codes, cache=cache)
    if operation == "add":
        cache = overlap_cache(store, use=keep, write=keep)
        every = [*codes, synthetic.code(len(codes))] if keep else codes
        return lambda: count_overlaps(store, languages=every, cache=cache)
    if operation == "rank":
        return lambda: rank_sources(jaccard(count_overlaps(store, sources=codes, targets=codes[:1])), target=codes[0])
    return lambda: sample_overlaps(store, SAMPLE, languages=codes)


def error_of_sample(store: SubNetworkStore, codes: list[str]) -> dict[str, Any]:
    """Return the root mean squares, over pairs and samples, of the standard error and of the error of a coefficient."""
    exact, pairs = jaccard(count_overlaps(store, languages=codes)), np.triu_indices(len(codes), 1)
    standard_errors, errors = [], []
    for draw in range(1, DRAWS + 1):
        sampled = jaccard(sample_overlaps(store, SAMPLE, languages=codes, sample_seed=draw))
        assert sampled.standard_error is not None
        standard_errors.append(sampled.standard_error[pairs])
        errors.append((sampled.values - exact.values)[pairs])
    return {
        "standard_error": float(np.sqrt(np.mean(np.square(standard_errors)))),
        "error": float(np.sqrt(np.mean(np.square(errors)))),
    }


def status(key: str) -> float:
    """Return the value of a line of `/proc/self/status`, such as `VmHWM`, in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"error: this system does not report {key}")


def check(store: SubNetworkStore) -> None:
    """Stop unless the counts of a small store equal those of NumPy."""
    rows = list(synthetic.rows(len(store.languages), TINY))
    expected = [[int(np.bitwise_count(one & other).sum()) for other in rows] for one in rows]
    if count_overlaps(store).intersection.tolist() != expected:
        raise SystemExit("error: the overlaps of the small store are wrong; nothing was timed")


def show(results: Sequence[Mapping[str, Any]]) -> None:
    """Print points, exponents and terms."""
    columns = ("operation", "languages", "parameters", "cpu_s", "wall_s", "extra_mib")
    points = [row for row in results if row["section"] == "point"]
    harness.print_table(columns, [[row.get(column) for column in columns] for row in points])
    columns = ("operation", "series", "slope", "last_slope", "points")
    print()
    harness.print_table(columns, [[row[c] for c in columns] for row in results if row["section"] == "exponent"])
    print()
    for row in results:
        if row["section"] == "terms":
            parts = [f"{c['seconds']:.2e} L^{c['languages']} P^{c['parameters']}" for c in row["coefficients"]]
            print(f"{row['operation']}: {' + '.join(parts)} s, largest error {row['largest_error']:.0%}")
        if row["section"] == "beyond":
            print(f"beyond: {row['cpu_s']:.1f} s measured, {row['predicted_s']:.1f} s predicted")


if __name__ == "__main__":
    main()
