"""The program in a process of its own: its entry points, pipes that are closed, and terminals."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.support import networks
from tests.support.streams import without_next
from xsns_stream.store import open_store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the store `a.zarr`: three languages, one of them under two seeds."""
    store = open_store(tmp_path / "a.zarr", "a")
    for language, seed in (("sw", 7), ("sw", 8), ("fi", 7), ("en", 7)):
        store.write(networks.make_sub(language, seed))
    return tmp_path


def names(path: Path) -> list[tuple[str, int]]:
    return [(key.language, key.seed) for key in open_store(path).keys()]  # noqa: SIM118


def test_the_program_runs_by_its_entry_point_and_as_a_module() -> None:
    """The entry point and `python -m` start the same program."""
    script = Path(sys.executable).with_name("xsns-stream")
    for command in ([str(script)], [sys.executable, "-m", "xsns_stream"]):
        completed = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
        assert (completed.stdout.strip(), completed.stderr) == (version("xsns-stream"), "")


def test_an_unknown_language_ends_the_process_with_exit_code_2(folder: Path, run: Callable[..., Any]) -> None:
    completed = run(folder, "matrix", "-s", "a.zarr", "--lang", "sw,swahili")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr == (
        "error: no language 'swahili' in the store 'a.zarr'.\nhint: did you mean 'sw' (Swahili)?\n"
    )


def test_a_corpus_may_be_read_from_standard_input(tmp_path: Path) -> None:
    if not stat.S_ISLNK(Path("/dev/stdin").lstat().st_mode):
        pytest.skip("the system has no /dev/stdin")
    command = [sys.executable, "-m", "xsns_stream", "info", "--corpus", "sw=/dev/stdin", "--json"]
    completed = subprocess.run(command, input=b"moja\nmbili\n", capture_output=True, check=True, cwd=tmp_path)
    assert json.loads(completed.stdout)["result"]["languages"] == ["sw"]


# -------------------------------------------------------------------------------- pipes that are closed


def test_info_into_a_closed_pipe_is_not_an_error() -> None:
    """`xsns-stream info --corpus cldr | head -1` ends without an error message."""
    command = [sys.executable, "-m", "xsns_stream", "info", "--corpus", "cldr"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0, err
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


def test_head_may_stop_reading_a_list_of_languages(tmp_path: Path, start: list[str]) -> None:
    line = f"{shlex.join([*start, 'info', '--corpus', 'cldr', '--quiet'])} | head -n 3"
    completed = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert completed.stderr == ""
    assert [line.split() for line in completed.stdout.splitlines()[::2]] == [["code", "language"], ["ab", "Abkhazian"]]


def test_matrix_into_a_closed_pipe_is_not_an_error(folder: Path, start: list[str]) -> None:
    line = f"{shlex.join([*start, 'matrix', '-s', 'a.zarr', '--seed', '7'])} | head -n 1"
    completed = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    assert completed.stdout.split() == ["source", "en", "fi", "sw"]
    assert without_next(completed.stderr) == ""


def test_rank_into_a_closed_pipe_is_not_an_error(folder: Path, start: list[str]) -> None:
    line = f"{shlex.join([*start, 'rank', '-s', 'a.zarr', '--target', 'sw', '--seed', '7', '-q'])} | true"
    completed = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, timeout=120, check=True)
    assert (completed.stdout, completed.stderr) == ("", "")


# ------------------------------------------------------------------------------------------ terminals


@pytest.mark.parametrize(("answer", "remaining"), [(b"n\n", 4), (b"y\n", 2)])
def test_prune_asks_on_a_terminal(folder: Path, start: list[str], answer: bytes, remaining: int) -> None:
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [*start, "prune", "a.zarr", "--lang", "sw"], cwd=folder, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    os.write(ours, answer)
    out = program.communicate(timeout=60)[0].decode()
    os.close(ours)
    assert program.returncode == 0
    assert ("nothing was removed" in out) == (remaining == 4)
    assert len(names(folder / "a.zarr")) == remaining


def test_progress_shows_the_remaining_time(folder: Path, start: list[str]) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*start, "matrix", "-s", "a.zarr", "--seed", "7", "--recount"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=follower,
    ) as process:
        os.close(follower)
        output = b""
        # On Linux, reading from a closed terminal raises an error.
        with suppress(OSError):
            while part := os.read(leader, 65_536):
                output += part
        assert process.stdout is not None
        assert process.stdout.read().startswith(b"source")
    os.close(leader)
    assert process.returncode == 0
    plain = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", output.decode())
    assert re.search(r"comparing .* +\d+% (0:00:0\d|-:--:--)", plain)
