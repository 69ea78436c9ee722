"""Builds on workers give the bits of one process, although workers, the scheduler or the client fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsns_stream as xs
from tests.support.cluster_faults import Fault
from tests.support.clusters import ON_CLUSTER, kill_workers
from tests.support.processes import children, committed, interrupt_or_kill, start_in_session, wait_for
from xsns_stream.errors import IncompatibleError, PartialError, StoreError, UsageError, XsnsError
from xsns_stream.pipeline.events import Noted, RowCommitted
from xsns_stream.store import SubNetworkStore, open_store

pytestmark = ON_CLUSTER

LANGUAGES = ("en", "fi", "sw", "zu")
OPTIONS: dict[str, Any] = {"examples": 12, "max_length": 24, "seeds": (1, 2), "progress": False}
LIMIT = 180


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    return write_texts(tmp_path_factory.mktemp("cluster") / "texts", " ".join(LANGUAGES), 30)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, texts: Path, tiny_folder: Path) -> SubNetworkStore:
    """A store that was built in one process."""
    return xs.build(str(texts), str(tiny_folder), tmp_path_factory.mktemp("alone") / "x.zarr", **OPTIONS)


@pytest.fixture
def build(texts: Path, tiny_folder: Path, tmp_path: Path) -> Callable[..., SubNetworkStore]:
    """A function that builds `x.zarr` in the folder of the test, on a given cluster."""

    def call(**options: Any) -> SubNetworkStore:
        return xs.build(str(texts), str(tiny_folder), tmp_path / "x.zarr", **(OPTIONS | options))

    return call


def assert_same(store: SubNetworkStore, alone: SubNetworkStore) -> None:
    """Check that every row is committed once, undamaged, and equal to the row of an undisturbed build."""
    store = open_store(store.path)
    assert (store.languages, store.seeds) == (alone.languages, alone.seeds)
    assert (store.verify(), store.unfinished()) == ([], ())
    ours, theirs = ({each.key: each for each in one.records()} for one in (store, alone))
    assert ours.keys() == theirs.keys()
    for key, record in ours.items():
        assert (record.sha256, record.threshold) == (theirs[key].sha256, theirs[key].threshold)
        assert record.provenance.corpus_digest == theirs[key].provenance.corpus_digest
    assert np.array_equal(xs.similarity(store).values, xs.similarity(alone).values)


# ------------------------------------------------------------------------------------------ without faults


def test_workers_give_the_bits_of_one_process(client: Any, build: Any, alone: SubNetworkStore) -> None:
    assert_same(build(client=client), alone)


def test_parts_halves_and_fisher_values_are_those_of_one_process(
    client: Any, texts: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    options = OPTIONS | {
        "parts": 4,
        "keep_fisher": "float32",
        "seeds": (1,),
        "densities": (0.1, 0.2),
    }
    options |= {"languages": ("fi", "sw")}
    one = xs.build(str(texts), str(tiny_folder), tmp_path / "one.zarr", **options)
    two = xs.build(str(texts), str(tiny_folder), tmp_path / "two.zarr", client=client, **options)
    assert_digests_of_stores(two, one)
    for ours, theirs in zip(two.folds(4), one.folds(4), strict=True):
        assert_digests_of_stores(ours, theirs)
    for language in ("fi", "sw"):
        fisher, expected = (each.fisher_values(language, 1) for each in (two, one))
        assert fisher is not None
        assert expected is not None
        assert all(map(np.array_equal, fisher.values, expected.values))
        halves = [each.reliability(each.record(language, 1, 0.1))["split_half"] for each in (one, two)]
        assert halves[0] == halves[1]


def assert_digests_of_stores(ours: SubNetworkStore, theirs: SubNetworkStore) -> None:
    assert ours.verify() == []
    assert {each.key: each.sha256 for each in ours.records()} == {each.key: each.sha256 for each in theirs.records()}


def test_halves_and_smaller_batches_are_those_of_one_process(
    client: Any, texts: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    options = OPTIONS | {"split_half": True, "seeds": (1,), "languages": ("fi", "sw"), "batch_size": "auto"}
    one = xs.build(str(texts), str(tiny_folder), tmp_path / "one.zarr", **options)
    two = xs.build(str(texts), str(tiny_folder), tmp_path / "two.zarr", client=client, **options)
    assert_digests_of_stores(two, one)
    halves = [[each.reliability(record)["split_half"] for record in each.records()] for each in (one, two)]
    assert halves[0] == halves[1]


def test_text_in_memory_is_sent_and_a_model_in_memory_is_refused(
    client: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    texts = {"sw": ["Habari ya asubuhi.", "Karibu sana."], "fi": ["Hyvää huomenta.", "Tervetuloa meille."]}
    options = OPTIONS | {"examples": 2, "seeds": (1,)}
    one = xs.build(texts, str(tiny_folder), tmp_path / "one.zarr", **options)
    assert_digests_of_stores(xs.build(texts, str(tiny_folder), tmp_path / "two.zarr", client=client, **options), one)
    with pytest.raises(UsageError, match=r"a model in memory .* is not sent to workers") as caught:
        xs.build(texts, xs.load_model(str(tiny_folder)), tmp_path / "three.zarr", client=client, **options)
    assert "save_pretrained(folder), and give the folder" in caught.value.hint
    assert not (tmp_path / "three.zarr").exists()


def test_rows_that_the_store_has_are_skipped(client: Any, build: Any, alone: SubNetworkStore) -> None:
    build(languages=("sw",))
    events: list[Any] = []
    assert_same(build(client=client, languages="all", on_event=events.append), alone)
    assert {event.row.language for event in events if isinstance(event, RowCommitted)} == {"en", "fi", "zu"}


def test_a_language_that_fails_is_named_and_its_log_is_kept(
    client: Any, write_texts: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = write_texts(tmp_path / "texts", "sw fi")
    (folder / "et.txt").write_text("")
    events: list[Any] = []
    options = OPTIONS | {"seeds": (1,), "languages": ("sw", "fi", "et"), "on_event": events.append}
    with pytest.raises(PartialError, match="1 of 3 rows failed: et") as caught:
        xs.build(str(folder), str(tiny_folder), tmp_path / "x.zarr", client=client, **options)
    assert caught.value.exit_code == 3
    assert open_store(tmp_path / "x.zarr").languages == ("fi", "sw")
    log = tmp_path / "x.zarr.logs" / "et-seed1.log"
    assert any(isinstance(event, Noted) and str(log) in event.text for event in events)
    text = log.read_text(encoding="utf-8")
    assert text.startswith("et-seed1: ")
    assert "Traceback" in text
    assert "process" in text


def test_another_experiment_is_refused_before_anything_is_handed_out(client: Any, build: Any) -> None:
    build(languages=("sw",))
    with pytest.raises(IncompatibleError, match="--examples"):
        build(client=client, examples=7)


def test_a_scheduler_that_cannot_be_reached_leaves_no_store(build: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from dask import config

    from xsns_stream.pipeline import cluster_build

    monkeypatch.setattr(cluster_build, "load_for_build", lambda *_, **__: pytest.fail("the model was loaded"))
    with (
        config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(XsnsError, match=r"no Dask scheduler at 'tcp://127\.0\.0\.1:9'"),
    ):
        build(scheduler="tcp://127.0.0.1:9")
    assert not (tmp_path / "x.zarr").exists()


def test_a_worker_with_another_model_is_refused_by_name(client: Any, build: Any, tmp_path: Path) -> None:
    client.run(_use_digest, "0" * 64)
    try:
        with pytest.raises(IncompatibleError, match=r"other settings than the client: .* weights_digest is"):
            build(client=client)
    finally:
        client.run(_use_digest, None)
    assert open_store(tmp_path / "x.zarr").records() == ()


def _use_digest(digest: str | None) -> None:
    from xsns_stream.pipeline import prepare_build

    original = getattr(prepare_build, "original_provenance", prepare_build._provenance)
    prepare_build.original_provenance = original  # type: ignore[attr-defined]

    def changed(*arguments: Any) -> Any:
        from dataclasses import replace

        return replace(original(*arguments), weights_digest=digest)

    prepare_build._provenance = original if digest is None else changed


def test_a_worker_with_other_text_is_refused_by_name(client: Any, build: Any) -> None:
    client.run(_read_more, True)
    try:
        with pytest.raises(IncompatibleError, match=r"a worker reads different text of '.*' than the client does"):
            build(client=client)
    finally:
        client.run(_read_more, False)


def _read_more(changed: bool) -> None:
    from xsns_stream.pipeline import cluster_build, run_build

    def other(row: Any, prepared: Any, run: Any) -> Any:
        from dataclasses import replace

        text = run_build.read_row(row, prepared, run)
        assert text is not None
        return replace(text, sample=replace(text.sample, examples=text.sample.examples[1:]))

    cluster_build.read_row = other if changed else run_build.read_row


def test_dask_is_not_needed_without_workers(
    build: Any, alone: SubNetworkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dask", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    assert_same(build(), alone)


@pytest.mark.slow
def test_nothing_of_dask_is_imported_without_workers(texts: Path, tiny_folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; import xsns_stream as xs; xs.build(sys.argv[1], sys.argv[2], sys.argv[3], languages='sw', "
        "examples=2, max_length=24, progress=False); print([m for m in ('dask', 'distributed') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, texts, tiny_folder, tmp_path / "x.zarr"]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert completed.stdout == "[]\n"


def test_a_dry_run_for_workers_measures_nothing(client: Any, build: Any, tmp_path: Path) -> None:
    plan = build(client=client, dry_run=True)
    assert plan.workers == 2
    assert plan.seconds / 2 <= plan.seconds_on_workers < plan.seconds
    assert not (tmp_path / "x.zarr").exists()


@pytest.mark.parametrize(("attempt", "size"), [(1, 8), (2, 8), (3, 4), (4, 2), (9, 1)])
def test_a_row_whose_workers_died_gets_smaller_batches(attempt: int, size: int) -> None:
    from types import SimpleNamespace

    from xsns_stream.pipeline.cluster_build import BuildSession
    from xsns_stream.pipeline.events import Row
    from xsns_stream.pipeline.measure import Batching

    notes: list[Any] = []
    batching = Batching(8, None, "random")
    settings = SimpleNamespace(fisher=SimpleNamespace(batch_wise=False))
    run: Any = SimpleNamespace(settings=settings, batching=batching, notify=notes.append)
    BuildSession.__new__(BuildSession)._shrink(run, Row("sw", 1), attempt)
    assert (run.batching.size, batching.size) == (size, 8), "the batches of other rows do not change"
    assert [note.text.partition(";")[0] for note in notes] == (
        [f"its worker died {attempt - 1} times"] if attempt > 2 else []
    )


# ------------------------------------------------------------------------------------------ with faults


@pytest.fixture
def fault(damage: Callable[..., Path]) -> Callable[..., Path]:
    """Give every worker a fault."""
    return partial(damage, Fault)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill while reading", "kill while writing", "kill after the commit"])
def test_a_row_is_measured_again_after_its_worker_was_killed(
    kind: str, own_client: Any, fault: Any, build: Any, alone: SubNetworkStore, tmp_path: Path
) -> None:
    deaths = fault(kind, "sw", times=2)
    events: list[Any] = []
    assert_same(build(client=own_client, on_event=events.append), alone)
    assert len(list(deaths.iterdir())) == 2
    committed = [event.row for event in events if isinstance(event, RowCommitted)]
    assert len(committed) == len(set(committed)) == 8
    notes = [event.text for event in events if isinstance(event, Noted)]
    died = r"the worker at tcp://\S+ died while it worked on sw \(seed \d+\), .* \(attempt [23] of at most 4\)"
    assert sum(re.search(died, note) is not None for note in notes) == 2, notes


@pytest.mark.slow
def test_a_row_that_kills_every_worker_fails_alone(
    own_client: Any, fault: Any, build: Any, alone: SubNetworkStore, tmp_path: Path
) -> None:
    fault("kill while reading", "sw", times=4)
    with pytest.raises(PartialError, match=r"[12] of 8 rows failed: sw"):
        build(client=own_client, retries=1)
    store = open_store(tmp_path / "x.zarr")
    assert store.verify() == []
    assert {key.language for key in store.keys()} >= {"en", "fi", "zu"}  # noqa: SIM118
    (log, *_) = (tmp_path / "x.zarr.logs").iterdir()
    assert "attempt 2: begun" in log.read_text(encoding="utf-8")
    assert_same(build(), alone)


@pytest.mark.slow
def test_a_build_continues_after_all_workers_were_killed(own_client: Any, build: Any, alone: SubNetworkStore) -> None:
    killed: list[int] = []

    def kill(event: Any) -> None:
        if isinstance(event, RowCommitted) and not killed:
            killed.extend(kill_workers(own_client))

    assert_same(build(client=own_client, on_event=kill), alone)
    assert len(killed) == 2


@pytest.mark.slow
def test_a_row_is_measured_again_after_its_worker_hung(
    own_client: Any, fault: Any, build: Any, alone: SubNetworkStore, short_limit: Any
) -> None:
    short_limit(fault("hang", "sw"), "sw")
    events: list[Any] = []
    assert_same(build(client=own_client, on_event=events.append), alone)
    assert any(isinstance(each, Noted) and "has not finished its work in 2 s" in each.text for each in events)


@pytest.mark.slow
def test_a_full_disk_ends_the_build(
    own_client: Any, fault: Any, build: Any, alone: SubNetworkStore, tmp_path: Path
) -> None:
    fault("full disk", "sw", times=99)
    with pytest.raises(StoreError, match="the disk or the quota is full"):
        build(client=own_client)
    assert open_store(tmp_path / "x.zarr").verify() == []
    assert_same(build(), alone)


@pytest.mark.slow
def test_two_clients_build_one_store(
    own_client: Any, build: Any, alone: SubNetworkStore, texts: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    process = start_build(texts, tiny_folder, tmp_path / "x.zarr", "--workers", "2")
    ours: list[Any] = []
    store = build(client=own_client, on_event=ours.append)
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    assert_same(store, alone)
    built_here = sum(isinstance(event, RowCommitted) for event in ours)
    assert f"{8 - built_here} rows measured" in out.replace(" row measured", " rows measured")


def start_build(texts: Path, model: Path, store: Path, *options: str) -> subprocess.Popen[str]:
    sizes = ("--examples", 12, "--max-length", 24, "--seeds", "1,2")
    return start_in_session("build", "--corpus", texts, "--model", model, "--store", store, *sizes, *options)


def wait_until(ready: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT
    while not ready():
        assert time.monotonic() < limit
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_build_continues_after_its_client_was_interrupted_or_killed(
    how: signal.Signals, build: Any, alone: SubNetworkStore, texts: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    store = tmp_path / "x.zarr"
    process = start_build(texts, tiny_folder, store, "--workers", "2")
    wait_for(lambda: committed(store) > 0, process)
    interrupt_or_kill(process, how, LIMIT, "committed rows")
    wait_until(lambda: not children(process.pid))
    assert 0 < committed(store) <= 8
    assert open_store(store).verify() == []
    assert_same(build(), alone)


@pytest.fixture
def own_scheduler(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """The scheduler file and the process of a scheduler that a user has started, together with one worker."""
    file = tmp_path / "scheduler.json"
    tools = [sys.executable, "-m", "distributed.cli."]
    scheduler = _start(tools, "dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file)
    worker = _start(
        tools, "dask_worker", "--scheduler-file", file, "--nthreads", "1", "--no-dashboard", "--death-timeout", 20
    )
    yield file, scheduler
    for process in (worker, scheduler):
        process.terminate()
        process.wait(60)


def _start(tools: list[str], name: str, *options: object) -> subprocess.Popen[bytes]:
    command = [*tools[:-1], f"{tools[-1]}{name}", *map(str, options)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=Path.cwd(), env=os.environ | {"PYTHONPATH": os.getcwd()}, **silent)  # type: ignore[call-overload,no-any-return]  # noqa: PTH109


@pytest.mark.slow
def test_a_build_runs_on_a_scheduler_of_the_user(own_scheduler: Any, build: Any, alone: SubNetworkStore) -> None:
    wait_until(own_scheduler[0].exists)
    assert_same(build(scheduler=str(own_scheduler[0])), alone)


@pytest.mark.slow
def test_a_scheduler_without_the_package_is_refused(build: Any, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    program = (
        "import sys; sys.modules['xsns_stream'] = None; from distributed.cli.dask_scheduler import main; "
        f"main(['--port', '0', '--no-dashboard', '--scheduler-file', {str(file)!r}])"
    )
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([sys.executable, "-c", program], **silent)  # type: ignore[call-overload]
    try:
        wait_until(file.exists)
        with pytest.raises(IncompatibleError, match=r"the scheduler at .* cannot load xsns-stream: No module named"):
            build(scheduler=str(file))
    finally:
        scheduler.kill()
        scheduler.wait(60)
    assert not (tmp_path / "x.zarr").exists()


@pytest.mark.slow
def test_a_build_fails_if_its_scheduler_ends(
    own_scheduler: Any, build: Any, alone: SubNetworkStore, monkeypatch: Any, tmp_path: Path
) -> None:
    from xsns_stream.pipeline import cluster

    monkeypatch.setattr(cluster, "_LOST_S", 5.0)
    wait_until(own_scheduler[0].exists)

    def kill(event: Any) -> None:
        if isinstance(event, RowCommitted):
            threading.Thread(target=own_scheduler[1].kill).start()

    with pytest.raises(XsnsError, match="the connection to the Dask scheduler is lost") as caught:
        build(scheduler=str(own_scheduler[0]), on_event=kill)
    assert "finished work is kept" in caught.value.hint
    assert 0 < committed(tmp_path / "x.zarr") <= 8
    assert_same(build(), alone)
