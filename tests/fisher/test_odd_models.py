"""Models with a module for which its rule is wrong: values are exact, measured one example at a time, with a note."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from xsns_stream.errors import FisherError
from xsns_stream.fisher import diagonal_fisher, error_context, measurement, self_check, without_rules
from xsns_stream.fisher.engine import Engine
from xsns_stream.models import parameter_layout

BLOCK = "bert.encoder.layer.0."
DENSE = f"{BLOCK}output.dense"
LENGTHS = (6, 9, 4, 4)


class Gained(nn.Module):
    """A linear map with an additional vector."""

    def __init__(self, inner: nn.Module, size: int = 32) -> None:
        super().__init__()
        self.inner = inner
        self.gain = nn.Parameter(torch.linspace(0.5, 2.0, size, dtype=torch.float64))

    def forward(self, x):
        return self.inner(x) * self.gain


class GainedByHead(Gained):
    """A module with a vector that is multiplied along another axis than the last."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner, 4)

    def forward(self, x):
        y = self.inner(x)
        return (y.view(*y.shape[:-1], 4, 8) * self.gain[:, None]).view(y.shape)


class HeadsNormed(Gained):
    """A norm of activations [B · T, heads, size], as some attentions apply it to queries and keys."""

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.linspace(0.5, 2.0, 8, dtype=torch.float64))

        def forward(self, x):
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.norm = self.Norm()

    def forward(self, x):
        y = super().forward(x)
        return self.norm(y.reshape(-1, 4, 8)).view(y.shape)


class LowRank(nn.Module):
    """A linear map with two matrices, which no rule covers."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        generator = torch.Generator().manual_seed(4)
        self.left = nn.Parameter(torch.randn(64, 3, generator=generator, dtype=torch.float64))
        self.right = nn.Parameter(torch.randn(3, 32, generator=generator, dtype=torch.float64))

    def forward(self, x):
        return self.inner(x) + x @ self.left @ self.right


class Squaring(nn.Linear):
    """A subclass of a linear layer that computes something else."""

    def forward(self, x):
        return super().forward(x) + 0.1 * nn.functional.linear(x**2, self.weight)


class Twice(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(torch.tanh(self.inner(x)))


class Turned(nn.Module):
    """A module that calls its layer with [T, B, …], as some models do."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


class HalfIgnored(nn.Module):
    """A module that runs its layer twice and uses only one of the outputs."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        self.inner(torch.tanh(x))
        return self.inner(x)


class Unused(nn.Module):
    """A module with a parameter that the output does not depend on."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.idle = nn.Linear(3, 5, dtype=torch.float64)

    def forward(self, x):
        return self.inner(x)


class Mixing(nn.Module):
    """A module that mixes the examples of a batch."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) + x.mean(dim=(0, 1), keepdim=True)[..., :32]


def low_rank(layers: Any) -> set[str]:
    layers[0].output.dense = LowRank(layers[0].output.dense)
    return {f"{DENSE}.left", f"{DENSE}.right"}


def gained(layers: Any) -> set[str]:
    layers[0].attention.output.dense = Gained(layers[0].attention.output.dense)
    return set()


def gained_by_head(layers: Any) -> set[str]:
    layers[0].output.dense = GainedByHead(layers[0].output.dense)
    return {f"{DENSE}.gain"}


def heads_normed(layers: Any) -> set[str]:
    layers[0].attention.output.dense = HeadsNormed(layers[0].attention.output.dense)
    return set()


def used_twice(layers: Any) -> set[str]:
    layers[0].attention.output.dense = Twice(layers[0].attention.output.dense)
    return set()


def one_block_twice(layers: Any) -> set[str]:
    layers[1] = layers[0]
    return set()


def one_block_three_times(layers: Any) -> set[str]:
    layers[1] = layers[0]
    layers.append(layers[0])
    return set()


def turned(layers: Any) -> set[str]:
    layers[0].output.dense = Turned(layers[0].output.dense)
    return {f"{DENSE}.inner.weight", f"{DENSE}.inner.bias"}


def half_ignored(layers: Any) -> set[str]:
    layers[0].attention.output.dense = HalfIgnored(layers[0].attention.output.dense)
    return {f"{BLOCK}attention.output.dense.inner.weight", f"{BLOCK}attention.output.dense.inner.bias"}


def scaled_block(layers: Any) -> set[str]:
    """A block that owns a vector."""
    kind = type(layers[0])

    def forward(self, hidden, *args, **kwargs):
        output = kind.forward(self, hidden, *args, **kwargs)
        return (output[0] * self.gain, *output[1:]) if isinstance(output, tuple) else output * self.gain

    layers[0].gain = nn.Parameter(torch.linspace(0.5, 2.0, 32, dtype=torch.float64))
    layers[0].__class__ = type("Scaled", (kind,), {"forward": forward})
    return set()


def subclass(layers: Any) -> set[str]:
    old, layers[0].output.dense = layers[0].output.dense, Squaring(64, 32, dtype=torch.float64)
    layers[0].output.dense.load_state_dict(old.state_dict())
    return {f"{DENSE}.weight", f"{DENSE}.bias"}


def shared_weight(layers: Any) -> set[str]:
    first, second = (layer.attention.self for layer in layers)
    second.query.weight = first.query.weight
    query = "attention.self.query."
    return {f"{BLOCK}{query}weight", f"{BLOCK}{query}bias", f"bert.encoder.layer.1.{query}bias"}


def own_forward(layers: Any) -> set[str]:
    dense = layers[0].output.dense
    dense.forward = lambda x: 2 * nn.Linear.forward(dense, x)
    return {f"{DENSE}.weight", f"{DENSE}.bias"}


def computed_weight(layers: Any) -> set[str]:
    weight_norm(layers[0].output.dense)
    parts = ("bias", "parametrizations.weight.original0", "parametrizations.weight.original1")
    return {f"{DENSE}.{part}" for part in parts}


def unused(layers: Any) -> set[str]:
    layers[0].output.dense = Unused(layers[0].output.dense)
    return set()


def forward_hook(layers: Any) -> set[str]:
    layers[0].output.dense.register_forward_hook(lambda module, args, output: output * 3)
    return set()


EXACT_BY_RULE = (
    gained,
    heads_normed,
    used_twice,
    one_block_twice,
    one_block_three_times,
    scaled_block,
    unused,
    forward_hook,
)
ONE_BY_ONE = (low_rank, gained_by_head, subclass, shared_weight, own_forward, computed_weight, turned, half_ignored)


@pytest.mark.parametrize("checkpoint", [False, True], ids=["kept", "checkpoint"])
@pytest.mark.parametrize(
    "lengths", [LENGTHS, pytest.param((4, 4, 4, 4), marks=pytest.mark.slow)], ids=["ragged", "square"]
)
@pytest.mark.parametrize("change", EXACT_BY_RULE + ONE_BY_ONE, ids=lambda change: change.__name__)
def test_unusual_modules_are_exact_and_the_slow_ones_are_listed(
    change, lengths, checkpoint, make_model, draw, collate, truth, errors
) -> None:
    model, examples = make_model("bert"), draw(lengths)
    by_one = change(model.bert.encoder.layer)
    assert bool(by_one) == (change in ONE_BY_ONE)
    layout = parameter_layout(model)
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    expected = truth(model, examples, layout.names)
    result = diagonal_fisher(model, collate(examples, 4), layout, checkpoint=checkpoint)
    assert max(errors(result.to_dict(), expected).values()) <= 1e-12
    assert set(without_rules(model, layout)) == by_one
    assert set(Engine(model, layout, without_rules=by_one).fallback) == by_one
    assert {check.name for check in self_check(model, layout) if not check.by_rule or not check.exact} == by_one
    assert {name: set(vars(module)) for name, module in model.named_modules()} == before
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("estimator", ["grad-abs", "per-batch"])
@pytest.mark.parametrize(
    "change", [low_rank, used_twice, one_block_twice, scaled_block], ids=lambda change: change.__name__
)
def test_other_estimators_are_exact_for_single_examples(change, estimator, make_model, draw, collate, errors) -> None:
    """With one example per batch, every estimator is a function of the gradients of single examples."""
    model, batches = make_model("bert"), collate(draw((7,)), 1)
    change(model.bert.encoder.layer)
    layout = parameter_layout(model)
    square = diagonal_fisher(model, batches, layout).to_dict()
    result = diagonal_fisher(model, batches, layout, estimator).to_dict()
    expected = {name: values.sqrt() if estimator == "grad-abs" else values for name, values in square.items()}
    # A square root doubles the number of digits that rounding affects.
    assert max(errors(result, expected).values()) <= 1e-7


def test_a_head_that_takes_tokens_without_a_batch_axis_is_measured(make_model, draw, collate, truth, errors) -> None:
    """Some models call their head with [B · T, hidden], for which all logits are computed."""
    from transformers.modeling_outputs import MaskedLMOutput

    def forward(self, labels=None, **inputs):
        hidden = self.bert(**inputs).last_hidden_state
        return MaskedLMOutput(logits=self.cls(hidden.flatten(0, 1)).view(*hidden.shape[:2], -1))

    model, examples = make_model("bert"), draw(LENGTHS)
    model.__class__ = type("Flat", (type(model),), {"forward": forward})
    layout = parameter_layout(model)
    result = diagonal_fisher(model, collate(examples, 4), layout).to_dict()
    assert max(errors(result, truth(model, examples, layout.names)).values()) <= 1e-12
    assert without_rules(model, layout) == ()


def test_an_unused_parameter_has_a_value_of_zero(make_model, draw, collate) -> None:
    model = make_model("bert")
    unused(model.bert.encoder.layer)
    result = diagonal_fisher(model, collate(draw(LENGTHS), 4), parameter_layout(model)).to_dict()
    assert not result[f"{DENSE}.idle.weight"].any()
    assert result[f"{DENSE}.inner.weight"].any()


def test_examples_that_see_one_another_are_measured_alone(make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model("bert"), draw(LENGTHS)
    model.bert.encoder.layer[0].output.dense = Mixing(model.bert.encoder.layer[0].output.dense)
    layout = parameter_layout(model)
    result = diagonal_fisher(model, collate(examples, 4), layout).to_dict()
    assert max(errors(result, truth(model, examples, layout.names)).values()) <= 1e-12
    assert without_rules(model, layout)


def test_each_model_is_checked_on_its_own(make_model, draw, collate, truth, errors) -> None:
    """A model of one block, and a model that uses one block twice, have the same class and layout."""
    plain, twice = make_model("bert", num_hidden_layers=1), make_model("bert")
    one_block_twice(twice.bert.encoder.layer)
    layout, examples = parameter_layout(plain), draw(LENGTHS)
    assert layout.digest == parameter_layout(twice).digest
    assert without_rules(plain, layout) == ()
    result = diagonal_fisher(twice, collate(examples, 4), layout).to_dict()
    assert max(errors(result, truth(twice, examples, layout.names)).values()) <= 1e-12


def test_unchecked_batches_are_refused_when_the_error_shows(make_model, draw, collate) -> None:
    model = make_model("bert")
    turned(model.bert.encoder.layer)
    running = measurement(model, parameter_layout(model))
    (batch,) = collate(draw(LENGTHS), 4)
    refused = r"Linear got activations of shape \(9, 4, 64\) in a batch of 4 examples × 9 positions"
    with pytest.raises(FisherError, match=refused) as caught:  # noqa: SIM117
        with running, error_context(running, "sw"):
            running.add(batch)
    assert caught.value.message.startswith("a batch of language 'sw' cannot be split into examples")


def test_explicit_names_are_measured_one_by_one(make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model("xlm-roberta"), draw(LENGTHS)
    layout = parameter_layout(model)
    with Engine(model, layout, without_rules=layout.names[:1]) as engine:
        for batch in collate(examples, 2):
            engine.add(batch)
    # The weight and the bias of a linear layer are measured together.
    assert engine.fallback == layout.names[:2]
    result = {name: total / engine.examples for name, total in engine.sums.items()}
    assert max(errors(result, truth(model, examples, layout.names)).values()) <= 1e-12
