"""The option `--task` of `build`, `baseline` and `info`, which reads the texts of labelled data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.similarity.matrix_io import read_matrix
from xsns_stream.store import open_store

WORDS = {"sw": "watoto wanasoma kitabu leo", "fi": "lapset lukevat kirjaa kotona", "en": "children read books today"}
TAGS = ("NOUN", "VERB", "NOUN", "ADV")


def sentence(text: str, number: int) -> str:
    lines = [f"{word} {tag}" for word, tag in zip(text.split(), TAGS, strict=True)]
    return "\n".join([*lines, f"{number} NUM"]) + "\n\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tagged sentences in two languages, and in a third language that has test data only."""
    folder = tmp_path_factory.mktemp("task-text")
    for language, text in WORDS.items():
        (folder / "pos" / language).mkdir(parents=True)
        for split in ("test",) if language == "en" else ("train", "test"):
            content = "".join(sentence(text, number) for number in range(30))
            (folder / "pos" / language / f"{split}.txt").write_text(content, encoding="utf-8")
    return folder


def test_info_lists_the_languages_that_have_the_split(place: Path, in_process: Callable[..., Any]) -> None:
    completed = in_process(place, "info", "--corpus", "pos", "--task", "pos", "--json")
    assert completed.code == 0, completed.err
    result = json.loads(completed.out)["result"]
    assert result["corpus"] == "task(pos, task=pos)[train, words=running]"
    assert result["languages"] == ["fi", "sw"]
    completed = in_process(place, "info", "--corpus", "pos", "--task", "pos", "--split", "test", "--json")
    assert json.loads(completed.out)["result"]["languages"] == ["en", "fi", "sw"]


@pytest.mark.parametrize("objective", ["masked-lm", "token-classification"])
def test_build_measures_the_text_of_a_task(
    place: Path, tmp_path: Path, tiny_folder: Path, in_process: Callable[..., Any], objective: str
) -> None:
    store = tmp_path / "x.zarr"
    command = ("build", "--model", tiny_folder, "--corpus", "pos", "--task", "pos", "--objective", objective)
    completed = in_process(place, *command, "--examples", "6", "--max-length", "24", "--store", store)
    assert completed.code == 0, completed.err
    opened = open_store(store)
    assert set(opened.info()["languages"]) == {"fi", "sw"}
    labels = ", labels" if objective == "token-classification" else ", words=running"
    assert opened.info()["experiment"]["corpus"] == f"task(pos, task=pos)[train{labels}]"


def test_words_as_given_need_an_option_and_are_recorded(
    place: Path, tmp_path: Path, tiny_folder: Path, in_process: Callable[..., Any]
) -> None:
    store = tmp_path / "x.zarr"
    command = ("build", "--model", tiny_folder, "--corpus", "pos", "--task", "pos", "--max-length", "24")
    command += ("--examples", "6", "--store", store)
    completed = in_process(place, *command, "--words", "given", "--lang", "sw")
    assert completed.code == 0, completed.err
    assert open_store(store).info()["experiment"]["corpus"] == "task(pos, task=pos)[train, words=given]"
    completed = in_process(place, *command, "--lang", "fi")
    assert completed.code == 0, completed.err
    assert "taken from the store" in completed.err
    assert "words given" in completed.err
    completed = in_process(place, *command, "--words", "running", "--lang", "fi")
    assert completed.code == 1
    assert "words=given" in completed.err
    assert "words=running" in completed.err
    completed = in_process(place, *command, "--words", "given", "--objective", "token-classification")
    assert completed.code == 2
    assert "--words cannot be used with labels" in completed.err


def test_lex_compares_the_text_of_a_task(
    place: Path, tmp_path: Path, tiny_folder: Path, in_process: Callable[..., Any]
) -> None:
    output = tmp_path / "lex.parquet"
    command = ("baseline", "lex", "--model", tiny_folder, "--corpus", "pos", "--task", "pos", "--examples", "9")
    completed = in_process(place, *command, "--max-length", "24", "-o", output)
    assert completed.code == 0, completed.err
    assert read_matrix(output).sources == ("fi", "sw")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--task", "pos", "--corpus", "pos", "--text-column", "x"), 2, "--text-column cannot be used with"),
        (("--task", "pos", "--corpus", "pos", "--split", "validation"), 2, "there is no split 'validation'"),
        (("--task", "pos", "--corpus", "sw=a", "--corpus", "fi=b"), 2, "one folder or data set"),
        (("--task", "parsing", "--corpus", "pos"), 2, "'parsing' is not one of"),
        (("--task", "pos", "--corpus", "xnli"), 2, "xnli does not contain data of the task pos"),
        (("--task", "nli", "--corpus", "pos"), 1, "states a language and a split of nli data"),
        (("--task", "pos", "--corpus", "nowhere"), 1, "there is no folder 'nowhere'"),
        (("--task", "pos"), 2, "--task cannot be used with a store"),
    ],
)
def test_invalid_arguments_are_errors(
    place: Path, in_process: Callable[..., Any], options: tuple[str, ...], code: int, message: str
) -> None:
    completed = in_process(place, "info", *options)
    assert message in " ".join(completed.err.split())
    assert "Traceback" not in completed.err
    assert completed.code == code
    assert completed.out == ""
