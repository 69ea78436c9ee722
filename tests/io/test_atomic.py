"""Writing with fsync, also on file systems that do not support fsync."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.errors import XsnsError
from xsns_stream.io import atomic as syncing
from xsns_stream.io.atomic import refusal, sync, sync_file, write_whole
from xsns_stream.store import open_store


@pytest.fixture(autouse=True)
def first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "_refusals", syncing._Refusals())


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let `fsync` fail on folders, on files, or on both."""
    real = os.fsync

    def install(number: int, *, folders: bool = True, files: bool = False) -> None:
        def fsync(descriptor: int) -> None:
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            if folders if is_folder else files:
                raise OSError(number, os.strerror(number))
            real(descriptor)

        monkeypatch.setattr("os.fsync", fsync)

    return install


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "EPERM", "EBADF", "EACCES", "ENOSYS"])
def test_a_folder_that_cannot_be_synchronised_is_reported_once(name: str, refuse: Any, tmp_path: Path) -> None:
    refuse(getattr(errno, name))
    sync(tmp_path)
    sync(tmp_path)
    assert refusal() == (
        f"the file system of '{tmp_path}' does not support fsync: what was written is safe if this program is killed, "
        "but may be lost if the machine loses power."
    )
    assert refusal() == "", "once"
    sync(tmp_path)
    assert refusal() == ""


@pytest.mark.parametrize("name", ["EIO", "ENOSPC", "EDQUOT"])
def test_other_errors_of_a_folder_count(name: str, refuse: Any, tmp_path: Path) -> None:
    refuse(getattr(errno, name))
    with pytest.raises(OSError, match=os.strerror(getattr(errno, name))):
        sync(tmp_path)
    assert refusal() == ""


def test_a_folder_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def closed(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("os.open", closed)
    sync(tmp_path)
    assert str(tmp_path) in refusal()


@pytest.mark.parametrize(
    ("name", "accepted"), [("EINVAL", True), ("ENOTSUP", True), ("EPERM", False), ("EBADF", False), ("EIO", False)]
)
def test_some_errors_of_synchronising_a_file_are_ignored(
    name: str, accepted: bool, refuse: Any, tmp_path: Path
) -> None:
    refuse(getattr(errno, name), folders=False, files=True)
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"x")
        for action in (lambda: sync_file(file), lambda: sync(path)):
            if accepted:
                action()
            else:
                with pytest.raises(OSError, match=os.strerror(getattr(errno, name))):
                    action()
    assert bool(refusal()) == accepted


def test_whole_files_are_synchronised_before_they_are_renamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target, calls = tmp_path / "file.json", []
    monkeypatch.setattr("xsns_stream.io.atomic.sync_file", lambda file: calls.append(("file", target.exists())))
    monkeypatch.setattr("xsns_stream.io.atomic.sync", lambda path: calls.append((path, target.exists())))
    write_whole(target, lambda file: file.write(b"{}") and None)
    assert calls == [("file", False), (tmp_path, True)]


def test_a_full_disk_is_an_error_for_whole_files(refuse: Any, tmp_path: Path) -> None:
    refuse(errno.ENOSPC, folders=False, files=True)
    with pytest.raises(XsnsError, match="No space left"):
        write_whole(tmp_path / "file.json", lambda file: file.write(b"{}") and None)
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_written_where_folders_cannot_be_synchronised(refuse: Any, tmp_path: Path) -> None:
    import numpy as np

    from xsns_stream.types import LayerSpan, ParameterLayout, Provenance, SubNetwork

    refuse(errno.EINVAL)
    layout = ParameterLayout(("w",), ((128,),), (LayerSpan("w", 0, 128),))
    provenance = Provenance(model="m", layout_digest=layout.digest, objective="masked-lm", estimator="per-example")
    bits = np.array([1, 3], np.uint64)
    sub = SubNetwork("sw", 0, bits, layout, 3, 0.5, 0.15, provenance)
    store = open_store(tmp_path / "x.zarr", "a")
    assert store.write(sub)
    assert (store.verify(), store.unfinished()) == ([], ())
    assert "does not support fsync" in refusal()
