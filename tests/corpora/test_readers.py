"""Readers of single files: every suffix, every count, every error."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from unicodedata import category

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.errors import error_of
from xsns_stream.corpora import read_text
from xsns_stream.corpora.text_checks import is_mojibake, is_wrong_latin_1
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.types import LanguageSample, ReadCounts

CONLLU = """\
# sent_id = 1
# text = Vámonos al mar
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\t_\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\t_\tPRON\t_\t_\t_\t_\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\t_\tADP\t_\t_\t_\t_\t_\t_
4\tel\t_\tDET\t_\t_\t_\t_\t_\t_
4.1\tgran\t_\t_\t_\t_\t_\t_\t_\t_
5\tmar\t_\tNOUN\t_\t_\t_\t_\t_\tSpaceAfter=No

# newdoc

# sent_id = 2
1\tcho phép\t_\tVERB\t_\t_\t_\t_\t_\t_
"""


def texts(sample: LanguageSample) -> list[str | tuple[str, ...]]:
    return [example.text for example in sample.examples]


def message(path: Path, column: str | None = None) -> tuple[str, str]:
    error = error_of(CorpusError, read_text, "sw", path, column)
    return error.message, error.hint


def test_lines_of_a_file_are_read_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(
        b"\xef\xbb\xbfhabari\r\n"  # a byte order mark and CRLF
        b"\n"
        b" \t \n"
        b"habari\n"
        b"ma\xffta\n"
        b"caf\xc3\xa9\n"
        b"cafe\xcc\x81\n"  # the same in another normal form: left alone
        b"one\xe2\x80\xa8line\n"  # U+2028 is no line end
        b"  mwisho"
    )
    sample = read_text("swh", path)
    assert texts(sample) == ["habari", "café", "cafe\u0301", "one\u2028line", "mwisho"]
    assert sample.counts == ReadCounts(read=9, empty=2, duplicate=1, undecodable=1, usable=5)
    assert sample.language == "sw"
    assert sample.source == f"{tmp_path.name}/x.txt"


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x85\ufeff", exclude_categories=["Cc"])),
        min_size=1,
    ),
    st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_lines_that_were_written_are_read_back(tmp_path: Path, lines: list[str], zipped: bool) -> None:
    # A file with three texts of this kind is refused.
    assume(not any(is_mojibake(line) or is_wrong_latin_1(line) for line in lines))
    path = tmp_path / ("x.txt.gz" if zipped else "x.txt")
    data = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, 1) if zipped else data)
    # A line of white space and format characters alone, such as a soft hyphen, counts as empty.
    visible = [line.strip() for line in lines if any(category(c)[0] != "Z" and category(c) != "Cf" for c in line)]
    expected = list(dict.fromkeys(visible))
    if not expected:
        assert "no usable text" in message(path)[0]
        return
    sample = read_text("sw", path)
    assert texts(sample) == expected
    counts = sample.counts
    assert counts.read == len(lines)
    assert counts.read == counts.empty + counts.duplicate + counts.undecodable + counts.usable


def test_conllu_takes_the_words_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "x.conllu"
    path.write_text(CONLLU, encoding="utf-8")
    sample = read_text("es", path)
    assert texts(sample) == [("Vámonos", "al", "mar"), ("cho phép",)]
    assert sample.counts == ReadCounts(read=3, empty=1, usable=2)


def test_conllu_skips_a_sentence_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.conllu.gz"
    path.write_bytes(gzip.compress(b"1\tna\xffda\r\n2\tx\r\n\r\n" + CONLLU.encode().replace(b"\n", b"\r\n")))
    sample = read_text("es", path)
    assert texts(sample)[0] == ("Vámonos", "al", "mar")
    assert sample.counts.undecodable == 1


@pytest.mark.parametrize("broken", ["word without tab\n", "one\tword\n", "1\n"])
def test_broken_conllu_names_the_sentence(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "x.conllu"
    path.write_text("1\tfine\n\n" + broken, encoding="utf-8")
    sentence, hint = message(path)
    assert sentence.startswith("sentence 2 of x.conllu is not CoNLL-U")
    assert "FORM" in hint


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_jsonl_gz(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def write_parquet(path: Path, rows: list[dict[str, object]]) -> None:
    pd.DataFrame(rows).to_parquet(path)


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    pd.DataFrame(rows).to_csv(path, index=False)


TABLES = [
    ("x.jsonl", write_jsonl),
    ("x.jsonl.gz", write_jsonl_gz),
    ("x.parquet", write_parquet),
    ("x.csv", write_csv),
]
Writer = Callable[[Path, list[dict[str, object]]], None]


@pytest.mark.parametrize(("name", "write"), TABLES)
def test_every_format_of_tables_gives_the_same_text(tmp_path: Path, name: str, write: Writer) -> None:
    path = tmp_path / name
    rows: list[dict[str, object]] = [
        {"id": 1, "text": ' a "quoted", text ', "title": "A"},
        {"id": 2, "text": None, "title": "B"},
        {"id": 3, "text": "NA", "title": "C"},
        {"id": 4, "text": "NA", "title": "B"},
    ]
    write(path, rows)
    sample = read_text("sw", path)
    assert texts(sample) == ['a "quoted", text', "NA"]
    assert sample.counts == ReadCounts(read=4, empty=1, duplicate=1, usable=2)
    assert texts(read_text("sw", path, "title")) == ["A", "B", "C"]
    assert message(path, "body") == (f"{name} has no column 'body'.", "its columns are id, text, title.")


@pytest.mark.parametrize(("name", "write"), TABLES)
def test_tables_without_a_known_column_are_refused(tmp_path: Path, name: str, write: Writer) -> None:
    path = tmp_path / name
    write(path, [{"id": "1", "body": "x"}])
    sentence = f"no column of {name} has a usual name for text (columns: id, body)."
    assert message(path) == (sentence, "name the column of the text with --text-column.")


@pytest.mark.parametrize(("name", "write"), TABLES[:3])
def test_lists_are_words(tmp_path: Path, name: str, write: Writer) -> None:
    path = tmp_path / name
    rows: list[dict[str, object]] = [
        {"tokens": ["a ", "", "b"], "tags": [0, 1, 2]},
        {"tokens": [], "tags": []},
    ]
    write(path, rows)
    sample = read_text("sw", path)
    assert texts(sample) == [("a", "b")]
    assert sample.counts.empty == 1
    sentence, hint = message(path, "tags")
    assert sentence == f"column 'tags' of {name} contains neither text nor lists of words, but list."
    assert "--text-column" in hint


def test_known_columns_have_an_order(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_jsonl(path, [{"premise": "p", "sentence": "s"}])
    assert texts(read_text("sw", path)) == ["s"]


def test_jsonl_counts_bad_bytes_and_lone_surrogates(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n\n{"text": "\\ud800"}\n{"text": null}\n')
    sample = read_text("sw", path)
    assert texts(sample) == ["a"]
    assert sample.counts == ReadCounts(read=5, empty=2, undecodable=2, usable=1)
    assert sample.digest


@pytest.mark.parametrize(
    ("line", "expected"),
    [("{", "is not JSON"), ('"text"', "is JSON, but not an object"), ("[1]", "not an object")],
)
def test_broken_jsonl_names_the_line(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n' + line + "\n", encoding="utf-8")
    sentence, _ = message(path)
    assert sentence.startswith("line 2 of x.jsonl")
    assert expected in sentence


def test_tsv_has_no_quoting(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b'\xef\xbb\xbftext\tn\r\n"half a quote\t1\r\n\r\nplain\t2\r\n')
    sample = read_text("sw", path)
    assert texts(sample) == ['"half a quote', "plain"]
    assert sample.counts.empty == 1


@pytest.mark.parametrize("rows", ["a,b\n", "a,b\nc,d\n", '"a\n'])
def test_an_invalid_csv_is_refused(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("text\n" + rows, encoding="utf-8")
    sentence, hint = message(path)
    assert sentence.startswith("x.csv is not a table (")
    assert "header" in hint


def test_a_csv_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("text\ncafé\n".encode("latin-1"))
    sentence, hint = message(path)
    assert sentence.startswith("x.csv is not UTF-8")
    assert hint.startswith("save it as UTF-8: ")


@pytest.mark.parametrize(
    ("name", "data", "counts"),
    [
        ("x.txt", b"", "it contains no line, row or sentence"),
        ("x.txt", b"\n \n\xff\n", "3 read, 2 empty, 1 not UTF-8"),
        ("x.jsonl", b"\n\xff\n", "2 read, 1 empty, 1 not UTF-8"),
        ("x.conllu", b"# nothing\n\n", "1 read, 1 empty"),
        ("x.csv", b"", "it contains no line, row or sentence"),
        ("x.tsv", b"text\n", "it contains no line, row or sentence"),
    ],
)
def test_a_file_without_usable_text_is_refused_with_counts(tmp_path: Path, name: str, data: bytes, counts: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert message(path)[0] == f"{name} has no usable text: {counts}."


@pytest.mark.parametrize("name", ["x.txt", "x.conllu"])
def test_lines_have_no_columns(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("1\tx\n", encoding="utf-8")
    assert message(path, "text")[0] == f"{name} has no columns, so it has no column 'text'."


def test_missing_damaged_and_irregular_files_are_refused(tmp_path: Path) -> None:
    assert "there is no file" in message(tmp_path / "none.txt")[0]
    compressed = gzip.compress(b"habari\n" * 1000)
    for name, data in {
        "no.txt.gz": b"plain",
        "cut.txt.gz": compressed[:-12],
        "bad.txt.gz": compressed[:20] + b"\0" * 40,
    }.items():
        (tmp_path / name).write_bytes(data)
        assert "is not a complete gzip file" in message(tmp_path / name)[0]
    (tmp_path / "no.parquet").write_bytes(b"PAR1 but no more")
    assert message(tmp_path / "no.parquet")[0].startswith("no.parquet is not a complete Parquet file (")
    (tmp_path / "x.pkl").write_bytes(b"")
    sentence, hint = message(tmp_path / "x.pkl")
    assert sentence == "x.pkl has a suffix that cannot be read."
    assert ".conllu" in hint
    (tmp_path / "dir.txt").mkdir()
    assert "dir.txt cannot be read" in message(tmp_path / "dir.txt")[0]


def test_the_language_is_checked(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(LanguageError):
        read_text("../x", tmp_path / "x.txt")
