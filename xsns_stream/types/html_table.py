"""Tables of results as HTML (for notebooks) and as plain text (for consoles)."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Final

from xsns_stream.io.escaping import visible

if TYPE_CHECKING:
    import pandas as pd

#: Longer or wider HTML tables are shortened in the middle, like pandas frames in a notebook.
MAX_ROWS: Final = 60
MAX_COLUMNS: Final = 20
#: The same limits for plain text, which `repr` of a result returns.
TEXT_ROWS: Final = 10
TEXT_COLUMNS: Final = 8


def html_table(
    frame: pd.DataFrame,
    caption: str,
    *,
    index: bool = False,
    notes: Iterable[str] = (),
    max_rows: int = MAX_ROWS,
    max_columns: int = MAX_COLUMNS,
    number: str = "{:.4g}",
) -> str:
    """Return a frame as an HTML table with a caption above it and notes below it; all text is escaped.

    The table sets no colours. It is therefore readable in light and dark notebooks.

    Args:
        frame: The table. Missing values are empty cells.
        caption: The line above the table.
        index: Whether the labels of the rows are shown.
        notes: Sentences below the table.
        max_rows: Number of rows that are shown. A longer table is shortened in the middle, and a line below it says so.
        max_columns: Number of columns that are shown.
        number: Format of the numbers; by default, they have four significant digits.
    """
    table = frame.rename(columns=lambda name: visible(str(name))).map(_visible)
    html = (table.rename(index=lambda name: visible(str(name))) if index else table).to_html(
        index=index,
        border=0,
        na_rep="",
        escape=True,
        max_rows=max_rows,
        max_cols=max_columns,
        float_format=number.format,
    )
    below = html_notes((*_shortened(frame, max_rows, max_columns), *notes))
    return "\n".join((html_notes((caption,)), html, *([below] if below else [])))


def html_notes(notes: Iterable[str]) -> str:
    """Return sentences as HTML paragraphs; all text is escaped."""
    return "\n".join(f"<p>{escape(visible(note))}</p>" for note in notes)


def _visible(cell: object) -> object:
    return visible(cell) if isinstance(cell, str) else cell


def _shortened(frame: pd.DataFrame, max_rows: int, max_columns: int) -> list[str]:
    """Return a list with a sentence on the rows and columns that are shown; empty if all are shown.

    At most `max_rows` rows and `max_columns` columns are shown.
    """
    sizes = (("rows", len(frame), max_rows), ("columns", len(frame.columns), max_columns))
    # pandas shows as many rows at the top as at the bottom.
    shown = [f"{most // 2 * 2:,} of {count:,} {name}" for name, count, most in sizes if count > most]
    return [f"{' and '.join(shown)} are shown; to_frame() returns the whole table."] if shown else []


def text_table(frame: pd.DataFrame, caption: str, *, index: bool = False) -> str:
    """Return a frame as a plain-text table with a caption above it; invisible characters are escaped.

    Args:
        frame: The table. Numbers are shown with four significant digits; columns without any value are left out.
        caption: The line above the table.
        index: Whether the labels of the rows are shown.
    """
    table = frame.dropna(axis="columns", how="all").to_string(
        index=index,
        na_rep="",
        max_rows=TEXT_ROWS,
        max_cols=TEXT_COLUMNS,
        float_format="{:.4g}".format,
        show_dimensions=False,
    )
    return "\n".join(visible(line) for line in (caption, *table.splitlines()))
