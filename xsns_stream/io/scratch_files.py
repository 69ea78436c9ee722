"""Temporary files for values that do not fit into memory, on disks that may be full.

A folder of temporary files contains a lock file, which its process locks, and the name of the machine. The next process
on the same machine removes folders whose process was killed.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from xsns_stream.errors import XsnsError
from xsns_stream.io.locks import hold_lock, try_lock

_LOCK: Final = ".lock"
#: A file with the name of the machine, which is written after the lock was taken.
_MACHINE: Final = ".machine"


@contextmanager
def scratch_folder(prefix: str, parent: str | os.PathLike[str] | None = None) -> Iterator[Path]:
    """Yield a new folder for temporary files, which is removed when the `with` block ends.

    Folders with the same prefix that killed processes of this machine and this user have left are removed first.
    Folders of other machines, which may have no common locks with this one, are not removed.

    Args:
        prefix: Beginning of the name of the folder.
        parent: The folder that it is created in; None for the folder of temporary files of the system.

    Raises:
        XsnsError: The folder cannot be created.
    """
    within = Path(tempfile.gettempdir() if parent is None else parent)
    _remove_left_folders(within, prefix)
    with scratch_errors(within):
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=within)).resolve()
    try:
        with hold_lock(folder / _LOCK):
            (folder / _MACHINE).write_text(socket.gethostname(), encoding="utf-8")
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_folders(within: Path, prefix: str) -> None:
    """Remove the folders in `within` whose names begin with `prefix` and whose processes were killed.

    Folders that cannot be examined or removed are left.
    """
    with suppress(OSError):
        for folder in sorted(within.glob(f"{prefix}*")):
            with suppress(OSError):
                if _is_ours(folder):
                    with try_lock(folder / _LOCK) as free:
                        if free:
                            shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Return whether a process of this user on this machine made a folder, and took its lock."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    machine = folder / _MACHINE
    if not machine.is_file() or machine.read_text(encoding="utf-8") != socket.gethostname():
        return False
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def map_for_writing(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[Any]]:
    """Create a file and map it into memory for writing.

    The disk space is not reserved; call :func:`reserve` before a part of the array is written.

    Args:
        path: The file; an existing file is replaced.
        dtype: Type of the values.
        shape: Shape of the array; no size may be 0.

    Raises:
        XsnsError: The file cannot be created.
    """
    with scratch_errors(path):
        return np.memmap(path, dtype, "w+", shape=shape)


def reserve(path: Path, start: int, size: int) -> None:
    """Reserve disk space for a part of a file.

    If the disk is full, the system terminates a process that writes to a mapped file with a signal, and no message is
    printed. Writing to reserved space does not fail for this reason.

    Args:
        path: An existing file.
        start: The first byte.
        size: Number of bytes, at least 1.

    Raises:
        XsnsError: The disk has no space for the part.
    """
    # macOS does not have this function.
    if hasattr(os, "posix_fallocate"):
        with scratch_errors(path), path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), start, size)


@contextmanager
def scratch_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the `with` block into an error that names the temporary file.

    Args:
        path: The file that the block creates or writes.
    """
    try:
        yield
    except OSError as error:
        raise XsnsError(
            f"the temporary file '{path}' cannot be written: {error.strerror or error}.",
            "name a folder with more space by --scratch or TMPDIR; temporary files of a build are in its store.",
        ) from error
