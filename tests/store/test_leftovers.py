"""Folders of killed processes beside a store are removed; folders of running processes are not."""

import os
import shutil
import time

import pytest
from filelock import FileLock

from xsns_stream.errors import StoreError
from xsns_stream.store import open_store
from xsns_stream.store.prune import plan_prune, prune
from xsns_stream.store.storage.local import LocalStorage

HEX = "0123456789abcdef" * 2


def leave(path, name, age=3600.0):
    folder = path.with_name(name)
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    (folder / ".lock").touch()
    then = time.time() - age
    os.utime(folder, (then, then))
    return folder


@pytest.mark.parametrize("mode", ["a", "w-"])
def test_the_folder_of_a_killed_process_is_removed(path, mode):
    leftover = leave(path, f"{path.name}.{HEX}.partial")
    open_store(path, mode)
    assert not leftover.exists()


def test_reading_removes_nothing(filled, path):
    leftover = leave(path, f"{path.name}.{HEX}.partial")
    open_store(path, "r")
    assert leftover.exists()


def test_a_folder_in_use_is_not_removed(path):
    leftover = leave(path, f"{path.name}.{HEX}.partial")
    with FileLock(leftover / ".lock"):
        then = time.time() - 3600
        os.utime(leftover, (then, then))
        open_store(path, "a")
        assert (leftover / "zarr.json").exists()
    open_store(path, "a")
    assert not leftover.exists()


def test_a_young_folder_may_not_have_its_lock_yet(path):
    leftover = leave(path, f"{path.name}.{HEX}.partial", age=5)
    open_store(path, "a")
    assert leftover.exists()


def test_a_young_folder_with_the_mark_is_removed(path):
    store = open_store(path, "a")
    with store.scratch() as folder:
        # The folder is as after `kill -9`, and no process holds the lock of the copy.
        leftover = shutil.copytree(folder, folder.with_name(f"{path.name}.{HEX}.partial"))
        open_store(path, "a")
        assert (folder.exists(), leftover.exists()) == (True, False)


@pytest.mark.parametrize("name", ["other.zarr." + HEX + ".partial", "{}.partial", "{}." + HEX, "{}.abc.partial"])
def test_a_folder_with_another_name_is_not_removed(path, name):
    leftover = leave(path, name.format(path.name))
    open_store(path, "a")
    assert leftover.exists()


def test_a_scratch_folder_is_removed_after_its_block(path):
    store = open_store(path, "a")
    with store.scratch() as folder:
        assert folder.parent == path.parent
        (folder / "values").write_bytes(b"large")
        open_store(path, "a")
        assert (folder / "values").exists()
    assert list(path.parent.iterdir()) == []
    with pytest.raises(ZeroDivisionError), store.scratch() as folder:
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []


def test_a_scratch_folder_that_cannot_be_created(tmp_path):
    (tmp_path / "file").write_text("")
    store = open_store(tmp_path / "x.zarr", "a")
    store.storage = LocalStorage(tmp_path / "file" / "x.zarr")
    with pytest.raises(StoreError, match="cannot make a folder beside"), store.scratch():
        pass


def test_a_new_store_has_no_lock_left_in_it(filled, path):
    assert not (path / ".lock").exists()
    assert not (path / ".locked").exists()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("subfolder", ["", "parts/3/1"])
def test_prune_names_and_removes_the_folder_of_a_killed_process(filled, path, networks, subfolder):
    for number in (1, 2, 3):
        filled.write_fold(networks.make_sub("sw"), 3, number)
    beside = path / subfolder
    leftover = leave(beside, f"{beside.name}.{HEX}.partial")
    name = f"parts/3/{leftover.name}" if subfolder else f"../{leftover.name}"
    store = open_store(path, "a", sweep=False)
    plan = plan_prune(store, leftovers=True)
    assert plan.leftovers == {name: 2}
    with FileLock(leftover / ".lock"):
        assert prune(store, plan).leftovers == {}
        assert leftover.exists()
    then = time.time() - 3600
    os.utime(leftover, (then, then))
    assert list(prune(store, plan_prune(store, leftovers=True)).leftovers) == [name]
    assert not leftover.exists()
    assert filled.verify() == []
    assert filled.languages == ("rw", "sw", "yo")


def test_the_command_line_names_the_folder_of_a_killed_process(filled, path, xsns):
    leftover = leave(path, f"{path.name}.{HEX}.partial")
    completed = xsns("prune", path, "--unfinished", "--dry-run")
    assert completed.code == 0
    assert f"../{leftover.name}" in completed.out
    assert leftover.exists()
    completed = xsns("prune", path, "--unfinished", "--yes")
    assert (completed.code, leftover.exists()) == (0, False)
    assert "1 leftover" in completed.out


def test_a_link_of_such_a_name_is_not_followed(filled, path, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    os.utime(tmp_path / "mine", (0, 0))
    path.with_name(f"{path.name}.{HEX}.partial").symlink_to(tmp_path / "mine")
    open_store(path, "a")
    assert (tmp_path / "mine" / "file").exists()
