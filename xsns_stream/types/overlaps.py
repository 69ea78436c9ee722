"""Overlap counts: for all pairs, for sources and targets, for groups of parameters, or estimated from a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xsns_stream.errors import LanguageError
from xsns_stream.types.parameters import Counts, Reals


@dataclass(frozen=True)
class OverlapCounts:
    """|A ∩ B| for all pairs of languages, from which every coefficient is computed.

    Attributes:
        languages: L codes.
        intersection: int64 [L, L], symmetric; the diagonal contains the cardinalities.
        size: P, the number of compared parameters.
        seed: The seed of the compared sub-networks.
        density: The requested density.
    """

    languages: tuple[str, ...]
    intersection: Counts
    size: int
    seed: int = 0
    density: float = 0.0

    def __post_init__(self) -> None:
        side = len(self.languages)
        if self.intersection.shape != (side, side) or self.intersection.dtype != np.int64:
            raise ValueError("intersection must be int64 [L, L]")

    @property
    def sources(self) -> tuple[str, ...]:
        """The codes of the languages of the rows, which are `languages`."""
        return self.languages

    @property
    def targets(self) -> tuple[str, ...]:
        """The codes of the languages of the columns, which are `languages`."""
        return self.languages

    @property
    def cardinality(self) -> Counts:
        """The number of parameters |A| in the sub-network of each language: int64 [L]."""
        return np.diagonal(self.intersection)

    @property
    def source_cardinality(self) -> Counts:
        """|A| of each language of the rows, int64 [L]; equal to `cardinality`."""
        return self.cardinality

    @property
    def target_cardinality(self) -> Counts:
        """|B| of each language of the columns, int64 [L]; equal to `cardinality`."""
        return self.cardinality

    @property
    def union(self) -> Counts:
        """The size of the union of each pair of sub-networks: |A| + |B| − |A ∩ B|, int64 [L, L]."""
        return self.cardinality[:, None] + self.cardinality[None, :] - self.intersection

    def among(self, languages: Sequence[str]) -> OverlapCounts:
        """Return the counts for all pairs of the given languages, in the given order.

        Raises:
            LanguageError: A language is not in the table.
        """
        order = _positions(self.languages, languages)
        return OverlapCounts(
            tuple(languages), self.intersection[np.ix_(order, order)], self.size, self.seed, self.density
        )

    def between(self, sources: Sequence[str], targets: Sequence[str]) -> OverlapRectangle:
        """Return the counts for each of the given sources and each of the given targets.

        Raises:
            LanguageError: A language is not in the table.
        """
        rows, columns = _positions(self.languages, sources), _positions(self.languages, targets)
        return OverlapRectangle(
            tuple(sources),
            tuple(targets),
            self.intersection[np.ix_(rows, columns)],
            self.cardinality[rows],
            self.cardinality[columns],
            self.size,
            self.seed,
            self.density,
        )


@dataclass(frozen=True)
class OverlapRectangle:
    """|A ∩ B| for each source A and each target B. A language may be both a source and a target.

    Attributes:
        sources: S codes of the rows.
        targets: T codes of the columns.
        intersection: int64 [S, T].
        source_cardinality: int64 [S], |A|.
        target_cardinality: int64 [T], |B|.
        size: P, the number of compared parameters.
        seed: The seed of the compared sub-networks.
        density: The requested density.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    intersection: Counts
    source_cardinality: Counts
    target_cardinality: Counts
    size: int
    seed: int = 0
    density: float = 0.0

    def __post_init__(self) -> None:
        shape = len(self.sources), len(self.targets)
        cardinalities = (*self.source_cardinality.shape, *self.target_cardinality.shape)
        if self.intersection.shape != shape or cardinalities != shape or self.intersection.dtype != np.int64:
            raise ValueError("intersection must be int64 [S, T], and cardinalities [S] and [T]")

    @property
    def union(self) -> Counts:
        """The size of the union of source A and target B: |A| + |B| − |A ∩ B|, int64 [S, T]."""
        return self.source_cardinality[:, None] + self.target_cardinality[None, :] - self.intersection

    def between(self, sources: Sequence[str], targets: Sequence[str]) -> OverlapRectangle:
        """Return the counts for each of the given sources and each of the given targets, in the given order.

        Raises:
            LanguageError: A language is not in the table.
        """
        rows, columns = _positions(self.sources, sources), _positions(self.targets, targets)
        return OverlapRectangle(
            tuple(sources),
            tuple(targets),
            self.intersection[np.ix_(rows, columns)],
            self.source_cardinality[rows],
            self.target_cardinality[columns],
            self.size,
            self.seed,
            self.density,
        )


@dataclass(frozen=True)
class SampledOverlaps:
    """|A ∩ B| for each source A and each target B, estimated from a sample of blocks of parameters.

    Attributes:
        sources: S codes of the rows.
        targets: T codes of the columns.
        intersection: float64 [S, T], estimates of |A ∩ B|.
        source_cardinality: float64 [S], estimates of |A| from the same blocks. Exact counts are not used, because the
            ratio of two estimates from the same blocks has a smaller error than that of an estimate and an exact count.
        target_cardinality: float64 [T], estimates of |B| from the same blocks.
        covariance: float64 [3, 3, S, T], the covariance of the estimates of |A ∩ B|, |A| and |B| over all samples of
            this size.
        size: P, the number of compared parameters.
        sampled: Share of the parameters that the sampled blocks contain.
        seed: The seed of the compared sub-networks.
        density: The requested density.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    intersection: Reals
    source_cardinality: Reals
    target_cardinality: Reals
    covariance: Reals
    size: int
    sampled: float
    seed: int = 0
    density: float = 0.0

    def __post_init__(self) -> None:
        shape = len(self.sources), len(self.targets)
        if self.intersection.shape != shape or self.covariance.shape != (3, 3, *shape):
            raise ValueError("intersection must be float64 [S, T], and covariance [3, 3, S, T]")

    def between(self, sources: Sequence[str], targets: Sequence[str]) -> SampledOverlaps:
        """Return the estimates for each of the given sources and each of the given targets, in the given order.

        Raises:
            LanguageError: A language is not in the table.
        """
        rows, columns = _positions(self.sources, sources), _positions(self.targets, targets)
        return SampledOverlaps(
            tuple(sources),
            tuple(targets),
            self.intersection[np.ix_(rows, columns)],
            self.source_cardinality[rows],
            self.target_cardinality[columns],
            self.covariance[:, :, rows][:, :, :, columns],
            self.size,
            self.sampled,
            self.seed,
            self.density,
        )


#: Exact counts of all pairs, or of sources with targets.
Overlaps = OverlapCounts | OverlapRectangle


@dataclass(frozen=True)
class GroupedOverlaps:
    """Overlap counts within groups of parameters, such as layers: one table for each group.

    Attributes:
        by: Kind of the groups: `layer`, `module` or `tensor`.
        names: Names of the G groups.
        tables: G tables of the same languages; the `size` of a table is that of its group.
    """

    by: str
    names: tuple[str, ...]
    tables: tuple[Overlaps, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.tables) or not self.tables:
            raise ValueError(
                f"there must be one name for each table, not {len(self.names)} names for {len(self.tables)} tables"
            )

    def __getitem__(self, name: str) -> Overlaps:
        if name not in self.names:
            raise KeyError(name)
        return self.tables[self.names.index(name)]

    def __iter__(self) -> Iterator[tuple[str, Overlaps]]:
        return zip(self.names, self.tables, strict=True)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def total(self) -> Overlaps:
        """The sum of the counts over all groups, which equals the counts of the whole sub-networks."""
        first, size = self.tables[0], sum(table.size for table in self.tables)
        intersection: Counts = np.sum([table.intersection for table in self.tables], axis=0, dtype=np.int64)
        if isinstance(first, OverlapCounts):
            return OverlapCounts(first.languages, intersection, size, first.seed, first.density)
        return OverlapRectangle(
            first.sources,
            first.targets,
            intersection,
            np.sum([table.source_cardinality for table in self.tables], axis=0, dtype=np.int64),
            np.sum([table.target_cardinality for table in self.tables], axis=0, dtype=np.int64),
            size,
            first.seed,
            first.density,
        )


@dataclass(frozen=True)
class CachedOverlaps:
    """Cached overlap counts, and digests of the counted rows, which show whether a row has changed since.

    Attributes:
        counts: The counts of all pairs of the cached languages.
        digests: SHA-256 of each language's row (hexadecimal), in the order of the languages.
    """

    counts: OverlapCounts
    digests: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.digests) != len(self.counts.languages):
            raise ValueError("every language needs the digest of its row")

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of the languages whose counts are cached."""
        return self.counts.languages


def _positions(labels: Sequence[str], wanted: Sequence[str]) -> list[int]:
    position = {label: i for i, label in enumerate(labels)}
    missing = [label for label in wanted if label not in position]
    if missing:
        raise LanguageError(
            f"no language {', '.join(map(repr, missing))} in the table of counts.", f"it has {', '.join(labels[:20])}."
        )
    return [position[label] for label in wanted]
