"""A store in a folder of a local file system: files, locks, and errors of the operating system."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import StoreError
from xsns_stream.io.atomic import sync, sync_file
from xsns_stream.io.json import MOST_BYTES, FieldError, check_size, describe, encode, format_error
from xsns_stream.store.storage.open import Document, MissingObjectError, Place, checked_key

#: What file systems say that have no hard links, as exFAT and some of a network.
_NO_LINKS: Final = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


def _put_if_absent(partial: Path, path: Path) -> None:
    """Give a file its name, where nothing has it.

    Raises:
        FileExistsError: Something has.
    """
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Not one step, but whoever commits a row holds its lock meanwhile.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        partial.replace(path)


class LocalPlace(Place):
    """A folder. An object is a file, which is renamed into place; locks are `flock`, freed when their holder dies."""

    def __init__(self, root: Path) -> None:
        self.local: Path = root
        self.url = root.absolute().as_uri()

    @property
    def writable(self) -> bool:
        """Whether the folder, or the nearest one above that is there, may be written to."""
        found = next(folder for folder in (self.local, *self.local.absolute().parents) if folder.exists())
        return found.is_dir() and os.access(found, os.W_OK | os.X_OK)

    def __str__(self) -> str:
        return str(self.local)

    def at(self, key: str) -> str:
        """Return the path of an object, for people."""
        return str(self.path(key))

    def path(self, key: str) -> Path:
        """Return the file of an object."""
        return self.local / checked_key(key)

    def own_path(self, key: str) -> Path:
        """Return the file of an object that is to be written or removed.

        Raises:
            StoreError: A folder above it is a link.
        """
        path = self.path(key)
        check_unlinked(self.local, path)
        return path

    def occupied(self) -> bool:
        """Return whether there is anything but an empty folder."""
        with os_errors("open", self.local):
            try:
                return os.path.lexists(self.local) and (not self.local.is_dir() or any(self.local.iterdir()))
            except FileNotFoundError:
                return False

    def exists(self, key: str) -> bool:
        """Return whether there is such a file."""
        return self.path(key).is_file()

    def size(self, key: str) -> int | None:
        """Return the bytes of a regular file; None where there is none."""
        with os_errors("read", self.path(key)):
            try:
                found = self.path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return found.st_size if stat.S_ISREG(found.st_mode) else None

    def present(self, key: str) -> bool:
        """Return whether anything but a folder has this name, be it a pipe or a link that leads nowhere."""
        return os.path.lexists(self.path(key)) and not self.path(key).is_dir()

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return a part of a file."""
        with os_errors("read", self.path(key)):
            try:
                with os.fdopen(open_regular(self.path(key)), "rb") as file:
                    file.seek(start)
                    return file.read(-1 if stop is None else max(0, stop - start))
            except (FileNotFoundError, NotADirectoryError) as error:
                raise MissingObjectError(f"there is no '{self.path(key)}'.") from error

    def document(self, key: str) -> bytes | None:
        """Return the bytes of a document; None where there is no such file."""
        return read_document(self.path(key))

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys of all files below a folder."""
        for folder, _, names in os.walk(self.path(prefix) if prefix else self.local):
            above = Path(folder).relative_to(self.local)
            for name in names:
                yield (above / name).as_posix()

    def write(self, key: str, data: bytes) -> None:
        """Write a file under another name, see it to the disk, and rename it."""
        path = self.own_path(key)
        with os_errors("write to", self.local):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
            try:
                with partial.open("wb") as file:
                    file.write(data)
                    sync_file(file)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            sync(path.parent)

    def write_json(self, key: str, document: Document, action: str = "write to") -> None:
        """Write a JSON object as a file that a reader sees old or new, never in between."""
        with os_errors(action, self.local):
            write_json(self.own_path(key), document)

    def create_json(self, key: str, document: Document, action: str = "write to") -> bool:
        """Write a JSON object where there is no file: it is linked into place, which fails where there is one."""
        path = self.own_path(key)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        with os_errors(action, self.local):
            try:
                write_json(partial, document)
                _put_if_absent(partial, path)
            except FileExistsError:
                return False
            finally:
                partial.unlink(missing_ok=True)
            return True

    def update_json(self, key: str, change: Callable[[Document], Document]) -> Document:
        """Replace a JSON object under the lock `.lock` of its folder."""
        with self.locked(f"{key.rpartition('/')[0]}/.lock".lstrip("/")):
            document = self.read_json(key)
            if document is None:
                raise MissingObjectError(f"there is no '{self.path(key)}'.")
            changed = change(document)
            if changed != document:
                self.write_json(key, changed)
            return changed

    def remove(self, key: str) -> None:
        """Remove a file, and its folder where that is empty then: it would look like a damaged node to Zarr."""
        with os_errors("remove something from", self.local):
            path = self.own_path(key)
            path.unlink(missing_ok=True)
            if path.parent != self.local:
                with suppress(OSError):
                    path.parent.rmdir()

    def remove_tree(self, prefix: str) -> None:
        """Remove a folder."""
        with os_errors("remove something from", self.local), suppress(FileNotFoundError):
            shutil.rmtree(self.own_path(prefix))

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the lock file `key`; the operating system lets go of it when the process dies."""
        with locked(self.own_path(key)):
            yield

    def zarr_store(self) -> Path:
        """Return the folder."""
        return self.local


#: Metadata is rewritten in milliseconds and a row in under a second: longer than this, something hangs.
LOCK_TIMEOUT_S = 120.0
#: A folder is made and locked in far less than this: younger ones are left alone, whatever their lock says.
YOUNG_S = 60.0

#: Files of a folder that somebody works in: the lock, and a mark that its maker has taken it.
LOCK = ".lock"
LOCKED = ".locked"

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_IN_THE_WAY = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY}


def explain(error: OSError) -> tuple[str, str]:
    """Return what an operating system error means, and what to do about it."""
    if error.errno in _FULL:
        return (
            "the disk or the quota is full",
            "free some space and run again; rows that are committed stay, the row in progress is redone.",
        )
    if error.errno in _DENIED:
        return (
            "no permission to write there",
            "choose a folder that you may write to, or change its permissions.",
        )
    if error.errno in _IN_THE_WAY:
        return "something that is not a folder of a store is in the way", "choose another path."
    return error.strerror or str(error), "check the path and the disk that holds it."


@contextmanager
def os_errors(action: str, path: object) -> Iterator[None]:
    """Turn an `OSError` of the body into a :class:`StoreError` that says what was tried.

    Args:
        action: A verb with its preposition, as `write to`.
        path: What it was tried on.
    """
    try:
        yield
    except OSError as error:
        reason, hint = explain(error)
        raise StoreError(f"cannot {action} '{path}': {reason}.", hint) from error


def open_regular(path: Path) -> int:
    """Open a regular file, or a symbolic link to one, for reading, and return its descriptor.

    Pipes, sockets and devices are refused before they are opened: reading them may never end.

    Raises:
        OSError: There is no such file, or it cannot be opened.
        StoreError: It is no regular file.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise _irregular(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    # Somebody may have put something else there between the two looks.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return descriptor


def _irregular(path: Path) -> StoreError:
    return StoreError(f"'{path}' is not a regular file.", "a store holds regular files only; restore it from a copy.")


def read_document(path: Path) -> bytes | None:
    """Return the bytes of a JSON document; None where there is no such file.

    Raises:
        StoreError: It cannot be read, is no regular file, or is larger than documents are.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            check_size(size)
            # Files that the system makes up have more than they say.
            data = file.read(size) + file.read(MOST_BYTES - size + 1 if size == 0 else 1)
            check_size(len(data))
            return data
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise _irregular(path) from None
        return None
    except OSError as error:
        raise StoreError(f"cannot read '{path}': {error.strerror}.", "check its permissions.") from error
    except FieldError as error:
        raise format_error(str(path), describe(error)) from None


def check_unlinked(root: Path, path: Path) -> None:
    """Refuse to write or remove a file of a store where a folder of the store above it is a link.

    The link may lead anywhere. The folder of the store itself may be one.

    Raises:
        StoreError: A folder between `root` and `path` is a symbolic link.
    """
    folder = root
    for name in path.relative_to(root).parts[:-1]:
        folder /= name
        if folder.is_symlink():
            raise StoreError(
                f"'{folder}' is a link: nothing is written or removed through it.",
                "a store's folders lie within the store; put the folder itself in place of the link.",
            )


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write `data` so that a reader sees the old file or the new one, whatever happens in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            file.write(encode(data))
            sync_file(file)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path` to work in, and remove it at the end where it is still there.

    It holds a lock while somebody works in it, so that what a killed process left can be told and removed. A mark in
    it says that the lock was taken: from then on, a lock that nobody holds means that its holder has died.

    Raises:
        OSError: The folder cannot be made.
    """
    target = path.resolve()
    folder = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        folder.mkdir(parents=True)
        with locked(folder / LOCK):
            (folder / LOCKED).touch()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def left_aside(path: Path) -> list[Path]:
    """Return the folders beside `path` that :func:`aside` made; some may be in use.

    Those that are younger than a minute are among them only if they hold the mark: others may not have their lock yet.
    """
    target = path.resolve()
    name = re.compile(re.escape(target.name) + r"\.[0-9a-f]{32}\.partial")
    found = []
    # What cannot be listed or looked at is somebody else's, and in nobody's way.
    with suppress(OSError):
        for entry in sorted(target.parent.iterdir()):
            with suppress(OSError):
                if name.fullmatch(entry.name) and _is_settled_folder(entry):
                    found.append(entry)
    return found


def _is_settled_folder(entry: Path) -> bool:
    known = entry.lstat()
    if not stat.S_ISDIR(known.st_mode):
        return False
    return time.time() - known.st_mtime >= YOUNG_S or (entry / LOCKED).is_file()


def remove_aside(folder: Path) -> bool:
    """Remove a folder that :func:`left_aside` gave, unless somebody works in it; return whether it is gone."""
    from filelock import FileLock

    with suppress(OSError), FileLock(folder / LOCK, timeout=0):
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def remove_left_aside(path: Path) -> None:
    """Remove folders beside `path` that :func:`aside` made for processes that were killed."""
    for folder in left_aside(path):
        remove_aside(folder)


@contextmanager
def locked(path: Path, wait_s: float | None = None) -> Iterator[None]:
    """Hold the lock file `path`; the operating system lets go of it when the process dies.

    Raises:
        StoreError: Another process held it for longer than `wait_s` seconds (:data:`LOCK_TIMEOUT_S` where left out), or
            it cannot be created.
    """
    wait_s = LOCK_TIMEOUT_S if wait_s is None else wait_s
    from filelock import FileLock, Timeout

    if path.exists() and not path.is_file():
        raise _irregular(path)
    lock = FileLock(path)
    try:
        with os_errors("lock", path):
            lock.acquire(timeout=wait_s)
    except StoreError as error:
        # Timeout is an OSError too, but one that says nothing about the disk.
        if isinstance(error.__cause__, Timeout):
            raise StoreError(
                f"another process has held '{path}' for {wait_s:.0f} seconds.",
                "look for a build that hangs; when it ends, the lock is free.",
            ) from error
        raise
    try:
        yield
    finally:
        lock.release()
