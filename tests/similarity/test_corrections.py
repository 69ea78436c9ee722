"""Corrections of the Jaccard coefficient, compared with plain loops, and their properties."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.errors import UsageError
from xsns_stream.similarity import CORRECTIONS, jaccard, similarity
from xsns_stream.similarity.coefficients import coefficient_named
from xsns_stream.types import OverlapCounts, Reals, SampledOverlaps

#: Three languages: a and b are near to each other, and c is far from both.
THREE = np.array([[1.0, 0.6, 0.3], [0.6, 1.0, 0.2], [0.3, 0.2, 1.0]])
HALVES = np.array([0.5, 0.4, 0.2])


def mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan


def slowly(name: str, table: Reals, halves: Reals) -> Reals:
    """The definitions, once more, cell by cell."""
    size = len(table)
    everyone = range(size)
    others = [[float(table[i, o]) for o in everyone if o != i] for i in everyone]

    def reach(i: int) -> float:
        return mean(sorted((value for value in others[i] if not math.isnan(value)), reverse=True)[:10])

    def rank(s: int, t: int) -> float:
        rivals = [float(table[o, t]) for o in everyone if o not in (s, t)]
        return 1 + sum(v > table[s, t] for v in rivals) + sum(v == table[s, t] for v in rivals) / 2

    def cell(s: int, t: int) -> float:
        value = float(table[s, t])
        if name == "centred":
            return value - mean(others[s]) - mean(others[t]) + mean([v for row in others for v in row])
        if name == "csls":
            return 2 * value - reach(s) - reach(t)
        if name == "mutual-rank":
            if s == t or math.isnan(value):
                return 1.0 if s == t else math.nan
            return 1 - (math.sqrt(rank(s, t) * rank(t, s)) - 1) / (size - 1)
        return value / math.sqrt(halves[s] * halves[t])

    return np.array([[cell(s, t) for t in everyone] for s in everyone])


@st.composite
def tables(draw: st.DrawFn) -> Reals:
    """Symmetric tables of similarities with ties and undefined cells."""
    size = draw(st.integers(2, 14))
    cells = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.7, 1.0, math.nan])
    table = np.eye(size)
    for s in range(size):
        for t in range(s):
            table[s, t] = table[t, s] = draw(cells)
    return table


def halves_of(table: Reals) -> Reals:
    return 0.2 + 0.05 * np.arange(len(table))


@pytest.mark.parametrize("name", CORRECTIONS)
@given(table=tables())
def test_corrections_follow_their_definitions(name: str, table: Reals) -> None:
    found = CORRECTIONS[name](table, halves_of(table))
    assert found == pytest.approx(slowly(name, table, halves_of(table)), rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", CORRECTIONS)
@given(table=tables(), random=st.randoms(use_true_random=False))
def test_corrections_are_symmetric_and_do_not_depend_on_the_order(name: str, table: Reals, random: object) -> None:
    order = list(range(len(table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    formula, halves = CORRECTIONS[name], halves_of(table)
    found = formula(table, halves)
    assert np.array_equal(found, found.T, equal_nan=True)
    again = formula(table[np.ix_(order, order)], halves[order])
    assert np.array_equal(again, found[np.ix_(order, order)], equal_nan=True), "to the last bit, or ties would break"
    known = found[~np.eye(len(table), dtype=bool) & np.isfinite(found)]
    assert ((formula.lowest <= known) & (known <= formula.highest)).all()
    both = formula(np.stack([table, table]), np.stack([halves, halves]))
    assert np.array_equal(both[1], found, equal_nan=True), "several seeds at once"


def test_values_of_three_languages_equal_those_computed_by_hand() -> None:
    # Means of a, b and c with the others: 0.45, 0.4 and 0.25; all pairs: 1.1 / 3.
    assert CORRECTIONS["centred"](THREE)[0, 1] == pytest.approx(0.6 - 0.45 - 0.4 + 1.1 / 3)
    assert CORRECTIONS["csls"](THREE)[0, 2] == pytest.approx(0.6 - 0.45 - 0.25)
    ranks = CORRECTIONS["mutual-rank"](THREE)
    # a is the nearest of c, and c is the farthest of a: √(1 · 2). b and c are the farthest of each other.
    assert ranks[0, 1] == 1.0
    assert ranks[0, 2] == pytest.approx(1 - (math.sqrt(2) - 1) / 2)
    assert ranks[1, 2] == pytest.approx(0.5)
    corrected = CORRECTIONS["reliability"](THREE, HALVES)
    assert corrected[0, 1] == pytest.approx(0.6 / math.sqrt(0.2)), "which is larger than 1"


@pytest.mark.parametrize(("name", "value"), [("centred", 0.0), ("csls", 0.0), ("mutual-rank", 1.0)])
def test_corrections_of_two_languages_are_constant(name: str, value: float) -> None:
    assert CORRECTIONS[name](np.array([[1.0, 0.3], [0.3, 1.0]]))[0, 1] == value


def test_csls_uses_ten_neighbours() -> None:
    table = np.full((13, 13), 0.1)
    table[0, 1:11] = table[1:11, 0] = 0.5
    # The 10 nearest of language 0 have 0.5; language 12 has 0.1 with all others.
    assert CORRECTIONS["csls"](table)[0, 12] == pytest.approx(2 * 0.1 - 0.5 - 0.1)


def test_reliability_is_undefined_without_a_split_half() -> None:
    found = CORRECTIONS["reliability"](THREE, np.array([0.5, math.nan, 0.0]))
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2]).all()
    assert found[0, 0] == 2.0
    assert np.isnan(CORRECTIONS["reliability"](THREE)).all()


def test_a_hub_is_no_longer_the_nearest() -> None:
    """The hub h is most similar to t, but to all others too; s is almost as similar to t, and to nobody else."""
    table = np.full((6, 6), 0.1)
    table[0, 1:] = table[1:, 0] = 0.5
    table[1, 2] = table[2, 1] = 0.45
    assert table[2, 0] > table[2, 1]
    for name in ("centred", "csls"):
        corrected = CORRECTIONS[name](table)
        assert corrected[2, 1] > corrected[2, 0], name


# ----------------------------------------------------------------------------------------- from counts


def counts(seed: int, languages: str = "abcd") -> OverlapCounts:
    rows = (np.random.default_rng(seed).random((4, 300)) < 0.3).astype(np.int64)[: len(languages)]
    return OverlapCounts(tuple(languages), rows @ rows.T, 300, seed)


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_correction_is_computed_for_each_seed(name: str) -> None:
    tables, halves = [counts(1), counts(2)], np.array([[*HALVES.tolist(), 0.3], [0.6, 0.5, 0.4, 0.3]])
    found = similarity(tables, name, halves)
    each = [slowly(name, jaccard(table).values, half) for table, half in zip(tables, halves, strict=True)]
    assert found.values == pytest.approx(np.mean(each, axis=0))
    assert found.per_seed == pytest.approx(np.stack(each))
    assert (found.coefficient, found.chance, found.seeds, found.counts) == (name, None, (1, 2), tuple(tables))
    assert found.pool is not None
    assert found.pool.languages == tuple("abcd")
    assert np.array_equal(found.pool.per_seed, jaccard(tables).per_seed)
    assert (found.pool.split_half is None) == (name != "reliability")
    assert found.to_dict()[name] == found.values.tolist()
    part = found.between("ca", "b")
    assert part.values.tolist() == found.values[[2, 0]][:, [1]].tolist(), "the pool stays that of all languages"
    assert part.counts[0].intersection.shape == (2, 1)
    assert part.per_seed is not None
    assert part.per_seed.shape == (2, 2, 1)


def test_rectangles_samples_and_single_pairs_are_refused() -> None:
    with pytest.raises(UsageError, match="'csls' needs the similarities of all languages to each other"):
        similarity(counts(1).between("ab", "cd"), "csls")
    ones = np.ones((2, 2))
    sampled = SampledOverlaps(("a", "b"), ("a", "b"), ones, ones[0], ones[0], np.zeros((3, 3, 2, 2)), 9, 0.5)
    with pytest.raises(UsageError, match="'centred' cannot be computed from a sample"):
        similarity(sampled, "centred")
    with pytest.raises(UsageError, match="'mutual-rank' cannot be computed from the counts of one pair"):
        coefficient_named("mutual-rank")


@pytest.mark.parametrize("name", CORRECTIONS)
def test_trees_and_clusters_accept_all_values(name: str) -> None:
    """Values may be negative or larger than 1; the clusters are those of the distances max − value."""
    found = similarity([counts(1), counts(2)], name, np.full((2, 4), 0.1))
    pairs = ~np.eye(4, dtype=bool)
    assert (found.tree().linkage[:, 2] >= 0).all()
    moved = replace(found, values=1 - (found.values[pairs].max() - found.values))
    assert list(map(set, moved.clusters(2))) == list(map(set, found.clusters(2)))
