"""Labelled data in folders: every layout, and invalid ones."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.errors import error_of
from xsns_stream.corpora import TaskCorpus, TaskText, open_corpus, open_task, reading_notes
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.corpora.tasks.task_corpus import RECIPE_TASKS
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError
from xsns_stream.tasks import TASKS
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan

CONLLU = """\
# text = im {word}
1-2\tim\t_\t_\t_\t_\t_\t_\t_\t_
1\tin\t_\tADP\t_\t_\t3\tcase\t_\t_
2\tdem\t_\tDET\t_\t_\t3\tdet\t_\t_
3\t{word}\t_\tNOUN\t_\t_\t0\troot\t_\t_
"""


def write(folder: Path, files: Mapping[str, str]) -> str:
    """Write {name: content} into a folder; a name may include a subfolder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return str(folder)


def tagged(*sentences: str, gap: str = " ") -> str:
    """Return sentences of `word/TAG` as two columns."""
    return "".join("\n".join(w.replace("/", gap) for w in s.split()) + "\n\n" for s in sentences)


def sentences(count: int, word: str = "w") -> str:
    return tagged(*(f"{word}{number}/NOUN leo/ADV" for number in range(count)))


def texts(corpus: TaskCorpus, language: str, split: str) -> list[Any]:
    return [example.text for example in corpus.split(language, split).examples]


def complaint(spec: str, task: str, language: str = "sw", split: str = "test", **options: Any) -> XsnsError:
    error = error_of(XsnsError, lambda: open_task(spec, task, **options).split(language, split))
    assert error.hint
    return error


# ------------------------------------------------------------------------------------ names of files


def test_file_names_of_universal_dependencies_are_recognised(tmp_path: Path) -> None:
    names = ("de_gsd-ud-train", "de_gsd-ud-dev", "de_gsd-ud-test", "sr_set-test")
    folder = write(tmp_path, {f"{name}.conllu": CONLLU.format(word=name) for name in names} | {"README.md": "x"})
    corpus = open_task(folder, "pos")
    assert corpus.languages() == ("de", "sr")
    assert corpus.languages("train") == ("de",)
    split = corpus.split("deu", "test")
    assert split.examples == (
        TextExample(("im", "de_gsd-ud-test"), label=("", "NOUN"), running="im de_gsd-ud-test"),
    ), "a multiword token has no tag"
    assert (split.language, split.split, split.note) == ("de", "test", "")
    assert split.source == f"{tmp_path.name}/de_gsd-ud-test.conllu"
    assert corpus.local
    assert corpus.name == f"task({tmp_path.name}, task=pos)"


@pytest.mark.parametrize(
    "names",
    [
        ("zho_Hant-train.txt", "zho_Hant-dev.bio", "zho_Hant-test.conll"),
        ("zh-Hant.train.txt", "zh-Hant_validation.iob2", "zh-Hant-test.tsv"),
        ("zh_Hant/train.txt", "zh_Hant/valid.txt", "zh_Hant/test.txt"),
        # The layout in which WikiANN is distributed.
        ("zh-Hant/train", "zh-Hant/dev", "zh-Hant/test"),
    ],
)
def test_a_folder_may_have_one_file_per_split(tmp_path: Path, names: tuple[str, ...]) -> None:
    gap = {".tsv": "\t"}
    contents = [tagged(f"{n}/O", gap=gap.get(Path(name).suffix, " ")) for n, name in enumerate(names)]
    corpus = open_task(write(tmp_path / "x", dict(zip(names, contents, strict=True))), "ner")
    assert corpus.languages() == corpus.languages("dev") == ("zh-Hant",)
    assert [texts(corpus, "zh-Hant", split) for split in ("train", "dev", "test")] == [[("0",)], [("1",)], [("2",)]]


def test_an_underscore_is_a_treebank_in_conllu_alone(tmp_path: Path) -> None:
    files = {f"zho_{script}-test.txt": sentences(1, script) for script in ("hant", "hans")}
    files["en_ewt-test.conllu"] = CONLLU.format(word="x")
    assert open_task(write(tmp_path, files), "pos").languages("test") == ("en", "zh-Hans", "zh-Hant")


def test_code_of_a_language_never_becomes_a_path(tmp_path: Path) -> None:
    write(tmp_path, {"secret/train.txt": sentences(2), "sw-test.txt": sentences(2)})
    corpus = open_task(write(tmp_path / "in", {"sw-test.txt": sentences(2)}), "pos")
    for language in ("../secret", "..", "/etc", "sw/../sw", ""):
        with pytest.raises(LanguageError):
            corpus.split(language, "test")
    with pytest.raises(UsageError, match="no split"):
        corpus.split("sw", "../train")


def test_files_without_a_language_are_listed(tmp_path: Path) -> None:
    files = {name: sentences(2) for name in ("sw-test.txt", "notes.txt", "e n-test.txt", ".fi-test.txt", "LICENSE.txt")}
    corpus = open_task(write(tmp_path, files), "pos")
    assert corpus.languages() == ("sw",)
    assert corpus.skipped == ("e n-test.txt", "notes.txt")


def test_two_files_of_one_split_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, {name: sentences(2) for name in ("sw-test.txt", "swa/test.txt", "fi-test.txt")})
    corpus = open_task(folder, "pos")
    assert corpus.languages() == ("fi", "sw")
    assert len(corpus.split("fi", "test")) == 2
    assert reading_notes(corpus) == ()
    with pytest.raises(CorpusError, match=r"sw-test\.txt and swa/test\.txt are the test data of 'sw'"):
        corpus.split("sw", "test")


def test_a_whole_file_beside_splits_is_refused(tmp_path: Path) -> None:
    error = complaint(write(tmp_path, {"sw-test.txt": sentences(2), "sw.txt": sentences(2)}), "pos")
    assert "sw-test.txt is a split of 'sw'" in str(error)


# -------------------------------------------------------------------------------------- missing splits


def test_without_dev_a_tenth_of_train_is_held_out(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"sw-train.txt": sentences(300), "sw-test.txt": sentences(3, "t")}), "pos")
    train, dev = corpus.split("sw", "train"), corpus.split("sw", "dev")
    assert len(train) + len(dev) == 300
    assert 15 <= len(dev) <= 45
    assert not {e.text for e in train.examples} & {e.text for e in dev.examples}
    assert train.note == dev.note
    assert "'sw' has no dev file: sw-train.txt is used for training, except for a tenth of it" in dev.note
    assert len(corpus.split("sw", "test")) == 3


def test_without_train_the_dev_file_is_for_training(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"sw-dev.txt": sentences(300), "sw-test.txt": sentences(3, "t")}), "pos")
    train, dev = corpus.split("sw", "train"), corpus.split("sw", "dev")
    assert 15 <= len(dev) <= 45
    assert len(train) + len(dev) == 300
    assert "'sw' has no train file: sw-dev.txt is used for training" in train.note


def test_a_language_with_a_test_file_only_is_a_target_only(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"sw-test.txt": sentences(3), "fi-train.txt": sentences(30)}), "pos")
    assert corpus.languages("train") == corpus.languages("dev") == ("fi",)
    assert corpus.languages("test") == ("sw",)
    with pytest.raises(LanguageError, match="'sw' has no train data") as caught:
        corpus.split("sw", "train")
    assert caught.value.hint == "languages with train data: fi."


def test_a_file_without_splits_is_cut(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"sw.txt": sentences(1000) + sentences(1000)}), "pos")
    parts = {split: corpus.split("sw", split) for split in ("train", "dev", "test")}
    assert sum(map(len, parts.values())) == 2000, "repeated sentences stay"
    for split, percent in (("train", 70), ("dev", 10), ("test", 20)):
        assert abs(len(parts[split]) / 20 - percent) < 4, split
        assert parts[split].note == "sw.txt is cut into 70, 10 and 20 % (train, dev, test)."
    examples = [{example.text for example in part.examples} for part in parts.values()]
    assert len(set().union(*examples)) == sum(map(len, examples)) == 1000


def test_test_data_keep_repeated_examples(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"sw-test.txt": sentences(2) + sentences(2)}), "pos")
    assert texts(corpus, "sw", "test") == [("w0", "leo"), ("w1", "leo")] * 2


def test_a_file_too_small_to_be_cut(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"sw.txt": sentences(1)}), "pos")
    assert len(corpus.split("sw", "train")) == 1
    for split in ("dev", "test"):
        with pytest.raises(CorpusError, match=f"the {split} data of 'sw' are empty: sw.txt is too small to be cut"):
            corpus.split("sw", split)


# ---------------------------------------------------------------------------------------- two columns


def test_files_of_two_columns_are_read(tmp_path: Path) -> None:
    content = (
        "\ufeff-DOCSTART- -X- -X- O\r\n\r\nde:Haus NN B O\r\nde:: NN B B-LOC\r\nde:10\u00a0000 CD B _\r\n"
        "\r\n\r\nde:x y z I-PER"
    )
    corpus = open_task(write(tmp_path, {"de/test.conll": content}), "ner")
    assert corpus.split("de", "test").examples == (
        TextExample(("Haus", ":", "10\u00a0000"), label=("O", "B-LOC", "")),
        TextExample(("x",), label=("I-PER",)),
    )


def test_a_tab_separates_before_spaces_do(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"en-test.txt": "en:New York\tB-LOC\nen:is\tO\n"}), "ner")
    assert corpus.split("en", "test").examples == (TextExample(("New York", "is"), label=("B-LOC", "O")),)


def test_sentences_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"en-test.txt": tagged("a/_ b/_", "a/X b/_")}), "pos")
    split = corpus.split("en", "test")
    assert split.examples == (TextExample(("a", "b"), label=("X", "")),)
    assert split.unlabelled == 1


def test_compressed_files_are_read_and_incomplete_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "sw-test.txt.gz").write_bytes(gzip.compress(sentences(2).encode()))
    (tmp_path / "fi-test.txt.gz").write_bytes(gzip.compress(sentences(2).encode())[:-9])
    corpus = open_task(str(tmp_path), "pos")
    assert len(corpus.split("sw", "test")) == 2
    with pytest.raises(CorpusError, match=r"fi-test\.txt\.gz is not a complete gzip file"):
        corpus.split("fi", "test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a O\nb\n", r"line 2 of sw-test\.txt contains one field, not a word and its tag: 'b'"),
        ("a O\n\nb c O\n", r"line 3 of sw-test\.txt contains 3 fields, and the lines above have 2: 'b c O'"),
        ("a O\n\nb NOUN\n", r"example 2 of sw-test\.txt has the tag 'NOUN', which is not an IOB tag"),
        ("a B-\n", r"example 1 of sw-test\.txt has the tag 'B-'"),
        ("a _\n", r"sw-test\.txt has no labelled example: 1 read, 1 without a label"),
        ("\n\n", r"sw-test\.txt has no labelled example: 0 read"),
    ],
)
def test_invalid_lines_of_two_columns_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        open_task(write(tmp_path, {"sw-test.txt": content}), "ner").split("sw", "test")
    assert caught.value.hint


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sw-test.txt").write_bytes("a O\nb O\nö O\n".encode("latin-1"))
    error = complaint(str(tmp_path), "ner")
    assert "line 3 of sw-test.txt is not UTF-8" in str(error)
    assert error.hint.startswith("save it as UTF-8: ")


# --------------------------------------------------------------------------------------------- tables


ROWS = [
    {"uid": f"swahili-{n}-val", "label": "ab"[n % 2], "sentence1": f"leo {n // 3}", "sentence2": f"h {n}"}
    for n in range(60)
]
EXPECTED = [TextExample(row["sentence1"], row["sentence2"], row["label"]) for row in ROWS]


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".jsonl.gz", ".parquet"])
def test_every_format_of_tables_gives_the_same_pairs(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(ROWS)
    for folder, name in (("split", f"sw-test{suffix}"), ("whole", f"sw{suffix}")):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / name
        if suffix == ".parquet":
            frame.to_parquet(path)
        elif suffix in (".tsv", ".csv"):
            frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
        else:
            frame.to_json(path, orient="records", lines=True)
    test_split = open_task(str(tmp_path / "split"), "pi").split("sw", "test").examples
    assert list(test_split) == EXPECTED
    corpus = open_task(str(tmp_path / "whole"), "pi")
    splits = [corpus.split("sw", split).examples for split in ("train", "dev", "test")]
    assert sorted(e.pair or "" for part in splits for e in part) == sorted(row["sentence2"] for row in ROWS)
    premises = [{example.text for example in part} for part in splits]
    assert len(set().union(*premises)) == sum(map(len, premises)), (
        "all pairs with the same first sentence are in one split"
    )


def test_words_in_tables_have_one_tag_each(tmp_path: Path) -> None:
    rows = [{"tokens": ["leo", "na"], "upos": ["ADV", "_"]}, {"tokens": ["na"], "upos": ["_"]}]
    corpus = open_task(write(tmp_path, {"sw-test.jsonl": "\n".join(map(json.dumps, rows))}), "pos")
    split = corpus.split("sw", "test")
    assert split.examples == (TextExample(("leo", "na"), label=("ADV", "")),)
    assert split.unlabelled == 1


def test_topics_are_read_as_sib200_was_published(tmp_path: Path) -> None:
    files = {
        f"swh_Latn/{split}.tsv": f'index_id\tcategory\ttext\n1\tsports\tHabari "{split}\n2\tpolitics\tleo\n'
        for split in ("train", "dev", "test")
    }
    corpus = open_task(write(tmp_path, files), "topic")
    assert corpus.split("sw", "dev").examples == (
        TextExample('Habari "dev', label="sports"),
        TextExample("leo", label="politics"),
    )


@pytest.mark.parametrize(
    ("files", "task", "message"),
    [
        (
            {"sw-test.tsv": "uid\tsentence1\tsentence2\n1\ta\tb\n"},
            "nli",
            "no column of sw-test.tsv has a usual name for",
        ),
        (
            {"sw-test.tsv": "label\tx\tsentence2\n1\ta\tb\n"},
            "nli",
            "no column of sw-test.tsv has a usual name for text",
        ),
        ({"sw-test.tsv": "label\tsentence1\tsentence2\na\n"}, "nli", "sw-test.tsv has no labelled example"),
        ({"sw-test.tsv": "label\tsentence1\n1\ta\tb\n"}, "nli", "sw-test.tsv is not a table"),
        ({"sw-test.tsv": ""}, "nli", "sw-test.tsv has no labelled example: 0 read"),
        ({"sw-test.jsonl": '{"label": 1'}, "nli", "line 1 of sw-test.jsonl is not JSON"),
        (
            {"sw-test.tsv": "label\ttext\na\tb\n"},
            "nli",
            "does not have the label that nli needs: a class for each pair of texts",
        ),
        (
            {"sw-test.tsv": "label\tsentence1\tsentence2\na\tb\tc\n"},
            "topic",
            "the label that topic needs: a class for each text",
        ),
        (
            {"sw-test.tsv": "label\tsentence1\tsentence2\na\tb\tc\n"},
            "pos",
            "the label that pos needs: a label for each word",
        ),
        ({"sw-test.txt": "leo ni siku\n"}, "nli", "states a language and a split of nli data; the folder contains"),
        ({"a/b/sw.tsv": "x"}, "nli", "the folder contains a."),
        ({}, "pos", "the folder contains nothing."),
    ],
)
def test_invalid_tables_for_a_task_are_refused(
    tmp_path: Path, files: Mapping[str, str], task: str, message: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        open_task(write(tmp_path, files), task).split("sw", "test")
    assert message in str(caught.value)
    assert caught.value.hint


def test_an_invalid_parquet_file_is_refused(tmp_path: Path) -> None:
    corpus = open_task(write(tmp_path, {"sw-test.parquet": "x"}), "nli")
    with pytest.raises(CorpusError, match=r"sw-test\.parquet is not a complete Parquet file"):
        corpus.split("sw", "test")


# --------------------------------------------------------------------------------------------- topics


LABELS = "index_id\tsplit\tcategory\r\n7\ttrain\tsports\r\n8\tdev\tpolitics\r\n9\ttest\tsports\r\n3\ttest\thealth\r\n"


def test_labels_may_be_in_a_file_apart_from_the_lines(tmp_path: Path) -> None:
    files = {
        "labels.tsv": LABELS,
        "swh_Latn.txt": "\ufeffa\nb\n c\x85c \nd\n",
        "notes.txt": "x\n",
        "fin_Latn.txt": "a\nb\n",
    }
    corpus = open_task(write(tmp_path, files), "topic")
    assert corpus.languages("test") == corpus.languages() == ("fi", "sw")
    assert corpus.skipped == ("notes.txt",)
    assert corpus.split("sw", "train").examples == (TextExample("a", label="sports"),)
    expected = (TextExample("c\x85c", label="sports"), TextExample("d", label="health"))
    assert corpus.split("swh_Latn", "test").examples == expected
    with pytest.raises(CorpusError, match=r"fin_Latn\.txt has 2 lines, but labels\.tsv has labels for 4"):
        corpus.split("fi", "test")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("index_id\tcategory\n1\tx\n", "labels.tsv lacks the columns split and category"),
        ("split\tcategory\ntrain\tx\nelse\ty\n", "line 3 of labels.tsv has no valid split and category"),
        ("split\tcategory\ntrain\n", "line 2 of labels.tsv has no valid split and category"),
        ("split\tcategory\ntrain\tx\n", "the test data of 'sw' are empty"),
    ],
)
def test_invalid_labels_of_lines_are_refused(tmp_path: Path, labels: str, message: str) -> None:
    folder = write(tmp_path, {"sw.txt": "a\n", "labels.tsv": labels})
    with pytest.raises(CorpusError) as caught:
        open_task(folder, "topic").split("sw", "test")
    assert message in str(caught.value)


def test_labels_of_lines_are_read_again_when_they_change(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sw.txt": "a\n", "labels.tsv": "split\tcategory\ntest\tsports\n"})
    assert open_task(folder, "topic").split("sw", "test").examples[0].label == "sports"
    write(tmp_path, {"labels.tsv": "split\tcategory\ntest\tother\n\n".removesuffix("\n")})
    assert open_task(folder, "topic").split("sw", "test").examples[0].label == "other"


def test_split_names_are_not_languages(tmp_path: Path) -> None:
    names = ("sw-test.txt", "train.txt", "dev.txt", "val.txt")
    corpus = open_task(write(tmp_path, {name: sentences(2) for name in names}), "pos")
    assert corpus.languages() == ("sw",)
    assert corpus.skipped == ("dev.txt", "train.txt", "val.txt")


def test_carriage_returns_end_lines(tmp_path: Path) -> None:
    (tmp_path / "en-test.txt").write_bytes(b"dog NOUN\rcat NOUN\r\rx VERB\r")
    split = open_task(str(tmp_path), "pos").split("en", "test").examples
    assert split == (TextExample(("dog", "cat"), label=("NOUN", "NOUN")), TextExample(("x",), label=("VERB",)))


def test_an_unknown_home_directory_is_refused() -> None:
    with pytest.raises(UsageError, match="'~no-such-user/x' names an unknown home directory"):
        open_task("~no-such-user/x", "pos")


# -------------------------------------------------------------------------------------------- answers


def paragraph(n: int, answers: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    context = f" passage\u2028 {n} says leo"
    references = [{"text": "leo", "answer_start": context.index("leo")}] if answers is None else answers
    return {
        "context": context,
        "qas": [{"id": f"q{n}-{k}", "question": f"{k}? {n}", "answers": references} for k in (1, 2)],
    }


def squad(*paragraphs: dict[str, Any]) -> str:
    return json.dumps({"data": [{"title": "t", "paragraphs": list(paragraphs)}]}, ensure_ascii=False)


def test_questions_in_squad_format_are_read(tmp_path: Path) -> None:
    wrong = [{"text": "kesho", "answer_start": 3}]
    corpus = open_task(
        write(tmp_path, {"sw-test.json": squad(paragraph(1), paragraph(2, []), paragraph(3, wrong))}), "qa"
    )
    split = corpus.split("sw", "test")
    context = " passage\u2028 1 says leo"
    assert split.examples == tuple(TextExample(f"{k}? 1", context, AnswerSpan(17, "leo")) for k in (1, 2))
    assert split.unlabelled == 4, "a question without an answer, and an answer that is not at its stated position"


def test_questions_with_a_passage_per_line_are_read(tmp_path: Path) -> None:
    lines = []
    for number in range(40):
        line = paragraph(number)
        line["qas"] = [[q["id"], q["question"], "leo", line["context"].index("leo")] for q in line["qas"]]
        lines.append(json.dumps(line, ensure_ascii=False))
    corpus = open_task(write(tmp_path, {"sw.jsonl": "\n".join(lines)}), "qa")
    parts = [corpus.split("sw", split).examples for split in ("train", "dev", "test")]
    assert sum(map(len, parts)) == 80
    passages = [{example.pair for example in part} for part in parts]
    assert len(set().union(*passages)) == sum(map(len, passages)) == 40, "all questions on a passage are in one split"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "sw-test.json is JSON, but not in SQuAD's format"),
        ("{", "sw-test.json is not JSON"),
        ('{"data": [1]}', "an article of sw-test.json has no `paragraphs`"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "a passage of sw-test.json lacks its context or its questions"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": 1}]}]}]}', "a question of sw-test.json is not in"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [["1", 2, "x", 0]]}]}]}', "a question of sw-test.json is"),
        ('{"data": []}', "sw-test.json has no labelled example"),
    ],
)
def test_invalid_squad_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        open_task(write(tmp_path, {"sw-test.json": content}), "qa").split("sw", "test")
    assert message in str(caught.value)
    assert caught.value.hint


# ----------------------------------------------------------------------------------------- other names


def test_types_of_entities_get_other_names(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sw-test.txt": tagged("a/B-DATE b/I-DATE c/B-ORG d/O e/B-PER")})
    corpus = open_task(folder, "ner", relabel={"DATE": "O", "ORG": "ORGANISATION", "MISC": "O"})
    assert corpus.renamed == set()
    assert corpus.split("sw", "test").examples[0].label == ("O", "O", "B-ORGANISATION", "O", "B-PER")
    assert corpus.renamed == {"DATE", "ORG"}, "no tag has the type MISC"
    assert corpus.name == f"task({tmp_path.name}, task=ner, relabel=DATE=O,MISC=O,ORG=ORGANISATION)"


@pytest.mark.parametrize(
    ("task", "content", "expected"),
    [
        ("pos", {"sw-test.txt": tagged("a/X-Y b/NOUN")}, ("Z", "NOUN")),
        ("topic", {"sw-test.tsv": "text\tlabel\na\tX-Y\n"}, "Z"),
        ("qa", {"sw-test.json": squad(paragraph(1))}, AnswerSpan(17, "leo")),
    ],
)
def test_classes_get_other_names(tmp_path: Path, task: str, content: Mapping[str, str], expected: Any) -> None:
    corpus = open_task(write(tmp_path, content), task, relabel={"X-Y": "Z", "Y": "Q"})
    assert corpus.split("sw", "test").examples[0].label == expected


# -------------------------------------------------------------------------------- what was asked for


def test_invalid_tasks_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no task 'parsing'") as caught:
        open_task(str(tmp_path), "parsing")
    assert caught.value.hint == "choose one of ner, pos, nli, pi, qa, topic."
    with pytest.raises(CorpusError, match="there is no folder") as missing:
        open_task(str(tmp_path / "nowhere"), "pos")
    assert "wikiann, udpos, xnli, paws-x, tydiqa" in missing.value.hint
    with pytest.raises(CorpusError, match="is a file, not a folder"):
        open_task(write(tmp_path, {"x.txt": "a"}) + "/x.txt", "pos")
    with pytest.raises(UsageError, match="--config cannot be used with a folder"):
        open_task(str(tmp_path), "pos", config="x")
    with pytest.raises(LanguageError, match="fi"):
        open_task(write(tmp_path / "y", {"sw-test.txt": sentences(1)}), "pos").split("fi", "test")


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize("task", TASKS)
def test_recipes_are_for_their_task(recipe: str, task: str) -> None:
    if RECIPE_TASKS.get(recipe) == task:
        assert open_task(recipe, task).task == task
        return
    with pytest.raises(
        UsageError, match=f"{recipe} does not contain data of the task|the corpus {recipe} has no labels"
    ):
        open_task(recipe, task)


def test_reading_text_needs_no_heavy_library(tmp_path: Path) -> None:
    write(tmp_path, {"sw-test.txt": sentences(3)})
    code = (
        "import sys; from xsns_stream.corpora import open_task; "
        f"open_task({str(tmp_path)!r}, 'pos').split('sw', 'test'); "
        "print({'datasets', 'pandas', 'pyarrow', 'torch', 'transformers'} & set(sys.modules))"
    )
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "set()"


# ------------------------------------------------------------------------------------------ as corpora


def test_the_training_texts_can_be_read_as_a_corpus(tmp_path: Path) -> None:
    folder = write(
        tmp_path, {"sw-train.txt": sentences(30) * 2, "sw-dev.txt": sentences(4), "fi-test.txt": sentences(2)}
    )
    corpus = open_corpus(folder, task="pos")
    assert isinstance(corpus, TaskText)
    assert corpus.languages() == ("sw",)
    sample = corpus.sample("sw", 100, 0)
    assert len(sample) == 30
    assert sample.counts.duplicate == 30
    assert {example.label for example in sample.examples} == {None}
    assert corpus.label_names() == ()
    assert corpus.sample("sw", 5, 1).examples == corpus.sample("sw", 9, 1).examples[:5]
    labelled = open_corpus(folder, task="pos", labels="auto", split="dev")
    assert len(labelled.sample("sw", 100, 0)) == 4
    assert labelled.sample("sw", 1, 0).examples[0].label == ("NOUN", "ADV")
    assert labelled.label_names() == ("ADV", "NOUN")
    assert {c.name for c in (corpus, labelled)} == {
        f"task({tmp_path.name}, task=pos)[train, words=running]",
        f"task({tmp_path.name}, task=pos)[dev, labels]",
    }


def test_texts_of_pairs_and_questions_can_be_read_as_a_corpus(tmp_path: Path) -> None:
    pairs = "label\tsentence1\tsentence2\n" + "".join(f"a\tp {n // 2}\th {n}\n" for n in range(6))
    folder = write(tmp_path / "pairs", {"sw-train.tsv": pairs, "sw-dev.tsv": pairs})
    assert {e.key() for e in open_corpus(folder, task="nli").sample("sw", 9, 0).examples} == {"p 0", "p 1", "p 2"}
    both = open_corpus(folder, task="pi").sample("sw", 9, 0).examples
    assert len(both) == 6
    assert both[0].pair is not None
    assert len(open_corpus(folder, task="nli", labels="auto").sample("sw", 9, 0)) == 6
    folder = write(tmp_path / "qa", dict.fromkeys(("sw-train.json", "sw-dev.json"), squad(paragraph(1), paragraph(2))))
    passages = open_corpus(folder, task="qa").sample("sw", 9, 0).examples
    assert {(e.text, e.pair) for e in passages} == {(f" passage\u2028 {n} says leo", None) for n in (1, 2)}
    assert open_corpus(folder, task="qa", labels="auto").label_names() == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_column": "x"}, "--text-column cannot be used with labelled data"),
        ({"labels": "x"}, "--label-column cannot be used with --task"),
        ({"split": "validation"}, "there is no split 'validation'"),
        ({"config": "x"}, "--config cannot be used with"),
    ],
)
def test_options_without_meaning_for_a_task_are_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_corpus(str(tmp_path), task="pos", **options)
    with pytest.raises(UsageError, match="one folder or data set"):
        open_corpus(["sw=a", "fi=b"], task="pos")
