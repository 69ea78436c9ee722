"""The options `--gold` and `--predict`, and the functions that open gold scores and predictors."""

from typing import Any

import click
import numpy as np
import pytest

from tests.support import networks
from tests.support.runners import Runner
from xsns_stream.align_scores import join
from xsns_stream.cli.option_groups import gold_options, predict_option
from xsns_stream.errors import LanguageError, StoreError, UsageError, XsnsError
from xsns_stream.gold import write_scores
from xsns_stream.pipeline.events import NoteLog
from xsns_stream.pipeline.predictors import load_gold, load_predictors
from xsns_stream.report import write_matrix
from xsns_stream.similarity import count_overlaps_by_seed, similarity
from xsns_stream.store import open_store
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.transfer_scores import TransferScores

SOURCES, TARGETS = ("en", "de", "zh", "ja"), ("sw", "fi", "en")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Gold scores with two regimes, a store of two seeds that lacks a row, and a matrix."""
    folder = tmp_path_factory.mktemp("predictors")
    store = open_store(folder / "mine.zarr", "a")
    for language in ("sw", "en", "de", "fi", "yo", "zh-Hant"):
        for seed in (7, 8):
            if (language, seed) != ("fi", 8):
                store.write(networks.make_sub(language, seed))
    write_scores(gold(), folder / "gold.parquet")
    write_matrix(SimilarityMatrix(SOURCES, TARGETS, np.eye(4, 3), "l2v"), folder / "l2v.csv")
    return folder


def gold() -> TransferScores:
    cells = np.random.default_rng(1).uniform(1, 90, (2, 1, 4, 3))
    return TransferScores(SOURCES, TARGETS, cells, "pos", "accuracy", "percent", "us", regimes=("10000", "630"))


def parse(*arguments: str) -> Any:
    """Return the options that a verb receives, or the error."""
    received: dict[str, Any] = {}

    @click.command()
    @gold_options
    @predict_option
    def verb(**options: Any) -> None:
        received.update(options)

    completed = Runner().invoke(verb, ["--gold", "gold.parquet", *arguments])
    return completed.exception if isinstance(completed.exception, XsnsError) else received


# ------------------------------------------------------------------------------------------ options


def test_predictors_have_names():
    predictors = parse("--predict", "x=a/b.zarr", "--predict", "data/l2v.parquet", "--predict", "s3://b/c=d/e.zarr/")
    assert predictors["predictors"] == {"x": "a/b.zarr", "l2v": "data/l2v.parquet", "e": "s3://b/c=d/e.zarr/"}
    assert (predictors["gold"], predictors["regime"], predictors["sources"], predictors["targets"]) == (
        "gold.parquet",
        "main",
        (),
        (),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["=a.csv"], "has no name"),
        (["x="], "has no path"),
        (["x=a.csv", "x=b.csv"], "two predictors are called 'x': 'a.csv' and 'b.csv'"),
        (["one/l2v.csv", "two/l2v.parquet"], "two predictors are called 'l2v'"),
        (["x=memory://store"], "is lost when the command ends"),
    ],
)
def test_invalid_names_of_predictors_are_refused(arguments, message):
    error = parse(*(part for argument in arguments for part in ("--predict", argument)))
    assert isinstance(error, UsageError)
    assert message in error.message


def test_the_first_regime_is_the_main_one(folder):
    log = NoteLog(None)
    for regime in (None, "main"):
        assert load_gold(folder / "gold.parquet", regime, log).regimes == ("10000",)
    assert load_gold(folder / "gold.parquet", "630", log).regimes == ("630",)
    with pytest.raises(UsageError, match="no regime 'big'"):
        load_gold(folder / "gold.parquet", "big", log)


# ------------------------------------------------------------------------------------------ opening


def test_a_store_is_counted_for_the_gold_s_languages(folder):
    log = NoteLog(None)
    paths = {"xsns": str(folder / "mine.zarr"), "l2v": str(folder / "l2v.csv")}
    predictors = load_predictors(paths, gold(), coefficient="dice", on_event=log)
    assert list(predictors) == ["xsns", "l2v"]
    store, table = predictors.values()
    # Japanese is not in the store, Finnish lacks a seed, and Yoruba is not among the scores.
    assert (store.sources, store.targets) == (("en", "de", "zh-Hant"), ("sw", "en"))
    assert (store.coefficient, store.seeds, table.coefficient) == ("dice", (7, 8), "l2v")
    assert "'xsns': languages that lack a seed are left out: fi." in log.notes
    rows = open_store(folder / "mine.zarr")
    expected = similarity(count_overlaps_by_seed(rows, languages=["sw", "en", "de", "zh-Hant"]), "dice")
    assert store["de", "sw"] == expected["de", "sw"]
    joined = join(gold(), predictors)
    assert joined.candidates.sum() == 5
    assert any("zh-Hant for zh" in note for note in joined.notes)
    assert any("'xsns' has no values for" in note and "ja" in note for note in joined.notes)


def test_seeds_of_a_store_can_be_chosen(folder):
    (predictors,) = load_predictors({"x": folder / "mine.zarr"}, gold(), on_event=NoteLog(None), seeds=(7,)).values()
    assert (predictors.seeds, predictors.targets) == ((7,), ("sw", "fi", "en"))
    with pytest.raises(UsageError, match="has no seed 9"):
        load_predictors({"x": folder / "mine.zarr"}, gold(), on_event=NoteLog(None), seeds=(9,))


def test_predictors_that_cannot_be_opened_are_errors(folder, tmp_path):
    for path, kind in (
        (tmp_path / "none.csv", XsnsError),
        (tmp_path, StoreError),
        (folder / "gold.parquet", XsnsError),
    ):
        with pytest.raises(kind):
            load_predictors({"x": path}, gold(), on_event=NoteLog(None))
    other = TransferScores(("ru",), ("sw",), np.ones((1, 1, 1, 1)), "pos", "accuracy", "percent", "us")
    with pytest.raises(UsageError, match="'x' and the gold scores have no source in common") as caught:
        load_predictors({"x": folder / "mine.zarr"}, other, on_event=NoteLog(None))
    assert not isinstance(caught.value, LanguageError)
    assert "sw" in caught.value.hint
