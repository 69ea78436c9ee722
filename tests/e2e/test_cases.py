"""Small inputs of the kinds that people bring: what each of these folders must give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.paths import SHARED_CASES as CASES
from xsns_stream.corpora import open_corpus, open_task
from xsns_stream.gold import read_scores
from xsns_stream.store import open_store

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the project"),
]


@pytest.fixture
def built(tmp_path: Path, xsns: Callable[..., Any], tiny_folder: Path) -> Callable[..., Any]:
    """Build rows of four examples; return exit code, stdout, stderr and the languages of the store."""

    def call(*corpus: object, name: str = "x", options: tuple[str, ...] = ()) -> tuple[Any, tuple[str, ...]]:
        store = tmp_path / f"{name}.zarr"
        given = [part for each in corpus for part in ("--corpus", each)]
        settings = ("--model", tiny_folder, "--examples", "4", "--max-length", "64", "--store", store)
        done = xsns("build", *given, *settings, *options)
        return done, open_store(store, "r").languages if store.exists() else ()

    return call


def said(corpus: Path, language: str, **options: str) -> set[str]:
    return {each.sentence() for each in open_corpus(str(corpus), **options).sample(language, 100, 0).examples}


def test_words(built: Callable[..., Any], tmp_path: Path) -> None:
    found = []
    for suffix in ("conllu", "jsonl", "txt"):
        corpus = f"en={CASES / 'words' / f'en.{suffix}'}"
        done, languages = built(corpus, name=suffix)
        assert (done.code, languages) == (0, ("en",)), done.err
        row = open_store(tmp_path / f"{suffix}.zarr", "r").read("en")
        found.append((row.provenance.corpus_digest, row.bits.tobytes()))
        assert open_corpus(corpus).sample("en", 4, 0).examples[0].sentence() == "Hello world"
    # The words of a list have another key than the line, so that other tokens are hidden; the tokens are the same.
    assert found[0] == found[2]


def test_withheld(built: Callable[..., Any]) -> None:
    done, languages = built(CASES / "withheld")
    assert done.code == 3
    assert languages == ("en",)
    assert "the text of ar.conllu is withheld" in done.err
    assert any("_" in text for text in said(CASES / "withheld", "en"))


def test_from_zero(built: Callable[..., Any]) -> None:
    done, languages = built(CASES / "from-zero")
    assert (done.code, languages) == (0, ("en",)), done.err
    assert said(CASES / "from-zero", "en") == {"Her visit to Tuvalu"}


def test_left_out(built: Callable[..., Any]) -> None:
    done, languages = built(CASES / "left-out")
    assert done.code == 0
    assert languages == ("de", "en", "sw", "yo")
    for name in ("bn_rom.txt", "fi.additional.txt", "xx.txt", "zh_classical.txt"):
        assert f"{name} (" in done.err
    shards = sorted((CASES / "left-out").glob("de-*.parquet"))
    whole = open_corpus(str(CASES / "left-out")).sample("de", 1000, 0)
    assert whole.counts.read == sum(open_corpus(f"de={shard}").sample("de", 1, 0).counts.read for shard in shards)


def test_encodings(built: Callable[..., Any]) -> None:
    done, languages = built(CASES / "encodings")
    assert done.code == 3
    assert languages == ("fr",)
    assert "sw.txt is UTF-16, not UTF-8." in done.err
    assert "ru.txt seems to be UTF-16LE, not UTF-8" in done.err
    assert "nl.txt is not text" in done.err
    assert not any("\r" in text for text in said(CASES / "encodings", "fr"))


def test_codes(built: Callable[..., Any]) -> None:
    done, languages = built(CASES / "codes")
    assert done.code == 3
    assert languages == ("sw",)
    assert "both aka_Latn.txt and twi_Latn.txt are language 'ak'. choose one with a further --corpus ak=" in done.err
    done, languages = built(CASES / "codes", f"ak={CASES / 'codes' / 'twi_Latn.txt'}", name="chosen")
    assert (done.code, languages) == (0, ("ak", "sw")), done.err


def test_ud_layout(built: Callable[..., Any]) -> None:
    layout = CASES / "ud-layout"
    done, languages = built(layout)
    assert (done.code, languages) == (0, ("en", "nl")), done.err
    assert "treebanks of one language are joined in this order: en (en_a, en_b)." in done.err
    parts = [said(layout, "en", split="train")]
    parts += [
        {each.sentence() for each in open_corpus(f"en={path}").sample("en", 100, 0).examples}
        for path in sorted(layout.glob("UD_English-*/*.conllu"))
    ]
    assert parts[0] == parts[1] | parts[2]
    assert open_task(str(layout), "pos").languages("train") == ("en", "nl")


def test_splits(built: Callable[..., Any]) -> None:
    done, languages = built(CASES / "splits")
    assert (done.code, languages) == (1, ())
    assert "are named by split, without their language: dev.txt, test.txt, train.txt." in done.err


@pytest.mark.parametrize("name", ["scores.csv", "semicolons.csv"])
def test_names(name: str, xsns: Callable[..., Any], tmp_path: Path) -> None:
    gold = tmp_path / "gold.parquet"
    done = xsns("gold", "import", CASES / "names" / name, "--format", "matrix", "-o", gold)
    assert done.code == 0, done.err
    scores = read_scores(gold)
    assert (scores.sources, scores.targets, scores.unit) == (("sw", "yo", "en"), ("en", "wo", "zh", "nb"), "percent")
    expected = [[55.2, 31.2, np.nan, 40], [50, 29, 33.1, np.nan], [90, 28, 44, 70]]
    np.testing.assert_array_equal(scores.cells[0, 0], expected)
    assert "recognised by name: Swahili = sw, English = en, Wolof = wo" in done.err
    assert "have a percent sign: the scores are percent" in done.err
    assert "commas are decimal signs" in done.err
    assert "2 of 12 pairs have no score: sw → zh, yo → nb." in done.err


def test_bioes() -> None:
    train = open_task(str(CASES / "bioes"), "ner").split("en", "train")
    assert train.examples[0].label == ("B-PER", "O", "B-LOC", "I-LOC", "I-LOC")
    assert "the tags of en-train.txt are BIOES or BILOU (E-, S-): they are read as IOB2." in train.note


def test_iob2(built: Callable[..., Any], xsns: Callable[..., Any]) -> None:
    done = xsns("info", "--corpus", CASES / "iob2", "--task", "ner", "--json")
    assert json.loads(done.out)["result"]["languages"] == ["en"]
    train = open_task(str(CASES / "iob2"), "ner").split("en", "train")
    assert [(each.text, each.label) for each in train.examples] == [(("In", "Tampa"), ("O", "B-LOC"))]
    assert said(CASES / "iob2", "en", task="ner") == {"In Tampa"}
    done, languages = built(CASES / "iob2", options=("--task", "ner"))
    assert (done.code, languages) == (0, ("en",)), done.err


def test_sentences(built: Callable[..., Any], tmp_path: Path) -> None:
    done, languages = built(f"en={CASES / 'sentences' / 'en.conllu'}")
    assert (done.code, languages) == (0, ("en",)), done.err
    counts = open_corpus(f"en={CASES / 'sentences' / 'en.conllu'}").sample("en", 1, 0).counts
    assert (counts.read, counts.malformed) == (61, 1)
    assert "1 malformed of 61 sentences skipped." in done.err
    rows = []
    for suffix in ("conllu", "txt"):
        built(f"zh={CASES / 'sentences' / f'zh.{suffix}'}", name=suffix)
        row = open_store(tmp_path / f"{suffix}.zarr", "r").read("zh")
        rows.append((row.provenance.corpus_digest, row.bits.tobytes()))
    assert rows[0] == rows[1]
