"""Measurement of the Fisher information of any module for a loss function that the caller defines.

The loss function takes a model and a batch, and returns one value for each example. It replaces the losses of
transformers models, whose outputs and targets :mod:`xsns_stream.fisher.scoring` defines. The tensors of a batch may
have any names; the first axis of each tensor is the axis of the examples.

Because the model may be any module, the rules are checked on the first batch: a few of its examples are measured twice,
by the rules and one at a time. If the two results differ for a parameter, the parameter is measured one example at a
time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from xsns_stream.errors import FisherError, UsageError
from xsns_stream.fisher.engine import Engine, require_finite
from xsns_stream.fisher.layer_groups import moments_of
from xsns_stream.fisher.memory import is_out_of_memory
from xsns_stream.fisher.model_state import evaluating, recurrence_without_cudnn, sum_dtype
from xsns_stream.fisher.reference import single_gradients
from xsns_stream.fisher.rules import NotExactError
from xsns_stream.fisher.scoring import theta_of
from xsns_stream.fisher.selfcheck import (
    HALVES,
    TOLERANCE,
    TOLERANCE_FLOAT32,
    Comparison,
    parameters_of,
    relative_errors,
)
from xsns_stream.types import FisherSettings, ParameterLayout

Batch: TypeAlias = Mapping[str, Tensor]
#: (model, batch) → [B], the loss −log p(y|x) of each example.
Loss: TypeAlias = Callable[[Any, Batch], Tensor]

#: Number of examples that are compared.
CHECKED = 3
#: Largest accepted difference between the loss of an example alone and in a batch, relative to the largest loss.
SAME_LOSS = 1e-3


class OwnLossEngine(Engine):
    """Engine for a loss function that the caller defines.

    Args:
        model: Any module.
        layout: The parameters θ.
        loss: (model, batch) → one value for each example.
        settings: Estimator, precision, checkpointing.
        without_rules: Names of parameters that must not be measured by a rule.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: ParameterLayout,
        loss: Loss,
        settings: FisherSettings | None = None,
        without_rules: Collection[str] = (),
    ) -> None:
        settings = settings or FisherSettings()
        super().__init__(model, layout, settings, without_rules, moments=moments_of(settings), kind="own loss")
        self.loss = loss

    def by_example(self, x: Tensor, module: nn.Module) -> Tensor:
        """Return a view [B, T, D] of activations x [B, …, D] of the current pass."""
        if x.dim() < 2 or x.shape[0] != self.examples_in_pass:
            raise NotExactError(
                f"{type(module).__name__} got activations of shape {tuple(x.shape)} in a batch of "
                f"{self.examples_in_pass} examples",
                module,
            )
        return x[:, None] if x.dim() == 2 else x.flatten(1, -2)

    def add(self, batch: Batch) -> None:
        """Add the moments of the gradient of every example of a batch to the sums.

        Raises:
            FisherError: The batch has no example; its tensors have different numbers of examples; the loss is not one
                finite value for each example, or does not depend on θ.
        """
        examples = count_examples(batch)
        with recurrence_without_cudnn(self.model):
            self._add_parts(batch)
        self.examples += examples

    def _add_parts(self, batch: Batch) -> None:
        for part in single_examples(batch) if self._one_by_one else [dict(batch)]:
            try:
                self._backward(part)
            finally:
                self._forget_pass()

    def _backward(self, batch: Batch) -> None:
        self.examples_in_pass, self._lengths = count_examples(batch), {}
        with torch.enable_grad():
            with self._autocast():
                losses = loss_values(self.loss, self.model, batch)
            total = losses.to(sum_dtype(losses.dtype)).sum() * self._scale
        require_finite(total)
        _check_depends(total)
        self._run_backward(total.backward)


def check_own_loss(model: nn.Module, loss: object, settings: FisherSettings) -> None:
    """Raise an error if the loss, the settings or the model do not allow gradients of single examples.

    Raises:
        UsageError: The loss is not a function; a setting belongs to the losses of transformers; a batch normalisation
            uses the statistics of the batch.
    """
    if not callable(loss):
        raise UsageError(
            f"the loss cannot be of the type {type(loss).__name__}.", "give a function of a model and a batch."
        )
    if settings.batch_wise or settings.token_reduction != "sum" or settings.labels != "data":
        raise UsageError(
            "a loss of your own can only be combined with the estimators per-example and grad-abs.",
            "leave token_reduction and labels at their defaults; the loss decides what is scored.",
        )
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (module.training or module.running_mean is None):
            state = "in training mode" if module.running_mean is not None else "without running statistics"
            raise UsageError(
                f"the model has a batch normalisation {state} ('{name}'). Its output for one example depends on the "
                "other examples of the batch. The gradient of a single example is therefore not defined.",
                "call model.eval() first; the model then uses its running statistics."
                if module.running_mean is not None
                else "use a normalisation that works example by example, such as GroupNorm.",
            )


def unconfirmed_names(model: nn.Module, layout: ParameterLayout, loss: Loss, batch: Batch) -> tuple[str, ...]:
    """Return the names of parameters whose rule is not confirmed by a comparison on a few examples of a batch.

    If the weights are in half precision, or the batch has only one example, no rule is confirmed.

    Raises:
        FisherError: The loss of an example depends on the other examples of the batch, or on random numbers.
    """
    examples = min(count_examples(batch), CHECKED)
    few = {name: values[:examples] for name, values in batch.items()}
    with evaluating(model), recurrence_without_cudnn(model):
        _check_independent(model, loss, few)
        weights = next(model.parameters()).dtype
        if examples == 1 or weights in HALVES:
            # One example cannot show whether a rule keeps examples apart; rounding to half precision hides errors.
            return layout.names
        gradients = single_gradients(model, [loss_function(loss, model, one) for one in single_examples(few)], layout)
    expected = {name: torch.stack([g[name] for g in gradients]).square().mean(dim=0) for name in layout.names}
    refused: set[str] = set()
    engine = _measured(model, layout, loss, few, refused)
    rules = {id(p): rule.name for _, rule in engine.ruled for p in rule.parameters}
    parameters = theta_of(model, layout)
    compared = {
        name: Comparison(
            rules.get(id(parameters[name]), ""),
            float((engine.sums[name] / engine.count - values).abs().max()),
            float(values.abs().max()),
        )
        for name, values in expected.items()
    }
    errors = relative_errors(compared)
    tolerance = TOLERANCE.get(weights, TOLERANCE_FLOAT32)
    # A gradient of zero confirms nothing: the module may not have been used for these examples.
    return tuple(
        name for name, (rule, _, peak) in compared.items() if not (rule and peak > 0 and errors[name] <= tolerance)
    )


def _measured(model: nn.Module, layout: ParameterLayout, loss: Loss, batch: Batch, refused: set[str]) -> OwnLossEngine:
    """Measure a batch, without rules for the parameters in `refused`, and return the engine with the sums.

    If a rule fails for a module, the parameters of the module are added to `refused`, and the batch is measured again.
    """
    while True:
        engine = OwnLossEngine(model, layout, loss, without_rules=refused)
        try:
            with engine:
                engine.add(batch)
        except NotExactError as error:
            refused |= parameters_of(model, layout, error, refused)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            # A module that checks its inputs may fail with the tensors of a rule. Without rules, it runs unchanged.
            if is_out_of_memory(error) or refused >= set(layout.names):
                raise
            refused |= set(layout.names)
        else:
            return engine


def _check_independent(model: nn.Module, loss: Loss, batch: Batch) -> None:
    """Raise an error if the loss of an example in the batch differs from its loss in a batch of one."""
    with torch.no_grad():
        together = loss_values(loss, model, batch)
        alone = torch.cat([loss_values(loss, model, one) for one in single_examples(batch)])
    if not bool(torch.isfinite(together).all()):
        return  # the measurement reports it, with the language
    difference = float((together - alone).abs().max())
    tolerance = SAME_LOSS if together.dtype in (torch.float32, torch.float64) else 50 * SAME_LOSS
    if not difference <= tolerance * max(float(together.abs().max()), SAME_LOSS):
        raise FisherError(
            f"the loss of an example depends on the other examples of its batch (it differs by {difference:.2g}), or "
            "on random numbers.",
            "a single example then has no gradient of its own. Return the loss of each example, not divided by the "
            "size of the batch, and hide padding from the model.",
        )


# ------------------------------------------------------------------------------------- batches and losses


def count_examples(batch: Batch) -> int:
    """Return B, the length of the first axis of every tensor of a batch.

    Raises:
        FisherError: There is no tensor or no example, or the tensors have different lengths.
    """
    if not batch:
        raise FisherError("a batch has no tensors.", "give {name: tensor}, with the examples along the first axis.")
    lengths = {name: values.shape[0] if values.dim() else None for name, values in batch.items()}
    first, examples = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length is None:
            raise FisherError(
                f"'{name}' is a single number, and every tensor of a batch needs the examples along its first axis.",
                "leave constants out of the batch, and use them in the loss function.",
            )
        if length != examples:
            raise FisherError(
                f"the numbers of examples in a batch differ: {examples} in '{first}', and {length} in '{name}'.",
                "every tensor of a batch needs the examples along its first axis.",
            )
    if not examples:
        raise FisherError("a batch has no examples.", "leave out empty batches.")
    return int(examples or 0)


def single_examples(batch: Batch) -> list[dict[str, Tensor]]:
    """Return a list of batches of one example each, in the order of the batch."""
    return [{name: values[n : n + 1] for name, values in batch.items()} for n in range(count_examples(batch))]


def loss_values(loss: Loss, model: Any, batch: Batch) -> Tensor:
    """Return the loss of each example, [B].

    Raises:
        FisherError: The loss function did not return one value for each example.
    """
    values, examples = loss(model, batch), count_examples(batch)
    if not isinstance(values, Tensor):
        raise FisherError(
            f"the loss returned a value of the type {type(values).__name__}, not a tensor.",
            f"return a tensor with one value for each example, {examples} in total.",
        )
    if values.shape != (examples,):
        raise FisherError(
            f"the loss has the shape {list(values.shape)}; with one value for each example, it would be [{examples}].",
            "return one value for each example: reduction='none', then the sum over all axes but the first, for "
            "example losses.view(len(losses), -1).sum(dim=1).",
        )
    return values


def loss_function(loss: Loss, model: Any, batch: Batch) -> Callable[[], Tensor]:
    """Return a function without arguments that computes the sum of the losses of a batch."""

    def summed() -> Tensor:
        total = loss_values(loss, model, batch).sum()
        _check_depends(total)
        return total

    return summed


def _check_depends(total: Tensor) -> None:
    if not total.requires_grad:
        raise FisherError(
            "the loss does not depend on any measured parameter.",
            "compute the loss from the output of the model that the loss function receives, and do not use no_grad, "
            "detach or item.",
        )


def loss_name(loss: Any) -> str:
    """Return the name of a loss function for the provenance."""
    return str(getattr(loss, "__qualname__", type(loss).__qualname__))
