"""The streaming engine agrees with an ordinary loop over single examples, and does not change the model."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from tests.support.fisher_values import fisher
from xsns_stream.fisher import diagonal_fisher, self_check, without_rules
from xsns_stream.fisher.engine import Engine
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.models import parameter_layout

FAMILIES = ("xlm-roberta", "bert", "roberta", "electra", "distilbert", "albert")
#: Lengths of 32 examples: every length from 3 to 18 twice, in an order in which every batch needs padding.
LENGTHS = tuple(3 + (7 * n) % 16 for n in range(32))
VOCABULARY = 97
# A sum of some hundred products of rounded factors is good to about 20 ulp: 4e-15 in float64, 2.4e-6 in float32.
# The square doubles that; the rest is room for other processors.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-6}


# ------------------------------------------------------------------------------------------- exact


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_agrees_with_a_loop_over_examples(family, dtype, reduction, make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model(family, dtype), draw(LENGTHS[:12])
    layout = parameter_layout(model)
    expected = truth(model, examples, layout.names, reduction)
    result = diagonal_fisher(model, collate(examples, 5), layout, token_reduction=reduction)
    assert result.examples == 12
    # The self-check would replace a wrong rule by the slow path, so that no parameter may be without a rule.
    assert without_rules(model, layout) == ()
    assert {v.dtype for v in result.values} == {np.dtype("float64" if dtype == torch.float64 else "float32")}
    worst = errors(result.to_dict(), expected)
    assert max(worst.values()) <= TOLERANCE[dtype], max(worst.items(), key=lambda item: item[1])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_packaged_reference_agrees_too(family, reduction, make_model, draw, collate, truth, errors) -> None:
    model, examples = make_model(family), draw(LENGTHS[:6], seed=1)
    layout = parameter_layout(model)
    result = reference_fisher(model, collate(examples, 4), layout, reduction)
    assert max(errors(result, truth(model, examples, layout.names, reduction)).values()) <= 1e-12


def test_the_bias_of_a_key_is_rounding_noise(small, draw, collate) -> None:
    result = fisher(small, collate(draw(LENGTHS[:8]), 4))
    largest = max(float(values.max()) for values in result.values())
    keys = [values for name, values in result.items() if name.endswith("key.bias")]
    assert len(keys) == 2
    assert max(float(values.max()) for values in keys) < 1e-20 * largest


def test_sum_and_mean_differ(small, draw, collate) -> None:
    examples = draw((9, 12))
    scored = [int((example.labels != -100).sum()) for example in examples]
    assert min(scored) > 1
    for example, count in zip(examples, scored, strict=True):
        batches = collate([example], 1)
        sums, means = fisher(small, batches), fisher(small, batches, token_reduction="mean")
        for name, values in sums.items():
            torch.testing.assert_close(means[name] * count**2, values, rtol=1e-12, atol=1e-18)


# -------------------------------------------------------------------------------------- batching


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_batch_sizes_agree_on_ragged_text(family, dtype, make_model, draw, collate, errors) -> None:
    model, examples = make_model(family, dtype), draw(LENGTHS)
    single = fisher(model, collate(examples, 1))
    for size in (8, 32):
        assert max(errors(fisher(model, collate(examples, size)), single).values()) <= TOLERANCE[dtype]


def test_order_does_not_matter(small, draw, collate, errors) -> None:
    examples = draw(LENGTHS)
    forth = fisher(small, collate(examples, 8))
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(5)).tolist()
    assert max(errors(fisher(small, collate(examples, 8)[::-1]), forth).values()) <= 1e-12
    assert max(errors(fisher(small, collate([examples[n] for n in order], 8)), forth).values()) <= 1e-12


@pytest.mark.parametrize("side", [1, 2, 8])
def test_a_batch_with_as_many_positions_as_examples_is_exact(side, small, draw, collate, truth, errors) -> None:
    examples = draw([side] * side, seed=side)
    expected = truth(small, examples, parameter_layout(small).names)
    if side == 1:
        # A single token attends only to itself, so that the gradients of query and key are zero except for rounding.
        expected = {name: values for name, values in expected.items() if ".query." not in name and ".key." not in name}
    result = fisher(small, collate(examples, side))
    assert max(errors({name: result[name] for name in expected}, expected).values()) <= 1e-12


def test_padding_may_be_any_token(small, draw, collate, errors) -> None:
    (batch,) = collate(draw((4, 9, 6)), 3)
    strange = batch | {"input_ids": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, 50)}
    assert max(errors(fisher(small, [strange]), fisher(small, [batch])).values()) <= 1e-12


def test_padding_may_be_on_the_left(small, draw, collate, errors) -> None:
    (batch,) = collate(draw((4, 9, 6)), 3)
    left_padded = {
        name: torch.stack([row.roll(9 - n) for row, n in zip(v, (4, 9, 6), strict=True)]) for name, v in batch.items()
    }
    assert not left_padded["attention_mask"][0, :5].any()
    assert max(errors(fisher(small, [left_padded]), fisher(small, [batch])).values()) <= 1e-12


def test_without_padding_no_attention_mask_is_needed(small, draw, collate, errors) -> None:
    (batch,) = collate(draw((7, 7)), 2)
    bare = {name: values for name, values in batch.items() if name != "attention_mask"}
    assert max(errors(fisher(small, [bare]), fisher(small, [batch])).values()) <= 1e-12


@pytest.mark.parametrize(("name", "value"), [("GLANCE", 1), ("SPARSE_ROWS", 0), ("SPARSE_ROWS", 2)])
def test_tuning_constants_do_not_change_results(name, value, small, draw, collate, errors, monkeypatch) -> None:
    batches = collate(draw(LENGTHS[:10]), 4)
    expected = fisher(small, batches)
    # The attribute of the package with this name is the rule and not the module.
    monkeypatch.setattr(importlib.import_module("xsns_stream.fisher.rules.linear"), name, value)
    assert max(errors(fisher(small, batches), expected).values()) <= 1e-12


def test_wide_layers_with_few_scored_positions_are_exact(make_model, draw, collate, truth, errors) -> None:
    """Tensors of 1.2 MB, which fill several tiles, and few scored positions in long examples."""
    model = make_model("xlm-roberta", hidden_size=96, intermediate_size=1600)
    examples = draw((40, 33, 5))
    for example in examples:
        example.labels[torch.arange(len(example.labels)) % 9 != 2] = -100
        example.labels[2] = 7
    result = fisher(model, collate(examples, 3))
    assert max(errors(result, truth(model, examples, result)).values()) <= 1e-12


@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_attention_implementations_agree(family, make_model, draw, collate, errors) -> None:
    batches = collate(draw(LENGTHS[:9]), 4)
    result = {}
    for name in ("sdpa", "eager"):
        model = make_model(family, attn_implementation=name)
        assert model.config._attn_implementation == name
        result[name] = fisher(model, batches)
    assert max(errors(result["sdpa"], result["eager"]).values()) <= 1e-12


def test_dropout_is_off_in_any_mode(make_model, draw, collate) -> None:
    batches = collate(draw(LENGTHS[:4]), 4)
    model = make_model("bert", hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    calm = fisher(model, batches)
    excited = fisher(model.train(), batches)
    assert all(torch.equal(excited[name], values) for name, values in calm.items())


def test_no_gradient_is_held_and_nothing_outside_needs_one(small, draw, collate) -> None:
    layout = parameter_layout(small)
    without_rules(small, layout)
    requires_grad = []

    def look(*_: object) -> None:
        requires_grad.append(
            [n for n, p in small.named_parameters() if p.grad is not None]
            + [n for n, p in small.named_parameters() if p.requires_grad]
        )

    def watch(module, args, output) -> None:
        look()
        if output.requires_grad:
            output.register_hook(look)

    hooks = [block.register_forward_hook(watch) for block in small.roberta.encoder.layer]
    hooks.append(
        small.roberta.embeddings.register_forward_hook(lambda m, a, out: requires_grad.append([out.requires_grad]))
    )
    diagonal_fisher(small, collate(draw(LENGTHS[:6]), 3), layout)
    for hook in hooks:
        hook.remove()
    assert requires_grad.count([False]) == 2, "the output of the embeddings needs no gradient in either batch"
    assert len(requires_grad) == 2 * (1 + 2 + 2), "both blocks were called forward and backward in both batches"
    assert all(result in ([], [False]) for result in requires_grad)


def test_a_plain_model_needs_no_fallback(small) -> None:
    layout = parameter_layout(small)
    assert Engine(small, layout).fallback == ()
    assert without_rules(small, layout) == ()
    checks = self_check(small, layout)
    assert [check.name for check in checks] == list(layout.names)
    assert all(check.by_rule and check.exact and check.error < 1e-12 for check in checks)


def test_provenance_and_language_are_kept(small, draw, collate) -> None:
    from xsns_stream.types import Provenance

    result = diagonal_fisher(
        small,
        collate(draw((6, 4)), 2),
        parameter_layout(small),
        language="sw",
        provenance=Provenance(model="small", seed=7),
    )
    assert (result.language, result.provenance.seed, result.examples) == ("sw", 7, 2)
    assert all(v.flags.c_contiguous and (v >= 0).all() for v in result.values)
