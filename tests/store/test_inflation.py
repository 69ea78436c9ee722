"""Compressed rows that decompress to too many bytes are refused before memory is allocated."""

import gzip
import json
import resource

import google_crc32c
import numpy as np
import pytest
from numcodecs import blosc, zstd

from xsns_stream.errors import StoreError
from xsns_stream.store import open_store

CODECS = {
    "zstd": ({"level": 1}, lambda data: bytes(zstd.compress(data, 1))),
    "gzip": ({"level": 6}, lambda data: gzip.compress(data, 6)),
    "blosc": (
        {"cname": "lz4", "clevel": 5, "shuffle": "noshuffle", "blocksize": 0, "typesize": 8},
        lambda data: blosc.compress(data, b"lz4", 5, 0),
    ),
}


@pytest.fixture(params=list(CODECS))
def codec(request):
    return request.param


@pytest.fixture
def remade(filled, path, networks, codec):
    """Return a function that rewrites a row of a store with another compression or with other chunks."""
    settings, compress = CODECS[codec]
    document = json.loads((path / "subnetworks/zarr.json").read_text())
    document["codecs"][0]["configuration"]["codecs"].append({"name": codec, "configuration": settings})
    (path / "subnetworks/zarr.json").write_text(json.dumps(document))
    size = 8 * document["codecs"][0]["configuration"]["chunk_shape"][-1]
    words = networks.make_sub("sw").bits.astype("<u8").tobytes()
    parts = [words[start : start + size].ljust(size, b"\0") for start in range(0, len(words), size)]

    def write(chunks=None):
        chunks = [compress(part) for part in parts] if chunks is None else chunks(parts)
        starts = np.cumsum([0, *map(len, chunks)])[:-1].tolist()
        index = np.array(list(zip(starts, map(len, chunks), strict=True)), "<u8").tobytes()
        index += int(google_crc32c.value(index)).to_bytes(4, "little")
        path.joinpath("subnetworks/c", *map(str, filled.record("sw").slot), "0").write_bytes(b"".join(chunks) + index)
        return open_store(path)

    return write


def test_a_sound_compressed_row_is_read(remade, networks):
    assert remade().read("sw").bits.tolist() == networks.make_sub("sw").bits.tolist()


def test_a_decompression_bomb_is_refused(remade, codec):
    bomb = CODECS[codec][1](bytes(200_000_000 if codec == "gzip" else 1_000_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store = remade(lambda parts: [bomb, *parts[1:]])
    with pytest.raises(StoreError, match=r"the row 'sw' .* cannot be read: (a compressed chunk|its object has)"):
        store.read("sw")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_small_chunk_that_is_too_long_or_too_short_is_refused(remade, codec):
    for change in (lambda part: part + bytes(8), lambda part: part[:-8]):
        store = remade(lambda parts, change=change: [CODECS[codec][1](change(part)) for part in parts])
        with pytest.raises(StoreError, match="a compressed chunk contains a wrong number of words"):
            store.read("sw")


@pytest.mark.parametrize("codec", ["zstd"], indirect=True)
def test_a_frame_that_does_not_state_its_size_is_read(remade, networks):
    def frame(data):
        """Return a frame that contains the bytes as one uncompressed block."""
        return b"\x28\xb5\x2f\xfd\x00\x60" + (len(data) << 3 | 1).to_bytes(3, "little") + data

    store = remade(lambda parts: [frame(part) for part in parts])
    assert store.read("sw").bits.tolist() == networks.make_sub("sw").bits.tolist()
    for change in (lambda part: part + bytes(8), lambda part: part[:-8], lambda part: b""):
        store = remade(lambda parts, change=change: [frame(change(part)) for part in parts])
        with pytest.raises(StoreError, match=r"the row 'sw' .* cannot be read"):
            store.read("sw")
