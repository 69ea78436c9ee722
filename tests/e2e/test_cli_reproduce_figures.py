"""`xsns-stream reproduce figure…`: every figure is made, on a few made-up sentences and a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from xsns_stream.gold import read_scores

SOURCES = ("en", "fi", "sw", "de")
LOW = ("et", "zu")
TAGS = ("NOUN", "VERB", "ADJ", "ADV", "DET")
SIZES = {"train": 14, "dev": 4, "test": 6}
FIGURES = ("figure1", "figure3", "figure4", "figure5", "figure6", "figure7")
PNG = b"\x89PNG\r\n\x1a\n"


def blocks(lines: list[str]) -> str:
    """Sentences with a word and its tag a line; the tag of a word is always the same."""
    tagged = [[f"{word} {TAGS[sum(map(ord, word)) % len(TAGS)]}" for word in line.split()] for line in lines]
    return "\n\n".join("\n".join(line) for line in tagged) + "\n\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    """POS tagging in four languages, and test sets alone in two more."""
    folder = tmp_path_factory.mktemp("data")
    texts = write_texts(folder / "lines", " ".join((*SOURCES, *LOW)), sum(SIZES.values()))
    (folder / "pos").mkdir()
    for language in (*SOURCES, *LOW):
        lines, start = (texts / f"{language}.txt").read_text(encoding="utf-8").splitlines(), 0
        for split, size in SIZES.items():
            if language in SOURCES or split == "test":
                part = lines[start : start + size]
                (folder / "pos" / f"{language}-{split}.txt").write_text(blocks(part), encoding="utf-8")
            start += size
    return folder / "pos"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of results for all figures: they share their steps."""
    return tmp_path_factory.mktemp("results") / "out"


@pytest.fixture
def reproduce(xsns: Callable[..., Any], data: Path, out: Path, tiny_folder: Path) -> Callable[..., Any]:
    """Run the command with options that keep it short."""
    given = ["--data", f"pos={data}", "--model", tiny_folder, "--languages", ",".join(SOURCES)]
    given += ["--low-resource", ",".join(LOW), "--seed", 42, "--seed", 7, "--tuning-seed", 1]
    given += ["--examples", 4, "--epochs", 1, "--max-length", 64]
    return lambda target, *more, folder=out: xsns("reproduce", target, *given, "--out", folder, *more)


def result(out: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    return document


@pytest.mark.parametrize("figure", FIGURES)
def test_each_figure(figure: str, reproduce: Callable[..., Any], out: Path) -> None:
    done = reproduce(figure)
    assert done.code == 0, done.err
    assert done.out == f"{figure}: {' '.join(str(out / f'{figure}.{kind}') for kind in ('md', 'json', 'png', 'svg'))}\n"
    text = (out / f"{figure}.md").read_text(encoding="utf-8")
    assert f"]({figure}.svg)" in text
    assert "## POS tagging" in text or figure == "figure1"
    assert "\n| " in text
    assert "## Commands\n\n```console\nxsns-stream reproduce" in text
    assert "nan" not in text.partition("## Commands")[0].split()
    assert result(out, figure)["failed"] == {}
    assert (out / f"{figure}.png").read_bytes().startswith(PNG)
    drawn = (out / f"{figure}.svg").read_bytes()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    again = reproduce(figure)
    assert (again.code, again.out) == (0, done.out)
    assert "done after" not in again.err
    assert (out / f"{figure}.svg").read_bytes() == drawn
    assert (out / f"{figure}.md").read_text(encoding="utf-8") == text


def test_figure_1_holds_the_gold_scores(reproduce: Callable[..., Any], out: Path) -> None:
    reproduce("figure1", "-q")
    found = result(out, "figure1")["result"]
    (path,) = out.glob("work/*/pos/gold.parquet")
    scores = read_scores(path)
    assert sorted(found["sources"]) == sorted(SOURCES)
    assert found["targets"] == found["sources"]
    expected = scores.restricted(found["sources"], found["targets"]).values
    np.testing.assert_array_equal(np.array(found["scores"]), expected)
    means = np.where(np.eye(4, dtype=bool), 0.0, expected).sum(axis=1) / 3
    assert list(means) == sorted(means, reverse=True)
    assert "The paper's figure is of NER" in (out / "figure1.md").read_text(encoding="utf-8")


def test_figure_3_is_one_fisher_pass(reproduce: Callable[..., Any], out: Path) -> None:
    reproduce("figure3", "-q")
    document = result(out, "figure3")
    builds = [command for command in document["commands"].values() if " build " in command]
    densities = document["result"]["densities"]
    assert len(builds) == 1
    assert builds[0].count("--density") == len(densities) == 19
    names = [one["name"] for one in document["result"]["tasks"]["pos"]["evaluation"]["predictors"]]
    assert names[:19] == [f"{density:g}" for density in densities]
    assert {"random", "english", "source-mean"} <= set(names)
    assert document["result"]["chance"]["0.15"] == "0.081"


def test_figure_4_fine_tunes_each_set_of_three_once(reproduce: Callable[..., Any], out: Path) -> None:
    reproduce("figure4", "-q")
    found = result(out, "figure4")["result"]["tasks"]["pos"]
    assert found["targets"] == list(dict.fromkeys(found["targets"]))
    assert {"LEX", "EMB", "NN-Rank", "X-SNS", "3 at random"} <= set(found["picks"])
    for targets in found["picks"].values():
        for target, sets in targets.items():
            assert all(len(one.split("+")) == 3 and target not in one.split("+") for one in sets)
    picked = {one for targets in found["picks"].values() for sets in targets.values() for one in sets}
    scores = read_scores(out / "work" / "figure4" / "pos.mixtures.parquet")
    assert set(scores.sources) == picked
    place = found["targets"].index("sw")
    (chosen,) = found["picks"]["X-SNS"]["sw"]
    assert found["scores"]["X-SNS"][place] == pytest.approx(scores[chosen, "sw"])
    # Three of three others: whatever a predictor says, it picks the same.
    assert found["means"]["LEX"]["difference"] == 0.0
    assert found["means"]["LEX"]["level"] == len(found["targets"])


def test_figure_6_says_how_repeatable_sub_networks_are(reproduce: Callable[..., Any], out: Path) -> None:
    reproduce("figure6", "-q")
    found = result(out, "figure6")["result"]["tasks"]["pos"]["agreement"]
    four, most = found["4"], found[max(found, key=int)]
    assert four["examples"] == 4.0 < most["examples"] <= sum(SIZES.values())
    assert (four["short"], most["short"], most["languages"]) == (0, 4, 4)
    assert 0 < four["largest"] < 1
    assert most["largest"] is None
    # Two seeds draw all there is: only what is masked differs.
    assert 0 < four["seeds"] < most["seeds"] < 1
    assert 0 < most["others"] < 1


def test_figure_7_holds_the_picked_source_against_english(reproduce: Callable[..., Any], out: Path) -> None:
    reproduce("figure7", "-q")
    found = result(out, "figure7")["result"]["tasks"]["pos"]
    assert found["base"] == "en"
    assert list(found["targets"]) == list(LOW)
    means, targets = found["means"], found["targets"]
    gains = []
    for one in targets.values():
        picked = one["followed"]["X-SNS"]
        gains.append(sum(one["scores"][source] for source in picked) / len(picked) - one["scores"]["en"])
    assert means["X-SNS"]["difference"] == pytest.approx(np.mean(gains))
    assert means["X-SNS"]["better"] == sum(gain > 0 for gain in gains)
    assert means["best source"]["mean"] == pytest.approx(
        np.mean([max(one["scores"].values()) for one in targets.values()])
    )
    assert means["English"]["difference"] is None


def test_without_english_the_largest_source_stands_in(
    reproduce: Callable[..., Any], tmp_path: Path, data: Path
) -> None:
    fewer = tmp_path / "pos"
    fewer.mkdir()
    for path in data.iterdir():
        if not path.name.startswith(("en", "de")):
            (fewer / path.name).write_bytes(path.read_bytes())
    half = (data / "fi-train.txt").read_text(encoding="utf-8").split("\n\n")[:7]
    (fewer / "fi-train.txt").write_text("\n\n".join(half) + "\n\n", encoding="utf-8")
    done = reproduce("figure7", "--data", f"pos={fewer}", "--languages", "fi,sw", "-q", folder=tmp_path / "out")
    assert done.code == 0, done.err
    text = (tmp_path / "out" / "figure7.md").read_text(encoding="utf-8")
    assert "English is no source here: the largest, sw, 14 examples, stands in its place." in text
    assert result(tmp_path / "out", "figure7")["result"]["tasks"]["pos"]["base"] == "sw"


def test_what_the_data_do_not_allow(reproduce: Callable[..., Any], tmp_path: Path) -> None:
    few = ("--languages", "en,fi,sw", "--dry-run")
    left = reproduce("figure4", *few, folder=tmp_path / "out")
    assert left.code != 0
    assert "error: no task has more than 3 sources to pick 3 from." in left.err
    assert reproduce("figure7", *few, folder=tmp_path / "out").code == 0
