"""Texts in memory: the kinds that are accepted, the draw, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from xsns_stream.corpora import MemoryCorpus, open_corpus, open_texts
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError

TEXTS = {"sw": [f"Habari namba {n}." for n in range(9)], "fi": [f"Uutinen numero {n}." for n in range(9)]}
ROWS = [(code, text) for code, texts in TEXTS.items() for text in texts]


def kinds() -> dict[str, Any]:
    import datasets

    frame = pd.DataFrame(ROWS, columns=["language", "text"])
    return {
        "lists": TEXTS,
        "iterators": {code: iter(texts) for code, texts in TEXTS.items()},
        "series": {code: pd.Series(texts) for code, texts in TEXTS.items()},
        "frame": frame,
        "frames": {code: pd.DataFrame({"text": texts}) for code, texts in TEXTS.items()},
        "dataset": datasets.Dataset.from_pandas(frame),
        "datasets": datasets.DatasetDict(
            {code: datasets.Dataset.from_dict({"text": texts}) for code, texts in TEXTS.items()}
        ),
    }


@pytest.mark.parametrize("kind", list(kinds()))
def test_every_kind_gives_the_same_draw(kind: str) -> None:
    corpus = open_corpus(kinds()[kind])
    assert isinstance(corpus, MemoryCorpus)
    assert (corpus.name, corpus.local, corpus.languages(), corpus.label_names()) == ("memory", True, ("fi", "sw"), ())
    expected = open_texts(TEXTS).sample("sw", 5, 42)
    assert corpus.sample("sw", 5, 42).examples == expected.examples


def test_the_draw_is_that_of_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    texts = [*TEXTS["sw"], TEXTS["sw"][0], " " + TEXTS["sw"][1]]
    (folder / "sw.txt").write_text("\n".join(texts), encoding="utf-8")
    in_file, in_memory = open_corpus(str(folder)).sample("sw", 6, 7), open_texts({"sw": texts}).sample("sw", 6, 7)
    assert in_memory.examples == in_file.examples
    assert (in_memory.digest, in_memory.counts) == (in_file.digest, in_file.counts)


def test_a_column_may_be_named() -> None:
    frame = pd.DataFrame(ROWS, columns=["language", "sentence"])
    assert open_corpus(frame, text_column="sentence").languages() == ("fi", "sw")


def test_codes_are_read_as_names_of_files_are() -> None:
    corpus = open_texts({"Swahili": ["Habari."], "EN": ["News."]})
    assert corpus.languages() == ("en", "sw")
    assert corpus.notes == ("'Swahili' is read as sw (Swahili).",)


def test_an_open_corpus_stays_what_it_is() -> None:
    corpus = open_texts(TEXTS)
    assert open_corpus(corpus) is corpus
    with pytest.raises(UsageError, match="an open corpus"):
        open_corpus(corpus, split="train")


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        ({"sw": ["a", ""]}, CorpusError, "text 1 of 'sw' is empty."),
        ({"sw": ["a", " \n"]}, CorpusError, "text 1 of 'sw' is empty."),
        ({"sw": [None]}, CorpusError, "text 0 of 'sw' is missing (None)."),
        ({"sw": pd.Series(["a", float("nan")])}, CorpusError, "text 1 of 'sw' is missing (nan)."),
        ({"sw": "sw.txt"}, CorpusError, "the texts of 'sw' are one string."),
        ({"sw": 5}, CorpusError, "the texts of 'sw' are not a list of strings but int."),
        ({"sw": []}, CorpusError, "the language 'sw' has no text."),
        ({}, UsageError, "there is no text."),
        ({"train": ["a"]}, LanguageError, "'train' cannot be the language of texts: 'train' is the name of a split"),
        ({1: ["a"]}, LanguageError, "the language 1 is not a string."),
        ({"sw": pd.DataFrame({"sentence": ["a"]})}, UsageError, "the table of 'sw' has no column 'text'"),
        (pd.DataFrame({"text": ["a"]}), UsageError, "the table of texts has no column 'language'; it has text."),
        (pd.DataFrame({"language": ["sw"]}), UsageError, "the table of texts has no column 'text'; it has language."),
    ],
)
def test_invalid_texts_are_refused(texts: Any, kind: type[XsnsError], message: str) -> None:
    with pytest.raises(kind) as caught:
        open_texts(texts)
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_options_of_files_are_refused(write_texts: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="texts in memory"):
        open_corpus(TEXTS, revision="main")
    with pytest.raises(UsageError, match="have no columns"):
        open_corpus(TEXTS, text_column="text")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"sw": {"text": ["Habari."]}}, "the texts of 'sw' are not a list of strings but dict"),
        ({"sw": {"Habari.", "Karibu."}}, "the texts of 'sw' are a set, whose order differs"),
        ({"sw": np.array("Habari.")}, "the texts of 'sw' are not a list of strings but ndarray"),
        ({"sw": ["Habari.", None]}, r"text 1 of 'sw' is missing \(None\)"),
        ({"sw": ["Habari.", float("nan")]}, r"text 1 of 'sw' is missing \(nan\)"),
        ({"sw": pd.Series(["Habari.", None], dtype="string")}, r"text 1 of 'sw' is missing \(<NA>\)"),
        (pd.DataFrame({"language": ["sw", None], "text": ["a", "b"]}), "the language of a text is missing"),
        (
            pd.DataFrame([["sw", "a", "b"]], columns=["language", "text", "text"]),
            "the table of texts has more than one column 'text'",
        ),
        ({"sw": pd.DataFrame([["a", "b"]], columns=["text", "text"])}, "the table of 'sw' has more than one column"),
        ({"train": pd.DataFrame({"language": ["sw"], "text": ["a"]})}, "'train' is a table with a column 'language'"),
        (None, "texts cannot be of the type NoneType"),
        (3, "texts cannot be of the type int"),
        (pd.Series(["a"]), "texts cannot be of the type Series"),
        ([("sw", ["a"])], "the texts are a list of tuple, without languages"),
    ],
)
def test_values_that_are_not_texts_are_refused_with_a_hint(texts: object, message: str) -> None:
    with pytest.raises(XsnsError, match=message) as caught:
        open_corpus(texts)  # type: ignore[arg-type]
    assert caught.value.hint
