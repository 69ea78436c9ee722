"""Work on a Dask cluster: the client submits items to workers, and the workers return small results.

Dask schedules the items, and restarts workers that died. This module adds three rules: a worker opens a job once and
keeps it open; an item whose worker died is tried again a limited number of times; and a worker that hangs is restarted.
"""

from __future__ import annotations

import queue
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic

from xsns_stream.errors import IncompatibleError, UsageError, XsnsError
from xsns_stream.pipeline.jobs import SAME_PACKAGES, SAME_PACKAGES_EVERYWHERE, Item, Job, Result, refuse_other_versions
from xsns_stream.types.provenance import library_versions

if TYPE_CHECKING:
    from distributed import Client, Future

#: Number of times that an item is tried again after the worker that was doing it died.
DEFAULT_RETRIES: Final = 3
#: Smallest time limit for an item in seconds, if the user sets no limit.
LEAST_LIMIT_S: Final = 600.0
#: A worker is assumed to hang when an item takes this many times as long, per unit of size, as the slowest item so far.
_SLOWER: Final = 20.0
#: Seconds between two checks of the workers and of the scheduler.
_LOOK_S: Final = 1.0
#: Seconds without any worker after which a note is sent to the user.
_NO_WORKER_S: Final = 30.0
#: Seconds without any worker after which work on a local cluster ends, because only this process starts its workers.
_NO_LOCAL_WORKER_S: Final = 600.0
#: Seconds without a connection to the scheduler after which the client gives up.
_LOST_S: Final = 60.0
#: A `LocalCluster` replaces a worker that has ended. If the new worker has ended too when this time is over, Dask
#: starts no further worker in its place. The time is therefore longer than any run.
KEEP_PLACES: Final = {"distributed.deploy.lost-worker-timeout": "3650 days"}
#: Seconds after which a worker that does not answer a short question is assumed to be stopped.
_ANSWER_S: Final = 60.0
#: Seconds that the end of a run waits until the workers have closed their sessions.
_CLOSE_S: Final = 10.0
_DIED: Final = "the worker died each time: it may have run out of memory, or may have been stopped."
#: Largest number of times that an item is submitted, for each time that a worker may begin it.
_SUBMISSIONS: Final = 5


@dataclass(frozen=True)
class WorkDoneBy:
    """Result of an item that a worker has finished, with the attempts and the time.

    Attributes:
        result: The value that the session returned.
        attempts: Number of attempts, one for each start of the item on a worker.
        seconds: Seconds from the last start of the item to its result.
    """

    result: Any
    attempts: int
    seconds: float


@dataclass(frozen=True)
class Attempt:
    """One attempt at an item by one worker.

    Attributes:
        worker: Address of the worker.
        begun: Time at which the attempt started, in seconds since the epoch.
    """

    worker: str
    begun: float


@dataclass(frozen=True)
class ClusterOptions:
    """Options for work on a cluster.

    Attributes:
        retries: Number of times that an item is tried again after its worker died or was restarted.
        limit: Seconds after which a worker that has not finished an item is restarted. None means 20 times the time of
            the slowest item so far, scaled by the size of the item, and at least ten minutes.
    """

    retries: int = DEFAULT_RETRIES
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UsageError(f"the number of retries must be at least 0, not {self.retries}.")
        if self.limit is not None and not self.limit > 0:
            raise UsageError(f"the limit must be a positive number of seconds, not {self.limit}.")


# ------------------------------------------------------------------------------------------------------- the client


def run_on_cluster(
    client: Client,
    job: Job[Item, Result],
    items: Sequence[Item],
    *,
    on_started: Callable[[Item, str], None],
    on_done: Callable[[Item, WorkDoneBy], None],
    on_failed: Callable[[Item, XsnsError, Sequence[Attempt]], None],
    on_note: Callable[[str], None],
    options: ClusterOptions | None = None,
) -> None:
    """Let the workers of a cluster do all items, and return when each item is finished or has failed for good.

    Args:
        client: A client of the cluster.
        job: The job to which the items belong.
        items: The items; each must be hashable.
        on_started: Called with an item and the address of its worker, when the worker begins the item.
        on_done: Called with an item and a :class:`WorkDoneBy`, when the item is finished.
        on_failed: Called with an item, an error and the attempts, if the workers of the item died or hung too often.
        on_note: Called with a sentence for the user.
        options: Number of retries and limit of time.

    Raises:
        IncompatibleError: A worker has other versions of libraries than this process.
        XsnsError: A worker cannot do this job, or the connection to the scheduler is lost.
    """
    if not items:
        return
    check_workers(client, on_note)
    run = _ClientRun(client, job, options or ClusterOptions(), on_started, on_done, on_failed, on_note)
    with run.registered():
        run.loop(sorted(items, key=job.size, reverse=True))


@dataclass
class _Running:
    """The worker that is doing an item, and the time at which it began."""

    worker: str
    since: float


@dataclass
class _ClientRun(Generic[Item, Result]):
    """The state of one call of :func:`run_on_cluster`.

    Dask calls the methods that receive its events in its own threads. These methods therefore only put messages into a
    queue, and :meth:`loop` handles the messages.
    """

    client: Client
    job: Job[Item, Result]
    options: ClusterOptions
    on_started: Callable[[Item, str], None]
    on_done: Callable[[Item, WorkDoneBy], None]
    on_failed: Callable[[Item, XsnsError, Sequence[Attempt]], None]
    on_note: Callable[[str], None]
    messages: queue.SimpleQueue[tuple[str, Any, Any]] = field(default_factory=queue.SimpleQueue)
    items: dict[str, Item] = field(default_factory=dict)
    futures: dict[str, Future[Any]] = field(default_factory=dict)
    submitted: Counter[str] = field(default_factory=Counter)
    begun: defaultdict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    running: dict[str, _Running] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    slowest: float = 0.0
    without_workers: float | None = None
    told_no_workers: bool = False
    lost_since: float | None = None

    def __post_init__(self) -> None:
        self.token = f"xsns-{id(self):x}-{time.time_ns():x}"
        # Workers with GPUs declare them as `--resources GPU=1`; an item then takes one GPU.
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        if not self.job.uses_threads and any(worker.get("nthreads", 1) > 1 for worker in workers):
            self.on_note(
                "workers with several threads do one item at a time; start them with `dask worker --nthreads 1`, and "
                "with `--nworkers` for several of them on a machine."
            )
        gpus = any("GPU" in worker.get("resources", {}) for worker in workers)
        self.resources = {"GPU": 1} if gpus else None
        self.on_this_machine = _is_local(self.client)

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Register the job as a plugin of all workers, including those that join later, for the `with` block."""
        from dask import config

        from xsns_stream.pipeline.cluster_worker import JobPlugin

        self.client.subscribe_topic(self.token, self._on_event)
        self.client.register_plugin(JobPlugin(self.token, self.job), name=self.token)
        try:
            # The setting is not changed for clusters that the user has started, such as those of batch systems, because
            # they may rely on it.
            with config.set(KEEP_PLACES if self.on_this_machine else {}):
                yield
        finally:
            with suppress(Exception):
                self.client.cancel(list(self.futures.values()), force=True)
            with suppress(Exception):
                self.client.unsubscribe_topic(self.token)
                # The method of the client has no time limit, and would wait for a worker that is stopped.
                assert self.client.scheduler is not None
                unregister = self.client.scheduler.unregister_worker_plugin
                self.client.sync(unregister, name=self.token, callback_timeout=_CLOSE_S)

    def _on_event(self, event: tuple[float, Mapping[str, Any]]) -> None:
        message = event[1]
        self.messages.put(("started", message["key"], message["worker"]))

    def loop(self, items: Sequence[Item]) -> None:
        """Submit the items, and handle messages until no item is left."""
        for index, item in enumerate(items):
            key = f"{self.token}-{index}"
            self.items[key] = item
            self._submit(key)
        while self.futures:
            try:
                kind, key, value = self.messages.get(timeout=_LOOK_S)
            except queue.Empty:
                self._look()
                continue
            if kind == "started":
                self._started(key, value)
            elif key in self.futures and self.futures[key] is value:
                self._ended(key, value)

    def _submit(self, key: str) -> None:
        from xsns_stream.pipeline.cluster_worker import run_item

        self.submitted[key] += 1
        attempt = f"{key}-{len(self.begun[key]) + 1}-{self.submitted[key]}"
        future = self.client.submit(
            run_item,
            self.token,
            attempt,
            self.items[key],
            key=attempt,
            pure=False,
            priority=-len(self.futures),
            resources=self.resources,
        )
        self.futures[key] = future
        self._await(key, future)

    def _await(self, key: str, future: Future[Any]) -> None:
        future.add_done_callback(lambda done: self.messages.put(("ended", key, done)))

    def _count_begun(self) -> None:
        """Handle the messages of the kind `started` in the queue before all other messages."""
        others = []
        while not self.messages.empty():
            message = self.messages.get()
            if message[0] == "started":
                self._started(message[1], message[2])
            else:
                others.append(message)
        for message in others:
            self.messages.put(message)

    def _started(self, key: str, worker: str) -> None:
        key = key.rsplit("-", 2)[0]
        if key in self.futures:
            self.begun[key].append(Attempt(worker, time.time()))
            self.running[key] = _Running(worker, time.monotonic())
            self.on_started(self.items[key], worker)

    def _ended(self, key: str, future: Future[Any]) -> None:
        from distributed import KilledWorker

        item = self.items[key]
        if future.status == "finished":
            try:
                result, seconds = future.result()
            except KilledWorker:
                # The worker died between the end of the item and the reading of its result.
                self._try_again(key, _DIED)
                return
            # If the result was lost with its worker, reading it has run the task again.
            self._count_begun()
            self.slowest = max(self.slowest, seconds / max(self.job.size(item), 1e-9))
            self._forget(key)
            self.on_done(item, WorkDoneBy(result, max(1, len(self.begun[key])), seconds))
        elif future.status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                if isinstance(error, XsnsError):
                    raise error
                future.result()
            self._count_begun()
            self._try_again(key, _DIED)
        elif future.status == "cancelled":
            # The scheduler is lost, or somebody has restarted the cluster.
            self.cancelled.add(key)
            self._look()
        else:
            # The worker died before its result was read, and the scheduler gives the same task to another worker.
            self._await(key, future)

    def _try_again(self, key: str, reason: str) -> None:
        running = self.running.pop(key, None)
        # If a worker dies, the items in its queue fail too. An item that it had not begun is not blamed for this,
        # unless this happens very often.
        attempts = len(self.begun[key])
        if attempts > self.options.retries or self.submitted[key] > _SUBMISSIONS * (1 + self.options.retries):
            item = self.items[key]
            self._forget(key)
            times = f"begun {attempts} times" if attempts else f"given to workers {self.submitted[key]} times"
            if attempts == 1:
                times, reason = "begun once", reason.replace(" each time", "")
            hint = "give workers more memory, give a smaller --batch or --max-length, or run the same command again."
            self.on_failed(item, XsnsError(f"it was {times}, and {reason}", hint), tuple(self.begun[key]))
            return
        if reason == _DIED and running is not None:
            self.on_note(
                f"the worker at {running.worker} died while it worked on {self.job.name(self.items[key])}, which is "
                f"now done again (attempt {attempts + 1} of at most {self.options.retries + 1}). It may have run out "
                "of memory, or may have been stopped."
            )
        self._submit(key)

    def _forget(self, key: str) -> None:
        self.futures.pop(key, None)
        self.running.pop(key, None)

    def _look(self) -> None:
        """Check for workers that hang, for a cluster without workers, and for a lost connection to the scheduler."""
        now = time.monotonic()
        if self.client.status != "running":
            self.lost_since = self.lost_since or now
            if self.client.status in ("closed", "closing") or now - self.lost_since > _LOST_S:
                raise XsnsError(
                    "the connection to the Dask scheduler is lost.",
                    "start the scheduler and its workers, and run the same command again: finished work is kept.",
                )
            return
        self.lost_since = None
        for key in self.cancelled & self.futures.keys():
            self._try_again(key, "the cluster was restarted each time.")
        self.cancelled.clear()
        self._look_for_workers(now)
        for key, running in list(self.running.items()):
            limit = self._limit(key)
            if limit is not None and now - running.since > limit:
                self._restart(key, running, limit)

    def _look_for_workers(self, now: float) -> None:
        if self.client.scheduler_info(n_workers=0)["n_workers"]:
            self.without_workers, self.told_no_workers = None, False
            return
        if self.without_workers is None:
            self.without_workers = now
        if self.on_this_machine and now - self.without_workers > _NO_LOCAL_WORKER_S:
            raise XsnsError(
                "all workers of this machine have ended, and none could be started again.",
                "free memory or give fewer workers, and run the same command again: finished work is kept.",
            )
        if not self.told_no_workers and now - self.without_workers > _NO_WORKER_S:
            self.on_note("the cluster has no worker; this command waits until there is one.")
            self.told_no_workers = True

    def _limit(self, key: str) -> float | None:
        if self.options.limit is not None:
            return self.options.limit
        if not self.slowest:
            return None
        return max(LEAST_LIMIT_S, _SLOWER * self.slowest * self.job.size(self.items[key]))

    def _restart(self, key: str, running: _Running, limit: float) -> None:
        self.on_note(f"the worker at {running.worker} has not finished its work in {limit:,.0f} s, and is restarted.")
        future = self.futures.pop(key)
        self.client.cancel([future], force=True)
        with suppress(Exception):
            self.client.restart_workers([running.worker], timeout=30, raise_for_error=False)
        self._try_again(key, "the worker did not finish in time.")


def _is_local(client: Client) -> bool:
    """Return whether this process has started the cluster of a client on this machine."""
    from distributed import LocalCluster

    return isinstance(client.cluster, LocalCluster)


def check_workers(client: Client, on_note: Callable[[str], None]) -> None:
    """Check that the scheduler can load the package, and that all present workers have the libraries of this process.

    Workers that do not answer within a minute are restarted.

    Args:
        client: A client of the cluster.
        on_note: Called with a sentence for the user about a worker that does not answer.

    Raises:
        IncompatibleError: The scheduler cannot load the package, or a worker has another version of a library, or does
            not answer. The message names the versions that differ.
    """
    own = library_versions()
    try:
        client.run_on_scheduler(library_versions)
    except ImportError as error:
        raise IncompatibleError(
            f"the scheduler at {client.scheduler_info(n_workers=0)['address']} cannot load xsns-stream: {error}.",
            SAME_PACKAGES_EVERYWHERE,
        ) from error
    try:
        versions = _versions(client)
        if versions is None:
            _restart_silent(client, on_note)
            versions = _versions(client)
        if versions is None:
            raise TimeoutError(f"no answer after {_ANSWER_S:,.0f} s")
    except Exception as error:
        raise IncompatibleError(
            f"the versions of a worker's packages cannot be determined: {error}.", SAME_PACKAGES
        ) from error
    for worker, theirs in versions.items():
        refuse_other_versions(worker, theirs, own)


def _versions(client: Client) -> Mapping[str, Any] | None:
    """Return {worker: versions of its libraries, or the error}; None if a worker does not answer."""
    with suppress(TimeoutError):
        versions: Mapping[str, Any] = client.run(library_versions, on_error="return", callback_timeout=_ANSWER_S)
        return versions
    return None


def _restart_silent(client: Client, on_note: Callable[[str], None]) -> None:
    """Restart all workers that do not answer; `on_note` is called with a sentence about each."""
    for worker in client.scheduler_info(n_workers=-1)["workers"]:
        try:
            client.run(library_versions, workers=[worker], on_error="ignore", callback_timeout=_LOOK_S)
        except TimeoutError:
            on_note(f"the worker at {worker} does not answer, and is restarted.")
            client.restart_workers([worker], timeout=30, raise_for_error=False)
