"""Errors of the disk: each gives an error message, and committed rows stay undamaged."""

import errno
import os

import pytest
from filelock import FileLock

from xsns_stream.errors import StoreError
from xsns_stream.store import open_store
from xsns_stream.store.storage import base, local

CASES = [
    (errno.ENOSPC, "the disk or the quota is full", "free some space"),
    (errno.EDQUOT, "the disk or the quota is full", "free some space"),
    (errno.EACCES, "the permissions do not allow it", "may read and write"),
    (errno.EROFS, "the permissions do not allow it", "may read and write"),
    (errno.EIO, "Input/output error", "check the path and its disk"),
]


def failing(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("case", CASES, ids=lambda case: errno.errorcode[case[0]])
def test_a_row_that_cannot_be_written(filled, networks, monkeypatch, case):
    code, reason, hint = case
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", failing(code))
        with pytest.raises(StoreError, match=reason) as caught:
            filled.write(networks.make_sub("fr"))
        assert hint in caught.value.hint
        assert "experiment.zarr" in caught.value.message
    assert filled.languages == ("rw", "sw", "yo")
    assert filled.verify() == []
    assert filled.write(networks.make_sub("fr"))
    assert filled.verify() == []


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_at_any_step_leaves_the_store_sound(filled, networks, monkeypatch, step):
    with monkeypatch.context() as patch:
        patch.setattr(step, failing(errno.ENOSPC))
        with pytest.raises(StoreError, match="full"):
            filled.write(networks.make_sub("fr", seed=5))
    assert filled.languages == ("rw", "sw", "yo")
    assert filled.verify() == []
    assert filled.write(networks.make_sub("fr", seed=5))
    assert filled.verify() == []
    assert not list(filled.path.rglob("*.partial"))


ATOMIC_FILE = local.atomic_file


def failing_for_records(path):
    if "commits" in path.parts:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    return ATOMIC_FILE(path)


def test_a_commit_that_cannot_be_written(filled, networks, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(local, "atomic_file", failing_for_records)
        with pytest.raises(StoreError, match="cannot commit a row to"):
            filled.write(networks.make_sub("fr"))
    assert [key.language for key in filled.unfinished()] == ["fr"]
    assert "fr" not in filled


def test_a_store_that_cannot_be_created(path, networks, monkeypatch):
    monkeypatch.setattr("os.fsync", failing(errno.EROFS))
    with pytest.raises(StoreError, match=r"cannot create a store at .*: the permissions do not allow it"):
        open_store(path, "a").write(networks.make_sub())
    assert list(path.parent.iterdir()) == []


def test_a_path_under_a_file_is_refused(tmp_path, networks):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match="is not a folder that can be written to"):
        open_store(file / "store", "a").write(networks.make_sub())
    with pytest.raises(StoreError, match="there is no store"):
        open_store(file / "store")


def test_a_lock_that_is_held_for_too_long_is_an_error(filled, networks, monkeypatch):
    monkeypatch.setattr(base, "LOCK_TIMEOUT_S", 0.1)
    with (
        FileLock(filled.path / "subnetworks/.lock"),
        pytest.raises(StoreError, match=r"another process has held .*lock' for 0 seconds") as caught,
    ):
        filled.write(networks.make_sub("fr"))
    assert "hangs" in caught.value.hint
    assert filled.write(networks.make_sub("fr"))


def test_a_lock_that_cannot_be_created(filled, networks, monkeypatch):
    monkeypatch.setattr(FileLock, "acquire", failing(errno.EACCES))
    with pytest.raises(StoreError, match=r"cannot lock .*: the permissions do not allow it"):
        filled.write(networks.make_sub("fr"))


def test_an_unreadable_document_is_an_error(filled, monkeypatch):
    monkeypatch.setattr("os.open", failing(errno.EACCES))
    with pytest.raises(StoreError, match=r"cannot read .*zarr.json"):
        open_store(filled.path)
