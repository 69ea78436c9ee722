"""Tables for the terminal, as `rich` objects; printing them is the caller's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from xsns_stream.report.names import shown_name
from xsns_stream.types import GroupedSimilarity, RankedSource, SimilarityMatrix, SourceRanking

_UNKNOWN = "–"
_DECIMALS = 3
# Close sources differ in the third decimal: a ranking shows one more.
_RANKING_DECIMALS = 4
_PADDING = 2


def matrix_table(matrix: SimilarityMatrix, width: int = 200) -> Group:
    """Return the whole matrix, sources down and targets across, three decimals.

    Args:
        matrix: Of a dozen languages; more are hard to read, not wrong.
        width: Columns of the terminal. Targets that do not fit follow in a table below, since a number that is
            cut off would be another number.
    """
    label = max(map(len, (*matrix.sources, "source")))
    cell = max(_DECIMALS + 3, *map(len, matrix.targets)) + _PADDING
    at_once = max(1, (width - label - _PADDING) // cell)
    targets = matrix.targets
    parts = [targets[i : i + at_once] for i in range(0, len(targets), at_once)]
    tables = [_matrix_part(matrix, part) for part in parts]
    return Group(tables[0], *(piece for table in tables[1:] for piece in ("", table)))


def _matrix_part(matrix: SimilarityMatrix, targets: Sequence[str]) -> Table:
    table = _table()
    table.add_column("source", style="bold", no_wrap=True)
    for target in targets:
        table.add_column(Text(target), justify="right", no_wrap=True)
    for source in matrix.sources:
        cells = (Text(_number(matrix[source, target]), "dim" if source == target else "") for target in targets)
        table.add_row(Text(source), *cells)
    return table


def neighbours_table(matrix: SimilarityMatrix, neighbours: int = 3) -> Table:
    """Return a line for each target with the sources most similar to it, nearest first.

    Equal similarities are ordered by code; undefined ones come last and show a dash.
    """
    table = _table()
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
    found = [
        (math.isnan(value), -value, source)
        for source, value in zip(matrix.sources, matrix.column(target).tolist(), strict=True)
        if source != target
    ]
    # NaN compares to nothing, itself included: it must not take part in the order.
    return [source for *_, source in sorted((nan, 0.0 if nan else v, s) for nan, v, s in found)]


def groups_table(found: GroupedSimilarity) -> Table:
    """Return a line for each group: its parameters, its share of those selected, the mean coefficient of its pairs."""
    table = _table()
    table.add_column(found.by, style="bold", overflow="fold")
    for name in ("parameters", "of all", "of selected", f"mean {found.coefficient}"):
        table.add_column(name, justify="right", no_wrap=True)
    total = sum(found.sizes)
    for (name, matrix), size, share in zip(found, found.sizes, found.shares, strict=True):
        shares = [_UNKNOWN if math.isnan(part) else f"{part:.1%}" for part in (size / total, share)]
        table.add_row(*map(Text, (name, f"{size:,}", *shares, _number(matrix.mean_of_pairs))))
    return table


def ranking_table(ranking: SourceRanking) -> Table:
    """Return the sources of a ranking, best first, with their ranks and names.

    Sources of exactly the same similarity share a rank, marked as `2=`; an undefined similarity has none. The
    deviation over seeds has a column where there are at least two.
    """
    spread = any(source.spread is not None for source in ranking)
    table = _table()
    table.title = Text(f"Sources for {shown_name(ranking.target)} ({ranking.target}), most similar first")
    table.title_justify = "left"
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("code", style="bold", no_wrap=True)
    table.add_column("language", overflow="ellipsis")
    table.add_column(ranking.coefficient, justify="right", no_wrap=True)
    table.add_column("chance-corrected", justify="right", no_wrap=True)
    if spread:
        table.add_column("± seeds", justify="right", no_wrap=True)
    for rank, source in _ranks(ranking):
        cells = [rank, source.language, shown_name(source.language)]
        numbers = [source.similarity, source.chance_corrected, *([source.spread] if spread else [])]
        table.add_row(*map(Text, (*cells, *(_number(n, _RANKING_DECIMALS) for n in numbers))))
    if any(source.tied for source in ranking):
        table.caption = "= exactly as similar as another source"
        table.caption_justify = "left"
    return table


def _ranks(ranking: SourceRanking) -> Iterator[tuple[str, RankedSource]]:
    rank, before = 0, math.nan
    for place, source in enumerate(ranking, start=1):
        if source.similarity != before:
            rank, before = place, source.similarity
        shown = _UNKNOWN if math.isnan(source.similarity) else f"{rank}{'=' if source.tied else ' '}"
        yield shown, source


def _number(value: float | None, decimals: int = _DECIMALS) -> str:
    return _UNKNOWN if value is None or math.isnan(value) else f"{value:.{decimals}f}"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
