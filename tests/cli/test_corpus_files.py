"""Every verb that reads a folder reports the files that it does not read; its JSON lists all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.runners import Runner
from xsns_stream.cli.baseline import command as baseline
from xsns_stream.cli.build import command as build
from xsns_stream.cli.info import command as info

LEFT = ["bn_rom.txt", "de.pdf", "fi.additional.txt", "notes.txt", "test.txt", "xx.txt"]
NOTE = "note: 6 files are not read: bn_rom.txt ('bn_rom' is not a language code; name it bn-Latn if it is"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "texts"
    path.mkdir()
    for name in (*LEFT, "sw.txt", "english.txt"):
        (path / name).write_text(f"{name} one two\nthree four {name}\n", encoding="utf-8")
    return path


def check(completed: Result) -> dict[str, object]:
    assert completed.exit_code == 0, completed.output
    assert NOTE in completed.stderr
    assert "; and 1 more (info --corpus --json lists all)." in completed.stderr
    assert "note: english.txt is read as en (English)." in completed.stderr
    result: dict[str, object] = json.loads(completed.stdout)["result"]
    files = result["files_not_read"]
    assert isinstance(files, list)
    assert [each["file"] for each in files] == LEFT
    assert all(each["reason"] for each in files)
    return result


def test_info_lists_the_files_not_read(folder: Path) -> None:
    result = check(Runner().invoke(info, ["--corpus", str(folder), "--json"]))
    assert result["languages"] == ["en", "sw"]
    assert result["corpus_notes"] == ["english.txt is read as en (English)."]
    quiet = Runner().invoke(info, ["--corpus", str(folder), "--quiet"])
    assert quiet.stderr == ""
    assert "English" in quiet.stdout


def test_build_lists_the_files_not_read(folder: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "xsns.zarr")
    arguments = ["--corpus", str(folder), "--lang", "all", "--store", store, "--examples", "2", "--json"]
    check(Runner().invoke(build, [*arguments, "--dry-run"]))
    result = check(Runner().invoke(build, arguments))
    assert result["committed"] == [["en", 42], ["sw", 42]]


def test_baseline_lists_the_files_not_read(folder: Path) -> None:
    arguments = ["lex", "--corpus", str(folder), "--lang", "all", "--model", "mini", "--examples", "2", "--json"]
    check(Runner().invoke(baseline, arguments))


def test_decisions_about_the_format_of_a_file_are_reported(tmp_path: Path) -> None:
    corpus = tmp_path / "texts"
    corpus.mkdir()
    (corpus / "sw.tsv").write_text('text\tn\n"say ""yes"""\t1\nna\x01no\t2\n', encoding="utf-8")
    arguments = ["--corpus", str(corpus), "--lang", "sw", "--store", str(tmp_path / "x.zarr"), "--examples", "2"]
    completed = Runner().invoke(build, arguments)
    assert completed.exit_code == 0, completed.output
    assert "sw.tsv is read as a table with quotation marks around fields" in completed.stderr
    assert "control characters are removed from 1 of 2 rows." in completed.stderr
