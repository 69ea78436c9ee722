"""Choices of θ: one stack of two, included parameters outside of the blocks, excluded parameters."""

from __future__ import annotations

from typing import Any

import pytest

from xsns_stream.errors import UsageError
from xsns_stream.models import left_out, parameter_layout
from xsns_stream.types import ParameterLayout


def check_spans(model: Any, layout: ParameterLayout) -> None:
    """Check that every span covers exactly the tensors of its name, without a gap, in the order of the layout."""
    named = dict(model.named_parameters(remove_duplicate=False))
    assert tuple(tuple(named[name].shape) for name in layout.names) == layout.shapes
    ends = [0]
    for layer in layout.layers:
        assert layer.start == ends[-1] < layer.stop
        ends.append(layer.stop)
        for name, start in zip(layout.names, layout.offsets, strict=True):
            if layer.start <= start < layer.stop and layer.name != "other":
                assert name.startswith(f"{layer.name}.")
    assert ends[-1] == layout.size
    assert set(ends[:-1]) <= set(layout.offsets)


@pytest.mark.parametrize("family", ["t5", "mt5", "umt5", "mbart"])
def test_one_of_two_stacks_can_be_measured(family: str, zoo: Any) -> None:
    model = zoo.make(family)
    both = parameter_layout(model)
    encoder, decoder = (parameter_layout(model, stack=stack) for stack in ("encoder", "decoder"))
    assert encoder.names + decoder.names == both.names
    assert len(encoder.layers) == len(decoder.layers) == 2
    assert all("encoder." in name for name in encoder.names)
    assert all("decoder." in name for name in decoder.names)
    assert decoder.size > encoder.size, "the decoder also has cross-attention"
    assert parameter_layout(model, stack="both").digest == both.digest
    check_spans(model, decoder)


@pytest.mark.parametrize("family", ["xlm-roberta", "gpt2", "llama"])
@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_a_missing_stack_is_refused(family: str, stack: str, zoo: Any) -> None:
    model = zoo.make(family)
    assert parameter_layout(model, stack="both").size > 0
    with pytest.raises(UsageError) as caught:
        parameter_layout(model, stack=stack)
    assert caught.value.message == f"the stack '{stack}' was requested, but {type(model).__name__} has only one stack."


def test_an_invalid_stack_is_refused(zoo: Any) -> None:
    with pytest.raises(UsageError, match="'middle' is not a valid stack") as caught:
        parameter_layout(zoo.make("t5"), stack="middle")
    assert caught.value.hint == "choose one of both, encoder, decoder."


def test_included_parameters_come_last(zoo: Any) -> None:
    model = zoo.make("xlm-roberta")
    default = parameter_layout(model)
    layout = parameter_layout(model, include=["^lm_head", "position_embeddings"])
    assert layout.names[: len(default.names)] == default.names
    assert layout.layers[:2] == default.layers
    assert layout.layers[2].name == "other"
    assert set(layout.names[len(default.names) :]) == {
        "roberta.embeddings.position_embeddings.weight",
        "lm_head.decoder.weight",  # the word embeddings: the head comes first in this model
        *(f"lm_head.{name}" for name in ("bias", "dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias")),
    }
    assert layout.size == default.size + 66 * 32 + 97 * 32 + 97 + 32 * 32 + 32 + 2 * 32
    check_spans(model, layout)
    assert not set(left_out(model, layout)) & set(layout.names)


@pytest.mark.parametrize("pattern", [r"transformer\.wte", "lm_head", "(wte|lm_head)"])
def test_a_tied_tensor_is_found_by_any_name_and_counts_once(pattern: str, zoo: Any) -> None:
    model = zoo.make("gpt2")
    assert model.lm_head.weight is model.transformer.wte.weight
    layout = parameter_layout(model, include=[pattern])
    assert layout.names[-1] == "transformer.wte.weight"
    assert layout.size == parameter_layout(model).size + 97 * 32


def test_an_embedding_inside_a_block_can_be_included(zoo: Any) -> None:
    model = zoo.make("bert")
    model.bert.encoder.layer[1].words = model.get_input_embeddings()
    default = parameter_layout(model)
    assert parameter_layout(model, include=["word_embeddings"]).size == default.size + 97 * 32


def test_all_parameters_can_be_included(zoo: Any) -> None:
    for family in ("bert", "mixtral", "umt5", "albert"):
        model = zoo.make(family)
        layout = parameter_layout(model, include=[""])
        assert layout.size == sum(p.numel() for p in model.parameters())
        assert not left_out(model, layout)


def test_excluded_parameters_leave_no_gap(zoo: Any) -> None:
    model = zoo.make("llama")
    default = parameter_layout(model)
    layout = parameter_layout(model, exclude=["norm", r"layers\.0\.self_attn"])
    assert set(default.names) - set(layout.names) == {name for name in default.names if "norm" in name} | {
        f"model.layers.0.self_attn.{kind}_proj.weight" for kind in "qkvo"
    }
    assert [name for name in default.names if name in set(layout.names)] == list(layout.names)
    assert [layer.stop - layer.start for layer in layout.layers] == [3 * 32 * 64, 3 * 32 * 64 + 2 * 32 * 48]
    check_spans(model, layout)


def test_a_block_that_is_excluded_has_no_span(zoo: Any) -> None:
    model = zoo.make("bloom")
    layout = parameter_layout(model, include=["ln_f"], exclude=[r"\.h\.0\.", r"ln_f\.bias"])
    assert [layer.name for layer in layout.layers] == ["transformer.h.1", "other"]
    assert layout.names[-1] == "transformer.ln_f.weight"
    check_spans(model, layout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include": ["no_such"]}, "include 'no_such' matches no parameter outside of the blocks."),
        # Blocks cannot be included: those of the stack are measured already, and those of the other stack stay out.
        ({"include": ["SelfAttention"]}, "include 'SelfAttention' matches no parameter outside of the blocks."),
        (
            {"include": [r"decoder\.block"], "stack": "encoder"},
            r"include 'decoder\.block' matches no parameter outside of the blocks.",
        ),
        ({"exclude": ["shared"]}, "exclude 'shared' matches no parameter that is measured."),
        ({"exclude": [".", "no_such"]}, "exclude 'no_such' matches no parameter that is measured."),
        ({"exclude": ["[a"]}, "'[a' is not a valid regular expression: unterminated character set at position 0."),
        ({"exclude": ["."]}, "every parameter is excluded, and nothing is left to measure."),
    ],
)
def test_a_choice_without_any_parameter_is_refused(options: dict[str, Any], message: str, zoo: Any) -> None:
    with pytest.raises(UsageError) as caught:
        parameter_layout(zoo.make("t5"), **options)
    assert caught.value.message == message
    assert caught.value.hint
