"""Near-best sources, and the number of sources to try: by hand, and compared with loops over targets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.align_scores import join
from xsns_stream.evaluation import evaluate
from xsns_stream.evaluation.metrics import METRICS, near_best, near_best_at
from xsns_stream.evaluation.resampling import bootstrap
from xsns_stream.evaluation.sources_to_try import near_best_curves, resampled_numbers, sources_to_try
from xsns_stream.report.evaluation import evaluation_document, evaluation_sheets
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import TransferScores

TARGETS = ("sw", "fi", "de", "zu", "et", "fr", "ru", "it", "es", "pt", "nl", "sv")
SOURCES = ("a1", "b1", "c1", "d1")


def test_a_source_that_loses_five_percent_is_near_best() -> None:
    scores = np.array([80.0, 76.0, 75.9, 40.0])
    # The order is d, c, b, a: b loses 4 of 80, which is 5 %, and is the third.
    assert near_best(np.array([1.0, 2.0, 3.0, 4.0]), scores).tolist() == [0, 0, 1, 1]
    assert [near_best_at(np.array([1.0, 2.0, 3.0, 4.0]), scores, k) for k in (1, 3, 10)] == [0, 1, 1]
    # All are tied, and two of four are near-best: 1 / 2, then 1 − 1/2 · 1/3.
    assert near_best(np.zeros(4), scores) == pytest.approx([1 / 2, 5 / 6, 1, 1])
    assert np.isnan(near_best(np.zeros(2), np.array([0.0, -1.0]))).all(), "5 % of a score of 0 is no loss"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(90, 100)), min_size=2, max_size=6))
def test_ties_are_averaged_over_all_orders(pairs: list[tuple[int, int]]) -> None:
    x, y = (np.array(column, float) for column in zip(*pairs, strict=True))
    orders = [
        order
        for order in itertools.permutations(range(len(x)))
        if all(x[a] >= x[b] for a, b in itertools.pairwise(order))
    ]
    good = y >= 0.95 * y.max() - 1e-9
    expected = [np.mean([any(good[i] for i in order[:k]) for order in orders]) for k in range(1, len(x) + 1)]
    assert near_best(x, y) == pytest.approx(expected)


# ------------------------------------------------------------------------------------- number of sources


def curves_of(first: list[int], longest: int = 4) -> Reals:
    """Curves of targets whose first near-best source has these ranks: float64 [T, 1, 1, N]."""
    return np.array([[[[float(k >= rank) for k in range(1, longest + 1)]]] for rank in first])


def numbers_of(first: list[int], longest: int = 4) -> list[float]:
    sizes = np.full((len(first), 1), longest)
    found: list[float] = sources_to_try(curves_of(first, longest), sizes, np.ones((1, len(first))))[0, :, 0, 0].tolist()
    return found


def test_numbers_equal_those_computed_by_hand() -> None:
    # Nine others must all be covered, because 0.9 · (9 + 1) = 9. The target with rank 4 needs not cover itself.
    assert numbers_of([1, 1, 1, 1, 1, 1, 2, 2, 3, 4]) == [4] * 9 + [3]
    # Nineteen others: 0.9 · 20 = 18 of them must be covered.
    assert numbers_of([1] * 17 + [2, 3, 4]) == [3] * 18 + [2, 2]
    # Eight others are too few for 90 %, so that all sources must be tried.
    assert numbers_of([1] * 9) == [4] * 9


def slowly(curve: Reals, sizes: Reals, times: Reals) -> list[float]:
    """The definition, with copies of the targets in a list."""
    longest, found = curve.shape[1], []
    for target, size in enumerate(sizes.tolist()):
        others = [one for one, count in enumerate(times.astype(int)) if one != target for _ in range(count)]
        others = [one for one in others if not math.isnan(curve[one, 0])]
        enough = [
            k
            for k in range(1, longest + 1)
            if sum(curve[one, k - 1] for one in others) >= 0.9 * (len(others) + 1) - 1e-9
        ]
        found.append(math.nan if math.isnan(curve[target, 0]) else min([*enough, longest][0], size))
    return found


@given(
    st.integers(2, 25).flatmap(
        lambda targets: st.tuples(
            st.lists(
                st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=5, max_size=5), min_size=targets, max_size=targets
            ),
            st.lists(st.integers(0, 3), min_size=targets, max_size=targets),
            st.lists(st.booleans(), min_size=targets, max_size=targets),
            st.lists(st.integers(1, 5), min_size=targets, max_size=targets),
        )
    )
)
def test_numbers_equal_a_loop_over_targets(
    drawn: tuple[list[list[float]], list[int], list[bool], list[int]],
) -> None:
    cells, times, undefined, sizes = (np.array(each) for each in drawn)
    curve = np.sort(cells, axis=1)
    curve[:, -1] = 1.0
    curve[undefined] = np.nan
    found = sources_to_try(curve[:, None, None], sizes[:, None], np.stack([times, np.ones_like(times)]).astype(float))
    for block, weights in enumerate((times, np.ones_like(times))):
        expected = slowly(curve, sizes, weights)
        assert found[block, :, 0, 0] == pytest.approx(expected, nan_ok=True)


def test_a_new_target_is_covered_in_90_percent_of_cases() -> None:
    random = np.random.default_rng(0)
    covered, tried = [], []
    for _ in range(400):
        first = random.integers(1, 13, 30).tolist()
        (number,) = {numbers_of(first, 12)[-1]}
        covered.append(first[-1] <= number)
        tried.append(number)
    # The standard error of 90 % of 400 is 1.5 %. The guarantee is at least 90 %.
    assert 0.87 < np.mean(covered) <= 1
    assert np.mean(tried) < 12


# ----------------------------------------------------------------------------------------- in an evaluation


def evaluation_of(first: list[int], *, seeds: int = 1, **options: object) -> Evaluation:
    """An evaluation in which the first near-best source of each target has the given rank, 1 to 4."""
    scores = np.full((4, len(first)), 50.0)
    for column, rank in enumerate(first):
        scores[rank - 1, column] = 90.0
    values = np.repeat(np.array([4.0, 3.0, 2.0, 1.0])[:, None], len(first), axis=1)
    targets = TARGETS[: len(first)]
    cells = np.stack([scores] * seeds)[None]
    gold = TransferScores(
        SOURCES,
        targets,
        cells,
        "pos",
        "accuracy",
        "percent",
        "made up",
        ("main",),
        tuple(range(seeds)) if seeds > 1 else (),
    )
    matrix, other = (SimilarityMatrix(SOURCES, targets, each, "made-up") for each in (values, -values))
    return evaluate(join(gold, {"x": matrix, "y": other}), resamples=300, **options)  # type: ignore[arg-type]


RANKS = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4]


def test_costs_of_an_evaluation_equal_those_computed_by_hand() -> None:
    found = evaluation_of(RANKS, reference="x")
    assert found["x", "near-best@1"] == pytest.approx(8 / 12)
    assert found["x", "near-best@3"] == pytest.approx(11 / 12)
    assert found["x", "near-best@10"] == 1
    # Eleven others: 10.8 of them, which means all. Without the last target, rank 3 is enough.
    assert found.per_target[0, -1].tolist() == [4.0] * 11 + [3.0]
    assert found["x", "sources-90"] == pytest.approx(47 / 12)
    low, high = found.interval("x", "sources-90")
    # A resample without the last target needs three sources, and one without the last two needs two.
    assert low <= 3 < high <= 4
    assert low < found["x", "sources-90"]
    assert found.metrics[-4:] == ("near-best@1", "near-best@3", "near-best@10", "sources-90")
    # Any order of four sources has the first place of the only near-best one with a probability of 1/4.
    assert found["random", "near-best@1"] == pytest.approx(1 / 4)
    assert found.comparison is not None
    assert found.comparison.difference[1, -1] == pytest.approx(found["y", "sources-90"] - found["x", "sources-90"])
    assert np.isnan(found.comparison.p[:, -1]).all(), "the numbers of targets are not independent"
    assert np.isfinite(found.comparison.p[1, :-1]).all()
    assert not any("sources-90" in note for note in found.notes)


def test_copies_of_seeds_change_nothing() -> None:
    one, three = evaluation_of(RANKS), evaluation_of(RANKS, seeds=3)
    assert three.per_target[0] == pytest.approx(one.per_target[0], nan_ok=True)
    assert three.interval("x", "sources-90") == pytest.approx(one.interval("x", "sources-90"), abs=0.35)
    assert three["ceiling", "sources-90"] == 1, "the other seeds know the best source"


def test_few_targets_and_few_candidates_are_noted() -> None:
    found = evaluation_of(RANKS[:9])
    assert found.per_target[0, -1].tolist() == [4.0] * 9
    assert "sources-90 is the number of all candidates, because there are fewer than 10 targets." in found.notes
    assert any(note.startswith("near-best@10 is always 1 for ") for note in found.notes)


def test_tables_and_documents_have_the_number_of_sources() -> None:
    found = evaluation_of(RANKS, reference="x")
    means, differences = evaluation_sheets(found)
    assert means.header[-4:] == ("near-best@1", "near-best@3", "near-best@10", "sources for 90 %")
    assert means.lines[0][-4].startswith("66.7\n")
    assert means.lines[0][-1].startswith("3.9\n[")
    assert differences.lines[0][-1].endswith("\nno test")
    assert "sources for 90 %: number of sources." in means.caption
    values = evaluation_document(found)["predictors"][1]["metrics"]["sources-90"]
    assert values["mean"] == found["y", "sources-90"]
    assert math.isnan(values["against"]["p"])
    assert METRICS["sources-90"].counts_sources


def test_resamples_are_those_of_other_metrics() -> None:
    """Resampled means of numbers that do not depend on other targets equal those of `bootstrap`."""
    curves = curves_of([1] * 5)
    sizes = np.arange(1, 6)[:, None]
    cells = sizes[None, :, None].astype(float)
    # With five targets, every number is that of all candidates.
    found, differences = resampled_numbers([cells, cells], [curves, curves], [sizes, sizes], 150, 3, 0)
    expected, _ = bootstrap([np.minimum(cells, 4.0), cells], 150, 3, None)
    assert found[0] == pytest.approx(expected[0])
    assert differences is not None
    assert not differences.any()


def test_curves_of_targets_with_fewer_candidates_end_at_one() -> None:
    x, y = np.array([[[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]]]), np.array([[[50.0, 1.0], [60.0, 90.0], [90.0, 50.0]]])
    candidates = np.array([[[True, True], [True, True], [True, False]]])
    assert near_best_curves(x, y, candidates)[:, 0, 0].tolist() == [[0, 0, 1], [0, 1, 1]]
    missing = x.copy()
    missing[0, 0, 1] = np.nan
    assert np.isnan(near_best_curves(missing, y, candidates)[1]).all()
