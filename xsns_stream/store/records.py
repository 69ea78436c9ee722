"""Commit records: a row counts once its record is there, and the record is written last.

A record is a Zarr group without members, whose attributes say what the row holds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.json import FieldError, convert, describe, format_error
from xsns_stream.store import schemas
from xsns_stream.store.format import COMMITS, METADATA, RowKey, Slot, group_document
from xsns_stream.store.storage.open import Place
from xsns_stream.types import Provenance, SubNetwork, Words

ACTION: Final = "commit a row to"


def digest_words(bits: Words) -> str:
    """SHA-256 of words in little-endian order (hexadecimal)."""
    return hashlib.sha256(bits.astype("<u8", copy=False).tobytes()).hexdigest()


@dataclass(frozen=True)
class CommitRecord:
    """What a committed row holds.

    Attributes:
        key: Language, seed and density asked for.
        slot: The row's indices in the array: density, seed, language.
        cardinality: Number of set bits.
        density_realised: cardinality / P.
        threshold: Smallest selected Fisher value; kept exactly.
        sha256: Of the row's W words in little-endian order (hexadecimal).
        bytes: Size of the row's object.
        provenance: How the row was computed.
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
        """Return the record of a row whose bits have this digest, and whose object has this size."""
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
        """The row's language."""
        return self.key.language

    @property
    def seed(self) -> int:
        """The row's seed."""
        return self.key.seed

    @property
    def density(self) -> float:
        """The density asked for."""
        return self.key.density

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return {
            "language": self.language,
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
    def from_document(cls, found: schemas.Record) -> CommitRecord:
        """Rebuild from what :meth:`to_json` gave.

        Raises:
            FieldError: A field has no meaning.
        """
        return cls(
            key=RowKey(found.density, found.seed, found.language),
            slot=found.slot,
            cardinality=found.cardinality,
            density_realised=found.density_realised,
            threshold=_threshold(found.threshold),
            sha256=found.sha256,
            bytes=found.bytes,
            provenance=checked_provenance(found.provenance),
        )


def _threshold(text: str) -> float:
    """Return a threshold from its exact, hexadecimal form.

    Raises:
        FieldError: It is none: no number, too large for one, or negative.
    """
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        value = math.nan
    if not value >= 0:
        raise FieldError(f"attributes.threshold: {text!r} is not a threshold as '0x1.8p-3'")
    return value


def checked_provenance(found: Provenance) -> Provenance:
    """Return a record's provenance, whose types are known to be right, if its numbers are too.

    Raises:
        FieldError: A number is out of its bounds.
    """
    convert(found, schemas.ProvenanceBounds, "attributes.provenance")
    return found


def record_key(key: RowKey) -> str:
    """Return the object whose existence commits the row `key`."""
    return f"{key.node}/{METADATA}"


def read_record(place: Place, key: RowKey) -> CommitRecord | None:
    """Return the row's record; None where the row is not committed.

    Raises:
        StoreError: The record is damaged, or is another row's.
    """
    hint = f"delete '{place.at(key.node)}' and build the row again."
    with record_errors(key):
        document = place.read_as(record_key(key), schemas.RecordDocument, hint)
        if document is None:
            return None
        try:
            record = CommitRecord.from_document(document.attributes)
        except FieldError as error:
            raise format_error(place.at(record_key(key)), describe(error), hint) from error
    if record.key != key:
        raise StoreError(f"the commit record of {key} is that of {record.key}.", hint)
    return record


@contextmanager
def record_errors(key: object) -> Iterator[None]:
    """Say in an error of the body whose commit record it is about."""
    try:
        yield
    except StoreError as error:
        raise StoreError(f"the commit record of {key} cannot be read: {error.message}", error.hint) from error


def read_records(place: Place, keys: Sequence[RowKey]) -> list[CommitRecord | None]:
    """Return the records of several rows, in order; None for those that are not committed."""
    return list(place.each(lambda key: read_record(place, key), keys))


def write_record(place: Place, record: CommitRecord) -> bool:
    """Commit a row: its object must be in its place already. Return False where it was committed meanwhile."""
    return write_group(place, record.key.node, record.to_json())


def write_group(place: Place, node: str, attributes: Mapping[str, Any]) -> bool:
    """Write the group of a commit record, and the groups above it where they are missing.

    In a folder the caller holds the row's lock; elsewhere a record that is there already stays as it is.
    """
    parts = node.split("/")
    # Parents first and never rewritten, so that every committed row hangs on a chain of valid groups.
    for depth in range(1, len(parts)):
        parent = "/".join([*parts[:depth], METADATA])
        if not place.exists(parent):
            place.write_json(parent, group_document(), ACTION)
    if place.local is None:
        return place.create_json(f"{node}/{METADATA}", group_document(attributes), ACTION)
    place.write_json(f"{node}/{METADATA}", group_document(attributes), ACTION)
    return True


def committed_keys(place: Place) -> Iterator[RowKey]:
    """Yield the key of each committed row, in no particular order, without opening its record."""
    for path in place.list(COMMITS):
        parts = path.split("/")
        if len(parts) != 5 or parts[-1] != METADATA:
            continue
        try:
            key = RowKey.checked(parts[3], int(parts[2]), float(parts[1]))
        except (ValueError, UsageError):
            continue
        # '0.150' and '0.15' are one number: only the canonical spelling is a row's path.
        if record_key(key) == path:
            yield key
