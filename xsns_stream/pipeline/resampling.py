"""Similarities with one part of the examples left out, and the support of trees that is computed from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xsns_stream.pipeline.events import Noted, OnReadEvent, progress_of
from xsns_stream.pipeline.source_ranking import folds_of
from xsns_stream.types.language_tree import TreeSupport, joined_groups, support_of

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import Reals, SimilarityMatrix

#: Number of resampled trees.
TREES: Final = 200


@dataclass(frozen=True)
class Resampling:
    """Similarities of all pairs of languages, recomputed with one part (fold) of the examples left out.

    Attributes:
        languages: Labels of the L languages.
        similarities: Two arrays [R, K, L, L], from :func:`xsns_stream.ranking.all_fold_similarities`.
        count: Number K of parts.
    """

    languages: tuple[str, ...]
    similarities: tuple[Reals, Reals]
    count: int

    @property
    def basis(self) -> str:
        """A phrase that says from what the similarities were resampled, such as `8 parts`."""
        return f"{self.count} parts"

    def matrices(self, matrix: SimilarityMatrix) -> Iterator[Reals] | None:
        """Return resampled similarity matrices; None if a language of `matrix` has no parts."""
        from xsns_stream.ranking import resampled_matrices

        if set(matrix.sources) != set(self.languages):
            return None
        order = [self.languages.index(code) for code in matrix.sources]
        own, other = (array[:, :, order][:, :, :, order] for array in self.similarities)
        return resampled_matrices((own, other), matrix.values, TREES)


def resample(
    rows: SubNetworkStore, matrix: SimilarityMatrix, density: float, on_event: OnReadEvent
) -> Resampling | None:
    """Compare all languages again with each part of their examples left out; return None if the store has no parts."""
    from xsns_stream.ranking import all_fold_similarities

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
    return Resampling(tuple(languages), similarities, count)


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
