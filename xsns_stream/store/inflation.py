"""Whether compressed words are as many as they must be, found out before a library makes room for them.

A few bytes of a compressed chunk may stand for gigabytes. What a chunk says of its size, or the size itself where it
says nothing, is compared with the size of an inner chunk.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from xsns_stream.store import schemas
from xsns_stream.store.plain_rows import Geometry

_WORD: Final = 8
_INDEX_ENTRY: Final = 16
_CRC: Final = 4
#: Offset and length of a chunk that is not there, and counts as zeros.
_NOTHING: Final = 2**64 - 1
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
#: Longest header of a compressed chunk.
_HEADER: Final = 18
_GZIP_WINDOW: Final = 31


def check_inflation(
    read: Callable[[int, int], bytes], size: int, shard: schemas.ShardSettings, plain: Geometry
) -> None:
    """Check that each inner chunk of a compressed row has as many bytes as it must.

    Args:
        read: Returns bytes `start` up to `stop` of the row's object.
        size: Of the object.
        shard: What it is made of.
        plain: Sizes of a row that is not compressed.

    Raises:
        ValueError: A chunk has another size, or lies outside the object.
    """
    codecs = [codec for codec in shard.codecs if not isinstance(codec, schemas.BytesCodec)]
    if not codecs:
        return
    taken = plain.chunks * _INDEX_ENTRY
    first = 0 if shard.index_location == "start" else size - taken - _CRC
    index = read(first, first + taken) if first >= 0 else b""
    if len(index) != taken:
        raise ValueError("its object is shorter than its index")
    for offset, length in np.frombuffer(index, "<u8").reshape(-1, 2).tolist():
        if (offset, length) == (_NOTHING, _NOTHING):
            continue
        if offset + length > size:
            raise ValueError("the index of its object is damaged")
        found = _inflated(codecs[0], partial(_up_to, read, offset), length, plain.chunk * _WORD)
        if found != plain.chunk * _WORD:
            raise ValueError("a compressed chunk does not hold as many words as it must")


def _up_to(read: Callable[[int, int], bytes], start: int, count: int) -> bytes:
    return read(start, start + count)


def _inflated(codec: object, read: Callable[[int], bytes], length: int, expected: int) -> int | None:
    """Return the bytes that a chunk is decompressed to; None where that is not to be had with `expected` bytes."""
    if isinstance(codec, schemas.BloscCodec):
        return int.from_bytes(read(min(length, _HEADER))[4:8], "little")
    if isinstance(codec, schemas.GzipCodec):
        inflate = zlib.decompressobj(_GZIP_WINDOW)
        try:
            return len(inflate.decompress(read(length), expected + 1))
        except zlib.error:
            return None
    header = read(min(length, _HEADER))
    told = _zstd_size(header)
    return told if told is not None else _zstd_trial(read(length), expected)


def _zstd_size(header: bytes) -> int | None:
    """Return the size that the header of a Zstandard frame states; None where it states none (RFC 8878, 3.1.1.1)."""
    if not header.startswith(_ZSTD_MAGIC) or len(header) < 6:
        return -1
    descriptor = header[4]
    kind, single = descriptor >> 6, descriptor >> 5 & 1
    width = (1 if single else 0, 2, 4, 8)[kind]
    if not width:
        return None
    start = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    found = int.from_bytes(header[start : start + width], "little")
    return found + 256 if width == 2 else found


def _zstd_trial(data: bytes, expected: int) -> int | None:
    """Decompress a frame that does not state its size into as much room as it may take."""
    from numcodecs import zstd

    try:
        return len(zstd.decompress(data, np.empty(expected, np.uint8)))
    except RuntimeError:
        return None
