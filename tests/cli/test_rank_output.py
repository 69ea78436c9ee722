"""The verb `rank`: files, figures, several targets, explanations, and sentences on the value of a ranking."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import xsns_stream as xs
from tests.support import networks
from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.gold import write_scores
from xsns_stream.io.frames import read_parquet
from xsns_stream.store import open_store
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("sw", "zu", "nan", "rw", "fi", "et")
LAYOUT = networks.make_layout(3, 640)
#: Share of the words of each source that are those of Swahili.
LIKE = {"sw": 1.0, "zu": 0.8, "nan": 0.6, "rw": 0.4, "fi": 0.2, "et": 0.0}
SIMILARITY = "The ranking shows the similarity of sub-networks, which is not a measurement of transfer."
TOY = "The embedded model 'mini' is a toy model: do not use it for real decisions."

InProcess = Callable[..., Any]


def sub_of(language: str, **provenance: Any) -> Any:
    draw = np.random.default_rng([7, *language.encode()])
    swahili, own = networks.make_bits(LAYOUT.size, 7), networks.make_bits(LAYOUT.size, int(draw.integers(1 << 30)))
    bits = np.where(draw.random(swahili.size) < LIKE[language], swahili, own)
    return networks.make_sub(language, 7, 0.15, LAYOUT, bits, **provenance)


def write_store(path: Path, **provenance: Any) -> None:
    store = open_store(path, "a")
    for language in CODES:
        store.write(sub_of(language, **provenance))


def write_gold(path: Path, factor: float) -> None:
    """Write gold scores that rise with the similarity to the target if `factor` is positive, and fall otherwise."""
    cells = np.array([[50 - factor * abs(LIKE[a] - LIKE[b]) for b in CODES] for a in CODES])
    write_scores(TransferScores(CODES, CODES, cells[None, None], "pos", "accuracy", "percent", "made up"), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of six languages, gold scores that agree with it, and gold scores that contradict it."""
    folder = tmp_path_factory.mktemp("output")
    write_store(folder / "xsns.zarr", model="my model", corpus="files(texts)", examples=300)
    write_gold(folder / "good.parquet", 40.0)
    write_gold(folder / "bad.parquet", -40.0)
    return folder


def worth(in_process: InProcess, folder: Path, *arguments: str) -> list[str]:
    completed = in_process(folder, "rank", "--target", "sw", "--json", *arguments)
    assert completed.code == 0, completed.err
    sentences: list[str] = json.loads(completed.out)["result"]["worth"]
    return sentences


# ---------------------------------------------------------------------------------------------------- files


def test_every_format_is_written(folder: Path, in_process: InProcess, tmp_path: Path) -> None:
    names = [tmp_path / f"r{suffix}" for suffix in (".csv", ".tsv", ".json", ".parquet", ".md", ".tex", ".png", ".svg")]
    outputs = [word for name in names for word in ("-o", str(name))]
    completed = in_process(folder, "rank", "--target", "sw", *outputs, "--gold", "good.parquet", "--explain")
    assert completed.code == 0, completed.err
    assert [line for line in completed.err.splitlines() if line.startswith("wrote ")] == [
        f"wrote {name}" for name in names
    ]
    frame = pd.read_csv(tmp_path / "r.csv", keep_default_na=False, na_values=[""])
    assert frame["language"].tolist() == ["zu", "nan", "rw", "fi", "et"]
    assert frame["target"].tolist() == ["sw"] * 5
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5]
    assert frame["name"].tolist()[1] == "Min Nan Chinese"
    result = json.loads((tmp_path / "r.json").read_text())
    assert frame["similarity"].tolist() == [source["similarity"] for source in result["sources"]]
    assert frame["measured"].tolist() == pytest.approx([42.0, 34.0, 26.0, 18.0, 10.0])
    assert pd.read_csv(tmp_path / "r.tsv", sep="\t", keep_default_na=False).shape == frame.shape
    parquet, document = read_parquet(tmp_path / "r.parquet")
    assert parquet["language"].tolist() == frame["language"].tolist()
    assert document is not None
    assert document["kind"] == "source-ranking"
    assert document["sources"] == result["sources"]
    page = (tmp_path / "r.md").read_text()
    assert "**Sources for Swahili (sw), most similar first**" in page
    assert SIMILARITY in page
    assert "Jaccard by layer" in page
    assert r"\begin{tabular}" in (tmp_path / "r.tex").read_text()
    with Image.open(tmp_path / "r.png") as image:
        assert image.size[0] > 1000
    assert "Min Nan Chinese" in (tmp_path / "r.svg").read_text()


def test_files_have_all_sources_unless_top_is_given(folder: Path, in_process: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    for top, lines in (((), 5), (("--top", "2"), 2), (("--top", "0"), 5)):
        assert in_process(folder, "rank", "--target", "sw", "-o", str(path), *top).code == 0
        assert len(path.read_text().splitlines()) == 1 + lines


def test_an_unknown_format_is_refused_before_anything_is_counted(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "rank", "--target", "sw", "-o", "r.npz")
    assert (completed.code, completed.out) == (2, "")
    assert ".parquet" in completed.err


def test_the_command_that_follows_names_the_model(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "rank", "--target", "sw")
    assert completed.err.splitlines()[-1] == (
        "next: xsns-stream transfer --task TASK --data FOLDER --model 'my model' --sources zu,nan --targets sw "
        "-o gold.parquet"
    )


# ----------------------------------------------------------------------------------------- several targets


def test_two_targets_give_two_rankings_and_one_file(folder: Path, in_process: InProcess, tmp_path: Path) -> None:
    completed = in_process(folder, "rank", "--target", "sw,fi", "--json", "-o", str(tmp_path / "r.csv"))
    assert completed.code == 0, completed.err
    result = json.loads(completed.out)["result"]
    assert list(result) == ["rankings"]
    single = [json.loads(in_process(folder, "rank", "--target", code, "--json").out)["result"] for code in ("sw", "fi")]
    assert result["rankings"] == single
    frame = pd.read_csv(tmp_path / "r.csv", keep_default_na=False, na_values=[""])
    assert frame["target"].tolist() == ["sw"] * 5 + ["fi"] * 5
    text = in_process(folder, "rank", "--target", "sw", "--target", "fi")
    assert "Sources for Swahili (sw)" in text.out
    assert "Sources for Finnish (fi)" in text.out
    assert text.err.count("--targets sw,fi") == 1
    every = json.loads(in_process(folder, "rank", "--target", "all", "--json").out)["result"]["rankings"]
    assert [each["target"] for each in every] == list(open_store(folder / "xsns.zarr").languages)


def test_rank_returns_the_rankings_of_several_targets(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    both = xs.rank("xsns.zarr", target=["sw", "fi"])
    assert len(both) == 2
    single = xs.rank("xsns.zarr", target="fi")
    assert both["fi"].to_dict() == single.to_dict()
    assert both.to_frame().groupby("target").size().to_dict() == {"sw": 5, "fi": 5}
    assert both.save(tmp_path / "both.png").exists()
    assert single.save(tmp_path / "fi.svg").exists()
    assert [axes.get_title(loc="left") for axes in both.plot()] == [
        "Sources for Swahili (sw)",
        "Sources for Finnish (fi)",
    ]
    labels = [label.get_text() for label in single.plot().get_yticklabels()]
    assert labels[0].endswith(single.ranking.sources[0].language)
    assert SIMILARITY in single.notes
    assert SIMILARITY in repr(single)
    assert SIMILARITY in single._repr_html_()
    with pytest.raises(LanguageError, match="there is no ranking for 'zu'"):
        both["zu"]
    with pytest.raises(UsageError, match="'sw,fi' is not one target"):
        xs.rank("xsns.zarr", target="sw,fi")
    with pytest.raises(UsageError, match="no target was given"):
        xs.rank("xsns.zarr", target=[])


def test_a_wrong_target_among_several_is_refused(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "rank", "--target", "sw,finish")
    assert (completed.code, completed.out) == (2, "")
    assert "no language 'finish'" in completed.err


# -------------------------------------------------------------------------------------------- explanations


@pytest.mark.parametrize(("top", "count"), [((), 3), (("--top", "4"), 4), (("--top", "1"), 1), (("--top", "0"), 5)])
def test_as_many_sources_are_explained_as_are_shown(
    folder: Path, in_process: InProcess, top: tuple[str, ...], count: int
) -> None:
    completed = in_process(folder, "rank", "--target", "sw", "--explain", *top)
    header = next(line for line in completed.out.splitlines() if line.startswith("layer "))
    assert header.split() == ["layer", *["zu", "nan", "rw", "fi", "et"][:count]]


# ------------------------------------------------------------------------------------------ what it is worth


def test_a_ranking_always_says_that_it_is_not_transfer(folder: Path, in_process: InProcess) -> None:
    assert worth(in_process, folder) == [SIMILARITY]
    assert f"\n{SIMILARITY}\n" in in_process(folder, "rank", "--target", "sw", "-q").out.replace(" \n", "\n")


@pytest.mark.parametrize(
    ("provenance", "expected"),
    [
        ({"examples": 256}, [TOY]),
        (
            {"examples": 256, "corpus": "cldr(babel=2.17.0)"},
            [TOY, "The corpus 'cldr' consists of lists of names, without sentences."],
        ),
        (
            {"examples": 255},
            [
                TOY,
                "255 examples of the target are enough for a first test only (use 256 or more), and split-half was not "
                "measured.",
            ],
        ),
        ({"examples": 32, "stopping": "until-stable(jaccard=0.95)"}, [TOY]),
        ({"examples": 32, "reliability": {"split_half": 0.99}}, [TOY]),
    ],
)
def test_the_limits_of_model_text_and_examples_are_stated(
    tmp_path: Path, in_process: InProcess, provenance: dict[str, Any], expected: list[str]
) -> None:
    write_store(tmp_path / "xsns.zarr", **provenance)
    assert worth(in_process, tmp_path) == [SIMILARITY, *expected]


@pytest.mark.parametrize(
    ("above", "compared"),
    [
        (0.01, "hardly more similar ({half:.3f}) than the target and its first source ({highest:.3f})"),
        (-0.01, "less similar ({half:.3f}) than the target and its first source ({highest:.3f})"),
        (0.0, "as similar ({half:.3f}) as the target and its first source"),
    ],
)
def test_a_note_says_that_the_halves_of_a_target_differ_too_much(
    tmp_path: Path, in_process: InProcess, above: float, compared: str
) -> None:
    write_store(tmp_path / "first.zarr", model="m", examples=512)
    highest = xs.rank(tmp_path / "first.zarr", "sw").ranking.sources[0].similarity
    half = highest + above
    write_store(tmp_path / "xsns.zarr", model="m", examples=512, reliability={"split_half": half})
    [_, sentence] = worth(in_process, tmp_path)
    assert sentence == (
        f"Two halves of the target's own examples are {compared.format(half=half, highest=highest)}: there are too few "
        "examples."
    )


def test_gold_scores_give_the_correlation_and_the_regret_of_the_ranking(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "rank", "--target", "sw", "--gold", "good.parquet", "--json")
    result = json.loads(completed.out)["result"]
    check = result["calibration"]["check"]
    assert (check["targets"], check["unit"]) == (6, "percent")
    assert 0 <= check["regret"] < check["regret_random"]
    assert result["worth"][-1] == (
        f"On the 6 targets with gold scores, the order by similarity has a Spearman correlation of "
        f"{check['spearman']:.2f} and a regret of {check['regret']:.2f} percentage points (a random source: "
        f"{check['regret_random']:.2f})."
    )
    text = in_process(folder, "rank", "--target", "sw", "--gold", "good.parquet")
    assert text.out.splitlines()[0].rstrip() == "Sources for Swahili (sw), most similar first"
    assert text.err.splitlines()[-1] == "next: xsns-stream evaluate --gold good.parquet --predict xsns=xsns.zarr"


def test_notes_on_gold_scores_name_the_store(folder: Path, in_process: InProcess, tmp_path: Path) -> None:
    """The notes are those of `evaluate`, which names each predictor."""
    codes = ("swh", "zu", "nan", "rw", "fi", "ja")
    cells = np.random.default_rng(0).random((1, 1, 6, 6)) * 100
    gold = tmp_path / "g.parquet"
    write_scores(TransferScores(codes, codes, cells, "pos", "accuracy", "percent", "made up"), gold)
    completed = in_process(folder, "rank", "--target", "sw", "--gold", str(gold))
    assert "note: 'xsns.zarr' has other codes than the gold scores: sw for swh.\n" in completed.err
    assert "note: 'xsns.zarr' has no values for ja.\n" in completed.err
    notes = xs.rank(folder / "xsns.zarr", "sw", gold=str(gold)).notes
    assert f"'{folder / 'xsns.zarr'}' has no values for ja." in notes


def test_a_ranking_that_gold_scores_contradict_says_so_in_its_title(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "rank", "--target", "sw", "--gold", "bad.parquet")
    title = completed.out.splitlines()[0].rstrip()
    start = "Sources for Swahili (sw), most similar first; no better than a random order on "
    assert title.startswith(start)
    below, targets = (int(word) for word in title.removeprefix(start).split() if word.isdigit())
    assert targets == 6
    assert 2 * below > targets


def test_an_undefined_similarity_is_drawn_without_a_dot(tmp_path: Path) -> None:
    from xsns_stream.report import ShownRanking, write_rankings
    from xsns_stream.types import RankedSource, SourceRanking

    sources = (RankedSource("zu", 0.5, None, None), RankedSource("fi", math.nan, None, None))
    ranking = ShownRanking(SourceRanking("sw", "jaccard", sources))
    assert write_rankings([ranking], tmp_path / "r.png", {}).exists()
    assert (tmp_path / "r.png").stat().st_size > 1000
