"""A store in a folder of a local file system."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from xsns_stream.store.files import check_unlinked, locked, open_regular, os_errors, read_document, write_json
from xsns_stream.store.place import Document, MissingObjectError, Place, checked_key
from xsns_stream.syncing import sync, sync_file

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
