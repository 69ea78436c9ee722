"""Processes of the command line that are interrupted or killed, their workers, and waiting for their effects."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import START


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait until `ready` returns true; fail with the output of the process if it ends before."""
    limit = time.monotonic() + 600
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)


def committed(store: Path) -> int:
    """Return the number of committed rows of a store in a folder."""
    return sum(1 for _ in store.glob("commits/*/*/*/zarr.json"))


def start_in_session(*arguments: object) -> subprocess.Popen[str]:
    """Start a command line in a session of its own, which its workers belong to."""
    return subprocess.Popen(
        [*START, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def interrupt_or_kill(process: subprocess.Popen[str], how: signal.Signals, limit: float, kept: str) -> None:
    """End a process by a signal, and check what it prints.

    Ctrl-C and SIGTERM are sent to all processes of the session, as terminals and batch systems do, and SIGKILL to its
    leader alone.
    """
    if how == signal.SIGKILL:
        process.kill()
        process.communicate(timeout=limit)
        return
    os.killpg(process.pid, how)
    err = process.communicate(timeout=limit)[1]
    code, what = {signal.SIGINT: (130, "interrupted."), signal.SIGTERM: (143, "terminated by SIGTERM.")}[how]
    assert process.returncode == code, err
    assert err.endswith(f"error: {what}\nhint: {kept} are kept; run the same command again to continue.\n")
    assert "Traceback" not in err


def children(pid: int) -> list[int]:
    """Return the processes of a session except its leader."""
    return [number for number, _ in _session(pid) if number != pid]


def kill_workers(pid: int) -> int:
    """Kill all workers that the leader of a session has started, and return their number."""
    session = _session(pid)
    others = {number for number, parent in session if parent == pid}
    workers = [number for number, parent in session if parent in others]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    return len(workers)


def _session(pid: int) -> list[tuple[int, int]]:
    """Return the processes of a session, and the parent of each."""
    command = ["ps", "-o", "pid=,ppid=", "-s", str(pid)]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [(int(line.split()[0]), int(line.split()[1])) for line in output.splitlines()]
