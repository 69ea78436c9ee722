"""Markdown of the results: tables, numbers and intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from xsns_stream.report.escaping import in_markdown

UNKNOWN: Final = "–"


def table(header: Sequence[str], lines: Iterable[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a table; the first columns hold text, the others numbers.

    Args:
        header: Names of the columns; escaped.
        lines: Cells; escaped.
        text_columns: How many columns are text.
    """
    rule = ["---" if place < text_columns else "---:" for place in range(len(header))]
    rows = [[in_markdown(cell) for cell in line] for line in (header, *lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (rows[0], rule, *rows[1:])) + "\n"


def number(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Return a number with so many decimals; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    # No minus before what rounds to zero.
    rounded = round(float(value), decimals) + 0.0
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def with_interval(mean: float | None, low: float | None, high: float | None, decimals: int = 2) -> str:
    """Return `mean [low, high]`, the interval with one decimal less; without it where it is not known."""
    text = number(mean, decimals)
    if text == UNKNOWN or low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return text
    fewer = max(0, decimals - 1)
    return f"{text} [{number(low, fewer)}, {number(high, fewer)}]"


def probability(value: float | None) -> str:
    """Return a p-value with three decimals; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def bullets(sentences: Iterable[str]) -> str:
    """Return a list of sentences, each once; escaped."""
    return "".join(f"* {in_markdown(sentence)}\n" for sentence in dict.fromkeys(sentences) if sentence)


def code(lines: Iterable[str], language: str = "console") -> str:
    """Return lines as a block of code, whatever ticks they hold."""
    text = "\n".join(line.replace("\n", " ") for line in lines)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}\n"
