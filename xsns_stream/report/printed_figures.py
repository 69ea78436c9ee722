"""Figures for print, which can have a given width and have no text smaller than five points."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from xsns_stream.report.figures import FONT, INK, QUIET_INK, SETTINGS, SMALLEST_TEXT, save_figure, text_above
from xsns_stream.types import Reals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width and height of the printed area of a page, in inches. A note tells if a figure does not fit into it.
PAGE: Final = (7.0, 10.0)
#: Space around a figure in inches, if its width is given.
_MARGIN: Final = 0.02
#: Largest number of attempts to draw a figure with the given width.
_STEPS: Final = 5


@dataclass(frozen=True)
class PrintedFigure:
    """A figure for print, and notes on what it leaves out.

    Attributes:
        figure: The figure.
        width: The width in inches at which it is printed; None for the width of its content.
        notes: Sentences on what the figure leaves out.
    """

    figure: Figure
    width: float | None = None
    notes: tuple[str, ...] = ()

    def box(self) -> Any:
        """Return the part of the figure that is saved, in inches: all that is drawn, and at least the given width."""
        from matplotlib.transforms import Bbox

        drawn = content_box(self.figure)
        margin = 0.3 if self.width is None else _MARGIN
        left, right = drawn.x0 - margin, drawn.x1 + margin
        missing = 0.0 if self.width is None else max(0.0, self.width - (right - left))
        return Bbox.from_extents(left, drawn.y0 - margin, right + missing, drawn.y1 + margin)


def save_printed(draw: Callable[[], PrintedFigure], file: BinaryIO, kind: str) -> list[str]:
    """Write a figure into an open file, and return notes on what it leaves out; equal figures give identical bytes.

    Args:
        draw: Function that returns the figure; it is called while the settings of all figures are active.
        file: The file.
        kind: `png`, `svg` or `pdf`.
    """
    import matplotlib as mpl

    with mpl.rc_context(SETTINGS), _missing_glyphs() as missing:
        printed = draw()
        box = printed.box()
        save_figure(lambda: printed.figure, file, kind, bbox_inches=box)
    notes = list(printed.notes)
    if missing and kind != "svg":
        # Programs that show SVG files have other fonts for these characters.
        signs = "".join(dict.fromkeys(missing))
        notes.append(f"the font {FONT} lacks these characters of labels, which are drawn as boxes: {signs}")
    # PNG files are mostly for screens. The size of their printed text is not checked.
    return notes if kind == "png" else [*notes, *_size_notes(printed, box)]


@contextmanager
def _missing_glyphs() -> Iterator[list[str]]:
    """Collect the characters that the font lacks, while the block runs, instead of matplotlib's warnings about them."""
    missing: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield missing
    for warning in caught:
        if found := re.match(r"Glyph (\d+) ", str(warning.message)):
            missing.append(chr(int(found[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _size_notes(printed: PrintedFigure, box: Any) -> list[str]:
    """Return a sentence if the figure cannot be read on a page, because it is too large."""
    if printed.width is not None:
        return [f"the figure is {box.height:.0f} inches high, more than a page."] if box.height > PAGE[1] else []
    scale = min(PAGE[0] / box.width, PAGE[1] / box.height)
    size = smallest_text(printed.figure) * scale
    if size >= SMALLEST_TEXT:
        return []
    width = f", or draw it for a width with --width {PAGE[0]:g}" if scale < PAGE[1] / box.height else ""
    return [
        f"the figure is {box.width:.0f} × {box.height:.0f} inches large; on a page of {PAGE[0]:g} × {PAGE[1]:g} "
        f"inches, its text would have {size:.1f} points: choose fewer languages with --lang{width}."
    ]


def smallest_text(figure: Figure) -> float:
    """Return the size of the smallest text of a figure in points; infinity if there is none."""
    from matplotlib.text import Text

    texts = figure.findobj(Text)
    return min((float(text.get_fontsize()) for text in texts if text.get_visible() and text.get_text()), default=np.inf)


def content_box(figure: Figure) -> Any:
    """Return the smallest box, in inches, that contains everything that a figure draws."""
    return figure.get_tightbbox()


def fitted(draw: Callable[[float], Figure], start: float, width: float) -> tuple[Figure, float]:
    """Draw a figure whose content has a given width, by changing the width of its axes.

    Args:
        draw: Function that draws the figure for a width of the axes in inches.
        start: First width of the axes.
        width: Width of the content in inches.

    Returns:
        The figure, and the width of its axes.
    """
    inner = start
    figure = draw(inner)
    for _ in range(_STEPS):
        excess = content_box(figure).width + 2 * _MARGIN - width
        if -0.01 * width < excess <= 0:
            break
        # The saved figure is padded if its content is too narrow, but it cannot be cut if the content is too wide.
        inner = max(0.2, inner - excess - 0.002 * width)
        figure = draw(inner)
    return figure, inner


def heading(axes: Axes, title: str, facts: Sequence[str], above: float, inches: float, size: float = 11.0) -> None:
    """Write a title, and below it a line of facts, above axes; both are broken into lines that fit.

    Args:
        axes: The axes.
        title: The title.
        facts: Facts, which are separated by `·`; empty facts are left out.
        above: Distance of the lowest line from the axes, in points.
        inches: Width that the lines may have.
        size: Size of the title in points; the facts are smaller.
    """
    small = max(SMALLEST_TEXT + 0.5, 0.62 * size)
    for lines, points, weight, colour in (
        (_lines([fact for fact in facts if fact], " · ", small, inches), small, "normal", QUIET_INK),
        (_lines(title.split(), " ", size, inches), size, "bold", INK),
    ):
        for line in reversed(lines):
            text_above(axes, line, above, points, weight, colour)
            above += 1.35 * points


def text_width(text: str, points: float) -> float:
    """Return the width of a text in typographic points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    # Spaces at the ends would have no width.
    return float(
        TextPath((0, 0), text.strip() or "x", size=points, prop=FontProperties(), usetex=False).get_extents().x1
    )


def _lines(parts: Sequence[str], between: str, points: float, inches: float) -> list[str]:
    """Join parts of a text by `between` into lines that are not wider than `inches`.

    The size of the font is `points`.
    """
    most = max(8.0, inches * 72 / (0.6 * points))
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(between) + len(part) <= most:
            lines[-1] += between + part
        else:
            lines.append(part)
    return lines


def place_labels(
    points: Reals, sizes: Reals, frame: tuple[float, float], obstacles: Reals, order: Sequence[int]
) -> list[tuple[float, float] | None]:
    """Return positions for labels beside points, without overlaps; None for a label that has no place.

    Args:
        points: float64 [N, 2], the points, in the unit of the sizes.
        sizes: float64 [N, 2], widths and heights of the labels.
        frame: Width and height of the area in which labels may be.
        obstacles: float64 [M, 4], boxes (left, bottom, right, top) that labels must not cover.
        order: Indices of the points; the labels of the first ones are placed first.

    Returns:
        The middle of each label.
    """
    directions = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)], np.float64)
    taken = obstacles
    result: list[tuple[float, float] | None] = [None] * len(points)
    for index in order:
        half = sizes[index] / 2
        middles = np.concatenate([points[index] + directions * (half + gap) for gap in (3.2, 6.5)])
        low, high = middles - half, middles + half
        free = (low >= 0).all(axis=1) & (high <= np.array(frame)).all(axis=1)
        across = (low[:, None, :] < taken[None, :, 2:]) & (high[:, None, :] > taken[None, :, :2])
        free &= ~across.all(axis=2).any(axis=1)
        if free.any():
            best = int(free.argmax())
            result[index] = float(middles[best, 0]), float(middles[best, 1])
            taken = np.vstack([taken, np.concatenate([low[best], high[best]])])
    return result
