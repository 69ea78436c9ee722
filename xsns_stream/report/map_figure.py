"""Figure of languages as points in the plane: similar languages are close to each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.io.tables import listed
from xsns_stream.report.figures import GREY, INK, PALE_INK, QUIET_INK, Page, look
from xsns_stream.report.page.languages import page_languages
from xsns_stream.report.page.maps import classical_mds
from xsns_stream.report.printed_figures import PrintedFigure, fitted, heading, place_labels, text_width
from xsns_stream.report.tree_files import distance_notes, square_values
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_tree import distances
from xsns_stream.types.similarity_matrix import coefficient_title

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: (Numbers of languages, widths of the axes in inches), from which the width is interpolated if none is given.
_WIDTHS: Final = ([10, 60, 250], [4.5, 6.0, 9.0])
#: Largest number of families or clusters with their own colours; the languages of the smallest ones are grey.
_MOST_GROUPS: Final = 12
_OTHER: Final = "other or unknown"
_LABEL: Final = 6.0
_DOT: Final = 4.5


def map_figure(
    matrix: SimilarityMatrix, *, density: float | None = None, clusters: int | None = None, width: float | None = None
) -> PrintedFigure:
    """Draw the languages of a matrix by classical multidimensional scaling of 1 − similarity.

    Colours and shapes show the language families or the clusters. Each point has the code of its language, if there is
    a place for it.

    Args:
        matrix: The matrix; sources and targets are the same languages.
        density: Density of the sub-networks, for the subtitle.
        clusters: Number of clusters that are shown instead of families; None for families.
        width: Width of the figure in inches; None for a width that fits the number of languages.

    Raises:
        UsageError: Sources and targets are different languages, or there are fewer than two.
    """
    matrix.tree()
    points, explained = classical_mds(distances(square_values(matrix)))
    left_out: list[str] = []

    def draw(inner: float) -> Figure:
        figure, lost = _draw(matrix, points, explained, density, clusters, inner)
        left_out[:] = lost
        return figure

    natural = float(np.interp(len(points), *_WIDTHS))
    figure = draw(natural) if width is None else fitted(draw, max(1.0, width - 0.2), width)[0]
    notes = [sentence.replace("distance is", "distance on the map is") for sentence in distance_notes(matrix)]
    if left_out:
        notes.append(
            f"{len(left_out)} of {len(points)} points have no label, because there is no free place beside them: "
            f"{listed(left_out)}."
        )
    return PrintedFigure(figure, width, tuple(notes))


def _draw(
    matrix: SimilarityMatrix,
    points: Reals,
    explained: float,
    density: float | None,
    clusters: int | None,
    inner: float,
) -> tuple[Figure, list[str]]:
    """Draw the points into axes; return the figure, and the languages that have no label.

    `explained` is the share of the variance in the plane, and `inner` is the width of the axes in inches.
    """
    span = np.ptp(points, axis=0)
    wide = float(span[0]) or 1.0
    # Both dimensions have the same scale; a very flat map gets some height.
    height = inner * float(np.clip(span[1] / wide, 0.45, 1.3))
    page = Page(inner, height)
    figure = page.figure()
    axes = page.axes(figure, 0.0, 0.0, page.width, page.height)
    scale = min(inner / wide, height / (float(span[1]) or 1e-12)) * 0.9
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    half = np.array([inner, height]) / scale / 2
    axes.set(xlim=(middle[0] - half[0], middle[0] + half[0]), ylim=(middle[1] - half[1], middle[1] + half[1]))
    groups = _groups(matrix, clusters)
    names = list(dict.fromkeys(groups))
    names.sort(key=lambda name: (name == _OTHER, -groups.count(name)))
    for index, name in enumerate(names):
        chosen = [i for i, group in enumerate(groups) if group == name]
        style = {"color": GREY, "marker": "X"} if name == _OTHER else look(index)
        axes.plot(
            *points[chosen].T,
            linestyle="none",
            markersize=_DOT,
            markeredgecolor="white",
            markeredgewidth=0.4,
            label=name,
            **style,
        )
    lost = _write_codes(axes, matrix.sources, (points - middle + half) * scale * 72, (inner * 72, height * 72), points)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(linewidth=0.6, color=PALE_INK)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -4 / 72 / height),
        ncols=max(1, int(inner / 1.5)),
        fontsize=6.5,
        frameon=False,
        labelcolor=INK,
        handletextpad=0.2,
        columnspacing=1.0,
        borderaxespad=0.0,
    )
    seeds = ", ".join(map(str, matrix.seeds))
    facts = [
        "classical multidimensional scaling",
        f"the plane shows {explained:.0%} of the variance" if np.isfinite(explained) else "",
        f"seed{'s' if len(matrix.seeds) > 1 else ''} {seeds}" if seeds else "",
        f"density {density:g}" if density is not None else "",
    ]
    heading(axes, f"{coefficient_title(matrix.coefficient)}: map of {len(points)} languages", facts, 6.0, inner, 10.0)
    return figure, lost


def _groups(matrix: SimilarityMatrix, clusters: int | None) -> list[str]:
    """Return the family or the cluster of each language, or `_OTHER` for those beyond the largest `_MOST_GROUPS`."""
    if clusters is not None:
        number = matrix.clusters(clusters).number_of()
        groups = [f"cluster {number[code]}" for code in matrix.sources]
    else:
        groups = [language.family or _OTHER for language in page_languages(matrix.sources)]
    large = {name for name, _ in Counter(group for group in groups if group != _OTHER).most_common(_MOST_GROUPS)}
    return [group if group in large else _OTHER for group in groups]


def _write_codes(
    axes: object, codes: Sequence[str], places: Reals, frame: tuple[float, float], points: Reals
) -> list[str]:
    """Write the codes beside the points; return the codes without a free place.

    Args:
        axes: The axes.
        codes: N codes.
        places: float64 [N, 2], the points in typographic points, from the lower left corner of the axes.
        frame: Width and height of the axes in typographic points.
        points: float64 [N, 2], the points in the coordinates of the axes.
    """
    sizes = np.array([[text_width(code, _LABEL), _LABEL] for code in codes])
    obstacles = np.hstack([places - _DOT / 2, places + _DOT / 2])
    away = np.linalg.norm(places - places.mean(axis=0), axis=1)
    middles = place_labels(places, sizes, frame, obstacles, np.argsort(-away, kind="stable").tolist())
    for index, middle in enumerate(middles):
        if middle is not None:
            axes.annotate(  # type: ignore[attr-defined]
                codes[index],
                points[index],
                (middle[0] - places[index, 0], middle[1] - places[index, 1]),
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=_LABEL,
                color=QUIET_INK,
            )
    return [code for code, middle in zip(codes, middles, strict=True) if middle is None]
