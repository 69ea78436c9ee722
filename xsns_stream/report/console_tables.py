"""Tables of matrices, transfer scores and rankings for the terminal, as `rich` objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xsns_stream.errors import LanguageError
from xsns_stream.languages import language_name
from xsns_stream.report.markup import plain_table
from xsns_stream.types import GroupedSimilarity, RankedSource, SimilarityMatrix, SourceRanking
from xsns_stream.types.source_ranking import ExpectedScore, Explanation, SourceCover
from xsns_stream.types.transfer_scores import TransferScores

_UNKNOWN = "–"
_DECIMALS = 3
# The similarities of close sources differ in the third decimal, so that a ranking shows four.
_RANKING_DECIMALS = 4
_PADDING = 2
#: Decimals of transfer scores, by unit.
_SCORE_DECIMALS = {"percent": 1, "fraction": 3, "points": 2}
#: Columns of a ranking that are left out on a narrow terminal, in this order.
_OPTIONAL_COLUMNS = ("± seeds", "chance-corrected", "split-half")
#: Smallest number of letters that are shown of a language's name.
_MIN_NAME = 8

#: Name of a column, and the function that returns the cell of a source.
_Column: TypeAlias = tuple[str, Callable[[RankedSource], str]]


def matrix_table(matrix: SimilarityMatrix, width: int = 200) -> Group:
    """Return the whole matrix with three decimals; rows are sources and columns are targets.

    Args:
        matrix: The matrix; with more than a dozen languages the table is hard to read.
        width: Width of the terminal. Targets that do not fit are continued in a table below, because a number must not
            be cut off.
    """
    rows = {
        source: [Text(_number(matrix[source, target]), "dim" if source == target else "") for target in matrix.targets]
        for source in matrix.sources
    }
    return Group(*_matrix_parts(matrix.targets, rows, width))


def _matrix_parts(targets: Sequence[str], rows: Mapping[str, Sequence[Text]], width: int) -> Iterator[Table | str]:
    """Yield tables of a source × target matrix that fit into `width`, with an empty line between them.

    Args:
        targets: T codes, the columns.
        rows: {source: T cells}.
        width: Width of the terminal.
    """
    label = max(map(len, (*rows, "source")))
    cell = max(_DECIMALS + 3, *map(len, targets)) + _PADDING
    per_table = max(1, (width - label - _PADDING) // cell)
    for start in range(0, len(targets), per_table):
        if start:
            yield ""
        table = plain_table()
        table.add_column("source", style="bold", no_wrap=True)
        for target in targets[start : start + per_table]:
            table.add_column(Text(target), justify="right", no_wrap=True)
        for source, cells in rows.items():
            table.add_row(Text(source), *cells[start : start + per_table])
        yield table


def scores_table(
    scores: TransferScores, width: int = 200, *, trivial: Mapping[str, float] | None = None, most: int = 30
) -> Group:
    """Return the source × target matrix of transfer scores, averaged over seeds.

    The best source of each target, other than the target itself, is bold; the score of a language on itself, or of a
    mixture with it, is dim; a pair without a score is a dash. A caption says how many languages are not shown.

    Args:
        scores: Scores; their first regime is shown.
        width: Width of the terminal. Targets that do not fit are continued in a table below.
        trivial: {target: score of the trivial answer, such as the most frequent class}, shown as a last row.
        most: Largest number of sources, and of targets, in the table.
    """
    sources, targets = scores.sources[:most], scores.targets[:most]
    values = {(s, t): float(scores.values[i, j]) for i, s in enumerate(scores.sources) for j, t in enumerate(targets)}
    best = {target: _best_score(values, scores.sources, target) for target in targets}
    decimals = _SCORE_DECIMALS[scores.unit]

    def cell(source: str, target: str) -> Text:
        value = values[source, target]
        style = "dim" if _trained_on(source, target) else "bold" if value == best[target] else ""
        return Text(_number(value, decimals), style)

    rows = {source: [cell(source, target) for target in targets] for source in sources}
    if trivial is not None:
        rows["trivial answer"] = [Text(_number(trivial.get(target), decimals), "italic") for target in targets]
    shown = ((len(sources), scores.sources, "sources"), (len(targets), scores.targets, "targets"))
    hidden = [f"{count} of {len(codes)} {side}" for count, codes, side in shown if count < len(codes)]
    title = f"{scores.metric} ({scores.unit}) of each source on each target"
    caption = f"Only {' and '.join(hidden)} are shown." if hidden else ""
    notes = [Text(caption, "dim")] if caption else []
    return Group(Text(title, "italic"), *_matrix_parts(targets, rows, width), *notes)


def _best_score(values: Mapping[tuple[str, str], float], sources: Sequence[str], target: str) -> float:
    """Return the best score of another language on a target; NaN if there is none."""
    known = [values[source, target] for source in sources if not _trained_on(source, target)]
    return max((value for value in known if not math.isnan(value)), default=math.nan)


def _trained_on(source: str, target: str) -> bool:
    """Return whether a source is the target, or a mixture with the target, such as `en+fi`."""
    return target in source.split("+")


def neighbours_table(matrix: SimilarityMatrix, neighbours: int = 3) -> Table:
    """Return a line for each target with the sources that are most similar to it, most similar first.

    Sources with equal similarities are ordered by code; undefined similarities come last and are shown as a dash.
    """
    table = plain_table()
    table.add_column("code", style="bold", no_wrap=True)
    table.add_column("language", overflow="ellipsis")
    for rank in range(1, neighbours + 1):
        table.add_column("nearest" if rank == 1 else str(rank), no_wrap=True)
        table.add_column(matrix.coefficient, style="dim", justify="right", no_wrap=True)
    for target in matrix.targets:
        nearest = _nearest(matrix, target)[:neighbours]
        cells = [text for source in nearest for text in (source, _number(matrix[source, target]))]
        table.add_row(*map(Text, (target, shown_name(target), *cells)))
    return table


def _nearest(matrix: SimilarityMatrix, target: str) -> list[str]:
    values = zip(matrix.sources, matrix.column(target).tolist(), strict=True)
    # NaN cannot be ordered, so that it is replaced by 0 and ordered by the first key.
    keys = [
        (math.isnan(value), 0.0 if math.isnan(value) else -value, source)
        for source, value in values
        if source != target
    ]
    return [source for *_, source in sorted(keys)]


def groups_table(groups: GroupedSimilarity) -> Table:
    """Return a line for each group: its parameters, its share of the selected ones, and the mean over its pairs."""
    table = plain_table()
    table.add_column(groups.by, style="bold", overflow="fold")
    for name in ("parameters", "of all", "of selected", f"mean {groups.coefficient}"):
        table.add_column(name, justify="right", no_wrap=True)
    total = sum(groups.sizes)
    for (name, matrix), size, share in zip(groups, groups.sizes, groups.shares, strict=True):
        shares = [_UNKNOWN if math.isnan(part) else f"{part:.1%}" for part in (size / total, share)]
        table.add_row(*map(Text, (name, f"{size:,}", *shares, _number(matrix.mean_of_pairs))))
    return table


def ranking_table(ranking: SourceRanking, width: int = 200) -> Table:
    """Return the sources of a ranking, best first, with their ranks and names.

    Sources with exactly the same similarity share a rank, shown as `2=`; a source with an undefined similarity has no
    rank. Sources that cannot be distinguished from the first are shown as `2~`. A column whose values are all missing,
    such as intervals, is left out.

    Args:
        ranking: The ranking.
        width: Width of the terminal. Optional columns that do not fit are left out; a caption names them.
    """
    table = plain_table()
    table.title = Text(f"Sources for {shown_name(ranking.target)} ({ranking.target}), most similar first")
    table.title_justify = "left"
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("code", style="bold", no_wrap=True)
    table.add_column("language", overflow="ellipsis")
    available = list(_ranking_columns(ranking))
    columns = _fitting_columns(available, ranking, width)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for rank, source in _ranks(ranking):
        shown = (show(source) for _, show in columns)
        table.add_row(*map(Text, (rank, source.language, shown_name(source.language), *shown)))
    notes = ["= exactly as similar as another source"] if any(source.tied for source in ranking) else []
    if left_out := [name for name, _ in available if name not in dict(columns)]:
        notes.append(f"no room for: {', '.join(left_out)}")
    if notes:
        table.caption = "\n".join(notes)
        table.caption_justify = "left"
    return table


def _fitting_columns(columns: Sequence[_Column], ranking: SourceRanking, width: int) -> list[_Column]:
    """Return the columns that fit beside rank, code and name; optional columns are left out in their order."""
    shown = list(columns)
    for optional in (*_OPTIONAL_COLUMNS, None):
        cells = (max(len(name), *(len(show(source)) for source in ranking)) + 1 for name, show in shown)
        beside = _MIN_NAME + 6 + max(len(source.language) for source in ranking)
        if sum(cells) + beside <= width or optional is None:
            break
        shown = [column for column in shown if column[0] != optional]
    return shown


def _ranking_columns(ranking: SourceRanking) -> Iterator[_Column]:
    """Yield the columns that have values."""

    def some(name: str) -> bool:
        return any(getattr(source, name) is not None for source in ranking)

    yield ranking.coefficient, lambda source: _number(source.similarity, _RANKING_DECIMALS)
    if some("low"):
        yield "95 % interval", lambda source: _interval(source.low, source.high, _RANKING_DECIMALS)
        yield "P(best)", lambda source: _percent(source.best_probability)
    yield "chance-corrected", lambda source: _number(source.chance_corrected, _RANKING_DECIMALS)
    if some("spread"):
        yield "± seeds", lambda source: _number(source.spread, _RANKING_DECIMALS)
    if some("reliability"):
        yield "split-half", lambda source: _number(source.reliability)
    if some("expected"):
        decimals = 3 if ranking.unit == "fraction" else 1

        def cell(source: RankedSource, show: Callable[[ExpectedScore], str]) -> str:
            return _UNKNOWN if source.expected is None else show(source.expected)

        yield f"expected ({ranking.unit})", lambda source: cell(source, lambda score: _number(score.mean, decimals))
        yield "expected, 95 %", lambda source: cell(source, lambda score: _interval(score.low, score.high, decimals))
        yield "measured", lambda source: cell(source, lambda score: _number(score.measured, decimals))


def cover_table(cover: SourceCover) -> Group:
    """Return the sources of a joint training, with the share of the target's sub-network that each of them adds."""
    table = plain_table()
    table.add_column("code", style="bold", no_wrap=True)
    table.add_column("language", overflow="ellipsis")
    for name in ("covers alone", "adds", "covered together"):
        table.add_column(name, justify="right", no_wrap=True)
    for source in cover.sources:
        shares = (f"{share:.1%}" for share in (source.alone, source.gain, source.covered))
        table.add_row(*map(Text, (source.language, shown_name(source.language), *shares)))
    target, number = f"{shown_name(cover.target)} ({cover.target})", len(cover.sources)
    what = f"{number} sources for {target} together" if number > 1 else f"A source for {target}"
    how = {"top": "the most similar", "coverage": "by what each adds"}[cover.strategy]
    return Group(Text(f"{what}, {how}: {cover.covered:.1%} of its sub-network", "italic"), table)


def explanation_table(explanation: Explanation) -> Group:
    """Return a line for each group of parameters, with two numbers for each source.

    The first number is the chance-corrected coefficient within the group. The number in brackets is the contribution of
    the group to the coefficient of all parameters, less the mean contribution over the candidates.
    """
    table = plain_table()
    table.add_column(explanation.by, style="bold", overflow="fold")
    for source in explanation.sources:
        table.add_column(Text(source), justify="right", no_wrap=True)
    for name, corrected, excess in zip(explanation.names, explanation.corrected, explanation.excess, strict=True):
        cells = (f"{_number(a)} ({b:+.4f})" for a, b in zip(corrected.tolist(), excess.tolist(), strict=True))
        table.add_row(*map(Text, (name, *cells)))
    totals = [f"({value:+.4f})" for value in explanation.excess.sum(axis=0).tolist()]
    table.add_row(*map(Text, ("all", *totals)))
    title = f"Jaccard by {explanation.by}, chance-corrected (adds to the whole, beyond the mean candidate)"
    return Group(Text(title, "italic"), table)


def _ranks(ranking: SourceRanking) -> Iterator[tuple[str, RankedSource]]:
    rank, before = 0, math.nan
    for position, source in enumerate(ranking, start=1):
        if source.similarity != before:
            rank, before = position, source.similarity
        level = ranking.level > 1 and source.level_with_first
        mark = "=" if source.tied else "~" if level else " "
        yield _UNKNOWN if math.isnan(source.similarity) else f"{rank}{mark}", source


def _number(value: float | None, decimals: int = _DECIMALS) -> str:
    return _UNKNOWN if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def _interval(low: float | None, high: float | None, decimals: int) -> str:
    return _UNKNOWN if low is None or high is None else f"{_number(low, decimals)} to {_number(high, decimals)}"


def _percent(share: float | None) -> str:
    """Return a share of draws in whole percent, never as 0 or 100, because draws cannot prove certainty."""
    if share is None:
        return _UNKNOWN
    return "<1 %" if share < 0.005 else ">99 %" if share >= 0.995 else f"{100 * share:.0f} %"


@lru_cache(maxsize=4096)
def shown_name(label: str) -> str:
    """Return the English name of a language, or the label itself if it is not a language code.

    >>> shown_name("nan"), shown_name("my-own-corpus-7")
    ('Min Nan Chinese', 'my-own-corpus-7')
    """
    try:
        return language_name(label)
    except LanguageError:
        return label
