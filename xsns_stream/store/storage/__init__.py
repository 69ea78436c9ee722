"""Storage backends of stores: a folder, or a prefix in an object store. :func:`open_storage` returns a storage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from xsns_stream.errors import UsageError
from xsns_stream.store.storage.base import MissingObjectError, Storage
from xsns_stream.store.storage.local import LocalStorage
from xsns_stream.store.storage.remote import open_remote

__all__ = ["MissingObjectError", "Storage", "open_storage"]

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def open_storage(path: str | Path) -> Storage:
    """Return the storage that a path or a URL names; nothing is read or written yet.

    Args:
        path: A folder or `file:///folder`; an object store `s3://bucket/prefix`, `gs://…` or `az://…`, with credentials
            in environment variables; or `memory://name`, which exists as long as the process.

    Raises:
        UsageError: The URL does not name a storage.
        StoreError: The URL names an object store, and the package for object stores is not installed.
    """
    if path == "":
        raise UsageError("the path of the store is empty.", "give a folder, or a URL such as s3://bucket/prefix.")
    scheme = _SCHEME.match(path) if isinstance(path, str) else None
    if scheme is None:
        return LocalStorage(Path(path))
    name = scheme.group(1).lower()
    if name != "file":
        return open_remote(name, str(path))
    parts = urlsplit(str(path))
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise UsageError(f"'{path}' is not a folder of this machine.", "write file:///folder, or the path alone.")
    return LocalStorage(Path(url2pathname(parts.path)))
