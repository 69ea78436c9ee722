"""Find out, on a small batch, whether the rules are exact for a model; what is not goes to the batch-of-one path.

A rule can be wrong without an error: a subclass that does more in its forward, activations in another order of axes,
a module used in a way nobody thought of. So the first time a model is seen, three examples of different lengths, in a
batch whose length is not three, go through the rules and through :func:`reference_fisher`, parameter by parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from xsns_stream.errors import FisherError
from xsns_stream.fisher.engine import IGNORED, Engine, NotFiniteError, head_of
from xsns_stream.fisher.reference import evaluating, reference_fisher
from xsns_stream.fisher.rules import NotExactError
from xsns_stream.types import ParameterLayout

LENGTHS = (7, 5, 4)
#: Largest accepted error of a tensor, relative to its largest value. Rounding alone gives about 1e-6 in float32
#: (sums of some hundred products) and 1e-15 in float64; a wrong rule gives 0.1 and more.
TOLERANCE = {torch.float64: 1e-10}
TOLERANCE_FLOAT32 = 1e-4
#: Values below this share of the largest of all tensors are rounding noise: the gradient of an attention key's bias
#: is mathematically zero, and two correct computations of it agree in nothing.
NOISE = 1e-9


@dataclass(frozen=True)
class ParameterCheck:
    """What the check found for one parameter.

    Attributes:
        name: The parameter.
        by_rule: Whether a rule covers it.
        error: Largest difference to the reference, relative to the tensor's largest value; NaN where the model's
            gradients are not finite.
        exact: Whether that is rounding.
    """

    name: str
    by_rule: bool
    error: float
    exact: bool


def self_check(model: nn.Module, layout: ParameterLayout) -> tuple[ParameterCheck, ...]:
    """Compare the rules with the batch-of-one reference on a small batch, one line for each parameter of θ.

    Raises:
        FisherError: The model has no head, or even the batch-of-one path does not give the reference's values.
    """
    head_of(model)  # a model without one is refused here, in words
    batch = _small_batch(model)
    with evaluating(model):
        expected = reference_fisher(model, [batch], layout)
    by_rule = set(layout.names) - set(Engine(model, layout).fallback)
    try:
        found = _run(model, layout, batch, ())
    except NotExactError:
        by_rule = set()
        found = _run(model, layout, batch, tuple(layout.names))
    errors = _errors(found, expected, layout)
    tolerance = TOLERANCE.get(next(iter(expected.values())).dtype, TOLERANCE_FLOAT32)
    checks = tuple(ParameterCheck(name, name in by_rule, error, error <= tolerance) for name, error in errors.items())
    wrong = [check.name for check in checks if check.error > tolerance and not check.by_rule]
    if wrong:
        raise FisherError(
            f"the gradient of '{wrong[0]}' depends on how examples are batched, so it cannot be measured.",
            "the model mixes examples of a batch, or is random in evaluation mode.",
        )
    return checks


#: Model → (layout, dtype, device) → names; by model, because two of a kind may be wired differently.
_CONFIRMED: WeakKeyDictionary[nn.Module, dict[tuple[str, ...], tuple[str, ...]]] = WeakKeyDictionary()


def without_rules(model: nn.Module, layout: ParameterLayout) -> tuple[str, ...]:
    """Return the names whose rules the check did not confirm; each model is checked once."""
    weight = next(model.parameters())
    known = _CONFIRMED.setdefault(model, {})
    key = (layout.digest, str(weight.dtype), str(weight.device))
    if key not in known:
        try:
            checks = self_check(model, layout)
        except NotFiniteError:
            # Nothing can be told from such weights; measuring fails by itself, and can name the language.
            return ()
        known[key] = tuple(check.name for check in checks if not (check.by_rule and check.exact))
    return known[key]


def _run(
    model: nn.Module, layout: ParameterLayout, batch: Mapping[str, Tensor], without: tuple[str, ...]
) -> dict[str, Tensor]:
    with Engine(model, layout, without_rules=without) as engine:
        engine.add(batch)
    return {name: total / engine.examples for name, total in engine.sums.items()}


def _errors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], layout: ParameterLayout) -> dict[str, float]:
    peaks = {name: float(expected[name].abs().max()) for name in layout.names}
    finite = all(math.isfinite(peak) for peak in peaks.values())
    floor = NOISE * max(peaks.values()) if finite else math.nan
    errors = {}
    for name, peak in peaks.items():
        difference = float((found[name] - expected[name]).abs().max())
        scale = max(peak, floor)
        errors[name] = difference / scale if scale else 0.0
    return errors if finite else dict.fromkeys(peaks, math.nan)


def _small_batch(model: Any) -> dict[str, Tensor]:
    """Return three examples of different lengths, with arbitrary pieces and two or more scored positions each."""
    rows = model.get_input_embeddings().weight.shape[0]
    padding = getattr(model.config, "pad_token_id", None) or 0
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(min(10, rows - 1), rows, (len(LENGTHS), max(LENGTHS)), generator=generator)
    attention = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for n, length in enumerate(LENGTHS):
        attention[n, :length] = 1
        labels[n, 1:3] = ids[n, 1:3].roll(1)
    ids = ids.masked_fill(attention == 0, padding)
    batch = {"input_ids": ids, "attention_mask": attention, "labels": labels}
    return {name: values.to(device) for name, values in batch.items()}
