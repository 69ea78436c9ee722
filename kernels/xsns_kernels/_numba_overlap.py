"""Compiled kernels that count intersections of pairs of rows, in tiles of four rows by four rows.

A tile of 4 x 4 pairs keeps its sixteen sums in vector registers: eight loads are used for sixteen ANDs, popcounts and
additions. The vectors are declared as `<8 x i64>` in LLVM, because LLVM prefers 256-bit vectors by default. On a CPU
without AVX-512, LLVM splits them, and the result is the same. Rows are given by their addresses and are not copied.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from xsns_kernels._numba_jit import (
    INT64,
    INTP,
    LANES,
    VECTOR,
    VOID,
    WORD_BYTES,
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

TILE = 4

_ADDRESSES = writable(types.int64)
_COUNTS = writable(types.int64, 2)


@intrinsic
def _add_tile(
    typingctx: Any, left: Any, i: Any, right: Any, j: Any, first: Any, vectors: Any, out: Any, ahead: Any
) -> Any:
    """Add popcount(left[i + r] & right[j + c]) to out[i + r, j + c] for r, c in 0..3.

    `left` and `right` are arrays of row addresses. `vectors` vectors of each row are read, beginning at word `first`.
    At the same time, one cache line for each vector is prefetched into the second-level cache, beginning at `ahead`.
    """
    signature = VOID(left, INTP, right, INTP, INTP, INTP, out, INTP)
    return signature, _emit_tile


def _emit_tile(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    left, i, right, j, first, vectors, out, ahead = arguments
    offset = times(builder, first, WORD_BYTES)
    lefts = row_addresses(context, builder, signature.args[0], left, i, offset, TILE)
    rights = row_addresses(context, builder, signature.args[2], right, j, offset, TILE)
    sums = _emit_loop(builder, lefts, rights, vectors, ahead)
    fields = context.make_array(signature.args[6])(context, builder, out)
    pitch = builder.extract_value(fields.strides, 0)
    line = builder.add(builder.ptrtoint(fields.data, INT64), builder.mul(i, pitch))
    for r in range(TILE):
        for c in range(TILE):
            address = builder.add(line, times(builder, plus(builder, j, c), WORD_BYTES))
            target = at(builder, builder.add(address, times(builder, pitch, r)), INT64)
            total = call(builder, "llvm.vector.reduce.add.v8i64", INT64, builder.load(sums[r][c]))
            builder.store(builder.add(builder.load(target), total), target)
    return context.get_dummy_value()


def _emit_loop(builder: Any, lefts: Any, rights: Any, vectors: Any, ahead: Any) -> Any:
    zero = ir.Constant(VECTOR, [0] * LANES)
    sums = [[variable(builder, zero) for _ in rights] for _ in lefts]
    with cgutils.for_range(builder, vectors) as loop:
        offset = times(builder, loop.index, LANES * WORD_BYTES)
        a = [load_vector(builder, address, offset) for address in lefts]
        for c, address in enumerate(rights):
            b = load_vector(builder, address, offset)
            for r in range(TILE):
                common = builder.and_(a[r], b)
                ones = call(builder, "llvm.ctpop.v8i64", VECTOR, common)
                builder.store(builder.add(builder.load(sums[r][c]), ones), sums[r][c])
        _prefetch(builder, builder.add(ahead, offset))
    return sums


def _prefetch(builder: Any, address: Any) -> None:
    # This is a prefetch of data for reading into the second-level cache. It is safe for any address.
    flag = ir.IntType(32)
    pointer = at(builder, address, ir.IntType(8))
    insert: Any = cgutils.get_or_insert_function
    function_type = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
    function = insert(builder.module, function_type, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(flag, value) for value in (0, 2, 1))])


@intrinsic
def _size(typingctx: Any, address: Any, vectors: Any) -> Any:
    """Return the number of set bits in `vectors` consecutive vectors of 512 bits; the first begins at `address`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total = variable(builder, ir.Constant(VECTOR, [0] * LANES))
        with cgutils.for_range(builder, arguments[1]) as loop:
            found = load_vector(builder, arguments[0], times(builder, loop.index, LANES * WORD_BYTES))
            ones = call(builder, "llvm.ctpop.v8i64", VECTOR, found)
            builder.store(builder.add(builder.load(total), ones), total)
        return call(builder, "llvm.vector.reduce.add.v8i64", INT64, builder.load(total))

    return types.int64(types.int64, INTP), emit


@compiled(VOID(_ADDRESSES, INTP, INTP, INTP, _COUNTS))
def add_pairs(rows: Any, words: int, block: int, panel: int, out: Any) -> None:
    """Add the number of common bits of each pair of rows to the tiles of `out` on and above the diagonal.

    The last tiles of a block each prefetch one row of the next block, because counting would otherwise wait for memory.
    Columns of `out` are processed in panels: the right-hand rows of the tiles then stay in the second-level cache even
    if there are many rows.

    Args:
        rows: int64 [R], the address of each row; R is a multiple of 4.
        words: Number of words of a row to read, a multiple of 8.
        block: Number of words of a row in one step of counting, a multiple of 8.
        panel: Number of columns of `out` in a panel, a multiple of 4.
        out: int64 [R, R]. Tiles below the diagonal are not changed.
    """
    count = rows.size
    for first in range(0, words, block):
        length = min(block, words - first)
        following = min(first + block, words - length)
        tiles = count // TILE * (count // TILE + 1) // 2
        for start in range(0, count, panel):
            end = min(count, start + panel)
            for i in range(0, end, TILE):
                for j in range(max(i, start), end, TILE):
                    tiles -= 1
                    ahead = rows[min(tiles, count - 1)] + following * WORD_BYTES
                    _add_tile(rows, i, rows, j, first, length // LANES, out, ahead)


@compiled(VOID(_ADDRESSES, _ADDRESSES, INTP, INTP, INTP, _COUNTS))
def add_cross(left: Any, right: Any, words: int, block: int, panel: int, out: Any) -> None:
    """Add the number of common bits of each row of `left` and each row of `right` to `out`, int64 [A, B].

    `left` [A] and `right` [B] are addresses of rows; see `add_pairs` for the other arguments.
    """
    for first in range(0, words, block):
        length = min(block, words - first)
        following = min(first + block, words - length)
        for start in range(0, right.size, panel):
            for i in range(0, left.size, TILE):
                for j in range(start, min(right.size, start + panel), TILE):
                    ahead = right[j + i // TILE % TILE] + following * WORD_BYTES
                    _add_tile(left, i, right, j, first, length // LANES, out, ahead)


@compiled(VOID(_ADDRESSES, INTP, _ADDRESSES))
def add_sizes(rows: Any, words: int, out: Any) -> None:
    """Add the number of set bits of each row to `out`, int64 [L]; `words` is a multiple of 8."""
    for i in range(rows.size):
        out[i] += _size(rows[i], words // LANES)
