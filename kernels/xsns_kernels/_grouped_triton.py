"""The grouped squared product in Triton. One program computes one tile of F, and reads and writes this tile once.

Importing this module needs Triton. If TRITON_INTERPRET=1 is set before the import, Triton's interpreter runs the kernel
on the CPU with small tiles, which is slow and meant for tests.
"""

# ruff: noqa: N803 - F, G and A are the names of the equation; blocks are in capitals by Triton's custom.

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit(do_not_specialize=["rows", "segments"])  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]  # the compiler takes no other annotation than its own
    F,
    G,
    A,
    offsets,
    rows,
    segments,
    features_out,
    features_in,
    G_row,
    G_column,
    A_row,
    A_column,
    BLOCK_R: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_I: tl.constexpr,
):
    """F[o, i] += Σ_n (Σ_r G[r, o] · A[r, i])² for one tile of [BLOCK_O, BLOCK_I].

    A segment is read in blocks of BLOCK_R rows; rows past its end are treated as zeros. Offsets are clamped: no offset
    points outside of G and A. Element offsets are int64, because R · I may exceed 2³¹. The arguments are tensors, their
    sizes and strides (such as `G_row`, the distance of two rows of G), and the sizes of blocks.
    """
    tiles = tl.cdiv(features_in, BLOCK_I)
    o = (tl.program_id(0) // tiles).to(tl.int64) * BLOCK_O + tl.arange(0, BLOCK_O)
    i = (tl.program_id(0) % tiles).to(tl.int64) * BLOCK_I + tl.arange(0, BLOCK_I)
    total = tl.zeros((BLOCK_O, BLOCK_I), tl.float32)
    for segment in range(segments):
        start = tl.maximum(tl.load(offsets + segment), 0)
        stop = tl.minimum(tl.load(offsets + segment + 1), rows)
        product = tl.zeros((BLOCK_O, BLOCK_I), tl.float32)
        for first in range(start, stop, BLOCK_R):
            r = (first + tl.arange(0, BLOCK_R)).to(tl.int64)[:, None]
            g = tl.load(G + r * G_row + o[None, :] * G_column, (r < stop) & (o[None, :] < features_out), 0.0)
            a = tl.load(A + r * A_row + i[None, :] * A_column, (r < stop) & (i[None, :] < features_in), 0.0)
            # "ieee" prevents rounding of float32 to TF32. Products of half precision are exact in float32.
            product = tl.dot(tl.trans(g), a, product, input_precision="ieee")
        total += product * product
    places = F + o[:, None] * features_in + i[None, :]
    inside = (o[:, None] < features_out) & (i[None, :] < features_in)
    tl.store(places, tl.load(places, inside, 0.0) + total, inside)


_COMPILED = isinstance(_kernel, triton.JITFunction)
# The default of Triton may change, and `total += product * product` must stay one fused operation.
_OPTIONS = {"enable_fp_fusion": True}
_INTERPRETED_TILE = {"BLOCK_O": 32, "BLOCK_I": 32}
# Two accumulators of a tile must fit in registers: 128 x 128 with 256 threads needs 128 registers per thread.
_TILES = ((64, 64, 4), (64, 128, 4), (128, 64, 4), (128, 128, 8))
_tuned = triton.autotune(
    [triton.Config({"BLOCK_O": o, "BLOCK_I": i}, num_warps=warps, num_stages=3) for o, i, warps in _TILES],
    key=["features_out", "features_in", "BLOCK_R"],
    restore_value=["F"],
)(_kernel)


def add_squared_products(F: Tensor, G: Tensor, A: Tensor, segments: Tensor) -> None:
    """Launch the kernel. `xsns_kernels.grouped.add_squared_products` documents and checks the arguments.

    Raises:
        ValueError: Triton does not run on the device of F, the rows are float64, or they are bfloat16 and interpreted:
            the interpreter multiplies the bits of bfloat16 as integers.
    """
    if _COMPILED and F.device.type != "cuda":
        raise ValueError(
            f"the Triton implementation needs a CUDA device (or TRITON_INTERPRET=1), got tensors on {F.device}"
        )
    if F.dtype != torch.float32:
        raise ValueError(f"the Triton implementation accumulates in float32, got F of {F.dtype}; use impl='torch'")
    if not _COMPILED and G.dtype == torch.bfloat16:
        raise ValueError("Triton's interpreter cannot multiply bfloat16; use a CUDA device or impl='torch'")
    count = len(segments) - 1
    if not count or not F.numel() or not len(G):
        return
    offsets = segments.to(F.device, torch.int64).contiguous()
    arguments = (F, G, A, offsets, len(G), count, *F.shape, *G.stride(), *A.stride())
    block = _block(len(G), count, G.dtype)
    if not _COMPILED:
        _kernel[_grid(F)](*arguments, BLOCK_R=block, **_INTERPRETED_TILE)
        return
    # Triton launches on the current device, which may differ from the device of F.
    with torch.cuda.device(F.device):
        _tuned[_grid(F)](*arguments, BLOCK_R=block, **_OPTIONS)


def _block(rows: int, segments: int, dtype: torch.dtype) -> int:
    """Return the number of rows in a block of products: 16, 32 or 64, near the mean length of the `segments` segments.

    Without tensor cores, which float32 does not use, a product is unrolled over all its rows. With more than 16 rows,
    most tiles for compute capability 8.0 do not fit into registers.
    """
    most = 16 if dtype == torch.float32 else 64
    return min(most, max(16, 1 << (-(-rows // segments) - 1).bit_length()))


def _grid(F: Tensor) -> Any:
    return lambda tile: (triton.cdiv(F.shape[0], tile["BLOCK_O"]) * triton.cdiv(F.shape[1], tile["BLOCK_I"]),)
