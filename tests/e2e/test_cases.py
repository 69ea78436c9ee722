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
    """Build rows of four examples; return how the command ended, and the languages of the store."""

    def call(*corpus: object, name: str = "x", options: tuple[str, ...] = ()) -> tuple[Any, tuple[str, ...]]:
        store = tmp_path / f"{name}.zarr"
        given = [part for each in corpus for part in ("--corpus", each)]
        settings = ("--model", tiny_folder, "--examples", "4", "--max-length", "64", "--store", store)
        done = xsns("build", *given, *settings, *options)
        return done, open_store(store, "r").languages if store.exists() else ()

    return call


def sentences_of(corpus: Path, language: str, **options: str) -> set[str]:
    return {each.sentence() for each in open_corpus(str(corpus), **options).sample(language, 100, 0).examples}


def test_words_and_lines_give_the_same_row(build_from: Callable[..., Any], tmp_path: Path) -> None:
    collected = []
    for suffix in ("conllu", "jsonl", "txt"):
        corpus = f"en={CASES / 'words' / f'en.{suffix}'}"
        done, languages = build_from(corpus, name=suffix)
        assert (done.code, languages) == (0, ("en",)), done.err
        row = open_store(tmp_path / f"{suffix}.zarr", "r").read("en")
        collected.append((row.provenance.corpus_digest, row.bits.tobytes()))
        assert open_corpus(corpus).sample("en", 4, 0).examples[0].sentence() == "Hello world"
    # In JSON Lines the words form a list, so that the example has another key and other tokens are masked.
    assert collected[0] == collected[2]


def test_a_treebank_without_its_text_is_an_error_of_its_language(build_from: Callable[..., Any]) -> None:
    done, languages = build_from(CASES / "withheld")
    assert done.code == 3
    assert languages == ("en",)
    assert "the text of ar.conllu is withheld" in done.err
    assert any("_" in text for text in sentences_of(CASES / "withheld", "en"))


def test_words_may_be_numbered_from_zero(build_from: Callable[..., Any]) -> None:
    done, languages = build_from(CASES / "from-zero")
    assert (done.code, languages) == (0, ("en",)), done.err
    assert sentences_of(CASES / "from-zero", "en") == {"Her visit to Tuvalu"}


def test_files_that_are_not_read_are_named(build_from: Callable[..., Any]) -> None:
    done, languages = build_from(CASES / "left-out")
    assert done.code == 0
    assert languages == ("de", "en", "sw", "yo")
    for name in ("bn_rom.txt", "fi.additional.txt", "xx.txt", "zh_classical.txt"):
        assert f"{name} (" in done.err
    shards = sorted((CASES / "left-out").glob("de-*.parquet"))
    whole = open_corpus(str(CASES / "left-out")).sample("de", 1000, 0)
    assert whole.counts.read == sum(open_corpus(f"de={shard}").sample("de", 1, 0).counts.read for shard in shards)


def test_files_in_other_encodings_are_errors_of_their_languages(build_from: Callable[..., Any]) -> None:
    done, languages = build_from(CASES / "encodings")
    assert done.code == 3
    assert languages == ("fr",)
    assert "sw.txt is UTF-16, not UTF-8." in done.err
    assert "ru.txt seems to be UTF-16LE, not UTF-8" in done.err
    assert "nl.txt is not text" in done.err
    assert not any("\r" in text for text in sentences_of(CASES / "encodings", "fr"))


def test_two_files_of_one_language_are_an_error_until_one_is_chosen(build_from: Callable[..., Any]) -> None:
    done, languages = build_from(CASES / "codes")
    assert done.code == 3
    assert languages == ("sw",)
    assert (
        "aka_Latn.txt and twi_Latn.txt both mean the language 'ak'. give each its own label with --label " in done.err
    )
    done, languages = build_from(CASES / "codes", f"ak={CASES / 'codes' / 'twi_Latn.txt'}", name="chosen")
    assert (done.code, languages) == (0, ("ak", "sw")), done.err


def test_treebanks_of_one_language_are_joined(build_from: Callable[..., Any]) -> None:
    layout = CASES / "ud-layout"
    done, languages = build_from(layout)
    assert (done.code, languages) == (0, ("en", "nl")), done.err
    assert "treebanks of one language are joined in this order: en (en_a, en_b)." in done.err
    parts = [sentences_of(layout, "en", split="train")]
    parts += [
        {each.sentence() for each in open_corpus(f"en={path}").sample("en", 100, 0).examples}
        for path in sorted(layout.glob("UD_English-*/*.conllu"))
    ]
    assert parts[0] == parts[1] | parts[2]
    assert open_task(str(layout), "pos").languages("train") == ("en", "nl")


def test_files_named_by_split_alone_are_refused(build_from: Callable[..., Any]) -> None:
    done, languages = build_from(CASES / "splits")
    assert (done.code, languages) == (1, ())
    assert "are named by split, without their language: dev.txt, test.txt, train.txt." in done.err


@pytest.mark.parametrize("name", ["scores.csv", "semicolons.csv"])
def test_tables_with_names_percent_signs_and_decimal_commas_are_read(
    name: str, xsns: Callable[..., Any], tmp_path: Path
) -> None:
    gold = tmp_path / "gold.parquet"
    done = xsns("gold", "import", CASES / "names" / name, "--format", "matrix", "-o", gold)
    assert done.code == 0, done.err
    scores = read_scores(gold)
    assert (scores.sources, scores.targets, scores.unit) == (("sw", "yo", "en"), ("en", "wo", "zh", "nb"), "percent")
    expected = [[55.2, 31.2, np.nan, 40], [50, 29, 33.1, np.nan], [90, 28, 44, 70]]
    np.testing.assert_array_equal(scores.cells[0, 0], expected)
    assert "labels recognised by name: Swahili = sw, English = en, Wolof = wo" in done.err
    assert "have a percent sign: the scores are percent" in done.err
    assert "commas are decimal signs" in done.err
    assert "2 of 12 pairs have no score: sw → zh, yo → nb." in done.err


def test_bioes_tags_are_read_as_iob2() -> None:
    train = open_task(str(CASES / "bioes"), "ner").split("en", "train")
    assert train.examples[0].label == ("B-PER", "O", "B-LOC", "I-LOC", "I-LOC")
    assert "the tags of en-train.txt are BIOES or BILOU (E-, S-): they are read as IOB2." in train.note


def test_iob2_files_are_read_with_a_task(build_from: Callable[..., Any], xsns: Callable[..., Any]) -> None:
    done = xsns("info", "--corpus", CASES / "iob2", "--task", "ner", "--json")
    assert json.loads(done.out)["result"]["languages"] == ["en"]
    train = open_task(str(CASES / "iob2"), "ner").split("en", "train")
    assert [(each.text, each.label) for each in train.examples] == [(("In", "Tampa"), ("O", "B-LOC"))]
    assert sentences_of(CASES / "iob2", "en", task="ner") == {"In Tampa"}
    done, languages = build_from(CASES / "iob2", options=("--task", "ner"))
    assert (done.code, languages) == (0, ("en",)), done.err


def test_conllu_and_plain_lines_give_the_same_row(build_from: Callable[..., Any], tmp_path: Path) -> None:
    done, languages = build_from(f"en={CASES / 'sentences' / 'en.conllu'}")
    assert (done.code, languages) == (0, ("en",)), done.err
    counts = open_corpus(f"en={CASES / 'sentences' / 'en.conllu'}").sample("en", 1, 0).counts
    assert (counts.read, counts.malformed) == (61, 1)
    assert "1 malformed of 61 sentences are skipped." in done.err
    rows = []
    for suffix in ("conllu", "txt"):
        build_from(f"zh={CASES / 'sentences' / f'zh.{suffix}'}", name=suffix)
        row = open_store(tmp_path / f"{suffix}.zarr", "r").read("zh")
        rows.append((row.provenance.corpus_digest, row.bits.tobytes()))
    assert rows[0] == rows[1]
