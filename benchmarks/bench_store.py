"""Comparison of all languages of a store that is larger than the allowed memory, and the time of counting alone.

    python benchmarks/bench_store.py --rows 282 --bits 85054464 -o store.json

The program writes a synthetic store (10.6 MB a language at that size; see synthetic.py), or uses the store of that size
in `--folder`. *Counting alone* runs the same kernel on the same rows in memory. The files are in the page cache. The
first measurement uses one thread and processor time, the second all cores and wall-clock time. Memory is the amount
that a fresh process adds to its memory with loaded kernels.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
import synthetic

import xsns_kernels as kernels
from xsns_stream import SubNetworkStore, count_overlaps, open_store

MEMORY_SETUP = """
from xsns_stream import count_overlaps, open_store
store = open_store(sys.argv[1])
languages = store.languages
count_overlaps(store, languages=languages[:2])
"""
MEMORY_STATEMENT = "count_overlaps(store, languages=languages)"


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=282, help="L, languages (282)")
    parser.add_argument("--bits", type=int, default=85_054_464, help="P, parameters (85,054,464)")
    parser.add_argument(
        "--folder", type=Path, help="folder of the store, which stays there; a temporary folder by default"
    )
    parser.add_argument("--zarr", action="store_true", help="also read every block through Zarr, which is slow")
    options = parser.parse_args()
    if options.smoke:
        options.rows, options.bits, options.rounds, options.zarr = 9, 100_003, 2, True
    with tempfile.TemporaryDirectory(prefix="xsns-store-") as temporary:
        path = (options.folder or Path(temporary)) / f"{options.rows}x{options.bits}.zarr"
        store = open_store(path) if path.exists() else synthetic.write_store(path, options.rows, options.bits)
        results, parameters = measure(store, path, options)
    columns = ("contestant", "threads", "median_s", "of_counting")
    harness.print_table(columns, [[row[column] for column in columns] for row in results])
    print(f"\nmemory above the loaded kernels: {parameters['extra_mib']:.0f} MiB", end="")
    print(f", of which the result is {parameters['result_mib']:.1f}")
    harness.write(options.output, harness.result("store", parameters, results, options.smoke))


def measure(store: SubNetworkStore, path: Path, options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    languages, (seed,), (density,) = store.languages, store.seeds, store.densities
    rows = kernels.ArrayColumns(store.rows(languages, seed, density))

    def alone(threads: int | None) -> np.ndarray:
        return kernels.stream_intersections(rows, threads=threads)[0]

    def streamed(threads: int | None) -> np.ndarray:
        with store.columns(languages, seed, density) as columns:
            return kernels.stream_intersections(columns, threads=threads)[0]

    def through_zarr() -> np.ndarray:
        return kernels.stream_intersections(ZarrColumns(path, len(languages)), threads=1)[0]

    def whole() -> np.ndarray:
        return count_overlaps(store, languages=languages).intersection

    truth = alone(None)
    few = kernels.ArrayColumns(rows.array[:3])
    if not np.array_equal(truth[:3, :3], kernels.stream_intersections(few, impl="numpy")[0]):
        raise SystemExit("error: the kernel counts wrongly; nothing was timed")
    checked = {"streamed": lambda: streamed(1), "count_overlaps": whole}
    if options.zarr:
        checked["through Zarr"] = through_zarr
    for name, call in checked.items():
        if not np.array_equal(call(), truth):
            raise SystemExit(f"error: {name} counts wrongly; nothing was timed")
    one = {COUNTING: lambda: alone(1), "blocks read from the store": lambda: streamed(1)}
    if options.zarr:
        one["blocks read through Zarr"] = through_zarr
    timings = harness.interleave(one, options.rounds, budget_s=120, clock=time.process_time)
    results = summarise(timings, 1)
    every = {COUNTING: lambda: alone(None), "count_overlaps, open to result": whole}
    results += summarise(harness.interleave(every, options.rounds, budget_s=90), "all")
    memory = harness.peak_rss(MEMORY_SETUP, MEMORY_STATEMENT, [str(path)])
    squeezed = harness.interleave({"never": lambda: kernels.stream_intersections(rows, threads=1, squeeze=False)}, 1)
    parameters = {"rows": options.rows, "bits": options.bits, "bytes": 8 * rows.rows * rows.words, **memory}
    parameters |= {"result_mib": truth.nbytes / 2**20, "every_column_s": squeezed["never"].median_s}
    return results, parameters


COUNTING = "counting alone, rows in memory"


class ZarrColumns:
    """Rows that are read through Zarr's own interface."""

    def __init__(self, path: Path, rows: int) -> None:
        import zarr

        self._array = zarr.open_array(path, path="subnetworks", mode="r")
        self.rows, self.words = rows, self._array.shape[-1]

    def read(self, start: int, stop: int, out: np.ndarray) -> None:
        """Fill `out` with a block of columns."""
        out[...] = self._array[0, 0, : self.rows, start:stop]


def summarise(timings: dict[str, harness.Timing], threads: int | str) -> list[dict[str, Any]]:
    base = timings[COUNTING].median_s
    return [
        {
            "contestant": name,
            "threads": threads,
            "of_counting": timing.median_s / base,
            **harness.timing_fields(timing),
        }
        for name, timing in timings.items()
    ]


if __name__ == "__main__":
    main()
