"""A hundred kills and many collisions leave no incomplete row, lose no committed row, and leave no lock."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from filelock import FileLock

from tests.support.paths import SUPPORT
from xsns_stream.store import open_store
from xsns_stream.store.prune import plan_prune, prune

SCRIPT = SUPPORT / "stressing.py"
KILLS, ROUNDS = 100, 20

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout.splitlines()[-1])


def assert_nothing_is_locked(path):
    for file in path.rglob(".lock*"):
        with FileLock(file, timeout=0):
            pass


@pytest.mark.slow
def test_a_hundred_kills_tear_no_row_and_lose_none(path, networks):
    assert run("kill", path, KILLS) == KILLS
    store = open_store(path, "a")
    committed = store.keys()
    assert len(committed) > KILLS // 2
    assert store.verify() == []
    for key in committed[::5]:
        expected = networks.make_sub(key.language, key.seed, layout=store.layout)
        assert np.array_equal(store.read(key.language, key.seed).bits, expected.bits)
    assert_nothing_is_locked(path)

    # Writing again completes incomplete rows and does not change committed rows.
    before = {key: store.record(key.language, key.seed, key.density) for key in committed}
    torn = store.unfinished()
    for key in torn:
        assert store.write(networks.make_sub(key.language, key.seed, layout=store.layout))
    assert store.unfinished() == ()
    assert store.verify() == []
    assert {key: store.record(key.language, key.seed, key.density) for key in committed} == before

    # Killed writers leave partial files beside committed metadata, which are recognised and can be removed.
    for file in path.rglob("*.partial"):
        os.utime(file, (0, 0))
    prune(store, plan_prune(store, leftovers=True))
    assert not list(path.rglob("*.partial"))
    assert len(store.keys()) == len(committed) + len(torn)
    assert store.verify() == []


@pytest.mark.slow
def test_of_two_writers_of_one_row_one_is_refused(path):
    refused = run("duel", path, ROUNDS)
    assert len(refused) == ROUNDS
    for ends, winner in refused:
        # Exit code 9 means refused; the other process has its bits in the store.
        assert sorted(ends) == [0, 9]
        assert ends[winner] == 0
    store = open_store(path)
    assert len(store.keys()) == ROUNDS
    assert store.verify() == []
    assert_nothing_is_locked(path)
