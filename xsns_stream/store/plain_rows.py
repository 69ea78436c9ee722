"""Rows of plain little-endian words: read straight from their bytes, without Zarr.

An object is its inner chunks, then their index: for each chunk its offset and length as little-endian uint64, and the
CRC-32C of all of that. The index is checked once when a row is opened; then a block of words is one range of bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from xsns_stream.store.storage.local import open_regular
from xsns_stream.store.storage.open import Place
from xsns_stream.types import Words

_INDEX_ENTRY = 16
_CRC = 4
_WORD = 8


class RowReader(Protocol):
    """One row, opened and checked.

    Attributes:
        direct: Descriptor and byte offset of an open file in which all words of the row stand in order; None where
            there is none.
    """

    @property
    def direct(self) -> tuple[int, int] | None:
        """Where the words can be read from without asking this reader."""

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words from `start` on; may be called from several threads at once."""

    def close(self) -> None:
        """Let go of what is open."""


@dataclass(frozen=True)
class Geometry:
    """Sizes of an uncompressed row's object.

    Attributes:
        words: W.
        chunk: Words of an inner chunk.
    """

    words: int
    chunk: int

    @property
    def chunks(self) -> int:
        """Inner chunks in a row's object."""
        return -(-self.words // self.chunk)

    @property
    def index_start(self) -> int:
        """Bytes of all chunks."""
        return self.chunks * self.chunk * _WORD

    @property
    def object_bytes(self) -> int:
        """Size of the object: its chunks, then their index and its checksum."""
        return self.index_start + self.chunks * _INDEX_ENTRY + _CRC


#: Words `first` up to `last` stand in an object from byte `offset` on.
Run = tuple[int, int, int]


def runs_of(index: bytes, geometry: Geometry) -> tuple[Run, ...]:
    """Return where the words of a row stand, from the end of its object; chunks in order are one run.

    Raises:
        ValueError: The index has another size than it must, or is damaged.
    """
    import google_crc32c

    expected = geometry.chunks * _INDEX_ENTRY + _CRC
    if len(index) != expected:
        found = max(0, geometry.index_start + len(index))
        raise ValueError(f"its object has {found} bytes instead of {geometry.object_bytes}")
    if int(google_crc32c.value(index[:-_CRC])) != int.from_bytes(index[-_CRC:], "little"):
        raise ValueError("the index of its object is damaged")
    runs: list[Run] = []
    length = geometry.chunk * _WORD
    for number, (offset, size) in enumerate(np.frombuffer(index[:-_CRC], "<u8").reshape(-1, 2).tolist()):
        if size != length or offset + size > geometry.index_start:
            raise ValueError("the index of its object is damaged")
        first, last = number * geometry.chunk, min((number + 1) * geometry.chunk, geometry.words)
        if runs and offset == runs[-1][2] + (first - runs[-1][0]) * _WORD:
            runs[-1] = (runs[-1][0], last, runs[-1][2])
        else:
            runs.append((first, last, offset))
    return tuple(runs)


def ranges(runs: tuple[Run, ...], start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yield (first word, last word, byte offset) of the ranges that hold words `start` up to `stop`."""
    for first, last, offset in runs:
        low, high = max(start, first), min(stop, last)
        if low < high:
            yield low, high, offset + (low - first) * _WORD


class LocalRow:
    """A row that is a file. Needs a little-endian machine.

    Args:
        path: The row's object.
        geometry: Sizes that it must have.
        keep_open: Whether to hold the file open between reads; otherwise each read opens it again.

    Raises:
        OSError: It cannot be opened.
        ValueError: It has another size, or a damaged index.
    """

    def __init__(self, path: Path, geometry: Geometry, keep_open: bool = True) -> None:
        self._path, self._geometry = path, geometry
        self._kept: int | None = None
        descriptor = self._open()
        try:
            start = geometry.index_start
            self._runs = runs_of(os.pread(descriptor, geometry.object_bytes - start, start), geometry)
            if keep_open:
                self._kept = descriptor
        finally:
            if self._kept is None:
                os.close(descriptor)

    @property
    def direct(self) -> tuple[int, int] | None:
        """The file, where it is held open and its chunks are in order."""
        return (self._kept, self._runs[0][2]) if self._kept is not None and len(self._runs) == 1 else None

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words from `start` on."""
        descriptor = self._open() if self._kept is None else self._kept
        try:
            for low, high, offset in ranges(self._runs, start, start + len(out)):
                read_fully(descriptor, out[low - start : high - start], offset)
        finally:
            if self._kept is None:
                os.close(descriptor)

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        if self._kept is not None:
            os.close(self._kept)
            self._kept = None

    def _open(self) -> int:
        descriptor = open_regular(self._path)
        size = os.fstat(descriptor).st_size
        if size != self._geometry.object_bytes:
            os.close(descriptor)
            raise ValueError(f"its object has {size} bytes instead of {self._geometry.object_bytes}")
        return descriptor


def read_fully(descriptor: int, out: Words, offset: int) -> None:
    """Fill `out` from a file, from byte `offset` on.

    Raises:
        ValueError: The file ends before.
    """
    done = os.preadv(descriptor, [out.data], offset)
    if done == out.nbytes:
        return
    # One call reads 2 GiB at most, and less where a signal comes in between.
    rest = out.data.cast("B")
    while done < out.nbytes:
        got = os.preadv(descriptor, [rest[done:]], offset + done)
        if not got:
            raise ValueError("its object ended early")
        done += got


class PlacedRow:
    """A row that is an object of any place.

    Raises:
        StoreError: It cannot be read.
        ValueError: It has another size, or a damaged index.
    """

    direct = None

    def __init__(self, place: Place, key: str, geometry: Geometry) -> None:
        self._place, self._key = place, key
        # One byte more than there must be tells that an object is too long, however long it is.
        self._runs = runs_of(place.read(key, geometry.index_start, geometry.object_bytes + 1), geometry)

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words from `start` on."""
        for low, high, offset in ranges(self._runs, start, start + len(out)):
            data = self._place.read(self._key, offset, offset + (high - low) * _WORD)
            if len(data) != (high - low) * _WORD:
                raise ValueError("its object ended early")
            out[low - start : high - start] = np.frombuffer(data, "<u8")

    def close(self) -> None:
        """Nothing is open."""
