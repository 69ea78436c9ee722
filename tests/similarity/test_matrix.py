"""Jaccard coefficients from counts, their average over seeds and their chance level."""

import math
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from xsns_kernels import ArrayColumns
from xsns_stream.errors import IncompatibleError, LanguageError, StoreError, UsageError
from xsns_stream.similarity import count_overlaps, jaccard
from xsns_stream.types import LayerSpan, OverlapCounts, ParameterLayout


def count(sets, languages, size=100, seed=0, density=0.15):
    table = [[len(sets[a] & sets[b]) for b in languages] for a in languages]
    return OverlapCounts(tuple(languages), np.array(table, np.int64), size, seed, density)


def pack(members, size):
    words = [0] * -(-size // 64)
    for member in members:
        words[member // 64] |= 1 << (member % 64)
    return np.array(words, np.uint64)


class Rows:
    """A source of rows that is not a store, and that records which rows were opened."""

    def __init__(self, sets, size, recorded=None):
        self.sets, self.size, self.recorded = sets, size, recorded
        self.opened = []
        self.layout = ParameterLayout(("t",), ((size,),), (LayerSpan("l", 0, size),))
        self.seeds, self.densities = (0,), (0.15,)

    def languages_at(self, seed, density):
        return tuple(sorted(self.sets))

    def cardinalities(self, languages, seed, density):
        return np.array([(self.recorded or {}).get(k, len(self.sets[k])) for k in languages], np.int64)

    @contextmanager
    def columns(self, languages, seed, density):
        self.opened.append(tuple(languages))
        yield ArrayColumns(np.stack([pack(self.sets[k], self.size) for k in languages]))


CODES = ["sw", "rw", "yo", "en", "de"]
subsets = st.lists(st.sampled_from(CODES), min_size=1, unique=True)
families = st.fixed_dictionaries({code: st.frozensets(st.integers(0, 199), max_size=80) for code in CODES})


@given(sets=families, order=st.permutations(CODES))
def test_jaccard_is_that_of_sets_whatever_the_order(sets, order):
    matrix = jaccard(count(sets, order, 200))
    for a in CODES:
        for b in CODES:
            union = len(sets[a] | sets[b])
            expected = len(sets[a] & sets[b]) / union if union else math.nan
            assert matrix[a, b] == pytest.approx(expected, abs=0, nan_ok=True)
    assert matrix.coefficient == "jaccard"
    assert np.array_equal(matrix.values, matrix.values.T, equal_nan=True)


def test_jaccard_is_that_of_scipy():
    dense = np.random.default_rng(5).random((7, 1000)) < 0.2
    rows = dense.astype(np.int64)
    codes = tuple(f"a{i}" for i in range(7))
    matrix = jaccard(OverlapCounts(codes, rows @ rows.T, 1000))
    assert np.allclose(matrix.values, 1 - cdist(dense, dense, "jaccard"), rtol=0, atol=1e-15)


@given(sets=families)
def test_counting_reads_every_row_once_and_reports_progress(sets):
    source, progress = Rows(sets, 200), []
    counts = count_overlaps(source, on_progress=lambda done, total: progress.append((done, total)))
    assert counts.intersection.tolist() == count(sets, sorted(CODES)).intersection.tolist()
    assert source.opened == [tuple(sorted(CODES))]
    assert progress == sorted(progress)
    assert progress[-1] == (4, 4)


@given(sets=families, sources=subsets, targets=subsets)
def test_a_rectangle_is_a_part_of_the_square(sets, sources, targets):
    source = Rows(sets, 200)
    rectangle = count_overlaps(source, sources=sources, targets=targets)
    assert (rectangle.sources, rectangle.targets) == (tuple(sources), tuple(targets))
    assert rectangle.intersection.tolist() == [[len(sets[a] & sets[b]) for b in targets] for a in sources]
    assert rectangle.source_cardinality.tolist() == [len(sets[code]) for code in sources]
    assert rectangle.target_cardinality.tolist() == [len(sets[code]) for code in targets]
    assert rectangle.union.tolist() == [[len(sets[a] | sets[b]) for b in targets] for a in sources]
    # Each row is read once, also the row of a language on both sides.
    (opened,) = source.opened
    assert sorted(opened) == sorted({*sources, *targets})
    square = count_overlaps(source)
    assert square.between(sources, targets).intersection.tolist() == rectangle.intersection.tolist()
    part, full = jaccard(rectangle), jaccard(square)
    for a in sources:
        for b in targets:
            assert part[a, b] == pytest.approx(full[a, b], abs=0, nan_ok=True)


def test_a_rectangle_with_one_side_has_all_languages_on_the_other():
    source = Rows({"sw": {1, 2}, "rw": {2}, "yo": {3}}, 64)
    assert count_overlaps(source, targets=["sw"]).sources == ("rw", "sw", "yo")
    assert count_overlaps(source, sources=["sw", "yo"]).targets == ("rw", "sw", "yo")
    with pytest.raises(UsageError, match="languages cannot be combined with sources or targets"):
        count_overlaps(source, languages=["sw"], targets=["rw"])
    with pytest.raises(LanguageError, match="no sub-network of 'xx' for seed 0"):
        count_overlaps(source, sources=["sw"], targets=["xx"])
    with pytest.raises(UsageError, match="sw was given twice"):
        count_overlaps(source, targets=["sw", "sw"])


def test_a_row_that_changed_since_it_was_written_is_noticed():
    source = Rows({"sw": {1, 2, 3}, "rw": {1}}, 64, recorded={"sw": 4})
    with pytest.raises(StoreError, match="'sw' has 3 bits instead of 4") as caught:
        count_overlaps(source)
    assert "verify" in caught.value.hint


def test_the_jaccard_coefficient_of_two_empty_sub_networks_is_undefined():
    matrix = jaccard(count({"sw": set(), "rw": set(), "yo": {1}}, ["sw", "rw", "yo"]))
    assert math.isnan(matrix["sw", "rw"])
    assert math.isnan(matrix["sw", "sw"])
    assert matrix["sw", "yo"] == 0.0
    assert matrix["yo", "yo"] == 1.0
    assert math.isnan(matrix.chance[0, 1])
    assert matrix.chance[0, 2] == 0.0


def test_the_chance_level_is_that_of_independent_random_sets():
    rng = np.random.default_rng(3)
    size, sizes = 20_000, (3_000, 6_000)
    measured = []
    for _ in range(200):
        a, b = (set(rng.choice(size, n, replace=False).tolist()) for n in sizes)
        measured.append(len(a & b) / len(a | b))
    table = OverlapCounts(("a", "b"), np.array([[3_000, 900], [900, 6_000]], np.int64), size)
    chance = jaccard(table).chance
    assert chance[0, 1] == pytest.approx(900 / 8_100, rel=1e-12)
    # The standard error of the mean of 200 draws is under 0.0002.
    assert np.mean(measured) == pytest.approx(chance[0, 1], abs=1e-3)
    assert jaccard(table).chance_corrected[0, 1] == pytest.approx(0, abs=1e-12)


def test_counts_past_what_a_float32_or_a_product_of_int64_holds():
    size = 7_000_000_000
    table = np.array([[4_000_000_001, 4_000_000_000], [4_000_000_000, 4_000_000_001]], np.int64)
    matrix = jaccard(OverlapCounts(("sw", "rw"), table, size))
    assert matrix["sw", "rw"] == 4_000_000_000 / 4_000_000_002
    assert 0 < matrix.chance[0, 1] < 1


def test_seeds_are_joined_by_label_and_averaged():
    one = {"sw": {1, 2}, "rw": {2, 3}, "yo": {1}}
    two = {"sw": {1, 2}, "rw": {1, 2}, "yo": {5}}
    matrix = jaccard([count(one, ["sw", "rw", "yo"], seed=3), count(two, ["yo", "sw", "rw"], seed=1)])
    assert matrix.sources == matrix.targets == ("sw", "rw", "yo")
    assert matrix.seeds == (3, 1)
    assert matrix["sw", "rw"] == pytest.approx((1 / 3 + 1) / 2)
    assert matrix.per_seed.shape == (2, 3, 3)
    assert matrix.per_seed[1, 0, 1] == 1.0
    assert matrix.spread[0, 1] == pytest.approx(np.std([1 / 3, 1], ddof=1))
    one_seed = jaccard(count(one, ["sw", "rw"], seed=3))
    assert one_seed.seeds == (3,)
    assert one_seed.spread is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"languages": ["sw", "yo"]}, "differ in languages"),
        ({"size": 101}, "differ in number of parameters: 100 and 101"),
        ({"density": 0.3}, "differ in density: 0.15 and 0.3"),
        ({"seed": 0}, "a seed occurs twice"),
    ],
)
def test_different_tables_are_not_averaged(other, message):
    sets = {"sw": {1}, "rw": {2}, "yo": {3}}
    settings = {"languages": ["sw", "rw"], "seed": 1} | other
    with pytest.raises(IncompatibleError, match=message):
        jaccard([count(sets, ["sw", "rw"]), count(sets, **settings)])


def test_no_table_of_counts_is_refused():
    with pytest.raises(UsageError, match="no table of counts"):
        jaccard([])


def test_counting_through_torch_gives_the_same():
    source = Rows({"sw": {1, 2, 130}, "rw": {2, 130}, "yo": {3}}, 200)
    assert np.array_equal(count_overlaps(source, device="cpu:0").intersection, count_overlaps(source).intersection)
    sides = {"sources": ["yo", "sw"], "targets": ["sw", "rw"]}
    one, other = count_overlaps(source, **sides, device="cpu:0"), count_overlaps(source, **sides)
    assert np.array_equal(one.intersection, other.intersection)
    assert np.array_equal(one.target_cardinality, other.target_cardinality)


def test_a_missing_device_is_refused():
    with pytest.raises(UsageError, match="overlaps cannot be counted on the device 'abacus': ") as caught:
        count_overlaps(Rows({"sw": {1}}, 64), device="abacus")
    assert caught.value.hint == "omit --device to use the CPU."
