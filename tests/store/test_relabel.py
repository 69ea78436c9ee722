"""Another label for the rows of a language."""

import shutil
from functools import partial

import numpy as np
import pytest

from tests.support.networks import files, row
from xsns_stream.errors import LanguageError, StoreError
from xsns_stream.similarity import count_overlaps
from xsns_stream.store import open_store
from xsns_stream.store.overlap_cache import overlap_cache
from xsns_stream.store.relabel import RelabelResult
from xsns_stream.types import DiagonalFisher


def values_of(networks, language):
    sub = networks.make_sub(language)
    values = tuple(np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for shape in sub.layout.shapes)
    return DiagonalFisher(values, sub.layout, 7, language, sub.provenance)


@pytest.fixture
def rich(filled, networks):
    """A store in which `sw` has two seeds, two densities, folds, Fisher values and cached counts."""
    filled.write(networks.make_sub("sw", 1))
    filled.write(networks.make_sub("sw", 0, 0.3))
    filled.save_fisher(values_of(networks, "sw"))
    for number in (1, 2):
        filled.write_fold(networks.make_sub("sw", bits=networks.make_sub(f"sw{number}").bits), 2, number)
    count_overlaps(filled, seed=0, density=0.15, cache=overlap_cache(filled))
    return filled


def test_everything_of_a_row_gets_the_new_label(rich, path, networks):
    before = {key: rich.read(key.language, key.seed, key.density) for key in rich.keys()}  # noqa: SIM118
    progress_seen = []
    result = rich.relabel("sw", "qaa-x-mine", lambda *progress: progress_seen.append(progress))
    assert result.rows == tuple(sorted(row("qaa-x-mine", *key) for key in ((0,), (1,), (0, 0.3))))
    assert (len(result.fisher), result.folds) == (1, 2)
    assert progress_seen[-1] == (12, 12)
    store = open_store(path)
    assert store.languages == ("qaa-x-mine", "rw", "yo")
    assert store.verify() == []
    assert store.unfinished() == store.unfinished_folds() == ()
    for key, sub in before.items():
        new = "qaa-x-mine" if key.language == "sw" else key.language
        stored = store.read(new, key.seed, key.density)
        assert stored.bits.tolist() == sub.bits.tolist()
        assert stored.threshold == sub.threshold
        assert stored.provenance.former_labels == (("sw",) if key.language == "sw" else ())
    assert store.fisher_values("sw", 0) is None
    fisher = store.fisher_values("qaa-x-mine", 0)
    assert [each.tolist() for each in fisher.values] == [each.tolist() for each in values_of(networks, "sw").values]
    assert store.has_folds("qaa-x-mine", 0, 0.15, 2)
    assert not any(fold.languages == ("sw",) for fold in store.folds(2))
    # The counts of the row are used under the new label.
    cached = overlap_cache(store).load(0, 0.15)
    assert sorted(cached.languages) == ["qaa-x-mine", "rw", "yo"]
    counts = count_overlaps(store, seed=0, density=0.15)
    position = [cached.languages.index(language) for language in counts.languages]
    assert np.array_equal(cached.counts.intersection[np.ix_(position, position)], counts.intersection)


def test_a_label_may_be_given_back(filled, path):
    before = filled.read("sw")
    filled.relabel("sw", "sw_news")
    filled.relabel("sw_news", "sw")
    stored = open_store(path).read("sw")
    assert stored.bits.tolist() == before.bits.tolist()
    assert stored.provenance.former_labels == ("sw", "sw_news")
    assert open_store(path).verify() == []


def test_another_row_is_never_replaced(filled, path):
    before = files(path)
    with pytest.raises(LanguageError, match="has a row 'yo' already"):
        filled.relabel("sw", "yo")
    with pytest.raises(LanguageError, match="no sub-network of 'swa'") as error:
        filled.relabel("swa", "x")
    assert "'sw'" in error.value.hint
    for label in ("../sw", "a/b", "", "a b", "a+b", "a,b", "x" * 65, "a-0x5F-b", "-a", "a..b"):
        with pytest.raises(LanguageError, match="cannot name a row"):
            filled.relabel("sw", label)
    with pytest.raises(LanguageError, match="both 'sw'"):
        filled.relabel("sw", "sw")
    with pytest.raises(StoreError, match="opened for reading"):
        open_store(path).relabel("sw", "tw")
    assert files(path) == before


def test_a_row_that_is_being_measured_is_left(filled, path):
    with filled.claimed("sw", 0) as claimed:
        assert claimed
        with pytest.raises(StoreError, match="being measured by another process"):
            open_store(path, "a").relabel("sw", "tw")
    assert filled.languages == ("rw", "sw", "yo")


class Killed(BaseException):
    """An exception in place of `kill -9`."""


def stop_at(last, completed, total):
    if completed >= last:
        raise Killed


def test_after_a_crash_at_any_step_the_same_call_continues(rich, path, tmp_path):
    expected = None
    for last in (0, 1, 3, 6, 7, 9, 11):
        copy = tmp_path / f"copy{last}.zarr"
        shutil.copytree(path, copy)
        store = open_store(copy, "a")
        if last:
            with pytest.raises(Killed):
                store.relabel("sw", "tw", partial(stop_at, last))
        # Every row is complete under at least one of the labels at any time.
        between = open_store(copy)
        assert between.verify() == []
        for key in ((0, 0.15), (1, 0.15), (0, 0.3)):
            assert any(between.is_committed(language, *key) for language in ("sw", "tw"))
        again = open_store(copy, "a").relabel("sw", "tw")
        assert again.new == "tw"
        store = open_store(copy)
        assert store.languages == ("rw", "tw", "yo")
        assert store.verify() == []
        assert store.unfinished_folds() == ()
        assert store.has_folds("tw", 0, 0.15, 2)
        assert store.fisher_record("sw", 0) is None
        assert store.fisher_record("tw", 0) is not None
        contents = {name: data for name, data in files(copy).items() if not name.startswith("overlaps")}
        expected = expected or contents
        assert contents == expected
        # Once it is done, there is nothing left to do.
        assert open_store(copy, "a").relabel("sw", "tw") == RelabelResult("sw", "tw")


def test_a_row_that_was_built_again_is_not_mixed_with_the_former_one(filled, networks):
    filled.relabel("sw", "tw")
    filled.write(networks.make_sub("sw", bits=networks.make_sub("other").bits))
    with pytest.raises(LanguageError, match="has a row 'tw' already"):
        filled.relabel("sw", "tw")
    filled.write(networks.make_sub("rw", 1))
    filled.write(networks.make_sub("kk", 3))
    filled.relabel("kk", "kz")
    filled.write(networks.make_sub("kk", 4))
    with pytest.raises(LanguageError, match="has a row 'kz' already"):
        filled.relabel("kk", "kz")


def test_a_compressed_store_is_relabelled(path, networks):
    store = open_store(path, "a", compressor="zstd")
    store.write(networks.make_sub("sw"))
    store.relabel("sw", "sw.1")
    assert open_store(path).read("sw.1").bits.tolist() == networks.make_sub("sw").bits.tolist()
    assert open_store(path).verify() == []


def test_a_store_in_a_bucket_is_relabelled(s3, networks):
    store = open_store(f"{s3}/a.zarr", "a")
    store.write(networks.make_sub("sw"))
    store.write(networks.make_sub("yo"))
    store.write_fold(networks.make_sub("sw", bits=networks.make_sub("part").bits), 2, 1)
    count_overlaps(store, seed=0, density=0.15, cache=overlap_cache(store))
    store.relabel("sw", "aka_Latn")
    again = open_store(f"{s3}/a.zarr")
    assert again.languages == ("aka_Latn", "yo")
    assert again.verify() == []
    assert sorted(overlap_cache(again).load(0, 0.15).languages) == ["aka_Latn", "yo"]


def test_labels_with_other_characters_are_written_so_that_every_version_reads_them(filled, path):
    import json

    filled.relabel("sw", "aka_Latn")
    filled.relabel("yo", "yo.1")
    assert (path / "commits/0.15/0/aka-0x5F-Latn/zarr.json").is_file()
    labels = json.loads((path / "subnetworks/zarr.json").read_text())["attributes"]["languages"]
    assert labels == ["sw", "rw", "yo", "aka-0x5F-Latn", "yo-0x2E-1"]
    assert open_store(path).languages == ("aka_Latn", "rw", "yo.1")
    assert open_store(path)["aka_Latn"].language == "aka_Latn"


def test_copies_keep_the_former_label(filled, path, tmp_path):
    from xsns_stream.store.copy_merge import copy_rows

    filled.relabel("sw", "sw_news")
    target = open_store(tmp_path / "copy.zarr", "a")
    copy_rows(filled, target)
    assert target.record("sw_news").provenance.former_labels == ("sw",)
    target["sw_news"].save(tmp_path / "a.npz")
    from xsns_stream.types import SubNetwork

    assert SubNetwork.load(tmp_path / "a.npz").language == "sw_news"
