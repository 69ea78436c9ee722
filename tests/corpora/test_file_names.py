"""Names of files: codes, English names, splits, shards, and files that are left out with a reason."""

from __future__ import annotations

import gzip
import lzma
import os
import threading
from pathlib import Path

import pandas as pd
import pytest

from tests.support.paths import SHARED_CASES as CASES
from xsns_stream.corpora import open_corpus, reading_notes
from xsns_stream.corpora.file_names import SPLIT_WORDS, language_of, missing_shards
from xsns_stream.corpora.local import LocalCorpus
from xsns_stream.corpora.tasks import open_task
from xsns_stream.corpora.tasks.task_corpus import FolderTask
from xsns_stream.errors import CorpusError, LanguageError


@pytest.mark.parametrize(
    ("stem", "code", "name"),
    [
        ("english", "en", "is read as en (English)"),
        ("Mandarin_Chinese", "zh", "is read as zh (Chinese)"),
        ("chinese_traditional", "zh-Hant", "is read as zh-Hant (Chinese (Traditional))"),
        ("iw", "he", "is read as he (Hebrew)"),
        ("tl", "fil", "is read as fil (Filipino)"),
        ("sh", "sr-Latn", "is read as sr-Latn (Serbian (Latin))"),
        ("cnr", "sr-ME", "is read as sr-ME (Serbian (Montenegro))"),
        ("diq", "zza", "is read as zza (Zaza)"),
        ("twi_Latn", "ak", "is read as ak (Akan)"),
        ("swh_Latn", "sw", ""),
        ("arb", "ar", ""),
        ("deu", "de", ""),
        ("sr_Cyrl", "sr-Cyrl", ""),
    ],
)
def test_files_named_by_a_language_are_read_with_a_note(stem: str, code: str, name: str) -> None:
    assert language_of(stem) == (code, name)


@pytest.mark.parametrize(
    ("stem", "reason"),
    [
        (
            "dev",
            "'dev' is the name of a split or a side, not of a language; if it is Domung, give the label: "
            "--label FILE=dev",
        ),
        ("train", "'train' is the name of a split or a side, not of a language"),
        ("en-train", "it is a split of 'en'; splits are read only with --task"),
        ("zh_classical", "'zh_classical' is not a language code; name it lzh"),
        ("bn_rom", "'bn_rom' is not a language code; name it bn-Latn if it is romanised"),
        ("label", "'label' may mean Label; if so, name it lbb"),
        (
            "fi.additional",
            "'fi.additional' is not a language code; if it is text in Finnish, give a label (--label "
            "FILE=fi-x-addition), or use the names of all files as labels (--labels-as-given)",
        ),
        ("a.additional", "'a.additional' is neither a language code nor the English name of a language"),
        ("xx", "'xx' is neither a language code nor the English name of a language"),
    ],
)
def test_names_that_are_not_languages_are_refused_with_the_reason(stem: str, reason: str) -> None:
    with pytest.raises(LanguageError) as caught:
        language_of(stem)
    assert caught.value.message == reason


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{name} eins\n{name} zwei\n", encoding="utf-8")
    return folder


def test_files_left_out_are_named_with_their_reasons(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "t", "sw.txt", "english.txt", "bn_rom.txt", "x.pdf", "dev.txt", "xx.txt", "a.b.txt", "q.q"
    )
    (folder / "sub").mkdir()
    corpus = open_corpus(str(folder))
    assert isinstance(corpus, LocalCorpus)
    assert corpus.languages() == ("en", "sw")
    assert {each.file: each.reason for each in corpus.not_read}["x.pdf"] == "its suffix is not one that can be read"
    named, left_out = reading_notes(corpus)
    assert named == "english.txt is read as en (English)."
    assert left_out.startswith("7 files are not read: a.b.txt (")
    assert left_out.endswith("; and 2 more (info --corpus --json lists all).")


def test_large_files_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "sw.txt")
    assert reading_notes(open_corpus(str(tmp_path))) == ()
    monkeypatch.setattr("xsns_stream.corpora.listing._LARGE", 8)
    sentence = "large files are read twice, which may take minutes for each file: sw.txt."
    assert reading_notes(open_corpus(str(tmp_path))) == (sentence,)


def test_names_of_splits_are_not_languages(tmp_path: Path) -> None:
    folder = write(tmp_path / "t", "dev.txt", "test.txt", "train.txt")
    with pytest.raises(CorpusError) as caught:
        open_corpus(str(folder))
    assert "are named by split, without their language: dev.txt, test.txt, train.txt" in str(caught.value)
    assert "--label train.txt=sw" in caught.value.hint
    assert open_corpus(str(folder), label=["train.txt=sw"]).languages() == ("sw",)
    # The code is still valid: Domung is a language.
    assert open_corpus(f"dev={folder / 'dev.txt'}").languages() == ("dev",)
    assert {"src", "all", "log"} <= SPLIT_WORDS


def shard(folder: Path, name: str, *texts: str) -> None:
    pd.DataFrame({"text": texts}).to_parquet(folder / name)


def test_shards_are_one_text_in_their_order(tmp_path: Path) -> None:
    shard(tmp_path, "de-00001-of-00002.parquet", "c", "b")
    shard(tmp_path, "de-00000-of-00002.parquet", "a", "b")
    shard(tmp_path, "whole.parquet", "a", "b", "c")
    corpus, single_file = open_corpus(str(tmp_path)), open_corpus(f"de={tmp_path / 'whole.parquet'}")
    assert corpus.languages() == ("de",)
    sample = corpus.sample("de", 3, 7)
    assert sample.examples == single_file.sample("de", 3, 7).examples
    assert sample.counts.duplicate == 1
    assert sample.source.endswith("de-00000-of-00002.parquet and 1 more")


def test_missing_shards_are_an_error_of_their_language_alone(tmp_path: Path) -> None:
    write(tmp_path, "sw.txt", "de-00001-of-00003.txt", "fr-1-of-2.txt", "fr-2-of-2.txt")
    corpus = open_corpus(str(tmp_path))
    assert len(corpus.sample("sw", 9, 0)) == 2
    assert len(corpus.sample("fr", 9, 0)) == 4
    with pytest.raises(CorpusError, match=r"'de' has 1 of 3 shards .*; missing: 00000, 00002\."):
        corpus.sample("de", 9, 0)
    assert missing_shards([1, 2], 2) == []
    assert missing_shards([0, 2], 3) == [1]


def test_a_pipe_is_read_once_and_drawn_from_as_a_file(tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(100))
    (tmp_path / "sw.txt").write_text(text, encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,))
    writer.start()
    corpus = open_corpus(f"sw={tmp_path / 'pipe'}")
    writer.join()
    file = open_corpus(f"sw={tmp_path / 'sw.txt'}")
    for seed in (1, 2):
        assert corpus.sample("sw", 10, seed).examples == file.sample("sw", 10, seed).examples


@pytest.mark.parametrize(
    "contents",
    [
        b'{"text": "moja"}\n{"text": "mbili"}\n',
        gzip.compress(b"moja\nmbili\n", mtime=0),
        lzma.compress(b'{"text": "moja"}\n{"text": "mbili"}\n'),
    ],
    ids=["JSON", "gzip", "JSON in xz"],
)
def test_the_format_of_a_pipe_is_found_from_its_contents(tmp_path: Path, contents: bytes) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(contents,))
    writer.start()
    corpus = open_corpus(f"sw={tmp_path / 'pipe'}")
    writer.join()
    assert {str(each.text) for each in corpus.sample("sw", 9, 0).examples} == {"moja", "mbili"}


def test_folders_of_a_task_name_what_they_leave_out(tmp_path: Path) -> None:
    write(tmp_path, "sw-train.txt", "notes.md", "zzzqq-test.txt")
    write(tmp_path / "fi", "train.txt", "train-00000-of-00002.txt")
    write(tmp_path / "other", "a.txt")
    for path in tmp_path.rglob("*train*.txt"):
        path.write_text("leo B-DATE\n", encoding="utf-8")
    task = open_task(str(tmp_path), "ner")
    assert isinstance(task, FolderTask)
    assert [each.file for each in task.not_read] == [
        "fi/train-00000-of-00002.txt",
        "notes.md",
        "other/",
        "zzzqq-test.txt",
    ]
    assert reading_notes(task)[0].startswith("4 files are not read: fi/train-00000-of-00002.txt (not named train")
    assert reading_notes(open_corpus(str(tmp_path), task="ner")) == reading_notes(task)


def test_task_files_may_be_compressed(tmp_path: Path) -> None:
    (tmp_path / "sw-train.txt.xz").write_bytes(lzma.compress(b"leo B-DATE\n\n" * 5))
    (tmp_path / "sw-dev.txt").write_text("leo B-DATE\n", encoding="utf-8")
    task = open_task(str(tmp_path), "ner")
    assert len(task.split("sw", "train").examples) == 5


@pytest.mark.shared_data
def test_published_files_are_read_or_left_out() -> None:
    if not CASES.is_dir():
        pytest.skip("the cases are not beside the project")
    left_out = open_corpus(str(CASES / "left-out"))
    assert left_out.languages() == ("de", "en", "sw", "yo")
    assert all(len(left_out.sample(code, 4, 0)) == 4 for code in left_out.languages())
    codes = open_corpus(str(CASES / "codes"))
    assert len(codes.sample("sw", 4, 0)) == 4
    with pytest.raises(CorpusError, match=r"aka_Latn\.txt and twi_Latn\.txt"):
        codes.sample("ak", 4, 0)
    encodings = open_corpus(str(CASES / "encodings"))
    assert len(encodings.sample("fr", 4, 0)) == 4
    for code in ("de", "nl", "ru", "sw"):
        with pytest.raises(CorpusError, match=r"UTF-8|NUL"):
            encodings.sample(code, 4, 0)
