"""Writing to a store: create it, append labels, write a row and commit it, while other processes do the same."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import StoreError
from xsns_stream.store.format import ARRAY, METADATA, Labels, RowKey, group_document
from xsns_stream.store.header import Header, find_header
from xsns_stream.store.records import CommitRecord, digest_words, read_record, record_key, write_record
from xsns_stream.store.row_array import Compressor, RowArray, create_array
from xsns_stream.store.storage.local import LOCK, LOCKED, aside, os_errors, write_json
from xsns_stream.store.storage.open import Place, local_folder
from xsns_stream.store.storage.remote import RemotePlace, Version
from xsns_stream.types import ParameterLayout, SubNetwork


class OtherBitsError(StoreError):
    """The row that is to be written is committed already, with other bits."""


def ensure_store(
    place: Place, header: Header, key: RowKey | None, compressor: Compressor, *, may_exist: bool
) -> Header:
    """Return the header of the store at `place`, creating the store, with room for `key`, where there is none.

    Raises:
        StoreError: It cannot be created, or there is one and `may_exist` is false.
    """
    found = find_header(place)
    if found is None:
        try:
            if _create(place, header, key, compressor):
                return header
        except StoreError:
            # Another process may have been faster; what lies there now says so.
            found = find_header(place)
            if found is None:
                raise
        else:
            found = find_header(place) or header
    if not may_exist:
        raise StoreError(f"'{place}' exists already.", "another process made it; choose a new path, or mode 'a'.")
    if isinstance(place, RemotePlace):
        # Whoever made the store may have been killed in between.
        complete(place, found, key, compressor)
    return found


def _create(place: Place, header: Header, key: RowKey | None, compressor: Compressor) -> bool:
    """Make an empty store; return False where another process made one first."""
    if isinstance(place, RemotePlace):
        return create(place, header, key, compressor)
    _create_folder(local_folder(place), header, key, compressor)
    return True


def _create_folder(path: Path, header: Header, key: RowKey | None, compressor: Compressor) -> None:
    """Build an empty store aside and rename it into place: it exists whole or not at all."""
    with os_errors("create a store at", path), aside(path) as folder:
        labels = Labels() if key is None else Labels().with_key(key)
        create_array(folder, header.layout, labels, compressor)
        write_json(folder / METADATA, group_document(header.to_json()))
        folder.rename(path.resolve())
        for name in (LOCKED, LOCK):
            (path / name).unlink(missing_ok=True)


def write_row(place: Place, key: RowKey, sub: SubNetwork) -> bool:
    """Write and commit a row; return False where the very same row was committed before.

    Raises:
        StoreError: Not writable, disk full, or the row is committed with other bits.
    """
    digest = digest_words(sub.bits)
    if is_there(place, key, digest):
        return False
    array = _array_with(place, sub.layout, key)
    if isinstance(place, RemotePlace):
        return write_object(place, array, key, sub, digest)
    slot = array.slot(key)
    lock = array.lock_key(slot)
    with place.locked(lock):
        # Another process may have committed it while this one waited.
        if is_there(place, key, digest):
            return False
        size = array.write(slot, sub.bits)
        write_record(place, CommitRecord.of(sub, key, slot, digest, size))
        # Whoever waits on the removed file, or makes a new one, finds the row committed and leaves it.
        place.remove(lock)
    return True


def is_there(place: Place, key: RowKey, digest: str) -> bool:
    """Return whether the row is committed; complain where that is with other bits."""
    record = read_record(place, key)
    if record is not None and record.sha256 != digest:
        raise OtherBitsError(
            f"the row {key} of '{place}' is committed already, with other bits.",
            "a committed row is never overwritten: write to another store, or delete its commit record.",
        )
    return record is not None


def _array_with(place: Place, layout: ParameterLayout, key: RowKey) -> RowArray:
    """Return the array with a slot for `key`, making room for it where there is none."""
    array = RowArray.open(place, layout)
    return array if array.labels.slot(key) is not None else array.grow(key)


def discard_row(place: Place, layout: ParameterLayout, key: RowKey) -> bool:
    """Take a row away, its record first; return whether there was anything of it."""
    array = RowArray.open(place, layout)
    slot = array.labels.slot(key)
    names = [record_key(key)] if slot is None else [record_key(key), array.object_key(slot)]
    with ExitStack() as undo:
        if slot is not None and place.local is not None:
            # Its file stays: a writer may be waiting for it, and would not see one that another writer makes.
            undo.enter_context(place.locked(array.lock_key(slot)))
        found = [name for name in names if place.present(name)]
        for name in found:
            place.remove(name)
    return bool(found)


#: A writer commits a row in far less time after its object: after this, it was killed in between.
SETTLE_S: Final = 60.0
_POLL_S: Final = 1.0


def create(place: RemotePlace, header: Header, key: RowKey | None, compressor: Compressor) -> bool:
    """Make an empty store; return False where there is one."""
    made = place.create_json(METADATA, group_document(header.to_json()), "create a store at")
    if made:
        complete(place, header, key, compressor)
    return made


def complete(place: RemotePlace, header: Header, key: RowKey | None, compressor: Compressor) -> None:
    """Put what an empty store holds beside its root document, where it is missing."""
    from zarr.storage import MemoryStore

    last = f"{ARRAY}/{METADATA}"
    if place.exists(last):
        return
    held: dict[str, Any] = {}
    create_array(MemoryStore(held), header.layout, Labels() if key is None else Labels().with_key(key), compressor)
    # The array itself comes last: where it is, all of them are.
    for name in sorted(held, key=lambda name: (name == last, name)):
        if name != METADATA:
            place.create(name, held[name].to_bytes(), "create a store at")


def write_object(place: RemotePlace, array: RowArray, key: RowKey, sub: SubNetwork, digest: str) -> bool:
    """Put a row's object and commit it; return False where the very same row was committed meanwhile.

    Raises:
        StoreError: The row was committed with other bits.
    """
    slot = array.slot(key)
    name, data = array.object_key(slot), array.encoded(slot, sub.bits)
    version = _put(place, name, data, key, digest)
    if version is None:
        return False
    if not write_record(place, CommitRecord.of(sub, key, slot, digest, len(data))):
        is_there(place, key, digest)
        return False
    if place.version(name) != version:
        # A writer that took this one for dead; the record says whose bits count, and it stops at the record.
        place.write(name, data)
    return True


def _put(place: RemotePlace, name: str, data: bytes, key: RowKey, digest: str) -> Version | None:
    """Put a row's object; return what names its state, None where the very same row was committed meanwhile."""
    while True:
        version = place.create(name, data)
        if version is not None:
            return version
        found = place.fetch(name)
        if found is None:
            continue
        there, version = found
        if there == data:
            return None if is_there(place, key, digest) else version
        # Others' bits without a record: their writer is about to commit them, or was killed.
        if _committed_soon(place, name, version, key, digest):
            return None
        replaced = place.replace(name, data, version)
        if replaced is not None:
            return replaced


def _committed_soon(place: RemotePlace, name: str, version: Version, key: RowKey, digest: str) -> bool:
    """Wait as long as an object that is not committed stays as it is; return whether the row was committed."""
    deadline = time.monotonic() + SETTLE_S
    while not is_there(place, key, digest):
        if time.monotonic() > deadline or place.version(name) != version:
            return False
        time.sleep(_POLL_S)
    return True
