"""The one array of a store: a row is one object, a word of it is 64 parameters.

Zarr creates the array, writes rows and reads them where they are compressed. Rows that lie on the disk as
plain little-endian words are read straight from their objects, at the offsets in each object's own index: a
block of columns of many rows then costs what it holds, not what its chunks hold.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import StoreError
from xsns_stream.store.files import os_errors, read_json, sync, write_json
from xsns_stream.store.format import ARRAY, DIMENSIONS, METADATA, Labels, RowKey, Slot, inner_chunk_words
from xsns_stream.types import ParameterLayout, Words, words_for

Compressor = Literal["none", "zstd"]

#: Entries of a chunk of `density` or `seed`, which have a handful.
COORDINATE_CHUNK = 64

_INDEX_CODECS = ["bytes", "crc32c"]
_INDEX_ENTRY = 16
_CRC = 4


def create_array(root: Path, layout: ParameterLayout, labels: Labels, compressor: Compressor) -> None:
    """Create an array of rows in the new folder `root`."""
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


def write_coordinates(root: Path, labels: Labels) -> None:
    """Bring the arrays `density` and `seed`, which xarray takes for coordinates, up to the labels.

    They are a convenience: labels are read from the attributes, which change in one step with the shape.
    """
    import zarr

    wanted: dict[str, npt.NDArray[Any]] = {
        "density": np.array(labels.densities, np.float64),
        "seed": np.array(labels.seeds, np.int64),
    }
    for name, values in wanted.items():
        if not (root / name / METADATA).exists():
            zarr.create_array(
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
        array = zarr.open_array(store=root, path=name, mode="r+")
        if array.shape != values.shape or not np.array_equal(np.asarray(array[:]), values):
            array.resize(values.shape)
            array[:] = values


@dataclass(frozen=True)
class RowArray:
    """The array as its metadata describe it at one moment.

    Attributes:
        root: The store's folder.
        labels: Which slot is which row.
        words: W.
        chunk: Words of an inner chunk.
        compressed: Whether inner chunks are something else than plain little-endian words.
    """

    root: Path
    labels: Labels
    words: int
    chunk: int
    compressed: bool

    @classmethod
    def open(cls, root: Path, layout: ParameterLayout) -> RowArray:
        """Read and check the array's metadata.

        Raises:
            StoreError: They are missing, damaged, or not what the format says.
        """
        path = root / ARRAY / METADATA
        document = read_json(path)
        if document is None:
            raise StoreError(f"the store '{root}' has lost its array '{ARRAY}'.", "restore it from a copy.")
        try:
            labels = Labels.from_json(document["attributes"])
            words, chunk, compressed = _geometry(document, labels)
            if words != words_for(layout.size):
                raise ValueError(f"{words} words cannot hold {layout.size} parameters")
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise StoreError(f"'{path}' is not as the format says: {error}.", "restore it from a copy.") from error
        return cls(root, labels, words, chunk, compressed)

    @property
    def chunks(self) -> int:
        """Inner chunks in a row's object."""
        return -(-self.words // self.chunk)

    @property
    def object_bytes(self) -> int:
        """Size of an uncompressed row's object: its chunks, then their index and its checksum."""
        return self.chunks * (self.chunk * 8 + _INDEX_ENTRY) + _CRC

    def slot(self, key: RowKey) -> Slot:
        """Return the place of a committed row.

        Raises:
            StoreError: The labels do not know it.
        """
        slot = self.labels.slot(key)
        if slot is None:
            raise StoreError(
                f"the row {key} is committed, but the array of '{self.root}' has no label for it.",
                "its metadata are damaged; restore them from a copy.",
            )
        return slot

    def object_path(self, slot: Slot) -> Path:
        """Return the file that holds the row at `slot`."""
        return self.root.joinpath(ARRAY, "c", *map(str, slot), "0")

    def lock_path(self, slot: Slot | None = None) -> Path:
        """Return the lock file of a row, or of the metadata."""
        return self.root / ARRAY / (".lock" if slot is None else f".lock-{'-'.join(map(str, slot))}")

    def grow(self, labels: Labels) -> None:
        """Make room for new labels; the metadata lock must be held.

        Shape and labels stand in one document, so that no reader ever sees one without the other.
        """
        path = self.root / ARRAY / METADATA
        document = read_json(path)
        if document is None:
            raise StoreError(f"the store '{self.root}' has lost its array '{ARRAY}'.", "restore it from a copy.")
        with os_errors("write to", self.root):
            write_coordinates(self.root, labels)
            shape = [*labels.shape, self.words]
            attributes = {**document["attributes"], **labels.to_json()}
            write_json(path, {**document, "shape": shape, "attributes": attributes})

    def write(self, slot: Slot, bits: Words) -> int:
        """Write a row's object, see it to the disk and return its size; the row's lock must be held."""
        import zarr

        path = self.object_path(slot)
        with os_errors("write to", self.root):
            if path.parent.exists():
                # What a killed writer left: nobody else writes here while the lock is held. An object that is
                # still there would be read and merged by Zarr before it writes.
                for left in path.parent.iterdir():
                    left.unlink()
            array = zarr.open_array(store=self.root, path=ARRAY, mode="r+")
            # Zarr leaves out chunks of zeros unless told otherwise, and a row of zeros altogether.
            array.with_config({"write_empty_chunks": True})[(*slot, slice(None))] = bits
            sync(path)
            sync(path.parent)
            return path.stat().st_size

    def read(self, slots: Sequence[tuple[RowKey, Slot]], start: int, stop: int) -> Words:
        """Return words `start` up to `stop` of each row: uint64 [n, stop − start].

        Raises:
            StoreError: An object is missing or damaged in a way that shows; a flipped bit does not.
        """
        out = np.empty((len(slots), stop - start), np.uint64)
        if not out.size:
            return out
        read = self._read_zarr if self.compressed or sys.byteorder == "big" else self._read_plain
        for row, (key, slot) in zip(out, slots, strict=True):
            try:
                read(slot, start, stop, row)
            except FileNotFoundError:
                raise StoreError(
                    f"the row {key} is committed, but its object '{self.object_path(slot)}' is missing.",
                    self.redo_hint(key),
                ) from None
            # RuntimeError is what decompression raises.
            except (OSError, ValueError, RuntimeError) as error:
                raise StoreError(
                    f"the row {key} cannot be read: {error}.",
                    self.redo_hint(key),
                ) from error
        return out

    def redo_hint(self, key: RowKey) -> str:
        """Say how a damaged row is made whole."""
        return f"run verify; to build the row again, delete '{self.root / key.node}' first."

    def _read_plain(self, slot: Slot, start: int, stop: int, out: Words) -> None:
        """Fill `out` from the object's own bytes."""
        with self.object_path(slot).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size != self.object_bytes:
                raise ValueError(f"its object has {size} bytes instead of {self.object_bytes}")
            first, last = start // self.chunk, -(-stop // self.chunk)
            data_end = self.chunks * self.chunk * 8
            file.seek(data_end + first * _INDEX_ENTRY)
            index = np.frombuffer(file.read((last - first) * _INDEX_ENTRY), "<u8").reshape(-1, 2)
            for number, (offset, length) in enumerate(index.tolist(), start=first):
                if length != self.chunk * 8 or offset + length > data_end:
                    raise ValueError("the index of its object is damaged")
                low, high = max(start, number * self.chunk), min(stop, (number + 1) * self.chunk)
                part = out[low - start : high - start].data.cast("B")
                file.seek(offset + (low - number * self.chunk) * 8)
                if file.readinto(part) != part.nbytes:
                    raise ValueError("its object ended early")

    def _read_zarr(self, slot: Slot, start: int, stop: int, out: Words) -> None:
        """Fill `out` through Zarr, which also reads compressed objects."""
        import zarr

        # Zarr reads a missing object, or an empty one, as zeros.
        if self.object_path(slot).stat().st_size == 0:
            raise ValueError("its object is empty")
        array = zarr.open_array(store=self.root, path=ARRAY, mode="r")
        out[:] = np.asarray(array[(*slot, slice(start, stop))])


def _geometry(document: Mapping[str, Any], labels: Labels) -> tuple[int, int, bool]:
    """Return (words, words of an inner chunk, compressed) of an array document that is as the format says."""
    shape = tuple(document["shape"])
    if shape[:-1] != labels.shape or len(shape) != len(DIMENSIONS):
        raise ValueError(f"shape {list(shape)} does not fit {list(labels.shape)} labels")
    if tuple(document["dimension_names"]) != DIMENSIONS or document["data_type"] != "uint64":
        raise ValueError("not a uint64 array of density, seed, language and word")
    if document["chunk_key_encoding"] != {"name": "default", "configuration": {"separator": "/"}}:
        raise ValueError("unknown chunk keys")
    (sharding,) = document["codecs"]
    configuration = sharding["configuration"]
    inner = [codec["name"] for codec in configuration["codecs"]]
    if sharding["name"] != "sharding_indexed" or inner[0] != "bytes":
        raise ValueError("rows are not shards of words")
    *ones, chunk = configuration["chunk_shape"]
    shard = tuple(document["chunk_grid"]["configuration"]["chunk_shape"])
    words = shape[-1]
    if ones != [1, 1, 1] or chunk < 1 or shard != (1, 1, 1, -(-words // chunk) * chunk):
        raise ValueError("a row is not one object")
    plain = (
        inner == ["bytes"]
        and configuration["codecs"][0]["configuration"]["endian"] == "little"
        and configuration.get("index_location", "end") == "end"
        and [codec["name"] for codec in configuration["index_codecs"]] == _INDEX_CODECS
    )
    return words, chunk, not plain
