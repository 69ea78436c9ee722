"""sue: words, their sub-words, and the triangle round the cloud."""

import math

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from xsns_stream.baselines.subword_evenness import evenness, evenness_matrix, segments_of, words_of
from xsns_stream.errors import UsageError


def test_words_are_what_has_a_letter() -> None:
    texts = ["watoto wanasoma, 2023 — watoto!", ("kitabu", "2nd", ".", "12")]
    assert words_of(texts) == {"watoto": 2, "wanasoma": 1, "kitabu": 1, "2nd": 1}


def test_segments_follow_the_merges() -> None:
    """One merge joins the most frequent pair, and nothing else."""
    words = {"abab": 3, "abc": 2, "c": 1}
    assert segments_of(words, 1) == {"abab": (2, 2), "abc": (2, 1), "c": (1,)}
    assert segments_of(words, 2)["abab"] == (4,)


def test_segments_make_up_the_word() -> None:
    words = words_of(["lapset lukevat kirjaa kotona tänään opettaja opettaa suuressa koulussa 漢字かな ĳsĳ ﬁn"])
    assert all(sum(lengths) == len(word) for word, lengths in segments_of(words, 20).items())


def test_too_few_merges() -> None:
    with pytest.raises(UsageError, match="at least 1, not 0"):
        segments_of({"ab": 2}, 0)


def in_words(length: int, unevenness: int) -> tuple[int, ...]:
    """Sub-words of a word with this length and this unevenness: one long one, and some of one character."""
    long = unevenness + 1
    return (long, *(1,) * (length - long))


def test_the_angle_of_a_known_triangle() -> None:
    """Three points alike in number: all are in the cloud, its top at (6, 4), its right end at (10, 0)."""
    cloud = [in_words(2, 0), in_words(6, 4), in_words(10, 0)] * 5
    points = np.array([(2.0, 0), (6, 4), (10, 0)])
    density = gaussian_kde(points.T)(points.T)
    assert (density >= density.max() / 3).all()
    assert evenness(cloud) == pytest.approx(180 - 45 - math.degrees(math.atan(1.0)))


def test_rare_words_do_not_move_the_triangle() -> None:
    rng = np.random.default_rng(0)
    cloud = [in_words(int(length), int(rng.integers(0, length - 2))) for length in rng.integers(4, 9, 4000)]
    assert evenness([*cloud, in_words(60, 0)]) == pytest.approx(evenness(cloud), abs=1e-9)


@pytest.mark.parametrize(
    "cloud",
    [
        [],
        [(3,), (4,)],
        [(1, 1)] * 9,
        [(1, 1), (2, 2), (3, 3), (1, 1, 1)],
    ],
    ids=["no word", "words of one sub-word", "one point", "on one line"],
)
def test_where_there_is_no_cloud(cloud: list[tuple[int, ...]]) -> None:
    assert math.isnan(evenness(cloud))


def test_an_upright_side() -> None:
    cloud = [in_words(6, 0), in_words(6, 4), in_words(5, 3)] * 4
    assert evenness(cloud) == 45


def test_one_value_a_source() -> None:
    values = evenness_matrix({"sw": 100.0, "zu": 120.0})
    assert values.tolist() == [[-100, -100], [-120, -120]]
