"""`xsns-stream reproduce` with workers: which steps get them, and the results of one process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clusters import ON_CLUSTER
from tests.support.processes import kill_workers, start_in_session, wait_for
from tests.support.tagged_text import write_tagged_folder
from xsns_stream.cli.reproduce import _takes_workers, _words, _words_of_workers
from xsns_stream.pipeline.cluster_clients import workers_asked
from xsns_stream.store import open_store

LIMIT = 500
pytestmark = ON_CLUSTER


@pytest.mark.parametrize(
    ("step", "takes"),
    [
        ("build --model mini", True),
        ("transfer --task pos", True),
        ("baseline emb --model mini", True),
        ("baseline nn-rank", True),
        ("baseline l2v FILE", False),
        ("evaluate --gold gold.parquet", False),
    ],
)
def test_steps_that_measure_or_fine_tune_get_workers(step: str, takes: bool) -> None:
    assert _takes_workers(step.split()) is takes


def test_options_that_are_not_a_number_of_processes_are_handed_on() -> None:
    options = {"scheduler": "tcp://a:1", "retries": 2, "worker_timeout": 60.0}
    with _words_of_workers(options, workers_asked(**options), quiet=True) as words:
        assert words == ("--scheduler", "tcp://a:1", "--retries", "2", "--worker-timeout", "60.0")
    with _words_of_workers({"workers": "auto"}, workers_asked(workers="auto"), quiet=True) as words:
        assert words == ("--workers", "auto")
    with _words_of_workers({}, None, quiet=True) as words:
        assert words == _words({}) == ()


def test_options_that_do_not_go_together_are_refused_first(xsns: Callable[..., Any], tmp_path: Path) -> None:
    completed = xsns("reproduce", "table2", "--data", "pos=nowhere", "-o", tmp_path, "--workers", 2, "--scheduler", "a")
    assert (completed.code, completed.err.splitlines()[0]) == (2, "error: workers and scheduler were both given.")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_workers_give_the_results_of_one_process_although_they_and_the_client_are_killed(
    xsns: Callable[..., Any], tiny_folder: Path, tmp_path: Path
) -> None:
    """The client is interrupted, the next client is killed, and the workers of the last client are killed."""
    data = write_tagged_folder(tmp_path) / "pos"
    sizes = ("--examples", 4, "--seed", 42, "--tuning-seed", 1, "--epochs", 1, "--max-length", 24, "--limit", 12)
    options = ("table2", "--data", f"pos={data}", "--model", tiny_folder, "--languages", "en,fi,sw", *sizes)
    completed = xsns("reproduce", *options, "-o", tmp_path / "one")
    assert completed.code == 0, completed.err
    with_workers = (*options, "-o", tmp_path / "two", "--workers", 2)
    for fault in ("client interrupted", "client killed", "workers killed"):
        _disturbed(fault, with_workers, tmp_path / "two")
    _assert_same(tmp_path)


def _disturbed(fault: str, arguments: tuple[Any, ...], output: Path) -> None:
    """Run the steps in a process, and disturb them after the next unit or row."""
    before = _finished(output)
    process = start_in_session("reproduce", *arguments)
    wait_for(lambda: _finished(output) > before, process)
    if fault == "workers killed":
        assert kill_workers(process.pid) == 2
    elif fault == "client killed":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)
    err = process.communicate(timeout=LIMIT)[1]
    code = {"workers killed": 0, "client killed": -signal.SIGKILL, "client interrupted": 130}[fault]
    assert process.returncode == code, err
    assert "Traceback" not in err


def _finished(output: Path) -> int:
    """Return the number of finished units and rows."""
    return sum(1 for pattern in ("*.units/*.json", "commits/*/*/*/zarr.json") for _ in output.rglob(pattern))


def _assert_same(tmp_path: Path) -> None:
    """Check that the results in `one` and `two` are equal."""
    work = [tmp_path / folder / "work" for folder in ("one", "two")]
    files = [{path.relative_to(one) for path in one.rglob("*.parquet")} for one in work]
    assert files[0] == files[1] != set()
    for file in files[0]:
        assert (work[0] / file).read_bytes() == (work[1] / file).read_bytes(), file
    (one,), (two,) = (list(folder.rglob("*.zarr")) for folder in work)
    digests = [{record.key: record.sha256 for record in open_store(store).records()} for store in (one, two)]
    assert digests[0] == digests[1]
    tables = [(tmp_path / folder / "table2.md").read_text().partition("## Commands")[0] for folder in ("one", "two")]
    assert tables[0] == tables[1]
