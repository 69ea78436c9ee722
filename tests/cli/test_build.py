"""`xsns-stream build`, as a user calls it: exit codes, what is said where, and what an interruption costs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.store import open_store

pytestmark = pytest.mark.xdist_group("build")

LANGUAGES = ("de", "en", "et", "fi", "sw", "zu")
SEEDS = (1, 2, 3, 4)
ROWS = len(LANGUAGES) * len(SEEDS)
LIMIT = 120


@pytest.fixture(scope="module")
def long_build(tiny_folder: Path, texts: Path) -> list[str]:
    """The arguments of a build of 24 rows, but for its store."""
    seeds = [part for seed in SEEDS for part in ("--seed", str(seed))]
    options = ["--examples", "24", "--max-length", "24"]
    return ["build", "--model", str(tiny_folder), "--corpus", str(texts), *options, *seeds]


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    long_build: list[str],
    start_xsns: Callable[..., subprocess.Popen[str]],
) -> tuple[Path, str, str]:
    """A build that nothing interrupted: its store, stdout and stderr."""
    store = tmp_path_factory.mktemp("whole") / "whole.zarr"
    process = start_xsns(*long_build, "--store", store)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return store, out, err


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads as the other processes have, so that sums are rounded alike."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def committed(store: Path) -> int:
    return sum(1 for _ in store.glob("commits/*/*/*/zarr.json"))


def digests(store: Path) -> dict[Any, tuple[Any, ...]]:
    """What must be the same, bit for bit, however often a build was interrupted."""
    return {record.key: (record.sha256, record.cardinality, record.threshold) for record in open_store(store).records()}


def stop_midway(process: subprocess.Popen[str], store: Path, rows: int, how: signal.Signals) -> tuple[str, str]:
    """Send a signal as soon as so many rows are committed; return stdout and stderr."""
    give_up = time.monotonic() + LIMIT
    while committed(store) < rows and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.005)
    process.send_signal(how)
    return process.communicate(timeout=LIMIT)


# ------------------------------------------------------------------------------------------ a whole run


def test_a_build_fills_a_store(whole: tuple[Path, str, str]) -> None:
    store = open_store(whole[0])
    assert store.languages == LANGUAGES
    assert store.seeds == SEEDS
    assert len(store.keys()) == ROWS
    assert store.verify() == []
    assert whole[1] == f"{whole[0]}: {ROWS} rows measured, 0 were there, 0 failed.\n"


def test_piped_progress_is_one_line_a_row(whole: tuple[Path, str, str]) -> None:
    err = whole[2]
    assert "\r" not in err
    assert "\x1b" not in err
    *lines, last = err.splitlines()
    rows = [line for line in lines if not line.startswith("note: ")]
    line = r"\[(\d+)/24\] \w+ \(seed \d\): 24 examples, [\d,]+ parameters, [\d.]+ s \(\d+ examples/s\)"
    numbers = [re.fullmatch(line, row) for row in rows]
    assert all(numbers), err
    assert [int(match[1]) for match in numbers] == list(range(1, ROWS + 1))
    assert last.startswith("next: xsns-stream matrix --store ")


def test_running_again_measures_nothing(whole: tuple[Path, str, str], long_build: list[str], xsns: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole[0].rglob("*")}
    done = xsns(*long_build, "--store", whole[0])
    assert (done.code, done.out) == (0, f"{whole[0]}: 0 rows measured, {ROWS} were there, 0 failed.\n")
    assert "examples/s" not in done.err
    assert {path: path.stat().st_mtime_ns for path in whole[0].rglob("*")} == before


# ---------------------------------------------------------------------------------------- interruptions


def test_ctrl_c_keeps_what_is_committed(
    whole: tuple[Path, str, str], long_build: list[str], start_xsns: Any, xsns: Any, one_thread: None, tmp_path: Path
) -> None:
    store = tmp_path / "stopped.zarr"
    process = start_xsns(*long_build, "--store", store)
    out, err = stop_midway(process, store, 1, signal.SIGINT)
    assert process.returncode == 130, err
    assert out == ""
    assert "error: interrupted.\nhint: committed rows are kept; the same command continues from there.\n" in err
    assert "Traceback" not in err
    assert 1 <= committed(store) < ROWS
    assert open_store(store).verify() == []
    kept = {path: path.stat().st_mtime_ns for path in store.glob("commits/*/*/*/zarr.json")}

    done = xsns(*long_build, "--store", store)
    told = f"{store}: {ROWS - len(kept)} rows measured, {len(kept)} were there, 0 failed.\n"
    assert (done.code, done.out) == (0, told)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "no committed row was written again"
    assert digests(store) == digests(whole[0])


def test_kill_minus_nine_loses_nothing(
    whole: tuple[Path, str, str], long_build: list[str], start_xsns: Any, xsns: Any, one_thread: None, tmp_path: Path
) -> None:
    store = tmp_path / "killed.zarr"
    process = start_xsns(*long_build, "--store", store)
    stop_midway(process, store, 4, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = digests(store)
    assert 4 <= len(kept) < ROWS
    assert open_store(store).verify() == []
    assert kept.items() <= digests(whole[0]).items()

    done = xsns(*long_build, "--store", store)
    assert (done.code, f"{ROWS - len(kept)} rows measured, {len(kept)} were there" in done.out) == (0, True)
    assert digests(store) == digests(whole[0])
    finished = open_store(store)
    assert (finished.verify(), finished.unfinished()) == ([], ())
    for key in finished.keys():  # noqa: SIM118
        ours, theirs = (open_store(path).read(key.language, key.seed) for path in (store, whole[0]))
        assert (ours.bits == theirs.bits).all()


# ------------------------------------------------------------------------------- the store is another's


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("examples", "7", "examples_asked is 6 in the store and 7 here"),
        ("mask_rate", "0.3", "objective is 'masked-lm(rate=0.15,max_length=24)' in the store"),
        ("token_reduction", "mean", "estimator is 'per-example(token_reduction=sum)' in the store"),
    ],
)
def test_another_experiment_in_the_same_store(option: str, value: str, field: str, build: Any, tmp_path: Path) -> None:
    assert build().code == 0
    done = build(lang="et", **{option: value})
    assert (done.code, done.out) == (1, "")
    assert f"error: the store '{tmp_path / 'x.zarr'}' holds another experiment: {field}" in done.err
    assert "hint: repeat the store's settings, or write to another path" in done.err
    assert open_store(tmp_path / "x.zarr").languages == ("fi", "sw")


@pytest.mark.parametrize("place", ["under a file", "a file", "another folder", "proc"])
def test_a_store_that_cannot_be(place: str, build: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    store = {
        "under a file": file / "x.zarr",
        "a file": file,
        "another folder": tmp_path / "folder",
        "proc": Path("/proc/no/x.zarr"),  # nobody, not even root, can make a folder there
    }[place]
    if place == "proc" and not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    done = build(store=store)
    assert (done.code, done.out) == (1, "")
    assert re.search(rf"^error: .*'{re.escape(str(store))}'.*\.\nhint: .+\.\n", done.err, re.MULTILINE), done.err
    assert "Traceback" not in done.err
    assert file.read_text() == "mine"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mine.txt"]


# ----------------------------------------------------------------------------------- some languages fail


@pytest.fixture
def three(tmp_path: Path, write_texts: Callable[..., Path]) -> Path:
    return write_texts(tmp_path / "three", "sw fi et", 8)


@pytest.mark.parametrize("trouble", [b"", b"\n \n", b"\xff\xfe\xff\n"], ids=["empty", "blank", "undecodable"])
def test_one_bad_language_of_three(trouble: bytes, build: Any, three: Path, tmp_path: Path) -> None:
    (three / "fi.txt").write_bytes(trouble)
    done = build(corpus=three, lang="all")
    assert done.code == 3
    assert done.out == f"{tmp_path / 'x.zarr'}: 2 rows measured, 0 were there, 1 failed.\n"
    assert "failed: fi (seed 42): " in done.err
    assert "error: 1 of 3 rows failed: fi.\nhint: the others are committed. The first: " in done.err
    store = open_store(tmp_path / "x.zarr")
    assert (store.languages, store.verify()) == (("et", "sw"), [])
    # Mended, the same command finishes the job.
    (three / "fi.txt").write_text("habari ya asubuhi\n")
    mended = build(corpus=three, lang="all")
    assert (mended.code, open_store(tmp_path / "x.zarr").languages) == (0, ("et", "fi", "sw"))
    assert "note: fi (seed 42) has only 1 of the 6 examples requested." in mended.err


def test_failures_as_json(build: Any, three: Path) -> None:
    (three / "fi.txt").write_text("")
    done = build("--json", corpus=three, lang="sw,fi,et", seed="5")
    assert done.code == 3
    result = json.loads(done.out)["result"]
    assert result["committed"] == [["sw", 5], ["et", 5]]
    assert result["skipped"] == []
    (failed,) = result["failed"]
    assert failed.keys() == {"language", "seed", "error", "hint"}
    assert (failed["language"], failed["seed"]) == ("fi", 5)


# --------------------------------------------------------------------------------------------- what is said


def test_a_dry_run_measures_nothing(build: Any, tmp_path: Path) -> None:
    done = build("--dry-run", lang="sw,fi,et")
    assert done == (
        0,
        "3 languages × 1 seed × 1 density from folder(texts): 3 rows, 3 of them not in the store yet.\n"
        "to measure: sw fi et\n",
        "",
    )
    assert not (tmp_path / "x.zarr").exists()
    assert build(lang="fi").code == 0
    done = build("--dry-run", "--json", lang="sw,fi,et")
    files = {"files_not_read": [], "corpus_notes": []}
    assert json.loads(done.out)["result"] == {"dry_run": True, "rows": 3, "missing": [["sw", 42], ["et", 42]]} | files
    assert open_store(tmp_path / "x.zarr").languages == ("fi",)


def test_a_dry_run_needs_no_model(build: Any, tmp_path: Path) -> None:
    assert build("--dry-run", model=tmp_path / "nothing").code == 0


def test_json_is_one_object(build: Any, tmp_path: Path) -> None:
    done = build("--json", "--density", "0.3", seed="7")
    assert done.code == 0
    assert done.out.count("\n") == 1
    document = json.loads(done.out)
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
    assert "next:" not in done.err
    again = build("--json", "--density", "0.3", seed="7")
    assert json.loads(again.out)["result"]["skipped"] == [["sw", 7], ["fi", 7]]


def test_quiet_hides_everything_but_results_and_errors(build: Any, three: Path, tmp_path: Path) -> None:
    (three / "fi.txt").write_text("")
    done = build("--quiet", corpus=three, lang="sw")
    assert done == (0, f"{tmp_path / 'x.zarr'}: 1 row measured, 0 were there, 0 failed.\n", "")
    done = build("--quiet", corpus=three, lang="fi")
    assert done.code == 3
    assert done.err.startswith("error: 1 of 1 row failed: fi.\nhint: ")


def test_verbose_shows_where_an_error_came_from(build: Any) -> None:
    assert "Traceback" in build("-v", lang="xx").err
    assert "Traceback" not in build(lang="xx").err


def test_a_bug_is_called_a_bug(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError("a surprise")

    monkeypatch.setattr("xsns_stream.pipeline.run_build.run_build", breaks)
    done = build()
    assert (done.code, done.out) == (70, "")
    assert "Traceback" in done.err
    assert "error: this is a bug in xsns-stream: ZeroDivisionError: a surprise\nhint: please report it" in done.err


def test_several_densities_from_one_pass(build: Any, tmp_path: Path) -> None:
    done = build("--density", "0.1", "--density", "0.2", "--density", "0.1", lang="sw")
    assert done.code == 0
    store = open_store(tmp_path / "x.zarr")
    assert store.densities == (0.1, 0.2)
    assert done.err.count("examples/s") == 1


def test_pairs_of_language_and_file(xsns: Any, tiny_folder: Path, texts: Path, tmp_path: Path) -> None:
    pairs = ["--corpus", f"swa={texts / 'sw.txt'}", "--corpus", f"fi={texts / 'fi.txt'}"]
    common = ["--model", tiny_folder, "--examples", 4, "--max-length", 24, "--store", tmp_path / "x.zarr"]
    done = xsns("build", *pairs, *common)
    assert done.code == 0
    assert open_store(tmp_path / "x.zarr").languages == ("fi", "sw")
    assert open_store(tmp_path / "x.zarr").experiment["corpus"] == "files"
