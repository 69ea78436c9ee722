"""Marks and workers of tests on a local Dask cluster."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

#: Marks of modules with cluster tests: one process runs all of them, so that they can share a cluster.
ON_CLUSTER = [
    pytest.mark.xdist_group("cluster"),
    # Dask leaves sockets and threads to the garbage collector when a worker is killed.
    pytest.mark.filterwarnings("ignore"),
    # A process computes with one thread, as a worker does, so that sums are rounded in the same way.
    pytest.mark.usefixtures("one_thread"),
]


def kill_workers(client: Any) -> list[int]:
    """Kill every worker of a client, and return their process identifiers."""
    killed = list(client.run(os.getpid).values())
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    return killed
