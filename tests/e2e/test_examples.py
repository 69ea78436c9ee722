"""The pages of the folder `examples` run, and their results are plausible."""

from __future__ import annotations

import re
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch

import xsns_stream as xs
from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
#: Each page takes about half a minute on a core that does nothing else.
patient = pytest.mark.timeout(1200)
PAGES = sorted(EXAMPLES.glob("*.py"))


def run(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Run a page in this process, with its temporary folder in `tmp_path`, and return its variables."""
    from matplotlib import pyplot

    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pyplot.switch_backend("agg")
    path = EXAMPLES / f"{name}.py"
    variables: dict[str, Any] = {"__name__": name}
    try:
        with torch.random.fork_rng():
            exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), variables)
    finally:
        pyplot.close("all")
    return variables


def test_pages_use_public_names_only() -> None:
    assert [path.stem for path in PAGES] == ["choose_a_source", "judge_predictors", "prune_and_merge"]
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert "from xsns_stream" not in text
        assert set(re.findall(r"\bxs\.(\w+)", text)) <= set(xs.__all__)
        assert text.startswith("# %% [markdown]\n# # ")
        assert f"[{path.name}]({path.name})" in readme


@pytest.mark.slow
@patient
def test_a_source_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = run("choose_a_source", monkeypatch, tmp_path)
    ranking = page["ranking"]
    assert [source.language for source in ranking][:1] == page["level"][:1]
    assert {source.language for source in list(ranking)[:2]} <= {"zu", "xh"}, "the Nguni languages"
    assert sorted(page["level"] + page["others"]) == sorted(page["candidates"])
    assert {"en", "fr"} <= set(page["others"])
    assert all(source.low < source.similarity < source.high for source in ranking)
    written = page["folder"]
    assert (written / "report.html").stat().st_size > 100_000
    for name in ("ranking.svg", "matrix.svg"):
        assert "<svg" in (written / name).read_text(encoding="utf-8")


@pytest.mark.slow
@patient
def test_predictors_are_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = run("judge_predictors", monkeypatch, tmp_path)
    evaluation, ndcg = page["evaluation"], "ndcg@3[rank-linear]"
    assert evaluation.predictors[:4] == ("X-SNS", "LEX", "EMB", "family")
    assert len(evaluation.targets) == len(page["languages"]) == 10
    low, high = evaluation.interval("X-SNS", ndcg)
    assert 0.4 < low < evaluation["X-SNS", ndcg] < high <= 1.0
    assert evaluation["X-SNS", ndcg] > evaluation["random", ndcg]
    assert set(page["verdicts"].values()) <= {"better", "worse", "not distinguishable"}
    errors = {error.way: error.rmse for error in page["regression"].errors}
    assert errors["in sample"] < errors["leave one target out"] < 30


@pytest.mark.slow
@patient
def test_a_model_is_pruned_and_merged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = run("prune_and_merge", monkeypatch, tmp_path)
    pruned, means = page["after_pruning"], page["means"]
    assert all(1.0 < value < log(16_384) for value in pruned.values())
    assert pruned["Fisher", 0.6] < pruned["magnitude", 0.6] < pruned["random", 0.6]
    for language in ("sw", "fi"):
        assert means[f"tuned on {language}"][language] < means["before"][language]
    both = {name: sum(losses.values()) / 2 for name, losses in means.items()}
    for average in ("plain average", "Fisher-weighted"):
        assert both[average] < min(both["tuned on sw"], both["tuned on fi"], both["before"])
    assert len(page["differences"]) == len(page["MASKS"])
