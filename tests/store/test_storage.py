"""The contract of a storage, tested for a folder, for memory and for S3."""

import errno
import json
import os
import sys
import threading
import time

import numpy as np
import pytest

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.store import open_store
from xsns_stream.store.storage import MissingObjectError, base, open_storage
from xsns_stream.store.storage.local import LocalStorage


@pytest.fixture(params=["folder", "memory", "s3"])
def storage(request, tmp_path):
    if request.param == "s3":
        return open_storage(request.getfixturevalue("s3") + "/a/b")
    return open_storage(tmp_path / "storage" if request.param == "folder" else f"memory://{request.node.nodeid}")


# ------------------------------------------------------------------------------------ what a storage does


def test_objects_are_written_read_and_removed(storage):
    assert storage.is_empty()
    assert storage.writable
    storage.write("a/b/c", b"0123456789")
    assert not storage.is_empty()
    assert storage.read("a/b/c") == b"0123456789"
    for start, stop in [(0, 3), (3, None), (3, 3), (8, 20), (10, None), (12, 20), (5, 2)]:
        assert storage.read("a/b/c", start, stop) == b"0123456789"[start:stop]
    assert (storage.exists("a/b/c"), storage.size("a/b/c")) == (True, 10)
    assert (storage.exists("a/b"), storage.exists("a/x"), storage.size("a/x")) == (False, False, None)
    storage.write("a/b/c", b"")
    assert (storage.read("a/b/c"), storage.size("a/b/c")) == (b"", 0)
    storage.remove("a/b/c")
    storage.remove("a/b/c")
    assert not storage.exists("a/b/c")
    with pytest.raises(MissingObjectError, match=r"there is no '.*a/b/c'"):
        storage.read("a/b/c")
    with pytest.raises(MissingObjectError):
        storage.read("a/b/c", 3, 5)


def test_keys_are_listed_by_folder_and_not_by_prefix(storage):
    for key in ("x/1", "x/y/2", "xy/3", "z"):
        storage.write(key, b"1")
    assert sorted(storage.list()) == ["x/1", "x/y/2", "xy/3", "z"]
    assert sorted(storage.list("x")) == ["x/1", "x/y/2"]
    assert sorted(storage.list("x/y")) == ["x/y/2"]
    assert list(storage.list("none")) == []
    storage.remove_tree("x")
    storage.remove_tree("none")
    assert sorted(storage.list()) == ["xy/3", "z"]


def test_json_documents_are_created_read_written_and_updated(storage):
    assert storage.read_json("d/x.json") is None
    assert storage.create_json("d/x.json", {"a": "ä"})
    assert storage.create_json("d/x.json", {"a": 2}) is False
    assert storage.read_json("d/x.json") == {"a": "ä"}
    storage.write_json("d/x.json", {"a": 3})
    assert storage.update_json("d/x.json", lambda document: document | {"b": document["a"]}) == {"a": 3, "b": 3}
    assert storage.read_json("d/x.json") == {"a": 3, "b": 3}
    storage.write("d/x.json", b"[1]")
    with pytest.raises(StoreError, match="does not follow the format: expected an object, got a list"):
        storage.read_json("d/x.json")
    storage.write("d/x.json", b"{")
    with pytest.raises(StoreError, match="not readable as JSON"):
        storage.read_json("d/x.json")
    with pytest.raises(MissingObjectError):
        storage.update_json("d/none.json", lambda document: document)
    assert [key for key in storage.list() if "lock" not in key] == ["d/x.json"]


def test_no_update_is_lost(storage):
    storage.write_json("d/n.json", {"n": 0})

    def work():
        for _ in range(5):
            storage.update_json("d/n.json", lambda document: {"n": document["n"] + 1})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.read_json("d/n.json") == {"n": 20}


def test_of_many_creators_one_succeeds(storage):
    created = []
    threads = [
        threading.Thread(target=lambda n=n: created.append(storage.create_json("x", {"n": n}))) for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False] * 5 + [True]


def test_a_lock_excludes_others(storage):
    storage.write("d/x", b"")
    inside = []

    def work():
        with storage.locked("d/lock"):
            inside.append(1)
            assert sum(inside) == 1
            time.sleep(0.02)
            inside.append(-1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == [1, -1] * 4


def test_the_lock_of_a_killed_process_is_taken_over(request, monkeypatch):
    storage = open_storage(f"memory://{request.node.nodeid}")
    monkeypatch.setattr(base, "LOCK_TIMEOUT_S", 0.1)
    storage.write("lock", b"of a process that was killed")
    with storage.locked("lock"):
        assert storage.read("lock") != b"of a process that was killed"
    assert not storage.exists("lock")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../../b", "a//b", "./a", "a/"])
def test_no_key_leads_out_of_a_storage(storage, key):
    for action in (
        storage.exists,
        storage.read,
        storage.remove,
        storage.remove_tree,
        lambda key: storage.write(key, b""),
    ):
        with pytest.raises(ValueError, match="not a key of a store"):
            action(key)


# -------------------------------------------------------------------------------- what URLs there are


def test_a_folder_may_be_given_as_a_path_or_as_a_url(tmp_path, networks):
    open_store(tmp_path / "x y.zarr", "a").write(networks.make_sub())
    storage = open_storage((tmp_path / "x y.zarr").as_uri())
    assert (storage.path, storage.url) == (tmp_path / "x y.zarr", (tmp_path / "x y.zarr").as_uri())
    assert open_store(storage.url).languages == ("sw",)
    assert open_storage("x.zarr").path.as_posix() == "x.zarr"
    assert str(open_storage("x.zarr")) == "x.zarr"


def test_a_storage_on_a_file_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    assert not open_storage(tmp_path / "file").writable
    assert open_storage(tmp_path / "a" / "b").writable


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://example.org/x.zarr", "cannot be at a URL that begins with 'http://'"),
        ("s3:///x", "without user, password"),
        ("memory://[x", "without user, password"),
        ("", "the path of the store is empty"),
        ("s3://bu cket/x", "'bu cket' is not a valid name of a bucket"),
        ("s3://../x", "is not a valid name of a bucket"),
        ("s3://key:very-secret@bucket/x", "without user, password"),
        ("az://container/x?sig=very-secret", "without user, password"),
        ("file://elsewhere/x", "is not a folder of this machine"),
    ],
)
def test_urls_that_name_no_storage_are_refused(url, message):
    with pytest.raises(UsageError, match=message) as caught:
        open_store(url)
    assert "very-secret" not in f"{caught.value.message}{caught.value.hint}"


def test_object_stores_need_a_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StoreError, match="needs the package obstore") as caught:
        open_store("s3://bucket/x")
    assert "xsns-stream[remote]" in caught.value.hint


def test_invalid_settings_of_an_object_store_are_refused(monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match="cannot open 'az://container/x'"):
        open_store("az://container/x")


# ------------------------------------------------------------------------------------- stores in memory


def test_a_store_in_memory_has_a_name(request, networks):
    name = f"memory://{request.node.nodeid}"
    store = open_store(name, "a")
    assert not store.exists
    with pytest.raises(StoreError, match="there is no store at 'memory://"):
        open_store(name)
    subs = [networks.make_sub("sw", density=d, seed=s) for d in (0.15, 0.5) for s in (3, 1)]
    for sub in subs:
        assert store.write(sub)
        assert open_store(name, "a").write(sub) is False
    again = open_store(name)
    assert (again.path, again.densities, again.seeds) == (name, (0.15, 0.5), (1, 3))
    for sub in subs:
        assert np.array_equal(again.read("sw", sub.seed, sub.density).bits, sub.bits)
    with pytest.raises(StoreError, match="committed already, with other bits"):
        store.write(networks.make_sub("sw", seed=3, bits=networks.make_bits(576, 99)))
    with pytest.raises(StoreError, match="exists already"):
        open_store(name, "w-")
    assert again.verify() == []
    assert open_storage(f"{name}-other").is_empty()


def test_scratch_is_on_this_machine(request, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_store(f"memory://{request.node.nodeid}", "a").scratch() as folder:
        assert folder.parent == tmp_path
        (folder / "values").write_bytes(b"large")
    assert list(tmp_path.iterdir()) == []


def test_fisher_values_are_saved_in_folders_only(request, networks):
    from xsns_stream.types import DiagonalFisher

    store = open_store(f"memory://{request.node.nodeid}", "a")
    sub = networks.make_sub()
    values = tuple(np.ones(shape, np.float32) for shape in sub.layout.shapes)
    fisher = DiagonalFisher(values, sub.layout, 7, "sw", sub.provenance)
    with pytest.raises(StoreError, match="Fisher values can be saved in folders only, not at 'memory://") as caught:
        store.save_fisher(fisher)
    assert "--keep-fisher" in caught.value.hint
    assert store.write(sub)
    # The objects come from a copy of a folder, object by object.
    store.storage.write_json("fisher_commits/0/sw/zarr.json", {"attributes": {}})
    assert (store.fisher_values("sw", 0), store.fisher_record("sw", 0), store.fisher_keys()) == (None, None, ())
    assert store.info()["kept_rows"] == 0
    assert store.verify() == []


# ------------------------------------------------------------------------------------------- discarding


def test_a_discarded_row_is_gone_and_can_be_built_again(filled, path, networks):
    import zarr

    assert filled.discard("sw", 0, 0.15)
    assert filled.discard("sw", 0, 0.15) is False
    assert filled.discard("fr", 0, 0.15) is False
    assert (filled.languages, filled.unfinished(), filled.verify()) == (("rw", "yo"), (), [])
    # Other readers list groups, and warn of a folder that is not a group.
    assert sorted(zarr.open_group(path, mode="r")["commits/0.15/0"].group_keys()) == ["rw", "yo"]
    labels = json.loads((path / "subnetworks/zarr.json").read_text())["attributes"]["languages"]
    assert labels == ["sw", "rw", "yo"]
    assert filled.write(networks.make_sub("sw", bits=networks.make_bits(576, 4)))
    assert filled.record("sw").slot == (0, 0, 0)
    with pytest.raises(StoreError, match="opened for reading"):
        open_store(path).discard("sw", 0, 0.15)


def test_an_uncommitted_row_is_discarded_too(filled, path):
    (path / "commits/0.15/0/sw/zarr.json").unlink()
    assert [key.language for key in filled.unfinished()] == ["sw"]
    assert filled.discard("sw", 0, 0.15)
    assert filled.unfinished() == ()


def test_documents_are_created_once_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    storage = open_storage(tmp_path)
    assert storage.create_json("a/zarr.json", {"first": 1})
    assert not storage.create_json("a/zarr.json", {"second": 2})
    assert storage.read_json("a/zarr.json") == {"first": 1}
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["zarr.json"]


def test_documents_have_a_size_limit(storage):
    storage.write("d/x.json", b'{"a": "' + b"x" * (16 * 2**20) + b'"}')
    with pytest.raises(StoreError, match=r"x.json' does not follow the format: it has 16,777,225 bytes"):
        storage.read_json("d/x.json")
    with pytest.raises(StoreError, match="cannot be written: documents of a store have at most 16,777,216"):
        storage.write_json("d/y.json", {"a": "x" * (16 * 2**20)})
    assert storage.read_json("d/y.json") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ' + "[" * 10_000 + "]" * 10_000 + "}", "it is nested more than 64 levels deep"),
        ('{"a": ' + "[" * 64 + "]" * 64 + "}", "it is nested more than 64 levels deep"),
        ('{"a": NaN}', "is not readable as JSON"),
        ('{"a": Infinity}', "is not readable as JSON"),
        ('{"a": 1e400}', "number out of range"),
        ('{"a": 1} {}', "is not readable as JSON"),
        ('{"a": "\\ud800"}', "is not readable as JSON"),
    ],
    ids=["deep", "65", "nan", "infinity", "range", "two", "surrogate"],
)
def test_invalid_documents_are_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        LocalStorage(tmp_path).read_json("x.json")


def test_brackets_in_strings_are_not_nesting(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"a": "[" * 200, "b": '\\"[' * 100, "c": [[]] * 100}))
    assert len(LocalStorage(tmp_path).read_json("x.json")["a"]) == 200


def test_pipes_and_devices_are_not_opened(tmp_path):
    storage = LocalStorage(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_text('{"a": 1}')
    for name in ("pipe", "zero"):
        for read_method in (storage.read, storage.read_json, storage.read_document):
            with pytest.raises(StoreError, match=f"{name}' is not a regular file"):
                read_method(name)
        assert (storage.size(name), storage.exists(name), storage.has_entry(name)) == (None, False, True)
        with pytest.raises(StoreError, match="is not a regular file"), storage.locked(name):
            pass
    assert storage.read_json("link") == {"a": 1}
