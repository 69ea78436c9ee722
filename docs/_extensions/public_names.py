"""References to public names of the package, in annotations and docstrings.

A class is defined in a module such as `xsns_stream.types.subnetwork`, and documented as the public name
`xsns_stream.SubNetwork`. This extension leads references to the page of the public name. A name that is not public is
shown as text.
"""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from docutils.nodes import Element, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import xsns_kernels
import xsns_stream
from xsns_stream import errors


def _directives(page: str) -> list[str]:
    """Return the classes that a page of the reference documents."""
    text = (Path(__file__).resolve().parents[1] / "reference" / page).read_text(encoding="utf-8")
    return re.findall(r"^\.\. autoclass:: (\S+)", text, re.MULTILINE)


#: {the last part of a name: the name under which it is documented}.
DOCUMENTED = (
    {name.rpartition(".")[2]: name for name in _directives("api-results.md")}
    | {name: f"xsns_kernels.{name}" for name in xsns_kernels.__all__}
    | {name: f"xsns_stream.errors.{name}" for name in vars(errors) if name.endswith(("Error", "Code"))}
    | {name: f"xsns_stream.{name}" for name in xsns_stream.__all__}
)


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: TextElement) -> Element | None:
    if node.get("refdomain") != "py":
        return None
    last = node["reftarget"].rpartition(".")[2]
    if last in DOCUMENTED and node["reftarget"] != DOCUMENTED[last]:
        domain = env.domains["py"]
        return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], DOCUMENTED[last], node, content)
    return content if _exists(node["reftarget"]) else None


def _exists(name: str) -> bool:
    """Return whether the full name of something in this project exists; other names are not looked up."""
    if not name.startswith(("xsns_stream.", "xsns_kernels.")):
        return True
    try:
        resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the resolution to the event of Sphinx."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
