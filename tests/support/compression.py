"""Compression of bytes for which the standard library has no module."""

from __future__ import annotations

import pyarrow as pa


def zstd(data: bytes) -> bytes:
    """Return the bytes as a Zstandard stream."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())
