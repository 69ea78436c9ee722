"""Tables of text, and their conversion to Markdown, LaTeX and terminal output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from xsns_stream.io.escaping import in_latex, in_markdown
from xsns_stream.types.html_table import html_notes, html_table

# Names of columns of text; the first column is always text.
_TEXT_COLUMNS = frozenset({"language", "best"})


@dataclass(frozen=True)
class Sheet:
    """A table of text: a title, a header, and rows whose first cell is a label.

    A cell may contain a line break. In the terminal, the part after the break (for example an interval) is dimmed.

    Attributes:
        title: The title.
        header: The names of the columns.
        lines: The rows, each with one cell for each column.
        caption: Text below the table; may be empty.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    caption: str = ""


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a Markdown table; cells are escaped, and the text does not end with a line break.

    Args:
        header: The names of the columns.
        lines: The rows, each with one cell for each column.
        text_columns: Number of text columns on the left; the other columns are aligned to the right.
    """
    rule = ["---" if column < text_columns else "---:" for column in range(len(header))]
    rows = [[in_markdown(cell) for cell in line] for line in (header, *lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (rows[0], rule, *rows[1:]))


def markdown(sheets: Iterable[Sheet], notes: Sequence[str] = ()) -> str:
    """Return sheets as Markdown tables, followed by the notes as a list."""
    parts = []
    for sheet in sheets:
        caption = f"\n{in_markdown(sheet.caption)}\n" if sheet.caption else ""
        parts.append(f"**{in_markdown(sheet.title)}**\n\n{markdown_table(sheet.header, sheet.lines)}\n{caption}")
    bullets = [f"* {in_markdown(note)}" for note in notes]
    return "\n".join([*parts, *bullets, ""] if bullets else parts)


def latex(sheets: Iterable[Sheet], notes: Sequence[str] = ()) -> str:
    """Return sheets as LaTeX tables, which need the package booktabs; titles, captions and notes become comments."""
    lines = ["% needs \\usepackage{booktabs}"]
    for sheet in sheets:
        rows = [" & ".join(map(in_latex, line)) + r" \\" for line in (sheet.header, *sheet.lines)]
        lines += [
            f"% {in_latex(sheet.title)}",
            f"\\begin{{tabular}}{{l{'r' * (len(sheet.header) - 1)}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            *([f"% {in_latex(sheet.caption)}"] if sheet.caption else []),
        ]
    lines += [f"% {in_latex(note)}" for note in notes]
    return "\n".join(lines) + "\n"


def html(sheets: Iterable[Sheet], notes: Sequence[str] = ()) -> str:
    """Return sheets as HTML tables for a notebook, each below its title, followed by the notes as paragraphs."""
    import pandas as pd

    tables = [
        html_table(
            pd.DataFrame(sheet.lines, columns=list(sheet.header)),
            sheet.title,
            notes=[sheet.caption] if sheet.caption else [],
        )
        for sheet in sheets
    ]
    return "\n".join((*tables, *([html_notes(notes)] if notes else [])))


def plain_table() -> Table:
    """Return an empty table for the terminal; it has a rule below its header, and no frame."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)


def sheet_table(sheet: Sheet, columns: Sequence[int] | None = None) -> Table:
    """Return a sheet as a table for the terminal, without title and caption.

    Args:
        sheet: The sheet.
        columns: Indices of the columns, including the first column; None for all columns.
    """
    columns = range(len(sheet.header)) if columns is None else columns
    table = plain_table()
    for column in columns:
        left = column == 0 or sheet.header[column] in _TEXT_COLUMNS
        table.add_column(Text(sheet.header[column]), justify="left" if left else "right", no_wrap=True)
    for line in sheet.lines:
        table.add_row(*(Text(line[column], "bold") if column == 0 else _cell(line[column]) for column in columns))
    return table


def _cell(text: str) -> Text:
    above, _, below = text.partition("\n")
    cell = Text(above)
    return cell.append(f"\n{below}", "dim") if below else cell
