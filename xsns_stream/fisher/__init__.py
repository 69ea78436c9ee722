"""Computation of the diagonal empirical Fisher information of a model from a stream of batches.

* `engine`: the engine, which squares and accumulates the gradient of each example during the backward pass.
* `rules`: rules that compute the squared gradients of the parameters, one rule for each kind of module.
* `accumulators`: the running sums, and the part of the engine that rules use.
* `scoring`, `head`: the scored outputs of a batch, and a head that computes only these.
* `model_state`: context managers for evaluation mode, precision and checkpointing of a model.
* `own_loss`: measurement of any module with a loss that the caller defines.
* `estimators`: estimators that square the gradient of a whole batch, for comparison.
* `layer_groups`: measurement in groups of layers, for values that do not fit into memory.
* `memory`: an estimate of the size of batches that fit into memory.
* `reference`: a slow and simple computation of the same values.
* `selfcheck`: a comparison of engine and reference on a small batch, before a model is measured.
* `errors`: errors and warnings of a measurement, which name the language and the parameter.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import SupportsIndex, TypeAlias

import torch
from torch import Tensor, nn

from xsns_stream.errors import FisherError, UsageError
from xsns_stream.fisher.engine import Engine
from xsns_stream.fisher.errors import (
    HalfPrecisionWarning,
    default_provenance,
    error_context,
    half_precision_note,
    mixed_types,
)
from xsns_stream.fisher.estimators import BatchGradients
from xsns_stream.fisher.layer_groups import diagonal_fisher_in_groups, groups_of_layers, moments_of
from xsns_stream.fisher.memory import MOST_TOKENS, activation_bytes, is_out_of_memory, token_budget
from xsns_stream.fisher.model_state import AUTOCAST, caller_modes_off, weights_dtype
from xsns_stream.fisher.own_loss import Loss, OwnLossEngine, check_own_loss, loss_name, unconfirmed_names
from xsns_stream.fisher.scoring import kind_of
from xsns_stream.fisher.selfcheck import HALVES, ParameterCheck, self_check, without_rules
from xsns_stream.models.layout import ALL, parameter_layout
from xsns_stream.types import DiagonalFisher, FisherSettings, ParameterLayout, Provenance

__all__ = [
    "MOST_TOKENS",
    "HalfPrecisionWarning",
    "Measurement",
    "ParameterCheck",
    "activation_bytes",
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
    """Return a context manager that measures any number of batches; its method `add` measures one batch.

    The attribute `sums` divided by `count` is the Fisher information of all batches so far. In contrast to
    :func:`diagonal_fisher`, there is no self-check, and errors do not name the language.

    Args:
        model: The model, with its head.
        layout: θ, from :func:`xsns_stream.parameter_layout`.
        settings: Settings of the estimate; by default the paper's equation in float32.
        without_rules: Names of parameters that are measured one example at a time and not by a rule.
        seed: Seed for labels drawn from the model, and for the dropout of the estimator `authors`.

    Raises:
        UsageError: The weights are in half precision, and the settings request a different half precision.
    """
    settings = settings or FisherSettings()
    weights, computed = next(model.parameters()).dtype, AUTOCAST.get(settings.precision)
    if computed is not None and weights in AUTOCAST.values() and weights != computed:
        raise UsageError(
            f"weights in {str(weights).removeprefix('torch.')} cannot be computed in {settings.precision}.",
            "load the weights in float32, or choose the precision of the weights.",
        )
    if settings.batch_wise:
        return BatchGradients(model, layout, settings, seed=seed)
    return Engine(model, layout, settings, without_rules, moments=moments_of(settings), seed=seed)


def diagonal_fisher(
    model: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    layout: ParameterLayout | None = None,
    estimator: str = "per-example",
    token_reduction: str = "sum",
    *,
    labels: str = "data",
    precision: str = "float32",
    checkpoint: bool = False,
    seed: int = 0,
    language: str = "",
    provenance: Provenance | None = None,
    loss: Loss | None = None,
    blocks: Sequence[str] | str | None = None,
) -> DiagonalFisher:
    """Compute the exact per-example diagonal Fisher information of θ.

    f_i = 1/|D| Σ_j (∂ log p(y_j|x_j;θ)/∂θ_i)², where log p(y_j|x_j) is the sum over the scored positions of example j.
    The values do not depend on the division of the examples into batches, nor on padding.

    Weights in half precision cause a :class:`HalfPrecisionWarning`: transformers loads a checkpoint in the precision of
    its configuration or file, which is often float16.

    >>> import xsns_stream as xs
    >>> loaded = xs.load_model("mini")
    >>> encoded = loaded.tokenizer(["Habari ya <mask>."], return_tensors="pt")
    >>> labels = encoded["input_ids"].where(encoded["input_ids"] == loaded.tokenizer.mask_token_id, -100)
    >>> xs.diagonal_fisher(loaded.model, [encoded | {"labels": labels}]).layout.size
    3159040

    Args:
        model: A transformers model with a language-modelling head or a task head; with `loss`, any module. It runs in
            evaluation mode, and its state is restored afterwards.
        batches: Any iterable of batches in transformers' format: int64 `input_ids` and `attention_mask` [B, T], and
            `labels` (−100 marks positions that are not scored; the labels of a causal model are not shifted), or
            `start_positions` and `end_positions`. A DataLoader with a `DataCollatorForLanguageModeling` yields such
            batches. With `loss`, batches of any tensors {name: tensor [B, …]}. They are moved to the model's device.
        layout: θ; by default all blocks of a model of transformers, from :func:`xsns_stream.parameter_layout`, and
            every parameter of any other module.
        estimator: `per-example` is the paper's equation; :class:`xsns_stream.types.FisherSettings` describes the other
            estimators.
        token_reduction: `sum` follows the equation. `mean` first divides the log-likelihood of an example by its number
            of scored positions, which weights the example by the inverse square of that number.
        labels: `data`, or `sample` to draw each label from the model (true Fisher).
        precision: `float32`, or `bf16` or `fp16` for automatic mixed precision.
        checkpoint: Whether activations are computed again in the backward pass, which needs less memory and more time
            for the same values.
        seed: Seed for labels drawn from the model, and for the dropout of the estimator `authors`.
        language: Code of the language, for the result and for errors.
        provenance: Record of the origin of the values. By default it contains model, weights, θ, estimator, precision
            and seed.
        loss: A function (model, batch) → tensor [B] that returns −log p(y|x), or another loss, for each example. By
            default, the loss of transformers for the kind of the model is used.
        blocks: Names of the modules to measure, or `all` for every parameter, instead of `layout`.

    Returns:
        float32 values (float64 for a float64 model), finite and ≥ 0.

    Raises:
        FisherError: There is no batch; an example has nothing to score; a gradient is not finite (the error names the
            parameter and the language).
        UsageError: The estimator, token reduction, kind of labels or precision is unknown; or the model, the batches or
            the seed have a wrong type.

    Source: X-SNS, equation 1; the expectation over y is replaced by the observed labels (empirical Fisher).
    """
    settings = FisherSettings(estimator, token_reduction, labels, precision, checkpoint)
    _check_inputs(model, batches, loss)
    seed = _integer(seed)
    layout = _chosen_layout(model, layout, blocks)
    moved = _moved(batches, next(model.parameters()).device, as_given=loss is not None)
    with caller_modes_off(), mixed_types(model):
        if loss is None:
            unconfirmed = () if settings.batch_wise else without_rules(model, layout)
            running = measurement(model, layout, settings, without_rules=unconfirmed, seed=seed)
        else:
            check_own_loss(model, loss, settings)
            first, moved = _peeked(moved)
            unconfirmed = unconfirmed_names(model, layout, loss, first) if first is not None else ()
            running = OwnLossEngine(model, layout, loss, settings, unconfirmed)
    _warn_of_half_precision(model, layout, unconfirmed)
    size = 0
    with caller_modes_off(), running, error_context(running, language), mixed_types(model):
        for batch in moved:
            before = running.examples
            running.add(batch)
            size = max(size, running.examples - before)
    _require_examples(running, language)
    if provenance is None:
        known = default_provenance(model, layout, settings, size, running.examples, seed)
        estimator = known.estimator if loss is None else f"{settings.estimator}(loss={loss_name(loss)})"
        provenance = replace(known, estimator=estimator, fallback=tuple(unconfirmed))
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
    """Return 1/|D| Σ_j ∂ −log p(y_j|x_j;θ)/∂θ, the mean gradient, which is not squared.

    The cosine similarity of the mean gradients of two languages compares their directions. Arguments, warnings and
    errors are those of :func:`diagonal_fisher`.

    Returns:
        {parameter name: float32 tensor of its shape (float64 for a float64 model)}.
    """
    settings = FisherSettings(token_reduction=token_reduction)
    _check_inputs(model, batches, None)
    device = next(model.parameters()).device
    with caller_modes_off(), mixed_types(model):
        unconfirmed = without_rules(model, layout)
        running = Engine(model, layout, settings, unconfirmed, moments=("signed",))
    _warn_of_half_precision(model, layout, unconfirmed)
    with caller_modes_off(), running, error_context(running, language), mixed_types(model):
        for batch in _moved(batches, device):
            running.add(batch)
    _require_examples(running, language)
    return {name: total / running.count for name, total in running.sums.items()}


def _check_inputs(model: object, batches: object, loss: object) -> None:
    """Raise an error if the model or the batches have a wrong type, or if no loss is known for the model."""
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"the model cannot be of the type {type(model).__name__}.",
            "give a PyTorch model. The result of load_model contains it as the attribute `model`.",
        )
    if next(model.parameters(), None) is None:
        raise UsageError(f"{type(model).__name__} has no parameters, so there is nothing to measure.")
    if loss is None:
        kind_of(model)  # raises an error for a model whose loss is not known
    iterable = hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")
    if not iterable or isinstance(batches, str | Mapping | Tensor):
        raise UsageError(
            f"the batches cannot be of the type {type(batches).__name__}.", "give a list of batches, or a DataLoader."
        )


def _chosen_layout(
    model: nn.Module, layout: ParameterLayout | None, blocks: Sequence[str] | str | None
) -> ParameterLayout:
    """Return the given layout, or the one that `blocks` describes, or the default of the model."""
    if layout is not None:
        if blocks is not None:
            raise UsageError("both a layout and blocks were given.", "give one of them.")
        return layout
    if blocks is None and not hasattr(model, "config"):
        blocks = ALL
    return parameter_layout(model, blocks=blocks)


def _moved(
    batches: Iterable[Mapping[str, Tensor]], device: torch.device, as_given: bool = False
) -> Iterator[dict[str, Tensor]]:
    for batch in batches:
        yield _on_device(batch, device, as_given)


def _peeked(batches: Iterator[dict[str, Tensor]]) -> tuple[dict[str, Tensor] | None, Iterator[dict[str, Tensor]]]:
    """Return the first batch (None if there is no batch), and an iterator over all batches, including the first."""
    first = next(batches, None)
    return first, batches if first is None else chain([first], batches)


def _integer(seed: object) -> int:
    """Return a seed, which may be an integer of NumPy, as a Python integer."""
    if isinstance(seed, bool) or not isinstance(seed, SupportsIndex):
        raise UsageError(f"seed must be an integer, not {seed!r}.")
    return operator.index(seed)


def _on_device(batch: object, device: torch.device, as_given: bool = False) -> dict[str, Tensor]:
    """Return a batch on the model's device; unless `as_given`, integers become int64, which transformers needs.

    Tensors on the `meta` device are not moved; the engine raises an error for them.
    """
    if not isinstance(batch, Mapping):
        hint = "give {name: tensor}, such as the batches of a DataLoader with a DataCollatorForLanguageModeling."
        if isinstance(batch, tuple | list):
            names = "x, y" if len(batch) == 2 else ", ".join(f"x{n}" for n in range(len(batch)))
            entries = ", ".join(f"'{name}': {name}" for name in names.split(", "))
            hint = (
                f"name the tensors of each batch as the loss expects: ({{{entries}}} for {names} in loader). "
                "A model of transformers expects 'input_ids', 'attention_mask' and 'labels'."
            )
        raise UsageError(f"a batch cannot be of the type {type(batch).__name__}.", hint)
    moved = {}
    for name, values in batch.items():
        if not isinstance(values, Tensor):
            raise UsageError(
                f"'{name}' of a batch cannot be of the type {type(values).__name__}.",
                "convert it with torch.as_tensor, or remove it from the batches.",
            )
        is_narrow = not as_given and values.dtype in (torch.int8, torch.uint8, torch.int16, torch.int32)
        moved[name] = values if values.is_meta else values.to(device, torch.int64 if is_narrow else values.dtype)
    return moved


def _warn_of_half_precision(model: nn.Module, layout: ParameterLayout, unconfirmed: tuple[str, ...]) -> None:
    """Warn of weights in half precision; the warning points to the caller of the public function.

    `unconfirmed` are the names of the parameters that are measured one example at a time.
    """
    if weights_dtype(model) in HALVES:
        warnings.warn(HalfPrecisionWarning(half_precision_note(model, layout, unconfirmed)), stacklevel=3)


def _require_examples(running: Measurement, language: str) -> None:
    if not running.examples:
        about = f" of language '{language}'" if language else ""
        raise FisherError(
            f"there is no batch{about} to compute the Fisher information from.",
            "give at least one batch; a generator that was used before yields no further batches.",
        )
