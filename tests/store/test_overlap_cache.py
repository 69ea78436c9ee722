"""Cached overlap counts: which rows are read again, and which counts are not used."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr

from xsns_stream.errors import StoreError
from xsns_stream.similarity import count_overlaps, count_overlaps_by_seed
from xsns_stream.store import open_store
from xsns_stream.store.overlap_cache import overlap_cache
from xsns_stream.types import CachedOverlaps

CODES = ("en", "fi", "rw", "sw", "xh", "yo")


class Watched:
    """A store that records which rows were opened."""

    def __init__(self, store):
        self._store, self.opened = store, []

    def __getattr__(self, name):
        return getattr(self._store, name)

    @contextmanager
    def columns(self, languages, seed, density):
        self.opened.append(tuple(languages))
        with self._store.columns(languages, seed, density) as columns:
            yield columns

    def taken(self):
        """Return the languages that were opened since the last call."""
        opened, self.opened = [code for rows in self.opened for code in rows], []
        return opened


@pytest.fixture
def store(path, networks):
    store = open_store(path, "a")
    for code in CODES:
        store.write(networks.make_sub(code))
    return Watched(store)


def exact(store, **options):
    """Return the counts, computed without a cache."""
    counts = count_overlaps(store, **options)
    store.taken()
    return counts


def replace_row(store, networks, code, seed=0):
    """Build a row again, with other bits."""
    store.discard(code, 0, 0.15)
    store.write(networks.make_sub(code, bits=networks.make_sub("new bits", seed + 5).bits))


def arrays(path):
    return sorted(file.parent for file in (path / "overlaps").glob("*/*/*/zarr.json"))


def test_cached_rows_are_not_read_again(store):
    cache, expected = overlap_cache(store), exact(store)
    first = count_overlaps(store, cache=cache)
    assert sorted(store.taken()) == sorted(CODES)
    progress = []
    second = count_overlaps(store, cache=cache, on_progress=lambda *done: progress.append(done))
    assert store.taken() == []
    assert progress == [(9, 9)]
    for counts in (first, second):
        assert counts.languages == expected.languages
        assert counts.intersection.tolist() == expected.intersection.tolist()
        assert (counts.size, counts.seed, counts.density) == (expected.size, 0, 0.15)


def test_a_subset_in_another_order_comes_from_the_cache(store, path):
    cache = overlap_cache(store)
    count_overlaps(store, cache=cache)
    cached = arrays(path)
    store.taken()
    some = count_overlaps(store, languages=("yo", "en", "sw"), cache=cache)
    rectangle = count_overlaps(store, sources=("yo", "fi"), targets=("fi", "sw"), cache=cache)
    assert store.taken() == []
    assert some.languages == ("yo", "en", "sw")
    assert some.intersection.tolist() == exact(store, languages=("yo", "en", "sw")).intersection.tolist()
    again = exact(store, sources=("yo", "fi"), targets=("fi", "sw"))
    for field in ("intersection", "source_cardinality", "target_cardinality"):
        assert getattr(rectangle, field).tolist() == getattr(again, field).tolist()
    assert arrays(path) == cached, "the cached counts of all languages do not change"


def test_only_a_new_language_is_counted(store, path, networks):
    cache = overlap_cache(store)
    count_overlaps(store, cache=cache)
    store.taken()
    store.write(networks.make_sub("de"))
    calls = []

    @contextmanager
    def counting(languages, seed, density):
        with Watched.columns(store, languages, seed, density) as columns:
            read_block = columns.read

            def watched(start, stop, out):
                calls.append((start, stop, len(out)))
                read_block(start, stop, out)

            columns.read = watched
            yield columns

    store.columns = counting
    grown = count_overlaps(store, cache=cache)
    del store.columns
    # One row is compared with all rows: the new row is read first, and every word of every row is read once.
    assert store.taken() == ["de", *CODES]
    assert sum((stop - start) * rows for start, stop, rows in calls) == 7 * 9
    assert grown.intersection.tolist() == exact(store).intersection.tolist()
    count_overlaps(store, cache=cache)
    assert store.taken() == []
    assert len(arrays(path)) == 1, "older generations are removed"


def test_a_row_that_was_built_again_is_counted_again(store, networks):
    cache = overlap_cache(store)
    before = count_overlaps(store, cache=cache)
    store.taken()
    replace_row(store, networks, "rw")
    assert (
        count_overlaps(store, sources=["rw"], targets=["sw"], cache=cache).intersection[0, 0]
        == (exact(store, languages=("rw", "sw")).intersection[0, 1])
    )
    after = count_overlaps(store, cache=cache)
    assert store.taken()[0] == "rw"
    assert after.intersection.tolist() == exact(store).intersection.tolist()
    assert after.intersection.tolist() != before.intersection.tolist()


def test_many_new_languages_are_counted_as_a_square(store, networks):
    cache = overlap_cache(store)
    count_overlaps(store, languages=("en", "fi"), cache=cache)
    store.taken()
    counts = count_overlaps(store, cache=cache)
    assert store.taken() == list(CODES)
    assert counts.intersection.tolist() == exact(store).intersection.tolist()


def test_a_removed_language_is_left_out_of_cached_counts(store, path):
    cache = overlap_cache(store)
    count_overlaps(store, cache=cache)
    store.discard("fi", 0, 0.15)
    store.taken()
    counts = count_overlaps(store, cache=cache)
    assert (counts.languages, store.taken()) == (("en", "rw", "sw", "xh", "yo"), [])
    assert counts.intersection.tolist() == exact(store).intersection.tolist()


def test_a_smaller_comparison_does_not_replace_a_larger_one(store, networks, path):
    cache = overlap_cache(store)
    count_overlaps(store, languages=CODES[:5], cache=cache)
    count_overlaps(store, languages=("en", "yo"), cache=cache)
    assert cache.load(0, 0.15).languages == CODES[:5]
    count_overlaps(store, cache=cache)
    assert cache.load(0, 0.15).languages == CODES


def test_recounting_a_few_languages_does_not_replace_all(store, path):
    count_overlaps(store, cache=overlap_cache(store))
    before = arrays(path)
    count_overlaps(store, languages=CODES[:2], cache=overlap_cache(store, use=False))
    assert arrays(path) == before


def test_seeds_have_separate_counts(store, networks, path):
    for code in CODES:
        store.write(networks.make_sub(code, seed=3))
    cache = overlap_cache(store)
    counts = count_overlaps_by_seed(store, cache=cache)
    assert [file.parent.name for file in arrays(path)] == ["0", "3"]
    again = count_overlaps_by_seed(store, cache=cache)
    for one, other in zip(counts, again, strict=True):
        assert one.seed == other.seed
        assert one.intersection.tolist() == other.intersection.tolist()
        assert one.intersection.tolist() == exact(store, seed=one.seed).intersection.tolist()


def test_any_reader_of_zarr_can_open_it(store, path):
    counts = count_overlaps(store, cache=overlap_cache(store))
    (node,) = arrays(path)
    array = zarr.open_array(path, path=str(node.relative_to(path)), mode="r")
    assert np.asarray(array[:]).tolist() == counts.intersection.tolist()
    assert array.attrs["languages"] == list(CODES)
    assert array.attrs["rows_sha256"] == [store.record(code).sha256 for code in CODES]
    assert array.metadata.dimension_names == ("language", "other")
    group = zarr.open_group(path, mode="r")
    assert "overlaps" in group
    assert [name for name, _ in group["overlaps/0.15/0"].arrays()] == [node.name]
    assert store.verify() == []


@pytest.mark.parametrize(
    "damage", ["flip", "truncate", "missing", "metadata", "depth", "labels", "overlaps_version", "parameters", "seed"]
)
def test_damaged_counts_are_counted_again(store, path, damage):
    cache, expected = overlap_cache(store), exact(store)
    count_overlaps(store, cache=cache)
    store.taken()
    (node,) = arrays(path)
    payload, metadata = node / "c/0/0", node / "zarr.json"
    data, document = bytearray(payload.read_bytes()), json.loads(metadata.read_text())
    if damage == "flip":
        data[8] ^= 1
        payload.write_bytes(data)
    elif damage == "truncate":
        payload.write_bytes(data[:-8])
    elif damage == "missing":
        payload.unlink()
    elif damage == "metadata":
        metadata.write_text("{")
    elif damage == "depth":
        metadata.write_text("[" * 200_000)
    elif damage == "labels":
        document["attributes"]["languages"].pop()
        metadata.write_text(json.dumps(document))
    else:
        # `Infinity` is not valid JSON, and Python reads it nevertheless.
        document["attributes"][damage] = float("inf")
        metadata.write_text(json.dumps(document))
    assert count_overlaps(store, cache=cache).intersection.tolist() == expected.intersection.tolist()
    assert sorted(store.taken()) == sorted(CODES)
    assert count_overlaps(store, cache=cache).intersection.tolist() == expected.intersection.tolist()
    assert store.taken() == []


def test_an_unfinished_generation_is_ignored_and_removed(store, path):
    cache = overlap_cache(store)
    count_overlaps(store, languages=CODES[:4], cache=cache)
    unfinished = path / "overlaps/0.15/0/00000007-0123abcd"
    (unfinished / "c/0").mkdir(parents=True)
    (unfinished / "c/0/0").write_bytes(b"half of the cou")
    assert cache.load(0, 0.15).languages == CODES[:4]
    count_overlaps(store, cache=cache)
    assert not unfinished.exists()
    assert [node.name[:8] for node in arrays(path)] == ["00000008"]


def test_the_newest_readable_generation_is_used(store, path):
    cache = overlap_cache(store)
    count_overlaps(store, languages=CODES[:4], cache=cache)
    (old,) = arrays(path)
    newer = old.with_name("00000009-0123abcd")
    shutil.copytree(old, newer)
    (newer / "c/0/0").write_bytes(b"")
    assert cache.load(0, 0.15).languages == CODES[:4]


def test_generations_start_again_after_the_last_number(store, path):
    cache = overlap_cache(store)
    (path / "overlaps/0.15/0/99999999-0123abcd").mkdir(parents=True)
    for _ in range(2):
        count_overlaps(store, cache=cache)
    assert [node.name[:8] for node in arrays(path)] == ["00000001"]


def test_a_process_does_not_wait_for_another_writer_of_counts(store, path):
    from xsns_stream.store.storage.local_files import locked_file

    with locked_file(path / "subnetworks/.lock-overlaps"):
        started = time.monotonic()
        counts = count_overlaps(store, cache=overlap_cache(store))
        assert time.monotonic() - started < 60
    assert counts.intersection.tolist() == exact(store).intersection.tolist()
    assert arrays(path) == []


def test_the_cache_can_be_ignored_or_left_unwritten(store, path):
    count_overlaps(store, cache=overlap_cache(store, write=False))
    assert not (path / "overlaps").exists()
    count_overlaps(store, cache=overlap_cache(store))
    before = arrays(path)
    store.taken()
    count_overlaps(store, cache=overlap_cache(store, use=False))
    assert len(store.taken()) == len(CODES)
    assert arrays(path) != before, "the new counts are saved"


READER = """
import os, sys
from xsns_stream.store import open_store
from xsns_stream.store.overlap_cache import overlap_cache
from xsns_stream.similarity import count_overlaps
store = open_store(sys.argv[1])
# Everything is imported now; another user may not even be able to read what is installed.
count_overlaps(store, cache=overlap_cache(store, write=False))
if os.geteuid() == 0:
    os.setuid(65534)
assert not store.storage.writable
print(count_overlaps(store, cache=overlap_cache(store)).intersection.tolist())
"""


def test_a_store_that_cannot_be_written_to(store, path):
    # Other users cannot read the folders of pytest, and root may write to any folder.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(path, Path(folder) / "copy.zarr"))
        Path(folder).chmod(0o755)
        copy.chmod(0o555)
        completed = subprocess.run(
            [sys.executable, "-c", READER, str(copy)], capture_output=True, text=True, timeout=120, check=False
        )
        assert completed.returncode == 0, completed.stderr
        assert completed.stdout.strip() == str(exact(store).intersection.tolist())
        assert not (copy / "overlaps").exists()
        copy.chmod(0o755)


def test_counts_that_cannot_be_written_are_not_cached(store, path):
    (path / "overlaps").write_text("in the way")
    expected = exact(store)
    counts = count_overlaps(store, cache=overlap_cache(store))
    assert counts.intersection.tolist() == expected.intersection.tolist()
    assert (path / "overlaps").read_text() == "in the way"


def test_counts_of_a_damaged_row_are_not_cached(store, path, object_of):
    cache = overlap_cache(store)
    file = object_of("sw")
    data = bytearray(file.read_bytes())
    data[20] ^= 4
    file.write_bytes(data)
    with pytest.raises(StoreError, match="changed since they were committed: 'sw' has"):
        count_overlaps(store, cache=cache)
    assert cache.load(0, 0.15) is None


def test_exchanged_bits_are_found_before_their_counts_are_cached(store, path, object_of, networks):
    # The number of bits does not change, so that no count shows the damage.
    good, ones = object_of("sw").read_bytes(), int(np.bitwise_count(networks.make_sub("sw").bits).sum())
    data = bytearray(good)
    swap = next(index for index in range(64) if data[index] != data[index + 1])
    data[swap], data[swap + 1] = data[swap + 1], data[swap]
    object_of("sw").write_bytes(data)
    assert int(count_overlaps(store, languages=["sw", "en"]).intersection[0, 0]) == ones
    with pytest.raises(StoreError, match="1 of 6 rows differ from their commit records: 'sw'"):
        count_overlaps(store, cache=overlap_cache(store))
    assert arrays(path) == []
    object_of("sw").write_bytes(good)
    expected = exact(store).intersection.tolist()
    assert count_overlaps(store, cache=overlap_cache(store)).intersection.tolist() == expected


def test_counts_of_a_row_that_was_built_again_are_not_cached(store, path, networks, monkeypatch):
    from xsns_stream.store.reader import StoreReader

    checked = StoreReader.check_rows

    def meanwhile(*arguments):
        checked(*arguments)
        replace_row(store._store, networks, "sw")

    monkeypatch.setattr(StoreReader, "check_rows", meanwhile)
    count_overlaps(store, cache=overlap_cache(store))
    assert arrays(path) == []


def test_counts_of_a_store_in_memory_are_cached(networks):
    store = open_store("memory://overlaps-test", "a")
    for code in CODES:
        store.write(networks.make_sub(code))
    store, cache = Watched(store), overlap_cache(store)
    expected = exact(store)
    for rows in (len(CODES), 0):
        assert count_overlaps(store, cache=cache).intersection.tolist() == expected.intersection.tolist()
        assert len(store.taken()) == rows


WRITER = """
import sys
from xsns_stream.store import open_store
from xsns_stream.store.overlap_cache import overlap_cache
from xsns_stream.similarity import count_overlaps
store = open_store(sys.argv[1])
for turn in range(15):
    count_overlaps(store, languages=sys.argv[2].split(","), cache=overlap_cache(store, use=False))
    kept = overlap_cache(store).load(0, 0.15)
    if kept is None:
        continue  # Whoever finds the other one writing keeps nothing.
    assert kept.counts.intersection.tolist() == count_overlaps(store, languages=kept.languages).intersection.tolist()
"""


def test_two_processes_may_write_the_cache_at_once(store, path):
    orders = [",".join(CODES), ",".join(reversed(CODES))]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), order], stderr=subprocess.PIPE, text=True)
        for order in orders
    ]
    for writer in writers:
        _, err = writer.communicate(timeout=200)
        assert writer.returncode == 0, err
    (node,) = arrays(path)
    assert overlap_cache(store).load(0, 0.15).languages in (CODES, CODES[::-1])
    assert int(node.name[:8]) <= 30


def test_every_language_needs_a_digest(store):
    with pytest.raises(ValueError, match="every language needs the digest of its row"):
        CachedOverlaps(exact(store), ("only one",))
