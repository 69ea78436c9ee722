"""Commit records: a row counts once its record is there, and the record is written last.

A record is a Zarr group without members, whose attributes say what the row holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.store.format import COMMITS, METADATA, RowKey, Slot, group_document
from xsns_stream.store.place import Place
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
    def from_json(cls, data: Mapping[str, Any]) -> CommitRecord:
        """Rebuild from :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError, UsageError: A field is missing or has no meaning.
        """
        density, seed, language = (int(index) for index in data["slot"])
        return cls(
            key=RowKey.checked(str(data["language"]), int(data["seed"]), float(data["density"])),
            slot=(density, seed, language),
            cardinality=int(data["cardinality"]),
            density_realised=float(data["density_realised"]),
            threshold=float.fromhex(data["threshold"]),
            sha256=str(data["sha256"]),
            bytes=int(data["bytes"]),
            provenance=Provenance.from_json(data["provenance"]),
        )


def record_key(key: RowKey) -> str:
    """Return the object whose existence commits the row `key`."""
    return f"{key.node}/{METADATA}"


def read_record(place: Place, key: RowKey) -> CommitRecord | None:
    """Return the row's record; None where the row is not committed.

    Raises:
        StoreError: The record is damaged, or is another row's.
    """
    document = place.read_json(record_key(key))
    if document is None:
        return None
    hint = f"delete '{place.at(key.node)}' and build the row again."
    try:
        record = CommitRecord.from_json(document["attributes"])
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise StoreError(f"the commit record of {key} is damaged: {error!r}.", hint) from error
    if record.key != key:
        raise StoreError(f"the commit record of {key} is that of {record.key}.", hint)
    return record


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
