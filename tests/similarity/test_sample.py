"""Estimates from a sample of the parameters, and their standard errors."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from xsns_kernels import ArrayColumns, pack_bits
from xsns_stream.errors import UsageError
from xsns_stream.similarity import (
    COEFFICIENTS,
    count_overlaps,
    jaccard,
    sample_overlaps,
    sample_overlaps_by_seed,
    similarity,
)
from xsns_stream.similarity.sample import draw_blocks
from xsns_stream.similarity.streaming import Picked, Repeated
from xsns_stream.types import LayerSpan, OverlapCounts, ParameterLayout, words_for

CODES = tuple("abcdefgh")
LAYERS = (2_000_000, 1_500_032, 2_000_000)


def clustered(layers, codes, seed):
    """Return rows with runs of bits: ranges that are dense in one language tend to be dense in the others."""
    rng = np.random.default_rng(seed)
    size = sum(layers)
    shared = np.repeat(rng.gamma(1.0, 1.0, -(-size // 512)), 512)[:size]
    level = np.repeat(rng.uniform(0.05, 0.2, len(layers)), layers)
    rows = {}
    for code in codes:
        own = np.repeat(rng.gamma(1.0, 1.0, -(-size // 512)), 512)[:size]
        rows[code] = pack_bits(rng.random(size) < np.minimum(1.0, level * (shared + own)))
    return rows


@pytest.fixture(scope="module")
def store(memory_rows):
    bounds = np.cumsum([0, *LAYERS]).tolist()
    spans = tuple(LayerSpan(f"l{i}", a, b) for i, (a, b) in enumerate(pairwise(bounds)))
    layout = ParameterLayout(("a", "b", "c"), tuple((n,) for n in LAYERS), spans)
    return memory_rows(clustered(LAYERS, CODES, 5), layout)


@pytest.fixture(scope="module")
def samples(store):
    return [sample_overlaps(store, 0.05, sample_seed=seed) for seed in range(60)]


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_the_true_value_lies_within_two_standard_errors_often_enough(store, samples, coefficient):
    truth = similarity(count_overlaps(store), coefficient).values
    off = ~np.eye(len(CODES), dtype=bool)
    hits, errors, standard_errors = [], [], []
    for sample in samples:
        estimate = similarity(sample, coefficient)
        errors.append((estimate.values - truth)[off])
        standard_errors.append(estimate.standard_error[off])
        hits.append(np.abs(errors[-1]) <= 1.96 * standard_errors[-1])
    assert 0.90 <= np.mean(hits) <= 0.99
    # The stated standard errors equal the observed ones, and the bias is small.
    assert np.mean(standard_errors) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.2)
    assert abs(np.mean(errors)) < 0.25 * np.mean(standard_errors)


def test_more_parameters_give_smaller_errors(store):
    exact = count_overlaps(store)
    errors = [jaccard(sample_overlaps(store, f)).standard_error.mean() for f in (0.02, 0.1, 0.4)]
    assert errors[0] > 1.5 * errors[1] > 2.25 * errors[2] > 0
    everything = sample_overlaps(store, 1)
    assert everything.sampled == 1
    assert np.array_equal(everything.intersection, exact.intersection)
    assert np.array_equal(everything.source_cardinality, exact.cardinality)
    assert not everything.covariance.any()
    for coefficient in COEFFICIENTS:
        estimate = similarity(everything, coefficient)
        assert np.array_equal(estimate.values, similarity(exact, coefficient).values)
        assert not estimate.standard_error.any()


def test_the_similarity_of_a_language_with_itself_is_certain(samples):
    estimate = jaccard(samples[0])
    assert np.diagonal(estimate.values).tolist() == [1.0] * len(CODES)
    assert np.diagonal(estimate.standard_error) == pytest.approx(0, abs=1e-6)


def test_a_rectangle_is_a_part_of_the_square(store, samples):
    part = sample_overlaps(store, 0.05, sources=["c", "a"], targets=["b", "a"], sample_seed=0)
    square = samples[0].between(("c", "a"), ("b", "a"))
    for field in ("intersection", "source_cardinality", "target_cardinality", "covariance"):
        np.testing.assert_allclose(getattr(part, field), getattr(square, field), rtol=1e-12)
    assert part.sampled == square.sampled == pytest.approx(0.05, rel=0.1)


def test_only_drawn_blocks_are_read(store):
    class Watched(ArrayColumns):
        read_words = 0

        def read(self, start, stop, out):
            type(self).read_words += stop - start
            super().read(start, stop, out)

    class Watching(type(store)):
        def columns(self, languages, seed, density):
            return nullcontext(Watched(np.stack([self.packed[code] for code in languages])))

    progress = []
    counts = sample_overlaps(
        Watching(store.packed, store.layout), 0.05, on_progress=lambda done, all_: progress.append((done, all_))
    )
    words = words_for(store.layout.size)
    assert Watched.read_words == round(counts.sampled * words)
    assert progress == sorted(progress)
    assert progress[-1] == (words, words)


def test_errors_of_several_seeds_are_those_of_a_mean(samples):
    two = [samples[0], replace(samples[1], seed=1)]
    joined, first, second = jaccard(two), jaccard(two[0]), jaccard(two[1])
    np.testing.assert_allclose(joined.values, (first.values + second.values) / 2)
    np.testing.assert_allclose(
        joined.standard_error, np.hypot(first.standard_error, second.standard_error) / 2, atol=1e-12
    )
    counts = np.rint(samples[0].intersection).astype(np.int64)
    assert jaccard(OverlapCounts(CODES, counts, samples[0].size)).standard_error is None


def test_blocks_of_a_zone_lie_in_one_layer_and_depend_on_the_seed_alone(store):
    zones = draw_blocks(store.layout, 0.1, (1, 2))
    assert zones == draw_blocks(store.layout, 0.1, (1, 2))
    assert zones != draw_blocks(store.layout, 0.1, (1, 3))
    starts = [layer.start // 64 for layer in store.layout.layers]
    for zone in zones:
        assert len(zone.blocks) == 2
        (first, _), (second, end) = zone.blocks
        assert first < second < end
        assert not any(first < start < end for start in starts)
    assert sum(zone.total for zone in zones) == sum(
        len(range(a, b, (b - a) // 1000))
        for a, b in zip(starts, [*starts[1:], words_for(store.layout.size)], strict=True)
    )


def test_layers_smaller_than_a_block_are_counted_exactly(memory_rows, two_layers, random_rows):
    rows = memory_rows(random_rows(("a", "b"), two_layers.size), two_layers)
    exact, counts = count_overlaps(rows), sample_overlaps(rows, 0.01)
    assert counts.sampled == 1
    assert np.array_equal(counts.intersection, exact.intersection)


def test_a_layer_may_be_within_one_word(memory_rows, random_rows):
    spans = (LayerSpan("a", 0, 70), LayerSpan("b", 70, 80), LayerSpan("c", 80, 300))
    layout = ParameterLayout(("a", "b", "c"), ((70,), (10,), (220,)), spans)
    rows = memory_rows(random_rows(("a", "b"), 300), layout)
    assert np.array_equal(sample_overlaps(rows, 1).intersection, count_overlaps(rows).intersection)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.1, float("nan")])
def test_an_invalid_fraction_is_refused(store, fraction):
    with pytest.raises(UsageError, match=r"must be in \(0, 1\]"):
        sample_overlaps_by_seed(store, fraction)


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_views_of_columns_read_the_chosen_columns_and_rows(block):
    rows = np.random.default_rng(1).integers(0, 2**64, (3, 40), np.uint64)
    ranges = [(2, 5), (5, 6), (30, 40)]
    view = Picked(ArrayColumns(rows), ranges)
    twice = Repeated(view, [2, 0])
    expected = np.concatenate([rows[:, a:b] for a, b in ranges], axis=1)[[0, 1, 2, 2, 0]]
    assert (twice.rows, twice.words) == (5, 14)
    out = np.zeros((5, 14), np.uint64)
    for start in range(0, 14, block):
        stop = min(start + block, 14)
        twice.read(start, stop, out[:, start:stop])
    assert np.array_equal(out, expected)
