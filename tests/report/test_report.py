"""Tables, files and figures of matrices: round trips are exact, and files are complete."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.ranking import rank_sources
from xsns_stream.report import (
    FORMATS,
    check_destination,
    heat_map,
    matrix_table,
    neighbours_table,
    ranking_table,
    scores_table,
    shown_name,
    write_matrix,
)
from xsns_stream.report import export as files
from xsns_stream.report.heatmap import printed_heat_map
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.language_tree import cluster_order
from xsns_stream.types.transfer_scores import TransferScores

# Codes that other programs read as another value: `nan` (not a number), `no` (false), and a number.
CODES = ("nan", "no", "null", "sw", "zh-Hant", "1e5")


def symmetric(side, seed=0):
    draws = np.random.Generator(np.random.PCG64(seed)).uniform(0.1, 0.5, (side, side))
    values = (draws + draws.T) / 2
    np.fill_diagonal(values, 1.0)
    return values


def make(codes=CODES, values=None, seeds=(7, 8)):
    values = symmetric(len(codes)) if values is None else values
    per_seed = np.stack([values - 0.01 * i for i in range(len(seeds))])
    return SimilarityMatrix(
        tuple(codes), tuple(codes), values, "jaccard", np.full_like(values, 0.08), tuple(seeds), per_seed
    )


def codes_for(count):
    """Return codes of languages with names, followed by synthetic codes."""
    from xsns_stream.corpora import open_corpus

    known = open_corpus("cldr").languages()[:count]
    return (*known, *(f"corpus-{i}" for i in range(count - len(known))))


@pytest.fixture
def undefined():
    """A matrix in which one pair is undefined in both directions."""
    values = symmetric(len(CODES))
    values[0, 3] = values[3, 0] = np.nan
    return make(values=values)


def shown(renderable, width=200):
    console = Console(width=width, highlight=False, color_system=None, force_terminal=False)
    with console.capture() as caught:
        console.print(renderable)
    return [line.rstrip() for line in caught.get().splitlines()]


# ---------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
def test_text_round_trip_is_exact(tmp_path, undefined, suffix, separator):
    path = write_matrix(undefined, tmp_path / f"m{suffix}")
    frame = pd.read_csv(path, sep=separator, index_col="source", keep_default_na=False, na_values=[""])
    assert tuple(frame.index) == tuple(frame.columns) == CODES
    np.testing.assert_array_equal(frame.to_numpy(), undefined.values)
    assert path.read_text().splitlines()[0].split(separator) == ["source", *CODES]


def test_parquet_round_trip(tmp_path, undefined):
    path = write_matrix(undefined, tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), undefined.to_frame())


def test_json_round_trip(tmp_path, undefined):
    path = write_matrix(undefined, tmp_path / "m.json", density=0.15)
    document = json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert (document["schema_version"], document["coefficient"]) == (1, "jaccard")
    assert (document["seeds"], document["density"]) == ([7, 8], 0.15)
    assert document["sources"] == document["targets"] == list(CODES)
    assert document["values"][0][3] is None
    for name in ("values", "chance", "chance_corrected", "spread", "per_seed"):
        np.testing.assert_array_equal(np.array(document[name], float), getattr(undefined, name))


def test_npz_round_trip_needs_no_pickles(tmp_path, undefined):
    path = write_matrix(undefined, tmp_path / "m.npz", density=0.15)
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["sources"].tolist() == arrays["targets"].tolist() == list(CODES)
        assert arrays["sources"].dtype.kind == "U"
        assert arrays["coefficient"].item() == "jaccard"
        assert arrays["seeds"].tolist() == [7, 8]
        assert arrays["density"].item() == 0.15
        for name in ("values", "chance", "chance_corrected", "spread", "per_seed"):
            np.testing.assert_array_equal(arrays[name], getattr(undefined, name))


def test_unknown_values_are_null_in_json_and_missing_in_npz(tmp_path):
    matrix = SimilarityMatrix(("sw",), ("en", "fi"), np.array([[0.1, 0.2]]), "lexical")
    document = json.loads(write_matrix(matrix, tmp_path / "m.json").read_text())
    assert document["chance"] is document["per_seed"] is document["density"] is None
    with np.load(write_matrix(matrix, tmp_path / "m.npz")) as arrays:
        assert sorted(arrays) == ["coefficient", "schema_version", "seeds", "sources", "targets", "values"]


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml"), (".pdf", b"%PDF-")])
def test_figures_are_the_same_bytes_each_time(tmp_path, suffix, start):
    first, second = (write_matrix(make(CODES[:3]), tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
    assert first.startswith(start)
    assert first == second


@pytest.mark.parametrize("name", ["m.xls", "m", "csv", ".csv"])
def test_the_error_for_an_unknown_suffix_names_the_known_ones(tmp_path, name):
    with pytest.raises(UsageError, match="does not end in the suffix of a supported format") as caught:
        write_matrix(make(), tmp_path / name)
    assert all(suffix in caught.value.hint for suffix in FORMATS)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_or_a_folder_at_the_path_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"there is no folder '.*none' to write 'm.csv' to"):
        check_destination(tmp_path / "none" / "m.csv")
    (tmp_path / "m.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_destination(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (ValueError("half-way"), ValueError, "half-way"),
        (OSError(28, "No space left on device"), XsnsError, r"cannot write '.*\.csv': No space left"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, error, raised, message):
    def fail(request, file):
        file.write(b"half of it")
        raise error

    path = write_matrix(make(), tmp_path / "m.csv")
    before = path.read_bytes()
    monkeypatch.setitem(files._WRITERS, ".csv", fail)
    for target in (path, tmp_path / "new.csv"):
        with pytest.raises(raised, match=message):
            write_matrix(make(), target)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m.csv"]


# ------------------------------------------------------------------------------------------ heat maps


@pytest.mark.parametrize("count", [1, 2, 30, pytest.param(200, marks=pytest.mark.slow)])
def test_heat_map_of_any_size_is_readable(tmp_path, monkeypatch, count):
    maps = []
    monkeypatch.setattr(files, "printed_heat_map", lambda *a, **k: maps.append(printed_heat_map(*a, **k)) or maps[-1])
    path = write_matrix(make(codes_for(count)), tmp_path / "m.png", density=0.15)
    with Image.open(path) as picture:
        width, height = picture.size
        picture.verify()
    assert max(width, height) < 8000
    figure = maps[0].figure
    grid = figure.axes[0]
    labels = grid.get_yticklabels()
    assert len(labels) == len(grid.get_xticklabels()) == count
    pitch = figure.get_figheight() * figure.dpi / count
    size = labels[0].get_fontsize() / 72 * figure.dpi
    # Twelve pixels are the size of small text on a screen; more than the pitch would make labels overlap.
    assert 12 <= size < pitch


def test_heat_map_names_languages_and_coefficient():
    figure = heat_map(make(), density=0.15)
    grid = figure.axes[0]
    rows = {text.get_text() for text in grid.get_yticklabels()}
    assert {"Min Nan Chinese  nan", "Norwegian  no", "1e5"} <= rows
    assert "sw  Swahili" in {text.get_text() for text in grid.get_xticklabels()}
    texts = [text.get_text() for text in grid.texts]
    assert "Jaccard similarity of 6 languages" in texts
    assert any("mean of seeds 7, 8 · density 0.15" in text for text in texts)
    assert figure.axes[-1].get_ylabel() == "Jaccard similarity"


def test_colours_span_the_pairs_and_not_the_diagonal(undefined):
    figure = heat_map(undefined)
    low, high = figure.axes[-1].get_ylim()
    pairs = undefined.values[~np.eye(len(CODES), dtype=bool)]
    assert (low, high) == pytest.approx((np.nanmin(pairs), np.nanmax(pairs)))
    pixels = np.asarray(figure.axes[0].images[0].get_array())
    assert (np.diagonal(pixels, axis1=0, axis2=1) == 255).all()
    grey = (pixels == np.array([0xC9, 0xCC, 0xD1, 255])).all(axis=-1)
    assert grey.sum() == 2


@pytest.mark.parametrize("values", [np.full((4, 4), np.nan), np.ones((4, 4)), np.eye(4), -np.ones((4, 4))])
def test_a_heat_map_without_any_contrast_is_drawn(tmp_path, values):
    write_matrix(make(("sw", "en", "fi", "et"), values), tmp_path / "m.png")


def test_heat_map_of_sources_that_are_not_the_targets_keeps_their_order():
    matrix = SimilarityMatrix(("sw", "en"), ("fi", "en", "et"), np.arange(6.0).reshape(2, 3) / 10, "lexical")
    grid = heat_map(matrix).axes[0]
    assert [text.get_text()[-2:] for text in grid.get_yticklabels()] == ["sw", "en"]
    assert [text.get_text()[:2] for text in grid.get_xticklabels()] == ["fi", "en", "et"]
    pixels = np.asarray(grid.images[0].get_array())
    assert [tuple(cell) for cell in np.argwhere((pixels == 255).all(axis=-1))] == [(1, 1)]


def test_heat_map_joins_targets_by_label():
    values = symmetric(5)
    straight = make(("sw", "en", "fi", "et", "no"), values)
    reversed_targets = SimilarityMatrix(straight.sources, straight.targets[::-1], values[:, ::-1].copy(), "jaccard")
    pictures = [np.asarray(heat_map(m).axes[0].images[0].get_array()) for m in (straight, reversed_targets)]
    np.testing.assert_array_equal(*pictures)


def test_cluster_order_puts_groups_side_by_side():
    groups = np.arange(12) % 3
    values = np.where(groups[:, None] == groups, 0.6, 0.2) + 0.01 * symmetric(12)
    order, tree = cluster_order(values)
    assert sorted(order) == list(range(12))
    assert (np.diff(groups[order]) != 0).sum() == 2
    assert tree.shape == (11, 4)
    values[5, :] = values[:, 5] = np.nan
    order, _ = cluster_order(values)
    assert order[0] == 5 or order[-1] == 5


# --------------------------------------------------------------------------------------------- tables


def test_matrix_table_loses_no_digit_on_a_narrow_terminal(undefined):
    wide, narrow = shown(matrix_table(undefined)), shown(matrix_table(undefined, 30), 30)
    assert wide[0].split() == ["source", *CODES]
    assert wide[2].split()[:2] == ["nan", "1.000"]
    assert wide[2].split()[4] == "–"
    assert max(map(len, narrow)) <= 30
    numbers = [word for line in narrow for word in line.split() if word.startswith("0.")]
    expected = [word for line in wide for word in line.split() if word.startswith("0.")]
    assert sorted(numbers) == sorted(expected)


def scores(sources=("en", "fi", "en+fi"), targets=("en", "fi", "sw"), unit="percent"):
    cells = 10.0 * np.arange(len(sources) * len(targets), dtype=float).reshape(len(sources), len(targets))
    cells[0, -1] = np.nan
    return TransferScores(
        sources, targets, cells[None, None] / (100 if unit == "fraction" else 1), "pos", "f1", unit, ""
    )


def test_scores_table_has_a_row_for_each_source_and_one_for_the_trivial_answer():
    lines = shown(scores_table(scores(), trivial={"en": 5.0, "sw": 12.5}))
    assert lines[0] == "f1 (percent) of each source on each target"
    assert lines[-1] == "* The best source of the target."
    rows = [line.split() for line in lines[1:-1] if line.strip("─ ")]
    assert rows == [
        ["source", "en", "fi", "sw"],
        ["en", "0.0", "10.0*", "–"],
        ["fi", "30.0*", "40.0", "50.0"],
        ["en+fi", "60.0", "70.0", "80.0*"],
        ["trivial", "answer", "5.0", "–", "12.5"],
    ]
    assert shown(scores_table(scores(unit="fraction")))[-2].split() == ["en+fi", "0.600", "0.700", "0.800*"]


def test_the_title_of_scores_says_if_most_are_not_above_the_trivial_answer():
    # Four scores on other languages: en → fi 10, fi → en 30, fi → sw 50, en+fi → sw 80.
    for trivial, title in (
        (
            {"en": 30.0, "fi": 10.0, "sw": 50.0},
            "; 3 of 4 scores on other languages are not above the score of the trivial answer",
        ),
        ({"en": 30.0, "fi": 9.0}, "; 1 of 2 scores on other languages are not above the score of the trivial answer"),
        ({"en": 30.0, "fi": 9.0, "sw": 20.0}, ""),
        ({}, ""),
    ):
        lines = shown(scores_table(replace(scores(), trivial=trivial)))
        start = "f1 (percent) of each source on each target"
        assert lines[0] == (f"{start}{title}, such as the most frequent class" if title else start)


def test_the_best_source_of_a_target_was_not_trained_on_it():
    table = scores_table(scores()).renderables[1]
    styles = [[cell.style for cell in column.cells] for column in table.columns[1:]]
    assert styles == [["dim", "bold", "dim"], ["bold", "dim", "dim"], ["", "", "bold"]]


def test_a_large_scores_table_says_what_it_leaves_out():
    codes = tuple(f"q{n}" for n in range(40))
    lines = shown(scores_table(scores(codes, codes[:6]), most=5))
    assert lines[-1] == "* The best source of the target. Only 5 of 40 sources and 5 of 6 targets are shown."
    narrow = shown(scores_table(scores(codes[:5], codes[:5]), 30), 30)
    assert max(map(len, narrow)) <= 30
    assert sum("source " in line for line in narrow[1:]) > 1


def test_neighbours_table_is_nearest_first_with_unknown_last(undefined):
    lines = shown(neighbours_table(undefined, 5))
    for code, line in zip(CODES, lines[2:], strict=True):
        words = line.split()
        nearest, numbers = words[-10::2], words[-9::2]
        assert words[0] == code
        assert code not in nearest
        known = [n for n in numbers if n != "–"]
        assert known == sorted(known, reverse=True)
    assert lines[2].split()[-2:] == ["sw", "–"]
    assert "Min Nan Chinese" in lines[2]


def test_a_table_of_neighbours_may_have_fewer_languages_than_neighbours():
    lines = shown(neighbours_table(make(("sw", "en")), 3))
    assert lines[2].split()[:3] == ["sw", "Swahili", "en"]


def test_ranking_table_marks_ties_and_shows_the_spread():
    values = np.eye(5)
    values[:, 0] = [1.0, 0.4, 0.5, 0.4, np.nan]
    matrix = make(("sw", "zu", "rw", "en", "fi"), values)
    lines = shown(ranking_table(rank_sources(matrix, "sw")))
    assert lines[0] == "Sources for Swahili (sw), most similar first"
    rows = [line.split() for line in lines[3:7]]
    assert [row[:2] for row in rows] == [["1", "rw"], ["2=", "en"], ["2=", "zu"], ["–", "fi"]]
    assert rows[0][2:] == ["Kinyarwanda", "0.5000", "0.4565", f"{0.01 / math.sqrt(2):.4f}"]
    assert "exactly as similar" in lines[7]


def test_ranking_table_of_one_seed_has_no_spread():
    table = ranking_table(rank_sources(make(seeds=(7,)), "sw"))
    assert [column.header for column in table.columns] == ["rank", "code", "language", "jaccard", "chance-corrected"]


def test_labels_that_are_not_codes_are_shown_unchanged():
    assert shown_name("1e5") == "1e5"
    assert shown_name("nan") == "Min Nan Chinese"
