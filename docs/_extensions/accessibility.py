"""Attributes that screen readers and keyboards need, and that Sphinx and the theme leave out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

#: {text of a page: its replacement}.
REPLACEMENTS = {
    # The level of the headings in the navigation.
    'role="heading"': 'role="heading" aria-level="2"',
    # Names that distinguish the two columns beside the text.
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="Sections of this page">',
    '<aside class="toc-drawer no-toc">': '<aside class="toc-drawer no-toc" aria-label="Sections of this page">',
    # Without it, long lines of code cannot be scrolled with the keyboard.
    '<div class="highlight"><pre>': '<div class="highlight"><pre tabindex="0">',
}
#: The parameters of a signature, each on a line, which Sphinx writes as a list of definitions without terms.
_PARAMETERS = re.compile(r'<dl>\s*((?:<dd>(?:(?!</dd>).)*</dd>\s*)+)</dl>\s*(?=<span class="sig-paren">)', re.DOTALL)


def completed(html: str) -> str:
    """Return a page with the attributes."""
    for text, replacement in REPLACEMENTS.items():
        html = html.replace(text, replacement)
    return _PARAMETERS.sub(_lines, html)


def _lines(found: re.Match[str]) -> str:
    lines = found[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'<span class="sig-lines">{lines}</span>'


def _complete_pages(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            # `-E` and a new build write every page again; a page that was not written again has the attributes.
            html = path.read_text(encoding="utf-8")
            if "aria-level" not in html:
                path.write_text(completed(html), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Complete the pages after all of them have been written."""
    app.connect("build-finished", _complete_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
