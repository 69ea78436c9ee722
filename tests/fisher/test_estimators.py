"""Estimators other than the paper's equation, each compared with the few lines that define it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xsns_stream.fisher import diagonal_fisher, mean_gradient, without_rules
from xsns_stream.models import parameter_layout
from xsns_stream.subnetworks.select import extract_subnetwork

LENGTHS = ((9, 4, 6), (5, 11))
#: Families with rules only, a module that is used twice, experts, two stacks, and parameters measured one by one.
FAMILIES = ("xlm-roberta", "albert", "mixtral", "t5", "deberta-v2", "xlm-roberta-sequence-classification")


class Case:
    def __init__(self, zoo, gradients, family, reduction="sum"):
        self.model = zoo.make(family)
        self.layout = parameter_layout(self.model)
        self.batches = [zoo.batch(self.model, family, lengths, seed) for seed, lengths in enumerate(LENGTHS)]
        objective = zoo.FAMILIES[family].objective
        self.by_batch = [gradients(self.model, objective, [b], self.layout.names, reduction) for b in self.batches]
        self.each = [example for examples in self.by_batch for example in examples]


def mean_of(values: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([value[name] for value in values]).mean(0) for name in values[0]}


@pytest.mark.parametrize("family", FAMILIES)
def test_grad_abs_is_the_mean_absolute_gradient(family, zoo, gradients, errors) -> None:
    case = Case(zoo, gradients, family)
    expected = mean_of([{name: g.abs() for name, g in example.items()} for example in case.each])
    result = diagonal_fisher(case.model, case.batches, case.layout, "grad-abs").to_dict()
    assert max(errors(result, expected).values()) <= 1e-12
    assert bool(without_rules(case.model, case.layout)) == (family == "deberta-v2")


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_mean_gradient_is_the_gradient_of_the_mean_loss(
    family, reduction, zoo, gradients, errors, float64_throughout
) -> None:
    case = Case(zoo, gradients, family, reduction)
    expected = {name: -g for name, g in mean_of(case.each).items()}
    result = mean_gradient(case.model, case.batches, case.layout, reduction)
    assert max(errors(result, expected).values()) <= 1e-12
    assert any(bool((values < 0).any()) for values in result.values())


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_per_batch_is_the_square_of_the_mean_gradient(
    family, reduction, zoo, gradients, errors, float64_throughout
) -> None:
    case = Case(zoo, gradients, family, reduction)
    expected = mean_of([{name: g**2 for name, g in mean_of(batch).items()} for batch in case.by_batch])
    for checkpoint in (False, True):
        result = diagonal_fisher(case.model, case.batches, case.layout, "per-batch", reduction, checkpoint=checkpoint)
        assert result.examples == 5
        assert max(errors(result.to_dict(), expected).values()) <= 1e-12
    exact = diagonal_fisher(case.model, case.batches, case.layout, token_reduction=reduction).to_dict()
    assert max(errors(exact, result.to_dict()).values()) > 0.1, "the two estimators differ"


def test_estimators_agree_for_batches_of_one(zoo, errors) -> None:
    model = zoo.make("xlm-roberta")
    layout, batches = parameter_layout(model), [zoo.batch(model, "xlm-roberta", (7,), seed) for seed in range(3)]
    per_batch = diagonal_fisher(model, batches, layout, "per-batch").to_dict()
    assert max(errors(per_batch, diagonal_fisher(model, batches, layout).to_dict()).values()) <= 1e-12


def test_batches_of_one_with_drawn_labels_equal_single_examples(zoo, errors) -> None:
    model = zoo.make("xlm-roberta")
    layout, batches = parameter_layout(model), [zoo.batch(model, "xlm-roberta", (7,), seed) for seed in range(3)]
    settings = {"labels": "sample", "seed": 9}
    per_batch = diagonal_fisher(model, batches, layout, "per-batch", **settings).to_dict()
    assert max(errors(per_batch, diagonal_fisher(model, batches, layout, **settings).to_dict()).values()) <= 1e-12


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_batch_in_mixed_precision_is_rounded_to_that_precision(precision, zoo, errors) -> None:
    model = zoo.make("xlm-roberta", torch.float32)
    layout, batches = parameter_layout(model), [zoo.batch(model, "xlm-roberta", (7, 5))]
    plain = diagonal_fisher(model, batches, layout, "per-batch").to_dict()
    mixed = diagonal_fisher(model, batches, layout, "per-batch", precision=precision).to_dict()
    worst = max(errors(mixed, plain).values())
    assert 1e-4 < worst < 0.5


# ------------------------------------------------------------------------------- the authors' code


def as_published(model, batches, names, seed: int) -> dict[str, torch.Tensor]:
    """The authors' estimator: dropout, mean loss of a batch, gradients clipped to norm 1 per tensor and squared."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.train()
        parameters = {name: p for name, p in model.named_parameters() if name in names}
        total = {name: torch.zeros_like(p) for name, p in parameters.items()}
        for batch in batches:
            model.zero_grad()
            model(**batch).loss.backward()
            for name, parameter in parameters.items():
                torch.nn.utils.clip_grad_norm_(parameter, 1.0)
                total[name] += parameter.grad**2
        model.zero_grad()
        model.eval()
    return {name: values / len(batches) for name, values in total.items()}


@pytest.fixture
def published(make_model, draw, collate):
    model = make_model(
        "xlm-roberta", torch.float32, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, initializer_range=0.02
    )
    return model, collate(draw((9, 4, 6, 5, 11, 7, 3, 8, 12, 6, 5, 4)), 4)


@pytest.mark.parametrize("scale", [1, 100], ids=["below norm 1", "clipped"])
def test_the_estimator_of_the_authors_equals_their_code_bit_for_bit(scale, published) -> None:
    model, batches = published
    with torch.no_grad():
        model.roberta.encoder.layer[1].output.dense.weight.mul_(scale)
        model.lm_head.decoder.weight.mul_(scale)
    layout = parameter_layout(model)
    expected = as_published(model, batches, layout.names, seed=42)
    norms = [float(values.sum()) for values in expected.values()]
    assert (max(norms) > 0.99) == (scale == 100), "gradients are clipped for the large scale only"
    result = diagonal_fisher(model, batches, layout, "authors", seed=42)
    assert all(torch.equal(result.to_dict()[name], values) for name, values in expected.items())
    flat = torch.cat([expected[name].flatten() for name in layout.names]).numpy()
    for density in (0.15, 0.5):
        selected = flat >= np.percentile(flat, (1 - density) * 100)
        network = extract_subnetwork(result, density, quantile="percentile")
        assert np.array_equal(network.to_numpy(), selected)


def test_the_authors_code_depends_on_seed_and_batches(published) -> None:
    model, batches = published
    layout = parameter_layout(model)
    first = diagonal_fisher(model, batches, layout, "authors", seed=1).to_dict()
    again = diagonal_fisher(model, batches, layout, "authors", seed=1).to_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    for other in (
        diagonal_fisher(model, batches, layout, "authors", seed=2),
        diagonal_fisher(model, batches[::-1], layout, "authors", seed=1),
    ):
        assert not any(torch.equal(first[name], values) for name, values in other.to_dict().items())


def test_keys_of_examples_do_not_reach_the_model(published) -> None:
    model, batches = published
    layout = parameter_layout(model)
    plain = diagonal_fisher(model, batches, layout, "authors").to_dict()
    keyed = [batch | {"example_keys": torch.arange(4)} for batch in batches]
    result = diagonal_fisher(model, keyed, layout, "authors").to_dict()
    assert all(torch.equal(result[name], values) for name, values in plain.items())


@pytest.mark.parametrize("fails", [False, True], ids=["done", "broken off"])
def test_the_random_state_is_not_changed(fails, published) -> None:
    model, batches = published
    model.roberta.encoder.layer[0].train()
    modes = {name: module.training for name, module in model.named_modules()}
    torch.manual_seed(77)
    torch.rand(3)
    before = torch.random.get_rng_state()
    if fails:
        batches[1]["labels"][:] = -100
        with pytest.raises(Exception, match="no position to score"):
            diagonal_fisher(model, batches, parameter_layout(model), "authors")
    else:
        diagonal_fisher(model, batches, parameter_layout(model), "authors")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert {name: module.training for name, module in model.named_modules()} == modes
