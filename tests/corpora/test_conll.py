"""Malformed CoNLL-U: sentences without an empty line between them, ranges that overlap, other columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from xsns_stream.corpora import read_text
from xsns_stream.errors import CorpusError

GOOD = "".join(f"# sent_id = {number}\n1\tA\t_\tX\n2\tB{number}\t_\tY\n\n" for number in range(40))
MALFORMED = {
    "no empty line": ("# sent_id = 1\n1\tA\n2\tB\n# sent_id = 2\n1\tC\n2\tD\n", "a comment is between its words"),
    "no empty line, no comments": ("1\tA\n2\tB\n1\tC\n2\tD\n", "the ID 1 follows the ID 2"),
    "no empty line, one word each": ("1\tA\n1\tB\n", "the ID 1 follows the ID 1"),
    "no empty line, but a comment alone": ("1\tA\n# sent_id = 2\n2\tB\n", "a comment is between its words"),
    "a line is missing": ("1\tA\n3\tB\n", "the ID 3 follows the ID 1"),
    "the beginning is missing": ("3\tA\n4\tB\n", "its first ID is 3"),
    "out of order": ("1\tA\n3\tB\n2\tC\n", "the ID 3 follows the ID 1"),
    "ranges overlap": ("1-2\tim\n1\tin\n2\tdem\n2-3\tx\n3\tHaus\n4\tA\n", "the ID 2 follows the ID 2"),
    "ranges overlap from the beginning": ("1-2\tim\n1-3\tx\n1\tin\n2\tdem\n3\tHaus\n", "the ID 1 follows the ID 2"),
    "a range reaches past the end": (
        "1-9\tim\n1\tin\n2\tdem\n3\tHaus\n",
        "a range of IDs ends at 9, but the last ID of the sentence is 3",
    ),
    "a part is missing": ("1-3\tim\n1\tin\n3\tHaus\n4\tA\n", "the ID 3 follows the ID 1 within a range that ends at 3"),
    "a range ends too late": ("1-3\tim\n1\tin\n4\tHaus\n", "the ID 4 follows the ID 1 within a range that ends at 3"),
    "CoNLL-2009": ("1\tA\ta\ta\tN\tN\t_\t_\t0\t0\troot\troot\t_\t_\n", "a line has 14 columns, more than 10"),
}
WELL_FORMED = {
    "range": ("1-2\tim\n1\tin\n2\tdem\n3\tHaus\n", ("im", "Haus")),
    "range without its parts": ("1-2\tim\n3\tHaus\n", ("im", "Haus")),
    "range without its parts at the end": ("1\tA\n2-3\tim\n", ("A", "im")),
    "ranges one after the other": ("1-2\tim\n1\tin\n2\tdem\n3-4\tzum\n3\tzu\n4\tdem\n", ("im", "zum")),
    "from zero": ("0\tA\n1\tB\n", ("A", "B")),
    "range from zero": ("0-1\tim\n0\tin\n1\tdem\n2\tA\n", ("im", "A")),
    "empty nodes": ("0.1\tx\n1\tA\n1.1\ty\n2-3\tim\n2\tin\n2.1\tz\n3\tdem\n", ("A", "im")),
    "empty columns at the end": ("1\tA" + "\t_" * 8 + "\t\t\n", ("A",)),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_sentences_are_skipped_and_counted(tmp_path: Path, kind: str) -> None:
    text, reason = MALFORMED[kind]
    path = tmp_path / "sw.conllu"
    path.write_text(f"{GOOD}{text}\n", encoding="utf-8")
    sample = read_text("sw", path, labels="auto")
    assert sample.counts.malformed == 1
    assert [example.text for example in sample.examples] == [("A", f"B{number}") for number in range(40)]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        read_text("sw", path)
    assert caught.value.message == f"sentence 1 of sw.conllu is not CoNLL-U ({reason})."
    assert "IDs increase by one" in caught.value.hint


@pytest.mark.parametrize("kind", WELL_FORMED)
def test_well_formed_sentences_stay(tmp_path: Path, kind: str) -> None:
    text, words = WELL_FORMED[kind]
    path = tmp_path / "sw.conllu"
    path.write_text(text, encoding="utf-8")
    assert [example.text for example in read_text("sw", path).examples] == [words]


def test_named_columns_hold_for_all_sentences(tmp_path: Path) -> None:
    path = tmp_path / "sw.conllu"
    rows = "1\tNOUN\tcat\ta\n2\tVERB\tsat\tb\n\n1\tNOUN\tdog\ta\n2\tVERB\tran\tb\n"
    path.write_text(f"# global.columns = ID UPOS FORM PARSEME:MWE\n{rows}", encoding="utf-8")
    examples = read_text("sw", path, labels="auto").examples
    assert [(example.text, example.label) for example in examples] == [
        (("cat", "sat"), ("NOUN", "VERB")),
        (("dog", "ran"), ("NOUN", "VERB")),
    ]
    wide = "\t".join(["1", "A", *"_N______", "*", "*"])
    names = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC X:ONE X:TWO"
    path.write_text(f"# global.columns = {names}\n{wide}\n", encoding="utf-8")
    assert read_text("sw", path, labels="auto").examples[0].label == ("N",)


def test_byte_order_marks_before_sentences_are_not_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "sw.conllu"
    path.write_text("\ufeff1\tHe\n\n\ufeff# text = She\n1\tShe\n", encoding="utf-8")
    assert [example.text for example in read_text("sw", path).examples] == [("He",), ("She",)]
