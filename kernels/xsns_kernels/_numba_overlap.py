"""Count common bits of all pairs of rows of one column block, four rows by four at a time.

A tile of 4 x 4 pairs keeps its sixteen sums in vector registers: eight loads feed sixteen
AND + popcount + ADD. The vectors are written out as `<8 x i64>` in LLVM's language, because LLVM
left to itself prefers 256-bit vectors; on a CPU without AVX-512 it splits them and stays correct.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from xsns_kernels._numba_jit import (
    INT64,
    INTP,
    VOID,
    at,
    compiled,
    intrinsic,
    plus,
    times,
    writable,
)

TILE = 4
LANES = 8
PANEL = 128

_WORD_BYTES = 8
_VECTOR = ir.VectorType(INT64, LANES)
_WORDS = writable(types.uint64, 2)
_COUNTS = writable(types.int64, 2)


@intrinsic
def _add_tile(typingctx: Any, left: Any, i: Any, right: Any, j: Any, vectors: Any, out: Any, ahead: Any) -> Any:
    """Add popcount(left[i + r] & right[j + c]) to out[i + r, j + c] for r, c in 0..3.

    Meanwhile fetch one cache line a vector from the address `ahead` on into the second-level cache.
    """
    signature = VOID(left, INTP, right, INTP, INTP, out, INTP)
    return signature, _emit_tile


def _emit_tile(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    left, i, right, j, vectors, out, ahead = arguments
    lefts = _row_addresses(context, builder, signature.args[0], left, i)
    rights = _row_addresses(context, builder, signature.args[2], right, j)
    sums = _emit_loop(builder, lefts, rights, vectors, ahead)
    for r, line in enumerate(_row_addresses(context, builder, signature.args[5], out, i)):
        for c in range(TILE):
            target = at(builder, builder.add(line, times(builder, plus(builder, j, c), _WORD_BYTES)), INT64)
            total = _call(builder, "llvm.vector.reduce.add.v8i64", INT64, builder.load(sums[r][c]))
            builder.store(builder.add(builder.load(target), total), target)
    return context.get_dummy_value()


def _emit_loop(builder: Any, lefts: Any, rights: Any, vectors: Any, ahead: Any) -> Any:
    zero = ir.Constant(_VECTOR, [0] * LANES)
    sums = [[_variable(builder, zero) for _ in rights] for _ in lefts]
    with cgutils.for_range(builder, vectors) as loop:
        offset = times(builder, loop.index, LANES * _WORD_BYTES)
        a = [_load(builder, address, offset) for address in lefts]
        for c, address in enumerate(rights):
            b = _load(builder, address, offset)
            for r in range(TILE):
                common = builder.and_(a[r], b)
                ones = _call(builder, "llvm.ctpop.v8i64", _VECTOR, common)
                builder.store(builder.add(builder.load(sums[r][c]), ones), sums[r][c])
        _prefetch(builder, builder.add(ahead, offset))
    return sums


def _row_addresses(context: Any, builder: Any, array_type: Any, array: Any, first: Any) -> list[Any]:
    fields = context.make_array(array_type)(context, builder, array)
    row_bytes = builder.extract_value(fields.strides, 0)
    start = builder.add(builder.ptrtoint(fields.data, INT64), builder.mul(first, row_bytes))
    return [builder.add(start, times(builder, row_bytes, r)) for r in range(TILE)]


def _load(builder: Any, address: Any, offset: Any) -> Any:
    return builder.load(at(builder, builder.add(address, offset), _VECTOR), align=_WORD_BYTES)


def _variable(builder: Any, value: Any) -> Any:
    # On the stack in name only: LLVM keeps it in a register.
    create: Any = cgutils.alloca_once_value
    return create(builder, value)


def _prefetch(builder: Any, address: Any) -> None:
    # For reading, into the second-level cache, as data. It never faults, whatever the address.
    flag = ir.IntType(32)
    pointer = at(builder, address, ir.IntType(8))
    insert: Any = cgutils.get_or_insert_function
    function_type = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
    function = insert(builder.module, function_type, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(flag, value) for value in (0, 2, 1))])


def _call(builder: Any, name: str, result: Any, argument: Any) -> Any:
    insert: Any = cgutils.get_or_insert_function
    function = insert(builder.module, ir.FunctionType(result, [argument.type]), name)
    return builder.call(function, [argument])


@compiled(VOID(_WORDS, INTP, _COUNTS, INTP, INTP))
def add_block(block: Any, words: int, out: Any, ahead: int, pitch: int) -> None:
    """Add the counts of all pairs of a block to the tiles of `out` on and above the diagonal.

    Columns of `out` are taken a panel at a time, so that with many rows the right-hand side of the
    tiles still comes from the second-level cache. The last tiles fetch one row each of the next
    block from memory, which otherwise would wait while nothing is counted.

    Args:
        block: uint64 [R, stride], R a multiple of 4; rows past the last one are zeros.
        words: words of a row to read, a multiple of 8 and at most `stride`.
        out: int64 [R, R]. Tiles below the diagonal are not touched.
        ahead: address of the next block's first row, or any address.
        pitch: bytes from one row of the next block to the next row.
    """
    rows = block.shape[0]
    tiles = rows // TILE * (rows // TILE + 1) // 2
    for panel in range(0, rows, PANEL):
        end = min(rows, panel + PANEL)
        for i in range(0, end, TILE):
            for j in range(max(i, panel), end, TILE):
                tiles -= 1
                line = ahead + min(tiles, rows - 1) * pitch
                _add_tile(block, i, block, j, words // LANES, out, line)


@compiled(VOID(_WORDS, _WORDS, INTP, _COUNTS))
def add_cross_block(left: Any, right: Any, words: int, out: Any) -> None:
    """Add the counts of all pairs of two blocks of one stride to `out`, int64 [A, B]."""
    columns = right.shape[0]
    for panel in range(0, columns, PANEL):
        for i in range(0, left.shape[0], TILE):
            for j in range(panel, min(columns, panel + PANEL), TILE):
                _add_tile(left, i, right, j, words // LANES, out, left.ctypes.data)
