"""Objects that contain rows: their inner chunks, their shard index, and readers of uncompressed rows.

The object of a row is a Zarr shard: its inner chunks, then their index. The index contains the offset and the length of
each chunk as little-endian uint64, and a CRC-32C of these numbers. The checksum is verified once, when a row is opened.
After that, a block of words can be read as one range of bytes, without Zarr.

A few bytes of a compressed chunk may expand to gigabytes. Before a library decompresses a chunk,
:func:`check_inflation` compares the size that the chunk states with the size that an inner chunk must have.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from xsns_stream.errors import StoreError
from xsns_stream.io.json import FieldError
from xsns_stream.store import schemas
from xsns_stream.store.storage import Storage
from xsns_stream.store.storage.local_files import open_regular
from xsns_stream.types import Words

_INDEX_ENTRY: Final = 16
_CRC: Final = 4
_WORD: Final = 8
#: Offset and length in the index for a missing chunk, which contains zeros.
_MISSING: Final = 2**64 - 1
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
#: Size of the longest header of a compressed chunk, in bytes.
_HEADER: Final = 18
_GZIP_WINDOW: Final = 31


@dataclass(frozen=True)
class Geometry:
    """Sizes of the object that contains an uncompressed row.

    Attributes:
        length: Number of elements in a row: W words, or P Fisher values.
        chunk: Number of elements in an inner chunk.
        width: Size of an element in bytes.
    """

    length: int
    chunk: int
    width: int = _WORD

    @property
    def chunks(self) -> int:
        """The number of inner chunks of the object."""
        return -(-self.length // self.chunk)

    @property
    def chunk_bytes(self) -> int:
        """The size of an inner chunk in bytes."""
        return self.chunk * self.width

    @property
    def index_start(self) -> int:
        """The offset of the index in the object in bytes, which equals the size of all chunks together."""
        return self.chunks * self.chunk_bytes

    @property
    def index_bytes(self) -> int:
        """The size of the index and its checksum in bytes."""
        return self.chunks * _INDEX_ENTRY + _CRC

    @property
    def object_bytes(self) -> int:
        """The size in bytes of the object: its chunks, its index and the checksum."""
        return self.index_start + self.index_bytes

    def index(self) -> bytes:
        """Return the bytes of the index of an object whose chunks are stored in order."""
        import google_crc32c

        entries = [(number * self.chunk_bytes, self.chunk_bytes) for number in range(self.chunks)]
        index = np.array(entries, "<u8").tobytes()
        return index + int(google_crc32c.value(index)).to_bytes(_CRC, "little")


def chunk_of(document: schemas.ArrayOfRows, dimensions: Sequence[str], length: int) -> int:
    """Return the number of elements in an inner chunk, from the metadata of an array of rows.

    Args:
        document: The metadata.
        dimensions: The required names of the axes. The last axis is the position within a row.
        length: Number of elements in a row.

    Raises:
        FieldError: The axes have other names, or a row is divided into several objects.
    """
    sharding, ones = document.codecs[0].configuration, [1] * (len(dimensions) - 1)
    if tuple(document.dimension_names) != tuple(dimensions):
        raise FieldError(f"dimension_names: they must be {', '.join(dimensions)}")
    chunk = sharding.chunk_shape[-1] if sharding.chunk_shape else 0
    if sharding.chunk_shape[:-1] != ones or not 1 <= chunk <= max(1, length):
        raise FieldError("codecs: inner chunks must be pieces of a row")
    if document.chunk_grid.configuration.chunk_shape != [*ones, -(-length // chunk) * chunk]:
        raise FieldError("chunk_grid: a row must be one object")
    return chunk


# ------------------------------------------------------------------------------------ uncompressed rows


class RowReader(Protocol):
    """A row that is open for reading; its size and its index were checked.

    Attributes:
        direct: (file descriptor, byte offset) of an open file that contains all words of the row in order; None if
            there is no such file.
    """

    @property
    def direct(self) -> tuple[int, int] | None:
        """(file descriptor, byte offset) of an open file with all words of the row in order; None if there is none."""

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words of the row that begin at word `start`.

        Several threads may call this method at the same time.
        """

    def close(self) -> None:
        """Close the open file, if there is one."""


#: First word, last word (exclusive), and the byte offset of the first word in the object.
Run = tuple[int, int, int]


def runs_of(index: bytes, geometry: Geometry) -> tuple[Run, ...]:
    """Return where the words of a row are in its object: (first word, last word, byte offset) of each run of words.

    The runs are in the order of the words; the last word is exclusive. Chunks that are adjacent in the object form one
    run.

    Args:
        index: The bytes of the index, from the end of the object.
        geometry: The required sizes of the object.

    Raises:
        ValueError: The index has a wrong size or is damaged.
    """
    import google_crc32c

    if len(index) != geometry.index_bytes:
        size = max(0, geometry.index_start + len(index))
        raise ValueError(f"its object has {size} bytes instead of {geometry.object_bytes}")
    if int(google_crc32c.value(index[:-_CRC])) != int.from_bytes(index[-_CRC:], "little"):
        raise ValueError("the index of its object is damaged")
    runs: list[Run] = []
    for number, (offset, size) in enumerate(np.frombuffer(index[:-_CRC], "<u8").reshape(-1, 2).tolist()):
        if size != geometry.chunk_bytes or offset + size > geometry.index_start:
            raise ValueError("the index of its object is damaged")
        first, last = number * geometry.chunk, min((number + 1) * geometry.chunk, geometry.length)
        if runs and offset == runs[-1][2] + (first - runs[-1][0]) * _WORD:
            runs[-1] = (runs[-1][0], last, runs[-1][2])
        else:
            runs.append((first, last, offset))
    return tuple(runs)


def ranges(runs: tuple[Run, ...], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first word, last word, byte offset) of the parts of `runs` within the words `start` to `stop`.

    The last word and `stop` are exclusive.
    """
    for first, last, offset in runs:
        low, high = max(start, first), min(stop, last)
        if low < high:
            yield low, high, offset + (low - first) * _WORD


class LocalRow:
    """A row in a file, on a little-endian machine.

    Args:
        path: The file that contains the row.
        geometry: The required sizes of the object.
        keep_open: Whether the file stays open between reads; if False, each read opens it again.

    Raises:
        OSError: The file cannot be opened.
        ValueError: The file has a wrong size or a damaged index.
    """

    def __init__(self, path: Path, geometry: Geometry, keep_open: bool = True) -> None:
        self._path, self._geometry = path, geometry
        self._descriptor: int | None = None
        descriptor = self._open()
        try:
            self._runs = runs_of(os.pread(descriptor, geometry.index_bytes, geometry.index_start), geometry)
            if keep_open:
                self._descriptor = descriptor
        finally:
            if self._descriptor is None:
                os.close(descriptor)

    @property
    def direct(self) -> tuple[int, int] | None:
        """(descriptor of the open file, byte offset of the first chunk); None if the chunks are not in order."""
        return (self._descriptor, self._runs[0][2]) if self._descriptor is not None and len(self._runs) == 1 else None

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words of the row that begin at word `start`."""
        descriptor = self._open() if self._descriptor is None else self._descriptor
        try:
            for low, high, offset in ranges(self._runs, start, start + len(out)):
                read_fully(descriptor, out[low - start : high - start], offset)
        finally:
            if self._descriptor is None:
                os.close(descriptor)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        descriptor = open_regular(self._path)
        size = os.fstat(descriptor).st_size
        if size != self._geometry.object_bytes:
            os.close(descriptor)
            raise ValueError(f"its object has {size} bytes instead of {self._geometry.object_bytes}")
        return descriptor


def check_system() -> None:
    """Raise an error if the operating system has no positioned reads (`preadv`).

    Raises:
        StoreError: The operating system is Windows.
    """
    if not hasattr(os, "preadv"):
        raise StoreError(
            "the rows of a store cannot be read on this operating system, which has no positioned reads (preadv).",
            "use Linux or macOS, or the Windows Subsystem for Linux (WSL).",
        )


def read_fully(descriptor: int, out: Words, offset: int) -> None:
    """Fill `out` with the bytes of a file that begin at byte `offset`.

    Raises:
        ValueError: The file ends before `out` is full.
        StoreError: The operating system has no positioned reads.
    """
    check_system()
    done = os.preadv(descriptor, [out.data], offset)
    if done == out.nbytes:
        return
    # One call reads at most 2 GiB, and less if a signal interrupts it.
    rest = out.data.cast("B")
    while done < out.nbytes:
        got = os.preadv(descriptor, [rest[done:]], offset + done)
        if not got:
            raise ValueError("its object ended early")
        done += got


class StoredRow:
    """A row that is read in ranges of bytes through the storage of the store.

    Raises:
        StoreError: The object cannot be read.
        ValueError: The object has a wrong size or a damaged index.
    """

    direct = None

    def __init__(self, storage: Storage, key: str, geometry: Geometry) -> None:
        self._storage, self._key = storage, key
        # One byte more than expected is requested, which shows whether the object is too long.
        self._runs = runs_of(storage.read(key, geometry.index_start, geometry.object_bytes + 1), geometry)

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words of the row that begin at word `start`."""
        for low, high, offset in ranges(self._runs, start, start + len(out)):
            data = self._storage.read(self._key, offset, offset + (high - low) * _WORD)
            if len(data) != (high - low) * _WORD:
                raise ValueError("its object ended early")
            out[low - start : high - start] = np.frombuffer(data, "<u8")

    def close(self) -> None:
        """Do nothing, because no file is open."""


# ----------------------------------------------------------------------------------------- compressed rows


def check_inflation(
    read: Callable[[int, int], bytes], size: int, shard: schemas.ShardSettings, plain: Geometry
) -> None:
    """Check that each inner chunk of a compressed row decompresses to the required size.

    Args:
        read: Returns the bytes from `start` to `stop` (exclusive) of the row's object.
        size: The size of the object in bytes.
        shard: The settings of the shard.
        plain: The sizes of an uncompressed row.

    Raises:
        ValueError: A chunk has a wrong size or is outside the object.
    """
    codecs = [codec for codec in shard.codecs if not isinstance(codec, schemas.BytesCodec)]
    if not codecs:
        return
    entries = plain.chunks * _INDEX_ENTRY
    first = 0 if shard.index_location == "start" else size - entries - _CRC
    index = read(first, first + entries) if first >= 0 else b""
    if len(index) != entries:
        raise ValueError("its object is shorter than its index")
    for offset, length in np.frombuffer(index, "<u8").reshape(-1, 2).tolist():
        if (offset, length) == (_MISSING, _MISSING):
            continue
        if offset + length > size:
            raise ValueError("the index of its object is damaged")
        if _inflated(codecs[0], partial(_up_to, read, offset), length, plain.chunk_bytes) != plain.chunk_bytes:
            raise ValueError("a compressed chunk contains a wrong number of words")


def _up_to(read: Callable[[int, int], bytes], start: int, count: int) -> bytes:
    return read(start, start + count)


def _inflated(codec: object, read: Callable[[int], bytes], length: int, expected: int) -> int | None:
    """Return the decompressed size of a chunk in bytes; None if it cannot be determined.

    Args:
        codec: The compressor of the chunk.
        read: Takes a number of bytes, and returns this many from the beginning of the chunk.
        length: Compressed size of the chunk in bytes.
        expected: Size in bytes that the chunk must have after decompression; at most one byte more is decompressed.
    """
    if isinstance(codec, schemas.BloscCodec):
        return int.from_bytes(read(min(length, _HEADER))[4:8], "little")
    if isinstance(codec, schemas.GzipCodec):
        inflate = zlib.decompressobj(_GZIP_WINDOW)
        try:
            return len(inflate.decompress(read(length), expected + 1))
        except zlib.error:
            return None
    stated = _zstd_size(read(min(length, _HEADER)))
    return stated if stated is not None else _zstd_trial(read(length), expected)


def _zstd_size(header: bytes) -> int | None:
    """Return the decompressed size in bytes that the header of a Zstandard frame states; None if it states no size.

    The result is −1 if the bytes are not the header of a Zstandard frame. The header is specified in RFC 8878,
    section 3.1.1.1.
    """
    if not header.startswith(_ZSTD_MAGIC) or len(header) < 6:
        return -1
    descriptor = header[4]
    kind, single = descriptor >> 6, descriptor >> 5 & 1
    width = (1 if single else 0, 2, 4, 8)[kind]
    if not width:
        return None
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(header[start : start + width], "little")
    return size + 256 if width == 2 else size


def _zstd_trial(data: bytes, expected: int) -> int | None:
    """Return the decompressed size of a Zstandard frame, by decompressing it into a buffer of `expected` bytes.

    The result is None if the frame cannot be decompressed, or does not fit into the buffer.
    """
    from numcodecs import zstd

    try:
        return len(zstd.decompress(data, np.empty(expected, np.uint8)))
    except RuntimeError:
        return None
