"""The interface of a storage: objects under keys, in a folder or in an object store.

Keys are relative POSIX paths, such as `commits/0.15/0/sw/zarr.json`. An object is written completely or not at all. A
storage does not depend on the content of its objects.
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
        url: The URL of the store without a secret; `file://…` for a folder.
        in_folder: Whether objects are files on this machine, which can be mapped into memory and locked.
    """

    url: str
    in_folder: ClassVar[bool] = False

    @property
    @abstractmethod
    def path(self) -> Path | str:
        """The folder; the URL of an object store."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether objects may be written, as far as this is known without an attempt."""

    def __str__(self) -> str:
        return str(self.path)

    def full_name(self, key: str) -> str:
        """Return the full name of an object, for messages."""
        return f"{self}/{key}"

    @abstractmethod
    def child(self, prefix: str) -> Storage:
        """Return a storage of the objects below `prefix/`."""

    @abstractmethod
    def folder(self, what: str, hint: str) -> Path:
        """Return the folder of a store, for work that needs files.

        Args:
            what: The beginning of the error message, such as `Fisher values are saved in folders only`.
            hint: The hint of the error.

        Raises:
            StoreError: The store is not in a folder.
        """

    # ------------------------------------------------------------------------------------- reading

    @abstractmethod
    def is_empty(self) -> bool:
        """Return whether the storage has no object; an empty folder has none."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Return whether an object has this key."""

    def has_entry(self, key: str) -> bool:
        """Return whether a key has anything that can be removed, even if it cannot be read."""
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
        """Return a JSON document as a value of a type; None if there is no object.

        Raises:
            StoreError: The document does not follow the format; the message names the field.
        """
        data = self.read_document(key)
        return None if data is None else parse(data, kind, self.full_name(key), hint)

    def read_json(self, key: str) -> Document | None:
        """Return a JSON object of any members; None if there is no object.

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
        """Turn the errors of the storage's own library into a :class:`StoreError` that names the attempt."""

    @abstractmethod
    def map(self, work: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int = 16) -> Iterator[_Result]:
        """Yield the result of `work` for each item, in order. On an object store, `at_once` calls run in parallel."""

    # -------------------------------------------------------------------------------- writing objects

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Write an object completely or not at all; an existing object is replaced."""

    @abstractmethod
    def write_json(self, key: str, document: Document, action: str = "write to") -> None:
        """Write a JSON object like :meth:`write`; an error message names `action`."""

    @abstractmethod
    def create_json(self, key: str, document: Document, action: str = "write to") -> bool:
        """Write a JSON object if the key has none; return False if the key has one, which is not changed."""

    @abstractmethod
    def update_json(self, key: str, change: Callable[[Document], Document], lock: str | None = None) -> Document:
        """Replace a JSON object by the result of `change`, without losing updates of other writers.

        Args:
            key: The key of the object.
            change: Returns the new document. It may be called several times, each time with the current document;
                nothing is written if it returns an equal document.
            lock: The key of the lock file in a folder; `.lock` beside the object by default.

        Returns:
            The current document.

        Raises:
            MissingObjectError: There is no such object.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove an object; do nothing if there is none."""

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
        """Create a store of several objects; return False if another writer has created it.

        Args:
            objects: Returns the objects by key.
            first: The key of the object that is written first; it marks the path as a store.
            last: The key of the object that is written last; it marks the store as complete.
        """

    @abstractmethod
    def complete(self, objects: Callable[[], Mapping[str, bytes]], first: str, last: str) -> None:
        """Write the missing objects of a store of a killed writer; the arguments are those of :meth:`create`."""

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
            lock: The key of the row's lock, for storages with locks.
            encode: Returns the bytes of the object.
            write_record: Writes the commit record, with the size of the object in bytes; returns False if a record
                exists.
            is_committed: Returns whether the row is committed.

        Raises:
            StoreError: The object cannot be written; `is_committed` raises it for a row with other bits.
        """

    @abstractmethod
    def commit_record(self, key: str, document: Document, action: str) -> bool:
        """Write a commit record after its object; return False if another writer has committed the row.

        In a folder the caller holds the lock of the row.
        """

    def discard(self, keys: Sequence[str], lock: str | None) -> bool:
        """Remove objects in order; return whether any of them existed.

        Args:
            keys: The keys; the commit record comes first.
            lock: The key of the row's lock, for storages with locks; None if the row has no slot.
        """
        there = [key for key in keys if self.has_entry(key)]
        for key in there:
            self.remove(key)
        return bool(there)

    # ------------------------------------------------------------------------------------------- locks

    @abstractmethod
    def locked(self, key: str) -> AbstractContextManager[None]:
        """Hold a lock while the block runs.

        Raises:
            StoreError: Another process held the lock for too long, or the lock cannot be created.
        """

    @abstractmethod
    def exclusive(self, key: str) -> AbstractContextManager[bool]:
        """Exclude other writers while the block runs; yield False if the storage has no such locks.

        Raises:
            StoreError: Another process holds the lock.
        """

    @abstractmethod
    def claimed(self, name: str, folder: str, document: str) -> AbstractContextManager[bool]:
        """Claim a task while the block runs, without waiting; yield False if another process has claimed it.

        An object store has no locks that end with their process. There every claim is granted, and the first commit is
        valid.

        Args:
            name: The name of the task.
            folder: The folder within the store that contains the lock files.
            document: The key of an object that every store contains.

        Raises:
            StoreError: A lock file cannot be created.
        """

    @abstractmethod
    def remove_stale_claims(self, folder: str, document: str) -> None:
        """Remove the lock files of claims of killed processes; the arguments are those of :meth:`claimed`."""

    # ----------------------------------------------------------------------------- files beside a store

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
        """Yield a folder for large temporary files, which is removed when the block ends.

        The folder is on the disk of the store; for an object store it is in the temporary folder of this machine.

        Raises:
            StoreError: The folder cannot be created.
        """

    @abstractmethod
    def zarr_store(self) -> Any:
        """Return the storage as a Zarr store."""


def checked_key(key: str) -> str:
    """Return `key` if it is within its storage.

    Raises:
        ValueError: The key is empty or absolute, or leads out of the storage.
    """
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"not a key of a store: {key!r}")
    return key
