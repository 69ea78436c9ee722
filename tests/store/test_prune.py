"""Removal of rows, of Fisher values and of leftovers."""

import os

import pytest
from filelock import FileLock

from tests.support.networks import files, row
from xsns_stream.errors import StoreError
from xsns_stream.similarity import count_overlaps
from xsns_stream.store import FisherKey, open_store
from xsns_stream.store.prune import PrunePlan, plan_prune, prune

HEX = "0123456789abcdef" * 2


def leave(path, name, age=3600.0):
    file = path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"left by a killed writer")
    then = file.stat().st_mtime - age
    os.utime(file, (then, then))
    return file


def test_a_plan_changes_nothing_and_says_what_it_frees(filled, path, object_of):
    before = files(path)
    plan = plan_prune(open_store(path), [row("sw"), row("rw")])
    assert plan == PrunePlan({row(code): object_of(code).stat().st_size for code in ("sw", "rw")})
    assert (plan.things, plan.bytes) == (2, 2 * object_of("sw").stat().st_size)
    assert files(path) == before


def test_removed_rows_are_gone_and_the_others_unchanged(filled, path):
    before, records, progress_seen = files(path), {r.key: r for r in filled.records()}, []
    plan = plan_prune(filled, [row("sw")])
    assert prune(filled, plan, lambda *progress: progress_seen.append(progress)) == plan
    assert progress_seen == [(1, 1)]
    assert filled.keys() == (row("rw"), row("yo"))
    gone = set(before) - set(files(path))
    assert gone == {"commits/0.15/0/sw/zarr.json", "subnetworks/c/0/0/0/0"}
    assert {name: data for name, data in before.items() if name not in gone} == files(path)
    assert {r.key: r for r in filled.records()} == {key: r for key, r in records.items() if key != row("sw")}
    assert filled.verify() == []
    assert filled.unfinished() == ()
    assert count_overlaps(filled).languages == ("rw", "yo")


def test_a_removed_row_gets_its_slot_again(filled, networks):
    slot = filled.record("sw").slot
    prune(filled, plan_prune(filled, [row("sw")]))
    assert filled.write(networks.make_sub("sw"))
    assert filled.record("sw").slot == slot
    assert filled.verify() == []


def test_other_seeds_and_densities_stay(filled, networks):
    filled.write(networks.make_sub("sw", 1))
    filled.write(networks.make_sub("sw", 1, 0.3))
    prune(filled, plan_prune(filled, [row("sw", 1)]))
    keys = filled.keys()
    assert [key for key in keys if key.language == "sw"] == [row("sw"), row("sw", 1, 0.3)]
    assert filled.verify() == []


def test_rows_that_are_gone_already_are_not_counted(filled, path):
    plan = plan_prune(filled, [row("sw"), row("rw")])
    prune(open_store(path, "a"), plan_prune(filled, [row("sw")]))
    assert list(prune(filled, plan).rows) == [row("rw")]


def test_damaged_rows_can_be_removed(filled, path, object_of):
    (path / "commits/0.15/0/sw/zarr.json").write_text("nonsense")
    object_of("rw").unlink()
    prune(filled, plan_prune(filled, [row("sw"), row("rw")]))
    assert filled.verify() == []
    assert filled.languages == ("yo",)


def test_a_store_that_was_opened_for_reading_is_not_pruned(filled, path):
    store = open_store(path)
    with pytest.raises(StoreError, match="opened for reading"):
        prune(store, plan_prune(store, [row("sw")]))
    assert len(store.keys()) == 3


def test_a_crash_between_record_and_object_leaves_an_unfinished_row(filled, path, monkeypatch):
    removed = []

    def dies(storage, key):
        removed.append(key)
        if len(removed) == 2:
            raise KeyboardInterrupt
        return before(storage, key)

    before = type(filled.storage).remove
    monkeypatch.setattr(type(filled.storage), "remove", dies)
    with pytest.raises(KeyboardInterrupt):
        prune(filled, plan_prune(filled, [row("sw")]))
    monkeypatch.undo()
    assert removed[0] == "commits/0.15/0/sw/zarr.json"
    assert filled.unfinished() == (row("sw"),)
    assert filled.verify() == []
    assert list(prune(filled, plan_prune(filled, leftovers=True)).leftovers) == ["subnetworks/c/0/0/0/0"]
    assert filled.unfinished() == ()


# ---------------------------------------------------------------------------------- Fisher values


def test_fisher_values_are_removed_and_sub_networks_stay(filled, path, networks):
    networks.save_ones(filled, "sw")
    networks.save_ones(filled, "rw")
    before = files(path)
    plan = plan_prune(filled, fisher=[FisherKey(0, "sw")])
    assert plan.bytes == (path / "fisher/c/0/0/0").stat().st_size
    assert prune(filled, plan) == plan
    assert set(before) - set(files(path)) == {"fisher_commits/0/sw/zarr.json", "fisher/c/0/0/0"}
    assert filled.fisher_values("sw", 0) is None
    assert filled.fisher_keys() == (FisherKey(0, "rw"),)
    assert len(filled.keys()) == 3
    assert filled.verify() == []
    assert prune(filled, plan).things == 0
    networks.save_ones(filled, "sw")
    assert filled.fisher_record("sw", 0).slot == (0, 0)


# ------------------------------------------------------------------------------------- leftovers


def test_leftovers_of_killed_writers_are_pruned(filled, path, networks):
    (path / "commits/0.15/0/sw/zarr.json").unlink()
    networks.save_ones(filled, "rw")
    (path / "fisher_commits/0/rw/zarr.json").unlink()
    leave(path, f"subnetworks/c/0/0/1/0.{HEX}.partial", age=0)
    leave(path, f"subnetworks/zarr.json.{HEX}.partial")
    leave(path, f"commits/0.15/0/rw/zarr.json.{HEX}.partial")
    before = files(path)
    plan = plan_prune(filled, leftovers=True)
    assert set(plan.leftovers) == {
        "subnetworks/c/0/0/0/0",
        f"subnetworks/c/0/0/1/0.{HEX}.partial",
        f"subnetworks/zarr.json.{HEX}.partial",
        f"commits/0.15/0/rw/zarr.json.{HEX}.partial",
        "fisher/c/0/0/0",
    }
    assert plan.bytes == sum(len(before[name]) for name in plan.leftovers)
    assert prune(filled, plan) == plan
    assert set(before) - set(files(path)) == set(plan.leftovers)
    assert filled.languages == ("rw", "yo")
    assert filled.verify() == []
    assert plan_prune(filled, leftovers=True) == PrunePlan()


def test_young_partial_metadata_are_not_removed(filled, path):
    leftover = leave(path, f"subnetworks/zarr.json.{HEX}.partial", age=5)
    assert plan_prune(filled, leftovers=True).things == 0
    assert leftover.exists()


def test_a_row_that_is_being_written_is_not_removed(filled, path, networks):
    (path / "commits/0.15/0/sw/zarr.json").unlink()
    plan = plan_prune(filled, leftovers=True)
    assert plan.things == 1
    with FileLock(path / "subnetworks/.lock-0-0-0"):
        assert prune(filled, plan).things == 0
    # The row was committed in the meantime, so that the file belongs to it.
    filled.write(networks.make_sub("sw"))
    assert prune(filled, plan).things == 0
    assert filled.verify() == []


def test_files_of_slots_without_a_label_belong_to_no_row(filled, path):
    leftover = leave(path, "subnetworks/c/7/0/0/0")
    assert plan_prune(filled, leftovers=True).things == 0
    assert leftover.exists()


def test_leftovers_of_an_object_store_are_refused(networks):
    store = open_store("memory://pruning", "a")
    store.write(networks.make_sub("sw"))
    store.write(networks.make_sub("rw"))
    prune(store, plan_prune(store, [row("sw")]))
    assert store.languages == ("rw",)
    with pytest.raises(StoreError, match="leftovers of killed writers can be removed only in folders"):
        plan_prune(store, leftovers=True)
