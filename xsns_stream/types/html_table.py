"""Tables of results as HTML (for notebooks) and as plain text (for consoles)."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from xsns_stream.io.escaping import visible

if TYPE_CHECKING:
    import pandas as pd

#: Longer or wider frames are shortened in the middle, like pandas frames in a notebook.
MAX_ROWS: Final = 60
MAX_COLUMNS: Final = 20
#: The same limits for plain text, which `repr` of a result returns.
TEXT_ROWS: Final = 10
TEXT_COLUMNS: Final = 8


def html_table(frame: pd.DataFrame, caption: str, *, index: bool = False) -> str:
    """Return a frame as an HTML table with a caption above it; all text is escaped.

    Args:
        frame: The table. Numbers are shown with four significant digits, missing values as empty cells.
        caption: The line above the table.
        index: Whether the labels of the rows are shown.
    """
    table = frame.to_html(
        index=index,
        border=0,
        na_rep="",
        escape=True,
        max_rows=MAX_ROWS,
        max_cols=MAX_COLUMNS,
        float_format="{:.4g}".format,
    )
    return f"<p>{escape(caption)}</p>\n{table}"


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
