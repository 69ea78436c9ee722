"""Corrections of the Jaccard coefficient in `matrix`, `rank`, `evaluate` and `report`: one pool, one value."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import xsns_stream as xs
from tests.support import networks
from xsns_stream.ranking import all_fold_similarities
from xsns_stream.similarity import CORRECTIONS
from xsns_stream.store import open_store

InProcess = Callable[..., Any]
LAYOUT = networks.make_layout(3, 640)
#: {language: its family}; languages of one family share bits.
FAMILIES = {"sw": "a", "zu": "a", "fi": "b", "et": "b", "de": "c", "en": "c"}
POOLED = tuple(name for name, correction in CORRECTIONS.items() if correction.depends_on_pool)
PARTS, DENSITY = 4, 0.15


def row(language: str, number: int = 0, **provenance: Any) -> Any:
    shared, own = (
        networks.make_bits(LAYOUT.size, zlib.crc32(name.encode()))
        for name in (FAMILIES[language], f"{language}{number}")
    )
    return networks.make_sub(language, 7, DENSITY, LAYOUT, shared | own, **provenance)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with parts; English lacks a split-half similarity. In `some.zarr`, German has no parts."""
    folder = tmp_path_factory.mktemp("corrections")
    for name in ("xsns.zarr", "some.zarr"):
        store = open_store(folder / name, "a")
        for index, language in enumerate(FAMILIES):
            for number in range(1, PARTS + 1):
                if (name, language) != ("some.zarr", "de"):
                    store.write_fold(row(language, number), PARTS, number)
            half = {} if language == "en" else {"split_half": 0.5 + 0.05 * index}
            store.write(row(language, reliability=half))
    scores = [
        f"{s},{t},{50 + 3 * i + 2 * j}\n" for i, s in enumerate(("en", "fi", "zu")) for j, t in enumerate(FAMILIES)
    ]
    (folder / "gold.csv").write_text("source,target,score\n" + "".join(scores))
    return folder


@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_pair_has_the_same_value_in_all_verbs(name: str, folder: Path, in_process: InProcess) -> None:
    store = str(folder / "xsns.zarr")
    whole = xs.similarity(store, coefficient=name, save_counts=False)
    part = xs.similarity(store, coefficient=name, sources="fi,zu", targets="sw,de", save_counts=False)
    assert np.array_equal(part.values, [[whole[s, t] for t in ("sw", "de")] for s in ("fi", "zu")])
    for target, report in zip(
        ("sw", "de"), xs.rank(store, ["sw", "de"], sources="fi,zu", coefficient=name), strict=True
    ):
        assert {one.language: one.similarity for one in report} == {s: whole[s, target] for s in ("fi", "zu")}
    done = in_process(folder, "matrix", "--coefficient", name, "--target", "sw", "--sources", "fi,zu", "--json")
    assert json.loads(done.out)["result"][name] == [[whole["fi", "sw"]], [whole["zu", "sw"]]]
    gold = pd.read_csv(folder / "gold.csv")
    evaluated = xs.evaluate({"x": store}, gold, coefficient=name, resamples=100, with_trivial=False)
    (made,) = evaluated.joined.predictions
    sources, targets = evaluated.joined.sources, evaluated.joined.targets
    assert all(
        made.values[i, j] == whole[s, t]
        for i, s in enumerate(sources)
        for j, t in enumerate(targets)
        if s != t and np.isfinite(whole[s, t])
    )
    page = xs.report(store, coefficient=name, layers=name == "centred").page
    assert np.array_equal(page.matrices[0].values, whole.values, equal_nan=True)
    assert set(POOLED) <= {matrix.key for matrix in page.matrices}


@pytest.mark.parametrize("name", POOLED)
def test_named_languages_are_another_pool(name: str, folder: Path) -> None:
    store = folder / "xsns.zarr"
    some = xs.similarity(store, coefficient=name, languages="sw,zu,fi,de", save_counts=False)
    assert some.pool is not None
    assert set(some.pool.languages) == {"sw", "zu", "fi", "de"}
    assert some.record is not None
    assert some.record.settings["pool"] == 4
    assert some["sw", "fi"] != xs.similarity(store, coefficient=name, save_counts=False)["sw", "fi"]


def test_groups_of_parameters_have_their_own_pool(folder: Path, in_process: InProcess) -> None:
    store = folder / "xsns.zarr"
    whole = xs.similarity(store, coefficient="centred", by="layer")
    part = xs.similarity(store, coefficient="centred", by="layer", sources="fi", targets="sw")
    assert part.values.ravel().tolist() == [matrix["fi", "sw"] for _, matrix in whole]
    assert part.shares == xs.similarity(store, by="layer", sources="fi", targets="sw").shares
    refused = in_process(folder, "matrix", "--coefficient", "reliability", "--by", "layer")
    assert (refused.code, "--by cannot be combined with 'reliability'" in refused.err) == (2, True)
    refused = in_process(folder, "matrix", "--coefficient", "csls", "--sample", "0.5")
    assert (refused.code, "--sample cannot be combined with 'csls'" in refused.err) == (2, True)


def test_reliability_is_undefined_without_a_split_half_similarity(folder: Path, in_process: InProcess) -> None:
    done = in_process(folder, "matrix", "--coefficient", "reliability", "--json")
    document = json.loads(done.out)["result"]
    position = document["languages"].index("en")
    assert all(value is None for value in document["reliability"][position])
    note = "'reliability' is undefined for languages without a split-half similarity for every seed"
    assert note in done.err
    assert any(note in sentence for sentence in document["notes"])
    refused = in_process(folder, "rank", "--target", "en", "--sources", "en", "--coefficient", "reliability")
    assert refused.code == 2
    refused = in_process(folder, "matrix", "--coefficient", "reliability", "--target", "en", "--sources", "en")
    assert (refused.code, "none was measured" in refused.err) == (2, True)


# ---------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize("name", POOLED)
def test_the_interval_contains_the_correction_in_each_draw(name: str, folder: Path) -> None:
    """The Jaccard coefficients are drawn slowly, and each draw is corrected by itself."""
    store = open_store(folder / "xsns.zarr", "r")
    whole = xs.similarity(store, coefficient=name, save_counts=False)
    assert whole.pool is not None
    languages, values = whole.pool.languages, whole.pool.per_seed[0]
    similarities, _ = all_fold_similarities(store, store.folds(PARTS), languages, (7,), DENSITY)
    deviation = (similarities - similarities.mean(axis=1, keepdims=True))[0] * np.sqrt((PARTS - 1) / PARTS)
    random, drawn = np.random.default_rng(5), []
    for _ in range(3000):
        moved = values.copy()
        for i in range(len(languages)):
            change = random.standard_normal(PARTS) @ deviation[:, i]
            moved[i] += change
            moved[:, i] += change
        drawn.append(CORRECTIONS[name](moved))
    column = languages.index("sw")
    spread = np.std(drawn, axis=0)[:, column]
    report = xs.rank(store, "sw", coefficient=name)
    assert report.ranking.basis == f"{PARTS} parts"
    for source in report:
        low, high = np.quantile([one[languages.index(source.language), column] for one in drawn], [0.025, 0.975])
        assert source.low is not None
        assert source.high is not None
        tolerance = 0.3 * spread[languages.index(source.language)] + (0.2 if name == "mutual-rank" else 0)
        assert source.low == pytest.approx(low, abs=tolerance)
        assert source.high == pytest.approx(high, abs=tolerance)
    page = xs.report(store, coefficient=name, layers=False).page.matrices[0]
    row_of = {code: i for i, code in enumerate(page.sources)}
    assert page.low is not None
    assert [page.low[row_of[one.language], row_of["sw"]] for one in report] == [one.low for one in report]


def test_no_interval_leaves_the_correction_out(folder: Path, in_process: InProcess) -> None:
    some = xs.rank(folder / "some.zarr", "sw", coefficient="csls")
    assert not some.ranking.basis
    assert all(source.low is None for source in some)
    assert any("because some of them have no parts: de." in note for note in some.notes)
    done = in_process(folder, "rank", "--target", "sw", "--coefficient", "reliability")
    assert "there are no intervals from parts for 'reliability'" in done.err
    assert "there are no intervals: build" not in done.err
    tree = in_process(folder, "matrix", "--coefficient", "centred", "-o", "tree.nwk")
    assert tree.code == 0
    assert ")100:" in (folder / "tree.nwk").read_text()
    bare = in_process(folder, "matrix", "--store", "some.zarr", "--coefficient", "centred", "-o", "bare.nwk")
    assert "the tree has no support values, because there are no intervals from parts." in bare.err


def test_few_examples_are_found_by_the_jaccard_coefficient(folder: Path) -> None:
    """The split-half similarity of Swahili is compared with Jaccard coefficients, not with corrected values."""
    worth = [xs.rank(folder / "xsns.zarr", "sw", coefficient=name).worth for name in ("jaccard", *POOLED)]
    assert all(sentences == worth[0] for sentences in worth)
