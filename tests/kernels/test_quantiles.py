"""Contract of the histogram, its estimates, and NumPy's percentile from two neighbours."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import xsns_kernels as kernels
from xsns_kernels import device as on_device
from xsns_kernels.quantiles import estimate_kth, percentile_ranks

every_form = pytest.mark.parametrize("form", [*kernels.implementations("pattern_histogram"), "device"])
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def histogram(parts, impl):
    if impl == "device":
        return on_device.pattern_histogram([torch.from_numpy(array) for array in parts])
    return kernels.pattern_histogram(parts, impl=impl)


@every_form
@every_dtype
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 5000])
def test_the_histogram_counts_values_by_their_highest_bits(form, dtype, size, random_values):
    values = random_values(size, dtype)
    values[::9] = -0.0
    pattern = {4: np.uint32, 8: np.uint64}[values.itemsize]
    expected = [0] * 2**15
    for value in values:
        expected[int(np.abs(value).view(pattern)) >> (8 * values.itemsize - 16)] += 1
    counts = histogram(np.split(values, (size // 3, size // 2)), form)
    assert counts.dtype == np.int64
    assert counts.tolist() == expected


@every_form
@every_dtype
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf, -1.0, -1e-40])
def test_histogram_refuses_invalid_values(form, dtype, bad):
    values = np.ones(130, dtype)
    values[[3, 127]] = bad
    values[5] = -0.0
    with pytest.raises(ValueError, match="non-negative and finite; 2 of 131 are negative, infinite or NaN"):
        histogram([np.ones(1, dtype), values], form)


@every_form
def test_no_arrays_give_no_counts(form):
    assert histogram([], form).tolist() == [0] * 2**15


@every_dtype
@settings(deadline=None, max_examples=150, derandomize=True)
@given(data=st.data())
def test_the_estimate_lies_in_the_bin_of_the_kth_and_within_its_error(dtype, data):
    width = 8 * np.dtype(dtype).itemsize
    elements = st.one_of(st.floats(0, width=width, allow_infinity=False, allow_nan=False), st.floats(1, 2, width=width))
    values = data.draw(arrays.arrays(dtype, st.integers(1, 100), elements=elements))
    counts = kernels.pattern_histogram(values)
    before = math.inf
    for k, kth in enumerate(np.sort(values)[::-1].tolist(), start=1):
        estimate = estimate_kth(counts, k, dtype)
        assert estimate.value <= before, "a larger share has a lower threshold or the same"
        before = estimate.value
        if estimate.error == math.inf:
            assert estimate.value == 0
            assert kth < 2.0 ** (-133 if dtype == np.float32 else -1026)
            continue
        assert abs(estimate.value - kth) <= estimate.error * kth
        if kth >= np.finfo(dtype).tiny:
            assert estimate.error <= (2.0**-7 if dtype == np.float32 else 2.0**-4)


def test_the_estimate_is_close_where_bins_are_full():
    values = np.random.default_rng(1).standard_normal(200_000, np.float32) ** 2
    estimate = estimate_kth(kernels.pattern_histogram(values), 30_000, np.float32)
    count = np.count_nonzero(values >= estimate.value)
    assert abs(count - 30_000) < 30
    assert estimate.value != kernels.kth_largest(values, 30_000)


@every_dtype
def test_the_estimate_of_the_largest_numbers_is_finite(dtype):
    largest = np.finfo(dtype).max
    estimate = estimate_kth(kernels.pattern_histogram(np.full(9, largest)), 1, dtype)
    assert math.isfinite(estimate.value)
    assert abs(estimate.value - largest) <= estimate.error * largest


@pytest.mark.parametrize("k", [0, 4])
def test_an_estimate_of_an_invalid_rank_is_refused(k):
    counts = kernels.pattern_histogram(np.ones(3))
    with pytest.raises(ValueError, match=f"k must be from 1 to the number of values, 3; got {k}"):
        estimate_kth(counts, k, np.float64)


def interpolated(values, percent):
    position = percentile_ranks(values.size, percent)
    low, high = (kernels.kth_largest(values, rank) for rank in position.ranks)
    return position.interpolate(low, high, values.dtype)


@every_dtype
@pytest.mark.parametrize("size", [1, 2, 3, 10, 63, 1000, 4097, 100_003])
def test_the_percentile_is_numpys_bit_for_bit(dtype, size, random_values):
    samples = (random_values(size, dtype), np.random.default_rng(size).random(size, dtype))
    shares = [0.0, 1e-9, 0.01, 0.15, 1 / 3, 0.5, 0.85, 0.999, 1.0, *np.random.default_rng(0).random(20).tolist()]
    for values, share in itertools.product(samples, shares):
        percent = (1 - share) * 100
        expected = np.percentile(values, percent)
        assert expected.dtype == dtype
        assert interpolated(values, percent) == float(expected), (size, share)


@every_dtype
@settings(deadline=None, max_examples=200, derandomize=True)
@given(data=st.data())
def test_the_percentile_is_numpys_for_all_values(dtype, data):
    width = 8 * np.dtype(dtype).itemsize
    elements = st.one_of(
        st.floats(0, width=width, allow_infinity=False, allow_nan=False), st.sampled_from([0.0, 1.0, 2.0])
    )
    values = data.draw(arrays.arrays(dtype, st.integers(1, 60), elements=elements))
    percent = data.draw(st.floats(0, 100))
    assert interpolated(values, percent) == float(np.percentile(values, percent))


@pytest.mark.parametrize(
    ("size", "percent", "message"),
    [
        (0, 50.0, "size must be at least 1, got 0"),
        (3, -0.1, "percent must be from 0 to 100, got -0.1"),
        (3, math.nan, "percent must be from 0 to 100, got nan"),
    ],
)
def test_an_invalid_percentile_is_refused(size, percent, message):
    with pytest.raises(ValueError, match=message):
        percentile_ranks(size, percent)


def test_unknown_implementations_are_refused():
    with pytest.raises(ValueError, match="pattern_histogram has no implementation 'sort'"):
        kernels.pattern_histogram(np.ones(3), impl="sort")
