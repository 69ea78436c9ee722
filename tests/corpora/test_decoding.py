"""Lines from bytes: encodings, line ends, compression, control characters, lines without end."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.compression import zstd
from tests.support.errors import error_of
from xsns_stream.corpora import decoding, open_corpus, read_text
from xsns_stream.corpora.decoding import iter_lines
from xsns_stream.corpora.examples import without_control
from xsns_stream.corpora.tasks.readers import file_text
from xsns_stream.errors import CorpusError
from xsns_stream.types import ReadCounts, TextExample
from xsns_stream.types.text import AnswerSpan

GERMAN = "Die Straße führt über die Brücke.\n" * 20
RUSSIAN = "Члены Национального собрания, как и вчера, обеспокоены.\n" * 20
CHINESE = "威爾斯國會議員擔心看起來很愚蠢\n" * 20


def complaint(path: Path) -> CorpusError:
    return error_of(CorpusError, read_text, "de", path)


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, CHINESE])
@pytest.mark.parametrize(
    ("encoding", "encoding_name", "command"),
    [
        ("utf-16", "UTF-16", "iconv -f UTF-16 "),
        ("utf-16-le", "UTF-16LE", "iconv -f UTF-16LE "),
        ("utf-16-be", "UTF-16BE", "iconv -f UTF-16BE "),
        ("utf-32", "UTF-32", "iconv -f UTF-32 "),
        ("utf-32-le", "UTF-32LE", "iconv -f UTF-32LE "),
        ("utf-32-be", "UTF-32BE", "iconv -f UTF-32BE "),
    ],
)
@pytest.mark.parametrize("name", ["x.txt", "x.csv", "x.conllu", "x.jsonl"])
def test_wide_encodings_are_refused_with_the_command_that_converts_them(
    tmp_path: Path, text: str, encoding: str, encoding_name: str, command: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    error = complaint(path)
    assert f"{encoding_name}, not UTF-8" in error.message
    assert f"{command}-t UTF-8 {path} > {path}.utf8 && mv {path}.utf8 {path}`" in error.hint


def test_a_compressed_file_is_converted_decompressed(tmp_path: Path) -> None:
    path = tmp_path / "my file.txt.xz"
    path.write_bytes(lzma.compress(GERMAN.encode("utf-16")))
    error = complaint(path)
    assert error.message == "my file.txt.xz is UTF-16, not UTF-8."
    plain = str(path).removesuffix(".xz")
    assert f"`xzcat '{path}' | iconv -f UTF-16 -t UTF-8 > '{plain}'`, and remove '{path}'." in error.hint


def test_labelled_data_in_utf16_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sw-train.txt"
    path.write_bytes("leo B-DATE\n".encode("utf-16"))
    with pytest.raises(CorpusError, match="is UTF-16, not UTF-8"):
        file_text(path)


def test_nuls_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"\0\0\0\0\0\nabc\0def ghi\n")
    error = complaint(path)
    assert error.message == "x.txt is not text: 33.3% of its first 18 bytes are NUL."


def test_latin1_is_refused_and_a_few_bad_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes("".join(f"Straße {n}\n" for n in range(10)).encode("latin-1"))
    error = complaint(path)
    assert error.message == "10 of 10 lines of x.txt are not UTF-8."
    assert f"iconv -f ISO-8859-1 -t UTF-8 {path}" in error.hint
    good = "".join(f"Weg {n}\n" for n in range(40)).encode()
    path.write_bytes(good + b"stra\xdfe 1\nstra\xdfe 2\nstra\xdfe 3\n\n")
    assert read_text("de", path).counts == ReadCounts(read=44, empty=1, undecodable=3, usable=40)


def test_control_characters_are_removed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(b"a\0b\n\x7f\x01\nab\n\tc\td\x0c\n" + b"".join(b"line %d\n" % n for n in range(40)))
    sample = read_text("de", path)
    assert [example.text for example in sample.examples[:2]] == ["ab", "c\td"]
    assert sample.counts == ReadCounts(read=44, empty=1, duplicate=1, usable=42, control=2)
    path.write_bytes(b"".join(b"a\x01 %d\n" % n for n in range(5)))
    assert complaint(path).message == "5 of 5 lines of x.txt contain control characters."


def test_control_characters_take_their_labels_and_move_answers() -> None:
    words = TextExample(("MA\x8fi", "\x01", "x"), None, ("B", "O", "I"))
    assert without_control(words) == TextExample(("MAi", "x"), None, ("B", "I"))
    question = TextExample("who\x02?", "\x01 a\x03b Ann\x04a c", AnswerSpan(6, "Ann\x04a"))
    assert without_control(question) == TextExample("who?", "ab Anna c", AnswerSpan(3, "Anna"))
    plain = TextExample("a\tb\u2028\x85c")
    assert without_control(plain) is plain


@pytest.mark.parametrize("block", [1, 2, 3, 7, 2**18])
def test_line_ends_of_every_system_end_lines(tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_BLOCK", block)
    path = tmp_path / "x.txt"
    for data, expected in {
        "a\r\nb\r\n\r\nc": ["a", "b", "", "c"],
        "a\rb\r\rc\r": ["a", "b", "", "c"],  # classic Mac OS
        "a\r\r\nb\n": ["a", "b"],  # CRLF converted twice
        "a\nb\rc\n": ["a", "b", "c"],
        "a\u2028b\u2029c\x85d\x0be\n": ["a\u2028b\u2029c\x85d\x0be"],
        "\n": [""],
        "": [],
        "\ufeffa\n\ufeffb\r\n\ufeff\n": ["a", "b", ""],  # files joined with `cat`
    }.items():
        if block < 3 and data.startswith("\ufeff"):
            continue  # a block is never shorter than the byte order mark
        path.write_bytes(data.encode())
        assert [line.decode() for line in iter_lines(path)] == [f"{line}\n" for line in expected], data


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", zstd)],
)
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.txt", "eins\nzwei\n"),
        ("x.jsonl", '{"text": "eins"}\n{"text": "zwei"}\n'),
        ("x.csv", "id,text\n1,eins\n2,zwei\n"),
        ("x.tsv", "id\ttext\n1\teins\n2\tzwei\n"),
        ("x.conllu", "1\teins\n\n1\tzwei\n\n"),
    ],
)
def test_compressed_files_are_read_as_plain_ones(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], name: str, data: str
) -> None:
    (tmp_path / name).write_text(data, encoding="utf-8")
    packed = tmp_path / f"{name}{suffix}"
    packed.write_bytes(pack(data.encode()))
    assert read_text("de", packed).examples == read_text("de", tmp_path / name).examples
    assert len(read_text("de", packed)) == 2
    packed.write_bytes(pack(data.encode() * 1000)[:-9])
    assert "is not a complete" in complaint(packed).message
    packed.write_bytes(b"plain text")
    assert "is not a complete" in complaint(packed).message


def test_a_line_without_end_is_cut_between_characters(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("aßßßß\nb\n", encoding="utf-8")
    with path.open("rb") as stream:
        units = list(decoding._bounded_lines(stream, Path("x.txt"), 4))
    assert units == [("aß\n".encode(), True), (b"b\n", False)]


def test_a_text_of_more_than_a_million_characters_is_cut_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("ß" * 3_000_000 + "\nkurz\n" + "a" * (2**20) + "\n", encoding="utf-8")
    sample = read_text("de", path)
    assert [len(example.text) for example in sample.examples] == [2**20, 4, 2**20]
    assert sample.counts == ReadCounts(read=3, usable=3, cut=1)


def test_a_row_of_json_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsns_stream.corpora.json_lines._MAX_ROW_BYTES", 2**20)
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a"}\n{"text": "' + "b" * 2**21 + '"}\n', encoding="utf-8")
    assert complaint(path).message == "line 2 of x.jsonl is longer than 1 MiB."


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\nsize 12345\n"
STAND_INS = {
    "pointer": (POINTER, "is a pointer of Git LFS, not the file itself", "git lfs pull"),
    "page": (
        b"\xef\xbb\xbf\n<!DOCTYPE html><html><body>404</body></html>\n",
        "is an HTML page",
        "download the file again",
    ),
    "page without a type": (b"<HTML>\n", "is an HTML page", "download the file again"),
    "store": (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "is an error message", "fetch"),
    "answer": (b"404: Not Found", "is an error message of a server", "fetch"),
}


@pytest.mark.parametrize("kind", STAND_INS)
@pytest.mark.parametrize(
    "name", ["x.txt", "x.txt.gz", "x.jsonl", "x.parquet", "x.csv", "x.tsv", "x.conllu", "x.jsonl.zst"]
)
def test_placeholders_of_files_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    data, message, hint = STAND_INS[kind]
    path = tmp_path / name
    path.write_bytes(data)
    assert complaint(path).message.startswith(f"{name} {message}")
    assert hint in complaint(path).hint


def test_a_compressed_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(STAND_INS["page"][0]))
    assert complaint(path).message == "x.txt.gz is an HTML page, not the file itself."


def test_text_about_pages_and_pointers_is_text(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("404: Not Found is an error.\nversion 1\n<b>html</b>\n", encoding="utf-8")
    assert len(read_text("sw", path)) == 3


def test_commands_in_hints_name_files_as_they_must_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file name includes the folder as it was given, and is quoted for a shell."""
    monkeypatch.chdir(tmp_path)
    folder = Path("my texts")
    folder.mkdir()
    (folder / "de.txt").write_bytes("".join(f"Straße {n}\n" for n in range(10)).encode("latin-1"))
    for name in ("sw.txt", "swh_Latn.txt", "fi-00000-of-00002.txt"):
        (folder / name).write_text("moja\n", encoding="utf-8")
    corpus = open_corpus("my texts")
    hints = {}
    for code in corpus.languages():
        with pytest.raises(CorpusError) as caught:
            corpus.sample(code, 1, 0)
        hints[code] = caught.value.hint
    assert "iconv -f ISO-8859-1 -t UTF-8 'my texts/de.txt' > 'my texts/de.txt.utf8' && mv" in hints["de"]
    assert "--corpus 'sw=my texts/sw.txt' " in hints["sw"]
    assert "--corpus 'fi=my texts/fi-00000-of-00002.txt'." in hints["fi"]
    with pytest.raises(CorpusError) as caught:
        open_corpus("my texts/sw.txt")
    assert "--corpus 'sw=my texts/sw.txt', if it is Swahili" in caught.value.hint
