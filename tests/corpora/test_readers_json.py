"""JSON rows: arrays, objects over several lines, repeated keys, rows without the column of the text."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.support.errors import error_of
from tests.support.text_files import read
from xsns_stream.corpora import not_read, open_corpus
from xsns_stream.errors import CorpusError
from xsns_stream.types import ReadCounts


def complaint(path: Path, content: str | bytes) -> str:
    error = error_of(CorpusError, read, path, content)
    assert error.hint
    return error.message


ROWS = [{"text": "one"}, {"text": "two"}, {"text": None}]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_an_array_of_objects_is_read_as_rows(tmp_path: Path, indent: int | None, mark: str) -> None:
    content = (mark + json.dumps(ROWS, indent=indent) + "\n").encode()
    for path, data in {tmp_path / "sw.jsonl": content, tmp_path / "sw.jsonl.gz": gzip.compress(content)}.items():
        sample = read(path, data)
        assert [example.text for example in sample.examples] == ["one", "two"]
        assert sample.counts == ReadCounts(read=3, empty=1, usable=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "one"}, "two"]\n', "element 2 of the array in sw.jsonl is not an object."),
        ('[{"text": "one"},\n', "sw.jsonl is not a complete array of JSON ("),
        ('{\n"text": "one"\n}\n', "line 1 of sw.jsonl is not JSON (the file is one object over several lines)."),
        ('{"text": "a"}{"text": "b"}\n', "line 1 of sw.jsonl is not JSON (it contains more than one value)."),
        ('{"text": "a"}\n{"text": "b", "text": "c"}\n', "row 2 of sw.jsonl has the key 'text' twice."),
    ],
)
def test_other_forms_of_json_are_named(tmp_path: Path, content: str, message: str) -> None:
    assert complaint(tmp_path / "sw.jsonl", content).startswith(message)


@pytest.mark.parametrize("name", ["fi.json", "fi.JSON.gz", "fi.ndjson"])
@pytest.mark.parametrize("text", ['[{"text": "a"}]', '{"text": "a"}\n{"text": "a"}\n'])
def test_json_files_may_have_other_names(tmp_path: Path, name: str, text: str) -> None:
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (tmp_path / "sw.txt").write_text("a\n", encoding="utf-8")
    corpus = open_corpus(str(tmp_path))
    assert corpus.languages() == ("fi", "sw")
    assert corpus.sample("fi", 1, 0).examples[0].text == "a"
    assert not_read(corpus) == ()


def test_json_beside_a_file_of_the_language_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "fi.txt").write_text("hei\n", encoding="utf-8")
    (tmp_path / "fi.json").write_text('{"about": "the corpus"}', encoding="utf-8")
    corpus = open_corpus(str(tmp_path))
    assert corpus.sample("fi", 1, 0).examples[0].text == "hei"
    assert [(each.file, each.reason) for each in not_read(corpus)] == [("fi.json", "fi.txt is read as fi")]


def test_other_keys_may_be_repeated(tmp_path: Path) -> None:
    sample = read(tmp_path / "sw.jsonl", '{"text": "a", "id": 1, "id": 2}\n')
    assert [example.text for example in sample.examples] == ["a"]


def test_rows_without_the_column_are_counted_apart(tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    rows = "".join(f'{{"text": "row {number}"}}\n' for number in range(19))
    sample = read(path, rows + '{"content": "other"}\n')
    assert sample.counts == ReadCounts(read=20, usable=19, malformed=1)
    assert sample.notes[-1] == "1 of 20 rows of sw.jsonl have no column 'text', and are counted as malformed."
    assert sample.notes[0].startswith("the text of sw.jsonl is read from the column 'text', not from 'content'")
    sentence = complaint(path, rows + '{"content": "other"}\n{"sentence": "more"}\n\n')
    assert sentence == "2 of 21 rows of sw.jsonl have no column 'text'."


def test_byte_order_marks_before_rows_are_not_part_of_the_text(tmp_path: Path) -> None:
    sample = read(tmp_path / "sw.jsonl", '\ufeff{"text":"one"}\n\ufeff{"text":"two"}\n')
    assert [example.text for example in sample.examples] == ["one", "two"]
