"""Numbers, flags and paths that scripts give to the public functions: converted to Python's own, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import xsns_stream as xs
from tests.support import networks
from xsns_stream.errors import IncompatibleError, UsageError, XsnsError
from xsns_stream.models import LoadedModel
from xsns_stream.pipeline.arguments import flag, real_number, several, strings, whole_number

OPTIONS: dict[str, Any] = {"examples": 4, "max_length": 16, "progress": False}
TEXTS = {"sw": [f"Habari namba {n}." for n in range(4)], "fi": [f"Uutinen {n}." for n in range(4)]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> xs.SubNetworkStore:
    """A store of three languages with two seeds."""
    layout = networks.make_layout(2, 640)
    store = xs.open_store(tmp_path_factory.mktemp("arguments") / "s.zarr", "a")
    for number, (language, seed) in enumerate((language, seed) for language in ("en", "fi", "sw") for seed in (1, 2)):
        store.write(networks.make_sub(language, seed, 0.15, layout, networks.make_bits(layout.size, number)))
    return store


def test_numbers_of_other_libraries_become_numbers_of_python() -> None:
    assert type(whole_number(np.int64(3), "seeds")) is int
    assert type(whole_number(torch.tensor(3), "seeds")) is int
    assert (real_number(np.float32(0.15), "densities"), real_number(1, "densities")) == (0.15, 1)
    assert type(real_number(np.float64(0.15), "densities")) is float
    assert (flag(np.True_, "progress"), flag(0, "progress")) == (True, False)
    assert (several("sw", "languages"), several(range(2), "seeds")) == (["sw"], [0, 1])
    assert several(np.int64(2), "seeds") == [2]
    assert strings("[a-z]", "include") == ("[a-z]",)


@pytest.mark.parametrize("value", ["8", 8.0, 8.5, True, None, [8]])
def test_what_is_not_an_integer_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="examples must be an integer, not"):
        whole_number(value, "examples")


@pytest.mark.parametrize("value", ["0.15", True, None, [0.15], 1j])
def test_what_is_not_a_number_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="density must be a number, not"):
        real_number(value, "density")


@pytest.mark.parametrize("value", ["no", "", None, 2, [True]])
def test_what_is_not_a_flag_is_refused(value: object) -> None:
    with pytest.raises(UsageError, match="progress must be True or False, not"):
        flag(value, "progress")


# ------------------------------------------------------------------------------------------------- build


def test_a_build_takes_numbers_of_numpy(loaded: LoadedModel, tmp_path: Path) -> None:
    numbers = {
        "seeds": np.array([1, 2]),
        "densities": np.float32(0.15),
        "examples": np.int64(4),
        "parts": np.int64(2),
        "batch_size": np.int32(2),
        "max_length": np.int64(16),
        "memory": 1.5e9,
    }
    store = xs.build(TEXTS, loaded, tmp_path / "s.zarr", progress=False, **numbers)  # type: ignore[call-overload]
    assert (store.seeds, store.densities) == ((1, 2), (0.15,))
    assert xs.build(TEXTS, loaded, store, seeds=[1, 2], parts=2, **OPTIONS).seeds == (1, 2)
    settings = xs.BuildSettings(xs.open_corpus(TEXTS), ("sw",), seeds=(np.int64(3),), examples=4)  # type: ignore[arg-type]
    assert type(settings.seeds[0]) is int


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("seeds", "42", "seeds must be an integer, not '42'."),
        ("seeds", True, "seeds must be an integer, not True."),
        ("seeds", None, "seeds must not be None."),
        ("seeds", [], "no seed was given."),
        ("densities", "0.15", "densities must be a number, not '0.15'."),
        ("examples", 8.0, "examples must be an integer, not 8.0."),
        ("parts", "4", "parts must be an integer, not '4'."),
        ("batch_size", "all", "batch_size must be an integer, not 'all'."),
        ("max_length", None, "max_length must be an integer, not None."),
        ("mask_rate", "0.2", "mask_rate must be a number, not '0.2'."),
        ("memory", True, "memory must be an integer, not True."),
        ("until_stable", "0.9", "jaccard must be a number, not '0.9'."),
        ("split_half", "yes", "split_half must be True or False, not 'yes'."),
        ("checkpoint", "no", "checkpoint must be True or False, not 'no'."),
        ("progress", "no", "progress must be True or False, not 'no'."),
        ("include", 1, "include must be a string or a list of strings, not 1."),
    ],
)
def test_invalid_options_of_a_build_are_refused(
    option: str, value: object, message: str, loaded: LoadedModel, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        xs.build(TEXTS, loaded, tmp_path / "s.zarr", **(OPTIONS | {option: value}))
    assert caught.value.message == message
    assert not (tmp_path / "s.zarr").exists()


def test_paths_are_taken_as_path_and_as_string(texts: Path, tiny_folder: Path, tmp_path: Path) -> None:
    first = xs.build(texts, tiny_folder, tmp_path / "first.zarr", languages="sw", **OPTIONS)
    second = xs.build(str(texts), str(tiny_folder), str(tmp_path / "second.zarr"), languages="sw", **OPTIONS)
    assert (first.read("sw", 42, 0.15).bits == second.read("sw", 42, 0.15).bits).all()
    assert first.experiment == second.experiment


def test_other_stores_are_refused(loaded: LoadedModel) -> None:
    with pytest.raises(UsageError, match="the store is of the type NoneType"):
        xs.build(TEXTS, loaded, None, **OPTIONS)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="the store is of the type DataFrame"):
        xs.rank(pd.DataFrame(), "sw")  # type: ignore[arg-type]


def test_a_loaded_model_that_was_trained_is_not_added_to_its_store(tiny_folder: Path, tmp_path: Path) -> None:
    """`xs.build` is called with settings and with keyword arguments."""
    loaded = xs.load_model(str(tiny_folder))
    store = xs.build({"sw": TEXTS["sw"]}, loaded, tmp_path / "s.zarr", **OPTIONS)
    with torch.no_grad():
        loaded.model.roberta.encoder.layer[0].output.dense.weight.mul_(1.1)
    with pytest.raises(IncompatibleError, match=r"model is 'tiny' in the store|weights_digest"):
        xs.build(TEXTS, loaded, store, **OPTIONS)
    settings = xs.BuildSettings(xs.open_corpus(TEXTS), ("fi",), examples=4)
    with pytest.raises(IncompatibleError, match=r"model is 'tiny' in the store|weights_digest"):
        xs.build(settings, loaded, store)
    assert store.languages == ("sw",)


def test_mixed_precision_and_inference_mode_of_the_caller_change_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    loaded = xs.load_model(str(tiny_folder))
    expected = xs.build(TEXTS, loaded, tmp_path / "plain.zarr", **OPTIONS)
    for name, mode in (
        ("autocast", torch.autocast("cpu", torch.bfloat16)),
        ("inference", torch.inference_mode()),
        ("no-grad", torch.no_grad()),
    ):
        with mode:
            store = xs.build(TEXTS, loaded, tmp_path / f"{name}.zarr", **OPTIONS)
        for language in TEXTS:
            assert (store.read(language, 42, 0.15).bits == expected.read(language, 42, 0.15).bits).all(), name


def test_a_task_head_without_labels_is_explained(tiny_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(tiny_folder, num_labels=3)
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    arguments = {"model": model, "tokenizer": tokenizer, "store": tmp_path / "s.zarr"} | OPTIONS
    with pytest.raises(UsageError, match="has a head for token-classification, and the text is read without labels"):
        xs.build(TEXTS, **arguments)
    with pytest.raises(UsageError, match="texts in memory have no labels, which the objective needs"):
        xs.build(TEXTS, objective="token-classification", **arguments)


# ------------------------------------------------------------------------- rank, similarity, evaluate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": -1}, "top must be at least 0, not -1"),
        ({"top": 2.5}, "top must be an integer, not 2.5"),
        ({"sources_k": -1}, "sources_k must be at least 1, not -1"),
        ({"seeds": "42"}, "seeds must be an integer, not '42'"),
        ({"density": "0.15"}, "density must be a number, not '0.15'"),
        ({"sources": 3}, "the language 3 is not a string"),
        ({"gold": 3}, "the gold scores are of the type int"),
    ],
)
def test_invalid_options_of_a_ranking_are_refused(
    store: xs.SubNetworkStore, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(XsnsError, match=message):
        xs.rank(store, "sw", **options)


@pytest.mark.parametrize(
    ("target", "message"), [(None, "no target was given"), (3, "is not a string"), ([3], "is not a string")]
)
def test_a_target_that_is_not_a_string_is_refused(store: xs.SubNetworkStore, target: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        xs.rank(store, target)


@pytest.mark.parametrize("labelled", [True, False])
def test_gold_scores_may_be_a_frame_of_sources_and_targets(store: xs.SubNetworkStore, labelled: bool) -> None:
    """The frame is as pandas reads a spreadsheet: the sources are the index or the first column."""
    names = ["Swahili", "Finnish", "German"]
    rows = [["90,5%", "40%", "41%"], ["42%", "88%", "50%"], ["40%", "49%", "91%"]]
    frame = pd.DataFrame(rows, index=pd.Index(names, name="Source"), columns=["sw", "fi", "de"])
    gold = frame if labelled else frame.reset_index()
    events: list[Any] = []
    result = xs.evaluate({"xsns": store}, gold=gold, resamples=100, on_event=events.append)
    assert result.settings.unit == "percent"
    assert any("recognised by name: Swahili = sw" in str(event) for event in events)
    with pytest.raises(XsnsError, match="the frame of gold scores") as caught:
        xs.evaluate({"xsns": store}, gold=pd.DataFrame({"a": [1, 2], "b": [3, 4]}))
    assert "/tmp" not in str(caught.value)


def test_rows_are_selected_by_numbers_of_numpy(store: xs.SubNetworkStore) -> None:
    selected = xs.similarity(store, seeds=np.int64(2), density=np.float32(0.15))
    assert (selected.values == xs.similarity(store, seeds=2).values).all()
    report = xs.rank(store, "sw", seeds=np.array([1, 2]), density=np.float64(0.15), top=np.int64(1))  # type: ignore[arg-type]
    assert report.ranking.seeds == (1, 2)
    with pytest.raises(UsageError, match="sample must be a number"):
        xs.similarity(store, sample="0.5")  # type: ignore[call-overload]


@pytest.mark.parametrize("function", [xs.evaluate, xs.regress])
@pytest.mark.parametrize("predictors", ["xsns.zarr", None, [1], {1: "x.csv"}, {"": "x.csv"}])
def test_predictors_without_names_are_refused(function: Any, predictors: object) -> None:
    with pytest.raises(UsageError, match=r"the predictors are of the type|is not a name of a predictor"):
        function(predictors, pd.DataFrame({"source": ["sw"], "target": ["fi"], "score": [50.0]}))


def test_an_empty_frame_of_gold_scores_is_refused(store: xs.SubNetworkStore) -> None:
    with pytest.raises(XsnsError, match="the frame of gold scores has no row"):
        xs.evaluate({"xsns": store}, pd.DataFrame(columns=["source", "target", "score"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"seed": None}, "seed must be an integer, not None"),
        ({"resamples": "100"}, "resamples must be an integer, not '100'"),
        ({"ceiling": 3}, "the ceiling is of the type int"),
    ],
)
def test_invalid_options_of_an_evaluation_are_refused(
    store: xs.SubNetworkStore, options: dict[str, Any], message: str
) -> None:
    gold = pd.DataFrame({"source": ["sw"], "target": ["fi"], "score": [50.0]})
    with pytest.raises(UsageError, match=message):
        xs.evaluate({"xsns": store}, gold, **options)


# ------------------------------------------------------------------------------------------- results


def test_reprs_are_short(store: xs.SubNetworkStore, loaded: LoadedModel) -> None:
    assert repr(store).endswith("s.zarr' languages=3, seeds=2, densities=1>")
    assert repr(loaded) == "<LoadedModel 'tiny': XLMRobertaForMaskedLM for masked-lm>"
    sw = store.read("sw", 1, 0.15)
    assert repr(sw) == f"<SubNetwork sw (seed 1): {sw.cardinality:,} of 1,280 parameters>"
    both = sw & store.read("fi", 1, 0.15)
    assert repr(both) == f"<ParameterSet {both.cardinality:,} of 1,280 parameters>"
    report = xs.rank(store, "sw")
    assert repr(report).startswith("Sources for sw, by jaccard\nlanguage  similarity")
    assert len(repr(report)) < 500
    assert len(repr(xs.shared(store, "sw,fi")).splitlines()) == 5


def test_few_examples_are_noted_once_where_no_language_has_more(loaded: LoadedModel, tmp_path: Path) -> None:
    store = xs.build(TEXTS, loaded, tmp_path / "s.zarr", **(OPTIONS | {"examples": 64}))
    note = "few examples make similarities unreliable: no language has more than 4 of 64 examples."
    assert xs.rank(store, "sw", explain=True).notes.count(note) == 1
    assert xs.similarity(store).notes == (note,)


def test_an_interrupted_build_can_be_continued(loaded: LoadedModel, tmp_path: Path) -> None:
    """An exception of the caller's handler ends the build. Committed rows stay, and all locks are released."""
    from xsns_stream.pipeline.events import RowCommitted

    def interrupt(event: object) -> None:
        if isinstance(event, RowCommitted):
            raise KeyboardInterrupt

    flags = [parameter.requires_grad for parameter in loaded.model.parameters()]
    with pytest.raises(KeyboardInterrupt):
        xs.build(TEXTS, loaded, tmp_path / "s.zarr", interrupt, **OPTIONS)
    assert xs.open_store(tmp_path / "s.zarr").languages == ("fi",)
    assert [parameter.requires_grad for parameter in loaded.model.parameters()] == flags
    assert xs.build(TEXTS, loaded, tmp_path / "s.zarr", **OPTIONS).languages == ("fi", "sw")


def test_baselines_take_paths_numbers_of_numpy_and_open_stores(tiny_folder: Path, tmp_path: Path) -> None:
    """Mixed precision of the caller does not change the baselines."""
    options: dict[str, Any] = {"model": tiny_folder, "max_length": np.int64(16), "progress": False}
    matrix = xs.baseline("emb", TEXTS, examples=np.int64(4), seeds=np.array([42]), **options)
    with torch.autocast("cpu", torch.bfloat16):
        same = xs.baseline("emb", TEXTS, examples=4, seeds=42, **options)
    assert np.array_equal(matrix.values, same.values)
    with pytest.raises(UsageError, match="examples must be an integer, not '4'"):
        xs.baseline("emb", TEXTS, examples="4", **options)
    loaded = xs.load_model(str(tiny_folder))
    store = xs.build(TEXTS, loaded, tmp_path / "s.zarr", **OPTIONS)
    matrices = [
        xs.baseline("lex", TEXTS, store=each, model=loaded, progress=False) for each in (store, str(store.path))
    ]
    assert np.array_equal(matrices[0].values, matrices[1].values)


# ------------------------------------------------------------------------------------------- transfer


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    folder = tmp_path / "tagged"
    for language in ("sw", "fi"):
        for split in ("train", "dev", "test"):
            path = folder / language / f"{split}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"a{n}\tNOUN\nb{n}\tVERB\n\n" for n in range(6)), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": "1"}, "epochs must be an integer, not '1'"),
        ({"learning_rate": "1e-5"}, "learning_rate must be a number, not '1e-5'"),
        ({"batch_size": 2.5}, "batch_size must be an integer, not 2.5"),
        ({"seeds": "1"}, "seeds must be an integer, not '1'"),
        ({"limit": 2.5}, "limit must be an integer, not 2.5"),
        ({"model": 3}, "the model is of the type int"),
        ({"sources": 3}, "the language 3 is not a string"),
        ({"data": None}, "the labelled data are of the type NoneType"),
        ({"data": {"sw": ["a"]}}, "the labelled data are of the type dict"),
    ],
)
def test_invalid_options_of_fine_tuning_are_refused(
    tagged: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    arguments = {
        "data": tagged,
        "task": "pos",
        "output": tmp_path / "gold.csv",
        "sources": "sw",
        "progress": False,
    } | options
    with pytest.raises(XsnsError, match=message):
        xs.transfer(**arguments)
    assert not (tmp_path / "gold.csv").exists()
