"""The worker's side of work on a Dask cluster. Only this module needs `distributed` when it is imported."""

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

#: Seconds that a message to the scheduler may take.
_MESSAGE_S: Final = 60.0
#: Seconds without an item after which a session is closed. A client that was killed does not close its sessions.
_IDLE_S: Final = 300.0


def run_item(token: str, key: str, item: Any) -> tuple[Any, float]:
    """Do the work of an item on a worker; return the result and the seconds that it took."""
    plugin = get_worker().plugins[token]
    assert isinstance(plugin, JobPlugin)
    return plugin.run(key, item)


class JobPlugin(WorkerPlugin):
    """A job on a worker. The first item opens the job, because opening may take longer than a heartbeat.

    Args:
        token: Name of the run; it begins the keys of its tasks.
        job: The job.
    """

    def __init__(self, token: str, job: Job[Any, Any]) -> None:
        self.token, self.job, self.versions = token, job, library_versions()

    def setup(self, worker: Any) -> None:
        """Prepare a worker; Dask calls this."""
        self.worker = worker
        self.lock = threading.Lock()
        self.session: Session[Any, Any] | None = None
        self.idle: threading.Timer | None = None
        with suppress(ValueError):
            # Ctrl-C reaches every process of a terminal; the client alone decides what happens then.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def teardown(self, worker: Any) -> None:
        """Release the session; Dask calls this."""
        if self.idle is not None:
            self.idle.cancel()
        self.session = None

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """Prepare an item that waits for its turn while another one runs; Dask calls this."""
        if finish == "ready" and str(key).startswith(self.token) and self.session is not None:
            item = self.worker.state.tasks[key].run_spec.args[2]
            threading.Thread(target=self._prepare, args=(self.session, item), daemon=True).start()

    def _prepare(self, session: Session[Any, Any], item: Any) -> None:
        # The error is raised again when the item runs.
        with suppress(Exception):
            session.prepare(item)

    def run(self, key: str, item: Any) -> tuple[Any, float]:
        """Do the work of an item.

        Args:
            key: Key of the task, which ends with the index of the attempt, from 1, and the index of the task.
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
        """Tell the client that an item begins, and wait for the scheduler, because the item may end the worker."""
        message = {"key": key, "worker": self.worker.address}
        sending = self.worker.scheduler.log_event(topic=self.token, msg=message)
        asyncio.run_coroutine_threadsafe(sending, self.worker.loop.asyncio_loop).result(_MESSAGE_S)
