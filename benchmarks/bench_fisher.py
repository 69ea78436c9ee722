"""Comparison of the Fisher engine with other methods for the same values: time, memory, precision, threads.

First the engine and every other library are compared with a loop over single examples (`error`: the largest error over
tensors, relative to the largest value of the tensor). Then they are timed, interleaved on the same batches:

* `engine`: one `add` with existing accumulators (`opening` is the allocation of the accumulators, once a language);
* `plain, θ`: an ordinary forward and backward pass with gradients of θ only and the head on the scored positions only;
  this is the lower limit for every gradient method. `plain, all`: all gradients and all logits, as in a training step;
* `single examples`: a loop over single examples without padding, with squares added in a hook;
* `torch.func vmap`, `Opacus`, `BackPACK`, `Kronfluence`: other libraries, see `fisher_contestants.py`.

Times are processor times, not wall-clock times (see `fisher_contestants.interleave`). Run one thread pinned to one core
(`OMP_NUM_THREADS=1 taskset -c 1 …`), and `threads` without pinning.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from fisher_contestants import (
    PEERS,
    TOLERANCE,
    Batches,
    SingleExamples,
    batch_of,
    compared,
    full_loss,
    installed,
    interleave,
    largest_error,
    plain,
    ragged_batches,
    reference,
    require_gradients,
    scored_loss,
    wide_model,
)
from fisher_memory import head, memory, share
from torch import Tensor

import xsns_stream as xs
from xsns_stream.fisher.engine import Engine
from xsns_stream.types import FisherSettings

SECTIONS = ("speed", "ragged", "head", "share", "memory", "precision", "threads", "compile")
#: (contestant, positions) → goal: time of the engine divided by that of the contestant.
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
    """Time all contestants on one batch of equal lengths."""
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
                print(f"{name} is not installed and is left out")
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
    """Time the engine on batches sorted by length, and the loop over single examples on the same texts."""
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
    """Time the engine and a plain step with one and two threads, each in a separate process."""
    rows: list[dict[str, Any]] = []
    for count in (1, 2):
        command = [sys.executable, __file__, "--only", THREADS, "--layers", str(layers), "--rounds", str(rounds)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(count), "MKL_NUM_THREADS": str(count)}
        completed = subprocess.run(
            command + ["--smoke"] * smoke, env=environment, check=True, capture_output=True, text=True
        )
        rows += [row | {"threads": count} for row in json.loads(completed.stdout.splitlines()[-1])]
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
        # Processor time has no meaning for several threads.
        row["engine_over"] = timings["engine"]["clock_median_s"] / row["clock_median_s"]
    print(json.dumps(rows))


# ------------------------------------------------------------ precision, torch.compile and accelerators

LANGUAGES = ("sw", "fi", "ja", "ar", "ta")
DENSITY = 0.15


def precision(smoke: bool) -> list[dict[str, Any]]:
    """Compare sub-networks computed in half precision with those of float32, on the embedded model.

    For comparison, other masked tokens and another language are measured too.
    """
    loaded = xs.load_model("mini")
    layout = xs.parameter_layout(loaded.model)
    count, languages = (4, LANGUAGES[:2]) if smoke else (64, LANGUAGES)
    halved, doubled = copy.deepcopy(loaded.model).bfloat16(), copy.deepcopy(loaded.model).double()
    variants: dict[str, tuple[Any, str]] = {
        "float32": (loaded.model, "float32"),
        "float64": (doubled, "float32"),
        "bf16, automatic": (loaded.model, "bf16"),
        "fp16, automatic": (loaded.model, "fp16"),
        "bfloat16 weights": (halved, "float32"),
    }
    bits: dict[tuple[str, str], np.ndarray[Any, Any]] = {}
    for language in languages:
        encoded = _batches(loaded, language, count, 42)
        for name, (model, kind) in variants.items():
            bits[name, language] = _bits(model, encoded, layout, kind)
        bits["float32, other tokens masked", language] = _bits(
            loaded.model, _batches(loaded, language, count, 43), layout, "float32"
        )
    for language, other in zip(languages, languages[1:] + languages[:1], strict=True):
        bits["float32, another language", language] = bits["float32", other]
    rows = []
    for name in dict.fromkeys(name for name, _ in bits):
        overlaps = [_jaccard(bits[name, language], bits["float32", language]) for language in languages]
        row = {"section": "precision", "variant": name, "languages": len(languages), "examples": count}
        rows.append(row | {"smallest": min(overlaps), "mean": sum(overlaps) / len(overlaps)})
    print(f"\nJaccard with float32 at p = {DENSITY}, mini, CLDR text, {count} examples")
    harness.print_table(["variant", "smallest", "mean"], [[r["variant"], r["smallest"], r["mean"]] for r in rows])
    return rows


def _batches(loaded: Any, language: str, count: int, seed: int) -> Batches:
    sample = xs.open_corpus("cldr").sample(language, count, 42)
    encoded = xs.MaskedLanguageModelling().encode(sample, loaded.tokenizer, seed)
    return list(xs.batches(encoded.examples, 8, loaded.tokenizer.pad_token_id))


def _bits(model: Any, encoded: Batches, layout: xs.ParameterLayout, kind: str) -> np.ndarray[Any, Any]:
    fisher = xs.diagonal_fisher(model, encoded, layout, precision=kind)
    bits: np.ndarray[Any, Any] = xs.extract_subnetwork(fisher, DENSITY).to_numpy()
    return bits


def _jaccard(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return float((one & other).sum() / (one | other).sum())


def compiled(smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Time the engine and a plain step with and without compilation of the model's body; the values must not change."""
    width, positions = (48, 16) if smoke else (768, 128)
    batch, models = batch_of([positions] * 8), {name: wide_model(2, width=width) for name in ("as it is", "compiled")}
    layout = xs.parameter_layout(models["as it is"])
    expected = reference(models["as it is"], [batch], layout)
    models["compiled"].base_model.compile()
    rows: list[dict[str, Any]] = []
    for what in ("plain, θ", "engine"):
        calls: dict[str, Callable[[], object]] = {}
        errors: dict[str, float] = {}
        engines = []
        for name, model in models.items():
            started = time.perf_counter()
            if what == "engine":
                engine = Engine(model, layout).__enter__()
                engines.append(engine)
                engine.add(batch)
                errors[name] = largest_error(engine.sums, expected)
                calls[name] = _adding(engine, batch)
            else:
                calls[name] = plain(model, [batch], layout.names)
                errors[name] = _gradient_error(model, models["as it is"], batch, layout)
            first = time.perf_counter() - started
            rows.append({"section": "compile", "what": what, "variant": name, "first_s": first, "error": errors[name]})
            assert errors[name] <= TOLERANCE, f"{what}, {name} is off by {errors[name]:.1e}"
        timings = interleave(calls, rounds)
        for engine in engines:
            engine.__exit__(None, None, None)
        for row in rows[-2:]:
            row.update(timings[row["variant"]])
    print(f"\ntorch.compile of the body, 2 blocks, 8 × {positions}")
    harness.print_table(
        ["what", "variant", "first s", "ms", "best", "error"],
        [[r["what"], r["variant"], r["first_s"], r["median_s"] * 1e3, r["best_s"] * 1e3, r["error"]] for r in rows],
    )
    return rows


def _adding(engine: Engine, batch: dict[str, Tensor]) -> Callable[[], object]:
    return lambda: engine.add(batch)


def _gradient_error(model: Any, other: Any, batch: dict[str, Tensor], layout: xs.ParameterLayout) -> float:
    magnitudes = []
    for each in (model, other):
        theta = require_gradients(each, layout.names)
        gradients = torch.autograd.grad(scored_loss(each, batch), theta)
        magnitudes.append({name: g.abs() for name, g in zip(layout.names, gradients, strict=True)})
    return largest_error(magnitudes[0], magnitudes[1])


def device(kind: str, smoke: bool, layers: int, rounds: int) -> list[dict[str, Any]]:
    """Measure throughput on an accelerator: the blocks of XLM-R base, 32 × 128 tokens, float32 and mixed precision."""
    examples, positions, width = (2, 16, 48) if smoke else (32, 128, 768)
    model = wide_model(layers, width=width).to(kind)
    other = wide_model(layers, width=width).to(kind)
    batch = {name: values.to(kind) for name, values in batch_of([positions] * examples).items()}
    layout = xs.parameter_layout(model)
    flops = matmul_flops(model, batch, layout)
    rows: list[dict[str, Any]] = []
    for setting in ("float32", "bf16"):
        with Engine(model, layout, FisherSettings(precision=setting)) as engine:
            engine.add(batch)
            error = largest_error(engine.sums, reference(other, [batch], layout)) if setting == "float32" else None
            step = plain(other, [batch], layout.names, _under(setting, kind))
            calls = {"engine": _waiting(_adding(engine, batch), kind), "plain, θ": _waiting(step, kind)}
            timings = harness.interleave(calls, rounds, 120)
            peaks = {name: _peak(call, kind) for name, call in calls.items()}
        assert error is None or error <= 1e-4, f"the engine is off by {error:.1e}"
        rows += [
            {
                "section": "device",
                "device": kind,
                "precision": setting,
                "contestant": name,
                "examples_per_s": examples / timing.median_s,
                "tflops_per_s": flops / timing.median_s / 1e12,
                "engine_over": timings["engine"].median_s / timing.median_s,
                "peak_mib": peaks[name],
                "error": error,
                **harness.timing_fields(timing),
            }
            for name, timing in timings.items()
        ]
    print(f"\n{kind}: {layers} blocks, {examples} × {positions}")
    keys = ("precision", "contestant", "examples_per_s", "tflops_per_s", "engine_over", "peak_mib", "error")
    harness.print_table(keys, [[row[key] for key in keys] for row in rows])
    return rows


def matmul_flops(model: Any, batch: dict[str, Tensor], layout: xs.ParameterLayout) -> float:
    """Return the floating-point operations of the matrix products of a forward and backward pass.

    Every weight of a block multiplies each position once in the forward pass and twice in the backward pass, with two
    operations each, and so do the two T × T products of attention. The head's weights need no gradient, and are used
    for the scored positions only.
    """
    examples, positions = batch["input_ids"].shape
    weights = sum(size for size, shape in zip(layout.sizes, layout.shapes, strict=True) if len(shape) == 2)
    attention = 2 * positions * model.config.hidden_size * len(layout.layers)
    head = sum(p.numel() for p in model.lm_head.parameters() if p.dim() == 2)
    scored = int((batch["labels"] != -100).sum())
    return float(6 * examples * positions * (weights + attention) + 4 * scored * head)


def _under(setting: str, kind: str) -> Callable[..., Tensor]:
    def loss_of(model: Any, batch: dict[str, Tensor]) -> Tensor:
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=setting == "bf16"):
            return scored_loss(model, batch)

    return loss_of


def _waiting(call: Callable[[], object], kind: str) -> Callable[[], object]:
    def run() -> None:
        call()
        if kind == "cuda":
            torch.cuda.synchronize()

    return run


def _peak(call: Callable[[], object], kind: str) -> float | None:
    """Return the peak memory of the device in MiB, all models included; None if the device does not report it."""
    if kind != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    call()
    return float(torch.cuda.max_memory_allocated()) / 2**20


# ------------------------------------------------------------------------------------------- program


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print timed rows."""
    print(f"\n{title}")
    harness.print_table(
        ["contestant", "threads", "ms", "best", "clock", "error", "engine / contestant", "of best", "goal"],
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
    parser.add_argument(
        "--only",
        action="append",
        choices=[*SECTIONS, THREADS],
        help="run only this section; may be given more than once",
    )
    parser.add_argument("--layers", type=int, help="blocks of the model at XLM-R's width; 12, or 2 with --smoke")
    parser.add_argument(
        "--device", default="cpu", choices=["cpu", "cuda"], help="cuda: measure only throughput on that device"
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
    parameters |= {"peers": {name: harness.version(name) for name in ("opacus", "backpack-for-pytorch", "kronfluence")}}
    harness.write(options.output, harness.result(Path(__file__).stem, parameters, rows, smoke))


def run(chosen: Any, model: Any, layers: int, smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Run the chosen sections in order."""
    rows: list[dict[str, Any]] = []
    if "speed" in chosen:
        for positions in (16,) if smoke else (32, 128):
            rows += (section_rows := speed(model, positions, 2 if smoke else 8, rounds))
            show(f"equal lengths, T = {positions}, {layers} layers", section_rows)
    if "ragged" in chosen:
        rows += (section_rows := ragged(model, smoke, rounds))
        show("texts of different lengths", section_rows)
    if "threads" in chosen:
        rows += (section_rows := threads(layers, smoke, rounds))
        show("threads", section_rows)
    if "head" in chosen:
        rows += head(smoke, rounds)
    if "share" in chosen:
        rows += share(smoke, rounds)
    if "memory" in chosen:
        rows += memory(smoke, layers, lambda name: name in PEERS and not installed(name))
    if "precision" in chosen:
        rows += precision(smoke)
    if "compile" in chosen:
        rows += compiled(smoke, rounds)
    return rows


if __name__ == "__main__":
    main()
