"""How repeatable sub-networks are: between seeds, between numbers of examples, and beside other languages."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SubNetwork


@dataclass(frozen=True)
class Agreement:
    """What is known of one store's rows, means over languages.

    Attributes:
        examples: Examples of a row; fewer than asked for where a language has no more.
        short: Languages that have fewer than asked for.
        languages: How many there are.
        seeds: Jaccard coefficient between two seeds' rows of one language: other examples, as far as there are any,
            and other masking; NaN for one seed.
        largest: Between the rows of one language and seed here and in another store, of the largest number of
            examples; NaN where there are none, and for that store itself. The larger draw holds the smaller one.
        others: Between rows of two different languages of one seed; NaN for one language.
    """

    examples: float
    short: int
    languages: int
    seeds: float
    largest: float
    others: float


def agreement(path: Path, languages: Sequence[str], seeds: Sequence[int], density: float, largest: Path) -> Agreement:
    """Compare the rows of a store with one another and with those of the largest number of examples.

    Args:
        path: The store.
        languages: Codes; those without a row of every seed are left out.
        seeds: Of the rows.
        density: Of the rows.
        largest: The other store; may be the same.

    Raises:
        StoreError: A row is damaged.
    """
    from xsns_stream.similarity import count_overlaps, similarity
    from xsns_stream.store import open_store

    store, other = open_store(path), open_store(largest)
    there = [code for code in languages if all(store.is_committed(code, seed, density) for seed in seeds)]
    drawn = {code: store.record(code, seeds[0], density).provenance for code in there}
    between_seeds, to_largest = [], []
    for code in there:
        rows = [store.read(code, seed, density) for seed in seeds]
        between_seeds += [jaccard(one, two) for one, two in combinations(rows, 2)]
        to_largest += list(_with_those_of(other, rows)) if path != largest else []
    others = []
    if len(there) > 1:
        tables = [count_overlaps(store, languages=there, seed=seed, density=density) for seed in seeds]
        others = [similarity(table).mean_of_pairs for table in tables]
    return Agreement(
        _mean([float(one.examples) for one in drawn.values()]),
        sum(one.examples < one.examples_asked for one in drawn.values()),
        len(there),
        _mean(between_seeds),
        _mean(to_largest),
        _mean(others),
    )


def jaccard(one: SubNetwork, two: SubNetwork) -> float:
    """Return |A ∩ B| / |A ∪ B|; NaN for two empty sub-networks."""
    shared = one.overlap(two)
    union = one.cardinality + two.cardinality - shared
    return shared / union if union else math.nan


def _with_those_of(other: SubNetworkStore, rows: Sequence[SubNetwork]) -> Iterator[float]:
    for row in rows:
        if other.is_committed(row.language, row.seed, row.density):
            yield jaccard(row, other.read(row.language, row.seed, row.density))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.fmean(known) if known else math.nan
