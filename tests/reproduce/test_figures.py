"""Figures of recipes: content, complete texts, and reproducible bytes."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from xsns_stream.report.figures import SMALLEST_TEXT, axis_label, cut, figure_writer, language
from xsns_stream.reproduce.recipes.low_resource import ChoiceLine, ChoicePanel, choices_figure
from xsns_stream.reproduce.recipes.source_choice import MeanLine, MeansPanel, means_figure
from xsns_stream.reproduce.recipes.transfer_by_source import Box, BoxPanel, ScoreGrid, boxes_figure, grid_figure
from xsns_stream.reproduce.sweep import Curve, Panel, XAxis, curves_figure

CODES = ("ar", "zh", "en", "fi", "fr", "el", "he", "id", "it", "ja", "ko", "ru", "es", "sv", "th", "tr", "vi")
NAN = math.nan
LONG = "a name that goes on and on, $x^{$ <b>&amp;"
PLACES = (0.05, 0.15, 0.25)


def grid(sources: tuple[str, ...] = CODES, targets: tuple[str, ...] = CODES) -> ScoreGrid:
    values = np.random.default_rng(0).random((len(sources), len(targets))) * 60 + 20
    own = np.equal(np.array(sources)[:, None], np.array(targets)[None, :])
    return ScoreGrid(sources, targets, values, own, "F1 (percent)")


def curve(name: str, mean: tuple[float, ...] = (50.0, 60.0, 40.0), level: float | None = 30.0) -> Curve:
    low, high = (tuple(value + more for value in mean) for more in (-5.0, 5.0))
    return Curve(name, PLACES, mean, low, high, level)


def x_axis(**more: object) -> XAxis:
    return XAxis("density p", {tick: f"{tick:g}" for tick in PLACES}, **more)  # type: ignore[arg-type]


def curves(*names: str) -> Figure:
    panels = [Panel(title, tuple(map(curve, names))) for title in ("Pearson", "Spearman", "NDCG@3")]
    return curves_figure(panels, x_axis(above={0.15: "0.08"}, above_label="by chance", marked=0.15), "a title", "below")


def boxes(*panels: BoxPanel) -> Figure:
    return boxes_figure(panels or (box_panel("NER", *CODES), box_panel("QA", "sw", "te")), "a title", "below")


def box_panel(title: str, *codes: str) -> BoxPanel:
    rng = np.random.default_rng(len(codes))
    return BoxPanel(title, tuple(Box(code, tuple(rng.random(8) * 50), 80.0, 10.0) for code in codes), "F1 (percent)")


def means(*names: str) -> Figure:
    lines = tuple(MeanLine(name, (40.0, 50.0, NAN), 45.0, 38.0, 52.0, name == "random") for name in names)
    return means_figure([MeansPanel("POS tagging", lines, "accuracy (percent)")], "a title", "below")


def choices(*panels: ChoicePanel) -> Figure:
    return choices_figure(
        panels or (choice_panel("NER", "English"), choice_panel("POS tagging", "Finnish")), "X-SNS", "t"
    )


def choice_panel(title: str, base: str) -> ChoicePanel:
    lines = (
        ChoiceLine("af", 40.0, 50.0, 55.0, 35.0, "nl", 10.0),
        ChoiceLine("sw", 40.0, 30.0, 45.0, 35.0, "zu"),
        ChoiceLine("tt", 20.0, 20.0, 20.0, NAN, "en"),
    )
    return ChoicePanel(title, lines, "F1 (percent)", base)


DRAWN: dict[str, Callable[[], Figure]] = {
    "grid": lambda: grid_figure(grid(CODES[:7], CODES[3:9]), "a title", "below"),
    "curves": lambda: curves("NER", "POS tagging"),
    "boxes": boxes,
    "means": lambda: means("X-SNS", "LEX", "random"),
    "choices": choices,
}


def written(draw: Callable[[], Figure], kind: str = "svg") -> bytes:
    file = io.BytesIO()
    figure_writer(draw)(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("name", DRAWN)
def test_texts_can_be_read_in_print_and_searched(name: str) -> None:
    sizes = [text.get_fontsize() for text in DRAWN[name]().findobj(Text) if text.get_visible() and text.get_text()]
    assert min(sizes) >= SMALLEST_TEXT
    assert re.search(r"<text [^>]*>(a title|t)</text>", written(DRAWN[name]).decode())


def rendered(figure: Figure) -> Any:
    """Draw a figure, so that the positions of its texts are known."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def texts(figure: Figure) -> list[str]:
    """Return every text that is drawn."""
    visible = [one for one in figure.findobj(Text) if isinstance(one, Text) and one.get_visible()]
    return [one.get_text() for one in visible if one.get_text()]


@pytest.mark.parametrize("name", list(DRAWN))
def test_the_same_figure_gives_the_same_bytes(name: str) -> None:
    first = written(DRAWN[name])
    assert written(DRAWN[name]) == first
    assert b"<dc:date>" not in first
    assert written(DRAWN[name], "png") == written(DRAWN[name], "png")


@pytest.mark.parametrize("name", list(DRAWN))
def test_no_text_is_outside_of_the_page(name: str) -> None:
    """The saved page includes every text."""
    figure = DRAWN[name]()
    renderer = rendered(figure)
    box = figure.get_tightbbox(renderer)
    for one in figure.findobj(Text):
        assert isinstance(one, Text)
        # Numbers beyond the ends of an axis are not drawn.
        if one.get_text() and one.get_in_layout() and not re.fullmatch(r"[−\d.]+", one.get_text()):
            extent = one.get_window_extent(renderer).transformed(figure.dpi_scale_trans.inverted())
            assert box.x0 - 0.02 <= extent.x0 <= extent.x1 <= box.x1 + 0.02, one.get_text()
            assert box.y0 - 0.02 <= extent.y0 <= extent.y1 <= box.y1 + 0.02, one.get_text()


@pytest.mark.parametrize("name", list(DRAWN))
def test_titles_do_not_overlap(name: str) -> None:
    figure = DRAWN[name]()
    renderer = rendered(figure)
    first = figure.axes[0]
    notes = [one for one in first.texts if one.get_text() in {"a title", "below", "t", "NER", "POS tagging"}]
    extents = [one.get_window_extent(renderer) for one in notes]
    legend = first.get_legend()
    extents += [legend.get_window_extent(renderer)] if legend is not None else []
    assert len(extents) >= 2 - (name == "grid")
    for index, one in enumerate(extents):
        assert not any(one.overlaps(other) for other in extents[index + 1 :])


def test_the_grid_marks_a_language_s_own_score_and_the_best_other_source() -> None:
    score_grid = grid(("en", "fi", "et"), ("fi", "en", "sw"))
    values = np.array([[10.0, 90.0, 30.0], [99.0, 20.0, 30.0], [50.0, 60.0, np.nan]])
    score_grid = ScoreGrid(score_grid.sources, score_grid.targets, values, score_grid.own, "F1 (percent)", decimals=1)
    figure = grid_figure(score_grid, "a title")
    axes = figure.axes[0]
    assert [patch.get_xy() for patch in axes.patches] == [(0.5, -0.5), (-0.5, 0.5)]  # type: ignore[attr-defined]
    dots = np.asarray(axes.collections[0].get_offsets()).round().tolist()
    # The best other source is et for fi and en; for sw, en and fi are tied.
    assert sorted(map(tuple, dots)) == [(0.0, 2.0), (1.0, 2.0), (2.0, 0.0), (2.0, 1.0)]
    assert {"10.0", "99.0", ["Swahili", "sw"][1] + "  Swahili", "Finnish  fi"} <= set(texts(figure))
    assert sum(text == "nan" for text in texts(figure)) == 0


def test_numbers_are_in_cells_if_there_is_room() -> None:
    assert len(grid_figure(grid(), "t").axes[0].texts) >= 17 * 17
    codes = tuple(f"x{chr(97 + index // 26)}{chr(97 + index % 26)}" for index in range(60))
    assert len(grid_figure(grid(codes[:20], codes), "t").axes[0].texts) < 5


@pytest.mark.parametrize("values", [[[np.nan]], [[5.0]], [[5.0, 5.0]], [[np.nan, np.nan], [np.nan, 1.0]]])
def test_grids_with_few_scores_are_drawn(values: list[list[float]]) -> None:
    shape = np.array(values).shape
    sources, targets = CODES[: shape[0]], ("en", "sw")[: shape[1]]
    own = np.zeros(shape, np.bool_)
    assert written(partial(grid_figure, ScoreGrid(sources, targets, np.array(values), own, "F1"), "t"))


def test_a_grid_whose_labels_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="the scores must have 2 rows and 1 columns"):
        ScoreGrid(("en", "fi"), ("sw",), np.zeros((1, 2)), np.zeros((1, 2), np.bool_), "F1")


def test_curves_have_one_colour_a_name_and_one_legend() -> None:
    first, second = Panel("Pearson", (curve("NER"),)), Panel("Top-1", (curve("QA"), curve("NER")))
    figure = curves_figure([first, second], x_axis(), "a title")
    one, two = figure.axes[:2]
    assert one.lines[0].get_color() == two.lines[2].get_color() != two.lines[0].get_color()
    assert [text.get_text() for text in one.get_legend().get_texts()] == ["NER", "QA"]
    assert two.get_legend() is None
    np.testing.assert_array_equal(one.lines[0].get_ydata(), [50, 60, 40])
    # The line of the level is dotted, and is not in the legend.
    assert [line.get_ydata()[0] for line in (one.lines[1], two.lines[1])] == [30.0, 30.0]
    band = one.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (35.0, 65.0)
    assert [axes.get_ylabel() for axes in (one, two)] == ["Pearson (× 100)", "Top-1 (× 100)"]


def test_curves_of_numbers_of_examples_are_logarithmic() -> None:
    figure = curves_figure([Panel("Pearson", (curve("NER"),))], x_axis(logarithmic=True, marked=0.15), "t")
    assert figure.axes[0].get_xscale() == "log"
    assert [text.get_text() for text in figure.axes[0].get_xticklabels(which="both")] == ["0.05", "0.15", "0.25"]


def test_a_curve_may_lack_intervals_or_numbers() -> None:
    nothing = (NAN, NAN, NAN)
    empty = Curve("QA", PLACES, nothing, nothing, nothing)
    single = Curve("PI", (0.15,), (3.0,), (NAN,), (NAN,))
    assert written(lambda: curves_figure([Panel("Pearson", (empty, single))], x_axis(), "t"))
    with pytest.raises(ValueError, match="must have one mean, low and high"):
        Curve("QA", PLACES, (1.0,), nothing, nothing)
    with pytest.raises(ValueError, match="must have a panel"):
        curves_figure([], x_axis(), "t")


def test_a_box_holds_the_quartiles_and_every_source() -> None:
    values = (10.0, 20.0, 30.0, 40.0, 50.0, NAN)
    figure = boxes(BoxPanel("NER", (Box("sw", values, own=70.0), Box("fi", (), trivial=5.0)), "F1 (percent)"))
    axes = figure.axes[0]
    heights = [round(float(y), 6) for y in axes.patches[0].get_path().vertices[:, 1]]
    assert (min(heights), max(heights)) == (20.0, 40.0)
    points = [np.asarray(one.get_offsets()).tolist() for one in axes.collections]
    assert points == [[[0, 10], [0, 20], [0, 30], [0, 40], [0, 50]], [[0, 70]], [[1, 5]]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Swahili  sw", "Finnish  fi"]
    with pytest.raises(ValueError, match="must have a panel"):
        boxes_figure([], "t")


def test_panels_of_boxes_keep_clear_of_each_other_s_names() -> None:
    figure = boxes(
        box_panel("NER", "ckb", "fy"), box_panel("QA", "my-own-long-label-of-a-corpus", "te"), box_panel("x", "en")
    )
    renderer = rendered(figure)
    for upper, lower in zip(figure.axes, figure.axes[1:], strict=False):
        bottom = min(label.get_window_extent(renderer).y0 for label in upper.get_xticklabels())
        top = max(one.get_window_extent(renderer).y1 for one in lower.texts)
        assert top < bottom


def test_means_are_drawn_with_their_intervals() -> None:
    figure = means("X-SNS", "random")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["X-SNS", "random"]
    dots, bar, mean = axes.collections[:3]
    assert np.asarray(dots.get_offsets()).tolist() == [[40.0, 0.0], [50.0, 0.0]]
    assert bar.get_segments()[0].tolist() == [[38.0, 0.0], [52.0, 0.0]]  # type: ignore[attr-defined]
    assert np.asarray(mean.get_offsets()).tolist() == [[45.0, 0.0]]
    # The first row is at the top.
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    bare = MeansPanel("QA", (MeanLine("a", (NAN,), NAN),), "F1")
    assert written(partial(means_figure, [bare], "t"))
    with pytest.raises(ValueError, match="must have a panel"):
        means_figure([], "t")


def test_choices_show_gains_and_losses() -> None:
    figure = choices(choice_panel("NER", "English"))
    axes = figure.axes[0]
    gains, losses = (one.get_segments() for one in axes.collections[:2])  # type: ignore[attr-defined]
    assert [line.tolist() for line in gains] == [[[40.0, 0.0], [50.0, 0.0]]]
    assert [line.tolist() for line in losses] == [[[40.0, 1.0], [30.0, 1.0]]]
    assert {"nl", "zu", "en", "Afrikaans  af"} <= set(texts(figure))
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["no model", "mean of the sources", "best source", "English", "X-SNS"]
    two = choices().axes[0].get_legend()
    assert "English or Finnish" in [text.get_text() for text in two.get_texts()]


def test_names_are_not_parsed_as_mathematics_and_are_cut() -> None:
    figure = means(LONG, "b" * 200)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [cut(LONG), f"{'b' * 27}…"]
    assert written(lambda: means(LONG))
    assert re.search("a name that goes", cut(LONG))
    panel = Panel(LONG, (curve(LONG),))
    assert written(lambda: curves_figure([panel], XAxis(LONG, {0.1: LONG}), LONG, LONG))


def test_languages_and_axes_have_readable_names() -> None:
    assert language("sw") == "Swahili  sw"
    assert language("my-own-corpus") == "my-own-corpus"
    assert axis_label("f1", "percent") == "F1 (percent)"
    assert axis_label("bleu", "points") == "bleu (points)"
