"""Faults of workers for tests of counts on a cluster; workers import this module."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

NAME = "fault-of-a-count"


class KilledWhileCounting(WorkerPlugin):
    """Every present and future worker is killed in the middle of the range that begins at a word.

    Args:
        folder: A folder that counts the kills.
        start: First word of the range.
        times: Number of kills.
    """

    name = NAME

    def __init__(self, folder: Path, start: int, times: int = 1) -> None:
        self.folder, self.start, self.times = folder, start, times

    def setup(self, worker: Any) -> None:
        """Patch the module of a worker; Dask calls this."""
        from xsns_stream.pipeline import cluster_counts

        fault, run = self, cluster_counts.CountSession.run

        def count(self: Any, item: Any, attempt: int) -> Any:
            result = run(self, item, attempt)
            kills = len(list(fault.folder.iterdir()))
            if item.start == fault.start and kills < fault.times:
                (fault.folder / f"{kills}-{os.getpid()}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        cluster_counts.CountSession.run = count
