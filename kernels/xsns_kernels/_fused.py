"""The top K of many floats in one pass: a sample says where the K-th lies, the pass proves it.

A random sample brackets the K-th largest between two patterns. One pass packs the bits of all values above the
bracket, collects the few inside of it with their places, and counts both. If the counts say that the K-th is among
the collected, it is selected there, and the bits of those that reach it are set: the result is exact, whatever the
sample was. If not, or if more values lie in the bracket than were expected (many are equal), nothing is tried
twice: a histogram finds the K-th, and a further pass packs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xsns_kernels._checks import Floats
from xsns_kernels._numba_bits import bracket_into, least_positive, set_found
from xsns_kernels._patterns import PATTERN, number_of, pattern_of, refuse_invalid

Words = NDArray[np.uint64]
Patterns = NDArray[Any]
Found = tuple[Words, int, float]

# Below this many values a histogram is as fast.
LEAST_VALUES = 1 << 16
# Values read together at random places; the fewest and most of such lines, and how many values there are to one.
_LINE, _FEWEST_LINES, _MOST_LINES, _VALUES_PER_LINE = 16, 256, 1 << 17, 1 << 12
# Half of the bracket's width in standard deviations of the sample's rank: one bracket in 100,000 misses.
_DEVIATIONS = 4.5
# Values that may be collected: 12 or 16 octets each.
_ROOM, _SHARE_OF_ROOM = 1 << 20, 1 << 7
# A block of values stays in the second-level cache while the brackets of several ranks are looked at.
_BLOCK_OCTETS = 1 << 20
# Fewer blocks than these are not worth another thread.
_BLOCKS_OF_A_THREAD = 4
_SEED = 0


@dataclass(frozen=True)
class _Bracket:
    """Patterns from `lowest` up to, and without, `highest`, a number's: where the K-th largest should be."""

    lowest: int
    highest: int


@dataclass(frozen=True)
class _Stretch:
    """Patterns whose first is bit `start` of the words."""

    patterns: Patterns
    start: int


class _Collected:
    """What one thread found for one bracket."""

    def __init__(self, dtype: np.dtype[Any], bracket: _Bracket, words: Words, room: int) -> None:
        self.bracket, self.words = bracket, words
        # As long as may be needed: memory that is not written to is not taken.
        self._found, self._places = np.empty(room, PATTERN[dtype]), np.empty(room, np.int64)
        self._tally = np.zeros(3, np.int64)
        self._infinity = pattern_of(dtype, np.inf)
        self.complete = True

    def add(self, stretch: _Stretch) -> None:
        """Look at some more patterns, unless there was no room before."""
        if self.complete:
            self.complete = bracket_into(
                stretch.patterns,
                self.bracket.lowest,
                self.bracket.highest,
                self._infinity,
                stretch.start,
                self.words,
                self._found,
                self._places,
                self._tally,
            )

    @property
    def counts(self) -> NDArray[np.int64]:
        """Bits set, values collected, values that are not valid."""
        return self._tally

    @property
    def found(self) -> Patterns:
        """The collected patterns."""
        return self._found[: self._tally[1]]

    def settle(self, lowest: int) -> None:
        """Set the bits of those collected that are at least `lowest`."""
        set_found(self.found, self._places[: self._tally[1]], lowest, self.words)


def select(pieces: Sequence[Floats], ranks: Sequence[int], threads: int | None) -> list[Found | None]:
    """Return words, cardinality and threshold of the largest K values, for each K; None where a bracket failed.

    Args:
        pieces: flat arrays of one float dtype.
        ranks: each K, 1 to n.
        threads: at most so many; None takes the cores there are, where the work is worth it.

    Raises:
        ValueError: a value is negative, infinite or NaN, and at least one bracket had room for all in it.
    """
    size = sum(piece.size for piece in pieces)
    dtype = pieces[0].dtype
    patterns = [piece.view(PATTERN[dtype]) for piece in pieces]
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


def smallest_positive(pieces: Sequence[Floats]) -> float:
    """Return the smallest positive value of valid ones; infinity where there is none."""
    dtype = pieces[0].dtype
    return _smallest([piece.view(PATTERN[dtype]) for piece in pieces], dtype)


def _smallest(patterns: Sequence[Patterns], dtype: np.dtype[Any]) -> float:
    infinity = pattern_of(dtype, np.inf)
    return float(number_of(dtype, min(int(least_positive(each, infinity)) for each in patterns)))


def _sample(patterns: Sequence[Patterns], size: int) -> Patterns | None:
    """Return magnitudes at random places, [lines, 16], one line from each stretch of equal length; None: too few."""
    lines = min(_MOST_LINES, max(_FEWEST_LINES, size // _VALUES_PER_LINE))
    places = ((np.arange(lines) + np.random.default_rng(_SEED).random(lines)) * (size / lines)).astype(np.int64)
    starts = np.cumsum([0, *(piece.size for piece in patterns)])
    cuts = np.searchsorted(places, starts)
    drawn = [
        piece[: piece.size // _LINE * _LINE].reshape(-1, _LINE)[
            np.minimum((places[low:high] - start) // _LINE, piece.size // _LINE - 1)
        ]
        for piece, start, low, high in zip(patterns, starts, cuts, cuts[1:], strict=False)
        if low < high and piece.size >= _LINE
    ]
    sample = np.concatenate(drawn) if drawn else np.zeros((0, _LINE), np.uint64)
    if 2 * len(sample) < lines:
        return None
    # Without the sign: -0.0 is 0.0. Numbers that are negative are refused later.
    return sample & sample.dtype.type(np.iinfo(sample.dtype).max >> 1)


def _bracket(sample: Patterns, share: float, dtype: np.dtype[Any]) -> _Bracket:
    """Return a bracket that should hold the value which this share of all values reaches."""
    size = sample.size
    at = size - 1 - min(size - 1, int(share * size))
    ordered = sample.flatten()
    ordered.partition(at)
    # A line's values are alike, so that it says less than they would if they were drawn one by one; and lines that
    # follow one another are alike, as they come from one tensor: how they differ is what chance adds.
    steps = np.diff((sample >= ordered[at]).sum(axis=1))
    spread = max(float(steps @ steps) / 2, size * share * (1 - share)) ** 0.5
    width = int(_DEVIATIONS * spread) + 2
    low, high = at - width, at + width
    ordered.partition((max(low, 0), min(high, size - 1)))
    # Zero is never kept, and so is never looked for.
    lowest = max(1, int(ordered[low])) if low >= 0 else 1
    largest = pattern_of(dtype, np.finfo(dtype).max)
    highest = int(ordered[high]) if high < size else largest
    if highest == 0:
        # Fewer than K are positive: asked for is the smallest of them, hardly ever above the smallest that was drawn.
        highest = int(np.min(ordered, where=ordered > 0, initial=largest))
    return _Bracket(min(lowest, largest - 1), min(max(highest, lowest + 1), largest))


def _run(
    patterns: Sequence[Patterns],
    dtype: np.dtype[Any],
    brackets: Sequence[_Bracket],
    words: Sequence[Words],
    threads: int | None,
) -> list[list[_Collected]]:
    """Return, for each bracket, what each thread has collected; the words are written to."""
    size = sum(piece.size for piece in patterns)
    room = min(size // 8, max(_ROOM, size // _SHARE_OF_ROOM)) + 64
    edges, blocks = _cut(patterns)

    def work(stretches: Iterator[_Stretch], room: int) -> list[_Collected]:
        mine = [_Collected(dtype, each, out, room) for each, out in zip(brackets, words, strict=True)]
        for stretch in stretches:
            for one in mine:
                one.add(stretch)
        return mine

    workers = _workers(threads, len(blocks))
    # Words that pieces share are written by this thread alone, before the others start.
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
) -> Found | None:
    """Select the K-th among the collected, and set their bits; None where it is not proven to be there."""
    above, between, _ = (int(count) for count in np.sum([one.counts for one in collected], axis=0))
    bracket, words = collected[0].bracket, collected[0].words
    if above >= rank or not all(one.complete for one in collected):
        return None
    found = np.concatenate([one.found for one in collected])
    if above + between >= rank:
        at = between - (rank - above)
        found.partition(at)
        lowest = int(found[at])
        threshold = float(number_of(dtype, lowest))
    elif bracket.lowest == 1:
        # Fewer than K values are positive: all of them are kept.
        lowest = 1
        threshold = float(number_of(dtype, int(found.min()))) if between else _smallest(patterns, dtype)
    else:
        return None
    for one in collected:
        one.settle(lowest)
    return words, above + int(np.count_nonzero(found >= lowest)), threshold


def _cut(patterns: Sequence[Patterns]) -> tuple[list[_Stretch], list[_Stretch]]:
    """Cut pieces into edges, which share words with one another, and blocks of whole words."""
    edges, blocks, start = [], [], 0
    for piece in patterns:
        block = _BLOCK_OCTETS // piece.itemsize
        head = min(piece.size, -start % 64)
        tail = head + (piece.size - head) // 64 * 64
        edges += [_Stretch(piece[low:high], start + low) for low, high in ((0, head), (tail, piece.size)) if low < high]
        blocks += [_Stretch(piece[at : min(at + block, tail)], start + at) for at in range(head, tail, block)]
        start += piece.size
    return edges, blocks


class _Queue(Iterator[_Stretch]):
    """Blocks, each handed to exactly one thread: a static split would wait for a core that is shared."""

    def __init__(self, blocks: Sequence[_Stretch]) -> None:
        self._blocks = iter(blocks)
        self._lock = threading.Lock()

    def __next__(self) -> _Stretch:
        with self._lock:
            return next(self._blocks)


def _workers(threads: int | None, blocks: int) -> int:
    if threads is not None:
        return max(1, min(threads, blocks))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, blocks // _BLOCKS_OF_A_THREAD))
