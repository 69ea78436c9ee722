"""Work on a cluster of real processes: every item is done once, although workers are killed or hang."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.cluster_jobs import Deed, DeedJob
from tests.support.clusters import ON_CLUSTER
from xsns_stream.errors import IncompatibleError, ModelError, UsageError, XsnsError
from xsns_stream.pipeline import cluster, cluster_clients, jobs
from xsns_stream.pipeline.cluster import Attempt, ClusterOptions, WorkDoneBy, run_on_cluster
from xsns_stream.pipeline.cluster_clients import automatic_workers, local_cluster, workers_asked
from xsns_stream.pipeline.cluster_items import own_device
from xsns_stream.types import provenance

pytestmark = ON_CLUSTER


class Report:
    """Everything that a run reports."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.done: dict[str, WorkDoneBy] = {}
        self.failed: dict[str, XsnsError] = {}
        self.notes: list[str] = []
        self.attempts: dict[str, int] = {}

    def run(self, client: Any, job: DeedJob, items: list[Deed], options: ClusterOptions | None = None) -> None:
        run_on_cluster(
            client,
            job,
            items,
            on_started=lambda item, worker: self.started.append(item.name),
            on_done=self._done,
            on_failed=self._failed,
            on_note=self.notes.append,
            options=options,
        )

    def _failed(self, item: Deed, error: XsnsError, attempts: Sequence[Attempt]) -> None:
        self.failed[item.name] = error
        self.attempts[item.name] = len(attempts)

    def _done(self, item: Deed, work: WorkDoneBy) -> None:
        assert item.name not in self.done
        self.done[item.name] = work


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of this module, because its tests kill workers."""
    with local_cluster(2, lambda note: None) as client:
        yield client


def test_every_item_is_done_once_and_a_job_is_opened_once_on_each_worker(client: Any, tmp_path: Path) -> None:
    items = [Deed(f"item {number}") for number in range(20)]
    report = Report()
    report.run(client, DeedJob(tmp_path), items)
    assert set(report.done) == {item.name for item in items}
    assert sorted(report.started) == sorted(item.name for item in items)
    assert {work.attempts for work in report.done.values()} == {1}
    pids = {work.result[2] for work in report.done.values()}
    assert {path.name for path in tmp_path.iterdir()} == {f"opened-{pid}" for pid in pids}


def test_workers_are_forked_with_one_thread_and_leave_the_environment_alone(client: Any) -> None:
    before = dict(os.environ)
    cluster_clients.preload_workers()
    assert dict(os.environ) == before
    for threads, modules in client.run(_threads_and_modules).values():
        assert threads == 1
        # The worker has not loaded these modules, because no item needed them.
        assert {"torch", "transformers.modeling_utils", "xsns_kernels"} <= modules


def _threads_and_modules() -> tuple[int, set[str]]:
    import torch

    return torch.get_num_threads(), set(sys.modules)


def test_the_items_with_the_most_work_begin_first(client: Any, tmp_path: Path) -> None:
    items = [Deed(f"item {number}", work=number) for number in range(12)]
    report = Report()
    report.run(client, DeedJob(tmp_path), items)
    # Two workers begin at the same time, so that neighbouring items may be exchanged.
    assert {"item 11", "item 10"} & set(report.started[:2])
    assert {"item 0", "item 1"} & set(report.started[-2:])


def test_an_item_whose_worker_is_killed_is_done_by_another_worker(client: Any, tmp_path: Path) -> None:
    report = Report()
    report.run(client, DeedJob(tmp_path), [Deed("a"), Deed("kill", deaths=2), Deed("b"), Deed("c")])
    attempts = {name: work.attempts for name, work in report.done.items()}
    assert attempts.pop("kill") == 3
    # Results of other items may be lost with a killed worker, and these items are then done again.
    assert attempts.keys() == {"a", "b", "c"}
    assert not report.failed


@pytest.mark.slow
def test_an_item_that_kills_every_worker_fails_and_the_others_are_done(client: Any, tmp_path: Path) -> None:
    report = Report()
    report.run(client, DeedJob(tmp_path), [Deed("kill", deaths=99), Deed("a"), Deed("b")], ClusterOptions(retries=1))
    assert set(report.done) == {"a", "b"}
    assert str(report.failed["kill"]) == (
        "it was begun 2 times, and the worker died each time: it may have run out of memory, or may have been stopped."
    )
    assert "--batch" in report.failed["kill"].hint
    assert report.attempts == {"kill": 2}


@pytest.fixture
def users_client() -> Iterator[Any]:
    """A client of a cluster that the user has started on this machine."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["client", "users_client"])
def test_workers_return_however_often_they_are_killed(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Dask restarts a worker 15 seconds after its end, and gives it up if the next worker has just ended."""
    client = request.getfixturevalue(fixture)
    client.restart()
    report = Report()
    items = [Deed("a"), Deed("kill", kills_until=time.time() + 25), Deed("kill too", kills_until=time.time() + 25)]
    report.run(client, DeedJob(tmp_path), items, ClusterOptions(retries=1000))
    assert (set(report.done), report.failed) == ({"a", "kill", "kill too"}, {})
    client.wait_for_workers(2, timeout=60)


def test_workers_of_this_machine_that_do_not_return_end_the_run(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report()
    run = cluster._ClientRun(
        client,
        DeedJob(tmp_path),
        ClusterOptions(),
        lambda *_: None,
        lambda *_: None,
        lambda *_: None,
        report.notes.append,
    )
    assert run.on_this_machine
    monkeypatch.setattr(client, "scheduler_info", lambda n_workers: {"n_workers": 0})
    for now in (100.0, 131.0, 132.0, 699.0):
        run._look_for_workers(now)
    assert report.notes == ["the cluster has no worker; this command waits until there is one."]
    with pytest.raises(
        XsnsError, match="all workers of this machine have ended, and none could be started again"
    ) as caught:
        run._look_for_workers(701.0)
    assert "finished work is kept" in caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("hanging", [Deed("hang", hangs=1), Deed("hang", stops=1)], ids=["sleeps", "stopped"])
def test_a_worker_that_hangs_is_restarted(hanging: Deed, client: Any, tmp_path: Path) -> None:
    report = Report()
    report.run(client, DeedJob(tmp_path), [hanging, Deed("a")], ClusterOptions(limit=4))
    assert report.done["hang"].attempts == 2
    assert any("has not finished its work in 4 s, and is restarted" in note for note in report.notes)


@pytest.mark.slow
def test_an_item_that_always_hangs_fails(client: Any, tmp_path: Path) -> None:
    report = Report()
    report.run(client, DeedJob(tmp_path), [Deed("hang", hangs=99), Deed("a")], ClusterOptions(retries=0, limit=4))
    assert set(report.done) == {"a"}
    assert str(report.failed["hang"]) == "it was begun once, and the worker did not finish in time."


@pytest.mark.slow
def test_a_worker_that_was_stopped_before_a_run_is_restarted(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_ANSWER_S", 5.0)
    address, pid = next(iter(client.run(os.getpid).items()))
    os.kill(pid, signal.SIGSTOP)
    report = Report()
    report.run(client, DeedJob(tmp_path), [Deed("a"), Deed("b")])
    assert report.notes == [f"the worker at {address} does not answer, and is restarted."]
    assert (set(report.done), report.failed) == ({"a", "b"}, {})


@pytest.mark.slow
def test_a_run_ends_although_a_worker_was_stopped(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CLOSE_S", 2.0)
    client.wait_for_workers(2)
    pids = list(client.run(os.getpid).values())
    report = Report()

    def done(item: Deed, work: WorkDoneBy) -> None:
        report.done[item.name] = work
        # No item is left, so that no time limit ends this worker.
        os.kill(pids[0], signal.SIGSTOP)

    run_on_cluster(
        client,
        DeedJob(tmp_path),
        [Deed("a")],
        on_started=lambda item, worker: None,
        on_done=done,
        on_failed=report._failed,
        on_note=report.notes.append,
    )
    assert (set(report.done), report.notes) == ({"a"}, [])
    os.kill(pids[0], signal.SIGKILL)


def test_a_worker_that_cannot_open_the_job_ends_the_run(client: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="this worker has no such model") as caught:
        Report().run(client, DeedJob(tmp_path, broken=True), [Deed("a")])
    assert caught.value.hint == "give it one."


def test_a_bug_in_a_job_is_raised_with_its_own_type(client: Any, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug"):
        Report().run(client, DeedJob(tmp_path), [Deed("bug"), Deed("a")])


def test_workers_with_other_versions_are_refused_by_name(client: Any, tmp_path: Path) -> None:
    client.run(_measure_versions_of, ("numpy",))
    try:
        with pytest.raises(IncompatibleError, match=r"tcp://.* has other versions: .*torch missing instead of \d"):
            Report().run(client, DeedJob(tmp_path), [Deed("a")])
    finally:
        client.run(_measure_versions_of, provenance.LIBRARIES)


def test_versions_of_libraries_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = provenance.library_versions()
    known["numpy"] = "changed by the caller"
    monkeypatch.setattr(provenance, "version", lambda name: pytest.fail(f"the version of {name} is read again"))
    assert provenance.library_versions()["numpy"] == np.__version__


def _measure_versions_of(libraries: tuple[str, ...]) -> None:
    provenance.LIBRARIES = libraries


def test_a_worker_without_the_package_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="cannot load xsns-stream: No module named 'xsns_stream'") as caught:
        jobs.refuse_other_versions("tcp://a:1", ModuleNotFoundError("No module named 'xsns_stream'"), {})
    assert "install the same packages" in caught.value.hint


@pytest.mark.parametrize("values", [{"retries": -1}, {"limit": 0.0}, {"limit": float("nan")}])
def test_options_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="must be"):
        ClusterOptions(**values)


def test_a_cluster_of_no_workers_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"), local_cluster(0, lambda note: None):
        pass


def test_a_missing_scheduler_is_an_error() -> None:
    from dask import config

    with (
        config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(XsnsError, match=r"no Dask scheduler at 'tcp://127\.0\.0\.1:9'"),
        cluster_clients.connected("tcp://127.0.0.1:9"),
    ):
        pass


def _cannot_be_unpickled() -> None:
    raise ModuleNotFoundError("No module named 'xsns_stream'")


def test_a_scheduler_without_the_package_is_refused(client: Any, tmp_path: Path, monkeypatch: Any) -> None:
    run_on_scheduler = client.run_on_scheduler
    monkeypatch.setattr(client, "run_on_scheduler", lambda function: run_on_scheduler(_cannot_be_unpickled))
    with pytest.raises(IncompatibleError, match=r"the scheduler at .* cannot load xsns-stream: No module") as caught:
        Report().run(client, DeedJob(tmp_path), [Deed("a")])
    assert "for the scheduler and for every worker" in caught.value.hint


def test_automatic_workers_need_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from dask import system

    monkeypatch.setattr(system, "cpu_count", lambda: 32)
    assert automatic_workers(memory=10**9, free=10**12) == 32
    assert automatic_workers(memory=10**9, free=5 * 10**9) == 4
    assert automatic_workers(memory=10**9, free=10**6) == 1


@pytest.mark.parametrize(
    ("workers", "device", "gpus", "shared"),
    [
        (4, "cpu", 1, ""),
        (1, "cuda", 1, ""),
        (4, "cuda", 8, ""),
        (4, "cuda", 1, "one GPU"),
        (9, "cuda", 2, "2 GPUs"),
        (2, "cuda:3", 8, "one GPU"),
    ],
)
def test_a_note_says_that_workers_share_gpus(
    workers: int, device: str, gpus: int, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert cluster_clients.shared_gpus(workers, device) == shared
    notes: list[str] = []

    @contextmanager
    def no_cluster(*_: Any) -> Iterator[None]:
        yield None

    monkeypatch.setattr(cluster_clients, "local_cluster", no_cluster)
    with cluster_clients.Workers(workers).connect(notes.append, 1, 100, device=device):
        expected = f"{workers} workers share {shared} of this machine, and each of them loads the model."
        assert notes == ([expected] if shared else [])


@pytest.mark.parametrize(
    ("name", "device", "gpus", "own"),
    [
        (5, "cuda", 4, "cuda:1"),
        (5, "cuda", 1, "cuda"),
        (5, "cuda:2", 4, "cuda:2"),
        (5, "cpu", 4, "cpu"),
        # The user has started this worker, and has chosen its GPU by CUDA_VISIBLE_DEVICES.
        ("tcp://a:1", "cuda", 4, "cuda"),
    ],
)
def test_local_workers_are_spread_over_the_gpus(
    name: Any, device: str, gpus: int, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    monkeypatch.setattr("distributed.get_worker", lambda: SimpleNamespace(name=name))
    assert own_device({"device": device, "dtype": "bf16"}) == {"device": own, "dtype": "bf16"}


@pytest.mark.slow
def test_an_item_takes_one_gpu_of_a_worker_that_declares_it(tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=1, resources={"GPU": 1}, **options) as cluster, Client(cluster) as client:
        (gpu,) = client.run(os.getpid).values()
        # A worker without a GPU gets no item.
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--nthreads", "1"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        other = subprocess.Popen([*command, "--no-dashboard", "--no-nanny"], **silent)
        try:
            client.wait_for_workers(2, timeout=120)
            report = Report()
            report.run(client, DeedJob(tmp_path), [Deed(f"item {number}") for number in range(6)])
        finally:
            other.kill()
            other.wait(60)
        assert {work.result[2] for work in report.done.values()} == {gpu}
        assert len(report.done) == 6


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no scheduler file '{}'."),
        ("{", "there is no Dask scheduler at '{}': Expecting property name"),
        ("[]", "there is no Dask scheduler at '{}': the file has no address."),
        ('{"id": 7}', "there is no Dask scheduler at '{}': the file has no address."),
    ],
    ids=["missing", "half", "list", "without"],
)
def test_a_wrong_scheduler_file_is_an_error(
    content: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_clients, "FILE_WAIT_S", 0.0)
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(XsnsError) as caught, cluster_clients.connected(str(file)):
        pass
    assert caught.value.message.startswith(message.format(file))
    assert "tcp://" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 2, "scheduler": "tcp://a:1"}, "workers and scheduler were both given."),
        ({"workers": 0}, "the number of workers must be at least 1, not 0."),
        ({"workers": 1.5}, "workers must be an integer, not 1.5."),
        ({"retries": 1}, "retries needs workers."),
        ({"worker_timeout": 1.0}, "worker_timeout needs workers."),
        ({"workers": 2, "retries": -1}, "the number of retries must be at least 0, not -1."),
        (
            {"client": "tcp://a:1"},
            "the client must be a synchronous `distributed.Client`, but it is an object of type str.",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        workers_asked(**options)
    assert caught.value.message == message


def test_without_these_options_work_is_done_in_the_process() -> None:
    assert workers_asked() is None


def test_the_package_is_named_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match="workers need the package 'distributed'") as caught:
        workers_asked(workers=2)
    assert "pip install 'xsns-stream[distributed]'" in caught.value.hint


def test_an_idle_worker_closes_its_session(client: Any, tmp_path: Path) -> None:
    """A killed client leaves its job on the workers of a cluster that continues to run."""
    (is_open,) = [
        *client.run(_sessions_after_one_item, tmp_path, workers=list(client.scheduler_info()["workers"])[:1]).values()
    ]
    assert is_open == [True, False]


def _sessions_after_one_item(folder: Path) -> list[bool]:
    from types import SimpleNamespace

    from xsns_stream.pipeline import cluster_worker

    cluster_worker._IDLE_S = 0.2
    plugin = cluster_worker.JobPlugin("token", DeedJob(folder))
    plugin.setup(SimpleNamespace(address="here"))
    plugin._announce = lambda key: None
    plugin.run("token-0-1-1", Deed("a"))
    is_open = [plugin.session is not None]
    plugin.idle.join()
    cluster_worker._IDLE_S = 300.0
    return [*is_open, plugin.session is not None]
