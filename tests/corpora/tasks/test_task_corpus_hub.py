"""Labelled data of a task in the Hub's layout: names of splits, and missing splits."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Features, Value

from tests.support.hub_copies import Rows, write_copy
from xsns_stream.corpora import open_corpus, open_task
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan

WORD, NUMBER = Value("string"), Value("int32")
NER = ClassLabel(names=["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"])
UPOS = ClassLabel(names=["NOUN", "_", "VERB"])
NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])

NER_COLUMNS = Features({"tokens": datasets.List(WORD), "ner_tags": datasets.List(NER)})
UD_COLUMNS = Features({"tokens": datasets.List(WORD), "upos": datasets.List(UPOS), "mwt": datasets.List(WORD)})
NLI_COLUMNS = Features({"premise": WORD, "hypothesis": WORD, "label": NLI})
PI_COLUMNS = Features({"id": NUMBER, "sentence1": WORD, "sentence2": WORD, "label": ClassLabel(names=["0", "1"])})
ANSWERS = {"text": datasets.List(WORD), "answer_start": datasets.List(NUMBER)}
QA_COLUMNS = Features({"id": WORD, "title": WORD, "context": WORD, "question": WORD, "answers": ANSWERS})


def named(split: str, count: int) -> Rows:
    return [{"tokens": [split, str(n)], "ner_tags": [5, 0]} for n in range(count)]


def questions(split: str, count: int) -> Rows:
    return [
        {
            "id": f"{language}-{n}-1",
            "title": "t",
            "context": f"{language} {split} {n} leo",
            "question": f"{split}? {n}",
            "answers": {"text": ["leo"], "answer_start": [len(f"{language} {split} {n} ")]},
        }
        for n in range(count)
        for language in ("swahili", "telugu")
    ]


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small copy of each data set that holds labels."""
    root = tmp_path_factory.mktemp("tasks")
    full = {split: [*named(split, 3), *named(split, 3)] for split in ("train", "validation", "test")}
    few = {"train": named("train", 60), "test": named("test", 2)}
    write_copy(
        root / "wikiann",
        {"sw": full, "als": few, "fi": {"test": named("test", 1)}, "en": {"extra": named("extra", 1)}},
        NER_COLUMNS,
    )
    tree = [{"tokens": ["a", "b"], "upos": [0, 1], "mwt": []}, {"tokens": ["c"], "upos": [2], "mwt": ["1-2"]}]
    write_copy(root / "udpos", {"en_ewt": {"validation": tree * 20, "test": tree}}, UD_COLUMNS)
    pairs = [{"premise": "p", "hypothesis": f"h {n}", "label": n} for n in (0, 2, -1)]
    write_copy(root / "xnli", {"sw": dict.fromkeys(("train", "validation", "test"), pairs)}, NLI_COLUMNS)
    same = [{"id": n, "sentence1": f"a {n}", "sentence2": "b", "label": n % 2} for n in range(2)]
    write_copy(root / "paws-x", {"de": dict.fromkeys(("train", "validation", "test"), same)}, PI_COLUMNS)
    passages = {"train": questions("train", 90), "validation": questions("validation", 4)}
    write_copy(root / "tydiqa", {"secondary_task": passages}, QA_COLUMNS)
    return root


def test_splits_are_found_under_their_names_on_the_hub(copies: Path) -> None:
    corpus = open_task(f"wikiann={copies / 'wikiann'}", "ner")
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        test_split = corpus.split("swa", split)
        expected = tuple(TextExample((name, str(n)), label=("B-LOC", "O")) for n in (0, 1, 2, 0, 1, 2))
        assert test_split.examples == expected, "rows have the order of the data set, and repeated rows stay"
        assert (test_split.language, test_split.split, test_split.note, test_split.unlabelled) == ("sw", split, "", 0)
        assert test_split.source == f"wikiann(split={name}, labels=ner_tags, copy=wikiann)"
    assert corpus.local
    assert corpus.skipped == ()
    assert corpus.name == "wikiann(split=train, labels=ner_tags, copy=wikiann) as ner"


def test_languages_have_the_splits_that_a_copy_holds(copies: Path) -> None:
    corpus = open_task(f"wikiann={copies / 'wikiann'}", "ner")
    assert corpus.languages() == ("en", "fi", "gsw", "sw")
    assert corpus.languages("train") == corpus.languages("dev") == ("gsw", "sw")
    assert corpus.languages("test") == ("fi", "gsw", "sw")
    with pytest.raises(LanguageError, match="'fi' has no train data") as caught:
        corpus.split("fi", "train")
    assert caught.value.hint == "its splits: test."
    with pytest.raises(UsageError, match="there is no split 'validation'"):
        corpus.split("fi", "validation")
    with pytest.raises(LanguageError, match="de"):
        corpus.split("de", "test")


def test_without_validation_data_a_tenth_of_train_is_held_out(copies: Path) -> None:
    corpus = open_task(f"wikiann={copies / 'wikiann'}", "ner")
    train, dev = corpus.split("gsw", "train"), corpus.split("gsw", "dev")
    assert len(train) + len(dev) == 60
    assert 1 <= len(dev) <= 15
    assert not set(train.examples) & set(dev.examples)
    assert (
        train.note
        == "'gsw' has no dev split: train is used for training, except for a tenth of it, which is used as dev data."
    )


def test_a_treebank_without_training_data_trains_on_its_validation_data(copies: Path) -> None:
    corpus = open_task(f"udpos={copies / 'udpos'}", "pos")
    assert corpus.languages("train") == ("en",)
    assert corpus.split("en", "test").examples == (TextExample(("a", "b"), label=("NOUN", "")),), "`_` is no tag"
    train = corpus.split("en", "train")
    assert len(train) == 20, "copies of one sentence cannot be in two splits"
    assert "'en' has no train split: validation is used for training" in train.note
    with pytest.raises(CorpusError, match=r"the dev data of 'en' in .* contain no labelled example"):
        corpus.split("en", "dev")


def test_pairs_have_classes_that_can_be_renamed(copies: Path) -> None:
    split = open_task(f"xnli={copies / 'xnli'}", "nli").split("sw", "dev")
    assert split.examples == (TextExample("p", "h 0", "entailment"), TextExample("p", "h 2", "contradiction"))
    assert split.unlabelled == 1
    other = open_task(f"paws-x={copies / 'paws-x'}", "pi", relabel={"1": "same", "2": "x"})
    assert [example.label for example in other.split("de", "test").examples] == ["0", "same"]
    assert other.renamed == {"1"}
    assert other.name.endswith("as pi, relabel=1=same,2=x")


def test_tydiqa_is_tested_on_its_validation_data(copies: Path) -> None:
    corpus = open_task(f"tydiqa={copies / 'tydiqa'}", "qa")
    assert {"sw", "te"} <= set(corpus.languages("test"))
    test = corpus.split("sw", "test")
    assert test.examples[1] == TextExample("validation? 1", "swahili validation 1 leo", AnswerSpan(21, "leo"))
    assert len(test) == 4
    assert test.note == "tydiqa has no public test data: its validation data are used for testing."
    train, dev = corpus.split("sw", "train"), corpus.split("sw", "dev")
    assert len(train) + len(dev) == 90
    assert all(str(example.text).startswith("train?") for example in (*train.examples, *dev.examples))
    assert not {example.pair for example in train.examples} & {example.pair for example in dev.examples}


def test_a_data_set_without_a_recipe_is_read(copies: Path) -> None:
    corpus = open_task(f"hub:{copies / 'wikiann'}", "ner")
    assert corpus.languages("test") == ("fi", "sq", "sw"), "without a recipe `als` is Tosk Albanian"
    assert len(corpus.split("sw", "dev")) == 6


def test_the_task_must_fit_the_labels(copies: Path) -> None:
    with pytest.raises(CorpusError, match=r"row 1 of 'de' in hub\(paws-x, .* does not have the label that ner needs"):
        open_task(f"hub:{copies / 'paws-x'}", "ner").split("de", "test")
    with pytest.raises(UsageError, match="paws-x does not contain data of the task nli") as caught:
        open_task(f"paws-x={copies / 'paws-x'}", "nli")
    assert caught.value.hint == "the task of paws-x is pi; data sets for nli: xnli."


def test_the_training_texts_can_be_read_as_a_corpus(copies: Path) -> None:
    corpus = open_corpus(f"tydiqa={copies / 'tydiqa'}", task="qa", split="test")
    assert {example.text for example in corpus.sample("sw", 9, 0).examples} == {
        f"swahili validation {n} leo" for n in range(4)
    }


def test_opening_needs_no_network() -> None:
    corpus = open_task("wikiann", "ner", revision="abc")
    assert not corpus.local
    assert "sw" in corpus.languages("train")
    with pytest.raises(CorpusError, match="unimelb-nlp/wikiann"):
        corpus.split("sw", "test")
