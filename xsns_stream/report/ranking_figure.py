"""Figures of rankings: a dot for the similarity of each source, and a bar for its interval."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from xsns_stream.languages import shown_name
from xsns_stream.report.figures import (
    COLOURS,
    GREY,
    INK,
    QUIET_INK,
    Page,
    finish_lines,
    language,
    lines_height,
    titled,
)
from xsns_stream.types import RankedSource, SourceRanking
from xsns_stream.types.axes_drawing import label_lines, new_axes
from xsns_stream.types.similarity_matrix import coefficient_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xsns_stream.report.ranking import ShownRanking

_WIDTH: Final = 5.4
_SECOND_WIDTH: Final = 2.9
_BETWEEN: Final = 0.35
#: Height of title, subtitle and axis labels between two panels, in inches.
_GAP: Final = 1.25
#: Number of letters in an inch of a line of the sentences below a figure.
_LETTERS: Final = 17
#: Largest height of a new figure of :func:`plot_ranking` in inches.
_TALLEST: Final = 24.0
_FIRST, _OTHERS, _MEASURED = COLOURS[0], GREY, COLOURS[1]


def rankings_figure(shown: Sequence[ShownRanking]) -> Figure:
    """Draw a panel for each target, in which each source has a dot and an interval.

    Sources that cannot be distinguished from the first source have the mark `~` and the colour of the first. A
    dashed line shows the similarity between two halves of the target's own examples. Expected scores, if known, are
    drawn in a second panel beside the first, in which each measured score is a cross.

    Args:
        shown: The rankings; at least one.

    Returns:
        A figure; save it with `bbox_inches="tight"`.
    """
    scored = any(_has_expected(each.ranking) for each in shown)
    heights = [lines_height(len(each.ranking)) for each in shown]
    page = Page(_WIDTH + (_BETWEEN + _SECOND_WIDTH if scored else 0.0), sum(heights) + _GAP * (len(shown) - 1))
    figure, top = page.figure(), 0.0
    for each, height in zip(shown, heights, strict=True):
        axes = page.axes(figure, 0.0, top, _WIDTH, height)
        draw_ranking(axes, each.ranking)
        titled(axes, each.title, " · ".join((f"{_measure(each.ranking)} of sub-networks", *each.settings)), above=12.0)
        if _has_expected(each.ranking):
            _draw_expected(page.axes(figure, _WIDTH + _BETWEEN, top, _SECOND_WIDTH, height), each.ranking)
        top += height + _GAP
    _write_below(axes, _sentences(shown), int(_LETTERS * page.width))
    return figure


def _sentences(shown: Sequence[ShownRanking]) -> list[str]:
    """Return each sentence once; a sentence that does not apply to all targets begins with the name of its target."""
    everywhere = set(shown[0].sentences).intersection(*(each.sentences for each in shown))
    own = [
        f"{each.ranking.target}: {sentence}"
        for each in shown
        for sentence in each.sentences
        if sentence not in everywhere
    ]
    return [*own, *(sentence for sentence in shown[0].sentences if sentence in everywhere)]


def _measure(ranking: SourceRanking) -> str:
    return f"{coefficient_title(ranking.coefficient)} similarity"


def plot_ranking(ranking: SourceRanking, ax: Axes | None = None) -> Axes:
    """Draw a ranking into the given axes, or into a new pyplot figure if `ax` is None.

    No text is smaller than five points: if the axes are too low for all labels, only some sources are labelled, and
    the label of the axis says so. As in all figures of this package, matplotlib does not parse `$` in texts as
    mathematics.
    """
    import matplotlib as mpl

    if ax is None:
        ax = new_axes(6.0, min(lines_height(len(ranking)) + 0.8, _TALLEST))
    with mpl.rc_context({"text.parse_math": False}):
        draw_ranking(ax, ranking)
    label_lines(ax, "y", _labels(ranking))
    ax.set_title(f"Sources for {shown_name(ranking.target)} ({ranking.target})", loc="left", fontsize=10)
    return ax


def draw_ranking(axes: Axes, ranking: SourceRanking) -> None:
    """Draw the dots and intervals of a ranking into axes, best source at the top."""
    for place, source in enumerate(ranking):
        if not math.isnan(source.similarity):
            colour = _colour(source, place)
            if source.low is not None and source.high is not None:
                axes.hlines(place, source.low, source.high, color=colour, linewidth=2.2, alpha=0.55, zorder=2)
            axes.plot(source.similarity, place, "o", color=colour, markersize=5.5, zorder=3)
    if ranking.reliability is not None:
        axes.axvline(ranking.reliability, color=QUIET_INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        right = all(source.similarity < ranking.reliability for source in ranking)
        axes.annotate(
            "two halves of the target's examples",
            (ranking.reliability, 1),
            (0, 1),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if right else "center",
            va="bottom",
            fontsize=6.5,
            color=QUIET_INK,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(ranking)), _labels(ranking))
    interval = f", 95 % interval ({ranking.basis})" if ranking.basis else ""
    finish_lines(axes, len(ranking), f"{_measure(ranking)} with {shown_name(ranking.target)}{interval}")


def _labels(ranking: SourceRanking) -> list[str]:
    """Return the names of the sources; `~` marks those that cannot be distinguished from the first, as in tables."""
    several = ranking.level > 1
    return [
        f"~ {language(source.language)}" if several and source.level_with_first else language(source.language)
        for source in ranking
    ]


def _colour(source: RankedSource, place: int) -> str:
    """Return the colour of a source; it shows whether the source can be distinguished from the first source.

    `place` is the index of the source in the ranking.
    """
    return _FIRST if source.level_with_first or (source.level_with_first is None and place == 0) else _OTHERS


def _has_expected(ranking: SourceRanking) -> bool:
    return any(source.expected is not None for source in ranking)


def _draw_expected(axes: Axes, ranking: SourceRanking) -> None:
    """Draw the expected scores with their intervals, and the measured scores as crosses."""
    known = [(place, source.expected) for place, source in enumerate(ranking) if source.expected is not None]
    for place, score in known:
        axes.hlines(place, score.low, score.high, color=GREY, linewidth=2.2, alpha=0.55, zorder=2)
    axes.plot([score.mean for _, score in known], [place for place, _ in known], "o", color=INK, markersize=4.5)
    measured = [(score.measured, place) for place, score in known if score.measured is not None]
    if measured:
        axes.plot(*zip(*measured, strict=True), "x", color=_MEASURED, markersize=6, markeredgewidth=1.6, zorder=4)
    axes.set_yticks([])
    cross = ", × measured" if measured else ""
    finish_lines(axes, len(ranking), f"expected score ({ranking.unit}), 95 % interval{cross}")


def _write_below(axes: Axes, sentences: Sequence[str], letters: int) -> None:
    """Write sentences below axes, wrapped to at most `letters` letters for each line."""
    if sentences:
        axes.annotate(
            "\n".join(textwrap.wrap(" ".join(sentences), letters)),
            (0, 0),
            (0, -36),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=7.5,
            color=INK,
            va="top",
            annotation_clip=False,
        )
