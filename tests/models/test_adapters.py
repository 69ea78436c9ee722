"""LoRA adapters are merged into their base model."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, AutoModelForTokenClassification, AutoTokenizer

import xsns_stream as xs
from tests.support import gguf_models
from tests.support.model_folders import configure, refused
from xsns_stream.models import load_model

# peft reads attributes of transformers that are deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Could not find a config file:UserWarning"),
    pytest.mark.filterwarnings("ignore:Adapter 'default'. 4 LoRA tensor"),
]

QUERY = "roberta.encoder.layer.0.attention.self.query"
TEXTS = {"sw": ["habari ya asubuhi", "nyumba yangu", "maji na moto"], "fi": ["hyvää huomenta", "talo", "vesi"]}


def adapter(folder: Path, base: Path, kind: Any = AutoModelForMaskedLM, **settings: Any) -> tuple[Path, Any]:
    """Save an adapter of random weights, and return its folder and the model of peft."""
    options = {"r": 2, "lora_alpha": 6, "target_modules": ["query", "value"]} | settings
    model = peft.PeftModel(kind.from_pretrained(base).float(), peft.LoraConfig(**options))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(folder)
    return folder, model


@pytest.fixture(scope="module")
def lora(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter(tmp_path_factory.mktemp("lora") / "adapter", tiny_folder)[0]


@pytest.fixture
def copied(lora: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lora, tmp_path / "copied"))


# ------------------------------------------------------------------------------------------------ merging


def test_the_weights_are_those_of_the_base_and_the_product(lora: Path, tiny_folder: Path) -> None:
    base, loaded = load_model(str(tiny_folder)), load_model(str(lora))
    tensors = load_file(lora / "adapter_model.safetensors")
    adapted = {key.removeprefix("base_model.model.").rpartition(".lora_")[0] for key in tensors}
    assert QUERY in adapted
    for name, value in base.model.state_dict().items():
        module = name.removesuffix(".weight")
        expected = value
        if module in adapted:
            down, up = (tensors[f"base_model.model.{module}.lora_{part}.weight"] for part in "AB")
            expected = value + 6 / 2 * (up @ down)
            assert not torch.equal(expected, value)
        assert torch.allclose(loaded.model.state_dict()[name], expected, rtol=1e-6, atol=1e-7), name
    assert type(loaded.model) is type(base.model)
    assert list(loaded.model.state_dict()) == list(base.model.state_dict())
    assert loaded.tokenizer_digest == base.tokenizer_digest


def test_rows_are_those_of_the_merged_folder(tiny_folder: Path, tmp_path: Path) -> None:
    folder, model = adapter(tmp_path / "adapter", tiny_folder)
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path / "merged")
    rows = []
    for name in (folder, tmp_path / "merged"):
        store = xs.build(
            TEXTS, model=str(name), store=tmp_path / f"{name.name}.zarr", examples=3, max_length=32, progress=False
        )
        rows.append(store["sw"])
    assert len(rows[0] - rows[1]) == len(rows[1] - rows[0]) == 0
    record = xs.open_store(tmp_path / "adapter.zarr").record("sw").provenance.checkpoint
    assert record["adapter"] == load_model(str(folder)).origin["adapter"]


def test_the_adapter_and_its_base_are_recorded(lora: Path, tiny_folder: Path) -> None:
    base, loaded = load_model(str(tiny_folder)), load_model(str(lora))
    assert loaded.name == "adapter"
    assert loaded.origin == {
        "format": "safetensors",
        "adapter": {
            "kind": "lora",
            "r": 2,
            "alpha": 6,
            "digest": loaded.origin["adapter"]["digest"],
            "base": "tiny",
            "base_revision": "",
            "base_digest": base.weights_digest,
        },
    }
    assert loaded.weights_digest != base.weights_digest
    assert loaded.notes == (f"the adapter '{lora}' (LoRA of 4 matrices, r = 2) was merged into its base model 'tiny'.",)


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"use_rslora": True},
        {"rank_pattern": {"layer.1.attention.self.query": 3}, "alpha_pattern": {"value": 5}},
        {"target_modules": ["query", "word_embeddings"]},
        {"lora_bias": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_variants_of_lora_are_merged(settings: dict[str, Any], tiny_folder: Path, tmp_path: Path) -> None:
    if "word_embeddings" in settings.get("target_modules", ()):
        folder, _ = adapter(tmp_path / "adapter", tiny_folder, **settings)
        assert "changes only one of two tied matrices, 'roberta.embeddings.word_embeddings'" in refused(folder).message
        return
    folder, model = adapter(tmp_path / "adapter", tiny_folder, **settings)
    expected = model.merge_and_unload().state_dict()
    own = load_model(str(folder)).model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in expected.items())


def test_a_head_in_the_adapter_replaces_that_of_the_base_model(tiny_folder: Path, tmp_path: Path) -> None:
    folder, model = adapter(
        tmp_path / "adapter",
        tiny_folder,
        AutoModelForTokenClassification,
        task_type="TOKEN_CLS",
        modules_to_save=["classifier"],
    )
    expected = model.merge_and_unload().state_dict()
    loaded = load_model(str(folder), objective="token-classification", label_count=2)
    assert all(torch.equal(loaded.model.state_dict()[name], value) for name, value in expected.items())
    assert "the adapter replaces tensors of its base model: classifier.bias, classifier.weight." in loaded.notes
    assert "is a XLMRobertaForTokenClassification, without the head of its pre-training" in refused(folder).message
    error = refused(folder, objective="token-classification", label_count=5)
    assert "has a trained head that is not for 5 labels" in error.message


def test_a_head_of_a_task_is_put_on_the_merged_body(lora: Path) -> None:
    own = load_model(str(lora), objective="token-classification", label_count=3).model
    merged = load_model(str(lora)).model.state_dict()
    assert torch.equal(own.state_dict()[f"{QUERY}.weight"], merged[f"{QUERY}.weight"])


def test_the_base_of_an_adapter_may_be_a_gguf_file(tmp_path: Path) -> None:
    base = gguf_models.write(tmp_path / "base.gguf", gguf_models.make("llama"), "llama", quantised="Q8_0")
    loaded = load_model(str(base))
    model = peft.PeftModel(loaded.model, peft.LoraConfig(r=2, target_modules=["q_proj"]))
    model.peft_config["default"].base_model_name_or_path = "../base.gguf"
    model.save_pretrained(tmp_path / "adapter")
    merged = load_model(str(tmp_path / "adapter"))
    assert (merged.origin["format"], merged.origin["adapter"]["base"]) == ("gguf", "base.gguf")


def test_the_base_may_be_relative_to_the_adapter(copied: Path, tiny_folder: Path) -> None:
    (copied.parent / "near").symlink_to(tiny_folder)
    configure(copied, "adapter_config.json", base_model_name_or_path="../near")
    assert load_model(str(copied)).origin["adapter"]["base_digest"] == load_model(str(tiny_folder)).weights_digest


def test_a_baseline_reads_the_tokenizer_of_the_base(copied: Path, tmp_path: Path, xsns: Any) -> None:
    for language, lines in TEXTS.items():
        (tmp_path / f"{language}.txt").write_text("\n".join(lines))
    text = [part for code in TEXTS for part in ("--corpus", f"{code}={tmp_path / code}.txt")]
    completed = xsns("baseline", "lex", *text, "--model", copied, "--examples", 3, "-o", tmp_path / "lex.csv")
    assert completed.code == 0, completed.err


# ------------------------------------------------------------------------------------------------- refused


def test_without_peft_the_package_is_named(lora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    error = refused(lora)
    assert error.message == (
        f"the model '{lora}' is an adapter (LoRA), and the package peft, which merges it into its base model, is not "
        "installed."
    )
    assert error.hint == "install it with `pip install 'xsns-stream[peft]'`."


def test_the_base_is_missing(copied: Path) -> None:
    configure(copied, "adapter_config.json", base_model_name_or_path="/nowhere/llama")
    error = refused(copied)
    assert error.message == (
        f"the base model of the adapter '{copied}' cannot be used: there is no model folder '/nowhere/llama'."
    )
    assert error.hint.startswith("base_model_name_or_path in adapter_config.json ('/nowhere/llama') must be a folder")


def test_a_base_of_another_architecture_is_refused(copied: Path, tmp_path: Path) -> None:
    base = gguf_models.write(tmp_path / "base.gguf", gguf_models.make("llama"), "llama")
    configure(copied, "adapter_config.json", base_model_name_or_path=str(base))
    error = refused(copied)
    assert error.message == (
        f"the adapter '{copied}' does not fit its base model (LlamaForCausalLM): the base model has no matrix "
        f"'{QUERY}'."
    )
    assert "must name the model that the adapter was trained on" in error.hint


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "adapter_model.safetensors"))


def test_matrices_of_another_width_are_refused(copied: Path) -> None:
    tensors = tensors_of(copied)
    key = f"base_model.model.{QUERY}.lora_A.weight"
    width = tensors[key].shape[1]
    tensors[key] = torch.zeros(2, width + 1)
    save_file(tensors, copied / "adapter_model.safetensors")
    assert refused(copied).message.endswith(
        f"it changes a matrix of {width} × {width + 1} values, and '{QUERY}' has {width} × {width}."
    )


def test_an_adapter_with_one_of_two_matrices_is_refused(copied: Path) -> None:
    tensors = tensors_of(copied)
    del tensors[f"base_model.model.{QUERY}.lora_B.weight"]
    save_file(tensors, copied / "adapter_model.safetensors")
    assert f"has only one of the two matrices of the module '{QUERY}'" in refused(copied).message


def test_an_enlarged_vocabulary_is_refused(copied: Path) -> None:
    tensors = tensors_of(copied)
    tensors["base_model.model.roberta.embeddings.word_embeddings.weight"] = torch.zeros(7, 3)
    save_file(tensors, copied / "adapter_model.safetensors")
    error = refused(copied)
    assert "it replaces 'roberta.embeddings.word_embeddings.weight' of 7 × 3 values, and the base model has one" in (
        error.message
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "is of the kind PREFIX_TUNING, and only adapters of the kind LORA are merged"),
        ({"peft_type": "IA3"}, "is of the kind IA3, and only adapters"),
        ({"peft_type": None}, "is of the kind None"),
        ({"r": 0}, "r is not a whole number from 1 to 65,536"),
        ({"r": True}, "r is not a whole number"),
        ({"lora_alpha": "x"}, "lora_alpha is not a number"),
        ({"bias": "some"}, "bias is not none, all or lora_only"),
        ({"rank_pattern": [1]}, "rank_pattern does not have a number for each module"),
        ({"base_model_name_or_path": None}, "does not name the base model"),
        ({"init_lora_weights": "pissa_niter_4"}, "was initialised from the weights of its base model (pissa_niter_4)"),
        ({"megatron_core": "os", "megatron_config": {"x": 1}}, "has the setting megatron_config"),
        ({"layer_replication": [[0, 2]]}, "has the setting layer_replication"),
        ({"alora_invocation_tokens": [3]}, "has the setting alora_invocation_tokens"),
        ({"base_model_name_or_path": "."}, "is an adapter too"),
    ],
)
def test_unsupported_settings_of_adapters_are_refused(values: dict[str, Any], words: str, copied: Path) -> None:
    configure(copied, "adapter_config.json", **values)
    error = refused(copied)
    assert words in error.message
    assert error.message.endswith(".")


def test_a_pickled_adapter_is_refused(copied: Path) -> None:
    (copied / "adapter_model.safetensors").rename(copied / "adapter_model.bin")
    error = refused(copied)
    assert error.message == (
        f"the adapter '{copied}' has no adapter_model.safetensors. It has adapter_model.bin, which is not read."
    )
    assert "save it again with `save_pretrained`" in error.hint


def test_a_folder_of_several_adapters_is_refused(copied: Path, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    copied.rename(folder / "sw")
    (folder / "adapter_config.json").write_bytes((folder / "sw" / "adapter_config.json").read_bytes())
    error = refused(folder)
    assert error.message == f"the folder '{folder}' has no weights of an adapter; they are in a folder below it: sw."
    assert error.hint == f"give one of them: --model '{folder / 'sw'}'."


def test_an_adapter_beside_other_weights_is_refused(copied: Path, tiny_folder: Path) -> None:
    (copied / "model.safetensors").write_bytes((tiny_folder / "model.safetensors").read_bytes())
    assert refused(copied).message == (
        f"the model '{copied}' comes with an adapter (adapter_config.json), such as LoRA, and with other weights "
        "(model.safetensors), and it is not clear whether they belong together."
    )
