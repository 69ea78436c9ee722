"""Labels that a corpus reads, and text that does not change where no labels are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from datasets import ClassLabel, Features, Value

from tests.support.hub_copies import write_copy
from xsns_stream.corpora import open_corpus, read_text
from xsns_stream.corpora.columns import LABEL_COLUMNS
from xsns_stream.corpora.labels import check_label_sets
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import LanguageSample, ReadCounts, TextExample
from xsns_stream.types.text import AnswerSpan

CONLLU = """\
1\tWatoto\tmtoto\tNOUN\t_\t_\t2\tnsubj\t_\t_
2\twanasoma\tsoma\tVERB\t_\t_\t0\troot\t_\t_

1-2\tim\t_\t_\t_\t_\t_\t_\t_\t_
1\tin\tin\tADP\t_\t_\t3\tcase\t_\t_
2\tdem\tder\tDET\t_\t_\t3\tdet\t_\t_
3\tHaus\tHaus\tNOUN\t_\t_\t0\troot\t_\t_
3.1\tist\tsein\tAUX\t_\t_\t_\t_\t_\t_

1\tohne\t_\t_\t_\t_\t0\troot\t_\t_
"""


def examples(sample: LanguageSample) -> set[TextExample]:
    return set(sample.examples)


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# ------------------------------------------------------------------------------- examples and samples


def test_digests_of_text_without_labels_are_stable() -> None:
    texts = (TextExample("watoto wa shule"), TextExample(("watoto", "wa")), TextExample("leo", "kitabu"))
    digest = "27950a28dd9920c1834be50485920b86f2a1e3fd1607bb5a9cc100b72bb5cfb5"
    assert LanguageSample("sw", texts, "here").digest == digest
    assert [example.identity() for example in texts] == [example.key() for example in texts]


def test_labels_are_part_of_the_digest_and_not_of_the_key() -> None:
    alike: list[TextExample] = [
        TextExample(("leo", "na"), "leo na"),
        TextExample(("leo", "na"), "leo na", ("A", "B")),
        TextExample(("leo", "na"), "leo na", ("AB", "")),
        TextExample(("leo", "na"), "leo na", "A"),
        TextExample(("leo", "na"), "leo na", AnswerSpan(0, "leo")),
        TextExample(("leo", "na"), "leo na", AnswerSpan(4, "na")),
    ]
    assert len({example.key() for example in alike}) == 1
    assert len({example.identity() for example in alike}) == len(alike)
    assert len({LanguageSample("sw", (example,), "here").digest for example in alike}) == len(alike)


def test_an_answer_knows_its_end() -> None:
    passage = "leo na kesho"
    answer = AnswerSpan(4, "na")
    assert passage[answer.start : answer.end] == "na"


@pytest.mark.parametrize("text", ["leo na", ("leo",), ("leo", "na", "kesho")])
def test_one_label_per_word_is_required(text: Any) -> None:
    with pytest.raises(UsageError, match="2 labels do not fit the words"):
        TextExample(text, label=("A", "B"))


@pytest.mark.parametrize(
    ("pair", "answer"),
    [
        (None, AnswerSpan(0, "leo")),
        ("leo na", AnswerSpan(1, "leo")),
        ("leo na", AnswerSpan(-2, "na")),
        ("leo na", AnswerSpan(0, "")),
    ],
)
def test_an_answer_stands_in_the_passage(pair: str | None, answer: AnswerSpan) -> None:
    with pytest.raises(UsageError, match="is not at character") as caught:
        TextExample("nani?", pair, answer)
    assert "not bytes" in caught.value.hint


# --------------------------------------------------------------------------------------- CoNLL-U


@pytest.mark.parametrize("labels", ["auto", "upos"])
def test_conllu_has_one_tag_per_word(tmp_path: Path, labels: str) -> None:
    path = tmp_path / "x.conllu"
    path.write_text(CONLLU, encoding="utf-8")
    sample = read_text("sw", path, labels=labels)
    assert sample.examples == (
        TextExample(("Watoto", "wanasoma"), label=("NOUN", "VERB"), running="Watoto wanasoma"),
        # The written word has no tag of its own, because its parts have different tags.
        TextExample(("im", "Haus"), label=("", "NOUN"), running="im Haus"),
    )
    assert sample.counts == ReadCounts(read=3, usable=2, unlabelled=1)


def test_conllu_without_labels_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "x.conllu"
    path.write_text(CONLLU, encoding="utf-8")
    words = (("Watoto", "wanasoma"), ("im", "Haus"), ("ohne",))
    assert read_text("sw", path, words="given").examples == tuple(map(TextExample, words))
    assert [example.sentence() for example in read_text("sw", path).examples] == ["Watoto wanasoma", "im Haus", "ohne"]


def test_conllu_of_forms_alone_has_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "x.conllu"
    path.write_text("1\tleo\n2\tna\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"x\.conllu has no usable text: 1 read, 1 without a label\."):
        read_text("sw", path, labels="auto")


def test_files_without_the_requested_labels_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("leo\n", encoding="utf-8")
    (tmp_path / "x.conllu").write_text(CONLLU, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"x\.txt has no labels"):
        read_text("sw", tmp_path / "x.txt", labels="auto")
    with pytest.raises(CorpusError, match=r"x\.conllu has no labels 'deprel'"):
        read_text("sw", tmp_path / "x.conllu", labels="deprel")


# ---------------------------------------------------------------------------------------- tables

ROWS: list[dict[str, Any]] = [
    {"text": " leo ", "label": "yes", "topic": "a"},
    {"text": "leo", "label": "no", "topic": "b"},
    {"text": "leo", "label": "no", "topic": "c"},
    {"text": "kesho", "label": "", "topic": "d"},
    {"text": "", "label": "yes", "topic": "e"},
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "csv", "tsv"])
def test_class_names_are_read_from_tables(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    frame = pd.DataFrame(ROWS)
    match suffix:
        case "jsonl":
            write_jsonl(path, ROWS)
        case "parquet":
            frame.to_parquet(path)
        case _:
            frame.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    sample = read_text("sw", path, labels="auto")
    assert sample.examples == (TextExample("leo", label="yes"), TextExample("leo", label="no"))
    assert sample.counts == ReadCounts(read=5, empty=1, duplicate=1, usable=2, unlabelled=1)
    named = read_text("sw", path, labels="topic").examples
    assert named == tuple(TextExample(t, label=n) for t, n in zip(("leo", "leo", "leo", "kesho"), "abcd", strict=True))
    assert read_text("sw", path).examples == (TextExample("leo"), TextExample("kesho"))
    with pytest.raises(CorpusError, match=f"x.{suffix} has no column 'mood'") as caught:
        read_text("sw", path, labels="mood")
    assert caught.value.hint == "its columns are text, label, topic."


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_labelled_words_are_read_from_tables(tmp_path: Path, suffix: str) -> None:
    rows: list[dict[str, Any]] = [
        {"tokens": ["Nairobi", " ", "leo"], "ner_tags": ["B-LOC", "O", "O"]},
        {"tokens": ["na"], "ner_tags": [None]},
        {"tokens": ["na"], "ner_tags": []},
        {"tokens": ["leo", "na"], "ner_tags": ["", "O"]},
    ]
    path = tmp_path / f"x.{suffix}"
    if suffix == "jsonl":
        write_jsonl(path, rows)
    else:
        pd.DataFrame(rows).to_parquet(path)
    sample = read_text("sw", path, labels="auto")
    assert sample.examples == (
        TextExample(("Nairobi", "leo"), label=("B-LOC", "O")),
        TextExample(("leo", "na"), label=("", "O")),
    )
    assert sample.counts.unlabelled == 2


def test_numbers_are_their_own_names(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "x.jsonl", [{"tokens": ["a", "b"], "tags": [3, -100]}, {"tokens": ["c"], "tags": [0]}]
    )
    assert [example.label for example in read_text("sw", path, labels="auto").examples] == [("3", ""), ("0",)]


@pytest.mark.parametrize(
    ("first", "second"), [("premise", "hypothesis"), ("sentence1", "sentence2"), ("question", "context")]
)
def test_usual_pairs_are_read_together_with_labels(tmp_path: Path, first: str, second: str) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", [{first: "leo", second: "kesho", "label": 1}])
    assert read_text("sw", path, labels="auto").examples == (TextExample("leo", "kesho", "1"),)
    assert read_text("sw", path, second, labels="auto").examples == (TextExample("kesho", label="1"),)
    assert read_text("sw", path).examples[0].pair is None


PASSAGE = "  Watoto wanasoma nyumbani.  "
ANSWERS = [
    ({"text": ["wanasoma", "x"], "answer_start": [9, 0]}, AnswerSpan(7, "wanasoma", ("x",))),
    ({"text": [" wanasoma "], "answer_start": [8]}, AnswerSpan(7, "wanasoma")),
    ([{"text": "nyumbani.", "answer_start": 18}], AnswerSpan(16, "nyumbani.")),
    ({"text": "Watoto", "answer_start": 2}, AnswerSpan(0, "Watoto")),
    ({"text": [], "answer_start": []}, None),
    ([], None),
    (None, None),
    ({"text": ["wanasoma"], "answer_start": [10]}, None),
    ({"text": ["Watoto"], "answer_start": [-27]}, None),
]


@pytest.mark.parametrize(("value", "expected"), ANSWERS)
def test_answers_move_with_the_passage(tmp_path: Path, value: Any, expected: AnswerSpan | None) -> None:
    rows = [{"question": "nani?", "context": PASSAGE, "answers": value}, {**QUESTION, "answers": GOOD}]
    sample = read_text("sw", write_jsonl(tmp_path / "x.jsonl", rows), labels="auto")
    assert sample.examples[-1] == TextExample("lini?", "leo", AnswerSpan(0, "leo"))
    examples = [example.label for example in sample.examples if example.text == "nani?"]
    assert examples == ([] if expected is None else [expected])
    assert sample.counts.unlabelled == (expected is None)


QUESTION = {"question": "lini?", "context": "leo"}
GOOD = {"text": ["leo"], "answer_start": [0]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "leo", "label": 0.5}, "column 'label' of x.jsonl contains a value of the type float, not a label."),
        ({"text": "leo", "label": ["A"]}, "contains a label for each word, but the text is not split into words."),
        (
            {"tokens": ["leo"], "label": ["A", "B"]},
            "column 'label' of x.jsonl has another number of labels (2) than of words (1).",
        ),
        ({"text": "leo", "answers": GOOD}, "x.jsonl has answers, but no passage beside the question."),
        (
            {**QUESTION, "answers": {"answer": "leo"}},
            "column 'answers' of x.jsonl contains an object with the keys answer, which is not an answer.",
        ),
        (
            {**QUESTION, "answers": {"text": [1], "answer_start": [0]}},
            "contains an answer whose text is not a string, or whose answer_start is not an integer",
        ),
        ({"text": "leo", "topic": "A"}, "no column of x.jsonl has a usual name for labels (columns: text, topic)."),
    ],
)
def test_invalid_label_values_are_refused(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        read_text("sw", write_jsonl(tmp_path / "x.jsonl", [row]), labels="auto")
    assert message in caught.value.message
    assert caught.value.hint


def test_lone_surrogates_in_labels_are_undecodable(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "leo", "label": "\\ud800"}\n{"text": "na", "label": "A"}\n', encoding="utf-8")
    assert read_text("sw", path, labels="auto").counts == ReadCounts(read=2, undecodable=1, usable=1)


def test_usual_columns_have_an_order(tmp_path: Path) -> None:
    names = dict(zip(LABEL_COLUMNS[:5], "abcde", strict=True))
    path = write_jsonl(tmp_path / "x.jsonl", [{"text": "leo", **dict(reversed(names.items()))}])
    assert read_text("sw", path, labels="auto").examples[0].label == "a"


# ------------------------------------------------------------------------------- folders and files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tagged"
    path.mkdir()
    (path / "sw.conllu").write_text(CONLLU, encoding="utf-8")
    write_jsonl(path / "fi.jsonl", [{"tokens": ["a", "b"], "upos": ["PRON", "ADV"]}])
    return path


def test_the_names_of_all_languages_are_one_list(folder: Path) -> None:
    corpus = open_corpus(str(folder), labels="auto")
    assert corpus.name == "folder(tagged, labels=auto)"
    assert corpus.label_names() == ("ADV", "NOUN", "PRON", "VERB")
    assert corpus.sample("fi", 5, 0).examples == (TextExample(("a", "b"), label=("PRON", "ADV")),)
    pairs = open_corpus([f"fi={folder / 'fi.jsonl'}"], labels="upos")
    assert pairs.name == "files(labels=upos)"
    assert pairs.label_names() == ("ADV", "PRON")


def test_without_labels_there_are_no_names(folder: Path) -> None:
    corpus = open_corpus(str(folder))
    assert corpus.name == "folder(tagged, words=running)"
    assert corpus.label_names() == open_corpus("cldr").label_names() == ()
    assert all(example.label is None for code in ("sw", "fi") for example in corpus.sample(code, 5, 0).examples)


def test_answers_have_no_names(folder: Path) -> None:
    path = write_jsonl(folder / "de.jsonl", [{**QUESTION, "answers": GOOD}])
    assert open_corpus(f"de={path}", labels="auto").label_names() == ()


@pytest.mark.parametrize(
    ("label_sets", "words", "message"),
    [
        ({"en": {"entailment"}, "sw": {"Entailment"}}, False, r"'entailment' \(en\) and 'Entailment' \(sw\)"),
        ({"en": {"a  b", "c"}, "sw": {"a b", "c"}}, False, "several spellings"),
        ({"en": {"1", "01"}}, False, r"several spellings: '01' \(en\) and '1' \(en\)"),
        ({"en": {"B-PER"}, "fi": {"B-Per"}}, True, "several spellings"),
        ({"en": {"0", "1"}, "sw": {"yes", "no"}}, False, "'en' shares no class with the other languages: it has 0, 1"),
        (
            {"en": {"a", "b"}, "sw": {"a", "c", "d"}},
            False,
            r"the task has 3 classes, but the data have 4: 'a' \(en, sw\)",
        ),
    ],
)
def test_label_sets_that_do_not_fit_together_are_refused(
    label_sets: dict[str, set[str]], words: bool, message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        check_label_sets(label_sets, words=words, most=3)


def test_label_sets_that_fit_together_are_accepted() -> None:
    check_label_sets({"en": {"NN", "nn"}, "fi": {"N"}}, words=True)
    check_label_sets({"en": {"0", "1"}, "fi": {"1"}, "sw": set()}, words=False, most=2)
    check_label_sets({}, words=False)


def test_a_file_that_cannot_be_read_does_not_hide_the_others_names(folder: Path) -> None:
    (folder / "de.txt").write_text("leo\n", encoding="utf-8")
    assert "NOUN" in open_corpus(str(folder), labels="auto").label_names()
    with pytest.raises(CorpusError, match=r"de\.txt has no labels"):
        open_corpus(f"de={folder / 'de.txt'}", labels="auto").label_names()


# --------------------------------------------------------------------------------------- recipes


NER = ClassLabel(names=["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"])
NLI = ClassLabel(names=["entailment", "neutral", "contradiction"])


def test_wikiann_has_the_names_of_its_tags(tmp_path: Path) -> None:
    features = Features({"tokens": datasets.List(Value("string")), "ner_tags": datasets.List(NER)})
    rows = {code: [{"tokens": ["Nairobi", code], "ner_tags": [5, 0]}] for code in ("sw", "fi")}
    root = write_copy(tmp_path / "copy", {code: {"train": sentences} for code, sentences in rows.items()}, features)
    corpus = open_corpus(f"wikiann={root}", labels="auto")
    assert corpus.name == "wikiann(split=train, labels=ner_tags, copy=copy)"
    assert corpus.name == open_corpus(f"wikiann={root}", labels="ner_tags").name
    assert corpus.label_names() == tuple(NER.names), "all declared names, in the order of their indices"
    assert corpus.sample("sw", 5, 0).examples == (TextExample(("Nairobi", "sw"), label=("B-LOC", "O")),)
    unlabelled = open_corpus(f"wikiann={root}")
    assert unlabelled.name == "wikiann(split=train, words=running, copy=copy)"
    assert unlabelled.label_names() == ()
    assert unlabelled.sample("sw", 5, 0).examples == (TextExample(("Nairobi", "sw")),)


def test_xnli_is_a_pair_with_a_class(tmp_path: Path) -> None:
    features = Features({"premise": Value("string"), "hypothesis": Value("string"), "label": NLI})
    rows = [{"premise": "leo", "hypothesis": f"h {number}", "label": number} for number in (0, 1, 2, -1)]
    root = write_copy(tmp_path / "copy", {"sw": {"train": rows}}, features)
    corpus = open_corpus(f"xnli={root}", labels="auto")
    sample = corpus.sample("sw", 9, 0)
    assert examples(sample) == {TextExample("leo", f"h {n}", name) for n, name in enumerate(NLI.names)}
    assert sample.counts == ReadCounts(read=4, usable=3, unlabelled=1)
    assert corpus.label_names() == ("entailment", "neutral", "contradiction")
    assert open_corpus(f"xnli={root}").sample("sw", 9, 0).examples == (TextExample("leo"),)
    hypotheses = open_corpus(f"xnli={root}", labels="auto", text_column="hypothesis").sample("sw", 1, 0)
    assert hypotheses.examples[0].pair is None


def test_pawsx_has_a_class_even_where_none_is_declared(tmp_path: Path) -> None:
    rows = [{"id": n, "sentence1": f"a {n}", "sentence2": f"b {n}", "label": n % 2} for n in range(4)]
    corpus = open_corpus(f"paws-x={write_copy(tmp_path / 'copy', {'de': {'train': rows}})}", labels="auto")
    assert examples(corpus.sample("de", 9, 0)) == {TextExample(f"a {n}", f"b {n}", str(n % 2)) for n in range(4)}
    assert corpus.label_names() == ("0", "1")


def test_udpos_has_tags_and_still_leaves_sentences_out(tmp_path: Path) -> None:
    def rows(tag: str) -> list[dict[str, Any]]:
        return [{"tokens": [tag, str(n)], "upos": [tag, "NUM"], "mwt": ["1-2"] if n == 1 else []} for n in range(3)]

    copy = write_copy(tmp_path / "copy", {"en_ewt": {"train": rows("NOUN")}, "fi_tdt": {"train": rows("VERB")}})
    corpus = open_corpus(f"udpos={copy}", labels="auto")
    expected = {TextExample(("NOUN", str(n)), label=("NOUN", "NUM")) for n in (0, 2)}
    assert examples(corpus.sample("en", 9, 0)) == expected
    assert corpus.label_names() == ("NOUN", "NUM", "VERB")


def test_tydiqa_is_a_question_with_its_passage_and_answer(tmp_path: Path) -> None:
    answers = {"text": datasets.List(Value("string")), "answer_start": datasets.List(Value("int32"))}
    features = Features({name: Value("string") for name in ("id", "context", "question")} | {"answers": answers})
    rows = [
        {
            "id": f"{language}-{n}-1",
            "context": f"{language} {n} leo",
            "question": f"{language}? {n}",
            "answers": {"text": ["leo"], "answer_start": [len(f"{language} {n} ") - (n == 2)]},
        }
        for language in ("swahili", "telugu")
        for n in range(3)
    ]
    root = write_copy(tmp_path / "copy", {"secondary_task": {"train": rows}}, features)
    corpus = open_corpus(f"tydiqa={root}", labels="auto")
    sample = corpus.sample("sw", 9, 0)
    assert examples(sample) == {
        TextExample(f"swahili? {n}", f"swahili {n} leo", AnswerSpan(10, "leo")) for n in range(2)
    }
    assert sample.counts.unlabelled == 1, "the answer of one row is not at its stated position"
    assert corpus.label_names() == ()
    assert {example.text for example in open_corpus(f"tydiqa={root}").sample("sw", 9, 0).examples} == {
        f"swahili {n} leo" for n in range(3)
    }


def test_labels_of_any_data_set_on_the_hub_are_read(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": NLI, "topic": Value("string")})
    rows = [{"text": f"leo {n}", "label": n, "topic": "ab"[n]} for n in range(2)]
    root = write_copy(tmp_path / "copy", {"sw": {"train": rows}, "fi": {"train": rows[:1]}}, features)
    corpus = open_corpus(f"hub:{root}", labels="auto")
    assert corpus.name == "hub(copy, split=train, labels=auto)"
    assert corpus.label_names() == tuple(NLI.names)
    assert {example.label for example in corpus.sample("sw", 9, 0).examples} == {"entailment", "neutral"}
    topics = open_corpus(f"hub:{root}", labels="topic")
    assert topics.label_names() == ("a", "b")
    assert {example.label for example in topics.sample("sw", 9, 0).examples} == {"a", "b"}


def test_only_recipes_with_labels_accept_the_option() -> None:
    assert {name for name, recipe in RECIPES.items() if recipe.labelled} == {
        "wikiann",
        "udpos",
        "xnli",
        "paws-x",
        "tydiqa",
    }
    for name in ("flores", "wikipedia"):
        with pytest.raises(UsageError, match=f"the corpus {name} has no labels") as caught:
            open_corpus(name, labels="auto")
        assert caught.value.hint == "corpora with labels: wikiann, udpos, xnli, paws-x, tydiqa."
    with pytest.raises(UsageError, match="--labels cannot be used with the corpus cldr"):
        open_corpus("cldr", labels="auto")


def test_a_column_that_a_recipe_does_not_know_may_contain_the_labels(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "topic": Value("string")})
    root = write_copy(tmp_path / "copy", {"swh_Latn": {"train": [{"text": "leo", "topic": "a"}]}}, features)
    corpus = open_corpus(f"flores={root}", split="train", labels="topic")
    assert corpus.sample("sw", 1, 0).examples == (TextExample("leo", label="a"),)
    with pytest.raises(CorpusError, match=r"copy \(swh_Latn\) has no column 'mood'"):
        open_corpus(f"flores={root}", split="train", labels="mood").sample("sw", 1, 0)
