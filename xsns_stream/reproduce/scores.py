"""Gold scores as figures need them: by source, paired means, agreement, choice of sources."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import trivial
from xsns_stream.reproduce.step import Folder, Step

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix, SubNetwork
    from xsns_stream.types.transfer_scores import TransferScores


ENGLISH: Final = "en"
RESAMPLES: Final = 10_000


@dataclass(frozen=True)
class TargetScores:
    """What one target gets from each source.

    Attributes:
        target: Its code.
        others: {source: score} of the sources that are not the target and were measured; mean over seeds.
        own: The score of the model that was fine-tuned on it; NaN where there is none.
        trivial: What the answer without a model scores; NaN where it is not known.
    """

    target: str
    others: Mapping[str, float]
    own: float = math.nan
    trivial: float = math.nan

    @property
    def values(self) -> tuple[float, ...]:
        """The scores of the other sources."""
        return tuple(self.others.values())

    @property
    def best(self) -> float:
        """The highest of them; NaN where there is none."""
        return max(self.values, default=math.nan)

    @property
    def best_sources(self) -> tuple[str, ...]:
        """The sources with this score: several where level."""
        return tuple(source for source, score in self.others.items() if score == self.best)

    @property
    def worst(self) -> float:
        """The lowest; NaN where there is none."""
        return min(self.values, default=math.nan)

    @property
    def mean(self) -> float:
        """Their mean; NaN where there is none."""
        return math.fsum(self.values) / len(self.values) if self.others else math.nan

    @property
    def english(self) -> float:
        """The score of English; NaN where it is no other source."""
        return self.others.get(ENGLISH, math.nan)

    def of(self, sources: Sequence[str]) -> float:
        """Return the mean score of sources, as of several that a predictor puts first; NaN where one is not there."""
        if not sources:
            return math.nan
        return math.fsum(self.others.get(source, math.nan) for source in sources) / len(sources)


def gold_scores(step: Step) -> TransferScores:
    """Read what a step of fine-tuning has left; ask only where it is done."""
    from xsns_stream.gold import read_scores

    return read_scores(step.output)


def target_scores(
    config: RunConfig, task: TaskConfig, folder: Folder, targets: Sequence[str]
) -> list[TargetScores] | None:
    """Return the scores of a task's targets in the order given; None where fine-tuning is not done.

    Targets that were not tested are left out.
    """
    step = gold(config, task)
    if not folder.done(step):
        return None
    floor = trivial(folder.document(step))
    scores = gold_scores(step)
    return [target_row(scores, target, floor) for target in targets if target in scores.targets]


def target_row(scores: TransferScores, target: str, floor: Mapping[str, float]) -> TargetScores:
    """Return what one target gets from each source, mean over seeds."""
    column = scores.values[:, scores.targets.index(target)].tolist()
    found = {source: score for source, score in zip(scores.sources, column, strict=True) if math.isfinite(score)}
    others = {source: score for source, score in found.items() if source != target}
    return TargetScores(target, others, found.get(target, math.nan), floor.get(target, math.nan))


@dataclass(frozen=True)
class PairedMean:
    """The mean of one method over targets, and how it differs from another's, target by target.

    Attributes:
        mean: Over the targets on which it is known.
        low: Lower end of the 95 % interval.
        high: Upper end.
        difference: From the reference, over the targets on which both are known; NaN for the reference itself.
        difference_low: Lower end of its interval.
        difference_high: Upper end.
        p: Sign-flip test over targets, two-sided, corrected over the methods (Holm).
        better: Targets on which it is above the reference.
        level: Targets on which both are the same.
        worse: Targets on which it is below.
        targets: Targets on which it is known.
    """

    mean: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    better: int
    level: int
    worse: int
    targets: int


def paired_means(rows: Mapping[str, Sequence[float]], reference: str) -> dict[str, PairedMean]:
    """Return means over targets with intervals, and tests against one of the methods.

    Args:
        rows: {method: a number for each target, NaN where it has none}.
        reference: One of them.
    """
    import numpy as np

    from xsns_stream.evaluation.resampling import bootstrap, holm, interval, sign_flip

    values = np.array(list(rows.values()), np.float64)
    place = list(rows).index(reference)
    draws, drawn = bootstrap([row[None, :, None, None] for row in values], RESAMPLES, 0, place)
    differences = values - values[place]
    differences[place] = np.nan
    p = holm(sign_flip(differences, RESAMPLES, 0))
    found = {}
    for number, name in enumerate(rows):
        here, against = (row[np.isfinite(row)] for row in (values[number], differences[number]))
        low, high = interval(draws[number, 0], here.size)
        ends = (math.nan, math.nan) if drawn is None else interval(drawn[number, 0], against.size)
        found[name] = PairedMean(
            *(float(here.mean()) if here.size else math.nan, low, high),
            *(float(against.mean()) if against.size else math.nan, *ends),
            float(p[number]),
            *(int(count) for count in ((against > 0).sum(), (against == 0).sum(), (against < 0).sum(), here.size)),
        )
    return found


def as_record(found: PairedMean) -> dict[str, Any]:
    """Return a mean and its difference as plain values."""
    return dict(vars(found))


@dataclass(frozen=True)
class Agreement:
    """What is known of one store's rows, means over languages.

    Attributes:
        examples: Examples of a row; fewer than asked for where a language has no more.
        short: Languages that have fewer than asked for.
        languages: How many there are.
        seeds: Jaccard coefficient between two seeds' rows of one language: other examples, as far as there are any,
            and other masking; NaN for one seed.
        largest: Between the rows of one language and seed here and in another store, of the largest number of
            examples; NaN where there are none, and for that store itself. The larger draw holds the smaller one.
        others: Between rows of two different languages of one seed; NaN for one language.
    """

    examples: float
    short: int
    languages: int
    seeds: float
    largest: float
    others: float


def agreement(path: Path, languages: Sequence[str], seeds: Sequence[int], density: float, largest: Path) -> Agreement:
    """Compare the rows of a store with one another and with those of the largest number of examples.

    Args:
        path: The store.
        languages: Codes; those without a row of every seed are left out.
        seeds: Of the rows.
        density: Of the rows.
        largest: The other store; may be the same.

    Raises:
        StoreError: A row is damaged.
    """
    from xsns_stream.similarity import count_overlaps, similarity
    from xsns_stream.store import open_store

    store, other = open_store(path), open_store(largest)
    there = [code for code in languages if all(store.is_committed(code, seed, density) for seed in seeds)]
    drawn = {code: store.record(code, seeds[0], density).provenance for code in there}
    between_seeds, to_largest = [], []
    for code in there:
        rows = [store.read(code, seed, density) for seed in seeds]
        between_seeds += [jaccard(one, two) for one, two in combinations(rows, 2)]
        to_largest += list(_with_those_of(other, rows)) if path != largest else []
    others = []
    if len(there) > 1:
        tables = [count_overlaps(store, languages=there, seed=seed, density=density) for seed in seeds]
        others = [similarity(table).mean_of_pairs for table in tables]
    return Agreement(
        _mean([float(one.examples) for one in drawn.values()]),
        sum(one.examples < one.examples_asked for one in drawn.values()),
        len(there),
        _mean(between_seeds),
        _mean(to_largest),
        _mean(others),
    )


def jaccard(one: SubNetwork, two: SubNetwork) -> float:
    """Return |A ∩ B| / |A ∪ B|; NaN for two empty sub-networks."""
    shared = one.overlap(two)
    union = one.cardinality + two.cardinality - shared
    return shared / union if union else math.nan


def _with_those_of(other: SubNetworkStore, rows: Sequence[SubNetwork]) -> Iterator[float]:
    for row in rows:
        if other.is_committed(row.language, row.seed, row.density):
            yield jaccard(row, other.read(row.language, row.seed, row.density))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.fmean(known) if known else math.nan


#: How many are fine-tuned on together.
SOURCES_TOGETHER: Final = 3
#: Draws of sources at random for each target.
RANDOM_SETS: Final = 2


def most_similar(matrix: SimilarityMatrix, sources: Sequence[str], target: str) -> tuple[str, ...]:
    """Return the sources most similar to a target, of equals the first by code; fewer than three where so few are."""
    if target not in matrix.targets:
        return ()
    column = dict(zip(matrix.sources, matrix.column(target).tolist(), strict=True))
    known = [code for code in sources if code != target and math.isfinite(column.get(code, math.nan))]
    return tuple(sorted(known, key=lambda code: (-column[code], code))[:SOURCES_TOGETHER])


def most_central(matrix: SimilarityMatrix, sources: Sequence[str], target: str) -> tuple[str, ...]:
    """Return English, where it is a source and not the target, and the sources most similar to all other sources."""
    means = {}
    for code in sources:
        others = [other for other in sources if other != code and code in matrix.sources and other in matrix.targets]
        values = [value for other in others if math.isfinite(value := matrix[code, other])]
        if code != target and values:
            means[code] = math.fsum(values) / len(values)
    ordered = sorted(means, key=lambda code: (code != ENGLISH, -means[code], code))
    return tuple(ordered[:SOURCES_TOGETHER])


def drawn(sources: Sequence[str], target: str) -> tuple[tuple[str, ...], ...]:
    """Return sets of sources drawn at random, the same every time for the same target."""
    import numpy as np

    rng = np.random.default_rng(list(target.encode()))
    others = sorted(code for code in sources if code != target)
    if len(others) < SOURCES_TOGETHER:
        return ()
    return tuple(tuple(rng.choice(others, SOURCES_TOGETHER, replace=False).tolist()) for _ in range(RANDOM_SETS))


def best_single(scores: TransferScores, target: str) -> tuple[str, ...]:
    """Return the sources whose scores on a target are highest, of equals the first by code."""
    others = target_row(scores, target, {}).others
    return tuple(sorted(others, key=lambda code: (-others[code], code))[:SOURCES_TOGETHER])


def restrict_to_seeds(scores: TransferScores, seeds: Sequence[int]) -> TransferScores:
    """Return the scores of these seeds alone, so that one source and three are compared over the same."""
    there = [seed for seed in seeds if seed in scores.seeds]
    places = [scores.seeds.index(seed) for seed in there]
    return replace(scores, cells=scores.cells[:, places], seeds=tuple(there)) if there else scores
