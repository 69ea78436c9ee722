"""Exactness of the Fisher engine for each family of models, and the parameters with rules.

Every family of `tests/support/zoo.py` is made tiny, with random weights, and measured on four examples of different
lengths in one padded batch. The values are compared with a loop over single examples that shares no code with the
package: the loop scores the logits of one unpadded example from the model. In float64 every step is computed in
float64, also the steps that a family computes in float32.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fisher_contestants as cases
import harness
import torch
from torch import Tensor

import xsns_stream as xs
from xsns_stream.fisher import measurement, self_check, without_rules
from xsns_stream.fisher.engine import Engine
from xsns_stream.types import FisherSettings

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
import zoo

LENGTHS = (9, 6, 4, 7)
IGNORED = -100
#: Largest accepted errors, relative to the largest value of a tensor.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
NAMES = {torch.float64: "float64", torch.float32: "float32"}


def log_likelihood(model: Any, objective: str, example: Mapping[str, Tensor]) -> Tensor:
    """Return log p(y|x) of one example without padding, from the model's logits."""
    inputs = {name: example[name] for name in ("input_ids", "attention_mask")}
    if objective == "question-answering":
        output = model(**inputs)
        start, end = output.start_logits[0].log_softmax(-1), output.end_logits[0].log_softmax(-1)
        return start[example["start_positions"][0]] + end[example["end_positions"][0]]
    labels = example["labels"][0] if example["labels"].dim() == 2 else example["labels"]
    if objective == "span-corruption":
        logits = model(**inputs, labels=example["labels"]).logits[0]
    elif objective == "sequence-classification":
        logits = model(**inputs).logits
    else:
        logits = model(**inputs).logits[0]
    if objective == "causal-lm":
        logits, labels = logits[:-1], labels[1:]
    scored = labels != IGNORED
    return logits[scored].log_softmax(-1).gather(1, labels[scored][:, None]).sum()


def single_examples(batch: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Yield single examples without padding; labels of a decoder are cut to their length."""
    for n in range(len(batch["input_ids"])):
        row = {name: values[n : n + 1] for name, values in batch.items()}
        length = int(row["attention_mask"].sum())
        for name in ("input_ids", "attention_mask"):
            row[name] = row[name][:, :length]
        if "labels" in row and row["labels"].dim() == 2:
            own = (
                length if row["labels"].shape == batch["input_ids"][:1].shape else int((row["labels"] != IGNORED).sum())
            )
            row["labels"] = row["labels"][:, :own]
        yield row


def expected_values(
    model: Any, objective: str, batch: Mapping[str, Tensor], names: tuple[str, ...]
) -> dict[str, Tensor]:
    """Return {tensor: mean over the examples of a batch of the squared gradients of log p(y|x)}."""
    named = dict(model.named_parameters())
    theta = [named[name] for name in names]
    total = [torch.zeros_like(parameter) for parameter in theta]
    examples = list(single_examples(batch))
    for example in examples:
        value = log_likelihood(model, objective, example)
        gradients = torch.autograd.grad(value, theta, allow_unused=True, materialize_grads=True)
        for so_far, gradient in zip(total, gradients, strict=True):
            so_far.addcmul_(gradient, gradient)
    return {name: value / len(examples) for name, value in zip(names, total, strict=True)}


def largest_error(model: Any, objective: str, batch: Mapping[str, Tensor], *, checkpoint: bool = False) -> float:
    """Return the largest error of the engine over all tensors of θ, relative to the largest value of each tensor."""
    layout = xs.parameter_layout(model)
    expected = expected_values(model, objective, batch, layout.names)
    settings, unconfirmed = FisherSettings(checkpoint=checkpoint), without_rules(model, layout)
    with measurement(model, layout, settings, without_rules=unconfirmed) as running:
        running.add(batch)
    return cases.largest_error({name: total / running.count for name, total in running.sums.items()}, expected)


def coverage(model: Any) -> dict[str, int]:
    """Return the numbers of tensors of θ with a confirmed rule, without a rule, and with a rejected rule."""
    layout = xs.parameter_layout(model)
    candidates = set(layout.names) - set(Engine(model, layout).fallback)
    checks = self_check(model, layout)
    confirmed = {check.name for check in checks if check.by_rule and check.exact}
    return {
        "tensors": len(layout.names),
        "by_rule": len(confirmed),
        "one_at_a_time": len(layout.names) - len(confirmed),
        "refused": len(candidates - confirmed),
    }


def measure(name: str, dtype: torch.dtype) -> dict[str, Any]:
    """Return the largest errors of one family in one precision, with both forms of attention and with checkpointing."""
    objective = zoo.FAMILIES[name].objective
    errors: dict[str, float] = {}
    for attention in ("sdpa", "eager"):
        model = zoo.make(name, dtype, attention)
        batch = zoo.batch(model, name, LENGTHS)
        errors[attention] = largest_error(model, objective, batch)
        if attention == "sdpa":
            errors["checkpoint"] = largest_error(model, objective, batch, checkpoint=True)
            counts = coverage(model)
    dtype_name = NAMES[dtype]
    return (
        {f"{dtype_name}_{kind}": error for kind, error in errors.items()} | {dtype_name: max(errors.values())} | counts
    )


def measure_both(name: str) -> dict[str, Any]:
    """Return the largest errors of one family in both precisions, and its tensors with a rule in float32."""
    with zoo.float64_throughout():
        double = measure(name, torch.float64)
    row = {"family": name, "objective": zoo.FAMILIES[name].objective, **double, **measure(name, torch.float32)}
    # With this comparison, a NaN is not exact.
    row["exact"] = all(
        error <= TOLERANCE[dtype]
        for dtype, dtype_name in NAMES.items()
        for key, error in row.items()
        if key.startswith(dtype_name)
    )
    return row


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--family", action="append", choices=list(zoo.FAMILIES), help="only this family; may be given more than once"
    )
    options = parser.parse_args()
    names = options.family or list(zoo.FAMILIES)[: 3 if options.smoke else None]
    rows = [measure_both(name) for name in names]
    keys = ["family", "objective", "tensors", "by_rule", "one_at_a_time", "refused", "float64", "float32"]
    harness.print_table(keys, [[row[key] for key in keys] for row in rows])
    harness.write(options.output, harness.result(Path(__file__).stem, {"lengths": LENGTHS}, rows, options.smoke))
    wrong = [row["family"] for row in rows if not row["exact"]]
    assert not wrong, f"the engine is not exact for {', '.join(wrong)}"


if __name__ == "__main__":
    main()
