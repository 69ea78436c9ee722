"""Ranking of the source languages for one target: similarities, intervals, expected scores, explanations.

:func:`rank` is the public function; the verb `rank` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

from xsns_stream.errors import UsageError
from xsns_stream.io.escaping import visible
from xsns_stream.io.json import nan_to_null
from xsns_stream.pipeline.arguments import whole_number
from xsns_stream.pipeline.events import Noted, NoteLog, OnReadEvent, progress_of
from xsns_stream.pipeline.row_selection import (
    Codes,
    RowSelection,
    Seeds,
    StoreLike,
    as_codes,
    as_density,
    as_seeds,
    as_store,
    count_groups,
    count_selected,
    select_languages,
)
from xsns_stream.types.html_table import html_table

if TYPE_CHECKING:
    import pandas as pd

    from xsns_stream.pipeline.predictors import Gold
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import RankedSource, SimilarityMatrix, SourceRanking
    from xsns_stream.types.source_ranking import Explanation, SimilarityDraws, SourceCover
    from xsns_stream.types.transfer_scores import TransferScores


@dataclass(frozen=True, repr=False)
class RankingReport:
    """A ranking of source languages, with everything that was computed beside it.

    Iterating over a report yields its sources, best first.

    Attributes:
        ranking: The ranked sources, cut off after `top`.
        candidates: The ranking of all candidates.
        density: Density of the sub-networks.
        together: Sources to train on together; None if `sources_k` was not given.
        explanations: Explanations by layer and by module; empty if `explain` was not given.
        calibration: Facts about the gold scores from which expected scores follow; None if `gold` was not given.
        notes: Notes on what was left out or cannot be known.
    """

    ranking: SourceRanking
    candidates: SourceRanking
    density: float
    together: SourceCover | None = None
    explanations: tuple[Explanation, ...] = ()
    calibration: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[RankedSource]:
        return iter(self.ranking)

    def __len__(self) -> int:
        return len(self.ranking)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """Sentences on what the numbers allow to conclude."""
        return tuple(_verdicts(self))

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each source, as :meth:`xsns_stream.SourceRanking.to_frame`."""
        return self.ranking.to_frame()

    def _repr_html_(self) -> str:
        from xsns_stream.report import shown_name

        frame = self.to_frame()
        frame.insert(1, "name", [shown_name(source.language) for source in self])
        ranking = self.ranking
        caption = f"Sources for {shown_name(ranking.target)} ({ranking.target}), by {ranking.coefficient}"
        paragraphs = (f"<p>{escape(sentence)}</p>" for sentence in (*self.verdicts, *self.notes))
        return "\n".join((html_table(frame, caption, index=True), *paragraphs))

    def __repr__(self) -> str:
        notes = (f"note: {visible(note)}" for note in self.notes)
        return "\n".join((repr(self.ranking), *self.verdicts, *notes))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as `xsns-stream rank --json` prints them."""
        from xsns_stream.ranking import CONFIDENCE
        from xsns_stream.report import shown_name

        ranking = self.ranking
        result: dict[str, Any] = {
            "target": ranking.target,
            "name": shown_name(ranking.target),
            "coefficient": ranking.coefficient,
            "seeds": list(ranking.seeds),
            "density": self.density,
            "candidates": len(self.candidates),
            "reliability": ranking.reliability,
            "intervals": {"basis": ranking.basis, "confidence": CONFIDENCE} if ranking.basis else None,
            "sources": [_source_dict(source) for source in ranking],
        }
        if self.calibration is not None:
            result["calibration"] = dict(self.calibration)
        if self.together is not None:
            result["together"] = _cover_dict(self.together)
        if self.explanations:
            result["explanation"] = {each.by: _explanation_dict(each) for each in self.explanations}
        plain: dict[str, Any] = nan_to_null(result)
        return plain


def rank(
    store: StoreLike,
    target: str,
    *,
    sources: Codes | None = None,
    top: int | None = None,
    coefficient: str = "jaccard",
    seeds: Seeds | None = None,
    density: float | None = None,
    explain: bool = False,
    sources_k: int | None = None,
    strategy: str | None = None,
    gold: Gold | None = None,
    regime: str | None = None,
    on_event: OnReadEvent | None = None,
) -> RankingReport:
    """Rank source languages for a target language.

    This is what `xsns-stream rank` calls. The similarity is averaged over seeds; only pairs with the target are
    counted. If the store was built with parts, or with three seeds or more, the report also has 95 % intervals, the
    probability that each source is the most similar one, and marks of sources that cannot be distinguished from the
    first.

    Args:
        store: A store, or its folder or URL.
        target: The language to find sources for.
        sources: Candidates; by default all other languages that have every seed.
        top: Number of sources in `ranking`; all by default, or if 0. `candidates` always has all.
        coefficient: As for :func:`xsns_stream.pipeline.comparison.similarity`.
        seeds: Seeds; by default all seeds of the store.
        density: Density, needed if the store has several.
        explain: Also compute which layers and kinds of modules make the sources similar to the target.
        sources_k: Also choose this many sources to train on together.
        strategy: How they are chosen: `top` (the default) takes the most similar sources; `coverage` takes, one
            after the other, the source that adds the largest uncovered part of the target's sub-network.
        gold: Gold scores of other pairs, from which the score with each source is predicted: scores, a file that
            `xsns-stream gold import` wrote, or a long pandas frame with columns `source`, `target` and `score`.
        regime: Training regime of the gold scores; by default their first.
        on_event: Handler of progress and notes.

    Raises:
        UsageError: Arguments that do not belong together, an unknown seed or density, or no candidate.
        LanguageError: A language is not in the store, or lacks a seed.
        StoreError: The store cannot be read.

    >>> import xsns_stream as xs
    >>> report = xs.rank("xsns.zarr", "sw")
    >>> [source.language for source in report]
    ['zu', 'fi', 'en']
    >>> list(report.to_frame().columns[:2])
    ['language', 'similarity']
    """
    from xsns_stream.languages import pick
    from xsns_stream.ranking import rank_sources
    from xsns_stream.similarity import similarity
    from xsns_stream.store.overlap_cache import overlap_cache

    top, sources_k, density = _count(top, "top", 0), _count(sources_k, "sources_k", 1), as_density(density)
    _check_arguments(strategy, sources_k, gold, regime)
    log = NoteLog(on_event)
    rows = as_store(store)
    target = pick(target, rows.languages, f"the store '{rows.path}'")
    candidates = select_languages(as_codes(sources), rows)
    # The target is read in any case. If it is the only candidate, `rank_sources` refuses the ranking.
    others = None if candidates is None else [code for code in candidates if code != target] or [target]
    selection = RowSelection(rows, None, others, [target], as_seeds(seeds), density, required=target)
    counts = count_selected(selection, overlap_cache(rows, write=False), log)
    matrix, density = similarity(counts, coefficient), counts[0].density
    codes = [source.language for source in rank_sources(matrix, target, candidates)]
    if sources_k is not None and len(codes) < sources_k:
        log(Noted(f"{sources_k} sources were requested, but there are only {len(codes)} candidates; all are chosen."))
    draws = _draws(rows, matrix, target, codes, density, log)
    ranking = rank_sources(matrix, target, candidates, draws=draws)
    shown = _with_reliability(replace(ranking, sources=ranking.sources[: top or None]), rows, density)
    calibration = None
    if gold is not None:
        shown, calibration = _with_expected(shown, rows, gold, regime, as_seeds(seeds), density, log)
    return RankingReport(
        shown,
        ranking,
        density,
        together=None if sources_k is None else _together(rows, ranking, sources_k, strategy or "top", density),
        explanations=_explanations(rows, shown, codes, density, log) if explain else (),
        calibration=calibration,
        notes=tuple(log.notes),
    )


def _count(value: Any, name: str, least: int) -> int | None:
    """Return a number of sources; None for None."""
    if value is None:
        return None
    number = whole_number(value, name)
    if number < least:
        raise UsageError(f"{name} must be at least {least}, not {number}.")
    return number


def _check_arguments(strategy: str | None, sources_k: int | None, gold: Gold | None, regime: str | None) -> None:
    """Reject arguments without those that they belong to."""
    if strategy is not None and sources_k is None:
        raise UsageError(
            "--strategy cannot be used without --sources-k.", "give a number of sources, as --sources-k 3."
        )
    if strategy not in (None, "top", "coverage"):
        raise UsageError(f"the strategy '{strategy}' is unknown.", "the strategies are top and coverage.")
    if regime is not None and gold is None:
        raise UsageError("--regime cannot be used without --gold.", "give the gold scores, or leave the regime out.")


def _draws(
    rows: SubNetworkStore,
    matrix: SimilarityMatrix,
    target: str,
    sources: Sequence[str],
    density: float,
    on_event: OnReadEvent,
) -> SimilarityDraws | None:
    """Return draws of what the similarities might be with other examples; None if the store cannot show this.

    They are based on the folds of the candidates that have folds. If no candidate has any, they are based on the seeds,
    of which at least three are needed.
    """
    from xsns_stream.ranking import draws_of_folds, draws_of_seeds, fold_similarities

    count, with_folds = _folds_of(rows, target, sources, matrix.seeds, density)
    if not with_folds:
        return draws_of_seeds(matrix, target, sources)
    without_folds = [code for code in sources if code not in with_folds]
    if without_folds:
        on_event(Noted(f"sources without {count} parts have no interval: {', '.join(without_folds)}."))
    progress = progress_of("comparing without parts", on_event)
    similarities = fold_similarities(
        rows, rows.folds(count), target, with_folds, matrix.seeds, density, matrix.coefficient, progress
    )
    return draws_of_folds(similarities, matrix)


def _folds_of(
    rows: SubNetworkStore, target: str, sources: Sequence[str], seeds: Sequence[int], density: float
) -> tuple[int, list[str]]:
    """Return the number of folds that most candidates have, the largest of several, and these candidates."""
    best: tuple[int, list[str]] = (0, [])
    for count in rows.fold_counts:
        languages = [set(fold.languages_at(seed, density)) for fold in rows.folds(count) for seed in seeds]
        complete = set.intersection(*languages)
        with_folds = [code for code in sources if code in complete]
        if target in complete and len(with_folds) >= max(1, len(best[1])):
            best = count, with_folds
    return best


def _with_reliability(ranking: SourceRanking, rows: SubNetworkStore, density: float) -> SourceRanking:
    """Add the split-half reliability of the target and of each source, where every seed has one."""

    def reliability_of(language: str) -> float | None:
        records = [rows.record(language, seed, density).provenance.reliability for seed in ranking.seeds]
        values = [float(record["split_half"]) for record in records if record.get("split_half") is not None]
        return sum(values) / len(values) if len(values) == len(records) else None

    sources = tuple(replace(source, reliability=reliability_of(source.language)) for source in ranking)
    return replace(ranking, sources=sources, reliability=reliability_of(ranking.target))


def _with_expected(
    ranking: SourceRanking,
    rows: SubNetworkStore,
    gold: Gold,
    regime: str | None,
    seeds: tuple[int, ...],
    density: float,
    on_event: OnReadEvent,
) -> tuple[SourceRanking, dict[str, Any]]:
    """Add the expected score of each source and the measured one; also return facts about the calibration."""
    import numpy as np

    from xsns_stream.languages import counterparts
    from xsns_stream.pipeline.predictors import load_gold, store_similarity
    from xsns_stream.regression import calibrate
    from xsns_stream.types.source_ranking import ExpectedScore

    scores = load_gold(gold, regime, on_event)
    matrix = store_similarity(
        rows, str(rows.path), scores, coefficient=ranking.coefficient, seeds=seeds, density=density, on_event=on_event
    )
    calibration = calibrate(scores, matrix)
    for note in calibration.notes:
        on_event(Noted(note))
    codes = [source.language for source in ranking]
    # The gold scores may spell a language in another way, as zh-Hani for zh.
    spelling = counterparts((ranking.target, *codes), tuple(dict.fromkeys((*scores.sources, *scores.targets))))
    target = spelling.get(ranking.target, ranking.target)
    names = [spelling.get(code, code) for code in codes]
    predicted = calibration.predict(np.array([source.similarity for source in ranking]), target, names)
    expected = [
        ExpectedScore(float(mean), float(low), float(high), _measured(scores, name, target))
        for name, mean, low, high in zip(names, predicted.mean, predicted.low, predicted.high, strict=True)
    ]
    sources = tuple(replace(source, expected=score) for source, score in zip(ranking, expected, strict=True))
    facts = {
        "task": scores.task,
        "metric": scores.metric,
        "unit": predicted.unit,
        "pairs": calibration.pairs,
        "slope": calibration.slope,
        "rmse_left_out": calibration.rmse_left_out,
        "known_target": predicted.known_target,
    }
    return replace(ranking, sources=sources, unit=predicted.unit), facts


def _measured(scores: TransferScores, source: str, target: str) -> float | None:
    """Return the gold score of a pair; None if it was not measured."""
    import math

    if source not in scores.sources or target not in scores.targets:
        return None
    score = scores[source, target]
    return None if math.isnan(score) else score


def _together(rows: SubNetworkStore, ranking: SourceRanking, count: int, strategy: str, density: float) -> SourceCover:
    from xsns_stream.ranking import cover_by, greedy_cover

    codes = [source.language for source in ranking]
    if strategy == "top":
        return cover_by(rows, ranking.target, codes[:count], ranking.seeds, density)
    return greedy_cover(rows, ranking.target, codes, count, ranking.seeds, density)


def _explanations(
    rows: SubNetworkStore, ranking: SourceRanking, candidates: list[str], density: float, on_event: OnReadEvent
) -> tuple[Explanation, Explanation]:
    from xsns_stream.ranking import explain

    selection = RowSelection(rows, None, candidates, [ranking.target], ranking.seeds, density)
    codes = [source.language for source in ranking]
    by_layer, by_module = (count_groups(selection, by, on_event) for by in ("layer", "module"))
    return explain(by_layer, ranking.target, codes), explain(by_module, ranking.target, codes)


# -------------------------------------------------------------------------------------------- verdicts


def _verdicts(report: RankingReport) -> Iterator[str]:
    ranking = report.ranking
    if ranking.reliability is not None:
        yield f"Two halves of the target's own examples: Jaccard {ranking.reliability:.3f}."
    if ranking.basis:
        yield compared_with_first(report.candidates)
    if (facts := report.calibration) is not None:
        unknown = "" if facts["known_target"] else ", and none of the target"
        yield f"Expected {facts['metric']} ({facts['task']}) from {facts['pairs']} pairs of gold scores{unknown}."


def compared_with_first(ranking: SourceRanking) -> str:
    """Return a sentence on the sources that have an interval and cannot be distinguished from the first."""
    known = [source for source in ranking if source.low is not None]
    among = "" if len(known) == len(ranking) else f" of the {len(known)} that have an interval"
    level, basis = ranking.level, f"(95 %, {ranking.basis})"
    if len(known) == 1:
        return "No other candidate has an interval to compare the first with."
    if level == 1:
        return f"The first{among} is reliably closer than each other {'one' if among else 'candidate'} {basis}."
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
    """Return one entry for each group, with the numbers of each source."""
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
