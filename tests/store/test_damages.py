"""Damaged stores: `verify` names row and problem, the command line exits with 1, and reading raises an error."""

import json
import os

import numpy as np
import pytest

from xsns_stream.errors import StoreError, XsnsError
from xsns_stream.similarity import count_overlaps
from xsns_stream.store import RowKey, open_store

SW, RW = RowKey(0.15, 0, "sw"), RowKey(0.15, 0, "rw")


class Damage:
    """The files of two rows, to be damaged."""

    def __init__(self, path):
        self.path = path
        self.objects = [path / f"subnetworks/c/0/0/{slot}/0" for slot in (0, 1)]
        self.records = [path / f"commits/0.15/0/{language}/zarr.json" for language in ("sw", "rw")]

    def flipped_bit(self):
        data = bytearray(self.objects[0].read_bytes())
        data[len(data) // 3] ^= 0x10
        self.objects[0].write_bytes(data)

    def two_flipped_bits(self):
        """The number of set bits does not change, so that no count shows the damage."""
        words = np.frombuffer(self.objects[0].read_bytes()[:64], "<u8").copy()
        one = int(words[0]) & -int(words[0])
        zero = ~int(words[1]) & (int(words[1]) + 1)
        words[0] ^= np.uint64(one)
        words[1] ^= np.uint64(zero)
        self.objects[0].write_bytes(words.tobytes() + self.objects[0].read_bytes()[64:])

    def truncated_object(self):
        os.truncate(self.objects[0], self.objects[0].stat().st_size - 1)

    def emptied_object(self):
        os.truncate(self.objects[0], 0)

    def longer_object(self):
        self.objects[0].write_bytes(self.objects[0].read_bytes() + b"\0")

    def missing_object(self):
        self.objects[0].unlink()

    def swapped_objects(self):
        self._swap(self.objects)

    def swapped_records(self):
        self._swap(self.records)

    def zeros_for_words(self):
        data = self.objects[0].read_bytes()
        self.objects[0].write_bytes(bytes(9 * 8) + data[9 * 8 :])

    def zeros_for_all(self):
        self.objects[0].write_bytes(bytes(self.objects[0].stat().st_size))

    def another_count(self):
        self._record(cardinality=5)

    def another_slot(self):
        self._record(slot=[0, 0, 1])

    def another_digest(self):
        self._record(sha256="0" * 64)

    def lost_array(self):
        (self.path / "subnetworks/zarr.json").unlink()

    def _swap(self, files):
        data = [file.read_bytes() for file in files]
        for file, other in zip(files, reversed(data), strict=True):
            file.write_bytes(other)

    def _record(self, **changes):
        document = json.loads(self.records[0].read_text())
        document["attributes"].update(changes)
        self.records[0].write_text(json.dumps(document))


@pytest.fixture
def damage(path, networks):
    """A store of two languages with 576 parameters and one inner chunk per layer."""
    store = open_store(path, "a")
    for language in ("sw", "rw"):
        store.write(networks.make_sub(language))
    return Damage(path)


#: {method of `Damage`: (what `verify` finds in which rows, whether a comparison without hashes notices it)}.
TABLE = {
    "flipped_bit": ({("bits", SW), ("cardinality", SW)}, True),
    "two_flipped_bits": ({("bits", SW)}, False),
    "truncated_object": ({("size", SW), ("unreadable", SW)}, True),
    "emptied_object": ({("size", SW), ("unreadable", SW)}, True),
    "longer_object": ({("size", SW), ("unreadable", SW)}, True),
    "missing_object": ({("missing", SW)}, True),
    "swapped_objects": ({("swapped", SW), ("swapped", RW), ("cardinality", SW), ("cardinality", RW)}, True),
    "swapped_records": ({("record", SW), ("record", RW)}, True),
    "zeros_for_words": ({("bits", SW), ("cardinality", SW)}, True),
    "zeros_for_all": ({("unreadable", SW)}, True),
    "another_count": ({("cardinality", SW), ("density", SW)}, True),
    "another_slot": ({("label", SW), ("swapped", SW), ("cardinality", SW)}, True),
    "another_digest": ({("bits", SW)}, False),
}


@pytest.mark.parametrize("name", TABLE)
def test_verify_names_the_row_and_the_problem(damage, path, name):
    getattr(damage, name)()
    store = open_store(path)
    findings = store.verify()
    assert {(finding.problem, finding.row) for finding in findings} == TABLE[name][0]
    assert all(str(finding.row) in finding.detail for finding in findings)


@pytest.mark.parametrize("name", TABLE)
def test_the_command_line_exits_with_1_and_names_the_row(damage, path, name, xsns):
    getattr(damage, name)()
    completed = xsns("verify", "--store", str(path), "--json", "--quiet")
    assert completed.code == 1
    result = json.loads(completed.out)["result"]
    assert not result["sound"]
    findings = {(finding["problem"], finding["language"]) for finding in result["findings"]}
    assert findings == {(problem, key.language) for problem, key in TABLE[name][0]}
    assert completed.err.startswith("error: ")
    assert "'sw' (seed 0, density 0.15)" in completed.err


@pytest.mark.parametrize("name", TABLE)
def test_reading_and_checking_refuse_the_row(damage, path, name):
    getattr(damage, name)()
    store = open_store(path)
    with pytest.raises(StoreError, match="'sw'"):
        store.read("sw", 0, 0.15)
    with pytest.raises(StoreError, match=r"rows differ from their commit records: .*'sw' \(seed 0, density 0.15\)"):
        store.check_rows(store.keys())


@pytest.mark.parametrize("name", [name for name, (_, shows) in TABLE.items() if shows])
def test_a_comparison_refuses_damage_that_shows_without_hashes(damage, path, name, xsns):
    getattr(damage, name)()
    with pytest.raises(StoreError, match="'sw'"):
        count_overlaps(open_store(path))
    completed = xsns("matrix", "--store", str(path), "--quiet")
    assert (completed.code, completed.out) == (1, "")
    assert "'sw'" in completed.err


def test_a_store_without_its_array_is_refused(damage, path, xsns):
    damage.lost_array()
    store = open_store(path)
    for use in (store.verify, lambda: store.read("sw"), lambda: count_overlaps(store)):
        with pytest.raises(XsnsError, match=r"array 'subnetworks' of the store .* is missing"):
            use()
    completed = xsns("verify", "--store", str(path))
    assert (completed.code, completed.out) == (1, "")
    assert "restore it from a copy" in completed.err
