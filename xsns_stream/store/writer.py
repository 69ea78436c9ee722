"""Creation of stores, and writing and removal of rows. Several processes may write to a store at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from xsns_stream.errors import StoreError
from xsns_stream.io.json import encode
from xsns_stream.store.format import ARRAY, METADATA, Header, Labels, RowKey, find_header, group_document
from xsns_stream.store.records import CommitRecord, digest_words, read_record, write_record
from xsns_stream.store.row_array import Compressor, RowArray, empty_array
from xsns_stream.store.storage import Storage
from xsns_stream.types import ParameterLayout, SubNetwork


class OtherBitsError(StoreError):
    """Raised if the row to be written was committed before, with other bits."""


def ensure_store(
    storage: Storage, header: Header, key: RowKey | None, compressor: Compressor, *, may_exist: bool
) -> Header:
    """Return the header of the store in a storage; if there is no store, create it.

    Args:
        storage: The storage.
        header: The header of a new store.
        key: The row for which a new store gets a slot; None for no row.
        compressor: The compressor of a new store.
        may_exist: Whether it is allowed that the store exists.

    Raises:
        StoreError: The store cannot be created, or it exists and `may_exist` is False.
    """

    @cache
    def objects() -> Mapping[str, bytes]:
        labels = Labels() if key is None else Labels().with_key(key)
        return {**empty_array(header.layout, labels, compressor), METADATA: encode(group_document(header.to_json()))}

    last = f"{ARRAY}/{METADATA}"
    existing = find_header(storage)
    if existing is None:
        try:
            if storage.create(objects, METADATA, last):
                return header
        except StoreError:
            # Another process may have created the store first.
            existing = find_header(storage)
            if existing is None:
                raise
        else:
            existing = find_header(storage) or header
    if not may_exist:
        raise StoreError(
            f"'{storage}' exists already.", "another process created it; choose a new path, or open it with mode 'a'."
        )
    storage.complete(objects, METADATA, last)
    return existing


def write_row(storage: Storage, key: RowKey, sub: SubNetwork) -> bool:
    """Write and commit a row; return False if the same row was committed before.

    Raises:
        StoreError: The storage is not writable, the disk is full, or the row is committed with other bits.
    """
    digest = digest_words(sub.bits)
    if _is_committed(storage, key, digest):
        return False
    array = RowArray.open(storage, sub.layout)
    if array.labels.slot(key) is None:
        array = array.grow(key)
    slot = array.slot(key)
    return storage.commit(
        array.object_key(slot),
        array.lock_key(slot),
        encode=lambda: array.encoded(slot, sub.bits),
        write_record=lambda size: write_record(storage, CommitRecord.of(sub, key, slot, digest, size)),
        is_committed=lambda: _is_committed(storage, key, digest),
    )


def _is_committed(storage: Storage, key: RowKey, digest: str) -> bool:
    """Return whether a row is committed.

    Raises:
        OtherBitsError: The row is committed with other bits.
    """
    record = read_record(storage, key)
    if record is not None and record.sha256 != digest:
        raise OtherBitsError(
            f"the row {key} of '{storage}' is committed already, with other bits.",
            "a committed row is never overwritten: write to another store, or remove the row first with "
            "`xsns-stream prune`.",
        )
    return record is not None


def discard_row(storage: Storage, layout: ParameterLayout, key: RowKey) -> bool:
    """Remove the commit record of a row, then its object; return whether the record or the object existed."""
    array = RowArray.open(storage, layout)
    slot = array.labels.slot(key)
    if slot is None:
        return storage.discard([key.record], None)
    return storage.discard([key.record, array.object_key(slot)], array.lock_key(slot))
