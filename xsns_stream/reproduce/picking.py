"""Which sources are fine-tuned on together: a predictor's first, the most central, any, the best by their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xsns_stream.reproduce.scores import ENGLISH, spread

if TYPE_CHECKING:
    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.transfer import TransferScores

#: How many are fine-tuned on together.
TOGETHER: Final = 3
#: Draws of sources at random for each target.
DRAWS: Final = 2


def first(matrix: SimilarityMatrix, sources: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the sources most similar to a target, of equals the first by code; fewer than three where so few are."""
    if target not in matrix.targets:
        return ()
    column = dict(zip(matrix.sources, matrix.column(target).tolist(), strict=True))
    known = [code for code in sources if code != target and math.isfinite(column.get(code, math.nan))]
    return tuple(sorted(known, key=lambda code: (-column[code], code))[:TOGETHER])


def central(matrix: SimilarityMatrix, sources: Sequence[str], target: str) -> tuple[str, ...]:
    """Return English, where it is a source and not the target, and the sources most similar to all other sources."""
    means = {}
    for code in sources:
        others = [other for other in sources if other != code and code in matrix.sources and other in matrix.targets]
        values = [value for other in others if math.isfinite(value := matrix[code, other])]
        if code != target and values:
            means[code] = math.fsum(values) / len(values)
    ordered = sorted(means, key=lambda code: (code != ENGLISH, -means[code], code))
    return tuple(ordered[:TOGETHER])


def drawn(sources: Sequence[str], target: str) -> tuple[tuple[str, ...], ...]:
    """Return sets of sources drawn at random, the same every time for the same target."""
    import numpy as np

    rng = np.random.default_rng(list(target.encode()))
    others = sorted(code for code in sources if code != target)
    if len(others) < TOGETHER:
        return ()
    return tuple(tuple(rng.choice(others, TOGETHER, replace=False).tolist()) for _ in range(DRAWS))


def best_alone(scores: TransferScores, target: str) -> tuple[str, ...]:
    """Return the sources whose scores on a target are highest, of equals the first by code."""
    others = spread(scores, target, {}).others
    return tuple(sorted(others, key=lambda code: (-others[code], code))[:TOGETHER])


def of_seeds(scores: TransferScores, seeds: Sequence[int]) -> TransferScores:
    """Return the scores of these seeds alone, so that one source and three are compared over the same."""
    there = [seed for seed in seeds if seed in scores.seeds]
    places = [scores.seeds.index(seed) for seed in there]
    return replace(scores, cells=scores.cells[:, places], seeds=tuple(there)) if there else scores
