"""Time and memory of the nearest-token search of NN-Rank: blocks from a file, the exact index of faiss, one product.

    python benchmarks/bench_baselines.py --languages 4 --tokens 4000 -o baselines.json

The token states are synthetic, with a centre for each language; k = 5 nearest by inner product among all other
languages. The shares of all contestants are compared before the timing. Memory is the peak of a fresh process above its
memory before the search, including the states. The search of this package reads the states from a mapped file; the
other contestants need them in one array.

Every contestant has one thread, unless OMP_NUM_THREADS is set.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import harness
import numpy as np

from xsns_stream.baselines.nearest_tokens import TokenStates, neighbour_shares

OURS, FAISS, NAIVE = "blocks, from a file", "faiss IndexFlatIP", "all products at once"
K = 5
#: Tolerance for the shares, because rounding may change a near tie between two tokens.
DIFFERENT_TOKENS = 2e-3

MEMORY_SETUP = """
import os, sys
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, sys.argv[1])
import bench_baselines as bench
bench.warm_up()
"""
MEMORY_STATEMENT = "bench.search(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))"


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--languages", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=4000, help="tokens of each language")
    parser.add_argument("--width", type=int, default=768, help="D (768: XLM-R base)")
    options = parser.parse_args()
    if options.smoke:
        options.tokens, options.width, options.rounds = 300, 32, 1
    sizes = (options.languages, options.tokens, options.width)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), sizes, options.rounds)
    print(f"{options.languages} languages × {options.tokens:,} tokens × {options.width}, float32; k = {K}.\n")
    columns = ("contestant", "median_s", "times_ours", "extra_mib")
    harness.print_table(columns, [[row[column] for column in columns] for row in results])
    parameters = {"languages": options.languages, "tokens": options.tokens, "width": options.width, "k": K}
    harness.write(options.output, harness.result("baselines", parameters, results, options.smoke))


def measure(folder: Path, sizes: tuple[int, int, int], rounds: int) -> list[dict[str, Any]]:
    path = write_states(folder / "states", *sizes)
    everybody = contestants()
    check({name: call(path, *sizes) for name, call in everybody.items()}, sizes[1])
    timings = harness.interleave(
        {name: lambda call=call: call(path, *sizes) for name, call in everybody.items()}, rounds, budget_s=25
    )
    here = str(Path(__file__).parent)
    return [
        {
            "contestant": name,
            "times_ours": timing.median_s / timings[OURS].median_s,
            "extra_mib": harness.peak_rss(MEMORY_SETUP, MEMORY_STATEMENT, [here, name, str(path), *map(str, sizes)])[
                "extra_mib"
            ],
            **harness.timing_fields(timing),
        }
        for name, timing in timings.items()
    ]


def write_states(path: Path, languages: int, tokens: int, width: int) -> Path:
    """Write token states of languages that overlap, and return the path.

    The centres of two languages are a third as far apart as the tokens of a language are from its centre.
    """
    rng = np.random.default_rng(0)
    file = TokenStates(path, width)
    for language in range(languages):
        centre = rng.standard_normal(width) / 3
        file.add(str(language), (centre + rng.standard_normal((tokens, width))).astype(np.float32))
    file.close()
    return path


def contestants() -> dict[str, Callable[..., np.ndarray]]:
    functions: dict[str, Callable[..., np.ndarray]] = {OURS: in_blocks}
    if harness.version("faiss-cpu") is not None:
        functions[FAISS] = by_faiss
    functions[NAIVE] = at_once
    return functions


def search(name: str, path: str, languages: int, tokens: int, width: int) -> np.ndarray:
    return contestants()[name](Path(path), languages, tokens, width)


def in_blocks(path: Path, languages: int, tokens: int, width: int) -> np.ndarray:
    everything = np.memmap(path, np.float32, "r", shape=(languages, tokens, width))
    codes = tuple(map(str, range(languages)))
    return neighbour_shares(dict(zip(codes, everything, strict=True)), codes, codes, k=K)


def by_faiss(path: Path, languages: int, tokens: int, width: int) -> np.ndarray:
    """Return the shares of the nearest tokens, from a faiss index for each target, as the authors of NN-Rank do.

    The index of a target contains the tokens of all other languages.
    """
    import faiss

    faiss.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    everything = np.fromfile(path, np.float32).reshape(languages, tokens, width)

    def nearest(target: int) -> np.ndarray:
        index = faiss.IndexFlatIP(width)
        index.add(np.delete(everything, target, axis=0).reshape(-1, width))
        return index.search(everything[target], K)[1]

    return shares(nearest, languages, tokens)


def at_once(path: Path, languages: int, tokens: int, width: int) -> np.ndarray:
    everything = np.fromfile(path, np.float32).reshape(languages, tokens, width)

    def nearest(target: int) -> np.ndarray:
        products = everything[target] @ np.delete(everything, target, axis=0).reshape(-1, width).T
        return np.argpartition(-products, K, axis=1)[:, :K]

    return shares(nearest, languages, tokens)


def shares(nearest: Callable[[int], np.ndarray], languages: int, tokens: int) -> np.ndarray:
    result = np.full((languages, languages), np.nan)
    for target in range(languages):
        others = np.delete(np.arange(languages), target)
        result[others, target] = np.bincount((nearest(target) // tokens).ravel(), minlength=languages - 1) / (
            tokens * K
        )
    return result


def check(results: dict[str, np.ndarray], tokens: int) -> None:
    """Stop unless all contestants give the same shares, except near ties that depend on rounding."""
    for name, values in results.items():
        allowed = max(DIFFERENT_TOKENS, 2 / (tokens * K))
        if not np.allclose(values, results[OURS], rtol=0, atol=allowed, equal_nan=True):
            raise SystemExit(
                f"error: the shares of {name} are wrong by up to {np.nanmax(np.abs(values - results[OURS])):.2g}"
            )


def warm_up() -> None:
    """Load and run the libraries of every contestant once, so that their memory is not measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_states(Path(folder) / "states", 2, 16, 8)
        for call in contestants().values():
            call(path, 2, 16, 8)


if __name__ == "__main__":
    main()
