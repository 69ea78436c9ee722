"""Peak memory of the engine and of other methods, each in a fresh process, and the cost of the head.

`above the model` is the peak resident memory minus the memory of the model and the libraries. `without F` also
subtracts the accumulators, which every method for the Fisher information needs; an ordinary step has none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from fisher_contestants import (
    TOLERANCE,
    batch_of,
    causal_model,
    compared,
    full_loss,
    interleave,
    largest_error,
    next_token_loss,
    plain,
    reference,
    scored_next_token_loss,
    wide_model,
)
from torch import Tensor
from torch.nn import functional as F

import xsns_stream as xs
from xsns_stream.fisher import scoring
from xsns_stream.fisher.engine import Engine
from xsns_stream.fisher.head import ScoredHead
from xsns_stream.objectives.encoding import draw_scored

MIB = 2**20
#: Variable of glibc's allocator; other allocators ignore it.
THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
XLMR_VOCABULARY = 250_002
GEMMA_VOCABULARY = 262_144
CAUSAL_TARGETS = {"seconds": 0.8, "MiB": 0.25}
SHARE, SHARE_TARGET = 0.15, 0.5

#: Setup of a fresh process: model and batch, and a tiny model through every path, so that libraries that are loaded on
#: first use are not counted.
SETUP = f"""
    import sys, tempfile
    from pathlib import Path
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    import torch
    import fisher_contestants as cases
    import xsns_stream as xs
    from xsns_stream.fisher.engine import Engine
    from xsns_stream.fisher import diagonal_fisher_in_groups
    from xsns_stream.types import FisherSettings
    name = sys.argv[1]
    layers, width, vocabulary, examples, positions, budget = map(int, sys.argv[2:])
    model = (cases.causal_model if name == "causal" else cases.wide_model)(layers, vocabulary, width)
    layout = xs.parameter_layout(model)
    batch = cases.batch_of([positions] * examples, vocabulary)
    if name == "causal":
        batch["labels"] = batch["input_ids"]
    def engine(checkpoint, model=model, layout=layout, batch=batch):
        with Engine(model, layout, FisherSettings(checkpoint=checkpoint)) as running:
            running.add(batch)
    def groups():
        with tempfile.TemporaryDirectory() as folder:
            diagonal_fisher_in_groups(model, lambda: [batch], layout, budget=budget, folder=Path(folder))
    small, few = cases.wide_model(1, 64, 48), cases.batch_of([4, 4], 64)
    for checkpoint in (False, True):
        engine(checkpoint, small, xs.parameter_layout(small), few)
    cases.plain(small, [few], None, cases.full_loss)()
    cases.SingleExamples(small, [few], xs.parameter_layout(small))()
    if name in cases.PEERS:
        cases.PEERS[name][0](small, few, xs.parameter_layout(small))()
"""

#: Name in the table → (statement, whether the method has accumulators for F).
METHODS: dict[str, tuple[str, bool]] = {
    "engine": ("engine(False)", True),
    "engine, checkpointing": ("engine(True)", True),
    "engine, in groups of layers": ("groups()", True),
    "training step, gradients of θ": ("cases.plain(model, [batch], layout.names)()", False),
    "training step, all gradients and logits": ("cases.plain(model, [batch], None, cases.full_loss)()", False),
    "loop over single examples": ("cases.SingleExamples(model, [batch], layout)()", True),
    "torch.func vmap": ("cases.VectorisedMap(model, batch, layout)()", True),
    "Opacus": ("cases.Opacus(model, batch, layout)()", True),
    "BackPACK": ("cases.BackPack(model, batch, layout)()", True),
    "Kronfluence": ("cases.Kronfluence(model, batch, layout)()", True),
}

STEP = "training step, gradients of θ"
SHOWN = (
    "method",
    "above_model_mib",
    "less_f_mib",
    "less_f_mib_of_step",
    "needed_less_f_mib",
    "needed_less_f_mib_of_step",
    "target",
)

#: Goals: peak of the engine divided by that of the training step, both above the model.
MEMORY_TARGETS = {"engine": 1.0, "engine, checkpointing": 1 / 3}
HEAD_TARGET = 1 / 8


def memory(smoke: bool, layers: int, skipped: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Measure every method on one batch of 8 × 128 at XLM-R's width."""
    width, examples, positions = (48, 2, 8) if smoke else (768, 8, 128)
    budget = (64 if smoke else 65_536) * 1024
    arguments = [str(n) for n in (layers, width, 4_096, examples, positions, budget)]
    size = 4 * xs.parameter_layout(wide_model(layers, 64, width)).size / MIB
    rows: list[dict[str, Any]] = []
    for name, (statement, holds) in METHODS.items():
        if (smoke and name != "engine, in groups of layers") or skipped(name):
            continue
        extra = harness.peak_rss(SETUP, statement, [name, *arguments])["extra_mib"]
        with _blocks_given_back():
            needed = harness.peak_rss(SETUP, statement, [name, *arguments])["extra_mib"]
        rows.append(
            {
                "section": "memory",
                "method": name,
                "layers": layers,
                "f_mib": size,
                "above_model_mib": extra,
                "less_f_mib": extra - size if holds else extra,
                "needed_less_f_mib": needed - size if holds else needed,
                "group_budget_mib": budget / MIB if "groups" in name else None,
                "target": MEMORY_TARGETS.get(name),
            }
        )
    steps = [row for row in rows if row["method"] == STEP]
    for row in rows:
        for key in ("less_f_mib", "needed_less_f_mib"):
            row[f"{key}_of_step"] = row[key] / steps[0][key] if steps else None
    print(f"\npeak memory of one batch, {examples} × {positions}")
    harness.print_table(
        ["method", "MiB above model", "without F", "of step", "freed blocks returned", "of step", "goal"],
        [[row[key] for key in SHOWN] for row in rows],
    )
    return rows


@contextmanager
def _blocks_given_back() -> Iterator[None]:
    """Let glibc return every freed block of a megabyte immediately, in processes that the block starts.

    By default glibc keeps freed blocks of up to 32 MiB, so that the peak also depends on how well they fit later
    allocations.
    """
    before = os.environ.get(THRESHOLD)
    os.environ[THRESHOLD] = str(10**6)
    try:
        yield
    finally:
        del os.environ[THRESHOLD]
        if before is not None:
            os.environ[THRESHOLD] = before


def head(smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Time the engine and steps with all logits for XLM-R's vocabulary, time the head alone, and measure memory."""
    width, vocabulary, positions = (48, 65_600, 64) if smoke else (768, XLMR_VOCABULARY, 128)
    model, other = wide_model(1, vocabulary, width), wide_model(1, vocabulary, width)
    layout = xs.parameter_layout(model)
    batch = batch_of([positions] * 8, vocabulary)
    expected = reference(other, [batch], layout)
    with Engine(model, layout) as engine:
        engine.add(batch)
        error = largest_error(engine.sums, expected)
        assert error <= TOLERANCE, f"the engine is off by {error:.1e}"
        calls: dict[str, Callable[[], object]] = {
            "engine": lambda: engine.add(batch),
            "step, scored positions": plain(other, [batch], layout.names),
            "step, all logits, gradients of θ": plain(other, [batch], layout.names, full_loss),
            "step, all logits, all gradients": plain(other, [batch], None, full_loss),
        }
        for call in calls.values():
            call()
        timings = interleave(calls, rounds)
    rows = _head_rows("one block and the head", timings, "engine")
    with ExitStack() as undo:
        alone = _head_alone(other, batch, undo)
        timings = interleave(alone, rounds)
    rows += _head_rows("the head alone", timings, "engine's head")
    if not smoke:
        rows += _head_memory(vocabulary)
    for row in rows:
        row |= {"scored": int((batch["labels"] != -100).sum()), "vocabulary": vocabulary, "error": error}
    rows += _causal(smoke, rounds)
    print(f"\nthe head, {vocabulary} tokens, 8 × {positions}, {rows[0]['scored']} scored")
    harness.print_table(
        ["quantity", "contestant", "value", "engine / contestant", "goal"],
        [[row[k] for k in ("what", "contestant", "value", "engine_over", "target")] for row in rows],
    )
    return rows


def _head_alone(model: Any, batch: Mapping[str, Tensor], undo: ExitStack) -> dict[str, Callable[[], object]]:
    """Return calls that compute the gradient by the hidden states, without the gradient of any weight."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    scored_batch = scoring.prepare(model, "masked", batch)
    hidden = torch.randn(*batch["labels"].shape, model.config.hidden_size)
    labels = batch["labels"].flatten()
    part = ScoredHead(model, undo)

    factors = torch.ones(len(scored_batch.targets))

    def all_positions() -> Tensor:
        leaf = hidden.flatten(0, 1).requires_grad_()
        loss = F.cross_entropy(type(model.lm_head).forward(model.lm_head, leaf), labels, reduction="sum")
        return torch.autograd.grad(loss, leaf)[0]

    def scored_in_blocks() -> Tensor:
        return part.backward(hidden[batch["labels"] != -100], scored_batch.targets, factors)[1]

    difference = (all_positions()[labels != -100] - scored_in_blocks()).abs().max()
    assert float(difference) < 1e-5, f"the head in blocks is off by {float(difference):.1e}"
    return {"engine's head": scored_in_blocks, "all positions": all_positions}


def _head_rows(model: str, timings: Mapping[str, dict[str, float]], ours: str) -> list[dict[str, Any]]:
    targets = {name: HEAD_TARGET for name in timings if "all" in name}
    rows = compared("head", timings, ours, targets)
    return [row | {"what": f"seconds, {model}", "value": row["median_s"]} for row in rows]


def _causal(smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Time the engine and an ordinary step for a causal model of Gemma 3 270M's shape, and measure memory."""
    layers, width, vocabulary, positions = _causal_shape(smoke)
    model, other = (causal_model(layers, vocabulary, width) for _ in range(2))
    layout = xs.parameter_layout(model)
    batch = batch_of([positions] * 8, vocabulary)
    batch["labels"] = batch["input_ids"]
    with Engine(model, layout) as engine:
        engine.add(batch)
        error = largest_error(engine.sums, reference(other, [batch], layout))
        assert error <= TOLERANCE, f"the engine is off by {error:.1e}"
        step = plain(other, [batch], layout.names, next_token_loss)
        calls: dict[str, Callable[[], object]] = {"engine": lambda: engine.add(batch), "step, gradients of θ": step}
        step()
        timings = interleave(calls, rounds)
    rows = [
        row | {"what": "seconds, causal model", "value": row["median_s"]}
        for row in compared("head", timings, "engine", {"step, gradients of θ": CAUSAL_TARGETS["seconds"]})
    ]
    if not smoke:
        arguments = ["causal", *(str(n) for n in (layers, width, vocabulary, 8, positions, 2**30))]
        theta = layout.size * 4 / MIB
        ours = harness.peak_rss(SETUP, "engine(False)", arguments)["extra_mib"] - theta
        plain_step = "cases.plain(model, [batch], layout.names, cases.next_token_loss)()"
        theirs = harness.peak_rss(SETUP, plain_step, arguments)["extra_mib"]
        rows += [
            {
                "section": "head",
                "what": "MiB above the model, without F, causal model",
                "contestant": name,
                "value": value,
                "engine_over": ours / value,
                "target": target,
            }
            for name, value, target in (
                ("engine", ours, None),
                ("step, gradients of θ", theirs, CAUSAL_TARGETS["MiB"]),
            )
        ]
    for row in rows:
        row |= {"scored": int((batch["labels"][:, 1:] != -100).sum()), "vocabulary": vocabulary, "error": error}
    return rows


def share(smoke: bool, rounds: int) -> list[dict[str, Any]]:
    """Time the causal model of Gemma 3 270M's shape with 15 % of its positions scored, and with all of them."""
    layers, width, vocabulary, positions = _causal_shape(smoke)
    model, other = (causal_model(layers, vocabulary, width) for _ in range(2))
    layout = xs.parameter_layout(model)
    every = batch_of([positions] * 8, vocabulary)
    every["labels"] = every["input_ids"]
    rows = [draw_scored(row.numpy(), 1, SHARE, np.random.default_rng(n)) for n, row in enumerate(every["labels"])]
    some = every | {"labels": torch.from_numpy(np.stack(rows))}
    errors: dict[str, float] = {}
    with Engine(model, layout) as few, Engine(other, layout) as all_of_them:
        calls: dict[str, Callable[[], object]] = {
            f"engine, {SHARE:.0%} of the positions": lambda: few.add(some),
            "engine, all positions": lambda: all_of_them.add(every),
        }
        for engine, (name, call), batch in zip((few, all_of_them), calls.items(), (some, every), strict=True):
            call()
            errors[name] = largest_error(
                engine.sums, reference(causal_model(layers, vocabulary, width), [batch], layout)
            )
            assert errors[name] <= TOLERANCE, f"{name}: off by {errors[name]:.1e}"
        timings = interleave(calls, rounds)
    steps = {
        f"step, {SHARE:.0%} of the positions": plain(other, [some], layout.names, scored_next_token_loss),
        "step, all positions": plain(other, [every], layout.names, scored_next_token_loss),
    }
    for call in steps.values():
        call()
    timings |= interleave(steps, rounds)
    found = compared("share", timings, next(iter(calls)), {"engine, all positions": SHARE_TARGET})
    for row in found:
        of_all = "all" in row["contestant"]
        row |= {"scored": int(((every if of_all else some)["labels"][:, 1:] != -100).sum()), "vocabulary": vocabulary}
        row["error"] = errors.get(row["contestant"])
    print(f"\na causal model of {vocabulary} tokens, 8 × {positions}, with a share of the positions scored")
    keys = ("contestant", "scored", "median_s", "best_s", "error", "engine_over", "engine_over_best", "target")
    harness.print_table(keys, [[row[key] for key in keys] for row in found])
    return found


def _causal_shape(smoke: bool) -> tuple[int, int, int, int]:
    """Return blocks, width, vocabulary and positions of the causal model."""
    return (2, 80, 70_000, 16) if smoke else (18, 640, GEMMA_VOCABULARY, 64)


def _head_memory(vocabulary: int) -> list[dict[str, Any]]:
    arguments = ["head", *(str(n) for n in (1, 768, vocabulary, 8, 128, 2**30))]
    peaks = {
        "engine": harness.peak_rss(SETUP, "engine(False)", arguments)["extra_mib"],
        "step, scored positions": harness.peak_rss(SETUP, "cases.plain(model, [batch], layout.names)()", arguments)[
            "extra_mib"
        ],
        "step, all logits, gradients of θ": harness.peak_rss(
            SETUP, "cases.plain(model, [batch], layout.names, cases.full_loss)()", arguments
        )["extra_mib"],
        "step, all logits, all gradients": harness.peak_rss(
            SETUP, "cases.plain(model, [batch], None, cases.full_loss)()", arguments
        )["extra_mib"],
    }
    return [
        {
            "section": "head",
            "what": "MiB above the model, one block and the head",
            "contestant": name,
            "value": value,
            "engine_over": peaks["engine"] / value,
            "target": HEAD_TARGET if "all logits" in name else None,
        }
        for name, value in peaks.items()
    ]
