"""Files of named entities in other tag schemes: numbered words (Universal NER), BIOES and BILOU."""

from __future__ import annotations

from pathlib import Path

import pytest

from xsns_stream.corpora import open_corpus, open_task
from xsns_stream.corpora.labels import bioes_to_iob2
from xsns_stream.errors import CorpusError
from xsns_stream.types import LabelledSplit, TextExample

NUMBERED = """\
# sent_id = a
# text = Im Tal, Tampa.
1-2\tIm\t_\t-\t-
1\tIm\tO\t-\t-
2\tTal\tB-LOC\t-\t-
3\t,\tO\t-\t-
4\tTampa\tB-LOC\t-\tx
4.1\tgap\tO\t-\tx
5\t.\tO\t-\tx

# sent_id = b
1\t2\tO\t-\t-
2\t#\tO\t-\t-

"""


def train(folder: Path, name: str, text: str) -> LabelledSplit:
    (folder / name).write_text(text, encoding="utf-8")
    (folder / name.replace("train", "dev")).write_text("a\tO\n", encoding="utf-8")
    return open_task(str(folder), "ner").split("en", "train")


def test_numbered_words_are_read_without_their_numbers(tmp_path: Path) -> None:
    first, second = train(tmp_path, "en_x-ud-train.iob2", NUMBERED).examples
    assert first.text == ("Im", "Tal", ",", "Tampa", ".")
    assert first.label == ("O", "B-LOC", "O", "B-LOC", "O")
    assert (second.text, second.label) == (("2", "#"), ("O", "O"))
    corpus = open_corpus(str(tmp_path), task="ner")
    assert corpus.languages() == ("en",)
    assert {each.sentence() for each in corpus.sample("en", 9, 0).examples} == {"Im Tal, Tampa.", "2 #"}
    sample = open_corpus(str(tmp_path), task="ner", words="given").sample("en", 9, 0)
    assert {each.sentence() for each in sample.examples} == {"Im Tal , Tampa .", "2 #"}


def test_the_folders_of_universal_ner_are_read(tmp_path: Path) -> None:
    for bank in "ab":
        folder = tmp_path / f"UNER_English-{bank.upper()}"
        folder.mkdir()
        (folder / f"en_{bank}-ud-train.iob2").write_text(f"1\t{bank}\tO\t-\t-\n\n", encoding="utf-8")
        (folder / f"en_{bank}-ud-dev.iob2").write_text("1\tdev\tO\t-\t-\n\n", encoding="utf-8")
    data = open_task(str(tmp_path), "ner")
    assert data.languages() == ("en",)
    assert [each.text for each in data.split("en", "train").examples] == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("line", "position"),
    [("3\tword\n", "line 2 .* word 2"), ("2\n", "line 2 .* word 2"), ("word\tO\n", "line 2 .* word 2")],
)
def test_a_line_out_of_order_is_an_error(tmp_path: Path, line: str, position: str) -> None:
    with pytest.raises(CorpusError, match=position):
        train(tmp_path, "en-train.iob2", f"1\tword\tO\n{line}\n" + "1\tword\tO\n\n" * 5)


def test_numbers_as_words_are_words(tmp_path: Path) -> None:
    split = train(tmp_path, "en-train.txt", "1 O\n2 O\n# O\n\n1 O\n")
    assert [each.text for each in split.examples] == [("1", "2", "#"), ("1",)]
    (tmp_path / "tabs").mkdir()
    split = train(tmp_path / "tabs", "en-train.tsv", "1\tNUM\tO\nof\tADP\tO\n# x\tX\tO\n\nthe\tDET\tO\n")
    assert [each.text for each in split.examples] == [("1", "of", "# x"), ("the",)]


# ------------------------------------------------------------------------------------------- BIOES


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("S-PER O B-LOC I-LOC E-LOC", "B-PER O B-LOC I-LOC I-LOC"),
        ("U-PER O B-LOC I-LOC L-LOC", "B-PER O B-LOC I-LOC I-LOC"),
        ("S-PER S-PER B-PER E-PER", "B-PER B-PER B-PER I-PER"),
        # E, L, S and U end an entity, so that the next tag begins another one.
        ("B-PER E-PER I-PER E-PER", "B-PER I-PER B-PER I-PER"),
        ("U-PER L-PER O E-LOC", "B-PER B-PER O B-LOC"),
        ("B-PER E-LOC", "B-PER B-LOC"),
    ],
)
def test_bioes_and_bilou_are_converted_to_iob2(tags: str, expected: str) -> None:
    words = tuple("w" for _ in tags.split())
    (converted,), prefixes = bioes_to_iob2([TextExample(words, None, tuple(tags.split()))])
    assert converted.label == tuple(expected.split())
    assert prefixes


@pytest.mark.parametrize("tags", ["B-PER I-PER O", "I-PER O I-LOC", "B-S-E I-S-E"])
def test_other_tags_are_unchanged(tags: str) -> None:
    example = TextExample(tuple(tags.split()), None, tuple(tags.split()))
    assert bioes_to_iob2([example]) == ((example,), ())


def test_a_file_of_bioes_is_converted_with_a_note(tmp_path: Path) -> None:
    split = train(tmp_path, "en-train.txt", "Anna S-PER\nvisits O\nNew B-LOC\nYork E-LOC\n\nBob S-PER\n")
    assert [each.label for each in split.examples] == [("B-PER", "O", "B-LOC", "I-LOC"), ("B-PER",)]
    assert split.note == "the tags of en-train.txt are BIOES or BILOU (E-, S-): they are read as IOB2."


def test_types_of_bioes_can_be_renamed(tmp_path: Path) -> None:
    (tmp_path / "en.txt").write_text(
        "".join(f"Anna{n} S-PER\nof O\nYork U-GPE\n\n" for n in range(40)), encoding="utf-8"
    )
    data = open_task(str(tmp_path), "ner", relabel={"GPE": "LOC"})
    assert {each.label for each in data.split("en", "train").examples} == {("B-PER", "O", "B-LOC")}


def test_other_prefixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the tag 'X-PER', which is not an IOB tag") as caught:
        train(tmp_path, "en-train.txt", "Anna X-PER\n")
    assert "BIOES" in str(caught.value.hint)
