"""Several writers at the same time, and killed writers."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.support.paths import SUPPORT
from xsns_stream.store import open_store

pytestmark = pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="forks")


def run(*arguments):
    script = SUPPORT / "networks.py"
    command = [sys.executable, str(script), *map(str, arguments)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


def assert_complete(store, subs):
    assert store.languages == tuple(sorted(sub.language for sub in subs))
    assert store.verify() == []
    for sub in subs:
        assert np.array_equal(store[sub.language].bits, sub.bits)


def test_processes_that_create_and_write_at_once_lose_nothing(path, networks):
    assert run("race", path) == [0] * (len(networks.LANGUAGES) // 2)
    assert_complete(open_store(path), networks.make_all(networks.SMALL_LAYER))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_killed_writers_leave_whole_rows_or_none(path, networks):
    ends = run("crash", path, 10)
    assert -9 in ends
    store = open_store(path, "a")
    subs = networks.make_all(networks.BIG_LAYER)
    assert_complete(store, [sub for sub in subs if sub.language in store])
    networks.write_all(path, subs)
    assert_complete(store, subs)
    assert store.unfinished() == ()
    # Files that killed writers left beside a row are removed when the row is written again.
    assert not list(path.glob("subnetworks/c/**/*.partial"))
