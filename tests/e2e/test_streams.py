"""The program with unusual streams: ASCII output, a closed or full stdout, folder names that are not UTF-8, Ctrl-C."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RUN = [sys.executable, "-m", "xsns_stream"]
#: A verb that receives Ctrl-C in a callback, where Python drops exceptions, and that would then work for a minute. The
#: program sets the signal handler, because a shell lets background processes ignore Ctrl-C.
CTRL_C_IN_A_CALLBACK = """
import click, signal, time, weakref
from xsns_stream import cli

signal.signal(signal.SIGINT, signal.default_int_handler)

class Thing:
    pass

@click.command()
def busy():
    thing = Thing()
    def callback(reference):
        raise KeyboardInterrupt
    held = weakref.ref(thing, callback)
    del thing
    for _ in range(6000):
        time.sleep(0.01)

cli._Verbs.get_command = lambda *_: busy
cli.run()
"""


def test_output_in_ascii_is_not_an_error() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    for more in ([], ["--json"]):
        completed = subprocess.run(
            [*RUN, "info", "--corpus", "cldr", *more], capture_output=True, text=True, check=False, env=environment
        )
        assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout)["result"]


def test_a_closed_stdout_is_not_reported_as_a_bug() -> None:
    command = " ".join([*RUN, "info", "--corpus", "cldr", ">&-"])
    completed = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert "this is a bug" not in completed.stderr
    assert "Traceback" not in completed.stderr


def test_a_full_disk_behind_stdout_is_an_error_and_not_a_bug() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    for unbuffered in ("", "1"):
        for command in (["--help"], ["build", "--help"], ["info", "--corpus", "cldr"]):
            line = " ".join([*RUN, *command, ">/dev/full"])
            environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
            completed = subprocess.run(
                ["/bin/sh", "-c", line], capture_output=True, text=True, check=False, env=environment
            )
            assert completed.returncode == 1, completed.stderr
            assert "error: cannot read or write: No space left on device." in completed.stderr
            assert "Traceback" not in completed.stderr


def test_a_corpus_folder_may_have_a_name_that_is_not_utf_8(xsns: Any, tiny_folder: Path, tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), b"\xff\xfe")  # noqa: PTH118 — pathlib knows no bytes
    os.mkdir(folder)  # noqa: PTH102
    (Path(os.fsdecode(folder)) / "sw.txt").write_text("habari ya asubuhi\n", encoding="utf-8")
    options = ["--model", tiny_folder, "--max-length", "24", "--examples", "1", "--store", tmp_path / "x.zarr"]
    completed = xsns("build", "--corpus", os.fsdecode(folder), *options)
    assert completed.code == 0, completed.err
    command = [*RUN, "info", "--store", str(tmp_path / "x.zarr"), "--json"]
    info = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(info.stdout)["result"]["experiment"]["corpus"] == r"folder(\udcff\udcfe)"


def test_ctrl_c_in_a_callback_ends_the_program() -> None:
    command = [sys.executable, "-c", "import sys; sys.argv[1:] = ['info']" + CTRL_C_IN_A_CALLBACK]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (completed.returncode, completed.stdout) == (130, "")
    assert "error: interrupted.\n" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_other_exceptions_in_callbacks_are_shown_by_python() -> None:
    script = CTRL_C_IN_A_CALLBACK.replace("KeyboardInterrupt", "RuntimeError('lost')").replace("6000", "1")
    command = [sys.executable, "-c", "import sys; sys.argv[1:] = ['info']" + script]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert completed.returncode == 0
    assert "RuntimeError: lost" in completed.stderr
