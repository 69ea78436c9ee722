"""Create a store, make room in it, write a row and commit it, while others do the same."""

from __future__ import annotations

from pathlib import Path

from xsns_stream.errors import StoreError
from xsns_stream.store.array import Compressor, RowArray, create_array
from xsns_stream.store.files import aside, locked, os_errors, write_json
from xsns_stream.store.format import METADATA, Labels, RowKey, group_document
from xsns_stream.store.header import Header, find_header
from xsns_stream.store.records import CommitRecord, digest_words, read_record, write_record
from xsns_stream.types import ParameterLayout, SubNetwork


def ensure_store(path: Path, header: Header, key: RowKey | None, compressor: Compressor, *, may_exist: bool) -> Header:
    """Return the header of the store at `path`, creating the store, with a place for `key`, where there is none.

    Raises:
        StoreError: It cannot be created, or there is one and `may_exist` is false.
    """
    found = find_header(path)
    if found is None:
        try:
            _create(path, header, key, compressor)
            return header
        except StoreError:
            # Another process may have been faster; what lies there now says so.
            found = find_header(path)
            if found is None:
                raise
    if not may_exist:
        raise StoreError(f"'{path}' exists already.", "another process made it; choose a new path, or mode 'a'.")
    return found


def _create(path: Path, header: Header, key: RowKey | None, compressor: Compressor) -> None:
    """Build an empty store aside and rename it into place: it exists whole or not at all."""
    with os_errors("create a store at", path), aside(path) as folder:
        labels = Labels() if key is None else Labels().with_key(key)
        create_array(folder, header.layout, labels, compressor)
        write_json(folder / METADATA, group_document(header.to_json()))
        folder.rename(path.resolve())
        (path / ".lock").unlink(missing_ok=True)


def write_row(root: Path, key: RowKey, sub: SubNetwork) -> bool:
    """Write and commit a row; return False where the very same row was committed before.

    Raises:
        StoreError: Not writable, disk full, or the row is committed with other bits.
    """
    digest = digest_words(sub.bits)
    if _is_there(root, key, digest):
        return False
    array = _array_with(root, sub.layout, key)
    slot = array.slot(key)
    lock = array.lock_path(slot)
    with locked(lock):
        # Another process may have committed it while this one waited.
        if _is_there(root, key, digest):
            return False
        size = array.write(slot, sub.bits)
        record = CommitRecord(
            key=key,
            slot=slot,
            cardinality=sub.cardinality,
            density_realised=sub.density_realised,
            threshold=float(sub.threshold),
            sha256=digest,
            bytes=size,
            provenance=sub.provenance,
        )
        write_record(root, record)
        # Whoever waits on the removed file, or makes a new one, finds the row committed and leaves it.
        lock.unlink(missing_ok=True)
    return True


def _is_there(root: Path, key: RowKey, digest: str) -> bool:
    """Return whether the row is committed; complain where that is with other bits."""
    record = read_record(root, key)
    if record is not None and record.sha256 != digest:
        raise StoreError(
            f"the row {key} of '{root}' is committed already, with other bits.",
            "a committed row is never overwritten: write to another store, or delete its commit record.",
        )
    return record is not None


def _array_with(root: Path, layout: ParameterLayout, key: RowKey) -> RowArray:
    """Return the array with a slot for `key`, making room for it where there is none."""
    array = RowArray.open(root, layout)
    if array.labels.slot(key) is None:
        with locked(array.lock_path()):
            # Others may have made room since; labels are only ever appended to what is there now.
            array = RowArray.open(root, layout)
            if array.labels.slot(key) is None:
                array.grow(array.labels.with_key(key))
                array = RowArray.open(root, layout)
    return array
