"""Files of a model folder that are loaded, notes on them, and files that are ignored."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from tests.support.model_folders import configure, refused
from xsns_stream.errors import ExitCode
from xsns_stream.io.json import UnusableError
from xsns_stream.models import EMBEDDED_FOLDER, load_model, tokenizers, weights
from xsns_stream.models.huggingface import broken_installation
from xsns_stream.models.model_files import read_header, read_tensors
from xsns_stream.models.tokenizer_files import MOST_ADDED, check_tokenizer

# ------------------------------------------------------------------------------- the embedded model

#: The record of stores of `mini` that were built while its configuration named float16.
RECORDED = "9c7e2b6f69e0623ed2812ab0d30e1bd20c5b1ac75757ed0b6a6c75fef888553e"


def test_transformers_loads_the_embedded_model_in_float32() -> None:
    for kind in (tf.AutoModel, tf.AutoModelForMaskedLM):
        assert {p.dtype for p in kind.from_pretrained(EMBEDDED_FOLDER).parameters()} == {torch.float32}
    assert load_file(EMBEDDED_FOLDER / "model.safetensors")["lm_head.bias"].dtype == torch.float16


def test_stores_of_the_embedded_model_stay_extendable(tmp_path: Path) -> None:
    assert load_model("mini").weights_digest == RECORDED
    before = shutil.copytree(EMBEDDED_FOLDER, tmp_path / "before")
    path = before / "config.json"
    path.write_text(path.read_text().replace('"dtype": "float32"', '"dtype": "float16"'))
    assert load_model(str(before)).weights_digest == RECORDED
    configure(before, "config.json", layer_norm_eps=1e-6)
    assert load_model(str(before)).weights_digest != RECORDED


# -------------------------------------------------------------------------------------- what is said


def test_an_ordinary_model_has_no_notes(tiny_folder: Path) -> None:
    assert load_model(str(tiny_folder)).notes == ()
    assert load_model("mini").notes == ()


def test_code_of_a_known_family_is_ignored_and_noted(
    tiny_copy: Path, tmp_path: Path, xsns: Any, write_texts: Any
) -> None:
    configure(tiny_copy, "config.json", auto_map={"AutoModelForMaskedLM": "own.Own"})
    (tiny_copy / "own.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\nclass Own: pass\n")
    (note,) = load_model(str(tiny_copy)).notes
    assert note == (
        f"the model '{tiny_copy}' names its own code (auto_map), which is never run; the transformers class "
        "XLMRobertaForMaskedLM is used."
    )
    completed = xsns("params", tiny_copy, "--json")
    assert (completed.code, completed.err) == (ExitCode.OK, f"note: {note}\n")
    assert json.loads(completed.out)["result"]["notes"] == [note]
    texts = write_texts(tmp_path / "texts", "sw", 4)
    completed = xsns(
        "build", "--model", tiny_copy, "--corpus", texts, "--max-length", 32, "--store", tmp_path / "s.zarr"
    )
    assert completed.code == ExitCode.OK
    assert f"note: {note}" in completed.err
    completed = xsns(
        "build", "--model", tiny_copy, "--corpus", texts, "--max-length", 32, "--store", tmp_path / "s.zarr", "--json"
    )
    assert json.loads(completed.out)["result"]["notes"] == [note]
    assert not (tmp_path / "was-run").exists()


def test_blocks_without_configuration_are_noted(tiny_copy: Path) -> None:
    names = [name for name in load_file(tiny_copy / "model.safetensors") if ".layer.1." in name]
    configure(tiny_copy, "config.json", num_hidden_layers=1)
    (note,) = load_model(str(tiny_copy)).notes
    assert f"these blocks are not loaded ({len(names)}, such as 'roberta." in note
    weights = {name.removeprefix("roberta."): w for name, w in load_file(tiny_copy / "model.safetensors").items()}
    save_file(weights, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    (note,) = load_model(str(tiny_copy)).notes
    assert f"these blocks are not loaded ({len(names)}, such as" in note


def test_requested_half_precision_is_noted(tiny_folder: Path) -> None:
    (note,) = load_model(str(tiny_folder), dtype="float16").notes
    assert note == "the weights are in float16, so gradients are rounded to float16; squares and sums are float32."


def test_an_adapter_below_the_folder_is_noted(tiny_copy: Path) -> None:
    for name in ("checkpoints/lora-2", "lora"):
        (tiny_copy / name).mkdir(parents=True)
        (tiny_copy / name / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (note,) = load_model(str(tiny_copy)).notes
    assert note == (
        f"the folder of the model '{tiny_copy}' contains adapters, such as LoRA (checkpoints/lora-2, lora), which are "
        "not loaded: the weights of the folder itself are measured. Merge an adapter with `merge_and_unload()` of peft "
        "to measure it."
    )


# ---------------------------------------------------------------------------------------- refused


def test_pickled_weights_alone_are_refused(tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").rename(tiny_copy / "pytorch_model.bin")
    error = refused(tiny_copy)
    assert error.message == (
        f"the model '{tiny_copy}' has no .safetensors weights. It has pytorch_model.bin, which is not read."
    )
    assert "save_pretrained" in error.hint
    assert "also try `--revision refs/pr/N`" in error.hint


def test_the_command_of_the_hint_converts_pickled_weights(
    tiny_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_model(str(tiny_copy)).model.state_dict()
    torch.save(load_file(tiny_copy / "model.safetensors"), tiny_copy / "pytorch_model.bin")
    (tiny_copy / "model.safetensors").unlink()
    command = refused(tiny_copy).hint.split("`")[1]
    assert command.startswith('python -c "from transformers import AutoTokenizer as T, XLMRobertaForMaskedLM as M; ')
    monkeypatch.chdir(tmp_path)
    exec(command.split('"')[1], {})
    converted = load_model(str(tmp_path / "converted")).model.state_dict()
    assert all(torch.equal(converted[name], values) for name, values in expected.items())


@pytest.mark.parametrize("name", ["tf_model.h5", "flax_model.msgpack", "model.onnx"])
def test_weights_of_other_formats_are_named(name: str, tiny_copy: Path) -> None:
    (tiny_copy / "model.safetensors").rename(tiny_copy / name)
    error = refused(tiny_copy)
    assert error.message.endswith(f"has no .safetensors weights. It has {name}, which is not read.")
    assert error.hint.startswith("convert it with `save_pretrained`")


@pytest.mark.parametrize("kind", [ImportError, RuntimeError])
def test_a_broken_installation_is_reported_as_such(
    kind: type[Exception], tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(config: Any, objective: str) -> Any:
        try:
            raise ImportError("operator torchvision::nms does not exist")
        except ImportError as error:
            raise kind("Could not import module 'XLMRobertaForMaskedLM'.") from error

    monkeypatch.setattr(weights, "model_class", fails)
    error = refused(tiny_folder)
    assert error.message == (
        f"transformers cannot import what the model '{tiny_folder}' needs: operator torchvision::nms does not exist."
    )
    assert error.hint == (
        "the model's files are not the cause: the package torchvision does not match the other packages. Remove it, "
        "it is not needed for text: `pip uninstall torchvision`."
    )


def fake_package(folder: Path, name: str, line: str) -> None:
    """Create an installed package whose import runs one line."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(line)
    metadata = folder / f"{name}-0.28.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.28.0\n")


@pytest.mark.slow  # a process that imports transformers
@pytest.mark.parametrize("message", ["operator torchvision::nms does not exist", "libcudart.so.13: cannot open"])
def test_a_torchvision_of_another_torch_is_named_in_the_error(message: str, tmp_path: Path) -> None:
    """The second message does not name the package, which is known from the place of the error."""
    fake_package(tmp_path, "torchvision", f"raise RuntimeError({message!r})\n")
    completed = subprocess.run(
        [sys.executable, "-c", "from xsns_stream.cli import run; run()", "params", "mini"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 1
    assert completed.stderr == (
        f"error: transformers cannot import what the model 'mini' needs: {message}.\n"
        "hint: the model's files are not the cause: the package torchvision does not match the other packages. "
        "Remove it, it is not needed for text: `pip uninstall torchvision`.\n"
    )


def test_a_package_that_is_missing_is_named() -> None:
    error = broken_installation("a/b", ModuleNotFoundError("No module named 'mistral_common'", name="mistral_common"))
    assert error.message == "the model 'a/b' needs the package mistral-common, which is not installed."
    assert error.hint == "install it with `pip install mistral-common`; the model's files are not the cause."


def test_a_package_of_another_version_is_named() -> None:
    try:
        import numpy as np

        np.broadcast_shapes((2,), (3,))
    except ValueError as raised:
        error = broken_installation("a/b", ImportError("no such name"))
        assert "`pip check`" in error.hint
        error = broken_installation("a/b", raised)
    assert error.hint.endswith("Install it again: `pip install --force-reinstall numpy`.")


@pytest.mark.parametrize(
    ("file", "data", "packages"),
    [
        ("sentencepiece.bpe.model", b"\n\x0e\n\x05<unk>", "sentencepiece, protobuf"),
        ("tokenizer.model", b"aGVsbG8= 0\n", "tiktoken"),
        ("qwen.tiktoken", b"aGVsbG8= 0\n", "tiktoken"),
    ],
)
def test_a_tokenizer_whose_reader_is_not_installed(
    file: str, data: bytes, packages: str, tiny_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizers, "_is_installed", lambda package: False)
    (tiny_copy / "tokenizer.json").unlink()
    (tiny_copy / file).write_bytes(data)
    error = refused(tiny_copy)
    assert error.message == (
        f"the tokenizer of model '{tiny_copy}' is in {file}, and the package that reads it is not installed: "
        f"{packages}."
    )
    assert error.hint.startswith(f"`pip install {packages.replace(',', '')}`, or add the tokenizer.json")


def test_models_that_read_bytes_or_characters_are_refused(tmp_path: Path) -> None:
    sizes = {"vocab_size": 384, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    byt5, canine = tmp_path / "byt5", tmp_path / "canine"
    tf.T5ForConditionalGeneration(tf.T5Config(**sizes, decoder_start_token_id=0)).save_pretrained(byt5)
    tf.ByT5Tokenizer().save_pretrained(byt5)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    tf.CanineForTokenClassification(tf.CanineConfig(**sizes)).save_pretrained(canine)
    tf.CanineTokenizer().save_pretrained(canine)
    for folder, kind, options in (
        (byt5, "ByT5Tokenizer", {}),
        (canine, "canine", {}),
        (canine, "canine", {"objective": "token-classification", "label_count": 2}),
    ):
        error = refused(folder, **options)
        assert error.message == (
            f"the model '{folder}' reads bytes or characters ({kind}), and models without a vocabulary of tokens "
            "cannot be measured."
        )
        assert "google/mt5-small instead of google/byt5-small" in error.hint


def test_a_kind_that_only_a_newer_transformers_knows_is_refused(tiny_copy: Path) -> None:
    configure(tiny_copy, "config.json", model_type="llama9", transformers_version="5.99.0.dev0")
    error = refused(tiny_copy)
    assert error.message == (
        f"the configuration of model '{tiny_copy}' cannot be read: transformers {tf.__version__} does not support "
        "models of the kind 'llama9'."
    )
    assert error.hint == (
        "it was written by transformers 5.99.0: `pip install 'transformers>=5.99.0'`. If model_type in config.json is "
        "misspelt: did you mean 'llama'?"
    )
    configure(tiny_copy, "config.json", model_type="own-kind", transformers_version="4.1.0")
    assert refused(tiny_copy).hint.startswith("a newer version of transformers may support it: `pip install -U")


def test_no_message_advises_to_run_code_of_a_model(tiny_copy: Path) -> None:
    configure(tiny_copy, "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"})
    error = refused(tiny_copy)
    assert error.message.endswith("it needs code that comes with the model (auto_map), and such code is never run.")
    assert "built in, such as xlm-roberta, bert, " in error.hint
    assert "trust_remote_code" not in error.message + error.hint


def test_code_of_a_tokenizer_is_not_run(tiny_copy: Path) -> None:
    path = tiny_copy / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | {"auto_map": {"AutoTokenizer": ["own.Own", None]}}
    del settings["tokenizer_class"]
    path.write_text(json.dumps(settings))
    configure(tiny_copy, "config.json", auto_map={"AutoTokenizer": ["own.Own", None]})
    (tiny_copy / "own.py").write_text(f"open({str(tiny_copy / 'was-run')!r}, 'w')\nclass Own: pass\n")
    ours = load_model(str(tiny_copy))
    assert [note.partition(" names its own code")[0] for note in ours.notes] == [
        f"the model '{tiny_copy}'",
        f"the tokenizer of model '{tiny_copy}'",
    ]
    assert ours.notes[1].endswith(f"the transformers class {type(ours.tokenizer).__name__} is used.")
    assert not (tiny_copy / "was-run").exists()


# ------------------------------------------------------------------------------------------ accepted


def as_snapshot(folder: Path, root: Path) -> Path:
    """Create a folder like the cache of the Hub: links into a folder of blobs."""
    (root / "blobs").mkdir(parents=True)
    snapshot = root / "snapshots" / "0123456789abcdef"
    snapshot.mkdir(parents=True)
    for number, path in enumerate(sorted(folder.iterdir())):
        shutil.copy(path, root / "blobs" / f"{number:040x}")
        (snapshot / path.name).symlink_to(f"../../blobs/{number:040x}")
    return snapshot


def test_links_into_the_cache_of_the_hub_are_followed(tiny_copy: Path, tmp_path: Path) -> None:
    expected = load_model(str(tiny_copy))
    (tiny_copy / "model.safetensors").unlink()
    expected.model.save_pretrained(tiny_copy, max_shard_size="200KB")
    assert len(list(tiny_copy.glob("*.safetensors"))) > 1
    again = load_model(str(as_snapshot(tiny_copy, tmp_path / "hub")))
    for name, values in expected.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], values)


def test_weights_that_the_configuration_names_are_read(tiny_copy: Path) -> None:
    before = load_model(str(tiny_copy))
    (tiny_copy / "model.safetensors").rename(tiny_copy / "other.safetensors")
    configure(tiny_copy, "config.json", transformers_weights="other.safetensors")
    after = load_model(str(tiny_copy))
    name = "lm_head.dense.weight"
    assert torch.equal(after.model.get_parameter(name), before.model.get_parameter(name))


def test_headers_agree_with_the_library(tiny_folder: Path) -> None:
    for folder in (tiny_folder, EMBEDDED_FOLDER):
        weights = load_file(folder / "model.safetensors")
        assert read_header(folder / "model.safetensors") == {name: tuple(w.shape) for name, w in weights.items()}
        assert read_tensors(folder).values == sum(w.numel() for w in weights.values())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.int8, torch.bool, torch.int64])
def test_headers_of_every_type_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    values = {
        "a": torch.zeros(3, 5, dtype=dtype),
        "b": torch.zeros(0, 4, dtype=dtype),
        "c": torch.zeros((), dtype=dtype),
    }
    save_file(values, tmp_path / "x.safetensors")
    assert read_header(tmp_path / "x.safetensors") == {"a": (3, 5), "b": (0, 4), "c": ()}


def test_bytes_that_no_tensor_names_are_refused(tiny_copy: Path) -> None:
    path = tiny_copy / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(UnusableError, match="bytes of values, but its header describes"):
        read_header(path)


# ------------------------------------------------------------------------------ tokenizers of real size


def tokenizer(path: Path, **parts: Any) -> Path:
    model = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
    path.write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model} | parts))
    return path


def test_a_large_vocabulary_is_accepted(tmp_path: Path) -> None:
    """The vocabulary has as many tokens, merges and added tokens as that of Gemma 3."""
    vocabulary = {f"token{n}": n for n in range(262_144)}
    merges = [[f"tok{n}", f"en{n}"] for n in range(514_906)]
    added = [{"id": n, "content": f"<unused{n}>", "special": False} for n in range(6_415)]
    model = {"type": "BPE", "vocab": vocabulary, "merges": merges}
    check_tokenizer(tokenizer(tmp_path / "tokenizer.json", model=model, added_tokens=added))


def test_a_hundred_thousand_added_tokens_are_the_limit(tmp_path: Path) -> None:
    added = [{"id": n, "content": f"<{n}>"} for n in range(MOST_ADDED + 1)]
    check_tokenizer(tokenizer(tmp_path / "tokenizer.json", added_tokens=added[:-1]))
    with pytest.raises(UnusableError, match="adds 100,001 tokens, more than 100,000"):
        check_tokenizer(tokenizer(tmp_path / "tokenizer.json", added_tokens=added))


def step(old: str, new: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


@pytest.mark.parametrize(
    "steps",
    [
        [step(" ", "▁")],
        [{"type": "Prepend", "prepend": "▁"}, step(" ", "▁")],
        [step("½", " 1/2 "), step("™", "(tm)"), step("ﷺ", "sallallahu alayhi wasallam"), step("…", "...")],
        [{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}] * 5,
        [{"type": kind} for kind in ("NFD", "Lowercase", "StripAccents", "NFKC", "Nmt")],
    ],
)
def test_normalisers_that_lengthen_a_little_are_accepted(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    check_tokenizer(tokenizer(tmp_path / "tokenizer.json", normalizer={"type": "Sequence", "normalizers": steps}))


def charsmap(longest: int) -> dict[str, str]:
    table = struct.pack("<I", 8) + bytes(8) + b"a\0" + b"b" * longest + b"\0"
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}


def test_tables_of_sentencepiece_are_checked(tmp_path: Path) -> None:
    check_tokenizer(tokenizer(tmp_path / "tokenizer.json", normalizer=charsmap(33)))
    with pytest.raises(UnusableError, match="replaces a character by 10,000 bytes"):
        check_tokenizer(tokenizer(tmp_path / "tokenizer.json", normalizer=charsmap(10_000)))
    broken = {"type": "Precompiled", "precompiled_charsmap": "§"}
    with pytest.raises(UnusableError, match="is not base64"):
        check_tokenizer(tokenizer(tmp_path / "tokenizer.json", normalizer=broken))
