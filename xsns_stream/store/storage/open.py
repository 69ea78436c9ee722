"""Where a store lies: the interface of a storage, and how a path or URL is opened.

A place holds objects under keys, which are relative paths as `commits/0.15/0/sw/zarr.json`. An object is written
whole or not at all, wherever it lies. Nothing here knows what a sub-network is.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.json import RESTORE, parse

Document = dict[str, Any]
_Item = TypeVar("_Item")
_Kind = TypeVar("_Kind")
_Result = TypeVar("_Result")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class MissingObjectError(StoreError):
    """There is no object under a key."""


class Place(ABC):
    """Where the objects of a store lie; made by :func:`open_place`.

    Keys are relative POSIX paths. Errors that the disk or the server reports are :class:`StoreError`.

    Attributes:
        url: Of the store, without a secret; `file://…` for a folder.
        local: Its folder; None where it is none.
        writable: Whether something may be written there, as far as can be told without trying.
    """

    url: str
    local: Path | None

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether something may be written there, as far as can be told without trying."""

    @abstractmethod
    def __str__(self) -> str:
        """The place as people write it."""

    def at(self, key: str) -> str:
        """Return the whole name of an object, for people."""
        return f"{self}/{key}"

    # ------------------------------------------------------------------------------------- reading

    @abstractmethod
    def occupied(self) -> bool:
        """Return whether there is anything at all; an empty folder is nothing."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Return whether there is such an object."""

    def present(self, key: str) -> bool:
        """Return whether there is anything of this name that can be removed, readable or not."""
        return self.exists(key)

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return the bytes of an object; None where there is none."""

    @abstractmethod
    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes `start` up to `stop` of an object; fewer where it ends before, as a slice does.

        Raises:
            MissingObjectError: There is none.
        """

    @abstractmethod
    def document(self, key: str) -> bytes | None:
        """Return the bytes of a JSON document; None where there is none.

        Raises:
            StoreError: It is no regular file, or is larger than documents are.
        """

    def read_as(self, key: str, kind: type[_Kind], hint: str = RESTORE) -> _Kind | None:
        """Return the JSON document under a key as a value of a type; None where there is none.

        Raises:
            StoreError: It is not as the format says; the field that is wrong is named.
        """
        data = self.document(key)
        return None if data is None else parse(data, kind, self.at(key), hint)

    def read_json(self, key: str) -> Document | None:
        """Return the JSON object under a key, whatever it holds; None where there is none.

        Raises:
            StoreError: It does not hold a JSON object.
        """
        return self.read_as(key, Document)

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys of all objects below `prefix/`, at any depth, in no particular order.

        In a folder these are all files, those that mean nothing to a reader (`*.partial`, `.lock*`) too.
        """

    def errors(self, action: str) -> AbstractContextManager[None]:
        """Turn what the place's own libraries raise into a :class:`StoreError`; a folder's raise `OSError`."""
        return nullcontext()

    def each(self, work: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int = 16) -> Iterator[_Result]:
        """Yield what `work` returns for each item, in order; where each takes a journey, several are under way."""
        if self.local is not None or len(items) < 2:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(at_once) as pool:
            yield from pool.map(work, items)

    # ------------------------------------------------------------------------------------- writing

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Write an object whole or not at all, over the one that is there."""

    @abstractmethod
    def write_json(self, key: str, document: Document, action: str = "write to") -> None:
        """Write a JSON object as :meth:`write` does; `action` says in an error what was tried."""

    @abstractmethod
    def create_json(self, key: str, document: Document, action: str = "write to") -> bool:
        """Write a JSON object where there is none; return False where there was one, which stays as it is."""

    @abstractmethod
    def update_json(self, key: str, change: Callable[[Document], Document]) -> Document:
        """Replace a JSON object by what `change` makes of it, so that no other writer's change is lost.

        Args:
            key: Its key.
            change: May be called several times, each time with what is there then; where it returns an equal
                document, nothing is written.

        Returns:
            The document as it is now.

        Raises:
            MissingObjectError: There is no such object.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""

    @abstractmethod
    def remove_tree(self, prefix: str) -> None:
        """Remove all objects below `prefix/`."""

    @abstractmethod
    def locked(self, key: str) -> AbstractContextManager[None]:
        """Hold a lock while the block runs.

        Raises:
            StoreError: Another process held it for too long, or it cannot be made.
        """

    @abstractmethod
    def zarr_store(self) -> Any:
        """Return what `zarr.open_*` takes for a store."""


def checked_key(key: str) -> str:
    """Return `key` if it stays within its place.

    Raises:
        ValueError: It is empty, absolute, or leads elsewhere.
    """
    if not key or any(part in ("", ".", "..") for part in key.split("/")):
        raise ValueError(f"not a key of a store: {key!r}")
    return key


def local_folder(place: Place) -> Path:
    """Return the folder of a place that is one.

    Raises:
        ValueError: It is none; whoever calls this has asked before.
    """
    if place.local is None:
        raise ValueError(f"not a folder: '{place}'")
    return place.local


def open_place(path: str | Path) -> Place:
    """Return the place that a path or a URL names; nothing is looked up yet.

    Args:
        path: A folder; `file:///folder`; `s3://bucket/prefix`, `gs://…`, `az://…`, with the settings that their own
            environment variables give; or `memory://name`, which lives as long as the process.

    Raises:
        UsageError: A URL that names no place.
        StoreError: Object stores need a package that is not installed.
    """
    from xsns_stream.store.storage.local import LocalPlace

    if path == "":
        raise UsageError(
            "no store was named: its path is empty.", "give a folder, or a URL such as s3://bucket/prefix."
        )
    found = _SCHEME.match(path) if isinstance(path, str) else None
    if found is None:
        return LocalPlace(Path(path))
    scheme = found.group(1).lower()
    if scheme != "file":
        from xsns_stream.store.storage.remote import open_remote

        return open_remote(scheme, str(path))
    parts = urlsplit(str(path))
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise UsageError(f"'{path}' names no folder of this machine.", "write file:///folder, or the path alone.")
    return LocalPlace(Path(url2pathname(parts.path)))
