"""The verb `baseline` with `lex`, `emb`, `nn-rank`, `grad-cosine` and `sue`: matrices from text and a model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xsns_stream.cli.baseline_text import COMMANDS
from xsns_stream.similarity.matrix_io import read_matrix

NAMES = ("lex", "emb", "nn-rank", "grad-cosine", "sue")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    return write_texts(tmp_path_factory.mktemp("baselines") / "texts", "sw fi et en", 20)


@pytest.fixture
def baseline(xsns: Any, tiny_folder: Path, texts: Path) -> Callable[..., Any]:
    """Run `baseline NAME` on the texts with the tiny model and 6 examples per language."""

    def run(name: str, *more: object) -> Any:
        model = () if name == "sue" else ("--model", tiny_folder, "--max-length", 24)
        return xsns("baseline", name, *model, "--corpus", texts, "--examples", 6, *more)

    return run


@pytest.mark.parametrize("name", NAMES)
def test_a_matrix_is_printed_and_written(name: str, baseline: Any, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.parquet"
    completed = baseline(name, "--lang", "sw,fi,et", "--seed", 42, "--seed", 16, "-o", path)
    assert completed.code == 0, completed.err
    assert "[6/6] et (seed 16): 6 examples" in completed.err
    assert f"wrote {path}" in completed.err
    assert completed.out.split()[:4] == ["source", "sw", "fi", "et"]
    matrix = read_matrix(path)
    assert (matrix.coefficient, matrix.sources, matrix.seeds) == (name, ("sw", "fi", "et"), (42, 16))
    document = json.loads(baseline(name, "--lang", "sw,fi,et", "--seed", 42, "--seed", 16, "--json", "-q").out)
    assert document["command"] == "baseline"
    assert document["result"]["failed"] == []
    values = np.array(document["result"]["values"], np.float64)
    np.testing.assert_allclose(matrix.values, values)
    assert matrix.per_seed is not None
    np.testing.assert_allclose(matrix.per_seed, np.array(document["result"]["per_seed"], np.float64))


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_help_text(name: str) -> None:
    assert all(option.help for option in COMMANDS[name].params if option.param_type_name == "option")


def test_all_layers_are_computed_in_one_pass(baseline: Any, tmp_path: Path) -> None:
    completed = baseline("emb", "--layer", "all", "--centre", "-o", tmp_path / "emb-{layer}.csv", "--json")
    assert completed.code == 0, completed.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["emb-0.csv", "emb-1.csv", "emb-2.csv"]
    layers = json.loads(completed.out)["result"]["layers"]
    assert list(layers) == ["0", "1", "2"]
    np.testing.assert_allclose(read_matrix(tmp_path / "emb-1.csv").values, layers["1"])
    one = baseline("emb", "--layer", 1, "--centre", "--json")
    assert json.loads(one.out)["result"]["values"] == layers["1"]


def test_sources_and_targets_may_differ(baseline: Any) -> None:
    result = json.loads(baseline("nn-rank", "--sources", "en,fi", "--targets", "et,en", "--json").out)["result"]
    assert (result["sources"], result["targets"]) == (["en", "fi"], ["et", "en"])
    assert result["values"][0][1] is None
    assert result["values"][1][1] == 1


def test_a_language_that_is_not_in_the_corpus_is_named(baseline: Any) -> None:
    completed = baseline("lex", "--lang", "sw,fi,zu")
    assert completed.code == 0
    assert "note: lex has no data on zu." in completed.err


def test_a_language_is_found_by_its_other_codes(baseline: Any) -> None:
    """The corpus has `fi`, and both spellings are found."""
    completed = baseline("lex", "--lang", "sw,fi-FI", "--json")
    assert completed.code == 0, completed.err
    assert json.loads(completed.out)["result"]["sources"] == ["sw", "fi-FI"]
    assert "note: 'fi-FI' has the label 'fi' in the corpus." in completed.err


def test_a_language_without_usable_text_gives_exit_code_3(
    baseline: Any, texts: Path, tmp_path: Path, xsns: Any
) -> None:
    folder = Path(shutil.copytree(texts, tmp_path / "texts"))
    (folder / "de.txt").write_text(" \n\n", encoding="utf-8")
    path = tmp_path / "lex.csv"
    completed = xsns("baseline", "lex", "--corpus", folder, "--lang", "sw,fi,de", "--examples", 4, "-o", path)
    assert completed.code == 3
    assert "failed: de (seed 42): " in completed.err
    assert "error: 1 of 3 rows failed: de." in completed.err
    assert read_matrix(path).sources == ("sw", "fi")


@pytest.mark.parametrize(
    ("name", "options", "code", "message"),
    [
        ("emb", ["--layer", "last"], 2, "'last' is not a layer."),
        ("emb", ["--layer", "9"], 2, "has no layer 9."),
        ("emb", ["--layer", "all", "-o", "emb.csv"], 2, "put {layer} into the file name."),
        ("emb", ["--max-length", "999"], 2, "supports at most 64 tokens, not 999."),
        ("emb", ["--objective", "question-answering"], 2, "baselines do not read labels"),
        ("nn-rank", ["--neighbours", "0"], 2, "neighbours must be at least 1, not 0."),
        ("nn-rank", ["--scratch", "nowhere"], 2, "nowhere"),
        ("grad-cosine", ["--exclude", "nothing-like-it"], 2, "nothing-like-it"),
        ("lex", ["--lang", "sw,zu"], 2, "has sw of the languages requested."),
        ("lex", ["--lang", "sw,fi", "-o", "lex.xyz"], 2, "does not end in the suffix of a supported format."),
        ("lex", ["--lang", "sw,fi", "--examples", "0"], 2, "must be at least 1, not 0."),
        ("sue", ["--merges", "0"], 2, "merges must be at least 1, not 0."),
    ],
)
def test_invalid_arguments_are_errors(name: str, options: list[str], code: int, message: str, baseline: Any) -> None:
    completed = baseline(name, *options)
    assert (completed.code, completed.out) == (code, "")
    assert message in completed.err
    assert "Traceback" not in completed.err


def test_a_model_folder_without_a_configuration_is_an_error(xsns: Any, texts: Path, tmp_path: Path) -> None:
    completed = xsns("baseline", "lex", "--corpus", texts, "--model", tmp_path)
    assert completed.code == 1
    assert "error: the configuration of model" in completed.err
    assert "config.json" in completed.err


def test_lex_needs_no_weights(xsns: Any, texts: Path, tiny_copy: Path, baseline: Any) -> None:
    (tiny_copy / "model.safetensors").unlink()
    completed = xsns("baseline", "lex", "--corpus", texts, "--model", tiny_copy, "--max-length", 24, "--examples", 6)
    assert completed.code == 0, completed.err
    assert completed.out == baseline("lex").out


def test_help_loads_no_large_library() -> None:
    program = (
        "import sys; from xsns_stream.cli.baseline_text import COMMANDS; "
        "print(*{'torch', 'transformers', 'numba', 'pandas', 'scipy', 'zarr'} & set(sys.modules))"
    )
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert completed.stdout.split() == []
