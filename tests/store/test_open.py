"""Modes and labels of a store, and error messages of opening and reading."""

import json

import pytest
import zarr

from xsns_stream.errors import IncompatibleError, LanguageError, StoreError, UsageError
from xsns_stream.store import open_store


def edit(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_a_missing_store_is_reported(path):
    with pytest.raises(StoreError, match=r"there is no store at .*experiment.zarr") as caught:
        open_store(path)
    assert "xsns-stream build" in caught.value.hint
    assert not path.exists()


def test_mode_a_writes_nothing_before_the_first_row(path, networks):
    store = open_store(path, "a")
    assert (store.exists, store.languages, store.seeds, store.records()) == (False, (), (), ())
    assert not store.is_committed("sw", 0, 0.15)
    store.check_experiment(networks.make_sub().provenance, networks.make_layout())
    assert not path.exists()
    with pytest.raises(StoreError, match="there is no store"):
        store["sw"]
    store.write(networks.make_sub())
    assert store.exists
    assert "sw" in store
    assert list(store) == ["sw"]


def test_an_empty_folder_becomes_a_store(path, networks):
    path.mkdir()
    open_store(path, "w-").write(networks.make_sub())
    assert open_store(path).languages == ("sw",)


def test_mode_w_refuses_what_exists(filled, path):
    with pytest.raises(StoreError, match="exists already") as caught:
        open_store(path, "w-")
    assert "mode 'a'" in caught.value.hint


def test_mode_w_refuses_a_store_that_was_created_in_the_meantime(path, networks):
    store = open_store(path, "w-")
    open_store(path, "a").write(networks.make_sub("rw"))
    with pytest.raises(StoreError, match="exists already"):
        store.write(networks.make_sub("sw"))
    assert open_store(path).languages == ("rw",)


def test_mode_w_continues_to_write_to_its_own_store(path, networks):
    store = open_store(path, "w-")
    store.write(networks.make_sub("sw"))
    store.write(networks.make_sub("rw"))
    assert store.languages == ("rw", "sw")


def test_mode_r_does_not_write(filled, path, networks):
    with pytest.raises(StoreError, match="opened for reading") as caught:
        open_store(path).write(networks.make_sub("fr"))
    assert "mode 'a'" in caught.value.hint


def test_unknown_modes_and_compressors_are_refused(path):
    with pytest.raises(UsageError, match="must be 'r', 'a' or 'w-', not 'w'"):
        open_store(path, "w")
    with pytest.raises(UsageError, match="'none' or 'zstd', not 'gzip'"):
        open_store(path, "a", compressor="gzip")


@pytest.mark.parametrize("mode", ["r", "a"])
def test_other_folders_are_not_changed(path, mode):
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="not a store of sub-networks: it is not a Zarr v3 hierarchy"):
        open_store(path, mode)
    other = path.with_name("other.zarr")
    zarr.create_array(store=other, shape=(3,), dtype="int8")
    with pytest.raises(StoreError, match="a Zarr hierarchy with other content"):
        open_store(other, mode)
    file = path.with_name("file")
    file.write_text("{}")
    with pytest.raises(StoreError, match="not a store"):
        open_store(file, mode)


def test_a_later_format_is_refused(filled, path):
    edit(path / "zarr.json", lambda d: d["attributes"].update(format_version=2))
    with pytest.raises(StoreError, match="has format version 2; this xsns-stream reads up to 1") as caught:
        open_store(path)
    assert "upgrade xsns-stream" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["attributes"].pop("format_version"), "no valid format version"),
        (
            lambda d: d["attributes"].pop("layout"),
            "does not follow the format: attributes: object missing required field `layout`",
        ),
        (lambda d: d["attributes"]["layout"]["names"].reverse(), "does not match its own digest"),
    ],
)
def test_a_damaged_header_is_refused(filled, path, change, message):
    edit(path / "zarr.json", change)
    with pytest.raises(StoreError, match=message):
        open_store(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["attributes"]["languages"].append("fr"), "does not fit"),
        (lambda d: d["attributes"]["languages"].__setitem__(0, "rw"), "occurs twice in 'languages'"),
        (lambda d: d["attributes"]["languages"].__setitem__(0, "../rw"), r"attributes.languages\[0\]: expected text"),
        (lambda d: d["attributes"].pop("seeds"), "attributes: object missing required field `seeds`"),
        (lambda d: d["shape"].__setitem__(3, 10), "a row has 10 words, and 576 parameters|a row must be one object"),
        (lambda d: d.update(data_type="int64"), "data_type: invalid enum value 'int64'"),
        (lambda d: d.update(dimension_names=["a", "b", "c", "d"]), "dimension_names: they must be density"),
        (lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[1, 1, 2, 9]), "a row must be one object"),
        (lambda d: d["chunk_key_encoding"].update(name="v2"), "chunk_key_encoding.name: invalid enum value 'v2'"),
        (
            lambda d: d["codecs"][0].update(name="bytes"),
            r"codecs\[0\].name: invalid enum value",
        ),
    ],
)
def test_a_damaged_array_document_is_refused(filled, path, change, message):
    edit(path / "subnetworks/zarr.json", change)
    with pytest.raises(StoreError, match=message):
        open_store(path).read("sw")


def test_a_missing_array_is_an_error(filled, path):
    (path / "subnetworks/zarr.json").unlink()
    with pytest.raises(StoreError, match=r"array 'subnetworks' of the store .* is missing"):
        filled.read("sw")
    (path / "subnetworks/zarr.json").write_text("{")
    with pytest.raises(StoreError, match="not readable as JSON"):
        filled.read("sw")


def test_an_unknown_language_gets_near_misses(filled):
    with pytest.raises(LanguageError, match="has no sub-network of 'swa'") as caught:
        filled["swa"]
    assert "'sw'" in caught.value.hint
    with pytest.raises(LanguageError, match="has no sub-network of 'zz'") as caught:
        filled["zz"]
    assert "rw, sw, yo" in caught.value.hint


@pytest.mark.parametrize("language", ["", "../../etc", "a/b", "sw_", ".", "sw-", "a..b", "a-0x5F-b", "ä", "x" * 65])
def test_languages_that_cannot_be_part_of_a_path(path, networks, language):
    store = open_store(path, "a")
    with pytest.raises(LanguageError, match="cannot name a row"):
        store.write(networks.make_sub(language))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("seed", "density", "message"),
    [
        (-1, 0.15, "a seed must be between 0 and"),
        (2**63, 0.15, "a seed must be between 0 and"),
        (0, 0.0, "a density must be above 0"),
        (0, 1.5, "a density must be above 0"),
        (0, float("nan"), "a density must be above 0"),
    ],
)
def test_labels_out_of_range_are_refused(path, seed, density, message):
    with pytest.raises(UsageError, match=message):
        open_store(path, "a").is_committed("sw", seed, density)


def test_one_of_several_seeds_or_densities_must_be_chosen(filled, networks):
    filled.write(networks.make_sub("sw", seed=1))
    with pytest.raises(UsageError, match="has 2 seeds, and none was chosen") as caught:
        filled["sw"]
    assert caught.value.hint == "choose one of 0, 1."
    filled.write(networks.make_sub("sw", density=0.5))
    with pytest.raises(UsageError, match="has 2 densities, and none was chosen") as caught:
        filled.read("sw", seed=0)
    assert caught.value.hint == "choose one of 0.15, 0.5."
    assert filled.read("sw", seed=1, density=0.15).seed == 1


def test_the_error_of_a_missing_row_names_the_existing_rows(filled):
    with pytest.raises(StoreError, match=r"has no row 'sw' \(seed 4, density 0.15\)") as caught:
        filled.read("sw", seed=4)
    assert "seed 0 at density 0.15" in caught.value.hint


def test_another_experiment_names_every_field_that_differs(filled, networks):
    sub = networks.make_sub("fr", estimator="authors", dtype="float64")
    with pytest.raises(IncompatibleError) as caught:
        filled.write(sub)
    message = caught.value.message
    assert "estimator is 'per-example(token_reduction=sum)' in the store and 'authors' here" in message
    assert "dtype is 'float32' in the store and 'float64' here" in message
    assert "layout is" not in message
    assert "one store contains one experiment" in caught.value.hint
    with pytest.raises(IncompatibleError, match="estimator"):
        filled.check_experiment(sub.provenance, sub.layout)
    assert filled.languages == ("rw", "sw", "yo")


def test_another_layout_names_sizes_and_the_first_tensor(filled, networks):
    layout = networks.make_layout(layers=4, layer_bits=192)
    with pytest.raises(IncompatibleError) as caught:
        filled.check_experiment(networks.make_sub().provenance, layout)
    assert "layout is 3 tensors with 576 parameters in the store and 4 with 768 here" in caught.value.message
    assert "tensor 3: nothing and layer.3.weight [192]" in caught.value.message


def test_fields_that_differ_between_rows_are_not_compared(filled, networks):
    sub = networks.make_sub("fr", corpus_digest="abc", device="cuda", examples=3)
    filled.check_experiment(sub.provenance, sub.layout)
    assert filled.write(sub)
    assert filled.record("fr").provenance.corpus_digest == "abc"
    assert filled.experiment["estimator"] == "per-example(token_reduction=sum)"


def test_info_is_plain_json(filled):
    info = filled.info()
    assert json.loads(json.dumps(info)) == info
    assert (info["rows"], info["parameters"], info["words"], info["layers"]) == (3, 576, 9, 3)
    assert info["languages"] == ["rw", "sw", "yo"]
    assert info["unfinished_rows"] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("folder(ud)", "folder(ud, words=running)"),
        ("folder(ud, split=train)", "folder(ud, split=train, words=running)"),
        ("folder(ud, en=en.conllu)", "folder(ud, words=given, en=en.conllu)"),
        ("files", "files(words=running)"),
        ("task(ud, task=pos)[train]", "task(ud, task=pos)[train, words=running]"),
    ],
)
def test_a_store_made_from_words_by_an_older_version_needs_a_new_store(tmp_path, networks, old, new):
    store = open_store(tmp_path / "x.zarr", "a")
    store.write(networks.make_sub("sw", corpus=old))
    with pytest.raises(IncompatibleError) as caught:
        store.write(networks.make_sub("fi", corpus=new))
    assert "made by an older version" in str(caught.value.hint)
    assert "build a new store" in str(caught.value.hint)
    with pytest.raises(IncompatibleError) as caught:
        store.write(networks.make_sub("fi", corpus=f"other {new}"))
    assert "repeat the store's settings" in str(caught.value.hint)
