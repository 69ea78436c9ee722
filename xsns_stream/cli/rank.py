"""`xsns-stream rank`: the source languages for a target language, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.matrix_options import coefficient_option
from xsns_stream.cli.output import (
    Decorated,
    common_options,
    emit_json,
    examples,
    note,
    row_options,
    stdout_console,
    store_option,
)
from xsns_stream.cli.selection import Chosen, choose, count_rows, open_rows, time_bar
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import RankedSource, SimilarityMatrix, SourceRanking
    from xsns_stream.types.source_ranking import Explanation, SimilarityDraws, SourceCover
    from xsns_stream.types.transfer_scores import TransferScores


#: Sources in a table where --top does not say otherwise.
TOP: Final = 10


def rank_options(function: Decorated) -> Decorated:
    """Add the options that say which sources are ranked, and what is told of them."""
    for option in (
        click.option(
            "--regime",
            default=None,
            metavar="NAME",
            help="Which training regime of the gold scores.  [default: their first]",
        ),
        click.option(
            "--gold",
            default=None,
            metavar="FILE",
            help="Gold scores, as `gold import` writes them: show the score that each source lets expect.",
        ),
        click.option(
            "--strategy",
            type=click.Choice(["top", "coverage"]),
            default=None,
            help="How several sources are chosen: the most similar ones, or, one after the other, the one whose "
            "sub-network adds most to what is covered of the target's.  [default: top]",
        ),
        click.option(
            "--sources-k",
            type=click.IntRange(min=1),
            default=None,
            metavar="N",
            help="Choose N sources to train on together too.",
        ),
        click.option("--explain", is_flag=True, help="Show which layers and kinds of modules make the first close."),
        click.option(
            "--top",
            type=click.IntRange(min=0),
            default=None,
            metavar="N",
            help=f"How many sources; 0 for all. {TOP} in a table and all with --json by default.",
        ),
        click.option(
            "--sources",
            multiple=True,
            metavar="CODES",
            help="Only these candidates, as `en,fi`; all other languages that have every seed by default.",
        ),
        click.option("--target", required=True, metavar="CODE", help="The language to find sources for."),
    ):
        function = option(function)
    return function


def check_options(strategy: str | None, sources_k: int | None, gold: str | None, regime: str | None) -> None:
    """Refuse what means nothing.

    Raises:
        UsageError: An option without the one that it belongs to.
    """
    if strategy is not None and sources_k is None:
        raise UsageError("--strategy means nothing without --sources-k.", "say how many sources, as --sources-k 3.")
    if regime is not None and gold is None:
        raise UsageError("--regime means nothing without --gold.", "give the gold scores, or leave it out.")


def draws_for(
    rows: SubNetworkStore, matrix: SimilarityMatrix, target: str, sources: Sequence[str], density: float, quiet: bool
) -> SimilarityDraws | None:
    """Return what the similarities might have been with other examples; None where nothing tells.

    Parts tell it, of the candidates that have them; where there are none, three seeds or more do.
    """
    from xsns_stream.ranking import draws_of_folds, draws_of_seeds, fold_similarities

    count, having = _parts_of(rows, target, sources, matrix.seeds, density)
    if not having:
        return draws_of_seeds(matrix, target, sources)
    lacking = [code for code in sources if code not in having]
    if lacking:
        note(f"no interval, because there are no {count} parts: {', '.join(lacking)}", quiet)
    with time_bar("comparing without parts", quiet) as on_progress:
        found = fold_similarities(
            rows, rows.folds(count), target, having, matrix.seeds, density, matrix.coefficient, on_progress
        )
    return draws_of_folds(found, matrix)


def _parts_of(
    rows: SubNetworkStore, target: str, sources: Sequence[str], seeds: Sequence[int], density: float
) -> tuple[int, list[str]]:
    """Return the number of parts that most candidates have, the largest of several, and these candidates."""
    best: tuple[int, list[str]] = (0, [])
    for count in rows.fold_counts:
        there = [set(part.languages_at(seed, density)) for part in rows.folds(count) for seed in seeds]
        complete = set.intersection(*there)
        having = [code for code in sources if code in complete]
        if target in complete and len(having) >= max(1, len(best[1])):
            best = count, having
    return best


def with_reliability(ranking: SourceRanking, rows: SubNetworkStore, density: float) -> SourceRanking:
    """Add what is known of how repeatable the rows of the target and of the sources are."""

    def known(language: str) -> float | None:
        reliability = [rows.record(language, seed, density).provenance.reliability for seed in ranking.seeds]
        values = [float(one["split_half"]) for one in reliability if one.get("split_half") is not None]
        return sum(values) / len(values) if len(values) == len(reliability) else None

    sources = tuple(replace(source, reliability=known(source.language)) for source in ranking)
    return replace(ranking, sources=sources, reliability=known(ranking.target))


def with_expected(
    ranking: SourceRanking, gold: TransferScores, matrix: SimilarityMatrix, quiet: bool
) -> tuple[SourceRanking, dict[str, object]]:
    """Add the scores that similarity lets expect, and those that were measured; also say what they rest on.

    Args:
        ranking: All sources that are shown.
        gold: Scores of pairs of other languages, and maybe of these.
        matrix: The store's similarities of the gold scores' pairs.
        quiet: No notes.

    Raises:
        UsageError: Too few pairs have both.
    """
    import numpy as np

    from xsns_stream.languages import counterparts
    from xsns_stream.regression import calibrate
    from xsns_stream.types.source_ranking import ExpectedScore

    calibration = calibrate(gold, matrix)
    for text in calibration.notes:
        note(text, quiet)
    codes = [source.language for source in ranking]
    labels = tuple(dict.fromkeys((*gold.sources, *gold.targets)))
    spelt = counterparts((ranking.target, *codes), labels)
    target = spelt.get(ranking.target, ranking.target)
    names = [spelt.get(code, code) for code in codes]
    found = calibration.predict(np.array([source.similarity for source in ranking]), target, names)

    def measured(source: str) -> float | None:
        if source not in gold.sources or target not in gold.targets:
            return None
        score = gold[source, target]
        return None if np.isnan(score) else score

    expected = [
        ExpectedScore(float(mean), float(low), float(high), measured(name))
        for name, mean, low, high in zip(names, found.mean, found.low, found.high, strict=True)
    ]
    sources = tuple(replace(source, expected=score) for source, score in zip(ranking, expected, strict=True))
    basis = {
        "task": gold.task,
        "metric": gold.metric,
        "unit": found.unit,
        "pairs": calibration.pairs,
        "slope": calibration.slope,
        "rmse_left_out": calibration.rmse_left_out,
        "known_target": found.known_target,
    }
    return replace(ranking, sources=sources, unit=found.unit), basis


#: Sources that a table explains side by side.
EXPLAINED = 3


@dataclass
class _Found:
    """What is told.

    Attributes:
        ranking: The sources that are shown.
        whole: All candidates.
        density: Of the rows.
        together: Sources to train on together, where that was asked for.
        explained: By layer and by module, where that was asked for.
        calibration: What expected scores rest on.
    """

    ranking: SourceRanking
    whole: SourceRanking
    density: float
    together: SourceCover | None = None
    explained: tuple[Explanation, ...] = ()
    calibration: dict[str, object] | None = None


@click.command(
    name="rank", epilog=examples("xsns-stream rank --target sw", "xsns-stream rank --target sw --sources zu,fi --json")
)
@store_option
@rank_options
@row_options
@coefficient_option
@common_options
def command(
    store: str, seeds: tuple[int, ...], density: float | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Rank source languages for a target language.

    Similarity is the Jaccard coefficient of the sub-networks, averaged over seeds. Chance-corrected, it is zero
    where sub-networks overlap no more than random ones of their sizes. Only pairs with the target are counted.

    Of a store that was built with --parts, or with three seeds or more, it says besides how much other examples might
    change: 95 % intervals, how likely each source is the most similar one, and which cannot be told from the first.
    """
    check_options(*(options[name] for name in ("strategy", "sources_k", "gold", "regime")))
    found = _find(open_rows(store), store, seeds, density, as_json, quiet, **options)
    if as_json:
        emit_json("rank", _result(found))
    else:
        _show(found, quiet)


def _find(
    rows: SubNetworkStore,
    store: str,
    seeds: tuple[int, ...],
    density: float | None,
    as_json: bool,
    quiet: bool,
    *,
    target: str,
    sources: tuple[str, ...],
    top: int | None,
    coefficient: str,
    explain: bool,
    sources_k: int | None,
    strategy: str | None,
    gold: str | None,
    regime: str | None,
) -> _Found:
    from xsns_stream.languages import pick
    from xsns_stream.ranking import rank_sources
    from xsns_stream.similarity import similarity
    from xsns_stream.store.overlap_cache import overlap_cache

    target = pick(target, rows.languages, f"the store '{store}'")
    candidates = choose(sources, rows, store)
    # The target is read in any case, and may be the only candidate that was named, which the ranking refuses.
    others = None if candidates is None else [code for code in candidates if code != target] or [target]
    chosen = Chosen(rows, None, others, [target], seeds, density, needed=target)
    counts = count_rows(chosen, overlap_cache(rows, write=False), quiet)
    matrix, density = similarity(counts, coefficient), counts[0].density
    everybody = [source.language for source in rank_sources(matrix, target, candidates)]
    ranking = rank_sources(matrix, target, candidates, draws=draws_for(rows, matrix, target, everybody, density, quiet))
    if top is None:
        top = 0 if as_json else TOP
    shown = with_reliability(replace(ranking, sources=ranking.sources[: top or None]), rows, density)
    found = _Found(shown, ranking, density)
    if gold is not None:
        _add_expected(found, store, gold, regime, coefficient, seeds, quiet)
    if sources_k is not None:
        found.together = _together(rows, ranking, sources_k, strategy or "top", density)
    if explain:
        found.explained = _explained(rows, found, everybody, quiet)
    return found


def _add_expected(
    found: _Found, store: str, gold: str, regime: str | None, coefficient: str, seeds: tuple[int, ...], quiet: bool
) -> None:
    """Add the scores that gold scores of other pairs let expect."""
    from xsns_stream.cli.predictors import NamedPath, open_gold, open_predictors

    scores = open_gold({"gold": gold, "regime": regime})
    matrices = open_predictors(
        [NamedPath(store, store)], scores, coefficient=coefficient, seeds=seeds, density=found.density, quiet=quiet
    )
    found.ranking, found.calibration = with_expected(found.ranking, scores, matrices[store], quiet)


def _together(rows: SubNetworkStore, ranking: SourceRanking, count: int, strategy: str, density: float) -> SourceCover:
    from xsns_stream.ranking import cover_by, greedy_cover

    codes = [source.language for source in ranking]
    if strategy == "top":
        return cover_by(rows, ranking.target, codes[:count], ranking.seeds, density)
    return greedy_cover(rows, ranking.target, codes, count, ranking.seeds, density)


def _explained(
    rows: SubNetworkStore, found: _Found, everybody: list[str], quiet: bool
) -> tuple[Explanation, Explanation]:
    from xsns_stream.cli.selection import group_rows
    from xsns_stream.ranking import explain

    ranking = found.ranking
    chosen = Chosen(rows, None, everybody, [ranking.target], ranking.seeds, found.density)
    codes = [source.language for source in ranking]
    by_layer, by_module = (group_rows(chosen, by, quiet) for by in ("layer", "module"))
    return explain(by_layer, ranking.target, codes), explain(by_module, ranking.target, codes)


# ---------------------------------------------------------------------------------------------- telling


def _result(found: _Found) -> dict[str, Any]:
    from xsns_stream.ranking import CONFIDENCE
    from xsns_stream.report import shown_name

    ranking = found.ranking
    result: dict[str, Any] = {
        "target": ranking.target,
        "name": shown_name(ranking.target),
        "coefficient": ranking.coefficient,
        "seeds": list(ranking.seeds),
        "density": found.density,
        "candidates": len(found.whole),
        "reliability": ranking.reliability,
        "intervals": {"basis": ranking.basis, "confidence": CONFIDENCE} if ranking.basis else None,
        "sources": [_source(source) for source in ranking],
    }
    if found.calibration is not None:
        result["calibration"] = found.calibration
    if found.together is not None:
        result["together"] = _cover(found.together)
    if found.explained:
        result["explanation"] = {explained.by: _explanation(explained) for explained in found.explained}
    return result


def _source(source: RankedSource) -> dict[str, Any]:
    from xsns_stream.report import shown_name

    line: dict[str, Any] = {
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
        line["expected"] = {"score": score.mean, "interval": [score.low, score.high], "measured": score.measured}
    return line


def _cover(cover: SourceCover) -> dict[str, Any]:
    sources = [
        {"language": source.language, "alone": source.alone, "gain": source.gain, "covered": source.covered}
        for source in cover.sources
    ]
    return {"strategy": cover.strategy, "covered": cover.covered, "sources": sources}


def _explanation(found: Explanation) -> list[dict[str, Any]]:
    """Return a line for each group: what each source has there."""
    return [
        {
            "group": name,
            "sources": {
                code: {"chance_corrected": corrected, "excess": excess}
                for code, corrected, excess in zip(found.sources, *numbers, strict=True)
            },
        }
        for name, *numbers in zip(found.names, found.corrected.tolist(), found.excess.tolist(), strict=True)
    ]


def _show(found: _Found, quiet: bool) -> None:
    from xsns_stream.report.console_tables import cover_table, explanation_table, ranking_table

    console, ranking = stdout_console(), found.ranking
    console.print(ranking_table(ranking, console.width))
    for line in _verdicts(found):
        console.print(line, markup=False)
    tables = [cover_table(found.together)] if found.together else []
    for explained in found.explained:
        first = slice(EXPLAINED)
        few = replace(
            explained,
            sources=explained.sources[first],
            corrected=explained.corrected[:, first],
            excess=explained.excess[:, first],
        )
        tables.append(explanation_table(few))
    for table in tables:
        console.print()
        console.print(table)
    left_out = len(found.whole) - len(ranking)
    if left_out:
        note(f"{left_out} more {'source' if left_out == 1 else 'sources'}; --top 0 shows all.", quiet)
    if not ranking.basis:
        note("no intervals: build with --parts 8, or with three seeds or more.", quiet)


def _verdicts(found: _Found) -> list[str]:
    """Return, in words, what the numbers allow to conclude."""
    ranking, lines = found.ranking, []
    if ranking.reliability is not None:
        lines.append(f"Two halves of the target's own examples: Jaccard {ranking.reliability:.3f}.")
    if ranking.basis:
        lines.append(_compared(found.whole))
    if found.calibration is not None:
        basis = found.calibration
        new = "" if basis["known_target"] else ", and none of the target"
        lines.append(f"Expected {basis['metric']} ({basis['task']}) from {basis['pairs']} pairs of gold scores{new}.")
    return lines


def _compared(ranking: SourceRanking) -> str:
    """Say which sources cannot be told from the first, of those of which it is known how sure they are."""
    known = [source for source in ranking if source.low is not None]
    among = "" if len(known) == len(ranking) else f" of the {len(known)} that have an interval"
    level, how = ranking.level, f"(95 %, {ranking.basis})"
    if len(known) == 1:
        return "No other candidate has an interval to compare the first with."
    if level == 1:
        return f"The first{among} is reliably closer than each other {'one' if among else 'candidate'} {how}."
    if all(source.level_with_first for source in known[:level]):
        return f"~ No reliable difference among the first {level}{among} {how}."
    return f"~ {level - 1} of the others cannot be told from the first{among} {how}."
