"""Commit records: a row counts once its record is there, and the record is written last.

A record is a Zarr group without members, whose attributes say what the row holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.store.files import os_errors, read_json, write_json
from xsns_stream.store.format import COMMITS, METADATA, RowKey, Slot, group_document
from xsns_stream.types import Provenance, Words


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


def record_path(root: Path, key: RowKey) -> Path:
    """Return the file whose existence commits the row `key`."""
    return root / key.node / METADATA


def read_record(root: Path, key: RowKey) -> CommitRecord | None:
    """Return the row's record; None where the row is not committed.

    Raises:
        StoreError: The record is damaged, or is another row's.
    """
    document = read_json(record_path(root, key))
    if document is None:
        return None
    try:
        record = CommitRecord.from_json(document["attributes"])
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise StoreError(
            f"the commit record of {key} is damaged: {error!r}.",
            f"delete '{record_path(root, key).parent}' and build the row again.",
        ) from error
    if record.key != key:
        raise StoreError(
            f"the commit record of {key} is that of {record.key}.",
            f"delete '{record_path(root, key).parent}' and build the row again.",
        )
    return record


def write_record(root: Path, record: CommitRecord) -> None:
    """Commit a row: its object must be on the disk already."""
    write_group(root, record_path(root, record.key), record.to_json())


def write_group(root: Path, path: Path, attributes: Mapping[str, Any]) -> None:
    """Write the group of a commit record, and the groups above it where they are missing."""
    with os_errors("commit a row to", root):
        # Parents first and never rewritten, so that every committed row hangs on a chain of valid groups.
        for parent in reversed(path.parent.relative_to(root).parents[:-1]):
            if not (root / parent / METADATA).exists():
                write_json(root / parent / METADATA, group_document())
        write_json(path, group_document(attributes))


def committed_keys(root: Path) -> Iterator[RowKey]:
    """Yield the key of each committed row, in no particular order, without opening its record."""
    for path in (root / COMMITS).glob(f"*/*/*/{METADATA}"):
        density, seed, language = path.parent.relative_to(root / COMMITS).parts
        try:
            key = RowKey.checked(language, int(seed), float(density))
        except (ValueError, UsageError):
            continue
        # '0.150' and '0.15' are one number: only the canonical spelling is a row's path.
        if record_path(root, key) == path:
            yield key
