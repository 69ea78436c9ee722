"""The array of rows: a row is one object, and a word of it holds 64 parameters.

Zarr creates the array, writes rows and reads them where they are compressed. Rows that are plain little-endian words
are read straight from their objects (`plain.py`): a block of columns of many rows then costs what it holds, not what
its chunks hold.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import StoreError
from xsns_stream.io.atomic import sync
from xsns_stream.io.json import FieldError, describe, format_error
from xsns_stream.store import schemas
from xsns_stream.store.format import ARRAY, DIMENSIONS, METADATA, Labels, RowKey, Slot, inner_chunk_words
from xsns_stream.store.inflation import check_inflation
from xsns_stream.store.plain_rows import Geometry, LocalRow, PlacedRow, RowReader
from xsns_stream.store.storage.local import check_unlinked, os_errors
from xsns_stream.store.storage.open import MissingObjectError, Place, local_folder
from xsns_stream.types import ParameterLayout, Words, words_for

_DOCUMENT = f"{ARRAY}/{METADATA}"
#: No compressor makes words so many times smaller.
MOST_RATIO = 2**16


@dataclass(frozen=True)
class RowArray:
    """The array as its metadata describe it at one moment.

    Attributes:
        place: Where the store lies.
        labels: Which slot is which row.
        words: W.
        chunk: Words of an inner chunk.
        compressed: Whether inner chunks are something else than plain little-endian words.
        shard: What a row's object is made of.
    """

    place: Place
    labels: Labels
    words: int
    chunk: int
    compressed: bool
    shard: schemas.ShardSettings

    @classmethod
    def open(cls, place: Place, layout: ParameterLayout) -> RowArray:
        """Read and check the array's metadata.

        Raises:
            StoreError: They are missing, damaged, or not what the format says.
        """
        document = place.read_as(_DOCUMENT, schemas.RowsDocument)
        if document is None:
            raise _lost(place)
        with _document_errors(place):
            labels = Labels.from_json(document.attributes)
            words, chunk, compressed, shard = geometry_of(document, labels, layout)
        return cls(place, labels, words, chunk, compressed, shard)

    @property
    def geometry(self) -> Geometry:
        """Sizes of an uncompressed row's object."""
        return Geometry(self.words, self.chunk)

    @property
    def plain_files(self) -> bool:
        """Whether rows are files whose bytes are words as this machine has them."""
        return self.place.local is not None and not self.compressed and sys.byteorder == "little"

    def slot(self, key: RowKey) -> Slot:
        """Return the place of a committed row.

        Raises:
            StoreError: The labels do not know it.
        """
        slot = self.labels.slot(key)
        if slot is None:
            raise StoreError(
                f"the row {key} is committed, but the array of '{self.place}' has no label for it.",
                "its metadata are damaged; restore them from a copy.",
            )
        return slot

    def object_key(self, slot: Slot) -> str:
        """Return the key of the object that holds the row at `slot`."""
        return "/".join([ARRAY, "c", *map(str, slot), "0"])

    def file(self, slot: Slot) -> Path:
        """Return the file that holds the row at `slot`; the store must be a folder."""
        return local_folder(self.place) / self.object_key(slot)

    def lock_key(self, slot: Slot) -> str:
        """Return the lock of a row."""
        return f"{ARRAY}/.lock-{'-'.join(map(str, slot))}"

    def grow(self, key: RowKey) -> RowArray:
        """Make room for a row where there is none, and return the array that has it.

        Shape and labels stand in one document, so that no reader ever sees one without the other.
        """

        def with_room(document: dict[str, Any]) -> dict[str, Any]:
            # Others may have made room since; labels are only ever appended to what is there now.
            labels = Labels.from_json(document.get("attributes"))
            grown = labels.with_key(key)
            if grown == labels:
                return document
            # Far away each look costs a journey, and most new rows bring a language alone.
            if self.place.local is not None or (grown.densities, grown.seeds) != (labels.densities, labels.seeds):
                check_coordinates(self.place)
                with self._changing():
                    write_coordinates(self.place.zarr_store(), grown)
            return {
                **document,
                "shape": [*grown.shape, self.words],
                "attributes": {**document["attributes"], **grown.to_json()},
            }

        with _document_errors(self.place):
            try:
                document = self.place.update_json(_DOCUMENT, with_room)
            except MissingObjectError as error:
                raise _lost(self.place) from error
            labels = Labels.from_json(document.get("attributes"))
        return replace(self, labels=labels)

    def write(self, slot: Slot, bits: Words) -> int:
        """Write a row's file, see it to the disk and return its size; the row's lock must be held."""
        path = self.file(slot)
        check_unlinked(local_folder(self.place), path)
        with os_errors("write to", self.place):
            if path.parent.exists():
                # What a killed writer left: nobody else writes here while the lock is held. An object that is
                # still there would be read and merged by Zarr before it writes.
                for left in path.parent.iterdir():
                    if left.name == path.name or left.name.endswith(".partial"):
                        left.unlink()
            self._store_bits(self.place.zarr_store(), slot, bits)
            sync(path)
            sync(path.parent)
            return path.stat().st_size

    def encoded(self, slot: Slot, bits: Words) -> bytes:
        """Return the bytes of a row's object."""
        from zarr.buffer.cpu import Buffer
        from zarr.storage import MemoryStore

        document = self.place.read(_DOCUMENT)
        held: dict[str, Any] = {_DOCUMENT: Buffer.from_bytes(document)}
        self._store_bits(MemoryStore(held), slot, bits)
        return bytes(held[self.object_key(slot)].to_bytes())

    def _store_bits(self, root: Any, slot: Slot, bits: Words) -> None:
        import zarr

        array = zarr.open_array(store=root, path=ARRAY, mode="r+", zarr_format=3)
        # Zarr leaves out chunks of zeros unless told otherwise, and a row of zeros altogether.
        array.with_config({"write_empty_chunks": True})[(*slot, slice(None))] = bits

    def read(self, slots: Sequence[tuple[RowKey, Slot]], start: int, stop: int) -> Words:
        """Return words `start` up to `stop` of each row: uint64 [n, stop − start].

        Raises:
            StoreError: An object is missing or damaged in a way that shows; a flipped bit does not.
        """
        out = np.empty((len(slots), 0), np.uint64)
        for number, (key, slot) in enumerate(slots if start < stop else ()):
            with self.reading(key, slot):
                reader = self.open_row(slot)
                try:
                    if not number:
                        # Not before an object of the size that belongs to so many words was seen.
                        out = np.empty((len(slots), stop - start), np.uint64)
                    reader.read(start, out[number])
                finally:
                    reader.close()
        return out if len(slots) else np.empty((0, stop - start), np.uint64)

    def open_row(self, slot: Slot) -> RowReader:
        """Open a row for reading; errors as :meth:`reading` expects them."""
        if self.compressed:
            return _ZarrRow(self, slot)
        if self.plain_files:
            return LocalRow(self.file(slot), self.geometry)
        return PlacedRow(self.place, self.object_key(slot), self.geometry)

    @contextmanager
    def reading(self, key: RowKey, slot: Slot) -> Iterator[None]:
        """Turn what goes wrong while a committed row is read into an error that names the row."""
        try:
            yield
        except (FileNotFoundError, MissingObjectError):
            raise StoreError(
                f"the row {key} is committed, but its object '{self.place.at(self.object_key(slot))}' is missing.",
                self.redo_hint(key),
            ) from None
        except StoreError as error:
            raise StoreError(f"the row {key} cannot be read: {error.message}", error.hint) from error
        except MemoryError as error:
            raise StoreError(
                f"the row {key} cannot be read: there is not enough memory.", self.redo_hint(key)
            ) from error
        # RuntimeError is what decompression raises.
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(f"the row {key} cannot be read: {error}.", self.redo_hint(key)) from error

    def redo_hint(self, key: RowKey) -> str:
        """Say how a damaged row is made whole."""
        return f"run verify; to build the row again, delete '{self.place.at(key.node)}' first."

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with os_errors("write to", self.place), self.place.errors("write to"):
            yield

    @cached_property
    def zarr_array(self) -> Any:
        """The array as Zarr reads it."""
        import zarr

        return zarr.open_array(store=self.place.zarr_store(), path=ARRAY, mode="r", zarr_format=3)


class _ZarrRow:
    """A row that Zarr reads, which also reads compressed ones."""

    direct = None

    def __init__(self, array: RowArray, slot: Slot) -> None:
        # Zarr reads a missing object, or an empty one, as zeros.
        name = array.object_key(slot)
        size = array.place.size(name)
        if size is None and array.place.present(name):
            raise ValueError("its object is not a regular file")
        if size is None:
            raise MissingObjectError("the object of a row is missing.")
        if size == 0:
            raise ValueError("its object is empty")
        plain = array.geometry
        most = plain.object_bytes + plain.index_start // 64 + 1024 * plain.chunks
        if not plain.index_start // MOST_RATIO <= size <= most:
            raise ValueError(f"its object has {size} bytes, which {plain.words} words do not take")
        check_inflation(lambda start, stop: array.place.read(name, start, stop), size, array.shard, plain)
        self._array, self._slot = array, slot

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words from `start` on."""
        with self._array.place.errors("read"):
            out[:] = np.asarray(self._array.zarr_array[(*self._slot, slice(start, start + len(out)))])

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def _document_errors(place: Place) -> Iterator[None]:
    try:
        yield
    except FieldError as error:
        raise format_error(place.at(_DOCUMENT), describe(error)) from error


def _lost(place: Place) -> StoreError:
    return StoreError(f"the store '{place}' has lost its array '{ARRAY}'.", "restore it from a copy.")


Compressor = Literal["none", "zstd"]

#: Entries of a chunk of `density` or `seed`, which have a handful.
COORDINATE_CHUNK = 64
_COPY_HINT = "delete '{}': it is a copy of labels, and is made again."


def create_array(root: Any, layout: ParameterLayout, labels: Labels, compressor: Compressor) -> None:
    """Create an array of rows in `root`, whatever Zarr takes for a store that holds nothing yet."""
    import zarr
    from zarr.codecs import BytesCodec, ZstdCodec

    words = words_for(layout.size)
    chunk = inner_chunk_words(layout)
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


def write_coordinates(root: Any, labels: Labels) -> None:
    """Bring the arrays `density` and `seed`, which xarray takes for coordinates, up to the labels.

    They are a convenience: labels are read from the attributes, which change in one step with the shape.
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
    """Open the array of a coordinate, making it where there is none."""
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
    """Turn what Zarr raises on metadata that it cannot use into a sentence."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError, ArithmeticError) as error:
        at = f"{root}/{name}/{METADATA}" if isinstance(root, Path) else f"{name}/{METADATA}"
        raise format_error(at, "Zarr cannot use it", _COPY_HINT.format(at.removesuffix(f"/{METADATA}"))) from error


def check_coordinates(place: Place) -> None:
    """Check the arrays `density` and `seed` before Zarr opens them: that they are small regular files.

    Raises:
        StoreError: They are not as the format says, or lie behind a link.
    """
    for name in ("density", "seed"):
        if place.local is not None:
            check_unlinked(place.local, place.local / name / METADATA)
        hint = _COPY_HINT.format(place.at(name))
        place.read_as(f"{name}/{METADATA}", schemas.CoordinateDocument, hint)
        for key in place.list(name):
            if (place.size(key) or 0) > 8 * schemas.MOST_LABELS or not place.exists(key):
                raise format_error(place.at(key), "it is not a small regular file", hint)


def geometry_of(
    found: schemas.RowsDocument, labels: Labels, layout: ParameterLayout
) -> tuple[int, int, bool, schemas.ShardSettings]:
    """Return (words, words of an inner chunk, compressed, what a shard is made of) of a document that is as it must be.

    Raises:
        FieldError: Its fields do not fit one another, or the layout.
    """
    sharding, shape = found.codecs[0].configuration, tuple(found.shape)
    words = words_for(layout.size)
    if shape[:-1] != labels.shape or len(shape) != len(DIMENSIONS):
        raise FieldError(f"shape: {list(shape)} does not fit {list(labels.shape)} labels")
    if shape[-1] != words:
        raise FieldError(f"shape: {shape[-1]} words cannot hold {layout.size} parameters")
    if tuple(found.dimension_names) != DIMENSIONS:
        raise FieldError("dimension_names: not those of an array of density, seed, language and word")
    chunk = sharding.chunk_shape[-1] if sharding.chunk_shape else 0
    if sharding.chunk_shape[:-1] != [1, 1, 1] or not 1 <= chunk <= max(1, words):
        raise FieldError("codecs: inner chunks are not pieces of a row")
    if found.chunk_grid.configuration.chunk_shape != [1, 1, 1, -(-words // chunk) * chunk]:
        raise FieldError("chunk_grid: a row is not one object")
    if not schemas.words_first(sharding):
        raise FieldError("codecs: rows are not shards of words, which one compressor may follow")
    return words, chunk, not schemas.plain(sharding), sharding
