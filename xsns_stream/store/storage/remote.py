"""A store in an object store: S3 and what speaks like it, Google Cloud Storage, Azure, or this process's memory.

An object is put whole or not at all. There is no lock that dies with its holder; what two writers must not both do
is a *conditional* put, which the server refuses where the object is there already, or is no longer what was read.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.json import FieldError, check_size, describe, encode, format_error, parse
from xsns_stream.store.storage import local as files
from xsns_stream.store.storage.open import Document, MissingObjectError, Place, checked_key

SCHEMES: Final = ("s3", "s3a", "gs", "az", "adl", "abfs", "abfss", "memory")
#: After this many tries, or seconds, a server that does not answer is given up.
MOST_RETRIES: Final = 2
RETRY_S: Final = 20

# What servers allow is less; this is what a URL can hold.
_BUCKET: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

#: What names one state of an object: an e-tag, and a version where the server has them.
Version = dict[str, str]

_memories: dict[str, Any] = {}


def open_remote(scheme: str, url: str) -> RemotePlace:
    """Return the place that a URL names; nothing is looked up yet.

    Raises:
        UsageError: The scheme is unknown, or the URL holds more than a bucket and a prefix.
        StoreError: `obstore` is not installed, or does not take the URL.
    """
    if scheme not in SCHEMES:
        raise UsageError(
            f"a store cannot be at a URL that begins with '{scheme}://'.",
            "choose a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix.",
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    # Not repeated in the message: what is too much may be a secret.
    if "@" in parts.netloc or parts.query or parts.fragment or not parts.netloc:
        raise UsageError(
            f"the URL of a store is {scheme}://name/prefix, without user, password, '?' and '#'.",
            "keys and endpoints are taken from the environment, as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.",
        )
    if scheme != "memory" and not _BUCKET.fullmatch(parts.netloc):
        raise UsageError(
            f"no bucket can be named '{parts.netloc}'.",
            f"write {scheme}://bucket/prefix, with letters, digits, '.', '-'.",
        )
    try:
        import obstore.store
    except ImportError as error:
        raise StoreError(
            f"a store at '{scheme}://' needs the package obstore, which is not installed.",
            "pip install 'xsns-stream[remote]'.",
        ) from error
    clean = f"{scheme}://{parts.netloc}{parts.path}".rstrip("/")
    if scheme == "memory":
        return RemotePlace(_memories.setdefault(clean, obstore.store.MemoryStore()), clean)
    from datetime import timedelta

    with _errors("open", clean):
        retries: Any = {"max_retries": MOST_RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)}
        return RemotePlace(obstore.store.from_url(clean, retry_config=retries), clean)


@contextmanager
def _errors(action: str, url: str) -> Iterator[None]:
    """Turn what obstore raises into a :class:`StoreError` that says what was tried."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError, NotImplementedError) as error:
        reason, hint = explain(error)
        # Without the cause: its text may hold a signed URL.
        raise StoreError(f"cannot {action} '{url}': {reason}.", hint) from None


class RemotePlace(Place):
    """A prefix of an object store."""

    def __init__(self, store: Any, url: str) -> None:
        self.local = None
        self.url = url
        self._store = store

    @property
    def writable(self) -> bool:
        """True: whether the credentials allow it shows when it is tried."""
        return True

    def __str__(self) -> str:
        return self.url

    def errors(self, action: str) -> AbstractContextManager[None]:
        """Turn what obstore raises into a :class:`StoreError`."""
        return _errors(action, self.url)

    # ------------------------------------------------------------------------------------- reading

    def occupied(self) -> bool:
        """Return whether there is any object."""
        return next(self.list(), None) is not None

    def exists(self, key: str) -> bool:
        """Return whether there is such an object."""
        return self.size(key) is not None

    def size(self, key: str) -> int | None:
        """Return the bytes of an object; None where there is none."""
        found = self._head(key)
        return None if found is None else int(found["size"])

    def version(self, key: str) -> Version | None:
        """Return what names the present state of an object; None where there is none."""
        found = self._head(key)
        return None if found is None else _version(found)

    def _head(self, key: str) -> Any | None:
        import obstore

        with self.errors("read"):
            try:
                return obstore.head(self._store, checked_key(key))
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                return None

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return a part of an object."""
        import obstore
        from obstore.exceptions import BaseError

        if stop is not None and stop <= start:
            return b""
        with self.errors("read"):
            try:
                if stop is not None:
                    return bytes(obstore.get_range(self._store, checked_key(key), start=start, end=stop))
                options: Any = {"range": {"offset": start}} if start else None
                return bytes(obstore.get(self._store, checked_key(key), options=options).bytes())
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                raise MissingObjectError(f"there is no '{self.at(key)}'.") from None
            except BaseError:
                size = self.size(key) if start else None
                # Servers refuse a range that lies past the end; here it is empty, as a slice is.
                if size is None or start < size:
                    raise
                return b""

    def fetch(self, key: str, check: Callable[[int], None] | None = None) -> tuple[bytes, Version] | None:
        """Return an object and what names its state; None where there is none.

        Args:
            key: Its key.
            check: Called with its size before it is read; what it raises is passed on.
        """
        import obstore

        with self.errors("read"):
            try:
                found = obstore.get(self._store, checked_key(key))
                if check is not None:
                    check(int(found.meta["size"]))
                return bytes(found.bytes()), _version(found.meta)
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise
                return None

    def document(self, key: str) -> bytes | None:
        """Return the bytes of a document; None where there is none."""
        found = self._fetch_document(key)
        return None if found is None else found[0]

    def _fetch_document(self, key: str) -> tuple[bytes, Version] | None:
        try:
            return self.fetch(key, check_size)
        except FieldError as error:
            raise format_error(self.at(key), describe(error)) from None

    def list(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys of all objects below `prefix/`."""
        import obstore

        with self.errors("list"):
            for batch in obstore.list(self._store, prefix=prefix or None):
                for found in batch:
                    yield found["path"]

    # ------------------------------------------------------------------------------------- writing

    def write(self, key: str, data: bytes) -> None:
        """Put an object."""
        self._put(key, data, "overwrite", "write to")

    def create(self, key: str, data: bytes, action: str = "write to") -> Version | None:
        """Put an object where there is none; return what names its state, None where there was one."""
        return self._put(key, data, "create", action)

    def replace(self, key: str, data: bytes, version: Version) -> Version | None:
        """Put an object over the state that `version` names; return None where it has another by now."""
        if not version:
            raise StoreError(f"'{self.url}' is on a server that gives no e-tags.", "use one with conditional writes.")
        return self._put(key, data, version, "write to")

    def _put(self, key: str, data: bytes, mode: Any, action: str) -> Version | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self.errors(action):
            try:
                # In one request, because a condition can be set on no other.
                return _version(obstore.put(self._store, checked_key(key), data, mode=mode, use_multipart=False))
            except (AlreadyExistsError, PreconditionError):
                return None

    def write_json(self, key: str, document: Document, action: str = "write to") -> None:
        """Put a JSON object."""
        self._put(key, encode(document), "overwrite", action)

    def create_json(self, key: str, document: Document, action: str = "write to") -> bool:
        """Put a JSON object where there is none; return False where there was one."""
        return self.create(key, encode(document), action) is not None

    def update_json(self, key: str, change: Callable[[Document], Document]) -> Document:
        """Replace a JSON object, and begin again where another writer was faster."""
        deadline = time.monotonic() + files.LOCK_TIMEOUT_S
        while time.monotonic() < deadline:
            found = self._fetch_document(key)
            if found is None:
                raise MissingObjectError(f"there is no '{self.at(key)}'.")
            document = parse(found[0], Document, self.at(key))
            changed = change(document)
            if changed == document or self.replace(key, encode(changed), found[1]) is not None:
                return changed
            time.sleep(random.uniform(0.0, 0.2))
        raise StoreError(
            f"others have kept changing '{self.at(key)}' for {files.LOCK_TIMEOUT_S:.0f} seconds.",
            "run again; what is committed stays.",
        )

    def remove(self, key: str) -> None:
        """Delete an object, if it is there."""
        self._delete([checked_key(key)])

    def remove_tree(self, prefix: str) -> None:
        """Delete all objects below `prefix/`."""
        self._delete([*self.list(checked_key(prefix))])

    def _delete(self, keys: Sequence[str]) -> None:
        import obstore

        with self.errors("remove something from"):
            try:
                obstore.delete(self._store, [*keys])
            except FileNotFoundError as error:
                if no_bucket(error):
                    raise

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold an object as a lock; one that has not changed for too long is taken from its holder, who must be dead.

        Locks of this kind outlive a process that is killed, and a holder must be done within `LOCK_TIMEOUT_S`.
        """
        mine = uuid.uuid4().hex.encode()
        watched, since = None, time.monotonic()
        while self.create(key, mine) is None:
            now = self.version(key)
            if now is None or now != watched:
                watched, since = now, time.monotonic()
            elif time.monotonic() - since > files.LOCK_TIMEOUT_S and self.replace(key, mine, now) is not None:
                break
            time.sleep(random.uniform(0.02, 0.2))
        try:
            yield
        finally:
            found = self.fetch(key)
            if found is not None and found[0] == mine:
                self.remove(key)

    def zarr_store(self) -> Any:
        """Return Zarr's view of the object store."""
        from zarr.storage import ObjectStore

        return ObjectStore(self._store)


def _version(found: Any) -> Version:
    return {name: found[name] for name in ("e_tag", "version") if found[name] is not None}


_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})([A-Za-z ]*)")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_SILENT = re.compile(r"error sending request|connect|timed out|timeout|dns", re.IGNORECASE)

_CREDENTIALS = "check the credentials and their rights; they are taken from the environment, as AWS_ACCESS_KEY_ID."


def no_bucket(error: BaseException) -> bool:
    """Return whether the bucket itself is missing, and not an object in it."""
    return _NO_BUCKET.search(str(error)) is not None


def explain(error: BaseException) -> tuple[str, str]:
    """Return what an error of obstore means, and what to do about it."""
    text = str(error)
    status = _STATUS.search(text)
    code = _CODE.search(text)
    found = ("", "")
    if no_bucket(error):
        found = "there is no such bucket", "make it, or check the URL and the endpoint (AWS_ENDPOINT_URL)."
    elif type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError"):
        found = "access was denied", _CREDENTIALS
    elif "//169.254." in text or "//metadata.google" in text:
        # Where a machine in the cloud would ask for those of its own.
        found = "there are no credentials", _CREDENTIALS
    elif isinstance(error, FileNotFoundError):
        found = "an object is missing", "run verify."
    elif type(error).__name__ in ("NotSupportedError", "NotImplementedError"):
        found = "the server cannot do what this needs", "use one with conditional writes (If-Match, If-None-Match)."
    elif status is not None:
        said = f"{status.group(1)}{status.group(2).rstrip()}" + (f", {code.group(1)}" if code else "")
        found = f"the server answered {said}", "check the URL, the endpoint and the credentials; or try again later."
    elif _SILENT.search(text):
        found = (
            "the server does not answer",
            "check the network and the endpoint (AWS_ENDPOINT_URL); plain http needs AWS_ALLOW_HTTP=true.",
        )
    else:
        reason = f"the object store's client failed ({type(error).__name__})"
        found = reason, "check the URL and the settings in the environment; plain http needs AWS_ALLOW_HTTP=true."
    return found
