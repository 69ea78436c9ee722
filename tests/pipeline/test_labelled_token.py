"""The labelled token of a word is a setting of units and stores; for causal models, it is the last token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import xsns_stream as xs
from tests.objectives.test_word_alignment import KINDS
from tests.support.tagged_text import arguments, write_tagged_folder
from xsns_stream.errors import IncompatibleError, UsageError
from xsns_stream.gold import read_scores
from xsns_stream.store import open_store

OPTIONS: dict[str, Any] = {
    "task": "pos",
    "limit": 12,
    "test_limit": 6,
    "epochs": 1,
    "max_length": 48,
    "progress": False,
}


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory, zoo: Any) -> str:
    """A tiny Gemma 3, for which transformers has no token classifier, with one token for each character."""
    folder = tmp_path_factory.mktemp("causal") / "gemma"
    zoo.make("gemma3-text", torch.float32).save_pretrained(folder)
    KINDS["characters"]().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def pos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagged_folder(tmp_path_factory.mktemp("data")) / "pos"


def unit(output: Path) -> Path:
    (path,) = output.with_name(f"{output.name}.units").glob("*.json")
    return path


def test_a_causal_model_is_labelled_at_the_last_token(causal: str, pos: Path, tmp_path: Path) -> None:
    output, models = tmp_path / "gold.parquet", tmp_path / "kept"
    xs.transfer(pos, output=output, model=causal, sources="en", targets="en", keep_models=models, **OPTIONS)
    assert json.loads(unit(output).read_text())["settings"]["label_at"] == "last"
    assert read_scores(output).origin.endswith(", words labelled at their last token")
    # A further target is tested with the model that was kept.
    more = xs.transfer(pos, output=output, model=causal, sources="en", targets="en,fi", keep_models=models, **OPTIONS)
    assert more.targets == ("en", "fi")
    with pytest.raises(
        IncompatibleError, match=r'other settings: label_at \(label_at was "last" and is now "first"\)'
    ) as caught:
        xs.transfer(pos, output=output, model=causal, sources="en", label_at="first", **OPTIONS)
    assert "--label-at first or --label-at last" in caught.value.hint


def test_units_without_a_record_are_labelled_at_the_first_token(causal: str, pos: Path, tmp_path: Path) -> None:
    """Units of older versions do not record the labelled token."""
    output = tmp_path / "gold.parquet"
    first = xs.transfer(pos, output=output, model=causal, sources="en", targets="en", label_at="first", **OPTIONS)
    document = json.loads(unit(output).read_text())
    assert document["settings"].pop("label_at") == "first"
    unit(output).write_text(json.dumps(document))
    again = xs.transfer(pos, output=output, model=causal, sources="en", targets="en", label_at="first", **OPTIONS)
    assert again.cells.tolist() == first.cells.tolist()
    assert "last token" not in again.origin
    with pytest.raises(IncompatibleError, match=r'label_at was "first" and is now "last"'):
        xs.transfer(pos, output=output, model=causal, sources="en", targets="en", **OPTIONS)


def test_a_bidirectional_model_is_labelled_at_the_first_token(tiny_folder: Path, pos: Path, tmp_path: Path) -> None:
    output = tmp_path / "gold.csv"
    xs.transfer(pos, output=output, model=tiny_folder, sources="en", targets="en", **OPTIONS)
    assert json.loads(unit(output).read_text())["settings"]["label_at"] == "first"


def test_units_record_that_words_are_running_text(tiny_folder: Path, pos: Path, tmp_path: Path) -> None:
    output = tmp_path / "gold.csv"
    options = OPTIONS | {"model": tiny_folder, "sources": "en", "targets": "en", "output": output}
    xs.transfer(pos, words="running", **options)
    assert json.loads(unit(output).read_text())["settings"]["words"] == "running"
    with pytest.raises(IncompatibleError, match=r'other settings: words \(words was "running" and is now "given"\)'):
        xs.transfer(pos, **options)
    options["output"] = tmp_path / "given.csv"
    xs.transfer(pos, words="given", **options)
    assert "words" not in json.loads(unit(options["output"]).read_text())["settings"], (
        "units of older versions have no such field"
    )
    with pytest.raises(UsageError, match="words cannot be read as 'glued'"):
        xs.transfer(pos, words="glued", **options)


def test_labels_that_do_not_belong_to_words(pos: Path, tmp_path: Path) -> None:
    texts = tmp_path / "topic"
    texts.mkdir()
    for name in ("en-train", "en-dev", "en-test"):
        (texts / f"{name}.tsv").write_text("text\tlabel\na b\tx\nc d\ty\n")
    with pytest.raises(UsageError, match="--label-at cannot be used with topic"):
        xs.transfer(texts, task="topic", output=tmp_path / "gold.csv", sources="en", label_at="last", progress=False)
    with pytest.raises(UsageError, match="--words cannot be used with topic"):
        xs.transfer(texts, task="topic", output=tmp_path / "gold.csv", sources="en", words="given", progress=False)
    with pytest.raises(UsageError, match="words cannot be labelled at their token 'end'"):
        xs.transfer(pos, output=tmp_path / "gold.csv", sources="en", label_at="end", **OPTIONS)


def test_rows_of_a_causal_model_record_the_labelled_token(causal: str, pos: Path, path: Path) -> None:
    options: dict[str, Any] = {"task": "pos", "objective": "token-classification", "examples": 4, "max_length": 48}
    options |= {"progress": False}
    xs.build(str(pos), causal, path, languages="en", **options)
    assert ",label_at=last)" in open_store(path).experiment["objective"]
    # Later builds take the setting from the store.
    xs.build(None, None, path, languages="en,fi", progress=False)
    assert open_store(path).languages == ("en", "fi")
    with pytest.raises(IncompatibleError, match="objective"):
        xs.build(str(pos), causal, path, languages="sw", label_at="first", **options)
    first = path.with_name("first.zarr")
    xs.build(str(pos), causal, first, languages="en", label_at="first", **options)
    assert "label_at" not in open_store(first).experiment["objective"]
    xs.build(None, None, first, languages="fi", progress=False)
    with pytest.raises(UsageError, match="causal-lm does not use the option 'label at'"):
        xs.build({"en": ["a b"]}, causal, path.with_name("lm.zarr"), label_at="last", max_length=48, progress=False)


def test_the_labelled_token_can_be_chosen_on_the_command_line(
    causal: str, pos: Path, tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    data = ("--data", str(pos), "--max-length", "48", "--model", causal, "--label-at", "last", "--dry-run", "--json")
    line = [*arguments(sources="en"), *data]
    completed = in_process(tmp_path, *line)
    assert completed.code == 0, completed.err
    wrong = in_process(tmp_path, *("middle" if word == "last" else word for word in line))
    assert (wrong.code, "'middle' is not one of 'auto', 'first', 'last'" in wrong.err) == (2, True)
