"""Similarities with one part of the examples left out, and the support of trees that is computed from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xsns_stream.io.tables import listed
from xsns_stream.pipeline.events import Noted, OnReadEvent, progress_of
from xsns_stream.types.language_tree import TreeSupport, joined_groups, support_of

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import Reals, SimilarityMatrix, SimilarityPool
    from xsns_stream.types.source_ranking import SimilarityDraws

#: Number of resampled trees.
TREES: Final = 200


@dataclass(frozen=True)
class Resampling:
    """Similarities of all pairs of languages, recomputed with one part (fold) of the examples left out.

    Attributes:
        languages: Labels of the L languages.
        similarities: Two arrays [R, K, L, L] for R seeds: similarities if the part is left out of the language of the
            row, and if it is left out of the language of the column; see
            :func:`xsns_stream.ranking.all_fold_similarities`.
        count: Number K of parts.
        coefficient: Name of the coefficient. If it is a correction, `similarities` are Jaccard coefficients.
        pool: The languages of a correction, which are `languages`, and their similarities; None for other coefficients.
    """

    languages: tuple[str, ...]
    similarities: tuple[Reals, Reals]
    count: int
    coefficient: str
    pool: SimilarityPool | None = None

    @property
    def basis(self) -> str:
        """A phrase that says from what the similarities were resampled, such as `8 parts`."""
        return f"{self.count} parts"

    def matrices(self, matrix: SimilarityMatrix) -> Iterator[Reals] | None:
        """Return resampled matrices [L, L] of the languages of `matrix`; None if one of the languages has no parts."""
        from xsns_stream.ranking import resampled_corrections, resampled_matrices

        if not set(matrix.sources) <= set(self.languages) or (
            self.pool is None and len(matrix.sources) != len(self.languages)
        ):
            return None
        order = [self.languages.index(code) for code in matrix.sources]
        if self.pool is not None:
            every = resampled_corrections(self.similarities, self.pool, self.coefficient, TREES)
            return (values[order][:, order] for values in every)
        own, other = (array[:, :, order][:, :, :, order] for array in self.similarities)
        return resampled_matrices((own, other), matrix.values, TREES)

    def draws(self, targets: Sequence[str]) -> Iterator[SimilarityDraws]:
        """Return, for each target, simulated similarities of all languages of the pool to it, by the correction.

        Raises:
            ValueError: The coefficient is not a correction.
        """
        from xsns_stream.ranking import draws_of_correction

        if self.pool is None:
            raise ValueError(f"'{self.coefficient}' is not a correction")
        return draws_of_correction(self.similarities, self.pool, self.coefficient, targets)


def folds_of(
    rows: SubNetworkStore, target: str, sources: Sequence[str], seeds: Sequence[int], density: float
) -> tuple[int, list[str]]:
    """Return the number of folds that most candidates have (the largest number, if tied), and these candidates.

    The number is 0, and there are no candidates, if the target has no folds, or no candidate has as many.
    """
    best: tuple[int, list[str]] = (0, [])
    for count in rows.fold_counts:
        languages = [set(fold.languages_at(seed, density)) for fold in rows.folds(count) for seed in seeds]
        complete = set.intersection(*languages)
        with_folds = [code for code in sources if code in complete]
        if target in complete and len(with_folds) >= max(1, len(best[1])):
            best = count, with_folds
    return best


def resample(
    rows: SubNetworkStore, matrix: SimilarityMatrix, density: float, on_event: OnReadEvent
) -> Resampling | None:
    """Compare all languages again with each part of their examples left out; return None if the store has no parts.

    For a correction, the languages are those of its pool. The result is then also None, and a note says why, if a
    language of the pool has no parts, or if the correction needs split-half similarities: how much these vary between
    samples of examples was not measured.
    """
    from xsns_stream.ranking import all_fold_similarities

    if matrix.pool is not None:
        return _resample_pool(rows, matrix, matrix.pool, density, on_event)
    everyone = tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))
    found = max(
        (folds_of(rows, code, everyone, matrix.seeds, density) for code in everyone), key=lambda pair: len(pair[1])
    )
    count, languages = found
    if len(languages) < 2:
        return None
    if without := [code for code in everyone if code not in languages]:
        on_event(Noted(f"languages without {count} parts have no interval: {', '.join(without)}."))
    similarities = all_fold_similarities(
        rows,
        rows.folds(count),
        languages,
        matrix.seeds,
        density,
        matrix.coefficient,
        progress_of("comparing without parts", on_event),
    )
    return Resampling(tuple(languages), similarities, count, matrix.coefficient)


def _resample_pool(
    rows: SubNetworkStore, matrix: SimilarityMatrix, pool: SimilarityPool, density: float, on_event: OnReadEvent
) -> Resampling | None:
    """Compare all languages of the pool of a correction again with each part of their examples left out."""
    from xsns_stream.ranking import all_fold_similarities

    if not rows.fold_counts:
        return None
    if pool.split_half is not None:
        on_event(
            Noted(
                f"there are no intervals from parts for '{matrix.coefficient}', because split-half similarities were "
                "not measured without each part."
            )
        )
        return None
    count, languages = max(
        (folds_of(rows, code, pool.languages, matrix.seeds, density) for code in pool.languages),
        key=lambda pair: len(pair[1]),
    )
    if without := [code for code in pool.languages if code not in languages]:
        on_event(
            Noted(
                f"there are no intervals from parts for '{matrix.coefficient}', which depends on all "
                f"{len(pool.languages)} languages of the pool, because some of them have no parts: {listed(without)}."
            )
        )
        return None
    progress = progress_of("comparing without parts", on_event)
    similarities = all_fold_similarities(
        rows, rows.folds(count), pool.languages, matrix.seeds, density, on_progress=progress
    )
    return Resampling(pool.languages, similarities, count, matrix.coefficient, pool)


def tree_support(rows: SubNetworkStore, matrix: SimilarityMatrix, on_event: OnReadEvent) -> TreeSupport | None:
    """Return how often the groups of the tree of a matrix occur in trees of resampled similarities.

    The similarities are resampled as for the intervals of a ranking, with the same random numbers for all pairs of a
    language. If None is returned, a note says why there is no support.

    Args:
        rows: The store of the matrix.
        matrix: Similarities of all languages to one another, from all parameters.
        on_event: Handler of progress and notes.
    """
    density = matrix.density
    assert density is not None
    tree = matrix.tree()
    resampling = resample(rows, matrix, density, on_event)
    if resampling is None and matrix.pool is not None and rows.fold_counts:
        on_event(Noted("the tree has no support values, because there are no intervals from parts."))
        return None
    if resampling is None:
        on_event(Noted("the tree has no support values, because the store has no parts (`build --parts 8` adds them)."))
        return None
    resampled = resampling.matrices(matrix)
    if resampled is None:
        on_event(Noted("the tree has no support values, because some languages have no parts."))
        return None
    shares, count = support_of(tree.linkage, resampled)
    groups = [frozenset(tree.languages[leaf] for leaf in group) for group in joined_groups(tree.linkage)]
    return TreeSupport(dict(zip(groups, shares.tolist(), strict=True)), resampling.basis, count)
