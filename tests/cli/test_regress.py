"""The verb `regress` with files, its page, and the results of de Vries et al. computed from their tables."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.page_blocks import run_page
from tests.support.paths import SHARED_DATA as SHARED
from tests.support.streams import json_result
from xsns_stream.align_scores import join
from xsns_stream.evaluation import evaluate
from xsns_stream.gold import import_scores, write_scores
from xsns_stream.regression import feature_matrix, fit, parse_feature, read_features
from xsns_stream.report import write_matrix
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.regressions import LEFT_OUT_TARGET
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("de", "en", "et", "fi", "fr", "ru", "sw", "tr")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with gold scores of eight languages, a good predictor that also has Maltese, and a table."""
    rng = np.random.default_rng(0)
    near = rng.random((9, 9))
    scores = 30 + 40 * near[:8, :8] + 8 * rng.standard_normal((1, 8)) + 2 * rng.standard_normal((8, 8))
    gold = TransferScores(CODES, CODES, scores[None, None], "pos", "accuracy", "percent", "made up")
    write_scores(gold, tmp_path / "gold.parquet")
    codes = (*CODES, "mt")
    write_matrix(SimilarityMatrix(codes, codes, near, "ldnd"), tmp_path / "ldnd.parquet")
    families = ("IE", "IE", "Uralic", "Uralic", "IE", "IE", "Bantu", "Turkic", "Semitic")
    lines = [
        f"{code},{family},{10 ** (index % 4)}" for index, (code, family) in enumerate(zip(codes, families, strict=True))
    ]
    (tmp_path / "languages.csv").write_text("code,family,size\n" + "\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


GOLD = ("regress", "--gold", "gold.parquet")
LDND = (*GOLD, "--predict", "ldnd.parquet")
FEATURES = (*GOLD, "--features", "languages.csv", "--feature", "same:family")


#: The result that the verb printed with `--json`.
result = partial(json_result, "regress")


def test_the_table_has_coefficients_variances_and_errors(folder: Path, xsns: Any) -> None:
    completed = xsns(*LDND, "--model", "mixed")
    assert completed.code == 0, completed.err
    assert completed.out.startswith("mixed (target): pos accuracy (percent) of 56 pairs, 8 sources and 8 targets\n")
    for name in ("intercept", "ldnd", "between targets", "leave one target out", "english", "source-mean"):
        assert f"\n{name} " in completed.out
    assert "note: the gold scores do not have mt" in completed.err
    assert xsns(*LDND, "--model", "mixed", "--quiet").err == ""


def test_json_has_coefficients_errors_and_predictions(folder: Path, xsns: Any) -> None:
    document = result(xsns(*LDND, "--model", "mixed", "--random", "crossed", "--new", "sw,mt", "--json"))
    assert document["model"] == "mixed"
    assert document["random_intercepts"] == ["target", "source"]
    slope = document["coefficients"][1]
    assert slope["name"] == "ldnd"
    assert slope["low"] < 40 < slope["high"]
    assert document["coefficients"][0]["standardised"] is None
    errors = {error["way"]: error for error in document["errors"]}
    assert (
        errors["in sample"]["rmse"] < errors["leave one target out"]["rmse"] < errors["leave one target out"]["of_mean"]
    )
    assert {row["predictor"] for row in document["ranking"]} >= {"in sample", "leave one source out", "source-mean"}
    known, new = document["predictions"]
    assert (known["target"], known["known_target"]) == ("sw", True)
    assert (new["target"], new["known_target"]) == ("mt", False)
    assert [one["language"] for one in known["sources"]] == [code for code in CODES if code != "sw"]
    assert [one["language"] for one in new["sources"]] == list(CODES)
    assert all(0 <= one["low"] <= one["mean"] <= one["high"] <= 100 for one in new["sources"])


def test_features_and_matrices_can_be_combined(folder: Path, xsns: Any) -> None:
    document = result(
        xsns(*FEATURES, "--feature", "amount=log-source:size", "--predict", "near=ldnd.parquet", "--json", "-q")
    )
    assert [one["name"] for one in document["coefficients"]] == ["intercept", "near", "same_family", "amount"]
    assert document["pairs"] == 56


def test_sources_and_targets_can_be_restricted(folder: Path, xsns: Any) -> None:
    """`--targets` limits the fit; a target of `--new` is predicted although it is not among them."""
    document = result(xsns(*LDND, "--targets", "en,fi,fr,sw", "--sources", "en,de,fi,tr", "--new", "mt", "--json"))
    assert document["targets"] == ["en", "fi", "fr", "sw"]
    assert document["pairs"] == 14
    assert [one["language"] for one in document["predictions"][0]["sources"]] == ["en", "de", "fi", "tr"]


def test_the_regression_is_written_to_every_format(folder: Path, xsns: Any) -> None:
    outputs = [f"out{suffix}" for suffix in (".md", ".tex", ".json", ".csv", ".parquet", ".svg")]
    completed = xsns(*LDND, *(part for name in outputs for part in ("-o", name)))
    assert completed.code == 0, completed.err
    assert all(f"wrote {name}" in completed.err for name in outputs)
    assert len(pd.read_parquet(folder / "out.parquet")) == 56
    document = json.loads((folder / "out.json").read_text())
    assert document["coefficients"] == result(xsns(*LDND, "--json"))["coefficients"]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (GOLD, "no predictor was given.", "give --predict NAME=PATH"),
        ((*GOLD, "--features", "languages.csv"), "tables were given without features.", "give --feature KIND:COLUMN"),
        ((*GOLD, "--feature", "same:family"), "features were given without tables.", "give --features FILE"),
        ((*LDND, "--random", "crossed"), "--random cannot be used with least squares.", "add --model mixed."),
        ((*FEATURES, "--feature", "same_family=source:size"), "two predictors are called 'same_family'.", "name one"),
        (
            (*FEATURES, "--feature", "same:family=x"),
            "no table of --features has a column 'family=x'.",
            "columns are code",
        ),
        (
            (*GOLD, "--features", "languages.csv", "--feature", "target:size", "--feature", "t=target:size"),
            "the predictor 't' is a linear combination of 'target_size'.",
            "leave one of them out",
        ),
        ((*LDND, "--sources", "en,de"), "the pairs have 2 sources", "give gold scores and predictors"),
        ((*LDND, "--new", "yo"), "the predictor 'ldnd' has no value for the target 'yo'.", "give predictors"),
        ((*LDND, "--new", "not a code"), "'not a code' is not a language code.", "write a BCP 47 code"),
        (
            (*LDND, "-o", "out.xls"),
            "'out.xls' does not end in the suffix of a supported format.",
            "use one of the suffixes",
        ),
        ((*GOLD, "--predict", "missing.parquet"), "there is neither a store nor a file 'missing.parquet'.", "check"),
    ],
)
def test_invalid_arguments_are_errors(
    folder: Path, xsns: Any, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    completed = xsns(*arguments)
    assert completed.code in {1, 2}
    assert completed.out == ""
    assert completed.err.splitlines()[-2].startswith(f"error: {message}")
    assert completed.err.splitlines()[-1].startswith(f"hint: {hint}")
    assert "Traceback" not in completed.err


def test_examples_of_the_page_run(folder: Path, xsns: Any) -> None:
    run = run_page("docs/regression.md", xsns)
    assert all(completed.out for _, completed in run.commands)
    assert {path.name for path in folder.iterdir()} >= {"regression.md", "fitted.png"}
    space = run.names
    assert space["found"]["ldnd"].estimate == pytest.approx(40, abs=6)
    assert not space["expected"].known_target
    assert np.isfinite(space["expected"].mean).all()


# --------------------------------------------------------------------- what de Vries et al. (2022) found

XPOS = (
    "family=same-group:family script=same:script type=same-script-type:script order=same-known:SOV_order "
    "source=source:in_xlmr_pretraining target=target:in_xlmr_pretraining ldnd=pair:ldnd"
)

#: The part-of-speech languages of Yun et al. (2023).
POOL = ("bg", "zh", "nl", "en", "fi", "fr", "hi", "id", "it", "ja")
POOL += ("ko", "no", "pl", "pt", "ru", "sk", "es", "sv", "tr", "uk")


@pytest.fixture(scope="module")
def xpos() -> Any:
    data = SHARED / "xpos"
    if not data.is_dir():
        pytest.skip("the real scores are not here")
    gold = import_scores(data / "gold_xlmr_base_pos_matrix.csv", "xpos").scores
    tables = read_features([data / "languages.csv", data / "gold_xlmr_base_pos_long.csv"])
    features = [parse_feature(text) for text in XPOS.split()]
    return gold, {one.name: feature_matrix(one, tables, gold.sources, gold.targets) for one in features}


@pytest.mark.shared_data
def test_effects_have_the_signs_of_the_published_model(xpos: Any) -> None:
    """Each effect has the sign of the published model, and an interval without zero."""
    gold, matrices = xpos
    regression = fit(join(gold, matrices), "mixed", "crossed", left_out=())
    assert (regression.pairs, len(regression.fitted.sources), len(regression.fitted.targets)) == (5429, 61, 90)
    for name in ("family", "script", "type", "order", "source", "target"):
        assert regression[name].low > 0, name
    assert regression["ldnd"].high < 0


@pytest.mark.shared_data
def test_random_intercepts_remove_the_confounding_of_least_squares(xpos: Any) -> None:
    """Without random intercepts, a shared script has a negative effect; so has a shared branch beside LDND."""
    gold, matrices = xpos
    assert fit(join(gold, matrices), left_out=())["script"].estimate < 0
    tables = read_features([SHARED / "xpos" / "languages.csv"])
    branch = feature_matrix(parse_feature("same:family"), tables, gold.sources, gold.targets)
    assert fit(join(gold, matrices | {"family": branch}), "mixed", "crossed", left_out=())["family"].high < 0
    without = {name: matrix for name, matrix in matrices.items() if name != "ldnd"} | {"family": branch}
    assert fit(join(gold, without), "mixed", "crossed", left_out=())["family"].low > 0


@pytest.mark.shared_data
def test_ldnd_with_source_intercepts_predicts_better_than_either_alone(xpos: Any) -> None:
    """Unseen targets of the paper's POS languages are ranked by LDND with intercepts of targets, or of both sides."""
    gold, matrices = xpos
    joined = join(gold, {"ldnd": matrices["ldnd"]}, POOL, POOL)
    ndcg = {}
    for random in ("target", "crossed"):
        predicted = fit(joined, "mixed", random, left_out=(LEFT_OUT_TARGET,)).left_out[LEFT_OUT_TARGET]
        ranks = evaluate(join(gold.restricted(POOL, POOL), {random: predicted}), resamples=200)
        ndcg[random] = round(100 * ranks[random, "ndcg@3[rank-linear]"], 1)
        ndcg["source-mean"] = round(100 * ranks["source-mean", "ndcg@3[rank-linear]"], 1)
    assert ndcg == {"target": 84.2, "crossed": 90.3, "source-mean": 85.2}


@pytest.mark.shared_data
def test_errors_of_ldnd_equal_those_of_numpy(xpos: Any) -> None:
    """Errors in sample and for each left-out target equal those of least squares by NumPy on the same pairs."""
    gold, matrices = xpos
    joined = join(gold, {"ldnd": matrices["ldnd"]})
    regression = fit(joined)
    rows, columns = np.nonzero(joined.candidates)
    y, x = gold.values, joined.predictions[0].values
    scores = joined.gold.values[rows, columns]
    lines = np.stack([np.ones(len(rows)), x[rows, columns]], axis=1)
    assert y.shape == (65, 105)

    def error(coefficients_for: Any) -> float:
        return float(np.sqrt(np.mean([(scores[i] - lines[i] @ coefficients_for(i)) ** 2 for i in range(len(scores))])))

    coefficients = np.linalg.lstsq(lines, scores, rcond=None)[0]
    assert regression.error("in sample").rmse == pytest.approx(error(lambda _: coefficients))
    by_target = {t: np.linalg.lstsq(lines[columns != t], scores[columns != t], rcond=None)[0] for t in set(columns)}
    assert regression.error("leave one target out").rmse == pytest.approx(error(lambda i: by_target[columns[i]]))
    assert 0.93 < regression.error("leave one target out").coverage < 0.99
