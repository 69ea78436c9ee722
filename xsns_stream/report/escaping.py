"""Text of others, as names of predictors, in Markdown and LaTeX: shown as it is, never obeyed."""

from __future__ import annotations

from typing import Any, Final

#: Settings of matplotlib: one font that is always there, the same file every time, and `$` is a dollar sign.
PLAIN_TEXT: Final[Any] = {
    "svg.hashsalt": "xsns-stream",
    "font.family": ["DejaVu Sans"],
    "text.parse_math": False,
}

_MARKDOWN: Final = {sign: f"\\{sign}" for sign in "\\`*_|"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "−": "$-$",
    "×": r"$\times$",
    "<": "$<$",
    ">": "$>$",
    "–": "--",
}


def in_markdown(text: str) -> str:
    """Return text for a cell or a line of Markdown."""
    return "".join(_MARKDOWN.get(sign, sign) for sign in _one_line(text))


def in_latex(text: str) -> str:
    """Return text for a cell or a comment of LaTeX."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in _one_line(text))
    # A bracket after `\\` at the end of the line before would be taken for its optional argument.
    return f"{{}}{escaped}" if escaped.startswith("[") else escaped


def _one_line(text: str) -> str:
    """Return text without line breaks and without signs that no one sees."""
    spaced = "".join(" " if sign.isspace() else sign for sign in text)
    return "".join(sign for sign in spaced if sign.isprintable())
