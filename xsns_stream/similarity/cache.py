"""Cached counts → the counts that are asked for, reading only rows that are new or have changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xsns_stream.similarity.selection import OverlapCache, Pairs, Progress, RowSource
from xsns_stream.similarity.streaming import count_rectangle, count_square
from xsns_stream.types import CachedOverlaps, Counts, OverlapCounts, OverlapRectangle, words_for


def counted_square(
    store: RowSource,
    languages: tuple[str, ...],
    seed: int,
    density: float,
    cache: OverlapCache,
    on_progress: Progress | None,
    device: str = "cpu",
) -> OverlapCounts:
    """Return the counts of all pairs, and keep them.

    A language that is not among those kept, or whose row is another one by now, is counted with all others; where
    that is most of them, everything is counted anew. A comparison of few languages does not take the place of a
    larger one.

    Raises:
        StoreError: A row has no longer as many bits as when it was written, or cannot be read.
    """
    kept = cache.load(seed, density)
    digests = cache.digests(languages, seed, density)
    sound = _sound(kept, languages, digests)
    new = [code for code in languages if code not in sound]
    if kept is not None and not new:
        _done(store, on_progress)
        return kept.counts.among(languages)
    if kept is None or 2 * len(new) > len(languages):
        intersection = count_square(store, languages, seed, density, None, on_progress, device)[0]
    else:
        intersection = _extended(store, kept.counts, languages, new, seed, density, on_progress, device)
    counts = OverlapCounts(languages, intersection, store.layout.size, seed, density)
    if kept is None or len(languages) >= len(set(kept.languages) & set(store.languages_at(seed, density))):
        cache.save(CachedOverlaps(counts, digests))
    return counts


def kept_rectangle(
    store: RowSource, pairs: Pairs, seed: int, density: float, cache: OverlapCache, on_progress: Progress | None
) -> OverlapRectangle | None:
    """Return the counts of sources with targets where all of them were kept, and no row has changed; None otherwise."""
    kept = cache.load(seed, density)
    # Where a language was never kept, the digests of the others need not be asked for.
    if kept is None or not set(pairs.every) <= set(kept.languages):
        return None
    digests = cache.digests(pairs.every, seed, density)
    if _sound(kept, pairs.every, digests) != set(pairs.every):
        return None
    _done(store, on_progress)
    return kept.counts.between(pairs.sources, pairs.targets or ())


def _sound(kept: CachedOverlaps | None, languages: Sequence[str], digests: Sequence[str]) -> set[str]:
    """Return which of the languages were kept with the rows that they have now."""
    before = {} if kept is None else dict(zip(kept.languages, kept.digests, strict=True))
    return {code for code, digest in zip(languages, digests, strict=True) if before.get(code) == digest}


def _extended(
    store: RowSource,
    kept: OverlapCounts,
    languages: tuple[str, ...],
    new: Sequence[str],
    seed: int,
    density: float,
    on_progress: Progress | None,
    device: str,
) -> Counts:
    """Count the new languages with all, and take the pairs of the others from what was kept."""
    counted, _, _ = count_rectangle(store, Pairs(tuple(new), languages), seed, density, None, on_progress, device)
    place = {code: i for i, code in enumerate(languages)}
    rows, others = [place[code] for code in new], [place[code] for code in languages if code not in set(new)]
    out = np.empty((len(languages), len(languages)), np.int64)
    out[np.ix_(others, others)] = kept.among([languages[i] for i in others]).intersection
    out[rows] = counted[0]
    out[:, rows] = counted[0].T
    return out


def _done(store: RowSource, on_progress: Progress | None) -> None:
    if on_progress is not None:
        words = words_for(store.layout.size)
        on_progress(words, words)
