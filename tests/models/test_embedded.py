"""The embedded model agrees with its model card, is small, and is saved as safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xsns_stream.models import EMBEDDED_FOLDER, load_model, longest_input, parameter_layout

MIB = 2**20


def test_the_embedded_model_is_small_and_has_no_pickle() -> None:
    files = {path.name: path.stat().st_size for path in EMBEDDED_FOLDER.iterdir()}
    assert sum(files.values()) <= 24 * MIB
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md", "training.json"} <= set(files)
    assert not [name for name in files if Path(name).suffix in {".bin", ".pt", ".pkl"}]


def test_mini_loads_like_any_local_folder(tmp_path: Path) -> None:
    for path in EMBEDDED_FOLDER.iterdir():
        (tmp_path / path.name).symlink_to(path)
    ours, copied = load_model("mini"), load_model(str(tmp_path))
    assert ours.weights_digest == copied.weights_digest
    assert ours.tokenizer_digest == copied.tokenizer_digest
    assert parameter_layout(ours.model).size == 3_159_040
    assert longest_input(ours.model, ours.tokenizer) == 256


def test_the_card_and_the_record_agree() -> None:
    record = json.loads((EMBEDDED_FOLDER / "training.json").read_text())
    card = (EMBEDDED_FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{record['mean']['loss']:.2f}" in card
    assert f"{record['mean']['unigram']:.2f}" in card
    assert record["data_digest"][:12] in card
    assert record["mean"]["loss"] <= record["mean"]["unigram"] - 0.3


@pytest.mark.parametrize("text", ["Habari ya dunia", "Привет, мир", "你好世界", "مرحبا بالعالم"])
def test_its_tokenizer_knows_common_scripts(text: str) -> None:
    tokenizer = load_model("mini").tokenizer
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.unk_token_id not in ids
