"""The array of Fisher values: a row is one object, written and read as a stream; its records.

Rows are large (4 bytes a parameter), so that they are neither put together in memory nor taken apart by Zarr: an
object is its values in order, then the index that makes it a Zarr shard. A row is read by mapping its object.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.atomic import sync, sync_file
from xsns_stream.io.json import FieldError, describe, format_error, parse
from xsns_stream.store import schemas
from xsns_stream.store.format import METADATA, RowKey
from xsns_stream.store.records import checked_provenance, record_errors, write_group
from xsns_stream.store.storage.local import (
    aside,
    check_unlinked,
    locked,
    open_regular,
    os_errors,
    read_document,
    write_json,
)
from xsns_stream.store.storage.open import Place
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance

KEPT: Final = "fisher"
KEPT_DIMENSIONS: Final = ("seed", "language", "parameter")
#: How values are kept → (Zarr's data type, bytes of a value). Zarr has no bfloat16: its bits are kept as integers.
ENCODINGS: Final = {"float32": ("float32", 4), "bf16": ("uint16", 2)}
#: Values of an inner chunk: 1 MiB of float32.
CHUNK_VALUES: Final = 262_144
_PART = 1 << 20


def to_bf16(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Return the bit patterns of the nearest bfloat16 numbers, ties to even; values are finite and ≥ 0."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def from_bf16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Return the numbers of bfloat16 bit patterns."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


@dataclass(frozen=True)
class KeptArray:
    """The array as its metadata describe it at one moment.

    Attributes:
        root: The store's folder.
        size: P.
        chunk: Values of an inner chunk.
        encoding: `float32` or `bf16`.
        seeds: Labels of axis 0.
        languages: Labels of axis 1.
    """

    root: Path
    size: int
    chunk: int
    encoding: str
    seeds: tuple[int, ...]
    languages: tuple[str, ...]

    @classmethod
    def open(cls, root: Path, layout: ParameterLayout) -> KeptArray | None:
        """Read and check the array's metadata; None where the store keeps no Fisher values.

        Raises:
            StoreError: They are damaged, or not what the format says.
        """
        path = root / KEPT / METADATA
        data = read_document(path)
        if data is None:
            return None
        try:
            return cls(root, layout.size, *_checked(parse(data, schemas.KeptDocument, str(path)), layout.size))
        except FieldError as error:
            raise format_error(str(path), describe(error)) from error

    @classmethod
    def ensure(cls, root: Path, layout: ParameterLayout, encoding: str) -> KeptArray:
        """Open the array, making it where there is none.

        Raises:
            StoreError: It cannot be made, or keeps values in another encoding.
        """
        found = cls.open(root, layout)
        if found is None:
            _create(root, layout, encoding)
            found = cls.open(root, layout)
        if found is None or found.encoding != encoding:
            kept = found.encoding if found else "nothing"
            raise StoreError(
                f"the store '{root}' keeps Fisher values as {kept}, not as {encoding}.",
                f"give `--keep-fisher {kept}`, or write to another store.",
            )
        return found

    def with_slot(self, layout: ParameterLayout, seed: int, language: str) -> KeptArray:
        """Return the array with a place for a row; labels are only ever appended."""
        if self.slot(seed, language) is not None:
            return self
        check_unlinked(self.root, self.root / KEPT / METADATA)
        with locked(self.root / KEPT / ".lock"), os_errors("write to", self.root):
            path = self.root / KEPT / METADATA
            data, now = read_document(path), KeptArray.open(self.root, layout)
            if data is None or now is None:
                raise StoreError(f"the store '{self.root}' has lost its array '{KEPT}'.", "restore it from a copy.")
            document = parse(data, dict[str, Any], str(path))
            seeds = now.seeds if seed in now.seeds else (*now.seeds, seed)
            languages = now.languages if language in now.languages else (*now.languages, language)
            labels = {"seeds": list(seeds), "languages": list(languages)}
            shape = [len(seeds), len(languages), self.size]
            write_json(path, {**document, "shape": shape, "attributes": {**document["attributes"], **labels}})
        return KeptArray(self.root, self.size, self.chunk, self.encoding, seeds, languages)

    def slot(self, seed: int, language: str) -> tuple[int, int] | None:
        """Return the row's indices; None where it has no place."""
        if seed not in self.seeds or language not in self.languages:
            return None
        return self.seeds.index(seed), self.languages.index(language)

    def object_path(self, slot: tuple[int, int]) -> Path:
        """Return the file that holds the row at `slot`."""
        return self.root.joinpath(KEPT, "c", *map(str, slot), "0")

    def lock_path(self, slot: tuple[int, int]) -> Path:
        """Return the lock file of a row."""
        return self.root / KEPT / f".lock-{slot[0]}-{slot[1]}"

    @property
    def object_bytes(self) -> int:
        """Size of a row's object: its chunks, then their index and its checksum."""
        return self._chunks * (self.chunk * self._width + 16) + 4

    def write(self, slot: tuple[int, int], values: Sequence[Any]) -> str:
        """Write a row's object, see it to the disk and return the digest of its values; the row's lock must be held."""
        path = self.object_path(slot)
        check_unlinked(self.root, path)
        digest = hashlib.sha256()
        with os_errors("write to", self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.iterdir():
                left.unlink()
            partial = path.with_name(f"0.{uuid.uuid4().hex}.partial")
            try:
                with partial.open("wb") as file:
                    for part in self._encoded(values):
                        digest.update(part)
                        file.write(part)
                    file.truncate(self._chunks * self.chunk * self._width)
                    file.seek(0, os.SEEK_END)
                    file.write(self._index())
                    sync_file(file)
                partial.replace(path)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            sync(path.parent)
        return digest.hexdigest()

    def digest(self, values: Sequence[Any]) -> str:
        """Return the digest that a row of these values has."""
        found = hashlib.sha256()
        for part in self._encoded(values):
            found.update(part)
        return found.hexdigest()

    def read(self, slot: tuple[int, int], digest: str) -> npt.NDArray[np.float32]:
        """Return a row's values: float32 [P], mapped from the object where that holds float32.

        Raises:
            ValueError: The object has another size, or other values.
            OSError: It is missing, or cannot be read.
        StoreError: It is no regular file.
        """
        with os.fdopen(open_regular(self.object_path(slot)), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != self.object_bytes:
                raise ValueError(f"its object has {size} bytes instead of {self.object_bytes}")
            # Copy-on-write, because compiled kernels take no read-only arrays.
            found = np.memmap(file, dtype=_dtype(self.encoding), mode="c", shape=(self.size,))
        own = hashlib.sha256()
        for start in range(0, self.size, _PART):
            own.update(found[start : start + _PART].tobytes())
        if own.hexdigest() != digest:
            raise ValueError("its values have changed since they were committed")
        return from_bf16(found) if self.encoding == "bf16" else np.asarray(found, np.float32)

    def index_is_sound(self, slot: tuple[int, int]) -> bool:
        """Return whether the object ends with the index that makes it readable for Zarr."""
        index = self._index()
        with os.fdopen(open_regular(self.object_path(slot)), "rb") as file:
            file.seek(self._chunks * self.chunk * self._width)
            return file.read(len(index) + 1) == index

    @property
    def _width(self) -> int:
        return ENCODINGS[self.encoding][1]

    @property
    def _chunks(self) -> int:
        return -(-self.size // self.chunk)

    def _encoded(self, values: Sequence[Any]) -> Iterator[bytes]:
        for tensor in values:
            flat = np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor).reshape(-1)
            for start in range(0, len(flat), _PART):
                part = flat[start : start + _PART]
                yield (to_bf16(part) if self.encoding == "bf16" else part).astype(_dtype(self.encoding)).tobytes()

    def _index(self) -> bytes:
        import google_crc32c

        length = self.chunk * self._width
        entries = [(number * length, length) for number in range(self._chunks)]
        index = np.array(entries, "<u8").tobytes()
        return index + int(google_crc32c.value(index)).to_bytes(4, "little")


def _dtype(encoding: str) -> str:
    return "<u2" if encoding == "bf16" else "<f4"


def _create(root: Path, layout: ParameterLayout, encoding: str) -> None:
    """Make an empty array aside and rename it into place."""
    import zarr
    from zarr.codecs import BytesCodec

    chunk = max(1, min(layout.size, CHUNK_VALUES))
    with os_errors("write to", root), aside(root) as folder:
        zarr.create_array(
            store=folder,
            name=KEPT,
            shape=(0, 0, layout.size),
            dtype=ENCODINGS[encoding][0],
            chunks=(1, 1, chunk),
            shards=(1, 1, -(-layout.size // chunk) * chunk),
            filters=None,
            serializer=BytesCodec(endian="little"),
            compressors=None,
            fill_value=0,
            dimension_names=KEPT_DIMENSIONS,
            attributes={"encoding": encoding, "seeds": [], "languages": []},
        )
        try:
            (folder / KEPT).rename(root / KEPT)
        except OSError:
            # Another process may have been faster; then there is nothing left to do.
            if not (root / KEPT / METADATA).is_file():
                raise


def _checked(found: schemas.KeptDocument, size: int) -> tuple[int, str, tuple[int, ...], tuple[str, ...]]:
    """Return (chunk, encoding, seeds, languages) of a document that is as the format says.

    Raises:
        FieldError: Its fields do not fit one another.
    """
    labels, sharding = found.attributes, found.codecs[0].configuration
    for name, values in (("seeds", labels.seeds), ("languages", labels.languages)):
        if len(set(values)) != len(values):
            raise FieldError(f"attributes.{name}: a label stands twice in '{name}'")
    if found.data_type != ENCODINGS[labels.encoding][0]:
        raise FieldError(f"data_type: it is {found.data_type}, and the encoding is {labels.encoding}")
    if tuple(found.dimension_names) != KEPT_DIMENSIONS:
        raise FieldError("dimension_names: not those of an array of seed, language and parameter")
    if found.shape != [len(labels.seeds), len(labels.languages), size]:
        raise FieldError(f"shape: {found.shape} does not fit its labels and {size} parameters")
    chunk = sharding.chunk_shape[-1] if sharding.chunk_shape else 0
    if sharding.chunk_shape[:-1] != [1, 1] or not 1 <= chunk <= max(1, size):
        raise FieldError("codecs: inner chunks are not pieces of a row")
    if found.chunk_grid.configuration.chunk_shape != [1, 1, -(-size // chunk) * chunk]:
        raise FieldError("chunk_grid: a row is not one object")
    if len(sharding.codecs) != 1 or not schemas.plain(sharding):
        raise FieldError("codecs: a row is not one plain object")
    return chunk, labels.encoding, tuple(labels.seeds), tuple(labels.languages)


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
            FieldError: A field has no meaning.
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
        except FieldError as error:
            raise format_error(place.at(kept_key(key)), describe(error), hint) from error
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
