"""How a table of results is written: Markdown, figures cut to what they are worth."""

from __future__ import annotations

from collections.abc import Sequence

NOT_RUN = "Not measured yet.\n"


def table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is flush left."""
    if not lines:
        return NOT_RUN
    aligned = ["---", *("--:" for _ in columns[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (columns, aligned, *lines))


def number(value: float | None) -> str:
    """Return two decimals."""
    return "–" if value is None else f"{value:.2f}"


def power(value: float) -> str:
    """Return one digit and its power of ten."""
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-")


def aim(value: float | None, target: float | None) -> str:
    """Say whether a ratio is as small as it was to be."""
    if target is None or value is None:
        return "–"
    return f"≤ {target:.2f}: {'met' if value <= target else '**missed**'}"


def aim_at_least(value: float | None, target: float | None) -> str:
    """Say whether a ratio is as large as it was to be."""
    if target is None or value is None:
        return "–"
    return f"≥ {target:g}: {'met' if value >= target else '**missed**'}"
