"""Dialects of text tables: quotation marks in a .tsv, separators of a .csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xsns_stream.corpora import open_corpus, read_text

QUOTED = {
    "doubled within": 'text\tn\n"she said ""yes"""\t1\nplain\t2\n',
    "all fields": '"text"\t"n"\n"one"\t"1"\n"two"\t"2"\n',
    "all text": '"text"\tn\n"one"\t1\n"two"\t2\n',
    "a tab within": 'text\tn\n"one\ttwo"\t1\nplain\t2\n',
    "a line end within": 'text\tn\n"one\ntwo"\t1\nplain\t2\n',
    "commas, as Excel does": 'text\tn\n"one, two"\t1\nplain\t2\n',
}
LITERAL = {
    "none": "text\tn\none\t1\n",
    "within a field": 'text\tn\nsay "yes"\t1\n"whole"\t2\n',
    "at the beginning": 'text\tn\n"yes," he said\t1\n',
    "some whole fields": 'text\tn\n"Yes."\t1\nNo.\t2\n',
    "whole fields with commas beside commas": 'text\tn\n"Yes, I do."\t1\nNo, I do not.\t2\n',
    "an inch": 'text\tn\n5" pipe\t1\n"a ""b"""\t2\n',
    "never closed": 'text\tn\n"half a quote\t1\nplain\t2\n',
    "closed in another row": 'text\tn\n"one\t1\nx\ttwo"\ty\t2\n',
}


def texts(path: Path) -> list[object]:
    return [example.text for example in read_text("sw", path).examples]


@pytest.mark.parametrize("kind", QUOTED)
def test_quoting_is_recognised_with_a_note(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sw.tsv"
    path.write_text(QUOTED[kind], encoding="utf-8")
    rows = list(csv.reader(io.StringIO(QUOTED[kind]), delimiter="\t"))[1:]
    assert texts(path) == [row[0] for row in rows]
    sentence = "sw.tsv is read as a table with quotation marks around fields; the marks are not part of the text."
    assert open_corpus(str(tmp_path)).sample("sw", 1, 0).notes == (sentence,)


@pytest.mark.parametrize("kind", LITERAL)
def test_quotation_marks_that_are_text_stay(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sw.tsv"
    path.write_text(LITERAL[kind], encoding="utf-8")
    if kind != "closed in another row":  # a file with one row of three fields is not a table
        assert texts(path) == [line.split("\t")[0] for line in LITERAL[kind].splitlines()[1:]]
        assert open_corpus(str(tmp_path)).sample("sw", 1, 0).notes == ()


CELLS = st.text(st.sampled_from('ab ",\t\n'), min_size=1).map(str.strip).filter(bool)


@given(st.lists(CELLS, min_size=1, max_size=8), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
def test_what_csv_writes_with_tabs_is_read_back(tmp_path: Path, cells: list[str], quoting: int) -> None:
    path = tmp_path / "sw.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
        writer.writerows([["text", "n"], *([cell, "1"] for cell in cells)])
    assert texts(path) == list(dict.fromkeys(cells))


@pytest.mark.parametrize(("separator", "separator_name"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_csv_with_another_separator_is_read_with_a_note(tmp_path: Path, separator: str, separator_name: str) -> None:
    path = tmp_path / "sw.csv"
    path.write_text(f'\ufefftext{separator}n\n"a; b"{separator}1\nc, d{separator}2\n', encoding="utf-8")
    assert texts(path) == ["a; b", "c, d"]
    assert open_corpus(str(tmp_path)).sample("sw", 1, 0).notes == (
        f"sw.csv is read as a table with {separator_name} between fields.",
    )
    path.write_text("text,n;m\na;b,1\n", encoding="utf-8")
    assert texts(path) == ["a;b"]


def test_one_row_that_does_not_fit_makes_a_table_of_many_rows_invalid(tmp_path: Path) -> None:
    path = tmp_path / "sw.csv"
    rows = [f"row {number}" for number in range(3000)]
    path.write_text("text\n" + "\n".join(rows) + "\n", encoding="utf-8")
    assert texts(path) == rows
    path.write_text("text\n" + "\n".join(rows) + "\na,b\n", encoding="utf-8")
    with pytest.raises(Exception, match=r"sw\.csv is not a table"):
        texts(path)
