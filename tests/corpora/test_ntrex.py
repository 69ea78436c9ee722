"""The corpora ntrex and ntrex:held-out: shipped text, line numbers, digests, and the program that makes the folder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.paths import MINI, ROOT, SHARED_DATA
from xsns_stream.corpora import open_corpus, read_text, reading_notes
from xsns_stream.corpora.embedded import DEFAULT_CORPUS, EMBEDDED
from xsns_stream.corpora.ntrex import FOLDER, NtrexCorpus, contents
from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.languages import normalise

#: SHA-256 of the names and the decompressed bytes of all files of text. Stores record digests of samples of this text.
DIGEST = "1a7c39008b4af13424687285d463f8ad98db04df0abdc3756637c67962b6eb7a"
SIZE_LIMIT = 3_000_000


def lines_of(code: str) -> list[str]:
    """Return the lines of a file of the package."""
    return lzma.decompress((FOLDER / f"{code}.txt.xz").read_bytes()).decode().removesuffix("\n").split("\n")


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The program that makes the folder."""
    spec = importlib.util.spec_from_file_location("make_ntrex", ROOT / "tools" / "make_ntrex.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------------- the shipped files


def test_the_shipped_text_has_the_recorded_digests() -> None:
    total = hashlib.sha256()
    for code, entry in contents()["languages"].items():
        text = lzma.decompress((FOLDER / f"{code}.txt.xz").read_bytes())
        assert hashlib.sha256(text).hexdigest() == entry["sha256"], code
        total.update(f"{code}\n".encode() + text)
    assert total.hexdigest() == DIGEST


def test_the_folder_is_small_and_has_its_licence_and_nothing_else() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    texts = {f"{code}.txt.xz" for code in contents()["languages"]}
    assert names == texts | {"LICENSE", "README.md", "contents.json"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= SIZE_LIMIT
    assert (FOLDER / "LICENSE").read_text(encoding="utf-8").startswith("Attribution-ShareAlike 4.0 International")
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert contents()["license"] == "CC-BY-SA-4.0"
    for needed in ("CC BY-SA 4.0", "Federmann", contents()["source"], contents()["commit"][:7], "## Changes"):
        assert needed in page


def test_the_line_numbers_are_those_that_mini_saw_and_did_not_see() -> None:
    lines = contents()["lines"]
    assert lines == {"ntrex": [1, 192], "ntrex:held-out": [1898, 1997]}
    training = (ROOT / "tools" / "train_mini.py").read_text(encoding="utf-8")
    held_out = re.search(r"^HELD_OUT_LINES = (\d+)$", training, re.MULTILINE)
    assert held_out is not None
    assert lines["ntrex:held-out"][0] == 1997 - int(held_out[1]) + 1
    for page in (MINI / "README.md", FOLDER / "README.md", ROOT / "docs" / "corpora.md"):
        text = page.read_text(encoding="utf-8").replace("–", " to ")
        assert "lines 1 to 1897" in text, page
        assert "`ntrex:held-out`" in text, page


def test_every_file_has_all_lines_and_they_differ_between_the_corpora() -> None:
    for code in contents()["languages"]:
        lines = lines_of(code)
        assert len(lines) == 292, code
        assert all(line and line == line.strip() for line in lines), code
        assert not set(lines[:192]) & set(lines[192:]), code


# ------------------------------------------------------------------------------------------------- the corpora


def test_the_default_corpus_is_embedded() -> None:
    assert DEFAULT_CORPUS == "ntrex"
    assert list(EMBEDDED) == ["ntrex", "ntrex:held-out", "cldr"]


@pytest.mark.parametrize("name", ["ntrex", "ntrex:held-out"])
def test_open_corpus_opens_both(name: str) -> None:
    corpus = open_corpus(name)
    assert isinstance(corpus, NtrexCorpus)
    assert corpus.local
    assert corpus.name == f"{name}(revision=8561f6a)"
    assert corpus.label_names() == ()
    assert reading_notes(corpus) == ()


def test_languages_are_normalised_and_distinct() -> None:
    codes = open_corpus("ntrex").languages()
    assert len(codes) == 125
    assert list(codes) == sorted(set(codes))
    assert [normalise(code) for code in codes] == list(codes)
    assert {"en", "sw", "ar", "ff", "fa", "fa-AF", "pt", "pt-BR", "sr-Cyrl", "sr-Latn", "zh-CN", "zh-TW"} <= set(codes)
    assert not {"en-GB", "en-IN", "en-US", "gsw"} & set(codes)


def test_the_lines_are_translations_of_one_another() -> None:
    shown, held_out = NtrexCorpus("ntrex"), NtrexCorpus("ntrex:held-out")
    english = [str(example.text) for example in shown.sample("en", 192, 0).examples]
    assert len(english) == 192
    assert lines_of("en")[0] == "Welsh AMs worried about 'looking like muppets'"
    assert lines_of("sw")[0] == "Wajumbe wa Baraza la Wales wana wasiwasi kuhusu 'kuonekana kama vikaragosi'"
    assert lines_of("en")[0] in english
    rest = [str(example.text) for example in held_out.sample("en", 1000, 0).examples]
    assert sorted(rest) == sorted(lines_of("en")[192:])
    assert not set(rest) & set(english)


def test_the_draw_is_that_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "sw.txt").write_text("\n".join(lines_of("sw")[:192]) + "\n", encoding="utf-8")
    sample = open_corpus("ntrex").sample("swh_Latn", 64, 7)
    assert sample.language == "sw"
    assert sample.examples == open_corpus(str(tmp_path)).sample("sw", 64, 7).examples
    assert sample.examples == read_text("sw", tmp_path / "sw.txt").draw(64, 7).examples
    assert sample.counts.read == sample.counts.usable == 192


def test_a_missing_language_and_an_invalid_count_are_refused() -> None:
    with pytest.raises(LanguageError) as caught:
        open_corpus("ntrex").sample("zh", 3, 0)
    assert caught.value.message == "no language 'zh' in the corpus ntrex."
    assert "'zh-CN' (Chinese (China)), 'zh-TW' (Chinese (Taiwan))" in caught.value.hint
    with pytest.raises(UsageError):
        open_corpus("ntrex").sample("sw", 0, 0)


def test_a_note_names_a_folder_that_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ntrex").mkdir()
    monkeypatch.chdir(tmp_path)
    (note,) = reading_notes(open_corpus("ntrex"))
    assert note == "ntrex is the text that is shipped with the program; write ./ntrex to read your folder."


def test_info_lists_the_languages(xsns: Callable[..., Any]) -> None:
    completed = xsns("info", "--corpus", "ntrex:held-out", "--json")
    assert completed.code == 0, completed.err
    result = json.loads(completed.out)["result"]
    assert result["corpus"] == "ntrex:held-out(revision=8561f6a)"
    assert len(result["languages"]) == 125
    wrong = xsns("info", "--corpus", "ntrex:heldout")
    assert wrong.code == 1
    assert "did you mean ntrex:held-out?" in wrong.err


# ----------------------------------------------------------------------------------- the making of the folder


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    """A copy of the original files: three languages, a variant of English, and line separators inside lines."""
    folder = tmp_path / "NTREX" / "NTREX-128"
    folder.mkdir(parents=True)
    (folder.parent / "LICENSE.md").write_text("Attribution-ShareAlike 4.0 International\n")
    names = ("src.eng", "ref.swa", "ref.prs", "ref.eng-GB", "ref-2.swa")
    for name in names:
        lines = [f"{name} {number}" for number in range(1, 1998)]
        lines[0] = f"\ufeff{name}\u2028 one\tline\r"
        (folder / f"newstest2019-{name}.txt").write_bytes(("\n".join(lines) + "\n").encode())
    return folder.parent


def test_the_program_makes_the_same_folder_twice(maker: ModuleType, originals: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        maker.write_folder(originals, tmp_path / name)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in ("first", "second"))
    assert first == second
    assert sorted(first) == ["LICENSE", "contents.json", "en.txt.xz", "fa-AF.txt.xz", "sw.txt.xz"]
    lines = lzma.decompress(first["sw.txt.xz"]).decode().splitlines()
    assert lines[0] == "ref.swa  one line"
    assert (lines[1], lines[191], lines[192], lines[-1]) == (
        "ref.swa 2",
        "ref.swa 192",
        "ref.swa 1898",
        "ref.swa 1997",
    )
    record = json.loads(first["contents.json"])
    assert record["languages"]["fa-AF"]["file"] == "NTREX-128/newstest2019-ref.prs.txt"
    assert record | {"languages": {}} == contents() | {"languages": {}}


def test_the_program_refuses_other_files(maker: ModuleType, originals: Path, tmp_path: Path) -> None:
    english = originals / "NTREX-128" / "newstest2019-src.eng.txt"
    (english.parent / "newstest2019-ref.swh.txt").write_bytes(english.read_bytes())
    with pytest.raises(ValueError, match=r"ref.swa.txt and newstest2019-ref.swh.txt both have the code sw"):
        maker.write_folder(originals, tmp_path / "out")
    (english.parent / "newstest2019-ref.swh.txt").unlink()
    english.write_text("one line\n")
    with pytest.raises(ValueError, match="has 1 lines, and not 1997"):
        maker.write_folder(originals, tmp_path / "out")


@pytest.mark.shared_data
@pytest.mark.skipif(not (SHARED_DATA / "ntrex").is_dir(), reason="the corpus NTREX is not beside the project")
def test_the_shipped_text_is_that_of_the_source(maker: ModuleType) -> None:
    assert len(contents()["languages"]) == 125
    for code, entry in contents()["languages"].items():
        name = re.sub(r".*-(?:ref|src)\.(.*)\.txt", r"\1", entry["file"])
        source = SHARED_DATA / "ntrex" / ("eng-src.txt" if name == "eng" else f"{name}.txt")
        assert maker.shipped_lines(source) == lines_of(code), code
