"""What a file of gold scores holds, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsns_stream.languages import constituents
from xsns_stream.types.transfer import TransferScores, mean_of_known


@dataclass(frozen=True)
class ScoreSummary:
    """Figures of the main regime, averaged over seeds; pairs of a source with a language of its own stand apart.

    A source that is a mixture (`es+it`) has several languages of its own.

    Attributes:
        missing: Pairs (source, target) without a score, a source with its own language not counted.
        lowest: The lowest score between two languages.
        highest: The highest score between two languages.
        mean: The mean score between two languages.
        mean_own: The mean score of a source on its own language; NaN where there is none.
        best_source: {target: (source, score)}, the source with the highest score; no entry where no source has one. Of
            several with the same score the first.
        source_means: {source: its mean over other languages}; no entry where there is none.
        source_targets: {source: over how many other languages}.
    """

    missing: tuple[tuple[str, str], ...]
    lowest: float
    highest: float
    mean: float
    mean_own: float
    best_source: dict[str, tuple[str, float]]
    source_means: dict[str, float]
    source_targets: dict[str, int]


def summarise(scores: TransferScores) -> ScoreSummary:
    """Return the figures of the main regime."""
    values = scores.values
    own = np.array([[target in constituents(source) for target in scores.targets] for source in scores.sources])
    known = np.isfinite(values)
    others = np.where(own, np.nan, values)
    between, itself = others[np.isfinite(others)], values[own & known]
    missing = tuple((scores.sources[row], scores.targets[column]) for row, column in np.argwhere(~known & ~own))
    best = {}
    for column, target in enumerate(scores.targets):
        if np.isfinite(others[:, column]).any():
            row = int(np.nanargmax(others[:, column]))
            best[target] = (scores.sources[row], float(others[row, column]))
    means, counts = mean_of_known(others.T), np.isfinite(others).sum(axis=1)
    tested = {
        source: (float(mean), int(count))
        for source, mean, count in zip(scores.sources, means, counts, strict=True)
        if count
    }
    low, high, mean = (float(figure(between)) if between.size else np.nan for figure in (np.min, np.max, np.mean))
    return ScoreSummary(
        missing=missing,
        lowest=low,
        highest=high,
        mean=mean,
        mean_own=float(itself.mean()) if itself.size else float("nan"),
        best_source=best,
        source_means={source: mean for source, (mean, _) in tested.items()},
        source_targets={source: count for source, (_, count) in tested.items()},
    )
