"""The grouped squared product: it adds the squared weight gradients of many examples to an accumulator.

For example n, the gradient with respect to the weight of a linear layer is G_nᵀ A_n, where G_n contains the output
gradients and A_n the inputs of the rows of the example. These products are not stored, because only the sum of their
squares is needed.
"""

# ruff: noqa: N803 - F, G and A are the names of the equation.

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from itertools import pairwise

import torch
from torch import Tensor

#: Names of the implementations; the reference is first.
IMPLEMENTATIONS = ("torch", "numba", "triton")
#: Environment variable with a name that replaces "auto".
VARIABLE = "XSNS_KERNELS_GROUPED"

_HALVES = (torch.float16, torch.bfloat16)
_INDICES = (torch.int32, torch.int64)


def add_squared_products(
    F: Tensor, G: Tensor, A: Tensor, segments: Tensor, impl: str = "auto", *, rows: Tensor | None = None
) -> None:
    """Add the squared products of all examples to F, in place.

    F[o, i] += Σ_n (Σ_{r in segment n} G[r, o] · A[r, i])²

    Args:
        F: float32 [O, I], contiguous; float64 if G and A are float64.
        G: float32, float16, bfloat16 or float64 [R, O], any strides, on the device of F. The rows of an example are
            adjacent.
        A: [R, I], of the dtype and on the device of G, any strides. Row r of A belongs to row r of G.
        segments: int32 or int64 [N + 1], ascending from 0 to R: rows segments[n] to segments[n + 1] - 1 belong to
            example n. Two equal offsets mean an example without rows, which adds nothing. The tensor may be on the CPU
            or on the device of F. ``"triton"`` does not check offsets on a device, because it would have to wait for
            the device. Wrong offsets then give wrong sums, but no row outside of G and A is read.
        impl: ``"torch"``, ``"numba"`` (on a CPU), ``"triton"``, or ``"auto"``, which is `choose(F.device, G.dtype)`.
        rows: int64 [R] on the device of G, or None for all rows of G in order. If it is given, `segments` refers to
            it: the rows of example n are rows[segments[n]], rows[segments[n] + 1], …

    Raises:
        TypeError: A dtype is not supported, or the dtypes of G, A and F do not fit together.
        ValueError: Shapes or devices do not fit, F is strided, `segments` does not rise from 0 to R, `impl` is unknown,
            or the implementation does not support this device or dtype.
        ImportError: ``"triton"`` was requested and is not installed.

    Products and sums have the dtype of F, independently of the dtype of the rows. ``"torch"`` multiplies float32 with
    the precision of `torch.set_float32_matmul_precision`, and needs scratch memory of the size of F. ``"triton"`` does
    not round float32 rows, reads and writes F once in each call and needs no scratch memory. At the first call with a
    shape it tries several tile sizes, with one copy of F. ``"numba"`` reads and writes F once for every 2,048 rows,
    needs scratch memory of the size of G, and uses the number of threads of torch. Complexity: 2·R·O·I operations.

    >>> F, G, A = torch.zeros(1, 2), torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[1.0, 0.0]] * 3)
    >>> add_squared_products(F, G, A, torch.tensor([0, 2, 3]))  # (1 + 2)² + 3²
    >>> F.tolist()
    [[18.0, 0.0]]
    """
    _check(F, G, A, segments)
    chosen = choose(F.device, G.dtype) if impl == "auto" else _known("impl", impl)
    if chosen == "numba":
        _add_in_registers(F, G, A, rows, segments)
        return
    left, right = (G, A) if rows is None else (G[rows], A[rows])
    if chosen == "torch":
        _add_one_by_one(F, left, right, _bounds(segments, len(left)))
        return
    if segments.device.type == "cpu":
        _bounds(segments, len(left))
    from xsns_kernels import _grouped_triton

    _grouped_triton.add_squared_products(F, left, right, segments)


def choose(device: torch.device, dtype: torch.dtype) -> str:
    """Return the name of the implementation for ``"auto"``.

    If the environment variable XSNS_KERNELS_GROUPED is set (and not to ``"auto"``), it gives the name. Otherwise,
    the implementation for float32, float16 and bfloat16 is ``"triton"`` on a CUDA device of compute capability 8.0 or
    more (the devices that Triton supports) if Triton is installed, and ``"numba"`` on a CPU with AVX-512. In all other
    cases it is ``"torch"``.

    Args:
        device: The device of F, G and A.
        dtype: The dtype of G and A.

    Raises:
        ValueError: The environment variable does not name an implementation.

    >>> choose(torch.device("cpu"), torch.float64)
    'torch'
    """
    requested = os.environ.get(VARIABLE, "auto")
    if requested != "auto":
        return _known(VARIABLE, requested)
    if dtype not in (torch.float32, *_HALVES):
        return "torch"
    if device.type == "cpu":
        return "numba" if _has_avx512() else "torch"
    compiled = device.type == "cuda" and _has_triton()
    return "triton" if compiled and torch.cuda.get_device_capability(device) >= (8, 0) else "torch"


def _add_one_by_one(F: Tensor, G: Tensor, A: Tensor, bounds: list[int]) -> None:
    scratch = torch.empty_like(F)
    # Under autocast the product would be rounded to half precision before it is squared.
    with torch.no_grad(), torch.autocast(F.device.type, enabled=False):
        for start, stop in pairwise(bounds):
            if start < stop:
                torch.mm(G[start:stop].to(F.dtype).t(), A[start:stop].to(F.dtype), out=scratch)
                F.addcmul_(scratch, scratch)


def _add_in_registers(F: Tensor, G: Tensor, A: Tensor, rows: Tensor | None, segments: Tensor) -> None:
    if F.device.type != "cpu" or F.dtype != torch.float32:
        raise ValueError(f"'numba' cannot be used for F of {F.dtype} on {F.device}; choose 'torch'")
    import numpy as np

    from xsns_kernels import _grouped_numba

    taken = np.arange(len(G)) if rows is None else rows.numpy()
    if len(taken) and not (taken.min() >= 0 and taken.max() < len(G)):
        raise IndexError(f"rows must be in 0 to {len(G) - 1}, got {taken.min()} to {taken.max()}")
    offsets = np.array(_bounds(segments, len(taken)), np.int64)
    left, right = (x.detach().to(torch.float32).numpy() for x in (G, A))
    _grouped_numba.add_squared_products(F.detach().numpy(), left, right, taken, offsets, torch.get_num_threads())


def _check(F: Tensor, G: Tensor, A: Tensor, segments: Tensor) -> None:
    for name, tensor, axes in (("F", F, 2), ("G", G, 2), ("A", A, 2), ("segments", segments, 1)):
        if tensor.ndim != axes:
            raise ValueError(f"{name} must have {axes} axes, got shape {tuple(tensor.shape)}")
    if F.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"F must have dtype float32 or float64, got {F.dtype}")
    rows = (torch.float32, *_HALVES) if F.dtype == torch.float32 else (torch.float64,)
    if G.dtype not in rows or A.dtype != G.dtype:
        choices = ", ".join(str(dtype) for dtype in rows)
        raise TypeError(f"G and A must share one dtype of {choices} for F of {F.dtype}, got {G.dtype} and {A.dtype}")
    if segments.dtype not in _INDICES:
        raise TypeError(f"segments must have dtype int32 or int64, got {segments.dtype}")
    if len(G) != len(A) or F.shape != (G.shape[1], A.shape[1]):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (F, G, A))
        raise ValueError(f"F, G and A must have shapes [O, I], [R, O] and [R, I], got {shapes}")
    if not F.device == G.device == A.device or segments.device not in (F.device, torch.device("cpu")):
        devices = ", ".join(str(tensor.device) for tensor in (F, G, A, segments))
        raise ValueError(f"F, G and A must be on one device, and segments there or on the CPU, got {devices}")
    if not F.is_contiguous():
        raise ValueError(f"F must be contiguous, got shape {tuple(F.shape)} with strides {F.stride()}")


def _bounds(segments: Tensor, rows: int) -> list[int]:
    bounds: list[int] = segments.tolist()
    if not bounds or bounds[0] != 0 or bounds[-1] != rows or bounds != sorted(bounds):
        raise ValueError(f"segments must rise from 0 to the number of rows, {rows}; got {_shown(bounds)}")
    return bounds


def _shown(bounds: list[int]) -> str:
    return str(bounds if len(bounds) <= 8 else [*bounds[:4], "…", *bounds[-3:]])


def _known(name: str, impl: str) -> str:
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"{name} must be one of auto, {', '.join(IMPLEMENTATIONS)}; got {impl!r}")
    return impl


@cache
def _has_avx512() -> bool:
    from xsns_kernels import _grouped_numba

    return _grouped_numba.has_avx512()


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
