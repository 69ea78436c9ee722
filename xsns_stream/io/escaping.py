"""Escaping of text that comes from outside the program, such as names of tensors, files, labels and models.

On a terminal, a control character may move the cursor or change the colour of the following text, and a character that
overrides the writing direction can make a name look like another one. Therefore
:mod:`xsns_stream.cli.output` passes all output of the command line through :func:`visible`; there are other functions
for JSON, CSV, Markdown and LaTeX.
"""

from __future__ import annotations

import re
from typing import Final

#: C0 (with line breaks and tabs), DEL, C1, line and paragraph separators, and marks of the writing direction.
_UNSEEN: Final = "\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069"
_IN_A_LINE: Final = re.compile(f"[{_UNSEEN}]")
_IN_LINES: Final = re.compile(f"(?!\\n)[{_UNSEEN}]")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
#: First characters of cells that spreadsheets read as a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str, *, lines: bool = False) -> str:
    r"""Return text for a terminal, with invisible characters replaced by escape sequences.

    Args:
        text: Any text.
        lines: Whether line breaks are kept, for text with several lines. By default they are escaped.

    >>> visible("a\x1b[31mb\u202ec\n")
    'a\\x1b[31mb\\u202ec\\n'
    """
    return (_IN_LINES if lines else _IN_A_LINE).sub(lambda match: _escape(match[0]), text)


def visible_json(document: str) -> str:
    r"""Return JSON text with invisible characters replaced by `\u` escapes; the represented value does not change.

    Outside of strings, the only such characters in JSON are line breaks, which are not changed. In strings, JSON itself
    escapes the control characters below U+0020.
    """
    return _IN_LINES.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def guarded(cell: str) -> str:
    """Return the text of a cell, with `'` put before it if a spreadsheet would read it as a formula.

    Numbers are not changed.

    >>> guarded("=1+1"), guarded("-0.5"), guarded("-x")
    ("'=1+1", '-0.5', "'-x")
    """
    return f"'{cell}" if cell.startswith(_FORMULA) and not _is_number(cell) else cell


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", text) is not None


def _escape(sign: str) -> str:
    number = ord(sign)
    return _SHORT.get(sign) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")


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
    """Escape text for a table cell or a line of Markdown."""
    return "".join(_MARKDOWN.get(sign, sign) for sign in _printable(text))


def in_latex(text: str) -> str:
    """Escape text for a table cell or a comment of LaTeX."""
    escaped = "".join(_LATEX.get(sign, sign) for sign in _printable(text))
    # After `\\` at the end of the preceding line, LaTeX would read a bracket as an optional argument.
    return f"{{}}{escaped}" if escaped.startswith("[") else escaped


def _printable(text: str) -> str:
    """Return text without unprintable characters, and with a space in place of each white-space character."""
    spaced = "".join(" " if sign.isspace() else sign for sign in text)
    return "".join(sign for sign in spaced if sign.isprintable())
