"""The K-th largest, thresholds and histograms of torch tensors, computed where the tensors lie.

The same results as of `kth_largest`, `threshold_bits` and `pattern_histogram` of `xsns_kernels`, bit for bit, for
values that a device holds: nothing but histograms and packed bits is copied from it. Nothing is sorted or joined,
and scratch stays bounded, since pieces are looked at in parts. All comparisons are of bit patterns read as
signed integers, so that no treatment of subnormal numbers by a device can change a result.
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

# Values looked at together: enough to keep a device busy; scratch is some tens of bytes for each of them.
_PART = 1 << 22
_BINS = 1 << DIGIT
_LOW = _BINS - 1
_DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}
_PATTERN = {torch.float32: torch.int32, torch.float64: torch.int64}
# Eight octets that are 0 or 1, read as one little-endian integer: the product's highest octet has octet i as bit i.
# No two terms of the product fall on the same bit, so that nothing is carried into it.
_GATHER = 0x0102_0408_1020_4080


def kth_largest(values: Tensor | Sequence[Tensor], k: int) -> np.floating[Any]:
    """Return the exact K-th largest of non-negative, finite values, on the device.

    sorted(values, reverse=True)[k - 1]

    Args:
        values: one tensor or a sequence of tensors, float32 or float64 throughout, of any shape, on any
            devices, contiguous, n values together. -0.0 counts as 0.0. Equal values count each.
        k: rank from the largest, 1 to n.

    Returns:
        A NumPy scalar of the dtype of `values`, one of them.

    Raises:
        TypeError: a piece is not a tensor of float32 or float64, or the dtypes differ.
        ValueError: `k` is not in 1 to n; a value is negative, infinite or NaN; a piece is strided.

    Reads all values twice (float32) or four times (float64), as `xsns_kernels.kth_largest` does. Scratch is
    bounded by the parts in which pieces are read, not by n. From the device come 0.5 MB of counts a pass.

    >>> float(kth_largest([torch.tensor([3.0, 1.0]), torch.tensor([2.0, 3.0])], k=2))
    3.0
    """
    pieces = _pieces(values)
    size = sum(piece.numel() for piece in pieces)
    check_rank(k, size)
    dtype = _DTYPES[pieces[0].dtype]
    shift = 8 * dtype.itemsize - DIGIT
    prefix, rank = locate(_high_digits(pieces, size), k)
    while shift:
        shift -= DIGIT
        digit, rank = locate(_count(_next_digits(pieces, prefix, shift)), rank)
        prefix = prefix << DIGIT | digit
    return number_of(dtype, prefix)


def pattern_histogram(values: Tensor | Sequence[Tensor]) -> NDArray[np.int64]:
    """Count non-negative, finite values by the sixteen highest bits of their patterns, on the device.

    counts[b] = how many values have b as the sixteen highest bits of their IEEE pattern

    Args:
        values: one tensor or a sequence of tensors, as for `kth_largest`.

    Returns:
        NumPy int64 [32768], as of `xsns_kernels.pattern_histogram`.

    Raises:
        TypeError: a piece is not a tensor of float32 or float64, or the dtypes differ.
        ValueError: a value is negative, infinite or NaN; a piece is strided.

    Reads all values once. From the device come 0.5 MB of counts.

    >>> int(pattern_histogram(torch.tensor([1.0, 1.0, 2.0]))[0x3F80])
    2
    """
    pieces = _pieces(values)
    return _high_digits(pieces, sum(piece.numel() for piece in pieces))


def threshold_bits(values: Tensor | Sequence[Tensor], threshold: float) -> tuple[Words, int]:
    """Pack which values reach a threshold on the device, and count them.

    bits[i] = (values[i] >= threshold) and (values[i] > 0)

    Args:
        values: one tensor or a sequence of tensors, as for `kth_largest`. Pieces follow one another at
            running offsets that need not be multiples of 64. NaN and negative values are never selected.
        threshold: compared exactly: it is not rounded to float32. Zero or less selects every positive value.

    Returns:
        NumPy uint64 [ceil(n / 64)], little-endian bit order, pad bits zero; and its population count.

    Raises:
        TypeError: a piece is not a tensor of float32 or float64, or the dtypes differ.
        ValueError: `threshold` is NaN; a piece is strided.

    Reads all values once; one bit a value leaves the device. The device must be little-endian.

    >>> words, cardinality = threshold_bits([torch.tensor([1.0, 0.0]), torch.tensor([2.0])], threshold=1.0)
    >>> words.tolist(), cardinality
    ([5], 2)
    """
    pieces = _pieces(values)
    check_threshold(threshold)
    octets = np.zeros(-(-sum(piece.numel() for piece in pieces) // 64) * 8, np.uint8)
    start = 0
    for part in _parts(pieces):
        packed = _pack(part, threshold, lead=start % 8).cpu().numpy()
        # The first octet may hold the end of the part before.
        octets[start // 8 : start // 8 + packed.size] |= packed
        start += part.numel()
    words = octets.view("<u8").astype(np.uint64, copy=False)
    return words, int(np.bitwise_count(words).sum(dtype=np.int64))


def _pack(patterns: Tensor, threshold: float, lead: int) -> Tensor:
    """Return uint8 [ceil((lead + n) / 8)] on the device: `lead` zeros, then one bit a pattern, lowest first."""
    dtype = np.dtype(np.float32 if patterns.dtype == torch.int32 else np.float64)
    size = patterns.numel()
    flags = torch.zeros(-(-(lead + size) // 8) * 8, dtype=torch.bool, device=patterns.device)
    reaches = patterns >= lowest_pattern(float(threshold), dtype)
    # Patterns above that of infinity are NaN; those of negative values are negative.
    flags[lead : lead + size] = reaches.logical_and_(patterns <= pattern_of(dtype, np.inf))
    return (flags.view(torch.int64) * _GATHER >> 56).to(torch.uint8)


def _high_digits(pieces: Sequence[Tensor], size: int) -> NDArray[np.int64]:
    """Return the histogram of the digits that hold the sign, without the half of the negative ones.

    Raises:
        ValueError: a value is negative, infinite or NaN.
    """
    if not pieces:
        return np.zeros(_BINS // 2, np.int64)
    dtype = _DTYPES[pieces[0].dtype]
    shift = 8 * dtype.itemsize - DIGIT
    counts = _count((part >> shift) & _LOW for part in _parts(pieces))
    minus_zeros = _minus_zeros(pieces) if counts[_BINS // 2] else 0
    refuse_invalid(int(counts[pattern_of(dtype, np.inf) >> shift :].sum()) - minus_zeros, size)
    counts[0] += minus_zeros
    return counts[: _BINS // 2]


def _next_digits(pieces: Sequence[Tensor], prefix: int, shift: int) -> Iterator[Tensor]:
    """Yield, of the patterns whose higher bits are `prefix`, the digit above the lowest `shift` bits."""
    for part in _parts(pieces):
        # Without the sign, -0.0 has the pattern of 0.0.
        magnitudes = part & torch.iinfo(part.dtype).max
        yield (magnitudes[magnitudes >> (shift + DIGIT) == prefix] >> shift) & _LOW


def _count(parts: Iterable[Tensor]) -> NDArray[np.int64]:
    """Return the histogram of integers below 65,536, summed on each device before it is copied."""
    sums: dict[torch.device, Tensor] = {}
    for digits in parts:
        counts = torch.bincount(digits, minlength=_BINS)
        sums[digits.device] = counts + sums[digits.device] if digits.device in sums else counts
    total = np.zeros(_BINS, np.int64)
    for counts in sums.values():
        total += counts.cpu().numpy()
    return total


def _minus_zeros(pieces: Sequence[Tensor]) -> int:
    return sum(int(torch.count_nonzero(part == torch.iinfo(part.dtype).min)) for part in _parts(pieces))


def _parts(pieces: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield bit patterns, int32 or int64 [at most 2²²], in order and without copies."""
    for piece in pieces:
        if piece.numel():
            yield from torch.split(piece.view(_PATTERN[piece.dtype]), _PART)


def _pieces(values: object) -> list[Tensor]:
    """Return one tensor or a sequence of tensors as flat tensors of one dtype.

    Raises:
        TypeError: a piece is not a tensor of float32 or float64, or the dtypes differ.
        ValueError: a piece is strided; a hidden copy would be as large as the input.
    """
    if not isinstance(values, Tensor | Iterable):
        raise TypeError(f"values must be a tensor or a sequence of tensors, got {type(values).__name__}")
    flat: list[Tensor] = []
    for at, piece in enumerate([values] if isinstance(values, Tensor) else values):
        if not isinstance(piece, Tensor):
            raise TypeError(f"values[{at}] must be a torch tensor, got {type(piece).__name__}")
        if piece.dtype not in _DTYPES:
            raise TypeError(f"values[{at}] must have dtype float32 or float64, got {_name(piece.dtype)}")
        if flat and piece.dtype != flat[0].dtype:
            raise TypeError(
                f"pieces must share one dtype: values[0] is {_name(flat[0].dtype)}, "
                f"values[{at}] is {_name(piece.dtype)}"
            )
        if not piece.is_contiguous():
            raise ValueError(
                f"values[{at}] must be contiguous, got shape {tuple(piece.shape)} with strides {piece.stride()}; "
                "pass tensor.contiguous() if a copy is acceptable"
            )
        flat.append(piece.detach().view(-1))
    return flat


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
