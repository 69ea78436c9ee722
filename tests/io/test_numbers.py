"""Numbers in cells, in the notations that people use in tables of scores."""

from __future__ import annotations

import math

import pytest

from xsns_stream.io.numbers import cell_number, read_cells


@pytest.mark.parametrize(
    ("cell", "number", "properties"),
    [
        ("12.3", 12.3, set()),
        (" +81.2 ", 81.2, set()),
        ("31.2 %", 31.2, {"percent"}),
        ("55,2", 55.2, {"comma"}),
        ("1,234", 1.234, {"comma", "ambiguous"}),
        ("12.3*", 12.3, {"marked"}),
        ("12.3†", 12.3, {"marked"}),
        ("12.3¹", 12.3, {"marked"}),
        ("**12.3**", 12.3, {"marked"}),
        ("_12.3_", 12.3, {"marked"}),
        (r"\textbf{12.3}", 12.3, {"marked"}),
        ("12.3$^{*}$", 12.3, {"marked"}),
        (r"12.3\textsuperscript{a}", 12.3, {"marked"}),
        ("55,2*", 55.2, {"comma", "marked"}),
        ("12.3 ± 0.4", 12.3, {"spread"}),
        ("12.3±0.4%", 12.3, {"spread", "percent"}),
        ("31.2% ± 0.4", 31.2, {"spread", "percent"}),
        ("12.3 +/- 0.4", 12.3, {"spread"}),
        ("12.3 (0.4)", 12.3, {"spread"}),
        ("12.3 (±0.4)", 12.3, {"spread"}),
        ("12.3 [11.9, 12.7]", 12.3, {"spread"}),
        (r"\textbf{12.3}$_{\pm 0.4}$", 12.3, {"marked", "spread"}),
        ("$-$3.5", -3.5, {"marked"}),
        ("−3.5", -3.5, set()),
    ],
)
def test_a_cell_has_one_number(cell: str, number: float, properties: set[str]) -> None:
    parsed = cell_number(cell)
    assert parsed.number == number
    assert {
        name for name in ("percent", "comma", "ambiguous", "marked", "spread") if getattr(parsed, name)
    } == properties


@pytest.mark.parametrize("cell", ["", "-", "–", "—", "--", "n/a", "N.A.", "#N/A", "?", "NaN", "…", None, "**-**"])
def test_words_for_missing_scores_are_read_as_nan(cell: object) -> None:
    number = cell_number(cell).number
    assert number is not None
    assert math.isnan(number)


@pytest.mark.parametrize(
    "cell",
    ["OOM", "(55.2)", "±0.3", "*", "1_0", "1_0 (3)", "12.3a", "2023-01-05", "1.2.3", "0.5 0.6", "-%", "$5", "55.2/80"],
)
def test_other_texts_are_not_numbers(cell: str) -> None:
    assert cell_number(cell).number is None


def test_what_was_not_read_is_listed() -> None:
    cells = read_cells([("en", "sw", "12.3*"), ("en", "fi", "12.3 ± 0.4"), ("fi", "sw", "high*"), ("fi", "en", "5")])
    assert (cells.marked, cells.spread) == (("12.3*",), ("12.3 ± 0.4",))
    assert cells.wrong == ("fi → sw ('high*')",)
    assert cells.values[:2] == [12.3, 12.3]
