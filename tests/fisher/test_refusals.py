"""Error messages name the language, the example or the parameter in one sentence."""

from __future__ import annotations

import pytest
import torch

from tests.support.errors import error_of
from tests.support.fisher_values import fisher
from xsns_stream.errors import FisherError, UsageError, XsnsError
from xsns_stream.fisher import diagonal_fisher, mean_gradient, without_rules
from xsns_stream.models import parameter_layout
from xsns_stream.types import ParameterLayout

VOCABULARY = 97
ESTIMATORS = ("per-example", "per-batch", "authors", "grad-abs")
QUESTIONS = "xlm-roberta-question-answering"


def complaint(kind: type[XsnsError], model, batches, **settings) -> XsnsError:
    return error_of(kind, fisher, model, batches, **settings)


# --------------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("label", [VOCABULARY, 10_000, -1])
def test_a_label_outside_the_vocabulary_is_refused(label, estimator, small, draw, collate) -> None:
    (batch,) = collate(draw((6, 4)), 2)
    batch["labels"][1, 2] = label
    error = complaint(FisherError, small, [batch], estimator=estimator, language="sw")
    assert error.message == "language 'sw': a label is outside of the vocabulary of 97 tokens."
    assert "belong to another model" in error.hint


@pytest.mark.parametrize("family", ["xlm-roberta", "llama", "t5", QUESTIONS])
def test_a_token_outside_the_embeddings_is_refused(family, zoo) -> None:
    model = zoo.make(family)
    batch = zoo.batch(model, family, (6, 4))
    batch["input_ids"][1, 2] = VOCABULARY
    with pytest.raises(XsnsError):
        fisher(model, [batch])


@pytest.mark.parametrize(
    "family", ["llama", "t5", "xlm-roberta-token-classification", "xlm-roberta-sequence-classification"]
)
def test_labels_outside_of_the_vocabulary_are_refused_for_every_objective(family, zoo) -> None:
    model = zoo.make(family)
    batch = zoo.batch(model, family, (6, 4))
    batch["labels"].view(-1)[3 if batch["labels"].dim() > 1 else 0] = 1000
    assert "a label is outside of the " in complaint(FisherError, model, [batch]).message


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_an_example_with_nothing_to_score_is_refused(estimator, small, draw, collate) -> None:
    batches = collate(draw((6, 4, 5, 6)), 2)
    batches[1]["labels"][1] = -100
    error = complaint(FisherError, small, batches, estimator=estimator, language="fi")
    assert error.message == "language 'fi': example 3 has no position to score."
    assert "hide at least one token" in error.hint


def test_a_batch_with_nothing_to_score_is_refused(small, draw, collate) -> None:
    (batch,) = collate(draw((6, 4)), 2)
    batch["labels"][:] = -100
    assert complaint(FisherError, small, [batch]).message == "example 0 has no position to score."


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_decoder_with_nothing_to_score_is_refused(family, zoo) -> None:
    model = zoo.make(family)
    batch = zoo.batch(model, family, (6, 4))
    # A causal model does not predict the first token.
    batch["labels"][1, 1 if family == "llama" else 0 :] = -100
    assert complaint(FisherError, model, [batch]).message == "example 1 has no position to score."


@pytest.mark.parametrize("family", ["xlm-roberta", "llama", "gpt2", "xlm-roberta-token-classification"])
def test_padding_is_not_scored(family, zoo) -> None:
    """If labels are a copy of the tokens, padding has labels too, which must not affect the gradient of an example."""
    model = zoo.make(family)
    batch = zoo.batch(model, family, (6, 4))
    batch["labels"] = batch["input_ids"] % 5
    error = complaint(FisherError, model, [batch], language="sw")
    assert error.message == "language 'sw': a scored position is padding."
    assert error.hint == "set its label to -100."


@pytest.mark.parametrize("position", [4, 5, 6, 100, -1])
@pytest.mark.parametrize("which", ["start_positions", "end_positions"])
def test_an_answer_outside_its_text_is_refused(which, position, zoo) -> None:
    model = zoo.make(QUESTIONS)
    batch = zoo.batch(model, QUESTIONS, (6, 4))
    batch[which][1] = position
    error = complaint(FisherError, model, [batch])
    assert error.message == "an answer is outside of its text, in the padding."
    assert which in error.hint


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_batch_and_an_empty_batch_are_refused(estimator, small, draw, collate) -> None:
    error = complaint(FisherError, small, [], estimator=estimator)
    assert error.message == "there is no batch to compute the Fisher information from."
    error = complaint(FisherError, small, iter(()), estimator=estimator, language="sw")
    assert error.message == "there is no batch of language 'sw' to compute the Fisher information from."
    (batch,) = collate(draw((6,)), 1)
    error = complaint(FisherError, small, [{name: values[:0] for name, values in batch.items()}], estimator=estimator)
    assert error.message == "a batch has no examples."


@pytest.mark.parametrize("estimator", ["per-example", "authors"])
def test_a_batch_on_another_device_is_refused(estimator, small, draw, collate) -> None:
    (batch,) = collate(draw((6, 4)), 2)
    for moved in (batch, {"labels": batch["labels"]}):
        on_meta = batch | {name: values.to("meta") for name, values in moved.items()}
        error = complaint(FisherError, small, [on_meta], estimator=estimator)
        assert error.message.endswith("is on meta and the model is on cpu.")
        assert error.hint == "move the batches to the model's device."


@pytest.mark.parametrize(
    ("family", "missing"),
    [
        ("xlm-roberta", "labels"),
        ("xlm-roberta", "input_ids"),
        ("llama", "labels"),
        ("t5", "labels"),
        ("xlm-roberta-sequence-classification", "labels"),
        (QUESTIONS, "start_positions"),
        (QUESTIONS, "end_positions"),
    ],
)
def test_a_batch_without_its_targets_is_refused(family, missing, zoo) -> None:
    model = zoo.make(family)
    batch = zoo.batch(model, family, (6, 4))
    del batch[missing]
    error = complaint(FisherError, model, [batch], language="sw")
    assert error.message == f"language 'sw': a batch for {type(model).__name__} has no '{missing}'."


# ---------------------------------------------------------------------------------- model and θ


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_model_without_a_head_is_refused(estimator, make_model, draw, collate) -> None:
    body = make_model("bert").bert
    error = complaint(FisherError, body, collate(draw((6, 4)), 2), estimator=estimator)
    assert error.message.startswith("BertModel has no head that predicts tokens or classes, so there is nothing to")
    assert "load the model with its language-modelling head" in error.hint


@pytest.mark.parametrize("measure", [diagonal_fisher, mean_gradient, without_rules])
def test_a_layout_of_another_model_is_refused(measure, small, make_model, draw, collate) -> None:
    layout = parameter_layout(make_model("bert"))
    arguments = (small, layout) if measure is without_rules else (small, collate(draw((6, 4)), 2), layout)
    with pytest.raises(FisherError) as caught:
        measure(*arguments)
    assert caught.value.message == (
        "the layout's parameter 'bert.encoder.layer.0.attention.self.query.weight' [32, 32] is not in "
        "XLMRobertaForMaskedLM."
    )
    assert "parameter_layout(model)" in caught.value.hint


def test_a_layout_of_a_wider_model_is_refused(small, make_model) -> None:
    layout = parameter_layout(make_model("xlm-roberta", intermediate_size=48))
    with pytest.raises(FisherError, match=r"intermediate.dense.weight' \[48, 32\] is not in"):
        diagonal_fisher(small, [], layout)


def test_an_empty_layout_has_nothing_to_measure(small, draw, collate) -> None:
    with pytest.raises(XsnsError):
        diagonal_fisher(small, collate(draw((6, 4)), 2), ParameterLayout((), (), ()))


def test_unknown_choices_are_refused(small) -> None:
    error = complaint(UsageError, small, [], estimator="fisher")
    assert (error.message, error.hint) == (
        "'fisher' is not a valid estimator.",
        "choose one of per-example, per-batch, authors, grad-abs.",
    )
    error = complaint(UsageError, small, [], token_reduction="max")
    assert (error.message, error.hint) == ("'max' is not a valid token reduction.", "choose one of sum, mean.")
    error = complaint(UsageError, small, [], labels="true")
    assert (error.message, error.hint) == ("'true' is not a valid kind of labels.", "choose one of data, sample.")
    error = complaint(UsageError, small, [], precision="bfloat16")
    assert (error.message, error.hint) == ("'bfloat16' is not a valid precision.", "choose one of float32, bf16, fp16.")


@pytest.mark.parametrize("choice", [{"token_reduction": "mean"}, {"labels": "sample"}, {"precision": "bf16"}], ids=str)
def test_the_authors_estimator_has_no_choices(choice, small) -> None:
    error = complaint(UsageError, small, [], estimator="authors", **choice)
    assert error.message == "the estimator 'authors' fixes these settings."


# ----------------------------------------------------------------------------- damaged weights


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("checked", [True, False], ids=["checked before", "not checked before"])
@pytest.mark.parametrize("name", ["bert.encoder.layer.1.output.dense.weight", "bert.embeddings.LayerNorm.bias"])
def test_damaged_weights_are_named(name, checked, value, make_model, draw, collate) -> None:
    model, batches = make_model("bert"), collate(draw((6, 4)), 2)
    if checked:
        fisher(model, batches)
    with torch.no_grad():
        model.get_parameter(name).view(-1)[3] = value
    for estimator in ESTIMATORS:
        error = complaint(FisherError, model, batches, estimator=estimator, language="sw")
        assert f"parameter '{name}'" in error.message
        assert "language 'sw'" in error.message
        assert "not finite" in error.message
        assert "damaged" in error.hint


def test_a_gradient_that_overflows_is_named(make_model, draw, collate) -> None:
    model, batches = make_model("bert", torch.float32), collate(draw((6, 4)), 2)
    fisher(model, batches)
    # The loss does not change; the square of the gradient from here exceeds the range of float32.
    with model.get_submodule(BLOWN).register_forward_hook(lambda module, args, output: _Blown.apply(output)):
        error = complaint(FisherError, model, batches, language="sw")
    assert error.message.startswith("the gradient of language 'sw' with respect to parameter 'bert.encoder.layer.")
    assert error.message.endswith("is not finite (NaN or infinite).")


BLOWN = "bert.encoder.layer.1.output.dense"


class _Blown(torch.autograd.Function):
    """Return the input unchanged, and multiply the gradient by 10^30."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 1e30


def test_a_batch_that_cannot_be_split_into_examples(make_model) -> None:
    """A model that is random in evaluation mode has no fixed gradient for the comparison."""

    class Random(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner
            self.table = torch.nn.Parameter(torch.ones(2, 64, dtype=torch.float64))

        def forward(self, x):
            return self.inner(x * torch.rand_like(x) * self.table.sum(0))

    model = make_model("bert")
    layer = model.bert.encoder.layer[0].output
    layer.dense = Random(layer.dense)
    with pytest.raises(FisherError, match="depends on the other examples of a batch") as caught:
        without_rules(model, parameter_layout(model))
    assert "random in evaluation mode" in caught.value.hint
