"""Verification finds every kind of damage and names the row."""

import json
import shutil

import numpy as np
import pytest

from xsns_stream.errors import StoreError
from xsns_stream.similarity import count_overlaps
from xsns_stream.store import open_store


def problems(store):
    return {(finding.problem, finding.row.language if finding.row else None) for finding in store.verify()}


def test_a_sound_store_has_no_findings_and_reports_progress(filled):
    progress = []
    assert filled.verify(lambda done, total: progress.append((done, total))) == []
    assert progress == [(1, 3), (2, 3), (3, 3)]


def test_a_flipped_bit_is_found(filled, object_of):
    file = object_of("sw")
    data = bytearray(file.read_bytes())
    data[20] ^= 4
    file.write_bytes(data)
    assert problems(filled) == {("bits", "sw"), ("cardinality", "sw")}
    (bits, cardinality) = filled.verify()
    assert str(bits) == "the bits of row 'sw' (seed 0, density 0.15) have changed since they were committed."
    assert "its record says" in str(cardinality)
    with pytest.raises(StoreError, match="does not contain the bits that were committed") as caught:
        filled["sw"]
    assert "run `xsns-stream verify`" in caught.value.hint
    assert "commits/0.15/0/sw" in caught.value.hint
    with pytest.raises(StoreError, match="changed since they were committed: 'sw' has"):
        count_overlaps(filled)
    assert filled["rw"].language == "rw"


@pytest.mark.parametrize("compressor", ["none", "zstd"])
@pytest.mark.parametrize("size", [0, 1, 40, -1])
def test_a_truncated_object_is_found(path, networks, object_of, compressor, size):
    store = open_store(path, "a", compressor=compressor)
    store.write(networks.make_sub("sw"))
    file = object_of("sw")
    file.write_bytes(file.read_bytes()[:size])
    assert problems(store) == {("size", "sw"), ("unreadable", "sw")}
    assert "truncated" in str(store.verify()[0])
    with pytest.raises(StoreError, match="cannot be read"):
        store["sw"]
    with pytest.raises(StoreError, match="cannot be read"):
        count_overlaps(store)


def test_a_damaged_index_is_found(filled, object_of):
    file = object_of("sw")
    data = bytearray(file.read_bytes())
    data[9 * 8 + 8] ^= 0xFF
    file.write_bytes(data)
    assert problems(filled) == {("unreadable", "sw")}
    with pytest.raises(StoreError, match="the index of its object is damaged"):
        filled["sw"]


@pytest.mark.parametrize("compressor", ["none", "zstd"])
def test_a_missing_object_is_not_read_as_zeros(path, networks, object_of, compressor):
    store = open_store(path, "a", compressor=compressor)
    store.write(networks.make_sub("sw", bits=np.zeros(9, np.uint64)))
    object_of("sw").unlink()
    assert problems(store) == {("missing", "sw")}
    with pytest.raises(StoreError, match=r"is committed, but its object .* is missing"):
        store.read("sw")
    with pytest.raises(StoreError, match="is missing"):
        store.rows(("sw",), 0, 0.15, 0, 1)


def test_swapped_objects_are_found(filled, object_of):
    a, b = object_of("sw"), object_of("yo")
    bits = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(bits)
    assert {("swapped", "sw"), ("swapped", "yo")} <= problems(filled)
    messages = {str(finding) for finding in filled.verify()}
    assert "the row 'sw' (seed 0, density 0.15) contains the bits of 'yo' (seed 0, density 0.15)." in messages


def test_swapped_labels_are_found(filled, path):
    file = path / "subnetworks/zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["languages"][:2] = reversed(document["attributes"]["languages"][:2])
    file.write_text(json.dumps(document))
    assert problems(filled) == {("label", "sw"), ("label", "rw")}
    assert "was written to slot [0, 0, 0], and the labels now give it slot [0, 0, 1]" in str(
        next(f for f in filled.verify() if f.row.language == "sw")
    )
    with pytest.raises(StoreError, match="but the labels now give it slot"):
        filled["sw"]


def test_a_missing_label_is_found(filled, path):
    file = path / "subnetworks/zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["languages"][1] = "fr"
    file.write_text(json.dumps(document))
    assert problems(filled) == {("label", "rw")}
    with pytest.raises(StoreError, match="has no label for it"):
        filled["rw"]


def test_a_record_of_another_row_is_found(filled, path):
    shutil.copytree(path / "commits/0.15/0/sw", path / "commits/0.15/0/fr")
    assert problems(filled) == {("record", "fr")}
    with pytest.raises(StoreError, match=r"commit record of 'fr' .* contains the key of another row, 'sw'"):
        filled.read("fr")


def test_records_that_cannot_be_read_are_found(filled, path):
    (path / "commits/0.15/0/sw/zarr.json").write_text("{}")
    (path / "commits/0.15/0/rw/zarr.json").write_text("nonsense")
    shutil.copytree(path / "commits/0.15/0/yo", path / "commits/0.150/0/yo")
    assert problems(filled) == {("record", "sw"), ("record", "rw"), ("record", None)}
    with pytest.raises(
        StoreError, match=r"commit record of 'sw' .* does not follow the format: object missing required field"
    ) as caught:
        filled["sw"]
    assert "delete" in caught.value.hint


def test_a_wrong_count_and_pad_bits_are_found(path, networks, object_of):
    layout = networks.make_layout(1, 100)
    store = open_store(path, "a")
    store.write(networks.make_sub("sw", layout=layout))
    file = object_of("sw")
    data = bytearray(file.read_bytes())
    data[15] |= 0x80
    file.write_bytes(data)
    assert problems(store) == {("bits", "sw"), ("cardinality", "sw"), ("padding", "sw")}


def test_a_row_without_record_is_absent_and_unfinished(filled, path, networks):
    shutil.rmtree(path / "commits/0.15/0/sw")
    assert filled.languages == ("rw", "yo")
    assert not filled.is_committed("sw", 0, 0.15)
    assert filled.verify() == []
    assert [key.language for key in filled.unfinished()] == ["sw"]
    assert filled.info()["unfinished_rows"] == ["'sw' (seed 0, density 0.15)"]
    assert filled.write(networks.make_sub("sw"))
    assert filled.unfinished() == ()


def test_an_incomplete_row_without_a_record_is_written_again(filled, path, networks, object_of):
    shutil.rmtree(path / "commits/0.15/0/sw")
    file = object_of("sw")
    file.write_bytes(file.read_bytes()[:50])
    file.with_name("0.0123.partial").write_bytes(b"left by a killed writer")
    assert filled.write(networks.make_sub("sw"))
    assert filled.verify() == []
    assert [f.name for f in file.parent.iterdir()] == ["0"]
    assert not list((path / "subnetworks").glob(".lock-*"))


def test_a_label_that_was_moved_is_refused_by_a_comparison(filled):
    import json

    from xsns_stream.similarity import count_overlaps
    from xsns_stream.store import open_store

    path = filled.path / "subnetworks" / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["languages"].reverse()
    path.write_text(json.dumps(document))
    with pytest.raises(StoreError, match=r"was written to slot .* but the labels now give it slot"):
        count_overlaps(open_store(filled.path))


def edit_record(path, language, change):
    file = path / f"commits/0.15/0/{language}/zarr.json"
    document = json.loads(file.read_text())
    change(document["attributes"])
    file.write_text(json.dumps(document))


def test_a_record_of_another_experiment_is_found(filled, path):
    edit_record(path, "sw", lambda attributes: attributes["provenance"].update(model="other"))
    assert problems(filled) == {("experiment", "sw")}
    (finding,) = filled.verify()
    detail = (
        "the row 'sw' (seed 0, density 0.15) belongs to another experiment: "
        "model is 'mini' in the store and 'other' in the row."
    )
    assert finding.detail == detail


def test_a_wrong_realised_density_is_found(filled, path):
    edit_record(path, "yo", lambda attributes: attributes.update(density_realised=0.5))
    assert problems(filled) == {("density", "yo")}
    assert "its record says 0.5" in str(filled.verify()[0])


def test_a_field_that_earlier_versions_did_not_have_is_as_if_empty(filled, path):
    edit_record(path, "sw", lambda attributes: attributes["provenance"].pop("stopping"))
    header = json.loads((path / "zarr.json").read_text())
    assert header["attributes"]["experiment"].pop("stopping") == ""
    (path / "zarr.json").write_text(json.dumps(header))
    again = open_store(path, "a")
    assert again.verify() == []
    again.check_experiment(again["rw"].provenance, again.layout)
