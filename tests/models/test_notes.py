"""Notes on models that cannot be loaded exactly as their files say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as tf

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.models import load_model, loading, longest_input
from xsns_stream.models.tokenizers import notes_on_frame, tokenizer_limit
from xsns_stream.transfer import PRESETS, TASKS
from xsns_stream.transfer.encoding import encode
from xsns_stream.types import LabelledSplit, TextExample


def changed(folder: Path, file: str, **fields: Any) -> str:
    """Change fields of a JSON file of a model folder; None removes one, and returns the folder's name."""
    path = folder / file
    document = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(folder)


def test_a_missing_padding_id_is_taken_from_the_tokenizer(tiny_copy: Path, tiny_folder: Path) -> None:
    """RoBERTa counts positions from the padding id; with None, torch raised an error."""
    loaded = load_model(changed(tiny_copy, "config.json", pad_token_id=None))
    (note,) = loaded.notes
    assert note.endswith("names no padding token (pad_token_id); the tokenizer's padding id 1 is used.")
    right = load_model(str(tiny_folder))
    assert right.notes == ()
    batch = loaded.tokenizer("watoto wanasoma", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(loaded.model(**batch).logits, right.model(**batch).logits)


def test_a_mask_that_means_unknown_is_refused(tiny_copy: Path) -> None:
    with pytest.raises(ModelError, match=r"uses its unknown token as its mask token \('<unk>'\)"):
        load_model(changed(tiny_copy, "tokenizer_config.json", mask_token="<unk>"))


def test_a_tokenizer_that_frames_nothing_is_named(tiny_copy: Path) -> None:
    loaded = load_model(changed(tiny_copy, "tokenizer.json", post_processor=None))
    (note,) = loaded.notes
    assert "has a token for the beginning of a text ('<s>') but does not put it there" in note


def test_a_token_that_separates_documents_is_not_a_frame() -> None:
    """GPT-2 was trained without special tokens around its texts."""
    tokenizer = tf.GPT2Tokenizer(vocab={"<|endoftext|>": 0, "a": 1}, merges=[])
    assert list(notes_on_frame("gpt2", tokenizer)) == []


def test_python_without_docstrings_is_named(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "sys", SimpleNamespace(flags=SimpleNamespace(optimize=2)))
    with pytest.raises(ModelError, match="runs without docstrings") as caught:
        load_model(str(tiny_folder))
    assert "PYTHONOPTIMIZE" in caught.value.hint
    monkeypatch.setattr(loading, "sys", SimpleNamespace(flags=SimpleNamespace(optimize=1)))
    assert load_model(str(tiny_folder)).notes == ()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_means_no_limit(limit: int, tiny_folder: Path) -> None:
    loaded = load_model(str(tiny_folder))
    loaded.tokenizer.model_max_length = limit
    assert tokenizer_limit(loaded.tokenizer) > 2**31
    assert longest_input(loaded.model, loaded.tokenizer) == 64, "the positions of the model"
    split = LabelledSplit("sw", "train", (TextExample("watoto", label="A"),), "a test")
    assert len(encode(TASKS["topic"], ("A", "B"), split, loaded.tokenizer, PRESETS["quick"])) == 1
    loaded.tokenizer.model_max_length = 16
    with pytest.raises(UsageError, match="this model have at most 16 tokens"):
        encode(TASKS["topic"], ("A", "B"), split, loaded.tokenizer, PRESETS["quick"])


def test_xlnet_has_no_limit(tiny_folder: Path) -> None:
    """The configuration of XLNet has the length -1."""
    tokenizer = load_model(str(tiny_folder)).tokenizer
    tokenizer.model_max_length = int(1e30)
    config = tf.XLNetConfig(vocab_size=50, d_model=16, n_layer=1, n_head=2, d_inner=32)
    assert config.max_position_embeddings == -1
    assert longest_input(tf.XLNetLMHeadModel(config), tokenizer) == 2**31 - 1


def test_a_build_says_that_weights_hold_more_layers(
    tiny_copy: Path, xsns: Callable[..., Any], write_texts: Callable[..., Path], tmp_path: Path
) -> None:
    folder = changed(tiny_copy, "config.json", num_hidden_layers=1)
    texts = write_texts(tmp_path / "texts", "sw", 4)
    options = [
        "--model",
        folder,
        "--corpus",
        texts,
        "--store",
        tmp_path / "s.zarr",
        "--examples",
        4,
        "--max-length",
        16,
    ]
    completed = xsns("build", *options, "--json")
    assert completed.code == 0
    (note,) = json.loads(completed.out)["result"]["notes"]
    assert "blocks that its configuration does not have" in note
    assert f"note: {note}" in completed.err


def test_fine_tuning_notes_once_how_its_model_was_loaded(tiny_copy: Path) -> None:
    from xsns_stream.pipeline.run_transfer import ModelLoader

    settings: Any = SimpleNamespace(
        model=changed(tiny_copy, "config.json", num_hidden_layers=1),
        revision=None,
        fine_tuning=SimpleNamespace(device="cpu"),
        task=SimpleNamespace(objective="sequence-classification"),
    )
    sent: list[str] = []
    load = ModelLoader(settings, ("A", "B"), sent.append)
    load(0)
    load(1)
    (note,) = load.notes
    assert "blocks that its configuration does not have" in note
    assert sent == [note], "the note is sent once for any number of heads"
