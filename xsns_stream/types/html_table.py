"""HTML tables of results, as notebooks show them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

#: Longer or wider frames are shortened in the middle, as pandas does in a notebook.
MAX_ROWS: Final = 60
MAX_COLUMNS: Final = 20


def html_table(frame: pd.DataFrame, caption: str, *, index: bool = False) -> str:
    """Return a frame as an HTML table below a line of text; all text is escaped.

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
