"""Labels drawn from the model: the true Fisher information, whatever the batches are."""

from __future__ import annotations

import pytest
import torch

from xsns_stream.fisher import diagonal_fisher
from xsns_stream.models import parameter_layout

LENGTHS = (9, 4, 6, 5, 11)
FAMILIES = ("xlm-roberta", "llama", "t5", "xlm-roberta-sequence-classification", "xlm-roberta-question-answering")
SILENT = ("layer.1.output.LayerNorm.bias",)  # a shift of all positions alike does not change the answer


def rows_of(batch: dict[str, torch.Tensor], rows: list[int]) -> dict[str, torch.Tensor]:
    return {name: values[rows] for name, values in batch.items()}


def sampled(model, batches, seed: int = 3, **settings):
    return diagonal_fisher(model, batches, parameter_layout(model), labels="sample", seed=seed, **settings).to_dict()


@pytest.mark.parametrize("family", FAMILIES)
def test_neither_batch_size_nor_order_matters(family, zoo, errors) -> None:
    model = zoo.make(family)
    batch = zoo.batch(model, family, LENGTHS)
    silent = SILENT if family.endswith("answering") else ()
    together = sampled(model, [batch])
    singles = sampled(model, [rows_of(batch, [n]) for n in range(5)])
    assert max(errors(singles, together, silent).values()) <= 1e-12
    reordered = sampled(model, [rows_of(batch, [4, 2]), rows_of(batch, [3, 0, 1])])
    assert max(errors(reordered, together, silent).values()) <= 1e-12
    assert max(errors(sampled(model, [batch], checkpoint=True), together, silent).values()) <= 1e-12


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_depend_on_the_seed_and_not_on_the_labels(family, zoo, errors) -> None:
    model = zoo.make(family)
    batch = zoo.batch(model, family, LENGTHS)
    silent = SILENT if family.endswith("answering") else ()
    result = sampled(model, [batch])
    assert max(errors(sampled(model, [batch], seed=4), result, silent).values()) > 0.1
    observed = diagonal_fisher(model, [batch], parameter_layout(model)).to_dict()
    assert max(errors(observed, result, silent).values()) > 0.1
    if family == "t5":
        return  # in encoder-decoders, the decoder also reads the labels
    other = {
        name: torch.where(values == -100, values, (values + 1) % 3)
        if name not in ("input_ids", "attention_mask")
        else values
        for name, values in batch.items()
    }
    again = sampled(model, [other])
    assert all(torch.equal(again[name], values) for name, values in result.items())


def test_each_example_has_its_own_draw(zoo, errors) -> None:
    model = zoo.make("xlm-roberta")
    batch = zoo.batch(model, "xlm-roberta", (9, 9))
    one = rows_of(batch, [0])
    # The same text draws the same labels, unless the examples have keys of their own.
    twice = rows_of(batch, [0, 0])
    assert max(errors(sampled(model, [twice]), sampled(model, [one])).values()) <= 1e-12
    by_key = [sampled(model, [one | {"example_keys": torch.tensor([key])}]) for key in (7, 8)]
    assert max(errors(by_key[0], by_key[1]).values()) > 0.1
    both = sampled(model, [twice | {"example_keys": torch.tensor([7, 8])}])
    mean = {name: (by_key[0][name] + by_key[1][name]) / 2 for name in both}
    assert max(errors(both, mean).values()) <= 1e-12


@pytest.mark.parametrize("seed", [0, 42, -5])
@pytest.mark.parametrize("key", [-2, 0, 2**63 - 2, -(2**63)])
def test_any_number_is_a_key(key, seed, zoo, errors) -> None:
    model = zoo.make("xlm-roberta")
    batch = zoo.batch(model, "xlm-roberta", (15,))
    assert int((batch["labels"] != -100).sum()) > 2
    result, other = (sampled(model, [batch | {"example_keys": torch.tensor([k])}], seed) for k in (key, key + 1))
    assert max(errors(result, other).values()) > 1e-3


def test_the_mean_over_many_draws_is_the_expectation(make_model, errors) -> None:
    """F = Σ_y p(y) (∂ log p(y))², for one hidden token and a vocabulary small enough to sum over."""
    model = make_model("xlm-roberta", vocab_size=9)
    layout, draws = parameter_layout(model), 2_000
    ids = torch.tensor([[5, 7, 6, 8]])
    parameters = dict(model.named_parameters())
    chances = model(input_ids=ids).logits[0, 2].log_softmax(-1)
    scores = []
    for y in range(9):
        result = torch.autograd.grad(chances[y], [parameters[name] for name in layout.names], retain_graph=True)
        scores.append(torch.cat([gradient.flatten() for gradient in result]))
    squares, p = torch.stack(scores).square(), chances.detach().exp()
    exact = p @ squares
    assert 0.02 < float(p.min()) < float(p.max()) < 0.9, "no label has a probability of 0 or 1"
    labels = torch.full((1, 4), -100)
    labels[0, 2] = 5
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    many = {name: values.repeat(draws, 1) for name, values in batch.items()} | {"example_keys": torch.arange(draws)}
    measured = sampled(model, [many])
    result = torch.cat([measured[name].flatten() for name in layout.names])
    deviation = (p @ (squares - exact).square()).sqrt() / draws**0.5
    real = exact > 1e-20 * exact.max()  # a key's bias has a gradient of zero
    # In standard errors of a mean of that many draws. Nine labels have eight degrees of freedom, so that thousands of
    # parameters are far fewer independent numbers: most near one, none near five.
    distances = ((result - exact) / deviation)[real]
    assert 0.1 < float(distances.square().mean().sqrt()) < 2.5
    assert float(distances.abs().max()) < 5
    # The observed label gives another result, which the same test distinguishes.
    observed = diagonal_fisher(model, [batch], layout).to_dict()
    other = torch.cat([observed[name].flatten() for name in layout.names])
    assert float((((other - exact) / deviation)[real]).abs().mean()) > 5
