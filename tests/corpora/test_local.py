"""Folders and pairs of local files, and the values of `--corpus`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.errors import error_of
from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.corpora import Corpus, open_corpus, read_text
from xsns_stream.corpora.local import LocalCorpus
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three languages, with files of no language."""
    path = tmp_path / "texts"
    path.mkdir()
    for name in ("swa.txt", "zho_Hant.txt", "en.txt"):
        lines = [f"{name} line {number}" for number in range(50)]
        (path / name).write_text("\n".join(lines), encoding="utf-8")
    for name in ("README.md", "notes.txt", "en.ref2.txt", ".hidden.txt"):
        (path / name).write_text("x\n", encoding="utf-8")
    (path / "fr.txt.d").mkdir()
    return path


def complaint(spec: str | list[str], **options: str) -> XsnsError:
    return error_of(XsnsError, open_corpus, spec, **options)


def test_a_folder_has_a_text_for_each_file_named_by_a_language(folder: Path) -> None:
    corpus = open_corpus(str(folder))
    assert corpus.name == "folder(texts)"
    assert corpus.local
    assert corpus.languages() == ("en", "sw", "zh-Hant")
    assert isinstance(corpus, LocalCorpus)
    assert corpus.skipped == ("README.md", "en.ref2.txt", "notes.txt")
    sample = corpus.sample("swh", 3, 0)
    assert sample.language == "sw"
    assert sample.source == "texts/swa.txt"
    assert sample.counts.usable == 50


def test_a_draw_depends_on_the_seed_and_a_larger_one_extends_it(folder: Path) -> None:
    corpus = open_corpus([str(folder)])
    few, many = corpus.sample("sw", 8, 42), corpus.sample("sw", 16, 42)
    assert many.examples[:8] == few.examples
    assert corpus.sample("sw", 8, 42).digest == few.digest
    assert corpus.sample("sw", 8, 16).digest != few.digest
    assert len(set(corpus.sample("sw", 1000, 1).examples)) == 50


def test_the_name_holds_no_path_and_all_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert open_corpus(".").name == "folder(texts)"
    assert open_corpus("../texts/", text_column="t").name == "folder(texts, text_column=t)"
    assert open_corpus("sw=swa.txt").name == "files"
    assert open_corpus("sw=swa.txt", text_column="t").name == "files(text_column=t)"


@pytest.mark.parametrize(("language", "hint"), [("swahilii", "'sw' (Swahili)"), ("xx", "it has en, sw, zh-Hant.")])
def test_a_missing_language_is_refused_with_near_names(folder: Path, language: str, hint: str) -> None:
    with pytest.raises(LanguageError) as caught:
        open_corpus(str(folder)).sample(language, 1, 0)
    assert caught.value.message == f"no language '{language}' in folder(texts)."
    assert hint in caught.value.hint


@pytest.mark.parametrize("language", ["../secret", "/etc/passwd", "en/../../secret", "en.txt"])
def test_no_language_leads_out_of_the_folder(folder: Path, language: str) -> None:
    (folder.parent / "secret.txt").write_text("secret\n", encoding="utf-8")
    with pytest.raises(LanguageError, match="no language"):
        open_corpus(str(folder)).sample(language, 1, 0)
    assert isinstance(complaint(f"../x={folder / 'en.txt'}"), LanguageError)


def test_two_files_of_one_language_are_an_error(folder: Path) -> None:
    (folder / "sw_Latn.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    corpus = open_corpus(str(folder))
    assert corpus.languages() == ("en", "sw", "zh-Hant")
    assert len(corpus.sample("en", 4, 0)) == 4
    with pytest.raises(CorpusError) as caught:
        corpus.sample("sw", 4, 0)
    assert caught.value.message == "sw_Latn.jsonl and swa.txt both mean the language 'sw'."
    assert f"--corpus sw={folder / 'sw_Latn.jsonl'}" in caught.value.hint
    chosen = open_corpus([str(folder), f"sw={folder / 'swa.txt'}"])
    assert chosen.name == "folder(texts, sw=swa.txt)"
    assert chosen.sample("sw", 3, 0).examples == read_text("sw", folder / "swa.txt").draw(3, 0).examples
    pairs = [f"swa={folder / 'swa.txt'}", f"swh={folder / 'en.txt'}"]
    assert complaint(pairs).message.endswith("both mean the language 'sw'.")


def test_folders_without_text_are_refused(tmp_path: Path) -> None:
    assert complaint(str(tmp_path)).message == f"there is no file in '{tmp_path}'."
    assert "--task" not in complaint(str(tmp_path)).hint
    (tmp_path / "sw").mkdir()
    assert "read with --task" in complaint(str(tmp_path)).hint
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "sw.pdf").write_text("x", encoding="utf-8")
    error = complaint(str(tmp_path))
    assert error.message == f"no file in '{tmp_path}' is named by a language: notes.txt, sw.pdf."
    assert ".parquet" in error.hint


def test_files_of_universal_dependencies_are_read_by_split(tmp_path: Path) -> None:
    for name in ("en_ewt-ud-train", "en_ewt-ud-dev", "fr_gsd-dev", "cy_ccg-train"):
        (tmp_path / f"{name}.conllu").write_text(f"1\t{name}\n", encoding="utf-8")
    (tmp_path / "sw.txt").write_text("x\n", encoding="utf-8")
    train = open_corpus(str(tmp_path))
    assert train.name == f"folder({tmp_path.name}, split=train, words=running)"
    assert train.languages() == ("cy", "en", "sw")
    assert train.sample("cy", 1, 0).examples[0].text == ("cy_ccg-train",)
    assert open_corpus(str(tmp_path), split="dev").languages() == ("en", "fr")
    error = complaint(str(tmp_path), split="test")
    assert "is of the split 'test'" in error.message
    (tmp_path / "en_gum-ud-train.conllu").write_text("1\tx\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"en_ewt-ud-train.conllu and en_gum-ud-train.conllu both"):
        open_corpus(str(tmp_path)).sample("en", 1, 0)


def test_files_can_be_given_for_languages(folder: Path) -> None:
    corpus = open_corpus([f"sw={folder / 'swa.txt'}", f"gl={folder / 'notes.txt'}"])
    assert corpus.languages() == ("gl", "sw")
    assert corpus.sample("gl", 4, 0).examples[0].text == "x"
    assert complaint(["sw=none.txt"]).message == "there is no file 'none.txt'."
    assert complaint([f"swahili={folder / 'swa.txt'}"]).message == "'swahili' is not a language code."


def test_a_folder_with_an_equals_sign(folder: Path) -> None:
    other = folder.parent / "size=small"
    folder.rename(other)
    assert open_corpus(str(other)).name == "folder(size=small)"


def test_unknown_corpora_are_refused_with_a_hint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = complaint("wikian")
    assert isinstance(error, CorpusError)
    assert error.message == "there is no corpus 'wikian': it is neither a known name nor a folder."
    assert error.hint.startswith("did you mean wikiann? a corpus is ntrex, ntrex:held-out, cldr, a folder")
    assert "hub:OWNER/NAME" in complaint("./nowhere").hint
    monkeypatch.chdir(folder)
    assert complaint("swa.txt").hint == "give it as LANG=FILE: --corpus sw=swa.txt, if it is Swahili."
    assert complaint(["cldr", "wikiann"]).message == "'cldr' cannot be combined with another corpus."
    assert complaint(["sw=swa.txt", "cldr"]).message == "'cldr' cannot be combined with another corpus."
    assert complaint([".", ".."]).message == "'.' cannot be combined with another corpus."
    assert isinstance(complaint([]), UsageError)


@pytest.mark.parametrize(
    ("spec", "option"),
    [
        ("cldr", "split"),
        ("cldr", "text_column"),
        ("ntrex", "split"),
        ("ntrex:held-out", "config"),
        ("{folder}", "config"),
        ("{folder}", "revision"),
        ("en={file}", "split"),
    ],
)
def test_options_without_effect_are_refused(folder: Path, spec: str, option: str) -> None:
    error = complaint(spec.format(folder=folder, file=folder / "en.txt"), **{option: "dev"})
    assert isinstance(error, UsageError)
    assert error.message.startswith(f"--{option.replace('_', '-')} cannot be used with ")


@pytest.mark.parametrize("name", ["cldr", "ntrex"])
def test_a_name_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "sw.txt").write_text("x\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert open_corpus(name).name.startswith(f"{name}(")
    assert open_corpus(name).languages() != ("sw",)
    assert open_corpus(f"./{name}").name == f"folder({name})"
    assert open_corpus(f"./{name}").languages() == ("sw",)


def test_every_kind_is_a_corpus(folder: Path) -> None:
    corpora: list[Corpus] = [open_corpus(spec) for spec in ("ntrex", "cldr", str(folder), f"sw={folder / 'swa.txt'}")]
    assert all(corpus.local and corpus.name for corpus in corpora)


def test_importing_is_cheap() -> None:
    code = "import sys, xsns_stream.corpora; print({'datasets', 'pandas', 'pyarrow'} & set(sys.modules))"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "set()"


@pytest.mark.shared_data
def test_the_folder_of_ntrex_is_read() -> None:
    if not (SHARED / "ntrex").is_dir():
        pytest.skip("the corpus NTREX is not beside the project")
    corpus = open_corpus(str(SHARED / "ntrex"))
    assert isinstance(corpus, LocalCorpus)
    assert {"sw", "ar", "zh-TW", "sr-Cyrl", "sr-Latn", "ckb"} <= set(corpus.languages())
    assert {"eng-src.txt", "spa.ref2.txt", "languages.tsv"} <= set(corpus.skipped)
    sample = corpus.sample("swa", 64, 42)
    assert len(sample) == 64
    assert sample.counts.read == 1997


@pytest.mark.shared_data
def test_published_treebanks_are_read_by_surface_forms() -> None:
    if not (SHARED / "ud").is_dir():
        pytest.skip("the treebanks are not beside the project")
    corpus = open_corpus(str(SHARED / "ud"), split="dev")
    assert {"de", "ar", "vi"} <= set(corpus.languages())
    words = [word for example in corpus.sample("de", 1000, 0).examples for word in example.text]
    assert "im" in words  # the surface form of a multiword token, whose parts are "in dem"
