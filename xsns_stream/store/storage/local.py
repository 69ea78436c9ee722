"""The storage in a folder of a local file system: its objects, locks and claims."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from xsns_stream.errors import StoreError
from xsns_stream.io.atomic import atomic_file, create_file, sync_file
from xsns_stream.io.json import MOST_BYTES, FieldError, check_size, describe, encode, format_error
from xsns_stream.io.locks import try_lock
from xsns_stream.store.storage.base import Document, MissingObjectError, Storage, checked_key
from xsns_stream.store.storage.local_files import (
    LOCK,
    LOCKED,
    irregular,
    left_folders,
    locked_file,
    open_regular,
    os_errors,
    remove_left_folder,
    work_folder,
)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_CLAIM_WITHIN: Final = ".lock-claim-"
_CLAIM_BESIDE: Final = ".claim-"


class LocalStorage(Storage):
    """A storage in a folder.

    A file is written under a temporary name and then renamed. Locks are `flock` locks, which the operating system
    releases when their process ends.
    """

    in_folder: ClassVar[bool] = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.absolute().as_uri()

    @property
    def path(self) -> Path:
        """The folder of the storage."""
        return self.root

    @property
    def writable(self) -> bool:
        """Whether the folder, or its nearest existing parent, may be written to."""
        nearest = next(folder for folder in (self.root, *self.root.absolute().parents) if folder.exists())
        return _is_writable_folder(nearest)

    def full_name(self, key: str) -> str:
        """Return the path of an object, which is used in messages."""
        return str(self.file(key))

    def child(self, prefix: str) -> LocalStorage:
        """Return a storage in the subfolder `prefix`."""
        return LocalStorage(self.root / prefix)

    def folder(self, what: str, hint: str) -> Path:
        """Return the folder of the storage; no error is possible, and the arguments are not used."""
        return self.root

    def file(self, key: str) -> Path:
        """Return the path of the file of an object."""
        return self.root / checked_key(key)

    def own_file(self, key: str) -> Path:
        """Return the path of the file of an object that will be written or removed.

        Raises:
            StoreError: A folder between the store and the file is a link.
        """
        self.check_no_links(key)
        return self.file(key)

    # ------------------------------------------------------------------------------------- reading

    def is_empty(self) -> bool:
        """Return whether the folder is missing or empty."""
        with os_errors("open", self.root):
            try:
                return not os.path.lexists(self.root) or (self.root.is_dir() and not any(self.root.iterdir()))
            except FileNotFoundError:
                return True

    def exists(self, key: str) -> bool:
        """Return whether the key is that of a regular file."""
        return self.file(key).is_file()

    def has_entry(self, key: str) -> bool:
        """Return whether the path exists and is not a folder; it may be a pipe or a broken link."""
        return os.path.lexists(self.file(key)) and not self.file(key).is_dir()

    def size(self, key: str) -> int | None:
        """Return the size of a regular file in bytes; None if there is no regular file."""
        with os_errors("read", self.file(key)):
            try:
                status = self.file(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return status.st_size if stat.S_ISREG(status.st_mode) else None

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes from `start` to `stop` (exclusive) of a file; fewer if the file ends earlier."""
        with os_errors("read", self.file(key)):
            try:
                with os.fdopen(open_regular(self.file(key)), "rb") as file:
                    file.seek(start)
                    return file.read(-1 if stop is None else max(0, stop - start))
            except (FileNotFoundError, NotADirectoryError) as error:
                raise MissingObjectError(f"there is no '{self.file(key)}'.") from error

    def read_document(self, key: str) -> bytes | None:
        """Return the bytes of a JSON document; None if the file does not exist."""
        path = self.file(key)
        try:
            with os.fdopen(open_regular(path), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                check_size(size)
                # Files in /proc, for instance, contain more bytes than their stated size.
                data = file.read(size) + file.read(MOST_BYTES - size + 1 if size == 0 else 1)
                check_size(len(data))
                return data
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                raise irregular(path) from None
            return None
        except OSError as error:
            raise StoreError(f"cannot read '{path}': {error.strerror}.", "check its permissions.") from error
        except FieldError as error:
            raise format_error(str(path), describe(error)) from None

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys of all files in the folder `prefix`, at any depth."""
        for folder, _, names in os.walk(self.file(prefix) if prefix else self.root):
            above = Path(folder).relative_to(self.root)
            for name in names:
                yield (above / name).as_posix()

    def errors(self, action: str) -> AbstractContextManager[None]:
        """Do nothing. Files raise `OSError`, which :func:`os_errors` turns into a :class:`StoreError`."""
        return nullcontext()

    def map(self, work: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int = 16) -> Iterator[_Result]:
        """Yield the result of `work` for each item, one after another; threads would not make reading faster."""
        return map(work, items)

    # -------------------------------------------------------------------------------- writing objects

    def write(self, key: str, data: bytes) -> None:
        """Write a file under a temporary name, flush it to the disk (`fsync`), and rename it."""
        self._write(key, data, "write to")

    def write_json(self, key: str, document: Document, action: str = "write to") -> None:
        """Write a JSON object under a temporary name, and rename the file. Error messages contain `action`."""
        self._write(key, encode(document), action)

    def _write(self, key: str, data: bytes, action: str) -> None:
        path = self.own_file(key)
        with os_errors(action, self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as file:
                file.write(data)

    def create_json(self, key: str, document: Document, action: str = "write to") -> bool:
        """Write a JSON object if the file does not exist.

        The object is written to a temporary file, which is then hard-linked to the final path, if the file system has
        hard links. The link fails if this path exists.
        """
        path, data = self.own_file(key), encode(document)
        with os_errors(action, self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            return create_file(path, data)

    def update_json(self, key: str, change: Callable[[Document], Document], lock: str | None = None) -> Document:
        """Replace a JSON object by the result of `change`, while its lock is held."""
        with self.locked(lock or f"{key.rpartition('/')[0]}/{LOCK}".lstrip("/")):
            document = self.read_json(key)
            if document is None:
                raise MissingObjectError(f"there is no '{self.file(key)}'.")
            changed = change(document)
            if changed != document:
                self.write_json(key, changed)
            return changed

    def remove(self, key: str) -> None:
        """Remove a file, and also its folder if this folder is then empty.

        Zarr would read an empty folder as a damaged node.
        """
        with os_errors("remove something from", self.root):
            path = self.own_file(key)
            path.unlink(missing_ok=True)
            if path.parent != self.root:
                with suppress(OSError):
                    path.parent.rmdir()

    def remove_tree(self, prefix: str) -> None:
        """Remove the folder `prefix` and everything in it."""
        with os_errors("remove something from", self.root), suppress(FileNotFoundError):
            shutil.rmtree(self.own_file(prefix))

    def check_no_links(self, key: str) -> None:
        """Check that no folder between the store and a file is a symbolic link; the store itself may be one."""
        folder = self.root
        for name in checked_key(key).split("/")[:-1]:
            folder /= name
            if folder.is_symlink():
                raise StoreError(
                    f"'{folder}' is a link; files are not written or removed through links.",
                    "replace the link by a folder; all folders of a store must be within the store.",
                )

    # --------------------------------------------------------------------------------- stores and rows

    def create(self, objects: Callable[[], Mapping[str, bytes]], first: str, last: str) -> bool:
        """Create a store in a temporary folder, then rename this folder, so that no reader sees an incomplete store."""
        with os_errors("create a store at", self.root), work_folder(self.root) as folder:
            for key, data in objects().items():
                path = folder / key
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(data)
                    sync_file(file)
            folder.rename(self.root.resolve())
            for name in (LOCKED, LOCK):
                (self.root / name).unlink(missing_ok=True)
        return True

    def complete(self, objects: Callable[[], Mapping[str, bytes]], first: str, last: str) -> None:
        """Do nothing, because a store in a folder is complete as soon as it exists."""

    def commit(
        self,
        key: str,
        lock: str,
        encode: Callable[[], bytes],
        write_record: Callable[[int], bool],
        is_committed: Callable[[], bool],
    ) -> bool:
        """Write the object and the commit record of a row while the lock of the row is held."""
        with self.locked(lock):
            # Another process may have committed the row while this one waited for the lock.
            if is_committed():
                return False
            data = encode()
            self._remove_partial_files(self.own_file(key).parent)
            self.write(key, data)
            write_record(len(data))
            # A process that waits for the removed lock file, or that creates a new lock file, finds the row committed.
            self.remove(lock)
        return True

    def _remove_partial_files(self, folder: Path) -> None:
        """Remove the partial files of a killed writer from the folder of a row; the caller holds the row's lock."""
        with os_errors("write to", self.root):
            for path in folder.glob("*.partial"):
                path.unlink()

    def commit_record(self, key: str, document: Document, action: str) -> bool:
        """Write a commit record; the caller holds the lock of the row."""
        self.write_json(key, document, action)
        return True

    def discard(self, keys: Sequence[str], lock: str | None) -> bool:
        """Remove objects while the lock of their row is held.

        The lock file is not removed. Otherwise a writer that waits for the removed lock file and a writer that creates
        a new lock file could hold the lock at the same time.
        """
        with nullcontext() if lock is None else self.locked(lock):
            return super().discard(keys, lock)

    # ------------------------------------------------------------------------------------------- locks

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold a lock file; the operating system releases the lock when the process dies."""
        with locked_file(self.own_file(key)):
            yield

    @contextmanager
    def exclusive(self, key: str) -> Iterator[bool]:
        """Hold a lock file; raise an error at once if another process holds it."""
        with locked_file(self.own_file(key), timeout_s=0):
            yield True

    @contextmanager
    def claimed(self, name: str, folder: str, document: str) -> Iterator[bool]:
        """Claim a task by locking a file in the store.

        As long as the store does not exist, the lock file is beside the path of the store. If a process finds such a
        file although the store exists, it locks both files.
        """
        with ExitStack() as held:
            with os_errors("lock a row of", self.root):
                mine = self._claim(name, folder, document, held)
            yield mine

    def _claim(self, name: str, folder: str, document: str, held: ExitStack) -> bool:
        """Take the lock files of a claim; return whether all of them were taken."""
        target = self.root.resolve()
        beside = target.with_name(f".{target.name}{_CLAIM_BESIDE}{name}")
        within = f"{folder}/{_CLAIM_WITHIN}{name}"
        created = self._is_created(folder, document)
        if not created:
            beside.parent.mkdir(parents=True, exist_ok=True)
        if (not created or beside.exists()) and not held.enter_context(try_lock(beside, remove=True)):
            return False
        self.check_no_links(within)
        # This is checked again, because the store may have been created before the lock beside it was taken.
        if not created and not self._is_created(folder, document):
            return True
        return held.enter_context(try_lock(self.file(within), remove=True))

    def _is_created(self, folder: str, document: str) -> bool:
        return self.file(document).is_file() and self.file(folder).is_dir()

    def remove_stale_claims(self, folder: str, document: str) -> None:
        """Remove the lock files of claims that no process holds."""
        target = self.root.resolve()
        # Files that cannot be listed, locked or removed belong to other users and are harmless.
        with suppress(OSError):
            left = [path for path in target.parent.iterdir() if path.name.startswith(f".{target.name}{_CLAIM_BESIDE}")]
            within = target / folder
            if self._is_created(folder, document) and not within.is_symlink():
                left += within.glob(f"{_CLAIM_WITHIN}*")
            for path in left:
                with suppress(OSError), try_lock(path, remove=True):
                    pass

    # ----------------------------------------------------------------------------- files beside a store

    def check_creatable(self) -> None:
        """Check that the nearest existing parent of the folder may be written to."""
        parent = next(folder for folder in self.root.absolute().parents if folder.exists())
        if not _is_writable_folder(parent):
            raise StoreError(
                f"a store cannot be created at '{self}': '{parent}' is not a folder that can be written to.",
                "choose another path, or change the permissions of the folder.",
            )

    def check_writable(self) -> None:
        """Check that the folder of an existing store may be written to."""
        if self.root.exists() and not _is_writable_folder(self.root):
            raise StoreError(
                f"the store '{self}' cannot be written to: its folder or its file system is read-only.",
                "copy the store to another folder with `xsns-stream copy`, or change the permissions.",
            )

    def sweep(self) -> None:
        """Remove the work folders of killed processes beside the store; see :func:`work_folder`."""
        for folder in left_folders(self.root):
            remove_left_folder(folder)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a folder beside the store. The folder is removed when the `with` block ends."""
        with os_errors("make a folder beside", self.root), work_folder(self.root) as folder:
            yield folder

    def zarr_store(self) -> Path:
        """Return the folder of the storage, which Zarr accepts as a store."""
        return self.root


def _is_writable_folder(path: Path) -> bool:
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)
