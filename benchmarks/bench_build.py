"""Time and memory of a build: the streaming engine compared with an ordinary forward and backward pass.

First the values of the engine are compared with a loop over single examples. Then these contestants are timed,
interleaved on the same batches:

* `engine`: the code that `xsns-stream build` runs;
* `plain, θ`: an ordinary forward and backward pass with gradients of θ only and the head on the scored positions only,
  as in the engine; gradients are dropped after each batch. This is the lower limit for every gradient method;
* `plain, all`: the same with gradients of all parameters and the head on all positions: a training step without its
  optimizer;
* `batch of one`: the same values by a loop over single examples without padding.

Memory is the peak above the loaded model and the Fisher values of one row while building 10 and 100 languages, and with
|D| = 16 and 512, each in a fresh process. It should not grow with either number: `growth` is relative to 10 × 16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import harness
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import xsns_stream as xs
from xsns_stream.fisher.engine import Engine
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.fisher.scoring import single_examples

# Errors are relative to the largest value of a tensor: up to 6e-6 by rounding with trained weights, at least 0.1 by a
# wrong rule.
TOLERANCE = 2e-5

Batches = list[dict[str, Tensor]]


def check(model: nn.Module, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> float:
    """Return the largest error of the engine on one batch, relative to each tensor's largest value."""
    fisher = xs.diagonal_fisher(model, [batch], layout).to_dict()
    expected = reference_fisher(model, [batch], layout)
    floor = 1e-9 * max(float(v.max()) for v in expected.values())
    worst = max(
        float((fisher[n] - expected[n]).abs().max()) / max(float(expected[n].max()), floor)
        for n in layout.names
        if float(expected[n].max()) > floor
    )
    assert worst <= TOLERANCE, f"error: the engine is wrong by {worst:.1e}; nothing was timed"
    return worst


def run_engine(model: nn.Module, batches: Batches, layout: xs.ParameterLayout) -> None:
    with Engine(model, layout) as engine:
        for batch in batches:
            engine.add(batch)


def run_plain(model: Any, batches: Batches, parameters: list[nn.Parameter], gather: bool) -> None:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    for batch in batches:
        inputs = {name: values for name, values in batch.items() if name != "labels"}
        scored = batch["labels"] != -100
        if gather:
            hidden = model.base_model(**inputs).last_hidden_state
            logits = model.lm_head(hidden[scored])
        else:
            logits = model(**inputs).logits[scored]
        F.cross_entropy(logits, batch["labels"][scored], reduction="sum").backward()
        model.zero_grad(set_to_none=True)


def contestants(model: Any, batches: Batches, layout: xs.ParameterLayout) -> dict[str, Callable[[], object]]:
    named = dict(model.named_parameters())
    theta = [named[name] for name in layout.names]
    singles = [dict(example) for batch in batches for example in single_examples(batch)]
    return {
        "engine": lambda: run_engine(model, batches, layout),
        "plain, θ": lambda: run_plain(model, batches, theta, True),
        "plain, all": lambda: run_plain(model, batches, list(model.parameters()), False),
        "batch of one": lambda: run_plain(model, singles, theta, True),
    }


def mini_batches(loaded: Any, count: int, batch: int) -> Batches:
    """Return CLDR text in seven languages, in the batches of a build."""
    corpus, objective = xs.open_corpus("cldr"), xs.MaskedLanguageModelling()
    result: Batches = []
    for language in ("sw", "fi", "ja", "ar", "ta", "de", "yo"):
        encoded = objective.encode(corpus.sample(language, count, 42), loaded.tokenizer, 42)
        result += list(xs.batches(encoded.examples, batch, loaded.tokenizer.pad_token_id))
    return result


def wide_model(layers: int) -> Any:
    """Return a model of XLM-R base's width with random weights and a small vocabulary."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=4_096,
        hidden_size=768,
        intermediate_size=3_072,
        num_hidden_layers=layers,
        num_attention_heads=12,
        max_position_embeddings=514,
    )
    return XLMRobertaForMaskedLM(config).eval()


def random_batch(batch: int, length: int, vocabulary: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, vocabulary, (batch, length), generator=generator)
    scored = torch.rand(ids.shape, generator=generator) < 0.15
    scored[:, 1] = True
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "labels": ids.masked_fill(~scored, -100),
    }


#: Goal: largest growth of the memory with the number of languages or of examples.
GROWTH = 0.05
MEMORY_SETUP = """
    import ctypes, sys, tempfile, torch
    import xsns_stream as xs
    from xsns_stream.pipeline.settings import BuildSettings
    languages, examples, batch = map(int, sys.argv[1:4])
    loaded = xs.load_model("mini")
    corpus = xs.open_corpus("cldr")
    folder = tempfile.TemporaryDirectory()
    def measure(names, count, store):
        settings = BuildSettings(corpus, names, examples=count, batch_size=batch)
        xs.build(settings, loaded, xs.open_store(f"{folder.name}/{store}", "a"))
    measure(corpus.languages()[:1], 8, "warm.zarr")
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        # Freed memory that the process still holds would be reused without being counted.
        ctypes.CDLL(None).malloc_trim(0)
"""
MEMORY_STATEMENT = 'measure(corpus.languages()[:languages], examples, "real.zarr")'


def memory(smoke: bool, f_mib: float) -> list[dict[str, Any]]:
    """Measure the peak of builds with few and many languages and examples, above the model and the values of a row."""
    cases = [(1, 8), (2, 8)] if smoke else [(10, 16), (100, 16), (10, 512)]
    rows: list[dict[str, Any]] = []
    for languages, count in cases:
        peak = harness.peak_rss(MEMORY_SETUP, MEMORY_STATEMENT, [str(languages), str(count), "8"])
        less_f = peak["extra_mib"] - f_mib
        growth = less_f / rows[0]["less_f_mib"] - 1 if rows else None
        sizes = {"languages": languages, "examples": count, "f_mib": f_mib, "less_f_mib": less_f}
        rows.append({"case": "memory", **sizes, "growth": growth, "target": GROWTH if rows else None, **peak})
    print("\npeak memory above the loaded model and the values of a row, mini")
    harness.print_table(
        ["languages × examples", "MiB", "growth", "goal"],
        [[f"{r['languages']} × {r['examples']}", r["less_f_mib"], r["growth"], r["target"]] for r in rows],
    )
    return rows


def speed(loaded: Any, smoke: bool, layers: int, rounds: int) -> list[dict[str, Any]]:
    """Time the engine and other passes over the same batches."""
    wide = wide_model(layers)
    cases = {
        "mini, CLDR text, B = 8": (loaded.model, mini_batches(loaded, 4 if smoke else 24, 8)),
        "XLM-R width, T = 128, B = 8": (wide, [random_batch(8, 16 if smoke else 128, 4_096)]),
        "XLM-R width, T = 32, B = 8": (wide, [random_batch(8, 32, 4_096)]),
    }
    rows: list[dict[str, Any]] = []
    for name, (model, batches) in cases.items():
        layout = xs.parameter_layout(model)
        error = check(model, batches[-1], layout)
        timings = harness.interleave(contestants(model, batches, layout), rounds, 120)
        examples = sum(len(batch["input_ids"]) for batch in batches)
        print(f"\n{name}: {examples} examples, largest error {error:.1e}")
        base = timings["engine"].median_s
        harness.print_table(
            ["contestant", "ms", "examples/s", "engine / contestant"],
            [
                [contestant, t.median_s * 1e3, examples / t.median_s, base / t.median_s]
                for contestant, t in timings.items()
            ],
        )
        rows += [
            {"case": name, "contestant": contestant, "examples": examples, "error": error, **harness.timing_fields(t)}
            for contestant, t in timings.items()
        ]
    return rows


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4, help="layers of the model at XLM-R's width")
    parser.add_argument("--only", choices=["speed", "memory"], help="run only this part")
    options = parser.parse_args()
    loaded, smoke = xs.load_model("mini"), options.smoke
    rows: list[dict[str, Any]] = []
    if options.only != "memory":
        rows += speed(loaded, smoke, 1 if smoke else options.layers, 1 if smoke else options.rounds)
    if options.only != "speed":
        rows += memory(smoke, xs.parameter_layout(loaded.model).size * 4 / 2**20)
    parameters = {"rounds": options.rounds, "layers": options.layers, "threads": torch.get_num_threads()}
    harness.write(options.output, harness.result("bench_build", parameters, rows, smoke))


if __name__ == "__main__":
    main()
