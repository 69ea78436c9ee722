"""What several figures ask of gold scores: each target's scores by source, and paired means over targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.pages import trivial
from xsns_stream.reproduce.setting import Setting, TaskSetting
from xsns_stream.reproduce.step import Folder, Step

if TYPE_CHECKING:
    from xsns_stream.types.transfer import TransferScores

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
    setting: Setting, task: TaskSetting, folder: Folder, targets: Sequence[str]
) -> list[TargetScores] | None:
    """Return the scores of a task's targets in the order given; None where fine-tuning is not done.

    Targets that were not tested are left out.
    """
    step = gold(setting, task)
    if not folder.done(step):
        return None
    floor = trivial(folder.document(step))
    scores = gold_scores(step)
    return [spread(scores, target, floor) for target in targets if target in scores.targets]


def spread(scores: TransferScores, target: str, floor: Mapping[str, float]) -> TargetScores:
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
