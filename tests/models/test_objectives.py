"""Every family is loaded for the objective of its pre-training, or for a task with a new head."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.support.model_folders import refused
from xsns_stream.fisher import activation_bytes, self_check
from xsns_stream.fisher.scoring import kind_of
from xsns_stream.models import load_model, longest_input, parameter_layout
from xsns_stream.models.in_memory import open_model
from xsns_stream.types import FisherSettings

SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "mask_token": "<mask>", "unk_token": "<unk>"}
TASKS = {"token-classification": 5, "sequence-classification": 3, "question-answering": None}
Save = Callable[..., Path]


def write_tokenizer(folder: Path, *kinds: str, extra: tuple[str, ...] = (), ends: bool = False) -> None:
    """Write a tokenizer of 97 tokens: five special ones first, of the given kinds, and additional ones.

    If `ends` is true, it adds its end token to each text.
    """
    tokens = {token: index for index, token in enumerate([*SPECIAL.values(), *(f"w{n}" for n in range(5, 97))])}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", tokens["</s>"])]
        )
    tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{kind}_token": SPECIAL[f"{kind}_token"] for kind in ("unk", *kinds)},
        extra_special_tokens=list(extra),
    ).save_pretrained(folder)


@pytest.fixture
def save(tmp_path: Path, zoo: Any) -> Save:
    """Write the model of a family, or another model, into a folder with a tokenizer that has some special tokens."""

    def write(
        model: Any,
        kinds: str = "bos pad eos mask",
        *,
        extra: tuple[str, ...] = (),
        ends: bool = False,
        **changed: Any,
    ) -> Path:
        folder = tmp_path / "model"
        model = zoo.make(model, torch.float32) if isinstance(model, str) else model
        tf.utils.logging.disable_progress_bar()
        model.save_pretrained(folder)
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))
        write_tokenizer(folder, *kinds.split(), extra=extra, ends=ends)
        return folder

    return write


# ----------------------------------------------------------------------------- every family, as it was saved


def test_every_family_is_loaded_with_its_own_weights(save: Save, zoo: Any) -> None:
    for family in zoo.FAMILIES.values():
        model = zoo.make(family.name, torch.float32)
        task = family.objective in TASKS
        options = {"objective": family.objective, "label_count": TASKS[family.objective]} if task else {}
        loaded = load_model(str(save(model)), **options)
        assert (loaded.objective, loaded.pad_id) == (family.objective, 1), family.name
        assert type(loaded.model) is type(model)
        saved, result = model.state_dict(), loaded.model.state_dict()
        assert saved.keys() == result.keys()
        assert all(torch.equal(saved[name], result[name]) for name in saved), family.name
        assert not loaded.model.training
        assert parameter_layout(loaded.model).digest == parameter_layout(model).digest


def test_every_family_takes_its_longest_input(save: Save, zoo: Any) -> None:
    unbounded = {"bloom", "t5", "mt5", "umt5"}
    # Learned positions end there; other models can go further, but were not trained to.
    tables = {"xlm-roberta", "xlm-roberta-xl", "bert", "roberta", "distilbert", "electra", "albert", "gpt2", "mbart"}
    tokenizer = load_model(str(save("bert"))).tokenizer
    for name in zoo.FAMILIES:
        model = zoo.make(name, torch.float32)
        longest = longest_input(model, tokenizer)
        assert (longest == 2**31 - 1) == (name in unbounded), name
        if name in unbounded:
            continue
        assert longest in (64, 66), name
        batch = zoo.batch(model, name, [longest], seed=1)
        with torch.no_grad():
            assert torch.isfinite(model(**batch).loss), name
            if name in tables:
                with pytest.raises((IndexError, RuntimeError)):
                    model(**zoo.batch(model, name, [longest + 1], seed=1))


def test_the_longest_input_follows_the_tokenizer_and_the_length_in_training(save: Save, zoo: Any) -> None:
    tokenizer = load_model(str(save("bert"))).tokenizer
    tokenizer.model_max_length = 20
    for name in ("t5", "bloom", "llama"):
        assert longest_input(zoo.make(name), tokenizer) == 20
    bloom = zoo.make("bloom")
    bloom.config.seq_length = 12
    assert longest_input(bloom, tokenizer) == 12


TEXT = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TEXT |= {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 48, "pad_token_id": 1}
VISION = {"model_type": "siglip_vision_model", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1}
VISION |= {"num_attention_heads": 2, "image_size": 8, "patch_size": 4}


def test_a_multimodal_model_predicts_the_next_token(save: Save) -> None:
    config = tf.Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4, image_token_index=96)
    loaded = load_model(str(save(tf.Gemma3ForConditionalGeneration(config), "bos eos")))
    assert type(loaded.model) is tf.Gemma3ForConditionalGeneration
    assert (loaded.objective, loaded.pad_id) == ("causal-lm", 2)
    assert longest_input(loaded.model, loaded.tokenizer) == 48
    assert len(parameter_layout(loaded.model).layers) == 2


def test_a_head_that_is_not_tied_is_not_changed(save: Save, zoo: Any) -> None:
    """Checkpoints of mT5 have their own head, whatever their configuration says."""
    model = zoo.make("mt5", torch.float32)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
    loaded = load_model(str(save(model)))
    assert torch.equal(loaded.model.lm_head.weight, model.lm_head.weight)
    assert torch.equal(loaded.model.shared.weight, model.shared.weight)


@pytest.mark.parametrize(
    ("family", "architectures", "expected"),
    [
        ("bert", ["BertForPreTraining"], "masked-lm"),
        ("xlm-roberta", None, "masked-lm"),
        ("xlm-roberta", ["XLMRobertaModel"], "masked-lm"),
        ("llama", ["LlamaModel"], "causal-lm"),
        ("gpt2", None, "causal-lm"),
        ("t5", ["T5WithLMHeadModel"], "span-corruption"),
        ("mbart", None, "span-corruption"),
    ],
)
def test_the_configuration_determines_the_objective(family: str, architectures: Any, expected: str, save: Save) -> None:
    assert load_model(str(save(family, architectures=architectures))).objective == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_loaded_in_the_requested_dtype(dtype: str, save: Save) -> None:
    folder = save("llama")
    loaded = load_model(str(folder), dtype=dtype)
    assert {p.dtype for p in loaded.model.parameters()} == {getattr(torch, dtype)}
    saved = load_file(folder / "model.safetensors")["model.norm.weight"]
    assert torch.equal(loaded.model.model.norm.weight, saved.to(getattr(torch, dtype)))


# ------------------------------------------------------------------------------------------- tokenizers


@pytest.mark.parametrize(("kinds", "expected"), [("pad eos", 1), ("eos", 2), ("", 0)])
def test_a_decoder_without_padding_pads_with_another_token(kinds: str, expected: int, save: Save) -> None:
    loaded = load_model(str(save("gpt2", kinds, pad_token_id=None)))
    assert loaded.pad_id == expected
    assert loaded.tokenizer.pad_token_id == (1 if "pad" in kinds else None)


def test_a_decoder_s_configuration_may_name_another_padding(save: Save) -> None:
    assert load_model(str(save("llama", pad_token_id=7))).pad_id == 1


@pytest.mark.parametrize("family", ["t5", "mbart", "xlm-roberta"])
def test_other_models_may_not_name_another_padding(family: str, save: Save) -> None:
    folder = save(family, pad_token_id=7)
    objective = {"objective": "question-answering"} if family == "xlm-roberta" else {}
    assert refused(folder, **objective).message == (
        f"the tokenizer of model '{folder}' has the padding id 1, but the model has 7."
    )


def test_only_masked_language_modelling_needs_a_mask(save: Save) -> None:
    folder = save("xlm-roberta", "bos pad eos")
    assert "has no mask token or no padding token" in refused(folder).message
    assert load_model(str(folder), objective="question-answering").objective == "question-answering"


def test_special_tokens_may_have_no_embedding_in_a_decoder(save: Save) -> None:
    """The image token of Gemma 3 has no embedding in its text-only checkpoints."""
    assert len(load_model(str(save("llama", extra=("<image>",)))).tokenizer) == 98
    assert "has 98 tokens, but the model has 97 embeddings" in refused(save("bert", extra=("<image>",))).message
    folder = save("llama")
    state = json.loads((folder / "tokenizer.json").read_text())
    state["model"]["vocab"]["w97"] = 97
    (folder / "tokenizer.json").write_text(json.dumps(state))
    assert "has 98 tokens, but the model has 97 embeddings" in refused(folder).message


# ------------------------------------------------------------------------------------------ heads of tasks


HEADS = {
    "token-classification": {"classifier.weight", "classifier.bias"},
    "sequence-classification": {f"classifier.{a}.{b}" for a in ("dense", "out_proj") for b in ("weight", "bias")},
    "question-answering": {"qa_outputs.weight", "qa_outputs.bias"},
}


@pytest.mark.parametrize("objective", TASKS)
def test_a_new_head_is_drawn_from_its_seed(objective: str, save: Save) -> None:
    folder = save("xlm-roberta")
    torch.manual_seed(3)
    state = torch.random.get_rng_state()

    def load(seed: int) -> dict[str, torch.Tensor]:
        loaded = load_model(str(folder), objective=objective, label_count=TASKS[objective], head_seed=seed)
        assert loaded.objective == objective
        weights: dict[str, torch.Tensor] = loaded.model.state_dict()
        return weights

    first, again, other = load(0), load(0), load(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    base = load_file(folder / "model.safetensors")
    assert first.keys() - base.keys() == HEADS[objective]
    assert all(torch.equal(first[name], again[name]) for name in first)
    differ = {name for name in first if not torch.equal(first[name], other[name])}
    assert differ == {name for name in HEADS[objective] if name.endswith("weight")}, "biases start at zero"
    assert first[max(HEADS[objective])].shape[0] == (TASKS[objective] or 2)
    remaining = {name: values for name, values in first.items() if name in base}
    assert all(torch.equal(values, base[name]) for name, values in remaining.items())


#: Families and tasks whose head is generic, because transformers has no class for them.
GENERIC = {
    ("eurobert", "question-answering"),
    *(("xglm", objective) for objective in TASKS),
    ("opt", "token-classification"),
    ("gemma2", "question-answering"),
    ("gemma3-text", "token-classification"),
    ("gemma3-text", "question-answering"),
}
#: Families whose code for heads differs from that of the others; they are tested with the fast tests.
DIFFERENT = {family for family, _ in GENERIC} | {"bert", "gpt2", "bloom", "qwen3-moe", "t5", "mbart", "deberta-v2"}


@pytest.mark.parametrize("different", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_family_takes_heads(different: bool, save: Save, zoo: Any) -> None:
    """The table in docs/models.md lists the heads that are not classes of transformers, and the missing one."""
    generic = set()
    for family in zoo.FAMILIES:
        if zoo.FAMILIES[family].objective in TASKS or (family in DIFFERENT) != different:
            continue
        saved = zoo.make(family, torch.float32)
        generic |= {(family, objective) for objective in _heads_of(family, saved, save(saved, ends=True))}
    assert generic == (GENERIC if different else set())


def _heads_of(family: str, saved: Any, folder: Path) -> list[str]:
    """Load a model with each head, and return the tasks whose head is generic."""
    blocks, generic = parameter_layout(saved), []
    for objective, count in TASKS.items():
        if (family, objective) == ("mbart", "token-classification"):
            assert (
                "does not support token-classification"
                in refused(folder, objective=objective, label_count=count).message
            )
            continue
        loaded = load_model(str(folder), objective=objective, label_count=count)
        assert loaded.model.config.num_labels == (count or 2)
        layout = parameter_layout(loaded.model)
        # The token classifier of T5 has no decoder.
        half = family in ("t5", "mt5", "umt5") and objective == "token-classification"
        assert len(layout.layers) == len(blocks.layers) // (2 if half else 1)
        for name, theirs in zip(layout.names, blocks.names, strict=not half):
            assert torch.equal(loaded.model.get_parameter(name), saved.get_parameter(theirs)), (objective, name)
        assert loaded.model.get_output_embeddings() is None, "the head of language modelling is not built"
        before, after = _losses(loaded.model, objective, count or 2)
        assert after < before, (family, objective)
        if not hasattr(tf, type(loaded.model).__name__):
            generic.append(objective)
    return generic


def _losses(model: Any, objective: str, classes: int) -> tuple[float, float]:
    """Return the loss of a model on four texts, before and after five steps."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 97, (4, 7), generator=generator)
    ids[:, -1] = 2
    labels = torch.arange(4)
    targets = {
        "token-classification": {"labels": ids % classes},
        "sequence-classification": {"labels": labels % classes},
        "question-answering": {"start_positions": labels, "end_positions": labels + 2},
    }[objective]
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(6):
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), **targets).loss
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return losses[0], losses[-1]


def test_a_decoder_finds_the_end_of_a_text(save: Save, zoo: Any) -> None:
    loaded = load_model(str(save("gpt2", "eos", pad_token_id=None)), objective="sequence-classification", label_count=3)
    assert loaded.model.config.pad_token_id == loaded.pad_id == 2
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, loaded.pad_id, loaded.pad_id]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        together = loaded.model(input_ids=ids, attention_mask=mask).logits
        single = loaded.model(input_ids=ids[1:, :2]).logits
    torch.testing.assert_close(together[1:], single)


def test_padding_by_which_a_decoder_finds_the_end_is_not_part_of_text(save: Save) -> None:
    """A configuration may name another padding token than the tokenizer, and token 0 may be a token of text."""
    options: dict[str, Any] = {"objective": "sequence-classification", "label_count": 3}
    loaded = load_model(str(save("llama", pad_token_id=7)), **options)
    assert loaded.model.config.pad_token_id == loaded.pad_id == 1
    error = refused(save("gpt2", "", pad_token_id=None), **options)
    assert "its tokenizer has no token that is not part of texts" in error.message
    ids, mask = torch.tensor([[5, 0, 1, 1]]), torch.tensor([[1, 1, 0, 0]])
    loaded = load_model(str(save("llama", pad_token_id=0)), **options)
    with torch.no_grad():
        padded = loaded.model(input_ids=ids, attention_mask=mask).logits
        left_padded = loaded.model(
            input_ids=ids.flip(1)[:, [0, 1, 3, 2]],
            attention_mask=mask.flip(1),
            position_ids=torch.tensor([[0, 0, 0, 1]]),
        ).logits
        single = loaded.model(input_ids=ids[:, :2]).logits
    torch.testing.assert_close(padded, single)
    torch.testing.assert_close(left_padded, single)


def test_an_encoder_decoder_classifies_a_text_at_its_end_token(save: Save) -> None:
    error = refused(save("t5"), objective="sequence-classification", label_count=3)
    assert "classifies a text at its end token (id 2), and the tokenizer does not add this token" in error.message


def test_a_pooler_is_a_part_of_a_new_head(save: Save) -> None:
    """Checkpoints of masked language models have no pooler, which BERT has between its blocks and the head."""
    folder = save("bert")
    first, again, other = (
        load_model(str(folder), objective="sequence-classification", label_count=3, head_seed=seed).model.bert.pooler
        for seed in (0, 0, 1)
    )
    assert torch.equal(first.dense.weight, again.dense.weight)
    assert not torch.equal(first.dense.weight, other.dense.weight)


def test_a_generic_head_that_was_trained_is_kept(save: Save, tmp_path: Path) -> None:
    """The folder of a fine-tuned model names a class that transformers does not have."""
    folder = save("gemma3-text")
    tuned = load_model(str(folder), objective="token-classification", label_count=5, head_seed=1)
    folder_of_tuned = tmp_path / "kept"
    tuned.model.save_pretrained(folder_of_tuned)
    tuned.tokenizer.save_pretrained(folder_of_tuned)
    assert json.loads((folder_of_tuned / "config.json").read_text())["architectures"] == [
        "Gemma3TextForTokenClassification"
    ]
    again = load_model(str(folder_of_tuned), objective="token-classification", label_count=5, head_seed=2)
    saved, result = tuned.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(saved[name], result[name]) for name in saved)
    assert open_model(again.model, again.tokenizer).objective == "token-classification"
    assert kind_of(again.model) == "tokens"
    assert "--objective token-classification" in refused(folder_of_tuned).hint
    assert "has a trained head" in refused(folder_of_tuned, objective="token-classification", label_count=4).message
    assert (
        "has a head for token-classification"
        in refused(folder_of_tuned, objective="sequence-classification", label_count=5).message
    )


@pytest.mark.parametrize(
    ("family", "objective"), [("gemma3-text", "token-classification"), ("xglm", "question-answering")]
)
def test_generic_heads_are_measured_exactly(family: str, objective: str, save: Save) -> None:
    loaded = load_model(str(save(family)), objective=objective, label_count=TASKS[objective])
    layout = parameter_layout(loaded.model)
    checks = self_check(loaded.model, layout)
    assert len(checks) == len(layout.names)
    assert all(check.exact and check.by_rule for check in checks)
    assert activation_bytes(loaded.model, layout, FisherSettings(), 64) > 0


def test_a_trained_head_is_kept(save: Save) -> None:
    folder = save("xlm-roberta-token-classification")
    saved = load_file(folder / "model.safetensors")
    for seed in (0, 1):
        loaded = load_model(str(folder), objective="token-classification", label_count=5, head_seed=seed)
        assert torch.equal(loaded.model.classifier.weight, saved["classifier.weight"])
    error = refused(folder, objective="token-classification", label_count=4)
    assert error.message == f"the model '{folder}' has a trained head that is not for 4 labels."


def test_a_trained_head_of_another_task_is_refused(save: Save) -> None:
    """The heads of BERT have the same names for both tasks, and here the same sizes."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    folder = save(tf.BertForTokenClassification(tf.BertConfig(vocab_size=97, pad_token_id=1, num_labels=3, **sizes)))
    error = refused(folder, objective="sequence-classification", label_count=3)
    assert (
        error.message == f"the model '{folder}' has a head for token-classification, not for sequence-classification."
    )


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("objective", TASKS)
def test_a_task_does_not_excuse_a_missing_block(objective: str, save: Save) -> None:
    folder = save("xlm-roberta")
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: values for name, values in weights.items() if ".layer.1." not in name},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    error = refused(folder, objective=objective, label_count=TASKS[objective])
    assert "lack 16 of the tensors that its configuration needs, such as 'roberta.encoder.layer.1." in error.message
    assert error.hint.endswith("use a complete checkpoint.")


@pytest.mark.parametrize(
    ("family", "objective"),
    [
        ("xlm-roberta", "causal-lm"),
        ("xlm-roberta", "span-corruption"),
        ("llama", "masked-lm"),
        ("llama", "span-corruption"),
        # transformers lists mBART as a masked model and as a decoder as well.
        ("mbart", "masked-lm"),
        ("mbart", "causal-lm"),
        ("t5", "masked-lm"),
        ("mbart", "token-classification"),
    ],
)
def test_an_objective_that_does_not_suit_the_model_is_refused(family: str, objective: str, save: Save) -> None:
    folder = save(family)
    error = refused(folder, objective=objective, label_count=5 if "classification" in objective else None)
    assert error.message == f"the model '{folder}' ({family}) does not support {objective}."
    assert error.hint.startswith("it supports ")
    assert objective not in error.hint


def test_a_discriminator_is_refused(save: Save) -> None:
    config = tf.ElectraConfig(
        vocab_size=97, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, pad_token_id=1
    )
    folder = save(tf.ElectraForPreTraining(config))
    for objective in ("auto", "masked-lm"):
        error = refused(folder, objective=objective)
        assert error.message == (
            f"the model '{folder}' is a discriminator (ElectraForPreTraining): it has no language-modelling head."
        )
        assert "generator" in error.hint
    assert load_model(str(folder), objective="question-answering").objective == "question-answering"


def test_a_body_without_a_head_is_refused(save: Save, zoo: Any) -> None:
    """Checkpoints of DeBERTa-v3 have the head of the generator under a name that no model class reads."""
    model = zoo.make("deberta-v2", torch.float32)
    folder = save(model.deberta)
    error = refused(folder)
    assert "tensors that its configuration needs, such as 'cls.predictions." in error.message
    assert "use a checkpoint with its language-modelling head" in error.hint


def test_a_classifier_has_no_language_modelling_head(save: Save) -> None:
    folder = save("xlm-roberta-token-classification")
    error = refused(folder)
    assert error.message == (
        f"the model '{folder}' is a XLMRobertaForTokenClassification, without the head of its pre-training."
    )
    assert "--objective token-classification" in error.hint


def test_a_model_that_reads_no_text_is_refused(save: Save) -> None:
    config = tf.ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    error = refused(save(tf.ViTForImageClassification(config)))
    assert "no objective is known for the model" in error.message


def test_models_that_take_no_head_are_refused_for_tasks(save: Save) -> None:
    """Outputs of recurrent models lack fields that the generic heads read; multimodal models read more than text."""
    config = tf.MambaConfig(vocab_size=97, hidden_size=16, num_hidden_layers=1, state_size=4)
    for objective, count in TASKS.items():
        error = refused(save(tf.MambaForCausalLM(config)), objective=objective, label_count=count)
        assert error.message.endswith(f"(mamba) does not support {objective}.")
        assert error.hint == "it supports causal-lm."
    images = tf.Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4, image_token_index=96)
    error = refused(save(tf.Gemma3ForConditionalGeneration(images), "bos eos"), objective="question-answering")
    assert error.message.endswith("(gemma3) does not support question-answering.")
