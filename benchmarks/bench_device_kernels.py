"""Squared products and selection on the device of the gradients: our kernels compared with plain torch.

    python benchmarks/bench_device_kernels.py --device cuda -o device.json

Products: `TFLOP/s` counts the 2 · R · O · I operations of the products over R rows of all examples together. Selection:
K is 15 % of the values; `GB/s` is the size of the values, read once, divided by the whole time, including bits on the
host. `takes_times` is the median divided by that of the first contestant: below 1 the contestant is faster. Contestants
that cannot run on the device are left out, and the output names them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import harness
import numpy as np
import torch
from torch import Tensor

import xsns_kernels as kernels
from xsns_kernels import device as on_device
from xsns_kernels.grouped import add_squared_products

DENSITY = 0.15
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
#: Largest number of values that torch.quantile accepts.
QUANTILE_VALUES = 16_000_000
#: Largest difference from a float64 loop, relative to the largest value.
SLACK = 1e-5

Bits = tuple[np.ndarray, int]
Row = dict[str, Any]


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="device of the tensors (cpu)")
    parser.add_argument(
        "--dtypes", nargs="+", choices=DTYPES, default=[*DTYPES], help="dtypes of the rows (all; on a CPU float32)"
    )
    parser.add_argument("--examples", type=int, default=32, help="N, examples of a call (32)")
    parser.add_argument("--rows", type=int, default=128, help="T, rows of an example (128)")
    parser.add_argument("--values", type=int, default=16_000_000, help="n, values to select from (16,000,000)")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: there is no CUDA device; --device cpu runs without one")
    shapes = [(768, 768), (3072, 768)]
    if options.smoke:
        options.examples, options.rows, options.values, options.rounds = 3, 9, 30_011, 2
        shapes = [(40, 72)]
    device = torch.device(options.device)
    notes = left_out(device, options.values)
    dtypes = options.dtypes if device.type == "cuda" else ["float32"]
    results: list[Row] = []
    for dtype in dtypes:
        for shape in shapes:
            results += products(shape, options.examples, options.rows, dtype, device, options.rounds)
    results += selections(options.values, device, options.rounds)
    print(f"Device: {name_of(device)}. N = {options.examples} examples of T = {options.rows} rows.")
    print(*notes, "", sep="\n")
    columns = ("contestant", "case", "median_ms", "takes_times", "tflop_per_s", "gb_per_s", "off_by")
    harness.print_table(columns, [[row.get(column) for column in columns] for row in results])
    parameters = {key: vars(options)[key] for key in ("device", "examples", "rows", "values")}
    parameters |= {"device_name": name_of(device), "left_out": notes}
    harness.write(options.output, harness.result("device_kernels", parameters, results, options.smoke))


def left_out(device: torch.device, values: int) -> list[str]:
    """Return sentences on the omitted measurements and the reasons."""
    notes = []
    if device.type != "cuda":
        notes.append("Not run: anything on a GPU, the Triton form and half-precision rows; the device is the CPU.")
    elif find_spec("triton") is None:
        notes.append("Not run: the Triton form; Triton is not installed.")
    if values > QUANTILE_VALUES:
        notes.append(f"Not run: torch.quantile, which takes at most {QUANTILE_VALUES:,} values.")
    return notes


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else harness.machine()["cpu"]


def products(
    shape: tuple[int, int], examples: int, rows: int, dtype: str, device: torch.device, rounds: int
) -> list[Row]:
    """Return the times of the products for one shape of a weight and one dtype; all examples have the same length."""
    generator = torch.Generator().manual_seed(0)
    G, A = (torch.randn(examples * rows, size, generator=generator).to(device, DTYPES[dtype]) for size in shape)
    segments = torch.arange(examples + 1) * rows
    F = torch.zeros(shape, device=device)
    contestants = {"torch form": lambda: add_squared_products(F, G, A, segments, impl="torch")}
    if device.type == "cuda" and find_spec("triton"):
        contestants["triton form"] = lambda: add_squared_products(F, G, A, segments, impl="triton")
    contestants["bmm in float32, then square"] = lambda: F.add_(batched(G.float(), A.float(), examples))
    if device.type == "cuda" and dtype != "float32":
        contestants[f"bmm in {dtype}, then square"] = lambda: F.add_(batched(G, A, examples))
    check_products(contestants, F, G, A, segments)
    timings = harness.interleave(synchronised(contestants, device), rounds)
    work = 2 * len(G) * shape[0] * shape[1] / 1e12
    case = f"{shape[0]} x {shape[1]}, {dtype}"
    return [{**timed(name, case, timings), "tflop_per_s": work / timing.median_s} for name, timing in timings.items()]


def batched(G: Tensor, A: Tensor, examples: int) -> Tensor:
    """Return the sum over examples of the squared products, [O, I].

    The products Gᵀ A of all N examples, [N, O, I], are in memory at once, rounded to the dtype of the rows.
    """
    left, right = (rows.view(examples, -1, rows.shape[1]) for rows in (G, A))
    return torch.bmm(left.mT, right).float().square_().sum(dim=0)


def check_products(
    contestants: dict[str, Callable[[], object]], F: Tensor, G: Tensor, A: Tensor, segments: Tensor
) -> None:
    """Stop unless each contestant agrees with a float64 loop; products in half precision are not compared."""
    truth = torch.zeros_like(F, dtype=torch.float64)
    for start, stop in pairwise(segments.tolist()):
        truth += (G[start:stop].double().t() @ A[start:stop].double()).square_()
    for name, call in contestants.items():
        F.zero_()
        call()
        error = float((F - truth).abs().max() / truth.max())
        if error > (2e-2 if name.startswith(("bmm in float16", "bmm in bfloat16")) else SLACK):
            raise SystemExit(f"error: {name} is wrong by {error:.1e} of the largest value; nothing was timed")


def selections(count: int, device: torch.device, rounds: int) -> list[Row]:
    """Return the times of selecting the top 15 % of `count` values in tensors of odd sizes.

    The results of the selections are packed bits on the host.
    """
    rng = np.random.default_rng(0)
    values = rng.standard_normal(count, np.float32) ** 2 * np.exp(3 * rng.standard_normal(count, np.float32))
    k = max(1, round(DENSITY * count))
    parts = [torch.from_numpy(part).to(device) for part in np.split(values, (count // 7, count // 3, count // 2))]
    contestants: dict[str, Callable[[], Bits]] = {
        "select on the device": lambda: on_device.threshold_bits(parts, float(on_device.kth_largest(parts, k))),
        "copy to the host, Numba": lambda: on_the_host(parts, k),
        "torch.topk": lambda: packed(parts, torch.topk(torch.cat(parts), k, sorted=False).values.min()),
    }
    if count <= QUANTILE_VALUES:
        share = (count - k) / (count - 1)
        contestants["torch.quantile"] = lambda: packed(
            parts, torch.quantile(torch.cat(parts), share, interpolation="nearest")
        )
    off_by = check_selections(contestants, values, k)
    timings = harness.interleave(synchronised(contestants, device), rounds)
    return [
        {
            **timed(name, f"{count:,} values", timings),
            "gb_per_s": values.nbytes / 1e9 / timing.median_s,
            "off_by": off_by[name],
        }
        for name, timing in timings.items()
    ]


def on_the_host(parts: list[Tensor], k: int) -> Bits:
    copies = [part.cpu().numpy() for part in parts]
    return kernels.threshold_bits(copies, float(kernels.kth_largest(copies, k)))


def packed(parts: list[Tensor], threshold: Tensor) -> Bits:
    """Compare on the device, copy one byte for each value, and pack on the host."""
    flags = (torch.cat(parts) >= threshold).cpu().numpy()
    return kernels.pack_bits(flags), int(flags.sum())


def check_selections(contestants: dict[str, Callable[[], Bits]], values: np.ndarray, k: int) -> dict[str, int]:
    """Return the number of wrong bits of each contestant.

    Only torch.quantile may have wrong bits, fewer than one in 1,000: it computes ranks in float32, which cannot
    distinguish all of them. Otherwise the program stops.
    """
    words, _ = kernels.threshold_bits(values, float(kernels.kth_largest(values, k, impl="numpy")), impl="numpy")
    off_by = {name: kernels.popcount(call()[0] ^ words) for name, call in contestants.items()}
    for name, wrong in off_by.items():
        if wrong > (values.size // 1000 if name == "torch.quantile" else 0):
            raise SystemExit(f"error: {name} has {wrong} bits wrong; nothing was timed")
    return off_by


def synchronised(contestants: dict[str, Callable[[], Any]], device: torch.device) -> dict[str, Callable[[], None]]:
    """Return the contestants with a wait for the device after each call.

    Without it, a call returns before its kernels have finished.
    """

    def wait_for(call: Callable[[], Any]) -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return {name: lambda call=call: wait_for(call) for name, call in contestants.items()}


def timed(name: str, case: str, timings: dict[str, harness.Timing]) -> Row:
    first = next(iter(timings.values()))
    timing = timings[name]
    return {
        "contestant": name,
        "case": case,
        "median_ms": timing.median_s * 1e3,
        "takes_times": timing.median_s / first.median_s,
        **harness.timing_fields(timing),
    }


if __name__ == "__main__":
    main()
