"""Folders of models as bug reports of other tools describe them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import xsns_stream as xs
from tests.support.model_folders import configure, refused
from xsns_stream.errors import ModelError
from xsns_stream.models import load_model

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d7a2146' * 8}\nsize 15014256\n"


def rename(folder: Path, prefix: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({f"{prefix}{name}": value for name, value in tensors.items()}, folder / "new", {"format": "pt"})
    (folder / "new").rename(folder / "model.safetensors")


# --------------------------------------------------------------------------------------------- placeholders


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_pointers_of_git_lfs_are_refused(name: str, tiny_copy: Path) -> None:
    (tiny_copy / name).write_text(POINTER)
    error = refused(tiny_copy)
    assert f"{name} is a pointer of Git LFS, not the file itself." in error.message
    assert error.hint == "run `git lfs pull` in its repository."


def test_one_shard_that_is_a_pointer_is_refused(tiny_copy: Path) -> None:
    load_model(str(tiny_copy)).model.save_pretrained(tiny_copy, max_shard_size="200KB")
    (tiny_copy / "model.safetensors").unlink()
    shard = sorted(tiny_copy.glob("*.safetensors"))[-1]
    shard.write_text(POINTER)
    assert f"{shard.name} is a pointer of Git LFS" in refused(tiny_copy).message


def test_a_web_page_instead_of_weights_is_refused(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").write_text("<!DOCTYPE html>\n<html><body>Sign in</body></html>\n")
    error = refused(tiny_copy)
    assert "model.safetensors is an HTML page, not the file itself." in error.message
    assert "download the file again" in error.hint


# --------------------------------------------------------------------------------- other places and names


def test_a_folder_of_checkpoints_is_not_a_model(tiny_copy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for step in (500, 1000):
        shutil.copytree(tiny_copy, run / f"checkpoint-{step}")
    error = refused(run)
    assert error.message.endswith("it contains such a folder: checkpoint-500, checkpoint-1000.")
    assert error.hint == f"give the folder of the model: --model '{run / 'checkpoint-1000'}'."


@pytest.mark.parametrize("folder", ["", "models--x--tiny", "models--x--tiny/snapshots"])
def test_the_cache_of_the_hub_is_not_a_model(folder: str, tiny_copy: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--x--tiny" / "snapshots" / "0123abcd"
    shutil.copytree(tiny_copy, snapshot)
    assert refused(tmp_path / "hub" / folder).hint == f"give the folder of the model: --model '{snapshot}'."
    assert load_model(str(snapshot)).name == "0123abcd"


def test_shards_without_their_index_are_refused(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").rename(tiny_copy / "model-00001-of-00002.safetensors")
    error = refused(tiny_copy)
    assert "the folder has model-00001-of-00002.safetensors." in error.message
    assert error.hint == "download model.safetensors.index.json too."


def test_weights_of_another_precision_only_are_refused(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").rename(tiny_copy / "model.fp16.safetensors")
    error = refused(tiny_copy)
    assert "the folder has model.fp16.safetensors." in error.message
    assert error.hint == "rename the file of the weights to model.safetensors."


# ------------------------------------------------------------------------------------------------- tensors


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "model."])
def test_names_of_tensors_with_a_prefix_are_refused_with_a_command(
    prefix: str, tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_file(tiny_copy / "model.safetensors")
    rename(tiny_copy, prefix)
    error = refused(tiny_copy)
    assert f"have names with the prefix '{prefix}', which a program for training added." in error.message
    command = error.hint.split('"')[1]
    monkeypatch.chdir(tiny_copy)
    exec(command, {})
    after = load_file(tiny_copy / "new.safetensors")
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    (tiny_copy / "new.safetensors").rename(tiny_copy / "model.safetensors")
    load_model(str(tiny_copy))


def test_a_prefix_that_could_end_the_command_is_not_part_of_one(tiny_copy: Path) -> None:
    rename(tiny_copy, "a'); print(1); ('.")
    assert refused(tiny_copy).hint == "save the model without this wrapper."


def test_a_checkpoint_without_the_name_of_its_body_is_read(tiny_copy: Path) -> None:
    before = load_model(str(tiny_copy)).model.state_dict()
    tensors = load_file(tiny_copy / "model.safetensors")
    save_file({name.removeprefix("roberta."): value for name, value in tensors.items()}, tiny_copy / "new")
    (tiny_copy / "new").rename(tiny_copy / "model.safetensors")
    after = load_model(str(tiny_copy)).model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_vocabulary_of_another_size_is_refused(tiny_copy: Path) -> None:
    rows = json.loads((tiny_copy / "config.json").read_text())["vocab_size"]
    configure(tiny_copy, "config.json", vocab_size=rows + 16)
    error = refused(tiny_copy)
    assert f"with [{rows + 16}] instead of [{rows}]." in error.message
    assert error.hint.startswith("put the config.json of these weights into the folder")


def test_embeddings_may_have_more_rows_than_tokens(tiny_copy: Path) -> None:
    """Models often have more embeddings than tokens, because devices prefer certain sizes."""
    tensors = load_file(tiny_copy / "model.safetensors")
    rows = json.loads((tiny_copy / "config.json").read_text())["vocab_size"]
    padded = {
        name: torch.cat([value, torch.zeros(64, *value.shape[1:])]) if value.shape[0] == rows else value
        for name, value in tensors.items()
    }
    save_file(padded, tiny_copy / "new", {"format": "pt"})
    (tiny_copy / "new").rename(tiny_copy / "model.safetensors")
    configure(tiny_copy, "config.json", vocab_size=rows + 64)
    assert load_model(str(tiny_copy)).model.get_input_embeddings().weight.shape[0] == rows + 64


# ------------------------------------------------------------------------------------------------ tokenizer


def test_a_class_that_replaces_parts_of_the_tokenizer_is_noted(tiny_copy: Path) -> None:
    assert not any("differently. The model may" in note for note in load_model(str(tiny_copy)).notes)
    configure(tiny_copy, "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    (note,) = (note for note in load_model(str(tiny_copy)).notes if "differently. The model may" in note)
    assert note.startswith("the tokenizer class LlamaTokenizer of transformers and the tokenizer.json of model ")
    configure(tiny_copy, "tokenizer_config.json", tokenizer_class="XLMRobertaTokenizer")
    assert not any("differently. The model may" in note for note in load_model(str(tiny_copy)).notes)


def test_a_tokenizer_without_a_limit_is_read(tiny_copy: Path) -> None:
    tokens = load_model(str(tiny_copy)).tokenizer("hello world")["input_ids"]
    configure(tiny_copy, "tokenizer_config.json", model_max_length=1000000000000000019884624838656)
    assert load_model(str(tiny_copy)).tokenizer("hello world")["input_ids"] == tokens


# -------------------------------------------------------------------------------------------- configuration


def test_a_configuration_that_lets_the_model_return_a_tuple_has_no_effect(tiny_copy: Path, tmp_path: Path) -> None:
    texts = {"en": ["The cat sat on the mat.", "A dog barked loudly.", "Birds fly south in autumn."]}
    rows = []
    for number, values in enumerate(({}, {"return_dict": False, "torchscript": True, "output_attentions": True})):
        configure(tiny_copy, "config.json", **values)
        store = xs.build(
            texts, model=str(tiny_copy), store=tmp_path / f"{number}.zarr", examples=3, max_length=64, progress=False
        )
        rows.append(store["en"])
    assert len(rows[0] - rows[1]) == len(rows[1] - rows[0]) == 0
    loaded = load_model(str(tiny_copy))
    loaded.model.config.return_dict = False
    with pytest.raises(ModelError, match="returns a tuple, whose parts have no names"):
        xs.build(texts, model=loaded.model, tokenizer=loaded.tokenizer, store=tmp_path / "m.zarr", max_length=64)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("truncation", {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}),
        (
            "padding",
            {
                "strategy": {"Fixed": 32},
                "direction": "Left",
                "pad_to_multiple_of": None,
                "pad_id": 1,
                "pad_type_id": 0,
                "pad_token": "<pad>",
            },
        ),
    ],
)
def test_a_tokenizer_that_was_saved_while_it_truncated_or_padded_does_neither(
    part: str, value: dict[str, Any], tiny_copy: Path, tmp_path: Path
) -> None:
    texts = {"en": ["The cat sat on the mat, and the dog slept.", "A dog barked loudly.", "Birds fly south in autumn."]}
    rows = []
    for number in (0, 1):
        store = xs.build(
            texts, model=str(tiny_copy), store=tmp_path / f"{number}.zarr", examples=3, max_length=64, progress=False
        )
        rows.append(store["en"])
        configure(tiny_copy, "tokenizer.json", **{part: value})
    assert len(rows[0] - rows[1]) == len(rows[1] - rows[0]) == 0
