"""Style, page layout and file output of all figures.

A figure is drawn by a function without arguments, because matplotlib's settings must hold while its texts are made.
Axes are placed in inches from the top left of a page. pyplot is not used, so that there is no global state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from xsns_stream.report.console_tables import shown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours that colour-blind readers can distinguish (Okabe and Ito), without the yellow, which is too light on white.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#22252b")
MARKERS: Final = ("o", "s", "D", "^")
GREY: Final = "#9aa0a8"
INK: Final = "#22252b"
QUIET_INK: Final = "#5b616b"
PALE_INK: Final = "#8a8f98"
#: Colour scale of heat maps: perceptually uniform, and dark for high values.
SCALE: Final = "magma_r"
UNDEFINED_COLOUR: Final = "#c9ccd1"

#: matplotlib's settings: a font that is always installed, the same bytes each time, and `$` as a dollar sign.
SETTINGS: Final[Any] = {
    "svg.hashsalt": "xsns-stream",
    "font.family": ["DejaVu Sans"],
    "text.parse_math": False,
}

_MAX_NAME: Final = 28
_DPI: Final = 180
_LINE_PITCH: Final = 0.25
_LINES_WIDTH: Final = 5.8
_LINES_GAP: Final = 0.95

Draw: TypeAlias = "Callable[[], Figure]"


def save_figure(draw: Draw, file: BinaryIO, kind: str, **options: Any) -> None:
    """Write a figure into an open file; the same figure gives the same bytes.

    Args:
        draw: Makes the figure.
        file: The file.
        kind: `png`, `svg` or `pdf`.
        options: Further arguments of matplotlib's `savefig`, such as `pad_inches`.
    """
    import matplotlib as mpl

    # The files do not contain the time at which they were written.
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with mpl.rc_context(SETTINGS):
        draw().savefig(file, format=kind, bbox_inches="tight", metadata=metadata.get(kind), **options)


def figure_writer(draw: Draw) -> Callable[[BinaryIO, str], None]:
    """Return a function that writes a figure as `png`, `svg` or `pdf` into an open file.

    Args:
        draw: Makes the figure; called once for each file.
    """
    return lambda file, kind: save_figure(draw, file, kind, pad_inches=0.25)


@dataclass(frozen=True)
class Page:
    """A page of a fixed size, in inches.

    Attributes:
        width: Width of the axes that are placed on the page. Labels may be outside; the saved page includes them.
        height: Height of the axes that are placed on the page.
    """

    width: float
    height: float

    def figure(self) -> Figure:
        """Return an empty figure of this size."""
        from matplotlib.figure import Figure

        return Figure(figsize=(self.width, self.height), facecolor="white", dpi=_DPI)

    def axes(self, figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes whose upper left corner is `left` and `top` inches from that of the page."""
        box = left / self.width, 1.0 - (top + height) / self.height, width / self.width, height / self.height
        return figure.add_axes(box)


def stacked_axes(lines: Sequence[int]) -> tuple[Figure, list[Axes]]:
    """Return a figure with axes one below the other, each with room for a number of labelled lines.

    Args:
        lines: The number of lines of each axes.

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
    """Return the height in inches of axes with a number of labelled lines."""
    return _LINE_PITCH * max(lines, 1) + 0.2


def finish_lines(axes: Axes, lines: int, label: str) -> None:
    """Set limits, grid and x label of axes from :func:`stacked_axes`."""
    axes.set_xlabel(label, fontsize=9, color=INK)
    axes.set(ylim=(max(lines, 1) - 0.4, -0.6))
    axes.margins(x=0.04)
    axes.grid(axis="x", color="#eef0f2", linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    plain(axes)


def look(index: int) -> dict[str, Any]:
    """Return colour and marker of a series; the marker changes when the colours are used up."""
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index // len(COLOURS) % len(MARKERS)]}


def plain(axes: Axes) -> None:
    """Draw only two thin spines, and small ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.6, color=PALE_INK)
    axes.tick_params(labelcolor=INK, color=PALE_INK, length=2.5, labelsize=8)


def titled(axes: Axes, title: str, subtitle: str = "", above: float = 10.0, size: float = 11.5) -> None:
    """Write a title, and a subtitle below it, left-aligned above axes, beginning `above` points over the axes."""
    lines = ((subtitle, 8.5, "normal", QUIET_INK), (title, size, "bold", INK))
    for text, points, weight, colour in lines:
        if text:
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
            above += 1.45 * points * (1 + text.count("\n"))


def is_dark(rgba: Iterable[float]) -> bool:
    """Return whether text on a colour must be white, by the colour's luma."""
    red, green, blue, _ = rgba
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.55


def language(code: str, longest: int = _MAX_NAME) -> str:
    """Return `Swahili  sw`; only the code if the language has no name."""
    name = shown_name(code)
    return code if name == code else f"{cut(name, longest)}  {code}"


def cut(name: str, longest: int = _MAX_NAME) -> str:
    """Return a name, shortened with `…` if it is longer than `longest` letters."""
    return name if len(name) <= longest else f"{name[: longest - 1].rstrip(' (')}…"


def axis_label(metric: str, unit: str) -> str:
    """Return the label of an axis of scores, such as `F1 (percent)`."""
    name = metric.replace("-", " ").replace("f1", "F1")
    return f"{name} ({unit})"


def finite(values: Sequence[float | None]) -> list[float]:
    """Return the finite values."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]
