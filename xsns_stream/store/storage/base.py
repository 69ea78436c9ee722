"""The interface of a storage, which maps keys to objects in a folder or in an object store.

Keys are relative POSIX paths, such as `commits/0.15/0/sw/zarr.json`. An object is written completely or not at all. A
storage does not interpret the content of its objects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from xsns_stream.errors import StoreError
from xsns_stream.io.json import RESTORE, parse

Document = dict[str, Any]
_Item = TypeVar("_Item")
_Kind = TypeVar("_Kind")
_Result = TypeVar("_Result")

#: Longest time to wait for a lock, in seconds. Metadata is rewritten in milliseconds and a row in less than a second.
LOCK_TIMEOUT_S = 120.0


class MissingObjectError(StoreError):
    """Raised if no object has the requested key."""


class Storage(ABC):
    """The objects of a store, in a folder or in an object store; :func:`open_storage` opens one.

    Errors of the disk or of the server are raised as :class:`StoreError`.

    Attributes:
        url: The URL of the store, from which secrets are removed; `file://…` for a folder.
        in_folder: Whether objects are files on this machine, which can be mapped into memory and locked.
    """

    url: str
    in_folder: ClassVar[bool] = False

    @property
    @abstractmethod
    def path(self) -> Path | str:
        """The folder of the storage, or its URL if it is in an object store."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """False if it is certain that objects cannot be written; otherwise True. Nothing is written to find out."""

    def __str__(self) -> str:
        return str(self.path)

    def full_name(self, key: str) -> str:
        """Return the full name of an object, which is used in messages."""
        return f"{self}/{key}"

    @abstractmethod
    def child(self, prefix: str) -> Storage:
        """Return a storage that contains only the objects below `prefix/`."""

    @abstractmethod
    def folder(self, what: str, hint: str) -> Path:
        """Return the folder of a store; raise an error if the store is not in a folder.

        Args:
            what: The beginning of the error message, such as `Fisher values are saved in folders only`.
            hint: The hint of the error.

        Raises:
            StoreError: The store is not in a folder.
        """

    # ------------------------------------------------------------------------------------- reading

    @abstractmethod
    def is_empty(self) -> bool:
        """Return whether the storage contains no objects; this is also True for an empty folder."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Return whether there is an object under a key."""

    def has_entry(self, key: str) -> bool:
        """Return whether there is anything under a key that can be removed, even if it cannot be read as an object."""
        return self.exists(key)

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return the size of an object in bytes; None if there is no object."""

    @abstractmethod
    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes from `start` to `stop` (exclusive) of an object; fewer if the object ends earlier.

        Raises:
            MissingObjectError: There is no object.
        """

    @abstractmethod
    def read_document(self, key: str) -> bytes | None:
        """Return the bytes of a JSON document; None if there is no object.

        Raises:
            StoreError: The object is not a regular file, or is larger than a document may be.
        """

    def read_as(self, key: str, kind: type[_Kind], hint: str = RESTORE) -> _Kind | None:
        """Return the JSON document under a key, parsed as the type `kind`; None if there is no object.

        `hint` is the hint of the error.

        Raises:
            StoreError: The document does not follow the format; the message names the field.
        """
        data = self.read_document(key)
        return None if data is None else parse(data, kind, self.full_name(key), hint)

    def read_json(self, key: str) -> Document | None:
        """Return a JSON object, which may have any members; None if there is no object under the key.

        Raises:
            StoreError: The document is not a JSON object.
        """
        return self.read_as(key, Document)

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys of all objects below `prefix/`, at any depth, in no particular order.

        In a folder these are all files, including those that readers ignore (`*.partial`, `.lock*`).
        """

    @abstractmethod
    def errors(self, action: str) -> AbstractContextManager[None]:
        """Turn the errors of the storage's library into a :class:`StoreError` whose message contains `action`."""

    @abstractmethod
    def map(self, work: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int = 16) -> Iterator[_Result]:
        """Yield the result of `work` for each item, in order. On an object store, `at_once` calls run in parallel."""

    # -------------------------------------------------------------------------------- writing objects

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Write an object, completely or not at all. An existing object is replaced."""

    @abstractmethod
    def write_json(self, key: str, document: Document, action: str = "write to") -> None:
        """Write a JSON object, completely or not at all; an existing object is replaced. Errors contain `action`."""

    @abstractmethod
    def create_json(self, key: str, document: Document, action: str = "write to") -> bool:
        """Write a JSON object if there is no object under the key; otherwise return False and write nothing."""

    @abstractmethod
    def update_json(self, key: str, change: Callable[[Document], Document], lock: str | None = None) -> Document:
        """Replace a JSON object by the result of `change`, so that no update of another writer is lost.

        Args:
            key: The key of the object.
            change: Returns the new document. It may be called several times, each time with the current document;
                nothing is written if it returns an equal document.
            lock: The key of the lock file, which only a storage in a folder uses; by default `.lock` beside the object.

        Returns:
            The current document.

        Raises:
            MissingObjectError: There is no such object.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove the object under a key; do nothing if there is no object."""

    @abstractmethod
    def remove_tree(self, prefix: str) -> None:
        """Remove all objects below `prefix/`."""

    @abstractmethod
    def check_no_links(self, key: str) -> None:
        """Check that no folder between the store and an object is a symbolic link.

        Raises:
            StoreError: A folder is a link.
        """

    # --------------------------------------------------------------------------------- stores and rows

    @abstractmethod
    def create(self, objects: Callable[[], Mapping[str, bytes]], first: str, last: str) -> bool:
        """Create a store by writing its first objects; return False if another writer has created it.

        Args:
            objects: Returns {key: bytes} of the objects.
            first: The key of the object that is written first; it marks the path as a store.
            last: The key of the object that is written last; it marks the store as complete.
        """

    @abstractmethod
    def complete(self, objects: Callable[[], Mapping[str, bytes]], first: str, last: str) -> None:
        """Write the objects that are missing because a writer was killed in :meth:`create`.

        Args:
            objects: Returns {key: bytes} of the objects of the store.
            first: The key of the object that :meth:`create` writes first; it exists already.
            last: The key of the object that is written last; if it exists, no object is missing.
        """

    @abstractmethod
    def commit(
        self,
        key: str,
        lock: str,
        encode: Callable[[], bytes],
        write_record: Callable[[int], bool],
        is_committed: Callable[[], bool],
    ) -> bool:
        """Write the object of a row, then its commit record; return False if the same row was committed before.

        Args:
            key: The key of the object.
            lock: The key of the row's lock; storages without locks ignore it.
            encode: Returns the bytes of the object.
            write_record: Called with the size of the object in bytes; writes the commit record, and returns False if a
                record exists.
            is_committed: Returns whether the row is committed.

        Raises:
            StoreError: The object cannot be written; or the row is committed with other bits, in which case
                `is_committed` raises the error.
        """

    @abstractmethod
    def commit_record(self, key: str, document: Document, action: str) -> bool:
        """Write the commit record of a row whose object was written; return False if another writer committed the row.

        In a folder, the caller must hold the lock of the row.
        """

    def discard(self, keys: Sequence[str], lock: str | None) -> bool:
        """Remove objects in the order of `keys`; return whether any of them existed.

        Args:
            keys: The keys; the commit record comes first.
            lock: The key of the row's lock, which storages without locks ignore; None if the row has no slot.
        """
        there = [key for key in keys if self.has_entry(key)]
        for key in there:
            self.remove(key)
        return bool(there)

    # ------------------------------------------------------------------------------------------- locks

    @abstractmethod
    def locked(self, key: str) -> AbstractContextManager[None]:
        """Hold a lock while the `with` block runs.

        Raises:
            StoreError: Another process held the lock for too long, or the lock cannot be created.
        """

    @abstractmethod
    def exclusive(self, key: str) -> AbstractContextManager[bool]:
        """Hold a lock without waiting for it, while the `with` block runs, and yield True.

        A storage without such locks, which cannot exclude other writers, yields False.

        Raises:
            StoreError: Another process holds the lock.
        """

    @abstractmethod
    def claimed(self, name: str, folder: str, document: str) -> AbstractContextManager[bool]:
        """Claim a task while the `with` block runs; yield False, without waiting, if another process has claimed it.

        Locks in an object store are not released when their process ends. Every claim is therefore granted there, and
        only the first commit of a row succeeds.

        Args:
            name: The name of the task.
            folder: The folder within the store that contains the lock files.
            document: The key of an object that every store contains. It is used to find out whether the store exists.

        Raises:
            StoreError: A lock file cannot be created.
        """

    @abstractmethod
    def remove_stale_claims(self, folder: str, document: str) -> None:
        """Remove the lock files of claims whose processes were killed; :meth:`claimed` describes the arguments."""

    # ----------------------------------------------------------------------------- files beside a store

    @abstractmethod
    def check_writable(self) -> None:
        """Check, before a long computation, that rows can be added to an existing store; for folders only.

        Raises:
            StoreError: The folder cannot be written to.
        """

    @abstractmethod
    def check_creatable(self) -> None:
        """Check, before a long computation, that a store can be created here.

        Raises:
            StoreError: The parent folder cannot be written to.
        """

    @abstractmethod
    def sweep(self) -> None:
        """Remove the work folders of killed processes beside the store."""

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Path]:
        """Yield a folder for large temporary files. The folder is removed when the `with` block ends.

        It is on the same disk as the store. For an object store, it is in the temporary folder of this machine.

        Raises:
            StoreError: The folder cannot be created.
        """

    @abstractmethod
    def zarr_store(self) -> Any:
        """Return an object that Zarr accepts as the store of this storage."""


def checked_key(key: str) -> str:
    """Return `key` if it does not lead out of the storage.

    Raises:
        ValueError: The key is empty or absolute, or leads out of the storage.
    """
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"not a key of a store: {key!r}")
    return key
