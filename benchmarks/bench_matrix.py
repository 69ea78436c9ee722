"""Overlap counts of all pairs of packed rows: our kernel, the limit of a core, and other programs.

    python benchmarks/bench_matrix.py --rows 64 --bits 10000000 -o matrix.json
    python benchmarks/bench_matrix.py --store cldr.zarr -o matrix-real.json

Rows are independent random bits, for which the kernel can leave out no column, or the rows of a store. GB/s is the size
of one packed row for each of the L(L+1)/2 pairs, diagonal included. Seconds are processor time, because other programs
may share the cores; one thread and two threads are also compared in wall-clock time. Two C programs run AND + popcount
+ ADD on one core: *registers* has its operands in registers and loads nothing, so that only the ports of the processor
limit it; *first-level cache* loads its operands as the kernel does. *Limit* is the faster of the two. The rate of
contestants that count only the pairs above the diagonal also includes the diagonal.
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np

import xsns_kernels as kernels

DENSITY = 0.15

OURS = "ours, 1 thread"
TORCH_ROWS = 32

Counter = Callable[[], np.ndarray]

# 4 x 4 rows of 512 words take 36 KB; the first-level caches have 32 or 48 KB. With REGISTERS, the operands are loaded
# once; the empty assembly tells the compiler that they may have changed, so that no AND is moved out of the loop. The
# program prints GB/s of its own loop.
LIMIT_PROGRAM = r"""
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
enum { WORDS = 512, STRIDE = WORDS + 8 };
#ifdef REGISTERS
#define OPERAND(v, address) __asm__ volatile("" : "+v"(v))
#else
#define OPERAND(v, address) v = _mm512_load_si512(address)
#endif
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}
int main(int argc, char **argv) {
    long repeats = argc > 1 ? atol(argv[1]) : 1;
    uint64_t *rows = aligned_alloc(64, 8 * STRIDE * sizeof *rows), total = 0;
    for (int i = 0; i < 8 * STRIDE; i++) rows[i] = i * 0x9E3779B97F4A7C15ull;
    double start = now();
    for (long repeat = 0; repeat < repeats; repeat++) {
        __m512i sums[4][4], left[4], right[4];
        for (int i = 0; i < 16; i++) sums[i / 4][i % 4] = _mm512_setzero_si512();
        for (int i = 0; i < 4; i++) {
            left[i] = _mm512_load_si512(rows + i * STRIDE);
            right[i] = _mm512_load_si512(rows + (4 + i) * STRIDE);
        }
        for (int w = 0; w < WORDS; w += 8) {
            for (int i = 0; i < 4; i++) OPERAND(left[i], rows + i * STRIDE + w);
            for (int j = 0; j < 4; j++) {
                OPERAND(right[j], rows + (4 + j) * STRIDE + w);
                for (int i = 0; i < 4; i++)
                    sums[i][j] = _mm512_add_epi64(
                        sums[i][j], _mm512_popcnt_epi64(_mm512_and_si512(left[i], right[j])));
            }
        }
        for (int i = 0; i < 16; i++) total += _mm512_reduce_add_epi64(sums[i / 4][i % 4]);
    }
    double seconds = now() - start;
    fprintf(stderr, "%llu\n", (unsigned long long)total);
    printf("%.4f\n", repeats * 16.0 * WORDS * 8 / 1e9 / seconds);
    return 0;
}
"""

#: Name of a C loop in the results → options of the compiler.
LIMITS = {"loop in registers": ["-DREGISTERS"], "loop over the first-level cache": []}


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=64, help="L, number of packed rows (64)")
    parser.add_argument("--bits", type=int, default=10_000_000, help="P, bits of a row (10,000,000)")
    parser.add_argument("--slow-rows", type=int, default=8, help="number of rows for slow contestants (8)")
    parser.add_argument("--store", help="use the rows of this store")
    parser.add_argument("--only-ours", action="store_true", help="run only our kernel and the limits")
    options = parser.parse_args()
    if options.smoke:
        options.rows, options.bits, options.slow_rows, options.rounds = 9, 100_003, 5, 2
    rows, bits = (
        stored_rows(options.store) if options.store else (random_rows(options.rows, options.bits), options.bits)
    )
    few = rows[: options.slow_rows]
    fast, slow = ours(rows), {}
    if not options.only_ours:
        fast |= peers({"numkong": numkong_symmetric}, rows, bits)
        loops = {"simsimd": simsimd_pairs, "pyroaring": pyroaring_pairs, "faiss": faiss_hamming}
        slow = {**references(few), **peers(loops, few, bits)}
    inputs = {**dict.fromkeys(fast, rows), **dict.fromkeys(slow, few)}
    if slow:
        # An 8-bit product needs more than 16 rows.
        inputs["torch"] = rows[:TORCH_ROWS]
        slow |= peers({"torch": torch_product}, inputs["torch"], bits)
    check({**fast, **slow}, rows)
    with tempfile.TemporaryDirectory(prefix="xsns-limit-") as folder:
        programs, note = build_limits(Path(folder))
        limits: dict[str, list[float]] = {name: [] for name in programs}
        repeats = 1_000 if options.smoke else 40_000
        loops_in_c = {name: limit_of(program, limits[name], repeats) for name, program in programs.items()}
        contestants = {**fast, **slow, **loops_in_c}
        timings = harness.interleave(contestants, options.rounds, budget_s=150, clock=time.process_time)
    results = summarise(timings, inputs, limits)
    print(f"L = {len(rows)} rows of {bits:,} bits; slow contestants: L = {len(few)}.\n{note}\n")
    columns = (
        "contestant",
        "rows",
        "median_ms",
        "gb_per_s",
        "times_slower",
        "of_limit",
        "best_of_limit",
        "of_registers",
    )
    harness.print_table(columns, [[row[column] for column in columns] for row in results])
    walls = harness.interleave(with_threads(rows), options.rounds)
    faster = walls["1 thread"].median_s / walls["2 threads"].median_s
    print(f"\nspeed-up of two threads in wall-clock time: {faster:.2f}")
    parameters = {"rows": len(rows), "bits": bits, "slow_rows": len(few), "limit": note, "store": bool(options.store)}
    parameters |= {"two_threads_faster": faster, "columns": columns_in_use(rows, bits)}
    harness.write(options.output, harness.result("matrix", parameters, results, options.smoke))


def random_rows(count: int, bits: int) -> np.ndarray:
    """Return independent random bits, uint64 [L, W]."""
    rng = np.random.default_rng(0)
    return np.stack([kernels.pack_bits(rng.random(bits, np.float32) < DENSITY) for _ in range(count)])


def stored_rows(path: str) -> tuple[np.ndarray, int]:
    """Return the rows of a store's first seed and density, uint64 [L, W], and P."""
    from xsns_stream import open_store

    store = open_store(path)
    seed, density = store.seeds[0], store.densities[0]
    return store.rows(store.languages_at(seed, density), seed, density), store.layout.size


def columns_in_use(rows: np.ndarray, bits: int) -> dict[str, float]:
    """Return the shares of the columns that at least one row, at least two rows, and all rows have."""
    once, twice, every = np.zeros_like(rows[0]), np.zeros_like(rows[0]), ~np.zeros_like(rows[0])
    for row in rows:
        twice |= once & row
        once |= row
        every &= row
    shares = {"in_one": once, "in_two": twice, "in_all": every}
    return {name: kernels.popcount(words) / bits for name, words in shares.items()}


def ours(rows: np.ndarray) -> dict[str, Counter]:
    columns = kernels.ArrayColumns(rows)
    return {
        name: lambda squeeze=squeeze: kernels.stream_intersections(columns, threads=1, squeeze=squeeze)[0]
        for name, squeeze in ((OURS, None), ("ours, every column counted", False))
    }


def with_threads(rows: np.ndarray) -> dict[str, Counter]:
    return {
        f"{threads} thread{'s' if threads > 1 else ''}": lambda threads=threads: kernels.intersection_counts(
            rows, threads=threads
        )
        for threads in (1, 2)
    }


def references(rows: np.ndarray) -> dict[str, Counter]:
    return {
        "numpy bitwise_count, blocked": lambda: numpy_blocked(rows),
        "bitarray count_and": lambda: kernels.intersection_counts(rows, impl="bitarray"),
    }


def numpy_blocked(rows: np.ndarray, words: int = 2048) -> np.ndarray:
    """Count one row against all later rows, over blocks of columns that fit into the cache."""
    counts = np.zeros((len(rows), len(rows)), np.int64)
    for start in range(0, rows.shape[1], words):
        block = rows[:, start : start + words]
        for i in range(len(rows)):
            counts[i, i:] += np.bitwise_count(block[i] & block[i:]).sum(axis=1, dtype=np.int64)
    return symmetric(counts)


def symmetric(counts: np.ndarray) -> np.ndarray:
    return np.triu(counts) + np.triu(counts, 1).T


def peers(makers: dict[str, Callable[..., Counter]], rows: np.ndarray, bits: int) -> dict[str, Counter]:
    """Return the installed contestants that return counts or distances from which counts follow."""
    installed = {name: maker for name, maker in makers.items() if importlib.util.find_spec(name)}
    for name in makers.keys() - installed.keys():
        print(f"{name} is not installed and is left out", file=sys.stderr)
    return {name: maker(rows, bits) for name, maker in installed.items()}


def numkong_symmetric(rows: np.ndarray, bits: int) -> Counter:
    import numkong

    octets = rows.view(np.uint8)
    sizes = np.array([kernels.popcount(row) for row in rows])
    # Only the upper triangle of the result is defined.
    return lambda: from_jaccard(np.asarray(numkong.jaccards_symmetric(octets, dtype="uint1")), sizes)


def simsimd_pairs(rows: np.ndarray, bits: int) -> Counter:
    import simsimd

    octets = rows.view(np.uint8)
    sizes = np.array([kernels.popcount(row) for row in rows])

    def count() -> np.ndarray:
        distances = np.zeros((len(rows), len(rows)))
        for i in range(len(rows)):
            for j in range(i, len(rows)):
                distances[i, j] = simsimd.jaccard(octets[i], octets[j], "bin8")
        return from_jaccard(distances, sizes)

    return count


def from_jaccard(distances: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the counts of a Jaccard distance: |A ∩ B| = J (|A| + |B|) / (1 + J)."""
    similarity = 1.0 - np.triu(distances).astype(np.float64)
    counts = np.rint(similarity * np.add.outer(sizes, sizes) / (1.0 + similarity)).astype(np.int64)
    np.fill_diagonal(counts, sizes)
    return symmetric(counts)


def pyroaring_pairs(rows: np.ndarray, bits: int) -> Counter:
    from pyroaring import BitMap

    maps = [BitMap(np.flatnonzero(kernels.unpack_bits(row, bits)).astype(np.uint32)) for row in rows]

    def count() -> np.ndarray:
        counts = np.zeros((len(maps), len(maps)), np.int64)
        for i, left in enumerate(maps):
            counts[i, i:] = [left.intersection_cardinality(right) for right in maps[i:]]
        return symmetric(counts)

    return count


def faiss_hamming(rows: np.ndarray, bits: int) -> Counter:
    """Return the counts of all Hamming distances: |A ∩ B| = (|A| + |B| - distance) / 2."""
    import faiss

    faiss.omp_set_num_threads(1)
    octets = np.ascontiguousarray(rows).view(np.uint8)
    sizes = np.array([kernels.popcount(row) for row in rows])
    index = faiss.IndexBinaryFlat(8 * octets.shape[1])
    index.add(octets)

    def count() -> np.ndarray:
        distances, order = index.search(octets, len(rows))
        counts = np.zeros((len(rows), len(rows)), np.int64)
        np.put_along_axis(counts, order, distances, axis=1)
        return (np.add.outer(sizes, sizes) - counts) // 2

    return count


def torch_product(rows: np.ndarray, bits: int) -> Counter:
    """Return 8-bit products of unpacked bits; the unpacking is not timed."""
    import torch

    torch.set_num_threads(1)
    unpacked = np.zeros((max(TORCH_ROWS, len(rows)), 64 * rows.shape[1]), np.int8)
    unpacked[: len(rows)] = np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1)
    blocks = [torch.from_numpy(block.copy()) for block in np.split(unpacked, range(2**16, unpacked.shape[1], 2**16), 1)]

    def count() -> np.ndarray:
        counts = sum(torch._int_mm(block, block.t()).to(torch.int64) for block in blocks)
        return counts.numpy()[: len(rows), : len(rows)]

    return count


def check(contestants: dict[str, Counter], rows: np.ndarray) -> None:
    """Exit unless all counts equal those of NumPy; float32 distances may have rounding errors."""
    truth = numpy_blocked(rows)
    for name, call in contestants.items():
        counts = call()
        expected = truth[: len(counts), : len(counts)]
        slack = 1e-5 * expected.max() if name in ("numkong", "simsimd") else 0
        if np.abs(counts - expected).max() > slack:
            raise SystemExit(f"error: {name} returns wrong counts; nothing was timed")


def build_limits(folder: Path) -> tuple[dict[str, Path], str]:
    """Return the compiled C loops, and a sentence about them; no loop if it cannot be compiled or run here."""
    compiler = shutil.which("cc")
    if compiler is None:
        return {}, "Limit: not measured, there is no C compiler."
    if "avx512_vpopcntdq" not in harness.cpu_flags():
        return {}, "Limit: not measured, the processor has no AVX-512 VPOPCNTDQ."
    source, programs = folder / "limit.c", {}
    source.write_text(LIMIT_PROGRAM, encoding="utf-8")
    for name, flags in LIMITS.items():
        programs[name] = folder / f"limit-{len(programs)}"
        command = [compiler, "-O3", "-march=native", *flags, str(source), "-o", str(programs[name])]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return {}, "Limit: not measured, the C program does not compile here."
    return programs, "Limit: the faster of two hand-written C loops, one core."


def limit_of(program: Path, speeds: list[float], repeats: int) -> Callable[[], object]:
    """Return a C loop as a contestant that records the GB/s of its own loop."""

    def call() -> None:
        command = [str(program), str(repeats)]
        speeds.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

    return call


def summarise(
    timings: dict[str, harness.Timing], inputs: dict[str, np.ndarray], limits: dict[str, list[float]]
) -> list[dict[str, Any]]:
    """Return rows of results from seconds; contestants are compared by bytes of a pair per second.

    `of_limit` compares medians. `best_of_limit` compares the best rounds of both, which is more reliable if other
    programs share the cores. `of_registers` compares medians with the loop in registers.
    """
    work = {name: len(rows) * (len(rows) + 1) / 2 * rows.shape[1] * 8 / 1e9 for name, rows in inputs.items()}
    base = work[OURS] / timings[OURS].median_s
    medians = {name: statistics.median(speeds) for name, speeds in limits.items()}
    limit, best_limit = max(medians.values(), default=None), max((max(s) for s in limits.values()), default=None)
    registers = medians.get("loop in registers")
    results = []
    for name, gigabytes in work.items():
        speed, best = gigabytes / timings[name].median_s, gigabytes / timings[name].best_s
        results.append(
            {
                "contestant": name,
                "rows": len(inputs[name]),
                "median_ms": timings[name].median_s * 1e3,
                **_rates(speed, best, base, limit, best_limit, registers),
                **harness.timing_fields(timings[name]),
            }
        )
    for name, speeds in limits.items():
        rates = _rates(medians[name], max(speeds), base, limit, best_limit, registers)
        results.append({"contestant": name, "rows": None, "median_ms": None, **rates})
    return results


def _rates(
    speed: float, best: float, base: float, limit: float | None, best_limit: float | None, registers: float | None
) -> dict[str, float | None]:
    return {
        "gb_per_s": speed,
        "times_slower": base / speed,
        "of_limit": speed / limit if limit else None,
        "best_of_limit": best / best_limit if best_limit else None,
        "of_registers": speed / registers if registers else None,
    }


if __name__ == "__main__":
    main()
