"""Refused model folders and their messages."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers as tf
from safetensors.torch import load_file, save_file

from tests.support.model_folders import configure, refused
from xsns_stream.errors import UsageError
from xsns_stream.models import EMBEDDED_FOLDER, load_model

SMALL = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
GPT2 = {"vocab_size": 50, "n_layer": 2, "n_head": 2, "n_embd": 16, "n_positions": 20}


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.999])
def test_truncated_weights_are_refused(share: float, tiny_copy: Path) -> None:
    path = tiny_copy / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    error = refused(tiny_copy)
    assert error.message.startswith(f"the weights of model '{tiny_copy}' cannot be read: ")
    assert error.hint == "the files may be incomplete; download or export them again."


def test_weights_of_zeros_are_refused(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").write_bytes(bytes(4096))
    assert "cannot be read" in refused(tiny_copy).message


def test_a_missing_shard_is_named(tiny_copy: Path) -> None:
    model = load_model(str(tiny_copy)).model
    (tiny_copy / "model.safetensors").unlink()
    model.save_pretrained(tiny_copy, max_shard_size="200KB")
    sorted(tiny_copy.glob("*.safetensors"))[-1].unlink()
    assert "cannot be read" in refused(tiny_copy).message


def test_a_folder_without_weights_is_refused(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").unlink()
    error = refused(tiny_copy)
    assert error.message == f"the model '{tiny_copy}' has no .safetensors weights."


class _Spy:
    """An object that writes a file when it is unpickled."""

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


def test_pickled_weights_beside_other_safetensors_are_refused(tiny_copy: Path) -> None:
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


def test_a_checkpoint_without_its_head_is_refused(tiny_copy: Path) -> None:
    weights = load_file(tiny_copy / "model.safetensors")
    remaining = {name: values for name, values in weights.items() if not name.startswith("lm_head.")}
    assert len(remaining) < len(weights)
    save_file(remaining, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    error = refused(tiny_copy)
    assert " tensors that its configuration needs, such as 'lm_head." in error.message
    assert "random values would be measured in their place" in error.hint


def test_a_checkpoint_without_a_block_is_refused(tiny_copy: Path) -> None:
    weights = load_file(tiny_copy / "model.safetensors")
    remaining = {name: values for name, values in weights.items() if ".layer.1." not in name}
    save_file(remaining, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    error = refused(tiny_copy)
    assert f"lack {len(weights) - len(remaining)} of the tensors" in error.message
    assert ".layer.1." in error.message


def test_weights_of_another_size_are_refused(tiny_copy: Path) -> None:
    path = tiny_copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"intermediate_size": 48}))
    error = refused(tiny_copy)
    assert error.message.startswith(
        f"the configuration of model '{tiny_copy}' describes 6 of the tensors with another size"
    )
    assert error.message.endswith(".0.intermediate.dense.bias' with [48] instead of [64].")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"model_type": "no-such-model"}'])
def test_an_invalid_configuration_is_refused(text: str, tiny_copy: Path) -> None:
    (tiny_copy / "config.json").write_text(text)
    assert "cannot be read" in refused(tiny_copy).message


def test_a_model_of_another_kind_is_refused(tiny_copy: Path) -> None:
    tf.GPT2LMHeadModel(tf.GPT2Config(**GPT2)).save_pretrained(tiny_copy)
    error = refused(tiny_copy, objective="masked-lm")
    assert error.message == f"the model '{tiny_copy}' (gpt2) does not support masked-lm."
    assert error.hint.startswith("it supports causal-lm, token-classification,")


# --------------------------------------------------------------------------- another model's tokenizer


def test_a_tokenizer_that_is_too_large_is_refused(tmp_path: Path) -> None:
    tf.XLMRobertaForMaskedLM(tf.XLMRobertaConfig(**SMALL, pad_token_id=1)).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(EMBEDDED_FOLDER / name, tmp_path)
    error = refused(tmp_path)
    assert error.message == (f"the tokenizer of model '{tmp_path}' has 16384 tokens, but the model has 50 embeddings.")
    assert error.hint == "put the model's own tokenizer files into the folder."


def test_a_tokenizer_with_another_padding_is_refused(tiny_copy: Path) -> None:
    configure(tiny_copy, "tokenizer_config.json", pad_token="<unk>")
    error = refused(tiny_copy)
    assert error.message == f"the tokenizer of model '{tiny_copy}' has the padding id 3, but the model has 1."


@pytest.mark.parametrize("token", ["mask_token", "pad_token"])
def test_a_tokenizer_without_mask_or_padding_is_refused(token: str, tiny_copy: Path) -> None:
    path = tiny_copy / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings[token]
    path.write_text(json.dumps(settings))
    error = refused(tiny_copy)
    assert error.message == f"the tokenizer of model '{tiny_copy}' has no mask token or no padding token."


@pytest.mark.parametrize("damage", ["cut", "all missing", "one missing"])
def test_a_tokenizer_that_cannot_be_read_is_refused(damage: str, tiny_copy: Path) -> None:
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
def test_a_missing_folder_is_refused(name: str) -> None:
    error = refused(name)
    assert error.message == f"there is no model folder '{name}'."
    assert "`mini`" in error.hint


def test_a_file_is_not_a_folder(tiny_folder: Path) -> None:
    assert "is a file, and not a GGUF file" in refused(tiny_folder / "config.json").message


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "has no .safetensors weights" in refused(tmp_path).message


def test_a_hub_id_without_a_network_is_refused() -> None:
    error = refused("nobody/no-such-model-anywhere", revision="main")  # the tests set HF_HUB_OFFLINE
    assert error.message == (
        "the model 'nobody/no-such-model-anywhere' could not be downloaded from the Hub: HF_HUB_OFFLINE is set, and "
        "the model is not in the cache of the Hub."
    )
    assert error.hint == "unset HF_HUB_OFFLINE, or give the path of a local folder."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "translation"}, "'translation' is not a valid objective."),
        ({"dtype": "float8"}, "'float8' is not a valid dtype for weights."),
        (
            {"objective": "token-classification"},
            "token-classification needs at least 2 labels, and no number of labels was given.",
        ),
        (
            {"objective": "sequence-classification", "label_count": 1},
            "sequence-classification needs at least 2 labels, not 1.",
        ),
        ({"label_count": 3}, "auto has no labels."),
        ({"objective": "question-answering", "label_count": 2}, "question-answering has no labels."),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_model("mini", **options)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_missing_device_is_refused(device: str, tiny_folder: Path) -> None:
    error = refused(tiny_folder, device=device)
    assert error.message.startswith(f"the device '{device}' cannot be used: ")
    assert "--device cpu" in error.hint
