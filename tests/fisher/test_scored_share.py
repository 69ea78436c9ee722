"""Fisher values if only a share of the positions is scored, for causal models and encoder-decoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xsns_stream.errors import FisherError
from xsns_stream.fisher import diagonal_fisher, head, self_check, vocabulary_loss, without_rules
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.models import parameter_layout
from xsns_stream.objectives import EncodedExample, batches
from xsns_stream.objectives.encoding import IGNORED, draw_scored

FAMILIES = ("gpt2", "gemma3-text", "t5", "mbart")
SHARE = 0.15
LENGTHS = (23, 9, 16, 4, 12)
#: The key biases, whose gradient is zero in models that add positions to the embeddings.
SILENT = {"mbart": ("k_proj.bias",)}


def examples_of(zoo: Any, model: Any, family: str) -> list[EncodedExample]:
    """Return random examples of different lengths, of which a share of the positions is scored."""
    batch, objective = zoo.batch(model, family, LENGTHS), zoo.FAMILIES[family].objective
    found = []
    for n, length in enumerate(LENGTHS):
        targets = batch["labels"][n].numpy()
        arrays = {"input_ids": batch["input_ids"][n, :length].numpy()}
        if objective == "causal-lm":
            arrays["labels"] = draw_scored(targets[:length], 1, SHARE, np.random.default_rng(n))
        else:
            arrays["decoder_tokens"] = targets[targets != IGNORED]
            arrays["labels"] = draw_scored(arrays["decoder_tokens"], 0, SHARE, np.random.default_rng(n))
        found.append(EncodedExample(arrays, key=100 + n))
    return found


def padded(examples: list[EncodedExample], size: int) -> list[dict[str, Tensor]]:
    return list(batches(examples, size, pad_id=1))


@pytest.mark.parametrize("in_blocks", [False, True], ids=["all logits", "blocks"])
@pytest.mark.parametrize("family", FAMILIES)
def test_values_of_a_share_are_exact_in_float64(
    family, in_blocks, zoo, gradients, mean_square, errors, float64_throughout, monkeypatch
) -> None:
    if in_blocks:
        monkeypatch.setattr(head, "MANY_LOGITS", 1)
        monkeypatch.setattr(vocabulary_loss, "BLOCK_TOKENS", 10)
    model = zoo.make(family)
    layout, drawn = parameter_layout(model), padded(examples_of(zoo, model, family), 3)
    truth = mean_square(gradients(model, zoo.FAMILIES[family].objective, drawn, layout.names))
    silent = SILENT.get(family, ())
    assert max(errors(reference_fisher(model, drawn, layout), truth, silent).values()) <= 1e-12
    for checkpoint in (False, True):
        result = diagonal_fisher(model, drawn, layout, checkpoint=checkpoint).to_dict()
        assert max(errors(result, truth, silent).values()) <= 1e-12
    assert not without_rules(model, layout)
    assert all(check.by_rule for check in self_check(model, layout))


@pytest.mark.parametrize("labels", ["data", "sample"])
@pytest.mark.parametrize("family", FAMILIES)
def test_neither_padding_nor_order_nor_batches_matter(family, labels, zoo, errors, float64_throughout) -> None:
    model = zoo.make(family)
    layout, examples = parameter_layout(model), examples_of(zoo, model, family)
    alone, together, turned = (
        diagonal_fisher(model, padded(each, size), layout, labels=labels).to_dict()
        for each, size in ((examples, 1), (examples, 5), (examples[::-1], 2))
    )
    for other in (together, turned):
        assert max(errors(other, alone, SILENT.get(family, ())).values()) <= 1e-12


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_runs_on_scored_positions_only(family, zoo, float64_throughout, monkeypatch) -> None:
    monkeypatch.setattr(head, "MANY_LOGITS", 2**30)
    model = zoo.make(family)
    (batch,) = padded(examples_of(zoo, model, family), 5)
    layout, rows = parameter_layout(model), []
    without_rules(model, layout)
    linear = model.get_output_embeddings()
    compute = linear.forward
    monkeypatch.setattr(linear, "forward", lambda hidden: rows.append(hidden.shape[:-1].numel()) or compute(hidden))
    diagonal_fisher(model, [batch], layout)
    assert rows == [int((batch["labels"] != IGNORED).sum())]


def without_written(batch: Mapping[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Return the batch with inputs of the decoder instead of `decoder_tokens`."""
    inputs = model.prepare_decoder_input_ids_from_labels(labels=batch["decoder_tokens"])
    return {name: values for name, values in batch.items() if name != "decoder_tokens"} | {"decoder_input_ids": inputs}


@pytest.mark.parametrize("estimator", ["per-example", "per-batch", "authors", "grad-abs"])
@pytest.mark.parametrize("family", ["t5", "mbart"])
def test_labels_that_are_not_scored_do_not_change_the_decoder_s_inputs(family, estimator, zoo) -> None:
    model = zoo.make(family)
    layout = parameter_layout(model)
    (batch,) = padded(examples_of(zoo, model, family), 5)
    derived = diagonal_fisher(model, [batch], layout, estimator=estimator).to_dict()
    given = diagonal_fisher(model, [without_written(batch, model)], layout, estimator=estimator).to_dict()
    assert all(torch.equal(derived[name], given[name]) for name in layout.names)
    labels_only = {name: values for name, values in batch.items() if name != "decoder_tokens"}
    other = diagonal_fisher(model, [labels_only], layout, estimator=estimator).to_dict()
    assert not all(torch.equal(derived[name], other[name]) for name in layout.names)


def test_tokens_of_the_decoder_that_do_not_fit_are_refused(zoo) -> None:
    model = zoo.make("t5")
    (batch,) = padded(examples_of(zoo, model, "t5"), 5)
    shorter = batch | {"decoder_tokens": batch["decoder_tokens"][:, 1:]}
    with pytest.raises(FisherError, match=r"'decoder_tokens' has the shape \[5, \d+\], and 'labels' has \[5, \d+\]"):
        diagonal_fisher(model, [shorter], parameter_layout(model))
    unknown = batch | {"decoder_tokens": batch["decoder_tokens"].clamp(max=1) + 96}
    with pytest.raises(FisherError, match="a label is outside of the vocabulary of 97 tokens"):
        diagonal_fisher(model, [unknown], parameter_layout(model))
    without_labels = {name: values for name, values in batch.items() if name != "labels"}
    with pytest.raises(FisherError, match="a batch for T5ForConditionalGeneration has no 'labels'"):
        diagonal_fisher(model, [without_labels], parameter_layout(model))
