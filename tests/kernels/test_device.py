"""Contract of selection on a device: bit for bit what the NumPy and Numba forms return."""

import numpy as np
import pytest
import torch

import xsns_kernels as kernels
from tests.support.devices import every_device
from xsns_kernels import device as on_device

SUBNORMALS = [0.0, 1e-45, 3e-45, 1e-40, 1.1e-38, 1.2e-38, 5e-324]
DATA = {
    "one": [2.5],
    "equal": [7.0] * 130,
    "zeros": [0.0] * 130,
    "mostly zeros": [0.0] * 500 + [1.0] * 9 + [2.0],
    "neighbours": [1.0, 1.0 + 2**-23, 1.0 + 2**-22] * 50,
    "subnormals": SUBNORMALS * 20,
    "extremes": [3.4e38, 0.0, 1e-45, 3.4028234663852886e38],
    "minus zeros": [-0.0, 2.0, 0.0, -0.0, 1.0] * 30,
}
CUTS = [(), (0, 0), (1,), (63, 64), (65, 65, 500), (3, 130, 131, 999), tuple(range(0, 1000, 7))]

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _tensors(arrays, device):
    return [torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays]


def _same_kth(arrays, k, device):
    result = on_device.kth_largest(_tensors(arrays, device), k)
    for impl in kernels.implementations("kth_largest"):
        expected = kernels.kth_largest(arrays, k, impl=impl)
        assert type(result) is type(expected)
        assert result.tobytes() == expected.tobytes()


def _same_bits(arrays, threshold, device):
    words, cardinality = on_device.threshold_bits(_tensors(arrays, device), threshold)
    assert words.dtype == np.uint64
    assert type(cardinality) is int
    for impl in kernels.implementations("threshold_bits"):
        expected, count = kernels.threshold_bits(arrays, threshold, impl=impl)
        assert np.array_equal(words, expected)
        assert cardinality == count


@every_device
@every_dtype
@pytest.mark.parametrize("values", DATA.values(), ids=DATA)
def test_results_are_the_same_among_ties_and_extremes(device, dtype, values):
    values = np.array(values, dtype)
    for k in {1, 2, values.size // 7 + 1, values.size // 2 + 1, values.size} & set(range(1, values.size + 1)):
        _same_kth([values], k, device)
        _same_bits([values], float(kernels.kth_largest(values, k)), device)


@every_device
@every_dtype
@pytest.mark.parametrize("cuts", CUTS, ids=len)
def test_results_are_the_same_for_tensors_at_odd_offsets(device, dtype, cuts, random_values):
    parts = np.split(random_values(1003, dtype), cuts)
    for k in (1, 150, 1003):
        _same_kth(parts, k, device)
    _same_bits(parts, 1e-8, device)


@every_device
@every_dtype
@pytest.mark.parametrize("part", [1, 7, 64, 100])
def test_results_are_the_same_if_tensors_are_read_in_parts(device, dtype, part, random_values, monkeypatch):
    monkeypatch.setattr(on_device, "_PART", part)
    parts = np.split(random_values(777, dtype), (3, 301))
    for k in (1, 117, 777):
        _same_kth(parts, k, device)
        _same_bits(parts, float(kernels.kth_largest(parts, k)), device)


@every_device
@every_dtype
@pytest.mark.parametrize("size", [65, 2**16 + 5, 2**20 + 1])
def test_results_are_the_same_for_random_values(device, dtype, size, random_values):
    values = random_values(size, dtype)
    k = size * 15 // 100
    _same_kth([values], k, device)
    _same_bits([values], float(kernels.kth_largest(values, k)), device)


@every_device
@every_dtype
@pytest.mark.parametrize("threshold", [-np.inf, -1.0, 0.0, 1e-300, 1e-45, 1e-40, 0.1, 1.0, 3.4e38, 1e39, np.inf])
def test_thresholds_are_compared_exactly(device, dtype, threshold):
    with np.errstate(over="ignore"):
        values = np.array([*SUBNORMALS, 0.1, np.float32(0.1), 1.0, 3.4e38, np.inf], dtype)
    strange = np.array([np.nan, -np.nan, -1.0, -np.inf, -0.0], dtype)
    _same_bits([values, strange] * 13, threshold, device)


@every_device
def test_no_values_give_no_words(device):
    _same_bits([np.zeros(0, np.float32)], 1.0, device)
    words, cardinality = on_device.threshold_bits([], 1.0)
    assert (words.size, cardinality) == (0, 0)


@every_device
def test_tensors_may_have_any_shape_offset_and_gradient(device, random_values):
    values = random_values(601, np.float32)
    shaped = torch.from_numpy(values).to(device)[1:].view(20, 30).requires_grad_()
    assert on_device.kth_largest(shaped, 90) == kernels.kth_largest(values[1:], 90)
    assert np.array_equal(on_device.threshold_bits(shaped, 0.5)[0], kernels.threshold_bits(values[1:], 0.5)[0])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_tensors_may_be_on_several_devices(random_values):
    values = random_values(1000, np.float32)
    parts = [torch.from_numpy(values[:301]), torch.from_numpy(values[301:]).cuda()]
    assert on_device.kth_largest(parts, 150) == kernels.kth_largest(values, 150)
    assert np.array_equal(on_device.threshold_bits(parts, 0.5)[0], kernels.threshold_bits(values, 0.5)[0])


@every_device
@every_dtype
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf, -1.0, -1e-40])
def test_kth_refuses_invalid_values(device, dtype, bad):
    values = np.ones(130, dtype)
    values[70] = bad
    values[3:5] = -0.0
    with pytest.raises(ValueError, match="non-negative and finite; 1 of 135 are negative, infinite or NaN"):
        on_device.kth_largest(_tensors([np.ones(5, dtype), values], device), 3)


@pytest.mark.parametrize(
    ("values", "k", "error", "message"),
    [
        (torch.ones(3), 0, ValueError, "k must be from 1 to the number of values, 3; got 0"),
        (torch.ones(3), 4, ValueError, "k must be from 1 to the number of values, 3; got 4"),
        ([], 1, ValueError, "k must be from 1 to the number of values, 0; got 1"),
        (3.0, 1, TypeError, "values must be a tensor or a sequence of tensors, got float"),
        ([1.0], 1, TypeError, r"values\[0\] must be a torch tensor, got float"),
        (torch.ones(3).half(), 1, TypeError, r"values\[0\] must have dtype float32 or float64, got float16"),
        (
            [torch.ones(3), torch.ones(3).double()],
            1,
            TypeError,
            r"all tensors must have one dtype: values\[0\] is float32, values\[1\] is float64",
        ),
        (torch.ones(6)[::2], 1, ValueError, r"values\[0\] must be contiguous, got shape \(3,\) with strides \(2,\)"),
    ],
)
def test_invalid_arguments_of_kth_largest_are_refused(values, k, error, message):
    with pytest.raises(error, match=message):
        on_device.kth_largest(values, k)


def test_invalid_arguments_of_threshold_bits_are_refused():
    with pytest.raises(ValueError, match="threshold must be a number, got NaN"):
        on_device.threshold_bits(torch.ones(3), float("nan"))
    with pytest.raises(TypeError, match=r"values\[0\] must have dtype float32 or float64, got int64"):
        on_device.threshold_bits(torch.ones(3).long(), 1.0)
