"""The measured parameters: the blocks of the text stack, counted by hand for families that differ."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from xsns_stream.errors import ModelError
from xsns_stream.models import left_out, load_model, parameter_layout

SMALL = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
GPT2 = {"vocab_size": 50, "n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 20}
T5 = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}

XLMR_BASE = {
    "vocab_size": 250_002,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    "pad_token_id": 1,
}


def on_meta(kind: Any, config: Any) -> Any:
    """A model without values: no weight takes memory."""
    with torch.device("meta"):
        return kind(config)


def test_xlm_r_base_has_85_million_parameters_in_12_layers() -> None:
    model = on_meta(tf.XLMRobertaForMaskedLM, tf.XLMRobertaConfig(**XLMR_BASE))
    layout = parameter_layout(model)
    assert layout.size == 85_054_464
    assert len(layout.layers) == 12
    assert {layer.stop - layer.start for layer in layout.layers} == {85_054_464 // 12}
    assert len(layout.names) == 12 * 16
    assert all(name.startswith("roberta.encoder.layer.") for name in layout.names)
    out = left_out(model, layout)
    assert sum(p.numel() for p in out.values()) + layout.size == sum(p.numel() for p in model.parameters())
    assert any(p.shape == (250_002, 768) for p in out.values())


def test_multilingual_bert_has_as_many_parameters_as_xlm_r_base() -> None:
    config = tf.BertConfig(vocab_size=119_547)  # the other settings are the defaults of BERT
    layout = parameter_layout(on_meta(tf.BertForMaskedLM, config))
    assert (layout.size, len(layout.layers)) == (85_054_464, 12)


def test_models_of_one_architecture_have_one_layout() -> None:
    """Layouts depend on the blocks only, and not on weights, head or vocabulary."""

    def digest(**changed: int) -> str:
        return parameter_layout(on_meta(tf.BertForMaskedLM, tf.BertConfig(**SMALL | changed))).digest

    assert digest(vocab_size=60) == digest()
    assert digest(intermediate_size=48) != digest()
    assert digest(num_hidden_layers=3) != digest()


FAMILIES = {
    "bert": (tf.BertForMaskedLM, tf.BertConfig(**SMALL), "bert.encoder.layer.", 2),
    "albert": (
        tf.AlbertForMaskedLM,
        tf.AlbertConfig(**SMALL, embedding_size=8),
        "albert.encoder.albert_layer_groups.",
        1,
    ),
    "distilbert": (
        tf.DistilBertForMaskedLM,
        tf.DistilBertConfig(vocab_size=50, dim=16, n_layers=2, n_heads=2, hidden_dim=32),
        "distilbert.transformer.layer.",
        2,
    ),
    "gpt2": (tf.GPT2LMHeadModel, tf.GPT2Config(**GPT2), "transformer.h.", 2),
    "t5": (tf.T5ForConditionalGeneration, tf.T5Config(**T5), ("encoder.block.", "decoder.block."), 4),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_only_blocks_are_measured(family: str) -> None:
    kind, config, prefix, blocks = FAMILIES[family]
    model = on_meta(kind, config)
    layout = parameter_layout(model)
    assert len(layout.layers) == blocks
    assert all(name.startswith(prefix) for name in layout.names)
    inside = [n for n, _ in model.named_parameters(remove_duplicate=False) if n.startswith(prefix)]
    assert sorted(layout.names) == sorted(inside), "every parameter of every block occurs once"
    outside = [model.get_input_embeddings(), model.get_output_embeddings()]
    measured = {id(model.get_parameter(name)) for name in layout.names}
    assert not measured & {id(p) for module in outside for p in module.parameters()}
    assert [layout.layers[0].start, layout.layers[-1].stop] == [0, layout.size]
    assert all(a.stop == b.start for a, b in zip(layout.layers, layout.layers[1:], strict=False))


def test_the_final_norm_of_t5_is_not_measured() -> None:
    model = on_meta(*FAMILIES["t5"][:2])
    assert {"encoder.final_layer_norm.weight", "decoder.final_layer_norm.weight", "shared.weight"} <= set(
        left_out(model, parameter_layout(model))
    )


def test_a_tied_tensor_counts_once() -> None:
    model = tf.BertForMaskedLM(tf.BertConfig(**SMALL))
    untied = parameter_layout(model).size
    first, second = model.bert.encoder.layer
    second.output.dense.weight = first.output.dense.weight
    assert parameter_layout(model).size == untied - 32 * 16


def test_an_embedding_inside_a_block_is_left_out() -> None:
    model = tf.BertForMaskedLM(tf.BertConfig(**SMALL))
    expected = parameter_layout(model)
    model.bert.encoder.layer[1].words = model.get_input_embeddings()
    assert parameter_layout(model).digest == expected.digest


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        parameter_layout(torch.nn.Linear(2, 2))
    assert caught.value.message == "no list of repeated transformer blocks was found in Linear."


def test_the_layout_and_left_out_cover_everything(tiny_folder: Path) -> None:
    model = load_model(str(tiny_folder)).model
    layout = parameter_layout(model)
    out = left_out(model, layout)
    assert not set(out) & set(layout.names)
    assert set(out) | set(layout.names) == {name for name, _ in model.named_parameters()}
    assert sum(math.prod(p.shape) for p in out.values()) + layout.size == sum(p.numel() for p in model.parameters())


# ------------------------------------------------------------------------------- other kinds of models


#: Parameters of one block of width 32 with 64 inner features, counted by hand: attention, norms, and the rest.
BY_HAND = {
    "xlm-roberta": [4 * (32 * 32 + 32) + 2 * 64 + (32 * 64 + 64) + (64 * 32 + 32)] * 2,
    "gpt2": [(32 * 96 + 96) + (32 * 32 + 32) + 2 * 64 + (32 * 128 + 128) + (128 * 32 + 32)] * 2,
    "bloom": [(32 * 96 + 96) + (32 * 32 + 32) + 2 * 64 + (32 * 128 + 128) + (128 * 32 + 32)] * 2,
    # Two key heads for four of queries; four experts of three matrices, the router, two norms without bias.
    "mixtral": [2 * 32 * 32 + 2 * 32 * 16 + 4 * 3 * 32 * 64 + 4 * 32 + 2 * 32] * 2,
    # The first block of a stack has the relative positions (8 distances × 4 heads). Decoders have two attentions.
    "t5": [
        *(4 * 32 * 32 + 2 * 32 * 64 + 2 * 32 + table for table in (8 * 4, 0)),
        *(8 * 32 * 32 + 2 * 32 * 64 + 3 * 32 + table for table in (8 * 4, 0)),
    ],
}


@pytest.mark.parametrize("family", BY_HAND)
def test_sizes_of_layers_equal_those_counted_by_hand(family: str, zoo: Any) -> None:
    layout = parameter_layout(zoo.make(family))
    assert [layer.stop - layer.start for layer in layout.layers] == BY_HAND[family]
    assert layout.size == sum(BY_HAND[family])


def test_every_family_has_its_blocks(zoo: Any) -> None:
    for family in zoo.FAMILIES.values():
        model = zoo.make(family.name)
        layout = parameter_layout(model)
        # ALBERT's two layers are one block that is used twice.
        blocks = {"albert": 1}.get(family.name, 4 if family.objective == "span-corruption" else 2)
        assert len(layout.layers) == blocks, family.name
        out = left_out(model, layout)
        assert layout.size + sum(p.numel() for p in out.values()) == sum(p.numel() for p in model.parameters())
        assert any(p is model.get_input_embeddings().weight for p in out.values()), family.name


TEXT = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TEXT |= {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
TEXT |= {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
VISION = {"model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3}
VISION |= {"num_attention_heads": 2, "image_size": 8, "patch_size": 4}
#: Attention with norms of the queries and keys of each head, three matrices, and four norms.
GEMMA3_BLOCK = 2 * 32 * 32 + 2 * 32 * 16 + 2 * 8 + 3 * 32 * 64 + 4 * 32


def gemma3() -> Any:
    config = tf.Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4, image_token_index=96)
    return tf.Gemma3ForConditionalGeneration(config)


def test_a_multimodal_model_has_its_text_stack_measured() -> None:
    model = gemma3()
    layout = parameter_layout(model)
    assert [layer.name for layer in layout.layers] == [f"model.language_model.layers.{n}" for n in (0, 1)]
    assert layout.size == 2 * GEMMA3_BLOCK
    vision = {name for name in left_out(model, layout) if ".vision_tower." in name}
    assert len(vision) > 3 * 16
    with_norms = parameter_layout(model, include=["norm"])
    assert set(with_norms.names) - set(layout.names) == {"model.language_model.norm.weight"}, (
        "no norm of the vision tower"
    )


def test_an_encoder_with_a_vision_tower_has_its_text_stack_measured() -> None:
    encoder = {"text_config": TEXT, "vision_config": VISION, "mm_tokens_per_image": 4}
    model = tf.T5Gemma2ForConditionalGeneration(tf.T5Gemma2Config(encoder=encoder, decoder=TEXT, image_token_index=96))
    layout = parameter_layout(model)
    assert [layer.name.rpartition(".")[0] for layer in layout.layers] == [
        *["model.encoder.text_model.layers"] * 2,
        *["model.decoder.layers"] * 2,
    ]
    assert layout.size == 4 * GEMMA3_BLOCK


def test_a_multimodal_model_whose_text_is_not_found() -> None:
    config = tf.Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4)
    model = tf.SiglipVisionModel(config.vision_config)
    model.config = config
    with pytest.raises(ModelError) as caught:
        parameter_layout(model)
    assert caught.value.message == "the text stack of SiglipVisionModel was not found among its parts."
