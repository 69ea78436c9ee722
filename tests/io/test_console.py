"""Printing of tables to files and pipes."""

from __future__ import annotations

import io

import pytest
from rich import box
from rich.table import Table

from xsns_stream.io.console import VisibleConsole


@pytest.mark.parametrize("width", [200, 30])
def test_lines_in_a_pipe_do_not_end_in_blanks(width: int) -> None:
    table = Table("language", "text", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_row("sw", "habari")
    table.add_row("fi", "x " * 50)
    file = io.StringIO()
    VisibleConsole(file=file, width=width).print(table)
    header, rule, *rows = file.getvalue().splitlines()
    assert header == "language   text"
    assert rows[0] == "sw         habari"
    assert not any(line.endswith(" ") for line in (header, rule, *rows))
    assert set(rule) == {"─"}
    assert len(rule) == max(map(len, rows))
    assert len(rule) <= min(width, 111)


def test_a_terminal_gets_the_whole_width() -> None:
    file = io.StringIO()
    VisibleConsole(file=file, width=20, force_terminal=True, color_system=None).print(Table("a", box=None, width=10))
    assert file.getvalue() == f"{' a':10}\n"
