"""The Fisher engine against other ways to the same values: time, memory, precision, threads.

Values come first: the engine and every peer are compared with a loop over single examples (`error`: the largest, over
tensors, relative to the tensor's largest value) before anything is timed. Then, interleaved on the same batches:

* `engine`: one `add`, accumulators in place (`opening` is what allocating them costs, once a language);
* `plain, θ`: an ordinary forward and backward with gradients of θ alone and the head on the scored positions alone:
  the least that any gradient method pays; `plain, all`: every gradient, all logits: a training step;
* `single examples`: a loop over them without padding, squares added in a hook;
* `torch.func vmap`, `Opacus`, `BackPACK`: see `fisher_peers.py`.

Times are the processor's, not the clock's (see `fisher_cases.interleave`). Run one thread pinned to one core
(`OMP_NUM_THREADS=1 taskset -c 1 …`), but `threads` without pinning.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import torch
from fisher_cases import (
    TOLERANCE,
    Batches,
    SingleExamples,
    batch_of,
    compared,
    full_loss,
    interleave,
    largest_error,
    plain,
    ragged_batches,
    reference,
    wide_model,
)
from fisher_memory import head, memory
from fisher_peers import PEERS, installed
from fisher_variants import compiled, device, precision

import xsns_stream as xs
from xsns_stream.fisher.engine import Engine

SECTIONS = ("speed", "ragged", "head", "memory", "precision", "threads", "compile")
#: (contestant, positions) → the engine's time over the contestant's that was aimed at.
TARGETS = {
    ("plain, θ", 128): 1.10,
    ("plain, θ", 32): 1.25,
    ("single examples", 128): 0.75,
    ("single examples", 32): 0.5,
    ("torch.func vmap", 128): 0.7,
    ("torch.func vmap", 32): 0.45,
    ("Opacus", 128): 0.5,
    ("Opacus", 32): 0.3,
    ("BackPACK", 128): 0.45,
    ("BackPACK", 32): 0.25,
}
RAGGED_TARGET = 0.55
THREADS = "threads-worker"


def speed(model: Any, positions: int, examples: int, rounds: int) -> list[dict[str, Any]]:
    """Time everybody on one batch of equal lengths."""
    batch = batch_of([positions] * examples)
    layout = xs.parameter_layout(model)
    expected = reference(model, [batch], layout)
    errors: dict[str, float] = {}
    left_out: dict[str, str] = {}
    with Engine(model, layout) as engine:
        other = wide_like(model)
        single = SingleExamples(other, [batch], layout)
        calls: dict[str, Callable[[], object]] = {
            "engine": lambda: engine.add(batch),
            "opening": lambda: opened(layout, other),
            "plain, θ": plain(other, [batch], layout.names),
            "plain, all": plain(other, [batch], None, full_loss),
            "single examples": single,
        }
        computing: dict[str, Any] = {"engine": engine, "single examples": single}
        for name, (peer, _) in PEERS.items():
            if not installed(name):
                print(f"{name} is not installed, and is skipped")
                continue
            calls[name] = computing[name] = peer(wide_like(model), batch, layout)
            left_out[name] = peer.leaves_out
        for call in calls.values():
            call()
        for name, method in computing.items():
            errors[name] = largest_error(method.sums, expected)
            assert errors[name] <= TOLERANCE, f"{name} is off by {errors[name]:.1e}"
        timings = interleave(calls, rounds)
    rows = compared("speed", timings, "engine", {name: TARGETS.get((name, positions)) for name in timings})
    for row in rows:
        name = row["contestant"]
        row |= {
            "positions": positions,
            "examples": examples,
            "error": errors.get(name),
            "leaves_out": left_out.get(name, ""),
        }
    return rows


def wide_like(model: Any) -> Any:
    """Return another model with the same weights."""
    other = type(model)(copy.deepcopy(model.config)).eval()
    other.load_state_dict(model.state_dict())
    return other


def opened(layout: xs.ParameterLayout, model: Any) -> None:
    """Open an engine and touch every accumulator, as the first batch of a language does."""
    with Engine(model, layout) as engine:
        for total in engine.sums.values():
            total.add_(1.0)


def ragged(model: Any, smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Time the engine on batches sorted by length against the loop over the same texts."""
    batches: Batches = ragged_batches(8 if smoke else 40, 16 if smoke else 128, 4 if smoke else 8)
    layout = xs.parameter_layout(model)
    examples = sum(len(batch["input_ids"]) for batch in batches)
    real = sum(int(batch["attention_mask"].sum()) for batch in batches)
    padded = sum(batch["input_ids"].numel() for batch in batches)
    single = SingleExamples(wide_like(model), batches, layout)
    with Engine(model, layout) as engine:

        def all_batches() -> None:
            for batch in batches:
                engine.add(batch)

        all_batches()
        single()
        error = largest_error(engine.sums, single.sums)
        assert error <= TOLERANCE, f"the engine is off by {error:.1e}"
        step = plain(single.model, batches, layout.names)
        timings = interleave({"engine": all_batches, "single examples": single, "plain, θ": step}, rounds)
    rows = compared("ragged", timings, "engine", {"single examples": RAGGED_TARGET})
    for row in rows:
        row |= {"error": error, "examples": examples, "real_positions": real, "padded_positions": padded}
    return rows


def threads(layers: int, smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Time engine and plain step with one and two threads, each in a process of its own."""
    rows: list[dict[str, Any]] = []
    for count in (1, 2):
        command = [sys.executable, __file__, "--only", THREADS, "--layers", str(layers), "--rounds", str(rounds)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(count), "MKL_NUM_THREADS": str(count)}
        finished = subprocess.run(
            command + ["--smoke"] * smoke, env=environment, check=True, capture_output=True, text=True
        )
        rows += [row | {"threads": count} for row in json.loads(finished.stdout.splitlines()[-1])]
    return rows


def _threads_worker(model: Any, smoke: bool, rounds: int) -> None:
    batch, layout = batch_of([16 if smoke else 128] * 8), xs.parameter_layout(model)
    with Engine(model, layout) as engine:
        calls = {"engine": lambda: engine.add(batch), "plain, θ": plain(wide_like(model), [batch], layout.names)}
        for call in calls.values():
            call()
        timings = interleave(calls, rounds)
    rows = compared("threads", timings, "engine", {})
    for row in rows:
        # With several threads only the clock tells.
        row["engine_over"] = timings["engine"]["clock_median_s"] / row["clock_median_s"]
    print(json.dumps(rows))


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print timed rows."""
    print(f"\n{title}")
    harness.print_table(
        ["contestant", "threads", "ms", "best", "clock", "error", "engine takes ×", "of bests", "target"],
        [
            [
                row["contestant"],
                row.get("threads"),
                row["median_s"] * 1e3,
                row["best_s"] * 1e3,
                row["clock_median_s"] * 1e3,
                row.get("error"),
                *(row.get(key) for key in ("engine_over", "engine_over_best", "target")),
            ]
            for row in rows
        ],
    )


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=[*SECTIONS, THREADS], help="leave the others out")
    parser.add_argument("--layers", type=int, help="blocks of the model at XLM-R's width; 12, or 2 with --smoke")
    parser.add_argument(
        "--device", default="cpu", choices=["cpu", "cuda"], help="cuda: throughput on that device alone"
    )
    options = parser.parse_args()
    smoke, rounds = options.smoke, options.rounds
    layers = options.layers or (2 if smoke else 12)
    if options.device == "cuda":
        rows = device(options.device, smoke, layers, rounds)
    else:
        chosen = options.only or SECTIONS
        model = wide_model(layers, width=48 if smoke else 768)
        if chosen == [THREADS]:
            _threads_worker(model, smoke, rounds)
            return
        rows = run(chosen, model, layers, smoke, rounds)
    parameters = {"rounds": rounds, "layers": layers, "threads": torch.get_num_threads(), "device": options.device}
    parameters |= {"peers": {name: harness.version(name) for name in ("opacus", "backpack-for-pytorch")}}
    harness.write(options.output, harness.result(Path(__file__).stem, parameters, rows, smoke))


def run(chosen: Any, model: Any, layers: int, smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Run the chosen sections in order."""
    rows: list[dict[str, Any]] = []
    if "speed" in chosen:
        for positions in (16,) if smoke else (32, 128):
            rows += (found := speed(model, positions, 2 if smoke else 8, rounds))
            show(f"equal lengths, T = {positions}, {layers} layers", found)
    if "ragged" in chosen:
        rows += (found := ragged(model, smoke, rounds))
        show("texts of different lengths", found)
    if "threads" in chosen:
        rows += (found := threads(layers, smoke, rounds))
        show("threads", found)
    if "head" in chosen:
        rows += head(smoke, rounds)
    if "memory" in chosen:
        rows += memory(smoke, layers, lambda name: name in PEERS and not installed(name))
    if "precision" in chosen:
        rows += precision(smoke)
    if "compile" in chosen:
        rows += compiled(smoke, rounds)
    return rows


if __name__ == "__main__":
    main()
