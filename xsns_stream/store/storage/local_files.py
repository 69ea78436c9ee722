"""Files of a local store: errors of the operating system, lock files, and the work folders beside a store."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from xsns_stream.errors import StoreError
from xsns_stream.io.json import IrregularFileError
from xsns_stream.io.json import open_regular as open_regular_file
from xsns_stream.io.locks import hold_lock, try_lock
from xsns_stream.store.storage import base

#: Age in seconds below which a work folder without the mark is never removed, because its process may not have taken
#: the lock yet. Taking the lock needs far less time than this.
YOUNG_S: Final = 60.0
#: Files of a work folder: the lock, and a mark that the process has taken the lock.
LOCK: Final = ".lock"
LOCKED: Final = ".locked"

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_DENIED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY: Final = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY}


# ---------------------------------------------------------------------------------------------- errors


def explain(error: OSError) -> tuple[str, str]:
    """Return (reason, hint) for an error of the operating system, as phrases for an error message."""
    if error.errno in _FULL:
        return (
            "the disk or the quota is full",
            "free some space and run again; committed rows stay, and the row in progress is written again.",
        )
    if error.errno in _DENIED:
        return (
            "the permissions do not allow it",
            "choose a folder that you may read and write, or change its permissions.",
        )
    if error.errno in _IN_THE_WAY:
        return "a file or folder that does not belong to a store has this name", "choose another path."
    return error.strerror or str(error), "check the path and its disk."


@contextmanager
def os_errors(action: str, path: object) -> Iterator[None]:
    """Turn an `OSError` that is raised in the `with` block into a :class:`StoreError`.

    Args:
        action: A verb with its preposition, such as `write to`.
        path: The file or folder that was to be accessed.
    """
    try:
        yield
    except OSError as error:
        reason, hint = explain(error)
        raise StoreError(f"cannot {action} '{path}': {reason}.", hint) from error


def irregular(path: Path) -> StoreError:
    """Return the error about a path that does not lead to a regular file."""
    return StoreError(
        f"'{path}' is not a regular file.", "a store contains only regular files; restore it from a copy."
    )


def open_regular(path: Path) -> int:
    """Open a regular file, or a symbolic link to one, for reading, and return its descriptor.

    Raises:
        StoreError: The path leads to a pipe, a socket, a device or a folder.
        OSError: There is no such file, or it cannot be opened.
    """
    try:
        return open_regular_file(path)
    except IrregularFileError:
        raise irregular(path) from None


@contextmanager
def locked_file(path: Path, timeout_s: float | None = None) -> Iterator[None]:
    """Hold a lock file while the `with` block runs.

    Args:
        path: The lock file.
        timeout_s: The longest time to wait in seconds; :data:`base.LOCK_TIMEOUT_S` by default.

    Raises:
        StoreError: Another process held the lock for too long, or the lock file cannot be created.
    """
    timeout_s = base.LOCK_TIMEOUT_S if timeout_s is None else timeout_s
    if path.exists() and not path.is_file():
        raise irregular(path)
    with ExitStack() as held:
        try:
            held.enter_context(hold_lock(path, timeout_s))
        except TimeoutError as error:
            raise StoreError(
                f"another process has held '{path}' for {timeout_s:.0f} seconds.",
                "look for a command on this store that hangs; the lock is released when its process ends.",
            ) from error
        except OSError as error:
            reason, hint = explain(error)
            raise StoreError(f"cannot lock '{path}': {reason}.", hint) from error
        yield


# ---------------------------------------------------------------------------------- folders beside a store


@contextmanager
def work_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path`. If the folder still exists when the `with` block ends, it is removed.

    The folder contains a lock file, which is locked while the block runs, so that folders of killed processes can be
    recognised and removed. Once the file is locked, a mark is written into the folder. If a folder contains the mark
    and its lock file is not locked, its process has ended.

    Raises:
        OSError: The folder cannot be created.
    """
    target = path.resolve()
    folder = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        folder.mkdir(parents=True)
        with locked_file(folder / LOCK):
            (folder / LOCKED).touch()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def left_folders(path: Path) -> list[Path]:
    """Return the folders beside `path` that :func:`work_folder` created; some of them may be in use.

    A folder that is younger than a minute is returned only if it contains the mark, because its process may not have
    taken the lock yet.
    """
    target = path.resolve()
    name = re.compile(re.escape(target.name) + r"\.[0-9a-f]{32}\.partial")
    folders = []
    # Entries that cannot be listed or examined belong to other users and are harmless.
    with suppress(OSError):
        for entry in sorted(target.parent.iterdir()):
            with suppress(OSError):
                if name.fullmatch(entry.name) and _is_settled_folder(entry):
                    folders.append(entry)
    return folders


def _is_settled_folder(entry: Path) -> bool:
    status = entry.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    return time.time() - status.st_mtime >= YOUNG_S or (entry / LOCKED).is_file()


def remove_left_folder(folder: Path) -> bool:
    """Remove a folder that :func:`left_folders` returned, unless it is in use; return whether it was removed."""
    with suppress(OSError), try_lock(folder / LOCK) as free:
        if free:
            shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
