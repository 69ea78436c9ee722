"""Coverage of a target's sub-network by the sub-networks of a set of sources.

The greedy algorithm repeatedly chooses the source with the largest gain of coverage. Coverage is a monotone submodular
function of the set of sources. The coverage of the greedy set is therefore at least 1 − 1/e of the coverage of the best
set of the same size (Nemhauser, Wolsey and Fisher 1978). The mean of the coverage over seeds is submodular too.
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


#: Number of 64-bit words of a row that are read in one step when the parameters of a source are removed from the
#: uncovered part of the target.
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
    """Choose sources one by one that together cover most of a target's sub-network.

    Each choice reads the rows of all candidates once. Only one row for each seed is kept in memory: the part of the
    target's sub-network that is not covered yet.

    Args:
        store: The store that contains the rows.
        target: Code of the target.
        candidates: Codes of the candidate sources; the target is ignored if it is among them.
        count: Number of sources to choose; all candidates if there are fewer.
        seeds: Seeds over which the coverage is averaged.
        density: Density of all rows.
        on_progress: Called with (number of sources chosen, number of sources to choose).

    Returns:
        The sources in the order in which they were chosen. Among sources with equal gains, the source that covers more
        on its own is chosen; if this is equal too, the first source in the order of the codes.

    Raises:
        LanguageError: A language has no row.
        StoreError: The number of bits of a row differs from its record, or a row cannot be read.
        UsageError: `count` is below 1, or there is no candidate or no seed.
    """
    names = _checked(store, target, candidates, seeds, density)
    if count < 1:
        raise UsageError(f"the number of sources to choose must be at least 1, not {count}.")
    total, remaining = min(count, len(names)), list(range(len(names)))
    uncovered = _Uncovered(store, target, seeds, density)
    chosen: list[CoveringSource] = []
    with uncovered.opened(names) as columns:
        alone = gains = uncovered.gains(names, columns)
        while True:
            best = min(remaining, key=lambda i: (-gains[i], -alone[i], names[i]))
            chosen.append(_covering_source(names[best], float(alone[best]), float(gains[best]), chosen))
            remaining.remove(best)
            if on_progress is not None:
                on_progress(len(chosen), total)
            if len(chosen) == total:
                return SourceCover(target, "coverage", tuple(chosen))
            uncovered.remove(names[best])
            gains = uncovered.gains(names, columns)


def cover_by(
    store: RowSource, target: str, sources: Sequence[str], seeds: Sequence[int], density: float
) -> SourceCover:
    """Return the coverage of a target by sources that are added in the given order; see :func:`greedy_cover`.

    The order may be, for example, that of a ranking by similarity.
    """
    names = _checked(store, target, sources, seeds, density)
    whole, uncovered = (_Uncovered(store, target, seeds, density) for _ in range(2))
    cover: list[CoveringSource] = []
    for name in names:
        with uncovered.opened([name]) as columns:
            alone, gain = (float(rows.gains([name], columns)[0]) for rows in (whole, uncovered))
        cover.append(_covering_source(name, alone, gain, cover))
        uncovered.remove(name)
    return SourceCover(target, "top", tuple(cover))


def _covering_source(language: str, alone: float, gain: float, before: Sequence[CoveringSource]) -> CoveringSource:
    return CoveringSource(language, alone, gain, gain + (before[-1].covered if before else 0.0))


def _checked(
    store: RowSource, target: str, candidates: Sequence[str], seeds: Sequence[int], density: float
) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(code for code in candidates if code != target))
    if not names:
        raise UsageError(f"there is no candidate source for '{target}'.", "give a source that is not the target.")
    if not seeds:
        raise UsageError("there is no seed for which sub-networks can be compared.", "give at least one seed.")
    for seed in seeds:
        require((target, *names), store.languages_at(seed, density), f"seed {seed} and density {density!r}")
    return names


class _Uncovered:
    """The part of a target's sub-network that is not covered yet, as one row of bits for each seed."""

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
        """Open the rows of sources while the block runs; yield one reader for each seed."""
        with ExitStack() as stack:
            yield [stack.enter_context(self._store.columns(names, seed, self._density)) for seed in self._seeds]

    def gains(self, names: Sequence[str], columns: Sequence[Columns]) -> Reals:
        """Return the share of the target's sub-network that each source would add to the coverage, float64 [S].

        `names` are the sources, and `columns` are their readers from :meth:`opened`.
        """
        from xsns_kernels.columns import ArrayColumns

        shares = []
        for seed, row, size, rows in zip(self._seeds, self._rows, self._sizes, columns, strict=True):
            counts, sizes = cross_intersections(Joined([ArrayColumns(row), rows]), 1, None, 1)
            check_cardinalities(self._store, names, sizes[0, 1:], seed, self._density)
            shares.append(counts[0, 0] / max(size, 1))
        mean: Reals = np.mean(shares, axis=0)
        return mean

    def remove(self, source: str) -> None:
        """Remove the parameters that a source covers from the uncovered part."""
        for row, seed in zip(self._rows, self._seeds, strict=True):
            with self._store.columns([source], seed, self._density) as columns:
                for start in range(0, columns.words, _STEP):
                    block = np.empty((1, min(_STEP, columns.words - start)), np.uint64)
                    columns.read(start, start + block.shape[1], block)
                    row[:, start : start + block.shape[1]] &= ~block
