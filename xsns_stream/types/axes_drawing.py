"""Drawing into axes of matplotlib, for the `plot` methods of results and for the figures of `xsns_stream.report`."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from xsns_stream.types.parameters import Reals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

#: Colour scale of heat maps: perceptually uniform, and dark for high values.
SCALE: Final = "magma_r"
UNDEFINED_COLOUR: Final = "#c9ccd1"
PALE_INK: Final = "#8a8f98"
#: Size in points of the smallest text that can be read on paper.
SMALLEST_TEXT: Final = 5.0
#: Size in points of the largest label of a row or column.
_LARGEST_TEXT: Final = 10.0
#: Size of a label in points, as a share of the height of a row.
LABEL_SHARE: Final = 0.78
# With this number of languages or more, a few extreme pairs (dialects, an empty sample) would reduce the contrast
# between all other pairs.
_TRIM_FROM: Final = 20
_TRIM_PERCENT: Final = 0.5


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new pyplot figure of `width` × `height` inches; all labels are kept inside the figure."""
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height), layout="constrained")[1]


def colour_scale(values: Reals, own: npt.NDArray[np.bool_]) -> tuple[ScalarMappable, str]:
    """Return the colour scale of a heat map, and matplotlib's `extend` for values beyond the ends of the scale.

    Args:
        values: float64 [S, T]; NaN if undefined.
        own: bool [S, T]: cells that compare a language with itself, which the scale leaves out.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    known = values[~own & np.isfinite(values)]
    if not known.size:
        return ScalarMappable(Normalize(0.0, 1.0), SCALE), "neither"
    low, high = float(known.min()), float(known.max())
    if max(values.shape) >= _TRIM_FROM:
        low, high = (float(v) for v in np.percentile(known, [_TRIM_PERCENT, 100 - _TRIM_PERCENT]))
    if high - low < 1e-6:
        low, high = low - 0.05, high + 0.05
    beyond = known.min() < low, known.max() > high
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    return ScalarMappable(Normalize(low, high), SCALE), extend


def draw_cells(axes: Axes, values: Reals, own: npt.NDArray[np.bool_], colours: ScalarMappable) -> None:
    """Draw the cells of a heat map into axes, in colours from :func:`colour_scale`.

    Cells in `own` are white, and undefined cells are grey.
    """
    from matplotlib.colors import to_rgba

    pixels = np.asarray(colours.to_rgba(np.nan_to_num(values)))
    pixels[~np.isfinite(values)] = to_rgba(UNDEFINED_COLOUR)
    pixels[own] = to_rgba("white")
    # Drawing bytes takes half the time of drawing floats.
    axes.imshow((pixels * 255).round().astype(np.uint8), interpolation="nearest", aspect="auto")
    for spine in axes.spines.values():
        spine.set(linewidth=0.6, color=PALE_INK)


def label_lines(
    axes: Axes,
    axis: Literal["x", "y"],
    labels: Sequence[str],
    name: str = "",
    *,
    start: float = 0.0,
    pitch: float = 1.0,
) -> None:
    """Label the rows or columns of axes with text of at least five points.

    If there are too many labels for the size of the axes, only every second, third … line is labelled, and the label
    of the axis says so.

    Args:
        axes: The axes.
        axis: `x` for columns, whose labels are rotated, or `y` for rows.
        labels: One label for each line. `$` is shown as it is.
        name: Name of the lines, such as `source`, which is written at the axis; empty for no name.
        start: Coordinate of the first line.
        pitch: Distance between two neighbouring lines, in coordinates of the axis.
    """
    pixels = axes.bbox.width if axis == "x" else axes.bbox.height
    room = 72.0 * pixels / axes.figure.dpi / max(len(labels), 1) * LABEL_SHARE
    step = max(1, ceil(SMALLEST_TEXT / room - 1e-9))
    lines = range(0, len(labels), step)
    options: dict[str, Any] = {"rotation": 90} if axis == "x" else {}
    axes.tick_params(axis=axis, labelsize=float(np.clip(room * step, SMALLEST_TEXT, _LARGEST_TEXT)), length=0)
    set_ticks, set_label = (axes.set_xticks, axes.set_xlabel) if axis == "x" else (axes.set_yticks, axes.set_ylabel)
    set_ticks([start + pitch * line for line in lines], [labels[line] for line in lines], **options)
    for text in axes.get_xticklabels() if axis == "x" else axes.get_yticklabels():
        text.set_parse_math(False)
    some = f"{len(lines)} of {len(labels)} are labelled"
    if caption := name if step == 1 else f"{name}; {some}" if name else some:
        set_label(caption)
