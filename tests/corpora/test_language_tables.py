"""Tables with several languages: a column of languages, and a column of text for each language."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import xsns_stream as xs
from xsns_stream.corpora import not_read, open_corpus, open_texts, read_text
from xsns_stream.errors import CorpusError, LanguageError, UsageError

ROWS = [("swh", "moja"), ("en", "one"), ("sw", "mbili"), ("en", "two"), ("xx1", "?"), ("", "lost")]
PAIRS = [{"sw": "moja", "en": "one"}, {"sw": "mbili", "en": "two"}]


def write_table(path: Path, columns: dict[str, list[Any]]) -> Path:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(columns), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pd.DataFrame(columns).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def texts(corpus: Any, language: str) -> list[str]:
    return sorted(str(each.text) for each in corpus.sample(language, 99, 0).examples)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_column_of_languages_gives_one_text_for_each_language(tmp_path: Path, suffix: str) -> None:
    columns = {"lang": [code for code, _ in ROWS], "n": [1] * len(ROWS), "text": [text for _, text in ROWS]}
    table = write_table(tmp_path / f"all{suffix}", columns)
    corpus = open_corpus(str(table), language_column="lang")
    assert corpus.languages() == ("en", "sw")
    assert corpus.name == f"table(all{suffix}, language_column=lang)"
    assert texts(corpus, "sw") == ["mbili", "moja"]
    assert texts(corpus, "en") == ["one", "two"]
    assert corpus.notes == ("several values are read as one language: swh, sw as sw.",)  # type: ignore[attr-defined]
    left_out = {each.file: (each.reason, each.kind) for each in not_read(corpus)}
    assert left_out["(empty)"] == ("no language (1 row)", "value")
    assert left_out["xx1"][0].endswith("(1 row)")


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_nested_columns_are_named_with_a_dot(tmp_path: Path, suffix: str) -> None:
    table = write_table(tmp_path / f"pairs{suffix}", {"id": [1, 2], "translation": PAIRS})
    one = open_corpus([f"sw={table}"], text_column="translation.sw")
    assert texts(one, "sw") == ["mbili", "moja"]
    assert len(read_text("en", table, "translation.en")) == 2
    every = open_corpus(str(table), text_column="translation.{lang}")
    assert every.languages() == ("en", "sw")
    assert texts(every, "en") == ["one", "two"]
    assert every.name == f"table(pairs{suffix}, text_column=translation.{{lang}})"
    swahili = open_corpus([f"swh={table}"], text_column="translation.{lang}")
    assert swahili.languages() == ("sw",)
    with pytest.raises(LanguageError, match="no language 'de'"):
        open_corpus([f"de={table}"], text_column="translation.{lang}")
    with pytest.raises(CorpusError) as caught:
        open_corpus([f"sw={table}"]).sample("sw", 1, 0)
    assert "translation.sw" in caught.value.message
    with pytest.raises(CorpusError, match=r"has no column 'translation\.de'"):
        open_corpus([f"sw={table}"], text_column="translation.de").sample("sw", 1, 0)


def test_rows_need_not_have_every_language(tmp_path: Path) -> None:
    rows = [
        {"translation": {"en": "one", "sw": "moja"}},
        *({"translation": {"en": f"{n}", "fi": f"f{n}"}} for n in range(30)),
    ]
    path = tmp_path / "opus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    corpus = open_corpus(str(path), text_column="translation.{lang}")
    assert corpus.languages() == ("en", "fi", "sw")
    assert texts(corpus, "sw") == ["moja"]
    assert corpus.sample("sw", 1, 0).counts.read == 1


def test_a_table_may_have_a_column_for_each_language(tmp_path: Path) -> None:
    table = write_table(tmp_path / "wide.tsv", {"id": [1, 2], "sw": ["moja", "mbili"], "en": ["one", "two"]})
    corpus = open_corpus(str(table), text_column="{lang}")
    assert "en" in corpus.languages()
    assert texts(corpus, "sw") == ["mbili", "moja"]
    prefixed = write_table(tmp_path / "p.csv", {"text_sw": ["moja"], "text_eng": ["one"], "text_raw_x": ["?"]})
    assert open_corpus(str(prefixed), text_column="text_{lang}").languages() == ("en", "sw")
    both = write_table(tmp_path / "b.csv", {"sw": ["moja"], "swh": ["mbili"], "en": ["one"]})
    corpus = open_corpus(str(both), text_column="{lang}")
    assert texts(corpus, "en") == ["one"]
    with pytest.raises(CorpusError, match="the columns 'sw' and 'swh' both mean the language 'sw'"):
        corpus.sample("sw", 1, 0)


def test_tables_of_a_folder_are_read_as_one(tmp_path: Path) -> None:
    for number, rows in enumerate((ROWS[:3], ROWS[3:])):
        columns = {"lang": [code for code, _ in rows], "text": [text for _, text in rows]}
        write_table(tmp_path / f"train-{number:05d}-of-00002.parquet", columns)
    (tmp_path / "README.md").write_text("x", encoding="utf-8")
    corpus = open_corpus(str(tmp_path), language_column="lang")
    assert texts(corpus, "en") == ["one", "two"]
    assert [each.file for each in not_read(corpus)] == ["README.md", "xx1", "(empty)"]


def test_options_that_cannot_be_combined_are_refused(tmp_path: Path) -> None:
    table = write_table(tmp_path / "all.csv", {"lang": ["sw"], "text": ["moja"]})
    with pytest.raises(UsageError, match="both given"):
        open_corpus(str(table), language_column="lang", text_column="{lang}")
    with pytest.raises(UsageError, match="--split cannot be used"):
        open_corpus(str(table), language_column="lang", split="dev")
    with pytest.raises(CorpusError, match="has no column 'language'"):
        open_corpus(str(table), language_column="language")
    with pytest.raises(CorpusError, match=r"the column .text. of all\.csv contains no language"):
        open_corpus(str(table), language_column="text")
    with pytest.raises(CorpusError, match=r"no column of all\.csv has the name .t_\{lang\}."):
        open_corpus(str(table), text_column="t_{lang}")
    with pytest.raises(CorpusError) as caught:
        open_corpus(str(table))
    assert "--language-column" in caught.value.hint
    (tmp_path / "sw.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="has no columns"):
        open_corpus(str(tmp_path / "sw.txt"), language_column="lang")


def test_frames_of_pandas_are_read_like_tables() -> None:
    frame = pd.DataFrame(
        {"lang": ["swh", "en"], "sentence": ["moja", "one"], "sw": ["mbili", None], "fi": ["yksi", "x"]}
    )
    corpus = open_texts(frame, text_column="sentence", language_column="lang")
    assert corpus.texts == {"sw": ("moja",), "en": ("one",)}
    wide = open_texts(frame[["sw", "fi"]], text_column="{lang}")
    assert wide.texts == {"sw": ("mbili",), "fi": ("yksi", "x")}
    nested = pd.DataFrame({"translation": PAIRS, "language": ["en", "en"]})
    assert open_texts(nested, text_column="translation.{lang}").texts["sw"] == ("moja", "mbili")
    assert open_texts(nested, text_column="translation.en").texts == {"en": ("one", "two")}
    with pytest.raises(UsageError, match="no column 'lang'"):
        open_texts(nested, language_column="lang")
    with pytest.raises(UsageError, match="both given"):
        open_texts(nested, text_column="{lang}", language_column="language")


def test_the_command_line_and_python_agree(tmp_path: Path, xsns: Callable[..., Any], tiny_folder: Path) -> None:
    columns = {"lang": ["sw", "sw", "fi"], "text": ["moja mbili", "tatu", "yksi kaksi"]}
    table = write_table(tmp_path / "all.csv", columns)
    options = ("--language-column", "lang", "--examples", "2", "--max-length", "24", "--store", tmp_path / "a.zarr")
    completed = xsns("build", "--model", tiny_folder, "--corpus", table, *options)
    assert completed.code == 0, completed.stderr
    other = xs.build(
        table, tiny_folder, tmp_path / "b.zarr", language_column="lang", examples=2, max_length=24, progress=False
    )
    first = xs.open_store(tmp_path / "a.zarr")
    assert first.languages == other.languages == ("fi", "sw")
    assert xs.similarity(first).values.tolist() == xs.similarity(other).values.tolist()


def test_languages_of_a_table_can_be_relabelled(tmp_path: Path) -> None:
    table = write_table(tmp_path / "all.csv", {"lang": ["aka", "twi", "sw"], "text": ["a", "b", "c"]})
    corpus = open_corpus(str(table), language_column="lang", labels_as_given=True)
    assert corpus.languages() == ("aka", "sw", "twi")
    assert texts(corpus, "twi") == ["b"]
    labelled = open_corpus(str(table), language_column="lang", label={"twi": "qaa-x-twi"})
    assert texts(labelled, "qaa-x-twi") == ["b"]
