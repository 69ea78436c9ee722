"""JSON Schemas on pages: a link to the schema of a verb, and a table of its keys."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole


class SchemaRole(SphinxRole):
    """A link to the page of the schemas."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link."""
        return [nodes.literal(text=f"{self.text}.json")], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the role."""
    app.add_role("json-schema", SchemaRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
