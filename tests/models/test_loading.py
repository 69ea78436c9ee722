"""Loading of a model folder: model, tokenizer and digests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from xsns_stream.models import load_model, longest_input, parameter_layout
from xsns_stream.models.tokenizers import tokenizer_digest

SMALL = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}


def test_the_embedded_model_is_loaded_by_name() -> None:
    loaded = load_model("mini")
    assert (loaded.name, loaded.revision) == ("mini", "")
    layout = parameter_layout(loaded.model)
    assert (layout.size, len(layout.layers)) == (3_159_040, 4)
    config = loaded.model.config
    assert (config.hidden_size, config.vocab_size, len(loaded.tokenizer)) == (256, 16_384, 16_384)
    assert next(loaded.model.parameters()).dtype == torch.float32
    assert not loaded.model.training


def test_a_folder_is_loaded_and_named_after_itself(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(str(tiny_folder))
    assert (loaded.name, loaded.revision) == ("tiny", "")
    assert len(loaded.weights_digest) == len(loaded.tokenizer_digest) == 64
    monkeypatch.chdir(tiny_folder)
    by_name = load_model(".")
    assert by_name.name == "tiny", "the name of the folder, for any spelling of its path"
    assert (by_name.weights_digest, by_name.tokenizer_digest) == (loaded.weights_digest, loaded.tokenizer_digest)


def test_nothing_is_drawn_on_stderr(tiny_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    logging.enable_progress_bar()
    before = logging.get_verbosity()
    load_model(str(tiny_folder))
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled()
    assert logging.get_verbosity() == before
    logging.disable_progress_bar()


def test_longest_input_is_limited_by_the_positions_of_the_model(tiny_folder: Path) -> None:
    loaded = load_model(str(tiny_folder))
    assert longest_input(loaded.model, loaded.tokenizer) == 64, "66 positions, two of them before the first token"


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


def test_the_longest_input_of_bert_has_all_positions(tiny_folder: Path) -> None:
    model = tf.BertForMaskedLM(tf.BertConfig(**SMALL, max_position_embeddings=20))
    assert longest_input(model, tf.AutoTokenizer.from_pretrained(tiny_folder)) == 20


def test_digests_cover_everything_that_matters(tiny_copy: Path) -> None:
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
    loaded = load_model(str(tiny_folder))
    loaded.tokenizer(["a b c", "d"], padding=True, truncation=True, max_length=3)
    assert tokenizer_digest(loaded.tokenizer) == loaded.tokenizer_digest


def test_sharded_weights_are_loaded(tiny_copy: Path) -> None:
    expected = load_model(str(tiny_copy))
    (tiny_copy / "model.safetensors").unlink()
    expected.model.save_pretrained(tiny_copy, max_shard_size="200KB")
    assert len(list(tiny_copy.glob("*.safetensors"))) > 1
    again = load_model(str(tiny_copy))
    for name, values in expected.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], values)
