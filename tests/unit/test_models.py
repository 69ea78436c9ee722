"""Which parameters are measured, and which model folders are refused, in which words."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from xsns_stream.errors import ExitCode, ModelError
from xsns_stream.models import EMBEDDED_FOLDER, left_out, load_model, longest_input, parameter_layout

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
    """A model of shapes alone: no weight takes memory."""
    with torch.device("meta"):
        return kind(config)


# ------------------------------------------------------------------------------------------------ θ


def test_xlm_r_base() -> None:
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


def test_multilingual_bert() -> None:
    config = tf.BertConfig(vocab_size=119_547)  # the rest is what BERT's configuration says by itself
    layout = parameter_layout(on_meta(tf.BertForMaskedLM, config))
    assert (layout.size, len(layout.layers)) == (85_054_464, 12)


def test_layouts_of_one_architecture_are_one() -> None:
    """What is comparable depends on the blocks alone: not on weights, head or vocabulary."""

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
def test_blocks_and_neither_embeddings_nor_head(family: str) -> None:
    kind, config, prefix, blocks = FAMILIES[family]
    model = on_meta(kind, config)
    layout = parameter_layout(model)
    assert len(layout.layers) == blocks
    assert all(name.startswith(prefix) for name in layout.names)
    inside = [n for n, _ in model.named_parameters(remove_duplicate=False) if n.startswith(prefix)]
    assert sorted(layout.names) == sorted(inside), "every parameter of every block, once"
    outside = [model.get_input_embeddings(), model.get_output_embeddings()]
    measured = {id(model.get_parameter(name)) for name in layout.names}
    assert not measured & {id(p) for module in outside for p in module.parameters()}
    assert [layout.layers[0].start, layout.layers[-1].stop] == [0, layout.size]
    assert all(a.stop == b.start for a, b in zip(layout.layers, layout.layers[1:], strict=False))


def test_t5_keeps_its_final_norm_out() -> None:
    model = on_meta(*FAMILIES["t5"][:2])
    assert {"encoder.final_layer_norm.weight", "decoder.final_layer_norm.weight", "shared.weight"} <= set(
        left_out(model, parameter_layout(model))
    )


def test_a_tied_tensor_counts_once() -> None:
    model = tf.BertForMaskedLM(tf.BertConfig(**SMALL))
    alone = parameter_layout(model).size
    first, second = model.bert.encoder.layer
    second.output.dense.weight = first.output.dense.weight
    assert parameter_layout(model).size == alone - 32 * 16


def test_an_embedding_inside_a_block_is_left_out() -> None:
    model = tf.BertForMaskedLM(tf.BertConfig(**SMALL))
    alone = parameter_layout(model)
    model.bert.encoder.layer[1].words = model.get_input_embeddings()
    assert parameter_layout(model).digest == alone.digest


def test_a_model_without_blocks() -> None:
    with pytest.raises(ModelError) as caught:
        parameter_layout(torch.nn.Linear(2, 2))
    assert caught.value.message == "no list of repeated transformer blocks was found in Linear."


# ------------------------------------------------------------------------------------------ loading


def test_the_embedded_model() -> None:
    loaded = load_model("mini")
    assert (loaded.name, loaded.revision) == ("mini", "")
    layout = parameter_layout(loaded.model)
    assert (layout.size, len(layout.layers)) == (3_159_040, 4)
    config = loaded.model.config
    assert (config.hidden_size, config.vocab_size, len(loaded.tokenizer)) == (256, 16_384, 16_384)
    assert next(loaded.model.parameters()).dtype == torch.float32
    assert not loaded.model.training


def test_a_folder(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(str(tiny_folder))
    assert (loaded.name, loaded.revision) == ("tiny", "")
    assert len(loaded.weights_digest) == len(loaded.tokenizer_digest) == 64
    monkeypatch.chdir(tiny_folder)
    here = load_model(".")
    assert here.name == "tiny", "the folder's name, however it was written"
    assert (here.weights_digest, here.tokenizer_digest) == (loaded.weights_digest, loaded.tokenizer_digest)


def test_nothing_is_drawn_on_stderr(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    logging.enable_progress_bar()
    before = logging.get_verbosity()
    load_model(str(tiny_folder))
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled()
    assert logging.get_verbosity() == before
    logging.disable_progress_bar()


def test_longest_input(tiny_folder: Path) -> None:
    loaded = load_model(str(tiny_folder))
    assert longest_input(loaded.model, loaded.tokenizer) == 64, "66 positions, two of them before the first piece"


@pytest.mark.parametrize(("padding", "expected"), [(0, 19), (1, 18), (3, 16)])
def test_longest_input_counts_from_the_padding(padding: int, expected: int, tiny_folder: Path) -> None:
    sizes = SMALL | {"max_position_embeddings": 20, "pad_token_id": padding}
    model = tf.RobertaForMaskedLM(tf.RobertaConfig(**sizes))
    tokenizer = tf.AutoTokenizer.from_pretrained(tiny_folder)
    longest = longest_input(model, tokenizer)
    assert longest == expected
    ids = torch.full((1, longest), 7)
    assert model(input_ids=ids).logits.shape == (1, longest, 50)
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest + 1), 7))


def test_longest_input_of_bert(tiny_folder: Path) -> None:
    model = tf.BertForMaskedLM(tf.BertConfig(**SMALL, max_position_embeddings=20))
    assert longest_input(model, tf.AutoTokenizer.from_pretrained(tiny_folder)) == 20


def test_digests_tell_what_matters(tiny_copy: Path) -> None:
    before = load_model(str(tiny_copy))
    weights = load_file(tiny_copy / "model.safetensors")
    name = "roberta.encoder.layer.0.output.dense.bias"
    weights[name].view(torch.uint8)[5] ^= 1
    save_file(weights, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    flipped = load_model(str(tiny_copy))
    assert flipped.weights_digest != before.weights_digest
    assert flipped.tokenizer_digest == before.tokenizer_digest

    path = tiny_copy / "tokenizer.json"
    state = json.loads(path.read_text())
    state["added_tokens"][0]["lstrip"] = not state["added_tokens"][0]["lstrip"]
    path.write_text(json.dumps(state))
    changed = load_model(str(tiny_copy))
    assert changed.tokenizer_digest != before.tokenizer_digest
    assert changed.weights_digest == flipped.weights_digest


def test_the_tokenizer_s_digest_survives_its_use(tiny_folder: Path) -> None:
    from xsns_stream.models import _tokenizer_digest

    loaded = load_model(str(tiny_folder))
    loaded.tokenizer(["a b c", "d"], padding=True, truncation=True, max_length=3)
    assert _tokenizer_digest(loaded.tokenizer) == loaded.tokenizer_digest


def test_sharded_weights(tiny_copy: Path) -> None:
    whole = load_model(str(tiny_copy))
    (tiny_copy / "model.safetensors").unlink()
    whole.model.save_pretrained(tiny_copy, max_shard_size="200KB")
    assert len(list(tiny_copy.glob("*.safetensors"))) > 1
    again = load_model(str(tiny_copy))
    for name, values in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], values)


# ----------------------------------------------------------------------------------- what is refused


def refused(name: object, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_model(str(name), **options)
    error = caught.value
    assert error.exit_code == ExitCode.FAILURE
    assert "\n" not in error.message
    assert error.hint
    return error


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.999])
def test_weights_cut_short(share: float, tiny_copy: Path) -> None:
    path = tiny_copy / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    error = refused(tiny_copy)
    assert error.message.startswith(f"the weights of model '{tiny_copy}' cannot be read: ")
    assert error.hint == "the files may be incomplete; fetch or export them again."


def test_weights_of_zeros(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").write_bytes(bytes(4096))
    assert "cannot be read" in refused(tiny_copy).message


def test_a_shard_that_is_missing(tiny_copy: Path) -> None:
    model = load_model(str(tiny_copy)).model
    (tiny_copy / "model.safetensors").unlink()
    model.save_pretrained(tiny_copy, max_shard_size="200KB")
    sorted(tiny_copy.glob("*.safetensors"))[-1].unlink()
    assert "cannot be read" in refused(tiny_copy).message


def test_no_weights(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").unlink()
    error = refused(tiny_copy)
    assert error.message == f"the model '{tiny_copy}' has no .safetensors weights."


class _Spy:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_pickled_weights_are_not_even_opened(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").unlink()
    with (tiny_copy / "pytorch_model.bin").open("wb") as file:
        pickle.dump(_Spy(tiny_copy / "was-run"), file)
    error = refused(tiny_copy)
    assert "has no .safetensors weights" in error.message
    assert "pickled weights are not read" in error.hint
    assert not (tiny_copy / "was-run").exists()


def test_nor_where_other_safetensors_lie_beside_them(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").rename(tiny_copy / "other.safetensors")
    with (tiny_copy / "pytorch_model.bin").open("wb") as file:
        pickle.dump(_Spy(tiny_copy / "was-run"), file)
    assert "cannot be read" in refused(tiny_copy).message
    assert not (tiny_copy / "was-run").exists()


def test_code_in_a_folder_is_not_run(tiny_copy: Path) -> None:
    path = tiny_copy / "config.json"
    config = json.loads(path.read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForMaskedLM": "own.Own"}}
    path.write_text(json.dumps(config))
    (tiny_copy / "own.py").write_text(f"open({str(tiny_copy / 'was-run')!r}, 'w')\nclass Own: pass\n")
    assert "cannot be read" in refused(tiny_copy).message
    assert not (tiny_copy / "was-run").exists()


def test_a_checkpoint_without_its_head(tiny_copy: Path) -> None:
    weights = load_file(tiny_copy / "model.safetensors")
    kept = {name: values for name, values in weights.items() if not name.startswith("lm_head.")}
    assert len(kept) < len(weights)
    save_file(kept, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    error = refused(tiny_copy)
    assert " tensors that its configuration needs, such as 'lm_head." in error.message
    assert "random values would be measured in their place" in error.hint


def test_a_checkpoint_without_a_block(tiny_copy: Path) -> None:
    weights = load_file(tiny_copy / "model.safetensors")
    kept = {name: values for name, values in weights.items() if ".layer.1." not in name}
    save_file(kept, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    error = refused(tiny_copy)
    assert f"lack {len(weights) - len(kept)} tensors" in error.message
    assert ".layer.1." in error.message


def test_weights_of_another_size(tiny_copy: Path) -> None:
    path = tiny_copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 48}))
    error = refused(tiny_copy)
    assert str(tiny_copy) in error.message


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model_type": "no-such-model"}'])
def test_a_configuration_that_is_none(text: str, tiny_copy: Path) -> None:
    (tiny_copy / "config.json").write_text(text)
    assert "cannot be read" in refused(tiny_copy).message


def test_a_model_of_another_kind(tiny_copy: Path) -> None:
    tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)).save_pretrained(tiny_copy)
    assert "cannot be read" in refused(tiny_copy).message


# --------------------------------------------------------------------------- another model's tokenizer


def configure(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_tokenizer_that_is_too_large(tmp_path: Path) -> None:
    tf.XLMRobertaForMaskedLM(tf.XLMRobertaConfig(**SMALL, pad_token_id=1)).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(EMBEDDED_FOLDER / name, tmp_path)
    error = refused(tmp_path)
    assert error.message == (f"the tokenizer of model '{tmp_path}' has 16384 pieces, its embeddings have 50 rows.")
    assert error.hint == "put the model's own tokenizer files into the folder."


def test_a_tokenizer_with_another_padding(tiny_copy: Path) -> None:
    configure(tiny_copy, "tokenizer_config.json", pad_token="<unk>")
    error = refused(tiny_copy)
    assert error.message == f"the tokenizer of model '{tiny_copy}' pads with id 3, its model with 1."


@pytest.mark.parametrize("token", ["mask_token", "pad_token"])
def test_a_tokenizer_that_cannot_hide_or_pad(token: str, tiny_copy: Path) -> None:
    path = tiny_copy / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings[token]
    path.write_text(json.dumps(settings))
    error = refused(tiny_copy)
    assert error.message == f"the tokenizer of model '{tiny_copy}' has no mask or no padding token."


@pytest.mark.parametrize("damage", ["cut", "all missing", "one missing"])
def test_a_tokenizer_that_cannot_be_read(damage: str, tiny_copy: Path) -> None:
    path = tiny_copy / "tokenizer.json"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        path.unlink()
    if damage == "all missing":
        (tiny_copy / "tokenizer_config.json").unlink()
    assert refused(tiny_copy).message.startswith(f"the tokenizer of model '{tiny_copy}' ")


# ------------------------------------------------------------------------------------- which model


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/nowhere", "nowhere", "a/b/c", ""])
def test_no_such_folder(name: str) -> None:
    error = refused(name)
    assert error.message == f"no model folder '{name}'."
    assert "`mini`" in error.hint


def test_a_file_is_no_folder(tiny_folder: Path) -> None:
    assert "no model folder" in refused(tiny_folder / "config.json").message


def test_an_empty_folder(tmp_path: Path) -> None:
    assert "has no .safetensors weights" in refused(tmp_path).message


def test_a_hub_id_without_a_network() -> None:
    error = refused("nobody/no-such-model-anywhere", revision="main")
    assert error.message.startswith("the model 'nobody/no-such-model-anywhere' could not be fetched from the Hub: ")
    assert error.hint == "check the id and the network, or give the path of a local folder."


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there(device: str, tiny_folder: Path) -> None:
    error = refused(tiny_folder, device=device)
    assert error.message.startswith(f"the device '{device}' cannot be used: ")
    assert "--device cpu" in error.hint


def test_the_layout_covers_what_is_not_left_out(tiny_folder: Path) -> None:
    model = load_model(str(tiny_folder)).model
    layout = parameter_layout(model)
    out = left_out(model, layout)
    assert not set(out) & set(layout.names)
    assert set(out) | set(layout.names) == {name for name, _ in model.named_parameters()}
    assert sum(math.prod(p.shape) for p in out.values()) + layout.size == sum(p.numel() for p in model.parameters())
