"""The grouped squared product on a CPU, computed tile by tile: the sums of one tile of F stay in registers.

A tile of 6 x 64 sums fills twenty-four of the thirty-two vector registers of AVX-512. For each example the products of
its rows are summed in the tile, and the squares of the tile are added to F. F is therefore read and written once in
each call instead of once for each example, and products are not written to memory.

The rows are first copied into panels of six columns (G) or sixty-four columns (A), in the order in which the kernel
reads them.
"""

# ruff: noqa: N803 - F, G and A are the names of the equation.

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numpy.typing import NDArray

from xsns_kernels._numba_jit import INT64, INTP, VOID, at, compiled, intrinsic, plus, times, writable

HEIGHT, VECTORS, LANES = 6, 4, 16
WIDTH = VECTORS * LANES

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_BYTES = 4
_ROWS = types.Array(types.float32, 2, "A", readonly=True, aligned=False)
_MATRIX, _PANELS, _OFFSETS = writable(types.float32, 2), writable(types.float32, 3), writable(types.int64)
# Number of rows of G that are packed together. Their cache lines stay in the first-level cache.
_STRIP = 32
# Largest number of rows of a run of several examples. Their panel of A needs 512 KiB of the second-level cache.
_MOST_ROWS = 2048
# Smallest amount of work for another thread (about a millisecond), in multiplications.
_WORK_OF_A_THREAD = 1 << 25

Floats = NDArray[np.float32]


def has_avx512() -> bool:
    """Return whether this CPU has AVX-512, for whose registers the tile was designed."""
    return bool(binding.get_host_cpu_features().get("avx512f", False))


def add_squared_products(
    F: Floats, G: Floats, A: Floats, rows: NDArray[np.int64], bounds: NDArray[np.int64], threads: int
) -> None:
    """Add the squared products of the examples to F, float32 [O, I] in C order; G [M, O] and A [M, I] have any strides.

    Args:
        F: Updated in place.
        G: Output gradients of the rows of all examples.
        A: Inputs of the rows of all examples.
        rows: int64 [R], the indices of the rows to use, example by example.
        bounds: int64 [N + 1], the positions in `rows` at which the examples begin and end.
        threads: Largest number of threads.
    """
    outputs, inputs = F.shape
    blocks = -(-inputs // WIDTH)
    if G.strides[1] != _BYTES:
        G = np.ascontiguousarray(G)  # noqa: N806
    for first, last in _runs(bounds):
        own = bounds[first : last + 1] - bounds[first]
        taken = rows[bounds[first] : bounds[last]]
        panels = np.empty((-(-outputs // HEIGHT), len(taken), HEIGHT), np.float32)
        pack_columns(G, taken, panels)
        workers = max(1, min(threads, blocks, len(taken) * outputs * inputs // _WORK_OF_A_THREAD))
        parts = [(blocks * n // workers, blocks * (n + 1) // workers) for n in range(workers)]
        if workers == 1:
            add_blocks(F, panels, A, taken, own, 0, blocks)
            continue
        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(add_blocks, F, panels, A, taken, own, *part) for part in parts]:
                done.result()


def _runs(bounds: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) for runs of adjacent examples: the examples from `first` to `last` (exclusive).

    `bounds` are the positions at which the rows of the examples begin and end. A run has at most _MOST_ROWS rows, or is
    one example.
    """
    first, count = 0, len(bounds) - 1
    while first < count:
        last = first + 1
        while last < count and bounds[last + 1] - bounds[first] <= _MOST_ROWS:
            last += 1
        yield first, last
        first = last


@intrinsic
def _add_tile(typingctx: Any, g: Any, a: Any, start: Any, stop: Any, f: Any, pitch: Any) -> Any:
    """Add (Σ_t g[t, r] · a[t, c])² to f[r, c] for one tile of F, with t from `start` to `stop` (exclusive).

    `g`, `a` and `f` are addresses of float32 values; `pitch` is the distance of two rows of F in bytes.
    """
    return VOID(INTP, INTP, INTP, INTP, INTP, INTP), _emit_tile


def _emit_tile(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    g, a, start, stop, f, pitch = arguments
    sums = _emit_products(builder, g, a, start, stop)
    for r in range(HEIGHT):
        line = builder.add(f, times(builder, pitch, r))
        for c in range(VECTORS):
            address = at(builder, plus(builder, line, c * LANES * _BYTES), _VECTOR)
            total = builder.load(sums[r][c])
            builder.store(_fma(builder, total, total, builder.load(address, align=_BYTES)), address, align=_BYTES)
    return context.get_dummy_value()


def _emit_products(builder: Any, g: Any, a: Any, start: Any, stop: Any) -> Any:
    zero = ir.Constant(_VECTOR, [0.0] * LANES)
    create: Any = cgutils.alloca_once
    sums = [[create(builder, _VECTOR) for _ in range(VECTORS)] for _ in range(HEIGHT)]
    for line in sums:
        for variable in line:
            # The zeros are stored here because the tile starts at zero for every example.
            builder.store(zero, variable)
    with cgutils.for_range_slice(builder, start, stop, ir.Constant(INT64, 1)) as (t, _):
        left = builder.add(g, times(builder, t, HEIGHT * _BYTES))
        right = builder.add(a, times(builder, t, WIDTH * _BYTES))
        vectors = [
            builder.load(at(builder, plus(builder, right, c * LANES * _BYTES), _VECTOR), align=_BYTES)
            for c in range(VECTORS)
        ]
        for r in range(HEIGHT):
            factor = _spread(builder, builder.load(at(builder, plus(builder, left, r * _BYTES), _FLOAT)))
            for c in range(VECTORS):
                builder.store(_fma(builder, factor, vectors[c], builder.load(sums[r][c])), sums[r][c])
    return sums


def _spread(builder: Any, value: Any) -> Any:
    index = ir.IntType(32)
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(index, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))


def _fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    insert: Any = cgutils.get_or_insert_function
    function = insert(builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32")
    return builder.call(function, [x, y, z])


@intrinsic
def _copy_columns(typingctx: Any, source: Any, target: Any) -> Any:
    """Copy a row of a panel, six floats, from the address `source` to the address `target`."""
    return VOID(INTP, INTP), _emit_copy


def _emit_copy(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    source, target = arguments
    for start, count in ((0, 4), (4, 2)):
        kind = ir.VectorType(_FLOAT, count)
        value = builder.load(at(builder, plus(builder, source, start * _BYTES), kind), align=_BYTES)
        builder.store(value, at(builder, plus(builder, target, start * _BYTES), kind), align=_BYTES)
    return context.get_dummy_value()


@compiled(VOID(_ROWS, _OFFSETS, _PANELS))
def pack_columns(G: Any, rows: Any, panels: Any) -> None:
    """Copy the rows with indices `rows` of G [M, O] into panels [ceil(O / 6), R, 6], padded with zeros.

    The columns of G must be adjacent in memory.
    """
    columns, tiles = G.shape[1], panels.shape[0]
    whole = columns // HEIGHT
    for first in range(0, len(rows), _STRIP):
        last = min(first + _STRIP, len(rows))
        for tile in range(whole):
            for t in range(first, last):
                source = G.ctypes.data + rows[t] * G.strides[0] + tile * HEIGHT * _BYTES
                _copy_columns(source, panels.ctypes.data + (tile * len(rows) + t) * HEIGHT * _BYTES)
        for tile in range(whole, tiles):
            for t in range(first, last):
                for r in range(HEIGHT):
                    o = tile * HEIGHT + r
                    panels[tile, t, r] = G[rows[t], o] if o < columns else 0.0


@compiled(VOID(_MATRIX, _PANELS, _ROWS, _OFFSETS, _OFFSETS, INTP, INTP))
def add_blocks(F: Any, panels: Any, A: Any, rows: Any, bounds: Any, first: int, last: int) -> None:
    """Add the squared products of all examples to the columns of F from 64 · first to 64 · last (exclusive).

    `panels` are from :func:`pack_columns`; the other arguments are those of :func:`add_squared_products`.
    """
    outputs, inputs = F.shape
    count, tiles = len(rows), panels.shape[0]
    panel, edge = np.zeros((count, WIDTH), np.float32), np.empty((HEIGHT, WIDTH), np.float32)
    for block in range(first, last):
        left, width = block * WIDTH, min(WIDTH, inputs - block * WIDTH)
        for t in range(count):
            for c in range(width):
                panel[t, c] = A[rows[t], left + c]
            for c in range(width, WIDTH):
                panel[t, c] = 0.0
        for tile in range(tiles):
            top, height = tile * HEIGHT, min(HEIGHT, outputs - tile * HEIGHT)
            whole = width == WIDTH and height == HEIGHT
            # A tile that extends beyond F is computed in a buffer.
            edge[:] = 0.0
            target = F.ctypes.data + (top * inputs + left) * _BYTES if whole else edge.ctypes.data
            pitch = inputs * _BYTES if whole else WIDTH * _BYTES
            source = panels.ctypes.data + tile * count * HEIGHT * _BYTES
            for n in range(len(bounds) - 1):
                _add_tile(source, panel.ctypes.data, bounds[n], bounds[n + 1], target, pitch)
            if not whole:
                for r in range(height):
                    for c in range(width):
                        F[top + r, left + c] += edge[r, c]
