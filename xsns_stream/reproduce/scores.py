"""Gold scores of each target; means of methods over targets, and their paired differences from a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import number, probability, trivial_scores, with_interval
from xsns_stream.reproduce.step import Step, StepOutputs

if TYPE_CHECKING:
    from xsns_stream.types.transfer_scores import TransferScores


ENGLISH: Final = "en"
RESAMPLES: Final = 10_000


@dataclass(frozen=True)
class TargetScores:
    """The scores of one target.

    Attributes:
        target: The code of the target.
        others: {source: score, averaged over seeds} for all measured sources except the target.
        own: The score of the model that was fine-tuned on the target; NaN if there is no such model.
        trivial: The score of the trivial answer; NaN if unknown.
    """

    target: str
    others: Mapping[str, float]
    own: float = math.nan
    trivial: float = math.nan

    @property
    def values(self) -> tuple[float, ...]:
        """The scores of all sources except the target."""
        return tuple(self.others.values())

    @property
    def best(self) -> float:
        """The highest score of a source other than the target; NaN if there is no such source."""
        return max(self.values, default=math.nan)

    @property
    def best_sources(self) -> tuple[str, ...]:
        """The sources, except the target, with the highest score; several sources if they are tied."""
        return tuple(source for source, score in self.others.items() if score == self.best)

    @property
    def worst(self) -> float:
        """The lowest score of a source other than the target; NaN if there is no such source."""
        return min(self.values, default=math.nan)

    @property
    def mean(self) -> float:
        """The mean score of all sources except the target; NaN if there is no such source."""
        return math.fsum(self.values) / len(self.values) if self.others else math.nan

    @property
    def english(self) -> float:
        """The score of English; NaN if English is the target or is not a source."""
        return self.others.get(ENGLISH, math.nan)

    def mean_of(self, sources: Sequence[str]) -> float:
        """Return the mean score of the given sources; NaN if no sources are given, or if one of them has no score."""
        if not sources:
            return math.nan
        return math.fsum(self.others.get(source, math.nan) for source in sources) / len(sources)


def gold_scores(step: Step) -> TransferScores:
    """Return the scores that a completed fine-tuning step has written."""
    from xsns_stream.gold import read_scores

    return read_scores(step.output)


def target_scores(
    config: RunConfig, task: TaskConfig, outputs: StepOutputs, targets: Sequence[str]
) -> list[TargetScores] | None:
    """Return the scores of the given targets in their order; targets that were not tested are left out.

    Returns:
        The scores; None if the fine-tuning step is not done.
    """
    step = gold(config, task)
    if not outputs.done(step):
        return None
    trivial = trivial_scores(outputs.document(step))
    scores = gold_scores(step)
    return [scores_of_target(scores, target, trivial) for target in targets if target in scores.targets]


def scores_of_target(scores: TransferScores, target: str, trivial: Mapping[str, float]) -> TargetScores:
    """Return the scores of one target, averaged over seeds; `trivial` is {target: score of the trivial answer}."""
    column = scores.values[:, scores.targets.index(target)].tolist()
    measured = {source: score for source, score in zip(scores.sources, column, strict=True) if math.isfinite(score)}
    others = {source: score for source, score in measured.items() if source != target}
    return TargetScores(target, others, measured.get(target, math.nan), trivial.get(target, math.nan))


@dataclass(frozen=True)
class PairedMean:
    """The mean of one method over targets, and its paired difference from a reference method.

    Attributes:
        mean: The mean over the targets for which the method has a value.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
        difference: The mean difference from the reference over the targets for which both have a value; NaN for the
            reference itself.
        difference_low: Lower end of the interval of the difference.
        difference_high: Upper end of the interval of the difference.
        p: p-value of a two-sided sign-flip test over targets, with Holm's correction for the number of methods.
        better: Number of targets on which the method is above the reference.
        level: Number of targets on which the method and the reference have the same value.
        worse: Number of targets on which the method is below the reference.
        targets: Number of targets for which the method has a value.
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
        rows: {method: a value for each target}; NaN for a target without a value.
        reference: The method with which the others are compared.
    """
    import numpy as np

    from xsns_stream.evaluation.resampling import bootstrap, holm, interval, sign_flip

    values = np.array(list(rows.values()), np.float64)
    index = list(rows).index(reference)
    mean_draws, difference_draws = bootstrap([row[None, :, None, None] for row in values], RESAMPLES, 0, index)
    differences = values - values[index]
    differences[index] = np.nan
    p = holm(sign_flip(differences, RESAMPLES, 0))
    means = {}
    for row, name in enumerate(rows):
        own, against = (array[np.isfinite(array)] for array in (values[row], differences[row]))
        low, high = interval(mean_draws[row, 0], own.size)
        ends = (math.nan, math.nan) if difference_draws is None else interval(difference_draws[row, 0], against.size)
        means[name] = PairedMean(
            *(float(own.mean()) if own.size else math.nan, low, high),
            *(float(against.mean()) if against.size else math.nan, *ends),
            float(p[row]),
            *(int(count) for count in ((against > 0).sum(), (against == 0).sum(), (against < 0).sum(), own.size)),
        )
    return means


def paired_mean_cells(name: str, mean: PairedMean, *, reference: bool) -> list[str]:
    """Return the row of a method in a table of paired means.

    The cells are the name, the number of targets, the mean, the difference, p, and the attributes `better`, `level` and
    `worse`.

    Args:
        name: The name of the method.
        mean: The mean of the method.
        reference: Whether the method is the reference; the difference of the reference from itself is not shown.
    """
    difference = with_interval(mean.difference, mean.difference_low, mean.difference_high)
    counts = [str(count) for count in (mean.better, mean.level, mean.worse)]
    return [
        name,
        str(mean.targets),
        with_interval(mean.mean, mean.low, mean.high),
        number(None) if reference else difference,
        probability(mean.p),
        *(["–"] * 3 if reference else counts),
    ]
