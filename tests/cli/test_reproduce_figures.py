"""`xsns-stream reproduce figure…`: every figure is made from a few synthetic sentences and a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from xsns_stream.gold import read_scores
from xsns_stream.reproduce.records import read_result

SOURCES = ("en", "fi", "sw", "de")
LOW = ("et", "zu")
TAGS = ("NOUN", "VERB", "ADJ", "ADV", "DET")
SIZES = {"train": 14, "dev": 4, "test": 6}
FIGURES = ("figure1", "figure3", "figure4", "figure5", "figure6", "figure7")
PNG = b"\x89PNG\r\n\x1a\n"


def blocks(lines: list[str]) -> str:
    """Return sentences with a word and its tag per line; the tag of a word is always the same."""
    tagged = [[f"{word} {TAGS[sum(map(ord, word)) % len(TAGS)]}" for word in line.split()] for line in lines]
    return "\n\n".join("\n".join(line) for line in tagged) + "\n\n"


def compounded(line: str) -> str:
    """Return a sentence with a compound of its first words, because subword evenness needs unevenly split words."""
    return f"{line} {''.join(line.split()[:3])}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    """POS tagging in six languages."""
    folder = tmp_path_factory.mktemp("data")
    texts = write_texts(folder / "lines", " ".join((*SOURCES, *LOW)), sum(SIZES.values()))
    (folder / "pos").mkdir()
    for language in (*SOURCES, *LOW):
        lines, start = [*map(compounded, (texts / f"{language}.txt").read_text(encoding="utf-8").splitlines())], 0
        for split, size in SIZES.items():
            part, start = lines[start : start + size], start + size
            (folder / "pos" / f"{language}-{split}.txt").write_text(blocks(part), encoding="utf-8")
    return folder / "pos"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of results for all figures, which share their steps."""
    return tmp_path_factory.mktemp("results") / "out"


@pytest.fixture
def reproduce(xsns: Callable[..., Any], data: Path, out: Path, tiny_folder: Path) -> Callable[..., Any]:
    """Run the command with options that make it fast."""

    def run(target: str, *more: object, folder: Path = out, read: Path = data, **pools: tuple[str, ...]) -> Any:
        sides = {"languages": SOURCES, "low-resource": LOW} | {name.replace("_", "-"): pools[name] for name in pools}
        arguments: list[object] = ["--data", f"pos={read}", "--model", tiny_folder, "--out", folder]
        arguments += [word for name, codes in sides.items() for word in (f"--{name}", ",".join(codes))]
        arguments += ["--examples", 12, "--epochs", 1, "--max-length", 64]
        arguments += ["--seed", 42, "--seed", 7, "--tuning-seed", 1]
        return xsns("reproduce", target, *arguments, *more)

    return run


def result(out: Path, name: str) -> dict[str, Any]:
    document = read_result(out, name)
    assert document is not None
    return document


@pytest.fixture
def made(reproduce: Callable[..., Any], out: Path) -> Callable[[str], dict[str, Any]]:
    """Make a figure unless another test has made it, and return its record."""

    def make(figure: str) -> dict[str, Any]:
        if not (out / f"{figure}.json.gz").exists():
            completed = reproduce(figure)
            assert completed.code == 0, completed.err
            files = " ".join(str(out / f"{figure}.{kind}") for kind in ("md", "json.gz", "png", "svg"))
            assert completed.out == f"{figure}: {files}\n"
        return result(out, figure)

    return make


@pytest.mark.parametrize("figure", FIGURES)
def test_each_figure_is_written_with_its_page(figure: str, made: Callable[[str], Any], out: Path) -> None:
    assert made(figure)["failed"] == {}
    text = (out / f"{figure}.md").read_text(encoding="utf-8")
    assert f"]({figure}.svg)" in text
    assert "## POS tagging" in text or figure == "figure1"
    assert "\n| " in text
    assert "## Commands\n\n```console\nxsns-stream reproduce" in text
    assert "nan" not in text.partition("## Commands")[0].split()
    assert (out / f"{figure}.png").read_bytes().startswith(PNG)
    assert ElementTree.fromstring((out / f"{figure}.svg").read_bytes()).tag.endswith("svg")


def test_a_second_run_changes_nothing(reproduce: Callable[..., Any], made: Callable[[str], Any], out: Path) -> None:
    made("figure5")
    before = {kind: (out / f"figure5.{kind}").read_bytes() for kind in ("md", "json.gz", "png", "svg")}
    again = reproduce("figure5")
    assert again.code == 0
    assert "done after" not in again.err
    assert {kind: (out / f"figure5.{kind}").read_bytes() for kind in before} == before


def test_figure_1_has_the_gold_scores(made: Callable[[str], Any], out: Path) -> None:
    document = made("figure1")["result"]
    (path,) = out.glob("work/*/pos/gold.parquet")
    scores = read_scores(path)
    assert sorted(document["sources"]) == sorted(SOURCES)
    assert document["targets"] == document["sources"]
    expected = scores.restricted(document["sources"], document["targets"]).values
    np.testing.assert_array_equal(np.array(document["scores"]), expected)
    means = np.where(np.eye(4, dtype=bool), 0.0, expected).sum(axis=1) / 3
    assert list(means) == sorted(means, reverse=True)
    assert "The paper's figure shows NER" in (out / "figure1.md").read_text(encoding="utf-8")


def test_figure_3_is_one_fisher_pass(made: Callable[[str], Any], out: Path) -> None:
    document = made("figure3")
    builds = [command for command in document["commands"].values() if " build " in command]
    densities = document["result"]["densities"]
    assert len(builds) == 1
    assert builds[0].count("--density") == len(densities) == 19
    names = [one["name"] for one in document["result"]["tasks"]["pos"]["evaluation"]["predictors"]]
    assert names[:19] == [f"{density:g}" for density in densities]
    assert {"random", "english", "source-mean"} <= set(names)
    assert document["result"]["chance"]["0.15"] == "0.081"


def test_figure_4_fine_tunes_each_set_of_three_once(made: Callable[[str], Any], out: Path) -> None:
    document = made("figure4")["result"]["tasks"]["pos"]
    assert document["targets"] == list(dict.fromkeys(document["targets"]))
    assert {"LEX", "EMB", "NN-Rank", "X-SNS", "3 at random"} <= set(document["picks"])
    for targets in document["picks"].values():
        for target, sets in targets.items():
            assert all(len(one.split("+")) == 3 and target not in one.split("+") for one in sets)
    chosen_sets = {one for targets in document["picks"].values() for sets in targets.values() for one in sets}
    (gold,) = (out / "work" / "figure4").glob("*/pos.mixtures.parquet")
    scores = read_scores(gold)
    assert set(scores.sources) == chosen_sets
    column = document["targets"].index("sw")
    (chosen,) = document["picks"]["X-SNS"]["sw"]
    assert document["scores"]["X-SNS"][column] == pytest.approx(scores[chosen, "sw"])
    # Three sources are chosen from three, so that every predictor chooses the same set.
    assert document["means"]["LEX"]["difference"] == 0.0
    assert document["means"]["LEX"]["level"] == len(document["targets"])


def test_figure_6_shows_the_repeatability_of_sub_networks(made: Callable[[str], Any], out: Path) -> None:
    document = made("figure6")["result"]["tasks"]["pos"]["agreement"]
    few, most = document["12"], document[max(document, key=int)]
    assert few["examples"] == 12.0 < most["examples"] <= sum(SIZES.values())
    assert (few["short"], most["short"], most["languages"]) == (0, 4, 4)
    assert 0 < few["largest"] < 1
    assert most["largest"] is None
    # Both seeds draw all examples, so that only the masked tokens differ.
    assert 0 < few["seeds"] < most["seeds"] < 1
    assert 0 < most["others"] < 1


def test_figure_7_compares_the_chosen_source_with_english(made: Callable[[str], Any], out: Path) -> None:
    document = made("figure7")["result"]["tasks"]["pos"]
    assert document["base"] == "en"
    assert list(document["targets"]) == list(LOW)
    means, targets = document["means"], document["targets"]
    gains = []
    for one in targets.values():
        chosen = one["followed"]["X-SNS"]
        gains.append(sum(one["scores"][source] for source in chosen) / len(chosen) - one["scores"]["en"])
    assert means["X-SNS"]["difference"] == pytest.approx(np.mean(gains))
    assert means["X-SNS"]["better"] == sum(gain > 0 for gain in gains)
    assert means["best source"]["mean"] == pytest.approx(
        np.mean([max(one["scores"].values()) for one in targets.values()])
    )
    assert means["English"]["difference"] is None


def test_without_english_the_largest_source_is_used(reproduce: Callable[..., Any], tmp_path: Path, data: Path) -> None:
    """Sources cannot be ranked for a low-resource target without text: German has only a test set."""
    fewer = tmp_path / "pos"
    fewer.mkdir()
    for path in data.iterdir():
        if not path.name.startswith("en") and path.name not in {"de-train.txt", "de-dev.txt"}:
            (fewer / path.name).write_bytes(path.read_bytes())
    half = (data / "fi-train.txt").read_text(encoding="utf-8").split("\n\n")[:7]
    (fewer / "fi-train.txt").write_text("\n\n".join(half) + "\n\n", encoding="utf-8")
    pools = {"languages": ("fi", "sw"), "low_resource": ("et", "de", "zu")}
    completed = reproduce("figure7", "-q", folder=tmp_path / "out", read=fewer, **pools)
    assert completed.code == 0, completed.err
    text = (tmp_path / "out" / "figure7.md").read_text(encoding="utf-8")
    assert "English is not a source here; the largest source, sw (14 examples), is used instead." in text
    assert "de: there is no text to measure." in text
    document = result(tmp_path / "out", "figure7")["result"]["tasks"]["pos"]
    assert (document["base"], list(document["targets"])) == ("sw", ["et", "zu"])


def test_figures_without_enough_sources_or_targets_are_refused(reproduce: Callable[..., Any], tmp_path: Path) -> None:
    few = {"languages": ("en", "fi", "sw"), "folder": tmp_path / "out"}
    completed = reproduce("figure4", "--dry-run", **few)
    assert completed.code != 0
    assert "error: no task has more than 3 sources to choose 3 from." in completed.err
    assert reproduce("figure7", "--dry-run", **few).code == 0
    none = reproduce("figure7", "--dry-run", **few | {"low_resource": ("en",)})
    assert "error: no task has low-resource targets" in none.err
