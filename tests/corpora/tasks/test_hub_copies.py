"""Labelled data in local copies of the Hub's layout: order of rows, examples left out, and missing splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub_copies import Rows, write_copy
from xsns_stream.corpora import open_task
from xsns_stream.corpora.hub import HubCorpus
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.types import TextExample


def pairs(*texts: str) -> Rows:
    return [{"premise": text, "hypothesis": f"h {n}", "label": n % 3} for n, text in enumerate(texts)]


def asked(name: str, passage: str) -> Mapping[str, Any]:
    reference = {"text": ["leo"], "answer_start": [passage.index("leo")]}
    return {"id": f"{name}-1", "title": "t", "context": passage, "question": f"{name}?", "answers": reference}


@pytest.fixture(scope="module")
def xnli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of XNLI: all splits of Swahili, with an empty premise, and only the training data of French."""
    configs = {
        "sw": {
            "train": pairs("b", "a", "b", "a"),
            "validation": pairs("c"),
            "test": pairs("b", " ", "b", "x"),
        },
        "fr": {"train": pairs(*(f"p {n // 3}" for n in range(300)))},
        "de": {"validation": pairs(*(f"p {n // 3}" for n in range(300))), "test": pairs("t")},
    }
    return write_copy(tmp_path_factory.mktemp("hub") / "xnli", configs)


def test_rows_keep_order_and_repetitions(xnli: Path) -> None:
    corpus = HubCorpus(RECIPES["xnli"], xnli, labels=AUTO)
    examples = [unit and (unit.text, unit.label) for unit in corpus.in_order("swa")]
    assert examples == [("b", "0"), ("a", "1"), ("b", "2"), ("a", "0")]
    with pytest.raises(LanguageError, match="ur"):
        next(corpus.in_order("ur"))
    rows = HubCorpus(RECIPES["xnli"], xnli, split="test").in_order("sw")
    assert next(rows) == TextExample("b")
    rows.close()


def test_rows_of_one_language_are_read_from_a_configuration_of_all_languages(tmp_path: Path) -> None:
    rows = [asked(f"{name}-{n}", f"{name} {n} leo") for n in range(2) for name in ("telugu", "swahili")]
    root = write_copy(tmp_path / "x", {"secondary_task": {"train": rows, "validation": rows[:2]}})
    units = list(HubCorpus(RECIPES["tydiqa"], root, labels=AUTO).in_order("te"))
    assert [unit and unit.pair for unit in units] == ["telugu 0 leo", "telugu 1 leo"]


def test_a_copy_has_a_test_split_for_languages_with_validation_data_only(xnli: Path) -> None:
    corpus = open_task(f"xnli={xnli}", "nli")
    assert corpus.languages() == corpus.languages("train") == corpus.languages("dev") == ("de", "fr", "sw")
    assert corpus.languages("test") == ("de", "sw")
    with pytest.raises(LanguageError, match="'fr' has no test data in xnli") as caught:
        corpus.split("fr", "test")
    assert caught.value.hint == "its splits: train."
    with pytest.raises(UsageError, match="there is no split 'validation'"):
        corpus.split("sw", "validation")
    assert len(corpus.split("sw", "train")) == 4
    assert corpus.split("sw", "dev").note == ""


def test_a_note_counts_the_rows_left_out_of_a_copy(xnli: Path) -> None:
    split = open_task(f"xnli={xnli}", "nli").split("sw", "test")
    assert [example.text for example in split.examples] == ["b", "b", "x"]
    assert split.note == "1 of the 4 examples of the test data of 'sw' is left out: 1 empty."


@pytest.mark.parametrize(("language", "source"), [("fr", "train"), ("de", "validation")])
def test_premises_of_a_copy_stay_together(xnli: Path, language: str, source: str) -> None:
    corpus = open_task(f"xnli={xnli}", "nli")
    train, dev = corpus.split(language, "train"), corpus.split(language, "dev")
    assert len(train) + len(dev) == 300
    assert 0 < len(dev) < 60
    assert not {example.text for example in train.examples} & {example.text for example in dev.examples}
    assert train.note == dev.note
    assert f"{source} is used for training, except for a tenth of it" in dev.note


def test_dev_examples_are_cut_from_the_training_data_of_a_copy_without_other_splits(tmp_path: Path) -> None:
    root = write_copy(tmp_path / "x", {"sw": {"train": pairs("a", "b", "c")}})
    corpus = open_task(f"hub:{root}", "nli")
    assert corpus.languages("test") == ()
    assert sorted(e.text for split in ("train", "dev") for e in corpus.split("sw", split).examples) == ["a", "b", "c"]
    with pytest.raises(LanguageError):
        corpus.split("fi", "train")


def test_test_data_whose_labels_are_not_public(tmp_path: Path) -> None:
    hidden = [{**row, "label": -1} for row in pairs("a", "b")]
    root = write_copy(tmp_path / "x", {"sw": {"train": pairs("a"), "validation": pairs("b"), "test": hidden}})
    with pytest.raises(CorpusError, match=r"the test data of 'sw' in xnli.* contain no labelled example") as caught:
        open_task(f"xnli={root}", "nli").split("sw", "test")
    assert "do not publish" in (caught.value.hint or "")
