"""Two-dimensional embeddings of languages, and their nearest neighbours, for the report page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_tree import distances

#: Number of nearest neighbours of each language.
NEIGHBOURS: Final = 3
_FEWEST_FOR_UMAP: Final = 10


@dataclass(frozen=True)
class MapSection:
    """Two-dimensional coordinates of languages; similar languages are close to each other.

    Attributes:
        languages: L labels.
        mds: float64 [L, 2], classical multidimensional scaling of 1 − similarity.
        explained: Sum of the eigenvalues of the two dimensions, divided by the sum of positive eigenvalues; NaN if all
            distances are zero.
        neighbours: For each language, indices of the most similar ones, most similar first.
        umap: float64 [L, 2], embedding by UMAP; None if the library umap-learn is not installed, or if there are fewer
            than ten languages.
    """

    languages: tuple[str, ...]
    mds: Reals
    explained: float
    neighbours: tuple[tuple[int, ...], ...]
    umap: Reals | None = None

    def to_json(self, number: Mapping[str, int]) -> dict[str, Any]:
        """Return the data as plain values for JSON; `number` maps each label to the index that replaces it."""
        return {
            "languages": [number[code] for code in self.languages],
            "mds": _rounded(self.mds),
            "explained": self.explained if np.isfinite(self.explained) else None,
            "neighbours": [[number[self.languages[i]] for i in row] for row in self.neighbours],
            "umap": None if self.umap is None else _rounded(self.umap),
        }


def _rounded(points: Reals) -> list[list[float]]:
    """Return points [L, 2] as lists of numbers, rounded to four decimals.

    The points are scaled: the dimension with the larger range has a range of 1.
    """
    span = float(np.ptp(points, axis=0).max()) or 1.0
    plain: list[list[float]] = (points / span).round(4).tolist()
    return plain


def map_section(matrix: SimilarityMatrix) -> MapSection:
    """Embed the languages of a matrix in the plane; the matrix must be square, with at least three languages."""
    distance = distances(matrix.values)
    points, explained = classical_mds(distance)
    near = distance + np.where(np.eye(len(distance), dtype=bool), np.inf, 0.0)
    count = min(NEIGHBOURS, len(distance) - 1)
    order = np.argsort(near, axis=1, kind="stable")[:, :count]
    return MapSection(matrix.sources, points, explained, tuple(tuple(row) for row in order.tolist()), _umap(distance))


def classical_mds(distance: Reals) -> tuple[Reals, float]:
    """Return points in the plane by classical multidimensional scaling (Torgerson 1952).

    Args:
        distance: float64 [L, L], symmetric.

    Returns:
        float64 [L, 2], the points, and the sum of the eigenvalues of the two dimensions as a share of the sum of all
        positive eigenvalues. The sign of each dimension is chosen so that its coordinate of largest absolute value is
        positive; equal distances therefore give equal points.
    """
    squares = distance**2
    inner = -0.5 * (squares - squares.mean(axis=0) - squares.mean(axis=1)[:, None] + squares.mean())
    values, vectors = np.linalg.eigh(inner)
    first = np.argsort(values)[::-1][:2]
    points = vectors[:, first] * np.sqrt(np.maximum(values[first], 0.0))
    points *= np.where(points[np.abs(points).argmax(axis=0), range(points.shape[1])] < 0, -1.0, 1.0)
    positive = values[values > 0].sum()
    share = float(np.maximum(values[first], 0.0).sum() / positive) if positive > 0 else float("nan")
    return points, share


def _umap(distance: Reals) -> Reals | None:
    if len(distance) < _FEWEST_FOR_UMAP or find_spec("umap") is None:
        return None
    import umap

    neighbours = min(15, len(distance) - 1)
    model = umap.UMAP(metric="precomputed", n_neighbors=neighbours, random_state=0, n_jobs=1)
    points: Reals = np.asarray(model.fit_transform(distance), np.float64)
    return points
