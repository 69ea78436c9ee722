"""The storage in an object store: S3 and compatible servers, Google Cloud Storage, Azure, or memory of this process.

A put request writes an object completely or not at all. Locks are not released when their process ends. Where only one
of several writers may succeed, the put request is *conditional*: the server refuses it if the object already exists, or
if the object has changed since it was read.
"""

from __future__ import annotations

import random
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.json import FieldError, check_size, describe, encode, format_error, parse
from xsns_stream.store.storage import base
from xsns_stream.store.storage.base import Document, MissingObjectError, Storage, checked_key
from xsns_stream.store.storage.remote_requests import (
    NO_RETRIES,
    PatientRequests,
    is_temporary,
    no_bucket,
    patient_retries,
    remote_errors,
)

SCHEMES: Final = ("s3", "s3a", "gs", "az", "adl", "abfs", "abfss", "memory")
#: Seconds after which a writer that has put an object, but has not committed its row, is assumed to be dead.
SETTLE_S: Final = 60.0
_POLL_S: Final = 1.0

# These are the characters that a URL can contain; servers allow fewer.
_BUCKET: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

#: The identity of one state of an object: an e-tag, and a version if the server has versions.
Version = dict[str, str]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_memories: dict[str, Any] = {}


def open_remote(scheme: str, url: str) -> RemoteStorage:
    """Return the storage that a URL names; nothing is read or written yet.

    Raises:
        UsageError: The scheme is unknown, or the URL has more parts than a bucket and a prefix.
        StoreError: `obstore` is not installed or does not accept the URL.
    """
    _check_url(scheme, url)
    parts = urlsplit(url)
    try:
        import obstore.store
    except ImportError as error:
        raise StoreError(
            f"a store at '{scheme}://' needs the package obstore, which is not installed.",
            "pip install 'xsns-stream[remote]'.",
        ) from error
    clean = f"{scheme}://{parts.netloc}{parts.path}".rstrip("/")
    if scheme == "memory":
        return RemoteStorage(_memories.setdefault(clean, obstore.store.MemoryStore()), clean)
    return RemoteStorage(_client(clean, NO_RETRIES), clean)


def _client(url: str, retries: Any) -> Any:
    import obstore.store

    with remote_errors("open", url):
        return obstore.store.from_url(url, retry_config=retries)


def _check_url(scheme: str, url: str) -> None:
    if scheme not in SCHEMES:
        raise UsageError(
            f"a store cannot be at a URL that begins with '{scheme}://'.",
            "choose a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix.",
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    # The message does not repeat the URL, because its other parts may be a secret.
    if "@" in parts.netloc or parts.query or parts.fragment or not parts.netloc:
        raise UsageError(
            f"the URL of a store must be {scheme}://name/prefix, without user, password, '?' and '#'.",
            "keys and endpoints are taken from the environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.",
        )
    if scheme != "memory" and not _BUCKET.fullmatch(parts.netloc):
        raise UsageError(
            f"'{parts.netloc}' is not a valid name of a bucket.",
            f"write {scheme}://bucket/prefix; the name has letters, digits, '.' and '-'.",
        )


class RemoteStorage(Storage):
    """A storage that consists of the objects below one prefix of an object store."""

    def __init__(self, store: Any, url: str) -> None:
        self.url = url
        self._store = store
        self._requests = PatientRequests()

    @property
    def path(self) -> str:
        """The URL of the store."""
        return self.url

    @property
    def writable(self) -> bool:
        """Always True, because only a put request shows whether the credentials allow writing."""
        return True

    def child(self, prefix: str) -> RemoteStorage:
        """Return a storage whose prefix is extended by `prefix`."""
        return open_remote(self.url.partition("://")[0], f"{self.url}/{prefix}")

    def folder(self, what: str, hint: str) -> Path:
        """Raise an error, because an object store is not a folder."""
        raise StoreError(f"{what}, not at '{self}'.", hint)

    def errors(self, action: str) -> AbstractContextManager[None]:
        """Turn errors of obstore in the `with` block into a :class:`StoreError` whose message contains `action`."""
        return remote_errors(action, self.url)

    def _ask(self, action: str, send: Callable[[int], _Result]) -> _Result:
        """Send a request, and repeat it while the server fails.

        `send` is called with the number of times that the request was sent before.
        """
        with self.errors(action):
            return self._requests.send(send)

    def map(self, work: Callable[[_Item], _Result], items: Sequence[_Item], at_once: int = 16) -> Iterator[_Result]:
        """Yield the result of `work` for each item, in order; several requests run in parallel."""
        if len(items) < 2:
            yield from map(work, items)
            return
        with ThreadPoolExecutor(at_once) as pool:
            yield from pool.map(work, items)

    # ------------------------------------------------------------------------------------- reading

    def is_empty(self) -> bool:
        """Return whether there is no object below the prefix."""
        return next(self.list(), None) is None

    def exists(self, key: str) -> bool:
        """Return whether there is an object under a key."""
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """Return the size of an object in bytes; None if there is no object."""
        head = self._head(key)
        return None if head is None else int(head["size"])

    def version(self, key: str) -> Version | None:
        """Return the version of an object, which identifies its present state; None if there is no object."""
        head = self._head(key)
        return None if head is None else _version(head)

    def _head(self, key: str) -> Any | None:
        import obstore

        def head(repeated: int) -> Any | None:
            try:
                return obstore.head(self._store, checked_key(key))
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                return None

        return self._ask("read", head)

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes from `start` to `stop` (exclusive) of an object; fewer if the object ends earlier."""
        import obstore
        from obstore.exceptions import BaseError

        if stop is not None and stop <= start:
            return b""

        def get(repeated: int) -> bytes:
            try:
                if stop is not None:
                    return bytes(obstore.get_range(self._store, checked_key(key), start=start, end=stop))
                options: Any = {"range": {"offset": start}} if start else None
                return bytes(obstore.get(self._store, checked_key(key), options=options).bytes())
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                raise MissingObjectError(f"there is no '{self.full_name(key)}'.") from None
            except BaseError as error:
                size = self.size(key) if start and not is_temporary(error) else None
                # Servers refuse a range past the end; this method returns no bytes, like a slice.
                if size is None or start < size:
                    raise
                return b""

        return self._ask("read", get)

    def fetch(self, key: str, check: Callable[[int], None] | None = None) -> tuple[bytes, Version] | None:
        """Return the bytes and the version of an object; None if there is no object.

        Args:
            key: The key of the object.
            check: Called with the size of the object before it is read; its exceptions are passed on.
        """
        import obstore

        def get(repeated: int) -> tuple[bytes, Version] | None:
            try:
                answer = obstore.get(self._store, checked_key(key))
                if check is not None:
                    check(int(answer.meta["size"]))
                return bytes(answer.bytes()), _version(answer.meta)
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                return None

        return self._ask("read", get)

    def read_document(self, key: str) -> bytes | None:
        """Return the bytes of a JSON document; None if there is no object."""
        fetched = self._fetch_document(key)
        return None if fetched is None else fetched[0]

    def _fetch_document(self, key: str) -> tuple[bytes, Version] | None:
        try:
            return self.fetch(key, check_size)
        except FieldError as error:
            raise format_error(self.full_name(key), describe(error)) from None

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys of all objects below `prefix/`."""
        import obstore

        batches: Iterator[Any] | None = None
        last: str | None = None

        def following(repeated: int) -> Any:
            nonlocal batches
            if batches is None or repeated:
                # A listing that was interrupted continues after the last key that was read.
                batches = iter(obstore.list(self._store, prefix=prefix or None, offset=last))
            return next(batches, None)

        while (batch := self._ask("list", following)) is not None:
            for entry in batch:
                last = entry["path"]
                yield entry["path"]

    # -------------------------------------------------------------------------------- writing objects

    def write(self, key: str, data: bytes) -> None:
        """Put an object; an existing object is replaced."""
        self._put(key, data, "overwrite", "write to")

    def put_if_absent(self, key: str, data: bytes, action: str = "write to") -> Version | None:
        """Put an object if there is none under the key; return its version, or None if there is one."""
        return self._put(key, data, "create", action)

    def replace(self, key: str, data: bytes, version: Version) -> Version | None:
        """Replace an object if `version` is still its version; return the new version, or None if it has changed."""
        if not version:
            raise StoreError(f"the server of '{self.url}' returns no e-tags.", "use a server with conditional writes.")
        return self._put(key, data, version, "write to")

    def _put(self, key: str, data: bytes, mode: Any, action: str) -> Version | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def put(repeated: int) -> Version | None:
            try:
                # The object is put in one request, because a multipart upload cannot have a condition.
                return _version(obstore.put(self._store, checked_key(key), data, mode=mode, use_multipart=False))
            except (AlreadyExistsError, PreconditionError):
                # The server may have carried out an earlier request, although its answer was an error or was lost.
                there = self.fetch(key) if repeated else None
                return there[1] if there is not None and there[0] == data else None

        return self._ask(action, put)

    def write_json(self, key: str, document: Document, action: str = "write to") -> None:
        """Put a JSON object; an existing object is replaced."""
        self._put(key, encode(document), "overwrite", action)

    def create_json(self, key: str, document: Document, action: str = "write to") -> bool:
        """Put a JSON object if there is no object under the key; return False if there is one."""
        return self.put_if_absent(key, encode(document), action) is not None

    def update_json(self, key: str, change: Callable[[Document], Document], lock: str | None = None) -> Document:
        """Read a JSON object and replace it; start again if another writer has changed it in between."""
        deadline = time.monotonic() + base.LOCK_TIMEOUT_S
        while time.monotonic() < deadline:
            fetched = self._fetch_document(key)
            if fetched is None:
                raise MissingObjectError(f"there is no '{self.full_name(key)}'.")
            document = parse(fetched[0], Document, self.full_name(key))
            changed = change(document)
            if changed == document or self.replace(key, encode(changed), fetched[1]) is not None:
                return changed
            time.sleep(random.uniform(0.0, 0.2))
        raise StoreError(
            f"other writers have kept changing '{self.full_name(key)}' for {base.LOCK_TIMEOUT_S:.0f} seconds.",
            "run again; committed rows stay.",
        )

    def remove(self, key: str) -> None:
        """Delete the object under a key; do nothing if there is no object."""
        self._delete([checked_key(key)])

    def remove_tree(self, prefix: str) -> None:
        """Delete all objects below `prefix/`."""
        self._delete([*self.list(checked_key(prefix))])

    def _delete(self, keys: Sequence[str]) -> None:
        import obstore

        def delete(repeated: int) -> None:
            try:
                obstore.delete(self._store, [*keys])
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise

        self._ask("remove something from", delete)

    def check_no_links(self, key: str) -> None:
        """Do nothing, because an object store has no links."""

    # --------------------------------------------------------------------------------- stores and rows

    def create(self, objects: Callable[[], Mapping[str, bytes]], first: str, last: str) -> bool:
        """Put the object `first`, then all other objects of a store; return False if the object `first` exists."""
        created = self.put_if_absent(first, objects()[first], "create a store at") is not None
        if created:
            self.complete(objects, first, last)
        return created

    def complete(self, objects: Callable[[], Mapping[str, bytes]], first: str, last: str) -> None:
        """Put the missing objects of a store; the object `last`, which marks the store as complete, is put last."""
        if self.exists(last):
            return
        every = objects()
        for key in sorted(every, key=lambda key: (key == last, key)):
            if key != first:
                self.put_if_absent(key, every[key], "create a store at")

    def commit(
        self,
        key: str,
        lock: str,
        encode: Callable[[], bytes],
        write_record: Callable[[int], bool],
        is_committed: Callable[[], bool],
    ) -> bool:
        """Put the object of a row, then its commit record. Committed objects and records are not replaced."""
        data = encode()
        version = self._put_row(key, data, is_committed)
        if version is None:
            return False
        if not write_record(len(data)):
            is_committed()
            return False
        if self.version(key) != version:
            # Another writer assumed that this writer was dead, and replaced the object. The record decides which bits
            # are valid, and the other writer stops at the record.
            self.write(key, data)
        return True

    def _put_row(self, key: str, data: bytes, is_committed: Callable[[], bool]) -> Version | None:
        """Put the object of a row; return its version, or None if another process has committed the same row."""
        while True:
            version = self.put_if_absent(key, data)
            if version is not None:
                return version
            fetched = self.fetch(key)
            if fetched is None:
                continue
            there, version = fetched
            if there == data:
                return None if is_committed() else version
            # The object has other bits and no record: its writer will commit it soon, or was killed.
            if self._is_committed_soon(key, version, is_committed):
                return None
            replaced = self.replace(key, data, version)
            if replaced is not None:
                return replaced

    def _is_committed_soon(self, key: str, version: Version, is_committed: Callable[[], bool]) -> bool:
        """Wait until the row of an object is committed, its object changes, or a time limit is reached.

        Returns:
            Whether the row was committed.
        """
        deadline = time.monotonic() + SETTLE_S
        while not is_committed():
            if time.monotonic() > deadline or self.version(key) != version:
                return False
            time.sleep(_POLL_S)
        return True

    def commit_record(self, key: str, document: Document, action: str) -> bool:
        """Put a commit record; return False, and put nothing, if the row has a commit record."""
        return self.create_json(key, document, action)

    # ------------------------------------------------------------------------------------------- locks

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold a lock, which is an object in the store, while the `with` block runs.

        If a process is killed, its locks remain. A lock that has not changed for `LOCK_TIMEOUT_S` seconds is therefore
        taken over by the next process. The `with` block must end within this time.
        """
        mine = uuid.uuid4().hex.encode()
        watched, since = None, time.monotonic()
        while self.put_if_absent(key, mine) is None:
            now = self.version(key)
            if now is None or now != watched:
                watched, since = now, time.monotonic()
            elif time.monotonic() - since > base.LOCK_TIMEOUT_S and self.replace(key, mine, now) is not None:
                break
            time.sleep(random.uniform(0.02, 0.2))
        try:
            yield
        finally:
            fetched = self.fetch(key)
            if fetched is not None and fetched[0] == mine:
                self.remove(key)

    @contextmanager
    def exclusive(self, key: str) -> Iterator[bool]:
        """Yield False, because an object store cannot exclude other writers."""
        yield False

    @contextmanager
    def claimed(self, name: str, folder: str, document: str) -> Iterator[bool]:
        """Yield True: every claim is granted, because an object store has no locks that end with their process."""
        yield True

    def remove_stale_claims(self, folder: str, document: str) -> None:
        """Do nothing, because claims create no lock files in an object store."""

    # ----------------------------------------------------------------------------- files beside a store

    def check_creatable(self) -> None:
        """Do nothing, because only an attempt shows whether objects can be put."""

    def check_writable(self) -> None:
        """Do nothing, because only an attempt shows whether objects can be put."""

    def sweep(self) -> None:
        """Do nothing, because no work folders are created beside an object store."""

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a temporary folder on this machine. The folder is removed when the `with` block ends."""
        try:
            folder = tempfile.TemporaryDirectory(prefix="xsns-")
        except OSError as error:
            raise StoreError(
                f"cannot make a folder in '{tempfile.gettempdir()}': {error.strerror}.", "set TMPDIR to another folder."
            ) from error
        with folder as name:
            yield Path(name)

    def zarr_store(self) -> Any:
        """Return an object that Zarr accepts as the store of this storage."""
        from zarr.storage import ObjectStore

        memory = self.url.startswith("memory:")
        return ObjectStore(self._store if memory else _client(self.url, patient_retries()))


def _version(head: Any) -> Version:
    return {name: head[name] for name in ("e_tag", "version") if head[name] is not None}
