"""Write files and folders through to the disk (`fsync`), also where a file system supports that for files only.

Some network and FUSE file systems refuse `fsync` on a folder, and a few refuse it on files. Work goes on there: what is
lost is protection against a power failure, not against a killed process. The refusal is remembered, so that it can be
reported once.
"""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import IO, Any, Final

#: What a file system answers that does not support `fsync` at all.
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
#: What some file systems answer for folders besides: they cannot be opened, or not be synchronised when opened to read.
_NOT_FOR_FOLDERS: Final = _UNSUPPORTED | {errno.EPERM, errno.EACCES, errno.EBADF, errno.EISDIR}


class _Refusals:
    """Where `fsync` was refused first, and whether that was reported."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self.first, self.reported = "", False

    def remember(self, path: object) -> None:
        with self.lock:
            self.first = self.first or str(path)

    def take(self) -> str:
        with self.lock:
            if self.reported or not self.first:
                return ""
            self.reported = True
            return self.first


_refusals = _Refusals()


def sync_file(file: IO[Any]) -> None:
    """Flush an open file and wait until its content is on the disk.

    Raises:
        OSError: The content could not be written, as on a full disk.
    """
    file.flush()
    _sync_descriptor(file.fileno(), _UNSUPPORTED, file.name)


def sync(path: Path) -> None:
    """Wait until the file or folder `path` is on the disk.

    Raises:
        OSError: It could not be written, or a file cannot be opened.
    """
    accepted = _NOT_FOR_FOLDERS if path.is_dir() else _UNSUPPORTED
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in accepted:
            raise
        _refusals.remember(path)
        return
    try:
        _sync_descriptor(descriptor, accepted, path)
    finally:
        os.close(descriptor)


def refusal() -> str:
    """Return a sentence about the first refused `fsync`; empty where none was, or it was returned before."""
    path = _refusals.take()
    if not path:
        return ""
    return (
        f"the file system of '{path}' does not support fsync: what was written is safe if this program is killed, "
        "but may be lost if the machine loses power."
    )


def forget_refusals() -> None:
    """Start anew, as at the beginning of a program."""
    _refusals.forget()


def _sync_descriptor(descriptor: int, accepted: frozenset[int], path: object) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in accepted:
            raise
        _refusals.remember(path)
