"""GGUF files give the de-quantised model from which they were made, and its tokenizer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import xsns_stream as xs
from tests.support import gguf_models, tagged_text, zoo
from tests.support.model_folders import refused
from tests.support.paths import ROOT
from xsns_stream.models import load_model
from xsns_stream.models.gguf_config import ARCHITECTURES

#: One model for each kind of conversion: permuted rows, other positions and norms, encoder and decoder.
FAST = ("llama", "gemma3-text", "t5-gated")
#: Settings that a GGUF file of the architecture cannot hold.
SETTINGS: dict[str, dict[str, Any]] = {"mistral": {"sliding_window": None}}
TEXTS = {"sw": ["habari ya asubuhi", "nyumba yangu", "maji na moto"], "fi": ["hyvaa huomenta", "talo", "vesi ja tuli"]}


def model_of(name: str) -> Any:
    return gguf_models.make(name, **SETTINGS.get(name, {}))


def logits(model: Any) -> torch.Tensor:
    tokens = torch.randint(zoo.FIRST, zoo.VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(0))
    decoder = {"decoder_input_ids": tokens[:, :5]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        values: torch.Tensor = model(input_ids=tokens, **decoder).logits
    return values


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of a tiny Llama, Q8_0."""
    path = tmp_path_factory.mktemp("gguf") / "tiny-q8_0.gguf"
    return gguf_models.write(path, gguf_models.make("llama"), "llama", quantised="Q8_0")


# ------------------------------------------------------------------------------------------ architectures


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in gguf_models.MODELS]
)
def test_the_logits_are_those_of_the_model(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    path = gguf_models.write(tmp_path / "tiny.gguf", model, gguf_models.MODELS[name])
    loaded = load_model(str(path))
    assert torch.equal(logits(loaded.model), logits(model))
    assert not [note for note in loaded.notes if "does not read" in note]


def test_the_table_names_the_architectures_that_are_tested() -> None:
    assert set(ARCHITECTURES) == set(gguf_models.MODELS.values())
    page = (ROOT / "docs" / "models.md").read_text()
    table = page[page.index("| architecture in the GGUF file |") :].partition("\n\n")[0]
    named = re.findall(r"^\| `(\w+)` \| `(\w+)`", table, re.MULTILINE)
    assert dict(named) == ARCHITECTURES


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q4_0", "Q5_1"])
def test_weights_are_de_quantised(kind: str, tmp_path: Path) -> None:
    model = gguf_models.make("qwen2")
    path = gguf_models.write(tmp_path / "tiny.gguf", model, "qwen2", quantised=kind)
    loaded = load_model(str(path))
    type_of = gguf.GGMLQuantizationType[kind]
    for name, values in model.state_dict().items():
        expected = values.numpy()
        if values.ndim > 1:
            expected = gguf.dequantize(gguf.quantize(expected, type_of), type_of)
        assert np.array_equal(loaded.model.state_dict()[name].numpy(), expected), name
    counts = loaded.origin["quantisation"]
    assert set(counts) == {"F32", kind}
    assert f"tensors by type: F32: {counts['F32']}" in " ".join(loaded.notes).replace(f"{kind}: {counts[kind]}, ", "")


def test_a_type_with_blocks_of_256_values_is_de_quantised(tmp_path: Path) -> None:
    model = gguf_models.make("llama", hidden_size=256, head_dim=64)
    kind = gguf.GGMLQuantizationType.Q4_K
    rows = np.random.default_rng(0).integers(0, 256, (zoo.VOCABULARY, 144), dtype=np.uint8)
    # The first four bytes of a block are its scales, as float16.
    rows[:, :4] = np.frombuffer(np.array([0.01, 0.02], np.float16).tobytes(), np.uint8)
    path = gguf_models.write(tmp_path / "a.gguf", model, "llama", replaced={"token_embd.weight": (rows, kind)})
    loaded = load_model(str(path))
    assert np.array_equal(loaded.model.get_input_embeddings().weight.detach(), gguf.dequantize(rows, kind))


# ----------------------------------------------------------------------------------------- what is loaded


def test_the_model_is_an_ordinary_one(llama: Path, tmp_path: Path) -> None:
    loaded = load_model(str(llama))
    assert (loaded.name, loaded.objective, loaded.revision) == ("tiny-q8_0.gguf", "causal-lm", "")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert not getattr(loaded.model, "is_quantized", False)
    assert not hasattr(loaded.model.config, "quantization_config")
    loaded.model.save_pretrained(tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    again = load_model(str(tmp_path))
    assert torch.equal(logits(again.model), logits(loaded.model))
    assert again.tokenizer_digest == loaded.tokenizer_digest
    assert AutoModelForCausalLM.from_pretrained(tmp_path).half().dtype == torch.float16


def test_weights_can_be_loaded_in_half_precision(llama: Path) -> None:
    loaded = load_model(str(llama), dtype="bfloat16")
    full = load_model(str(llama)).model.state_dict()
    assert all(torch.equal(value, full[name].bfloat16()) for name, value in loaded.model.state_dict().items())


def test_the_digest_is_that_of_the_file(llama: Path, tmp_path: Path) -> None:
    import hashlib

    first = load_model(str(llama))
    one = hashlib.sha256(llama.read_bytes())
    assert first.origin["file_digest"] == one.hexdigest()
    assert first.weights_digest == hashlib.sha256(one.digest()).hexdigest()
    assert first.origin["architecture"] == "llama"
    other = gguf_models.write(tmp_path / "a.gguf", gguf_models.make("llama"), "llama", quantised="Q4_0")
    assert load_model(str(other)).weights_digest != first.weights_digest


def test_the_tokenizer_of_the_file_is_used(llama: Path) -> None:
    tokenizer = load_model(str(llama)).tokenizer
    assert tokenizer.get_vocab() == {token: number for number, token in enumerate(gguf_models.TOKENS)}
    assert tokenizer("habari ya")["input_ids"][0] == tokenizer.bos_token_id == 0
    assert (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id) == (2, 3, 1)


@pytest.mark.parametrize("objective", ["token-classification", "sequence-classification", "question-answering"])
def test_the_head_of_a_task_is_new(objective: str, llama: Path) -> None:
    labels = None if objective == "question-answering" else 5
    first, again = (load_model(str(llama), objective=objective, label_count=labels, head_seed=3) for _ in range(2))
    body = load_model(str(llama)).model.model.state_dict()
    own = first.model.base_model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in body.items())
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True))


def test_rows_are_those_of_the_folder(llama: Path, tmp_path: Path) -> None:
    loaded = load_model(str(llama))
    loaded.model.save_pretrained(tmp_path / "folder")
    loaded.tokenizer.save_pretrained(tmp_path / "folder")
    rows = []
    for number, model in enumerate((llama, tmp_path / "folder")):
        store = xs.build(
            TEXTS, model=str(model), store=tmp_path / f"{number}.zarr", examples=3, max_length=16, progress=False
        )
        rows.append(store["sw"])
        origin = store.record("sw").provenance.checkpoint
        assert origin.get("format") == (None if number else "gguf")
        assert origin.get("quantisation", {}).get("Q8_0") == (None if number else 16)
    assert len(rows[0] - rows[1]) == len(rows[1] - rows[0]) == 0


@pytest.mark.parametrize("verb", ["params", "build", "baseline", "info"])
def test_verbs_take_a_file(verb: str, llama: Path, tmp_path: Path, xsns: Any) -> None:
    text = []
    for language, lines in TEXTS.items():
        (tmp_path / f"{language}.txt").write_text("\n".join(lines))
        text += ["--corpus", f"{language}={tmp_path / language}.txt"]
    common = ("--examples", 3, "--max-length", 16)
    store = tmp_path / "s.zarr"
    if verb == "params":
        completed = xsns("params", llama)
        assert "de-quantised" in completed.err
    elif verb == "baseline":
        completed = xsns("baseline", "lex", *text, "--model", llama, "--examples", 3, "-o", tmp_path / "lex.csv")
    else:
        completed = xsns("build", *text, "--model", llama, *common, "--store", store)
        if verb == "info":
            completed = xsns("info", store)
            assert "gguf" in completed.out
    assert completed.code == 0, completed.err


@pytest.mark.slow
def test_transfer_takes_a_file(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Any) -> None:
    monkeypatch.chdir(tagged_text.write_tagged_folder(tmp_path))
    completed = xsns(*tagged_text.arguments("--model", llama, sources="en"))
    assert completed.code == 0, completed.err
    assert "de-quantised" in completed.err
    assert "tiny-q8_0.gguf" in completed.out


# -------------------------------------------------------------------------------------- folders and tokenizers


def test_a_folder_with_one_file_is_loaded(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(llama.read_bytes())
    (tmp_path / "mmproj-model.gguf").write_bytes(b"GGUF")
    (tmp_path / "README.md").write_text("a model")
    loaded = load_model(str(tmp_path))
    assert loaded.weights_digest == load_model(str(llama)).weights_digest
    assert loaded.notes[0].startswith("the GGUF file 'model.gguf' (llama; tensors by type: F32: ")


def test_a_folder_with_several_files_is_refused(llama: Path, tmp_path: Path) -> None:
    for name in ("a-q4_0.gguf", "a-q8_0.gguf"):
        (tmp_path / name).write_bytes(llama.read_bytes())
    error = refused(tmp_path)
    assert error.message == f"the folder '{tmp_path}' has 2 GGUF files: a-q4_0.gguf, a-q8_0.gguf."
    assert error.hint == f"give one of them: --model '{tmp_path / 'a-q4_0.gguf'}'."


def test_a_file_without_a_suffix_is_loaded(llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "sha256-41ab"
    path.write_bytes(llama.read_bytes())
    assert load_model(str(path)).weights_digest == load_model(str(llama)).weights_digest


def test_a_file_that_is_not_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 8)
    error = refused(tmp_path / "model.safetensors")
    assert error.message == f"the model '{tmp_path / 'model.safetensors'}' is a file, and not a GGUF file."
    assert error.hint == f"give the folder of the model: --model '{tmp_path}'."


def test_a_tokenizer_beside_the_file_is_used(llama: Path, tmp_path: Path) -> None:
    load_model(str(llama)).tokenizer.save_pretrained(tmp_path)
    bare = gguf_models.write(tmp_path / "a.gguf", gguf_models.make("llama"), "llama", tokenizer=None)
    loaded = load_model(str(bare))
    assert "the tokenizer.json beside the GGUF file 'a.gguf' is used." in loaded.notes
    (tmp_path / "b.gguf").write_bytes(llama.read_bytes())
    loaded = load_model(str(tmp_path / "b.gguf"))
    assert "the tokenizer.json beside the GGUF file 'b.gguf' is used." in loaded.notes


def test_the_tokenizer_of_another_model_beside_the_file_is_not_used(
    llama: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.json").write_bytes((tiny_folder / "tokenizer.json").read_bytes())
    (tmp_path / "a.gguf").write_bytes(llama.read_bytes())
    loaded = load_model(str(tmp_path / "a.gguf"))
    assert loaded.notes[1] == (
        "the tokenizer.json beside the GGUF file 'a.gguf' has other tokens than the file, and is not used."
    )
    assert loaded.tokenizer_digest == load_model(str(llama)).tokenizer_digest


# --------------------------------------------------------------------------------------------- positions


def test_the_positions_of_llama_3_are_read(tmp_path: Path) -> None:
    scaling = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    model = gguf_models.make("llama", rope_parameters=scaling)
    plain = gguf_models.make("llama", rope_parameters={"rope_type": "default", "rope_theta": 500_000.0})
    divisors = (plain.model.rotary_emb.inv_freq / model.model.rotary_emb.inv_freq).numpy()
    assert divisors.max() > 2
    path = gguf_models.write(tmp_path / "a.gguf", model, "llama", tensors={"rope_freqs.weight": divisors})
    assert torch.allclose(load_model(str(path)).model.model.rotary_emb.inv_freq, model.model.rotary_emb.inv_freq)
    path = gguf_models.write(tmp_path / "b.gguf", model, "llama", tensors={"rope_freqs.weight": divisors + 1})
    assert "scales rotary positions (rope_freqs.weight) in another way than Llama 3" in refused(path).message


def test_linearly_scaled_positions_are_read_and_other_scalings_are_refused(tmp_path: Path) -> None:
    extra = {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
    scaling = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
    model = gguf_models.make("llama", rope_parameters=scaling)
    path = gguf_models.write(tmp_path / "a.gguf", model, "llama", extra=extra)
    assert torch.equal(logits(load_model(str(path)).model), logits(model))
    path = gguf_models.write(tmp_path / "b.gguf", model, "llama", extra=extra | {"rope.scaling.type": "yarn"})
    error = refused(path)
    assert "scales rotary positions by a method (yarn) that is not read from GGUF files" in error.message
    assert error.hint == "use the folder of the model with safetensors instead of the GGUF file."


def test_metadata_that_is_not_read_is_noted(tmp_path: Path) -> None:
    model = gguf_models.make("llama")
    path = gguf_models.write(tmp_path / "a.gguf", model, "llama", extra={"logit_scale": 0.5})
    assert (
        load_model(str(path))
        .notes[1]
        .startswith("the GGUF file has metadata that transformers does not read: llama.logit_scale. If it changes")
    )


def test_tensors_that_are_not_read_are_refused(tmp_path: Path) -> None:
    more = {"blk.0.attn_sinks.weight": np.ones(4, np.float32)}
    path = gguf_models.write(tmp_path / "a.gguf", gguf_models.make("llama"), "llama", tensors=more)
    assert refused(path).message.endswith(
        "cannot be read: transformers does not load 1 of the tensors in a.gguf, such as 'blk.0.attn_sinks.weight'."
    )


def test_tensors_that_are_missing_are_refused(tmp_path: Path) -> None:
    path = gguf_models.write(
        tmp_path / "a.gguf", gguf_models.make("llama"), "llama", replaced={"blk.1.ffn_up.weight": None}
    )
    assert (
        "lack 1 of the tensors that its configuration needs, such as 'model.layers.1.mlp.up_proj"
        in refused(path).message
    )
