"""The K-th largest, thresholds and histograms of torch tensors, computed on the device of the tensors.

The results equal those of `kth_largest`, `threshold_bits` and `pattern_histogram` of `xsns_kernels` bit for bit. Only
histograms and packed bits are copied from the device. Tensors are processed in parts, without sorting or joining;
scratch memory is bounded. Bit patterns are compared as signed integers, because devices treat subnormal numbers in
different ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsns_kernels._patterns import (
    DIGIT,
    check_rank,
    check_threshold,
    locate,
    lowest_pattern,
    number_of,
    pattern_of,
    refuse_invalid,
)

Words = NDArray[np.uint64]

# Number of values of a part, large enough to use a device fully. Scratch memory is some tens of bytes for each value.
_PART = 1 << 22
_BINS = 1 << DIGIT
_LOW = _BINS - 1
_DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
_PATTERN = {torch.float32: torch.int32, torch.float64: torch.int64}
# Eight bytes that are 0 or 1 are read as one little-endian integer and multiplied by this factor. Bit i of the highest
# byte of the product is then byte i. No two terms of the product set the same bit. There is therefore no carry into the
# highest byte.
_GATHER = 0x0102_0408_1020_4080


def kth_largest(values: Tensor | Sequence[Tensor], k: int) -> np.floating[Any]:
    """Return the exact K-th largest of non-negative, finite values, on the device.

    sorted(values, reverse=True)[k - 1]

    Args:
        values: One tensor or a sequence of tensors, all float32 or all float64, of any shape, on any devices,
            contiguous, n values in total. -0.0 is treated as 0.0. Equal values have separate ranks.
        k: Rank, from 1 (the largest value) to n.

    Returns:
        A NumPy scalar of the dtype of `values`, equal to one of them.

    Raises:
        TypeError: A given tensor is not a torch tensor of float32 or float64, or the dtypes differ.
        ValueError: `k` is not in 1 to n; a value is negative, infinite or NaN; a tensor is strided.

    Bytes moved: all values are read twice (float32) or four times (float64), as in `xsns_kernels.kth_largest`; 0.5 MB
    of counts are copied from the device in each pass. Scratch memory depends on the size of a part, not on n.

    >>> float(kth_largest([torch.tensor([3.0, 1.0]), torch.tensor([2.0, 3.0])], k=2))
    3.0
    """
    tensors = _flat_tensors(values)
    size = sum(tensor.numel() for tensor in tensors)
    check_rank(k, size)
    dtype = _DTYPES[tensors[0].dtype]
    shift = 8 * dtype.itemsize - DIGIT
    prefix, rank = locate(_high_digits(tensors, size), k)
    while shift:
        shift -= DIGIT
        digit, rank = locate(_count(_next_digits(tensors, prefix, shift)), rank)
        prefix = prefix << DIGIT | digit
    return number_of(dtype, prefix)


def pattern_histogram(values: Tensor | Sequence[Tensor]) -> NDArray[np.int64]:
    """Count non-negative, finite values by the sixteen highest bits of their patterns, on the device.

    counts[b] = number of values that have b as the sixteen highest bits of their IEEE pattern

    Args:
        values: One tensor or a sequence of tensors; see `kth_largest`.

    Returns:
        NumPy int64 [32768]; see `xsns_kernels.pattern_histogram`.

    Raises:
        TypeError: A given tensor is not a torch tensor of float32 or float64, or the dtypes differ.
        ValueError: A value is negative, infinite or NaN; a tensor is strided.

    Bytes moved: all values are read once; 0.5 MB of counts are copied from the device.

    >>> int(pattern_histogram(torch.tensor([1.0, 1.0, 2.0]))[0x3F80])
    2
    """
    tensors = _flat_tensors(values)
    return _high_digits(tensors, sum(tensor.numel() for tensor in tensors))


def threshold_bits(values: Tensor | Sequence[Tensor], threshold: float) -> tuple[Words, int]:
    """Compare values with a threshold on the device, pack the results into bits, and count the selected values.

    bits[i] = (values[i] >= threshold) and (values[i] > 0)

    Args:
        values: One tensor or a sequence of tensors; see `kth_largest`. The tensors follow one another at running
            offsets, which need not be multiples of 64. NaN and negative values are never selected.
        threshold: The threshold, which is compared exactly, without rounding to float32. A threshold of zero or less
            selects every positive value.

    Returns:
        The bits, NumPy uint64 [ceil(n / 64)] in little-endian bit order with pad bits zero, and their population count.

    Raises:
        TypeError: A given tensor is not a torch tensor of float32 or float64, or the dtypes differ.
        ValueError: `threshold` is NaN; a tensor is strided.

    Bytes moved: all values are read once; one bit for each value is copied from the device. The device must be
    little-endian.

    >>> words, cardinality = threshold_bits([torch.tensor([1.0, 0.0]), torch.tensor([2.0])], threshold=1.0)
    >>> words.tolist(), cardinality
    ([5], 2)
    """
    tensors = _flat_tensors(values)
    check_threshold(threshold)
    octets = np.zeros(-(-sum(tensor.numel() for tensor in tensors) // 64) * 8, np.uint8)
    start = 0
    for part in _parts(tensors):
        packed = _pack(part, threshold, lead=start % 8).cpu().numpy()
        # The first byte may contain the end of the preceding part.
        octets[start // 8 : start // 8 + packed.size] |= packed
        start += part.numel()
    words = octets.view("<u8").astype(np.uint64, copy=False)
    return words, int(np.bitwise_count(words).sum(dtype=np.int64))


def _pack(patterns: Tensor, threshold: float, lead: int) -> Tensor:
    """Return uint8 [ceil((lead + n) / 8)]: `lead` zeros, then one bit for each of the n patterns, lowest first.

    A bit is set if the value with this pattern is positive and at least `threshold`.
    """
    dtype = np.dtype(np.float32 if patterns.dtype == torch.int32 else np.float64)
    size = patterns.numel()
    flags = torch.zeros(-(-(lead + size) // 8) * 8, dtype=torch.bool, device=patterns.device)
    reaches = patterns >= lowest_pattern(float(threshold), dtype)
    # Patterns above that of infinity are NaN; those of negative values are negative.
    flags[lead : lead + size] = reaches.logical_and_(patterns <= pattern_of(dtype, np.inf))
    return (flags.view(torch.int64) * _GATHER >> 56).to(torch.uint8)


def _high_digits(tensors: Sequence[Tensor], size: int) -> NDArray[np.int64]:
    """Count the values by the sixteen highest bits of their bit patterns. The value -0.0 is counted as 0.0.

    Args:
        tensors: Flat tensors of one dtype, float32 or float64.
        size: Number of values in all tensors, for the error message.

    Returns:
        int64 [32768]: the number of values for each pattern of non-negative values.

    Raises:
        ValueError: A value is negative, infinite or NaN.
    """
    if not tensors:
        return np.zeros(_BINS // 2, np.int64)
    dtype = _DTYPES[tensors[0].dtype]
    shift = 8 * dtype.itemsize - DIGIT
    counts = _count((part >> shift) & _LOW for part in _parts(tensors))
    minus_zeros = _minus_zeros(tensors) if counts[_BINS // 2] else 0
    refuse_invalid(int(counts[pattern_of(dtype, np.inf) >> shift :].sum()) - minus_zeros, size)
    counts[0] += minus_zeros
    return counts[: _BINS // 2]


def _next_digits(tensors: Sequence[Tensor], prefix: int, shift: int) -> Iterator[Tensor]:
    """Yield the sixteen bits above the lowest `shift` bits, for all patterns whose higher bits equal `prefix`."""
    for part in _parts(tensors):
        # Without the sign, -0.0 has the pattern of 0.0.
        magnitudes = part & torch.iinfo(part.dtype).max
        yield (magnitudes[magnitudes >> (shift + DIGIT) == prefix] >> shift) & _LOW


def _count(parts: Iterable[Tensor]) -> NDArray[np.int64]:
    """Return the histogram of the integers in `parts`, which are below 65,536: int64 [65536].

    Counts are summed on each device before they are copied.
    """
    sums: dict[torch.device, Tensor] = {}
    for digits in parts:
        counts = torch.bincount(digits, minlength=_BINS)
        sums[digits.device] = counts + sums[digits.device] if digits.device in sums else counts
    total = np.zeros(_BINS, np.int64)
    for counts in sums.values():
        total += counts.cpu().numpy()
    return total


def _minus_zeros(tensors: Sequence[Tensor]) -> int:
    return sum(int(torch.count_nonzero(part == torch.iinfo(part.dtype).min)) for part in _parts(tensors))


def _parts(tensors: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the bit patterns of all values in order, without copies, in parts of at most 2²² (int32 or int64)."""
    for tensor in tensors:
        if tensor.numel():
            yield from torch.split(tensor.view(_PATTERN[tensor.dtype]), _PART)


def _flat_tensors(values: object) -> list[Tensor]:
    """Return one tensor or a sequence of tensors as a list of flat tensors of one dtype.

    Raises:
        TypeError: A given tensor is not a torch tensor of float32 or float64, or the dtypes differ.
        ValueError: A tensor is strided. It is not copied silently, because the copy would be as large as the input.
    """
    if not isinstance(values, Tensor | Iterable):
        raise TypeError(f"values must be a tensor or a sequence of tensors, got {type(values).__name__}")
    flat: list[Tensor] = []
    for at, tensor in enumerate([values] if isinstance(values, Tensor) else values):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"values[{at}] must be a torch tensor, got {type(tensor).__name__}")
        if tensor.dtype not in _DTYPES:
            raise TypeError(f"values[{at}] must have dtype float32 or float64, got {_name(tensor.dtype)}")
        if flat and tensor.dtype != flat[0].dtype:
            raise TypeError(
                f"all tensors must have one dtype: values[0] is {_name(flat[0].dtype)}, "
                f"values[{at}] is {_name(tensor.dtype)}"
            )
        if not tensor.is_contiguous():
            raise ValueError(
                f"values[{at}] must be contiguous, got shape {tuple(tensor.shape)} with strides {tensor.stride()}; "
                "pass tensor.contiguous() if a copy is acceptable"
            )
        flat.append(tensor.detach().view(-1))
    return flat


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
