"""Rows read by columns have the same bits for every storage and compressor."""

import os
import resource
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsns_stream.errors import LanguageError, StoreError
from xsns_stream.store import columns as columns_module
from xsns_stream.store import open_store
from xsns_stream.store import row_array as row_array_module
from xsns_stream.store.shards import Geometry, LocalRow, ranges, runs_of
from xsns_stream.types import LayerSpan, ParameterLayout

CODES = ("yo", "sw", "rw", "zh-Hant", "en")
KINDS = ("folder", "folder-zstd", "memory", "memory-zstd")


@pytest.fixture
def make_store(tmp_path, request, networks):
    def make(kind, layout, codes=CODES):
        where = tmp_path / kind if kind.startswith("folder") else f"memory://{request.node.nodeid}/{kind}"
        store = open_store(where, "a", compressor="zstd" if kind.endswith("zstd") else "none")
        for code in codes:
            store.write(networks.make_sub(code, layout=layout))
        return store

    return make


def read(store, codes, start, stop, stride=0):
    with store.columns(codes, 0, 0.15) as columns:
        room = np.full((len(codes), stop - start + stride), 7, np.uint64)
        columns.read(start, stop, room[:, : stop - start])
        assert (room[:, stop - start :] == 7).all()
        assert (columns.rows, columns.words) == (len(codes), -(-store.layout.size // 64))
        return room[:, : stop - start]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("piece_words", [1, 4, 1 << 18])
def test_blocks_equal_the_rows(make_store, networks, monkeypatch, kind, piece_words):
    monkeypatch.setattr(row_array_module, "PIECE_WORDS", piece_words)
    layout = networks.make_layout(3, 192 + 64)
    store = make_store(kind, layout)
    expected = np.stack([networks.make_sub(code, layout=layout).bits for code in CODES[:3]])
    for start, stop in [(0, 12), (0, 1), (3, 5), (4, 8), (7, 7), (11, 12)]:
        assert np.array_equal(read(store, CODES[:3], start, stop, stride=3), expected[:, start:stop])
    assert read(store, (), 0, 12).shape == (0, 12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("piece_words", [1, 4, 1 << 18])
def test_a_range_of_columns_has_the_words_of_the_rows(make_store, networks, monkeypatch, kind, piece_words):
    monkeypatch.setattr(row_array_module, "PIECE_WORDS", piece_words)
    layout = networks.make_layout(3, 192 + 64)
    store = make_store(kind, layout, CODES[:2])
    expected = np.stack([networks.make_sub(code, layout=layout).bits for code in CODES[:2]])
    array, records = store.records_at(CODES[:2], 0, 0.15)
    for first, last in [(0, 12), (3, 5), (4, 8), (11, 12), (7, 7)]:
        with columns_module.open_columns(array, records, (first, last)) as columns:
            assert (columns.rows, columns.words) == (2, last - first)
            out = np.full((2, last - first), 7, np.uint64)
            columns.read(0, last - first, out)
            assert np.array_equal(out, expected[:, first:last])
            for outside in ((-1, 0), (0, last - first + 1)):
                with pytest.raises(ValueError, match="of 2 rows of"):
                    columns.read(*outside, out)


@settings(max_examples=25)
@given(words=st.integers(1, 60), chunk=st.integers(1, 70), order=st.randoms(use_true_random=False), data=st.data())
def test_any_order_of_chunks_is_read_by_the_index(words, chunk, order, data):
    import google_crc32c

    geometry = Geometry(words, chunk)
    positions = list(range(geometry.chunks))
    order.shuffle(positions)
    bits = np.arange(1, geometry.chunks * chunk + 1, dtype=np.uint64).reshape(-1, chunk)
    body = np.empty_like(bits)
    body[positions] = bits
    index = np.array([(position * chunk * 8, chunk * 8) for position in positions], "<u8").tobytes()
    index += int(google_crc32c.value(index)).to_bytes(4, "little")
    assert len(body.tobytes() + index) == geometry.object_bytes
    start = data.draw(st.integers(0, words))
    stop = data.draw(st.integers(start, words))
    runs = runs_of(index, geometry)
    assert positions != sorted(positions) or len(runs) == 1
    flat = body.tobytes()
    got = b"".join(flat[offset : offset + (high - low) * 8] for low, high, offset in ranges(runs, start, stop))
    assert got == bits.reshape(-1)[start:stop].tobytes()
    with tempfile.NamedTemporaryFile() as file:
        file.write(flat + index)
        file.flush()
        row = LocalRow(file.name, geometry, keep_open=data.draw(st.booleans()))
        out = np.empty(stop - start, np.uint64)
        row.read(start, out)
        row.close()
    assert out.tobytes() == got


def test_many_rows_need_few_files(make_store, networks, monkeypatch):
    monkeypatch.setattr(columns_module, "MOST_OPEN", 6)
    layout = networks.make_layout(1, 128)
    codes = [f"x{n}" for n in range(40)]
    store = make_store("folder", layout, codes)
    before = len(list(Path("/dev/fd").iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 12, hard))
    try:
        words = read(store, codes, 0, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert np.array_equal(words, [networks.make_sub(code, layout=layout).bits for code in codes])
    assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.parametrize("kind", KINDS)
def test_threads_read_at_once(make_store, networks, kind):
    layout = networks.make_layout(2, 6400)
    store = make_store(kind, layout)
    expected = np.stack([networks.make_sub(code, layout=layout).bits for code in CODES])
    wrong = []

    def work(first):
        for start in range(first, 200, 8):
            out = np.empty((len(CODES), 5), np.uint64)
            columns.read(start % 195, start % 195 + 5, out)
            if not np.array_equal(out, expected[:, start % 195 : start % 195 + 5]):
                wrong.append(start)

    with store.columns(CODES, 0, 0.15) as columns:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_copies_take_a_bounded_memory(make_store, networks):
    """Only parts of a row are in memory at a time; a row here has 16 MB."""
    import tracemalloc

    store = make_store("folder-zstd", networks.make_layout(16, 8_000_032), CODES)
    assert store.info()["inner_chunk_words"] == row_array_module.PIECE_WORDS
    with store.columns(("sw",), 0, 0.15):
        pass
    tracemalloc.start()
    try:
        with store.columns(CODES, 0, 0.15):
            assert tracemalloc.get_traced_memory()[1] < 16e6
    finally:
        tracemalloc.stop()


# -------------------------------------------------------------------------------------------- refusals


def test_an_output_of_another_shape_is_refused(filled):
    with filled.columns(("sw", "yo"), 0, 0.15) as columns:
        for start, stop, shape in [(0, 10, (2, 10)), (3, 2, (2, 0)), (0, 3, (1, 3)), (0, 3, (2, 4))]:
            with pytest.raises(ValueError, match="of 2 rows of 9"):
                columns.read(start, stop, np.empty(shape, np.uint64))


def test_missing_rows_are_refused(filled):
    with pytest.raises(LanguageError, match="no sub-network of 'fr'"), filled.columns(("sw", "fr"), 0, 0.15):
        pass
    with pytest.raises(StoreError, match=r"has no row 'sw' \(seed 4"), filled.columns(("sw",), 4, 0.15):
        pass


@pytest.mark.parametrize("compressor", ["none", "zstd"])
@pytest.mark.parametrize("size", [0, 1, 40, -1])
def test_truncated_objects_name_their_row(path, networks, object_of, compressor, size):
    store = open_store(path, "a", compressor=compressor)
    for code in ("sw", "rw"):
        store.write(networks.make_sub(code))
    file = object_of("rw")
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(StoreError, match=r"the row 'rw' \(seed 0, density 0.15\) cannot be read") as caught:
        read(store, ("sw", "rw"), 0, 9)
    assert "commits/0.15/0/rw" in caught.value.hint


@pytest.mark.parametrize("most_open", [0, 100])
def test_an_object_that_is_truncated_or_removed_while_it_is_read_is_an_error(filled, object_of, monkeypatch, most_open):
    monkeypatch.setattr(columns_module, "MOST_OPEN", most_open)
    out = np.empty((2, 9), np.uint64)
    with filled.columns(("sw", "rw"), 0, 0.15) as columns:
        os.truncate(object_of("rw"), 30)
        with pytest.raises(StoreError, match=r"the row 'rw' .* cannot be read: its object (has 30|ended early)"):
            columns.read(0, 9, out)
        object_of("sw").unlink()
        if most_open == 0:
            with pytest.raises(StoreError, match=r"the row 'sw' .* cannot be read: .*No such file"):
                columns.read(0, 9, out)


@pytest.mark.parametrize("offset", [9 * 8 + 8, -1])
def test_a_damaged_index_is_an_error(filled, object_of, offset):
    data = bytearray(object_of("sw").read_bytes())
    data[offset] ^= 1
    object_of("sw").write_bytes(data)
    with pytest.raises(StoreError, match=r"the row 'sw' .*: the index of its object is damaged"):
        read(filled, ("sw",), 0, 9)


def test_copies_are_compared_with_their_records(make_store, networks):
    store = make_store("memory", networks.make_layout())
    key = "subnetworks/c/0/0/1/0"
    data = bytearray(store.storage.read(key))
    data[5] ^= 1
    store.storage.write(key, bytes(data))
    with pytest.raises(StoreError, match=r"the row 'sw' .* does not contain the bits that were committed"):
        read(store, CODES, 0, 9)


def test_copies_without_room_are_refused(make_store, networks, monkeypatch):
    store = make_store("memory", networks.make_layout())
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(StoreError, match=r"no room in .* for copies of rows, which need 144 bytes") as caught:
        read(store, CODES[:2], 0, 9)
    assert "TMPDIR" in caught.value.hint


def test_a_layout_may_have_one_bit(make_store, networks):
    layout = ParameterLayout(("t",), ((1,),), (LayerSpan("l", 0, 1),))
    store = make_store("folder", layout, ("sw",))
    assert np.array_equal(read(store, ("sw",), 0, 1)[0], networks.make_sub("sw", layout=layout).bits)


@pytest.mark.parametrize("kind", ["folder", "memory-zstd"])
def test_a_system_without_positioned_reads(kind, make_store, monkeypatch) -> None:
    """Windows has neither `os.preadv` nor the module `resource`."""
    layout = ParameterLayout(("a",), ((200,),), (LayerSpan("a", 0, 200),))
    store = make_store(kind, layout)
    monkeypatch.delattr(os, "preadv")
    with pytest.raises(StoreError) as caught:
        read(store, CODES, 0, 2)
    assert caught.value.message == (
        "the rows of a store cannot be read on this operating system, which has no positioned reads (preadv)."
    )
    assert "Windows Subsystem for Linux" in caught.value.hint
