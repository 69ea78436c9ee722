"""`xsns-stream transfer` in other processes: killed, interrupted, or with several writers of one file."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.processes import wait_for
from tests.support.tagged_text import arguments, write_tagged_folder
from xsns_stream.gold import read_scores


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `pos`: three languages with all splits, and a fourth with test data only."""
    return write_tagged_folder(tmp_path)


@pytest.mark.slow
def test_a_killed_run_is_continued(folder: Path, start: list[str], in_process: Callable[..., Any]) -> None:
    command = [*start, *arguments("--seed", "1", "--seed", "2", sources="all")]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    units = folder / "gold.parquet.units"
    wait_for(lambda: (folder / "gold.parquet").exists() and len(list(units.glob("*.json"))) >= 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    before = {path.name: path.read_bytes() for path in units.glob("*.json")}
    assert 1 <= len(before) < 6
    assert np.isfinite(read_scores(folder / "gold.parquet").cells).any()
    completed = in_process(folder, *arguments("--seed", "1", "--seed", "2", sources="all"))
    assert completed.code == 0, completed.err
    assert np.isfinite(read_scores(folder / "gold.parquet").cells).all()
    assert all((units / name).read_bytes() == data for name, data in before.items())


@pytest.mark.slow
def test_ctrl_c_keeps_the_scores_so_far(folder: Path, start: list[str]) -> None:
    process = subprocess.Popen(
        [*start, *arguments("--seed", "1", "--seed", "2", "--seed", "3", sources="all")],
        cwd=folder,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for((folder / "gold.parquet").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "error: interrupted." in errors
    assert "Traceback" not in errors
    assert read_scores(folder / "gold.parquet").sources


@pytest.mark.slow
def test_two_processes_with_different_settings_do_not_mix(
    folder: Path, in_process: Callable[..., Any], run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither process sees a unit of the other when it starts; the settings of the first unit decide."""
    from xsns_stream.pipeline import run_transfer as transferring

    real = transferring.fine_tune

    def meanwhile(*values: Any, **named: Any) -> Any:
        other = run(folder, *arguments("--lr", "0.3", sources="fi"))
        assert other.returncode == 0, other.stderr
        return real(*values, **named)

    monkeypatch.setattr(transferring, "fine_tune", meanwhile)
    completed = in_process(folder, *arguments(sources="en"))
    assert completed.code == 1
    assert "'fi' (seed 42) in 'gold.parquet.units' has other settings: learning_rate" in completed.err
    assert read_scores(folder / "gold.parquet").sources == ("fi",)


def test_a_unit_of_a_killed_process_is_made_by_another_one(folder: Path, start: list[str]) -> None:
    """While the first process holds a unit, the second computes the others. After a kill, it computes this unit too."""
    command = [*start, *arguments("--seed", "1", "--seed", "2", "--json")]
    pipes: dict[str, Any] = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    units = folder / "gold.parquet.units"
    first = subprocess.Popen(command, **pipes)
    wait_for((units / "en-1.lock").exists, first)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.Popen(command, **pipes)
    assert second.stderr is not None
    sentence = next((line for line in second.stderr if "waiting for them" in line), "")
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    out, err = second.communicate(timeout=100)
    assert second.returncode == 0, err
    assert sentence == "note: other processes are fine-tuning en (seed 1); waiting for them.\n"
    result = json.loads(out)["result"]
    assert result["committed"][-1] == ["en", 1]
    assert sorted(result["committed"]) == [["en", 1], ["en", 2], ["fi", 1], ["fi", 2]]
    assert (result["by_others"], result["elsewhere"]) == ([], [])
    assert np.isfinite(read_scores(folder / "gold.parquet").cells).all()


@pytest.mark.slow
def test_units_of_another_process_are_reported(
    folder: Path, in_process: Callable[..., Any], run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from xsns_stream.pipeline import run_transfer as transferring

    real, others = transferring.fine_tune, list[Any]()

    def meanwhile(*values: Any, **named: Any) -> Any:
        if not others:
            others.append(run(folder, *arguments(sources="fi")))
            assert others[0].returncode == 0, others[0].stderr
        return real(*values, **named)

    monkeypatch.setattr(transferring, "fine_tune", meanwhile)
    completed = in_process(folder, *arguments(sources="en,fi"))
    assert completed.code == 0, completed.err
    assert "gold.parquet: 1 unit computed, 1 computed by another process, 2 in total.\n" in completed.out
    assert read_scores(folder / "gold.parquet").sources == ("en", "fi")


@pytest.mark.slow
def test_two_processes_make_each_unit_once(folder: Path, start: list[str]) -> None:
    command = [*start, *arguments("--seed", "1", "--seed", "2", sources="all")]
    both = [
        subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=200)[1] for process in both]
    assert all(process.returncode in (0, 3) for process in both), errors
    units = [
        line.partition("] ")[2].partition(":")[0]
        for text in errors
        for line in text.splitlines()
        if line[:1] == "[" and "another process" not in line
    ]
    assert len(units) == len(set(units)) == 6
    assert np.isfinite(read_scores(folder / "gold.parquet").cells).all()
