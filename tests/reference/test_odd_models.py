"""Models in which a module is not what its rule was written for: still exact, one example at a time, and said so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from xsns_stream.errors import FisherError
from xsns_stream.fisher import diagonal_fisher, self_check, without_rules
from xsns_stream.fisher.engine import Engine
from xsns_stream.models import parameter_layout

BLOCK = "bert.encoder.layer.0."
DENSE = f"{BLOCK}output.dense"
LENGTHS = (6, 9, 4, 4)


class Gained(nn.Module):
    """A linear map with a parameter of its own, which no rule knows."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.gain = nn.Parameter(torch.linspace(0.5, 2.0, 32, dtype=torch.float64))

    def forward(self, x):
        return self.inner(x) * self.gain


class Squaring(nn.Linear):
    """A linear layer by class, and not by what it does."""

    def forward(self, x):
        return super().forward(x) + 0.1 * nn.functional.linear(x**2, self.weight)


class Twice(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(torch.tanh(self.inner(x)))


class Turned(nn.Module):
    """Runs its layer on [T, B, …], as some models do throughout."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(0, 1)).transpose(0, 1)


class Unused(nn.Module):
    """Holds a parameter that the output does not depend on."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.idle = nn.Linear(3, 5, dtype=torch.float64)

    def forward(self, x):
        return self.inner(x)


class Mixing(nn.Module):
    """Lets the examples of a batch see one another."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) + x.mean(dim=(0, 1), keepdim=True)[..., :32]


def gained(layers: Any) -> set[str]:
    layers[0].output.dense = Gained(layers[0].output.dense)
    return {f"{DENSE}.gain"}


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


SOME = (gained, subclass, shared_weight, own_forward, computed_weight, unused, forward_hook)


def used_twice(layers: Any) -> None:
    layers[0].attention.output.dense = Twice(layers[0].attention.output.dense)


def one_block_twice(layers: Any) -> None:
    layers[1] = layers[0]


def turned(layers: Any) -> None:
    layers[0].output.dense = Turned(layers[0].output.dense)


ALL = (used_twice, one_block_twice, turned)


@pytest.mark.parametrize("change", SOME, ids=lambda change: change.__name__)
@pytest.mark.parametrize("lengths", [LENGTHS, (4, 4, 4, 4)], ids=["ragged", "square"])
def test_what_no_rule_covers_is_exact_and_listed(change, lengths, make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model("bert"), draw(lengths)
    by_one = change(model.bert.encoder.layer)
    layout = parameter_layout(model)
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    expected = truth(model, examples, layout.names)
    found = diagonal_fisher(model, collate(examples, 4), layout)
    assert max(errors(found.to_dict(), expected).values()) <= 1e-12
    assert set(without_rules(model, layout)) == by_one == set(Engine(model, layout).fallback)
    assert {check.name for check in self_check(model, layout) if not check.by_rule} == by_one
    assert {name: set(vars(module)) for name, module in model.named_modules()} == before
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("change", ALL, ids=lambda change: change.__name__)
@pytest.mark.parametrize("lengths", [LENGTHS, (4, 4, 4, 4)], ids=["ragged", "square"])
def test_an_order_of_things_no_rule_expects(change, lengths, make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model("bert"), draw(lengths)
    change(model.bert.encoder.layer)
    layout = parameter_layout(model)
    expected = truth(model, examples, layout.names)
    found = diagonal_fisher(model, collate(examples, 4), layout)
    assert max(errors(found.to_dict(), expected).values()) <= 1e-12
    assert set(without_rules(model, layout)) == set(layout.names)
    assert all(check.exact and not check.by_rule for check in self_check(model, layout))


def test_an_unused_parameter_is_worth_nothing(make_model, draw, collate) -> None:
    model = make_model("bert")
    unused(model.bert.encoder.layer)
    found = diagonal_fisher(model, collate(draw(LENGTHS), 4), parameter_layout(model)).to_dict()
    assert not found[f"{DENSE}.idle.weight"].any()
    assert found[f"{DENSE}.inner.weight"].any()


def test_examples_that_see_one_another_are_measured_alone(make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model("bert"), draw(LENGTHS)
    model.bert.encoder.layer[0].output.dense = Mixing(model.bert.encoder.layer[0].output.dense)
    layout = parameter_layout(model)
    found = diagonal_fisher(model, collate(examples, 4), layout).to_dict()
    assert max(errors(found, truth(model, examples, layout.names)).values()) <= 1e-12
    assert without_rules(model, layout)


def test_a_model_is_judged_by_itself_and_not_by_its_likes(make_model, draw, collate, truth, errors) -> None:
    """A model of one block, and one of two blocks that are the same one, have the same class and layout."""
    plain, twice = make_model("bert", num_hidden_layers=1), make_model("bert")
    one_block_twice(twice.bert.encoder.layer)
    layout, examples = parameter_layout(plain), draw(LENGTHS)
    assert layout.digest == parameter_layout(twice).digest
    assert without_rules(plain, layout) == ()
    found = diagonal_fisher(twice, collate(examples, 4), layout).to_dict()
    assert max(errors(found, truth(twice, examples, layout.names)).values()) <= 1e-12


def test_a_change_after_the_check_is_refused(make_model, draw, collate) -> None:
    model = make_model("bert")
    layout, batches = parameter_layout(model), collate(draw(LENGTHS), 4)
    diagonal_fisher(model, batches, layout)
    layer = model.bert.encoder.layer[0].attention.output
    plain = layer.forward
    layer.forward = lambda hidden, residual: plain(layer.dense(hidden), residual)
    with pytest.raises(FisherError, match="used more than once in a pass") as caught:
        diagonal_fisher(model, batches, layout, language="sw")
    assert caught.value.message.startswith("a batch of language 'sw' cannot be split into examples")


def test_explicit_names_go_one_by_one(make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model("xlm-roberta"), draw(LENGTHS)
    layout = parameter_layout(model)
    with Engine(model, layout, without_rules=layout.names[:1]) as engine:
        for batch in collate(examples, 2):
            engine.add(batch)
    # A linear layer's weight and bias go together.
    assert engine.fallback == layout.names[:2]
    found = {name: total / engine.examples for name, total in engine.sums.items()}
    assert max(errors(found, truth(model, examples, layout.names)).values()) <= 1e-12
