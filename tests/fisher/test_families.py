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
#: Probabilities of spans sum to one over the positions, so that most terms of the gradient cancel in the last block.
CANCELLING = {"xlm-roberta-question-answering": 4.0}
#: Lengths in two batches: no batch has as many positions as examples, and most texts exceed a window of 5 tokens.
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
def test_every_family_is_exact_in_float64(every_family, attention, case, errors, float64_throughout) -> None:
    family_case = case(every_family, attention=attention)
    for checkpoint in (False, True):
        result = diagonal_fisher(family_case.model, family_case.batches, family_case.layout, checkpoint=checkpoint)
        assert result.examples == sum(map(len, LENGTHS))
        assert_close(errors, result.to_dict(), family_case, TOLERANCE[torch.float64])
    slow = without_rules(family_case.model, family_case.layout)
    assert bool(slow) == (every_family in NOT_BY_RULE), slow


def test_families_are_exact_in_float32_and_measured_by_rule(zoo_family, case, errors) -> None:
    family_case = case(zoo_family, torch.float32)
    for checkpoint in (False, True):
        result = diagonal_fisher(family_case.model, family_case.batches, family_case.layout, checkpoint=checkpoint)
        assert_close(errors, result.to_dict(), family_case, CANCELLING.get(zoo_family, 1.0) * TOLERANCE[torch.float32])
    # The self-check would replace a wrong rule by the slow path, which only the listed families may need.
    assert bool(without_rules(family_case.model, family_case.layout)) == (zoo_family in NOT_BY_RULE)


@pytest.mark.parametrize("family", NOT_BY_RULE)
def test_parameters_without_a_rule_are_listed(family, case) -> None:
    family_case = case(family)
    slow = {check.name for check in self_check(family_case.model, family_case.layout) if not check.by_rule}
    # Only the projections of queries and keys of each block are measured one by one; all others keep their rules.
    assert {name.rsplit(".", 2)[1] for name in slow} == {"query_proj", "key_proj"}
    assert len(slow) == 8


@pytest.mark.parametrize("family", ["xlm-roberta", "gpt2", "t5", "mbart", "xlm-roberta-question-answering"])
def test_the_packaged_reference_is_the_equation(family, case, errors) -> None:
    family_case = case(family)
    assert_close(
        errors, reference_fisher(family_case.model, family_case.batches, family_case.layout), family_case, 1e-12
    )


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "t5", "xlm-roberta-question-answering"])
def test_the_mean_is_over_the_positions_of_one_example(family, case, gradients, mean_square, errors) -> None:
    family_case = case(family)
    family_case.truth = mean_square(
        gradients(family_case.model, family_case.objective, family_case.batches, family_case.layout.names, "mean")
    )
    result = diagonal_fisher(
        family_case.model, family_case.batches, family_case.layout, token_reduction="mean"
    ).to_dict()
    assert_close(errors, result, family_case, 1e-12)


@pytest.mark.parametrize("family", ["t5", "mbart"])
@pytest.mark.parametrize("decoded", [(3, 5), (9, 4), (14, 2)], ids=["shorter", "as long", "longer"])
def test_both_stacks_may_have_any_length(family, decoded, zoo, gradients, mean_square, errors) -> None:
    """The cases include equal lengths in both stacks, and stacks in which different examples are the longest."""
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
    with_inputs = diagonal_fisher(model, [batch | {"decoder_input_ids": shifted}], layout).to_dict()
    assert max(errors(with_inputs, derived).values()) <= 1e-12
    other = diagonal_fisher(model, [batch | {"decoder_input_ids": shifted.roll(1, dims=0)}], layout).to_dict()
    assert max(errors(other, derived).values()) > 1e-2


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt"])
def test_padding_on_the_left_gives_the_values_of_single_rows(family, zoo, errors) -> None:
    """Positions include the padding, so that each row is compared with the same padded row alone."""
    model = zoo.make(family)
    batch, layout = zoo.batch(model, family, (4, 9, 6)), parameter_layout(model)
    left_padded = {
        name: torch.stack([row.roll(9 - n) for row, n in zip(values, (4, 9, 6), strict=True)])
        for name, values in batch.items()
    }
    # Otherwise the first token of a text is predicted from padding.
    for row, length in zip(left_padded["labels"], (4, 9, 6), strict=True):
        row[9 - length] = -100
    rows = [{name: values[n : n + 1] for name, values in left_padded.items()} for n in range(3)]
    singles = [diagonal_fisher(model, [row], layout).to_dict() for row in rows]
    expected = {name: sum(each[name] for each in singles) / 3 for name in layout.names}
    result = diagonal_fisher(model, [left_padded], layout).to_dict()
    assert max(errors(result, expected, SILENT.get(family, ())).values()) <= 1e-12
