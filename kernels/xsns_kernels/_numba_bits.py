"""Compiled kernels for packing, thresholds, popcounts and histograms, which turn 64 comparisons into one word.

The comparisons are written as one LLVM vector of 64 lanes, whose mask *is* the word in little-endian bit order; LLVM
splits it to the vector width of the machine. Kernels and intrinsics are in the same file, because the cache of Numba
notices changes only in the file of the kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types

from xsns_kernels._numba_jit import (
    INT64,
    INTP,
    VOID,
    array_pointer,
    at,
    compiled,
    intrinsic,
    readable,
    times,
    writable,
)

HIGH_BINS = 1 << 15
LOW_BINS = 1 << 16

_LANES = 64
_ALL = np.uint64(2**64 - 1)
_FLAG = ir.IntType(1)
_UINT64 = types.uint64
_FLOATS = tuple(readable(dtype) for dtype in (types.uint32, types.uint64))


@intrinsic
def _ones(typingctx: Any, word: Any) -> Any:
    """Return the number of set bits in a word."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(_UINT64), emit


@intrinsic
def _first_one(typingctx: Any, word: Any) -> Any:
    """Return the position of the lowest set bit of a nonzero word."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(_FLAG, 1))

    return types.int64(_UINT64), emit


@intrinsic
def _mask_within(typingctx: Any, patterns: Any, first: Any, keep: Any, lowest: Any, span: Any) -> Any:
    """Return a word whose bit i is set if (patterns[first + i] & keep) - lowest <= span, in unsigned arithmetic."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        width = array_type.dtype.bitwidth
        element = ir.IntType(width)
        vector = ir.VectorType(element, _LANES)
        start = array_pointer(context, builder, array_type, arguments[0])
        address = builder.add(start, times(builder, arguments[1], width // 8))
        values = builder.load(at(builder, address, vector), align=1)
        kept, low, high = (_splat(builder, argument, element) for argument in arguments[2:])
        distance = builder.sub(builder.and_(values, kept), low)
        return builder.bitcast(builder.icmp_unsigned("<=", distance, high), INT64)

    return _UINT64(patterns, INTP, _UINT64, _UINT64, _UINT64), emit


def _splat(builder: Any, value: Any, element: Any) -> Any:
    scalar = builder.trunc(value, element) if element.width < value.type.width else value
    vector = ir.VectorType(element, _LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


@compiled(
    *(
        types.int64(readable(dtype), _UINT64, _UINT64, INTP, writable(_UINT64))
        for dtype in (types.uint8, types.uint32, types.uint64)
    )
)
def mask_into(patterns: Any, lowest: int, span: int, start: int, words: Any) -> int:
    """Set bit `start + i` of `words` if patterns[i] - lowest <= span; return the number of bits that were set.

    The difference and the comparison are unsigned.

    Args:
        patterns: Unsigned integers [n]; n need not be a multiple of 64.
        lowest: The smallest pattern that is selected; at most the largest value of the dtype.
        span: The largest pattern that is selected, minus `lowest`.
        start: Bit index of the first pattern; it need not be a multiple of 64.
        words: uint64, zeros at the bits to be set.
    """
    total = 0
    size = patterns.size
    done = min(size, -start & 63)
    if done > 0:
        word = np.uint64(0)
        for i in range(done):
            if np.uint64(patterns[i]) - lowest <= span:
                word |= np.uint64(1) << np.uint64(i)
        words[start >> 6] |= word << np.uint64(start & 63)
        total += _ones(word)
    target = (start + done) >> 6
    while size - done >= 64:
        word = _mask_within(patterns, done, _ALL, lowest, span)
        words[target] = word
        total += _ones(word)
        target += 1
        done += 64
    if done < size:
        word = np.uint64(0)
        for i in range(done, size):
            if np.uint64(patterns[i]) - lowest <= span:
                word |= np.uint64(1) << np.uint64(i - done)
        words[target] |= word
        total += _ones(word)
    return total


@compiled(types.int64(readable(_UINT64)))
def count_ones(words: Any) -> int:
    """Return the total number of set bits in all words."""
    total = 0
    for i in range(words.size):
        total += _ones(words[i])
    return total


@compiled(*(types.int64(patterns, _UINT64, _UINT64, writable(types.int64, 2)) for patterns in _FLOATS))
def count_high(patterns: Any, infinity: int, shift: int, counts: Any) -> int:
    """Count float patterns by their sixteen highest bits; return the number of invalid patterns.

    Non-negative IEEE numbers have the same order as their patterns. One comparison with the pattern of infinity
    therefore finds negative, infinite and NaN values. The pattern of -0.0 is counted like that of 0.0.

    Args:
        patterns: Unsigned integers [n].
        infinity: The pattern of infinity.
        shift: Number of bits below the sixteen highest.
        counts: int64 [2, 32768], added to; the histogram is the sum of both rows. There are two rows because adjacent
            patterns are often equal, and an addition would then wait for the preceding one.
    """
    invalid = 0
    minus_zero = np.uint64(1) << (shift + np.uint64(15))
    for start in range(0, patterns.size, _LANES):
        end = start + _LANES
        if end <= patterns.size and _mask_within(patterns, start, _ALL, 0, infinity - 1) == _ALL:
            for i in range(start, end, 2):
                counts[0, np.uint64(patterns[i]) >> shift] += 1
                counts[1, np.uint64(patterns[i + 1]) >> shift] += 1
            continue
        for i in range(start, min(end, patterns.size)):
            pattern = np.uint64(patterns[i])
            if pattern < infinity:
                counts[0, pattern >> shift] += 1
            elif pattern == minus_zero:
                counts[0, 0] += 1
            else:
                invalid += 1
    return invalid


@compiled(*(VOID(patterns, _UINT64, _UINT64, _UINT64, writable(types.int64)) for patterns in _FLOATS))
def count_low(patterns: Any, prefix: int, shift: int, sign: int, counts: Any) -> None:
    """Count the patterns of one bin by their next sixteen bits.

    Few groups of 64 patterns contain a pattern of the bin. The other groups are skipped as fast as they are read.

    Args:
        patterns: Unsigned integers [n], all valid.
        prefix: The bits above the next sixteen.
        shift: Number of bits below the next sixteen.
        sign: The pattern of -0.0, which is counted like 0.0.
        counts: int64 [65536], added to.
    """
    magnitude = sign - np.uint64(1)
    above = shift + np.uint64(16)
    lowest, span = prefix << above, (np.uint64(1) << above) - np.uint64(1)
    low = np.uint64(LOW_BINS - 1)
    grouped = patterns.size // _LANES * _LANES
    for start in range(0, grouped, _LANES):
        mask = _mask_within(patterns, start, magnitude, lowest, span)
        while mask:
            pattern = np.uint64(patterns[start + _first_one(mask)])
            counts[(pattern >> shift) & low] += 1
            mask &= mask - np.uint64(1)
    for i in range(grouped, patterns.size):
        pattern = np.uint64(patterns[i]) & magnitude
        if pattern >> above == prefix:
            counts[(pattern >> shift) & low] += 1


@compiled(
    *(
        types.boolean(
            readable(dtype),
            _UINT64,
            _UINT64,
            _UINT64,
            INTP,
            writable(_UINT64),
            writable(dtype),
            writable(types.int64),
            writable(types.int64),
        )
        for dtype in (types.uint32, types.uint64)
    )
)
def bracket_into(
    patterns: Any,
    lowest: int,
    highest: int,
    infinity: int,
    start: int,
    words: Any,
    collected_patterns: Any,
    positions: Any,
    tally: Any,
) -> bool:
    """Set bit `start + i` of `words` if patterns[i] >= highest, and collect the patterns in [lowest, highest).

    Args:
        patterns: Unsigned integers [n]; n need not be a multiple of 64.
        lowest: The smallest pattern to collect; a pattern is collected with its position `start + i`.
        highest: The smallest pattern whose bit is set; above `lowest` and below `infinity`.
        infinity: The pattern of infinity; this and larger patterns are invalid, except -0.0.
        start: Bit index of the first pattern; it need not be a multiple of 64.
        words: uint64, zeros at the bits to be set.
        collected_patterns: Output array for the collected patterns. The pass stops before its end if fewer than 64
            elements of this array are free.
        positions: Output array of the same length for the positions of the collected patterns.
        tally: int64 [3], added to: number of bits set, of patterns collected, and of invalid patterns.

    Returns:
        True if the arrays were large enough; False if the pass stopped before its end.
    """
    top, middle = infinity - np.uint64(1) - highest, highest - np.uint64(1) - lowest
    minus_zero = np.uint64(1) << np.uint64(8 * patterns.itemsize - 1)
    room = collected_patterns.size - _LANES
    at, size = 0, patterns.size
    total, collected = tally[0], tally[1]
    while at < size and collected <= room:
        first = (start + at) & 63
        lanes = min(_LANES - first, size - at)
        target = (start + at) >> 6
        if lanes == _LANES:
            above = _mask_within(patterns, at, _ALL, highest, top)
            between = _mask_within(patterns, at, _ALL, lowest, middle)
            wrong = _mask_within(patterns, at, _ALL, infinity, _ALL - infinity)
            words[target] = above
        else:
            above = between = wrong = np.uint64(0)
            for lane in range(lanes):
                pattern, bit = np.uint64(patterns[at + lane]), np.uint64(1) << np.uint64(lane)
                above |= bit if pattern - highest <= top else np.uint64(0)
                between |= bit if pattern - lowest <= middle else np.uint64(0)
                wrong |= bit if pattern >= infinity else np.uint64(0)
            words[target] |= above << np.uint64(first)
        total += _ones(above)
        while wrong:
            tally[2] += np.uint64(patterns[at + _first_one(wrong)]) != minus_zero
            wrong &= wrong - np.uint64(1)
        while between:
            lane = _first_one(between)
            collected_patterns[collected] = patterns[at + lane]
            positions[collected] = start + at + lane
            collected += 1
            between &= between - np.uint64(1)
        at += lanes
    tally[0], tally[1] = total, collected
    return bool(at == size)


@compiled(
    *(
        VOID(readable(dtype), readable(types.int64), _UINT64, writable(_UINT64))
        for dtype in (types.uint32, types.uint64)
    )
)
def set_collected(patterns: Any, positions: Any, lowest: int, words: Any) -> None:
    """Set the bit positions[i] of `words` for each i with patterns[i] >= `lowest`."""
    for i in range(patterns.size):
        if np.uint64(patterns[i]) >= lowest:
            words[positions[i] >> 6] |= np.uint64(1) << np.uint64(positions[i] & 63)


@compiled(*(_UINT64(patterns, _UINT64) for patterns in _FLOATS))
def least_positive(patterns: Any, infinity: int) -> Any:
    """Return the smallest of `patterns`, all valid, that is a positive number; `infinity` if there is none."""
    # After subtracting one, zero is the largest pattern, which avoids a branch; -0.0 stays above all numbers.
    least = infinity - np.uint64(1)
    for i in range(patterns.size):
        least = min(least, np.uint64(patterns[i]) - np.uint64(1))
    return least + np.uint64(1)
