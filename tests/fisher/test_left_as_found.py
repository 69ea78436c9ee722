"""A measurement neither uses nor changes the state of the model: flags, modes, gradients, forward methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from transformers import AlbertConfig, AlbertForMaskedLM

import xsns_stream as xs
from tests.support.fisher_values import fisher
from xsns_stream.errors import FisherError
from xsns_stream.fisher import diagonal_fisher, self_check, selfcheck, without_rules
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.models import parameter_layout

LENGTHS = (3, 10, 17, 8)
VOCABULARY = 97
SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(3))
    attention = torch.ones_like(ids)
    attention[2, 5:] = 0
    labels = torch.full_like(ids, -100)
    labels[:, 1:3] = ids[:, 2:4]
    return {"input_ids": ids, "attention_mask": attention, "labels": labels}


def test_earlier_gradients_are_neither_counted_nor_lost() -> None:
    torch.manual_seed(0)
    model = AlbertForMaskedLM(AlbertConfig(embedding_size=8, **SIZES)).double().eval()
    layout = xs.parameter_layout(model)
    expected = reference_fisher(model, [batch()], layout)
    (model(**batch()).loss * 100).backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    result = xs.diagonal_fisher(model, [batch()], layout).to_dict()
    for name in layout.names:
        torch.testing.assert_close(result[name], expected[name], rtol=1e-10, atol=1e-18)
    after = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_a_training_step_survive_a_check_in_full_precision(dtype: torch.dtype) -> None:
    """A fine-tuned model has gradients, and the check compares some tensors in another type."""
    torch.manual_seed(0)
    model = AlbertForMaskedLM(AlbertConfig(embedding_size=8, **SIZES)).to(dtype).eval()
    model(**batch()).loss.backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    with selfcheck._in_full_precision(model, torch.float64):
        assert {p.dtype for p in model.parameters()} == {torch.float64}
        model(**batch()).loss.backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == before.keys()
    assert all(torch.equal(before[name], p.grad) for name, p in model.named_parameters() if name in before)
    assert all(torch.equal(weights[name], p) for name, p in model.named_parameters())


def state(model) -> dict[str, object]:
    """Return all state of a model that a measurement could change."""
    return {
        "flags": {name: p.requires_grad for name, p in model.named_parameters()},
        "gradients": [name for name, p in model.named_parameters() if p.grad is not None],
        "modes": {name: module.training for name, module in model.named_modules()},
        "attributes": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "parameters": {name: list(module._parameters) for name, module in model.named_modules()},
        "hooks": [
            (name, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for name, m in model.named_modules()
        ],
        "parameter hooks": [n for n, p in model.named_parameters() if p._post_accumulate_grad_hooks],
        "weights": {name: (id(p), p._version) for name, p in model.named_parameters()},
    }


@pytest.fixture
def mixed(make_model):
    """Return a model that is partly frozen and partly in training mode, which no single call restores."""
    model = make_model("bert").train()
    model.bert.encoder.layer[0].eval()
    model.bert.encoder.layer[1].output.dense.weight.requires_grad_(False)
    model.bert.embeddings.requires_grad_(False)
    return model


@pytest.mark.parametrize("times", [1, 2])
def test_the_model_is_not_changed(times, mixed, draw, collate) -> None:
    before = state(mixed)
    for _ in range(times):
        fisher(mixed, collate(draw(LENGTHS), 2))
        assert state(mixed) == before
    self_check(mixed, parameter_layout(mixed))
    assert state(mixed) == before


@pytest.mark.parametrize("checked", [True, False], ids=["checked before", "not checked before"])
def test_the_model_is_restored_after_an_error(checked, mixed, draw, collate) -> None:
    before, batches = state(mixed), collate(draw(LENGTHS), 2)
    layout = parameter_layout(mixed)
    if checked:
        without_rules(mixed, layout)
    batches[1]["labels"][0, 0] = VOCABULARY
    with pytest.raises(FisherError):
        fisher(mixed, batches)
    assert state(mixed) == before

    def breaks_off() -> Iterator[dict[str, torch.Tensor]]:
        yield collate(draw((5, 5)), 2)[0]
        raise RuntimeError("the reader broke")

    with pytest.raises(RuntimeError, match="the reader broke"):
        fisher(mixed, breaks_off())
    assert state(mixed) == before


def test_the_model_is_restored_where_it_fails_itself(mixed, draw, collate) -> None:
    layout, before = parameter_layout(mixed), state(mixed)
    without_rules(mixed, layout)

    def fails(module, args) -> None:
        raise MemoryError("no room")

    with mixed.bert.encoder.layer[1].register_forward_pre_hook(fails), pytest.raises(MemoryError):
        diagonal_fisher(mixed, collate(draw((5, 6)), 2), layout)
    assert state(mixed) == before
    assert fisher(mixed, collate(draw((5, 6)), 2))


@pytest.mark.parametrize("estimator", ["per-example", "per-batch"])
def test_nothing_is_changed_in_a_model_without_a_head(estimator, make_model, draw, collate) -> None:
    body = make_model("bert").bert
    before = state(body)
    with pytest.raises(FisherError, match="BertModel has no head"):
        fisher(body, collate(draw((5, 6)), 2), estimator=estimator)
    assert state(body) == before


WAYS = {
    "checkpoint": {"checkpoint": True},
    "grad-abs": {"estimator": "grad-abs"},
    "per-batch": {"estimator": "per-batch"},
    "per-batch, checkpoint": {"estimator": "per-batch", "checkpoint": True},
    "authors": {"estimator": "authors"},
    "sample": {"labels": "sample"},
    "bf16": {"precision": "bf16"},
    "fp16, checkpoint": {"precision": "fp16", "checkpoint": True},
}


def fails_backward(model) -> Any:
    """Let the backward pass fail in the lower block, after the upper block was measured."""

    def refuse(gradient) -> None:
        raise MemoryError("no room")

    def note(module, args, output) -> None:
        values = output[0] if isinstance(output, tuple) else output
        if values.requires_grad:
            values.register_hook(refuse)

    return parameter_layout(model), model.get_submodule(parameter_layout(model).layers[0].name).register_forward_hook(
        note
    )


@pytest.mark.parametrize("setting", WAYS)
@pytest.mark.parametrize("family", ["bert", "albert", "deberta-v2", "t5", "mixtral", "gpt2"])
def test_every_choice_of_parameters_and_settings_leaves_the_model_unchanged(family, setting, zoo) -> None:
    """The models have rules for all modules, shared modules, modules without a rule, and rules for other methods."""
    model = zoo.make(family, torch.float32).train()
    own = model.get_submodule(parameter_layout(model).layers[0].name)
    own.eval()
    before = state(model)
    batches = [zoo.batch(model, family, (5, 6)), zoo.batch(model, family, (4, 7), seed=1)]
    first = fisher(model, batches, **WAYS[setting])
    assert state(model) == before
    layout, hook = fails_backward(model)
    with hook, pytest.raises(MemoryError, match="no room"):
        diagonal_fisher(model, batches, layout, **WAYS[setting])
    assert state(model) == before
    again = fisher(model, batches, **WAYS[setting])
    assert all(torch.equal(again[name], values) for name, values in first.items())
