"""Docstrings and help texts as reStructuredText.

A vertical bar, as in |A ∩ B|, is a character and not markup. Options and examples of help texts are code.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

#: Code in backticks, in which nothing is escaped; or a vertical bar.
_CODE_OR_BAR = re.compile(r"``.*?``|`[^`]*`|(\|)")
#: Code in backticks; or an option, whose hyphens would otherwise become a dash.
_CODE_OR_OPTION = re.compile(r"``.*?``|`[^`]*`|(?<![\w-])(--[a-z][\w-]*)")


def escaped(line: str) -> str:
    """Return a line in which vertical bars outside of code are escaped."""
    if line.lstrip().startswith((">>>", "...")):
        return line
    return _CODE_OR_BAR.sub(lambda found: "\\|" if found[1] else found[0], line)


def _docstring(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    lines[:] = map(escaped, lines)


def _help(app: Sphinx, context: Any, lines: list[str]) -> None:
    lines[:] = help_lines(lines)


def help_lines(lines: list[str]) -> list[str]:
    """Return lines of a help text, in which the commands after "Examples:" are one block of code."""
    made = []
    for line in lines:
        if line == "| Examples:":
            made += ["Examples:", "", ".. code-block:: console", ""]
        elif line.startswith("| "):
            made.append(line.replace("| ", " ", 1))
        elif line.lstrip().startswith((".. ", ":default:")):
            made.append(line)
        else:
            made.append(_CODE_OR_OPTION.sub(lambda found: f"``{found[1]}``" if found[1] else found[0], escaped(line)))
    return made


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the escaping to the events of autodoc (before napoleon) and of sphinx-click."""
    app.connect("autodoc-process-docstring", _docstring, priority=400)
    for event in ("description", "options", "epilog", "arguments"):
        app.connect(f"sphinx-click-process-{event}", _help)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
