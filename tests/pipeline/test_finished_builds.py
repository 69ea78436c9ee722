"""Builds that are recognised as finished without loading the model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import xsns_stream as xs
from xsns_stream.errors import XsnsError
from xsns_stream.io.cache_folder import FOLDER_VARIABLE
from xsns_stream.pipeline import build, finished_builds
from xsns_stream.store import open_store

OPTIONS: dict[str, Any] = {"languages": "sw,fi", "examples": 6, "max_length": 24, "progress": False}

#: Modules that a build with nothing to do must not import, and the modules that read arrays of a store.
HEAVY = ("torch", "transformers", "datasets", "numba", "scipy", "zarr", "pandas", "sklearn", "accelerate")

RUN_AND_LIST = """
import sys
from xsns_stream.cli import run
try:
    run()
finally:
    names = {name.split(".")[0] for name in sys.modules}
    print(" ".join(sorted(names)), file=sys.stderr)
"""


@pytest.fixture
def project(tmp_path: Path, tiny_folder: Path, write_texts: Callable[..., Path], monkeypatch) -> Path:
    """A folder with texts and a model, whose files have an old time of change."""
    write_texts(tmp_path / "texts", "sw fi et", 20)
    shutil.copytree(tiny_folder, tmp_path / "tiny")
    monkeypatch.setattr(finished_builds, "_SETTLED_S", 0.0)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that gets an entry for each model that is loaded."""
    loaded: list[Any] = []
    original = build.load_for_build

    def counting(*args: Any, **options: Any) -> Any:
        loaded.append(args)
        return original(*args, **options)

    monkeypatch.setattr(build, "load_for_build", counting)
    return loaded


def run(project: Path, **options: Any) -> Any:
    return xs.build(project / "texts", project / "tiny", project / "s.zarr", **OPTIONS | options)


def test_a_finished_build_loads_no_model(project: Path, loads: list[Any]) -> None:
    run(project)
    assert len(loads) == 1
    assert run(project).languages == ("fi", "sw")
    assert run(project, languages="fi").languages == ("fi", "sw")
    assert len(loads) == 2  # The second command had not been remembered yet.
    run(project, languages="fi")
    assert len(loads) == 2


def test_the_result_is_that_of_a_build_that_checks_everything(project: Path, monkeypatch) -> None:
    run(project)
    monkeypatch.setattr(finished_builds, "_SETTLED_S", 1e9)
    store = open_store(project / "s.zarr", mode="a")
    plan = build.build_plan(
        store, project / "texts", project / "tiny", **{k: v for k, v in OPTIONS.items() if k != "progress"}
    )
    quick_events: list[Any] = []
    events: list[Any] = []
    quick = build.carry_out(plan, store, quick_events.append)
    shutil.rmtree(project / "cache")
    checked = build.carry_out(plan, store, events.append)
    assert not (project / "cache").exists()
    assert isinstance(checked, build.BuildResult)
    assert isinstance(quick, build.BuildResult)
    assert (quick.committed, quick.skipped, quick.failed) == (checked.committed, checked.skipped, checked.failed)
    assert quick.notes == checked.notes
    assert quick_events == events


def change_text(project: Path) -> None:
    path = project / "texts" / "sw.txt"
    path.write_text(path.read_text(encoding="utf-8").upper(), encoding="utf-8")


def touch_model(project: Path) -> None:
    (project / "tiny" / "config.json").touch()


def add_model_file(project: Path) -> None:
    (project / "tiny" / "more.txt").write_text("more", encoding="utf-8")


def discard_row(project: Path) -> None:
    store = open_store(project / "s.zarr", mode="a")
    store.discard("sw", 42, 0.15)


def damage_cache(project: Path) -> None:
    for path in (project / "cache" / "finished-builds").iterdir():
        path.write_text("[]", encoding="utf-8")


@pytest.mark.parametrize("change", [touch_model, add_model_file, discard_row, damage_cache])
def test_any_change_is_checked(project: Path, loads: list[Any], change: Callable[[Path], None]) -> None:
    run(project)
    time.sleep(0.02)
    change(project)
    run(project)
    assert len(loads) == 2


def test_another_text_is_refused(project: Path) -> None:
    run(project)
    time.sleep(0.02)
    change_text(project)
    with pytest.raises(XsnsError, match="sw"):
        run(project)


def test_other_settings_are_checked(project: Path, loads: list[Any]) -> None:
    run(project)
    with pytest.raises(XsnsError, match=r"the number of examples \(--examples\) is 6 in the store and 7 here"):
        run(project, examples=7)
    with pytest.raises(XsnsError):
        run(project, mask_rate=0.3)
    assert len(loads) == 1, "the record of the store is enough"


def test_files_that_have_just_changed_are_not_trusted(project: Path, monkeypatch, loads: list[Any]) -> None:
    monkeypatch.setattr(finished_builds, "_SETTLED_S", 1e6)
    run(project)
    assert not (project / "cache" / "finished-builds").exists()
    run(project)
    assert len(loads) == 2


def test_text_in_memory_is_not_remembered(project: Path, loads: list[Any]) -> None:
    texts = {"sw": ["habari ya asubuhi"] * 6, "fi": ["hyvää huomenta"] * 6}
    for _ in range(2):
        xs.build(texts, project / "tiny", project / "m.zarr", **OPTIONS | {"examples": 2})
    assert len(loads) == 2
    assert not (project / "cache" / "finished-builds").exists()


def test_only_the_last_commands_of_a_store_are_remembered(project: Path, monkeypatch) -> None:
    monkeypatch.setattr(finished_builds, "_MOST", 2)
    for seed in (1, 2, 3):
        run(project, seeds=seed)
    (path,) = (project / "cache" / "finished-builds").iterdir()
    assert len(json.loads(path.read_text(encoding="utf-8"))["builds"]) == 2


def test_a_finished_build_imports_nothing_heavy(project: Path) -> None:
    run(project)
    arguments = ["build", "--corpus", str(project / "texts"), "--model", str(project / "tiny")]
    arguments += ["--store", str(project / "s.zarr"), "--lang", "sw,fi", "--examples", "6", "--max-length", "24"]
    completed = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST, *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    assert "0 rows measured, 2 already present" in completed.stdout
    assert sorted(set(completed.stderr.splitlines()[-1].split()) & set(HEAVY)) == []
