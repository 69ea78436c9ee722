"""Properties of the kernels that hold for all inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import xsns_kernels as kernels

BITS = arrays.arrays(np.bool_, st.integers(0, 300))
ROWS = arrays.arrays(np.uint64, st.tuples(st.integers(0, 9), st.integers(0, 30)), elements=st.integers(0, 2**64 - 1))
FLOATS = {
    dtype: arrays.arrays(
        dtype,
        st.integers(1, 200),
        elements=st.one_of(
            st.floats(0, width=8 * np.dtype(dtype).itemsize, allow_infinity=False, allow_nan=False),
            st.sampled_from([0.0, 1.0, 2.0]),
        ),
    )
    for dtype in (np.float32, np.float64)
}

# The first example compiles; no example has a deadline.
relaxed = settings(deadline=None, max_examples=60, derandomize=True)
every_dtype = pytest.mark.parametrize("dtype", FLOATS)


@relaxed
@given(BITS)
def test_unpack_undoes_pack(bits):
    words = kernels.pack_bits(bits)
    assert np.array_equal(kernels.unpack_bits(words, bits.size), bits)
    assert kernels.popcount(words) == np.count_nonzero(bits)


@every_dtype
@relaxed
@given(data=st.data())
def test_kth_has_rank_k(dtype, data):
    values = data.draw(FLOATS[dtype])
    k = data.draw(st.integers(1, values.size))
    kth = kernels.kth_largest(values, k)
    assert np.count_nonzero(values > kth) < k <= np.count_nonzero(values >= kth)


@every_dtype
@relaxed
@given(data=st.data())
def test_a_higher_threshold_selects_a_subset(dtype, data):
    values = data.draw(FLOATS[dtype])
    low, high = sorted(data.draw(st.lists(st.integers(1, values.size), min_size=2, max_size=2)))
    few, many = (kernels.threshold_bits(values, float(kernels.kth_largest(values, k)))[0] for k in (low, high))
    assert np.array_equal(few & many, few)


@every_dtype
@relaxed
@given(data=st.data())
def test_cuts_do_not_change_kth_or_bits(dtype, data):
    values = data.draw(FLOATS[dtype])
    parts = np.split(values, sorted(data.draw(st.lists(st.integers(0, values.size), max_size=5))))
    k = data.draw(st.integers(1, values.size))
    kth = kernels.kth_largest(parts, k)
    assert kth == kernels.kth_largest(values, k)
    words, cardinality = kernels.threshold_bits(parts, float(kth))
    assert np.array_equal(words, kernels.threshold_bits(values, float(kth), impl="numpy")[0])
    assert cardinality == kernels.popcount(words)


@relaxed
@given(rows=ROWS, data=st.data())
def test_counts_follow_a_permutation_of_the_rows(rows, data):
    order = np.array(data.draw(st.permutations(range(len(rows)))), np.intp)
    counts = kernels.intersection_counts(rows)
    assert np.array_equal(kernels.intersection_counts(rows[order]), counts[np.ix_(order, order)])


@relaxed
@given(rows=ROWS, data=st.data())
def test_counts_are_symmetric_bounded_and_add_up_over_blocks(rows, data):
    counts = kernels.intersection_counts(rows)
    sizes = np.diagonal(counts)
    assert np.array_equal(counts, counts.T)
    assert sizes.tolist() == [kernels.popcount(np.ascontiguousarray(row)) for row in rows]
    assert (counts <= np.minimum.outer(sizes, sizes)).all()
    split = data.draw(st.integers(0, rows.shape[1]))
    total = np.zeros_like(counts)
    for block in (rows[:, :split], rows[:, split:]):
        kernels.accumulate_intersections(block, total)
    assert np.array_equal(total, counts)


@relaxed
@given(rows=ROWS)
def test_pairs_are_the_cross_counts_of_a_set_with_itself(rows):
    assert np.array_equal(kernels.cross_intersection_counts(rows, rows), kernels.intersection_counts(rows))
