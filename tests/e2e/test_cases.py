"""Small folders of the kinds that users have: `build`, `gold` and the Python functions read each of them."""

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
    pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside the repository"),
]


@pytest.fixture
def build_from(tmp_path: Path, xsns: Callable[..., Any], tiny_folder: Path) -> Callable[..., Any]:
    """Build rows of four examples; return the result of the command and the languages of the store."""

    def call(*corpus: object, name: str = "x", options: tuple[str, ...] = ()) -> tuple[Any, tuple[str, ...]]:
        store = tmp_path / f"{name}.zarr"
        corpora = [part for each in corpus for part in ("--corpus", each)]
        settings = ("--model", tiny_folder, "--examples", "4", "--max-length", "64", "--store", store)
        completed = xsns("build", *corpora, *settings, *options)
        return completed, open_store(store, "r").languages if store.exists() else ()

    return call


def sentences_of(corpus: Path, language: str, **options: str) -> set[str]:
    return {each.sentence() for each in open_corpus(str(corpus), **options).sample(language, 100, 0).examples}


def test_words_and_lines_give_the_same_row(build_from: Callable[..., Any], tmp_path: Path) -> None:
    rows = []
    for suffix in ("conllu", "jsonl", "txt"):
        corpus = f"en={CASES / 'words' / f'en.{suffix}'}"
        completed, languages = build_from(corpus, name=suffix)
        assert (completed.code, languages) == (0, ("en",)), completed.err
        row = open_store(tmp_path / f"{suffix}.zarr", "r").read("en")
        rows.append((row.provenance.corpus_digest, row.bits.tobytes()))
        assert open_corpus(corpus).sample("en", 4, 0).examples[0].sentence() == "Hello world"
    # In JSON Lines the words form a list, so that the example has another key and other tokens are masked.
    assert rows[0] == rows[2]


def test_a_treebank_without_its_text_is_an_error_of_its_language(build_from: Callable[..., Any]) -> None:
    completed, languages = build_from(CASES / "withheld")
    assert completed.code == 3
    assert languages == ("en",)
    assert "the text of ar.conllu is withheld" in completed.err
    assert any("_" in text for text in sentences_of(CASES / "withheld", "en"))


def test_words_may_be_numbered_from_zero(build_from: Callable[..., Any]) -> None:
    completed, languages = build_from(CASES / "from-zero")
    assert (completed.code, languages) == (0, ("en",)), completed.err
    assert sentences_of(CASES / "from-zero", "en") == {"Her visit to Tuvalu"}


def test_files_that_are_not_read_are_named(build_from: Callable[..., Any]) -> None:
    completed, languages = build_from(CASES / "left-out")
    assert completed.code == 0
    assert languages == ("de", "en", "sw", "yo")
    for name in ("bn_rom.txt", "fi.additional.txt", "xx.txt", "zh_classical.txt"):
        assert f"{name} (" in completed.err
    shards = sorted((CASES / "left-out").glob("de-*.parquet"))
    sample = open_corpus(str(CASES / "left-out")).sample("de", 1000, 0)
    assert sample.counts.read == sum(open_corpus(f"de={shard}").sample("de", 1, 0).counts.read for shard in shards)


def test_files_in_other_encodings_are_errors_of_their_languages(build_from: Callable[..., Any]) -> None:
    completed, languages = build_from(CASES / "encodings")
    assert completed.code == 3
    assert languages == ("fr",)
    assert "sw.txt is UTF-16, not UTF-8." in completed.err
    assert "ru.txt seems to be UTF-16LE, not UTF-8" in completed.err
    assert "nl.txt is not text" in completed.err
    assert not any("\r" in text for text in sentences_of(CASES / "encodings", "fr"))


def test_two_files_of_one_language_are_an_error_until_one_is_chosen(build_from: Callable[..., Any]) -> None:
    completed, languages = build_from(CASES / "codes")
    assert completed.code == 3
    assert languages == ("sw",)
    assert (
        "aka_Latn.txt and twi_Latn.txt both mean the language 'ak'. give each its own label with --label "
        in completed.err
    )
    completed, languages = build_from(CASES / "codes", f"ak={CASES / 'codes' / 'twi_Latn.txt'}", name="chosen")
    assert (completed.code, languages) == (0, ("ak", "sw")), completed.err


def test_treebanks_of_one_language_are_joined(build_from: Callable[..., Any]) -> None:
    layout = CASES / "ud-layout"
    completed, languages = build_from(layout)
    assert (completed.code, languages) == (0, ("en", "nl")), completed.err
    assert "treebanks of one language are joined in this order: en (en_a, en_b)." in completed.err
    parts = [sentences_of(layout, "en", split="train")]
    parts += [
        {each.sentence() for each in open_corpus(f"en={path}").sample("en", 100, 0).examples}
        for path in sorted(layout.glob("UD_English-*/*.conllu"))
    ]
    assert parts[0] == parts[1] | parts[2]
    assert open_task(str(layout), "pos").languages("train") == ("en", "nl")


def test_files_named_by_split_alone_are_refused(build_from: Callable[..., Any]) -> None:
    completed, languages = build_from(CASES / "splits")
    assert (completed.code, languages) == (1, ())
    assert "are named by split, without their language: dev.txt, test.txt, train.txt." in completed.err


@pytest.mark.parametrize("name", ["scores.csv", "semicolons.csv"])
def test_tables_with_names_percent_signs_and_decimal_commas_are_read(
    name: str, xsns: Callable[..., Any], tmp_path: Path
) -> None:
    gold = tmp_path / "gold.parquet"
    completed = xsns("gold", "import", CASES / "names" / name, "--format", "matrix", "-o", gold)
    assert completed.code == 0, completed.err
    scores = read_scores(gold)
    assert (scores.sources, scores.targets, scores.unit) == (("sw", "yo", "en"), ("en", "wo", "zh", "nb"), "percent")
    expected = [[55.2, 31.2, np.nan, 40], [50, 29, 33.1, np.nan], [90, 28, 44, 70]]
    np.testing.assert_array_equal(scores.cells[0, 0], expected)
    assert "labels recognised by name: Swahili = sw, English = en, Wolof = wo" in completed.err
    assert "have a percent sign: the scores are percent" in completed.err
    assert "commas are decimal signs" in completed.err
    assert "2 of 11 pairs of different languages have no score: sw → zh, yo → nb." in completed.err


def test_bioes_tags_are_read_as_iob2() -> None:
    train = open_task(str(CASES / "bioes"), "ner").split("en", "train")
    assert train.examples[0].label == ("B-PER", "O", "B-LOC", "I-LOC", "I-LOC")
    assert "the tags of en-train.txt are BIOES or BILOU (E-, S-): they are read as IOB2." in train.note


def test_iob2_files_are_read_with_a_task(build_from: Callable[..., Any], xsns: Callable[..., Any]) -> None:
    completed = xsns("info", "--corpus", CASES / "iob2", "--task", "ner", "--json")
    assert json.loads(completed.out)["result"]["languages"] == ["en"]
    train = open_task(str(CASES / "iob2"), "ner").split("en", "train")
    assert [(each.text, each.label) for each in train.examples] == [(("In", "Tampa"), ("O", "B-LOC"))]
    assert sentences_of(CASES / "iob2", "en", task="ner") == {"In Tampa"}
    completed, languages = build_from(CASES / "iob2", options=("--task", "ner"))
    assert (completed.code, languages) == (0, ("en",)), completed.err


def test_conllu_and_plain_lines_give_the_same_row(build_from: Callable[..., Any], tmp_path: Path) -> None:
    completed, languages = build_from(f"en={CASES / 'sentences' / 'en.conllu'}")
    assert (completed.code, languages) == (0, ("en",)), completed.err
    counts = open_corpus(f"en={CASES / 'sentences' / 'en.conllu'}").sample("en", 1, 0).counts
    assert (counts.read, counts.malformed) == (61, 1)
    assert "1 malformed of 61 sentences is skipped." in completed.err
    rows = []
    for suffix in ("conllu", "txt"):
        build_from(f"zh={CASES / 'sentences' / f'zh.{suffix}'}", name=suffix)
        row = open_store(tmp_path / f"{suffix}.zarr", "r").read("zh")
        rows.append((row.provenance.corpus_digest, row.bits.tobytes()))
    assert rows[0] == rows[1]
