"""Fine-tuning on workers gives the scores of one process, although workers or the client fail."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsns_stream as xs
from tests.support.cluster_faults import UnitFault
from tests.support.clusters import ON_CLUSTER, kill_workers
from tests.support.processes import interrupt_or_kill, start_in_session, wait_for
from tests.support.tagged_text import write_tagged_folder
from xsns_stream.corpora import open_task
from xsns_stream.errors import CorpusError, IncompatibleError, PartialError, UsageError, XsnsError
from xsns_stream.pipeline.events import Noted, UnitByOther, UnitDone, UnitStarted
from xsns_stream.pipeline.finetune_settings import Unit
from xsns_stream.pipeline.units import UnitFolder
from xsns_stream.types import TransferScores

pytestmark = ON_CLUSTER

OPTIONS: dict[str, Any] = {
    "task": "pos",
    "sources": "en,fi,sw",
    "limit": 12,
    "test_limit": 6,
    "epochs": 1,
    "max_length": 32,
    "progress": False,
}
#: Entries of a training record that depend on the time.
TIMES = ("seconds", "examples_per_second")
LIMIT = 300


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagged_folder(tmp_path_factory.mktemp("tagged")) / "pos"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data: Path, tiny_folder: Path) -> Path:
    """A file of gold scores that one process computed."""
    output = tmp_path_factory.mktemp("alone") / "gold.parquet"
    xs.transfer(str(data), model=str(tiny_folder), output=output, **OPTIONS)
    return output


@pytest.fixture
def tune(data: Path, tiny_folder: Path, tmp_path: Path) -> Callable[..., TransferScores]:
    """A function that fine-tunes on a given cluster and writes `gold.parquet` into the folder of the test."""

    def call(**options: Any) -> TransferScores:
        return xs.transfer(
            str(data), model=str(tiny_folder), **({"output": tmp_path / "gold.parquet"} | OPTIONS | options)
        )

    return call


def units(output: Path) -> dict[str, dict[str, Any]]:
    """Return {file name: its unit without times}."""
    result = {}
    for path in output.with_name(f"{output.name}.units").glob("*.json"):
        unit = json.loads(path.read_text())
        result[path.name] = unit | {
            "training": {name: value for name, value in unit["training"].items() if name not in TIMES}
        }
    return result


def assert_same(output: Path, alone: Path) -> None:
    """Check that every unit, and the file of scores, are those of an undisturbed run in one process."""
    assert units(output) == units(alone)
    ours, theirs = (xs.read_scores(path) for path in (output, alone))
    assert (ours.sources, ours.targets, ours.seeds) == (theirs.sources, theirs.targets, theirs.seeds)
    assert np.array_equal(ours.cells, theirs.cells, equal_nan=True)


# ------------------------------------------------------------------------------------------ without faults


def test_workers_give_the_scores_of_one_process(client: Any, tune: Any, alone: Path, tmp_path: Path) -> None:
    events: list[Any] = []
    scores = tune(client=client, on_event=events.append)
    assert_same(tmp_path / "gold.parquet", alone)
    assert np.array_equal(scores.cells, xs.read_scores(alone).cells)
    every = {Unit(source, 42) for source in ("en", "fi", "sw")}
    assert {event.unit for event in events if isinstance(event, UnitStarted)} == every
    assert sorted(event.unit for event in events if isinstance(event, UnitDone)) == sorted(every)
    # Existing units are not computed again.
    events.clear()
    tune(client=client, on_event=events.append)
    assert events == []


def test_a_unit_that_fails_is_named_and_its_log_is_kept(client: Any, tune: Any, tmp_path: Path) -> None:
    events: list[Any] = []
    client.run(_lose_data_of, "fi")
    try:
        with pytest.raises(PartialError, match=r"1 of the languages and units failed: fi \(seed 42\)") as caught:
            tune(client=client, sources="en,fi", on_event=events.append)
    finally:
        client.run(_lose_data_of, None)
    assert caught.value.exit_code == 3
    assert xs.read_scores(tmp_path / "gold.parquet").sources == ("en",)
    log = tmp_path / "gold.parquet.logs" / "fi-42.log"
    assert any(isinstance(event, Noted) and str(log) in event.text for event in events)
    text = log.read_text(encoding="utf-8")
    assert text.startswith("fi-42: the file is gone.")
    assert "Traceback" in text


def _lose_data_of(source: str | None) -> None:
    from xsns_stream.pipeline import cluster_transfer, finetune_data

    def read(settings: Any, name: str, *rest: Any) -> Any:
        if name == source:
            raise CorpusError("the file is gone.")
        return finetune_data.read_unit_data(settings, name, *rest)

    cluster_transfer.read_unit_data = finetune_data.read_unit_data if source is None else read


def test_a_worker_with_another_model_is_refused_by_name(client: Any, tune: Any, tmp_path: Path) -> None:
    client.run(_use_digest, "0" * 64)
    try:
        with pytest.raises(IncompatibleError, match=r"other settings than the client: weights \(weights is '000"):
            tune(client=client)
    finally:
        client.run(_use_digest, None)
    assert UnitFolder(tmp_path / "gold.parquet.units").all() == []


def _use_digest(digest: str | None) -> None:
    from xsns_stream.pipeline.run_transfer import UnitsRun

    original = getattr(UnitsRun, "original_record", UnitsRun.record)
    UnitsRun.original_record = original  # type: ignore[attr-defined]

    def changed(self: Any, unit: Any) -> Any:
        return original(self, unit) | {"weights": digest}

    UnitsRun.record = original if digest is None else changed  # type: ignore[method-assign]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_worker_with_other_data_is_refused_by_name(split: str, client: Any, tune: Any) -> None:
    client.run(_read_less, split)
    try:
        with pytest.raises(IncompatibleError, match=f"a worker reads different {split} data of '..' than the client"):
            tune(client=client)
    finally:
        client.run(_read_less, None)


def _read_less(split: str | None) -> None:
    from dataclasses import replace

    from xsns_stream.corpora.tasks.task_corpus import FolderTask

    original = getattr(FolderTask, "original_split", FolderTask.split)
    FolderTask.original_split = original  # type: ignore[attr-defined]

    def less(self: Any, language: str, name: str) -> Any:
        labelled = original(self, language, name)
        return replace(labelled, examples=labelled.examples[:3]) if name == split else labelled

    FolderTask.split = original if split is None else less  # type: ignore[method-assign]


def test_data_that_were_read_can_be_sent(data: Path) -> None:
    import pickle

    corpus = open_task(str(data), "pos")
    before = corpus.split("en", "train")
    again = pickle.loads(pickle.dumps(corpus))
    assert (again, again.split("en", "train")) == (corpus, before)


def test_options_that_do_not_go_together_are_refused_before_the_data_are_read(tune: Any) -> None:
    with pytest.raises(UsageError, match="workers and scheduler were both given"):
        tune(workers=2, scheduler="tcp://a:1", sources="nonsense")


def test_a_dry_run_for_workers_estimates_the_hours(
    client: Any, data: Path, tiny_folder: Path, in_process: Callable[..., Any], tmp_path: Path
) -> None:
    options = ("--sources", "en,fi", "--limit", "12", "--max-length", "32", "--dry-run", "--json")
    completed = in_process(
        tmp_path,
        *("transfer", "--task", "pos", "--data", data, "--model", tiny_folder, *options, "-o", "gold.parquet"),
        *("--scheduler", client.scheduler.address),
    )
    assert completed.code == 0, completed.err
    plan = json.loads(completed.out)["result"]
    assert plan["workers"] == 2
    assert plan["hours"] / 2 <= plan["hours_on_workers"] < plan["hours"]


# --------------------------------------------------------------------------------------------- with faults


@pytest.fixture
def fault(damage: Callable[..., Path]) -> Callable[..., Path]:
    """Give every worker a fault."""
    return partial(damage, UnitFault)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill while training", "kill after the commit"])
def test_a_unit_is_computed_again_after_its_worker_was_killed(
    kind: str, own_client: Any, fault: Any, tune: Any, alone: Path, tmp_path: Path
) -> None:
    deaths = fault(kind, "fi", times=2 if kind == "kill while training" else 1)
    events: list[Any] = []
    tune(client=own_client, on_event=events.append)
    assert_same(tmp_path / "gold.parquet", alone)
    assert len(list(deaths.iterdir())) == (2 if kind == "kill while training" else 1)
    units_done = [event.unit for event in events if isinstance(event, UnitDone)]
    assert len(units_done) == len(set(units_done)) == 3


@pytest.mark.slow
def test_a_unit_that_kills_every_worker_fails_alone(
    own_client: Any, fault: Any, tune: Any, alone: Path, tmp_path: Path
) -> None:
    fault("kill while training", "fi", times=2)
    with pytest.raises(PartialError, match=r"1 of the languages and units failed: fi \(seed 42\)"):
        tune(client=own_client, retries=1)
    assert xs.read_scores(tmp_path / "gold.parquet").sources == ("en", "sw")
    assert "attempt 2: begun" in (tmp_path / "gold.parquet.logs" / "fi-42.log").read_text(encoding="utf-8")
    tune()
    assert_same(tmp_path / "gold.parquet", alone)


@pytest.mark.slow
def test_a_unit_is_computed_again_after_its_worker_hung(
    own_client: Any, fault: Any, tune: Any, alone: Path, short_limit: Any, tmp_path: Path
) -> None:
    short_limit(fault("hang", "fi"), "fi")
    events: list[Any] = []
    tune(client=own_client, on_event=events.append)
    assert_same(tmp_path / "gold.parquet", alone)
    assert any(isinstance(each, Noted) and "has not finished its work in 2 s" in each.text for each in events)


@pytest.mark.slow
def test_fine_tuning_continues_after_all_workers_were_killed(
    own_client: Any, tune: Any, alone: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(event: Any) -> None:
        if isinstance(event, UnitDone) and not killed:
            killed.extend(kill_workers(own_client))

    tune(client=own_client, on_event=kill)
    assert len(killed) == 2
    assert_same(tmp_path / "gold.parquet", alone)


@pytest.mark.slow
def test_a_full_disk_ends_the_fine_tuning(own_client: Any, fault: Any, tune: Any, alone: Path, tmp_path: Path) -> None:
    fault("full disk", "fi", times=99)
    with pytest.raises(XsnsError, match=r"cannot write '.*/fi-42\.json': No space left on device\."):
        tune(client=own_client)
    assert set(units(tmp_path / "gold.parquet")) <= {"en-42.json", "sw-42.json"}
    # The other worker may be writing its unit at this moment.
    assert list((tmp_path / "gold.parquet.units").glob("*fi-42*.part*")) == []
    tune()
    assert_same(tmp_path / "gold.parquet", alone)


@pytest.mark.slow
def test_scores_are_kept_if_a_worker_dies_before_the_model_is_saved(
    own_client: Any, fault: Any, tune: Any, alone: Path, tmp_path: Path
) -> None:
    fault("kill before the model", "fi")
    events: list[Any] = []
    tune(client=own_client, keep_models=tmp_path / "models", on_event=events.append)
    units_found = units(tmp_path / "gold.parquet")
    saved = {name for name, unit in units_found.items() if unit["training"].pop("kept", None)}
    assert (saved, units_found) == ({"en-42.json", "sw-42.json"}, units(alone))
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert "fi (seed 42): its worker died before the model was saved; the scores are complete." in notes
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["en-42", "sw-42"]


@pytest.mark.slow
def test_models_are_kept_by_workers(own_client: Any, tune: Any, tmp_path: Path) -> None:
    for name, options in (("one", {}), ("two", {"client": own_client})):
        tune(output=tmp_path / f"{name}.parquet", keep_models=tmp_path / name, sources="en,fi", **options)
    assert_same(tmp_path / "two.parquet", tmp_path / "one.parquet")
    for source in ("en-42", "fi-42"):
        ours, theirs = ((tmp_path / name / source / "model.safetensors").read_bytes() for name in ("two", "one"))
        assert ours == theirs


@pytest.mark.slow
def test_a_model_that_cannot_be_saved_leaves_its_scores(
    own_client: Any, fault: Any, tune: Any, alone: Path, tmp_path: Path
) -> None:
    fault("no model", "fi")
    with pytest.raises(PartialError, match=r"3 of the languages and units failed: .* \(seed 42\)"):
        tune(client=own_client, keep_models=tmp_path / "models")
    assert_same(tmp_path / "gold.parquet", alone)


@pytest.mark.slow
def test_a_unit_of_another_process_is_left_to_it(client: Any, tune: Any, alone: Path, tmp_path: Path) -> None:
    """The unit is released without a result while the run waits for it."""
    events: list[Any] = []
    folder = UnitFolder(tmp_path / "gold.parquet.units")
    claim = folder.claimed(Unit("fi", 42))
    assert claim.__enter__()

    def release(event: Any) -> None:
        events.append(event)
        if type(event).__name__ == "UnitsAwaited":
            assert event.units == (Unit("fi", 42),)
            claim.__exit__(None, None, None)

    tune(client=client, on_event=release)
    assert_same(tmp_path / "gold.parquet", alone)
    assert not any(isinstance(event, UnitByOther) for event in events)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM])
def test_fine_tuning_continues_after_its_client_was_interrupted_or_killed(
    how: signal.Signals, tune: Any, alone: Path, data: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "gold.parquet"
    process = _start(data, tiny_folder, output)
    wait_for(lambda: len(units(output)) > 0, process)
    interrupt_or_kill(process, how, LIMIT, "the scores of finished units")
    before = units(output)
    assert 0 < len(before) <= 3
    tune()
    assert_same(output, alone)


def _start(data: Path, model: Path, output: Path) -> subprocess.Popen[str]:
    sizes = ("--limit", "12", "--test-limit", "6", "--epochs", "1", "--max-length", "32")
    inputs = ("--task", "pos", "--data", data, "--model", model, "--sources", "en,fi,sw")
    return start_in_session("transfer", *inputs, *sizes, "-o", output, "--workers", 2)
