"""All families against a loop over single examples: encoders, decoders, both, and heads of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from tests.support.zoo import SILENT
from xsns_stream.fisher import diagonal_fisher, self_check, without_rules
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.models import parameter_layout

TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-6}
#: A span's probabilities sum to one over the positions, so that most of what reaches the last block cancels out.
CANCELLING = {"xlm-roberta-question-answering": 4.0}
#: Two batches, ragged, neither as long as it has examples; windows of 5 tokens are shorter than most of them.
LENGTHS = ((9, 4, 6), (5, 11))
#: Disentangled attention projects relative positions, which have no examples, with the layers that project tokens.
NOT_BY_RULE = ("deberta-v2",)


class Case:
    """The model of a family, its batches and their expected values."""

    def __init__(self, zoo: Any, gradients: Any, mean_square: Any, family: str, dtype: Any, attention: str) -> None:
        self.model = zoo.make(family, dtype, attention)
        self.objective = zoo.FAMILIES[family].objective
        self.batches = [zoo.batch(self.model, family, lengths, seed) for seed, lengths in enumerate(LENGTHS)]
        self.layout = parameter_layout(self.model)
        self.truth = mean_square(gradients(self.model, self.objective, self.batches, self.layout.names))
        self.silent = SILENT.get(family, ())


@pytest.fixture
def case(zoo, gradients, mean_square):
    return lambda family, dtype=torch.float64, attention="sdpa": Case(
        zoo, gradients, mean_square, family, dtype, attention
    )


def assert_close(errors: Any, result: Mapping[str, Any], case: Case, tolerance: float) -> None:
    worst = max(errors(result, case.truth, case.silent).items(), key=lambda item: item[1])
    assert worst[1] <= tolerance, worst


@pytest.mark.parametrize("attention", ["sdpa", pytest.param("eager", marks=pytest.mark.slow)])
def test_exact_in_float64(every_family, attention, case, errors, float64_throughout) -> None:
    it = case(every_family, attention=attention)
    for checkpoint in (False, True):
        result = diagonal_fisher(it.model, it.batches, it.layout, checkpoint=checkpoint)
        assert result.examples == sum(map(len, LENGTHS))
        assert_close(errors, result.to_dict(), it, TOLERANCE[torch.float64])
    slow = without_rules(it.model, it.layout)
    assert bool(slow) == (every_family in NOT_BY_RULE), slow


def test_exact_in_float32_and_by_rule(zoo_family, case, errors) -> None:
    it = case(zoo_family, torch.float32)
    for checkpoint in (False, True):
        result = diagonal_fisher(it.model, it.batches, it.layout, checkpoint=checkpoint)
        assert_close(errors, result.to_dict(), it, CANCELLING.get(zoo_family, 1.0) * TOLERANCE[torch.float32])
    # A wrong rule would be found out by the self-check, and hidden by the slow path: here there must be none.
    assert bool(without_rules(it.model, it.layout)) == (zoo_family in NOT_BY_RULE)


@pytest.mark.parametrize("family", NOT_BY_RULE)
def test_parameters_without_a_rule_are_listed(family, case) -> None:
    it = case(family)
    slow = {check.name for check in self_check(it.model, it.layout) if not check.by_rule}
    # The projections of queries and keys of each block are measured; the others keep their rules.
    assert {name.rsplit(".", 2)[1] for name in slow} == {"query_proj", "key_proj"}
    assert len(slow) == 8


@pytest.mark.parametrize("family", ["xlm-roberta", "gpt2", "t5", "mbart", "xlm-roberta-question-answering"])
def test_the_packaged_reference_is_the_equation(family, case, errors) -> None:
    it = case(family)
    assert_close(errors, reference_fisher(it.model, it.batches, it.layout), it, 1e-12)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "t5", "xlm-roberta-question-answering"])
def test_the_mean_is_over_the_positions_of_one_example(family, case, gradients, mean_square, errors) -> None:
    it = case(family)
    it.truth = mean_square(gradients(it.model, it.objective, it.batches, it.layout.names, "mean"))
    result = diagonal_fisher(it.model, it.batches, it.layout, token_reduction="mean").to_dict()
    assert_close(errors, result, it, 1e-12)


@pytest.mark.parametrize("family", ["t5", "mbart"])
@pytest.mark.parametrize("decoded", [(3, 5), (9, 4), (14, 2)], ids=["shorter", "as long", "longer"])
def test_both_stacks_may_have_any_length(family, decoded, zoo, gradients, mean_square, errors) -> None:
    """Includes the same length in both, where other examples are the longest ones in each."""
    model = zoo.make(family)
    batch, layout = zoo.batch(model, family, (4, 9)), parameter_layout(model)
    rows = [torch.arange(10, 10 + length) for length in decoded]
    batch["labels"] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-100)
    expected = mean_square(gradients(model, "span-corruption", [batch], layout.names))
    for checkpoint in (False, True):
        result = diagonal_fisher(model, [batch], layout, checkpoint=checkpoint).to_dict()
        assert max(errors(result, expected, SILENT.get(family, ())).values()) <= 1e-12


def test_given_decoder_inputs_are_used(zoo, errors) -> None:
    model = zoo.make("t5")
    batch, layout = zoo.batch(model, "t5", (4, 9)), parameter_layout(model)
    labels, start = batch["labels"], model.config.decoder_start_token_id
    shifted = torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1).clamp(min=1)
    derived = diagonal_fisher(model, [batch], layout).to_dict()
    given = diagonal_fisher(model, [batch | {"decoder_input_ids": shifted}], layout).to_dict()
    assert max(errors(given, derived).values()) <= 1e-12
    other = diagonal_fisher(model, [batch | {"decoder_input_ids": shifted.roll(1, dims=0)}], layout).to_dict()
    assert max(errors(other, derived).values()) > 1e-2


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_a_causal_model_with_padding_on_the_left(family, zoo, errors) -> None:
    """Positions are counted from the padding on, so that each row is compared alone with its padding."""
    model = zoo.make(family)
    batch, layout = zoo.batch(model, family, (4, 9, 6)), parameter_layout(model)
    turned = {
        name: torch.stack([row.roll(9 - n) for row, n in zip(values, (4, 9, 6), strict=True)])
        for name, values in batch.items()
    }
    # Otherwise the first token of a text is predicted from padding.
    for row, length in zip(turned["labels"], (4, 9, 6), strict=True):
        row[9 - length] = -100
    rows = [{name: values[n : n + 1] for name, values in turned.items()} for n in range(3)]
    alone = [diagonal_fisher(model, [row], layout).to_dict() for row in rows]
    expected = {name: sum(each[name] for each in alone) / 3 for name in layout.names}
    result = diagonal_fisher(model, [turned], layout).to_dict()
    assert max(errors(result, expected, SILENT.get(family, ())).values()) <= 1e-12
