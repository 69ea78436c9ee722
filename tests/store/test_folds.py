"""Folds of rows, in stores within the store: writing, verifying, copying and removing."""

import json
import shutil

import pytest
import zarr

from xsns_stream.errors import IncompatibleError, StoreError, UsageError
from xsns_stream.store import MOST_FOLDS, FoldKey, RowKey, open_store
from xsns_stream.store.copy_merge import copy_rows, merge_stores
from xsns_stream.store.prune import plan_prune, prune

TEXT = {"corpus": "texts", "corpus_digest": "d1"}


def sub_without(networks, language, number, seed=0, **changed):
    """Return a synthetic sub-network of a language without one part."""
    bits = networks.make_sub(f"{language}{number}", seed).bits
    return networks.make_sub(language, seed, bits=bits, **TEXT | changed)


def write(store, networks, *languages, count=3, seed=0):
    for language in languages:
        for number in range(1, count + 1):
            assert store.write_fold(sub_without(networks, language, number, seed), count, number)
        store.write(networks.make_sub(language, seed, **TEXT))
    return store


@pytest.fixture
def cut(path, networks):
    """A store of three languages, two of them in three parts."""
    store = write(open_store(path, "a"), networks, "sw", "rw")
    store.write(networks.make_sub("yo", **TEXT))
    return store


def test_folds_round_trip(cut, path, networks):
    store = open_store(path)
    assert store.fold_counts == (3,)
    assert store.languages == ("rw", "sw", "yo")
    for language in ("sw", "rw"):
        assert store.has_folds(language, 0, 0.15, 3)
        for number, part in enumerate(store.folds(3), 1):
            expected = sub_without(networks, language, number)
            network = part.read(language)
            assert network.bits.tolist() == expected.bits.tolist()
            assert network.provenance.corpus == f"texts, without part {number} of 3"
    assert not store.has_folds("yo", 0, 0.15, 3)
    assert not store.has_folds("sw", 0, 0.15, 4)
    assert len(store.fold_keys(3)) == 6
    assert str(store.fold_keys(3)[0]) == "'rw' (seed 0, density 0.15) without part 1 of 3"
    (known,) = store.info()["parts"]
    assert (known["count"], known["rows"]) == (3, 2)
    assert store.verify() == []


def test_the_same_fold_is_written_once_and_another_is_refused(cut, networks):
    assert not cut.write_fold(sub_without(networks, "sw", 2), 3, 2)
    with pytest.raises(StoreError, match="is committed already, with other bits"):
        cut.write_fold(sub_of(networks, "sw", "yo2"), 3, 2)
    with pytest.raises(IncompatibleError, match="model is 'mini' in the store and 'other' here"):
        cut.write_fold(sub_without(networks, "sw", 1, model="other"), 3, 1)


def sub_of(networks, language, other):
    return networks.make_sub(language, bits=networks.make_sub(other).bits, **TEXT)


def test_a_row_may_have_several_numbers_of_folds(cut, networks):
    write(cut, networks, "sw", count=5)
    assert cut.fold_counts == (3, 5)
    assert cut.has_folds("sw", 0, 0.15, 3)
    assert cut.has_folds("sw", 0, 0.15, 5)
    assert not cut.has_folds("rw", 0, 0.15, 5)
    assert cut.verify() == []


def test_a_reader_without_folds_sees_the_rows(cut, path):
    root = zarr.open_group(path, mode="r")
    assert sorted(root["commits/0.15/0"].group_keys()) == ["rw", "sw", "yo"]
    within = zarr.open_group(path / "parts" / "3" / "2", mode="r")
    assert within["subnetworks"].shape == (1, 1, 2, 9)
    assert sorted(zarr.open_group(path / "parts", mode="r").group_keys()) == ["3"]


@pytest.mark.parametrize("count", [1, 0, MOST_FOLDS + 1])
def test_invalid_numbers_of_folds_are_refused(cut, count):
    with pytest.raises(UsageError, match=f"examples can be divided into 2 to 64 parts, not {count}"):
        cut.folds(count)


@pytest.mark.parametrize("attributes", [{}, {"counts": [1]}, {"counts": ["a"]}, {"counts": 3}])
def test_a_damaged_group_is_reported(cut, path, attributes):
    file = path / "parts" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"attributes": attributes}))
    with pytest.raises(StoreError, match="does not follow the format: attributes"):
        _ = open_store(path).fold_counts


def test_verify_finds_damage_of_a_fold(cut, path):
    (damaged,) = [file for file in (path / "parts/3/2/subnetworks/c/0/0/1").iterdir() if file.is_file()]
    data = bytearray(damaged.read_bytes())
    data[3] ^= 1
    damaged.write_bytes(data)
    progress = []
    findings = open_store(path).verify(lambda done, total: progress.append((done, total)))
    assert {finding.problem for finding in findings} == {"bits", "cardinality"}
    key = RowKey(0.15, 0, "rw")
    assert {finding.row for finding in findings} == {FoldKey(3, 2, key)}
    assert findings[0].row.node == "parts/3/2/commits/0.15/0/rw"
    assert findings[0].detail.startswith("without part 2 of 3: the bits of row 'rw'")
    assert progress[-1] == (9, 9)
    assert [done for done, _ in progress] == list(range(1, 10))


@pytest.mark.parametrize("committed", [True, False])
def test_folds_of_a_killed_build_are_unfinished_and_not_damaged(cut, path, networks, xsns, committed):
    cut.folds(3)[0].discard("sw", 0, 0.15)
    cut.folds(3)[2].discard("sw", 0, 0.15)
    if not committed:
        cut.discard("sw", 0, 0.15)
    store = open_store(path)
    assert store.verify() == []
    assert store.unfinished_folds() == tuple(FoldKey(3, k, RowKey(0.15, 0, "sw")) for k in (1, 3))
    completed = xsns("verify", "--store", path)
    assert completed.code == 0
    assert "parts unfinished, to be built again with --parts 3: 'sw' (seed 0, density 0.15)" in completed.err
    verified = json.loads(xsns("verify", "--store", path, "--json").out)["result"]
    assert (verified["sound"], len(verified["unfinished_parts"])) == (True, 2)
    write(cut, networks, "xh")
    for number in (1, 3):
        cut.write_fold(sub_without(networks, "sw", number), 3, number)
    assert open_store(path).unfinished_folds() == ()


def test_a_damaged_fold_is_found_where_others_are_missing(cut, path, xsns):
    cut.folds(3)[0].discard("sw", 0, 0.15)
    damaged = path / "parts/3/2/subnetworks/c/0/0/0/0"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert {finding.problem for finding in open_store(path).verify()} == {"size", "unreadable"}
    assert xsns("verify", "--store", path).code == 1


def test_verify_finds_a_fold_of_other_text(cut, networks):
    cut.folds(3)[0].discard("sw", 0, 0.15)
    cut.write_fold(sub_without(networks, "sw", 1, corpus_digest="d2"), 3, 1)
    (finding,) = cut.verify()
    assert finding.problem == "text"
    assert finding.row == FoldKey(3, 1, RowKey(0.15, 0, "sw"))


# --------------------------------------------------------------------------------- copies and merges


def test_copies_include_folds(cut, tmp_path, networks):
    copy = open_store(tmp_path / "copy.zarr", "a", compressor="zstd")
    result = copy_rows(cut, copy, [RowKey(0.15, 0, "sw"), RowKey(0.15, 0, "yo")])
    assert (len(result.written), result.folds_written, result.folds_skipped) == (2, 3, 0)
    assert copy.has_folds("sw", 0, 0.15, 3)
    assert copy.folds(3)[1]["sw"].bits.tolist() == cut.folds(3)[1]["sw"].bits.tolist()
    assert all(part.info()["compressed"] for part in copy.folds(3))
    assert copy.verify() == []
    again = copy_rows(cut, copy)
    assert (len(again.written), again.folds_written, again.folds_skipped) == (1, 3, 3)
    assert copy_rows(cut, copy).folds_skipped == 6


def test_merges_include_folds(cut, tmp_path, networks):
    other = write(open_store(tmp_path / "other.zarr", "a"), networks, "zu")
    write(other, networks, "xh", count=4)
    target = open_store(tmp_path / "all.zarr", "a")
    result = merge_stores(target, [cut, other])
    assert (len(result.written), result.folds_written) == (5, 13)
    assert target.fold_counts == (3, 4)
    assert target.info()["parts"][0]["rows"] == 3
    assert target.verify() == []


def test_folds_with_other_bits_are_refused_before_anything_is_written(cut, tmp_path, networks):
    other = open_store(tmp_path / "other.zarr", "a")
    other.write_fold(sub_of(networks, "sw", "another"), 3, 1)
    other.write(networks.make_sub("sw", **TEXT))
    target = open_store(tmp_path / "all.zarr", "a")
    with pytest.raises(StoreError, match="two stores contain the same row with different bits"):
        merge_stores(target, [cut, other])
    assert not target.exists


def test_an_unreadable_fold_is_reported(cut, path, tmp_path):
    (damaged,) = [file for file in (path / "parts/3/2/subnetworks/c/0/0/1").iterdir() if file.is_file()]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    copy = open_store(tmp_path / "copy.zarr", "a")
    result = copy_rows(open_store(path), copy)
    assert list(result.failed) == [FoldKey(3, 2, RowKey(0.15, 0, "rw"))]
    assert result.folds_written == 5
    assert not copy.has_folds("rw", 0, 0.15, 3)


# ------------------------------------------------------------------------------------------- pruning


def test_rows_are_removed_with_their_folds(cut):
    plan = plan_prune(cut, [RowKey(0.15, 0, "sw")])
    assert (len(plan.rows), len(plan.folds), plan.things) == (1, 3, 4)
    assert plan.bytes == 4 * next(iter(plan.rows.values()))
    result = prune(cut, plan)
    assert result == plan
    assert [key.language for key in cut.fold_keys(3)] == ["rw"] * 3
    assert cut.languages == ("rw", "yo")
    assert cut.verify() == []


def test_folds_are_removed_and_rows_stay(cut):
    plan = plan_prune(cut, folds=cut.fold_keys(3))
    assert (len(plan.rows), len(plan.folds)) == (0, 6)
    prune(cut, plan)
    assert cut.languages == ("rw", "sw", "yo")
    assert cut.fold_keys(3) == ()
    assert cut.verify() == []


def test_leftovers_in_folds_are_removed(cut, path):
    leftover = path / "parts/3/1/subnetworks/c/0/0/0/0.abc.partial"
    leftover.write_bytes(b"half")
    plan = plan_prune(cut, leftovers=True)
    assert dict(plan.leftovers) == {"parts/3/1/subnetworks/c/0/0/0/0.abc.partial": 4}
    prune(cut, plan)
    assert not leftover.exists()
    assert cut.verify() == []


def test_folds_are_stored_on_an_object_store(s3, networks):
    store = write(open_store(f"{s3}/x", "a"), networks, "sw")
    again = open_store(f"{s3}/x")
    assert again.fold_counts == (3,)
    assert again.has_folds("sw", 0, 0.15, 3)
    assert again.verify() == []
    assert store.folds(3)[2]["sw"].bits.tolist() == sub_without(networks, "sw", 3).bits.tolist()


def test_a_missing_or_exchanged_fold_is_found(cut, path):
    second, third = (path / "parts" / "3" / number for number in "23")
    shutil.rmtree(third)
    assert open_store(path).verify() == []
    assert [(key.number, key.language) for key in open_store(path).unfinished_folds()] == [(3, "rw"), (3, "sw")]
    shutil.copytree(second, third)
    assert {finding.problem for finding in open_store(path).verify()} == {"swapped"}
