"""Temporary files on a full disk: an error with one sentence, and no signal when a memory page is written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.file_limits import largest_file
from xsns_stream.baselines.model_vectors import GradientFile
from xsns_stream.baselines.nearest_tokens import TokenStates
from xsns_stream.errors import XsnsError
from xsns_stream.io.scratch_files import map_for_writing, reserve, scratch_folder


def test_space_is_reserved_for_a_part_of_a_file(tmp_path: Path) -> None:
    values = map_for_writing(tmp_path / "x", np.float32, (1000, 1000))
    assert (tmp_path / "x").stat().st_size == values.nbytes == 4_000_000
    before = (tmp_path / "x").stat().st_blocks
    reserve(tmp_path / "x", 400_000, 400_000)
    if hasattr(os, "posix_fallocate"):
        # Blocks of 512 bytes.
        assert (tmp_path / "x").stat().st_blocks - before >= 400_000 // 512
    values[100:200] = 7
    assert (values.sum(), values[:100].any()) == (700_000, False)


def test_a_file_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    with pytest.raises(XsnsError, match=r"^the temporary file '.*/none/x' cannot be written: No such file") as caught:
        map_for_writing(tmp_path / "none" / "x", np.float32, (2,))
    assert "--scratch" in caught.value.hint


def test_a_full_disk_ends_with_a_sentence_before_a_gradient_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = GradientFile(tmp_path / "x", 3, 1000)
    file.add("sw", [np.ones(1000, np.float32)])

    def full(descriptor: int, start: int, size: int) -> None:
        assert (start, size) == (4000, 4000)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(XsnsError, match=r"/x' cannot be written: No space left on device\."):
            file.add("fi", [np.ones(1000, np.float32)])
    file.add("fi", [np.full(1000, 2, np.float32)])
    assert [line.sum() for line in file.gradients(["fi", "sw"])] == [2000, 1000]


def test_a_full_disk_ends_with_a_sentence_when_token_states_are_written(tmp_path: Path) -> None:
    states = TokenStates(tmp_path / "x", 1000)
    with largest_file(6000), pytest.raises(XsnsError, match=r"^the temporary file '.*/x' cannot be written: File too"):
        states.add("sw", np.ones((20, 1000)))
    states.close()


# ------------------------------------------------------------------------------------------ folders


HOLD = """
import sys, time
from xsns_stream.io.scratch_files import scratch_folder
with scratch_folder("xsns-test-", sys.argv[1]) as folder:
    (folder / "values").write_bytes(b"x")
    print(folder.name, flush=True)
    time.sleep(600)
"""


def test_a_scratch_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    with scratch_folder("xsns-test-", tmp_path) as folder:
        (folder / "more").mkdir()
        assert folder.parent == tmp_path.resolve()
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_processes_are_removed_and_others_are_not(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) for _ in "ab"]
    try:
        running, killed = (process.stdout.readline().decode().strip() for process in processes if process.stdout)
        processes[1].kill()
        processes[1].communicate()
        assert (tmp_path / killed / "values").exists()
        for name in ("xsns-test-elsewhere", "xsns-test-unmarked", "another"):
            (tmp_path / name).mkdir()
        (tmp_path / "xsns-test-elsewhere" / ".machine").write_text("another.machine.example")
        (tmp_path / "xsns-test-link").symlink_to(tmp_path / running)
        kept = {path.name for path in tmp_path.iterdir()} - {killed}
        with scratch_folder("xsns-test-", tmp_path) as folder:
            assert {path.name for path in tmp_path.iterdir()} == kept | {folder.name}
    finally:
        processes[0].kill()
        processes[0].communicate()


def test_a_missing_parent_of_a_scratch_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(XsnsError, match="cannot be written"), scratch_folder("xsns-test-", tmp_path / "missing"):
        pass
