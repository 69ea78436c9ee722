"""Create a store in an object store and write its rows, while others do the same and no lock is to be had.

A store is there once its root document is, which is put where there is none. What else an empty store holds follows
from that document, so that whoever finds it missing makes it. A row's object is put where there is none, or over a
state that was read; its record is put where there is none. Whose record is there, that writer's bits are the row.
"""

from __future__ import annotations

import time
from typing import Any, Final

from xsns_stream.store.array import RowArray
from xsns_stream.store.array_document import Compressor, create_array
from xsns_stream.store.format import ARRAY, METADATA, Labels, RowKey, group_document
from xsns_stream.store.header import Header
from xsns_stream.store.records import CommitRecord, write_record
from xsns_stream.store.remote import RemotePlace, Version
from xsns_stream.store.writing import is_there
from xsns_stream.types import SubNetwork

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
