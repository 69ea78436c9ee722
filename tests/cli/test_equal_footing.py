"""Predictors on the same text: `baseline … --store`, and the notes of `evaluate` and `regress` on differences."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsns_stream as xs
from xsns_kernels import pack_bits
from xsns_stream.gold import write_scores
from xsns_stream.similarity.matrix_io import read_matrix
from xsns_stream.types import LayerSpan, ParameterLayout, Provenance, SubNetwork
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("en", "et", "fi", "sw")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path], tiny_folder: Path) -> Path:
    """A folder with texts, a store of them (9 examples, two seeds, 24 tokens) and gold scores."""
    from xsns_stream.cli import main

    folder = tmp_path_factory.mktemp("footing")
    write_texts(folder / "texts", " ".join(CODES), 20)
    options = ["--model", tiny_folder, "--corpus", folder / "texts", "--examples", 9, "--seed", 1, "--seed", 2]
    with pytest.raises(SystemExit) as stop:
        main([*map(str, ("build", *options, "--max-length", 24, "--store", folder / "x.zarr", "-q"))])
    assert not stop.value.code
    cells = np.random.default_rng(0).random((1, 1, 4, 4)) * 100
    write_scores(TransferScores(CODES, CODES, cells, "pos", "accuracy", "percent", "made up"), folder / "gold.parquet")
    return folder


@pytest.fixture
def baseline(built: Path, xsns: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.chdir(built)

    def run(name: str, *more: object) -> Any:
        model = () if name == "sue" else ("--model", tiny_folder)
        return xsns("baseline", name, "--store", "x.zarr", *model, *more)

    return run


@pytest.mark.parametrize("name", ["lex", "emb", "nn-rank", "grad-cosine", "sue"])
def test_everything_is_taken_from_the_store(name: str, baseline: Any, tmp_path: Path) -> None:
    completed = baseline(name, "-o", tmp_path / "m.parquet", "--json")
    assert completed.code == 0, completed.err
    matrix = read_matrix(tmp_path / "m.parquet")
    assert (matrix.sources, matrix.targets, matrix.seeds) == (CODES, CODES, (1, 2))
    record = matrix.record
    assert record is not None
    assert (record.predictor, record.corpus, record.examples_asked) == (name, "folder(texts)", 9)
    assert {one.examples for by_seed in record.texts.values() for one in by_seed.values()} == {9}
    assert record.max_length == (0 if name == "sue" else 24)
    assert json.loads(completed.out)["result"]["record"] == record.to_json()
    if name == "grad-cosine":
        assert record.objective == "masked-lm(rate=0.15,max_length=24)"


def test_the_text_of_a_relabelled_row_has_its_former_label(
    built: Path, baseline: Any, tmp_path: Path, xsns: Any
) -> None:
    shutil.copytree(built / "x.zarr", tmp_path / "x.zarr")
    for old, new in (("et", "et-x-bible"), ("fi", "qaa-x-mine"), ("qaa-x-mine", "qaa-x-last")):
        assert xsns("relabel", old, new, "--store", tmp_path / "x.zarr", "-q").code == 0
    completed = xsns(
        "baseline", "sue", "--store", tmp_path / "x.zarr", "--corpus", "texts", "-o", tmp_path / "m.parquet"
    )
    assert completed.code == 0, completed.err
    assert read_matrix(tmp_path / "m.parquet").sources == ("en", "et-x-bible", "qaa-x-last", "sw")
    assert "'qaa-x-last' has the label 'fi' in the corpus." in completed.err
    (tmp_path / "other").mkdir()
    for code in CODES:
        (tmp_path / "other" / f"{code}.txt").write_text("".join(f"{code} {n}\n" for n in range(20)), encoding="utf-8")
    completed = xsns("baseline", "sue", "--store", tmp_path / "x.zarr", "--corpus", tmp_path / "other")
    assert completed.code != 0
    assert "fi" in completed.err, "the text is compared with the text of the row"


def test_options_that_differ_are_refused_together(baseline: Any) -> None:
    completed = baseline("lex", "--examples", 64, "--max-length", 24, "--seed", 3)
    assert (completed.code, completed.out) == (2, "")
    assert (
        "error: --examples 64 was given, but the store has 9; --seed 3 was given, but the store has 1, 2."
        in completed.err
    )
    assert baseline("lex", "--examples", 9, "--seed", 2, "-q").code == 0


def test_other_text_is_refused_and_a_copy_under_another_name_is_not(baseline: Any, tmp_path: Path) -> None:
    other = Path(shutil.copytree("texts", tmp_path / "other"))
    completed = baseline("lex", "--corpus", other)
    assert completed.code == 0, completed.err
    assert (
        "note: the corpus is 'folder(other)' here, and 'folder(texts)' in the store; the text is the same."
        in completed.err
    )
    for code in ("sw", "fi"):
        text = (other / f"{code}.txt").read_text(encoding="utf-8")
        (other / f"{code}.txt").write_text(text.replace(" ", " x ", 40), encoding="utf-8")
    completed = baseline("lex", "--corpus", other)
    assert (completed.code, completed.out) == (1, "")
    assert "error: the text of fi, sw is not the text that the store 'x.zarr' was built from: 2 of 4" in completed.err


def test_text_and_model_are_found_from_any_folder_until_they_are_moved(
    built: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    completed = xsns("baseline", "lex", "--store", built / "x.zarr")
    assert completed.code == 0, completed.err
    shutil.copytree(built / "x.zarr", tmp_path / "moved" / "x.zarr")
    completed = xsns("baseline", "emb", "--store", "moved/x.zarr")
    assert completed.code == 2
    assert (
        "the corpus of the store, 'folder(texts)', is not where it was, or the store does not record" in completed.err
    )
    assert "the model of the store, 'tiny', is not where it was" in completed.err
    assert "--corpus PATH" in completed.err


def test_another_model_is_refused(built: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built)
    completed = xsns("baseline", "emb", "--store", "x.zarr", "--model", "mini")
    assert completed.code == 1
    assert (
        "error: the model 'mini' is not the model of the store 'x.zarr', which is 'tiny': weights differ."
        in completed.err
    )


def test_a_language_of_two_codes_is_the_store_s(baseline: Any, tmp_path: Path) -> None:
    """The store has `en`; the corpus now has `en-GB` too."""
    texts = Path(shutil.copytree("texts", tmp_path / "texts"))
    shutil.copy(texts / "sw.txt", texts / "en-GB.txt")
    completed = baseline("lex", "--corpus", texts, "--lang", "en-US,fi", "--json", "-q")
    assert completed.code == 0, completed.err
    assert json.loads(completed.out)["result"]["record"]["texts"]["en-US"]["1"]["language"] == "en"
    completed = baseline("lex", "--corpus", texts, "--lang", "en,en-GB")
    assert "has no record of the text of en-GB; this text was not compared." in completed.err


def test_all_baselines_of_a_store_are_measured_on_its_text(baseline: Any, tmp_path: Path) -> None:
    completed = baseline("all", "-o", tmp_path / "all", "--json", "-q")
    assert completed.code == 0, completed.err
    result = json.loads(completed.out)["result"]
    assert [one["baseline"] for one in result["written"]] == ["script", "lex", "emb", "nn-rank", "grad-cosine", "sue"]
    assert result["differences"] == []
    assert result["written"][0]["record"] is None or not result["written"][0]["record"]["corpus"]


def test_evaluate_says_what_differs(baseline: Any, built: Path, xsns: Any, tiny_folder: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same.parquet", tmp_path / "other.parquet"
    assert baseline("lex", "-o", same, "-q").code == 0
    model = ("--model", tiny_folder, "--corpus", "texts", "--max-length", 32)
    assert xsns("baseline", "emb", *model, "--lang", "en,fi,sw", "--examples", 5, "-o", other, "-q").code == 0
    command = ("evaluate", "--gold", "gold.parquet", "--resamples", 100, "--predict", "x.zarr", "--predict", same)
    equal = json.loads(xsns(*command, "--json").out)["result"]
    assert equal["differences"] == []
    assert equal["records"]["x"]["texts"]["sw"]["1"] == equal["records"]["same"]["texts"]["sw"]["1"]
    assert [one["pairs"] for one in equal["taken_from_pool"]] == [[], []]
    completed = xsns(*command, "--predict", other, "--json")
    assert "note: the numbers of examples per language differ: 9 ('x', 'same'), 5 ('other').\n" in completed.err
    assert "note: the seeds differ: 1, 2 ('x', 'same'), 42 ('other').\n" in completed.err
    assert "note: the maximum lengths of examples differ, in tokens: 24 ('x', 'same'), 32 ('other')." in completed.err
    document = json.loads(completed.out)["result"]
    assert [one["what"] for one in document["differences"]] == ["seeds", "max_length", "examples"]
    cost = document["taken_from_pool"][2]
    assert (cost["predictor"], cost["targets"], cost["sources"], len(cost["pairs"])) == ("other", ["et"], ["et"], 6)
    assert (
        "note: 'other' lacks pairs that all other predictors have: without this predictor, the pool would have 6 "
        "more pairs, "
        "1 more target (et), 1 more source (et).\n"
    ) in completed.err


def test_a_matrix_of_a_store_records_its_text_and_regress_compares_it(baseline: Any, xsns: Any, tmp_path: Path) -> None:
    path, lex = tmp_path / "jaccard.parquet", tmp_path / "lex.parquet"
    assert xsns("matrix", "--store", "x.zarr", "-o", path, "-q").code == 0
    record = read_matrix(path).record
    assert record is not None
    assert (record.model, record.corpus, record.seeds) == ("tiny", "folder(texts)", (1, 2))
    assert set(record.texts) == set(CODES)
    assert baseline("lex", "-o", lex, "-q").code == 0
    completed = xsns("regress", "--gold", "gold.parquet", "--predict", path, "--predict", lex, "--json")
    assert completed.code == 0, completed.err
    result = json.loads(completed.out)["result"]
    assert result["differences"] == []
    assert list(result["records"]) == ["jaccard", "lex"]
    assert len(result["taken_from_pool"]) == 2


def test_labels_that_are_no_languages_are_refused_or_skipped(
    built: Path, xsns: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(built)
    table = tmp_path / "own.csv"
    table.write_text("x,en,Finnish,sw,the average\nen,1,2,3,4\nFinnish,1,2,3,4\nsw,1,2,3,4\n")
    evaluate = ("evaluate", "--gold", "gold.parquet", "--resamples", 100, "--predict", table)
    for command in (evaluate, ("baseline", "file", table)):
        completed = xsns(*command)
        assert (completed.code, completed.out) == (1, "")
        assert "do not name exactly one language: the average." in completed.err
        completed = xsns(*command, "--skip-unknown")
        assert completed.code == 0, completed.err
        assert "labels that do not name exactly one language are left out: the average." in completed.err
        assert "recognised by name: Finnish = fi." in completed.err
    result = json.loads(xsns("baseline", "file", table, "--skip-unknown", "--json").out)["result"]
    assert (result["left_out"], result["by_name"]) == (["the average"], {"Finnish": "fi"})
    assert result["targets"] == ["en", "fi", "sw"]


def test_a_store_without_a_record_of_its_text_needs_corpus_and_model(
    xsns: Any, built: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """The first versions did not record the text: corpus and model must be given, and a note says so."""
    monkeypatch.chdir(built)
    layout = ParameterLayout(("b.w",), ((40, 50),), (LayerSpan("b", 0, 2000),))
    store = xs.open_store(tmp_path / "old.zarr", "a")
    for number, language in enumerate(("sw", "fi")):
        chosen = np.random.default_rng(number).random(2000) < 0.15
        provenance = Provenance(layout_digest=layout.digest, seed=7)
        store.write(SubNetwork(language, 7, pack_bits(chosen), layout, int(chosen.sum()), 0.1, 0.15, provenance))
    command = ("baseline", "lex", "--store", tmp_path / "old.zarr")
    completed = xsns(*command)
    assert completed.code == 2
    assert (
        "error: the corpus of the store, '', is not where it was, or the store does not record where" in completed.err
    )
    assert "; the model of the store, ''," in completed.err
    completed = xsns(*command, "--corpus", "texts", "--model", "mini")
    assert completed.code == 0, completed.err
    assert "has no record of the text of fi, sw; this text was not compared." in completed.err
    evaluate = ("evaluate", "--gold", "gold.parquet", "--resamples", 100, "--predict", tmp_path / "old.zarr", "--json")
    record = json.loads(xsns(*evaluate, "-q").out)["result"]["records"]["old"]
    assert (record["model"], record["texts"]["sw"]["7"]["digest"]) == ("", "")


@pytest.mark.parametrize("words", ["given", "running"])
def test_words_are_read_as_the_store_has_them(
    words: str, tmp_path: Path, tiny_folder: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ud").mkdir()
    for code in ("sw", "fi"):
        lines = [f"1\t{code}{n}\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No\n2\t,\t_\t_\t_\t_\t_\t_\t_\t_" for n in range(9)]
        (tmp_path / "ud" / f"{code}.conllu").write_text("\n\n".join(lines) + "\n\n", encoding="utf-8")
    model = ("--model", tiny_folder)
    completed = xsns(
        "build", *model, "--corpus", "ud", "--words", words, "--examples", 6, "--max-length", 24, "--store", "x"
    )
    assert completed.code == 0, completed.err
    for corpus in ((), ("--corpus", "ud")):
        completed = xsns("baseline", "lex", *model, *corpus, "--store", "x", "--json")
        assert completed.code == 0, completed.err
        assert json.loads(completed.out)["result"]["record"]["corpus"] == f"folder(ud, words={words})"
    other = "running" if words == "given" else "given"
    completed = xsns("baseline", "lex", *model, "--store", "x", "--words", other)
    assert completed.code == 2
    assert f"--words {other} was given, but the store has {words}" in completed.err
