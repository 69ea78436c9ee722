"""Folders of quantised safetensors are de-quantised, or refused with the name of the library that is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import xsns_stream as xs
from tests.support import gguf_models
from tests.support.model_folders import configure, refused
from xsns_stream.models import load_model, quantised

BLOCK = 16
FP8 = {
    "quant_method": "fp8",
    "activation_scheme": "dynamic",
    "weight_block_size": [BLOCK, BLOCK],
    "modules_to_not_convert": ["lm_head"],
}
TEXTS = {"sw": ["habari ya asubuhi", "nyumba yangu", "maji na moto"], "fi": ["hyvaa huomenta", "talo", "vesi"]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with safetensors and a tokenizer."""
    folder = tmp_path_factory.mktemp("plain")
    path = gguf_models.write(folder.parent / "tiny.gguf", gguf_models.make("llama"), "llama")
    loaded = load_model(str(path))
    for part in (loaded.model, loaded.tokenizer):
        part.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "copied"))


def to_fp8(folder: Path) -> dict[str, torch.Tensor]:
    """Quantise the matrices of the blocks in blocks of 16 × 16, and return the de-quantised weights."""
    tensors, expected = {}, {}
    for name, value in load_file(folder / "model.safetensors").items():
        tensors[name] = expected[name] = value
        if ".layers." not in name or value.ndim < 2:
            continue
        rows, columns = (size // BLOCK for size in value.shape)
        blocks = value.reshape(rows, BLOCK, columns, BLOCK)
        scale = blocks.abs().amax(dim=(1, 3)) / 448
        stored = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
        tensors[name] = stored.reshape(value.shape)
        tensors[f"{name}_scale_inv"] = scale
        expected[name] = (stored.float() * scale[:, None, :, None]).reshape(value.shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    configure(folder, "config.json", quantization_config=FP8)
    return expected


def test_fp8_weights_are_de_quantised(copied: Path, tmp_path: Path) -> None:
    expected = to_fp8(copied)
    loaded = load_model(str(copied))
    state = loaded.model.state_dict()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert loaded.origin == {"format": "safetensors", "quantisation": "fp8"}
    assert loaded.notes[0] == f"the quantised weights of model '{copied}' (fp8) were de-quantised."
    assert not hasattr(loaded.model.config, "quantization_config")
    loaded.model.save_pretrained(tmp_path / "saved")
    store = xs.build(TEXTS, model=str(copied), store=tmp_path / "s.zarr", examples=3, max_length=16, progress=False)
    assert store.record("sw").provenance.checkpoint["quantisation"] == "fp8"


def test_fp8_weights_can_have_the_head_of_a_task(copied: Path) -> None:
    to_fp8(copied)
    loaded = load_model(str(copied), objective="token-classification", label_count=3, dtype="bfloat16")
    assert loaded.model.num_labels == 3
    assert {value.dtype for value in loaded.model.state_dict().values()} == {torch.bfloat16}


def test_fp8_weights_without_a_scale_are_refused(copied: Path) -> None:
    to_fp8(copied)
    tensors = dict(load_file(copied / "model.safetensors"))
    del tensors["model.layers.0.mlp.up_proj.weight"], tensors["model.layers.0.mlp.up_proj.weight_scale_inv"]
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    assert (
        "lack 1 of the tensors that its configuration needs, such as 'model.layers.0.mlp.up_proj"
        in refused(copied).message
    )


def packed(folder: Path, settings: dict[str, Any], suffixes: dict[str, torch.dtype]) -> None:
    """Replace one matrix by tensors with the names and types of another format."""
    tensors = dict(load_file(folder / "model.safetensors"))
    name = "model.layers.0.mlp.up_proj"
    shape = tensors.pop(f"{name}.weight").shape
    for suffix, dtype in suffixes.items():
        tensors[f"{name}.{suffix}"] = torch.zeros(shape, dtype=dtype)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    configure(folder, "config.json", quantization_config=settings)


FORMATS: dict[str, tuple[dict[str, Any], dict[str, torch.dtype]]] = {
    "gptq": ({"quant_method": "gptq", "bits": 4}, {"qweight": torch.int32, "scales": torch.float16}),
    "awq": ({"quant_method": "awq", "bits": 4}, {"qweight": torch.int32, "qzeros": torch.int32}),
    "torchao": ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, {"weight": torch.int8}),
    "hqq": ({"quant_method": "hqq"}, {"W_q": torch.uint8}),
    "unknown method": ({"bits": 3}, {"weight": torch.uint8}),
}


@pytest.mark.parametrize("method", FORMATS)
def test_formats_that_transformers_does_not_de_quantise_are_refused(method: str, copied: Path) -> None:
    packed(copied, *FORMATS[method])
    error = refused(copied)
    assert error.message == (
        f"the weights of model '{copied}' are quantised ({method}), and transformers does not de-quantise this format."
    )
    assert error.hint.startswith("use the original model, without quantisation, or convert it with the library")


LIBRARIES: dict[str, tuple[dict[str, Any], dict[str, torch.dtype]]] = {
    "bitsandbytes": ({"load_in_4bit": True}, {"weight": torch.uint8, "weight.absmax": torch.float32}),
    "compressed-tensors": (
        {"quant_method": "compressed-tensors", "format": "pack-quantized"},
        {"weight_packed": torch.int32, "weight_scale": torch.bfloat16},
    ),
}


@pytest.mark.parametrize("method", LIBRARIES)
def test_the_library_is_not_installed(method: str, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "_installed", lambda module: module == "accelerate")
    packed(copied, *LIBRARIES[method])
    error = refused(copied)
    assert error.message == (
        f"the weights of model '{copied}' are quantised ({method}), and the package {method}, needed to de-quantise "
        "them, is not installed."
    )
    assert error.hint == f"install with `pip install {method}`, or use the original model, without quantisation."


def test_a_library_that_fails_is_reported(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "_installed", lambda module: True)
    packed(copied, *LIBRARIES["bitsandbytes"])
    assert f"the weights of model '{copied}' are quantised (bitsandbytes) and cannot be de-quantised" in (
        refused(copied).message
    )


def test_weights_that_are_not_quantised_after_all_are_read_unchanged(copied: Path, plain: Path) -> None:
    configure(copied, "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    loaded = load_model(str(copied))
    assert loaded.notes[0] == (
        f"the configuration of model '{copied}' says that its weights are quantised (bitsandbytes), but they are not; "
        "they are read unchanged."
    )
    expected = load_model(str(plain)).model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.model.state_dict().items())
