"""Data of the similarity matrices that the heat map of the report page shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsns_stream.report.page.packing import (
    COARSE,
    COARSE_ENDS,
    COARSE_FINE,
    EXACT,
    FINE,
    MAX_WITH_FINE_STEPS,
    pack,
    pack_ends,
)
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_tree import cluster_order


@dataclass(frozen=True)
class PageMatrix:
    """A matrix of similarities that the heat map can show.

    Attributes:
        key: Short name, unique within the page, such as `jaccard` or `layer:3`.
        title: Name for readers, such as `Jaccard`.
        kind: `coefficient`, `layer` or `module`; the heat map lists the matrices by kind.
        sources: S labels, the rows.
        targets: T labels, the columns.
        values: float64 [S, T]; NaN is undefined.
        row_order: Indices of the rows, in an order in which similar languages are next to each other.
        column_order: Indices of the columns, in such an order.
        exact: Whether the values are packed in 32 bits each; otherwise, they are packed in 16 bits each.
        low: float64 [S, T], lower ends of the 95 % intervals; None without intervals. NaN is undefined.
        high: float64 [S, T], upper ends of the intervals.
    """

    key: str
    title: str
    kind: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Reals
    row_order: tuple[int, ...]
    column_order: tuple[int, ...]
    exact: bool = False
    low: Reals | None = None
    high: Reals | None = None

    @property
    def square(self) -> bool:
        """Whether rows and columns are the same languages in the same order."""
        return self.sources == self.targets

    def to_json(self, number: Mapping[str, int]) -> dict[str, Any]:
        """Return the data as plain values for JSON.

        Args:
            number: {label: index among the languages of the page}.
        """
        many = max(self.values.shape) > MAX_WITH_FINE_STEPS
        coarse = COARSE_FINE if self.kind == "coefficient" else COARSE
        steps = EXACT if self.exact else coarse if many else FINE
        symmetric = self.square and np.array_equal(self.values, self.values.T, equal_nan=True)
        result: dict[str, Any] = {
            "key": self.key,
            "title": self.title,
            "kind": self.kind,
            "rows": [number[code] for code in self.sources],
            "columns": [number[code] for code in self.targets],
            "order": [list(self.row_order), list(self.column_order)],
            "values": pack(self.values, symmetric=symmetric, steps=steps),
        }
        if self.low is not None and self.high is not None:
            ends = pack_ends(self.values, self.low, self.high, steps=COARSE_ENDS if many else FINE)
            result["low"], result["high"] = ends
        return result


def matrix_of(
    matrix: SimilarityMatrix, *, key: str, title: str, kind: str = "coefficient", exact: bool = False
) -> PageMatrix:
    """Return a matrix of the page, whose rows and columns are ordered by average-linkage clustering.

    If rows and columns are different languages, rows are clustered by their vectors of similarities to the columns, and
    columns by their vectors of similarities to the rows.

    Args:
        matrix: The matrix.
        key: See :class:`PageMatrix`.
        title: See :class:`PageMatrix`.
        kind: See :class:`PageMatrix`.
        exact: See :class:`PageMatrix`.
    """
    if matrix.sources == matrix.targets:
        rows = columns = cluster_order(matrix.values)[0].tolist()
    else:
        rows, columns = _profile_order(matrix.values), _profile_order(matrix.values.T)
    return PageMatrix(
        key, title, kind, matrix.sources, matrix.targets, matrix.values, tuple(rows), tuple(columns), exact
    )


def _profile_order(profiles: Reals) -> list[int]:
    """Return an order in which similar rows are neighbours; undefined values are replaced by the mean of their row."""
    if len(profiles) < 3:
        return list(range(len(profiles)))
    from scipy.cluster.hierarchy import leaves_list, linkage

    known = np.isfinite(profiles)
    counts = known.sum(axis=1, keepdims=True)
    means = np.where(known, profiles, 0.0).sum(axis=1, keepdims=True) / np.maximum(counts, 1)
    order: list[int] = leaves_list(linkage(np.where(known, profiles, means), "average", optimal_ordering=True)).tolist()
    return order
