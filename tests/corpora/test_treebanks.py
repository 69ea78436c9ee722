"""Treebanks in folders of their own, and files of a corpus folder that cannot be read as text."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.networks import make_sub
from xsns_stream.corpora import not_read, open_corpus, open_task, reading_notes
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.pipeline.finetune_settings import transfer_settings
from xsns_stream.pipeline.store_settings import recorded_corpus
from xsns_stream.store import open_store


def bank(folder: Path, treebank: str, words: str, split: str = "train", part: str = "") -> Path:
    """Return a treebank with one sentence of two words for each given word."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{treebank}-ud-{split}{part}.conllu"
    lines = (f"1\t{word}\t_\tNOUN\n2\t{split}\t_\tX\n\n" for word in words.split())
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Two treebanks of English and one of Dutch, as a release of Universal Dependencies has them."""
    root = tmp_path / "ud"
    bank(root / "UD_English-B", "en_b", "four")
    bank(root / "UD_English-A", "en_a", "one two")
    bank(root / "UD_English-A", "en_a", "three", "dev")
    bank(root / "UD_Dutch-C", "nl_c", "een twee")
    (root / "UD_English-A" / "README.md").write_text("x", encoding="utf-8")
    (root / "UD_English-A" / "en_a-ud-train.txt").write_text("one\n", encoding="utf-8")
    (root / "UD_Unshipped-D").mkdir()
    return root


def texts(spec: str | list[str], language: str, **options: str) -> set[str]:
    return {example.sentence() for example in open_corpus(spec, **options).sample(language, 9, 0).examples}


def test_treebanks_of_one_language_are_joined(layout: Path) -> None:
    corpus = open_corpus(str(layout))
    assert corpus.languages() == ("en", "nl")
    assert corpus.name == "folder(ud, split=train, en=en_a+en_b, words=running)"
    assert texts(str(layout), "en") == {"one train", "two train", "four train"}
    assert texts(str(layout), "nl") == {"een train", "twee train"}
    assert reading_notes(corpus)[0] == "treebanks of one language are joined in this order: en (en_a, en_b)."
    left_out = {each.file: each.reason for each in not_read(corpus)}
    assert left_out == {
        "UD_English-A/en_a-ud-dev.conllu": "its split is not train",
        "UD_English-A/README.md": "not a CoNLL-U file of a treebank, or a second copy of one",
        "UD_English-A/en_a-ud-train.txt": "not a CoNLL-U file of a treebank, or a second copy of one",
        "UD_Unshipped-D/": "a folder",
    }


def test_the_split_chooses_within_treebanks(layout: Path) -> None:
    corpus = open_corpus(str(layout), split="dev")
    assert corpus.languages() == ("en",)
    assert corpus.name == "folder(ud, split=dev, words=running)"
    assert texts(str(layout), "en", split="dev") == {"three dev"}


def test_a_pair_chooses_one_of_the_treebanks(layout: Path) -> None:
    spec = [str(layout), f"en={layout / 'UD_English-B' / 'en_b-ud-train.conllu'}"]
    corpus = open_corpus(spec)
    assert corpus.name == "folder(ud, split=train, words=running, en=en_b-ud-train.conllu)"
    assert texts(spec, "en") == {"four train"}
    assert not any("joined" in note for note in reading_notes(corpus))


def test_a_pair_takes_a_file_that_was_left_out(layout: Path) -> None:
    corpus = open_corpus([str(layout), f"en={layout / 'UD_English-A' / 'en_a-ud-dev.conllu'}"])
    assert "UD_English-A/en_a-ud-dev.conllu" not in {each.file for each in not_read(corpus)}


def test_parts_of_a_treebank_are_one_text_and_not_several_treebanks(tmp_path: Path) -> None:
    for part in ("-a-1", "-a-2", "-b"):
        bank(tmp_path / "x" / "UD_German-HDT", "de_hdt", part.replace("-", "t"), part=part)
    corpus = open_corpus(str(tmp_path / "x"))
    assert corpus.name == "folder(x, split=train, words=running)"
    assert corpus.sample("de", 9, 0).counts.read == 3


def test_joined_treebanks_share_their_labels(layout: Path) -> None:
    corpus = open_corpus(str(layout), labels="auto")
    assert corpus.label_names() == ("NOUN", "X")
    assert {example.label for example in corpus.sample("en", 9, 0).examples} == {("NOUN", "X")}


def test_a_file_of_the_language_beside_its_treebanks_is_not_joined(layout: Path) -> None:
    (layout / "nl.txt").write_text("tekst\n", encoding="utf-8")
    corpus = open_corpus(str(layout))
    assert texts(str(layout), "en") == {"one train", "two train", "four train"}
    with pytest.raises(CorpusError, match=r"UD_Dutch-C/nl_c-ud-train\.conllu and nl\.txt both mean the language 'nl'"):
        corpus.sample("nl", 1, 0)


def test_other_folders_stay_unread(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "train.conllu").write_text("1\ta\n\n", encoding="utf-8")
    (tmp_path / "sw.txt").write_text("habari\n", encoding="utf-8")
    corpus = open_corpus(str(tmp_path))
    assert corpus.languages() == ("sw",)
    assert [each.file for each in not_read(corpus)] == ["en/"]


def test_a_compressed_copy_is_not_read_twice(layout: Path) -> None:
    copy = layout / "UD_Dutch-C" / "nl_c-ud-train.conllu.gz"
    copy.write_bytes(gzip.compress((layout / "UD_Dutch-C" / "nl_c-ud-train.conllu").read_bytes()))
    assert open_corpus(str(layout)).sample("nl", 9, 0).counts.read == 2
    assert len(open_task(str(layout), "pos").split("nl", "train").examples) == 1


# ------------------------------------------------------------------------------------ labelled data


def test_treebanks_are_labelled_data(layout: Path) -> None:
    data = open_task(str(layout), "pos")
    assert data.languages() == ("en", "nl")
    assert data.languages("test") == ()
    assert data.name == "task(ud, task=pos, en=en_a+en_b)"
    train = data.split("en", "train")
    assert [example.text[0] for example in train.examples] == ["one", "two", "four"]
    assert train.examples[0].label == ("NOUN", "X")
    assert train.source == "UD_English-A/en_a-ud-train.conllu and 1 more"
    assert train.counts is not None
    assert train.counts.read == 3
    assert [example.text for example in data.split("en", "dev").examples] == [("three", "dev")]
    text = open_corpus(str(layout), task="pos")
    assert reading_notes(text)[0] == "treebanks of one language are joined in this order: en (en_a, en_b)."
    assert {each.file for each in not_read(text)} == {"UD_English-A/en_a-ud-train.txt", "UD_Unshipped-D/"}


def test_a_labelled_treebank_beside_a_folder_of_its_language_is_refused(layout: Path) -> None:
    (layout / "nl").mkdir()
    (layout / "nl" / "train.conllu").write_text("1\ta\t_\tX\n\n", encoding="utf-8")
    data = open_task(str(layout), "pos")
    assert len(data.split("en", "train").examples) == 3
    with pytest.raises(CorpusError, match="are the train data of 'nl'"):
        data.split("nl", "train")


# --------------------------------------------------------------------------------------- odd files


@pytest.mark.parametrize(
    "name", ["de .txt", " de.txt", "de\u00a0.txt", "\x1b[31m.txt", "a" * 200 + ".txt", "-.txt", "en--a.txt"]
)
def test_no_file_name_ends_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "sw.txt").write_text("habari\n", encoding="utf-8")
    (tmp_path / name).write_text("x\n", encoding="utf-8")
    corpus = open_corpus(str(tmp_path))
    assert corpus.languages() == ("sw",)
    assert [each.file for each in not_read(corpus)] == [name]
    assert texts(str(tmp_path), "sw") == {"habari"}


def test_white_space_in_a_name_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sw.txt").write_text("habari\n", encoding="utf-8")
    (tmp_path / "de .txt").write_text("x\n", encoding="utf-8")
    (unread,) = not_read(open_corpus(str(tmp_path)))
    assert unread.reason == "its name has white space before or after 'de'; rename it"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("task", [None, "ner"])
def test_a_file_whose_name_is_not_utf8_is_not_read(tmp_path: Path, task: str | None) -> None:
    (tmp_path / "sw.txt").write_text("habari O\n", encoding="utf-8")
    (tmp_path / os.fsdecode(b"\xff\xfe.txt")).write_text("x O\n", encoding="utf-8")
    corpus = open_corpus(str(tmp_path), task=task)
    assert corpus.languages() == ("sw",)
    (unread,) = not_read(corpus)
    assert unread.reason == "its name is not UTF-8; rename it" if task is None else "its name does not state a language"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("task", [None, "ner"])
def test_only_regular_files_of_a_folder_are_opened(tmp_path: Path, task: str | None) -> None:
    (tmp_path / "sw.txt").write_text("habari O\n", encoding="utf-8")
    os.mkfifo(tmp_path / "ig.txt")
    (tmp_path / "xh.txt").symlink_to("/dev/zero")
    (tmp_path / "ha.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "yo.txt").symlink_to(tmp_path / "sw.txt")
    corpus = open_corpus(str(tmp_path), task=task)
    assert corpus.languages() == ("sw", "yo")
    assert {each.file: each.reason for each in not_read(corpus)} == {
        "ha.txt": "a broken link",
        "ig.txt": "a pipe",
        "xh.txt": "a device",
    }


def test_a_device_as_a_pair_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "zero.txt"
    link.symlink_to("/dev/zero")
    with pytest.raises(CorpusError, match=r"zero\.txt' is a device, not a file of text"):
        open_corpus(f"sw={link}")
    with pytest.raises(CorpusError, match="is a folder, not a file of text"):
        open_corpus([f"sw={tmp_path}", f"en={tmp_path}"])


def test_one_of_several_treebanks_is_chosen(layout: Path) -> None:
    for name in ("B", "en_b"):
        corpus = open_corpus(str(layout), treebank=name)
        assert corpus.name == "folder(ud, split=train, en=en_b, words=running)"
        assert texts(str(layout), "en", treebank=name) == {"four train"}
        assert texts(str(layout), "nl", treebank=name) == {"een train", "twee train"}
    left_out = {each.file: each.reason for each in not_read(corpus)}
    assert left_out["UD_English-A/en_a-ud-train.conllu"] == "--treebank chooses en_b"
    both = open_corpus(str(layout), treebank="b,en_a")
    assert both.name == open_corpus(str(layout)).name
    with pytest.raises(CorpusError) as caught:
        open_corpus(str(layout), treebank="GSD")
    assert caught.value.message == "the corpus has no treebank 'gsd'."
    assert caught.value.hint == "its treebanks are en_a, en_b, nl_c."


def test_a_treebank_is_chosen_among_files_in_one_folder(tmp_path: Path) -> None:
    bank(tmp_path, "en_a", "one")
    bank(tmp_path, "en_b", "two")
    assert texts(str(tmp_path), "en", treebank="a") == {"one train"}
    with pytest.raises(CorpusError, match="mean the language 'en'"):
        texts(str(tmp_path), "en")


def test_a_treebank_is_chosen_for_a_task(layout: Path) -> None:
    data = open_task(str(layout), "pos", treebank="B")
    assert data.name == "task(ud, task=pos, en=en_b)"
    assert [each.sentence() for each in data.split("en", "train").examples] == ["four train"]
    assert "UD_English-A/en_a-ud-train.conllu" in {each.file for each in data.not_read}  # type: ignore[attr-defined]
    with pytest.raises(CorpusError, match="no treebank 'gsd'"):
        open_task(str(layout), "pos", treebank="GSD").languages()


def test_treebanks_of_other_splits_say_what_reads_them(layout: Path, xsns: Callable[..., Any]) -> None:
    bank(layout / "UD_German-D", "de_d", "eins", "dev")
    bank(layout / "UD_German-D", "de_d", "zwei", "test")
    corpus = open_corpus(str(layout))
    assert corpus.languages() == ("en", "nl")
    assert (
        "1 language has no file of the split that is read, and cannot be measured: de has only dev, test; read another "
        "split: --split dev; --task pos takes the dev file if there is no train file."
    ) in reading_notes(corpus)
    completed = xsns("build", "--corpus", layout, "--lang", "de", "--dry-run")
    assert completed.code == 2
    assert "'de' has only dev, test: read another split: --split dev; --task pos takes the dev file" in completed.err
    for folder in ("UD_English-A", "UD_English-B", "UD_Dutch-C"):
        (layout / folder / f"{folder[3:5].lower()}_{folder[-1].lower()}-ud-train.conllu").unlink(missing_ok=True)
    (layout / "UD_Dutch-C" / "nl_c-ud-train.conllu").unlink(missing_ok=True)
    with pytest.raises(CorpusError) as caught:
        open_corpus(str(layout))
    assert caught.value.message.endswith("is of the split 'train'. The folder has de: dev, test; en: dev.")
    assert caught.value.hint == (
        "read another split: --split dev; --task pos takes the dev file if there is no train file."
    )
    assert texts(str(layout), "de", split="dev") == {"eins dev"}
    assert texts(str(layout), "de", task="pos") <= {"eins dev"}


def test_files_that_are_not_read_do_not_change_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "sw.txt").write_text("habari\n", encoding="utf-8")
    name = open_corpus(str(folder)).name
    bank(folder / "UD_German-D", "de_d", "eins", "dev")
    bank(folder, "fi_e", "yksi", "test")
    assert open_corpus(str(folder)).name == name == "folder(x)"
    bank(folder / "UD_Dutch-C", "nl_c", "een")
    assert open_corpus(str(folder)).name == "folder(x, split=train, words=running)"
    # A store records the corpus name of its first row, which added or removed treebanks do not change.
    store = open_store(tmp_path / "x.zarr", "a")
    assert recorded_corpus(name, store) == name
    store.write(make_sub("sw", corpus="folder(x, split=train)"))
    assert recorded_corpus(name, store) == "folder(x, split=train)"
    assert recorded_corpus("folder(x, split=dev)", store) == "folder(x, split=dev)"
    assert recorded_corpus("folder(x, text_column=a)", store) == "folder(x, text_column=a)"


def test_files_that_look_like_data_are_named_first(tmp_path: Path) -> None:
    names = ["A.md", "B.py", "C.sh", "D.png", "E.log", "README.txt", "maybe.txt", "scores.xlsx", "sw.txt"]
    for name in names:
        (tmp_path / name).write_text("habari\n", encoding="utf-8")
    bank(tmp_path, "de_d", "eins", "dev")
    (note,) = (each for each in reading_notes(open_corpus(str(tmp_path))) if "not read:" in each)
    files = note.partition("not read: ")[2].split("; ")
    assert [each.partition(" (")[0] for each in files] == [
        "maybe.txt",
        "scores.xlsx",
        "de_d-ud-dev.conllu",
        "A.md",
        "B.py",
        "and 4 more",
    ]


def test_a_treebank_is_chosen_for_fine_tuning(layout: Path, xsns: Callable[..., Any], tmp_path: Path) -> None:
    bank(layout / "UD_English-B", "en_b", "five", "test")
    options = {"task": "pos", "sources": "en", "targets": "all"}
    settings = transfer_settings(str(layout), treebank="B", **options)
    assert settings.corpus.name == "task(ud, task=pos, en=en_b)"
    with pytest.raises(UsageError, match="treebank cannot be used with open data"):
        transfer_settings(open_task(str(layout), "pos"), treebank="B", **options)
    words = ("--task", "pos", "--data", layout, "--sources", "en", "-o", tmp_path / "g.csv", "--dry-run")
    completed = xsns("transfer", *words, "--treebank", "GSD")
    assert completed.code == 1
    assert "error: the corpus has no treebank 'gsd'." in completed.err
