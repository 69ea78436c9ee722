"""Contract of the K-th largest value and of thresholds: exact with ties, for several arrays, and at odd offsets."""

import numpy as np
import pytest

import xsns_kernels as kernels

SIZES = (1, 63, 64, 65, 2**16 + 5, 2**18 + 3, 2**20 + 1)
SUBNORMALS = np.array([0.0, 1e-45, 3e-45, 1e-40, 1.1e-38, 1.2e-38, 5e-324], np.float64)

every_select = pytest.mark.parametrize("impl", kernels.implementations("kth_largest"))
every_threshold = pytest.mark.parametrize("impl", kernels.implementations("threshold_bits"))
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _ranks(size):
    return sorted({1, 2, size // 7 + 1, size // 2 + 1, size - 1, size} & set(range(1, size + 1)))


@every_select
@every_dtype
@pytest.mark.parametrize("size", SIZES)
def test_kth_is_the_kth_of_the_sorted_values(impl, dtype, size, random_values):
    values = random_values(size, dtype)
    descending = np.sort(values)[::-1]
    for k in _ranks(size) if size < 2**18 else (1, size // 7):
        kth = kernels.kth_largest(values, k, impl=impl)
        assert type(kth) is dtype
        assert kth == descending[k - 1]


@every_select
@every_dtype
@pytest.mark.parametrize(
    "values",
    [
        [7.0] * 130,
        [0.0] * 130,
        [0.0] * 120 + [1.0] * 9 + [2.0],
        [1.0, 1.0 + 2**-23, 1.0 + 2**-22] * 50,
        SUBNORMALS.tolist() * 20,
        [3.4e38, 0.0, 1e-45, 3.4028234663852886e38],
    ],
    ids=["equal", "zeros", "mostly zeros", "neighbours", "subnormals", "extremes"],
)
def test_kth_largest_equals_sorting_among_ties_and_extremes(impl, dtype, values):
    values = np.array(values, dtype)
    descending = np.sort(values)[::-1]
    for k in range(1, values.size + 1):
        assert kernels.kth_largest(values, k, impl=impl) == descending[k - 1]


@every_select
@every_dtype
def test_minus_zero_counts_as_zero(impl, dtype):
    values = np.array([-0.0, 2.0, 0.0, -0.0, 1.0] * 30, dtype)
    assert [float(kernels.kth_largest(values, k, impl=impl)) for k in (60, 61, 150)] == [1.0, 0.0, 0.0]
    assert not np.signbit(kernels.kth_largest(values, 150, impl=impl))


@every_select
@every_dtype
@pytest.mark.parametrize("cuts", [(0,), (1,), (63, 64), (65, 65, 500), (3, 130, 131, 999)])
def test_kth_of_several_arrays_is_the_kth_of_the_whole(impl, dtype, cuts, random_values):
    values = random_values(1000, dtype)
    parts = np.split(values, cuts)
    for k in (1, 333, 1000):
        assert kernels.kth_largest(parts, k, impl=impl) == kernels.kth_largest(values, k, impl="numpy")


@every_select
@every_dtype
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf, -1.0, -1e-40])
@pytest.mark.parametrize("index", [0, 70, 129])
def test_kth_refuses_invalid_values(impl, dtype, bad, index):
    values = np.ones(130, dtype)
    values[index] = bad
    with pytest.raises(ValueError, match="non-negative and finite; 1 of 135 are negative, infinite or NaN"):
        kernels.kth_largest([np.ones(5, dtype), values], 3, impl=impl)


@every_threshold
@every_dtype
@pytest.mark.parametrize("size", [0, *SIZES])
def test_threshold_packs_the_comparison(impl, dtype, size, random_values):
    values = random_values(size, dtype)
    threshold = float(np.sort(values)[size // 2]) if size else 1.0
    words, cardinality = kernels.threshold_bits(values, threshold, impl=impl)
    truth = (values >= threshold) & (values > 0)
    assert words.dtype == np.uint64
    assert type(cardinality) is int
    assert cardinality == int(truth.sum())
    assert np.array_equal(kernels.unpack_bits(words, size), truth)


@every_threshold
@every_dtype
@pytest.mark.parametrize("cuts", [(0, 0), (1,), (63, 64), (65, 65, 500), (3, 130, 131, 999), tuple(range(0, 1000, 7))])
def test_arrays_may_begin_at_odd_offsets(impl, dtype, cuts, random_values, select):
    parts = np.split(random_values(1000, dtype), cuts)
    words, cardinality = kernels.threshold_bits(parts, 1e-8, impl=impl)
    chosen = np.flatnonzero(kernels.unpack_bits(words, 1000)).tolist()
    assert chosen == select(parts, 1e-8)
    assert cardinality == len(chosen)


@every_threshold
@every_dtype
@pytest.mark.parametrize("threshold", [-np.inf, -1.0, 0.0, 1e-300, 1e-45, 1e-40, 0.1, 1.0, 3.4e38, 1e39, np.inf])
def test_thresholds_are_compared_exactly(impl, dtype, threshold, select):
    with np.errstate(over="ignore"):
        values = np.concatenate([SUBNORMALS, [0.1, np.float32(0.1), 1.0, 3.4e38, np.inf]]).astype(dtype)
    words, cardinality = kernels.threshold_bits([values] * 13, threshold, impl=impl)
    chosen = select([values] * 13, threshold)
    assert np.flatnonzero(kernels.unpack_bits(words, 13 * values.size)).tolist() == chosen
    assert cardinality == len(chosen)


@every_threshold
@every_dtype
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0])
def test_nan_negative_and_zero_values_are_never_selected(impl, dtype, threshold):
    values = np.array([np.nan, -np.nan, -1.0, -np.inf, 0.0, -0.0, 2.0] * 20, dtype)
    words, cardinality = kernels.threshold_bits(values, threshold, impl=impl)
    assert cardinality == 20
    assert np.flatnonzero(kernels.unpack_bits(words, 140)).tolist() == list(range(6, 140, 7))


@every_dtype
def test_arrays_may_have_any_shape_and_be_read_only_or_misaligned(dtype, random_values):
    values = random_values(600, dtype)
    octets = np.zeros(values.nbytes + 1, np.uint8)
    octets[1:] = values.view(np.uint8)
    misaligned = octets[1:].view(dtype)
    shaped = values.reshape(20, 30)
    shaped.flags.writeable = False
    for arrays in (misaligned, shaped, [shaped[:3], shaped[3:]]):
        assert kernels.kth_largest(arrays, 90) == kernels.kth_largest(values, 90, impl="numpy")
        assert np.array_equal(
            kernels.threshold_bits(arrays, 0.5)[0], kernels.threshold_bits(values, 0.5, impl="numpy")[0]
        )


@every_select
@pytest.mark.parametrize(
    ("values", "k", "error", "message"),
    [
        (np.ones(3, np.float32), 0, ValueError, "k must be from 1 to the number of values, 3; got 0"),
        (np.ones(3, np.float32), 4, ValueError, "k must be from 1 to the number of values, 3; got 4"),
        ([], 1, ValueError, "k must be from 1 to the number of values, 0; got 1"),
        (3.0, 1, TypeError, "values must be an array or a sequence of arrays, got float"),
        ([1.0], 1, TypeError, r"values\[0\] must be a NumPy array, got float"),
        (
            np.ones(3, np.float16),
            1,
            TypeError,
            r"values\[0\] must have dtype float32 or float64, got float16",
        ),
        (
            [np.ones(3, np.float32), np.ones(3)],
            1,
            TypeError,
            r"all arrays must have one dtype: values\[0\] is float32, values\[1\] is float64",
        ),
        (np.ones(6)[::2], 1, ValueError, r"values\[0\] must be C-contiguous"),
    ],
)
def test_invalid_arguments_of_kth_largest_are_refused(impl, values, k, error, message):
    with pytest.raises(error, match=message):
        kernels.kth_largest(values, k, impl=impl)


@every_threshold
def test_invalid_arguments_of_threshold_bits_are_refused(impl):
    with pytest.raises(ValueError, match="threshold must be a number, got NaN"):
        kernels.threshold_bits(np.ones(3, np.float32), np.nan, impl=impl)
    with pytest.raises(TypeError, match=r"values\[0\] must have dtype float32 or float64, got int64"):
        kernels.threshold_bits(np.ones(3, np.int64), 1.0, impl=impl)


@pytest.mark.parametrize("name", ["kth_largest", "threshold_bits"])
def test_unknown_implementations_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} has no implementation 'sort'; choose one of: auto, numpy, numba"):
        getattr(kernels, name)(np.ones(3, np.float32), 1, impl="sort")
