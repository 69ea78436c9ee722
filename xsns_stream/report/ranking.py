"""Tables and files of rankings of source languages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xsns_stream.languages import shown_name
from xsns_stream.report.console_tables import UNKNOWN, number
from xsns_stream.report.markup import Sheet, html, plain_table
from xsns_stream.report.result_files import ResultFile, write_result
from xsns_stream.types import RankedSource, SourceRanking
from xsns_stream.types.source_ranking import ExpectedScore, Explanation, SourceCover

if TYPE_CHECKING:
    import pandas as pd

# A ranking shows four decimals, because the similarities of close sources differ in the third one.
_DECIMALS: Final = 4
#: Columns of a ranking that are left out on a narrow terminal, in this order.
_OPTIONAL_COLUMNS: Final = ("± seeds", "chance-corrected", "split-half")
#: Smallest number of letters of the name of a language in a table.
_MIN_NAME: Final = 8
#: Width of a column of an explanation, such as `0.522 (+0.0123)`, with the space beside it.
_EXPLANATION_CELL: Final = 18
#: Largest number of sources whose explanation is written to a file of text; .json has all.
_EXPLAINED: Final = 10

#: Name of a column, and the function that returns the cell of a source.
_Column: TypeAlias = tuple[str, Callable[[RankedSource], str]]


@dataclass(frozen=True)
class ShownRanking:
    """A ranking, and the facts and sentences that tables, files and figures show with it.

    Attributes:
        ranking: The sources to show.
        warning: A warning for the title, such as `no better than a random order on 5 of 6 targets`; usually empty.
        sentences: Sentences below the table, on what the numbers mean and how reliable they are.
        settings: Facts about the measurement, such as `mini`, `texts` and `seed 42`.
        together: Sources to train on together.
        explanations: Explanations of the similarities, by layer and by module.
    """

    ranking: SourceRanking
    warning: str = ""
    sentences: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    together: SourceCover | None = None
    explanations: tuple[Explanation, ...] = ()

    @property
    def title(self) -> str:
        """The title of tables and figures."""
        target = self.ranking.target
        warning = f"; {self.warning}" if self.warning else ""
        return f"Sources for {shown_name(target)} ({target}), most similar first{warning}"


# --------------------------------------------------------------------------------------------------- tables


def ranking_table(ranking: SourceRanking, width: int = 200, *, warning: str = "") -> Table:
    """Return the sources of a ranking, best first, with their ranks and names.

    Sources with exactly the same similarity share a rank, shown as `2=`; a source with an undefined similarity has no
    rank. A source that cannot be distinguished from the first source has `~` after its rank, as in `2~`. A column
    is left out if no source has a value for it.

    Args:
        ranking: The ranking.
        width: Width of the terminal in characters. Optional columns that do not fit are left out; a caption names
            them.
        warning: A warning that is added to the title; empty for none.
    """
    table = plain_table()
    table.title = Text(ShownRanking(ranking, warning).title)
    table.title_justify = "left"
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("code", style="bold", no_wrap=True)
    table.add_column("language", overflow="ellipsis")
    available = list(_columns(ranking))
    columns = _fitting_columns(available, ranking, width)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for line in _lines(ranking, columns):
        table.add_row(*map(Text, line))
    notes = [_TIED] if any(source.tied for source in ranking) else []
    if left_out := [name for name, _ in available if name not in dict(columns)]:
        notes.append(f"the terminal is too narrow for: {', '.join(left_out)}")
    if notes:
        table.caption = "\n".join(notes)
        table.caption_justify = "left"
    return table


_TIED: Final = "= exactly as similar as another source"


def _lines(ranking: SourceRanking, columns: Sequence[_Column]) -> Iterator[tuple[str, ...]]:
    """Yield the row of each source: rank, code, name, and a cell for each column."""
    for rank, source in _ranks(ranking):
        yield (rank, source.language, shown_name(source.language), *(show(source) for _, show in columns))


def _fitting_columns(columns: Sequence[_Column], ranking: SourceRanking, width: int) -> list[_Column]:
    """Return the columns that fit beside rank, code and name; optional columns are dropped in a fixed order."""
    shown = list(columns)
    for optional in (*_OPTIONAL_COLUMNS, None):
        cells = (max(len(name), *(len(show(source)) for source in ranking)) + 1 for name, show in shown)
        beside = _MIN_NAME + 6 + max(len(source.language) for source in ranking)
        if sum(cells) + beside <= width or optional is None:
            break
        shown = [column for column in shown if column[0] != optional]
    return shown


def _columns(ranking: SourceRanking) -> Iterator[_Column]:
    """Yield the columns for which at least one source has a value."""

    def some(name: str) -> bool:
        return any(getattr(source, name) is not None for source in ranking)

    yield ranking.coefficient, lambda source: number(source.similarity, _DECIMALS)
    if some("low"):
        yield "95 % interval", lambda source: _interval(source.low, source.high, _DECIMALS)
        yield "P(best)", lambda source: _percent(source.best_probability)
    yield "chance-corrected", lambda source: number(source.chance_corrected, _DECIMALS)
    if some("spread"):
        yield "± seeds", lambda source: number(source.spread, _DECIMALS)
    if some("reliability"):
        yield "split-half", lambda source: number(source.reliability)
    if some("expected"):
        decimals = 3 if ranking.unit == "fraction" else 1

        def cell(source: RankedSource, show: Callable[[ExpectedScore], str]) -> str:
            return UNKNOWN if source.expected is None else show(source.expected)

        yield f"expected ({ranking.unit})", lambda source: cell(source, lambda score: number(score.mean, decimals))
        yield "expected, 95 %", lambda source: cell(source, lambda score: _interval(score.low, score.high, decimals))
        yield "measured", lambda source: cell(source, lambda score: number(score.measured, decimals))


def _ranks(ranking: SourceRanking) -> Iterator[tuple[str, RankedSource]]:
    rank, before = 0, math.nan
    for position, source in enumerate(ranking, start=1):
        if source.similarity != before:
            rank, before = position, source.similarity
        level = ranking.level > 1 and source.level_with_first
        mark = "=" if source.tied else "~" if level else " "
        yield UNKNOWN if math.isnan(source.similarity) else f"{rank}{mark}", source


def cover_table(cover: SourceCover) -> Group:
    """Return a table of sources to train on together; it shows what share of the target's sub-network each one adds."""
    sheet = _cover_sheet(cover)
    table = plain_table()
    table.add_column("code", style="bold", no_wrap=True)
    table.add_column("language", overflow="ellipsis")
    for name in sheet.header[2:]:
        table.add_column(name, justify="right", no_wrap=True)
    for line in sheet.lines:
        table.add_row(*map(Text, line))
    return Group(Text(sheet.title, "italic"), table)


def _cover_sheet(cover: SourceCover) -> Sheet:
    target, count = f"{shown_name(cover.target)} ({cover.target})", len(cover.sources)
    what = f"{count} sources for {target} together" if count > 1 else f"A source for {target}"
    how = {"top": "chosen by similarity", "coverage": "chosen by coverage"}[cover.strategy]
    lines = tuple(
        (
            source.language,
            shown_name(source.language),
            *(f"{share:.1%}" for share in (source.alone, source.gain, source.covered)),
        )
        for source in cover.sources
    )
    title = f"{what}, {how}; covered: {cover.covered:.1%} of its sub-network"
    return Sheet(title, ("code", "language", "covers alone", "adds", "covered together"), lines)


def explanation_table(explanation: Explanation, width: int = 200) -> Group:
    """Return a table with a row for each group of parameters and two numbers for each source.

    The first number is the chance-corrected coefficient within the group. The number in brackets is the contribution of
    the group to the coefficient of all parameters, minus the mean contribution over the candidates.

    Args:
        explanation: The explanation.
        width: Width of the terminal in characters. Sources that do not fit are moved to another table below.
    """
    sheet = _explanation_sheet(explanation)
    label = max(len(line[0]) for line in (sheet.header, *sheet.lines)) + 2
    per_table = max(1, (width - label) // _EXPLANATION_CELL)
    parts: list[Table | str] = []
    for start in range(1, len(sheet.header), per_table):
        table = plain_table()
        table.add_column(explanation.by, style="bold", overflow="fold")
        for source in sheet.header[start : start + per_table]:
            table.add_column(Text(source), justify="right", no_wrap=True)
        for line in sheet.lines:
            table.add_row(*map(Text, (line[0], *line[start : start + per_table])))
        parts += [*([""] if parts else []), table]
    return Group(Text(sheet.title, "italic"), *parts)


def _explanation_sheet(explanation: Explanation) -> Sheet:
    lines = [
        (name, *(f"{number(a)} ({b:+.4f})" for a, b in zip(corrected.tolist(), excess.tolist(), strict=True)))
        for name, corrected, excess in zip(explanation.names, explanation.corrected, explanation.excess, strict=True)
    ]
    totals = [f"({value:+.4f})" for value in explanation.excess.sum(axis=0).tolist()]
    title = f"Jaccard by {explanation.by}, chance-corrected (in brackets: contribution to the whole, minus its mean)"
    return Sheet(title, (explanation.by, *explanation.sources), (*lines, ("all", *totals)))


def _interval(low: float | None, high: float | None, decimals: int) -> str:
    return UNKNOWN if low is None or high is None else f"{number(low, decimals)} to {number(high, decimals)}"


def _percent(share: float | None) -> str:
    """Return a share of draws as text in whole percent; 0 is shown as `<1 %`, and 100 as `>99 %`."""
    if share is None:
        return UNKNOWN
    return "<1 %" if share < 0.005 else ">99 %" if share >= 0.995 else f"{100 * share:.0f} %"


# ---------------------------------------------------------------------------------------------------- files


def rankings_frame(rankings: Sequence[SourceRanking]) -> pd.DataFrame:
    """Return a pandas frame with one row for each target and source: target, rank, language, name, and the values.

    The rank is the position in the order, starting at 1. Columns that have no value in any row are left out.
    """
    import pandas as pd

    frames = []
    for ranking in rankings:
        frame = ranking.to_frame().reset_index()
        frame.insert(0, "target", ranking.target)
        frame.insert(3, "name", [shown_name(source.language) for source in ranking])
        frames.append(frame)
    if len(frames) == 1:
        return frames[0]
    # A frame lacks the columns in which it has no value. The columns of the widest frame come first, which keeps the
    # order of the fields.
    columns = sorted(frames, key=lambda frame: len(frame.columns))[-1].columns
    everything = list(dict.fromkeys([*columns, *(name for frame in frames for name in frame.columns)]))
    rows = [row for frame in frames for row in frame.to_dict("records")]
    return pd.DataFrame(rows, columns=everything)


def write_rankings(shown: Sequence[ShownRanking], path: str | Path, document: Mapping[str, Any]) -> Path:
    """Write the rankings of one or several targets atomically to a file; the suffix of `path` selects the format.

    ============== =========================================================================================
    .csv, .tsv     A row for each target and source. Values are not rounded; undefined values are empty. Min Nan
                   Chinese has the code `nan`, so read the file with `keep_default_na=False, na_values=[""]`.
    .parquet       The same rows; the document is in the metadata of the file, under the key `xsns_stream`.
    .json          The document, which `rank --json` prints under the key `result`; undefined values are null.
    .md .tex       The tables and sentences that the terminal shows; LaTeX needs the package booktabs.
    .png .svg .pdf A panel for each target: a dot for each similarity and a bar for its interval. Expected scores
                   are in a second panel.
    ============== =========================================================================================

    Args:
        shown: The rankings.
        path: The file to write; an existing file is replaced.
        document: All results as plain values.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
        XsnsError: The file cannot be written.
    """
    from xsns_stream.report.ranking_figure import rankings_figure

    result = ResultFile(
        kind="source-ranking",
        frame=lambda: rankings_frame([each.ranking for each in shown]),
        document=lambda: document,
        sheets=lambda: [sheet for each in shown for sheet in _sheets(each)],
        draw=lambda: rankings_figure(shown),
        figure_options={"pad_inches": 0.25},
    )
    return write_result(result, path)


def ranking_html(shown: ShownRanking, notes: Sequence[str] = ()) -> str:
    """Return the tables and sentences that the terminal shows as HTML for a notebook.

    Args:
        shown: The ranking.
        notes: Sentences below the tables, in addition to the sentences of the ranking.
    """
    sentences = (*shown.sentences, *(note for note in notes if note not in shown.sentences))
    return html(_sheets(replace(shown, sentences=())), sentences)


def _sheets(shown: ShownRanking) -> Iterator[Sheet]:
    """Yield the tables of a ranking; the caption of the first table consists of the sentences of the ranking."""
    ranking = shown.ranking
    columns = list(_columns(ranking))
    header = ("rank", "code", "language", *(name for name, _ in columns))
    tied = [f"{_TIED}."] if any(source.tied for source in ranking) else []
    yield Sheet(shown.title, header, tuple(_lines(ranking, columns)), " ".join((*tied, *shown.sentences)))
    if shown.together is not None:
        yield _cover_sheet(shown.together)
    yield from (_explanation_sheet(each.first(_EXPLAINED)) for each in shown.explanations)
