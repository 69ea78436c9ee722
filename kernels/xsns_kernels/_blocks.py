"""Scheduler of the intersection kernels: it divides rows into windows, counts each window, and adds up the counts.

Rows in memory are counted in place. Other rows are first read into a buffer of one window; memory does not grow with
the length of the rows. The kernels need whole vectors of eight words and a multiple of four rows; rows and words are
padded with zeros.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _numba_overlap as dense
from xsns_kernels import _numba_squeeze as squeeze
from xsns_kernels._numba_jit import LANES
from xsns_kernels.columns import ArrayColumns, Columns, Counts, Part, Progress, Words
from xsns_kernels.cores import available_cores

TILE = dense.TILE
_WORD_BYTES = 8

#: Largest number of words of a row in one window, for rows that are read and for rows in memory.
_WINDOW, _WINDOW_IN_MEMORY = 8192, 32_768
#: Smallest number of words of a row in one window.
_LEAST_WINDOW = 512
#: Largest size of the buffer of a thread, in bytes.
_BUFFER_BYTES = 16_000_000
#: Smallest and largest number of words of a row in one step of counting.
_LEAST_BLOCK, _MOST_BLOCK = 512, 1024
#: Size in bytes of the words of all rows in one step of counting, which should fit into the second-level cache.
_BLOCK_BYTES = 1_500_000
#: Number of columns of the result in one panel.
_PANEL = 128
#: Smallest amount of work for another thread (about a millisecond), in pairs of rows times words.
_WORK_OF_A_THREAD = 1 << 23
#: Cost of removing columns for one vector of a row, in pairs of vectors that could be counted in the same time.
_COST_OF_SQUEEZING = 22.0
#: Number of places of a window at which columns are examined, and number of words at each place.
_SAMPLES, _SAMPLE_WORDS = 4, 64
#: After a window in which removing columns would not save time, this number of windows is not examined.
_PATIENCE = 7


def square(
    columns: Columns,
    parts: Sequence[Part],
    groups: int,
    threads: int | None,
    squeezed: bool | None,
    on_progress: Progress | None,
) -> Counts:
    """Return the counts of all pairs of rows, by group: int64 [groups, L, L].

    Args:
        columns: The rows.
        parts: The parts of the rows to count, with their groups.
        groups: Number of groups.
        threads: Number of threads; None for a number that depends on the amount of work.
        squeezed: Whether columns that do not distinguish rows are removed; None decides for each window.
        on_progress: Called with (words done, words in total).
    """
    count = columns.rows
    out = np.zeros((groups, count, count), np.int64)
    work = count * (count + 1) // 2
    _run(lambda: _Pairs(count, squeezed), columns, parts, out, work, threads, on_progress)
    for counts in out:
        upper = np.triu(counts)
        counts[...] = upper + np.triu(upper, 1).T
    return out


def rectangle(
    columns: Columns,
    split: int,
    parts: Sequence[Part],
    groups: int,
    threads: int | None,
    on_progress: Progress | None,
) -> tuple[Counts, Counts]:
    """Return the counts of the first `split` rows with each of the other rows, and the cardinalities of all L rows.

    The arguments are those of :func:`square`.

    Returns:
        int64 [groups, split, L − split], and int64 [groups, L].
    """
    count = columns.rows
    # The last line of the table contains the cardinalities.
    out = np.zeros((groups, split + 1, max(count, count - split)), np.int64)
    work = max(count, split * (count - split))
    _run(lambda: _Cross(count, split), columns, parts, out, work, threads, on_progress)
    return np.ascontiguousarray(out[:, :split, : count - split]), np.ascontiguousarray(out[:, split, :count])


class _Counter(Protocol):
    """Counts windows of rows and adds the counts to its own sums; each thread has one counter."""

    def count(self, rows: Counts, words: int) -> None:
        """Count a window; `rows` [R] are addresses, R is a multiple of four and `words` a multiple of eight."""

    def take(self) -> Counts:
        """Return the sums of the windows that were counted since the last call, and reset them to zero."""


class _Pairs:
    """A counter for all pairs within one set of rows; it is a `_Counter`."""

    def __init__(self, count: int, squeezed: bool | None) -> None:
        self._rows, self._squeezed, self._wait = count, squeezed, 0
        height = _up(count, TILE)
        self._block = _block(height)
        self._sums = np.zeros((height, height), np.int64)
        self._joined = np.zeros((height, self._block + LANES), np.uint64)
        self._joined_rows = _addresses(self._joined)
        self._judged = np.empty((3, squeeze.CHUNK), np.uint64)

    def count(self, rows: Counts, words: int) -> None:
        pays = self._pays(rows, words) if self._squeezed is None else self._squeezed
        if not pays:
            dense.add_pairs(rows, words, self._block, _PANEL, self._sums)
            return
        diagonal = np.diagonal(self._sums).copy()
        sizes = np.zeros(len(rows), np.int64)
        squeeze.add_pairs_squeezed(rows, self._rows, words, _PANEL, self._joined, self._joined_rows, sizes, self._sums)
        np.fill_diagonal(self._sums, diagonal + sizes)

    def _pays(self, rows: Counts, words: int) -> bool:
        """Return whether removing columns probably saves time, judged by a sample of the columns of the window."""
        pairs = (self._rows + 1) / 2
        if not squeeze.AVAILABLE or words < _SAMPLES * _SAMPLE_WORDS or pairs <= _COST_OF_SQUEEZING:
            return False
        if self._wait:
            self._wait -= 1
            return False
        ignored = np.zeros(len(rows), np.int64)
        step, useful = (words - _SAMPLE_WORDS) // (_SAMPLES - 1), 0
        keep, twice, every = self._judged
        for at in range(_SAMPLES):
            useful += squeeze.useful_columns(rows, self._rows, at * step, _SAMPLE_WORDS, keep, twice, every, ignored)
        pays = useful / (_SAMPLES * _SAMPLE_WORDS * 64) * pairs + _COST_OF_SQUEEZING < pairs
        self._wait = 0 if pays else _PATIENCE
        return pays

    def take(self) -> Counts:
        sums = self._sums[: self._rows, : self._rows].copy()
        self._sums[...] = 0
        return sums


class _Cross:
    """A counter for pairs of one of the first `split` rows and one of the other rows, and for all cardinalities."""

    def __init__(self, count: int, split: int) -> None:
        self._rows, self._split, self._block = count, split, _block(count)
        self._sums = np.zeros((_up(split, TILE), _up(count - split, TILE)), np.int64)
        self._sizes = np.zeros(count, np.int64)
        self._zeros = np.zeros(_WINDOW_IN_MEMORY, np.uint64)

    def count(self, rows: Counts, words: int) -> None:
        left, right = (self._filled(side) for side in (rows[: self._split], rows[self._split : self._rows]))
        dense.add_cross(left, right, words, self._block, _PANEL, self._sums)
        dense.add_sizes(rows[: self._rows], words, self._sizes)

    def _filled(self, rows: Counts) -> Counts:
        missing = _up(len(rows), TILE) - len(rows)
        return np.concatenate([rows, np.full(missing, self._zeros.ctypes.data, np.int64)])

    def take(self) -> Counts:
        width = self._rows - self._split
        sums = np.zeros((self._split + 1, max(self._rows, width)), np.int64)
        sums[:-1, :width] = self._sums[: self._split, :width]
        sums[-1] = self._sizes
        self._sums[...] = 0
        self._sizes[...] = 0
        return sums


class _Window:
    """Provides the addresses of all rows in a window, and reads rows into a buffer; each thread has its own object."""

    def __init__(self, columns: Columns, words: int) -> None:
        self._columns = columns
        height, pitch = _up(columns.rows, TILE), _up(words, LANES) + LANES
        self._array = _in_place(columns)
        self._buffer = np.zeros((height, LANES + LANES if self._array is not None else pitch), np.uint64)
        self._buffered = _addresses(self._buffer)
        self._zeros = np.zeros(pitch, np.uint64)

    def blocks(self, part: Part) -> Iterator[tuple[Counts, int]]:
        """Yield (addresses of all rows, number of words) for one or two pieces of a part of the rows.

        Whole vectors of an array in memory are used in place; all other words are read into the buffer.
        """
        start = part.start
        if self._array is not None and part.mask is None:
            whole = (part.stop - start) // LANES * LANES
            if whole:
                yield self._addresses(self._array, start), whole
            start += whole
        if start < part.stop:
            yield self._buffered, self._read(start, part.stop, part.mask)

    def _addresses(self, array: Words, start: int) -> Counts:
        addresses = np.full(len(self._buffer), self._zeros.ctypes.data, np.int64)
        first = array.ctypes.data + start * _WORD_BYTES
        addresses[: len(array)] = first + np.arange(len(array), dtype=np.int64) * array.strides[0]
        return addresses

    def _read(self, start: int, stop: int, mask: np.uint64 | None) -> int:
        """Read the words from `start` to `stop` (exclusive) of all rows into the buffer, padded with zeros to vectors.

        `mask` contains the bits of a single word to keep; None keeps all bits. The padded number of words is returned.
        """
        words = stop - start
        padded = _up(words, LANES)
        block = self._buffer[: self._columns.rows]
        self._columns.read(start, stop, block[:, :words])
        if mask is not None:
            block[:, 0] &= mask
        block[:, words:padded] = 0
        return padded


def _run(
    counter: Callable[[], _Counter],
    columns: Columns,
    parts: Sequence[Part],
    out: Counts,
    work: int,
    threads: int | None,
    on_progress: Progress | None,
) -> None:
    """Count all parts in one or several threads, which take windows from one queue, and add the counts to `out`.

    Args:
        counter: Function that makes a counter; each thread has one counter.
        columns: The rows.
        parts: The parts of the rows to count.
        out: int64 [groups, …], added to; the other axes are those of the counts of a counter.
        work: Number of pairs that are counted, from which the number of threads follows.
        threads: Number of threads; None for a number that depends on the amount of work.
        on_progress: Called with (words done, words in total).

    If each thread had a fixed share of the windows instead, all threads would have to wait for a thread whose core is
    also used by other programs.
    """
    words = sum(part.stop - part.start for part in parts)
    if columns.rows == 0 or words == 0:
        return
    workers = _workers(threads, work * words)
    fitting = min(_WINDOW, _BUFFER_BYTES // (_WORD_BYTES * columns.rows) // LANES * LANES)
    largest = fitting if _in_place(columns) is None else _WINDOW_IN_MEMORY
    window = max(_LEAST_WINDOW, min(largest, _up(words // (4 * workers), _LEAST_WINDOW)))
    queue = _Queue(parts, window, words, on_progress)
    lock = threading.Lock()

    def count() -> None:
        counts_of_thread, windows, group = counter(), _Window(columns, window), -1
        for part in queue:
            if group not in (-1, part.group):
                with lock:
                    out[group] += counts_of_thread.take()
            group = part.group
            for rows, length in windows.blocks(part):
                counts_of_thread.count(rows, length)
            queue.done(part)
        if group >= 0:
            with lock:
                out[group] += counts_of_thread.take()

    if workers == 1:
        count()
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="xsns-kernels") as pool:
        running = [pool.submit(count) for _ in range(workers)]
        try:
            for finished in running:
                finished.result()
        finally:
            # After an error or Ctrl-C, no thread takes another window.
            queue.close()


class _Queue(Iterator[Part]):
    """A queue of the windows of the parts; exactly one thread gets each window."""

    def __init__(self, parts: Sequence[Part], window: int, total: int, on_progress: Progress | None) -> None:
        self._windows = _windows(parts, window)
        self._lock = threading.Lock()
        self._progress, self._done, self._total = on_progress, 0, total

    def __next__(self) -> Part:
        with self._lock:
            return next(self._windows)

    def done(self, part: Part) -> None:
        """Report that the window `part` was counted."""
        with self._lock:
            self._done += part.stop - part.start
            if self._progress is not None:
                self._progress(self._done, self._total)

    def close(self) -> None:
        """Empty the queue; no thread gets another window."""
        with self._lock:
            self._windows = iter(())


def _windows(parts: Sequence[Part], window: int) -> Iterator[Part]:
    for part in parts:
        for start in range(part.start, part.stop, window):
            yield Part(start, min(start + window, part.stop), part.group, part.mask)


def _in_place(columns: Columns) -> Words | None:
    """Return the array of rows if they are in memory with adjacent words and can be counted in place; else None."""
    array = columns.array if isinstance(columns, ArrayColumns) else None
    return array if array is not None and array.strides[1] == _WORD_BYTES else None


def _block(rows: int) -> int:
    """Return the number of words of each of `rows` rows in one step of counting, a multiple of eight."""
    fitting = _BLOCK_BYTES // (_WORD_BYTES * max(1, rows)) // LANES * LANES
    return min(_MOST_BLOCK, max(_LEAST_BLOCK, fitting))


def _addresses(rows: NDArray[Any]) -> Counts:
    """Return the address of each row: int64 [R]."""
    return rows.ctypes.data + np.arange(len(rows), dtype=np.int64) * rows.strides[0]


def _workers(threads: int | None, work: int) -> int:
    if threads is not None:
        return threads
    return max(1, min(available_cores(), work // _WORK_OF_A_THREAD))


def _up(number: int, multiple: int) -> int:
    """Return `number` rounded up to a multiple of `multiple`."""
    return -(-number // multiple) * multiple
