"""Functions for the style, the page layout and the files of all figures.

Each figure is drawn by a function without arguments. This module calls the function while its matplotlib settings are
active. The positions of axes are given in inches, from the top left corner of a page. pyplot is not used, because it
has global state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

import numpy as np

from xsns_stream.languages import shown_name
from xsns_stream.types import Reals, axes_drawing
from xsns_stream.types.transfer_scores import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

#: Colours that colour-blind readers can distinguish (Okabe and Ito), without yellow, which is too light on white.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#22252b")
MARKERS: Final = ("o", "s", "D", "^", "v", "P")
GREY: Final = "#9aa0a8"
INK: Final = "#22252b"
QUIET_INK: Final = "#5b616b"
PALE_INK: Final = axes_drawing.PALE_INK
#: Colour scale of heat maps, and the colour of undefined values.
SCALE: Final = axes_drawing.SCALE
UNDEFINED_COLOUR: Final = axes_drawing.UNDEFINED_COLOUR
#: The font of all figures, which matplotlib contains.
FONT: Final = "DejaVu Sans"
#: Size in points of the smallest text that can be read on paper.
SMALLEST_TEXT: Final = axes_drawing.SMALLEST_TEXT

#: matplotlib settings: a font that is always installed, reproducible files, text as text in vector files (which can be
#: searched and edited), and `$` as a dollar sign.
SETTINGS: Final[Any] = {
    "svg.hashsalt": "xsns-stream",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": [FONT],
    "text.parse_math": False,
}

_MAX_NAME: Final = 28
_DPI: Final = 180
_LINE_PITCH: Final = 0.25
_LINES_WIDTH: Final = 5.8
_LINES_GAP: Final = 0.95

Draw: TypeAlias = "Callable[[], Figure]"


def save_figure(draw: Draw, file: BinaryIO, kind: str, **options: Any) -> None:
    """Write a figure into an open file; equal figures give identical bytes.

    Args:
        draw: Function that returns the figure.
        file: The file.
        kind: `png`, `svg` or `pdf`.
        options: Further arguments of matplotlib's `savefig`, such as `pad_inches`. By default, the file shows all that
            the figure draws.
    """
    import matplotlib as mpl

    # The files do not contain the time at which they were written.
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context(SETTINGS):
        draw().savefig(file, format=kind, metadata=metadata.get(kind), **({"bbox_inches": "tight"} | options))


def figure_writer(draw: Draw) -> Callable[[BinaryIO, str], None]:
    """Return a function that writes a figure as `png`, `svg` or `pdf` into an open file.

    Args:
        draw: Function that returns the figure; it is called once for each file.
    """
    return lambda file, kind: save_figure(draw, file, kind, pad_inches=0.25)


@dataclass(frozen=True)
class Page:
    """A page of a fixed size in inches.

    Attributes:
        width: Width of the area for axes. Labels may be outside of it; the saved page includes them.
        height: Height of the area for axes.
    """

    width: float
    height: float

    def figure(self) -> Figure:
        """Return an empty figure of this size."""
        from matplotlib.figure import Figure

        return Figure(figsize=(self.width, self.height), facecolor="white", dpi=_DPI)

    def axes(self, figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes of a width and a height in inches to the figure of this page, and return the axes.

        `left` and `top` are the distances in inches from the upper left corner of the page.
        """
        box = left / self.width, 1.0 - (top + height) / self.height, width / self.width, height / self.height
        return figure.add_axes(box)


def stacked_axes(lines: Sequence[int]) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes one below the other; each axes has room for a number of labelled lines.

    Args:
        lines: The number of labelled lines for each axes, from top to bottom.

    Raises:
        ValueError: There are no axes.
    """
    if not lines:
        raise ValueError("a figure of lines must have a panel")
    tops = [sum(lines_height(count) + _LINES_GAP for count in lines[:index]) for index in range(len(lines))]
    page = Page(_LINES_WIDTH, tops[-1] + lines_height(lines[-1]))
    figure = page.figure()
    pairs = zip(tops, lines, strict=True)
    return figure, [page.axes(figure, 0.0, top, page.width, lines_height(count)) for top, count in pairs]


def lines_height(lines: int) -> float:
    """Return the height in inches of axes with room for `lines` labelled lines."""
    return _LINE_PITCH * max(lines, 1) + 0.2


def finish_lines(axes: Axes, lines: int, label: str) -> None:
    """Set the limits, the grid and the x label of one of the axes that :func:`stacked_axes` returned."""
    axes.set_xlabel(label, fontsize=9, color=INK)
    axes.set(ylim=(max(lines, 1) - 0.4, -0.6))
    axes.margins(x=0.04)
    axes.grid(axis="x", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    plain(axes)


def look(index: int) -> dict[str, Any]:
    """Return the colour and the marker of the series with this index; neighbouring series differ in both.

    The numbers of colours and of markers have no common divisor. Each of the first 42 series therefore has another
    pair.
    """
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}


def plain(axes: Axes) -> None:
    """Style axes plainly: hide the top and right spines, thin the other two, and make the ticks short."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.6, color=PALE_INK)
    axes.tick_params(labelcolor=INK, color=PALE_INK, length=2.5, labelsize=8)


def titled(axes: Axes, title: str, subtitle: str = "", above: float = 10.0, size: float = 11.5) -> None:
    """Write a left-aligned title and subtitle above axes; the text starts `above` points above the axes.

    `size` is the size of the title in points.
    """
    for text, points, weight, colour in ((subtitle, 8.5, "normal", QUIET_INK), (title, size, "bold", INK)):
        if text:
            text_above(axes, text, above, points, weight, colour)
            above += 1.45 * points * (1 + text.count("\n"))


def text_above(axes: Axes, text: str, above: float, points: float, weight: str, colour: str) -> None:
    """Write a left-aligned text above axes.

    Args:
        axes: The axes.
        text: The text.
        above: Distance from the axes to the lower edge of the text, in points.
        points: Font size in points.
        weight: Font weight of matplotlib, such as `bold`.
        colour: Colour of the text.
    """
    axes.annotate(
        text,
        (0, 1),
        (0, above),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=points,
        fontweight=weight,
        color=colour,
        va="bottom",
        annotation_clip=False,
    )


def is_dark(rgba: Iterable[float]) -> bool:
    """Return whether a colour is so dark that text on it must be white."""
    red, green, blue, _ = rgba
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.55


def language(code: str, longest: int = _MAX_NAME) -> str:
    """Return the name and the code, such as `Swahili  sw`; only the code if the language has no name.

    A name with more than `longest` letters is truncated.
    """
    name = shown_name(code)
    return code if name == code else f"{cut(name, longest)}  {code}"


def cut(name: str, longest: int = _MAX_NAME) -> str:
    """Return a name; if it has more than `longest` letters, it is truncated and ends with `…`."""
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip(' (')}…"


def capitalised(text: str) -> str:
    """Return a text whose first letter is a capital; the other letters do not change."""
    return text[:1].upper() + text[1:]


def axis_label(metric: str, unit: str) -> str:
    """Return the label of an axis of scores, such as `F1 (percent)`."""
    name = metric_name(metric).replace("-", " ").replace("f1", "F1")
    return f"{name} ({unit})"


def finite(values: Sequence[float | None]) -> list[float]:
    """Return the values that are finite; None, NaN and infinities are removed."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]


# ------------------------------------------------------------------------------------------ labels of points

#: Largest number of labels; of more points, only the most extreme ones have labels.
_MOST_LABELS: Final = 14
_LABEL_SIZE: Final = 5.5
#: Mean width and height of a letter, as shares of the size of the font.
_LETTER: Final = (0.62, 1.15)
#: Directions from a point in which a place for its label is tried.
_DIRECTIONS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
#: Largest number of points that a label may cover.
_MOST_COVERED: Final = 3
#: Distances of a label from its point that are tried, in typographic points.
_DISTANCES: Final = (3.0, 7.0)


def label_points(axes: Axes, x: Reals, y: Reals, labels: Sequence[str]) -> None:
    """Write labels beside the points of a scatter plot, without overlaps.

    If there are many points, only the extreme points have labels: the points with the smallest and largest x and y, and
    the points that are furthest from the regression line. A label is left out if it would cover another label or more
    than three points. Call this function after the limits of the axes are final.

    Args:
        axes: The axes; the points must be drawn already.
        x: float64 [N], x coordinates of the points.
        y: float64 [N], y coordinates of the points.
        labels: N labels.
    """
    from matplotlib.transforms import Bbox

    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not known.size:
        return
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    scale = 72 / axes.figure.dpi
    places = axes.transData.transform(np.column_stack([x, y])) * scale
    frame = Bbox(axes.bbox.get_points() * scale)
    taken: list[Bbox] = []
    for index in _extremes(x, y, known):
        if (box := _free_box(places[index], labels[index], frame, taken, places[known])) is None:
            continue
        taken.append(box)
        offset = (box.x0 + box.x1) / 2 - places[index, 0], (box.y0 + box.y1) / 2 - places[index, 1]
        axes.annotate(
            labels[index],
            (x[index], y[index]),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_LABEL_SIZE,
            color=QUIET_INK,
        )


def _extremes(x: Reals, y: Reals, known: Any) -> list[int]:
    """Return the indices of the points that get labels, most extreme first.

    `known` are the indices of the points whose coordinates are finite.

    The points with the smallest and largest x and y come first, followed by the others in descending order of their
    vertical distance from the regression line. If there are many points, only the first of them get labels.
    """
    residual = y - y[known].mean()
    if known.size > 2 and np.ptp(x[known]) > 0:
        residual = y - np.polyval(np.polyfit(x[known], y[known], 1), x)
    ends = [known[i] for values in (x, y) for i in (values[known].argmin(), values[known].argmax())]
    far = known[np.argsort(-np.abs(residual[known]), kind="stable")]
    order = dict.fromkeys(int(index) for index in (*ends, *far))
    return list(order)[:_MOST_LABELS]


def _free_box(place: Reals, label: str, frame: Bbox, taken: Sequence[Bbox], points: Reals) -> Bbox | None:
    """Return the best free box for the label of the point at `place`; None if there is no free box.

    The box lies within `frame` and overlaps no box in `taken`. Among such boxes, it covers the fewest of `points`,
    float64 [N, 2], and at most :data:`_MOST_COVERED`. All coordinates are in typographic points.
    """
    from matplotlib.transforms import Bbox

    size = np.array([len(label) * _LETTER[0], _LETTER[1]]) * _LABEL_SIZE
    best, fewest = None, _MOST_COVERED + 1
    for distance, direction in product(_DISTANCES, _DIRECTIONS):
        middle = place + np.array(direction) * (distance + size / 2)
        box = Bbox([middle - size / 2, middle + size / 2])
        inside = frame.contains(*box.min) and frame.contains(*box.max)
        if inside and not any(box.overlaps(other) for other in taken) and box.count_contains(points) < fewest:
            best, fewest = box, box.count_contains(points)
    return best
