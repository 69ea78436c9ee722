"""What the caller left on the model neither disturbs the measurement nor is lost; what cannot be scored is refused."""

from __future__ import annotations

import pytest
import torch
from transformers import AlbertConfig, AlbertForMaskedLM, BertConfig, BertForMaskedLM

import xsns_stream as xs
from xsns_stream.fisher.reference import reference_fisher

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(3))
    attention = torch.ones_like(ids)
    attention[2, 5:] = 0
    labels = torch.full_like(ids, -100)
    labels[:, 1:3] = ids[:, 2:4]
    return {"input_ids": ids, "attention_mask": attention, "labels": labels}


def test_old_gradients_are_neither_counted_nor_lost() -> None:
    torch.manual_seed(0)
    # ALBERT uses one block twice, so every parameter takes the path on which a gradient exists for a moment.
    model = AlbertForMaskedLM(AlbertConfig(embedding_size=8, **SIZES)).double().eval()
    layout = xs.parameter_layout(model)
    expected = reference_fisher(model, [batch()], layout)
    (model(**batch()).loss * 100).backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    found = xs.diagonal_fisher(model, [batch()], layout).to_dict()
    for name in layout.names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-18)
    after = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_scored_position_in_the_padding_is_refused() -> None:
    model = BertForMaskedLM(BertConfig(**SIZES))
    wrong = batch()
    wrong["labels"][2, 6] = 8
    with pytest.raises(xs.XsnsError, match="a position that is scored is padding"):
        xs.diagonal_fisher(model, [wrong], xs.parameter_layout(model))
