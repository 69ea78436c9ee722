"""Odd streams: an encoding without our letters, a closed stdout, a store whose name needs quotes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

RUN = [sys.executable, "-m", "xsns_stream"]


def test_an_encoding_without_our_letters_is_no_bug() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    for more in ([], ["--json"]):
        finished = subprocess.run(
            [*RUN, "info", "--corpus", "cldr", *more], capture_output=True, text=True, check=False, env=environment
        )
        assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["result"]


def test_a_closed_stdout_is_no_bug() -> None:
    command = " ".join([*RUN, "info", "--corpus", "cldr", ">&-"])
    finished = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert "this is a bug" not in finished.stderr
    assert "Traceback" not in finished.stderr
