"""Folders as well-known corpora are published, with the texts that are read from each."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import parquet

import xsns_stream as xs
from tests.support.compression import zstd
from xsns_stream.corpora import not_read, open_corpus, reading_notes
from xsns_stream.corpora.layouts import published_file, sides
from xsns_stream.errors import CorpusError

PACK = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
DOCS = '<doc id="1" url="https://sw.wikipedia.org/wiki?curid=1" title="Makala">\nMakala\n\n{}\n</doc>\n'


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files below a folder, compressed as their suffix says."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pack = {**PACK, ".zst": zstd}.get(path.suffix, bytes)
        path.write_bytes(pack(text.encode()))
    return root


def rows(*texts: str, key: str = "text") -> str:
    return "".join(json.dumps({"id": 1, key: text, "meta": {"url": "u"}}) + "\n" for text in texts)


def texts(spec: Path | list[str], language: str, **options: str) -> list[str]:
    spec = str(spec) if isinstance(spec, Path) else spec
    return sorted(str(each.text) for each in open_corpus(spec, **options).sample(language, 99, 0).examples)


@pytest.mark.parametrize(
    "files",
    [
        # CC-100: blank lines between documents.
        {"sw.txt.xz": "moja\nmbili\n\ntatu\n\n"},
        {"sw_part_1.txt.gz": "moja\nmbili\n", "sw_part_2.txt.gz": "tatu\n"},
        {"sw_part_10.txt": "tatu\n", "sw_part_9.txt": "moja\nmbili\n"},
        {"sw_dedup.txt.gz": "moja\nmbili\ntatu\n"},
        {"sw_meta.jsonl.gz": rows("moja", "mbili", "tatu", key="content")},
        {
            "sw_meta/sw_meta_part_1.jsonl.zst": rows("moja", "mbili", key="content"),
            "sw_meta/sw_meta_part_2.jsonl.zst": rows("tatu", key="content"),
        },
        {
            "c4-sw.tfrecord-00000-of-00002.json.gz": rows("moja", "mbili"),
            "c4-sw.tfrecord-00001-of-00002.json.gz": rows("tatu"),
            "c4-sw-validation.tfrecord-00000-of-00001.json.gz": rows("nne"),
        },
        {"sw.jsonl.zst": rows("moja", "mbili", "tatu")},
        {"swh.json.gz": rows("moja", "mbili", "tatu")},
        {"corpus.en-sw.sw": "moja\nmbili\ntatu\n", "corpus.en-sw.en": "one\ntwo\nthree\n", "README": "x\n"},
        {"WMT.en_GB-sw.sw.gz": "moja\nmbili\ntatu\n"},
        {"train.sw": "moja\nmbili\ntatu\n", "train.en": "one\n", "dev.sw": "nne\n", "dev.en": "four\n"},
        {"swh_Latn.dev": "moja\nmbili\ntatu\n", "eng_Latn.dev": "one\n"},
        {"dev/swh_Latn.dev": "moja\nmbili\ntatu\n", "devtest/swh_Latn.devtest": "nne\n"},
        {"train/sw.txt": "moja\nmbili\ntatu\n", "test/sw.txt": "nne\n"},
        {"swh_sentences.tsv": "7\tswh\tmoja\n9\tswh\tmbili\n11\tswh\ttatu\n"},
        {"swh_sentences_detailed.tsv.bz2": "7\tswh\tmoja\tAB\t\\N\t0\n8\tswh\tmbili\tA\t0\t0\n9\tswh\ttatu\tA\t0\t0\n"},
        {"sw/AA/wiki_00": DOCS.format("moja\n\nmbili"), "sw/AB/wiki_00": DOCS.format("tatu")},
        {"sw/AA/wiki_00": rows("moja", "mbili"), "sw/AA/wiki_01.bz2": rows("tatu")},
        {"sw.txt": DOCS.format("moja\n\nmbili") + DOCS.format("tatu")},
        {
            "swa_wikipedia_2021_10K/swa_wikipedia_2021_10K-sentences.txt": "1\tmoja\n2\tmbili\n3\ttatu\n",
            "swa_wikipedia_2021_10K/swa_wikipedia_2021_10K-words.txt": "1\tmoja\t9\n",
        },
        {"swa-ke_web_2019_30K-sentences.txt": "1\tmoja\n2\tmbili\n3\ttatu\n"},
        {"sw.txt": "1\tmoja\n2\tmbili\n3\ttatu\n"},
        {"sw.tsv": "1\tmoja\n2\tmbili\n3\ttatu\n"},
        {"sw.tsv": "id\ttext\n1\tmoja\n2\tmbili\n3\ttatu\n"},
        {"sw/sw_part_00000.csv": "text,url\nmoja,u\nmbili,u\n", "sw/sw_part_00001.csv": "text,url\ntatu,u\n"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_files_of_published_corpora_are_read(tmp_path: Path, files: dict[str, str]) -> None:
    folder = write(tmp_path / "corpus", files)
    corpus = open_corpus(str(folder))
    code = next(each for each in corpus.languages() if each.startswith("sw"))
    assert texts(folder, code) == ["mbili", "moja", "tatu"]


def test_parquet_files_in_the_folder_of_a_language_are_read(tmp_path: Path) -> None:
    (tmp_path / "sw").mkdir()
    for number, words in enumerate((["moja"], ["mbili", "tatu"])):
        parquet.write_table(pa.table({"text": words, "url": words}), tmp_path / f"sw/sw_part_{number:05d}.parquet")
    assert texts(tmp_path, "sw") == ["mbili", "moja", "tatu"]


def test_the_layout_is_said_and_so_is_the_split(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"dev/swh_Latn.dev": "a\n", "devtest/swh_Latn.devtest": "b\n", "devtest/x.md": "x"})
    corpus = open_corpus(str(folder))
    assert corpus.name == "folder(f, split=dev)"
    assert reading_notes(corpus)[:2] == (
        "files have the names of FLORES: dev/swh_Latn.dev as sw.",
        "files of the split 'dev' are read; --split chooses another one.",
    )
    assert [(each.file, each.reason) for each in not_read(corpus)] == [
        ("devtest/swh_Latn.devtest", "its split is not dev"),
        ("devtest/x.md", "the texts of its folder are in other files"),
    ]
    assert texts(folder, "sw", split="devtest") == ["b"]


def test_a_file_named_by_its_language_comes_first(tmp_path: Path) -> None:
    folder = write(tmp_path, {"sw.txt": "a\n", "sw_dedup.txt": "b\n", "de_part_1.txt": "c\n", "fi/x.txt": "d\n"})
    corpus = open_corpus(str(folder))
    assert corpus.languages() == ("de", "sw")
    assert texts(folder, "sw") == ["a"]
    left_out = {each.file: each.reason for each in not_read(corpus)}
    assert left_out == {"sw_dedup.txt": "sw.txt is read as sw", "fi/": "a folder"}


def test_two_texts_of_a_language_are_an_error_of_it_alone(tmp_path: Path) -> None:
    files = {"KDE.en-sw.sw": "a\n", "KDE.en-sw.en": "b\n", "GNOME.de-en.en": "c\n", "GNOME.de-en.de": "d\n"}
    corpus = open_corpus(str(write(tmp_path, files)))
    assert corpus.languages() == ("de", "en", "sw")
    with pytest.raises(CorpusError, match=r"GNOME\.de-en\.en and KDE\.en-sw\.en both mean the language 'en'"):
        corpus.sample("en", 1, 0)
    assert texts([str(tmp_path), f"en={tmp_path}/KDE.en-sw.en"], "en") == ["b"]


def test_suffixes_that_are_codes_by_accident_are_not_languages(tmp_path: Path) -> None:
    names = ["run.sh", "figure.ps", "lib.so", "notes.la", "table.cs"]
    assert list(sides(names)) == []
    write(tmp_path, dict.fromkeys(names, "x\n"))
    with pytest.raises(CorpusError, match="no file in"):
        open_corpus(str(tmp_path))


def test_a_dump_of_a_wiki_and_words_with_tags_say_what_to_do(tmp_path: Path) -> None:
    files = {"swwiki-20240101-pages-articles.xml.bz2": "<x/>", "en_x-ud-train.iob2": "x", "sw.txt": "a\n"}
    left_out = {each.file: each.reason for each in not_read(open_corpus(str(write(tmp_path, files))))}
    assert "extract its text with WikiExtractor" in left_out["swwiki-20240101-pages-articles.xml.bz2"]
    assert "--task ner" in left_out["en_x-ud-train.iob2"]


@pytest.mark.parametrize(
    "name", ["notes_part_1.txt", "train.dev", "de_sentences.pdf", "c4-xx.json", "a_b-sentences.txt"]
)
def test_names_that_state_no_language_are_not_published_files(name: str) -> None:
    assert published_file(name) is None


def test_a_file_with_any_suffix_is_read_as_lines_where_its_language_is_given(tmp_path: Path) -> None:
    write(tmp_path, {"corpus.en-sw.sw": "moja\n", "dump": rows("mbili"), "x.pdf": "%PDF"})
    assert texts([f"sw={tmp_path}/corpus.en-sw.sw"], "sw") == ["moja"]
    assert texts([f"sw={tmp_path}/dump"], "sw") == ["mbili"]
    with pytest.raises(CorpusError, match=r"x\.pdf has a suffix that cannot be read"):
        texts([f"sw={tmp_path}/x.pdf"], "sw")


def test_a_table_without_a_header_is_read_with_a_note(tmp_path: Path) -> None:
    write(tmp_path, {"pairs.tsv": 'One "two"\tmoja "mbili"\nThree\ttatu\n', "t.csv": '1\tswh\tHabari, "bwana"\n'})
    assert texts([f"sw={tmp_path}/pairs.tsv"], "sw", text_column="2") == ['moja "mbili"', "tatu"]
    assert texts([f"sw={tmp_path}/t.csv"], "sw") == ['Habari, "bwana"']
    sample = open_corpus([f"sw={tmp_path}/t.csv"]).sample("sw", 1, 0)
    assert sample.notes == ("t.csv has no header: its columns are read as id, language, text.",)


def test_a_title_that_returns_in_its_article_is_text(tmp_path: Path) -> None:
    write(tmp_path, {"sw.txt": DOCS.format("moja\nMakala") + "x" + DOCS.format("")})
    assert texts([f"sw={tmp_path}/sw.txt"], "sw") == [
        "Makala",
        "moja",
        'x<doc id="1" url="https://sw.wikipedia.org/wiki?curid=1" title="Makala">',
    ]


def test_a_published_layout_can_be_built_from_python(tmp_path: Path, tiny_folder: Path) -> None:
    folder = write(tmp_path / "opus", {"corpus.en-sw.sw": "moja mbili\ntatu\n", "corpus.en-sw.en": "one two\nthree\n"})
    store = xs.build(folder, tiny_folder, tmp_path / "s.zarr", examples=2, max_length=24, progress=False)
    assert store.languages == ("en", "sw")


def test_a_partitioned_table_has_a_folder_for_each_language(tmp_path: Path) -> None:
    """As pyarrow and Spark write a table that is partitioned by a column `lang`."""
    for language, text in (("sw", "Habari ya asubuhi."), ("fi", "Hyvää huomenta.")):
        (tmp_path / f"lang={language}").mkdir()
        pq.write_table(pa.table({"text": [text]}), tmp_path / f"lang={language}" / "part-0.parquet")
    corpus = open_corpus(tmp_path)
    assert corpus.languages() == ("fi", "sw")
    assert corpus.sample("sw", 1, 0).examples[0].sentence() == "Habari ya asubuhi."
