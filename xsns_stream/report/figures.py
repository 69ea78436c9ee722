"""What the figures share: one look, pages that grow with what is on them, the same bytes every time.

A figure is drawn by a function without arguments, so that its texts are made while the house's settings hold. Axes are
placed in inches from the top left; nothing of pyplot is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from xsns_stream.report.heatmap import INK, PLAIN_TEXT
from xsns_stream.report.tables import shown_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Told apart by colour-blind readers too (Okabe and Ito), without their yellow, which is faint on white.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#22252b")
MARKERS: Final = ("o", "s", "D", "^")
GREY: Final = "#9aa0a8"
FAINT: Final = "#e3e5e9"
QUIET_INK: Final = "#5b616b"

#: Metrics as axes call them.
METRIC_NAMES: Final = {"accuracy": "accuracy", "f1": "F1", "macro-f1": "macro F1", "exact-match": "exact match"}

_LONGEST_NAME: Final = 28
_DPI: Final = 180

Draw: TypeAlias = "Callable[[], Figure]"


def figure_writer(draw: Draw) -> Callable[[BinaryIO, str], None]:
    """Return what writes a figure as `png`, `svg` or `pdf` into an open file; the same figure gives the same bytes.

    Args:
        draw: Makes the figure; called once for each kind.
    """

    def write(file: BinaryIO, kind: str) -> None:
        import matplotlib as mpl

        dates: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
        with mpl.rc_context(PLAIN_TEXT):
            draw().savefig(file, format=kind, bbox_inches="tight", pad_inches=0.25, metadata=dates.get(kind))

    return write


@dataclass(frozen=True)
class Page:
    """A page in inches.

    Attributes:
        width: Of what is placed on it; labels may lie outside, and the page grows to them when it is saved.
        height: Likewise.
    """

    width: float
    height: float

    def figure(self) -> Figure:
        """Return an empty figure of this size."""
        from matplotlib.figure import Figure

        return Figure(figsize=(self.width, self.height), facecolor="white", dpi=_DPI)

    def axes(self, figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes whose upper left corner lies `left` and `top` inches from that of the page."""
        box = left / self.width, 1.0 - (top + height) / self.height, width / self.width, height / self.height
        return figure.add_axes(box)


def look(place: int) -> dict[str, Any]:
    """Return colour and marker of a series: markers change where colours begin again."""
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place // len(COLOURS) % len(MARKERS)]}


def plain(axes: Axes) -> None:
    """Leave two thin spines, and ticks in the house's ink."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.6, color="#8a8f98")
    axes.tick_params(labelcolor=INK, color="#8a8f98", length=2.5, labelsize=8)


def titled(axes: Axes, title: str, subtitle: str = "", above: float = 10.0, size: float = 11.5) -> None:
    """Write a title and lines below it above axes, flush left, starting `above` points over them."""
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


def language(code: str) -> str:
    """Return `Swahili  sw`; the code alone where no name is known."""
    name = shown_name(code)
    return code if name == code else f"{cut(name)}  {code}"


def cut(name: str) -> str:
    """Return a name, cut where it is very long."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1].rstrip(' (')}…"


def measured_in(metric: str, unit: str) -> str:
    """Return what an axis of scores is called: `F1 (percent)`."""
    return f"{METRIC_NAMES.get(metric, metric)} ({unit})"


def known(values: Sequence[float | None]) -> list[float]:
    """Return those of the values that are numbers."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]
