"""A store in S3, on a local server."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.support.paths import SUPPORT
from xsns_stream.errors import StoreError
from xsns_stream.store import RowKey, open_store
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage import remote, remote_requests

SCRIPT = SUPPORT / "remote_writers.py"
SECRETS = ("key-of-the-tests", "secret-of-the-tests")


@pytest.fixture
def url(s3):
    return f"{s3}/some/experiment.zarr"


@pytest.fixture
def stored(url, networks):
    store = open_store(url, "a")
    for language in ("sw", "rw", "yo"):
        assert store.write(networks.make_sub(language))
    return store


def start(url, *labels):
    command = [sys.executable, str(SCRIPT), url, *labels]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


# ------------------------------------------------------------------------------------------ round trip


@pytest.mark.parametrize("compressor", ["none", "zstd"])
def test_rows_are_built_resumed_read_and_verified(url, networks, compressor):
    sub, other = networks.make_sub("sw"), networks.make_sub("zh-Hant", seed=3)
    store = open_store(url, "a", compressor=compressor)
    assert not store.exists
    assert store.write(sub)
    again = open_store(url, "a")
    assert again.is_committed("sw", 0, 0.15)
    assert again.write(sub) is False
    assert again.write(other)
    assert np.array_equal(again.read("sw", 0).bits, sub.bits)
    assert np.array_equal(again.rows(("zh-Hant",), 3, 0.15, 2, 7)[0], other.bits[2:7])
    assert again.cardinalities(("sw",), 0, 0.15).tolist() == [sub.cardinality]
    assert again.verify() == []
    assert again.unfinished() == ()
    info = again.info()
    assert (info["path"], info["rows"], info["compressed"]) == (url, 2, compressor == "zstd")
    with open_store(url).columns(("sw",), 0, 0.15) as columns:
        out = np.empty((1, 4), np.uint64)
        columns.read(3, 7, out)
    assert np.array_equal(out[0], sub.bits[3:7])


def test_objects_are_those_of_a_folder(stored, filled):
    in_folder = {key: (filled.path / key).read_bytes() for key in filled.storage.list() if not key.endswith(".lock")}
    in_bucket = {key: stored.storage.read(key) for key in stored.storage.list()}
    assert {k for k in in_bucket if "/c/" in k} == {k for k in in_folder if "/c/" in k}
    assert {k: v for k, v in in_bucket.items() if "zarr.json" not in k} == {
        k: v for k, v in in_folder.items() if "zarr.json" not in k
    }
    assert {k: json.loads(v) for k, v in in_bucket.items() if "zarr.json" in k} == {
        k: json.loads(v) for k, v in in_folder.items() if "zarr.json" in k
    }


def test_plain_zarr_reads_it(stored, networks):
    import zarr

    group = zarr.open_group(stored.storage.zarr_store(), mode="r")
    assert np.array_equal(group["subnetworks"][0, 0, 1], networks.make_sub("rw").bits)
    assert group["commits/0.15/0/sw"].attrs["slot"] == [0, 0, 0]
    assert group["seed"][:].tolist() == [0]


def test_the_command_line_takes_its_url(stored, url, xsns):
    completed = xsns("matrix", "--store", url, "--json")
    assert completed.code == 0, completed.err
    assert json.loads(completed.out)["result"]["languages"] == ["rw", "sw", "yo"]
    assert xsns("verify", "--store", url).code == 0
    assert xsns("rank", "--store", url, "--target", "sw").code == 0
    assert json.loads(xsns("info", "--store", url, "--json").out)["result"]["rows"] == 3
    stored.storage.remove("subnetworks/c/0/0/1/0")
    assert xsns("verify", "--store", url).code == 1


def test_a_build_continues_where_it_stopped(url, xsns, tiny_folder, write_texts, tmp_path):
    texts = write_texts(tmp_path / "texts", "sw fi", 8)
    build = ("build", "--model", tiny_folder, "--corpus", texts, "--examples", 4, "--max-length", 32)
    for languages, measured in [("sw", 1), ("sw,fi", 1), ("sw,fi", 0)]:
        completed = xsns(*build, "--json", "--store", url, "--lang", languages)
        assert completed.code == 0, completed.err
        assert len(json.loads(completed.out)["result"]["committed"]) == measured
    local = tmp_path / "local.zarr"
    assert xsns(*build, "--lang", "sw,fi", "--store", local).code == 0
    for language in ("sw", "fi"):
        assert np.array_equal(open_store(url)[language].bits, open_store(local)[language].bits)
    refused = xsns(*build, "--store", url, "--lang", "sw,fi", "--seed", 7, "--keep-fisher", "float32")
    assert "Fisher values can be saved in folders only" in refused.err + refused.out


# ---------------------------------------------------------------------------------- several at once


@pytest.mark.slow
def test_processes_that_create_the_store_and_grow_its_labels_lose_nothing(url, networks):
    codes = [f"x{n}" for n in range(8)]
    ends = [finish(process) for process in [start(url, code, f"{code}-a") for code in codes]]
    assert ends == [[True, True]] * 8
    store = open_store(url)
    assert set(store.languages) == {*codes, *(f"{code}-a" for code in codes)}
    assert store.verify() == []
    for code in codes:
        assert np.array_equal(store[code].bits, networks.make_sub(code).bits)


def test_of_two_writers_of_one_row_the_second_is_refused(url, networks):
    ends = [finish(process) for process in [start(url, "sw:1"), start(url, "sw:2")]]
    (refused,) = [end for (end,) in ends if end is not True]
    assert "is committed already, with other bits" in refused
    store = open_store(url)
    winner = 1 + ends.index([True])
    assert np.array_equal(store["sw"].bits, networks.make_bits(576, winner))
    assert store.verify() == []


def test_two_writers_of_the_same_bits_both_succeed(url):
    ends = [finish(process) for process in [start(url, "sw"), start(url, "sw")]]
    assert sorted(end for (end,) in ends) in ([False, True], [True, True])
    assert open_store(url).verify() == []


# --------------------------------------------------------------------------------------- killed writers


def test_what_a_killed_process_committed_stays_and_the_rest_is_built(url, networks):
    codes = [f"x{n}" for n in range(40)]
    process = start(url, *codes)
    store = open_store(url, "a")
    while process.poll() is None and len(store.keys()) < 3:
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert 3 <= len(store.keys()) < 40
    assert store.verify() == []
    for code in codes:
        store.write(networks.make_sub(code))
    assert (len(store.keys()), store.unfinished(), store.verify()) == (40, (), [])


def leave_object(store, networks, bits):
    """Put the object of a row without a commit record, like a writer that is killed before it commits."""
    sub = networks.make_sub("fr", bits=bits)
    array = RowArray.open(store.storage, store.layout).grow(RowKey.checked("fr", 0, 0.15))
    slot = array.slot(RowKey.checked("fr", 0, 0.15))
    store.storage.write(array.object_key(slot), array.encoded(slot, sub.bits))


def test_the_bits_of_a_killed_writer_are_committed_where_they_are_the_same(stored, networks):
    leave_object(stored, networks, None)
    assert [key.language for key in stored.unfinished()] == ["fr"]
    assert stored.write(networks.make_sub("fr"))
    assert stored.verify() == []


def test_other_bits_of_a_killed_writer_are_replaced_after_a_while(stored, networks, monkeypatch):
    monkeypatch.setattr(remote, "SETTLE_S", 0.05)
    monkeypatch.setattr(remote, "_POLL_S", 0.01)
    leave_object(stored, networks, networks.make_bits(576, 99))
    assert stored.write(networks.make_sub("fr"))
    assert stored.verify() == []
    assert np.array_equal(stored["fr"].bits, networks.make_sub("fr").bits)


def test_a_store_whose_creator_was_killed_is_completed(url, networks):
    store = open_store(url, "a")
    store.write(networks.make_sub("sw"))
    for key in [*store.storage.list()]:
        if key != "zarr.json":
            store.storage.remove(key)
    again = open_store(url, "a")
    assert again.languages == ()
    assert again.write(networks.make_sub("rw"))
    assert again.verify() == []


# --------------------------------------------------------------------------------------------- errors


def told(error):
    text = f"{error.message} {error.hint}"
    assert not any(secret in text for secret in SECRETS)
    return text


def test_a_missing_bucket_is_an_error(s3, networks):
    with pytest.raises(StoreError, match=r"cannot read 's3://no-such-bucket/x': there is no such bucket") as caught:
        open_store("s3://no-such-bucket/x")
    assert "AWS_ENDPOINT_URL" in told(caught.value)
    with pytest.raises(StoreError, match="no such bucket"):
        open_store("s3://no-such-bucket/x", "a")


def test_a_server_that_does_not_answer_is_given_up_soon(s3, monkeypatch):
    monkeypatch.setattr(remote_requests, "FIRST_S", 1.0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    begun = time.monotonic()
    with pytest.raises(StoreError, match="the server does not answer") as caught:
        open_store(f"{s3}/x")
    assert time.monotonic() - begun < 60
    assert "127.0.0.1" not in told(caught.value)


def test_a_missing_store_and_other_files_are_refused(s3, url):
    with pytest.raises(StoreError, match="there is no store at 's3://"):
        open_store(url)
    store = open_store(url, "a")
    store.storage.write("notes.txt", b"mine")
    with pytest.raises(StoreError, match="is not a store of sub-networks"):
        open_store(url, "a")
    with pytest.raises(StoreError, match="exists already"):
        open_store(url, "w-")


def test_truncated_and_missing_objects_name_their_row(stored):
    key = "subnetworks/c/0/0/0/0"
    data = stored.storage.read(key)
    for size in (0, 40, len(data) - 1):
        stored.storage.write(key, data[:size])
        with pytest.raises(StoreError, match=r"the row 'sw' \(seed 0, density 0.15\) cannot be read"):
            stored["sw"]
        assert {(f.problem, f.row.language) for f in stored.verify()} == {("size", "sw"), ("unreadable", "sw")}
    stored.storage.remove(key)
    with pytest.raises(StoreError, match=r"the row 'sw' .* is committed, but its object 's3://.*' is missing"):
        stored["sw"]
    with pytest.raises(StoreError, match="is missing"), stored.columns(("rw", "sw"), 0, 0.15):
        pass


def test_a_discarded_row_may_be_written_again(stored, networks):
    assert stored.discard("sw", 0, 0.15)
    assert stored.discard("sw", 0, 0.15) is False
    assert stored.languages == ("rw", "yo")
    assert stored.unfinished() == ()
    assert stored.write(networks.make_sub("sw", bits=networks.make_bits(576, 5)))
    assert stored.verify() == []
