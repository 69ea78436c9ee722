"""Feed the intersection kernel: cut the columns into blocks, copy each into padded scratch, add up.

Copying makes the kernel simple and fast. Its rows are a multiple of four and its words a multiple
of eight, zeros past the end; the rows of a block lie close together, one cache line off a power of
two apart; and the input may be strided, read-only or a memory map.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xsns_kernels._numba_overlap import LANES, TILE, add_block, add_cross_block

Words = NDArray[np.uint64]
Counts = NDArray[np.int64]

# Words of a row in one block: L rows of them should fit in the second-level cache beside the counts.
_MOST_WORDS = 1024
_LEAST_WORDS = 512
_SCRATCH_BYTES = 1_500_000
# A thread is worth starting for about a millisecond of work: pairs of rows times words.
_WORK_OF_A_THREAD = 1 << 23


@dataclass(frozen=True)
class _Columns:
    """A half-open range of words."""

    start: int
    stop: int


def add_pairs(rows: Words, out: Counts, threads: int | None) -> None:
    """Add the counts of all pairs of rows to `out`, int64 [L, L]."""
    count, words = rows.shape
    if count == 0 or words == 0:
        return
    height, pitch = _up(count, TILE), rows.strides[0]

    def work(columns: Iterator[_Columns], block: int) -> Counts:
        scratch, sums = _scratch(height, block), np.zeros((height, height), np.int64)
        for part, following in _with_next(columns):
            add_block(scratch, _fill(scratch, rows, part), sums, _address(rows, following), pitch)
        return sums

    sums = _run(work, words, block_words(height), _workers(threads, count * (count + 1) // 2 * words))
    upper = np.triu(sums[:count, :count])
    out += upper
    out += np.triu(upper, 1).T


def add_cross(a: Words, b: Words, out: Counts, threads: int | None) -> None:
    """Add the counts of all rows of `a` with all rows of `b` to `out`, int64 [A, B]."""
    words = a.shape[1]
    if out.size == 0 or words == 0:
        return
    height, width = _up(len(a), TILE), _up(len(b), TILE)

    def work(columns: Iterator[_Columns], block: int) -> Counts:
        left, right = _scratch(height, block), _scratch(width, block)
        sums = np.zeros((height, width), np.int64)
        for part in columns:
            _fill(left, a, part)
            add_cross_block(left, right, _fill(right, b, part), sums)
        return sums

    sums = _run(work, words, block_words(height + width), _workers(threads, out.size * words))
    out += sums[: len(a), : len(b)]


def block_words(rows: int) -> int:
    """Return how many words of each of `rows` rows make a block, a multiple of eight."""
    fitting = _SCRATCH_BYTES // (8 * rows) // LANES * LANES
    return min(_MOST_WORDS, max(_LEAST_WORDS, fitting))


def _run(work: Callable[[Iterator[_Columns], int], Counts], words: int, block: int, workers: int) -> Counts:
    """Sum the private counts of workers that draw blocks of columns from one queue.

    The queue is dynamic because a static split waits for whichever core is shared with others.
    """
    queue = _Queue(words, block)
    workers = min(workers, -(-words // block))
    if workers == 1:
        return work(queue, block)
    with ThreadPoolExecutor(workers, thread_name_prefix="xsns-kernels") as pool:
        running = [pool.submit(work, queue, block) for _ in range(workers)]
        return sum((done.result() for done in running[1:]), start=running[0].result())


class _Queue(Iterator[_Columns]):
    """Blocks of columns, each handed to exactly one thread."""

    def __init__(self, words: int, block: int) -> None:
        self._next = iter(range(0, words, block))
        self._words, self._block = words, block
        self._lock = threading.Lock()

    def __next__(self) -> _Columns:
        with self._lock:
            start = next(self._next)
        return _Columns(start, min(start + self._block, self._words))


def _with_next(columns: Iterator[_Columns]) -> Iterator[tuple[_Columns, _Columns]]:
    """Pair each block with the one that this worker takes next; the last one with itself."""
    part = next(columns, None)
    while part is not None:
        following = next(columns, None)
        yield part, following or part
        part = following


def _address(rows: Words, columns: _Columns) -> int:
    """Return where a block starts in the first row."""
    return int(rows.ctypes.data) + columns.start * rows.strides[1]


def _scratch(rows: int, block: int) -> Words:
    return np.zeros((rows, block + LANES), np.uint64)


def _fill(scratch: Words, rows: Words, columns: _Columns) -> int:
    """Copy one block of columns, and return its words rounded up to whole vectors of zeros."""
    words = columns.stop - columns.start
    padded = _up(words, LANES)
    scratch[: len(rows), :words] = rows[:, columns.start : columns.stop]
    scratch[: len(rows), words:padded] = 0
    return padded


def _workers(threads: int | None, work: int) -> int:
    if threads is not None:
        return threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, work // _WORK_OF_A_THREAD))


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
