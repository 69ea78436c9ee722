"""Coverage of bootstrap intervals, level of the sign-flip test, and Holm's correction."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from xsns_stream.evaluation.resampling import bootstrap, holm, interval, sign_flip


def cells(values: np.ndarray) -> np.ndarray:
    """Return values [T] as one metric of one predictor without seeds: [1, T, 1, 1]."""
    return values[None, :, None, None]


def test_means_of_resamples_match_scipy_bootstrap() -> None:
    """The draws differ from those of SciPy, and the quantiles agree within the error of 20,000 draws."""
    values = np.random.default_rng(0).beta(4, 1, 20)
    ours = bootstrap([cells(values)], 20_000, 0, None)[0][0, 0]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=np.random.default_rng(1))
    quantiles = [0.025, 0.25, 0.5, 0.75, 0.975]
    expected = np.quantile(theirs.bootstrap_distribution, quantiles)
    np.testing.assert_allclose(np.quantile(ours, quantiles), expected, atol=0.05 * values.std())
    assert ours.std() == pytest.approx(theirs.standard_error, rel=0.03)


def test_interval_is_wider_for_few_targets_and_equals_percentiles_for_many() -> None:
    draws = np.random.default_rng(0).normal(size=200_000)
    assert interval(draws, 100_000) == pytest.approx((-1.96, 1.96), abs=0.03)
    # √(n / (n − 1)) times Student's t with n − 1 degrees of freedom.
    assert interval(draws, 20)[1] == pytest.approx(np.sqrt(20 / 19) * stats.t.ppf(0.975, 19), abs=0.03)
    assert all(np.isnan(interval(draws, 1)))


@pytest.mark.parametrize("targets", [8, 20])
def test_intervals_cover_the_truth(targets: int) -> None:
    """The coverage over 400 samples of a skewed metric is 95 % ± 1.1 %; plain percentiles of 8 targets cover 90 %."""
    rng = np.random.default_rng(targets)
    samples = rng.beta(4, 1, (400, targets))
    counts = rng.multinomial(targets, np.full(targets, 1 / targets), size=1000)
    draws = counts @ samples.T / targets
    ends = np.array([interval(draws[:, index], targets) for index in range(400)])
    covered = np.mean((ends[:, 0] <= 0.8) & (ends[:, 1] >= 0.8))
    assert 0.92 <= covered <= 0.98
    plain = np.quantile(draws, [0.025, 0.975], axis=0)
    assert np.mean((plain[0] <= 0.8) & (plain[1] >= 0.8)) < covered


def test_undefined_targets_are_ignored() -> None:
    values = np.random.default_rng(0).random(12)
    gaps = values.copy()
    gaps[[2, 5]] = np.nan
    draws = bootstrap([cells(gaps)], 4000, 0, None)[0][0, 0]
    assert np.isfinite(draws).all()
    assert draws.mean() == pytest.approx(np.nanmean(gaps), abs=0.01)
    only = np.full(12, np.nan)
    assert np.isnan(bootstrap([cells(only)], 200, 0, None)[0]).all()


def test_seeds_are_resampled() -> None:
    """If only seeds differ, the spread is that of the mean of three seeds drawn from three with replacement."""
    by_seed = np.array([0.1, 0.2, 0.6])
    values = np.broadcast_to(by_seed[None, None, :, None], (1, 6, 3, 1)).copy()
    draws = bootstrap([values], 20_000, 0, None)[0][0, 0]
    assert draws.std() == pytest.approx(by_seed.std() / np.sqrt(3), rel=0.03)
    assert set(np.round(draws, 9)) == {round(float(np.mean(draw)), 9) for draw in itertools.product(by_seed, repeat=3)}
    gold = np.moveaxis(values, 2, 3)
    assert bootstrap([gold], 20_000, 0, None)[0][0, 0].std() == pytest.approx(draws.std(), rel=0.03)


def test_predictors_share_their_resamples() -> None:
    """Two predictors that differ by a constant have a difference without spread, with and without seeds."""
    rng = np.random.default_rng(0)
    for shape in ((2, 9, 1, 1), (2, 9, 3, 2)):
        one = rng.random(shape)
        differences = bootstrap([one, one + 0.25], 300, 0, 0)[1]
        assert differences is not None
        np.testing.assert_allclose(differences[1], 0.25, atol=1e-12)


def test_undefined_seeds_are_left_out_of_the_mean() -> None:
    values = np.random.default_rng(0).random((1, 5, 3, 2))
    values[0, 2, 1, 0] = np.nan
    draws = bootstrap([values], 4000, 0, None)[0][0, 0]
    assert draws.mean() == pytest.approx(np.nanmean(values[0].reshape(5, -1), axis=1).mean(), abs=0.01)


@pytest.mark.parametrize("targets", [3, 8, 12])
def test_all_sign_patterns_are_enumerated_for_few_targets(targets: int) -> None:
    values = np.random.default_rng(targets).normal(0.4, 1, (2, targets))
    values[1, 0] = np.nan
    expected = []
    for row in np.nan_to_num(values):
        sums = [abs(np.dot(signs, row)) for signs in itertools.product((-1, 1), repeat=targets)]
        expected.append(np.mean(np.array(sums) >= abs(row.sum()) - 1e-12))
    np.testing.assert_allclose(sign_flip(values, 100, 0), expected)


def test_sign_flip_of_many_targets_matches_scipy() -> None:
    values = np.random.default_rng(3).normal(0.35, 1, 25)
    theirs = stats.permutation_test(
        (values,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(4),
    )
    assert sign_flip(values[None], 20_000, 0)[0] == pytest.approx(theirs.pvalue, abs=0.01)


def test_sign_flip_has_its_nominal_level() -> None:
    """Of 600 comparisons without a true difference, 5 % ± 0.9 % have p < 0.05."""
    p = sign_flip(np.random.default_rng(0).standard_cauchy((600, 20)), 1000, 0)
    assert 0.03 <= np.mean(p <= 0.05) <= 0.075


def test_equal_predictors_have_p_value_one() -> None:
    p = sign_flip(np.array([[0.0] * 15, [np.nan] * 15]), 100, 0)
    assert p[0] == 1.0
    assert np.isnan(p[1])


def test_holm_equals_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 30):
        p = np.round(rng.random(size) ** 3, 2)
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])
    gaps = np.array([0.01, np.nan, 0.04])
    np.testing.assert_allclose(holm(gaps), [0.02, np.nan, 0.04])


def test_same_seed_gives_same_resamples() -> None:
    values = [np.random.default_rng(0).random((2, 7, 2, 2))]
    first, again, other = (bootstrap(values, 300, seed, None)[0] for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
