"""Tables of text: quotation marks that do not balance, escapes, repeated headers and columns, long rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tests.support.errors import error_of
from tests.support.text_files import read
from xsns_stream.corpora import read_text
from xsns_stream.errors import CorpusError


def texts(path: Path, content: str | bytes) -> list[object]:
    return [example.text for example in read(path, content).examples]


def complaint(path: Path, content: str | bytes, **options: str) -> str:
    error = error_of(CorpusError, read, path, content, **options)
    assert error.hint
    return error.message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('text\n"Hello\nsecond\nthird\nfourth "row" here\nfifth\n', "in line 5, text follows a closing quotation mark"),
        ('text\n"Hello\nsecond\n5" screen\nfifth\n', "in line 4, text follows a closing quotation mark"),
        ('id,text\n1,"He said hi\n2,second\n', "quotation mark that opens a field in line 2 is never closed"),
        ('id,text\n1,"He said hi\n2,second\n3,"x"\n', "in line 4, text follows a closing quotation mark"),
        ('id,text\n1,"He said "hi" to me"\n', "in line 2, text follows a closing quotation mark"),
        (
            'text,n\n5" screen,1\n"a, b",2\n',
            "line 2 has a quotation mark within a field that is not quoted, and line 3",
        ),
        ('text,n\n"a, b",1\nx,2\na "b" c,3\n', "line 4 has a quotation mark within a field that is not quoted"),
    ],
)
def test_quotation_marks_that_do_not_balance_are_refused(tmp_path: Path, content: str, reason: str) -> None:
    sentence = complaint(tmp_path / "sw.csv", content)
    assert sentence.startswith("sw.csv is not a table (")
    assert reason in sentence


@pytest.mark.parametrize(
    "content",
    [
        'id,text\n1,"Hello\n2,second\n3,third\n4,fourth"\n5,fifth\n',
        'text,id\n"Hello,1\nsecond,2\nthird",3\nfourth,4\n',
    ],
)
def test_rows_within_quotation_marks_are_refused(tmp_path: Path, content: str) -> None:
    assert "the quotation mark in line 2 is closed in line" in complaint(tmp_path / "sw.csv", content)


def test_verse_within_quotation_marks_is_one_text(tmp_path: Path) -> None:
    content = 'id,text\n1,"a rose\nis a rose, is\na rose, and"\n2,"one, two\nthree"\n3,"x\n4"\n'
    assert len(texts(tmp_path / "sw.csv", content)) == 3


def test_marks_within_fields_of_a_file_without_quoting_are_text(tmp_path: Path) -> None:
    assert texts(tmp_path / "sw.csv", 'text,n\n5" screen,1\nthe "best" one,2\n') == ['5" screen', 'the "best" one']
    assert texts(tmp_path / "sw.csv", 'text,n\n"padded" ,1\n"",2\n') == ["padded"]


def test_rows_that_contain_line_ends_are_noted(tmp_path: Path) -> None:
    sample = read(tmp_path / "sw.csv", 'id,text\n1,one\n2,"two\nlines"\n3,"three\r\n\r\nlines"\n')
    assert [example.text for example in sample.examples] == ["one", "two\nlines", "three\r\n\r\nlines"]
    assert sample.notes == (
        "2 of 3 rows of sw.csv contain line ends between quotation marks, and are one example each; the first begins "
        "in line 3.",
    )


def test_backslashes_before_quotation_marks_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "sw.csv"
    sample = read(path, 'id,text\n1,"He said \\"hi\\" to \\\\me, \\n"\n2,"a\n\\"b\\""\n3,c:\\d\n')
    assert [example.text for example in sample.examples] == ['He said "hi" to \\me, \\n', 'a\n"b"', "c:\\d"]
    assert (
        sample.notes[0] == "sw.csv is read as a table in which a backslash precedes each quotation mark within a field."
    )
    # The file is valid with doubled quotation marks, so that its backslashes are text.
    assert texts(path, 'id,text\n1,"c:\\"\n2,"say ""\\x"""\n') == ["c:\\", 'say "\\x"']
    assert "is not a table" in complaint(path, 'id,text\n1,"a \\"b\\" c"\n2,"d "e" f"\n')


CELLS = st.text(st.sampled_from('ab \\",;\n\r'), max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_what_csv_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]], quoting: int) -> None:
    path = tmp_path / "sw.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=quoting)  # type: ignore[arg-type]
        writer.writerows([["text", "n"], *rows, ["end", "1"]])
    cells = [text.strip() for text, _ in [*rows, ("end", "")]]
    assert [example.text for example in read_text("sw", path).examples] == list(dict.fromkeys(filter(None, cells)))


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("id,text\n1,Hello, world\n2,x\n", "line 2 has 3 fields, and the header has 2"),
        ("text\nplain\nHello, world\n", "line 3 has 2 fields, and the header has 1"),
        ('text\n"a\nb"\nHello, world\n', "line 4 has 2 fields, and the header has 1"),
        ("text;n\na;1\nb;2;3\n", "line 3 has 3 fields, and the header has 2"),
        ("text,n\none\rtwo,1\nthree,2\n", "line 2 ends with a carriage return (CR) alone"),
    ],
)
def test_rows_of_wrong_length_are_named(tmp_path: Path, content: str, where: str) -> None:
    assert complaint(tmp_path / "sw.csv", content).startswith(f"sw.csv is not a table ({where}")


def test_carriage_returns_as_line_ends(tmp_path: Path) -> None:
    assert texts(tmp_path / "sw.csv", "text,n\rone,1\rtwo\r") == ["one", "two"]
    assert texts(tmp_path / "sw.csv", 'text,n\n"one\rtwo",1\nthree,2\n') == ["one\rtwo", "three"]


def test_a_line_that_names_the_separator_is_not_text(tmp_path: Path) -> None:
    sample = read(tmp_path / "sw.csv", "sep=;\ntext;id\na, b;1\n")
    assert [example.text for example in sample.examples] == ["a, b"]
    assert sample.notes == ("sw.csv is read as a table with semicolons between fields.",)


@pytest.mark.parametrize(("suffix", "gap"), [(".csv", ","), (".tsv", "\t")])
def test_headers_in_the_middle_are_left_out(tmp_path: Path, suffix: str, gap: str) -> None:
    header = f"\ufefftext{gap}label\n"
    path = tmp_path / f"sw{suffix}"
    sample = read(path, f"{header}one{gap}x\n{header}two{gap}y\n{header}", labels="auto")
    assert [(example.text, example.label) for example in sample.examples] == [("one", "x"), ("two", "y")]
    assert sample.notes == (f"2 rows that repeat the header of sw{suffix} are left out.",)
    assert sample.counts.read == 2
    assert read(path, f"text{gap}n\na{gap}1\ntext{gap}n\n").notes == (
        f"1 row that repeats the header of sw{suffix} is left out.",
    )


def test_two_columns_of_one_name_are_refused_if_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sw.csv"
    sentence = "sw.csv has 2 columns called 'text'."
    assert complaint(path, "text,text\none,two\n") == sentence
    assert complaint(path, "text,id,text\none,1,two\n", text_column="text") == sentence
    assert complaint(path, "text,label,label\na,x,y\n", labels="auto") == "sw.csv has 2 columns called 'label'."
    assert texts(path, "id,text,id\n1,one,2\n") == ["one"]
    path = tmp_path / "sw.parquet"
    parquet.write_table(pa.table([pa.array(["one"]), pa.array(["two"])], names=["text", "text"]), path)
    with pytest.raises(CorpusError, match=r"^sw\.parquet has 2 columns called 'text'\."):
        read_text("sw", path)


def test_the_choice_among_columns_is_noted(tmp_path: Path) -> None:
    sentence = (
        "the text of {} is read from the column 'text', not from 'sentence', 'content': --text-column chooses "
        "another column."
    )
    path = tmp_path / "sw.csv"
    content = "content,sentence,text\na,b,id7\n"
    assert read(path, content).notes == (sentence.format("sw.csv"),)
    assert read(path, content, text_column="sentence").notes == ()
    rows = '{"text": "a", "content": "b"}\n{"text": "b", "sentence": "c"}\n'
    assert read(tmp_path / "sw.jsonl", rows).notes == (sentence.format("sw.jsonl"),)
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"text": ["a"], "sentence": ["b"], "content": ["c"]}), buffer)
    assert read(tmp_path / "sw.parquet", buffer.getvalue()).notes == (sentence.format("sw.parquet"),)
    pairs = read(path, "sentence,sentence1,sentence2,label\na,b,c,1\n", labels="auto")
    assert pairs.notes == ()
