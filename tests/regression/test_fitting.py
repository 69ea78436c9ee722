"""Regression compared with independent computations: formulas, dense likelihoods, statsmodels, loops."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from xsns_stream.align_scores import join
from xsns_stream.errors import UsageError
from xsns_stream.regression import fit, predict
from xsns_stream.regression.design import design_of
from xsns_stream.regression.solvers import sums_of
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.regressions import IN_SAMPLE, LEFT_OUT_SOURCE, LEFT_OUT_TARGET
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores

CODES = (*"af ar bg cs da de el en es et fa fi fr he hi hr hu id is it ja ko lt lv nl no pl pt ro ru".split(),)  # noqa: SIM905
MODELS = [("ols", "target"), ("mixed", "target"), ("mixed", "crossed")]


def gold_of(scores: np.ndarray, sources: Any = None, targets: Any = None) -> TransferScores:
    rows, columns = scores.shape
    return TransferScores(
        sources or CODES[:rows], targets or CODES[:columns], scores[None, None], "pos", "accuracy", "percent", "made up"
    )


def joined_of(scores: np.ndarray, **predictors: np.ndarray) -> JoinedScores:
    gold = gold_of(scores)
    matrices = {name: SimilarityMatrix(gold.sources, gold.targets, x, name) for name, x in predictors.items()}
    return join(gold, matrices)


def simulated(
    seed: int, rows: int = 8, columns: int = 12, target: float = 6.0, source: float = 0.0, noise: float = 3.0
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return scores of a known model: 50 + 20 x − 4 z + u_target (+ u_source) + ε; z is a property of the source."""
    rng = np.random.default_rng(seed)
    x = rng.random((rows, columns))
    z = np.repeat(rng.standard_normal((rows, 1)), columns, axis=1)
    intercepts = target * rng.standard_normal((1, columns)) + source * rng.standard_normal((rows, 1))
    scores = 50 + 20 * x - 4 * z + intercepts + noise * rng.standard_normal((rows, columns))
    return scores, {"x": x, "z": z}


def with_gaps(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    gaps = np.random.default_rng(seed).random(scores.shape) < 0.15
    return np.where(gaps, np.nan, scores)


def lines_of(joined: JoinedScores) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return y [n], X [n, P], and the indices of source and target [n] of each pair, without the tested code."""
    cells = []
    for s, source in enumerate(joined.sources):
        for t, target in enumerate(joined.targets):
            values = [prediction.values[s, t] for prediction in joined.predictions]
            score = joined.gold.values[s, t]
            if source != target and np.isfinite([score, *values]).all():
                cells.append((score, [1.0, *values], s, t))
    y, lines, rows, columns = zip(*cells, strict=True)
    return np.array(y), np.array(lines), np.array(rows), np.array(columns)


def coefficients(regression: Any) -> np.ndarray:
    return np.array([one.estimate for one in regression.coefficients])


# ------------------------------------------------------------------------------------ least squares


def test_least_squares_equal_those_of_numpy() -> None:
    scores, predictors = simulated(1)
    joined = joined_of(with_gaps(scores), **predictors)
    y, lines, rows, columns = lines_of(joined)
    expected, residual, *_ = np.linalg.lstsq(lines, y, rcond=None)
    regression = fit(joined)
    np.testing.assert_allclose(coefficients(regression), expected, rtol=1e-10)
    assert regression.pairs == len(y)
    assert regression.error(IN_SAMPLE).rmse == pytest.approx(math.sqrt(residual[0] / len(y)))
    assert regression.error(IN_SAMPLE).of_mean == pytest.approx(y.std())
    assert regression.error(IN_SAMPLE).without_predictors == pytest.approx(y.std())
    assert regression.r_squared == pytest.approx(1 - residual[0] / len(y) / y.var())
    np.testing.assert_allclose(regression.fitted.values[rows, columns], lines @ expected)
    assert np.isfinite(regression.fitted.values).sum() == len(y)
    standardised = expected[1:] * lines[:, 1:].std(axis=0) / y.std()
    np.testing.assert_allclose([one.standardised for one in regression.coefficients[1:]], standardised)


def test_standard_errors_are_a_jackknife_over_targets_and_sources() -> None:
    scores, predictors = simulated(2, source=4.0)
    joined = joined_of(with_gaps(scores), **predictors)
    y, lines, rows, columns = lines_of(joined)
    estimate = np.linalg.lstsq(lines, y, rcond=None)[0]
    expected = np.zeros((3, 3))
    for labels in (rows, columns):
        groups = np.unique(labels)
        for group in groups:
            others = labels != group
            moved = np.linalg.lstsq(lines[others], y[others], rcond=None)[0] - estimate
            expected += np.outer(moved, moved) * (len(groups) - 1) / len(groups)
    regression = fit(joined)
    np.testing.assert_allclose([one.standard_error for one in regression.coefficients], np.sqrt(np.diag(expected)))
    assert {one.degrees for one in regression.coefficients} == {len(set(rows)) - 1}


def test_least_squares_equal_those_of_statsmodels() -> None:
    import statsmodels.api as sm

    scores, predictors = simulated(3)
    joined = joined_of(with_gaps(scores), **predictors)
    y, lines, *_ = lines_of(joined)
    theirs, ours = sm.OLS(y, lines).fit(), fit(joined)
    np.testing.assert_allclose(coefficients(ours), theirs.params)
    assert ours.r_squared == pytest.approx(theirs.rsquared)
    assert ours.solution.residual_variance == pytest.approx(theirs.scale)


# ------------------------------------------------------------------------------------ random intercepts


def dense_reml(y: np.ndarray, lines: np.ndarray, groups: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Maximise the restricted likelihood by its textbook formula, with the n × n covariance matrix."""
    shared = [(labels[:, None] == labels[None, :]).astype(float) for labels in groups]

    def gls(variances: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        covariance = np.eye(len(y)) * variances[-1]
        covariance += sum(v * block for v, block in zip(variances, shared, strict=False))
        inverse = np.linalg.inv(covariance)
        information = lines.T @ inverse @ lines
        beta = np.linalg.solve(information, lines.T @ inverse @ y)
        residual = y - lines @ beta
        minus = np.linalg.slogdet(covariance)[1] + np.linalg.slogdet(information)[1] + residual @ inverse @ residual
        return float(minus), beta, np.linalg.inv(information)

    best = minimize(
        lambda logs: gls(np.exp(logs))[0],
        np.log([y.var() / 2] * (len(groups) + 1)),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000},
    )
    variances = np.exp(best.x)
    return variances, *gls(variances)[1:]


@pytest.mark.parametrize("random", ["target", "crossed"])
def test_random_intercepts_maximise_the_dense_likelihood(random: str) -> None:
    scores, predictors = simulated(4, rows=6, columns=7, source=5.0)
    joined = joined_of(with_gaps(scores), **predictors)
    y, lines, rows, columns = lines_of(joined)
    groups = [columns, rows] if random == "crossed" else [columns]
    variances, beta, covariance = dense_reml(y, lines, groups)
    regression = fit(joined, "mixed", random, left_out=())
    solution = regression.solution
    ours = [effects.variance for effects in solution.effects.values()]
    np.testing.assert_allclose([*ours, solution.residual_variance], variances, rtol=2e-4)
    np.testing.assert_allclose(coefficients(regression), beta, rtol=1e-4)
    errors = [one.standard_error for one in regression.coefficients]
    np.testing.assert_allclose(errors, np.sqrt(np.diag(covariance)), rtol=2e-4)

    # Best linear unbiased predictions by their definition, G Z' V⁻¹ (y − X β).
    total = np.eye(len(y)) * solution.residual_variance
    total += sum(v * (labels[:, None] == labels[None, :]) for v, labels in zip(ours, groups, strict=True))
    weighted = np.linalg.solve(total, y - lines @ coefficients(regression))
    for effects, labels, variance in zip(solution.effects.values(), groups, ours, strict=True):
        expected = [variance * weighted[labels == label].sum() for label in np.unique(labels)]
        np.testing.assert_allclose(effects.values, expected, atol=1e-8)


@pytest.mark.parametrize("random", ["target", "crossed"])
def test_random_intercepts_equal_those_of_statsmodels(random: str) -> None:
    import statsmodels.api as sm
    from statsmodels.regression.mixed_linear_model import VCSpec

    scores, predictors = simulated(5, rows=9, columns=11, source=4.0)
    joined = joined_of(with_gaps(scores), **predictors)
    y, lines, rows, columns = lines_of(joined)
    if random == "target":
        model = sm.MixedLM(y, lines, groups=columns)
    else:
        one_hot = [(labels[:, None] == np.unique(labels)).astype(float) for labels in (columns, rows)]
        names = [
            [[f"{kind}{index}" for index in range(len(part[0]))]] for kind, part in zip("ts", one_hot, strict=True)
        ]
        model = sm.MixedLM(y, lines, groups=np.ones(len(y)), exog_vc=VCSpec(["t", "s"], names, [[m] for m in one_hot]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.fit(reml=True, method="powell")
    regression = fit(joined, "mixed", random, left_out=())
    between = [float(theirs.cov_re[0, 0])] if random == "target" else list(theirs.vcomp)
    ours = [effects.variance for effects in regression.solution.effects.values()]
    np.testing.assert_allclose([*ours, regression.solution.residual_variance], [*between, theirs.scale], rtol=1e-3)
    np.testing.assert_allclose(coefficients(regression), theirs.fe_params, rtol=1e-3)
    # Standard errors: statsmodels uses the information on variances and coefficients, we that on coefficients only.
    np.testing.assert_allclose([one.standard_error for one in regression.coefficients], theirs.bse_fe, rtol=0.02)


def test_balanced_one_way_layout_has_a_closed_form() -> None:
    """Sources and targets are different languages, so that the design is complete and ANOVA is exact."""
    rng = np.random.default_rng(6)
    rows, columns = 5, 9
    x = np.repeat(rng.random((rows, 1)), columns, axis=1)  # equal for all targets: a balanced design
    scores = 10 * x + 4 * rng.standard_normal((1, columns)) + rng.standard_normal((rows, columns))
    gold = gold_of(scores, CODES[:rows], CODES[10 : 10 + columns])
    joined = join(gold, {"x": SimilarityMatrix(gold.sources, gold.targets, x, "x")})
    regression = fit(joined, "mixed", left_out=())
    means = scores.mean(axis=0)
    slope = np.polyfit(x[:, 0], scores.mean(axis=1), 1)[0]
    within = scores - means - slope * (x - x.mean())
    residual = (within**2).sum() / (rows * columns - columns - 1)
    between = means.var(ddof=1) - residual / rows
    assert between > 0
    assert regression["x"].estimate == pytest.approx(slope)
    assert regression.solution.residual_variance == pytest.approx(residual, rel=1e-5)
    assert regression.solution.effects["target"].variance == pytest.approx(between, rel=1e-4)


def test_zero_variance_between_targets_equals_least_squares() -> None:
    rng = np.random.default_rng(7)
    x = rng.random((6, 8))
    noise = rng.standard_normal((6, 8))
    scores = 30 * x + noise - noise.mean(axis=0)  # scores of one target are less similar than by chance
    joined = joined_of(scores, x=x)
    regression = fit(joined, "mixed")
    assert regression.solution.effects["target"].variance == 0
    assert not regression.solution.effects["target"].values.any()
    np.testing.assert_allclose(coefficients(regression), coefficients(fit(joined)), rtol=1e-9)
    assert any("the variance of the random intercepts of targets" in note for note in regression.notes)


def test_sums_over_the_grid_are_sums_over_pairs() -> None:
    scores, predictors = simulated(8, rows=5, columns=6)
    design = design_of(joined_of(with_gaps(scores), **predictors))
    sums = sums_of(design, crossed=True)
    y, regressors = design.flat()
    rows, columns = np.nonzero(design.pairs)
    one_hot = [(labels[:, None] == np.arange(size)) for labels, size in ((columns, 6), (rows, 5))]
    full = np.hstack([*one_hot, regressors]).astype(float)
    moments = full.T @ full
    np.testing.assert_allclose(sums.target_counts, np.diag(moments)[:6])
    np.testing.assert_allclose(sums.across, moments[:6, 6:], atol=1e-12)
    np.testing.assert_allclose(sums.rest, moments[6:, 6:], atol=1e-12)
    np.testing.assert_allclose(np.concatenate((sums.target_scores, sums.scores)), full.T @ (y - y.mean()), atol=1e-9)


# ------------------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize(("model", "random"), MODELS)
@pytest.mark.parametrize("scheme", [LEFT_OUT_TARGET, LEFT_OUT_SOURCE])
def test_held_out_predictions_equal_an_explicit_loop(model: str, random: str, scheme: str) -> None:
    """The language is removed from the gold scores, the model is fitted again, and the language is predicted as new."""
    scores, predictors = simulated(9, rows=6, columns=7, source=3.0)
    joined = joined_of(with_gaps(scores), **predictors)
    regression = fit(joined, model, random, left_out=(scheme,))
    square, covered, means = [], [], []
    for s, t in zip(*np.nonzero(joined.candidates), strict=True):
        out = np.zeros(joined.candidates.shape, bool)
        out[(slice(None), t) if scheme == LEFT_OUT_TARGET else (s, slice(None))] = True
        cells = np.where(out, np.nan, joined.gold.cells)
        others = fit(replace(joined, gold=replace(joined.gold, cells=cells)), model, random, left_out=())
        values = {one.name: one.values[s : s + 1, t] for one in joined.predictions}
        expected = predict(others, values, joined.targets[t], [joined.sources[s]])
        assert expected.known_target == (scheme == LEFT_OUT_SOURCE)
        ours = regression.left_out[scheme].values[regression.fitted.sources.index(joined.sources[s]), t]
        assert ours == pytest.approx(expected.mean[0], abs=1e-3)
        score = joined.gold.values[s, t]
        square.append((score - ours) ** 2)
        covered.append(expected.low[0] <= score <= expected.high[0])
        means.append((score - joined.gold.values[joined.candidates & ~out].mean()) ** 2)
    error = regression.error(scheme)
    assert error.pairs == len(square)
    assert error.rmse == pytest.approx(math.sqrt(np.mean(square)))
    assert error.of_mean == pytest.approx(math.sqrt(np.mean(means)))
    assert error.coverage == pytest.approx(np.mean(covered), abs=1.5 / len(covered))


def test_a_target_that_the_other_pairs_do_not_determine_is_not_predicted() -> None:
    """A target for which alone a predictor varies cannot be left out: it is named, and not predicted."""
    scores, predictors = simulated(10, rows=5, columns=6)
    only = np.zeros(scores.shape)
    only[:, 2] = 1.0
    regression = fit(joined_of(scores, x=predictors["x"], only=only), "mixed")
    lost = ~np.isfinite(regression.left_out[LEFT_OUT_TARGET].values[:, 2])
    assert lost.all()
    assert regression.error(LEFT_OUT_TARGET).pairs == regression.pairs - 4
    assert (
        f"{LEFT_OUT_TARGET}: no prediction for bg, because the other pairs do not determine the model."
        in regression.notes
    )


# ---------------------------------------------------------------------------------------- simulation


@pytest.mark.parametrize(
    ("model", "random", "source"),
    [("mixed", "target", 0.0), pytest.param("mixed", "crossed", 4.0, marks=pytest.mark.slow)],
)
def test_prediction_intervals_have_nominal_coverage(model: str, random: str, source: float) -> None:
    """Intervals of coefficients, and of scores of fitted and of new targets, are tested with a known model."""
    hits: dict[str, list[bool]] = {"x": [], "z": [], "new": [], "known": []}
    truth = {"x": 20.0, "z": -4.0}
    for seed in range(80):
        scores, predictors = simulated(seed, rows=10, columns=16, source=source)
        training_scores = scores.copy()
        training_scores[:, 15] = np.nan
        training_scores[4, 3] = np.nan
        joined = joined_of(training_scores, **predictors)
        regression = fit(joined, model, random, left_out=())
        for name, value in truth.items():
            hits[name].append(regression[name].low <= value <= regression[name].high)
        for kind, row, column in (("new", 2, 15), ("known", 4, 3)):
            values = {name: x[row : row + 1, column] for name, x in predictors.items()}
            expected = predict(regression, values, CODES[column], [CODES[row]])
            hits[kind].append(bool(expected.low[0] <= scores[row, column] <= expected.high[0]))
    # For 80 draws at 95 %, fewer than 70 hits have a probability of 0.4 %, and 80 hits one of 1.6 %.
    assert {kind: sum(regression) >= 70 for kind, regression in hits.items()} == dict.fromkeys(hits, True)
    assert min(sum(regression) for regression in hits.values()) < 80


@pytest.mark.parametrize("source", [0.0, 5.0])
def test_least_squares_intervals_have_nominal_coverage(source: float) -> None:
    hits: dict[str, list[bool]] = {"x": [], "z": [], "new": []}
    for seed in range(80):
        scores, predictors = simulated(seed, rows=10, columns=12, source=source)
        training_scores = scores.copy()
        training_scores[:, 11] = np.nan
        regression = fit(joined_of(training_scores, **predictors), left_out=())
        hits["x"].append(regression["x"].low <= 20.0 <= regression["x"].high)
        hits["z"].append(regression["z"].low <= -4.0 <= regression["z"].high)
        values = {name: x[2:3, 11] for name, x in predictors.items()}
        expected = predict(regression, values, CODES[11], [CODES[2]])
        hits["new"].append(bool(expected.low[0] <= scores[2, 11] <= expected.high[0]))
    # Wide intervals are allowed, as `solve_ols` documents; the usual estimate covers at most 60 of 80.
    assert {kind: sum(regression) >= 70 for kind, regression in hits.items()} == dict.fromkeys(hits, True)


def test_too_narrow_interval_is_noted() -> None:
    scores, predictors = simulated(11)
    joined = joined_of(scores, **predictors)
    sentence = "'z' is a property of the source"
    assert any(note.startswith(sentence) for note in fit(joined, "mixed", left_out=()).notes)
    crossed = fit(joined, "mixed", "crossed", left_out=())
    assert not any(note.startswith(sentence) for note in crossed.notes)
    assert crossed["z"].degrees == 8 - 1 - 1
    assert crossed["x"].degrees == crossed.pairs - 8 - 12 - 1


# ---------------------------------------------------------------------------------------- invariances


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), which=st.sampled_from(MODELS))
def test_order_and_names_of_languages_do_not_matter(seed: int, which: tuple[str, str]) -> None:
    scores, predictors = simulated(seed % 50, rows=6, columns=7, source=3.0)
    joined = joined_of(with_gaps(scores), **predictors)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(6), rng.permutation(7)
    names = dict(zip(CODES[:7], rng.permutation(np.array(CODES[7:]))[:7].tolist(), strict=True))
    gold = gold_of(
        joined.gold.values[rows][:, columns],
        tuple(names[CODES[row]] for row in rows),
        tuple(names[CODES[column]] for column in columns),
    )
    matrices = {
        name: SimilarityMatrix(gold.sources, gold.targets, x[rows][:, columns], name) for name, x in predictors.items()
    }
    before, after = (fit(one, *which, left_out=(LEFT_OUT_TARGET,)) for one in (joined, join(gold, matrices)))
    np.testing.assert_allclose(coefficients(after), coefficients(before), rtol=1e-4, atol=1e-4)
    for scheme in before.left_out:
        np.testing.assert_allclose(
            after.left_out[scheme].values, before.left_out[scheme].values[rows][:, columns], rtol=1e-3, atol=1e-3
        )
        assert after.error(scheme).rmse == pytest.approx(before.error(scheme).rmse, rel=1e-3)


@settings(max_examples=8)
@given(shift=st.floats(-1e3, 1e3), scale=st.sampled_from([1e-4, 0.1, -3.0, 1e5]), which=st.sampled_from(MODELS))
def test_units_of_a_predictor_do_not_matter(shift: float, scale: float, which: tuple[str, str]) -> None:
    """A constant does not change slopes, and another unit divides them; predictions do not change."""
    scores, predictors = simulated(12, rows=6, columns=7, source=3.0)
    before = fit(joined_of(scores, **predictors), *which, left_out=(LEFT_OUT_TARGET,))
    moved = predictors | {"x": shift + scale * predictors["x"]}
    after = fit(joined_of(scores, **moved), *which, left_out=(LEFT_OUT_TARGET,))
    assert after["x"].estimate * scale == pytest.approx(before["x"].estimate, rel=1e-4)
    assert after["z"].estimate == pytest.approx(before["z"].estimate, rel=1e-4)
    assert after["x"].p_value == pytest.approx(before["x"].p_value, rel=1e-2, abs=1e-12)
    assert abs(after["x"].standardised) == pytest.approx(abs(before["x"].standardised), rel=1e-4)
    for scheme in before.left_out:
        np.testing.assert_allclose(after.left_out[scheme].values, before.left_out[scheme].values, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("which", MODELS)
def test_unit_of_the_scores_scales_the_estimates(which: tuple[str, str]) -> None:
    scores, predictors = simulated(13, rows=6, columns=7)
    before, after = (fit(joined_of(part, **predictors), *which) for part in (scores, scores / 100))
    np.testing.assert_allclose(coefficients(after) * 100, coefficients(before), rtol=1e-5)
    assert after.error(LEFT_OUT_TARGET).rmse * 100 == pytest.approx(before.error(LEFT_OUT_TARGET).rmse, rel=1e-4)
    assert after.r_squared_conditional == pytest.approx(before.r_squared_conditional, rel=1e-4)


def test_seeds_are_averaged() -> None:
    scores, predictors = simulated(14, rows=6, columns=7)
    single = joined_of(scores, **predictors)
    cells = np.stack([scores + 1, scores - 1])[None]
    twice = replace(single, gold=replace(single.gold, cells=cells, seeds=(1, 2)))
    np.testing.assert_allclose(coefficients(fit(twice, left_out=())), coefficients(fit(single, left_out=())))


# --------------------------------------------------------------------------------- what cannot be fitted


@pytest.mark.parametrize("which", MODELS)
def test_invalid_designs_are_errors(which: tuple[str, str]) -> None:
    scores, predictors = simulated(15, rows=5, columns=6)
    x = predictors["x"]

    def refused(gold: np.ndarray, **given_predictors: np.ndarray) -> str:
        with pytest.raises(UsageError) as caught:
            fit(joined_of(gold, **given_predictors), *which)
        assert caught.value.message.endswith(".")
        return caught.value.message

    assert (
        refused(scores, x=x, flat=np.ones_like(x)) == "these predictors have the same value for all 25 pairs: 'flat'."
    )
    rounded = np.where(x > 0.5, 0.3, 0.1 + 0.2)
    assert refused(scores, x=x, flat=rounded) == "these predictors have the same value for all 25 pairs: 'flat'."
    assert refused(scores, x=x, y=x * 0.1 + 7) == "the predictor 'y' is a linear combination of 'x'."
    assert refused(scores, x=x, z=predictors["z"], sum=x - predictors["z"]) == (
        "the predictor 'sum' is a linear combination of 'x', 'z'."
    )
    assert "2 targets" in refused(scores[:, :2], x=x[:, :2])
    assert "2 sources" in refused(scores[:2], x=x[:2])
    many = {f"x{k}": np.random.default_rng(k).random((3, 3)) for k in range(6)}
    assert refused(scores[:3, :3], **many) == "6 pairs are too few for 7 coefficients."
    assert refused(np.full_like(scores, 3.0), x=x).startswith("all gold scores of the pairs are equal")


def test_unknown_models_are_errors() -> None:
    scores, predictors = simulated(16, rows=5, columns=6)
    with pytest.raises(UsageError, match="there is no model 'lasso'"):
        fit(joined_of(scores, **predictors), "lasso")
    with pytest.raises(UsageError, match="random intercepts 'source'"):
        fit(joined_of(scores, **predictors), "mixed", "source")


def test_nearly_collinear_predictors_are_noted() -> None:
    scores, predictors = simulated(17, rows=6, columns=7)
    x = predictors["x"]
    twin = x + 0.01 * np.random.default_rng(0).standard_normal(x.shape)
    notes = fit(joined_of(scores, x=x, twin=twin), left_out=()).notes
    assert [note.split(" (")[0] for note in notes] == [
        "'x' is nearly a linear combination of the other predictors",
        "'twin' is nearly a linear combination of the other predictors",
    ]


def test_exact_data_give_the_exact_coefficients() -> None:
    x = np.random.default_rng(18).random((5, 6))
    for which in MODELS:
        regression = fit(joined_of(3 + 2 * x, x=x), *which)
        assert regression["x"].estimate == pytest.approx(2, rel=1e-5)
        assert regression.error(LEFT_OUT_TARGET).rmse < 1e-4


def test_prediction_needs_every_predictor() -> None:
    scores, predictors = simulated(19, rows=5, columns=6)
    regression = fit(joined_of(scores, **predictors), "mixed", left_out=())
    with pytest.raises(UsageError, match="needs the predictor 'z'"):
        predict(regression, {"x": [0.5] * 5}, "sw")
    with pytest.raises(UsageError, match="each predictor must have 5 values"):
        predict(regression, {"x": [0.5], "z": [0.1]}, "sw")
    predictions = predict(regression, {"x": [0.5, np.nan], "z": [0.1, 0.1]}, "sw", ["af", "ar"])
    assert np.isfinite(predictions.mean).tolist() == [True, False]
    assert not predictions.known_target
    assert ((predictions.low[:1] >= 0) & (predictions.high[:1] <= 100)).all()


def test_known_target_has_narrower_intervals() -> None:
    scores, predictors = simulated(20, rows=8, columns=10, target=8.0, noise=1.0)
    regression = fit(joined_of(scores, **predictors), "mixed", "crossed", left_out=())
    values = {name: x[:1, 4] for name, x in predictors.items()}
    known, new = (predict(regression, values, target, [CODES[0]]) for target in (CODES[4], "sw"))
    assert known.high[0] - known.low[0] < 0.5 * (new.high[0] - new.low[0])
    new_source = predict(regression, values, CODES[4], ["sw"])
    assert new_source.high[0] - new_source.low[0] > known.high[0] - known.low[0]


def test_frame_has_one_row_per_pair() -> None:
    scores, predictors = simulated(21, rows=5, columns=6)
    regression = fit(joined_of(with_gaps(scores), **predictors), "mixed")
    frame = regression.to_frame()
    assert len(frame) == regression.pairs
    assert list(frame) == ["source", "target", "score", "fitted", "leave_one_target_out", "leave_one_source_out"]
    assert (frame.source != frame.target).all()
    rmse = math.sqrt(np.square(frame.score - frame.leave_one_target_out).mean())
    assert rmse == pytest.approx(regression.error(LEFT_OUT_TARGET).rmse)
    with pytest.raises(KeyError):
        regression["nothing"]
