"""Code that runs on the workers of a Dask cluster. Only this module imports `distributed` at the top level."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from contextlib import suppress
from typing import Any, Final

from distributed import WorkerPlugin, get_worker

from xsns_stream.pipeline.jobs import Job, Session, refuse_other_versions
from xsns_stream.types.provenance import library_versions

#: Timeout in seconds of a message to the scheduler.
_MESSAGE_S: Final = 60.0
#: Seconds without an item after which a session is closed. A client that was killed does not close its sessions.
_IDLE_S: Final = 300.0


def run_item(token: str, key: str, item: Any) -> tuple[Any, float]:
    """Do an item on a worker, and return the result and the duration in seconds."""
    plugin = get_worker().plugins[token]
    assert isinstance(plugin, JobPlugin)
    return plugin.run(key, item)


class JobPlugin(WorkerPlugin):
    """Dask plugin that keeps a job open on a worker.

    The job is opened when the worker begins its first item, and not in `setup`, because opening may take longer than
    the interval between two heartbeats of the worker.

    Args:
        token: Name of the run, which is the prefix of the keys of its tasks.
        job: The job.
    """

    def __init__(self, token: str, job: Job[Any, Any]) -> None:
        self.token, self.job, self.versions = token, job, library_versions()

    def setup(self, worker: Any) -> None:
        """Initialise the plugin on a worker; Dask calls this method."""
        self.worker = worker
        self.lock = threading.Lock()
        self.session: Session[Any, Any] | None = None
        self.idle: threading.Timer | None = None
        with suppress(ValueError):
            # Ctrl-C reaches every process of a terminal; the client alone decides what happens then.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: Any) -> None:
        """Close the session; Dask calls this method."""
        if self.idle is not None:
            self.idle.cancel()
        self.session = None

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """If a task becomes ready, prepare its item in a thread; Dask calls this method at each change of state."""
        if finish == "ready" and str(key).startswith(self.token) and self.session is not None:
            item = self.worker.state.tasks[key].run_spec.args[2]
            threading.Thread(target=self._prepare, args=(self.session, item), daemon=True).start()

    def _prepare(self, session: Session[Any, Any], item: Any) -> None:
        # The error is raised again when the item runs.
        with suppress(Exception):
            session.prepare(item)

    def run(self, key: str, item: Any) -> tuple[Any, float]:
        """Do an item, and return the result and the duration in seconds.

        Args:
            key: Key of the task. Its last two parts, after `-`, are the index of the attempt and the index of the
                submission, both counted from 1.
            item: The item.
        """
        attempt = int(key.split("-")[-2])
        # A worker may have several threads, and a model measures one item at a time.
        with self.lock:
            self._announce(key)
            started = time.perf_counter()
            if self.idle is not None:
                self.idle.cancel()
            if self.session is None:
                refuse_other_versions(self.worker.address, library_versions(), self.versions)
                self.session = self.job.open()
            try:
                return self.session.run(item, attempt), time.perf_counter() - started
            finally:
                self.idle = threading.Timer(_IDLE_S, self._close)
                self.idle.daemon = True
                self.idle.start()

    def _close(self) -> None:
        with self.lock:
            self.session = None

    def _announce(self, key: str) -> None:
        """Tell the client that an item begins, and wait for the answer, because the item may crash the worker."""
        message = {"key": key, "worker": self.worker.address}
        sending = self.worker.scheduler.log_event(topic=self.token, msg=message)
        asyncio.run_coroutine_threadsafe(sending, self.worker.loop.asyncio_loop).result(_MESSAGE_S)
