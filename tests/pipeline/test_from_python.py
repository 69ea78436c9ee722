"""Building, baselines and fine-tuning from Python: the same rows, matrices and scores as the verbs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import xsns_stream as xs
from xsns_stream.cli import build as build_verb
from xsns_stream.errors import IncompatibleError, PartialError, UsageError
from xsns_stream.models import LoadedModel
from xsns_stream.pipeline.events import RowByOther, RowCommitted
from xsns_stream.pipeline.settings import build_settings

OPTIONS: dict[str, Any] = {"examples": 6, "max_length": 24, "batch_size": 4}


@pytest.fixture
def in_memory(texts: Path) -> dict[str, list[str]]:
    """The texts of the folder `texts`, by language."""
    return {path.stem: path.read_text(encoding="utf-8").splitlines() for path in sorted(texts.glob("*.txt"))}


def bits(store: Any, language: str) -> Any:
    return store.read(language, 42, 0.15).bits


def test_a_build_gives_the_rows_of_the_verb(
    in_memory: dict[str, list[str]], texts: Path, tiny_folder: Path, tmp_path: Path, xsns: Any
) -> None:
    more = ("--examples", 6, "--max-length", 24, "--batch", 4, "--parts", 2, "--json")
    verb = xsns("build", "--corpus", texts, "--model", tiny_folder, "--store", tmp_path / "verb.zarr", *more)
    assert verb.code == 0, verb.err
    events: list[object] = []
    store = xs.build(
        in_memory, str(tiny_folder), tmp_path / "own.zarr", events.append, progress=False, parts=2, **OPTIONS
    )
    same = xs.open_store(tmp_path / "verb.zarr")
    assert store.languages == same.languages
    for language in store.languages:
        assert np.array_equal(bits(store, language), bits(same, language))
        assert np.array_equal(
            store.folds(2)[0].read(language, 42, 0.15).bits, same.folds(2)[0].read(language, 42, 0.15).bits
        )
        own, other = (each.record(language, 42, 0.15).provenance for each in (store, same))
        assert (own.corpus, other.corpus) == ("memory", "folder(texts)")
        assert own.corpus_digest == other.corpus_digest
    assert [type(event) for event in events].count(RowCommitted) == 3


def test_a_loaded_model_gives_the_rows_of_its_folder(
    in_memory: dict[str, list[str]], tiny_folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model, tokenizer = AutoModelForMaskedLM.from_pretrained(tiny_folder), AutoTokenizer.from_pretrained(tiny_folder)
    named = xs.build(in_memory, str(tiny_folder), tmp_path / "named.zarr", progress=False, **OPTIONS)
    own = {"model": model, "tokenizer": tokenizer, "store": tmp_path / "own.zarr", "progress": False} | OPTIONS
    store = xs.build({"sw": in_memory["sw"]}, **own)
    assert np.array_equal(bits(store, "sw"), bits(named, "sw"))
    events: list[object] = []
    store = xs.build(in_memory, on_event=events.append, **own)
    committed = [event.row.language for event in events if isinstance(event, RowCommitted)]
    assert committed == ["en", "fi"] if "en" in in_memory else committed == ["et", "fi"], "sw is skipped"
    assert not [event for event in events if isinstance(event, RowByOther)]
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    with pytest.raises(IncompatibleError, match="weights_digest"):
        xs.build(in_memory, **own)


def test_changed_text_is_refused(in_memory: dict[str, list[str]], loaded: LoadedModel, tmp_path: Path) -> None:
    path = tmp_path / "s.zarr"
    xs.build({"sw": in_memory["sw"]}, loaded, path, progress=False, **OPTIONS)
    with pytest.raises(IncompatibleError, match="the text of 'sw' in memory differs from the text"):
        xs.build({"sw": in_memory["sw"][1:]}, loaded, path, progress=False, **OPTIONS)


def test_progress_and_notes_go_to_stderr(
    in_memory: dict[str, list[str]], loaded: LoadedModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    xs.build({"sw": in_memory["sw"]}, loaded, tmp_path / "s.zarr", **(OPTIONS | {"examples": 500}))
    out, err = capfd.readouterr()
    assert out == ""
    assert "note: sw (seed 42): has only" in err
    assert "[1/1] sw (seed 42):" in err


def test_a_failed_row_is_reported_after_the_others(loaded: LoadedModel, tmp_path: Path) -> None:
    texts = {"sw": [f"Habari namba {n}." for n in range(8)], "fi": ["Yksi."]}
    with pytest.raises(PartialError, match=r"1 of 2 rows failed: fi\."):
        xs.build(texts, loaded, tmp_path / "s.zarr", progress=False, parts=4, **(OPTIONS | {"examples": 8}))
    assert xs.open_store(tmp_path / "s.zarr").languages == ("sw",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"example": 3}, "build has no option 'example'."),
        ({"parts": 9}, "6 examples cannot be split into 9 parts."),
        ({"check_every": 3}, "--check-every needs --until-stable"),
        ({"memory": "much"}, "'much' is not a size."),
        ({"label_column": "x"}, "--label-column does not apply to the objective auto."),
        ({"mean_span": 3.0}, "masked-lm does not use the option 'mean span'."),
    ],
)
def test_options_are_checked_as_those_of_the_verb(
    options: dict[str, Any], message: str, loaded: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        xs.build({"sw": ["Habari."]}, loaded, tmp_path / "s.zarr", progress=False, **(OPTIONS | options))
    assert caught.value.message.startswith(message)


def test_every_option_of_the_verb_is_a_keyword(xsns: Any) -> None:
    verb = {parameter.name for parameter in build_verb.command.params}
    only_on_the_command_line = {"as_json", "quiet", "verbose", "dry_run", "store", "model", "texts"}
    from xsns_stream.pipeline import build
    from xsns_stream.pipeline.cluster_clients import CLUSTER_OPTIONS

    assert set(CLUSTER_OPTIONS) <= inspect.signature(build.build).parameters.keys()
    keywords = {
        *inspect.signature(build_settings).parameters,
        *build._MODEL_OPTIONS,
        *build.TEXT_OPTIONS,
        "label_column",
        "corpus_revision",
        *CLUSTER_OPTIONS,
    } - {"client"}
    assert verb - only_on_the_command_line - {"csv_guard"} <= keywords
    assert keywords - {"corpus"} <= verb


def test_settings_and_options_are_not_mixed(make: Any, loaded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="options were given together with BuildSettings"):
        xs.build(make("sw"), loaded, xs.open_store(tmp_path / "s.zarr", "a"), examples=3)  # type: ignore[call-overload]


# ------------------------------------------------------------------------------------------------- fisher


def test_the_fisher_information_of_a_loader_equals_that_of_its_batches(
    loaded: LoadedModel, in_memory: dict[str, list[str]]
) -> None:
    from torch.utils.data import DataLoader
    from transformers import DataCollatorForLanguageModeling

    encoded = [loaded.tokenizer(text, truncation=True, max_length=24) for text in in_memory["sw"][:8]]
    torch.manual_seed(1)
    collator = DataCollatorForLanguageModeling(loaded.tokenizer, mlm_probability=0.6)
    loader = DataLoader(encoded, batch_size=4, collate_fn=collator)
    fisher = xs.diagonal_fisher(loaded.model, loader)
    torch.manual_seed(1)
    expected = xs.diagonal_fisher(loaded.model, list(loader), xs.parameter_layout(loaded.model))
    assert (fisher.examples, fisher.layout.digest) == (8, expected.layout.digest)
    assert all(np.array_equal(a, b) for a, b in zip(fisher.values, expected.values, strict=True))


# ---------------------------------------------------------------------------------------------- baselines


@pytest.mark.parametrize("name", ["lex", "emb", "nn-rank", "grad-cosine", "sue"])
def test_a_baseline_from_text_is_that_of_the_verb(
    name: str, in_memory: dict[str, list[str]], texts: Path, tiny_folder: Path, xsns: Any
) -> None:
    model = () if name == "sue" else ("--model", tiny_folder, "--max-length", 24)
    verb = xsns("baseline", name, *model, "--corpus", texts, "--examples", 6, "--json")
    more = {} if name == "sue" else {"model": str(tiny_folder), "max_length": 24}
    matrix = xs.baseline(name, in_memory, examples=6, progress=False, **more)
    result = json.loads(verb.out)["result"]
    assert list(matrix.sources) == result["sources"]
    assert np.array_equal(matrix.values, np.array(result["values"], float), equal_nan=True)


def test_a_baseline_from_a_table_is_that_of_the_verb(tmp_path: Path, xsns: Any) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("language,size\nsw,10\nfi,1000\n", encoding="utf-8")
    result = json.loads(xsns("baseline", "source-size", table, "--log", "--json").out)["result"]
    matrix = xs.baseline("source-size", table=table, log=True)
    assert matrix.values.tolist() == result["values"]
    assert matrix.record is not None
    assert matrix.record.to_json() == result["record"]
    with pytest.raises(UsageError, match="the baseline l2v has no option 'log'"):
        xs.baseline("l2v", table=table, log=True)
    with pytest.raises(UsageError, match="the baseline ldnd needs a table"):
        xs.baseline("ldnd")
    with pytest.raises(UsageError, match="there is no baseline 'l2w'"):
        xs.baseline("l2w")


def test_a_baseline_takes_text_and_model_of_a_store(
    texts: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Any
) -> None:
    path = tmp_path / "s.zarr"
    xs.build(str(texts), str(tiny_folder), path, progress=False, seeds=(1, 2), **OPTIONS)
    matrix = xs.baseline("lex", store=str(path), progress=False)
    assert matrix.seeds == (1, 2)
    with_paths = xs.baseline("lex", str(texts), store=str(path), model=str(tiny_folder), progress=False)
    assert with_paths.values.tobytes() == matrix.values.tobytes()
    with pytest.raises(UsageError, match="--examples 5 was given, but the store has 6"):
        xs.baseline("lex", str(texts), store=str(path), model=str(tiny_folder), examples=5, progress=False)


# ----------------------------------------------------------------------------------------------- transfer


def test_every_option_of_transfer_is_a_keyword(write_texts: Callable[..., Path], tmp_path: Path) -> None:
    from xsns_stream.cli import transfer as transfer_verb
    from xsns_stream.pipeline import finetune_settings
    from xsns_stream.pipeline.cluster_clients import CLUSTER_OPTIONS

    verb = {parameter.name for parameter in transfer_verb.command.params}
    keywords = {
        *inspect.signature(finetune_settings.transfer_settings).parameters,
        *finetune_settings._HYPER_PARAMETERS,
    } - {"hyper_parameters"}
    only_on_the_command_line = {"as_json", "quiet", "verbose", "dry_run", "output", "metric", "csv_guard"}
    assert verb - only_on_the_command_line - {*CLUSTER_OPTIONS} == keywords
