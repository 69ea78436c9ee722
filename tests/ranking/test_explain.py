"""Contributions of groups of parameters, compared with explicit sums."""

from __future__ import annotations

import numpy as np
import pytest

from xsns_stream.errors import UsageError
from xsns_stream.ranking import explain
from xsns_stream.similarity import jaccard
from xsns_stream.types import GroupedOverlaps, OverlapRectangle

CODES, SIZES = ("a", "b", "c", "t"), {"first": 600, "second": 400}


def rows(seed: int) -> dict[str, dict[str, np.ndarray]]:
    draw = np.random.default_rng(seed)
    return {name: {code: draw.random(size) < 0.3 for code in CODES} for name, size in SIZES.items()}


def counted(seed: int, sources: tuple[str, ...] = CODES) -> GroupedOverlaps:
    bits = rows(seed)
    tables = tuple(
        OverlapRectangle(
            sources,
            ("t",),
            np.array([[int((own[code] & own["t"]).sum())] for code in sources]),
            np.array([int(own[code].sum()) for code in sources]),
            np.array([int(own["t"].sum())]),
            SIZES[name],
            seed,
            0.3,
        )
        for name, own in bits.items()
    )
    return GroupedOverlaps("layer", tuple(SIZES), tables)


def test_excesses_sum_to_the_difference_from_the_mean_source() -> None:
    counts = [counted(1), counted(2)]
    explanation = explain(counts, "t", ["c", "a"])
    assert (explanation.by, explanation.names, explanation.sources) == ("layer", ("first", "second"), ("c", "a"))
    matrix = jaccard([one.total for one in counts])
    mean = np.mean([matrix[code, "t"] for code in "abc"])
    expected = [matrix["c", "t"] - mean, matrix["a", "t"] - mean]
    assert explanation.excess.sum(axis=0) == pytest.approx(expected)


def test_each_group_has_its_own_coefficient_and_excess() -> None:
    explanation = explain([counted(3)], "t", ["b"])
    bits = rows(3)
    unions = {code: sum((own[code] | own["t"]).sum() for own in bits.values()) for code in "abc"}
    for g, (name, own) in enumerate(bits.items()):
        b, t, size = own["b"], own["t"], SIZES[name]
        shared = b.sum() * t.sum() / size
        chance = shared / (b.sum() + t.sum() - shared)
        assert explanation.corrected[g, 0] == pytest.approx(((b & t).sum() / (b | t).sum() - chance) / (1 - chance))
        terms = {code: (own[code] & t).sum() / unions[code] for code in "abc"}
        assert explanation.excess[g, 0] == pytest.approx(terms["b"] - np.mean(list(terms.values())))


def test_target_is_not_a_candidate() -> None:
    with_it, without = explain([counted(4)], "t", ["a"]), explain([counted(4, ("a", "b", "c"))], "t", ["a"])
    assert with_it.excess == pytest.approx(without.excess)


def test_missing_counts_are_an_error() -> None:
    with pytest.raises(UsageError, match="there are no overlap counts to explain"):
        explain([], "t", ["a"])
    with pytest.raises(UsageError, match="no candidate source for 't'"):
        explain([counted(5, ("t",))], "t", [])
