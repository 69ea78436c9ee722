"""Intersection counts on a device. Blocks of columns are unpacked to 8-bit integers and multiplied as matrices.

The product of two 0/1 matrices counts the bits that each pair of rows has in common. On a GPU, this is faster than
counting the bits of packed words, although it takes one multiplication for each bit, because a GPU has fast units for
matrix multiplication. On a CPU, the same code is exact but slow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xsns_kernels.columns import Columns, Counts, Part, Progress, Segment, parts_of

#: Largest size in bytes of the unpacked bits of a block (all rows) on the device.
_UNPACKED_BYTES = 1 << 28
#: For 8-bit products, the number of rows must be a multiple of this number.
_ROWS = 32
#: Largest number of words of a row in a block. With more words, the int32 sums of a product could overflow.
_MOST_WORDS = 1 << 20


def stream_intersections_on(
    columns: Columns,
    device: str | torch.device,
    *,
    segments: Sequence[Segment] | None = None,
    groups: int = 1,
    on_progress: Progress | None = None,
) -> Counts:
    """Count the common bits of all pairs of rows on a device.

    Arguments, result and errors are those of `xsns_kernels.stream_intersections`. One thread reads blocks of columns
    while the device multiplies the preceding blocks.

    Memory: about 0.6 GB on the device, and two blocks of packed rows on the host, which take 8 MB (slightly more if
    there are very many rows). The sums of a block are int32 and cannot overflow; sums over blocks are int64.

    >>> from xsns_kernels import ArrayColumns
    >>> rows = ArrayColumns(np.array([[0b0111], [0b1110]], np.uint64))
    >>> stream_intersections_on(rows, "cpu").tolist()
    [[[3, 2], [2, 3]]]
    """
    out = np.zeros((groups, columns.rows, columns.rows), np.int64)
    for group, counts in _products(columns, torch.device(device), segments, groups, on_progress):
        out[group] += counts
    return out


def stream_cross_intersections_on(
    columns: Columns,
    split: int,
    device: str | torch.device,
    *,
    segments: Sequence[Segment] | None = None,
    groups: int = 1,
    on_progress: Progress | None = None,
) -> tuple[Counts, Counts]:
    """Count the common bits of the first `split` rows with each of the other rows on a device.

    Arguments, result and errors are those of `xsns_kernels.stream_cross_intersections`. The counts of all
    pairs of rows are computed, which takes little more time on a device.

    >>> from xsns_kernels import ArrayColumns
    >>> counts, cardinalities = stream_cross_intersections_on(ArrayColumns(np.array([[7], [6]], np.uint64)), 1, "cpu")
    >>> counts.tolist(), cardinalities.tolist()
    ([[[2]]], [[3, 2]])
    """
    if not 0 <= split <= columns.rows:
        raise ValueError(f"split must be from 0 to the number of rows, {columns.rows}; got {split}")
    square = stream_intersections_on(columns, device, segments=segments, groups=groups, on_progress=on_progress)
    return square[:, :split, split:].copy(), np.diagonal(square, axis1=1, axis2=2).copy()


def _products(
    columns: Columns,
    device: torch.device,
    segments: Sequence[Segment] | None,
    groups: int,
    on_progress: Progress | None,
) -> Iterator[tuple[int, Counts]]:
    """Yield (group, int64 [L, L]) for each block of columns: the numbers of common bits of all pairs of rows.

    The arguments are those of `xsns_kernels.stream_intersections`.
    """
    parts = parts_of(columns, segments, groups)
    total = sum(part.stop - part.start for part in parts)
    if columns.rows == 0 or total == 0:
        return
    height = -(-columns.rows // _ROWS) * _ROWS
    window = max(8, min(_MOST_WORDS, _UNPACKED_BYTES // (64 * height)) // 8 * 8)
    windows = [
        Part(start, min(start + window, part.stop), part.group, part.mask)
        for part in parts
        for start in range(part.start, part.stop, window)
    ]
    shifts = torch.arange(8, device=device, dtype=torch.uint8)
    done = 0
    with ThreadPoolExecutor(1, thread_name_prefix="xsns-kernels") as reader:
        following = reader.submit(_read, columns, windows[0], device)
        for number, part in enumerate(windows):
            packed = following.result()
            if number + 1 < len(windows):
                following = reader.submit(_read, columns, windows[number + 1], device)
            yield part.group, _product(packed.to(device, non_blocking=True), shifts, height)
            done += part.stop - part.start
            if on_progress is not None:
                on_progress(done, total)


def _read(columns: Columns, part: Part, device: torch.device) -> torch.Tensor:
    """Return the words of `part` of all rows, uint8 [L, 8 · words], in memory that the device can read directly."""
    words = part.stop - part.start
    block = torch.empty((columns.rows, words), dtype=torch.int64, pin_memory=device.type == "cuda")
    array: NDArray[Any] = block.numpy().view(np.uint64)
    columns.read(part.start, part.stop, array)
    if part.mask is not None:
        array &= part.mask
    return block.view(torch.uint8)


def _product(packed: torch.Tensor, shifts: torch.Tensor, height: int) -> Counts:
    """Return the number of common bits of each pair of rows: int64 [L, L].

    Args:
        packed: uint8 [L, 8 · words], the rows, on the device.
        shifts: uint8 [8], the numbers from 0 to 7, on the device.
        height: L rounded up to a number of rows that 8-bit products accept.
    """
    rows = len(packed)
    bits = torch.zeros((height, packed.shape[1], 8), dtype=torch.uint8, device=packed.device)
    # The order of the bits within a byte is arbitrary, but the same in all rows.
    torch.bitwise_right_shift(packed.unsqueeze(-1), shifts, out=bits[:rows])
    flat = bits.bitwise_and_(1).view(height, -1).view(torch.int8)
    counts: Counts = torch._int_mm(flat, flat.t())[:rows, :rows].to(torch.int64).cpu().numpy()
    return counts
