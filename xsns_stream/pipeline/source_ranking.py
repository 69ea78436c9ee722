"""Ranking of the source languages for a target, including intervals, expected scores and explanations.

:func:`rank` is the public function; the command `xsns-stream rank` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any, overload

from xsns_stream.errors import UsageError
from xsns_stream.pipeline.arguments import whole_number
from xsns_stream.pipeline.compare_rows import compare_rows
from xsns_stream.pipeline.events import Noted, NoteLog, OnReadEvent, progress_of
from xsns_stream.pipeline.expected_scores import calibrate_store
from xsns_stream.pipeline.ranking_report import RankingReport, RankingReports
from xsns_stream.pipeline.ranking_worth import nearest_jaccard, statements
from xsns_stream.pipeline.resampling import Resampling, folds_of, resample
from xsns_stream.pipeline.row_selection import (
    Codes,
    Seeds,
    StoreLike,
    as_codes,
    as_density,
    as_seeds,
    as_store,
    noting,
    require_labels,
    select_languages,
    select_rows,
)

if TYPE_CHECKING:
    from xsns_stream.pipeline.expected_scores import CalibratedScores
    from xsns_stream.pipeline.predictors import Gold
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix, SourceRanking
    from xsns_stream.types.source_ranking import Explanation, SimilarityDraws, SourceCover


@overload
def rank(
    store: StoreLike,
    target: str,
    *,
    sources: Codes | None = ...,
    top: int | None = ...,
    coefficient: str = ...,
    seeds: Seeds | None = ...,
    density: float | None = ...,
    explain: bool = ...,
    sources_k: int | None = ...,
    strategy: str | None = ...,
    gold: Gold | None = ...,
    regime: str | None = ...,
    on_event: OnReadEvent | None = ...,
) -> RankingReport: ...


@overload
def rank(
    store: StoreLike,
    target: list[str] | tuple[str, ...],
    *,
    sources: Codes | None = ...,
    top: int | None = ...,
    coefficient: str = ...,
    seeds: Seeds | None = ...,
    density: float | None = ...,
    explain: bool = ...,
    sources_k: int | None = ...,
    strategy: str | None = ...,
    gold: Gold | None = ...,
    regime: str | None = ...,
    on_event: OnReadEvent | None = ...,
) -> RankingReports: ...


def rank(
    store: StoreLike,
    target: str | list[str] | tuple[str, ...],
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
) -> RankingReport | RankingReports:
    """Rank source languages for a target language, or for each of several targets, like `xsns-stream rank`.

    The similarity is averaged over seeds. Only pairs of the target and a source are compared, not all pairs of
    languages of the store. If the store was built with parts, or with three seeds or more, the report also has 95 %
    intervals and the probability that each source is the most similar one, and marks the sources that cannot be
    distinguished from the first.

    Args:
        store: A store, or its folder or URL.
        target: The target language, or a list of target languages.
        sources: Candidates; by default all other languages that have every seed.
        top: Number of sources in the attribute `ranking` of the report; all if None or 0. The attribute `candidates`
            always contains all sources.
        coefficient: Coefficient of similarity; see :func:`xsns_stream.pipeline.comparison.similarity`. The corrections
            `centred`, `csls` and `mutual-rank` depend on all languages of the store that have every seed, whatever
            `sources` are; all of these languages are compared with one another.
        seeds: Seeds; by default all seeds of the store.
        density: Density; required if the store has several.
        explain: Whether to also compute the contributions of layers and kinds of modules to the similarity.
        sources_k: Number of sources to choose for joint training; None to choose no sources.
        strategy: Method that chooses the `sources_k` sources: `top` (the default) chooses the most similar sources;
            `coverage` repeatedly chooses the source that covers most of the still uncovered part of the target's
            sub-network.
        gold: Gold scores, from which the expected score of each source is predicted. They may be given as scores, as a
            file from `xsns-stream gold import`, or as a pandas frame in long format with the columns `source`, `target`
            and `score`.
        regime: Training regime of the gold scores; the first regime by default.
        on_event: Handler of progress and notes.

    Returns:
        The report on the target; for a list of targets, a collection with one report for each target.

    Raises:
        UsageError: Arguments cannot be combined, a seed or density is unknown, or there is no candidate.
        LanguageError: A language is not in the store, or lacks a seed.
        StoreError: The store cannot be read.

    >>> import xsns_stream as xs
    >>> report = xs.rank("xsns.zarr", "sw")
    >>> [source.language for source in report]
    ['zu', 'fi', 'en']
    >>> list(report.to_frame().columns[:2])
    ['language', 'similarity']
    >>> [each.ranking.target for each in xs.rank("xsns.zarr", ["sw", "zu"])]
    ['sw', 'zu']
    """
    _check_arguments(strategy, sources_k, gold, regime)
    options = _Options(
        as_codes(sources),
        _count(top, "top", 0),
        coefficient,
        as_seeds(seeds),
        as_density(density),
        explain,
        _count(sources_k, "sources_k", 1),
        strategy or "top",
    )
    rows = as_store(store)
    named: dict[str, str] = {}
    targets = _targets(target, rows, options, named)
    events = _once(on_event)
    calibrated = None
    if gold is not None:
        calibrated = calibrate_store(
            rows,
            gold,
            regime,
            coefficient=options.coefficient,
            seeds=options.seeds,
            density=options.density,
            on_event=events,
        )
    corrected = _correct(rows, targets, options, events)
    draws = repeat(None) if corrected is None else corrected.draws(targets)
    reports = tuple(
        _rank_one(rows, each, options, calibrated, corrected, drawn, events, named.get(each))
        for each, drawn in zip(targets, draws, strict=False)
    )
    return reports[0] if isinstance(target, str) else RankingReports(reports)


@dataclass(frozen=True)
class _Options:
    """The checked arguments of :func:`rank` that all targets share."""

    sources: tuple[str, ...]
    top: int | None
    coefficient: str
    seeds: tuple[int, ...]
    density: float | None
    explain: bool
    sources_k: int | None
    strategy: str


def _targets(
    target: str | list[str] | tuple[str, ...], rows: SubNetworkStore, options: _Options, named: dict[str, str]
) -> tuple[str, ...]:
    """Return the labels of the targets in the store, without duplicates.

    `target` may be a code, a list of codes, or `["all"]`. For each target whose label in the store is not the given
    name, {label: note} is added to `named`.

    Raises:
        LanguageError: A target is not in the store.
        UsageError: There is no target.
    """
    from xsns_stream.languages import pick

    def find(name: str) -> str:
        notes: list[str] = []
        label = pick(name, rows.languages, f"the store '{rows.path}'", notes.append)
        named.update(dict.fromkeys([label], " ".join(notes)) if notes else {})
        return label

    if isinstance(target, str):
        if "," in target:
            raise UsageError(f"'{target}' is not one target.", f"give a list of targets: {target.split(',')}.")
        return (find(target),)
    names = [name.strip() for code in as_codes(target) for name in code.split(",") if name.strip()]
    if "all" in names:
        require_labels(rows, options.seeds, options.density)
        densities = rows.densities if options.density is None else (options.density,)
        labels = [(seed, density) for seed in options.seeds or rows.seeds for density in densities]
        return tuple(code for code in rows.languages if all(code in rows.languages_at(*label) for label in labels))
    if not names:
        raise UsageError("no target was given.", "give at least one language.")
    return tuple(dict.fromkeys(map(find, names)))


def _once(on_event: OnReadEvent | None) -> OnReadEvent:
    """Return a handler that passes on each note only once, because the rankings of several targets repeat notes."""
    passed: set[str] = set()

    def handle(event: Any) -> None:
        if isinstance(event, Noted):
            if event.text in passed:
                return
            passed.add(event.text)
        if on_event is not None:
            on_event(event)

    return handle


def _rank_one(
    rows: SubNetworkStore,
    target: str,
    options: _Options,
    calibrated: CalibratedScores | None,
    corrected: _Corrected | None,
    drawn: SimilarityDraws | None,
    on_event: OnReadEvent,
    named: str | None,
) -> RankingReport:
    """Return the report on one target.

    `corrected` and `drawn` are similarities by a correction and their draws, None for other coefficients. `named` is a
    note that says which label of the store the given name of the target means; None if the name is the label.
    """
    from xsns_stream.ranking import rank_sources
    from xsns_stream.store.overlap_cache import overlap_cache

    log = NoteLog(on_event)
    if named is not None:
        log(Noted(named))
    candidates = select_languages(options.sources, rows, noting(log))
    # The target is always read. If it is the only candidate, `rank_sources` raises an error.
    others = None if candidates is None else [code for code in candidates if code != target] or [target]
    selection = select_rows(
        rows,
        sources=others,
        targets=[target],
        seeds=options.seeds,
        density=options.density,
        required=target,
        on_event=log,
    )
    density = selection.density
    if corrected is None:
        cache = overlap_cache(rows, write=False)
        matrix = compare_rows(rows, selection, options.coefficient, log, cache=cache)
    else:
        matrix = corrected.of(target, selection.sources, log)
    codes = [source.language for source in rank_sources(matrix, target, candidates)]
    sources_k = options.sources_k
    if sources_k is not None and len(codes) < sources_k:
        candidate = "is only 1 candidate, which is" if len(codes) == 1 else f"are only {len(codes)} candidates; all are"
        log(Noted(f"{sources_k} sources were requested, but there {candidate} chosen."))
    draws = _draws(rows, matrix, target, codes, density, log) if corrected is None else drawn
    ranking = with_reliability(rank_sources(matrix, target, candidates, draws=draws), rows, density)
    facts = None
    if calibrated is not None:
        ranking, facts = calibrated.with_expected(ranking)
    shown = replace(ranking, sources=ranking.sources[: options.top or None])
    check = None if calibrated is None else calibrated.check
    worth = statements(ranking, rows, density, check, nearest_jaccard(matrix).get(target))
    return RankingReport(
        shown,
        ranking,
        density,
        together=None if sources_k is None else _together(rows, ranking, sources_k, options.strategy, density),
        explanations=_explanations(rows, shown, codes, density, log) if options.explain else (),
        calibration=facts,
        notes=(*(() if calibrated is None else calibrated.notes), *log.notes, *worth),
        worth=worth,
        warning="" if check is None else check.warning,
        model=str(rows.experiment.get("model", "")),
        corpus=str(rows.experiment.get("corpus", "")),
    )


@dataclass(frozen=True)
class _Corrected:
    """The similarities of all candidates to all targets by a correction, which are computed once.

    Attributes:
        matrix: The similarities.
        resampling: Similarities of the pool with one part of the examples left out; None without parts.
        notes: Notes on the languages of the pool.
    """

    matrix: SimilarityMatrix
    resampling: Resampling | None
    notes: tuple[str, ...]

    def of(self, target: str, sources: Sequence[str], on_event: OnReadEvent) -> SimilarityMatrix:
        """Return the similarities of the sources to one target, and send the notes on the pool to `on_event`."""
        for note in self.notes:
            on_event(Noted(note))
        return self.matrix.between(sources, [target])

    def draws(self, targets: Sequence[str]) -> Iterator[SimilarityDraws | None]:
        """Return simulated similarities for each target, drawn from the parts, or without parts from the seeds.

        An entry is None if there are neither parts nor at least three seeds.
        """
        from xsns_stream.ranking import draws_of_seeds

        if self.resampling is not None:
            return self.resampling.draws(targets)
        return (draws_of_seeds(self.matrix, target, self.matrix.sources) for target in targets)


def _correct(
    rows: SubNetworkStore, targets: Sequence[str], options: _Options, on_event: OnReadEvent
) -> _Corrected | None:
    """Return the similarities of all targets by a correction; None if the coefficient is not a correction."""
    from xsns_stream.similarity import CORRECTIONS
    from xsns_stream.store.overlap_cache import overlap_cache

    if options.coefficient not in CORRECTIONS:
        return None
    log = NoteLog(on_event)
    candidates = select_languages(options.sources, rows, lambda note: None)
    selection = select_rows(
        rows,
        sources=candidates,
        targets=targets,
        seeds=options.seeds,
        density=options.density,
        required=targets[0] if len(targets) == 1 else None,
        on_event=log,
    )
    matrix = compare_rows(rows, selection, options.coefficient, log, cache=overlap_cache(rows, write=False))
    return _Corrected(matrix, resample(rows, matrix, selection.density, log), tuple(log.notes))


def _count(value: Any, name: str, least: int) -> int | None:
    """Return `value` as an integer after checking that it is at least `least`; None if it is None.

    `name` is the name of the argument, for the message.
    """
    if value is None:
        return None
    number = whole_number(value, name)
    if number < least:
        raise UsageError(f"{name} must be at least {least}, not {number}.")
    return number


def _check_arguments(strategy: str | None, sources_k: int | None, gold: Gold | None, regime: str | None) -> None:
    """Raise an error if an argument was given without the argument that it needs, or if the strategy is unknown."""
    if strategy is not None and sources_k is None:
        raise UsageError(
            "--strategy cannot be used without --sources-k.", "give a number of sources, such as --sources-k 3."
        )
    if strategy not in (None, "top", "coverage"):
        raise UsageError(f"the strategy '{strategy}' is unknown.", "choose top or coverage.")
    if regime is not None and gold is None:
        raise UsageError("--regime cannot be used without --gold.", "give the gold scores, or omit the regime.")


def _draws(
    rows: SubNetworkStore,
    matrix: SimilarityMatrix,
    target: str,
    sources: Sequence[str],
    density: float,
    on_event: OnReadEvent,
) -> SimilarityDraws | None:
    """Return simulated similarities of one target, as other samples of examples might give them.

    They are drawn from the folds of the candidates `sources` that have folds. If no candidate has folds, they are drawn
    from the seeds. The result is None if there are neither folds nor at least three seeds.
    """
    from xsns_stream.ranking import draws_of_folds, draws_of_seeds, fold_similarities

    count, with_folds = folds_of(rows, target, sources, matrix.seeds, density)
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


def with_reliability(ranking: SourceRanking, rows: SubNetworkStore, density: float) -> SourceRanking:
    """Add the split-half reliability of the target and of each source, if it was measured for every seed."""

    def reliability_of(language: str) -> float | None:
        records = [rows.reliability(rows.record(language, seed, density)) for seed in ranking.seeds]
        values = [float(record["split_half"]) for record in records if record.get("split_half") is not None]
        return sum(values) / len(values) if len(values) == len(records) else None

    sources = tuple(replace(source, reliability=reliability_of(source.language)) for source in ranking)
    return replace(ranking, sources=sources, reliability=reliability_of(ranking.target))


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
    from xsns_stream.similarity import count_groups

    selection = select_rows(
        rows, sources=candidates, targets=[ranking.target], seeds=ranking.seeds, density=density, on_event=on_event
    )
    progress = progress_of("comparing", on_event)
    codes = [source.language for source in ranking]
    by_layer = count_groups(rows, selection, "layer", on_progress=progress)
    by_module = count_groups(rows, selection, "module", on_progress=progress)
    return explain(by_layer, ranking.target, codes), explain(by_module, ranking.target, codes)
