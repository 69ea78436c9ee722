"""Atomic writing of files and folders (completely or not at all) with `fsync`, and errors for unusable paths."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from xsns_stream.errors import UsageError, XsnsError

#: Errors of file systems that do not support `fsync` at all.
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
#: Further errors for folders: some file systems cannot open a folder, or cannot synchronise one that is opened to read.
_NOT_FOR_FOLDERS: Final = _UNSUPPORTED | {errno.EPERM, errno.EACCES, errno.EBADF, errno.EISDIR}
#: Errors of file systems without hard links, such as exFAT and some network file systems.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


# ---------------------------------------------------------------------------------------------- fsync


class _Refusals:
    """The first path for which the file system refused `fsync`, and whether this was reported."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
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
        OSError: The content could not be written, for example on a full disk.
    """
    file.flush()
    _sync_descriptor(file.fileno(), _UNSUPPORTED, file.name)


def sync(path: Path) -> None:
    """Wait until the file or folder `path` is on the disk.

    Raises:
        OSError: The file or folder could not be written, or a file cannot be opened.
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
    """Return a sentence about the first refused `fsync`; empty if there was none, or if it was returned before."""
    path = _refusals.take()
    if not path:
        return ""
    return (
        f"the file system of '{path}' does not support fsync: what was written is safe if this program is killed, "
        "but may be lost if the machine loses power."
    )


def _sync_descriptor(descriptor: int, accepted: frozenset[int], path: object) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in accepted:
            raise
        _refusals.remember(path)


# ------------------------------------------------------------------------------------- write and rename


def partial_path(target: Path) -> Path:
    """Return an unused path in the folder of `target`, for data that is renamed to `target` when it is complete."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")


@contextmanager
def atomic_file(target: Path) -> Iterator[BinaryIO]:
    """Yield a file to write to, which replaces `target` when the block ends without an error.

    The file is written under another name, synchronised, and renamed. A reader sees the old file or the complete new
    one, and a power failure cannot leave an empty file. If the block raises an error, `target` is not changed.

    Raises:
        OSError: The file cannot be written.
    """
    partial = partial_path(target)
    try:
        with partial.open("xb") as file:
            yield file
            sync_file(file)
        partial.replace(target)
        sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def create_file(target: Path, data: bytes) -> bool:
    """Write `data` to the file `target` if it does not exist; return False if it exists, and do not change it.

    Raises:
        OSError: The file cannot be written.
    """
    partial = partial_path(target)
    try:
        with partial.open("xb") as file:
            file.write(data)
            sync_file(file)
        _link(partial, target)
        sync(target.parent)
    except FileExistsError:
        return False
    finally:
        partial.unlink(missing_ok=True)
    return True


def _link(partial: Path, target: Path) -> None:
    """Create `target` as a hard link to `partial`; on file systems without hard links, rename `partial`.

    Raises:
        FileExistsError: `target` exists.
    """
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Another process may act between these two steps. Callers that must exclude this hold a lock.
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        partial.replace(target)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a path for a new folder, which replaces `target` when the block ends without an error.

    The block creates the folder. Its files are synchronised before the folder is renamed. An existing folder at
    `target` is removed before the renaming; after a crash between these two steps, there is no folder at `target`.

    Raises:
        OSError: The folder cannot be written.
    """
    partial = partial_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        for path in (*partial.rglob("*"), partial):
            sync(path)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_whole(target: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write the file `target` as :func:`atomic_file` does; the function `write` gets the open file.

    Raises:
        XsnsError: The file cannot be written.
    """
    try:
        with atomic_file(target) as file:
            write(file)
    except OSError as error:
        raise XsnsError(
            f"cannot write '{target}': {error.strerror or error}.", "check the free space and the permissions."
        ) from error


# ----------------------------------------------------------------------------------------------- paths


def writable(path: str | Path, formats: Sequence[str]) -> Path:
    """Check, before a long computation, that a file can be written to `path`, and return the path.

    Args:
        path: The path of the file.
        formats: The suffixes that are supported.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
    """
    target = Path(path)
    if target.suffix.lower() not in formats:
        raise UsageError(
            f"'{path}' does not end in the suffix of a supported format.",
            f"use the suffix {formats[0]}." if len(formats) == 1 else f"use one of the suffixes {', '.join(formats)}.",
        )
    if not target.parent.is_dir():
        raise UsageError(
            f"there is no folder '{target.parent}' to write '{target.name}' to.", "create the folder first."
        )
    if target.is_dir():
        raise UsageError(f"'{path}' is a folder.", "give the path of a file.")
    return target


def at_home(path: str) -> Path:
    """Return a path with `~` replaced by the home directory.

    Raises:
        UsageError: There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"'{path}' names an unknown home directory.", "write the absolute path, which begins with /."
        ) from error


def unreadable(path: Path, error: OSError) -> XsnsError:
    """Return the error for a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return XsnsError(f"there is no file '{path}'.", "check the path.")
    return XsnsError(f"cannot read '{path}': {error.strerror or error}.", "check the path and the permissions.")
