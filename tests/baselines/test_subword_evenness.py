"""Words, their sub-words, and the triangle around their cloud (`sue`)."""

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from xsns_stream.baselines.subwords import evenness, evenness_matrix, segments_of, words_of
from xsns_stream.errors import UsageError


def test_words_contain_a_letter() -> None:
    texts = ["watoto wanasoma, 2023 — watoto!", ("kitabu", "2nd", ".", "12")]
    assert words_of(texts) == {"watoto": 2, "wanasoma": 1, "kitabu": 1, "2nd": 1}


def test_segments_follow_the_merges() -> None:
    """One merge joins the most frequent pair only."""
    words = {"abab": 3, "abc": 2, "c": 1}
    assert segments_of(words, 1) == {"abab": (2, 2), "abc": (2, 1), "c": (1,)}
    assert segments_of(words, 2)["abab"] == (4,)


def test_segments_sum_to_the_length_of_the_word() -> None:
    words = words_of(["lapset lukevat kirjaa kotona tänään opettaja opettaa suuressa koulussa 漢字かな ĳsĳ ﬁn"])
    assert all(sum(lengths) == len(word) for word, lengths in segments_of(words, 20).items())


def test_number_of_merges_must_be_positive() -> None:
    with pytest.raises(UsageError, match="at least 1, not 0"):
        segments_of({"ab": 2}, 0)


def in_words(length: int, unevenness: int) -> tuple[int, ...]:
    """Sub-words of a word with this length and unevenness: one long sub-word, and several of one character."""
    long = unevenness + 1
    return (long, *(1,) * (length - long))


def test_angle_is_of_the_region_above_a_third_of_the_peak() -> None:
    """The expected angle is computed from a mixture of normal densities and the ends of its high region."""
    rng = np.random.default_rng(3)
    points = np.array([(length, rng.integers(0, length - 1)) for length in rng.integers(3, 12, 300)], np.float64)
    xs = np.linspace(points[:, 0].min(), points[:, 0].max(), 128)
    ys = np.linspace(points[:, 1].min(), points[:, 1].max(), 128)
    grid = np.stack(np.meshgrid(xs, ys, indexing="ij"), axis=-1)
    cells, counts = np.unique(points, axis=0, return_counts=True)
    density = sum(count * multivariate_normal(cell).pdf(grid) for cell, count in zip(cells, counts, strict=True))
    region = density >= density.max() / 3
    column, row = np.flatnonzero(region.any(axis=1))[-1], np.flatnonzero(region.any(axis=0))[-1]
    right = np.array([xs[column], ys[region[column]].mean()])
    top = np.array([xs[region[:, row]].mean(), ys[row]])
    slope = (right[1] - top[1]) / (right[0] - top[0])
    expected = 180 - math.degrees(abs(math.atan(1))) - math.degrees(abs(math.atan(slope)))
    assert slope < 0
    assert evenness(in_words(int(x), int(y)) for x, y in points) == pytest.approx(expected, abs=1e-6)


def cloud(longest: int) -> list[tuple[int, ...]]:
    """Points of words up to a length, with an unevenness up to 3: longer words make the right side flatter."""
    return [in_words(n, m) for n in range(3, longest + 1) for m in range(min(n - 1, 4)) for _ in range(1 + 12 // n)]


def test_long_even_words_increase_the_angle() -> None:
    angles = [evenness(cloud(longest)) for longest in (6, 9, 14, 20)]
    assert angles == sorted(angles)
    assert 45 <= angles[0] < angles[-1] <= 135


def test_order_and_number_of_words_do_not_matter() -> None:
    words = cloud(9)
    assert evenness(words[::-1]) == pytest.approx(evenness(words), abs=1e-9)
    assert evenness(words * 3) == pytest.approx(evenness(words), abs=1e-9)


@pytest.mark.parametrize(
    "words",
    [
        [],
        [(3,), (4,)],
        [(1, 1)] * 9,
        [(1, 1), (2, 2), (3, 3), (1, 1, 1)],
    ],
    ids=["no word", "words of one sub-word", "one point", "on one line"],
)
def test_evenness_is_undefined_without_a_cloud(words: list[tuple[int, ...]]) -> None:
    assert math.isnan(evenness(words))


def test_matrix_has_one_value_per_source() -> None:
    values = evenness_matrix({"sw": 100.0, "zu": 120.0})
    assert values.tolist() == [[-100, -100], [-120, -120]]
