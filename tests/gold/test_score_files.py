"""Round trips of gold scores through files, and errors for other files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold import SCORE_FORMATS, read_scores, summarise, write_scores
from xsns_stream.types.transfer_scores import TransferScores

NAN = float("nan")
# Codes that other programs read as another value: `nan` (not a number) and `no` (false).
CODES = ("sw", "nan", "no", "zh-Hant", "fi")


def scores(cells: object = None, **more: object) -> TransferScores:
    """Return scores of two regimes, three seeds, two sources and five targets; some scores are missing."""
    if cells is None:
        cells = np.random.default_rng(3).uniform(0, 100, (2, 3, 2, 5))
        cells[:, :, 0, 1] = NAN
        cells[1, 2] = NAN
    fields = {
        "sources": ("zh-Hant", "nan"),
        "targets": CODES,
        "task": "pos, ünïversal",
        "metric": "accuracy",
        "unit": "percent",
        "origin": 'made "up", by hand',
        "regimes": ("10000", "630"),
        "seeds": (42, 16, -1),
    }
    return TransferScores(cells=cells, **(fields | more))  # type: ignore[arg-type]


def same(one: TransferScores, two: TransferScores) -> None:
    for name in ("sources", "targets", "task", "metric", "unit", "origin", "regimes", "seeds", "trivial"):
        assert getattr(one, name) == getattr(two, name)
    np.testing.assert_array_equal(one.cells, two.cells)


@pytest.mark.parametrize("suffix", [*SCORE_FORMATS, ".CSV"])
def test_everything_comes_back(tmp_path: Path, suffix: str) -> None:
    path = write_scores(scores(), tmp_path / f"gold{suffix}")
    same(read_scores(path), scores())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SCORE_FORMATS)
def test_trivial_answers_come_back(tmp_path: Path, suffix: str) -> None:
    known = scores(trivial={"sw": 1 / 3, "zh-Hant": 50.0}, notes=("one",))
    read_back = read_scores(write_scores(known, tmp_path / f"gold{suffix}"))
    same(read_back, known)
    assert read_back.notes == ("one",)
    assert read_back.restricted(read_back.sources, ("fi", "sw")).trivial == {"sw": 1 / 3}


@pytest.mark.parametrize("suffix", SCORE_FORMATS)
def test_scores_without_seeds_and_languages_without_scores_round_trip(tmp_path: Path, suffix: str) -> None:
    cells = np.array([[[[1.5, NAN], [NAN, NAN]]]])
    given_scores = scores(cells, sources=("sw", "fi"), targets=("fi", "sw"), regimes=("main",), seeds=())
    same(read_scores(write_scores(given_scores, tmp_path / f"gold{suffix}")), given_scores)


@given(
    cells=arrays(np.float64, (2, 2, 3, 2), elements=st.floats(-1e9, 1e9) | st.just(NAN)),
    seeds=st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=2, unique=True),
    suffix=st.sampled_from(SCORE_FORMATS),
)
def test_every_bit_of_every_score_comes_back(
    tmp_path_factory: pytest.TempPathFactory, cells: np.ndarray, seeds: list[int], suffix: str
) -> None:
    fields = {"sources": ("sw", "fi", "et"), "targets": ("fi", "de"), "unit": "points"}
    written = scores(cells, seeds=tuple(seeds), **fields)
    same(read_scores(write_scores(written, tmp_path_factory.mktemp("gold") / f"g{suffix}")), written)


def test_the_parquet_file_is_long_and_says_what_it_is(tmp_path: Path) -> None:
    path = write_scores(scores(), tmp_path / "gold.parquet")
    frame = pd.read_parquet(path)
    assert list(frame.columns) == ["source", "target", "regime", "seed", "score"]
    assert len(frame) == np.isfinite(scores().cells).sum()
    metadata = pq.read_schema(path).metadata
    document = json.loads(metadata[b"xsns_stream"])
    assert (document["schema_version"], document["kind"], document["unit"]) == (1, "transfer-scores", "percent")
    assert document["targets"] == list(CODES)


def test_files_without_gold_scores_are_errors(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "frame.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    (tmp_path / "table.csv").write_text("source,sw\nfi,1\n")
    (tmp_path / "unnamed.csv").write_text(",,,en\n1,2,3,4\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "matrix.json").write_text('{"coefficient": "jaccard"}')
    (tmp_path / "text.json").write_text("no json")
    for name, message in (
        ("frame.parquet", "was not written by `xsns-stream gold`"),
        ("text.parquet", "is not a readable Parquet file"),
        ("table.csv", "its columns are source, sw"),
        ("unnamed.csv", r"its columns are en, 3 columns without a name\."),
        ("empty.csv", "is empty"),
        ("none.parquet", "there is no file"),
        ("none.csv", "there is no file"),
        ("none.json", "there is no file"),
        ("matrix.json", "is a similarity matrix"),
        ("text.json", "is not valid JSON"),
    ):
        with pytest.raises(XsnsError, match=message):
            read_scores(tmp_path / name)
    with pytest.raises(UsageError, match="is not a file of gold scores") as caught:
        read_scores(tmp_path / "gold.npz")
    assert "gold import" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [("42,", "4.2,"), (",percent,", ",fraction,"), (",percent,", ",per mille,"), ("nan,fi,630,-1,", "nan,no,630,-1,")],
)
def test_a_csv_file_that_was_edited_badly_is_damaged(tmp_path: Path, old: str, new: str) -> None:
    path = write_scores(scores(np.ones((2, 3, 2, 5))), tmp_path / "gold.csv")
    count = -1 if new == ",per mille," else 1
    path.write_text(path.read_text().replace(old, new, count))
    with pytest.raises(XsnsError, match="is damaged"):
        read_scores(path)


def test_a_newer_version_is_not_guessed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsns_stream.gold.score_files.SCHEMA_VERSION", 2)
    path = write_scores(scores(), tmp_path / "gold.parquet")
    monkeypatch.undo()
    with pytest.raises(XsnsError, match="has version 2 of the format"):
        read_scores(path)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        write_scores(scores(), tmp_path / "none" / "gold.parquet")
    with pytest.raises(UsageError, match="does not end in the suffix of a supported format"):
        write_scores(scores(), tmp_path / "gold.xlsx")


# ------------------------------------------------------------------------------------------ summary


def test_the_summary_leaves_a_language_with_itself_apart() -> None:
    cells = np.array([[[[90.0, 50, NAN], [60, 80, 70]]]])
    summary = summarise(scores(cells, sources=("sw", "fi"), targets=("sw", "fi", "et"), regimes=("main",), seeds=()))
    assert summary.missing == (("sw", "et"),)
    assert (summary.lowest, summary.highest, summary.mean, summary.mean_own) == (50, 70, 60, 85)
    assert summary.best_source == {"sw": ("fi", 60), "fi": ("sw", 50), "et": ("fi", 70)}
    assert summary.source_means == {"sw": 50, "fi": 65}


def test_a_mixture_knows_the_languages_it_was_trained_on() -> None:
    cells = np.array([[[[40.0, 50, 30], [90, 85, 20]]]])
    summary = summarise(scores(cells, sources=("et", "fi+sw"), targets=("sw", "fi", "et"), regimes=("main",), seeds=()))
    assert (summary.mean_own, summary.highest) == ((30 + 90 + 85) / 3, 50)
    assert summary.best_source == {"sw": ("et", 40), "fi": ("et", 50), "et": ("fi+sw", 20)}
    assert summary.source_means == {"et": 45, "fi+sw": 20}
    assert summary.source_targets == {"et": 2, "fi+sw": 1}


def test_the_summary_is_undefined_for_scores_of_languages_with_themselves_alone() -> None:
    cells = np.array([[[[90.0]]]])
    summary = summarise(scores(cells, sources=("sw",), targets=("sw",), regimes=("main",), seeds=()))
    assert np.isnan([summary.lowest, summary.highest, summary.mean]).all()
    assert (summary.best_source, summary.source_means, summary.mean_own) == ({}, {}, 90)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("swa,fi,main,,50\nswh,fi,main,,51", "name the same language: swa, swh"),
        ("sw,fi,main,,99999\nen,fi,main,,51", "scores in the unit percent must be between 0 and 100"),
    ],
)
def test_a_file_that_was_edited_is_checked_again(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    sentence = ",pos,accuracy,percent,made up"
    lines = "\n".join(f"{part}{sentence}" for part in line.split("\n"))
    path.write_text(f"source,target,regime,seed,score,task,metric,unit,origin\n{lines}\n")
    with pytest.raises(XsnsError, match=message):
        read_scores(path)
