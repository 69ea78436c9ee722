"""Keep a row's Fisher values beside its bits, commit them, and take them back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.store import schemas
from xsns_stream.store.documents import WrongFieldError, sentence, wrong
from xsns_stream.store.files import locked
from xsns_stream.store.format import METADATA, RowKey
from xsns_stream.store.kept_array import ENCODINGS, KeptArray
from xsns_stream.store.place import Place
from xsns_stream.store.records import checked_provenance, record_errors, write_group
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance

KEPT_COMMITS: Final = "fisher_commits"


@dataclass(frozen=True, order=True)
class KeptKey:
    """Names one row of kept Fisher values, from which rows of any density can be made."""

    seed: int
    language: str

    @classmethod
    def checked(cls, language: str, seed: int) -> KeptKey:
        """Return the key of a row that may be written; errors as :meth:`RowKey.checked`."""
        key = RowKey.checked(language, seed, 1.0)
        return cls(key.seed, key.language)

    @property
    def density(self) -> None:
        """There is none: the values serve every density."""
        return

    @property
    def node(self) -> str:
        """Path of the commit record's node within the store."""
        return f"{KEPT_COMMITS}/{self.seed}/{self.language}"

    def __str__(self) -> str:
        return f"'{self.language}' (seed {self.seed}, Fisher values)"


@dataclass(frozen=True)
class KeptRecord:
    """What a committed row of Fisher values holds.

    Attributes:
        key: Language and seed.
        slot: The row's indices in the array: seed, language.
        encoding: `float32`, or `bf16` for values rounded to the nearest bfloat16.
        examples: |D|, the number of examples averaged over.
        sha256: Of the row's P values as they are kept, in little-endian order (hexadecimal).
        bytes: Size of the row's object.
        provenance: How the values were computed.
    """

    key: KeptKey
    slot: tuple[int, int]
    encoding: str
    examples: int
    sha256: str
    bytes: int
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return {
            "language": self.key.language,
            "seed": self.key.seed,
            "slot": list(self.slot),
            "encoding": self.encoding,
            "examples": self.examples,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "provenance": self.provenance.to_json(),
        }

    @classmethod
    def from_document(cls, found: schemas.KeptRecord) -> KeptRecord:
        """Rebuild from what :meth:`to_json` gave.

        Raises:
            WrongFieldError: A field has no meaning.
        """
        return cls(
            key=KeptKey(found.seed, found.language),
            slot=found.slot,
            encoding=found.encoding,
            examples=found.examples,
            sha256=found.sha256,
            bytes=found.bytes,
            provenance=checked_provenance(found.provenance),
        )


def kept_key(key: KeptKey) -> str:
    """Return the object whose existence commits the values of `key`."""
    return f"{key.node}/{METADATA}"


def kept_record(place: Place, key: KeptKey) -> KeptRecord | None:
    """Return the record of a row's values; None where they are not kept, or the store is no folder.

    Raises:
        StoreError: The record is damaged, or is another row's.
    """
    if place.local is None:
        return None
    hint = f"delete '{place.at(key.node)}' and build the row again."
    with record_errors(key):
        document = place.read_as(kept_key(key), schemas.KeptRecordDocument, hint)
        if document is None:
            return None
        try:
            record = KeptRecord.from_document(document.attributes)
        except WrongFieldError as error:
            raise wrong(place.at(kept_key(key)), sentence(error), hint) from error
    if record.key != key:
        raise StoreError(f"the commit record of {key} is that of {record.key}.", hint)
    return record


def kept_keys(place: Place) -> Iterator[KeptKey]:
    """Yield the key of each row whose values are kept, in no particular order; none where the store is no folder."""
    for path in place.list(KEPT_COMMITS) if place.local is not None else ():
        parts = path.split("/")
        if len(parts) != 4 or parts[-1] != METADATA:
            continue
        try:
            key = KeptKey.checked(parts[2], int(parts[1]))
        except (ValueError, UsageError):
            continue
        if kept_key(key) == path:
            yield key


def folder_of(place: Place) -> Path:
    """Return the folder of a store that keeps values, which are mapped from files."""
    if place.local is None:
        raise StoreError(
            f"Fisher values are kept in folders only, not at '{place}'.",
            "build into a folder, or without --keep-fisher; sub-networks can be copied from a folder to anywhere.",
        )
    return place.local


def keep_values(place: Place, key: KeptKey, fisher: DiagonalFisher, encoding: str) -> bool:
    """Write and commit a row's values; return False where the very same were committed before.

    Raises:
        UsageError: Unknown encoding, or values in float64, of which half the digits would be lost.
        StoreError: Not a folder, not writable, disk full, another encoding, or the row is committed with other values.
    """
    root = folder_of(place)
    if encoding not in ENCODINGS:
        raise UsageError(f"no encoding '{encoding}' of Fisher values.", f"choose one of {', '.join(ENCODINGS)}.")
    if any(str(values.dtype).endswith("float64") for values in fisher.values):
        raise UsageError("Fisher values in float64 cannot be kept.", "measure a model in float32.")
    array = KeptArray.ensure(root, fisher.layout, encoding).with_slot(fisher.layout, key.seed, key.language)
    slot = array.slot(key.seed, key.language)
    if slot is None:
        raise StoreError(f"the array of '{root}' has no label for {key}.", "its metadata are damaged.")
    lock = array.lock_path(slot)
    with locked(lock):
        record = kept_record(place, key)
        if record is not None:
            if record.sha256 != array.digest(fisher.values):
                raise StoreError(
                    f"{key} of '{root}' is committed already, with other values.",
                    "what is committed is never overwritten: write to another store, or delete its commit record.",
                )
            return False
        digest = array.write(slot, fisher.values)
        size = array.object_bytes
        found = KeptRecord(key, slot, encoding, fisher.examples, digest, size, fisher.provenance)
        write_group(place, key.node, found.to_json())
        lock.unlink(missing_ok=True)
    return True


def read_values(place: Place, layout: ParameterLayout, key: KeptKey) -> DiagonalFisher | None:
    """Return a row's values, checked against their record; None where they are not kept.

    float32 values are mapped from the disk and are those that were measured; bf16 values are rounded to 8 bits.

    Raises:
        StoreError: They are damaged.
    """
    record = kept_record(place, key)
    if record is None:
        return None
    root = folder_of(place)
    hint = f"run verify; to build the row again, delete '{place.at(key.node)}' first."
    array = KeptArray.open(root, layout)
    if array is None or array.slot(key.seed, key.language) != record.slot or array.encoding != record.encoding:
        raise StoreError(f"{key} of '{root}' has no such place in the array of Fisher values.", hint)
    try:
        values = array.read(record.slot, record.sha256)
    except StoreError as error:
        raise StoreError(f"{key} cannot be read: {error.message}", hint) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{key} cannot be read: {error}.", hint) from error
    pieces = tuple(
        np.asarray(values[offset : offset + size]).reshape(shape)
        for offset, size, shape in zip(layout.offsets, layout.sizes, layout.shapes, strict=True)
    )
    return DiagonalFisher(pieces, layout, record.examples, key.language, record.provenance)
