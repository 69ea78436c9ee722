"""Commit records of rows. The record of a row is written last, and the row is valid once its record exists.

A record is a Zarr group without members; the attributes of this group describe the row. A sub-network and the Fisher
values of the same language and seed have separate records.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.json import FieldError, convert, describe, format_error
from xsns_stream.store import schemas
from xsns_stream.store.format import (
    COMMITS,
    FISHER_COMMITS,
    METADATA,
    FisherKey,
    RowKey,
    Slot,
    from_disk,
    group_document,
    on_disk,
)
from xsns_stream.store.storage import Storage
from xsns_stream.types import Provenance, SubNetwork, Words

ACTION: Final = "commit a row to"

_Document = TypeVar("_Document")
_Record = TypeVar("_Record", "CommitRecord", "FisherRecord")


def digest_words(bits: Words) -> str:
    """Return the SHA-256 of words in little-endian byte order, as hexadecimal digits."""
    return hashlib.sha256(np.ascontiguousarray(bits, "<u8").data).hexdigest()


@dataclass(frozen=True)
class CommitRecord:
    """The commit record of a row.

    Attributes:
        key: Language, seed and requested density.
        slot: The indices of the row in the array: density, seed, language.
        cardinality: Number of set bits.
        density_realised: cardinality / P.
        threshold: Smallest selected Fisher value, stored without rounding.
        sha256: SHA-256 of the row's W words in little-endian order (hexadecimal).
        bytes: Size of the row's object in bytes.
        provenance: The provenance of the row: model, text and settings.
    """

    key: RowKey
    slot: Slot
    cardinality: int
    density_realised: float
    threshold: float
    sha256: str
    bytes: int
    provenance: Provenance

    @classmethod
    def of(cls, sub: SubNetwork, key: RowKey, slot: Slot, digest: str, size: int) -> CommitRecord:
        """Return the record of a sub-network; `digest` is the SHA-256 of its bits, `size` the bytes of its object."""
        return cls(
            key=key,
            slot=slot,
            cardinality=sub.cardinality,
            density_realised=sub.density_realised,
            threshold=float(sub.threshold),
            sha256=digest,
            bytes=size,
            provenance=sub.provenance,
        )

    @property
    def language(self) -> str:
        """The language of the row."""
        return self.key.language

    @property
    def seed(self) -> int:
        """The seed of the row."""
        return self.key.seed

    @property
    def density(self) -> float:
        """The requested density."""
        return self.key.density

    def to_json(self) -> dict[str, Any]:
        """Return the record as attributes of its Zarr group; :meth:`from_document` is the inverse."""
        return {
            "language": on_disk(self.language),
            "seed": self.seed,
            "density": self.density,
            "slot": list(self.slot),
            "cardinality": self.cardinality,
            "density_realised": self.density_realised,
            "threshold": self.threshold.hex(),
            "sha256": self.sha256,
            "bytes": self.bytes,
            "provenance": self.provenance.to_json(),
        }

    @classmethod
    def from_document(cls, document: schemas.RecordDocument) -> CommitRecord:
        """Return the record that a document contains.

        Raises:
            FieldError: A value is out of its bounds.
        """
        fields = document.attributes
        return cls(
            key=RowKey(fields.density, fields.seed, from_disk(fields.language)),
            slot=fields.slot,
            cardinality=fields.cardinality,
            density_realised=fields.density_realised,
            threshold=_threshold(fields.threshold),
            sha256=fields.sha256,
            bytes=fields.bytes,
            provenance=_checked_provenance(fields.provenance),
        )


@dataclass(frozen=True)
class FisherRecord:
    """The commit record of a row of Fisher values.

    Attributes:
        key: Language and seed.
        slot: The indices of the row in the array: seed, language.
        encoding: `float32`, or `bf16` for values rounded to the nearest bfloat16.
        examples: |D|, the number of examples over which the Fisher values were averaged.
        sha256: SHA-256 of the values of the row as they are stored, in little-endian order (hexadecimal).
        bytes: Size of the row's object in bytes.
        provenance: The provenance of the values: model, text and settings.
    """

    key: FisherKey
    slot: tuple[int, int]
    encoding: str
    examples: int
    sha256: str
    bytes: int
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        """Return the record as attributes of its Zarr group; :meth:`from_document` is the inverse."""
        return {
            "language": on_disk(self.key.language),
            "seed": self.key.seed,
            "slot": list(self.slot),
            "encoding": self.encoding,
            "examples": self.examples,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "provenance": self.provenance.to_json(),
        }

    @classmethod
    def from_document(cls, document: schemas.FisherRecordDocument) -> FisherRecord:
        """Return the record that a document contains.

        Raises:
            FieldError: A value is out of its bounds.
        """
        fields = document.attributes
        return cls(
            key=FisherKey(fields.seed, from_disk(fields.language)),
            slot=fields.slot,
            encoding=fields.encoding,
            examples=fields.examples,
            sha256=fields.sha256,
            bytes=fields.bytes,
            provenance=_checked_provenance(fields.provenance),
        )


def _threshold(text: str) -> float:
    """Return the threshold that `text` states in the hexadecimal form of a float (`float.hex`).

    Raises:
        FieldError: The text is not a number, or the number is too large or negative.
    """
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        value = math.nan
    if not value >= 0:
        raise FieldError(f"attributes.threshold: {text!r} is not a threshold such as '0x1.8p-3'")
    return value


def _checked_provenance(provenance: Provenance) -> Provenance:
    """Return the provenance of a record after checking the bounds of its numbers.

    Raises:
        FieldError: A number is out of its bounds.
    """
    convert(provenance, schemas.ProvenanceBounds, "attributes.provenance")
    return provenance


# --------------------------------------------------------------------------------------------- reading


def read_record(storage: Storage, key: RowKey) -> CommitRecord | None:
    """Return the record of a row; None if the row is not committed.

    Raises:
        StoreError: The record is damaged, or belongs to another row.
    """
    return _read(storage, key, schemas.RecordDocument, CommitRecord.from_document)


def read_fisher_record(storage: Storage, key: FisherKey) -> FisherRecord | None:
    """Return the record of a row of Fisher values; None if no values are saved or the store is not in a folder.

    Raises:
        StoreError: The record is damaged, or belongs to another row.
    """
    if not storage.in_folder:
        return None
    return _read(storage, key, schemas.FisherRecordDocument, FisherRecord.from_document)


def _read(
    storage: Storage, key: RowKey | FisherKey, kind: type[_Document], make: Callable[[_Document], _Record]
) -> _Record | None:
    hint = f"delete '{storage.full_name(key.node)}' and build the row again."
    with _record_errors(key):
        document = storage.read_as(key.record, kind, hint)
        if document is None:
            return None
        try:
            record = make(document)
        except FieldError as error:
            raise format_error(storage.full_name(key.record), describe(error), hint) from error
    if record.key != key:
        raise StoreError(f"the commit record of {key} contains the key of another row, {record.key}.", hint)
    return record


@contextmanager
def _record_errors(key: object) -> Iterator[None]:
    """Add the name of the commit record to an error that the `with` block raises."""
    try:
        yield
    except StoreError as error:
        raise StoreError(f"the commit record of {key} cannot be read: {error.message}", error.hint) from error


def read_records(storage: Storage, keys: Sequence[RowKey]) -> list[CommitRecord | None]:
    """Return the records of several rows, in the order of `keys`; None for each row that is not committed."""
    return list(storage.map(lambda key: read_record(storage, key), keys))


def committed_keys(storage: Storage) -> Iterator[RowKey]:
    """Yield the key of each committed row, in no particular order; the commit records are not read."""
    for path in storage.list(COMMITS):
        parts = path.split("/")
        if len(parts) != 5 or parts[-1] != METADATA:
            continue
        try:
            key = RowKey.checked(from_disk(parts[3]), int(parts[2]), float(parts[1]))
        except (ValueError, UsageError):
            continue
        # '0.150' and '0.15' are the same number, but only the canonical spelling is the path of a row.
        if key.record == path:
            yield key


def committed_fisher_keys(storage: Storage) -> Iterator[FisherKey]:
    """Yield the keys of all saved Fisher values, in no particular order; none if the store is not in a folder."""
    for path in storage.list(FISHER_COMMITS) if storage.in_folder else ():
        parts = path.split("/")
        if len(parts) != 4 or parts[-1] != METADATA:
            continue
        try:
            key = FisherKey.checked(from_disk(parts[2]), int(parts[1]))
        except (ValueError, UsageError):
            continue
        if key.record == path:
            yield key


# --------------------------------------------------------------------------------------------- writing


def write_record(storage: Storage, record: CommitRecord) -> bool:
    """Write the commit record of a row whose object was written; return False if another writer committed the row."""
    return write_group(storage, record.key.node, record.to_json())


def write_group(storage: Storage, node: str, attributes: Mapping[str, Any]) -> bool:
    """Write the group of a commit record and the missing groups above it.

    In a folder, the caller must hold the lock of the row.

    Returns:
        True if the group was written; False if another writer has already committed the row.
    """
    parts = node.split("/")
    # Parents come first and are never rewritten, so that every committed row has a chain of valid groups above it.
    for depth in range(1, len(parts)):
        parent = "/".join([*parts[:depth], METADATA])
        if not storage.exists(parent):
            storage.write_json(parent, group_document(), ACTION)
    return storage.commit_record(f"{node}/{METADATA}", group_document(attributes), ACTION)
