"""The head runs on the scored positions only, in blocks where there are many logits, and may itself be measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from tests.support.fisher_values import batches_of
from xsns_stream.fisher import diagonal_fisher, head, vocabulary_loss, without_rules
from xsns_stream.models import parameter_layout
from xsns_stream.types import LayerSpan, ParameterLayout

BLOCK = 10


def in_small_blocks(monkeypatch) -> None:
    """Compute the loss of every batch in blocks of ten tokens of the vocabulary, which has 97."""
    monkeypatch.setattr(head, "MANY_LOGITS", 1)
    monkeypatch.setattr(vocabulary_loss, "BLOCK_TOKENS", BLOCK)


@pytest.fixture
def small_blocks(monkeypatch):
    in_small_blocks(monkeypatch)


@contextmanager
def rows_in(model) -> Iterator[list[int]]:
    """Collect the number of positions in each call of the output embeddings."""
    rows: list[int] = []
    watched = model.get_output_embeddings()
    compute = watched.forward

    def counting(hidden):
        rows.append(hidden.shape[:-1].numel())
        return compute(hidden)

    watched.forward = counting
    yield rows
    assert watched.forward is counting, "the engine restores the forward method"
    del watched.forward


def question_of(batch, model) -> int:
    """Count the scored positions of a batch; a causal model does not predict the first token of an example."""
    labels = (
        batch["labels"]
        if model.config.is_encoder_decoder or "Masked" in type(model).__name__
        else batch["labels"][:, 1:]
    )
    return int((labels != -100).sum())


@pytest.mark.parametrize("family", ["xlm-roberta", "llama", "t5", "mbart", "gemma2", "deberta-v2"])
def test_positions_that_are_not_scored_never_reach_the_head(family, zoo) -> None:
    model = zoo.make(family)
    layout, batches = parameter_layout(model), batches_of(zoo, model, family)
    without_rules(model, layout)
    with rows_in(model) as rows:
        diagonal_fisher(model, batches, layout)
    assert sum(rows) == sum(question_of(batch, model) for batch in batches)


@pytest.mark.parametrize("family", ["xlm-roberta", "bert", "albert", "t5", "llama", "gpt2", "mixtral", "umt5"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_blocks_give_the_values_of_one_call(
    family, reduction, zoo, errors, small_blocks, gradients, mean_square, float64_throughout
) -> None:
    model = zoo.make(family)
    layout, batches = parameter_layout(model), batches_of(zoo, model, family)
    expected = mean_square(gradients(model, zoo.FAMILIES[family].objective, batches, layout.names, reduction))
    assert without_rules(model, layout) == ()
    for checkpoint in (False, True):
        with rows_in(model) as rows:
            result = diagonal_fisher(model, batches, layout, token_reduction=reduction, checkpoint=checkpoint)
        assert max(errors(result.to_dict(), expected).values()) <= 1e-12
        assert sum(rows) == 1, "one position tests the head, and no other logits are computed outside of the blocks"


@pytest.mark.parametrize("family", ["gemma2", "mbart"])
def test_a_head_whose_output_is_changed_afterwards_is_not_run_in_blocks(
    family, zoo, errors, small_blocks, gradients, mean_square, float64_throughout
) -> None:
    """Gemma 2 caps the logits, mBART adds a bias to them."""
    model = zoo.make(family)
    if family == "mbart":
        model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(1))
    layout, batches = parameter_layout(model), batches_of(zoo, model, family)
    expected = mean_square(gradients(model, zoo.FAMILIES[family].objective, batches, layout.names))
    without_rules(model, layout)
    with rows_in(model) as rows:
        result = diagonal_fisher(model, batches, layout).to_dict()
    silent = ("k_proj.bias",) if family == "mbart" else ()
    assert max(errors(result, expected, silent).values()) <= 1e-12
    assert max(rows) > 1


@pytest.mark.parametrize("family", ["xlm-roberta", "llama", "t5"])
def test_labels_are_drawn_the_same_in_blocks(family, zoo, errors, monkeypatch) -> None:
    model = zoo.make(family)
    layout, batches = parameter_layout(model), batches_of(zoo, model, family)
    at_once = diagonal_fisher(model, batches, layout, labels="sample", seed=8).to_dict()
    in_small_blocks(monkeypatch)
    in_blocks = diagonal_fisher(model, batches, layout, labels="sample", seed=8).to_dict()
    assert max(errors(in_blocks, at_once).values()) <= 1e-12


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_blocks_in_mixed_precision_are_close_to_one_call(precision, zoo, errors, monkeypatch) -> None:
    model = zoo.make("xlm-roberta", torch.float32)
    layout, batches = parameter_layout(model), batches_of(zoo, model, "xlm-roberta")
    at_once = diagonal_fisher(model, batches, layout, precision=precision).to_dict()
    in_small_blocks(monkeypatch)
    in_blocks = diagonal_fisher(model, batches, layout, precision=precision).to_dict()
    assert max(errors(in_blocks, at_once).values()) <= 2e-2


def test_parameters_measured_one_by_one_are_exact_in_blocks(zoo, errors, small_blocks, gradients, mean_square) -> None:
    model = zoo.make("deberta-v2")
    layout, batches = parameter_layout(model), batches_of(zoo, model, "deberta-v2")
    expected = mean_square(gradients(model, "masked-lm", batches, layout.names))
    result = diagonal_fisher(model, batches, layout).to_dict()
    assert max(errors(result, expected).values()) <= 1e-12


def test_a_label_outside_the_vocabulary_is_found_in_any_block(zoo, small_blocks) -> None:
    model = zoo.make("llama")
    layout, (_, batch) = parameter_layout(model), batches_of(zoo, model, "llama")
    batch["labels"][1, 10] = zoo.VOCABULARY
    with pytest.raises(Exception, match="a label is outside of the vocabulary of 97 tokens"):
        diagonal_fisher(model, [batch], layout)


# ------------------------------------------------------------------------------- measured itself

#: Parameters of heads: their own layers, with the tied embedding table, and the tied table alone.
HEADS = {
    "xlm-roberta": ("lm_head.dense.weight", "lm_head.layer_norm.weight", "lm_head.bias"),
    "bert": ("cls.predictions.transform.dense.weight", "bert.embeddings.word_embeddings.weight"),
    "llama": ("lm_head.weight",),
    "gpt2": ("transformer.wte.weight", "transformer.ln_f.bias"),
    "t5": ("shared.weight", "encoder.final_layer_norm.weight"),
}


def with_more(model, more: tuple[str, ...]) -> ParameterLayout:
    plain, parameters = parameter_layout(model), dict(model.named_parameters())
    shapes = tuple(tuple(parameters[name].shape) for name in more)
    size = plain.size + sum(parameters[name].numel() for name in more)
    return ParameterLayout(
        plain.names + more, plain.shapes + shapes, (*plain.layers, LayerSpan("more", plain.size, size))
    )


@pytest.mark.parametrize("in_blocks", [False, True], ids=["usual", "would be in blocks"])
@pytest.mark.parametrize("family", HEADS)
def test_a_measured_head_is_exact(family, in_blocks, zoo, errors, gradients, mean_square, monkeypatch) -> None:
    if in_blocks:
        in_small_blocks(monkeypatch)
    model = zoo.make(family)
    layout, batches = with_more(model, HEADS[family]), batches_of(zoo, model, family)
    expected = mean_square(gradients(model, zoo.FAMILIES[family].objective, batches, layout.names))
    for checkpoint in (False, True):
        result = diagonal_fisher(model, batches, layout, checkpoint=checkpoint).to_dict()
        assert max(errors(result, expected).values()) <= 1e-12
    # Parameters of the blocks keep their rules.
    assert not set(without_rules(model, layout)) & set(parameter_layout(model).names)


@pytest.mark.parametrize("family", ["xlm-roberta-token-classification", "xlm-roberta-sequence-classification"])
def test_a_measured_head_of_a_task_is_exact(family, zoo, errors, gradients, mean_square) -> None:
    model = zoo.make(family)
    own = tuple(name for name, _ in model.named_parameters() if name.startswith("classifier."))
    layout, batches = with_more(model, own), batches_of(zoo, model, family)
    expected = mean_square(gradients(model, zoo.FAMILIES[family].objective, batches, layout.names))
    result = diagonal_fisher(model, batches, layout).to_dict()
    assert len(own) >= 2
    assert max(errors(result, expected).values()) <= 1e-12
    assert without_rules(model, layout) == ()
