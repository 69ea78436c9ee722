"""Similarity matrices: a matrix over all parameters, or one matrix for each group of parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.io.json import nan_to_null
from xsns_stream.io.tables import listed
from xsns_stream.types.axes_drawing import colour_scale, draw_cells, label_lines, new_axes
from xsns_stream.types.html_table import html_table, text_table
from xsns_stream.types.language_clusters import LanguageClusters, language_clusters
from xsns_stream.types.language_tree import LanguageTree, TreeSupport, average_linkage, cluster_order
from xsns_stream.types.overlaps import OverlapCounts, Overlaps, SampledOverlaps
from xsns_stream.types.parameters import Reals
from xsns_stream.types.predictor_records import PredictorRecord

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Largest number of rows, and of columns, of a matrix that a notebook shows.
_CORNER: Final = 20
_NAMES: Final = {
    "jaccard": "Jaccard",
    "dice": "Dice",
    "corrected-jaccard": "chance-corrected Jaccard",
    "mutual-information": "mutual information",
    "csls": "CSLS",
    "mutual-rank": "mutual rank",
}


def coefficient_name(coefficient: str) -> str:
    """Return the name of a coefficient or of another similarity, for use in a sentence.

    >>> coefficient_name("corrected-jaccard"), coefficient_name("cosine")
    ('chance-corrected Jaccard', 'cosine')
    """
    return _NAMES.get(coefficient, coefficient)


def coefficient_title(coefficient: str) -> str:
    """Return the name of a coefficient or of another similarity, for use as a title: with a capital letter."""
    name = coefficient_name(coefficient)
    return f"{name[:1].upper()}{name[1:]}"


@dataclass(frozen=True)
class SimilarityPool:
    """The Jaccard coefficients of all pairs of languages from which a correction was computed.

    Attributes:
        languages: L codes.
        per_seed: float64 [R, L, L], one matrix for each seed; NaN if undefined.
        split_half: float64 [R, L], the split-half similarity of each language with each seed, NaN if unknown; None if
            the correction does not use it.
    """

    languages: tuple[str, ...]
    per_seed: Reals
    split_half: Reals | None = None


@dataclass(frozen=True)
class SimilarityMatrix:
    """Similarity of each source to each target; larger is more similar.

    Attributes:
        sources: S codes, the rows.
        targets: T codes, the columns.
        values: float64 [S, T], similarities averaged over seeds; NaN if undefined.
        coefficient: Name of the coefficient, such as `jaccard`.
        chance: float64 [S, T], expected value for random sub-networks of the same sizes; None if unknown.
        seeds: R seeds; empty if the values do not depend on seeds.
        per_seed: float64 [R, S, T], one matrix for each seed; None if the values do not depend on seeds.
        standard_error: float64 [S, T], standard error of the values if they were estimated from a sample of the
            parameters; None if all parameters were counted.
        record: Record of the texts, the model and the settings from which the values were computed; None if unknown.
        counts: The overlap counts from which the values were computed, one table for each seed; empty if unknown.
        notes: Notes on languages that were left out, and on the compared texts.
        support: How often groups of languages occur in trees of resampled similarities; None if nothing was resampled.
        pool: The similarities of all languages from which the values were computed, if the coefficient is a correction
            such as `centred`; None for other coefficients, and if they are unknown.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Reals
    coefficient: str
    chance: Reals | None = None
    seeds: tuple[int, ...] = ()
    per_seed: Reals | None = None
    standard_error: Reals | None = None
    record: PredictorRecord | None = None
    counts: tuple[Overlaps | SampledOverlaps, ...] = ()
    notes: tuple[str, ...] = ()
    support: TreeSupport | None = None
    pool: SimilarityPool | None = None

    #: Distances are converted to similarities before they become a SimilarityMatrix.
    direction = "similarity"

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.sources), len(self.targets)):
            raise ValueError(
                f"values must have the shape ({len(self.sources)}, {len(self.targets)}), not {self.values.shape}"
            )

    def __getitem__(self, pair: tuple[str, str]) -> float:
        source, target = pair
        return float(self.values[self._index(self.sources, source), self._index(self.targets, target)])

    @staticmethod
    def _index(labels: Sequence[str], language: str) -> int:
        try:
            return labels.index(language)
        except ValueError:
            raise LanguageError(
                f"the matrix does not contain the language '{language}'.", f"it has {listed(labels)}."
            ) from None

    def column(self, target: str) -> Reals:
        """Return float64 [S]: the similarity of every source to `target`."""
        return self.values[:, self._index(self.targets, target)]

    def between(self, sources: Sequence[str], targets: Sequence[str]) -> SimilarityMatrix:
        """Return the similarities of the given sources to the given targets, in the given order.

        The values do not change, also if they depend on languages that are left out. The result has no support.

        Raises:
            LanguageError: A language is not in the matrix.
        """
        rows = [self._index(self.sources, source) for source in sources]
        columns = [self._index(self.targets, target) for target in targets]

        def part(values: Reals | None) -> Reals | None:
            return None if values is None else values[..., rows, :][..., columns]

        return replace(
            self,
            sources=tuple(sources),
            targets=tuple(targets),
            values=self.values[rows][:, columns],
            chance=part(self.chance),
            per_seed=part(self.per_seed),
            standard_error=part(self.standard_error),
            counts=tuple(table.between(sources, targets) for table in self.counts),
            support=None,
        )

    @property
    def chance_corrected(self) -> Reals | None:
        """float64 [S, T]: (J − E) / (1 − E), zero if the similarity equals `chance`; None if `chance` is unknown."""
        if self.chance is None:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            corrected: Reals = (self.values - self.chance) / (1.0 - self.chance)
        return corrected

    @property
    def mean_of_pairs(self) -> float:
        """Mean over all pairs of two different languages with a defined value; NaN if there is no such pair."""
        own = np.equal(np.array(self.sources)[:, None], np.array(self.targets)[None, :])
        known = self.values[~own & np.isfinite(self.values)]
        return float(known.mean()) if known.size else float("nan")

    @property
    def spread(self) -> Reals | None:
        """float64 [S, T]: sample standard deviation over seeds; None with fewer than two seeds."""
        if self.per_seed is None or len(self.per_seed) < 2:
            return None
        deviation: Reals = self.per_seed.std(axis=0, ddof=1)
        return deviation

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with sources as index and targets as columns."""
        import pandas as pd

        return pd.DataFrame(
            self.values,
            index=pd.Index(self.sources, name="source"),
            columns=pd.Index(self.targets, name="target"),
        )

    def _shown(self) -> tuple[pd.DataFrame, str]:
        """Return a table of the similarities, and its caption."""
        frame = self.to_frame().rename_axis(index=None, columns=None)
        seeds = f", mean over seeds {', '.join(map(str, self.seeds))}" if len(self.seeds) > 1 else ""
        return frame, f"Similarity of sources (rows) to targets (columns): {self.coefficient}{seeds}"

    def _repr_html_(self) -> str:
        # Similarities of close languages differ in the third decimal. Other predictors may have other ranges of values.
        known = self.values[np.isfinite(self.values)]
        number = "{:.4f}" if known.size and float(np.abs(known).max()) < 10 else "{:.4g}"
        frame, caption = self._shown()
        return html_table(
            frame, caption, index=True, notes=self.notes, max_rows=_CORNER, max_columns=_CORNER, number=number
        )

    def __repr__(self) -> str:
        return text_table(*self._shown(), index=True)

    @property
    def density(self) -> float | None:
        """Density of the compared sub-networks; None if unknown."""
        return self.counts[0].density if self.counts else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream matrix --json` prints; undefined values are None."""
        spread, corrected = self.spread, self.chance_corrected
        result: dict[str, Any] = {
            **_labels(self),
            "coefficient": self.coefficient,
            self.coefficient: self.values.tolist(),
            "chance_corrected": None if corrected is None else corrected.tolist(),
            "spread": None if spread is None else spread.tolist(),
            "parameters": self.counts[0].size if self.counts else None,
            "seeds": list(self.seeds),
            "density": self.density,
        }
        cardinalities = [table.cardinality.tolist() for table in self.counts if isinstance(table, OverlapCounts)]
        if cardinalities:
            # The list has one entry for each language, with one number for each seed.
            result["cardinality"] = [list(numbers) for numbers in zip(*cardinalities, strict=True)]
        if self.standard_error is not None and self.counts and isinstance(self.counts[0], SampledOverlaps):
            result |= {"standard_error": self.standard_error.tolist(), "sampled": self.counts[0].sampled}
        if self.notes:
            result["notes"] = list(self.notes)
        plain: dict[str, Any] = nan_to_null(result)
        return plain

    def tree(self) -> LanguageTree:
        """Return the tree of the languages: average-linkage clustering with the distance 1 − similarity.

        Returns:
            The tree. `str(tree)` is in the Newick format, `tree.save("tree.nwk")` writes it, `tree.linkage` is SciPy's
            array, `tree.plot()` draws it.

        Raises:
            UsageError: Sources and targets are not the same languages, or there are fewer than two.

        >>> import numpy as np
        >>> values = np.array([[1.0, 0.6, 0.2], [0.6, 1.0, 0.2], [0.2, 0.2, 1.0]])
        >>> matrix = SimilarityMatrix(("sw", "zu", "fi"), ("sw", "zu", "fi"), values, "jaccard")
        >>> str(matrix.tree())
        '(fi:0.4,(zu:0.2,sw:0.2):0.2);'
        """
        if set(self.sources) != set(self.targets) or len(self.sources) < 2:
            raise UsageError(
                "a tree needs a matrix of at least two languages with the same languages as sources and as targets.",
                "leave out sources and targets; all languages are then compared with one another.",
            )
        columns = [self.targets.index(code) for code in self.sources]
        return LanguageTree(self.sources, average_linkage(self.values[:, columns]), self.support)

    def clusters(self, count: int) -> LanguageClusters:
        """Divide the languages into clusters, by cutting the :meth:`tree`.

        Args:
            count: Number of clusters, from 1 to the number of languages.

        Returns:
            The clusters, and how far they agree with language families.

        Raises:
            UsageError: There is no tree, or the number of clusters is out of range.

        >>> import numpy as np
        >>> values = np.array([[1.0, 0.6, 0.2], [0.6, 1.0, 0.2], [0.2, 0.2, 1.0]])
        >>> matrix = SimilarityMatrix(("sw", "zu", "fi"), ("sw", "zu", "fi"), values, "jaccard")
        >>> list(matrix.clusters(2)), matrix.clusters(2).agreement
        ([('fi',), ('zu', 'sw')], 1.0)
        """
        tree = self.tree()
        if not 1 <= count <= len(tree.languages):
            raise UsageError(
                f"{len(tree.languages)} languages cannot be divided into {count} clusters.",
                f"give a number from 1 to {len(tree.languages)}.",
            )
        return language_clusters(tree, count)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw a heat map with similar languages side by side; cells that compare a language with itself are empty.

        No text is smaller than five points: if there are too many languages for the size of the axes, some rows and
        columns have no label, and the labels of the axes say so. `xsns-stream matrix -o matrix.png` and
        :func:`xsns_stream.report.heat_map` draw a whole page, which also contains names, a tree and a title.

        Args:
            ax: Axes to draw into; a new pyplot figure if None.

        Returns:
            The axes, with a colour bar beside them.
        """
        if ax is None:
            side = float(np.clip(0.3 * max(self.values.shape), 3.0, 12.0))
            ax = new_axes(1.2 * side, side)
        rows, columns = self._plot_order()
        sources, targets = [self.sources[row] for row in rows], [self.targets[column] for column in columns]
        own = np.equal(np.array(sources)[:, None], np.array(targets)[None, :])
        values = self.values[np.ix_(rows, columns)]
        colours, extend = colour_scale(values, own)
        draw_cells(ax, values, own, colours)
        ax.figure.colorbar(colours, ax=ax, extend=extend, label=self.coefficient)
        label_lines(ax, "x", targets, "target")
        label_lines(ax, "y", sources, "source")
        return ax

    def _plot_order(self) -> tuple[list[int], list[int]]:
        """Return the order of rows and of columns in a plot. It is clustered if both are the same languages."""
        if set(self.sources) != set(self.targets):
            return list(range(len(self.sources))), list(range(len(self.targets)))
        columns = [self.targets.index(code) for code in self.sources]
        rows = cluster_order(self.values[:, columns])[0].tolist()
        return rows, [columns[row] for row in rows]


def _labels(matrix: SimilarityMatrix) -> dict[str, list[str]]:
    """Return {"languages": codes}, or {"sources": codes, "targets": codes} if sources and targets differ."""
    if matrix.sources == matrix.targets:
        return {"languages": list(matrix.sources)}
    return {"sources": list(matrix.sources), "targets": list(matrix.targets)}


@dataclass(frozen=True)
class GroupedSimilarity:
    """Similarities of languages within each group of parameters, for example within each layer.

    Attributes:
        by: Kind of the groups: `layer`, `module` or `tensor`.
        names: Names of the G groups.
        matrices: G matrices, one for each group, with the same sources and targets.
        sizes: Number of parameters of each group.
        shares: For each group, the share of the selected parameters of all languages that are in the group, averaged
            over seeds. The shares add up to one; they are NaN if no parameter is selected.
        notes: Notes on languages that were left out, and on the compared texts.
    """

    by: str
    names: tuple[str, ...]
    matrices: tuple[SimilarityMatrix, ...]
    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if {len(self.matrices), len(self.sizes), len(self.shares)} != {len(self.names)} or not self.names:
            raise ValueError("there must be at least one name, and one matrix, one size and one share for each name")

    def __getitem__(self, name: str) -> SimilarityMatrix:
        if name not in self.names:
            raise KeyError(name)
        return self.matrices[self.names.index(name)]

    def __iter__(self) -> Iterator[tuple[str, SimilarityMatrix]]:
        return zip(self.names, self.matrices, strict=True)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def coefficient(self) -> str:
        """Name of the coefficient, such as `jaccard`."""
        return self.matrices[0].coefficient

    @property
    def values(self) -> Reals:
        """float64 [G, S, T]: the similarities within each group."""
        return np.stack([matrix.values for matrix in self.matrices])

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each group, source and target."""
        import pandas as pd

        first = self.matrices[0]
        labels = pd.MultiIndex.from_product(
            [self.names, first.sources, first.targets], names=["group", "source", "target"]
        )
        return pd.DataFrame({self.coefficient: self.values.ravel()}, index=labels).reset_index()

    def _shown(self) -> tuple[pd.DataFrame, str]:
        """Return a table of the mean similarity within each group, with one row for each group, and its caption."""
        import pandas as pd

        rows = [
            (name, size, share, matrix.mean_of_pairs)
            for (name, matrix), size, share in zip(self, self.sizes, self.shares, strict=True)
        ]
        frame = pd.DataFrame(rows, columns=[self.by, "parameters", "share of selected", f"mean {self.coefficient}"])
        return frame, f"Similarity by {self.by}, means over all pairs of languages"

    def _repr_html_(self) -> str:
        return html_table(*self._shown(), notes=self.notes)

    def __repr__(self) -> str:
        return text_table(*self._shown())

    @property
    def density(self) -> float | None:
        """Density of the compared sub-networks; None if unknown."""
        return self.matrices[0].density

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream matrix --by … --json` prints; undefined values are None."""
        groups = [
            {
                "name": name,
                "parameters": size,
                "share": share,
                "mean": matrix.mean_of_pairs,
                self.coefficient: matrix.values.tolist(),
            }
            for (name, matrix), size, share in zip(self, self.sizes, self.shares, strict=True)
        ]
        plain: dict[str, Any] = nan_to_null(
            {
                **_labels(self.matrices[0]),
                "coefficient": self.coefficient,
                "by": self.by,
                "groups": groups,
                "seeds": list(self.matrices[0].seeds),
                "density": self.density,
                **({"notes": list(self.notes)} if self.notes else {}),
            }
        )
        return plain
