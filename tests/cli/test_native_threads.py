"""The program sets the number of threads and how idle threads wait, unless the user has set them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xsns_stream.cli import native_threads
from xsns_stream.cli.native_threads import set_native_threads


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control group that allows three of eight cores."""
    monkeypatch.setattr(native_threads, "available_cores", lambda: 3)
    monkeypatch.setattr(native_threads, "cores_by_affinity", lambda: 8)


@pytest.mark.parametrize(
    ("before", "added"),
    [
        ({}, {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "3"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_NUM_THREADS": "3"}),
        ({"GOMP_SPINCOUNT": "infinity"}, {"OMP_NUM_THREADS": "3"}),
        ({"KMP_BLOCKTIME": "0"}, {"OMP_NUM_THREADS": "3"}),
        ({"OMP_NUM_THREADS": "7"}, {"OMP_WAIT_POLICY": "passive"}),
        ({"MKL_NUM_THREADS": "7"}, {"OMP_WAIT_POLICY": "passive"}),
    ],
)
@pytest.mark.usefixtures("limited")
def test_variables_of_the_user_are_kept(before: dict[str, str], added: dict[str, str]) -> None:
    environment = dict(before)
    set_native_threads(environment)
    assert environment == before | added


def test_without_a_limit_the_libraries_choose_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch starts one thread for each physical core, which is fewer than the operating system counts."""
    monkeypatch.setattr(native_threads, "available_cores", lambda: 8)
    monkeypatch.setattr(native_threads, "cores_by_affinity", lambda: 8)
    environment: dict[str, str] = {}
    set_native_threads(environment)
    assert environment == {"OMP_WAIT_POLICY": "passive"}


def test_the_program_sets_them_before_torch_is_imported() -> None:
    program = (
        "import os, sys\nsys.argv = ['xsns-stream', '--version']\nfrom xsns_stream.cli import run\n"
        "assert 'torch' not in sys.modules\ntry:\n    run()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\nprint(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP", "KMP", "MKL"))}
    completed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert completed.stdout.splitlines()[-1] == "passive"
