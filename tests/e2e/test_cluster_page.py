"""The scripts of docs/cluster.md, run with a local cluster instead of the cluster that each script names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.page_blocks import blocks, run_page
from tests.support.paths import ROOT
from xsns_stream.store import open_store

PAGE = "docs/cluster.md"
SCRIPTS = [block.text for block in blocks(PAGE) if block.run_by]
LAUNCHERS = ("SLURM", "SSH", "Kubernetes", "MPI")

#: Modules of the launchers, replaced by modules that start a local cluster.
LOCAL = """
from distributed import LocalCluster


def local(*hosts, **options):
    return LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0")


SLURMCluster = KubeCluster = SSHCluster = local


def initialize(nthreads):
    import distributed

    distributed.Client.__init__.__defaults__ = (local(), *distributed.Client.__init__.__defaults__[1:])
"""


def script_of(name: str) -> str:
    (script,) = [each for each in SCRIPTS if each.startswith(f"# {name}" if name in LAUNCHERS else "import")]
    return script


def test_the_commands_without_a_cluster_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Callable[..., Any], tiny_folder: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ["--model", str(tiny_folder), "--examples", "4", "--max-length", "24"]
    run_page("docs/cluster.md", xsns, more=lambda words: tiny if words[0] == "build" else [])
    assert set(open_store("xsns.zarr").languages) == {"sw", "zu", "xh", "fi", "et", "hu"}


def test_scripts_are_short_and_guarded() -> None:
    for name in LAUNCHERS:
        script = script_of(name)
        assert len([line for line in script.splitlines() if line and not line.startswith("#")]) <= 10
        assert 'if __name__ == "__main__":' in script


@pytest.mark.slow
@pytest.mark.parametrize("name", ["workers", *LAUNCHERS])
def test_a_script_runs_with_a_local_cluster(
    name: str, tmp_path: Path, write_texts: Callable[..., Path], tiny_folder: Path
) -> None:
    texts = write_texts(tmp_path / "texts", "sw fi", 6)
    for module in ("dask_jobqueue", "dask_mpi", "dask_kubernetes/__init__", "dask_kubernetes/operator"):
        path = tmp_path / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(LOCAL, encoding="utf-8")
    script = script_of(name)
    both = "from distributed import Client\nfrom dask_jobqueue import SSHCluster"
    script = script.replace("from distributed import Client, SSHCluster", both)
    script = re.sub(r'"(/shared/texts|cldr)"', repr(str(texts)), script)
    script = re.sub(r'"(/shared/xlm-r|/models/xlm-r|mini)"', repr(str(tiny_folder)), script)
    script = re.sub(r'"((/shared|s3://bucket)/)?xsns.zarr"', '"x.zarr", examples=4, max_length=24, seeds=(1,)', script)
    assert "/shared" not in script
    assert "s3:" not in script
    (tmp_path / "script.py").write_text(script.replace("cluster.scale(jobs=64)", "cluster.scale(2)"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))), "OMP_NUM_THREADS": "1"}
    completed = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment,
    )
    assert completed.returncode == 0, completed.stderr
    store = open_store(tmp_path / "x.zarr")
    assert (store.languages, store.verify()) == (("fi", "sw"), [])
