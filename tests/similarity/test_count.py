"""Overlap counts of a store, compared with Python sets."""

import numpy as np
import pytest

from tests.support import networks
from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.ranking import rank_sources
from xsns_stream.similarity import count_overlaps, count_overlaps_by_seed, jaccard
from xsns_stream.store import open_store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "experiment.zarr"


@pytest.fixture
def filled(path):
    """A store with three languages."""
    store = open_store(path, "a")
    for language in ("sw", "rw", "yo"):
        store.write(networks.make_sub(language))
    return store


def selected(sub):
    return set(np.flatnonzero(sub.to_numpy()).tolist())


@pytest.mark.parametrize("compressor", ["none", "zstd"])
def test_counts_equal_those_of_sets(path, compressor):
    store = open_store(path, "a", compressor=compressor)
    layout = networks.make_layout(3, 192)
    subs = {code: networks.make_sub(code, layout=layout) for code in ("yo", "sw", "rw", "en")}
    for sub in subs.values():
        store.write(sub)
    counts = count_overlaps(store)
    assert counts.languages == ("en", "rw", "sw", "yo")
    assert (counts.size, counts.seed, counts.density) == (576, 0, 0.15)
    expected = [[len(selected(subs[a]) & selected(subs[b])) for b in counts.languages] for a in counts.languages]
    assert counts.intersection.tolist() == expected
    some = count_overlaps(store, languages=("sw", "en"))
    assert some.languages == ("sw", "en")
    assert some.intersection[0, 1] == expected[2][0]


def test_seeds_are_averaged_over_the_languages_that_have_all(filled):
    for seed in (1, 2):
        for language in ("sw", "yo"):
            filled.write(networks.make_sub(language, seed))
    filled.write(networks.make_sub("rw", 1))
    left_out, progress = {}, []
    tables = count_overlaps_by_seed(
        filled,
        on_incomplete=left_out.__setitem__,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert left_out == {"rw": (2,)}
    assert [table.seed for table in tables] == [0, 1, 2]
    assert {table.languages for table in tables} == {("sw", "yo")}
    assert progress == [(9, 27), (18, 27), (27, 27)]
    matrix = jaccard(tables)
    assert matrix.seeds == (0, 1, 2)
    each = [jaccard(count_overlaps(filled, languages=("sw", "yo"), seed=seed))["sw", "yo"] for seed in (0, 1, 2)]
    assert matrix["sw", "yo"] == pytest.approx(np.mean(each), abs=1e-15)
    assert matrix.per_seed[:, 0, 1].tolist() == each
    assert [source.language for source in rank_sources(matrix, "yo")] == ["sw"]
    with pytest.raises(LanguageError, match=r"no sub-network of 'rw' for seed 2 and density 0.15"):
        count_overlaps_by_seed(filled, languages=("rw", "sw"))


def test_one_of_several_seeds_must_be_chosen(filled, path):
    filled.write(networks.make_sub("sw", seed=1))
    with pytest.raises(UsageError, match="there are 2 seeds, and none was chosen") as caught:
        count_overlaps(filled)
    assert "0, 1" in caught.value.hint
    assert "average" in caught.value.hint
    filled.write(networks.make_sub("sw", density=0.3))
    with pytest.raises(UsageError, match="there are 2 densities, and none was chosen"):
        count_overlaps_by_seed(filled)
    with pytest.raises(StoreError, match="no language has a sub-network for every seed"):
        count_overlaps_by_seed(filled, seeds=(1, 8), density=0.15)
    with pytest.raises(StoreError, match="no sub-network to compare for seed 9"):
        count_overlaps(filled, seed=9, density=0.15)
    with pytest.raises(LanguageError, match="no sub-network of 'swa'") as caught:
        count_overlaps(filled, languages=("swa", "yo"), seed=0, density=0.15)
    assert "'sw'" in caught.value.hint
    with pytest.raises(UsageError, match="yo was given twice"):
        count_overlaps(filled, languages=("yo", "yo"), seed=0, density=0.15)


def test_an_empty_store_has_nothing_to_compare(path):
    with pytest.raises(StoreError, match="no sub-network to compare"):
        count_overlaps(open_store(path, "a"))
