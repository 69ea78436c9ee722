"""Functions that return matrices and transfer scores as `rich` tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xsns_stream.languages import shown_name
from xsns_stream.report.markup import Sheet, plain_table
from xsns_stream.types import GroupedSimilarity, SimilarityMatrix
from xsns_stream.types.language_clusters import LanguageClusters
from xsns_stream.types.transfer_scores import TransferScores, metric_name

#: Cell of an unknown value.
UNKNOWN: Final = "–"
_DECIMALS = 3
_PADDING = 2
#: {unit: number of decimals of transfer scores}.
SCORE_DECIMALS = {"percent": 1, "fraction": 3, "points": 2}


def matrix_table(matrix: SimilarityMatrix, width: int = 200) -> Group:
    """Return a table of the whole matrix, rounded to three decimals; rows are sources and columns are targets.

    Args:
        matrix: The matrix. With more than a dozen languages, the table is hard to read.
        width: Width of the terminal in characters. Columns that do not fit are moved to another table below; no
            number is cut off.
    """
    rows = {
        source: [Text(number(matrix[source, target]), "dim" if source == target else "") for target in matrix.targets]
        for source in matrix.sources
    }
    return Group(*_matrix_parts(matrix.targets, rows, width))


def _matrix_parts(targets: Sequence[str], rows: Mapping[str, Sequence[Text]], width: int) -> Iterator[Table | str]:
    """Split a source × target matrix into tables that fit into `width`; yield them, separated by empty lines.

    Args:
        targets: T language codes, the headings of the columns.
        rows: {source: the T cells of its row}.
        width: Width of the terminal in characters.
    """
    label = max(map(len, (*rows, "source")))
    cell = max(_DECIMALS + 3, *map(len, targets), *(len(text) for row in rows.values() for text in row)) + _PADDING
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


def clusters_table(divided: LanguageClusters) -> Table:
    """Return a table of clusters: number, size, families, and the languages by code and name."""
    table = plain_table()
    for heading in ("cluster", "languages"):
        table.add_column(heading, justify="right")
    table.add_column("families")
    table.add_column("")
    for index, codes in enumerate(divided, 1):
        families = ", ".join(f"{family} {count}" for family, count in divided.families_of(index))
        table.add_row(str(index), str(len(codes)), Text(families or UNKNOWN), Text(", ".join(map(_with_name, codes))))
    return table


def _with_name(code: str) -> str:
    """Return the name and the code, such as `Swahili (sw)`; only the code if the language has no name."""
    name = shown_name(code)
    return code if name == code else f"{name} ({code})"


def scores_table(
    scores: TransferScores,
    width: int = 200,
    *,
    trivial: Mapping[str, float] | None = None,
    most: int = 30,
    most_targets: int | None = None,
) -> Group:
    """Return the source × target matrix of transfer scores, averaged over seeds.

    For each target, the score of the best source other than the target itself is bold and has an asterisk. A score is
    dim if the source is the target itself or a mixture that contains the target. A missing score is shown as a dash.
    If most scores on other languages are not above the trivial answer, the title states this. A caption gives the
    number of languages that are not shown.

    Args:
        scores: The scores; only their first regime is shown.
        width: Width of the terminal in characters. Columns that do not fit are moved to another table below.
        trivial: {target: score of the trivial answer, such as the most frequent class}, shown as the last row. By
            default, the trivial scores stored in `scores`.
        most: Maximum number of sources in the table, and also of targets if `most_targets` is None.
        most_targets: Maximum number of targets; None for the value of `most`.
    """
    scores = scores if trivial is None else replace(scores, trivial=trivial)
    sources, targets = scores.sources[:most], scores.targets[: most_targets or most]
    values = {(s, t): float(scores.values[i, j]) for i, s in enumerate(scores.sources) for j, t in enumerate(targets)}
    best = {target: _best_score(values, scores.sources, target) for target in targets}
    decimals = SCORE_DECIMALS[scores.unit]

    def cell(source: str, target: str) -> Text:
        value = values[source, target]
        if _trained_on(source, target):
            return Text(number(value, decimals), "dim")
        is_best = value == best[target]
        return Text(f"{number(value, decimals)}{'*' if is_best else ''}", "bold" if is_best else "")

    rows = {source: [cell(source, target) for target in targets] for source in sources}
    if scores.trivial:
        floor = scores.trivial
        rows["trivial answer"] = [Text(number(floor.get(target), decimals), "italic") for target in targets]
    shown = ((len(sources), scores.sources, "sources"), (len(targets), scores.targets, "targets"))
    hidden = [f"{count} of {len(codes)} {side}" for count, codes, side in shown if count < len(codes)]
    title = f"{metric_name(scores.metric)} ({scores.unit}) of each source on each target"
    captions = ["* The best source of the target." if any(map(math.isfinite, best.values())) else ""]
    captions += [f"Only {' and '.join(hidden)} are shown."] if hidden else []
    notes = [Text(" ".join(filter(None, captions)), "dim")]
    return Group(Text(f"{title}{_warning(scores)}", "italic"), *_matrix_parts(targets, rows, width), *notes)


def _warning(scores: TransferScores) -> str:
    """Return words for the title if most scores are not above the trivial answer, and an empty text otherwise."""
    above, count = scores.above_trivial()
    if not count or above > count / 2:
        return ""
    return (
        f"; {count - above} of {count} scores on other languages are not above the score of the trivial answer, such "
        "as the most frequent class"
    )


def _best_score(values: Mapping[tuple[str, str], float], sources: Sequence[str], target: str) -> float:
    """Return the highest score that a source other than the target has on the target; NaN if there is none."""
    known = [values[source, target] for source in sources if not _trained_on(source, target)]
    return max((value for value in known if not math.isnan(value)), default=math.nan)


def _trained_on(source: str, target: str) -> bool:
    """Return whether a source is the target itself or a mixture that contains the target: `en+fi` contains `fi`."""
    return target in source.split("+")


def neighbours_table(matrix: SimilarityMatrix, neighbours: int = 3) -> Table:
    """Return a table with a row for each target, which lists its most similar sources, most similar first.

    The number of sources in a row is `neighbours`.

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
        cells = [text for source in nearest for text in (source, number(matrix[source, target]))]
        table.add_row(*map(Text, (target, shown_name(target), *cells)))
    return table


def _nearest(matrix: SimilarityMatrix, target: str) -> list[str]:
    values = zip(matrix.sources, matrix.column(target).tolist(), strict=True)
    # NaN cannot be ordered; it is replaced by 0 here and ordered by the first key.
    keys = [
        (math.isnan(value), 0.0 if math.isnan(value) else -value, source)
        for source, value in values
        if source != target
    ]
    return [source for *_, source in sorted(keys)]


def groups_table(groups: GroupedSimilarity) -> Table:
    """Return a table with a row for each group of parameters.

    The columns are the number of parameters in the group, the share of all selected parameters that are in the group,
    and the mean similarity within the group over all pairs of languages.
    """
    sheet = groups_sheet(groups)
    table = plain_table()
    table.add_column(sheet.header[0], style="bold", overflow="fold")
    for name in sheet.header[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for line in sheet.lines:
        table.add_row(*map(Text, line))
    return table


def groups_sheet(groups: GroupedSimilarity) -> Sheet:
    """Return the content of :func:`groups_table` as a sheet, which can be written to a file."""
    total = sum(groups.sizes)
    lines = []
    for (name, matrix), size, share in zip(groups, groups.sizes, groups.shares, strict=True):
        shares = [UNKNOWN if math.isnan(part) else f"{part:.1%}" for part in (size / total, share)]
        lines.append((name, f"{size:,}", *shares, number(matrix.mean_of_pairs)))
    header = (groups.by, "parameters", "share of all", "share of selected", f"mean {groups.coefficient}")
    return Sheet(f"{groups.coefficient} by {groups.by}", header, tuple(lines))


def matrix_sheet(matrix: SimilarityMatrix) -> Sheet:
    """Return the whole matrix, rounded to three decimals, as a sheet; rows are sources and columns are targets."""
    lines = [(source, *(number(matrix[source, target]) for target in matrix.targets)) for source in matrix.sources]
    return Sheet(f"{matrix.coefficient}, source × target", ("source", *matrix.targets), tuple(lines))


def number(value: float | None, decimals: int = _DECIMALS) -> str:
    """Return a value rounded to `decimals` decimals, as text; a dash if the value is None or NaN."""
    return UNKNOWN if value is None or math.isnan(value) else f"{value:.{decimals}f}"
