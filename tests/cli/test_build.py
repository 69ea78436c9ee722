"""The verb `build`: exit codes, and what is written to stdout and stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.store import open_store

# ------------------------------------------------------------------------------- the store has another experiment


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("examples", "7", "the number of examples (--examples) is 6 in the store and 7 here"),
        ("mask_rate", "0.3", "objective is 'masked-lm(rate=0.15,max_length=24)' in the store"),
        ("token_reduction", "mean", "estimator is 'per-example(token_reduction=sum)' in the store"),
    ],
)
def test_another_experiment_in_the_same_store_is_refused(
    option: str, value: str, field: str, build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build().code == 0
    # The record of the store is enough, so that the model is not loaded.
    monkeypatch.delattr("xsns_stream.pipeline.build.load_for_build")
    completed = build(lang="et", **{option: value})
    assert (completed.code, completed.out) == (1, "")
    assert f"error: the store '{tmp_path / 'x.zarr'}' contains another experiment: {field}" in completed.err
    assert "hint: repeat the store's settings, or write to another path" in completed.err
    assert open_store(tmp_path / "x.zarr").languages == ("fi", "sw")


def test_a_store_that_is_read_only_is_refused_before_the_model_is_loaded(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build().code == 0
    monkeypatch.setattr("xsns_stream.store.storage.local._is_writable_folder", lambda path: False)
    monkeypatch.delattr("xsns_stream.pipeline.build.load_for_build")
    completed = build(lang="et")
    assert (completed.code, completed.out) == (1, "")
    assert f"error: the store '{tmp_path / 'x.zarr'}' cannot be written to" in completed.err
    assert "xsns-stream copy" in completed.err


@pytest.mark.parametrize("kind", ["under a file", "a file", "another folder", "proc"])
def test_a_store_that_cannot_be_created_is_an_error(kind: str, build: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    store = {
        "under a file": file / "x.zarr",
        "a file": file,
        "another folder": tmp_path / "folder",
        "proc": Path("/proc/no/x.zarr"),  # no user, not even root, can create a folder there
    }[kind]
    if kind == "proc" and not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    completed = build(store=store)
    assert (completed.code, completed.out) == (1, "")
    assert re.search(rf"^error: .*'{re.escape(str(store))}'.*\.\nhint: .+\.\n", completed.err, re.MULTILINE), (
        completed.err
    )
    assert "Traceback" not in completed.err
    assert file.read_text() == "mine"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mine.txt"]


# ----------------------------------------------------------------------------------- some languages fail


@pytest.fixture
def three(tmp_path: Path, write_texts: Callable[..., Path]) -> Path:
    return write_texts(tmp_path / "three", "sw fi et", 8)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\xff\n"], ids=["empty", "blank", "undecodable"])
def test_one_failed_language_does_not_stop_the_others(content: bytes, build: Any, three: Path, tmp_path: Path) -> None:
    (three / "fi.txt").write_bytes(content)
    completed = build(corpus=three, lang="all")
    assert completed.code == 3
    assert completed.out == f"{tmp_path / 'x.zarr'}: 2 rows measured, 0 already present, 1 failed.\n"
    assert "failed: fi (seed 42): " in completed.err
    assert "error: 1 of 3 rows failed: fi.\nhint: the other rows are committed. The reason: " in completed.err
    store = open_store(tmp_path / "x.zarr")
    assert (store.languages, store.verify()) == (("et", "sw"), [])
    # After the file is repaired, the same command measures the missing row.
    (three / "fi.txt").write_text("habari ya asubuhi\n")
    mended = build(corpus=three, lang="all")
    assert (mended.code, open_store(tmp_path / "x.zarr").languages) == (0, ("et", "fi", "sw"))
    assert "note: fi (seed 42): has only 1 of the 6 examples requested." in mended.err


def test_quiet_gives_the_reason_of_each_failed_language(build: Any, three: Path) -> None:
    (three / "fi.txt").write_text("")
    (three / "et.txt").write_bytes("tere".encode("utf-16"))
    completed = build("-q", corpus=three, lang="all", seed="1,2")
    assert completed.code == 3
    assert "The reasons: et: et.txt is UTF-16, not UTF-8. Convert it: `iconv" in completed.err
    assert "fi: fi.txt has no usable text: it contains no line, row or sentence." in completed.err
    assert completed.err.count("fi.txt has no usable text") == 1, "one reason for both seeds"


def test_languages_that_cannot_be_built_are_listed_separately(build: Any, three: Path, xsns: Any) -> None:
    (three / "fi.txt").write_bytes("hei".encode("utf-16"))
    (three / "swh_Latn.txt").write_text("habari\n")
    completed = build("--dry-run", "-q", corpus=three, lang="all")
    assert completed.code == 3
    assert "\nto measure: et\n" in completed.out
    assert (
        "\ncannot be measured: fi (fi.txt is UTF-16, not UTF-8), sw (sw.txt and swh_Latn.txt both mean" in completed.out
    )
    info = xsns("info", "--corpus", three)
    rows = {line.split()[0]: " ".join(line.split()[2:]) for line in info.out.splitlines()[2:]}
    assert rows["et"] == ""
    assert rows["fi"] == "fi.txt is UTF-16, not UTF-8."
    assert rows["sw"] == "sw.txt and swh_Latn.txt both mean the language 'sw'."
    listed = json.loads(xsns("info", "--corpus", three, "--json").out)["result"]
    assert listed["languages"] == ["et", "fi", "sw"]
    assert [each["language"] for each in listed["cannot_be_built"]] == ["fi", "sw"]


def test_json_lists_failed_rows(build: Any, three: Path) -> None:
    (three / "fi.txt").write_text("")
    completed = build("--json", corpus=three, lang="sw,fi,et", seed="5")
    assert completed.code == 3
    result = json.loads(completed.out)["result"]
    assert result["committed"] == [["sw", 5], ["et", 5]]
    assert result["skipped"] == []
    (failed,) = result["failed"]
    assert failed.keys() == {"language", "seed", "error", "hint"}
    assert (failed["language"], failed["seed"]) == ("fi", 5)


# --------------------------------------------------------------------------------------------- output


def test_a_dry_run_estimates_and_writes_nothing(build: Any, tmp_path: Path) -> None:
    completed = build("--dry-run", "--parts", 2, lang="sw,fi,et")
    assert completed.code == 0, completed.err
    first, second, third = completed.out.splitlines()
    assert first == "3 languages × 1 seed × 1 density from folder(texts): 3 rows, 3 of them not in the store yet."
    assert second == "to measure: sw fi et"
    assert re.fullmatch(
        r"(less than 1 s|about \d+ (s|min)) here for 3 rows, estimated from one timed row; [\d.]+ kB of disk, "
        r"[\d.]+ [MG]B of memory\.",
        third,
    )
    assert list(tmp_path.iterdir()) == []
    assert build(lang="fi").code == 0
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    completed = build("--dry-run", "--json", lang="sw,fi,et")
    plan = json.loads(completed.out)["result"]
    assert (plan["dry_run"], plan["rows"], plan["missing"]) == (True, 3, [["sw", 42], ["et", 42]])
    assert (plan["failed"], plan["files_not_read"], plan["corpus_notes"]) == ([], [], [])
    assert plan["seconds"] > 0
    row = open_store(tmp_path / "x.zarr").record("fi")
    assert plan["disk_bytes"] == 2 * row.bytes
    assert plan["memory_bytes"] > 10_000_000
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    assert build("--dry-run", lang="fi").out.endswith("1 row, 0 of them not in the store yet.\n")


@pytest.mark.parametrize(
    ("arguments", "options", "code"),
    [
        ((), {"examples": 7}, 1),
        ((), {"max_length": 65}, 1),
        (("--mean-span", "3"), {}, 2),
        (("--parts", "4"), {"lang": "sw,short"}, 2),
    ],
)
def test_a_dry_run_refuses_what_the_build_refuses(
    arguments: tuple[str, ...], options: dict[str, Any], code: int, build: Any, tmp_path: Path
) -> None:
    assert build(lang="et").code == 0
    dry, completed = build("--dry-run", *arguments, **options), build(*arguments, **options)
    assert dry == completed
    assert (completed.code, completed.out) == (code, "")
    assert open_store(tmp_path / "x.zarr").languages == ("et",)


def test_a_dry_run_names_the_rows_that_would_fail(build: Any, write_texts: Any, tmp_path: Path) -> None:
    folder = write_texts(tmp_path / "texts", "sw fi", 12)
    (folder / "et.txt").write_text("\n\n")
    (folder / "zu.txt").write_text("Sawubona.\n")
    dry = build("--dry-run", "--parts", 2, corpus=folder, lang="sw,et,zu")
    completed = build("--parts", 2, corpus=folder, lang="sw,et,zu")
    assert dry.code == completed.code == 3
    for line in ("failed: et (seed 42): ", "failed: zu (seed 42): ", "error: 2 of 3 rows failed: et, zu."):
        assert line in dry.err
        assert line in completed.err
    assert "hint: the other rows can be measured." in dry.err
    assert "hint: the other rows are committed." in completed.err


def test_a_dry_run_needs_the_model(build: Any, tmp_path: Path) -> None:
    dry, completed = build("--dry-run", model=tmp_path / "nothing"), build(model=tmp_path / "nothing")
    assert dry == completed
    assert completed.code != 0


def test_json_output_is_one_object(build: Any, tmp_path: Path) -> None:
    completed = build("--json", "--density", "0.3", seed="7")
    assert completed.code == 0
    assert completed.out.count("\n") == 1
    document = json.loads(completed.out)
    text = document["result"].pop("text")
    assert [(row["language"], row["seed"], row["examples_unusable"]) for row in text] == [("sw", 7, 0), ("fi", 7, 0)]
    assert all(note["seed"] == 7 for note in document["result"].pop("row_notes"))
    assert document == {
        "schema_version": 1,
        "command": "build",
        "result": {
            "store": str(tmp_path / "x.zarr"),
            "corpus": "folder(texts)",
            "quantile": "exact",
            "committed": [["sw", 7], ["fi", 7]],
            "skipped": [],
            "by_others": [],
            "failed": [],
            "reliability": [],
            "files_not_read": [],
            "corpus_notes": [],
        },
    }
    assert "next:" not in completed.err
    again = build("--json", "--density", "0.3", seed="7")
    assert json.loads(again.out)["result"]["skipped"] == [["sw", 7], ["fi", 7]]


def test_quiet_shows_results_and_errors_only(build: Any, three: Path, tmp_path: Path) -> None:
    (three / "fi.txt").write_text("")
    completed = build("--quiet", corpus=three, lang="sw")
    assert completed == (0, f"{tmp_path / 'x.zarr'}: 1 row measured, 0 already present, 0 failed.\n", "")
    completed = build("--quiet", corpus=three, lang="fi")
    assert completed.code == 3
    assert completed.err.startswith("error: 1 of 1 row failed: fi.\nhint: ")


def test_verbose_shows_the_traceback_of_an_error(build: Any) -> None:
    assert "Traceback" in build("-v", lang="xx").err
    assert "Traceback" not in build(lang="xx").err


def test_an_unexpected_exception_is_reported_as_a_bug(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("a surprise")

    monkeypatch.setattr("xsns_stream.pipeline.build.run_build", breaks)
    completed = build()
    assert (completed.code, completed.out) == (70, "")
    assert "Traceback" in completed.err
    assert "error: this is a bug in xsns-stream: ZeroDivisionError: a surprise\nhint: please report it" in completed.err


def test_several_densities_are_measured_in_one_pass(build: Any, tmp_path: Path) -> None:
    completed = build("--density", "0.1", "--density", "0.2", "--density", "0.1", lang="sw")
    assert completed.code == 0
    store = open_store(tmp_path / "x.zarr")
    assert store.densities == (0.1, 0.2)
    assert len(re.findall("examples/s|s/example", completed.err)) == 1


def test_a_corpus_may_be_pairs_of_language_and_file(xsns: Any, tiny_folder: Path, texts: Path, tmp_path: Path) -> None:
    pairs = ["--corpus", f"swa={texts / 'sw.txt'}", "--corpus", f"fi={texts / 'fi.txt'}"]
    common = ["--model", tiny_folder, "--examples", 4, "--max-length", 24, "--store", tmp_path / "x.zarr"]
    completed = xsns("build", *pairs, *common)
    assert completed.code == 0
    assert open_store(tmp_path / "x.zarr").languages == ("fi", "sw")
    assert open_store(tmp_path / "x.zarr").experiment["corpus"] == "files"
