"""Selection and packing of the largest 15 % of many values: the kernel of this package and other programs.

    python benchmarks/bench_threshold.py --values 85054464 -o threshold.json

There are two kinds of values: squares of normal numbers with a scale for each tensor, as Fisher values are, and the
same values with nine in ten set to zero. The values are in tensors with the sizes of a transformer. Contestants that
need one array get the array of which the tensors are views. No contestant therefore has to join tensors. *Read* is
`numpy.max` over that array. Every contestant returns packed bits, which are compared with those of a partition before
the timing.

Memory is the peak of a fresh process above the values, including the packed result. It is measured only for the
kernel of this package, because the other contestants make at least one copy of the values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np

import xsns_kernels as kernels
from xsns_kernels.quantiles import estimate_kth

DENSITY = 0.15
READ, OURS = "read", "top_bits, 1 thread"
KINDS = ("squares", "90 % zeros")
#: Sizes of the matrices, norms and biases of a layer of width 768, in thousandths of the layer.
LAYER = (83.2, 0.11, 83.2, 0.11, 83.2, 0.11, 83.2, 0.11, 0.11, 0.11, 332.8, 0.43, 332.8, 0.11, 0.11, 0.11)
LAYERS = 12
#: One in this number of values may differ from sorting, for estimates and for thresholds between two values.
ONE_IN = {"histogram": 1_000, "percentile + packbits": 100_000}

Contestant = Callable[[], np.ndarray]

MEMORY_SETUP = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
from bench_threshold import rank, values_of
import numpy as np
import xsns_kernels as kernels
kernels.top_bits(np.linspace(0, 1, 100_000, dtype=np.float32), 15_000)
values, pieces = values_of(int(sys.argv[2]), sys.argv[3])
# Freed memory that the process still holds would be reused without being counted.
ctypes.CDLL(None).malloc_trim(0)
"""


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--values", type=int, default=85_054_464, help="P (85,054,464: XLM-R base)")
    parser.add_argument("--slow", action="store_true", help="also run torch.kthvalue, which takes seconds")
    options = parser.parse_args()
    if options.smoke:
        options.values, options.rounds, options.slow = 200_003, 2, True
    results = []
    for kind in KINDS:
        results += measure(kind, options.values, options.rounds, options.slow)
    print(f"P = {options.values:,} values, float32; the largest {DENSITY:.0%}.\n")
    columns = ("kind", "contestant", "median_ms", "of_read", "times_slower", "extra_mib")
    harness.print_table(columns, [[row[column] for column in columns] for row in results])
    parameters = {"values": options.values, "density": DENSITY, "dtype": "float32"}
    harness.write(options.output, harness.result("threshold", parameters, results, options.smoke))


def measure(kind: str, count: int, rounds: int, slow: bool) -> list[dict[str, Any]]:
    values, tensors = values_of(count, kind)
    everybody = contestants(values, tensors, slow)
    check(everybody, values)
    timings = harness.interleave({READ: lambda: np.max(values), **everybody}, rounds)
    return [
        {
            "kind": kind,
            "contestant": name,
            "median_ms": timing.median_s * 1e3,
            "of_read": timing.median_s / timings[READ].median_s,
            "times_slower": timing.median_s / timings[OURS].median_s,
            "extra_mib": extra_memory(name, count, kind),
            **harness.timing_fields(timing),
        }
        for name, timing in timings.items()
    ]


def values_of(count: int, kind: str) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the values, float32 [count], and the tensors that are views of them."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(count, np.float32)
    np.square(values, out=values)
    shares = np.cumsum(LAYER * LAYERS)
    tensors = np.split(values, (shares / shares[-1] * count).astype(int)[:-1])
    for tensor in tensors:
        np.multiply(tensor, np.float32(10.0 ** rng.uniform(-6, -2)), out=tensor)
        if kind == "90 % zeros":
            np.multiply(tensor, rng.random(tensor.size, np.float32) < 0.1, out=tensor)
    return values, tensors


def contestants(values: np.ndarray, tensors: Sequence[np.ndarray], slow: bool) -> dict[str, Contestant]:
    k = rank(values)
    functions: dict[str, Contestant] = {
        OURS: lambda: kernels.top_bits(tensors, k, threads=1)[0],
        "top_bits, 2 threads": lambda: kernels.top_bits(tensors, k, threads=2)[0],
        "kth_largest + threshold_bits": lambda: by_two_passes(tensors, k),
        "histogram": lambda: by_histogram(tensors, k),
        "np.partition + packbits": lambda: by_partition(values, k),
        "percentile + packbits": lambda: by_percentile(values),
    }
    if slow:
        functions["torch.kthvalue"] = lambda: by_torch(values, k)
    return functions


def rank(values: np.ndarray) -> int:
    return int(DENSITY * values.size + 0.5)


def by_two_passes(tensors: Sequence[np.ndarray], k: int) -> np.ndarray:
    return kernels.threshold_bits(tensors, float(kernels.kth_largest(tensors, k)))[0]


def by_histogram(tensors: Sequence[np.ndarray], k: int) -> np.ndarray:
    estimate = estimate_kth(kernels.pattern_histogram(tensors), k, np.float32)
    return kernels.threshold_bits(tensors, estimate.value)[0]


def by_partition(values: np.ndarray, k: int) -> np.ndarray:
    return packed(values, np.partition(values, values.size - k)[values.size - k])


def by_percentile(values: np.ndarray) -> np.ndarray:
    return packed(values, np.percentile(values, (1 - DENSITY) * 100))


def by_torch(values: np.ndarray, k: int) -> np.ndarray:
    import torch

    return packed(values, np.float32(torch.kthvalue(torch.from_numpy(values), values.size - k + 1).values))


def packed(values: np.ndarray, threshold: np.floating[Any]) -> np.ndarray:
    """Compare and pack with NumPy; a threshold of zero selects every value except zeros."""
    octets = np.packbits(values >= threshold if threshold > 0 else values > 0, bitorder="little")
    words = np.zeros(-(-values.size // 64) * 8, np.uint8)
    words[: octets.size] = octets
    return words.view(np.uint64)


def check(everybody: dict[str, Contestant], values: np.ndarray) -> None:
    """Stop unless every contestant selects the same values as sorting; the histogram may differ slightly."""
    expected = packed(values, kernels.kth_largest(values, rank(values), impl="numpy"))
    for name, call in everybody.items():
        wrong = kernels.popcount(call() ^ expected)
        if wrong > (values.size // ONE_IN[name] if name in ONE_IN else 0):
            raise SystemExit(f"error: {name} has {wrong} bits wrong; nothing was timed")


def extra_memory(name: str, count: int, kind: str) -> float | None:
    if not name.startswith("top_bits"):
        return None
    statement = f"result = kernels.top_bits(pieces, rank(values), threads={name.split()[1]})"
    arguments = [str(Path(__file__).parent), str(count), kind]
    return harness.peak_rss(MEMORY_SETUP, statement, arguments)["extra_mib"]


if __name__ == "__main__":
    main()
