"""Evaluation of predictors: alignment by label, averages, trivial baselines, undefined values."""

from __future__ import annotations

import dataclasses
import itertools
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import ndcg_score

from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.align_scores import join
from xsns_stream.errors import UsageError
from xsns_stream.evaluation import AVERAGES, NDCG, evaluate
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import JoinedScores, Prediction, TransferScores

CODES = ("sw", "en", "fi", "de", "zu", "et", "fr", "ru")
NDCG_NAME = "ndcg@3[rank-linear]"


def gold(
    cells: np.ndarray, sources: Sequence[str] = CODES, targets: Sequence[str] = CODES, seeds: tuple[int, ...] = ()
) -> TransferScores:
    """Return gold scores in percent from [S, T], [R, S, T] (seeds R) or [G, R, S, T] (regimes G)."""
    cells = cells.reshape((1,) * (4 - cells.ndim) + cells.shape)
    regimes = ("main",) if len(cells) == 1 else tuple(f"regime{index}" for index in range(len(cells)))
    return TransferScores(
        tuple(sources), tuple(targets), cells, "pos", "accuracy", "percent", "made up", regimes, seeds
    )


def matrix(values: np.ndarray, sources: Sequence[str] = CODES, targets: Sequence[str] = CODES) -> SimilarityMatrix:
    """Return a predictor from [S, T], or from [R, S, T] with seeds R."""
    if values.ndim == 2:
        return SimilarityMatrix(tuple(sources), tuple(targets), values, "made-up")
    seeds = tuple(range(len(values)))
    return SimilarityMatrix(tuple(sources), tuple(targets), values.mean(axis=0), "jaccard", None, seeds, values)


def made_up(seed: int = 0, shape: tuple[int, ...] = (8, 8)) -> np.ndarray:
    """Return random scores between 0 and 100 without ties: they differ by at least 0.01."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.arange(1, 10_001) / 100)[: int(np.prod(shape))].reshape(shape)


def small(**options: object) -> Evaluation:
    joined = join(gold(made_up()), {"x": matrix(made_up(1)), "y": matrix(made_up(2))})
    return evaluate(joined, resamples=200, **options)  # type: ignore[arg-type]


def test_means_equal_a_loop_over_labels() -> None:
    """Each side has another order of labels, and languages that the other side does not have."""
    rng = np.random.default_rng(0)
    scores, values = made_up(0, (8, 6)), rng.random((7, 8))
    sources, targets = ("fi", "en", "ru", "zu", "sw", "et", "mt", "de"), ("et", "sw", "de", "en", "fr", "ja")
    rows, columns = ("en", "sw", "fi", "zu", "de", "ru", "ja"), ("fr", "en", "de", "fi", "et", "sw", "zu", "ru")
    joined = join(gold(scores, sources, targets), {"x": matrix(values, rows, columns)})
    evaluation = evaluate(joined, resamples=100)
    expected = []
    for target in ("et", "sw", "de", "en", "fr"):
        candidates = [code for code in sources if code in rows and code != target]
        y = [scores[sources.index(code), targets.index(target)] for code in candidates]
        x = [values[rows.index(code), columns.index(target)] for code in candidates]
        chosen = int(np.argmax(x))
        order = list(np.argsort(x)[::-1])
        expected.append(
            {
                "pearson": stats.pearsonr(x, y).statistic,
                "spearman": stats.spearmanr(x, y).statistic,
                "kendall": stats.kendalltau(x, y).statistic,
                "top-1": float(chosen == np.argmax(y)),
                "top-3": float(np.argmax(y) in order[:3]),
                NDCG_NAME: ndcg_score([stats.rankdata(y)], [stats.rankdata(x)], k=3),
                "mrr": 1 / (order.index(int(np.argmax(y))) + 1),
                "regret": max(y) - y[chosen],
                "over-english": np.nan if target == "en" else y[chosen] - y[candidates.index("en")],
            }
        )
    assert evaluation.targets == ("et", "sw", "de", "en", "fr")
    assert evaluation.metrics[:-4] == tuple(expected[0])
    for column, metric in enumerate(expected[0]):
        values_of = [row[metric] for row in expected]
        np.testing.assert_allclose(evaluation.per_target[0, column], values_of, atol=1e-12)
        assert evaluation["x", metric] == pytest.approx(np.nanmean(values_of))
    assert any("mt" in note for note in evaluation.notes)


def test_trivial_baselines_equal_their_definitions() -> None:
    scores = made_up()
    evaluation = small()
    assert evaluation.predictors == ("x", "y", "random", "english", "source-mean")
    assert evaluation.settings.trivial == ("random", "english", "source-mean")
    own = np.eye(8, dtype=bool)
    others = np.where(own, np.nan, scores)
    assert evaluation["random", "regret"] == pytest.approx(np.mean(np.nanmax(others, 0) - np.nanmean(others, 0)))
    assert evaluation["random", "top-1"] == pytest.approx(1 / 7)
    assert evaluation["random", "pearson"] == 0
    english = CODES.index("en")
    lost = np.nanmax(others, 0) - others[english]
    lost[english] = np.nanmax(others[:, english]) - np.nanmean(others[:, english])
    np.testing.assert_allclose(evaluation.per_target[3, evaluation.metrics.index("regret")], lost)
    over = evaluation.per_target[3, evaluation.metrics.index("over-english")]
    assert np.isnan(over[english])
    assert not np.delete(over, english).any()
    for index in range(8):
        means = [np.nanmean(np.delete(others[source], index)) for source in range(8)]
        chosen = max((source for source in range(8) if source != index), key=lambda source: means[source])
        assert evaluation.choices[index].followed[4] == (CODES[chosen],)
    assert any("`ceiling`" in note for note in evaluation.notes)


def test_trivial_baselines_can_be_left_out() -> None:
    evaluation = small(with_trivial=False)
    assert evaluation.predictors == ("x", "y")
    assert evaluation.settings.trivial == ()


def test_a_perfect_prediction_has_the_best_value_of_every_metric() -> None:
    scores = made_up()
    evaluation = evaluate(join(gold(scores), {"x": matrix(scores), "y": matrix(-scores)}), resamples=100)
    for metric in evaluation.metrics[: evaluation.metrics.index("regret")]:
        assert evaluation["x", metric] == pytest.approx(1.0)
        assert evaluation.interval("x", metric) == pytest.approx((1.0, 1.0))
    assert evaluation["x", "regret"] == 0
    assert evaluation["y", "pearson"] == pytest.approx(-1.0)
    assert evaluation["y", "top-1"] == 0
    assert evaluation["x", "over-english"] > 0 > evaluation["y", "over-english"]


def test_metrics_are_averaged_over_pairs_of_seeds_or_computed_from_mean_matrices() -> None:
    """As in the paper, three seeds of sub-networks and two of fine-tuning give six pairs."""
    scores, values = made_up(0, (2, 8, 8)), made_up(3, (3, 8, 8))
    joined = join(gold(scores, seeds=(1, 2)), {"x": matrix(values)})
    by_metric, by_matrix = (evaluate(joined, average=average, resamples=100) for average in AVERAGES)
    single = [
        evaluate(join(gold(one), {"x": matrix(other)}), resamples=100)["x", "spearman"]
        for one, other in itertools.product(scores, values)
    ]
    assert by_metric["x", "spearman"] == pytest.approx(np.mean(single))
    assert by_metric.settings.resampled == "targets and seeds"
    means = evaluate(join(gold(scores.mean(0)), {"x": matrix(values.mean(0))}), resamples=100)
    assert by_matrix["x", "spearman"] == pytest.approx(means["x", "spearman"])
    assert by_matrix.settings.average == "matrices"


@pytest.mark.parametrize("average", AVERAGES)
def test_ceiling_predicts_each_seed_by_the_others(average: str) -> None:
    scores = made_up(0, (3, 8, 8))
    evaluation = evaluate(
        join(gold(scores, seeds=(1, 2, 3)), {"x": matrix(made_up(9))}), average=average, resamples=100
    )
    single = []
    for seed in range(3):
        rest = np.delete(scores, seed, axis=0).mean(axis=0)
        one_seed = evaluate(join(gold(scores[seed]), {"x": matrix(rest)}), resamples=100)
        single.append([one_seed["x", "kendall"], one_seed["x", "regret"], one_seed["x", "over-english"]])
    assert evaluation.settings.ceiling == "each seed predicted by the mean of the others"
    # Mean matrices have no seeds to resample, whatever the ceiling is computed from.
    assert evaluation.settings.resampled == {"metrics": "targets and seeds", "matrices": "targets"}[average]
    ours = [evaluation["ceiling", metric] for metric in ("kendall", "regret", "over-english")]
    np.testing.assert_allclose(ours, np.mean(single, axis=0))


def test_ceiling_of_another_regime_is_aligned_by_label() -> None:
    scores = gold(made_up(0, (2, 1, 8, 8)))
    other = scores.regime("regime1").restricted(CODES[::-1], CODES[::-1])
    joined = join(scores.regime("regime0"), {"x": matrix(made_up(5))})
    evaluation = evaluate(joined, ceiling=other, resamples=100)
    direct = evaluate(join(gold(scores.cells[0]), {"x": matrix(scores.cells[1, 0])}), resamples=100)
    assert evaluation["ceiling", NDCG_NAME] == pytest.approx(direct["x", NDCG_NAME])
    assert evaluation.settings.ceiling == "regime regime1"
    assert not any("ceiling" in note for note in evaluation.notes)
    fewer = evaluate(joined, ceiling=other.restricted(CODES, CODES[:5]), resamples=100)
    assert fewer.undefined[fewer.predictors.index("ceiling"), 0] == 3
    assert "'ceiling' is undefined for et, fr, ru, because it has no value for one of the candidates." in fewer.notes


def test_constant_predictions_have_no_correlation_and_are_counted() -> None:
    values = made_up(1)
    values[:, [2, 5]] = 7.0
    evaluation = evaluate(join(gold(made_up()), {"x": matrix(values)}), resamples=100)
    assert evaluation.undefined[0, :3].tolist() == [2, 2, 2]
    assert evaluation.undefined[0, 3] == 0
    defined = np.delete(evaluation.per_target[0, 0], [2, 5])
    assert evaluation["x", "pearson"] == pytest.approx(defined.mean())
    assert "'x' has no correlation for fi, et: its predictions, or the scores, are all equal." in evaluation.notes
    assert "'x' predicts several best sources for fi, et; metrics are averaged over these sources." in evaluation.notes
    np.testing.assert_allclose(evaluation.per_target[0, 3:8, [2, 5]], evaluation.per_target[1, 3:8, [2, 5]])
    nothing = evaluate(join(gold(made_up()), {"x": matrix(np.ones((8, 8)))}), resamples=100)
    assert np.isnan(nothing["x", "pearson"])
    assert all(np.isnan(nothing.interval("x", "pearson")))


def test_constant_scores_have_no_correlation_with_random_order() -> None:
    scores = made_up()
    scores[:, 4] = 50.0
    evaluation = evaluate(join(gold(scores), {"x": matrix(made_up(1))}), resamples=100)
    assert evaluation.undefined[:, 0].tolist() == [1, 1, 2, 1]
    assert evaluation.per_target[0, evaluation.metrics.index("regret"), 4] == 0


@pytest.mark.parametrize(("candidates", "undefined"), [(0, 13), (1, 13), (2, 3), (3, 0)])
def test_metrics_of_targets_with_few_candidates_are_undefined_and_noted(candidates: int, undefined: int) -> None:
    scores = made_up()
    rows = [row for row in range(8) if row != 4][:candidates]
    scores[[row for row in range(8) if row not in rows], 4] = np.nan
    evaluation = evaluate(join(gold(scores), {"x": matrix(made_up(1))}, targets=["all"]), resamples=100)
    assert evaluation.choices[4].candidates == candidates
    missing = np.isnan(evaluation.per_target[0, :, 4])
    # English is the second source, so that it is not a candidate if there are fewer than two.
    assert missing.sum() == undefined
    about = [note for note in evaluation.notes if re.search(r" zu(:|, because)", note)]
    expected = {0: ["the metrics are undefined for zu, because there are fewer than 2 candidate sources."], 3: []}
    expected[1] = expected[0]
    expected[2] = ["correlations are undefined for zu, because two sources always correlate perfectly."]
    if candidates > 1:
        assert "Top-3 is always 1, and NDCG@3 is high in any order, for zu: at most 3 candidates." in about
        about.remove("Top-3 is always 1, and NDCG@3 is high in any order, for zu: at most 3 candidates.")
    assert about == expected[candidates]


def test_all_predictors_have_the_same_candidates() -> None:
    """A pair that one predictor lacks is left out for all predictors."""
    values = made_up(1)
    values[3, 0] = np.nan
    single = evaluate(join(gold(made_up()), {"x": matrix(made_up(2))}), resamples=100)
    together = evaluate(join(gold(made_up()), {"x": matrix(made_up(2)), "y": matrix(values)}), resamples=100)
    assert single.choices[0].candidates == 7
    assert together.choices[0].candidates == 6
    assert single.per_target[0, 0, 0] != together.per_target[0, 0, 0]
    np.testing.assert_array_equal(single.per_target[0, :, 1:], together.per_target[0, :, 1:])


def test_a_score_that_is_missing_for_one_gold_seed_does_not_remove_the_other_seeds() -> None:
    scores = made_up(0, (2, 8, 8))
    scores[1, 3:, 0] = np.nan
    evaluation = evaluate(join(gold(scores, seeds=(1, 2)), {"x": matrix(made_up(2))}), resamples=100)
    # The second seed has two sources left and no correlation, so that only the first seed counts.
    single = evaluate(join(gold(scores[0]), {"x": matrix(made_up(2))}), resamples=100)
    assert evaluation.per_target[0, 0, 0] == single.per_target[0, 0, 0]
    assert "'x' is undefined with some seeds for sw: metrics are averaged over the other seeds." in evaluation.notes


def test_without_english_there_is_no_comparison_with_english() -> None:
    rows = [row for row, code in enumerate(CODES) if code != "en"]
    codes = [CODES[row] for row in rows]
    joined = join(gold(made_up()[rows], codes), {"x": matrix(made_up(1)[rows], codes)})
    evaluation = evaluate(joined, resamples=100)
    assert "english" not in evaluation.predictors
    assert "over-english" not in evaluation.metrics
    assert (
        "English is not a source of the pool: there is no comparison with always choosing English." in evaluation.notes
    )


def test_a_comparison_has_differences_intervals_and_p_values() -> None:
    evaluation = small(reference="y")
    comparison = evaluation.comparison
    assert comparison is not None
    assert comparison.reference == "y"
    paired = evaluation.per_target - evaluation.per_target[1]
    np.testing.assert_allclose(comparison.difference[0], np.nanmean(paired[0], axis=1))
    assert np.isnan(comparison.difference[1]).all()
    assert np.isnan(comparison.p[1]).all()
    assert (comparison.low[0] <= comparison.difference[0]).all()
    assert (comparison.difference[0] <= comparison.high[0]).all()
    assert comparison.targets[0].tolist() == [8] * 8 + [7] + [8] * 4
    column = comparison.p[[0, 2, 3, 4], 3]
    assert (comparison.p_holm[[0, 2, 3, 4], 3] >= column).all()
    assert comparison.p_holm[[0, 2, 3, 4], 3].min() == pytest.approx(min(1.0, 4 * column.min()))


def test_real_difference_is_significant() -> None:
    scores = made_up(0, (8, 8))
    evaluation = evaluate(
        join(gold(scores), {"good": matrix(scores + made_up(7) / 20), "bad": matrix(made_up(8))}),
        reference="good",
        resamples=500,
    )
    comparison = evaluation.comparison
    assert comparison is not None
    row, column = evaluation.predictors.index("bad"), evaluation.metrics.index("spearman")
    assert comparison.high[row, column] < 0
    assert comparison.p_holm[row, column] < 0.05


def test_relabelling_and_permuting_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    scores, values = made_up(), made_up(1)
    rows, columns = rng.permutation(8), rng.permutation(8)
    labels = [CODES[index] for index in rows], [CODES[index] for index in columns]
    plain = evaluate(join(gold(scores), {"x": matrix(values)}), resamples=200)
    moved = evaluate(join(gold(scores[rows][:, columns], *labels), {"x": matrix(values)}), resamples=200)
    np.testing.assert_allclose(moved.mean, plain.mean, atol=1e-12)
    np.testing.assert_allclose(moved.per_target, plain.per_target[:, :, columns], atol=1e-12)
    # English keeps its label, because the row `english` refers to it.
    names = dict(zip(CODES, ("xh", "en", "hu", "nl", "ss", "vep", "it", "uk"), strict=True))
    other = [names[code] for code in CODES]
    called = evaluate(join(gold(scores, other, other), {"x": matrix(values, other, other)}), resamples=200)
    for field in ("per_target", "low", "high"):
        np.testing.assert_array_equal(getattr(called, field), getattr(plain, field))


def test_repeated_target_does_not_change_means() -> None:
    """The same columns are added again under labels of languages that are not sources."""
    scores, values = made_up(0, (8, 3)), made_up(1, (8, 3))
    once = evaluate(join(gold(scores, CODES, ("hu", "nl", "it")), {"x": matrix(values, CODES, ("hu", "nl", "it"))}))
    names = ("hu", "nl", "it", "uk", "ss", "xh")
    twice = evaluate(join(gold(np.tile(scores, 2), CODES, names), {"x": matrix(np.tile(values, 2), CODES, names)}))
    rows = [row for row, name in enumerate(once.predictors) if name != "source-mean"]
    np.testing.assert_allclose(twice.mean[rows], once.mean[rows], atol=1e-12)
    assert np.all((twice.high - twice.low)[0, :3] < (once.high - once.low)[0, :3])


def test_monotone_transforms_of_a_predictor_do_not_change_order_metrics() -> None:
    values = made_up(1)
    joined = join(
        gold(made_up()),
        {"x": matrix(values), "shifted": matrix(values / 3 + 40), "squared": matrix(values**2)},
    )
    evaluation = evaluate(joined, resamples=100)
    np.testing.assert_allclose(evaluation.mean[1], evaluation.mean[0], atol=1e-9)
    np.testing.assert_allclose(evaluation.mean[2, 1:], evaluation.mean[0, 1:], atol=1e-12)
    assert abs(evaluation.mean[2, 0] - evaluation.mean[0, 0]) > 1e-4


def test_the_same_seed_gives_the_same_evaluation() -> None:
    first, again, other = small(seed=4), small(seed=4), small(seed=5)
    np.testing.assert_array_equal(first.low, again.low)
    np.testing.assert_array_equal(first.mean, other.mean)
    assert not np.array_equal(first.low, other.low)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"ndcg": "gain"}, "there is no variant of NDCG 'gain'.", f"choose one of {', '.join(NDCG)}."),
        ({"average": "seeds"}, "there is no way to average 'seeds'.", "choose one of metrics, matrices."),
        ({"resamples": 10}, "10 resamples are too few for an interval.", "use at least 100."),
        (
            {"reference": "z"},
            "there is no predictor 'z' to compare with.",
            "choose one of x, random, english, source-mean.",
        ),
        (
            {"reference": "x", "with_trivial": False},
            "there is no other predictor to compare 'x' with.",
            "give another predictor.",
        ),
    ],
)
def test_invalid_arguments_are_errors(options: dict[str, object], message: str, hint: str) -> None:
    joined = join(gold(made_up()), {"x": matrix(made_up(1))})
    with pytest.raises(UsageError) as caught:
        evaluate(joined, **{"resamples": 100} | options)  # type: ignore[arg-type]
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_names_of_trivial_baselines_are_reserved() -> None:
    joined = join(gold(made_up()), {"random": matrix(made_up(1))})
    with pytest.raises(UsageError, match="a predictor has the name 'random' of a trivial baseline"):
        evaluate(joined, resamples=100)
    assert evaluate(joined, resamples=100, with_trivial=False).predictors == ("random",)


def test_unknown_predictors_and_metrics_are_refused() -> None:
    evaluation = small()
    with pytest.raises(UsageError, match="there is no predictor 'z'"):
        evaluation["z", "mrr"]
    with pytest.raises(UsageError, match="there is no metric 'ndcg'"):
        evaluation.interval("x", "ndcg")
    with pytest.raises(ValueError, match="the labels need"):
        dataclasses.replace(evaluation, metrics=evaluation.metrics[1:])


def test_frames_have_a_row_for_each_predictor_and_metric_or_target() -> None:
    evaluation = small(reference="x")
    frame = evaluation.to_frame()
    assert len(frame) == 5 * 13
    line = frame[(frame.predictor == "y") & (frame.metric == "regret")].iloc[0]
    assert line["mean"] == evaluation["y", "regret"]
    assert {"difference", "p_holm", "undefined"} <= set(frame.columns)
    targets = evaluation.per_target_frame()
    assert len(targets) == 5 * 8
    line = targets[(targets.predictor == "y") & (targets.target == "zu")].iloc[0]
    assert line["regret"] == evaluation.per_target[1, evaluation.metrics.index("regret"), 4]
    assert line["candidates"] == 7
    assert line["followed"] == " ".join(evaluation.choices[4].followed[1])


def test_large_pool_is_fast_enough() -> None:
    """65 × 105 pairs, eight predictors and 10,000 resamples are evaluated. The test does not measure the time."""
    rng = np.random.default_rng(0)
    sources, targets = tuple(f"s{n}" for n in range(65)), tuple(f"t{n}" for n in range(105))
    scores = TransferScores(sources, targets, rng.random((1, 1, 65, 105)), "pos", "accuracy", "fraction", "made up")
    predictions = tuple(Prediction(f"p{n}", "x", rng.random((1, 65, 105))) for n in range(8))
    evaluation = evaluate(JoinedScores(scores, predictions), reference="p0")
    assert evaluation.settings.resamples == 10_000
    # Over 105 targets, the mean for random predictions is close to the value of a random order.
    assert evaluation["p1", "mrr"] == pytest.approx(evaluation["random", "mrr"], abs=0.08)


def test_evaluation_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, xsns_stream.evaluation; print([m for m in ('torch', 'pandas', 'scipy') if m in sys.modules])"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert completed.stdout.strip() == "[]"


# ---------------------------------------------------------------------------------- real scores

POS = tuple("bg zh nl en fi fr hi id it ja ko no pl pt ru sk es sv tr uk".split())  # noqa: SIM905


@pytest.fixture(scope="module")
def pos() -> Evaluation:
    """The paper's POS languages, XLM-R base, with LDND."""
    from xsns_stream.baselines import ldnd, read_distances
    from xsns_stream.gold import import_scores

    scores = import_scores(SHARED / "xpos/results/udpos-ft-10000.csv", "xpos").scores
    return evaluate(join(scores, {"ldnd": ldnd(read_distances(SHARED / "xpos/results/ldnd.csv"))}, POS, POS))


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data")
@pytest.mark.parametrize(
    ("row", "metric", "percent"),
    [
        ("ldnd", NDCG_NAME, 84.2),
        ("source-mean", NDCG_NAME, 85.2),
        ("source-mean", "pearson", 73.9),
        ("source-mean", "spearman", 67.8),
        ("source-mean", "top-1", 25.0),
        ("english", NDCG_NAME, 66.2),
    ],
)
def test_published_data_give_known_results(pos: Evaluation, row: str, metric: str, percent: float) -> None:
    assert round(100 * pos[row, metric], 1) == percent


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data")
@pytest.mark.parametrize("layer", [0, 8])
def test_embedding_similarities_on_ner_equal_a_loop_over_the_files(layer: int) -> None:
    """The matrices of mPLM-Sim (XLM-R base) and the gold scores of WikiANN have different pools."""
    import pandas as pd

    from xsns_stream.gold import import_scores
    from xsns_stream.similarity.matrix_io import read_matrix

    ner, near = SHARED / "gold/nnrank_wikiann_ner_xlmr_base.csv", f"xlm-roberta-base_flores200_layer{layer}.tsv"
    scores = import_scores(ner, "nnrank", metric="f1").scores
    codes = ("de", "fi", "id", "hi", "ru", "tr", "vi", "ja")
    joined = join(scores, {"emb": read_matrix(SHARED / "typology/mplm_sim" / near)}, codes, codes)
    evaluation = evaluate(joined, resamples=100)
    gold_frame = pd.read_csv(ner, keep_default_na=False).pivot(index="source", columns="target", values="f1")
    table = pd.read_csv(SHARED / "typology/mplm_sim" / near, sep="\t", index_col=0)
    names = ("deu_Latn", "fin_Latn", "ind_Latn", "hin_Deva", "rus_Cyrl", "tur_Latn", "vie_Latn", "jpn_Jpan")
    expected = []
    for target, name in zip(codes, names, strict=True):
        candidates = [(code, other) for code, other in zip(codes, names, strict=True) if code != target]
        y = [gold_frame.loc[code, target] for code, _ in candidates]
        x = [table.loc[other, name] for _, other in candidates]
        value = ndcg_score([stats.rankdata(y)], [stats.rankdata(x)], k=3)
        expected.append((stats.pearsonr(x, y).statistic, stats.spearmanr(x, y).statistic, value))
    metrics = ("pearson", "spearman", NDCG_NAME)
    np.testing.assert_allclose([evaluation["emb", metric] for metric in metrics], np.mean(expected, axis=0), atol=1e-9)


def test_rounding_differences_are_not_significant() -> None:
    """A constant prediction of several seeds equals a random order, although means over seeds are rounded."""
    rng = np.random.default_rng(0)
    labels = tuple("en de fr sw fi ru zh ja ko ar hi tr bg nl it pt es sv uk sk".split())  # noqa: SIM905
    gold = TransferScores(labels, labels, rng.random((1, 1, 20, 20)) * 100, "t", "m", "percent", "made up")
    per_seed = np.ones((3, 20, 20))
    constant = SimilarityMatrix(labels, labels, per_seed.mean(axis=0), "one", seeds=(1, 2, 3), per_seed=per_seed)
    evaluation = evaluate(join(gold, {"constant": constant}), reference="random", resamples=200)
    assert evaluation.comparison is not None
    p = evaluation.comparison.p[evaluation.predictors.index("constant")]
    np.testing.assert_array_equal(p[np.isfinite(p)], 1.0)


@pytest.mark.parametrize("seed", [3, 43, 163])
def test_source_mean_does_not_depend_on_the_order_of_languages(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.array(["en", "de", "fr", "sw", "fi", "ru"])
    cells, order = np.round(rng.random((1, 3, 6, 6)) * 4) / 10, rng.permutation(6)
    predicted = rng.random((6, 6))

    def mean_of(order: Any) -> Any:
        codes = tuple(labels[order].tolist())
        gold = TransferScores(
            codes, codes, cells[:, :, order][:, :, :, order], "t", "m", "fraction", "o", seeds=(0, 1, 2)
        )
        matrix = SimilarityMatrix(codes, codes, predicted[np.ix_(order, order)], "c")
        return evaluate(join(gold, {"x": matrix}), resamples=100).mean

    np.testing.assert_allclose(mean_of(np.arange(6)), mean_of(order), atol=1e-12)
