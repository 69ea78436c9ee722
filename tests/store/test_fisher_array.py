"""Saved Fisher values: round trips, also with plain Zarr, and detection of damage."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.errors import IncompatibleError, LanguageError, StoreError, UsageError
from xsns_stream.store import FisherKey, open_store
from xsns_stream.store import fisher_array as kept_array
from xsns_stream.store.fisher_array import from_bf16, to_bf16
from xsns_stream.types import DiagonalFisher, LayerSpan, ParameterLayout


@pytest.fixture
def make_fisher(networks):
    """A function that returns synthetic Fisher values, which depend on their label only."""

    def make(language="sw", seed=0, layout=None, **provenance):
        layout = layout or networks.make_layout()
        generator = np.random.Generator(np.random.PCG64([seed, *language.encode()]))
        values = tuple(generator.exponential(size=shape).astype(np.float32) for shape in layout.shapes)
        record = networks.make_sub(language, seed, layout=layout, **provenance).provenance
        return DiagonalFisher(values, layout, 7, language, record)

    return make


@pytest.fixture
def kept(path, make_fisher):
    """A store with the Fisher values of three rows, and no sub-network yet."""
    store = open_store(path, "a")
    for language in ("sw", "rw", "yo"):
        assert store.save_fisher(make_fisher(language))
    return store


def object_of(path, language="sw", seed=0):
    labels = json.loads((path / "fisher/zarr.json").read_text())["attributes"]
    slot = labels["seeds"].index(seed), labels["languages"].index(language)
    return path.joinpath("fisher", "c", *map(str, slot), "0")


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one.values, other.values, strict=True))


# ------------------------------------------------------------------------------------------ round trip


def test_values_round_trip(kept, make_fisher, path):
    again = open_store(path)
    for language in ("sw", "rw", "yo"):
        fisher, expected = again.fisher_values(language, 0), make_fisher(language)
        assert same(fisher, expected)
        assert (fisher.language, fisher.examples, fisher.provenance) == (language, 7, expected.provenance)
        assert fisher.layout == expected.layout
    assert again.fisher_values("fr", 0) is None
    assert again.fisher_values("sw", 1) is None
    assert again.languages == (), "no sub-network is committed"
    assert again.verify() == []
    assert open_store(path.with_name("none"), "a").fisher_values("sw", 0) is None


def test_values_may_fill_several_chunks_and_tensors_may_cross_them(path, make_fisher, monkeypatch):
    monkeypatch.setattr(kept_array, "CHUNK_VALUES", 100)
    monkeypatch.setattr(kept_array, "_PIECE", 64)
    layout = ParameterLayout(("a", "b"), ((13, 17), (204,)), (LayerSpan("all", 0, 425),))
    store, fisher = open_store(path, "a"), make_fisher(layout=layout)
    store.save_fisher(fisher)
    assert same(store.fisher_values("sw", 0), fisher)
    array = zarr.open_group(path, mode="r")["fisher"]
    assert (array.shape, array.shards, array.chunks) == ((1, 1, 425), (1, 1, 500), (1, 1, 100))
    assert np.array_equal(array[0, 0], np.concatenate([v.ravel() for v in fisher.values]))
    assert object_of(path).stat().st_size == 500 * 4 + 5 * 16 + 4
    assert store.verify() == []


def test_labels_grow_and_no_row_moves(kept, make_fisher):
    kept.save_fisher(make_fisher("sw", 5))
    kept.save_fisher(make_fisher("fr", 5))
    assert same(kept.fisher_values("sw", 0), make_fisher("sw"))
    assert same(kept.fisher_values("sw", 5), make_fisher("sw", 5))
    assert same(kept.fisher_values("fr", 5), make_fisher("fr", 5))
    assert kept.fisher_values("fr", 0) is None
    assert kept.verify() == []


def test_plain_zarr_reads_them(kept, path, make_fisher):
    group = zarr.open_group(path, mode="r")
    array = group["fisher"]
    assert (array.dtype, array.attrs["encoding"]) == (np.float32, "float32")
    assert array.metadata.dimension_names == ("seed", "language", "parameter")
    for index, language in enumerate(array.attrs["languages"]):
        expected = np.concatenate([v.ravel() for v in make_fisher(language).values])
        assert np.array_equal(array[0, index], expected)
        assert group[f"fisher_commits/0/{language}"].attrs["slot"] == [0, index]
    # Zarr reads the index and tests its checksum.
    assert array[0, 0, 5:9].shape == (4,)


def test_saving_again_writes_nothing_and_other_values_are_refused(kept, make_fisher):
    assert kept.save_fisher(make_fisher()) is False
    other = make_fisher("sw")
    other.values[0][3] += 1
    with pytest.raises(StoreError, match=r"'sw' \(seed 0, Fisher values\) .* is committed already, with other values"):
        kept.save_fisher(other)
    assert same(kept.fisher_values("sw", 0), make_fisher())


def test_sub_networks_and_values_live_in_one_store(filled, make_fisher, networks):
    assert filled.save_fisher(make_fisher("sw"))
    assert filled.save_fisher(make_fisher("fr"))
    assert filled.write(networks.make_sub("fr"))
    assert filled.languages == ("fr", "rw", "sw", "yo")
    info = filled.info()
    assert (info["kept_rows"], info["kept_fisher"]) == (2, ["float32"])
    assert info["kept_bytes"] == 2 * object_of(filled.path).stat().st_size
    assert filled.verify() == []
    progress = []
    filled.verify(lambda done, total: progress.append((done, total)))
    assert progress == [(n, 6) for n in range(1, 7)]


# ---------------------------------------------------------------------------------------------- bf16


def test_rounding_is_to_the_nearest_and_ties_to_even():
    exact = np.array([0, 1, 0.5, 3.5, 2**-126, 1.9921875], np.float32)
    assert np.array_equal(from_bf16(to_bf16(exact)), exact)
    step = np.float32(2**-7)
    ties = np.array([1 + step / 2, 1 + 3 * step / 2], np.float32)
    assert from_bf16(to_bf16(ties)).tolist() == [1.0, 1 + 2 * step]
    assert from_bf16(to_bf16(np.nextafter(ties, np.float32(9)))).tolist() == [1 + step, 1 + 2 * step]
    assert from_bf16(to_bf16(np.nextafter(ties, np.float32(0)))).tolist() == [1.0, 1 + step]


@given(st.lists(st.floats(0, 2.0**126, width=32), min_size=1, max_size=50))
def test_rounding_equals_that_of_torch(values):
    torch = pytest.importorskip("torch")
    array = np.array(values, np.float32)
    expected = torch.from_numpy(array).to(torch.bfloat16).to(torch.float32).numpy()
    assert np.array_equal(from_bf16(to_bf16(array)), expected)


def test_values_can_be_saved_in_bf16(path, make_fisher):
    store, fisher = open_store(path, "a"), make_fisher()
    assert store.save_fisher(fisher, "bf16")
    assert store.save_fisher(fisher, "bf16") is False
    stored = store.fisher_values("sw", 0)
    for ours, theirs in zip(stored.values, fisher.values, strict=True):
        assert ours.dtype == np.float32
        assert np.all(np.abs(ours - theirs) <= theirs * 2**-8)
        assert not np.array_equal(ours, theirs)
    array = zarr.open_group(path, mode="r")["fisher"]
    assert (array.dtype, array.attrs["encoding"]) == (np.uint16, "bf16")
    assert np.array_equal(array[0, 0], to_bf16(np.concatenate([v.ravel() for v in fisher.values])))
    assert store.fisher_record("sw", 0).encoding == "bf16"
    assert store.verify() == []


def test_a_store_has_one_encoding(kept, make_fisher):
    with pytest.raises(StoreError, match="are saved as float32, not as bf16"):
        kept.save_fisher(make_fisher("fr"), "bf16")


# ------------------------------------------------------------------------------------------- refusals


def test_values_that_cannot_be_saved(path, make_fisher):
    store, fisher = open_store(path, "a"), make_fisher()
    with pytest.raises(UsageError, match="no encoding 'float16'"):
        store.save_fisher(fisher, "float16")
    wide = tuple(values.astype(np.float64) for values in fisher.values)
    with pytest.raises(UsageError, match="float64 cannot be saved"):
        store.save_fisher(replace(fisher, values=wide))
    with pytest.raises(LanguageError, match="cannot name a row"):
        store.save_fisher(replace(fisher, language="../x"))


def test_reading_stores_and_other_experiments_are_refused(kept, path, make_fisher):
    with pytest.raises(StoreError, match="opened for reading"):
        open_store(path).save_fisher(make_fisher("fr"))
    with pytest.raises(IncompatibleError, match="dtype is 'float32' in the store and 'float64' here"):
        kept.save_fisher(make_fisher("fr", dtype="float64"))


# --------------------------------------------------------------------------------------------- damage


def problems(store):
    return {(finding.problem, str(finding.row)) for finding in store.verify()}


SW = "'sw' (seed 0, Fisher values)"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "bytes instead of"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "its values have changed"),
    ],
)
def test_a_damaged_object_is_reported(kept, path, damage, message):
    file = object_of(path)
    file.write_bytes(damage(file.read_bytes()))
    assert problems(kept) == {("values", SW)}
    assert message in str(kept.verify()[0])
    with pytest.raises(StoreError, match=message) as caught:
        kept.fisher_values("sw", 0)
    assert "fisher_commits/0/sw" in caught.value.hint


def test_a_damaged_index_is_found_though_values_are_read_without_it(kept, path):
    file = object_of(path)
    data = bytearray(file.read_bytes())
    data[-6] ^= 1
    file.write_bytes(data)
    assert problems(kept) == {("values", SW)}
    assert "the index of" in str(kept.verify()[0])


def test_a_missing_object_is_reported(kept, path):
    object_of(path).unlink()
    assert problems(kept) == {("values", SW)}
    with pytest.raises(StoreError, match=r"cannot be read: .*No such file"):
        kept.fisher_values("sw", 0)


def test_swapped_labels_of_fisher_values_are_found(kept, path):
    file = path / "fisher/zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["languages"][:2] = reversed(document["attributes"]["languages"][:2])
    file.write_text(json.dumps(document))
    assert {row for _, row in problems(kept)} == {SW, "'rw' (seed 0, Fisher values)"}
    with pytest.raises(StoreError, match="does not match the array of Fisher values"):
        kept.fisher_values("sw", 0)


def test_invalid_values_are_found(path, make_fisher):
    fisher = make_fisher()
    fisher.values[1][5] = math.inf
    store = open_store(path, "a")
    store.save_fisher(fisher)
    assert "negative or not finite" in str(store.verify()[0])


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["attributes"].update(encoding="int8"),
        lambda d: d["attributes"].pop("encoding"),
        lambda d: d["attributes"]["languages"].append("fr"),
        lambda d: d["attributes"]["languages"].__setitem__(0, "rw"),
        lambda d: d.update(data_type="uint16"),
        lambda d: d.update(dimension_names=["a", "b", "c"]),
        lambda d: d["chunk_key_encoding"].update(name="v2"),
        lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[1, 3, 576]),
    ],
)
def test_a_damaged_array_document_is_reported(kept, path, change):
    file = path / "fisher/zarr.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(StoreError, match="does not follow the format"):
        kept.fisher_values("sw", 0)


def test_damaged_records_and_records_of_other_rows_are_found(kept, path):
    (path / "fisher_commits/0/sw/zarr.json").write_text("{}")
    shutil.copytree(path / "fisher_commits/0/rw", path / "fisher_commits/0/fr")
    shutil.copytree(path / "fisher_commits/0/rw", path / "fisher_commits/00/rw")
    assert problems(kept) == {("record", SW), ("record", "'fr' (seed 0, Fisher values)"), ("record", "None")}
    with pytest.raises(StoreError, match="contains the key of another row, 'rw'"):
        kept.fisher_record("fr", 0)


def test_an_incomplete_row_without_a_record_is_written_again(kept, path, make_fisher):
    shutil.rmtree(path / "fisher_commits/0/sw")
    file = object_of(path)
    file.write_bytes(file.read_bytes()[:50])
    file.with_name("0.0123.partial").write_bytes(b"left by a killed writer")
    assert kept.fisher_values("sw", 0) is None
    assert kept.save_fisher(make_fisher())
    assert [entry.name for entry in file.parent.iterdir()] == ["0"]
    assert same(kept.fisher_values("sw", 0), make_fisher())
    assert not list((path / "fisher").glob(".lock-*"))


def test_a_full_disk_leaves_saved_values_sound(kept, path, make_fisher, monkeypatch):
    import errno
    import os

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="full"):
            kept.save_fisher(make_fisher("fr"))
    assert kept.fisher_values("fr", 0) is None
    assert not list(path.rglob("*.partial"))
    assert kept.save_fisher(make_fisher("fr"))
    assert kept.verify() == []


def test_the_text_of_a_key_names_language_and_seed():
    key = FisherKey.checked("sw", 3)
    assert (str(key), key.node, key.density) == ("'sw' (seed 3, Fisher values)", "fisher_commits/3/sw", None)
