"""Coverage by sets of sources, compared with Python sets and with the best of all combinations."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rows import DENSITY, SIZE, Rows, random_rows
from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.ranking import cover_by, greedy_cover


def as_sets(store: Any, seed: int = 1) -> dict[str, set[int]]:
    return {code: set(np.flatnonzero(bits).tolist()) for (code, own), bits in store.bits.items() if own == seed}


def greedily(sets: dict[str, set[int]], target: str, count: int) -> list[tuple[str, int]]:
    """Return the greedy choice, computed with Python sets: each code and the number of bits that it adds."""
    uncovered = set(sets[target])
    picks: list[tuple[str, int]] = []
    rest = [code for code in sets if code != target]
    while rest and len(picks) < count:
        best = min(rest, key=lambda code: (-len(uncovered & sets[code]), -len(sets[target] & sets[code]), code))
        picks.append((best, len(uncovered & sets[best])))
        uncovered -= sets[best]
        rest.remove(best)
    return picks


@settings(max_examples=30)
@given(salt=st.integers(0, 10_000), share=st.floats(0.02, 0.6), count=st.integers(1, 6))
def test_greedy_choice_equals_sets_and_is_near_the_optimum(salt: int, share: float, count: int) -> None:
    draw = np.random.default_rng(salt)
    store = Rows({(code, 1): draw.random(SIZE) < share for code in "tabcdef"})
    sets = as_sets(store)
    cover = greedy_cover(store, "t", list("fbadec"), count, (1,), DENSITY)
    size = max(1, len(sets["t"]))
    expected = greedily(sets, "t", count)
    assert [(source.language, round(source.gain * size)) for source in cover.sources] == expected
    assert cover.covered == pytest.approx(sum(gain for _, gain in expected) / size)
    assert [source.alone for source in cover.sources] == [
        pytest.approx(len(sets["t"] & sets[code]) / size) for code, _ in expected
    ]
    gains = [source.gain for source in cover.sources]
    assert gains == sorted(gains, reverse=True), "coverage is submodular, so that gains never rise"
    best = max(
        len(sets["t"] & {bit for code in some for bit in sets[code]}) for some in combinations("abcdef", min(count, 6))
    )
    assert cover.covered * size >= (1 - 1 / np.e) * best - 1e-9


def test_repeated_source_adds_nothing() -> None:
    target = np.zeros(SIZE, bool)
    target[:100] = True
    first, second = np.zeros((2, SIZE), bool)
    first[:60], second[55:80] = True, True
    rows = {("t", 1): target, ("a", 1): first, ("copy", 1): first, ("b", 1): second}
    cover = greedy_cover(Rows(rows), "t", ["copy", "b", "a"], 3, (1,), DENSITY)
    assert [(source.language, source.gain) for source in cover.sources] == [("a", 0.6), ("b", 0.2), ("copy", 0.0)]
    assert (cover.strategy, cover.covered) == ("coverage", 0.8)
    similar = cover_by(Rows(rows), "t", ["a", "copy", "b"], (1,), DENSITY)
    assert [source.gain for source in similar.sources] == [0.6, 0.0, 0.2]
    assert [source.covered for source in similar.sources] == [0.6, 0.6, 0.8]
    assert [source.alone for source in similar.sources] == [0.6, 0.6, 0.25]
    assert similar.strategy == "top"


def test_choice_is_by_the_mean_over_seeds() -> None:
    target = np.ones(SIZE, bool)
    rows: dict[tuple[str, int], Any] = {("t", 1): target, ("t", 2): target}
    for code, seed, upto in (("a", 1, 900), ("a", 2, 0), ("b", 1, 500), ("b", 2, 500)):
        rows[code, seed] = np.arange(SIZE) < upto
    assert greedy_cover(Rows(rows), "t", ["a", "b"], 1, (1,), DENSITY).sources[0].language == "a"
    assert greedy_cover(Rows(rows), "t", ["a", "b"], 1, (1, 2), DENSITY).sources[0].language == "b"
    both = greedy_cover(Rows(rows), "t", ["a", "b"], 2, (1, 2), DENSITY)
    assert both.covered == pytest.approx((0.9 + 0.5) / 2)


def test_all_blocks_of_a_long_row_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsns_stream.ranking.coverage._STEP", 3)
    store = random_rows("t a b c")
    expected = greedily(as_sets(store), "t", 3)
    cover = greedy_cover(store, "t", ["a", "b", "c"], 3, (1,), DENSITY)
    size = len(as_sets(store)["t"])
    assert [(source.language, round(source.gain * size)) for source in cover.sources] == expected


def test_empty_target_has_no_coverage() -> None:
    rows = {("t", 1): np.zeros(SIZE, bool), ("a", 1): np.ones(SIZE, bool)}
    assert greedy_cover(Rows(rows), "t", ["a", "t"], 2, (1,), DENSITY).covered == 0


def test_invalid_arguments_are_errors() -> None:
    store = random_rows("t a")
    with pytest.raises(UsageError, match="must be at least 1, not 0"):
        greedy_cover(store, "t", ["a"], 0, (1,), DENSITY)
    with pytest.raises(UsageError, match="no candidate source for 't'"):
        greedy_cover(store, "t", ["t"], 1, (1,), DENSITY)
    with pytest.raises(LanguageError, match="no sub-network of 'b'"):
        cover_by(store, "t", ["b"], (1,), DENSITY)
    with pytest.raises(StoreError, match=r"'t' has .* bits instead of 3"):
        greedy_cover(Rows(store.bits, {("t", 1): 3}), "t", ["a"], 1, (1,), DENSITY)
    with pytest.raises(StoreError, match=r"'a' has .* bits instead of 4"):
        cover_by(Rows(store.bits, {("a", 1): 4}), "t", ["a"], (1,), DENSITY)
