"""Results of :func:`xsns_stream.rank`: the report on one target, and the collection of reports on several targets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xsns_stream.errors import LanguageError
from xsns_stream.io.escaping import visible
from xsns_stream.io.json import nan_to_null
from xsns_stream.types.transfer_scores import UNKNOWN, metric_name

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes

    from xsns_stream.report import ShownRanking
    from xsns_stream.types import RankedSource, SourceRanking
    from xsns_stream.types.source_ranking import Explanation, SourceCover


@dataclass(frozen=True, repr=False)
class RankingReport:
    """A ranking of source languages for one target, together with explanations, expected scores and notes.

    Iterating over a report yields the ranked sources, best first.

    Attributes:
        ranking: The ranking of the first `top` sources.
        candidates: The ranking of all candidates.
        density: Density of the sub-networks.
        together: Sources to train on together; None if `sources_k` was not given.
        explanations: Contributions to the similarity by layer and by kind of module; empty if `explain` was not given.
        calibration: Facts about the gold scores from which expected scores are computed; the entry `check` shows how
            well the similarity predicts the gold scores. None if `gold` was not given.
        notes: Notes on omissions and unknown values, and on the reliability of the ranking.
        worth: Sentences on the reliability of the ranking; the first always says that similarity is not a measurement
            of transfer.
        warning: Short warning for a title if the gold scores contradict the ranking; otherwise empty.
        model: Name of the model that was measured.
        corpus: Name of the corpus that was measured.
    """

    ranking: SourceRanking
    candidates: SourceRanking
    density: float
    together: SourceCover | None = None
    explanations: tuple[Explanation, ...] = ()
    calibration: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    worth: tuple[str, ...] = ()
    warning: str = ""
    model: str = ""
    corpus: str = ""

    def __iter__(self) -> Iterator[RankedSource]:
        return iter(self.ranking)

    def __len__(self) -> int:
        return len(self.ranking)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Sentences that state what follows from the intervals, the reliability and the gold scores of the ranking."""
        return tuple(_verdicts(self))

    def first(self, count: int) -> RankingReport:
        """Return a copy of the report whose ranking has only the first `count` sources; all sources if `count` is 0."""
        return replace(self, ranking=replace(self.ranking, sources=self.ranking.sources[: count or None]))

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each source; see :meth:`xsns_stream.SourceRanking.to_frame`."""
        return self.ranking.to_frame()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the similarity of each source as a dot, and its interval as a bar.

        The figure that :meth:`save` writes also shows the settings, the expected scores if they are known, and, below
        the axes, the sentences of :attr:`verdicts` and :attr:`worth`.

        Args:
            ax: Axes to draw into; a new figure of pyplot if None.

        Returns:
            The axes.
        """
        from xsns_stream.report import plot_ranking

        return plot_ranking(self.ranking, ax)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the ranking to a file, as `xsns-stream rank -o` does.

        Args:
            path: The file to write. Its suffix determines the format: .csv .tsv .json .parquet .md .tex, or
                .png .svg .pdf.

        Returns:
            The path.

        Raises:
            UsageError: The suffix is not the name of a format, or the folder does not exist.
            XsnsError: The file cannot be written.
        """
        from xsns_stream.report import write_rankings

        return write_rankings([self.shown()], os.fspath(path), self.to_dict())

    def shown(self) -> ShownRanking:
        """Return the ranking in the form that tables, files and figures of :mod:`xsns_stream.report` are made from."""
        from xsns_stream.report import ShownRanking

        ranking = self.ranking
        seeds = f"{'seed' if len(ranking.seeds) == 1 else 'seeds'} {', '.join(map(str, ranking.seeds))}"
        settings = (self.model, self.corpus, seeds if ranking.seeds else "", f"density {self.density:g}")
        return ShownRanking(
            ranking,
            self.warning,
            (*self.verdicts, *self.worth),
            tuple(filter(None, settings)),
            self.together,
            self.explanations,
        )

    def _repr_html_(self) -> str:
        from xsns_stream.report import ranking_html

        return ranking_html(self.shown(), self.notes)

    def __repr__(self) -> str:
        notes = (f"note: {visible(note)}" for note in self.notes)
        return "\n".join((repr(self.ranking), *self.verdicts, *notes))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, as `xsns-stream rank --json` prints it."""
        from xsns_stream.ranking import CONFIDENCE
        from xsns_stream.report import shown_name

        ranking = self.ranking
        result: dict[str, Any] = {
            "target": ranking.target,
            "name": shown_name(ranking.target),
            "model": self.model,
            "corpus": self.corpus,
            "coefficient": ranking.coefficient,
            "seeds": list(ranking.seeds),
            "density": self.density,
            "candidates": len(self.candidates),
            "reliability": ranking.reliability,
            "intervals": {"basis": ranking.basis, "confidence": CONFIDENCE} if ranking.basis else None,
            "sources": [_source_dict(source) for source in ranking],
            "worth": list(self.worth),
        }
        if notes := [note for note in self.notes if note not in self.worth]:
            result["notes"] = notes
        if self.calibration is not None:
            result["calibration"] = dict(self.calibration)
        if self.together is not None:
            result["together"] = _cover_dict(self.together)
        if self.explanations:
            result["explanation"] = {each.by: _explanation_dict(each) for each in self.explanations}
        plain: dict[str, Any] = nan_to_null(result)
        return plain


@dataclass(frozen=True, repr=False)
class RankingReports:
    """The rankings of several targets, in the order in which the targets were given.

    Iterating over the collection yields the reports; `reports["wo"]` is the report on one target.

    Attributes:
        reports: One report for each target.
    """

    reports: tuple[RankingReport, ...]

    def __iter__(self) -> Iterator[RankingReport]:
        return iter(self.reports)

    def __len__(self) -> int:
        return len(self.reports)

    def __getitem__(self, target: str) -> RankingReport:
        for report in self.reports:
            if report.ranking.target == target:
                return report
        known = ", ".join(report.ranking.target for report in self.reports)
        raise LanguageError(f"there is no ranking for '{target}'.", f"the targets are {known}.")

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all reports, without duplicates."""
        return tuple(dict.fromkeys(note for report in self.reports for note in report.notes))

    def first(self, count: int) -> RankingReports:
        """Return copies of the reports with only the first `count` sources of each ranking, or all if `count` is 0."""
        return RankingReports(tuple(report.first(count) for report in self.reports))

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each pair of a target and a source.

        The columns are the target, the rank, the code and the name of the source, and the values of the ranking.
        """
        from xsns_stream.report import rankings_frame

        return rankings_frame([report.ranking for report in self.reports])

    def plot(self) -> list[Axes]:
        """Draw the rankings into one new pyplot figure, with one axes for each target, and return the axes."""
        from matplotlib import pyplot

        lines = [len(report) for report in self.reports]
        figure, axes = pyplot.subplots(
            len(lines),
            figsize=(6.0, sum(0.25 * count + 1.2 for count in lines)),
            height_ratios=[max(count, 1) for count in lines],
            squeeze=False,
            layout="constrained",
        )
        del figure
        return [report.plot(ax) for report, ax in zip(self.reports, axes[:, 0], strict=True)]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the rankings of all targets to one file; see :meth:`RankingReport.save`."""
        from xsns_stream.report import write_rankings

        return write_rankings([report.shown() for report in self.reports], os.fspath(path), self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return all reports as JSON values, as `xsns-stream rank --json` prints them for several targets."""
        return {"rankings": [report.to_dict() for report in self.reports]}

    def _repr_html_(self) -> str:
        return "\n".join(report._repr_html_() for report in self.reports)

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self.reports))


# -------------------------------------------------------------------------------------------- verdicts


def _verdicts(report: RankingReport) -> Iterator[str]:
    ranking = report.ranking
    if ranking.reliability is not None:
        yield f"Two halves of the target's own examples have a Jaccard coefficient of {ranking.reliability:.3f}."
    if ranking.basis:
        yield compared_with_first(report.candidates)
    if (facts := report.calibration) is not None:
        unknown = "" if facts["known_target"] else ", none of which is of this target"
        task = "" if facts["task"] == UNKNOWN else f" ({facts['task']})"
        what = f"{metric_name(facts['metric'])}{task}"
        yield f"Expected {what} from {facts['pairs']} pairs of gold scores{unknown}."
        yield from _highest_expected(report.candidates, what)


def _highest_expected(ranking: SourceRanking, what: str) -> Iterator[str]:
    """Yield a sentence if the source with the highest expected score is not the most similar source.

    `what` is the name of the score, such as `accuracy (pos)`.
    """
    from xsns_stream.report import shown_name

    # A source with an undefined similarity has an undefined expected score; such sources come last.
    scores = [source.expected.mean for source in ranking if source.expected is not None]
    scores = [score for score in scores if not math.isnan(score)]
    if not scores or max(scores) <= scores[0]:
        return
    place = scores.index(max(scores))
    code, decimals = ranking.sources[place].language, 3 if ranking.unit == "fraction" else 1
    name = code if shown_name(code) == code else f"{shown_name(code)} ({code})"
    yield (
        f"The highest expected {what} is that of {name}, rank {place + 1}: {scores[place]:.{decimals}f}, against "
        f"{scores[0]:.{decimals}f} of the first source. The expected score is not a function of the similarity alone: "
        "it also contains how much higher or lower the scores with each source are on other targets."
    )


def compared_with_first(ranking: SourceRanking) -> str:
    """Return a sentence that says which sources cannot be distinguished from the first source.

    Only sources that have an interval are considered.
    """
    known = [source for source in ranking if source.low is not None]
    among = "" if len(known) == len(ranking) else f" of the {len(known)} sources that have an interval"
    level, basis = ranking.level, f"(95 %, {ranking.basis})"
    if len(known) == 1:
        return "The first source cannot be compared with others, because no other candidate has an interval."
    if level == 1:
        return f"The first{among} is reliably closer than all other {'sources' if among else 'candidates'} {basis}."
    if all(source.level_with_first for source in known[:level]):
        return f"~ No reliable difference among the first {level}{among} {basis}."
    return f"~ {level - 1} of the others cannot be distinguished from the first{among} {basis}."


# ---------------------------------------------------------------------------------------- plain values


def _source_dict(source: RankedSource) -> dict[str, Any]:
    from xsns_stream.report import shown_name

    values: dict[str, Any] = {
        "language": source.language,
        "name": shown_name(source.language),
        "similarity": source.similarity,
        "chance_corrected": source.chance_corrected,
        "spread": source.spread,
        "tied": source.tied,
        "interval": None if source.low is None else [source.low, source.high],
        "best_probability": source.best_probability,
        "level_with_first": source.level_with_first,
        "reliability": source.reliability,
    }
    if source.expected is not None:
        score = source.expected
        values["expected"] = {"score": score.mean, "interval": [score.low, score.high], "measured": score.measured}
    return values


def _cover_dict(cover: SourceCover) -> dict[str, Any]:
    sources = [
        {"language": source.language, "alone": source.alone, "gain": source.gain, "covered": source.covered}
        for source in cover.sources
    ]
    return {"strategy": cover.strategy, "covered": cover.covered, "sources": sources}


def _explanation_dict(explanation: Explanation) -> list[dict[str, Any]]:
    """Return one JSON object for each group of parameters: its name, and its share of the similarity to each source."""
    return [
        {
            "group": name,
            "sources": {
                code: {"chance_corrected": corrected, "excess": excess}
                for code, corrected, excess in zip(explanation.sources, *numbers, strict=True)
            },
        }
        for name, *numbers in zip(
            explanation.names, explanation.corrected.tolist(), explanation.excess.tolist(), strict=True
        )
    ]
