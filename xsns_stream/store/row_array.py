"""The array of rows. A row is one object that consists of 64-bit words; each word contains the bits of 64 parameters.

Zarr creates the array, encodes rows, and reads compressed rows. Uncompressed rows of little-endian words are read
directly from their objects (`shards.py`). A block of columns can then be read without reading whole chunks.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import StoreError
from xsns_stream.io.json import FieldError, describe, format_error
from xsns_stream.store import schemas
from xsns_stream.store.format import ARRAY, DIMENSIONS, METADATA, Labels, RowKey, Slot
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.shards import Geometry, LocalRow, RowReader, StoredRow, check_inflation, chunk_of
from xsns_stream.store.storage import MissingObjectError, Storage
from xsns_stream.store.storage.local_files import os_errors
from xsns_stream.types import WORD_BITS, ParameterLayout, Words, words_for

Compressor = Literal["none", "zstd"]

#: Number of words in an inner chunk if the layers have different sizes: 1 MiB.
DEFAULT_CHUNK_WORDS: Final = 131_072
#: Number of words that are read and checked in one step: 1 MiB. Decoding needs five times this memory.
PIECE_WORDS: Final = 1 << 17
#: The largest possible compression ratio; a row that claims more is damaged.
MOST_RATIO: Final = 2**16
#: Number of elements in a chunk of the arrays `density` and `seed`, which have few elements.
COORDINATE_CHUNK: Final = 64

_DOCUMENT: Final = f"{ARRAY}/{METADATA}"
_COPY_HINT: Final = "delete '{}', which is a copy of the labels; it will be written again."


@dataclass(frozen=True)
class RowArray:
    """The array of rows. The attributes contain the metadata that were read when the array was opened.

    Attributes:
        storage: The storage of the store.
        labels: The labels, which assign a slot to each row.
        words: W, the number of words of a row.
        chunk: The number of words in an inner chunk.
        compressed: Whether inner chunks are something other than plain little-endian words.
        shard: The settings of the shard that contains a row.
    """

    storage: Storage
    labels: Labels
    words: int
    chunk: int
    compressed: bool
    shard: schemas.ShardSettings

    @classmethod
    def open(cls, storage: Storage, layout: ParameterLayout) -> RowArray:
        """Read and check the metadata of the array.

        Raises:
            StoreError: The metadata are missing or damaged, or do not follow the format.
        """
        document = storage.read_as(_DOCUMENT, schemas.RowsDocument)
        if document is None:
            raise _lost(storage)
        with _document_errors(storage):
            labels = Labels.from_json(document.attributes)
            words, chunk = _sizes(document, labels, layout)
        shard = document.codecs[0].configuration
        return cls(storage, labels, words, chunk, not schemas.plain(shard), shard)

    @property
    def geometry(self) -> Geometry:
        """The number and the size of the elements in the object of a row, if the row is not compressed."""
        return Geometry(self.words, self.chunk)

    @property
    def plain_files(self) -> bool:
        """Whether rows are files that contain words in the byte order of this machine."""
        return self.storage.in_folder and not self.compressed and sys.byteorder == "little"

    def slot(self, key: RowKey) -> Slot:
        """Return the slot of a committed row.

        Raises:
            StoreError: The density, seed or language of the row is not among the labels.
        """
        slot = self.labels.slot(key)
        if slot is None:
            raise StoreError(
                f"the row {key} is committed, but the array of '{self.storage}' has no label for it.",
                "its metadata are damaged; restore them from a copy.",
            )
        return slot

    def object_key(self, slot: Slot) -> str:
        """Return the key of the object that contains the row at `slot`."""
        return "/".join([ARRAY, "c", *map(str, slot), "0"])

    def lock_key(self, slot: Slot) -> str:
        """Return the key of the lock of the row at `slot`."""
        return f"{ARRAY}/.lock-{'-'.join(map(str, slot))}"

    # ------------------------------------------------------------------------------------- writing

    def grow(self, *keys: RowKey) -> RowArray:
        """Add the labels that the array lacks for some rows to the metadata in the store; return the changed array.

        Shape and labels are stored in one document, so that a reader never sees labels that do not match the shape.
        """

        def with_slot(document: dict[str, Any]) -> dict[str, Any]:
            # Other writers may have added labels since; labels are only ever appended to the current ones.
            labels = Labels.from_json(document.get("attributes"))
            grown = reduce(Labels.with_key, keys, labels)
            if grown == labels:
                return document
            # Most new rows add only a language. On an object store, where every read takes time, the arrays `density`
            # and `seed` are therefore read and written only if a density or a seed is new.
            if self.storage.in_folder or (grown.densities, grown.seeds) != (labels.densities, labels.seeds):
                check_coordinates(self.storage)
                with os_errors("write to", self.storage), self.storage.errors("write to"):
                    write_coordinates(self.storage.zarr_store(), grown)
            return {
                **document,
                "shape": [*grown.shape, self.words],
                "attributes": {**document["attributes"], **grown.to_json()},
            }

        with _document_errors(self.storage):
            try:
                document = self.storage.update_json(_DOCUMENT, with_slot)
            except MissingObjectError as error:
                raise _lost(self.storage) from error
            labels = Labels.from_json(document.get("attributes"))
        return replace(self, labels=labels)

    def encoded(self, slot: Slot, bits: Words) -> bytes:
        """Return the bytes of the object of the row at `slot`, with the words `bits`."""
        import zarr
        from zarr.buffer.cpu import Buffer
        from zarr.storage import MemoryStore

        objects: dict[str, Any] = {_DOCUMENT: Buffer.from_bytes(self.storage.read(_DOCUMENT))}
        array = zarr.open_array(store=MemoryStore(objects), path=ARRAY, mode="r+", zarr_format=3)
        # Zarr leaves out chunks of zeros by default, and a row of zeros altogether.
        array.with_config({"write_empty_chunks": True})[(*slot, slice(None))] = bits
        return bytes(objects[self.object_key(slot)].to_bytes())

    # ------------------------------------------------------------------------------------- reading

    def read(self, slots: Sequence[tuple[RowKey, Slot]], start: int, stop: int) -> Words:
        """Return the words from `start` to `stop` (exclusive) of each row: uint64 [n, stop − start].

        Raises:
            StoreError: An object is missing, or its size or index is wrong. Changed bits within a row are not detected.
        """
        out = np.empty((len(slots), 0), np.uint64)
        for number, (key, slot) in enumerate(slots if start < stop else ()):
            with self.reading(key, slot), closing(self.open_row(slot)) as reader:
                if not number:
                    # Memory is allocated only after an object of the expected size was found.
                    out = np.empty((len(slots), stop - start), np.uint64)
                reader.read(start, out[number])
        return out if len(slots) else np.empty((0, stop - start), np.uint64)

    def pieces(self, record: CommitRecord, words: int | None = None) -> Iterator[tuple[int, Words]]:
        """Yield the words of a committed row in blocks, then compare the digest of the whole row with its record.

        Args:
            record: The record of the row.
            words: The number of words in a block. By default a block has 1 MiB; a block of a compressed row consists of
                whole inner chunks, together about 1 MiB.

        Yields:
            The index of the first word of the block, and the words. The next block overwrites the array of words.

        Raises:
            StoreError: The row cannot be read; or, after the last block, the row does not have the committed bits.
        """
        digest = hashlib.sha256()
        for start, piece in self.pieces_between(record, 0, self.words, words):
            digest.update(piece.astype("<u8", copy=False).data)
            yield start, piece
        if digest.hexdigest() != record.sha256:
            raise self.changed(record)

    def pieces_between(
        self, record: CommitRecord, first: int, last: int, words: int | None = None
    ) -> Iterator[tuple[int, Words]]:
        """Yield the words from `first` to `last` (exclusive) of a row in blocks, as :meth:`pieces` does.

        The words are not compared with the commit record.
        """
        if words is None:
            # A compressed chunk is always decoded as a whole.
            words = max(1, PIECE_WORDS // self.chunk) * self.chunk if self.compressed else PIECE_WORDS
        with self.reading(record.key, record.slot):
            reader = self.open_row(record.slot)
        with closing(reader):
            space = np.empty(min(words, last - first), np.uint64)
            for start in range(first, max(last, first + 1), words):
                piece = space[: last - start]
                with self.reading(record.key, record.slot):
                    reader.read(start, piece)
                yield start, piece

    def read_row(self, record: CommitRecord) -> Words:
        """Return all words of a committed row after checking them against the digest in its record: uint64 [W].

        Raises:
            StoreError: The row cannot be read, or does not have the committed bits.
        """
        ((_, bits),) = self.pieces(record, max(self.words, 1))
        return bits

    def open_row(self, slot: Slot) -> RowReader:
        """Open the row at `slot` for reading. Call this inside `with` :meth:`reading`, whose errors name the row."""
        if self.compressed:
            return _ZarrRow(self, slot)
        if self.plain_files:
            return self.open_file(slot)
        return StoredRow(self.storage, self.object_key(slot), self.geometry)

    def open_file(self, slot: Slot, keep_open: bool = True) -> LocalRow:
        """Open the file of the uncompressed row at `slot`. Call this inside `with` :meth:`reading`.

        If `keep_open` is False, the file is closed after each read.
        """
        folder = self.storage.folder("rows can be opened as files only in a folder", "read them through the storage.")
        return LocalRow(folder / self.object_key(slot), self.geometry, keep_open)

    @contextmanager
    def reading(self, key: RowKey, slot: Slot) -> Iterator[None]:
        """Turn errors that are raised in the `with` block into a :class:`StoreError` that names the row."""
        try:
            yield
        except (FileNotFoundError, MissingObjectError):
            name = self.storage.full_name(self.object_key(slot))
            raise StoreError(
                f"the row {key} is committed, but its object '{name}' is missing.", self.rebuild_hint(key)
            ) from None
        except StoreError as error:
            raise StoreError(f"the row {key} cannot be read: {error.message}", error.hint) from error
        except MemoryError as error:
            raise StoreError(
                f"the row {key} cannot be read: there is not enough memory.", self.rebuild_hint(key)
            ) from error
        # Decompression raises RuntimeError.
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(f"the row {key} cannot be read: {error}.", self.rebuild_hint(key)) from error

    def changed(self, record: CommitRecord) -> StoreError:
        """Return the error for a row that does not have the committed bits."""
        return StoreError(
            f"the row {record.key} does not contain the bits that were committed.", self.rebuild_hint(record.key)
        )

    def rebuild_hint(self, key: RowKey) -> str:
        """Return the hint of an error about a damaged row: how to build the row again."""
        return f"run `xsns-stream verify`; to build the row again, delete '{self.storage.full_name(key.node)}' first."

    @cached_property
    def zarr_array(self) -> Any:
        """The array of rows, as an object of the library Zarr."""
        import zarr

        return zarr.open_array(store=self.storage.zarr_store(), path=ARRAY, mode="r", zarr_format=3)


class _ZarrRow:
    """A row that is read through Zarr; it may be compressed."""

    direct = None

    def __init__(self, array: RowArray, slot: Slot) -> None:
        # Zarr reads a missing or an empty object as zeros.
        key, plain = array.object_key(slot), array.geometry
        size = array.storage.size(key)
        if size is None and array.storage.has_entry(key):
            raise ValueError("its object is not a regular file")
        if size is None:
            raise MissingObjectError("the object of a row is missing.")
        if size == 0:
            raise ValueError("its object is empty")
        most = plain.object_bytes + plain.index_start // 64 + 1024 * plain.chunks
        if not plain.index_start // MOST_RATIO <= size <= most:
            raise ValueError(f"its object has {size} bytes, which is impossible for {plain.length} words")
        check_inflation(lambda start, stop: array.storage.read(key, start, stop), size, array.shard, plain)
        self._array, self._slot = array, slot

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words of the row that begin at word `start`."""
        with self._array.storage.errors("read"):
            out[:] = np.asarray(self._array.zarr_array[(*self._slot, slice(start, start + len(out)))])

    def close(self) -> None:
        """Do nothing, because no file is open."""


# -------------------------------------------------------------------------------------------- metadata


@contextmanager
def _document_errors(storage: Storage) -> Iterator[None]:
    try:
        yield
    except FieldError as error:
        raise format_error(storage.full_name(_DOCUMENT), describe(error)) from error


def _lost(storage: Storage) -> StoreError:
    return StoreError(f"the array '{ARRAY}' of the store '{storage}' is missing.", "restore it from a copy.")


def _sizes(document: schemas.RowsDocument, labels: Labels, layout: ParameterLayout) -> tuple[int, int]:
    """Return W and the number of words in an inner chunk, from the metadata of the array.

    Raises:
        FieldError: The fields contradict one another or the layout.
    """
    shape, words = tuple(document.shape), words_for(layout.size)
    if shape[:-1] != labels.shape or len(shape) != len(DIMENSIONS):
        raise FieldError(f"shape: {list(shape)} does not fit the numbers of labels, {list(labels.shape)}")
    if shape[-1] != words:
        raise FieldError(f"shape: a row has {shape[-1]} words, and {layout.size} parameters need {words}")
    chunk = chunk_of(document, DIMENSIONS, words)
    if not schemas.words_first(document.codecs[0].configuration):
        raise FieldError("codecs: rows must be shards of words, with at most one compressor")
    return words, chunk


def inner_chunk_words(layout: ParameterLayout) -> int:
    """Return the number of words of an inner chunk of a new store.

    If all layers have the same size and fill whole words, an inner chunk is one layer. Otherwise it has 1 MiB, or the
    size of a row if a row is smaller than 1 MiB.
    """
    spans = {layer.stop - layer.start for layer in layout.layers}
    bits = spans.pop() if len(spans) == 1 else 0
    if bits and bits % WORD_BITS == 0 and bits * len(layout.layers) == layout.size:
        return bits // WORD_BITS
    return max(1, min(words_for(layout.size), DEFAULT_CHUNK_WORDS))


def empty_array(layout: ParameterLayout, labels: Labels, compressor: Compressor) -> Mapping[str, bytes]:
    """Return the metadata objects of a new array of rows and of its coordinates: {key: bytes}."""
    import zarr
    from zarr.codecs import BytesCodec, ZstdCodec
    from zarr.storage import MemoryStore

    objects: dict[str, Any] = {}
    root = MemoryStore(objects)
    words, chunk = words_for(layout.size), inner_chunk_words(layout)
    zarr.create_array(
        store=root,
        name=ARRAY,
        shape=(*labels.shape, words),
        dtype="uint64",
        chunks=(1, 1, 1, chunk),
        shards=(1, 1, 1, -(-words // chunk) * chunk),
        filters=None,
        serializer=BytesCodec(endian="little"),
        compressors=None if compressor == "none" else ZstdCodec(level=1),
        fill_value=0,
        dimension_names=DIMENSIONS,
        attributes=labels.to_json(),
    )
    write_coordinates(root, labels)
    return {key: bytes(data.to_bytes()) for key, data in objects.items()}


# ----------------------------------------------------------------------------------------- coordinates


def write_coordinates(root: Any, labels: Labels) -> None:
    """Write the labels into the arrays `density` and `seed`, which xarray uses as coordinates.

    This package does not read these arrays. It reads the labels from the attributes of the array of rows, because
    attributes and shape change in one step.

    Args:
        root: The store, as an object that Zarr accepts.
        labels: The labels of the array of rows.
    """
    wanted: dict[str, npt.NDArray[Any]] = {
        "density": np.array(labels.densities, np.float64),
        "seed": np.array(labels.seeds, np.int64),
    }
    for name, values in wanted.items():
        with _zarr_errors(root, name):
            array = _coordinate(root, name, values)
            if array.shape != values.shape or not np.array_equal(np.asarray(array[:]), values):
                array.resize(values.shape)
                array[:] = values


def _coordinate(root: Any, name: str, values: npt.NDArray[Any]) -> Any:
    """Open the array `name` of the labels of one axis, or create it, in the shape of `values`, if it is missing."""
    import zarr

    try:
        return zarr.open_array(store=root, path=name, mode="r+", zarr_format=3)
    except FileNotFoundError:
        return zarr.create_array(
            store=root,
            name=name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=(COORDINATE_CHUNK,),
            filters=None,
            compressors=None,
            fill_value=0,
            dimension_names=(name,),
        )


@contextmanager
def _zarr_errors(root: Any, name: str) -> Iterator[None]:
    """Turn the errors that Zarr raises in the `with` block, for metadata of the array `name`, into a StoreError."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError, ArithmeticError) as error:
        folder = f"{root}/{name}"
        hint = _COPY_HINT.format(folder)
        raise format_error(f"{folder}/{METADATA}", "Zarr cannot use it", hint) from error


def check_coordinates(storage: Storage) -> None:
    """Check that the arrays `density` and `seed` are small regular files, before Zarr opens them.

    Raises:
        StoreError: The arrays do not follow the format, or their path contains a symbolic link.
    """
    for name in ("density", "seed"):
        storage.check_no_links(f"{name}/{METADATA}")
        hint = _COPY_HINT.format(storage.full_name(name))
        storage.read_as(f"{name}/{METADATA}", schemas.CoordinateDocument, hint)
        for key in storage.list(name):
            if (storage.size(key) or 0) > 8 * schemas.MOST_LABELS or not storage.exists(key):
                raise format_error(
                    storage.full_name(key), "it is not a regular file, or is larger than labels can be", hint
                )
