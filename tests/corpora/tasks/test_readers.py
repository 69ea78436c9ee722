"""Files of labelled data with defects: examples that are kept or left out, and the notes on them."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from xsns_stream.corpora import open_corpus, open_task
from xsns_stream.corpora.tasks.readers import read_labelled_file
from xsns_stream.errors import CorpusError
from xsns_stream.types import LabelledSplit, TextExample
from xsns_stream.types.text import AnswerSpan

TREE = b"1\t%s\t_\tNOUN\t_\t_\t0\troot\t_\t_\r\n\r\n"


def read(path: Path, content: bytes | str, task: str, split: str = "test") -> LabelledSplit:
    """Write a file, and read a split of the one language in its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    corpus = open_task(str(path.parent), task)
    (language,) = corpus.languages()
    return corpus.split(language, split)


def identifiers(path: Path, task: str) -> list[tuple[str, str]]:
    """Return (identifier, first text) of the examples that a file gives."""
    return [(item.identifier, str(item.example.text)) for item in read_labelled_file(path, task)[0]]


# -------------------------------------------------------------------------------------- identifiers


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".jsonl.gz", ".parquet"])
@pytest.mark.parametrize("name", ["id", "uid", "index_id", "pairID"])
def test_rows_that_are_left_out_do_not_shift_identifiers(tmp_path: Path, suffix: str, name: str) -> None:
    # Rows without a text or without a label, between complete rows.
    rows = [("t0", "x"), ("", "x"), ("t2", ""), ("t3", "y"), (" ", ""), ("t5", "y")]
    table = pd.DataFrame([{"label": label, "text": text, name: f"n{n}"} for n, (text, label) in enumerate(rows)])
    path = tmp_path / f"sw{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    elif suffix.startswith(".jsonl"):
        lines = ["", *table.to_json(orient="records", lines=True).splitlines(), ""]
        content = "\ufeff" + "\r\n".join([*lines[:3], " ", *lines[3:]])
        path.write_bytes(gzip.compress(content.encode()) if suffix.endswith(".gz") else content.encode())
    else:
        table.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False, lineterminator="\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\nx,t2", b"\r\n\r\nx,t2") + b"\r\n")
    assert identifiers(path, "topic") == [("n0", "t0"), ("n3", "t3"), ("n5", "t5")]


@pytest.mark.parametrize("separator", ["\t", ","])
def test_rows_that_are_too_short_have_no_identifier(tmp_path: Path, separator: str) -> None:
    path = tmp_path / ("sw.tsv" if separator == "\t" else "sw.csv")
    rows = [["label", "text", "id"], ["x", "a"], ["x", "b"], ["x", "c", "7"], ["x"], [""], ["x", "d", ""]]
    path.write_text("\n".join(map(separator.join, rows)), encoding="utf-8")
    assert identifiers(path, "topic") == [("", "a"), ("", "b"), ("7", "c"), ("", "d")]


def test_fields_that_hold_line_ends_do_not_shift_identifiers(tmp_path: Path) -> None:
    path = tmp_path / "sw.csv"
    path.write_text('id,label,text\n1,x,"a\nb"\n2,x,"c ""d"" \n\n e"\n3,x,f\n', encoding="utf-8")
    assert identifiers(path, "topic") == [("1", "a\nb"), ("2", 'c "d" \n\n e'), ("3", "f")]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_missing_identifiers_are_not_shared(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sw{suffix}"
    rows = [{"id": None, "text": f"t{number}", "label": "x"} for number in range(300)] + [
        {"id": "7", "text": "named", "label": "x"}
    ]
    if suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert {name for name, _ in identifiers(path, "topic")} == {"", "7"}
    corpus = open_task(str(tmp_path), "topic")
    assert all(len(corpus.split("sw", split)) < 260 for split in ("train", "dev", "test")), (
        "all examples would be in one split"
    )


def test_a_question_without_an_identifier_has_an_empty_one(tmp_path: Path) -> None:
    question_ = {"question": "?", "answers": [{"text": "leo", "answer_start": 0}]}
    paragraphs = [{"context": "leo", "qas": [question_, {**question_, "id": None}, {**question_, "id": 7}]}]
    path = tmp_path / "sw.json"
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    assert [name for name, _ in identifiers(path, "qa")] == ["", "", "7"]


CONTEXT = "Mnara uko Paris, Ufaransa."
ANSWERS = [(10, "Paris"), (10, "Paris, Ufaransa"), (10, "Paris"), (6, "uko Paris")]
TEXTS, STARTS = [text for _, text in ANSWERS], [start for start, _ in ANSWERS]


@pytest.mark.parametrize(
    ("name", "document"),
    [
        (
            "sw.json",
            {
                "data": [
                    {
                        "paragraphs": [
                            {
                                "context": CONTEXT,
                                "qas": [
                                    {
                                        "id": 1,
                                        "question": "wapi?",
                                        "answers": [
                                            {"text": text, "answer_start": position} for position, text in ANSWERS
                                        ],
                                    }
                                ],
                            }
                        ]
                    }
                ]
            },
        ),
        (
            "sw.jsonl",
            {"question": "wapi?", "context": CONTEXT, "answers": {"text": TEXTS, "answer_start": STARTS}},
        ),
        (
            "sw.jsonl",
            {
                "question": "wapi?",
                "context": CONTEXT,
                "answers": [{"text": text, "answer_start": start} for start, text in ANSWERS],
            },
        ),
    ],
    ids=["SQuAD", "lists", "objects"],
)
def test_all_reference_answers_are_read(tmp_path: Path, name: str, document: object) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")
    ((_, example),) = read_labelled_file(path, "qa")[0]
    assert example.label == AnswerSpan(10, "Paris", ("Paris, Ufaransa", "uko Paris"))
    # Further answers change the digest of the data, but not the digest of the example, which training uses.
    single = replace(example, label=AnswerSpan(10, "Paris"))
    assert example.identity() == single.identity()
    splits = [LabelledSplit("sw", "test", (each,), "a test") for each in (example, single)]
    assert splits[0].digest != splits[1].digest


# ---------------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize(
    ("name", "content", "task", "note"),
    [
        (
            "test.conllu",
            TREE % b"a" + TREE % b"\xff" + TREE % b"b",
            "pos",
            "1 of the 3 examples of {} is left out: 1 not UTF-8.",
        ),
        (
            "test.jsonl",
            "\n".join(f'{{"text": "{text}", "label": "x"}}' for text in ("a", "\\ud800", " ", "b")),
            "topic",
            "2 of the 4 examples of {} are left out: 1 empty, 1 not UTF-8.",
        ),
        ("test.tsv", "label\ttext\nx\ta\nx\t \nx\tb\n", "topic", "1 of the 3 examples of {} is left out: 1 empty."),
        ("test.tsv", "label\ttext\nx\ta\nx\tb\n", "topic", ""),
        ("test.tsv", "label\ttext\nx\ta\n\tc\nx\tb\n", "topic", ""),
    ],
    ids=("treebank", "objects", "table", "whole table", "without a label"),
)
def test_a_note_counts_the_examples_left_out_of_a_test_set(
    tmp_path: Path, name: str, content: bytes | str, task: str, note: str
) -> None:
    split = read(tmp_path / f"sw-{name}", content, task)
    assert [example.text if task == "topic" else example.text[0] for example in split.examples] == ["a", "b"]
    assert split.note == note.format(f"sw-{name}")


def test_a_note_counts_the_examples_left_out_and_explains_the_split(tmp_path: Path) -> None:
    rows = "".join(f"x\tt{number}\n" for number in range(100))
    for name, beginning in (("sw.tsv", "sw.tsv is cut into"), ("sw-train.tsv", "'sw' has no dev file: ")):
        split = read(tmp_path / name / name, f"label\ttext\nx\t\n{rows}", "topic", "dev")
        assert split.note.startswith(beginning)
        assert split.note.endswith(f". 1 of the 101 examples of {name} is left out: 1 empty.")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sw-test.tsv", "label\ttext\r\n"),
        ("sw-test.csv", "\ufefflabel,text"),
        ("sw-test.csv", ""),
        ("sw-test.jsonl", "\n \r\n"),
        ("sw-test.jsonl.gz", gzip.compress(b"", mtime=0)),
    ],
    # The time is given, because a gzip file contains the time at which it was written.
    ids=("header", "header without an end", "nothing", "blank lines", "compressed"),
)
def test_files_without_rows_are_refused(tmp_path: Path, name: str, content: bytes | str) -> None:
    with pytest.raises(CorpusError, match=rf"{name} has no labelled example: \d read") as caught:
        read(tmp_path / name, content, "topic")
    assert caught.value.hint


@pytest.mark.parametrize("name", ["sw-test.tsv", "sw-test.csv", "sw-test.jsonl", "sw-test.json"])
def test_tables_that_are_not_utf8_are_refused(tmp_path: Path, name: str) -> None:
    content = {
        ".jsonl": '{"text": "a", "label": "x"}\n{"text": "ö", "label": "x"}',
        ".json": '{"data":\n"ö"}',
        ".csv": "label,text\nx,ö\n",
        ".tsv": "label\ttext\nx\tö\n",
    }[Path(name).suffix]
    with pytest.raises(CorpusError, match=rf"{name} is not UTF-8") as caught:
        read(tmp_path / name, content.encode("latin-1"), "qa" if name.endswith(".json") else "topic")
    assert caught.value.hint.startswith("save it as UTF-8: ")


# --------------------------------------------------------------------------------------- two columns


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("sw-test.txt", "sw"),
        ("sw_test.txt", "sw"),
        ("sw.test.txt", "sw"),
        ("sw/test.txt", "sw"),
        ("sw/test", "sw"),
        ("zh-yue-test.txt", "zh-yue"),
        ("zh_Hant_test.bio", "zh_Hant"),
        ("zh-min-nan/test", "zh-min-nan"),
    ],
)
@pytest.mark.parametrize("gap", [" ", "\t"])
def test_language_before_words_is_removed(tmp_path: Path, name: str, language: str, gap: str) -> None:
    words = ["leo", ":", "http://a", "s:w", ":-)"]
    path = tmp_path / "all" / name
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{language}:{word}{gap}O\n" for word in words), encoding="utf-8")
    corpus = open_task(str(tmp_path / "all"), "ner")
    (code,) = corpus.languages()
    assert corpus.split(code, "test").examples[0].text == tuple(words)


def test_other_words_with_a_colon_stay(tmp_path: Path) -> None:
    words = ("s:x", "test:x", "swa:x", "sw:", ":x", "10:30", "fi:x")
    split = read(tmp_path / "sw-test.txt", "".join(f"{word} O\n" for word in words), "ner")
    assert split.examples[0].text == words


@pytest.mark.parametrize("gap", [" ", "\t"])
def test_words_of_white_space_are_removed_with_their_tags(tmp_path: Path, gap: str) -> None:
    lines = ["a{}X", "\u00a0{}Y", "b{}Z", "", "\u3000{}Y", ""]
    split = read(tmp_path / "sw-test.txt", "\n".join(lines).format(gap, gap, gap, gap), "pos")
    assert split.examples == (TextExample(("a", "b"), label=("X", "Z")),)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("I-PER O I-LOC I-LOC", "B-PER O B-LOC I-LOC"),
        ("I-PER B-PER I-PER I-LOC", "B-PER B-PER I-PER B-LOC"),
        ("B-PER I-PER O B-PER", "B-PER I-PER O B-PER"),
        ("B-PER I-PER O I-LOC", "B-PER I-PER O I-LOC"),  # IOB2 with a mistake is not changed
        ("O O O O", "O O O O"),
    ],
)
def test_iob1_is_read_as_iob2(tmp_path: Path, tags: str, expected: str) -> None:
    split = read(tmp_path / "en-test.txt", "".join(f"w{n} {tag}\n" for n, tag in enumerate(tags.split())), "ner")
    assert split.examples[0].label == tuple(expected.split())
    assert ("are IOB1" in split.note) == (tags != expected)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_classes_that_are_numbers_have_one_spelling(tmp_path: Path, suffix: str) -> None:
    """pandas writes the integers of a column with a gap as 1.0; SNLI writes - where judges did not agree."""
    labels: list[Any] = [0.0, 1.0, None, 2.0, -1.0]
    path = tmp_path / f"sw-test{suffix}"
    table = pd.DataFrame({"text": [f"t{n}" for n in range(len(labels))], "label": labels})
    if suffix == ".parquet":
        table.to_parquet(path)
    elif suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False)
    corpus = open_task(str(tmp_path), "topic")
    split = corpus.split("sw", "test")
    assert [example.label for example in split.examples] == ["0", "1", "2"]
    assert split.unlabelled == 2


def test_placeholders_of_a_class_are_not_labels(tmp_path: Path) -> None:
    rows = ["text,label", "a,-", "b,nan", "c,-1", "d,x", "e,<NA>", "f,"]
    split = read(tmp_path / "en-test.csv", "\n".join(rows) + "\n", "topic")
    assert [example.label for example in split.examples] == ["x"]
    assert split.unlabelled == 5


def test_a_suffix_is_listed_once(tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        open_task(str(tmp_path), "pos").languages()
    listed: Any = (caught.value.hint or "").partition("suffixes for pos: ")[2].removesuffix(".").split(", ")
    assert len(listed) == len(set(listed)) > 10


def test_identifiers_are_read_from_an_array_and_around_a_repeated_header(tmp_path: Path) -> None:
    rows = '[{"id": "a", "text": "one", "label": "x"},\n {"id": "b", "text": "two", "label": "y"}]'
    path = tmp_path / "sw-test.jsonl"
    path.write_text(rows, encoding="utf-8")
    assert identifiers(path, "topic") == [("a", "one"), ("b", "two")]
    path = tmp_path / "sw-test.tsv"
    path.write_text("id\ttext\tlabel\na\tone\tx\nid\ttext\tlabel\nb\ttwo\ty\n", encoding="utf-8")
    assert identifiers(path, "topic") == [("a", "one"), ("b", "two")]


def test_a_language_before_some_words_alone_is_text(tmp_path: Path) -> None:
    path = tmp_path / "en" / "train"
    path.parent.mkdir()
    path.write_text("EU O\nen:10 O\nen:it O\n\n" + "x O\n\n" * 20)
    split = open_task(str(tmp_path), "ner").split("en", "train")
    assert split.examples[0].text == ("EU", "en:10", "en:it")


def test_untranslated_pairs_are_noted(tmp_path: Path) -> None:
    rows = "".join(f"{number}\ta {number}\tb {number}\t1\n" for number in range(20))
    header = "id\tsentence1\tsentence2\tlabel\n"
    split = read(tmp_path / "sw-test.tsv", f"{header}{rows}30\tNS\tNS\t1\n31\tA b\tNS\t0\n", "pi")
    assert len(split) == 22
    assert split.note == (
        "2 of the 22 labelled examples of sw-test.tsv are not translated: they have 'NS' instead of a sentence, and "
        "are used unchanged."
    )
    often = "".join(f"{number + 50}\tno translation\tc {number}\t0\n" for number in range(11))
    split = read(tmp_path / "sw-test.tsv", header + rows + often, "pi")
    assert split.note == "11 of the 31 labelled examples of sw-test.tsv share the sentence 'no translation'."
    assert read(tmp_path / "sw-test.tsv", header + rows, "pi").note == ""


def test_note_on_how_labelled_tables_are_read(tmp_path: Path) -> None:
    content = "sentence,text,label\na,b,x\nsentence,text,label\nc,d,y\n"
    split = read(tmp_path / "sw-test.csv", content, "topic")
    assert [example.text for example in split.examples] == ["b", "d"]
    assert split.note == (
        "the text of sw-test.csv is read from the column 'text', not from 'sentence': --text-column chooses another "
        "column. "
        "1 row that repeats the header of sw-test.csv is left out."
    )


def test_texts_of_a_task_count_what_the_split_left_out(tmp_path: Path) -> None:
    content = b"text\tlabel\na\tx\n\tx\nb\t\nb\tx\nb\ty\n\x01\xe2\x80\x8b\tx\nc\x01\tz\n" + b"d\te\n" * 40
    (tmp_path / "sw-train.tsv").write_bytes(content)
    (tmp_path / "sw-dev.tsv").write_bytes(content)
    for labels, duplicate in ((None, 40), ("auto", 39)):
        sample = open_corpus(str(tmp_path), task="topic", labels=labels).sample("sw", 64, 42)
        counts = sample.counts
        assert (counts.read, counts.empty, counts.unlabelled, counts.control) == (47, 2, 1, 2)
        assert (counts.duplicate, counts.usable) == (duplicate, len(sample))
