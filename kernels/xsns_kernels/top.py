"""Selection of the K largest of many floats as packed bits, in one pass over the values.

From a random sample, two bit patterns are chosen (the bracket) between which the K-th largest value is expected. One
pass packs the bits of all values above the bracket, collects the few values inside the bracket with their positions,
and counts both. If the counts prove that the K-th largest is among the collected values, it is selected from them, and
the bits of the collected values that reach it are set; the result is exact for any sample. If the counts do not prove
this, or if the bracket contains more values than expected (because many values are equal), a histogram finds the K-th
largest, and another pass packs the bits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsns_kernels import _checks, reference
from xsns_kernels._checks import Floats
from xsns_kernels._patterns import PATTERN, check_rank, number_of, pattern_of, refuse_invalid
from xsns_kernels.cores import available_cores
from xsns_kernels.dispatch import resolve
from xsns_kernels.selection import FloatArrays, kth_largest, threshold_bits

Words = NDArray[np.uint64]
Patterns = NDArray[Any]
#: Packed bits, their population count, and the smallest value whose bit is set.
TopBits = tuple[Words, int, float]

# For fewer values, a histogram is as fast as a sample and one pass.
LEAST_VALUES = 1 << 16
# Number of adjacent values in a line of the sample, and smallest and largest number of lines.
_LINE, _FEWEST_LINES, _MOST_LINES = 16, 256, 1 << 17
# One line is drawn from this number of values.
_VALUES_PER_LINE = 1 << 12
# Half the width of the bracket, in standard deviations of the rank in the sample. About one bracket in 100,000 does not
# contain the K-th largest value.
_DEVIATIONS = 4.5
# A thread collects at most `_ROOM` values, or n / `_SHARE_OF_ROOM` values if that is more. A value needs 12 bytes
# (float32) or 16 bytes (float64).
_ROOM, _SHARE_OF_ROOM = 1 << 20, 1 << 7
# A block of values stays in the second-level cache while it is compared with the brackets of several ranks.
_BLOCK_OCTETS = 1 << 20
# Smallest number of blocks for another thread.
_BLOCKS_OF_A_THREAD = 4
_SEED = 0


def top_bits(values: FloatArrays, k: int, impl: str = "auto", threads: int | None = None) -> TopBits:
    """Pack the selection of the K largest of non-negative, finite values into bits.

    bits[i] = (values[i] >= K-th largest) and (values[i] > 0)

    Args:
        values: One array or a sequence of arrays, all float32 or all float64, of any shape, C-contiguous, n values in
            total. The arrays follow one another at running offsets, which need not be multiples of 64. -0.0 is treated
            as 0.0.
        k: Rank, from 1 (the largest value) to n.
        impl: One of `implementations("top_bits")`, or ``"auto"``.
        threads: Largest number of threads that share the work. None means one for each core, if there is enough work.
            The result does not depend on it.

    Returns:
        The bits, uint64 [ceil(n / 64)] in little-endian bit order with pad bits zero; their population count, which is
        above K if several values equal the K-th largest, and below K if fewer than K values are positive; and the
        smallest value whose bit is set, or infinity if all values are zero.

    Raises:
        TypeError: A given array is not a NumPy array of float32 or float64, or the dtypes differ.
        ValueError: `k` is not in 1 to n; a value is negative, infinite or NaN; an array is strided.

    Bytes moved: all values once. If very many values equal the K-th largest, this pass fails, and `kth_largest` and
    `threshold_bits` read the values again. Complexity: linear in n. Runs without the GIL.
    Memory: 12 bytes (float32) or 16 bytes (float64) for each value near the K-th largest, about one value in 200 (at
    most 2²⁰, or n / 128 if that is more), and two copies of a sample of n / 256 values.

    >>> words, cardinality, threshold = top_bits([np.float32([3, 1]), np.float32([2, 3])], k=3)
    >>> words.tolist(), cardinality, threshold
    ([13], 3, 2.0)
    """
    return _top(values, (k,), resolve("top_bits", impl), threads)[0]


def top_bits_many(
    values: FloatArrays, ranks: Sequence[int], impl: str = "auto", threads: int | None = None
) -> list[TopBits]:
    """Return the results of `top_bits` for several ranks; the values are read from memory once for all ranks.

    [top_bits(values, k) for k in ranks]

    Args:
        values: See `top_bits`.
        ranks: Ranks, each from 1 (the largest value) to n, in any order. A larger rank selects all values that a
            smaller rank selects.
        impl: One of `implementations("top_bits_many")`, or ``"auto"``.
        threads: See `top_bits`.

    Raises:
        TypeError: See `top_bits`.
        ValueError: See `top_bits`.

    The memory for each rank is that of `top_bits`.

    >>> [words.tolist() for words, _, _ in top_bits_many(np.float64([1, 3, 2]), (1, 2))]
    [[2], [6]]
    """
    return _top(values, tuple(ranks), resolve("top_bits_many", impl), threads)


def _top(values: FloatArrays, ranks: Sequence[int], chosen: str, threads: int | None) -> list[TopBits]:
    _checks.threads(threads)
    arrays = _checks.float_arrays(values)
    size = sum(array.size for array in arrays)
    for rank in ranks:
        check_rank(rank, size)
    if chosen == "numpy":
        refuse_invalid(sum(int(np.count_nonzero(~((array >= 0) & (array < np.inf)))) for array in arrays), size)
        return [_by_sorting(arrays, rank) for rank in ranks]
    selected = _select(arrays, ranks, threads) if ranks else []
    return [_by_counting(arrays, rank) if each is None else each for rank, each in zip(ranks, selected, strict=True)]


def _by_sorting(arrays: Sequence[Floats], rank: int) -> TopBits:
    threshold = float(reference.kth_largest(arrays, rank))
    if threshold == 0:
        threshold = min(float(np.min(array, where=array > 0, initial=np.inf)) for array in arrays)
    return *reference.threshold_bits(arrays, threshold), threshold


def _by_counting(arrays: Sequence[Floats], rank: int) -> TopBits:
    """Return the selection of the K = `rank` largest values, by histograms of patterns; it does not need a bracket."""
    threshold = float(kth_largest(list(arrays), rank))  # type: ignore[arg-type]
    if threshold == 0:
        dtype = arrays[0].dtype
        threshold = _smallest([array.view(PATTERN[dtype]) for array in arrays], dtype)
    return *threshold_bits(list(arrays), threshold), threshold  # type: ignore[arg-type]


# ------------------------------------------------------------------------------- sample, bracket, one pass


@dataclass(frozen=True)
class _Bracket:
    """The patterns from `lowest` to `highest` (exclusive), among which the K-th largest is expected."""

    lowest: int
    highest: int


@dataclass(frozen=True)
class _Block:
    """Adjacent patterns; the first of them belongs to bit `start` of the words."""

    patterns: Patterns
    start: int


class _Collected:
    """The values within one bracket that one thread has collected, and the counts of this thread."""

    def __init__(self, dtype: np.dtype[Any], bracket: _Bracket, words: Words, room: int) -> None:
        self.bracket, self.words = bracket, words
        # The length is sufficient for all cases; the system provides only the pages that are written.
        self._patterns, self._positions = np.empty(room, PATTERN[dtype]), np.empty(room, np.int64)
        self._tally = np.zeros(3, np.int64)
        self._infinity = pattern_of(dtype, np.inf)
        self.complete = True

    def add(self, block: _Block) -> None:
        """Compare the values of a block with the bracket: set the bits of values above it, and collect values inside.

        Nothing is done if earlier blocks had more values in the bracket than there is room for.
        """
        from xsns_kernels._numba_bits import bracket_into

        if self.complete:
            self.complete = bracket_into(
                block.patterns,
                self.bracket.lowest,
                self.bracket.highest,
                self._infinity,
                block.start,
                self.words,
                self._patterns,
                self._positions,
                self._tally,
            )

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of set bits, number of collected values, and number of invalid values: int64 [3]."""
        return self._tally

    @property
    def patterns(self) -> Patterns:
        """The patterns of the collected values."""
        return self._patterns[: self._tally[1]]

    def settle(self, lowest: int) -> None:
        """For each collected pattern that is at least `lowest`, set the bit at its position."""
        from xsns_kernels._numba_bits import set_collected

        set_collected(self.patterns, self._positions[: self._tally[1]], lowest, self.words)


def _select(arrays: Sequence[Floats], ranks: Sequence[int], threads: int | None) -> list[TopBits | None]:
    """Return the result of `top_bits` for each rank; None for a rank whose K-th largest was not found in one pass.

    Args:
        arrays: Flat arrays of one float dtype.
        ranks: Ranks, each from 1 (the largest value) to n.
        threads: Largest number of threads; None means one for each core, if there is enough work.

    Raises:
        ValueError: A value is negative, infinite or NaN. This is noticed only if there was enough room for the values
            of at least one bracket.
    """
    size = sum(array.size for array in arrays)
    dtype = arrays[0].dtype
    patterns = [array.view(PATTERN[dtype]) for array in arrays]
    sample = _sample(patterns, size) if size >= LEAST_VALUES else None
    if sample is None:
        return [None] * len(ranks)
    brackets = [_bracket(sample, rank / size, dtype) for rank in ranks]
    del sample
    words = [np.zeros(-(-size // 64), np.uint64) for _ in ranks]
    collected = _run(patterns, dtype, brackets, words, threads)
    invalid = [sum(int(one.counts[2]) for one in each) for each in collected if all(one.complete for one in each)]
    refuse_invalid(max(invalid, default=0), size)
    return [_finish(patterns, dtype, rank, each) for rank, each in zip(ranks, collected, strict=True)]


def _smallest(patterns: Sequence[Patterns], dtype: np.dtype[Any]) -> float:
    """Return the smallest positive value, given the patterns of all values; infinity if no value is positive."""
    from xsns_kernels._numba_bits import least_positive

    infinity = pattern_of(dtype, np.inf)
    return float(number_of(dtype, min(int(least_positive(each, infinity)) for each in patterns)))


def _sample(patterns: Sequence[Patterns], size: int) -> Patterns | None:
    """Return a sample of the patterns without their signs, [lines, 16]; None if the arrays are too short for a sample.

    The values are divided into `lines` stretches of equal length, and 16 adjacent values (a line) are drawn from each.
    """
    lines = min(_MOST_LINES, max(_FEWEST_LINES, size // _VALUES_PER_LINE))
    positions = ((np.arange(lines) + np.random.default_rng(_SEED).random(lines)) * (size / lines)).astype(np.int64)
    starts = np.cumsum([0, *(array.size for array in patterns)])
    cuts = np.searchsorted(positions, starts)
    drawn = [
        array[: array.size // _LINE * _LINE].reshape(-1, _LINE)[
            np.minimum((positions[low:high] - start) // _LINE, array.size // _LINE - 1)
        ]
        for array, start, low, high in zip(patterns, starts, cuts, cuts[1:], strict=False)
        if low < high and array.size >= _LINE
    ]
    sample = np.concatenate(drawn) if drawn else np.zeros((0, _LINE), np.uint64)
    if 2 * len(sample) < lines:
        return None
    # The sign is removed, because -0.0 equals 0.0. Negative numbers are refused later.
    np.bitwise_and(sample, sample.dtype.type(np.iinfo(sample.dtype).max >> 1), out=sample)
    return sample


def _bracket(sample: Patterns, share: float, dtype: np.dtype[Any]) -> _Bracket:
    """Return a bracket that is expected to contain the K-th largest value, where `share` is K / n."""
    size = sample.size
    # Zeros are counted and left out, because a partition of many equal values takes ten times as long.
    zeros = size - int(np.count_nonzero(sample))
    ordered = sample[sample > 0] if zeros else sample.flatten()
    at = size - 1 - min(size - 1, int(share * size))
    _partition(ordered, [at - zeros])
    width = int(_DEVIATIONS * _variance(sample, _of_rank(ordered, at - zeros), share) ** 0.5) + 2
    low, high = at - width, at + width
    _partition(ordered, [low - zeros, high - zeros])
    # The bracket starts above zero, because zero is never selected.
    lowest = max(1, _of_rank(ordered, low - zeros)) if low >= 0 else 1
    largest = pattern_of(dtype, np.finfo(dtype).max)
    highest = _of_rank(ordered, high - zeros) if high < size else largest
    if highest == 0:
        # Fewer than K values are positive. The smallest positive value is needed, which is at most the smallest
        # positive value of the sample.
        highest = int(np.min(ordered, initial=largest))
    return _Bracket(min(lowest, largest - 1), min(max(highest, lowest + 1), largest))


def _partition(values: Patterns, ranks: Sequence[int]) -> None:
    """Move the values of some ranks, counted from 0 (the smallest), to their places; other ranks are left out."""
    if within := [rank for rank in ranks if 0 <= rank < values.size]:
        values.partition(within)


def _of_rank(values: Patterns, rank: int) -> int:
    """Return the value of a rank after `_partition`; zero for a negative rank."""
    return int(values[rank]) if rank >= 0 else 0


def _variance(sample: Patterns, kth: int, share: float) -> float:
    """Return the variance of the number of sampled values that are at least the K-th largest value.

    A line contains less information than independent draws, because its values are similar. Successive lines come from
    one tensor and are also similar; only their differences are random. If tensors differ much in
    scale, the variance is smaller than that of independent draws. It is never assumed to be below a quarter of it.
    """
    independent = sample.size * share * (1 - share)
    if kth == 0:
        return independent
    steps = np.diff((sample >= kth).sum(axis=1))
    return max(float(steps @ steps) / 2, independent / 4)


def _run(
    patterns: Sequence[Patterns],
    dtype: np.dtype[Any],
    brackets: Sequence[_Bracket],
    words: Sequence[Words],
    threads: int | None,
) -> list[list[_Collected]]:
    """Compare all values with all brackets; return, for each bracket, the values that each thread collected.

    The bits of values above a bracket are set in `words`.
    """
    size = sum(array.size for array in patterns)
    room = min(size // 8, max(_ROOM, size // _SHARE_OF_ROOM)) + 64
    edges, blocks = _cut(patterns)

    def work(blocks: Iterator[_Block], room: int) -> list[_Collected]:
        mine = [_Collected(dtype, each, out, room) for each, out in zip(brackets, words, strict=True)]
        for block in blocks:
            for one in mine:
                one.add(block)
        return mine

    workers = _workers(threads, len(blocks))
    # This thread writes the words that two arrays share, before the other threads start.
    done = [work(iter(edges), sum(edge.patterns.size for edge in edges) + 64)]
    queue = _Queue(blocks)
    if workers == 1:
        done.append(work(queue, room))
    else:
        with ThreadPoolExecutor(workers, thread_name_prefix="xsns-select") as pool:
            done += [each.result() for each in [pool.submit(work, queue, room) for _ in range(workers)]]
    return [list(each) for each in zip(*done, strict=True)]


def _finish(
    patterns: Sequence[Patterns], dtype: np.dtype[Any], rank: int, collected: Sequence[_Collected]
) -> TopBits | None:
    """Return the selection of the K largest values, K = `rank`; None if the K-th largest may not have been collected.

    The bits of the selected values that were collected are set; those of larger values are set already.
    """
    above, between, _ = (int(count) for count in np.sum([one.counts for one in collected], axis=0))
    bracket, words = collected[0].bracket, collected[0].words
    if above >= rank or not all(one.complete for one in collected):
        return None
    inside = np.concatenate([one.patterns for one in collected])
    if above + between >= rank:
        at = between - (rank - above)
        inside.partition(at)
        lowest = int(inside[at])
        threshold = float(number_of(dtype, lowest))
    elif bracket.lowest == 1:
        # Fewer than K values are positive, and all of them are selected.
        lowest = 1
        threshold = float(number_of(dtype, int(inside.min()))) if between else _smallest(patterns, dtype)
    else:
        return None
    for one in collected:
        one.settle(lowest)
    return words, above + int(np.count_nonzero(inside >= lowest)), threshold


def _cut(patterns: Sequence[Patterns]) -> tuple[list[_Block], list[_Block]]:
    """Split the patterns of all arrays into (edges, blocks): blocks whose bits fill whole words, and the rest.

    The bits of two edges may be in the same word.
    """
    edges, blocks, start = [], [], 0
    for array in patterns:
        block = _BLOCK_OCTETS // array.itemsize
        head = min(array.size, -start % 64)
        tail = head + (array.size - head) // 64 * 64
        edges += [_Block(array[low:high], start + low) for low, high in ((0, head), (tail, array.size)) if low < high]
        blocks += [_Block(array[at : min(at + block, tail)], start + at) for at in range(head, tail, block)]
        start += array.size
    return edges, blocks


class _Queue(Iterator[_Block]):
    """A queue of blocks; exactly one thread gets each block.

    If each thread had a fixed share of the blocks instead, all of them would have to wait for a thread whose core is
    also used by other programs.
    """

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self._blocks = iter(blocks)
        self._lock = threading.Lock()

    def __next__(self) -> _Block:
        with self._lock:
            return next(self._blocks)


def _workers(threads: int | None, blocks: int) -> int:
    if threads is not None:
        return max(1, min(threads, blocks))
    return max(1, min(available_cores(), blocks // _BLOCKS_OF_A_THREAD))
