"""File systems without fsync on folders: every verb continues, and reports it once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.io import atomic as syncing
from xsns_stream.store import open_store


@pytest.fixture(params=["EINVAL", "ENOTSUP", "EPERM"])
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    real, number = os.fsync, getattr(errno, request.param)

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        real(descriptor)

    monkeypatch.setattr("os.fsync", fsync)


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget that `fsync` was refused, as a new process does."""
    return lambda: monkeypatch.setattr(syncing, "_refusals", syncing._Refusals())


def test_verbs_continue_without_fsync_on_folders(
    refused: None, forget: Callable[[], None], build: Callable[..., Any], xsns: Any, tmp_path: Path
) -> None:
    forget()
    built = build("--keep-fisher", "bf16")
    assert built.code == 0, built.err
    store = open_store(tmp_path / "x.zarr")
    assert (len(store.keys()), store.verify(), store.unfinished()) == (2, [], ())
    assert built.err.count("does not support fsync: what was written is safe if this program is killed") == 1
    forget()
    for number, words in enumerate(
        [("copy", store.path, tmp_path / "copy.zarr"), ("matrix", "-o", tmp_path / "m.csv")]
    ):
        forget()
        more = () if number == 0 else ("--store", store.path)
        completed = xsns(*words, *more)
        assert (completed.code, completed.err.count("does not support fsync")) == (0, 1), completed.err
        forget()
        assert "fsync" not in xsns("matrix", "--store", store.path, "-q", "-o", tmp_path / "quiet.csv").err
