"""Copying and merging of stores."""

from dataclasses import replace

import numpy as np
import pytest

from xsns_stream.errors import IncompatibleError, LanguageError, StoreError, UsageError
from xsns_stream.store import FisherKey, RowKey, open_store
from xsns_stream.store.copy_merge import copy_rows, merge_stores
from xsns_stream.types import DiagonalFisher


@pytest.fixture
def make(tmp_path, networks):
    """A function that makes a store of the given rows, as in `make("a", "sw", ("rw", 1), model="other")`."""

    def build(name, *rows, compressor="none", **options):
        store = open_store(tmp_path / name, "a", compressor=compressor)
        for row in rows:
            language, *numbers = (row,) if isinstance(row, str) else row
            store.write(networks.make_sub(language, *numbers, **options))
        return store

    return build


def same_rows(a, b, keys=None):
    for key in keys or a.keys():
        first, second = (store.read(key.language, key.seed, key.density) for store in (a, b))
        assert np.array_equal(first.bits, second.bits)
        assert replace(first, bits=second.bits) == second
    return True


def files(path):
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


@pytest.mark.parametrize("target_codec", ["none", "zstd"])
@pytest.mark.parametrize("source_codec", ["none", "zstd"])
def test_a_copy_holds_the_same_rows_in_its_own_codec(make, tmp_path, source_codec, target_codec):
    source = make("a", "sw", "rw", ("sw", 1), ("sw", 1, 0.3), compressor=source_codec)
    target, progress_seen = open_store(tmp_path / "b", "a", compressor=target_codec), []
    result = copy_rows(source, target, on_progress=lambda *progress: progress_seen.append(progress))
    assert result.written == source.keys() == target.keys()
    assert (result.skipped, dict(result.failed)) == ((), {})
    assert progress_seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert target.info()["compressed"] == (target_codec == "zstd")
    assert result.words_bytes == 4 * 9 * 8
    assert result.source_bytes == sum(record.bytes for record in source.records())
    assert result.target_bytes == sum(record.bytes for record in target.records())
    assert same_rows(source, target)
    assert target.verify() == []


def test_a_copy_of_an_uncompressed_store_has_the_same_objects(make, tmp_path):
    source = make("a", "sw", "rw")
    copy_rows(source, open_store(tmp_path / "b", "a"))
    for record in source.records():
        name = "/".join(map(str, record.slot))
        other = open_store(tmp_path / "b").record(record.language)
        assert other.sha256 == record.sha256
        # Slots follow the order of writing, which is that of the keys in a copy.
        original = tmp_path / "a" / "subnetworks/c" / name / "0"
        copied = tmp_path / "b" / "subnetworks/c" / "/".join(map(str, other.slot)) / "0"
        assert original.read_bytes() == copied.read_bytes()


def test_chosen_rows_are_copied(make, tmp_path):
    source = make("a", "sw", "rw", ("sw", 1))
    target = open_store(tmp_path / "b", "a")
    assert copy_rows(source, target, [RowKey(0.15, 1, "sw")]).written == (RowKey(0.15, 1, "sw"),)
    assert (target.languages, target.seeds) == (("sw",), (1,))
    with pytest.raises(LanguageError, match="no sub-network of 'yo'"):
        copy_rows(source, target, [RowKey(0.15, 0, "yo")])
    with pytest.raises(StoreError, match="has no row 'rw'"):
        copy_rows(source, target, [RowKey(0.15, 1, "rw")])


def test_a_copy_continues_where_it_stopped(make, tmp_path):
    source = make("a", "sw", "rw", "yo")
    target = open_store(tmp_path / "b", "a")
    copy_rows(source, target, source.keys()[:2])
    before = files(tmp_path / "b")
    result = copy_rows(source, target)
    assert (result.written, result.skipped) == (source.keys()[2:], source.keys()[:2])
    after = files(tmp_path / "b")
    assert {name: after[name] for name in before if "subnetworks/c" in name or name.startswith("commits")} == {
        name: data for name, data in before.items() if "subnetworks/c" in name or name.startswith("commits")
    }
    again = copy_rows(source, target)
    assert (again.written, len(again.skipped)) == ((), 3)
    assert files(tmp_path / "b") == after
    assert again.target_bytes == result.target_bytes


def test_a_copy_of_no_rows_creates_no_store(make, filled, tmp_path):
    result = copy_rows(filled, open_store(tmp_path / "b", "a"), [])
    assert (result.written, result.skipped, result.target_bytes) == ((), (), 0)
    assert not (tmp_path / "b").exists()


def test_a_damaged_row_is_not_copied_and_is_reported(filled, object_of, tmp_path):
    data = bytearray(object_of("sw").read_bytes())
    data[20] ^= 4
    object_of("sw").write_bytes(data)
    target = open_store(tmp_path / "b", "a")
    result = copy_rows(filled, target)
    assert [key.language for key in result.written] == ["rw", "yo"]
    ((key, error),) = result.failed.items()
    assert key.language == "sw"
    assert "does not contain the bits that were committed" in error.message
    assert target.languages == ("rw", "yo")


def test_a_damaged_record_does_not_keep_the_others_from_being_copied(filled, path, tmp_path):
    (path / "commits/0.15/0/sw/zarr.json").write_text("{}")
    target = open_store(tmp_path / "b", "a")
    result = copy_rows(filled, target)
    assert [key.language for key in result.failed] == ["sw"]
    assert target.languages == ("rw", "yo")


# ------------------------------------------------------------------------------------------- merging


def test_stores_of_several_machines_are_merged(make, tmp_path):
    a = make("a", "sw", ("rw", 1))
    b = make("b", "yo", "sw", ("sw", 0, 0.3))
    target = make("t", "zu")
    result = merge_stores(target, [a, b])
    assert len(result.written) == 4
    assert result.skipped == ()
    assert len(target.keys()) == 5
    assert same_rows(a, target)
    assert same_rows(b, target)
    assert target.verify() == []
    assert target.read("zu").language == "zu" if len(target.seeds) == 1 else target.read("zu", 0, 0.15).seed == 0


def test_a_merge_creates_its_target(make, tmp_path):
    target = open_store(tmp_path / "t", "a")
    merge_stores(target, [make("a", "sw"), make("b", "rw")])
    assert open_store(tmp_path / "t").languages == ("rw", "sw")


def test_merging_again_writes_nothing(make, tmp_path):
    a, target = make("a", "sw", "rw"), open_store(tmp_path / "t", "a")
    merge_stores(target, [a])
    before = files(tmp_path / "t")
    result = merge_stores(target, [a, a])
    assert (result.written, len(result.skipped)) == ((), 2)
    assert files(tmp_path / "t") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "other"}, "model is 'mini' in '.*' and 'other' in '.*/b'"),
        ({"estimator": "authors"}, "estimator is"),
        ({"examples_asked": 9}, r"the number of examples \(--examples\) is 8 in '.*' and 9 in '.*/b'"),
    ],
)
def test_another_experiment_is_refused_before_anything_is_written(make, tmp_path, options, message):
    good, bad = make("a", "sw"), make("b", "rw", **options)
    target = make("t", "zu")
    before = files(tmp_path / "t")
    with pytest.raises(IncompatibleError, match=message) as caught:
        merge_stores(target, [good, bad])
    assert "the stores contain different experiments" in caught.value.message
    assert f"in '{target.path}' and " in caught.value.message
    assert "nothing was written" in caught.value.hint
    assert files(tmp_path / "t") == before
    with pytest.raises(IncompatibleError, match=message):
        merge_stores(open_store(tmp_path / "new", "a"), [good, bad])
    assert not (tmp_path / "new").exists()


def test_another_layout_is_refused_with_the_first_tensor_that_differs(make, tmp_path, networks):
    target = make("t", "zu")
    with pytest.raises(
        IncompatibleError, match=r"layout is 3 tensors with 576 parameters .* \(tensor 2: layer.2.weight"
    ):
        merge_stores(target, [make("b", "rw", layout=networks.make_layout(2))])


def test_a_row_with_other_bits_is_refused_and_nothing_is_written(make, tmp_path, networks):
    target, good = make("t", "zu", "sw"), make("a", "rw")
    bad = make("b", "fi")
    bad.write(networks.make_sub("sw", bits=networks.make_bits(576, 99)))
    before = files(tmp_path / "t")
    with pytest.raises(StoreError, match="two stores contain the same row with different bits: 'sw'") as caught:
        merge_stores(target, [good, bad])
    assert f"in '{bad.path}' and '{target.path}'" in caught.value.message
    assert files(tmp_path / "t") == before
    with pytest.raises(StoreError, match="'sw'"):
        merge_stores(open_store(tmp_path / "new", "a"), [make("c", "sw"), bad])
    assert not (tmp_path / "new").exists()


def test_a_row_of_another_experiment_within_a_store_is_not_copied(filled, path, tmp_path):
    file = path / "commits/0.15/0/rw/zarr.json"
    file.write_text(file.read_text().replace('"mini"', '"other"'))
    result = merge_stores(open_store(tmp_path / "t", "a"), [filled])
    ((key, error),) = result.failed.items()
    assert key.language == "rw"
    assert "belongs to another experiment: model is" in error.message


def test_version_1_is_copied(tmp_path, networks):
    from pathlib import Path

    source = open_store(Path(__file__).with_name("fixtures") / "store_v1")
    target = open_store(tmp_path / "b", "a")
    copy_rows(source, target)
    assert same_rows(source, target)
    assert target.experiment == source.experiment | {"stopping": "", "head": "", "quantile": ""}
    assert target.verify() == []


# -------------------------------------------------------------------------------------- Fisher values


def keep(store, networks, language, encoding, scale=1.0):
    sub = networks.make_sub(language)
    draws = np.random.Generator(np.random.PCG64(len(language) + 3))
    values = tuple(draws.random(shape, np.float32) * np.float32(scale) for shape in sub.layout.shapes)
    store.save_fisher(DiagonalFisher(values, sub.layout, 7, language, sub.provenance), encoding)


@pytest.mark.parametrize("encoding", ["float32", "bf16"])
def test_fisher_values_are_copied_on_request(make, tmp_path, networks, encoding):
    source = make("a", "sw", "yo")
    keep(source, networks, "sw", encoding)
    plain = open_store(tmp_path / "plain", "a")
    merge_stores(plain, [source])
    assert plain.fisher_keys() == ()
    target = open_store(tmp_path / "t", "a")
    result = merge_stores(target, [source], with_fisher=True)
    assert result.written[0] == FisherKey(0, "sw")
    assert len(result.written) == 3
    record = target.fisher_record("sw", 0)
    assert (record.sha256, record.encoding) == (source.fisher_record("sw", 0).sha256, encoding)
    assert result.fisher_bytes == record.bytes
    for original, copied in zip(
        source.fisher_values("sw", 0).values, target.fisher_values("sw", 0).values, strict=True
    ):
        assert np.array_equal(original, copied)
    assert target.verify() == []
    again = merge_stores(target, [source], with_fisher=True)
    assert (again.written, len(again.skipped)) == ((), 3)


def test_fisher_values_of_two_encodings_are_not_merged(make, tmp_path, networks):
    a, b = make("a", "sw"), make("b", "yo")
    keep(a, networks, "sw", "float32")
    keep(b, networks, "yo", "bf16")
    target = open_store(tmp_path / "t", "a")
    with pytest.raises(IncompatibleError, match=r"saved as float32 in .* and as bf16 in") as caught:
        merge_stores(target, [a, b], with_fisher=True)
    assert "Omit the Fisher values" in caught.value.hint
    assert not (tmp_path / "t").exists()
    merge_stores(target, [a], with_fisher=True)
    with pytest.raises(IncompatibleError, match=r"saved as bf16 in .* and as float32 in"):
        merge_stores(target, [b], with_fisher=True)
    assert target.languages == ("sw",)


def test_fisher_values_that_differ_are_refused(make, tmp_path, networks):
    a, b = make("a", "sw"), make("b", "sw")
    keep(a, networks, "sw", "float32")
    keep(b, networks, "sw", "float32", scale=2)
    with pytest.raises(StoreError, match=r"different bits: 'sw' \(seed 0, Fisher values\)"):
        merge_stores(open_store(tmp_path / "t", "a"), [a, b], with_fisher=True)


def test_damaged_fisher_values_are_not_copied(make, tmp_path, networks):
    source = make("a", "sw")
    keep(source, networks, "sw", "float32")
    file = tmp_path / "a/fisher/c/0/0/0"
    data = bytearray(file.read_bytes())
    data[3] ^= 1
    file.write_bytes(data)
    target = open_store(tmp_path / "t", "a")
    result = merge_stores(target, [source], with_fisher=True)
    assert list(result.failed) == [FisherKey(0, "sw")]
    assert target.languages == ("sw",)
    assert target.fisher_keys() == ()


# ------------------------------------------------------------------------------------------- checking


def test_checking_names_every_damaged_row(filled, object_of):
    progress_seen = []
    assert filled.check_rows(filled.keys(), lambda *progress: progress_seen.append(progress)) is None
    assert progress_seen == [(1, 3), (2, 3), (3, 3)]
    object_of("sw").unlink()
    data = bytearray(object_of("yo").read_bytes())
    data[0] ^= 1
    object_of("yo").write_bytes(data)
    with pytest.raises(StoreError, match=r"^2 of 3 rows differ from .* records: 'sw' .*'yo'.*is missing") as caught:
        filled.check_rows(filled.keys())
    assert "xsns-stream verify" in caught.value.hint
    filled.check_rows([RowKey(0.15, 0, "rw")])
    with pytest.raises(LanguageError, match="no sub-network of 'fi'"):
        filled.check_rows([RowKey(0.15, 0, "fi")])


def test_a_store_within_another_is_refused(filled, path):
    before = files(path)
    with pytest.raises(UsageError, match="is within the other"):
        copy_rows(filled, open_store(path / "inner", "a"))
    assert files(path) == before
    # The target is not within the source; only the beginning of the name is the same.
    copy_rows(filled, open_store(path.with_name(f"{path.name}2"), "a"))
