"""Links from pages of the site to files of the repository.

Pages link to one another by relative paths, which GitHub follows. A few files outside of `docs/` are also pages of the
site; links to these files lead to the pages. A link to any other file of the repository becomes the path of the file in
code style, and a link to a file that does not exist is an error.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
#: {file of the repository: the page of the site that shows it}.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "kernels/README.md": "kernels.md",
    "benchmarks/README.md": "benchmarks.md",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^ *```.*?^ *```|<!--.*?-->)", re.MULTILINE | re.DOTALL)
log = logging.getLogger(__name__)


def converted(text: str, file: Path, page: Path) -> str:
    """Return Markdown with the links of a file of the repository, for a page of the site.

    Args:
        text: The Markdown.
        file: The file in which the links are written.
        page: The page on which they are shown.
    """

    def link(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        path = (file.parent / target).resolve()
        if not path.exists():
            log.warning("the link to '%s' leads nowhere", target, location=str(file))
            return match[0]
        name = PAGES.get(str(path.relative_to(ROOT)))
        if path.is_relative_to(DOCS) and path.is_file():
            name = str(path.relative_to(DOCS))
        if name is None:
            return f"{label} (`{path.relative_to(ROOT)}`)" if label.strip("`") != target else f"`{target}`"
        return f"[{label}]({os.path.relpath(DOCS / name, page.parent)}{anchor})"

    # Blocks of code and comments stay as they are.
    parts = _FENCE.split(text)
    return "".join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))


def _read_source(app: Sphinx, docname: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(docname))
    source[0] = converted(source[0], page, page)


def _read_included(app: Sphinx, relative: Path, parent: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(parent))
    source[0] = converted(source[0], (page.parent / relative).resolve(), page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the conversion to the events of Sphinx."""
    app.connect("source-read", _read_source)
    app.connect("include-read", _read_included)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
