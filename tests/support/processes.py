"""Waiting for what a process does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait until something is there, or fail with what the process said."""
    limit = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)
