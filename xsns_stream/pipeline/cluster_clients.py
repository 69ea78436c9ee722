"""Dask clusters for the commands: a local cluster, or the cluster of a scheduler or of a client that the user gives.

Dask is imported only when a cluster is needed.
"""

from __future__ import annotations

import ast
import inspect
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
import tokenize
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.pipeline.arguments import real_number, whole_number
from xsns_stream.pipeline.cluster import DEFAULT_RETRIES, KEEP_PLACES, ClusterOptions, check_workers

if TYPE_CHECKING:
    from distributed import Client

#: Names of the keyword arguments of public functions that concern a cluster.
CLUSTER_OPTIONS: Final = ("workers", "scheduler", "client", "retries", "worker_timeout")
#: Memory in bytes of a Python process that has imported the libraries and has not loaded a model.
PROCESS_BYTES: Final = 600_000_000
#: Share of the free memory of this machine that all local workers together may use.
_USED_SHARE: Final = 0.9
#: Where the system supports it, workers are forked from a server process that has imported their libraries.
_START_METHOD: Final = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
#: Variables that set the number of threads of numerical libraries.
_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
#: Modules that workers of a build need.
BUILD_MODULES: Final = ("xsns_stream.pipeline.cluster_preload",)
_SOME_WORKERS: Final = "give a number of processes, or auto; without workers, one process does all work."
#: Time in seconds that a client waits for the file of a scheduler that is starting.
FILE_WAIT_S: Final = 30.0
_START_CLUSTER: Final = (
    "start one with `dask scheduler`, and workers with `dask worker`; then give its address, which begins with tcp://, "
    "or its file."
)
_INSTALL: Final = "install it with `pip install 'xsns-stream[distributed]'`."


@dataclass(frozen=True)
class Workers:
    """The workers that do the items. Exactly one of `number`, `scheduler` and `client` is not None.

    Attributes:
        number: Number of processes on this machine, or `auto` for as many as the cores and the memory allow.
        scheduler: Address of a running Dask scheduler, or the path of its scheduler file.
        client: A client of a running cluster; it stays open.
        options: Number of retries and limit of time.
    """

    number: int | Literal["auto"] | None = None
    scheduler: str | None = None
    client: Client | None = None
    options: ClusterOptions = field(default_factory=ClusterOptions)

    def count(self, memory: int, free: int) -> int:
        """Return the number of workers.

        Args:
            memory: Bytes that a worker needs.
            free: Free bytes of this machine.

        Raises:
            XsnsError: The cluster cannot be reached.
        """
        if self.number == AUTO:
            return automatic_workers(memory, free)
        if self.number is not None:
            return self.number
        with self.connect(lambda note: None, memory, free) as client:
            return int(client.scheduler_info(n_workers=0)["n_workers"])

    def preload(self) -> None:
        """Start the import of the libraries that local workers need, in another process; return at once."""
        if self.number is not None:
            preload_workers()

    @contextmanager
    def reached(self, on_note: Callable[[str], None]) -> Iterator[Workers]:
        """Connect to a running cluster, so that nothing is loaded or written if it cannot be used.

        Args:
            on_note: Called with a sentence for the user.

        Yields:
            The same workers, with a client in place of the scheduler. Processes of this machine are not started yet.

        Raises:
            IncompatibleError: The scheduler or a worker has other packages.
            XsnsError: The scheduler cannot be reached.
        """
        if self.number is not None:
            yield self
        elif self.client is not None:
            check_workers(self.client, on_note)
            yield self
        else:
            with connected(str(self.scheduler)) as client:
                check_workers(client, on_note)
                yield replace(self, scheduler=None, client=client)

    @contextmanager
    def connect(
        self,
        on_note: Callable[[str], None],
        memory: int,
        free: int,
        most: int = 1 << 30,
        modules: Sequence[str] = BUILD_MODULES,
        device: str = "cpu",
    ) -> Iterator[Client]:
        """Yield a client of the cluster.

        If `number` is given, a local cluster starts, and is closed at the end of the `with` block.

        Args:
            on_note: Called with a sentence for the user.
            memory: Bytes that a worker needs.
            free: Free bytes of this machine.
            most: Largest useful number of local workers, for example the number of items.
            modules: Modules that all local workers import.
            device: Device of the computation, such as `cpu` or `cuda`.

        Raises:
            UsageError: `distributed` is not installed.
            XsnsError: The scheduler cannot be reached.
        """
        if self.client is not None:
            yield self.client
        elif self.scheduler is not None:
            with connected(self.scheduler) as client:
                yield client
        else:
            number = min(self.count(memory, free), most)
            if self.number == AUTO:
                on_note(f"{number} {'worker' if number == 1 else 'workers'}, each with about {_gigabytes(memory)}.")
            elif number * memory > free:
                need = "worker needs" if number == 1 else "workers need"
                on_note(
                    f"{number} {need} about {_gigabytes(number * memory)} of memory, and {_gigabytes(free)} are free; "
                    "--workers auto starts as many workers as fit."
                )
            if shared := shared_gpus(number, device):
                on_note(f"{number} workers share {shared} of this machine, and each of them loads the model.")
            with local_cluster(number, on_note, modules) as client:
                yield client


AUTO: Final = "auto"


def workers_asked(
    workers: Any = None, scheduler: Any = None, client: Any = None, retries: Any = None, worker_timeout: Any = None
) -> Workers | None:
    """Return the workers that the options of a command name; None if no workers were given.

    Args:
        workers: Number of processes on this machine, or `auto`.
        scheduler: Address of a Dask scheduler, or the path of its scheduler file.
        client: A Dask client.
        retries: Number of times that an item is tried again after its worker died; default 3.
        worker_timeout: Seconds after which a worker that has not finished an item is restarted.

    Raises:
        UsageError: An option is not valid, or cannot be combined with another one; or `distributed` is not installed.
    """
    clusters = {"workers": workers, "scheduler": scheduler, "client": client}
    given = [name for name, value in clusters.items() if value is not None]
    if len(given) > 1:
        raise UsageError(
            f"{given[0]} and {given[1]} were both given.", "all workers belong to one cluster; give one of them."
        )
    if not given:
        for name, value in (("retries", retries), ("worker_timeout", worker_timeout)):
            if value is not None:
                raise UsageError(f"{name} needs workers.", "give a number of workers, or a scheduler.")
        return None
    if workers is not None and workers != AUTO:
        workers = whole_number(workers, "workers")
        if workers < 1:
            raise UsageError(f"the number of workers must be at least 1, not {workers}.", _SOME_WORKERS)
    if workers is not None:
        refuse_unguarded_script()
    import_distributed()
    if client is not None:
        _check_client(client)
    options = ClusterOptions(
        DEFAULT_RETRIES if retries is None else whole_number(retries, "retries"),
        None if worker_timeout is None else real_number(worker_timeout, "worker_timeout"),
    )
    return Workers(workers, None if scheduler is None else str(scheduler), client, options)


def _check_client(client: Any) -> None:
    from distributed import Client

    is_client = isinstance(client, Client)
    if not is_client or client.asynchronous:
        described = "asynchronous" if is_client else f"an object of type {type(client).__name__}"
        raise UsageError(
            f"the client must be a synchronous `distributed.Client`, but it is {described}.",
            "create it with `distributed.Client(…)`.",
        )


def automatic_workers(memory: int, free: int) -> int:
    """Return the number of workers that the cores and the free memory of this machine allow, at least 1.

    Args:
        memory: Bytes that a worker needs.
        free: Free bytes of this machine.
    """
    # `cpu_count` respects cgroups and the CPU affinity of this process, which containers and batch systems set.
    from dask.system import cpu_count

    return max(1, min(int(cpu_count()), int(free * _USED_SHARE) // max(memory, 1)))


def shared_gpus(workers: int, device: str) -> str:
    """Return the number of GPUs that local workers use, in words, if several workers share one; otherwise `""`.

    Args:
        workers: Number of workers.
        device: `cuda` for all GPUs of this machine, one GPU such as `cuda:1`, or another device.
    """
    if not device.startswith("cuda"):
        return ""
    import torch

    gpus = torch.cuda.device_count() if device == "cuda" else 1
    return ("one GPU" if gpus == 1 else f"{gpus} GPUs") if workers > gpus else ""


def preload_workers(modules: Sequence[str] = BUILD_MODULES) -> None:
    """Start the server process from which local workers are forked, unless it is running.

    Where the system cannot fork from a server process, nothing is done.

    Args:
        modules: Modules that the server process imports, so that workers need not import them again.
    """
    if _START_METHOD == "forkserver":
        multiprocessing.set_forkserver_preload(list(modules))
        # Its start unblocks SIGTERM.
        resource_tracker.ensure_running()
        # Libraries read these variables when they are imported.
        with _environment(dict.fromkeys(_THREADS, "1")), _sigterm_blocked():
            forkserver.ensure_running()


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """Block SIGTERM, so that processes that start in the `with` block and their children ignore it.

    Batch systems send the signal to all processes of a job. This process alone decides what happens then, as it does
    after Ctrl-C.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    former = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def local_cluster(
    workers: int, on_note: Callable[[str], None], modules: Sequence[str] = BUILD_MODULES
) -> Iterator[Client]:
    """Start a local cluster of single-threaded processes, yield its client, and close it after the `with` block.

    Args:
        workers: Number of processes.
        on_note: Called with a sentence for the user.
        modules: Modules that all workers import.

    Raises:
        UsageError: `distributed` is not installed, `workers` is not positive, or the main script is not guarded; see
            :func:`refuse_unguarded_script`.
    """
    import_distributed()
    from dask import config
    from distributed import Client, LocalCluster

    if workers < 1:
        raise UsageError(f"the number of workers must be at least 1, not {workers}.", _SOME_WORKERS)
    refuse_unguarded_script()
    settings = {
        **KEEP_PLACES,
        # An item is tried again by the client, which counts how often it was begun.
        "distributed.scheduler.allowed-failures": 0,
        # Each worker has a queue of one item, whose text is read while another item is measured. All other items wait
        # in the scheduler.
        "distributed.scheduler.worker-saturation": 1.1,
        "distributed.worker.daemon": True,
        "distributed.worker.multiprocessing-method": _START_METHOD,
        # Sampling stacks every 10 ms and waking up every 20 ms cost 4 % of rows of one second, when all cores work.
        "distributed.worker.profile.enabled": False,
        "distributed.admin.tick.interval": "500ms",
        # Dask sets the numbers of threads of the other libraries.
        "distributed.nanny.pre-spawn-environ.NUMBA_NUM_THREADS": 1,
    }
    preload_workers(modules)
    with (
        config.set(settings),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            # Dask does not limit the memory of workers, because a build decides itself how much memory it uses.
            memory_limit=0,
            # Without an address, the scheduler would use the port 8787, and warn if another program has it.
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            # The process from which workers are forked may have been started before a variable was set in this process.
            # Workers therefore get the present variables.
            env={name: value for name, value in os.environ.items() if name not in _THREADS},
        ) as cluster,
        Client(cluster) as client,
    ):
        if cluster.dashboard_link and _has_dashboard():
            on_note(f"the dashboard of the workers is at {cluster.dashboard_link}")
        yield client


def refuse_unguarded_script() -> None:
    """Raise an error if the main script starts workers outside of `if __name__ == "__main__":`.

    Every worker runs the main script again when it starts, under another `__name__`. Without this line, it would start
    workers of its own.

    Raises:
        UsageError: The statement of the main script that runs now is not guarded by such a line; or this process is a
            worker that is running the main script.
    """
    main = sys.modules["__main__"]
    path, line = getattr(main, "__file__", None), _line_of_main(main)
    # Workers do not run a package again that was started with `python -m`.
    package = str(getattr(getattr(main, "__spec__", None), "name", "")).endswith("__main__")
    inheriting = getattr(multiprocessing.current_process(), "_inheriting", False)
    if inheriting or (path is not None and line is not None and not package and not _is_guarded(path, line)):
        where = f"line {line} of '{path}'" if line is not None else "the main script"
        raise UsageError(
            f"{where} starts workers, which run the script again when they start: put this statement below the line "
            'if __name__ == "__main__":',
            "workers of a scheduler that runs already (`scheduler=`) do not run the script.",
        )


def _line_of_main(main: ModuleType) -> int | None:
    """Return the line number at which the main module runs now; None if this thread does not run the main module."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is main.__dict__:
            return frame.f_lineno
        frame = frame.f_back
    return None


def _is_guarded(path: str, line: int) -> bool:
    """Return whether a test of `__name__` keeps workers from running a line of a script; True if this is unknown."""
    try:
        with tokenize.open(path) as file:
            statements = [each for each in ast.parse(file.read()).body if each.lineno <= line]
    except (OSError, SyntaxError, ValueError):
        return True
    running = statements.pop() if statements else None
    return (running is not None and _tests_name(running)) or any(map(_leaves_by_name, statements))


def _tests_name(statement: ast.AST) -> bool:
    tests = (node.test for node in ast.walk(statement) if isinstance(node, ast.If))
    return any(isinstance(node, ast.Name) and node.id == "__name__" for test in tests for node in ast.walk(test))


def _leaves_by_name(statement: ast.AST) -> bool:
    """Return whether a statement tests `__name__`, and then may end the script by an exception or an exit."""
    return _tests_name(statement) and any(
        isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and "exit" in ast.unparse(node.func))
        for node in ast.walk(statement)
    )


@contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """Connect to a running cluster, and yield a client, which is closed after the `with` block.

    Args:
        scheduler: Address such as `tcp://host:8786`, or the path of a scheduler file.

    Raises:
        UsageError: `distributed` is not installed.
        XsnsError: The scheduler cannot be reached.
    """
    import_distributed()
    from distributed import Client

    try:
        client = Client(scheduler if "://" in scheduler else _address_in(Path(scheduler)))
    except (OSError, TimeoutError, ValueError) as error:
        raise XsnsError(f"there is no Dask scheduler at '{scheduler}': {error}.", _START_CLUSTER) from error
    with client:
        yield client


def _address_in(file: Path) -> str:
    """Return the address in a scheduler file; a scheduler that is starting may write the file a little later.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not a scheduler file.
        XsnsError: There is no such file.
    """
    end = time.monotonic() + FILE_WAIT_S
    while not file.exists():
        if time.monotonic() > end:
            raise XsnsError(f"there is no scheduler file '{file}'.", _START_CLUSTER)
        time.sleep(0.1)
    document = json.loads(file.read_text(encoding="utf-8"))
    address = document.get("address") if isinstance(document, dict) else None
    if not isinstance(address, str):
        raise ValueError("the file has no address")
    return address


def import_distributed() -> None:
    """Check that `distributed` is installed.

    Raises:
        UsageError: `distributed` is not installed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError(f"workers need the package 'distributed': {error}.", _INSTALL) from error


def _has_dashboard() -> bool:
    from importlib.util import find_spec

    return find_spec("bokeh") is not None


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
