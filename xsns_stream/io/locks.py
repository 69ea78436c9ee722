"""Lock files, which the operating system releases when a process ends, also after `kill -9`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def hold_lock(path: Path, timeout_s: float | None = None) -> Iterator[None]:
    """Hold an exclusive lock on a lock file while the block runs.

    Args:
        path: The lock file; it is created if it is missing, and is not removed.
        timeout_s: The longest time to wait in seconds; None waits forever.

    Raises:
        TimeoutError: Another process has held the lock for `timeout_s` seconds.
        OSError: The lock file cannot be created.
    """
    from filelock import FileLock

    lock = FileLock(path)
    lock.acquire(timeout=-1 if timeout_s is None else timeout_s)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def try_lock(path: Path, *, remove: bool = False) -> Iterator[bool]:
    """Hold an exclusive lock while the block runs, without waiting; yield False if another process holds it.

    Args:
        path: The lock file; it is created if it is missing.
        remove: Whether the lock file is removed at the end, before the lock is released. A process that opened the file
            before notices that it was removed, and tries again.

    Raises:
        OSError: The lock file cannot be created.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        if remove:
            with suppress(OSError):
                path.unlink()
        lock.release()
