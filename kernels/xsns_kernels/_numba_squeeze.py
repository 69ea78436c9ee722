"""Removal of columns that do not distinguish any two rows, before pairs are counted.

A column that is set in at most one row adds nothing to any pair of different rows; a column that is set in all rows
adds one to every pair. Only the other columns are kept; they are moved next to one another, to the same positions
in every row. The cost of removal is linear in the number of rows, and the saving is quadratic. The removal uses the
instruction `pext`, which not every processor has; `AVAILABLE` is True if this processor has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, codegen, config, types

from xsns_kernels._numba_jit import (
    INT64,
    INTP,
    LANES,
    VECTOR,
    VOID,
    at,
    call,
    compiled,
    intrinsic,
    load_vector,
    plus,
    row_addresses,
    times,
    variable,
    writable,
)
from xsns_kernels._numba_overlap import TILE, add_pairs

# Numba has no annotation for this function.
_host_features: Callable[[], str] = cast(Any, codegen.get_host_cpu_features)

_UINT64 = types.uint64
_ADDRESSES = writable(types.int64)
_WORDS = writable(_UINT64)
_COUNTS = writable(types.int64, 2)
_ROWS = writable(_UINT64, 2)
_FULL = np.uint64(2**64 - 1)

_PLAN = writable(types.int64, 2)
_MOST_BITS = 56
_LOW_HALF = np.uint64(2**32 - 1)

#: Number of words of a row whose columns are examined together, a multiple of eight.
CHUNK = 512


def _has_pext() -> bool:
    """Return whether code that Numba compiles may use the instruction set BMI2, by the same rule as Numba."""
    configured: str | None = getattr(config, "CPU_FEATURES", None)
    features: str = _host_features() if configured is None else configured
    return "+bmi2" in features.split(",")


#: Whether columns are removed on this machine.
AVAILABLE = _has_pext()


@intrinsic
def _pext_of_the_processor(typingctx: Any, word: Any, mask: Any) -> Any:
    """Return the bits of `word` at the positions where `mask` has ones, moved to the lowest positions."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        insert: Any = cgutils.get_or_insert_function
        kind = ir.FunctionType(INT64, [INT64, INT64])
        return builder.call(insert(builder.module, kind, "llvm.x86.bmi.pext.64"), list(arguments))

    return _UINT64(_UINT64, _UINT64), emit


@compiled(_UINT64(_UINT64, _UINT64))
def _pext_bit_by_bit(word: Any, mask: Any) -> Any:
    """Return the bits of `word` at the positions where `mask` has ones, moved to the lowest positions; slow."""
    found, place = np.uint64(0), np.uint64(0)
    while mask:
        lowest = mask & (~mask + np.uint64(1))
        if word & lowest:
            found |= np.uint64(1) << place
        place += np.uint64(1)
        mask ^= lowest
    return found


_pext = _pext_of_the_processor if AVAILABLE else _pext_bit_by_bit


@intrinsic
def _ones(typingctx: Any, word: Any) -> Any:
    """Return the number of set bits in a word."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(_UINT64), emit


@intrinsic
def _word_at(typingctx: Any, address: Any) -> Any:
    """Return the word at an address, which need not be aligned."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(at(builder, arguments[0], INT64), align=1)

    return _UINT64(types.int64), emit


@intrinsic
def _put(typingctx: Any, address: Any, word: Any) -> Any:
    """Store a word at an address, which need not be aligned."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], at(builder, arguments[0], INT64), align=1)
        return context.get_dummy_value()

    return VOID(types.int64, _UINT64), emit


def _judge(count: int) -> Any:
    """Return an intrinsic that reads a range of vectors of `count` rows, and updates masks of columns.

    The masks `once`, `twice` and `every` mark the columns that are set in at least one, in at least two, and in all of
    the rows that were read so far.
    """

    @intrinsic
    def judge(
        typingctx: Any, rows: Any, i: Any, first: Any, vectors: Any, once: Any, twice: Any, every: Any, sizes: Any
    ) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _emit_judge(context, builder, signature, arguments, count)
            return context.get_dummy_value()

        return VOID(rows, INTP, INTP, INTP, once, twice, every, sizes), emit

    return judge


def _emit_judge(context: Any, builder: Any, signature: Any, arguments: Any, count: int) -> None:
    rows, i, first, vectors, once, twice, every, sizes = arguments
    offset = times(builder, first, 8)
    addresses = row_addresses(context, builder, signature.args[0], rows, i, offset, count)
    seen, again, always, totals = (
        builder.ptrtoint(context.make_array(signature.args[at_])(context, builder, array).data, INT64)
        for at_, array in enumerate((once, twice, every, sizes), start=4)
    )
    sums = [variable(builder, ir.Constant(VECTOR, [0] * LANES)) for _ in addresses]
    with cgutils.for_range(builder, vectors) as loop:
        step = times(builder, loop.index, 8 * LANES)
        a, b, c = (load_vector(builder, pointer, step) for pointer in (seen, again, always))
        for address, total in zip(addresses, sums, strict=True):
            x = load_vector(builder, address, step)
            b = builder.or_(b, builder.and_(a, x))
            a = builder.or_(a, x)
            c = builder.and_(c, x)
            ones = call(builder, "llvm.ctpop.v8i64", VECTOR, x)
            builder.store(builder.add(builder.load(total), ones), total)
        for pointer, value in ((seen, a), (again, b), (always, c)):
            builder.store(value, at(builder, builder.add(pointer, step), VECTOR), align=8)
    for r, total in enumerate(sums):
        target = at(builder, builder.add(totals, times(builder, plus(builder, i, r), 8)), INT64)
        added = call(builder, "llvm.vector.reduce.add.v8i64", INT64, builder.load(total))
        builder.store(builder.add(builder.load(target), added), target)


_judge_four, _judge_one = _judge(TILE), _judge(1)


@compiled(types.int64(_ADDRESSES, INTP, INTP, INTP, _WORDS, _WORDS, _WORDS, _ADDRESSES))
def useful_columns(rows: Any, count: int, first: int, words: int, keep: Any, twice: Any, every: Any, sizes: Any) -> int:
    """Find the columns that are set in at least two rows but not in all rows, and return their number.

    Args:
        rows: int64 [R], addresses; the first `count` rows are examined.
        count: L, the number of rows without padding, at least 1.
        first: Index of the first word to examine.
        words: Number of words to examine, a multiple of 8, at most the length of `keep`, `twice` and `every`.
        keep: uint64, output: the columns that were found, as a bit mask.
        twice: uint64, scratch.
        every: uint64, output: the columns that are set in all rows, as a bit mask.
        sizes: int64 [R]; the number of ones of each row within these words is added.
    """
    vectors = words // LANES
    for w in range(words):
        keep[w] = np.uint64(0)
        twice[w] = np.uint64(0)
        every[w] = _FULL
    grouped = count // TILE * TILE
    for i in range(0, grouped, TILE):
        _judge_four(rows, i, first, vectors, keep, twice, every, sizes)
    for i in range(grouped, count):
        _judge_one(rows, i, first, vectors, keep, twice, every, sizes)
    total = 0
    for w in range(words):
        keep[w] = twice[w] & ~every[w]
        total += _ones(keep[w])
    return total


@compiled(INTP(_WORDS, INTP, INTP, _WORDS, _PLAN))
def _plan(keep: Any, words: int, filled: int, masks: Any, plan: Any) -> int:
    """Write the list of extractions, which is the same for each row.

    One extraction takes at most 56 bits of a word. They fit into eight bytes even if the first of them is not at the
    beginning of a byte.

    Args:
        keep: uint64 [words], the columns to keep, as a bit mask.
        words: Number of words.
        filled: Number of bits that each packed row contains before these extractions.
        masks: uint64, output: the bits of each extraction.
        plan: int64 [.., 4], output, four numbers for each extraction: byte offset in the row, byte offset in the packed
            row, number of bits by which to shift up, and number of bits that then form whole bytes.

    Returns:
        The number of extractions.
    """
    listed = 0
    for w in range(words):
        rest = keep[w]
        while rest:
            # With more than 56 ones, each half contains at least 24 of them.
            mask = rest if _ones(rest) <= _MOST_BITS else rest & _LOW_HALF
            shift, bits = filled & 7, _ones(mask)
            masks[listed] = mask
            plan[listed, 0], plan[listed, 1] = w * 8, filled >> 3
            plan[listed, 2], plan[listed, 3] = shift, (shift + bits) & ~7
            filled += bits
            listed += 1
            rest &= ~mask
    return listed


@compiled(VOID(_ADDRESSES, INTP, INTP, _WORDS, _PLAN, INTP, _WORDS, _ADDRESSES))
def _extract(rows: Any, first: int, listed: int, masks: Any, plan: Any, filled: int, pending: Any, joined: Any) -> None:
    """Append the useful columns of each row to its packed row.

    Each entry of the plan is read once for four rows.

    Args:
        rows: int64 [R], the addresses of the rows.
        first: Index of the first word of the rows that the plan describes.
        listed: Number of extractions.
        masks: uint64, from :func:`_plan`.
        plan: int64, from :func:`_plan`.
        filled: Number of bits of each packed row afterwards.
        pending: uint64 [R], updated: the last, incomplete byte of each packed row.
        joined: int64 [R], the addresses of the packed rows.
    """
    for r in range(0, rows.size, 4):
        a, b, c, d = rows[r] + first * 8, rows[r + 1] + first * 8, rows[r + 2] + first * 8, rows[r + 3] + first * 8
        to_a, to_b, to_c, to_d = joined[r], joined[r + 1], joined[r + 2], joined[r + 3]
        in_a, in_b, in_c, in_d = pending[r], pending[r + 1], pending[r + 2], pending[r + 3]
        for n in range(listed):
            mask = masks[n]
            source, target = plan[n, 0], plan[n, 1]
            shift, whole = np.uint64(plan[n, 2]), np.uint64(plan[n, 3])
            in_a |= _pext(_word_at(a + source), mask) << shift
            in_b |= _pext(_word_at(b + source), mask) << shift
            in_c |= _pext(_word_at(c + source), mask) << shift
            in_d |= _pext(_word_at(d + source), mask) << shift
            _put(to_a + target, in_a)
            _put(to_b + target, in_b)
            _put(to_c + target, in_c)
            _put(to_d + target, in_d)
            in_a >>= whole
            in_b >>= whole
            in_c >>= whole
            in_d >>= whole
        end = filled >> 3
        _put(to_a + end, in_a)
        _put(to_b + end, in_b)
        _put(to_c + end, in_c)
        _put(to_d + end, in_d)
        pending[r], pending[r + 1], pending[r + 2], pending[r + 3] = in_a, in_b, in_c, in_d


@compiled(VOID(_ADDRESSES, _ROWS, INTP, INTP, _COUNTS))
def _count_joined(addresses: Any, scratch: Any, filled: int, panel: int, out: Any) -> None:
    """Add the counts of all pairs of packed rows to `out`, int64 [R, R].

    Args:
        addresses: int64 [R], the addresses of the packed rows.
        scratch: The packed rows; words after the last column are set to zero first.
        filled: Number of columns of the packed rows.
        panel: See `add_pairs`.
        out: Tiles on and above the diagonal are added to.
    """
    full = (filled + 63) // 64
    padded = (full + LANES - 1) // LANES * LANES
    scratch[:, full:padded] = np.uint64(0)
    add_pairs(addresses, padded, padded if padded else LANES, panel, out)


@compiled(VOID(_ADDRESSES, INTP, INTP, INTP, _ROWS, _ADDRESSES, _ADDRESSES, _COUNTS))
def add_pairs_squeezed(
    rows: Any, count: int, words: int, panel: int, scratch: Any, addresses: Any, sizes: Any, out: Any
) -> None:
    """Add the same counts as `add_pairs`, but remove columns first. The diagonal of `out` is not valid afterwards.

    Args:
        rows: int64 [R], the address of each row; R is a multiple of 4. Rows after the first `count` are zeros.
        count: L, the number of rows without padding.
        words: Number of words of a row to read, a multiple of 8.
        panel: See `add_pairs`.
        scratch: uint64 [R, S], scratch memory for the packed columns.
        addresses: int64 [R], addresses of the rows of `scratch`.
        sizes: int64 [R]; the cardinalities of the rows are added.
        out: int64 [R, R]; tiles on and above the diagonal are added to.
    """
    keep, twice, every = np.empty(CHUNK, np.uint64), np.empty(CHUNK, np.uint64), np.empty(CHUNK, np.uint64)
    masks, plan = np.empty(2 * CHUNK, np.uint64), np.empty((2 * CHUNK, 4), np.int64)
    pending = np.zeros(rows.size, np.uint64)
    capacity = (scratch.shape[1] - LANES) * 64
    filled = common = 0
    for first in range(0, words, CHUNK):
        length = min(CHUNK, words - first)
        useful = useful_columns(rows, count, first, length, keep, twice, every, sizes)
        for w in range(length):
            common += _ones(every[w])
        if filled + useful > capacity:
            _count_joined(addresses, scratch, filled, panel, out)
            filled = 0
            pending[:] = 0
        listed = _plan(keep, length, filled, masks, plan)
        filled += useful
        _extract(rows, first, listed, masks, plan, filled, pending, addresses)
    _count_joined(addresses, scratch, filled, panel, out)
    for i in range(count):
        for j in range(i, count):
            out[i, j] += common
