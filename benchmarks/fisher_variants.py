"""The engine in other precisions, under `torch.compile`, and on an accelerator."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import harness
import numpy as np
import torch
from fisher_cases import (
    TOLERANCE,
    Batches,
    batch_of,
    interleave,
    largest_error,
    plain,
    reference,
    require_gradients,
    scored_loss,
    wide_model,
)
from torch import Tensor

import xsns_stream as xs
from xsns_stream.fisher.engine import Engine
from xsns_stream.types import FisherSettings

LANGUAGES = ("sw", "fi", "ja", "ar", "ta")
DENSITY = 0.15


def precision(smoke: bool) -> list[dict[str, Any]]:
    """Compare sub-networks computed in half precision with those of float32, on the embedded model.

    What another draw of hidden pieces, or of another language, changes is there as a measure.
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
    found: dict[tuple[str, str], np.ndarray[Any, Any]] = {}
    for language in languages:
        drawn = _batches(loaded, language, count, 42)
        for name, (model, kind) in variants.items():
            found[name, language] = _bits(model, drawn, layout, kind)
        found["float32, other pieces hidden", language] = _bits(
            loaded.model, _batches(loaded, language, count, 43), layout, "float32"
        )
    for language, other in zip(languages, languages[1:] + languages[:1], strict=True):
        found["float32, another language", language] = found["float32", other]
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        overlaps = [_jaccard(found[name, language], found["float32", language]) for language in languages]
        row = {"section": "precision", "variant": name, "languages": len(languages), "examples": count}
        rows.append(row | {"smallest": min(overlaps), "mean": sum(overlaps) / len(overlaps)})
    print(f"\nJaccard with float32 at p = {DENSITY}, mini, CLDR text, {count} examples")
    harness.print_table(["variant", "smallest", "mean"], [[r["variant"], r["smallest"], r["mean"]] for r in rows])
    return rows


def _batches(loaded: Any, language: str, count: int, seed: int) -> Batches:
    sample = xs.open_corpus("cldr").sample(language, count, 42)
    encoded = xs.MaskedLanguageModelling().encode(sample, loaded.tokenizer, seed)
    return list(xs.batches(encoded.examples, 8, loaded.tokenizer.pad_token_id))


def _bits(model: Any, drawn: Batches, layout: xs.ParameterLayout, kind: str) -> np.ndarray[Any, Any]:
    fisher = xs.diagonal_fisher(model, drawn, layout, precision=kind)
    bits: np.ndarray[Any, Any] = xs.extract_subnetwork(fisher, DENSITY).to_numpy()
    return bits


def _jaccard(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return float((one & other).sum() / (one | other).sum())


def compiled(smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Time engine and plain step with the model's body compiled and not; the values must stay the same."""
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
    found = []
    for each in (model, other):
        theta = require_gradients(each, layout.names)
        gradients = torch.autograd.grad(scored_loss(each, batch), theta)
        found.append({name: g.abs() for name, g in zip(layout.names, gradients, strict=True)})
    return largest_error(found[0], found[1])


def device(kind: str, smoke: bool, layers: int, rounds: int) -> list[dict[str, Any]]:
    """Measure throughput on an accelerator: XLM-R base's blocks, 32 × 128 pieces, float32 and mixed precision."""
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
    """Return the floating-point operations of a forward and backward's matrix products.

    Every weight of a block multiplies each position once forward and twice backward, two operations each; attention's
    two products of T × T likewise; the head's weights ask for no gradient, and see the scored positions alone.
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
    """Return the device's peak memory in MiB, all models included; None where there is none to ask."""
    if kind != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats()
    call()
    return float(torch.cuda.max_memory_allocated()) / 2**20
