"""Public functions: results equal the output of the verbs, are shown in notebooks, and examples in docstrings run."""

from __future__ import annotations

import doctest
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import xsns_stream as xs
from tests.support import networks
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.json import nan_to_null
from xsns_stream.pipeline.events import Noted, ReadEvent, WorkDone
from xsns_stream.pipeline.inspection import summarise_store, verify_store
from xsns_stream.report import plot_ranking
from xsns_stream.types import RankedSource, SourceRanking

CODES = ("en", "fi", "sw", "zu", "de")
LAYOUT = networks.make_layout(3, 640)


def make_row(language: str, seed: int, fold: int = 0) -> xs.SubNetwork:
    """Return a row. The rows of sw and zu are similar; a fold changes a few bits."""
    target = networks.make_bits(LAYOUT.size, seed)
    draw = np.random.default_rng([seed, fold, *language.encode()])
    other = networks.make_bits(LAYOUT.size, int(draw.integers(1 << 30)))
    share = {"sw": 1.0, "zu": 0.8, "fi": 0.5, "en": 0.3, "de": 0.2}[language] - (0.04 if fold else 0.0)
    bits = np.where(draw.random(target.size) < share, target, other)
    return networks.make_sub(language, seed, 0.15, LAYOUT, bits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two seeds, in which one language lacks a seed; gold scores; a matrix of another predictor."""
    folder = tmp_path_factory.mktemp("public")
    store = xs.open_store(folder / "xsns.zarr", "a")
    parts = xs.open_store(folder / "parts.zarr", "a")
    for language in CODES:
        for seed in (1, 2):
            if (language, seed) != ("de", 2):
                store.write(make_row(language, seed))
        for fold in range(1, 5):
            parts.write_fold(make_row(language, 1, fold), 4, fold)
        parts.write(make_row(language, 1))
    cells = np.array(
        [[[80 - 4 * abs(a - b) - 2.5 * b + (a * b) % 3 + s for b in range(5)] for a in range(5)] for s in (0, 1)]
    )
    scores = xs.TransferScores(CODES, CODES, cells[None], "pos", "accuracy", "percent", "made up", seeds=(1, 2))
    xs.write_scores(scores, folder / "gold.parquet")
    values = np.random.default_rng(3).uniform(0.1, 0.5, (5, 5)) + np.eye(5)
    pd.DataFrame(values, index=list(CODES), columns=list(CODES)).to_csv(folder / "other.csv", index_label="source")
    return folder


@pytest.fixture
def printed(folder: Path, monkeypatch: pytest.MonkeyPatch, xsns: Callable[..., Any]) -> Callable[..., Any]:
    """Return the result that a verb prints as JSON, in the folder."""
    monkeypatch.chdir(folder)

    def call(*arguments: str) -> Any:
        completed = xsns(*arguments, "--json")
        assert completed.code == 0, completed.err
        return json.loads(completed.out)["result"]

    return call


# ------------------------------------------------------------------------------ functions and verbs


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--sources", "en,zu", "--coefficient", "dice"], {"sources": "en,zu", "coefficient": "dice"}),
        (["--explain", "--top", "2", "--seed", "1"], {"explain": True, "top": 2, "seeds": 1}),
        (["--sources-k", "2", "--strategy", "coverage"], {"sources_k": 2, "strategy": "coverage"}),
        (["--gold", "gold.parquet"], {"gold": "gold.parquet"}),
    ],
)
@pytest.mark.parametrize("store", ["xsns.zarr", "parts.zarr"])
def test_rank_gives_what_the_verb_prints(
    printed: Any, store: str, arguments: list[str], options: dict[str, Any]
) -> None:
    assert xs.rank(store, "sw", **options).to_dict() == printed("rank", "-s", store, "--target", "sw", *arguments)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (
            ["--lang", "sw,zu", "--recount", "--no-keep"],
            {"languages": ["sw", "zu"], "recount": True, "save_counts": False},
        ),
        (["--sources", "en,zu", "--target", "sw"], {"sources": ["en", "zu"], "targets": "sw"}),
        (["--by", "layer", "--coefficient", "dice"], {"by": "layer", "coefficient": "dice"}),
        (["--sample", "0.5", "--verify"], {"sample": 0.5, "verify": True}),
        (["--coefficient", "mutual-information", "--seed", "2"], {"coefficient": "mutual-information", "seeds": [2]}),
    ],
)
def test_similarity_gives_what_the_verb_prints(printed: Any, arguments: list[str], options: dict[str, Any]) -> None:
    assert xs.similarity("xsns.zarr", **options).to_dict() == printed("matrix", *arguments)


def test_shared_gives_what_the_verb_prints(printed: Any) -> None:
    assert xs.shared("xsns.zarr", "all", by="module").to_dict() == printed("shared", "--lang", "all", "--by", "module")
    frame = xs.shared("xsns.zarr", ["sw", "zu"]).to_frame()
    assert frame["layer"].tolist() == ["layer.0", "layer.1", "layer.2", "all"]
    assert (frame["common"] <= frame["united"]).all()


def test_evaluate_gives_what_the_verb_prints(printed: Any) -> None:
    report = xs.evaluate({"xsns": "xsns.zarr", "other": "other.csv"}, "gold.parquet", resamples=200, reference="xsns")
    options = ("--resamples", "200", "--against", "xsns")
    assert report.to_dict() == printed(
        "evaluate", "--gold", "gold.parquet", "--predict", "xsns=xsns.zarr", "--predict", "other.csv", *options
    )


def test_regress_gives_what_the_verb_prints(printed: Any) -> None:
    report = xs.regress({"xsns": "xsns.zarr"}, "gold.parquet", model="mixed", random="crossed", new="sw")
    assert report.to_dict() == printed(
        *("regress", "--gold", "gold.parquet", "--predict", "xsns=xsns.zarr"),
        *("--model", "mixed", "--random", "crossed", "--new", "sw"),
    )


def test_info_and_verify_give_what_the_verbs_print(printed: Any) -> None:
    assert nan_to_null(summarise_store("parts.zarr").to_dict()) == printed("info", "-s", "parts.zarr")
    assert verify_store("parts.zarr").to_dict() == printed("verify", "-s", "parts.zarr")


# ------------------------------------------------------------------------------------- kinds of inputs


def test_predictors_and_gold_scores_may_be_objects(folder: Path) -> None:
    store, scores = xs.open_store(folder / "xsns.zarr"), xs.read_scores(folder / "gold.parquet")
    frame = pd.read_csv(folder / "other.csv", index_col="source")
    paths = {"xsns": folder / "xsns.zarr", "matrix": folder / "xsns.zarr", "other": folder / "other.csv"}
    objects = {"xsns": store, "matrix": xs.similarity(store), "other": frame}
    rows = [
        (source, target, scores.cells[0, n, i, j], seed)
        for n, seed in enumerate(scores.seeds)
        for i, source in enumerate(CODES)
        for j, target in enumerate(CODES)
    ]
    long = pd.DataFrame(rows, columns=["source", "target", "score", "seed"])
    expected = xs.evaluate(paths, folder / "gold.parquet", resamples=100)
    for gold in (scores, long):
        evaluation = xs.evaluate(objects, gold, resamples=100)
        np.testing.assert_array_equal(evaluation.mean, expected.mean)
        assert evaluation["xsns", "pearson"] == evaluation["matrix", "pearson"]
    for options in (paths, objects):
        del options["matrix"]
    assert xs.regress(paths, scores).r_squared == xs.regress(objects, long).r_squared


def test_evaluate_still_takes_joined_scores(folder: Path) -> None:
    scores = xs.read_scores(folder / "gold.parquet")
    joined = xs.join(scores, {"other": xs.read_matrix(folder / "other.csv")})
    report = xs.evaluate(joined, resamples=100)
    assert isinstance(report, xs.Evaluation)
    assert report.to_dict()["records"] == {"other": None}
    with pytest.raises(UsageError, match="joined scores contain their gold scores"):
        xs.evaluate(joined, scores)
    with pytest.raises(UsageError, match="no gold scores were given"):
        xs.evaluate({"other": folder / "other.csv"})


def test_invalid_predictors_are_refused_with_a_hint(folder: Path) -> None:
    similarities = pd.read_csv(folder / "other.csv", index_col="source")
    for predictor, message in (
        (3, "is of the type int"),
        (2 - similarities, "looks like a table of distances"),
        ("none.csv", "neither a store"),
    ):
        with pytest.raises(XsnsError, match=message) as caught:
            xs.evaluate({"x": predictor}, folder / "gold.parquet")  # type: ignore[dict-item]
        assert caught.value.hint


def test_functions_keep_their_names_beside_subpackages() -> None:
    import_module("xsns_stream.similarity")
    import_module("xsns_stream.transfer")
    assert callable(xs.similarity)
    assert xs.similarity is import_module("xsns_stream.pipeline.comparison").similarity


# ------------------------------------------------------------------------------- notes and progress


def test_notes_are_events_and_part_of_the_result(folder: Path) -> None:
    events: list[ReadEvent] = []
    matrix = xs.similarity(folder / "xsns.zarr", recount=True, save_counts=False, on_event=events.append)
    assert "languages that lack a sub-network are left out: de (seed 2)." in matrix.notes
    assert tuple(event.text for event in events if isinstance(event, Noted)) == matrix.notes
    work_events = [event for event in events if isinstance(event, WorkDone)]
    assert {event.task for event in work_events} == {"comparing"}
    assert work_events[-1].done == work_events[-1].total


# ------------------------------------------------------------------------------------------ notebooks


def test_results_show_as_tables(folder: Path) -> None:
    report = xs.rank(folder / "parts.zarr", "sw", top=2)
    assert [source.language for source in report] == report.to_frame()["language"].tolist() == ["zu", "fi"]
    html = report._repr_html_()
    assert "<table" in html
    assert "Zulu" in html
    assert "No reliable difference among the first 2 (95 %, 4 parts)." in html
    for result in (
        xs.similarity(folder / "xsns.zarr"),
        xs.similarity(folder / "xsns.zarr", by="layer"),
        xs.shared(folder / "xsns.zarr", "sw,zu"),
        xs.evaluate({"x": folder / "xsns.zarr"}, folder / "gold.parquet", resamples=100),
        xs.regress({"x": folder / "xsns.zarr"}, folder / "gold.parquet"),
    ):
        assert "<table" in result._repr_html_()


def test_names_in_tables_are_escaped() -> None:
    matrix = xs.SimilarityMatrix(("<b>", "sw"), ("<b>", "sw"), np.eye(2), "<i>")
    assert "<b>" not in matrix._repr_html_()
    assert "<i>" not in matrix._repr_html_()


def test_a_matrix_is_drawn_into_axes() -> None:
    from matplotlib.figure import Figure

    codes = ("sw", "$x$", "zu", "fi")
    values = np.array([[1, 0.2, 0.7, 0.3], [0.2, 1, 0.2, 0.6], [0.7, 0.2, 1, np.nan], [0.3, 0.6, np.nan, 1]])
    matrix = xs.SimilarityMatrix(codes, codes, values, "jaccard")
    ax = Figure().add_subplot()
    assert matrix.plot(ax) is ax
    order = [label.get_text() for label in ax.get_xticklabels()]
    assert sorted(order) == sorted(codes)
    assert abs(order.index("sw") - order.index("zu")) == 1
    rectangle = xs.SimilarityMatrix(("sw", "fi"), ("zu",), np.array([[0.7], [0.2]]), "jaccard")
    assert [label.get_text() for label in rectangle.plot(Figure().add_subplot()).get_yticklabels()] == ["sw", "fi"]
    tree = matrix.tree()
    assert tree.plot(Figure().add_subplot()).get_xlabel() == "1 − similarity"


@pytest.mark.parametrize("count", [3, 40, 235])
def test_labels_of_plots_are_readable_or_left_out(count: int) -> None:
    from matplotlib.figure import Figure

    codes = tuple(f"l{number}" for number in range(count))
    values = np.random.default_rng(0).random((count, count))
    matrix = xs.SimilarityMatrix(codes, codes, values, "jaccard")
    ranking = SourceRanking("sw", "jaccard", tuple(RankedSource(code, 0.5, None, None) for code in codes))
    ax = matrix.plot(Figure(figsize=(5, 4)).add_subplot())
    tree = matrix.tree().plot(Figure(figsize=(5, 4)).add_subplot())
    ranked = plot_ranking(ranking, Figure(figsize=(5, 4)).add_subplot())
    for axes in (ax, tree, ranked):
        labels = axes.get_yticklabels()
        sizes = {label.get_fontsize() for label in labels}
        assert all(5.0 <= size <= 10.0 for size in sizes)
        assert len(labels) * max(sizes) <= 72 * axes.bbox.height / axes.figure.dpi
        sentence = f"{len(labels)} of {count} are labelled"
        assert axes.get_ylabel().endswith(sentence) == (len(labels) < count)
    assert len(ax.get_xticklabels()) == len(ax.get_xticks())
    order = [int(tick) for tick in ax.get_yticks()]
    assert order == list(range(0, count, order[1] - order[0]))


def test_a_new_figure_is_made_where_no_axes_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "backend", "agg")
    from matplotlib import pyplot

    matrix = xs.SimilarityMatrix(("sw", "zu"), ("sw", "zu"), np.array([[1.0, 0.5], [0.5, 1.0]]), "jaccard")
    for ax in (matrix.plot(), matrix.tree().plot()):
        assert ax.figure in map(pyplot.figure, pyplot.get_fignums())
        pyplot.close(ax.figure)


def test_a_tree_joins_similar_languages_first() -> None:
    from scipy.cluster.hierarchy import cophenet, linkage
    from scipy.spatial.distance import squareform

    random = np.random.default_rng(0)
    values = random.uniform(0.1, 0.9, (6, 6))
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1.0)
    codes = ("sw", "zu", "o'k", "fi", "et", "de")
    tree = xs.SimilarityMatrix(codes, codes[::-1], values[:, ::-1], "jaccard").tree()
    np.testing.assert_allclose(
        cophenet(tree.linkage), cophenet(linkage(squareform(1 - values, checks=False), "average"))
    )
    assert sorted(tree.leaves) == sorted(codes)
    text = str(tree)
    assert "'o''k':" in text
    assert text.endswith(");")
    assert text.count("(") == text.count(")") == 5
    with pytest.raises(UsageError, match="same languages as sources and as targets"):
        xs.SimilarityMatrix(("sw",), ("zu",), np.ones((1, 1)), "jaccard").tree()


# ------------------------------------------------------------------------------------------ docstrings


@pytest.mark.parametrize(
    "name",
    [
        "pipeline.build",
        "pipeline.baselines",
        "pipeline.finetune",
        "fisher",
        "corpora.memory",
        "pipeline.comparison",
        "pipeline.shared_parameters",
        "pipeline.source_ranking",
        "pipeline.gold_comparison",
        "types.similarity_matrix",
        "types.language_tree",
        "ranking.rank",
    ],
)
def test_examples_in_docstrings_run(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(folder)
    result = doctest.testmod(import_module(f"xsns_stream.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed
