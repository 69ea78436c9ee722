"""Tiny models of all families, and their batches: properties that tests and benchmarks rely on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

LENGTHS = [7, 12, 3, 2]
OUTPUT = {"question-answering": "start_logits"}


def test_results_are_the_same_for_every_call(zoo: Any) -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    for family in ("xlm-roberta", "mixtral", "t5"):
        first, again, other = (zoo.make(family, seed=seed).state_dict() for seed in (11, 11, 12))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert not all(torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_no_tensor_is_constant(zoo: Any) -> None:
    for family in zoo.FAMILIES:
        model = zoo.make(family)
        assert not model.training
        assert {p.dtype for p in model.parameters()} == {torch.float64}
        for name, p in model.named_parameters():
            assert p.std() > 0.02, (family, name)


def test_padding_changes_nothing(zoo: Any) -> None:
    for name, family in zoo.FAMILIES.items():
        model = zoo.make(name)
        batch = zoo.batch(model, name, LENGTHS, seed=4)
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        assert lengths == LENGTHS
        decoded = family.objective == "span-corruption"
        for n, length in enumerate(LENGTHS):
            scored = int((batch["labels"][n] != -100).sum()) if decoded else length
            single_inputs = {
                key: values[n : n + 1, : scored if key == "labels" else length] if values.dim() > 1 else values[[n]]
                for key, values in batch.items()
            }
            key = OUTPUT.get(family.objective, "logits")
            with torch.no_grad():
                together, single = model(**batch)[key][n], model(**single_inputs)[key][0]
            if together.shape != single.shape:
                together = together[:scored]
            assert torch.allclose(together, single, rtol=0, atol=1e-6), name


@pytest.mark.parametrize("family", ["bert", "gpt2", "mbart"])
def test_scored_positions_follow_the_objective(family: str, zoo: Any) -> None:
    model = zoo.make(family)
    batch = zoo.batch(model, family, [40] * 50, seed=2)
    assert torch.equal(batch["labels"], zoo.batch(model, family, [40] * 50, seed=2)["labels"])
    labels = batch["labels"]
    share = float((labels != -100).float().mean())
    if family == "bert":
        assert 0.27 < share < 0.37
        assert bool((labels != -100).any(dim=1).all())
    elif family == "gpt2":
        assert torch.equal(labels, batch["input_ids"])
    else:
        assert set((labels != -100).sum(dim=1).tolist()) == set(range(2, 8))


def test_labels_of_tasks_have_the_form_of_the_task(zoo: Any) -> None:
    def labels(task: str) -> dict[str, torch.Tensor]:
        name = f"xlm-roberta-{task}"
        return dict(zoo.batch(zoo.make(name), name, [9, 4, 6] * 20, seed=1))

    tokens = labels("token-classification")
    assert set(tokens["labels"].unique().tolist()) == {-100, 0, 1, 2, 3, 4}
    assert bool((tokens["labels"][tokens["attention_mask"] == 0] == -100).all())
    assert bool((tokens["labels"][tokens["attention_mask"] == 1] == -100).any())
    texts = labels("sequence-classification")
    assert texts["labels"].shape == (60,)
    assert set(texts["labels"].tolist()) == {0, 1, 2}
    spans = labels("question-answering")
    starts, ends = spans["start_positions"], spans["end_positions"]
    assert bool(((starts >= 0) & (starts <= ends) & (ends < spans["attention_mask"].sum(dim=1))).all())
    assert bool((starts < ends).any())
