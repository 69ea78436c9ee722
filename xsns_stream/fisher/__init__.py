"""Diagonal empirical Fisher information, streamed: model × batches → :class:`DiagonalFisher`.

* `engine`: squares and accumulates inside the backward, each example's gradient apart.
* `rules`: how each kind of module does that.
* `predictions`, `head`: what a batch asks the model for, and how the head is spared.
* `batchwise`: estimators that square a whole batch's gradient, to be compared with.
* `grouped`, `sizing`: θ in groups that fit; batches that fit.
* `reference`: the slow, obvious computation of the same.
* `selfcheck`, `confirmed`: the two compared on a small batch before a model is trusted to the rules.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from torch import Tensor, nn

from xsns_stream.errors import FisherError, UsageError
from xsns_stream.fisher.engine import Engine
from xsns_stream.fisher.errors import HalfPrecisionWarning, default_provenance, error_context, half_precision_note
from xsns_stream.fisher.estimators import BatchGradients
from xsns_stream.fisher.layer_groups import diagonal_fisher_in_groups, groups_of_layers, moments_of
from xsns_stream.fisher.memory import is_out_of_memory, token_budget
from xsns_stream.fisher.model_state import AUTOCAST
from xsns_stream.fisher.selfcheck import HALVES, ParameterCheck, self_check, without_rules
from xsns_stream.types import DiagonalFisher, FisherSettings, ParameterLayout, Provenance

__all__ = [
    "HalfPrecisionWarning",
    "Measurement",
    "ParameterCheck",
    "diagonal_fisher",
    "diagonal_fisher_in_groups",
    "error_context",
    "groups_of_layers",
    "is_out_of_memory",
    "mean_gradient",
    "measurement",
    "self_check",
    "token_budget",
    "without_rules",
]

Measurement: TypeAlias = Engine | BatchGradients


def measurement(
    model: nn.Module,
    layout: ParameterLayout,
    settings: FisherSettings | None = None,
    *,
    without_rules: Collection[str] = (),
    seed: int = 0,
) -> Measurement:
    """Return an open-ended measurement: a context manager whose `add` takes one batch after the other.

    `sums` divided by `count` is the running Fisher information at any moment. :func:`diagonal_fisher` is this with a
    self-check before it and errors that name the language.
    """
    settings = settings or FisherSettings()
    weights, computed = next(model.parameters()).dtype, AUTOCAST.get(settings.precision)
    if computed is not None and weights in AUTOCAST.values() and weights != computed:
        raise UsageError(
            f"weights in {str(weights).removeprefix('torch.')} cannot be computed in {settings.precision}.",
            "load the weights in float32, or choose the precision that they have.",
        )
    if settings.batch_wise:
        return BatchGradients(model, layout, settings, seed=seed)
    return Engine(model, layout, settings, without_rules, moments=moments_of(settings), seed=seed)


def diagonal_fisher(
    model: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    layout: ParameterLayout,
    estimator: str = "per-example",
    token_reduction: str = "sum",
    *,
    labels: str = "data",
    precision: str = "float32",
    checkpoint: bool = False,
    seed: int = 0,
    language: str = "",
    provenance: Provenance | None = None,
) -> DiagonalFisher:
    """Compute the exact per-example diagonal Fisher information of θ.

    Weights in half precision are announced by a :class:`HalfPrecisionWarning`: transformers loads a checkpoint in the
    precision that its configuration or its file names, float16 for many.

    f_i = 1/|D| Σ_j (∂ log p(y_j|x_j;θ)/∂θ_i)², where log p(y_j|x_j) is the sum over example j's own scored
    positions. The values do not depend on how the examples are batched, padding included.

    Args:
        model: A model of transformers with a language-modelling or a task head; run in evaluation mode, left as it
            was found.
        batches: As transformers has them: int64 `input_ids` and `attention_mask` [B, T], and `labels` (−100 = not
            scored; a causal model's are not shifted), or `start_positions` and `end_positions`; on the model's device.
        layout: θ, from :func:`xsns_stream.parameter_layout`.
        estimator: `per-example`, the paper's equation; see :class:`xsns_stream.types.FisherSettings` for the others.
        token_reduction: `sum` reads the equation literally; `mean` divides an example's log-likelihood by its
            number of scored positions first, which weights examples by its inverse square.
        labels: `data`, or `sample` to draw each label from the model (true Fisher).
        precision: `float32`, or `bf16`, `fp16` for automatic mixed precision.
        checkpoint: Compute activations again in the backward: less memory, more time, the same values.
        seed: For labels drawn from the model, and for the authors' dropout.
        language: Code of the language; also named in errors.
        provenance: Kept with the result; by default what is known here: model, weights, θ, estimator, precision, seed.

    Returns:
        float32 values (float64 for a float64 model), finite and ≥ 0.

    Raises:
        FisherError: No batch; an example with nothing to score; a gradient that is not finite (the parameter and
            the language are named).
        UsageError: An unknown estimator, token reduction, kind of labels or precision.

    Source: X-SNS, equation 1; expectation over y replaced by the observed labels (empirical Fisher).
    """
    settings = FisherSettings(estimator, token_reduction, labels, precision, checkpoint)
    unconfirmed = () if settings.batch_wise else without_rules(model, layout)
    running = measurement(model, layout, settings, without_rules=unconfirmed, seed=seed)
    _warn_of_halves(model, layout, unconfirmed)
    size = 0
    with running, error_context(running, language):
        for batch in batches:
            size = max(size, len(batch["input_ids"]) if "input_ids" in batch else 0)
            running.add(batch)
    _refuse_nothing(running, language)
    if provenance is None:
        provenance = replace(
            default_provenance(model, layout, settings, size, running.examples, seed), fallback=tuple(unconfirmed)
        )
    values = tuple((running.sums[name] / running.count).cpu().numpy() for name in layout.names)
    return DiagonalFisher(values, layout, running.examples, language, provenance)


def mean_gradient(
    model: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    layout: ParameterLayout,
    token_reduction: str = "sum",
    *,
    language: str = "",
) -> dict[str, Tensor]:
    """Return 1/|D| Σ_j ∂ −log p(y_j|x_j;θ)/∂θ, the signed mean whose cosine compares languages' directions.

    Arguments, warnings and errors as for :func:`diagonal_fisher`.

    Returns:
        {parameter name: float32 tensor of its shape (float64 for a float64 model)}.
    """
    settings = FisherSettings(token_reduction=token_reduction)
    unconfirmed = without_rules(model, layout)
    _warn_of_halves(model, layout, unconfirmed)
    with Engine(model, layout, settings, unconfirmed, moments=("signed",)) as running, error_context(running, language):
        for batch in batches:
            running.add(batch)
    _refuse_nothing(running, language)
    return {name: total / running.count for name, total in running.sums.items()}


def _warn_of_halves(model: nn.Module, layout: ParameterLayout, unconfirmed: tuple[str, ...]) -> None:
    """Announce weights in half precision where the caller's caller stands."""
    if next(model.parameters()).dtype in HALVES:
        warnings.warn(HalfPrecisionWarning(half_precision_note(model, layout, unconfirmed)), stacklevel=3)


def _refuse_nothing(running: Measurement, language: str) -> None:
    if not running.examples:
        about = f" of language '{language}'" if language else ""
        raise FisherError(f"there is no batch{about} to compute the Fisher information from.")
