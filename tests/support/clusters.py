"""Tests on a Dask cluster of this machine."""

from __future__ import annotations

import pytest

#: Marks of modules with cluster tests: one process runs all of them, so that they can share a cluster.
ON_CLUSTER = [
    pytest.mark.xdist_group("cluster"),
    # Dask leaves sockets and threads to the garbage collector when a worker is killed.
    pytest.mark.filterwarnings("ignore"),
    # A process computes with one thread, as a worker does, so that sums are rounded in the same way.
    pytest.mark.usefixtures("one_thread"),
]
