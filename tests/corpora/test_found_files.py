"""Files and folders as bug reports of other tools describe them, with the texts that they contain."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tarfile
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.errors import error_of
from xsns_stream.corpora import open_corpus, read_text
from xsns_stream.errors import CorpusError
from xsns_stream.types import LanguageSample

TEXTS = ["Habari ya asubuhi.", "Ninakwenda sokoni.", "Tunakula chakula.", "Watoto wanacheza."]


def texts(path: Path) -> list[Any]:
    return [each.text for each in read_text("sw", path).examples]


def refused(path: Path) -> CorpusError:
    return error_of(CorpusError, read_text, "sw", path)


def written(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


# -------------------------------------------------------------------------------------------- other kinds


def test_an_archive_under_the_name_of_a_text_is_refused(tmp_path: Path) -> None:
    member = written(tmp_path / "a.txt", "\n".join(TEXTS))
    for name, mode in (("sw.txt", "w"), ("sw.txt.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as archive:  # type: ignore[call-overload]
            archive.add(member, "a.txt")
        error = refused(tmp_path / name)
        assert error.message == f"{name} is a TAR archive, not text."
        assert error.hint == f"unpack it with `tar -xf {name}`."
    with zipfile.ZipFile(tmp_path / "sw.txt", "w") as zipped:
        zipped.write(member, "a.txt")
    assert refused(tmp_path / "sw.txt").message.startswith(
        "sw.txt is a ZIP archive, or a document of an office program"
    )


@pytest.mark.parametrize(
    ("data", "kind", "hint"),
    [
        (rb"{\rtf1\ansi\ansicpg1252 Habari ya asubuhi.\par}", "a document in Rich Text Format", "Make Plain Text"),
        (b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n", "a PDF document", "pdftotext"),
        (gzip.compress(b"Habari.\n", mtime=0), "compressed with gzip", "add .gz to its name."),
        (bz2.compress(b"Habari.\n"), "compressed with bzip2", "add .bz2 to its name."),
        (lzma.compress(b"Habari.\n"), "compressed with xz", "add .xz to its name."),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "a document of an office program", "plain text"),
    ],
)
@pytest.mark.parametrize("name", ["sw.txt", "sw.jsonl", "sw.csv"])
def test_files_of_other_kinds_are_refused_by_name(name: str, data: bytes, kind: str, hint: str, tmp_path: Path) -> None:
    error = refused(written(tmp_path / name, data))
    assert error.message == f"{name} is {kind}, not text."
    assert hint in error.hint


def test_a_web_page_under_the_name_of_a_compressed_text_is_refused(tmp_path: Path) -> None:
    error = refused(written(tmp_path / "sw.txt.gz", "\n\n<!DOCTYPE html>\n<html><body>404</body></html>\n"))
    assert error.message == "sw.txt.gz is an HTML page, not the file itself."


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("texts.zip", "unzip -d texts texts.zip"),
        ("texts.tar.gz", "mkdir texts && tar -xf texts.tar.gz -C texts"),
        ("my texts.tgz", "mkdir 'my texts' && tar -xf 'my texts.tgz' -C 'my texts'"),
    ],
)
def test_an_archive_as_a_corpus_is_refused_with_a_command_to_unpack_it(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / name, b"PK\x03\x04")
    with pytest.raises(CorpusError, match="is an archive, and archives are not read") as caught:
        open_corpus(name)
    assert f"`{command}`" in caught.value.hint


# -------------------------------------------------------------------------------------------- compression


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_compressed_files_that_were_joined_are_read_as_one(suffix: str, tmp_path: Path) -> None:
    def packed(data: bytes) -> bytes:
        other = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}.get(suffix)
        return other(data) if other else pa.Codec("zstd").compress(data, asbytes=True)

    data = packed(b"Habari.\n") + packed(b"Ninakwenda sokoni.\nTunakula") + packed(b" chakula.")
    assert texts(written(tmp_path / f"sw.txt{suffix}", data)) == ["Habari.", "Ninakwenda sokoni.", "Tunakula chakula."]
    assert "is not a complete" in refused(written(tmp_path / f"sw.txt{suffix}", packed(b"Habari.\n" * 50)[:-5])).message


# --------------------------------------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS).dictionary_encode(),
        pa.array(TEXTS, pa.string_view()),
        pa.array([text.encode() for text in TEXTS], pa.binary()),
        pa.array([text.encode() for text in TEXTS], pa.large_binary()),
        pa.array([text.encode() for text in TEXTS], pa.binary()).dictionary_encode(),
    ],
    ids=lambda column: str(column.type)[:20],
)
def test_every_type_of_text_in_parquet_is_read(column: pa.Array, tmp_path: Path) -> None:
    parquet.write_table(pa.table({"text": column}), tmp_path / "sw.parquet")
    assert texts(tmp_path / "sw.parquet") == TEXTS


def test_bytes_of_parquet_that_are_not_text_are_counted_or_refused(tmp_path: Path) -> None:
    rows = [text.encode() for text in TEXTS] * 10
    for number, row in enumerate(rows):
        rows[number] = row + str(number).encode()
    table = pa.table({"text": pa.array([*rows, b"caf\xe9"], pa.binary())})
    parquet.write_table(table, tmp_path / "sw.parquet")
    assert read_text("sw", tmp_path / "sw.parquet").counts.undecodable == 1
    parquet.write_table(pa.table({"text": pa.array([b"\xff\xd8"] * 9, pa.binary())}), tmp_path / "sw.parquet")
    assert "9 of 9 lines of sw.parquet are not UTF-8" in refused(tmp_path / "sw.parquet").message


def test_languages_and_texts_are_read_from_bytes_of_parquet(tmp_path: Path) -> None:
    columns = {"lang": [b"sw", b"fi", b"sw"], "text": [b"Habari.", b"Huomenta.", b"Asubuhi."]}
    parquet.write_table(
        pa.table({name: pa.array(cells, pa.binary()) for name, cells in columns.items()}), tmp_path / "t.parquet"
    )
    corpus = open_corpus(str(tmp_path / "t.parquet"), language_column="lang")
    assert corpus.languages() == ("fi", "sw")
    assert {each.text for each in corpus.sample("sw", 5, 0).examples} == {"Habari.", "Asubuhi."}


def test_a_folder_that_spark_wrote_is_read_as_one_file(tmp_path: Path) -> None:
    for number in (0, 1):
        folder = tmp_path / "texts" / "sw.parquet"
        folder.mkdir(parents=True, exist_ok=True)
        part = pa.table({"text": TEXTS[2 * number : 2 * number + 2]})
        parquet.write_table(part, folder / f"part-0000{number}-9943d681-c000.snappy.parquet")
    written(folder / "_SUCCESS", b"")
    written(folder / ".part-00000.crc", b"x")
    corpus = open_corpus(tmp_path / "texts")
    assert corpus.languages() == ("sw",)
    assert {each.text for each in corpus.sample("sw", 9, 0).examples} == set(TEXTS)


def sample(path: Path, rows: list[Any]) -> LanguageSample:
    return read_text("sw", written(path, "".join(f"{json.dumps({'text': row})}\n" for row in rows)))


def test_a_number_among_texts_of_json_is_skipped_and_many_are_refused(tmp_path: Path) -> None:
    rows = [f"Sentensi {number}." for number in range(40)]
    counts = sample(tmp_path / "sw.jsonl", [*rows, 2020]).counts
    assert (counts.usable, counts.malformed) == (40, 1)
    with pytest.raises(CorpusError, match=r"4 of 44 rows of sw\.jsonl have a number in the column 'text', not text\."):
        sample(tmp_path / "sw.jsonl", [*rows, 1, 2.5, True, 4])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # Quotation marks are text in these tables of Common Voice and Tatoeba.
        (
            'id\tsentence\n1\t"Habari" alisema.\n2\tAlisema "karibu\n3\t"Wazi tu\n',
            ['"Habari" alisema.', 'Alisema "karibu', '"Wazi tu'],
        ),
        ('1\tswh\t"Hujambo.”\n2\tswh\tSijambo.\n', ['"Hujambo.”', "Sijambo."]),
        ('id\tsentence\n1\t"""Kwaheri,"" alisema."\n2\tNdiyo, sawa\n', ['"Kwaheri," alisema.', "Ndiyo, sawa"]),
    ],
)
def test_quotation_marks_of_tables_are_text_or_quoting(content: str, expected: list[str], tmp_path: Path) -> None:
    assert texts(written(tmp_path / "sw.tsv", content)) == expected


@pytest.mark.parametrize("word", ["null", "NA", "None", "N/A", "-"])
def test_texts_that_look_like_missing_values_are_texts(word: str, tmp_path: Path) -> None:
    assert texts(written(tmp_path / "sw.csv", f"id,text\n1,{word}\n2,Habari.\n")) == [word, "Habari."]


@pytest.mark.parametrize("content", ['id,text\n1,"As\n2,plain\n3,other\n4,x" y\n5,z\n', 'id,text\n"a","b"\n"c","d\n'])
def test_a_quotation_mark_that_hides_rows_is_an_error(content: str, tmp_path: Path) -> None:
    assert "sw.csv is not a table" in refused(written(tmp_path / "sw.csv", content)).message


# --------------------------------------------------------------------------------------------------- texts


def test_decomposed_characters_are_noted(tmp_path: Path) -> None:
    sentences = ["Xin chào thế giới.", "Tôi đi chợ mỗi sáng.", "Trẻ em chơi ở công viên.", "Hôm nay trời đẹp."]
    path = tmp_path / "vi.txt"
    notes = []
    for form in ("NFC", "NFD"):
        written(path, unicodedata.normalize(form, "\n".join(sentences)))
        notes.append(open_corpus(tmp_path).sample("vi", 4, 0).notes)
    assert not any("decomposed" in note for note in notes[0])
    assert any(
        "4 of 4 texts of vi.txt have decomposed characters (NFD, which macOS writes)" in note for note in notes[1]
    )


def test_letters_that_are_never_composed_are_not_noted(tmp_path: Path) -> None:
    written(tmp_path / "hi.txt", "लड़का पढ़ता है।\nबड़ा घर है।\nसड़क लंबी है।\nपेड़ हरा है।\n")
    assert not any("decomposed" in note for note in open_corpus(tmp_path).sample("hi", 4, 0).notes)


def test_nul_characters_are_removed_or_refused_if_they_are_many(tmp_path: Path) -> None:
    assert texts(written(tmp_path / "sw.jsonl", '{"text": "a\\u0000b"}\n{"text": "c"}\n')) == ["ab", "c"]
    lines = "".join(f"mstari wa {number}\n" for number in range(99))
    assert texts(written(tmp_path / "sw.txt", f"moja mbili\0tatu\n{lines}"))[0] == "moja mbilitatu"
    assert (
        "11.1% of its first 36 bytes are NUL"
        in refused(written(tmp_path / "sw.csv", b"id,text\n1,test\0test\n2,\0\0\0\n3,I\n4,Swp\n")).message
    )


def test_byte_order_marks_are_not_part_of_the_text_in_any_format(tmp_path: Path) -> None:
    bom = b"\xef\xbb\xbf"
    for name, data in {
        "sw.jsonl": b'{"text": "a"}\r\n{"text": "b"}\r\n',
        "sw.json": b'[{"text": "a"},\r\n{"text": "b"}]',
        "sw.csv": b'"text","id"\r\n"a","1"\r\n"b","2"',
        "sw.txt": b"a\r\n" + bom + b"b",
    }.items():
        assert texts(written(tmp_path / name, bom + data)) == ["a", "b"]


def test_files_of_macos_windows_and_notebooks_are_not_texts(tmp_path: Path) -> None:
    for name in (
        "._sw.txt",
        "__MACOSX/._sw.txt",
        ".ipynb_checkpoints/sw-checkpoint.txt",
        "sw-checkpoint.txt",
        "Thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "~$sw.txt",
        "sw.txt~",
        "fi.txt.part",
        "fi.txt.crdownload",
        "Icon\r",
        "sw.txt",
    ):
        written(tmp_path / name, "\n".join(TEXTS))
    corpus = open_corpus(tmp_path)
    assert corpus.languages() == ("sw",)
    assert {each.text for each in corpus.sample("sw", 9, 0).examples} == set(TEXTS)


def test_names_of_files_with_decomposed_characters_equal_composed_ones(tmp_path: Path) -> None:
    """macOS decomposes é in the names of files, and people type it as one character."""
    on_disk = unicodedata.normalize("NFD", "Español.txt")
    written(tmp_path / on_disk, "Buenos días.\nHasta luego.\n")
    written(tmp_path / "fi.txt", "Huomenta.\n")
    typed = unicodedata.normalize("NFC", "Español.txt")
    assert open_corpus(tmp_path, label={typed: "es"}).languages() == ("es", "fi")
    assert open_corpus([f"es={tmp_path / typed}"]).languages() == ("es",)
    with pytest.raises(CorpusError, match=r"a label is given for 'Espanol\.txt', which is not a file"):
        open_corpus(tmp_path, label={"Espanol.txt": "es"})


def test_only_line_ends_divide_lines_and_long_lines_are_cut(tmp_path: Path) -> None:
    assert texts(written(tmp_path / "sw.txt", "moja\rmbili\rtatu")) == ["moja", "mbili", "tatu"]
    assert texts(written(tmp_path / "sw.txt", "a\u2028b\nc\x85d\ne\x0cf\n")) == ["a\u2028b", "c\x85d", "e\x0cf"]
    long = read_text("sw", written(tmp_path / "sw.txt", "a " * 2_000_000 + "\nmoja\nmbili"))
    assert [each.text for each in long.examples][1:] == ["moja", "mbili"]
    assert long.counts.cut == 1
    mixed = b"Kissa istui.\n" + "Höpö\n".encode("latin-1") + "Linnut lentävät.\n".encode()
    assert read_text("fi", written(tmp_path / "fi.txt", mixed)).counts.undecodable == 1
