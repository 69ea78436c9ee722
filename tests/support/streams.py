"""Text that a command line printed to stderr."""

from __future__ import annotations


def without_next(err: str) -> str:
    """Return stderr without the line `next:`, with which a verb ends; the line must be there."""
    *lines, last = err.splitlines(keepends=True)
    assert last.startswith("next: xsns-stream "), err
    return "".join(lines)
