"""Sets of sources: how much of a target's sub-network their sub-networks cover.

The greedy choice takes, again and again, the source that adds most. What is covered is a monotone submodular function
of the set of sources, so that the greedy set covers at least 1 − 1/e of what the best set of as many covers (Nemhauser,
Wolsey and Fisher 1978). The mean over seeds is submodular too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.similarity.selection import Progress, RowSource, require
from xsns_stream.similarity.streaming import Joined, check_cardinalities, cross_intersections
from xsns_stream.types import Reals, Words, words_for
from xsns_stream.types.source_ranking import CoveringSource, SourceCover

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns


#: Words of a row that are read at a time where a row is taken off.
_STEP: Final = 1 << 17


def greedy_cover(
    store: RowSource,
    target: str,
    candidates: Sequence[str],
    count: int,
    seeds: Sequence[int],
    density: float,
    on_progress: Progress | None = None,
) -> SourceCover:
    """Choose sources that together cover most of a target's sub-network, one after the other.

    Every choice reads all candidates once. One row a seed is held in memory: what of the target is not covered yet.

    Args:
        store: Where the rows are.
        target: A code.
        candidates: Codes; the target is none.
        count: How many to choose; all where there are fewer.
        seeds: What is covered is averaged over them.
        density: Of all rows.
        on_progress: Called with (choices made, choices in all).

    Returns:
        The sources in the order in which they were chosen. Of several that add as much, that which covers most by
        itself comes first, and then the one whose code does.

    Raises:
        LanguageError: A language has no row.
        StoreError: A row has no longer as many bits as when it was written, or cannot be read.
        UsageError: `count` below 1, or no candidate.
    """
    names = _checked(store, target, candidates, seeds, density)
    if count < 1:
        raise UsageError(f"the number of sources to choose must be at least 1, not {count}.")
    total, rest = min(count, len(names)), list(range(len(names)))
    left = _Left(store, target, seeds, density)
    found: list[CoveringSource] = []
    with left.opened(names) as columns:
        alone = gains = left.shares(names, columns)
        while True:
            best = min(rest, key=lambda i: (-gains[i], -alone[i], names[i]))
            found.append(_next(names[best], float(alone[best]), float(gains[best]), found))
            rest.remove(best)
            if on_progress is not None:
                on_progress(len(found), total)
            if len(found) == total:
                return SourceCover(target, "coverage", tuple(found))
            left.take_off(names[best])
            gains = left.shares(names, columns)


def cover_by(
    store: RowSource, target: str, sources: Sequence[str], seeds: Sequence[int], density: float
) -> SourceCover:
    """Return what sources cover in the order given, as the most similar first; otherwise as :func:`greedy_cover`."""
    names = _checked(store, target, sources, seeds, density)
    whole, left = (_Left(store, target, seeds, density) for _ in range(2))
    found: list[CoveringSource] = []
    for name in names:
        with left.opened([name]) as columns:
            found.append(
                _next(name, float(whole.shares([name], columns)[0]), float(left.shares([name], columns)[0]), found)
            )
        left.take_off(name)
    return SourceCover(target, "top", tuple(found))


def _next(language: str, alone: float, gain: float, before: Sequence[CoveringSource]) -> CoveringSource:
    return CoveringSource(language, alone, gain, gain + (before[-1].covered if before else 0.0))


def _checked(
    store: RowSource, target: str, candidates: Sequence[str], seeds: Sequence[int], density: float
) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(code for code in candidates if code != target))
    if not names or not seeds:
        raise UsageError(f"there is no candidate source for '{target}'.", "name other sources, or leave them out.")
    for seed in seeds:
        require((target, *names), store.languages_at(seed, density), f"seed {seed} and density {density!r}")
    return names


class _Left:
    """What of a target's sub-network is not covered yet, a row for each seed."""

    def __init__(self, store: RowSource, target: str, seeds: Sequence[int], density: float) -> None:
        self._store, self._seeds, self._density = store, seeds, density
        self._rows = [self._read(target, seed) for seed in seeds]
        self._sizes = [int(np.bitwise_count(row).sum()) for row in self._rows]
        for seed, size in zip(seeds, self._sizes, strict=True):
            check_cardinalities(store, [target], np.array([size]), seed, density)

    def _read(self, target: str, seed: int) -> Words:
        row = np.empty((1, words_for(self._store.layout.size)), np.uint64)
        with self._store.columns([target], seed, self._density) as columns:
            columns.read(0, row.shape[1], row)
        return row

    @contextmanager
    def opened(self, names: Sequence[str]) -> Iterator[list[Columns]]:
        """Open the rows of sources, for each seed."""
        with ExitStack() as undo:
            yield [undo.enter_context(self._store.columns(names, seed, self._density)) for seed in self._seeds]

    def shares(self, names: Sequence[str], columns: Sequence[Columns]) -> Reals:
        """float64 [S]: the share of the target that each of the opened sources would add to what is covered."""
        from xsns_kernels.columns import ArrayColumns

        shares = []
        for seed, row, size, rows in zip(self._seeds, self._rows, self._sizes, columns, strict=True):
            counts, sizes = cross_intersections(Joined([ArrayColumns(row), rows]), 1, None, 1)
            check_cardinalities(self._store, names, sizes[0, 1:], seed, self._density)
            shares.append(counts[0, 0] / max(size, 1))
        mean: Reals = np.mean(shares, axis=0)
        return mean

    def take_off(self, source: str) -> None:
        """Take what a source covers off what is left."""
        for row, seed in zip(self._rows, self._seeds, strict=True):
            with self._store.columns([source], seed, self._density) as columns:
                for start in range(0, columns.words, _STEP):
                    block = np.empty((1, min(_STEP, columns.words - start)), np.uint64)
                    columns.read(start, start + block.shape[1], block)
                    row[:, start : start + block.shape[1]] &= ~block
