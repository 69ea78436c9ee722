"""`xsns-stream build` in a process of its own: a whole run, and runs that are interrupted and then continued."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import committed, wait_for
from xsns_stream.store import open_store

#: The tests compare with one complete build, which only one pytest worker should run.
pytestmark = pytest.mark.xdist_group("build")

LANGUAGES = ("en", "fi", "sw", "zu")
SEEDS = (1, 2, 3)
ROWS = len(LANGUAGES) * len(SEEDS)
LIMIT = 120


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    """A corpus of four languages."""
    return write_texts(tmp_path_factory.mktemp("build") / "texts", " ".join(LANGUAGES), 30)


@pytest.fixture(scope="module")
def long_build(tiny_folder: Path, texts: Path) -> list[str]:
    """The arguments of a build of 12 rows, without its store."""
    seeds = [part for seed in SEEDS for part in ("--seed", str(seed))]
    options = ["--examples", "24", "--max-length", "24"]
    return ["build", "--model", str(tiny_folder), "--corpus", str(texts), *options, *seeds]


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    long_build: list[str],
    start_xsns: Callable[..., subprocess.Popen[str]],
) -> tuple[Path, str, str]:
    """The store, stdout and stderr of a build that was not interrupted."""
    store = tmp_path_factory.mktemp("whole") / "whole.zarr"
    process = start_xsns(*long_build, "--store", store)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    return store, out, err


def digests(store: Path) -> dict[Any, tuple[Any, ...]]:
    """Return the digest, cardinality and threshold of each row, which do not depend on interruptions."""
    return {record.key: (record.sha256, record.cardinality, record.threshold) for record in open_store(store).records()}


def stop_midway(
    start_xsns: Callable[..., subprocess.Popen[str]], build: list[str], store: Path, rows: int, how: signal.Signals
) -> tuple[int, str, str]:
    """Start a build, and send a signal as soon as `rows` rows are committed; return exit code, stdout and stderr.

    This process holds the claim of the last row, so that the build cannot end before the signal.
    """
    with open_store(store, "a").claimed(LANGUAGES[-1], SEEDS[-1]):
        process = start_xsns(*build, "--store", store)
        wait_for(lambda: committed(store) >= rows, process)
        process.send_signal(how)
        out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def test_a_build_writes_every_row(whole: tuple[Path, str, str]) -> None:
    store = open_store(whole[0])
    assert store.languages == LANGUAGES
    assert store.seeds == SEEDS
    assert len(store.keys()) == ROWS
    assert store.verify() == []
    assert whole[1] == f"{whole[0]}: {ROWS} rows measured, 0 already present, 0 failed.\n"


def test_progress_in_a_pipe_is_one_line_per_row(whole: tuple[Path, str, str]) -> None:
    err = whole[2]
    assert "\r" not in err
    assert "\x1b" not in err
    *lines, last = err.splitlines()
    rows = [line for line in lines if not line.startswith("note: ")]
    line = r"\[(\d+)/12\] \w+ \(seed \d\): 24 examples, [\d,]+ parameters, [\d.]+ s \([\d.]+ (?:examples/s|s/example)\)"
    numbers = [re.fullmatch(line, row) for row in rows]
    assert all(numbers), err
    assert [int(match[1]) for match in numbers] == list(range(1, ROWS + 1))
    assert last.startswith("next: xsns-stream rank --store ")


def test_the_same_build_again_measures_nothing(whole: tuple[Path, str, str], long_build: list[str], xsns: Any) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole[0].rglob("*")}
    completed = xsns(*long_build, "--store", whole[0])
    assert (completed.code, completed.out) == (0, f"{whole[0]}: 0 rows measured, {ROWS} already present, 0 failed.\n")
    assert "examples/s" not in completed.err
    assert {path: path.stat().st_mtime_ns for path in whole[0].rglob("*")} == before


@pytest.mark.parametrize(
    ("how", "exit_code", "message"),
    [(signal.SIGINT, 130, "interrupted."), (signal.SIGTERM, 143, "terminated by SIGTERM.")],
)
def test_an_interrupted_build_keeps_the_committed_rows(
    how: signal.Signals,
    exit_code: int,
    message: str,
    whole: tuple[Path, str, str],
    long_build: list[str],
    start_xsns: Any,
    xsns: Any,
    one_thread: None,
    tmp_path: Path,
) -> None:
    store = tmp_path / "stopped.zarr"
    code, out, err = stop_midway(start_xsns, long_build, store, 1, how)
    assert code == exit_code, err
    assert out == ""
    assert f"error: {message}\nhint: committed rows are kept; run the same command again to continue.\n" in err
    assert "Traceback" not in err
    assert 1 <= committed(store) < ROWS
    assert open_store(store).verify() == []
    before = {path: path.stat().st_mtime_ns for path in store.glob("commits/*/*/*/zarr.json")}

    completed = xsns(*long_build, "--store", store)
    sentence = f"{store}: {ROWS - len(before)} rows measured, {len(before)} already present, 0 failed.\n"
    assert (completed.code, completed.out) == (0, sentence)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "no committed row was written again"
    assert digests(store) == digests(whole[0])


def test_a_killed_build_loses_no_committed_row(
    whole: tuple[Path, str, str], long_build: list[str], start_xsns: Any, xsns: Any, one_thread: None, tmp_path: Path
) -> None:
    store = tmp_path / "killed.zarr"
    code, _, err = stop_midway(start_xsns, long_build, store, 3, signal.SIGKILL)
    assert code == -signal.SIGKILL, err
    before = digests(store)
    assert 3 <= len(before) < ROWS
    assert open_store(store).verify() == []
    assert before.items() <= digests(whole[0]).items()

    completed = xsns(*long_build, "--store", store)
    assert (completed.code, f"{ROWS - len(before)} rows measured, {len(before)} already present" in completed.out) == (
        0,
        True,
    )
    assert digests(store) == digests(whole[0])
    finished = open_store(store)
    assert (finished.verify(), finished.unfinished()) == ([], ())
    for key in finished.keys():  # noqa: SIM118
        ours, theirs = (open_store(path).read(key.language, key.seed) for path in (store, whole[0]))
        assert (ours.bits == theirs.bits).all()
