"""The array of saved Fisher values. Each row of the array is one object.

A float32 row takes 4 bytes per parameter. A row is therefore written piece by piece, and is never held in memory as a
whole. The object of a row contains its values in order, followed by the index of a Zarr shard, which lets Zarr read the
object too. This package reads a row by mapping its file into memory. Fisher values can therefore be saved only in
folders.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.atomic import atomic_file
from xsns_stream.io.json import FieldError, convert, describe, format_error
from xsns_stream.store import schemas
from xsns_stream.store.format import FISHER_ARRAY, METADATA, FisherKey, check_distinct, from_disk, on_disk
from xsns_stream.store.records import FisherRecord, read_fisher_record, write_group
from xsns_stream.store.shards import Geometry, chunk_of
from xsns_stream.store.storage import MissingObjectError, Storage
from xsns_stream.store.storage.local_files import open_regular, os_errors, work_folder
from xsns_stream.types import DiagonalFisher, ParameterLayout

#: Names of the axes of the array of Fisher values.
FISHER_DIMENSIONS: Final = ("seed", "language", "parameter")
#: {encoding of values: (data type of Zarr, bytes of a value)}. Zarr has no bfloat16: its bits are stored as integers.
ENCODINGS: Final = {"float32": ("float32", 4), "bf16": ("uint16", 2)}
#: Number of values in an inner chunk: 1 MiB of float32.
CHUNK_VALUES: Final = 262_144

_DOCUMENT: Final = f"{FISHER_ARRAY}/{METADATA}"
# Number of values that are encoded and hashed in one step.
_PIECE: Final = 1 << 20


def to_bf16(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Round values to bfloat16 (ties to even), and return the bit patterns; values must be finite and ≥ 0."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def from_bf16(bits: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """Convert bfloat16 bit patterns to float32."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


@dataclass(frozen=True)
class FisherArray:
    """The array of Fisher values. The attributes contain the metadata that were read when the array was opened.

    Attributes:
        storage: The storage of the store.
        size: P, the number of parameters.
        chunk: Number of values in an inner chunk.
        encoding: `float32` or `bf16`.
        seeds: Labels of axis 0.
        languages: Labels of axis 1.
    """

    storage: Storage
    size: int
    chunk: int
    encoding: str
    seeds: tuple[int, ...]
    languages: tuple[str, ...]

    @classmethod
    def open(cls, storage: Storage, layout: ParameterLayout) -> FisherArray | None:
        """Read and check the metadata of the array; return None if the store has no Fisher values.

        Raises:
            StoreError: The metadata are damaged, or do not follow the format.
        """
        if not storage.in_folder:
            return None
        document = storage.read_as(_DOCUMENT, schemas.FisherDocument)
        if document is None:
            return None
        try:
            labels = document.attributes
            chunk = _checked_chunk(document, layout.size)
        except FieldError as error:
            raise format_error(storage.full_name(_DOCUMENT), describe(error)) from error
        languages = tuple(map(from_disk, labels.languages))
        return cls(storage, layout.size, chunk, labels.encoding, tuple(labels.seeds), languages)

    @classmethod
    def ensure(cls, storage: Storage, layout: ParameterLayout, encoding: str) -> FisherArray:
        """Open the array, or create it if it does not exist.

        Raises:
            StoreError: The array cannot be created, or has values in another encoding.
        """
        array = cls.open(storage, layout)
        if array is None:
            _create(storage, layout, encoding)
            array = cls.open(storage, layout)
        if array is None:
            raise _lost(storage)
        if array.encoding != encoding:
            raise StoreError(
                f"the Fisher values in the store '{storage}' are saved as {array.encoding}, not as {encoding}.",
                f"give `--keep-fisher {array.encoding}`, or write to another store.",
            )
        return array

    def grow(self, key: FisherKey) -> FisherArray:
        """Add the labels that the array lacks for a row to the metadata in the store; return the changed array."""
        if self.slot(key) is not None:
            return self

        def with_slot(document: dict[str, Any]) -> dict[str, Any]:
            checked = convert(document, schemas.FisherDocument)
            _checked_chunk(checked, self.size)
            labels = checked.attributes
            seeds = labels.seeds if key.seed in labels.seeds else [*labels.seeds, key.seed]
            label = on_disk(key.language)
            languages = labels.languages if label in labels.languages else [*labels.languages, label]
            attributes = {**document["attributes"], "seeds": seeds, "languages": languages}
            return {**document, "shape": [len(seeds), len(languages), self.size], "attributes": attributes}

        try:
            labels = self.storage.update_json(_DOCUMENT, with_slot)["attributes"]
        except MissingObjectError as error:
            raise _lost(self.storage) from error
        except FieldError as error:
            raise format_error(self.storage.full_name(_DOCUMENT), describe(error)) from error
        return replace(self, seeds=tuple(labels["seeds"]), languages=tuple(map(from_disk, labels["languages"])))

    def slot(self, key: FisherKey) -> tuple[int, int] | None:
        """Return the slot of a row, as (seed, language) indices; None if one of its labels is missing."""
        if key.seed not in self.seeds or key.language not in self.languages:
            return None
        return self.seeds.index(key.seed), self.languages.index(key.language)

    def object_key(self, slot: tuple[int, int]) -> str:
        """Return the key of the object that contains the row at `slot`."""
        return "/".join([FISHER_ARRAY, "c", *map(str, slot), "0"])

    def lock_key(self, slot: tuple[int, int]) -> str:
        """Return the key of the lock of the row at `slot`."""
        return f"{FISHER_ARRAY}/.lock-{slot[0]}-{slot[1]}"

    @property
    def geometry(self) -> Geometry:
        """The number and the size of the elements in the object of a row."""
        return Geometry(self.size, self.chunk, ENCODINGS[self.encoding][1])

    def write(self, slot: tuple[int, int], values: Sequence[Any]) -> str:
        """Write the object of the row at `slot`, and return the SHA-256 of the stored bytes.

        The caller must hold the lock of the row. `values` has one array for each tensor.
        """
        self.storage.check_no_links(self.object_key(slot))
        path, digest = self._file(slot), hashlib.sha256()
        with os_errors("write to", self.storage):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.iterdir():
                left.unlink()
            with atomic_file(path) as file:
                for piece in self._encoded(values):
                    digest.update(piece)
                    file.write(piece)
                file.truncate(self.geometry.index_start)
                file.seek(0, os.SEEK_END)
                file.write(self.geometry.index())
        return digest.hexdigest()

    def digest(self, values: Sequence[Any]) -> str:
        """Return the SHA-256 of the encoded values, that is, of the bytes that are stored."""
        digest = hashlib.sha256()
        for piece in self._encoded(values):
            digest.update(piece)
        return digest.hexdigest()

    def read(self, slot: tuple[int, int], digest: str) -> npt.NDArray[np.float32]:
        """Return the values of a row: float32 [P]. If the object contains float32, its file is mapped into memory.

        Raises:
            ValueError: The object has a wrong size, or its values have changed.
            OSError: The object is missing, or cannot be read.
            StoreError: The object is not a regular file.
        """
        with os.fdopen(open_regular(self._file(slot)), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != self.geometry.object_bytes:
                raise ValueError(f"its object has {size} bytes instead of {self.geometry.object_bytes}")
            # Copy-on-write, because compiled kernels do not accept read-only arrays.
            values = np.memmap(file, dtype=_dtype(self.encoding), mode="c", shape=(self.size,))
        actual = hashlib.sha256()
        for start in range(0, self.size, _PIECE):
            actual.update(values[start : start + _PIECE].tobytes())
        if actual.hexdigest() != digest:
            raise ValueError("its values have changed since they were committed")
        return from_bf16(values) if self.encoding == "bf16" else np.asarray(values, np.float32)

    def index_is_sound(self, slot: tuple[int, int]) -> bool:
        """Return whether the object of a row ends with a valid shard index, which Zarr needs to read the object."""
        index = self.geometry.index()
        with os.fdopen(open_regular(self._file(slot)), "rb") as file:
            file.seek(self.geometry.index_start)
            return file.read(len(index) + 1) == index

    def _file(self, slot: tuple[int, int]) -> Path:
        return folder_of(self.storage) / self.object_key(slot)

    def _encoded(self, values: Sequence[Any]) -> Iterator[bytes]:
        for tensor in values:
            flat = np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor).reshape(-1)
            for start in range(0, len(flat), _PIECE):
                piece = flat[start : start + _PIECE]
                yield (to_bf16(piece) if self.encoding == "bf16" else piece).astype(_dtype(self.encoding)).tobytes()


def _lost(storage: Storage) -> StoreError:
    return StoreError(f"the array '{FISHER_ARRAY}' of the store '{storage}' is missing.", "restore it from a copy.")


def _dtype(encoding: str) -> str:
    return "<u2" if encoding == "bf16" else "<f4"


def _create(storage: Storage, layout: ParameterLayout, encoding: str) -> None:
    """Create an empty array in a temporary folder beside the store, and move this folder into the store."""
    import zarr
    from zarr.codecs import BytesCodec

    root, chunk = folder_of(storage), max(1, min(layout.size, CHUNK_VALUES))
    with os_errors("write to", root), work_folder(root) as folder:
        zarr.create_array(
            store=folder,
            name=FISHER_ARRAY,
            shape=(0, 0, layout.size),
            dtype=ENCODINGS[encoding][0],
            chunks=(1, 1, chunk),
            shards=(1, 1, -(-layout.size // chunk) * chunk),
            filters=None,
            serializer=BytesCodec(endian="little"),
            compressors=None,
            fill_value=0,
            dimension_names=FISHER_DIMENSIONS,
            attributes={"encoding": encoding, "seeds": [], "languages": []},
        )
        try:
            (folder / FISHER_ARRAY).rename(root / FISHER_ARRAY)
        except OSError:
            # Another process may have created the array already.
            if not (root / _DOCUMENT).is_file():
                raise


def _checked_chunk(document: schemas.FisherDocument, size: int) -> int:
    """Return the number of values in an inner chunk, after checking that the metadata follow the format.

    Args:
        document: The metadata of the array.
        size: P, the number of parameters of the store.

    Raises:
        FieldError: The fields contradict one another, or a row does not have P values.
    """
    labels, sharding = document.attributes, document.codecs[0].configuration
    check_distinct(seeds=labels.seeds, languages=labels.languages)
    if document.data_type != ENCODINGS[labels.encoding][0]:
        raise FieldError(f"data_type: it is {document.data_type}, and the encoding is {labels.encoding}")
    if document.shape != [len(labels.seeds), len(labels.languages), size]:
        raise FieldError(f"shape: {document.shape} does not fit its labels and {size} parameters")
    chunk = chunk_of(document, FISHER_DIMENSIONS, size)
    if len(sharding.codecs) != 1 or not schemas.plain(sharding):
        raise FieldError("codecs: a row must be one object without compression")
    return chunk


# ------------------------------------------------------------------------------------- rows of a store


def folder_of(storage: Storage) -> Path:
    """Return the folder of a store.

    Fisher values can only be in a folder, because they are memory-mapped from files.

    Raises:
        StoreError: The store is not in a folder.
    """
    return storage.folder(
        "Fisher values can be saved in folders only",
        "build into a folder, or without --keep-fisher. Sub-networks can be copied from a folder to any other storage.",
    )


def save_fisher(storage: Storage, key: FisherKey, fisher: DiagonalFisher, encoding: str) -> bool:
    """Write and commit the Fisher values of a row; return False if the same values were committed before.

    Raises:
        UsageError: The encoding is unknown, or the values are float64, which no encoding stores exactly.
        StoreError: The store is not in a folder or not writable, the disk is full, the store has another encoding, or
            the row is committed with other values.
    """
    folder_of(storage)
    if encoding not in ENCODINGS:
        raise UsageError(
            f"there is no encoding '{encoding}' of Fisher values.", f"choose one of {', '.join(ENCODINGS)}."
        )
    if any(str(values.dtype).endswith("float64") for values in fisher.values):
        raise UsageError("Fisher values in float64 cannot be saved.", "load the model in float32.")
    array = FisherArray.ensure(storage, fisher.layout, encoding).grow(key)
    slot = array.slot(key)
    if slot is None:
        raise StoreError(
            f"the array '{FISHER_ARRAY}' of the store '{storage}' has no label for {key}.",
            f"restore '{storage.full_name(_DOCUMENT)}' from a copy.",
        )
    lock = array.lock_key(slot)
    with storage.locked(lock):
        record = read_fisher_record(storage, key)
        if record is not None:
            if record.sha256 != array.digest(fisher.values):
                raise StoreError(
                    f"{key} of '{storage}' is committed already, with other values.",
                    "committed values are never overwritten. Write to another store, or remove them first with "
                    "`xsns-stream prune --fisher`.",
                )
            return False
        digest = array.write(slot, fisher.values)
        size = array.geometry.object_bytes
        record = FisherRecord(key, slot, encoding, fisher.examples, digest, size, fisher.provenance)
        write_group(storage, key.node, record.to_json())
        storage.remove(lock)
    return True


def discard_fisher(storage: Storage, layout: ParameterLayout, key: FisherKey) -> bool:
    """Remove the commit record of saved Fisher values, then the values.

    Returns:
        Whether the record or the values existed.
    """
    array = FisherArray.open(storage, layout)
    slot = None if array is None else array.slot(key)
    if array is None or slot is None:
        return storage.discard([key.record], None)
    return storage.discard([key.record, array.object_key(slot)], array.lock_key(slot))


def read_fisher(storage: Storage, layout: ParameterLayout, key: FisherKey) -> DiagonalFisher | None:
    """Return the saved Fisher values of a row; None if none are saved. The values are compared with their record.

    Values that were saved as float32 are mapped into memory and equal the measured values. Values that were saved as
    bf16 are rounded to 8 significant bits.

    Raises:
        StoreError: The values are damaged.
    """
    record = read_fisher_record(storage, key)
    if record is None:
        return None
    hint = f"run `xsns-stream verify`; to build the row again, delete '{storage.full_name(key.node)}' first."
    array = FisherArray.open(storage, layout)
    if array is None or array.slot(key) != record.slot or array.encoding != record.encoding:
        raise StoreError(f"the record of {key} in '{storage}' does not match the array of Fisher values.", hint)
    try:
        values = array.read(record.slot, record.sha256)
    except StoreError as error:
        raise StoreError(f"{key} cannot be read: {error.message}", hint) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{key} cannot be read: {error}.", hint) from error
    tensors = tuple(
        np.asarray(values[offset : offset + size]).reshape(shape)
        for offset, size, shape in zip(layout.offsets, layout.sizes, layout.shapes, strict=True)
    )
    return DiagonalFisher(tensors, layout, record.examples, key.language, record.provenance)
