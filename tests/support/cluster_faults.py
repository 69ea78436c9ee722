"""Faults of workers for tests of verbs on a cluster; workers import this module."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from xsns_stream.errors import XsnsError

NAME = "fault-of-a-test"


class Fault(WorkerPlugin):
    """A fault in every present and future worker; restart the workers after the test.

    Args:
        folder: A folder that counts the faults.
        kind: `kill while reading`, `kill while writing`, `kill after the commit`, `hang` or `full disk`.
        language: Language of the row.
        times: Number of times that the fault happens.
    """

    name = NAME

    def __init__(self, folder: Path, kind: str, language: str, times: int = 1) -> None:
        self.folder, self.kind, self.language, self.times = folder, kind, language, times

    def setup(self, worker: Any) -> None:
        """Patch the modules of a worker; Dask calls this."""
        from xsns_stream.pipeline import cluster_build
        from xsns_stream.store.storage import local

        fault, session = self, cluster_build.BuildSession
        text, run, atomic_file = session._text, session.run, local.atomic_file

        def read(self: Any, row: Any) -> Any:
            if fault.kind in ("kill while reading", "hang") and fault.happens(row.language):
                fault.act()
            return text(self, row)

        def run_item(self: Any, item: Any, attempt: int) -> Any:
            fault.current = item.language
            result = run(self, item, attempt)
            if fault.kind == "kill after the commit" and fault.happens(item.language):
                fault.act()
            return result

        def write(target: Path) -> Any:
            at_row = target.name == "0" and fault.kind in ("kill while writing", "full disk")
            if at_row and fault.happens(fault.current):
                fault.act()
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            return atomic_file(target)

        session._text, session.run, local.atomic_file = read, run_item, write

    def happens(self, language: str) -> bool:
        """Return whether the fault happens now, and count it."""
        if language != self.language:
            return False
        number = len(list(self.folder.iterdir()))
        if number >= self.times:
            return False
        (self.folder / f"{number}-{os.getpid()}").touch()
        return True

    def act(self) -> None:
        """Kill this worker, or hang."""
        if self.kind.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "hang":
            time.sleep(3600)


class UnitFault(Fault):
    """A fault of fine-tuning in every present and future worker.

    The kinds are `kill while training`, `kill after the commit`, `kill before the model` (after the scores are
    written), `hang`, `no model` (a full disk after the scores are written) and `full disk`.
    """

    def setup(self, worker: Any) -> None:
        """Patch the modules of a worker; Dask calls this."""
        from xsns_stream.pipeline import cluster_transfer, run_transfer, units

        fault, fine_tune, make_unit = self, run_transfer.fine_tune, cluster_transfer.make_unit

        def tune(*arguments: Any, on_step: Any, **options: Any) -> Any:
            def step(*progress: Any) -> None:
                if fault.kind in ("kill while training", "hang") and fault.happens(fault.current):
                    fault.act()
                on_step(*progress)

            return fine_tune(*arguments, on_step=step, **options)

        def make(unit: Any, *rest: Any) -> None:
            fault.current = unit.source
            make_unit(unit, *rest)
            if fault.kind == "kill after the commit" and fault.happens(unit.source):
                fault.act()

        def save(*arguments: Any) -> None:
            if fault.kind == "no model":
                raise XsnsError("the fine-tuned model cannot be saved.")
            if fault.happens(fault.current):
                fault.act()
            save_model(*arguments)

        def write(target: Path, writing: Any) -> None:
            def full(file: Any) -> None:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))

            write_whole(target, full if fault.happens(fault.current) else writing)

        save_model, write_whole = run_transfer.save_model, units.write_whole
        run_transfer.fine_tune, cluster_transfer.make_unit = tune, make
        if self.kind in ("no model", "kill before the model"):
            run_transfer.save_model = save
        if self.kind == "full disk":
            units.write_whole = write


class BaselineFault(Fault):
    """A fault of baselines in every present and future worker.

    The kinds are `kill while measuring`, `kill while searching` and `hang`.
    """

    def setup(self, worker: Any) -> None:
        """Patch the modules of a worker; Dask calls this."""
        from xsns_stream.pipeline import cluster_baselines

        fault, text = self, cluster_baselines.BaselineSession._text
        search = cluster_baselines.NeighboursSession.run

        def read(self: Any, row: Any) -> Any:
            if fault.kind in ("kill while measuring", "hang") and fault.happens(row.language):
                fault.act()
            return text(self, row)

        def run(self: Any, item: str, attempt: int) -> Any:
            if fault.kind == "kill while searching" and fault.happens(item):
                fault.act()
            return search(self, item, attempt)

        cluster_baselines.BaselineSession._text = read  # type: ignore[method-assign]
        cluster_baselines.NeighboursSession.run = run  # type: ignore[method-assign]


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
