"""Waiting for the effects of a process."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait until `ready` returns true; fail with the output of the process if it ends before."""
    limit = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)
