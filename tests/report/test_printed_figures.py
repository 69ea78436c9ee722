"""Figures of matrices for print: sizes of texts, widths, real text, and notes on what is left out."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from tests.support.pages import CODES, EVIL, similarities
from xsns_stream.errors import UsageError
from xsns_stream.report import FileOptions, write_matrix
from xsns_stream.report.figures import SETTINGS
from xsns_stream.report.heatmap import printed_heat_map
from xsns_stream.report.map_figure import map_figure
from xsns_stream.report.printed_figures import PrintedFigure, content_box, place_labels
from xsns_stream.report.tree_figure import tree_figure
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.language_tree import TreeSupport, joined_groups

FIGURES = {"heatmap": printed_heat_map, "tree": tree_figure, "map": map_figure}


def languages(count: int) -> SimilarityMatrix:
    """Return a matrix of languages with real names, in families, with support."""
    from xsns_stream.corpora import open_corpus

    codes = open_corpus("cldr").languages()[:count]
    points = np.random.default_rng(0).normal(size=(count, 5))
    values = np.exp(-np.linalg.norm(points[:, None] - points[None], axis=-1) / 4)
    matrix = SimilarityMatrix(codes, codes, values, "jaccard", seeds=(1, 2))
    groups = [frozenset(codes[leaf] for leaf in group) for group in joined_groups(matrix.tree().linkage)]
    return replace(matrix, support=TreeSupport(dict.fromkeys(groups, 0.87), "8 parts", 200))


def drawn(name: str, matrix: SimilarityMatrix, **options: Any) -> PrintedFigure:
    with mpl.rc_context(SETTINGS):
        printed = FIGURES[name](matrix, density=0.15, **options)
        printed.figure.draw_without_rendering()
    return printed


def texts(printed: PrintedFigure) -> list[Text]:
    return [text for text in printed.figure.findobj(Text) if text.get_visible() and text.get_text()]


@pytest.mark.parametrize("width", [None, 3.3, 7.0])
@pytest.mark.parametrize("count", [2, 12, pytest.param(125, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_smaller_than_five_points(name: str, count: int, width: float | None) -> None:
    printed = drawn(name, languages(count), width=width)
    assert min(text.get_fontsize() for text in texts(printed)) >= 5
    if width is not None:
        with mpl.rc_context(SETTINGS):
            assert printed.box().width == pytest.approx(width, rel=0.01)


@pytest.mark.parametrize("name", FIGURES)
def test_the_file_has_the_printed_size(tmp_path: Path, name: str) -> None:
    options = FileOptions(figure=name, width=4.0)
    with Image.open(write_matrix(languages(12), tmp_path / "f.png", options=options, on_note=print)) as picture:
        assert picture.width / picture.info["dpi"][0] == pytest.approx(4.0, rel=0.01)
    root = ET.parse(write_matrix(languages(12), tmp_path / "f.svg", options=options, on_note=print)).getroot()
    assert float(root.attrib["width"].removesuffix("pt")) / 72 == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize("name", FIGURES)
def test_vector_files_have_real_text(tmp_path: Path, name: str) -> None:
    options = FileOptions(figure=name)
    path = write_matrix(similarities(), tmp_path / "f.svg", options=options, on_note=print)
    texts_of_file = ["".join(node.itertext()) for node in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert any("sw" in text.split() for text in texts_of_file)
    assert any(EVIL in text or "<script>" in text for text in texts_of_file)
    assert "<script>" not in path.read_text(encoding="utf-8")
    pdf = write_matrix(similarities(), tmp_path / "f.pdf", options=options, on_note=print).read_bytes()
    assert b"/Type0" in pdf or b"/TrueType" in pdf
    assert b"/Type3" not in pdf


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_the_same_bytes_each_time(tmp_path: Path, name: str, kind: str) -> None:
    options = FileOptions(figure=name, width=5, clusters=None if name == "heatmap" else 3)
    first, second = (
        write_matrix(similarities(), tmp_path / f"{which}.{kind}", options=options, on_note=print).read_bytes()
        for which in "ab"
    )
    assert first == second


@pytest.mark.parametrize("name", FIGURES)
def test_characters_that_the_font_lacks_are_named(tmp_path: Path, name: str) -> None:
    codes = ("sw", "日本語", "fi")
    matrix = SimilarityMatrix(codes, codes, np.eye(3) / 2 + 0.5, "jaccard")
    for kind, expected in (("png", 1), ("pdf", 1), ("svg", 0)):
        notes: list[str] = []
        options = FileOptions(figure=name)
        path = write_matrix(matrix, tmp_path / f"f.{kind}", options=options, on_note=notes.append)
        lacking = [note for note in notes if "lacks these characters of labels" in note]
        assert len(lacking) == expected
        assert all(note.endswith(": 日本語") for note in lacking)
    assert "日本語" in path.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------ heat maps


@pytest.mark.parametrize("name", ["heatmap", "tree", "map"])
def test_a_figure_with_control_characters_in_labels_is_xml(tmp_path: Path, name: str) -> None:
    matrix = SimilarityMatrix(("a\x00b", "fi", "et\x1b"), ("a\x00b", "fi", "et\x1b"), np.eye(3) + 0.2, "jaccard")
    path = write_matrix(matrix, tmp_path / "a.svg", options=FileOptions(figure=name), on_note=lambda note: None)
    texts = "".join(ET.parse(path).getroot().itertext())
    assert "a\\x00b" in texts
    assert "et\\x1b" in texts


def test_labels_of_a_heat_map_become_codes_and_then_vanish() -> None:
    matrix = languages(30)
    wide = drawn("heatmap", matrix, width=7.0)
    assert wide.notes == ()
    assert "af  Afrikaans" in [text.get_text() for text in texts(wide)]
    narrow = drawn("heatmap", matrix, width=4.2)
    assert narrow.notes == ("the labels are codes, because the names of the languages do not fit.",)
    assert "af" in [text.get_text() for text in texts(narrow)]
    least = drawn("heatmap", matrix, width=2.5)
    assert "30 × 30 languages has no labels, because they would be smaller than 5 points" in least.notes[0]
    assert "--width" in least.notes[0]
    assert "--lang" in least.notes[0]
    assert not {"af", "af  Afrikaans"} & {text.get_text() for text in texts(least)}


def test_a_large_figure_says_that_it_does_not_fit_on_a_page(tmp_path: Path) -> None:
    notes: list[str] = []
    write_matrix(languages(90), tmp_path / "m.svg", on_note=notes.append)
    assert len(notes) == 1
    match = re.fullmatch(
        r"m\.svg: the figure is (\d+) × \d+ inches large; on a page of 7 × 10 inches, its text would have (\d\.\d) "
        r"points: choose fewer languages with --lang, or draw it for a width with --width 7\.",
        notes[0],
    )
    assert match is not None, notes
    assert int(match[1]) > 12
    assert float(match[2]) < 5


def test_numbers_in_cells_are_left_out_where_they_do_not_fit() -> None:
    for width, expected in ((5.0, True), (2.0, False)):
        labels = [text.get_text() for text in texts(drawn("heatmap", languages(10), width=width))]
        assert any(re.fullmatch(r"\.\d\d", text) for text in labels) == expected


def test_a_rectangle_and_undefined_values_for_print(tmp_path: Path) -> None:
    values = np.array([[0.1, np.nan, 0.3], [0.2, 0.5, np.nan]])
    matrix = SimilarityMatrix(("sw", "fi"), ("et", "zu", "fi"), values, "jaccard")
    printed = drawn("heatmap", matrix, width=4.0)
    assert printed.box().width == pytest.approx(4.0, rel=0.01)


# ---------------------------------------------------------------------------------------------- trees


def test_a_tree_shows_names_clusters_and_support() -> None:
    printed = drawn("tree", languages(12), clusters=3)
    labels = [text.get_text() for text in texts(printed)]
    assert sum(bool(re.match(r"[123]  \w", text)) for text in labels) == 12
    assert "87" in labels
    assert any("support in % of 200 trees (8 parts)" in text for text in labels)
    lost = [note for note in printed.notes if "the figure has no room" in note]
    written = labels.count("87")
    assert written == 10 - (int(re.findall(r"support of (\d+) of 10", lost[0])[0]) if lost else 0)


def test_labels_of_a_tree_do_not_overlap() -> None:
    printed = drawn("tree", languages(60), width=6.0)
    labels = [text for text in texts(printed) if re.search(r"\S  \S+$", text.get_text()) and text.get_ha() == "left"]
    boxes = sorted((text.get_window_extent() for text in labels), key=lambda box: box.y0)
    assert len(boxes) > 40
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


def test_a_tree_that_is_higher_than_a_page_is_a_circle() -> None:
    matrix = languages(100)
    printed = drawn("tree", matrix, clusters=4, width=7.0)
    assert (
        printed.notes[0]
        == "the tree is drawn as a circle, because a tree with its root on the left would be higher than a page."
    )
    codes = {text.get_text().split()[-1] for text in texts(printed)}
    assert codes >= set(matrix.sources)
    assert min(text.get_fontsize() for text in texts(printed)) >= 5
    box = content_box(printed.figure)
    assert box.width <= 7
    assert box.height <= 10
    # Neighbouring labels begin at least the height of a line apart.
    labels = [text for text in texts(printed) if re.match(r"\d \S", text.get_text())]
    starts = np.array([text.get_position() for text in labels]) * 72
    apart = np.linalg.norm(np.diff(starts, axis=0), axis=1)
    assert len(labels) == 100
    assert apart.min() >= 1.1 * labels[0].get_fontsize()


def test_a_tree_without_room_for_a_circle_is_high() -> None:
    matrix = languages(100)
    printed = drawn("tree", matrix, width=2.5)
    assert not any("circle" in note for note in printed.notes)
    assert content_box(printed.figure).height > 10


@pytest.mark.parametrize("name", ["tree", "map"])
@pytest.mark.parametrize("values", [np.ones((3, 3)), np.full((3, 3), np.nan), np.eye(3)])
def test_figures_without_any_contrast_are_drawn(tmp_path: Path, name: str, values: np.ndarray) -> None:
    codes = ("sw", "fi", "$x$")
    matrix = SimilarityMatrix(codes, codes, values, "jaccard")
    write_matrix(matrix, tmp_path / "f.png", options=FileOptions(figure=name), on_note=print)


@pytest.mark.parametrize("name", ["tree", "map"])
def test_a_rectangle_has_neither_tree_nor_map(tmp_path: Path, name: str) -> None:
    matrix = SimilarityMatrix(("sw", "fi"), ("et",), np.ones((2, 1)), "jaccard")
    with pytest.raises(UsageError, match="same languages as sources and as targets"):
        write_matrix(matrix, tmp_path / "f.png", options=FileOptions(figure=name))


# ----------------------------------------------------------------------------------------------- maps


def test_a_map_shows_families_and_codes_without_overlaps() -> None:
    printed = drawn("map", similarities(), width=4.0)
    axes = printed.figure.axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert set(names) == {"Atlantic-Congo", "Uralic", "Indo-European", "other or unknown"}
    labels = [text for text in axes.texts if text.get_text() in CODES]
    assert len(labels) + sum("no label" in note for note in printed.notes) >= len(CODES) - 1
    boxes = [text.get_window_extent() for text in labels]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    by_cluster = drawn("map", similarities(), clusters=3)
    assert {text.get_text() for text in by_cluster.figure.axes[0].get_legend().get_texts()} == {
        f"cluster {i}" for i in (1, 2, 3)
    }


def test_points_without_a_label_are_counted() -> None:
    codes = tuple(f"x-{i}" for i in range(60))
    matrix = SimilarityMatrix(codes, codes, np.full((60, 60), 0.5) + 0.5 * np.eye(60), "jaccard")
    matrix.values[0, 1:] = matrix.values[1:, 0] = 0.1
    note = next(note for note in drawn("map", matrix, width=2.0).notes if "no label" in note)
    assert re.match(r"\d+ of 60 points have no label, because there is no free place beside them: x-", note)


def test_labels_are_placed_in_free_boxes() -> None:
    points = np.array([[10.0, 10.0], [10.0, 10.0], [50.0, 50.0]])
    boxes = place_labels(points, np.full((3, 2), 6.0), (100, 100), np.zeros((0, 4)), [2, 0, 1])
    assert None not in boxes
    assert boxes[0] != boxes[1]
    assert place_labels(points[:1], np.array([[200.0, 6.0]]), (100, 100), np.zeros((0, 4)), [0]) == [None]


def test_the_content_box_has_everything() -> None:
    printed = drawn("heatmap", similarities(), width=5.0)
    with mpl.rc_context(SETTINGS):
        box = content_box(printed.figure)
    dpi = printed.figure.dpi
    for text in texts(printed):
        extent = text.get_window_extent()
        assert extent.x0 / dpi >= box.x0 - 0.02
        assert extent.x1 / dpi <= box.x1 + 0.02


def test_each_family_of_a_map_has_a_marker_of_its_own() -> None:
    printed = drawn("map", similarities())
    lines = [line for line in printed.figure.axes[0].lines if line.get_linestyle() == "None"]
    assert len(lines) == 4, "three families, and the language without a family"
    assert len({line.get_marker() for line in lines}) == len({line.get_color() for line in lines}) == 4
